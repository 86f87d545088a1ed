/* SPDX-License-Identifier: ISC */
/*
 * Frames over somebody else's byte stream.
 *
 * Rules
 * 1. Op, direction and length are checked from the header, before memory
 *    for the payload: a peer cannot make us hold more than the largest
 *    message that it may send.
 * 2. After a violation nothing more is read: what follows has no meaning.
 */
#include <string.h>

#include "mg_stream.h"

void
mg_stream_init(
    struct mg_stream *st, unsigned self, unsigned peer, size_t max_out)
{
	memset(st, 0, sizeof(*st));
	st->self = self;
	st->peer = peer;
	mg_buf_init_secret(&st->in, MG_MSG_PAYLOAD_MAX + MG_MSG_HEADER);
	mg_buf_init_secret(&st->out, max_out);
}

void
mg_stream_fini(struct mg_stream *st)
{
	mg_buf_fini(&st->in);
	mg_buf_fini(&st->out);
	st->dead = true;
}

bool
mg_stream_is_inside(const struct mg_stream *st)
{
	return mg_buf_len(&st->in) > st->taken;
}

/* Moves bytes into in until it holds want; false: they did not suffice. */
static enum mg_err
fill(struct mg_stream *st, size_t want, const uint8_t **pp, size_t *np)
{
	size_t have = mg_buf_len(&st->in), n;
	enum mg_err r;

	if (have >= want)
		return MG_ERR_OK;
	n = want - have < *np ? want - have : *np;
	if ((r = mg_buf_put(&st->in, *pp, n)) != MG_ERR_OK)
		return r;
	*pp += n;
	*np -= n;
	return have + n == want ? MG_ERR_OK : MG_ERR_AGAIN;
}

static enum mg_err
next(struct mg_stream *st, const uint8_t **pp, size_t *np, struct mg_frame *f,
    const char **whyp)
{
	struct mg_msg_header h;
	enum mg_err r;
	size_t i;

	if ((r = fill(st, MG_MSG_HEADER, pp, np)) != MG_ERR_OK)
		return r;
	if ((r = mg_msg_header_get(mg_buf_ptr(&st->in), st->peer, st->self, &h,
		 whyp)) != MG_ERR_OK) { /* Rule 1 */
		st->dead = true;
		return r;
	}
	if ((r = fill(st, MG_MSG_HEADER + h.len, pp, np)) != MG_ERR_OK)
		return r;
	f->op = h.type->op;
	f->id = h.id;
	f->payload = mg_buf_ptr(&st->in) + MG_MSG_HEADER;
	f->len = h.len;
	for (i = 0; i < MG_MSG_FDS_MAX; i++)
		f->fds[i] = -1;
	st->taken = MG_MSG_HEADER + h.len;
	return MG_ERR_OK;
}

enum mg_err
mg_stream_recv(struct mg_stream *st, const void *p, size_t n, size_t *usedp,
    struct mg_frame *f, const char **whyp)
{
	const uint8_t *at = p;
	size_t left = n;
	enum mg_err r;

	*usedp = 0;
	memset(f, 0, sizeof(*f));
	if (whyp != NULL)
		*whyp = "";
	if (st->dead) /* Rule 2 */
		return MG_ERR_PROTO;
	mg_buf_consume(&st->in, st->taken);
	st->taken = 0;
	r = next(st, &at, &left, f, whyp);
	*usedp = n - left;
	return r;
}

enum mg_err
mg_stream_send(
    struct mg_stream *st, uint32_t id, enum mg_msg_op op, const void *msg)
{
	const struct mg_msg_type *t = mg_msg_type(op);

	if (t == NULL || (t->from & st->self) == 0 || (t->to & st->peer) == 0 ||
	    t->max_fds > 0)
		return MG_ERR_INTERNAL;
	return mg_msg_encode(&st->out, id, op, msg, NULL);
}

const uint8_t *
mg_stream_out(const struct mg_stream *st, size_t *np)
{
	*np = mg_buf_len(&st->out);
	return mg_buf_ptr(&st->out);
}

void
mg_stream_sent(struct mg_stream *st, size_t n)
{
	mg_buf_consume(&st->out, n);
}
