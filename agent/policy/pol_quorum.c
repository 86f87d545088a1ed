/* SPDX-License-Identifier: ISC */
/*
 * Who fills which slot, and whether it is enough.
 *
 * What is needed becomes places, each for one person of a role, some of them
 * in a stage. People are matched to places by augmenting paths, which is
 * exact: no order of approvals fills less than is possible, and none more.
 * Where there are several ways, each is tried; where there are stages, so is
 * every split of the approvals, in the order of their coming, into stages.
 *
 * Rules
 * 1. The requester fills no place, under none of his names.
 * 2. Two names of one person are one person.
 * 3. A service account approves nothing.
 * 4. One person fills one place; where teams have to be different, one team
 *    fills one place, the requester's none, and who has no team none.
 * 5. Who holds a role is asked now, not when the approval was given.
 * 6. Who may have done what excludes him, is excluded: so also when the past
 *    is not known.
 * 7. Work is bounded: what was not found in TRIALS_MAX tries is not there.
 */
#include <string.h>

#include "pol.h"

#define PEOPLE_MAX 64
#define PLACES_MAX 512
#define STAGES (POL_STAGES_MAX + 1) /* 0: at any time */
#define TRIALS_MAX 200000

/*
 * A node is a person or, where teams have to be different, a team: whoever
 * of it may fill a place.
 */
struct names {
	const struct mg_verdict *v;
	size_t n;
	uint16_t slots[PEOPLE_MAX]; /* bit set: what each name may fill */
	uint8_t node[PEOPLE_MAX];
};

struct place {
	uint8_t slot, stage;
	int8_t node; /* who fills it; -1: nobody */
};

struct graph {
	uint16_t may[PEOPLE_MAX][STAGES]; /* per node: slots */
	struct place place[PLACES_MAX];
	size_t nplaces, nfilled;
};

/* What one combination of ways needs. */
struct needs {
	uint16_t count[MG_VERDICT_SLOTS_MAX][STAGES];
	unsigned nstages;
};

struct search {
	struct names names;
	struct needs needs;
	struct graph g, best;
	size_t best_missing;
	unsigned trials;
	/* Approvals from cut[k - 1] up to cut[k] are those of stage k. */
	size_t cut[STAGES];
};

/* ---- people ---- */

static bool
is_same(const struct mg_people *people, const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	return people != NULL && people->is_same != NULL &&
	       people->is_same(people->arg, a, b);
}

static uint32_t
team_of(const struct mg_policy *p, const char *name)
{
	uint32_t i = pol_map_find(&p->users, name, strlen(name));

	return i == POL_NONE ? POL_NONE : pol_user(p, i)->team;
}

/* Rule 6 */
static bool
is_excluded(const struct mg_verdict *v, const char *name)
{
	const struct mg_history *h = v->history;
	const struct pol_event *ev;
	int (*ask)(void *arg, const char *user, const char *operation,
	    const char *model, const char *version);
	uint32_t j;
	size_t i;

	for (i = 0; i < v->ndemands; i++) {
		for (j = 0; j < v->demands[i]->nexcluded; j++) {
			ev = &v->demands[i]->excluded[j];
			if (h == NULL)
				return true;
			ask = ev->approved ? h->approved : h->did;
			if (ask == NULL || v->version[0] == '\0' ||
			    ask(h->arg, name, ev->operation, v->model,
				v->version) != 0)
				return true;
		}
	}
	return false;
}

/* Rules 1, 3 to 6: which slots one name may fill. */
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
	if (v->different_teams &&
	    (team_of(p, name) == POL_NONE ||
		team_of(p, name) == team_of(p, requester)))
		return 0;
	if (is_excluded(v, name))
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

/* Rules 2 and 4: names of one person, or one team, are one node. */
static void
set_node(struct names *to, const struct mg_policy *p,
    const struct mg_people *people, const char *const *names, size_t i)
{
	bool teams = to->v->different_teams;
	size_t k;

	for (k = 0; k < i; k++) {
		if (is_same(people, names[k], names[i]))
			break;
		if (teams && team_of(p, names[k]) != POL_NONE &&
		    team_of(p, names[k]) == team_of(p, names[i]))
			break;
	}
	to->node[i] = k < i ? to->node[k] : (uint8_t)i;
}

/* ---- matching ---- */

static void
add_places(struct search *s)
{
	struct graph *g = &s->g;
	unsigned slot, stage, c;

	g->nplaces = g->nfilled = 0;
	for (slot = 0; slot < s->names.v->nslots; slot++)
		for (stage = 0; stage <= s->needs.nstages; stage++)
			for (c = 0; c < s->needs.count[slot][stage] &&
				    g->nplaces < PLACES_MAX;
			     c++)
				g->place[g->nplaces++] = (struct place){
				    (uint8_t)slot, (uint8_t)stage, -1};
}

/* Which slots a node may fill in which stage, given the cuts. */
static void
set_may(struct search *s)
{
	struct graph *g = &s->g;
	unsigned stage;
	size_t i;

	memset(g->may, 0, s->names.n * sizeof(g->may[0]));
	for (i = 0; i < s->names.n; i++) {
		uint16_t *may = g->may[s->names.node[i]];

		may[0] |= s->names.slots[i];
		for (stage = 1; stage <= s->needs.nstages; stage++)
			if (i >= s->cut[stage - 1] && i < s->cut[stage])
				may[stage] |= s->names.slots[i];
	}
}

static bool
may_fill(const struct graph *g, size_t node, size_t place)
{
	const struct place *pl = &g->place[place];

	return ((g->may[node][pl->stage] >> pl->slot) & 1) != 0;
}

/*
 * Finds a place for a node by a shortest augmenting path: breadth first
 * over places, each reached once.
 */
static bool
augment(struct graph *g, size_t node)
{
	uint16_t from[PLACES_MAX], queue[PLACES_MAX];
	bool seen[PLACES_MAX];
	size_t head = 0, tail = 0, j, at = PLACES_MAX;

	memset(seen, 0, g->nplaces);
	for (;;) {
		size_t who =
		    at == PLACES_MAX ? node : (size_t)g->place[at].node;

		for (j = 0; j < g->nplaces; j++) {
			if (seen[j] || !may_fill(g, who, j))
				continue;
			seen[j] = true;
			from[j] = (uint16_t)at;
			if (g->place[j].node == -1)
				goto found;
			queue[tail++] = (uint16_t)j;
		}
		if (head == tail)
			return false;
		at = queue[head++];
	}
found:
	for (; from[j] != PLACES_MAX; j = from[j])
		g->place[j].node = g->place[from[j]].node;
	g->place[j].node = (int8_t)node;
	return true;
}

/* One try with these needs and cuts; true when nothing is missing. */
static bool
try_cuts(struct search *s)
{
	struct graph *g = &s->g;
	size_t i, missing;

	if (s->trials == TRIALS_MAX) /* Rule 7 */
		return false;
	s->trials++;
	add_places(s);
	set_may(s);
	for (i = 0; i < s->names.n; i++)
		if (s->names.node[i] == i && augment(g, i))
			g->nfilled++;
	missing = g->nplaces - g->nfilled;
	if (missing < s->best_missing) {
		s->best_missing = missing;
		s->best = *g;
	}
	return missing == 0 && g->nplaces < PLACES_MAX;
}

/* Every split into stages: cuts counted through like digits. */
static bool
try_stages(struct search *s)
{
	unsigned last = s->needs.nstages, k;
	size_t n = s->names.n;

	s->cut[0] = 0;
	for (k = 1; k <= last; k++)
		s->cut[k] = n;
	if (last == 0)
		return try_cuts(s);
	for (;;) {
		if (try_cuts(s))
			return true;
		/* cut[last] stays n; the others go down, in order. */
		for (k = 1; k < last && s->cut[k] == 0;)
			k++;
		if (k >= last || s->trials == TRIALS_MAX)
			return false;
		s->cut[k]--;
		while (--k > 0)
			s->cut[k] = s->cut[k + 1];
	}
}

/* ---- ways ---- */

static void
add_need(
    struct search *s, const struct mg_policy *p, const struct pol_need *need)
{
	const struct mg_verdict *v = s->names.v;
	const char *role = p->role_at[need->role].name;
	uint16_t *count;
	size_t k;

	for (k = 0; k < v->nslots; k++)
		if (strcmp(v->slots[k].role, role) == 0)
			break;
	if (k == v->nslots)
		return; /* the verdict holds every role of its demands */
	count = &s->needs.count[k][need->stage];
	if (*count < need->count)
		*count = need->count;
	if (need->stage > s->needs.nstages)
		s->needs.nstages = need->stage;
}

/* What the ways number way[] of the demands need, with what all need. */
static void
set_needs(struct search *s, const struct mg_policy *p, const uint32_t *way)
{
	const struct mg_verdict *v = s->names.v;
	unsigned staged, stage;
	uint32_t j;
	size_t i;

	memset(&s->needs, 0, sizeof(s->needs));
	for (i = 0; i < v->nslots; i++)
		s->needs.count[i][0] =
		    (uint16_t)(v->is_flat ? v->slots[i].count
					  : v->slots[i].must);
	for (i = 0; i < v->ndemands; i++) {
		const struct pol_approve *a = v->demands[i]->approve;

		if (a == NULL || pol_demand_is_flat(v->demands[i]))
			continue;
		for (j = 0; j < a->way[way[i]].n; j++)
			add_need(s, p, &a->way[way[i]].need[j]);
	}
	/* Who fills a place of a stage counts for what has no stage, too. */
	for (i = 0; i < v->nslots; i++) {
		for (staged = 0, stage = 1; stage < STAGES; stage++)
			staged += s->needs.count[i][stage];
		s->needs.count[i][0] =
		    (uint16_t)(s->needs.count[i][0] > staged
				   ? s->needs.count[i][0] - staged
				   : 0);
	}
}

/* Counts through all combinations of ways; false behind the last. */
static bool
next_ways(const struct mg_verdict *v, uint32_t *way)
{
	size_t i;

	for (i = 0; i < v->ndemands; i++) {
		if (v->demands[i]->approve != NULL &&
		    ++way[i] < v->demands[i]->approve->nways)
			return true;
		way[i] = 0;
	}
	return false;
}

static bool
try_ways(struct search *s, const struct mg_policy *p)
{
	uint32_t way[MG_VERDICT_DEMANDS_MAX] = {0};

	do {
		set_needs(s, p, way);
		if (try_stages(s))
			return true;
	} while (next_ways(s->names.v, way) && s->trials < TRIALS_MAX);
	return false;
}

/* ---- the answer ---- */

/* A filled place counts for the first name that may fill it. */
static void
note_place(const struct search *s, const struct place *pl, struct mg_quorum *q)
{
	const struct names *names = &s->names;
	size_t i;

	for (i = 0; i < names->n; i++) {
		if (pl->node >= 0 && names->node[i] == (uint8_t)pl->node &&
		    ((names->slots[i] >> pl->slot) & 1) != 0 &&
		    q->fills[i] == -1) {
			q->fills[i] = pl->slot;
			return;
		}
	}
}

void
mg_policy_quorum(const struct mg_policy *p, const struct mg_verdict *v,
    const struct mg_people *people, const char *requester,
    const char *const *approvers, size_t n, int64_t now_ms, struct mg_quorum *q)
{
	struct search s = {.best_missing = SIZE_MAX};
	size_t i;
	bool met;

	memset(q, 0, sizeof(*q));
	s.names.v = v;
	s.names.n = n < PEOPLE_MAX ? n : PEOPLE_MAX;
	for (i = 0; i < PEOPLE_MAX; i++)
		q->fills[i] = -1;
	for (i = 0; i < s.names.n; i++) {
		s.names.slots[i] =
		    slots_for(p, v, people, requester, approvers[i], now_ms);
		set_node(&s.names, p, people, approvers, i);
	}
	met = try_ways(&s, p);
	for (i = 0; i < s.best.nplaces; i++) {
		if (s.best.place[i].node == -1)
			q->missing[s.best.place[i].slot]++;
		else
			note_place(&s, &s.best.place[i], q);
	}
	q->satisfied = met && v->kind != MG_VERDICT_DENY;
}
