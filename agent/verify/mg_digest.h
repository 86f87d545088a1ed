/* SPDX-License-Identifier: ISC */
#ifndef MG_DIGEST_H
#define MG_DIGEST_H

#include <stdint.h>

#include "mg_buf.h"
#include "verify/mg_tree.h"

/*
 * The artifact digest: SHA-256 of a manifest that sha256sum(1) writes as
 * well. PROTOCOL.md, "Artifact digest".
 */

/* Where the agent keeps its copies of artifacts, all of them sealed. */
#define MG_STORE_DIR "/var/lib/modelgate-store"

#define MG_DIGEST_STR 72 /* "sha256:", 64 hex digits, NUL */

struct mg_digest {
	char text[MG_DIGEST_STR];
	uint64_t files, bytes;
};

struct mg_digest_ask {
	int fd; /* of a folder or of a regular file; stays the caller's */
	uint64_t max_bytes; /* of all files; more is refused */
	bool is_sealed;	    /* as in mg_tree.h */
	unsigned threads;   /* 0: one a core */
	/* As in mg_hash.h; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/*
 * Computes the digest. manifest, if not NULL, gets the manifest appended.
 * On failure out is all zero and why names the file that is to blame; the
 * errors are those of mg_tree_walk() and mg_hash_run(). Uses threads and
 * takes over SIGBUS meanwhile.
 */
enum mg_err mg_digest(const struct mg_digest_ask *ask, struct mg_digest *out,
    struct mg_buf *manifest, char *why, size_t why_size) MG_MUST_CHECK;

#endif
