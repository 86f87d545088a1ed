/* SPDX-License-Identifier: ISC */
#ifndef MG_JSON_H
#define MG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * Writes JSON (RFC 8259) on one line. Errors stick: check mg_json_end()
 * once. Strings must be UTF-8; bytes that are not are written as U+FFFD.
 * Every character that mg_esc_is_plain() refuses is written as \uXXXX, so
 * that a line is safe to show on a terminal.
 */

#define MG_JSON_DEPTH_MAX 16

struct mg_json {
	struct mg_buf *b;
	enum mg_err r;
	unsigned depth;
	bool comma[MG_JSON_DEPTH_MAX + 1];
};

/* Writes into b, which stays the caller's and must outlive j. */
void mg_json_begin(struct mg_json *j, struct mg_buf *b);

/* key is NULL inside an array and for the outermost value. */
void mg_json_obj(struct mg_json *j, const char *key);
void mg_json_obj_end(struct mg_json *j);
void mg_json_arr(struct mg_json *j, const char *key);
void mg_json_arr_end(struct mg_json *j);
void mg_json_str(struct mg_json *j, const char *key, const char *s);
void mg_json_int(struct mg_json *j, const char *key, int64_t v);
void mg_json_bool(struct mg_json *j, const char *key, bool v);
void mg_json_null(struct mg_json *j, const char *key);
void mg_json_strv(
    struct mg_json *j, const char *key, const char *const *v, size_t n);
/* A value that is JSON already, on one line. */
void mg_json_raw(struct mg_json *j, const char *key, const char *json);

/* The first error since mg_json_begin(), or MG_ERR_OK. */
enum mg_err mg_json_end(struct mg_json *j) MG_MUST_CHECK;

#endif
