/* SPDX-License-Identifier: ISC */
#ifndef MG_FILE_H
#define MG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "mg_buf.h"

/*
 * Files that must be trusted: opened by descriptor along the path, never
 * looked up twice, refused when someone else could have changed them.
 */

/* Who may be able to write a trusted file and every folder above it. */
struct mg_file_rule {
	uid_t owner;	/* besides root */
	bool no_read;	/* also refuse when group or others can read */
	bool any_owner; /* skip all owner and mode checks */
};

/*
 * Opens path for reading: absolute, without "..", none of its parts a
 * symbolic link; a regular file (or a folder with O_DIRECTORY in flags),
 * owned by root or rule->owner and writable by nobody else; the same for
 * every folder above (which may be writable by others if it is sticky). Returns
 * the descriptor in *fdp (-1 on failure); why (may be NULL) says what is wrong,
 * naming the part of the path.
 */
enum mg_err mg_file_open(const char *path, int flags,
    const struct mg_file_rule *rule, int *fdp, char *why,
    size_t why_size) MG_MUST_CHECK;

/* As mg_file_open() for a name without '/' below an open folder. */
enum mg_err mg_file_open_at(int dirfd, const char *name, int flags,
    const struct mg_file_rule *rule, int *fdp, char *why,
    size_t why_size) MG_MUST_CHECK;

/* Appends the whole file to b, whose maximum bounds it. */
enum mg_err mg_file_read(int fd, struct mg_buf *b) MG_MUST_CHECK;

/* Writes all n bytes, going on after short writes and EINTR. */
enum mg_err mg_file_write(int fd, const void *p, size_t n) MG_MUST_CHECK;

/*
 * Replaces name below dirfd by the n bytes at p: a new file with mode, its
 * data synced, renamed into place, the folder synced.
 */
enum mg_err mg_file_replace_at(int dirfd, const char *name, const void *p,
    size_t n, mode_t mode) MG_MUST_CHECK;

/* Opens /dev/null on descriptors 0 to 2 that are closed. */
enum mg_err mg_file_sanitise_std(void) MG_MUST_CHECK;

#endif
