/* SPDX-License-Identifier: ISC */
/*
 * The fold over the ledger: which records there are, and what they change.
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
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "state_int.h"

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

bool
mg_state_is_live(enum mg_req_state s)
{
	return s == MG_REQ_PENDING || s == MG_REQ_GRANTED;
}

bool
mg_req_is_live(const struct mg_req *req)
{
	return mg_state_is_live(req->live.state);
}

enum mg_req_state
mg_state_from_word(const char *w)
{
	size_t i;

	for (i = 1; i < MG_REQ_STATE_COUNT; i++)
		if (strcmp(state_words[i], w) == 0)
			return (enum mg_req_state)i;
	return MG_REQ_NONE;
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

void
mg_state_free(struct mg_state *st)
{
	struct mg_req *req;
	struct mg_session *s;
	struct mg_factor *f;
	struct mg_state_undo *u;

	if (st == NULL)
		return;
	while ((u = st->undo) != NULL) {
		st->undo = u->next;
		free(u);
	}
	while ((req = st->live.first) != NULL) {
		mg_state_unlist(st, req);
		mg_state_req_free(st, req);
	}
	while ((req = st->ended.first) != NULL) {
		mg_state_unlist(st, req);
		mg_state_req_free(st, req);
	}
	while ((s = st->sessions) != NULL) {
		st->sessions = s->next;
		mg_state_session_free(s);
	}
	mg_state_free_accesses(st);
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

void
mg_state_keep_digest(char to[MG_STATE_DIGEST], const char *digest)
{
	if (strlen(digest) < MG_STATE_DIGEST)
		memcpy(to, digest, strlen(digest) + 1);
}

void
mg_state_raise_to(uint64_t *version, int64_t v)
{
	if (v > 0 && (uint64_t)v > *version)
		*version = (uint64_t)v;
}

/* A version is used once, so the highest stays when less is in force. */
static enum mg_err
apply_policy(struct mg_state_ctx *c)
{
	const char *what = mg_rec_str(c->rec, "what", "policy");
	const char *digest = mg_rec_str(c->rec, "digest", "");
	int64_t version = mg_rec_int(c->rec, "version", 0);
	struct mg_guarded *g = &c->st->guarded;

	if (!mg_rec_bool(c->rec, "ok"))
		return MG_ERR_OK;
	if (!mg_state_save_for_undo(c->st, g, sizeof(*g), NULL))
		return MG_ERR_NOMEM;
	if (strcmp(what, "policy") == 0) {
		g->is_signed = mg_rec_bool(c->rec, "signed");
		mg_state_keep_digest(g->policy, digest);
		mg_state_raise_to(&g->policy_version, version);
		if (!g->is_signed)
			g->signers[0] = '\0';
	} else if (strcmp(what, "allowed_signers") == 0) {
		mg_state_keep_digest(g->signers, digest);
		mg_state_raise_to(&g->signers_version, version);
	}
	return MG_ERR_OK;
}

static enum mg_err
apply_model(struct mg_state_ctx *c)
{
	struct mg_models *ms = c->st->models;
	struct mg_model *m;

	m = mg_models_find(ms, mg_rec_str(c->rec, "model", ""), true);
	if (m == NULL)
		return mg_models_are_full(ms) ? MG_ERR_OK : MG_ERR_NOMEM;
	/* Saved up to the link to the next, which is not to be undone. */
	if (!mg_state_save_for_undo(
		c->st, m, offsetof(struct mg_model, next), NULL))
		return MG_ERR_NOMEM;
	mg_model_apply(m, c->rec, c->wall);
	return MG_ERR_OK;
}

static enum mg_err
apply_nothing(struct mg_state_ctx *c)
{
	(void)c;
	return MG_ERR_OK;
}

/* MG_ERR_FORMAT when no handler in v takes it. */
enum mg_err
mg_state_handle(struct mg_state_ctx *c, const struct mg_state_handler *v)
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

static const struct mg_state_handler handlers[] = {
    {"request", mg_state_apply_request},
    {"refused", mg_state_apply_refused},
    {"mfa", mg_state_apply_mfa},
    {"decision", mg_state_apply_decision},
    {"grant", mg_state_apply_grant},
    {"run", mg_state_apply_run},
    {"exit", mg_state_apply_exit},
    {"empty", mg_state_apply_empty},
    {"model", apply_model},
    {"end", mg_state_apply_end},
    {"session-open", mg_state_apply_session_open},
    {"session-close", mg_state_apply_session_close},
    {"start", mg_state_apply_start},
    {"rejected", apply_nothing},
    {"access", mg_state_apply_access},
    {"access-end", mg_state_apply_access_end},
    {"review", mg_state_apply_review},
    {"waiver", mg_state_apply_waiver},
    {"policy", apply_policy},
    {"tokens", mg_state_apply_tokens},
    {"outage", apply_nothing},
    {"clock", apply_nothing},
    {"enroll", apply_nothing},
    {"unenroll", apply_nothing},
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
	struct mg_state_ctx c = {.st = st, .rec = rec};
	enum mg_err r;

	if ((r = mg_state_handle(&c, handlers)) == MG_ERR_OK) {
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
	const struct mg_req_owner *o = mg_state_owner(st, uid);

	return o == NULL ? NULL : o->pending.first;
}

struct mg_req *
mg_state_own_granted(const struct mg_state *st, uint32_t uid)
{
	const struct mg_req_owner *o = mg_state_owner(st, uid);

	return o == NULL ? NULL : o->granted.first;
}

size_t
mg_state_live_count_of(const struct mg_state *st, uint32_t uid)
{
	const struct mg_req_owner *o = mg_state_owner(st, uid);

	return o == NULL ? 0 : o->pending.n + o->granted.n;
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
