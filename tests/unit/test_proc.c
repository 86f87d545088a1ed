/* SPDX-License-Identifier: ISC */
/*
 * Who is at the other end of a socket, in the kernel's words: mg_proc.c.
 * getsockopt() goes through a function of ours, so that one kernel can play
 * an older one that has no SO_PEERPIDFD.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_id.h"
#include "mg_proc.h"
#include "open_fds.h"

#define NOBODY 65534
#define PEERPIDFD 77

static int peerpidfd_errno; /* 0: as the kernel says */
static unsigned fds_before;

int
getsockopt(
    int fd, int level, int name, void *restrict val, socklen_t *restrict len)
{
	if (level == SOL_SOCKET && name == PEERPIDFD && peerpidfd_errno != 0) {
		errno = peerpidfd_errno;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, val, len);
}

static int
setup(void **state)
{
	(void)state;
	peerpidfd_errno = 0;
	fds_before = open_fds();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

/* ---- a peer ---- */

/*
 * A process that calls itself name and holds the other end of *sockp, as
 * somebody who connected. It ends when the socket does.
 */
static pid_t
start_peer(const char *name, uid_t uid, int *sockp)
{
	int up[2], fd;
	pid_t pid;
	char c = 0;

	/* A pair made by the child itself, so that the child is the peer. */
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up), 0);
	if ((pid = fork()) == 0) {
		union {
			char buf[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} ctl = {.align = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
		struct iovec iov = {.iov_base = &c, .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = ctl.buf,
		    .msg_controllen = sizeof(ctl.buf)};
		int sp[2];

		close(up[0]);
		(void)prctl(PR_SET_NAME, name);
		if (uid != geteuid() && (setgid(uid) != 0 || setuid(uid) != 0))
			_exit(1);
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sp) != 0)
			_exit(1);
		memcpy(CMSG_DATA(&ctl.align), &sp[1], sizeof(int));
		if (sendmsg(up[1], &m, 0) != 1)
			_exit(1);
		close(sp[1]);
		close(up[1]);
		(void)!read(sp[0], &c, 1); /* until the other end closes */
		_exit(0);
	}
	close(up[1]);
	{
		union {
			char buf[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} ctl;
		struct iovec iov = {.iov_base = &c, .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = ctl.buf,
		    .msg_controllen = sizeof(ctl.buf)};

		assert_int_equal(recvmsg(up[0], &m, MSG_CMSG_CLOEXEC), 1);
		memcpy(&fd, CMSG_DATA(&ctl.align), sizeof(int));
	}
	close(up[0]);
	*sockp = fd;
	return pid;
}

static void
end_peer(pid_t pid, int sock)
{
	close(sock);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static uint32_t
own(const char *file)
{
	uint32_t v;

	assert_int_equal(mg_proc_number(getpid(), file, &v), MG_ERR_OK);
	return v;
}

static void
a_peer_is_who_the_kernel_says(void **state)
{
	struct mg_peer peer, again;
	int sock, pidfd;
	pid_t pid;

	(void)state;
	pid = start_peer("peer", geteuid(), &sock);
	assert_int_equal(mg_proc_peer(sock, &peer, &pidfd), MG_ERR_OK);
	assert_int_equal(peer.pid, pid);
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	assert_int_equal(peer.loginuid, own("loginuid"));
	assert_int_equal(peer.session, own("sessionid"));
	assert_true(peer.start > 0);
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	close(pidfd);
	/* Without a pidfd for the caller, and on an older kernel. */
	assert_int_equal(mg_proc_peer(sock, &again, NULL), MG_ERR_OK);
	assert_memory_equal(&peer, &again, sizeof(peer));
	peerpidfd_errno = ENOPROTOOPT;
	assert_int_equal(mg_proc_peer(sock, &again, NULL), MG_ERR_OK);
	assert_memory_equal(&peer, &again, sizeof(peer));
	end_peer(pid, sock);
}

static void
rule2_a_name_that_looks_like_the_kernel_s_numbers_changes_nothing(void **state)
{
	static const char *const names[] = {") R 1 1 1 34816", "a b) (c", "\n)",
	    "((((((((", "))))))))", "x) 1 1 1 1 1 1"};
	struct mg_peer plain, peer;
	size_t i;
	int sock;
	pid_t pid;

	(void)state;
	pid = start_peer("plain", geteuid(), &sock);
	assert_int_equal(mg_proc_peer(sock, &plain, NULL), MG_ERR_OK);
	end_peer(pid, sock);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pid = start_peer(names[i], geteuid(), &sock);
		assert_int_equal(mg_proc_peer(sock, &peer, NULL), MG_ERR_OK);
		assert_string_equal(peer.tty, plain.tty);
		assert_true(peer.start >= plain.start);
		assert_true(peer.start < plain.start + 100000);
		end_peer(pid, sock);
	}
}

static void
assert_nobody(const struct mg_peer *peer)
{
	assert_true(peer->loginuid == MG_PROC_UNSET);
	assert_true(peer->session == MG_PROC_UNSET);
}

static void
what_is_no_connected_socket_has_no_peer(void **state)
{
	struct mg_peer peer;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), pidfd = 7;
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(mg_proc_peer(fd, &peer, &pidfd), MG_ERR_SYS);
	assert_int_equal(pidfd, -1);
	assert_nobody(&peer);
	assert_int_equal(mg_proc_peer(-1, &peer, &pidfd), MG_ERR_SYS);
	assert_int_equal(mg_proc_peer(s, &peer, &pidfd), MG_ERR_SYS);
	assert_nobody(&peer);
	close(s);
	close(fd);
}

static void
rule1_a_peer_that_is_gone_is_nobody(void **state)
{
	static const int kernels[] = {0, ENOPROTOOPT, ESRCH, EINVAL};
	struct mg_peer peer;
	int sock, pidfd;
	size_t i;
	pid_t pid;

	(void)state;
	pid = start_peer("peer", geteuid(), &sock);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		peerpidfd_errno = kernels[i];
		assert_int_equal(
		    mg_proc_peer(sock, &peer, &pidfd), MG_ERR_CLOSED);
		assert_int_equal(pidfd, -1);
	}
	close(sock);
}

static void
rule1_a_peer_that_has_ended_and_was_not_waited_for_is_nobody(void **state)
{
	struct mg_peer peer;
	siginfo_t si;
	int sock;
	pid_t pid;

	(void)state;
	pid = start_peer("peer", geteuid(), &sock);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	/* A zombie still has its number, and nobody else can have it: its
	 * identity is true, or it is refused. */
	if (mg_proc_peer(sock, &peer, NULL) == MG_ERR_OK)
		assert_int_equal(peer.pid, pid);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(sock);
}

/* ---- a number that is given away again ---- */

/* The next process to be started gets this number, if it is free. */
static bool
next_pid(pid_t pid)
{
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid - 1);
	bool ok = fd != -1 && write(fd, text, (size_t)n) == n;

	if (fd != -1)
		close(fd);
	return ok;
}

/*
 * A peer of user uid connects and ends; root's process gets its number.
 * What mg_proc_peer() says of the socket then, as an exit status.
 */
static int
play_reuse(uid_t uid, int kernel)
{
	struct mg_peer peer;
	int sock, i, status;
	pid_t pid, heir = -1;

	pid = start_peer("peer", uid, &sock);
	if (kill(pid, SIGKILL) != 0 || waitpid(pid, &status, 0) != pid)
		return 100;
	for (i = 0; i < 1000 && heir != pid; i++) {
		if (!next_pid(pid))
			return 101;
		if ((heir = fork()) == 0) {
			pause();
			_exit(0);
		}
		if (heir != pid) {
			(void)kill(heir, SIGKILL);
			(void)waitpid(heir, &status, 0);
		}
	}
	if (heir != pid)
		return 102;
	peerpidfd_errno = kernel;
	i = (int)mg_proc_peer(sock, &peer, NULL);
	(void)kill(heir, SIGKILL);
	(void)waitpid(heir, &status, 0);
	close(sock);
	return i;
}

static void
assert_reuse_is_found_out(uid_t uid, int kernel)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(play_reuse(uid, kernel));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), MG_ERR_CLOSED);
}

static void
rule1_a_number_that_is_given_away_again_names_nobody(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("needs root to choose a process number\n");
		skip();
	}
	assert_reuse_is_found_out(0, 0);
	/* What kernels from 6.5 on said of a peer that is gone. */
	assert_reuse_is_found_out(0, ESRCH);
	assert_reuse_is_found_out(0, EINVAL);
}

static void
rule3_nobody_becomes_root_by_letting_a_number_go(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("needs root to choose a process number\n");
		skip();
	}
	assert_reuse_is_found_out(NOBODY, 0);
	assert_reuse_is_found_out(NOBODY, ESRCH);
	assert_reuse_is_found_out(NOBODY, ENOPROTOOPT);
}

/* ---- the rest ---- */

static void
numbers_below_proc_are_read_strictly(void **state)
{
	uint32_t v = 7;

	(void)state;
	assert_int_equal(mg_proc_number(getpid(), "none", &v), MG_ERR_NOENT);
	assert_int_equal(v, 0);
	assert_int_equal(mg_proc_number(getpid(), "comm", &v), MG_ERR_FORMAT);
	assert_int_equal(mg_proc_number(getpid(), "status", &v), MG_ERR_FORMAT);
	assert_int_equal(mg_proc_number(getpid(), "fd", &v), MG_ERR_SYS);
	assert_int_equal(mg_proc_number(0, "loginuid", &v), MG_ERR_NOENT);
	assert_int_equal(mg_proc_number(-1, "loginuid", &v), MG_ERR_NOENT);
	assert_int_equal(v, 0);
}

static void
the_boot_has_one_name(void **state)
{
	char a[37], b[37];
	struct mg_uuid u;

	(void)state;
	assert_int_equal(mg_proc_boot_id(a), MG_ERR_OK);
	assert_int_equal(mg_proc_boot_id(b), MG_ERR_OK);
	assert_string_equal(a, b);
	assert_int_equal(mg_uuid_parse(a, &u), MG_ERR_OK);
}

static void
a_login_uid_brings_a_session_of_its_own(void **state)
{
	uint32_t session = 1, loginuid;
	int status;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		if (mg_proc_set_loginuid(4242, &session) != MG_ERR_OK)
			_exit(session == MG_PROC_UNSET ? 50 : 51);
		if (mg_proc_number(getpid(), "loginuid", &loginuid) !=
			MG_ERR_OK ||
		    loginuid != 4242)
			_exit(52);
		_exit(session == MG_PROC_UNSET || session == 1 ? 53 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (geteuid() != 0 && WEXITSTATUS(status) == 50) {
		print_message("needs CAP_AUDIT_CONTROL\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- what comes from a login ---- */

#define PERSON 4242
#define DAEMON 4343

/*
 * A process gives itself the login uid of PERSON, becomes uid, and starts
 * another that does not stay its child if it is to be an orphan, and is the
 * peer. What mg_proc_is_of_login() says of that, as an exit status.
 */
static int
play_login(uid_t uid, bool orphan)
{
	struct mg_peer peer;
	uint32_t session;
	int sock, status;
	pid_t pid, middle;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return 50;
	if ((pid = fork()) == 0) {
		/* root's program, which uid has started */
		if (mg_proc_set_loginuid(PERSON, &session) != MG_ERR_OK ||
		    setresuid(uid, 0, 0) != 0)
			_exit(51);
		middle = getpid();
		if ((pid = fork()) == 0) {
			if (setresuid(0, 0, 0) != 0)
				_exit(52);
			while (orphan && getppid() == middle)
				sched_yield();
			pid = start_peer("peer", 0, &sock);
			if (mg_proc_peer(sock, &peer, NULL) != MG_ERR_OK)
				_exit(53);
			status = mg_proc_is_of_login(&peer) ? 1 : 2;
			peer.start++;
			if (mg_proc_is_of_login(&peer))
				status = 54;
			end_peer(pid, sock);
			_exit(status);
		}
		if (orphan)
			_exit(0);
		status = 0;
		(void)waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 55);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 56;
	if (orphan && waitpid(-1, &status, 0) == -1)
		return 57;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 58;
}

static void
assert_login(uid_t uid, bool orphan, int expected)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(play_login(uid, orphan));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (geteuid() != 0 || WEXITSTATUS(status) == 51) {
		print_message("needs CAP_AUDIT_CONTROL\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), expected);
}

static void
who_is_started_by_the_person_is_of_the_login(void **state)
{
	(void)state;
	assert_login(PERSON, false, 1);
}

static void
who_is_started_by_a_daemon_in_its_name_is_not(void **state)
{
	(void)state;
	assert_login(DAEMON, false, 2);
	assert_login(0, false, 2);
	assert_login(DAEMON, true, 2);
	assert_login(PERSON, true, 2); /* nobody can tell any more */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_peer_is_who_the_kernel_says),
	    T(rule2_a_name_that_looks_like_the_kernel_s_numbers_changes_nothing),
	    T(what_is_no_connected_socket_has_no_peer),
	    T(rule1_a_peer_that_is_gone_is_nobody),
	    T(rule1_a_peer_that_has_ended_and_was_not_waited_for_is_nobody),
	    T(rule1_a_number_that_is_given_away_again_names_nobody),
	    T(rule3_nobody_becomes_root_by_letting_a_number_go),
	    T(numbers_below_proc_are_read_strictly),
	    T(the_boot_has_one_name),
	    T(a_login_uid_brings_a_session_of_its_own),
	    T(who_is_started_by_the_person_is_of_the_login),
	    T(who_is_started_by_a_daemon_in_its_name_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
