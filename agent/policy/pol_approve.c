/* SPDX-License-Identifier: ISC */
/*
 * Who has to agree: "1 risk-owner, 1 data-steward",
 * "(1 owner and 1 steward) or 2 admin", "1 owner then 1 risk|legal".
 *
 * What is written becomes the list of all ways to satisfy it; each is a
 * list of counts. That list is short or the value is refused, so that what
 * is left to decide is counting and matching.
 *
 * Rules
 * 1. Terms that are joined by "and" or ',' need different people: their
 *    counts add up.
 * 2. "and" beside "or" without parentheses is refused: two readers would
 *    group it differently.
 */
#include <string.h>

#include "pol.h"

/* All ways of a part of the expression. */
struct ways {
	uint32_t n;
	struct pol_way v[POL_ALTS_MAX];
};

#define HOW_MANY "write how many of which role, such as '1 risk-owner'"
#define TOO_MUCH "this needs too many people or roles, or has too many ways"

enum join { JOIN_NONE = 0, JOIN_AND, JOIN_OR };

/* An open parenthesis. */
struct level {
	struct ways sum;
	bool has; /* something to the left */
	enum join kind, next;
};

struct parser {
	struct pol_load *ld;
	const char *s;
	size_t at, word; /* where the current word begins */
	size_t len;	 /* of the current word; 0: the end */
	uint32_t depth;
	struct level level[POL_NESTING_MAX + 1];
	struct ways tmp, leaf;
};

/* ---- words ---- */

static bool
is_special(char c)
{
	return c == '(' || c == ')' || c == ',' || c == '|';
}

static void
next(struct parser *ps)
{
	const char *s = ps->s;

	while (s[ps->at] == ' ' || s[ps->at] == '\t')
		ps->at++;
	ps->word = ps->at;
	if (is_special(s[ps->at]))
		ps->at++;
	else
		while (s[ps->at] != '\0' && s[ps->at] != ' ' &&
		       s[ps->at] != '\t' && !is_special(s[ps->at]))
			ps->at++;
	ps->len = ps->at - ps->word;
}

static bool
is_word(const struct parser *ps, const char *word)
{
	return strlen(word) == ps->len &&
	       memcmp(ps->s + ps->word, word, ps->len) == 0;
}

static bool
say(const struct parser *ps, const char *text)
{
	pol_err(ps->ld, ps->word, "%s", text);
	return false;
}

/* ---- joining ---- */

/* Adds a need to a way; 0: it does not fit. */
static bool
way_add(struct pol_way *way, const struct pol_need *need)
{
	uint32_t i;

	for (i = 0; i < way->n; i++) {
		if (way->need[i].role != need->role ||
		    way->need[i].stage != need->stage)
			continue;
		way->need[i].count += need->count; /* Rule 1 */
		return way->need[i].count <= POL_COUNT_MAX;
	}
	if (way->n == MG_VERDICT_SLOTS_MAX)
		return false;
	way->need[way->n++] = *need;
	return true;
}

static bool
ways_or(struct ways *sum, const struct ways *with)
{
	if (with->n > POL_ALTS_MAX - sum->n)
		return false;
	memcpy(sum->v + sum->n, with->v, with->n * sizeof(with->v[0]));
	sum->n += with->n;
	return true;
}

static bool
ways_and(struct ways *sum, const struct ways *with, struct ways *tmp)
{
	uint32_t i, j, k;

	if (sum->n * with->n > POL_ALTS_MAX)
		return false;
	tmp->n = 0;
	for (i = 0; i < sum->n; i++) {
		for (j = 0; j < with->n; j++) {
			struct pol_way *way = &tmp->v[tmp->n++];

			*way = sum->v[i];
			for (k = 0; k < with->v[j].n; k++)
				if (!way_add(way, &with->v[j].need[k]))
					return false;
		}
	}
	*sum = *tmp;
	return true;
}

static bool
join(struct parser *ps, const struct ways *with)
{
	struct level *l = &ps->level[ps->depth];
	bool ok;

	if (!l->has) {
		l->sum = *with;
		l->has = true;
		return true;
	}
	ok = l->next == JOIN_OR ? ways_or(&l->sum, with)
				: ways_and(&l->sum, with, &ps->tmp);
	l->next = JOIN_NONE;
	return ok || say(ps, TOO_MUCH);
}

/* ---- "2 risk-owner|legal" ---- */

/*
 * All ways to take count people out of n roles: counts c[0..n) that add up,
 * counted through like the digits of a number.
 */
static bool
fill_leaf(struct parser *ps, const uint32_t *roles, uint32_t n, unsigned count)
{
	struct ways *leaf = &ps->leaf;
	unsigned c[POL_TERMS_MAX] = {0}, left;
	struct pol_need need = {0};
	uint32_t i;

	leaf->n = 0;
	c[n - 1] = count;
	for (;;) {
		struct pol_way *way = &leaf->v[leaf->n];

		if (leaf->n == POL_ALTS_MAX)
			return say(ps, TOO_MUCH);
		leaf->n++;
		way->n = 0;
		for (i = 0; i < n; i++) {
			need.role = roles[i];
			need.count = (uint16_t)c[i];
			if (c[i] > 0)
				(void)way_add(way, &need);
		}
		/* The next one: move one person to the left. */
		for (i = n - 1; i > 0 && c[i] == 0;)
			i--;
		if (i == 0)
			return true;
		left = c[i] - 1;
		c[i] = 0;
		c[i - 1]++;
		c[n - 1] = left;
	}
}

static bool
leaf(struct parser *ps)
{
	uint32_t roles[POL_TERMS_MAX], n = 0, i;
	struct pol_load *ld = ps->ld;
	unsigned count;

	if (ps->s[ps->word] < '0' || ps->s[ps->word] > '9')
		return say(ps, HOW_MANY);
	if (!pol_count(
		ld, ps->s + ps->word, ps->len, ps->word, POL_COUNT_MAX, &count))
		return false;
	next(ps);
	for (;;) {
		if (ps->len == 0 || is_special(ps->s[ps->word]))
			return say(ps, HOW_MANY);
		if (n == POL_TERMS_MAX)
			return say(ps, "too many roles");
		roles[n] =
		    pol_role_atom(ld, ps->s + ps->word, ps->len, ps->word);
		if (roles[n] == POL_NONE)
			return false;
		for (i = 0; i < n; i++)
			if (roles[i] == roles[n])
				return say(ps, "the role stands twice");
		n++;
		next(ps);
		if (!is_word(ps, "|"))
			break;
		next(ps);
	}
	return fill_leaf(ps, roles, n, count) && join(ps, &ps->leaf);
}

/* ---- the expression ---- */

static bool
open_level(struct parser *ps)
{
	if (ps->depth == POL_NESTING_MAX)
		return say(ps, "too many parentheses");
	memset(&ps->level[++ps->depth], 0, sizeof(ps->level[0]));
	next(ps);
	return true;
}

static bool
close_level(struct parser *ps)
{
	struct level *l = &ps->level[ps->depth];

	if (ps->depth == 0)
		return say(ps, "no parenthesis is open");
	if (!l->has || l->next != JOIN_NONE)
		return say(ps, "something is missing before the ')'");
	ps->depth--;
	next(ps);
	return join(ps, &l->sum);
}

static bool
operator(struct parser *ps)
{
	struct level *l = &ps->level[ps->depth];
	enum join kind = is_word(ps, "or") ? JOIN_OR : JOIN_AND;

	if (!is_word(ps, "or") && !is_word(ps, "and") && !is_word(ps, ","))
		return say(ps, "',', 'and', 'or' or 'then' must stand here");
	if (l->kind != JOIN_NONE && l->kind != kind) /* Rule 2 */
		return say(ps, "put parentheses around what belongs together");
	l->kind = l->next = kind;
	next(ps);
	return true;
}

/* One stage: up to "then" or the end. */
static bool
stage(struct parser *ps)
{
	struct level *l;

	ps->depth = 0;
	memset(&ps->level[0], 0, sizeof(ps->level[0]));
	while (ps->len > 0 && !(ps->depth == 0 && is_word(ps, "then"))) {
		l = &ps->level[ps->depth];
		if (is_word(ps, ")")) {
			if (!close_level(ps))
				return false;
		} else if (l->has && l->next == JOIN_NONE) {
			if (!operator(ps))
				return false;
		} else if (is_word(ps, "(")) {
			if (!open_level(ps))
				return false;
		} else if (!leaf(ps)) {
			return false;
		}
	}
	if (ps->depth > 0)
		return say(ps, "a parenthesis is not closed");
	l = &ps->level[0];
	if (!l->has || l->next != JOIN_NONE)
		return say(ps, "something is missing here");
	return true;
}

static void
set_stage(struct ways *ways, uint16_t number)
{
	uint32_t i, j;

	for (i = 0; i < ways->n; i++)
		for (j = 0; j < ways->v[i].n; j++)
			ways->v[i].need[j].stage = number;
}

static bool
parse(struct parser *ps, struct ways *all, uint32_t *nstagesp)
{
	uint16_t n = 0;

	next(ps);
	for (;;) {
		if (!stage(ps))
			return false;
		n++;
		if (n > 1 || ps->len > 0)
			set_stage(&ps->level[0].sum, n);
		if (n == 1)
			*all = ps->level[0].sum;
		else if (!ways_and(all, &ps->level[0].sum, &ps->tmp))
			return say(ps, TOO_MUCH);
		if (ps->len == 0)
			break;
		if (n == POL_STAGES_MAX)
			return say(ps, "more than 4 stages");
		next(ps);
	}
	*nstagesp = n > 1 ? n : 0;
	return true;
}

const struct pol_approve *
pol_approve_parse(struct pol_load *ld)
{
	const struct pol_approve *shared;
	struct pol_approve *a;
	struct parser *ps;
	struct ways *all;
	uint32_t nstages;

	if ((shared = pol_shared_get(ld, 'a', ld->ln->value)) != NULL)
		return shared;
	/* Large; given back with everything that only loading needs. */
	if (ld->scratch == NULL)
		ld->scratch =
		    pol_alloc(&ld->src.mem, sizeof(*ps) + sizeof(*all));
	if (ld->scratch == NULL)
		return pol_oom(ld);
	ps = ld->scratch;
	all = (struct ways *)(void *)(ps + 1);
	ps->ld = ld;
	ps->s = ld->ln->value;
	ps->at = 0;
	if (!parse(ps, all, &nstages))
		return NULL;
	a = pol_alloc(&ld->p->mem, sizeof(*a) + all->n * sizeof(a->way[0]));
	if (a == NULL || (a->text = pol_strndup(&ld->p->mem, ld->ln->value,
			      strlen(ld->ln->value))) == NULL)
		return pol_oom(ld);
	a->nways = all->n;
	a->nstages = nstages;
	memcpy(a->way, all->v, all->n * sizeof(a->way[0]));
	pol_shared_put(ld, 'a', ld->ln->value, a);
	return a;
}
