/* SPDX-License-Identifier: ISC */
/* Records about requests: filed, decided, granted, run, ended, reviewed; and
 * what of them is remembered. */
#include <stdlib.h>
#include <string.h>

#include "state_int.h"

#define APPROVALS_STEP 4
#define SERVED "served" /* in the past, as an operation */
#define REVIEWS_MAX 8

static bool
save_live(struct mg_state *st, struct mg_req *req)
{
	return mg_state_save_for_undo(st, &req->live, sizeof(req->live), req);
}

static int64_t
add_capped(int64_t a, int64_t b)
{
	return b > INT64_MAX / 4 ? INT64_MAX / 2 : a + b;
}

static bool
fill_request(struct mg_req *req, const struct mg_rec *rec)
{
	return mg_state_keep(req, rec, "user", &req->user) &&
	       mg_state_keep(req, rec, "tty", &req->tty) &&
	       mg_state_keep(req, rec, "origin", &req->origin) &&
	       mg_state_keep(req, rec, "operation", &req->operation) &&
	       mg_state_keep(req, rec, "model", &req->model) &&
	       mg_state_keep(req, rec, "version", &req->version) &&
	       mg_state_keep(req, rec, "run_as", &req->run_as) &&
	       mg_state_keep(req, rec, "cwd", &req->cwd) &&
	       mg_state_keep(req, rec, "artifact", &req->artifact) &&
	       mg_state_keep(req, rec, "digest", &req->digest) &&
	       mg_state_keep(req, rec, "effect", &req->effect) &&
	       mg_state_keep(req, rec, "serves", &req->serves) &&
	       mg_state_keep(req, rec, "reason", &req->reason) &&
	       mg_state_keep(req, rec, "ticket", &req->ticket) &&
	       mg_state_keep(req, rec, "policy", &req->policy) &&
	       mg_state_keep(req, rec, "nonce", &req->nonce) &&
	       mg_state_keep(req, rec, "rule", &req->rule) &&
	       mg_state_keep(req, rec, "text", &req->text) &&
	       mg_state_keep(req, rec, "remedy", &req->remedy) &&
	       mg_state_keep(req, rec, "key_type", &req->key_type) &&
	       mg_state_keep_list(req, rec, "args", &req->args, &req->nargs) &&
	       mg_state_keep_list(req, rec, "argv", &req->argv, &req->argc) &&
	       mg_state_keep(req, rec, "waive", &req->waive) &&
	       mg_state_keep_list(
		   req, rec, "review", &req->review, &req->nreview) &&
	       mg_state_keep_list(req, rec, "need", &req->need, &req->nneed);
}

enum mg_err
mg_state_new_request(
    struct mg_state_ctx *c, enum mg_req_state state, struct mg_req **reqp)
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
	if (!mg_state_own(c->st, req) || !fill_request(req, c->rec) ||
	    !mg_state_save_for_undo(c->st, NULL, 0, req)) {
		mg_state_req_free(c->st, req);
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
	mg_state_hash_add(c->st, req);
	mg_state_relist(c->st, req);
	*reqp = req;
	return MG_ERR_OK;
}

enum mg_err
mg_state_apply_request(struct mg_state_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_new_request(c, MG_REQ_PENDING, &req)) == MG_ERR_OK)
		req->live.approve_by_bt = add_capped(c->bt, req->approve_ms);
	return r;
}

enum mg_err
mg_state_apply_refused(struct mg_state_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_new_request(c, MG_REQ_DENIED, &req)) != MG_ERR_OK)
		return r;
	req->live.why = mg_why_from_word(mg_rec_str(c->rec, "why", ""));
	req->live.ended_ms = c->wall;
	return MG_ERR_OK;
}

/* The request that a record is about, saved for undo. */
enum mg_err
mg_state_subject(struct mg_state_ctx *c, struct mg_req **reqp)
{
	*reqp = mg_state_find(c->st, mg_rec_str(c->rec, "uuid", ""));
	if (*reqp == NULL)
		return MG_ERR_STATE;
	return save_live(c->st, *reqp) ? MG_ERR_OK : MG_ERR_NOMEM;
}

/* Room for one more. What was there stays: an undo may go back to it. */
static bool
more_approvals(struct mg_req *req)
{
	size_t n = req->live.napprovals;
	struct mg_approval *v;

	if (n < req->live.approvals_cap)
		return true;
	v = mg_state_alloc(req, (n + APPROVALS_STEP) * sizeof(*v));
	if (v == NULL)
		return false;
	if (n > 0)
		memcpy(v, req->live.approvals, n * sizeof(*v));
	req->live.approvals = v;
	req->live.approvals_cap = n + APPROVALS_STEP;
	return true;
}

enum mg_err
mg_state_keep_decision(struct mg_state_ctx *c, struct mg_req *req)
{
	struct mg_approval *a;

	if (req->live.napprovals == MG_APPROVALS_MAX)
		return MG_ERR_LIMIT;
	if (!more_approvals(req))
		return MG_ERR_NOMEM;
	a = &req->live.approvals[req->live.napprovals];
	if (!mg_state_keep(req, c->rec, "approver", &a->approver) ||
	    !mg_state_keep(req, c->rec, "person", &a->person) ||
	    !mg_state_keep(req, c->rec, "note", &a->note) ||
	    !mg_state_keep(req, c->rec, "key_fp", &a->key_fp))
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
	if (!mg_state_save_for_undo(st, f, sizeof(*f), NULL))
		return MG_ERR_NOMEM;
	if (approved)
		f->approved++;
	else
		f->did++;
	return MG_ERR_OK;
}

static enum mg_err
note_grant(struct mg_state_ctx *c, const char *user, const char *operation,
    int64_t bytes)
{
	struct mg_past_event *ev;

	if ((ev = mg_past_add(c->st->past, user, operation)) == NULL)
		return mg_past_is_full(c->st->past) ? MG_ERR_OK : MG_ERR_NOMEM;
	if (!mg_state_save_for_undo(c->st, ev, sizeof(*ev), NULL))
		return MG_ERR_NOMEM;
	ev->at_ms = c->wall;
	ev->bytes = bytes;
	ev->is_real = true;
	return MG_ERR_OK;
}

static enum mg_err
note_granted(struct mg_state_ctx *c, const struct mg_req *req)
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
enum mg_err
mg_state_apply_access(struct mg_state_ctx *c)
{
	enum mg_err r;

	if (mg_state_find(c->st, mg_rec_str(c->rec, "uuid", "")) != NULL)
		return MG_ERR_OK;
	if (mg_rec_int(c->rec, "pid", 0) > 0 &&
	    (r = mg_state_add_access(c)) != MG_ERR_OK)
		return r;
	return note_grant(c, mg_rec_str(c->rec, "user", ""),
	    mg_rec_str(c->rec, "operation", ""), 0);
}

enum mg_err
mg_state_apply_decision(struct mg_state_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING)
		return MG_ERR_STATE;
	return mg_state_keep_decision(c, req);
}

enum mg_err
mg_state_apply_grant(struct mg_state_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	if (!mg_req_may_go(req->live.state, MG_REQ_GRANTED))
		return MG_ERR_STATE; /* Rule 1 */
	req->live.state = MG_REQ_GRANTED;
	mg_state_relist(c->st, req);
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

enum mg_err
mg_state_apply_run(struct mg_state_ctx *c)
{
	struct mg_run_state *run;
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
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
note_served(struct mg_state_ctx *c, const struct mg_req *req)
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
	if (!mg_state_save_for_undo(c->st, f, sizeof(*f), NULL))
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

bool
mg_req_is_open(const struct mg_req *req)
{
	return req->live.state == MG_REQ_PENDING || mg_req_wants_review(req);
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

enum mg_err
mg_state_apply_waiver(struct mg_state_ctx *c)
{
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING)
		return MG_ERR_STATE;
	req->live.waived = true;
	return MG_ERR_OK;
}

enum mg_err
mg_state_apply_review(struct mg_state_ctx *c)
{
	const char *const *roles;
	struct mg_req *req;
	size_t n, i, j;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
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

enum mg_err
mg_state_apply_exit(struct mg_state_ctx *c)
{
	struct mg_run_state *run;
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	run = find_run(req, (uint32_t)mg_rec_int(c->rec, "run", 0));
	if (run == NULL || run->run == 0 || run->exited)
		return MG_ERR_STATE;
	run->exited = true;
	return note_served(c, req);
}

enum mg_err
mg_state_apply_empty(struct mg_state_ctx *c)
{
	struct mg_run_state *run;
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	run = find_run(req, (uint32_t)mg_rec_int(c->rec, "run", 0));
	if (run == NULL || run->run == 0)
		return MG_ERR_STATE;
	memset(run, 0, sizeof(*run));
	req->live.nruns--;
	return MG_ERR_OK;
}

enum mg_err
mg_state_apply_end(struct mg_state_ctx *c)
{
	enum mg_req_state to;
	struct mg_req *req;
	enum mg_err r;

	to = mg_state_from_word(mg_rec_str(c->rec, "state", ""));
	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	if (to == MG_REQ_GRANTED || !mg_req_may_go(req->live.state, to))
		return MG_ERR_STATE; /* Rule 1 */
	if (!mg_state_keep(req, c->rec, "by", &req->live.ended_by))
		return MG_ERR_NOMEM;
	req->live.state = to;
	req->live.why = mg_why_from_word(mg_rec_str(c->rec, "why", ""));
	req->live.ended_ms = c->wall;
	mg_state_relist(c->st, req);
	return MG_ERR_OK;
}
