/* SPDX-License-Identifier: ISC */
/* The text of break-glass tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_id.h"
#include "mg_token.h"

static char printed[MG_TOKEN_STR];
static uint8_t digest[MG_TOKEN_DIGEST];

static void
make(unsigned number)
{
	assert_int_equal(
	    mg_token_new("K7Q2", number, printed, digest), MG_ERR_OK);
}

static void
a_new_one_reads_back(void **state)
{
	struct mg_token t;
	unsigned i;

	(void)state;
	for (i = 1; i <= MG_TOKENS_MAX; i++) {
		make(i);
		assert_int_equal(strlen(printed), 39);
		assert_int_equal(mg_token_parse(printed, &t, NULL), MG_ERR_OK);
		assert_string_equal(t.set, "K7Q2");
		assert_int_equal(t.number, i);
		assert_memory_equal(t.digest, digest, sizeof(digest));
	}
	assert_int_equal(
	    mg_token_new("K7Q2", 0, printed, digest), MG_ERR_FORMAT);
	assert_int_equal(
	    mg_token_new("K7Q2", 10, printed, digest), MG_ERR_FORMAT);
	assert_int_equal(
	    mg_token_new("K7U2", 1, printed, digest), MG_ERR_FORMAT);
	assert_int_equal(
	    mg_token_new("K7Q23", 1, printed, digest), MG_ERR_FORMAT);
}

static void
two_are_never_the_same(void **state)
{
	char other[MG_TOKEN_STR];
	uint8_t d[MG_TOKEN_DIGEST];

	(void)state;
	make(1);
	assert_int_equal(mg_token_new("K7Q2", 1, other, d), MG_ERR_OK);
	assert_string_not_equal(other, printed);
	assert_memory_not_equal(d, digest, sizeof(d));
}

static void
it_is_read_as_people_type(void **state)
{
	char typed[128];
	struct mg_token t;
	size_t i, o = 0;

	(void)state;
	make(3);
	for (i = 0; printed[i] != '\0'; i++) {
		if (printed[i] == '-')
			continue;
		typed[o++] = printed[i] == '0'	 ? 'o'
			     : printed[i] == '1' ? (i % 2 != 0 ? 'l' : 'I')
			     : printed[i] >= 'A' && i % 3 != 0
				 ? (char)(printed[i] - 'A' + 'a')
				 : printed[i];
		if (i % 7 == 0)
			typed[o++] = ' ';
	}
	typed[o] = '\0';
	assert_int_equal(mg_token_parse(typed, &t, NULL), MG_ERR_OK);
	assert_memory_equal(t.digest, digest, sizeof(digest));
}

/* What is printed without its hyphens. */
static void
symbols_of(char *out)
{
	size_t i, o = 0;

	for (i = 0; printed[i] != '\0'; i++)
		if (printed[i] != '-')
			out[o++] = printed[i];
	out[o] = '\0';
	assert_int_equal(o, 32);
}

static void
rule3_every_slip_of_one_symbol_is_seen(void **state)
{
	char s[33], was;
	struct mg_token t;
	const char *why;
	size_t i, v;

	(void)state;
	make(2);
	symbols_of(s);
	for (i = 0; i < 32; i++) {
		was = s[i];
		for (v = 0; v < 32; v++) {
			s[i] = mg_code_symbols[v];
			if (s[i] == was)
				continue;
			assert_int_equal(
			    mg_token_parse(s, &t, &why), MG_ERR_FORMAT);
			assert_string_equal(why, "it is mistyped");
			assert_int_equal(t.number, 0);
		}
		s[i] = was;
	}
	for (i = 0; i < 31; i++) {
		if (s[i] == s[i + 1])
			continue;
		was = s[i];
		s[i] = s[i + 1];
		s[i + 1] = was;
		assert_int_equal(mg_token_parse(s, &t, NULL), MG_ERR_FORMAT);
		s[i + 1] = s[i];
		s[i] = was;
	}
	assert_int_equal(mg_token_parse(s, &t, NULL), MG_ERR_OK);
}

static void
what_is_none_says_why(void **state)
{
	static char endless[2000];
	char s[80];
	struct mg_token t;
	const char *why;

	(void)state;
	assert_int_equal(mg_token_parse("", &t, &why), MG_ERR_FORMAT);
	assert_non_null(strstr(why, "too short"));
	make(1);
	printed[38] = '\0';
	assert_int_equal(mg_token_parse(printed, &t, &why), MG_ERR_FORMAT);
	assert_non_null(strstr(why, "too short"));
	make(1);
	snprintf(s, sizeof(s), "%sX", printed);
	assert_int_equal(mg_token_parse(s, &t, &why), MG_ERR_FORMAT);
	assert_non_null(strstr(why, "too long"));
	printed[7] = 'U';
	assert_int_equal(mg_token_parse(printed, &t, &why), MG_ERR_FORMAT);
	assert_non_null(strstr(why, "no token has"));
	printed[7] = (char)0xc3;
	assert_int_equal(mg_token_parse(printed, &t, &why), MG_ERR_FORMAT);
	assert_non_null(strstr(why, "no token has"));
	memset(endless, '-', sizeof(endless) - 1);
	assert_int_equal(mg_token_parse(endless, &t, &why), MG_ERR_FORMAT);
	assert_string_equal(why, "it is too long");
}

static void
a_set_has_a_name_of_four_symbols(void **state)
{
	char set[MG_TOKEN_SET_STR];

	(void)state;
	assert_int_equal(mg_token_new_set(set), MG_ERR_OK);
	assert_true(mg_token_is_set(set));
	assert_false(mg_token_is_set("K7Q"));
	assert_false(mg_token_is_set("K7q2"));
	assert_false(mg_token_is_set("../."));
	assert_false(mg_token_is_set(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_new_one_reads_back),
	    cmocka_unit_test(two_are_never_the_same),
	    cmocka_unit_test(it_is_read_as_people_type),
	    cmocka_unit_test(rule3_every_slip_of_one_symbol_is_seen),
	    cmocka_unit_test(what_is_none_says_why),
	    cmocka_unit_test(a_set_has_a_name_of_four_symbols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
