/* SPDX-License-Identifier: ISC */
/* Lines out of a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "mg_buf.h"
#include "mg_lines.h"
#include "mg_rec.h"

#define STEP 262144

struct mg_lines {
	int fd;
	ZSTD_DCtx *zst; /* NULL: it is not compressed */
	bool frame_ended;
	ZSTD_inBuffer in; /* of raw, not decompressed yet */
	struct mg_buf b;
	uint64_t pos;
	uint64_t out; /* bytes that were decompressed so far */
	bool at_end;
	enum mg_flaw_kind flaw;
	uint8_t raw[STEP];
};

struct mg_lines *
mg_lines_new(int fd, bool compressed)
{
	struct mg_lines *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		close(fd);
		return NULL;
	}
	l->fd = fd;
	l->frame_ended = true;
	mg_buf_init(&l->b, MG_REC_LINE_MAX + 2 * STEP);
	if (!compressed)
		return l;
	if ((l->zst = ZSTD_createDCtx()) != NULL &&
	    !ZSTD_isError(ZSTD_DCtx_setParameter(
		l->zst, ZSTD_d_windowLogMax, MG_LINES_WINDOW_LOG)))
		return l;
	mg_lines_free(l);
	return NULL;
}

void
mg_lines_free(struct mg_lines *l)
{
	if (l == NULL)
		return;
	close(l->fd);
	ZSTD_freeDCtx(l->zst);
	mg_buf_fini(&l->b);
	free(l);
}

/* At most size bytes of the file; 0 at its end. */
static ssize_t
fetch(struct mg_lines *l, void *p, size_t size)
{
	ssize_t n;

	do
		n = read(l->fd, p, size);
	while (n == -1 && errno == EINTR);
	if (n > 0)
		l->pos += (uint64_t)n;
	return n;
}

static enum mg_err
more_plain(struct mg_lines *l)
{
	uint8_t *d;
	ssize_t n;

	if ((d = mg_buf_reserve(&l->b, STEP)) == NULL)
		return MG_ERR_NOMEM;
	if ((n = fetch(l, d, STEP)) < 0)
		return MG_ERR_SYS;
	mg_buf_commit(&l->b, (size_t)n);
	l->at_end = n == 0;
	return MG_ERR_OK;
}

static enum mg_err
broken(struct mg_lines *l, enum mg_flaw_kind kind)
{
	l->flaw = kind;
	return MG_ERR_FORMAT;
}

static enum mg_err
more_compressed(struct mg_lines *l)
{
	ZSTD_outBuffer out;
	uint8_t *d;
	ssize_t n;
	size_t r;

	if (l->in.pos == l->in.size) {
		if ((n = fetch(l, l->raw, sizeof(l->raw))) < 0)
			return MG_ERR_SYS;
		l->in = (ZSTD_inBuffer){l->raw, (size_t)n, 0};
		if (n == 0) {
			l->at_end = true;
			return l->frame_ended ? MG_ERR_OK
					      : broken(l, MG_FLAW_PACK_CUT);
		}
	}
	if ((d = mg_buf_reserve(&l->b, STEP)) == NULL)
		return MG_ERR_NOMEM;
	out = (ZSTD_outBuffer){d, STEP, 0};
	r = ZSTD_decompressStream(l->zst, &out, &l->in);
	if (ZSTD_isError(r))
		return broken(l, MG_FLAW_PACK_BAD);
	l->frame_ended = r == 0;
	mg_buf_commit(&l->b, out.pos);
	l->out += out.pos;
	return l->out > MG_LINES_UNPACKED_MAX ? broken(l, MG_FLAW_PACK_BOMB)
					      : MG_ERR_OK;
}

enum mg_err
mg_lines_next(struct mg_lines *l, const char **sp, size_t *np)
{
	const char *p, *nl;
	enum mg_err r;

	for (;;) {
		p = (const char *)mg_buf_ptr(&l->b);
		*np = mg_buf_len(&l->b);
		*sp = p;
		nl = *np == 0 ? NULL : memchr(p, '\n', *np);
		if (nl != NULL) {
			*np = (size_t)(nl - p);
			mg_buf_consume(&l->b, *np + 1);
			return *np > MG_REC_LINE_MAX ? MG_ERR_LIMIT : MG_ERR_OK;
		}
		if (*np > MG_REC_LINE_MAX)
			return MG_ERR_LIMIT;
		if (l->at_end)
			return *np > 0 ? MG_ERR_TRUNC : MG_ERR_NOENT;
		r = l->zst == NULL ? more_plain(l) : more_compressed(l);
		if (r != MG_ERR_OK)
			return r;
	}
}

uint64_t
mg_lines_pos(const struct mg_lines *l)
{
	return l->pos;
}

enum mg_flaw_kind
mg_lines_flaw(const struct mg_lines *l)
{
	return l->flaw;
}
