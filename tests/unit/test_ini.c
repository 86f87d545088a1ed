/* SPDX-License-Identifier: ISC */
/* Strict INI: mg_ini.c, and what inih alone makes of the same bytes. */
#include <ini.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_buf.h"
#include "mg_ini.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct mg_diags ds;
static char got[16384]; /* "[type|name]key=value;" for each delivery */

static int
setup(void **state)
{
	(void)state;
	mg_diags_init(&ds);
	got[0] = '\0';
	return 0;
}

static void
deliver(void *arg, const struct mg_ini_line *l)
{
	size_t n = strlen(got);

	assert_ptr_equal(arg, got);
	assert_string_equal(l->file, "x.ini");
	assert_true(l->line > 0);
	if (l->key == NULL)
		snprintf(
		    got + n, sizeof(got) - n, "[%s|%s]", l->section, l->name);
	else
		snprintf(got + n, sizeof(got) - n, "%s=%s;", l->key, l->value);
}

static enum mg_err
parse_n(const char *text, size_t n)
{
	char *exact = malloc(n == 0 ? 1 : n);
	enum mg_err r;

	assert_non_null(exact);
	memcpy(exact, text, n);
	(void)setup(NULL);
	r = mg_ini_parse("x.ini", exact, n, deliver, got, &ds);
	free(exact);
	return r;
}

static enum mg_err
parse(const char *text)
{
	return parse_n(text, strlen(text));
}

static void
assert_reads(const char *text, const char *expected)
{
	if (parse(text) != MG_ERR_OK)
		fail_msg("refused: %s", text);
	assert_string_equal(got, expected);
	assert_int_equal(ds.errors + ds.warnings, 0);
}

static void
assert_refused(
    const char *text, unsigned line, unsigned col, const char *message)
{
	if (parse(text) != MG_ERR_FORMAT)
		fail_msg("read: %s", text);
	assert_int_equal(ds.errors, 1);
	assert_string_equal(ds.v[0].file, "x.ini");
	if (ds.v[0].line != line || ds.v[0].col != col)
		fail_msg("%s: said %u:%u", text, ds.v[0].line, ds.v[0].col);
	assert_string_equal(ds.v[0].text, message);
	assert_false(ds.v[0].is_warning);
}

/* ---- what is read ---- */

static void
sections_and_settings_come_in_file_order(void **state)
{
	(void)state;
	assert_reads("", "");
	assert_reads("\n\n", "");
	assert_reads(
	    "[a]\nk = v\n[b x]\nk = w\nl=1\n", "[a|]k=v;[b|x]k=w;l=1;");
	assert_reads("[a]\nk = v", "[a|]k=v;"); /* no newline at the end */
	assert_reads("[a]", "[a|]");
	assert_reads("[rule nobody deploys]\n", "[rule|nobody deploys]");
	assert_reads("[a\tb]\n", "[a|b]");
	assert_reads("[a]\nk\t=\tv  \t\n", "[a|]k=v;");
	assert_reads("[a]\nk = a = b\n", "[a|]k=a = b;");
	assert_reads("[a]\nk = \xc3\xa9\n", "[a|]k=\xc3\xa9;");
	assert_reads("[a]\nk = [b]\n", "[a|]k=[b];");
	assert_reads("[a]\nk: x = v\n", "[a|]k: x=v;");
}

static void
comments_are_those_that_the_header_names(void **state)
{
	(void)state;
	assert_reads("; x\n# y\n[a] ; z\n;\nk = v ; w\n", "[a|]k=v;");
	assert_reads("[a]\t; z\nk = v\t; w\n", "[a|]k=v;");
	assert_reads("[a]\nk = v;w\n", "[a|]k=v;w;");
	assert_reads("[a]\nk =;w\n", "[a|]k=;w;");
	assert_reads("[a]\nk = v # w\n", "[a|]k=v # w;");
	assert_reads("[a]\nk = \"x ; y\" ; z\n", "[a|]k=\"x ; y\";");
	assert_reads("[a]\nk = \"x\" \"y ; z\"\n", "[a|]k=\"x\" \"y ; z\";");
	assert_reads("  \t \n[a]\n \nk = v\n", "[a|]k=v;");
}

static void
a_line_knows_where_its_parts_stand(void **state)
{
	(void)state;
	mg_diags_init(&ds);
	assert_refused("[a]\nlonger =   \"x\n", 2, 12, "quote is not closed");
}

/* ---- what is refused, and where ---- */

static void
lines_over_4096_bytes_are_refused(void **state)
{
	static char text[MG_INI_LINE_MAX + 64];
	size_t n = (size_t)sprintf(text, "[a]\nk = ");

	(void)state;
	memset(text + n, 'x', MG_INI_LINE_MAX - 4);
	strcpy(text + n + MG_INI_LINE_MAX - 4, "\nl = 1\n");
	assert_int_equal(parse(text), MG_ERR_OK);
	assert_int_equal(strlen(got),
	    strlen("[a|]k=") + MG_INI_LINE_MAX - 4 + strlen(";l=1;"));
	memset(text + n, 'x', MG_INI_LINE_MAX - 3);
	strcpy(text + n + MG_INI_LINE_MAX - 3, "\nl = 1\n");
	assert_refused(text, 2, 0, "line is longer than 4096 bytes");
	assert_string_equal(got, "[a|]l=1;"); /* the rest is still judged */
	text[0] = '#';			      /* in a comment, too */
	memset(text + 1, 'x', MG_INI_LINE_MAX + 10);
	text[MG_INI_LINE_MAX + 11] = '\0';
	assert_refused(text, 1, 0, "line is longer than 4096 bytes");
}

static void
bytes_that_do_not_print_are_refused_where_they_stand(void **state)
{
	static const char *const bad[] = {"\x01", "\x1b", "\r", "\x7f",
	    "\xc2\x85", "\xe2\x80\xae", "\xe2\x80\x8b", "\xe2\x80\xa8",
	    "\xef\xbb\xbf", "\xf3\xa0\x81\x81"};
	char text[64];
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		snprintf(text, sizeof(text), "[a]\nk = v%s\n", bad[i]);
		assert_refused(text, 2, 6, "control or invisible character");
		snprintf(text, sizeof(text), "[a]\n; %s\n", bad[i]);
		assert_refused(text, 2, 3, "control or invisible character");
		snprintf(text, sizeof(text), "%s[a]\n", bad[i]);
		assert_refused(text, 1, 1, "control or invisible character");
	}
	assert_refused(
	    "[a]\r\nk = v\n", 1, 4, "control or invisible character");
	assert_refused("[a]\nk = \xff\n", 2, 5, "bytes are not UTF-8");
	assert_refused("[a]\nk = v\xc3\n", 2, 6, "bytes are not UTF-8");
	assert_refused("# \xc0\xaf\n", 1, 3, "bytes are not UTF-8");
}

static void
a_nul_is_refused_and_hides_nothing(void **state)
{
	static const char text[] = "[a]\nk = v\0 ; x\nl = w\n";

	(void)state;
	assert_int_equal(parse_n(text, sizeof(text) - 1), MG_ERR_FORMAT);
	assert_int_equal(ds.v[0].line, 2);
	assert_int_equal(ds.v[0].col, 6);
	assert_string_equal(got, "[a|]l=w;");
	assert_int_equal(parse_n("\0", 1), MG_ERR_FORMAT);
}

static void
indented_lines_are_refused(void **state)
{
	(void)state;
	assert_refused("[a]\n k = v\n", 2, 1, "line is indented");
	assert_refused("[a]\nk = v\n\tmore\n", 3, 1, "line is indented");
	assert_refused(" [a]\n", 1, 1, "line is indented");
	assert_refused("[a]\n ; x\n", 2, 1, "line is indented");
}

static void
bad_headers_are_refused_once_and_their_keys_skipped(void **state)
{
	static const struct {
		const char *header;
		unsigned col;
		const char *message;
	} cases[] = {
	    {"[a", 3, "']' is missing"},
	    {"[", 2, "']' is missing"},
	    {"[a]x", 4, "text after ']'"},
	    {"[a] x", 5, "text after ']'"},
	    {"[a]]", 4, "text after ']'"},
	    {"[a];x", 4, "text after ']'"},
	    {"[a] # x", 5, "text after ']'"},
	    {"[a] = 1", 5, "text after ']'"},
	    {"[]", 2, "section is not '[type]' or '[type name]'"},
	    {"[ a]", 2, "section is not '[type]' or '[type name]'"},
	    {"[a ]", 2, "section is not '[type]' or '[type name]'"},
	    {"[a b ]", 2, "section is not '[type]' or '[type name]'"},
	    {"[ ]", 2, "section is not '[type]' or '[type name]'"},
	};
	char text[128];
	size_t i;

	(void)state;
	assert_refused(
	    "[z]\n[a \xff]\nk = v\n[y]\n", 2, 4, "bytes are not UTF-8");
	assert_string_equal(got, "[z|][y|]");
	for (i = 0; i < N(cases); i++) {
		snprintf(text, sizeof(text), "%s\nk = v\nl = w\n[z]\nm = 1\n",
		    cases[i].header);
		assert_refused(text, 1, cases[i].col, cases[i].message);
		assert_string_equal(got, "[z|]m=1;");
	}
}

static void
a_section_that_comes_twice_is_refused(void **state)
{
	(void)state;
	assert_refused("[a]\nk = 1\n[b]\n[a]\nk = 2\n", 4, 1,
	    "section stands in this file already");
	assert_string_equal(got, "[a|]k=1;[b|]");
	assert_refused(
	    "[a x]\n[a x]\n", 2, 1, "section stands in this file already");
	/* However they are spelled. */
	assert_refused(
	    "[a x]\n[a  x]\n", 2, 1, "section stands in this file already");
	assert_refused(
	    "[a x]\n[a \tx]\n", 2, 1, "section stands in this file already");
	assert_refused(
	    "[a]\n[a] ; x\n", 2, 1, "section stands in this file already");
	/* And these are not the same. */
	assert_reads("[a]\n[a x]\n[a y]\n[A]\n[ax]\n[a x y]\n[a x  y]\n",
	    "[a|][a|x][a|y][A|][ax|][a|x y][a|x  y]");
}

static void
five_thousand_sections_are_told_apart(void **state)
{
	struct mg_buf b;
	unsigned i;

	(void)state;
	mg_buf_init(&b, 1 << 20);
	for (i = 0; i < 5000; i++)
		assert_int_equal(mg_buf_putf(&b, "[r %u]\n", i), MG_ERR_OK);
	assert_int_equal(mg_buf_putf(&b, "[r 4321]\n"), MG_ERR_OK);
	assert_int_equal(parse_n((const char *)mg_buf_ptr(&b), mg_buf_len(&b)),
	    MG_ERR_FORMAT);
	assert_int_equal(ds.errors, 1);
	assert_int_equal(ds.v[0].line, 5001);
	mg_buf_fini(&b);
}

static void
bad_settings_are_refused_where_they_are_bad(void **state)
{
	static const struct {
		const char *line;
		unsigned col;
		const char *message;
	} cases[] = {
	    {"k", 1, "neither '[section]' nor 'key = value'"},
	    {"k v", 1, "neither '[section]' nor 'key = value'"},
	    {"k: v", 1, "neither '[section]' nor 'key = value'"},
	    {"= v", 1, "key is empty"},
	    {"=", 1, "key is empty"},
	    {"k =", 4, "value is empty"},
	    {"k=", 3, "value is empty"},
	    {"k = \t ", 7, "value is empty"},
	    {"k = ; x", 5, "value is empty"},
	    {"k = \"x", 5, "quote is not closed"},
	    {"k = x\" ; y", 5, "quote is not closed"},
	    {"k = \"\"\"", 5, "quote is not closed"},
	};
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		snprintf(text, sizeof(text), "[a]\nz = 0\n%s\ny = 1\n",
		    cases[i].line);
		assert_refused(text, 3, cases[i].col, cases[i].message);
		assert_string_equal(got, "[a|]z=0;y=1;");
	}
}

static void
a_key_that_comes_twice_in_a_section_is_refused(void **state)
{
	(void)state;
	assert_refused("[a]\nk = 1\nl = 2\nk\t= 3\n", 4, 1,
	    "key stands in this section already");
	assert_string_equal(got, "[a|]k=1;l=2;");
	assert_reads("[a]\nk = 1\n[b]\nk = 2\n", "[a|]k=1;[b|]k=2;");
	assert_reads("[a]\nk = 1\nK = 2\n", "[a|]k=1;K=2;");
}

static void
keys_are_bounded_in_number_and_length(void **state)
{
	char text[4096], key[65];
	size_t n = 0, i;

	(void)state;
	n += (size_t)sprintf(text, "[a]\n");
	for (i = 0; i < MG_INI_KEYS_MAX; i++)
		n += (size_t)sprintf(text + n, "k%zu = %zu\n", i, i);
	assert_int_equal(parse(text), MG_ERR_OK);
	sprintf(text + n, "one-more = 1\n");
	assert_refused(
	    text, MG_INI_KEYS_MAX + 2, 1, "more than 64 keys in this section");
	memset(key, 'k', sizeof(key));
	key[63] = '\0';
	snprintf(text, sizeof(text), "[a]\n%s = 1\n", key);
	assert_int_equal(parse(text), MG_ERR_OK);
	key[63] = 'k';
	key[64] = '\0';
	snprintf(text, sizeof(text), "[a]\n%s = 1\n", key);
	assert_refused(text, 2, 1, "key is longer than 63 bytes");
}

static void
keys_before_the_first_section_are_refused(void **state)
{
	(void)state;
	assert_refused("k = v\n[a]\n", 1, 1, "key outside of a section");
	assert_refused("# x\n\nk = v\n", 3, 1, "key outside of a section");
}

static void
every_problem_of_a_file_is_found(void **state)
{
	(void)state;
	assert_int_equal(parse("k = 1\n[a\nx\n[b]\n y = 1\nk =\nk = 2\n[b]\n"),
	    MG_ERR_FORMAT);
	assert_int_equal(ds.errors, 7);
	assert_int_equal(ds.v[0].line, 1);
	assert_int_equal(ds.v[1].line, 2);
	assert_int_equal(ds.v[2].line, 3);
	assert_int_equal(ds.v[3].line, 5);
	assert_int_equal(ds.v[4].line, 6);
	assert_int_equal(ds.v[5].line, 7);
	assert_int_equal(ds.v[6].line, 8);
}

static void
errors_that_the_caller_finds_do_not_count_as_ours(void **state)
{
	(void)state;
	mg_diags_add(&ds, false, "other", 1, 1, NULL, "earlier");
	assert_int_equal(
	    mg_ini_parse("x.ini", "[a]\n", 4, deliver, got, &ds), MG_ERR_OK);
	assert_int_equal(ds.errors, 1);
}

/* ---- inih alone ---- */

static int
stock(void *arg, const char *section, const char *name, const char *value)
{
	size_t n = strlen(arg);

	snprintf((char *)arg + n, sizeof(got) - n, "[%s]%s=%s;", section,
	    name == NULL ? "" : name, value == NULL ? "" : value);
	return 1;
}

static void
assert_stock_reads(const char *text, const char *expected)
{
	static char seen[sizeof(got)];

	seen[0] = '\0';
	assert_int_equal(ini_parse_string(text, stock, seen), 0);
	assert_string_equal(seen, expected);
	if (parse(text) == MG_ERR_OK && strcmp(got, expected) == 0)
		fail_msg("no difference: %s", text);
}

/* Why there is a reader in front of it. */
static void
inih_alone_reads_in_silence_what_is_refused_here(void **state)
{
	char text[512];

	(void)state;
	assert_stock_reads("[a]\nk = 1\nk = 2\n", "[a]k=1;[a]k=2;");
	assert_stock_reads("[a]\nk = 1\n[a]\nl = 2\n", "[a]k=1;[a]l=2;");
	assert_stock_reads("[a] junk\nk = 1\n", "[a]k=1;");
	assert_stock_reads("k = 1\n", "[]k=1;");
	assert_stock_reads("[a]\nk = 1\n and more\n", "[a]k=1;[a]k=and more;");
	assert_stock_reads("[a]\nk: 1\n", "[a]k=1;");
	assert_stock_reads("[a]\nk =\n", "[a]k=;");
	assert_stock_reads("[a]\nk = \"x ; y\"\n", "[a]k=\"x;");
	assert_stock_reads("[a]\r\nk = 1\r\n", "[a]k=1;");
	assert_stock_reads("[a]\nk = \x1b[2J\n", "[a]k=\x1b[2J;");
	/* The tail of a long line becomes a setting of its own. */
	snprintf(text, sizeof(text), "[a]\nk = %195sdeny = no\n", "x");
	assert_stock_reads(text, "[a]k=x;[a]deny=no;");
}

static void
names_of_files_end_in_ini(void **state)
{
	(void)state;
	assert_true(mg_ini_is_name("a.ini"));
	assert_true(mg_ini_is_name("a.b.ini"));
	assert_false(mg_ini_is_name(".ini"));
	assert_false(mg_ini_is_name(".a.ini"));
	assert_false(mg_ini_is_name("a.INI"));
	assert_false(mg_ini_is_name("a.ini~"));
	assert_false(mg_ini_is_name("a.ini.bak"));
	assert_false(mg_ini_is_name("ini"));
	assert_false(mg_ini_is_name(""));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    T(sections_and_settings_come_in_file_order),
	    T(comments_are_those_that_the_header_names),
	    T(a_line_knows_where_its_parts_stand),
	    T(lines_over_4096_bytes_are_refused),
	    T(bytes_that_do_not_print_are_refused_where_they_stand),
	    T(a_nul_is_refused_and_hides_nothing),
	    T(indented_lines_are_refused),
	    T(bad_headers_are_refused_once_and_their_keys_skipped),
	    T(a_section_that_comes_twice_is_refused),
	    T(five_thousand_sections_are_told_apart),
	    T(bad_settings_are_refused_where_they_are_bad),
	    T(a_key_that_comes_twice_in_a_section_is_refused),
	    T(keys_are_bounded_in_number_and_length),
	    T(keys_before_the_first_section_are_refused),
	    T(every_problem_of_a_file_is_found),
	    T(errors_that_the_caller_finds_do_not_count_as_ours),
	    T(inih_alone_reads_in_silence_what_is_refused_here),
	    T(names_of_files_end_in_ini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
