/* SPDX-License-Identifier: ISC */
#ifndef MG_ID_H
#define MG_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * Request identifiers: a random UUID (RFC 9562, version 4), and the short
 * code that people type: its first 50 bits in Crockford base32.
 */

#define MG_UUID_STR 37 /* with NUL */
#define MG_CODE_STR 11 /* with NUL */

struct mg_uuid {
	uint8_t b[16];
};

/* Fills u from the kernel's random source. */
enum mg_err mg_uuid_new(struct mg_uuid *u) MG_MUST_CHECK;

/* Lower-case text form, MG_UUID_STR bytes. */
void mg_uuid_format(const struct mg_uuid *u, char out[MG_UUID_STR]);

/* Exactly the text form; upper-case hex is accepted. */
enum mg_err mg_uuid_parse(const char *s, struct mg_uuid *u) MG_MUST_CHECK;

bool mg_uuid_equal(const struct mg_uuid *a, const struct mg_uuid *b);

/* The short code, MG_CODE_STR bytes. */
void mg_code_from_uuid(const struct mg_uuid *u, char out[MG_CODE_STR]);

/*
 * Reads a short code as a person types it: any case, O as 0, I and L as 1,
 * hyphens and blanks between characters ignored. Writes the canonical form.
 */
enum mg_err mg_code_parse(const char *s, char out[MG_CODE_STR]) MG_MUST_CHECK;

/* The 32 symbols, by value; and the one that a person meant by c, or NUL. */
extern const char mg_code_symbols[33];
char mg_code_char(char c);

/* n random bytes as 2*n lower-case hex digits and a NUL. */
enum mg_err mg_random_hex(char *out, size_t n) MG_MUST_CHECK;

/* n bytes as lower-case hex and a NUL into out (2*n + 1 bytes). */
void mg_hex(const uint8_t *p, size_t n, char *out);

/* The other way: false unless s is lower-case hex of exactly n bytes. */
bool mg_unhex(const char *s, uint8_t *out, size_t n);

#endif
