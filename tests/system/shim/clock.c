/* SPDX-License-Identifier: ISC */
/*
 * Clocks that a test sets: preloaded into every program of a sandbox by its
 * /etc/ld.so.preload, never part of anything that is shipped. CLOCK holds two
 * 64-bit numbers: milliseconds that the wall clock is ahead of the machine's,
 * and milliseconds that the time since boot is (a suspend that was). Programs
 * map it at their start; a step is seen by all of them at once.
 *
 * A timer that waits for a time since boot does not expire at the step, as the
 * kernel would have it after a suspend; the test wakes who waits.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CLOCK "/run/sandbox/clock"

static const volatile int64_t *ahead_ms;
static int (*real_gettime)(clockid_t id, struct timespec *ts);
static int (*real_settime)(
    int fd, int flags, const struct itimerspec *new, struct itimerspec *old);

/* A cast from an object's to a function's pointer is not ISO C. */
static void
find(const char *name, void *fnp)
{
	*(void **)fnp = dlsym(RTLD_NEXT, name);
	if (*(void **)fnp == NULL)
		abort();
}

__attribute__((constructor)) static void
begin(void)
{
	int fd = open(CLOCK, O_RDONLY | O_CLOEXEC);
	void *p;

	find("clock_gettime", &real_gettime);
	find("timerfd_settime", &real_settime);
	if (fd == -1)
		return;
	p = mmap(NULL, 2 * sizeof(*ahead_ms), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		ahead_ms = p;
	close(fd);
}

static void
add(struct timespec *ts, int64_t ms)
{
	int64_t ns = ts->tv_nsec + ms % 1000 * 1000000;

	ts->tv_sec += ms / 1000;
	if (ns < 0) {
		ns += 1000000000;
		ts->tv_sec--;
	}
	ts->tv_sec += ns / 1000000000;
	ts->tv_nsec = ns % 1000000000;
}

static int64_t
ahead(clockid_t id)
{
	if (ahead_ms == NULL)
		return 0;
	return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? ahead_ms[0]
	       : id == CLOCK_BOOTTIME				   ? ahead_ms[1]
								   : 0;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int r;

	if (real_gettime == NULL) /* somebody's constructor, before ours */
		find("clock_gettime", &real_gettime);
	if ((r = real_gettime(id, ts)) == 0)
		add(ts, ahead(id));
	return r;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;

	(void)tz;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *tp)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (tp != NULL)
		*tp = ts.tv_sec;
	return ts.tv_sec;
}

/* Only the loop's timer, on CLOCK_BOOTTIME, is set to a point in time. */
int
timerfd_settime(
    int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct itimerspec at = *new;

	if ((flags & TFD_TIMER_ABSTIME) != 0 &&
	    (at.it_value.tv_sec != 0 || at.it_value.tv_nsec != 0)) {
		add(&at.it_value, -ahead(CLOCK_BOOTTIME));
		if (at.it_value.tv_sec < 0 ||
		    (at.it_value.tv_sec == 0 && at.it_value.tv_nsec == 0)) {
			at.it_value.tv_sec = 0;
			at.it_value.tv_nsec = 1;
		}
	}
	return real_settime(fd, flags, &at, old);
}
