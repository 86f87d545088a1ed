/* SPDX-License-Identifier: ISC */
/* run and request: the second factor and break-glass tokens are asked for. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_run.h"
#include "mg_esc.h"

/*
 * One line from the terminal. Signals stay blocked and are read from sigfd:
 * an interrupted prompt must leave the terminal as it was. The agent may end
 * it as well: nobody waits for the answer then.
 */
enum answer { ANSWER_LINE, ANSWER_GIVEN_UP, ANSWER_TOO_LATE };

static enum answer
read_line(struct run_session *s, int fd, char *out, size_t size)
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
read_answer(struct run_session *s, const struct mg_auth_prompt *p, char *out,
    size_t size)
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
read_token(struct run_session *s, char *out, size_t size)
{
	enum answer r;

	do
		r = read_line(s, s->tokens_fd, out, size);
	while (r == ANSWER_LINE && out[strspn(out, " \t")] == '\0');
	return r;
}

static void
answer_prompt(struct run_session *s, const struct mg_auth_prompt *p)
{
	struct mg_auth_ans ans;
	char answer[513];
	bool from_fd;
	enum answer r;

	run_clear_line(s);
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
void
run_on_prompt(struct run_session *s, const struct mg_auth_prompt *p)
{
	int was = prctl(PR_GET_DUMPABLE);

	(void)prctl(PR_SET_DUMPABLE, 0);
	answer_prompt(s, p);
	(void)prctl(PR_SET_DUMPABLE, was == 1);
}
