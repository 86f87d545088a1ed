/* SPDX-License-Identifier: ISC */
#ifndef MG_LEDGER_H
#define MG_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_json.h"
#include "mg_rec.h"

/*
 * The host's append-only record. A line is one flat JSON object; the first
 * members are always
 *
 *	seq	number of the line, from 1, without gaps
 *	at	wall clock, UTC
 *	bt	CLOCK_BOOTTIME in milliseconds
 *	prev	SHA-256 of the line before (64 hex digits; zeros for line 1)
 *	type	what happened
 *
 * modelgate-ledger(5). Lines are collected with _begin/_end and become
 * durable together in _sync, so that many writers share one fdatasync.
 */

#define MG_LEDGER_HASH_HEX 65
#define MG_LEDGER_BATCH_MAX (4U << 20) /* bytes not yet synced */

struct mg_ledger;

/* Where and why a ledger is broken, and what was repaired. */
struct mg_ledger_report {
	char file[64];
	uint64_t line; /* within the file, from 1 */
	char text[256];
	bool repaired;	       /* a torn last line was cut off */
	size_t repaired_bytes; /* how much */
	uint64_t records;      /* read in all */
};

/* Called for every line, in order. Anything but MG_ERR_OK stops reading. */
typedef enum mg_err (*mg_ledger_fn)(void *arg, const struct mg_rec *rec);

/*
 * Opens (creates) the ledger in the folder dirfd, which stays the caller's,
 * reads it whole and calls fn for every line. A last line without newline
 * is cut off and reported; anything else that is not as written (bad JSON,
 * a gap, a wrong hash) is MG_ERR_FORMAT, with rep saying where, and *lp is
 * NULL.
 */
enum mg_err mg_ledger_open(int dirfd, mg_ledger_fn fn, void *arg,
    struct mg_ledger **lp, struct mg_ledger_report *rep) MG_MUST_CHECK;

void mg_ledger_free(struct mg_ledger *l);

/* The number that the next line will get. */
uint64_t mg_ledger_next_seq(const struct mg_ledger *l);

/*
 * Begins a line of the given type in the batch; the caller adds members to
 * j and calls _end, which parses the finished line into rec (initialised;
 * the caller's). When _end fails the line is not in the batch.
 */
void mg_ledger_begin(struct mg_ledger *l, struct mg_json *j, const char *type);
enum mg_err mg_ledger_end(
    struct mg_ledger *l, struct mg_json *j, struct mg_rec *rec) MG_MUST_CHECK;

/* A place in the batch, and giving up all lines after it. */
struct mg_ledger_mark {
	size_t len;
	uint64_t seq;
	char prev[MG_LEDGER_HASH_HEX];
};
void mg_ledger_get_mark(const struct mg_ledger *l, struct mg_ledger_mark *m);
void mg_ledger_rewind(struct mg_ledger *l, const struct mg_ledger_mark *m);

/* Bytes in the batch. */
size_t mg_ledger_pending(const struct mg_ledger *l);

/*
 * Writes the batch and makes it durable. On failure nothing of the batch is
 * in the ledger: the file is cut back to what it was, through a new
 * descriptor (a later success on one that failed proves nothing), and the
 * batch is empty. When even that fails the ledger is dead: _is_dead() is
 * true, every later _sync fails until _revive() succeeds.
 */
enum mg_err mg_ledger_sync(struct mg_ledger *l) MG_MUST_CHECK;
bool mg_ledger_is_dead(const struct mg_ledger *l);
enum mg_err mg_ledger_revive(struct mg_ledger *l) MG_MUST_CHECK;

/*
 * Opens the segments for reading, oldest first, at most max of them; the
 * descriptors are the caller's. Returns how many, -1 on error.
 */
int mg_ledger_open_segments(const struct mg_ledger *l, int *fds, size_t max);

#endif
