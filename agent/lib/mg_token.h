/* SPDX-License-Identifier: ISC */
#ifndef MG_TOKEN_H
#define MG_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * Tokens for breaking the glass: printed, sealed in envelopes, typed once.
 * Programs that call these functions link libcrypto; the rest of the
 * library does not.
 *
 *	K7Q2-1XXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXC
 *
 * are 32 symbols of Crockford base32: the name of the set, the token's
 * number in it, 26 random ones (130 bits), and one that depends on all
 * others. No other token, of whatever set, is this one mistyped in one
 * place, or with two neighbours exchanged.
 */

#define MG_TOKEN_STR 40	     /* as it is printed, with the NUL */
#define MG_TOKEN_SET_STR 5   /* the name of a set, with the NUL */
#define MG_TOKEN_DIGEST 32   /* bytes */
#define MG_TOKENS_MAX 9	     /* in a set: numbers have one digit */
#define MG_TOKEN_SETS_MAX 16 /* that can be used, at a time */

/* What is known of a token; the secret itself is not in it. */
struct mg_token {
	char set[MG_TOKEN_SET_STR];
	unsigned number; /* 1 to MG_TOKENS_MAX */
	uint8_t digest[MG_TOKEN_DIGEST];
};

/* A name for a new set, from the kernel's random source. */
enum mg_err mg_token_new_set(char set[MG_TOKEN_SET_STR]) MG_MUST_CHECK;

/* Whether set is the name of one, in its one spelling. */
bool mg_token_is_set(const char *set);

/*
 * A new token as it is printed, and its digest. The caller wipes out. On
 * failure both are all zero.
 */
enum mg_err mg_token_new(const char *set, unsigned number,
    char out[MG_TOKEN_STR], uint8_t digest[MG_TOKEN_DIGEST]) MG_MUST_CHECK;

/*
 * Reads a token as a person types it: any case, O as 0, I and L as 1,
 * hyphens and blanks ignored. MG_ERR_FORMAT when it is none: *whyp (may be
 * NULL) is then a static text that says what is wrong and holds nothing of
 * what was typed; t is all zero.
 */
enum mg_err mg_token_parse(
    const char *s, struct mg_token *t, const char **whyp) MG_MUST_CHECK;

#endif
