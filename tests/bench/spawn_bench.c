/* SPDX-License-Identifier: ISC */
/*
 * How long whole commands take, side by side.
 *
 *	spawn_bench [-n ROUNDS] [-p PAUSE_US] [-t] NAME COMMAND... [, NAME ...]
 *
 * Each round starts every command once, in a new order, and waits for its
 * end; the first tenth of the rounds warms up and does not count. Between
 * two commands is a pause, so that what one leaves to do is not added to
 * the next one's time. -t: each on a terminal of its own. Prints one line
 * of JSON a command, times in microseconds from before the spawn to after
 * the wait; ratio is the median of its time over the first command's in
 * the same round, diff_us that of the difference.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16
#define ROUNDS_MAX 100000
#define FAILED_MAX 20 /* then it is no measurement */

extern char **environ;

struct command {
	const char *name;
	char **argv;
	double *us;
	unsigned failed;
};

static struct command commands[COMMANDS_MAX];
static size_t ncommands;
static size_t rounds = 300;
static long pause_us = 5000;
static bool on_terminal;
static int master = -1;
static char slave[64];

static void
die(const char *what)
{
	fprintf(stderr, "spawn_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* ---- one command ---- */

static void
open_terminal(void)
{
	if ((master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) == -1 ||
	    grantpt(master) != 0 || unlockpt(master) != 0 ||
	    ptsname_r(master, slave, sizeof(slave)) != 0)
		die("cannot open a terminal");
}

/* What the command wrote on the terminal: nobody reads it. */
static void
empty_terminal(void)
{
	char buf[4096];

	if (fcntl(master, F_SETFL, O_NONBLOCK) != 0)
		die("cannot read the terminal");
	while (read(master, buf, sizeof(buf)) > 0)
		continue;
}

static void
prepare(posix_spawn_file_actions_t *fa, posix_spawnattr_t *at)
{
	const char *in = on_terminal ? slave : "/dev/null";
	short flags = on_terminal ? POSIX_SPAWN_SETSID : 0;

	if (posix_spawn_file_actions_init(fa) != 0 ||
	    posix_spawnattr_init(at) != 0 ||
	    posix_spawnattr_setflags(at, flags) != 0 ||
	    posix_spawn_file_actions_addopen(fa, 0, in, O_RDWR, 0) != 0 ||
	    posix_spawn_file_actions_adddup2(fa, 0, 1) != 0)
		die("cannot prepare");
	if (on_terminal && posix_spawn_file_actions_adddup2(fa, 0, 2) != 0)
		die("cannot prepare");
}

/* Returns the time that it took; counts a failure. */
static double
run(struct command *c)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	double begin, end;
	int status, err;
	pid_t pid;

	if (on_terminal)
		open_terminal();
	prepare(&fa, &at);
	begin = now_us();
	err = posix_spawnp(&pid, c->argv[0], &fa, &at, c->argv, environ);
	if (err != 0) {
		errno = err;
		die(c->argv[0]);
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			die("cannot wait");
	end = now_us();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		c->failed++;
	if (c->failed > FAILED_MAX) {
		fprintf(stderr, "spawn_bench: %s keeps failing\n", c->name);
		exit(1);
	}
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	if (on_terminal) {
		empty_terminal();
		close(master);
	}
	return end - begin;
}

/* ---- all of them ---- */

static void
shuffle(size_t *order)
{
	size_t i, j, t;

	for (i = ncommands; i > 1; i--) {
		j = (size_t)rand() % i;
		t = order[i - 1];
		order[i - 1] = order[j];
		order[j] = t;
	}
}

static void
measure(void)
{
	struct timespec ts = {
	    .tv_sec = pause_us / 1000000, .tv_nsec = pause_us % 1000000 * 1000};
	size_t order[COMMANDS_MAX], warm = rounds / 10, r, i;

	for (i = 0; i < ncommands; i++)
		order[i] = i;
	for (r = 0; r < rounds + warm; r++) {
		shuffle(order);
		for (i = 0; i < ncommands; i++) {
			struct command *c = &commands[order[i]];
			double us = run(c);

			if (r >= warm)
				c->us[r - warm] = us;
			if (pause_us > 0)
				nanosleep(&ts, NULL);
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
quantile(const double *sorted, double q)
{
	size_t i = (size_t)(q * (double)(rounds - 1) + 0.5);

	return sorted[i];
}

static void
report(void)
{
	double *v = calloc(rounds, sizeof(*v)), ratio, diff;
	const struct command *c;
	size_t i;

	if (v == NULL)
		die("out of memory");
	for (c = commands; c < commands + ncommands; c++) {
		for (i = 0; i < rounds; i++)
			v[i] = c->us[i] / commands[0].us[i];
		qsort(v, rounds, sizeof(*v), compare);
		ratio = quantile(v, 0.5);
		for (i = 0; i < rounds; i++)
			v[i] = c->us[i] - commands[0].us[i];
		qsort(v, rounds, sizeof(*v), compare);
		diff = quantile(v, 0.5);
		memcpy(v, c->us, rounds * sizeof(*v));
		qsort(v, rounds, sizeof(*v), compare);
		printf("{\"name\":\"%s\",\"n\":%zu,\"failed\":%u,"
		       "\"min_us\":%.0f,\"p50_us\":%.0f,\"p90_us\":%.0f,"
		       "\"p99_us\":%.0f,\"ratio\":%.3f,\"diff_us\":%.0f}\n",
		    c->name, rounds, c->failed, v[0], quantile(v, 0.5),
		    quantile(v, 0.9), quantile(v, 0.99), ratio, diff);
	}
	free(v);
}

static void
usage(void)
{
	fprintf(stderr, "usage: spawn_bench [-n ROUNDS] [-p PAUSE_US] [-t] "
			"NAME COMMAND... [, NAME COMMAND...]\n");
	exit(2);
}

static void
take_commands(char **v)
{
	struct command *c;

	while (*v != NULL) {
		if (ncommands == COMMANDS_MAX || v[1] == NULL)
			usage();
		c = &commands[ncommands++];
		c->name = *v++;
		c->argv = v;
		if ((c->us = calloc(rounds, sizeof(*c->us))) == NULL)
			die("out of memory");
		while (*v != NULL && strcmp(*v, ",") != 0)
			v++;
		if (*v != NULL)
			*v++ = NULL;
		if (c->argv[0] == NULL)
			usage();
	}
	if (ncommands == 0)
		usage();
}

int
main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+n:p:t")) != -1) {
		switch (c) {
		case 'n':
			rounds = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			pause_us = strtol(optarg, NULL, 10);
			break;
		case 't':
			on_terminal = true;
			break;
		default:
			usage();
		}
	}
	if (rounds == 0 || rounds > ROUNDS_MAX || pause_us < 0)
		usage();
	take_commands(argv + optind);
	measure();
	report();
	return 0;
}
