/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of ssh signatures, with OpenSSL.
 *
 * Rules
 * 1. Only 1 means yes: OpenSSL's verify functions return 0 for no and
 *    negative numbers for errors.
 * 2. What is verified is built here from our own constants (namespace,
 *    empty reserved field) and the host's own text; of the signature's
 *    bytes only the hash name, the flags and the counter enter it.
 */
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "mg_b64.h"
#include "mg_text.h"
#include "verify/mg_sshsig.h"

#define MAGIC "SSHSIG"
#define SIGNED_MAX 256	  /* bytes of the signed data, hash and all */
#define ECDSA_DER_MAX 256 /* P-521 takes 139 */
#define SHA256_BYTES 32

static const EVP_MD *
hash_md(enum mg_sshsig_hash hash)
{
	switch (hash) {
	case MG_SSHSIG_SHA256:
		return EVP_sha256();
	case MG_SSHSIG_SHA512:
		return EVP_sha512();
	case MG_SSHSIG_HASH_NONE:
		break;
	}
	return NULL;
}

static const char *
hash_name(enum mg_sshsig_hash hash)
{
	return hash == MG_SSHSIG_SHA256 ? "sha256" : "sha512";
}

/* The digest that goes with the key; NULL where the key does its own. */
static const EVP_MD *
key_md(const struct mg_sshsig *sig)
{
	switch (sig->type) {
	case MG_SSHKEY_ECDSA_256:
	case MG_SSHKEY_SK_ECDSA_256:
		return EVP_sha256();
	case MG_SSHKEY_ECDSA_384:
		return EVP_sha384();
	case MG_SSHKEY_ECDSA_521:
		return EVP_sha512();
	case MG_SSHKEY_RSA:
		return hash_md(sig->rsa_hash);
	case MG_SSHKEY_NONE:
	case MG_SSHKEY_ED25519:
	case MG_SSHKEY_SK_ED25519:
		break;
	}
	return NULL;
}

static const char *
curve_name(enum mg_sshkey_type type)
{
	switch (type) {
	case MG_SSHKEY_ECDSA_256:
	case MG_SSHKEY_SK_ECDSA_256:
		return "P-256";
	case MG_SSHKEY_ECDSA_384:
		return "P-384";
	case MG_SSHKEY_ECDSA_521:
		return "P-521";
	case MG_SSHKEY_NONE:
	case MG_SSHKEY_ED25519:
	case MG_SSHKEY_SK_ED25519:
	case MG_SSHKEY_RSA:
		break;
	}
	return NULL;
}

/* ---- keys ---- */

/* A public key from parameters; NULL when OpenSSL does not take it. */
static EVP_PKEY *
from_params(const char *kind, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;

	if ((ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL)) == NULL)
		return NULL;
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *
ec_key(const char *curve, const uint8_t *point, size_t n)
{
	OSSL_PARAM params[3];
	char group[16];
	uint8_t copy[256];

	/* analyzer: a key with a point has a curve */
	if (n > sizeof(copy) || strlen(curve) >= sizeof(group))
		return NULL;
	memcpy(copy, point, n); /* parameters are not const */
	memcpy(group, curve, strlen(curve) + 1);
	params[0] = OSSL_PARAM_construct_utf8_string(
	    OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] =
	    OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, n);
	params[2] = OSSL_PARAM_construct_end();
	return from_params("EC", params); /* refuses a point off the curve */
}

static EVP_PKEY *
rsa_key(const uint8_t *e, size_t elen, const uint8_t *n, size_t nlen)
{
	BIGNUM *be = BN_bin2bn(e, (int)elen, NULL);
	BIGNUM *bn = BN_bin2bn(n, (int)nlen, NULL);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (be != NULL && bn != NULL && bld != NULL &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
	    (params = OSSL_PARAM_BLD_to_param(bld)) != NULL)
		key = from_params("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(be);
	BN_free(bn);
	return key;
}

/* Part i of a key blob; the blob was checked by mg_sshkey_check(). */
static bool
key_part(const struct mg_sshsig *sig, int i, const uint8_t **pp, size_t *np)
{
	struct mg_buf b;

	mg_buf_init_read(&b, sig->key, sig->key_len);
	do
		if (mg_buf_get_bytes(&b, MG_SSHKEY_BLOB_MAX, pp, np) !=
		    MG_ERR_OK)
			return false;
	while (i-- > 0);
	return true;
}

static EVP_PKEY *
make_key(const struct mg_sshsig *sig)
{
	const uint8_t *p, *q;
	size_t n, m;

	switch (sig->type) {
	case MG_SSHKEY_ED25519:
	case MG_SSHKEY_SK_ED25519:
		if (!key_part(sig, 1, &p, &n))
			return NULL;
		return EVP_PKEY_new_raw_public_key(
		    EVP_PKEY_ED25519, NULL, p, n);
	case MG_SSHKEY_ECDSA_256:
	case MG_SSHKEY_ECDSA_384:
	case MG_SSHKEY_ECDSA_521:
	case MG_SSHKEY_SK_ECDSA_256:
		if (!key_part(sig, 2, &p, &n))
			return NULL;
		return ec_key(curve_name(sig->type), p, n);
	case MG_SSHKEY_RSA:
		if (!key_part(sig, 1, &p, &n) || !key_part(sig, 2, &q, &m))
			return NULL;
		return rsa_key(p, n, q, m);
	case MG_SSHKEY_NONE:
		break;
	}
	return NULL;
}

/* ---- what was signed ---- */

/* Rule 2 */
static enum mg_err
put_signed_data(
    struct mg_buf *b, const struct mg_sshsig *sig, const void *text, size_t n)
{
	const EVP_MD *md = hash_md(sig->hash);
	const char *hash = hash_name(sig->hash);
	uint8_t h[EVP_MAX_MD_SIZE];
	unsigned hlen = 0;
	enum mg_err r;

	if (md == NULL || EVP_Digest(text, n, h, &hlen, md, NULL) != 1)
		return MG_ERR_INTERNAL;
	if ((r = mg_buf_put_text(b, MAGIC)) == MG_ERR_OK &&
	    (r = mg_buf_put_bytes(b, sig->ns, strlen(sig->ns))) == MG_ERR_OK &&
	    (r = mg_buf_put_bytes(b, "", 0)) == MG_ERR_OK &&
	    (r = mg_buf_put_bytes(b, hash, strlen(hash))) == MG_ERR_OK)
		r = mg_buf_put_bytes(b, h, hlen);
	return r;
}

/* Replaces b by what a security key signs instead of it. */
static enum mg_err
wrap_for_hardware(struct mg_buf *b, const struct mg_sshsig *sig)
{
	int part = sig->type == MG_SSHKEY_SK_ED25519 ? 2 : 3;
	uint8_t inner[SHA256_BYTES], app[SHA256_BYTES];
	const uint8_t *p;
	size_t n;
	enum mg_err r;

	if (!key_part(sig, part, &p, &n) ||
	    EVP_Digest(p, n, app, NULL, EVP_sha256(), NULL) != 1 ||
	    EVP_Digest(mg_buf_ptr(b), mg_buf_len(b), inner, NULL, EVP_sha256(),
		NULL) != 1)
		return MG_ERR_INTERNAL;
	mg_buf_reset(b);
	if ((r = mg_buf_put(b, app, sizeof(app))) == MG_ERR_OK &&
	    (r = mg_buf_put_u8(b, sig->flags)) == MG_ERR_OK &&
	    (r = mg_buf_put_u32(b, sig->counter)) == MG_ERR_OK)
		r = mg_buf_put(b, inner, sizeof(inner));
	return r;
}

/* ---- verifying ---- */

/* r and s as OpenSSL takes them; the length, or 0. */
static size_t
ecdsa_der(const struct mg_sshsig *sig, uint8_t out[ECDSA_DER_MAX])
{
	ECDSA_SIG *es = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(sig->r, (int)sig->r_len, NULL);
	BIGNUM *s = BN_bin2bn(sig->s, (int)sig->s_len, NULL);
	uint8_t *p = out;
	int n = 0;

	if (es != NULL && r != NULL && s != NULL &&
	    ECDSA_SIG_set0(es, r, s) == 1) {
		r = s = NULL; /* now of es */
		n = i2d_ECDSA_SIG(es, NULL);
		n = n > 0 && n <= ECDSA_DER_MAX ? i2d_ECDSA_SIG(es, &p) : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(es);
	return n > 0 ? (size_t)n : 0;
}

static enum mg_err
check(EVP_PKEY *key, const struct mg_sshsig *sig, const struct mg_buf *data,
    const char **whyp)
{
	uint8_t der[ECDSA_DER_MAX];
	const uint8_t *p = sig->sig;
	size_t n = sig->sig_len;
	EVP_MD_CTX *ctx;
	int ok = 0;

	if (curve_name(sig->type) != NULL) {
		n = ecdsa_der(sig, der);
		p = der;
	}
	if (n == 0 || (ctx = EVP_MD_CTX_new()) == NULL)
		return MG_ERR_NOMEM;
	if (EVP_DigestVerifyInit(ctx, NULL, key_md(sig), NULL, key) == 1)
		ok = EVP_DigestVerify(
		    ctx, p, n, mg_buf_ptr(data), mg_buf_len(data));
	EVP_MD_CTX_free(ctx);
	if (ok != 1) /* Rule 1 */
		*whyp = "signature: does not verify: other text or other key";
	return ok == 1 ? MG_ERR_OK : MG_ERR_BADSIG;
}

enum mg_err
mg_sshsig_verify(
    const struct mg_sshsig *sig, const void *text, size_t n, const char **whyp)
{
	EVP_PKEY *key = NULL;
	struct mg_buf data;
	enum mg_err r;

	*whyp = "signature: cannot be checked";
	mg_buf_init(&data, SIGNED_MAX);
	if ((r = put_signed_data(&data, sig, text, n)) != MG_ERR_OK)
		goto out;
	if (mg_sshkey_is_hardware(sig->type) &&
	    (r = wrap_for_hardware(&data, sig)) != MG_ERR_OK)
		goto out;
	if ((key = make_key(sig)) == NULL) {
		*whyp = "signature: key is not on its curve, or not a key";
		r = MG_ERR_FORMAT;
		goto out;
	}
	if ((r = check(key, sig, &data, whyp)) == MG_ERR_OK)
		*whyp = "";
out:
	if (r == MG_ERR_NOMEM)
		*whyp = "signature: out of memory";
	EVP_PKEY_free(key);
	mg_buf_fini(&data);
	return r;
}

enum mg_err
mg_sshsig_fingerprint(const struct mg_sshsig *sig, char out[MG_SSHSIG_FP_STR])
{
	uint8_t h[SHA256_BYTES];
	const char *s;
	struct mg_buf b;
	enum mg_err r;

	out[0] = '\0';
	if (EVP_Digest(sig->key, sig->key_len, h, NULL, EVP_sha256(), NULL) !=
	    1)
		return MG_ERR_INTERNAL;
	mg_buf_init(&b, 64);
	if ((r = mg_buf_put_text(&b, "SHA256:")) == MG_ERR_OK &&
	    (r = mg_b64_put(&b, h, sizeof(h))) == MG_ERR_OK) {
		s = (const char *)mg_buf_ptr(&b);
		memcpy(out, s, MG_SSHSIG_FP_STR - 1); /* without the '=' */
		out[MG_SSHSIG_FP_STR - 1] = '\0';
	}
	mg_buf_fini(&b);
	return r;
}
