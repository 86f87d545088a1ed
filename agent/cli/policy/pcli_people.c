/* SPDX-License-Identifier: ISC */
/* Who is in which group: as the options say, and as this machine knows. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "pcli.h"

/* A user or a group whose answer is kept. */
struct known {
	const char *name;
	bool exists, asked, is_told;
	uid_t uid;
	char **v; /* groups of a user, members of a group */
	size_t n;
};

/* Names and what is known of each. */
struct table {
	struct pol_map names;
	struct pol_vec v; /* struct known */
};

/* The group that a user's passwd line names: it stands nowhere else. */
struct first {
	gid_t gid;
	const char *name;
};

struct pcli_people {
	struct mg_people view;
	struct pol_arena mem;
	struct table users, groups;
	bool only; /* what the options said */
	const char *in_group[2];
	struct pol_vec first; /* struct first, of everybody on this machine */
	bool has_first;
	/* For pcli_people_all(). */
	const char **all;
	size_t nall, cap;
};

static struct known *
find(struct pcli_people *pp, struct table *t, const char *name)
{
	struct known *k = pol_vec_add(&t->v, sizeof(*k));
	uint32_t i;

	if (k == NULL)
		return NULL;
	t->v.n--; /* it counts once the name has its number */
	i = pol_map_add(&t->names, &pp->mem, name, strlen(name));
	if (i == POL_NONE)
		return NULL;
	if (i < t->v.n)
		return (struct known *)t->v.v + i;
	k->name = t->names.v[i].s;
	t->v.n++;
	return k;
}

static void
add(struct known *k, const char *name)
{
	char **v;
	size_t i;

	for (i = 0; i < k->n; i++)
		if (strcmp(k->v[i], name) == 0)
			return;
	if ((v = reallocarray(k->v, k->n + 2, sizeof(*v))) == NULL)
		return;
	k->v = v;
	if ((v[k->n] = strdup(name)) != NULL)
		v[++k->n] = NULL;
}

static void
ask_groups(struct known *user, const struct passwd *pw)
{
	gid_t gids[256];
	int n = 256, i;
	struct group *gr;

	if (getgrouplist(pw->pw_name, pw->pw_gid, gids, &n) == -1)
		n = n < 256 ? n : 256;
	for (i = 0; i < n; i++)
		if ((gr = getgrgid(gids[i])) != NULL)
			add(user, gr->gr_name);
}

static struct known *
user_of(struct pcli_people *pp, const char *name)
{
	struct known *k = find(pp, &pp->users, name);
	struct passwd *pw;

	if (k == NULL || k->asked)
		return k;
	k->asked = true;
	if (pp->only || (pw = getpwnam(name)) == NULL)
		return k;
	k->exists = true;
	k->uid = pw->pw_uid;
	ask_groups(k, pw);
	return k;
}

static void
read_first(struct pcli_people *pp)
{
	struct first *slot;
	struct passwd *pw;

	pp->has_first = true;
	setpwent();
	while ((pw = getpwent()) != NULL) {
		if ((slot = pol_vec_add(&pp->first, sizeof(*slot))) == NULL)
			break;
		slot->gid = pw->pw_gid;
		slot->name =
		    pol_strndup(&pp->mem, pw->pw_name, strlen(pw->pw_name));
		if (slot->name == NULL)
			pp->first.n--;
	}
	endpwent();
}

static struct known *
group_of(struct pcli_people *pp, const char *name)
{
	struct known *k = find(pp, &pp->groups, name);
	const struct first *one;
	struct group *gr;
	uint32_t i;
	char **m;

	if (k == NULL || k->asked)
		return k;
	k->asked = true;
	if (pp->only || (gr = getgrnam(name)) == NULL)
		return k;
	k->exists = true;
	for (m = gr->gr_mem; *m != NULL; m++)
		add(k, *m);
	if (!pp->has_first)
		read_first(pp);
	for (i = 0; i < pp->first.n; i++) {
		one = (const struct first *)pp->first.v + i;
		if (one->gid == gr->gr_gid)
			add(k, one->name);
	}
	return k;
}

static const char *const *
groups_of(void *arg, const char *user, size_t *np)
{
	static const char *const none[1];
	struct pcli_people *pp = arg;
	struct known *k;

	*np = 0;
	if (user[0] == '\0') /* somebody whom nobody named */
		return none;
	if (user[0] == '@') { /* somebody in that group and in no other */
		pp->in_group[0] = user + 1;
		*np = 1;
		return pp->in_group;
	}
	k = user_of(pp, user);
	if (k == NULL || (!k->exists && !k->is_told && !pp->only))
		return NULL; /* unknown here */
	*np = k->n;
	return k->v == NULL ? none : (const char *const *)k->v;
}

static const char *const *
members_of(void *arg, const char *group, size_t *np)
{
	struct known *k = group_of(arg, group);

	*np = k == NULL ? 0 : k->n;
	return k == NULL || k->n == 0 ? NULL : (const char *const *)k->v;
}

static bool
is_same(void *arg, const char *a, const char *b)
{
	struct known *ka, *kb;
	uid_t uid;

	if (strcmp(a, b) == 0)
		return true;
	if ((ka = user_of(arg, a)) == NULL || !ka->exists)
		return false;
	uid = ka->uid; /* the next call may move it */
	kb = user_of(arg, b);
	return kb != NULL && kb->exists && kb->uid == uid;
}

struct pcli_people *
pcli_people_new(void)
{
	struct pcli_people *pp = calloc(1, sizeof(*pp));

	if (pp == NULL)
		return NULL;
	pp->view.arg = pp;
	pp->view.groups_of = groups_of;
	pp->view.members_of = members_of;
	pp->view.is_same = is_same;
	return pp;
}

static void
table_fini(struct table *t)
{
	struct known *k = t->v.v;
	uint32_t i;
	size_t j;

	for (i = 0; i < t->v.n; i++) {
		for (j = 0; j < k[i].n; j++)
			free(k[i].v[j]);
		free(k[i].v);
	}
	pol_vec_fini(&t->v);
	pol_map_fini(&t->names);
}

void
pcli_people_free(struct pcli_people *pp)
{
	if (pp == NULL)
		return;
	table_fini(&pp->users);
	table_fini(&pp->groups);
	pol_vec_fini(&pp->first);
	free(pp->all);
	pol_arena_fini(&pp->mem);
	free(pp);
}

bool
pcli_people_add(struct pcli_people *pp, const char *spec)
{
	const char *eq = strchr(spec, '=');
	char group[256], user[MG_NAME_MAX + 1];
	struct known *g, *u;
	size_t n;

	if (eq == NULL || eq == spec || (size_t)(eq - spec) >= sizeof(group))
		return false;
	snprintf(group, sizeof(group), "%.*s", (int)(eq - spec), spec);
	if ((g = group_of(pp, group)) == NULL)
		return false;
	g->is_told = true;
	for (spec = eq + 1;; spec += n + 1) {
		n = strcspn(spec, ",");
		if (n == 0 || n > MG_NAME_MAX)
			return false;
		snprintf(user, sizeof(user), "%.*s", (int)n, spec);
		if (!mg_name_is_valid(user) || (u = user_of(pp, user)) == NULL)
			return false;
		u->is_told = true;
		add(u, group);
		add(g, user);
		if (spec[n] == '\0')
			return true;
	}
}

void
pcli_people_only(struct pcli_people *pp)
{
	pp->only = true;
}

const struct mg_people *
pcli_people_view(struct pcli_people *pp)
{
	return &pp->view;
}

bool
pcli_people_has_user(struct pcli_people *pp, const char *user)
{
	struct known *k = user_of(pp, user);

	return k != NULL && (k->exists || k->is_told);
}

bool
pcli_people_has_group(struct pcli_people *pp, const char *group)
{
	struct known *k = group_of(pp, group);

	return k != NULL && (k->exists || k->is_told);
}

bool
pcli_people_is_only(const struct pcli_people *pp)
{
	return pp->only;
}

/* ---- everybody ---- */

static bool
put_name(struct pcli_people *pp, const char *name)
{
	size_t cap = pp->cap == 0 ? 64 : pp->cap * 2;
	const char **v;

	if (pp->nall == pp->cap) {
		v = reallocarray(pp->all, cap, sizeof(*v));
		if (v == NULL)
			return false;
		pp->all = v;
		pp->cap = cap;
	}
	pp->all[pp->nall++] = name;
	return true;
}

/* The members, or "@GROUP" for whom this machine does not know. */
static bool
put_members(struct pcli_people *pp, const char *group)
{
	const char *const *v;
	const char *somebody;
	size_t n = 0, i;
	bool ok = true;

	v = members_of(pp, group, &n);
	for (i = 0; ok && i < n; i++)
		ok =
		    put_name(pp, v[i]); /* analyzer: n > 0, so they are there */
	if (n > 0)
		return ok;
	somebody = pol_printf(&pp->mem, "@%s", group);
	return somebody != NULL && put_name(pp, somebody);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *
pcli_people_all(struct pcli_people *pp, const struct mg_policy *const *p,
    size_t npolicies, size_t *np)
{
	size_t i, k, n;
	uint32_t u;
	bool ok = true;

	pp->nall = 0;
	for (i = 0; i < npolicies; i++) {
		for (u = 0; ok && u < p[i]->users.n; u++)
			ok = put_name(pp, p[i]->users.v[u].s);
		for (u = 0; ok && u < p[i]->groups.n; u++)
			ok = put_members(pp, p[i]->groups.v[u].s);
	}
	n = pp->nall;
	if (n > 1)
		qsort(pp->all, n, sizeof(*pp->all), by_text);
	for (i = k = 0; i < n; i++)
		if (i == 0 || strcmp(pp->all[i], pp->all[k - 1]) != 0)
			/* analyzer: reallocarray() that fails frees nothing */
			pp->all[k++] = pp->all[i];
	pp->nall = k;
	if (!ok || !put_name(pp, ""))
		return NULL;
	*np = pp->nall;
	return pp->all;
}
