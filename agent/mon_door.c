/* SPDX-License-Identifier: ISC */
/*
 * The door: accepting clients, their limits, and whose turn it is.
 *
 * Rules
 * 1. Who a client is comes from the kernel at accept(2), here, before any
 *    byte of it is read (which happens in mg-front, unless it is root).
 * 2. Limits per user come before limits for all, so that one user cannot use
 *    up the places of others; when all places are taken, who has most of
 *    them gives one back that is not in use. A user is a login uid, so that
 *    the uids that somebody may make up (user namespaces) have the places of
 *    one. Root's own programs always have places, and descriptors kept for
 *    them.
 * 3. Users have turns, not connections: who comes alone is next but for one
 *    of each other user, however many of them wait.
 * 4. Who connects all the time is turned away before anything is looked up
 *    or started for it: else the queue of those who wait to be accepted is
 *    as long as the most impatient makes it. Who breaks the protocol does
 *    more harm than who connects, and is hasty sooner.
 * 5. Who has hung up gets nothing started, whatever it asked for.
 * 6. Root's own programs have a socket of their own: nobody else can fill the
 *    queue in front of it, and keep logins waiting.
 * 7. A process that no login started, a daemon's, may give itself any login
 *    uid once: the kernel asks for no right to that. So a login uid is
 *    believed of who is that user, of a session that the PAM module has
 *    opened for it, and of its runs. Root needs no pretence, but its
 *    programs (sudo) are started by others: of them it is believed when
 *    they come from a process of that user in that session as well.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mg_client.h"
#include "mg_time.h"
#include "mon.h"

#define ACCEPTS_PER_EVENT 32
#define REFUSALS_PER_EVENT 256
#define PACE 4 /* times clients-per-user, a second */
#define PACE_MEMORY_MS 60000
#define OFFENCE 16 /* clients-per-user / 16, for a protocol error */
#define BACKLOG 1024
#define DOORS 2
#define MANY_CLIENTS 64
#define WORKER_AFTER_MS 10
#define ACCEPT_AGAIN_MS 50  /* when descriptors are out */
#define SOCKET_BUFFER 16384 /* what the kernel keeps for who does not read */

/* ---- whose places they are ---- */

/* Who has connections; those of root's programs are counted apart. */
struct mon_user {
	uint32_t uid;
	bool is_root;
	unsigned n;
	struct mon_client *first, *last; /* who wait for a turn */
	struct mon_user *next;
	struct mon_user *behind; /* in the line of those who wait */
};

/* The user of that name, made if need be; NULL: no memory. */
static struct mon_user *
user_of(struct mon *m, uint32_t uid, bool is_root)
{
	struct mon_user *u;

	for (u = m->users; u != NULL; u = u->next)
		if (u->uid == uid && u->is_root == is_root)
			return u;
	if ((u = calloc(1, sizeof(*u))) == NULL)
		return NULL;
	u->uid = uid;
	u->is_root = is_root;
	u->next = m->users;
	m->users = u;
	return u;
}

/* Who has no connection is nobody to remember. */
static void
user_forget(struct mon *m, struct mon_user *u)
{
	struct mon_user **p = &m->users;

	if (u->n > 0)
		return;
	while (*p != u)
		p = &(*p)->next;
	*p = u->next;
	free(u);
}

/* What the buffers of many took is not kept for the few. */
static void
give_memory_back(struct mon *m)
{
	if (m->most_clients < MANY_CLIENTS || m->nclients > m->most_clients / 8)
		return;
	m->most_clients = m->nclients;
	(void)malloc_trim(0);
}

static void next_worker(void *arg);

/* ---- the line (Rule 3) ---- */

static void
line_append(struct mon *m, struct mon_user *u)
{
	struct mon_user **p = &m->line;

	while (*p != NULL)
		p = &(*p)->behind;
	u->behind = NULL;
	*p = u;
}

static void
line_join(struct mon_client *c)
{
	struct mon_user *u = c->user;

	c->behind = NULL;
	if (u->first == NULL) {
		u->first = c;
		line_append(c->m, u);
	} else {
		u->last->behind = c;
	}
	u->last = c;
	c->m->nwaiting++;
}

/* Takes the user out, and puts it at the end if others of it wait. */
static void
line_next(struct mon *m, struct mon_user *u)
{
	struct mon_user **p = &m->line;

	while (*p != u)
		p = &(*p)->behind;
	*p = u->behind;
	if (u->first != NULL)
		line_append(m, u);
}

static void
line_leave(struct mon_client *c)
{
	struct mon_user *u = c->user;
	struct mon_client **p = &u->first, *before = NULL;

	while (*p != c) {
		before = *p;
		p = &before->behind;
	}
	*p = c->behind;
	if (u->last == c)
		u->last = before;
	c->m->nwaiting--;
	line_next(c->m, u);
}

void
mon_door_leave(struct mon_client *c)
{
	struct mon *m = c->m;
	bool waited = c->sock != -1;

	if (waited) {
		line_leave(c);
		mg_close(c->sock);
	}
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		m->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	m->nclients--;
	c->user->n--;
	user_forget(m, c->user);
	give_memory_back(m);
	if (!waited)
		next_worker(m);
}

/* ---- turning away ---- */

/* Says why in one frame, if there is room for it. */
static void
say_why(int fd, enum mg_why why, const char *text, const char *remedy)
{
	struct mg_refused msg = {.why = why,
	    .text = text[0] != '\0' ? text : mg_why_sentence(why),
	    .remedy = remedy};
	struct mg_buf b;

	mg_buf_init(&b, 8192);
	if (mg_msg_encode(&b, 0, MG_MSG_REFUSED, &msg, NULL) != MG_ERR_OK ||
	    send(fd, mg_buf_ptr(&b), mg_buf_len(&b),
		MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		mg_log(MG_EVT_DEBUG, "err='cannot turn away'");
	mg_buf_fini(&b);
}

static void
turn_away(int fd, enum mg_why why, const char *text, const char *remedy)
{
	say_why(fd, why, text, remedy);
	mg_close(fd);
}

/* A turn of c that came to nothing. */
static void
send_off(struct mon_client *c, enum mg_why why, const char *text)
{
	say_why(c->sock, why, text, "");
	mon_client_free(c);
}

static bool
has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};
	int n;

	while ((n = poll(&p, 1, 0)) == -1 && errno == EINTR)
		continue; /* mg_close_begin() */
	return n == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* ---- pace (Rule 4) ---- */

/* What that uid has done lately; it is forgotten as fast as it may be done.
 * Two that share a place in the table only forget of each other. */
static struct mon_pace *
pace_of(struct mon *m, uint32_t uid)
{
	struct mon_pace *p =
	    &m->pace[uid * UINT32_C(2654435761) / (UINT32_MAX / MON_PACES + 1)];
	int64_t now = mg_time_boot_ms(), past = now - p->at_ms, forgotten;

	if (p->uid != uid || past > PACE_MEMORY_MS) {
		p->uid = uid;
		p->at_ms = now;
		p->n = 0;
		return p;
	}
	forgotten = past * PACE * m->conf.clients_per_user / 1000;
	if (forgotten > 0) {
		p->at_ms = now;
		p->n = p->n > forgotten ? p->n - (unsigned)forgotten : 0;
	}
	return p;
}

static bool
is_hasty(struct mon *m, uint32_t uid)
{
	return pace_of(m, uid)->n >= PACE * m->conf.clients_per_user;
}

/* One connection more, if that is not too many. */
static bool
is_too_many(struct mon *m, uint32_t uid)
{
	if (is_hasty(m, uid))
		return true;
	pace_of(m, uid)->n++;
	return false;
}

void
mon_door_charge(struct mon_client *c)
{
	unsigned n = c->m->conf.clients_per_user / OFFENCE;

	if (c->peer.uid == 0)
		return;
	pace_of(c->m, c->peer.uid)->n += n;
	if (c->user->uid != c->peer.uid) /* who makes up uids is one */
		pace_of(c->m, c->user->uid)->n += n;
}

/* Says so to who is hasty; the socket stays the caller's. */
static void
say_hasty(struct mon *m, int fd)
{
	char text[160];

	snprintf(text, sizeof(text),
	    "you connect to the agent more than %u times a second, or not as "
	    "it can be used",
	    PACE * m->conf.clients_per_user);
	say_why(fd, MG_WHY_BUSY, text,
	    "wait a second, or have 'clients-per-user' raised in [limits] of "
	    "agent.ini");
}

/* ---- workers ---- */

/* One waits, so that the next client does not wait for a fork; more come
 * while clients wait. With each failure one client gives up: nothing is tried
 * without end. */
static void
next_worker(void *arg)
{
	struct mon *m = arg;

	while (!m->stopping &&
	       mon_front_prepare(m, 1 + m->nwaiting) != MG_ERR_OK) {
		mg_log(MG_EVT_ERROR, "err='no worker for the next client'");
		if (m->nworkers > 0 || m->line == NULL)
			return;
		send_off(m->line->first, MG_WHY_INTERNAL, "");
	}
}

static void
out_of_patience(void *arg)
{
	send_off(arg, MG_WHY_BUSY, "the agent did not come to your turn");
}

static void
serve_line(struct mon *m)
{
	struct mon_client *c;
	enum mg_err r;

	while (m->line != NULL && mon_front_is_ready(m)) {
		c = m->line->first;
		if (has_hung_up(c->sock)) { /* Rule 5 */
			mon_client_free(c);
			continue;
		}
		if (is_hasty(m, c->peer.uid) || is_hasty(m, c->user->uid)) {
			say_hasty(m, c->sock); /* since it came */
			mon_client_free(c);
			continue;
		}
		/* A worker that has died shows only now: the next one. */
		r = mon_client_through_front(c);
		if (r == MG_ERR_CLOSED) {
			mon_timer_set(m, &c->patience,
			    mg_time_boot_ms() + MON_SILENCE_MS, out_of_patience,
			    c);
			continue;
		}
		if (r != MG_ERR_OK) {
			send_off(c, MG_WHY_INTERNAL, "");
			continue;
		}
		line_leave(c);
		mg_close(c->sock);
		c->sock = -1;
		mon_job_expect(m, c->peer.loginuid);
	}
	if (m->line != NULL)
		next_worker(m);
	else
		mon_timer_set(m, &m->worker_timer,
		    mg_time_boot_ms() + WORKER_AFTER_MS, next_worker, m);
}

void
mon_door_worker(struct mon *m)
{
	serve_line(m);
}

void
mon_door_no_worker(struct mon *m)
{
	if (m->stopping || m->line == NULL)
		return;
	send_off(m->line->first, MG_WHY_INTERNAL, "");
	next_worker(m);
}

/* ---- places ---- */

/* The connection of u that has been waiting for a question longest. */
static struct mon_client *
unused_of(struct mon *m, const struct mon_user *u)
{
	struct mon_client *c, *found = NULL;

	for (c = m->clients; c != NULL; c = c->next) /* newest first */
		if (c->user == u && !c->busy)
			found = c;
	return found;
}

/* Whoever has most places gives one back, if that is not u and one of them
 * is not in use. */
static bool
make_room(struct mon *m, const struct mon_user *u)
{
	struct mon_user *v, *most = NULL;
	struct mon_client *c;

	for (v = m->users; v != NULL; v = v->next)
		if (!v->is_root && (most == NULL || v->n > most->n))
			most = v;
	if (most == NULL || most->n <= u->n + 1 ||
	    (c = unused_of(m, most)) == NULL)
		return false;
	mg_log(MG_EVT_LIMIT, "uid=%u why='makes room for others'", most->uid);
	mon_client_free(c);
	return true;
}

/* Rule 2. Turns away who has no place. */
static bool
has_place(
    struct mon *m, int fd, const struct mg_peer *peer, const struct mon_user *u)
{
	char text[160];

	if (peer->uid == 0 && (u->uid == 0 || u->uid == MG_PROC_UNSET))
		return true;
	if (u->n >= m->conf.clients_per_user) {
		snprintf(text, sizeof(text),
		    "you have %u connections to the agent, as many as one user "
		    "may have",
		    u->n);
		turn_away(fd, MG_WHY_BUSY, text,
		    "end some, or have 'clients-per-user' raised in [limits] "
		    "of agent.ini");
		return false;
	}
	if (peer->uid == 0)
		return true;
	/* One in eight is for root's. */
	if (fd >= m->files_max - m->files_max / 8 && !make_room(m, u)) {
		turn_away(fd, MG_WHY_BUSY, "the agent has no descriptors left",
		    "try again; its limit is LimitNOFILE= of modelgated");
		return false;
	}
	if (m->nclients >= m->conf.clients_max && !make_room(m, u)) {
		turn_away(fd, MG_WHY_BUSY,
		    "the agent has as many connections as it may have",
		    "try again, or have 'clients' raised in [limits] of "
		    "agent.ini");
		return false;
	}
	return true;
}

static void
put_in_list(struct mon *m, struct mon_client *c)
{
	c->next = m->clients;
	if (m->clients != NULL)
		m->clients->prev = c;
	m->clients = c;
	m->nclients++;
	if (m->most_clients < m->nclients)
		m->most_clients = m->nclients;
	c->user->n++;
}

/* Takes fd and pidfd in any case. */
static void
take_client(struct mon *m, int fd, const struct mg_peer *peer,
    struct mon_user *u, int pidfd)
{
	int buffer = SOCKET_BUFFER;
	struct mon_client *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(pidfd);
		mg_close(fd);
		user_forget(m, u);
		return;
	}
	c->m = m;
	c->peer = *peer;
	c->pidfd = pidfd;
	c->user = u;
	c->sock = fd;
	c->fd = -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	put_in_list(m, c);
	line_join(c);
	if (peer->uid != 0) {
		mon_timer_set(m, &c->patience,
		    mg_time_boot_ms() + MON_SILENCE_MS, out_of_patience, c);
		serve_line(m);
		return;
	}
	if (mon_client_directly(c) != MG_ERR_OK) {
		send_off(c, MG_WHY_INTERNAL, "");
		return;
	}
	line_leave(c);
	mg_close(fd);
	c->sock = -1;
	mon_job_expect(m, peer->loginuid);
}

/* Rules 4 and 5. Turns away who has hung up already, and who is hasty, whom
 * the kernel names without a search. */
static bool
is_turned_away(struct mon *m, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (has_hung_up(fd)) {
		mg_close(fd);
		return true;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    cred.uid == 0 || !is_too_many(m, cred.uid))
		return false;
	say_hasty(m, fd);
	mg_close(fd);
	return true;
}

/* Rule 7. Numbers of sessions are the kernel's, and nobody's choice. */
static bool
is_known(const struct mon *m, const struct mg_peer *peer)
{
	const struct mg_session *s;
	const struct mg_req *req;
	size_t i;

	if (peer->loginuid == MG_PROC_UNSET || peer->uid == peer->loginuid)
		return true;
	for (s = mg_state_sessions(m->state); s != NULL; s = s->next)
		if (s->ses == peer->session && s->uid == peer->loginuid)
			return true;
	for (req = mg_state_own_granted(m->state, peer->loginuid); req != NULL;
	     req = req->own.next)
		for (i = 0; i < MG_RUNS_MAX; i++)
			if (req->live.runs[i].run != 0 &&
			    req->live.runs[i].ses == peer->session)
				return true;
	return false;
}

static void
say_pretender(const struct mg_peer *peer)
{
	mg_log(MG_EVT_PROTO,
	    "uid=%u pid=%d loginuid=%u ses=%u why='no login known here gave "
	    "it that login uid'",
	    peer->uid, (int)peer->pid, peer->loginuid, peer->session);
}

bool
mon_door_believes(const struct mon_client *c)
{
	return c->peer.uid != 0 || is_known(c->m, &c->peer) ||
	       mg_proc_is_of_login(&c->peer);
}

/* Whose places the peer takes. Who is not believed has logged in as nobody,
 * and shares the places of all such. */
static uint32_t
who_counts(const struct mon *m, struct mg_peer *peer)
{
	if (peer->uid == 0 || is_known(m, peer)) /* root: by its question */
		return peer->loginuid != MG_PROC_UNSET ? peer->loginuid
						       : peer->uid;
	say_pretender(peer);
	peer->loginuid = peer->session = MG_PROC_UNSET;
	return MG_PROC_UNSET;
}

static void
accept_one(struct mon *m, int fd)
{
	struct mon_user *u;
	struct mg_peer peer;
	uint32_t uid;
	int pidfd;

	if (mg_proc_peer(fd, &peer, &pidfd) != MG_ERR_OK) { /* Rule 1 */
		mg_close(fd);
		return;
	}
	uid = who_counts(m, &peer);
	if (peer.uid != 0 && uid != peer.uid && is_too_many(m, uid)) {
		close(pidfd);
		say_hasty(m, fd);
		mg_close(fd);
		return;
	}
	if ((u = user_of(m, uid, peer.uid == 0)) == NULL) {
		close(pidfd);
		turn_away(fd, MG_WHY_INTERNAL, "", "");
		return;
	}
	if (has_place(m, fd, &peer, u)) {
		take_client(m, fd, &peer, u, pidfd);
		return; /* u may be gone with its client */
	}
	close(pidfd);
	user_forget(m, u);
}

static void
accept_again(void *arg)
{
	struct mon *m = arg;
	size_t i;

	for (i = 0; i < DOORS; i++)
		if (m->doors[i].watch != NULL)
			mg_watch_set(m->doors[i].watch, EPOLLIN);
}

/* It stays readable: the loop would turn without end. */
static void
be_deaf(struct mon_door *d, int error)
{
	if (!d->is_deaf)
		mg_log(MG_EVT_LIMIT, "why='nobody is accepted: %s'",
		    strerror(error));
	d->is_deaf = true;
	mg_watch_set(d->watch, 0);
	mon_timer_set(d->m, &d->m->accept_timer,
	    mg_time_boot_ms() + ACCEPT_AGAIN_MS, accept_again, d->m);
}

static void
door_ready(void *arg, uint32_t events)
{
	struct mon_door *d = arg;
	int fd, accepted = 0, refused = 0;

	(void)events;
	while (accepted < ACCEPTS_PER_EVENT && refused < REFUSALS_PER_EVENT) {
		fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1)
			break;
		d->is_deaf = false;
		mg_close_begin(); /* one for a burst of them */
		if (is_turned_away(d->m, fd)) {
			refused++;
			continue;
		}
		mg_close_end();
		accepted++;
		accept_one(d->m, fd);
	}
	if (fd == -1 && (errno == EMFILE || errno == ENFILE ||
			    errno == ENOMEM || errno == ENOBUFS))
		be_deaf(d, errno);
	mg_close_end();
}

/* Rule 6. In the order of struct mon's doors. */
static const struct {
	const char *path;
	mode_t mode;
} doors[DOORS] = {{MG_CLIENT_SOCKET, 0666}, {MG_ROOT_SOCKET, 0600}};

static enum mg_err
open_door(struct mon *m, size_t i)
{
	struct sockaddr_un sun;
	int fd;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	memcpy(sun.sun_path, doors[i].path, strlen(doors[i].path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return MG_ERR_SYS;
	/* Whoever may write the folder may take the name; it is root's. It is
	 * made for root alone (umask), and opened before it listens. */
	if ((unlink(sun.sun_path) != 0 && errno != ENOENT) ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    chmod(sun.sun_path, doors[i].mode) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		mg_close(fd);
		return MG_ERR_SYS;
	}
	m->doors[i].m = m;
	m->doors[i].fd = fd;
	return mg_watch_add(
	    m->loop, fd, EPOLLIN, door_ready, &m->doors[i], &m->doors[i].watch);
}

enum mg_err
mon_doors_init(struct mon *m)
{
	struct rlimit files;
	enum mg_err r;
	size_t i;

	m->files_max = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < INT_MAX)
		m->files_max = (int)files.rlim_cur;
	r = mon_front_prepare(m, 1);
	for (i = 0; i < DOORS && r == MG_ERR_OK; i++)
		r = open_door(m, i);
	return r;
}

void
mon_doors_deaf(struct mon *m)
{
	size_t i;

	for (i = 0; i < DOORS; i++) {
		mg_watch_del(m->doors[i].watch);
		m->doors[i].watch = NULL;
	}
}

void
mon_doors_fini(struct mon *m)
{
	size_t i;

	mon_doors_deaf(m);
	for (i = 0; i < DOORS; i++) {
		if (m->doors[i].m == NULL)
			continue;
		mg_close(m->doors[i].fd);
		(void)unlink(doors[i].path);
		m->doors[i].m = NULL;
	}
	while (m->clients != NULL)
		mon_client_free(m->clients);
	mon_front_fini(m);
}
