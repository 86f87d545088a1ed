/* SPDX-License-Identifier: ISC */
/*
 * Clients: accepting them, their limits, and which question goes where.
 *
 * Rules
 * 1. Who a client is comes from the kernel at accept(2), here, before any
 *    byte of it is read (which happens in mg-front, unless it is root).
 * 2. A client has one question at a time. Limits per user come before
 *    limits for all, so that one user cannot use up the places of others;
 *    when all places are taken, who has most of them gives one back that is
 *    not in use. A user is a login uid, so that the uids that somebody may
 *    make up (user namespaces) have the places of one. Root's own programs
 *    always have places, and descriptors kept for them.
 * 3. Only root (the PAM module's hosts) may ask the PAM questions.
 * 4. Who breaks the protocol is on record by what the kernel says of them,
 *    at the rate of all refusals: probing is not silent.
 * 5. Root's own programs, sshd and sudo with the PAM module among them, are
 *    answered here: a worker between them and us that was taken over could
 *    say yes in our name, or ask in root's.
 * 6. Nobody is waited for without end: neither who asks nothing, nor who
 *    does not take the answer, of which only a message is kept.
 * 7. Who connects all the time is turned away before anything is looked up
 *    or started for it: else the queue of those who wait to be accepted is
 *    as long as the most impatient makes it.
 * 8. Root's own programs have a socket of their own: nobody else can fill the
 *    queue in front of it, and keep logins waiting.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#define BACKLOG 1024
#define DOORS 2
#define WORKER_AFTER_MS 10
#define ACCEPT_AGAIN_MS 50  /* when descriptors are out */
#define SOCKET_BUFFER 16384 /* what the kernel keeps for who does not read */

uint32_t
mon_client_uid(const struct mon_client *c)
{
	const struct mon_person *p;

	if (c->peer.loginuid != MG_PROC_UNSET)
		return c->peer.loginuid;
	/* No login: a service account's own processes, or nobody we know. */
	p = mon_person_by_uid(c->m, c->peer.uid);
	if (p != NULL && mg_policy_is_service(c->m->policy, p->name))
		return c->peer.uid;
	return MG_PROC_UNSET;
}

static void
close_fds(struct mon_client *c)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		if (c->fds[i] != -1)
			close(c->fds[i]);
		c->fds[i] = -1;
	}
}

/* ---- whose places they are ---- */

/* Who has connections; those of root's programs are counted apart. */
struct mon_user {
	uint32_t uid;
	bool is_root;
	unsigned n;
	struct mon_user *next;
};

/* The user of a peer, made if need be; NULL: no memory. */
static struct mon_user *
user_of(struct mon *m, const struct mg_peer *peer)
{
	uint32_t uid =
	    peer->loginuid != MG_PROC_UNSET ? peer->loginuid : peer->uid;
	struct mon_user *u;

	for (u = m->users; u != NULL; u = u->next)
		if (u->uid == uid && u->is_root == (peer->uid == 0))
			return u;
	if ((u = calloc(1, sizeof(*u))) == NULL)
		return NULL;
	u->uid = uid;
	u->is_root = peer->uid == 0;
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

static void next_worker(void *arg);

static void
client_free(struct mon_client *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->m->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->m->nclients--;
	c->user->n--;
	user_forget(c->m, c->user);
	if (c->auth != NULL)
		mon_auth_client_gone(c);
	if (c->job != NULL)
		mon_job_client_gone(c->job);
	if (c->on_more != NULL)
		c->on_more(c->more_arg);
	if (c->run != NULL)
		mon_run_client_gone(c->run);
	mg_timer_clear(c->m->loop, &c->patience);
	close_fds(c);
	if (c->pidfd != -1)
		close(c->pidfd);
	mon_port_fini(&c->port);
	next_worker(c->m);
	free(c);
}

/* ---- answers ---- */

void
mon_reply(struct mon_client *c, enum mg_msg_op op, const void *msg)
{
	if (c != NULL)
		(void)mon_port_send(&c->port, c->id, op, msg);
}

/* For reasons that have the same way out whatever was asked for. */
static const char *
way_out(enum mg_why why)
{
	return why == MG_WHY_MFA_BROKEN
		   ? "an administrator, who finds the file and what is wrong "
		     "with it in the log of this host, and mends it or "
		     "removes it with 'modelgate unenroll'"
		   : "";
}

void
mon_reply_refused(struct mon_client *c, enum mg_why why, const char *code,
    const char *rule, const char *text, const char *remedy)
{
	struct mg_refused msg = {.why = why,
	    .code = code,
	    .rule = rule,
	    .text = text[0] != '\0' ? text : mg_why_sentence(why),
	    .remedy = remedy[0] != '\0' ? remedy : way_out(why)};

	if (c == NULL)
		return;
	mon_reply(c, MG_MSG_REFUSED, &msg);
	mon_client_idle(c);
}

void
mon_reply_done(struct mon_client *c, const char *text)
{
	struct mg_done msg = {.text = text};

	if (c == NULL)
		return;
	mon_reply(c, MG_MSG_DONE, &msg);
	mon_client_idle(c);
}

/* Rule 6 */
static void
client_silent(void *arg)
{
	struct mon_client *c = arg;

	mg_log(MG_EVT_LIMIT, "uid=%u why='%s'", c->peer.uid,
	    c->busy ? "took no answer" : "said nothing");
	client_free(c);
}

void
mon_client_idle(struct mon_client *c)
{
	c->busy = false;
	close_fds(c);
	mon_timer_set(c->m, &c->patience, mg_time_boot_ms() + MON_SILENCE_MS,
	    client_silent, c);
}

bool
mon_client_has_room(struct mon_client *c)
{
	if (!mg_chan_has_output(c->port.ch))
		return true;
	mon_timer_set(c->m, &c->patience, mg_time_boot_ms() + MON_STALL_MS,
	    client_silent, c);
	return false;
}

static void
client_drained(void *arg)
{
	struct mon_client *c = arg;

	if (c->on_more == NULL)
		return;
	mg_timer_clear(c->m->loop, &c->patience);
	c->on_more(c->more_arg);
}

/* ---- questions ---- */

/* Messages that belong to the question being answered. */
static bool
continues(struct mon_client *c, struct mg_frame *f)
{
	struct mg_signal_req sig;

	switch ((int)f->op) {
	case MG_MSG_AUTH_ANS:
		if (c->auth != NULL)
			mon_auth_answer(c, f);
		return true;
	case MG_MSG_GIVEUP_REQ:
		if (c->job != NULL)
			mon_job_giveup(c->job);
		return true;
	case MG_MSG_SIGNAL_REQ:
		if (c->run != NULL &&
		    mg_frame_decode(f, &sig, sizeof(sig)) == MG_ERR_OK)
			mon_run_signal(c->run, sig.signo);
		return true;
	default:
		return false;
	}
}

/* Rule 4. Without answer the client must go. */
static void
put_on_record(
    struct mon_client *c, bool answer, enum mg_why why, const char *text)
{
	uint32_t uid =
	    c->peer.loginuid != MG_PROC_UNSET ? c->peer.loginuid : c->peer.uid;
	const struct mon_person *p = mon_person_by_uid(c->m, uid);
	struct mon_refusal ref = {.user = p != NULL ? p->name : "",
	    .uid = uid,
	    .ses = c->peer.session,
	    .tty = c->peer.tty,
	    .origin = "",
	    .operation = "",
	    .model = "",
	    .version = "",
	    .rule = "",
	    .text = text,
	    .remedy = "",
	    .why = why};

	mon_refuse(c->m, answer ? c : NULL, &ref);
}

static void
ask_run(struct mon_client *c, struct mg_frame *f)
{
	struct mg_run_req q;
	size_t i;

	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK ||
	    (f->nfds != 0 && f->nfds != 3)) {
		put_on_record(c, true, MG_WHY_BAD_REQUEST,
		    "a run comes with three descriptors or none");
		return;
	}
	for (i = 0; i < f->nfds; i++)
		c->fds[i] = mg_frame_take_fd(c->port.ch, f, i);
	mon_job_start(c, &q);
}

static void
ask_log(struct mon_client *c, struct mg_frame *f)
{
	struct mg_log_req q;

	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK || f->nfds != 1) {
		put_on_record(c, true, MG_WHY_BAD_REQUEST,
		    "a log comes with one descriptor");
		return;
	}
	c->fds[0] = mg_frame_take_fd(c->port.ch, f, 0);
	mon_log_query(c, &q);
}

static void
ask_pam(struct mon_client *c, struct mg_frame *f)
{
	struct mg_pam_req q;

	if (c->peer.uid != 0) { /* Rule 3 */
		put_on_record(c, true, MG_WHY_NOT_PERMITTED,
		    "only root may ask what the PAM module asks");
		return;
	}
	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK)
		put_on_record(c, true, MG_WHY_BAD_REQUEST, "");
	else
		mon_pam(c, f->op, &q);
}

static void
ask_other(struct mon_client *c, struct mg_frame *f)
{
	union {
		struct mg_list_req list;
		struct mg_end_req end;
		struct mg_unenroll_req unenroll;
		struct mg_discard_req discard;
		struct mg_tokens_req tokens;
	} q;
	bool ok = true;

	switch ((int)f->op) {
	case MG_MSG_LIST_REQ:
		ok = mg_frame_decode(f, &q.list, sizeof(q.list)) == MG_ERR_OK;
		if (ok)
			mon_list(c, &q.list);
		break;
	case MG_MSG_END_REQ:
		ok = mg_frame_decode(f, &q.end, sizeof(q.end)) == MG_ERR_OK;
		if (ok)
			mon_end(c, &q.end);
		break;
	case MG_MSG_UNENROLL_REQ:
		ok = mg_frame_decode(f, &q.unenroll, sizeof(q.unenroll)) ==
		     MG_ERR_OK;
		if (ok)
			mon_auth_unenroll(c, q.unenroll.user);
		break;
	case MG_MSG_ENROLL_REQ:
		mon_auth_enroll(c);
		break;
	case MG_MSG_INFO_REQ:
		mon_info(c);
		break;
	case MG_MSG_CHECKPOINT_REQ:
		mon_checkpoint(c);
		break;
	case MG_MSG_DISCARD_REQ:
		ok = mg_frame_decode(f, &q.discard, sizeof(q.discard)) ==
		     MG_ERR_OK;
		if (ok)
			mon_discard(c, &q.discard);
		break;
	case MG_MSG_TOKENS_REQ:
		ok = mg_frame_decode(f, &q.tokens, sizeof(q.tokens)) ==
		     MG_ERR_OK;
		if (ok)
			mon_tokens_order(c, &q.tokens);
		break;
	default:
		ok = false;
	}
	if (!ok)
		put_on_record(c, true, MG_WHY_BAD_REQUEST, "");
}

/* What mg-front says of its client, or a client of itself. */
static void
take_malformed(struct mon_client *c, const struct mg_frame *f)
{
	struct mg_malformed q;
	bool answer = !c->busy;

	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK)
		q.text = "malformed";
	c->busy = true; /* until the refusal is on record */
	put_on_record(c, answer, MG_WHY_BAD_REQUEST, q.text);
	if (!answer)
		client_free(c);
}

static void
client_frame(void *arg, struct mg_frame *f)
{
	struct mon_client *c = arg;

	if (continues(c, f))
		return;
	mg_timer_clear(c->m->loop, &c->patience);
	if (f->op == MG_MSG_MALFORMED) {
		take_malformed(c, f);
		return;
	}
	if (c->busy) { /* Rule 2 */
		put_on_record(c, false, MG_WHY_BAD_REQUEST,
		    "a question before the last was answered");
		client_free(c);
		return;
	}
	c->busy = true;
	c->id = f->id;
	switch ((int)f->op) {
	case MG_MSG_RUN_REQ:
		ask_run(c, f);
		break;
	case MG_MSG_LOG_REQ:
		ask_log(c, f);
		break;
	case MG_MSG_PAM_AUTH_REQ:
	case MG_MSG_PAM_ACCT_REQ:
	case MG_MSG_PAM_OPEN_REQ:
	case MG_MSG_PAM_CLOSE_REQ:
		ask_pam(c, f);
		break;
	default:
		ask_other(c, f);
	}
}

/* A last word to root's program whose bytes are not what they may be. */
static void
say_why(struct mon_client *c, const char *why)
{
	struct mg_refused msg = {.why = MG_WHY_BAD_REQUEST, .text = why};

	if (mg_chan_send(c->port.ch, 0, MG_MSG_REFUSED, &msg) != MG_ERR_OK ||
	    mg_chan_flush(c->port.ch) != MG_ERR_OK)
		mg_log(MG_EVT_DEBUG, "err='cannot say why'");
}

static void
client_closed(void *arg, const char *why)
{
	struct mon_client *c = arg;

	if (why[0] != '\0')
		mg_log(MG_EVT_PROTO, "uid=%u pid=%d why='%s'", c->peer.uid,
		    (int)c->peer.pid, why);
	/* Of others, mg-front has said it (take_malformed). */
	if (why[0] != '\0' && c->is_direct) {
		put_on_record(c, false, MG_WHY_BAD_REQUEST, why);
		say_why(c, why);
	}
	client_free(c);
}

/* ---- accepting ---- */

/* Says why in one frame, and lets go. */
static void
turn_away(int fd, enum mg_why why, const char *text, const char *remedy)
{
	struct mg_refused msg = {.why = why, .remedy = remedy};
	struct mg_chan *ch;

	msg.text = text[0] != '\0' ? text : mg_why_sentence(why);

	ch = mg_chan_new(fd, MG_ROLE_AGENT, MG_ROLE_CLIENT, 8192);
	if (ch == NULL) {
		close(fd);
		return;
	}
	if (mg_chan_send(ch, 0, MG_MSG_REFUSED, &msg) != MG_ERR_OK)
		mg_log(MG_EVT_DEBUG, "err='cannot turn away'");
	mg_chan_free(ch);
}

static void
front_ended(void *arg, int status)
{
	(void)arg;
	(void)status; /* logged; the next client starts another */
}

static void
front_frame(void *arg, struct mg_frame *f)
{
	(void)arg;
	(void)f; /* no row of the table allows it one */
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

/*
 * Has a worker wait for the next client, so that this one does not wait for
 * a fork; what it will decode comes to us through m->spare_worker.
 */
static enum mg_err
worker_ready(struct mon *m)
{
	struct mg_front_worker msg = {0};
	int pair[2], buffer = SOCKET_BUFFER;
	enum mg_err r;

	if (m->spare_worker != -1)
		return MG_ERR_OK;
	if ((r = front_up(m)) != MG_ERR_OK ||
	    (r = mg_spawn_socketpair(pair)) != MG_ERR_OK)
		return r;
	r = mon_port_send_fds(
	    &m->front.port, 0, MG_MSG_FRONT_WORKER, &msg, &pair[1], 1);
	close(pair[1]);
	if (r != MG_ERR_OK) {
		close(pair[0]);
		return r;
	}
	(void)setsockopt(
	    pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	m->spare_worker = pair[0];
	return MG_ERR_OK;
}

static void
next_worker(void *arg)
{
	struct mon *m = arg;

	if (!m->stopping && worker_ready(m) != MG_ERR_OK)
		mg_log(MG_EVT_ERROR, "err='no worker for the next client'");
}

/* Gives the socket to the worker that waits. */
static enum mg_err
hand_over_once(struct mon *m, struct mon_client *c, int fd)
{
	struct mg_front_conn msg = {0};
	enum mg_err r;

	if ((r = worker_ready(m)) != MG_ERR_OK)
		return r;
	c->port.on_frame = client_frame;
	c->port.on_close = client_closed;
	c->port.on_drain = client_drained;
	c->port.arg = c;
	/* The worker is transparent from here on: it plays the client. */
	r = mon_port_init(&c->port, m, m->spare_worker,
	    MG_ROLE_AGENT | MG_ROLE_MONITOR, MG_ROLE_CLIENT | MG_ROLE_FRONT);
	m->spare_worker = -1;
	if (r != MG_ERR_OK)
		return r;
	r = mon_port_send_fds(&c->port, 0, MG_MSG_FRONT_CONN, &msg, &fd, 1);
	if (r != MG_ERR_OK)
		mon_port_fini(&c->port);
	return r;
}

/* A worker that has died while it waited shows only now. */
static enum mg_err
hand_over(struct mon *m, struct mon_client *c, int fd)
{
	enum mg_err r = hand_over_once(m, c, fd);

	if (r == MG_ERR_CLOSED)
		r = hand_over_once(m, c, fd);
	mon_timer_set(m, &m->worker_timer, mg_time_boot_ms() + WORKER_AFTER_MS,
	    next_worker, m);
	return r;
}

/* Rule 5 */
static enum mg_err
serve_root(struct mon *m, struct mon_client *c, int fd)
{
	if ((fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) == -1)
		return MG_ERR_SYS;
	c->is_direct = true;
	c->port.on_frame = client_frame;
	c->port.on_close = client_closed;
	c->port.on_drain = client_drained;
	c->port.arg = c;
	return mon_port_init(&c->port, m, fd, MG_ROLE_AGENT, MG_ROLE_CLIENT);
}

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
	client_free(c);
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
	c->user->n++;
}

/* Takes fd and pidfd in any case. */
static void
take_client(struct mon *m, int fd, const struct mg_peer *peer,
    struct mon_user *u, int pidfd)
{
	int buffer = SOCKET_BUFFER;
	struct mon_client *c;
	enum mg_err r;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(pidfd);
		close(fd);
		return;
	}
	c->m = m;
	c->peer = *peer;
	c->pidfd = pidfd;
	c->user = u;
	c->fds[0] = c->fds[1] = c->fds[2] = -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	r = peer->uid == 0 ? serve_root(m, c, fd) : hand_over(m, c, fd);
	if (r != MG_ERR_OK) {
		close(pidfd);
		turn_away(fd, MG_WHY_INTERNAL, "", "");
		free(c);
		return;
	}
	close(fd);
	put_in_list(m, c);
	mon_timer_set(m, &c->patience, mg_time_boot_ms() + MON_SILENCE_MS,
	    client_silent, c);
	mon_job_expect(m, peer->loginuid);
}

/* Whether that uid connects too often (Rule 7). Two that share a place in
 * the table only forget of each other how often it was. */
static bool
is_hasty(struct mon *m, uint32_t uid)
{
	struct mon_pace *p =
	    &m->pace[uid * UINT32_C(2654435761) / (UINT32_MAX / MON_PACES + 1)];
	int64_t second = mg_time_boot_ms() / 1000;

	if (p->uid != uid || p->second != second) {
		p->uid = uid;
		p->second = second;
		p->n = 0;
	}
	return ++p->n > PACE * m->conf.clients_per_user;
}

/* Rule 7. Turns away who has hung up already, and who is hasty, whom the
 * kernel names without a search. */
static bool
is_turned_away(struct mon *m, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	char text[160], c;

	if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		close(fd);
		return true;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    cred.uid == 0 || !is_hasty(m, cred.uid))
		return false;
	snprintf(text, sizeof(text),
	    "you connect to the agent more than %u times a second",
	    PACE * m->conf.clients_per_user);
	turn_away(fd, MG_WHY_BUSY, text,
	    "wait a second, or have 'clients-per-user' raised in [limits] of "
	    "agent.ini");
	return true;
}

static void
accept_one(struct mon *m, int fd)
{
	struct mon_user *u;
	struct mg_peer peer;
	int pidfd;

	if (mg_proc_peer(fd, &peer, &pidfd) != MG_ERR_OK) { /* Rule 1 */
		close(fd);
		return;
	}
	if ((u = user_of(m, &peer)) == NULL) {
		close(pidfd);
		turn_away(fd, MG_WHY_INTERNAL, "", "");
		return;
	}
	if (has_place(m, fd, &peer, u))
		take_client(m, fd, &peer, u, pidfd);
	else
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

static void
door_ready(void *arg, uint32_t events)
{
	struct mon_door *d = arg;
	int fd, accepted = 0, refused = 0;

	(void)events;
	while (accepted < ACCEPTS_PER_EVENT && refused < REFUSALS_PER_EVENT) {
		fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd != -1 && is_turned_away(d->m, fd)) {
			refused++;
			continue;
		}
		if (fd != -1) {
			accepted++;
			accept_one(d->m, fd);
			continue;
		}
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
		    errno != ENOBUFS)
			return;
		/* It stays readable: the loop would turn without end. */
		mg_watch_set(d->watch, 0);
		mon_timer_set(d->m, &d->m->accept_timer,
		    mg_time_boot_ms() + ACCEPT_AGAIN_MS, accept_again, d->m);
		return;
	}
}

/* Rule 8. In the order of struct mon's doors. */
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
		close(fd);
		return MG_ERR_SYS;
	}
	m->doors[i].m = m;
	m->doors[i].fd = fd;
	return mg_watch_add(
	    m->loop, fd, EPOLLIN, door_ready, &m->doors[i], &m->doors[i].watch);
}

enum mg_err
mon_clients_init(struct mon *m)
{
	struct rlimit files;
	enum mg_err r;
	size_t i;

	m->spare_worker = -1;
	m->files_max = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < INT_MAX)
		m->files_max = (int)files.rlim_cur;
	r = worker_ready(m);
	for (i = 0; i < DOORS && r == MG_ERR_OK; i++)
		r = open_door(m, i);
	return r;
}

void
mon_clients_deaf(struct mon *m)
{
	size_t i;

	for (i = 0; i < DOORS; i++) {
		mg_watch_del(m->doors[i].watch);
		m->doors[i].watch = NULL;
	}
}

void
mon_clients_fini(struct mon *m)
{
	size_t i;

	mon_clients_deaf(m);
	for (i = 0; i < DOORS; i++) {
		if (m->doors[i].m == NULL)
			continue;
		close(m->doors[i].fd);
		(void)unlink(doors[i].path);
		m->doors[i].m = NULL;
	}
	while (m->clients != NULL)
		client_free(m->clients);
	if (m->spare_worker != -1)
		close(m->spare_worker);
	m->spare_worker = -1;
	mon_proc_stop(&m->front);
}
