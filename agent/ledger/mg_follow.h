/* SPDX-License-Identifier: ISC */
#ifndef MG_FOLLOW_H
#define MG_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_flaw.h"
#include "mg_merkle.h"
#include "mg_rec.h"

/*
 * Following a ledger line by line: the agent does it at its start, and
 * "modelgate verify" with the whole of it. Both find the same flaws.
 */

/* ---- leaf hashes that somebody kept ---- */

#define MG_LEAVES_STEP 2048

struct mg_leaves {
	int fd; /* -1: none */
	uint64_t n, at;
	size_t have;
	uint8_t v[MG_LEAVES_STEP][MG_MERKLE_HASH];
};

void mg_leaves_init(struct mg_leaves *l);
void mg_leaves_fini(struct mg_leaves *l);

/*
 * MG_ERR_NOENT: there is no such file. MG_ERR_PERM: it is no regular one.
 * MG_ERR_SYS.
 */
enum mg_err mg_leaves_open(
    struct mg_leaves *l, int dirfd, const char *path) MG_MUST_CHECK;

/* Takes over a descriptor. */
void mg_leaves_take(struct mg_leaves *l, int fd);

/* The hash of a leaf, until the next call; NULL: it was not kept. */
const uint8_t *mg_leaves_get(struct mg_leaves *l, uint64_t i);

/* ---- lines ---- */

struct mg_follow {
	struct mg_sha *sha;	/* the caller's */
	struct mg_leaves *kept; /* the caller's */
	struct mg_merkle tree;	/* over the lines so far */
	char prev[2 * MG_MERKLE_HASH + 1];
	bool unchained; /* the line before is not there: it was discarded */
	int64_t bt, at_ms;
	/* The first record whose hash was kept as another one; 0: none. */
	uint64_t differs;
	uint64_t set_back, set_back_ms; /* record, by how much: wall clock */
	struct mg_rec rec;		/* the line that was checked last */
	uint8_t leaf[MG_MERKLE_HASH];	/* its hash */
	struct mg_flaw flaw;
};

void mg_follow_init(
    struct mg_follow *f, struct mg_sha *sha, struct mg_leaves *kept);
void mg_follow_fini(struct mg_follow *f);

/*
 * Whether the line is what has to come next; first: of a segment. On
 * MG_ERR_FORMAT f->flaw says what is wrong. MG_ERR_NOMEM.
 */
enum mg_err mg_follow_check(
    struct mg_follow *f, const char *line, size_t n, bool first) MG_MUST_CHECK;

/* Goes on behind the line that was checked. */
void mg_follow_take(struct mg_follow *f, const char *line, size_t n);

/*
 * Behind a flaw: the other lines of the file. The one that was missed may
 * be among them: then it is the order that is wrong.
 */
void mg_follow_rest(struct mg_follow *f, const char *line, size_t n);

#endif
