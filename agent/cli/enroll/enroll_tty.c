/* SPDX-License-Identifier: ISC */
/*
 * The terminal.
 *
 * Rules
 * 1. Echo and screen are given back on every way out; stopping (Ctrl-Z)
 *    would leave the secret in view and is not possible.
 * 2. Input is read byte by byte: what follows the line is not ours.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "enroll_tty.h"
#include "mg_file.h"

static volatile sig_atomic_t got_signal;

static void
on_signal(int signo)
{
	got_signal = signo;
}

void
enroll_tty_init(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction sa;
	size_t i;

	memset(&sa, 0, sizeof(sa));
	sigemptyset(&sa.sa_mask);
	sa.sa_handler = on_signal; /* without SA_RESTART: reads end */
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)sigaction(ends[i], &sa, NULL);
	sa.sa_handler = SIG_IGN; /* Rule 1 */
	(void)sigaction(SIGTSTP, &sa, NULL);
	(void)sigaction(SIGPIPE, &sa, NULL);
}

int
enroll_tty_signal(void)
{
	return got_signal;
}

void
enroll_tty_screen(bool on)
{
	/* Cleared by hand too, for terminals that have no second screen; the
	 * kernel's own also keeps lines that scrolled off. */
	const char *term = getenv("TERM");
	const char *s =
	    on ? "\033[?1049h\033[H\033[2J" : "\033[H\033[2J\033[?1049l";

	if (mg_file_write(STDOUT_FILENO, s, strlen(s)) != MG_ERR_OK)
		return;
	if (!on && term != NULL && strcmp(term, "linux") == 0 &&
	    mg_file_write(STDOUT_FILENO, "\033[3J", 4) != MG_ERR_OK)
		return;
}

static bool
read_line(char *out)
{
	size_t n = 0;
	ssize_t got;
	char c;

	for (;;) {
		got = read(STDIN_FILENO, &c, 1); /* Rule 2 */
		if (got == -1 && errno == EINTR && got_signal == 0)
			continue;
		if (got != 1)
			return false;
		if (c == '\n')
			break;
		if (n == ENROLL_ANSWER_MAX)
			return false;
		out[n++] = c;
	}
	if (n > 0 && out[n - 1] == '\r')
		n--;
	out[n] = '\0';
	return true;
}

bool
enroll_tty_read(bool echo, void (*ask)(void *arg), void *arg, char *out)
{
	struct termios was, quiet;
	bool is_tty = tcgetattr(STDIN_FILENO, &was) == 0, ok;

	if (is_tty && !echo) {
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		quiet.c_lflag |= ICANON | ISIG | ECHONL;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	ask(arg); /* who answers at once is not flushed */
	ok = read_line(out);
	if (is_tty && !echo)
		/* Rule 1; half an answer is thrown away. */
		(void)tcsetattr(STDIN_FILENO, ok ? TCSANOW : TCSAFLUSH, &was);
	if (!ok)
		explicit_bzero(out, ENROLL_ANSWER_MAX + 1);
	return ok;
}

void
enroll_tty_size(int fd, unsigned *rowsp, unsigned *colsp)
{
	struct winsize ws;

	*rowsp = 24;
	*colsp = 80;
	if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0 && ws.ws_col > 0) {
		*rowsp = ws.ws_row;
		*colsp = ws.ws_col;
	}
}
