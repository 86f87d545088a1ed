/* SPDX-License-Identifier: ISC */
#ifndef MON_COPY_H
#define MON_COPY_H

#include "mon.h"

/*
 * Copies of what is in force, for mon_policy.c. A digest is "sha256:HEX".
 */

#define MON_COPIES MON_STATE_DIR "/policy"

/* Loads a policy as the agent does; the caller frees it. */
enum mg_err mon_copy_load_from(const char *policy, const char *operations,
    struct mg_policy **pp, struct mg_diags *ds) MG_MUST_CHECK;
/* Opens a folder that is root's alone to write; -1: it is not. */
int mon_copy_open_folder(const char *path);

/* The copy of that policy. MG_ERR_BADSIG: it is another's. */
enum mg_err mon_copy_load(
    const char *digest, struct mg_policy **pp) MG_MUST_CHECK;
/* Copies what was judged; false also when the folders hold another one now. */
bool mon_copy_keep(const struct mg_policy *p, const char *policy_dir,
    const char *operations_dir) MG_MUST_CHECK;
bool mon_copy_keep_signers(
    const struct mg_buf *keys, const char *digest) MG_MUST_CHECK;
/* Where the copy of those keys is, or would be. */
void mon_copy_signers(char *out, size_t size, const char *digest);
/* Removes the copies of what is not in force any more. */
void mon_copy_prune(const struct mg_guarded *g);

#endif
