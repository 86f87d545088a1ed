/* SPDX-License-Identifier: ISC */
/*
 * What the hub is told, and its link. Decisions from it: mon_decision.c.
 *
 * Rules
 * 1. What a link or a hub can make us do or log over and over is bounded in
 *    time; the log says how much was not written (mg_log.h).
 * 2. What the hub is to be told waits in a queue of requests, not of bytes,
 *    and is said as it is when its turn comes: thousands of requests at once
 *    cost no memory, and none is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define REVIEW_MS (30 * INT64_C(86400000)) /* as the hub counts */
#define STATUS_MAX 20			   /* words of a link on how it is, */
#define STATUS_WINDOW_MS 10000		   /* in so long */
#define PUT_AGAIN_MS 30000		   /* what the hub did not take */

struct mon_link {
	struct mon *m;
	struct mon_proc proc;
	struct mg_timer idle, restart;
	bool up;
	char text[512];
	struct mg_req *due, *due_last; /* to be told of (Rule 2) */
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

/* ---- the queue (Rule 2) ---- */

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
		if (put && mg_req_is_open(req))
			send_put(l, req);
		if (state || !mg_req_is_open(req) || req->live.napprovals > 0)
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
	    (req = mg_state_find(l->m->state, a.uuid)) == NULL ||
	    !mg_req_is_open(req))
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
 * the time is ended, and starts later (Rule 1). */
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
	struct mg_hub_decision d;
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
		if (mg_frame_decode(f, &d, sizeof(d)) == MG_ERR_OK)
			mon_decision(l->m, &d);
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
mon_hub_verdict(struct mon *m, const struct mg_hub_verdict *msg)
{
	if (m->link != NULL)
		(void)mon_port_send(
		    &m->link->proc.port, 0, MG_MSG_HUB_VERDICT, msg);
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
	    .ended = !mg_req_is_open(req)};
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
	if (!mg_req_is_open(req))
		mon_timer_set(m, &l->idle, mg_time_boot_ms() + MON_LINK_IDLE_MS,
		    link_idle, l);
	if (!l->up)
		return;
	due_add(l, req, false);
	say_due(l);
}

void
mon_hub_fini(struct mon *m)
{
	if (m->link == NULL)
		return;
	mg_timer_clear(m->loop, &m->link->idle);
	mg_timer_clear(m->loop, &m->link->restart);
	mg_timer_clear(m->loop, &m->link->put_again);
	link_down(m->link);
	mon_proc_stop(&m->link->proc);
	free(m->link);
	m->link = NULL;
}
