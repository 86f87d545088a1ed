/* SPDX-License-Identifier: ISC */
/*
 * Base64.
 *
 * Rules
 * 1. One text for the same bytes: a key that can be written in two ways
 *    could stand in a file twice without being seen as the same.
 */
#include <stdbool.h>
#include <string.h>

#include "mg_b64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789+/";

enum mg_err
mg_b64_put(struct mg_buf *b, const void *p, size_t n)
{
	const uint8_t *s = p;
	uint8_t *d;
	size_t i, left;
	uint32_t v;

	if (n == 0)
		return MG_ERR_OK;
	if (n > b->max || MG_B64_LEN(n) > b->max - mg_buf_len(b))
		return MG_ERR_LIMIT;
	if ((d = mg_buf_reserve(b, MG_B64_LEN(n))) == NULL)
		return MG_ERR_NOMEM;
	for (i = 0; i < n; i += 3, d += 4) {
		left = n - i;
		v = (uint32_t)s[i] << 16;
		if (left > 1)
			v |= (uint32_t)s[i + 1] << 8;
		if (left > 2)
			v |= s[i + 2];
		d[0] = (uint8_t)letters[v >> 18];
		d[1] = (uint8_t)letters[(v >> 12) & 63];
		d[2] = (uint8_t)(left > 1 ? letters[(v >> 6) & 63] : '=');
		d[3] = (uint8_t)(left > 2 ? letters[v & 63] : '=');
	}
	mg_buf_commit(b, MG_B64_LEN(n));
	return MG_ERR_OK;
}

static int
value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Four characters to at most three bytes; how many, or 0 and *badp. */
static size_t
group(const char *s, bool is_last, uint8_t out[3], size_t *badp)
{
	size_t n = 4, i;
	uint32_t v = 0;
	int c;

	if (is_last && s[3] == '=')
		n = s[2] == '=' ? 2 : 3;
	for (i = 0; i < n; i++) {
		if ((c = value(s[i])) == -1) {
			*badp = i;
			return 0;
		}
		v |= (uint32_t)c << (18 - 6 * i);
	}
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	if ((n == 2 && (v & 0xffff) != 0) || (n == 3 && (v & 0xff) != 0)) {
		*badp = n - 1; /* Rule 1 */
		return 0;
	}
	return n - 1;
}

/* Where group after group goes: to a buffer, or to fixed memory. */
struct sink {
	struct mg_buf *b;
	uint8_t *d;
	size_t len, max;
};

static enum mg_err
add(struct sink *k, const uint8_t *p, size_t n)
{
	if (k->b != NULL)
		return mg_buf_put(k->b, p, n);
	if (n > k->max - k->len)
		return MG_ERR_LIMIT;
	memcpy(k->d + k->len, p, n);
	k->len += n;
	return MG_ERR_OK;
}

static enum mg_err
decode(struct sink *k, const char *s, size_t n, size_t *badp)
{
	enum mg_err r = MG_ERR_OK;
	size_t i, got, bad = 0;
	uint8_t out[3];

	if (badp != NULL)
		*badp = n;
	for (i = 0; i + 4 <= n && r == MG_ERR_OK; i += 4) {
		if ((got = group(s + i, i + 4 == n, out, &bad)) == 0) {
			if (badp != NULL)
				*badp = i + bad;
			r = MG_ERR_FORMAT;
		} else {
			r = add(k, out, got);
		}
	}
	return r == MG_ERR_OK && n % 4 != 0 ? MG_ERR_FORMAT : r;
}

enum mg_err
mg_b64_get(struct mg_buf *b, const char *s, size_t n, size_t *badp)
{
	struct sink k = {.b = b};
	size_t start = mg_buf_len(b);
	enum mg_err r;

	if ((r = decode(&k, s, n, badp)) != MG_ERR_OK)
		b->len = b->off + start;
	return r;
}

enum mg_err
mg_b64_read(
    void *out, size_t max, size_t *np, const char *s, size_t n, size_t *badp)
{
	struct sink k = {.d = out, .max = max};
	enum mg_err r = decode(&k, s, n, badp);

	*np = r == MG_ERR_OK ? k.len : 0;
	return r;
}
