/* SPDX-License-Identifier: ISC */
/*
 * Exported evidence: a tar archive in one form.
 *
 * Rules
 * 1. What two tar programs could read differently is refused: every header
 *    byte is the one that we write, or the archive is not ours.
 * 2. No name can leave the folder that somebody unpacks it in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_bundle.h"
#include "mg_id.h"
#include "mg_merkle.h"

#define BLOCK 512

/* Rule 2 */
static bool
is_name(const char *s)
{
	size_t n = strlen(s), i;

	if (n == 0 || n > MG_BUNDLE_NAME_MAX || s[0] == '/' || s[0] == '.')
		return false;
	for (i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || strchr("._/-", c) != NULL))
			return false;
		if (c == '/' &&
		    (s[i + 1] == '/' || s[i + 1] == '.' || s[i + 1] == '\0'))
			return false;
	}
	return true;
}

/* The one header for a name and a length. */
static void
header(const char *name, size_t len, uint8_t out[BLOCK])
{
	unsigned sum = 0;
	char text[32];
	size_t i;

	memset(out, 0, BLOCK);
	memcpy(out, name, strlen(name));
	memcpy(out + 100, "0000644", 7);
	memcpy(out + 108, "0000000", 7);
	memcpy(out + 116, "0000000", 7);
	snprintf(text, sizeof(text), "%011llo", (unsigned long long)len);
	memcpy(out + 124, text, 11);
	memcpy(out + 136, "00000000000", 11);
	memset(out + 148, ' ', 8);
	out[156] = '0';
	memcpy(out + 257, "ustar", 6);
	memcpy(out + 263, "00", 2);
	for (i = 0; i < BLOCK; i++)
		sum += out[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(out + 148, text, 7); /* with its NUL, then a blank */
}

enum mg_err
mg_bundle_put(struct mg_buf *b, const char *name, const void *data, size_t len)
{
	static const uint8_t zeros[BLOCK];
	uint8_t head[BLOCK];
	enum mg_err r;

	if (!is_name(name) || len > MG_BUNDLE_MAX)
		return MG_ERR_FORMAT;
	header(name, len, head);
	if ((r = mg_buf_put(b, head, BLOCK)) != MG_ERR_OK ||
	    (r = mg_buf_put(b, data, len)) != MG_ERR_OK)
		return r;
	return mg_buf_put(b, zeros, (BLOCK - len % BLOCK) % BLOCK);
}

enum mg_err
mg_bundle_put_end(struct mg_buf *b)
{
	static const uint8_t zeros[2 * BLOCK];

	return mg_buf_put(b, zeros, sizeof(zeros));
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	while (n > 0)
		if (p[--n] != 0)
			return false;
	return true;
}

/* The octal length; Rule 1 checks its form. */
static size_t
length(const uint8_t *head)
{
	size_t n = 0, i;

	for (i = 0; i < 11 && head[124 + i] >= '0' && head[124 + i] <= '7'; i++)
		n = n * 8 + (size_t)(head[124 + i] - '0');
	return n;
}

static const char *
parse_one(struct mg_bundle *bundle, const uint8_t **pp, const uint8_t *end)
{
	struct mg_bundle_file *f;
	uint8_t want[BLOCK];
	size_t len, pad;

	if (bundle->n == MG_BUNDLE_FILES_MAX)
		return "it has more than 1024 members";
	if ((size_t)(end - *pp) < BLOCK)
		return "it ends within a header";
	f = &bundle->v[bundle->n];
	memcpy(f->name, *pp, MG_BUNDLE_NAME_MAX);
	f->name[MG_BUNDLE_NAME_MAX] = '\0';
	if (!is_name(f->name))
		return "a member's name is not one of ours";
	len = length(*pp);
	header(f->name, len, want);
	if (memcmp(want, *pp, BLOCK) != 0) /* Rule 1 */
		return "a header is not as export writes it";
	if (mg_bundle_find(bundle, f->name) != NULL)
		return "a member is there twice";
	*pp += BLOCK;
	pad = (BLOCK - len % BLOCK) % BLOCK;
	if (len > MG_BUNDLE_MAX || len + pad > (size_t)(end - *pp))
		return "it ends within a member";
	f->data = *pp;
	f->len = len;
	if (!is_zero(*pp + len, pad))
		return "there is something behind a member";
	*pp += len + pad;
	bundle->n++;
	return NULL;
}

enum mg_err
mg_bundle_parse(
    struct mg_bundle *bundle, const void *text, size_t len, const char **whyp)
{
	const uint8_t *p = text, *end = p + len;
	const char *why = NULL;

	memset(bundle, 0, sizeof(*bundle));
	*whyp = "out of memory";
	bundle->v = calloc(MG_BUNDLE_FILES_MAX, sizeof(*bundle->v));
	if (bundle->v == NULL)
		return MG_ERR_NOMEM;
	if (len > MG_BUNDLE_MAX)
		why = "it is larger than 64 MiB";
	while (why == NULL && p < end && *p != 0)
		why = parse_one(bundle, &p, end);
	if (why == NULL &&
	    ((size_t)(end - p) != 2 * BLOCK || !is_zero(p, 2 * BLOCK)))
		why = p == end || is_zero(p, (size_t)(end - p))
			  ? "it is cut off"
			  : "there is something behind its end";
	*whyp = why == NULL ? "" : why;
	if (why == NULL)
		return MG_ERR_OK;
	mg_bundle_fini(bundle);
	return MG_ERR_FORMAT;
}

void
mg_bundle_fini(struct mg_bundle *bundle)
{
	free(bundle->v);
	bundle->v = NULL;
	bundle->n = 0;
}

const struct mg_bundle_file *
mg_bundle_find(const struct mg_bundle *bundle, const char *name)
{
	size_t i;

	for (i = 0; i < bundle->n; i++)
		if (strcmp(bundle->v[i].name, name) == 0)
			return &bundle->v[i];
	return NULL;
}

/* ---- paths ---- */

enum mg_err
mg_bundle_put_path(struct mg_buf *b, uint64_t index, uint64_t size,
    const uint8_t (*path)[32], size_t n)
{
	struct mg_merkle_range r[MG_MERKLE_PROOF_MAX];
	char hex[2 * MG_MERKLE_HASH + 1];
	enum mg_err err = MG_ERR_OK;
	size_t i;

	if (mg_merkle_path(index, size, r) != n)
		return MG_ERR_INTERNAL;
	for (i = 0; i < n && err == MG_ERR_OK; i++) {
		mg_hex(path[i], MG_MERKLE_HASH, hex);
		err =
		    mg_buf_putf(b, "%c %s\n", r[i].a > index ? 'R' : 'L', hex);
	}
	return err;
}

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum mg_err
mg_bundle_get_path(const void *text, size_t len, uint64_t index, uint64_t size,
    uint8_t (*path)[32], size_t *np)
{
	struct mg_merkle_range r[MG_MERKLE_PROOF_MAX];
	const size_t line = 2 + 2 * MG_MERKLE_HASH + 1;
	size_t n = mg_merkle_path(index, size, r), i, k;
	const uint8_t *p = text;
	int hi, lo;

	*np = 0;
	if (index >= size || len != n * line)
		return MG_ERR_FORMAT;
	for (i = 0; i < n; i++, p += line) {
		if (p[0] != (r[i].a > index ? 'R' : 'L') || p[1] != ' ' ||
		    p[line - 1] != '\n')
			return MG_ERR_FORMAT;
		for (k = 0; k < MG_MERKLE_HASH; k++) {
			hi = digit(p[2 + 2 * k]);
			lo = digit(p[3 + 2 * k]);
			if (hi < 0 || lo < 0)
				return MG_ERR_FORMAT;
			path[i][k] = (uint8_t)(hi << 4 | lo);
		}
	}
	*np = n;
	return MG_ERR_OK;
}
