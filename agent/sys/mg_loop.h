/* SPDX-License-Identifier: ISC */
#ifndef MG_LOOP_H
#define MG_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * An event loop over epoll: descriptors and timers. Timers count on
 * CLOCK_BOOTTIME, so suspend does not stretch them. Single-threaded.
 */

struct mg_loop;
struct mg_watch;

typedef void (*mg_watch_fn)(void *arg, uint32_t events); /* EPOLL* */

struct mg_timer {
	int64_t at_ms; /* CLOCK_BOOTTIME */
	void (*fn)(void *arg);
	void *arg;
	size_t slot; /* place in the heap from 1; 0: not set */
};

struct mg_loop *mg_loop_new(void) MG_MUST_CHECK; /* NULL: errno says why */
void mg_loop_free(struct mg_loop *loop);

/*
 * Watches fd (which stays the caller's) for events. The watch lives until
 * mg_watch_del(), which may be called from any callback.
 */
enum mg_err mg_watch_add(struct mg_loop *loop, int fd, uint32_t events,
    mg_watch_fn fn, void *arg, struct mg_watch **wp) MG_MUST_CHECK;
void mg_watch_set(struct mg_watch *w, uint32_t events);
void mg_watch_del(struct mg_watch *w); /* NULL is fine */

/* Sets t (again). Caller's storage; fn is called once, at or after at_ms. */
enum mg_err mg_timer_set(struct mg_loop *loop, struct mg_timer *t,
    int64_t at_ms, void (*fn)(void *arg), void *arg) MG_MUST_CHECK;
void mg_timer_clear(struct mg_loop *loop, struct mg_timer *t);

/*
 * Called after each round of events, before waiting again: the place where
 * a round's ledger lines are written together.
 */
void mg_loop_set_round_end(
    struct mg_loop *loop, void (*fn)(void *arg), void *arg);

/* Dispatches until mg_loop_stop(). */
void mg_loop_run(struct mg_loop *loop);
void mg_loop_stop(struct mg_loop *loop);

/* One round that waits at most max_wait_ms (-1: until something happens). */
void mg_loop_once(struct mg_loop *loop, int max_wait_ms);

#endif
