/* SPDX-License-Identifier: ISC */
/*
 * Under which circumstances two policies decide an operation differently for
 * one class of people: those of every rule that differs, alone and together
 * with those of every rule that allows. (Rules: pol_diff.c.)
 */
#include <stdlib.h>
#include <string.h>

#include "pol_diff.h"

#define TRIALS_MAX 4096 /* circumstances for one class and operation */
#define ROWS_MAX 256
#define PAIRS_MAX 400000 /* of a class and an operation */

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

static const struct pol_rule *
found(const struct pol_diff *d, int k, uint32_t i)
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
holds(const struct pol_diff *d, int k, const struct pol_rule *r,
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
judge(struct pol_diff *d, int k, const struct alt *a, const struct alt *b,
    struct pol_clauses *out)
{
	const struct pol_rule **slot;
	struct mg_verdict v;
	uint32_t i;

	memset(&v, 0, sizeof(v));
	memset(out, 0, sizeof(*out));
	d->sub.n = 0;
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
is_said(const struct pol_diff *d, const struct row *new)
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
report(struct pol_diff *d, const struct row *row, unsigned how)
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
try_under(struct pol_diff *d, const struct alt *a, const struct alt *b)
{
	struct pol_clauses was, is;
	struct row *row;
	unsigned how;

	if (d->trials == TRIALS_MAX || d->rows.n == ROWS_MAX) {
		d->is_cut = true; /* Rule 1 */
		return;
	}
	d->trials++;
	judge(d, POL_WAS, a, b, &was);
	judge(d, POL_IS, a, b, &is);
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
add_alts(struct pol_diff *d, int k, const struct pol_rule *r, bool is_changed)
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
		alt->is_old = k == POL_WAS;
	}
	return n > 0;
}

/* Sorted keys of the rules found, into d->pairs; NULL: no memory. */
static uint64_t *
found_keys(struct pol_diff *d, int k)
{
	uint64_t *slot;
	uint32_t i;

	d->pairs.n = 0;
	for (i = 0; i < d->s[k].found.n; i++) {
		if ((slot = pol_vec_add(&d->pairs, sizeof(*slot))) == NULL)
			return NULL;
		*slot = pol_rule_key(found(d, k, i), d->f[k].open);
	}
	if (d->pairs.n > 1)
		qsort(d->pairs.v, d->pairs.n, sizeof(uint64_t), pol_by_number);
	return d->pairs.v;
}

/*
 * What has to be looked at: rules that differ, and rules that allow. Where a
 * model's attributes change, rules that are about no model are not why.
 */
static bool
collect(struct pol_diff *d)
{
	const struct pol_rule *r;
	bool differs, is_why;
	uint32_t i;
	int k;

	for (k = POL_WAS; k <= POL_IS; k++) {
		if (found_keys(d, !k) == NULL && d->s[!k].found.n > 0)
			return false;
		for (i = 0; i < d->s[k].found.n; i++) {
			r = found(d, k, i);
			differs = !pol_has_number(d->pairs.v, d->pairs.n,
			    pol_rule_key(r, d->f[k].open));
			is_why =
			    differs && (d->model == NULL || r->model != NULL);
			if (!is_why && (r->effect != POL_ALLOW ||
					   (k == POL_WAS && !differs)))
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
try_all(struct pol_diff *d)
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
find_rules(struct pol_diff *d, int k, const struct mg_ask *ask, unsigned open)
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

void
pol_diff_decisions(struct pol_diff *d)
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
	unsigned open =
	    POL_CONDS_ALL & ~(unsigned)(POL_COND_USER | POL_COND_ROLE);

	if (d->model != NULL)
		open &= ~(unsigned)POL_COND_MODEL;
	if (d->npairs++ >= PAIRS_MAX) {
		d->is_cut = true; /* Rule 1 */
		return;
	}
	d->alts.n = d->rows.n = 0;
	d->trials = 0;
	if (!find_rules(d, POL_WAS, &ask, open) ||
	    !find_rules(d, POL_IS, &ask, open) || !collect(d))
		d->no_memory = true;
	else
		try_all(d);
	pol_arena_fini(&d->mem);
}
