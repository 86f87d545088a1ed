/* SPDX-License-Identifier: ISC */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "mg_chan.h"
#include "mg_msg.h"

/*
 * What the files of run and request share:
 *
 *	cmd_run.c		options
 *	cmd_run_loop.c		the question, and all until its end
 *	cmd_run_factor.c	asks for the second factor
 *	cmd_run_wait.c		what is shown while it waits
 *	cmd_run_pty.c		this terminal and the command's
 */

struct run_session {
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
	char note[512];	  /* what the agent remarked last */
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
	char typed[4096];
	size_t ntyped; /* that the command has not taken yet */
	bool raw;
	struct termios saved;
	bool has_saved;
	/* the end */
	bool over;
	int status;
	struct mg_run_req q;
	const char *what; /* "deploy fraud-scorer@12" */
};

/* Asks for s->q and stays until its end; wants_fds: hands over standard
 * input, output and error. Returns the exit status. */
int run_ask(struct run_session *s, bool wants_fds);

/* What the agent says meanwhile. */
void run_on_prompt(struct run_session *s, const struct mg_auth_prompt *p);
void run_on_pending(struct run_session *s, const struct mg_pending *p);
void run_on_progress(struct run_session *s, const struct mg_progress *p);
void run_on_started(struct run_session *s, struct mg_frame *f);
void run_on_stopped(struct run_session *s);
void run_on_exited(struct run_session *s, const struct mg_exited *e);

/* The waiting line: shown anew, or taken off for something else. */
void run_show_line(struct run_session *s);
void run_clear_line(struct run_session *s);

/* The terminal: every byte to the command, or as it was found. */
void run_raw(struct run_session *s);
void run_cooked(struct run_session *s);
void run_pass_size(struct run_session *s);

/* Between this terminal and the command's, a piece at a time, waiting for the
 * one here alone. False: there is no output and never will be. */
bool run_copy_output(struct run_session *s);
void run_copy_input(struct run_session *s);
void run_send_signal(struct run_session *s, int signo);

/* An event of --json on standard error; number: of the request's, or "". */
void run_json_event(
    const char *event, const char *code, const char *text, const char *number);

#endif
