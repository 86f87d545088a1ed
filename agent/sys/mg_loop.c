/* SPDX-License-Identifier: ISC */
/*
 * The event loop.
 *
 * Rules
 * 1. A watch deleted while its round is dispatched is freed only after the
 *    round: later events of the same round may still name it.
 * 2. A round runs no more timers than were set when it began, and no more
 *    than a few: neither one that sets itself again for now, nor thousands
 *    that are due together, may keep descriptors waiting.
 * 3. The next timer is a timerfd on CLOCK_BOOTTIME: what epoll_wait(2) counts
 *    stands still in suspend, and a grant would outlive its time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "mg_loop.h"
#include "mg_time.h"

#define EVENTS_PER_ROUND 128
#define TIMERS_PER_ROUND 64

struct mg_watch {
	struct mg_loop *loop;
	int fd;
	uint32_t events;
	mg_watch_fn fn; /* NULL: deleted */
	void *arg;
	struct mg_watch *next_dead;
};

struct mg_loop {
	int epfd;
	int timer_fd;
	int64_t armed_ms; /* when timer_fd expires; 0: not set */
	bool stop;
	struct mg_watch *dead;
	struct mg_timer **heap; /* heap[1..n], earliest first */
	size_t n, cap;
	void (*round_end)(void *arg);
	void *round_arg;
};

static void
close_both(struct mg_loop *loop)
{
	int saved = errno;

	if (loop->epfd != -1)
		close(loop->epfd);
	if (loop->timer_fd != -1)
		close(loop->timer_fd);
	errno = saved;
}

struct mg_loop *
mg_loop_new(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	struct mg_loop *loop;

	if ((loop = calloc(1, sizeof(*loop))) == NULL)
		return NULL;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd =
	    timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epfd == -1 || loop->timer_fd == -1 ||
	    epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->timer_fd, &ev) != 0) {
		close_both(loop);
		free(loop);
		return NULL;
	}
	return loop;
}

static void
bury(struct mg_loop *loop)
{
	struct mg_watch *w;

	while ((w = loop->dead) != NULL) {
		loop->dead = w->next_dead;
		free(w);
	}
}

void
mg_loop_free(struct mg_loop *loop)
{
	if (loop == NULL)
		return;
	bury(loop);
	close_both(loop);
	free(loop->heap);
	free(loop);
}

enum mg_err
mg_watch_add(struct mg_loop *loop, int fd, uint32_t events, mg_watch_fn fn,
    void *arg, struct mg_watch **wp)
{
	struct epoll_event ev;
	struct mg_watch *w;

	*wp = NULL;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return MG_ERR_NOMEM;
	w->loop = loop;
	w->fd = fd;
	w->events = events;
	w->fn = fn;
	w->arg = arg;
	ev.events = events;
	ev.data.ptr = w;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		free(w);
		return MG_ERR_SYS;
	}
	*wp = w;
	return MG_ERR_OK;
}

void
mg_watch_set(struct mg_watch *w, uint32_t events)
{
	struct epoll_event ev;

	if (w->events == events)
		return;
	w->events = events;
	ev.events = events;
	ev.data.ptr = w;
	(void)epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev);
}

void
mg_watch_del(struct mg_watch *w)
{
	if (w == NULL)
		return;
	(void)epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fn = NULL;
	w->next_dead = w->loop->dead; /* Rule 1 */
	w->loop->dead = w;
}

/* ---- timers: a binary heap ---- */

static void
place(struct mg_loop *loop, size_t slot, struct mg_timer *t)
{
	loop->heap[slot] = t;
	t->slot = slot;
}

static void
sift(struct mg_loop *loop, size_t slot, struct mg_timer *t)
{
	size_t child;

	while (slot > 1 && loop->heap[slot / 2]->at_ms > t->at_ms) {
		place(loop, slot, loop->heap[slot / 2]);
		slot /= 2;
	}
	while ((child = slot * 2) <= loop->n) {
		if (child < loop->n &&
		    loop->heap[child + 1]->at_ms < loop->heap[child]->at_ms)
			child++;
		if (loop->heap[child]->at_ms >= t->at_ms)
			break;
		place(loop, slot, loop->heap[child]);
		slot = child;
	}
	place(loop, slot, t);
}

void
mg_timer_clear(struct mg_loop *loop, struct mg_timer *t)
{
	struct mg_timer *last;
	size_t slot = t->slot;

	if (slot == 0)
		return;
	t->slot = 0;
	last = loop->heap[loop->n--];
	if (last != t)
		sift(loop, slot, last);
}

enum mg_err
mg_timer_set(struct mg_loop *loop, struct mg_timer *t, int64_t at_ms,
    void (*fn)(void *arg), void *arg)
{
	struct mg_timer **heap;
	size_t cap;

	mg_timer_clear(loop, t);
	if (loop->n + 2 > loop->cap) {
		cap = loop->cap == 0 ? 64 : loop->cap * 2;
		heap = reallocarray(loop->heap, cap, sizeof(*heap));
		if (heap == NULL)
			return MG_ERR_NOMEM;
		loop->heap = heap;
		loop->cap = cap;
	}
	t->at_ms = at_ms;
	t->fn = fn;
	t->arg = arg;
	loop->n++;
	sift(loop, loop->n, t);
	return MG_ERR_OK;
}

static void
run_timers(struct mg_loop *loop)
{
	int64_t now = mg_time_boot_ms();
	struct mg_timer *t;
	size_t left;

	left = loop->n < TIMERS_PER_ROUND ? loop->n : TIMERS_PER_ROUND;
	for (; left > 0 && loop->n > 0; left--) { /* Rule 2 */
		if ((t = loop->heap[1])->at_ms > now)
			break;
		mg_timer_clear(loop, t);
		t->fn(t->arg);
	}
}

/*
 * Rule 3. Once it has expired, timer_fd stays readable until it is set anew:
 * a timer that is left over keeps the next round from waiting.
 */
static void
arm(struct mg_loop *loop)
{
	int64_t at = loop->n == 0 ? 0 : loop->heap[1]->at_ms;
	struct itimerspec when = {{0, 0}, {0, 0}};

	if (loop->n > 0 && at < 1)
		at = 1;
	if (at == loop->armed_ms)
		return;
	when.it_value.tv_sec = at / 1000;
	when.it_value.tv_nsec = at % 1000 * 1000000;
	if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) ==
	    0)
		loop->armed_ms = at;
}

void
mg_loop_set_round_end(struct mg_loop *loop, void (*fn)(void *arg), void *arg)
{
	loop->round_end = fn;
	loop->round_arg = arg;
}

void
mg_loop_once(struct mg_loop *loop, int max_wait_ms)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	struct mg_watch *w;
	int n, i;

	arm(loop);
	n = epoll_wait(loop->epfd, ev, EVENTS_PER_ROUND, max_wait_ms);
	for (i = 0; i < n; i++) {
		w = ev[i].data.ptr;
		if (w != NULL && w->fn != NULL)
			w->fn(w->arg, ev[i].events);
	}
	run_timers(loop);
	if (loop->round_end != NULL)
		loop->round_end(loop->round_arg);
	bury(loop);
}

void
mg_loop_run(struct mg_loop *loop)
{
	loop->stop = false;
	while (!loop->stop)
		mg_loop_once(loop, -1);
}

void
mg_loop_stop(struct mg_loop *loop)
{
	loop->stop = true;
}
