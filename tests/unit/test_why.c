/* SPDX-License-Identifier: ISC */
/* The words for reasons and for errors: mg_why.c, mg_err.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mg_err.h"
#include "mg_esc.h"
#include "mg_name.h"
#include "mg_why.h"

static void
every_reason_has_a_word_of_its_own_and_a_sentence(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < MG_WHY_COUNT; i++) {
		const char *word = mg_why_word((enum mg_why)i);
		const char *s = mg_why_sentence((enum mg_why)i);

		/* It stands unescaped in audit records and in JSON. */
		assert_true(mg_name_is_valid(word));
		assert_true(strlen(word) <= 32);
		assert_int_equal(mg_why_from_word(word), i);
		assert_true(mg_esc_is_clean(s) && s[0] != '\0');
		assert_int_not_equal(s[strlen(s) - 1], '.');
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    word, mg_why_word((enum mg_why)j));
	}
}

static void
an_unknown_reason_reads_as_a_failure_of_ours(void **state)
{
	static const unsigned bad[] = {
	    MG_WHY_COUNT, MG_WHY_COUNT + 1, 255, 0x7fffffff, UINT32_MAX};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_string_equal(
		    mg_why_word((enum mg_why)bad[i]), "internal");
		assert_string_equal(
		    mg_why_sentence((enum mg_why)bad[i]), "internal error");
	}
	assert_int_equal(mg_why_from_word("no-such-word"), MG_WHY_NONE);
	assert_int_equal(mg_why_from_word(""), MG_WHY_NONE);
	assert_int_equal(mg_why_from_word("NO-RULE"), MG_WHY_NONE);
}

static void
every_error_has_words_and_success_is_zero(void **state)
{
	int i;

	(void)state;
	assert_int_equal(MG_ERR_OK, 0);
	assert_int_equal(MG_WHY_NONE, 0);
	for (i = 0; i < MG_ERR_COUNT; i++)
		assert_true(mg_err_str((enum mg_err)i)[0] != '\0');
	assert_string_equal(
	    mg_err_str((enum mg_err)MG_ERR_COUNT), "unknown error");
	assert_string_equal(mg_err_str((enum mg_err) - 1), "unknown error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reason_has_a_word_of_its_own_and_a_sentence),
	    cmocka_unit_test(an_unknown_reason_reads_as_a_failure_of_ours),
	    cmocka_unit_test(every_error_has_words_and_success_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
