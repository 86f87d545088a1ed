/* SPDX-License-Identifier: ISC */
#ifndef LEDGER_INT_H
#define LEDGER_INT_H

#include <sys/types.h>

#include "ledger.h"

/* What the files of the ledger share:
 *
 *	ledger.c	the batch, making it durable, new segments
 *	ledger_load.c	reading at start-up
 *	ledger_keep.c	leaves, compressed and discarded segments
 *	ledger_file.c	names and files
 */

struct mg_ledger {
	int dirfd;
	int fd; /* of the segment that is written */
	int leaves_fd;
	char name[MG_LEDGER_NAME];
	uint64_t first;	  /* line of the segment that is written */
	uint64_t seq;	  /* of the last line in the batch or file */
	uint64_t synced;  /* of the last durable line */
	off_t size;	  /* of the durable part of the file */
	int64_t began_ms; /* wall clock of the segment's first line */
	char prev[MG_LEDGER_HASH_HEX];
	char synced_prev[MG_LEDGER_HASH_HEX];
	struct mg_merkle tree; /* over the durable lines */
	struct mg_sha *sha;
	struct mg_buf batch;
	size_t line_start;
	uint64_t leaves; /* that the file of leaves has, from the first on */
	bool dead;
	int error; /* why: errno of the write that failed */
	/* A segment that was begun and given up, but may still be found
	 * after a crash; "": there is none. */
	char unbegun[MG_LEDGER_NAME];
	bool leaves_short;    /* the file of leaves lacks some */
	uint64_t leaves_need; /* the first so many */
	uint64_t discarded;   /* lines that are gone by order, with the batch */
	uint64_t synced_discarded;
};

/* Of a segment or snapshot; suffix ".jsonl", ".snapshot", ... */
void mg_ledger_name(
    uint64_t first, const char *suffix, char out[MG_LEDGER_NAME]);
/* The first line in a name with that suffix, or 0. */
uint64_t mg_ledger_name_first(const char *name, const char *suffix);

/* Opens a file of the ledger to append, or with other flags; private. */
enum mg_err mg_ledger_open_at(
    int dirfd, const char *name, int flags, int *fdp) MG_MUST_CHECK;

/* Reads from the newest good snapshot on; opens the last segment. */
enum mg_err mg_ledger_load(struct mg_ledger *l, const struct mg_note_key *host,
    mg_ledger_fn fn, mg_ledger_fn restore, void *arg,
    struct mg_ledger_report *rep) MG_MUST_CHECK;

/*
 * Takes the leaves of whole lines at p into the tree and the file. When the
 * file cannot be written it stays behind the tree: mg_ledger_leaves() and
 * mg_ledger_rotate() make good for it.
 */
void mg_ledger_grow(struct mg_ledger *l, const char *p, size_t n);

/* Writes the leaves of this segment that could not be written before. */
enum mg_err mg_ledger_mend(struct mg_ledger *l) MG_MUST_CHECK;

/* What a record of type "discard" says of it. */
void mg_ledger_note_discard(struct mg_ledger *l, const struct mg_rec *rec);

#endif
