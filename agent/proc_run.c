/* SPDX-License-Identifier: ISC */
/*
 * mg-run: one execution of an approved command.
 *
 * Runs as: root, then the command as its target user
 * Holds: the command's pty or descriptors, its cgroup
 * Accepts: what to run from the monitor; signals
 * Sends: started, stopped, exited, empty
 * If it dies: the monitor ends the run's processes by cgroup and audit session
 *
 * Rules
 * 1. Nothing of this process reaches the command but what the spec names:
 *    descriptors, environment, signals, limits, groups, keys.
 * 2. A terminal that the caller passed never becomes the command's: input
 *    could be pushed into it (TIOCSTI). The command gets its own pty.
 * 3. Ids are dropped in the order groups, gid, uid, each checked, then read
 *    back; any failure ends the child before exec.
 * 4. This process is the session's leader and the subreaper of the run, so
 *    that whatever the command leaves behind comes back here.
 * 5. It may use what its own work takes (another user, signals, the
 *    terminal, the login uid); the command gets what its user gets at a
 *    login, no filter and no bound of ours.
 * 6. The child is forked while the run is being recorded, but drops its
 *    privileges and goes on only when the monitor, who alone has the other
 *    end of its pipe, says so: until then it is root's, out of reach of the
 *    target user. When that end closes instead, it ends.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "mg_bag.h"
#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_log.h"
#include "mg_proc.h"
#include "mg_time.h"

#define CHANNEL_FD 3
#define SWEEP_GROUP_FD 4
#define QUEUE_MAX 65536
#define GIDS_MAX 16384
#define SWEEP_MS 10000
#define AGAIN_MS 20	    /* what a killed group needs at most */
#define COMMAND_NOFILE 1024 /* what login gives; the monitor has more */

struct run {
	struct mg_chan *ch;
	int sigfd;
	int master, slave;
	int fds[3]; /* what becomes the command's 0-2 */
	int group;  /* folder of the run's cgroup, -1: none */
	uint32_t ses;
	gid_t gids[GIDS_MAX];
	size_t ngids;
	pid_t pid;   /* the command; 0: not forked, -1: collected */
	int go[2];   /* one byte starts the command; Rule 6 */
	int exec_fd; /* errno of a failed exec, or closed by it; -1: heard */
	bool started, reported, killing;
	uint32_t killed;
	int64_t kill_us;
	struct mg_run_spec spec;
	struct mg_frame frame; /* spec points into it */
	char *argv[49], *envp[33];
	char *text; /* copies of everything spec points at */
};

static int64_t
now_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
must_send(struct run *run, enum mg_msg_op op, const void *msg)
{
	if (mg_chan_send(run->ch, 1, op, msg) != MG_ERR_OK)
		mg_log(
		    MG_EVT_DEBUG, "op=%s err='cannot send'", mg_msg_name(op));
}

/* ---- the processes of the run ---- */

static bool
is_number(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < '0' || *s > '9')
			return false;
	return true;
}

static pid_t
to_pid(const char *s)
{
	long v = strtol(s, NULL, 10);

	return v > 0 && v <= INT_MAX ? (pid_t)v : 0;
}

static pid_t
parent_of(pid_t pid)
{
	char path[64], text[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* "pid (name) state ppid": the name may hold anything but the last
	 * parenthesis. */
	if ((p = strrchr(text, ')')) == NULL || strlen(p) < 5)
		return 0;
	return to_pid(p + 4);
}

/*
 * Whether processes of the run are left. This process is the subreaper, so
 * each of them has a line of parents that ends here: no child, no run.
 */
static bool
has_children(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0 ||
	       errno != ECHILD;
}

/* Whether pid is in the audit session, or came from this process, which it
 * cannot have when that has no children. */
static bool
is_ours(pid_t pid, uint32_t ses, pid_t self, bool childless)
{
	uint32_t v;
	int depth;

	if (pid == self)
		return false;
	if (ses != MG_PROC_UNSET &&
	    mg_proc_number(pid, "sessionid", &v) == MG_ERR_OK && v == ses)
		return true;
	for (depth = 0; !childless && depth < 64 && pid > 1; depth++) {
		if ((pid = parent_of(pid)) == self)
			return true;
	}
	return false;
}

/* Calls kill(2) on every process that is ours; returns how many there are. */
static uint32_t
signal_all(uint32_t ses, int signo)
{
	bool childless = !has_children();
	pid_t self = getpid(), pid;
	struct dirent *de;
	uint32_t n = 0;
	DIR *d;

	if ((d = opendir("/proc")) == NULL)
		return UINT32_MAX;
	while ((de = readdir(d)) != NULL) {
		if (!is_number(de->d_name) || (pid = to_pid(de->d_name)) == 0 ||
		    !is_ours(pid, ses, self, childless))
			continue;
		n++;
		if (signo != 0)
			(void)kill(pid, signo);
	}
	closedir(d);
	return n;
}

/* ---- sweep: end what an mg-run that died has left ---- */

static bool
group_is_empty(void)
{
	char text[256];
	ssize_t n;
	int fd;

	fd = openat(SWEEP_GROUP_FD, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return true;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, "populated 0") != NULL;
}

static void
kill_group(void)
{
	int fd;

	fd = openat(SWEEP_GROUP_FD, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	if (write(fd, "1", 1) != 1)
		mg_log(MG_EVT_ERROR, "err='cannot kill the group'");
	close(fd);
}

static int
sweep(const char *arg)
{
	struct timespec pause = {.tv_sec = 0, .tv_nsec = 1000000};
	int64_t end = mg_time_boot_ms() + SWEEP_MS;
	uint32_t ses = MG_PROC_UNSET;

	if (is_number(arg) && arg[0] != '\0')
		ses = (uint32_t)strtoul(arg, NULL, 10);
	do {
		kill_group();
		if ((ses == MG_PROC_UNSET || signal_all(ses, SIGKILL) == 0) &&
		    group_is_empty())
			return 0;
		(void)nanosleep(&pause, NULL); /* /proc has no event for this */
	} while (mg_time_boot_ms() < end);
	return 1;
}

/* ---- the pty ---- */

static bool
open_pty(struct run *run)
{
	struct winsize ws = {
	    .ws_row = run->spec.rows, .ws_col = run->spec.cols};
	char name[64];

	run->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->master == -1 || unlockpt(run->master) != 0 ||
	    ptsname_r(run->master, name, sizeof(name)) != 0)
		return false;
	run->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->slave == -1)
		return false;
	if (fchown(run->slave, run->spec.uid, (gid_t)-1) != 0 ||
	    fchmod(run->slave, 0600) != 0)
		return false;
	if (ws.ws_row != 0 && ioctl(run->slave, TIOCSWINSZ, &ws) != 0)
		return false;
	return ioctl(run->slave, TIOCSCTTY, 0) == 0;
}

/* ---- the child ---- */

static void
child_fail(int out, int err)
{
	ssize_t n = write(out, &err, sizeof(err));

	_exit(n == (ssize_t)sizeof(err) ? 127 : 126);
}

/* Rule 3 */
static bool
drop_ids(const struct run *run)
{
	uid_t u[3], uid = run->spec.uid;
	gid_t g[3], gid = run->spec.gid;

	if (setgroups(run->ngids, run->gids) != 0 ||
	    setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return false;
	if (getresuid(&u[0], &u[1], &u[2]) != 0 ||
	    getresgid(&g[0], &g[1], &g[2]) != 0)
		return false;
	return u[0] == uid && u[1] == uid && u[2] == uid && g[0] == gid &&
	       g[1] == gid && g[2] == gid && (uid == 0 || setuid(0) == -1);
}

static bool
place_fds(const struct run *run)
{
	int high[3], i;

	/* First out of the way, then in place: one may be another's target. */
	for (i = 0; i < 3; i++)
		if ((high[i] = fcntl(run->fds[i], F_DUPFD_CLOEXEC, 16)) == -1)
			return false;
	for (i = 0; i < 3; i++)
		if (dup2(high[i], i) == -1)
			return false;
	return true;
}

static void
reset_signals(void)
{
	struct sigaction sa;
	sigset_t none;
	int sig;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Rule 1: what the monitor has for itself is not the command's. */
static void
reset_limits(void)
{
	struct rlimit rl;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 &&
	    rl.rlim_cur > COMMAND_NOFILE) {
		rl.rlim_cur = COMMAND_NOFILE;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd != -1 && write(fd, "0", 1) != 1)
		mg_log(MG_EVT_DEBUG, "err='oom_score_adj'");
}

/* Rule 6 */
static void
await_go(struct run *run)
{
	char c;
	ssize_t n;

	/* Nobody but the monitor may hold the other end. */
	mg_chan_free(run->ch);
	close(run->go[1]);
	do
		n = read(run->go[0], &c, 1);
	while (n == -1 && errno == EINTR);
	if (n != 1)
		_exit(126);
}

static void
child(struct run *run, int out)
{
	/* A job of its own in the session: it can be stopped and continued,
	 * and Ctrl-C reaches it and not its leader. */
	if (setpgid(0, 0) != 0)
		child_fail(out, errno);
	if (run->slave != -1) {
		(void)signal(SIGTTOU, SIG_IGN);
		if (tcsetpgrp(run->slave, getpid()) != 0)
			child_fail(out, errno);
	}
	reset_limits();
	(void)umask(022);
	reset_signals();
	await_go(run);
	if (!place_fds(run))
		child_fail(out, errno);
	if (!drop_ids(run))
		child_fail(out, errno != 0 ? errno : EPERM);
	if (chdir(run->spec.cwd) != 0)
		child_fail(out, errno);
	/* Rule 1: all above 2 are close-on-exec; out is too. */
	execve(run->argv[0], run->argv, run->envp);
	child_fail(out, errno);
}

/* ---- preparing ---- */

static uint32_t
be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) |
	       ((uint32_t)p[2] << 8) | p[3];
}

/* Copies s to *pp and moves that behind it. */
static char *
put_copy(char **pp, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = *pp;

	memcpy(p, s, n);
	*pp += n;
	return p;
}

/* The frame's bytes are gone with the next message: keep copies. */
static bool
keep_spec(struct run *run)
{
	struct mg_run_spec *s = &run->spec;
	size_t i, total = 0;
	char *p;

	for (i = 0; i < s->argv_n; i++)
		total += strlen(s->argv[i]) + 1;
	for (i = 0; i < s->env_n; i++)
		total += strlen(s->env[i]) + 1;
	total += strlen(s->cwd) + 1;
	if ((run->text = p = malloc(total)) == NULL)
		return false;
	for (i = 0; i < s->argv_n; i++)
		run->argv[i] = put_copy(&p, s->argv[i]);
	for (i = 0; i < s->env_n; i++)
		run->envp[i] = put_copy(&p, s->env[i]);
	s->cwd = put_copy(&p, s->cwd);
	run->ngids = s->gids_len / 4;
	if (s->gids_len % 4 != 0 || run->ngids > GIDS_MAX)
		return false;
	for (i = 0; i < run->ngids; i++)
		run->gids[i] = be32(s->gids + 4 * i);
	return s->argv_n > 0 && s->argv[0][0] == '/';
}

/* The caller's descriptors, for those that are to be no terminal; Rule 2. */
static const char *
unpack_fds(struct run *run, int bag)
{
	enum mg_err r = mg_bag_unpack(bag, run->fds, 3);
	size_t i;

	close(bag);
	errno = EINVAL;
	if (r != MG_ERR_OK)
		return "a run comes with three descriptors";
	for (i = 0; i < 3; i++) {
		if ((run->spec.tty_mask & (1 << i)) != 0) {
			close(run->fds[i]);
			run->fds[i] = -1;
		} else if (isatty(run->fds[i])) {
			errno = EINVAL;
			return "a terminal was passed as a descriptor";
		}
	}
	return NULL;
}

/* Sorts what came along. */
static const char *
take_fds(struct run *run)
{
	struct mg_frame *f = &run->frame;
	const char *why;
	size_t next = 0;
	int bag;

	if (run->spec.tty_mask != MG_RUN_ALL_TTY) {
		if ((bag = mg_frame_take_fd(run->ch, f, next++)) == -1)
			return "a descriptor is missing";
		if ((why = unpack_fds(run, bag)) != NULL)
			return why;
	}
	if (run->spec.has_cgroup)
		run->group = mg_frame_take_fd(run->ch, f, next++);
	return next == f->nfds ? NULL : "unexpected descriptors";
}

/*
 * Rule 1: whoever has a session's keyring may read and write the keys in it,
 * whatever its uid is. That of the monitor would be common to all runs, and
 * without one all runs of a user would have that user's. Where the kernel has
 * no keys, or a container forbids the call, the command has none either.
 */
static bool
begin_keyring(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) != -1 ||
	       errno == ENOSYS || errno == EPERM;
}

static const char *
prepare(struct run *run)
{
	const char *why;
	size_t i;

	if (!keep_spec(run))
		return "the command is not usable";
	if ((why = take_fds(run)) != NULL)
		return why;
	if (setsid() == -1) /* Rule 4 */
		return "cannot begin a session";
	if (!begin_keyring())
		return "cannot begin a session's keyring";
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return "cannot become the subreaper";
	if (mg_proc_set_loginuid(run->spec.loginuid, &run->ses) != MG_ERR_OK)
		return "cannot set the login uid";
	if (run->spec.tty_mask != 0 && !open_pty(run))
		return "cannot open a terminal";
	if (pipe2(run->go, O_CLOEXEC) != 0)
		return "cannot make a pipe";
	for (i = 0; i < 3; i++)
		if ((run->spec.tty_mask & (1 << i)) != 0)
			run->fds[i] = run->slave;
	return NULL;
}

static void
report_ready(struct run *run, const char *why, int err)
{
	struct mg_run_ready msg = {.ses = run->ses,
	    .has_pty = run->master != -1,
	    .error = why == NULL ? 0 : (uint32_t)(err != 0 ? err : EINVAL),
	    .text = why == NULL ? "" : why};
	int fds[2];
	size_t n = 0;

	if (why != NULL)
		msg.has_pty = false;
	if (msg.has_pty)
		fds[n++] = run->master;
	if (why == NULL)
		fds[n++] = run->go[1];
	if (mg_chan_send_fds(run->ch, 1, MG_MSG_RUN_READY, &msg, fds, n) !=
	    MG_ERR_OK)
		mg_log(MG_EVT_ERROR, "err='cannot report'");
	if (run->master != -1)
		close(run->master); /* the client's, from here on */
	run->master = -1;
}

/* ---- running ---- */

static void
close_ours(struct run *run)
{
	int i;

	for (i = 0; i < 3; i++) {
		if (run->fds[i] != -1 && run->fds[i] != run->slave)
			close(run->fds[i]);
		run->fds[i] = -1;
	}
}

/*
 * fork(2) into the run's group: to move a process there that runs already
 * waits for all processors, which takes about 10 ms.
 */
static pid_t
fork_into_group(const struct run *run)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP,
	    .exit_signal = SIGCHLD,
	    .cgroup = (uint64_t)run->group};

	if (run->group == -1)
		return fork();
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* The child, ready to become the command; Rule 6. */
static void
fork_command(struct run *run)
{
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC) != 0)
		mg_fatal("cannot make a pipe: %s", strerror(errno));
	if ((run->pid = fork_into_group(run)) == 0) {
		close(pipefd[0]);
		child(run, pipefd[1]);
	}
	if (run->pid == -1)
		mg_fatal("cannot fork: %s", strerror(errno));
	/* Also here, so that it is true whoever comes first. */
	(void)setpgid(run->pid, run->pid);
	close(pipefd[1]);
	close(run->go[0]);
	close(run->go[1]);
	run->exec_fd = pipefd[0];
	(void)fcntl(run->exec_fd, F_SETFL, O_NONBLOCK);
	close_ours(run);
}

/* Whether the command runs by now, or why it does not. */
static void
hear_exec(struct run *run)
{
	struct mg_run_started msg = {.pid = (uint32_t)run->pid};
	int err = 0;
	ssize_t n;

	if (run->exec_fd == -1)
		return;
	n = read(run->exec_fd, &err, sizeof(err));
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	close(run->exec_fd);
	run->exec_fd = -1;
	if (n != (ssize_t)sizeof(err))
		err = 0; /* closed by exec */
	run->started = true;
	run->reported = err != 0;
	msg.error = (uint32_t)err;
	must_send(run, MG_MSG_RUN_STARTED, &msg);
}

/* The command itself has ended. */
static void
report_exit(struct run *run, int status)
{
	struct mg_run_exited msg = {0};

	run->pid = -1;
	if (run->reported)
		return; /* exec failed: that was the report */
	run->reported = true;
	msg.signaled = WIFSIGNALED(status);
	msg.value =
	    (uint32_t)(msg.signaled ? WTERMSIG(status) : WEXITSTATUS(status));
	msg.left = has_children() ? signal_all(run->ses, 0) : 0;
	/* The last open slave of ours: when no other process has one, the
	 * client reads the end of the output and not a pause. */
	if (run->slave != -1)
		close(run->slave);
	run->slave = -1;
	must_send(run, MG_MSG_RUN_EXITED, &msg);
}

static void
collect(struct run *run)
{
	struct mg_run_stopped stopped;
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	while (read(run->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		continue;
	hear_exec(run); /* before its end */
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (WIFSTOPPED(status)) {
			stopped.signo = (uint32_t)WSTOPSIG(status);
			if (pid == run->pid)
				must_send(run, MG_MSG_RUN_STOPPED, &stopped);
			continue;
		}
		if (run->killing)
			run->killed++;
		if (pid == run->pid)
			report_exit(run, status);
	}
}

static bool
is_allowed_signal(uint32_t signo)
{
	static const int allowed[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
	    SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH};
	size_t i;

	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((uint32_t)allowed[i] == signo)
			return true;
	return false;
}

static void
pass_signal(struct run *run, uint32_t signo)
{
	if (run->pid <= 0 || !is_allowed_signal(signo))
		return;
	if (signo == SIGCONT && run->slave != -1)
		(void)tcsetpgrp(run->slave, run->pid);
	(void)kill(-run->pid, (int)signo);
	if (signo == SIGHUP)
		(void)kill(-run->pid, SIGCONT); /* a stopped one hears it too */
}

static void
begin_kill(struct run *run)
{
	if (!run->killing)
		run->kill_us = now_us();
	run->killing = true;
	/* The monitor has killed the group; to look at every process of the
	 * host meanwhile would only make that slower. */
	if (run->group == -1)
		(void)signal_all(run->ses, SIGKILL);
}

static void
handle(struct run *run, struct mg_frame *f)
{
	struct mg_run_signal sig;

	switch ((int)f->op) {
	case MG_MSG_RUN_SIGNAL:
		if (mg_frame_decode(f, &sig, sizeof(sig)) == MG_ERR_OK)
			pass_signal(run, sig.signo);
		break;
	case MG_MSG_RUN_KILL:
		begin_kill(run);
		break;
	default:
		mg_fatal("message %s out of place", mg_msg_name(f->op));
	}
}

/* Whether nothing of the run is left; says so if it is. */
static bool
is_over(struct run *run)
{
	struct mg_run_empty msg = {0};

	if (!run->started && !run->killing)
		return false;
	if (has_children())
		return false;
	/* A command that ran as root may have left both tree and session;
	 * what still bears the session goes now. */
	if (run->killing && signal_all(run->ses, SIGKILL) != 0)
		return false;
	msg.killed = run->killed;
	if (run->killing)
		msg.took_us = (uint64_t)(now_us() - run->kill_us);
	must_send(run, MG_MSG_RUN_EMPTY, &msg);
	return true;
}

static void
loop(struct run *run)
{
	struct pollfd p[3];
	struct mg_frame f;
	enum mg_err r;

	memset(&f, 0, sizeof(f));
	while (!is_over(run)) {
		p[0].fd = mg_chan_fd(run->ch);
		p[0].events = POLLIN;
		if (mg_chan_has_output(run->ch))
			p[0].events |= POLLOUT;
		p[1].fd = run->sigfd;
		p[1].events = POLLIN;
		p[2].fd = run->exec_fd;
		p[2].events = POLLIN;
		if (poll(p, 3,
			!run->killing	   ? -1
			: run->group == -1 ? 1
					   : AGAIN_MS) == 0)
			(void)signal_all(run->ses, SIGKILL); /* new ones */
		collect(run);
		if (mg_chan_flush(run->ch) != MG_ERR_OK)
			r = MG_ERR_CLOSED;
		else
			while (
			    (r = mg_chan_recv(run->ch, &f, NULL)) == MG_ERR_OK)
				handle(run, &f);
		if (r == MG_ERR_AGAIN)
			continue;
		/* The monitor is gone: nobody enforces the grant's end. */
		begin_kill(run);
		while (signal_all(run->ses, SIGKILL) != 0 || has_children()) {
			struct timespec pause = {.tv_nsec = 1000000};

			(void)nanosleep(&pause, NULL);
			collect(run);
		}
		return;
	}
	while (mg_chan_has_output(run->ch) &&
	       mg_chan_flush(run->ch) == MG_ERR_OK) {
		p[0].fd = mg_chan_fd(run->ch);
		p[0].events = POLLOUT;
		(void)poll(p, 1, 1000);
	}
}

static void
block_signals(struct run *run)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	/* The leader of a session gets the terminal's hang-up and job
	 * signals; it has work left to do. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGTTOU, SIG_IGN);
	(void)signal(SIGTTIN, SIG_IGN);
	(void)signal(SIGTSTP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    (run->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1)
		mg_fatal("cannot watch for children: %s", strerror(errno));
}

/* Rule 5 */
static void
confine(void)
{
	const struct mg_confine_caps how = {
	    .effective = MG_CAP(CAP_SETUID) | MG_CAP(CAP_SETGID) |
			 MG_CAP(CAP_KILL) | MG_CAP(CAP_CHOWN) |
			 MG_CAP(CAP_FOWNER) | MG_CAP(CAP_AUDIT_CONTROL),
	    .permitted = MG_CAPS_ALL,
	    .bounding = MG_CAPS_ALL,
	};
	char why[256];

	if (mg_confine_caps(&how, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
}

int
main(int argc, char **argv)
{
	static struct run run = {.master = -1,
	    .slave = -1,
	    .fds = {-1, -1, -1},
	    .go = {-1, -1},
	    .exec_fd = -1,
	    .group = -1,
	    .ses = MG_PROC_UNSET};
	const char *why;
	enum mg_err r;

	mg_log_init("mg-run", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (mg_file_sanitise_std() != MG_ERR_OK || argc < 1)
		return 1;
	confine();
	if (argc == 3 && strcmp(argv[1], "sweep") == 0)
		return sweep(argv[2]);
	if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		mg_fatal("descriptor 3 is not open");
	run.ch =
	    mg_chan_new(CHANNEL_FD, MG_ROLE_RUN, MG_ROLE_MONITOR, QUEUE_MAX);
	if (run.ch == NULL)
		mg_fatal("cannot open the channel");
	block_signals(&run);
	r = mg_chan_wait(run.ch, -1, &run.frame);
	if (r == MG_ERR_CLOSED)
		return 0; /* not needed after all */
	if (r != MG_ERR_OK || run.frame.op != MG_MSG_RUN_SPEC ||
	    mg_frame_decode(&run.frame, &run.spec, sizeof(run.spec)) !=
		MG_ERR_OK)
		mg_fatal("no usable spec: %s", mg_err_str(r));
	errno = 0;
	why = prepare(&run);
	report_ready(&run, why, errno);
	if (why == NULL) {
		fork_command(&run);
		loop(&run);
	}
	mg_chan_free(run.ch);
	return 0;
}
