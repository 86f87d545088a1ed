/* SPDX-License-Identifier: ISC */
#ifndef OMS_CERTS_H
#define OMS_CERTS_H

/* Makes chains of certificates and revocation lists, rightly or wrongly. */

#include <time.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "oms_forge.h"

#define DAY 86400L

/* A certificate as it should not be; zero members mean the right way. */
struct wish {
	long from, until; /* seconds from now; 0: yesterday, in a year */
	const char *usage, *extended; /* "": none */
	bool is_ca;
	const EVP_MD *md;
	EVP_PKEY *key;
};

struct chain {
	EVP_PKEY *root_key, *int_key, *leaf_key;
	X509 *root, *inter, *leaf;
};

static time_t now;

static inline void
extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(
	    &ctx, issuer == NULL ? cert : issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static inline X509 *
make_cert(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
    const struct wish *w)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	const char *usage = w->usage;

	assert_int_equal(X509_set_version(cert, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_time_adj_ex(
	    X509_getm_notBefore(cert), 0, w->from == 0 ? -DAY : w->from, &now);
	X509_time_adj_ex(X509_getm_notAfter(cert), 0,
	    w->until == 0 ? 365 * DAY : w->until, &now);
	X509_NAME_add_entry_by_txt(
	    name, "O", MBSTRING_UTF8, (const unsigned char *)"Acme", -1, -1, 0);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(
	    cert, issuer == NULL ? name : X509_get_subject_name(issuer));
	X509_set_pubkey(cert, key);
	extend(cert, issuer, NID_basic_constraints,
	    w->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (usage == NULL)
		usage = w->is_ca ? "critical,keyCertSign,cRLSign"
				 : "critical,digitalSignature";
	if (usage[0] != '\0')
		extend(cert, issuer, NID_key_usage, usage);
	if (w->extended != NULL)
		extend(cert, issuer, NID_ext_key_usage, w->extended);
	extend(cert, issuer, NID_subject_key_identifier, "hash");
	extend(cert, issuer, NID_authority_key_identifier, "keyid:always");
	assert_true(X509_sign(cert, issuer_key,
			w->md == NULL ? EVP_sha256() : w->md) > 0);
	return cert;
}

static inline struct chain
make_chain(const struct wish *leaf, const struct wish *inter)
{
	static const struct wish ca = {.is_ca = true};
	struct chain c;

	now = time(NULL);
	c.root_key = new_key("P-256");
	c.int_key = new_key("P-384");
	c.leaf_key = leaf->key != NULL ? leaf->key : new_key("P-256");
	c.root = make_cert("root", c.root_key, NULL, c.root_key, &ca);
	c.inter = make_cert("intermediate", c.int_key, c.root, c.root_key,
	    inter == NULL ? &ca : inter);
	c.leaf = make_cert("fraud team", c.leaf_key, c.inter, c.int_key, leaf);
	return c;
}

static inline void
free_chain(struct chain *c)
{
	EVP_PKEY_free(c->root_key);
	EVP_PKEY_free(c->int_key);
	EVP_PKEY_free(c->leaf_key);
	X509_free(c->root);
	X509_free(c->inter);
	X509_free(c->leaf);
}

static inline char *
pem_of_cert(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *s;
	long n;

	assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
	n = BIO_get_mem_data(bio, &p);
	s = strndup(p, (size_t)n);
	BIO_free(bio);
	return s;
}

static inline char *
fp_of(X509 *cert)
{
	uint8_t h[32];
	char hex[65];

	assert_int_equal(X509_digest(cert, EVP_sha256(), h, NULL), 1);
	mg_hex(h, sizeof(h), hex);
	return text("sha256:%s", hex);
}

/* "x509CertificateChain" of these; NULL ends. */
static inline char *
chain_material(X509 *a, X509 *b)
{
	X509 *v[2] = {a, b};
	char *all = strdup(""), *s, *d;
	unsigned char *der;
	int n, i;

	for (i = 0; i < 2 && v[i] != NULL; i++) {
		der = NULL;
		n = i2d_X509(v[i], &der);
		assert_true(n > 0);
		d = base64(der, (size_t)n, false, false);
		s = text(
		    "%s%s{\"rawBytes\":\"%s\"}", all, i == 0 ? "" : ",", d);
		OPENSSL_free(der);
		free(all);
		free(d);
		all = s;
	}
	s = text("{\"x509CertificateChain\":{\"certificates\":[%s]},"
		 "\"tlogEntries\":[]}",
	    all);
	free(all);
	return s;
}

/* A list by the issuer that revokes cert (may be NULL). */
static inline char *
make_crl(X509 *issuer, EVP_PKEY *key, X509 *cert)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	X509_REVOKED *rev;
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *s;
	long n;

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
	X509_time_adj_ex(t, 0, -60, &now);
	X509_CRL_set1_lastUpdate(crl, t);
	X509_time_adj_ex(t, 0, DAY, &now);
	X509_CRL_set1_nextUpdate(crl, t);
	if (cert != NULL) {
		rev = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(rev, X509_get_serialNumber(cert));
		X509_time_adj_ex(t, 0, -60, &now);
		X509_REVOKED_set_revocationDate(rev, t);
		assert_int_equal(X509_CRL_add0_revoked(crl, rev), 1);
	}
	assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
	n = BIO_get_mem_data(bio, &p);
	s = strndup(p, (size_t)n);
	ASN1_TIME_free(t);
	X509_CRL_free(crl);
	BIO_free(bio);
	return s;
}

#endif
