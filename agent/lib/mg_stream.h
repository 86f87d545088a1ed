/* SPDX-License-Identifier: ISC */
#ifndef MG_STREAM_H
#define MG_STREAM_H

#include "mg_chan.h"

/*
 * Frames over a byte stream that is not a socket of ours: the ssh channel
 * between a host and the hub. Bytes go in as they come, frames come out;
 * frames go in, bytes to be sent come out. As with mg_chan, a header is
 * checked against the list before anything is allocated for the rest, so
 * at most one frame waits. No descriptors.
 */

struct mg_stream {
	unsigned self, peer;
	struct mg_buf in, out;
	size_t taken; /* bytes of the frame given out last */
	bool dead;
};

/*
 * self and peer are the roles at the ends (enum mg_msg_role). At most
 * max_out bytes wait to be sent. Caller's storage.
 */
void mg_stream_init(
    struct mg_stream *st, unsigned self, unsigned peer, size_t max_out);
void mg_stream_fini(struct mg_stream *st);

/*
 * Takes up to n bytes from p, *usedp of them. MG_ERR_OK: a whole frame is
 * in f, its payload lives until the next call; call again with the rest.
 * MG_ERR_AGAIN: all were taken and the frame is not whole yet.
 * MG_ERR_PROTO: the stream is dead; *whyp (may be NULL) says why.
 * MG_ERR_NOMEM.
 */
enum mg_err mg_stream_recv(struct mg_stream *st, const void *p, size_t n,
    size_t *usedp, struct mg_frame *f, const char **whyp) MG_MUST_CHECK;

/* Whether a frame has begun and is not whole. */
bool mg_stream_is_inside(const struct mg_stream *st);

/* Queues one frame. MG_ERR_LIMIT when max_out would be passed. */
enum mg_err mg_stream_send(struct mg_stream *st, uint32_t id, enum mg_msg_op op,
    const void *msg) MG_MUST_CHECK;

/* The bytes that wait to be sent, and how many; then how many were. */
const uint8_t *mg_stream_out(const struct mg_stream *st, size_t *np);
void mg_stream_sent(struct mg_stream *st, size_t n);

#endif
