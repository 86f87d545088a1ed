/* SPDX-License-Identifier: ISC */
#ifndef MG_TOTP_H
#define MG_TOTP_H

#include "mg_totp_store.h"

/*
 * Time-based one-time passwords (RFC 6238), computed by liboath. Programs
 * that call these functions link it; the rest of the library does not.
 */

/*
 * A PAM return code says little. The module leaves one of these words in
 * this variable of the PAM environment, for mg-auth to explain a refusal
 * with. They never decide anything.
 */
#define MG_TOTP_VARIABLE "MODELGATE_TOTP"
#define MG_TOTP_WORD_WRONG "wrong"
#define MG_TOTP_WORD_REPLAY "replay"
#define MG_TOTP_WORD_UNSET "unset"
#define MG_TOTP_WORD_BROKEN "broken"

/* What a code is. Nothing but ACCEPTED opens anything. */
enum mg_totp_result {
	MG_TOTP_WRONG,
	MG_TOTP_REPLAYED, /* right, but used before */
	MG_TOTP_ACCEPTED,
};

/*
 * Judges a code, as a person types it (blanks are ignored), at now_s
 * seconds since 1970: the step of now, the one before and the one after
 * count. *stepp is the step that an accepted code belongs to, else 0; the
 * caller must write it to t->used, durably, before it acts.
 * MG_ERR_INTERNAL, MG_ERR_FORMAT: nothing could be judged.
 */
enum mg_err mg_totp_match(const struct mg_totp *t, int64_t now_s,
    const char *code, enum mg_totp_result *resultp,
    uint64_t *stepp) MG_MUST_CHECK;

/*
 * Judges a code against user's record in the folder dir and, if accepted,
 * has its step recorded durably by the time it returns. *resultp is
 * MG_TOTP_WRONG unless MG_ERR_OK is returned. Errors as from the store.
 */
enum mg_err mg_totp_check(const char *dir, const char *user, int64_t now_s,
    const char *code, enum mg_totp_result *resultp, char *why,
    size_t why_size) MG_MUST_CHECK;

/* A new factor for user: SHA-1, 6 digits, 30 s, 20 random bytes. */
enum mg_err mg_totp_new(
    struct mg_totp *t, const char *user, int64_t now_s) MG_MUST_CHECK;

/*
 * Append, to what ought to be a secret buffer, the secret in base32, or the
 * otpauth:// address that authenticator apps read, in which host tells the
 * entry from those of other hosts.
 */
enum mg_err mg_totp_put_secret(
    const struct mg_totp *t, struct mg_buf *b) MG_MUST_CHECK;
enum mg_err mg_totp_put_uri(
    const struct mg_totp *t, const char *host, struct mg_buf *b) MG_MUST_CHECK;

#endif
