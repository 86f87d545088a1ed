/* SPDX-License-Identifier: ISC */
#ifndef MG_APPROVAL_H
#define MG_APPROVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"
#include "verify/mg_sshsig.h"

/*
 * Whether one person signed one text: asked twice, by two means that share
 * no process. An approval counts only when both say yes.
 */

struct mg_approval {
	const char *ns;		/* namespace; one of mg_text.h */
	const char *principal;	/* who is said to have signed */
	int64_t now_ms;		/* wall clock: keys have to be valid then */
	const uint8_t *signers; /* the allowed_signers file */
	size_t signers_len;
	const uint8_t *text;
	size_t text_len;
	const uint8_t *sig; /* armoured */
	size_t sig_len;
};

/* What is known of the key; empty where nothing is. */
struct mg_approval_key {
	const char *type; /* static */
	char fp[MG_SSHSIG_FP_STR];
	bool is_hardware;
};

/*
 * Our own reading: strict form, strict allowed_signers, one of the
 * principal's keys and valid now, and the arithmetic. MG_ERR_OK means yes,
 * everything else no; why then says which part was not right. *keyp is
 * filled as soon as the signature could be read, also when the answer is
 * no.
 */
enum mg_err mg_approval_check(const struct mg_approval *a,
    struct mg_approval_key *keyp, char *why, size_t why_size) MG_MUST_CHECK;

/*
 * The same question to the ssh-keygen that the system has, given nothing
 * but the principal's lines. Starts a process; waits at most
 * MG_APPROVAL_KEYGEN_MS for it.
 */
#define MG_APPROVAL_KEYGEN_MS 5000
enum mg_err mg_approval_keygen(
    const struct mg_approval *a, char *why, size_t why_size) MG_MUST_CHECK;

#endif
