/* SPDX-License-Identifier: ISC */
#ifndef MG_SSHSIG_H
#define MG_SSHSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_sshkey.h"

/*
 * Armoured ssh signatures (OpenSSH's PROTOCOL.sshsig), in the one form that
 * approvals may have: PROTOCOL.md, "Signatures". Stricter than ssh-keygen,
 * which runs as well; both have to agree.
 */

#define MG_SSHSIG_ARMOUR_MAX 16384
#define MG_SSHSIG_FP_STR 51 /* "SHA256:", 43 characters, NUL */

enum mg_sshsig_hash {
	MG_SSHSIG_HASH_NONE = 0,
	MG_SSHSIG_SHA256,
	MG_SSHSIG_SHA512
};

/* Pointers point into blob. */
struct mg_sshsig {
	struct mg_buf blob; /* the decoded bytes; owned */
	const char *ns;	    /* namespace; static */
	enum mg_sshkey_type type;
	const uint8_t *key; /* public key blob */
	size_t key_len;
	enum mg_sshsig_hash hash;     /* of the text */
	enum mg_sshsig_hash rsa_hash; /* rsa-sha2-256 or -512 */
	const uint8_t *sig; /* ed25519: 64 bytes; RSA: as long as the key */
	size_t sig_len;
	const uint8_t *r, *s; /* ecdsa: big-endian, no leading zeros */
	size_t r_len, s_len;
	uint8_t flags;	  /* security keys */
	uint32_t counter; /* security keys */
};

/*
 * Reads one armoured signature of len bytes; sig (caller's storage) is
 * filled as a whole. *whyp gets a static text that says what is wrong.
 * MG_ERR_FORMAT, MG_ERR_LIMIT, MG_ERR_PERM (well-formed but not taken),
 * MG_ERR_NOMEM; sig is then empty. Ended by mg_sshsig_fini() either way.
 */
enum mg_err mg_sshsig_parse(struct mg_sshsig *sig, const void *armour,
    size_t len, const char **whyp) MG_MUST_CHECK;

/* Frees what sig owns. */
void mg_sshsig_fini(struct mg_sshsig *sig);

/*
 * Whether sig, made in its namespace sig->ns, is the signature of its own
 * key over the n bytes of text. Who may use that key is not asked
 * here. MG_ERR_OK means yes; MG_ERR_BADSIG no; anything else is no too.
 */
enum mg_err mg_sshsig_verify(const struct mg_sshsig *sig, const void *text,
    size_t n, const char **whyp) MG_MUST_CHECK;

/* The key's fingerprint as ssh-keygen -l prints it. */
enum mg_err mg_sshsig_fingerprint(
    const struct mg_sshsig *sig, char out[MG_SSHSIG_FP_STR]) MG_MUST_CHECK;

#endif
