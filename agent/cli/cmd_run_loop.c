/* SPDX-License-Identifier: ISC */
/*
 * run and request: the question, and what happens until its end: what the
 * agent says, signals, silence.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_run.h"
#include "mg_bag.h"
#include "mg_time.h"

#define GIVE_UP_MS 5000 /* and then without the agent's word */

/* ---- signals ---- */

/* Whoever gives up is not held by an agent that hangs. */
static void
leave(struct run_session *s)
{
	run_clear_line(s);
	s->over = true;
	s->status = mg_cli_failed(s->json, "agent-down",
	    "the agent does not answer; it cancels when it goes on");
}

static void
give_up(struct run_session *s)
{
	struct mg_giveup_req msg = {0};

	if (s->gave_up_ms != 0) {
		leave(s);
		return;
	}
	s->gave_up_ms = mg_time_boot_ms();
	run_clear_line(s);
	(void)!mg_chan_send(s->ch, 1, MG_MSG_GIVEUP_REQ, &msg);
	if (!s->json)
		fprintf(stderr, "modelgate: cancelling\n");
}

static void
on_signals(struct run_session *s)
{
	struct signalfd_siginfo si;

	while (read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		int signo = (int)si.ssi_signo;

		if (signo == SIGWINCH) {
			run_pass_size(s);
			run_show_line(s);
		} else if (signo == SIGCONT) {
			if (s->started)
				run_raw(s);
			else
				run_show_line(s);
		} else if (s->started) {
			run_send_signal(s, signo);
		} else if (signo == SIGHUP) {
			/* The terminal is gone, the request need not be. */
			s->over = true;
			s->status = MG_EXIT_REFUSED;
		} else {
			give_up(s);
		}
	}
}

static void
watch_signals(struct run_session *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGCONT);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Background: writing the terminal's settings must not stop us. */
	(void)signal(SIGTTOU, SIG_IGN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- the loop ---- */

static void
on_granted(struct run_session *s, const struct mg_granted *g)
{
	char left[MG_DURATION_STR];

	run_clear_line(s);
	s->pending = false;
	mg_duration_format((int64_t)g->left_ms, left);
	if (s->json)
		run_json_event("granted", g->code, left, "");
	else
		printf("%s is granted as %s for %s\n", s->what, g->code, left);
}

static void
on_frame(struct run_session *s, struct mg_frame *f)
{
	union {
		struct mg_refused refused;
		struct mg_pending pending;
		struct mg_auth_prompt prompt;
		struct mg_auth_info info;
		struct mg_granted granted;
		struct mg_started started;
		struct mg_stopped stopped;
		struct mg_exited exited;
		struct mg_done done;
		struct mg_progress progress;
	} a;
	const struct mg_msg_type *t = mg_msg_type(f->op);

	if (t->size > sizeof(a) ||
	    mg_frame_decode(f, &a, t->size) != MG_ERR_OK) {
		s->over = true;
		return;
	}
	switch ((int)f->op) {
	case MG_MSG_REFUSED:
		run_clear_line(s);
		run_cooked(s);
		s->status = mg_cli_refused(&a.refused, s->json);
		s->over = true;
		break;
	case MG_MSG_PENDING:
		run_on_pending(s, &a.pending);
		break;
	case MG_MSG_AUTH_PROMPT:
		run_on_prompt(s, &a.prompt);
		break;
	case MG_MSG_AUTH_INFO:
		run_clear_line(s);
		if (!s->json)
			fprintf(stderr, "modelgate: %s\n", a.info.text);
		break;
	case MG_MSG_PROGRESS:
		run_on_progress(s, &a.progress);
		break;
	case MG_MSG_GRANTED:
		on_granted(s, &a.granted);
		break;
	case MG_MSG_STARTED:
		run_on_started(s, f);
		break;
	case MG_MSG_STOPPED:
		run_on_stopped(s);
		break;
	case MG_MSG_EXITED:
		run_on_exited(s, &a.exited);
		break;
	case MG_MSG_DONE:
		run_clear_line(s);
		s->status = 0;
		s->over = true;
		break;
	default:
		break;
	}
}

static void
lost(struct run_session *s, enum mg_err r)
{
	run_cooked(s);
	run_clear_line(s);
	s->over = true;
	s->status = mg_cli_failed(
	    s->json, "agent-down", "the agent went away: %s", mg_err_str(r));
}

static void
read_agent(struct run_session *s)
{
	struct mg_frame f;
	enum mg_err r = MG_ERR_OK;

	memset(&f, 0, sizeof(f));
	while (!s->over && (r = mg_chan_recv(s->ch, &f, NULL)) == MG_ERR_OK)
		on_frame(s, &f);
	if (!s->over && r != MG_ERR_AGAIN)
		lost(s, r);
}

/* In ms, for poll(2); -1: until something comes. */
static int
wait_ms(const struct run_session *s)
{
	int64_t left = s->gave_up_ms + GIVE_UP_MS - mg_time_boot_ms();

	if (s->gave_up_ms != 0 && !s->started)
		return left < 0 ? 0 : (int)left;
	return s->pending && !s->quiet_wait ? 1000 : -1;
}

static void
on_silence(struct run_session *s)
{
	if (s->gave_up_ms != 0 && !s->started)
		leave(s);
	else if (s->pending)
		run_show_line(s);
}

static void
loop(struct run_session *s)
{
	struct pollfd p[4];

	while (!s->over) {
		p[0] =
		    (struct pollfd){.fd = mg_chan_fd(s->ch), .events = POLLIN};
		if (mg_chan_has_output(s->ch))
			p[0].events |= POLLOUT;
		p[1] = (struct pollfd){.fd = s->sigfd, .events = POLLIN};
		p[2] = (struct pollfd){.fd = s->master, .events = POLLIN};
		if (s->ntyped > 0)
			p[2].events |= POLLOUT;
		p[3] =
		    (struct pollfd){.fd = s->raw && s->ntyped == 0 ? s->in : -1,
			.events = POLLIN};
		if (poll(p, 4, wait_ms(s)) == 0)
			on_silence(s);
		if (p[1].revents != 0)
			on_signals(s);
		if (p[2].revents != 0 && !run_copy_output(s)) {
			close(s->master);
			s->master = -1;
		}
		if ((p[3].revents != 0 || (p[2].revents & POLLOUT) != 0) &&
		    s->master != -1)
			run_copy_input(s);
		if (mg_chan_flush(s->ch) != MG_ERR_OK && !s->over &&
		    p[0].revents == 0)
			lost(s, MG_ERR_CLOSED);
		if (p[0].revents != 0)
			read_agent(s);
	}
}

/* ---- the question ---- */

static void
find_terminal(struct run_session *s)
{
	struct winsize ws;
	int i;

	s->tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (s->tty == -1)
		return;
	for (i = 0; i < 3; i++)
		if (isatty(i))
			s->tty_mask |= (uint8_t)(1 << i);
	if (ioctl(s->tty, TIOCGWINSZ, &ws) == 0) {
		s->q.rows = ws.ws_row;
		s->q.cols = ws.ws_col;
	}
	s->q.flags |= MG_RUN_CAN_PROMPT;
}

static const char *
terminal_name(void)
{
	const char *term = getenv("TERM");

	if (term == NULL || strlen(term) > 64 ||
	    !mg_msg_class_check(MG_CLASS_TERM, term))
		return "";
	return term;
}

int
run_ask(struct run_session *s, bool wants_fds)
{
	int fds[3], null = -1, bag = -1, i;
	enum mg_err r = MG_ERR_OK;

	find_terminal(s);
	s->q.tty_mask = s->tty_mask;
	s->q.term = terminal_name();
	s->quiet_wait = !isatty(STDERR_FILENO);
	if ((s->ch = mg_cli_connect(s->json)) == NULL)
		return MG_EXIT_REFUSED;
	/* A terminal is never handed over: /dev/null stands in for it. */
	if (wants_fds) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (i = 0; i < 3; i++)
			fds[i] = (s->tty_mask & (1 << i)) != 0 ? null : i;
		r = mg_bag_pack(fds, 3, &bag);
	}
	if (r == MG_ERR_OK)
		r = mg_client_ask(
		    s->ch, MG_MSG_RUN_REQ, &s->q, &bag, wants_fds ? 1 : 0);
	if (null != -1)
		close(null);
	if (bag != -1)
		close(bag);
	if (r != MG_ERR_OK)
		return mg_cli_failed(s->json, "bad-request",
		    "the question cannot be sent: %s", mg_err_str(r));
	watch_signals(s);
	loop(s);
	run_cooked(s);
	return s->status;
}
