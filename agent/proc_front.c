/* SPDX-License-Identifier: ISC */
/*
 * mg-front: reads what clients send that are not root.
 *
 * Runs as: _mg-front, no privileges
 * Holds: one client's socket per worker
 * Accepts: bytes from that client; typed messages from the monitor
 * Sends: that client's messages, decoded and encoded again
 * If it dies: the worker's client is cut off; the monitor starts a new front
 *
 * Rules
 * 1. One worker a client: a worker that its client takes over can say
 *    nothing that the client could not say, and reaches no other client.
 * 2. Every message is decoded whole, each field checked, and encoded anew:
 *    no byte of a client goes on as it came.
 * 3. Workers are one user: what one could do to another (signals, limits,
 *    tracing) the filter forbids.
 * 4. Nothing is read for one side that the other does not take: who asks and
 *    never reads costs a message, not what all the answers weigh.
 * 5. But for waiting for a side, nothing here waits: a worker that could be
 *    kept by what its client passed (mg_close.c) would use up a process for
 *    as long as the client likes.
 * 6. Only pipes and bags (mg_bag.h) go on: whoever has a file of FUSE, or of
 *    a network, waits for that file system when it closes the file, and all
 *    others would wait for the monitor. A worker that a client keeps so is
 *    one of the places of that client's user, until it is ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_close.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_why.h"

#define CHANNEL_FD 3
#define USER "_mg-front"
#define QUEUE_MAX 262144
#define RECORD_MS 6000 /* the monitor's answer: ledger and audit */

/* Its other end is the parent's alone: workers end when it closes. */
static int life[2];

/* Room for the largest message that passes, decoded. */
union any {
	struct mg_run_req run_req;
	struct mg_pam_req pam_req;
	struct mg_pending pending;
	char room[16384];
};

/* Which message, which field. */
static const char *
name_field(const struct mg_msg_type *t, const char *field)
{
	static char why[128];

	snprintf(why, sizeof(why), "%s: %s is not what it may be", t->name,
	    field[0] != '\0' ? field : "its length");
	return why;
}

/* Rule 6. Neither question reaches a file system. */
static bool
is_harmless(int fd)
{
	socklen_t len = sizeof(int);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0)
		return domain == AF_UNIX;
	return fcntl(fd, F_GETPIPE_SZ) != -1;
}

/* Passes one message on to to. False: its sender broke the rules. */
static bool
pass(struct mg_chan *to, struct mg_frame *f, const char **whyp)
{
	const struct mg_msg_type *t = mg_msg_type(f->op);
	static union any msg;
	const char *field = NULL;
	size_t i;
	bool ok;

	for (i = 0; i < f->nfds; i++) {
		if ((t->from & MG_ROLE_CLIENT) != 0 &&
		    !is_harmless(f->fds[i])) {
			*whyp = name_field(t, "a descriptor");
			return false;
		}
	}
	if (t->size > sizeof(msg) ||
	    mg_msg_decode(f->op, f->payload, f->len, &msg, t->size, &field) !=
		MG_ERR_OK) { /* Rule 2 */
		*whyp = name_field(t, field == NULL ? "" : field);
		return false;
	}
	ok = mg_chan_send_fds(to, f->id, f->op, &msg, f->fds, f->nfds) ==
	     MG_ERR_OK;
	explicit_bzero(&msg, t->size); /* it may have been a code */
	return ok;
}

/*
 * Passes what came, as long as it is taken (Rule 4). False when the
 * connection is over.
 */
static bool
pump(struct mg_chan *from, struct mg_chan *to, const char **whyp)
{
	struct mg_frame f;
	enum mg_err r = MG_ERR_AGAIN;

	memset(&f, 0, sizeof(f));
	while (!mg_chan_has_output(to) &&
	       (r = mg_chan_recv(from, &f, whyp)) == MG_ERR_OK) {
		if (!pass(to, &f, whyp))
			return false;
	}
	if (r == MG_ERR_TRUNC)
		*whyp = "the connection ended inside a message";
	return r == MG_ERR_AGAIN || r == MG_ERR_OK;
}

/*
 * Has the monitor put on record what the client did; its answer goes on.
 * False when there was none.
 */
static bool
report(struct mg_chan *client, struct mg_chan *monitor, const char *why)
{
	struct mg_malformed msg = {.text = why};
	const char *ignored;
	struct mg_frame f;

	memset(&f, 0, sizeof(f));
	if (mg_chan_send(monitor, 0, MG_MSG_MALFORMED, &msg) != MG_ERR_OK)
		return false;
	while (mg_chan_wait(monitor, RECORD_MS, &f) == MG_ERR_OK)
		if (!pass(client, &f, &ignored) || f.op == MG_MSG_REFUSED)
			return f.op == MG_MSG_REFUSED;
	return false;
}

/* Tells a client that broke the rules what it did, and lets go. */
static void
say_why(struct mg_chan *client, struct mg_chan *monitor, const char *why)
{
	struct mg_refused msg = {.why = MG_WHY_BAD_REQUEST, .text = why};
	struct pollfd p = {.fd = mg_chan_fd(client), .events = POLLOUT};
	int i;

	mg_close_end();
	if (!report(client, monitor, why) &&
	    mg_chan_send(client, 0, MG_MSG_REFUSED, &msg) != MG_ERR_OK)
		return;
	for (i = 0; i < 10 && mg_chan_has_output(client); i++) {
		(void)poll(&p, 1, 100);
		if (mg_chan_flush(client) != MG_ERR_OK)
			return;
	}
}

/* What is read from ch goes to other. */
static void
want(struct pollfd *p, const struct mg_chan *ch, const struct mg_chan *other)
{
	p->fd = ch == NULL ? -1 : mg_chan_fd(ch);
	p->events = 0;
	p->revents = 0;
	if (other == NULL || !mg_chan_has_output(other)) /* Rule 4 */
		p->events |= POLLIN;
	if (ch != NULL && mg_chan_has_output(ch))
		p->events |= POLLOUT;
}

/* It hung up, and not all that it said can be passed on any more. */
static bool
is_over(const struct pollfd *p)
{
	return (p->events & POLLIN) == 0 &&
	       (p->revents & (POLLHUP | POLLERR)) != 0;
}

/* Waits until there is something to do. False when a side or the parent is
 * gone: no client is left to a worker that nobody minds. */
static bool
wait_for(const struct mg_chan *monitor, const struct mg_chan *client)
{
	struct pollfd p[3];
	int ready;

	want(&p[0], monitor, client);
	want(&p[1], client, monitor);
	p[2].fd = life[0];
	p[2].events = POLLIN;
	mg_close_end();
	ready = poll(p, 3, -1);
	mg_close_begin(); /* Rule 5 */
	if (ready == -1)
		return errno == EINTR;
	return p[2].revents == 0 && !is_over(&p[0]) && !is_over(&p[1]);
}

/* The client that the monitor sends to this worker; it may be long until
 * there is one, and there may never be one. */
static struct mg_chan *
wait_for_client(struct mg_chan *monitor)
{
	struct mg_frame f;
	enum mg_err r;
	int fd = -1;

	memset(&f, 0, sizeof(f));
	while ((r = mg_chan_recv(monitor, &f, NULL)) == MG_ERR_AGAIN)
		if (!wait_for(monitor, NULL))
			return NULL;
	if (r == MG_ERR_OK && f.op == MG_MSG_FRONT_CONN)
		fd = mg_frame_take_fd(monitor, &f, 0);
	if (fd == -1)
		return NULL;
	return mg_chan_new(fd, MG_ROLE_AGENT, MG_ROLE_CLIENT, QUEUE_MAX);
}

/* Rule 1: the whole life of one client. */
static void
work(int monitor_fd)
{
	struct mg_front_ready ready = {0};
	struct mg_chan *client, *monitor;
	const char *why = "";
	bool open = true;

	close(life[1]);
	if (mg_close_init() != MG_ERR_OK)
		_exit(1);
	monitor = mg_chan_new(monitor_fd, MG_ROLE_CLIENT | MG_ROLE_FRONT,
	    MG_ROLE_AGENT | MG_ROLE_MONITOR, QUEUE_MAX);
	if (monitor == NULL ||
	    mg_chan_send(monitor, 0, MG_MSG_FRONT_READY, &ready) != MG_ERR_OK)
		_exit(1);
	if ((client = wait_for_client(monitor)) == NULL)
		_exit(0);
	while (open) {
		if (!wait_for(monitor, client))
			break;
		open = mg_chan_flush(client) == MG_ERR_OK &&
		       mg_chan_flush(monitor) == MG_ERR_OK &&
		       pump(client, monitor, &why);
		if (!open) {
			if (why[0] != '\0')
				say_why(client, monitor, why);
			break;
		}
		open = pump(monitor, client, &why);
	}
	mg_close_begin(); /* Rule 5 */
	mg_chan_free(client);
	mg_chan_free(monitor);
	_exit(0);
}

static void
serve(struct mg_chan *ch, struct mg_frame *f)
{
	pid_t pid;
	int monitor;

	if (f->op != MG_MSG_FRONT_WORKER || f->nfds != 1)
		mg_fatal("message %s out of place", mg_msg_name(f->op));
	monitor = mg_frame_take_fd(ch, f, 0);
	if ((pid = fork()) == 0) {
		close(CHANNEL_FD);
		work(monitor);
	}
	if (pid == -1)
		mg_log(MG_EVT_ERROR, "err='cannot fork: %s'", strerror(errno));
	close(monitor);
}

int
main(void)
{
	static const struct mg_confine_limits limits = {
	    .cpu_s = MG_CONFINE_INHERIT,
	    .as_bytes = (uint64_t)128 << 20,
	    .fsize_bytes = 0,
	    .nofile = 64,
	    .nproc = 8192,
	};
	struct mg_chan *ch;
	struct mg_frame f;
	char why[256];
	enum mg_err r;

	mg_log_init("mg-front", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		return 1;
	if (pipe2(life, O_CLOEXEC) != 0)
		mg_fatal("cannot make a pipe: %s", strerror(errno));
	if (mg_confine_user(USER, &limits, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(MG_ALLOW_FORK, why, sizeof(why)) !=
		MG_ERR_OK) /* Rule 3 */
		mg_fatal("%s", why);
	/* Workers are collected by the kernel. */
	(void)signal(SIGCHLD, SIG_IGN);
	ch = mg_chan_new(CHANNEL_FD, MG_ROLE_FRONT, MG_ROLE_MONITOR, 4096);
	if (ch == NULL)
		mg_fatal("cannot open the channel");
	memset(&f, 0, sizeof(f));
	while ((r = mg_chan_wait(ch, -1, &f)) == MG_ERR_OK)
		serve(ch, &f);
	return r == MG_ERR_CLOSED ? 0 : 1;
}
