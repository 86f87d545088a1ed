/* SPDX-License-Identifier: ISC */
#ifndef ENROLL_TTY_H
#define ENROLL_TTY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The terminal: questions without echo, and a screen of its own for the
 * secret, which is empty again afterwards whatever ends the program short of
 * SIGKILL.
 */

#define ENROLL_ANSWER_MAX 511

/* Signals that end the program only set a flag from now on. */
void enroll_tty_init(void);

/* The signal that asked for the end, or 0. */
int enroll_tty_signal(void);

/* Enters and leaves the screen of its own on descriptor 1. */
void enroll_tty_screen(bool on);

/*
 * Reads one line from standard input into out (ENROLL_ANSWER_MAX + 1
 * bytes), from a terminal with or without echo. ask(arg) puts the question
 * once the terminal is ready for the answer. False at the end of input,
 * on a signal, and for a line that is too long; out is then wiped.
 */
bool enroll_tty_read(bool echo, void (*ask)(void *arg), void *arg, char *out);

/* Rows and columns of the terminal on fd, or 24 and 80. */
void enroll_tty_size(int fd, unsigned *rowsp, unsigned *colsp);

#endif
