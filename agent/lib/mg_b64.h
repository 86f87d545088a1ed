/* SPDX-License-Identifier: ISC */
#ifndef MG_B64_H
#define MG_B64_H

#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * Base64 (RFC 4648, section 4) in its one canonical form: padded, no blanks
 * or line breaks, unused bits zero. So equal bytes have equal texts.
 */

/* Bytes of text, without a NUL, for n bytes. */
#define MG_B64_LEN(n) (((n) + 2) / 3 * 4)

/* Appends the n bytes at p as text. */
enum mg_err mg_b64_put(struct mg_buf *b, const void *p, size_t n) MG_MUST_CHECK;

/*
 * Appends the bytes that the n characters at s stand for. On MG_ERR_FORMAT
 * *badp (may be NULL) is the index of the first wrong character (n when
 * the text ends early); b is then unchanged.
 */
enum mg_err mg_b64_get(
    struct mg_buf *b, const char *s, size_t n, size_t *badp) MG_MUST_CHECK;

/*
 * The same into max bytes of the caller's, which needs no memory: *np of
 * them were written. More are MG_ERR_LIMIT. On failure *np is 0, and what
 * the bytes hold is undefined.
 */
enum mg_err mg_b64_read(void *out, size_t max, size_t *np, const char *s,
    size_t n, size_t *badp) MG_MUST_CHECK;

#endif
