/* SPDX-License-Identifier: ISC */
/*
 * The text of break-glass tokens, and their digest.
 *
 * Rules
 * 1. What is secret of a token is on the stack only, and wiped.
 * 2. Every symbol counts for the digest, so that a token has one number in
 *    one set: it is no other one's by an edit.
 * 3. The last symbol is a checksum, no secret: it tells a slip of the finger
 *    from a wrong token, which is a guess.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mg_id.h"
#include "mg_token.h"

#define SYMBOLS 32
#define GROUP 4
#define SET 4
#define NUMBER 4 /* its place */
#define SECRET 5 /* the first of them */
#define CHECK 31
#define TYPED_MAX 512
#define CONTEXT "modelgate token v1\n"

static unsigned
value_of(char c)
{
	return (unsigned)(strchr(mg_code_symbols, c) - mg_code_symbols);
}

/* Multiplies by the generator of GF(32), x^5 + x^2 + 1. */
static unsigned
times_x(unsigned v)
{
	v <<= 1;
	return (v & 32) != 0 ? v ^ 0x25 : v;
}

/*
 * Rule 3: a sum in which every symbol has a weight of its own, powers 30 to 0
 * of the generator; the checksum has that of the 15th, not its neighbour's.
 */
static char
checksum(const char *s)
{
	unsigned sum = 0, i;

	for (i = 0; i < CHECK; i++)
		sum = times_x(sum) ^ value_of(s[i]);
	for (i = 0; i < 16; i++) /* 31 of them are one round */
		sum = times_x(sum);
	return mg_code_symbols[sum];
}

/* Rule 2 */
static enum mg_err
compute(const char *s, uint8_t digest[MG_TOKEN_DIGEST])
{
	char text[sizeof(CONTEXT) + SYMBOLS];
	unsigned len = 0;
	bool ok;

	memcpy(text, CONTEXT, sizeof(CONTEXT) - 1);
	memcpy(text + sizeof(CONTEXT) - 1, s, SYMBOLS);
	ok = EVP_Digest(text, sizeof(CONTEXT) - 1 + SYMBOLS, digest, &len,
		 EVP_sha256(), NULL) == 1 &&
	     len == MG_TOKEN_DIGEST;
	explicit_bzero(text, sizeof(text)); /* Rule 1 */
	if (!ok)
		memset(digest, 0, MG_TOKEN_DIGEST);
	return ok ? MG_ERR_OK : MG_ERR_INTERNAL;
}

static enum mg_err
random_symbols(char *out, size_t n)
{
	uint8_t p[SYMBOLS];
	size_t i;

	if (n > sizeof(p) || getrandom(p, n, 0) != (ssize_t)n)
		return MG_ERR_SYS;
	for (i = 0; i < n; i++)
		out[i] = mg_code_symbols[p[i] & 31];
	explicit_bzero(p, sizeof(p)); /* Rule 1 */
	return MG_ERR_OK;
}

enum mg_err
mg_token_new_set(char set[MG_TOKEN_SET_STR])
{
	memset(set, 0, MG_TOKEN_SET_STR);
	return random_symbols(set, SET);
}

bool
mg_token_is_set(const char *set)
{
	return strlen(set) == SET && strspn(set, mg_code_symbols) == SET;
}

enum mg_err
mg_token_new(const char *set, unsigned number, char out[MG_TOKEN_STR],
    uint8_t digest[MG_TOKEN_DIGEST])
{
	char s[SYMBOLS];
	enum mg_err r = MG_ERR_FORMAT;
	size_t i, o = 0;

	memset(out, 0, MG_TOKEN_STR);
	memset(digest, 0, MG_TOKEN_DIGEST);
	if (!mg_token_is_set(set) || number < 1 || number > MG_TOKENS_MAX)
		return r;
	memcpy(s, set, SET);
	s[NUMBER] = mg_code_symbols[number];
	if ((r = random_symbols(s + SECRET, CHECK - SECRET)) != MG_ERR_OK)
		goto out;
	s[CHECK] = checksum(s);
	if ((r = compute(s, digest)) != MG_ERR_OK)
		goto out;
	for (i = 0; i < SYMBOLS; i++) {
		if (i > 0 && i % GROUP == 0)
			out[o++] = '-';
		out[o++] = s[i];
	}
out:
	explicit_bzero(s, sizeof(s));
	return r;
}

/* The symbols of what was typed; NULL, or what is wrong with it. */
static const char *
take_symbols(const char *typed, char s[SYMBOLS])
{
	size_t n = 0, seen = 0;
	char c;

	for (; *typed != '\0'; typed++) {
		if (++seen > TYPED_MAX)
			return "it is too long";
		if (*typed == '-' || *typed == ' ')
			continue;
		if ((c = mg_code_char(*typed)) == '\0')
			return "there is a sign in it that no token has";
		if (n == SYMBOLS)
			return "it is too long: a token has 32 letters and "
			       "digits";
		s[n++] = c;
	}
	if (n < SYMBOLS)
		return "it is too short: a token has 32 letters and digits";
	if (checksum(s) != s[CHECK] || s[NUMBER] < '1' || s[NUMBER] > '9')
		return "it is mistyped";
	return NULL;
}

enum mg_err
mg_token_parse(const char *s, struct mg_token *t, const char **whyp)
{
	char symbols[SYMBOLS] = {0};
	enum mg_err r = MG_ERR_FORMAT;
	const char *why;

	memset(t, 0, sizeof(*t));
	why = take_symbols(s, symbols);
	if (whyp != NULL)
		*whyp = why == NULL ? "" : why;
	if (why == NULL && (r = compute(symbols, t->digest)) == MG_ERR_OK) {
		memcpy(t->set, symbols, SET);
		t->number = value_of(symbols[NUMBER]);
	}
	explicit_bzero(symbols, sizeof(symbols)); /* Rule 1 */
	return r;
}
