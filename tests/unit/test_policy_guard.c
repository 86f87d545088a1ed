/* SPDX-License-Identifier: ISC */
/* The guard on the guard: named after the rules of pol_guard.c. */
#include "policy_fixture.h"

static char why[256];

#define STEWARDS(version)                                                      \
	"[policy]\nsigned-by = 2 steward\nversion = " version "\n"             \
	"[role steward]\nmembers = ann, ben, cas, bot\n"                       \
	"[user bot]\nkind = service\n"

static bool
check(const struct mg_policy *current, uint64_t was,
    const struct mg_policy *next, const char *const *signers, size_t n)
{
	return mg_policy_guard_check(current, was, next,
	    next == NULL ? was + 1 : mg_policy_guard(next)->version,
	    &nobody_in_groups, signers, n, NOON, why, sizeof(why));
}

static const char *const two[] = {"ann", "ben"};

static void
enough_stewards_and_a_higher_version(void **state)
{
	static const char *const robot[] = {"ann", "bot"};
	static const char *const twice[] = {"ann", "ann"};
	static const char *const other[] = {"ann", "zoe"};
	struct mg_policy *seven = must_load(STEWARDS("7"));
	struct mg_policy *eight = must_load(STEWARDS("8"));

	(void)state;
	assert_true(mg_policy_guard(seven)->is_signed);
	assert_int_equal(mg_policy_guard(seven)->version, 7);
	assert_true(check(seven, 7, eight, two, 2));
	assert_string_equal(why, "");
	assert_false(check(seven, 7, eight, two, 1));
	assert_string_equal(why, "it must be signed by 2 steward; 1 good "
				 "signature was found");
	assert_false(check(seven, 7, eight, NULL, 0));
	/* Rule 3 */
	assert_false(check(seven, 7, eight, robot, 2));
	assert_false(check(seven, 7, eight, twice, 2));
	assert_false(check(seven, 7, eight, other, 2));
	mg_policy_free(seven);
	mg_policy_free(eight);
}

static void
rule1_the_policy_in_force_says_who(void **state)
{
	static const char *const mallory[] = {"mallory", "accomplice"};
	struct mg_policy *seven = must_load(STEWARDS("7"));
	struct mg_policy *theirs =
	    must_load("[policy]\nsigned-by = 2 steward\nversion = 8\n"
		      "[role steward]\nmembers = mallory, accomplice\n");
	struct mg_policy *without = must_load("[policy]\nversion = 8\n");
	struct mg_policy *nothing = must_load("");

	(void)state;
	assert_false(check(seven, 7, theirs, mallory, 2));
	assert_true(check(seven, 7, theirs, two, 2));
	/* To drop the guard takes those whom it names. */
	assert_false(check(seven, 7, without, mallory, 2));
	assert_true(check(seven, 7, without, two, 2));
	assert_false(check(seven, 7, nothing, two, 2));
	/* The first signed policy is signed by its own stewards. */
	assert_true(check(NULL, 0, theirs, mallory, 2));
	assert_false(check(NULL, 0, theirs, two, 2));
	assert_true(check(nothing, 0, theirs, mallory, 2));
	assert_true(check(NULL, 0, nothing, NULL, 0));
	/* allowed_signers go by the policy in force. */
	assert_false(check(seven, 3, NULL, mallory, 2));
	assert_true(check(seven, 3, NULL, two, 2));
	assert_true(check(nothing, 3, NULL, NULL, 0));
	mg_policy_free(seven);
	mg_policy_free(theirs);
	mg_policy_free(without);
	mg_policy_free(nothing);
}

static void
rule2_a_version_is_used_once(void **state)
{
	struct mg_policy *seven = must_load(STEWARDS("7"));
	struct mg_policy *eight = must_load(STEWARDS("8"));

	(void)state;
	assert_false(check(eight, 8, seven, two, 2));
	assert_string_equal(
	    why, "its version is 7, and version 8 was in force");
	assert_false(check(eight, 8, eight, two, 2));
	assert_false(check(NULL, 8, seven, two, 2));
	mg_policy_free(seven);
	mg_policy_free(eight);
}

static void
the_signed_text_is_this(void **state)
{
	struct mg_buf b;

	(void)state;
	mg_buf_init(&b, 1024);
	assert_int_equal(
	    mg_policy_guard_text(&b, "policy", 7, "sha256:00ff"), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), "modelgate guarded file v1\n"
					     "what: policy\n"
					     "version: 7\n"
					     "digest: sha256:00ff\n");
	mg_buf_fini(&b);
}

static void
mistakes_are_refused(void **state)
{
	(void)state;
	assert_bad("[policy]\nsigned-by = 1 a\n[role a]\nmembers = x\n",
	    "policy.d/t.ini:1:2: a policy that is signed needs a 'version'");
	assert_bad("[policy]\nsigned-by = 1 a\nversion = 1\n",
	    "policy.d/t.ini:2:15: no role 'a' is defined");
	assert_bad("[policy]\nversion = 0\n",
	    "policy.d/t.ini:2:11: the count must not be 0");
	assert_bad("[policy]\nsigned-by = 1 a or 1 b\nversion = 1\n"
		   "[role a]\nmembers = x\n[role b]\nmembers = y\n",
	    "policy.d/t.ini:2:13: only counts of roles can stand here");
	assert_bad("[policy x]\nversion = 1\n",
	    "policy.d/t.ini:1:9: [policy] has no name");
	assert_bad("[policy]\nquorum = 2\n",
	    "policy.d/t.ini:2:1: unknown key 'quorum' in [policy]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(enough_stewards_and_a_higher_version),
	    cmocka_unit_test(rule1_the_policy_in_force_says_who),
	    cmocka_unit_test(rule2_a_version_is_used_once),
	    cmocka_unit_test(the_signed_text_is_this),
	    cmocka_unit_test(mistakes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
