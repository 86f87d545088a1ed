/* SPDX-License-Identifier: ISC */
/* Every situation at every stage, and what libpam is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <security/pam_modules.h>

#include "pam_verdict.h"

/* The table of the design, written a second time on purpose. */
static const struct {
	enum pam_situation sit;
	int auth, account, open, close;
} rows[] = {
    {MG_SIT_ALLOWED, PAM_SUCCESS, PAM_SUCCESS, PAM_SUCCESS, PAM_SUCCESS},
    {MG_SIT_RESCUED, PAM_SUCCESS, PAM_SUCCESS, PAM_SUCCESS, PAM_SUCCESS},
    {MG_SIT_CONSOLE, PAM_SUCCESS, PAM_SUCCESS, PAM_SUCCESS, PAM_SUCCESS},
    {MG_SIT_DENIED, PAM_AUTH_ERR, PAM_PERM_DENIED, PAM_PERM_DENIED,
	PAM_SESSION_ERR},
    {MG_SIT_AGENT_DOWN, PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL,
	PAM_PERM_DENIED, PAM_SESSION_ERR},
    {MG_SIT_NO_RECORD, PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL,
	PAM_PERM_DENIED, PAM_SESSION_ERR},
    {MG_SIT_BROKE_OFF, PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL,
	PAM_PERM_DENIED, PAM_SESSION_ERR},
    {MG_SIT_LOCKED, PAM_MAXTRIES, PAM_PERM_DENIED, PAM_PERM_DENIED,
	PAM_SESSION_ERR},
    {MG_SIT_NO_USER, PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_PERM_DENIED,
	PAM_SESSION_ERR},
    {MG_SIT_CONV, PAM_CONV_ERR, PAM_CONV_ERR, PAM_PERM_DENIED, PAM_SESSION_ERR},
    {MG_SIT_NO_MEMORY, PAM_BUF_ERR, PAM_BUF_ERR, PAM_BUF_ERR, PAM_BUF_ERR},
    {MG_SIT_BAD_ARGS, PAM_SERVICE_ERR, PAM_SERVICE_ERR, PAM_SERVICE_ERR,
	PAM_SERVICE_ERR},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void
every_situation_has_its_code_at_every_stage(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(NROWS, MG_SIT_COUNT);
	for (i = 0; i < NROWS; i++) {
		assert_int_equal(
		    pam_verdict(MG_STAGE_AUTH, rows[i].sit), rows[i].auth);
		assert_int_equal(pam_verdict(MG_STAGE_ACCOUNT, rows[i].sit),
		    rows[i].account);
		assert_int_equal(
		    pam_verdict(MG_STAGE_OPEN, rows[i].sit), rows[i].open);
		assert_int_equal(
		    pam_verdict(MG_STAGE_CLOSE, rows[i].sit), rows[i].close);
	}
}

static void
rule1_only_three_situations_ever_succeed(void **state)
{
	int sit, stage;

	(void)state;
	for (sit = -3; sit < MG_SIT_COUNT + 300; sit++) {
		for (stage = -3; stage < MG_STAGE_COUNT + 300; stage++) {
			if (sit == MG_SIT_ALLOWED || sit == MG_SIT_RESCUED ||
			    sit == MG_SIT_CONSOLE)
				continue;
			assert_int_not_equal(pam_verdict((enum pam_stage)stage,
						 (enum pam_situation)sit),
			    PAM_SUCCESS);
		}
	}
}

static void
rule2_and_3_no_code_that_a_stack_takes_for_something_else(void **state)
{
	int sit, stage, code;

	(void)state;
	for (sit = -3; sit < MG_SIT_COUNT + 3; sit++) {
		for (stage = -3; stage < MG_STAGE_COUNT + 3; stage++) {
			code = pam_verdict(
			    (enum pam_stage)stage, (enum pam_situation)sit);
			assert_int_not_equal(code, PAM_IGNORE);
			assert_int_not_equal(code, PAM_NEW_AUTHTOK_REQD);
			assert_int_not_equal(code, PAM_INCOMPLETE);
			assert_in_range(code, 0, 30);
		}
	}
}

static void
the_forgotten_value_is_a_refusal(void **state)
{
	enum pam_situation zero;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	assert_int_equal(zero, MG_SIT_DENIED);
}

static void
every_stage_and_situation_has_words(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < MG_SIT_COUNT; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    pam_verdict_situation_word((enum pam_situation)i),
			    pam_verdict_situation_word((enum pam_situation)j));
	for (i = 0; i < MG_STAGE_COUNT; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    pam_verdict_stage_word((enum pam_stage)i),
			    pam_verdict_stage_word((enum pam_stage)j));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_situation_has_its_code_at_every_stage),
	    cmocka_unit_test(rule1_only_three_situations_ever_succeed),
	    cmocka_unit_test(
		rule2_and_3_no_code_that_a_stack_takes_for_something_else),
	    cmocka_unit_test(the_forgotten_value_is_a_refusal),
	    cmocka_unit_test(every_stage_and_situation_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
