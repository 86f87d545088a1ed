/* SPDX-License-Identifier: ISC */
/*
 * One name for each way in which patterns fit: "fraud-a" for what fits both
 * "fraud-?" and "*-a", so that all models are looked at by looking at few.
 *
 * All patterns are followed at once, a character at a time. A state is where
 * in each of them one may be; what no pattern spells out is one character for
 * all others. Every state that can be reached is visited once, by its shortest
 * name.
 *
 * Rules
 * 1. Work is bounded: what was not reached is said to be left out.
 */
#include <stdlib.h>
#include <string.h>

#include "mg_name.h"
#include "pol.h"

#define STATES_MAX 131072
#define PLACES_MAX (8U << 20) /* of all states together */

struct state {
	uint64_t hash;
	uint32_t first, n; /* its places in pool, ascending */
	uint32_t from;	   /* the state before; itself: none */
	uint8_t c, length;
	bool is_dot;
};

struct names {
	/* In which pattern, and how far: what comes next there. */
	const char **place;
	uint32_t ends; /* the place at the end of the first pattern */
	uint32_t *mark, round;
	struct pol_vec states; /* struct state */
	struct pol_vec pool;   /* uint32_t */
	struct pol_vec next;   /* uint32_t: places of the state being made */
	uint32_t *slot, mask;
	bool is_cut, no_memory;
};

static struct state *
state_at(const struct names *ns, uint32_t i)
{
	return (struct state *)ns->states.v + i;
}

/* That place, and those behind each '*', which may stand for nothing. */
static void
put_place(struct names *ns, uint32_t place)
{
	uint32_t *slot;

	for (;; place++) {
		if (ns->mark[place] == ns->round)
			return;
		ns->mark[place] = ns->round;
		if ((slot = pol_vec_add(&ns->next, sizeof(*slot))) == NULL) {
			ns->no_memory = true;
			return;
		}
		*slot = place;
		if (*ns->place[place] != '*')
			return;
	}
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Whether the first pattern can still fit: its places have the least numbers.
 */
static bool
is_alive(const struct names *ns)
{
	return ((uint32_t *)ns->next.v)[0] <= ns->ends;
}

static bool
is_same(const struct names *ns, const struct state *a, const struct state *b)
{
	const uint32_t *pool = ns->pool.v;

	return a->hash == b->hash && a->n == b->n && a->is_dot == b->is_dot &&
	       (a->length == 0) == (b->length == 0) &&
	       memcmp(ns->next.v, pool + b->first, a->n * sizeof(*pool)) == 0;
}

/* Remembers the state of next, if it is a new one. */
static void
add_state(struct names *ns, struct state *new)
{
	uint32_t i, at, *place;
	struct state *slot;

	if (ns->no_memory || ns->next.n == 0)
		return;
	qsort(ns->next.v, ns->next.n, sizeof(uint32_t), by_number);
	if (!is_alive(ns))
		return;
	new->n = ns->next.n;
	new->hash = new->is_dot;
	for (i = 0; i < new->n; i++)
		new->hash =
		    pol_mix64(new->hash ^ ((uint32_t *)ns->next.v)[i]) + 1;
	for (at = (uint32_t) new->hash & ns->mask; ns->slot[at] != 0;
	     at = (at + 1) & ns->mask)
		if (is_same(ns, new, state_at(ns, ns->slot[at] - 1)))
			return;
	if (ns->states.n == STATES_MAX || new->n > PLACES_MAX - ns->pool.n) {
		ns->is_cut = true; /* Rule 1 */
		return;
	}
	new->first = ns->pool.n;
	for (i = 0; i < new->n; i++) {
		place = pol_vec_add(&ns->pool, sizeof(*place));
		if (place == NULL)
			break;
		*place = ((uint32_t *)ns->next.v)[i];
	}
	if (i < new->n ||
	    (slot = pol_vec_add(&ns->states, sizeof(*slot))) == NULL) {
		ns->no_memory = true;
		return;
	}
	*slot = *new;
	ns->slot[at] = ns->states.n;
}

/* The state behind state i by the character c. */
static void
step(struct names *ns, uint32_t i, char c)
{
	struct state from = *state_at(ns, i);
	struct state new = {.from = i,
	    .c = (uint8_t)c,
	    .length = (uint8_t)(from.length + 1),
	    .is_dot = c == '.'};
	uint32_t k, place;

	ns->next.n = 0;
	ns->round++;
	for (k = 0; k < from.n; k++) {
		place = ((uint32_t *)ns->pool.v)[from.first + k];
		if (*ns->place[place] == '*')
			put_place(ns, place);
		else if (*ns->place[place] == c || *ns->place[place] == '?')
			put_place(ns, place + 1);
	}
	add_state(ns, &new);
}

static bool
may_follow(const struct state *s, char c)
{
	bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		     (c >= '0' && c <= '9');

	return plain || (s->length > 0 && (c != '.' || !s->is_dot));
}

/* Every character that some pattern spells out here, and one that none does. */
static void
expand(struct names *ns, uint32_t i)
{
	static const char others[] = "xabcdefghijklmnopqrstuvwyz0123456789"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
	struct state s = *state_at(ns, i);
	bool is_here[128] = {false};
	uint32_t k, place;
	unsigned c;
	const char *o;

	if (s.length == MG_NAME_MAX)
		return;
	for (k = 0; k < s.n; k++) {
		place = ((uint32_t *)ns->pool.v)[s.first + k];
		is_here[*ns->place[place] & 127] = true;
	}
	for (o = others; *o != '\0'; o++)
		if (!is_here[(unsigned char)*o] && may_follow(&s, *o))
			break;
	if (*o != '\0')
		step(ns, i, *o);
	for (c = '-'; c < 128; c++)
		if (is_here[c] && c != '?' && may_follow(&s, (char)c))
			step(ns, i, (char)c);
}

/* Whether the name of the state fits the first pattern; out: that name. */
static bool
name_of(const struct names *ns, uint32_t i, char out[MG_NAME_MAX + 1])
{
	const struct state *s = state_at(ns, i);
	const uint32_t *pool = ns->pool.v;

	if (s->length == 0 || bsearch(&ns->ends, pool + s->first, s->n,
				  sizeof(*pool), by_number) == NULL)
		return false;
	out[s->length] = '\0';
	for (; s->length > 0; s = state_at(ns, s->from))
		out[s->length - 1] = (char)s->c;
	return true;
}

static bool
begin(struct names *ns, const char *const *patterns, size_t n)
{
	uint32_t total = 0, at = 0, i;
	const char *s;

	for (i = 0; i < n; i++)
		total += (uint32_t)strlen(patterns[i]) + 1;
	ns->mask = STATES_MAX * 2 - 1;
	ns->place = calloc(total + 1U, sizeof(*ns->place));
	ns->mark = calloc(total + 1U, sizeof(*ns->mark));
	ns->slot = calloc(ns->mask + 1U, sizeof(*ns->slot));
	if (ns->place == NULL || ns->mark == NULL || ns->slot == NULL)
		return false;
	ns->ends = (uint32_t)strlen(patterns[0]);
	for (i = 0; i < n; i++) {
		for (s = patterns[i];; s++) {
			ns->place[at++] = s;
			if (*s == '\0')
				break;
		}
	}
	return true;
}

enum mg_err
pol_names(const char *const *patterns, size_t n, pol_name_fn fn, void *arg)
{
	struct names ns = {.round = 1};
	struct state first = {.length = 0};
	char name[MG_NAME_MAX + 1];
	enum mg_err r = MG_ERR_NOMEM;
	uint32_t i, at = 0;

	if (!begin(&ns, patterns, n))
		goto out;
	for (i = 0; i < n; at += (uint32_t)strlen(patterns[i]) + 1, i++)
		put_place(&ns, at);
	add_state(&ns, &first);
	for (i = 0; i < ns.states.n && !ns.no_memory; i++) {
		if (name_of(&ns, i, name))
			fn(arg, name);
		expand(&ns, i);
	}
	if (!ns.no_memory)
		r = ns.is_cut ? MG_ERR_LIMIT : MG_ERR_OK;
out:
	free(ns.place);
	free(ns.mark);
	free(ns.slot);
	pol_vec_fini(&ns.states);
	pol_vec_fini(&ns.pool);
	pol_vec_fini(&ns.next);
	return r;
}
