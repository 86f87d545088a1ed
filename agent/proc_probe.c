/* SPDX-License-Identifier: ISC */
/*
 * mg-probe: whether the hub answers, asked independently of mg-link.
 *
 * Runs as: _mg-link, no privileges, for seconds
 * Holds: one TCP connection at a time
 * Accepts: address and port as arguments, from the monitor; bytes that it
 * does not look into from whoever answers there
 * Sends: at most one link_status to the monitor; none: it cannot tell
 * If it dies: the monitor has learnt nothing
 *
 * Rules
 * 1. Root is given up before anything else happens.
 * 2. "Down" is said only of what the network says: refused, unreachable, or
 *    silence. What a local user can bring about (no port, no descriptor, no
 *    memory left, a name service that does not answer) is "cannot tell":
 *    else a requester could make an outage that needs no approvals.
 * 3. Whatever answers is an answer, a broken connection too: a hub that
 *    throws us out because somebody floods it is not down.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_time.h"

#define USER "_mg-link"
#define FILTER (MG_ALLOW_READ | MG_ALLOW_LOAD | MG_ALLOW_CONNECT)
#define FD_CHANNEL 3
#define QUEUE_MAX 4096
#define CONNECT_MS 4000
#define BANNER_MS 4000
#define ADDRESSES_MAX 4
#define HELLO "SSH-2.0-modelgate-probe\r\n"

enum answer { UNKNOWN, ANSWERS, DOWN };

static const struct mg_confine_limits limits = {
    .cpu_s = 5,
    .as_bytes = (uint64_t)256 << 20, /* NSS modules map what they like */
    .fsize_bytes = 0,
    .nofile = 16,
    .nproc = 0,
};

/* Readiness within ms; who ran late looks once more before saying no. */
static bool
is_ready(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t until = mg_time_boot_ms() + ms, left;
	int n;

	do {
		left = until - mg_time_boot_ms();
		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while ((n == -1 && errno == EINTR) || (n == 0 && left > 0));
	return n > 0;
}

/* Rule 2 */
static enum answer
judge_errno(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ETIMEDOUT:
		return DOWN;
	case ECONNRESET:
		return ANSWERS; /* Rule 3 */
	}
	return UNKNOWN;
}

/* The hub gives a connection a process once the other side has spoken. */
static bool
says_something(int fd)
{
	char byte;

	(void)!send(fd, HELLO, strlen(HELLO), MSG_NOSIGNAL);
	if (!is_ready(fd, POLLIN, BANNER_MS))
		return false;
	(void)!read(fd, &byte, 1);
	return true;
}

static enum answer
try_one(const struct addrinfo *ai, const char **whyp)
{
	enum answer r = UNKNOWN;
	socklen_t len = sizeof(int);
	int fd, error = 0;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    ai->ai_protocol);
	if (fd == -1) {
		*whyp = strerror(errno);
		return errno == EAFNOSUPPORT ? DOWN : UNKNOWN;
	}
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 &&
	    errno != EINPROGRESS) {
		r = judge_errno(errno);
		*whyp = strerror(errno);
	} else if (!is_ready(fd, POLLOUT, CONNECT_MS)) {
		r = DOWN;
		*whyp = strerror(ETIMEDOUT);
	} else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
		r = UNKNOWN;
	} else if (error != 0) {
		r = judge_errno(error);
		*whyp = strerror(error);
	} else if (says_something(fd)) {
		r = ANSWERS; /* Rule 3 */
	} else {
		r = DOWN;
		*whyp = "it takes connections and says nothing";
	}
	close(fd);
	return r;
}

static enum answer
probe(const char *address, const char *port, const char **whyp)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *ai;
	enum answer r = DOWN, one;
	int n = 0;

	if (getaddrinfo(address, port, &hints, &list) != 0)
		return UNKNOWN;
	for (ai = list; ai != NULL && n < ADDRESSES_MAX; ai = ai->ai_next) {
		one = try_one(ai, whyp);
		if (one == ANSWERS)
			return one;
		if (one == UNKNOWN)
			r = one;
		n++;
	}
	return n == 0 ? UNKNOWN : r;
}

int
main(int argc, char *argv[])
{
	struct mg_link_status m = {.text = ""};
	struct mg_chan *ch;
	char why[256];
	enum answer r;

	mg_log_init("mg-probe", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    fcntl(FD_CHANNEL, F_SETFD, FD_CLOEXEC) != 0 || argc != 3)
		return 1;
	if (mg_confine_user(USER, &limits, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(FILTER, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
	ch = mg_chan_new(FD_CHANNEL, MG_ROLE_LINK, MG_ROLE_MONITOR, QUEUE_MAX);
	if (ch == NULL)
		mg_fatal("cannot open the channel");
	r = probe(argv[1], argv[2], &m.text);
	m.up = r == ANSWERS;
	if (r != UNKNOWN &&
	    mg_chan_send(ch, 0, MG_MSG_LINK_STATUS, &m) != MG_ERR_OK)
		return 1;
	mg_chan_free(ch);
	return 0;
}
