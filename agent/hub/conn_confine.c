/* SPDX-License-Identifier: ISC */
/*
 * What a connection process may ask of the kernel once the peer can talk to
 * it: read and write what it has open, get memory, tell the time, end.
 *
 * Rules
 * 1. No file, no program, no other process, no connection: who takes over
 *    libssh in here holds one channel to the hub and one ssh connection.
 *    It runs as the hub's user, so without this the journal would be his.
 * 2. Memory, processor and descriptors have limits.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "conn_io.h"
#include "mg_confine.h"
#include "mg_filter.h"

#define MEMORY_MAX ((rlim_t)256 << 20)
#define FILES_MAX 16

static bool
fail(char *why, size_t size, const char *what, int err)
{
	snprintf(why, size, "%s: %s", what, strerror(err));
	return false;
}

static bool
set_limit(int resource, rlim_t n)
{
	struct rlimit lim = {n, n};

	return setrlimit((__rlimit_resource_t)resource, &lim) == 0;
}

/* Rule 2 */
static bool
limit(char *why, size_t size)
{
	if (!set_limit(RLIMIT_CORE, 0) || !set_limit(RLIMIT_FSIZE, 0) ||
	    !set_limit(RLIMIT_NPROC, 0) || !set_limit(RLIMIT_NOFILE, FILES_MAX))
		return fail(why, size, "cannot set limits", errno);
	if (!MG_CONFINE_SANITIZED && !set_limit(RLIMIT_AS, MEMORY_MAX))
		return fail(why, size, "cannot limit memory", errno);
	return true;
}

bool
conn_confine(char *why, size_t why_size)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return fail(why, why_size, "cannot give up privileges", errno);
	if (!limit(why, why_size))
		return false;
	return mg_filter_only(0, why, why_size) == MG_ERR_OK; /* Rule 1 */
}
