/* SPDX-License-Identifier: ISC */
/* Reading flat JSON lines: mg_rec.c, also what mg_json.c writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_json.h"
#include "mg_rec.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct mg_rec rec;

static int
setup(void **state)
{
	(void)state;
	mg_rec_init(&rec);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_rec_fini(&rec);
	return 0;
}

/* From memory that ends where the line ends. */
static enum mg_err
parse_n(const char *line, size_t n)
{
	char *exact = malloc(n == 0 ? 1 : n);
	enum mg_err r;

	assert_non_null(exact);
	memcpy(exact, line, n);
	r = mg_rec_parse(&rec, exact, n);
	free(exact);
	return r;
}

static enum mg_err
parse(const char *line)
{
	return parse_n(line, strlen(line));
}

static void
a_record_holds_texts_numbers_truths_and_lists(void **state)
{
	const char *const *v;
	size_t n;

	(void)state;
	assert_int_equal(parse("{\"s\":\"a b\",\"i\":-7,\"t\":true,\"f\":false,"
			       "\"v\":[\"x\",\"\",\"y\"],\"e\":[],\"\":\"\"}"),
	    MG_ERR_OK);
	assert_int_equal(rec.n, 7);
	assert_string_equal(mg_rec_str(&rec, "s", "?"), "a b");
	assert_true(mg_rec_int(&rec, "i", 0) == -7);
	assert_true(mg_rec_bool(&rec, "t"));
	assert_false(mg_rec_bool(&rec, "f"));
	assert_non_null(v = mg_rec_strv(&rec, "v", &n));
	assert_int_equal(n, 3);
	assert_string_equal(v[0], "x");
	assert_string_equal(v[1], "");
	assert_string_equal(v[2], "y");
	(void)mg_rec_strv(&rec, "e", &n);
	assert_int_equal(n, 0);
	assert_true(mg_rec_has(&rec, "e"));
	assert_string_equal(mg_rec_str(&rec, "", "?"), "");
	assert_int_equal(parse("{}"), MG_ERR_OK);
	assert_int_equal(rec.n, 0);
	assert_false(mg_rec_has(&rec, "s"));
}

static void
a_member_of_another_kind_reads_as_absent(void **state)
{
	size_t n = 9;

	(void)state;
	assert_int_equal(
	    parse("{\"s\":\"1\",\"i\":1,\"t\":true,\"v\":[\"x\"]}"), MG_ERR_OK);
	assert_string_equal(mg_rec_str(&rec, "i", "?"), "?");
	assert_string_equal(mg_rec_str(&rec, "v", "?"), "?");
	assert_string_equal(mg_rec_str(&rec, "none", "?"), "?");
	assert_null(mg_rec_str(&rec, "none", NULL));
	assert_true(mg_rec_int(&rec, "s", 5) == 5);
	assert_true(mg_rec_int(&rec, "t", 5) == 5);
	assert_true(mg_rec_int(&rec, "none", 5) == 5);
	assert_false(mg_rec_bool(&rec, "i"));
	assert_false(mg_rec_bool(&rec, "s"));
	assert_false(mg_rec_bool(&rec, "none"));
	assert_null(mg_rec_strv(&rec, "s", &n));
	assert_int_equal(n, 0);
	assert_false(mg_rec_has(&rec, "none"));
	assert_false(mg_rec_has(&rec, "S"));
}

static void
escapes_stand_for_what_json_says(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t"
			       "\\u0041\\u00e9\\u4e2d\\ud83d\\ude00\\uFFFF\"}"),
	    MG_ERR_OK);
	assert_string_equal(mg_rec_str(&rec, "s", ""),
	    "\"\\/\b\f\n\r\tA\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xef\xbf\xbf");
}

static void
numbers_read_at_their_limits_and_no_further(void **state)
{
	static const struct {
		const char *s;
		int64_t v;
		bool ok;
	} cases[] = {
	    {"0", 0, true},
	    {"9223372036854775807", INT64_MAX, true},
	    {"-9223372036854775808", INT64_MIN, true},
	    {"-1", -1, true},
	    {"9223372036854775808", 0, false},
	    {"-9223372036854775809", 0, false},
	    {"18446744073709551617", 0, false},
	    {"99999999999999999999999", 0, false},
	    {"-0", 0, false},
	    {"00", 0, false},
	    {"01", 0, false},
	    {"-01", 0, false},
	    {"-", 0, false},
	    {"--1", 0, false},
	    {"+1", 0, false},
	    {"1.0", 0, false},
	    {"1.", 0, false},
	    {".1", 0, false},
	    {"1e3", 0, false},
	    {"1E3", 0, false},
	    {"0x1", 0, false},
	    {"1 ", 0, false},
	    {"NaN", 0, false},
	    {"Infinity", 0, false},
	    {"null", 0, false},
	    {"True", 0, false},
	    {"truex", 0, false},
	    {"tru", 0, false},
	    {"", 0, false},
	};
	char line[64];
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		snprintf(line, sizeof(line), "{\"i\":%s}", cases[i].s);
		if ((parse(line) == MG_ERR_OK) != cases[i].ok)
			fail_msg("%s", line);
		if (cases[i].ok)
			assert_true(mg_rec_int(&rec, "i", 1) == cases[i].v);
	}
}

static void
rule1_what_two_readers_could_take_differently_is_refused(void **state)
{
	static const struct {
		const char *line;
		size_t col; /* where it stops */
	} cases[] = {
	    {"", 1},
	    {" {}", 1},
	    {"{ }", 2},
	    {"{}\n", 3},
	    {"{} ", 3},
	    {"{}{}", 3},
	    {"[]", 1},
	    {"\"a\"", 1},
	    {"{,}", 2},
	    {"{\"a\"}", 5},
	    {"{\"a\":}", 6},
	    {"{\"a\":1,}", 8},
	    {"{\"a\": 1}", 6},
	    {"{\"a\" :1}", 5},
	    {"{\"a\":1 ,\"b\":2}", 7},
	    {"{a:1}", 2},
	    {"{'a':1}", 2},
	    {"{1:1}", 2},
	    {"{\"a\":{}}", 6},
	    {"{\"a\":[1]}", 7},
	    {"{\"a\":[[]]}", 7},
	    {"{\"a\":[\"x\",]}", 11},
	    {"{\"a\":[,]}", 7},
	    {"{\"a\":[\"x\" ]}", 10},
	    {"{\"a\":[\"x\"", 10},
	    {"{\"a\":null}", 6},
	    /* a key twice, also when it is written otherwise */
	    {"{\"a\":1,\"a\":1}", 12},
	    {"{\"a\":1,\"\\u0061\":2}", 17},
	    {"{\"a\":1,\"b\":2,\"a\":3}", 18},
	    /* texts */
	    {"{\"a\":\"x}", 9},
	    {"{\"a\":\"\x01\"}", 7},
	    {"{\"a\":\"\t\"}", 7},
	    {"{\"a\":\"\\\"}", 10},
	    {"{\"a\":\"\\x41\"}", 8},
	    {"{\"a\":\"\\'\"}", 8},
	    {"{\"a\":\"\\U0041\"}", 8},
	    {"{\"a\":\"\\u0000\"}", 13},
	    {"{\"a\":\"\\u004\"}", 13},
	    {"{\"a\":\"\\u00g1\"}", 12},
	    {"{\"a\":\"\\ud800\"}", 13},
	    {"{\"a\":\"\\ud800x\"}", 13},
	    {"{\"a\":\"\\ud800\\n\"}", 14},
	    {"{\"a\":\"\\ud800\\u0041\"}", 19},
	    {"{\"a\":\"\\ud800\\ud800\"}", 19},
	    {"{\"a\":\"\\udc00\"}", 13},
	    {"{\"a\":\"\xff\"}", 9},
	    {"{\"a\":\"\xc0\xaf\"}", 10},
	    {"{\"a\":\"\xed\xa0\x80\"}", 11},
	    {"{\"\xff\":1}", 5},
	    {"{\"a\":1}//", 8},
	    {"\xef\xbb\xbf{}", 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (parse(cases[i].line) == MG_ERR_OK)
			fail_msg("read: %s", cases[i].line);
		if (rec.err_col != cases[i].col)
			fail_msg("%s: column %zu", cases[i].line, rec.err_col);
		assert_int_equal(rec.n, 0);
		assert_null(rec.text);
	}
}

static void
a_nul_ends_no_text_early(void **state)
{
	(void)state;
	assert_int_not_equal(parse_n("{\"a\":\"b\0c\"}", 11), MG_ERR_OK);
	assert_int_not_equal(parse_n("{\"a\":1}\0", 8), MG_ERR_OK);
	assert_int_not_equal(parse_n("{\"a\":\"\\\0\"}", 10), MG_ERR_OK);
	assert_int_not_equal(parse_n("\0", 1), MG_ERR_OK);
}

static void
a_line_cut_at_any_byte_is_refused_and_empties_the_record(void **state)
{
	static const char line[] =
	    "{\"s\":\"a\\n\\u00e9\\ud83d\\ude00\",\"i\":-70,\"t\":true,"
	    "\"v\":[\"x\",\"y\"]}";
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(line) - 1; n++) {
		assert_int_equal(parse(line), MG_ERR_OK);
		assert_int_not_equal(parse_n(line, n), MG_ERR_OK);
		assert_int_equal(rec.n, 0);
		assert_int_equal(rec.nstrs, 0);
		assert_false(mg_rec_has(&rec, "s"));
		assert_true(rec.err_col >= 1 && rec.err_col <= n + 1);
	}
}

static char *
with_fields(size_t n)
{
	char *line = malloc(16 * n + 16);
	size_t i, used;

	assert_non_null(line);
	used = (size_t)sprintf(line, "{");
	for (i = 0; i < n; i++)
		used += (size_t)sprintf(
		    line + used, "%s\"%zu\":%zu", i > 0 ? "," : "", i, i);
	sprintf(line + used, "}");
	return line;
}

static char *
with_strings(size_t n)
{
	char *line = malloc(8 * n + 32);
	size_t i, used;

	assert_non_null(line);
	used = (size_t)sprintf(line, "{\"a\":[],\"b\":[");
	for (i = 0; i < n; i++)
		used +=
		    (size_t)sprintf(line + used, "%s\"x\"", i > 0 ? "," : "");
	sprintf(line + used, "]}");
	return line;
}

static void
members_lists_and_lines_are_bounded(void **state)
{
	static char line[MG_REC_LINE_MAX + 1];
	char *s;

	(void)state;
	s = with_fields(MG_REC_FIELDS_MAX);
	assert_int_equal(parse(s), MG_ERR_OK);
	assert_true(mg_rec_int(&rec, "63", 0) == 63);
	free(s);
	s = with_fields(MG_REC_FIELDS_MAX + 1);
	assert_int_equal(parse(s), MG_ERR_LIMIT);
	free(s);
	s = with_strings(MG_REC_STRV_MAX);
	assert_int_equal(parse(s), MG_ERR_OK);
	free(s);
	s = with_strings(MG_REC_STRV_MAX + 1);
	assert_int_equal(parse(s), MG_ERR_LIMIT);
	free(s);
	memset(line, 'x', sizeof(line));
	memcpy(line, "{\"a\":\"", 6);
	memcpy(line + MG_REC_LINE_MAX - 2, "\"}", 2);
	assert_int_equal(parse_n(line, MG_REC_LINE_MAX), MG_ERR_OK);
	assert_int_equal(
	    strlen(mg_rec_str(&rec, "a", "")), MG_REC_LINE_MAX - 8);
	memcpy(line + MG_REC_LINE_MAX - 2, "x\"}", 3);
	assert_int_equal(parse_n(line, MG_REC_LINE_MAX + 1), MG_ERR_LIMIT);
	assert_int_equal(rec.n, 0);
}

static void
a_record_is_read_again_and_again_without_a_trace_of_the_last(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_int_equal(
		    parse("{\"old\":\"x\",\"v\":[\"1\",\"2\"]}"), MG_ERR_OK);
		assert_int_equal(parse("{\"new\":\"y\"}"), MG_ERR_OK);
		assert_false(mg_rec_has(&rec, "old"));
		assert_string_equal(mg_rec_str(&rec, "new", ""), "y");
	}
	mg_rec_fini(&rec);
	mg_rec_fini(&rec);
	assert_false(mg_rec_has(&rec, "new"));
}

static size_t
utf8(uint32_t cp, char *out)
{
	size_t n = 0;

	if (cp < 0x80) {
		out[n++] = (char)cp;
		return n;
	}
	if (cp < 0x800) {
		out[n++] = (char)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		out[n++] = (char)(0xe0 | cp >> 12);
		out[n++] = (char)(0x80 | (cp >> 6 & 63));
	} else {
		out[n++] = (char)(0xf0 | cp >> 18);
		out[n++] = (char)(0x80 | (cp >> 12 & 63));
		out[n++] = (char)(0x80 | (cp >> 6 & 63));
	}
	out[n++] = (char)(0x80 | (cp & 63));
	return n;
}

static void
every_character_survives_writing_and_reading(void **state)
{
	char raw[64 * 4 + 1];
	struct mg_json j;
	struct mg_buf b;
	uint32_t cp, k;
	size_t n;

	(void)state;
	mg_buf_init(&b, MG_REC_LINE_MAX);
	for (cp = 1; cp <= 0x10ffff; cp += 61) {
		for (n = 0, k = cp; k < cp + 61 && k <= 0x10ffff; k++)
			if (k < 0xd800 || k > 0xdfff)
				n += utf8(k, raw + n);
		raw[n] = '\0';
		mg_buf_reset(&b);
		mg_json_begin(&j, &b);
		mg_json_obj(&j, NULL);
		mg_json_str(&j, raw, raw); /* as a key, too */
		mg_json_obj_end(&j);
		assert_int_equal(mg_json_end(&j), MG_ERR_OK);
		assert_int_equal(
		    mg_rec_parse(
			&rec, (const char *)mg_buf_ptr(&b), mg_buf_len(&b)),
		    MG_ERR_OK);
		assert_string_equal(mg_rec_str(&rec, raw, "?"), raw);
	}
	mg_buf_fini(&b);
}

static void
every_kind_survives_writing_and_reading(void **state)
{
	const char *const v[] = {"", "a", "\"\\\n", "\xe2\x80\xae"};
	const char *const *got;
	struct mg_json j;
	struct mg_buf b;
	size_t n, i;

	(void)state;
	mg_buf_init(&b, MG_REC_LINE_MAX);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_int(&j, "min", INT64_MIN);
	mg_json_int(&j, "max", INT64_MAX);
	mg_json_int(&j, "zero", 0);
	mg_json_bool(&j, "yes", true);
	mg_json_bool(&j, "no", false);
	mg_json_strv(&j, "v", v, N(v));
	mg_json_strv(&j, "none", NULL, 0);
	mg_json_obj_end(&j);
	assert_int_equal(mg_json_end(&j), MG_ERR_OK);
	assert_int_equal(
	    mg_rec_parse(&rec, (const char *)mg_buf_ptr(&b), mg_buf_len(&b)),
	    MG_ERR_OK);
	assert_true(mg_rec_int(&rec, "min", 0) == INT64_MIN);
	assert_true(mg_rec_int(&rec, "max", 0) == INT64_MAX);
	assert_true(mg_rec_int(&rec, "zero", 7) == 0);
	assert_true(mg_rec_bool(&rec, "yes"));
	assert_false(mg_rec_bool(&rec, "no"));
	got = mg_rec_strv(&rec, "v", &n);
	assert_int_equal(n, N(v));
	for (i = 0; i < n; i++)
		assert_string_equal(got[i], v[i]);
	mg_buf_fini(&b);
}

/* Texts are read eight bytes at once: every byte at every place of every
 * short text is judged as it would be alone. */
static void
each_byte_at_each_place_is_judged_alone(void **state)
{
	char line[64], want[32];
	size_t len, at;
	unsigned c;
	bool good;

	(void)state;
	for (len = 1; len <= 18; len++)
		for (at = 0; at < len; at++)
			for (c = 0; c < 256; c++) {
				memset(want, 'x', len);
				want[at] = (char)c;
				want[len] = '\0';
				memcpy(line, "{\"k\":\"", 6);
				memcpy(line + 6, want, len);
				memcpy(line + 6 + len, "\"}", 2);
				/* \x is no escape, a quote ends early */
				good = c >= 0x20 && c < 0x80 && c != '"' &&
				       c != '\\';
				assert_int_equal(
				    parse_n(line, len + 8) == MG_ERR_OK, good);
				assert_string_equal(mg_rec_str(&rec, "k", ""),
				    good ? want : "");
			}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_record_holds_texts_numbers_truths_and_lists),
	    T(a_member_of_another_kind_reads_as_absent),
	    T(escapes_stand_for_what_json_says),
	    T(numbers_read_at_their_limits_and_no_further),
	    T(rule1_what_two_readers_could_take_differently_is_refused),
	    T(a_nul_ends_no_text_early),
	    T(a_line_cut_at_any_byte_is_refused_and_empties_the_record),
	    T(members_lists_and_lines_are_bounded),
	    T(a_record_is_read_again_and_again_without_a_trace_of_the_last),
	    T(each_byte_at_each_place_is_judged_alone),
	    T(every_character_survives_writing_and_reading),
	    T(every_kind_survives_writing_and_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
