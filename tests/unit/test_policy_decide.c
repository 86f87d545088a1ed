/* SPDX-License-Identifier: ISC */
/* What rules come to: who may, who may not, and who has to be asked. */
#include "policy_fixture.h"

#define OPS                                                                    \
	"[operation deploy]\n"                                                 \
	"command = /usr/libexec/ops/symlink deploy {model} {version}\n"        \
	"run-as = mlserve\n"                                                   \
	"artifact = /srv/models/{model}/{version}\n"                           \
	"[operation promote]\n"                                                \
	"command = /usr/libexec/ops/symlink promote {model} {version}\n"       \
	"run-as = mlserve\n"                                                   \
	"[operation-group lifecycle]\n"                                        \
	"operations = deploy, promote\n"

#define ROLES                                                                  \
	"[role ml-engineer]\nmembers = alice\n"                                \
	"[role risk-owner]\nmembers = bob\n"                                   \
	"[role data-steward]\nmembers = carol\n"

static struct mg_verdict v;

static enum mg_verdict_kind
decide_ask(struct mg_policy *p, const struct mg_ask *ask)
{
	memset(&v, 0xa5, sizeof(v)); /* it is filled as a whole */
	mg_policy_decide(p, ask, &v);
	return v.kind;
}

static enum mg_verdict_kind
decide(struct mg_policy *p, const char *user, const char *op, const char *model)
{
	struct mg_ask ask = ask_for(user, op, model);

	return decide_ask(p, &ask);
}

static void
nothing_matching_denies(void **state)
{
	struct mg_policy *p = must_load(OPS);

	(void)state;
	assert_int_equal(decide(p, "root", "deploy", "m"), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_NO_RULE);
	assert_int_equal(v.nrules, 0);
	assert_string_equal(v.remedy, "no rule allows 'deploy' to anybody");
	assert_int_equal(decide(p, "root", "fly", "m"), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_UNKNOWN_OPERATION);
	assert_int_equal(decide(p, "root", "lifecycle", "m"), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_UNKNOWN_OPERATION);
	mg_policy_free(p);
}

static void
a_rule_that_asks_for_nothing_allows(void **state)
{
	struct mg_policy *p =
	    must_load(OPS ROLES "[rule r]\noperation = deploy\n"
				"role = ml-engineer\n");

	(void)state;
	assert_int_equal(decide(p, "alice", "deploy", "m"), MG_VERDICT_ALLOW);
	assert_int_equal(v.why, MG_WHY_NONE);
	assert_int_equal(v.nrules, 1);
	assert_string_equal(v.rules[0].name, "r");
	assert_string_equal(v.rules[0].where, "policy.d/t.ini:16");
	assert_false(v.mfa);
	assert_int_equal(v.nslots, 0);
	assert_int_equal(v.approve_within_ms, 15 * 60000);
	assert_int_equal(v.start_within_ms, 15 * 60000);
	assert_int_equal(v.lasts_ms, 30 * 60000);
	assert_int_equal(v.uses, 1);
	assert_string_equal(v.remedy, "");
	assert_int_equal(decide(p, "bob", "deploy", "m"), MG_VERDICT_DENY);
	assert_string_equal(v.remedy,
	    "rule r (policy.d/t.ini:16) would allow it to members of "
	    "ml-engineer");
	mg_policy_free(p);
}

static void
logins_have_no_limit_of_uses(void **state)
{
	struct mg_policy *p =
	    must_load("[rule r]\noperation = login, root-shell, log\n"
		      "[rule s]\noperation = revoke\nuses = 3\n"
		      "[rule t]\noperation = unenroll\nuses = unlimited\n");

	(void)state;
	assert_int_equal(decide(p, "a", "login", ""), MG_VERDICT_ALLOW);
	assert_int_equal(v.uses, 0);
	assert_int_equal(decide(p, "a", "root-shell", ""), MG_VERDICT_ALLOW);
	assert_int_equal(v.uses, 0);
	assert_int_equal(decide(p, "a", "log", ""), MG_VERDICT_ALLOW);
	assert_int_equal(v.uses, 1);
	assert_int_equal(decide(p, "a", "revoke", ""), MG_VERDICT_ALLOW);
	assert_int_equal(v.uses, 3);
	assert_int_equal(decide(p, "a", "unenroll", ""), MG_VERDICT_ALLOW);
	assert_int_equal(v.uses, 0);
	mg_policy_free(p);
}

static void
demands_of_all_rules_add_up(void **state)
{
	struct mg_policy *p = must_load(OPS ROLES
	    "[rule a]\noperation = lifecycle\nmfa = required\n"
	    "lasts = 2h\nuses = 5\n"
	    "[rule b]\noperation = deploy\napprove = 1 risk-owner\n"
	    "approve-within = 1h\nlasts = 10m\nuses = 3\n"
	    "[rule c]\noperation = deploy\n"
	    "approve = 1 data-steward, 2 risk-owner\napprove-within = 30m\n"
	    "uses = unlimited\n");

	(void)state;
	assert_int_equal(decide(p, "x", "deploy", "m"), MG_VERDICT_ASK);
	assert_int_equal(v.nrules, 3);
	assert_true(v.mfa);
	assert_int_equal(v.nslots, 2);
	assert_string_equal(v.slots[0].role, "data-steward");
	assert_int_equal(v.slots[0].count, 1);
	assert_string_equal(v.slots[1].role, "risk-owner");
	assert_int_equal(v.slots[1].count, 2); /* not 3 */
	assert_int_equal(v.approve_within_ms, 30 * 60000);
	assert_int_equal(v.lasts_ms, 10 * 60000);
	assert_int_equal(v.uses, 3);
	assert_int_equal(decide(p, "x", "promote", "m"), MG_VERDICT_ASK);
	assert_int_equal(v.nslots, 0);
	assert_int_equal(v.lasts_ms, 120 * 60000);
	mg_policy_free(p);
}

static void
any_deny_denies_whatever_the_order(void **state)
{
	static const char *const texts[] = {OPS
	    "[rule a]\noperation = deploy\n"
	    "[rule z]\neffect = deny\noperation = deploy\nuser = mallory\n",
	    OPS "[rule z]\neffect = deny\noperation = deploy\nuser = mallory\n"
		"[rule a]\noperation = deploy\n"};
	struct mg_policy *p;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		p = must_load(texts[i]);
		assert_int_equal(
		    decide(p, "mallory", "deploy", "m"), MG_VERDICT_DENY);
		assert_int_equal(v.why, MG_WHY_DENY_RULE);
		assert_int_equal(v.nrules, 1);
		assert_string_equal(v.rules[0].name, "z");
		assert_int_equal(v.nslots, 0);
		assert_int_equal(
		    decide(p, "alice", "deploy", "m"), MG_VERDICT_ALLOW);
		mg_policy_free(p);
	}
}

static void
require_demands_but_does_not_allow(void **state)
{
	struct mg_policy *p = must_load(OPS ROLES
	    "[rule all]\neffect = require\noperation = *\nmfa = required\n"
	    "[rule eng]\noperation = deploy\nrole = ml-engineer\n");

	(void)state;
	assert_int_equal(decide(p, "alice", "deploy", "m"), MG_VERDICT_ASK);
	assert_true(v.mfa);
	assert_int_equal(v.nrules, 2);
	assert_int_equal(decide(p, "bob", "deploy", "m"), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_NO_RULE);
	assert_false(v.mfa);
	/* '*' is for the operations that models have. */
	assert_int_equal(decide(p, "alice", "login", ""), MG_VERDICT_DENY);
	mg_policy_free(p);
}

/* ---- who ---- */

static void
roles_come_by_user_group_and_role(void **state)
{
	struct fixture_people fp = {
	    .groups = {{"gina", "ml-eng", NULL}, {"hugo", "other", NULL},
		{"carl", "ml-eng", "contractors"}, {"nora", "x", NULL}}};
	struct mg_people people = people_of(&fp);
	struct mg_policy *p =
	    must_load("[role top]\nmembers = middle, nora, !temp\n"
		      "[role middle]\nmembers = @ml-eng, low\n"
		      "[role low]\nmembers = alice, user:temp\n"
		      "[role temp]\nmembers = @contractors, user:temp\n");

	(void)state;
#define HAS(user, role) mg_policy_has_role(p, &people, user, role, NOON)
	assert_true(HAS("gina", "middle"));
	assert_true(HAS("gina", "top"));
	assert_false(HAS("gina", "low"));
	assert_false(HAS("hugo", "middle"));
	assert_true(HAS("nora", "top"));
	assert_false(HAS("nora", "middle"));
	assert_true(HAS("carl", "middle"));
	assert_false(HAS("carl", "top")); /* excluded */
	assert_true(HAS("carl", "temp"));
	assert_false(HAS("gina", "no-such-role"));
	mg_policy_free(p);
}

static void
rule1_who_cannot_be_asked_about_gets_nothing_more(void **state)
{
	struct fixture_people fp = {.groups = {{"nobody", "x", NULL}}};
	struct mg_people people = people_of(&fp);
	struct mg_policy *p = must_load(
	    "[role eng]\nmembers = @ml-eng, alice\n"
	    "[role staff]\nmembers = alice, bob\n"
	    "[role checked]\nmembers = staff, !contractor\n"
	    "[role contractor]\nmembers = @contractors\n"
	    "[rule a]\noperation = login\nrole = eng\n"
	    "[rule b]\noperation = root-shell\nrole = staff\n"
	    "[rule c]\neffect = deny\noperation = root-shell\n"
	    "role = contractor\n"
	    "[rule d]\noperation = log\nrole = checked\n"
	    "[rule e]\noperation = revoke\nrole = staff, !contractor\n");
	struct mg_ask ask = ask_for("alice", "login", "");

	(void)state;
	/* The directory answers nothing about alice. */
	ask.people = &people;
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	ask.operation = "root-shell";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_DENY_RULE);
	ask.operation = "log";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	ask.operation = "revoke";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	assert_false(mg_policy_has_role(p, &people, "bob", "checked", NOON));
	/* It answers that she is in no group. */
	ask.people = &nobody_in_groups;
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	ask.operation = "log";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	ask.operation = "root-shell";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	/* No directory at all is as one that does not answer. */
	ask.people = NULL;
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
rules_select_users_by_name_and_attribute(void **state)
{
	struct mg_policy *p =
	    must_load("[user ci]\nkind = service\nteam = fraud\nsite = a, b\n"
		      "[user ann]\nteam = fraud\nx-clearance = secret\n"
		      "[rule a]\noperation = login\nuser = kind:service\n"
		      "[rule b]\noperation = root-shell\n"
		      "user = team:fraud & x-clearance:secret, zoe\n"
		      "[rule c]\noperation = log\nuser = kind:person, !zoe\n");

	(void)state;
	assert_int_equal(decide(p, "ci", "login", ""), MG_VERDICT_ALLOW);
	assert_int_equal(decide(p, "ann", "login", ""), MG_VERDICT_DENY);
	assert_int_equal(decide(p, "ann", "root-shell", ""), MG_VERDICT_ALLOW);
	assert_int_equal(decide(p, "ci", "root-shell", ""), MG_VERDICT_DENY);
	assert_int_equal(decide(p, "zoe", "root-shell", ""), MG_VERDICT_ALLOW);
	assert_int_equal(decide(p, "ann", "log", ""), MG_VERDICT_ALLOW);
	assert_int_equal(decide(p, "who", "log", ""), MG_VERDICT_ALLOW);
	assert_int_equal(decide(p, "zoe", "log", ""), MG_VERDICT_DENY);
	assert_int_equal(decide(p, "ci", "log", ""), MG_VERDICT_DENY);
	assert_true(mg_policy_is_service(p, "ci"));
	assert_false(mg_policy_is_service(p, "ann"));
	assert_false(mg_policy_is_service(p, "who"));
	mg_policy_free(p);
}

static void
role_members_are_everybody_who_holds_it(void **state)
{
	struct fixture_people fp = {
	    .groups = {{"gina", "ml-eng", NULL},
		{"carl", "ml-eng", "contractors"}, {"alice", "ml-eng", NULL},
		{"dora", "none", NULL}}};
	struct mg_people people = people_of(&fp);
	struct mg_policy *p =
	    must_load("[role top]\nmembers = middle, dora, !temp\n"
		      "[role middle]\nmembers = @ml-eng, alice, zoe\n"
		      "[role temp]\nmembers = @contractors\n");
	const char *out[8];
	size_t n;

	(void)state;
	n = mg_policy_role_members(p, &people, "top", NOON, out, 8);
	assert_int_equal(n, 3); /* zoe: nobody knows her groups */
	assert_string_equal(out[0], "dora");
	assert_string_equal(out[1], "alice");
	assert_string_equal(out[2], "gina");
	n = mg_policy_role_members(p, &people, "top", NOON, out, 1);
	assert_int_equal(n, 1);
	assert_int_equal(
	    mg_policy_role_members(p, &people, "none", NOON, out, 8), 0);
	mg_policy_free(p);
}

/* ---- what ---- */

static void
models_are_selected_by_pattern_and_attribute(void **state)
{
	struct mg_policy *p = must_load(
	    OPS "[model fraud-*]\ntier = high\nproject = payments\n"
		"[model fraud-test-*]\ntier = low\n"
		"[model fraud-test-9]\ndata = pii, phi\n"
		"[model *-ocr]\nformat = onnx\n"
		"[rule a]\noperation = deploy\nmodel = tier:high\n"
		"[rule b]\noperation = promote\n"
		"model = project:payments & tier:low, exact, pre-*, *mid*, "
		"!pre-x*, !format:onnx\n");

	(void)state;
#define D(op, model) decide(p, "x", op, model)
	assert_int_equal(D("deploy", "fraud-scorer"), MG_VERDICT_ALLOW);
	assert_int_equal(D("deploy", "fraud-test-1"), MG_VERDICT_DENY);
	assert_int_equal(D("deploy", "fraud-test-9"), MG_VERDICT_DENY);
	assert_int_equal(D("deploy", "other"), MG_VERDICT_DENY);
	assert_int_equal(D("promote", "fraud-test-1"), MG_VERDICT_ALLOW);
	assert_int_equal(D("promote", "fraud-test-9"), MG_VERDICT_ALLOW);
	assert_int_equal(D("promote", "fraud-scorer"), MG_VERDICT_DENY);
	assert_int_equal(D("promote", "exact"), MG_VERDICT_ALLOW);
	assert_int_equal(D("promote", "exact2"), MG_VERDICT_DENY);
	assert_int_equal(D("promote", "pre-"), MG_VERDICT_ALLOW);
	assert_int_equal(D("promote", "pre-a"), MG_VERDICT_ALLOW);
	assert_int_equal(D("promote", "pre-xa"), MG_VERDICT_DENY);
	assert_int_equal(D("promote", "amidb"), MG_VERDICT_ALLOW);
	assert_int_equal(D("promote", "amid-ocr"), MG_VERDICT_DENY);
	assert_int_equal(D("promote", ""), MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
versions_are_selected_and_never_guessed(void **state)
{
	struct mg_policy *p = must_load(
	    OPS "[rule a]\noperation = deploy\nversion = 2.*, !*-rc?\n"
		"[rule b]\noperation = promote\n"
		"[rule c]\neffect = deny\noperation = promote\nversion = 1\n");
	struct mg_ask ask = ask_for("x", "deploy", "m");

	(void)state;
	ask.version = "2.1";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	ask.version = "2.1-rc1";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	ask.version = "3";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	ask.version = "";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	/* Leaving the version out is no way past a deny. */
	ask.operation = "promote";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	ask.version = "2";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	mg_policy_free(p);
}

/* ---- where ---- */

static void
hosts_are_selected_by_label_and_name(void **state)
{
	static const char *const labels[] = {"env:production", "gpu:a100"};
	struct mg_policy *p =
	    must_load("[rule a]\noperation = login\n"
		      "host = env:production & gpu:a100, bastion-*, !host-9\n");
	struct mg_ask ask = ask_for("x", "login", "");

	(void)state;
	ask.labels = labels;
	ask.nlabels = 2;
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	ask.nlabels = 1;
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	assert_string_equal(v.remedy,
	    "rule a (policy.d/t.ini:1) would allow it on env:production & "
	    "gpu:a100 or bastion-*, but not host-9");
	ask.host = "bastion-1";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	ask.nlabels = 2;
	ask.host = "host-9";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
networks_are_one_for_both_spellings(void **state)
{
	static const struct {
		const char *from;
		bool allowed;
	} cases[] = {
	    {"10.0.0.0", true},
	    {"10.255.255.255", true},
	    {"::ffff:10.1.2.3", true},
	    {"::ffff:0a01:0203", true},
	    {"11.0.0.0", false},
	    {"9.255.255.255", false},
	    {"10.6.6.6", false},
	    {"::ffff:10.6.6.6", false},
	    {"2001:db8:0:8000::1", false},
	    {"2001:db8:0:7fff::1", true},
	    {"2001:db8::1%eth0", true},
	    {"192.0.2.7", true},
	    {"192.0.2.8", false},
	    {"", false},
	    {"host.example", false},
	    {"10.1.2.3 ", false},
	    {"010.1.2.3", false},
	};
	struct mg_policy *p = must_load(
	    "[rule a]\noperation = login\n"
	    "from = 10.0.0.0/8, 2001:db8::/49, 192.0.2.7, !10.6.0.0/16\n"
	    "[rule b]\noperation = log\n"
	    "[rule c]\neffect = deny\noperation = log\nfrom = 0.0.0.0/0\n");
	struct mg_ask ask = ask_for("x", "login", "");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask.from = cases[i].from;
		if ((decide_ask(p, &ask) == MG_VERDICT_ALLOW) !=
		    cases[i].allowed)
			fail_msg("from '%s'", cases[i].from);
	}
	/* An address that is not known is no way past a deny. */
	ask.operation = "log";
	ask.from = "";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	ask.from = "1.2.3.4";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_DENY);
	ask.from = "2001::1";
	assert_int_equal(decide_ask(p, &ask), MG_VERDICT_ALLOW);
	mg_policy_free(p);
}

static void
the_remedy_names_the_nearest_rule(void **state)
{
	struct mg_policy *p = must_load(
	    OPS ROLES "[rule far]\noperation = deploy\nuser = zoe\nmodel = x\n"
		      "from = 10.0.0.0/8\n"
		      "[rule near]\noperation = deploy\nrole = ml-engineer\n"
		      "[rule net]\noperation = deploy\nrole = risk-owner\n"
		      "from = 10.0.0.0/8, 2001:db8::/32\n");

	(void)state;
	assert_int_equal(decide(p, "zoe", "deploy", "m"), MG_VERDICT_DENY);
	assert_string_equal(v.remedy,
	    "rule near (policy.d/t.ini:21) would allow it to members of "
	    "ml-engineer");
	assert_int_equal(decide(p, "bob", "deploy", "m"), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_NO_RULE);
	mg_policy_free(p);
}

static void
more_roles_than_a_verdict_holds_deny(void **state)
{
	char text[8192] = "";
	struct mg_policy *p;
	size_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < 17; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[role r%d]\nmembers = u%d\n"
		    "[rule r%d]\noperation = login\napprove = 1 r%d\n",
		    i, i, i, i);
	p = must_load(text);
	assert_int_equal(decide(p, "x", "login", ""), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_LIMIT);
	mg_policy_free(p);
}

static void
more_rules_than_a_verdict_holds_still_all_count(void **state)
{
	char text[8192] = "[role boss]\nmembers = b\n";
	struct mg_policy *p;
	size_t n = strlen(text);
	int i;

	(void)state;
	for (i = 0; i < 60; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[rule r%02d]\noperation = login\n%s", 59 - i,
		    i == 59 ? "approve = 1 boss\n" : "");
	p = must_load(text);
	assert_int_equal(decide(p, "x", "login", ""), MG_VERDICT_ASK);
	assert_int_equal(v.nrules, MG_VERDICT_RULES_MAX);
	assert_string_equal(v.rules[0].name, "r00");
	assert_string_equal(v.rules[31].name, "r31");
	mg_policy_free(p);
}

/* More branches than the way down the index holds. */
static void
rule2_of_the_index_too_many_branches_find_all(void **state)
{
	static char text[200000];
	struct mg_policy *p;
	size_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < 700; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[role r%d]\nmembers = alice\n"
		    "[rule r%03d]\noperation = login\nrole = r%d\n%s",
		    i, i, i, i % 350 == 7 ? "mfa = required\n" : "");
	p = must_load(text);
	assert_int_equal(decide(p, "alice", "login", ""), MG_VERDICT_ASK);
	assert_true(v.mfa);
	assert_int_equal(v.nrules, MG_VERDICT_RULES_MAX);
	assert_string_equal(v.rules[31].name, "r031");
	assert_int_equal(decide(p, "bob", "login", ""), MG_VERDICT_DENY);
	mg_policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_matching_denies),
	    cmocka_unit_test(a_rule_that_asks_for_nothing_allows),
	    cmocka_unit_test(logins_have_no_limit_of_uses),
	    cmocka_unit_test(demands_of_all_rules_add_up),
	    cmocka_unit_test(any_deny_denies_whatever_the_order),
	    cmocka_unit_test(require_demands_but_does_not_allow),
	    cmocka_unit_test(roles_come_by_user_group_and_role),
	    cmocka_unit_test(rule1_who_cannot_be_asked_about_gets_nothing_more),
	    cmocka_unit_test(rules_select_users_by_name_and_attribute),
	    cmocka_unit_test(role_members_are_everybody_who_holds_it),
	    cmocka_unit_test(models_are_selected_by_pattern_and_attribute),
	    cmocka_unit_test(versions_are_selected_and_never_guessed),
	    cmocka_unit_test(hosts_are_selected_by_label_and_name),
	    cmocka_unit_test(networks_are_one_for_both_spellings),
	    cmocka_unit_test(the_remedy_names_the_nearest_rule),
	    cmocka_unit_test(more_roles_than_a_verdict_holds_deny),
	    cmocka_unit_test(more_rules_than_a_verdict_holds_still_all_count),
	    cmocka_unit_test(rule2_of_the_index_too_many_branches_find_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
