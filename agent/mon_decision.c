/* SPDX-License-Identifier: ISC */
/*
 * Decisions of approvers and reviewers, as the hub hands them on: whether
 * they count.
 *
 * Rules
 * 1. The hub is a mailbox: nothing it says is believed but a signature over
 *    the text that this host renders itself.
 * 2. Two processes judge each signature, independent of each other: a
 *    strict parser, and the stock ssh-keygen. Both must say yes.
 * 3. A decision is judged in this order: does the request wait, does the
 *    signature verify, who are the people now (its maker is not the
 *    requester, has not decided before, holds a role that is asked), is it
 *    on record; then it counts.
 * 4. What a hub can make us write down is bounded per request.
 * 5. Where approvers sign the number that the requester's terminal shows,
 *    neither they nor the hub are told it, and who signs a few wrong ones
 *    is not heard any more: there are only a hundred.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"

#define VERIFYING_MAX 8	    /* at once, for all requests */
#define WAITING_MAX 256	    /* for their turn */
#define REJECTED_RECORDS 16 /* per request */
#define NUMBER_TRIES 3	    /* per approver and request */

struct mon_decisions {
	unsigned verifying;
	struct judge *waiting, *waiting_last; /* for a turn */
	unsigned nwaiting;
};

struct judge {
	struct mon *m;
	char uuid[MG_UUID_STR];
	char approver[97];
	char decision[9];
	char *note;
	uint8_t *sig;
	size_t sig_len;
	struct mg_buf text; /* what must have been signed */
	struct mon_sig check;
	char why[256];	    /* it does not count */
	struct judge *next; /* in the queue */
};

static struct mg_req *
judged_req(struct judge *g)
{
	return mg_state_find(g->m->state, g->uuid);
}

static void start_next(struct mon_decisions *s);

static void
judge_free(struct judge *g)
{
	struct mon_decisions *s = g->m->decisions;

	mon_sig_stop(&g->check);
	mg_buf_fini(&g->text);
	free(g->note);
	free(g->sig);
	free(g);
	if (s != NULL) {
		s->verifying--;
		start_next(s);
	}
}

static void
tell_verdict(struct mon *m, const char *uuid, const char *approver,
    const char *decision, bool accepted, const char *text)
{
	struct mg_hub_verdict msg = {.uuid = uuid,
	    .approver = approver,
	    .decision = decision,
	    .accepted = accepted,
	    .text = text};

	mon_hub_verdict(m, &msg);
}

/* Not counted, told to its maker, and on record (Rule 4). */
static void
reject(struct mon *m, struct mg_req *req, const char *uuid,
    const char *approver, const char *decision, const char *why,
    const char *text, bool replay)
{
	struct mon_txn *t;
	struct mg_json *j;

	tell_verdict(m, uuid, approver, decision, false, text);
	mg_log(MG_EVT_REJECTED, "req=%s approver=%s decision=%s why='%s'",
	    req == NULL ? uuid : req->code, approver, decision, text);
	if (req == NULL || mon_req_rt(req)->rejected >= REJECTED_RECORDS)
		return;
	mon_req_rt(req)->rejected++;
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "rejected");
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(j, "approver", approver);
	mg_json_str(j, "decision", decision);
	mg_json_str(j, "why", why);
	mg_json_str(j, "text", text);
	mg_json_bool(j, "replay", replay);
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
}

static void
judge_reject(struct judge *g, const char *why, const char *text)
{
	reject(g->m, judged_req(g), g->uuid, g->approver, g->decision, why,
	    text, false);
	judge_free(g);
}

/* What the maker is told when the decision counts. */
static void
progress_text(struct mon *m, struct mg_req *req, char *out, size_t size)
{
	struct mon_need *s;
	size_t i, need = 0;

	out[0] = '\0';
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return;
	mon_req_need(m, req, s);
	for (i = 0; i + 2 < s->nneed; i += 3)
		need += (size_t)strtoul(s->need[i + 1], NULL, 10);
	if (s->how[0] == '\0')
		snprintf(out, size, "%zu of %zu", s->nagreed / 2, need);
	else
		snprintf(out, size, "%zu agreed; needed: %s", s->nagreed / 2,
		    s->how);
	free(s);
}

static void
decision_recorded(void *arg, enum mg_why why)
{
	struct judge *g = arg;
	struct mon *m = g->m;
	struct mg_req *req = judged_req(g);
	bool deny = strcmp(g->decision, "deny") == 0;
	char text[400];

	if (req == NULL || why != MG_WHY_NONE) {
		tell_verdict(m, g->uuid, g->approver, g->decision, false,
		    mg_why_sentence(why));
		/* Durable without an audit record: it may not count. */
		if (req != NULL && why == MG_WHY_AUDIT_FAILED)
			mon_req_end(m, req, MG_REQ_DENIED, why, "");
		judge_free(g);
		return;
	}
	mg_log(MG_EVT_DECISION, "req=%s approver=%s decision=%s key=%s",
	    req->code, g->approver, g->decision, g->check.key_fp);
	if (deny)
		snprintf(text, sizeof(text), "denied");
	else
		progress_text(m, req, text, sizeof(text));
	tell_verdict(m, g->uuid, g->approver, g->decision, true, text);
	if (deny)
		mon_req_end(
		    m, req, MG_REQ_DENIED, MG_WHY_APPROVER_DENIED, g->approver);
	else
		mon_req_advance(m, req);
	judge_free(g);
}

/* The first name of the approver's uid: who has two is one person. */
static const char *
person_of(struct judge *g)
{
	const struct mon_person *p = mon_person_by_name(g->m, g->approver);

	if (p != NULL)
		p = mon_person_by_uid(g->m, p->uid);
	return p == NULL ? g->approver : p->name;
}

static void
put_decision(struct judge *g, const struct mg_req *req, struct mg_json *j)
{
	char sig[16385];

	snprintf(
	    sig, sizeof(sig), "%.*s", (int)g->sig_len, (const char *)g->sig);
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(j, "approver", g->approver);
	mg_json_str(j, "person", person_of(g));
	mg_json_str(j, "decision", g->decision);
	mg_json_str(j, "note", g->note);
	mg_json_str(j, "key_fp", g->check.key_fp);
	mg_json_str(j, "key_type", g->check.key_type);
	mg_json_bool(j, "hardware", g->check.hardware);
	mg_json_str(j, "text", mon_or_empty(mg_buf_cstr(&g->text)));
	mg_json_str(j, "sig", sig);
}

static void
record_decision(struct judge *g, struct mg_req *req)
{
	struct mon_txn *t = mon_txn_begin(g->m);

	put_decision(g, req, mon_rec_begin(t, "decision"));
	mon_rec_end(t);
	mon_txn_commit(t, decision_recorded, g);
}

/* ---- what broke the glass is looked at ---- */

static void
reviewed(void *arg, enum mg_why why)
{
	struct judge *g = arg;
	struct mon *m = g->m;
	struct mg_req *req = judged_req(g);

	if (req == NULL || why != MG_WHY_NONE) {
		tell_verdict(m, g->uuid, g->approver, g->decision, false,
		    mg_why_sentence(why));
	} else {
		mg_log(MG_EVT_DECISION, "req=%s reviewer=%s decision=%s",
		    req->code, g->approver, g->decision);
		tell_verdict(m, g->uuid, g->approver, g->decision, true,
		    mg_req_wants_review(req) ? "reviewed; others have to"
					     : "reviewed");
		mon_hub_state(m, req);
	}
	judge_free(g);
}

/* Yes or no: who signs has looked. Either way it is on record. */
static void
review(struct judge *g, struct mg_req *req)
{
	struct mon *m = g->m;
	struct mon_txn *t;
	struct mg_json *j;
	const char *roles[32];
	size_t n = 0, i;

	for (i = 0; i < req->nreview && n < 32; i++)
		if ((req->live.reviewed & 1U << i) == 0 &&
		    mg_policy_has_role(m->policy, mon_people(m), g->approver,
			req->review[i], mg_time_wall_ms()))
			roles[n++] = req->review[i];
	if (n == 0) {
		judge_reject(g, "not-asked",
		    "you hold none of the roles that review this");
		return;
	}
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "review");
	put_decision(g, req, j);
	mg_json_strv(j, "roles", roles, n);
	mon_rec_end(t);
	mon_txn_commit(t, reviewed, g);
}

/* Rule 3: after the signature and the people. */
static void
people_known(void *arg)
{
	struct judge *g = arg;
	struct mon *m = g->m;
	struct mg_req *req = judged_req(g);
	bool deny = strcmp(g->decision, "deny") == 0;
	const char *flaw;
	size_t i;

	if (req == NULL || !mg_req_is_open(req)) {
		judge_reject(g, "wrong-state", "the request has ended");
		return;
	}
	if (mon_people(m)->is_same(m, g->approver, req->user)) {
		judge_reject(g, "self-approval",
		    "you asked for this yourself; your own decision does "
		    "not count");
		return;
	}
	if (mg_req_wants_review(req)) {
		review(g, req);
		return;
	}
	for (i = 0; i < req->live.napprovals; i++) {
		if (!mon_people(m)->is_same(
			m, req->live.approvals[i].approver, g->approver))
			continue;
		judge_reject(g, "already-decided",
		    "you have decided this request already; a decision is "
		    "final");
		return;
	}
	flaw = mon_req_flaw(m, req, g->approver, deny);
	if (flaw[0] != '\0')
		judge_reject(g, "not-asked", flaw);
	else
		record_decision(g, req);
}

static bool
asks_number(const struct judge *g, const struct mg_req *req)
{
	return req->confirm && req->live.state == MG_REQ_PENDING &&
	       strcmp(g->decision, "approve") == 0;
}

/* The place where this approver's tries are counted; NULL: there is none
 * left. */
static struct mon_try *
tries_of(struct mg_req *req, const char *approver)
{
	struct mon_req_rt *rt = mon_req_rt(req);
	size_t i;

	if (rt->tries == NULL &&
	    (rt->tries = calloc(MON_TRIERS_MAX, sizeof(*rt->tries))) == NULL)
		mg_fatal("out of memory");
	for (i = 0; i < MON_TRIERS_MAX; i++) {
		struct mon_try *t = &rt->tries[i];

		if (t->approver[0] == '\0')
			snprintf(
			    t->approver, sizeof(t->approver), "%s", approver);
		if (strcmp(t->approver, approver) == 0)
			return t;
	}
	return NULL;
}

/* Rule 5 */
static bool
may_try(const struct judge *g, struct mg_req *req)
{
	const struct mon_try *t;

	if (!asks_number(g, req))
		return true;
	t = tries_of(req, g->approver);
	return t != NULL && t->n < NUMBER_TRIES;
}

static void
reject_signature(struct judge *g, struct mg_req *req)
{
	char text[400];
	struct mon_try *t;

	snprintf(text, sizeof(text), "%s",
	    g->why[0] != '\0' ? g->why : "the signature does not verify");
	if (asks_number(g, req)) {
		if ((t = tries_of(req, g->approver)) != NULL)
			t->n++;
		snprintf(text, sizeof(text),
		    "%s; was it the number that the requester's terminal "
		    "shows?",
		    g->why[0] != '\0' ? g->why
				      : "the signature does not verify");
	}
	judge_reject(g, "bad-signature", text);
}

static void
both_judged(void *arg)
{
	struct judge *g = arg;
	struct mg_req *req = judged_req(g);
	const char *names[2];

	snprintf(g->why, sizeof(g->why), "%s", g->check.why);
	if (req == NULL) {
		judge_free(g);
		return;
	}
	if (!g->check.ok) { /* Rule 2 */
		reject_signature(g, req);
		return;
	}
	names[0] = g->approver;
	names[1] = req->user;
	if (mon_people_fetch(g->m, names, 2, MG_PROC_UNSET, people_known, g) !=
	    MG_ERR_OK)
		judge_reject(g, "internal", "the name service is down");
}

static bool
start_verifiers(struct judge *g)
{
	struct mg_verify_sig_req q = {.ns = MG_TEXT_NAMESPACE,
	    .principal = g->approver,
	    .text = mg_buf_ptr(&g->text),
	    .text_len = mg_buf_len(&g->text),
	    .sig = g->sig,
	    .sig_len = g->sig_len};
	struct mg_buf b;
	bool ok;

	mg_buf_init(&b, MON_SIGNERS_MAX);
	ok = mon_policy_signers(g->m, &b, g->why, sizeof(g->why)) == MG_ERR_OK;
	q.signers = mg_buf_ptr(&b);
	q.signers_len = mg_buf_len(&b);
	ok = ok && mon_sig_start(&g->check, g->m, &q, both_judged, g);
	mg_buf_fini(&b);
	return ok;
}

static struct judge *
judge_new(struct mon *m, struct mg_req *req, const struct mg_hub_decision *d)
{
	struct judge *g;

	if ((g = calloc(1, sizeof(*g))) == NULL)
		mg_fatal("out of memory");
	g->m = m;
	memcpy(g->uuid, req->uuid, sizeof(g->uuid));
	snprintf(g->approver, sizeof(g->approver), "%s", d->approver);
	snprintf(g->decision, sizeof(g->decision), "%s", d->decision);
	mg_buf_init(&g->text, MG_TEXT_MAX);
	g->note = strdup(d->note);
	g->sig = malloc(d->sig_len + 1);
	if (g->note == NULL || g->sig == NULL)
		mg_fatal("out of memory");
	memcpy(g->sig, d->sig, d->sig_len);
	g->sig_len = d->sig_len;
	return g;
}

/* The text as this host renders it, for that decision (Rule 1). */
static bool
render(struct judge *g, struct mg_req *req)
{
	struct mg_buf body, text;
	char number[3];
	bool ok;

	mg_buf_init(&body, MG_TEXT_BODY_MAX);
	mg_buf_init(&text, MG_TEXT_MAX);
	ok = mon_req_body(g->m, req, &body) &&
	     mg_text_put(&text, g->decision, g->approver, g->note,
		 (const char *)mg_buf_ptr(&body),
		 mg_buf_len(&body)) == MG_ERR_OK;
	if (ok && asks_number(g, req)) {
		mon_req_number(g->m, req, number);
		ok = mg_text_put_number(&g->text,
			 (const char *)mg_buf_ptr(&text), mg_buf_len(&text),
			 number) == MG_ERR_OK;
	} else if (ok) {
		ok = mg_buf_put(&g->text, mg_buf_ptr(&text),
			 mg_buf_len(&text)) == MG_ERR_OK;
	}
	mg_buf_fini(&body);
	mg_buf_fini(&text);
	return ok;
}

/* The same decision once more, as after a lost verdict: said again. */
static bool
is_repeat(struct mon *m, struct mg_req *req, const struct mg_hub_decision *d)
{
	size_t i;

	for (i = 0; i < req->live.napprovals; i++) {
		const struct mg_approval *a = &req->live.approvals[i];

		if (strcmp(a->approver, d->approver) != 0)
			continue;
		if (a->approve != (strcmp(d->decision, "approve") == 0) ||
		    strcmp(a->note, d->note) != 0)
			return false;
		tell_verdict(m, req->uuid, d->approver, d->decision, true,
		    "it counted before");
		return true;
	}
	return false;
}

static void
judge_start(struct judge *g)
{
	struct mg_req *req = judged_req(g);

	g->m->decisions->verifying++;
	if (req == NULL || !mg_req_is_open(req))
		judge_reject(g, "wrong-state", "the request has ended");
	else if (!may_try(g, req))
		judge_reject(g, "wrong-number",
		    "too many wrong numbers: somebody else has to agree");
	else if (!render(g, req))
		judge_reject(g, "internal", "the text cannot be rendered");
	else if (!start_verifiers(g))
		judge_reject(g, "internal",
		    g->why[0] != '\0' ? g->why
				      : "the verifier cannot be started");
}

static void
start_next(struct mon_decisions *s)
{
	struct judge *g = s->waiting;

	if (g == NULL || s->verifying >= VERIFYING_MAX)
		return;
	if ((s->waiting = g->next) == NULL)
		s->waiting_last = NULL;
	s->nwaiting--;
	judge_start(g);
}

static void
enqueue(struct mon_decisions *s, struct judge *g)
{
	if (s->waiting_last != NULL)
		s->waiting_last->next = g;
	else
		s->waiting = g;
	s->waiting_last = g;
	s->nwaiting++;
	start_next(s);
}

void
mon_decision(struct mon *m, const struct mg_hub_decision *d)
{
	struct mg_req *req = mg_state_find(m->state, d->uuid);

	if (strcmp(d->decision, "approve") != 0 &&
	    strcmp(d->decision, "deny") != 0) {
		reject(m, req, d->uuid, d->approver, "deny", "bad-request",
		    "a decision is 'approve' or 'deny'", false);
		return;
	}
	if (req != NULL && is_repeat(m, req, d))
		return;
	if (req == NULL || !mg_req_is_open(req)) {
		reject(m, req, d->uuid, d->approver, d->decision, "wrong-state",
		    req == NULL ? "this host knows no such request"
				: "the request has ended",
		    false);
		return;
	}
	if (m->decisions == NULL &&
	    (m->decisions = calloc(1, sizeof(*m->decisions))) == NULL)
		mg_fatal("out of memory");
	if (m->decisions->nwaiting >= WAITING_MAX) {
		tell_verdict(m, d->uuid, d->approver, d->decision, false,
		    "the host is busy: submit it again in a minute");
		return;
	}
	enqueue(m->decisions, judge_new(m, req, d));
}

void
mon_decision_fini(struct mon *m)
{
	struct mon_decisions *s = m->decisions;
	struct judge *g;

	m->decisions = NULL;
	while (s != NULL && (g = s->waiting) != NULL) {
		s->waiting = g->next;
		judge_free(g);
	}
	free(s);
}
