/* SPDX-License-Identifier: ISC */
#ifndef CONN_VIEW_H
#define CONN_VIEW_H

#include "mg_buf.h"
#include "mg_id.h"
#include "mg_json.h"
#include "mg_msg.h"

/*
 * How requests look to an approver: as a table that fits the terminal, as
 * one page, as JSON. Pure: items in, text out; lines end with '\n'. All
 * text from outside is escaped here.
 */

#define CONN_WIDTH_MIN 20
#define CONN_WIDTH_MAX 500
#define CONN_WIDTH_UNKNOWN 80
#define CONN_WIDTH_NARROW 64 /* below it, several lines a request */

/* One request of an inbox, in words. */
struct conn_row {
	char uuid[MG_UUID_STR], code[MG_CODE_STR];
	char age[16], left[16];
	char requester[100], host[100], operation[100], model[200];
	char asked[256]; /* of the reader */
	bool is_due;	 /* the reader is asked and has not answered */
};

/* Fills row from an item, for the reader called name. */
void conn_row_fill(struct conn_row *row, const struct mg_conn_item *m,
    const char *name, int64_t now_ms);

/*
 * Appends n rows for a terminal of width columns (0: no limit). With
 * numbers, counted from 1 in front.
 */
enum mg_err conn_view_table(struct mg_buf *b, const struct conn_row *rows,
    size_t n, unsigned width, bool numbered) MG_MUST_CHECK;

/* Appends everything about one request. */
enum mg_err conn_view_page(struct mg_buf *b, const struct mg_conn_item *m,
    const char *name, unsigned width, int64_t now_ms) MG_MUST_CHECK;

/* Appends the request as an object of j. */
void conn_view_json(
    struct mg_json *j, const struct mg_conn_item *m, const char *name);

/* "45s", "13m", "3h12m", "2d4h": short, rounded down. */
void conn_view_time(int64_t ms, char out[16]);

/*
 * Appends s as one argument of a POSIX shell that passes it to ssh, which
 * joins arguments with blanks: quoted for the shell and, where conn_args.h
 * would take it otherwise apart, for that too.
 */
enum mg_err conn_view_quote(struct mg_buf *b, const char *s) MG_MUST_CHECK;

/* How many columns the text takes. */
size_t conn_view_columns(const char *s);

#endif
