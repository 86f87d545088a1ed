/* SPDX-License-Identifier: ISC */
/* Bounded buffers: mg_buf.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_buf.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
rule1_a_count_that_would_wrap_is_refused(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 100);
	assert_int_equal(mg_buf_put_text(&b, "0123456789"), MG_ERR_OK);
	assert_null(mg_buf_reserve(&b, SIZE_MAX));
	assert_null(mg_buf_reserve(&b, SIZE_MAX - 9));
	assert_null(mg_buf_reserve(&b, SIZE_MAX - 10));
	assert_int_equal(mg_buf_put(&b, "x", SIZE_MAX), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_bytes(&b, "x", SIZE_MAX), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_bytes(&b, "x", UINT32_MAX), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 10);
	mg_buf_fini(&b);
}

static void
rule1_a_count_in_the_data_that_is_larger_than_the_data_is_refused(void **state)
{
	static const uint32_t counts[] = {
	    5, 6, 0x7fffffff, 0x80000000, UINT32_MAX - 4, UINT32_MAX};
	uint8_t data[8] = {0, 0, 0, 0, 'a', 'b', 'c', '\0'};
	const uint8_t *p;
	const char *s;
	struct mg_buf b;
	size_t i, n;

	(void)state;
	for (i = 0; i < N(counts); i++) {
		data[0] = (uint8_t)(counts[i] >> 24);
		data[1] = (uint8_t)(counts[i] >> 16);
		data[2] = (uint8_t)(counts[i] >> 8);
		data[3] = (uint8_t)counts[i];
		mg_buf_init_read(&b, data, sizeof(data));
		assert_int_equal(
		    mg_buf_get_bytes(&b, SIZE_MAX, &p, &n), MG_ERR_TRUNC);
		assert_null(p);
		assert_int_equal(n, 0);
		assert_int_equal(
		    mg_buf_get_str(&b, SIZE_MAX / 2, &s), MG_ERR_TRUNC);
		assert_null(s);
		assert_int_equal(mg_buf_len(&b), sizeof(data));
	}
}

static void
rule2_a_failed_get_takes_nothing_and_reads_zero(void **state)
{
	static const uint8_t data[3] = {1, 2, 3};
	uint8_t v8 = 9;
	uint16_t v16 = 9;
	uint32_t v32 = 9;
	uint64_t v64 = 9;
	const uint8_t *p = data;
	const char *s = "before";
	size_t n = 9;
	struct mg_buf b;

	(void)state;
	mg_buf_init_read(&b, data, sizeof(data));
	assert_int_equal(mg_buf_get_u32(&b, &v32), MG_ERR_TRUNC);
	assert_int_equal(v32, 0);
	assert_int_equal(mg_buf_get_u64(&b, &v64), MG_ERR_TRUNC);
	assert_int_equal(v64, 0);
	assert_int_equal(mg_buf_get_bytes(&b, 10, &p, &n), MG_ERR_TRUNC);
	assert_null(p);
	assert_int_equal(n, 0);
	assert_int_equal(mg_buf_get_str(&b, 10, &s), MG_ERR_TRUNC);
	assert_null(s);
	assert_int_equal(mg_buf_len(&b), 3);
	assert_int_equal(mg_buf_get_u16(&b, &v16), MG_ERR_OK);
	assert_int_equal(v16, 0x0102);
	assert_int_equal(mg_buf_get_u16(&b, &v16), MG_ERR_TRUNC);
	assert_int_equal(v16, 0);
	assert_int_equal(mg_buf_get_u8(&b, &v8), MG_ERR_OK);
	assert_int_equal(v8, 3);
	assert_int_equal(mg_buf_get_u8(&b, &v8), MG_ERR_TRUNC);
	assert_int_equal(v8, 0);
}

static void
integers_are_big_endian_and_read_back_at_their_limits(void **state)
{
	static const uint8_t wire[] = {0xff, 0x12, 0x34, 0xff, 0xff, 0xff, 0xff,
	    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	struct mg_buf b;
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	(void)state;
	mg_buf_init(&b, 100);
	assert_int_equal(mg_buf_put_u8(&b, 0xff), MG_ERR_OK);
	assert_int_equal(mg_buf_put_u16(&b, 0x1234), MG_ERR_OK);
	assert_int_equal(mg_buf_put_u32(&b, UINT32_MAX), MG_ERR_OK);
	assert_int_equal(mg_buf_put_u64(&b, 0x0123456789abcdefU), MG_ERR_OK);
	assert_int_equal(mg_buf_len(&b), sizeof(wire));
	assert_memory_equal(mg_buf_ptr(&b), wire, sizeof(wire));
	assert_int_equal(mg_buf_get_u8(&b, &v8), MG_ERR_OK);
	assert_int_equal(mg_buf_get_u16(&b, &v16), MG_ERR_OK);
	assert_int_equal(mg_buf_get_u32(&b, &v32), MG_ERR_OK);
	assert_int_equal(mg_buf_get_u64(&b, &v64), MG_ERR_OK);
	assert_int_equal(v8, 0xff);
	assert_int_equal(v16, 0x1234);
	assert_true(v32 == UINT32_MAX);
	assert_true(v64 == 0x0123456789abcdefU);
	assert_int_equal(mg_buf_get_end(&b), MG_ERR_OK);
	mg_buf_fini(&b);
}

static void
a_string_is_terminated_where_it_lies(void **state)
{
	struct mg_buf b;
	const char *s;

	(void)state;
	mg_buf_init(&b, 100);
	assert_int_equal(mg_buf_put_str(&b, "abc"), MG_ERR_OK);
	assert_int_equal(mg_buf_put_str(&b, ""), MG_ERR_OK);
	assert_int_equal(mg_buf_len(&b), 8 + 5);
	assert_int_equal(mg_buf_get_str(&b, 3, &s), MG_ERR_OK);
	assert_string_equal(s, "abc");
	assert_int_equal(mg_buf_get_str(&b, 0, &s), MG_ERR_OK);
	assert_string_equal(s, "");
	assert_int_equal(mg_buf_get_end(&b), MG_ERR_OK);
	mg_buf_fini(&b);
}

static void
a_string_over_the_callers_limit_is_refused_and_stays(void **state)
{
	struct mg_buf b;
	const char *s;

	(void)state;
	mg_buf_init(&b, 100);
	assert_int_equal(mg_buf_put_str(&b, "abcd"), MG_ERR_OK);
	assert_int_equal(mg_buf_get_str(&b, 3, &s), MG_ERR_LIMIT);
	assert_null(s);
	assert_int_equal(mg_buf_get_str(&b, 4, &s), MG_ERR_OK);
	assert_string_equal(s, "abcd");
	mg_buf_fini(&b);
}

static void
a_string_with_a_nul_inside_or_none_at_its_end_is_malformed(void **state)
{
	static const struct {
		uint8_t d[8];
		size_t n;
	} cases[] = {
	    {{0, 0, 0, 0}, 4},			     /* not even its NUL */
	    {{0, 0, 0, 1, 'a'}, 5},		     /* none */
	    {{0, 0, 0, 3, 'a', '\0', '\0'}, 7},	     /* two */
	    {{0, 0, 0, 3, 'a', '\0', 'b'}, 7},	     /* inside only */
	    {{0, 0, 0, 4, '\0', 'a', 'b', '\0'}, 8}, /* in front */
	};
	struct mg_buf b;
	const char *s;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		mg_buf_init_read(&b, cases[i].d, cases[i].n);
		assert_int_equal(mg_buf_get_str(&b, 8, &s), MG_ERR_FORMAT);
		assert_null(s);
		assert_int_equal(mg_buf_len(&b), cases[i].n);
	}
}

static void
bytes_left_over_are_told_from_none(void **state)
{
	struct mg_buf b;
	uint8_t v;

	(void)state;
	mg_buf_init_read(&b, "x", 1);
	assert_int_equal(mg_buf_get_end(&b), MG_ERR_TRAIL);
	assert_int_equal(mg_buf_get_u8(&b, &v), MG_ERR_OK);
	assert_int_equal(mg_buf_get_end(&b), MG_ERR_OK);
}

static void
a_buffer_fills_to_its_last_byte_and_no_further(void **state)
{
	static const size_t limits[] = {
	    1, 4, 5, 255, 256, 257, 511, 512, 513, 1000};
	uint8_t byte = 'x';
	struct mg_buf b;
	size_t i, n;

	(void)state;
	for (i = 0; i < N(limits); i++) {
		mg_buf_init(&b, limits[i]);
		for (n = 0; n < limits[i]; n++)
			assert_int_equal(mg_buf_put(&b, &byte, 1), MG_ERR_OK);
		assert_int_equal(mg_buf_put(&b, &byte, 1), MG_ERR_LIMIT);
		assert_int_equal(mg_buf_len(&b), limits[i]);
		assert_true(b.cap <= limits[i]);
		/* What was taken from the front makes room again. */
		mg_buf_consume(&b, 1);
		assert_int_equal(mg_buf_put(&b, &byte, 1), MG_ERR_OK);
		assert_int_equal(mg_buf_put(&b, &byte, 1), MG_ERR_LIMIT);
		assert_true(b.cap <= limits[i]);
		mg_buf_fini(&b);
	}
}

static void
a_put_that_fails_leaves_the_buffer_as_it_was(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 8);
	assert_int_equal(mg_buf_put_text(&b, "abcde"), MG_ERR_OK);
	assert_int_equal(mg_buf_put_text(&b, "fghi"), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_u32(&b, 1), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_u64(&b, 1), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_str(&b, ""), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_bytes(&b, "", 0), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_putf(&b, "%d", 1234), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 5);
	assert_memory_equal(mg_buf_ptr(&b), "abcde", 5);
	mg_buf_fini(&b);
}

static void
formatted_text_fills_a_buffer_to_its_last_byte(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 8);
	assert_int_equal(mg_buf_putf(&b, "%s-%d", "abcd", 123), MG_ERR_OK);
	assert_int_equal(mg_buf_len(&b), 8);
	assert_memory_equal(mg_buf_ptr(&b), "abcd-123", 8);
	assert_int_equal(mg_buf_putf(&b, "%s", ""), MG_ERR_OK);
	assert_int_equal(mg_buf_putf(&b, "%s", "x"), MG_ERR_LIMIT);
	mg_buf_fini(&b);
}

static void
long_formatted_text_arrives_whole(void **state)
{
	char text[5000];
	struct mg_buf b;

	(void)state;
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	mg_buf_init(&b, 10000);
	assert_int_equal(mg_buf_putf(&b, "<%s>", text), MG_ERR_OK);
	assert_int_equal(mg_buf_len(&b), sizeof(text) + 1);
	assert_memory_equal(mg_buf_ptr(&b) + 1, text, sizeof(text) - 1);
	mg_buf_fini(&b);
}

static void
what_was_put_comes_out_in_order_whatever_was_taken_between(void **state)
{
	uint32_t in = 0, out = 0, v;
	struct mg_buf b;
	int i, j;

	(void)state;
	mg_buf_init(&b, 4 * 150);
	for (i = 0; i < 1000; i++) {
		for (j = 0; j < i % 7; j++)
			if (mg_buf_put_u32(&b, in) == MG_ERR_OK)
				in++;
		for (j = 0; j < i % 5; j++) {
			if (mg_buf_get_u32(&b, &v) != MG_ERR_OK)
				break;
			assert_int_equal(v, out);
			out++;
		}
	}
	while (mg_buf_get_u32(&b, &v) == MG_ERR_OK) {
		assert_int_equal(v, out);
		out++;
	}
	assert_int_equal(in, out);
	assert_true(in > 500);
	mg_buf_fini(&b);
}

static void
a_buffer_that_only_reads_takes_nothing_in(void **state)
{
	char data[] = "data";
	struct mg_buf b;

	(void)state;
	mg_buf_init_read(&b, data, 4);
	assert_int_equal(mg_buf_put(&b, "x", 1), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_u8(&b, 1), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_put_str(&b, "x"), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_putf(&b, "x"), MG_ERR_LIMIT);
	assert_null(mg_buf_reserve(&b, 1));
	assert_null(mg_buf_cstr(&b));
	mg_buf_consume(&b, 2);
	assert_null(mg_buf_reserve(&b, 1));
	assert_string_equal(data, "data");
	mg_buf_fini(&b); /* and does not free what it does not own */
	assert_string_equal(data, "data");
}

static void
an_empty_buffer_has_a_pointer_and_no_bytes(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 10);
	assert_non_null(mg_buf_ptr(&b));
	assert_int_equal(mg_buf_len(&b), 0);
	assert_int_equal(mg_buf_put(&b, NULL, 0), MG_ERR_OK);
	assert_int_equal(mg_buf_get_end(&b), MG_ERR_OK);
	mg_buf_init_read(&b, NULL, 0);
	assert_non_null(mg_buf_ptr(&b));
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
	mg_buf_fini(&b);
}

static void
a_terminated_view_does_not_count_its_nul(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 4);
	assert_string_equal(mg_buf_cstr(&b), "");
	assert_int_equal(mg_buf_put_text(&b, "abc"), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), "abc");
	assert_int_equal(mg_buf_len(&b), 3);
	assert_int_equal(mg_buf_put_text(&b, "d"), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), "abcd"); /* full, and yet */
	assert_int_equal(mg_buf_len(&b), 4);
	mg_buf_consume(&b, 1);
	assert_string_equal(mg_buf_cstr(&b), "bcd");
	mg_buf_fini(&b);
}

static void
a_secret_is_wiped_when_forgotten(void **state)
{
	static const uint8_t zero[6];
	struct mg_buf b;

	(void)state;
	mg_buf_init_secret(&b, 100);
	assert_int_equal(mg_buf_put_text(&b, "secret"), MG_ERR_OK);
	mg_buf_reset(&b);
	assert_int_equal(mg_buf_len(&b), 0);
	assert_memory_equal(b.d, zero, 6);
	mg_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rule1_a_count_that_would_wrap_is_refused),
	    cmocka_unit_test(
		rule1_a_count_in_the_data_that_is_larger_than_the_data_is_refused),
	    cmocka_unit_test(rule2_a_failed_get_takes_nothing_and_reads_zero),
	    cmocka_unit_test(
		integers_are_big_endian_and_read_back_at_their_limits),
	    cmocka_unit_test(a_string_is_terminated_where_it_lies),
	    cmocka_unit_test(
		a_string_over_the_callers_limit_is_refused_and_stays),
	    cmocka_unit_test(
		a_string_with_a_nul_inside_or_none_at_its_end_is_malformed),
	    cmocka_unit_test(bytes_left_over_are_told_from_none),
	    cmocka_unit_test(a_buffer_fills_to_its_last_byte_and_no_further),
	    cmocka_unit_test(a_put_that_fails_leaves_the_buffer_as_it_was),
	    cmocka_unit_test(formatted_text_fills_a_buffer_to_its_last_byte),
	    cmocka_unit_test(long_formatted_text_arrives_whole),
	    cmocka_unit_test(
		what_was_put_comes_out_in_order_whatever_was_taken_between),
	    cmocka_unit_test(a_buffer_that_only_reads_takes_nothing_in),
	    cmocka_unit_test(an_empty_buffer_has_a_pointer_and_no_bytes),
	    cmocka_unit_test(a_terminated_view_does_not_count_its_nul),
	    cmocka_unit_test(a_secret_is_wiped_when_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
