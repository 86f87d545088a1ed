/* SPDX-License-Identifier: ISC */
/*
 * QR codes as text.
 *
 * Rules
 * 1. Colours are set for both kinds of module: a picture that relies on the
 *    terminal's own cannot be scanned on half of them.
 * 2. The picture is the secret: the modules are wiped.
 */
#include <qrencode.h>
#include <string.h>

#include "enroll_qr.h"

/* Light modules around the picture: what fits of 4, at least 1. */
#define QUIET_MAX 4
#define QUIET_MIN 1

#define RESET "\033[0m"

/* Two modules a character, one above the other. */
static const char *const blocks[2][2] = {
    {" ", "\xe2\x96\x84"}, /* light above: light, dark */
    {"\xe2\x96\x80", "\xe2\x96\x88"},
};

struct picture {
	const QRcode *qr;
	int quiet;
};

static bool
is_dark(const struct picture *p, int x, int y)
{
	x -= p->quiet;
	y -= p->quiet;
	if (x < 0 || y < 0 || x >= p->qr->width || y >= p->qr->width)
		return false;
	return (p->qr->data[y * p->qr->width + x] & 1) != 0;
}

static unsigned
side(const struct picture *p)
{
	return (unsigned)(p->qr->width + 2 * p->quiet);
}

static unsigned
rows_of(const struct picture *p, bool has_blocks)
{
	return has_blocks ? (side(p) + 1) / 2 : side(p);
}

static unsigned
cols_of(const struct picture *p, bool has_blocks)
{
	return has_blocks ? side(p) : 2 * side(p);
}

static enum mg_err
put_blocks(struct mg_buf *b, const struct picture *p, bool has_256)
{
	const char *ink = has_256 ? "\033[38;5;16;48;5;231m" : "\033[0;30;47m";
	int n = (int)side(p), x, y;
	enum mg_err r = MG_ERR_OK;

	for (y = 0; y < n && r == MG_ERR_OK; y += 2) {
		r = mg_buf_put_text(b, ink); /* Rule 1 */
		for (x = 0; x < n && r == MG_ERR_OK; x++)
			r = mg_buf_put_text(
			    b, blocks[is_dark(p, x, y)][is_dark(p, x, y + 1)]);
		if (r == MG_ERR_OK)
			r = mg_buf_put_text(b, RESET "\n");
	}
	return r;
}

static enum mg_err
put_cells(struct mg_buf *b, const struct picture *p)
{
	int n = (int)side(p), x, y;
	enum mg_err r = MG_ERR_OK;

	for (y = 0; y < n && r == MG_ERR_OK; y++) {
		for (x = 0; x < n && r == MG_ERR_OK; x++)
			r = mg_buf_put_text(
			    b, is_dark(p, x, y) ? "\033[40m  " : "\033[47m  ");
		if (r == MG_ERR_OK)
			r = mg_buf_put_text(b, RESET "\n");
	}
	return r;
}

bool
enroll_qr_put(struct mg_buf *b, const char *text,
    const struct enroll_qr_paper *paper, unsigned *rowsp, unsigned *colsp)
{
	struct picture p = {.quiet = QUIET_MAX};
	size_t before = mg_buf_len(b);
	bool fits, ok = false;
	QRcode *qr;

	*rowsp = *colsp = 0;
	qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	if (qr == NULL)
		return false;
	p.qr = qr;
	while (p.quiet > QUIET_MIN &&
	       (rows_of(&p, paper->has_blocks) > paper->rows ||
		   cols_of(&p, paper->has_blocks) > paper->cols))
		p.quiet--;
	*rowsp = rows_of(&p, paper->has_blocks);
	*colsp = cols_of(&p, paper->has_blocks);
	fits = *rowsp <= paper->rows && *colsp <= paper->cols;
	if (fits)
		ok = (paper->has_blocks ? put_blocks(b, &p, paper->has_256)
					: put_cells(b, &p)) == MG_ERR_OK;
	if (!ok) /* cut back to where it was */
		b->len = b->off + before;
	explicit_bzero(
	    qr->data, (size_t)qr->width * (size_t)qr->width); /* Rule 2 */
	QRcode_free(qr);
	return ok;
}
