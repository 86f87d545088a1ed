/* SPDX-License-Identifier: ISC */
/*
 * From a question to a request on record, for one client.
 *
 * A job is one client that wants something run (or granted). Its stages:
 * who is it -> a live grant or request of its own? -> policy -> artifact ->
 * on record -> second factor -> approvals -> grant -> run. What lasts is
 * the request in the state (mon_request.c); the job goes with its client.
 *
 * Rules
 * 1. Every way out of a job answers the client and frees the job; every
 *    refusal is on record before the client hears of it (mon_refuse.c).
 * 2. What asks nothing is granted in the same transaction that files it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define MFA_TRIES_PER_REQUEST 3

void
mon_job_free(struct mon_job *job)
{
	size_t i;

	if (job == NULL)
		return;
	if (job->client != NULL && job->client->job == job)
		job->client->job = NULL;
	if (job->req != NULL && mon_req_rt(job->req)->job == job)
		mon_req_rt(job->req)->job = NULL;
	job->client = NULL;
	job->req = NULL;
	if (job->asking)
		return; /* factor_answered() frees it */
	mg_timer_clear(job->m->loop, &job->timer);
	mon_proc_stop(&job->work);
	mon_job_drop_copy(job);
	mg_buf_fini(&job->signers);
	for (i = 0; i < job->nargs; i++)
		free(job->args[i]);
	for (i = 0; i < job->argc; i++)
		free(job->argv[i]);
	free(job->reason);
	free(job);
}

static void
fill_origin(struct mon_job *job)
{
	const struct mg_session *s;

	job->ses = job->client->peer.session;
	snprintf(job->tty, sizeof(job->tty), "%s", job->client->peer.tty);
	s = mg_state_session(job->m->state, job->ses);
	if (job->ses == MG_PROC_UNSET || s == NULL)
		return;
	snprintf(job->origin, sizeof(job->origin), "%s", s->origin);
}

/* Refuses and ends the job. */
static void
job_refuse(struct mon_job *job, enum mg_why why, const char *rule,
    const char *text, const char *remedy)
{
	struct mon_refusal ref = {.user = job->user,
	    .uid = job->uid,
	    .ses = job->ses,
	    .tty = job->tty,
	    .origin = job->origin,
	    .operation = job->operation,
	    .model = job->model,
	    .version = job->version,
	    .rule = rule,
	    .text = text,
	    .remedy = remedy,
	    .why = why};

	mon_job_refuse(job->m, NULL, job, &ref);
}

static bool
copy_question(struct mon_job *job, const struct mg_run_req *q)
{
	size_t i;

	snprintf(job->operation, sizeof(job->operation), "%s", q->operation);
	snprintf(job->model, sizeof(job->model), "%s", q->model);
	snprintf(job->version, sizeof(job->version), "%s", q->version);
	snprintf(job->ticket, sizeof(job->ticket), "%s", q->ticket);
	snprintf(job->term, sizeof(job->term), "%s", q->term);
	job->flags = q->flags;
	job->for_ms = q->for_ms > (uint64_t)MG_DURATION_MAX_MS
			  ? MG_DURATION_MAX_MS
			  : (int64_t)q->for_ms;
	job->tty_mask = q->tty_mask & 7;
	job->rows = q->rows;
	job->cols = q->cols;
	if ((job->reason = strdup(q->reason)) == NULL)
		return false;
	for (i = 0; i < q->args_n; i++, job->nargs++)
		if ((job->args[i] = strdup(q->args[i])) == NULL)
			return false;
	return true;
}

static void job_identified(void *arg);

void
mon_job_start(struct mon_client *c, const struct mg_run_req *q)
{
	struct mon_job *job;
	uint32_t uid;

	if ((job = calloc(1, sizeof(*job))) == NULL) {
		mon_reply_refused(c, MG_WHY_INTERNAL, "", "", "", "");
		return;
	}
	job->m = c->m;
	job->client = c;
	c->job = job;
	job->uid = MG_PROC_UNSET;
	if (!copy_question(job, q)) {
		mon_reply_refused(c, MG_WHY_INTERNAL, "", "", "", "");
		mon_job_free(job);
		return;
	}
	fill_origin(job);
	uid =
	    c->peer.loginuid != MG_PROC_UNSET ? c->peer.loginuid : c->peer.uid;
	if (mon_people_fetch(c->m, NULL, 0, uid, job_identified, job) !=
	    MG_ERR_OK)
		job_refuse(job, MG_WHY_INTERNAL, "", "", "");
}

static void
expected(void *arg)
{
	(void)arg;
}

/*
 * Somebody connected: while its question is on its way, people are looked up
 * who will matter if it is to use a grant. Nothing is decided by this; a
 * question that comes later than FRESH_MS looks again.
 */
void
mon_job_expect(struct mon *m, uint32_t uid)
{
	const char *names[2 * (MG_APPROVALS_MAX + 2)];
	struct mg_req *req;
	size_t n = 0, more;

	if (uid == MG_PROC_UNSET)
		return;
	for (req = mg_state_own_granted(m->state, uid);
	     req != NULL && n <= MG_APPROVALS_MAX + 2; req = req->own.next) {
		mon_req_fetch_names(m, req, names + n, &more);
		n += more;
	}
	(void)!mon_people_fetch(m, names, n, uid, expected, m);
}

void
mon_job_client_gone(struct mon_job *job)
{
	job->client = NULL;
	/* A job that only waits has nothing more to do; the request stays. */
	if (job->waiting)
		mon_job_free(job);
	else if (mon_proc_is_up(&job->work) && job->run == NULL)
		mon_job_free(job); /* nobody wants that digest */
}

void
mon_job_giveup(struct mon_job *job)
{
	struct mg_req *req = job->req;

	if (req != NULL && req->live.state == MG_REQ_PENDING && job->waiting)
		mon_req_end(
		    job->m, req, MG_REQ_CANCELLED, MG_WHY_CANCELLED, job->user);
}

/* ---- requests of one's own that are there already ---- */

static bool
same_args(const struct mon_job *job, const struct mg_req *req)
{
	size_t i;

	if (job->nargs != req->nargs)
		return false;
	for (i = 0; i < job->nargs; i++)
		if (strcmp(job->args[i], req->args[i]) != 0)
			return false;
	return true;
}

static struct mg_req *
find_in(const struct mon_job *job, struct mg_req *req)
{
	for (; req != NULL; req = req->own.next) {
		if (mon_req_is_overdue(req) ||
		    strcmp(req->operation, job->operation) != 0 ||
		    strcmp(req->model, job->model) != 0 ||
		    strcmp(req->version, job->version) != 0 ||
		    !same_args(job, req))
			continue;
		if (req->live.state == MG_REQ_GRANTED && req->uses != 0 &&
		    req->live.used >= req->uses)
			continue;
		/* One that waits for people does not break the glass. */
		if (req->live.state == MG_REQ_PENDING &&
		    (job->flags & MG_RUN_BREAK_GLASS) != 0 &&
		    strcmp(req->waive, "break-glass") != 0)
			continue;
		break;
	}
	return req;
}

/* The newest that fits. */
static struct mg_req *
find_own(const struct mon_job *job)
{
	struct mg_state *st = job->m->state;
	struct mg_req *a, *b;

	a = find_in(job, mg_state_own_granted(st, job->uid));
	b = find_in(job, mg_state_own_pending(st, job->uid));
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	return a->order > b->order ? a : b;
}

/* ---- the policy ---- */

static void
decide(struct mon_job *job, struct mg_verdict *v)
{
	struct mg_ask ask;

	mon_ask_begin(job->m, job->req, &ask);
	ask.user = job->user;
	ask.operation = job->operation;
	ask.model = job->model;
	ask.version = job->version;
	ask.from = job->origin;
	ask.bytes = (int64_t)job->bytes;
	mon_how(job->m, job->user, job->ses, &job->how);
	mon_ask_how(&ask, &job->how);
	mg_policy_decide(job->m->policy, &ask, v);
}

/* ---- identity known ---- */

static void job_continue_own(struct mon_job *job, struct mg_req *req);
static void job_decide(struct mon_job *job);

static void
job_identified(void *arg)
{
	struct mon_job *job = arg;
	const struct mon_person *p;
	struct mg_req *req;
	char text[160];

	if (job->client == NULL) {
		mon_job_free(job);
		return;
	}
	job->uid = mon_client_uid(job->client);
	if (job->uid == MG_PROC_UNSET) {
		job->uid = job->client->peer.uid;
		snprintf(text, sizeof(text),
		    "process %d of uid %u has no login uid, or none that a "
		    "login known here gave it",
		    (int)job->client->peer.pid, job->client->peer.uid);
		job_refuse(job, MG_WHY_NO_LOGIN, "", text,
		    "log in through ssh or a console, or declare the "
		    "account as a service in the policy");
		return;
	}
	if ((p = mon_person_by_uid(job->m, job->uid)) == NULL) {
		snprintf(
		    text, sizeof(text), "uid %u is not known here", job->uid);
		job_refuse(job, MG_WHY_UNKNOWN_USER, "", text, "");
		return;
	}
	snprintf(job->user, sizeof(job->user), "%s", p->name);
	if ((job->flags & ~(uint32_t)MG_RUN_ALL_FLAGS) != 0)
		job_refuse(job, MG_WHY_BAD_REQUEST, "", "unknown flag", "");
	else if ((req = find_own(job)) != NULL)
		job_continue_own(job, req);
	else
		job_decide(job);
}

/* ---- deciding ---- */

static void
refuse_by_policy(struct mon_job *job, const struct mg_verdict *v)
{
	char rule[512], what[300], text[512];

	mon_rule_text(v, rule, sizeof(rule));
	mon_req_subject(
	    job->operation, job->model, job->version, what, sizeof(what));
	snprintf(text, sizeof(text), "%s may not %s: %s", job->user, what,
	    mg_why_sentence(v->why));
	job_refuse(job, v->why, rule, text, v->remedy);
}

static void
refuse_request(struct mon_job *job, const char *text, const char *remedy)
{
	job_refuse(job, MG_WHY_BAD_REQUEST, "", text, remedy);
}

/* Asked to run what sshd, sudo and su do. */
static void
refuse_no_command(struct mon_job *job, bool is_held)
{
	char text[160];

	snprintf(text, sizeof(text), "%s is not a command", job->operation);
	refuse_request(job, text,
	    is_held ? "you hold the grant already: log in, or use sudo or su"
		    : "ask for a grant with: modelgate request");
}

/* Whether the question has what the operation takes; refuses if not. */
static bool
check_shape(struct mon_job *job, const struct mg_operation *op)
{
	char text[300];

	if (op == NULL || op->argc == 0) {
		if ((job->flags & MG_RUN_GRANT_ONLY) != 0)
			return true;
		refuse_no_command(job, false);
		return false;
	}
	if (op->takes_model && job->model[0] == '\0')
		snprintf(
		    text, sizeof(text), "%s needs a model", job->operation);
	else if (op->takes_version && job->version[0] == '\0')
		snprintf(text, sizeof(text), "%s needs MODEL@VERSION",
		    job->operation);
	else if (!op->takes_args && job->nargs > 0)
		snprintf(text, sizeof(text), "%s takes no arguments",
		    job->operation);
	else
		return true;
	refuse_request(job, text, "");
	return false;
}

static bool
check_limits(struct mon_job *job)
{
	struct mon *m = job->m;
	char text[128];

	if (mg_state_live_count(m->state) >= m->conf.pending_max) {
		job_refuse(job, MG_WHY_LIMIT, "",
		    "this host has as many open requests as it may have",
		    "try again when some have ended, or have 'pending' raised "
		    "in [limits] of agent.ini");
		return false;
	}
	if (mg_state_live_count_of(m->state, job->uid) >=
	    m->conf.pending_per_user) {
		snprintf(text, sizeof(text),
		    "you have %u open requests and grants",
		    m->conf.pending_per_user);
		job_refuse(job, MG_WHY_LIMIT, "", text,
		    "cancel some: modelgate requests, modelgate cancel ID; or "
		    "have 'pending-per-user' raised in [limits] of agent.ini");
		return false;
	}
	return true;
}

/* What stands for the placeholders; args and strings belong to job. */
static struct mg_expand
expansion(const struct mon_job *job, const char *store)
{
	struct mg_expand x = {.user = job->user,
	    .model = job->model,
	    .version = job->version,
	    .args = (const char *const *)job->args,
	    .nargs = job->nargs,
	    .artifact = store};

	return x;
}

static void
refuse_command(struct mon_job *job, enum mg_err r, const char *what)
{
	char text[200];

	snprintf(text, sizeof(text), "the command of %s cannot be made: %s%s%s",
	    job->operation, mg_err_str(r), what != NULL ? ": " : "",
	    mon_or_empty(what));
	refuse_request(job, text, "");
}

static bool
expand_artifact(struct mon_job *job, const struct mg_operation *op)
{
	struct mg_expand x = expansion(job, NULL);
	enum mg_err r;

	if (op == NULL)
		return true;
	r = mg_operation_artifact(op, &x, job->artifact, sizeof(job->artifact));
	if (r == MG_ERR_OK || r == MG_ERR_NOENT)
		r = mg_operation_serves(
		    op, &x, job->serves, sizeof(job->serves));
	if (r == MG_ERR_OK || r == MG_ERR_NOENT)
		return true;
	refuse_command(job, r, NULL);
	return false;
}

/* Behind the digest, by which the copy in the store is called. */
static bool
expand_argv(struct mon_job *job)
{
	char store[sizeof(MON_STORE_DIR) + MON_COPY_NAME];
	const struct mg_operation *op;
	const char *what = NULL;
	struct mg_expand x;
	enum mg_err r;

	/* The policy may have been loaded anew since the digest began. */
	op = mg_policy_operation(job->m->policy, job->operation);
	if (op == NULL)
		return true;
	(void)mon_store_path(job->digest, store, sizeof(store));
	x = expansion(job, store);
	r = mg_operation_argv(
	    op, &x, job->argv, MON_ARGV_MAX, &job->argc, &what);
	if (r != MG_ERR_OK)
		refuse_command(job, r, what);
	return r == MG_ERR_OK;
}

static void job_digest(struct mon_job *job);
static void job_file(struct mon_job *job);

/* What is done without goes with a second factor, and is short. */
static bool
judge_outage(struct mon_job *job, struct mg_verdict *v)
{
	bool glass = (job->flags & MG_RUN_BREAK_GLASS) != 0;
	struct mon_waive w;
	char rule[512];

	mon_outage_judge(job->m, v, glass, job->reason, job->model,
	    job->version, job->digest, &w);
	job->waive = w.waive;
	if (w.why != MG_WHY_NONE) {
		mon_rule_text(v, rule, sizeof(rule));
		job_refuse(job, w.why, rule, w.text, w.remedy);
		return false;
	}
	v->mfa = v->mfa || w.waive[0] != '\0';
	if (strcmp(w.waive, "break-glass") == 0 &&
	    v->break_glass_ms < v->lasts_ms)
		v->lasts_ms = v->break_glass_ms;
	return true;
}

/* Decides; refuses the job when the answer is no. */
static bool
is_allowed(struct mon_job *job)
{
	struct mg_verdict *v = &job->verdict;
	char rule[512];

	decide(job, v);
	if (v->kind == MG_VERDICT_DENY) {
		refuse_by_policy(job, v);
		return false;
	}
	if (!judge_outage(job, v))
		return false;
	if (!v->mfa || (job->flags & MG_RUN_CAN_PROMPT) != 0)
		return true;
	mon_rule_text(v, rule, sizeof(rule));
	job_refuse(job, MG_WHY_MFA_NEEDED, rule,
	    "a second factor is needed, and there is no terminal "
	    "to ask for it",
	    "file it at a terminal first: modelgate request; then "
	    "run it here");
	return false;
}

static void
job_decide(struct mon_job *job)
{
	const struct mg_operation *op;

	op = mg_policy_operation(job->m->policy, job->operation);
	/* How large it is, is known later: at least this. */
	job->bytes = op != NULL && op->artifact != NULL ? 1 : 0;
	/* What is missing is said before the policy finds no rule for it. */
	if ((op != NULL && !check_shape(job, op)) || !is_allowed(job) ||
	    !check_shape(job, op) || !check_limits(job) ||
	    !expand_artifact(job, op))
		return;
	job_digest(job);
}

/* ---- the artifact ---- */

static void
digest_failed(struct mon_job *job, const char *text)
{
	char full[1024];

	snprintf(full, sizeof(full), "artifact %s: %s", job->artifact, text);
	job_refuse(job,
	    job->is_unsigned ? MG_WHY_ARTIFACT_UNSIGNED
			     : MG_WHY_ARTIFACT_MISSING,
	    "", full, "");
}

static void
digest_filed(struct mon_job *job, bool ok, const char *text)
{
	if (job->client == NULL)
		mon_job_free(job);
	else if (!ok)
		digest_failed(job, text);
	else if (expand_argv(job))
		job_file(job);
}

static void
job_digest(struct mon_job *job)
{
	char why[512], rule[512];

	mon_rule_text(&job->verdict, rule, sizeof(rule));
	if (!mon_job_signers(job, &job->verdict, why, sizeof(why))) {
		job_refuse(job, MG_WHY_ARTIFACT_UNSIGNED, rule, why, "");
		return;
	}
	if (job->artifact[0] != '\0')
		mon_job_digest(job, job->artifact, digest_filed);
	else if (job->want_signed)
		job_refuse(job, MG_WHY_ARTIFACT_UNSIGNED, rule,
		    "the rule wants a signed artifact, and the operation "
		    "names none",
		    "a rule of its own for operations without an artifact");
	else if (expand_argv(job))
		job_file(job);
}

/* ---- filing ---- */

static void
put_need(struct mg_json *j, const struct mg_verdict *v)
{
	char count[16];
	size_t i;

	mg_json_arr(j, "need");
	for (i = 0; i < v->nslots; i++) {
		snprintf(count, sizeof(count), "%u", v->slots[i].count);
		mg_json_str(j, NULL, v->slots[i].role);
		mg_json_str(j, NULL, count);
	}
	mg_json_arr_end(j);
}

static void
put_rules(struct mg_json *j, const struct mg_verdict *v)
{
	char text[600];
	size_t i;

	mg_json_arr(j, "rules");
	for (i = 0; i < v->nrules; i++) {
		snprintf(text, sizeof(text), "%s (%s)", v->rules[i].name,
		    v->rules[i].where);
		mg_json_str(j, NULL, text);
	}
	mg_json_arr_end(j);
}

static void
put_how(struct mg_json *j, const struct mon_how *how)
{
	mg_json_str(j, "key_type", how->key_type);
	mg_json_bool(j, "key_hardware", how->hardware);
	mg_json_int(j, "key_since_ms", how->key_since_ms);
	mg_json_bool(j, "local", how->is_local);
	mg_json_int(j, "mfa_age_ms", how->mfa_age_ms);
}

static void
put_request(struct mon_job *job, struct mg_json *j, const char *nonce)
{
	const struct mg_operation *op;
	const struct mg_verdict *v = &job->verdict;
	int64_t lasts = v->lasts_ms, start = v->start_within_ms;
	char rule[512];

	op = mg_policy_operation(job->m->policy, job->operation);
	if (job->for_ms > 0 && job->for_ms < lasts)
		lasts = job->for_ms;
	/* A grant to use later may be begun at any time while it lasts. */
	if ((job->flags & MG_RUN_GRANT_ONLY) != 0 || start > lasts)
		start = lasts;
	mon_rule_text(v, rule, sizeof(rule));
	mg_json_str(j, "uuid", job->uuid);
	mg_json_str(j, "user", job->user);
	mg_json_int(j, "uid", job->uid);
	mg_json_int(j, "ses", job->ses);
	mg_json_str(j, "tty", job->tty);
	mg_json_str(j, "origin", job->origin);
	mg_json_str(j, "operation", job->operation);
	mg_json_str(j, "model", job->model);
	mg_json_str(j, "version", job->version);
	mg_json_strv(j, "args", (const char *const *)job->args, job->nargs);
	mg_json_strv(j, "argv", (const char *const *)job->argv, job->argc);
	mg_json_str(j, "run_as", op == NULL ? "" : mon_or_empty(op->run_as));
	mg_json_str(j, "cwd", op == NULL || op->cwd == NULL ? "/" : op->cwd);
	mg_json_str(j, "artifact", job->artifact);
	mg_json_str(j, "digest", job->digest);
	mg_json_str(j, "effect",
	    op == NULL || op->effect == NULL ? "none" : op->effect);
	mg_json_str(j, "serves", job->serves);
	mg_json_str(j, "signer", job->signer);
	mg_json_str(j, "signer_fp", job->signer_fp);
	mg_json_str(j, "reason", job->reason);
	mg_json_str(j, "ticket", job->ticket);
	mg_json_str(j, "policy", mg_policy_digest(job->m->policy));
	mg_json_str(j, "nonce", nonce);
	mg_json_str(j, "rule", rule);
	put_rules(j, v);
	put_need(j, v);
	mg_json_str(j, "waive", job->waive);
	mg_json_strv(j, "review", v->reviewers,
	    strcmp(job->waive, "break-glass") == 0 ? v->nreviewers : 0);
	mg_json_bool(j, "mfa", v->mfa);
	mg_json_int(j, "tokens",
	    strcmp(job->waive, "break-glass") == 0 ? v->break_glass_tokens : 0);
	mg_json_bool(j, "confirm", v->confirm_number);
	mg_json_bool(j, "grant_only", (job->flags & MG_RUN_GRANT_ONLY) != 0);
	mg_json_int(j, "bytes", (int64_t)job->bytes);
	put_how(j, &job->how);
	mg_json_int(j, "approve_ms", v->approve_within_ms);
	mg_json_int(j, "start_ms", start);
	mg_json_int(j, "lasts_ms", lasts);
	mg_json_int(j, "uses", v->uses);
}

static void job_filed(void *arg, enum mg_why why);

static void
job_file(struct mon_job *job)
{
	struct mon_txn *t;
	struct mg_json *j;
	char nonce[33];

	/* mon_request.c, Rule 1: the artifact has taken its time, and now has a
	 * size. */
	if (!is_allowed(job))
		return;
	if (!mon_req_new_uuid(job->m, job->uuid) ||
	    mg_random_hex(nonce, 16) != MG_ERR_OK) {
		job_refuse(job, MG_WHY_INTERNAL, "", "", "");
		return;
	}
	t = mon_txn_begin(job->m);
	j = mon_rec_begin(t, "request");
	put_request(job, j, nonce);
	mon_rec_end(t);
	if (job->verdict.kind == MG_VERDICT_ALLOW) { /* Rule 2 */
		j = mon_rec_begin(t, "grant");
		mg_json_str(j, "uuid", job->uuid);
		mon_rec_end(t);
	}
	mon_txn_commit(t, job_filed, job);
}

/* The body must be renderable: what cannot be shown whole, cannot run. */
static bool
body_fits(struct mon *m, struct mg_req *req)
{
	struct mg_buf b;
	bool ok;

	mg_buf_init(&b, MG_TEXT_MAX);
	ok = mon_req_body(m, req, &b);
	mg_buf_fini(&b);
	return ok;
}

static void job_factor(struct mon_job *job);
static void job_wait(struct mon_job *job, const char *note);

static void
job_filed(void *arg, enum mg_why why)
{
	struct mon_job *job = arg;
	struct mon *m = job->m;
	struct mg_req *req = mg_state_find(m->state, job->uuid);

	if (why != MG_WHY_NONE || req == NULL) {
		/* Durable but not audited: taken back (mon_commit, Rule 3) */
		if (req != NULL)
			mon_req_end(m, req,
			    req->live.state == MG_REQ_GRANTED ? MG_REQ_REVOKED
							      : MG_REQ_DENIED,
			    why, "");
		mon_reply_refused(job->client, why, "", "", "", "");
		mon_job_free(job);
		return;
	}
	job->req = req;
	mon_req_rt(req)->job = job;
	mon_req_arm(m, req);
	mg_log(MG_EVT_REQUEST, "req=%s user=%s op=%s model=%s version=%s",
	    req->code, req->user, req->operation, req->model, req->version);
	if (!body_fits(m, req)) {
		mon_req_end(m, req,
		    req->live.state == MG_REQ_GRANTED ? MG_REQ_REVOKED
						      : MG_REQ_DENIED,
		    MG_WHY_BAD_REQUEST, "");
		return;
	}
	if (req->live.state == MG_REQ_GRANTED)
		mon_job_granted(job);
	else if (req->mfa)
		job_factor(job);
	else
		job_wait(job, "");
}

/* ---- the second factor, and tokens behind it ---- */

/* Whether it was an answer, and the wrong one. */
static bool
is_wrong(enum mg_why why)
{
	return why == MG_WHY_MFA_FAILED || why == MG_WHY_TOKENS;
}

static void
factor_answered(void *arg, enum mg_why why, const char *text)
{
	struct mon_job *job = arg;
	struct mg_req *req = job->req;

	job->waiting = job->asking = false;
	if (req == NULL) {
		mon_job_free(job);
		return;
	}
	if (why == MG_WHY_NONE) {
		job->tries = 0;
		job_factor(job);
		return;
	}
	if (is_wrong(why) && job->client != NULL &&
	    ++job->tries < MFA_TRIES_PER_REQUEST && mg_req_is_live(req)) {
		struct mg_auth_info info = {.is_error = true, .text = text};

		mon_reply(job->client, MG_MSG_AUTH_INFO, &info);
		job_factor(job);
		return;
	}
	if (mg_req_is_live(req))
		mon_req_end(job->m, req, MG_REQ_DENIED, why, job->user);
	else
		mon_job_free(job);
}

/* Asks for what has not been given yet; then the request waits. */
static void
job_factor(struct mon_job *job)
{
	struct mg_req *req = job->req;
	bool mfa = req->mfa && !req->live.mfa_done;
	char what[300], about[511];

	if (!mfa && (req->tokens == 0 || req->live.tokens > 0)) {
		job_wait(job, "");
		return;
	}
	if (job->client == NULL) {
		/* Nobody is left to answer; it times out, or its requester
		 * comes back. */
		mon_job_free(job);
		return;
	}
	mon_req_subject(
	    req->operation, req->model, req->version, what, sizeof(what));
	snprintf(about, sizeof(about), "%s%s on %s",
	    mfa ? "" : "breaking the glass for ", what, job->m->conf.host);
	job->asking = true;
	if (mfa)
		mon_auth_check(job->client, job->user, job->uid, "run", about,
		    req->uuid, factor_answered, job);
	else
		mon_auth_tokens(job->client, req, about, factor_answered, job);
}

/* ---- waiting for approvals, and what comes of it ---- */

void
mon_job_tell_pending(struct mon_job *job, const char *note)
{
	struct mg_req *req = job->req;
	struct mg_pending msg = {.uuid = req->uuid,
	    .code = req->code,
	    .mfa = req->mfa && !req->live.mfa_done,
	    .digest = req->digest,
	    .hub = job->m->conf.hub_address,
	    .note = note};
	struct mon_need *s;
	int64_t left = req->live.approve_by_bt - mg_time_boot_ms();
	char number[3];

	if (job->client == NULL)
		return;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return;
	mon_req_need(job->m, req, s);
	memcpy(msg.need, s->need, sizeof(s->need));
	msg.need_n = s->nneed;
	memcpy(msg.agreed, s->agreed, sizeof(s->agreed));
	msg.agreed_n = s->nagreed;
	msg.how = s->how;
	msg.left_ms = left > 0 ? (uint64_t)left : 0;
	mon_req_number(job->m, req, number);
	msg.number = number;
	mon_reply(job->client, MG_MSG_PENDING, &msg);
	free(s);
}

/* The request goes on without needing this job, which may wait for it. */
static void
job_wait(struct mon_job *job, const char *note)
{
	struct mon *m = job->m;
	struct mg_req *req = job->req;
	bool no_wait = (job->flags & MG_RUN_NO_WAIT) != 0;

	job->waiting = true;
	if (job->client == NULL) {
		mon_job_free(job);
		mon_req_advance(m, req);
		return;
	}
	mon_job_tell_pending(job, note);
	if (no_wait && req->nneed > 0) {
		mon_reply_done(job->client, "filed");
		mon_job_free(job);
	}
	mon_req_advance(m, req);
}

/*
 * Whether the grant may be used from this login, too: it may have been asked
 * for with another key, from elsewhere. Refuses the job if not.
 */
static bool
may_use(struct mon_job *job, struct mg_req *req)
{
	struct mg_verdict *v = &job->verdict;

	job->bytes = (uint64_t)req->bytes;
	job->req = req;
	decide(job, v);
	job->req = NULL;
	if (v->kind != MG_VERDICT_DENY)
		return true;
	refuse_by_policy(job, v);
	return false;
}

static void
job_continue_own(struct mon_job *job, struct mg_req *req)
{
	struct mon_req_rt *rt = mon_req_rt(req);

	if (req->argc == 0 && (job->flags & MG_RUN_GRANT_ONLY) == 0) {
		refuse_no_command(job, req->live.state == MG_REQ_GRANTED);
		return;
	}
	snprintf(job->uuid, sizeof(job->uuid), "%s", req->uuid);
	if (req->live.state == MG_REQ_GRANTED) {
		if (!may_use(job, req))
			return;
		job->req = req;
		mon_job_granted(job);
		return;
	}
	if (rt->job != NULL) {
		job->req = req;
		mon_job_tell_pending(
		    job, "it is waited for in another terminal");
		mon_reply_done(job->client, "filed already");
		job->req = NULL;
		mon_job_free(job);
		return;
	}
	job->req = req;
	rt->job = job;
	if ((req->mfa && !req->live.mfa_done) ||
	    (req->tokens > 0 && req->live.tokens == 0))
		job_factor(job);
	else
		job_wait(job, "filed earlier");
}

/* The request of the job is granted: run it, or say so. */
void
mon_job_granted(struct mon_job *job)
{
	struct mg_req *req = job->req;
	struct mon_req_rt *rt = mon_req_rt(req);
	int64_t left = req->live.ends_bt - mg_time_boot_ms();
	struct mg_granted msg = {.uuid = req->uuid,
	    .code = req->code,
	    .left_ms = left > 0 ? (uint64_t)left : 0,
	    .uses = req->uses == 0 ? 0 : req->uses - req->live.used,
	    .text = ""};

	if (rt->job == job)
		rt->job = NULL;
	if (job->client == NULL) {
		mon_job_free(job);
		return;
	}
	if ((job->flags & MG_RUN_GRANT_ONLY) != 0) {
		mon_reply(job->client, MG_MSG_GRANTED, &msg);
		mon_reply_done(job->client, "granted");
		mon_job_free(job);
		return;
	}
	mon_run_start(job, req);
}
