/* SPDX-License-Identifier: ISC */
/*
 * The life of a request that is on record: decisions come in, it is granted,
 * it ends.
 *
 * Rules
 * 1. Nothing is believed for long: at the grant and at every run people,
 *    policy and quorum are looked at again (DESIGN, promise 2).
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define RETRY_END_MS 1000
#define RECONSIDER_EACH 64 /* requests at a time */

/* ---- small things ---- */

struct mon_req_rt *
mon_req_rt(struct mg_req *req)
{
	if (req->runtime == NULL &&
	    (req->runtime = calloc(1, sizeof(struct mon_req_rt))) == NULL)
		mg_fatal("out of memory");
	return req->runtime;
}

size_t
mon_req_approvers(const struct mg_req *req, const char **out, size_t max)
{
	size_t i, n = 0;

	for (i = 0; i < req->live.napprovals && n < max; i++)
		if (req->live.approvals[i].approve)
			out[n++] = req->live.approvals[i].approver;
	return n;
}

/* "deploy fraud-scorer@12" */
void
mon_req_subject(const char *operation, const char *model, const char *version,
    char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s%s", operation,
	    model[0] != '\0' ? " " : "", model, version[0] != '\0' ? "@" : "",
	    version);
}

void
mon_rule_text(const struct mg_verdict *v, char *out, size_t size)
{
	out[0] = '\0';
	if (v->nrules > 0)
		snprintf(
		    out, size, "%s (%s)", v->rules[0].name, v->rules[0].where);
}

bool
mon_req_is_overdue(const struct mg_req *req)
{
	int64_t now = mg_time_boot_ms();

	if (req->live.state == MG_REQ_PENDING)
		return req->live.approve_by_bt <= now;
	return req->live.ends_bt <= now ||
	       (req->live.used == 0 && req->live.start_by_bt <= now);
}

/* ---- the grant ---- */

/* A request named across an asynchronous step. */
struct handle {
	struct mon *m;
	char uuid[MG_UUID_STR];
	enum mg_why why;
	void (*then)(void *arg, enum mg_why failed); /* of an end; or NULL */
	void *then_arg;
};

static struct handle *
handle_new(struct mon *m, const struct mg_req *req)
{
	struct handle *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		mg_fatal("out of memory");
	h->m = m;
	memcpy(h->uuid, req->uuid, sizeof(h->uuid));
	return h;
}

static void
granted(void *arg, enum mg_why why)
{
	struct handle *h = arg;
	struct mon *m = h->m;
	struct mg_req *req = mg_state_find(m->state, h->uuid);
	struct mon_job *job;

	free(h);
	if (req == NULL)
		return;
	mon_req_rt(req)->granting = false;
	if (why != MG_WHY_NONE) {
		if (req->live.state == MG_REQ_GRANTED)
			mon_req_end(m, req, MG_REQ_REVOKED, why, "");
		else if (req->live.state == MG_REQ_PENDING)
			mon_req_end(m, req, MG_REQ_DENIED, why, "");
		return;
	}
	if (req->live.state != MG_REQ_GRANTED)
		return;
	mg_log(MG_EVT_GRANT, "req=%s user=%s op=%s model=%s", req->code,
	    req->user, req->operation, req->model);
	mon_req_arm(m, req);
	if (mg_req_wants_review(req))
		mon_hub_put(m, req);
	else
		mon_hub_state(m, req);
	if ((job = mon_req_rt(req)->job) != NULL) {
		job->waiting = false;
		mon_job_granted(job);
	}
}

/* Whether the command is still the one that was approved. */
static bool
same_command(struct mon *m, const struct mg_req *req)
{
	const struct mg_operation *op;
	char *argv[MON_ARGV_MAX + 1] = {NULL}, artifact[1024] = "";
	char store[sizeof(MON_STORE_DIR) + MON_COPY_NAME];
	struct mg_expand x = {.user = req->user,
	    .model = req->model,
	    .version = req->version,
	    .args = req->args,
	    .nargs = req->nargs,
	    .artifact = store};
	const char *what;
	size_t argc = 0, i;
	bool same;

	op = mg_policy_operation(m->policy, req->operation);
	if (op == NULL || op->argc == 0)
		return req->argc == 0;
	(void)mon_store_path(req->digest, store, sizeof(store));
	if (mg_operation_argv(op, &x, argv, MON_ARGV_MAX, &argc, &what) !=
	    MG_ERR_OK)
		return false;
	(void)!mg_operation_artifact(op, &x, artifact, sizeof(artifact));
	same = argc == req->argc &&
	       strcmp(mon_or_empty(op->run_as), req->run_as) == 0 &&
	       strcmp(op->cwd == NULL ? "/" : op->cwd, req->cwd) == 0 &&
	       strcmp(artifact, req->artifact) == 0;
	for (i = 0; i < argc; i++) {
		same = same && strcmp(argv[i], req->argv[i]) == 0;
		free(argv[i]);
	}
	return same;
}

bool
mon_req_is_bound(struct mon *m, const struct mg_req *req)
{
	const struct mg_operation *op;

	op = mg_policy_operation(m->policy, req->operation);
	return op != NULL && op->takes_artifact;
}

enum mg_why
mon_req_recheck(struct mon *m, const struct mg_req *req)
{
	struct mg_verdict v;
	struct mg_quorum q;

	if (!mon_req_today(m, req, &v)) /* Rule 1 */
		return mon_req_late_why(&v);
	if (!same_command(m, req) || (v.mfa && !req->live.mfa_done) ||
	    (v.confirm_number && !req->confirm))
		return MG_WHY_POLICY_CHANGED;
	mon_req_quorum(m, req, &v, &q);
	return v.nslots > 0 && !q.satisfied && !mon_outage_waives(m, req, &v)
		   ? MG_WHY_APPROVAL_NEEDED
		   : MG_WHY_NONE;
}

/* In front of the grant, and loud: an anomaly of its own. */
static void
record_waiver(struct mon *m, const struct mg_req *req, struct mon_txn *t)
{
	struct mg_verdict v;
	struct mg_quorum q;
	struct mg_json *j;

	if (!mon_req_today(m, req, &v) || v.nslots == 0)
		return;
	mon_req_quorum(m, req, &v, &q);
	if (q.satisfied)
		return;
	j = mon_rec_begin(t, "waiver");
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(
	    j, "waive", req->waive[0] != '\0' ? req->waive : "served-before");
	mg_json_strv(j, "need", req->need, req->nneed);
	mon_rec_end(t);
}

static void
grant_checked(void *arg)
{
	struct handle *h = arg;
	struct mon *m = h->m;
	struct mg_req *req = mg_state_find(m->state, h->uuid);
	struct mon_txn *t;
	struct mg_json *j;
	enum mg_why why;

	if (req == NULL || req->live.state != MG_REQ_PENDING) {
		if (req != NULL)
			mon_req_rt(req)->granting = false;
		free(h);
		return;
	}
	why = mon_req_is_overdue(req) ? MG_WHY_APPROVE_TIMEOUT
				      : mon_req_recheck(m, req);
	if (why != MG_WHY_NONE) {
		mon_req_rt(req)->granting = false;
		free(h);
		/* A quorum that is no longer one waits for another approver;
		 * the rest is final. */
		if (why == MG_WHY_APPROVE_TIMEOUT)
			mon_req_end(m, req, MG_REQ_TIMEDOUT, why, "");
		else if (why != MG_WHY_APPROVAL_NEEDED)
			mon_req_end(m, req, MG_REQ_DENIED, why, "");
		return;
	}
	t = mon_txn_begin(m);
	record_waiver(m, req, t);
	j = mon_rec_begin(t, "grant");
	mg_json_str(j, "uuid", req->uuid);
	mon_rec_end(t);
	mon_txn_commit(t, granted, h);
}

void
mon_req_fetch_names(
    struct mon *m, const struct mg_req *req, const char **out, size_t *np)
{
	size_t n;

	(void)m;
	n = mon_req_approvers(req, out, MG_APPROVALS_MAX);
	out[n++] = req->user;
	if (req->run_as[0] != '\0')
		out[n++] = req->run_as;
	*np = n;
}

void
mon_req_advance(struct mon *m, struct mg_req *req)
{
	char note[400];
	struct mon_req_rt *rt = mon_req_rt(req);
	const char *names[MG_APPROVALS_MAX + 2];
	struct mg_verdict v;
	struct mg_quorum q;
	struct handle *h;
	size_t n;

	if (req->live.state != MG_REQ_PENDING || rt->granting ||
	    (req->mfa && !req->live.mfa_done) ||
	    (rt->job != NULL && rt->job->asking))
		return;
	if (!mon_req_today(m, req, &v)) {
		mon_req_end(m, req, MG_REQ_DENIED, mon_req_late_why(&v), "");
		return;
	}
	mon_req_quorum(m, req, &v, &q);
	if (v.nslots > 0 && !q.satisfied && !mon_outage_waives(m, req, &v)) {
		if (!rt->at_hub)
			mon_hub_put(m, req);
		else
			mon_hub_state(m, req);
		mon_outage_text(m, note, sizeof(note));
		if (rt->job != NULL && rt->job->waiting)
			mon_job_tell_pending(rt->job, note);
		return;
	}
	mon_req_fetch_names(m, req, names, &n);
	h = handle_new(m, req);
	rt->granting = true;
	if (mon_people_fetch(m, names, n, MG_PROC_UNSET, grant_checked, h) ==
	    MG_ERR_OK)
		return;
	rt->granting = false;
	free(h);
	mon_req_end(m, req, MG_REQ_DENIED, MG_WHY_INTERNAL, "");
}

/* ---- the end ---- */

static void
on_deadline(void *arg)
{
	struct handle *h = arg;
	struct mon *m = h->m;
	struct mg_req *req = mg_state_find(m->state, h->uuid);
	int64_t now = mg_time_boot_ms();

	free(h);
	if (req == NULL)
		return;
	mon_req_rt(req)->timer.arg = NULL;
	if (!mg_req_is_live(req) || !mon_req_is_overdue(req)) {
		mon_req_arm(m, req);
		return;
	}
	if (req->live.state == MG_REQ_PENDING)
		mon_req_end(
		    m, req, MG_REQ_TIMEDOUT, MG_WHY_APPROVE_TIMEOUT, "");
	else
		mon_req_end(m, req, MG_REQ_EXPIRED,
		    req->live.ends_bt <= now ? MG_WHY_EXPIRED
					     : MG_WHY_START_TIMEOUT,
		    "");
}

static void
disarm(struct mon *m, struct mg_req *req)
{
	struct mon_req_rt *rt = mon_req_rt(req);

	if (rt->timer.slot == 0)
		return;
	mg_timer_clear(m->loop, &rt->timer);
	free(rt->timer.arg);
	rt->timer.arg = NULL;
}

void
mon_req_arm(struct mon *m, struct mg_req *req)
{
	int64_t at;

	disarm(m, req);
	if (!mg_req_is_live(req))
		return;
	if (req->live.state == MG_REQ_PENDING)
		at = req->live.approve_by_bt;
	else if (req->live.used == 0 &&
		 req->live.start_by_bt < req->live.ends_bt)
		at = req->live.start_by_bt;
	else
		at = req->live.ends_bt;
	mon_timer_set(
	    m, &mon_req_rt(req)->timer, at, on_deadline, handle_new(m, req));
}

/* What a client that waits is told when its request ends. */
static void
tell_end(struct mon *m, struct mg_req *req, enum mg_why why)
{
	struct mon_job *job = mon_req_rt(req)->job;
	char text[700], what[300];
	struct mg_verdict v;
	size_t i;

	if (job == NULL)
		return;
	mon_req_subject(
	    req->operation, req->model, req->version, what, sizeof(what));
	snprintf(text, sizeof(text), "%s: %s", what, mg_why_sentence(why));
	for (i = 0; why == MG_WHY_APPROVER_DENIED && i < req->live.napprovals;
	     i++)
		if (!req->live.approvals[i].approve)
			snprintf(text, sizeof(text), "%s: %s said no: %s", what,
			    req->live.approvals[i].approver,
			    req->live.approvals[i].note);
	/* A limit that was reached meanwhile: which one. */
	v.remedy[0] = '\0';
	if (why == MG_WHY_LIMIT || why == MG_WHY_SEPARATION ||
	    why == MG_WHY_KEY_NEEDED)
		(void)mon_req_today(m, req, &v);
	mon_reply_refused(
	    job->client, why, req->code, req->rule, text, v.remedy);
	mon_job_free(job);
}

static void
ended(void *arg, enum mg_why failed)
{
	struct handle *h = arg;
	struct mon *m = h->m;
	struct mg_req *req = mg_state_find(m->state, h->uuid);
	enum mg_why why = h->why;
	void (*then)(void *arg, enum mg_why failed) = h->then;
	void *then_arg = h->then_arg;

	free(h);
	if (req == NULL) {
		if (then != NULL)
			then(then_arg, failed);
		return;
	}
	/* The effect of an end is that things stop: that does not wait for a
	 * record that cannot be written. The record is tried again. */
	mon_run_kill_all(m, req, why);
	if (failed != MG_WHY_NONE && mg_req_is_live(req)) {
		disarm(m, req);
		mon_timer_set(m, &mon_req_rt(req)->timer,
		    mg_time_boot_ms() + RETRY_END_MS, on_deadline,
		    handle_new(m, req));
	} else {
		disarm(m, req);
		mg_log(MG_EVT_END, "req=%s user=%s state=%s why=%s", req->code,
		    req->user, mg_req_state_word(req->live.state),
		    mg_why_word(why));
	}
	mon_hub_state(m, req);
	tell_end(m, req, why);
	if (then != NULL)
		then(then_arg, failed);
}

void
mon_req_end(struct mon *m, struct mg_req *req, enum mg_req_state to,
    enum mg_why why, const char *by)
{
	mon_req_end_then(m, req, to, why, by, NULL, NULL);
}

void
mon_req_end_then(struct mon *m, struct mg_req *req, enum mg_req_state to,
    enum mg_why why, const char *by,
    void (*then)(void *arg, enum mg_why failed), void *arg)
{
	struct handle *h;
	struct mon_txn *t;
	struct mg_json *j;

	if (!mg_req_may_go(req->live.state, to)) {
		/* Two ends in one round: the first counts. */
		if (then != NULL)
			then(arg, MG_WHY_WRONG_STATE);
		return;
	}
	h = handle_new(m, req);
	h->why = why;
	h->then = then;
	h->then_arg = arg;
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "end");
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(j, "state", mg_req_state_word(to));
	mg_json_str(j, "why", mg_why_word(why));
	mg_json_str(j, "by", by);
	mon_rec_end(t);
	mon_txn_commit(t, ended, h);
}

static void
reconsidered(void *arg)
{
	struct handle *h = arg;
	struct mg_req *req = mg_state_find(h->m->state, h->uuid);

	if (req != NULL)
		mon_req_advance(h->m, req);
	free(h);
}

/* Some of those that wait, the newest first; clients have their turn before
 * the next. */
static void
reconsider_some(void *arg)
{
	const char *names[MG_APPROVALS_MAX + 2];
	struct mon *m = arg;
	struct mg_req *req;
	struct handle *h;
	size_t n, done = 0;

	for (req = mg_state_live(m->state); req != NULL; req = req->next) {
		if (req->order >= m->reconsider_below ||
		    req->live.state != MG_REQ_PENDING)
			continue;
		if (done++ == RECONSIDER_EACH) {
			mon_timer_set(
			    m, &m->reconsider_timer, 0, reconsider_some, m);
			return;
		}
		m->reconsider_below = req->order;
		mon_req_fetch_names(m, req, names, &n);
		h = handle_new(m, req);
		/* It stays as it was; its next step decides anew anyhow. */
		if (mon_people_fetch(m, names, n, MG_PROC_UNSET, reconsidered,
			h) != MG_ERR_OK)
			free(h);
	}
}

void
mon_req_reconsider(struct mon *m)
{
	m->reconsider_below = UINT64_MAX;
	reconsider_some(m);
}

void
mon_req_resume(struct mon *m)
{
	struct mg_req *req;

	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		mon_req_arm(m, req);
	mon_req_reconsider(m); /* nobody is known yet */
	if ((req = mg_state_unreviewed(m->state)) != NULL)
		mon_hub_put(m, req);
}

void
mon_req_released(void *arg, struct mg_req *req)
{
	struct mon *m = arg;
	struct mon_req_rt *rt = req->runtime;

	if (rt == NULL)
		return;
	disarm(m, req);
	if (rt->job != NULL)
		rt->job->req = NULL;
	mon_run_req_gone(rt);
	mon_hub_forget(m, req);
	free(rt->tries);
	free(rt);
	req->runtime = NULL;
}

/* ---- the signed text ---- */

void
mon_req_number(const struct mon *m, const struct mg_req *req, char out[3])
{
	uint8_t md[32];
	unsigned len = 0, n;

	out[0] = '\0';
	if (!req->confirm)
		return;
	if (HMAC(EVP_sha256(), m->number_key, sizeof(m->number_key),
		(const unsigned char *)req->uuid, strlen(req->uuid), md,
		&len) == NULL)
		mg_fatal("cannot compute a number");
	n = ((unsigned)md[0] << 16 | (unsigned)md[1] << 8 | md[2]) % 100;
	out[0] = (char)('0' + n / 10);
	out[1] = (char)('0' + n % 10);
	out[2] = '\0';
}

bool
mon_req_body(struct mon *m, const struct mg_req *req, struct mg_buf *b)
{
	struct mg_text_body body = {.uuid = req->uuid,
	    .code = req->code,
	    .host = m->conf.host,
	    .host_key = m->host_key_fp,
	    .requester = req->user,
	    .uid = req->uid,
	    .session = req->ses,
	    .origin = req->origin[0] != '\0' ? req->origin : req->tty,
	    .operation = req->operation,
	    .model = req->model,
	    .version = req->version,
	    .artifact = req->digest,
	    .argv = req->argv,
	    .argc = req->argc,
	    .run_as = req->run_as,
	    .lasts_ms = req->lasts_ms,
	    .reason = req->reason,
	    .ticket = req->ticket,
	    .policy = req->policy,
	    .requested_ms = req->filed_ms,
	    .nonce = req->nonce,
	    .asks_number = req->confirm};

	return mg_text_put_body(b, &body) == MG_ERR_OK;
}
