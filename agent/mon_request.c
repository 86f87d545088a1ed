/* SPDX-License-Identifier: ISC */
/*
 * From a question to a grant.
 *
 * A job is one client that wants something run (or granted). Its stages:
 * who is it -> a live grant or request of its own? -> policy -> artifact ->
 * on record -> second factor -> approvals -> grant -> run. What lasts is
 * the request in the state; the job goes with its client.
 *
 * Rules
 * 1. Nothing is believed for long: at the grant and at every run people,
 *    policy and quorum are looked at again (DESIGN, promise 2).
 * 2. Every way out of a job answers the client and frees the job; every
 *    refusal is on record before the client hears of it, up to a rate.
 * 3. What asks nothing is granted in the same transaction that files it.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_name.h"
#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define MFA_TRIES_PER_REQUEST 3
#define RETRY_END_MS 1000

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
static void
subject(const char *operation, const char *model, const char *version,
    char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s%s", operation,
	    model[0] != '\0' ? " " : "", model, version[0] != '\0' ? "@" : "",
	    version);
}

static void
rule_text(const struct mg_verdict *v, char *out, size_t size)
{
	out[0] = '\0';
	if (v->nrules > 0)
		snprintf(
		    out, size, "%s (%s)", v->rules[0].name, v->rules[0].where);
}

/* ---- refusals without a request ---- */

struct mon_bucket {
	uint32_t uid;
	unsigned used;
	int64_t minute;
	struct mon_bucket *next;
};

/* Whether one more refusal of uid goes on record this minute. */
static bool
may_record(struct mon *m, uint32_t uid)
{
	int64_t minute = mg_time_boot_ms() / 60000;
	struct mon_bucket *b;

	for (b = m->buckets; b != NULL && b->uid != uid; b = b->next)
		continue;
	if (b == NULL) {
		if ((b = calloc(1, sizeof(*b))) == NULL)
			return false;
		b->uid = uid;
		b->next = m->buckets;
		m->buckets = b;
	}
	if (b->minute != minute) {
		b->minute = minute;
		b->used = 0;
	}
	return b->used++ < m->conf.refusals_per_minute;
}

static bool
new_uuid(struct mon *m, char uuid[MG_UUID_STR])
{
	struct mg_uuid u;
	char code[MG_CODE_STR];
	int i;

	for (i = 0; i < 16; i++) {
		if (mg_uuid_new(&u) != MG_ERR_OK)
			return false;
		mg_code_from_uuid(&u, code);
		mg_uuid_format(&u, uuid);
		if (mg_state_find(m->state, code) == NULL)
			return true;
	}
	return false;
}

/* A refusal on its way to the ledger, with what the client will be told. */
struct refusal {
	struct mon *m;
	struct mon_client *client;
	struct mon_job *job; /* keeps client up to date; NULL: see below */
	enum mg_why why;
	char code[MG_CODE_STR];
	char rule[512], text[1024], remedy[1024];
};

static void
refusal_recorded(void *arg, enum mg_why why)
{
	struct refusal *rf = arg;
	struct mon_client *c = rf->job != NULL ? rf->job->client : rf->client;

	/* Not on record: refused all the same, without a code to look up. */
	if (why != MG_WHY_NONE)
		rf->code[0] = '\0';
	mon_reply_refused(c, rf->why, rf->code, rf->rule, rf->text, rf->remedy);
	if (rf->job != NULL)
		mon_job_free(rf->job);
	free(rf);
}

static void
record_refusal(struct mon *m, const struct mon_refusal *ref, const char *uuid,
    struct refusal *rf)
{
	struct mon_txn *t = mon_txn_begin(m);
	struct mg_json *j = mon_rec_begin(t, "refused");

	mg_json_str(j, "uuid", uuid);
	mg_json_str(j, "user", ref->user);
	mg_json_int(j, "uid", ref->uid);
	mg_json_int(j, "ses", ref->ses);
	mg_json_str(j, "tty", ref->tty);
	mg_json_str(j, "origin", ref->origin);
	mg_json_str(j, "operation", ref->operation);
	mg_json_str(j, "model", ref->model);
	mg_json_str(j, "version", ref->version);
	mg_json_str(j, "why", mg_why_word(ref->why));
	mg_json_str(j, "rule", ref->rule);
	mg_json_str(j, "text", rf->text);
	mg_json_str(j, "remedy", ref->remedy);
	mon_rec_end(t);
	mon_txn_commit(t, refusal_recorded, rf);
	mg_log(MG_EVT_REFUSED, "req=%s user=%s op=%s model=%s why=%s rule='%s'",
	    rf->code, ref->user, ref->operation, ref->model,
	    mg_why_word(ref->why), ref->rule);
}

static void
refuse(struct mon *m, struct mon_client *c, struct mon_job *job,
    const struct mon_refusal *ref)
{
	struct refusal *rf;
	struct mg_uuid u;
	char uuid[MG_UUID_STR];

	if ((rf = calloc(1, sizeof(*rf))) == NULL)
		mg_fatal("out of memory");
	rf->m = m;
	rf->client = c;
	rf->job = job;
	rf->why = ref->why;
	snprintf(rf->rule, sizeof(rf->rule), "%s", ref->rule);
	snprintf(rf->text, sizeof(rf->text), "%s",
	    ref->text[0] != '\0' ? ref->text : mg_why_sentence(ref->why));
	snprintf(rf->remedy, sizeof(rf->remedy), "%s", ref->remedy);
	if (!may_record(m, ref->uid)) {
		mg_log(MG_EVT_LIMIT, "user=%s why='refusals per minute'",
		    ref->user);
		refusal_recorded(rf, MG_WHY_LIMIT);
		return;
	}
	if (!new_uuid(m, uuid)) {
		refusal_recorded(rf, MG_WHY_INTERNAL);
		return;
	}
	if (mg_uuid_parse(uuid, &u) == MG_ERR_OK)
		mg_code_from_uuid(&u, rf->code);
	record_refusal(m, ref, uuid, rf);
}

/* For clients without a job. Such a client cannot go away in between
 * unnoticed: its job stands in for it. */
void
mon_refuse(struct mon *m, struct mon_client *c, const struct mon_refusal *ref)
{
	struct mon_job *job;

	if (c == NULL) {
		refuse(m, NULL, NULL, ref);
		return;
	}
	if ((job = calloc(1, sizeof(*job))) == NULL)
		mg_fatal("out of memory");
	job->m = m;
	job->client = c;
	c->job = job;
	refuse(m, c, job, ref);
}

/* ---- jobs ---- */

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

	refuse(job->m, NULL, job, &ref);
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
	for (req = mg_state_live(m->state);
	     req != NULL && n <= MG_APPROVALS_MAX + 2; req = req->next) {
		if (req->uid != uid || req->live.state != MG_REQ_GRANTED)
			continue;
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

static bool
is_overdue(const struct mg_req *req)
{
	int64_t now = mg_time_boot_ms();

	if (req->live.state == MG_REQ_PENDING)
		return req->live.approve_by_bt <= now;
	return req->live.ends_bt <= now ||
	       (req->live.used == 0 && req->live.start_by_bt <= now);
}

static struct mg_req *
find_own(struct mon_job *job)
{
	struct mg_req *req;

	for (req = mg_state_live(job->m->state); req != NULL; req = req->next) {
		if (req->uid != job->uid || is_overdue(req) ||
		    strcmp(req->operation, job->operation) != 0 ||
		    strcmp(req->model, job->model) != 0 ||
		    strcmp(req->version, job->version) != 0 ||
		    !same_args(job, req))
			continue;
		if (req->live.state == MG_REQ_GRANTED && req->uses != 0 &&
		    req->live.used >= req->uses)
			continue;
		return req;
	}
	return NULL;
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
	char text[128];

	if (job->client == NULL) {
		mon_job_free(job);
		return;
	}
	job->uid = mon_client_uid(job->client);
	if (job->uid == MG_PROC_UNSET) {
		job->uid = job->client->peer.uid;
		snprintf(text, sizeof(text),
		    "process %d of uid %u has no login uid",
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

	rule_text(v, rule, sizeof(rule));
	subject(job->operation, job->model, job->version, what, sizeof(what));
	snprintf(text, sizeof(text), "%s may not %s: %s", job->user, what,
	    mg_why_sentence(v->why));
	job_refuse(job, v->why, rule, text, v->remedy);
}

static void
refuse_request(struct mon_job *job, const char *text, const char *remedy)
{
	job_refuse(job, MG_WHY_BAD_REQUEST, "", text, remedy);
}

/* Whether the question has what the operation takes; refuses if not. */
static bool
check_shape(struct mon_job *job, const struct mg_operation *op)
{
	char text[300];

	if (op == NULL || op->argc == 0) {
		if ((job->flags & MG_RUN_GRANT_ONLY) != 0)
			return true;
		snprintf(
		    text, sizeof(text), "%s is not a command", job->operation);
		refuse_request(
		    job, text, "ask for a grant with: modelgate request");
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
		    "this host has as many open requests as it may have", "");
		return false;
	}
	if (mg_state_live_count_of(m->state, job->user) >=
	    m->conf.pending_per_user) {
		snprintf(text, sizeof(text),
		    "you have %u open requests and grants",
		    m->conf.pending_per_user);
		job_refuse(job, MG_WHY_LIMIT, "", text,
		    "cancel some: modelgate requests, modelgate cancel ID");
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
		rule_text(v, rule, sizeof(rule));
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
	rule_text(v, rule, sizeof(rule));
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

	rule_text(&job->verdict, rule, sizeof(rule));
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
	rule_text(v, rule, sizeof(rule));
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

	/* Rule 1: the artifact has taken its time, and now has a size. */
	if (!is_allowed(job))
		return;
	if (!new_uuid(job->m, job->uuid) ||
	    mg_random_hex(nonce, 16) != MG_ERR_OK) {
		job_refuse(job, MG_WHY_INTERNAL, "", "", "");
		return;
	}
	t = mon_txn_begin(job->m);
	j = mon_rec_begin(t, "request");
	put_request(job, j, nonce);
	mon_rec_end(t);
	if (job->verdict.kind == MG_VERDICT_ALLOW) { /* Rule 3 */
		j = mon_rec_begin(t, "grant");
		mg_json_str(j, "uuid", job->uuid);
		mon_rec_end(t);
	}
	mon_txn_commit(t, job_filed, job);
}

static void req_arm(struct mon *m, struct mg_req *req);

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
static void job_granted(struct mon_job *job);

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
	req_arm(m, req);
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
		job_granted(job);
	else if (req->mfa)
		job_factor(job);
	else
		job_wait(job, "");
}

/* ---- the second factor ---- */

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
		job_wait(job, "");
		return;
	}
	if (why == MG_WHY_MFA_FAILED && job->client != NULL &&
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

static void
job_factor(struct mon_job *job)
{
	struct mg_req *req = job->req;
	char what[300], about[511];

	if (job->client == NULL) {
		/* Nobody is left to answer; it times out, or its requester
		 * comes back. */
		mon_job_free(job);
		return;
	}
	subject(req->operation, req->model, req->version, what, sizeof(what));
	snprintf(about, sizeof(about), "%s on %s", what, job->m->conf.host);
	job->asking = true;
	mon_auth_check(job->client, job->user, job->uid, "run", about,
	    req->uuid, factor_answered, job);
}

/* ---- waiting for approvals ---- */

/* The verdict of today for a request; false when it is no longer allowed. It
 * and quorum() are for use at once: see mon_ask_begin(). */
bool
mon_req_today(struct mon *m, const struct mg_req *req, struct mg_verdict *v)
{
	struct mg_ask ask;

	mon_req_ask(m, req, &ask);
	mg_policy_decide(m->policy, &ask, v);
	return v->kind != MG_VERDICT_DENY;
}

/* What a request that is no longer allowed ends with. */
static enum mg_why
late_why(const struct mg_verdict *v)
{
	return v->why == MG_WHY_LIMIT || v->why == MG_WHY_SEPARATION ||
		       v->why == MG_WHY_KEY_NEEDED
		   ? v->why
		   : MG_WHY_POLICY_CHANGED;
}

static void
quorum(struct mon *m, const struct mg_req *req, const struct mg_verdict *v,
    struct mg_quorum *q)
{
	const char *names[MG_APPROVALS_MAX];
	size_t n = mon_req_approvers(req, names, MG_APPROVALS_MAX);

	mg_policy_quorum(m->policy, v, mon_people(m), req->user, names, n,
	    mg_time_wall_ms(), q);
}

static void
list_candidates(struct mon *m, const struct mg_req *req, const char *role,
    char *out, size_t size)
{
	const char *names[64];
	size_t n, i, used = 0;

	n = mg_policy_role_members(
	    m->policy, mon_people(m), role, mg_time_wall_ms(), names, 64);
	if (n > 64)
		n = 64;
	out[0] = '\0';
	for (i = 0; i < n; i++) {
		if (strcmp(names[i], req->user) == 0)
			continue;
		if (used + strlen(names[i]) + 2 > size)
			break;
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		    used > 0 ? "," : "", names[i]);
	}
}

static void
need_review(struct mon *m, const struct mg_req *req, struct mon_need *s)
{
	size_t i;

	snprintf(s->how, sizeof(s->how), "a review of what was done");
	for (i = 0; i < req->nreview && i < 16; i++) {
		if ((req->live.reviewed & 1U << i) != 0)
			continue;
		snprintf(s->text[i], 12, "1");
		list_candidates(m, req, req->review[i], s->text[i] + 12, 512);
		s->need[s->nneed++] = req->review[i];
		s->need[s->nneed++] = s->text[i];
		s->need[s->nneed++] = s->text[i] + 12;
	}
}

void
mon_req_need(struct mon *m, const struct mg_req *req, struct mon_need *s)
{
	struct mg_verdict v;
	struct mg_quorum q;
	const char *names[MG_APPROVALS_MAX];
	size_t i, n;

	memset(s, 0, sizeof(*s));
	if (mg_req_wants_review(req)) {
		need_review(m, req, s);
		return;
	}
	if (!mon_req_today(m, req, &v))
		return;
	quorum(m, req, &v, &q);
	snprintf(s->how, sizeof(s->how), "%s%s",
	    v.approve[0] != '\0' ? v.approve
	    : v.different_teams	 ? "all of them"
				 : "",
	    v.different_teams ? ", of different teams" : "");
	for (i = 0; i < v.nslots && i < 16; i++) {
		char *count = s->text[i], *cand = s->text[i] + 12;

		snprintf(count, 12, "%u", v.slots[i].count);
		list_candidates(m, req, v.slots[i].role, cand, 512);
		s->need[s->nneed++] = v.slots[i].role;
		s->need[s->nneed++] = count;
		s->need[s->nneed++] = cand;
	}
	n = mon_req_approvers(req, names, MG_APPROVALS_MAX);
	for (i = 0; i < n && s->nagreed + 2 <= 32; i++) {
		if (q.fills[i] < 0)
			continue;
		s->agreed[s->nagreed++] = v.slots[q.fills[i]].role;
		s->agreed[s->nagreed++] = names[i];
	}
}

/* ---- who may decide ---- */

#define CROWD_MAX 64 /* as many as mg_policy_quorum() takes */
#define ROUNDS 4     /* as many stages as there can be */

/* Whether these would be enough, in this order. */
static bool
is_enough(struct mon *m, const struct mg_req *req, const struct mg_verdict *v,
    const char *const *names, size_t n)
{
	struct mg_quorum q;

	mg_policy_quorum(m->policy, v, mon_people(m), req->user, names, n,
	    mg_time_wall_ms(), &q);
	return q.satisfied;
}

/* Adds those who could still agree, but never without. */
static size_t
add_members(struct mon *m, const struct mg_verdict *v, const char *without,
    const char **names, size_t n)
{
	const char *role[CROWD_MAX];
	size_t i, k, r, each, got;

	each = (CROWD_MAX - n) / (ROUNDS * (v->nslots == 0 ? 1 : v->nslots));
	for (r = 0; r < ROUNDS; r++) {
		for (i = 0; i < v->nslots; i++) {
			got = mg_policy_role_members(m->policy, mon_people(m),
			    v->slots[i].role, mg_time_wall_ms(), role,
			    each + 1);
			for (k = 0; k < got && n < CROWD_MAX; k++)
				if (!mon_people(m)->is_same(
					m, role[k], without))
					names[n++] = role[k];
		}
	}
	return n;
}

/*
 * Whether name comes too early: with the others' help it would be enough
 * later, but not when it is given now.
 */
static bool
is_early(struct mon *m, const struct mg_req *req, const struct mg_verdict *v,
    const char *name)
{
	const char *names[CROWD_MAX];
	size_t n, all;

	n = mon_req_approvers(req, names, MG_APPROVALS_MAX);
	all = add_members(m, v, "", names, n);
	if (!is_enough(m, req, v, names, all))
		return false; /* nobody can tell */
	names[n++] = name;
	all = add_members(m, v, name, names, n);
	return !is_enough(m, req, v, names, all);
}

const char *
mon_req_flaw(
    struct mon *m, const struct mg_req *req, const char *name, bool deny)
{
	static char text[400];
	struct mg_verdict v;
	struct mg_quorum q;
	bool holds = false;
	size_t i;

	if (!mon_req_today(m, req, &v))
		return "the policy does not allow it any more";
	for (i = 0; i < v.nslots; i++)
		holds = holds || mg_policy_has_role(m->policy, mon_people(m),
				     name, v.slots[i].role, mg_time_wall_ms());
	if (!holds)
		return "you hold none of the roles that are asked";
	if (deny)
		return "";
	mg_policy_quorum(m->policy, &v, mon_people(m), req->user, &name, 1,
	    mg_time_wall_ms(), &q);
	if (q.fills[0] == -1 && mg_policy_is_service(m->policy, name))
		return "a service account approves nothing";
	if (q.fills[0] == -1)
		return v.different_teams
			   ? "somebody of another team has to agree, who had "
			     "no part in this version before"
			   : "somebody has to agree who had no part in this "
			     "version before";
	if (v.is_flat || !is_early(m, req, &v, name))
		return "";
	snprintf(text, sizeof(text),
	    "others have to agree first, then submit it again: %s", v.approve);
	return text;
}

static void
tell_pending(struct mon_job *job, const char *note)
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
	tell_pending(job, note);
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

	snprintf(job->uuid, sizeof(job->uuid), "%s", req->uuid);
	if (req->live.state == MG_REQ_GRANTED) {
		if (!may_use(job, req))
			return;
		job->req = req;
		job_granted(job);
		return;
	}
	if (rt->job != NULL) {
		job->req = req;
		tell_pending(job, "it is waited for in another terminal");
		mon_reply_done(job->client, "filed already");
		job->req = NULL;
		mon_job_free(job);
		return;
	}
	job->req = req;
	rt->job = job;
	if (req->mfa && !req->live.mfa_done)
		job_factor(job);
	else
		job_wait(job, "filed earlier");
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
	req_arm(m, req);
	if (mg_req_wants_review(req))
		mon_hub_put(m, req);
	else
		mon_hub_state(m, req);
	if ((job = mon_req_rt(req)->job) != NULL) {
		job->waiting = false;
		job_granted(job);
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
		return late_why(&v);
	if (!same_command(m, req) || (v.mfa && !req->live.mfa_done) ||
	    (v.confirm_number && !req->confirm))
		return MG_WHY_POLICY_CHANGED;
	quorum(m, req, &v, &q);
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
	quorum(m, req, &v, &q);
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
	why =
	    is_overdue(req) ? MG_WHY_APPROVE_TIMEOUT : mon_req_recheck(m, req);
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
		mon_req_end(m, req, MG_REQ_DENIED, late_why(&v), "");
		return;
	}
	quorum(m, req, &v, &q);
	if (v.nslots > 0 && !q.satisfied && !mon_outage_waives(m, req, &v)) {
		if (!rt->at_hub)
			mon_hub_put(m, req);
		else
			mon_hub_state(m, req);
		mon_outage_text(m, note, sizeof(note));
		if (rt->job != NULL && rt->job->waiting)
			tell_pending(rt->job, note);
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

/* The request of the job is granted: run it, or say so. */
static void
job_granted(struct mon_job *job)
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
	if (!mg_req_is_live(req) || !is_overdue(req)) {
		req_arm(m, req);
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

static void
req_arm(struct mon *m, struct mg_req *req)
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
	subject(req->operation, req->model, req->version, what, sizeof(what));
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

void
mon_req_reconsider(struct mon *m)
{
	const char *names[MG_APPROVALS_MAX + 2];
	struct mg_req *req;
	struct handle *h;
	size_t n;

	for (req = mg_state_live(m->state); req != NULL; req = req->next) {
		if (req->live.state != MG_REQ_PENDING)
			continue;
		mon_req_fetch_names(m, req, names, &n);
		h = handle_new(m, req);
		/* It stays as it was; its next step decides anew anyhow. */
		if (mon_people_fetch(m, names, n, MG_PROC_UNSET, reconsidered,
			h) != MG_ERR_OK)
			free(h);
	}
}

void
mon_req_resume(struct mon *m)
{
	struct mg_req *req;

	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		req_arm(m, req);
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
