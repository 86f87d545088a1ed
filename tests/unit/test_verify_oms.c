/* SPDX-License-Identifier: ISC */
/* Signature files and statements, forged by hand, against the parsers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "oms_forge.h"
#include "verify/mg_oms.h"

static EVP_PKEY *p256, *p384, *p521, *other;

static int
set_up(void **state)
{
	(void)state;
	p256 = new_key("P-256");
	p384 = new_key("P-384");
	p521 = new_key("P-521");
	other = new_key("P-256");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(other);
	return 0;
}

/* A good statement about one file called a. */
static char *
good(void)
{
	struct said w;
	struct mg_buf list;
	char *res, *all, *s;

	memset(&w, 0, sizeof(w));
	mg_buf_init(&list, 4096);
	res = resource("a", "sha256", "x", 1, &list);
	all = text("[%s]", res);
	w.resources = all;
	s = statement(&w, &list);
	mg_buf_fini(&list);
	free(res);
	free(all);
	return s;
}

/* What becomes of a signature file, judged by the public half of key. */
static enum mg_oms_why
judge(const char *bundle, size_t n, EVP_PKEY *key, char *said)
{
	struct mg_oms_trust *t = NULL;
	struct mg_oms_bundle b;
	struct mg_oms_statement st;
	struct mg_oms_signer who;
	struct mg_oms_fail fail;
	char *pem = pem_of(key, false);
	enum mg_err r;

	memset(&st, 0, sizeof(st));
	r = mg_oms_bundle_parse(&b, bundle, n, &fail);
	if (r == MG_ERR_OK) {
		t = mg_oms_trust_key(pem, strlen(pem), &fail);
		r = t == NULL ? MG_ERR_FORMAT
			      : mg_oms_bundle_verify(&b, t, 0, &who, &fail);
	}
	if (r == MG_ERR_OK)
		r = mg_oms_statement_parse(
		    &st, mg_buf_ptr(&b.payload), mg_buf_len(&b.payload), &fail);
	assert_int_equal(r == MG_ERR_OK, fail.why == MG_OMS_NONE);
	assert_int_equal(r == MG_ERR_OK, fail.text[0] == '\0');
	if (said != NULL)
		snprintf(said, 512, "%s", fail.text);
	mg_oms_statement_fini(&st);
	mg_oms_bundle_fini(&b);
	mg_oms_trust_free(t);
	free(pem);
	return fail.why;
}

static enum mg_oms_why
judge_forged(struct forge f)
{
	char *payload = NULL, *s;
	enum mg_oms_why why;

	if (f.key == NULL)
		f.key = p256;
	if (f.payload == NULL)
		f.payload = payload = good();
	s = forge(&f);
	why = judge(s, strlen(s), f.key, NULL);
	free(s);
	free(payload);
	return why;
}

#define FORGED(...) judge_forged((struct forge){__VA_ARGS__})

/* ---- signatures ---- */

static void
every_curve_verifies_with_its_own_digest(void **state)
{
	(void)state;
	assert_int_equal(FORGED(.key = p256), MG_OMS_NONE);
	assert_int_equal(FORGED(.key = p384), MG_OMS_NONE);
	assert_int_equal(FORGED(.key = p521), MG_OMS_NONE);
	assert_int_equal(
	    FORGED(.key = p384, .md = EVP_sha256()), MG_OMS_SIGNATURE);
	assert_int_equal(
	    FORGED(.key = p256, .md = EVP_sha512()), MG_OMS_SIGNATURE);
}

static void
rule6_other_keys_are_refused(void **state)
{
	EVP_PKEY *k1 = new_key("secp256k1"), *rsa = EVP_RSA_gen(2048);
	char *payload = good(), *s;
	struct forge f = {.key = p256, .payload = payload};

	(void)state;
	s = forge(&f);
	assert_int_equal(judge(s, strlen(s), k1, NULL), MG_OMS_KEY);
	assert_int_equal(judge(s, strlen(s), rsa, NULL), MG_OMS_KEY);
	free(s);
	free(payload);
	EVP_PKEY_free(k1);
	EVP_PKEY_free(rsa);
}

static void
signatures_in_another_form_are_refused(void **state)
{
	(void)state;
	assert_int_equal(FORGED(.raw_sig = true), MG_OMS_SIGNATURE);
	assert_int_equal(FORGED(.sig = "AAAA"), MG_OMS_SIGNATURE);
	assert_int_equal(FORGED(.sig = ""), MG_OMS_BASE64);
	/* Signed for another type, which the PAE keeps apart. */
	assert_int_equal(FORGED(.pae_type = "text/plain"), MG_OMS_SIGNATURE);
	assert_int_equal(FORGED(.pae_type = ""), MG_OMS_SIGNATURE);
	assert_int_equal(FORGED(.ptype = "text/plain"), MG_OMS_PAYLOAD_TYPE);
}

static void
only_the_pae_as_it_is_written_is_signed(void **state)
{
	static const char *const wrong[] = {
	    "P",	      /* the payload by itself */
	    "DSSEV1 T t N P", /* as older signers wrote it */
	    "DSSEv2 T t N P",
	    "DSSEv1 T t n P", /* the length in base64 */
	    "DSSEv1 0T t N P",
	    "DSSEv1 T t 0N P",
	    "DSSEv1 T t N P\n",
	    "DSSEv1 T t N  P",
	    "DSSEv1 T 't' N b'P'",
	    "DSSEv1 N P T t",
	};
	size_t i;

	(void)state;
	assert_int_equal(FORGED(.pae = "DSSEv1 T t N P"), MG_OMS_NONE);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(FORGED(.pae = wrong[i]), MG_OMS_SIGNATURE);
}

static void
both_alphabets_of_base64_are_read(void **state)
{
	(void)state;
	assert_int_equal(FORGED(.url_alphabet = true), MG_OMS_NONE);
	assert_int_equal(
	    FORGED(.url_alphabet = true, .no_padding = true), MG_OMS_NONE);
	assert_int_equal(FORGED(.no_padding = true), MG_OMS_NONE);
	assert_int_equal(FORGED(.sig = "ab-+"), MG_OMS_BASE64);
	assert_int_equal(FORGED(.sig = "ab\\ncd=="), MG_OMS_BASE64);
	assert_int_equal(FORGED(.sig = "a"), MG_OMS_BASE64);
	assert_int_equal(FORGED(.sig = "ab="), MG_OMS_BASE64);
	assert_int_equal(FORGED(.sig = "ab==="), MG_OMS_BASE64);
	assert_int_equal(FORGED(.sig = "ab=="), MG_OMS_BASE64); /* bits */
}

static void
the_hint_has_to_be_of_our_key(void **state)
{
	char *m = key_material(other);

	(void)state;
	assert_int_equal(FORGED(.material = m), MG_OMS_OTHER_KEY);
	free(m);
	assert_int_equal(
	    FORGED(.material = "{\"publicKey\":{\"hint\":\"00\"}}"),
	    MG_OMS_FIELD);
	assert_int_equal(
	    FORGED(.material = "{\"publicKey\":{}}"), MG_OMS_FIELD);
	assert_int_equal(FORGED(.material = "{\"publicKey\":7}"), MG_OMS_FIELD);
}

static void
rule3_a_key_in_the_file_is_not_used(void **state)
{
	char *payload = good(), *pem = pem_of(other, false), *raw, *m, *s;
	struct forge f = {.key = other, .payload = payload};

	(void)state;
	raw = base64(pem, strlen(pem), false, false);
	m = text("{\"publicKey\":{\"rawBytes\":\"%s\",\"keyDetails\":"
		 "\"PKIX_ECDSA_P256_SHA_256\"}}",
	    raw);
	f.material = m;
	s = forge(&f);
	/* Good by the key inside, and as files were before version 1.1. */
	assert_int_equal(judge(s, strlen(s), other, NULL), MG_OMS_NONE);
	assert_int_equal(judge(s, strlen(s), p256, NULL), MG_OMS_SIGNATURE);
	free(s);
	free(m);
	free(raw);
	free(pem);
	free(payload);
}

static void
sigstore_is_told_from_a_broken_file(void **state)
{
	(void)state;
	assert_int_equal(
	    FORGED(.material = "{\"certificate\":{\"rawBytes\":\"AAAA\"},"
			       "\"tlogEntries\":[]}"),
	    MG_OMS_SIGSTORE);
	assert_int_equal(
	    FORGED(.material = "{\"tlogEntries\":[]}"), MG_OMS_FIELD);
	assert_int_equal(
	    FORGED(.material = "{\"publicKey\":{\"rawBytes\":\"AAAA\"},"
			       "\"certificate\":{\"rawBytes\":\"AAAA\"}}"),
	    MG_OMS_FIELD);
}

/* ---- the file ---- */

static void
rule1_unknown_members_are_refused(void **state)
{
	(void)state;
	assert_int_equal(FORGED(.top = ",\"x\":1"), MG_OMS_FIELD);
	assert_int_equal(FORGED(.env = ",\"x\":1"), MG_OMS_FIELD);
	assert_int_equal(FORGED(.more = ",\"x\":1"), MG_OMS_FIELD);
	assert_int_equal(
	    FORGED(.media = "application/json"), MG_OMS_MEDIA_TYPE);
	assert_int_equal(FORGED(.media = MEDIA ";x"), MG_OMS_MEDIA_TYPE);
}

static void
rule2_duplicate_members_are_refused(void **state)
{
	(void)state;
	assert_int_equal(
	    FORGED(.top = ",\"mediaType\":\"" MEDIA "\""), MG_OMS_DUPLICATE);
	assert_int_equal(
	    FORGED(.env = ",\"payload\":\"AAAA\""), MG_OMS_DUPLICATE);
	assert_int_equal(
	    FORGED(.more = ",\"s\\u0069g\":\"AAAA\""), MG_OMS_DUPLICATE);
}

static void
rule2_exactly_one_signature(void **state)
{
	(void)state;
	assert_int_equal(FORGED(.more = "},{\"sig\":\"AAAA\""), MG_OMS_FIELD);
}

static enum mg_oms_why
judge_text(const char *s)
{
	return judge(s, strlen(s), p256, NULL);
}

static void
what_is_not_json_is_refused(void **state)
{
	(void)state;
	assert_int_equal(judge_text(""), MG_OMS_JSON);
	assert_int_equal(judge_text("{"), MG_OMS_JSON);
	assert_int_equal(judge_text("[]"), MG_OMS_JSON);
	assert_int_equal(judge_text("{} {}"), MG_OMS_JSON);
	assert_int_equal(judge_text("{\"a\":\"\xff\"}"), MG_OMS_JSON);
	assert_int_equal(judge_text("{\"a\":\"\\u0000\"}"), MG_OMS_JSON);
	assert_int_equal(judge_text("{\"a\":\"\\ud834\"}"), MG_OMS_JSON);
	assert_int_equal(judge("{}\0", 3, p256, NULL), MG_OMS_JSON);
	assert_int_equal(judge_text("{}"), MG_OMS_FIELD);
}

/* n times the text; the caller frees it. */
static char *
many(const char *s, size_t n)
{
	size_t len = strlen(s), i;
	char *d = malloc(n * len + 1);

	assert_non_null(d);
	for (i = 0; i < n; i++)
		memcpy(d + i * len, s, len);
	d[n * len] = '\0';
	return d;
}

static void
rule1_bombs_are_refused_before_they_are_read(void **state)
{
	char *s = many("[", 10000000);

	(void)state;
	assert_int_equal(judge_text(s), MG_OMS_TOO_DEEP);
	free(s);
	s = many("{\"a\":", 20);
	assert_int_equal(judge_text(s), MG_OMS_TOO_DEEP);
	free(s);
	s = many("0,", 2000000);
	s[0] = '[';
	assert_int_equal(judge_text(s), MG_OMS_TOO_LARGE);
	free(s);
	s = many(" ", MG_OMS_BUNDLE_MAX + 1);
	assert_int_equal(judge_text(s), MG_OMS_TOO_LARGE);
	free(s);
	/* Brackets in strings do not count. */
	assert_int_equal(judge_text("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}"),
	    MG_OMS_FIELD);
}

static void
every_cut_of_a_file_is_refused(void **state)
{
	char *payload = good(), *s;
	struct forge f = {.key = p256, .payload = payload};
	size_t n;

	(void)state;
	s = forge(&f);
	assert_int_equal(judge(s, strlen(s), p256, NULL), MG_OMS_NONE);
	for (n = 0; n < strlen(s); n++)
		assert_int_equal(judge(s, n, p256, NULL), MG_OMS_JSON);
	free(s);
	free(payload);
}

static void
every_changed_byte_of_a_file_is_refused_or_harmless(void **state)
{
	char *payload = good(), *s, keep;
	struct forge f = {.key = p256, .payload = payload};
	size_t n, harmless = 0;

	(void)state;
	s = forge(&f);
	for (n = 0; s[n] != '\0'; n++) {
		keep = s[n];
		s[n] = (char)(keep == 'A' ? 'B' : 'A');
		harmless += judge(s, strlen(s), p256, NULL) == MG_OMS_NONE;
		s[n] = keep;
	}
	/* Nothing but the text of "keyid", which is empty here. */
	assert_int_equal(harmless, 0);
	free(s);
	free(payload);
}

/* ---- statements ---- */

/* What a statement that is signed well comes to. */
static enum mg_oms_why
judge_statement(const char *payload)
{
	struct mg_oms_statement st;
	struct mg_oms_fail fail;

	(void)!mg_oms_statement_parse(&st, payload, strlen(payload), &fail);
	mg_oms_statement_fini(&st);
	return fail.why;
}

static enum mg_oms_why
judge_said(struct said w, const char *name, const char *alg)
{
	struct mg_buf list;
	char *res, *all, *s;
	enum mg_oms_why why;

	mg_buf_init(&list, 4096);
	res = resource(name, alg, "x", 1, &list);
	all = text("[%s]", res);
	if (w.resources == NULL)
		w.resources = all;
	s = statement(&w, &list);
	why = judge_statement(s);
	mg_buf_fini(&list);
	free(res);
	free(all);
	free(s);
	return why;
}

#define SAID(...) judge_said((struct said){__VA_ARGS__}, "a", "sha256")
#define NAMED(name) judge_said((struct said){.type = NULL}, name, "sha256")
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
other_statements_are_refused(void **state)
{
	(void)state;
	assert_int_equal(SAID(.type = NULL), MG_OMS_NONE);
	assert_int_equal(SAID(.type = STATEMENT "x"), MG_OMS_STATEMENT);
	assert_int_equal(
	    SAID(.predicate = "https://model_signing/Digests/v0.1"),
	    MG_OMS_PREDICATE);
	assert_int_equal(SAID(.subject = "[]"), MG_OMS_STATEMENT);
	assert_int_equal(SAID(.subject = "[{},{}]"), MG_OMS_STATEMENT);
	assert_int_equal(SAID(.subject = "7"), MG_OMS_FIELD);
	assert_int_equal(
	    SAID(.subject = "[{\"name\":\"m\",\"digest\":{\"sha512\":\"" HEX64
			    "\"}}]"),
	    MG_OMS_STATEMENT);
	assert_int_equal(SAID(.more = ",\"x\":1"), MG_OMS_FIELD);
	assert_int_equal(SAID(.resources = "[]"), MG_OMS_RESOURCE);
	assert_int_equal(SAID(.resources = "[7]"), MG_OMS_FIELD);
	assert_int_equal(SAID(.resources = "[{}]"), MG_OMS_FIELD);
}

static void
rule3_the_root_digest_has_to_fit(void **state)
{
	(void)state;
	assert_int_equal(SAID(.root = HEX64), MG_OMS_ROOT);
}

static void
rule1_names_that_leave_the_folder_are_refused(void **state)
{
	(void)state;
	assert_int_equal(NAMED("a/b"), MG_OMS_NONE);
	assert_int_equal(NAMED("."), MG_OMS_NONE);
	assert_int_equal(NAMED("..."), MG_OMS_NONE);
	assert_int_equal(NAMED("-rf"), MG_OMS_NONE);
	assert_int_equal(NAMED("/etc/passwd"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("../a"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a/../b"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a/.."), MG_OMS_RESOURCE);
	assert_int_equal(NAMED(".."), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("./a"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a//b"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a/"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED(""), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a\\nb"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a\\u202eb"), MG_OMS_RESOURCE);
	assert_int_equal(NAMED("a\\\\b"), MG_OMS_RESOURCE);
}

static void
rule1_a_file_is_listed_once(void **state)
{
	struct said w;
	struct mg_buf list;
	char *a, *b, *all, *s;

	(void)state;
	memset(&w, 0, sizeof(w));
	mg_buf_init(&list, 4096);
	a = resource("a", "sha256", "x", 1, &list);
	b = resource("a", "sha256", "y", 1, &list);
	all = text("[%s,%s]", a, b);
	w.resources = all;
	s = statement(&w, &list);
	assert_int_equal(judge_statement(s), MG_OMS_RESOURCE);
	mg_buf_fini(&list);
	free(a);
	free(b);
	free(all);
	free(s);
}

#define SER(rest) SAID(.serialization = "{\"allow_symlinks\":false," rest "}")
#define SHA "\"hash_type\":\"sha256\""

static void
hashes_that_are_not_known_are_named(void **state)
{
	static const char blake3[] =
	    "{\"method\":\"files\",\"hash_type\":\"blake3\","
	    "\"allow_symlinks\":false}";
	static const char blake2b[] =
	    "{\"method\":\"files\",\"hash_type\":\"blake2b\","
	    "\"allow_symlinks\":false}";

	(void)state;
	assert_int_equal(SAID(.serialization = blake3), MG_OMS_HASH);
	assert_int_equal(
	    judge_said((struct said){.serialization = blake2b}, "a", "blake2b"),
	    MG_OMS_NONE);
	/* Digests of another hash than the statement says. */
	assert_int_equal(SAID(.serialization = blake2b), MG_OMS_HASH);
	assert_int_equal(
	    judge_said((struct said){.type = NULL}, "a", "blake2b"),
	    MG_OMS_HASH);
	assert_int_equal(
	    SER("\"method\":\"files\",\"hash_type\":\"sha256x\""), MG_OMS_HASH);
	assert_int_equal(SER("\"method\":\"files\""), MG_OMS_FIELD);
	assert_int_equal(
	    SAID(.resources = "[{\"name\":\"a\",\"algorithm\":\"sha256\","
			      "\"digest\":\"ABCD\"}]"),
	    MG_OMS_HASH);
}

static void
serialization_is_read_strictly(void **state)
{
	(void)state;
	assert_int_equal(SER("\"method\":\"files\"," SHA), MG_OMS_NONE);
	assert_int_equal(
	    SER("\"method\":\"files\",\"x\":1," SHA), MG_OMS_FIELD);
	assert_int_equal(
	    SER("\"method\":\"folders\"," SHA), MG_OMS_SERIALIZATION);
	assert_int_equal(SER("\"method\":\"files\",\"shard_size\":5," SHA),
	    MG_OMS_SERIALIZATION);
	assert_int_equal(
	    SAID(.serialization = "{\"method\":\"files\"," SHA "}"),
	    MG_OMS_FIELD);
	assert_int_equal(
	    SAID(.serialization = "{\"method\":\"files\",\"allow_symlinks\":"
				  "\"false\"," SHA "}"),
	    MG_OMS_FIELD);
	/* Without a link in the model it makes no difference. */
	assert_int_equal(
	    SAID(.serialization = "{\"method\":\"files\",\"allow_symlinks\":"
				  "true," SHA "}"),
	    MG_OMS_NONE);
}

#define SHARD(size)                                                            \
	judge_said(                                                            \
	    (struct said){                                                     \
		.serialization =                                               \
		    "{\"method\":\"shards\",\"allow_symlinks\":false," SHA     \
		    ",\"shard_size\":" size "}"},                              \
	    "a:0:1", "sha256")

static void
shard_sizes_are_whole_numbers(void **state)
{
	(void)state;
	assert_int_equal(SHARD("1"), MG_OMS_NONE);
	assert_int_equal(SHARD("1000000000.0"), MG_OMS_NONE);
	assert_int_equal(SHARD("1e9"), MG_OMS_NONE);
	assert_int_equal(SHARD("0"), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("-1"), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("1.5"), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("1e300"), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("9223372036854775807"), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("\"1\""), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("null"), MG_OMS_SERIALIZATION);
	assert_int_equal(SHARD("1e400"), MG_OMS_JSON);
}

#define PART(name)                                                             \
	judge_said(                                                            \
	    (struct said){                                                     \
		.serialization =                                               \
		    "{\"method\":\"shards\",\"allow_symlinks\":false," SHA     \
		    ",\"shard_size\":10}"},                                    \
	    name, "sha256-sharded-10")

static void
names_of_shards_end_in_two_numbers(void **state)
{
	(void)state;
	assert_int_equal(PART("a:0:10"), MG_OMS_NONE);
	assert_int_equal(PART("a:b:0:10"), MG_OMS_NONE);
	assert_int_equal(PART(".:0:10"), MG_OMS_NONE);
	assert_int_equal(PART("a"), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:0"), MG_OMS_RESOURCE);
	assert_int_equal(PART(":0:10"), MG_OMS_RESOURCE);
	assert_int_equal(PART("0:10"), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:10:10"), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:10:0"), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:-1:10"), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:00:10"), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:0:10 "), MG_OMS_RESOURCE);
	assert_int_equal(PART("a:0:18446744073709551617"), MG_OMS_RESOURCE);
	assert_int_equal(PART("../a:0:10"), MG_OMS_RESOURCE);
}

static void
rule2_what_is_left_out_is_plain(void **state)
{
#define IGNORE(v) SER("\"method\":\"files\"," SHA ",\"ignore_paths\":" v)
	char *s, *all;

	(void)state;
	assert_int_equal(IGNORE("[]"), MG_OMS_NONE);
	assert_int_equal(IGNORE("[\".git\",\"a/b\"]"), MG_OMS_NONE);
	assert_int_equal(IGNORE("[\"\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[\".\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[\"/\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[\"../x\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[\"*.py\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[\"a?\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[\"[a]\"]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("[7]"), MG_OMS_IGNORE);
	assert_int_equal(IGNORE("7"), MG_OMS_SERIALIZATION);
	s = many("\"a\",", MG_OMS_IGNORE_MAX);
	all = text("{\"allow_symlinks\":false,\"method\":\"files\"," SHA
		   ",\"ignore_paths\":[%s\"a\"]}",
	    s);
	assert_int_equal(SAID(.serialization = all), MG_OMS_IGNORE);
	free(all);
	free(s);
}

static void
every_cut_of_a_statement_is_refused(void **state)
{
	char *s = good();
	struct mg_oms_statement st;
	struct mg_oms_fail fail;
	size_t n;

	(void)state;
	for (n = 0; n < strlen(s); n++) {
		assert_int_not_equal(
		    mg_oms_statement_parse(&st, s, n, &fail), MG_ERR_OK);
		assert_int_equal(fail.why, MG_OMS_JSON);
		mg_oms_statement_fini(&st);
	}
	free(s);
}

static void
every_way_to_fail_has_its_word(void **state)
{
	int i, k;

	(void)state;
	for (i = 0; i < MG_OMS_WHY_COUNT; i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(
			    mg_oms_why_word((enum mg_oms_why)i),
			    mg_oms_why_word((enum mg_oms_why)k));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_curve_verifies_with_its_own_digest),
	    cmocka_unit_test(rule6_other_keys_are_refused),
	    cmocka_unit_test(signatures_in_another_form_are_refused),
	    cmocka_unit_test(only_the_pae_as_it_is_written_is_signed),
	    cmocka_unit_test(both_alphabets_of_base64_are_read),
	    cmocka_unit_test(the_hint_has_to_be_of_our_key),
	    cmocka_unit_test(rule3_a_key_in_the_file_is_not_used),
	    cmocka_unit_test(sigstore_is_told_from_a_broken_file),
	    cmocka_unit_test(rule1_unknown_members_are_refused),
	    cmocka_unit_test(rule2_duplicate_members_are_refused),
	    cmocka_unit_test(rule2_exactly_one_signature),
	    cmocka_unit_test(what_is_not_json_is_refused),
	    cmocka_unit_test(rule1_bombs_are_refused_before_they_are_read),
	    cmocka_unit_test(every_cut_of_a_file_is_refused),
	    cmocka_unit_test(
		every_changed_byte_of_a_file_is_refused_or_harmless),
	    cmocka_unit_test(other_statements_are_refused),
	    cmocka_unit_test(rule3_the_root_digest_has_to_fit),
	    cmocka_unit_test(rule1_names_that_leave_the_folder_are_refused),
	    cmocka_unit_test(rule1_a_file_is_listed_once),
	    cmocka_unit_test(hashes_that_are_not_known_are_named),
	    cmocka_unit_test(serialization_is_read_strictly),
	    cmocka_unit_test(shard_sizes_are_whole_numbers),
	    cmocka_unit_test(names_of_shards_end_in_two_numbers),
	    cmocka_unit_test(rule2_what_is_left_out_is_plain),
	    cmocka_unit_test(every_cut_of_a_statement_is_refused),
	    cmocka_unit_test(every_way_to_fail_has_its_word),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
