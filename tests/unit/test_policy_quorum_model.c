/* SPDX-License-Identifier: ISC */
/*
 * Approvals against brute force: for random demands and random approvers,
 * every way to give every person a place is tried, and the engine says
 * "enough" exactly when one of them is. SEED=n repeats a run, CASES=n sets
 * how many.
 */
#include <time.h>

#include "policy_fixture.h"

static uint64_t seed, state;

static unsigned
below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 20) % n);
}

static bool
chance(unsigned percent)
{
	return below(100) < percent;
}

#define USERS 8
#define ROLES 3
#define STAGES 3 /* 0: at any time */
#define WAYS 64
#define RULES 3
#define NAMES 5

/* bob and robert are one person; bot is a service; req asks. */
static const char *const users[USERS] = {
    "req", "bob", "robert", "ann", "cas", "dan", "bot", "requester"};
static const int person_of[USERS] = {0, 1, 1, 2, 3, 4, 5, 0};
static const char *const roles[ROLES] = {"x", "y", "z"};

struct way {
	unsigned need[ROLES][STAGES];
};

struct rule {
	struct way way[WAYS];
	unsigned nways;
	bool teams;
};

static unsigned held[USERS]; /* bits of roles */
static int team[USERS];	     /* of each person; 0: none */
static struct rule rules[RULES];
static unsigned nrules;
static char text[8192];
static size_t len;

static void out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
out(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	len += (size_t)vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	va_end(ap);
	assert_true(len < sizeof(text));
}

/* ---- random expressions, as text and as the list of their ways ---- */

static void
and_ways(struct rule *a, const struct rule *b)
{
	static struct rule sum;
	unsigned i, j, r, s;

	sum.nways = 0;
	for (i = 0; i < a->nways; i++) {
		for (j = 0; j < b->nways && sum.nways < WAYS; j++) {
			struct way *w = &sum.way[sum.nways++];

			*w = a->way[i];
			for (r = 0; r < ROLES; r++)
				for (s = 0; s < STAGES; s++)
					w->need[r][s] += b->way[j].need[r][s];
		}
	}
	memcpy(a->way, sum.way, sizeof(sum.way));
	a->nways = sum.nways;
}

static void
or_ways(struct rule *a, const struct rule *b)
{
	unsigned j;

	for (j = 0; j < b->nways && a->nways < WAYS; j++)
		a->way[a->nways++] = b->way[j];
}

/* "2 x|y": all that add up. */
static void
leaf(struct rule *e, unsigned stage)
{
	unsigned count = 1 + below(2), set = 1 + below(7), c[ROLES], r;
	const char *sep = "";

	out("%u ", count);
	memset(e, 0, sizeof(*e));
	for (r = 0; r < ROLES; r++) {
		if (((set >> r) & 1) == 0)
			continue;
		out("%s%s", sep, roles[r]);
		sep = "|";
	}
	for (c[0] = 0; c[0] <= count; c[0]++) {
		for (c[1] = 0; c[0] + c[1] <= count; c[1]++) {
			c[2] = count - c[0] - c[1];
			for (r = 0; r < ROLES; r++)
				if (c[r] > 0 && ((set >> r) & 1) == 0)
					break;
			if (r < ROLES)
				continue;
			for (r = 0; r < ROLES; r++)
				e->way[e->nways].need[r][stage] = c[r];
			e->nways++;
		}
	}
}

static void
expression(struct rule *e, unsigned stage, unsigned depth)
{
	bool is_or = chance(40);
	unsigned n = 1 + below(2), i;
	struct rule *part;

	if (depth == 0 || chance(40)) {
		leaf(e, stage);
		return;
	}
	part = calloc(1, sizeof(*part));
	assert_non_null(part);
	for (i = 0; i <= n; i++) {
		out("%s%s",
		    i == 0	 ? ""
		    : is_or	 ? " or "
		    : chance(50) ? ", "
				 : " and ",
		    depth > 1 ? "(" : "");
		expression(i == 0 ? e : part, stage, depth - 1);
		out("%s", depth > 1 ? ")" : "");
		if (i > 0 && is_or)
			or_ways(e, part);
		else if (i > 0)
			and_ways(e, part);
	}
	free(part);
}

static void
make_rule(struct rule *e, unsigned number)
{
	struct rule *second;

	memset(e, 0, sizeof(*e));
	out("[rule r%u]\noperation = login\napprove = ", number);
	if (chance(30)) {
		second = calloc(1, sizeof(*second));
		assert_non_null(second);
		expression(e, 1, 1);
		out(" then ");
		expression(second, 2, 1);
		and_ways(e, second);
		free(second);
	} else {
		expression(e, 0, 2);
	}
	out("\n");
	e->teams = chance(15);
	if (e->teams)
		out("approve-teams = different\n");
}

static void
make_policy(void)
{
	unsigned i, r;

	len = 0;
	for (i = 0; i < USERS; i++)
		held[i] = below(1U << ROLES);
	for (r = 0; r < ROLES; r++) {
		out("[role %s]\nmembers = nobody", roles[r]);
		for (i = 0; i < USERS; i++)
			if (((held[i] >> r) & 1) != 0)
				out(", %s", users[i]);
		out("\n");
	}
	for (i = 0; i < USERS; i++)
		team[i] = (int)below(4);
	for (i = 0; i < USERS; i++) {
		out("[user %s]\nkind = %s\n", users[i],
		    i == 6 ? "service" : "person");
		if (team[person_of[i]] > 0)
			out("team = t%d\n", team[person_of[i]]);
	}
	nrules = 1 + below(RULES);
	for (i = 0; i < nrules; i++)
		make_rule(&rules[i], i);
}

/* ---- brute force ---- */

struct trial {
	const unsigned *names; /* who approved, in order */
	unsigned n;
	unsigned cut[STAGES];
	int label[USERS]; /* of each person: role * STAGES + stage, or -1 */
	bool teams;
};

/* Whether one of the person's names may fill the place. */
static bool
may(const struct trial *t, int person, unsigned role, unsigned stage)
{
	unsigned i;

	for (i = 0; i < t->n; i++) {
		unsigned u = t->names[i];

		if (person_of[u] == person && u != 6 &&
		    ((held[u] >> role) & 1) != 0 &&
		    (stage == 0 ||
			(i >= t->cut[stage - 1] && i < t->cut[stage])))
			return true;
	}
	return false;
}

static bool
way_met(const struct trial *t, const struct way *w)
{
	unsigned r, s;

	for (r = 0; r < ROLES; r++) {
		for (s = 0; s < STAGES; s++) {
			unsigned have = 0;
			int p;

			for (p = 1; p < USERS; p++)
				have +=
				    t->label[p] >= 0 &&
				    t->label[p] / STAGES == (int)r &&
				    (s == 0 || t->label[p] % STAGES == (int)s);
			if (have < w->need[r][s])
				return false;
		}
	}
	return true;
}

static bool
labels_met(const struct trial *t)
{
	unsigned i, k;
	int p, o;

	for (p = 1; p < USERS && t->teams; p++) {
		if (t->label[p] < 0)
			continue;
		if (team[p] == 0 || team[p] == team[0])
			return false;
		for (o = 1; o < p; o++)
			if (t->label[o] >= 0 && team[o] == team[p])
				return false;
	}
	for (i = 0; i < nrules; i++) {
		for (k = 0; k < rules[i].nways; k++)
			if (way_met(t, &rules[i].way[k]))
				break;
		if (k == rules[i].nways)
			return false;
	}
	return true;
}

/* All labels for person p and those behind. The requester is person 0. */
static bool
try_labels(struct trial *t, int p)
{
	unsigned r, s;

	if (p == 6)
		return labels_met(t);
	t->label[p] = -1;
	if (try_labels(t, p + 1))
		return true;
	for (r = 0; r < ROLES; r++) {
		for (s = 0; s < STAGES; s++) {
			if (!may(t, p, r, s))
				continue;
			t->label[p] = (int)(r * STAGES + s);
			if (try_labels(t, p + 1))
				return true;
		}
	}
	t->label[p] = -1;
	return false;
}

static bool
brute(const unsigned *names, unsigned n)
{
	struct trial t = {.names = names, .n = n};
	unsigned i;

	for (i = 0; i < USERS; i++)
		t.label[i] = -1;
	for (i = 0; i < nrules; i++)
		t.teams = t.teams || rules[i].teams;
	t.cut[STAGES - 1] = n;
	for (t.cut[1] = 0; t.cut[1] <= n; t.cut[1]++)
		if (try_labels(&t, 1))
			return true;
	return false;
}

/* The least number of people that any rule asks for. */
static unsigned
least_people(void)
{
	unsigned i, k, r, s, most = 0;

	for (i = 0; i < nrules; i++) {
		unsigned least = 1000;

		for (k = 0; k < rules[i].nways; k++) {
			unsigned sum = 0;

			for (r = 0; r < ROLES; r++)
				for (s = 0; s < STAGES; s++)
					sum += rules[i].way[k].need[r][s];
			least = sum < least ? sum : least;
		}
		most = least > most ? least : most;
	}
	return most;
}

static unsigned
count_people(const unsigned *names, unsigned n)
{
	unsigned seen = 0, i, people = 0;

	for (i = 0; i < n; i++) {
		int p = person_of[names[i]];

		if (p == 0 || p == 5 || ((seen >> p) & 1) != 0)
			continue;
		seen |= 1U << p;
		people++;
	}
	return people;
}

/* ---- the engine ---- */

static void
show(const unsigned *names, unsigned n)
{
	unsigned i;

	print_error("SEED=%llu\n%s", (unsigned long long)seed, text);
	for (i = 0; i < n; i++)
		print_error("%s ", users[names[i]]);
	print_error("\n");
}

static struct fixture_people fp = {
    .groups = {{"req", "g"}, {"bob", "g"}, {"robert", "g"}, {"ann", "g"},
	{"cas", "g"}, {"dan", "g"}, {"bot", "g"}, {"requester", "g"}},
    .aliases = {{"bob", "robert"}, {"req", "requester"}}};

/* More ways than the rules together may have: denied, whoever approves. */
static bool
is_too_much(const struct mg_policy *p)
{
	struct mg_ask ask = ask_for("req", "login", "");
	struct mg_verdict v;

	mg_policy_decide(p, &ask, &v);
	if (v.kind == MG_VERDICT_DENY)
		assert_int_equal(v.why, MG_WHY_LIMIT);
	return v.kind == MG_VERDICT_DENY;
}

static bool
engine(const struct mg_policy *p, const unsigned *names, unsigned n)
{
	struct mg_people people = people_of(&fp);
	struct mg_ask ask = ask_for("req", "login", "");
	const char *approvers[NAMES];
	struct mg_verdict v;
	struct mg_quorum q;
	unsigned i, filled = 0, missing = 0;

	for (i = 0; i < n; i++)
		approvers[i] = users[names[i]];
	ask.people = &people;
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ASK);
	mg_policy_quorum(p, &v, &people, "req", approvers, n, NOON, &q);
	for (i = 0; i < n; i++) {
		filled += q.fills[i] >= 0;
		/* Nobody fills what he may not. */
		assert_true(q.fills[i] < (int)v.nslots);
		assert_true(q.fills[i] < 0 ||
			    mg_policy_has_role(p, &people, approvers[i],
				v.slots[q.fills[i]].role, NOON));
	}
	for (i = 0; i < v.nslots; i++)
		missing += q.missing[i];
	if (q.satisfied != (missing == 0)) {
		show(names, n);
		fail_msg("%u are missing, and it is %d", missing, q.satisfied);
	}
	assert_true(filled <= count_people(names, n));
	return q.satisfied;
}

static unsigned long
from_env(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s == NULL ? otherwise : strtoul(s, NULL, 10);
}

static void
enough_is_what_brute_force_finds(void **testing)
{
	unsigned long cases = from_env("CASES", 40000), done = 0, met = 0;
	unsigned long policies = 0, refused = 0;
	unsigned names[NAMES], n, i, k;
	struct mg_policy *p;
	bool mine, theirs;

	(void)testing;
	while (done < cases) {
		make_policy();
		policies++;
		if ((p = try_load(text)) == NULL) {
			/* Too many ways; nothing else may be wrong. */
			if (strstr(ds.v[0].text, "too many") == NULL) {
				mg_diags_print(&ds, stderr);
				show(NULL, 0);
				fail();
			}
			refused++;
			continue;
		}
		if (is_too_much(p)) {
			refused++;
			mg_policy_free(p);
			continue;
		}
		for (k = 0; k < 20; k++, done++) {
			n = below(NAMES + 1);
			for (i = 0; i < n; i++)
				names[i] = below(USERS);
			mine = brute(names, n);
			theirs = engine(p, names, n);
			met += mine;
			if (mine != theirs) {
				show(names, n);
				fail_msg("brute force says %d", mine);
			}
			/* No set smaller than the rule passes. */
			if (theirs && count_people(names, n) < least_people()) {
				show(names, n);
				fail_msg("too few people");
			}
		}
		mg_policy_free(p);
	}
	assert_true(met > cases / 50);
	print_message("# SEED=%llu: %lu policies (%lu refused), %lu cases, "
		      "%lu of them enough\n",
	    (unsigned long long)seed, policies, refused, done, met);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(enough_is_what_brute_force_finds),
	};

	seed = from_env("SEED", (unsigned long)time(NULL));
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
