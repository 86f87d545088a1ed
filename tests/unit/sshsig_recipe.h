/* SPDX-License-Identifier: ISC */
#ifndef SSHSIG_RECIPE_H
#define SSHSIG_RECIPE_H

/* Makes ssh signatures with a fixed ed25519 key, rightly or wrongly. */

#include <openssl/evp.h>

#include "mg_b64.h"
#include "mg_buf.h"

#define TEXT "modelgate approval v1\ndecision: approve\n"
#define NS "modelgate-approval"

/* How to make a signature; zero members mean the right way. */
struct recipe {
	bool is_sk;
	uint32_t version; /* 0: 1 */
	bool version_0;
	const char *magic, *ns, *reserved, *hash, *key_type, *sig_type;
	const char *key_tail, *sig_tail, *tail; /* bytes too many */
	uint8_t flags;				/* 0: touched */
	bool untouched;
	size_t sig_len; /* 0: 64 */
};

static EVP_PKEY *
fixed_key(void)
{
	uint8_t seed[32];
	size_t i;

	for (i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)i;
	return EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
}

static void
put(struct mg_buf *b, const char *s)
{
	assert_int_equal(mg_buf_put_bytes(b, s, strlen(s)), MG_ERR_OK);
}

static void
put_raw(struct mg_buf *b, const void *p, size_t n)
{
	assert_int_equal(mg_buf_put(b, p, n), MG_ERR_OK);
}

static void
put_buf(struct mg_buf *b, struct mg_buf *in)
{
	assert_int_equal(
	    mg_buf_put_bytes(b, mg_buf_ptr(in), mg_buf_len(in)), MG_ERR_OK);
	mg_buf_fini(in);
}

static const char *
pick(const char *s, const char *otherwise)
{
	return s == NULL ? otherwise : s;
}

static const char *
type_of(const struct recipe *r)
{
	return r->is_sk ? "sk-ssh-ed25519@openssh.com" : "ssh-ed25519";
}

static uint8_t
flags_of(const struct recipe *r)
{
	if (r->untouched)
		return r->flags;
	return r->flags == 0 ? 0x01 : r->flags;
}

static void
digest(const char *hash, const void *p, size_t n, uint8_t *out, unsigned *np)
{
	const EVP_MD *md =
	    strcmp(hash, "sha256") == 0 ? EVP_sha256() : EVP_sha512();

	assert_int_equal(EVP_Digest(p, n, out, np, md, NULL), 1);
}

/* Signs as the recipe says, so that only the form can be wrong. */
static void
sign(const struct recipe *r, uint8_t out[64])
{
	const char *hash = pick(r->hash, "sha512");
	uint8_t h[64], app[64], flags = flags_of(r);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = fixed_key();
	struct mg_buf b;
	unsigned n;
	size_t len = 64;

	mg_buf_init(&b, 4096);
	put_raw(&b, "SSHSIG", 6);
	put(&b, pick(r->ns, NS));
	put(&b, "");
	put(&b, hash);
	digest(hash, TEXT, strlen(TEXT), h, &n);
	assert_int_equal(mg_buf_put_bytes(&b, h, n), MG_ERR_OK);
	if (r->is_sk) {
		digest("sha256", mg_buf_ptr(&b), mg_buf_len(&b), h, &n);
		digest("sha256", "ssh:", 4, app, &n);
		mg_buf_reset(&b);
		put_raw(&b, app, 32);
		put_raw(&b, &flags, 1);
		assert_int_equal(mg_buf_put_u32(&b, 5), MG_ERR_OK);
		put_raw(&b, h, 32);
	}
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(
	    EVP_DigestSign(ctx, out, &len, mg_buf_ptr(&b), mg_buf_len(&b)), 1);
	mg_buf_fini(&b);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void
make_key(const struct recipe *r, struct mg_buf *b)
{
	EVP_PKEY *key = fixed_key();
	uint8_t pk[32];
	size_t n = sizeof(pk);

	assert_int_equal(EVP_PKEY_get_raw_public_key(key, pk, &n), 1);
	EVP_PKEY_free(key);
	mg_buf_init(b, 4096);
	put(b, pick(r->key_type, type_of(r)));
	assert_int_equal(mg_buf_put_bytes(b, pk, n), MG_ERR_OK);
	if (r->is_sk)
		put(b, "ssh:");
	put_raw(b, pick(r->key_tail, ""), strlen(pick(r->key_tail, "")));
}

static void
make_sig(const struct recipe *r, struct mg_buf *b)
{
	uint8_t sig[64], flags = flags_of(r);

	sign(r, sig);
	mg_buf_init(b, 4096);
	put(b, pick(r->sig_type, type_of(r)));
	assert_int_equal(
	    mg_buf_put_bytes(b, sig, r->sig_len == 0 ? 64 : r->sig_len),
	    MG_ERR_OK);
	if (r->is_sk) {
		put_raw(b, &flags, 1);
		assert_int_equal(mg_buf_put_u32(b, 5), MG_ERR_OK);
	}
	put_raw(b, pick(r->sig_tail, ""), strlen(pick(r->sig_tail, "")));
}

static void
make_blob(const struct recipe *r, struct mg_buf *b)
{
	struct mg_buf in;
	uint32_t version = r->version == 0 && !r->version_0 ? 1 : r->version;

	mg_buf_init(b, 8192);
	put_raw(b, pick(r->magic, "SSHSIG"), 6);
	assert_int_equal(mg_buf_put_u32(b, version), MG_ERR_OK);
	make_key(r, &in);
	put_buf(b, &in);
	put(b, pick(r->ns, NS));
	put(b, pick(r->reserved, ""));
	put(b, pick(r->hash, "sha512"));
	make_sig(r, &in);
	put_buf(b, &in);
	put_raw(b, pick(r->tail, ""), strlen(pick(r->tail, "")));
}

static void
put_armour(struct mg_buf *out, const void *p, size_t n, size_t width)
{
	struct mg_buf b64;
	const uint8_t *s;
	size_t left, step;

	mg_buf_init(&b64, 16384);
	assert_int_equal(mg_b64_put(&b64, p, n), MG_ERR_OK);
	s = mg_buf_ptr(&b64);
	put_raw(out, "-----BEGIN SSH SIGNATURE-----\n", 30);
	for (left = mg_buf_len(&b64); left > 0; left -= step, s += step) {
		step = left < width ? left : width;
		put_raw(out, s, step);
		put_raw(out, "\n", 1);
	}
	put_raw(out, "-----END SSH SIGNATURE-----\n", 28);
	mg_buf_fini(&b64);
}

/* The armoured signature of a recipe; the caller ends it. */
static void
make(const struct recipe *r, struct mg_buf *out)
{
	struct mg_buf blob;

	make_blob(r, &blob);
	mg_buf_init(out, 16384);
	put_armour(out, mg_buf_ptr(&blob), mg_buf_len(&blob), 70);
	mg_buf_fini(&blob);
}

#endif
