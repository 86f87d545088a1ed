/* SPDX-License-Identifier: ISC */
/* Giving up root, tried for real in children of a root process. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_confine.h"

#define USER "nobody"

static const struct mg_confine_limits limits = {
    .cpu_s = 10,
    .as_bytes = 1 << 28,
    .fsize_bytes = 4096,
    .nofile = 20,
    .nproc = 0,
};

/* Runs fn in a child; the child's status is what fn returned. */
static int
in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status);
}

static bool
become_nobody(void)
{
	char why[256] = "";

	if (mg_confine_user(USER, &limits, why, sizeof(why)) == MG_ERR_OK)
		return true;
	fprintf(stderr, "# %s\n", why);
	return false;
}

static int
check_ids(void)
{
	const struct passwd *pw = getpwnam(USER);
	uid_t want = pw == NULL ? 0 : pw->pw_uid, r, e, s;
	gid_t groups[2] = {0, 4}, g, eg, sg;
	gid_t wantg = pw == NULL ? 0 : pw->pw_gid;

	if (setgroups(2, groups) != 0 || want == 0 || !become_nobody())
		return 1;
	if (getresuid(&r, &e, &s) != 0 || r != want || e != want || s != want)
		return 2;
	if (getresgid(&g, &eg, &sg) != 0 || g != wantg || eg != wantg ||
	    sg != wantg)
		return 3;
	return getgroups(0, NULL) == 0 ? 0 : 4;
}

static void
rule1_every_id_changes_and_no_group_is_left(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_ids), 0);
}

static int
check_no_way_back(void)
{
	int fd;

	if (!become_nobody())
		return 1;
	if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0 ||
	    setgid(0) == 0 || setgroups(0, NULL) == 0)
		return 2;
	fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
	return fd == -1 && errno == EACCES ? 0 : 3;
}

static void
rule1_there_is_no_way_back_to_root(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_no_way_back), 0);
}

static int
check_unknown_user(void)
{
	char why[256] = "";
	enum mg_err r;

	r = mg_confine_user("no-such-user-here", &limits, why, sizeof(why));
	return r == MG_ERR_NOENT && strstr(why, "no-such-user-here") != NULL
		   ? 0
		   : 1;
}

static void
rule2_an_unknown_user_is_refused_by_name(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_unknown_user), 0);
}

static int
check_root_user(void)
{
	char why[256] = "";

	return mg_confine_user("root", &limits, why, sizeof(why)) ==
			   MG_ERR_PERM &&
		       strstr(why, "uid or gid 0") != NULL
		   ? 0
		   : 1;
}

static void
rule2_a_user_with_uid_0_is_refused(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_root_user), 0);
}

static int
check_exec_gains_nothing(void)
{
	char line[256];
	FILE *f;
	unsigned long long all = 0, v;

	if (!become_nobody())
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	if ((f = fopen("/proc/self/status", "re")) == NULL)
		return 3;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "CapInh:", 7) != 0 &&
		    strncmp(line, "CapPrm:", 7) != 0 &&
		    strncmp(line, "CapEff:", 7) != 0 &&
		    strncmp(line, "CapAmb:", 7) != 0)
			continue;
		v = strtoull(line + 7, NULL, 16);
		all |= v;
	}
	fclose(f);
	return all == 0 ? 0 : 4;
}

static void
rule3_no_capability_is_left_in_any_set(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_exec_gains_nothing), 0);
}

/* A second process of the same user tries to take over the first. */
static int
check_not_traceable(void)
{
	int ready[2], status, result = 1;
	char c;
	pid_t pid;

	if (pipe(ready) != 0 || (pid = fork()) == -1)
		return 1;
	if (pid == 0) {
		c = become_nobody() ? 'y' : 'n';
		(void)!write(ready[1], &c, 1);
		pause();
		_exit(1);
	}
	if (read(ready[0], &c, 1) == 1 && c == 'y' && become_nobody())
		result = ptrace(PTRACE_ATTACH, pid, NULL, NULL) == -1 &&
				 errno == EPERM
			     ? 0
			     : 2;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	return result;
}

static void
rule4_a_process_of_the_same_user_cannot_trace_it(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_not_traceable), 0);
}

static int
check_limits(void)
{
	struct rlimit l;

	if (!become_nobody())
		return 1;
	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur != 20 ||
	    l.rlim_max != 20)
		return 2;
	if (getrlimit(RLIMIT_CORE, &l) != 0 || l.rlim_max != 0)
		return 3;
	if (!MG_CONFINE_SANITIZED && (fork() != -1 || errno != EAGAIN))
		return 4;
	l.rlim_cur = l.rlim_max = 1000;
	return setrlimit(RLIMIT_NOFILE, &l) == -1 ? 0 : 5;
}

static void
rule5_limits_hold_and_cannot_be_raised(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_limits), 0);
}

static int
check_needs_root(void)
{
	char why[256] = "";

	if (!become_nobody())
		return 1;
	return mg_confine_user(USER, &limits, why, sizeof(why)) == MG_ERR_PERM
		   ? 0
		   : 2;
}

static void
a_process_without_root_is_refused(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_needs_root), 0);
}

/* The confined process ends when its parent does, whatever it waits for. */
static int
check_parent_death(void)
{
	int p[2], status;
	pid_t middle;
	char c;

	if (pipe(p) != 0 || (middle = fork()) == -1)
		return 1;
	if (middle == 0) {
		if (fork() == 0) {
			c = become_nobody() ? 'y' : 'n';
			(void)!write(p[1], &c, 1);
			pause();
			_exit(1);
		}
		pause();
		_exit(1);
	}
	close(p[1]);
	if (read(p[0], &c, 1) != 1 || c != 'y')
		return 2;
	(void)kill(middle, SIGKILL);
	(void)waitpid(middle, &status, 0);
	/* The end of the pipe is the end of the grandchild. */
	return read(p[0], &c, 1) == 0 ? 0 : 3;
}

static void
it_dies_with_its_parent(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_parent_death), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rule1_every_id_changes_and_no_group_is_left),
	    cmocka_unit_test(rule1_there_is_no_way_back_to_root),
	    cmocka_unit_test(rule2_an_unknown_user_is_refused_by_name),
	    cmocka_unit_test(rule2_a_user_with_uid_0_is_refused),
	    cmocka_unit_test(rule3_no_capability_is_left_in_any_set),
	    cmocka_unit_test(rule4_a_process_of_the_same_user_cannot_trace_it),
	    cmocka_unit_test(rule5_limits_hold_and_cannot_be_raised),
	    cmocka_unit_test(a_process_without_root_is_refused),
	    cmocka_unit_test(it_dies_with_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
