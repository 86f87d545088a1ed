/* SPDX-License-Identifier: ISC */
/*
 * What all rules that apply come to.
 *
 * Rules
 * 1. The verdict begins as "deny" and becomes anything else in one place
 *    only, after every rule was looked at.
 * 2. One denying rule denies, whatever allows.
 * 3. Demands add up: for each role the largest count, of the times the
 *    shortest. A demand that does not fit into the verdict denies.
 * 4. The order of rules means nothing: what is reported is sorted by name.
 */
#include <stdio.h>
#include <string.h>

#include "pol.h"

#define NEAR_MAX 256 /* rules looked at for a remedy */

#define APPROVE_WITHIN_MS (15 * 60 * 1000)
#define START_WITHIN_MS (15 * 60 * 1000)
#define LASTS_MS (30 * 60 * 1000)

/* What was found so far. */
struct sum {
	struct mg_verdict *v;
	const struct mg_policy *p;
	const struct pol_rule *deny;
	bool allowed, overflow, has_uses;
};

/* Rule 4: keeps the first MG_VERDICT_RULES_MAX by name. */
static void
add_rule(struct mg_verdict *v, const struct pol_rule *r)
{
	size_t i;

	if (v->nrules == MG_VERDICT_RULES_MAX) {
		if (strcmp(r->name, v->rules[v->nrules - 1].name) >= 0)
			return;
		v->nrules--;
	}
	for (i = v->nrules; i > 0; i--) {
		if (strcmp(v->rules[i - 1].name, r->name) <= 0)
			break;
		v->rules[i] = v->rules[i - 1];
	}
	v->rules[i].name = r->name;
	v->rules[i].where = r->where;
	v->nrules++;
}

static void
add_need(struct sum *sum, const struct pol_need *need)
{
	const char *role = sum->p->role_at[need->role].name;
	struct mg_verdict *v = sum->v;
	size_t i;

	for (i = 0; i < v->nslots; i++)
		if (v->slots[i].role == role)
			break;
	if (i == MG_VERDICT_SLOTS_MAX) {
		sum->overflow = true;
		return;
	}
	if (i == v->nslots) {
		v->nslots++;
		v->slots[i].role = role;
		v->slots[i].count = 0;
	}
	if (v->slots[i].count < need->count)
		v->slots[i].count = need->count;
}

static void
shortest(int64_t *sum, int64_t ms)
{
	if (ms > 0 && (*sum == 0 || ms < *sum))
		*sum = ms;
}

static void
add_demand(struct sum *sum, const struct pol_demand *d)
{
	struct mg_verdict *v = sum->v;
	uint32_t i;

	v->mfa = v->mfa || d->mfa;
	for (i = 0; i < d->nneeds; i++)
		add_need(sum, &d->need[i]);
	shortest(&v->approve_within_ms, d->approve_within_ms);
	shortest(&v->start_within_ms, d->start_within_ms);
	shortest(&v->lasts_ms, d->lasts_ms);
	if (d->has_uses && d->uses != 0 && (v->uses == 0 || d->uses < v->uses))
		v->uses = d->uses;
	sum->has_uses = sum->has_uses || d->has_uses;
}

static void
apply(struct sum *sum, const struct pol_rule *r)
{
	switch (r->effect) {
	case POL_DENY:
		if (sum->deny == NULL || strcmp(r->name, sum->deny->name) < 0)
			sum->deny = r;
		return;
	case POL_ALLOW:
		sum->allowed = true;
		break;
	case POL_REQUIRE:
		break;
	}
	add_rule(sum->v, r);
	if (r->demand != NULL)
		add_demand(sum, r->demand);
}

static void
sort_slots(struct mg_verdict *v)
{
	struct mg_slot slot;
	size_t i, j;

	for (i = 1; i < v->nslots; i++) {
		slot = v->slots[i];
		for (j = i; j > 0; j--) {
			if (strcmp(v->slots[j - 1].role, slot.role) <= 0)
				break;
			v->slots[j] = v->slots[j - 1];
		}
		v->slots[j] = slot;
	}
}

static void
set_denied(struct mg_verdict *v, enum mg_why why)
{
	v->kind = MG_VERDICT_DENY;
	v->why = why;
	v->mfa = false;
	v->nslots = v->nrules = 0;
	v->approve_within_ms = v->start_within_ms = v->lasts_ms = 0;
	v->uses = 0;
}

/* How far a rule is from applying: the number of conditions, then which. */
static unsigned
distance(unsigned missing)
{
	return (unsigned)__builtin_popcount(missing) * 64 + missing;
}

static void
nearest(
    const struct pol_facts *f, const struct pol_op *op, struct mg_verdict *v)
{
	const struct pol_rule *r, *best = NULL;
	unsigned missing, best_missing = 0;
	uint32_t i, n = op->rules.n;

	for (i = 0; i < n && i < NEAR_MAX; i++) {
		r = pol_rule(f->p, ((uint32_t *)op->rules.v)[i]);
		if (r->effect != POL_ALLOW)
			continue;
		missing = pol_match(f, r, true);
		if (best != NULL &&
		    (distance(missing) > distance(best_missing) ||
			(distance(missing) == distance(best_missing) &&
			    strcmp(r->name, best->name) >= 0)))
			continue;
		best = r;
		best_missing = missing;
	}
	if (best != NULL)
		pol_remedy(
		    f->p, best, best_missing, v->remedy, sizeof(v->remedy));
	else
		snprintf(v->remedy, sizeof(v->remedy),
		    "no rule allows '%s' to anybody", op->def.name);
}

static void
set_defaults(struct sum *sum, const struct pol_op *op)
{
	struct mg_verdict *v = sum->v;

	if (v->approve_within_ms == 0)
		v->approve_within_ms = APPROVE_WITHIN_MS;
	if (v->start_within_ms == 0)
		v->start_within_ms = START_WITHIN_MS;
	if (v->lasts_ms == 0)
		v->lasts_ms = LASTS_MS;
	if (!sum->has_uses)
		v->uses = op->kind == POL_OP_HOST ? 0 : 1;
}

/* Rule 1 */
static void
finish(struct sum *sum, const struct pol_facts *f, const struct pol_op *op)
{
	struct mg_verdict *v = sum->v;

	if (sum->deny != NULL) { /* Rule 2 */
		set_denied(v, MG_WHY_DENY_RULE);
		add_rule(v, sum->deny);
		snprintf(v->remedy, sizeof(v->remedy),
		    "rule %s (%s) forbids it", sum->deny->name,
		    sum->deny->where);
	} else if (!sum->allowed) {
		set_denied(v, MG_WHY_NO_RULE);
		nearest(f, op, v);
	} else if (sum->overflow) { /* Rule 3 */
		set_denied(v, MG_WHY_LIMIT);
		snprintf(v->remedy, sizeof(v->remedy),
		    "the rules together ask for more than %d different roles",
		    MG_VERDICT_SLOTS_MAX);
	} else {
		sort_slots(v);
		set_defaults(sum, op);
		v->kind =
		    v->mfa || v->nslots > 0 ? MG_VERDICT_ASK : MG_VERDICT_ALLOW;
	}
}

void
mg_policy_decide(
    const struct mg_policy *p, const struct mg_ask *ask, struct mg_verdict *v)
{
	struct sum sum = {.v = v, .p = p};
	const struct pol_op *op;
	const struct pol_rule *r;
	struct pol_facts f;
	uint32_t i, id;

	memset(v, 0, offsetof(struct mg_verdict, remedy) + 1);
	id = pol_map_find(&p->ops, ask->operation, strlen(ask->operation));
	if (id == POL_NONE || pol_op(p, id)->kind == POL_OP_GROUP) {
		v->why = MG_WHY_UNKNOWN_OPERATION;
		snprintf(v->remedy, sizeof(v->remedy),
		    "the policy defines no such operation");
		return;
	}
	op = pol_op(p, id);
	pol_facts_init(&f, p, ask);
	for (i = 0; i < op->rules.n; i++) {
		r = pol_rule(p, ((uint32_t *)op->rules.v)[i]);
		if (pol_match(&f, r, false) == 0)
			apply(&sum, r);
	}
	finish(&sum, &f, op);
}
