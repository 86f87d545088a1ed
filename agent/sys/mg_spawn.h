/* SPDX-License-Identifier: ISC */
#ifndef MG_SPAWN_H
#define MG_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

#include "mg_err.h"

/* Starting children: fork and exec, named descriptors only. */

#define MG_SPAWN_FDS_MAX 16

struct mg_spawn_fd {
	int fd;	    /* ours */
	int target; /* the child's, 0 to MG_SPAWN_FDS_MAX - 1 */
};

/* A child: its process and a descriptor that becomes readable at its end. */
struct mg_child {
	pid_t pid;
	int pidfd;
};

/*
 * Starts path with argv and envp. Descriptors 0 to 2 are /dev/null unless
 * fds names them; everything that fds does not name is closed. Signals are
 * reset to default and unblocked. MG_ERR_SYS with errno.
 */
enum mg_err mg_spawn(const char *path, char *const argv[], char *const envp[],
    const struct mg_spawn_fd *fds, size_t nfds,
    struct mg_child *childp) MG_MUST_CHECK;

/*
 * As mg_spawn(), as the leader of its own session and process group: what
 * it starts can be ended with it by kill(-pid).
 */
enum mg_err mg_spawn_session(const char *path, char *const argv[],
    char *const envp[], const struct mg_spawn_fd *fds, size_t nfds,
    struct mg_child *childp) MG_MUST_CHECK;

/*
 * Collects a child that has ended and closes its pidfd. Returns the wait
 * status as waitpid(2) gives it, or -1 when it has not ended yet. One that
 * cannot be waited for reads as exit status 255.
 */
int mg_spawn_reap(struct mg_child *child);

/*
 * A pair of connected, close-on-exec stream sockets. fds[0] is meant to be
 * kept, fds[1] to be given to a child.
 */
enum mg_err mg_spawn_socketpair(int fds[2]) MG_MUST_CHECK;

#endif
