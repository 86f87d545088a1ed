/* SPDX-License-Identifier: ISC */
/*
 * The channel of a host: frames over ssh, frames to the hub.
 *
 * Rules
 * 1. Nothing is passed on as bytes: every message is decoded and encoded
 *    again, so the hub sees only what the codec lets through.
 * 2. A host that says nothing for too long is gone: its channel ends, and
 *    decisions wait for the next one.
 */
#include "conn_io.h"
#include "mg_log.h"
#include "mg_stream.h"
#include "mg_time.h"

#define OUT_MAX 65536
#define READ_SIZE 16384

union message {
	struct mg_hub_put put;
	struct mg_hub_put_ans put_ans;
	struct mg_hub_state state;
	struct mg_hub_decision decision;
	struct mg_hub_verdict verdict;
	struct mg_hub_tree tree;
	struct mg_hub_witness witness;
	struct mg_hub_ping ping;
};

static bool
violation(struct conn *c, const char *what)
{
	mg_log(MG_EVT_PROTO, "from=%s host=%s %s", c->peer, c->name, what);
	c->is_dead = true;
	return false;
}

/* Sends one message to the host, all of it. */
static bool
to_host(struct conn *c, struct mg_stream *st, uint32_t id, enum mg_msg_op op,
    const void *msg)
{
	const uint8_t *p;
	bool ok;
	size_t n;

	if (mg_stream_send(st, id, op, msg) != MG_ERR_OK)
		return violation(c, "message that cannot be sent");
	p = mg_stream_out(st, &n);
	ok = conn_write(c, p, n);
	mg_stream_sent(st, n);
	return ok;
}

static bool
is_from_host(enum mg_msg_op op)
{
	return op == MG_MSG_HUB_PUT || op == MG_MSG_HUB_STATE ||
	       op == MG_MSG_HUB_VERDICT || op == MG_MSG_HUB_TREE;
}

/* Rule 1 */
static bool
from_host(struct conn *c, struct mg_stream *st, const struct mg_frame *f)
{
	const struct mg_msg_type *t = mg_msg_type(f->op);
	union message m;

	if (t == NULL || t->size > sizeof(m) ||
	    mg_frame_decode(f, &m, t->size) != MG_ERR_OK)
		return violation(c, "message that does not decode");
	c->deadline_ms = mg_time_boot_ms() + c->dead_ms; /* Rule 2 */
	if (f->op == MG_MSG_HUB_PING)
		return to_host(c, st, f->id, MG_MSG_HUB_PONG, &m);
	if (f->op == MG_MSG_HUB_PONG)
		return true;
	if (!is_from_host(f->op))
		return violation(c, "message that no host sends");
	return conn_ask(c, f->op, &m, NULL);
}

static bool
read_host(struct conn *c, struct mg_stream *st)
{
	uint8_t buf[READ_SIZE], *p;
	struct mg_frame f;
	const char *why;
	enum mg_err r = MG_ERR_OK;
	size_t used;
	int n;

	while ((n = conn_read(c, buf, sizeof(buf))) > 0) {
		p = buf;
		while ((r = mg_stream_recv(
			    st, p, (size_t)n, &used, &f, &why)) == MG_ERR_OK) {
			p += used;
			n -= (int)used;
			if (!from_host(c, st, &f))
				return false;
		}
		if (r == MG_ERR_PROTO)
			return violation(c, why);
		if (r != MG_ERR_AGAIN)
			return false;
	}
	return n == 0;
}

static bool
read_hub(struct conn *c, struct mg_stream *st)
{
	const struct mg_msg_type *t;
	struct mg_frame f;
	union message m;
	enum mg_err r;

	while ((r = mg_chan_recv(c->hub, &f, NULL)) == MG_ERR_OK) {
		t = mg_msg_type(f.op);
		if ((f.op != MG_MSG_HUB_PUT_ANS &&
			f.op != MG_MSG_HUB_DECISION &&
			f.op != MG_MSG_HUB_WITNESS) ||
		    t == NULL || mg_frame_decode(&f, &m, t->size) != MG_ERR_OK)
			return violation(c, "message of the hub's own");
		if (!to_host(c, st, f.id, f.op, &m))
			return false;
	}
	return r == MG_ERR_AGAIN;
}

void
conn_serve_host(struct conn *c)
{
	struct mg_conn_host_req req = {0};
	struct mg_stream st;

	c->deadline_ms = mg_time_boot_ms() + c->dead_ms;
	if (!conn_ask(c, MG_MSG_CONN_HOST_REQ, &req, NULL))
		return;
	mg_stream_init(&st, MG_ROLE_HUB, MG_ROLE_HOST, OUT_MAX);
	while (read_host(c, &st) && read_hub(c, &st))
		if (!conn_step(c, c->deadline_ms))
			break;
	if (c->timed_out)
		mg_log(MG_EVT_SESSION, "host=%s is silent: hung up", c->name);
	mg_stream_fini(&st);
	conn_finish(c, CONN_STATUS_OK);
}
