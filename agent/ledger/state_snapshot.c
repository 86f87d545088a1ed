/* SPDX-License-Identifier: ISC */
/* Snapshots: the fold as lines, and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_json.h"
#include "mg_time.h"
#include "state_int.h"

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
snap_list(
    struct mg_buf *b, const struct mg_req_list *l, const struct mg_state *st)
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

/* One that was undone, or that a code has made good. */
static bool
is_blank(const struct mg_factor *f)
{
	size_t i;

	for (i = 0; i < MG_FACTOR_SESSIONS; i++)
		if (f->passed[i].at_bt != 0)
			return false;
	return f->fails == 0 && f->locked_until_bt == 0;
}

static enum mg_err
snap_factor(
    struct mg_buf *b, const struct mg_factor *f, const struct mg_state *st)
{
	size_t start = mg_buf_len(b), i;
	char text[24];
	struct mg_json j;

	if (is_blank(f))
		return MG_ERR_OK;
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
		if (mg_model_is_blank(m))
			continue;
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

/* Their order means nothing. */
static enum mg_err
snap_accesses(struct mg_buf *b, const struct mg_state *st)
{
	const struct mg_access *a = mg_state_access(st, NULL);
	enum mg_err r = MG_ERR_OK;
	struct mg_json j;
	size_t start;

	for (; a != NULL && r == MG_ERR_OK; a = mg_state_access(st, a)) {
		start = mg_buf_len(b);
		snap_begin(&j, b, "access-now", st->last_wall, st->last_bt);
		mg_json_str(&j, "uuid", a->uuid);
		mg_json_str(&j, "user", a->user);
		mg_json_str(&j, "operation", a->operation);
		mg_json_int(&j, "pid", a->pid);
		mg_json_int(&j, "start", a->start);
		r = snap_end(&j, b, start);
	}
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
	    (r = snap_accesses(b, st)) != MG_ERR_OK ||
	    (r = snap_list(b, &st->ended, st)) != MG_ERR_OK ||
	    (r = snap_list(b, &st->live, st)) != MG_ERR_OK)
		return r;
	return snap_clock(b, st);
}

static enum mg_err
restore_request(struct mg_state_ctx *c)
{
	enum mg_req_state state =
	    mg_state_from_word(mg_rec_str(c->rec, "state", ""));
	struct mg_req_live *live;
	struct mg_req *req;
	enum mg_err r;

	if (state == MG_REQ_NONE)
		return MG_ERR_FORMAT;
	if ((r = mg_state_new_request(c, state, &req)) != MG_ERR_OK)
		return r;
	live = &req->live;
	if (mg_rec_str(c->rec, "by", "")[0] != '\0' &&
	    !mg_state_keep(req, c->rec, "by", &live->ended_by))
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
restore_decision(struct mg_state_ctx *c)
{
	struct mg_req *req =
	    mg_state_find(c->st, mg_rec_str(c->rec, "uuid", ""));

	return req == NULL ? MG_ERR_STATE : mg_state_keep_decision(c, req);
}

static enum mg_err
restore_run(struct mg_state_ctx *c)
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
restore_factor(struct mg_state_ctx *c)
{
	const char *const *passed;
	struct mg_factor *f;
	size_t n, i;
	enum mg_err r;

	r = mg_state_factor_of(c->st, mg_rec_str(c->rec, "user", ""), &f);
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
restore_past(struct mg_state_ctx *c)
{
	return mg_past_restore(c->st->past, c->rec);
}

static enum mg_err
restore_model(struct mg_state_ctx *c)
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
restore_guarded(struct mg_state_ctx *c)
{
	struct mg_guarded *g = &c->st->guarded;

	g->is_signed = mg_rec_bool(c->rec, "signed");
	mg_state_keep_digest(g->policy, mg_rec_str(c->rec, "policy", ""));
	mg_state_keep_digest(g->signers, mg_rec_str(c->rec, "signers", ""));
	mg_state_raise_to(
	    &g->policy_version, mg_rec_int(c->rec, "policy_version", 0));
	mg_state_raise_to(
	    &g->signers_version, mg_rec_int(c->rec, "signers_version", 0));
	return MG_ERR_OK;
}

static enum mg_err
restore_set(struct mg_state_ctx *c)
{
	struct mg_state *st = c->st;
	int64_t state = mg_rec_int(c->rec, "state", 0);
	struct mg_token_set *s;

	if (st->sets_made == MG_SETS_MAX)
		return MG_ERR_LIMIT;
	s = &st->sets[st->sets_made];
	if (state < MG_SET_GOOD || state > MG_SET_VOID ||
	    !mg_state_fill_set(s, c->rec))
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
restore_clock(struct mg_state_ctx *c)
{
	const char *boot = mg_rec_str(c->rec, "boot", "");

	if (strlen(boot) >= sizeof(c->st->boot))
		return MG_ERR_FORMAT;
	memcpy(c->st->boot, boot, strlen(boot) + 1);
	c->st->last_bt = c->bt;
	c->st->last_wall = c->wall;
	return MG_ERR_OK;
}

static const struct mg_state_handler restorers[] = {
    {"request", restore_request},
    {"decision", restore_decision},
    {"run", restore_run},
    {"session-open", mg_state_apply_session_open},
    {"factor", restore_factor},
    {"guarded", restore_guarded},
    {"token-set", restore_set},
    {"access-now", mg_state_add_access},
    {"clock", restore_clock},
    {"model-now", restore_model},
    {"past-fact", restore_past},
    {"past-key", restore_past},
    {"past-grants", restore_past},
    {"past-full", restore_past},
    {NULL, NULL},
};

enum mg_err
mg_state_restore(struct mg_state *st, const struct mg_rec *rec)
{
	struct mg_state_ctx c = {.st = st, .rec = rec};

	return mg_state_handle(&c, restorers);
}
