/* SPDX-License-Identifier: ISC */
/*
 * Who signed a model.
 *
 * Rules
 * 1. Only 1 means yes: OpenSSL's functions return 0 and negative numbers
 *    for no.
 * 2. Trust comes from what the caller gave: its key, or its certificates.
 *    What the bundle brings along only helps to build the chain.
 * 3. A certificate is judged at the time of now, not at the time that the
 *    signer claims: else one that ran out is good for ever.
 * 4. A chain that ends in a trusted root is no identity: the same root
 *    issues certificates to others.
 * 5. The leaf has to be made for signing, which OpenSSL's purposes do not
 *    ask for: a certificate of a web server is not a model signer's.
 * 6. Only P-256, P-384 and P-521, each with its own digest: a weak curve,
 *    or parameters that the signer chose, prove nothing.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "mg_esc.h"
#include "mg_id.h"
#include "verify/mg_oms_int.h"

#define SHA256_BYTES 32
#define CHAIN_DEPTH_MAX 8
#define CAS_MAX 100
#define IDENTITY_MAX 512

struct mg_oms_trust {
	EVP_PKEY *key; /* or the rest */
	X509_STORE *store;
	uint8_t fp[SHA256_BYTES];
	bool is_fp;
	char *subject; /* unless is_fp */
	bool has_crl;
};

static enum mg_err
no(struct mg_oms_fail *fail, enum mg_err r, enum mg_oms_why why,
    const char *text)
{
	return mg_oms_say(fail, r, why, "%s", text);
}

/* ---- keys ---- */

/* Rule 6 */
const EVP_MD *
mg_oms_key_md(const EVP_PKEY *key)
{
	char group[32] = "";
	int explicit = 1;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    EVP_PKEY_get_int_param(key,
		OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
		&explicit) != 1 ||
	    explicit != 0)
		return NULL;
	if (strcmp(group, "prime256v1") == 0)
		return EVP_sha256();
	if (strcmp(group, "secp384r1") == 0)
		return EVP_sha384();
	return strcmp(group, "secp521r1") == 0 ? EVP_sha512() : NULL;
}

enum mg_err
mg_oms_key_hint(const EVP_PKEY *public, char out[65])
{
	EVP_PKEY *key = EVP_PKEY_dup((EVP_PKEY *)(uintptr_t) public);
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t h[SHA256_BYTES];
	enum mg_err r = MG_ERR_NOMEM;
	char *text;
	long n;

	out[0] = '\0';
	/* However the point was written in the file that it came from. */
	if (key != NULL && bio != NULL &&
	    EVP_PKEY_set_utf8_string_param(key,
		OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
		"uncompressed") == 1 &&
	    PEM_write_bio_PUBKEY(bio, key) == 1 &&
	    (n = BIO_get_mem_data(bio, &text)) > 0 &&
	    EVP_Digest(text, (size_t)n, h, NULL, EVP_sha256(), NULL) == 1) {
		mg_hex(h, sizeof(h), out);
		r = MG_ERR_OK;
	}
	BIO_free(bio);
	EVP_PKEY_free(key);
	return r;
}

struct mg_oms_trust *
mg_oms_trust_key(const void *pem, size_t len, struct mg_oms_fail *fail)
{
	struct mg_oms_trust *t = NULL;
	EVP_PKEY *key = NULL;
	BIO *bio = NULL;

	memset(fail, 0, sizeof(*fail));
	if (len > MG_OMS_PEM_MAX) {
		(void)no(
		    fail, MG_ERR_LIMIT, MG_OMS_TOO_LARGE, "key: too large");
		return NULL;
	}
	ERR_clear_error();
	if ((bio = BIO_new_mem_buf(pem, (int)len)) != NULL)
		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (key == NULL)
		(void)no(fail, MG_ERR_FORMAT, MG_OMS_KEY,
		    "key: is not a public key in PEM form");
	else if (mg_oms_key_md(key) == NULL)
		(void)no(fail, MG_ERR_FORMAT, MG_OMS_KEY,
		    "key: is not of P-256, P-384 or P-521");
	else if ((t = calloc(1, sizeof(*t))) == NULL)
		(void)no(fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
	if (t == NULL)
		EVP_PKEY_free(key);
	else
		t->key = key;
	return t;
}

/* ---- certificates ---- */

/* "sha256:" and 64 hex digits of any case, with or without colons. */
static bool
parse_fp(const char *s, uint8_t out[SHA256_BYTES])
{
	char hex[2 * SHA256_BYTES + 1];
	size_t n = 0;

	if (strncmp(s, "sha256:", 7) != 0)
		return false;
	for (s += 7; *s != '\0'; s++) {
		if (*s == ':' && n > 0 && n % 2 == 0)
			continue;
		if (n == 2 * SHA256_BYTES)
			return false;
		hex[n++] = (char)tolower((unsigned char)*s);
	}
	hex[n] = '\0';
	return mg_unhex(hex, out, SHA256_BYTES);
}

/* Adds what X509_STORE takes of a PEM text; how many, or -1. */
static int
add_pem(X509_STORE *store, const void *pem, size_t len, bool is_crl)
{
	STACK_OF(X509_INFO) *infos = NULL;
	const X509_INFO *info;
	BIO *bio;
	int n = 0, i;

	ERR_clear_error();
	if ((bio = BIO_new_mem_buf(pem, (int)len)) == NULL)
		return -1;
	infos = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (infos == NULL)
		return -1;
	for (i = 0; i < sk_X509_INFO_num(infos) && n >= 0; i++) {
		info = sk_X509_INFO_value(infos, i);
		if (!is_crl && info->x509 != NULL)
			n = X509_STORE_add_cert(store, info->x509) == 1 ? n + 1
									: -1;
		else if (is_crl && info->crl != NULL)
			n = X509_STORE_add_crl(store, info->crl) == 1 ? n + 1
								      : -1;
	}
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
	return n;
}

static enum mg_err
fill_store(struct mg_oms_trust *t, const void *ca, size_t ca_len,
    const void *crl, size_t crl_len, struct mg_oms_fail *fail)
{
	int n;

	if (ca_len > MG_OMS_PEM_MAX || crl_len > MG_OMS_PEM_MAX)
		return no(fail, MG_ERR_LIMIT, MG_OMS_TOO_LARGE,
		    "trusted certificates: too large");
	if ((t->store = X509_STORE_new()) == NULL)
		return no(fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
	n = add_pem(t->store, ca, ca_len, false);
	if (n <= 0 || n > CAS_MAX)
		return no(fail, MG_ERR_FORMAT, MG_OMS_CERTIFICATE,
		    "trusted certificates: not certificates in PEM form");
	if (crl == NULL)
		return MG_ERR_OK;
	t->has_crl = true;
	if (add_pem(t->store, crl, crl_len, true) <= 0)
		return no(fail, MG_ERR_FORMAT, MG_OMS_CERTIFICATE,
		    "revocation lists: none in PEM form");
	return MG_ERR_OK;
}

struct mg_oms_trust *
mg_oms_trust_ca(const void *ca, size_t ca_len, const void *crl, size_t crl_len,
    const char *identity, struct mg_oms_fail *fail)
{
	struct mg_oms_trust *t = calloc(1, sizeof(*t));
	enum mg_err r;

	memset(fail, 0, sizeof(*fail));
	if (t == NULL) {
		(void)no(fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
		return NULL;
	}
	t->is_fp = parse_fp(identity, t->fp);
	if (identity[0] == '\0' || strlen(identity) > IDENTITY_MAX ||
	    (!t->is_fp && strncmp(identity, "sha256:", 7) == 0))
		r = no(fail, MG_ERR_FORMAT, MG_OMS_IDENTITY,
		    "identity: neither 'sha256:' and 64 hex digits nor a "
		    "subject"); /* Rule 4 */
	else if ((t->subject = strdup(identity)) == NULL)
		r = no(fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
	else
		r = fill_store(t, ca, ca_len, crl, crl_len, fail);
	if (r == MG_ERR_OK)
		return t;
	mg_oms_trust_free(t);
	return NULL;
}

void
mg_oms_trust_free(struct mg_oms_trust *t)
{
	if (t == NULL)
		return;
	EVP_PKEY_free(t->key);
	X509_STORE_free(t->store);
	free(t->subject);
	free(t);
}

/* What the chain is judged by. Rule 3 */
static bool
set_params(X509_STORE_CTX *ctx, const struct mg_oms_trust *t, int64_t now_ms)
{
	X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
	/* Not X509_STRICT: it refuses the roots that many sites made. */
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN; /* Rule 2 */

	if (t->has_crl)
		flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
	X509_VERIFY_PARAM_set_time(p, (time_t)(now_ms / 1000));
	X509_VERIFY_PARAM_set_depth(p, CHAIN_DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(p, 2); /* 112 bits, no SHA-1 */
	return X509_VERIFY_PARAM_set_flags(p, flags) == 1;
}

/* Rule 5 */
static enum mg_err
check_usage(X509 *leaf, struct mg_oms_fail *fail)
{
	uint32_t flags, usage;

	(void)X509_check_purpose(leaf, -1, 0); /* reads the extensions */
	flags = X509_get_extension_flags(leaf);
	if ((flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0)
		return no(fail, MG_ERR_PERM, MG_OMS_USAGE,
		    "certificate: has extensions that are not understood");
	usage = X509_get_key_usage(leaf);
	if ((flags & EXFLAG_KUSAGE) != 0 && (usage & KU_DIGITAL_SIGNATURE) != 0)
		return MG_ERR_OK;
	usage = X509_get_extended_key_usage(leaf);
	if ((flags & EXFLAG_XKUSAGE) != 0 && (usage & XKU_CODE_SIGN) != 0)
		return MG_ERR_OK;
	return no(fail, MG_ERR_PERM, MG_OMS_USAGE,
	    "certificate: its key usage is not digital signature");
}

static bool
fingerprint(const X509 *cert, uint8_t out[SHA256_BYTES])
{
	unsigned n = 0;

	return X509_digest(cert, EVP_sha256(), out, &n) == 1 &&
	       n == SHA256_BYTES;
}

/* The subject as RFC 2253 writes it; malloc'ed, NULL when there is none. */
static char *
subject_of(const X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *s = NULL;
	long n;

	if (bio == NULL)
		return NULL;
	if (X509_NAME_print_ex(
		bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) > 0 &&
	    (n = BIO_get_mem_data(bio, &text)) > 0 &&
	    memchr(text, '\0', (size_t)n) == NULL)
		s = strndup(text, (size_t)n);
	BIO_free(bio);
	return s;
}

/* Which certificate of the chain is to blame, too: it may be any. */
static enum mg_err
say_chain(const X509_STORE_CTX *ctx, struct mg_oms_fail *fail)
{
	const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	int error = X509_STORE_CTX_get_error(ctx);
	char *subject = cert == NULL ? NULL : subject_of(cert);
	enum mg_oms_why why = MG_OMS_CHAIN;
	char esc[256];

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		why = MG_OMS_EXPIRED;
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		why = MG_OMS_NOT_YET;
		break;
	case X509_V_ERR_CERT_REVOKED:
		why = MG_OMS_REVOKED;
		break;
	default:
		break;
	}
	mg_esc_line(subject == NULL ? "?" : subject, esc, sizeof(esc));
	free(subject);
	return mg_oms_say(fail, MG_ERR_PERM, why, "certificate chain: '%s': %s",
	    esc, X509_verify_cert_error_string(error));
}

/* Rule 4 */
static enum mg_err
check_identity(const struct mg_oms_trust *t, X509_STORE_CTX *ctx,
    const char *subject, struct mg_oms_fail *fail)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	uint8_t fp[SHA256_BYTES];
	char esc[256];
	int i;

	for (i = 0; t->is_fp && i < sk_X509_num(chain); i++)
		if (fingerprint(sk_X509_value(chain, i), fp) &&
		    memcmp(fp, t->fp, sizeof(fp)) == 0)
			return MG_ERR_OK;
	if (!t->is_fp && strcmp(subject, t->subject) == 0)
		return MG_ERR_OK;
	mg_esc_line(subject, esc, sizeof(esc));
	return mg_oms_say(fail, MG_ERR_PERM, MG_OMS_IDENTITY,
	    "signed by '%s', not by whom was asked for", esc);
}

static enum mg_err
fill_signer(X509 *leaf, struct mg_oms_signer *signer)
{
	char *subject = subject_of(leaf);
	uint8_t fp[SHA256_BYTES];
	enum mg_err r = MG_ERR_FORMAT;

	if (subject != NULL && fingerprint(leaf, fp)) {
		memcpy(signer->fp, "sha256:", 7);
		mg_hex(fp, sizeof(fp), signer->fp + 7);
		mg_esc_line(subject, signer->subject, sizeof(signer->subject));
		r = MG_ERR_OK;
	}
	free(subject);
	return r;
}

/* The bundle's certificates; the first is the leaf. NULL on failure. */
static STACK_OF(X509) *
    read_certs(const struct mg_oms_bundle *b, struct mg_oms_fail *fail)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	const uint8_t *p = mg_buf_ptr(&b->certs), *q;
	X509 *cert;
	size_t i;

	for (i = 0; certs != NULL && i < b->ncerts; i++) {
		q = p;
		cert = d2i_X509(NULL, &q, (long)b->cert_len[i]);
		if (cert == NULL || q != p + b->cert_len[i] ||
		    sk_X509_push(certs, cert) <= 0) {
			X509_free(cert);
			sk_X509_pop_free(certs, X509_free);
			(void)mg_oms_say(fail, MG_ERR_FORMAT,
			    MG_OMS_CERTIFICATE,
			    "certificate %zu of the signature is malformed",
			    i + 1);
			return NULL;
		}
		p = q;
	}
	if (certs == NULL)
		(void)no(fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
	return certs;
}

static enum mg_err
check_chain(const struct mg_oms_trust *t, STACK_OF(X509) * certs,
    int64_t now_ms, struct mg_oms_signer *signer, struct mg_oms_fail *fail)
{
	X509 *leaf = sk_X509_value(certs, 0);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum mg_err r = MG_ERR_NOMEM;
	char *subject = NULL;

	if (ctx == NULL ||
	    X509_STORE_CTX_init(ctx, t->store, leaf, certs) != 1 ||
	    !set_params(ctx, t, now_ms)) {
		(void)no(fail, r, MG_OMS_NOMEM, "out of memory");
		goto out;
	}
	if (X509_verify_cert(ctx) != 1) { /* Rule 1 */
		r = say_chain(ctx, fail);
		goto out;
	}
	if ((r = check_usage(leaf, fail)) != MG_ERR_OK)
		goto out;
	if ((subject = subject_of(leaf)) == NULL ||
	    fill_signer(leaf, signer) != MG_ERR_OK)
		r = no(fail, MG_ERR_FORMAT, MG_OMS_CERTIFICATE,
		    "certificate: has no subject");
	else
		r = check_identity(t, ctx, subject, fail);
out:
	free(subject);
	X509_STORE_CTX_free(ctx);
	return r;
}

/* ---- the signature ---- */

static enum mg_err
check_signature(
    const struct mg_oms_bundle *b, EVP_PKEY *key, struct mg_oms_fail *fail)
{
	const EVP_MD *md = mg_oms_key_md(key);
	struct mg_buf pae;
	EVP_MD_CTX *ctx;
	enum mg_err r;
	int ok = 0;

	if (md == NULL)
		return no(fail, MG_ERR_PERM, MG_OMS_KEY,
		    "the signing key is not of P-256, P-384 or P-521");
	mg_buf_init(&pae, MG_OMS_BUNDLE_MAX + 128);
	r = mg_oms_put_pae(
	    &pae, mg_buf_ptr(&b->payload), mg_buf_len(&b->payload));
	if (r == MG_ERR_OK && (ctx = EVP_MD_CTX_new()) != NULL) {
		if (EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1)
			ok = EVP_DigestVerify(ctx, mg_buf_ptr(&b->sig),
			    mg_buf_len(&b->sig), mg_buf_ptr(&pae),
			    mg_buf_len(&pae));
		EVP_MD_CTX_free(ctx);
	}
	mg_buf_fini(&pae);
	if (r != MG_ERR_OK)
		return no(fail, r, MG_OMS_NOMEM, "out of memory");
	if (ok != 1) /* Rule 1 */
		return no(fail, MG_ERR_BADSIG, MG_OMS_SIGNATURE,
		    "the signature does not verify");
	return MG_ERR_OK;
}

static enum mg_err
verify_key(const struct mg_oms_bundle *b, const struct mg_oms_trust *t,
    struct mg_oms_signer *signer, struct mg_oms_fail *fail)
{
	char hint[65];
	enum mg_err r;

	if ((r = mg_oms_key_hint(t->key, hint)) != MG_ERR_OK)
		return no(fail, r, MG_OMS_NOMEM, "out of memory");
	if (b->hint[0] != '\0' && strcmp(b->hint, hint) != 0)
		return no(fail, MG_ERR_BADSIG, MG_OMS_OTHER_KEY,
		    "signed with another key than the one that was given");
	if ((r = check_signature(b, t->key, fail)) == MG_ERR_OK)
		snprintf(signer->fp, sizeof(signer->fp), "sha256:%s", hint);
	return r;
}

static enum mg_err
verify_certificate(const struct mg_oms_bundle *b, const struct mg_oms_trust *t,
    int64_t now_ms, struct mg_oms_signer *signer, struct mg_oms_fail *fail)
{
	STACK_OF(X509) * certs;
	EVP_PKEY *key;
	enum mg_err r;

	if ((certs = read_certs(b, fail)) == NULL)
		return MG_ERR_FORMAT;
	r = check_chain(t, certs, now_ms, signer, fail);
	key = X509_get0_pubkey(sk_X509_value(certs, 0));
	if (r == MG_ERR_OK && key == NULL)
		r = no(fail, MG_ERR_FORMAT, MG_OMS_CERTIFICATE,
		    "certificate: has no key that is known");
	if (r == MG_ERR_OK)
		r = check_signature(b, key, fail);
	sk_X509_pop_free(certs, X509_free);
	return r;
}

enum mg_err
mg_oms_bundle_verify(const struct mg_oms_bundle *b,
    const struct mg_oms_trust *t, int64_t now_ms, struct mg_oms_signer *signer,
    struct mg_oms_fail *fail)
{
	enum mg_err r = MG_ERR_INTERNAL;

	memset(signer, 0, sizeof(*signer));
	memset(fail, 0, sizeof(*fail));
	switch (b->method) {
	case MG_OMS_KEYED:
		r = t->key != NULL
			? verify_key(b, t, signer, fail)
			: no(fail, MG_ERR_PERM, MG_OMS_METHOD,
			      "signed with a bare key, not with a certificate");
		break;
	case MG_OMS_CERTIFIED:
		r = t->store != NULL
			? verify_certificate(b, t, now_ms, signer, fail)
			: no(fail, MG_ERR_PERM, MG_OMS_METHOD,
			      "signed with a certificate, not with a bare key");
		break;
	case MG_OMS_METHOD_NONE:
		r = no(fail, r, MG_OMS_INTERNAL, "internal error");
		break;
	}
	ERR_clear_error();
	if (r != MG_ERR_OK)
		memset(signer, 0, sizeof(*signer));
	return r;
}
