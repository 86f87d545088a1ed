/* SPDX-License-Identifier: ISC */
#ifndef MG_NOTE_H
#define MG_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_merkle.h"

/*
 * Checkpoints: signed notes as C2SP's tlog-checkpoint and signed-note have
 * them, so that other tools can read ours.
 *
 *	HOST/modelgate-ledger		the origin, and the signing key's name
 *	4711				records
 *	BASE64				root of the Merkle tree over them
 *	(empty line)
 *	EM-DASH NAME BASE64		signatures: key id and Ed25519
 *
 * The hub's is a cosignature/v1: it adds the time at which it was made.
 */

#define MG_NOTE_MAX 2048
#define MG_NOTE_NAME_MAX 127
#define MG_NOTE_SIGS_MAX 8
#define MG_NOTE_ORIGIN_SUFFIX "/modelgate-ledger"
#define MG_ED25519 32

enum mg_note_kind {
	MG_NOTE_LOG = 1,     /* a plain signature, the log's own */
	MG_NOTE_WITNESS = 4, /* cosignature/v1 */
};

/* A public key with the name that it signs under. */
struct mg_note_key {
	enum mg_note_kind kind;
	char name[MG_NOTE_NAME_MAX + 1];
	uint8_t pub[MG_ED25519];
};

struct mg_note_sig {
	char name[MG_NOTE_NAME_MAX + 1];
	uint8_t raw[4 + 8 + 64];
	size_t len; /* 68, or 76 of a cosignature */
};

struct mg_note {
	char origin[MG_NOTE_NAME_MAX + 1];
	uint64_t size;
	uint8_t root[MG_MERKLE_HASH];
	char text[MG_NOTE_MAX + 1]; /* all of it */
	size_t len, body_len;	    /* body: what is signed */
	struct mg_note_sig sigs[MG_NOTE_SIGS_MAX];
	size_t nsigs;
};

/* The name of a host's log or of a hub, from host. False: too long. */
bool mg_note_origin(
    const char *host, char out[MG_NOTE_NAME_MAX + 1]) MG_MUST_CHECK;

/* The body for a tree; note has no signature yet. */
enum mg_err mg_note_make(struct mg_note *note, const char *origin,
    uint64_t size, const uint8_t root[MG_MERKLE_HASH]) MG_MUST_CHECK;

/*
 * Adds a signature with the Ed25519 seed under key, whose public half must
 * be the seed's. time_s (wall clock, seconds) is used by a witness only.
 */
enum mg_err mg_note_sign(struct mg_note *note, const struct mg_note_key *key,
    const uint8_t seed[MG_ED25519], int64_t time_s) MG_MUST_CHECK;

/*
 * Notes stand one after the other in a file, an empty line behind each. Of
 * its last n bytes (2 * MG_NOTE_MAX suffice; all, when there are fewer): how
 * many to keep, so that no note is left which a crash cut short. What is
 * whole stays, be it ever so wrong.
 */
size_t mg_note_whole(const char *p, size_t n);

/*
 * Of such bytes: where the last note is that was not cut short, or what
 * stands in its place. False: there is none.
 */
bool mg_note_last(
    const char *p, size_t n, size_t *startp, size_t *lenp) MG_MUST_CHECK;

/*
 * Reads a note: strictly our form and no other, so that equal notes are
 * equal bytes. MG_ERR_FORMAT, and *whyp (may be NULL) gets a static text.
 */
enum mg_err mg_note_parse(struct mg_note *note, const char *text, size_t len,
    const char **whyp) MG_MUST_CHECK;

/*
 * MG_ERR_OK when key has signed; MG_ERR_NOENT: there is no signature of
 * it, MG_ERR_BADSIG: there is a wrong one. *time_sp (may be NULL) gets the
 * time of a cosignature.
 */
enum mg_err mg_note_verify(const struct mg_note *note,
    const struct mg_note_key *key, int64_t *time_sp) MG_MUST_CHECK;

/* Ed25519 on its own: one signature of n bytes at p. */
bool mg_ed25519_verify(const uint8_t pub[MG_ED25519], const void *p, size_t n,
    const uint8_t sig[64]) MG_MUST_CHECK;
enum mg_err mg_ed25519_sign(const uint8_t seed[MG_ED25519], const void *p,
    size_t n, uint8_t sig[64]) MG_MUST_CHECK;

/*
 * The seed and the public key in an unencrypted OpenSSH private key file of
 * type ssh-ed25519 (PROTOCOL.key of OpenSSH). MG_ERR_FORMAT for any other.
 */
enum mg_err mg_ed25519_from_openssh(const char *pem, size_t n,
    uint8_t seed[MG_ED25519], uint8_t pub[MG_ED25519]) MG_MUST_CHECK;

/* The raw key in an ssh-ed25519 key blob as on the wire. */
enum mg_err mg_ed25519_from_blob(
    const void *blob, size_t n, uint8_t pub[MG_ED25519]) MG_MUST_CHECK;

#endif
