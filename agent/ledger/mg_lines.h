/* SPDX-License-Identifier: ISC */
#ifndef MG_LINES_H
#define MG_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"
#include "mg_flaw.h"

/* Lines out of a file, which may be compressed (zstd). */

/* A compressed one is refused when it asks for more: what the agent writes
 * is a third of it at most, and small input could fill every disk. */
#define MG_LINES_UNPACKED_MAX ((uint64_t)64 << 20)
#define MG_LINES_WINDOW_LOG 24

struct mg_lines;

/* Takes fd over, also when it fails (NULL: no memory). */
struct mg_lines *mg_lines_new(int fd, bool compressed) MG_MUST_CHECK;
void mg_lines_free(struct mg_lines *l);

/*
 * The next line without its newline, in *sp (until the next call) and *np.
 * MG_ERR_NOENT: that was the last. MG_ERR_TRUNC: the file ends within a
 * line of *np bytes. MG_ERR_LIMIT: a line is longer than MG_REC_LINE_MAX;
 * no more of it was read. MG_ERR_FORMAT: not what zstd wrote,
 * or too much of it. MG_ERR_SYS.
 */
enum mg_err mg_lines_next(
    struct mg_lines *l, const char **sp, size_t *np) MG_MUST_CHECK;

/* What MG_ERR_FORMAT was: MG_FLAW_PACK_CUT, _BAD or _BOMB. */
enum mg_flaw_kind mg_lines_flaw(const struct mg_lines *l);

/* Bytes of the file that were read so far. */
uint64_t mg_lines_pos(const struct mg_lines *l);

#endif
