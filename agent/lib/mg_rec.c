/* SPDX-License-Identifier: ISC */
/*
 * Reads flat JSON lines.
 *
 * Rules
 * 1. One reading only: what two JSON readers could take differently
 *    (duplicate keys, floats, escapes of NUL, lone surrogates) is refused.
 * 2. Strings are unescaped in place: an escape is never shorter than what
 *    it stands for, so writing never overtakes reading.
 */
#include <stdlib.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_rec.h"

struct cursor {
	char *p;   /* next byte to read */
	char *end; /* the NUL after the last */
};

void
mg_rec_init(struct mg_rec *rec)
{
	rec->n = rec->nstrs = rec->err_col = 0;
	rec->text = NULL;
}

void
mg_rec_fini(struct mg_rec *rec)
{
	free(rec->text);
	mg_rec_init(rec);
}

static bool
eat(struct cursor *c, char ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static bool
hex4(struct cursor *c, uint32_t *vp)
{
	int i;
	char ch;

	*vp = 0;
	if (c->end - c->p < 4)
		return false;
	for (i = 0; i < 4; i++) {
		ch = *c->p++;
		*vp <<= 4;
		if (ch >= '0' && ch <= '9')
			*vp |= (uint32_t)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			*vp |= (uint32_t)(ch - 'a' + 10);
		else if (ch >= 'A' && ch <= 'F')
			*vp |= (uint32_t)(ch - 'A' + 10);
		else
			return false;
	}
	return true;
}

static char *
put_utf8(char *out, uint32_t cp)
{
	if (cp < 0x80) {
		*out++ = (char)cp;
	} else if (cp < 0x800) {
		*out++ = (char)(0xc0 | (cp >> 6));
		*out++ = (char)(0x80 | (cp & 0x3f));
	} else if (cp < 0x10000) {
		*out++ = (char)(0xe0 | (cp >> 12));
		*out++ = (char)(0x80 | ((cp >> 6) & 0x3f));
		*out++ = (char)(0x80 | (cp & 0x3f));
	} else {
		*out++ = (char)(0xf0 | (cp >> 18));
		*out++ = (char)(0x80 | ((cp >> 12) & 0x3f));
		*out++ = (char)(0x80 | ((cp >> 6) & 0x3f));
		*out++ = (char)(0x80 | (cp & 0x3f));
	}
	return out;
}

/* After "\u": one code point, joining a surrogate pair. */
static bool
unicode(struct cursor *c, uint32_t *cpp)
{
	uint32_t lo;

	if (!hex4(c, cpp) || *cpp == 0)
		return false;
	if (*cpp >= 0xdc00 && *cpp <= 0xdfff)
		return false;
	if (*cpp < 0xd800 || *cpp > 0xdbff)
		return true;
	if (!eat(c, '\\') || !eat(c, 'u') || !hex4(c, &lo) || lo < 0xdc00 ||
	    lo > 0xdfff)
		return false;
	*cpp = 0x10000 + ((*cpp - 0xd800) << 10) + (lo - 0xdc00);
	return true;
}

static bool
escape(struct cursor *c, char **outp)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *f;
	uint32_t cp;

	if (c->p == c->end)
		return false;
	if (eat(c, 'u')) {
		if (!unicode(c, &cp))
			return false;
		*outp = put_utf8(*outp, cp); /* Rule 2 */
		return true;
	}
	if (*c->p == '\0' || (f = strchr(from, *c->p)) == NULL)
		return false;
	c->p++;
	*(*outp)++ = to[f - from];
	return true;
}

/*
 * Past ASCII that stands for itself: up to a quote, a backslash, a control
 * character, or what is not ASCII. Eight bytes at once while there is none
 * of these among them.
 */
static void
skip_plain(struct cursor *c)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t high = ones * 0x80;
	uint64_t w, quote, slash;

	for (; c->end - c->p >= (ptrdiff_t)sizeof(w); c->p += sizeof(w)) {
		memcpy(&w, c->p, sizeof(w));
		quote = w ^ ones * '"';
		slash = w ^ ones * '\\';
		/* The high bit of a byte that is below what is taken off. */
		if (((w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) &
			high) != 0)
			break;
	}
	while (c->p < c->end && *c->p >= 0x20 && *c->p < 0x7f && *c->p != '"' &&
	       *c->p != '\\')
		c->p++;
}

static bool
string(struct cursor *c, const char **sp)
{
	char *start, *out, *plain;

	*sp = NULL;
	if (!eat(c, '"'))
		return false;
	start = c->p;
	/* Most strings have no escape, and stay where they are. */
	skip_plain(c);
	out = plain = c->p; /* ASCII, no NUL up to here */
	while (c->p < c->end && *c->p != '"') {
		if ((unsigned char)*c->p < 0x20)
			return false;
		if (*c->p != '\\') {
			*out++ = *c->p++;
			continue;
		}
		c->p++;
		if (!escape(c, &out))
			return false;
	}
	if (!eat(c, '"') || !mg_utf8_is_valid(plain, (size_t)(out - plain)))
		return false;
	*out = '\0'; /* at or before the closing quote */
	*sp = start;
	return true;
}

static bool
integer(struct cursor *c, int64_t *ip)
{
	bool neg = eat(c, '-');
	uint64_t v = 0, limit = neg ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	char *start = c->p;
	unsigned d;

	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		d = (unsigned)(*c->p - '0');
		if (v > (limit - d) / 10)
			return false;
		v = v * 10 + d;
	}
	if (c->p == start || (*start == '0' && (c->p - start > 1 || neg)))
		return false;
	*ip = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool
word(struct cursor *c, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, w, n) != 0)
		return false;
	c->p += n;
	return true;
}

static enum mg_err
array(struct cursor *c, struct mg_rec *rec, struct mg_rec_field *f)
{
	f->kind = MG_REC_STRV;
	f->v = rec->strs + rec->nstrs;
	if (eat(c, ']'))
		return MG_ERR_OK;
	do {
		if (rec->nstrs == MG_REC_STRV_MAX)
			return MG_ERR_LIMIT;
		if (!string(c, &rec->strs[rec->nstrs]))
			return MG_ERR_FORMAT;
		rec->nstrs++;
		f->n++;
	} while (eat(c, ','));
	return eat(c, ']') ? MG_ERR_OK : MG_ERR_FORMAT;
}

static enum mg_err
value(struct cursor *c, struct mg_rec *rec, struct mg_rec_field *f)
{
	if (c->p == c->end)
		return MG_ERR_FORMAT;
	if (eat(c, '['))
		return array(c, rec, f);
	if (*c->p == '"') {
		f->kind = MG_REC_STR;
		return string(c, &f->s) ? MG_ERR_OK : MG_ERR_FORMAT;
	}
	if (word(c, "true") || word(c, "false")) {
		f->kind = MG_REC_BOOL;
		f->i = c->p[-2] == 'u'; /* tr-u-e, fal-s-e */
		return MG_ERR_OK;
	}
	f->kind = MG_REC_INT;
	return integer(c, &f->i) ? MG_ERR_OK : MG_ERR_FORMAT;
}

static const struct mg_rec_field *
find(const struct mg_rec *rec, const char *key)
{
	size_t i;

	for (i = 0; i < rec->n; i++)
		if (rec->f[i].key[0] == key[0] &&
		    strcmp(rec->f[i].key, key) == 0)
			return &rec->f[i];
	return NULL;
}

static enum mg_err
object(struct cursor *c, struct mg_rec *rec)
{
	struct mg_rec_field f;
	enum mg_err r;

	if (!eat(c, '{'))
		return MG_ERR_FORMAT;
	if (eat(c, '}'))
		return MG_ERR_OK;
	do {
		memset(&f, 0, sizeof(f));
		if (rec->n == MG_REC_FIELDS_MAX)
			return MG_ERR_LIMIT;
		if (!string(c, &f.key) || !eat(c, ':'))
			return MG_ERR_FORMAT;
		if (find(rec, f.key) != NULL) /* Rule 1 */
			return MG_ERR_FORMAT;
		if ((r = value(c, rec, &f)) != MG_ERR_OK)
			return r;
		rec->f[rec->n++] = f;
	} while (eat(c, ','));
	return eat(c, '}') ? MG_ERR_OK : MG_ERR_FORMAT;
}

enum mg_err
mg_rec_parse(struct mg_rec *rec, const char *line, size_t len)
{
	struct cursor c;
	size_t col;
	enum mg_err r;

	mg_rec_fini(rec);
	if (len > MG_REC_LINE_MAX)
		return MG_ERR_LIMIT;
	if ((rec->text = malloc(len + 1)) == NULL)
		return MG_ERR_NOMEM;
	memcpy(rec->text, line, len);
	rec->text[len] = '\0';
	c.p = rec->text;
	c.end = rec->text + len;
	r = object(&c, rec);
	if (r == MG_ERR_OK && c.p != c.end)
		r = MG_ERR_TRAIL;
	if (r != MG_ERR_OK) {
		col = (size_t)(c.p - rec->text) + 1;
		mg_rec_fini(rec);
		rec->err_col = col;
	}
	return r;
}

const char *
mg_rec_str(const struct mg_rec *rec, const char *key, const char *fallback)
{
	const struct mg_rec_field *f = find(rec, key);

	return f != NULL && f->kind == MG_REC_STR ? f->s : fallback;
}

int64_t
mg_rec_int(const struct mg_rec *rec, const char *key, int64_t fallback)
{
	const struct mg_rec_field *f = find(rec, key);

	return f != NULL && f->kind == MG_REC_INT ? f->i : fallback;
}

bool
mg_rec_bool(const struct mg_rec *rec, const char *key)
{
	const struct mg_rec_field *f = find(rec, key);

	return f != NULL && f->kind == MG_REC_BOOL && f->i != 0;
}

const char *const *
mg_rec_strv(const struct mg_rec *rec, const char *key, size_t *np)
{
	const struct mg_rec_field *f = find(rec, key);

	*np = 0;
	if (f == NULL || f->kind != MG_REC_STRV)
		return NULL;
	*np = f->n;
	return f->v;
}

bool
mg_rec_has(const struct mg_rec *rec, const char *key)
{
	return find(rec, key) != NULL;
}
