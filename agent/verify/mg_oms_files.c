/* SPDX-License-Identifier: ISC */
/*
 * Compares a model's files with what was signed.
 *
 * Rules
 * 1. Both ways: a file that is missing and a file that nobody signed are
 *    failures alike, for the extra one may be code that is loaded.
 * 2. Names and sizes come before digests: nobody makes us read a terabyte
 *    to learn that a file is missing.
 * 3. What the signature leaves out is told, or in strict mode refused: a
 *    signer can leave out the file that does the harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "verify/mg_oms_int.h"

#define SKIP_MAX (MG_OMS_IGNORE_MAX + 8)

struct check {
	const struct mg_oms_statement *st;
	const struct mg_oms_files *files;
	struct mg_oms_report *report;
	struct mg_oms_fail *fail;
	struct mg_tree *tree;
	/* One piece for each resource, in its order. */
	struct mg_hash_piece *pieces;
	size_t npieces;
	bool has_uncovered; /* also when there was no memory to name it */
};

/* ---- listing ---- */

static size_t
fill_skip(const struct mg_oms_files *files, const char *const *ignore,
    size_t nignore, const char *skip[SKIP_MAX])
{
	size_t n = 0, i;

	for (i = 0; mg_oms_git_paths[i] != NULL; i++)
		skip[n++] = mg_oms_git_paths[i];
	if (files->sig_path != NULL)
		skip[n++] = files->sig_path;
	for (i = 0; i < nignore && n < SKIP_MAX; i++)
		skip[n++] = ignore[i];
	return n;
}

enum mg_err
mg_oms_walk(const struct mg_oms_files *files, const char *const *ignore,
    size_t nignore, struct mg_tree **treep, struct mg_oms_fail *fail)
{
	const char *skip[SKIP_MAX];
	struct mg_tree_rules rules;
	char why[512];
	enum mg_err r;

	memset(&rules, 0, sizeof(rules));
	rules.max_bytes = files->max_bytes;
	rules.skip = skip;
	rules.nskip = fill_skip(files, ignore, nignore, skip);
	r = mg_tree_walk(files->fd, &rules, treep, why, sizeof(why));
	if (r != MG_ERR_OK)
		(void)mg_oms_say(fail, r,
		    r == MG_ERR_STATE	? MG_OMS_MOVING
		    : r == MG_ERR_NOMEM ? MG_OMS_NOMEM
					: MG_OMS_ARTIFACT,
		    "%s", why);
	return r;
}

enum mg_err
mg_oms_hash(const struct mg_oms_files *files, const struct mg_tree *tree,
    enum mg_hash hash, struct mg_hash_piece *pieces, size_t n,
    struct mg_oms_fail *fail)
{
	struct mg_hash_job job;
	char why[512];
	enum mg_err r;

	memset(&job, 0, sizeof(job));
	job.tree = tree;
	job.hash = hash;
	job.pieces = pieces;
	job.npieces = n;
	job.threads = files->threads;
	job.progress = files->progress;
	job.arg = files->arg;
	r = mg_hash_run(&job, why, sizeof(why));
	if (r != MG_ERR_OK)
		(void)mg_oms_say(fail, r,
		    r == MG_ERR_STATE	? MG_OMS_MOVING
		    : r == MG_ERR_NOMEM ? MG_OMS_NOMEM
					: MG_OMS_ARTIFACT,
		    "%s", why);
	return r;
}

/* ---- differences ---- */

static void
add_diff(struct check *c, enum mg_oms_diff kind, const char *path)
{
	struct mg_oms_report *rep = c->report;

	switch (kind) {
	case MG_OMS_MISSING:
		rep->missing++;
		break;
	case MG_OMS_EXTRA:
		rep->extra++;
		break;
	case MG_OMS_CHANGED:
		rep->changed++;
		break;
	}
	if (rep->ndiffs == MG_OMS_DIFFS_MAX)
		return;
	if ((rep->diffs[rep->ndiffs].path = strdup(path)) == NULL)
		return;
	rep->diffs[rep->ndiffs++].kind = kind;
}

static enum mg_err
say_diffs(struct check *c)
{
	const struct mg_oms_report *rep = c->report;

	if (rep->missing + rep->extra + rep->changed == 0)
		return MG_ERR_OK;
	return mg_oms_say(c->fail, MG_ERR_PERM, MG_OMS_FILES,
	    "the files are not those that were signed: %zu missing, %zu extra, "
	    "%zu changed",
	    rep->missing, rep->extra, rep->changed);
}

/* ---- names and sizes ---- */

/* What the resources of a single file may be called. */
static const char *
file_path(const struct check *c, size_t i)
{
	const char *path = c->tree->files[i].path;

	if (c->tree->ndirs == 0 && c->files->basename != NULL &&
	    strcmp(c->st->resources[0].path, c->files->basename) == 0)
		return c->files->basename;
	return path;
}

/* How many resources a file of that size has. */
static uint64_t
parts_of(const struct mg_oms_statement *st, uint64_t size)
{
	if (st->shard_size == 0)
		return 1;
	return size / st->shard_size + (size % st->shard_size != 0);
}

/* Whether the n resources from r on are the parts of a file of that size. */
static bool
parts_fit(const struct mg_oms_statement *st, const struct mg_oms_resource *r,
    uint64_t n, uint64_t size)
{
	uint64_t i, end;

	if (n != parts_of(st, size))
		return false;
	for (i = 0; st->shard_size != 0 && i < n; i++) {
		end = i + 1 == n ? size : (i + 1) * st->shard_size;
		if (r[i].start != i * st->shard_size || r[i].end != end)
			return false;
	}
	return true;
}

static void
add_pieces(struct check *c, size_t file, size_t first, size_t n)
{
	const struct mg_oms_resource *r = c->st->resources;
	struct mg_hash_piece *p;
	size_t i;

	for (i = first; i < first + n; i++) {
		p = &c->pieces[c->npieces++];
		p->file = file;
		p->start = r[i].start;
		p->end = c->st->shard_size == 0 ? c->tree->files[file].id.size
						: r[i].end;
	}
}

/* The resources from i on that are of one file. */
static size_t
run_length(const struct mg_oms_statement *st, size_t i)
{
	size_t n = 1;

	while (i + n < st->nresources &&
	       strcmp(st->resources[i].path, st->resources[i + n].path) == 0)
		n++;
	return n;
}

/* Walks both sorted lists at once. Rules 1, 2 */
static void
match(struct check *c)
{
	const struct mg_oms_statement *st = c->st;
	size_t f = 0, i = 0, n;
	uint64_t size;
	int order;

	while (f < c->tree->nfiles || i < st->nresources) {
		if (f == c->tree->nfiles)
			order = 1;
		else if (i == st->nresources)
			order = -1;
		else
			order = strcmp(file_path(c, f), st->resources[i].path);
		if (order < 0) { /* no resource has this file */
			if (parts_of(st, c->tree->files[f].id.size) > 0)
				add_diff(c, MG_OMS_EXTRA, file_path(c, f));
			f++;
			continue;
		}
		n = run_length(st, i);
		if (order > 0) { /* no file is of this resource */
			add_diff(c, MG_OMS_MISSING, st->resources[i].path);
			i += n;
			continue;
		}
		size = c->tree->files[f].id.size;
		if (parts_fit(st, &st->resources[i], n, size))
			add_pieces(c, f, i, n);
		else
			add_diff(c, MG_OMS_CHANGED, file_path(c, f));
		f++;
		i += n;
	}
}

/* ---- digests ---- */

static void
compare_digests(struct check *c)
{
	size_t bytes = mg_hash_bytes(c->st->hash), i;
	size_t last = (size_t)-1;

	for (i = 0; i < c->npieces; i++) {
		if (memcmp(c->pieces[i].digest, c->st->resources[i].digest,
			bytes) == 0 ||
		    c->pieces[i].file == last)
			continue;
		last = c->pieces[i].file; /* once a file */
		add_diff(c, MG_OMS_CHANGED, file_path(c, last));
	}
}

/* ---- what is left out ---- */

static void
add_uncovered(struct check *c, const char *path)
{
	struct mg_oms_report *rep = c->report;
	size_t n = rep->nuncovered, i;

	c->has_uncovered = true;
	for (i = 0; i < n; i++)
		if (strcmp(rep->uncovered[i], path) == 0)
			return;
	if (n < MG_OMS_DIFFS_MAX && (rep->uncovered[n] = strdup(path)) != NULL)
		rep->nuncovered++;
}

/* Rule 3 */
static enum mg_err
find_uncovered(struct check *c)
{
	const char *skip[SKIP_MAX];
	struct stat st;
	size_t n, i;

	if (c->tree->ndirs == 0)
		return MG_ERR_OK;
	n = fill_skip(c->files, c->st->ignore, c->st->nignore, skip);
	for (i = 0; i < n; i++) {
		if (c->files->sig_path != NULL &&
		    strcmp(skip[i], c->files->sig_path) == 0)
			continue;
		/* Its name only; nothing is opened. What cannot be looked at
		 * may be there. */
		if (fstatat(c->files->fd, skip[i], &st, AT_SYMLINK_NOFOLLOW) ==
			0 ||
		    (errno != ENOENT && errno != ENOTDIR &&
			errno != ENAMETOOLONG))
			add_uncovered(c, skip[i]);
	}
	for (i = 0; c->st->shard_size != 0 && i < c->tree->nfiles; i++)
		if (c->tree->files[i].id.size == 0)
			add_uncovered(c, c->tree->files[i].path);
	if (!c->files->strict || !c->has_uncovered)
		return MG_ERR_OK;
	return mg_oms_say(c->fail, MG_ERR_PERM, MG_OMS_UNCOVERED,
	    "holds what the signature leaves out");
}

static enum mg_err
check_all(struct check *c)
{
	enum mg_err r;

	c->pieces = calloc(c->st->nresources, sizeof(*c->pieces));
	if (c->pieces == NULL)
		return mg_oms_say(
		    c->fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
	match(c);
	if ((r = say_diffs(c)) != MG_ERR_OK ||
	    (r = find_uncovered(c)) != MG_ERR_OK)
		return r;
	if (c->npieces != c->st->nresources)
		return mg_oms_say(c->fail, MG_ERR_INTERNAL, MG_OMS_INTERNAL,
		    "internal error");
	r = mg_oms_hash(
	    c->files, c->tree, c->st->hash, c->pieces, c->npieces, c->fail);
	if (r != MG_ERR_OK)
		return r;
	c->report->files = c->tree->nfiles;
	c->report->bytes = c->tree->bytes;
	compare_digests(c);
	return say_diffs(c);
}

enum mg_err
mg_oms_check(const struct mg_oms_statement *st,
    const struct mg_oms_files *files, struct mg_oms_report *report,
    struct mg_oms_fail *fail)
{
	struct check c;
	enum mg_err r;

	memset(&c, 0, sizeof(c));
	memset(report, 0, sizeof(*report));
	memset(fail, 0, sizeof(*fail));
	c.st = st;
	c.files = files;
	c.report = report;
	c.fail = fail;
	r = mg_oms_walk(files, st->ignore, st->nignore, &c.tree, fail);
	if (r == MG_ERR_OK)
		r = check_all(&c);
	free(c.pieces);
	mg_tree_free(c.tree);
	return r;
}

void
mg_oms_report_fini(struct mg_oms_report *report)
{
	size_t i;

	for (i = 0; i < report->ndiffs; i++)
		free(report->diffs[i].path);
	for (i = 0; i < report->nuncovered; i++)
		free(report->uncovered[i]);
	memset(report, 0, sizeof(*report));
}
