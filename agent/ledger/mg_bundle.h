/* SPDX-License-Identifier: ISC */
#ifndef MG_BUNDLE_H
#define MG_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * The file that `modelgate export` writes: a tar archive (POSIX ustar), so
 * that anybody can take it apart. Read in exactly the form that is written
 * here and no other: plain files, no owner, no date, a name once.
 */

#define MG_BUNDLE_FILES_MAX 1024
#define MG_BUNDLE_NAME_MAX 99
#define MG_BUNDLE_MAX ((size_t)64 << 20)

struct mg_bundle_file {
	char name[MG_BUNDLE_NAME_MAX + 1];
	const uint8_t *data; /* into the text that was parsed */
	size_t len;
};

struct mg_bundle {
	struct mg_bundle_file *v;
	size_t n;
};

/* Appends a member; at the end mg_bundle_put_end(). */
enum mg_err mg_bundle_put(struct mg_buf *b, const char *name, const void *data,
    size_t len) MG_MUST_CHECK;
enum mg_err mg_bundle_put_end(struct mg_buf *b) MG_MUST_CHECK;

/*
 * Takes the archive apart; text must outlive bundle. MG_ERR_FORMAT,
 * MG_ERR_LIMIT, MG_ERR_NOMEM; *whyp gets a static text, bundle is empty.
 */
enum mg_err mg_bundle_parse(struct mg_bundle *bundle, const void *text,
    size_t len, const char **whyp) MG_MUST_CHECK;
void mg_bundle_fini(struct mg_bundle *bundle);

/* A member, or NULL. */
const struct mg_bundle_file *mg_bundle_find(
    const struct mg_bundle *bundle, const char *name);

/*
 * A Merkle path as text: one line a hash, from the leaf up, "L HEX" or
 * "R HEX" for the side that it stands on. Reading checks the sides against
 * index and size, so that nobody has to believe them.
 */
enum mg_err mg_bundle_put_path(struct mg_buf *b, uint64_t index, uint64_t size,
    const uint8_t (*path)[32], size_t n) MG_MUST_CHECK;
enum mg_err mg_bundle_get_path(const void *text, size_t len, uint64_t index,
    uint64_t size, uint8_t (*path)[32], size_t *np) MG_MUST_CHECK;

#endif
