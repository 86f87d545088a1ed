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

#define NEAR_MAX 16   /* rules looked at for a remedy, if need be */
#define WAYS_MAX 1024 /* to approve, of all rules together */

#define APPROVE_WITHIN_MS (15 * 60 * 1000)
#define START_WITHIN_MS (15 * 60 * 1000)
#define LASTS_MS (30 * 60 * 1000)
#define GLASS_MS (15 * 60 * 1000)

/* What was found so far. */
struct sum {
	struct mg_verdict *v;
	const struct pol_facts *f;
	const struct pol_rule *deny, *unmet;
	bool allowed, overflow, has_uses, has_signers, has_approve;
	uint64_t nways; /* of all demands together */
};

/* Rule 4: keeps the first MG_VERDICT_RULES_MAX by name. */
static void
add_rule(struct mg_verdict *v, const struct pol_rule *r)
{
	size_t i;

	for (i = 0; i < v->nrules; i++)
		if (v->rules[i].name == r->name)
			return; /* found twice */
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
add_need(struct sum *sum, const struct pol_need *need, bool is_must)
{
	const char *role = sum->f->p->role_at[need->role].name;
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
		v->slots[i].count = v->slots[i].must = 0;
	}
	if (v->slots[i].count < need->count)
		v->slots[i].count = need->count;
	if (is_must && v->slots[i].must < need->count)
		v->slots[i].must = need->count;
}

/* The roles of all ways become slots; only a flat demand says no more. */
static void
add_approve(struct sum *sum, const struct pol_approve *a, bool is_flat)
{
	uint32_t i, j;

	for (i = 0; i < a->nways; i++)
		for (j = 0; j < a->way[i].n; j++)
			add_need(sum, &a->way[i].need[j], is_flat);
}

/* What mg_policy_quorum() has to look at again. */
static void
keep_demand(struct sum *sum, const struct mg_demand *d)
{
	struct mg_verdict *v = sum->v;
	size_t i;

	for (i = 0; i < v->ndemands; i++)
		if (v->demands[i] == d)
			return;
	if (v->ndemands == MG_VERDICT_DEMANDS_MAX) {
		sum->overflow = true;
		return;
	}
	v->demands[v->ndemands++] = d;
	if (d->approve != NULL)
		sum->nways *= d->approve->nways;
	if (sum->nways > WAYS_MAX)
		sum->overflow = true;
	v->is_flat = v->is_flat && pol_demand_is_flat(d);
}

/* Signers that every rule accepts. */
static void
add_signers(struct sum *sum, const struct mg_demand *d)
{
	struct mg_verdict *v = sum->v;
	size_t i, n = 0;
	uint32_t j;

	if (!sum->has_signers) {
		for (j = 0; j < d->nsigners; j++)
			v->signers[j] = d->signers[j];
		v->nsigners = d->nsigners;
		sum->has_signers = true;
		return;
	}
	for (i = 0; i < v->nsigners; i++) {
		for (j = 0; j < d->nsigners; j++)
			if (strcmp(v->signers[i], d->signers[j]) == 0)
				break;
		if (j < d->nsigners)
			v->signers[n++] = v->signers[i];
	}
	v->nsigners = n;
	sum->overflow = sum->overflow || n == 0;
}

static void
shortest(int64_t *sum, int64_t ms)
{
	if (ms > 0 && (*sum == 0 || ms < *sum))
		*sum = ms;
}

/* Whether the session's last second factor is too old for d. */
static bool
wants_factor(const struct mg_ask *ask, const struct mg_demand *d)
{
	return d->mfa && (d->mfa_max_age_ms == 0 || ask->mfa_ms <= 0 ||
			     ask->mfa_ms > ask->now_ms ||
			     ask->now_ms - ask->mfa_ms > d->mfa_max_age_ms);
}

static void
add_reviewer(struct sum *sum, const char *role)
{
	struct mg_verdict *v = sum->v;
	size_t i, at;

	for (at = 0; at < v->nreviewers; at++)
		if (strcmp(v->reviewers[at], role) >= 0)
			break;
	if (at < v->nreviewers && strcmp(v->reviewers[at], role) == 0)
		return;
	if (v->nreviewers == MG_VERDICT_REVIEWERS_MAX) {
		sum->overflow = true;
		return;
	}
	for (i = v->nreviewers++; i > at; i--)
		v->reviewers[i] = v->reviewers[i - 1];
	v->reviewers[at] = role; /* Rule 4 */
}

/* Approvals can be done without only where every rule that asks for some
 * says so; who reviews for one rule does not for another. */
static void
add_outage(struct sum *sum, const struct pol_outage *o)
{
	const struct pol_facts *f = sum->f;
	struct mg_verdict *v = sum->v;
	bool glass = o->glass != 0 && pol_bit(f->roles.sure, o->glass - 1);

	if (!sum->has_approve) {
		v->served_before = o->served_before;
		v->break_glass = glass;
		v->break_glass_always = o->always;
	}
	sum->has_approve = true;
	v->served_before = v->served_before && o->served_before;
	v->break_glass = v->break_glass && glass;
	v->break_glass_always = v->break_glass_always && o->always;
	shortest(&v->break_glass_ms, o->lasts_ms);
	if (v->break_glass_tokens < o->tokens)
		v->break_glass_tokens = o->tokens;
	if (glass)
		add_reviewer(sum, f->p->role_at[o->review - 1].name);
}

static void
add_demand(struct sum *sum, const struct mg_demand *d)
{
	struct mg_verdict *v = sum->v;

	v->mfa = v->mfa || wants_factor(sum->f->ask, d);
	v->confirm_number = v->confirm_number || d->confirm_number;
	v->different_teams = v->different_teams || d->different_teams;
	v->artifact_signed = v->artifact_signed || d->artifact_signed;
	if (d->approve != NULL) {
		add_approve(sum, d->approve, pol_demand_is_flat(d));
		add_outage(sum, &d->outage);
	}
	if (!pol_demand_is_flat(d) || d->nexcluded > 0)
		keep_demand(sum, d);
	if (d->nsigners > 0)
		add_signers(sum, d);
	shortest(&v->approve_within_ms, d->approve_within_ms);
	shortest(&v->start_within_ms, d->start_within_ms);
	shortest(&v->lasts_ms, d->lasts_ms);
	if (d->has_uses && d->uses != 0 && (v->uses == 0 || d->uses < v->uses))
		v->uses = d->uses;
	sum->has_uses = sum->has_uses || d->has_uses;
}

/* A demand that cannot be met by asking anybody. */
static void
check_demand(struct sum *sum, const struct pol_rule *r)
{
	struct pol_words none = {0};
	enum mg_why why;

	if (sum->f->is_survey || !pol_demand_is_hard(r->demand) ||
	    pol_demand_met(sum->f, r, &why, &none))
		return;
	if (sum->unmet == NULL || r < sum->unmet)
		sum->unmet = r;
}

static void
apply(void *arg, const struct pol_rule *r)
{
	struct sum *sum = arg;

	if (pol_match(sum->f, r, false) != 0)
		return;
	switch (r->effect) {
	case POL_DENY:
		if (sum->deny == NULL || r < sum->deny)
			sum->deny = r;
		return;
	case POL_ALLOW:
		sum->allowed = true;
		break;
	case POL_REQUIRE:
		break;
	}
	add_rule(sum->v, r);
	if (r->demand != NULL) {
		add_demand(sum, r->demand);
		check_demand(sum, r);
	}
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
	memset(v, 0, offsetof(struct mg_verdict, remedy) + 1);
	v->is_flat = true;
	v->why = why;
}

/* The rule that is nearest to applying. */
struct nearest {
	const struct pol_facts *f;
	const struct pol_rule *best;
	unsigned missing;
};

static void
consider(void *arg, const struct pol_rule *r)
{
	struct nearest *n = arg;
	unsigned missing = pol_match(n->f, r, true);

	if (n->best != NULL &&
	    (pol_distance(missing) > pol_distance(n->missing) ||
		(missing == n->missing && r >= n->best)))
		return;
	n->best = r;
	n->missing = missing;
}

/* No rule is about this model: about which ones, then? */
static void
consider_all(struct nearest *n, const struct pol_op *op)
{
	const struct pol_rule *r;
	uint32_t i;

	for (i = 0; i < op->rules.n && i < NEAR_MAX; i++) {
		r = pol_rule(n->f->p, ((uint32_t *)op->rules.v)[i]);
		if (r->effect == POL_ALLOW)
			consider(n, r);
	}
}

static void
advise(const struct pol_facts *f, uint32_t op, struct mg_verdict *v)
{
	struct pol_words w = {.s = v->remedy, .size = sizeof(v->remedy)};
	struct nearest n = {.f = f};

	pol_index_near(f, op, consider, &n);
	if (n.best == NULL)
		consider_all(&n, pol_op(f->p, op));
	if (n.best == NULL) {
		pol_say(&w, "no rule allows '%s' to anybody",
		    pol_op(f->p, op)->def.name);
		return;
	}
	pol_put(&w, "rule ");
	pol_put(&w, n.best->name);
	pol_put(&w, " (");
	pol_put(&w, n.best->where);
	pol_put(&w, ") would allow it");
	pol_say_conds(&w, f->p, n.best, n.missing);
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
	if (v->break_glass_ms == 0)
		v->break_glass_ms = GLASS_MS;
	if (v->break_glass_ms > v->lasts_ms)
		v->break_glass_ms = v->lasts_ms;
	if (!sum->has_uses)
		v->uses = op->kind == POL_OP_HOST ? 0 : 1;
}

/* "(1 a and 1 b) or 2 c; 1 d then 1 e": what slots cannot say. */
static void
say_approve(struct mg_verdict *v)
{
	struct pol_words w = {.s = v->approve, .size = sizeof(v->approve)};
	size_t i;

	if (v->is_flat)
		return;
	for (i = 0; i < v->nslots; i++)
		if (v->slots[i].must > 0)
			pol_say(&w, "%s%u %s", w.n == 0 ? "" : ", ",
			    v->slots[i].must, v->slots[i].role);
	for (i = 0; i < v->ndemands; i++)
		if (!pol_demand_is_flat(v->demands[i]))
			pol_say(&w, "%s%s", w.n == 0 ? "" : "; ",
			    v->demands[i]->approve->text);
}

static void
deny_by_rule(struct sum *sum)
{
	set_denied(sum->v, MG_WHY_DENY_RULE);
	add_rule(sum->v, sum->deny);
	snprintf(sum->v->remedy, sizeof(sum->v->remedy),
	    "rule %s (%s) forbids it", sum->deny->name, sum->deny->where);
}

static void
deny_unmet(struct sum *sum)
{
	struct mg_verdict *v = sum->v;
	struct pol_words w = {.s = v->remedy, .size = sizeof(v->remedy)};
	enum mg_why why;

	set_denied(v, MG_WHY_LIMIT);
	add_rule(v, sum->unmet);
	(void)pol_demand_met(sum->f, sum->unmet, &why, &w);
	v->why = why;
}

static void
deny_overflow(struct sum *sum)
{
	set_denied(sum->v, MG_WHY_LIMIT);
	snprintf(sum->v->remedy, sizeof(sum->v->remedy),
	    "the rules together ask for more than %d different roles, %d "
	    "different ways to approve, or for signers that they do not "
	    "share",
	    MG_VERDICT_SLOTS_MAX, MG_VERDICT_DEMANDS_MAX);
}

/* Rule 1 */
static void
finish(struct sum *sum, uint32_t op)
{
	struct mg_verdict *v = sum->v;
	const struct pol_facts *f = sum->f;
	struct pol_words w = {.s = v->remedy, .size = sizeof(v->remedy)};

	if (sum->deny != NULL) { /* Rule 2 */
		deny_by_rule(sum);
	} else if (!sum->allowed) {
		set_denied(v, MG_WHY_NO_RULE);
		if (!f->is_survey)
			advise(f, op, v);
	} else if (sum->overflow) { /* Rule 3 */
		deny_overflow(sum);
	} else if (!f->is_survey && pol_is_separated(f, op, &w)) {
		memset(v, 0, offsetof(struct mg_verdict, remedy));
		v->why = MG_WHY_SEPARATION;
	} else if (sum->unmet != NULL) {
		deny_unmet(sum);
	} else {
		sort_slots(v);
		say_approve(v);
		set_defaults(sum, pol_op(f->p, op));
		v->history = f->ask->history;
		v->model = f->ask->model;
		v->version = f->ask->version;
		v->kind =
		    v->mfa || v->nslots > 0 ? MG_VERDICT_ASK : MG_VERDICT_ALLOW;
	}
}

void
mg_policy_decide(
    const struct mg_policy *p, const struct mg_ask *ask, struct mg_verdict *v)
{
	const struct pol_op *op;
	struct pol_facts f;
	struct sum sum = {.v = v, .f = &f, .nways = 1};
	char meant[POL_MEANT];
	uint32_t id;

	memset(v, 0, offsetof(struct mg_verdict, remedy) + 1);
	v->is_flat = true;
	id = pol_map_find(&p->ops, ask->operation, strlen(ask->operation));
	if (id == POL_NONE || pol_op(p, id)->kind == POL_OP_GROUP) {
		v->why = MG_WHY_UNKNOWN_OPERATION;
		snprintf(v->remedy, sizeof(v->remedy),
		    "modelgate policy what-can %.96s lists what there is%s",
		    ask->user,
		    pol_map_meant(&p->ops, ask->operation,
			strlen(ask->operation), meant));
		return;
	}
	op = pol_op(p, id);
	pol_facts_init(&f, p, ask);
	pol_index_visit(&f, op, apply, &sum);
	finish(&sum, id);
}

void
pol_decide_among(const struct pol_facts *f, uint32_t op,
    const struct pol_rule *const *rules, size_t n, struct mg_verdict *v)
{
	struct sum sum = {.v = v, .f = f, .nways = 1};
	size_t i;

	memset(v, 0, offsetof(struct mg_verdict, remedy) + 1);
	v->is_flat = true;
	for (i = 0; i < n; i++)
		apply(&sum, rules[i]);
	finish(&sum, op);
}
