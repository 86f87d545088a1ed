/* SPDX-License-Identifier: ISC */
/*
 * Requests to the hub, decisions from it.
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
 * 6. What a link or a hub can make us do or log over and over is bounded in
 *    time; the log says how much was not written (mg_log.h).
 * 7. What the hub is to be told waits in a queue of requests, not of bytes,
 *    and is said as it is when its turn comes: thousands of requests at once
 *    cost no memory, and none is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define VERIFYING_MAX 8			   /* at once, for all requests */
#define WAITING_MAX 256			   /* for their turn */
#define REJECTED_RECORDS 16		   /* per request */
#define REVIEW_MS (30 * INT64_C(86400000)) /* as the hub counts */
#define STATUS_MAX 20			   /* words of a link on how it is, */
#define STATUS_WINDOW_MS 10000		   /* in so long */
#define NUMBER_TRIES 3			   /* per approver and request */
#define PUT_AGAIN_MS 30000		   /* what the hub did not take */

struct mon_link {
	struct mon *m;
	struct mon_proc proc;
	struct mg_timer idle, restart;
	bool up;
	char text[512];
	unsigned verifying;
	struct judge *waiting, *waiting_last; /* for a turn */
	unsigned nwaiting;
	struct mg_req *due, *due_last; /* to be told of (Rule 7) */
	struct mg_timer put_again;
	int64_t backoff_ms;
	int64_t status_ms; /* since when nstatus were said */
	unsigned nstatus;
};

/* ---- the link process ---- */

static struct mon_link *
link_of(struct mon *m)
{
	if (m->link == NULL) {
		if ((m->link = calloc(1, sizeof(*m->link))) == NULL)
			mg_fatal("out of memory");
		m->link->m = m;
		m->link->backoff_ms = 200;
		snprintf(m->link->text, sizeof(m->link->text), "idle");
	}
	return m->link;
}

const char *
mon_hub_status(const struct mon *m)
{
	if (m->conf.hub_address[0] == '\0')
		return "none configured";
	return m->link == NULL ? "idle" : m->link->text;
}

/* Decisions on it count: it waits for them, or to be reviewed. */
static bool
is_open(const struct mg_req *req)
{
	return req->live.state == MG_REQ_PENDING || mg_req_wants_review(req);
}

static int64_t
left_ms(const struct mg_req *req)
{
	int64_t left = req->live.approve_by_bt - mg_time_boot_ms();

	if (mg_req_wants_review(req))
		return REVIEW_MS;
	return left > 0 ? left : 0;
}

static bool
is_wanted(struct mon *m)
{
	struct mg_req *req;

	if (m->conf.hub_address[0] == '\0' || m->stopping)
		return false;
	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		if (req->live.state == MG_REQ_PENDING && req->nneed > 0)
			return true;
	return mg_state_unreviewed(m->state) != NULL || mon_tree_is_due(m);
}

static void send_put(struct mon_link *l, struct mg_req *req);
static void send_state(struct mon_link *l, struct mg_req *req);
static void take_decision(struct mon *m, struct mg_frame *f);

/* ---- the queue (Rule 7) ---- */

static bool
is_due(const struct mon_req_rt *rt)
{
	return rt->put_due || rt->state_due;
}

static void
due_remove(struct mon_link *l, struct mg_req *req)
{
	struct mon_req_rt *rt = mon_req_rt(req);

	if (!is_due(rt))
		return;
	if (rt->due_prev != NULL)
		mon_req_rt(rt->due_prev)->due_next = rt->due_next;
	else
		l->due = rt->due_next;
	if (rt->due_next != NULL)
		mon_req_rt(rt->due_next)->due_prev = rt->due_prev;
	else
		l->due_last = rt->due_prev;
	rt->due_prev = rt->due_next = NULL;
	rt->put_due = rt->state_due = false;
}

/* Says what the link takes now; the rest when it has taken that. */
static void
say_due(void *arg)
{
	struct mon_link *l = arg;
	struct mg_req *req;
	bool put, state;

	while (l->up && (req = l->due) != NULL &&
	       !mg_chan_has_output(l->proc.port.ch)) {
		put = mon_req_rt(req)->put_due;
		state = mon_req_rt(req)->state_due;
		due_remove(l, req);
		if (put && is_open(req))
			send_put(l, req);
		if (state || !is_open(req) || req->live.napprovals > 0)
			send_state(l, req);
	}
}

static void
due_add(struct mon_link *l, struct mg_req *req, bool put)
{
	struct mon_req_rt *rt = mon_req_rt(req);

	if (!is_due(rt)) {
		rt->due_prev = l->due_last;
		if (l->due_last != NULL)
			mon_req_rt(l->due_last)->due_next = req;
		else
			l->due = req;
		l->due_last = req;
	}
	rt->put_due = rt->put_due || put;
	rt->state_due = rt->state_due || !put;
}

/* There is no channel any more: the next is told everything. */
static void
link_down(struct mon_link *l)
{
	l->up = false;
	while (l->due != NULL)
		due_remove(l, l->due);
}

void
mon_hub_forget(struct mon *m, struct mg_req *req)
{
	if (m->link != NULL)
		due_remove(m->link, req);
}

/* All that waits, or what of it is not there by what we know. */
static void
put_pending(struct mon_link *l, bool all)
{
	struct mg_req *req;

	for (req = mg_state_live(l->m->state); req != NULL; req = req->next)
		if (req->live.state == MG_REQ_PENDING && req->nneed > 0 &&
		    (!req->mfa || req->live.mfa_done) &&
		    (all || !mon_req_rt(req)->at_hub))
			due_add(l, req, true);
	say_due(l);
}

/* The channel is new: the hub may know nothing, so say all. */
static void
resubmit(struct mon_link *l)
{
	struct mg_req *req;

	if ((req = mg_state_unreviewed(l->m->state)) != NULL)
		due_add(l, req, true);
	/* Ends that it may have missed. */
	for (req = mg_state_ended(l->m->state); req != NULL; req = req->next)
		if (req->nneed > 0 && req->runtime != NULL &&
		    mon_req_rt(req)->at_hub)
			due_add(l, req, false);
	put_pending(l, true);
}

static void
put_again(void *arg)
{
	struct mon_link *l = arg;

	if (l->up)
		put_pending(l, false);
}

/* What it has is durable there; what it has not is put again. */
static void
take_put_ans(struct mon_link *l, struct mg_frame *f)
{
	struct mg_hub_put_ans a;
	struct mon_req_rt *rt;
	struct mg_req *req;
	char note[400];

	if (mg_frame_decode(f, &a, sizeof(a)) != MG_ERR_OK ||
	    (req = mg_state_find(l->m->state, a.uuid)) == NULL || !is_open(req))
		return;
	rt = mon_req_rt(req);
	if (a.ok) {
		rt->hub_refused = false;
		return;
	}
	rt->at_hub = false;
	if (l->put_again.slot == 0)
		mon_timer_set(l->m, &l->put_again,
		    mg_time_boot_ms() + PUT_AGAIN_MS, put_again, l);
	if (rt->hub_refused)
		return;
	rt->hub_refused = true;
	mg_log(MG_EVT_LINK, "req=%s why='the hub does not take it: %s'",
	    req->code, a.text);
	snprintf(note, sizeof(note),
	    "the hub does not take it now: %s; it is asked again", a.text);
	if (rt->job != NULL && rt->job->waiting)
		mon_job_tell_pending(rt->job, note);
}

static void link_ended(void *arg, int status);

/* Each new channel has us say everything again: one that comes and goes all
 * the time is ended, and starts later (Rule 6). */
static bool
flaps(struct mon_link *l)
{
	int64_t now = mg_time_boot_ms();

	if (now - l->status_ms >= STATUS_WINDOW_MS) {
		l->status_ms = now;
		l->nstatus = 0;
	}
	if (++l->nstatus <= STATUS_MAX)
		return false;
	mg_log(MG_EVT_LIMIT, "proc=mg-link why='it comes and goes'");
	mon_proc_stop(&l->proc);
	l->backoff_ms = STATUS_WINDOW_MS;
	link_ended(l, -1);
	return true;
}

static void
take_status(struct mon_link *l, struct mg_frame *f)
{
	struct mg_link_status s;

	if (mg_frame_decode(f, &s, sizeof(s)) != MG_ERR_OK)
		return;
	snprintf(l->text, sizeof(l->text), "%s%s%s",
	    s.up ? "connected" : "not connected", s.text[0] != '\0' ? ": " : "",
	    s.text);
	mg_log(MG_EVT_LINK, "up=%d text='%s'", s.up, s.text);
	if (flaps(l))
		return;
	link_down(l);
	l->up = s.up;
	l->backoff_ms = 200;
	if (s.up) {
		resubmit(l);
		mon_tree_send(l->m);
	} else {
		mon_tree_link_down(l->m);
	}
}

static void
link_frame(void *arg, struct mg_frame *f)
{
	struct mon_link *l = arg;
	struct mg_hub_witness w;

	switch ((int)f->op) {
	case MG_MSG_LINK_STATUS:
		take_status(l, f);
		return;
	case MG_MSG_HUB_WITNESS:
		if (mg_frame_decode(f, &w, sizeof(w)) == MG_ERR_OK)
			mon_tree_witness(l->m, &w);
		return;
	case MG_MSG_HUB_DECISION:
		take_decision(l->m, f);
		return;
	case MG_MSG_HUB_PUT_ANS:
		take_put_ans(l, f);
		return;
	default:
		return;
	}
}

static void link_start(struct mon_link *l);

static void
link_restart(void *arg)
{
	link_start(arg);
}

static void
link_ended(void *arg, int status)
{
	struct mon_link *l = arg;

	(void)status;
	link_down(l);
	mon_tree_link_down(l->m);
	snprintf(l->text, sizeof(l->text), "not connected: link ended");
	if (!is_wanted(l->m)) {
		snprintf(l->text, sizeof(l->text), "idle");
		return;
	}
	mon_timer_set(l->m, &l->restart, mg_time_boot_ms() + l->backoff_ms,
	    link_restart, l);
	if (l->backoff_ms < 30000)
		l->backoff_ms *= 2;
}

static void
link_start(struct mon_link *l)
{
	struct mon *m = l->m;
	struct mg_link_conf conf = {.address = m->conf.hub_address,
	    .port = m->conf.hub_port,
	    .host = m->conf.host,
	    .key = mg_buf_ptr(&m->host_key),
	    .key_len = mg_buf_len(&m->host_key)};
	size_t i;

	if (mon_proc_is_up(&l->proc) || !is_wanted(m))
		return;
	for (i = 0; i < m->conf.npins; i++)
		conf.pins[i] = m->conf.pins[i];
	conf.pins_n = m->conf.npins;
	l->proc.on_frame = link_frame;
	l->proc.on_end = link_ended;
	l->proc.on_drain = say_due;
	l->proc.arg = l;
	snprintf(l->text, sizeof(l->text), "connecting");
	if (mon_proc_start(&l->proc, m, "mg-link", NULL, NULL, MG_ROLE_LINK,
		NULL, 0) != MG_ERR_OK ||
	    mon_port_send(&l->proc.port, 0, MG_MSG_LINK_CONF, &conf) !=
		MG_ERR_OK) {
		mon_proc_stop(&l->proc);
		link_ended(l, -1);
	}
}

static void
link_idle(void *arg)
{
	struct mon_link *l = arg;

	if (is_wanted(l->m))
		return;
	mon_proc_stop(&l->proc);
	link_down(l);
	snprintf(l->text, sizeof(l->text), "idle");
}

void
mon_hub_reconf(struct mon *m)
{
	if (m->link == NULL)
		return;
	mon_proc_stop(&m->link->proc);
	link_down(m->link);
	link_start(m->link);
}

/* ---- the ledger's checkpoints ---- */

void
mon_hub_tree(struct mon *m)
{
	struct mon_link *l = link_of(m);

	if (m->conf.hub_address[0] == '\0')
		return;
	if (l->up)
		mon_tree_send(m);
	else
		link_start(l);
}

bool
mon_hub_send(struct mon *m, enum mg_msg_op op, const void *msg)
{
	return m->link != NULL && m->link->up &&
	       mon_port_send(&m->link->proc.port, 0, op, msg) == MG_ERR_OK;
}

void
mon_hub_tree_done(struct mon *m)
{
	if (m->link != NULL && !is_wanted(m))
		mon_timer_set(m, &m->link->idle,
		    mg_time_boot_ms() + MON_LINK_IDLE_MS, link_idle, m->link);
}

/* ---- telling the hub ---- */

static void
send_put(struct mon_link *l, struct mg_req *req)
{
	struct mg_hub_put msg = {.uuid = req->uuid,
	    .requester = req->user,
	    .filed_ms = req->filed_ms};
	struct mon_need *s;
	struct mg_buf b;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return;
	mg_buf_init(&b, MG_TEXT_MAX);
	msg.review = !mg_req_wants_review(req) ? ""
		     : req->live.tokens > 0    ? "tokens"
					       : "glass";
	msg.left_ms = (uint64_t)left_ms(req);
	mon_req_need(l->m, req, s);
	memcpy(msg.need, s->need, sizeof(s->need));
	msg.need_n = s->nneed;
	if (mon_req_body(l->m, req, &b) &&
	    (msg.body = mg_buf_cstr(&b)) != NULL &&
	    mon_port_send(&l->proc.port, 0, MG_MSG_HUB_PUT, &msg) == MG_ERR_OK)
		mon_req_rt(req)->at_hub = true;
	mg_buf_fini(&b);
	free(s);
}

void
mon_hub_put(struct mon *m, struct mg_req *req)
{
	struct mon_link *l = link_of(m);

	if (m->conf.hub_address[0] == '\0')
		return;
	mg_timer_clear(m->loop, &l->idle);
	if (!l->up) {
		link_start(l); /* resubmit() */
		return;
	}
	due_add(l, req, true);
	say_due(l);
}

static void
send_state(struct mon_link *l, struct mg_req *req)
{
	struct mg_hub_state msg = {.uuid = req->uuid,
	    .state = mg_req_state_word(req->live.state),
	    .ended = !is_open(req)};
	struct mon_need *s;

	if (!mon_req_rt(req)->at_hub || (s = calloc(1, sizeof(*s))) == NULL)
		return;
	mon_req_need(l->m, req, s);
	memcpy(msg.agreed, s->agreed, sizeof(s->agreed));
	msg.agreed_n = s->nagreed;
	msg.left_ms = (uint64_t)left_ms(req);
	if (mon_port_send(&l->proc.port, 0, MG_MSG_HUB_STATE, &msg) ==
		MG_ERR_OK &&
	    msg.ended)
		mon_req_rt(req)->at_hub = false;
	free(s);
}

void
mon_hub_state(struct mon *m, struct mg_req *req)
{
	struct mon_link *l = m->link;

	if (l == NULL || !mon_req_rt(req)->at_hub)
		return;
	if (!is_open(req))
		mon_timer_set(m, &l->idle, mg_time_boot_ms() + MON_LINK_IDLE_MS,
		    link_idle, l);
	if (!l->up)
		return;
	due_add(l, req, false);
	say_due(l);
}

/* ---- judging a decision ---- */

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

static void start_next(struct mon_link *l);

static void
judge_free(struct judge *g)
{
	struct mon_link *l = g->m->link;

	mon_sig_stop(&g->check);
	mg_buf_fini(&g->text);
	free(g->note);
	free(g->sig);
	free(g);
	if (l != NULL) {
		l->verifying--;
		start_next(l);
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

	if (m->link != NULL)
		(void)mon_port_send(
		    &m->link->proc.port, 0, MG_MSG_HUB_VERDICT, &msg);
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

	if (req == NULL || !is_open(req)) {
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

	g->m->link->verifying++;
	if (req == NULL || !is_open(req))
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
start_next(struct mon_link *l)
{
	struct judge *g = l->waiting;

	if (g == NULL || l->verifying >= VERIFYING_MAX)
		return;
	if ((l->waiting = g->next) == NULL)
		l->waiting_last = NULL;
	l->nwaiting--;
	judge_start(g);
}

static void
enqueue(struct mon_link *l, struct judge *g)
{
	if (l->waiting_last != NULL)
		l->waiting_last->next = g;
	else
		l->waiting = g;
	l->waiting_last = g;
	l->nwaiting++;
	start_next(l);
}

static void
take_decision(struct mon *m, struct mg_frame *f)
{
	struct mg_hub_decision d;
	struct mg_req *req;

	if (mg_frame_decode(f, &d, sizeof(d)) != MG_ERR_OK)
		return;
	req = mg_state_find(m->state, d.uuid);
	if (strcmp(d.decision, "approve") != 0 &&
	    strcmp(d.decision, "deny") != 0) {
		reject(m, req, d.uuid, d.approver, "deny", "bad-request",
		    "a decision is 'approve' or 'deny'", false);
		return;
	}
	if (req != NULL && is_repeat(m, req, &d))
		return;
	if (req == NULL || !is_open(req)) {
		reject(m, req, d.uuid, d.approver, d.decision, "wrong-state",
		    req == NULL ? "this host knows no such request"
				: "the request has ended",
		    false);
		return;
	}
	if (m->link->nwaiting >= WAITING_MAX) {
		tell_verdict(m, d.uuid, d.approver, d.decision, false,
		    "the host is busy: submit it again in a minute");
		return;
	}
	enqueue(m->link, judge_new(m, req, &d));
}

void
mon_hub_fini(struct mon *m)
{
	struct judge *g;

	if (m->link == NULL)
		return;
	while ((g = m->link->waiting) != NULL) {
		m->link->waiting = g->next;
		mg_buf_fini(&g->text);
		free(g->note);
		free(g->sig);
		free(g);
	}
	mg_timer_clear(m->loop, &m->link->idle);
	mg_timer_clear(m->loop, &m->link->restart);
	mg_timer_clear(m->loop, &m->link->put_again);
	link_down(m->link);
	mon_proc_stop(&m->link->proc);
	free(m->link);
	m->link = NULL;
}
