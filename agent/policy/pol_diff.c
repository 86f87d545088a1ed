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

#include "pol.h"

#define MOMENTS_MAX 16	      /* at which memberships begin or end */
#define MODEL_CLASSES_MAX 256 /* whose attributes change */
#define MODEL_LOOKS_MAX 1024  /* sections that change */
#define TRIALS_MAX 4096	      /* circumstances for one class and operation */
#define ROWS_MAX 256
#define PAIRS_MAX 400000 /* of a class and an operation */

enum { WAS, IS };

/* People for whom both policies have the same rules. */
struct person {
	uint64_t sign;
	const char *name;
	bool moves; /* between roles */
};

/* A rule's circumstances, narrowed to one item of each list. */
struct alt {
	const struct mg_policy *p;
	struct pol_rule r;
	unsigned conds;
	bool is_changed, is_old;
};

struct row {
	const struct alt *a, *b; /* b NULL: a alone */
	char before[POL_ROW_TEXT], after[POL_ROW_TEXT];
};

struct diff {
	const struct mg_policy *p[2];
	struct pol_survey s[2];
	struct pol_facts f[2];
	uint64_t *keys[2];	       /* of all rules, sorted */
	uint64_t *role_key[2];	       /* by rank: of the name */
	bool *touched[2];	       /* by operation */
	bool *used[2], *used_model[2]; /* by atom */
	bool *approves[2];	       /* by role */
	const struct mg_people *people;
	struct pol_vec seen;	/* uint64_t, signs that were looked at */
	struct pol_vec classes; /* struct class, of models */
	struct pol_arena model_mem;
	/* One class and operation. */
	const char *const *users;
	size_t nusers;
	const char *operation, *model, *model_shown;
	uint32_t op[2];
	struct pol_arena mem;
	struct pol_vec alts;  /* struct alt */
	struct pol_vec rows;  /* struct row */
	struct pol_vec sub;   /* const struct pol_rule * */
	struct pol_vec pairs; /* uint64_t, keys */
	unsigned trials, npairs;
	/* Everybody who is looked at, in the order of their signs. */
	const char *const *names;
	struct person *people_at;
	size_t nnames;
	int64_t now_ms, since_ms;
	pol_change_fn fn;
	void *arg;
	bool is_cut, no_memory;
};

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool
has_number(const uint64_t *v, size_t n, uint64_t key)
{
	return n > 0 && bsearch(&key, v, n, sizeof(key), by_number) != NULL;
}

/* ---- rules that differ ---- */

#define CONDS_ALL ((1U << POL_CONDS) - 1)

static uint64_t
key_of(const struct pol_rule *r, unsigned conds)
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
	return pol_mix64(key_of(r, CONDS_ALL) ^ ops);
}

static bool
key_names(struct diff *d, int k)
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
	qsort(d->keys[k], p->rules.n, sizeof(uint64_t), by_number);
	return true;
}

static void
touch(struct diff *d, const struct mg_policy *p, const struct pol_rule *r)
{
	uint32_t i, id;
	int k;

	for (i = 0; i < r->ops->n; i++) {
		const struct pol_sym *name = &p->ops.v[r->ops->v[i]];

		for (k = WAS; k <= IS; k++) {
			id = pol_map_find(&d->p[k]->ops, name->s, name->len);
			if (id != POL_NONE)
				d->touched[k][id] = true;
		}
	}
}

static void
touch_rules(struct diff *d, int k)
{
	const struct mg_policy *p = d->p[k];
	uint32_t i;

	for (i = 0; i < p->rules.n; i++)
		if (!has_number(d->keys[!k], d->p[!k]->rules.n,
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
mark_used(struct diff *d, int k)
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
begin(struct diff *d)
{
	int k;

	for (k = WAS; k <= IS; k++) {
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
	touch_rules(d, WAS);
	touch_rules(d, IS);
	return true;
}

static void
end(struct diff *d)
{
	int k;

	for (k = WAS; k <= IS; k++) {
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

/* ---- circumstances of one class and operation ---- */

static const struct pol_rule *
found(const struct diff *d, int k, uint32_t i)
{
	return ((const struct pol_rule *const *)d->s[k].found.v)[i];
}

/* By what stands there: a narrowed list has no key. */
static unsigned
conds_of(const struct pol_rule *r, unsigned open)
{
	unsigned conds = 0;

	conds |= r->model != NULL ? POL_COND_MODEL : 0;
	conds |= r->host != NULL ? POL_COND_HOST : 0;
	conds |= r->version != NULL ? POL_COND_VERSION : 0;
	conds |= r->from != NULL ? POL_COND_FROM : 0;
	conds |= r->time != NULL ? POL_COND_TIME : 0;
	conds |= r->when != NULL ? POL_COND_WHEN : 0;
	conds |= r->creator ? POL_COND_CREATOR : 0;
	conds |= r->stages != POL_STAGES_ANY ? POL_COND_STAGES : 0;
	return conds & open;
}

/* Whether a rule's open conditions hold under the circumstances. */
static bool
holds(const struct diff *d, int k, const struct pol_rule *r,
    const struct alt *a, const struct alt *b)
{
	unsigned conds = conds_of(r, d->f[k].open), cond;

	for (cond = 1; cond <= conds; cond <<= 1)
		if ((conds & cond) != 0 &&
		    !pol_cond_implies(
			a->p, &a->r, d->p[k], r, (enum pol_cond)cond) &&
		    (b == NULL || !pol_cond_implies(b->p, &b->r, d->p[k], r,
				      (enum pol_cond)cond)))
			return false;
	return true;
}

static void
judge(struct diff *d, int k, const struct alt *a, const struct alt *b,
    struct pol_clauses *out)
{
	const struct pol_rule **slot;
	struct mg_verdict v;
	uint32_t i;

	memset(&v, 0, sizeof(v));
	d->sub.n = 0;
	out->elsewhere = 0;
	for (i = 0; d->op[k] != POL_NONE && i < d->s[k].found.n; i++) {
		if (!holds(d, k, found(d, k, i), a, b)) {
			pol_clauses_beside(out, found(d, k, i));
			continue;
		}
		if ((slot = pol_vec_add(&d->sub, sizeof(*slot))) == NULL) {
			d->no_memory = true;
			return;
		}
		*slot = found(d, k, i);
	}
	if (d->sub.n > 0)
		pol_decide_among(&d->f[k], d->op[k], d->sub.v, d->sub.n, &v);
	pol_clauses_of(out, &v, d->sub.v, d->sub.n);
}

static void
say_when(const struct alt *a, const struct alt *b, char *out)
{
	struct pol_words w = {.s = out, .size = POL_ROW_TEXT};
	unsigned both = 0, cond;

	out[0] = '\0';
	for (cond = 1; b != NULL && cond < 1U << POL_CONDS; cond <<= 1)
		if ((a->conds & b->conds & cond) != 0 &&
		    pol_cond_implies(
			a->p, &a->r, b->p, &b->r, (enum pol_cond)cond))
			both |= cond;
	pol_say_conds(&w, a->p, &a->r, a->conds);
	if (b != NULL && w.n > 0 && (b->conds & ~both) != 0)
		pol_put(&w, ", and");
	if (b != NULL)
		pol_say_conds(&w, b->p, &b->r, b->conds & ~both);
	if (out[0] == ' ')
		memmove(out, out + 1, w.n);
}

/* Under these, more general ones were seen to make the same difference. */
static bool
is_said(const struct diff *d, const struct row *new)
{
	const struct row *row = d->rows.v;
	const struct alt *of[2];
	uint32_t i;
	int k;

	for (i = 0; i < d->rows.n; i++, row++) {
		if (strcmp(row->before, new->before) != 0 ||
		    strcmp(row->after, new->after) != 0)
			continue;
		of[0] = row->a;
		of[1] = row->b;
		for (k = 0; k < 2; k++) {
			if (of[k] == NULL)
				continue;
			if (!pol_conds_imply(new->a->p, &new->a->r, of[k]->p,
				&of[k]->r, of[k]->conds) &&
			    (new->b == NULL ||
				!pol_conds_imply(new->b->p, &new->b->r,
				    of[k]->p, &of[k]->r, of[k]->conds)))
				break;
		}
		if (k == 2)
			return true;
	}
	return false;
}

static void
say_side(
    char *out, const struct pol_clauses *cs, const struct pol_clauses *other)
{
	struct pol_words w = {.s = out, .size = POL_ROW_TEXT};

	out[0] = '\0';
	if (cs->is_denied)
		pol_put(&w, "-"); /* as no clause reads */
	else
		pol_say_clauses(&w, cs, other->is_denied ? NULL : other);
}

static void
report(struct diff *d, const struct row *row, unsigned how)
{
	char when[POL_ROW_TEXT];
	struct pol_change c = {.kind = POL_CHANGE_DECISION,
	    .how = how,
	    .users = d->users,
	    .nusers = d->nusers,
	    .operation = d->operation,
	    .model = d->model_shown,
	    .when = when,
	    .before = row->before[0] == '-' ? NULL : row->before,
	    .after = row->after[0] == '-' ? NULL : row->after,
	    .rule = row->a->r.name,
	    .where = row->a->r.where,
	    .is_old = row->a->is_old,
	    .since_ms = d->since_ms};

	say_when(row->a, row->b, when);
	d->fn(d->arg, &c);
}

static void
try_under(struct diff *d, const struct alt *a, const struct alt *b)
{
	struct pol_clauses was, is;
	struct row *row;
	unsigned how;

	if (d->trials == TRIALS_MAX || d->rows.n == ROWS_MAX) {
		d->is_cut = true; /* Rule 1 */
		return;
	}
	d->trials++;
	judge(d, WAS, a, b, &was);
	judge(d, IS, a, b, &is);
	if (d->no_memory || (how = pol_clauses_compare(&was, &is)) == 0)
		return;
	if ((row = pol_vec_add(&d->rows, sizeof(*row))) == NULL) {
		d->no_memory = true;
		return;
	}
	row->a = a;
	row->b = b;
	say_side(row->before, &was, &is);
	say_side(row->after, &is, &was);
	d->rows.n--;
	if (is_said(d, row))
		return;
	d->rows.n++;
	report(d, row, how);
}

static bool
add_alts(struct diff *d, int k, const struct pol_rule *r, bool is_changed)
{
	struct pol_rule out[POL_ALTS_MAX];
	struct alt *alt;
	size_t n, i;

	n = pol_alternatives(&d->mem, r, d->f[k].open, out);
	for (i = 0; i < n; i++) {
		if ((alt = pol_vec_add(&d->alts, sizeof(*alt))) == NULL)
			return false;
		alt->p = d->p[k];
		alt->r = out[i];
		alt->conds = conds_of(&out[i], d->f[k].open);
		alt->is_changed = is_changed;
		alt->is_old = k == WAS;
	}
	return n > 0;
}

/* Sorted keys of the rules found, into d->pairs; NULL: no memory. */
static uint64_t *
found_keys(struct diff *d, int k)
{
	uint64_t *slot;
	uint32_t i;

	d->pairs.n = 0;
	for (i = 0; i < d->s[k].found.n; i++) {
		if ((slot = pol_vec_add(&d->pairs, sizeof(*slot))) == NULL)
			return NULL;
		*slot = key_of(found(d, k, i), d->f[k].open);
	}
	if (d->pairs.n > 1)
		qsort(d->pairs.v, d->pairs.n, sizeof(uint64_t), by_number);
	return d->pairs.v;
}

/*
 * What has to be looked at: rules that differ, and rules that allow. Where a
 * model's attributes change, rules that are about no model are not why.
 */
static bool
collect(struct diff *d)
{
	const struct pol_rule *r;
	bool differs, is_why;
	uint32_t i;
	int k;

	for (k = WAS; k <= IS; k++) {
		if (found_keys(d, !k) == NULL && d->s[!k].found.n > 0)
			return false;
		for (i = 0; i < d->s[k].found.n; i++) {
			r = found(d, k, i);
			differs = !has_number(
			    d->pairs.v, d->pairs.n, key_of(r, d->f[k].open));
			is_why =
			    differs && (d->model == NULL || r->model != NULL);
			if (!is_why &&
			    (r->effect != POL_ALLOW || (k == WAS && !differs)))
				continue;
			if (!add_alts(d, k, r, is_why))
				return false;
		}
	}
	return true;
}

/* The name, where the list is one of one exact name; else NULL. */
static const char *
only_name(const struct pol_map *names, const struct pol_sel *sel)
{
	const char *s;

	if (sel == NULL || sel->nwords != 2 || sel->w[0] != 1)
		return NULL;
	s = names->v[sel->w[1]].s;
	return strpbrk(s, "*?:") == NULL ? s : NULL;
}

static bool
both_differ(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) != 0;
}

/* Whether the one model that a is about is among those of b. */
static bool
model_fits(const struct alt *a, const struct alt *b)
{
	const char *name = only_name(&a->p->models.atoms, a->r.model);
	struct pol_facts f;

	if (name == NULL || b->r.model == NULL)
		return true;
	f.p = b->p;
	f.nmodel =
	    pol_model_atoms(b->p, name + 1, f.model_buf, &f.model); /* "=" */
	return pol_model_sel_match(&f, b->r.model);
}

/* Whether the circumstances of both can hold at once. */
static bool
is_possible(const struct alt *a, const struct alt *b)
{
	return !pol_conds_clash(a->p, &a->r, b->p, &b->r) && model_fits(a, b) &&
	       model_fits(b, a) &&
	       !both_differ(only_name(&a->p->host_atoms, a->r.host),
		   only_name(&b->p->host_atoms, b->r.host)) &&
	       !both_differ(only_name(&a->p->versions, a->r.version),
		   only_name(&b->p->versions, b->r.version));
}

/* Whether it says more to look at both at once. */
static bool
is_worth(const struct alt *a, const struct alt *b)
{
	return b->r.effect == POL_ALLOW &&
	       !pol_conds_imply(a->p, &a->r, b->p, &b->r, b->conds) &&
	       is_possible(a, b);
}

static void
try_all(struct diff *d)
{
	const struct alt *v = d->alts.v;
	uint32_t i, j;

	for (i = 0; i < d->alts.n && !d->no_memory; i++)
		if (v[i].is_changed)
			try_under(d, &v[i], NULL);
	for (i = 0; i < d->alts.n; i++)
		for (j = 0; v[i].is_changed && j < d->alts.n; j++)
			if (!d->no_memory && is_worth(&v[i], &v[j]))
				try_under(d, &v[i], &v[j]);
}

static bool
find_rules(struct diff *d, int k, const struct mg_ask *ask, unsigned open)
{
	d->s[k].found.n = 0;
	d->op[k] =
	    pol_map_find(&d->p[k]->ops, d->operation, strlen(d->operation));
	if (d->op[k] != POL_NONE &&
	    pol_op(d->p[k], d->op[k])->kind == POL_OP_GROUP)
		d->op[k] = POL_NONE;
	if (d->op[k] == POL_NONE) {
		d->f[k].open = open;
		return true;
	}
	return pol_survey_begin(&d->s[k], ask, d->op[k], open, &d->f[k]);
}

static void
compare(struct diff *d)
{
	struct mg_ask ask = {.user = d->users[0],
	    .people = d->people,
	    .operation = d->operation,
	    .model = d->model == NULL ? "" : d->model,
	    .version = "",
	    .host = "",
	    .from = "",
	    .login_key = "",
	    .now_ms = d->now_ms};
	unsigned open = CONDS_ALL & ~(unsigned)(POL_COND_USER | POL_COND_ROLE);

	if (d->model != NULL)
		open &= ~(unsigned)POL_COND_MODEL;
	if (d->npairs++ >= PAIRS_MAX) {
		d->is_cut = true; /* Rule 1 */
		return;
	}
	d->alts.n = d->rows.n = 0;
	d->trials = 0;
	if (!find_rules(d, WAS, &ask, open) || !find_rules(d, IS, &ask, open) ||
	    !collect(d))
		d->no_memory = true;
	else
		try_all(d);
	pol_arena_fini(&d->mem);
}

/* Every operation of the one policy, and those that only the other has. */
static void
compare_operations(struct diff *d, bool is_all)
{
	const struct mg_policy *p;
	uint32_t i;
	int k;

	for (k = IS; k >= WAS && !d->no_memory; k--) {
		p = d->p[k];
		for (i = 0; i < p->ops.n && !d->no_memory; i++) {
			if (!is_all && !d->touched[k][i])
				continue;
			if (k == WAS &&
			    pol_map_find(&d->p[IS]->ops, p->ops.v[i].s,
				p->ops.v[i].len) != POL_NONE)
				continue;
			d->operation = p->ops.v[i].s;
			compare(d);
		}
	}
}

/* ---- people ---- */

static uint64_t
sum_roles(const struct diff *d, int k, const uint64_t *bits)
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
sign_of(const struct diff *d, int k, const char *user)
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
	const struct person *x = a, *y = b;

	if (x->sign != y->sign)
		return x->sign < y->sign ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool
is_approver(const struct diff *d, int k, const char *user, const char *role)
{
	return mg_policy_has_role(d->p[k], d->people, user, role, d->now_ms) &&
	       !mg_policy_is_service(d->p[k], user);
}

static void
compare_approver(struct diff *d, const char *role)
{
	struct pol_change c = {.kind = POL_CHANGE_APPROVER,
	    .users = d->users,
	    .nusers = d->nusers,
	    .operation = role,
	    .since_ms = d->since_ms};
	bool was = is_approver(d, WAS, d->users[0], role);
	bool is = is_approver(d, IS, d->users[0], role);

	if (was == is)
		return;
	c.how = is ? POL_WIDER : POL_NARROWER;
	d->fn(d->arg, &c);
}

/* Who holds a role that somebody's approval may come from. */
static void
compare_approvals(struct diff *d)
{
	uint32_t i, rank;
	int k;

	for (k = WAS; k <= IS; k++) {
		for (i = 0; i < d->p[k]->roles.n; i++) {
			const char *role = d->p[k]->role_at[i].name;

			if (!d->approves[k][i])
				continue;
			rank = k == WAS ? POL_NONE
					: pol_role_rank(
					      d->p[WAS], role, strlen(role));
			if (rank == POL_NONE || !d->approves[WAS][rank])
				compare_approver(d, role);
		}
	}
}

static bool
is_new(struct diff *d, uint64_t sign)
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
compare_class(struct diff *d, const struct person *v, size_t n)
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
sign_people(struct diff *d)
{
	struct person *v = d->people_at;
	size_t i;

	for (i = 0; i < d->nnames; i++) {
		uint64_t was = sign_of(d, WAS, d->names[i]);
		uint64_t is = sign_of(d, IS, d->names[i]);

		v[i].name = d->names[i];
		v[i].moves = was != is;
		v[i].sign = pol_mix64(was) + is;
	}
	qsort(v, d->nnames, sizeof(*v), by_sign);
}

/* Each class once. later: only those who move between roles. */
static void
compare_people(struct diff *d, bool later)
{
	const struct person *v = d->people_at;
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
add_moment(struct diff *d, int64_t ms, int64_t *v, size_t *np)
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
		qsort(v->v, v->n, sizeof(struct dated), by_number);
	return ok;
}

/*
 * When memberships begin or end that are not the same in both, in order.
 */
static bool
moments(struct diff *d, int64_t *at, size_t *np)
{
	struct pol_vec v[2] = {{0}, {0}};
	const struct dated *one;
	uint32_t i;
	bool ok;
	int k;

	*np = 0;
	ok = list_dated(&v[WAS], d->p[WAS]) && list_dated(&v[IS], d->p[IS]);
	for (k = WAS; ok && k <= IS; k++) {
		for (i = 0; i < v[k].n; i++) {
			one = (const struct dated *)v[k].v + i;
			if (v[!k].n > 0 && bsearch(one, v[!k].v, v[!k].n,
					       sizeof(*one), by_number) != NULL)
				continue;
			add_moment(d, one->from_ms, at, np);
			add_moment(d, one->until_ms, at, np);
		}
	}
	pol_vec_fini(&v[WAS]);
	pol_vec_fini(&v[IS]);
	return ok;
}

static bool
compare_later(struct diff *d)
{
	int64_t at[MOMENTS_MAX], now_ms = d->now_ms;
	size_t n, i;

	if (!moments(d, at, &n))
		return false;
	for (i = 0; i < n && !d->no_memory; i++) {
		d->now_ms = d->since_ms = at[i];
		sign_people(d);
		compare_people(d, true);
	}
	d->now_ms = now_ms;
	d->since_ms = 0;
	if (n > 0)
		sign_people(d);
	return !d->no_memory;
}

/* ---- models whose attributes change ---- */

static uint64_t
sum_model(const struct diff *d, int k, const char *model, bool only_used)
{
	uint32_t buf[POL_MODEL_ATOMS_MAX], n, i;
	const struct mg_policy *p = d->p[k];
	const uint32_t *v;
	uint64_t sum = 0;

	n = pol_model_atoms(p, model, buf, &v);
	for (i = 0; i < n; i++) {
		const struct pol_sym *sym = &p->models.atoms.v[v[i]];

		if (only_used ? d->used_model[k][v[i]]
			      : memchr(sym->s, ':', sym->len) != NULL)
			sum += pol_mix64(pol_hash64(sym->s, sym->len));
	}
	return sum;
}

/* A name that the pattern matches: "fraud-any" for "fraud-*". */
static void
name_for(const char *pattern, char *out, size_t size)
{
	struct pol_words w = {.s = out, .size = size};

	out[0] = '\0';
	for (; *pattern != '\0'; pattern++)
		pol_say(&w, *pattern == '*' ? "any" : "%c",
		    *pattern == '?' ? 'x' : *pattern);
}

#define PROBE_MAX (MG_NAME_MAX * 3 + 1)

/* Models that change alike, by what rules see of them. */
struct class
{
	uint64_t was, is;
	const char *name; /* one of them */
	char shown[POL_ROW_TEXT];
	bool is_cut; /* shown is not all */
};

/* What is looked at while the names of one pattern are. */
struct look {
	struct diff *d;
	const char *pattern;
	uint64_t any_sign;     /* of that name's class; 0: it does not change */
	struct pol_vec signs;  /* uint64_t, classes met below the pattern */
	struct pol_map others; /* patterns that fit some of the same names */
};

static struct class *
class_of(struct diff *d, uint64_t was, uint64_t is, const char *name)
{
	struct class *c = d->classes.v;
	uint32_t i;

	for (i = 0; i < d->classes.n; i++, c++)
		if (c->was == was && c->is == is)
			return c;
	if (d->classes.n == MODEL_CLASSES_MAX) {
		d->is_cut = true; /* Rule 1 */
		return NULL;
	}
	if ((c = pol_vec_add(&d->classes, sizeof(*c))) == NULL ||
	    (c->name = pol_strndup(&d->model_mem, name, strlen(name))) ==
		NULL) {
		d->no_memory = true;
		return NULL;
	}
	c->was = was;
	c->is = is;
	return c;
}

/* "fraud-*, such as ocr-a" */
static void
show_in(struct class *c, const char *such, const char *name)
{
	struct pol_words w = {.s = c->shown,
	    .n = strlen(c->shown),
	    .size = sizeof(c->shown) - sizeof(", and more")};

	if (c->is_cut)
		return;
	if (w.n + strlen(name) + 12 > w.size) {
		c->is_cut = true;
		w.size = sizeof(c->shown);
		pol_put(&w, ", and more");
		return;
	}
	pol_say(&w, "%s%s%s", w.n == 0 ? "" : ", ", such, name);
}

/* The class of a name that changes, as a number; 0: it does not change. */
static uint64_t
sign_of_model(struct diff *d, const char *name, uint64_t *was, uint64_t *is)
{
	if (sum_model(d, WAS, name, false) == sum_model(d, IS, name, false))
		return 0;
	*was = sum_model(d, WAS, name, true);
	*is = sum_model(d, IS, name, true);
	return *was == *is ? 0 : pol_mix64(*was) + *is + 1;
}

/* The name alone, or as what stands for a pattern. */
static uint64_t
add_model(struct diff *d, const char *name, const char *shown)
{
	uint64_t was, is, sign = sign_of_model(d, name, &was, &is);
	struct class *c;

	if (sign != 0 && (c = class_of(d, was, is, name)) != NULL)
		show_in(c, "", shown);
	return sign;
}

/* A name below a pattern: said where it changes otherwise than that. */
static void
look_at(void *arg, const char *name)
{
	struct look *k = arg;
	uint64_t was, is, sign = sign_of_model(k->d, name, &was, &is), *slot;
	struct class *c;
	uint32_t i;

	if (sign == 0 || sign == k->any_sign || k->d->no_memory)
		return;
	for (i = 0; i < k->signs.n; i++)
		if (((uint64_t *)k->signs.v)[i] == sign)
			return;
	if ((slot = pol_vec_add(&k->signs, sizeof(*slot))) == NULL) {
		k->d->no_memory = true;
		return;
	}
	*slot = sign;
	if ((c = class_of(k->d, was, is, name)) != NULL)
		show_in(c, "such as ", name);
}

/* Whether some name fits both; quick for what most patterns are. */
static bool
may_meet(const char *a, const char *b)
{
	size_t n = strcspn(a, "*?"), m = strcspn(b, "*?");

	return strncmp(a, b, n < m ? n : m) == 0 && pol_glob_meet(a, b);
}

static void
add_other(struct look *k, const char *pattern)
{
	if (strcmp(pattern, k->pattern) != 0 && may_meet(pattern, k->pattern) &&
	    pol_map_add(&k->others, &k->d->model_mem, pattern,
		strlen(pattern)) == POL_NONE)
		k->d->no_memory = true;
}

/* Patterns beside this one; names that are spelled out are looked at. */
static void
add_others(struct look *k, const struct pol_models *m)
{
	char pattern[MG_NAME_MAX + 2];
	uint32_t i;

	for (i = 0; i < m->prefix.text.n; i++) {
		snprintf(
		    pattern, sizeof(pattern), "%s*", m->prefix.text.v[i].s);
		add_other(k, pattern);
	}
	for (i = 0; i < m->general.text.n; i++)
		add_other(k, m->general.text.v[i].s);
	for (i = 0; i < m->exact.text.n; i++)
		if (mg_name_matches(m->exact.text.v[i].s, k->pattern))
			look_at(k, m->exact.text.v[i].s);
}

/* All models of a section that is new, gone or another. */
static void
compare_pattern(struct diff *d, const char *pattern)
{
	struct look k = {.d = d, .pattern = pattern};
	char any[PROBE_MAX];
	const char **v;
	enum mg_err r;
	uint32_t i;

	if (strpbrk(pattern, "*?") == NULL) {
		(void)add_model(d, pattern, pattern);
		return;
	}
	name_for(pattern, any, sizeof(any));
	if (mg_name_is_valid(any))
		k.any_sign = add_model(d, any, pattern);
	add_others(&k, &d->p[WAS]->models);
	add_others(&k, &d->p[IS]->models);
	if ((v = calloc(k.others.n + 1U, sizeof(*v))) != NULL) {
		v[0] = pattern;
		for (i = 0; i < k.others.n; i++)
			v[i + 1] = k.others.v[i].s;
		r = pol_names(v, k.others.n + 1U, look_at, &k);
		d->is_cut = d->is_cut || r == MG_ERR_LIMIT; /* Rule 1 */
		d->no_memory = d->no_memory || r == MG_ERR_NOMEM;
	}
	d->no_memory = d->no_memory || v == NULL;
	free(v);
	pol_vec_fini(&k.signs);
	pol_map_fini(&k.others);
}

/* What a section says, as a number. */
static uint64_t
sum_section(const struct mg_policy *p, const struct pol_model *m)
{
	uint64_t sum = 1;
	uint32_t i, j;

	for (i = 0; i < m->nattrs; i++)
		for (j = 0; j < m->attrs[i].natoms; j++) {
			const struct pol_sym *sym =
			    &p->models.atoms.v[m->attrs[i].atoms[j]];

			sum += pol_mix64(pol_hash64(sym->s, sym->len));
		}
	return sum;
}

static int
by_pattern(const void *a, const void *b)
{
	const struct pol_model *const *x = a, *const *y = b;

	return strcmp((*x)->pattern, (*y)->pattern);
}

/* The sections of a policy by their patterns; NULL: no memory. */
static const struct pol_model **
sorted_sections(const struct mg_policy *p)
{
	uint32_t i, n = p->models.sections.n;
	const struct pol_model **v = calloc(n + 1U, sizeof(*v));

	for (i = 0; v != NULL && i < n; i++)
		v[i] = pol_model(p, i);
	if (v != NULL && n > 1)
		qsort(v, n, sizeof(*v), by_pattern);
	return v;
}

/* Every section that is not the same in both, once. */
static void
compare_sections(struct diff *d, const struct pol_model *const *was,
    const struct pol_model *const *is)
{
	uint32_t i = 0, j = 0, n = d->p[WAS]->models.sections.n;
	uint32_t m = d->p[IS]->models.sections.n, looks = 0;
	const char *pattern;
	int order;

	while ((i < n || j < m) && !d->no_memory) {
		order = i == n	 ? 1
			: j == m ? -1
				 : strcmp(was[i]->pattern, is[j]->pattern);
		pattern = order <= 0 ? was[i]->pattern : is[j]->pattern;
		if (order != 0 || sum_section(d->p[WAS], was[i]) !=
				      sum_section(d->p[IS], is[j])) {
			if (looks++ < MODEL_LOOKS_MAX)
				compare_pattern(d, pattern);
			else
				d->is_cut = true; /* Rule 1 */
		}
		i += order <= 0;
		j += order >= 0;
	}
}

static bool
compare_models(struct diff *d)
{
	const struct pol_model **was = sorted_sections(d->p[WAS]);
	const struct pol_model **is = sorted_sections(d->p[IS]);
	struct class *c;
	uint32_t i;

	d->no_memory = d->no_memory || was == NULL || is == NULL;
	if (!d->no_memory)
		compare_sections(d, was, is);
	c = d->classes.v;
	for (i = 0; i < d->classes.n && !d->no_memory; i++, c++) {
		d->model = c->name;
		d->model_shown = c->shown;
		compare_people(d, false);
		pol_diff_separated(
		    d->p[WAS], d->p[IS], c->name, c->shown, d->fn, d->arg);
	}
	d->model = d->model_shown = NULL;
	free(was);
	free(is);
	return !d->no_memory;
}

static bool
compare_now(struct diff *d)
{
	d->people_at = calloc(d->nnames + 1, sizeof(*d->people_at));
	if (d->people_at == NULL)
		return false;
	sign_people(d);
	compare_people(d, false);
	return !d->no_memory;
}

bool
pol_diff(const struct mg_policy *was, const struct mg_policy *is,
    const struct mg_people *people, const char *const *users, size_t nusers,
    int64_t now_ms, pol_change_fn fn, void *arg)
{
	struct pol_change more = {
	    .kind = POL_CHANGE_MORE, .how = POL_WIDER | POL_NARROWER};
	struct diff *d;
	bool ok;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return false;
	d->p[WAS] = was;
	d->p[IS] = is;
	d->people = people;
	d->names = users;
	d->nnames = nusers;
	d->now_ms = now_ms;
	d->fn = fn;
	d->arg = arg;
	ok =
	    begin(d) && compare_now(d) && compare_later(d) && compare_models(d);
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
