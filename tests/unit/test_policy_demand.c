/* SPDX-License-Identifier: ISC */
/* What rules ask for beside people: keys, factors, limits, duties. */
#include "policy_fixture.h"

#define HOUR INT64_C(3600000)
#define OPS                                                                    \
	"[operation deploy]\ncommand = /bin/true\nrun-as = a\n"                \
	"[operation promote]\ncommand = /bin/true\nrun-as = a\n"               \
	"[operation retire]\ncommand = /bin/true\nrun-as = a\n"

static struct mg_verdict v;

static enum mg_verdict_kind
decide(struct mg_policy *p, const struct mg_ask *ask)
{
	mg_policy_decide(p, ask, &v);
	return v.kind;
}

static void
a_hardware_key_is_demanded_and_not_only_preferred(void **state)
{
	struct mg_policy *p =
	    must_load("[rule a]\noperation = login\nmfa = hardware-key\n"
		      "[rule b]\noperation = login\n");
	struct mg_ask ask = ask_for("x", "login", "");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_KEY_NEEDED);
	assert_string_equal(v.rules[0].name, "a");
	assert_string_equal(v.remedy,
	    "rule a (policy.d/t.ini:1) asks for a login with a "
	    "hardware-backed key");
	ask.login_key_is_hardware = true;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	mg_policy_free(p);
}

static void
kinds_of_login_keys(void **state)
{
	static const struct {
		const char *rule, *type;
		bool ok;
	} cases[] = {
	    {"ed25519", "ssh-ed25519", true},
	    {"ed25519", "sk-ssh-ed25519@openssh.com", true},
	    {"ed25519", "ecdsa-sha2-nistp256", false},
	    {"ecdsa", "ecdsa-sha2-nistp521", true},
	    {"ecdsa", "sk-ecdsa-sha2-nistp256@openssh.com", true},
	    {"rsa", "ssh-rsa", true},
	    {"rsa", "rsa-sha2-512", true},
	    {"rsa, ed25519", "ssh-ed25519", true},
	    {"certificate", "ssh-ed25519", false},
	    {"certificate", "ssh-ed25519-cert-v01@openssh.com", true},
	    {"hardware", "sk-ssh-ed25519@openssh.com", false}, /* by flag */
	    {"ed25519", "", false},
	};
	struct mg_ask ask = ask_for("x", "login", "");
	struct mg_policy *p;
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
		    "[rule a]\noperation = login\nlogin-key = %s\n",
		    cases[i].rule);
		p = must_load(text);
		ask.login_key = cases[i].type;
		if ((decide(p, &ask) == MG_VERDICT_ALLOW) != cases[i].ok)
			fail_msg("%s, %s", cases[i].rule, cases[i].type);
		mg_policy_free(p);
	}
	assert_bad("[rule a]\noperation = login\nlogin-key = dsa\n",
	    "policy.d/t.ini:3:13: 'dsa' is not hardware, certificate, "
	    "ed25519, ecdsa or rsa");
}

static void
keys_that_must_rotate(void **state)
{
	struct mg_policy *p =
	    must_load("[rule a]\noperation = login\nlogin-key-max-age = 90d\n");
	struct mg_ask ask = ask_for("x", "login", "");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_KEY_NEEDED);
	ask.login_key_since_ms = NOON - 90 * 24 * HOUR;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.login_key_since_ms--;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	ask.login_key_since_ms = NOON + 1; /* from the future */
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
a_second_factor_stays_fresh_for_as_long_as_all_rules_say(void **state)
{
	struct mg_policy *p =
	    must_load("[rule a]\noperation = login, log\nmfa = required\n"
		      "mfa-max-age = 10m\n"
		      "[rule b]\noperation = login\nmfa-max-age = 5m\n"
		      "[rule c]\noperation = revoke\nmfa = required\n"
		      "[rule d]\noperation = revoke\nmfa-max-age = 10m\n");
	struct mg_ask ask = ask_for("x", "login", "");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ASK);
	assert_true(v.mfa);
	ask.mfa_ms = NOON - 5 * 60000;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	assert_false(v.mfa);
	ask.mfa_ms--;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ASK);
	ask.operation = "log";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.mfa_ms = NOON + 1;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ASK);
	/* A rule that says nothing about age wants one now. */
	ask.operation = "revoke";
	ask.mfa_ms = NOON;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ASK);
	mg_policy_free(p);
}

/* ---- history ---- */

static struct {
	const char *did[4]; /* "user operation" */
	struct mg_live live[4];
	size_t nlive;
	int64_t granted, bytes;
	int unknown;
} past;

static int
past_did(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	char text[256];
	size_t i;

	(void)arg;
	assert_string_equal(model, "m");
	assert_string_equal(version, "1");
	if (past.unknown)
		return -1;
	snprintf(text, sizeof(text), "%s %s", user, operation);
	for (i = 0; i < 4; i++)
		if (past.did[i] != NULL && strcmp(past.did[i], text) == 0)
			return 1;
	return 0;
}

static bool
past_live(void *arg, size_t i, struct mg_live *out)
{
	(void)arg;
	if (i >= past.nlive)
		return false;
	*out = past.live[i];
	return true;
}

static int64_t
past_granted(void *arg, const char *user, const char *op, int64_t since)
{
	(void)arg;
	assert_string_equal(user, "x");
	assert_string_equal(op, "deploy");
	assert_true(since == NOON - 24 * HOUR);
	return past.unknown ? -1 : past.granted;
}

static int64_t
past_bytes(void *arg, const char *user, const char *op, int64_t since)
{
	(void)arg;
	(void)user;
	(void)op;
	(void)since;
	return past.unknown ? -1 : past.bytes;
}

static const struct mg_history history = {.did = past_did,
    .approved = past_did,
    .live = past_live,
    .granted = past_granted,
    .bytes = past_bytes};
static const struct mg_history nothing_known;

static struct mg_ask
ask_with_past(const char *user, const char *operation)
{
	struct mg_ask ask = ask_for(user, operation, "m");

	memset(&past, 0, sizeof(past));
	ask.history = &history;
	return ask;
}

static void
nobody_drives_a_version_through_its_life_alone(void **state)
{
	struct mg_policy *p = must_load(
	    OPS "[rule a]\noperation = *\neffect = require\nlasts = 1h\n"
		"[rule b]\noperation = deploy, promote, retire\n"
		"[separation life]\noperations = deploy, promote, retire\n"
		"model = m*\n");
	struct mg_ask ask = ask_with_past("x", "retire");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.did[0] = "x deploy";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.did[1] = "y promote";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.did[1] = "x promote";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_SEPARATION);
	assert_non_null(strstr(v.remedy, "separation life (policy.d/t.ini:"));
	assert_int_equal(v.nslots, 0);
	/* The same again is no new duty. */
	ask.operation = "deploy";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.operation = "retire";
	ask.model = "other";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.model = "m";
	ask.version = "";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	ask.version = "1";
	past.did[1] = NULL;
	past.unknown = 1;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	past.unknown = 0;
	ask.history = &nothing_known;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	ask.history = NULL;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_SEPARATION);
	mg_policy_free(p);
	assert_bad(OPS "[separation s]\noperations = deploy\n",
	    "policy.d/t.ini:10:13: a separation needs two operations or more");
	assert_bad(OPS
	    "[separation s]\noperations = deploy, retire\nat-most = 2\n",
	    "policy.d/t.ini:10:13: at-most 2 of 2 operations separates "
	    "nothing");
}

static void
who_packaged_or_approved_before_does_not_approve(void **state)
{
	struct mg_policy *p =
	    must_load(OPS "[role r]\nmembers = ann, ben, cas\n"
			  "[rule a]\noperation = promote\napprove = 1 r\n"
			  "approve-not = did package, approved deploy\n");
	static const char *const ann[] = {"ann"};
	struct mg_ask ask = ask_with_past("x", "promote");
	struct mg_quorum q;

	(void)state;
#define MET                                                                    \
	(mg_policy_quorum(p, &v, ask.people, "x", ann, 1, NOON, &q),           \
	    q.satisfied)
	assert_int_equal(decide(p, &ask), MG_VERDICT_ASK);
	assert_true(v.is_flat);
	assert_true(MET);
	past.did[0] = "ann deploy"; /* approved answers by the same list */
	assert_false(MET);
	past.did[0] = "ann package";
	assert_false(MET);
	past.did[0] = "ben package";
	assert_true(MET);
	past.unknown = 1;
	assert_false(MET);
	past.unknown = 0;
	ask.history = NULL;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ASK);
	assert_false(MET);
	mg_policy_free(p);
	assert_bad("[rule a]\noperation = login\napprove-not = did fly\n",
	    "policy.d/t.ini:3:19: no operation 'fly' is defined");
	assert_bad("[rule a]\noperation = login\napprove-not = deploy\n",
	    "policy.d/t.ini:3:15: write 'did OPERATION' or 'approved "
	    "OPERATION'");
#undef MET
}

static void
how_many_at_once(void **state)
{
	struct mg_policy *p = must_load(
	    OPS "[model m*]\ntier = high\n[model n]\ntier = low\n"
		"[rule a]\noperation = deploy\nmax-concurrent = 1\n"
		"[rule b]\noperation = promote\nmax-concurrent = 2 per tier\n"
		"[rule c]\noperation = retire\nmax-concurrent = 2 per host\n");
	struct mg_ask ask = ask_with_past("x", "deploy");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.nlive = 2;
	past.live[0] = (struct mg_live){"y", "deploy", "m2", "1"};
	past.live[1] = (struct mg_live){"y", "promote", "m", "1"};
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.live[0].model = "m";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_LIMIT);
	assert_string_equal(v.remedy,
	    "rule a (policy.d/t.ini:14) allows 1 at once per model, and 1 is "
	    "going on");
	ask.operation = "promote";
	past.live[0] = (struct mg_live){"y", "promote", "m2", "1"};
	past.live[1] = (struct mg_live){"y", "promote", "n", "1"};
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.live[1].model = "m3";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	ask.operation = "retire";
	past.live[0].operation = past.live[1].operation = "retire";
	past.live[1].model = "zz";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	past.nlive = 1;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.history = &nothing_known;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	mg_policy_free(p);
	assert_bad("[rule a]\noperation = log\nmax-concurrent = 1 per day\n",
	    "policy.d/t.ini:3:19: write 'per model', 'per tier' or 'per "
	    "host'");
	assert_bad("[rule a]\noperation = log\nmax-concurrent = 0\n",
	    "policy.d/t.ini:3:18: the count must not be 0");
}

static void
how_many_and_how_much_per_person(void **state)
{
	struct mg_policy *p = must_load(
	    OPS "[rule a]\noperation = deploy\nrate = 5 per 1d\n"
		"[rule b]\noperation = promote\nbudget = 10GiB per 1d\n");
	struct mg_ask ask = ask_with_past("x", "deploy");
	const int64_t gib = INT64_C(1) << 30;

	(void)state;
	past.granted = 4;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.granted = 5;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_string_equal(v.remedy,
	    "rule a (policy.d/t.ini:10) allows 5 per 1d to one person, and x "
	    "had 5");
	past.unknown = 1;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	past.unknown = 0;
	ask.operation = "promote";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY); /* no size */
	ask.bytes = 10 * gib;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	past.bytes = 1;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	past.bytes = 9 * gib;
	ask.bytes = gib;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.bytes = gib + 1;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	past.bytes = INT64_MAX;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	past.bytes = 0;
	ask.bytes = INT64_MAX;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	mg_policy_free(p);
	assert_bad("[rule a]\noperation = log\nbudget = 10 per 1d\n",
	    "policy.d/t.ini:3:12: write the unit: KiB, MiB, GiB or TiB");
	assert_bad("[rule a]\noperation = log\nbudget = 10GiB\n",
	    "policy.d/t.ini:3:15: write for how long, such as 'per 1d'");
	assert_bad("[rule a]\noperation = log\nrate = 5 per day\n",
	    "policy.d/t.ini:3:9: write for how long, such as 'per 1d'");
}

static void
signed_artifacts_need_a_signer_that_all_rules_accept(void **state)
{
	struct mg_policy *p = must_load(
	    OPS "[rule a]\noperation = deploy, retire\nartifact = signed\n"
		"[rule b]\noperation = deploy\nartifact = signed by t1, t2\n"
		"[rule c]\noperation = deploy\nartifact = signed by t3, t2\n"
		"[rule d]\noperation = retire\n"
		"[rule e]\noperation = promote\nartifact = signed by t1\n"
		"[rule f]\noperation = promote\nartifact = signed by t2\n");
	struct mg_ask ask = ask_with_past("x", "deploy");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	assert_true(v.artifact_signed);
	assert_int_equal(v.nsigners, 1);
	assert_string_equal(v.signers[0], "t2");
	ask.operation = "retire";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	assert_true(v.artifact_signed);
	assert_int_equal(v.nsigners, 0);
	ask.operation = "promote";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_LIMIT);
	mg_policy_free(p);
}

static void
a_policy_that_the_agent_cannot_honour_does_not_load(void **state)
{
	static const struct {
		const char *line;
		unsigned can;
	} cases[] = {
	    {"mfa-max-age = 5m", MG_POLICY_CAN_MFA_AGE},
	    {"login-key-max-age = 5d", MG_POLICY_CAN_KEY_AGE},
	    {"confirm = number", MG_POLICY_CAN_CONFIRM},
	    {"approve-not = did package", MG_POLICY_CAN_PAST},
	    {"max-concurrent = 1", MG_POLICY_CAN_LIVE},
	    {"rate = 1 per 1d", MG_POLICY_CAN_RATE},
	    {"budget = 1GiB per 1d", MG_POLICY_CAN_BYTES},
	    {"artifact = signed", MG_POLICY_CAN_SIGNED},
	    {"when = file:/x present", MG_POLICY_CAN_FILES},
	    {"creator = yes", MG_POLICY_CAN_REGISTRY},
	    {"from = local", MG_POLICY_CAN_LOCAL},
	};
	struct mg_policy_source src = {0};
	char dir[] = "/tmp/test_policy.XXXXXX", path[64];
	struct mg_policy *p;
	FILE *f;
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.ini", dir);
	src.policy_dir = dir;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "[rule a]\noperation = login\n%s\n", cases[i].line);
		assert_int_equal(fclose(f), 0);
		mg_diags_init(&ds);
		src.can = MG_POLICY_CAN_ALL & ~cases[i].can;
		if (mg_policy_load(&src, &p, &ds) != MG_ERR_FORMAT)
			fail_msg("%s", cases[i].line);
		assert_non_null(strstr(ds.v[0].text, "cannot honour"));
		mg_diags_init(&ds);
		src.can = cases[i].can;
		assert_int_equal(mg_policy_load(&src, &p, &ds), MG_ERR_OK);
		mg_policy_free(p);
	}
	assert_int_equal(remove(path), 0);
	assert_int_equal(remove(dir), 0);
}

static void
the_console_can_be_told_from_an_unknown_address(void **state)
{
	struct mg_policy *p =
	    must_load("[rule a]\noperation = login\nfrom = local, 10.0.0.0/8\n"
		      "[rule b]\noperation = log\n"
		      "[rule c]\neffect = deny\noperation = log\n"
		      "from = !local, !10.0.0.0/8\n");
	struct mg_ask ask = ask_for("x", "login", "");

	(void)state;
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	ask.operation = "log";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	ask.is_local = true;
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.operation = "login";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.is_local = false;
	ask.from = "10.1.1.1";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.operation = "log";
	assert_int_equal(decide(p, &ask), MG_VERDICT_ALLOW);
	ask.from = "11.1.1.1";
	assert_int_equal(decide(p, &ask), MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
approve_only_roles_are_allowed_nothing(void **state)
{
	(void)state;
	assert_bad("[role r]\nmembers = a\nkind = approve-only\n"
		   "[rule x]\noperation = login\nrole = r\n",
	    "policy.d/t.ini:4:7: role 'r' is approve-only and cannot be "
	    "allowed anything");
	mg_policy_free(
	    must_load("[role r]\nmembers = a\nkind = approve-only\n"
		      "[rule x]\noperation = login\nrole = !r\n"
		      "approve = 1 r\n"
		      "[rule y]\neffect = deny\noperation = log\nrole = r\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hardware_key_is_demanded_and_not_only_preferred),
	    cmocka_unit_test(kinds_of_login_keys),
	    cmocka_unit_test(keys_that_must_rotate),
	    cmocka_unit_test(
		a_second_factor_stays_fresh_for_as_long_as_all_rules_say),
	    cmocka_unit_test(nobody_drives_a_version_through_its_life_alone),
	    cmocka_unit_test(who_packaged_or_approved_before_does_not_approve),
	    cmocka_unit_test(how_many_at_once),
	    cmocka_unit_test(how_many_and_how_much_per_person),
	    cmocka_unit_test(
		signed_artifacts_need_a_signer_that_all_rules_accept),
	    cmocka_unit_test(
		a_policy_that_the_agent_cannot_honour_does_not_load),
	    cmocka_unit_test(the_console_can_be_told_from_an_unknown_address),
	    cmocka_unit_test(approve_only_roles_are_allowed_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
