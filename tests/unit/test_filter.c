/* SPDX-License-Identifier: ISC */
/* Filters and Landlock domains, tried for real in children. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_confine.h"
#include "mg_filter.h"

/* What a child tries; 0: it worked, else errno. */
typedef int (*deed)(void);

static int
open_file(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return errno;
	close(fd);
	return 0;
}

static int
open_to_write(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	return fd == -1 ? errno : 0;
}

static int
make_file(void)
{
	int fd =
	    open("/tmp/mg_filter_test", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1)
		return errno;
	(void)unlink("/tmp/mg_filter_test");
	return 0;
}

static int
remove_file(void)
{
	return unlink("/tmp/mg_filter_test/none") == 0 ? 0 : errno;
}

static int
make_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd == -1 ? errno : 0;
}

static int
make_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid == -1)
		return errno;
	return waitpid(pid, NULL, 0) == pid ? 0 : errno;
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
make_thread(void)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, nothing, NULL);

	return err != 0 ? err : pthread_join(t, NULL);
}

static int
map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
map_code_to_write(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
make_namespace(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid == -1 ? errno : 0;
}

static int
limit_parent(void)
{
	struct rlimit none = {0, 0};

	return prlimit(getppid(), RLIMIT_NOFILE, &none, NULL) == 0 ? 0 : errno;
}

static int
start_program(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL}, *envp[] = {NULL};

	execve("/bin/true", argv, envp);
	return errno;
}

static int
signal_parent(void)
{
	return kill(getppid(), 0) == 0 ? 0 : errno;
}

static int
trace_parent(void)
{
	return ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0 ? 0 : errno;
}

static int
leave_namespace(void)
{
	return unshare(CLONE_NEWNS) == 0 ? 0 : errno;
}

static int
end_oneself(void)
{
	return raise(SIGUSR1) == 0 ? 0 : errno;
}

static int
work(void)
{
	char c = 'x';
	int p[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0)
		return EEXIST;
	return write(STDERR_FILENO, &c, 0) == 0 && malloc(1 << 20) != NULL
		   ? 0
		   : errno;
}

/* The errno of deed behind a filter; minus the signal that ended it. */
static int
tried(int allow, deed d)
{
	char why[256] = "";
	int status = -1;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		    (allow < 0 ? mg_filter_never(true, why, sizeof(why))
			       : mg_filter_only((unsigned)allow, why,
				     sizeof(why))) != MG_ERR_OK)
			_exit(255);
		_exit(d());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#define NEVER (-1)
#define EVERYTHING 0x7f

static void
rule1_what_is_not_listed_is_forbidden(void **state)
{
	(void)state;
	assert_int_equal(tried(0, work), 0);
	assert_int_equal(tried(0, open_file), EPERM);
	assert_int_equal(tried(0, make_file), EPERM);
	assert_int_equal(tried(0, remove_file), EPERM);
	assert_int_equal(tried(0, make_socket), EPERM);
	assert_int_equal(tried(0, make_child), EPERM);
	assert_int_equal(tried(0, make_thread), EPERM);
	assert_int_equal(tried(0, limit_parent), EPERM);
}

static void
what_is_allowed_works_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(tried(MG_ALLOW_READ, open_file), 0);
	assert_int_equal(tried(MG_ALLOW_READ, open_to_write), EPERM);
	assert_int_equal(tried(MG_ALLOW_READ, make_file), EPERM);
	assert_int_equal(tried(MG_ALLOW_CONNECT, make_socket), 0);
	assert_int_equal(tried(MG_ALLOW_CONNECT, open_file), EPERM);
	assert_int_equal(tried(MG_ALLOW_FORK, make_child), 0);
	assert_int_equal(tried(MG_ALLOW_THREADS, make_thread), 0);
	assert_int_equal(tried(MG_ALLOW_THREADS, make_child), EPERM);
	assert_int_equal(
	    tried(MG_ALLOW_EXEC | MG_ALLOW_LOAD, start_program), 0);
	assert_int_equal(tried(MG_ALLOW_EXEC, open_to_write), 0);
	assert_int_equal(tried(MG_ALLOW_EXEC, make_file), EPERM);
	assert_int_equal(tried(0, end_oneself), -SIGUSR1);
}

static void
rule2_what_only_an_attacker_asks_for_ends_the_process(void **state)
{
	static const deed deeds[] = {
	    start_program, signal_parent, trace_parent, leave_namespace};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
		assert_int_equal(tried(0, deeds[i]), -SIGSYS);
	assert_int_equal(tried(EVERYTHING, trace_parent), -SIGSYS);
	assert_int_equal(tried(EVERYTHING, leave_namespace), -SIGSYS);
	assert_int_equal(tried(EVERYTHING, make_namespace), EPERM);
}

static void
rule3_no_memory_is_written_and_run(void **state)
{
	(void)state;
	assert_int_equal(tried(0, map_code), EPERM);
	assert_int_equal(tried(EVERYTHING, map_code), 0);
	assert_int_equal(tried(EVERYTHING, map_code_to_write), EPERM);
}

static int
is_landlocked(void)
{
	/* To read, and behind the filter: what openat2() could ask for. */
	struct {
		uint64_t flags, mode, resolve;
	} how = {.flags = O_WRONLY | O_CLOEXEC};
	long fd =
	    syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof(how));

	return fd == -1 ? errno : 0;
}

static void
rule4_what_a_filter_cannot_see_landlock_forbids(void **state)
{
	(void)state;
	if (syscall(444, NULL, 0, 1) < 1) { /* landlock_create_ruleset */
		print_message("no Landlock here\n");
		skip();
	}
	assert_int_equal(tried(MG_ALLOW_READ, is_landlocked), EACCES);
}

static void
the_common_filter_forbids_what_concerns_others(void **state)
{
	(void)state;
	assert_int_equal(tried(NEVER, trace_parent), EPERM);
	assert_int_equal(tried(NEVER, leave_namespace), EPERM);
	assert_int_equal(tried(NEVER, make_namespace), EPERM);
	assert_int_equal(tried(NEVER, start_program), 0);
	assert_int_equal(tried(NEVER, make_file), 0);
	assert_int_equal(tried(NEVER, make_thread), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rule1_what_is_not_listed_is_forbidden),
	    cmocka_unit_test(what_is_allowed_works_and_no_more),
	    cmocka_unit_test(
		rule2_what_only_an_attacker_asks_for_ends_the_process),
	    cmocka_unit_test(rule3_no_memory_is_written_and_run),
	    cmocka_unit_test(rule4_what_a_filter_cannot_see_landlock_forbids),
	    cmocka_unit_test(the_common_filter_forbids_what_concerns_others),
	};

	if (MG_CONFINE_SANITIZED) {
		puts("1..0 # SKIP sanitizers make calls of their own");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
