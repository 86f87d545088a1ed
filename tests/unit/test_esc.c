/* SPDX-License-Identifier: ISC */
/* UTF-8 and escaping: mg_esc.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_esc.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct mg_buf b, back;

static int
setup(void **state)
{
	(void)state;
	mg_buf_init(&b, 4096);
	mg_buf_init(&back, 4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_buf_fini(&b);
	mg_buf_fini(&back);
	return 0;
}

/* A third encoder, so that the tests do not lean on ours. */
static size_t
utf8(uint32_t cp, char out[5])
{
	size_t n = 0;

	if (cp < 0x80) {
		out[n++] = (char)cp;
	} else if (cp < 0x800) {
		out[n++] = (char)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		out[n++] = (char)(0xe0 | cp >> 12);
		out[n++] = (char)(0x80 | (cp >> 6 & 63));
	} else {
		out[n++] = (char)(0xf0 | cp >> 18);
		out[n++] = (char)(0x80 | (cp >> 12 & 63));
		out[n++] = (char)(0x80 | (cp >> 6 & 63));
	}
	if (cp >= 0x80)
		out[n++] = (char)(0x80 | (cp & 63));
	out[n] = '\0';
	return n;
}

static const char *
escaped(const char *s, size_t n, const char *also)
{
	mg_buf_reset(&b);
	assert_int_equal(mg_esc_put(&b, s, n, also), MG_ERR_OK);
	return mg_buf_cstr(&b);
}

static enum mg_err
undo(const char *s, size_t n)
{
	mg_buf_reset(&back);
	return mg_esc_undo(&back, s, n);
}

static void
every_character_of_unicode_is_read_as_itself(void **state)
{
	uint32_t cp, got;
	char w[5];
	size_t n;

	(void)state;
	for (cp = 0; cp <= 0x10ffff; cp++) {
		n = utf8(cp, w);
		if (cp >= 0xd800 && cp <= 0xdfff) {
			assert_int_equal(mg_utf8_next(w, n, &got), 0);
			continue;
		}
		assert_int_equal(mg_utf8_next(w, n, &got), n);
		assert_int_equal(got, cp);
		if (n > 1) /* and not when it is cut short */
			assert_int_equal(mg_utf8_next(w, n - 1, &got), 0);
		assert_int_equal(mg_utf8_is_valid(w, n), cp != 0);
	}
}

static void
bytes_that_are_no_utf8_are_not_read_as_a_character(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80",
	    "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80",
	    "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
	    "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\xc3(", "\xe2\x82(",
	    "\xf0\x9f\x98("};
	uint32_t cp;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		assert_int_equal(mg_utf8_next(bad[i], strlen(bad[i]), &cp), 0);
		assert_int_equal(cp, 0);
		assert_false(mg_utf8_is_valid(bad[i], strlen(bad[i])));
		assert_false(mg_esc_is_clean(bad[i]));
	}
}

static void
rule2_nothing_that_moves_hides_or_reorders_is_plain(void **state)
{
	static const uint32_t hidden[] = {0, 7, 8, 9, 10, 13, 0x1b, 0x1f, 0x7f,
	    0x80, 0x85, 0x9b, 0x9f, 0xa0, 0xad, 0x34f, 0x61c, 0x180e, 0x2000,
	    0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a,
	    0x202b, 0x202c, 0x202d, 0x202e, 0x202f, 0x205f, 0x2060, 0x2066,
	    0x2067, 0x2068, 0x2069, 0x206f, 0x2800, 0x3000, 0x3164, 0xd800,
	    0xdfff, 0xe000, 0xf8ff, 0xfdd0, 0xfe00, 0xfe0f, 0xfeff, 0xffa0,
	    0xfff9, 0xfffb, 0xfffe, 0xffff, 0x13430, 0x13436, 0x13438, 0x1bca0,
	    0x1d173, 0x1fffe, 0x2ffff, 0xe0001, 0xe0041, 0xe0100, 0xf0000,
	    0x10ffff};
	static const uint32_t plain[] = {' ', '!', 'A', '~', 0xa1, 0xac, 0xae,
	    0xe9, 0x3b1, 0x416, 0x5d0, 0x4e2d, 0x2010, 0x2027, 0x2030, 0xff21,
	    0x1f600, 0x1342f};
	size_t i;

	(void)state;
	for (i = 0; i < N(hidden); i++)
		if (mg_esc_is_plain(hidden[i]))
			fail_msg("U+%04X is plain", hidden[i]);
	for (i = 0; i < N(plain); i++)
		if (!mg_esc_is_plain(plain[i]))
			fail_msg("U+%04X is not plain", plain[i]);
}

static void
every_character_escapes_to_plain_text_and_back(void **state)
{
	const char *e;
	uint32_t cp;
	char w[5];
	size_t n;

	(void)state;
	for (cp = 1; cp <= 0x10ffff; cp++) {
		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		n = utf8(cp, w);
		e = escaped(w, n, NULL);
		assert_true(mg_esc_is_clean(e));
		assert_int_equal(undo(e, strlen(e)), MG_ERR_OK);
		assert_int_equal(mg_buf_len(&back), n);
		assert_memory_equal(mg_buf_ptr(&back), w, n);
		if (cp != '\\' && mg_esc_is_plain(cp))
			assert_string_equal(e, w);
		else
			assert_string_not_equal(e, w);
	}
}

static void
escapes_are_written_as_protocol_md_says(void **state)
{
	static const struct {
		const char *raw, *esc;
	} cases[] = {
	    {"plain text, \xc3\xa9t\xc3\xa9", "plain text, \xc3\xa9t\xc3\xa9"},
	    {"a\\b", "a\\\\b"},
	    {"a\nb\rc\td", "a\\nb\\rc\\td"},
	    {"\x1b[31mred", "\\u{1b}[31mred"},
	    {"\x7f", "\\u{7f}"},
	    {"\xc2\x9b", "\\u{9b}"},
	    {"a\xe2\x80\xae"
	     "b",
		"a\\u{202e}b"},
	    {"\xf3\xa0\x81\x81", "\\u{e0041}"},
	    {"\xff\xfe", "\\x{ff}\\x{fe}"},
	    {"\xc3", "\\x{c3}"},
	    {"\xed\xa0\x80", "\\x{ed}\\x{a0}\\x{80}"},
	    {"\\u{1b}", "\\\\u{1b}"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_string_equal(
		    escaped(cases[i].raw, strlen(cases[i].raw), NULL),
		    cases[i].esc);
		assert_int_equal(
		    undo(cases[i].esc, strlen(cases[i].esc)), MG_ERR_OK);
		assert_int_equal(mg_buf_len(&back), strlen(cases[i].raw));
		assert_memory_equal(
		    mg_buf_ptr(&back), cases[i].raw, strlen(cases[i].raw));
	}
	/* A NUL in a counted text. */
	assert_string_equal(escaped("a\0b", 3, NULL), "a\\u{0}b");
}

static void
the_caller_may_name_more_characters_to_escape(void **state)
{
	(void)state;
	assert_string_equal(escaped("a \"b\"", 5, "\""), "a \\u{22}b\\u{22}");
	assert_string_equal(escaped("a b", 3, " "), "a\\u{20}b");
	assert_string_equal(escaped("a\\b", 3, "\\"), "a\\\\b");
	/* A NUL is not in every set of characters. */
	assert_string_equal(escaped("\0", 1, "x"), "\\u{0}");
}

/* Text number v of all short texts over the bytes that matter most. */
static size_t
nth_text(unsigned v, char out[8])
{
	static const char bytes[] = {'\\', 'u', 'x', '{', '}', '2', 'd', 'n',
	    '\n', '\xc3', '\xa9', '\x1b', '\xff', ' '};
	size_t n = 0;

	for (; v > 0 && n < 7; v /= N(bytes) + 1) {
		if (v % (N(bytes) + 1) == 0)
			return 0; /* one form of each text */
		out[n++] = bytes[v % (N(bytes) + 1) - 1];
	}
	return n;
}

static int
by_text(const void *a, const void *c)
{
	return strcmp(*(char *const *)a, *(char *const *)c);
}

static void
rule1_no_two_of_all_short_texts_look_the_same(void **state)
{
	static char *all[60000];
	unsigned v;
	size_t n, i, count = 0;
	char raw[8];

	(void)state;
	for (v = 1; v < 15 * 15 * 15 * 15; v++) {
		if ((n = nth_text(v, raw)) == 0)
			continue;
		assert_true(count < N(all));
		all[count] = strdup(escaped(raw, n, NULL));
		assert_non_null(all[count]);
		assert_int_equal(
		    undo(all[count], strlen(all[count])), MG_ERR_OK);
		assert_int_equal(mg_buf_len(&back), n);
		assert_memory_equal(mg_buf_ptr(&back), raw, n);
		count++;
	}
	assert_true(count > 40000);
	qsort(all, count, sizeof(all[0]), by_text);
	for (i = 1; i < count; i++)
		if (strcmp(all[i - 1], all[i]) == 0)
			fail_msg("two texts read '%s'", all[i]);
	for (i = 0; i < count; i++)
		free(all[i]);
}

static void
an_escape_that_is_never_written_is_not_undone(void **state)
{
	static const char *const bad[] = {"\\", "a\\", "\\a", "\\0", "\\x",
	    "\\x{", "\\x{}", "\\x{f", "\\x{ff", "\\xff", "\\x{7f}", "\\x{0}",
	    "\\x{100}", "\\x{fF}", "\\u", "\\u{}", "\\u{0}", "\\u{110000}",
	    "\\u{d800}", "\\u{dfff}", "\\u{1234567}", "\\u{ffffffff1}",
	    "\\u{100000041}", "\\u{g}", "\\u{2d", "\\u 2d}", "\\U{2d}", "\\N",
	    "\\ "};
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++)
		if (undo(bad[i], strlen(bad[i])) != MG_ERR_FORMAT)
			fail_msg("'%s' was undone", bad[i]);
}

static void
an_escape_is_not_read_beyond_its_text(void **state)
{
	static const char text[] = "\\u{2d}";
	char *exact;
	size_t n;

	(void)state;
	for (n = 1; n < sizeof(text) - 1; n++) {
		assert_non_null(exact = malloc(n));
		memcpy(exact, text, n);
		assert_int_equal(undo(exact, n), MG_ERR_FORMAT);
		free(exact);
	}
}

static void
escaping_stops_at_the_buffer_s_limit(void **state)
{
	struct mg_buf small;
	size_t max;

	(void)state;
	for (max = 1; max < 12; max++) {
		mg_buf_init(&small, max);
		assert_int_equal(mg_esc_put(&small, "\x1b\x1b", 2, NULL),
		    max < 12 ? MG_ERR_LIMIT : MG_ERR_OK);
		assert_int_equal(
		    mg_esc_undo(&small, "abcdefghijkl", 12), MG_ERR_LIMIT);
		mg_buf_fini(&small);
	}
}

static void
a_line_for_people_is_always_whole_clean_and_within_its_size(void **state)
{
	static const char *const raw[] = {"", "short", "with\nnewline",
	    "\x1b]0;title\x07", "\xff\xff\xff\xff\xff\xff",
	    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
	    "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"};
	char *out;
	size_t i, size, n;

	(void)state;
	for (i = 0; i < N(raw); i++) {
		for (size = 1; size < 48; size++) {
			assert_non_null(out = malloc(size));
			memset(out, 0x7f, size);
			mg_esc_line(raw[i], out, size);
			assert_non_null(memchr(out, '\0', size));
			assert_true(mg_esc_is_clean(out));
			n = strlen(escaped(raw[i], strlen(raw[i]), NULL));
			if (size > n)
				assert_string_equal(out, mg_buf_cstr(&b));
			else if (size > 4)
				assert_string_equal(
				    out + strlen(out) - 3, "...");
			free(out);
		}
	}
	mg_esc_line("x", NULL, 0); /* no size: nothing is written */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(every_character_of_unicode_is_read_as_itself),
	    T(bytes_that_are_no_utf8_are_not_read_as_a_character),
	    T(rule2_nothing_that_moves_hides_or_reorders_is_plain),
	    T(every_character_escapes_to_plain_text_and_back),
	    T(escapes_are_written_as_protocol_md_says),
	    T(the_caller_may_name_more_characters_to_escape),
	    T(rule1_no_two_of_all_short_texts_look_the_same),
	    T(an_escape_that_is_never_written_is_not_undone),
	    T(an_escape_is_not_read_beyond_its_text),
	    T(escaping_stops_at_the_buffer_s_limit),
	    T(a_line_for_people_is_always_whole_clean_and_within_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
