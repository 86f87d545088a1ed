/* SPDX-License-Identifier: ISC */
/* Connecting to the agent. Runs inside sshd and sudo: no state, no signals. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "mg_client.h"
#include "mg_time.h"

#define LAST_TRY_MS 50

static enum mg_err
try_connect(int fd, const struct sockaddr_un *sun, int timeout_ms)
{
	int64_t end = mg_time_boot_ms() + timeout_ms, left, wait;
	struct timeval tv;

	for (;;) {
		/* While the listener's queue is full the kernel has us wait
		 * for our turn, up to this. It is tried once more when time is
		 * up: this process may have been stopped meanwhile. */
		left = end - mg_time_boot_ms();
		wait = left > LAST_TRY_MS ? left : LAST_TRY_MS;
		tv.tv_sec = (time_t)(wait / 1000);
		tv.tv_usec = (suseconds_t)(wait % 1000) * 1000;
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) !=
		    0)
			return MG_ERR_SYS;
		if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) ==
		    0)
			return MG_ERR_OK;
		if (errno == ENOENT || errno == ECONNREFUSED)
			return MG_ERR_NOENT;
		if (errno == EACCES || errno == EPERM)
			return MG_ERR_PERM;
		if (errno != EAGAIN && errno != EINTR)
			return MG_ERR_SYS;
		if (left <= 0)
			return MG_ERR_TIMEOUT;
	}
}

static enum mg_err
check_peer(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    len != sizeof(cred))
		return MG_ERR_SYS;
	return cred.uid == 0 ? MG_ERR_OK : MG_ERR_PERM;
}

static enum mg_err
connect_to(const char *path, int timeout_ms, struct mg_chan **chp)
{
	struct sockaddr_un sun;
	enum mg_err r;
	int fd;

	*chp = NULL;
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun.sun_path))
		return MG_ERR_LIMIT;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return MG_ERR_SYS;
	if ((r = try_connect(fd, &sun, timeout_ms)) == MG_ERR_OK &&
	    (r = check_peer(fd)) == MG_ERR_OK) {
		*chp = mg_chan_new(
		    fd, MG_ROLE_CLIENT, MG_ROLE_AGENT, MG_CLIENT_QUEUE_MAX);
		if (*chp == NULL)
			r = MG_ERR_NOMEM;
	}
	if (r != MG_ERR_OK)
		close(fd);
	return r;
}

enum mg_err
mg_client_connect(const char *path, int timeout_ms, struct mg_chan **chp)
{
	enum mg_err r = MG_ERR_NOENT;

	if (geteuid() == 0 && strcmp(path, MG_CLIENT_SOCKET) == 0)
		r = connect_to(MG_ROOT_SOCKET, timeout_ms, chp);
	if (r == MG_ERR_NOENT)
		r = connect_to(path, timeout_ms, chp);
	return r;
}

enum mg_err
mg_client_ask(struct mg_chan *ch, enum mg_msg_op op, const void *msg,
    const int *fds, size_t nfds)
{
	enum mg_err r = mg_chan_send_fds(ch, 1, op, msg, fds, nfds);

	return r == MG_ERR_CLOSED ? MG_ERR_OK : r;
}
