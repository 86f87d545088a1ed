/* SPDX-License-Identifier: ISC */
/* What people did: one table of things by name. */
#include <stdlib.h>
#include <string.h>

#include "mg_json.h"
#include "mg_past.h"

#define FIRST_BUCKETS 1024
#define PARTS_MAX 4
#define EVENTS_A_LINE 1000

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

/* ---- snapshots ---- */

struct saver {
	struct mg_buf *b;
	const char *at;
	int64_t bt;
};

static void
line_begin(struct mg_json *j, const struct saver *sv, const char *type,
    const struct thing *t, size_t parts)
{
	static const char *const keys[] = {
	    "user", "operation", "model", "version"};
	const char *p = t->name + 1;
	size_t i;

	mg_json_begin(j, sv->b);
	mg_json_obj(j, NULL);
	mg_json_str(j, "type", type);
	mg_json_str(j, "at", sv->at);
	mg_json_int(j, "bt", sv->bt);
	for (i = 0; i < parts; i++, p += strlen(p) + 1)
		mg_json_str(j,
		    i == 1 && t->name[0] == (char)KIND_KEY ? "key_fp" : keys[i],
		    p);
}

static enum mg_err
line_end(struct mg_json *j, const struct saver *sv)
{
	enum mg_err r;

	mg_json_obj_end(j);
	if ((r = mg_json_end(j)) != MG_ERR_OK)
		return r;
	return mg_buf_put_u8(sv->b, '\n');
}

/* n events of v, oldest first, in one line. */
static enum mg_err
save_events(const struct saver *sv, const struct thing *t,
    const struct mg_past_event *const *v, size_t n)
{
	struct mg_json j;
	struct mg_buf b;
	const char *text;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	mg_buf_init(&b, 65536);
	for (i = 0; i < n && r == MG_ERR_OK; i++)
		r = mg_buf_putf(&b, "%lld %lld,", (long long)v[i]->at_ms,
		    (long long)v[i]->bytes);
	text = r == MG_ERR_OK ? mg_buf_cstr(&b) : NULL;
	if (text == NULL) {
		mg_buf_fini(&b);
		return r == MG_ERR_OK ? MG_ERR_NOMEM : r;
	}
	line_begin(&j, sv, "past-grants", t, 2);
	mg_json_int(&j, "forgotten_ms", t->grants.forgotten_ms);
	mg_json_str(&j, "events", text);
	mg_buf_fini(&b);
	return line_end(&j, sv);
}

static enum mg_err
save_grants(const struct saver *sv, const struct thing *t)
{
	const struct mg_past_event *ev, **v;
	enum mg_err r = MG_ERR_OK;
	size_t n = 0, i, len;

	for (ev = t->grants.newest; ev != NULL; ev = ev->older)
		n += ev->is_real;
	if ((v = calloc(n + 1, sizeof(*v))) == NULL)
		return MG_ERR_NOMEM;
	for (i = n, ev = t->grants.newest; ev != NULL; ev = ev->older)
		if (ev->is_real)
			v[--i] = ev;
	for (i = 0; i < n && r == MG_ERR_OK; i += len) {
		len = n - i < EVENTS_A_LINE ? n - i : EVENTS_A_LINE;
		r = save_events(sv, t, v + i, len);
	}
	free(v);
	return r;
}

static enum mg_err
save_thing(const struct saver *sv, const struct thing *t)
{
	struct mg_json j;

	switch ((enum kind)t->name[0]) {
	case KIND_FACT:
		if (t->fact.did == 0 && t->fact.approved == 0)
			return MG_ERR_OK;
		line_begin(&j, sv, "past-fact", t, 4);
		mg_json_int(&j, "did", t->fact.did);
		mg_json_int(&j, "approved", t->fact.approved);
		return line_end(&j, sv);
	case KIND_KEY:
		if (t->key.since_ms == 0)
			return MG_ERR_OK;
		line_begin(&j, sv, "past-key", t, 2);
		mg_json_int(&j, "since_ms", t->key.since_ms);
		return line_end(&j, sv);
	case KIND_GRANTS:
		return save_grants(sv, t);
	}
	return MG_ERR_INTERNAL;
}

enum mg_err
mg_past_save(
    const struct mg_past *p, struct mg_buf *b, const char *at, int64_t bt)
{
	struct saver sv = {.b = b, .at = at, .bt = bt};
	const struct thing *t;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; i < p->nbuckets; i++)
		for (t = p->buckets[i]; t != NULL && r == MG_ERR_OK;
		     t = t->next)
			r = save_thing(&sv, t);
	if (r == MG_ERR_OK && p->is_full)
		r = mg_buf_putf(b,
		    "{\"type\":\"past-full\",\"at\":\"%s\",\"bt\":%lld}\n", at,
		    (long long)bt);
	return r;
}

static enum mg_err
restore_events(struct mg_past *p, const struct mg_rec *rec)
{
	const char *user = mg_rec_str(rec, "user", "");
	const char *operation = mg_rec_str(rec, "operation", "");
	const char *const parts[] = {user, operation};
	const char *s = mg_rec_str(rec, "events", "");
	struct mg_past_event *ev;
	struct name name;
	struct thing *t;
	char *end;

	for (; *s != '\0'; s = end + 1) {
		if ((ev = mg_past_add(p, user, operation)) == NULL)
			return MG_ERR_NOMEM;
		ev->at_ms = strtoll(s, &end, 10);
		if (*end != ' ')
			return MG_ERR_FORMAT;
		ev->bytes = strtoll(end + 1, &end, 10);
		if (*end != ',')
			return MG_ERR_FORMAT;
		ev->is_real = true;
	}
	set_name(&name, KIND_GRANTS, parts, 2);
	if ((t = find(p, &name)) == NULL)
		return MG_ERR_FORMAT;
	t->grants.forgotten_ms = mg_rec_int(rec, "forgotten_ms", 0);
	return MG_ERR_OK;
}

enum mg_err
mg_past_restore(struct mg_past *p, const struct mg_rec *rec)
{
	const char *type = mg_rec_str(rec, "type", "");
	const char *user = mg_rec_str(rec, "user", "");
	struct mg_past_fact *f;
	struct mg_past_key *k;

	if (strcmp(type, "past-full") == 0) {
		p->is_full = true;
		return MG_ERR_OK;
	}
	if (strcmp(type, "past-grants") == 0)
		return restore_events(p, rec);
	if (strcmp(type, "past-key") == 0) {
		k = mg_past_key(p, user, mg_rec_str(rec, "key_fp", ""), true);
		if (k == NULL)
			return MG_ERR_NOMEM;
		k->since_ms = mg_rec_int(rec, "since_ms", 0);
		return MG_ERR_OK;
	}
	if (strcmp(type, "past-fact") != 0)
		return MG_ERR_FORMAT;
	f = mg_past_fact(p, user, mg_rec_str(rec, "operation", ""),
	    mg_rec_str(rec, "model", ""), mg_rec_str(rec, "version", ""), true);
	if (f == NULL)
		return MG_ERR_NOMEM;
	f->did = (unsigned)mg_rec_int(rec, "did", 0);
	f->approved = (unsigned)mg_rec_int(rec, "approved", 0);
	return MG_ERR_OK;
}
