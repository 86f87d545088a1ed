/* SPDX-License-Identifier: ISC */
#ifndef MG_CHAN_H
#define MG_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_msg.h"

/*
 * A framed, non-blocking channel over a UNIX stream socket, with
 * descriptors riding on the messages whose row allows them. The receiver
 * checks op, direction, length and descriptor count against the table
 * before it allocates; anything else is MG_ERR_PROTO, after which nothing
 * more is received: say why, if that helps, and free it.
 */

struct mg_chan;

struct mg_frame {
	enum mg_msg_op op;
	uint32_t id;
	const void *payload;
	size_t len;
	int fds[MG_MSG_FDS_MAX]; /* -1 where none, or taken */
	size_t nfds;
};

/*
 * A channel over fd, which it owns from now on and makes non-blocking.
 * self and peer are the roles at its ends (enum mg_msg_role, or several).
 * At most max_queue bytes wait to be sent. NULL when memory is out (fd is
 * then still the caller's).
 */
struct mg_chan *mg_chan_new(
    int fd, unsigned self, unsigned peer, size_t max_queue) MG_MUST_CHECK;

/* Closes and frees everything, unsent data and unread descriptors too. */
void mg_chan_free(struct mg_chan *ch);

int mg_chan_fd(const struct mg_chan *ch);

/*
 * Queues one message and tries to send at once. Descriptors are duplicated
 * by the kernel when sent; until then the channel keeps its own duplicates,
 * so the caller's stay the caller's. MG_ERR_LIMIT when the queue is full.
 * *fieldp (may be NULL) names a field that was not encodable.
 */
enum mg_err mg_chan_send(struct mg_chan *ch, uint32_t id, enum mg_msg_op op,
    const void *msg) MG_MUST_CHECK;
enum mg_err mg_chan_send_fds(struct mg_chan *ch, uint32_t id, enum mg_msg_op op,
    const void *msg, const int *fds, size_t nfds) MG_MUST_CHECK;

/* Sends what waits. MG_ERR_OK also when the socket takes no more yet. */
enum mg_err mg_chan_flush(struct mg_chan *ch) MG_MUST_CHECK;

/* Whether something waits to be sent: poll for writing. */
bool mg_chan_has_output(const struct mg_chan *ch);

/*
 * The next whole frame. f->payload lives until the next call on ch;
 * descriptors not taken (set to -1 by the caller) are closed then too.
 * MG_ERR_AGAIN: poll for reading. MG_ERR_CLOSED: end, between two frames.
 * MG_ERR_TRUNC: end inside one. MG_ERR_PROTO: see above; *whyp, if not
 * NULL, gets a static text.
 */
enum mg_err mg_chan_recv(
    struct mg_chan *ch, struct mg_frame *f, const char **whyp) MG_MUST_CHECK;

/* Takes descriptor i out of the frame: the caller's from now on. */
int mg_frame_take_fd(struct mg_chan *ch, struct mg_frame *f, size_t i);

/* Decodes the frame into msg of size bytes, as mg_msg_decode(). */
enum mg_err mg_frame_decode(
    const struct mg_frame *f, void *msg, size_t size) MG_MUST_CHECK;

/*
 * Waits up to timeout_ms (-1: for ever) until a frame is there or output
 * is flushed and a frame is there. MG_ERR_TIMEOUT when it is not.
 */
enum mg_err mg_chan_wait(
    struct mg_chan *ch, int timeout_ms, struct mg_frame *f) MG_MUST_CHECK;

/*
 * Waits up to timeout_ms until the last answer has left and the peer, who
 * has nothing more to say, closes. MG_ERR_TIMEOUT when it does not.
 */
enum mg_err mg_chan_finish(struct mg_chan *ch, int timeout_ms) MG_MUST_CHECK;

#endif
