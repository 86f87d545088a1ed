/* SPDX-License-Identifier: ISC */
#ifndef MG_TOTP_STORE_H
#define MG_TOTP_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_name.h"
#include "mg_seal.h"

/*
 * The secrets of second factors: one file a person below MG_TOTP_DIR, a
 * folder of mode 0700, files of mode 0600, all of them root's. Read and
 * written by mg-auth and the module that it loads, by nothing else; never
 * part of the module that lives in sshd.
 */

#define MG_TOTP_DIR "/var/lib/modelgate/otp"

#define MG_TOTP_SECRET_MIN 16 /* bytes: 128 bits, RFC 4226 R6 */
#define MG_TOTP_SECRET_MAX 64
#define MG_TOTP_DIGITS_MIN 6
#define MG_TOTP_DIGITS_MAX 8
#define MG_TOTP_PERIOD_MIN 15 /* seconds */
#define MG_TOTP_PERIOD_MAX 120
#define MG_TOTP_RECORD_MAX 1024 /* bytes of a file */
#define MG_TOTP_LOCK_MS 5000

enum mg_totp_alg {
	MG_TOTP_NONE,
	MG_TOTP_SHA1,
	MG_TOTP_SHA256,
	MG_TOTP_SHA512,
};

/* One person's factor. Wiped with mg_totp_wipe(). */
struct mg_totp {
	char user[MG_NAME_MAX + 1];
	enum mg_totp_alg alg;
	unsigned digits;
	unsigned period_s;
	uint8_t secret[MG_TOTP_SECRET_MAX];
	size_t secret_len;
	uint64_t used;	    /* highest time step whose code was accepted */
	int64_t enrolled_s; /* wall clock, seconds since 1970 */
};

/* The open, locked folder. */
struct mg_totp_store {
	int dirfd;
	struct mg_seal seal;
};

/* All zero, also what is no longer needed. NULL is fine. */
void mg_totp_wipe(struct mg_totp *t);

/* "sha1", "sha256", "sha512"; "none" for anything else. */
const char *mg_totp_alg_word(enum mg_totp_alg alg);

/*
 * Reads the n bytes of a record. Strict: this version, every line once, in
 * order, in its one spelling, within its limits, with the right checksum,
 * nothing after it. On failure t is all zero and MG_ERR_FORMAT is
 * returned; *linep (may be NULL) is the line that is wrong, from 1.
 */
enum mg_err mg_totp_parse(
    const void *p, size_t n, struct mg_totp *t, unsigned *linep) MG_MUST_CHECK;

/*
 * Appends the record of t to b, which ought to be a secret buffer.
 * MG_ERR_FORMAT when t could not be read back.
 */
enum mg_err mg_totp_format(
    const struct mg_totp *t, struct mg_buf *b) MG_MUST_CHECK;

/*
 * Opens the folder dir and locks it against every other process, waiting
 * MG_TOTP_LOCK_MS at most (MG_ERR_TIMEOUT). The folder and all above it
 * must be root's (or the effective user's) and writable by nobody else;
 * itself it must be closed to others. Records are sealed when the machine's
 * credential is there (mg_seal.h); MG_ERR_SEALED when that is not what it
 * should be. why (may be NULL) says what is wrong.
 * To be closed with mg_totp_store_fini() on success only.
 */
enum mg_err mg_totp_store_init(struct mg_totp_store *st, const char *dir,
    char *why, size_t why_size) MG_MUST_CHECK;

/* Unlocks and closes. */
void mg_totp_store_fini(struct mg_totp_store *st);

/*
 * Reads user's record into t (all zero on failure). MG_ERR_NOENT when there
 * is none; MG_ERR_PERM when the file is not what it should be (link, owner,
 * mode, another person's); MG_ERR_FORMAT when it is damaged; MG_ERR_SEALED
 * when it is sealed and does not open.
 */
enum mg_err mg_totp_store_load(struct mg_totp_store *st, const char *user,
    struct mg_totp *t, char *why, size_t why_size) MG_MUST_CHECK;

/* Writes t as t->user's record: durable when this returns MG_ERR_OK. */
enum mg_err mg_totp_store_save(struct mg_totp_store *st,
    const struct mg_totp *t, char *why, size_t why_size) MG_MUST_CHECK;

/*
 * Removes user's record, whatever it is, durably. MG_ERR_NOENT when there
 * is none.
 */
enum mg_err mg_totp_store_remove(struct mg_totp_store *st, const char *user,
    char *why, size_t why_size) MG_MUST_CHECK;

/*
 * Removes what writers that were killed left behind. Nobody else can be
 * writing: the folder is locked.
 */
void mg_totp_store_sweep(struct mg_totp_store *st);

#endif
