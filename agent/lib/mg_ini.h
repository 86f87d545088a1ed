/* SPDX-License-Identifier: ISC */
#ifndef MG_INI_H
#define MG_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "mg_diag.h"
#include "mg_err.h"

/*
 * Strict INI: "[type]" or "[type name]", "key = value", whole-line comments
 * that begin with ';' or '#', and comments after a blank and ';' behind a
 * header or a value (not inside double quotes). Refused, because readers
 * of INI files differ on them: lines over MG_INI_LINE_MAX bytes, NUL,
 * carriage returns, bytes that are not UTF-8, control characters, indented
 * lines, text after ']', a key twice in a section, a section twice in a
 * file, keys before the first section, an empty key or value, an open
 * quote.
 */

#define MG_INI_LINE_MAX 4096
#define MG_INI_KEYS_MAX 64 /* per section */

/* One header (key is NULL) or one setting. Pointers live for the call. */
struct mg_ini_line {
	const char *file;
	unsigned line;
	const char *src;     /* the whole line */
	const char *section; /* type: "rule" in [rule x] */
	const char *name;    /* "x" in [rule x]; empty in [rule] */
	unsigned name_col;
	const char *key;
	unsigned key_col;
	const char *value;
	unsigned value_col;
};

/* Called in file order; problems go into the caller's mg_diags. */
typedef void (*mg_ini_fn)(void *arg, const struct mg_ini_line *line);

/*
 * Reads len bytes of text that came from file (a name for messages).
 * Every problem is added to ds; the lines without problems are still
 * delivered. MG_ERR_OK, MG_ERR_FORMAT when ds got an error from here (not
 * from fn), MG_ERR_NOMEM.
 */
enum mg_err mg_ini_parse(const char *file, const char *text, size_t len,
    mg_ini_fn fn, void *arg, struct mg_diags *ds) MG_MUST_CHECK;

/* Adds an error at the value, key or header of line. */
void mg_ini_error(struct mg_diags *ds, const struct mg_ini_line *line,
    unsigned col, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Whether a file of that name in a folder is read: it ends in ".ini"; what
 * begins with a dot is an editor's. */
bool mg_ini_is_name(const char *name);

#endif
