/* SPDX-License-Identifier: ISC */
/* [test] sections, and questions in words. */
#include "mg_time.h"
#include "policy_fixture.h"

#define BASE                                                                   \
	"[operation deploy]\ncommand = /bin/true\nrun-as = a\n"                \
	"[operation retire]\ncommand = /bin/true\nrun-as = a\n"                \
	"[role eng]\nmembers = @ml-eng\n"                                      \
	"[role risk]\nmembers = bob, rita, @risk\n"                            \
	"[role data]\nmembers = carol\n"                                       \
	"[model fraud-*]\ntier = high\n"                                       \
	"[rule two]\noperation = deploy\nrole = eng\nmodel = tier:high\n"      \
	"host = env:production\nmfa = required\n"                              \
	"approve = 1 risk, 1 data\n"                                           \
	"[rule freeze]\neffect = deny\noperation = deploy\n"                   \
	"time = 2026-12-20 .. 2027-01-04 Europe/Berlin\n"                      \
	"[rule incident]\neffect = deny\noperation = deploy\n"                 \
	"when = file:/run/incident present\n"                                  \
	"[rule free]\noperation = retire\nmodel = !tier:high\n"                \
	"max-concurrent = 1\nrate = 3 per 1d\nbudget = 1GiB per 1d\n"          \
	"[separation s]\noperations = deploy, retire\n"                        \
	"[rule way]\noperation = retire\nmodel = tier:high\n"                  \
	"approve = 2 risk or (1 risk, 1 data)\n"

static void
tests_that_say_what_is_so_load(void **state)
{
	static const char *const good[] = {
	    "given = alice deploy fraud-a@1 on env:production\n"
	    "groups = ml-eng\n"
	    "expect = ask mfa, 1 risk, 1 data\n",
	    "given = alice deploy fraud-a@1 on env:production\n"
	    "groups = ml-eng\n"
	    "expect = ask 1 data,mfa ,  1 risk\n",
	    "given = alice deploy fraud-a@1 on env:production\n"
	    "expect = deny no-rule\n",
	    "given = alice deploy fraud-a@1 on env:test\n"
	    "groups = ml-eng\nexpect = deny\n",
	    "given = alice deploy fraud-a@1 on env:production at "
	    "2026-12-20T00:30\n"
	    "groups = ml-eng\nexpect = deny by freeze\n",
	    "given = alice deploy fraud-a@1 on env:production at "
	    "2027-01-05T00:00\n"
	    "groups = ml-eng\nexpect = ask mfa, 1 risk, 1 data\n",
	    "given = alice deploy fraud-a@1 on env:production\n"
	    "groups = ml-eng\nfiles = /run/incident present\n"
	    "expect = deny deny-rule by incident\n",
	    "given = alice deploy fraud-a@1 on env:production\n"
	    "groups = ml-eng\napproved = bob\n"
	    "expect = ask mfa, 1 data\n",
	    "given = alice deploy fraud-a@1 on env:production\n"
	    "groups = ml-eng, dan:risk\napproved = dan, carol\n"
	    "expect = ask mfa\n",
	    "given = bob deploy fraud-a@1 on env:production\n"
	    "groups = ml-eng\napproved = bob, carol\n"
	    "expect = ask mfa, 1 risk\n",
	    "given = alice retire ocr@1 size 10MiB\nexpect = allow\n",
	    "given = alice retire ocr@1\nexpect = deny limit\n",
	    "given = alice retire ocr@1 size 10MiB\n"
	    "live = bob retire ocr\nexpect = deny limit by free\n",
	    "given = alice retire ocr@1 size 10MiB\n"
	    "live = bob retire other\nexpect = allow\n",
	    "given = alice retire ocr@1 size 10MiB\ngranted = 3\n"
	    "expect = deny limit\n",
	    "given = alice retire ocr@1 size 10MiB\nbytes = 1GiB\n"
	    "expect = deny limit\n",
	    "given = alice retire ocr@1 size 10MiB\n"
	    "history = alice did deploy\nexpect = deny separation\n",
	    "given = alice retire ocr@1 size 10MiB\n"
	    "history = bob did deploy, alice approved deploy\n"
	    "expect = allow\n",
	    "given = alice retire fraud-a@1\n"
	    "expect = ask  2 risk  or (1 risk, 1 data)\n",
	    "given = alice retire fraud-a@1\napproved = bob, rita\n"
	    "expect = allow\n",
	    "given = alice fly\nexpect = deny unknown-operation\n",
	};
	char text[4096];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text),
		    "[policy]\ntime-zone = Europe/Berlin\n" BASE
		    "[test t%zu]\n%s",
		    i, good[i]);
		mg_policy_free(must_load(text));
	}
}

static void
a_policy_whose_test_fails_does_not_load(void **state)
{
	(void)state;
	assert_bad(BASE "[test t]\ngiven = alice deploy fraud-a@1 on "
			"env:production\ngroups = ml-eng\nexpect = allow\n",
	    "policy.d/t.ini:45:10: test 't' fails: it is 'ask mfa, 1 data, 1 "
	    "risk', by policy.d/t.ini:15");
	assert_bad(BASE "[test t]\ngiven = alice deploy fraud-a@1\n"
			"expect = deny by freeze\n",
	    "policy.d/t.ini:44:10: test 't' fails: it is 'deny no-rule'");
	assert_bad(BASE "[test t]\ngiven = alice deploy fraud-a@1\n"
			"expect = deny limit\n",
	    "policy.d/t.ini:44:10: test 't' fails: it is 'deny no-rule'");
}

static void
rule1_a_test_depends_on_nothing_outside(void **state)
{
	/* A freeze that is always on now, and off long ago. */
	static const char text[] =
	    "[rule a]\noperation = login\n"
	    "[rule b]\neffect = deny\noperation = login\n"
	    "time = 2020-01-01 .. 2999-01-01\n"
	    "[test t]\ngiven = alice login\nexpect = allow\n"
	    "[test noon]\ngiven = alice root-shell\nexpect = allow\n"
	    "[rule c]\noperation = root-shell\ntime = wed 12:00-12:01\n";

	(void)state;
	mg_policy_free(must_load(text));
}

static void
mistakes_in_tests_are_said(void **state)
{
	static const struct {
		const char *lines, *message;
	} bad[] = {
	    {"given = alice login\n", "1:7: a test needs 'given' and "
				      "'expect'"},
	    {"expect = allow\n", "1:7: a test needs 'given' and 'expect'"},
	    {"given = alice\nexpect = allow\n",
		"2:14: an operation must stand here"},
	    {"given = a/b login\nexpect = allow\n",
		"2:9: a user must stand here"},
	    {"given = alice login x y\nexpect = allow\n",
		"2:23: 'y' is neither MODEL[@VERSION] nor on, from or at"},
	    {"given = alice login on\nexpect = allow\n",
		"2:21: something is missing behind 'on'"},
	    {"given = alice login at noon\nexpect = allow\n",
		"2:24: 'noon' is not a time such as 2026-12-24T18:00 (or with "
		"a Z, for UTC)"},
	    {"given = alice login from x\nexpect = allow\n",
		"2:26: 'x' is not an address"},
	    {"given = alice login key dsa\nexpect = allow\n",
		"2:25: 'dsa' is not ed25519, ecdsa, rsa, hardware or "
		"certificate"},
	    {"given = alice login size 1\nexpect = allow\n",
		"2:26: '1' is not a size such as 10GiB"},
	    {"given = alice login stage x\nexpect = allow\n",
		"2:27: 'x' is not of the form Staging:Production"},
	    {"given = alice login\nexpect = maybe\n",
		"3:10: write 'allow', 'deny', 'deny REASON', 'deny by RULE' "
		"or 'ask mfa, 1 ROLE'"},
	    {"given = alice login\nexpect = allow\nhistory = x\n",
		"4:11: write 'USER did OPERATION' or 'USER approved "
		"OPERATION'"},
	    {"given = alice login\nexpect = allow\nlive = x\n",
		"4:8: write 'USER OPERATION MODEL'"},
	    {"given = alice login\nexpect = allow\nfiles = x\n",
		"4:9: write 'PATH present', 'PATH absent' or its age, 'PATH "
		"2h'"},
	    {"given = alice login\nexpect = allow\nbytes = 0GiB\n",
		"4:9: '0GiB' is not a size such as 10GiB"},
	};
	char text[512], message[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[test t]\n%s", bad[i].lines);
		snprintf(message, sizeof(message), "policy.d/t.ini:%s",
		    bad[i].message);
		assert_bad_at((int)i, text, message);
	}
}

static void
a_question_in_words(void **state)
{
	static const char *const words[] = {"alice", "deploy", "m@3", "on",
	    "env:production,h1,gpu:a100", "from", "::1", "at",
	    "2026-07-01T12:00", "key", "hardware", "key-age", "10d", "mfa-age",
	    "5m", "size", "2MiB", "stage", "None:Staging", "created-by", "bob"};
	static const char *const utc[] = {
	    "alice", "login", "at", "2026-07-01T12:00Z"};
	const struct pol_zone *berlin;
	struct pol_arena mem = {0};
	static struct pol_given g;
	int64_t ms;

	(void)state;
	assert_int_equal(
	    pol_zone_read(&mem, POL_ZONE_DIR, "Europe/Berlin", 0, &berlin),
	    MG_ERR_OK);
	assert_int_equal(mg_time_parse("2026-07-01T10:00", 0, &ms), MG_ERR_OK);
	pol_given_init(&g, berlin);
	assert_true(pol_given_parse(&g, words, 21));
	assert_string_equal(g.ask.user, "alice");
	assert_string_equal(g.ask.operation, "deploy");
	assert_string_equal(g.ask.model, "m");
	assert_string_equal(g.ask.version, "3");
	assert_string_equal(g.ask.host, "h1");
	assert_int_equal(g.ask.nlabels, 2);
	assert_string_equal(g.ask.labels[1], "gpu:a100");
	assert_string_equal(g.ask.from, "::1");
	assert_true(g.ask.now_ms == ms);
	assert_true(g.ask.login_key_is_hardware);
	assert_true(g.ask.login_key_since_ms == ms - INT64_C(864000000));
	assert_true(g.ask.mfa_ms == ms - 300000);
	assert_int_equal(g.ask.bytes, 2 << 20);
	assert_string_equal(g.ask.stage_from, "None");
	assert_string_equal(g.ask.stage_to, "Staging");
	assert_string_equal(g.ask.creator, "bob");
	pol_given_init(&g, berlin);
	assert_true(pol_given_parse(&g, utc, 4));
	assert_true(g.ask.now_ms == ms + 2 * 3600000);
	assert_string_equal(g.ask.model, "");
	pol_arena_fini(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tests_that_say_what_is_so_load),
	    cmocka_unit_test(a_policy_whose_test_fails_does_not_load),
	    cmocka_unit_test(rule1_a_test_depends_on_nothing_outside),
	    cmocka_unit_test(mistakes_in_tests_are_said),
	    cmocka_unit_test(a_question_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
