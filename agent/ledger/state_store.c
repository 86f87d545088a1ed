/* SPDX-License-Identifier: ISC */
/* Where the requests of the fold are: memory, lists, and undoing. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "state_int.h"

#define ARENA_CHUNK 1024

struct mg_arena_chunk {
	struct mg_arena_chunk *next;
	size_t used, size;
	char data[];
};

/* ---- memory of a request ---- */

void *
mg_state_alloc(struct mg_req *req, size_t n)
{
	struct mg_arena_chunk *c = req->arena;
	size_t size;
	void *p;

	n = (n + 7) & ~(size_t)7;
	if (c == NULL || n > c->size - c->used) {
		size = n > ARENA_CHUNK ? n : ARENA_CHUNK;
		if ((c = malloc(sizeof(*c) + size)) == NULL)
			return NULL;
		c->next = req->arena;
		c->used = 0;
		c->size = size;
		req->arena = c;
	}
	p = c->data + c->used;
	c->used += n;
	return p;
}

static const char *
keep(struct mg_req *req, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p;

	if ((p = mg_state_alloc(req, n)) != NULL)
		memcpy(p, s, n);
	return p;
}

bool
mg_state_keep(struct mg_req *req, const struct mg_rec *rec, const char *key,
    const char **sp)
{
	return (*sp = keep(req, mg_rec_str(rec, key, ""))) != NULL;
}

bool
mg_state_keep_list(struct mg_req *req, const struct mg_rec *rec,
    const char *key, const char *const **vp, size_t *np)
{
	const char *const *src;
	const char **v;
	size_t n, i;

	src = mg_rec_strv(rec, key, &n);
	*vp = NULL;
	*np = 0;
	if (n == 0)
		return true;
	if ((v = mg_state_alloc(req, n * sizeof(*v))) == NULL)
		return false;
	for (i = 0; i < n; i++)
		if ((v[i] = keep(req, src[i])) == NULL)
			return false;
	*vp = v;
	*np = n;
	return true;
}

/* ---- whose it is ---- */

static struct mg_req_owner **
owner_place(struct mg_state *st, uint32_t uid)
{
	struct mg_req_owner **p =
	    &st->owners[uid * UINT32_C(2654435761) % OWNER_BUCKETS];

	while (*p != NULL && (*p)->uid != uid)
		p = &(*p)->next;
	return p;
}

const struct mg_req_owner *
mg_state_owner(const struct mg_state *st, uint32_t uid)
{
	/* The search changes nothing. */
	return *owner_place((struct mg_state *)(uintptr_t)st, uid);
}

bool
mg_state_own(struct mg_state *st, struct mg_req *req)
{
	struct mg_req_owner **p = owner_place(st, req->uid);

	if (*p == NULL) {
		if ((*p = calloc(1, sizeof(**p))) == NULL)
			return false;
		(*p)->uid = req->uid;
		(*p)->pending.link = (*p)->granted.link =
		    offsetof(struct mg_req, own);
	}
	req->owner = *p;
	req->owner->nreqs++;
	return true;
}

static void
disown(struct mg_state *st, struct mg_req *req)
{
	struct mg_req_owner **p, *o = req->owner;

	req->owner = NULL;
	if (o == NULL || --o->nreqs > 0)
		return;
	p = owner_place(st, o->uid);
	*p = o->next;
	free(o);
}

void
mg_state_req_free(struct mg_state *st, struct mg_req *req)
{
	struct mg_arena_chunk *c;

	if (req == NULL)
		return;
	if (st->free_hook != NULL)
		st->free_hook(st->free_arg, req);
	disown(st, req);
	while ((c = req->arena) != NULL) {
		req->arena = c->next;
		free(c);
	}
	free(req);
}

/* ---- lists and the hash ---- */

static struct mg_req_link *
link_in(const struct mg_req_list *l, struct mg_req *req)
{
	return (struct mg_req_link *)(void *)((char *)req + l->link);
}

/* In front of the first that came before it. */
static void
list_add(struct mg_req_list *l, struct mg_req *req)
{
	struct mg_req_link *k = link_in(l, req);

	k->prev = NULL;
	k->next = l->first;
	while (k->next != NULL && k->next->order > req->order) {
		k->prev = k->next;
		k->next = link_in(l, k->next)->next;
	}
	if (k->prev != NULL)
		link_in(l, k->prev)->next = req;
	else
		l->first = req;
	if (k->next != NULL)
		link_in(l, k->next)->prev = req;
	else
		l->last = req;
	l->n++;
}

static void
list_remove(struct mg_req_list *l, struct mg_req *req)
{
	struct mg_req_link *k = link_in(l, req);

	if (k->prev != NULL)
		link_in(l, k->prev)->next = k->next;
	else
		l->first = k->next;
	if (k->next != NULL)
		link_in(l, k->next)->prev = k->prev;
	else
		l->last = k->prev;
	k->prev = k->next = NULL;
	l->n--;
}

/* Takes req out of the lists that it is in. */
void
mg_state_unlist(struct mg_state *st, struct mg_req *req)
{
	switch (req->listed) {
	case MG_REQ_NONE:
		return;
	case MG_REQ_PENDING:
		list_remove(&st->live, req);
		list_remove(&req->owner->pending, req);
		break;
	case MG_REQ_GRANTED:
		list_remove(&st->live, req);
		list_remove(&st->granted, req);
		list_remove(&req->owner->granted, req);
		break;
	case MG_REQ_USED:
	case MG_REQ_EXPIRED:
	case MG_REQ_REVOKED:
	case MG_REQ_DENIED:
	case MG_REQ_CANCELLED:
	case MG_REQ_TIMEDOUT:
	case MG_REQ_STATE_COUNT:
		list_remove(&st->ended, req);
		break;
	}
	req->listed = MG_REQ_NONE;
}

/* Its state may be another than before: into the lists of that one. What
 * stays live keeps its place among the live ones. */
void
mg_state_relist(struct mg_state *st, struct mg_req *req)
{
	enum mg_req_state now = req->live.state;

	if (req->listed == now)
		return;
	if (req->listed == MG_REQ_PENDING && now == MG_REQ_GRANTED) {
		list_remove(&req->owner->pending, req);
	} else if (req->listed == MG_REQ_GRANTED && now == MG_REQ_PENDING) {
		list_remove(&st->granted, req);
		list_remove(&req->owner->granted, req);
	} else {
		mg_state_unlist(st, req);
		req->order = ++st->order;
		list_add(mg_state_is_live(now) ? &st->live : &st->ended, req);
	}
	if (now == MG_REQ_GRANTED) {
		list_add(&st->granted, req);
		list_add(&req->owner->granted, req);
	} else if (now == MG_REQ_PENDING) {
		list_add(&req->owner->pending, req);
	}
	req->listed = now;
}

static size_t
bucket_of(const char *code)
{
	uint32_t h = 2166136261U;

	for (; *code != '\0'; code++)
		h = (h ^ (unsigned char)*code) * 16777619U;
	return h % BUCKETS;
}

void
mg_state_hash_add(struct mg_state *st, struct mg_req *req)
{
	struct mg_req **b = &st->buckets[bucket_of(req->code)];

	req->next_hash = *b;
	*b = req;
}

static void
hash_remove(struct mg_state *st, struct mg_req *req)
{
	struct mg_req **p = &st->buckets[bucket_of(req->code)];

	while (*p != NULL && *p != req)
		p = &(*p)->next_hash;
	if (*p != NULL)
		*p = req->next_hash;
}

struct mg_req *
mg_state_find(const struct mg_state *st, const char *id)
{
	char code[MG_CODE_STR];
	struct mg_uuid u;
	struct mg_req *req;
	bool by_uuid = mg_uuid_parse(id, &u) == MG_ERR_OK;

	if (by_uuid)
		mg_code_from_uuid(&u, code);
	else if (mg_code_parse(id, code) != MG_ERR_OK)
		return NULL;
	for (req = st->buckets[bucket_of(code)]; req != NULL;
	     req = req->next_hash)
		if (strcmp(req->code, code) == 0 &&
		    (!by_uuid || strcasecmp(req->uuid, id) == 0))
			return req;
	return NULL;
}

/* ---- undo (Rule 3) ---- */

bool
mg_state_save_for_undo(
    struct mg_state *st, void *target, size_t size, struct mg_req *req)
{
	struct mg_state_undo *u;

	if ((u = malloc(sizeof(*u) + size)) == NULL)
		return false;
	u->target = target;
	u->req = req;
	u->size = size;
	if (size > 0)
		memcpy(u->copy, target, size);
	u->next = st->undo;
	st->undo = u;
	return true;
}

/* Forgets the oldest ended requests. One whose run still has processes
 * stays: its "exit" and "empty" records are yet to come. */
static void
forget_old(struct mg_state *st)
{
	struct mg_req *req = st->ended.last, *prev;

	for (; req != NULL && st->ended.n > MG_ENDED_MAX; req = prev) {
		prev = req->prev;
		if (req->live.nruns > 0 || mg_req_wants_review(req))
			continue;
		mg_state_unlist(st, req);
		hash_remove(st, req);
		mg_state_req_free(st, req);
	}
}

void
mg_state_commit(struct mg_state *st)
{
	struct mg_state_undo *u;

	while ((u = st->undo) != NULL) {
		st->undo = u->next;
		free(u);
	}
	forget_old(st);
	mg_past_prune(st->past);
}

static void
undo_one(struct mg_state *st, struct mg_state_undo *u)
{
	if (u->target == NULL) {
		mg_state_unlist(st, u->req);
		hash_remove(st, u->req);
		mg_state_req_free(st, u->req);
		return;
	}
	memcpy(u->target, u->copy, u->size);
	if (u->req != NULL)
		mg_state_relist(st, u->req);
}

const void *
mg_state_mark(const struct mg_state *st)
{
	return st->undo;
}

void
mg_state_rollback_to(struct mg_state *st, const void *mark)
{
	struct mg_state_undo *u;

	while ((u = st->undo) != NULL && (const void *)u != mark) {
		st->undo = u->next;
		undo_one(st, u);
		free(u);
	}
}
