/* SPDX-License-Identifier: ISC */
#ifndef OMS_FORGE_H
#define OMS_FORGE_H

/*
 * Makes signature files of the OpenSSF Model Signing by hand, rightly or
 * wrongly, with nothing of the code that is tested but base64 and hex.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "mg_b64.h"
#include "mg_id.h"

#define TYPE "application/vnd.in-toto+json"
#define MEDIA "application/vnd.dev.sigstore.bundle.v0.3+json"
#define STATEMENT "https://in-toto.io/Statement/v1"
#define PREDICATE "https://model_signing/signature/v1.0"

/* NULL and 0 mean the right way. */
struct forge {
	EVP_PKEY *key;
	const char *payload; /* the statement */
	const char *material, *media, *ptype, *pae_type;
	const char *pae; /* what is signed instead of it: pae_as() */
	const char *sig; /* instead of a signature */
	const char *top, *env, *more; /* members too many, ",..." */
	const EVP_MD *md;
	bool raw_sig, url_alphabet, no_padding;
};

static inline char *text(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

static inline char *
text(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) == -1)
		abort();
	va_end(ap);
	return s;
}

static inline EVP_PKEY *
new_key(const char *curve)
{
	EVP_PKEY *key = EVP_EC_gen(curve);

	if (key == NULL)
		abort();
	return key;
}

static inline char *
pem_of(EVP_PKEY *key, bool is_private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *s;
	long n;

	if ((is_private ? PEM_write_bio_PrivateKey(
			      bio, key, NULL, NULL, 0, NULL, NULL)
			: PEM_write_bio_PUBKEY(bio, key)) != 1)
		abort();
	n = BIO_get_mem_data(bio, &p);
	s = strndup(p, (size_t)n);
	BIO_free(bio);
	return s;
}

static inline char *
hex_of(const EVP_MD *md, const void *p, size_t n)
{
	uint8_t h[EVP_MAX_MD_SIZE];
	unsigned len;
	char *s;

	if (EVP_Digest(p, n, h, &len, md, NULL) != 1)
		abort();
	s = malloc(2 * len + 1);
	if (s == NULL)
		abort();
	mg_hex(h, len, s);
	return s;
}

static inline char *
base64(const void *p, size_t n, bool url, bool bare)
{
	struct mg_buf b;
	char *s, *c;

	mg_buf_init(&b, MG_B64_LEN(n) + 1);
	if (mg_b64_put(&b, p, n) != MG_ERR_OK || mg_buf_cstr(&b) == NULL)
		abort();
	s = strdup((const char *)mg_buf_ptr(&b));
	mg_buf_fini(&b);
	for (c = s; *c != '\0'; c++) {
		if (url && *c == '+')
			*c = '-';
		if (url && *c == '/')
			*c = '_';
		if (bare && *c == '=')
			*c = '\0';
	}
	return s;
}

static inline const EVP_MD *
md_of(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	return bits == 256   ? EVP_sha256()
	       : bits == 384 ? EVP_sha384()
			     : EVP_sha512();
}

/* DER to r and s side by side, as others sign. */
static inline size_t
to_raw(uint8_t *sig, size_t n)
{
	const uint8_t *p = sig;
	ECDSA_SIG *es = d2i_ECDSA_SIG(NULL, &p, (long)n);

	BN_bn2binpad(ECDSA_SIG_get0_r(es), sig, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(es), sig + 32, 32);
	ECDSA_SIG_free(es);
	return 64;
}

/* Another PAE: T, t, N, n and P are the type's length, the type, the length
 * of the payload, that in base64, and the payload. */
static inline char *
pae_as(const struct forge *f)
{
	char *s = strdup(""), *was;
	const char *p;

	for (p = f->pae; *p != '\0'; p++, free(was)) {
		was = s;
		switch (*p) {
		case 'T':
			s = text("%s%zu", was, strlen(TYPE));
			break;
		case 't':
			s = text("%s%s", was, TYPE);
			break;
		case 'N':
			s = text("%s%zu", was, strlen(f->payload));
			break;
		case 'n':
			s = text(
			    "%s%zu", was, (strlen(f->payload) + 2) / 3 * 4);
			break;
		case 'P':
			s = text("%s%s", was, f->payload);
			break;
		default:
			s = text("%s%c", was, *p);
		}
	}
	return s;
}

static inline char *
forge_sig(const struct forge *f)
{
	const char *type = f->pae_type == NULL ? TYPE : f->pae_type;
	char *pae = text("DSSEv1 %zu %s %zu %s", strlen(type), type,
	    strlen(f->payload), f->payload);

	if (f->pae != NULL) {
		free(pae);
		pae = pae_as(f);
	}
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[512];
	size_t n = sizeof(sig);
	char *s;

	if (EVP_DigestSignInit(ctx, NULL, f->md == NULL ? md_of(f->key) : f->md,
		NULL, f->key) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, (const uint8_t *)pae, strlen(pae)) !=
		1)
		abort();
	if (f->raw_sig)
		n = to_raw(sig, n);
	s = base64(sig, n, f->url_alphabet, f->no_padding);
	EVP_MD_CTX_free(ctx);
	free(pae);
	return s;
}

/* "publicKey" with the hint of the key. */
static inline char *
key_material(EVP_PKEY *key)
{
	char *pem = pem_of(key, false), *s;
	char *hint = hex_of(EVP_sha256(), pem, strlen(pem));

	s = text("{\"publicKey\":{\"hint\":\"%s\"},\"tlogEntries\":[]}", hint);
	free(pem);
	free(hint);
	return s;
}

/* The whole signature file; the caller frees it. */
static inline char *
forge(const struct forge *f)
{
	char *sig = f->sig == NULL ? forge_sig(f) : strdup(f->sig);
	char *m =
	    f->material == NULL ? key_material(f->key) : strdup(f->material);
	char *payload = base64(
	    f->payload, strlen(f->payload), f->url_alphabet, f->no_padding);
	char *s;

	s = text("{\"mediaType\":\"%s\",\"verificationMaterial\":%s,"
		 "\"dsseEnvelope\":{\"payload\":\"%s\",\"payloadType\":\"%s\","
		 "\"signatures\":[{\"sig\":\"%s\",\"keyid\":\"\"%s}]%s}%s}",
	    f->media == NULL ? MEDIA : f->media, m, payload,
	    f->ptype == NULL ? TYPE : f->ptype, sig,
	    f->more == NULL ? "" : f->more, f->env == NULL ? "" : f->env,
	    f->top == NULL ? "" : f->top);
	free(sig);
	free(m);
	free(payload);
	return s;
}

/* ---- statements ---- */

/* "{"name":...}" for the content; its digest is put behind list. */
static inline char *
resource(const char *name, const char *alg, const char *content, size_t n,
    struct mg_buf *list)
{
	const EVP_MD *md =
	    strncmp(alg, "blake2b", 7) == 0 ? EVP_blake2b512() : EVP_sha256();
	uint8_t h[EVP_MAX_MD_SIZE];
	unsigned len;
	char *hex, *s;

	if (EVP_Digest(content, n, h, &len, md, NULL) != 1 ||
	    mg_buf_put(list, h, len) != MG_ERR_OK)
		abort();
	hex = hex_of(md, content, n);
	s = text("{\"digest\":\"%s\",\"name\":\"%s\",\"algorithm\":\"%s\"}",
	    hex, name, alg);
	free(hex);
	return s;
}

/* What a statement says; NULL means the right way. */
struct said {
	const char *type, *predicate, *subject, *root, *serialization;
	const char *resources, *more;
};

#define FILES                                                                  \
	"{\"method\":\"files\",\"hash_type\":\"sha256\","                      \
	"\"allow_symlinks\":false}"

/* resources is "[...]"; list holds their digests. */
static inline char *
statement(const struct said *w, const struct mg_buf *list)
{
	char *root = hex_of(EVP_sha256(), mg_buf_ptr(list), mg_buf_len(list));
	char *subject, *s;

	subject =
	    w->subject != NULL
		? strdup(w->subject)
		: text("[{\"name\":\"m\",\"digest\":{\"sha256\":\"%s\"}}]",
		      w->root != NULL ? w->root : root);
	s = text("{\"_type\":\"%s\",\"subject\":%s,\"predicateType\":\"%s\","
		 "\"predicate\":{\"serialization\":%s,\"resources\":%s}%s}",
	    w->type == NULL ? STATEMENT : w->type, subject,
	    w->predicate == NULL ? PREDICATE : w->predicate,
	    w->serialization == NULL ? FILES : w->serialization, w->resources,
	    w->more == NULL ? "" : w->more);
	free(root);
	free(subject);
	return s;
}

#endif
