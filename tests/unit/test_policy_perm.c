/* SPDX-License-Identifier: ISC */
/*
 * The tables of the registries that people know, row by row: six levels as
 * in a workspace registry, and the older four. An x means: allowed.
 */
#include "policy_fixture.h"

#define LEVELS                                                                 \
	"[permission fraud-*]\n"                                               \
	"read = reader\n"                                                      \
	"edit = editor\n"                                                      \
	"manage-staging = stager\n"                                            \
	"manage-production = producer\n"                                       \
	"manage = manager\n"                                                   \
	"[rule anybody-creates]\n"                                             \
	"operation = registry.create-model\n"

enum { NONE, READ, EDIT, STAGING, PRODUCTION, MANAGE, NLEVELS };

static const char *const who[NLEVELS] = {
    "nobody", "reader", "editor", "stager", "producer", "manager"};

static struct mg_verdict v;

static bool
may(struct mg_policy *p, const char *user, const char *operation,
    const char *stages, const char *creator)
{
	struct mg_ask ask = ask_for(user, operation, "fraud-a");
	char from[32];

	if (stages != NULL) {
		snprintf(from, sizeof(from), "%s", stages);
		from[strcspn(from, ":")] = '\0';
		ask.stage_from = from;
		ask.stage_to = strchr(stages, ':') + 1;
	}
	ask.creator = creator;
	mg_policy_decide(p, &ask, &v);
	return v.kind == MG_VERDICT_ALLOW;
}

/* "registry.", then as in the table. */
static const struct {
	const char *operation, *stages;
	const char *row; /* no permissions, read, ... manage */
} six[] = {
    /* Create a model */
    {"create-model", NULL, "xxxxxx"},
    /* View model details, versions, stage transition requests, activities,
     * artifact download URIs */
    {"view", NULL, " xxxxx"},
    /* Request a model version stage transition */
    {"request-transition", NULL, " xxxxx"},
    /* Add a version to a model */
    {"add-version", NULL, "  xxxx"},
    /* Update model and version description */
    {"update-description", NULL, "  xxxx"},
    /* Add or edit tags for a model or version */
    {"edit-tags", NULL, "  xxxx"},
    /* Transition model version between stages: staging managers only among
     * None, Archived, Staging */
    {"transition", "None:Staging", "   xxx"},
    {"transition", "Staging:Archived", "   xxx"},
    {"transition", "Archived:None", "   xxx"},
    {"transition", "Staging:Production", "    xx"},
    {"transition", "Production:Archived", "    xx"},
    /* Approve or reject a stage transition request: the same */
    {"approve-transition", "None:Staging", "   xxx"},
    {"approve-transition", "Staging:Production", "    xx"},
    {"approve-transition", "Production:Staging", "    xx"},
    /* Cancel a stage transition request */
    {"cancel-transition", NULL, "     x"},
    /* Rename model */
    {"rename", NULL, "     x"},
    /* Modify permissions */
    {"modify-permissions", NULL, "     x"},
    /* Delete model and model versions */
    {"delete", NULL, "     x"},
};

static void
six_levels_row_by_row(void **state)
{
	struct mg_policy *p = must_load(LEVELS);
	char operation[64];
	size_t i;
	int l;

	(void)state;
	for (i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		snprintf(operation, sizeof(operation), "registry.%s",
		    six[i].operation);
		for (l = 0; l < NLEVELS; l++)
			if (may(p, who[l], operation, six[i].stages,
				"somebody") != (six[i].row[l] == 'x'))
				fail_msg("%s %s: %s", who[l], operation,
				    six[i].stages);
	}
	mg_policy_free(p);
}

/* The older table knows read, edit, manage. */
static const struct {
	const char *operation;
	const char *row; /* no permissions, read, edit, manage */
} four[] = {
    {"create-model", "xxxx"},	    /* Create a model */
    {"view", " xxx"},		    /* View model and versions in a list */
    {"view", " xxx"},		    /* View details, requests, activities */
    {"request-transition", " xxx"}, /* Request stage transitions */
    {"add-version", "  xx"},	    /* Add a new version to model */
    {"update-description", "  xx"}, /* Update descriptions */
    {"rename", "   x"},		    /* Rename model */
    {"transition", "   x"},	    /* Transition between stages */
    {"approve-transition", "   x"}, /* Approve, reject a request */
    {"cancel-transition", "   x"},  /* Cancel a request */
    {"modify-permissions", "   x"}, /* Modify permissions */
    {"delete", "   x"},		    /* Delete model and versions */
};

static void
four_levels_row_by_row(void **state)
{
	static const int level[] = {NONE, READ, EDIT, MANAGE};
	struct mg_policy *p = must_load(
	    "[permission fraud-*]\nread = reader\nedit = editor\n"
	    "manage = manager\n"
	    "[rule anybody-creates]\noperation = registry.create-model\n");
	char operation[64];
	size_t i;
	int l;

	(void)state;
	for (i = 0; i < sizeof(four) / sizeof(four[0]); i++) {
		snprintf(operation, sizeof(operation), "registry.%s",
		    four[i].operation);
		for (l = 0; l < 4; l++)
			if (may(p, who[level[l]], operation,
				"Staging:Production",
				"somebody") != (four[i].row[l] == 'x'))
				fail_msg("%s %s", who[level[l]], operation);
	}
	mg_policy_free(p);
}

static void
who_asked_may_cancel(void **state)
{
	struct mg_policy *p = must_load(LEVELS);

	(void)state;
	assert_true(
	    may(p, "reader", "registry.cancel-transition", NULL, "reader"));
	assert_false(
	    may(p, "reader", "registry.cancel-transition", NULL, "editor"));
	assert_false(
	    may(p, "reader", "registry.cancel-transition", NULL, NULL));
	mg_policy_free(p);
}

static void
rule1_who_asked_never_approves(void **state)
{
	struct fixture_people fp = {
	    .groups = {{"manager", "x", NULL}, {"boss", "x", NULL}},
	    .aliases = {{"manager", "boss"}}};
	struct mg_people people = people_of(&fp);
	struct mg_policy *p = must_load(LEVELS);
	struct mg_ask ask =
	    ask_for("manager", "registry.approve-transition", "fraud-a");

	(void)state;
	assert_true(may(p, "manager", "registry.approve-transition",
	    "None:Staging", "editor"));
	assert_false(may(p, "manager", "registry.approve-transition",
	    "None:Staging", "manager"));
	assert_int_equal(v.why, MG_WHY_DENY_RULE);
	/* Nobody knows who asked: it might be the approver. */
	assert_false(may(
	    p, "manager", "registry.approve-transition", "None:Staging", NULL));
	ask.people = &people;
	ask.stage_from = "None";
	ask.stage_to = "Staging";
	ask.creator = "boss";
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
unknown_stages_are_not_staging(void **state)
{
	struct mg_policy *p = must_load(LEVELS);

	(void)state;
	assert_false(may(p, "stager", "registry.transition", NULL, NULL));
	assert_false(
	    may(p, "stager", "registry.transition", "None:staging", NULL));
	assert_false(may(p, "stager", "registry.transition", "None:", NULL));
	assert_true(may(p, "producer", "registry.transition", NULL, NULL));
	mg_policy_free(p);
}

static void
levels_are_for_their_models_and_the_highest_counts(void **state)
{
	struct fixture_people fp = {.groups = {{"gina", "ml", NULL}}};
	struct mg_people people = people_of(&fp);
	struct mg_ask ask = ask_for("gina", "registry.view", "ocr");
	struct mg_policy *p = must_load(
	    "[permission *]\nread = @ml\n"
	    "[permission fraud-*]\nmanage = @ml until 2026-12-31, !evil\n"
	    "[permission tier:high]\nedit = ann\n"
	    "[model secret]\ntier = high\n");

	(void)state;
	ask.people = &people;
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ALLOW);
	assert_string_equal(v.rules[0].name, "*:read");
	ask.operation = "registry.rename";
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_DENY);
	ask.model = "fraud-x";
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ALLOW);
	ask.now_ms += INT64_C(86400000) * 60; /* 2027 */
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_DENY);
	ask = ask_for("ann", "registry.add-version", "secret");
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ALLOW);
	ask.model = "public";
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_DENY);
	mg_policy_free(p);
}

static void
operations_take_a_level_and_rules_add_to_it(void **state)
{
	struct mg_policy *p = must_load(
	    LEVELS "[operation promote]\ncommand = /bin/true\nrun-as = a\n"
		   "level = manage-production\n"
		   "[role risk]\nmembers = rita\n"
		   "[rule two]\neffect = require\noperation = promote\n"
		   "model = fraud-*\napprove = 1 risk\n");
	struct mg_ask ask = ask_for("stager", "promote", "fraud-a");

	(void)state;
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_DENY);
	ask.user = "producer";
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ASK);
	assert_string_equal(v.slots[0].role, "risk");
	ask.user = "manager";
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ASK);
	mg_policy_free(p);
}

static void
mistakes_are_refused(void **state)
{
	(void)state;
	assert_bad("[permission fraud-*]\nwrite = ann\n",
	    "policy.d/t.ini:2:1: unknown key 'write' in [permission]");
	assert_bad("[permission a/b]\nread = ann\n",
	    "policy.d/t.ini:1:13: model 'a/b' contains '/'");
	assert_bad("[permission fraud-*]\n",
	    "policy.d/t.ini:1:13: [permission fraud-*] gives nobody "
	    "anything");
	assert_bad("[operation x]\ncommand = /bin/true\nrun-as = a\n"
		   "level = high\n",
	    "policy.d/t.ini:4:9: 'high' is not read, edit, manage-staging, "
	    "manage-production or manage");
	assert_bad("[operation registry.view]\ncommand = /x\nrun-as = a\n",
	    "policy.d/t.ini:1:12: operation 'registry.view' is built in");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(six_levels_row_by_row),
	    cmocka_unit_test(four_levels_row_by_row),
	    cmocka_unit_test(who_asked_may_cancel),
	    cmocka_unit_test(rule1_who_asked_never_approves),
	    cmocka_unit_test(unknown_stages_are_not_staging),
	    cmocka_unit_test(
		levels_are_for_their_models_and_the_highest_counts),
	    cmocka_unit_test(operations_take_a_level_and_rules_add_to_it),
	    cmocka_unit_test(mistakes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
