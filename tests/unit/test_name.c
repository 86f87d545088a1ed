/* SPDX-License-Identifier: ISC */
/* Identifiers and patterns: mg_name.c. */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mg_name.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
names_begin_with_a_letter_or_digit(void **state)
{
	static const char *const good[] = {"a", "Z", "0", "9x", "fraud-scorer",
	    "v1.2.3", "a_b", "A.-_", "a.", "a-", "12"};
	char s[3] = "?a";
	size_t i;
	int c;

	(void)state;
	for (i = 0; i < N(good); i++) {
		assert_true(mg_name_is_valid(good[i]));
		assert_string_equal(mg_name_why(good[i]), "is valid");
	}
	for (c = 1; c < 256; c++) {
		s[0] = (char)c;
		assert_int_equal(mg_name_is_valid(s),
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9'));
	}
}

static void
no_other_character_stands_in_a_name(void **state)
{
	char s[4] = "a?b";
	int c;

	(void)state;
	for (c = 1; c < 256; c++) {
		s[1] = (char)c;
		assert_int_equal(mg_name_is_valid(s),
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '.' || c == '_' ||
			c == '-');
	}
}

static void
a_name_is_a_path_s_part_and_no_option(void **state)
{
	static const struct {
		const char *s, *why;
	} cases[] = {
	    {"", "is empty"},
	    {"-rf", "begins with '-'"},
	    {"-", "begins with '-'"},
	    {".", "begins with '.'"},
	    {"..", "begins with '.'"},
	    {".hidden", "begins with '.'"},
	    {"a/b", "contains '/'"},
	    {"/etc", "contains '/'"},
	    {"a/../b", "contains '/'"},
	    {"a..b", "contains '..'"},
	    {"a..", "contains '..'"},
	    {"_a", "does not begin with a letter or digit"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_false(mg_name_is_valid(cases[i].s));
		assert_string_equal(mg_name_why(cases[i].s), cases[i].why);
	}
}

static void
a_name_has_96_characters_at_most(void **state)
{
	char s[20000];

	(void)state;
	memset(s, 'a', sizeof(s));
	s[96] = '\0';
	assert_true(mg_name_is_valid(s));
	s[96] = 'a';
	s[97] = '\0';
	assert_false(mg_name_is_valid(s));
	s[97] = 'a';
	s[sizeof(s) - 1] = '\0';
	assert_false(mg_name_is_valid(s));
	assert_string_equal(mg_name_why(s), "is longer than 96 characters");
}

static void
a_reference_splits_into_model_and_version(void **state)
{
	char m[MG_NAME_MAX + 1], v[MG_NAME_MAX + 1];

	(void)state;
	assert_true(mg_name_split_ref("fraud-scorer@12", m, v));
	assert_string_equal(m, "fraud-scorer");
	assert_string_equal(v, "12");
	assert_true(mg_name_split_ref("fraud-scorer", m, v));
	assert_string_equal(m, "fraud-scorer");
	assert_string_equal(v, "");
}

static void
a_reference_that_is_none_leaves_no_part_behind(void **state)
{
	static const char *const bad[] = {"", "@", "@1", "m@", "m@@1", "m@1@2",
	    "-m@1", "m@-1", "../m@1", "m@../1", "m @1", "m@1 ", "m@1\n"};
	char m[MG_NAME_MAX + 1], v[MG_NAME_MAX + 1], s[3 * MG_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		memset(m, 'x', sizeof(m));
		memset(v, 'x', sizeof(v));
		assert_false(mg_name_split_ref(bad[i], m, v));
		assert_string_equal(m, "");
		assert_string_equal(v, "");
	}
	memset(s, 'a', sizeof(s));
	s[sizeof(s) - 1] = '\0';
	assert_false(mg_name_split_ref(s, m, v));
	assert_string_equal(m, "");
	s[1] = '@';
	assert_false(mg_name_split_ref(s, m, v));
	assert_string_equal(m, "");
	assert_string_equal(v, "");
}

static void
patterns_match_as_their_stars_say(void **state)
{
	static const struct {
		const char *s, *pattern;
		bool is;
	} cases[] = {
	    {"", "", true},
	    {"", "*", true},
	    {"", "?", false},
	    {"a", "", false},
	    {"fraud-1", "fraud-*", true},
	    {"fraud-", "fraud-*", true},
	    {"fraud", "fraud-*", false},
	    {"xfraud-1", "fraud-*", false},
	    {"abc", "a?c", true},
	    {"ac", "a?c", false},
	    {"abcabc", "*abc", true},
	    {"abcab", "*abc", false},
	    {"aXbYc", "a*b*c", true},
	    {"acb", "a*b*c", false},
	    {"aab", "*ab", true},
	    {"mississippi", "m*iss*ip*i", true},
	    {"mississippi", "m*iss*is*x", false},
	    {"abc", "***", true},
	    {"abc", "**?**?**?**", true},
	    {"ab", "**?**?**?**", false},
	    {"a*b", "a*b", true},
	    {"A", "a", false},
	    {"a.b", "a.b", true},
	    {"axb", "a.b", false},
	    {"a", "[a]", false},
	    {"\\*", "\\*", true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		if (mg_name_matches(cases[i].s, cases[i].pattern) !=
		    cases[i].is)
			fail_msg("'%s' and '%s'", cases[i].s, cases[i].pattern);
}

/* Exponential in a naive matcher. */
static void
a_hostile_pattern_takes_no_longer_than_its_length_squared(void **state)
{
	char s[4001], p[4001];
	struct timespec a, b;
	size_t i;

	(void)state;
	memset(s, 'a', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	for (i = 0; i + 2 < sizeof(p); i += 2) {
		p[i] = '*';
		p[i + 1] = 'a';
	}
	p[i - 1] = 'b';
	p[i] = '\0';
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a), 0);
	assert_false(mg_name_matches(s, p));
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b), 0);
	assert_true(b.tv_sec - a.tv_sec <= 2);
}

static bool
slip(const char *s, const char *name)
{
	return mg_name_is_slip(s, strlen(s), name);
}

static void
one_slip_is_recognised_and_no_more(void **state)
{
	(void)state;
	assert_true(slip("deplyo", "deploy"));	/* exchanged */
	assert_true(slip("deply", "deploy"));	/* too few */
	assert_true(slip("deplloy", "deploy")); /* too many */
	assert_true(slip("deplay", "deploy"));	/* another */
	assert_true(slip("eploy", "deploy"));
	assert_true(slip("deploys", "deploy"));
	assert_false(slip("ru", "run")); /* too short to tell */
	assert_true(slip("rnu", "run"));
	assert_false(slip("deploy", "deploy"));
	assert_false(slip("dpeloys", "deploy"));
	assert_false(slip("deplxz", "deploy"));
	assert_false(slip("yolped", "deploy"));
	assert_false(slip("", "deploy"));
	assert_false(slip("aaa", "aaaaa"));
	assert_true(slip("aaa", "aaaa"));
	assert_true(mg_name_is_slip("deplyo, x", 6, "deploy"));
}

static void
the_option_that_was_meant_is_found_behind_two_dashes(void **state)
{
	static const struct option longs[] = {{"reason", 1, NULL, 'r'},
	    {"no-wait", 0, NULL, 'n'}, {NULL, 0, NULL, 0}};

	(void)state;
	assert_string_equal(mg_name_meant_option("--reson", longs), "reason");
	assert_string_equal(mg_name_meant_option("--reson=x", longs), "reason");
	assert_string_equal(mg_name_meant_option("--nowait", longs), "no-wait");
	assert_null(mg_name_meant_option("--reason", longs));
	assert_null(mg_name_meant_option("-reson", longs));
	assert_null(mg_name_meant_option("reson", longs));
	assert_null(mg_name_meant_option("--", longs));
	assert_null(mg_name_meant_option("", longs));
	assert_null(mg_name_meant_option("--because", longs));
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
	    T(one_slip_is_recognised_and_no_more),
	    T(the_option_that_was_meant_is_found_behind_two_dashes),
	    T(names_begin_with_a_letter_or_digit),
	    T(no_other_character_stands_in_a_name),
	    T(a_name_is_a_path_s_part_and_no_option),
	    T(a_name_has_96_characters_at_most),
	    T(a_reference_splits_into_model_and_version),
	    T(a_reference_that_is_none_leaves_no_part_behind),
	    T(patterns_match_as_their_stars_say),
	    T(a_hostile_pattern_takes_no_longer_than_its_length_squared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
