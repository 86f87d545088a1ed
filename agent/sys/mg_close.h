/* SPDX-License-Identifier: ISC */
#ifndef MG_CLOSE_H
#define MG_CLOSE_H

#include "mg_err.h"

/*
 * Closing what others have passed, or may have passed, without waiting for
 * them. Uses SIGALRM and the process's ITIMER_REAL.
 */

/* Before the first of the others; in a child, again. */
enum mg_err mg_close_init(void) MG_MUST_CHECK;

/* Closes fd: a descriptor that somebody passed, or a socket on which such
 * are on their way. */
void mg_close(int fd);

/* What closes such in between does not wait, either, and many cost little.
 * Calls in between may be interrupted and go on. */
void mg_close_begin(void);
void mg_close_end(void);

#endif
