/* SPDX-License-Identifier: ISC */
/*
 * Questions that leave circumstances open.
 *
 * Equal conditions of rules have equal hashes, so that "the circumstances of
 * this rule hold and no others" is a set of numbers. Each set that allows
 * something is a row; rules that would forbid it or ask for more under further
 * circumstances are said beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

static bool
file_under(struct pol_vec *v, uint32_t rule)
{
	uint32_t *slot = pol_vec_add(v, sizeof(*slot));

	if (slot != NULL)
		*slot = rule;
	return slot != NULL;
}

/* Below the first term of each item that does not exclude. */
static bool
file_terms(struct pol_vec *by, const struct pol_sel *sel, uint32_t rule)
{
	uint32_t i, n;

	for (i = 0; i < sel->nwords; i += n + 1) {
		n = sel->w[i] & ~POL_SEL_NOT;
		if ((sel->w[i] & POL_SEL_NOT) == 0 &&
		    !file_under(&by[sel->w[i + 1]], rule))
			return false;
	}
	return true;
}

bool
pol_survey_init(struct pol_survey *s, const struct mg_policy *p)
{
	uint32_t i;
	bool ok;

	memset(s, 0, sizeof(*s));
	s->p = p;
	s->by_role = calloc(p->roles.n + 1U, sizeof(*s->by_role));
	s->by_atom = calloc(p->user_atoms.n + 1U, sizeof(*s->by_atom));
	s->seen = calloc(p->rules.n + 1U, 1);
	ok = s->by_role != NULL && s->by_atom != NULL && s->seen != NULL;
	for (i = 0; ok && i < p->rules.n; i++) {
		const struct pol_rule *r = pol_rule(p, i);

		if (r->role != NULL && r->role->npos > 0)
			ok = file_terms(s->by_role, r->role, i);
		else if (r->user != NULL && r->user->npos > 0)
			ok = file_terms(s->by_atom, r->user, i);
		else
			ok = file_under(&s->open, i);
	}
	if (!ok)
		pol_survey_fini(s);
	return ok;
}

void
pol_survey_fini(struct pol_survey *s)
{
	uint32_t i;

	for (i = 0; s->by_role != NULL && i < s->p->roles.n; i++)
		pol_vec_fini(&s->by_role[i]);
	for (i = 0; s->by_atom != NULL && i < s->p->user_atoms.n; i++)
		pol_vec_fini(&s->by_atom[i]);
	free(s->by_role);
	free(s->by_atom);
	free(s->seen);
	pol_vec_fini(&s->open);
	pol_vec_fini(&s->found);
	memset(s, 0, sizeof(*s));
}

/* ---- rules that may matter ---- */

static bool
is_about(const struct pol_rule *r, uint32_t op)
{
	uint32_t i;

	for (i = 0; i < r->ops->n; i++)
		if (r->ops->v[i] == op)
			return true;
	return false;
}

static bool
collect(struct pol_survey *s, const struct pol_facts *f, uint32_t op,
    const struct pol_vec *ids)
{
	const struct pol_rule **slot;
	uint32_t i, id;

	for (i = 0; i < ids->n; i++) {
		id = ((const uint32_t *)ids->v)[i];
		if (s->seen[id] != 0)
			continue;
		if (!is_about(pol_rule(s->p, id), op) ||
		    pol_match(f, pol_rule(s->p, id), false) != 0)
			continue;
		if ((slot = pol_vec_add(&s->found, sizeof(*slot))) == NULL)
			return false;
		s->seen[id] = 1;
		*slot = pol_rule(s->p, id);
	}
	return true;
}

static int
by_place(const void *a, const void *b)
{
	const struct pol_rule *x = *(const struct pol_rule *const *)a;
	const struct pol_rule *y = *(const struct pol_rule *const *)b;

	return (x > y) - (x < y);
}

/* Into s->found: all rules that may matter, sorted by name. */
static bool
collect_all(struct pol_survey *s, const struct pol_facts *f, uint32_t op)
{
	const struct pol_rule *const *v;
	uint32_t i;
	bool ok;

	s->found.n = 0;
	ok = collect(s, f, op, &s->open);
	for (i = 0; ok && i < s->p->roles.n; i++)
		if (pol_bit(f->roles.maybe, i))
			ok = collect(s, f, op, &s->by_role[i]);
	for (i = 0; ok && i < f->nuser; i++)
		ok = collect(s, f, op, &s->by_atom[f->user[i]]);
	v = s->found.v;
	for (i = 0; i < s->found.n; i++)
		s->seen[v[i] - pol_rule(s->p, 0)] = 0;
	if (s->found.n > 1)
		qsort(s->found.v, s->found.n, sizeof(void *), by_place);
	return ok;
}

/* ---- circumstances ---- */

void
pol_circs_of(const struct pol_rule *r, unsigned open, struct pol_circs *c)
{
	unsigned cond;
	uint64_t key;

	memset(c, 0, sizeof(*c));
	c->rule = r;
	for (cond = 1; cond < 1U << POL_CONDS; cond <<= 1) {
		if ((open & cond) == 0)
			continue;
		key = pol_cond_mark(r, (enum pol_cond)cond);
		if (key == 0)
			continue;
		c->key[c->n++] = key;
		c->conds |= cond;
	}
}

bool
pol_circs_within(const struct pol_circs *a, const struct pol_circs *b)
{
	size_t i, j;

	for (i = 0; i < a->n; i++) {
		for (j = 0; j < b->n; j++)
			if (a->key[i] == b->key[j])
				break;
		if (j == b->n)
			return false;
	}
	return true;
}

/* The circumstances of a rule that allows. */
struct way {
	struct pol_circs c;
	const char *needs; /* of the row that was shown; NULL: none was */
};

static int
by_keys(const void *a, const void *b)
{
	const struct way *x = a, *y = b;
	size_t i;

	if (x->c.n != y->c.n)
		return x->c.n < y->c.n ? -1 : 1;
	for (i = 0; i < x->c.n; i++)
		if (x->c.key[i] != y->c.key[i])
			return x->c.key[i] < y->c.key[i] ? -1 : 1;
	return by_place(&x->c.rule, &y->c.rule);
}

static int
by_number_and_place(const void *a, const void *b)
{
	const struct way *x = a, *y = b;

	if (x->c.n != y->c.n)
		return x->c.n < y->c.n ? -1 : 1;
	return by_place(&x->c.rule, &y->c.rule);
}

/* All different circumstances of allowing rules, the fewest first. */
static bool
list_ways(const struct pol_survey *s, unsigned open, struct pol_vec *ways)
{
	const struct pol_rule *const *v = s->found.v;
	struct way *way;
	uint32_t i, n = 0;

	for (i = 0; i < s->found.n; i++) {
		if (v[i]->effect != POL_ALLOW)
			continue;
		if ((way = pol_vec_add(ways, sizeof(*way))) == NULL)
			return false;
		pol_circs_of(v[i], open, &way->c);
	}
	if (ways->n == 0)
		return true;
	way = ways->v;
	qsort(way, ways->n, sizeof(*way), by_keys);
	for (i = 0; i < ways->n; i++)
		if (i == 0 || way[i].c.n != way[n - 1].c.n ||
		    !pol_circs_within(&way[i].c, &way[n - 1].c))
			way[n++] = way[i];
	ways->n = n;
	qsort(way, n, sizeof(*way), by_number_and_place);
	return true;
}

/* ---- rows ---- */

/* Demands that a verdict does not hold, of the rules that apply. */
static void
say_hard(
    struct pol_words *w, const struct pol_survey *s, const struct pol_facts *f)
{
	const struct pol_rule *const *v = s->found.v;
	struct mg_demand hard;
	char text[256];
	uint32_t i;

	for (i = 0; i < s->found.n; i++) {
		struct pol_words one = {.s = text, .size = sizeof(text)};

		if (v[i]->effect == POL_DENY || v[i]->demand == NULL ||
		    pol_match(f, v[i], false) != 0)
			continue;
		hard = *v[i]->demand;
		hard.mfa = hard.mfa_max_age_ms != 0; /* how old, that is */
		hard.confirm_number = hard.different_teams = false;
		hard.artifact_signed = false;
		hard.approve = NULL;
		text[0] = '\0';
		pol_say_demand(&one, &hard);
		if (text[0] != '\0' && strstr(w->s, text) == NULL)
			pol_say(w, "%s%s", w->n == 0 ? "" : ", ", text);
	}
}

static void
say_needs(struct pol_words *w, const struct mg_verdict *v)
{
	const char *sep = "";
	size_t i;

	if (v->mfa) {
		pol_put(w, "mfa");
		sep = ", ";
	}
	if (!v->is_flat) {
		pol_say(w, "%s%s", sep, v->approve);
		sep = ", ";
	}
	for (i = 0; v->is_flat && i < v->nslots; i++) {
		pol_say(w, "%s%u %s", sep, v->slots[i].count, v->slots[i].role);
		sep = ", ";
	}
	if (v->different_teams) {
		pol_say(w, "%sdifferent teams", sep);
		sep = ", ";
	}
	if (v->confirm_number) {
		pol_say(w, "%sthe number", sep);
		sep = ", ";
	}
	if (v->artifact_signed)
		pol_say(w, "%sa signed artifact", sep);
	if (v->served_before)
		pol_put(w, "; hub down: no approvals for what ran before");
	if (v->break_glass)
		pol_say(w, "; may break the glass%s",
		    v->break_glass_always ? " at any time" : "");
	if (v->break_glass && v->break_glass_tokens > 0)
		pol_say(w, " with %u token%s", v->break_glass_tokens,
		    v->break_glass_tokens == 1 ? "" : "s");
}

/* What else may forbid it or ask for more. */
static void
say_but(
    struct pol_words *w, const struct pol_survey *s, const struct pol_facts *f)
{
	const struct pol_rule *const *v = s->found.v;
	struct pol_circs other;
	char text[256];
	uint32_t i;

	for (i = 0; i < s->found.n; i++) {
		struct pol_words one = {.s = text, .size = sizeof(text)};

		if (v[i]->effect == POL_ALLOW || pol_match(f, v[i], false) == 0)
			continue;
		pol_circs_of(v[i], f->open, &other);
		pol_say(w, "%s", w->n == 0 ? "" : "; ");
		if (v[i]->effect == POL_DENY) {
			pol_put(w, "never");
		} else {
			text[0] = '\0';
			pol_say_demand(&one, v[i]->demand);
			pol_say(w, "also %s", text);
		}
		pol_say_conds(w, s->p, v[i], other.conds);
		pol_say(w, " (%s)", v[i]->name);
	}
}

/* Says that there was more than fits. */
static void
end_text(struct pol_words *w)
{
	static const char more[] = "; and more: read the rules";

	if (w->n + 1 == w->size)
		memcpy(w->s + w->size - sizeof(more), more, sizeof(more));
}

static void
fill_row(const struct pol_survey *s, const struct pol_facts *f,
    const struct pol_circs *c, struct pol_row *row)
{
	struct pol_words needs = {.s = row->needs, .size = POL_ROW_TEXT};
	struct pol_words when = {.s = row->when, .size = POL_ROW_TEXT};
	struct pol_words but = {.s = row->but, .size = POL_ROW_TEXT};

	row->needs[0] = row->when[0] = row->but[0] = '\0';
	row->rule = c->rule;
	say_needs(&needs, &row->v);
	say_hard(&needs, s, f);
	end_text(&needs);
	pol_say_conds(&when, s->p, c->rule, c->conds);
	end_text(&when);
	if (row->when[0] == ' ')
		memmove(row->when, row->when + 1, strlen(row->when));
	say_but(&but, s, f);
	end_text(&but);
}

/* A row that a more general one says already. */
static bool
is_said(const struct way *v, uint32_t i, const struct pol_row *row)
{
	uint32_t j;

	for (j = 0; j < i; j++)
		if (v[j].needs != NULL && pol_circs_within(&v[j].c, &v[i].c) &&
		    strcmp(v[j].needs, row->needs) == 0)
			return true;
	return false;
}

/* false: out of memory. */
static bool
show_rows(struct pol_survey *s, struct pol_facts *f, uint32_t op, pol_row_fn fn,
    void *arg)
{
	struct pol_arena mem = {0};
	struct pol_vec ways = {0};
	struct pol_row row;
	struct way *v;
	uint32_t i;
	bool ok = list_ways(s, f->open, &ways);

	f->assume_all = false;
	v = ways.v;
	for (i = 0; ok && i < ways.n; i++) {
		f->assume = v[i].c.key;
		f->nassume = v[i].c.n;
		pol_decide_among(f, op, s->found.v, s->found.n, &row.v);
		if (row.v.kind == MG_VERDICT_DENY)
			continue;
		fill_row(s, f, &v[i].c, &row);
		if (is_said(v, i, &row))
			continue;
		v[i].needs = pol_strndup(&mem, row.needs, strlen(row.needs));
		ok = v[i].needs != NULL;
		if (ok)
			fn(arg, &row);
	}
	pol_vec_fini(&ways);
	pol_arena_fini(&mem);
	return ok;
}

bool
pol_survey_begin(struct pol_survey *s, const struct mg_ask *ask, uint32_t op,
    unsigned open, struct pol_facts *f)
{
	pol_facts_init(f, s->p, ask);
	f->open = open;
	f->is_survey = f->assume_all = true;
	return collect_all(s, f, op);
}

bool
pol_survey_user(struct pol_survey *s, const struct mg_ask *ask, unsigned open,
    pol_row_fn fn, void *arg)
{
	struct pol_facts f;
	uint32_t op;

	op = pol_map_find(&s->p->ops, ask->operation, strlen(ask->operation));
	if (op == POL_NONE || pol_op(s->p, op)->kind == POL_OP_GROUP)
		return true;
	if (!pol_survey_begin(s, ask, op, open, &f))
		return false;
	return show_rows(s, &f, op, fn, arg);
}
