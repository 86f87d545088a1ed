/* SPDX-License-Identifier: ISC */
/* What people did: one table of things by name. */
#include <stdlib.h>
#include <string.h>

#include "mg_past.h"

#define FIRST_BUCKETS 1024
#define PARTS_MAX 4

enum kind { KIND_FACT = 1, KIND_KEY, KIND_GRANTS };

struct grants {
	struct mg_past_event *newest;
	size_t n;
	int64_t forgotten_ms; /* the youngest that was; 0: none was */
};

struct thing {
	struct thing *next;
	uint64_t hash;
	size_t len; /* of name */
	union {
		struct mg_past_fact fact;
		struct mg_past_key key;
		struct grants grants;
	};
	char name[]; /* kind, then the parts, a NUL behind each */
};

struct mg_past {
	struct thing **buckets;
	size_t nbuckets, n;
	bool is_full;
	struct thing *crowded; /* has more events than it may keep */
};

/* What a thing is called: parts cannot hold a NUL. */
struct name {
	enum kind kind;
	const char *part[PARTS_MAX];
	size_t n, len;
	uint64_t hash;
};

static void
mix(struct name *name, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		name->hash = (name->hash ^ (unsigned char)s[i]) *
			     UINT64_C(1099511628211);
	name->len += n;
}

static void
set_name(struct name *name, enum kind kind, const char *const *parts, size_t n)
{
	char first = (char)kind;
	size_t i;

	name->kind = kind;
	name->n = n;
	name->len = 0;
	name->hash = UINT64_C(14695981039346656037);
	mix(name, &first, 1);
	for (i = 0; i < n; i++) {
		name->part[i] = parts[i];
		mix(name, parts[i], strlen(parts[i]) + 1);
	}
}

static bool
is_called(const struct thing *t, const struct name *name)
{
	const char *p = t->name + 1;
	size_t i, n;

	if (t->hash != name->hash || t->len != name->len ||
	    t->name[0] != (char)name->kind)
		return false;
	for (i = 0; i < name->n; i++, p += n) {
		n = strlen(name->part[i]) + 1;
		if (memcmp(p, name->part[i], n) != 0)
			return false;
	}
	return true;
}

/* Twice as many buckets; staying with the old ones is no failure. */
static void
grow(struct mg_past *p)
{
	size_t n = 2 * p->nbuckets, i;
	struct thing **fresh, *t;

	if ((fresh = calloc(n, sizeof(struct thing *))) == NULL)
		return;
	for (i = 0; i < p->nbuckets; i++) {
		while ((t = p->buckets[i]) != NULL) {
			p->buckets[i] = t->next;
			t->next = fresh[t->hash % n];
			fresh[t->hash % n] = t;
		}
	}
	free(p->buckets);
	p->buckets = fresh;
	p->nbuckets = n;
}

static struct thing *
make_thing(struct mg_past *p, const struct name *name)
{
	struct thing *t;
	char *to;
	size_t i;

	if (p->n == MG_PAST_MAX) {
		p->is_full = true;
		return NULL;
	}
	if ((t = calloc(1, sizeof(*t) + name->len)) == NULL)
		return NULL;
	t->hash = name->hash;
	t->len = name->len;
	to = t->name;
	*to++ = (char)name->kind;
	for (i = 0; i < name->n; i++) {
		memcpy(to, name->part[i], strlen(name->part[i]) + 1);
		to += strlen(name->part[i]) + 1;
	}
	if (p->n >= p->nbuckets)
		grow(p);
	t->next = p->buckets[t->hash % p->nbuckets];
	p->buckets[t->hash % p->nbuckets] = t;
	p->n++;
	return t;
}

static struct thing *
find(const struct mg_past *p, const struct name *name)
{
	struct thing *t = p->buckets[name->hash % p->nbuckets];

	while (t != NULL && !is_called(t, name))
		t = t->next;
	return t;
}

static struct thing *
get(struct mg_past *p, const struct name *name, bool make)
{
	struct thing *t = find(p, name);

	return t == NULL && make ? make_thing(p, name) : t;
}

struct mg_past *
mg_past_new(void)
{
	struct mg_past *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->nbuckets = FIRST_BUCKETS;
	p->buckets = calloc(p->nbuckets, sizeof(struct thing *));
	if (p->buckets != NULL)
		return p;
	free(p);
	return NULL;
}

static void
free_events(struct mg_past_event *ev)
{
	struct mg_past_event *older;

	for (; ev != NULL; ev = older) {
		older = ev->older;
		free(ev);
	}
}

void
mg_past_free(struct mg_past *p)
{
	struct thing *t;
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->nbuckets; i++) {
		while ((t = p->buckets[i]) != NULL) {
			p->buckets[i] = t->next;
			if (t->name[0] == (char)KIND_GRANTS)
				free_events(t->grants.newest);
			free(t);
		}
	}
	free(p->buckets);
	free(p);
}

bool
mg_past_is_full(const struct mg_past *p)
{
	return p->is_full;
}

struct mg_past_fact *
mg_past_fact(struct mg_past *p, const char *user, const char *operation,
    const char *model, const char *version, bool make)
{
	const char *const parts[] = {user, operation, model, version};
	struct name name;
	struct thing *t;

	set_name(&name, KIND_FACT, parts, 4);
	t = get(p, &name, make);
	return t == NULL ? NULL : &t->fact;
}

struct mg_past_key *
mg_past_key(struct mg_past *p, const char *user, const char *key_fp, bool make)
{
	const char *const parts[] = {user, key_fp};
	struct name name;
	struct thing *t;

	set_name(&name, KIND_KEY, parts, 2);
	t = get(p, &name, make);
	return t == NULL ? NULL : &t->key;
}

/* ---- grants ---- */

struct mg_past_event *
mg_past_add(struct mg_past *p, const char *user, const char *operation)
{
	const char *const parts[] = {user, operation};
	struct mg_past_event *ev;
	struct name name;
	struct thing *t;

	set_name(&name, KIND_GRANTS, parts, 2);
	if ((t = get(p, &name, true)) == NULL ||
	    (ev = calloc(1, sizeof(*ev))) == NULL)
		return NULL;
	ev->older = t->grants.newest;
	t->grants.newest = ev;
	if (++t->grants.n > MG_PAST_EVENTS_MAX)
		p->crowded = t;
	return ev;
}

/* The wall clock may have been set back, so all events are looked at. */
static int64_t
sum(const struct mg_past *p, const char *user, const char *operation,
    int64_t since_ms, bool bytes)
{
	const char *const parts[] = {user, operation};
	const struct mg_past_event *ev;
	const struct thing *t;
	struct name name;
	int64_t n = 0, add;

	set_name(&name, KIND_GRANTS, parts, 2);
	if ((t = find(p, &name)) == NULL)
		return p->is_full ? -1 : 0;
	if (t->grants.forgotten_ms >= since_ms && t->grants.forgotten_ms != 0)
		return -1;
	for (ev = t->grants.newest; ev != NULL; ev = ev->older) {
		if (!ev->is_real || ev->at_ms < since_ms)
			continue;
		add = bytes ? ev->bytes : 1;
		if (add < 0 || add > INT64_MAX - n)
			return -1;
		n += add;
	}
	return n;
}

int64_t
mg_past_count(const struct mg_past *p, const char *user, const char *operation,
    int64_t since_ms)
{
	return sum(p, user, operation, since_ms, false);
}

int64_t
mg_past_bytes(const struct mg_past *p, const char *user, const char *operation,
    int64_t since_ms)
{
	return sum(p, user, operation, since_ms, true);
}

void
mg_past_prune(struct mg_past *p)
{
	struct mg_past_event *ev, *rest;
	struct grants *g;
	size_t i;

	if (p->crowded == NULL)
		return;
	/* Half of them at once, so that this is done seldom. */
	g = &p->crowded->grants;
	for (ev = g->newest, i = 1; i < MG_PAST_EVENTS_MAX / 2; i++)
		ev = ev->older;
	for (rest = ev->older; rest != NULL; rest = rest->older)
		if (rest->is_real && rest->at_ms > g->forgotten_ms)
			g->forgotten_ms = rest->at_ms;
	free_events(ev->older);
	ev->older = NULL;
	g->n = MG_PAST_EVENTS_MAX / 2;
	p->crowded = NULL;
}
