/* SPDX-License-Identifier: ISC */
/*
 * Clients of the agent for the soak test, good ones and others.
 *
 *	soak_client ask RATE SECONDS	asks what is held, each question when it
 *		is due, whatever became of those before; prints times as JSON
 *	soak_client file N OPERATION	files N requests that wait
 *	soak_client flood N KIND	keeps N connections open, until killed:
 *		idle	says nothing		half	half a frame
 *		slow	a byte a second		fds	descriptors a second
 *		mute	asks for every request, and never reads
 *		churn	hangs up at once and connects again, all the time
 *		busy	the same, but asks first
 *		bomb	descriptors as fast as the kernel takes them
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mg_client.h"

#define ANSWER_MS 30000
#define TIMES_MAX 2000000
#define FLOOD_MAX 4000
#define AT_ONCE 100 /* of the places that one user has */

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* One question on a connection of its own; false when it got no answer. */
static bool
ask(enum mg_msg_op op, const void *msg)
{
	struct mg_chan *ch;
	struct mg_frame f;
	enum mg_err r;
	bool done = false;

	r = mg_client_connect(MG_CLIENT_SOCKET, ANSWER_MS, &ch);
	if (r != MG_ERR_OK)
		return false;
	memset(&f, 0, sizeof(f));
	r = mg_chan_send(ch, 1, op, msg);
	while (r == MG_ERR_OK && !done) {
		r = mg_chan_wait(ch, ANSWER_MS, &f);
		if (r == MG_ERR_OK && f.op == MG_MSG_REFUSED)
			break;
		done = r == MG_ERR_OK && f.op == MG_MSG_DONE;
	}
	mg_chan_free(ch);
	return done;
}

struct asking {
	double due_ms; /* the time is counted from when it was due */
	double took_ms;
	bool answered;
	sem_t *places;
};

static void *
ask_one(void *arg)
{
	struct mg_list_req q = {.what = MG_LIST_GRANTS, .id = ""};
	struct asking *a = arg;

	a->answered = ask(MG_MSG_LIST_REQ, &q);
	a->took_ms = now_ms() - a->due_ms;
	sem_post(a->places);
	return NULL;
}

static void
wait_until(double ms)
{
	struct timespec ts = {.tv_sec = (time_t)(ms / 1e3)};

	ts.tv_nsec = (long)(ms * 1e6 - (double)ts.tv_sec * 1e9);
	while (
	    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		continue;
}

static void
print_times(const struct asking *v, size_t n, double ms)
{
	double *times = calloc(n, sizeof(*times));
	size_t i, failed = 0;

	for (i = 0; times != NULL && i < n; i++) {
		times[i] = v[i].took_ms;
		failed += !v[i].answered;
	}
	if (times == NULL || n == 0)
		exit(1);
	qsort(times, n, sizeof(*times), compare);
	printf("{\"asked\":%zu,\"failed\":%zu,\"rate\":%.1f,\"p50_ms\":%.2f,"
	       "\"p99_ms\":%.2f,\"max_ms\":%.2f}\n",
	    n, failed, (double)n / ms * 1e3, times[n / 2], times[n * 99 / 100],
	    times[n - 1]);
	free(times);
}

static int
ask_often(double rate, double seconds)
{
	double begin = now_ms(), due = begin;
	struct asking *v = calloc(TIMES_MAX, sizeof(*v));
	pthread_attr_t attr;
	pthread_t thread;
	sem_t places;
	size_t n = 0;
	int i;

	if (v == NULL || sem_init(&places, 0, AT_ONCE) != 0 ||
	    pthread_attr_init(&attr) != 0 ||
	    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0 ||
	    pthread_attr_setstacksize(&attr, (size_t)128 << 10) != 0)
		return 1;
	for (; due < begin + seconds * 1e3 && n < TIMES_MAX;
	     due += 1e3 / rate) {
		wait_until(due);
		while (sem_wait(&places) != 0)
			continue;
		v[n] = (struct asking){.due_ms = due, .places = &places};
		if (pthread_create(&thread, &attr, ask_one, &v[n]) != 0)
			return 1;
		n++;
	}
	for (i = 0; i < AT_ONCE; i++)
		while (sem_wait(&places) != 0)
			continue;
	print_times(v, n, now_ms() - begin);
	free(v);
	return 0;
}

static int
file_requests(unsigned n, const char *operation)
{
	struct mg_run_req q = {.operation = operation,
	    .model = "",
	    .version = "1",
	    .reason = "soak",
	    .ticket = "",
	    .term = "",
	    .flags = MG_RUN_NO_WAIT | MG_RUN_GRANT_ONLY};
	struct timespec pause = {.tv_nsec = 100000000};
	char model[32];
	unsigned i, tries, ok = 0;

	for (i = 0; i < n; i++) {
		snprintf(model, sizeof(model), "soak-%u", i);
		q.model = model;
		/* Too often a second is refused. */
		for (tries = 0; !ask(MG_MSG_RUN_REQ, &q); tries++) {
			if (tries == 50)
				break;
			nanosleep(&pause, NULL);
		}
		ok += tries < 50;
	}
	printf("{\"filed\":%u,\"wanted\":%u}\n", ok, n);
	return 0;
}

/* ---- the others ---- */

static int
connect_one(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(sun.sun_path, MG_CLIENT_SOCKET, sizeof(MG_CLIENT_SOCKET));
	if (fd != -1 &&
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void
send_fds(int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = ctl.buf,
	    .msg_controllen = sizeof(ctl.buf)};
	int i, *fds = (int *)(void *)CMSG_DATA(&ctl.align);

	memset(&ctl, 0, sizeof(ctl));
	ctl.align.cmsg_level = SOL_SOCKET;
	ctl.align.cmsg_type = SCM_RIGHTS;
	ctl.align.cmsg_len = CMSG_LEN(sizeof(int) * 16);
	for (i = 0; i < 16; i++)
		fds[i] = STDIN_FILENO;
	(void)!sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* A list of everything, on a socket that stays ours. */
static void
ask_all(int fd)
{
	struct mg_list_req q = {
	    .what = MG_LIST_REQUESTS, .everyone = true, .id = ""};
	struct mg_buf b;

	mg_buf_init(&b, 4096);
	if (mg_msg_encode(&b, 1, MG_MSG_LIST_REQ, &q, NULL) == MG_ERR_OK)
		(void)!send(fd, mg_buf_ptr(&b), mg_buf_len(&b), MSG_NOSIGNAL);
	mg_buf_fini(&b);
}

/* What a connection does once a second, beginning with its first. */
static void
misbehave(int fd, const char *kind, bool first)
{
	static const char frame[] = "\0\0\1\0\0\1\0\1\0\0\0\1half";
	char buf[4096];

	if (strcmp(kind, "mute") == 0 || strcmp(kind, "busy") == 0) {
		if (first)
			ask_all(fd);
		return;
	}
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		continue;
	if (strcmp(kind, "fds") == 0 || strcmp(kind, "bomb") == 0)
		send_fds(fd);
	else if (strcmp(kind, "half") == 0 && first)
		(void)!send(fd, frame, sizeof(frame) - 1, MSG_NOSIGNAL);
	else if (strcmp(kind, "slow") == 0)
		(void)!send(fd, first ? "" : "\1", 1, MSG_NOSIGNAL);
}

static bool
is_over(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static _Noreturn void
flood(size_t n, const char *kind)
{
	static int fds[FLOOD_MAX];
	struct timespec second = {.tv_sec = 1};
	bool first;
	bool churns = strcmp(kind, "churn") == 0 || strcmp(kind, "busy") == 0;
	bool hurries = churns || strcmp(kind, "bomb") == 0;
	size_t i;

	if (n > FLOOD_MAX)
		n = FLOOD_MAX;
	for (i = 0; i < n; i++)
		fds[i] = -1;
	for (;;) {
		for (i = 0; i < n; i++) {
			if (fds[i] != -1 && (churns || is_over(fds[i]))) {
				close(fds[i]);
				fds[i] = -1;
			}
			if ((first = fds[i] == -1))
				fds[i] = connect_one();
			if (fds[i] != -1)
				misbehave(fds[i], kind, first);
		}
		if (!hurries)
			nanosleep(&second, NULL);
	}
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "ask") == 0)
		return ask_often(strtod(argv[2], NULL), strtod(argv[3], NULL));
	if (argc == 4 && strcmp(argv[1], "file") == 0)
		return file_requests(
		    (unsigned)strtoul(argv[2], NULL, 10), argv[3]);
	if (argc == 4 && strcmp(argv[1], "flood") == 0)
		flood(strtoul(argv[2], NULL, 10), argv[3]);
	fprintf(stderr, "usage: soak_client ask RATE SECONDS | file N "
			"OPERATION | flood N KIND\n");
	return 2;
}
