/* SPDX-License-Identifier: ISC */
#ifndef MG_SEAL_H
#define MG_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * Secrets at rest, sealed with a key that the service manager hands out
 * (a systemd credential), so that a copy of the disk or of a backup is not
 * a copy of the secrets. Computed by libcrypto: programs that call these
 * functions link it; the rest of the library does not.
 *
 * A sealed file is MG_SEAL_HEAD, 12 random bytes, the text encrypted with
 * AES-256-GCM, its tag of 16 bytes. Header and place are authenticated.
 */

#define MG_SEAL_HEAD "modelgate sealed v1\n"
#define MG_SEAL_MORE 48 /* bytes that a sealed text is longer */
#define MG_SEAL_PLACE_MAX 255

#define MG_SEAL_VARIABLE "CREDENTIALS_DIRECTORY"
#define MG_SEAL_FILE "modelgate.secret"
#define MG_SEAL_KEY 32 /* bytes of that file */

/* The key. Wiped with mg_seal_fini(). */
struct mg_seal {
	bool has_key;
	uint8_t key[MG_SEAL_KEY];
};

/*
 * Reads the key from the folder that MG_SEAL_VARIABLE names; has_key stays
 * false where there is no such variable or file. MG_ERR_PERM, MG_ERR_SYS
 * when the file is not the user's alone, MG_ERR_FORMAT when it is not
 * MG_SEAL_KEY bytes: why (may be NULL) says so, and there is no key.
 */
enum mg_err mg_seal_init(
    struct mg_seal *s, char *why, size_t why_size) MG_MUST_CHECK;

/* All zero: without a key. NULL is fine. */
void mg_seal_fini(struct mg_seal *s);

/* Whether a file of n bytes at p claims to be sealed. */
bool mg_seal_is(const void *p, size_t n);

/*
 * Appends the n bytes at p to b, sealed for place: a name for what the file
 * is and whose, of MG_SEAL_PLACE_MAX bytes at most. Without a key they are
 * appended as they are. On failure b is as it was.
 */
enum mg_err mg_seal_put(const struct mg_seal *s, const char *place,
    const void *p, size_t n, struct mg_buf *b) MG_MUST_CHECK;

/*
 * Appends to b, a secret buffer, what the file of n bytes at p holds; bytes
 * that are not sealed as they are. MG_ERR_SEALED when they are sealed and
 * there is no key, or not this one, or for another place, or were changed:
 * why (may be NULL) goes on after "it is". MG_ERR_FORMAT when they are cut
 * short. On failure b is as it was.
 */
enum mg_err mg_seal_get(const struct mg_seal *s, const char *place,
    const void *p, size_t n, struct mg_buf *b, char *why,
    size_t why_size) MG_MUST_CHECK;

#endif
