/* SPDX-License-Identifier: ISC */
#ifndef MG_BUF_H
#define MG_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * A byte buffer with a fixed maximum: grows on put, shrinks from the front
 * on get. Integers are big-endian. A string is a u32 byte count that
 * includes a terminating NUL, the bytes, and that NUL, so that a decoded
 * string can be used where it lies.
 */

struct mg_buf {
	uint8_t *d;
	size_t off; /* first byte not consumed */
	size_t len; /* end of the data */
	size_t cap; /* allocated */
	size_t max; /* of bytes held */
	bool is_secret;
};

/* Empty buffer that will hold at most max_bytes. Allocates nothing yet. */
void mg_buf_init(struct mg_buf *b, size_t max_bytes);

/* As mg_buf_init(), and the memory is wiped whenever it is given back. */
void mg_buf_init_secret(struct mg_buf *b, size_t max_bytes);

/* A buffer that reads bytes it does not own; put calls fail on it. */
void mg_buf_init_read(struct mg_buf *b, const void *data, size_t len);

/* Frees what the buffer owns. Safe to call twice. */
void mg_buf_fini(struct mg_buf *b);

/* Forgets all data, keeps the memory. */
void mg_buf_reset(struct mg_buf *b);

/* The bytes not consumed yet and their number. */
const uint8_t *mg_buf_ptr(const struct mg_buf *b);
size_t mg_buf_len(const struct mg_buf *b);

/*
 * Makes room for len bytes and returns where to write them, or NULL when
 * that would pass the maximum or memory is out. mg_buf_commit() then adds
 * the first n of them.
 */
uint8_t *mg_buf_reserve(struct mg_buf *b, size_t len) MG_MUST_CHECK;
void mg_buf_commit(struct mg_buf *b, size_t n);

/* Drops n bytes (at most mg_buf_len()) from the front. */
void mg_buf_consume(struct mg_buf *b, size_t n);

/* Appends. On failure the buffer is as it was before the call. */
enum mg_err mg_buf_put(struct mg_buf *b, const void *p, size_t n) MG_MUST_CHECK;
enum mg_err mg_buf_put_u8(struct mg_buf *b, uint8_t v) MG_MUST_CHECK;
enum mg_err mg_buf_put_u16(struct mg_buf *b, uint16_t v) MG_MUST_CHECK;
enum mg_err mg_buf_put_u32(struct mg_buf *b, uint32_t v) MG_MUST_CHECK;
enum mg_err mg_buf_put_u64(struct mg_buf *b, uint64_t v) MG_MUST_CHECK;
enum mg_err mg_buf_put_bytes(struct mg_buf *b, const void *p,
    size_t n) MG_MUST_CHECK; /* u32 count, bytes */
enum mg_err mg_buf_put_str(struct mg_buf *b, const char *s) MG_MUST_CHECK;
enum mg_err mg_buf_put_text(
    struct mg_buf *b, const char *s) MG_MUST_CHECK; /* no count, no NUL */
enum mg_err mg_buf_putf(struct mg_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))) MG_MUST_CHECK;

/*
 * Takes from the front. On failure nothing is consumed and the output is
 * zero, NULL or empty. Pointers point into the buffer and live until it is
 * next changed.
 */
enum mg_err mg_buf_get_u8(struct mg_buf *b, uint8_t *vp) MG_MUST_CHECK;
enum mg_err mg_buf_get_u16(struct mg_buf *b, uint16_t *vp) MG_MUST_CHECK;
enum mg_err mg_buf_get_u32(struct mg_buf *b, uint32_t *vp) MG_MUST_CHECK;
enum mg_err mg_buf_get_u64(struct mg_buf *b, uint64_t *vp) MG_MUST_CHECK;
enum mg_err mg_buf_get_bytes(struct mg_buf *b, size_t max_bytes,
    const uint8_t **pp, size_t *np) MG_MUST_CHECK;

/* max_bytes does not count the NUL; a NUL inside is MG_ERR_FORMAT. */
enum mg_err mg_buf_get_str(
    struct mg_buf *b, size_t max_bytes, const char **sp) MG_MUST_CHECK;

/* MG_ERR_TRAIL unless everything was consumed. */
enum mg_err mg_buf_get_end(const struct mg_buf *b) MG_MUST_CHECK;

/*
 * Terminates the data with a NUL that is not counted and returns it as a
 * string, or NULL when memory is out or the buffer only reads.
 */
const char *mg_buf_cstr(struct mg_buf *b) MG_MUST_CHECK;

#endif
