/* SPDX-License-Identifier: ISC */
/*
 * Workers of mg-front: forked before their clients come, and no more of them
 * at a time than somebody waits for.
 *
 * Rules
 * 1. A worker is given a client only when it has said that it is there: what
 *    mg-front has not come to yet is a queue that nobody can be fair in.
 * 2. Before it has a client it has one word to say. Another ends it.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon.h"

#define WORKERS_MAX 4 /* that have no client yet */
#define SOCKET_BUFFER 16384

struct mon_worker {
	struct mon_port port;
	bool is_ready;
	struct mon_worker *next;
};

static void
worker_free(struct mon *m, struct mon_worker *w)
{
	struct mon_worker **p = &m->workers;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	m->nworkers--;
	mon_port_fini(&w->port);
	free(w);
}

static void
worker_ended(void *arg, const char *why)
{
	struct mon_worker *w = arg;
	struct mon *m = w->port.m;
	bool was_ready = w->is_ready;

	if (why[0] != '\0')
		mg_log(MG_EVT_PROTO, "proc=mg-front why='%s'", why);
	worker_free(m, w);
	if (!was_ready)
		mon_door_no_worker(m);
}

static void
worker_frame(void *arg, struct mg_frame *f)
{
	struct mon_worker *w = arg;

	if (f->op != MG_MSG_FRONT_READY || w->is_ready) { /* Rule 2 */
		worker_ended(w, mg_msg_name(f->op));
		return;
	}
	w->is_ready = true;
	mon_door_worker(w->port.m); /* it may be given away here */
}

static void
front_ended(void *arg, int status)
{
	(void)arg;
	(void)status; /* logged; the next client starts another */
}

/* All that is said is said by its workers. */
static void
front_frame(void *arg, struct mg_frame *f)
{
	struct mon *m = arg;

	mg_log(MG_EVT_PROTO, "proc=mg-front why='%s'", mg_msg_name(f->op));
	mon_proc_stop(&m->front);
}

static enum mg_err
front_up(struct mon *m)
{
	if (mon_proc_is_up(&m->front))
		return MG_ERR_OK;
	m->front.on_frame = front_frame;
	m->front.on_end = front_ended;
	m->front.arg = m;
	return mon_proc_start(
	    &m->front, m, "mg-front", NULL, NULL, MG_ROLE_FRONT, NULL, 0);
}

static enum mg_err
worker_add(struct mon *m, int fd)
{
	struct mon_worker *w;
	enum mg_err r;

	if ((w = calloc(1, sizeof(*w))) == NULL) {
		close(fd);
		return MG_ERR_NOMEM;
	}
	w->port.on_frame = worker_frame;
	w->port.on_close = worker_ended;
	w->port.arg = w;
	/* With its client it is transparent: it plays the client. */
	r = mon_port_init(&w->port, m, fd, MG_ROLE_AGENT | MG_ROLE_MONITOR,
	    MG_ROLE_CLIENT | MG_ROLE_FRONT);
	if (r != MG_ERR_OK) {
		free(w);
		return r;
	}
	w->next = m->workers;
	m->workers = w;
	m->nworkers++;
	return MG_ERR_OK;
}

static enum mg_err
ask_for_one(struct mon *m)
{
	struct mg_front_worker msg = {0};
	int pair[2], buffer = SOCKET_BUFFER;
	enum mg_err r;

	if ((r = front_up(m)) != MG_ERR_OK ||
	    (r = mg_spawn_socketpair(pair)) != MG_ERR_OK)
		return r;
	(void)setsockopt(
	    pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	r = mon_port_send_fds(
	    &m->front.port, 0, MG_MSG_FRONT_WORKER, &msg, &pair[1], 1);
	close(pair[1]);
	if (r != MG_ERR_OK) {
		close(pair[0]);
		return r;
	}
	return worker_add(m, pair[0]);
}

enum mg_err
mon_front_prepare(struct mon *m, unsigned n)
{
	enum mg_err r = MG_ERR_OK;

	if (n > WORKERS_MAX)
		n = WORKERS_MAX;
	while (r == MG_ERR_OK && m->nworkers < n)
		r = ask_for_one(m);
	return r;
}

static struct mon_worker *
ready_one(const struct mon *m)
{
	struct mon_worker *w;

	for (w = m->workers; w != NULL && !w->is_ready; w = w->next)
		continue;
	return w;
}

bool
mon_front_is_ready(const struct mon *m)
{
	return ready_one(m) != NULL;
}

enum mg_err
mon_front_give(struct mon *m, struct mon_port *p, int fd)
{
	struct mg_front_conn msg = {0};
	struct mon_worker *w = ready_one(m);
	enum mg_err r;

	if (w == NULL)
		return MG_ERR_AGAIN;
	r = mon_port_send_fds(&w->port, 0, MG_MSG_FRONT_CONN, &msg, &fd, 1);
	if (r == MG_ERR_OK)
		r = mon_port_take(p, &w->port);
	worker_free(m, w);
	return r;
}

void
mon_front_fini(struct mon *m)
{
	while (m->workers != NULL)
		worker_free(m, m->workers);
	mon_proc_stop(&m->front);
}
