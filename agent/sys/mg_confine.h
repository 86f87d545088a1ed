/* SPDX-License-Identifier: ISC */
#ifndef MG_CONFINE_H
#define MG_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * Giving up root, or most of it: the first thing that a process of modelgate
 * does after it was started by one that has it.
 */

/* A limit that is left as it was inherited. */
#define MG_CONFINE_INHERIT UINT64_MAX

/*
 * Sanitizers reserve terabytes of address space and start a thread at the
 * end: in their builds these two limits are left as they were.
 */
#if defined(__SANITIZE_ADDRESS__)
#define MG_CONFINE_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MG_CONFINE_SANITIZED true
#endif
#endif
#ifndef MG_CONFINE_SANITIZED
#define MG_CONFINE_SANITIZED false
#endif

/*
 * What the process may use from now on; a forgotten field is 0, which
 * means none. No core is ever written.
 */
struct mg_confine_limits {
	uint64_t cpu_s;	      /* processor time; then SIGKILL */
	uint64_t as_bytes;    /* address space */
	uint64_t fsize_bytes; /* size of a file it writes, memfds too */
	uint64_t nofile;      /* descriptors */
	uint64_t nproc;	      /* processes and threads of the user, in all */
};

/*
 * Becomes the system user name for good: all user and group ids, no
 * supplementary groups, no capabilities, nothing to be gained by exec, not
 * traceable, killed when its parent ends, umask 077, folder "/", and the
 * limits. The user is looked up in /etc/passwd alone, and may be neither
 * uid nor gid 0.
 *
 * On failure the process may hold any part of its privileges: it must
 * exit. why says what failed. MG_ERR_PERM when not started as root,
 * MG_ERR_NOENT when there is no such user, MG_ERR_SYS.
 */
enum mg_err mg_confine_user(const char *name,
    const struct mg_confine_limits *limits, char *why,
    size_t why_size) MG_MUST_CHECK;

/*
 * Stays uid 0, which root's own files belong to, and gives up everything
 * else: no capabilities, nothing to be gained by exec, not traceable,
 * killed when its parent ends, umask 077, folder "/", the limits; and,
 * where the kernel has Landlock, no file but what is below read_fd (to
 * read; -1: nothing) and write_fd (to read, make, write and remove).
 * Errors as above.
 */
enum mg_err mg_confine_root(const struct mg_confine_limits *limits, int read_fd,
    int write_fd, char *why, size_t why_size) MG_MUST_CHECK;

/* Capability c as a bit of a set; MG_CAPS_ALL: whatever is held now. */
#define MG_CAP(c) (UINT64_C(1) << (c))
#define MG_CAPS_ALL UINT64_MAX

/* What is left to a process that stays root with some capabilities. */
struct mg_confine_caps {
	uint64_t effective; /* to use: what is held of these */
	uint64_t permitted; /* to hold, and with no-new-privileges to pass
			     * on to what it starts; of effective at least */
	uint64_t bounding;  /* to gain by exec, at most */
	bool no_new_privs;
	bool ends_with_parent;
	const struct mg_confine_limits *limits; /* NULL: as inherited */
};

/*
 * Keeps no more than how says, writes no core, is not traceable. On
 * failure the process may hold any part of its privileges: it must exit.
 * MG_ERR_SYS; why says what failed.
 */
enum mg_err mg_confine_caps(const struct mg_confine_caps *how, char *why,
    size_t why_size) MG_MUST_CHECK;

#endif
