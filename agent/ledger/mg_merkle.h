/* SPDX-License-Identifier: ISC */
#ifndef MG_MERKLE_H
#define MG_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * The Merkle tree of RFC 6962, section 2.1: a leaf is SHA-256 of a zero byte
 * and a ledger line (without its newline), a node that of a one byte and its
 * two children. Leaves are counted from 0: line seq is leaf seq - 1.
 */

#define MG_MERKLE_HASH 32
#define MG_MERKLE_DEPTH 64
#define MG_MERKLE_PROOF_MAX 65 /* hashes in a proof */

/* SHA-256, ready to be used again and again. One thread at a time. */
struct mg_sha;
struct mg_sha *mg_sha_new(void) MG_MUST_CHECK; /* NULL: no memory */
void mg_sha_free(struct mg_sha *sha);
void mg_sha_plain(
    struct mg_sha *sha, const void *p, size_t n, uint8_t out[MG_MERKLE_HASH]);
void mg_sha_leaf(
    struct mg_sha *sha, const void *p, size_t n, uint8_t out[MG_MERKLE_HASH]);

/* A tree that grows: its size and its complete subtrees, one a set bit. */
struct mg_merkle {
	uint64_t size;
	uint8_t peak[MG_MERKLE_DEPTH][MG_MERKLE_HASH];
};

/* The subtree over the leaves from a up to, not including, b. */
struct mg_merkle_range {
	uint64_t a, b;
	size_t slot; /* the caller's: where the hash belongs */
	uint8_t hash[MG_MERKLE_HASH];
};

/* The empty tree. */
void mg_merkle_init(struct mg_merkle *t);

/* Adds one leaf hash. */
void mg_merkle_add(struct mg_merkle *t, struct mg_sha *sha,
    const uint8_t leaf[MG_MERKLE_HASH]);

/* The root of what was added; of an empty tree SHA-256 of nothing. */
void mg_merkle_root(
    const struct mg_merkle *t, struct mg_sha *sha, uint8_t out[MG_MERKLE_HASH]);

/*
 * The subtrees that make up a proof, in its order: that leaf index is in
 * the tree of size leaves (index < size), or that the tree of size leaves
 * continues the one of old leaves (0 < old <= size). Returns how many, at
 * most MG_MERKLE_PROOF_MAX; 0 also for what cannot be asked.
 */
size_t mg_merkle_path(uint64_t index, uint64_t size,
    struct mg_merkle_range out[MG_MERKLE_PROOF_MAX]);
size_t mg_merkle_consistency(uint64_t old, uint64_t size,
    struct mg_merkle_range out[MG_MERKLE_PROOF_MAX]);

/*
 * Fills in the hashes of wanted subtrees of a tree of known size while its
 * leaves go by: _init sorts want (the caller's, n of them) by where they
 * end, _add is called for each leaf in turn, _end after the last. False
 * when the leaves were not as many as size.
 */
struct mg_merkle_collect {
	struct mg_merkle tree;
	struct mg_merkle_range *want;
	size_t n, next;
	uint64_t size;
};
void mg_merkle_collect_init(struct mg_merkle_collect *c,
    struct mg_merkle_range *want, size_t n, uint64_t size);
void mg_merkle_collect_add(struct mg_merkle_collect *c, struct mg_sha *sha,
    const uint8_t leaf[MG_MERKLE_HASH]);
bool mg_merkle_collect_end(
    struct mg_merkle_collect *c, struct mg_sha *sha) MG_MUST_CHECK;

/*
 * Whether n hashes prove it; nothing is assumed of any argument.
 * RFC 9162, sections 2.1.3.2 and 2.1.4.2.
 */
bool mg_merkle_check_inclusion(struct mg_sha *sha, uint64_t index,
    uint64_t size, const uint8_t leaf[MG_MERKLE_HASH],
    const uint8_t (*proof)[MG_MERKLE_HASH], size_t n,
    const uint8_t root[MG_MERKLE_HASH]) MG_MUST_CHECK;
bool mg_merkle_check_consistency(struct mg_sha *sha, uint64_t old,
    uint64_t size, const uint8_t old_root[MG_MERKLE_HASH],
    const uint8_t (*proof)[MG_MERKLE_HASH], size_t n,
    const uint8_t root[MG_MERKLE_HASH]) MG_MUST_CHECK;

#endif
