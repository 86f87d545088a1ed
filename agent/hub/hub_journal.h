/* SPDX-License-Identifier: ISC */
#ifndef HUB_JOURNAL_H
#define HUB_JOURNAL_H

#include <stdint.h>
#include <sys/types.h>

#include "mg_buf.h"
#include "mg_json.h"
#include "mg_rec.h"

/*
 * The hub's journal: one file of records (mg_rec.h), one a line, each
 * numbered by its "n" from 1. What is appended is on disk before the call
 * returns. The hub's whole state is a fold over it.
 */

#define HUB_JOURNAL_NAME "journal"
#define HUB_JOURNAL_MAX ((size_t)1 << 30) /* bytes; beyond it, refuse */

struct hub_journal {
	int dirfd; /* the state folder, locked */
	int fd;	   /* the file, open for appending */
	uint64_t lines;
	uint64_t size;
	struct mg_buf line; /* the record being written */
	struct mg_json json;
};

/*
 * Called for each record when the journal is opened. A failure stops and
 * is reported with the line; *whyp must then get a static text.
 */
typedef enum mg_err (*hub_journal_fn)(
    void *arg, const struct mg_rec *rec, const char **whyp);

/*
 * Opens (or makes) the journal in the folder dir, which must be the
 * caller's and closed to others, locks it against another hub, and feeds
 * every record to fn. A last line without its end, from a crash while it
 * was written, is cut off; *torn_bytesp says how long it was. Any other
 * flaw is MG_ERR_FORMAT and why says where. MG_ERR_EXIST: another hub has
 * it. On failure j holds nothing.
 */
enum mg_err hub_journal_open(struct hub_journal *j, const char *dir,
    hub_journal_fn fn, void *arg, size_t *torn_bytesp, char *why,
    size_t why_size) MG_MUST_CHECK;

void hub_journal_close(struct hub_journal *j);

/*
 * Begins a record of that type, dated now_ms; the caller adds its fields to
 * what is returned.
 */
struct mg_json *hub_journal_begin(
    struct hub_journal *j, const char *type, int64_t now_ms);

/*
 * The record as it will be written: parsed back, so that what cannot be
 * read again is never written. MG_ERR_LIMIT when it is too long. Either
 * hub_journal_commit() or another begin follows.
 */
enum mg_err hub_journal_end(
    struct hub_journal *j, struct mg_rec *rec) MG_MUST_CHECK;

/*
 * Writes that record and waits until it is on disk. MG_ERR_SYS (errno): it
 * is not, and nothing of it is left in the file. A failed sync ends the
 * process: what the disk holds is then unknown.
 */
enum mg_err hub_journal_commit(struct hub_journal *j) MG_MUST_CHECK;

/*
 * The journal written anew, shorter, in one step: begin a record of the
 * new file, add its fields, put it; at the end replace the old file. On
 * failure the old one is still in use.
 */
struct hub_rewrite {
	struct mg_buf b;
	uint64_t lines;
};

void hub_rewrite_init(struct hub_rewrite *w);
void hub_rewrite_fini(struct hub_rewrite *w);
struct mg_json *hub_rewrite_begin(struct hub_journal *j, struct hub_rewrite *w,
    const char *type, int64_t at_ms);
enum mg_err hub_rewrite_put(
    struct hub_journal *j, struct hub_rewrite *w) MG_MUST_CHECK;
enum mg_err hub_rewrite_done(
    struct hub_journal *j, const struct hub_rewrite *w) MG_MUST_CHECK;

#endif
