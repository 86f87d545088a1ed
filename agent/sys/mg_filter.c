/* SPDX-License-Identifier: ISC */
/*
 * seccomp filters and Landlock domains.
 *
 * Rules
 * 1. What is not listed is forbidden: a process that was taken over has what
 *    it holds and the calls that its job takes, no file, no program, no
 *    other process, no connection.
 * 2. What only an attacker asks for ends the process: the kernel puts that
 *    in the audit log (type SECCOMP), so that it cannot be tried in silence.
 * 3. No memory that is written and run; code is mapped from files only
 *    where name service modules need it.
 * 4. seccomp is required; Landlock is used where the kernel has it (5.13):
 *    the second lock on the same door. It covers what filters cannot look
 *    into: the flags of openat2(), paths, signals to other processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mg_confine.h"
#include "mg_filter.h"

#define NEW_NAMESPACES                                                         \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |           \
	    CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)

/* clang-format off */
static const int base[] = {
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
	SCMP_SYS(sendmsg), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(close),
	SCMP_SYS(shutdown), SCMP_SYS(fcntl), SCMP_SYS(fstat),
	SCMP_SYS(lseek), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getrandom),
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(readlink), /* libaudit: /proc/self/exe */
};

static const int spawning[] = {
	SCMP_SYS(set_tid_address), SCMP_SYS(wait4), SCMP_SYS(waitid),
	SCMP_SYS(setitimer),
};

static const int threads[] = {
	SCMP_SYS(set_tid_address), SCMP_SYS(sched_getaffinity),
};

static const int reading[] = {
	SCMP_SYS(openat2), SCMP_SYS(newfstatat), SCMP_SYS(stat),
	SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(fstatfs),
	SCMP_SYS(statfs), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64), SCMP_SYS(pread64), SCMP_SYS(fadvise64),
	SCMP_SYS(readahead), SCMP_SYS(getcwd), SCMP_SYS(dup),
	SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(prlimit64),
};

static const int writing[] = {
	SCMP_SYS(copy_file_range), SCMP_SYS(mkdirat), SCMP_SYS(fchmod),
	SCMP_SYS(chmod), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(syncfs), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rmdir), SCMP_SYS(fchdir), SCMP_SYS(ftruncate),
};

static const int connecting[] = {
	SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect),
	SCMP_SYS(bind), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(ioctl), SCMP_SYS(uname), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(eventfd2), SCMP_SYS(pipe2),
};

static const int starting[] = {
	SCMP_SYS(execve), SCMP_SYS(vfork), SCMP_SYS(wait4), SCMP_SYS(waitid),
	SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(dup2),
	SCMP_SYS(dup3), SCMP_SYS(pipe2), SCMP_SYS(close_range),
	SCMP_SYS(memfd_create), SCMP_SYS(arch_prctl),
	SCMP_SYS(set_tid_address), SCMP_SYS(prlimit64), SCMP_SYS(ioctl),
	SCMP_SYS(setsid), SCMP_SYS(uname), SCMP_SYS(prctl), SCMP_SYS(umask),
};

/* Rule 2: what concerns the kernel and other processes' memory. */
static const int hostile[] = {
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp), SCMP_SYS(mount),
	SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen),
	SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(unshare),
	SCMP_SYS(setns), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
	SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon),
	SCMP_SYS(swapoff), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(acct),
	SCMP_SYS(quotactl), SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(fanotify_init),
	SCMP_SYS(lookup_dcookie), SCMP_SYS(vhangup), SCMP_SYS(personality),
};

/* Rule 2, where no program is started. */
static const int programs[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(kill),
	SCMP_SYS(tkill), SCMP_SYS(pidfd_send_signal), SCMP_SYS(setuid),
	SCMP_SYS(setgid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),
	SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setgroups),
	SCMP_SYS(capset), SCMP_SYS(add_key), SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
};
/* clang-format on */

#define N(a) (sizeof(a) / sizeof((a)[0]))

static enum mg_err
fail(char *why, size_t size, const char *what, int err)
{
	snprintf(why, size, "%s: %s", what, strerror(err));
	return MG_ERR_SYS;
}

/* ---- Landlock ---- */

#define READ_RIGHTS                                                            \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |           \
	    LANDLOCK_ACCESS_FS_READ_DIR)

/* The fields of newer kernels than our headers know. */
struct ruleset {
	uint64_t fs, net, scoped;
};

#define NET_BIND 1
#define NET_CONNECT 2
#define SCOPE_ABSTRACT 1
#define SCOPE_SIGNAL 2

static void
let_write(int ruleset, const char *path)
{
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE};

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return;
	(void)syscall(SYS_landlock_add_rule, ruleset,
	    LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* Rule 4: every right that the kernel knows and that is not allowed. */
static void
landlock(unsigned allow)
{
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
		return;
	if (abi > max)
		abi = max;
	r.fs = all[abi].fs;
	r.net = all[abi].net;
	r.scoped = all[abi].scoped;
	if ((allow & (MG_ALLOW_READ | MG_ALLOW_EXEC)) != 0)
		r.fs &= ~(uint64_t)READ_RIGHTS;
	if ((allow & MG_ALLOW_WRITE) != 0)
		r.fs = 0;
	if ((allow & MG_ALLOW_CONNECT) != 0) {
		r.net &= ~(uint64_t)NET_CONNECT;
		r.scoped &= ~(uint64_t)SCOPE_ABSTRACT;
	}
	fd = syscall(SYS_landlock_create_ruleset, &r, all[abi].size, 0);
	if (fd == -1)
		return;
	if ((allow & MG_ALLOW_EXEC) != 0)
		let_write((int)fd, "/dev/null");
	(void)syscall(SYS_landlock_restrict_self, (int)fd, 0);
	close((int)fd);
}

/* ---- seccomp ---- */

static bool
add(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (seccomp_rule_add(ctx, action, calls[i], 0) != 0)
			return false;
	return true;
}

/* Rule 3 */
static bool
allow_memory(scmp_filter_ctx ctx, bool may_load)
{
	const uint32_t ok = SCMP_ACT_ALLOW;

	if (!may_load)
		return seccomp_rule_add(ctx, ok, SCMP_SYS(mmap), 1,
			   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
		       seccomp_rule_add(ctx, ok, SCMP_SYS(mprotect), 1,
			   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
	return seccomp_rule_add(ctx, ok, SCMP_SYS(mmap), 1,
		   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE,
		       PROT_EXEC)) == 0 &&
	       seccomp_rule_add(ctx, ok, SCMP_SYS(mmap), 1,
		   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
	       seccomp_rule_add(ctx, ok, SCMP_SYS(mprotect), 1,
		   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
}

/*
 * Only to read: no access mode but that, nothing made, nothing cut. Who
 * starts programs opens /dev/null for them, and Landlock keeps it to that.
 */
static bool
allow_opening(scmp_filter_ctx ctx, bool starts, bool writes)
{
	const scmp_datum_t mask = writes   ? 0
				  : starts ? O_CREAT | O_TRUNC
					   : O_ACCMODE | O_CREAT | O_TRUNC;

	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
		   SCMP_A2(SCMP_CMP_MASKED_EQ, mask, O_RDONLY)) == 0 &&
	       seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
		   SCMP_A1(SCMP_CMP_MASKED_EQ, mask, O_RDONLY)) == 0 &&
	       add(ctx, SCMP_ACT_ALLOW, reading, N(reading));
}

/* clone3() hides its flags in memory: libc falls back to clone(). */
static bool
allow_clone(scmp_filter_ctx ctx, unsigned allow)
{
	scmp_datum_t mask = NEW_NAMESPACES, want = 0;

	if ((allow & (MG_ALLOW_FORK | MG_ALLOW_EXEC)) == 0) {
		mask |= CLONE_THREAD; /* threads and no processes */
		want |= CLONE_THREAD;
	}
	return seccomp_rule_add(
		   ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
	       seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		   SCMP_A0(SCMP_CMP_MASKED_EQ, mask, want)) == 0;
}

/* A signal to oneself is how abort() ends. */
static bool
allow_own_signal(scmp_filter_ctx ctx)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		   SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX,
		       (scmp_datum_t)getpid())) == 0;
}

static bool
allow_calls(scmp_filter_ctx ctx, unsigned allow)
{
	const uint32_t ok = SCMP_ACT_ALLOW, end = SCMP_ACT_KILL_PROCESS;
	const unsigned makes = MG_ALLOW_FORK | MG_ALLOW_THREADS | MG_ALLOW_EXEC;
	bool starts = (allow & MG_ALLOW_EXEC) != 0;
	bool writes = (allow & MG_ALLOW_WRITE) != 0;
	bool r;

	r = add(ctx, ok, base, N(base)) && allow_own_signal(ctx) &&
	    allow_memory(ctx, (allow & MG_ALLOW_LOAD) != 0) &&
	    add(ctx, end, hostile, N(hostile)); /* Rule 2 */
	if ((allow & makes) != 0)
		r = r && allow_clone(ctx, allow);
	if ((allow & MG_ALLOW_FORK) != 0)
		r = r && add(ctx, ok, spawning, N(spawning));
	if ((allow & MG_ALLOW_THREADS) != 0)
		r = r && add(ctx, ok, threads, N(threads));
	if ((allow & (MG_ALLOW_READ | MG_ALLOW_EXEC)) != 0)
		r = r && allow_opening(ctx, starts, writes);
	if ((allow & MG_ALLOW_CONNECT) != 0)
		r = r && add(ctx, ok, connecting, N(connecting));
	if ((allow & MG_ALLOW_WRITE) != 0)
		r = r && add(ctx, ok, writing, N(writing));
	return r && (starts ? add(ctx, ok, starting, N(starting))
			    : add(ctx, end, programs, N(programs)));
}

static enum mg_err
load(scmp_filter_ctx ctx, bool ok, char *why, size_t size)
{
	int err = ok ? seccomp_load(ctx) : -EINVAL;

	seccomp_release(ctx);
	return err == 0 ? MG_ERR_OK
			: fail(why, size, "cannot load the filter", -err);
}

enum mg_err
mg_filter_only(unsigned allow, char *why, size_t why_size)
{
	scmp_filter_ctx ctx;

	if (MG_CONFINE_SANITIZED)
		return MG_ERR_OK;
	landlock(allow);
	if ((ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))) == NULL)
		return fail(why, why_size, "cannot make a filter", ENOMEM);
	return load(ctx, allow_calls(ctx, allow), why, why_size); /* Rule 1 */
}

enum mg_err
mg_filter_never(bool no_new_privs, char *why, size_t why_size)
{
	scmp_filter_ctx ctx;
	bool ok;

	if (MG_CONFINE_SANITIZED)
		return MG_ERR_OK;
	if ((ctx = seccomp_init(SCMP_ACT_ALLOW)) == NULL)
		return fail(why, why_size, "cannot make a filter", ENOMEM);
	ok = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, no_new_privs) == 0 &&
	     add(ctx, SCMP_ACT_ERRNO(EPERM), hostile, N(hostile)) &&
	     seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
		 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)) ==
		 0 &&
	     seccomp_rule_add(
		 ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
	return load(ctx, ok, why, why_size);
}
