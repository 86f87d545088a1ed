/* SPDX-License-Identifier: ISC */
/* The end of a child: only the kernel's word is success. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_spawn.h"

static struct mg_child
start(const char *path)
{
	char name[] = "x";
	char *argv[] = {name, NULL}, *envp[] = {NULL};
	struct mg_child child;

	assert_int_equal(
	    mg_spawn(path, argv, envp, NULL, 0, &child), MG_ERR_OK);
	return child;
}

static int
await(struct mg_child *child)
{
	struct pollfd p = {.fd = child->pidfd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 10000), 1);
	return mg_spawn_reap(child);
}

static void
the_exit_status_is_the_childs(void **state)
{
	struct mg_child yes = start("/bin/true"), no = start("/bin/false");
	int status;

	(void)state;
	status = await(&yes);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	status = await(&no);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void
rule3_a_child_that_cannot_be_waited_for_has_failed(void **state)
{
	char name[] = "x";
	char *argv[] = {name, NULL}, *envp[] = {NULL};
	struct mg_spawn_fd in = {.target = 0};
	struct mg_child child;
	int hold[2], status;

	(void)state;
	/* Ends when told to: not before there is a descriptor for it. */
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	in.fd = hold[0];
	assert_int_equal(
	    mg_spawn("/bin/cat", argv, envp, &in, 1, &child), MG_ERR_OK);
	close(hold[0]);
	/* The kernel reaps at once and waitpid() knows nothing. */
	assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	close(hold[1]);
	status = await(&child);
	assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 255);
}

static void
rule3_a_child_that_is_reaped_twice_has_failed(void **state)
{
	struct mg_child child = start("/bin/true");

	(void)state;
	assert_int_equal(await(&child), 0);
	assert_int_equal(WEXITSTATUS(mg_spawn_reap(&child)), 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_exit_status_is_the_childs),
	    cmocka_unit_test(
		rule3_a_child_that_cannot_be_waited_for_has_failed),
	    cmocka_unit_test(rule3_a_child_that_is_reaped_twice_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
