/* SPDX-License-Identifier: ISC */
/* Small answers about a policy. */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

void
mg_policy_free(struct mg_policy *p)
{
	uint32_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->op_at.n; i++) {
		pol_vec_fini(&pol_op(p, i)->rules);
		pol_vec_fini(&pol_op(p, i)->separations);
	}
	pol_models_fini(&p->models);
	pol_index_fini(&p->index);
	pol_map_fini(&p->users);
	pol_map_fini(&p->groups);
	pol_map_fini(&p->roles);
	pol_map_fini(&p->ops);
	pol_map_fini(&p->user_atoms);
	pol_map_fini(&p->host_atoms);
	pol_map_fini(&p->versions);
	pol_vec_fini(&p->host_patterns);
	pol_vec_fini(&p->user_at);
	pol_vec_fini(&p->group_at);
	pol_vec_fini(&p->op_at);
	pol_vec_fini(&p->rules);
	pol_vec_fini(&p->whens);
	pol_vec_fini(&p->separations);
	pol_vec_fini(&p->tests);
	pol_map_fini(&p->files);
	pol_arena_fini(&p->mem);
	free(p);
}

const char *
mg_policy_digest(const struct mg_policy *p)
{
	return p->digest;
}

unsigned
mg_policy_tokens(const struct mg_policy *p)
{
	const struct mg_demand *d;
	unsigned most = 0;
	uint32_t i;

	for (i = 0; i < p->rules.n; i++) {
		d = pol_rule(p, i)->demand;
		if (d != NULL && d->outage.tokens > most)
			most = d->outage.tokens;
	}
	return most;
}

const struct mg_operation *
mg_policy_operation(const struct mg_policy *p, const char *name)
{
	uint32_t i = pol_map_find(&p->ops, name, strlen(name));

	if (i == POL_NONE || pol_op(p, i)->kind == POL_OP_GROUP)
		return NULL;
	return &pol_op(p, i)->def;
}

const char *const *
mg_policy_groups(const struct mg_policy *p, size_t *np)
{
	*np = p->groups.n;
	return p->group_names;
}

bool
mg_policy_has_role(const struct mg_policy *p, const struct mg_people *people,
    const char *user, const char *role, int64_t now_ms)
{
	uint32_t rank = pol_role_rank(p, role, strlen(role));
	struct pol_roles roles;

	if (rank == POL_NONE)
		return false;
	pol_roles_of(p, people, user, now_ms, &roles);
	return pol_bit(roles.sure, rank);
}

bool
mg_policy_is_service(const struct mg_policy *p, const char *user)
{
	uint32_t i = pol_map_find(&p->users, user, strlen(user));

	return i != POL_NONE && pol_user(p, i)->is_service;
}

/* Names found so far, each once. */
struct names {
	const char **out;
	size_t n, max;
	const struct mg_policy *p;
	const struct mg_people *people;
	const char *role;
	int64_t now_ms;
};

static void
add_name(struct names *to, const char *name)
{
	size_t i;

	if (to->n == to->max)
		return;
	for (i = 0; i < to->n; i++)
		if (strcmp(to->out[i], name) == 0)
			return;
	if (mg_policy_has_role(to->p, to->people, name, to->role, to->now_ms))
		to->out[to->n++] = name;
}

static void
add_group(struct names *to, uint32_t group)
{
	const struct mg_people *people = to->people;
	const char *const *v;
	size_t i, n = 0;

	if (people == NULL || people->members_of == NULL)
		return;
	v = people->members_of(people->arg, to->p->group_names[group], &n);
	for (i = 0; v != NULL && i < n; i++)
		add_name(to, v[i]);
}

static void
add_role(struct names *to, const struct pol_role *role)
{
	uint32_t i;

	for (i = 0; i < role->users.n; i++)
		add_name(to, to->p->users.v[role->users.v[i]].s);
	for (i = 0; i < role->groups.n; i++)
		add_group(to, role->groups.v[i]);
}

size_t
mg_policy_role_members(const struct mg_policy *p,
    const struct mg_people *people, const char *role, int64_t now_ms,
    const char **out, size_t max)
{
	struct names to = {.out = out,
	    .max = max,
	    .p = p,
	    .people = people,
	    .role = role,
	    .now_ms = now_ms};
	uint32_t rank = pol_role_rank(p, role, strlen(role)), i, j;
	uint64_t set[POL_ROLE_WORDS] = {0};

	if (rank == POL_NONE)
		return 0;
	/* What a role is made of has a lower rank. */
	set[rank / 64] |= UINT64_C(1) << (rank % 64);
	for (i = rank + 1; i-- > 0;) {
		const struct pol_role *r = &p->role_at[i];

		if (!pol_bit(set, i))
			continue;
		add_role(&to, r);
		for (j = 0; j < r->roles.n; j++)
			set[r->roles.v[j] / 64] |= UINT64_C(1)
						   << (r->roles.v[j] % 64);
	}
	return to.n;
}
