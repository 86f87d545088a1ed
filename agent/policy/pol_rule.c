/* SPDX-License-Identifier: ISC */
/* [rule]: whom, what, where it is about, and what it asks for. */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

/* A rule while its lines are read. */
struct draft {
	struct pol_rule r;
	struct pol_demand_draft demand;
};

static void
set_effect(struct pol_load *ld, void *obj)
{
	struct draft *dr = obj;
	const char *v = ld->ln->value;

	if (strcmp(v, "allow") == 0)
		dr->r.effect = POL_ALLOW;
	else if (strcmp(v, "deny") == 0)
		dr->r.effect = POL_DENY;
	else if (strcmp(v, "require") == 0)
		dr->r.effect = POL_REQUIRE;
	else
		pol_err(ld, 0, "'%s' is not allow, deny or require", v);
}

static bool
is_value(struct pol_load *ld, const char *key, const char *value)
{
	uint32_t i;

	for (i = 0; i < ld->sec->n; i++) {
		const struct pol_line *l =
		    pol_line(&ld->src, ld->sec->first + i);

		if (strcmp(l->key, key) == 0)
			return strcmp(l->value, value) == 0;
	}
	return false;
}

static void
set_operation(struct pol_load *ld, void *obj)
{
	struct draft *dr = obj;
	bool may_star =
	    is_value(ld, "effect", "deny") || is_value(ld, "effect", "require");

	if (!may_star && strcmp(ld->ln->value, "*") == 0)
		pol_err(ld, 0,
		    "a rule that allows names its operations; '*' is for "
		    "deny and require");
	else
		dr->r.ops = pol_ops_parse(ld, may_star);
}

static void
set_role(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.role = pol_sel_parse(ld, 'r', pol_role_atom);
}

static void
set_user(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.user = pol_sel_parse(ld, 'u', pol_user_atom);
}

static void
set_model(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.model = pol_sel_parse(ld, 'm', pol_model_atom);
}

static uint32_t
version_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	uint32_t i;

	if (!pol_glob(ld, "version", s, n, off))
		return POL_NONE;
	i = pol_map_add(&ld->p->versions, &ld->p->mem, s, n);
	ld->no_memory = ld->no_memory || i == POL_NONE;
	return i;
}

static void
set_version(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.version = pol_sel_parse(ld, 'v', version_atom);
}

/* A label "key:value", or a pattern of host names. */
static uint32_t
host_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	struct mg_policy *p = ld->p;
	bool is_label = memchr(s, ':', n) != NULL;
	uint32_t before = p->host_atoms.n, i, *slot;

	if (!(is_label ? pol_label(ld, s, n, off)
		       : pol_glob(ld, "host", s, n, off)))
		return POL_NONE;
	i = pol_map_add(&p->host_atoms, &p->mem, s, n);
	if (i == POL_NONE) {
		ld->no_memory = true;
		return POL_NONE;
	}
	if (i < before || is_label)
		return i;
	if (p->host_patterns.n == POL_HOST_PATTERNS_MAX) {
		pol_err(ld, off, "more than %u different host names",
		    POL_HOST_PATTERNS_MAX);
		return POL_NONE;
	}
	if ((slot = pol_vec_add(&p->host_patterns, sizeof(*slot))) == NULL)
		ld->no_memory = true;
	else
		*slot = i;
	return i;
}

static void
set_host(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.host = pol_sel_parse(ld, 'h', host_atom);
}

static void
set_from(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.from = pol_nets_parse(ld);
}

/* Doubt counts against: an allowing rule gets the narrower reading. */
static bool
is_wide(struct pol_load *ld)
{
	return is_value(ld, "effect", "deny") ||
	       is_value(ld, "effect", "require");
}

static void
set_time(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.time = pol_times_parse(ld, is_wide(ld));
}

static void
set_when(struct pol_load *ld, void *obj)
{
	if ((ld->can & MG_POLICY_CAN_FILES) == 0)
		pol_err_key(
		    ld, "this version of the agent cannot honour 'when'");
	else
		((struct draft *)obj)->r.when =
		    pol_sel_parse(ld, 'w', pol_when_atom);
}

static void
set_creator(struct pol_load *ld, void *obj)
{
	if ((ld->can & MG_POLICY_CAN_REGISTRY) == 0)
		pol_err_key(
		    ld, "this version of the agent cannot honour 'creator'");
	else if (strcmp(ld->ln->value, "yes") != 0)
		pol_err(ld, 0, "'%s' is not 'yes'", ld->ln->value);
	else
		((struct draft *)obj)->r.creator = true;
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key rule_keys[] = {
    {"effect", set_effect},
    {"operation", set_operation},
    {"role", set_role},
    {"user", set_user},
    {"model", set_model},
    {"version", set_version},
    {"host", set_host},
    {"from", set_from},
    {"time", set_time},
    {"when", set_when},
    {"creator", set_creator},
    {"description", set_description},
    {NULL, NULL},
};

static bool
set_demand(struct pol_load *ld, void *obj)
{
	return pol_demand_key(ld, &((struct draft *)obj)->demand);
}

void
pol_approver_check(struct pol_load *ld, uint32_t rank)
{
	const struct pol_role *r = &ld->p->role_at[rank];

	if (r->is_approve_only)
		pol_err_head(ld,
		    "role '%s' is approve-only and cannot be allowed anything",
		    r->name);
	else if (r->approver != NULL)
		pol_err_head(ld,
		    "'%s' takes in role '%s', which is approve-only and "
		    "cannot be allowed anything",
		    r->name, r->approver);
}

/* Whoever may only approve is named by no rule that allows. */
static void
check_approve_only(struct pol_load *ld, const struct pol_rule *r)
{
	const struct pol_sel *sel = r->role;
	uint32_t i, j, n;

	if (r->effect != POL_ALLOW || sel == NULL)
		return;
	for (i = 0; i < sel->nwords; i += n + 1) {
		n = sel->w[i] & ~POL_SEL_NOT;
		for (j = 1; (sel->w[i] & POL_SEL_NOT) == 0 && j <= n; j++)
			pol_approver_check(ld, sel->w[i + j]);
	}
}

static bool
check_rule(struct pol_load *ld, const struct draft *dr, size_t errors)
{
	const struct pol_line *demand = dr->demand.first;

	if (dr->r.ops == NULL && ld->src.ds->errors == errors)
		pol_err_head(ld, "rule '%s' names no operation", dr->r.name);
	if (dr->r.effect == POL_DENY && demand != NULL) {
		ld->ln = demand;
		pol_err_key(ld, "a rule that denies cannot ask for anything");
	}
	if (dr->r.effect == POL_REQUIRE && demand == NULL)
		pol_err_head(ld, "rule '%s' requires nothing", dr->r.name);
	check_approve_only(ld, &dr->r);
	pol_demand_check(ld, &dr->demand);
	return ld->src.ds->errors == errors;
}

void
pol_rule_add(struct pol_load *ld, const struct pol_rule *r)
{
	struct pol_rule *slot = pol_vec_add(&ld->p->rules, sizeof(*slot));

	if (slot == NULL) {
		ld->no_memory = true;
		return;
	}
	*slot = *r;
	ld->p->asks_from = ld->p->asks_from || r->from != NULL;
}

void
pol_rule_parse(struct pol_load *ld)
{
	size_t errors = ld->src.ds->errors;
	struct draft dr;

	memset(&dr.r, 0, sizeof(dr.r));
	memset(&dr.demand.d, 0, sizeof(dr.demand.d));
	dr.demand.first = NULL;
	dr.demand.len = 0;
	if (!mg_name_is_valid(ld->sec->name)) {
		pol_err_head(ld, "rule name '%s' %s", ld->sec->name,
		    mg_name_why(ld->sec->name));
		return;
	}
	dr.r.name =
	    pol_strndup(&ld->p->mem, ld->sec->name, strlen(ld->sec->name));
	dr.r.where = pol_where(ld);
	dr.r.section = (uint32_t)(ld->sec - pol_section(&ld->src, 0));
	dr.r.effect = POL_ALLOW;
	if (dr.r.name == NULL || dr.r.where == NULL) {
		ld->no_memory = true;
		return;
	}
	pol_keys(ld, rule_keys, &dr, set_demand);
	if (!check_rule(ld, &dr, errors) || ld->no_memory)
		return;
	dr.r.demand = pol_demand_finish(ld, &dr.demand);
	pol_rule_add(ld, &dr.r);
}
