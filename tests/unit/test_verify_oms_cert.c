/* SPDX-License-Identifier: ISC */
/* Signatures with certificates: chain, time, use, identity, revocation. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "oms_certs.h"
#include "verify/mg_oms.h"

/* ---- judging ---- */

struct asked {
	X509 *ca; /* NULL: the root of the chain */
	const char *identity;
	const char *crl;
	const char *material;
	long at; /* seconds from now */
};

static enum mg_oms_why
judge(const struct chain *c, struct asked q, char *said)
{
	struct mg_oms_trust *t;
	struct mg_oms_bundle b;
	struct mg_oms_signer who;
	struct mg_oms_fail fail;
	struct forge f = {.key = c->leaf_key, .payload = "{}"};
	char *ca = pem_of_cert(q.ca == NULL ? c->root : q.ca), *s, *m;
	enum mg_err r;

	m = q.material != NULL ? strdup(q.material)
			       : chain_material(c->leaf, c->inter);
	f.material = m;
	s = forge(&f);
	t = mg_oms_trust_ca(ca, strlen(ca), q.crl,
	    q.crl == NULL ? 0 : strlen(q.crl),
	    q.identity == NULL ? "CN=fraud team,O=Acme" : q.identity, &fail);
	r = t == NULL ? MG_ERR_FORMAT
		      : mg_oms_bundle_parse(&b, s, strlen(s), &fail);
	if (r == MG_ERR_OK) {
		r = mg_oms_bundle_verify(
		    &b, t, (int64_t)(now + q.at) * 1000, &who, &fail);
		assert_int_equal(r == MG_ERR_OK, who.fp[0] != '\0');
		if (r == MG_ERR_OK)
			assert_string_equal(
			    who.subject, "CN=fraud team,O=Acme");
		mg_oms_bundle_fini(&b);
	}
	assert_int_equal(r == MG_ERR_OK, fail.why == MG_OMS_NONE);
	if (said != NULL)
		snprintf(said, 512, "%s", fail.text);
	mg_oms_trust_free(t);
	free(ca);
	free(s);
	free(m);
	return fail.why;
}

#define JUDGE(...) judge(&c, (struct asked){__VA_ARGS__}, NULL)

/* The judgement of a leaf (and an intermediate) as wished. */
static enum mg_oms_why
wished(struct wish leaf, struct wish *inter)
{
	struct chain c = make_chain(&leaf, inter);
	enum mg_oms_why why = JUDGE(.at = 0);

	free_chain(&c);
	return why;
}

#define LEAF(...) wished((struct wish){__VA_ARGS__}, NULL)
#define INTER(...) wished((struct wish){.from = 0}, &(struct wish){__VA_ARGS__})

static void
a_chain_to_a_trusted_root_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(LEAF(.from = 0), MG_OMS_NONE);
}

static void
rule2_a_chain_to_another_root_is_refused(void **state)
{
	struct chain c = make_chain(&(struct wish){.from = 0}, NULL);
	struct chain d = make_chain(&(struct wish){.from = 0}, NULL);
	char *m, *fp = fp_of(c.leaf);

	(void)state;
	assert_int_equal(JUDGE(.ca = d.root), MG_OMS_CHAIN);
	assert_int_equal(JUDGE(.ca = d.root, .identity = fp), MG_OMS_CHAIN);
	/* The root in the bundle is not a trusted one. */
	m = chain_material(c.leaf, c.root);
	assert_int_equal(JUDGE(.ca = d.root, .material = m), MG_OMS_CHAIN);
	free(m);
	/* Without the intermediate there is no chain. */
	m = chain_material(c.leaf, NULL);
	assert_int_equal(JUDGE(.material = m), MG_OMS_CHAIN);
	/* What was given as trusted is trusted as it stands. */
	assert_int_equal(JUDGE(.ca = c.inter, .material = m), MG_OMS_NONE);
	assert_int_equal(JUDGE(.ca = c.leaf, .material = m), MG_OMS_NONE);
	free(m);
	free(fp);
	free_chain(&c);
	free_chain(&d);
}

static void
rule3_certificates_are_valid_now_or_not_at_all(void **state)
{
	(void)state;
	assert_int_equal(
	    LEAF(.from = -10 * DAY, .until = -DAY), MG_OMS_EXPIRED);
	assert_int_equal(LEAF(.from = DAY, .until = 2 * DAY), MG_OMS_NOT_YET);
	assert_int_equal(INTER(.is_ca = true, .from = -10 * DAY, .until = -DAY),
	    MG_OMS_EXPIRED);
}

/* "sha256:AB:CD:..." as openssl prints it. */
static char *
with_colons(const char *fp)
{
	char *d = strdup("sha256"), *s;
	size_t i;

	for (i = 7; fp[i] != '\0'; i += 2) {
		s = text("%s:%c%c", d, toupper((unsigned char)fp[i]),
		    toupper((unsigned char)fp[i + 1]));
		free(d);
		d = s;
	}
	return d;
}

static void
rule4_the_identity_is_pinned(void **state)
{
	struct chain c = make_chain(&(struct wish){.from = 0}, NULL);
	struct chain d = make_chain(&(struct wish){.from = 0}, NULL);
	char *leaf = fp_of(c.leaf), *inter = fp_of(c.inter);
	char *root = fp_of(c.root), *other = fp_of(d.leaf), *colons;
	size_t i;

	(void)state;
	assert_int_equal(JUDGE(.identity = leaf), MG_OMS_NONE);
	assert_int_equal(JUDGE(.identity = inter), MG_OMS_NONE);
	assert_int_equal(JUDGE(.identity = root), MG_OMS_NONE);
	assert_int_equal(JUDGE(.identity = other), MG_OMS_IDENTITY);
	assert_int_equal(JUDGE(.identity = "CN=fraud team"), MG_OMS_IDENTITY);
	assert_int_equal(
	    JUDGE(.identity = "O=Acme,CN=fraud team"), MG_OMS_IDENTITY);
	assert_int_equal(
	    JUDGE(.identity = "CN=intermediate,O=Acme"), MG_OMS_IDENTITY);
	assert_int_equal(JUDGE(.identity = ""), MG_OMS_IDENTITY);
	assert_int_equal(JUDGE(.identity = "sha256:00"), MG_OMS_IDENTITY);
	colons = with_colons(leaf);
	assert_int_equal(JUDGE(.identity = colons), MG_OMS_NONE);
	for (i = 0; colons[i] != '\0'; i++)
		if (colons[i] >= 'A' && colons[i] <= 'E')
			break;
	colons[i]++;
	assert_int_equal(JUDGE(.identity = colons), MG_OMS_IDENTITY);
	free(colons);
	free(leaf);
	free(inter);
	free(root);
	free(other);
	free_chain(&c);
	free_chain(&d);
}

static void
rule5_the_certificate_is_for_signing(void **state)
{
	(void)state;
	assert_int_equal(
	    LEAF(.usage = "critical,keyEncipherment"), MG_OMS_USAGE);
	assert_int_equal(LEAF(.usage = ""), MG_OMS_USAGE);
	assert_int_equal(
	    LEAF(.usage = "", .extended = "serverAuth"), MG_OMS_USAGE);
	assert_int_equal(
	    LEAF(.usage = "", .extended = "codeSigning"), MG_OMS_NONE);
	assert_int_equal(LEAF(.usage = "critical,keyEncipherment",
			     .extended = "codeSigning"),
	    MG_OMS_NONE);
	assert_int_equal(LEAF(.usage = "digitalSignature"), MG_OMS_NONE);
}

static void
rule6_the_leafs_key_is_on_a_known_curve(void **state)
{
	(void)state;
	assert_int_equal(LEAF(.key = new_key("P-384")), MG_OMS_NONE);
	assert_int_equal(LEAF(.key = new_key("P-521")), MG_OMS_NONE);
	assert_int_equal(LEAF(.key = new_key("secp256k1")), MG_OMS_KEY);
	assert_int_equal(LEAF(.key = EVP_RSA_gen(2048)), MG_OMS_KEY);
}

static void
who_is_no_authority_issues_nothing(void **state)
{
	(void)state;
	assert_int_equal(INTER(.is_ca = false), MG_OMS_CHAIN);
	assert_int_equal(
	    INTER(.is_ca = true, .usage = "critical,digitalSignature"),
	    MG_OMS_CHAIN);
}

static void
sha1_in_the_chain_is_refused(void **state)
{
	(void)state;
	assert_int_equal(LEAF(.md = EVP_sha1()), MG_OMS_CHAIN);
}

static void
another_signature_than_the_leafs_is_refused(void **state)
{
	struct chain c = make_chain(&(struct wish){.from = 0}, NULL);
	struct chain d = make_chain(&(struct wish){.from = 0}, NULL);
	EVP_PKEY *keep = c.leaf_key;

	(void)state;
	c.leaf_key = d.leaf_key; /* signs with a key that is not the leaf's */
	assert_int_equal(JUDGE(.at = 0), MG_OMS_SIGNATURE);
	c.leaf_key = keep;
	free_chain(&c);
	free_chain(&d);
}

static void
malformed_certificates_are_refused(void **state)
{
	struct chain c = make_chain(&(struct wish){.from = 0}, NULL);
	char *many = strdup("{\"rawBytes\":\"AAAA\"}"), *m, *s;
	int i;

	(void)state;
#define CERTS(v) "{\"x509CertificateChain\":{\"certificates\":" v "}}"
	assert_int_equal(JUDGE(.material = CERTS("[]")), MG_OMS_FIELD);
	assert_int_equal(JUDGE(.material = CERTS("7")), MG_OMS_FIELD);
	assert_int_equal(JUDGE(.material = CERTS("[7]")), MG_OMS_FIELD);
	assert_int_equal(
	    JUDGE(.material = CERTS("[{\"rawBytes\":\"\"}]")), MG_OMS_BASE64);
	assert_int_equal(JUDGE(.material = CERTS("[{\"rawBytes\":\"AAAA\"}]")),
	    MG_OMS_CERTIFICATE);
	for (i = 0; i < MG_OMS_CERTS_MAX; i++) {
		s = text("%s,{\"rawBytes\":\"AAAA\"}", many);
		free(many);
		many = s;
	}
	m = text(CERTS("[%s]"), many);
	assert_int_equal(JUDGE(.material = m), MG_OMS_FIELD);
	free(m);
	free(many);
	free_chain(&c);
}

static void
trust_that_is_no_certificate_is_refused(void **state)
{
	struct mg_oms_fail fail;

	(void)state;
	assert_null(mg_oms_trust_ca("nonsense", 8, NULL, 0, "CN=x", &fail));
	assert_int_equal(fail.why, MG_OMS_CERTIFICATE);
	assert_null(mg_oms_trust_key("nonsense", 8, &fail));
	assert_int_equal(fail.why, MG_OMS_KEY);
}

/* ---- revocation ---- */

static void
revoked_certificates_are_refused(void **state)
{
	struct chain c = make_chain(&(struct wish){.from = 0}, NULL);
	char *root = make_crl(c.root, c.root_key, NULL);
	char *clean = make_crl(c.inter, c.int_key, NULL);
	char *revoked = make_crl(c.inter, c.int_key, c.leaf);
	char *inter = make_crl(c.root, c.root_key, c.inter);
	char *all;

	(void)state;
	all = text("%s%s", root, clean);
	assert_int_equal(JUDGE(.crl = all), MG_OMS_NONE);
	free(all);
	all = text("%s%s", root, revoked);
	assert_int_equal(JUDGE(.crl = all), MG_OMS_REVOKED);
	free(all);
	all = text("%s%s", inter, clean);
	assert_int_equal(JUDGE(.crl = all), MG_OMS_REVOKED);
	free(all);
	/* A list that is missing or too old says nothing, so: no. */
	assert_int_equal(JUDGE(.crl = root), MG_OMS_CHAIN);
	all = text("%s%s", root, clean);
	assert_int_equal(JUDGE(.crl = all, .at = 2 * DAY), MG_OMS_CHAIN);
	free(all);
	assert_int_equal(JUDGE(.crl = "nonsense"), MG_OMS_CERTIFICATE);
	free(root);
	free(clean);
	free(revoked);
	free(inter);
	free_chain(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_chain_to_a_trusted_root_is_accepted),
	    cmocka_unit_test(rule2_a_chain_to_another_root_is_refused),
	    cmocka_unit_test(rule3_certificates_are_valid_now_or_not_at_all),
	    cmocka_unit_test(rule4_the_identity_is_pinned),
	    cmocka_unit_test(rule5_the_certificate_is_for_signing),
	    cmocka_unit_test(rule6_the_leafs_key_is_on_a_known_curve),
	    cmocka_unit_test(who_is_no_authority_issues_nothing),
	    cmocka_unit_test(sha1_in_the_chain_is_refused),
	    cmocka_unit_test(another_signature_than_the_leafs_is_refused),
	    cmocka_unit_test(malformed_certificates_are_refused),
	    cmocka_unit_test(trust_that_is_no_certificate_is_refused),
	    cmocka_unit_test(revoked_certificates_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
