/* SPDX-License-Identifier: ISC */
/* The event loop: mg_loop.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <fcntl.h>

#include <cmocka.h>

#include "mg_loop.h"
#include "mg_time.h"
#include "open_fds.h"

#define MANY 10000

static struct mg_loop *loop;
static unsigned fds_before;

static int
setup(void **state)
{
	(void)state;
	fds_before = open_fds();
	loop = mg_loop_new();
	return loop == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	mg_loop_free(loop);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

/* ---- timers ---- */

static struct mg_timer timers[MANY];
static int64_t last_at;
static unsigned fired;

static void
note(void *arg)
{
	struct mg_timer *t = arg;

	assert_int_equal(t->slot, 0); /* not set any more */
	assert_true(t->at_ms <= mg_time_boot_ms());
	assert_true(t->at_ms >= last_at);
	last_at = t->at_ms;
	fired++;
}

static void
set(size_t i, int64_t at)
{
	assert_int_equal(
	    mg_timer_set(loop, &timers[i], at, note, &timers[i]), MG_ERR_OK);
}

static uint32_t seed = 12345;

static uint32_t
any(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void
ten_thousand_timers_fire_in_order_and_once(void **state)
{
	int64_t now = mg_time_boot_ms();
	size_t i, before;

	(void)state;
	memset(timers, 0, sizeof(timers));
	last_at = 0;
	fired = 0;
	for (i = 0; i < MANY; i++)
		set(i, now - 100000 + any() % 100000);
	/* Some are cleared, some set again, earlier or later. */
	for (i = 0; i < MANY; i += 3)
		mg_timer_clear(loop, &timers[i]);
	for (i = 1; i < MANY; i += 3)
		set(i, now - 200000 + any() % 200000);
	do { /* no round is long, and none waits for what is due */
		before = fired;
		mg_loop_once(loop, -1);
		assert_in_range(fired - before, 1, 64);
	} while (fired < MANY - (MANY + 2) / 3);
	mg_loop_once(loop, 0);
	assert_int_equal(fired, MANY - (MANY + 2) / 3);
}

static void
a_timer_does_not_fire_before_its_time_nor_long_after(void **state)
{
	int64_t start = mg_time_boot_ms();

	(void)state;
	memset(timers, 0, sizeof(timers[0]));
	last_at = 0;
	fired = 0;
	set(0, start + 30);
	while (fired == 0)
		mg_loop_once(loop, -1);
	assert_true(mg_time_boot_ms() >= start + 30);
	assert_true(mg_time_boot_ms() < start + 5000);
}

static void
waiting_ends_when_the_caller_says(void **state)
{
	int64_t start = mg_time_boot_ms();

	(void)state;
	memset(timers, 0, sizeof(timers[0]));
	fired = 0;
	set(0, start + 3600000);
	mg_loop_once(loop, 20);
	assert_int_equal(fired, 0);
	assert_true(mg_time_boot_ms() - start < 5000);
	mg_timer_clear(loop, &timers[0]);
	mg_timer_clear(loop, &timers[0]); /* twice is fine */
	mg_loop_once(loop, 0);
	assert_int_equal(fired, 0);
}

static void
clear_all(void *arg)
{
	size_t i;

	fired++;
	for (i = 0; i < *(size_t *)arg; i++)
		mg_timer_clear(loop, &timers[i]);
}

/* What the kernel says of the timer that descriptor n is: seconds left on
 * CLOCK_BOOTTIME, -1: it is none. */
static long
boot_timer(int n)
{
	char path[64], line[128];
	long left = -1, clock = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", n);
	if ((f = fopen(path, "r")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL) {
		(void)sscanf(line, "clockid: %ld", &clock);
		(void)sscanf(line, "it_value: (%ld,", &left);
	}
	fclose(f);
	return clock == 7 ? left : -1;
}

/* This machine cannot be suspended; but who waits is the kernel, and by which
 * clock, it says. */
static void
rule3_suspend_does_not_stretch_a_timer(void **state)
{
	struct mg_timer t = {.slot = 0};
	long left = -1;
	int fd;

	(void)state;
	last_at = 0;
	assert_int_equal(
	    mg_timer_set(loop, &t, mg_time_boot_ms() + 3600000, note, &t),
	    MG_ERR_OK);
	mg_loop_once(loop, 0);
	for (fd = 0; fd < 64 && left == -1; fd++)
		left = boot_timer(fd);
	assert_in_range(left, 3590, 3600);
	mg_timer_clear(loop, &t);
	mg_loop_once(loop, 0);
	for (fd = 0, left = -1; fd < 64 && left == -1; fd++)
		left = boot_timer(fd);
	assert_int_equal(left, 0);
}

static void
a_timer_may_clear_others_that_are_due(void **state)
{
	size_t n = 1000, i;

	(void)state;
	memset(timers, 0, sizeof(timers));
	fired = 0;
	for (i = 0; i < n; i++)
		assert_int_equal(mg_timer_set(loop, &timers[i], (int64_t)i + 1,
				     clear_all, &n),
		    MG_ERR_OK);
	mg_loop_once(loop, 0);
	assert_int_equal(fired, 1);
}

static void
again(void *arg)
{
	if (++fired < 100)
		assert_int_equal(
		    mg_timer_set(loop, arg, 1, again, arg), MG_ERR_OK);
}

static void
a_timer_may_set_itself_again(void **state)
{
	(void)state;
	memset(timers, 0, sizeof(timers[0]));
	fired = 0;
	again(&timers[0]);
	while (fired < 100)
		mg_loop_once(loop, 0);
	mg_loop_once(loop, 0);
	assert_int_equal(fired, 100);
}

static void
for_ever(void *arg)
{
	fired++;
	assert_int_equal(mg_timer_set(loop, arg, 1, for_ever, arg), MG_ERR_OK);
}

static void
rule2_a_timer_that_sets_itself_for_now_does_not_stop_the_rest(void **state)
{
	(void)state;
	memset(timers, 0, sizeof(timers[0]));
	fired = 0;
	for_ever(&timers[0]);
	(void)alarm(10); /* ends the test if the round never does */
	mg_loop_once(loop, -1);
	mg_loop_once(loop, -1);
	(void)alarm(0);
	assert_int_equal(fired, 3);
	mg_timer_clear(loop, &timers[0]);
}

/* ---- descriptors ---- */

struct end {
	int in, out; /* of a pipe */
	struct mg_watch *w;
	unsigned calls;
};

static struct end ends[200];

static void
open_end(struct end *e, mg_watch_fn fn)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	e->in = p[0];
	e->out = p[1];
	e->calls = 0;
	assert_int_equal(
	    mg_watch_add(loop, e->in, EPOLLIN, fn, e, &e->w), MG_ERR_OK);
}

static void
close_end(struct end *e)
{
	mg_watch_del(e->w);
	e->w = NULL;
	close(e->in);
	close(e->out);
}

static void
take(void *arg, uint32_t events)
{
	struct end *e = arg;
	char c;

	assert_true((events & EPOLLIN) != 0);
	assert_int_equal(read(e->in, &c, 1), 1);
	e->calls++;
}

static void
a_watch_is_called_for_what_it_watches(void **state)
{
	struct end *e = &ends[0];

	(void)state;
	open_end(e, take);
	mg_loop_once(loop, 0);
	assert_int_equal(e->calls, 0);
	assert_int_equal(write(e->out, "ab", 2), 2);
	mg_loop_once(loop, -1);
	mg_loop_once(loop, -1);
	assert_int_equal(e->calls, 2);
	mg_loop_once(loop, 0);
	assert_int_equal(e->calls, 2);
	mg_watch_set(e->w, 0);
	assert_int_equal(write(e->out, "c", 1), 1);
	mg_loop_once(loop, 0);
	assert_int_equal(e->calls, 2);
	mg_watch_set(e->w, EPOLLIN);
	mg_loop_once(loop, 0);
	assert_int_equal(e->calls, 3);
	close_end(e);
	mg_watch_del(NULL);
}

static void
delete_all(void *arg, uint32_t events)
{
	size_t i;

	(void)arg;
	(void)events;
	fired++;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		close_end(&ends[i]);
}

static void
rule1_a_callback_may_delete_every_watch_of_its_round(void **state)
{
	size_t i;

	(void)state;
	fired = 0;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		open_end(&ends[i], delete_all);
		assert_int_equal(write(ends[i].out, "x", 1), 1);
	}
	mg_loop_once(loop, -1);
	assert_int_equal(fired, 1);
	mg_loop_once(loop, 0);
	assert_int_equal(fired, 1);
}

static void
delete_and_reuse(void *arg, uint32_t events)
{
	struct end *e = arg, *other = e == &ends[0] ? &ends[1] : &ends[0];

	(void)events;
	fired++;
	/* A new watch gets the numbers, and perhaps the memory, of the one
	 * that is deleted: it must not be called for the old one's event. */
	close_end(other);
	open_end(other, delete_and_reuse);
}

static void
rule1_an_event_of_a_deleted_watch_reaches_no_other(void **state)
{
	(void)state;
	fired = 0;
	open_end(&ends[0], delete_and_reuse);
	open_end(&ends[1], delete_and_reuse);
	assert_int_equal(write(ends[0].out, "x", 1), 1);
	assert_int_equal(write(ends[1].out, "x", 1), 1);
	mg_loop_once(loop, -1);
	assert_int_equal(fired, 1);
	close_end(&ends[0]);
	close_end(&ends[1]);
}

static void
what_cannot_be_watched_is_an_error(void **state)
{
	struct mg_watch *w = (struct mg_watch *)loop;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(
	    mg_watch_add(loop, fd, EPOLLIN, take, NULL, &w), MG_ERR_SYS);
	assert_null(w);
	assert_int_equal(
	    mg_watch_add(loop, -1, EPOLLIN, take, NULL, &w), MG_ERR_SYS);
	assert_null(w);
	close(fd);
}

static void
round_end(void *arg)
{
	unsigned *n = arg;

	if (++*n == 3)
		mg_loop_stop(loop);
}

static void
each_round_has_one_end_and_a_stop_ends_the_last(void **state)
{
	unsigned rounds = 0;
	struct end *e = &ends[0];

	(void)state;
	open_end(e, take);
	assert_int_equal(write(e->out, "abcde", 5), 5);
	mg_loop_set_round_end(loop, round_end, &rounds);
	mg_loop_run(loop);
	assert_int_equal(rounds, 3);
	assert_int_equal(e->calls, 3);
	close_end(e);
}

static void
a_loop_that_is_freed_with_deleted_watches_leaks_nothing(void **state)
{
	(void)state;
	open_end(&ends[0], take);
	close_end(&ends[0]);
	mg_loop_free(NULL);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(ten_thousand_timers_fire_in_order_and_once),
	    T(a_timer_does_not_fire_before_its_time_nor_long_after),
	    T(waiting_ends_when_the_caller_says),
	    T(rule3_suspend_does_not_stretch_a_timer),
	    T(a_timer_may_clear_others_that_are_due),
	    T(a_timer_may_set_itself_again),
	    T(rule2_a_timer_that_sets_itself_for_now_does_not_stop_the_rest),
	    T(a_watch_is_called_for_what_it_watches),
	    T(rule1_a_callback_may_delete_every_watch_of_its_round),
	    T(rule1_an_event_of_a_deleted_watch_reaches_no_other),
	    T(what_cannot_be_watched_is_an_error),
	    T(each_round_has_one_end_and_a_stop_ends_the_last),
	    T(a_loop_that_is_freed_with_deleted_watches_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
