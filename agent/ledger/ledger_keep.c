/* SPDX-License-Identifier: ISC */
/*
 * What becomes of old segments, and of the file of leaves.
 *
 * Rules
 * 1. At every moment every line that was not discarded is in a whole file:
 *    a crash between any two calls loses nothing, and the next start or the
 *    next round goes on.
 * 2. A segment goes only when a record that says so is durable, the oldest
 *    first, so that what is there has no gap; and never one that a start
 *    may have to read.
 * 3. Leaf hashes are never discarded: the tree has to be what it was. Those
 *    of a segment are there twice, durably, before it goes: from then on
 *    nothing on this host can make them again, and the hub is not trusted.
 * 4. The file of leaves is believed when it has the root of the ledger.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_int.h"

#define LEAVES_AT_ONCE 1024

/* ---- leaves ---- */

static enum mg_err
read_leaves(const struct mg_ledger *l, uint64_t from,
    uint8_t (*out)[MG_MERKLE_HASH], size_t max, size_t *np)
{
	uint64_t left = from < l->tree.size ? l->tree.size - from : 0;
	size_t want = left < max ? (size_t)left : max;
	size_t len = want * MG_MERKLE_HASH;

	*np = 0;
	if (pread(l->leaves_fd, out, len, (off_t)(from * MG_MERKLE_HASH)) !=
	    (ssize_t)len)
		return MG_ERR_SYS;
	*np = want;
	return MG_ERR_OK;
}

enum mg_err
mg_ledger_leaves(struct mg_ledger *l, uint64_t from,
    uint8_t (*out)[MG_MERKLE_HASH], size_t max, size_t *np)
{
	enum mg_err r;

	*np = 0;
	if (l->leaves_short)
		return MG_ERR_STATE;
	if ((r = mg_ledger_mend(l)) != MG_ERR_OK)
		return r;
	return read_leaves(l, from, out, max, np);
}

void
mg_ledger_fold_init(struct mg_ledger_fold *f, uint64_t mark_size)
{
	memset(f, 0, sizeof(*f));
	mg_merkle_init(&f->tree);
	f->mark_size = mark_size;
}

enum mg_err
mg_ledger_fold(struct mg_ledger *l, struct mg_ledger_fold *f, size_t max)
{
	uint8_t v[LEAVES_AT_ONCE][MG_MERKLE_HASH];
	uint8_t is[MG_MERKLE_HASH], want[MG_MERKLE_HASH];
	size_t n, i, step;

	if (mg_ledger_mend(l) != MG_ERR_OK)
		return MG_ERR_SYS;
	while (f->tree.size < l->tree.size && max > 0) {
		step = max < LEAVES_AT_ONCE ? max : LEAVES_AT_ONCE;
		if (read_leaves(l, f->tree.size, v, step, &n) != MG_ERR_OK)
			return MG_ERR_FORMAT;
		for (i = 0; i < n; i++) {
			mg_merkle_add(&f->tree, l->sha, v[i]);
			if (f->tree.size == f->mark_size)
				mg_merkle_root(&f->tree, l->sha, f->mark);
		}
		max -= n;
	}
	if (f->tree.size < l->tree.size)
		return MG_ERR_AGAIN;
	mg_merkle_root(&f->tree, l->sha, is);
	mg_merkle_root(&l->tree, l->sha, want);
	return memcmp(is, want, sizeof(is)) == 0 ? MG_ERR_OK : MG_ERR_FORMAT;
}

void
mg_ledger_leaves_lose(struct mg_ledger *l)
{
	l->leaves_short = true;
	l->leaves_need = l->leaves = l->tree.size;
	if (l->leaves_fd != -1)
		close(l->leaves_fd);
	/* Without it no leaf is written, which is told when it is folded. */
	if (mg_ledger_open_at(l->dirfd, MG_LEDGER_LEAVES_NEW,
		O_RDWR | O_CREAT | O_TRUNC, &l->leaves_fd) != MG_ERR_OK)
		l->leaves_fd = -1;
}

bool
mg_ledger_leaves_are_short(const struct mg_ledger *l)
{
	return l->leaves_short;
}

enum mg_err
mg_ledger_leaves_begin(
    struct mg_ledger *l, bool spare, int *fdp, int *oldp, uint64_t *needp)
{
	*oldp = -1;
	*fdp = l->leaves_fd;
	*needp = l->leaves_need;
	if (!l->leaves_short || l->leaves_fd == -1)
		return MG_ERR_STATE;
	if (lseek(l->leaves_fd, 0, SEEK_SET) != 0)
		return MG_ERR_SYS;
	if (!spare ||
	    mg_ledger_open_file(l->dirfd, MG_LEDGER_SPARE, oldp) != MG_ERR_OK)
		(void)!mg_ledger_open_file(l->dirfd, MG_LEDGER_LEAVES, oldp);
	return MG_ERR_OK;
}

enum mg_err
mg_ledger_leaves_done(struct mg_ledger *l)
{
	if (!l->leaves_short)
		return MG_ERR_STATE;
	if (fdatasync(l->leaves_fd) != 0 ||
	    renameat(l->dirfd, MG_LEDGER_LEAVES_NEW, l->dirfd,
		MG_LEDGER_LEAVES) != 0 ||
	    fsync(l->dirfd) != 0)
		return MG_ERR_SYS;
	l->leaves_short = false;
	return MG_ERR_OK;
}

/* ---- compressed segments ---- */

size_t
mg_ledger_keep_from(size_t n)
{
	return n > MG_LEDGER_SNAPSHOTS + 1 ? n - MG_LEDGER_SNAPSHOTS - 1 : 0;
}

enum mg_err
mg_ledger_pack_new(
    const struct mg_ledger *l, const struct mg_ledger_file *f, int *fdp)
{
	char name[MG_LEDGER_NAME];

	mg_ledger_name(f->first, ".zst.new", name);
	return mg_ledger_open_at(
	    l->dirfd, name, O_RDWR | O_CREAT | O_TRUNC, fdp);
}

/* Rule 1: durable, then named, then durably so; only then the other goes. */
enum mg_err
mg_ledger_pack_done(
    const struct mg_ledger *l, const struct mg_ledger_file *f, int fd)
{
	char from[MG_LEDGER_NAME], to[MG_LEDGER_NAME];
	struct timespec times[2];
	struct stat st;

	mg_ledger_name(f->first, ".zst.new", from);
	mg_ledger_name(f->first, ".jsonl.zst", to);
	if (fstatat(l->dirfd, f->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return MG_ERR_SYS;
	times[0] = times[1] = st.st_mtim; /* its age is the segment's */
	if (futimens(fd, times) != 0 || fsync(fd) != 0 ||
	    renameat(l->dirfd, from, l->dirfd, to) != 0 ||
	    fsync(l->dirfd) != 0 || unlinkat(l->dirfd, f->name, 0) != 0 ||
	    fsync(l->dirfd) != 0)
		return MG_ERR_SYS;
	return MG_ERR_OK;
}

/* ---- discarded segments ---- */

void
mg_ledger_note_discard(struct mg_ledger *l, const struct mg_rec *rec)
{
	int64_t first = mg_rec_int(rec, "first", 0);
	int64_t last = mg_rec_int(rec, "last", 0);

	if (strcmp(mg_rec_str(rec, "type", ""), "discard") != 0 || first < 1 ||
	    last < first || (uint64_t)last > l->seq)
		return;
	l->discarded =
	    mg_rec_bool(rec, "ok") ? (uint64_t)last : (uint64_t)first - 1;
}

/* Rule 3 */
static enum mg_err
copy_leaves(const struct mg_ledger *l, int fd, uint64_t *at, uint64_t upto,
    uint64_t max)
{
	uint8_t v[LEAVES_AT_ONCE][MG_MERKLE_HASH];
	enum mg_err r;
	size_t step, n;

	for (; *at < upto && max > 0; *at += n, max -= n) {
		step = upto - *at < LEAVES_AT_ONCE ? (size_t)(upto - *at)
						   : LEAVES_AT_ONCE;
		if (step > max)
			step = (size_t)max;
		if ((r = read_leaves(l, *at, v, step, &n)) != MG_ERR_OK)
			return r;
		if (n == 0)
			return MG_ERR_STATE;
		if (pwrite(fd, v, n * MG_MERKLE_HASH,
			(off_t)(*at * MG_MERKLE_HASH)) !=
		    (ssize_t)(n * MG_MERKLE_HASH))
			return MG_ERR_SYS;
	}
	return MG_ERR_OK;
}

enum mg_err
mg_ledger_spare(const struct mg_ledger *l, uint64_t upto, uint64_t max)
{
	struct stat st;
	enum mg_err r;
	uint64_t at;
	int fd;

	if (upto == 0)
		return MG_ERR_OK;
	if (l->leaves_short)
		return MG_ERR_STATE;
	r = mg_ledger_open_at(l->dirfd, MG_LEDGER_SPARE, O_RDWR | O_CREAT, &fd);
	if (r != MG_ERR_OK)
		return r;
	r = fstat(fd, &st) == 0 ? MG_ERR_OK : MG_ERR_SYS;
	at = r == MG_ERR_OK ? (uint64_t)st.st_size / MG_MERKLE_HASH : upto;
	if (at < upto) {
		r = copy_leaves(l, fd, &at, upto, max);
		if (r == MG_ERR_OK &&
		    (fdatasync(fd) != 0 || fsync(l->dirfd) != 0))
			r = MG_ERR_SYS;
	}
	close(fd);
	return r == MG_ERR_OK && at < upto ? MG_ERR_AGAIN : r;
}

/* A segment, in whatever forms it is there. */
static enum mg_err
remove_segment(const struct mg_ledger *l, uint64_t first)
{
	static const char *const suffixes[] = {
	    ".zst.new", ".snapshot", ".jsonl.zst", ".jsonl"};
	char name[MG_LEDGER_NAME];
	size_t i;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		mg_ledger_name(first, suffixes[i], name);
		if (unlinkat(l->dirfd, name, 0) != 0 && errno != ENOENT)
			return MG_ERR_SYS;
	}
	return fsync(l->dirfd) == 0 ? MG_ERR_OK : MG_ERR_SYS;
}

/* How many of v, the oldest, are to go. */
static size_t
count_discarded(
    const struct mg_ledger *l, const struct mg_ledger_file *v, size_t n)
{
	size_t i = 0;

	while (i < mg_ledger_keep_from(n) && v[i + 1].first <= l->discarded + 1)
		i++;
	return i;
}

/* Rule 2 */
enum mg_err
mg_ledger_discard(const struct mg_ledger *l)
{
	struct mg_ledger_file *v;
	size_t n, i, count;
	enum mg_err r;

	if ((r = mg_ledger_list(l->dirfd, &v, &n)) != MG_ERR_OK)
		return r;
	count = count_discarded(l, v, n);
	for (i = 0; i < count && r == MG_ERR_OK; i++) {
		r = mg_ledger_spare(l, v[i + 1].first - 1, UINT64_MAX);
		if (r == MG_ERR_OK)
			r = remove_segment(l, v[i].first);
	}
	free(v);
	return r;
}

uint64_t
mg_ledger_leftover(const struct mg_ledger *l)
{
	struct mg_ledger_file *v;
	uint64_t first = 0;
	size_t n;

	if (mg_ledger_list(l->dirfd, &v, &n) != MG_ERR_OK)
		return 0;
	if (count_discarded(l, v, n) > 0)
		first = v[0].first;
	free(v);
	return first;
}

uint64_t
mg_ledger_discarded(const struct mg_ledger *l)
{
	return l->discarded;
}
