/* SPDX-License-Identifier: ISC */
/*
 * What a new policy changes for whom: decisions, not lines.
 *
 * People who hold the same roles are looked at once. For each operation, the
 * rules that may matter to them are compared; where these differ, both
 * policies decide under the circumstances of every rule that differs, alone
 * and together with those of every rule that allows. What is decided
 * differently is a change.
 *
 * Rules
 * 1. What is too much to look at is said to be wider and narrower: a
 *    reviewer is never told of less than there is.
 */
#include <stdlib.h>
#include <string.h>

#include "pol_diff.h"

#define MOMENTS_MAX 16 /* at which memberships begin or end */

int
pol_by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

bool
pol_has_number(const uint64_t *v, size_t n, uint64_t key)
{
	return n > 0 && bsearch(&key, v, n, sizeof(key), pol_by_number) != NULL;
}

/* ---- rules that differ ---- */

uint64_t
pol_rule_key(const struct pol_rule *r, unsigned conds)
{
	uint64_t h = pol_mix64((uint64_t)r->effect + 1);
	unsigned cond;

	for (cond = 1; cond < 1U << POL_CONDS; cond <<= 1)
		if ((conds & cond) != 0)
			h = pol_mix64(
			    h ^ pol_cond_mark(r, (enum pol_cond)cond));
	return r->demand == NULL ? h : pol_mix64(h ^ r->demand->hash);
}

static uint64_t
key_with_ops(const struct mg_policy *p, const struct pol_rule *r)
{
	uint64_t ops = 0;
	uint32_t i;

	for (i = 0; i < r->ops->n; i++)
		ops += pol_mix64(pol_hash64(
		    p->ops.v[r->ops->v[i]].s, p->ops.v[r->ops->v[i]].len));
	return pol_mix64(pol_rule_key(r, POL_CONDS_ALL) ^ ops);
}

static bool
key_names(struct pol_diff *d, int k)
{
	const struct mg_policy *p = d->p[k];
	uint32_t i;

	d->keys[k] = calloc(p->rules.n + 1U, sizeof(uint64_t));
	d->role_key[k] = calloc(p->roles.n + 1U, sizeof(uint64_t));
	if (d->keys[k] == NULL || d->role_key[k] == NULL)
		return false;
	for (i = 0; i < p->roles.n; i++)
		d->role_key[k][i] = pol_mix64(
		    pol_hash64(p->role_at[i].name, strlen(p->role_at[i].name)));
	for (i = 0; i < p->rules.n; i++)
		d->keys[k][i] = key_with_ops(p, pol_rule(p, i));
	qsort(d->keys[k], p->rules.n, sizeof(uint64_t), pol_by_number);
	return true;
}

static void
touch(struct pol_diff *d, const struct mg_policy *p, const struct pol_rule *r)
{
	uint32_t i, id;
	int k;

	for (i = 0; i < r->ops->n; i++) {
		const struct pol_sym *name = &p->ops.v[r->ops->v[i]];

		for (k = POL_WAS; k <= POL_IS; k++) {
			id = pol_map_find(&d->p[k]->ops, name->s, name->len);
			if (id != POL_NONE)
				d->touched[k][id] = true;
		}
	}
}

static void
touch_rules(struct pol_diff *d, int k)
{
	const struct mg_policy *p = d->p[k];
	uint32_t i;

	for (i = 0; i < p->rules.n; i++)
		if (!pol_has_number(d->keys[!k], d->p[!k]->rules.n,
			key_with_ops(p, pol_rule(p, i))))
			touch(d, p, pol_rule(p, i));
}

static void
mark_sel(bool *used, const struct pol_sel *sel)
{
	uint32_t i, j, n;

	for (i = 0; sel != NULL && i < sel->nwords; i += n + 1) {
		n = sel->w[i] & ~POL_SEL_NOT;
		for (j = 1; j <= n; j++)
			used[sel->w[i + j]] = true;
	}
}

static void
mark_used(struct pol_diff *d, int k)
{
	const struct mg_policy *p = d->p[k];
	const struct pol_approve *a;
	uint32_t i, j, w;

	for (i = 0; i < p->rules.n; i++) {
		const struct pol_rule *r = pol_rule(p, i);

		mark_sel(d->used[k], r->user);
		mark_sel(d->used_model[k], r->model);
		a = r->demand == NULL ? NULL : r->demand->approve;
		for (w = 0; a != NULL && w < a->nways; w++)
			for (j = 0; j < a->way[w].n; j++)
				d->approves[k][a->way[w].need[j].role] = true;
		if (r->demand != NULL && r->demand->outage.review != 0)
			d->approves[k][r->demand->outage.review - 1] = true;
	}
	for (i = 0; i < p->separations.n; i++)
		mark_sel(d->used_model[k],
		    ((struct pol_separation *)p->separations.v)[i].model);
	for (i = 0; i < p->guard.nsigners; i++) {
		j = pol_role_rank(p, p->guard.signers[i].role,
		    strlen(p->guard.signers[i].role));
		if (j != POL_NONE)
			d->approves[k][j] = true;
	}
}

static bool
begin(struct pol_diff *d)
{
	int k;

	for (k = POL_WAS; k <= POL_IS; k++) {
		const struct mg_policy *p = d->p[k];

		d->touched[k] = calloc(p->ops.n + 1U, 1);
		d->used[k] = calloc(p->user_atoms.n + 1U, 1);
		d->used_model[k] = calloc(p->models.atoms.n + 1U, 1);
		d->approves[k] = calloc(p->roles.n + 1U, 1);
		if (d->touched[k] == NULL || d->used[k] == NULL ||
		    d->used_model[k] == NULL || d->approves[k] == NULL ||
		    !key_names(d, k) || !pol_survey_init(&d->s[k], p))
			return false;
		mark_used(d, k);
	}
	touch_rules(d, POL_WAS);
	touch_rules(d, POL_IS);
	return true;
}

static void
end(struct pol_diff *d)
{
	int k;

	for (k = POL_WAS; k <= POL_IS; k++) {
		free(d->touched[k]);
		free(d->used[k]);
		free(d->used_model[k]);
		free(d->approves[k]);
		free(d->keys[k]);
		free(d->role_key[k]);
		if (d->s[k].p != NULL)
			pol_survey_fini(&d->s[k]);
	}
	pol_arena_fini(&d->mem);
	pol_arena_fini(&d->model_mem);
	pol_vec_fini(&d->seen);
	pol_vec_fini(&d->classes);
	pol_vec_fini(&d->alts);
	pol_vec_fini(&d->rows);
	pol_vec_fini(&d->sub);
	pol_vec_fini(&d->pairs);
	free(d->people_at);
}

/* ---- people ---- */

/* Every operation of the one policy, and those that only the other has. */
static void
compare_operations(struct pol_diff *d, bool is_all)
{
	const struct mg_policy *p;
	uint32_t i;
	int k;

	for (k = POL_IS; k >= POL_WAS && !d->no_memory; k--) {
		p = d->p[k];
		for (i = 0; i < p->ops.n && !d->no_memory; i++) {
			if (!is_all && !d->touched[k][i])
				continue;
			if (k == POL_WAS &&
			    pol_map_find(&d->p[POL_IS]->ops, p->ops.v[i].s,
				p->ops.v[i].len) != POL_NONE)
				continue;
			d->operation = p->ops.v[i].s;
			pol_diff_decisions(d);
		}
	}
}

static uint64_t
sum_roles(const struct pol_diff *d, int k, const uint64_t *bits)
{
	uint64_t sum = 0, left;
	uint32_t w;

	for (w = 0; w < (d->p[k]->roles.n + 63U) / 64; w++)
		for (left = bits[w]; left != 0; left &= left - 1)
			sum += d->role_key[k][w * 64 +
					      (unsigned)__builtin_ctzll(left)];
	return sum;
}

/* Which rules may be about the person, as a number. */
static uint64_t
sign_of(const struct pol_diff *d, int k, const char *user)
{
	const struct mg_policy *p = d->p[k];
	struct pol_roles roles;
	const struct pol_user *u = &p->nobody;
	uint64_t sum;
	uint32_t i;

	pol_roles_of(p, d->people, user, d->now_ms, &roles);
	sum = sum_roles(d, k, roles.sure) +
	      pol_mix64(sum_roles(d, k, roles.maybe)) +
	      mg_policy_is_service(p, user);
	i = pol_map_find(&p->users, user, strlen(user));
	if (i != POL_NONE)
		u = pol_user(p, i);
	for (i = 0; i < u->natoms; i++)
		if (d->used[k][u->atoms[i]])
			sum += pol_mix64(
			    1 + pol_hash64(p->user_atoms.v[u->atoms[i]].s,
				    p->user_atoms.v[u->atoms[i]].len));
	return sum;
}

static int
by_sign(const void *a, const void *b)
{
	const struct pol_diff_person *x = a, *y = b;

	if (x->sign != y->sign)
		return x->sign < y->sign ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool
is_approver(const struct pol_diff *d, int k, const char *user, const char *role)
{
	return mg_policy_has_role(d->p[k], d->people, user, role, d->now_ms) &&
	       !mg_policy_is_service(d->p[k], user);
}

static void
compare_approver(struct pol_diff *d, const char *role)
{
	struct pol_change c = {.kind = POL_CHANGE_APPROVER,
	    .users = d->users,
	    .nusers = d->nusers,
	    .operation = role,
	    .since_ms = d->since_ms};
	bool was = is_approver(d, POL_WAS, d->users[0], role);
	bool is = is_approver(d, POL_IS, d->users[0], role);

	if (was == is)
		return;
	c.how = is ? POL_WIDER : POL_NARROWER;
	d->fn(d->arg, &c);
}

/* Who holds a role that somebody's approval may come from. */
static void
compare_approvals(struct pol_diff *d)
{
	uint32_t i, rank;
	int k;

	for (k = POL_WAS; k <= POL_IS; k++) {
		for (i = 0; i < d->p[k]->roles.n; i++) {
			const char *role = d->p[k]->role_at[i].name;

			if (!d->approves[k][i])
				continue;
			rank = k == POL_WAS ? POL_NONE
					    : pol_role_rank(d->p[POL_WAS], role,
						  strlen(role));
			if (rank == POL_NONE || !d->approves[POL_WAS][rank])
				compare_approver(d, role);
		}
	}
}

static bool
is_new(struct pol_diff *d, uint64_t sign)
{
	const uint64_t *v = d->seen.v;
	uint64_t *slot;
	uint32_t i;

	for (i = 0; i < d->seen.n; i++)
		if (v[i] == sign)
			return false;
	if ((slot = pol_vec_add(&d->seen, sizeof(*slot))) == NULL)
		d->no_memory = true;
	else
		*slot = sign;
	return true;
}

static void
compare_class(struct pol_diff *d, const struct pol_diff_person *v, size_t n)
{
	const char **names;
	size_t i;

	if ((names = calloc(n, sizeof(*names))) == NULL) {
		d->no_memory = true;
		return;
	}
	for (i = 0; i < n; i++)
		names[i] = v[i].name;
	d->users = names;
	d->nusers = n;
	if (d->model == NULL && v->moves)
		compare_approvals(d);
	compare_operations(d, d->model != NULL || v->moves);
	free(names);
}

/* Who has the same rules now, and who moves between roles. */
static void
sign_people(struct pol_diff *d)
{
	struct pol_diff_person *v = d->people_at;
	size_t i;

	for (i = 0; i < d->nnames; i++) {
		uint64_t was = sign_of(d, POL_WAS, d->names[i]);
		uint64_t is = sign_of(d, POL_IS, d->names[i]);

		v[i].name = d->names[i];
		v[i].moves = was != is;
		v[i].sign = pol_mix64(was) + is;
	}
	qsort(v, d->nnames, sizeof(*v), by_sign);
}

/* Each class once. later: only those who move between roles. */
void
pol_diff_people(struct pol_diff *d, bool later)
{
	const struct pol_diff_person *v = d->people_at;
	size_t i, next;

	for (i = 0; i < d->nnames && !d->no_memory; i = next) {
		for (next = i + 1;
		     next < d->nnames && v[next].sign == v[i].sign;)
			next++;
		if (later && !v[i].moves)
			continue;
		if (d->model != NULL || !v[i].moves || is_new(d, v[i].sign))
			compare_class(d, v + i, next - i);
	}
}

/* ---- moments ---- */

static void
add_moment(struct pol_diff *d, int64_t ms, int64_t *v, size_t *np)
{
	size_t i;

	if (ms <= d->now_ms || ms == INT64_MAX)
		return;
	for (i = 0; i < *np; i++)
		if (v[i] == ms)
			return;
	if (*np == MOMENTS_MAX) {
		d->is_cut = true; /* Rule 1 */
		return;
	}
	for (i = (*np)++; i > 0 && v[i - 1] > ms; i--)
		v[i] = v[i - 1];
	v[i] = ms;
}

/* A membership with dates. */
struct dated {
	uint64_t key;
	int64_t from_ms, until_ms;
};

static bool
add_dated(struct pol_vec *v, const struct mg_policy *p, char kind,
    const char *name, const struct pol_members *in)
{
	struct dated *slot;
	const char *role;
	uint32_t i;

	for (i = 0; i < in->n; i++) {
		const struct pol_member *m = &in->v[i];

		if (m->from_ms == INT64_MIN && m->until_ms == INT64_MAX)
			continue;
		if ((slot = pol_vec_add(v, sizeof(*slot))) == NULL)
			return false;
		role = p->role_at[m->role].name;
		slot->from_ms = m->from_ms;
		slot->until_ms = m->until_ms;
		slot->key = pol_mix64(pol_hash64(name, strlen(name)) +
				      (uint64_t)kind * 2 + m->neg);
		slot->key += pol_mix64(pol_hash64(role, strlen(role)));
		slot->key = pol_mix64(slot->key ^ (uint64_t)m->from_ms);
		slot->key = pol_mix64(slot->key ^ (uint64_t)m->until_ms);
	}
	return true;
}

static bool
list_dated(struct pol_vec *v, const struct mg_policy *p)
{
	uint32_t i;
	bool ok = true;

	for (i = 0; ok && i < p->users.n; i++)
		ok = add_dated(v, p, 'u', p->users.v[i].s, &pol_user(p, i)->in);
	for (i = 0; ok && i < p->groups.n; i++)
		ok = add_dated(v, p, 'g', p->groups.v[i].s,
		    (struct pol_members *)p->group_at.v + i);
	for (i = 0; ok && i < p->roles.n; i++)
		ok =
		    add_dated(v, p, 'r', p->role_at[i].name, &p->role_at[i].in);
	if (ok && v->n > 1)
		qsort(v->v, v->n, sizeof(struct dated), pol_by_number);
	return ok;
}

/*
 * When memberships begin or end that are not the same in both, in order.
 */
static bool
moments(struct pol_diff *d, int64_t *at, size_t *np)
{
	struct pol_vec v[2] = {{0}, {0}};
	const struct dated *one;
	uint32_t i;
	bool ok;
	int k;

	*np = 0;
	ok = list_dated(&v[POL_WAS], d->p[POL_WAS]) &&
	     list_dated(&v[POL_IS], d->p[POL_IS]);
	for (k = POL_WAS; ok && k <= POL_IS; k++) {
		for (i = 0; i < v[k].n; i++) {
			one = (const struct dated *)v[k].v + i;
			if (v[!k].n > 0 &&
			    bsearch(one, v[!k].v, v[!k].n, sizeof(*one),
				pol_by_number) != NULL)
				continue;
			add_moment(d, one->from_ms, at, np);
			add_moment(d, one->until_ms, at, np);
		}
	}
	pol_vec_fini(&v[POL_WAS]);
	pol_vec_fini(&v[POL_IS]);
	return ok;
}

static bool
compare_later(struct pol_diff *d)
{
	int64_t at[MOMENTS_MAX], now_ms = d->now_ms;
	size_t n, i;

	if (!moments(d, at, &n))
		return false;
	for (i = 0; i < n && !d->no_memory; i++) {
		d->now_ms = d->since_ms = at[i];
		sign_people(d);
		pol_diff_people(d, true);
	}
	d->now_ms = now_ms;
	d->since_ms = 0;
	if (n > 0)
		sign_people(d);
	return !d->no_memory;
}

/* ---- all ---- */

static bool
compare_now(struct pol_diff *d)
{
	d->people_at = calloc(d->nnames + 1, sizeof(*d->people_at));
	if (d->people_at == NULL)
		return false;
	sign_people(d);
	pol_diff_people(d, false);
	return !d->no_memory;
}

bool
pol_diff(const struct mg_policy *was, const struct mg_policy *is,
    const struct mg_people *people, const char *const *users, size_t nusers,
    int64_t now_ms, pol_change_fn fn, void *arg)
{
	struct pol_change more = {
	    .kind = POL_CHANGE_MORE, .how = POL_WIDER | POL_NARROWER};
	struct pol_diff *d;
	bool ok;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return false;
	d->p[POL_WAS] = was;
	d->p[POL_IS] = is;
	d->people = people;
	d->names = users;
	d->nnames = nusers;
	d->now_ms = now_ms;
	d->fn = fn;
	d->arg = arg;
	ok = begin(d) && compare_now(d) && compare_later(d) &&
	     pol_diff_models(d);
	if (ok) {
		pol_diff_operations(was, is, fn, arg);
		pol_diff_separations(was, is, fn, arg);
		pol_diff_guard(was, is, fn, arg);
	}
	if (ok && d->is_cut)
		fn(arg, &more);
	end(d);
	free(d);
	return ok;
}
