/* SPDX-License-Identifier: ISC */
/*
 * Starting children.
 *
 * Rules
 * 1. Nothing leaks: after the named descriptors are in place, everything
 *    above them is closed in the child, close-on-exec or not.
 * 2. Sources are first moved above every target, so that placing one never
 *    overwrites another that is still to be placed.
 * 3. A child that cannot be waited for has failed: success is only what
 *    the kernel says was success.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_spawn.h"

#define LOST 0xff00 /* exit status 255; Rule 3 */

static int
add_fds(posix_spawn_file_actions_t *fa, const struct mg_spawn_fd *fds,
    size_t nfds, int high[])
{
	bool used[MG_SPAWN_FDS_MAX] = {false};
	int err = 0, t, top = 2;
	size_t i;

	for (i = 0; i < nfds && err == 0; i++) {
		if (fds[i].target < 0 || fds[i].target >= MG_SPAWN_FDS_MAX)
			return EINVAL;
		used[fds[i].target] = true;
		if (fds[i].target > top)
			top = fds[i].target;
		high[i] = fcntl(fds[i].fd, F_DUPFD_CLOEXEC, MG_SPAWN_FDS_MAX);
		if (high[i] == -1) /* Rule 2 */
			return errno;
		err = posix_spawn_file_actions_adddup2(
		    fa, high[i], fds[i].target);
	}
	for (t = 0; t <= top && err == 0; t++) {
		if (used[t])
			continue;
		if (t <= 2)
			err = posix_spawn_file_actions_addopen(
			    fa, t, "/dev/null", O_RDWR, 0);
		else
			err = posix_spawn_file_actions_addclose(fa, t);
	}
	if (err == 0) /* Rule 1 */
		err = posix_spawn_file_actions_addclosefrom_np(fa, top + 1);
	return err;
}

static int
set_attributes(posix_spawnattr_t *at, short flags)
{
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	flags |= POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	if ((err = posix_spawnattr_setflags(at, flags)) != 0 ||
	    (err = posix_spawnattr_setsigmask(at, &none)) != 0)
		return err;
	return posix_spawnattr_setsigdefault(at, &all);
}

static enum mg_err
start(const char *path, char *const argv[], char *const envp[],
    const struct mg_spawn_fd *fds, size_t nfds, short flags,
    struct mg_child *childp)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int high[MG_SPAWN_FDS_MAX], err;
	size_t i;

	childp->pid = -1;
	childp->pidfd = -1;
	if (nfds > MG_SPAWN_FDS_MAX) {
		errno = EINVAL;
		return MG_ERR_SYS;
	}
	for (i = 0; i < MG_SPAWN_FDS_MAX; i++)
		high[i] = -1;
	if (posix_spawn_file_actions_init(&fa) != 0)
		return MG_ERR_NOMEM;
	if (posix_spawnattr_init(&at) != 0) {
		posix_spawn_file_actions_destroy(&fa);
		return MG_ERR_NOMEM;
	}
	if ((err = set_attributes(&at, flags)) == 0 &&
	    (err = add_fds(&fa, fds, nfds, high)) == 0)
		err = posix_spawn(&childp->pid, path, &fa, &at, argv, envp);
	for (i = 0; i < nfds; i++)
		if (high[i] != -1)
			close(high[i]);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	if (err != 0) {
		childp->pid = -1;
		errno = err;
		return MG_ERR_SYS;
	}
	/* Not reaped yet, so the number cannot belong to another process. */
	childp->pidfd = pidfd_open(childp->pid, 0);
	if (childp->pidfd == -1) {
		err = errno;
		(void)kill(childp->pid, SIGKILL);
		(void)waitpid(childp->pid, NULL, 0);
		childp->pid = -1;
		errno = err;
		return MG_ERR_SYS;
	}
	return MG_ERR_OK;
}

enum mg_err
mg_spawn(const char *path, char *const argv[], char *const envp[],
    const struct mg_spawn_fd *fds, size_t nfds, struct mg_child *childp)
{
	return start(path, argv, envp, fds, nfds, 0, childp);
}

enum mg_err
mg_spawn_session(const char *path, char *const argv[], char *const envp[],
    const struct mg_spawn_fd *fds, size_t nfds, struct mg_child *childp)
{
	return start(path, argv, envp, fds, nfds, POSIX_SPAWN_SETSID, childp);
}

int
mg_spawn_reap(struct mg_child *child)
{
	int status = 0;
	pid_t pid;

	if (child->pid == -1)
		return LOST;
	do
		pid = waitpid(child->pid, &status, WNOHANG);
	while (pid == -1 && errno == EINTR);
	if (pid == 0)
		return -1;
	if (child->pidfd != -1)
		close(child->pidfd);
	child->pid = -1;
	child->pidfd = -1;
	return pid == -1 ? LOST : status;
}

enum mg_err
mg_spawn_socketpair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0)
		return MG_ERR_OK;
	fds[0] = fds[1] = -1;
	return MG_ERR_SYS;
}
