/* SPDX-License-Identifier: ISC */
/*
 * Connections until somebody speaks, and their limits.
 *
 * Rules
 * 1. A connection costs a descriptor until its first byte comes, and only
 *    then a process: a thousand silent ones cost next to nothing.
 * 2. What is full makes room by ending its oldest, and first the oldest of
 *    the source that the new one comes from: who floods pushes out himself,
 *    and somebody who knocks now is not refused for those who only sit. But
 *    a login has a turn, long enough for who is somebody: else all that a
 *    flood from the same address begins would end those that could succeed.
 * 3. Among logins those go first that have shown no key that we know.
 * 4. A source that failed too often has a narrow door for a while: so many
 *    may wait there, so few log in at once, and not for long. It is not shut:
 *    behind one address (NAT, a host of many users) stand others too, and
 *    nobody is to lock them out. Who comes when all places are taken gets
 *    one by lot, and so is the next chosen: who was there first has no claim.
 *    Who dawdles on the way through gives way to the next after a second, so
 *    that the line moves faster than those who only hold it can fill it.
 *    Loopback is exempt by default, as every user of a host comes from there.
 * 5. The more of one source log in, the later each has the processor: who
 *    comes alone does not wait for what others have begun.
 * 6. Who has hung up gets no process.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub.h"
#include "mg_log.h"
#include "mg_time.h"

#define ACCEPT_ROUND 64
#define BACKLOG 4096
#define LISTEN_AGAIN_MS 50 /* when descriptors are out */
#define DOOR_WAITING 64	   /* at a narrow door, */
#define DOOR_WAIT_MS 30000 /* for so long; */
#define DOOR_LOGINS 2	   /* going through it, nobody we know, */
#define DOOR_GRACE_MS 3000 /* for so long; */
#define DOOR_TURN_MS 1000  /* and when others wait, for so long */
/* A login's, before it is ended for another of its source; who is under no
 * penalty for that is near (loopback), and quick. */
#define TURN_MS 2000
#define TURN_EXEMPT_MS 600
#define TURNS_AGAIN_MS 20
#define TURNS_PER_EVENT 8

static size_t
count_source(
    const struct hub *hub, enum hub_peer_state state, const uint8_t source[16])
{
	const struct hub_peer *p;
	size_t n = 0;

	for (p = hub->first; p != NULL; p = p->next)
		if (p->state == state && memcmp(p->source, source, 16) == 0)
			n++;
	return n;
}

/* The oldest in that state (who is longest at logging in; who knocked first);
 * of one source, if given; unknown keys first. Of those in line the last: who
 * is next is not to lose that to who comes. */
static struct hub_peer *
oldest(struct hub *hub, enum hub_peer_state state, const uint8_t *source)
{
	struct hub_peer *p, *unknown = NULL, *known = NULL;

	for (p = hub->first; p != NULL; p = p->next) {
		if (p->state != state ||
		    (source != NULL && memcmp(p->source, source, 16) != 0))
			continue;
		if (p->is_known || p->queued) {
			if (known == NULL || p->queued)
				known = p; /* Rule 3 */
		} else if (unknown == NULL || p->begun_ms < unknown->begun_ms) {
			unknown = p;
		}
	}
	return unknown != NULL ? unknown : known;
}

/* Rule 2 */
static void
make_room(struct hub *hub, enum hub_peer_state state, size_t max,
    size_t max_per_source, const uint8_t source[16])
{
	struct hub_peer *p = NULL;

	if (count_source(hub, state, source) >= max_per_source ||
	    hub->count[state] >= max)
		p = oldest(hub, state, source);
	if (p == NULL && hub->count[state] >= max)
		p = oldest(hub, state, NULL);
	if (p == NULL)
		return;
	mg_log(MG_EVT_LIMIT, "from=%s ended to make room for another", p->addr);
	if (state == HUB_PEER_LOGIN && !p->is_known && !p->exempt &&
	    memcmp(p->source, source, 16) == 0)
		hub_source_punish(&hub->sources, source, HUB_OFFENCE_CROWD,
		    mg_time_boot_ms());
	hub_peer_end(p);
}

/* ---- the narrow door (Rule 4) ---- */

int64_t
hub_grace_ms(const struct hub_peer *p)
{
	int64_t ms = p->hub->conf.login_grace_ms;

	return p->narrow && ms > DOOR_GRACE_MS ? DOOR_GRACE_MS : ms;
}

/* One of those who wait there, or have also spoken, by lot; NULL: nobody. */
static struct hub_peer *
draw(const struct hub *hub, const uint8_t source[16], bool queued)
{
	struct hub_peer *p, *found = NULL;
	uint32_t lot, n = 0;

	for (p = hub->first; p != NULL; p = p->next) {
		if (p->state != HUB_PEER_WAITING ||
		    !(queued ? p->queued : p->narrow) ||
		    memcmp(p->source, source, 16) != 0)
			continue;
		if (getrandom(&lot, sizeof(lot), 0) != (ssize_t)sizeof(lot))
			lot = 0;
		if (lot % ++n == 0)
			found = p;
	}
	return found;
}

static size_t
count_at_door(const struct hub *hub, const uint8_t source[16])
{
	const struct hub_peer *p;
	size_t n = 0;

	for (p = hub->first; p != NULL; p = p->next)
		if (p->state == HUB_PEER_LOGIN && !p->is_known &&
		    memcmp(p->source, source, 16) == 0)
			n++;
	return n;
}

/* ---- turns ---- */

static void
on_grace(void *arg)
{
	struct hub_peer *p = arg;

	if (!p->exempt && !p->queued)
		hub_source_punish(&p->hub->sources, p->source,
		    HUB_OFFENCE_GRACE, mg_time_boot_ms());
	mg_log(MG_EVT_REFUSED, "from=%s %s", p->addr,
	    p->queued ? "had no turn: too many of its source log in"
		      : "took too long to log in");
	hub_peer_end(p);
}

static int64_t
turn_ms(const struct hub_peer *p)
{
	if (p->narrow)
		return DOOR_TURN_MS;
	return p->exempt ? TURN_EXEMPT_MS : TURN_MS;
}

/* Whether p can only log in in place of another of its source. */
static bool
is_in_place(const struct hub_peer *p)
{
	const struct hub *hub = p->hub;
	const struct hub_conf *conf = &hub->conf;
	size_t n;

	if (p->narrow)
		return count_at_door(hub, p->source) >= DOOR_LOGINS;
	n = count_source(hub, HUB_PEER_LOGIN, p->source);
	return n > 0 && (n >= conf->logins_per_source ||
			    hub->count[HUB_PEER_LOGIN] >= conf->logins_max);
}

/* Whether p may log in now, maybe in place of another (Rule 2). */
static bool
has_turn(const struct hub_peer *p)
{
	return !is_in_place(p) ||
	       mg_time_boot_ms() -
		       oldest(p->hub, HUB_PEER_LOGIN, p->source)->begun_ms >=
		   turn_ms(p);
}

static void on_turns(void *arg);

static void
set_turns(struct hub *hub, int64_t after_ms)
{
	if (mg_timer_set(hub->loop, &hub->turns, mg_time_boot_ms() + after_ms,
		on_turns, hub) != MG_ERR_OK)
		mg_log(MG_EVT_ERROR, "no memory for turns");
}

static void
queue(struct hub_peer *p)
{
	if (p->queued)
		return;
	p->queued = true;
	p->hub->nqueued++;
	mg_watch_set(p->sock_watch, EPOLLRDHUP);
	if (p->hub->nqueued == 1)
		set_turns(p->hub, TURNS_AGAIN_MS);
}

static void
begin_login(struct hub_peer *p)
{
	struct hub *hub = p->hub;

	if (!has_turn(p)) {
		queue(p);
		return;
	}
	if (p->queued) {
		hub->nqueued--;
		p->queued = false;
		if (mg_timer_set(hub->loop, &p->timer,
			mg_time_boot_ms() + hub_grace_ms(p), on_grace,
			p) != MG_ERR_OK) {
			hub_peer_end(p);
			return;
		}
	}
	make_room(hub, HUB_PEER_LOGIN, hub->conf.logins_max,
	    is_in_place(p) ? 1 : hub->conf.logins_per_source, p->source);
	p->begun_ms = mg_time_boot_ms();
	/* Rules 1 and 5 */
	hub_peer_start(p, count_source(hub, HUB_PEER_LOGIN, p->source));
}

/* The first who waits and has a turn; NULL: nobody. */
static struct hub_peer *
next_turn(struct hub *hub)
{
	struct hub_peer *p;
	const struct hub_peer *no = NULL;

	for (p = hub->first; p != NULL; p = p->next) {
		if (!p->queued ||
		    (no != NULL && memcmp(p->source, no->source, 16) == 0))
			continue;
		if (has_turn(p))
			return p->narrow ? draw(hub, p->source, true) : p;
		no = p;
	}
	return NULL;
}

static void
on_turns(void *arg)
{
	struct hub *hub = arg;
	struct hub_peer *p;
	int i;

	for (i = 0; i < TURNS_PER_EVENT && hub->nqueued > 0; i++) {
		if ((p = next_turn(hub)) == NULL)
			break;
		begin_login(p);
	}
	if (hub->nqueued > 0)
		set_turns(hub, i == TURNS_PER_EVENT ? 0 : TURNS_AGAIN_MS);
}

void
hub_door_opens(struct hub *hub)
{
	if (hub->nqueued > 0 && !hub->is_ending)
		set_turns(hub, 0);
}

/* A place among those who wait there. */
static void
make_room_at_door(struct hub *hub, const uint8_t source[16])
{
	struct hub_peer *p;

	if (count_source(hub, HUB_PEER_WAITING, source) < DOOR_WAITING ||
	    (p = draw(hub, source, false)) == NULL)
		return;
	mg_log(MG_EVT_LIMIT,
	    "from=%s ended: its source is under a penalty and many wait",
	    p->addr);
	hub_peer_end(p);
}

/* Rule 6. An ssh client never shuts one direction before it has logged in. */
static bool
has_hung_up(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && p.revents != 0;
}

static void
on_first_byte(void *arg, uint32_t events)
{
	struct hub_peer *p = arg;
	ssize_t n;
	char c;

	(void)events;
	n = recv(p->sock, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || has_hung_up(p->sock)) {
		hub_peer_end(p);
		return;
	}
	begin_login(p);
}

static bool
is_exempt(const struct hub *hub, const uint8_t addr[16])
{
	size_t i;

	for (i = 0; i < hub->conf.exempt.n; i++)
		if (hub_net_has(&hub->conf.exempt.v[i], addr))
			return true;
	return false;
}

/* Until it has spoken, and has had its turn at the door. */
static int64_t
wait_ms(const struct hub_peer *p)
{
	return p->narrow ? DOOR_WAIT_MS : p->hub->conf.login_grace_ms;
}

static void
take_one(struct hub *hub, int fd, const struct sockaddr_storage *sa)
{
	uint8_t addr[16], source[16];
	struct hub_peer *p;
	bool narrow;
	int one = 1;

	hub_net_bytes(sa, addr);
	hub_net_source(addr, source);
	narrow = !is_exempt(hub, addr) && hub_source_blocked_ms(&hub->sources,
					      source, mg_time_boot_ms()) > 0;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (narrow) /* Rule 4 */
		make_room_at_door(hub, source);
	make_room(hub, HUB_PEER_WAITING, hub->conf.waiting_max,
	    hub->conf.waiting_max, source);
	if ((p = hub_peer_new(hub, fd, sa)) == NULL)
		return;
	memcpy(p->source, source, sizeof(p->source));
	p->exempt = is_exempt(hub, addr);
	p->narrow = narrow;
	if (mg_watch_add(hub->loop, fd, EPOLLIN, on_first_byte, p,
		&p->sock_watch) != MG_ERR_OK ||
	    mg_timer_set(hub->loop, &p->timer, mg_time_boot_ms() + wait_ms(p),
		on_grace, p) != MG_ERR_OK)
		hub_peer_end(p);
}

/* Descriptors are out: the oldest that only waits gives one back. */
static bool
free_a_descriptor(struct hub *hub)
{
	struct hub_peer *p = oldest(hub, HUB_PEER_WAITING, NULL);

	if (p == NULL)
		p = oldest(hub, HUB_PEER_LOGIN, NULL);
	if (p == NULL)
		return false;
	mg_log(MG_EVT_LIMIT, "from=%s ended: no descriptors left", p->addr);
	hub_peer_end(p);
	return true;
}

static bool
is_out_of_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ||
	       error == ENOBUFS;
}

static void
listen_again(void *arg)
{
	struct hub *hub = arg;
	size_t i;

	for (i = 0; i < hub->nlisten; i++)
		mg_watch_set(hub->listen_watch[i], EPOLLIN);
}

/* There is nothing to give back: what waits to be accepted stays readable,
 * and the loop would turn without end. */
static void
be_deaf(struct hub *hub, int error)
{
	size_t i;

	if (!hub->is_deaf)
		mg_log(MG_EVT_LIMIT, "nobody is accepted: %s", strerror(error));
	hub->is_deaf = true;
	if (mg_timer_set(hub->loop, &hub->listen_timer,
		mg_time_boot_ms() + LISTEN_AGAIN_MS, listen_again,
		hub) != MG_ERR_OK)
		return;
	for (i = 0; i < hub->nlisten; i++)
		mg_watch_set(hub->listen_watch[i], 0);
}

static void
accept_some(struct hub *hub, int listen_fd)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd, round, error;

	for (round = 0; round < ACCEPT_ROUND; round++) {
		memset(&sa, 0, sizeof(sa));
		len = sizeof(sa);
		fd = accept4(listen_fd, (struct sockaddr *)&sa, &len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd != -1) {
			hub->is_deaf = false;
			take_one(hub, fd, &sa);
			continue;
		}
		error = errno;
		if ((error == EMFILE || error == ENFILE) &&
		    free_a_descriptor(hub))
			continue;
		if (is_out_of_room(error))
			be_deaf(hub, error);
		return;
	}
}

static void
on_connection(void *arg, uint32_t events)
{
	struct hub *hub = arg;
	size_t i;

	(void)events;
	for (i = 0; i < hub->nlisten; i++)
		accept_some(hub, hub->listen_fd[i]);
}

static enum mg_err
listen_at(struct hub *hub, const struct hub_addr *a, char *why, size_t size)
{
	char text[HUB_ADDR_TEXT];
	int fd, one = 1;

	hub_addr_format(&a->sa, true, text);
	fd = socket(
	    a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		goto fail;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a->sa.ss_family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&a->sa, a->len) != 0 ||
	    listen(fd, BACKLOG) != 0)
		goto fail;
	hub->listen_fd[hub->nlisten] = fd;
	if (mg_watch_add(hub->loop, fd, EPOLLIN, on_connection, hub,
		&hub->listen_watch[hub->nlisten]) != MG_ERR_OK)
		goto fail;
	hub->nlisten++;
	mg_log(MG_EVT_HUB, "listens at %s", text);
	return MG_ERR_OK;
fail:
	snprintf(why, size, "cannot listen at %s: %s", text, strerror(errno));
	if (fd != -1)
		close(fd);
	return MG_ERR_SYS;
}

enum mg_err
hub_listen(struct hub *hub, char *why, size_t why_size)
{
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; i < hub->conf.listen.n && r == MG_ERR_OK; i++)
		r = listen_at(hub, &hub->conf.listen.v[i], why, why_size);
	return r;
}

void
hub_listen_end(struct hub *hub)
{
	mg_timer_clear(hub->loop, &hub->listen_timer);
	while (hub->nlisten > 0) {
		hub->nlisten--;
		mg_watch_del(hub->listen_watch[hub->nlisten]);
		close(hub->listen_fd[hub->nlisten]);
	}
}
