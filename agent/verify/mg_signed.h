/* SPDX-License-Identifier: ISC */
#ifndef MG_SIGNED_H
#define MG_SIGNED_H

#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * Whether one of several signers signed an artifact, files and all: OpenSSF
 * Model Signing, strict. What signers are is in modelgate-artifact(1),
 * "Signers".
 */

/* The signature's path in the artifact. */
#define MG_SIGNED_FILE "model.sig"
#define MG_SIGNED_SIGNERS_MAX 64
#define MG_SIGNED_PEM_MAX 65536
#define MG_SIGNED_IDENTITY_MAX 512

struct mg_signed_ask {
	int fd; /* of the artifact's folder; stays the caller's */
	/* Signers, each a string (name) and bytes (its file) of mg_buf.h. */
	const void *signers;
	size_t signers_len;
	uint64_t max_bytes; /* of all files */
	int64_t now_ms;	    /* wall clock */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct mg_signed {
	char signer[97]; /* name of whose key or certificate it is */
	char fp[96];	 /* of that key or certificate */
};

/*
 * MG_ERR_OK: yes, out says by whom. Anything else: no, out is zero and why
 * says the reason. Uses threads and takes over SIGBUS meanwhile.
 */
enum mg_err mg_signed_check(const struct mg_signed_ask *ask,
    struct mg_signed *out, char *why, size_t why_size) MG_MUST_CHECK;

#endif
