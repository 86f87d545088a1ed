/* SPDX-License-Identifier: ISC */
#ifndef MG_PROC_H
#define MG_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mg_err.h"

/* Who a process is, in the kernel's own words. */

#define MG_PROC_UNSET UINT32_MAX /* no login uid, no audit session */

struct mg_peer {
	pid_t pid;
	uid_t uid; /* effective, when it connected */
	gid_t gid;
	uint32_t loginuid; /* MG_PROC_UNSET: none */
	uint32_t session;  /* audit session */
	uint64_t start;	   /* start time in ticks; with pid, names a process */
	char tty[32];	   /* controlling terminal, "pts/3"; "" for none */
};

/*
 * Fills peer for the process at the other end of a connected UNIX socket.
 * Fails (MG_ERR_SYS, MG_ERR_CLOSED when the process is gone) rather than
 * guess: the process must still be the one that connected after everything
 * was read. *pidfdp (may be NULL) gets a descriptor for it.
 */
enum mg_err mg_proc_peer(
    int sock, struct mg_peer *peer, int *pidfdp) MG_MUST_CHECK;

/* The boot's identity, /proc/sys/kernel/random/boot_id (37 bytes). */
enum mg_err mg_proc_boot_id(char out[37]) MG_MUST_CHECK;

/*
 * Gives this process a login uid and with it a fresh audit session; it
 * needs CAP_AUDIT_CONTROL unless none was set. *sessionp gets the session.
 */
enum mg_err mg_proc_set_loginuid(uid_t uid, uint32_t *sessionp) MG_MUST_CHECK;

/*
 * Whether the process, or one that it comes from in the same audit session,
 * has the login uid as its real uid. That of a setuid program does, when who
 * logged in has started it; not when a process did that has given itself the
 * login uid (and with it a fresh session). No: also when it is gone.
 */
bool mg_proc_is_of_login(const struct mg_peer *peer);

/* Whether any process is in that audit session. When /proc cannot be read
 * the answer is yes. */
bool mg_proc_has_session(uint32_t session);

/*
 * A descriptor for the process pid that began at start (mg_peer); it tells
 * when that ends. MG_ERR_NOENT: it has. On failure *fdp is -1.
 */
enum mg_err mg_proc_open(pid_t pid, uint64_t start, int *fdp) MG_MUST_CHECK;

/* Small numeric file below /proc/PID; MG_ERR_NOENT, MG_ERR_FORMAT. */
enum mg_err mg_proc_number(
    pid_t pid, const char *file, uint32_t *vp) MG_MUST_CHECK;

#endif
