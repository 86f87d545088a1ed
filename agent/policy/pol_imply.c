/* SPDX-License-Identifier: ISC */
/*
 * Whether one condition holds whenever another does, perhaps of another
 * policy: "env:test" whenever "env:test & gpu:a100". By what the texts
 * show: nothing is assumed about which labels exclude each other.
 */
#include <string.h>

#include "pol.h"

#define ITEMS_SPLIT 8 /* longer lists stay whole */

/* ---- lists ---- */

static const char *
atom_text(const struct mg_policy *p, enum pol_cond cond, uint32_t atom)
{
	if (cond == POL_COND_MODEL)
		return p->models.atoms.v[atom].s;
	if (cond == POL_COND_HOST)
		return p->host_atoms.v[atom].s;
	if (cond == POL_COND_VERSION)
		return p->versions.v[atom].s;
	return ((struct pol_when_term *)p->whens.v)[atom].text;
}

/* "fraud-a" and "fraud-a*" imply "fraud-*". */
static bool
text_implies(const char *a, const char *b)
{
	size_t n = strcspn(b, "*?");

	if (strcmp(a, b) == 0)
		return true;
	if (b[n] == '\0' || strchr(b, ':') != NULL || strchr(a, ':') != NULL)
		return false;
	if (b[n] == '*' && b[n + 1] == '\0')
		return strncmp(a, b, n) == 0;
	return strpbrk(a, "*?") == NULL && mg_name_matches(a, b);
}

struct list {
	const struct mg_policy *p;
	const struct pol_sel *sel;
	enum pol_cond cond;
};

/* Every term of b's item at j is implied by one of a's item at i. */
static bool
item_implies(const struct list *a, uint32_t i, const struct list *b, uint32_t j)
{
	uint32_t na = a->sel->w[i] & ~POL_SEL_NOT;
	uint32_t nb = b->sel->w[j] & ~POL_SEL_NOT, x, y;

	for (y = 1; y <= nb; y++) {
		for (x = 1; x <= na; x++)
			if (text_implies(
				atom_text(a->p, a->cond, a->sel->w[i + x]),
				atom_text(b->p, b->cond, b->sel->w[j + y])))
				break;
		if (x > na)
			return false;
	}
	return true;
}

/* Whether other's item implies one of l's: one that excludes, or not. */
static bool
any_item(const struct list *l, bool neg, const struct list *other, uint32_t at)
{
	uint32_t i;

	for (i = 0; i < l->sel->nwords;
	     i += 1 + (l->sel->w[i] & ~POL_SEL_NOT)) {
		if (((l->sel->w[i] & POL_SEL_NOT) != 0) == neg &&
		    item_implies(other, at, l, i))
			return true;
	}
	return false;
}

static bool
sel_implies(const struct list *a, const struct list *b)
{
	uint32_t i;

	if (a->sel->hash != 0 && a->sel->hash == b->sel->hash)
		return true;
	if (a->sel->npos == 0 && b->sel->npos > 0)
		return false;
	for (i = 0; b->sel->npos > 0 && i < a->sel->nwords;
	     i += 1 + (a->sel->w[i] & ~POL_SEL_NOT))
		if ((a->sel->w[i] & POL_SEL_NOT) == 0 &&
		    !any_item(b, false, a, i))
			return false;
	/* What b excludes, a does as well, or more than it. */
	for (i = 0; i < b->sel->nwords; i += 1 + (b->sel->w[i] & ~POL_SEL_NOT))
		if ((b->sel->w[i] & POL_SEL_NOT) != 0 &&
		    !any_item(a, true, b, i))
			return false;
	return true;
}

/* Whether everything in a is excluded by b. */
static bool
sel_clash(const struct list *a, const struct list *b)
{
	uint32_t i;

	if (a->sel == NULL || b->sel == NULL || a->sel->npos == 0)
		return false;
	for (i = 0; i < a->sel->nwords; i += 1 + (a->sel->w[i] & ~POL_SEL_NOT))
		if ((a->sel->w[i] & POL_SEL_NOT) == 0 &&
		    !any_item(b, true, a, i))
			return false;
	return true;
}

/* ---- networks and times ---- */

static bool
net_within(const struct pol_net *a, const struct pol_net *b)
{
	unsigned whole = b->bits / 8, rest = b->bits % 8;

	if (pol_net_is_v4(a) != pol_net_is_v4(b) || a->bits < b->bits ||
	    memcmp(a->a.b, b->a.b, whole) != 0)
		return false;
	return rest == 0 ||
	       ((a->a.b[whole] ^ b->a.b[whole]) >> (8 - rest)) == 0;
}

static bool
nets_imply(const struct pol_nets *a, const struct pol_nets *b)
{
	uint32_t i, j;

	if (a->hash == b->hash)
		return true;
	if (b->not_local || a->npos == 0 || (a->local && !b->local))
		return false;
	for (j = 0; j < b->n; j++)
		if (b->v[j].neg)
			return false;
	for (i = 0; i < a->n; i++) {
		for (j = 0; j < b->n; j++)
			if (a->v[i].neg || net_within(&a->v[i], &b->v[j]))
				break;
		if (j == b->n)
			return false;
	}
	return true;
}

static bool
window_within(const struct pol_window *a, const struct pol_window *b)
{
	const char *za = a->zone == NULL ? NULL : a->zone->name;
	const char *zb = b->zone == NULL ? NULL : b->zone->name;
	bool whole_day = b->from == 0 && b->to == 86400;

	if (za != zb && (za == NULL || zb == NULL || strcmp(za, zb) != 0))
		return false;
	return b->begin_ms <= a->begin_ms && a->end_ms <= b->end_ms &&
	       b->first_day <= a->first_day && a->last_day <= b->last_day &&
	       (a->days & ~b->days) == 0 &&
	       (whole_day || (a->from == b->from && a->to == b->to) ||
		   (a->from < a->to && b->from <= a->from && a->to <= b->to));
}

static bool
times_imply(const struct pol_times *a, const struct pol_times *b)
{
	uint32_t i, j;

	if (a->hash == b->hash)
		return true;
	if (a->npos == 0)
		return false;
	for (j = 0; j < b->n; j++)
		if (b->v[j].neg)
			return false;
	for (i = 0; i < a->n; i++) {
		for (j = 0; j < b->n; j++)
			if (a->v[i].neg || window_within(&a->v[i], &b->v[j]))
				break;
		if (j == b->n)
			return false;
	}
	return true;
}

/* ---- rules ---- */

static const struct pol_sel *
sel_of(const struct pol_rule *r, enum pol_cond cond)
{
	return cond == POL_COND_MODEL	  ? r->model
	       : cond == POL_COND_HOST	  ? r->host
	       : cond == POL_COND_VERSION ? r->version
					  : r->when;
}

bool
pol_cond_implies(const struct mg_policy *pa, const struct pol_rule *a,
    const struct mg_policy *pb, const struct pol_rule *b, enum pol_cond cond)
{
	struct list la = {pa, sel_of(a, cond), cond};
	struct list lb = {pb, sel_of(b, cond), cond};

	switch (cond) {
	case POL_COND_USER:
	case POL_COND_ROLE:
		return false;
	case POL_COND_MODEL:
	case POL_COND_HOST:
	case POL_COND_VERSION:
	case POL_COND_WHEN:
		return lb.sel == NULL ||
		       (la.sel != NULL && sel_implies(&la, &lb));
	case POL_COND_FROM:
		return b->from == NULL ||
		       (a->from != NULL && nets_imply(a->from, b->from));
	case POL_COND_TIME:
		return b->time == NULL ||
		       (a->time != NULL && times_imply(a->time, b->time));
	case POL_COND_CREATOR:
		return !b->creator || a->creator;
	case POL_COND_STAGES:
		return b->stages == POL_STAGES_ANY || a->stages == b->stages;
	}
	return false;
}

bool
pol_conds_imply(const struct mg_policy *pa, const struct pol_rule *a,
    const struct mg_policy *pb, const struct pol_rule *b, unsigned conds)
{
	unsigned cond;

	for (cond = 1; cond < 1U << POL_CONDS; cond <<= 1)
		if ((conds & cond) != 0 &&
		    !pol_cond_implies(pa, a, pb, b, (enum pol_cond)cond))
			return false;
	return true;
}

bool
pol_conds_clash(const struct mg_policy *pa, const struct pol_rule *a,
    const struct mg_policy *pb, const struct pol_rule *b)
{
	static const enum pol_cond lists[] = {
	    POL_COND_MODEL, POL_COND_HOST, POL_COND_VERSION, POL_COND_WHEN};
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct list la = {pa, sel_of(a, lists[i]), lists[i]};
		struct list lb = {pb, sel_of(b, lists[i]), lists[i]};

		if (sel_clash(&la, &lb) || sel_clash(&lb, &la))
			return true;
	}
	return false;
}

/* ---- one item at a time ---- */

/* sel with all that it excludes and the item at only. */
static struct pol_sel *
one_item(struct pol_arena *mem, const struct pol_sel *sel, uint32_t only)
{
	struct pol_sel *one;
	uint32_t i, n;

	one = pol_alloc(mem, sizeof(*one) + sel->nwords * sizeof(sel->w[0]));
	if (one == NULL)
		return NULL;
	one->npos = 1; /* and no hash: its text stands nowhere */
	for (i = 0; i < sel->nwords; i += n) {
		n = 1 + (sel->w[i] & ~POL_SEL_NOT);
		if (i != only && (sel->w[i] & POL_SEL_NOT) == 0)
			continue;
		memcpy(one->w + one->nwords, sel->w + i, n * sizeof(one->w[0]));
		one->nwords += n;
	}
	return one;
}

static const struct pol_sel **
sel_at(struct pol_rule *r, enum pol_cond cond)
{
	return cond == POL_COND_MODEL  ? &r->model
	       : cond == POL_COND_HOST ? &r->host
				       : &r->version;
}

/* Puts every item of that list in the place of the list; 0: no memory. */
static size_t
split(struct pol_arena *mem, enum pol_cond cond, struct pol_rule *v, size_t n)
{
	const struct pol_sel *sel = *sel_at(&v[0], cond);
	size_t i, total = 0;
	uint32_t at;

	if (sel == NULL || sel->npos < 2 || sel->npos > ITEMS_SPLIT ||
	    n * sel->npos > POL_ALTS_MAX)
		return n;
	for (at = 0; at < sel->nwords; at += 1 + (sel->w[at] & ~POL_SEL_NOT)) {
		struct pol_sel *one;

		if ((sel->w[at] & POL_SEL_NOT) != 0)
			continue;
		if ((one = one_item(mem, sel, at)) == NULL)
			return 0;
		for (i = 0; i < n; i++) {
			v[total + i] = v[i];
			*sel_at(&v[total + i], cond) = one;
		}
		total += n;
	}
	return total;
}

size_t
pol_alternatives(struct pol_arena *mem, const struct pol_rule *r,
    unsigned conds, struct pol_rule *out)
{
	static const enum pol_cond lists[] = {
	    POL_COND_MODEL, POL_COND_HOST, POL_COND_VERSION};
	size_t n = 1, i;

	out[0] = *r;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]) && n > 0; i++)
		if ((conds & lists[i]) != 0)
			n = split(mem, lists[i], out, n);
	return n;
}
