/* SPDX-License-Identifier: ISC */
/*
 * Who fills which slot.
 *
 * Rules
 * 1. The requester fills no slot, under none of his names.
 * 2. Two names of one person are one person.
 * 3. A service account approves nothing.
 * 4. One person fills one slot. Whether everybody fits is a matching in a
 *    bipartite graph (people, places of slots), found exactly by augmenting
 *    paths: no order of approvals can fill less than is possible, and none
 *    more.
 * 5. Who holds a role is asked now, not when the approval was given.
 */
#include <string.h>

#include "pol.h"

#define PEOPLE_MAX 64
#define PLACES_MAX (MG_VERDICT_SLOTS_MAX * POL_COUNT_MAX)

/*
 * People and places; a place is one of the count people of a slot. A person
 * with several names stands under the first of them.
 */
struct graph {
	uint16_t named[PEOPLE_MAX]; /* bit set: slots that a name may fill */
	uint16_t slots[PEOPLE_MAX]; /* and those that a person may fill */
	uint8_t first[PEOPLE_MAX];  /* the person's first name */
	size_t npeople;
	uint8_t slot_of[PLACES_MAX];
	int8_t person[PLACES_MAX]; /* who fills it; -1: nobody */
	size_t nplaces;
};

static bool
is_same(const struct mg_people *people, const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	return people != NULL && people->is_same != NULL &&
	       people->is_same(people->arg, a, b);
}

/* Rules 1, 3 and 5: which slots one name may fill. */
static uint16_t
slots_for(const struct mg_policy *p, const struct mg_verdict *v,
    const struct mg_people *people, const char *requester, const char *name,
    int64_t now_ms)
{
	struct pol_roles roles;
	uint16_t set = 0;
	uint32_t rank;
	size_t k;

	if (is_same(people, name, requester) || mg_policy_is_service(p, name))
		return 0;
	pol_roles_of(p, people, name, now_ms, &roles);
	for (k = 0; k < v->nslots; k++) {
		rank = pol_role_rank(
		    p, v->slots[k].role, strlen(v->slots[k].role));
		if (rank != POL_NONE && pol_bit(roles.sure, rank))
			set |= (uint16_t)(1U << k);
	}
	return set;
}

/* Rule 2 */
static void
add_name(struct graph *g, const struct mg_people *people,
    const char *const *names, size_t i, uint16_t slots)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (is_same(people, names[k], names[i]))
			break;
	g->first[i] = k < i ? g->first[k] : (uint8_t)i;
	g->named[i] = slots;
	g->slots[g->first[i]] |= slots;
}

static bool
add_places(struct graph *g, const struct mg_verdict *v)
{
	unsigned c;
	size_t k;

	for (k = 0; k < v->nslots; k++) {
		for (c = 0; c < v->slots[k].count; c++) {
			if (g->nplaces == PLACES_MAX)
				return false;
			g->slot_of[g->nplaces] = (uint8_t)k;
			g->person[g->nplaces++] = -1;
		}
	}
	return true;
}

/*
 * Finds a place for person by a shortest augmenting path: breadth first
 * over places, each reached once.
 */
static bool
augment(struct graph *g, size_t person)
{
	uint16_t from[PLACES_MAX], queue[PLACES_MAX];
	bool seen[PLACES_MAX] = {false};
	size_t head = 0, tail = 0, j, at;
	uint16_t set = g->slots[person];

	for (at = PLACES_MAX;; at = queue[head++]) {
		if (at != PLACES_MAX)
			set = g->slots[g->person[at]];
		for (j = 0; j < g->nplaces; j++) {
			if (seen[j] || ((set >> g->slot_of[j]) & 1) == 0)
				continue;
			seen[j] = true;
			from[j] = (uint16_t)at;
			if (g->person[j] == -1)
				goto found;
			queue[tail++] = (uint16_t)j;
		}
		if (head == tail)
			return false;
	}
found:
	for (; from[j] != PLACES_MAX; j = from[j])
		g->person[j] = g->person[from[j]];
	g->person[j] = (int8_t)person;
	return true;
}

/* A filled place counts for the name that may fill it. */
static void
note_place(const struct graph *g, size_t place, struct mg_quorum *q)
{
	uint8_t slot = g->slot_of[place];
	size_t i;

	q->missing[slot]--;
	for (i = 0; i < g->npeople; i++) {
		if (g->first[i] == g->person[place] &&
		    ((g->named[i] >> slot) & 1) != 0) {
			q->fills[i] = slot;
			return;
		}
	}
}

void
mg_policy_quorum(const struct mg_policy *p, const struct mg_verdict *v,
    const struct mg_people *people, const char *requester,
    const char *const *approvers, size_t n, int64_t now_ms, struct mg_quorum *q)
{
	struct graph g = {.npeople = n < PEOPLE_MAX ? n : PEOPLE_MAX};
	size_t i, j;
	bool full;

	memset(q, 0, sizeof(*q));
	for (i = 0; i < PEOPLE_MAX; i++)
		q->fills[i] = -1;
	for (j = 0; j < v->nslots; j++)
		q->missing[j] = v->slots[j].count;
	full = add_places(&g, v);
	for (i = 0; i < g.npeople; i++)
		add_name(&g, people, approvers, i,
		    slots_for(p, v, people, requester, approvers[i], now_ms));
	for (i = 0; i < g.npeople; i++)
		if (g.first[i] == i)
			(void)augment(&g, i);
	for (j = 0; j < g.nplaces; j++) {
		if (g.person[j] == -1)
			full = false;
		else
			note_place(&g, j, q);
	}
	q->satisfied = full && v->kind != MG_VERDICT_DENY;
}
