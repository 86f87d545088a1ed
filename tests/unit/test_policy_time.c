/* SPDX-License-Identifier: ISC */
/*
 * Time: zones against the C library's own reading of the same files, windows
 * at the changes of the hour, dates, and files that rules ask about.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mg_time.h"
#include "policy_fixture.h"

static const char *const zones[] = {"Europe/Berlin", "America/New_York",
    "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo", "Asia/Gaza",
    "Africa/Casablanca", "Europe/Dublin", "America/Havana", "Asia/Kathmandu",
    "Antarctica/Troll", "America/Sao_Paulo", "Pacific/Apia", "Asia/Tehran",
    "America/Caracas", "Pacific/Kwajalein", "Etc/GMT+5", "UTC"};

#define NZONES (sizeof(zones) / sizeof(zones[0]))

static struct pol_arena mem;

static const struct pol_zone *
zone(const char *name)
{
	const struct pol_zone *z;

	assert_int_equal(
	    pol_zone_read(&mem, POL_ZONE_DIR, name, 1, &z), MG_ERR_OK);
	return z;
}

static void
set_tz(const char *name)
{
	char value[80];

	snprintf(value, sizeof(value), ":%s", name);
	assert_int_equal(setenv("TZ", value, 1), 0);
	tzset();
}

static int32_t
libc_offset(int64_t t)
{
	time_t tt = (time_t)t;
	struct tm tm;

	assert_non_null(localtime_r(&tt, &tm));
	return (int32_t)tm.tm_gmtoff;
}

/* Every seven hours and eleven seconds from 1900 to 2200, and around edges. */
static void
offsets_are_those_of_the_c_library(void **state)
{
	const struct pol_zone *z;
	int64_t t, edge;
	int32_t a, b, last;
	size_t i;

	(void)state;
	for (i = 0; i < NZONES; i++) {
		z = zone(zones[i]);
		set_tz(zones[i]);
		last = pol_zone_offset(z, INT64_C(-2208988800));
		for (t = INT64_C(-2208988800); t < INT64_C(7258118400);
		     t += 7 * 3600 + 11) {
			a = pol_zone_offset(z, t);
			if (a != last || t % 977 == 0) {
				b = libc_offset(t);
				if (a != b)
					fail_msg("%s at %lld: %d, not %d",
					    zones[i], (long long)t, a, b);
			}
			if (a == last)
				continue;
			last = a;
			for (edge = t - 7 * 3600 - 12; edge <= t;
			     edge += edge % 60 == 0 ? 60 : 1) {
				if (pol_zone_offset(z, edge) !=
				    libc_offset(edge))
					fail_msg("%s near %lld", zones[i],
					    (long long)edge);
			}
		}
	}
	unsetenv("TZ");
}

static int64_t
at(const char *iso)
{
	int64_t ms;

	assert_int_equal(mg_time_parse(iso, 0, &ms), MG_ERR_OK);
	return ms / 1000;
}

static void
moments_at_the_change_of_the_hour(void **state)
{
	const struct pol_zone *berlin = zone("Europe/Berlin");

	(void)state;
	/* 2026-03-29 02:00 CET becomes 03:00 CEST: 02:30 never is. */
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-03-29T01:59"), POL_FIRST),
	    at("2026-03-29T00:59"));
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-03-29T02:30"), POL_FIRST),
	    at("2026-03-29T01:00"));
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-03-29T02:30"), POL_LAST),
	    at("2026-03-29T01:00"));
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-03-29T03:00"), POL_LAST),
	    at("2026-03-29T01:00"));
	/* 2026-10-25 03:00 CEST becomes 02:00 CET: 02:30 is twice. */
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-10-25T02:30"), POL_FIRST),
	    at("2026-10-25T00:30"));
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-10-25T02:30"), POL_LAST),
	    at("2026-10-25T01:30"));
	assert_int_equal(
	    pol_zone_moment(berlin, at("2026-10-25T03:00"), POL_FIRST),
	    at("2026-10-25T02:00"));
	/* By the closing rule, long after the last line of the table. */
	assert_int_equal(
	    pol_zone_moment(berlin, at("2150-07-01T12:00"), POL_FIRST),
	    at("2150-07-01T10:00"));
	/* A whole day that was left out: Samoa, 2011-12-30. */
	assert_int_equal(pol_zone_moment(zone("Pacific/Apia"),
			     at("2011-12-30T12:00"), POL_FIRST),
	    at("2011-12-30T10:00"));
	assert_int_equal(pol_zone_moment(NULL, at("2026-01-01"), POL_FIRST),
	    at("2026-01-01"));
}

static uint8_t *
slurp(const char *name, size_t *np)
{
	char path[128];
	uint8_t *d = malloc(8192);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", POL_ZONE_DIR, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_non_null(d);
	*np = fread(d, 1, 8192, f);
	assert_int_equal(fclose(f), 0);
	return d;
}

static void
damaged_zone_files_are_refused_or_harmless(void **state)
{
	const struct pol_zone *z;
	size_t n, i;
	uint8_t *d = slurp("Europe/Berlin", &n), *cut;
	struct pol_arena a = {0};

	(void)state;
	for (i = 0; i < n; i++) {
		/* Exactly as large, so that reading past it is seen. */
		cut = malloc(i == 0 ? 1 : i);
		assert_non_null(cut);
		memcpy(cut, d, i);
		assert_int_equal(pol_zone_parse(&a, cut, i, &z), MG_ERR_FORMAT);
		free(cut);
	}
	for (i = 0; i < n * 8; i++) {
		d[i / 8] ^= (uint8_t)(1U << (i % 8));
		if (pol_zone_parse(&a, d, n, &z) == MG_ERR_OK)
			(void)pol_zone_moment(z, NOON / 1000, POL_FIRST);
		d[i / 8] ^= (uint8_t)(1U << (i % 8));
		if (i % 64 == 0)
			pol_arena_fini(&a);
	}
	pol_arena_fini(&a);
	free(d);
}

static void
rule2_zone_names_stay_inside_the_database(void **state)
{
	static const char longer[] = "Europe/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	const char *const bad[] = {"", "/etc/passwd", "../../../etc/passwd",
	    "Europe", "Europe/", "Europe//Berlin", "Europe/../Europe/Berlin",
	    "Europe/./Berlin", "zone.tab", "tzdata.zi", "Mars/Olympus",
	    "Europe/Berlin\n", longer};
	const struct pol_zone *z;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (pol_zone_read(&mem, POL_ZONE_DIR, bad[i], 0, &z) ==
		    MG_ERR_OK)
			fail_msg("'%s'", bad[i]);
}

/* ---- windows ---- */

static bool
is_inside(const char *effect, const char *time, const char *when)
{
	char text[512];
	struct mg_policy *p;
	struct mg_ask ask = ask_for("x", "login", "");
	struct mg_verdict v;

	snprintf(text, sizeof(text),
	    "[rule a]\noperation = login\n%s%s\ntime = %s\n%s",
	    strcmp(effect, "deny") == 0 ? "" : "effect = ",
	    strcmp(effect, "deny") == 0 ? "" : effect, time, "");
	if (strcmp(effect, "deny") == 0)
		snprintf(text, sizeof(text),
		    "[rule a]\noperation = login\n[rule d]\neffect = deny\n"
		    "operation = login\ntime = %s\n",
		    time);
	p = must_load(text);
	ask.now_ms = at(when) * 1000;
	mg_policy_decide(p, &ask, &v);
	mg_policy_free(p);
	return (v.kind == MG_VERDICT_ALLOW) == (strcmp(effect, "allow") == 0);
}

static void
windows_of_days_hours_and_dates(void **state)
{
	static const struct {
		const char *time, *when; /* when is in UTC */
		bool inside;
	} cases[] = {
	    {"mon-fri 08:00-18:00", "2026-11-24T08:00", true},
	    {"mon-fri 08:00-18:00", "2026-11-24T17:59", true},
	    {"mon-fri 08:00-18:00", "2026-11-24T18:00", false},
	    {"mon-fri 08:00-18:00", "2026-11-24T07:59", false},
	    {"mon-fri 08:00-18:00", "2026-11-28T10:00", false},
	    {"sat+sun", "2026-11-28T10:00", true},
	    {"sat+mon-tue", "2026-11-24T10:00", true},
	    {"sat+mon-tue", "2026-11-25T10:00", false},
	    {"fri-mon", "2026-11-29T10:00", true},
	    {"fri-mon", "2026-11-26T10:00", false},
	    /* Over midnight: it belongs to the evening. */
	    {"fri 22:00-06:00", "2026-11-27T22:00", true},
	    {"fri 22:00-06:00", "2026-11-28T05:59", true},
	    {"fri 22:00-06:00", "2026-11-28T06:00", false},
	    {"fri 22:00-06:00", "2026-11-28T22:00", false},
	    {"fri 22:00-06:00", "2026-11-27T05:00", false},
	    {"00:00-24:00", "2026-11-27T23:59", true},
	    {"18:00-24:00", "2026-11-27T23:59", true},
	    {"18:00-24:00", "2026-11-27T00:00", false},
	    {"2026-12-24", "2026-12-24T23:59", true},
	    {"2026-12-24", "2026-12-25T00:00", false},
	    {"2026-12-20 .. 2027-01-04", "2026-12-19T23:59", false},
	    {"2026-12-20 .. 2027-01-04", "2026-12-20T00:00", true},
	    {"2026-12-20 .. 2027-01-04", "2027-01-04T23:59", true},
	    {"2026-12-20 .. 2027-01-04", "2027-01-05T00:00", false},
	    {"2026-12-20 .. 2027-01-04 Europe/Berlin", "2026-12-19T23:00",
		true},
	    {"2026-12-20 .. 2027-01-04 Europe/Berlin", "2027-01-04T23:00",
		false},
	    {"2026-12-20T18:00 .. 2027-01-04T08:00", "2026-12-20T17:59", false},
	    {"2026-12-20T18:00 .. 2027-01-04T08:00", "2027-01-04T07:59", true},
	    {"2026-12-20T18:00 .. 2027-01-04T08:00", "2027-01-04T08:00", false},
	    {"2026-12-01 .. 2026-12-31 mon 09:00-17:00", "2026-12-07T10:00",
		true},
	    {"2026-12-01 .. 2026-12-31 mon 09:00-17:00", "2026-11-30T10:00",
		false},
	    {"mon-fri 08:00-18:00, sat 10:00-12:00", "2026-11-28T11:00", true},
	    {"mon-fri, !2026-11-24", "2026-11-24T11:00", false},
	    {"!2026-11-24", "2026-11-25T11:00", true},
	    {"tue 09:00-10:00 America/New_York", "2026-11-24T14:30", true},
	    {"tue 09:00-10:00 America/New_York", "2026-11-24T09:30", false},
	    /* Other side of the date line: monday evening in Los Angeles. */
	    {"mon 20:00-21:00 America/Los_Angeles", "2026-11-24T04:30", true},
	    /* Berlin, 29 March 2026: 02:00-03:00 never is. */
	    {"02:00-03:00 Europe/Berlin", "2026-03-29T00:59", false},
	    {"02:00-03:00 Europe/Berlin", "2026-03-29T01:00", false},
	    {"01:00-04:00 Europe/Berlin", "2026-03-29T01:00", true},
	    {"01:00-04:00 Europe/Berlin", "2026-03-29T02:00", false},
	    /* Berlin, 25 October 2026: it is twice, and both are inside. */
	    {"02:00-03:00 Europe/Berlin", "2026-10-25T00:00", true},
	    {"02:00-03:00 Europe/Berlin", "2026-10-25T00:59", true},
	    {"02:00-03:00 Europe/Berlin", "2026-10-25T01:00", true},
	    {"02:00-03:00 Europe/Berlin", "2026-10-25T01:59", true},
	    {"02:00-03:00 Europe/Berlin", "2026-10-25T02:00", false},
	    {"02:30-03:00 Europe/Berlin", "2026-10-25T01:15", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (is_inside("allow", cases[i].time, cases[i].when) !=
		    cases[i].inside)
			fail_msg("%s at %s", cases[i].time, cases[i].when);
}

/* 2026-10-25T02:30 is twice: 00:30 and 01:30 UTC. */
static void
rule1_doubt_is_never_an_hour_more(void **state)
{
	static const char begin[] = "2026-10-25T02:30 .. 2026-10-26 "
				    "Europe/Berlin";
	static const char end[] = "2026-10-24 .. 2026-10-25T02:30 "
				  "Europe/Berlin";

	(void)state;
	assert_false(is_inside("allow", begin, "2026-10-25T01:29"));
	assert_true(is_inside("allow", begin, "2026-10-25T01:30"));
	assert_true(is_inside("deny", begin, "2026-10-25T00:30"));
	assert_false(is_inside("deny", begin, "2026-10-25T00:29"));
	assert_true(is_inside("allow", end, "2026-10-25T00:29"));
	assert_false(is_inside("allow", end, "2026-10-25T00:30"));
	assert_true(is_inside("deny", end, "2026-10-25T01:29"));
	assert_false(is_inside("deny", end, "2026-10-25T01:30"));
}

static void
bad_times_are_refused_where_they_stand(void **state)
{
	static const struct {
		const char *time, *message;
	} bad[] = {
	    {"sometimes", "8: no time zone 'sometimes' is known here"},
	    {"mon-fri Mars/Olympus",
		"16: no time zone 'Mars/Olympus' is known here"},
	    {"25:00-26:00", "8: '25:00-26:00' are not hours such as "
			    "08:00-18:00"},
	    {"08:00-24:01",
		"8: '08:00-24:01' are not hours such as 08:00-18:00"},
	    {"8:00-9:00", "8: '8:00-9:00' are not hours such as 08:00-18:00"},
	    {"08:00-08:00", "8: the hours begin and end at once"},
	    {"2026-02-30", "8: '2026-02-30' is not a date such as 2026-12-24 "
			   "or 2026-12-24T18:00"},
	    {"2026-12-20 ..", "8: the end of '..' is missing"},
	    {"2026-12-20 .. 2026-12-19", "8: it ends before it begins"},
	    {"2026-12-20T10:00 .. 2026-12-20T10:00",
		"8: it ends before it begins"},
	    {"2026-12-20T10:00",
		"8: a date with an hour needs '..' and an end"},
	    {"Europe/Berlin", "8: neither a date, nor days, nor hours"},
	    {"mon tue", "12: join days, as in mon-fri or sat+sun"},
	    {"mon-xyz", "8: no time zone 'mon-xyz' is known here"},
	    {"Europe/Berlin mon", "8: 'Europe/Berlin' does not belong here"},
	    {"..", "8: '..' does not belong here"},
	    {"mon,", "12: nothing stands behind the ','"},
	};
	char text[256], message[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
		    "[rule a]\noperation = login\ntime = %s\n", bad[i].time);
		snprintf(message, sizeof(message), "policy.d/t.ini:3:%s",
		    bad[i].message);
		assert_bad_at((int)i, text, message);
	}
}

static void
the_policy_has_a_zone_of_its_own(void **state)
{
	struct mg_policy *p =
	    must_load("[rule a]\noperation = login\ntime = 09:00-10:00\n"
		      "[policy]\ntime-zone = Asia/Tokyo\n");
	struct mg_ask ask = ask_for("x", "login", "");
	struct mg_verdict v;

	(void)state;
	ask.now_ms = at("2026-11-24T00:30") * 1000;
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ALLOW);
	mg_policy_free(p);
	assert_bad("[policy]\ntime-zone = Asia/Nowhere\n",
	    "policy.d/t.ini:2:13: no time zone 'Asia/Nowhere' is known here");
}

/* ---- memberships ---- */

static void
a_membership_ends_with_its_day(void **state)
{
	struct mg_policy *p =
	    must_load("[policy]\ntime-zone = Europe/Berlin\n"
		      "[role r]\nmembers = alice until 2026-12-31, "
		      "bob from 2026-12-01T12:00 until 2026-12-24, "
		      "@g until 2026-12-31, carl, !carl until 2026-12-31\n");
	const struct mg_people *pe = &nobody_in_groups;

	(void)state;
#define HOLDS(user, t) mg_policy_has_role(p, pe, user, "r", at(t) * 1000)
	assert_true(HOLDS("alice", "2026-12-31T22:59"));
	assert_false(HOLDS("alice", "2026-12-31T23:00")); /* midnight there */
	assert_false(HOLDS("bob", "2026-12-01T10:59"));
	assert_true(HOLDS("bob", "2026-12-01T11:00"));
	assert_true(HOLDS("bob", "2026-12-24T22:59"));
	assert_false(HOLDS("bob", "2026-12-24T23:00"));
	assert_false(HOLDS("carl", "2026-12-31T22:59"));
	assert_true(HOLDS("carl", "2026-12-31T23:00"));
	mg_policy_free(p);
	assert_bad("[role r]\nmembers = alice until tomorrow\n",
	    "policy.d/t.ini:2:23: 'tomorrow' is not a date such as "
	    "2026-12-24 or 2026-12-24T18:00");
	assert_bad("[role r]\nmembers = a from 2026-12-24 until 2026-12-23\n",
	    "policy.d/t.ini:2:11: it ends before it begins");
}

/* ---- files ---- */

static void
files_are_asked_about_and_never_guessed(void **state)
{
	struct mg_policy *p = must_load(
	    "[rule a]\noperation = login\nwhen = file:/a present & file:/b "
	    "absent, file:/c newer than 1h\n"
	    "[rule b]\noperation = log\n"
	    "[rule c]\neffect = deny\noperation = log\n"
	    "when = file:/c older than 1h\n");
	struct mg_file_state st[3] = {
	    {MG_FILE_PRESENT, NOON}, {MG_FILE_ABSENT, 0}, {MG_FILE_UNKNOWN, 0}};
	struct mg_ask ask = ask_for("x", "login", "");
	struct mg_verdict v;
	size_t n;

	(void)state;
#define DECIDE(op) (ask.operation = (op), mg_policy_decide(p, &ask, &v), v.kind)
	assert_string_equal(mg_policy_files(p, &n)[2], "/c");
	assert_int_equal(n, 3);
	/* The caller says nothing about files. */
	assert_int_equal(DECIDE("login"), MG_VERDICT_DENY);
	assert_string_equal(v.remedy,
	    "rule a (policy.d/t.ini:1) would allow it when file:/a present & "
	    "file:/b absent or file:/c newer than 1h");
	assert_int_equal(DECIDE("log"), MG_VERDICT_DENY);
	ask.files = st;
	assert_int_equal(DECIDE("login"), MG_VERDICT_ALLOW);
	assert_int_equal(DECIDE("log"), MG_VERDICT_DENY); /* c unknown */
	st[1].is = MG_FILE_PRESENT;
	assert_int_equal(DECIDE("login"), MG_VERDICT_DENY);
	st[2].is = MG_FILE_PRESENT;
	st[2].modified_ms = NOON - 3600 * 1000;
	assert_int_equal(DECIDE("login"), MG_VERDICT_ALLOW);
	assert_int_equal(DECIDE("log"), MG_VERDICT_ALLOW);
	st[2].modified_ms--;
	assert_int_equal(DECIDE("login"), MG_VERDICT_DENY);
	assert_int_equal(DECIDE("log"), MG_VERDICT_DENY);
	st[2].is = MG_FILE_ABSENT;
	assert_int_equal(DECIDE("log"), MG_VERDICT_ALLOW);
	mg_policy_free(p);
}

/* What is said of a file called name in dir; mode 0: it is a link. */
static enum mg_file_is
look(const char *dir, const char *name, mode_t mode, bool is_there)
{
	char path[128], text[512];
	struct mg_file_state st[2];
	struct mg_policy *p;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (is_there && mode == 0) {
		assert_int_equal(symlink("/etc/passwd", path), 0);
	} else if (is_there) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_int_not_equal(fd, -1);
		assert_int_equal(fchmod(fd, mode), 0);
		close(fd);
	}
	snprintf(text, sizeof(text),
	    "[rule a]\noperation = login\nwhen = file:%s present\n", path);
	p = must_load(text);
	mg_policy_files_look(p, st, 2);
	if (is_there)
		assert_int_equal(unlink(path), 0);
	mg_policy_free(p);
	if (st[0].is == MG_FILE_PRESENT)
		assert_true(
		    st[0].modified_ms > NOON - INT64_C(86400000) * 3650);
	return st[0].is;
}

static void
files_are_looked_at(void **state)
{
	char dir[64] = "/tmp/test_policy.XXXXXX";
	/* A person is nobody to say what is so. */
	bool is_system = geteuid() < 1000;
	enum mg_file_is yes = is_system ? MG_FILE_PRESENT : MG_FILE_UNKNOWN;
	enum mg_file_is no = is_system ? MG_FILE_ABSENT : MG_FILE_UNKNOWN;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(look(dir, "x", 0644, true), yes);
	assert_int_equal(look(dir, "x", 0644, false), no);
	assert_int_equal(look(dir, "y/x", 0644, false), no);
	/* Rule 1: others could have written it, put it there, taken it away */
	assert_int_equal(look(dir, "x", 0664, true), MG_FILE_UNKNOWN);
	assert_int_equal(look(dir, "x", 0646, true), MG_FILE_UNKNOWN);
	assert_int_equal(look(dir, "x", 0, true), MG_FILE_UNKNOWN);
	assert_int_equal(look("/tmp", dir + 5, 0644, false), MG_FILE_UNKNOWN);
	assert_int_equal(
	    look("/tmp", "test_policy.none", 0644, false), MG_FILE_UNKNOWN);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(look(dir, "x", 0644, true), MG_FILE_UNKNOWN);
	assert_int_equal(look(dir, "x", 0644, false), MG_FILE_UNKNOWN);
	assert_int_equal(rmdir(dir), 0);
	assert_bad("[rule a]\noperation = login\nwhen = file:x present\n",
	    "policy.d/t.ini:3:13: 'x' is not the absolute path of a file");
	assert_bad("[rule a]\noperation = login\nwhen = /x present\n",
	    "policy.d/t.ini:3:8: '/x present' is not of the form 'file:/path "
	    "present'");
	assert_bad("[rule a]\noperation = login\nwhen = file:/x there\n",
	    "policy.d/t.ini:3:16: 'there' is not 'present', 'absent', 'newer "
	    "than 1h' or 'older than 1h'");
}

static int
teardown(void **state)
{
	(void)state;
	pol_arena_fini(&mem);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(offsets_are_those_of_the_c_library),
	    cmocka_unit_test(moments_at_the_change_of_the_hour),
	    cmocka_unit_test(damaged_zone_files_are_refused_or_harmless),
	    cmocka_unit_test(rule2_zone_names_stay_inside_the_database),
	    cmocka_unit_test(windows_of_days_hours_and_dates),
	    cmocka_unit_test(rule1_doubt_is_never_an_hour_more),
	    cmocka_unit_test(bad_times_are_refused_where_they_stand),
	    cmocka_unit_test(the_policy_has_a_zone_of_its_own),
	    cmocka_unit_test(a_membership_ends_with_its_day),
	    cmocka_unit_test(files_are_asked_about_and_never_guessed),
	    cmocka_unit_test(files_are_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
