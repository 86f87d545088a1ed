/* SPDX-License-Identifier: ISC */
#ifndef MG_REC_H
#define MG_REC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * A record: one flat JSON object on one line, as the ledger, the hub's
 * queue and the agent's listings carry it. Values are strings, 64-bit
 * integers, booleans, or arrays of strings. Reading is strict: no nesting,
 * no duplicate keys, no blanks, no floats, no null, valid UTF-8 without
 * NUL, and nothing after the closing brace.
 */

#define MG_REC_FIELDS_MAX 64
#define MG_REC_STRV_MAX 128   /* strings in all arrays of a record */
#define MG_REC_LINE_MAX 65536 /* bytes, without the newline */

enum mg_rec_kind { MG_REC_STR = 1, MG_REC_INT, MG_REC_BOOL, MG_REC_STRV };

struct mg_rec_field {
	const char *key;
	enum mg_rec_kind kind;
	const char *s;	      /* MG_REC_STR */
	int64_t i;	      /* MG_REC_INT, MG_REC_BOOL */
	const char *const *v; /* MG_REC_STRV */
	size_t n;
};

struct mg_rec {
	struct mg_rec_field f[MG_REC_FIELDS_MAX];
	size_t n;
	const char *strs[MG_REC_STRV_MAX];
	size_t nstrs;
	char *text;	/* owned; all pointers point into it */
	size_t err_col; /* where a failed parse stopped, from 1 */
};

/* Empty record (caller's storage). */
void mg_rec_init(struct mg_rec *rec);

/* Frees what rec owns; it is empty afterwards. */
void mg_rec_fini(struct mg_rec *rec);

/*
 * Reads one line of len bytes (no newline). Whatever rec held is freed
 * first. On failure rec is empty and rec->err_col says where.
 * MG_ERR_FORMAT, MG_ERR_LIMIT, MG_ERR_TRAIL, MG_ERR_NOMEM.
 */
enum mg_err mg_rec_parse(
    struct mg_rec *rec, const char *line, size_t len) MG_MUST_CHECK;

/* The value of a key, or the fallback when absent or of another kind. */
const char *mg_rec_str(
    const struct mg_rec *rec, const char *key, const char *fallback);
int64_t mg_rec_int(const struct mg_rec *rec, const char *key, int64_t fallback);
bool mg_rec_bool(const struct mg_rec *rec, const char *key);

/* The array of a key and its length; NULL and 0 when absent. */
const char *const *mg_rec_strv(
    const struct mg_rec *rec, const char *key, size_t *np);

bool mg_rec_has(const struct mg_rec *rec, const char *key);

#endif
