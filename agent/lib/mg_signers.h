/* SPDX-License-Identifier: ISC */
#ifndef MG_SIGNERS_H
#define MG_SIGNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_diag.h"
#include "mg_err.h"
#include "mg_sshkey.h"

/*
 * Who owns which public key. Two files of one form:
 *
 * allowed_signers, the approvers, a strict subset of what ssh-keygen(1)
 * takes, so that ssh-keygen reads the same out of it:
 *
 *	NAME namespaces="modelgate-approval"[,valid-after="T"]
 *	    [,valid-before="T"] KEYTYPE BASE64 [COMMENT]
 *
 * where the namespaces may also be "modelgate-policy" (a steward's key) or
 * "modelgate-approval,modelgate-policy" (one key for both)
 *
 * (on one line; T is YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ), and
 * hosts, the hosts that a hub serves:
 *
 *	NAME KEYTYPE BASE64 [COMMENT]
 *
 * Empty lines and lines that begin with '#' are comments. Any other line
 * refuses the whole file. A name may have several keys; a key has one name.
 */

#define MG_SIGNERS_FILE_MAX 262144
#define MG_SIGNERS_LINE_MAX 8192
#define MG_SIGNERS_MAX 2048 /* keys in a file */

enum mg_signers_kind {
	MG_SIGNERS_NONE = 0,
	MG_SIGNERS_APPROVERS, /* allowed_signers */
	MG_SIGNERS_HOSTS
};

/* What a key is for: MG_SIGNER_*. */
#define MG_SIGNER_APPROVALS 1U
#define MG_SIGNER_POLICY 2U

struct mg_signer {
	char *name;
	unsigned uses; /* 0 in a file of hosts */
	enum mg_sshkey_type type;
	uint8_t *blob; /* the public key, as on the wire */
	size_t blob_len;
	int64_t after_ms;  /* wall clock; valid from then on; 0: always */
	int64_t before_ms; /* and until just before; 0: for ever */
	unsigned line;
};

struct mg_signers;

/*
 * Reads len bytes that came from file (a name for messages). On any error
 * nothing is kept: *sp is NULL, ds says what and where, and MG_ERR_FORMAT
 * is returned (MG_ERR_LIMIT for a file over its limits, MG_ERR_NOMEM).
 * *sp is the caller's to free.
 */
enum mg_err mg_signers_parse(enum mg_signers_kind kind, const char *file,
    const char *text, size_t len, struct mg_signers **sp,
    struct mg_diags *ds) MG_MUST_CHECK;

void mg_signers_free(struct mg_signers *s);

/* The keys in the order of the file. */
size_t mg_signers_count(const struct mg_signers *s);
const struct mg_signer *mg_signers_at(const struct mg_signers *s, size_t i);

/* The entry of a key blob, whether valid now or not; NULL: unknown. */
const struct mg_signer *mg_signers_find(
    const struct mg_signers *s, const void *blob, size_t len);

/* Whether any key of that name is in the file, valid now or not. */
bool mg_signers_has_name(const struct mg_signers *s, const char *name);

/* Whether the entry holds at that time (wall clock). */
bool mg_signer_is_valid(const struct mg_signer *signer, int64_t wall_ms);

#endif
