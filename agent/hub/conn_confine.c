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
 * 3. seccomp is required; Landlock is used where the kernel has it (5.13),
 *    behind seccomp it is the second lock on the same door.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conn_io.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

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
	if (!HAS_SANITIZER && !set_limit(RLIMIT_AS, MEMORY_MAX))
		return fail(why, size, "cannot limit memory", errno);
	return true;
}

/* The fields of newer kernels than our headers know. */
struct ruleset {
	uint64_t fs, net, scoped;
};

static void
landlock(void)
{
	/* Everything that an ABI version knows; nothing is then allowed. */
	static const struct {
		uint64_t fs, net, scoped;
		size_t size;
	} all[] = {
	    {0, 0, 0, 0},
	    {(1 << 13) - 1, 0, 0, 8},
	    {(1 << 14) - 1, 0, 0, 8},
	    {(1 << 15) - 1, 0, 0, 8},
	    {(1 << 15) - 1, 3, 0, 16},
	    {(1 << 16) - 1, 3, 0, 16},
	    {(1 << 16) - 1, 3, 3, 24},
	};
	const long max = (long)(sizeof(all) / sizeof(all[0])) - 1;
	struct ruleset r;
	long abi, fd;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return; /* Rule 3 */
	if (abi > max)
		abi = max;
	r.fs = all[abi].fs;
	r.net = all[abi].net;
	r.scoped = all[abi].scoped;
	fd = syscall(SYS_landlock_create_ruleset, &r, all[abi].size, 0);
	if (fd == -1)
		return;
	(void)syscall(SYS_landlock_restrict_self, (int)fd, 0);
	close((int)fd);
}

static bool
allow_calls(scmp_filter_ctx ctx)
{
	static const int calls[] = {SCMP_SYS(read), SCMP_SYS(readv),
	    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(recv),
	    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(send),
	    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(poll),
	    SCMP_SYS(ppoll), SCMP_SYS(close), SCMP_SYS(shutdown),
	    SCMP_SYS(fcntl), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getrandom),
	    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap),
	    SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
	    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getpid),
	    SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(rt_sigprocmask),
	    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),
	    SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
	    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0) != 0)
			return false;
	/* Memory, but none that runs. */
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
	       seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
}

/* Rule 1 */
static bool
filter(char *why, size_t size)
{
	scmp_filter_ctx ctx;
	bool ok;
	int err;

	/* Sanitizers look into /proc and more when they report. */
	if (HAS_SANITIZER)
		return true;
	if ((ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))) == NULL)
		return fail(why, size, "cannot make a filter", ENOMEM);
	ok = allow_calls(ctx);
	err = ok ? seccomp_load(ctx) : -EINVAL;
	seccomp_release(ctx);
	if (err != 0)
		return fail(why, size, "cannot load the filter", -err);
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
	landlock();
	return filter(why, why_size);
}
