/* SPDX-License-Identifier: ISC */
#ifndef MG_FILTER_H
#define MG_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "mg_err.h"

/*
 * What a process may still ask of the kernel once it is set up: a seccomp
 * filter and, where the kernel has it, a Landlock domain. Both for good,
 * and for everything that the process starts.
 */

/*
 * Always allowed: reading and writing what is open, descriptors that come
 * and go over it, memory (none that can be written and run), the time,
 * random numbers, signal handling of its own, its own end. On top of that:
 */
enum mg_filter_allow {
	MG_ALLOW_FORK = 1 << 0,	   /* children, without namespaces of theirs */
	MG_ALLOW_THREADS = 1 << 1, /* threads */
	MG_ALLOW_READ = 1 << 2,	   /* open files to read; look at folders */
	MG_ALLOW_LOAD = 1 << 3,	   /* map code from files (NSS modules) */
	MG_ALLOW_CONNECT = 1 << 4, /* sockets of its own, outbound */
	MG_ALLOW_EXEC = 1 << 5,	   /* start programs, wait for them, end them */
	MG_ALLOW_WRITE = 1 << 6,   /* make, write and remove files: where, is
				    * for mg_confine_root() to say */
};

/*
 * Forbids everything else. A call that no honest code path makes (exec,
 * ptrace, kill, mount, ...) ends the process, which the kernel records in
 * the audit log; any other fails with EPERM. Needs no-new-privileges. In
 * builds with sanitizers, which look around in /proc, it does nothing.
 * MG_ERR_SYS with why.
 */
enum mg_err mg_filter_only(
    unsigned allow, char *why, size_t why_size) MG_MUST_CHECK;

/*
 * For processes that run other people's code (scripts, PAM modules): only
 * forbids, with EPERM, what concerns the kernel, other processes' memory,
 * mounts and namespaces. Loads without no-new-privileges when the process
 * has CAP_SYS_ADMIN.
 */
enum mg_err mg_filter_never(
    bool no_new_privs, char *why, size_t why_size) MG_MUST_CHECK;

#endif
