/* SPDX-License-Identifier: ISC */
/* What a child gets from its parent, and what it does not: mg_spawn.c. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_buf.h"
#include "mg_file.h"
#include "mg_spawn.h"
#include "open_fds.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static char sh[] = "/bin/sh", dash_c[] = "-c";
static char *no_env[] = {NULL};
static unsigned fds_before;

static int
setup(void **state)
{
	(void)state;
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

static int
await(struct mg_child *child)
{
	struct pollfd p = {.fd = child->pidfd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 10000), 1);
	return mg_spawn_reap(child);
}

/* What the script prints when it is started with fds, one being target 1. */
static const char *
output_of(const char *script, char *const envp[], struct mg_spawn_fd *fds,
    size_t nfds)
{
	static char text[4096];
	char *argv[] = {sh, dash_c, (char *)(uintptr_t)script, NULL};
	struct mg_child child;
	size_t used = 0;
	ssize_t n;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[nfds].fd = p[1];
	fds[nfds].target = 1;
	assert_int_equal(
	    mg_spawn(sh, argv, envp, fds, nfds + 1, &child), MG_ERR_OK);
	close(p[1]);
	while ((n = read(p[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(p[0]);
	assert_int_equal(await(&child), 0);
	return text;
}

/* The shell's own look at its table; ls would open one more. */
#define LIST                                                                   \
	"for f in /proc/$$/fd/*; do "                                          \
	"[ -e $f ] && printf '%s=%s ' ${f##*/} $(readlink $f); done; true"

static void
rule1_a_child_has_the_named_descriptors_and_no_others(void **state)
{
	struct mg_spawn_fd fds[8];
	int open_ones[40], nullfd, n = 0;
	const char *got;

	(void)state;
	/* A table full of others, close-on-exec and not. */
	for (n = 0; n < 40; n++)
		open_ones[n] = open("/etc/passwd",
		    n % 2 == 0 ? O_RDONLY : O_RDONLY | O_CLOEXEC);
	nullfd = open("/dev/zero", O_RDONLY);
	fds[0] = (struct mg_spawn_fd){nullfd, 5};
	fds[1] = (struct mg_spawn_fd){nullfd, 15};
	got = output_of(LIST, no_env, fds, 2);
	while (n > 0)
		close(open_ones[--n]);
	close(nullfd);
	if (strstr(got, "/etc/passwd") != NULL)
		fail_msg("leaked: %s", got);
	assert_int_equal(strncmp(got, "0=/dev/null 1=pipe:", 19), 0);
	assert_non_null(strstr(got, " 2=/dev/null "));
	assert_non_null(strstr(got, " 5=/dev/zero "));
	assert_non_null(strstr(got, " 15=/dev/zero "));
	assert_null(strstr(got, " 3="));
	assert_null(strstr(got, " 4="));
	/* 10 is the shell's own, when it has one. */
	assert_null(strstr(got, " 16="));
	assert_null(strstr(got, " 6="));
}

static void
rule1_nothing_is_left_when_the_parent_has_0_to_2_closed(void **state)
{
	char *argv[] = {sh, dash_c, NULL, NULL};
	char script[] = "test $(readlink /proc/$$/fd/0) = /dev/null && "
			"test $(readlink /proc/$$/fd/1) = /dev/null && "
			"test $(readlink /proc/$$/fd/2) = /dev/null && "
			"test ! -e /proc/$$/fd/3";
	int status;
	pid_t pid;

	(void)state;
	argv[2] = script;
	if ((pid = fork()) == 0) {
		struct mg_child child;

		close(0);
		close(1);
		close(2);
		if (mg_spawn(sh, argv, no_env, NULL, 0, &child) != MG_ERR_OK)
			_exit(1);
		_exit(waitpid(child.pid, &status, 0) == child.pid && status == 0
			  ? 0
			  : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
rule2_targets_that_are_each_other_s_sources_are_not_mixed_up(void **state)
{
	static const char *const files[] = {
	    "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname"};
	struct mg_spawn_fd fds[8];
	char expected[64];
	const char *got;
	int fd[4], target[4], round, i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_true((fd[i] = open(files[i], O_RDONLY)) < 16);
	/* Everyone's target is another one's source; then, the numbers that
	 * duplicates of the sources would get if they were not moved away. */
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 4; i++) {
			target[i] = round == 0 ? fd[(i + 1) % 4] : 12 - i;
			fds[i] = (struct mg_spawn_fd){fd[i], target[i]};
		}
		got = output_of(LIST, no_env, fds, 4);
		for (i = 0; i < 4; i++) {
			snprintf(expected, sizeof(expected), " %d=%s ",
			    target[i], files[i]);
			if (strstr(got, expected) == NULL)
				fail_msg("'%s' is not in '%s'", expected, got);
		}
	}
	for (i = 0; i < 4; i++)
		close(fd[i]);
}

static void
the_environment_is_the_one_that_is_given(void **state)
{
	char a[] = "ONLY=this", *envp[] = {a, NULL};
	struct mg_spawn_fd fds[2];

	(void)state;
	assert_int_equal(setenv("LD_PRELOAD_LOOKALIKE", "1", 1), 0);
	assert_string_equal(
	    output_of("tr '\\0' ' ' </proc/$$/environ", envp, fds, 0),
	    "ONLY=this ");
	assert_string_equal(
	    output_of("tr '\\0' ' ' </proc/$$/environ", no_env, fds, 0), "");
}

static unsigned long
mask_of(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	assert_non_null(at);
	return strtoul(at + strlen(key), NULL, 16);
}

static void
signals_are_unblocked_and_not_ignored(void **state)
{
	struct mg_spawn_fd fds[2];
	sigset_t all, was;
	const char *got;

	(void)state;
	sigfillset(&all);
	assert_int_equal(sigprocmask(SIG_SETMASK, &all, &was), 0);
	assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	got = output_of(
	    "exec grep -E '^Sig(Blk|Ign):' /proc/self/status", no_env, fds, 0);
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);
	assert_int_equal(sigprocmask(SIG_SETMASK, &was, NULL), 0);
	assert_int_equal(mask_of(got, "SigBlk:"), 0);
	/* 32 and 33 are the C library's own. */
	assert_int_equal(mask_of(got, "SigIgn:") & ~0x180000000UL, 0);
}

static void
a_program_that_is_not_there_is_an_error_and_no_child(void **state)
{
	static char none[] = "/no/such/program", dir[] = "/tmp";
	char *argv[] = {none, NULL};
	struct mg_child child;

	(void)state;
	assert_int_equal(
	    mg_spawn(none, argv, no_env, NULL, 0, &child), MG_ERR_SYS);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(child.pid, -1);
	assert_int_equal(child.pidfd, -1);
	assert_int_equal(
	    mg_spawn(dir, argv, no_env, NULL, 0, &child), MG_ERR_SYS);
	assert_int_equal(errno, EACCES);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void
descriptors_that_cannot_be_passed_are_an_error_and_no_child(void **state)
{
	static const struct mg_spawn_fd bad[] = {
	    {-1, 3}, {9999, 3}, {0, -1}, {0, MG_SPAWN_FDS_MAX}, {0, 100000}};
	struct mg_spawn_fd many[MG_SPAWN_FDS_MAX + 1];
	char *argv[] = {sh, NULL};
	struct mg_child child;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++) {
		/* One good one in front: it must not leak. */
		many[0] = (struct mg_spawn_fd){0, 4};
		many[1] = bad[i];
		assert_int_equal(
		    mg_spawn(sh, argv, no_env, many, 2, &child), MG_ERR_SYS);
		assert_int_equal(child.pid, -1);
	}
	for (i = 0; i < N(many); i++)
		many[i] = (struct mg_spawn_fd){0, 3};
	assert_int_equal(
	    mg_spawn(sh, argv, no_env, many, N(many), &child), MG_ERR_SYS);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
a_full_table_is_an_error_and_leaks_nothing(void **state)
{
	struct mg_spawn_fd fds[2] = {{0, 3}, {0, 4}};
	char *argv[] = {sh, dash_c, (char[]){"exit 0"}, NULL};
	struct rlimit was, low;
	struct mg_child child;
	unsigned started = 0, n;
	enum mg_err r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	for (n = 1; n < 24; n++) {
		low = was;
		low.rlim_cur = n;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = mg_spawn(sh, argv, no_env, fds, 2, &child);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
		if (r == MG_ERR_OK) {
			assert_int_equal(await(&child), 0);
			started++;
		} else {
			assert_int_equal(child.pid, -1);
			assert_int_equal(child.pidfd, -1);
		}
		assert_int_equal(open_fds(), fds_before);
	}
	assert_true(started > 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
a_pair_of_sockets_is_connected_and_not_inherited(void **state)
{
	int sp[2];
	char c;

	(void)state;
	assert_int_equal(mg_spawn_socketpair(sp), MG_ERR_OK);
	assert_int_equal(fcntl(sp[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(sp[1], F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(sp[0], "x", 1), 1);
	assert_int_equal(read(sp[1], &c, 1), 1);
	close(sp[0]);
	close(sp[1]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(rule1_a_child_has_the_named_descriptors_and_no_others),
	    T(rule1_nothing_is_left_when_the_parent_has_0_to_2_closed),
	    T(rule2_targets_that_are_each_other_s_sources_are_not_mixed_up),
	    T(the_environment_is_the_one_that_is_given),
	    T(signals_are_unblocked_and_not_ignored),
	    T(a_program_that_is_not_there_is_an_error_and_no_child),
	    T(descriptors_that_cannot_be_passed_are_an_error_and_no_child),
	    T(a_full_table_is_an_error_and_leaks_nothing),
	    T(a_pair_of_sockets_is_connected_and_not_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
