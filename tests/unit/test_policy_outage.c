/* SPDX-License-Identifier: ISC */
/* What rules say about going without approvals. */
#include "policy_fixture.h"

#define HEAD                                                                   \
	"[operation deploy]\ncommand = /bin/true\nrun-as = a\n"                \
	"[role owner]\nmembers = bob\n[role lead]\nmembers = carol\n"          \
	"[role on-call]\nmembers = alice\n"
#define RULE "[rule a]\noperation = deploy\napprove = 1 owner\n"
#define GLASS "break-glass = on-call\nbreak-glass-review = owner\n"

static struct mg_verdict v;

static struct mg_policy *
decide(const char *text, const char *user)
{
	struct mg_policy *p = must_load(text);
	struct mg_ask ask = ask_for(user, "deploy", "");

	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ASK);
	return p;
}

static void
an_outage_changes_nothing_unless_a_rule_says_so(void **state)
{
	struct mg_policy *p = decide(HEAD RULE, "alice");

	(void)state;
	assert_false(v.served_before);
	assert_false(v.break_glass);
	mg_policy_free(p);
	p = decide(HEAD RULE "when-hub-down = refuse\n", "alice");
	assert_false(v.served_before);
	mg_policy_free(p);
	p = decide(HEAD RULE "when-hub-down = served-before\n", "alice");
	assert_true(v.served_before);
	assert_false(v.break_glass);
	mg_policy_free(p);
}

static void
one_rule_that_insists_on_its_approvals_is_enough(void **state)
{
	struct mg_policy *p =
	    decide(HEAD RULE "when-hub-down = served-before\n" GLASS
			     "[rule b]\noperation = deploy\napprove = 1 lead\n",
		"alice");

	(void)state;
	assert_false(v.served_before);
	assert_false(v.break_glass);
	mg_policy_free(p);
	/* one that asks for none has nothing to insist on */
	p = decide(HEAD RULE "when-hub-down = served-before\n" GLASS
			     "[rule b]\noperation = deploy\nmfa = required\n",
	    "alice");
	assert_true(v.served_before);
	assert_true(v.break_glass);
	mg_policy_free(p);
}

static void
the_glass_is_broken_by_its_role_alone(void **state)
{
	struct mg_policy *p = decide(HEAD RULE GLASS, "alice");

	(void)state;
	assert_true(v.break_glass);
	assert_false(v.break_glass_always);
	assert_int_equal(v.break_glass_ms, 15 * 60 * 1000);
	assert_int_equal(v.nreviewers, 1);
	assert_string_equal(v.reviewers[0], "owner");
	mg_policy_free(p);
	p = decide(HEAD RULE GLASS, "mallory");
	assert_false(v.break_glass);
	assert_int_equal(v.nreviewers, 0);
	mg_policy_free(p);
}

static void
of_two_rules_the_stricter_says_when_how_long_and_both_review(void **state)
{
	struct mg_policy *p = decide(HEAD RULE GLASS
	    "break-glass-when = always\nbreak-glass-lasts = 10m\n"
	    "[rule b]\noperation = deploy\napprove = 1 lead\n"
	    "break-glass = on-call\nbreak-glass-review = lead\n"
	    "break-glass-lasts = 5m\n",
	    "alice");

	(void)state;
	assert_true(v.break_glass);
	assert_false(v.break_glass_always);
	assert_int_equal(v.break_glass_ms, 5 * 60 * 1000);
	assert_int_equal(v.nreviewers, 2);
	assert_string_equal(v.reviewers[0], "lead");
	assert_string_equal(v.reviewers[1], "owner");
	mg_policy_free(p);
	p = decide(
	    HEAD RULE GLASS "lasts = 2m\nbreak-glass-when = always\n", "alice");
	assert_true(v.break_glass_always);
	assert_int_equal(v.break_glass_ms, 2 * 60 * 1000);
	mg_policy_free(p);
	/* Never longer than any grant of these rules. */
	p = decide(HEAD RULE GLASS "break-glass-lasts = 2h\n", "alice");
	assert_int_equal(v.break_glass_ms, 30 * 60 * 1000);
	mg_policy_free(p);
}

static void
the_most_tokens_of_any_rule_are_asked_for(void **state)
{
	struct mg_policy *p = decide(HEAD RULE GLASS, "alice");

	(void)state;
	assert_int_equal(v.break_glass_tokens, 0);
	mg_policy_free(p);
	p = decide(HEAD RULE GLASS
	    "break-glass-tokens = 2\n"
	    "[rule b]\noperation = deploy\napprove = 1 lead\n"
	    "break-glass = on-call\nbreak-glass-review = lead\n"
	    "break-glass-tokens = 3\n",
	    "alice");
	assert_true(v.break_glass);
	assert_int_equal(v.break_glass_tokens, 3);
	mg_policy_free(p);
}

static void
what_makes_no_sense_does_not_load(void **state)
{
	(void)state;
	assert_bad(HEAD RULE "when-hub-down = allow\n",
	    "policy.d/t.ini:13:17: 'allow' is not 'refuse' or "
	    "'served-before'");
	assert_bad(HEAD RULE "break-glass = on-call\n",
	    "policy.d/t.ini:12:1: 'break-glass' and 'break-glass-review' "
	    "need each other");
	assert_bad(HEAD RULE "break-glass-when = always\n",
	    "policy.d/t.ini:12:1: there is no 'break-glass' in this rule");
	assert_bad(HEAD RULE "break-glass-tokens = 2\n",
	    "policy.d/t.ini:12:1: there is no 'break-glass' in this rule");
	assert_bad(HEAD RULE GLASS "break-glass-tokens = 0\n",
	    "policy.d/t.ini:15:22: '0' is not a number from 1 to 9");
	assert_bad(HEAD RULE GLASS "break-glass-tokens = 10\n",
	    "policy.d/t.ini:15:22: '10' is not a number from 1 to 9");
	assert_bad(HEAD RULE GLASS "break-glass-tokens = -1\n",
	    "policy.d/t.ini:15:22: '-1' is not a number from 1 to 9");
	assert_bad(HEAD "[rule a]\noperation = deploy\n"
			"when-hub-down = served-before\n",
	    "policy.d/t.ini:12:1: 'when-hub-down' and 'break-glass' are about "
	    "approvals, and this rule asks for none");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_outage_changes_nothing_unless_a_rule_says_so),
	    cmocka_unit_test(one_rule_that_insists_on_its_approvals_is_enough),
	    cmocka_unit_test(the_glass_is_broken_by_its_role_alone),
	    cmocka_unit_test(
		of_two_rules_the_stricter_says_when_how_long_and_both_review),
	    cmocka_unit_test(the_most_tokens_of_any_rule_are_asked_for),
	    cmocka_unit_test(what_makes_no_sense_does_not_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
