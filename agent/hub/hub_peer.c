/* SPDX-License-Identifier: ISC */
/*
 * One connection process: what it may say, and its life.
 *
 * Rules
 * 1. Whose key a process has proved is bound once, by us, and every later
 *    message is judged by that: a process that is taken over by its peer
 *    can act for nobody else.
 * 2. Each message is allowed in some states only; one at another time ends
 *    the process.
 * 3. A peer that does not take what we send is ended before our memory is.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn.h"
#include "hub.h"
#include "mg_log.h"
#include "mg_time.h"

/* The hub ends a login this long after its process should have. */
#define GRACE_EXTRA_MS 1000
/* So long may a process live on that has closed its channel. */
#define LINGER_MS 3000
/* Not the last of all: on a busy machine that is never. */
#define NICE_STEP 4
#define NICE_MAX 10

static const char *const state_names[HUB_PEER_NSTATES] = {
    [HUB_PEER_WAITING] = "waiting",
    [HUB_PEER_LOGIN] = "login",
    [HUB_PEER_APPROVER] = "approver",
    [HUB_PEER_HOST] = "host",
    [HUB_PEER_HOST_READY] = "host-ready",
    [HUB_PEER_ENDING] = "ending",
};

/* ---- life ---- */

void
hub_peer_set_state(struct hub_peer *p, enum hub_peer_state state)
{
	p->hub->count[p->state]--;
	p->state = state;
	p->hub->count[state]++;
}

struct hub_peer *
hub_peer_new(struct hub *hub, int sock, const struct sockaddr_storage *sa)
{
	struct hub_peer *p;

	if ((p = calloc(1, sizeof(*p))) == NULL) {
		close(sock);
		return NULL;
	}
	p->hub = hub;
	p->sock = sock;
	p->child.pid = p->child.pidfd = -1;
	hub_addr_format(sa, false, p->addr);
	p->state = HUB_PEER_WAITING;
	hub->count[p->state]++;
	p->prev = hub->last;
	if (hub->last != NULL)
		hub->last->next = p;
	else
		hub->first = p;
	hub->last = p;
	return p;
}

static void
peer_free(struct hub_peer *p)
{
	struct hub *hub = p->hub;

	hub->count[p->state]--;
	if (p->queued)
		hub->nqueued--;
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		hub->first = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	else
		hub->last = p->prev;
	mg_timer_clear(hub->loop, &p->timer);
	mg_watch_del(p->sock_watch);
	mg_watch_del(p->chan_watch);
	mg_watch_del(p->child_watch);
	mg_chan_free(p->chan);
	if (p->sock != -1)
		close(p->sock);
	hub_door_opens(hub);
	free(p->key);
	free(p->list);
	free(p);
}

void
hub_peer_end(struct hub_peer *p)
{
	if (p->state == HUB_PEER_ENDING)
		return;
	if (p->child.pid == -1) {
		peer_free(p);
		return;
	}
	if (p->state == HUB_PEER_HOST_READY)
		hub_host_gone(p);
	hub_peer_set_state(p, HUB_PEER_ENDING);
	p->killed = true;
	p->watches = false;
	p->waits_for[0] = '\0';
	mg_watch_del(p->chan_watch);
	p->chan_watch = NULL;
	(void)kill(p->child.pid, SIGKILL);
}

void
hub_peers_end(struct hub *hub)
{
	struct hub_peer *p, *next;

	hub->is_ending = true;
	for (p = hub->first; p != NULL; p = next) {
		next = p->next;
		hub_peer_end(p);
	}
	while ((p = hub->first) != NULL) {
		(void)kill(p->child.pid, SIGKILL);
		(void)waitpid(p->child.pid, NULL, 0);
		close(p->child.pidfd);
		peer_free(p);
	}
}

void
hub_peer_violation(struct hub_peer *p, const char *what)
{
	mg_log(MG_EVT_PROTO, "from=%s name=%s state=%s %s", p->addr, p->name,
	    p->state < HUB_PEER_NSTATES ? state_names[p->state] : "?", what);
	hub_peer_end(p);
}

/* What a process's end says of the source it served. */
static enum hub_offence
offence_of(const struct hub_peer *p, int status)
{
	if (p->killed)
		return HUB_OFFENCE_NONE;
	if (WIFSIGNALED(status))
		return HUB_OFFENCE_CRASH;
	switch ((enum conn_exit)WEXITSTATUS(status)) {
	case CONN_EXIT_BAD_LOGIN:
		return HUB_OFFENCE_LOGIN;
	case CONN_EXIT_GRACE:
		return HUB_OFFENCE_GRACE;
	case CONN_EXIT_PROTO:
		return HUB_OFFENCE_PROTO;
	case CONN_EXIT_OK:
	case CONN_EXIT_FAILED:
	case CONN_EXIT_NO_LOGIN:
	case CONN_EXIT_KEY:
		break;
	}
	return HUB_OFFENCE_NONE;
}

static void
on_child(void *arg, uint32_t events)
{
	struct hub_peer *p = arg;
	enum hub_offence offence;
	int status;

	(void)events;
	mg_watch_del(p->child_watch); /* before its descriptor is closed */
	p->child_watch = NULL;
	status = mg_spawn_reap(&p->child);
	offence = offence_of(p, status);
	if (!p->killed && WIFSIGNALED(status))
		mg_log(MG_EVT_CHILD_DIED, "from=%s name=%s signal=%d", p->addr,
		    p->name, WTERMSIG(status));
	if (offence != HUB_OFFENCE_NONE && !p->exempt)
		hub_source_punish(
		    &p->hub->sources, p->source, offence, mg_time_boot_ms());
	if (p->state == HUB_PEER_HOST_READY)
		hub_host_gone(p);
	peer_free(p);
}

/* ---- messages ---- */

static size_t
sessions_of(const struct hub *hub, const struct hub_peer *except,
    const uint8_t *key, size_t len)
{
	const struct hub_peer *p;
	size_t n = 0;

	for (p = hub->first; p != NULL; p = p->next)
		if (p != except && p->state != HUB_PEER_ENDING &&
		    p->key_len == len && memcmp(p->key, key, len) == 0)
			n++;
	return n;
}

static bool
has_room(struct hub_peer *p, const uint8_t *key, size_t len)
{
	const struct hub *hub = p->hub;

	if (hub->count[HUB_PEER_APPROVER] + hub->count[HUB_PEER_HOST] +
		    hub->count[HUB_PEER_HOST_READY] <
		hub->conf.sessions_max &&
	    sessions_of(hub, p, key, len) < hub->conf.sessions_per_key)
		return true;
	mg_log(MG_EVT_LIMIT, "from=%s too many sessions", p->addr);
	return false;
}

/* Rule 1 */
static bool
bind_key(struct hub_peer *p, enum mg_hub_who who, const char *name,
    const uint8_t *key, size_t len)
{
	if (!has_room(p, key, len) || (p->key = malloc(len)) == NULL)
		return false;
	memcpy(p->key, key, len);
	p->key_len = len;
	memcpy(p->name, name, strlen(name) + 1);
	mg_timer_clear(p->hub->loop, &p->timer);
	hub_peer_set_state(
	    p, who == MG_HUB_HOST ? HUB_PEER_HOST : HUB_PEER_APPROVER);
	mg_log(MG_EVT_SESSION, "from=%s %s=%s", p->addr,
	    who == MG_HUB_HOST ? "host" : "approver", name);
	return true;
}

static void
on_who(struct hub_peer *p, uint32_t id, const struct mg_conn_who_req *m)
{
	struct mg_conn_who_ans ans = {.who = MG_HUB_NOBODY, .name = ""};
	enum mg_hub_who who;
	const char *name;
	bool first = false;

	who = hub_keys_find(p->hub, m->key, m->key_len, &name);
	if (who != MG_HUB_NOBODY) {
		first = !p->is_known;
		p->is_known = true;
		if (!m->login || bind_key(p, who, name, m->key, m->key_len)) {
			ans.who = (uint8_t)who;
			ans.name = name;
		}
	}
	hub_peer_send(p, id, MG_MSG_CONN_WHO_ANS, &ans);
	if (first)
		hub_door_opens(p->hub);
}

union message {
	struct mg_conn_who_req who;
	struct mg_conn_host_req host;
	struct mg_conn_list_req list;
	struct mg_conn_show_req show;
	struct mg_conn_submit_req submit;
	struct mg_hub_put put;
	struct mg_hub_state state;
	struct mg_hub_verdict verdict;
	struct mg_hub_tree tree;
	struct mg_conn_tree_req tree_req;
};

/* Rule 2 */
static bool
is_due(const struct hub_peer *p, enum mg_msg_op op)
{
	switch (p->state) {
	case HUB_PEER_LOGIN:
		return op == MG_MSG_CONN_WHO_REQ;
	case HUB_PEER_APPROVER:
		return op == MG_MSG_CONN_LIST_REQ ||
		       op == MG_MSG_CONN_SHOW_REQ ||
		       op == MG_MSG_CONN_SUBMIT_REQ ||
		       op == MG_MSG_CONN_TREE_REQ;
	case HUB_PEER_HOST:
		return op == MG_MSG_CONN_HOST_REQ;
	case HUB_PEER_HOST_READY:
		return op == MG_MSG_HUB_PUT || op == MG_MSG_HUB_STATE ||
		       op == MG_MSG_HUB_VERDICT || op == MG_MSG_HUB_TREE;
	case HUB_PEER_WAITING:
	case HUB_PEER_ENDING:
	case HUB_PEER_NSTATES:
		break;
	}
	return false;
}

static void
act(struct hub_peer *p, const struct mg_frame *f, const union message *m)
{
	if (f->op == MG_MSG_CONN_WHO_REQ)
		on_who(p, f->id, &m->who);
	else if (f->op == MG_MSG_CONN_LIST_REQ)
		hub_on_list(p, f->id, &m->list);
	else if (f->op == MG_MSG_CONN_SHOW_REQ)
		hub_on_show(p, f->id, &m->show);
	else if (f->op == MG_MSG_CONN_SUBMIT_REQ)
		hub_on_submit(p, f->id, &m->submit);
	else if (f->op == MG_MSG_CONN_HOST_REQ)
		hub_on_host_req(p);
	else if (f->op == MG_MSG_HUB_PUT)
		hub_on_put(p, f->id, &m->put);
	else if (f->op == MG_MSG_HUB_STATE)
		hub_on_state(p, &m->state);
	else if (f->op == MG_MSG_HUB_TREE)
		hub_on_tree(p, f->id, &m->tree);
	else if (f->op == MG_MSG_CONN_TREE_REQ)
		hub_on_tree_req(p, f->id, &m->tree_req);
	else
		hub_on_verdict(p, &m->verdict);
}

static void
dispatch(struct hub_peer *p, const struct mg_frame *f)
{
	const struct mg_msg_type *t = mg_msg_type(f->op);
	union message m;

	if (t == NULL || !is_due(p, f->op) || t->size > sizeof(m)) {
		hub_peer_violation(p, mg_msg_name(f->op));
		return;
	}
	if (mg_frame_decode(f, &m, t->size) != MG_ERR_OK) {
		hub_peer_violation(p, "message that does not decode");
		return;
	}
	act(p, f, &m);
}

void
hub_peer_update_watch(struct hub_peer *p)
{
	if (p->chan_watch != NULL)
		mg_watch_set(p->chan_watch,
		    EPOLLIN | (mg_chan_has_output(p->chan) ? EPOLLOUT : 0));
}

static void
send_waiting(struct hub_peer *p)
{
	if (mg_chan_flush(p->chan) != MG_ERR_OK) {
		hub_peer_end(p);
		return;
	}
	if (p->state == HUB_PEER_APPROVER)
		hub_list_more(p);
	else if (p->state == HUB_PEER_HOST_READY)
		hub_host_deliver(p);
}

static void
on_linger(void *arg)
{
	struct hub_peer *p = arg;

	(void)kill(p->child.pid, SIGKILL);
}

/* It closed the channel: it is about to exit, and its status tells how. */
static void
linger(struct hub_peer *p)
{
	mg_watch_del(p->chan_watch);
	p->chan_watch = NULL;
	if (p->state == HUB_PEER_HOST_READY)
		hub_host_gone(p);
	hub_peer_set_state(p, HUB_PEER_ENDING);
	if (mg_timer_set(p->hub->loop, &p->timer, mg_time_boot_ms() + LINGER_MS,
		on_linger, p) != MG_ERR_OK)
		on_linger(p);
}

static void
on_chan(void *arg, uint32_t events)
{
	struct hub_peer *p = arg;
	struct mg_frame f;
	const char *why;
	enum mg_err r = MG_ERR_AGAIN;

	if ((events & EPOLLOUT) != 0)
		send_waiting(p);
	/* analyzer: who has a channel has a child, and lives until it ends */
	while (p->state != HUB_PEER_ENDING &&
	       (r = mg_chan_recv(p->chan, &f, &why)) == MG_ERR_OK)
		dispatch(p, &f);
	if (p->state == HUB_PEER_ENDING)
		return;
	if (r == MG_ERR_AGAIN) {
		hub_peer_update_watch(p);
		return;
	}
	if (r == MG_ERR_PROTO) {
		hub_peer_violation(p, why);
		return;
	}
	linger(p);
}

void
hub_peer_send(
    struct hub_peer *p, uint32_t id, enum mg_msg_op op, const void *msg)
{
	enum mg_err r;

	if (p->state == HUB_PEER_ENDING)
		return;
	r = mg_chan_send(p->chan, id, op, msg);
	if (r == MG_ERR_OK) {
		hub_peer_update_watch(p);
		return;
	}
	if (r != MG_ERR_CLOSED) /* Rule 3 */
		mg_log(MG_EVT_LIMIT, "from=%s name=%s cannot send %s: %s",
		    p->addr, p->name, mg_msg_name(op), mg_err_str(r));
	hub_peer_end(p);
}

void
hub_peer_done(struct hub_peer *p, uint32_t id, bool ok, const char *text)
{
	struct mg_conn_done m = {.ok = ok, .text = text};

	hub_peer_send(p, id, MG_MSG_CONN_DONE, &m);
}

/* ---- start ---- */

static void
on_late(void *arg)
{
	struct hub_peer *p = arg;

	if (!p->exempt)
		hub_source_punish(&p->hub->sources, p->source,
		    HUB_OFFENCE_GRACE, mg_time_boot_ms());
	hub_peer_end(p);
}

static bool
spawn(struct hub_peer *p, int fds[2])
{
	char name[] = "mg-hub-conn", lc[] = "LC_ALL=C.UTF-8";
	char *argv[] = {name, NULL}, *envp[] = {lc, NULL};
	const struct mg_spawn_fd give[] = {
	    {p->hub->log_fd[1], CONN_FD_LOG},
	    {p->sock, CONN_FD_SOCKET},
	    {fds[1], CONN_FD_CHAN},
	};

	if (mg_spawn(HUB_CONN_PATH, argv, envp, give, 3, &p->child) !=
	    MG_ERR_OK)
		return false;
	return mg_watch_add(p->hub->loop, p->child.pidfd, EPOLLIN, on_child, p,
		   &p->child_watch) == MG_ERR_OK;
}

/* Behind those of its source that began before, and so behind all others. */
static void
be_nice(const struct hub_peer *p, size_t crowd)
{
	int nice =
	    crowd < NICE_MAX / NICE_STEP ? (int)crowd * NICE_STEP : NICE_MAX;

	if (setpriority(PRIO_PROCESS, (id_t)p->child.pid, nice) != 0)
		mg_log(MG_EVT_DEBUG, "from=%s cannot be put behind others: %s",
		    p->addr, strerror(errno));
}

static bool
start(struct hub_peer *p)
{
	const struct hub_conf *conf = &p->hub->conf;
	struct mg_conn_start m = {.key = mg_buf_ptr(&p->hub->host_key),
	    .key_len = mg_buf_len(&p->hub->host_key),
	    .peer = p->addr,
	    .hub = conf->name,
	    .grace_ms = (uint32_t)hub_grace_ms(p),
	    .command_ms = (uint32_t)conf->command_ms,
	    .idle_ms = (uint32_t)conf->idle_ms,
	    .dead_ms = (uint32_t)conf->dead_ms,
	    .max_tries = (uint32_t)conf->tries_max};
	int fds[2];
	bool ok;

	if (mg_spawn_socketpair(fds) != MG_ERR_OK)
		return false;
	ok = spawn(p, fds);
	close(fds[1]);
	if (ok)
		p->chan = mg_chan_new(
		    fds[0], MG_ROLE_STORE, MG_ROLE_CONN, HUB_QUEUE_MAX);
	if (p->chan == NULL) {
		close(fds[0]);
		return false;
	}
	return mg_watch_add(p->hub->loop, mg_chan_fd(p->chan), EPOLLIN, on_chan,
		   p, &p->chan_watch) == MG_ERR_OK &&
	       mg_chan_send(p->chan, 0, MG_MSG_CONN_START, &m) == MG_ERR_OK;
}

void
hub_peer_start(struct hub_peer *p, size_t crowd)
{
	int64_t late = p->timer.at_ms + GRACE_EXTRA_MS;
	bool ok;

	mg_watch_del(p->sock_watch);
	p->sock_watch = NULL;
	ok = start(p);
	if (!ok)
		mg_log(MG_EVT_ERROR, "from=%s cannot start '%s': %s", p->addr,
		    HUB_CONN_PATH, strerror(errno));
	else if (crowd > 0)
		be_nice(p, crowd);
	close(p->sock);
	p->sock = -1;
	if (ok)
		ok = mg_timer_set(p->hub->loop, &p->timer, late, on_late, p) ==
		     MG_ERR_OK;
	if (!ok) {
		hub_peer_end(p);
		return;
	}
	hub_peer_set_state(p, HUB_PEER_LOGIN);
	hub_peer_update_watch(p);
}

void
hub_peers_recheck(struct hub *hub)
{
	struct hub_peer *p, *next;
	enum mg_hub_who who, expected;
	const char *name;

	for (p = hub->first; p != NULL; p = next) {
		next = p->next;
		if (p->key == NULL || p->state == HUB_PEER_ENDING)
			continue;
		expected = p->state == HUB_PEER_APPROVER ? MG_HUB_APPROVER
							 : MG_HUB_HOST;
		who = hub_keys_find(hub, p->key, p->key_len, &name);
		if (who == expected && strcmp(name, p->name) == 0)
			continue;
		mg_log(MG_EVT_SESSION,
		    "from=%s name=%s ended: its key is no "
		    "longer known",
		    p->addr, p->name);
		hub_peer_end(p);
	}
}
