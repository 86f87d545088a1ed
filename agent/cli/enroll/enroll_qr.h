/* SPDX-License-Identifier: ISC */
#ifndef ENROLL_QR_H
#define ENROLL_QR_H

#include <stdbool.h>

#include "mg_buf.h"

/* A QR code as text for a terminal: dark on light, whatever its colours. */

struct enroll_qr_paper {
	unsigned rows, cols; /* that may be used */
	bool has_blocks;     /* half blocks can be shown (UTF-8) */
	bool has_256;	     /* 256 colours */
};

/*
 * Appends the picture of text to b, which ought to be a secret buffer.
 * False when it does not fit, with b unchanged; *rowsp and *colsp then say
 * what it would need (0 when text is too long for any picture).
 */
bool enroll_qr_put(struct mg_buf *b, const char *text,
    const struct enroll_qr_paper *paper, unsigned *rowsp, unsigned *colsp);

#endif
