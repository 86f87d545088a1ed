/* SPDX-License-Identifier: ISC */
#ifndef CONN_ARGS_H
#define CONN_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "mg_err.h"

/*
 * The command line of an ssh exec request: one text that the client's
 * shell has already taken apart and ssh has joined with blanks. Taken apart
 * again into words by blanks, 'single quotes' (nothing is special inside),
 * "double quotes" (\" and \\ inside) and \x outside of quotes. Nothing
 * else is special: there is no shell. Control and invisible characters and
 * bytes that are not UTF-8 are refused everywhere.
 */

#define CONN_COMMAND_MAX 4096

struct conn_args {
	const char *p; /* what is left */
};

/* Begins with the command s, which must live on. MG_ERR_FORMAT and *whyp
 * when it holds what no command may. */
enum mg_err conn_args_begin(
    struct conn_args *a, const char *s, const char **whyp) MG_MUST_CHECK;

/*
 * The next word into out. MG_ERR_NOENT: there is none. MG_ERR_FORMAT: an
 * open quote. MG_ERR_LIMIT: it does not fit. out is empty on failure.
 */
enum mg_err conn_args_word(
    struct conn_args *a, char *out, size_t size) MG_MUST_CHECK;

/* All words that are left, joined with one blank; may be empty. */
enum mg_err conn_args_rest(
    struct conn_args *a, char *out, size_t size) MG_MUST_CHECK;

#endif
