/* SPDX-License-Identifier: ISC */
/* UUIDs and short codes: mg_id.c, and the example in PROTOCOL.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_id.h"
#include "protocol_page.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define UUID "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a91"

static const struct mg_uuid zero;

static void
the_example_of_protocol_md_is_what_the_code_makes(void **state)
{
	char *page = page_block("UUID and short code", "code");
	char text[MG_UUID_STR], code[MG_CODE_STR], both[64];
	struct mg_uuid u;

	(void)state;
	assert_int_equal(mg_uuid_parse(UUID, &u), MG_ERR_OK);
	mg_uuid_format(&u, text);
	mg_code_from_uuid(&u, code);
	snprintf(both, sizeof(both), "%s %s\n", text, code);
	assert_string_equal(page, both);
	free(page);
}

static void
a_uuid_round_trips_and_is_written_in_lower_case(void **state)
{
	char out[MG_UUID_STR];
	struct mg_uuid u, v;

	(void)state;
	assert_int_equal(
	    mg_uuid_parse("C1E7711F-A06D-4B2F-9D3A-5E8F0C7B6A91", &u),
	    MG_ERR_OK);
	mg_uuid_format(&u, out);
	assert_string_equal(out, UUID);
	assert_int_equal(mg_uuid_parse(out, &v), MG_ERR_OK);
	assert_true(mg_uuid_equal(&u, &v));
	assert_false(mg_uuid_equal(&u, &zero));
}

static void
anything_else_is_no_uuid_and_reads_zero(void **state)
{
	static const char *const bad[] = {"", "c1e7711f",
	    "c1e7711fa06d4b2f9d3a5e8f0c7b6a91",
	    "{c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a91}",
	    "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a9",
	    "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a911",
	    "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a9g",
	    "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a9 ",
	    " 1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a91",
	    "c1e7711fa-06d-4b2f-9d3a-5e8f0c7b6a91",
	    "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b-a91",
	    "c1e7711f_a06d_4b2f_9d3a_5e8f0c7b6a91",
	    "+1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a91",
	    "0x1e711f-a06d-4b2f-9d3a-5e8f0c7b6a91"};
	struct mg_uuid u;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		memset(&u, 0xee, sizeof(u));
		assert_int_equal(mg_uuid_parse(bad[i], &u), MG_ERR_FORMAT);
		assert_true(mg_uuid_equal(&u, &zero));
	}
}

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static void
new_uuids_are_version_4_and_never_the_same(void **state)
{
	static struct mg_uuid all[20000];
	char out[MG_UUID_STR];
	size_t i;

	(void)state;
	for (i = 0; i < N(all); i++) {
		assert_int_equal(mg_uuid_new(&all[i]), MG_ERR_OK);
		mg_uuid_format(&all[i], out);
		assert_int_equal(out[14], '4');
		assert_non_null(strchr("89ab", out[19]));
	}
	qsort(all, N(all), sizeof(all[0]), by_bytes);
	for (i = 1; i < N(all); i++)
		assert_false(mg_uuid_equal(&all[i - 1], &all[i]));
}

static void
the_code_is_the_first_50_bits_and_nothing_else(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	char code[MG_CODE_STR], flipped[MG_CODE_STR];
	struct mg_uuid u = {{0}};
	unsigned bit;
	size_t i;

	(void)state;
	mg_code_from_uuid(&u, code);
	assert_string_equal(code, "0000000000");
	for (bit = 0; bit < 128; bit++) {
		memset(&u, 0, sizeof(u));
		u.b[bit / 8] = (uint8_t)(0x80 >> bit % 8);
		mg_code_from_uuid(&u, flipped);
		if (bit >= 50) {
			assert_string_equal(flipped, code);
			continue;
		}
		for (i = 0; i < 10; i++)
			assert_int_equal(flipped[i],
			    i == bit / 5 ? digits[16 >> bit % 5] : '0');
	}
	memset(&u, 0xff, sizeof(u));
	mg_code_from_uuid(&u, code);
	assert_string_equal(code, "ZZZZZZZZZZ");
}

static void
a_code_is_read_as_people_type_it(void **state)
{
	static const char *const typed[] = {"R7KQ27X0DN", "r7kq27x0dn",
	    "r7kq2-7x0dn", "R7KQ2 7X0DN", "r-7-k-q-2-7-x-0-d-n", "R7KQ27XODN",
	    " r7kq27xodn "};
	static const char *const ones[] = {
	    "1111111111", "IIIIIIIIII", "LLLLLLLLLL", "iiiiilllll"};
	char out[MG_CODE_STR];
	size_t i;

	(void)state;
	for (i = 0; i < N(typed); i++) {
		assert_int_equal(mg_code_parse(typed[i], out), MG_ERR_OK);
		assert_string_equal(out, "R7KQ27X0DN");
	}
	for (i = 0; i < N(ones); i++) {
		assert_int_equal(mg_code_parse(ones[i], out), MG_ERR_OK);
		assert_string_equal(out, "1111111111");
	}
}

static void
anything_else_is_no_code_and_reads_empty(void **state)
{
	static const char *const bad[] = {"", "-", "R7KQ27X0D", "R7KQ27X0DNN",
	    "R7KQ27X0DU", "R7KQ27X0D!", "R7KQ27X0D\xc3\xa9", "R7KQ27X0D\n",
	    "R7KQ27X0D_", "R7KQ27X0D/", "----------",
	    "R7KQ27X0DN-------------------------------------------"};
	char out[MG_CODE_STR];
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		memset(out, 'x', sizeof(out));
		assert_int_equal(mg_code_parse(bad[i], out), MG_ERR_FORMAT);
		assert_string_equal(out, "");
	}
}

static void
random_hex_is_as_long_as_asked_and_bounded(void **state)
{
	char a[129], b[129];

	(void)state;
	assert_int_equal(mg_random_hex(a, 16), MG_ERR_OK);
	assert_int_equal(mg_random_hex(b, 16), MG_ERR_OK);
	assert_int_equal(strlen(a), 32);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	assert_string_not_equal(a, b);
	assert_int_equal(mg_random_hex(a, 64), MG_ERR_OK);
	assert_int_equal(strlen(a), 128);
	assert_int_equal(mg_random_hex(a, 65), MG_ERR_LIMIT);
	assert_string_equal(a, "");
}

static void
hex_is_read_back_and_nothing_else_is_hex(void **state)
{
	static const char *const bad[] = {"", "0", "00ff1", "00ff1a2", "00FF1a",
	    "00ff1g", "00ff 1a", "0x0ff1", "00ff1a00"};
	const uint8_t want[3] = {0x00, 0xff, 0x1a};
	uint8_t out[3];
	char hex[7];
	size_t i;

	(void)state;
	mg_hex(want, 3, hex);
	assert_string_equal(hex, "00ff1a");
	assert_true(mg_unhex(hex, out, 3));
	assert_memory_equal(out, want, 3);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(mg_unhex(bad[i], out, 3));
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
	    T(the_example_of_protocol_md_is_what_the_code_makes),
	    T(a_uuid_round_trips_and_is_written_in_lower_case),
	    T(anything_else_is_no_uuid_and_reads_zero),
	    T(new_uuids_are_version_4_and_never_the_same),
	    T(the_code_is_the_first_50_bits_and_nothing_else),
	    T(a_code_is_read_as_people_type_it),
	    T(anything_else_is_no_code_and_reads_empty),
	    T(random_hex_is_as_long_as_asked_and_bounded),
	    T(hex_is_read_back_and_nothing_else_is_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
