/* SPDX-License-Identifier: ISC */
/* A child in its own session, and its end with everything it started. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_spawn.h"

typedef enum mg_err (*spawn_fn)(const char *path, char *const argv[],
    char *const envp[], const struct mg_spawn_fd *fds, size_t nfds,
    struct mg_child *childp);

/* Starts a shell and a grandchild that hold the write end of a pipe. */
static struct mg_child
start(spawn_fn fn, int *pipep)
{
	char sh[] = "sh", c[] = "-c", cmd[] = "sleep 20 & echo up; wait";
	char *argv[] = {sh, c, cmd, NULL}, *envp[] = {NULL};
	struct mg_spawn_fd fd;
	struct mg_child child;
	char word[3];
	int p[2];

	assert_int_equal(pipe(p), 0);
	fd.fd = p[1];
	fd.target = 1;
	assert_int_equal(fn("/bin/sh", argv, envp, &fd, 1, &child), MG_ERR_OK);
	close(p[1]);
	assert_int_equal(read(p[0], word, sizeof(word)), 3);
	*pipep = p[0];
	return child;
}

static void
it_leads_its_own_session_and_group(void **state)
{
	struct mg_child child;
	struct pollfd pfd;
	char c;
	int fd;

	(void)state;
	child = start(mg_spawn_session, &fd);
	assert_int_equal(getsid(child.pid), child.pid);
	assert_int_equal(getpgid(child.pid), child.pid);
	assert_int_equal(kill(-child.pid, SIGKILL), 0);
	/* The pipe ends when the grandchild is gone too. */
	pfd.fd = fd;
	pfd.events = POLLIN;
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	pfd.fd = child.pidfd;
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	assert_true(WIFSIGNALED(mg_spawn_reap(&child)));
}

static void
an_ordinary_child_stays_in_ours(void **state)
{
	struct mg_child child;
	struct pollfd pfd;
	int fd;

	(void)state;
	child = start(mg_spawn, &fd);
	assert_int_equal(getsid(child.pid), getsid(0));
	assert_int_equal(kill(child.pid, SIGKILL), 0);
	pfd.fd = child.pidfd;
	pfd.events = POLLIN;
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	(void)mg_spawn_reap(&child);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_leads_its_own_session_and_group),
	    cmocka_unit_test(an_ordinary_child_stays_in_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
