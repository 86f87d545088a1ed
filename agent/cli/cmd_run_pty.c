/* SPDX-License-Identifier: ISC */
/*
 * run: this terminal and the command's.
 *
 * The command runs on a pty of its own whose other side the agent hands
 * over: bytes go straight between it and this terminal, not through the
 * agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_run.h"

#define RELAY_BUFFER 65536
#define DRAIN_MS 100

/* ---- the terminal ---- */

static bool
in_foreground(const struct run_session *s)
{
	return s->tty != -1 && tcgetpgrp(s->tty) == getpgrp();
}

void
run_raw(struct run_session *s)
{
	struct termios t;

	if (s->raw || s->in == -1 || !in_foreground(s) ||
	    tcgetattr(s->tty, &s->saved) != 0)
		return;
	s->has_saved = true;
	t = s->saved;
	cfmakeraw(&t);
	if (tcsetattr(s->tty, TCSADRAIN, &t) == 0)
		s->raw = true;
}

void
run_cooked(struct run_session *s)
{
	if (!s->raw)
		return;
	(void)tcsetattr(s->tty, TCSADRAIN, &s->saved);
	s->raw = false;
}

void
run_pass_size(struct run_session *s)
{
	struct winsize ws;

	if (s->master != -1 && s->tty != -1 &&
	    ioctl(s->tty, TIOCGWINSZ, &ws) == 0)
		(void)ioctl(s->master, TIOCSWINSZ, &ws);
}

/* ---- running ---- */

static void
write_all(int fd, const char *p, size_t n)
{
	ssize_t w;

	while (n > 0) {
		w = write(fd, p, n);
		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1 && errno == EAGAIN) {
			struct pollfd pfd = {.fd = fd, .events = POLLOUT};

			(void)poll(&pfd, 1, -1);
			continue;
		}
		if (w <= 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

bool
run_copy_output(struct run_session *s)
{
	static char buf[RELAY_BUFFER];
	ssize_t n;

	do
		n = read(s->master, buf, sizeof(buf));
	while (n == -1 && errno == EINTR);
	if (n > 0)
		write_all(s->out, buf, (size_t)n);
	return n > 0 || (n == -1 && errno == EAGAIN);
}

/* A command that writes before it reads, and what was pasted to it, would
 * wait for each other: what it does not take yet is kept. */
void
run_copy_input(struct run_session *s)
{
	ssize_t n;

	if (s->ntyped == 0) {
		do
			n = read(s->in, s->typed, sizeof(s->typed));
		while (n == -1 && errno == EINTR);
		if (n == 0)
			s->in = -1;
		if (n <= 0)
			return;
		s->ntyped = (size_t)n;
	}
	n = write(s->master, s->typed, s->ntyped);
	if (n <= 0 && errno != EAGAIN && errno != EINTR)
		s->ntyped = 0; /* nobody will read it */
	if (n <= 0)
		return;
	s->ntyped -= (size_t)n;
	memmove(s->typed, s->typed + n, s->ntyped);
}

/*
 * The command has ended. What it wrote may still be on its way through the
 * pty: read to its end (no process has it open any more), or until nothing
 * has come for a moment (others of the run still have it open).
 */
static void
drain(struct run_session *s)
{
	struct pollfd p = {.fd = s->master, .events = POLLIN};

	while (s->master != -1 && poll(&p, 1, DRAIN_MS) > 0)
		if (!run_copy_output(s))
			return;
}

void
run_on_started(struct run_session *s, struct mg_frame *f)
{
	struct termios t;

	run_clear_line(s);
	s->pending = false;
	s->started = true;
	if (s->tty_mask == 0)
		return;
	s->master = mg_frame_take_fd(s->ch, f, 0);
	if (s->master == -1)
		return;
	s->out = (s->tty_mask & 2) != 0	  ? STDOUT_FILENO
		 : (s->tty_mask & 4) != 0 ? STDERR_FILENO
					  : s->tty;
	s->in = (s->tty_mask & 1) != 0 ? STDIN_FILENO : -1;
	(void)fcntl(s->master, F_SETFL, O_RDWR | O_NONBLOCK);
	/* The command's terminal behaves as this one does. */
	if (tcgetattr(s->tty, &t) == 0)
		(void)tcsetattr(s->master, TCSANOW, &t);
	run_pass_size(s);
	run_raw(s);
}

void
run_send_signal(struct run_session *s, int signo)
{
	struct mg_signal_req msg = {.signo = (uint32_t)signo};

	(void)!mg_chan_send(s->ch, 1, MG_MSG_SIGNAL_REQ, &msg);
}

/* The command was stopped (Ctrl-Z): so are we, and its shell goes on. */
void
run_on_stopped(struct run_session *s)
{
	sigset_t set;

	if (s->tty == -1)
		return;
	run_cooked(s);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)kill(0, SIGTSTP);
	/* Here again after "fg" or "bg". */
	run_raw(s);
	run_pass_size(s);
	run_send_signal(s, SIGCONT);
}

void
run_on_exited(struct run_session *s, const struct mg_exited *e)
{
	run_clear_line(s);
	drain(s);
	run_cooked(s);
	s->over = true;
	switch (e->how) {
	case MG_EXIT_STATUS:
		s->status = (int)(e->value & 255);
		return;
	case MG_EXIT_SIGNAL:
		s->status = 128 + (int)(e->value & 127);
		return;
	case MG_EXIT_NO_EXEC:
		(void)mg_cli_failed(s->json, "exec-failed",
		    "the command could not be started: %s", e->text);
		s->status = e->value == ENOENT ? 127 : 126;
		return;
	case MG_EXIT_ENDED:
		(void)mg_cli_failed(
		    s->json, "ended", "the command was ended: %s", e->text);
		s->status = 128 + SIGKILL;
		return;
	default:
		s->status = mg_cli_failed(s->json, "internal",
		    "the agent lost the command: %s", e->text);
	}
}
