/* SPDX-License-Identifier: ISC */
/*
 * UTF-8 and escaping.
 *
 * Rules
 * 1. Injective: two inputs never give the same output, so that what an
 *    approver reads is what was meant.
 * 2. Nothing that moves the cursor, changes direction or is invisible gets
 *    through: a terminal must show every character of a reason.
 */
#include <stdio.h>
#include <string.h>

#include "mg_esc.h"

size_t
mg_utf8_next(const char *s, size_t n, uint32_t *cpp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	uint32_t cp;
	size_t len, i;

	*cpp = 0;
	if (p[0] < 0x80) {
		*cpp = p[0];
		return 1;
	}
	if ((p[0] & 0xe0) == 0xc0) {
		len = 2;
		cp = p[0] & 0x1f;
	} else if ((p[0] & 0xf0) == 0xe0) {
		len = 3;
		cp = p[0] & 0x0f;
	} else if ((p[0] & 0xf8) == 0xf0) {
		len = 4;
		cp = p[0] & 0x07;
	} else {
		return 0;
	}
	if (len > n)
		return 0;
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = (cp << 6) | (p[i] & 0x3f);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*cpp = cp;
	return len;
}

bool
mg_utf8_is_valid(const char *s, size_t n)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint32_t cp;
	uint64_t w;
	size_t len;

	while (n > 0) {
		/* Eight at once while none of them is a NUL or not ASCII. */
		for (; n >= sizeof(w); s += sizeof(w), n -= sizeof(w)) {
			memcpy(&w, s, sizeof(w));
			if (((w | ((w - ones) & ~w)) & high) != 0)
				break;
		}
		if (n == 0)
			break;
		if ((len = mg_utf8_next(s, n, &cp)) == 0 || cp == 0)
			return false;
		s += len;
		n -= len;
	}
	return true;
}

/* Ranges that do not print, join, reorder or hide; sorted. */
static const struct {
	uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001f},
    {0x007f, 0x00a0},
    {0x00ad, 0x00ad},
    {0x034f, 0x034f},
    {0x061c, 0x061c},
    {0x115f, 0x1160},
    {0x1680, 0x1680},
    {0x17b4, 0x17b5},
    {0x180b, 0x180f},
    {0x2000, 0x200f},
    {0x2028, 0x202f},
    {0x205f, 0x206f},
    {0x2800, 0x2800},
    {0x3000, 0x3000},
    {0x3164, 0x3164},
    {0xd800, 0xf8ff},
    {0xfdd0, 0xfdef},
    {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},
    {0xfff0, 0xffff},
    {0x13430, 0x1345f},
    {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a},
    {0xe0000, 0x10ffff},
};

bool
mg_esc_is_plain(uint32_t cp)
{
	size_t i;

	for (i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (cp < hidden[i].first)
			break;
		if (cp <= hidden[i].last)
			return false;
	}
	/* The last two code points of every plane are non-characters. */
	return (cp & 0xfffe) != 0xfffe;
}

bool
mg_esc_is_clean(const char *s)
{
	size_t n = strlen(s), len;
	uint32_t cp;

	for (; n > 0; s += len, n -= len) {
		if ((len = mg_utf8_next(s, n, &cp)) == 0 ||
		    !mg_esc_is_plain(cp))
			return false;
	}
	return true;
}

static enum mg_err
put_one(
    struct mg_buf *b, const char *s, size_t len, uint32_t cp, const char *also)
{
	if (len == 0)
		return mg_buf_putf(b, "\\x{%02x}", (unsigned char)s[0]);
	switch (cp) {
	case '\\':
		return mg_buf_put_text(b, "\\\\");
	case '\n':
		return mg_buf_put_text(b, "\\n");
	case '\r':
		return mg_buf_put_text(b, "\\r");
	case '\t':
		return mg_buf_put_text(b, "\\t");
	}
	if (!mg_esc_is_plain(cp) || (also != NULL && cp < 0x80 && cp != 0 &&
					strchr(also, (int)cp) != NULL))
		return mg_buf_putf(b, "\\u{%x}", cp);
	return mg_buf_put(b, s, len);
}

enum mg_err
mg_esc_put(struct mg_buf *b, const char *s, size_t n, const char *also)
{
	uint32_t cp;
	size_t len;
	enum mg_err r;

	while (n > 0) {
		len = mg_utf8_next(s, n, &cp);
		if ((r = put_one(b, s, len, cp, also)) != MG_ERR_OK)
			return r;
		len = len == 0 ? 1 : len;
		s += len;
		n -= len;
	}
	return MG_ERR_OK;
}

void
mg_esc_line(const char *s, char *out, size_t size)
{
	struct mg_buf b;
	size_t n = strlen(s), len, used = 0;
	uint32_t cp;

	if (size == 0)
		return;
	out[0] = '\0';
	mg_buf_init(&b, 64);
	while (n > 0) {
		mg_buf_reset(&b);
		len = mg_utf8_next(s, n, &cp);
		if (put_one(&b, s, len, cp, NULL) != MG_ERR_OK)
			break;
		if (mg_buf_len(&b) >= size - used)
			break;
		memcpy(out + used, mg_buf_ptr(&b), mg_buf_len(&b));
		used += mg_buf_len(&b);
		out[used] = '\0';
		len = len == 0 ? 1 : len;
		s += len;
		n -= len;
	}
	if (n > 0 && size > 4) {
		while (used > size - 4 ||
		       (used > 0 && ((unsigned char)out[used] & 0xc0) == 0x80))
			used--;
		memcpy(out + used, "...", 4);
	}
	mg_buf_fini(&b);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* "{HEX}" at s: its length and value, or 0. */
static size_t
braces(const char *s, size_t n, uint32_t *vp)
{
	size_t i;
	int h;

	*vp = 0;
	if (n < 3 || s[0] != '{')
		return 0;
	for (i = 1; i < n && s[i] != '}'; i++) {
		if (i > 6 || (h = hex_value(s[i])) < 0)
			return 0;
		*vp = (*vp << 4) | (uint32_t)h;
	}
	if (i == 1 || i == n)
		return 0;
	return i + 1;
}

static enum mg_err
put_utf8(struct mg_buf *b, uint32_t cp)
{
	char w[4];
	size_t n = 0;

	if (cp < 0x80) {
		w[n++] = (char)cp;
	} else if (cp < 0x800) {
		w[n++] = (char)(0xc0 | (cp >> 6));
		w[n++] = (char)(0x80 | (cp & 0x3f));
	} else if (cp < 0x10000) {
		w[n++] = (char)(0xe0 | (cp >> 12));
		w[n++] = (char)(0x80 | ((cp >> 6) & 0x3f));
		w[n++] = (char)(0x80 | (cp & 0x3f));
	} else {
		w[n++] = (char)(0xf0 | (cp >> 18));
		w[n++] = (char)(0x80 | ((cp >> 12) & 0x3f));
		w[n++] = (char)(0x80 | ((cp >> 6) & 0x3f));
		w[n++] = (char)(0x80 | (cp & 0x3f));
	}
	return mg_buf_put(b, w, n);
}

/* One escape after its backslash; *usedp is set to its length. */
static enum mg_err
undo_one(struct mg_buf *b, const char *s, size_t n, size_t *usedp)
{
	uint32_t v;
	size_t len;
	char c;

	*usedp = 1;
	if (n == 0)
		return MG_ERR_FORMAT;
	switch (s[0]) {
	case '\\':
		return mg_buf_put_u8(b, '\\');
	case 'n':
		return mg_buf_put_u8(b, '\n');
	case 'r':
		return mg_buf_put_u8(b, '\r');
	case 't':
		return mg_buf_put_u8(b, '\t');
	case 'u':
	case 'x':
		break;
	default:
		return MG_ERR_FORMAT;
	}
	if ((len = braces(s + 1, n - 1, &v)) == 0 || v == 0)
		return MG_ERR_FORMAT;
	*usedp = 1 + len;
	if (s[0] == 'u')
		return v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)
			   ? MG_ERR_FORMAT
			   : put_utf8(b, v);
	if (v < 0x80 || v > 0xff)
		return MG_ERR_FORMAT;
	c = (char)v;
	return mg_buf_put(b, &c, 1);
}

enum mg_err
mg_esc_undo(struct mg_buf *b, const char *s, size_t n)
{
	size_t i = 0, used;
	enum mg_err r = MG_ERR_OK;

	while (i < n && r == MG_ERR_OK) {
		if (s[i] != '\\') {
			r = mg_buf_put(b, s + i, 1);
			i++;
			continue;
		}
		r = undo_one(b, s + i + 1, n - i - 1, &used);
		i += 1 + used;
	}
	return r;
}

static enum mg_err
check_with(struct mg_buf *raw, struct mg_buf *again, const char *s, size_t n,
    const char *also)
{
	enum mg_err r;

	if ((r = mg_esc_undo(raw, s, n)) == MG_ERR_OK)
		r = mg_esc_put(again, (const char *)mg_buf_ptr(raw),
		    mg_buf_len(raw), also);
	if (r == MG_ERR_NOMEM)
		return r;
	if (r != MG_ERR_OK || mg_buf_len(again) != n ||
	    memcmp(mg_buf_ptr(again), s, n) != 0)
		return MG_ERR_FORMAT;
	return MG_ERR_OK;
}

enum mg_err
mg_esc_check(const char *s, size_t n, const char *also)
{
	struct mg_buf raw, again;
	enum mg_err r;

	mg_buf_init(&raw, n);
	mg_buf_init(&again, n);
	r = check_with(&raw, &again, s, n, also);
	mg_buf_fini(&raw);
	mg_buf_fini(&again);
	return r;
}
