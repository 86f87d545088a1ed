/* SPDX-License-Identifier: ISC */
#ifndef MG_HASH_H
#define MG_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"
#include "verify/mg_tree.h"

/*
 * Digests of many files at once, on all cores. One piece is one stretch of
 * one file; the digest of a stretch is sequential, so a single large file
 * keeps a single core busy unless it is cut into several pieces.
 */

#define MG_HASH_BYTES_MAX 64
#define MG_HASH_THREADS_MAX 64

enum mg_hash {
	MG_HASH_NONE = 0,
	MG_HASH_SHA256,
	MG_HASH_BLAKE2B, /* 64 bytes, unkeyed */
};

struct mg_hash_piece {
	size_t file; /* in the tree */
	uint64_t start, end;
	uint8_t digest[MG_HASH_BYTES_MAX]; /* filled in */
};

struct mg_hash_job {
	const struct mg_tree *tree;
	enum mg_hash hash;
	struct mg_hash_piece *pieces; /* in any order; it is kept */
	size_t npieces;
	unsigned threads; /* 0: one a core that we may use */
	/* Called now and then in the caller's thread; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/* Bytes of a digest. */
size_t mg_hash_bytes(enum mg_hash hash);

/*
 * Fills in the digest of every piece. Each file is checked to be what the
 * tree says before and after it is read, the folders at the end. On
 * failure no digest means anything and why names a file. Takes over SIGBUS
 * while it runs, so a process calls it in one thread at a time.
 */
enum mg_err mg_hash_run(
    struct mg_hash_job *job, char *why, size_t why_size) MG_MUST_CHECK;

#endif
