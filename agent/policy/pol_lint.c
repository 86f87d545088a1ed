/* SPDX-License-Identifier: ISC */
/*
 * What loads, but cannot be meant: approvals that nobody can give, rules
 * that never apply, names that nobody has.
 *
 * Rules
 * 1. What must not load does so by what the files say alone, whatever day it
 *    is and whoever is in which group: a policy that loads today loads at
 *    the next start, with the directory down.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"
#include "pol.h"

#define NAMES_MAX 64 /* as many as a quorum looks at */

struct lint {
	struct pol_load *ld;
	const struct mg_policy *p;
	const struct mg_policy_lint *with; /* NULL: only what must not load */
	const struct pol_section *sec;
};

/* ---- places ---- */

/* The line of that key in the section at hand, or NULL. */
static const struct pol_line *
line_of(const struct lint *l, const char *key)
{
	uint32_t i;

	for (i = 0; i < l->sec->n; i++) {
		const struct pol_line *ln =
		    pol_line(&l->ld->src, l->sec->first + i);

		if (strcmp(ln->key, key) == 0)
			return ln;
	}
	return NULL;
}

static void say(const struct lint *l, bool is_warning, const char *key,
    const char *at, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* At the text at in the value of key; without either, at the header. */
static void
say(const struct lint *l, bool is_warning, const char *key, const char *at,
    const char *fmt, ...)
{
	const struct pol_line *ln = key == NULL ? NULL : line_of(l, key);
	char text[MG_DIAG_TEXT_MAX];
	const char *found;
	unsigned col;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (ln == NULL) {
		pol_diag(&l->ld->src, is_warning, l->sec->file, l->sec->line,
		    l->sec->name_col, "%s", text);
		return;
	}
	found = at == NULL ? NULL : strstr(ln->value, at);
	col =
	    ln->value_col + (found == NULL ? 0 : (unsigned)(found - ln->value));
	pol_diag(
	    &l->ld->src, is_warning, l->sec->file, ln->line, col, "%s", text);
}

static void
each(struct lint *l, const char *type, void (*fn)(struct lint *l))
{
	uint32_t i;

	for (i = 0; i < l->ld->src.sections.n && !l->ld->no_memory; i++) {
		l->sec = pol_section(&l->ld->src, i);
		if (strcmp(l->sec->type, type) == 0)
			fn(l);
	}
}

/* ---- approvals that nobody can give, ever ---- */

/* How many people the files say could hold the role at some time. */
static unsigned
ever(const struct mg_policy *p, uint32_t rank, unsigned enough)
{
	uint64_t set[POL_ROLE_WORDS] = {0};
	uint32_t seen[POL_COUNT_MAX + 1], i, j, k;
	unsigned n = 0;

	set[rank / 64] |= UINT64_C(1) << (rank % 64);
	for (i = rank + 1; i-- > 0;) {
		const struct pol_role *r = &p->role_at[i];

		if (!pol_bit(set, i))
			continue;
		if (r->groups.n > 0)
			return enough; /* Rule 1 */
		for (j = 0; j < r->roles.n; j++)
			set[r->roles.v[j] / 64] |= UINT64_C(1)
						   << (r->roles.v[j] % 64);
		for (j = 0; j < r->users.n && n < enough; j++) {
			for (k = 0; k < n && seen[k] != r->users.v[j];)
				k++;
			if (k == n && !pol_user(p, r->users.v[j])->is_service)
				seen[n++] = r->users.v[j];
		}
	}
	return n;
}

/* Some way whose every role has enough people; else names the role. */
static bool
is_reachable(const struct mg_policy *p, const struct pol_approve *a,
    const struct pol_need **lackp)
{
	uint32_t i, j;

	for (i = 0; i < a->nways; i++) {
		for (j = 0; j < a->way[i].n; j++)
			if (ever(p, a->way[i].need[j].role,
				a->way[i].need[j].count) <
			    a->way[i].need[j].count)
				break;
		if (j == a->way[i].n)
			return true;
		*lackp = &a->way[i].need[j];
	}
	return false;
}

/* ---- approvals that nobody can give today ---- */

/* Whether who holds the role depends on a group that is not known here. */
static bool
is_unknown(const struct lint *l, uint32_t rank)
{
	uint64_t set[POL_ROLE_WORDS] = {0};
	uint32_t i, j;

	set[rank / 64] |= UINT64_C(1) << (rank % 64);
	for (i = rank + 1; i-- > 0;) {
		const struct pol_role *r = &l->p->role_at[i];

		if (!pol_bit(set, i))
			continue;
		for (j = 0; j < r->groups.n; j++)
			if (!l->with->has_group(
				l->with->arg, l->p->groups.v[r->groups.v[j]].s))
				return true;
		for (j = 0; j < r->roles.n; j++)
			set[r->roles.v[j] / 64] |= UINT64_C(1)
						   << (r->roles.v[j] % 64);
	}
	return false;
}

/* People who could fill places, at least as many as there are places. */
struct names {
	const char *v[NAMES_MAX];
	size_t n;
	bool is_cut;
};

static void
add_holders(
    const struct lint *l, const char *role, size_t want, struct names *to)
{
	const char *out[NAMES_MAX];
	size_t n, i, k, taken = 0;

	n = mg_policy_role_members(
	    l->p, l->with->people, role, l->with->now_ms, out, NAMES_MAX);
	for (i = 0; i < n && taken < want; i++) {
		if (mg_policy_is_service(l->p, out[i]))
			continue;
		taken++;
		for (k = 0; k < to->n && strcmp(to->v[k], out[i]) != 0;)
			k++;
		if (k < to->n)
			continue;
		to->is_cut = to->is_cut || to->n == NAMES_MAX;
		if (to->n < NAMES_MAX)
			to->v[to->n++] = out[i];
	}
}

/* The verdict of that demand alone. */
static bool
verdict_of(const struct lint *l, const struct pol_rule *r, struct mg_demand *d,
    struct mg_verdict *v)
{
	struct pol_rule rule = {.effect = POL_ALLOW,
	    .name = r->name,
	    .where = r->where,
	    .ops = r->ops,
	    .demand = d};
	const struct pol_rule *rules[1] = {&rule};
	struct mg_ask ask = {.user = "",
	    .people = l->with->people,
	    .operation = "",
	    .model = "",
	    .version = "",
	    .host = "",
	    .from = "",
	    .login_key = "",
	    .now_ms = l->with->now_ms};
	struct pol_facts f;

	*d = *r->demand;
	d->nexcluded = 0; /* who did what is not known here */
	pol_facts_init(&f, l->p, &ask);
	f.is_survey = true;
	pol_decide_among(&f, r->ops->v[0], rules, 1, v);
	return v->kind != MG_VERDICT_DENY;
}

/* Whether all of them together are enough when requester asks. */
static bool
suffice(const struct lint *l, const struct mg_verdict *v,
    const struct names *names, const char *requester)
{
	const char *all[NAMES_MAX];
	struct mg_quorum q;
	size_t n = 0, i;

	/* Once for each stage, so that their order does not matter. */
	while (n + names->n <= NAMES_MAX && n < POL_STAGES_MAX * names->n)
		for (i = 0; i < names->n; i++)
			all[n++] = names->v[i];
	mg_policy_quorum(
	    l->p, v, l->with->people, requester, all, n, l->with->now_ms, &q);
	return q.satisfied;
}

static bool
has_role_and_name(
    const struct lint *l, const struct pol_rule *r, const char *user)
{
	struct mg_ask ask = {.user = user,
	    .people = l->with->people,
	    .operation = "",
	    .model = "",
	    .version = "",
	    .host = "",
	    .from = "",
	    .login_key = "",
	    .now_ms = l->with->now_ms};
	struct pol_facts f;

	pol_facts_init(&f, l->p, &ask);
	f.open = ~(unsigned)(POL_COND_USER | POL_COND_ROLE);
	f.is_survey = f.assume_all = true;
	return pol_match(&f, r, false) == 0;
}

/* An approver who may ask, too, and then is missing. */
static void
lint_requesters(struct lint *l, const struct pol_rule *r,
    const struct mg_verdict *v, const struct names *names)
{
	size_t i;

	for (i = 0; i < names->n; i++) {
		if (!has_role_and_name(l, r, names->v[i]) ||
		    suffice(l, v, names, names->v[i]))
			continue;
		say(l, true, "approve", NULL,
		    "when %s asks, too few are left who can approve",
		    names->v[i]);
		return;
	}
}

static void
lint_today(struct lint *l, const struct pol_rule *r)
{
	struct names names = {.n = 0};
	struct mg_verdict v;
	struct mg_demand d;
	size_t i;

	if (!verdict_of(l, r, &d, &v))
		return;
	for (i = 0; i < v.nslots; i++)
		if (is_unknown(l, pol_role_rank(l->p, v.slots[i].role,
				      strlen(v.slots[i].role))))
			return;
	for (i = 0; i < v.nslots; i++)
		add_holders(l, v.slots[i].role,
		    (size_t)v.slots[i].count * v.nslots + 8, &names);
	if (names.is_cut || names.n * POL_STAGES_MAX > NAMES_MAX)
		return; /* more than enough people */
	if (!suffice(l, &v, &names, "")) {
		for (i = 0; i < v.nslots; i++) {
			struct names one = {.n = 0};

			add_holders(l, v.slots[i].role, 1, &one);
			if (one.n == 0)
				break;
		}
		say(l, false, "approve", i < v.nslots ? v.slots[i].role : NULL,
		    i < v.nslots
			? "nobody holds '%s' today: this cannot be approved"
			: "today's people are too few to approve this%.0s",
		    i < v.nslots ? v.slots[i].role : "");
		return;
	}
	if (r->effect == POL_ALLOW)
		lint_requesters(l, r, &v, &names);
}

/* The same demand of the same people is looked at once. */
static bool
is_known(struct pol_map *known, struct pol_arena *mem, const struct pol_rule *r)
{
	const void *key[3] = {r->demand, r->role, r->user};
	uint32_t n = known->n;

	return pol_map_add(known, mem, (const char *)key, sizeof(key)) != n;
}

static void
lint_approvals(struct lint *l)
{
	const struct pol_need *lack = NULL;
	struct pol_map known = {0};
	uint32_t i;

	for (i = 0; i < l->p->rules.n; i++) {
		const struct pol_rule *r = pol_rule(l->p, i);

		if (r->demand == NULL || r->demand->approve == NULL ||
		    is_known(&known, &l->ld->src.mem, r))
			continue;
		l->sec = pol_section(&l->ld->src, r->section);
		if (!is_reachable(l->p, r->demand->approve, &lack) &&
		    lack != NULL)
			say(l, false, "approve", l->p->role_at[lack->role].name,
			    "nobody can ever reach this: '%s' has fewer than "
			    "%u people",
			    l->p->role_at[lack->role].name, lack->count);
		else if (l->with != NULL)
			lint_today(l, r);
	}
	pol_map_fini(&known);
}

/* ---- rules that never apply ---- */

static bool
has_term(const uint32_t *item, uint32_t term)
{
	uint32_t n = item[0] & ~POL_SEL_NOT, i;

	for (i = 1; i <= n; i++)
		if (item[i] == term)
			return true;
	return false;
}

/* Whether whatever fits the item is excluded by the list it stands in. */
static bool
is_excluded(const struct pol_sel *sel, const uint32_t *item)
{
	uint32_t i, j, n;

	for (i = 0; i < sel->nwords; i += n + 1) {
		n = sel->w[i] & ~POL_SEL_NOT;
		if ((sel->w[i] & POL_SEL_NOT) == 0)
			continue;
		for (j = 1; j <= n && has_term(item, sel->w[i + j]);)
			j++;
		if (j > n)
			return true;
	}
	return false;
}

static void
lint_excluded(struct lint *l, const char *key, const struct pol_sel *sel)
{
	uint32_t i;

	if (sel == NULL || sel->npos == 0)
		return;
	for (i = 0; i < sel->nwords; i += 1 + (sel->w[i] & ~POL_SEL_NOT))
		if ((sel->w[i] & POL_SEL_NOT) == 0 &&
		    !is_excluded(sel, &sel->w[i]))
			return;
	say(l, true, key, NULL,
	    "the rule never applies: all of this is excluded again");
}

/* Attributes that rules ask for and nobody, or no model, has. */
static void
lint_terms(struct lint *l, const char *key, const struct pol_sel *sel,
    const struct pol_map *atoms, const bool *given, const char *what)
{
	uint32_t i, j, n;

	for (i = 0; sel != NULL && i < sel->nwords; i += n + 1) {
		n = sel->w[i] & ~POL_SEL_NOT;
		for (j = 1; j <= n; j++) {
			const char *s = atoms->v[sel->w[i + j]].s;

			if (strchr(s, ':') != NULL && !given[sel->w[i + j]])
				say(l, true, key, s, "no %s has '%s'", what, s);
		}
	}
}

static bool
is_over(const struct pol_window *w, int64_t now_ms)
{
	int64_t end = w->end_ms;

	/* A day more than any zone is away. */
	if (w->last_day < INT64_MAX / 86400000 - 2)
		end = (w->last_day + 2) * 86400000;
	return end <= now_ms;
}

/* Whether its dates hold none of its days of the week. */
static bool
has_no_day(const struct pol_window *w)
{
	int64_t day;

	if (w->first_day == INT64_MIN || w->last_day == INT64_MAX ||
	    w->last_day - w->first_day >= 7)
		return false;
	for (day = w->first_day; day <= w->last_day; day++)
		/* 1970-01-01 was a Thursday. */
		if (((w->days >> ((day % 7 + 7 + 3) % 7)) & 1) != 0)
			return false;
	return true;
}

static void
lint_time(struct lint *l, const struct pol_times *t)
{
	bool over = true, none = true;
	uint32_t i;

	if (t == NULL || t->npos == 0)
		return;
	for (i = 0; i < t->n; i++) {
		if (t->v[i].neg)
			continue;
		over = over && is_over(&t->v[i], l->with->now_ms);
		none = none && has_no_day(&t->v[i]);
	}
	if (none)
		say(l, true, "time", NULL,
		    "the rule never applies: these days are not in these "
		    "dates");
	else if (over)
		say(l, true, "time", NULL,
		    "the rule never applies again: this time is over");
}

static bool *
model_atoms_given(const struct mg_policy *p)
{
	bool *given = calloc(p->models.atoms.n + 1U, 1);
	uint32_t i, j, k;

	for (i = 0; given != NULL && i < p->models.sections.n; i++) {
		const struct pol_model *m = pol_model(p, i);

		for (j = 0; j < m->nattrs; j++)
			for (k = 0; k < m->attrs[j].natoms; k++)
				given[m->attrs[j].atoms[k]] = true;
	}
	return given;
}

static bool *
user_atoms_given(const struct mg_policy *p)
{
	bool *given = calloc(p->user_atoms.n + 1U, 1);
	uint32_t i, j;

	for (i = 0; given != NULL && i < p->users.n; i++)
		for (j = 0; j < pol_user(p, i)->natoms; j++)
			given[pol_user(p, i)->atoms[j]] = true;
	return given;
}

/* A condition on a model that who asks need not name. */
static void
lint_unnamed(struct lint *l, const struct pol_rule *r)
{
	const char *key = r->model != NULL ? "model" : "version";
	uint32_t i;

	if (r->effect == POL_ALLOW || (r->model == NULL && r->version == NULL))
		return;
	for (i = 0; i < r->ops->n; i++) {
		const struct pol_op *op = pol_op(l->p, r->ops->v[i]);

		if (op->kind != POL_OP_MODEL || op->def.takes_model)
			continue;
		say(l, true, key, NULL,
		    "'%s' takes no {model}: who asks for none is not concerned",
		    op->def.name);
		return;
	}
}

static void
lint_rules(struct lint *l)
{
	bool *models = model_atoms_given(l->p), *users = user_atoms_given(l->p);
	uint32_t i;

	l->ld->no_memory = l->ld->no_memory || models == NULL || users == NULL;
	for (i = 0; i < l->p->rules.n && !l->ld->no_memory; i++) {
		const struct pol_rule *r = pol_rule(l->p, i);

		l->sec = pol_section(&l->ld->src, r->section);
		if (strcmp(l->sec->type, "rule") != 0)
			continue;
		lint_excluded(l, "role", r->role);
		lint_excluded(l, "user", r->user);
		lint_excluded(l, "model", r->model);
		lint_excluded(l, "host", r->host);
		lint_excluded(l, "version", r->version);
		lint_terms(
		    l, "model", r->model, &l->p->models.atoms, models, "model");
		lint_terms(
		    l, "user", r->user, &l->p->user_atoms, users, "user");
		lint_time(l, r->time);
		lint_unnamed(l, r);
	}
	free(models);
	free(users);
}

/* ---- rules that a denial swallows ---- */

/* A denying rule, found by operation and whom it is about. */
struct denial {
	uint64_t key;
	const struct pol_rule *r;
};

static uint64_t
denial_key(uint32_t op, const struct pol_sel *role, const struct pol_sel *user)
{
	return pol_mix64((role == NULL ? 0 : role->hash) +
			 pol_mix64((user == NULL ? 0 : user->hash) +
				   pol_mix64(op + UINT64_C(1))));
}

static int
by_key(const void *a, const void *b)
{
	const struct denial *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->r > y->r) - (x->r < y->r);
}

static bool
list_denials(const struct mg_policy *p, struct pol_vec *v)
{
	struct denial *d;
	uint32_t i, j;

	for (i = 0; i < p->rules.n; i++) {
		const struct pol_rule *r = pol_rule(p, i);

		for (j = 0; r->effect == POL_DENY && j < r->ops->n; j++) {
			if ((d = pol_vec_add(v, sizeof(*d))) == NULL)
				return false;
			d->key = denial_key(r->ops->v[j], r->role, r->user);
			d->r = r;
		}
	}
	if (v->n > 1)
		qsort(v->v, v->n, sizeof(struct denial), by_key);
	return true;
}

/* The first of them with the key, or the end. */
static uint32_t
first_denial(const struct pol_vec *v, uint64_t key)
{
	const struct denial *d = v->v;
	uint32_t low = 0, high = v->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (d[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

#define CONDS_ELSE                                                             \
	(((1U << POL_CONDS) - 1) & ~(unsigned)(POL_COND_USER | POL_COND_ROLE))

/* A rule that denies whatever r allows of the operation. */
static const struct pol_rule *
swallows(const struct lint *l, const struct pol_vec *v,
    const struct pol_rule *r, uint32_t op)
{
	const struct denial *d = v->v;
	uint32_t i, n;
	uint64_t key;

	for (n = 0; n < 4; n++) {
		if (((n & 1) != 0 && r->role == NULL) ||
		    ((n & 2) != 0 && r->user == NULL))
			continue;
		key = denial_key(op, (n & 1) != 0 ? r->role : NULL,
		    (n & 2) != 0 ? r->user : NULL);
		for (i = first_denial(v, key); i < v->n && d[i].key == key; i++)
			if (pol_conds_imply(l->p, r, l->p, d[i].r, CONDS_ELSE))
				return d[i].r;
	}
	return NULL;
}

static void
lint_swallowed(struct lint *l)
{
	const struct pol_rule *by = NULL;
	struct pol_vec v = {0};
	uint32_t i, j;

	if (!list_denials(l->p, &v))
		l->ld->no_memory = true;
	for (i = 0; v.n > 0 && i < l->p->rules.n; i++) {
		const struct pol_rule *r = pol_rule(l->p, i);

		if (r->effect != POL_ALLOW)
			continue;
		for (j = 0; j < r->ops->n; j++)
			if ((by = swallows(l, &v, r, r->ops->v[j])) == NULL)
				break;
		l->sec = pol_section(&l->ld->src, r->section);
		if (by != NULL && j == r->ops->n &&
		    strcmp(l->sec->type, "rule") == 0)
			say(l, true, NULL, NULL,
			    "rule '%s' never counts: '%s' (%s) denies all of "
			    "it",
			    r->name, by->name, by->where);
	}
	pol_vec_fini(&v);
}

/* ---- names ---- */

static void
lint_case(struct lint *l)
{
	struct pol_map folded = {0};
	const struct pol_section **first;
	char text[2 * MG_INI_LINE_MAX + 2];
	uint32_t i, id, before;
	size_t n, k;

	first = calloc(l->ld->src.sections.n + 1U, sizeof(*first));
	l->ld->no_memory = l->ld->no_memory || first == NULL;
	for (i = 0; i < l->ld->src.sections.n && !l->ld->no_memory; i++) {
		l->sec = pol_section(&l->ld->src, i);
		n = (size_t)snprintf(
		    text, sizeof(text), "%s %s", l->sec->type, l->sec->name);
		for (k = 0; k < n; k++)
			text[k] = (char)tolower((unsigned char)text[k]);
		before = folded.n;
		id = pol_map_add(&folded, &l->ld->src.mem, text, n);
		if (id == POL_NONE) {
			l->ld->no_memory = true;
		} else if (id == before) {
			first[id] = l->sec;
		} else {
			say(l, true, NULL, NULL,
			    "[%s %s] (line %u of %s) differs by case only",
			    first[id]->type, first[id]->name, first[id]->line,
			    pol_file(&l->ld->src, first[id]->file)->name);
		}
	}
	free(first);
	pol_map_fini(&folded);
}

/* A group's name may hold blanks; dates end it. */
static void
cut_dates(char *name)
{
	static const char *const words[] = {" from ", " until "};
	char *at;
	size_t i;

	for (i = 0; i < 2; i++)
		if ((at = strstr(name, words[i])) != NULL)
			*at = '\0';
}

/* Takes prefix off the front of *sp. */
static bool
skip(const char **sp, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*sp, prefix, n) != 0)
		return false;
	*sp += n;
	return true;
}

/* "alice", "@group", "!x until 2027-01-01": whether this machine has it. */
static void
lint_member(struct lint *l, const struct pol_line *ln, const char *s)
{
	const struct mg_policy_lint *with = l->with;
	char name[MG_INI_LINE_MAX + 1];
	bool is_group, is_known;
	size_t n;

	(void)skip(&s, "!");
	is_group = skip(&s, "@");
	if (!is_group && skip(&s, "role:"))
		return;
	is_known = !is_group && skip(&s, "user:");
	n = strcspn(s, is_group ? "," : " \t,");
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	snprintf(name, sizeof(name), "%.*s", (int)n, s);
	if (is_group)
		cut_dates(name);
	else if (!is_known && pol_map_find(&l->p->roles, name, n) != POL_NONE)
		return;
	if (is_group ? with->has_group(with->arg, name)
		     : with->has_user(with->arg, name))
		return;
	pol_diag(&l->ld->src, true, l->sec->file, ln->line,
	    ln->value_col + (unsigned)(s - ln->value),
	    is_group ? "this machine knows no group '%s'"
		     : "this machine knows no user '%s'",
	    name);
}

static void
lint_members(struct lint *l)
{
	const struct pol_line *ln;
	const char *s;
	uint32_t i;
	size_t n;

	for (i = 0; i < l->sec->n; i++) {
		ln = pol_line(&l->ld->src, l->sec->first + i);
		if (strcmp(ln->key, "description") == 0 ||
		    strcmp(ln->key, "kind") == 0)
			continue;
		for (s = ln->value;; s += n + 1) {
			s += strspn(s, " \t");
			n = strcspn(s, ",");
			lint_member(l, ln, s);
			if (s[n] == '\0')
				break;
		}
	}
}

static void
lint_role(struct lint *l)
{
	const char *name = l->sec->name, *out[1];

	if (mg_policy_role_members(
		l->p, l->with->people, name, l->with->now_ms, out, 1) == 0 &&
	    !is_unknown(l, pol_role_rank(l->p, name, strlen(name))))
		say(l, true, NULL, NULL, "nobody holds role '%s' today", name);
	if (!l->with->is_elsewhere)
		lint_members(l);
}

static void
lint_user(struct lint *l)
{
	if (!l->with->has_user(l->with->arg, l->sec->name))
		say(l, true, NULL, NULL, "this machine knows no user '%s'",
		    l->sec->name);
}

/* ---- commands ---- */

static void
lint_operation(struct lint *l)
{
	const struct mg_file_rule root = {.owner = 0};
	const struct mg_operation *op = mg_policy_operation(l->p, l->sec->name);
	char *real, why[256];
	int fd = -1;

	if (op == NULL || op->argc == 0)
		return;
	if (!l->with->has_user(l->with->arg, op->run_as))
		say(l, true, "run-as", NULL, "this machine knows no user '%s'",
		    op->run_as);
	if ((real = realpath(op->argv[0], NULL)) == NULL) {
		say(l, true, "command", NULL, "'%s' is not there", op->argv[0]);
		return;
	}
	if (access(real, X_OK) != 0)
		say(l, true, "command", NULL, "'%s' cannot be executed",
		    op->argv[0]);
	else if (mg_file_open(real, O_PATH, &root, &fd, why, sizeof(why)) !=
		 MG_ERR_OK)
		say(l, true, "command", NULL, "%s", why);
	if (fd != -1)
		close(fd);
	free(real);
}

void
pol_lint(struct pol_load *ld, const struct mg_policy_lint *with)
{
	struct lint l = {.ld = ld, .p = ld->p, .with = with};

	lint_approvals(&l);
	if (with == NULL)
		return;
	lint_rules(&l);
	lint_swallowed(&l);
	lint_case(&l);
	each(&l, "role", lint_role);
	if (with->is_elsewhere)
		return;
	each(&l, "permission", lint_members);
	each(&l, "user", lint_user);
	each(&l, "operation", lint_operation);
}
