/* SPDX-License-Identifier: ISC */
/* The words on a line of pam.d. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "pam_args.h"

#define ARGC(a) ((int)(sizeof(a) / sizeof((a)[0])))

static void
no_words_mean_login(void **state)
{
	struct pam_args args;
	char why[128];

	(void)state;
	assert_true(pam_args_parse(0, NULL, &args, why, sizeof(why)));
	assert_string_equal(args.operation, "login");
	assert_string_equal(args.rescue, "");
	assert_int_equal(args.timeout_ms, 0);
	assert_false(args.quiet);
	assert_false(args.debug);
}

static void
all_words_are_understood(void **state)
{
	const char *argv[] = {"operation=root-shell", "rescue=ops,anna",
	    "timeout=2500", "quiet", "debug"};
	struct pam_args args;
	char why[128];

	(void)state;
	assert_true(pam_args_parse(ARGC(argv), argv, &args, why, sizeof(why)));
	assert_string_equal(args.operation, "root-shell");
	assert_int_equal(args.timeout_ms, 2500);
	assert_true(args.quiet);
	assert_true(args.debug);
}

static void
rule1_a_word_that_is_not_understood_is_an_error(void **state)
{
	static const char *const bad[] = {"", "operation",
	    "operation=", "operation=../x", "operation=-x", "operation=a b",
	    "Operation=x", "operations=x", "rescue=", "rescue=,", "rescue=a,",
	    "rescue=,a", "rescue=a,,b", "rescue=a b", "rescue=a/b",
	    "timeout=", "timeout=0", "timeout=99", "timeout=600001",
	    "timeout=1e3", "timeout=+500", "timeout=-500", "timeout= 500",
	    "timeout=0500", "timeout=500ms", "timeout=99999999999999999999",
	    "quiet=yes", "quiet ", "QUIET", "socket=/tmp/x", "nullok",
	    "use_first_pass", "debug=1"};
	struct pam_args args;
	const char *argv[1];
	char why[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		argv[0] = bad[i];
		why[0] = '\0';
		if (pam_args_parse(1, argv, &args, why, sizeof(why)))
			fail_msg("'%s' is accepted", bad[i]);
		assert_non_null(strstr(why, bad[i]));
	}
}

static void
rule1_a_word_given_twice_is_an_error(void **state)
{
	static const char *const twice[][2] = {
	    {"operation=a", "operation=b"},
	    {"rescue=a", "rescue=b"},
	    {"timeout=500", "timeout=600"},
	    {"quiet", "quiet"},
	    {"debug", "debug"},
	};
	struct pam_args args;
	const char *argv[2];
	char why[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
		argv[0] = twice[i][0];
		argv[1] = twice[i][1];
		assert_false(pam_args_parse(2, argv, &args, why, sizeof(why)));
	}
}

static void
a_missing_or_hostile_word_is_shown_clean(void **state)
{
	const char *argv[] = {"qui\033[2Jet"}, *none[] = {NULL};
	struct pam_args args;
	char why[128];

	(void)state;
	assert_false(pam_args_parse(1, argv, &args, why, sizeof(why)));
	assert_null(strchr(why, '\033'));
	assert_false(pam_args_parse(1, none, &args, why, sizeof(why)));
}

static void
a_rescue_list_has_at_most_32_names_of_96_characters(void **state)
{
	char list[33 * 2 + 8] = "rescue=a", longest[128];
	const char *argv[1] = {list};
	struct pam_args args;
	char why[256];
	int i;

	(void)state;
	for (i = 1; i < 32; i++)
		snprintf(
		    list + strlen(list), sizeof(list) - strlen(list), ",a");
	assert_true(pam_args_parse(1, argv, &args, why, sizeof(why)));
	snprintf(list + strlen(list), sizeof(list) - strlen(list), ",a");
	assert_false(pam_args_parse(1, argv, &args, why, sizeof(why)));
	snprintf(longest, sizeof(longest), "rescue=%096d", 0);
	argv[0] = longest;
	assert_true(pam_args_parse(1, argv, &args, why, sizeof(why)));
	snprintf(longest, sizeof(longest), "rescue=%097d", 0);
	assert_false(pam_args_parse(1, argv, &args, why, sizeof(why)));
}

static void
rescue_matches_whole_names_only(void **state)
{
	const char *argv[] = {"rescue=ops,anna"};
	struct pam_args args;
	char why[128];

	(void)state;
	assert_true(pam_args_parse(1, argv, &args, why, sizeof(why)));
	assert_true(pam_args_is_rescue(&args, "ops"));
	assert_true(pam_args_is_rescue(&args, "anna"));
	assert_false(pam_args_is_rescue(&args, "op"));
	assert_false(pam_args_is_rescue(&args, "opsy"));
	assert_false(pam_args_is_rescue(&args, "ann"));
	assert_false(pam_args_is_rescue(&args, "ops,anna"));
	assert_false(pam_args_is_rescue(&args, ""));
	assert_false(pam_args_is_rescue(&args, "OPS"));
}

static void
without_rescue_nobody_is_rescued(void **state)
{
	struct pam_args args;
	char why[128];

	(void)state;
	assert_true(pam_args_parse(0, NULL, &args, why, sizeof(why)));
	assert_false(pam_args_is_rescue(&args, "root"));
	assert_false(pam_args_is_rescue(&args, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_words_mean_login),
	    cmocka_unit_test(all_words_are_understood),
	    cmocka_unit_test(rule1_a_word_that_is_not_understood_is_an_error),
	    cmocka_unit_test(rule1_a_word_given_twice_is_an_error),
	    cmocka_unit_test(a_missing_or_hostile_word_is_shown_clean),
	    cmocka_unit_test(
		a_rescue_list_has_at_most_32_names_of_96_characters),
	    cmocka_unit_test(rescue_matches_whole_names_only),
	    cmocka_unit_test(without_rescue_nobody_is_rescued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
