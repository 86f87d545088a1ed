/* SPDX-License-Identifier: ISC */
/* Channels and children of the monitor. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon.h"

#define LOG_BUFFER 65536
#define FRAMES_PER_EVENT 32 /* then others get their turn */
#define LINGER_MS 1000	    /* from a child's last word to its end */

/* ---- ports ---- */

static void
close_port(struct mon_port *p, const char *why)
{
	if (p->closed)
		return;
	p->closed = true;
	p->on_close(p->arg, why);
}

static void
want(struct mon_port *p)
{
	mg_watch_set(
	    p->watch, EPOLLIN | (mg_chan_has_output(p->ch) ? EPOLLOUT : 0));
}

/* Sends what waits. False: the port is closed, or gone. */
static bool
send_more(struct mon_port *p, bool *gonep)
{
	if (mg_chan_flush(p->ch) != MG_ERR_OK) {
		close_port(p, "cannot send");
		return false;
	}
	if (p->on_drain == NULL || mg_chan_has_output(p->ch))
		return true;
	p->gone = gonep;
	p->on_drain(p->arg);
	if (*gonep)
		return false;
	p->gone = NULL;
	return true;
}

static void
port_ready(void *arg, uint32_t events)
{
	struct mon_port *p = arg;
	struct mg_frame f;
	const char *why = "";
	enum mg_err r = MG_ERR_OK;
	bool gone = false;
	int i;

	memset(&f, 0, sizeof(f));
	if ((events & EPOLLOUT) != 0 && !send_more(p, &gone))
		return;
	for (i = 0; i < FRAMES_PER_EVENT; i++) {
		if ((r = mg_chan_recv(p->ch, &f, &why)) != MG_ERR_OK)
			break;
		p->gone = &gone;
		p->on_frame(p->arg, &f);
		if (gone)
			return;
		p->gone = NULL;
	}
	if (r == MG_ERR_OK || r == MG_ERR_AGAIN) {
		want(p);
		return;
	}
	if (r != MG_ERR_CLOSED)
		mg_log(MG_EVT_PROTO, "why='%s' err='%s'", why, mg_err_str(r));
	close_port(p, r == MG_ERR_CLOSED ? ""
		      : why[0] != '\0'	 ? why
					 : mg_err_str(r));
}

enum mg_err
mon_port_init(
    struct mon_port *p, struct mon *m, int fd, unsigned self, unsigned peer)
{
	enum mg_err r;

	p->m = m;
	p->closed = false;
	p->gone = NULL;
	p->watch = NULL;
	if ((p->ch = mg_chan_new(fd, self, peer, MON_PORT_QUEUE)) == NULL) {
		close(fd);
		return MG_ERR_NOMEM;
	}
	r = mg_watch_add(m->loop, fd, EPOLLIN, port_ready, p, &p->watch);
	if (r != MG_ERR_OK) {
		mg_chan_free(p->ch);
		p->ch = NULL;
	}
	return r;
}

enum mg_err
mon_port_take(struct mon_port *to, struct mon_port *from)
{
	enum mg_err r;

	to->m = from->m;
	to->closed = from->closed;
	to->gone = NULL;
	to->watch = NULL;
	to->ch = from->ch;
	mg_watch_del(from->watch);
	from->watch = NULL;
	from->ch = NULL;
	r = mg_watch_add(to->m->loop, mg_chan_fd(to->ch), EPOLLIN, port_ready,
	    to, &to->watch);
	if (r != MG_ERR_OK) {
		mg_chan_free(to->ch);
		to->ch = NULL;
		return r;
	}
	want(to);
	return MG_ERR_OK;
}

void
mon_port_fini(struct mon_port *p)
{
	mg_watch_del(p->watch);
	mg_chan_free(p->ch);
	p->watch = NULL;
	p->ch = NULL;
	p->closed = true;
	if (p->gone != NULL)
		*p->gone = true;
	p->gone = NULL;
}

enum mg_err
mon_port_send_fds(struct mon_port *p, uint32_t id, enum mg_msg_op op,
    const void *msg, const int *fds, size_t nfds)
{
	enum mg_err r;

	if (p->ch == NULL || p->closed)
		return MG_ERR_CLOSED;
	r = mg_chan_send_fds(p->ch, id, op, msg, fds, nfds);
	if (r == MG_ERR_CLOSED)
		return r; /* the loop will see the end of the channel */
	if (r != MG_ERR_OK) {
		mg_log(MG_EVT_ERROR, "op=%s err='cannot send: %s'",
		    mg_msg_name(op), mg_err_str(r));
		return r;
	}
	want(p);
	return MG_ERR_OK;
}

enum mg_err
mon_port_send(
    struct mon_port *p, uint32_t id, enum mg_msg_op op, const void *msg)
{
	return mon_port_send_fds(p, id, op, msg, NULL, 0);
}

/* ---- children ---- */

bool
mon_proc_is_up(const struct mon_proc *p)
{
	return p->started;
}

static void
log_end(const struct mon_proc *p, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		mg_log(MG_EVT_DEBUG, "proc=%s pid=%d exit=0", p->name,
		    (int)p->child.pid);
	else if (WIFEXITED(status))
		mg_log(MG_EVT_CHILD_DIED, "proc=%s exit=%d", p->name,
		    WEXITSTATUS(status));
	else
		mg_log(MG_EVT_CHILD_DIED, "proc=%s signal=%d", p->name,
		    WTERMSIG(status));
}

static void
finish(struct mon_proc *p, int status)
{
	void (*on_end)(void *arg, int status) = p->on_end;
	void *arg = p->arg;

	mg_timer_clear(p->m->loop, &p->linger);
	mg_watch_del(p->pid_watch);
	p->pid_watch = NULL;
	mon_port_fini(&p->port);
	p->started = false;
	if (on_end != NULL)
		on_end(arg, status);
}

/* What the child sent before it ended is still to be heard. False when that
 * made the owner stop the proc. */
static bool
drain(struct mon_proc *p)
{
	struct mg_frame f;
	bool gone = false;

	memset(&f, 0, sizeof(f));
	while (mg_chan_recv(p->port.ch, &f, NULL) == MG_ERR_OK) {
		p->port.gone = &gone;
		p->on_frame(p->arg, &f);
		if (gone)
			return false;
		p->port.gone = NULL;
	}
	return true;
}

static void
child_ended(void *arg, uint32_t events)
{
	struct mon_proc *p = arg;
	int status;

	(void)events;
	if (!p->port.closed && !drain(p))
		return;
	if ((status = mg_spawn_reap(&p->child)) == -1)
		return;
	log_end(p, status);
	finish(p, status);
}

static void
child_frame(void *arg, struct mg_frame *f)
{
	struct mon_proc *p = arg;

	p->on_frame(p->arg, f);
}

static void
child_drained(void *arg)
{
	struct mon_proc *p = arg;

	p->on_drain(p->arg);
}

static void
child_lingers(void *arg)
{
	struct mon_proc *p = arg;

	if (p->child.pidfd != -1)
		(void)pidfd_send_signal(p->child.pidfd, SIGKILL, NULL, 0);
}

static void
child_closed(void *arg, const char *why)
{
	struct mon_proc *p = arg;

	/* The process is about to end, or broke the rules and has to. Either
	 * way pid_watch reports the end. */
	mg_watch_del(p->port.watch);
	p->port.watch = NULL;
	if (why[0] == '\0') {
		mon_timer_set(p->m, &p->linger, mg_time_boot_ms() + LINGER_MS,
		    child_lingers, p);
		return;
	}
	mg_log(MG_EVT_PROTO, "proc=%s why='%s'", p->name, why);
	child_lingers(p);
}

enum mg_err
mon_proc_start(struct mon_proc *p, struct mon *m, const char *name,
    const char *arg1, const char *arg2, unsigned role, const int *extra,
    size_t nextra)
{
	struct mg_spawn_fd fds[MG_SPAWN_FDS_MAX];
	char path[256], *argv[4], *envp[3];
	int pair[2];
	size_t n = 0, i;
	enum mg_err r;

	p->m = m;
	p->name = name;
	p->child.pid = -1;
	p->child.pidfd = -1;
	p->pid_watch = NULL;
	p->started = false;
	if (nextra > MG_SPAWN_FDS_MAX - 4)
		return MG_ERR_LIMIT;
	snprintf(path, sizeof(path), "%s/%s", MG_LIBEXECDIR, name);
	argv[0] = path;
	argv[1] = (char *)(uintptr_t)arg1;
	argv[2] = arg1 == NULL ? NULL : (char *)(uintptr_t)arg2;
	argv[3] = NULL;
	envp[0] = (char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	/* Where the key of sealed secrets is, for who opens some. */
	envp[1] = role == MG_ROLE_AUTH ? m->credentials : NULL;
	envp[2] = NULL;
	if ((r = mg_spawn_socketpair(pair)) != MG_ERR_OK)
		return r;
	fds[n++] = (struct mg_spawn_fd){m->log_pipe[1], 2};
	fds[n++] = (struct mg_spawn_fd){pair[1], 3};
	for (i = 0; i < nextra; i++)
		fds[n++] = (struct mg_spawn_fd){extra[i], (int)(4 + i)};
	r = mg_spawn(path, argv, envp, fds, n, &p->child);
	close(pair[1]);
	if (r != MG_ERR_OK) {
		mg_log(MG_EVT_ERROR, "proc=%s err='cannot start: %s'", name,
		    strerror(errno));
		close(pair[0]);
		return r;
	}
	p->port.on_frame = child_frame;
	p->port.on_close = child_closed;
	p->port.on_drain = p->on_drain == NULL ? NULL : child_drained;
	p->port.arg = p;
	r = mon_port_init(&p->port, m, pair[0], MG_ROLE_MONITOR, role);
	if (r == MG_ERR_OK) {
		r = mg_watch_add(m->loop, p->child.pidfd, EPOLLIN, child_ended,
		    p, &p->pid_watch);
		if (r != MG_ERR_OK)
			mon_port_fini(&p->port);
	}
	if (r != MG_ERR_OK) {
		(void)pidfd_send_signal(p->child.pidfd, SIGKILL, NULL, 0);
		(void)waitpid(p->child.pid, NULL, 0);
		close(p->child.pidfd);
		return r;
	}
	p->started = true;
	return MG_ERR_OK;
}

/* ---- children that are let go ---- */

struct orphan {
	struct mg_child child;
	struct mg_watch *watch;
};

static void
orphan_ended(void *arg, uint32_t events)
{
	struct orphan *o = arg;

	(void)events;
	if (mg_spawn_reap(&o->child) == -1)
		return;
	mg_watch_del(o->watch);
	free(o);
}

/* Its channel closes: who waits for a word of ours hears of that. */
void
mon_proc_let_go(struct mon_proc *p)
{
	struct orphan *o;

	if (!p->started)
		return;
	p->started = false;
	mg_timer_clear(p->m->loop, &p->linger);
	mg_watch_del(p->pid_watch);
	p->pid_watch = NULL;
	mon_port_fini(&p->port);
	if ((o = calloc(1, sizeof(*o))) != NULL) {
		o->child = p->child;
		if (mg_watch_add(p->m->loop, o->child.pidfd, EPOLLIN,
			orphan_ended, o, &o->watch) == MG_ERR_OK)
			return;
		free(o);
	}
	(void)pidfd_send_signal(p->child.pidfd, SIGKILL, NULL, 0);
	(void)waitpid(p->child.pid, NULL, 0); /* killed: this is short */
	close(p->child.pidfd);
}

void
mon_proc_stop(struct mon_proc *p)
{
	if (p->started)
		(void)pidfd_send_signal(p->child.pidfd, SIGKILL, NULL, 0);
	mon_proc_let_go(p);
}

/* ---- the log pipe ---- */

static void
log_ready(void *arg, uint32_t events)
{
	struct mon *m = arg;
	struct mg_buf *b = &m->log_buf;
	const char *p, *nl;
	char line[MG_LOG_LINE_MAX];
	uint8_t *d;
	size_t n;
	ssize_t got;

	(void)events;
	if ((d = mg_buf_reserve(b, 4096)) == NULL) {
		mg_buf_reset(b); /* a flood without newlines */
		return;
	}
	got = read(m->log_pipe[0], d, 4096);
	if (got <= 0)
		return;
	mg_buf_commit(b, (size_t)got);
	for (;;) {
		p = (const char *)mg_buf_ptr(b);
		if ((nl = memchr(p, '\n', mg_buf_len(b))) == NULL)
			break;
		n = (size_t)(nl - p);
		snprintf(line, sizeof(line), "%.*s", (int)n, p);
		mg_log_from_child(line);
		mg_buf_consume(b, n + 1);
	}
}

enum mg_err
mon_log_pipe_init(struct mon *m)
{
	mg_buf_init(&m->log_buf, LOG_BUFFER);
	/* Both ends non-blocking: a child never waits for the log. */
	if (pipe2(m->log_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return MG_ERR_SYS;
	return mg_watch_add(
	    m->loop, m->log_pipe[0], EPOLLIN, log_ready, m, &m->log_watch);
}
