/* SPDX-License-Identifier: ISC */
/*
 * run and request: the operator's side of a request, from the question to
 * the exit status.
 *
 * The command runs on a pty of its own whose other side the agent hands
 * over: bytes go straight between it and this terminal, not through the
 * agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "mg_bag.h"
#include "mg_esc.h"
#include "mg_json.h"
#include "mg_name.h"
#include "mg_time.h"

#define RELAY_BUFFER 65536
#define DRAIN_MS 100
#define GIVE_UP_MS 5000 /* and then without the agent's word */

struct session {
	struct mg_chan *ch;
	bool json;
	bool quiet_wait; /* a pipe: no live line */
	int tty;	 /* the controlling terminal; -1: none */
	int tokens_fd;	 /* where break-glass tokens come from; -1: tty */
	int sigfd;
	/* waiting */
	bool pending;
	int64_t deadline;
	char line[2048];
	char brief[2048]; /* the same with no names */
	char last[2048];  /* what a pipe was told last */
	size_t nagreed;	  /* agreements told already */
	bool line_shown;
	char phase[17]; /* of an artifact that is read */
	int64_t phase_ms;
	int64_t gave_up_ms; /* the agent was told so; 0: no */
	/* running */
	bool started;
	uint8_t tty_mask;
	int master;
	int in, out; /* where the pty's bytes come from and go to */
	bool raw;
	struct termios saved;
	bool has_saved;
	/* the end */
	bool over;
	int status;
	struct mg_run_req q;
	const char *what; /* "deploy fraud-scorer@12" */
};

/* ---- the terminal ---- */

static bool
in_foreground(const struct session *s)
{
	return s->tty != -1 && tcgetpgrp(s->tty) == getpgrp();
}

static void
set_raw(struct session *s)
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

static void
set_cooked(struct session *s)
{
	if (!s->raw)
		return;
	(void)tcsetattr(s->tty, TCSADRAIN, &s->saved);
	s->raw = false;
}

static void
pass_size(struct session *s)
{
	struct winsize ws;

	if (s->master != -1 && s->tty != -1 &&
	    ioctl(s->tty, TIOCGWINSZ, &ws) == 0)
		(void)ioctl(s->master, TIOCSWINSZ, &ws);
}

/* ---- the waiting line ---- */

static void
clear_line(struct session *s)
{
	if (s->line_shown)
		fputs("\r\033[K", stderr);
	s->line_shown = false;
}

static void
show_line(struct session *s)
{
	char left[MG_DURATION_STR], text[2200];
	unsigned width = mg_cli_columns(STDERR_FILENO), used = 0;
	const char *p;
	int n;

	if (!s->pending || s->quiet_wait)
		return;
	mg_duration_format(s->deadline - mg_time_boot_ms(), left);
	n = snprintf(text, sizeof(text), "%s left  %s", left, s->line);
	if (n >= (int)width) /* how many are missing before who they are */
		snprintf(text, sizeof(text), "%s left  %s", left, s->brief);
	/* One screen line at most: a longer one could not be taken back. */
	for (p = text; *p != '\0' && used + 1 < width; p++)
		if (((unsigned char)*p & 0xc0) != 0x80)
			used++;
	while (*p != '\0' && ((unsigned char)*p & 0xc0) == 0x80)
		p++;
	fprintf(stderr, "\r\033[K%.*s", (int)(p - text), text);
	s->line_shown = true;
}

static unsigned
count_agreed(
    const struct mg_pending *p, const char *role, char *who, size_t size)
{
	unsigned n = 0;
	size_t i, used = 0;

	who[0] = '\0';
	for (i = 0; i + 1 < p->agreed_n; i += 2) {
		if (strcmp(p->agreed[i], role) != 0)
			continue;
		n++;
		if (used < size)
			used += (size_t)snprintf(who + used, size - used,
			    "%s%s", used > 0 ? "," : "", p->agreed[i + 1]);
	}
	return n;
}

/* "risk-owner 1/1 bob   data-steward 0/1 asked: carol", or without names */
static void
describe(const struct mg_pending *p, bool names, char *out, size_t size)
{
	char who[256];
	size_t i, used = 0;
	unsigned have;
	unsigned long want;

	out[0] = '\0';
	for (i = 0; i + 2 < p->need_n && used < size; i += 3) {
		have = count_agreed(p, p->need[i], who, sizeof(who));
		want = strtoul(p->need[i + 1], NULL, 10);
		used += (size_t)snprintf(out + used, size - used,
		    "%s%s %u/%lu%s%s", used > 0 ? "   " : "", p->need[i], have,
		    want, names ? " " : "", names ? who : "");
		if (names && have < want && used < size)
			used += (size_t)snprintf(out + used, size - used,
			    "%sasked: %s", who[0] != '\0' ? " " : "",
			    p->need[i + 2][0] != '\0' ? p->need[i + 2]
						      : "nobody known");
	}
}

static void
first_pending(struct session *s, const struct mg_pending *p)
{
	fprintf(stderr, "modelgate: %s is filed as %s\n", s->what, p->code);
	if (p->digest[0] != '\0')
		fprintf(stderr, "  artifact %s\n", p->digest);
	if (p->need_n == 0)
		return;
	if (p->hub[0] == '\0')
		fprintf(stderr, "  no hub is configured: nobody can approve "
				"it\n");
	else
		fprintf(stderr, "  approvers: modelgate approve %s\n", p->code);
	if (p->how[0] != '\0')
		fprintf(stderr, "  needed: %s\n", p->how);
	if (p->number[0] != '\0')
		fprintf(
		    stderr, "  tell whom you ask this number: %s\n", p->number);
}

static void
json_event(
    const char *event, const char *code, const char *text, const char *number)
{
	struct mg_buf b;
	struct mg_json j;
	const char *line;

	mg_buf_init(&b, 8192);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "event", event);
	mg_json_str(&j, "code", code);
	mg_json_str(&j, "text", text);
	if (number[0] != '\0')
		mg_json_str(&j, "number", number);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (line = mg_buf_cstr(&b)) != NULL)
		fprintf(stderr, "%s\n", line);
	mg_buf_fini(&b);
}

/* A line of its own for everybody who has agreed since the last time. */
static void
tell_agreed(struct session *s, const struct mg_pending *p)
{
	size_t i;

	for (i = s->nagreed; i + 1 < p->agreed_n; i += 2)
		fprintf(stderr, "  %s agrees (%s)\n", p->agreed[i + 1],
		    p->agreed[i]);
	s->nagreed = p->agreed_n;
}

static void
on_pending(struct session *s, const struct mg_pending *p)
{
	bool first = !s->pending;

	describe(p, true, s->line, sizeof(s->line));
	describe(p, false, s->brief, sizeof(s->brief));
	s->deadline = mg_time_boot_ms() + (int64_t)p->left_ms;
	s->pending = true;
	if (s->json) {
		if (first || strcmp(s->line, s->last) != 0)
			json_event("pending", p->code, s->line, p->number);
	} else {
		clear_line(s);
		if (first)
			first_pending(s, p);
		tell_agreed(s, p);
		if (p->note[0] != '\0' && first)
			fprintf(stderr, "  %s\n", p->note);
		if (s->quiet_wait && p->need_n > 0 &&
		    strcmp(s->line, s->last) != 0)
			fprintf(stderr, "  %s\n", s->line);
		else if (p->need_n > 0)
			show_line(s);
	}
	memcpy(s->last, s->line, sizeof(s->last));
}

/* "reading the artifact: 42% of 8.0 GB, 1.9 GB/s, 3s left" */
static void
on_progress(struct session *s, const struct mg_progress *p)
{
	char left[MG_DURATION_STR];
	int64_t now = mg_time_boot_ms();
	uint64_t per_s, todo;

	if (s->json || s->quiet_wait || p->total == 0 || p->done > p->total)
		return;
	if (strcmp(s->phase, p->what) != 0) {
		snprintf(s->phase, sizeof(s->phase), "%s", p->what);
		s->phase_ms = now - 250; /* it comes four times a second */
	}
	per_s = p->done / (uint64_t)(now - s->phase_ms) * 1000 + 1;
	todo = (p->total - p->done) / per_s;
	mg_duration_format((int64_t)todo * 1000, left);
	fprintf(stderr,
	    "\r\033[K%s the artifact: %u%% of %.1f GB, %.2f GB/s, %s left",
	    p->what, (unsigned)(p->done / (p->total / 100 + 1)),
	    (double)p->total / 1e9, (double)per_s / 1e9, left);
	s->line_shown = true;
}

/* ---- questions of the second factor ---- */

/*
 * One line from the terminal. Signals stay blocked and are read from sigfd:
 * an interrupted prompt must leave the terminal as it was. The agent may end
 * it as well: nobody waits for the answer then.
 */
enum answer { ANSWER_LINE, ANSWER_GIVEN_UP, ANSWER_TOO_LATE };

static enum answer
read_line(struct session *s, int fd, char *out, size_t size)
{
	struct signalfd_siginfo si;
	struct pollfd p[3];
	size_t n = 0;
	char c;

	for (;;) {
		p[0] = (struct pollfd){.fd = fd, .events = POLLIN};
		p[1] = (struct pollfd){.fd = s->sigfd, .events = POLLIN};
		p[2] = (struct pollfd){
		    .fd = mg_chan_fd(s->ch), .events = POLLIN | POLLRDHUP};
		if (poll(p, 3, -1) == -1 && errno != EINTR)
			return ANSWER_GIVEN_UP;
		if (p[2].revents != 0)
			return ANSWER_TOO_LATE;
		if (p[1].revents != 0 &&
		    read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si) &&
		    si.ssi_signo != SIGWINCH && si.ssi_signo != SIGCONT)
			return ANSWER_GIVEN_UP;
		if (p[0].revents == 0)
			continue;
		if (read(fd, &c, 1) != 1)
			return ANSWER_GIVEN_UP;
		if (c == '\n' || c == '\r')
			break;
		if (n + 1 < size)
			out[n++] = c;
	}
	out[n] = '\0';
	return ANSWER_LINE;
}

/* The question comes last: what was typed in front of it is thrown away, what
 * is typed once it can be seen must not be. */
static enum answer
read_answer(
    struct session *s, const struct mg_auth_prompt *p, char *out, size_t size)
{
	struct termios old, quiet;
	bool changed = false;
	enum answer r;

	if (!p->echo && tcgetattr(s->tty, &old) == 0) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		changed = tcsetattr(s->tty, TCSAFLUSH, &quiet) == 0;
	}
	fputs(p->text, stderr);
	fflush(stderr);
	r = read_line(s, s->tty, out, size);
	if (changed) {
		/* Half an answer is thrown away: else it would be shown. */
		(void)tcsetattr(
		    s->tty, r == ANSWER_LINE ? TCSADRAIN : TCSAFLUSH, &old);
		fputs("\n", stderr);
	}
	return r;
}

/* From a descriptor: a line a token, and nobody sees the question. What
 * follows the tokens is left there, for the command if it is its input. */
static enum answer
read_token(struct session *s, char *out, size_t size)
{
	enum answer r;

	do
		r = read_line(s, s->tokens_fd, out, size);
	while (r == ANSWER_LINE && out[strspn(out, " \t")] == '\0');
	return r;
}

static void
answer_prompt(struct session *s, const struct mg_auth_prompt *p)
{
	struct mg_auth_ans ans;
	char answer[513];
	bool from_fd;
	enum answer r;

	clear_line(s);
	from_fd = p->what == MG_PROMPT_TOKEN && s->tokens_fd != -1;
	if (s->tty == -1 && !from_fd) {
		s->status = mg_cli_failed(s->json, "mfa-needed",
		    "a second factor is asked for, and there is no terminal");
		s->over = true;
		return;
	}
	r = from_fd ? read_token(s, answer, sizeof(answer))
		    : read_answer(s, p, answer, sizeof(answer));
	if (r == ANSWER_GIVEN_UP) {
		/* Hanging up is the answer: the request is withdrawn. */
		s->status = mg_cli_failed(s->json, "cancelled", "cancelled");
		s->over = true;
	}
	if (r != ANSWER_LINE) {
		explicit_bzero(answer, sizeof(answer));
		return;
	}
	if (!mg_esc_is_clean(answer)) {
		explicit_bzero(answer, sizeof(answer));
		answer[0] = '\0'; /* counts as a wrong code */
	}
	ans.text = answer;
	if (mg_chan_send(s->ch, 1, MG_MSG_AUTH_ANS, &ans) != MG_ERR_OK)
		s->over = true;
	explicit_bzero(answer, sizeof(answer));
}

/* While it knows an answer, nothing that ends it leaves a core. */
static void
on_prompt(struct session *s, const struct mg_auth_prompt *p)
{
	int was = prctl(PR_GET_DUMPABLE);

	(void)prctl(PR_SET_DUMPABLE, 0);
	answer_prompt(s, p);
	(void)prctl(PR_SET_DUMPABLE, was == 1);
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

/* One piece of output. False when there is none and never will be. */
static bool
copy_output(struct session *s)
{
	static char buf[RELAY_BUFFER];
	ssize_t n;

	do
		n = read(s->master, buf, sizeof(buf));
	while (n == -1 && errno == EINTR);
	if (n > 0)
		write_all(s->out, buf, (size_t)n);
	return n > 0;
}

static void
copy_input(struct session *s)
{
	char buf[4096];
	ssize_t n;

	do
		n = read(s->in, buf, sizeof(buf));
	while (n == -1 && errno == EINTR);
	if (n > 0)
		write_all(s->master, buf, (size_t)n);
	else if (n == 0)
		s->in = -1;
}

/*
 * The command has ended. What it wrote may still be on its way through the
 * pty: read to its end (no process has it open any more), or until nothing
 * has come for a moment (others of the run still have it open).
 */
static void
drain(struct session *s)
{
	struct pollfd p = {.fd = s->master, .events = POLLIN};

	while (s->master != -1 && poll(&p, 1, DRAIN_MS) > 0)
		if (!copy_output(s))
			return;
}

static void
on_started(struct session *s, struct mg_frame *f)
{
	struct termios t;

	clear_line(s);
	s->pending = false;
	s->started = true;
	if (s->tty_mask == 0)
		return;
	s->master = mg_frame_take_fd(s->ch, f, 0);
	if (s->master == -1)
		return;
	s->out = (s->tty_mask & 2) != 0 ? STDOUT_FILENO : STDERR_FILENO;
	s->in = (s->tty_mask & 1) != 0 ? STDIN_FILENO : -1;
	/* The command's terminal behaves as this one does. */
	if (tcgetattr(s->tty, &t) == 0)
		(void)tcsetattr(s->master, TCSANOW, &t);
	pass_size(s);
	set_raw(s);
}

static void
send_signal(struct session *s, int signo)
{
	struct mg_signal_req msg = {.signo = (uint32_t)signo};

	(void)!mg_chan_send(s->ch, 1, MG_MSG_SIGNAL_REQ, &msg);
}

/* The command was stopped (Ctrl-Z): so are we, and its shell goes on. */
static void
on_stopped(struct session *s)
{
	sigset_t set;

	if (s->tty == -1)
		return;
	set_cooked(s);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)kill(0, SIGTSTP);
	/* Here again after "fg" or "bg". */
	set_raw(s);
	pass_size(s);
	send_signal(s, SIGCONT);
}

static void
on_exited(struct session *s, const struct mg_exited *e)
{
	clear_line(s);
	drain(s);
	set_cooked(s);
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

/* ---- signals ---- */

/* Whoever gives up is not held by an agent that hangs. */
static void
leave(struct session *s)
{
	clear_line(s);
	s->over = true;
	s->status = mg_cli_failed(s->json, "agent-down",
	    "the agent does not answer; it cancels when it goes on");
}

static void
give_up(struct session *s)
{
	struct mg_giveup_req msg = {0};

	if (s->gave_up_ms != 0) {
		leave(s);
		return;
	}
	s->gave_up_ms = mg_time_boot_ms();
	clear_line(s);
	(void)!mg_chan_send(s->ch, 1, MG_MSG_GIVEUP_REQ, &msg);
	if (!s->json)
		fprintf(stderr, "modelgate: cancelling\n");
}

static void
on_signals(struct session *s)
{
	struct signalfd_siginfo si;

	while (read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		int signo = (int)si.ssi_signo;

		if (signo == SIGWINCH) {
			pass_size(s);
			show_line(s);
		} else if (signo == SIGCONT) {
			if (s->started)
				set_raw(s);
			else
				show_line(s);
		} else if (s->started) {
			send_signal(s, signo);
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
watch_signals(struct session *s)
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
on_granted(struct session *s, const struct mg_granted *g)
{
	char left[MG_DURATION_STR];

	clear_line(s);
	s->pending = false;
	mg_duration_format((int64_t)g->left_ms, left);
	if (s->json)
		json_event("granted", g->code, left, "");
	else
		printf("%s is granted as %s for %s\n", s->what, g->code, left);
}

static void
on_frame(struct session *s, struct mg_frame *f)
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
		clear_line(s);
		set_cooked(s);
		s->status = mg_cli_refused(&a.refused, s->json);
		s->over = true;
		break;
	case MG_MSG_PENDING:
		on_pending(s, &a.pending);
		break;
	case MG_MSG_AUTH_PROMPT:
		on_prompt(s, &a.prompt);
		break;
	case MG_MSG_AUTH_INFO:
		clear_line(s);
		if (!s->json)
			fprintf(stderr, "modelgate: %s\n", a.info.text);
		break;
	case MG_MSG_PROGRESS:
		on_progress(s, &a.progress);
		break;
	case MG_MSG_GRANTED:
		on_granted(s, &a.granted);
		break;
	case MG_MSG_STARTED:
		on_started(s, f);
		break;
	case MG_MSG_STOPPED:
		on_stopped(s);
		break;
	case MG_MSG_EXITED:
		on_exited(s, &a.exited);
		break;
	case MG_MSG_DONE:
		clear_line(s);
		s->status = 0;
		s->over = true;
		break;
	default:
		break;
	}
}

static void
lost(struct session *s, enum mg_err r)
{
	set_cooked(s);
	clear_line(s);
	s->over = true;
	s->status = mg_cli_failed(
	    s->json, "agent-down", "the agent went away: %s", mg_err_str(r));
}

static void
read_agent(struct session *s)
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
wait_ms(const struct session *s)
{
	int64_t left = s->gave_up_ms + GIVE_UP_MS - mg_time_boot_ms();

	if (s->gave_up_ms != 0 && !s->started)
		return left < 0 ? 0 : (int)left;
	return s->pending && !s->quiet_wait ? 1000 : -1;
}

static void
on_silence(struct session *s)
{
	if (s->gave_up_ms != 0 && !s->started)
		leave(s);
	else if (s->pending)
		show_line(s);
}

static void
loop(struct session *s)
{
	struct pollfd p[4];

	while (!s->over) {
		p[0] =
		    (struct pollfd){.fd = mg_chan_fd(s->ch), .events = POLLIN};
		if (mg_chan_has_output(s->ch))
			p[0].events |= POLLOUT;
		p[1] = (struct pollfd){.fd = s->sigfd, .events = POLLIN};
		p[2] = (struct pollfd){.fd = s->master, .events = POLLIN};
		p[3] = (struct pollfd){
		    .fd = s->raw ? s->in : -1, .events = POLLIN};
		if (poll(p, 4, wait_ms(s)) == 0)
			on_silence(s);
		if (p[1].revents != 0)
			on_signals(s);
		if (p[2].revents != 0 && !copy_output(s)) {
			close(s->master);
			s->master = -1;
		}
		if (p[3].revents != 0 && s->master != -1)
			copy_input(s);
		if (mg_chan_flush(s->ch) != MG_ERR_OK && !s->over &&
		    p[0].revents == 0)
			lost(s, MG_ERR_CLOSED);
		if (p[0].revents != 0)
			read_agent(s);
	}
}

/* ---- the question ---- */

static void
find_terminal(struct session *s)
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

static int
ask(struct session *s, bool wants_fds)
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
	set_cooked(s);
	return s->status;
}

/* ---- options ---- */

static bool
take_ref(struct session *s, const char *ref, char *model, char *version)
{
	const char *at = strchr(ref, '@');

	if (mg_name_split_ref(ref, model, version)) {
		s->q.model = model;
		s->q.version = version;
		return true;
	}
	if (at != NULL && at - ref <= MG_NAME_MAX)
		snprintf(model, MG_NAME_MAX + 1, "%.*s", (int)(at - ref), ref);
	if (at != NULL && mg_name_is_valid(model))
		mg_cli_say("version '%.100s' %s", at + 1, mg_name_why(at + 1));
	else if (at != NULL)
		mg_cli_say("model '%.*s' is not a name",
		    (int)(at - ref < 100 ? at - ref : 100), ref);
	else
		mg_cli_say("model '%.100s' %s", ref, mg_name_why(ref));
	return false;
}

static bool
check_text(const char *what, const char *s, size_t max, bool one_line)
{
	if (strlen(s) > max)
		mg_cli_say("%s is longer than %zu bytes", what, max);
	else if (one_line && !mg_esc_is_clean(s))
		mg_cli_say("%s holds characters that do not print", what);
	else if (!mg_utf8_is_valid(s, strlen(s)))
		mg_cli_say("%s is not UTF-8", what);
	else
		return true;
	return false;
}

static bool
take_args(struct session *s, char **v, int n)
{
	int i;

	if (n > 32) {
		mg_cli_say("more than 32 arguments");
		return false;
	}
	for (i = 0; i < n; i++) {
		if (!check_text("an argument", v[i], 1024, true))
			return false;
		s->q.args[i] = v[i];
	}
	s->q.args_n = (size_t)n;
	return true;
}

/* Tokens are no argument and no variable: others can read those. */
static bool
take_tokens_fd(struct session *s, const char *text)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
	    fd > INT_MAX || fcntl((int)fd, F_GETFD) == -1) {
		mg_cli_say(
		    "'%.100s' is not the number of an open descriptor", text);
		return false;
	}
	if (isatty((int)fd)) {
		mg_cli_say("descriptor %ld is a terminal: tokens are asked for "
			   "there without --tokens-fd",
		    fd);
		return false;
	}
	s->tokens_fd = (int)fd;
	return true;
}

static bool
take_time(struct session *s, const char *text)
{
	int64_t ms;

	if (mg_duration_parse(text, &ms) != MG_ERR_OK) {
		mg_cli_say("'%.100s' is not a time such as 30m or 1h30m", text);
		return false;
	}
	s->q.for_ms = (uint64_t)ms;
	return true;
}

static bool
take_operation(struct session *s, const char *name)
{
	s->q.operation = name;
	if (mg_name_is_valid(name))
		return true;
	mg_cli_say("operation '%.100s' %s", name, mg_name_why(name));
	return false;
}

static int
run_or_request(int argc, char **argv, bool grant_only)
{
	static const struct option opts[] = {{"reason", 1, NULL, 'r'},
	    {"ticket", 1, NULL, 't'}, {"for", 1, NULL, 'f'},
	    {"no-wait", 0, NULL, 'n'}, {"break-glass", 0, NULL, 'b'},
	    {"tokens-fd", 1, NULL, 'T'}, {"json", 0, NULL, 'j'},
	    {NULL, 0, NULL, 0}};
	static struct session s = {.tokens_fd = -1,
	    .tty = -1,
	    .sigfd = -1,
	    .master = -1,
	    .in = -1,
	    .out = -1};
	char model[MG_NAME_MAX + 1] = "", version[MG_NAME_MAX + 1] = "";
	char what[3 * MG_NAME_MAX];
	const char *pos[2] = {NULL, NULL};
	int c, npos = 0;
	bool args = false;

	optind = 1;
	/* "--" ends the options; what follows are the command's arguments. */
	while ((c = mg_cli_getopt(argc, argv, "-r:t:f:nbj", opts)) != -1) {
		switch (c) {
		case 1:
			if (npos == 2)
				return mg_cli_usage(argv[0]);
			pos[npos++] = optarg;
			break;
		case 'r':
			s.q.reason = optarg;
			break;
		case 't':
			s.q.ticket = optarg;
			break;
		case 'f':
			if (!grant_only)
				return mg_cli_usage(argv[0]);
			if (!take_time(&s, optarg))
				return MG_EXIT_USAGE;
			break;
		case 'n':
			s.q.flags |= MG_RUN_NO_WAIT;
			break;
		case 'b':
			s.q.flags |= MG_RUN_BREAK_GLASS;
			break;
		case 'T':
			if (!take_tokens_fd(&s, optarg))
				return MG_EXIT_USAGE;
			break;
		case 'j':
			s.json = true;
			break;
		default:
			return mg_cli_usage(argv[0]);
		}
	}
	args =
	    optind > 0 && optind <= argc && strcmp(argv[optind - 1], "--") == 0;
	if (npos == 0 || (optind < argc && !args))
		return mg_cli_usage(argv[0]);
	if (grant_only && (s.q.reason == NULL || s.q.reason[0] == '\0')) {
		mg_cli_say("--reason is missing: approvers want to know why");
		return MG_EXIT_USAGE;
	}
	if (!take_operation(&s, pos[0]) ||
	    (pos[1] != NULL && !take_ref(&s, pos[1], model, version)) ||
	    (s.q.reason != NULL &&
		!check_text("the reason", s.q.reason, 1024, false)) ||
	    (s.q.ticket != NULL &&
		!check_text("the ticket", s.q.ticket, 128, true)) ||
	    !take_args(&s, argv + optind, argc - optind))
		return MG_EXIT_USAGE;
	if (grant_only)
		s.q.flags |= MG_RUN_GRANT_ONLY;
	snprintf(what, sizeof(what), "%s%s%s", pos[0],
	    pos[1] != NULL ? " " : "", pos[1] != NULL ? pos[1] : "");
	s.what = what;
	return ask(&s, !grant_only);
}

int
mg_cmd_run(int argc, char **argv)
{
	return run_or_request(argc, argv, false);
}

int
mg_cmd_request(int argc, char **argv)
{
	return run_or_request(argc, argv, true);
}
