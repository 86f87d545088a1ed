/* SPDX-License-Identifier: ISC */
/* Who fills which slot: named after the rules of pol_quorum.c. */
#include "policy_fixture.h"

#define ROLES                                                                  \
	"[role risk]\nmembers = bob, rita, both, all\n"                        \
	"[role data]\nmembers = carol, both, all, robot\n"                     \
	"[role owner]\nmembers = all, olga, bob\n"                             \
	"[user robot]\nkind = service\n"

static struct mg_quorum q;

static bool
is_met(struct mg_policy *p, const char *const *names, size_t n)
{
	struct mg_ask ask = ask_for("alice", "login", "");
	struct mg_verdict v;

	mg_policy_decide(p, &ask, &v);
	memset(&q, 0xa5, sizeof(q));
	mg_policy_quorum(p, &v, &nobody_in_groups, "alice", names, n, NOON, &q);
	return q.satisfied;
}

#define MET(p, ...)                                                            \
	is_met(p, (const char *const[]){__VA_ARGS__},                          \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct mg_policy *
policy(const char *approve)
{
	char text[1024];

	snprintf(text, sizeof(text),
	    ROLES "[rule r]\noperation = login\napprove = %s\n", approve);
	return must_load(text);
}

static void
every_slot_must_be_filled(void **state)
{
	struct mg_policy *p = policy("1 risk, 1 data");

	(void)state;
	assert_false(is_met(p, NULL, 0));
	assert_int_equal(q.missing[0], 1);
	assert_int_equal(q.missing[1], 1);
	assert_false(MET(p, "bob"));
	assert_int_equal(q.missing[0], 1); /* data */
	assert_int_equal(q.missing[1], 0); /* risk */
	assert_int_equal(q.fills[0], 1);
	assert_false(MET(p, "bob", "rita"));
	assert_true(MET(p, "bob", "rita", "carol"));
	assert_int_equal(q.fills[0], 1);
	assert_int_equal(q.fills[1], -1);
	assert_int_equal(q.fills[2], 0);
	assert_int_equal(q.fills[3], -1);
	mg_policy_free(p);
}

static void
promise3_requester_never_counts(void **state)
{
	struct mg_policy *p =
	    must_load("[role risk]\nmembers = alice, bob\n"
		      "[rule r]\noperation = login\napprove = 1 risk\n");

	(void)state;
	assert_false(MET(p, "alice"));
	assert_true(MET(p, "alice", "bob"));
	mg_policy_free(p);
}

static void
rule1_the_requester_counts_under_no_name(void **state)
{
	struct fixture_people fp = {
	    .groups = {{"ali", "x", NULL}, {"bob", "x", NULL}},
	    .aliases = {{"alice", "ali"}}};
	struct mg_people people = people_of(&fp);
	const char *const ali[] = {"ali"};
	struct mg_policy *p =
	    must_load("[role risk]\nmembers = ali, bob\n"
		      "[rule r]\noperation = login\napprove = 1 risk\n");
	struct mg_ask ask = ask_for("alice", "login", "");
	struct mg_verdict v;

	(void)state;
	mg_policy_decide(p, &ask, &v);
	mg_policy_quorum(p, &v, &people, "alice", ali, 1, NOON, &q);
	assert_false(q.satisfied);
	mg_policy_quorum(p, &v, &people, "carol", ali, 1, NOON, &q);
	assert_true(q.satisfied);
	mg_policy_free(p);
}

static void
rule2_two_names_of_one_person_are_one(void **state)
{
	struct fixture_people fp = {
	    .groups = {{"bob", "x", NULL}, {"bobby", "x", NULL},
		{"rita", "x", NULL}},
	    .aliases = {{"bob", "bobby"}}};
	struct mg_people people = people_of(&fp);
	const char *const names[] = {"bobby", "bob", "rita"};
	struct mg_policy *p =
	    must_load("[role risk]\nmembers = bob, bobby, rita\n"
		      "[role data]\nmembers = bob\n"
		      "[rule r]\noperation = login\napprove = 2 risk\n"
		      "[rule s]\noperation = log\napprove = 1 data\n");
	struct mg_ask ask = ask_for("alice", "login", "");
	struct mg_verdict v;

	(void)state;
	mg_policy_decide(p, &ask, &v);
	mg_policy_quorum(p, &v, &people, "alice", names, 2, NOON, &q);
	assert_false(q.satisfied);
	mg_policy_quorum(p, &v, &people, "alice", names, 3, NOON, &q);
	assert_true(q.satisfied);
	/* The name that holds the role is the one that fills the slot. */
	ask.operation = "log";
	mg_policy_decide(p, &ask, &v);
	mg_policy_quorum(p, &v, &people, "alice", names, 3, NOON, &q);
	assert_true(q.satisfied);
	assert_int_equal(q.fills[0], -1);
	assert_int_equal(q.fills[1], 0);
	mg_policy_free(p);
}

static void
the_same_name_twice_is_one_person(void **state)
{
	struct mg_policy *p = policy("2 risk");

	(void)state;
	assert_false(MET(p, "bob", "bob", "bob"));
	assert_true(MET(p, "bob", "bob", "rita"));
	mg_policy_free(p);
}

static void
rule3_a_service_account_approves_nothing(void **state)
{
	struct mg_policy *p = policy("1 data");

	(void)state;
	assert_false(MET(p, "robot"));
	assert_true(MET(p, "robot", "carol"));
	mg_policy_free(p);
}

static void
rule4_one_person_fills_one_slot_and_no_order_matters(void **state)
{
	static const char *const orders[][3] = {{"all", "both", "bob"},
	    {"all", "bob", "both"}, {"bob", "all", "both"},
	    {"bob", "both", "all"}, {"both", "all", "bob"},
	    {"both", "bob", "all"}};
	struct mg_policy *p = policy("1 risk, 1 data, 1 owner");
	size_t i;

	(void)state;
	assert_false(MET(p, "all"));
	assert_false(MET(p, "all", "both"));
	for (i = 0; i < 6; i++)
		assert_true(is_met(p, orders[i], 3));
	assert_false(MET(p, "both", "carol", "rita"));
	mg_policy_free(p);
	p = policy("2 risk, 1 data");
	assert_true(MET(p, "both", "carol", "rita"));
	assert_false(MET(p, "both", "carol"));
	mg_policy_free(p);
}

static void
rule5_who_lost_the_role_counts_no_more(void **state)
{
	struct fixture_people fp = {.groups = {{"rita", "risk", NULL}}};
	struct mg_people people = people_of(&fp);
	const char *const rita[] = {"rita"};
	struct mg_policy *p =
	    must_load("[role risk]\nmembers = @risk\n"
		      "[rule r]\noperation = login\napprove = 1 risk\n");
	struct mg_ask ask = ask_for("alice", "login", "");
	struct mg_verdict v;

	(void)state;
	mg_policy_decide(p, &ask, &v);
	mg_policy_quorum(p, &v, &people, "alice", rita, 1, NOON, &q);
	assert_true(q.satisfied);
	fp.groups[0][1] = "other";
	mg_policy_quorum(p, &v, &people, "alice", rita, 1, NOON, &q);
	assert_false(q.satisfied);
	fp.groups[0][0] = NULL; /* the directory is down */
	mg_policy_quorum(p, &v, &people, "alice", rita, 1, NOON, &q);
	assert_false(q.satisfied);
	mg_policy_free(p);
}

static void
a_verdict_without_slots_is_met_and_a_denial_never(void **state)
{
	struct mg_policy *p = must_load("[rule r]\noperation = login\n");
	struct mg_verdict v;

	(void)state;
	assert_true(is_met(p, NULL, 0));
	mg_policy_free(p);
	memset(&v, 0, sizeof(v));
	p = must_load("");
	mg_policy_quorum(p, &v, NULL, "alice", NULL, 0, NOON, &q);
	assert_false(q.satisfied);
	mg_policy_free(p);
}

static void
more_approvers_than_fit_are_left_out(void **state)
{
	struct mg_policy *p = policy("1 risk");
	const char *names[80];
	size_t i;

	(void)state;
	for (i = 0; i < 80; i++)
		names[i] = "nobody";
	names[63] = "bob";
	assert_true(is_met(p, names, 80));
	assert_int_equal(q.fills[63], 0);
	names[63] = "nobody";
	names[64] = "bob";
	assert_false(is_met(p, names, 80));
	mg_policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_slot_must_be_filled),
	    cmocka_unit_test(promise3_requester_never_counts),
	    cmocka_unit_test(rule1_the_requester_counts_under_no_name),
	    cmocka_unit_test(rule2_two_names_of_one_person_are_one),
	    cmocka_unit_test(the_same_name_twice_is_one_person),
	    cmocka_unit_test(rule3_a_service_account_approves_nothing),
	    cmocka_unit_test(
		rule4_one_person_fills_one_slot_and_no_order_matters),
	    cmocka_unit_test(rule5_who_lost_the_role_counts_no_more),
	    cmocka_unit_test(a_verdict_without_slots_is_met_and_a_denial_never),
	    cmocka_unit_test(more_approvers_than_fit_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
