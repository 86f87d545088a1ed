/* SPDX-License-Identifier: ISC */
/* Durations and points in time: mg_time.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mg_time.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define DAY 86400000LL

static void
durations_are_read_as_written(void **state)
{
	static const struct {
		const char *s;
		int64_t ms;
	} cases[] = {
	    {"1s", 1000},
	    {"45s", 45000},
	    {"30m", 1800000},
	    {"90m", 5400000},
	    {"2h", 7200000},
	    {"1d", DAY},
	    {"1d2h3m4s", DAY + 7200000 + 180000 + 4000},
	    {"1d4s", DAY + 4000},
	    {"0h5m", 300000},
	    {"007s", 7000},
	    {"366d", 366 * DAY},
	    {"365d24h", 366 * DAY},
	    {"31622400s", 366 * DAY},
	};
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(mg_duration_parse(cases[i].s, &ms), MG_ERR_OK);
		assert_true(ms == cases[i].ms);
	}
}

static void
anything_else_is_no_duration_and_reads_zero(void **state)
{
	static const struct {
		const char *s;
		enum mg_err r;
	} cases[] = {
	    {"", MG_ERR_FORMAT},
	    {"0s", MG_ERR_FORMAT},
	    {"0d0h0m0s", MG_ERR_FORMAT},
	    {"5", MG_ERR_FORMAT},
	    {"s", MG_ERR_FORMAT},
	    {"5S", MG_ERR_FORMAT},
	    {"5ms", MG_ERR_FORMAT},
	    {"5w", MG_ERR_FORMAT},
	    {" 5s", MG_ERR_FORMAT},
	    {"5s ", MG_ERR_FORMAT},
	    {"5 s", MG_ERR_FORMAT},
	    {"-5s", MG_ERR_FORMAT},
	    {"+5s", MG_ERR_FORMAT},
	    {"1.5h", MG_ERR_FORMAT},
	    {"0x10s", MG_ERR_FORMAT},
	    {"1h1h", MG_ERR_FORMAT}, /* twice */
	    {"1m1h", MG_ERR_FORMAT}, /* out of order */
	    {"1s1d", MG_ERR_FORMAT},
	    {"1h30", MG_ERR_FORMAT},
	    {"367d", MG_ERR_LIMIT},
	    {"366d1s", MG_ERR_LIMIT},
	    {"999999999d", MG_ERR_LIMIT},
	    {"9999999999s", MG_ERR_LIMIT},
	    {"99999999999999999999999999s", MG_ERR_LIMIT},
	    {"18446744073709551617s", MG_ERR_LIMIT},
	};
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		ms = 9;
		if (mg_duration_parse(cases[i].s, &ms) != cases[i].r)
			fail_msg("'%s'", cases[i].s);
		assert_true(ms == 0);
	}
}

static void
a_duration_is_shown_in_its_shortest_form_and_rounded_up(void **state)
{
	static const struct {
		int64_t ms;
		const char *s;
	} cases[] = {
	    {INT64_MIN, "0s"},
	    {-1, "0s"},
	    {0, "0s"},
	    {1, "1s"},
	    {999, "1s"},
	    {1000, "1s"},
	    {1001, "2s"},
	    {59999, "1m"},
	    {3600000, "1h"},
	    {5400000, "1h30m"},
	    {DAY - 1, "1d"},
	    {DAY + 4000, "1d4s"},
	    {400 * DAY, "400d"},
	    {INT64_MAX, "106751991167d7h12m56s"},
	    {INT64_MAX - 998, "106751991167d7h12m55s"},
	};
	char out[MG_DURATION_STR];
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		mg_duration_format(cases[i].ms, out);
		assert_string_equal(out, cases[i].s);
	}
}

static void
every_duration_that_is_shown_is_read_back(void **state)
{
	char out[MG_DURATION_STR];
	int64_t ms, got;

	(void)state;
	for (ms = 1000; ms <= MG_DURATION_MAX_MS;
	     ms += ms / 7 / 1000 * 1000 + 1000) {
		mg_duration_format(ms, out);
		assert_int_equal(mg_duration_parse(out, &got), MG_ERR_OK);
		assert_true(got == ms);
	}
}

static void
times_are_read_as_written(void **state)
{
	static const struct {
		const char *s;
		int64_t ms;
	} cases[] = {
	    {"1970-01-01", 0},
	    {"1970-01-01T00:00:00.001Z", 1},
	    {"2026-11-22", 1795305600000},
	    {"2026-11-22T12:51", 1795305600000 + 46260000},
	    {"2026-11-22T12:51Z", 1795305600000 + 46260000},
	    {"2026-11-22T12:51:07", 1795305600000 + 46267000},
	    {"2026-11-22T12:51:07.123Z", 1795305600000 + 46267123},
	    {"2000-02-29", 951782400000},
	    {"2024-02-29T23:59:59.999Z", 1709251199999},
	    {"9999-12-31T23:59:59.999Z", 253402300799999},
	};
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(mg_time_parse(cases[i].s, 0, &ms), MG_ERR_OK);
		if (ms != cases[i].ms)
			fail_msg("'%s' is %lld", cases[i].s, (long long)ms);
	}
}

static void
anything_else_is_no_time_and_reads_zero(void **state)
{
	static const char *const bad[] = {"", "x", "2026", "2026-11",
	    "2026-11-2", "2026-11-222", "26-11-22", "2026/11/22", "2026-13-01",
	    "2026-00-01", "2026-01-00", "2026-01-32", "2026-04-31",
	    "2026-02-29", "1900-02-29", "2100-02-29", "1969-12-31",
	    "0000-01-01", "2026-11-22 12:51", "2026-11-22t12:51", "2026-11-22T",
	    "2026-11-22T12", "2026-11-22T12:5", "2026-11-22T24:00",
	    "2026-11-22T12:60", "2026-11-22T12:51:60", "2026-11-22T12:51:0",
	    "2026-11-22T12:51:00.", "2026-11-22T12:51:00.12",
	    "2026-11-22T12:51:00.1234", "2026-11-22T12:51:00z",
	    "2026-11-22T12:51:00+01:00", "2026-11-22T12:51Z ", " 2026-11-22",
	    "-026-11-22", "+2026-11-22", "2026-11-22Z", "0s", "2h ", "99999d"};
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		ms = 9;
		if (mg_time_parse(bad[i], 1000000, &ms) == MG_ERR_OK)
			fail_msg("'%s' was read", bad[i]);
		assert_true(ms == 0);
	}
}

static void
an_age_counts_back_from_now_and_not_beyond_1970(void **state)
{
	int64_t ms;

	(void)state;
	assert_int_equal(mg_time_parse("2h", 10000000, &ms), MG_ERR_OK);
	assert_true(ms == 2800000);
	assert_int_equal(mg_time_parse("1d", 10000000, &ms), MG_ERR_OK);
	assert_true(ms == 0);
	assert_int_equal(mg_time_parse("1s", -5, &ms), MG_ERR_OK);
	assert_true(ms == 0);
}

static void
every_day_of_400_years_is_the_one_that_libc_says(void **state)
{
	char out[MG_TIME_STR];
	int64_t day, ms;
	struct tm tm;
	time_t t;

	(void)state;
	for (day = 0; day < 146097 + 400; day++) {
		t = (time_t)(day * 86400);
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(
		    mg_time_days(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
			(unsigned)tm.tm_mday) == day);
		mg_time_format(day * DAY + 3723004, out);
		assert_string_equal(out + 10, "T01:02:03.004Z");
		assert_int_equal(mg_time_parse(out, 0, &ms), MG_ERR_OK);
		assert_true(ms == day * DAY + 3723004);
	}
	assert_true(mg_time_days(1969, 12, 31) == -1);
	assert_true(mg_time_days(1600, 1, 1) == -135140);
	assert_true(mg_time_days(0, 3, 1) == -719468);
	assert_true(mg_time_days(-1, 12, 31) == -719529);
}

static void
a_time_that_cannot_be_written_reads_invalid(void **state)
{
	static const int64_t bad[] = {
	    -1, INT64_MIN, 253402300800000, INT64_MAX};
	char out[MG_TIME_STR];
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		mg_time_format(bad[i], out);
		assert_string_equal(out, "invalid");
		assert_int_not_equal(mg_time_parse(out, 0, &ms), MG_ERR_OK);
	}
}

static void
both_clocks_go_forward(void **state)
{
	int64_t boot = mg_time_boot_ms(), wall = mg_time_wall_ms();
	struct timespec ts = {.tv_nsec = 3000000};

	(void)state;
	assert_true(boot > 0);
	assert_true(wall > 1700000000000);
	assert_int_equal(nanosleep(&ts, NULL), 0);
	assert_true(mg_time_boot_ms() >= boot + 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
	    T(durations_are_read_as_written),
	    T(anything_else_is_no_duration_and_reads_zero),
	    T(a_duration_is_shown_in_its_shortest_form_and_rounded_up),
	    T(every_duration_that_is_shown_is_read_back),
	    T(times_are_read_as_written),
	    T(anything_else_is_no_time_and_reads_zero),
	    T(an_age_counts_back_from_now_and_not_beyond_1970),
	    T(every_day_of_400_years_is_the_one_that_libc_says),
	    T(a_time_that_cannot_be_written_reads_invalid),
	    T(both_clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
