/* SPDX-License-Identifier: ISC */
/* Problems in files, as people see them: mg_diag.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_diag.h"
#include "mg_esc.h"

static struct mg_diags ds;

static int
setup(void **state)
{
	(void)state;
	mg_diags_init(&ds);
	return 0;
}

static char *
printed(void)
{
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	assert_non_null(f);
	mg_diags_print(&ds, f);
	assert_int_equal(fclose(f), 0);
	return out;
}

static void
assert_printed(const char *expected)
{
	char *out = printed();

	assert_string_equal(out, expected);
	free(out);
}

static void
a_problem_is_shown_with_its_place_its_line_and_a_mark(void **state)
{
	(void)state;
	mg_diags_add(&ds, false, "agent.ini", 3, 8, "mode = maybe",
	    "'%s' is neither", "maybe");
	mg_diags_add(&ds, true, "agent.ini", 4, 0, "x = y", "unused");
	mg_diags_add(&ds, false, "agent.ini", 0, 0, NULL, "no such file");
	assert_int_equal(ds.errors, 2);
	assert_int_equal(ds.warnings, 1);
	assert_printed("agent.ini:3:8: 'maybe' is neither\n"
		       "    mode = maybe\n"
		       "           ^\n"
		       "agent.ini:4: warning: unused\n"
		       "    x = y\n"
		       "agent.ini: no such file\n");
}

static void
the_mark_stands_below_its_character(void **state)
{
	(void)state;
	/* A tab is shown as two, e acute is two bytes and shown as one, an
	 * escape sequence is shown as six. */
	mg_diags_add(&ds, false, "f", 1, 4, "a\t=b", "b");
	mg_diags_add(&ds, false, "f", 1, 4, "\xc3\xa9=b", "b");
	mg_diags_add(&ds, false, "f", 1, 2, "\x1b=b", "=");
	mg_diags_add(&ds, false, "f", 1, 4, "a=b", "behind the end");
	mg_diags_add(&ds, false, "f", 1, 5, "a=b", "too far");
	assert_printed("f:1:4: b\n    a\\t=b\n        ^\n"
		       "f:1:4: b\n    \xc3\xa9=b\n      ^\n"
		       "f:1:2: =\n    \\u{1b}=b\n          ^\n"
		       "f:1:4: behind the end\n    a=b\n       ^\n"
		       "f:1:5: too far\n    a=b\n");
}

static void
there_is_no_mark_where_the_line_was_cut(void **state)
{
	char src[1000], *out;

	(void)state;
	memset(src, 'x', sizeof(src) - 1);
	src[sizeof(src) - 1] = '\0';
	mg_diags_add(&ds, false, "f", 1, 900, src, "far");
	mg_diags_add(&ds, false, "f", 1, 256, src, "at the cut");
	mg_diags_add(&ds, false, "f", 1, UINT32_MAX, src, "nowhere");
	memset(src, '\x1b', sizeof(src) - 1);
	mg_diags_add(&ds, false, "f", 1, 100, src, "far, when escaped");
	memset(src, 'x', sizeof(src) - 1);
	out = printed();
	assert_null(strchr(out, '^'));
	assert_non_null(strstr(out, "x...\n"));
	free(out);
	mg_diags_init(&ds);
	mg_diags_add(&ds, false, "f", 1, 200, src, "near");
	out = printed();
	assert_non_null(strchr(out, '^'));
	free(out);
}

static void
nothing_that_is_shown_moves_the_cursor_or_hides(void **state)
{
	char first[512], *out, *p;

	(void)state;
	mg_diags_add(&ds, false, "a\nb.ini", 1, 1, "k\x1b[2J = \xe2\x80\xae",
	    "bad '%s'", "\x1b]0;x\x07\n\xff");
	mg_diags_first(&ds, first, sizeof(first));
	assert_true(mg_esc_is_clean(first));
	out = printed();
	for (p = out; (p = strchr(p, '\n')) != NULL;)
		*p++ = ' ';
	assert_true(mg_esc_is_clean(out));
	free(out);
}

static void
twenty_are_kept_and_the_rest_is_counted(void **state)
{
	unsigned i;
	char *out;

	(void)state;
	for (i = 1; i <= 50; i++)
		mg_diags_add(&ds, false, "f", i, 0, NULL, "problem %u", i);
	assert_int_equal(ds.n, MG_DIAG_MAX);
	assert_int_equal(ds.errors, 50);
	assert_string_equal(ds.v[0].text, "problem 1");
	assert_string_equal(ds.v[19].text, "problem 20");
	out = printed();
	assert_non_null(strstr(out, "and 30 more\n"));
	free(out);
}

static void
an_error_pushes_out_the_last_warning_and_keeps_the_order(void **state)
{
	unsigned i;

	(void)state;
	mg_diags_add(&ds, false, "f", 1, 0, NULL, "e1");
	for (i = 2; i <= 20; i++)
		mg_diags_add(&ds, i % 2 == 0, "f", i, 0, NULL, "x%u", i);
	mg_diags_add(&ds, true, "f", 21, 0, NULL, "late warning");
	assert_int_equal(ds.v[19].line, 20);
	mg_diags_add(&ds, false, "f", 22, 0, NULL, "late error");
	assert_int_equal(ds.n, MG_DIAG_MAX);
	assert_int_equal(ds.v[18].line, 19);
	assert_string_equal(ds.v[19].text, "late error");
	/* As long as there are warnings; then errors are only counted. */
	for (i = 0; i < 30; i++)
		mg_diags_add(&ds, false, "f", 100 + i, 0, NULL, "more");
	for (i = 0; i < ds.n; i++)
		assert_false(ds.v[i].is_warning);
	for (i = 1; i < ds.n; i++)
		assert_true(ds.v[i - 1].line < ds.v[i].line);
	assert_int_equal(ds.errors, 10 + 1 + 30);
	assert_int_equal(ds.warnings, 11);
}

static void
the_first_error_goes_before_any_warning(void **state)
{
	char out[256];

	(void)state;
	mg_diags_first(&ds, out, sizeof(out));
	assert_string_equal(out, "no problem found");
	mg_diags_add(&ds, true, "f", 1, 2, "x", "odd");
	mg_diags_first(&ds, out, sizeof(out));
	assert_string_equal(out, "f:1:2: warning: odd");
	mg_diags_add(&ds, false, "g", 7, 0, "x", "wrong");
	mg_diags_first(&ds, out, sizeof(out));
	assert_string_equal(out, "g:7: wrong");
	memset(out, 'x', sizeof(out));
	mg_diags_first(&ds, out, 5);
	assert_string_equal(out, "g:7:");
}

static void
a_file_that_has_no_name_is_no_crash(void **state)
{
	(void)state;
	mg_diags_add(&ds, false, NULL, 0, 0, NULL, "x");
	assert_printed(": x\n");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    T(a_problem_is_shown_with_its_place_its_line_and_a_mark),
	    T(the_mark_stands_below_its_character),
	    T(there_is_no_mark_where_the_line_was_cut),
	    T(nothing_that_is_shown_moves_the_cursor_or_hides),
	    T(twenty_are_kept_and_the_rest_is_counted),
	    T(an_error_pushes_out_the_last_warning_and_keeps_the_order),
	    T(the_first_error_goes_before_any_warning),
	    T(a_file_that_has_no_name_is_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
