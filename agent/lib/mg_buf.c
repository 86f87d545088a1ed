/* SPDX-License-Identifier: ISC */
/*
 * Bounded byte buffers.
 *
 * Rules
 * 1. Bounds are written "need > left", never "pos + need > end": the sum
 *    can wrap.
 * 2. A failed get leaves the buffer and clears the output, so that a caller
 *    who forgets to look reads zero and not the previous value.
 * 3. A caller's mistake with commit or consume ends the process; where it
 *    must not (mg_bug.h), the buffer is empty and full from then on.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_buf.h"
#include "mg_bug.h"

#define FIRST_CAP 256

void
mg_buf_init(struct mg_buf *b, size_t max_bytes)
{
	memset(b, 0, sizeof(*b));
	b->max = max_bytes;
}

void
mg_buf_init_secret(struct mg_buf *b, size_t max_bytes)
{
	mg_buf_init(b, max_bytes);
	b->is_secret = true;
}

void
mg_buf_init_read(struct mg_buf *b, const void *data, size_t len)
{
	memset(b, 0, sizeof(*b));
	/* cap and max stay 0: put fails, fini frees nothing. */
	b->d = (uint8_t *)(uintptr_t)data;
	b->len = len;
}

static void
give_back(uint8_t *d, size_t cap, bool is_secret)
{
	if (cap == 0)
		return;
	if (is_secret)
		explicit_bzero(d, cap + 1);
	free(d);
}

void
mg_buf_fini(struct mg_buf *b)
{
	give_back(b->d, b->cap, b->is_secret);
	b->d = NULL;
	b->off = b->len = b->cap = 0;
}

void
mg_buf_reset(struct mg_buf *b)
{
	if (b->is_secret && b->cap > 0)
		explicit_bzero(b->d, b->cap + 1);
	b->off = b->len = 0;
}

const uint8_t *
mg_buf_ptr(const struct mg_buf *b)
{
	return b->d == NULL ? (const uint8_t *)"" : b->d + b->off;
}

size_t
mg_buf_len(const struct mg_buf *b)
{
	return b->len - b->off;
}

/* Bytes that may be added; none to a buffer that only reads. */
static size_t
room(const struct mg_buf *b)
{
	size_t n = mg_buf_len(b);

	return b->max < n ? 0 : b->max - n;
}

static bool
grow(struct mg_buf *b, size_t want)
{
	size_t cap = b->cap == 0 ? FIRST_CAP : b->cap;
	uint8_t *d;

	while (cap < want)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	/* One more, so that a full buffer can be terminated too. */
	if ((d = malloc(cap + 1)) == NULL)
		return false;
	if (b->len > 0)
		memcpy(d, b->d, b->len);
	give_back(b->d, b->cap, b->is_secret);
	b->d = d;
	b->cap = cap;
	return true;
}

uint8_t *
mg_buf_reserve(struct mg_buf *b, size_t len)
{
	if (len > room(b)) /* Rule 1 */
		return NULL;
	if (len > 0 && len > b->max - b->len) {
		memmove(b->d, b->d + b->off, b->len - b->off);
		b->len -= b->off;
		b->off = 0;
	}
	if (len > 0 && len > b->cap - b->len && !grow(b, b->len + len))
		return NULL;
	return b->d + b->len;
}

/* Rule 3 */
static void
break_off(struct mg_buf *b)
{
	mg_bug();
	b->off = b->len = b->max = 0;
}

void
mg_buf_commit(struct mg_buf *b, size_t n)
{
	if (b->cap < b->len || n > b->cap - b->len)
		break_off(b);
	else
		b->len += n;
}

void
mg_buf_consume(struct mg_buf *b, size_t n)
{
	if (n > mg_buf_len(b)) {
		break_off(b);
		return;
	}
	b->off += n;
	if (b->off == b->len && b->cap > 0)
		b->off = b->len = 0;
}

enum mg_err
mg_buf_put(struct mg_buf *b, const void *p, size_t n)
{
	uint8_t *d;

	if (n == 0)
		return MG_ERR_OK;
	if (n > room(b))
		return MG_ERR_LIMIT;
	if ((d = mg_buf_reserve(b, n)) == NULL)
		return MG_ERR_NOMEM;
	memcpy(d, p, n);
	mg_buf_commit(b, n);
	return MG_ERR_OK;
}

enum mg_err
mg_buf_put_u8(struct mg_buf *b, uint8_t v)
{
	return mg_buf_put(b, &v, 1);
}

enum mg_err
mg_buf_put_u16(struct mg_buf *b, uint16_t v)
{
	uint8_t w[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	return mg_buf_put(b, w, sizeof(w));
}

enum mg_err
mg_buf_put_u32(struct mg_buf *b, uint32_t v)
{
	uint8_t w[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
	    (uint8_t)(v >> 8), (uint8_t)v};

	return mg_buf_put(b, w, sizeof(w));
}

enum mg_err
mg_buf_put_u64(struct mg_buf *b, uint64_t v)
{
	uint8_t w[8];
	int i;

	for (i = 0; i < 8; i++)
		w[i] = (uint8_t)(v >> (56 - 8 * i));
	return mg_buf_put(b, w, sizeof(w));
}

static enum mg_err
put_counted(struct mg_buf *b, const void *p, size_t n, size_t nul)
{
	uint8_t *d, w[4];

	if (n > UINT32_MAX - 8 || 4 + n + nul > room(b))
		return MG_ERR_LIMIT;
	if ((d = mg_buf_reserve(b, 4 + n + nul)) == NULL)
		return MG_ERR_NOMEM;
	w[0] = (uint8_t)((n + nul) >> 24);
	w[1] = (uint8_t)((n + nul) >> 16);
	w[2] = (uint8_t)((n + nul) >> 8);
	w[3] = (uint8_t)(n + nul);
	memcpy(d, w, 4);
	if (n > 0)
		memcpy(d + 4, p, n);
	if (nul > 0)
		d[4 + n] = '\0';
	mg_buf_commit(b, 4 + n + nul);
	return MG_ERR_OK;
}

enum mg_err
mg_buf_put_bytes(struct mg_buf *b, const void *p, size_t n)
{
	return put_counted(b, p, n, 0);
}

enum mg_err
mg_buf_put_str(struct mg_buf *b, const char *s)
{
	return put_counted(b, s, strlen(s), 1);
}

enum mg_err
mg_buf_put_text(struct mg_buf *b, const char *s)
{
	return mg_buf_put(b, s, strlen(s));
}

enum mg_err
mg_buf_putf(struct mg_buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *d;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return MG_ERR_INTERNAL;
	if (n == 0)
		return MG_ERR_OK;
	if ((size_t)n > room(b))
		return MG_ERR_LIMIT;
	if ((d = mg_buf_reserve(b, (size_t)n)) == NULL)
		return MG_ERR_NOMEM;
	va_start(ap, fmt);
	vsnprintf((char *)d, (size_t)n + 1, fmt, ap);
	va_end(ap);
	mg_buf_commit(b, (size_t)n);
	return MG_ERR_OK;
}

static enum mg_err
take(struct mg_buf *b, size_t n, const uint8_t **pp)
{
	if (n > mg_buf_len(b)) { /* Rule 1 */
		*pp = NULL;
		return MG_ERR_TRUNC;
	}
	*pp = mg_buf_ptr(b);
	b->off += n;
	return MG_ERR_OK;
}

enum mg_err
mg_buf_get_u8(struct mg_buf *b, uint8_t *vp)
{
	const uint8_t *p;
	enum mg_err r;

	*vp = 0; /* Rule 2 */
	if ((r = take(b, 1, &p)) == MG_ERR_OK)
		*vp = p[0];
	return r;
}

enum mg_err
mg_buf_get_u16(struct mg_buf *b, uint16_t *vp)
{
	const uint8_t *p;
	enum mg_err r;

	*vp = 0;
	if ((r = take(b, 2, &p)) == MG_ERR_OK)
		*vp = (uint16_t)((p[0] << 8) | p[1]);
	return r;
}

enum mg_err
mg_buf_get_u32(struct mg_buf *b, uint32_t *vp)
{
	const uint8_t *p;
	enum mg_err r;

	*vp = 0;
	if ((r = take(b, 4, &p)) == MG_ERR_OK)
		*vp = ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) |
		      ((uint32_t)p[2] << 8) | p[3];
	return r;
}

enum mg_err
mg_buf_get_u64(struct mg_buf *b, uint64_t *vp)
{
	const uint8_t *p;
	enum mg_err r;
	int i;

	*vp = 0;
	if ((r = take(b, 8, &p)) != MG_ERR_OK)
		return r;
	for (i = 0; i < 8; i++)
		*vp = (*vp << 8) | p[i];
	return MG_ERR_OK;
}

enum mg_err
mg_buf_get_bytes(
    struct mg_buf *b, size_t max_bytes, const uint8_t **pp, size_t *np)
{
	size_t off = b->off;
	uint32_t n;
	enum mg_err r;

	*pp = NULL;
	*np = 0;
	if ((r = mg_buf_get_u32(b, &n)) != MG_ERR_OK)
		return r;
	r = n > max_bytes ? MG_ERR_LIMIT : take(b, n, pp);
	if (r != MG_ERR_OK)
		b->off = off;
	else
		*np = n;
	return r;
}

enum mg_err
mg_buf_get_str(struct mg_buf *b, size_t max_bytes, const char **sp)
{
	size_t off = b->off, n;
	const uint8_t *p;
	enum mg_err r;

	*sp = NULL;
	if ((r = mg_buf_get_bytes(b, max_bytes + 1, &p, &n)) != MG_ERR_OK)
		return r;
	if (n == 0 || memchr(p, '\0', n) != p + n - 1) {
		b->off = off;
		return MG_ERR_FORMAT;
	}
	*sp = (const char *)p;
	return MG_ERR_OK;
}

enum mg_err
mg_buf_get_end(const struct mg_buf *b)
{
	return mg_buf_len(b) == 0 ? MG_ERR_OK : MG_ERR_TRAIL;
}

const char *
mg_buf_cstr(struct mg_buf *b)
{
	if (b->cap == 0 && (room(b) == 0 || mg_buf_reserve(b, 1) == NULL))
		return NULL;
	b->d[b->len] = '\0';
	return (const char *)mg_buf_ptr(b);
}
