/* SPDX-License-Identifier: ISC */
#ifndef MG_SSHKEY_H
#define MG_SSHKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * Public ssh keys: which types are taken, and whether a key blob is exactly
 * what its type says. Syntax only, no arithmetic: whether a point lies on
 * its curve is for whoever verifies a signature.
 */

#define MG_SSHKEY_BLOB_MAX 4096 /* RSA of 16384 bits is about 2100 */
#define MG_SSHKEY_RSA_BITS_MIN 2048
#define MG_SSHKEY_RSA_BITS_MAX 16384

enum mg_sshkey_type {
	MG_SSHKEY_NONE = 0,
	MG_SSHKEY_ED25519,
	MG_SSHKEY_ECDSA_256,
	MG_SSHKEY_ECDSA_384,
	MG_SSHKEY_ECDSA_521,
	MG_SSHKEY_RSA,
	MG_SSHKEY_SK_ED25519,
	MG_SSHKEY_SK_ECDSA_256,
};

/* The type of a name such as "ssh-ed25519"; MG_SSHKEY_NONE when not taken. */
enum mg_sshkey_type mg_sshkey_type(const char *name);

/* The name of a type; "" for MG_SSHKEY_NONE. */
const char *mg_sshkey_name(enum mg_sshkey_type type);

/* Whether the private half lives in a security key (sk-...). */
bool mg_sshkey_is_hardware(enum mg_sshkey_type type);

/*
 * Reads which type a blob says it is of, and whether it is one such key,
 * whole and with nothing after it. *typep is MG_SSHKEY_NONE on failure and
 * *whyp (may be NULL) gets a static text.
 */
enum mg_err mg_sshkey_check(const void *blob, size_t len,
    enum mg_sshkey_type *typep, const char **whyp) MG_MUST_CHECK;

/*
 * Reads "keytype base64" (n2 characters of base64) and appends the blob to
 * b. *badp is the index in b64 where it went wrong. b is unchanged on
 * failure, *whyp as above.
 */
enum mg_err mg_sshkey_parse(struct mg_buf *b, const char *type_name,
    const char *b64, size_t n, size_t *badp, const char **whyp) MG_MUST_CHECK;

#endif
