/* SPDX-License-Identifier: ISC */
/* Base64 in its one canonical form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mg_b64.h"

/* RFC 4648, section 10. */
static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"}};

static void
put_gives_the_vectors_of_the_rfc(void **state)
{
	struct mg_buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		mg_buf_init(&b, 64);
		assert_int_equal(
		    mg_b64_put(&b, pairs[i][0], strlen(pairs[i][0])),
		    MG_ERR_OK);
		assert_string_equal(mg_buf_cstr(&b), pairs[i][1]);
		mg_buf_fini(&b);
	}
}

static void
get_reads_the_vectors_of_the_rfc(void **state)
{
	struct mg_buf b;
	size_t i, bad;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		mg_buf_init(&b, 64);
		assert_int_equal(
		    mg_b64_get(&b, pairs[i][1], strlen(pairs[i][1]), &bad),
		    MG_ERR_OK);
		assert_string_equal(mg_buf_cstr(&b), pairs[i][0]);
		mg_buf_fini(&b);
	}
}

static void
get_says_where_it_went_wrong_and_keeps_the_buffer(void **state)
{
	static const struct {
		const char *text;
		size_t bad;
	} cases[] = {
	    {"Zg=", 3},	     /* cut short */
	    {"Zg", 2},	     /* not padded */
	    {"Z", 1},	     /* cut short */
	    {"Zg==Zg==", 2}, /* padding inside */
	    {"Zh==", 1},     /* unused bits are not zero */
	    {"Zm9=", 2},     /* unused bits are not zero */
	    {"Zm9v\n", 5},   /* a line break */
	    {"Zm 9vYm=", 2}, /* a blank */
	    {"Zm9-", 3},     /* the other alphabet */
	    {"====", 0},
	    {"Z===", 1},
	    {"\xff\xff\xff\xff", 0},
	};
	struct mg_buf b;
	size_t i, bad;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mg_buf_init(&b, 64);
		assert_int_equal(mg_buf_put_text(&b, "kept"), MG_ERR_OK);
		assert_int_equal(
		    mg_b64_get(&b, cases[i].text, strlen(cases[i].text), &bad),
		    MG_ERR_FORMAT);
		assert_int_equal(bad, cases[i].bad);
		assert_string_equal(mg_buf_cstr(&b), "kept");
		mg_buf_fini(&b);
	}
}

static void
every_byte_survives_both_ways(void **state)
{
	uint8_t raw[256];
	struct mg_buf text, back;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 7 + 3);
	for (n = 0; n <= sizeof(raw); n++) {
		mg_buf_init(&text, 1024);
		mg_buf_init(&back, 1024);
		assert_int_equal(mg_b64_put(&text, raw, n), MG_ERR_OK);
		assert_int_equal(mg_buf_len(&text), MG_B64_LEN(n));
		assert_int_equal(
		    mg_b64_get(&back, (const char *)mg_buf_ptr(&text),
			mg_buf_len(&text), NULL),
		    MG_ERR_OK);
		assert_int_equal(mg_buf_len(&back), n);
		if (n > 0)
			assert_memory_equal(mg_buf_ptr(&back), raw, n);
		mg_buf_fini(&text);
		mg_buf_fini(&back);
	}
}

static void
a_full_buffer_is_refused_and_unchanged(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 7);
	assert_int_equal(mg_b64_put(&b, "foob", 4), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 0);
	assert_int_equal(
	    mg_b64_get(&b, "Zm9vYmFyZm9v", 12, NULL), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
}

/* Fixed memory takes the same texts, and not one byte behind its end. */
static void
fixed_memory_takes_what_fits_and_no_more(void **state)
{
	uint8_t raw[8];
	size_t i, n, max;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *text = pairs[i][1];
		size_t want = strlen(pairs[i][0]);

		for (max = 0; max <= 6; max++) {
			memset(raw, 0x5a, sizeof(raw));
			n = 99;
			assert_int_equal(
			    mg_b64_read(raw, max, &n, text, strlen(text), NULL),
			    want <= max ? MG_ERR_OK : MG_ERR_LIMIT);
			assert_int_equal(n, want <= max ? want : 0);
			assert_memory_equal(raw, pairs[i][0], n);
			assert_int_equal(raw[max], 0x5a);
		}
	}
	n = 99;
	assert_int_equal(
	    mg_b64_read(raw, 6, &n, "Zm9vZh==", 8, &i), MG_ERR_FORMAT);
	assert_int_equal(n, 0);
	assert_int_equal(i, 5);
	assert_int_equal(
	    mg_b64_read(raw, 6, &n, "Zm9vY", 5, &i), MG_ERR_FORMAT);
	assert_int_equal(n, 0);
	assert_int_equal(i, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(put_gives_the_vectors_of_the_rfc),
	    cmocka_unit_test(get_reads_the_vectors_of_the_rfc),
	    cmocka_unit_test(get_says_where_it_went_wrong_and_keeps_the_buffer),
	    cmocka_unit_test(every_byte_survives_both_ways),
	    cmocka_unit_test(a_full_buffer_is_refused_and_unchanged),
	    cmocka_unit_test(fixed_memory_takes_what_fits_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
