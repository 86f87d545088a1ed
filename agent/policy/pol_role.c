/* SPDX-License-Identifier: ISC */
/*
 * Who is what: roles by user, group and other roles, with exclusions.
 *
 * Roles are numbered by rank, so that a role comes after every role that it
 * includes or excludes; then one pass in the order of rank decides them all.
 *
 * Rules
 * 1. Who cannot be asked about (groups unknown) holds a role surely or
 *    possibly. Rights need "surely", prohibitions go by "possibly": a
 *    directory that is down gives nobody more.
 * 2. An exclusion beats every inclusion of the same role.
 */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

/* ---- reading ---- */

void
pol_role_declare(struct pol_load *ld)
{
	const char *name = ld->sec->name;
	uint32_t n = ld->p->roles.n;

	if (!mg_name_is_valid(name))
		pol_err_head(ld, "role name '%s' %s", name, mg_name_why(name));
	else if (n == POL_ROLES_MAX)
		pol_err_head(ld, "more than %u roles", POL_ROLES_MAX);
	else if (pol_map_add(&ld->p->roles, &ld->p->mem, name, strlen(name)) ==
		 POL_NONE)
		(void)pol_oom(ld);
}

static bool
is_group_name(const char *s, size_t n)
{
	return n > 0 && n <= MG_NAME_MAX && memchr(s, '!', n) == NULL &&
	       memchr(s, '@', n) == NULL && memchr(s, '&', n) == NULL &&
	       memchr(s, ':', n) == NULL;
}

static bool
take_prefix(const char **sp, size_t *np, size_t *offp, const char *prefix)
{
	size_t n = strlen(prefix);

	if (*np < n || memcmp(*sp, prefix, n) != 0)
		return false;
	*sp += n;
	*np -= n;
	*offp += n;
	return true;
}

/* Sets what the member is; a bare name is a role where one is defined. */
static bool
entry_target(struct pol_load *ld, struct pol_entry *e, const char *s, size_t n,
    size_t off)
{
	struct mg_policy *p = ld->p;
	char meant[POL_MEANT];

	if (take_prefix(&s, &n, &off, "@")) {
		e->kind = POL_GROUP;
		if (!is_group_name(s, n)) {
			pol_err(
			    ld, off, "'%.*s' is not a group's name", (int)n, s);
			return false;
		}
		e->other = pol_map_add(&p->groups, &p->mem, s, n);
	} else if (take_prefix(&s, &n, &off, "role:") ||
		   pol_map_find(&p->roles, s, n) != POL_NONE) {
		e->kind = POL_ROLE;
		e->other = pol_map_find(&p->roles, s, n);
		if (e->other == POL_NONE) {
			pol_err(ld, off, "no role '%.*s' is defined%s", (int)n,
			    s, pol_map_meant(&p->roles, s, n, meant));
			return false;
		}
	} else {
		(void)take_prefix(&s, &n, &off, "user:");
		e->kind = POL_USER;
		if (!pol_name(ld, "user", s, n, off))
			return false;
		e->other = pol_map_add(&p->users, &p->mem, s, n);
	}
	if (e->other == POL_NONE)
		(void)pol_oom(ld);
	return e->other != POL_NONE;
}

/*
 * Cuts "WORD DATE" off the end of s[0..*np); false when it does not end so.
 */
static bool
cut_date(const char *s, size_t *np, const char *word, size_t *date_offp,
    size_t *date_np)
{
	size_t n = *np, at = n, len = strlen(word);

	while (at > 0 && s[at - 1] != ' ' && s[at - 1] != '\t')
		at--;
	*date_offp = at;
	*date_np = n - at;
	while (at > 0 && (s[at - 1] == ' ' || s[at - 1] == '\t'))
		at--;
	if (at <= len || memcmp(s + at - len, word, len) != 0 ||
	    (s[at - len - 1] != ' ' && s[at - len - 1] != '\t'))
		return false;
	at -= len;
	while (at > 0 && (s[at - 1] == ' ' || s[at - 1] == '\t'))
		at--;
	*np = at;
	return true;
}

/* "alice from 2026-01-01 until 2026-12-31" */
static bool
member_dates(struct pol_load *ld, struct pol_member *m, const char *s,
    size_t *np, size_t off)
{
	size_t at, n;

	m->from_ms = INT64_MIN;
	m->until_ms = INT64_MAX;
	if (cut_date(s, np, "until", &at, &n) &&
	    !pol_date_parse(
		ld, s + at, n, off + at, true, m->neg, &m->until_ms))
		return false;
	if (cut_date(s, np, "from", &at, &n) &&
	    !pol_date_parse(
		ld, s + at, n, off + at, false, m->neg, &m->from_ms))
		return false;
	if (m->from_ms < m->until_ms)
		return true;
	pol_err(ld, off, "it ends before it begins");
	return false;
}

static void
put_member(struct pol_load *ld, const struct pol_iter *it)
{
	struct pol_entry e = {.role = ld->role}, *slot;
	const char *s = it->s;
	size_t n = it->len, off = it->off;

	e.m.neg = take_prefix(&s, &n, &off, "!");
	if (!member_dates(ld, &e.m, s, &n, off) ||
	    !entry_target(ld, &e, s, n, off))
		return;
	if ((slot = pol_vec_add(&ld->members, sizeof(*slot))) == NULL)
		(void)pol_oom(ld);
	else
		*slot = e;
}

void
pol_members_parse(struct pol_load *ld, uint32_t role)
{
	struct pol_iter it;

	ld->role = role;
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it))
		put_member(ld, &it);
}

static void
set_members(struct pol_load *ld, void *obj)
{
	(void)obj;
	pol_members_parse(ld, ld->role);
}

static void
set_role_kind(struct pol_load *ld, void *obj)
{
	if (strcmp(ld->ln->value, "approve-only") == 0)
		((struct pol_role *)obj)->is_approve_only = true;
	else
		pol_err(ld, 0, "'%s' is not 'approve-only'", ld->ln->value);
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key role_keys[] = {
    {"members", set_members},
    {"kind", set_role_kind},
    {"description", set_description},
    {NULL, NULL},
};

static void
parse_role(struct pol_load *ld)
{
	uint32_t before = ld->members.n;
	size_t errors = ld->src.ds->errors;

	ld->role =
	    pol_map_find(&ld->p->roles, ld->sec->name, strlen(ld->sec->name));
	if (ld->role == POL_NONE)
		return;
	ld->p->role_at[ld->role].where = pol_where(ld);
	pol_keys(ld, role_keys, &ld->p->role_at[ld->role], NULL);
	if (ld->members.n == before && ld->src.ds->errors == errors &&
	    !ld->no_memory)
		pol_err_head(ld, "role '%s' has no members", ld->sec->name);
}

/* ---- order ---- */

static struct pol_entry *
entry(const struct pol_load *ld, uint32_t i)
{
	return (struct pol_entry *)ld->members.v + i;
}

static void
say_cycle(struct pol_load *ld, uint32_t role)
{
	uint32_t i;

	for (i = 0; i + 1 < ld->src.sections.n; i++) {
		ld->sec = pol_section(&ld->src, i);
		if (strcmp(ld->sec->type, "role") == 0 &&
		    strcmp(ld->sec->name, ld->p->roles.v[role].s) == 0)
			break;
	}
	pol_err_head(ld, "role '%s' is made of itself, by way of its members",
	    ld->p->roles.v[role].s);
}

/* Edges from a role to those that name it, as lists by counting. */
struct edges {
	uint32_t *first; /* n + 1 */
	uint32_t *to;	 /* entries */
	uint32_t *open;	 /* roles that each still waits for */
	uint32_t *queue;
};

static bool
edges_init(struct edges *g, const struct pol_load *ld, uint32_t n)
{
	uint32_t i;

	g->first = calloc((size_t)n + 2, sizeof(uint32_t));
	g->to = calloc((size_t)ld->members.n + 1, sizeof(uint32_t));
	g->open = calloc((size_t)n + 1, sizeof(uint32_t));
	g->queue = calloc((size_t)n + 1, sizeof(uint32_t));
	if (g->first == NULL || g->to == NULL || g->open == NULL ||
	    g->queue == NULL)
		return false;
	for (i = 0; i < ld->members.n; i++)
		if (entry(ld, i)->kind == POL_ROLE)
			g->first[entry(ld, i)->other + 2]++;
	for (i = 2; i < n + 2; i++)
		g->first[i] += g->first[i - 1];
	for (i = 0; i < ld->members.n; i++) {
		const struct pol_entry *e = entry(ld, i);

		if (e->kind != POL_ROLE)
			continue;
		g->to[g->first[e->other + 1]++] = i;
		g->open[e->role]++;
	}
	return true;
}

static void
edges_fini(struct edges *g)
{
	free(g->first);
	free(g->to);
	free(g->open);
	free(g->queue);
}

/* Whom role takes in by e may only approve, perhaps by way of others. */
static void
inherit(struct pol_load *ld, uint32_t role, const struct pol_entry *e)
{
	const struct pol_role *from = &ld->p->role_at[role];

	if (!e->m.neg && (from->is_approve_only || from->approver != NULL))
		ld->p->role_at[e->role].approver = from->is_approve_only
						       ? ld->p->roles.v[role].s
						       : from->approver;
}

/* Gives every role its rank. */
static void
rank_roles(struct pol_load *ld)
{
	uint32_t n = ld->p->roles.n, done = 0, head, i, j;
	const struct pol_entry *e;
	struct edges g = {0};

	if (!edges_init(&g, ld, n)) {
		ld->no_memory = true;
		goto out;
	}
	for (i = 0; i < n; i++)
		if (g.open[i] == 0)
			g.queue[done++] = i;
	for (head = 0; head < done; head++) {
		i = g.queue[head];
		ld->p->role_rank[i] = head;
		for (j = g.first[i]; j < g.first[i + 1]; j++) {
			e = entry(ld, g.to[j]);
			inherit(ld, i, e);
			if (--g.open[e->role] == 0)
				g.queue[done++] = e->role;
		}
	}
	for (i = 0; i < n; i++) {
		if (g.open[i] == 0)
			continue;
		ld->p->role_rank[i] = done++;
		if (ld->src.ds->errors < MG_DIAG_MAX)
			say_cycle(ld, i);
	}
out:
	edges_fini(&g);
}

/* ---- the inverse: what a user, group or role is a member of ---- */

/* Which list an entry belongs to: by the number of its target. */
static struct pol_members *
members_of_target(struct pol_load *ld, const struct pol_entry *e)
{
	struct mg_policy *p = ld->p;

	if (e->kind == POL_GROUP)
		return (struct pol_members *)p->group_at.v + e->other;
	if (e->kind == POL_ROLE)
		return &p->role_at[p->role_rank[e->other]].in;
	return &pol_user(p, e->other)->in;
}

static struct pol_ids *
ids_of_role(struct pol_load *ld, const struct pol_entry *e)
{
	struct pol_role *role = &ld->p->role_at[ld->p->role_rank[e->role]];

	if (e->kind == POL_GROUP)
		return &role->groups;
	return e->kind == POL_ROLE ? &role->roles : &role->users;
}

/* Counts first, then allocates at the first use, then fills. */
static void
file_entry(struct pol_load *ld, const struct pol_entry *e)
{
	struct mg_policy *p = ld->p;
	struct pol_members *in = members_of_target(ld, e);
	struct pol_ids *ids = ids_of_role(ld, e);

	if (in->v == NULL)
		in->v = pol_alloc(&p->mem, in->n * sizeof(*in->v));
	if (in->v == NULL) {
		ld->no_memory = true;
		return;
	}
	in->v[--in->n] = e->m;
	in->v[in->n].role = p->role_rank[e->role];
	if (e->m.neg)
		return;
	if (ids->v == NULL)
		ids->v = pol_alloc(&p->mem, ids->n * sizeof(*ids->v));
	if (ids->v == NULL)
		ld->no_memory = true;
	else
		ids->v[--ids->n] =
		    e->kind == POL_ROLE ? p->role_rank[e->other] : e->other;
}

static void
count_entries(struct pol_load *ld)
{
	uint32_t i;

	for (i = 0; i < ld->members.n; i++) {
		const struct pol_entry *e = entry(ld, i);

		members_of_target(ld, e)->n++;
		if (!e->m.neg)
			ids_of_role(ld, e)->n++;
	}
}

/* Filling counted down to 0; count again. */
static void
file_entries(struct pol_load *ld)
{
	uint32_t i;

	count_entries(ld);
	for (i = 0; i < ld->members.n && !ld->no_memory; i++)
		file_entry(ld, entry(ld, i));
	if (!ld->no_memory)
		count_entries(ld);
}

/* Which roles depend on groups, and which name them. */
static void
mark_groups(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;
	uint32_t i, j;

	p->grouped.v = pol_alloc(&p->mem, (p->roles.n + 1) * sizeof(uint32_t));
	if (p->grouped.v == NULL) {
		ld->no_memory = true;
		return;
	}
	for (i = 0; i < ld->members.n; i++) {
		const struct pol_entry *e = entry(ld, i);

		if (e->kind == POL_GROUP)
			p->role_at[p->role_rank[e->role]].asks_groups = true;
	}
	for (i = 0; i < p->roles.n; i++)
		if (p->role_at[i].asks_groups)
			p->grouped.v[p->grouped.n++] = i;
	for (i = 0; i < p->roles.n; i++)
		for (j = 0; p->role_at[i].asks_groups && j < p->role_at[i].in.n;
		     j++)
			p->role_at[p->role_at[i].in.v[j].role].asks_groups =
			    true;
}

/* Role records move from the order of coming to the order of rank. */
static void
sort_roles(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;
	struct pol_role *sorted;
	uint32_t i, n = p->roles.n;

	sorted = pol_alloc(&p->mem, (n + 1) * sizeof(*sorted));
	if (sorted == NULL) {
		ld->no_memory = true;
		return;
	}
	for (i = 0; i < n; i++) {
		sorted[p->role_rank[i]] = p->role_at[i];
		sorted[p->role_rank[i]].name = p->roles.v[i].s;
	}
	p->role_at = sorted;
}

void
pol_roles_parse(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;
	uint32_t n = p->roles.n;

	p->role_at = pol_alloc(&p->mem, (n + 1) * sizeof(*p->role_at));
	p->role_rank = pol_alloc(&p->mem, (n + 1) * sizeof(*p->role_rank));
	if (p->role_at == NULL || p->role_rank == NULL) {
		ld->no_memory = true;
		return;
	}
	pol_each(ld, "role", parse_role);
	pol_each(ld, "permission", pol_perm_members);
	if (ld->no_memory)
		return;
	rank_roles(ld);
	if (!ld->no_memory)
		sort_roles(ld);
}

/* ---- users ---- */

static void
add_attr(struct pol_load *ld, uint32_t user, const char *key, const char *s,
    size_t n)
{
	char text[2 * MG_NAME_MAX + 2];
	struct pol_user_attr *a;
	size_t k = strlen(key);

	memcpy(text, key, k);
	text[k] = ':';
	memcpy(text + k + 1, s, n);
	if ((a = pol_vec_add(&ld->user_attrs, sizeof(*a))) == NULL) {
		ld->no_memory = true;
		return;
	}
	a->user = user;
	a->atom = pol_map_add(&ld->p->user_atoms, &ld->p->mem, text, k + 1 + n);
	if (a->atom == POL_NONE)
		ld->no_memory = true;
}

static void
set_kind(struct pol_load *ld, void *obj)
{
	const char *v = ld->ln->value;

	if (strcmp(v, "service") != 0 && strcmp(v, "person") != 0)
		pol_err(ld, 0, "'%s' is neither 'person' nor 'service'", v);
	else
		*(const char **)obj = v;
}

static const struct pol_key user_keys[] = {
    {"kind", set_kind},
    {"description", set_description},
    {NULL, NULL},
};

/* Attributes: the well-known ones, and whatever begins with "x-". */
static bool
set_user_attr(struct pol_load *ld, void *obj)
{
	static const char *const known[] = {"team", "department", "site"};
	const char *key = ld->ln->key;
	struct pol_iter it;
	bool ok = strncmp(key, "x-", 2) == 0 && mg_name_is_valid(key);
	size_t i;

	(void)obj;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ok = ok || strcmp(key, known[i]) == 0;
	if (!ok)
		return false;
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		if (it.n > 1 && strcmp(key, "team") == 0)
			pol_err(ld, it.off, "a person is in one team");
		else if (pol_name(ld, "value", it.s, it.len, it.off))
			add_attr(ld, ld->role, key, it.s, it.len);
	}
	return true;
}

void
pol_user_parse(struct pol_load *ld)
{
	const char *name = ld->sec->name, *kind = "person";

	if (!mg_name_is_valid(name)) {
		pol_err_head(ld, "user '%s' %s", name, mg_name_why(name));
		return;
	}
	ld->role = pol_map_add(&ld->p->users, &ld->p->mem, name, strlen(name));
	if (ld->role == POL_NONE) {
		ld->no_memory = true;
		return;
	}
	pol_keys(ld, user_keys, &kind, set_user_attr);
	add_attr(ld, ld->role, "kind", kind, strlen(kind));
}

/* Room for the atoms of each user: the name's, and the attributes'. */
static void
file_attrs(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;
	struct pol_user_attr *a = ld->user_attrs.v;
	struct pol_user *u;
	uint32_t i, service, person, *v;

	for (i = 0; i < ld->user_attrs.n; i++)
		pol_user(p, a[i].user)->natoms++;
	for (i = 0; i < p->users.n; i++) {
		u = pol_user(p, i);
		v = pol_alloc(&p->mem, (u->natoms + 2) * sizeof(*v));
		if (v == NULL) {
			ld->no_memory = true;
			return;
		}
		u->atoms = v;
		u->natoms = 0;
		u->team = POL_NONE;
		v[0] = pol_map_find(
		    &p->user_atoms, p->users.v[i].s, p->users.v[i].len);
		u->natoms = v[0] != POL_NONE;
	}
	service = pol_map_find(&p->user_atoms, "kind:service", 12);
	person = pol_map_find(&p->user_atoms, "kind:person", 11);
	for (i = 0; i < ld->user_attrs.n; i++) {
		u = pol_user(p, a[i].user);
		u->atoms[u->natoms++] = a[i].atom;
		u->is_service = u->is_service || a[i].atom == service;
		if (strncmp(p->user_atoms.v[a[i].atom].s, "team:", 5) == 0)
			u->team = a[i].atom;
		u->has_kind =
		    u->has_kind || a[i].atom == service || a[i].atom == person;
	}
	if (person == POL_NONE)
		return;
	for (i = 0; i < p->users.n; i++) {
		u = pol_user(p, i);
		if (!u->has_kind)
			u->atoms[u->natoms++] = person;
	}
	if ((v = pol_alloc(&p->mem, sizeof(*v))) == NULL) {
		ld->no_memory = true;
		return;
	}
	*v = person;
	p->nobody.atoms = v;
	p->nobody.natoms = 1;
}

static const char **
names_of(struct pol_load *ld, const struct pol_map *m)
{
	const char **v = pol_alloc(&ld->p->mem, (m->n + 1) * sizeof(*v));
	uint32_t i;

	if (v == NULL)
		return pol_oom(ld);
	for (i = 0; i < m->n; i++)
		v[i] = m->v[i].s;
	return v;
}

static void
fill_vec(struct pol_load *ld, struct pol_vec *vec, uint32_t n, size_t size)
{
	while (vec->n < n && !ld->no_memory)
		if (pol_vec_add(vec, size) == NULL)
			ld->no_memory = true;
}

/* Once everything that names users was read. */
void
pol_users_finish(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;

	fill_vec(ld, &p->user_at, p->users.n, sizeof(struct pol_user));
	fill_vec(ld, &p->group_at, p->groups.n, sizeof(struct pol_members));
	if (!ld->no_memory)
		file_entries(ld);
	if (!ld->no_memory)
		mark_groups(ld);
	if (!ld->no_memory)
		file_attrs(ld);
}

/* Lists of names for who asks. */
void
pol_names_finish(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;

	p->group_names = names_of(ld, &p->groups);
	p->user_names = names_of(ld, &p->users);
	p->file_names = names_of(ld, &p->files);
}

/* ---- terms of rules ---- */

uint32_t
pol_role_rank(const struct mg_policy *p, const char *s, size_t n)
{
	uint32_t i = pol_map_find(&p->roles, s, n);

	return i == POL_NONE ? POL_NONE : p->role_rank[i];
}

uint32_t
pol_role_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	uint32_t rank = pol_role_rank(ld->p, s, n);
	char meant[POL_MEANT];

	if (rank == POL_NONE)
		pol_err(ld, off, "no role '%.*s' is defined%s", (int)n, s,
		    pol_map_meant(&ld->p->roles, s, n, meant));
	return rank;
}

uint32_t
pol_user_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	struct mg_policy *p = ld->p;
	uint32_t atom;
	bool ok;

	if (memchr(s, ':', n) != NULL)
		ok = pol_label(ld, s, n, off);
	else
		ok = pol_name(ld, "user", s, n, off);
	if (!ok)
		return POL_NONE;
	if (memchr(s, ':', n) == NULL &&
	    pol_map_add(&p->users, &p->mem, s, n) == POL_NONE)
		ld->no_memory = true;
	atom = pol_map_add(&p->user_atoms, &p->mem, s, n);
	if (atom == POL_NONE)
		ld->no_memory = true;
	return atom;
}

/* ---- answers ---- */

/* What is known of a person's roles while they are worked out. */
struct state {
	uint64_t pos_sure[POL_ROLE_WORDS], pos_maybe[POL_ROLE_WORDS];
	uint64_t neg_sure[POL_ROLE_WORDS], neg_maybe[POL_ROLE_WORDS];
};

static void
set_bit(uint64_t *set, uint32_t i)
{
	set[i / 64] |= UINT64_C(1) << (i % 64);
}

static void
apply(struct state *st, const struct pol_members *in, int64_t now_ms,
    bool is_sure)
{
	uint32_t i;

	for (i = 0; i < in->n; i++) {
		const struct pol_member *m = &in->v[i];

		if (now_ms < m->from_ms || now_ms >= m->until_ms)
			continue;
		set_bit(m->neg ? st->neg_maybe : st->pos_maybe, m->role);
		if (is_sure)
			set_bit(m->neg ? st->neg_sure : st->pos_sure, m->role);
	}
}

static void
apply_groups(const struct mg_policy *p, struct state *st,
    const char *const *groups, size_t n, int64_t now_ms)
{
	uint32_t g;
	size_t i;

	for (i = 0; i < n; i++) {
		g = pol_map_find(&p->groups, groups[i], strlen(groups[i]));
		if (g != POL_NONE)
			apply(st, (struct pol_members *)p->group_at.v + g,
			    now_ms, true);
	}
}

/* Rule 1: whoever cannot be asked about may be in every group. */
static void
apply_unknown(const struct mg_policy *p, struct state *st, int64_t now_ms)
{
	uint32_t i;

	for (i = 0; i < p->groups.n; i++)
		apply(
		    st, (struct pol_members *)p->group_at.v + i, now_ms, false);
}

/* In the order of rank: what a role is made of is decided before it. */
static void
settle(const struct mg_policy *p, struct state *st, int64_t now_ms,
    struct pol_roles *out)
{
	uint32_t words = (p->roles.n + 63) / 64, w, i;
	uint64_t left, bit;

	for (w = 0; w < words; w++) {
		for (left = st->pos_maybe[w]; left != 0;
		     left = st->pos_maybe[w] & ~((bit << 1) - 1)) {
			i = w * 64 + (uint32_t)__builtin_ctzll(left);
			bit = left & -left;
			/* Rule 2 */
			if ((st->neg_sure[w] & bit) == 0)
				out->maybe[w] |= bit;
			if ((st->pos_sure[w] & ~st->neg_maybe[w] & bit) != 0)
				out->sure[w] |= bit;
			if ((out->maybe[w] & bit) != 0)
				apply(st, &p->role_at[i].in, now_ms,
				    (out->sure[w] & bit) != 0);
		}
	}
}

void
pol_roles_of(const struct mg_policy *p, const struct mg_people *people,
    const char *user, int64_t now_ms, struct pol_roles *out)
{
	size_t bytes = (p->roles.n + 63) / 64 * sizeof(uint64_t), n = 0;
	const char *const *groups = NULL;
	struct state st;
	uint32_t u;

	memset(out->sure, 0, bytes);
	memset(out->maybe, 0, bytes);
	memset(st.pos_sure, 0, bytes);
	memset(st.pos_maybe, 0, bytes);
	memset(st.neg_sure, 0, bytes);
	memset(st.neg_maybe, 0, bytes);
	u = pol_map_find(&p->users, user, strlen(user));
	if (u != POL_NONE)
		apply(&st, &pol_user(p, u)->in, now_ms, true);
	if (people != NULL && people->groups_of != NULL && p->groups.n > 0)
		groups = people->groups_of(people->arg, user, &n);
	if (groups != NULL)
		apply_groups(p, &st, groups, n, now_ms);
	else
		apply_unknown(p, &st, now_ms);
	settle(p, &st, now_ms, out);
}
