/* SPDX-License-Identifier: ISC */
#ifndef MG_TREE_H
#define MG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "mg_err.h"

/*
 * The files of an artifact: a folder, or one regular file, that somebody
 * else may be changing. Everything is reached from one open descriptor.
 */

#define MG_TREE_FILES_MAX 200000
#define MG_TREE_DIRS_MAX 50000
#define MG_TREE_DEPTH_MAX 32
#define MG_TREE_PATH_MAX 1024 /* bytes of a relative path */

/* The name of the only file when the artifact is one file. */
#define MG_TREE_SINGLE "."

/* What the kernel says of a file; differs after any change that it sees. */
struct mg_tree_id {
	dev_t dev;
	ino_t ino;
	uint64_t size;
	struct timespec mtime, ctime;
};

struct mg_tree_entry {
	const char *path; /* relative; "" for the artifact's own folder */
	struct mg_tree_id id;
};

struct mg_tree {
	int fd; /* the caller's */
	struct mg_tree_entry *files;
	size_t nfiles;
	struct mg_tree_entry *dirs;
	size_t ndirs;
	uint64_t bytes; /* in all files */
	struct mg_tree_names *names;
};

struct mg_tree_rules {
	uint64_t max_bytes; /* in all files together */
	/* Relative paths that are left out, with everything below them. */
	const char *const *skip;
	size_t nskip;
	/* All of it, folders as well, is root's, and nobody may write it. */
	bool is_sealed;
};

/*
 * Lists the regular files below fd (or fd itself), sorted by the bytes of
 * their paths. fd has to stay open as long as the tree lives. On failure
 * *treep is NULL and why says which file and what is wrong with it:
 * MG_ERR_PERM (of a kind or name that an artifact may not have, not sealed,
 * or not readable), MG_ERR_LIMIT, MG_ERR_NOENT (no file at all), MG_ERR_STATE
 * (changed meanwhile), MG_ERR_SYS, MG_ERR_NOMEM. *treep is the caller's.
 */
enum mg_err mg_tree_walk(int fd, const struct mg_tree_rules *rules,
    struct mg_tree **treep, char *why, size_t why_size) MG_MUST_CHECK;

void mg_tree_free(struct mg_tree *tree);

/*
 * Opens file i for reading: the very file that was listed, unchanged.
 * *fdp is the caller's, -1 on failure. May be called in several threads.
 */
enum mg_err mg_tree_open(const struct mg_tree *tree, size_t i, int *fdp,
    char *why, size_t why_size) MG_MUST_CHECK;

/* Whether file i, open as fd, is still what was listed. */
enum mg_err mg_tree_check(const struct mg_tree *tree, size_t i, int fd,
    char *why, size_t why_size) MG_MUST_CHECK;

/* Whether no folder has gained, lost or renamed anything since the walk. */
enum mg_err mg_tree_check_dirs(
    const struct mg_tree *tree, char *why, size_t why_size) MG_MUST_CHECK;

#endif
