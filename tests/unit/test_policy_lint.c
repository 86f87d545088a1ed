/* SPDX-License-Identifier: ISC */
/* What loads, but cannot be meant; and what must not load. */
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "policy_fixture.h"

static char dir[64], file[96];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_lint.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/t.ini", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir);
}

/* ann and bob are in g, which the machine knows; eve is in no group. */
static struct fixture_people world = {
    .groups = {{"ann", "g", NULL}, {"bob", "g", NULL}, {"eve", NULL},
	{"rob", NULL}, {"pat", NULL}, {"www", NULL}}};

static bool
has_user(void *arg, const char *user)
{
	size_t n;

	(void)arg;
	return fixture_groups_of(&world, user, &n) != NULL;
}

static bool
has_group(void *arg, const char *group)
{
	(void)arg;
	return strcmp(group, "g") == 0 || strcmp(group, "empty") == 0;
}

/* Whether it loads; findings are in ds. */
static bool
load(const char *text, bool today)
{
	static struct mg_people people;
	const struct mg_policy_lint lint = {.people = &people,
	    .now_ms = NOON,
	    .has_user = has_user,
	    .has_group = has_group};
	const struct mg_policy_source src = {.policy_dir = dir,
	    .can = MG_POLICY_CAN_ALL,
	    .lint = today ? &lint : NULL};
	struct mg_policy *p;
	FILE *f = fopen(file, "w");
	enum mg_err r;

	people = people_of(&world);
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	mg_diags_init(&ds);
	r = mg_policy_load(&src, &p, &ds);
	mg_policy_free(p);
	return r == MG_ERR_OK;
}

/* "LINE:COL: text" of finding i, without the folder. */
static const char *
finding(size_t i)
{
	static char text[512];
	char *at;
	size_t n;

	if (i >= ds.n)
		return "none";
	n = (size_t)snprintf(text, sizeof(text), "%u:%u: %s%s", ds.v[i].line,
	    ds.v[i].col, ds.v[i].is_warning ? "" : "error: ", ds.v[i].text);
	if ((at = strstr(text, dir)) != NULL) {
		memmove(at + 3, at + strlen(dir),
		    n - strlen(dir) + 1 - (size_t)(at - text));
		memcpy(at, "DIR", 3);
	}
	return text;
}

#define OP "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"
#define OPS "[role ops]\nmembers = ann, bob\n"

/* The only finding. */
#define finds(text, expected)                                                  \
	do {                                                                   \
		(void)load(text, true);                                        \
		assert_string_equal(finding(0), expected);                     \
		assert_int_equal(ds.n, 1);                                     \
	} while (0)

static void
a_policy_without_a_fault_has_no_findings(void **state)
{
	(void)state;
	assert_true(
	    load(OP OPS "[role risk]\nmembers = rob, @g\n"
			"[model m*]\ntier = high\n[user ann]\nteam = a\n"
			"[rule r]\noperation = deploy\nrole = ops\n"
			"model = tier:high\nuser = team:a\n"
			"time = 2026-11-01 .. 2026-12-01 mon-fri\n"
			"approve = 1 risk\n",
		true));
	assert_string_equal(finding(0), "none");
}

#define ASKS OP OPS "[rule r]\noperation = deploy\nrole = ops\napprove = "

static void
quorums_that_nobody_can_ever_reach_do_not_load(void **state)
{
	(void)state;
	assert_false(load(ASKS "2 risk\n[role risk]\nmembers = rob\n", false));
	assert_string_equal(finding(0),
	    "9:13: error: nobody can ever reach this: 'risk' has fewer than "
	    "2 people");
	/* Service accounts approve nothing; an or needs one way only. */
	assert_false(load(ASKS "1 risk\n[role risk]\nmembers = rob\n"
			       "[user rob]\nkind = service\n",
	    false));
	assert_true(load(ASKS "2 risk or 1 boss\n[role risk]\nmembers = rob\n"
			      "[role boss]\nmembers = pat\n",
	    false));
	assert_false(load(ASKS "1 boss then 2 risk\n[role risk]\n"
			       "members = rob, !eve\n"
			       "[role boss]\nmembers = risk\n",
	    false));
}

static void
rule1_days_and_groups_decide_nothing_about_loading(void **state)
{
	(void)state;
	assert_true(
	    load(ASKS "1 risk\n[role risk]\nmembers = @empty\n", false));
	assert_true(load(ASKS "1 risk\n[role risk]\n"
			      "members = rob until 2001-01-01\n",
	    false));
}

static void
quorums_that_nobody_reaches_today_are_errors_of_check(void **state)
{
	(void)state;
	assert_false(
	    load(ASKS "1 risk\n[role risk]\nmembers = @empty\n", true));
	assert_string_equal(finding(0),
	    "9:13: error: nobody holds 'risk' today: this cannot be approved");
	assert_false(load(ASKS "1 risk\n[role risk]\n"
			       "members = rob until 2001-01-01\n",
	    true));
	/* Two roles of one person. */
	assert_false(load(ASKS "1 risk, 1 boss\n[role risk]\nmembers = rob\n"
			       "[role boss]\nmembers = rob\n",
	    true));
	assert_string_equal(finding(0),
	    "9:11: error: today's people are too few to approve this");
	/* Who is in an unknown group is not known. */
	assert_true(load(ASKS "1 risk\n[role risk]\nmembers = @else\n", true));
	/* Stages: whatever the order of names is. */
	assert_true(load(ASKS "1 risk then 1 boss\n[role risk]\n"
			      "members = rob\n[role boss]\nmembers = pat\n",
	    true));
	assert_true(load(ASKS "1 boss then 1 risk\n[role risk]\n"
			      "members = rob\n[role boss]\nmembers = pat\n",
	    true));
}

static void
a_requester_who_is_the_only_approver(void **state)
{
	(void)state;
	finds(ASKS "1 risk\n[role risk]\nmembers = ann\n",
	    "9:11: when ann asks, too few are left who can approve");
	assert_true(load(
	    ASKS "1 ops, 1 risk\n[role risk]\nmembers = rob, ann\n", true));
	assert_string_equal(finding(0), "none");
}

static void
rules_that_never_apply(void **state)
{
	(void)state;
	finds(OP "[role a]\nmembers = ann\n[rule r]\noperation = deploy\n"
		 "role = a, !a\n",
	    "8:8: the rule never applies: all of this is excluded again");
	finds(OP "[rule r]\noperation = deploy\nmodel = m & tier:high, !m\n"
		 "[model m]\ntier = high\n",
	    "6:9: the rule never applies: all of this is excluded again");
	finds(OP "[rule r]\noperation = deploy\nmodel = m, tier:high\n",
	    "6:12: no model has 'tier:high'");
	finds(OP "[rule r]\noperation = deploy\nuser = team:x\n",
	    "6:8: no user has 'team:x'");
	finds(OP "[rule r]\noperation = deploy\n"
		 "time = 2026-11-23 .. 2026-11-27 sat+sun\n",
	    "6:8: the rule never applies: these days are not in these dates");
	finds(OP "[rule r]\noperation = deploy\n"
		 "time = 2025-11-23 .. 2025-11-30\n",
	    "6:8: the rule never applies again: this time is over");
}

static void
rules_that_a_denial_swallows(void **state)
{
	(void)state;
	finds(OP OPS "[rule r]\noperation = deploy\nrole = ops\n"
		     "host = env:a & gpu:x\nmfa = required\n"
		     "[rule d]\neffect = deny\noperation = deploy\n"
		     "host = env:a, env:b\n",
	    "6:7: rule 'r' never counts: 'd' (DIR/t.ini:11) denies all of it");
}

static void
a_denial_of_less_swallows_nothing(void **state)
{
	static const char *const lines[] = {"host = env:a & env:b\n",
	    "host = env:a\ntime = mon-fri\n", "host = env:a\nrole = ops\n",
	    "host = env:a\nfrom = 10.0.0.0/8\n"};
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof(text),
		    OP OPS "[rule r]\noperation = deploy\nhost = env:a\n"
			   "[rule d]\neffect = deny\noperation = deploy\n%s",
		    lines[i]);
		assert_true(load(text, true));
		assert_string_equal(finding(0), "none");
	}
}

static void
names_that_differ_by_case_only(void **state)
{
	(void)state;
	finds(OP "[role ops]\nmembers = ann\n[role Ops]\nmembers = ann\n",
	    "6:7: [role ops] (line 4 of t.ini) differs by case only");
}

static void
names_that_the_machine_does_not_know(void **state)
{
	(void)state;
	finds("[role a]\nmembers = ann, zoe until 2027-01-01\n",
	    "2:16: this machine knows no user 'zoe'");
	finds("[role a]\nmembers = ann, user:zoe\n",
	    "2:21: this machine knows no user 'zoe'");
	finds("[role a]\nmembers = ann, !@no group until 2027-01-01\n",
	    "2:18: this machine knows no group 'no group'");
	finds(
	    "[user zoe]\nteam = a\n", "1:7: this machine knows no user 'zoe'");
	finds("[permission *]\nread = @other\n",
	    "2:9: this machine knows no group 'other'");
	finds("[operation x]\ncommand = /bin/true\nrun-as = zoe\n",
	    "3:10: this machine knows no user 'zoe'");
}

static void
roles_that_nobody_holds_today(void **state)
{
	(void)state;
	finds(
	    "[role a]\nmembers = @empty\n", "1:7: nobody holds role 'a' today");
	finds("[role a]\nmembers = ann until 2001-01-01\n",
	    "1:7: nobody holds role 'a' today");
	finds("[role a]\nmembers = ann, !@g\n",
	    "1:7: nobody holds role 'a' today");
}

static void
commands_that_are_not_there_or_not_safe(void **state)
{
	char text[256], path[96];
	FILE *f;

	(void)state;
	finds("[operation x]\ncommand = /bin/no-such {model}\nrun-as = www\n",
	    "2:11: '/bin/no-such' is not there");
	snprintf(path, sizeof(path), "%s/run", dir);
	assert_non_null(f = fopen(path, "w"));
	fclose(f);
	snprintf(text, sizeof(text),
	    "[operation x]\ncommand = %s\nrun-as = www\n", path);
	assert_int_equal(chmod(path, 0644), 0);
	(void)load(text, true);
	assert_non_null(strstr(finding(0), "cannot be executed"));
	assert_int_equal(chmod(path, 0777), 0);
	(void)load(text, true);
	assert_non_null(strstr(finding(0), "can be changed by others"));
	assert_int_equal(ds.n, 1);
	assert_int_equal(unlink(path), 0);
}

/* A denial that nobody sees: in a copy, a hidden file, another case. */
static void
files_that_are_not_read_are_named(void **state)
{
	static const char *const names[] = {
	    "t.ini.bak", ".u.ini", "u.INI", "u.ini.example"};
	char path[4][128], file_of[MG_DIAG_FILE_MAX];
	size_t i, j, n = 0;

	(void)state;
	for (i = 0; i < 4; i++) {
		FILE *f;

		snprintf(path[i], sizeof(path[i]), "%s/%s", dir, names[i]);
		assert_non_null(f = fopen(path[i], "w"));
		assert_int_equal(fclose(f), 0);
	}
	assert_true(load("[role r]\nmembers = ann\n", true));
	for (i = 0; i < ds.n; i++) {
		snprintf(file_of, sizeof(file_of), "%s", ds.v[i].file);
		assert_true(ds.v[i].is_warning);
		for (j = 0; j < 3; j++)
			n += strcmp(file_of, path[j]) == 0;
		assert_string_not_equal(file_of, path[3]);
	}
	assert_int_equal(n, 3);
	assert_true(load("[role r]\nmembers = ann\n", false));
	assert_int_equal(ds.n, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(unlink(path[i]), 0);
}

static void
models_that_nobody_has_to_name_are_no_protection(void **state)
{
	(void)state;
	assert_true(load("[operation any]\ncommand = /bin/true {args}\n"
			 "run-as = www\n[rule a]\noperation = any\n"
			 "[rule d]\neffect = deny\noperation = any\n"
			 "model = fraud-*\n",
	    true));
	assert_int_equal(ds.n, 1);
	assert_string_equal(finding(0),
	    "9:9: 'any' takes no {model}: who asks for none is not concerned");
	assert_true(load("[operation any]\ncommand = /bin/true {model}\n"
			 "run-as = www\n[rule a]\noperation = any\n"
			 "[rule d]\neffect = deny\noperation = any\n"
			 "model = fraud-*\n",
	    true));
	assert_int_equal(ds.n, 0);
}

int
main(void)
{
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    DIR_TEST(a_policy_without_a_fault_has_no_findings),
	    DIR_TEST(quorums_that_nobody_can_ever_reach_do_not_load),
	    DIR_TEST(rule1_days_and_groups_decide_nothing_about_loading),
	    DIR_TEST(quorums_that_nobody_reaches_today_are_errors_of_check),
	    DIR_TEST(a_requester_who_is_the_only_approver),
	    DIR_TEST(rules_that_never_apply),
	    DIR_TEST(rules_that_a_denial_swallows),
	    DIR_TEST(a_denial_of_less_swallows_nothing),
	    DIR_TEST(names_that_differ_by_case_only),
	    DIR_TEST(names_that_the_machine_does_not_know),
	    DIR_TEST(roles_that_nobody_holds_today),
	    DIR_TEST(commands_that_are_not_there_or_not_safe),
	    DIR_TEST(files_that_are_not_read_are_named),
	    DIR_TEST(models_that_nobody_has_to_name_are_no_protection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
