/* SPDX-License-Identifier: ISC */
/*
 * [permission PATTERN]: the levels that people know from model registries.
 *
 * Each level becomes a role of its own ("PATTERN:LEVEL") and allowing rules
 * for the operations that need that level; who has a higher level has the
 * lower ones. Several sections that match a model all count. Demands of
 * other rules add up with these as with any rule.
 *
 * Rules
 * 1. Who asked for a transition never approves it, at any level.
 */
#include <string.h>

#include "pol.h"

const char *const pol_level_words[POL_LEVEL_MANAGE + 1] = {
    "none", "read", "edit", "manage-staging", "manage-production", "manage"};

/* Operations of the registry itself, as its users know them. */
static const struct {
	const char *name;
	enum pol_level level;
} registry[] = {
    {"registry.create-model", POL_LEVEL_NONE},
    {"registry.view", POL_LEVEL_READ},
    {"registry.request-transition", POL_LEVEL_READ},
    {"registry.add-version", POL_LEVEL_EDIT},
    {"registry.update-description", POL_LEVEL_EDIT},
    {"registry.edit-tags", POL_LEVEL_EDIT},
    {"registry.transition", POL_LEVEL_PRODUCTION},
    {"registry.approve-transition", POL_LEVEL_PRODUCTION},
    {"registry.cancel-transition", POL_LEVEL_MANAGE},
    {"registry.rename", POL_LEVEL_MANAGE},
    {"registry.modify-permissions", POL_LEVEL_MANAGE},
    {"registry.delete", POL_LEVEL_MANAGE},
};

void
pol_perm_builtin(struct pol_load *ld)
{
	size_t i;

	for (i = 0; i < sizeof(registry) / sizeof(registry[0]); i++)
		pol_op_builtin(
		    ld, registry[i].name, POL_OP_REGISTRY, registry[i].level);
}

static enum pol_level
level_of(const char *word)
{
	enum pol_level l;

	for (l = POL_LEVEL_READ; l <= POL_LEVEL_MANAGE; l++)
		if (strcmp(pol_level_words[l], word) == 0)
			return l;
	return POL_LEVEL_NONE;
}

/* The number of the section's role for a level; adds it or finds it. */
static uint32_t
role_of(struct pol_load *ld, enum pol_level level, bool may_add)
{
	struct pol_map *roles = &ld->p->roles;
	char name[MG_INI_LINE_MAX + 32];
	uint32_t i;
	int n;

	n = snprintf(
	    name, sizeof(name), "%s:%s", ld->sec->name, pol_level_words[level]);
	if (!may_add)
		return pol_map_find(roles, name, (size_t)n);
	if (roles->n == POL_ROLES_MAX) {
		pol_err_head(ld, "more than %u roles", POL_ROLES_MAX);
		return POL_NONE;
	}
	i = pol_map_add(roles, &ld->p->mem, name, (size_t)n);
	ld->no_memory = ld->no_memory || i == POL_NONE;
	return i;
}

/* Before roles are read: each level that is given makes one. */
void
pol_perm_declare(struct pol_load *ld)
{
	uint32_t i;

	for (i = 0; i < ld->sec->n; i++) {
		const struct pol_line *l =
		    pol_line(&ld->src, ld->sec->first + i);

		if (level_of(l->key) != POL_LEVEL_NONE)
			(void)role_of(ld, level_of(l->key), true);
	}
}

static bool
set_level(struct pol_load *ld, void *obj)
{
	enum pol_level level = level_of(ld->ln->key);
	uint32_t role;

	(void)obj;
	if (level == POL_LEVEL_NONE)
		return false;
	if ((role = role_of(ld, level, false)) != POL_NONE)
		pol_members_parse(ld, role);
	return true;
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key perm_keys[] = {
    {"description", set_description},
    {NULL, NULL},
};

/* With roles: who has which level. */
void
pol_perm_members(struct pol_load *ld)
{
	enum pol_level l;
	uint32_t role;

	for (l = POL_LEVEL_READ; l <= POL_LEVEL_MANAGE; l++)
		if ((role = role_of(ld, l, false)) != POL_NONE)
			ld->p->role_at[role].where = pol_where(ld);
	pol_keys(ld, perm_keys, NULL, set_level);
	if (ld->sec->n == 0)
		pol_err_head(
		    ld, "[permission %s] gives nobody anything", ld->sec->name);
}

/* ---- rules ---- */

/* A selector of the section's roles from level on; NULL: it has none. */
static const struct pol_sel *
roles_from(struct pol_load *ld, enum pol_level level)
{
	uint32_t role, n = 0, w[2 * POL_LEVEL_MANAGE];
	struct pol_sel *sel;
	const struct pol_sym *name;
	uint64_t hash = 1;
	enum pol_level l;

	for (l = level; l <= POL_LEVEL_MANAGE; l++) {
		if ((role = role_of(ld, l, false)) == POL_NONE)
			continue;
		name = &ld->p->roles.v[role];
		hash += pol_mix64(pol_hash64(name->s, name->len));
		w[n++] = 1;
		w[n++] = ld->p->role_rank[role];
	}
	if (n == 0)
		return NULL;
	sel = pol_alloc(&ld->p->mem, sizeof(*sel) + n * sizeof(w[0]));
	if (sel == NULL)
		return pol_oom(ld);
	sel->hash = hash;
	sel->nwords = n;
	sel->npos = n / 2;
	memcpy(sel->w, w, n * sizeof(w[0]));
	return sel;
}

/* The operations of a level, or the one called name. */
static const struct pol_ids *
ops_of(struct pol_load *ld, enum pol_level level, const char *name)
{
	struct mg_policy *p = ld->p;
	const struct pol_ids *shared;
	struct pol_ids *ids;
	char key[64];
	uint32_t i;

	snprintf(
	    key, sizeof(key), "%d %s", (int)level, name == NULL ? "" : name);
	if ((shared = pol_shared_get(ld, 'p', key)) != NULL)
		return shared;
	ids = pol_alloc(&p->mem, sizeof(*ids));
	if (ids == NULL ||
	    (ids->v = pol_alloc(&p->mem, p->ops.n * sizeof(*ids->v))) == NULL)
		return pol_oom(ld);
	for (i = 0; i < p->ops.n; i++) {
		const struct pol_op *op = pol_op(p, i);

		if (name == NULL ? op->level == level
				 : strcmp(op->def.name, name) == 0)
			ids->v[ids->n++] = i;
	}
	pol_shared_put(ld, 'p', key, ids);
	return ids;
}

/* Levels allow; who may only approve has none. */
static void
check_levels(struct pol_load *ld)
{
	enum pol_level l;
	uint32_t role;

	for (l = POL_LEVEL_READ; l <= POL_LEVEL_MANAGE; l++)
		if ((role = role_of(ld, l, false)) != POL_NONE)
			pol_approver_check(ld, ld->p->role_rank[role]);
}

/* Adds an allowing rule of the section for a level. */
static void
add(struct pol_load *ld, struct pol_rule *r, enum pol_level level,
    const char *what, const struct pol_ids *ops)
{
	r->role = roles_from(ld, level);
	r->ops = ops;
	if (r->role == NULL || ops == NULL || ops->n == 0)
		return;
	r->name = pol_printf(&ld->p->mem, "%s:%s", ld->sec->name, what);
	if (r->name == NULL)
		ld->no_memory = true;
	else
		pol_rule_add(ld, r);
}

/* Rule 1: for whatever allows it, a [permission] or a [rule]. */
void
pol_perm_finish(struct pol_load *ld)
{
	struct pol_rule r = {.effect = POL_DENY,
	    .name = "registry:own-request",
	    .where = "built in",
	    .creator = true};
	uint32_t i, j, n = ld->p->rules.n;

	r.ops = ops_of(ld, POL_LEVEL_NONE, "registry.approve-transition");
	for (i = 0; r.ops != NULL && i < n; i++) {
		const struct pol_ids *ops = pol_rule(ld->p, i)->ops;

		for (j = 0; j < ops->n && ops->v[j] != r.ops->v[0];)
			j++;
		if (j == ops->n)
			continue;
		pol_rule_add(ld, &r);
		return;
	}
}

static const struct pol_sel *
model_of(struct pol_load *ld)
{
	struct pol_line at = {.line = ld->sec->line,
	    .value_col = ld->sec->name_col,
	    .key = "",
	    .value = ld->sec->name};
	const struct pol_sel *sel;

	ld->ln = &at;
	sel = pol_sel_parse(ld, 'm', pol_model_atom);
	ld->ln = NULL;
	return sel;
}

void
pol_perm_parse(struct pol_load *ld)
{
	static const char *const moves[] = {
	    "registry.transition", "registry.approve-transition"};
	struct pol_rule r = {.effect = POL_ALLOW};
	enum pol_level l;
	size_t i;

	if ((ld->can & MG_POLICY_CAN_REGISTRY) == 0) {
		pol_err_head(
		    ld, "this version of the agent cannot honour [permission]");
		return;
	}
	if ((r.model = model_of(ld)) == NULL)
		return;
	check_levels(ld);
	r.where = pol_where(ld);
	r.section = (uint32_t)(ld->sec - pol_section(&ld->src, 0));
	for (l = POL_LEVEL_READ; l <= POL_LEVEL_MANAGE; l++)
		add(ld, &r, l, pol_level_words[l], ops_of(ld, l, NULL));
	r.stages = POL_STAGES_STAGING;
	for (i = 0; i < 2; i++)
		add(ld, &r, POL_LEVEL_STAGING, moves[i] + 9,
		    ops_of(ld, POL_LEVEL_NONE, moves[i]));
	r.stages = POL_STAGES_ANY;
	r.creator = true;
	add(ld, &r, POL_LEVEL_READ, "own-cancel",
	    ops_of(ld, POL_LEVEL_NONE, "registry.cancel-transition"));
}
