/* SPDX-License-Identifier: ISC */
/*
 * What one PAM stack adds to another.
 *
 *	pam_bench [-n ROUNDS] USER WITHOUT WITH
 *
 * Each round takes both services once, in a random order, each in a process
 * of its own: account, session open, session close, as sshd does for USER who
 * came from 127.0.0.1. Prints one line of JSON a stage, in microseconds: the
 * medians, the least with the second, and median and 99th percentile of the
 * difference within a round;
 * "login" is account and session open together, what a person waits for.
 */
#include <errno.h>
#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 100000
#define STAGES 4 /* account, open, close; login */

static const char *const stages[STAGES] = {"account", "open", "close", "login"};
static double *us[2][STAGES];
static size_t rounds = 300;

static void
die(const char *what)
{
	fprintf(stderr, "pam_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Nobody reads what is said; questions are not answered. */
static int
converse(int n, const struct pam_message **msg, struct pam_response **respp,
    void *arg)
{
	(void)msg;
	(void)arg;
	*respp = calloc((size_t)n, sizeof(**respp));
	return *respp == NULL ? PAM_BUF_ERR : PAM_SUCCESS;
}

static double
timed(pam_handle_t *pamh, int (*stage)(pam_handle_t *, int), const char *name)
{
	double begin = now_us();
	int r = stage(pamh, 0);

	if (r != PAM_SUCCESS) {
		fprintf(
		    stderr, "pam_bench: %s: %s\n", name, pam_strerror(pamh, r));
		_exit(1);
	}
	return now_us() - begin;
}

/* In a process of its own, which becomes a login. */
static void
child(const char *service, const char *user, int fd)
{
	const struct pam_conv conv = {converse, NULL};
	pam_handle_t *pamh = NULL;
	double v[STAGES];

	if (pam_start(service, user, &conv, &pamh) != PAM_SUCCESS ||
	    pam_set_item(pamh, PAM_TTY, "ssh") != PAM_SUCCESS ||
	    pam_set_item(pamh, PAM_RHOST, "127.0.0.1") != PAM_SUCCESS)
		_exit(1);
	v[0] = timed(pamh, pam_acct_mgmt, "account");
	v[1] = timed(pamh, pam_open_session, "open");
	v[2] = timed(pamh, pam_close_session, "close");
	v[3] = v[0] + v[1];
	pam_end(pamh, PAM_SUCCESS);
	_exit(write(fd, v, sizeof(v)) == (ssize_t)sizeof(v) ? 0 : 1);
}

static void
run(const char *service, const char *user, double v[STAGES])
{
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) != 0 || (pid = fork()) == -1)
		die("cannot fork");
	if (pid == 0)
		child(service, user, fds[1]);
	close(fds[1]);
	if (read(fds[0], v, sizeof(double) * STAGES) !=
	    (ssize_t)sizeof(double) * STAGES)
		die(service);
	close(fds[0]);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			die("cannot wait");
}

static void
measure(const char *user, char *const service[2])
{
	size_t warm = rounds / 10, r, s, i;
	double v[STAGES];
	int first;

	for (r = 0; r < rounds + warm; r++) {
		first = rand() & 1;
		for (i = 0; i < 2; i++) {
			size_t which = i ^ (size_t)first;

			run(service[which], user, v);
			for (s = 0; r >= warm && s < STAGES; s++)
				us[which][s][r - warm] = v[s];
		}
	}
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
quantile(const double *v, double q)
{
	double *sorted = malloc(rounds * sizeof(*v)), x;

	if (sorted == NULL)
		die("out of memory");
	memcpy(sorted, v, rounds * sizeof(*v));
	qsort(sorted, rounds, sizeof(*v), compare);
	x = sorted[(size_t)(q * (double)(rounds - 1) + 0.5)];
	free(sorted);
	return x;
}

static void
report(void)
{
	double *diff = malloc(rounds * sizeof(*diff));
	size_t s, i;

	if (diff == NULL)
		die("out of memory");
	for (s = 0; s < STAGES; s++) {
		for (i = 0; i < rounds; i++)
			diff[i] = us[1][s][i] - us[0][s][i];
		printf(
		    "{\"stage\":\"%s\",\"n\":%zu,\"without_us\":%.0f,"
		    "\"with_us\":%.0f,\"least_us\":%.0f,\"added_p50_us\":%.0f,"
		    "\"added_p99_us\":%.0f}\n",
		    stages[s], rounds, quantile(us[0][s], 0.5),
		    quantile(us[1][s], 0.5), quantile(us[1][s], 0),
		    quantile(diff, 0.5), quantile(diff, 0.99));
	}
	free(diff);
}

int
main(int argc, char **argv)
{
	size_t s;
	int c;

	while ((c = getopt(argc, argv, "n:")) == 'n')
		rounds = strtoul(optarg, NULL, 10);
	if (c != -1 || argc - optind != 3 || rounds == 0 ||
	    rounds > ROUNDS_MAX) {
		fprintf(
		    stderr, "usage: pam_bench [-n ROUNDS] USER WITHOUT WITH\n");
		return 2;
	}
	for (s = 0; s < (size_t)2 * STAGES; s++)
		if ((us[s / STAGES][s % STAGES] =
			    calloc(rounds, sizeof(double))) == NULL)
			die("out of memory");
	measure(argv[optind], argv + optind + 1);
	report();
	return 0;
}
