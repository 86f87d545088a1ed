/* SPDX-License-Identifier: ISC */
/*
 * Closing what clients have passed, or may have passed.
 *
 * Rules
 * 1. The last close of a connection waits as long as whoever made it has
 *    said (SO_LINGER), and a socket that is closed closes whatever is on its
 *    way in it, too. That would be as long as a client likes, and nobody else
 *    would be served meanwhile. A signal ends that wait: one is due a moment
 *    after each such close began.
 */
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "mg_close.h"
#include "mg_log.h"

#define FIRST_US 200 /* more than a close takes that waits for nobody */
#define AGAIN_US 1000

static bool is_set;

/* The signal has to be caught to end a wait: there is nothing else to do. */
static void
on_alarm(int signo)
{
	(void)signo;
}

enum mg_err
mg_close_init(void)
{
	struct sigaction sa;
	sigset_t set;

	is_set = false; /* a child has none of its parent's alarms */
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_alarm;
	sa.sa_flags = SA_RESTART;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (sigaction(SIGALRM, &sa, NULL) != 0 ||
	    sigprocmask(SIG_UNBLOCK, &set, NULL) != 0)
		return MG_ERR_SYS;
	return MG_ERR_OK;
}

static void
set_alarm(bool on, int first_us, int again_us)
{
	const struct itimerval when = {
	    .it_value = {.tv_usec = first_us},
	    .it_interval = {.tv_usec = again_us},
	};

	if (is_set == on)
		return;
	is_set = on;
	if (setitimer(ITIMER_REAL, &when, NULL) != 0)
		mg_fatal("cannot set an alarm");
}

void
mg_close_begin(void)
{
	set_alarm(true, FIRST_US, AGAIN_US);
}

void
mg_close_end(void)
{
	set_alarm(false, 0, 0);
}

void
mg_close(int fd)
{
	bool was = is_set;

	mg_close_begin();
	close(fd);
	if (!was)
		mg_close_end();
}
