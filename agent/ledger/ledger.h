/* SPDX-License-Identifier: ISC */
#ifndef MG_LEDGER_H
#define MG_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_flaw.h"
#include "mg_json.h"
#include "mg_merkle.h"
#include "mg_note.h"
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
 *
 * The folder holds
 *
 *	SEQ.jsonl	a segment, named after its first line (20 digits)
 *	SEQ.jsonl.zst	one that is old, compressed
 *	SEQ.snapshot	the state before that segment: start-up reads it and
 *			what follows, not the history
 *	leaves		the leaf hash of every line, 32 bytes each
 *	leaves.discarded  once more those of lines that are gone: no line can
 *			make them anew
 *	checkpoints	signed notes over the tree (mg_note.h)
 *
 * Every segment but the first begins with a line of type "segment" that
 * holds the SHA-256 of its snapshot and the tree's root before it.
 *
 * Old segments can be discarded, from the oldest on: their leaf hashes stay,
 * so that the tree and every checkpoint can be verified as before.
 */

#define MG_LEDGER_HASH_HEX 65
#define MG_LEDGER_BATCH_MAX (4U << 20)	   /* bytes not yet synced */
#define MG_LEDGER_SEGMENT_BYTES (4U << 20) /* then a new one begins */
#define MG_LEDGER_SEGMENT_MS (86400 * 1000LL)
#define MG_LEDGER_SNAPSHOT_MAX (256U << 20)
#define MG_LEDGER_SNAPSHOTS 3 /* kept */
#define MG_LEDGER_NAME 40     /* room for the name of a file */
#define MG_LEDGER_LEAVES "leaves"
#define MG_LEDGER_LEAVES_NEW "leaves.new" /* while it is made anew */
#define MG_LEDGER_SPARE "leaves.discarded"
#define MG_LEDGER_CHECKPOINTS "checkpoints"

struct mg_ledger;

/* Where and why a ledger is broken, and what was repaired. */
struct mg_ledger_report {
	char file[64];
	uint64_t line; /* within the file, from 1 */
	struct mg_flaw flaw;
	bool repaired;		/* a torn last line was cut off */
	size_t repaired_bytes;	/* how much */
	uint64_t records;	/* lines in the ledger */
	uint64_t read;		/* of which were read */
	unsigned bad_snapshots; /* passed over */
	bool leaves_short;	/* the file of leaves lacks old ones */
	uint64_t leaves_differ; /* or has another hash of that record */
};

/* Called for every line, in order. Anything but MG_ERR_OK stops reading. */
typedef enum mg_err (*mg_ledger_fn)(void *arg, const struct mg_rec *rec);

/*
 * Opens (creates) the ledger in the folder dirfd, which stays the caller's.
 * Lines of the newest snapshot that fits its segment go to restore, then
 * all lines from that segment on to fn. A last line without newline is cut
 * off and reported; anything else that is not as written (bad JSON, a gap,
 * a wrong hash, less than the newest checkpoint of host was signed over) is
 * MG_ERR_FORMAT, with rep saying where and why, *lp is NULL, and nothing in
 * the folder has changed. Without a host (NULL) no checkpoint is looked at.
 */
enum mg_err mg_ledger_open(int dirfd, const struct mg_note_key *host,
    mg_ledger_fn fn, mg_ledger_fn restore, void *arg, struct mg_ledger **lp,
    struct mg_ledger_report *rep) MG_MUST_CHECK;

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
	uint64_t seq, discarded;
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

/* The durable lines, and the root of the tree over them. */
uint64_t mg_ledger_size(const struct mg_ledger *l);
void mg_ledger_root(const struct mg_ledger *l, uint8_t out[MG_MERKLE_HASH]);

/* Whether a new segment is due. */
bool mg_ledger_is_full(const struct mg_ledger *l, int64_t wall_ms);

/*
 * Begins a new segment; state (n bytes) is what a later _open() restores.
 * The batch must be empty. On failure the old segment goes on; when the
 * beginning of the new one cannot be removed for good, the ledger is dead
 * until _revive() could.
 */
enum mg_err mg_ledger_rotate(
    struct mg_ledger *l, const void *state, size_t n) MG_MUST_CHECK;

/*
 * Leaf hashes from index on, at most max of them; how many in *np.
 * MG_ERR_STATE: their file was damaged, and is being made anew. What could
 * not be written when the lines were is written now.
 */
enum mg_err mg_ledger_leaves(struct mg_ledger *l, uint64_t from,
    uint8_t (*out)[MG_MERKLE_HASH], size_t max, size_t *np) MG_MUST_CHECK;

/*
 * Whether the file of leaves is what the ledger is: its hashes are folded,
 * at most max a call, until there are as many as lines, and the root is
 * compared. MG_ERR_AGAIN: there are more. MG_ERR_FORMAT: it is not.
 * MG_ERR_SYS: what is missing could not be written.
 * On the way the root over the first mark_size lines is kept in mark.
 */
struct mg_ledger_fold {
	struct mg_merkle tree;
	uint64_t mark_size;
	uint8_t mark[MG_MERKLE_HASH];
};
void mg_ledger_fold_init(struct mg_ledger_fold *f, uint64_t mark_size);
enum mg_err mg_ledger_fold(
    struct mg_ledger *l, struct mg_ledger_fold *f, size_t max) MG_MUST_CHECK;

/*
 * Making the file of leaves anew. While leaves are short, what is appended
 * goes to a new file. Somebody has to write the hashes of the first *needp
 * lines to its beginning (*fdp is the ledger's; *oldp is the caller's: the
 * hashes of discarded lines that were kept twice, or, without spare, what is
 * left of the old file; -1: neither); when it folds, _done() puts it in place.
 */
void mg_ledger_leaves_lose(struct mg_ledger *l); /* they turned out wrong */
bool mg_ledger_leaves_are_short(const struct mg_ledger *l);
enum mg_err mg_ledger_leaves_begin(struct mg_ledger *l, bool spare, int *fdp,
    int *oldp, uint64_t *needp) MG_MUST_CHECK;
enum mg_err mg_ledger_leaves_done(struct mg_ledger *l) MG_MUST_CHECK;

/*
 * The newest segments, which a start may have to read: they stay as they
 * are. n is how many segments there are; the first of these, or n.
 */
size_t mg_ledger_keep_from(size_t n);

/*
 * Replaces a segment by its compressed form, which was written to _pack_new's
 * file and checked. Both are there for a moment; the plain one counts.
 */
struct mg_ledger_file;
enum mg_err mg_ledger_pack_new(const struct mg_ledger *l,
    const struct mg_ledger_file *f, int *fdp) MG_MUST_CHECK;
enum mg_err mg_ledger_pack_done(const struct mg_ledger *l,
    const struct mg_ledger_file *f, int fd) MG_MUST_CHECK;

/*
 * Keeps the hashes of the first lines twice, as many as upto, at most max a
 * call. MG_ERR_AGAIN: there are more. The file of leaves has to be right.
 */
enum mg_err mg_ledger_spare(
    const struct mg_ledger *l, uint64_t upto, uint64_t max) MG_MUST_CHECK;

/*
 * Removes the segments that hold no line after _discarded(), which is what
 * the newest record of type "discard" says; it has to be on record for good.
 * The oldest goes first. _leftover(): the first line of those that are still
 * there (after a crash), or 0.
 */
enum mg_err mg_ledger_discard(const struct mg_ledger *l) MG_MUST_CHECK;
uint64_t mg_ledger_discarded(const struct mg_ledger *l);
uint64_t mg_ledger_leftover(const struct mg_ledger *l);

/* Appends a note to the checkpoints, and makes it durable. */
enum mg_err mg_ledger_add_note(
    const struct mg_ledger *l, const char *text, size_t n) MG_MUST_CHECK;

/* ---- the files, also for readers without a ledger of their own ---- */

struct mg_ledger_file {
	uint64_t first; /* line */
	bool zst;
	bool is_regular;
	char name[MG_LEDGER_NAME];
};

/* The segments in a folder by their first line. *vp is the caller's to
 * free. A segment that is there twice, plain and compressed (a crash while
 * it was replaced), is listed as the plain one. */
enum mg_err mg_ledger_list(
    int dirfd, struct mg_ledger_file **vp, size_t *np) MG_MUST_CHECK;

/* Opens one for reading; it must be a private regular file. */
enum mg_err mg_ledger_open_file(
    int dirfd, const char *name, int *fdp) MG_MUST_CHECK;

int mg_ledger_dir(const struct mg_ledger *l);

/* What prev of the line behind this one has to be. */
void mg_ledger_hash_line(struct mg_sha *sha, const char *line, size_t n,
    char out[MG_LEDGER_HASH_HEX]);

#endif
