/* SPDX-License-Identifier: ISC */
/*
 * Waiting, reading, writing, questions to the hub.
 *
 * Rules
 * 1. Everything waits in conn_step(), which serves the connection and looks
 *    at the clock: a peer that does nothing ends at its deadline.
 * 2. libssh takes data beyond the window that it granted, and stores what
 *    nobody reads (stderr): both end the connection, or memory would.
 * 3. Nothing more is written while the socket has not taken the last piece:
 *    a peer may grant a window of 4 GiB and never read.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conn_io.h"
#include "mg_log.h"
#include "mg_time.h"

#define WINDOW_MAX 1310720 /* what libssh grants at most, and a packet */
#define PIECE 16384
#define CLOSE_MS 2000 /* for the peer to take the last bytes */

/* Rule 2 */
static bool
is_flooding(struct conn *c)
{
	if (c->channel == NULL)
		return false;
	return ssh_channel_poll(c->channel, 0) > WINDOW_MAX ||
	       ssh_channel_poll(c->channel, 1) > 0;
}

bool
conn_step(struct conn *c, int64_t until_ms)
{
	int64_t now = mg_time_boot_ms();
	int64_t end = until_ms < c->deadline_ms ? until_ms : c->deadline_ms;

	if (c->is_dead)
		return false;
	if (now >= c->deadline_ms) { /* Rule 1 */
		c->is_dead = c->timed_out = true;
		return false;
	}
	if (ssh_event_dopoll(c->event, end > now ? (int)(end - now) : 0) ==
		SSH_ERROR ||
	    (ssh_get_status(c->session) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0)
		c->is_dead = true;
	else if (is_flooding(c)) {
		mg_log(MG_EVT_PROTO, "from=%s sends more than its window",
		    c->peer);
		c->is_dead = true;
	}
	return !c->is_dead;
}

int
conn_read(struct conn *c, void *p, size_t size)
{
	int n;

	if (c->is_dead || c->channel == NULL)
		return -1;
	n = ssh_channel_read_nonblocking(
	    c->channel, p, (uint32_t)(size < PIECE ? size : PIECE), 0);
	if (n > 0)
		return n;
	if (n == 0 && !ssh_channel_is_eof(c->channel) &&
	    ssh_channel_is_open(c->channel))
		return 0;
	return -1;
}

/* Whether the next piece may be written. */
static bool
may_write(const struct conn *c)
{
	return (ssh_get_status(c->session) & SSH_WRITE_PENDING) == 0 &&
	       ssh_channel_window_size(c->channel) > 0; /* Rule 3 */
}

static bool
write_to(struct conn *c, const uint8_t *p, size_t n, bool is_stderr)
{
	uint32_t window, piece;
	int w;

	while (n > 0) {
		if (c->is_dead || c->channel == NULL ||
		    !ssh_channel_is_open(c->channel))
			return false;
		if (!may_write(c)) {
			if (!conn_step(c, c->deadline_ms))
				return false;
			continue;
		}
		window = ssh_channel_window_size(c->channel);
		piece = n < PIECE ? (uint32_t)n : PIECE;
		if (piece > window)
			piece = window;
		w = is_stderr ? ssh_channel_write_stderr(c->channel, p, piece)
			      : ssh_channel_write(c->channel, p, piece);
		if (w < 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

bool
conn_write(struct conn *c, const void *p, size_t n)
{
	return write_to(c, p, n, false);
}

/* On a terminal in raw mode a new line needs its carriage return. */
static bool
put_text(struct conn *c, const char *s, bool is_stderr)
{
	const char *nl;
	size_t n;

	while (*s != '\0') {
		nl = c->has_pty ? strchr(s, '\n') : NULL;
		n = nl == NULL ? strlen(s) : (size_t)(nl - s);
		if (!write_to(c, (const uint8_t *)s, n, is_stderr))
			return false;
		s += n;
		if (nl == NULL)
			continue;
		if (!write_to(c, (const uint8_t *)"\r\n", 2, is_stderr))
			return false;
		s++;
	}
	return true;
}

bool
conn_puts(struct conn *c, const char *s)
{
	return put_text(c, s, false);
}

bool
conn_errs(struct conn *c, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return put_text(c, text, !c->has_pty);
}

void
conn_finish(struct conn *c, int status)
{
	int64_t end = mg_time_boot_ms() + CLOSE_MS;

	if (c->is_dead || c->channel == NULL)
		return;
	if (c->deadline_ms < end)
		c->deadline_ms = end;
	if (ssh_channel_is_open(c->channel)) {
		(void)ssh_channel_request_send_exit_status(c->channel, status);
		(void)ssh_channel_send_eof(c->channel);
		(void)ssh_channel_close(c->channel);
	}
	/* Until the peer hangs up: unread bytes of his would otherwise make
	 * the kernel throw away what he has not read yet. */
	while (mg_time_boot_ms() < end && conn_step(c, end))
		continue;
}

/* ---- the hub ---- */

static bool
flush_hub(struct conn *c)
{
	struct pollfd p = {.fd = mg_chan_fd(c->hub), .events = POLLOUT};

	while (mg_chan_has_output(c->hub)) {
		if (poll(&p, 1, CONN_HUB_MS) != 1 ||
		    mg_chan_flush(c->hub) != MG_ERR_OK) {
			c->is_dead = true;
			return false;
		}
	}
	return true;
}

bool
conn_ask(struct conn *c, enum mg_msg_op op, const void *msg, uint32_t *idp)
{
	uint32_t id = ++c->next_id;
	enum mg_err r;

	if (idp != NULL)
		*idp = id;
	if (c->is_dead)
		return false;
	if ((r = mg_chan_send(c->hub, id, op, msg)) != MG_ERR_OK) {
		mg_log(MG_EVT_ERROR, "cannot send %s to the hub: %s",
		    mg_msg_name(op), mg_err_str(r));
		c->is_dead = true;
		return false;
	}
	return flush_hub(c);
}

/* The next message; CHANGED is noted and not given out. */
static enum mg_err
next_message(struct conn *c, struct mg_frame *f)
{
	enum mg_err r;

	for (;;) {
		r = mg_chan_recv(c->hub, f, NULL);
		if (r != MG_ERR_OK || f->op != MG_MSG_CONN_CHANGED)
			break;
		c->changed = true;
	}
	if (r != MG_ERR_OK && r != MG_ERR_AGAIN)
		c->is_dead = true;
	return r;
}

enum mg_err
conn_answer(struct conn *c, uint32_t id, int64_t timeout_ms, struct mg_frame *f)
{
	int64_t end = mg_time_boot_ms() + timeout_ms;
	enum mg_err r;

	for (;;) {
		while ((r = next_message(c, f)) == MG_ERR_OK)
			if (f->id == id)
				return MG_ERR_OK;
		if (r != MG_ERR_AGAIN)
			return MG_ERR_CLOSED;
		if (mg_time_boot_ms() >= end)
			return MG_ERR_TIMEOUT;
		if (!conn_step(c, end))
			return MG_ERR_CLOSED;
	}
}

void
conn_drain_hub(struct conn *c)
{
	struct mg_frame f;

	while (next_message(c, &f) == MG_ERR_OK)
		continue; /* a verdict that nobody waits for any more */
}
