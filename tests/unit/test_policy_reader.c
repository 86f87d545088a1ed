/* SPDX-License-Identifier: ISC */
/*
 * Where a careful reader of modelgate-policy(5) says "refused", the engine
 * does: each test is a policy and a question that once came out otherwise, or
 * that somebody would try.
 */
#include "policy_fixture.h"

#define OP                                                                     \
	"[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"      \
	"[operation retire]\ncommand = /bin/true {model}\nrun-as = www\n"
#define ALLOW OP "[rule a]\noperation = deploy\n"

static enum mg_verdict_kind
decide(const char *text, const struct mg_ask *ask)
{
	struct mg_policy *p = must_load(text);
	struct mg_verdict v;

	mg_policy_decide(p, ask, &v);
	mg_policy_free(p);
	return v.kind;
}

static enum mg_verdict_kind
decide_from(const char *text, const char *from)
{
	struct mg_ask ask = ask_for("alice", "deploy", "m");

	ask.from = from;
	return decide(text, &ask);
}

static enum mg_verdict_kind
decide_for(const char *text, const char *user, const char *model)
{
	struct mg_ask ask = ask_for(user, "deploy", model);

	return decide(text, &ask);
}

static void
v6_networks_hold_no_v4_addresses(void **state)
{
	(void)state;
	assert_int_equal(
	    decide_from(ALLOW "from = ::/0\n", "10.1.2.3"), MG_VERDICT_DENY);
	assert_int_equal(decide_from(ALLOW "from = ::/0\n", "::ffff:10.1.2.3"),
	    MG_VERDICT_DENY);
	assert_int_equal(
	    decide_from(ALLOW "from = ::/64\n", "10.1.2.3"), MG_VERDICT_DENY);
	assert_int_equal(decide_from(ALLOW "from = ::/0\n", "2001:db8::1"),
	    MG_VERDICT_ALLOW);
	assert_int_equal(decide_from(ALLOW "from = 0.0.0.0/0\n", "2001:db8::1"),
	    MG_VERDICT_DENY);
	assert_int_equal(
	    decide_from(ALLOW "from = 0.0.0.0/0\n", "::ffff:10.1.2.3"),
	    MG_VERDICT_ALLOW);
	/* Denied from v6 is v6 only; what is neither is not known. */
	assert_int_equal(decide_from(ALLOW "[rule d]\neffect = deny\n"
					   "operation = deploy\nfrom = ::/0\n",
			     "10.1.2.3"),
	    MG_VERDICT_ALLOW);
	assert_int_equal(decide_from(ALLOW "[rule d]\neffect = deny\n"
					   "operation = deploy\nfrom = ::/0\n",
			     "host.example"),
	    MG_VERDICT_DENY);
	assert_bad(ALLOW "from = ::ffff:0:0/96\n",
	    "policy.d/t.ini:9:8: write a v4 address in its own form");
}

/* By no term of an item, by no other role, by no level. */
static void
approve_only_means_so_by_every_way(void **state)
{
	static const char roles[] = "[role owner]\nmembers = alice\n"
				    "kind = approve-only\n"
				    "[role any]\nmembers = owner, bob\n"
				    "[role more]\nmembers = any\n"
				    "[role not]\nmembers = bob, !owner\n"
				    "[role dev]\nmembers = alice\n";
	static const struct {
		const char *rest, *error; /* NULL: it loads */
	} cases[] = {
	    {"[rule r]\noperation = deploy\nrole = dev & owner\n",
		"policy.d/t.ini:18:7: role 'owner' is approve-only and cannot "
		"be allowed anything"},
	    {"[rule r]\noperation = deploy\nrole = dev, more\n",
		"policy.d/t.ini:18:7: 'more' takes in role 'owner', which is "
		"approve-only and cannot be allowed anything"},
	    {"[permission m*]\nmanage = owner\n",
		"policy.d/t.ini:18:13: 'm*:manage' takes in role 'owner', "
		"which is approve-only and cannot be allowed anything"},
	    {"[rule r]\noperation = deploy\nrole = not\napprove = 1 more\n",
		NULL},
	    {"[rule r]\noperation = deploy\nrole = !more\n", NULL},
	    {"[rule r]\neffect = deny\noperation = deploy\nrole = more\n",
		NULL},
	};
	char text[2048];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(
		    text, sizeof(text), "%s%s%s", roles, OP, cases[i].rest);
		if (cases[i].error != NULL)
			assert_bad(text, cases[i].error);
		else
			mg_policy_free(must_load(text));
	}
}

/* Also where a rule allows it, and there is no [permission]. */
static void
who_asked_for_a_transition_never_approves_it(void **state)
{
	struct mg_ask ask =
	    ask_for("alice", "registry.approve-transition", "m");
	static const char text[] =
	    "[rule r]\noperation = registry.approve-transition\n";

	(void)state;
	ask.creator = "bob";
	assert_int_equal(decide(text, &ask), MG_VERDICT_ALLOW);
	ask.creator = "alice";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.creator = NULL;
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
}

/* A file that is ahead of the clock is neither new nor old. */
static void
a_file_of_the_future_has_no_age(void **state)
{
	struct mg_file_state file = {.is = MG_FILE_PRESENT};
	struct mg_ask ask = ask_for("alice", "deploy", "m");
	static const struct {
		const char *effect, *when;
		enum mg_verdict_kind past, soon, future;
	} cases[] = {
	    {"allow", "newer than 1h", MG_VERDICT_ALLOW, MG_VERDICT_ALLOW,
		MG_VERDICT_DENY},
	    {"allow", "older than 1h", MG_VERDICT_DENY, MG_VERDICT_DENY,
		MG_VERDICT_DENY},
	    {"deny", "newer than 1h", MG_VERDICT_DENY, MG_VERDICT_DENY,
		MG_VERDICT_DENY},
	    {"deny", "older than 1h", MG_VERDICT_ALLOW, MG_VERDICT_ALLOW,
		MG_VERDICT_DENY},
	};
	char text[1024];
	size_t i;

	(void)state;
	ask.files = &file;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
		    "%s%s[rule r]\neffect = %s\noperation = deploy\n"
		    "when = file:/f %s\n",
		    OP,
		    cases[i].effect[0] == 'd' ? "[rule a]\noperation = deploy\n"
					      : "",
		    cases[i].effect, cases[i].when);
		file.modified_ms = NOON - 60 * 1000;
		assert_int_equal(decide(text, &ask), cases[i].past);
		file.modified_ms = NOON + 1000; /* another clock's second */
		assert_int_equal(decide(text, &ask), cases[i].soon);
		file.modified_ms = NOON + 3600 * 1000;
		assert_int_equal(decide(text, &ask), cases[i].future);
	}
}

/* Names are bytes: another case is another name, everywhere. */
static void
case_is_never_folded(void **state)
{
	static const char text[] =
	    "[role r]\nmembers = alice, @ops\n"
	    "[model fraud-*]\ntier = high\n" OP
	    "[rule a]\noperation = deploy\nrole = r\nmodel = tier:high\n"
	    "host = env:production\nversion = 1*\n";
	static const char *const upper[] = {"ENV:production"};
	static const char *const lower[] = {"env:production"};
	struct mg_ask ask = ask_for("alice", "deploy", "fraud-a");

	(void)state;
	ask.labels = lower;
	ask.nlabels = 1;
	assert_int_equal(decide(text, &ask), MG_VERDICT_ALLOW);
	ask.labels = upper;
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.labels = lower;
	ask.user = "Alice";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.user = "alice";
	ask.model = "Fraud-a";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.model = "fraud-a";
	ask.operation = "Deploy";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	/* A name in other letters that look the same does not even load. */
	assert_bad("[role r]\nmembers = \xd0\xb0lice\n",
	    "policy.d/t.ini:2:11: user '\xd0\xb0lice' contains a character "
	    "other than letters, digits, '.', '_' and '-'");
}

/* Nothing in a question is a pattern. */
static void
questions_hold_no_patterns(void **state)
{
	static const char text[] =
	    ALLOW "model = fraud-a\nversion = 1.2\nhost = gpu-1\n";
	struct mg_ask ask = ask_for("alice", "deploy", "fraud-a");

	(void)state;
	ask.version = "1.2";
	ask.host = "gpu-1";
	assert_int_equal(decide(text, &ask), MG_VERDICT_ALLOW);
	ask.version = "1*2";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.version = "1.2";
	ask.model = "fraud-*";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.model = "*";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	ask.model = "fraud-a";
	ask.host = "*";
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
}

/* The last day is inside, to its last second in the policy's zone. */
static void
until_ends_at_midnight_there(void **state)
{
	static const char text[] =
	    "[policy]\ntime-zone = Europe/Berlin\n"
	    "[role r]\nmembers = alice until 2028-02-29\n" ALLOW "role = r\n";
	struct mg_ask ask = ask_for("alice", "deploy", "m");

	(void)state;
	ask.now_ms = INT64_C(1835477999999); /* 2028-02-29T23:59:59.999+01 */
	assert_int_equal(decide(text, &ask), MG_VERDICT_ALLOW);
	ask.now_ms++;
	assert_int_equal(decide(text, &ask), MG_VERDICT_DENY);
	assert_bad("[role r]\nmembers = alice until 2027-02-29\n",
	    "policy.d/t.ini:2:23: '2027-02-29' is not a date such as "
	    "2026-12-24 or 2026-12-24T18:00");
	/* Who is taken out until then comes back after it. */
	ask.now_ms = INT64_C(1835477999999);
	assert_int_equal(
	    decide("[policy]\ntime-zone = Europe/Berlin\n[role r]\n"
		   "members = alice, !alice until 2028-02-29\n" ALLOW
		   "role = r\n",
		&ask),
	    MG_VERDICT_DENY);
}

static void
a_role_of_nobody_selects_nobody(void **state)
{
	static const char roles[] = "[role none]\nmembers = !alice\n"
				    "[role left]\nmembers = alice, !all\n"
				    "[role all]\nmembers = alice, bob\n";
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "%s%srole = none, left\n", roles, ALLOW);
	assert_int_equal(decide_for(text, "alice", "m"), MG_VERDICT_DENY);
	assert_int_equal(decide_for(text, "bob", "m"), MG_VERDICT_DENY);
	/* "!" makes a cycle as any member does. */
	assert_bad("[role a]\nmembers = x, !b\n[role b]\nmembers = y, !a\n",
	    "policy.d/t.ini:1:7: role 'a' is made of itself, by way of its "
	    "members");
	assert_bad("[role a]\nmembers = x, !a\n",
	    "policy.d/t.ini:1:7: role 'a' is made of itself, by way of its "
	    "members");
}

/* The attribute of the pattern with more letters, whatever its order. */
static void
the_most_specific_pattern_counts(void **state)
{
	(void)state;
	assert_int_equal(
	    decide_for("[model *]\ntier = low\n[model *-prod]\ntier = high\n"
		       "[model fraud-*]\ntier = mid\n" ALLOW
		       "model = tier:mid\n",
		"alice", "fraud-prod"),
	    MG_VERDICT_ALLOW);
	assert_int_equal(
	    decide_for("[model *]\ntier = low\n[model *---prod]\ntier = high\n"
		       "[model fraud-*]\ntier = mid\n" ALLOW
		       "model = tier:mid\n",
		"alice", "fraud---prod"),
	    MG_VERDICT_DENY);
}

/* "a & !b" would be read in two ways; the list says it: "a, !b". */
static void
a_term_is_not_excluded_alone(void **state)
{
	(void)state;
	assert_bad(ALLOW "model = tier:mid & !data:pii\n",
	    "policy.d/t.ini:9:20: a '!' stands before the first term, and is "
	    "about all of them");
	assert_int_equal(decide_for("[model m]\ntier = mid\ndata = pii\n" ALLOW
				    "model = tier:mid, !data:pii\n",
			     "alice", "m"),
	    MG_VERDICT_DENY);
	assert_int_equal(decide_for("[model m]\ntier = mid\ndata = pii\n" ALLOW
				    "model = !tier:high & data:pii\n",
			     "alice", "m"),
	    MG_VERDICT_ALLOW);
}

/* What no model is asked about for is about no model. */
static void
without_a_model_no_condition_on_it_holds(void **state)
{
	(void)state;
	assert_int_equal(decide_for(ALLOW "model = !fraud-*\n", "alice", ""),
	    MG_VERDICT_DENY);
	assert_int_equal(
	    decide_for(ALLOW "version = !1\n", "alice", ""), MG_VERDICT_DENY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(v6_networks_hold_no_v4_addresses),
	    cmocka_unit_test(approve_only_means_so_by_every_way),
	    cmocka_unit_test(who_asked_for_a_transition_never_approves_it),
	    cmocka_unit_test(a_file_of_the_future_has_no_age),
	    cmocka_unit_test(case_is_never_folded),
	    cmocka_unit_test(questions_hold_no_patterns),
	    cmocka_unit_test(until_ends_at_midnight_there),
	    cmocka_unit_test(a_role_of_nobody_selects_nobody),
	    cmocka_unit_test(the_most_specific_pattern_counts),
	    cmocka_unit_test(a_term_is_not_excluded_alone),
	    cmocka_unit_test(without_a_model_no_condition_on_it_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
