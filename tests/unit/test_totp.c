/* SPDX-License-Identifier: ISC */
/* One-time passwords: RFC 6238, the window, use once, enrolment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "mg_totp.h"

/* RFC 6238, appendix B: the secret is this, repeated to the digest's size. */
static void
rfc_factor(struct mg_totp *t, enum mg_totp_alg alg, size_t secret_len)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	snprintf(t->user, sizeof(t->user), "alice");
	t->alg = alg;
	t->digits = 8;
	t->period_s = 30;
	t->secret_len = secret_len;
	for (i = 0; i < secret_len; i++)
		t->secret[i] = (uint8_t)('0' + (i + 1) % 10);
}

static const struct {
	int64_t time;
	const char *sha1, *sha256, *sha512;
} vectors[] = {
    {59, "94287082", "46119246", "90693936"},
    {1111111109, "07081804", "68084774", "25091201"},
    {1111111111, "14050471", "67062674", "99943326"},
    {1234567890, "89005924", "91819424", "93441116"},
    {2000000000, "69279037", "90698825", "38618901"},
    {20000000000, "65353130", "77737706", "47863826"},
};

#define NVECTORS (sizeof(vectors) / sizeof(vectors[0]))

/* What t makes of code at now; its step in *stepp (may be NULL). */
static enum mg_totp_result
judge(const struct mg_totp *t, int64_t now, const char *code, uint64_t *stepp)
{
	enum mg_totp_result res = MG_TOTP_ACCEPTED;
	uint64_t step = 99;

	assert_int_equal(
	    mg_totp_match(t, now, code, &res, stepp == NULL ? &step : stepp),
	    MG_ERR_OK);
	return res;
}

static void
all_vectors_of_rfc_6238_are_accepted(void **state)
{
	struct mg_totp t;
	uint64_t step;
	size_t i;

	(void)state;
	for (i = 0; i < NVECTORS; i++) {
		rfc_factor(&t, MG_TOTP_SHA1, 20);
		assert_int_equal(
		    judge(&t, vectors[i].time, vectors[i].sha1, &step),
		    MG_TOTP_ACCEPTED);
		assert_int_equal(step, vectors[i].time / 30);
		rfc_factor(&t, MG_TOTP_SHA256, 32);
		assert_int_equal(
		    judge(&t, vectors[i].time, vectors[i].sha256, &step),
		    MG_TOTP_ACCEPTED);
		rfc_factor(&t, MG_TOTP_SHA512, 64);
		assert_int_equal(
		    judge(&t, vectors[i].time, vectors[i].sha512, &step),
		    MG_TOTP_ACCEPTED);
	}
}

static void
a_code_of_another_digest_is_wrong(void **state)
{
	struct mg_totp t;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	assert_int_equal(judge(&t, 59, vectors[0].sha256, NULL), MG_TOTP_WRONG);
}

static void
rule1_only_one_step_to_either_side_counts(void **state)
{
	struct mg_totp t;
	uint64_t step;
	int64_t at = 1234567890, off;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	for (off = -4; off <= 4; off++) {
		enum mg_totp_result want =
		    off >= -1 && off <= 1 ? MG_TOTP_ACCEPTED : MG_TOTP_WRONG;

		assert_int_equal(
		    judge(&t, at + off * 30, "89005924", &step), want);
		assert_int_equal(step, want == MG_TOTP_ACCEPTED ? at / 30 : 0);
	}
}

static void
rule2_a_step_at_or_below_the_used_one_is_a_replay(void **state)
{
	struct mg_totp t;
	uint64_t step;
	int64_t at = 1234567890;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	t.used = (uint64_t)at / 30;
	assert_int_equal(judge(&t, at, "89005924", &step), MG_TOTP_REPLAYED);
	assert_int_equal(step, 0);
	t.used = (uint64_t)at / 30 + 1;
	assert_int_equal(judge(&t, at, "89005924", NULL), MG_TOTP_REPLAYED);
	t.used = (uint64_t)at / 30 - 1;
	assert_int_equal(judge(&t, at, "89005924", NULL), MG_TOTP_ACCEPTED);
}

static void
rule2_a_clock_that_went_back_opens_nothing_again(void **state)
{
	struct mg_totp t;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	t.used = 2000000000 / 30;
	assert_int_equal(
	    judge(&t, 1234567890, "89005924", NULL), MG_TOTP_REPLAYED);
}

/*
 * Steps 910737 and 910738 of this secret share the code 911617 (found by
 * search): were the earlier marked, the code could be used twice.
 */
static void
rule2_a_code_that_fits_two_steps_marks_the_later_one(void **state)
{
	struct mg_totp t;
	uint64_t step;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	t.digits = 6;
	assert_int_equal(
	    judge(&t, 910737LL * 30, "911617", &step), MG_TOTP_ACCEPTED);
	assert_int_equal(step, 910738);
	t.used = step;
	assert_int_equal(
	    judge(&t, 910738LL * 30, "911617", NULL), MG_TOTP_REPLAYED);
	/* The earlier is used, the later is not: the code is still good. */
	t.used = 910737;
	assert_int_equal(
	    judge(&t, 910738LL * 30, "911617", NULL), MG_TOTP_ACCEPTED);
}

static void
blanks_in_a_code_do_not_matter_and_all_else_does(void **state)
{
	static const char *const good[] = {
	    "89005924", "8900 5924", " 89005924 ", "8 9 0 0 5 9 2 4"};
	static const char *const bad[] = {"", " ", "8900592", "890059240",
	    "089005924", "8900592a", "89005924\n", "8900-5924", "\t89005924",
	    "+89005924", "99005924", "89005925", "00000000"};
	struct mg_totp t;
	size_t i;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(
		    judge(&t, 1234567890, good[i], NULL), MG_TOTP_ACCEPTED);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    judge(&t, 1234567890, bad[i], NULL), MG_TOTP_WRONG);
}

static void
a_time_before_1970_or_a_broken_factor_is_an_error(void **state)
{
	enum mg_totp_result res = MG_TOTP_ACCEPTED;
	struct mg_totp t;
	uint64_t step = 7;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	assert_int_not_equal(
	    mg_totp_match(&t, -1, "89005924", &res, &step), MG_ERR_OK);
	assert_int_equal(res, MG_TOTP_WRONG);
	assert_int_equal(step, 0);
	assert_int_not_equal(
	    mg_totp_match(&t, INT64_MAX, "89005924", &res, &step), MG_ERR_OK);
	mg_totp_wipe(&t);
	res = MG_TOTP_ACCEPTED;
	assert_int_not_equal(
	    mg_totp_match(&t, 1234567890, "", &res, &step), MG_ERR_OK);
	assert_int_equal(res, MG_TOTP_WRONG);
}

static void
a_new_factor_is_what_authenticator_apps_expect(void **state)
{
	struct mg_totp a, b;

	(void)state;
	assert_int_equal(mg_totp_new(&a, "alice", 1234), MG_ERR_OK);
	assert_int_equal(mg_totp_new(&b, "alice", 1234), MG_ERR_OK);
	assert_int_equal(a.alg, MG_TOTP_SHA1);
	assert_int_equal(a.digits, 6);
	assert_int_equal(a.period_s, 30);
	assert_int_equal(a.secret_len, 20);
	assert_int_equal(a.used, 0);
	assert_int_equal(a.enrolled_s, 1234);
	assert_memory_not_equal(a.secret, b.secret, 20);
	assert_int_equal(mg_totp_new(&a, "../alice", 1234), MG_ERR_FORMAT);
	assert_int_equal(a.secret_len, 0);
}

static void
the_address_has_no_colon_but_the_one_between_issuer_and_person(void **state)
{
	struct mg_totp t;
	struct mg_buf b;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	t.digits = 6;
	mg_buf_init_secret(&b, 512);
	assert_int_equal(mg_totp_put_uri(&t, "gpu 7.example:x", &b), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b),
	    "otpauth://totp/modelgate%20gpu%207.example:alice"
	    "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	    "&issuer=modelgate%20gpu%207.example");
	mg_buf_fini(&b);
}

static void
the_address_names_what_is_unusual(void **state)
{
	struct mg_totp t;
	struct mg_buf b;

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA512, 64);
	t.period_s = 60;
	mg_buf_init_secret(&b, 512);
	assert_int_equal(mg_totp_put_uri(&t, "", &b), MG_ERR_OK);
	assert_non_null(strstr(mg_buf_cstr(&b), "totp/modelgate:alice?"));
	assert_non_null(strstr(mg_buf_cstr(&b),
	    "&issuer=modelgate&algorithm=SHA512&digits=8&period=60"));
	assert_null(strchr(mg_buf_cstr(&b), '\n'));
	mg_buf_fini(&b);
}

static void
the_longest_names_still_make_an_address_that_a_message_holds(void **state)
{
	struct mg_totp t;
	struct mg_buf b;
	char host[256];

	(void)state;
	rfc_factor(&t, MG_TOTP_SHA1, 20);
	memset(t.user, 'u', MG_NAME_MAX);
	t.user[MG_NAME_MAX] = '\0';
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	mg_buf_init_secret(&b, 511);
	assert_int_equal(mg_totp_put_uri(&t, host, &b), MG_ERR_OK);
	assert_true(mg_buf_len(&b) <= 511);
	mg_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_vectors_of_rfc_6238_are_accepted),
	    cmocka_unit_test(a_code_of_another_digest_is_wrong),
	    cmocka_unit_test(rule1_only_one_step_to_either_side_counts),
	    cmocka_unit_test(rule2_a_step_at_or_below_the_used_one_is_a_replay),
	    cmocka_unit_test(rule2_a_clock_that_went_back_opens_nothing_again),
	    cmocka_unit_test(
		rule2_a_code_that_fits_two_steps_marks_the_later_one),
	    cmocka_unit_test(blanks_in_a_code_do_not_matter_and_all_else_does),
	    cmocka_unit_test(a_time_before_1970_or_a_broken_factor_is_an_error),
	    cmocka_unit_test(a_new_factor_is_what_authenticator_apps_expect),
	    cmocka_unit_test(
		the_address_has_no_colon_but_the_one_between_issuer_and_person),
	    cmocka_unit_test(the_address_names_what_is_unusual),
	    cmocka_unit_test(
		the_longest_names_still_make_an_address_that_a_message_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
