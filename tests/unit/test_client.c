/* SPDX-License-Identifier: ISC */
/* Connecting to the agent, and to what stands in its place: mg_client.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_client.h"
#include "mg_time.h"
#include "open_fds.h"

#define NOBODY 65534

static char dir[32], path[64];
static struct mg_chan *ch;
static unsigned fds_before;

static int
setup(void **state)
{
	(void)state;
	fds_before = open_fds();
	snprintf(dir, sizeof(dir), "/tmp/test_client.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	ch = NULL;
	return chmod(dir, 0777);
}

static int
teardown(void **state)
{
	(void)state;
	mg_chan_free(ch);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static int
listen_here(int backlog)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    chmod(path, 0666) != 0 || listen(fd, backlog) != 0)
		return -1;
	return fd;
}

static enum mg_err
connect_here(int timeout_ms)
{
	enum mg_err r = mg_client_connect(path, timeout_ms, &ch);

	assert_int_equal(r == MG_ERR_OK, ch != NULL);
	return r;
}

static void
an_agent_of_root_is_talked_to(void **state)
{
	struct mg_info_req req = {0};
	struct mg_frame f;
	struct mg_chan *agent;
	int fd = listen_here(8);

	(void)state;
	assert_true(fd != -1);
	if (geteuid() != 0) {
		/* Who is not root cannot listen as root; the rest is below. */
		assert_int_equal(connect_here(1000), MG_ERR_PERM);
		close(fd);
		return;
	}
	assert_int_equal(connect_here(1000), MG_ERR_OK);
	assert_int_equal(fcntl(mg_chan_fd(ch), F_GETFD), FD_CLOEXEC);
	assert_int_equal(mg_chan_send(ch, 5, MG_MSG_INFO_REQ, &req), MG_ERR_OK);
	assert_non_null(
	    agent = mg_chan_new(accept4(fd, NULL, NULL, SOCK_CLOEXEC),
		MG_ROLE_AGENT, MG_ROLE_CLIENT, 1000));
	assert_int_equal(mg_chan_wait(agent, 5000, &f), MG_ERR_OK);
	assert_int_equal(f.op, MG_MSG_INFO_REQ);
	mg_chan_free(agent);
	close(fd);
}

static void
a_socket_that_somebody_else_put_there_is_refused(void **state)
{
	int ready[2], status;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		close(ready[0]);
		if (geteuid() == 0 &&
		    (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
			_exit(1);
		if (listen_here(8) == -1 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	assert_int_equal(connect_here(1000), MG_ERR_PERM);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Its file is still there, and nobody listens any more. */
	assert_int_equal(connect_here(1000), MG_ERR_NOENT);
}

static void
no_agent_is_told_from_one_that_cannot_be_reached(void **state)
{
	char longer[200];

	(void)state;
	assert_int_equal(connect_here(1000), MG_ERR_NOENT);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(mg_client_connect(longer, 1000, &ch), MG_ERR_LIMIT);
	assert_null(ch);
	/* A file, and no socket. */
	assert_int_equal(
	    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	assert_int_equal(connect_here(1000), MG_ERR_NOENT);
}

static void
a_listener_of_another_kind_is_refused(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(connect_here(1000), MG_ERR_SYS);
	close(fd);
}

static void
a_queue_that_stays_full_ends_the_wait_in_time(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = listen_here(0), c[8], n = 0;
	int64_t start;

	(void)state;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	do {
		c[n] = socket(
		    AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(c[n] != -1 && n < 7);
	} while (connect(c[n++], (struct sockaddr *)&sun, sizeof(sun)) == 0);
	assert_int_equal(errno, EAGAIN);
	start = mg_time_boot_ms();
	assert_int_equal(connect_here(100), MG_ERR_TIMEOUT);
	assert_true(mg_time_boot_ms() - start >= 100);
	assert_true(mg_time_boot_ms() - start < 5000);
	while (n > 0)
		close(c[--n]);
	close(fd);
}

static void
a_queue_that_empties_lets_the_next_one_in(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = listen_here(0), c, status;
	pid_t pid;

	(void)state;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	while (connect(c, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
		close(c);
		c = socket(
		    AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	close(c);
	if ((pid = fork()) == 0) {
		struct timespec ts = {.tv_nsec = 50000000};

		/* A test that fails forgets it. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)nanosleep(&ts, NULL);
		for (;;)
			if ((c = accept(fd, NULL, NULL)) == -1)
				_exit(0);
	}
	assert_int_equal(
	    connect_here(5000), geteuid() == 0 ? MG_ERR_OK : MG_ERR_PERM);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
}

/* What the agent said before it hung up is still to be read. */
static void
a_question_to_who_has_hung_up_is_no_error(void **state)
{
	struct mg_info_req req = {0};
	struct mg_chan *agent;
	struct mg_frame f;
	int fd = listen_here(8), peer;

	(void)state;
	assert_true(fd != -1);
	if (geteuid() != 0) {
		close(fd);
		skip();
	}
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(connect_here(1000), MG_ERR_OK);
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	agent = mg_chan_new(peer, MG_ROLE_AGENT, MG_ROLE_CLIENT, 1000);
	assert_non_null(agent);
	assert_int_equal(
	    mg_client_ask(ch, MG_MSG_INFO_REQ, &req, NULL, 0), MG_ERR_OK);
	assert_int_equal(mg_chan_wait(agent, 5000, &f), MG_ERR_OK);
	assert_int_equal(f.op, MG_MSG_INFO_REQ);
	mg_chan_free(agent);
	assert_int_equal(
	    mg_client_ask(ch, MG_MSG_INFO_REQ, &req, NULL, 0), MG_ERR_OK);
	assert_int_equal(mg_chan_wait(ch, 5000, &f), MG_ERR_CLOSED);
	close(fd);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(an_agent_of_root_is_talked_to),
	    T(a_socket_that_somebody_else_put_there_is_refused),
	    T(no_agent_is_told_from_one_that_cannot_be_reached),
	    T(a_listener_of_another_kind_is_refused),
	    T(a_queue_that_stays_full_ends_the_wait_in_time),
	    T(a_queue_that_empties_lets_the_next_one_in),
	    T(a_question_to_who_has_hung_up_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
