/* SPDX-License-Identifier: ISC */
#ifndef MG_DIAG_H
#define MG_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Problems found in files that people write: where, what, and the line with
 * a marker below it. At most MG_DIAG_MAX are kept; the rest are counted.
 */

#define MG_DIAG_MAX 20
#define MG_DIAG_TEXT_MAX 256
#define MG_DIAG_FILE_MAX 256
#define MG_DIAG_SRC_MAX 256

struct mg_diag {
	char file[MG_DIAG_FILE_MAX];
	unsigned line; /* from 1; 0 where a file as a whole is meant */
	unsigned col;  /* in bytes, from 1; 0: the line as a whole is meant */
	unsigned mark; /* the character of src that col means; 0: none */
	bool is_warning;
	char text[MG_DIAG_TEXT_MAX];
	char src[MG_DIAG_SRC_MAX]; /* the line, escaped; may be empty */
};

struct mg_diags {
	struct mg_diag v[MG_DIAG_MAX];
	size_t n;	 /* kept in v */
	size_t errors;	 /* found, kept or not */
	size_t warnings; /* found, kept or not */
};

/* Empties ds (caller's storage; needs no _fini). */
void mg_diags_init(struct mg_diags *ds);

/*
 * Adds one problem. file, src and the formatted text are cut to their
 * limits and escaped for one line of a terminal; src may be NULL. An error
 * pushes out a kept warning when the table is full.
 */
void mg_diags_add(struct mg_diags *ds, bool is_warning, const char *file,
    unsigned line, unsigned col, const char *src, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

/*
 * Writes every kept problem to out as "file:line:col: message", the line,
 * and a marker, and says how many more there were.
 */
void mg_diags_print(const struct mg_diags *ds, FILE *out);

/*
 * Writes the first error (else the first warning) as one line
 * "file:line:col: message" into out, always terminated.
 */
void mg_diags_first(const struct mg_diags *ds, char *out, size_t size);

#endif
