/* SPDX-License-Identifier: ISC */
#ifndef MG_ESC_H
#define MG_ESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * Text from outside, made safe to stand on one line of a terminal, a log or
 * a signed text. Escapes are those of PROTOCOL.md, section "Escaping":
 * a backslash is doubled; newline, carriage return and tab are \n \r \t;
 * every other character that does not print, joins, reorders or hides
 * (C0, C1, bidi, zero-width, line and paragraph separators, tags, private
 * use, surrogates, non-characters) is \u{HEX}; a byte that is not valid
 * UTF-8 is \x{HH}. Different inputs give different outputs.
 */

/*
 * The next character of s (which has n > 0 bytes): returns its length in
 * bytes and sets *cp, or returns 0 when the bytes are not valid UTF-8
 * (overlong, surrogate, beyond U+10FFFF, cut short).
 */
size_t mg_utf8_next(const char *s, size_t n, uint32_t *cpp);

/* Whether the n bytes at s are valid UTF-8 without NUL. */
bool mg_utf8_is_valid(const char *s, size_t n);

/* Whether cp may be shown as it is. */
bool mg_esc_is_plain(uint32_t cp);

/* Whether s is valid UTF-8 made of plain characters only. */
bool mg_esc_is_clean(const char *s);

/* Appends s escaped; also escapes every character in also (may be NULL). */
enum mg_err mg_esc_put(
    struct mg_buf *b, const char *s, size_t n, const char *also) MG_MUST_CHECK;

/*
 * Escapes the string s into out, cut to size (with "..." where cut) and
 * always terminated. For messages; never for anything that is signed.
 */
void mg_esc_line(const char *s, char *out, size_t size);

/*
 * Undoes mg_esc_put() into b. MG_ERR_FORMAT on an escape that it does not
 * write, and on that of a NUL, which no string can hold. It also undoes
 * what mg_esc_put() would have written otherwise: see mg_esc_check().
 */
enum mg_err mg_esc_undo(
    struct mg_buf *b, const char *s, size_t n) MG_MUST_CHECK;

/*
 * Whether the n bytes at s are what mg_esc_put() writes, with the same
 * also, for some text: its one escaped form. MG_ERR_FORMAT, MG_ERR_NOMEM.
 */
enum mg_err mg_esc_check(
    const char *s, size_t n, const char *also) MG_MUST_CHECK;

#endif
