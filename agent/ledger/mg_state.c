/* SPDX-License-Identifier: ISC */
/*
 * The fold over the ledger.
 *
 * Rules
 * 1. One transition table; a record that asks for a transition which is not
 *    in it does not fit the ledger.
 * 2. Deadlines are kept on the boot clock. Across a reboot they are carried
 *    by what was left, less the time that the wall clock says has passed;
 *    a wall clock that went backwards ends everything that had a deadline:
 *    a stepped clock may shorten a grant, never lengthen it.
 * 3. Until mg_state_commit() every change can be undone: a record that did
 *    not become durable never happened.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_json.h"
#include "mg_time.h"
#include "mg_state.h"

#define BUCKETS 4096
#define OWNER_BUCKETS 512
#define ARENA_CHUNK 1024
#define APPROVALS_STEP 4
#define SERVED "served" /* in the past, as an operation */
#define REVIEWS_MAX 8
#define GUESSER "tokens:%s" /* among factors: no login name has a colon */

struct mg_arena_chunk {
	struct mg_arena_chunk *next;
	size_t used, size;
	char data[];
};

struct undo {
	struct undo *next;
	void *target; /* NULL: a new request */
	struct mg_req *req;
	size_t size;
	char copy[];
};

struct list {
	struct mg_req *first, *last;
	size_t n;
	size_t link; /* where in a request its place is kept */
};

/* Who has requests here: as long as there is one, live or not. */
struct mg_req_owner {
	uint32_t uid;
	size_t nreqs;
	struct list pending, granted;
	struct mg_req_owner *next;
};

struct mg_state {
	struct mg_req *buckets[BUCKETS];
	struct list live, ended, granted;
	struct mg_req_owner *owners[OWNER_BUCKETS];
	uint64_t order;
	struct mg_session *sessions;
	struct mg_factor *factors;
	struct mg_past *past;
	struct mg_models *models;
	struct mg_guarded guarded;
	struct mg_token_set sets[MG_SETS_MAX];
	uint64_t sets_made;
	char boot[40];
	int64_t last_bt, last_wall;
	struct undo *undo;
	void (*free_hook)(void *arg, struct mg_req *req);
	void *free_arg;
};

static const char *const state_words[] = {
    [MG_REQ_NONE] = "none",
    [MG_REQ_PENDING] = "pending",
    [MG_REQ_GRANTED] = "granted",
    [MG_REQ_USED] = "used",
    [MG_REQ_EXPIRED] = "expired",
    [MG_REQ_REVOKED] = "revoked",
    [MG_REQ_DENIED] = "denied",
    [MG_REQ_CANCELLED] = "cancelled",
    [MG_REQ_TIMEDOUT] = "timedout",
};

/* Rule 1: all that may happen. */
static const bool may_go[MG_REQ_STATE_COUNT][MG_REQ_STATE_COUNT] = {
    [MG_REQ_NONE] = {[MG_REQ_PENDING] = true, [MG_REQ_DENIED] = true},
    [MG_REQ_PENDING] = {[MG_REQ_GRANTED] = true,
	[MG_REQ_DENIED] = true,
	[MG_REQ_CANCELLED] = true,
	[MG_REQ_TIMEDOUT] = true},
    [MG_REQ_GRANTED] = {[MG_REQ_USED] = true,
	[MG_REQ_EXPIRED] = true,
	[MG_REQ_REVOKED] = true},
};

const char *
mg_req_state_word(enum mg_req_state s)
{
	return (size_t)s < MG_REQ_STATE_COUNT ? state_words[s] : "none";
}

bool
mg_req_may_go(enum mg_req_state from, enum mg_req_state to)
{
	return (size_t)from < MG_REQ_STATE_COUNT &&
	       (size_t)to < MG_REQ_STATE_COUNT && may_go[from][to];
}

static bool
is_live_state(enum mg_req_state s)
{
	return s == MG_REQ_PENDING || s == MG_REQ_GRANTED;
}

bool
mg_req_is_live(const struct mg_req *req)
{
	return is_live_state(req->live.state);
}

static enum mg_req_state
state_from_word(const char *w)
{
	size_t i;

	for (i = 1; i < MG_REQ_STATE_COUNT; i++)
		if (strcmp(state_words[i], w) == 0)
			return (enum mg_req_state)i;
	return MG_REQ_NONE;
}

/* ---- memory of a request ---- */

static void *
arena_alloc(struct mg_req *req, size_t n)
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

	if ((p = arena_alloc(req, n)) != NULL)
		memcpy(p, s, n);
	return p;
}

static bool
keep_member(struct mg_req *req, const struct mg_rec *rec, const char *key,
    const char **sp)
{
	return (*sp = keep(req, mg_rec_str(rec, key, ""))) != NULL;
}

static bool
keep_list(struct mg_req *req, const struct mg_rec *rec, const char *key,
    const char *const **vp, size_t *np)
{
	const char *const *src;
	const char **v;
	size_t n, i;

	src = mg_rec_strv(rec, key, &n);
	*vp = NULL;
	*np = 0;
	if (n == 0)
		return true;
	if ((v = arena_alloc(req, n * sizeof(*v))) == NULL)
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

static const struct mg_req_owner *
owner_of(const struct mg_state *st, uint32_t uid)
{
	/* The search changes nothing. */
	return *owner_place((struct mg_state *)(uintptr_t)st, uid);
}

static bool
own(struct mg_state *st, struct mg_req *req)
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

static void
req_free(struct mg_state *st, struct mg_req *req)
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
link_in(const struct list *l, struct mg_req *req)
{
	return (struct mg_req_link *)(void *)((char *)req + l->link);
}

/* In front of the first that came before it. */
static void
list_add(struct list *l, struct mg_req *req)
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
list_remove(struct list *l, struct mg_req *req)
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
static void
unlist(struct mg_state *st, struct mg_req *req)
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
static void
relist(struct mg_state *st, struct mg_req *req)
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
		unlist(st, req);
		req->order = ++st->order;
		list_add(is_live_state(now) ? &st->live : &st->ended, req);
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

static void
hash_add(struct mg_state *st, struct mg_req *req)
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

static bool
save(struct mg_state *st, void *target, size_t size, struct mg_req *req)
{
	struct undo *u;

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

static bool
save_live(struct mg_state *st, struct mg_req *req)
{
	return save(st, &req->live, sizeof(req->live), req);
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
		unlist(st, req);
		hash_remove(st, req);
		req_free(st, req);
	}
}

void
mg_state_commit(struct mg_state *st)
{
	struct undo *u;

	while ((u = st->undo) != NULL) {
		st->undo = u->next;
		free(u);
	}
	forget_old(st);
	mg_past_prune(st->past);
}

static void
undo_one(struct mg_state *st, struct undo *u)
{
	if (u->target == NULL) {
		unlist(st, u->req);
		hash_remove(st, u->req);
		req_free(st, u->req);
		return;
	}
	memcpy(u->target, u->copy, u->size);
	if (u->req != NULL)
		relist(st, u->req);
}

const void *
mg_state_mark(const struct mg_state *st)
{
	return st->undo;
}

void
mg_state_rollback_to(struct mg_state *st, const void *mark)
{
	struct undo *u;

	while ((u = st->undo) != NULL && (const void *)u != mark) {
		st->undo = u->next;
		undo_one(st, u);
		free(u);
	}
}

/* ---- life ---- */

struct mg_state *
mg_state_new(void)
{
	struct mg_state *st;

	if ((st = calloc(1, sizeof(*st))) == NULL)
		return NULL;
	st->live.link = st->ended.link = offsetof(struct mg_req, all);
	st->granted.link = offsetof(struct mg_req, granted);
	st->past = mg_past_new();
	st->models = mg_models_new();
	if (st->past != NULL && st->models != NULL)
		return st;
	mg_past_free(st->past);
	mg_models_free(st->models);
	free(st);
	return NULL;
}

static void
session_free(struct mg_session *s)
{
	free((char *)(uintptr_t)s->user);
	free(s);
}

void
mg_state_free(struct mg_state *st)
{
	struct mg_req *req;
	struct mg_session *s;
	struct mg_factor *f;
	struct undo *u;

	if (st == NULL)
		return;
	while ((u = st->undo) != NULL) {
		st->undo = u->next;
		free(u);
	}
	while ((req = st->live.first) != NULL) {
		unlist(st, req);
		req_free(st, req);
	}
	while ((req = st->ended.first) != NULL) {
		unlist(st, req);
		req_free(st, req);
	}
	while ((s = st->sessions) != NULL) {
		st->sessions = s->next;
		session_free(s);
	}
	while ((f = st->factors) != NULL) {
		st->factors = f->next;
		free(f->user);
		free(f);
	}
	mg_past_free(st->past);
	mg_models_free(st->models);
	free(st);
}

void
mg_state_set_free_hook(
    struct mg_state *st, void (*fn)(void *arg, struct mg_req *req), void *arg)
{
	st->free_hook = fn;
	st->free_arg = arg;
}

/* ---- applying records ---- */

struct apply_ctx {
	struct mg_state *st;
	const struct mg_rec *rec;
	int64_t bt, wall;
};

static int64_t
add_capped(int64_t a, int64_t b)
{
	return b > INT64_MAX / 4 ? INT64_MAX / 2 : a + b;
}

static bool
fill_request(struct mg_req *req, const struct mg_rec *rec)
{
	return keep_member(req, rec, "user", &req->user) &&
	       keep_member(req, rec, "tty", &req->tty) &&
	       keep_member(req, rec, "origin", &req->origin) &&
	       keep_member(req, rec, "operation", &req->operation) &&
	       keep_member(req, rec, "model", &req->model) &&
	       keep_member(req, rec, "version", &req->version) &&
	       keep_member(req, rec, "run_as", &req->run_as) &&
	       keep_member(req, rec, "cwd", &req->cwd) &&
	       keep_member(req, rec, "artifact", &req->artifact) &&
	       keep_member(req, rec, "digest", &req->digest) &&
	       keep_member(req, rec, "effect", &req->effect) &&
	       keep_member(req, rec, "serves", &req->serves) &&
	       keep_member(req, rec, "reason", &req->reason) &&
	       keep_member(req, rec, "ticket", &req->ticket) &&
	       keep_member(req, rec, "policy", &req->policy) &&
	       keep_member(req, rec, "nonce", &req->nonce) &&
	       keep_member(req, rec, "rule", &req->rule) &&
	       keep_member(req, rec, "text", &req->text) &&
	       keep_member(req, rec, "remedy", &req->remedy) &&
	       keep_member(req, rec, "key_type", &req->key_type) &&
	       keep_list(req, rec, "args", &req->args, &req->nargs) &&
	       keep_list(req, rec, "argv", &req->argv, &req->argc) &&
	       keep_member(req, rec, "waive", &req->waive) &&
	       keep_list(req, rec, "review", &req->review, &req->nreview) &&
	       keep_list(req, rec, "need", &req->need, &req->nneed);
}

static enum mg_err
new_request(struct apply_ctx *c, enum mg_req_state state, struct mg_req **reqp)
{
	const char *uuid = mg_rec_str(c->rec, "uuid", "");
	struct mg_uuid u;
	struct mg_req *req;

	*reqp = NULL;
	if (mg_uuid_parse(uuid, &u) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	if (mg_state_find(c->st, uuid) != NULL)
		return MG_ERR_STATE;
	if ((req = calloc(1, sizeof(*req))) == NULL)
		return MG_ERR_NOMEM;
	mg_uuid_format(&u, req->uuid);
	mg_code_from_uuid(&u, req->code);
	req->uid = (uint32_t)mg_rec_int(c->rec, "uid", UINT32_MAX);
	if (!own(c->st, req) || !fill_request(req, c->rec) ||
	    !save(c->st, NULL, 0, req)) {
		req_free(c->st, req);
		return MG_ERR_NOMEM;
	}
	req->ses = (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX);
	req->mfa = mg_rec_bool(c->rec, "mfa");
	req->tokens = (unsigned)mg_rec_int(c->rec, "tokens", 0);
	req->confirm = mg_rec_bool(c->rec, "confirm");
	req->grant_only = mg_rec_bool(c->rec, "grant_only");
	req->key_hardware = mg_rec_bool(c->rec, "key_hardware");
	req->is_local = mg_rec_bool(c->rec, "local");
	req->key_since_ms = mg_rec_int(c->rec, "key_since_ms", 0);
	req->mfa_age_ms = mg_rec_int(c->rec, "mfa_age_ms", -1);
	req->bytes = mg_rec_int(c->rec, "bytes", 0);
	req->lasts_ms = mg_rec_int(c->rec, "lasts_ms", 0);
	req->approve_ms = mg_rec_int(c->rec, "approve_ms", 0);
	req->start_ms = mg_rec_int(c->rec, "start_ms", 0);
	req->uses = (unsigned)mg_rec_int(c->rec, "uses", 1);
	req->filed_ms = c->wall;
	req->live.state = state;
	hash_add(c->st, req);
	relist(c->st, req);
	*reqp = req;
	return MG_ERR_OK;
}

static enum mg_err
apply_request(struct apply_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = new_request(c, MG_REQ_PENDING, &req)) == MG_ERR_OK)
		req->live.approve_by_bt = add_capped(c->bt, req->approve_ms);
	return r;
}

static enum mg_err
apply_refused(struct apply_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = new_request(c, MG_REQ_DENIED, &req)) != MG_ERR_OK)
		return r;
	req->live.why = mg_why_from_word(mg_rec_str(c->rec, "why", ""));
	req->live.ended_ms = c->wall;
	return MG_ERR_OK;
}

/* The request that a record is about, saved for undo. */
static enum mg_err
subject(struct apply_ctx *c, struct mg_req **reqp)
{
	*reqp = mg_state_find(c->st, mg_rec_str(c->rec, "uuid", ""));
	if (*reqp == NULL)
		return MG_ERR_STATE;
	return save_live(c->st, *reqp) ? MG_ERR_OK : MG_ERR_NOMEM;
}

static enum mg_err
factor_of(struct mg_state *st, const char *user, struct mg_factor **fp)
{
	struct mg_factor *f;

	for (f = st->factors; f != NULL; f = f->next)
		if (strcmp(f->user, user) == 0)
			break;
	if (f == NULL) {
		if ((f = calloc(1, sizeof(*f))) == NULL)
			return MG_ERR_NOMEM;
		if ((f->user = strdup(user)) == NULL) {
			free(f);
			return MG_ERR_NOMEM;
		}
		f->next = st->factors;
		st->factors = f;
	}
	*fp = f;
	return save(st, f, sizeof(*f), NULL) ? MG_ERR_OK : MG_ERR_NOMEM;
}

static int64_t
lock_ms(unsigned fails)
{
	int64_t ms = MG_MFA_LOCK_MS;

	for (; fails > MG_MFA_TRIES && ms < MG_MFA_LOCK_MAX_MS; fails--)
		ms *= 2;
	return ms > MG_MFA_LOCK_MAX_MS ? MG_MFA_LOCK_MAX_MS : ms;
}

/* The session has passed: in the place of the one that did longest ago. */
static void
note_passed(struct mg_factor *f, uint32_t ses, int64_t bt)
{
	size_t i, to = 0;

	for (i = 0; i < MG_FACTOR_SESSIONS; i++) {
		if (f->passed[i].at_bt != 0 && f->passed[i].ses == ses) {
			to = i;
			break;
		}
		if (f->passed[i].at_bt < f->passed[to].at_bt)
			to = i;
	}
	f->passed[to].ses = ses;
	f->passed[to].at_bt = bt;
}

static enum mg_err
apply_mfa(struct apply_ctx *c)
{
	const char *user = mg_rec_str(c->rec, "user", "");
	bool ok = mg_rec_bool(c->rec, "ok");
	struct mg_factor *f;
	struct mg_req *req;
	enum mg_err r;

	if ((r = factor_of(c->st, user, &f)) != MG_ERR_OK)
		return r;
	if (ok) {
		f->fails = 0;
		f->locked_until_bt = 0;
		if (mg_rec_int(c->rec, "ses", UINT32_MAX) != UINT32_MAX)
			note_passed(f,
			    (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX),
			    c->bt);
	} else if (mg_rec_bool(c->rec, "counts")) {
		f->fails++;
		if (f->fails >= MG_MFA_TRIES)
			f->locked_until_bt = c->bt + lock_ms(f->fails);
	}
	/* A login's factor has the uuid of the access, not of a request. */
	if (!ok || mg_state_find(c->st, mg_rec_str(c->rec, "uuid", "")) == NULL)
		return MG_ERR_OK;
	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING)
		return MG_ERR_STATE;
	req->live.mfa_done = true;
	return MG_ERR_OK;
}

/* Room for one more. What was there stays: an undo may go back to it. */
static bool
more_approvals(struct mg_req *req)
{
	size_t n = req->live.napprovals;
	struct mg_approval *v;

	if (n < req->live.approvals_cap)
		return true;
	v = arena_alloc(req, (n + APPROVALS_STEP) * sizeof(*v));
	if (v == NULL)
		return false;
	if (n > 0)
		memcpy(v, req->live.approvals, n * sizeof(*v));
	req->live.approvals = v;
	req->live.approvals_cap = n + APPROVALS_STEP;
	return true;
}

static enum mg_err
keep_decision(struct apply_ctx *c, struct mg_req *req)
{
	struct mg_approval *a;

	if (req->live.napprovals == MG_APPROVALS_MAX)
		return MG_ERR_LIMIT;
	if (!more_approvals(req))
		return MG_ERR_NOMEM;
	a = &req->live.approvals[req->live.napprovals];
	if (!keep_member(req, c->rec, "approver", &a->approver) ||
	    !keep_member(req, c->rec, "person", &a->person) ||
	    !keep_member(req, c->rec, "note", &a->note) ||
	    !keep_member(req, c->rec, "key_fp", &a->key_fp))
		return MG_ERR_NOMEM;
	if (a->person[0] == '\0')
		a->person = a->approver;
	a->approve = strcmp(mg_rec_str(c->rec, "decision", ""), "approve") == 0;
	a->at_ms = c->wall;
	req->live.napprovals++;
	return MG_ERR_OK;
}

/* ---- the past ---- */

/*
 * One more request in which user ran, or approved, what req is about. A past
 * that is full forgets it, and says so to whoever asks.
 */
static enum mg_err
note_fact(struct mg_state *st, const struct mg_req *req, const char *user,
    bool approved)
{
	struct mg_past_fact *f;

	if (req->version[0] == '\0')
		return MG_ERR_OK; /* nothing can be asked about it */
	f = mg_past_fact(
	    st->past, user, req->operation, req->model, req->version, true);
	if (f == NULL)
		return mg_past_is_full(st->past) ? MG_ERR_OK : MG_ERR_NOMEM;
	if (!save(st, f, sizeof(*f), NULL))
		return MG_ERR_NOMEM;
	if (approved)
		f->approved++;
	else
		f->did++;
	return MG_ERR_OK;
}

static enum mg_err
note_grant(
    struct apply_ctx *c, const char *user, const char *operation, int64_t bytes)
{
	struct mg_past_event *ev;

	if ((ev = mg_past_add(c->st->past, user, operation)) == NULL)
		return mg_past_is_full(c->st->past) ? MG_ERR_OK : MG_ERR_NOMEM;
	if (!save(c->st, ev, sizeof(*ev), NULL))
		return MG_ERR_NOMEM;
	ev->at_ms = c->wall;
	ev->bytes = bytes;
	ev->is_real = true;
	return MG_ERR_OK;
}

static enum mg_err
note_granted(struct apply_ctx *c, const struct mg_req *req)
{
	const struct mg_approval *a;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; i < req->live.napprovals && r == MG_ERR_OK; i++) {
		a = &req->live.approvals[i];
		if (a->approve)
			r = note_fact(c->st, req, a->person, true);
	}
	return r == MG_ERR_OK
		   ? note_grant(c, req->user, req->operation, req->bytes)
		   : r;
}

/* Somebody was let in without a grant: the same as one, for counting. */
static enum mg_err
apply_access(struct apply_ctx *c)
{
	if (mg_state_find(c->st, mg_rec_str(c->rec, "uuid", "")) != NULL)
		return MG_ERR_OK;
	return note_grant(c, mg_rec_str(c->rec, "user", ""),
	    mg_rec_str(c->rec, "operation", ""), 0);
}

static enum mg_err
note_key(struct apply_ctx *c)
{
	const char *user = mg_rec_str(c->rec, "user", "");
	const char *fp = mg_rec_str(c->rec, "key_fp", "");
	struct mg_past_key *k;

	if (fp[0] == '\0')
		return MG_ERR_OK;
	if ((k = mg_past_key(c->st->past, user, fp, true)) == NULL)
		return mg_past_is_full(c->st->past) ? MG_ERR_OK : MG_ERR_NOMEM;
	if (k->since_ms != 0)
		return MG_ERR_OK;
	if (!save(c->st, k, sizeof(*k), NULL))
		return MG_ERR_NOMEM;
	k->since_ms = c->wall;
	return MG_ERR_OK;
}

static enum mg_err
apply_decision(struct apply_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING)
		return MG_ERR_STATE;
	return keep_decision(c, req);
}

static enum mg_err
apply_grant(struct apply_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (!mg_req_may_go(req->live.state, MG_REQ_GRANTED))
		return MG_ERR_STATE; /* Rule 1 */
	req->live.state = MG_REQ_GRANTED;
	relist(c->st, req);
	req->live.granted_ms = c->wall;
	req->live.start_by_bt = add_capped(c->bt, req->start_ms);
	req->live.ends_bt = add_capped(c->bt, req->lasts_ms);
	return note_granted(c, req);
}

static struct mg_run_state *
find_run(struct mg_req *req, uint32_t run)
{
	size_t i;

	for (i = 0; i < MG_RUNS_MAX; i++)
		if (req->live.runs[i].run == run)
			return &req->live.runs[i];
	return NULL;
}

static enum mg_err
apply_run(struct apply_ctx *c)
{
	struct mg_run_state *run;
	struct mg_req *req;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_GRANTED ||
	    (req->uses != 0 && req->live.used >= req->uses))
		return MG_ERR_STATE;
	if ((run = find_run(req, 0)) == NULL)
		return MG_ERR_LIMIT;
	run->run = (uint32_t)mg_rec_int(c->rec, "run", 0);
	run->ses = (uint32_t)mg_rec_int(c->rec, "run_ses", UINT32_MAX);
	run->exited = false;
	if (run->run != req->live.used + 1) {
		run->run = 0;
		return MG_ERR_STATE;
	}
	req->live.used++;
	req->live.nruns++;
	return req->live.used == 1 ? note_fact(c->st, req, req->user, false)
				   : MG_ERR_OK;
}

static bool
was_approved(const struct mg_req *req)
{
	size_t i;

	for (i = 0; i < req->live.napprovals; i++)
		if (req->live.approvals[i].approve)
			return !req->live.waived;
	return false;
}

/* In the past, bytes stand where people do: no login name has a colon. */
static enum mg_err
note_served(struct apply_ctx *c, const struct mg_req *req)
{
	struct mg_past_fact *f;

	if (strcmp(mg_rec_str(c->rec, "how", ""), "status") != 0 ||
	    mg_rec_int(c->rec, "value", 1) != 0 || req->digest[0] == '\0' ||
	    req->version[0] == '\0' || !was_approved(req))
		return MG_ERR_OK;
	f = mg_past_fact(
	    c->st->past, req->digest, SERVED, req->model, req->version, true);
	if (f == NULL)
		return mg_past_is_full(c->st->past) ? MG_ERR_OK : MG_ERR_NOMEM;
	if (!save(c->st, f, sizeof(*f), NULL))
		return MG_ERR_NOMEM;
	f->did++;
	return MG_ERR_OK;
}

bool
mg_state_was_served(const struct mg_state *st, const char *model,
    const char *version, const char *digest)
{
	const struct mg_past_fact *f;

	if (digest[0] == '\0' || version[0] == '\0')
		return false;
	f = mg_past_fact(st->past, digest, SERVED, model, version, false);
	return f != NULL && f->did > 0;
}

/* ---- reviews ---- */

bool
mg_req_wants_review(const struct mg_req *req)
{
	return req->nreview > 0 && req->nreview <= REVIEWS_MAX &&
	       req->live.waived && req->live.granted_ms != 0 &&
	       strcmp(req->waive, "break-glass") == 0 &&
	       req->live.reviewed != (1U << req->nreview) - 1;
}

struct mg_req *
mg_state_unreviewed(const struct mg_state *st)
{
	struct mg_req *req;

	for (req = st->granted.first; req != NULL; req = req->granted.next)
		if (mg_req_wants_review(req))
			return req;
	for (req = st->ended.first; req != NULL; req = req->next)
		if (mg_req_wants_review(req))
			return req;
	return NULL;
}

static enum mg_err
apply_waiver(struct apply_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING)
		return MG_ERR_STATE;
	req->live.waived = true;
	return MG_ERR_OK;
}

static enum mg_err
apply_review(struct apply_ctx *c)
{
	const char *const *roles;
	struct mg_req *req;
	size_t n, i, j;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (!mg_req_wants_review(req))
		return MG_ERR_STATE;
	roles = mg_rec_strv(c->rec, "roles", &n);
	for (i = 0; i < req->nreview; i++)
		for (j = 0; j < n; j++)
			if (strcmp(req->review[i], roles[j]) == 0)
				req->live.reviewed |= 1U << i;
	return MG_ERR_OK;
}

static enum mg_err
apply_exit(struct apply_ctx *c)
{
	struct mg_run_state *run;
	struct mg_req *req;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	run = find_run(req, (uint32_t)mg_rec_int(c->rec, "run", 0));
	if (run == NULL || run->run == 0 || run->exited)
		return MG_ERR_STATE;
	run->exited = true;
	return note_served(c, req);
}

static enum mg_err
apply_empty(struct apply_ctx *c)
{
	struct mg_run_state *run;
	struct mg_req *req;
	enum mg_err r;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	run = find_run(req, (uint32_t)mg_rec_int(c->rec, "run", 0));
	if (run == NULL || run->run == 0)
		return MG_ERR_STATE;
	memset(run, 0, sizeof(*run));
	req->live.nruns--;
	return MG_ERR_OK;
}

static enum mg_err
apply_end(struct apply_ctx *c)
{
	enum mg_req_state to;
	struct mg_req *req;
	enum mg_err r;

	to = state_from_word(mg_rec_str(c->rec, "state", ""));
	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (to == MG_REQ_GRANTED || !mg_req_may_go(req->live.state, to))
		return MG_ERR_STATE; /* Rule 1 */
	if (!keep_member(req, c->rec, "by", &req->live.ended_by))
		return MG_ERR_NOMEM;
	req->live.state = to;
	req->live.why = mg_why_from_word(mg_rec_str(c->rec, "why", ""));
	req->live.ended_ms = c->wall;
	relist(c->st, req);
	return MG_ERR_OK;
}

/* A second factor that was given while logging in. */
static enum mg_err
note_login(struct apply_ctx *c)
{
	int64_t at_bt = mg_rec_int(c->rec, "mfa_bt", 0);
	struct mg_factor *f;
	enum mg_err r;

	if (at_bt <= 0 || at_bt > c->bt)
		return MG_ERR_OK;
	r = factor_of(c->st, mg_rec_str(c->rec, "user", ""), &f);
	if (r == MG_ERR_OK)
		note_passed(
		    f, (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX), at_bt);
	return r;
}

/* All of a session's strings in one block that begins at s->user. Sessions
 * are not undone: a line that did not become durable leaves at worst the
 * description of a session without consequences. */
static enum mg_err
apply_session_open(struct apply_ctx *c)
{
	static const char *const keys[] = {
	    "user", "service", "tty", "origin", "key_type", "key_fp"};
	struct mg_session *s;
	const char *v[6];
	size_t i, total = 0;
	enum mg_err r;
	char *p;

	if ((r = note_key(c)) != MG_ERR_OK || (r = note_login(c)) != MG_ERR_OK)
		return r;
	for (i = 0; i < 6; i++) {
		v[i] = mg_rec_str(c->rec, keys[i], "");
		total += strlen(v[i]) + 1;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return MG_ERR_NOMEM;
	if ((p = malloc(total)) == NULL) {
		free(s);
		return MG_ERR_NOMEM;
	}
	for (i = 0; i < 6; i++) {
		const char **to[] = {&s->user, &s->service, &s->tty, &s->origin,
		    &s->key_type, &s->key_fp};

		memcpy(p, v[i], strlen(v[i]) + 1);
		*to[i] = p;
		p += strlen(v[i]) + 1;
	}
	s->ses = (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX);
	s->uid = (uint32_t)mg_rec_int(c->rec, "uid", UINT32_MAX);
	s->hardware = mg_rec_bool(c->rec, "hardware");
	s->opened_ms = c->wall;
	s->next = c->st->sessions;
	c->st->sessions = s;
	return MG_ERR_OK;
}

static enum mg_err
apply_session_close(struct apply_ctx *c)
{
	struct mg_session **p = &c->st->sessions, *s;
	uint32_t ses = (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX);

	while ((s = *p) != NULL && s->ses != ses)
		p = &s->next;
	if (s != NULL) {
		*p = s->next;
		session_free(s);
	}
	return MG_ERR_OK;
}

static void
carry(int64_t *deadline, int64_t last_bt, int64_t bt, int64_t off)
{
	int64_t left = *deadline - last_bt;

	if (*deadline == 0)
		return;
	*deadline = bt + (off < 0 ? 0 : left - off); /* Rule 2 */
}

/* A new boot: carry every deadline over; sessions are gone. */
static void
rebase(struct apply_ctx *c)
{
	struct mg_state *st = c->st;
	int64_t off = c->wall - st->last_wall;
	struct mg_session *s;
	struct mg_factor *f;
	struct mg_req *req;

	for (req = st->live.first; req != NULL; req = req->next) {
		carry(&req->live.approve_by_bt, st->last_bt, c->bt, off);
		carry(&req->live.start_by_bt, st->last_bt, c->bt, off);
		carry(&req->live.ends_bt, st->last_bt, c->bt, off);
	}
	for (f = st->factors; f != NULL; f = f->next) {
		memset(f->passed, 0, sizeof(f->passed));
		/* A lock must not get shorter by a clock set forward. */
		if (f->locked_until_bt > st->last_bt)
			f->locked_until_bt =
			    c->bt + (f->locked_until_bt - st->last_bt);
		else
			f->locked_until_bt = 0;
	}
	while ((s = st->sessions) != NULL) {
		st->sessions = s->next;
		session_free(s);
	}
}

static enum mg_err
apply_start(struct apply_ctx *c)
{
	const char *boot = mg_rec_str(c->rec, "boot", "");

	if (strlen(boot) != 36)
		return MG_ERR_FORMAT;
	if (c->st->boot[0] != '\0' && strcmp(boot, c->st->boot) != 0)
		rebase(c);
	memcpy(c->st->boot, boot, 37);
	return MG_ERR_OK;
}

static void
keep_digest(char to[MG_STATE_DIGEST], const char *digest)
{
	if (strlen(digest) < MG_STATE_DIGEST)
		memcpy(to, digest, strlen(digest) + 1);
}

static void
raise_to(uint64_t *version, int64_t v)
{
	if (v > 0 && (uint64_t)v > *version)
		*version = (uint64_t)v;
}

/* A version is used once, so the highest stays when less is in force. */
static enum mg_err
apply_policy(struct apply_ctx *c)
{
	const char *what = mg_rec_str(c->rec, "what", "policy");
	const char *digest = mg_rec_str(c->rec, "digest", "");
	int64_t version = mg_rec_int(c->rec, "version", 0);
	struct mg_guarded *g = &c->st->guarded;

	if (!mg_rec_bool(c->rec, "ok"))
		return MG_ERR_OK;
	if (!save(c->st, g, sizeof(*g), NULL))
		return MG_ERR_NOMEM;
	if (strcmp(what, "policy") == 0) {
		g->is_signed = mg_rec_bool(c->rec, "signed");
		keep_digest(g->policy, digest);
		raise_to(&g->policy_version, version);
		if (!g->is_signed)
			g->signers[0] = '\0';
	} else if (strcmp(what, "allowed_signers") == 0) {
		keep_digest(g->signers, digest);
		raise_to(&g->signers_version, version);
	}
	return MG_ERR_OK;
}

static enum mg_err
apply_model(struct apply_ctx *c)
{
	struct mg_models *ms = c->st->models;
	struct mg_model *m;

	m = mg_models_find(ms, mg_rec_str(c->rec, "model", ""), true);
	if (m == NULL)
		return mg_models_are_full(ms) ? MG_ERR_OK : MG_ERR_NOMEM;
	/* Saved up to the link to the next, which is not to be undone. */
	if (!save(c->st, m, offsetof(struct mg_model, next), NULL))
		return MG_ERR_NOMEM;
	mg_model_apply(m, c->rec, c->wall);
	return MG_ERR_OK;
}

/* ---- tokens ---- */

/* MG_SETS_MAX: there is none of that name. */
static size_t
set_index(const struct mg_state *st, const char *name)
{
	size_t i;

	for (i = 0; i < MG_SETS_MAX; i++)
		if (name[0] != '\0' && strcmp(st->sets[i].name, name) == 0)
			break;
	return i;
}

/* A place for one more: free, or of the oldest that has ended. */
static struct mg_token_set *
set_place(struct mg_state *st)
{
	struct mg_token_set *old = NULL, *s;
	size_t i, good = 0;

	for (i = 0; i < MG_SETS_MAX; i++) {
		s = &st->sets[i];
		if (s->state == MG_SET_GOOD)
			good++;
		else if (old == NULL || s->order < old->order)
			old = s;
	}
	return good < MG_TOKEN_SETS_MAX ? old : NULL;
}

static bool
fill_set(struct mg_token_set *s, const struct mg_rec *rec)
{
	const char *name = mg_rec_str(rec, "set", "");
	const char *key = mg_rec_str(rec, "key", "");
	const char *const *v;
	size_t n, i;

	v = mg_rec_strv(rec, "known_by", &n);
	memset(s, 0, sizeof(*s));
	if (!mg_token_is_set(name) || n < 1 || n > MG_TOKENS_MAX ||
	    strlen(key) >= sizeof(s->key))
		return false;
	for (i = 0; i < n; i++) {
		if (strlen(v[i]) != MG_SET_HASH - 1)
			return false;
		memcpy(s->hash[i], v[i], MG_SET_HASH);
	}
	memcpy(s->name, name, MG_TOKEN_SET_STR);
	memcpy(s->key, key, strlen(key) + 1);
	s->of = (unsigned)n;
	s->need = (unsigned)mg_rec_int(rec, "need", 0);
	s->state = MG_SET_GOOD;
	return s->need >= 1 && s->need <= s->of;
}

static enum mg_err
set_made(struct apply_ctx *c)
{
	struct mg_state *st = c->st;
	struct mg_token_set s, *to;

	if (!fill_set(&s, c->rec))
		return MG_ERR_FORMAT;
	if (set_index(st, s.name) != MG_SETS_MAX)
		return MG_ERR_EXIST;
	if ((to = set_place(st)) == NULL)
		return MG_ERR_LIMIT;
	if (!save(st, to, sizeof(*to), NULL))
		return MG_ERR_NOMEM;
	s.made_ms = c->wall;
	s.order = ++st->sets_made;
	*to = s;
	return MG_ERR_OK;
}

/* Used or void: either way once, and for good. */
static enum mg_err
set_ended(struct apply_ctx *c, bool used)
{
	size_t i = set_index(c->st, mg_rec_str(c->rec, "set", ""));
	struct mg_token_set *s;

	if (i == MG_SETS_MAX || c->st->sets[i].state != MG_SET_GOOD)
		return MG_ERR_STATE;
	s = &c->st->sets[i];
	if (!save(c->st, s, sizeof(*s), NULL))
		return MG_ERR_NOMEM;
	s->state = used ? MG_SET_USED : MG_SET_VOID;
	s->ended_ms = c->wall;
	if (used)
		snprintf(s->request, sizeof(s->request), "%s",
		    mg_rec_str(c->rec, "uuid", ""));
	return MG_ERR_OK;
}

static enum mg_err
guesser(struct apply_ctx *c, struct mg_factor **fp)
{
	char name[160];

	snprintf(name, sizeof(name), GUESSER, mg_rec_str(c->rec, "user", ""));
	return factor_of(c->st, name, fp);
}

static enum mg_err
tokens_used(struct apply_ctx *c)
{
	const char *user = mg_rec_str(c->rec, "user", "");
	struct mg_factor *f;
	struct mg_req *req;
	enum mg_err r;
	size_t n;

	if ((r = subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING || req->live.tokens != 0)
		return MG_ERR_STATE;
	if ((r = set_ended(c, true)) != MG_ERR_OK)
		return r;
	(void)mg_rec_strv(c->rec, "numbers", &n);
	req->live.tokens = (unsigned)n;
	if (mg_state_token_guesses(c->st, user) == NULL)
		return MG_ERR_OK;
	if ((r = guesser(c, &f)) != MG_ERR_OK)
		return r;
	f->fails = 0;
	f->locked_until_bt = 0;
	return MG_ERR_OK;
}

static enum mg_err
tokens_wrong(struct apply_ctx *c)
{
	struct mg_factor *f;
	enum mg_err r;

	if (!mg_rec_bool(c->rec, "counts"))
		return MG_ERR_OK;
	if ((r = guesser(c, &f)) != MG_ERR_OK)
		return r;
	f->fails++;
	if (f->fails >= MG_MFA_TRIES)
		f->locked_until_bt = c->bt + lock_ms(f->fails);
	return MG_ERR_OK;
}

static enum mg_err
apply_tokens(struct apply_ctx *c)
{
	const char *what = mg_rec_str(c->rec, "what", "");

	if (strcmp(what, "made") == 0)
		return set_made(c);
	if (strcmp(what, "void") == 0)
		return set_ended(c, false);
	if (strcmp(what, "used") == 0)
		return tokens_used(c);
	return strcmp(what, "wrong") == 0 ? tokens_wrong(c) : MG_ERR_FORMAT;
}

static enum mg_err
apply_nothing(struct apply_ctx *c)
{
	(void)c;
	return MG_ERR_OK;
}

/* ---- snapshots ---- */

/* Begins a line as the ledger's are, of the given clocks. */
static void
snap_begin(struct mg_json *j, struct mg_buf *b, const char *type, int64_t wall,
    int64_t bt)
{
	char at[MG_TIME_STR];

	mg_time_format(wall, at);
	mg_json_begin(j, b);
	mg_json_obj(j, NULL);
	mg_json_str(j, "type", type);
	mg_json_str(j, "at", at);
	mg_json_int(j, "bt", bt);
}

static enum mg_err
snap_end(struct mg_json *j, struct mg_buf *b, size_t start)
{
	enum mg_err r;

	mg_json_obj_end(j);
	if ((r = mg_json_end(j)) != MG_ERR_OK)
		return r;
	if (mg_buf_len(b) - start > MG_REC_LINE_MAX)
		return MG_ERR_LIMIT;
	return mg_buf_put_u8(b, '\n');
}

/* The members of a request that never change; those of its record. */
static void
snap_fixed(struct mg_json *j, const struct mg_req *req)
{
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(j, "user", req->user);
	mg_json_int(j, "uid", req->uid);
	mg_json_int(j, "ses", req->ses);
	mg_json_str(j, "tty", req->tty);
	mg_json_str(j, "origin", req->origin);
	mg_json_str(j, "operation", req->operation);
	mg_json_str(j, "model", req->model);
	mg_json_str(j, "version", req->version);
	mg_json_strv(j, "args", req->args, req->nargs);
	mg_json_strv(j, "argv", req->argv, req->argc);
	mg_json_str(j, "run_as", req->run_as);
	mg_json_str(j, "cwd", req->cwd);
	mg_json_str(j, "artifact", req->artifact);
	mg_json_str(j, "digest", req->digest);
	mg_json_str(j, "effect", req->effect);
	mg_json_str(j, "serves", req->serves);
	mg_json_str(j, "reason", req->reason);
	mg_json_str(j, "ticket", req->ticket);
	mg_json_str(j, "policy", req->policy);
	mg_json_str(j, "nonce", req->nonce);
	mg_json_str(j, "rule", req->rule);
	mg_json_str(j, "text", req->text);
	mg_json_str(j, "remedy", req->remedy);
	mg_json_strv(j, "need", req->need, req->nneed);
	mg_json_str(j, "waive", req->waive);
	mg_json_strv(j, "review", req->review, req->nreview);
	mg_json_bool(j, "mfa", req->mfa);
	mg_json_int(j, "tokens", req->tokens);
	mg_json_bool(j, "confirm", req->confirm);
	mg_json_bool(j, "grant_only", req->grant_only);
	mg_json_str(j, "key_type", req->key_type);
	mg_json_bool(j, "key_hardware", req->key_hardware);
	mg_json_bool(j, "local", req->is_local);
	mg_json_int(j, "key_since_ms", req->key_since_ms);
	mg_json_int(j, "mfa_age_ms", req->mfa_age_ms);
	mg_json_int(j, "bytes", req->bytes);
	mg_json_int(j, "lasts_ms", req->lasts_ms);
	mg_json_int(j, "approve_ms", req->approve_ms);
	mg_json_int(j, "start_ms", req->start_ms);
	mg_json_int(j, "uses", req->uses);
}

static void
snap_live(struct mg_json *j, const struct mg_req_live *live)
{
	mg_json_str(j, "state", mg_req_state_word(live->state));
	mg_json_str(
	    j, "why", live->why == MG_WHY_NONE ? "" : mg_why_word(live->why));
	mg_json_str(j, "by", live->ended_by == NULL ? "" : live->ended_by);
	mg_json_bool(j, "mfa_done", live->mfa_done);
	mg_json_int(j, "used", live->used);
	mg_json_bool(j, "waived", live->waived);
	mg_json_int(j, "tokens_given", live->tokens);
	mg_json_int(j, "reviewed", live->reviewed);
	mg_json_int(j, "granted_ms", live->granted_ms);
	mg_json_int(j, "ended_ms", live->ended_ms);
	mg_json_int(j, "approve_by_bt", live->approve_by_bt);
	mg_json_int(j, "start_by_bt", live->start_by_bt);
	mg_json_int(j, "ends_bt", live->ends_bt);
}

static enum mg_err
snap_approval(struct mg_buf *b, const struct mg_req *req,
    const struct mg_approval *a, int64_t bt)
{
	size_t start = mg_buf_len(b);
	struct mg_json j;

	snap_begin(&j, b, "decision", a->at_ms, bt);
	mg_json_str(&j, "uuid", req->uuid);
	mg_json_str(&j, "approver", a->approver);
	mg_json_str(&j, "person", a->person);
	mg_json_str(&j, "note", a->note);
	mg_json_str(&j, "key_fp", a->key_fp);
	mg_json_str(&j, "decision", a->approve ? "approve" : "deny");
	return snap_end(&j, b, start);
}

static enum mg_err
snap_run(struct mg_buf *b, const struct mg_req *req,
    const struct mg_run_state *run, size_t slot, const struct mg_state *st)
{
	size_t start = mg_buf_len(b);
	struct mg_json j;

	snap_begin(&j, b, "run", st->last_wall, st->last_bt);
	mg_json_str(&j, "uuid", req->uuid);
	mg_json_int(&j, "slot", (int64_t)slot);
	mg_json_int(&j, "run", run->run);
	mg_json_int(&j, "run_ses", run->ses);
	mg_json_bool(&j, "exited", run->exited);
	return snap_end(&j, b, start);
}

static enum mg_err
snap_request(
    struct mg_buf *b, const struct mg_req *req, const struct mg_state *st)
{
	size_t start = mg_buf_len(b), i;
	struct mg_json j;
	enum mg_err r;

	snap_begin(&j, b, "request", req->filed_ms, st->last_bt);
	snap_fixed(&j, req);
	snap_live(&j, &req->live);
	r = snap_end(&j, b, start);
	for (i = 0; i < req->live.napprovals && r == MG_ERR_OK; i++)
		r = snap_approval(b, req, &req->live.approvals[i], st->last_bt);
	for (i = 0; i < MG_RUNS_MAX && r == MG_ERR_OK; i++)
		if (req->live.runs[i].run != 0)
			r = snap_run(b, req, &req->live.runs[i], i, st);
	return r;
}

/* Oldest first, as they came in. */
static enum mg_err
snap_list(struct mg_buf *b, const struct list *l, const struct mg_state *st)
{
	const struct mg_req *req;
	enum mg_err r = MG_ERR_OK;

	for (req = l->last; req != NULL && r == MG_ERR_OK; req = req->prev)
		r = snap_request(b, req, st);
	return r;
}

static enum mg_err
snap_session(
    struct mg_buf *b, const struct mg_session *s, const struct mg_state *st)
{
	size_t start = mg_buf_len(b);
	struct mg_json j;

	snap_begin(&j, b, "session-open", s->opened_ms, st->last_bt);
	mg_json_str(&j, "user", s->user);
	mg_json_str(&j, "service", s->service);
	mg_json_str(&j, "tty", s->tty);
	mg_json_str(&j, "origin", s->origin);
	mg_json_str(&j, "key_type", s->key_type);
	mg_json_str(&j, "key_fp", s->key_fp);
	mg_json_int(&j, "ses", s->ses);
	mg_json_int(&j, "uid", s->uid);
	mg_json_bool(&j, "hardware", s->hardware);
	return snap_end(&j, b, start);
}

static enum mg_err
snap_factor(
    struct mg_buf *b, const struct mg_factor *f, const struct mg_state *st)
{
	size_t start = mg_buf_len(b), i;
	char text[24];
	struct mg_json j;

	snap_begin(&j, b, "factor", st->last_wall, st->last_bt);
	mg_json_str(&j, "user", f->user);
	mg_json_int(&j, "fails", f->fails);
	mg_json_int(&j, "locked_until_bt", f->locked_until_bt);
	mg_json_arr(&j, "passed"); /* session, time, ... */
	for (i = 0; i < MG_FACTOR_SESSIONS; i++) {
		if (f->passed[i].at_bt == 0)
			continue;
		snprintf(text, sizeof(text), "%u", f->passed[i].ses);
		mg_json_str(&j, NULL, text);
		snprintf(
		    text, sizeof(text), "%lld", (long long)f->passed[i].at_bt);
		mg_json_str(&j, NULL, text);
	}
	mg_json_arr_end(&j);
	return snap_end(&j, b, start);
}

static enum mg_err
snap_models(struct mg_buf *b, const struct mg_state *st)
{
	const struct mg_model *m;
	struct mg_json j;
	enum mg_err r = MG_ERR_OK;
	size_t start;

	for (m = mg_models_first(st->models); m != NULL && r == MG_ERR_OK;
	     m = m->next) {
		start = mg_buf_len(b);
		snap_begin(&j, b, "model-now", st->last_wall, st->last_bt);
		mg_model_save(m, &j);
		r = snap_end(&j, b, start);
	}
	return r;
}

static enum mg_err
snap_guarded(struct mg_buf *b, const struct mg_state *st)
{
	const struct mg_guarded *g = &st->guarded;
	size_t start = mg_buf_len(b);
	struct mg_json j;

	snap_begin(&j, b, "guarded", st->last_wall, st->last_bt);
	mg_json_bool(&j, "signed", g->is_signed);
	mg_json_str(&j, "policy", g->policy);
	mg_json_str(&j, "signers", g->signers);
	mg_json_int(&j, "policy_version", (int64_t)g->policy_version);
	mg_json_int(&j, "signers_version", (int64_t)g->signers_version);
	return snap_end(&j, b, start);
}

static enum mg_err
snap_set(
    struct mg_buf *b, const struct mg_token_set *s, const struct mg_state *st)
{
	size_t start = mg_buf_len(b), i;
	struct mg_json j;

	snap_begin(&j, b, "token-set", s->made_ms, st->last_bt);
	mg_json_str(&j, "set", s->name);
	mg_json_int(&j, "need", s->need);
	mg_json_arr(&j, "known_by");
	for (i = 0; i < s->of; i++)
		mg_json_str(&j, NULL, s->hash[i]);
	mg_json_arr_end(&j);
	mg_json_str(&j, "key", s->key);
	mg_json_int(&j, "state", (int64_t)s->state);
	mg_json_int(&j, "ended_ms", s->ended_ms);
	mg_json_str(&j, "request", s->request);
	return snap_end(&j, b, start);
}

/* In the order of their making. */
static enum mg_err
snap_sets(struct mg_buf *b, const struct mg_state *st)
{
	const struct mg_token_set *s, *next;
	enum mg_err r = MG_ERR_OK;
	uint64_t last = 0;
	size_t i;

	do {
		next = NULL;
		for (i = 0; i < MG_SETS_MAX; i++) {
			s = &st->sets[i];
			if (s->order > last &&
			    (next == NULL || s->order < next->order))
				next = s;
		}
		if (next != NULL) {
			r = snap_set(b, next, st);
			last = next->order;
		}
	} while (next != NULL && r == MG_ERR_OK);
	return r;
}

static enum mg_err
snap_clock(struct mg_buf *b, const struct mg_state *st)
{
	size_t start = mg_buf_len(b);
	struct mg_json j;

	snap_begin(&j, b, "clock", st->last_wall, st->last_bt);
	mg_json_str(&j, "boot", st->boot);
	return snap_end(&j, b, start);
}

/* The newest session and factor come first in their lists and have to be
 * added last: from the end, which only an index finds. */
static enum mg_err
snap_people(struct mg_buf *b, const struct mg_state *st)
{
	const struct mg_session *s;
	const struct mg_factor *f;
	size_t n = 0, i, k;
	enum mg_err r = MG_ERR_OK;

	for (s = st->sessions; s != NULL; s = s->next)
		n++;
	for (i = n; i > 0 && r == MG_ERR_OK; i--) {
		for (s = st->sessions, k = 1; k < i; k++)
			s = s->next;
		r = snap_session(b, s, st);
	}
	for (n = 0, f = st->factors; f != NULL; f = f->next)
		n++;
	for (i = n; i > 0 && r == MG_ERR_OK; i--) {
		for (f = st->factors, k = 1; k < i; k++)
			f = f->next;
		r = snap_factor(b, f, st);
	}
	return r;
}

enum mg_err
mg_state_save(const struct mg_state *st, struct mg_buf *b)
{
	char at[MG_TIME_STR];
	enum mg_err r;

	if (st->undo != NULL)
		return MG_ERR_STATE;
	mg_time_format(st->last_wall, at);
	/* The past first: a session may be the first use of a key. */
	if ((r = mg_past_save(st->past, b, at, st->last_bt)) != MG_ERR_OK ||
	    (r = snap_people(b, st)) != MG_ERR_OK ||
	    (r = snap_models(b, st)) != MG_ERR_OK ||
	    (r = snap_guarded(b, st)) != MG_ERR_OK ||
	    (r = snap_sets(b, st)) != MG_ERR_OK ||
	    (r = snap_list(b, &st->ended, st)) != MG_ERR_OK ||
	    (r = snap_list(b, &st->live, st)) != MG_ERR_OK)
		return r;
	return snap_clock(b, st);
}

static enum mg_err
restore_request(struct apply_ctx *c)
{
	enum mg_req_state state =
	    state_from_word(mg_rec_str(c->rec, "state", ""));
	struct mg_req_live *live;
	struct mg_req *req;
	enum mg_err r;

	if (state == MG_REQ_NONE)
		return MG_ERR_FORMAT;
	if ((r = new_request(c, state, &req)) != MG_ERR_OK)
		return r;
	live = &req->live;
	if (mg_rec_str(c->rec, "by", "")[0] != '\0' &&
	    !keep_member(req, c->rec, "by", &live->ended_by))
		return MG_ERR_NOMEM;
	live->why = mg_why_from_word(mg_rec_str(c->rec, "why", ""));
	live->mfa_done = mg_rec_bool(c->rec, "mfa_done");
	live->used = (unsigned)mg_rec_int(c->rec, "used", 0);
	live->waived = mg_rec_bool(c->rec, "waived");
	live->tokens = (unsigned)mg_rec_int(c->rec, "tokens_given", 0);
	live->reviewed = (unsigned)mg_rec_int(c->rec, "reviewed", 0);
	live->granted_ms = mg_rec_int(c->rec, "granted_ms", 0);
	live->ended_ms = mg_rec_int(c->rec, "ended_ms", 0);
	live->approve_by_bt = mg_rec_int(c->rec, "approve_by_bt", 0);
	live->start_by_bt = mg_rec_int(c->rec, "start_by_bt", 0);
	live->ends_bt = mg_rec_int(c->rec, "ends_bt", 0);
	return MG_ERR_OK;
}

static enum mg_err
restore_decision(struct apply_ctx *c)
{
	struct mg_req *req =
	    mg_state_find(c->st, mg_rec_str(c->rec, "uuid", ""));

	return req == NULL ? MG_ERR_STATE : keep_decision(c, req);
}

static enum mg_err
restore_run(struct apply_ctx *c)
{
	struct mg_req *req =
	    mg_state_find(c->st, mg_rec_str(c->rec, "uuid", ""));
	int64_t slot = mg_rec_int(c->rec, "slot", -1);
	struct mg_run_state *run;

	if (req == NULL || slot < 0 || slot >= MG_RUNS_MAX ||
	    req->live.runs[slot].run != 0)
		return MG_ERR_STATE;
	run = &req->live.runs[slot];
	run->run = (uint32_t)mg_rec_int(c->rec, "run", 0);
	run->ses = (uint32_t)mg_rec_int(c->rec, "run_ses", UINT32_MAX);
	run->exited = mg_rec_bool(c->rec, "exited");
	req->live.nruns++;
	return run->run == 0 ? MG_ERR_FORMAT : MG_ERR_OK;
}

static enum mg_err
restore_factor(struct apply_ctx *c)
{
	const char *const *passed;
	struct mg_factor *f;
	size_t n, i;
	enum mg_err r;

	r = factor_of(c->st, mg_rec_str(c->rec, "user", ""), &f);
	if (r != MG_ERR_OK)
		return r;
	f->fails = (unsigned)mg_rec_int(c->rec, "fails", 0);
	f->locked_until_bt = mg_rec_int(c->rec, "locked_until_bt", 0);
	passed = mg_rec_strv(c->rec, "passed", &n);
	for (i = 0; i + 1 < n && i / 2 < MG_FACTOR_SESSIONS; i += 2) {
		f->passed[i / 2].ses = (uint32_t)strtoul(passed[i], NULL, 10);
		f->passed[i / 2].at_bt = strtoll(passed[i + 1], NULL, 10);
	}
	return MG_ERR_OK;
}

static enum mg_err
restore_past(struct apply_ctx *c)
{
	return mg_past_restore(c->st->past, c->rec);
}

static enum mg_err
restore_model(struct apply_ctx *c)
{
	struct mg_models *ms = c->st->models;
	struct mg_model *m;

	m = mg_models_find(ms, mg_rec_str(c->rec, "model", ""), true);
	if (m == NULL)
		return mg_models_are_full(ms) ? MG_ERR_OK : MG_ERR_NOMEM;
	mg_model_restore(m, c->rec);
	return MG_ERR_OK;
}

static enum mg_err
restore_guarded(struct apply_ctx *c)
{
	struct mg_guarded *g = &c->st->guarded;

	g->is_signed = mg_rec_bool(c->rec, "signed");
	keep_digest(g->policy, mg_rec_str(c->rec, "policy", ""));
	keep_digest(g->signers, mg_rec_str(c->rec, "signers", ""));
	raise_to(&g->policy_version, mg_rec_int(c->rec, "policy_version", 0));
	raise_to(&g->signers_version, mg_rec_int(c->rec, "signers_version", 0));
	return MG_ERR_OK;
}

static enum mg_err
restore_set(struct apply_ctx *c)
{
	struct mg_state *st = c->st;
	int64_t state = mg_rec_int(c->rec, "state", 0);
	struct mg_token_set *s;

	if (st->sets_made == MG_SETS_MAX)
		return MG_ERR_LIMIT;
	s = &st->sets[st->sets_made];
	if (state < MG_SET_GOOD || state > MG_SET_VOID || !fill_set(s, c->rec))
		return MG_ERR_FORMAT;
	s->made_ms = c->wall;
	s->order = ++st->sets_made;
	s->ended_ms = mg_rec_int(c->rec, "ended_ms", 0);
	snprintf(s->request, sizeof(s->request), "%s",
	    mg_rec_str(c->rec, "request", ""));
	s->state = state == MG_SET_GOOD	  ? MG_SET_GOOD
		   : state == MG_SET_USED ? MG_SET_USED
					  : MG_SET_VOID;
	return MG_ERR_OK;
}

static enum mg_err
restore_clock(struct apply_ctx *c)
{
	const char *boot = mg_rec_str(c->rec, "boot", "");

	if (strlen(boot) >= sizeof(c->st->boot))
		return MG_ERR_FORMAT;
	memcpy(c->st->boot, boot, strlen(boot) + 1);
	c->st->last_bt = c->bt;
	c->st->last_wall = c->wall;
	return MG_ERR_OK;
}

struct handler {
	const char *type;
	enum mg_err (*fn)(struct apply_ctx *c);
};

static const struct handler restorers[] = {
    {"request", restore_request},
    {"decision", restore_decision},
    {"run", restore_run},
    {"session-open", apply_session_open},
    {"factor", restore_factor},
    {"guarded", restore_guarded},
    {"token-set", restore_set},
    {"clock", restore_clock},
    {"model-now", restore_model},
    {"past-fact", restore_past},
    {"past-key", restore_past},
    {"past-grants", restore_past},
    {"past-full", restore_past},
    {NULL, NULL},
};

/* MG_ERR_FORMAT when no handler in v takes it. */
static enum mg_err
handle(struct apply_ctx *c, const struct handler *v)
{
	const char *type = mg_rec_str(c->rec, "type", "");

	c->bt = mg_rec_int(c->rec, "bt", -1);
	if (c->bt < 0 || mg_time_parse(mg_rec_str(c->rec, "at", ""), 0,
			     &c->wall) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	for (; v->type != NULL; v++)
		if (strcmp(v->type, type) == 0)
			return v->fn(c);
	return MG_ERR_FORMAT;
}

enum mg_err
mg_state_restore(struct mg_state *st, const struct mg_rec *rec)
{
	struct apply_ctx c = {.st = st, .rec = rec};

	return handle(&c, restorers);
}

static const struct handler handlers[] = {
    {"request", apply_request},
    {"refused", apply_refused},
    {"mfa", apply_mfa},
    {"decision", apply_decision},
    {"grant", apply_grant},
    {"run", apply_run},
    {"exit", apply_exit},
    {"empty", apply_empty},
    {"model", apply_model},
    {"end", apply_end},
    {"session-open", apply_session_open},
    {"session-close", apply_session_close},
    {"start", apply_start},
    {"rejected", apply_nothing},
    {"access", apply_access},
    {"review", apply_review},
    {"waiver", apply_waiver},
    {"policy", apply_policy},
    {"tokens", apply_tokens},
    {"outage", apply_nothing},
    {"clock", apply_nothing},
    {"enroll", apply_nothing},
    {"unenroll", apply_nothing},
    {"link", apply_nothing},
    {"tick", apply_nothing},
    {"stop", apply_nothing},
    {"segment", apply_nothing},
    {"witness", apply_nothing},
    {"discard", apply_nothing},
    {"prune", apply_nothing},
    {NULL, NULL},
};

enum mg_err
mg_state_apply(struct mg_state *st, const struct mg_rec *rec)
{
	struct apply_ctx c = {.st = st, .rec = rec};
	enum mg_err r;

	if ((r = handle(&c, handlers)) == MG_ERR_OK) {
		st->last_bt = c.bt;
		st->last_wall = c.wall;
	}
	return r;
}

/* ---- looking ---- */

struct mg_req *
mg_state_live(const struct mg_state *st)
{
	return st->live.first;
}

struct mg_req *
mg_state_ended(const struct mg_state *st)
{
	return st->ended.first;
}

size_t
mg_state_live_count(const struct mg_state *st)
{
	return st->live.n;
}

struct mg_req *
mg_state_granted(const struct mg_state *st)
{
	return st->granted.first;
}

struct mg_req *
mg_state_own_pending(const struct mg_state *st, uint32_t uid)
{
	const struct mg_req_owner *o = owner_of(st, uid);

	return o == NULL ? NULL : o->pending.first;
}

struct mg_req *
mg_state_own_granted(const struct mg_state *st, uint32_t uid)
{
	const struct mg_req_owner *o = owner_of(st, uid);

	return o == NULL ? NULL : o->granted.first;
}

size_t
mg_state_live_count_of(const struct mg_state *st, uint32_t uid)
{
	const struct mg_req_owner *o = owner_of(st, uid);

	return o == NULL ? 0 : o->pending.n + o->granted.n;
}

const struct mg_session *
mg_state_session(const struct mg_state *st, uint32_t ses)
{
	const struct mg_session *s;

	for (s = st->sessions; s != NULL; s = s->next)
		if (s->ses == ses)
			return s;
	return NULL;
}

const struct mg_session *
mg_state_sessions(const struct mg_state *st)
{
	return st->sessions;
}

const struct mg_factor *
mg_state_factor(const struct mg_state *st, const char *user)
{
	const struct mg_factor *f;

	for (f = st->factors; f != NULL; f = f->next)
		if (strcmp(f->user, user) == 0)
			return f->fails > 0 ? f : NULL;
	return NULL;
}

const struct mg_factor *
mg_state_token_guesses(const struct mg_state *st, const char *user)
{
	char name[160];

	snprintf(name, sizeof(name), GUESSER, user);
	return mg_state_factor(st, name);
}

const struct mg_token_set *
mg_state_set(const struct mg_state *st, const char *name)
{
	size_t i = set_index(st, name);

	return i == MG_SETS_MAX ? NULL : &st->sets[i];
}

const struct mg_token_set *
mg_state_sets(const struct mg_state *st)
{
	return st->sets;
}

int64_t
mg_state_passed_bt(const struct mg_state *st, const char *user, uint32_t ses)
{
	const struct mg_factor *f;
	size_t i;

	for (f = st->factors; f != NULL; f = f->next) {
		if (strcmp(f->user, user) != 0)
			continue;
		for (i = 0; i < MG_FACTOR_SESSIONS; i++)
			if (f->passed[i].at_bt != 0 && f->passed[i].ses == ses)
				return f->passed[i].at_bt;
	}
	return 0;
}

const struct mg_models *
mg_state_models(const struct mg_state *st)
{
	return st->models;
}

struct mg_past *
mg_state_past(const struct mg_state *st)
{
	return st->past;
}

const struct mg_guarded *
mg_state_guarded(const struct mg_state *st)
{
	return &st->guarded;
}
