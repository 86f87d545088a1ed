/* SPDX-License-Identifier: ISC */
/*
 * Framed channels.
 *
 * Rules
 * 1. Op, direction, length cap and descriptor count are checked from the
 *    twelve bytes of the header, before anything is allocated for the rest.
 * 2. A descriptor that no row asked for is closed and the peer is cut off:
 *    it could fill our table or be something we would act on.
 * 3. Descriptors belong to the frame that holds the last byte of the
 *    recvmsg() which brought them: the kernel may put earlier bytes without
 *    descriptors in front, but stops after the piece that carries some, and
 *    a sender ends that piece with the frame. While descriptors wait for
 *    their frame, no byte beyond it is read, so only one set ever waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_time.h"

#define READ_STEP 16384
#define OUT_FDS_MAX 64

struct out_fds {
	size_t at;  /* position in the stream of bytes sent, see sent */
	size_t end; /* of their frame */
	int fds[MG_MSG_FDS_MAX];
	size_t n;
};

struct mg_chan {
	int fd;
	unsigned self, peer;
	struct mg_buf in, out;
	size_t taken; /* bytes of the frame given out last */
	int in_fds[MG_MSG_FDS_MAX];
	size_t n_in_fds;
	size_t fd_pos;	 /* position in the stream that in_fds came with */
	size_t received; /* bytes that entered in, ever */
	bool eof;
	bool deaf;   /* the peer broke the rules: nothing more is read */
	bool dead;   /* the peer takes nothing more */
	size_t sent; /* bytes that left out, ever */
	struct out_fds *queue;
	size_t nqueue;
};

struct mg_chan *
mg_chan_new(int fd, unsigned self, unsigned peer, size_t max_queue)
{
	struct mg_chan *ch;
	int flags;

	if ((ch = calloc(1, sizeof(*ch))) == NULL)
		return NULL;
	if ((flags = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) {
		free(ch);
		return NULL;
	}
	ch->fd = fd;
	ch->self = self;
	ch->peer = peer;
	/* Secrets (codes, keys) pass through, so all memory is wiped. */
	mg_buf_init_secret(
	    &ch->in, MG_MSG_PAYLOAD_MAX + MG_MSG_HEADER + READ_STEP);
	mg_buf_init_secret(&ch->out, max_queue);
	return ch;
}

static void
close_all(int *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fds[i] != -1)
			close(fds[i]);
}

void
mg_chan_free(struct mg_chan *ch)
{
	size_t i;

	if (ch == NULL)
		return;
	close(ch->fd);
	close_all(ch->in_fds, ch->n_in_fds);
	for (i = 0; i < ch->nqueue; i++)
		close_all(ch->queue[i].fds, ch->queue[i].n);
	free(ch->queue);
	mg_buf_fini(&ch->in);
	mg_buf_fini(&ch->out);
	free(ch);
}

int
mg_chan_fd(const struct mg_chan *ch)
{
	return ch->fd;
}

bool
mg_chan_has_output(const struct mg_chan *ch)
{
	return mg_buf_len(&ch->out) > 0;
}

/* ---- sending ---- */

static enum mg_err
queue_fds(struct mg_chan *ch, size_t at, size_t end, const int *fds, size_t n)
{
	struct out_fds *q;
	size_t i;

	if (ch->nqueue == OUT_FDS_MAX)
		return MG_ERR_LIMIT;
	q = reallocarray(ch->queue, ch->nqueue + 1, sizeof(*q));
	if (q == NULL)
		return MG_ERR_NOMEM;
	ch->queue = q;
	q += ch->nqueue;
	q->at = at;
	q->end = end;
	for (i = 0; i < n; i++) {
		q->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (q->fds[i] == -1) {
			close_all(q->fds, i);
			return MG_ERR_SYS;
		}
	}
	q->n = n;
	ch->nqueue++;
	return MG_ERR_OK;
}

enum mg_err
mg_chan_send_fds(struct mg_chan *ch, uint32_t id, enum mg_msg_op op,
    const void *msg, const int *fds, size_t nfds)
{
	const struct mg_msg_type *t = mg_msg_type(op);
	size_t before = mg_buf_len(&ch->out);
	enum mg_err r;

	if (ch->dead)
		return MG_ERR_CLOSED;
	if (t == NULL || (t->from & ch->self) == 0 || (t->to & ch->peer) == 0 ||
	    nfds > t->max_fds)
		return MG_ERR_INTERNAL;
	if ((r = mg_msg_encode(&ch->out, id, op, msg, NULL)) != MG_ERR_OK)
		return r;
	if (nfds > 0 &&
	    (r = queue_fds(ch, ch->sent + before,
		 ch->sent + mg_buf_len(&ch->out), fds, nfds)) != MG_ERR_OK) {
		ch->out.len = ch->out.off + before;
		return r;
	}
	return mg_chan_flush(ch);
}

enum mg_err
mg_chan_send(
    struct mg_chan *ch, uint32_t id, enum mg_msg_op op, const void *msg)
{
	return mg_chan_send_fds(ch, id, op, msg, NULL, 0);
}

/* One sendmsg(): the bytes up to the next descriptors, or with them. */
static ssize_t
send_some(struct mg_chan *ch)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * MG_MSG_FDS_MAX)];
		struct cmsghdr align;
	} ctl;
	struct msghdr m;
	struct iovec iov;
	struct cmsghdr *c;
	size_t n = mg_buf_len(&ch->out);

	memset(&m, 0, sizeof(m));
	memset(&ctl, 0, sizeof(ctl));
	iov.iov_base = ch->out.d + ch->out.off;
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	if (ch->nqueue > 0 && ch->queue[0].at == ch->sent) {
		m.msg_control = ctl.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * ch->queue[0].n);
		c = &ctl.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * ch->queue[0].n);
		memcpy(CMSG_DATA(c), ch->queue[0].fds,
		    sizeof(int) * ch->queue[0].n);
		n = ch->queue[0].end - ch->sent; /* Rule 3 */
	} else if (ch->nqueue > 0 && ch->queue[0].at - ch->sent < n) {
		n = ch->queue[0].at - ch->sent;
	}
	iov.iov_len = n;
	return sendmsg(ch->fd, &m, MSG_NOSIGNAL);
}

enum mg_err
mg_chan_flush(struct mg_chan *ch)
{
	ssize_t n;

	while (mg_buf_len(&ch->out) > 0) {
		n = send_some(ch);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return MG_ERR_OK;
		if (n <= 0) {
			ch->dead = true;
			return MG_ERR_CLOSED;
		}
		if (ch->nqueue > 0 && ch->queue[0].at == ch->sent) {
			close_all(ch->queue[0].fds, ch->queue[0].n);
			ch->nqueue--;
			memmove(ch->queue, ch->queue + 1,
			    ch->nqueue * sizeof(*ch->queue));
		}
		ch->sent += (size_t)n;
		mg_buf_consume(&ch->out, (size_t)n);
	}
	mg_buf_reset(&ch->out);
	return MG_ERR_OK;
}

/* ---- receiving ---- */

static enum mg_err
proto(struct mg_chan *ch, const char **whyp, const char *why)
{
	ch->deaf = true;
	if (whyp != NULL)
		*whyp = why;
	return MG_ERR_PROTO;
}

/* Keeps the descriptors of one recvmsg(); false when there are too many. */
static bool
keep_fds(struct mg_chan *ch, struct msghdr *m)
{
	struct cmsghdr *c;
	bool ok = (m->msg_flags & MSG_CTRUNC) == 0;
	size_t n, i;
	int fd;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (!ok || ch->n_in_fds == MG_MSG_FDS_MAX) {
				close(fd);
				ok = false;
				continue;
			}
			ch->in_fds[ch->n_in_fds++] = fd;
		}
	}
	return ok;
}

static enum mg_err
read_some(struct mg_chan *ch, size_t want, const char **whyp)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * (MG_MSG_FDS_MAX + 1))];
		struct cmsghdr align;
	} ctl;
	struct msghdr m;
	struct iovec iov;
	size_t before = ch->n_in_fds;
	uint8_t *d;
	ssize_t n;

	if (want < READ_STEP && ch->n_in_fds == 0) /* Rule 3 */
		want = READ_STEP;
	if ((d = mg_buf_reserve(&ch->in, want)) == NULL)
		return MG_ERR_NOMEM;
	memset(&m, 0, sizeof(m));
	iov.iov_base = d;
	iov.iov_len = want;
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = ctl.buf;
	m.msg_controllen = sizeof(ctl.buf);
	do
		n = recvmsg(ch->fd, &m, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return MG_ERR_AGAIN;
	if (n == -1) {
		ch->eof = true;
		return MG_ERR_OK;
	}
	if (!keep_fds(ch, &m)) /* Rule 2 */
		return proto(ch, whyp, "too many descriptors");
	if (n == 0)
		ch->eof = true;
	mg_buf_commit(&ch->in, (size_t)n);
	ch->received += (size_t)n;
	if (ch->n_in_fds > before)
		ch->fd_pos = ch->received - (n > 0 ? 1 : 0);
	return MG_ERR_OK;
}

/* Whether the waiting descriptors belong to the first len bytes of in. */
static bool
fds_are_within(const struct mg_chan *ch, size_t len)
{
	size_t start = ch->received - mg_buf_len(&ch->in);

	return ch->n_in_fds > 0 && ch->fd_pos - start < len;
}

/* Judges the header at p; sets f and the length of the whole frame. */
static enum mg_err
check_header(struct mg_chan *ch, const uint8_t *p, struct mg_frame *f,
    size_t *wholep, const char **whyp)
{
	struct mg_msg_header h;
	const char *why;

	if (mg_msg_header_get(p, ch->peer, ch->self, &h, &why) != MG_ERR_OK)
		return proto(ch, whyp, why);
	if (fds_are_within(ch, h.len + MG_MSG_HEADER) &&
	    ch->n_in_fds > h.type->max_fds)
		return proto(ch, whyp, "descriptors that were not asked for");
	f->op = h.type->op;
	f->id = h.id;
	f->len = h.len;
	*wholep = h.len + MG_MSG_HEADER;
	return MG_ERR_OK;
}

static void
finish_last(struct mg_chan *ch)
{
	if (ch->taken == 0)
		return;
	if (fds_are_within(ch, ch->taken)) {
		close_all(ch->in_fds, ch->n_in_fds);
		ch->n_in_fds = 0;
	}
	explicit_bzero(ch->in.d + ch->in.off, ch->taken);
	mg_buf_consume(&ch->in, ch->taken);
	ch->taken = 0;
}

enum mg_err
mg_chan_recv(struct mg_chan *ch, struct mg_frame *f, const char **whyp)
{
	size_t have, whole, i;
	enum mg_err r;

	if (whyp != NULL)
		*whyp = "";
	finish_last(ch);
	memset(f, 0, sizeof(*f));
	if (ch->deaf)
		return MG_ERR_PROTO;
	for (;;) {
		have = mg_buf_len(&ch->in);
		whole = MG_MSG_HEADER;
		if (have >= MG_MSG_HEADER &&
		    (r = check_header(ch, mg_buf_ptr(&ch->in), f, &whole,
			 whyp)) != MG_ERR_OK) /* Rule 1 */
			return r;
		if (have >= whole)
			break;
		if (ch->eof)
			return have == 0 ? MG_ERR_CLOSED : MG_ERR_TRUNC;
		if ((r = read_some(ch, whole - have, whyp)) != MG_ERR_OK)
			return r;
	}
	f->payload = mg_buf_ptr(&ch->in) + MG_MSG_HEADER;
	f->nfds = fds_are_within(ch, whole) ? ch->n_in_fds : 0;
	for (i = 0; i < MG_MSG_FDS_MAX; i++)
		f->fds[i] = i < f->nfds ? ch->in_fds[i] : -1;
	ch->taken = whole;
	return MG_ERR_OK;
}

int
mg_frame_take_fd(struct mg_chan *ch, struct mg_frame *f, size_t i)
{
	int fd = i < f->nfds ? f->fds[i] : -1;

	if (i < f->nfds)
		f->fds[i] = ch->in_fds[i] = -1;
	return fd;
}

enum mg_err
mg_frame_decode(const struct mg_frame *f, void *msg, size_t size)
{
	return mg_msg_decode(f->op, f->payload, f->len, msg, size, NULL);
}

enum mg_err
mg_chan_wait(struct mg_chan *ch, int timeout_ms, struct mg_frame *f)
{
	int64_t end = mg_time_boot_ms() + timeout_ms, left = -1;
	struct pollfd p;
	enum mg_err r;

	for (;;) {
		/* Before the last look: whoever stops this process here and
		 * has it go on too late finds what has come meanwhile. */
		if (timeout_ms >= 0)
			left = end - mg_time_boot_ms();
		/* A peer that has hung up may have said something before. */
		if ((r = mg_chan_flush(ch)) != MG_ERR_OK && r != MG_ERR_CLOSED)
			return r;
		if ((r = mg_chan_recv(ch, f, NULL)) != MG_ERR_AGAIN)
			return r;
		if (timeout_ms >= 0 && left <= 0)
			return MG_ERR_TIMEOUT;
		p.fd = ch->fd;
		p.events = POLLIN;
		if (mg_chan_has_output(ch))
			p.events |= POLLOUT;
		if (poll(&p, 1, (int)left) == -1 && errno != EINTR)
			return MG_ERR_SYS;
	}
}

enum mg_err
mg_chan_finish(struct mg_chan *ch, int timeout_ms)
{
	struct mg_frame f;
	enum mg_err r;

	if ((r = mg_chan_flush(ch)) != MG_ERR_OK || !mg_chan_has_output(ch))
		return r;
	r = mg_chan_wait(ch, timeout_ms, &f);
	return r == MG_ERR_CLOSED ? MG_ERR_OK : MG_ERR_TIMEOUT;
}
