/* SPDX-License-Identifier: ISC */
/*
 * The ledger: lines are collected, then made durable together.
 *
 * Rules
 * 1. A line is acted upon only after fdatasync said that it is there.
 * 2. After a failed write or sync nothing is assumed about the descriptor:
 *    it is closed, and the file is cut back through a new one.
 * 3. A new segment counts from the moment its first line is durable; until
 *    then the old one goes on, and so it does when anything fails. Before
 *    it does, nothing durable is left of the new one: start-up would take
 *    it for the end of the ledger, and what the old one got since for lost.
 * 4. The file of leaves has them without a gap, or ends before it: where one
 *    could not be written the later ones wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_int.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_note.h"
#include "mg_time.h"

#define LEAVES_AT_ONCE 512

static const char zeros[MG_LEDGER_HASH_HEX] =
    "00000000000000000000000000000000"
    "00000000000000000000000000000000";

/* ---- opening ---- */

enum mg_err
mg_ledger_open(int dirfd, const struct mg_note_key *host, mg_ledger_fn fn,
    mg_ledger_fn restore, void *arg, struct mg_ledger **lp,
    struct mg_ledger_report *rep)
{
	enum mg_err r = MG_ERR_NOMEM;
	struct mg_ledger *l;

	*lp = NULL;
	memset(rep, 0, sizeof(*rep));
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return MG_ERR_NOMEM;
	l->fd = l->leaves_fd = -1;
	memcpy(l->prev, zeros, sizeof(zeros));
	mg_buf_init(&l->batch, MG_LEDGER_BATCH_MAX);
	mg_merkle_init(&l->tree);
	l->sha = mg_sha_new();
	l->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (l->sha != NULL)
		r = l->dirfd == -1
			? MG_ERR_SYS
			: mg_ledger_load(l, host, fn, restore, arg, rep);
	if (r != MG_ERR_OK) {
		if (rep->flaw.kind == MG_FLAW_NONE)
			snprintf(rep->flaw.text, sizeof(rep->flaw.text),
			    "%s (%s)", mg_err_str(r), strerror(errno));
		mg_ledger_free(l);
		return r;
	}
	l->synced = l->seq;
	memcpy(l->synced_prev, l->prev, sizeof(l->prev));
	l->synced_discarded = l->discarded;
	*lp = l;
	return MG_ERR_OK;
}

void
mg_ledger_free(struct mg_ledger *l)
{
	if (l == NULL)
		return;
	if (l->fd != -1)
		close(l->fd);
	if (l->leaves_fd != -1)
		close(l->leaves_fd);
	if (l->dirfd != -1)
		close(l->dirfd);
	mg_sha_free(l->sha);
	mg_buf_fini(&l->batch);
	free(l);
}

/* ---- the tree ---- */

/* Rule 4 */
static void
put_leaves(struct mg_ledger *l, uint64_t from,
    const uint8_t (*v)[MG_MERKLE_HASH], size_t n)
{
	off_t at = (off_t)(from * MG_MERKLE_HASH);
	size_t len = n * MG_MERKLE_HASH;

	if (l->leaves == from &&
	    pwrite(l->leaves_fd, v, len, at) == (ssize_t)len)
		l->leaves += n;
}

/* The leaves of whole lines; those from number *fromp on, which goes on
 * counting, are written. With grow they are also added to the tree. */
static void
take_leaves(
    struct mg_ledger *l, const char *p, size_t n, uint64_t *fromp, bool grow)
{
	uint8_t v[LEAVES_AT_ONCE][MG_MERKLE_HASH];
	const char *nl, *end = p + n;
	size_t k = 0;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		mg_sha_leaf(l->sha, p, (size_t)(nl - p), v[k]);
		if (grow)
			mg_merkle_add(&l->tree, l->sha, v[k]);
		p = nl + 1;
		if (++k < LEAVES_AT_ONCE && p < end)
			continue;
		put_leaves(l, *fromp, (const uint8_t(*)[MG_MERKLE_HASH])v, k);
		*fromp += k;
		k = 0;
	}
}

void
mg_ledger_grow(struct mg_ledger *l, const char *p, size_t n)
{
	uint64_t from = l->tree.size;

	take_leaves(l, p, n, &from, true);
}

/* The leaves that are missing, from the lines of this segment. */
enum mg_err
mg_ledger_mend(struct mg_ledger *l)
{
	uint64_t from = l->first - 1;
	struct mg_buf b;
	enum mg_err r;
	int fd;

	if (l->leaves == l->tree.size)
		return MG_ERR_OK;
	if (l->leaves < from || l->dead)
		return MG_ERR_STATE;
	mg_buf_init(&b, (size_t)l->size);
	r = mg_ledger_open_file(l->dirfd, l->name, &fd);
	if (r == MG_ERR_OK) {
		r = mg_file_read(fd, &b);
		close(fd);
	}
	if (r == MG_ERR_OK) {
		l->leaves = from;
		take_leaves(l, (const char *)mg_buf_ptr(&b), mg_buf_len(&b),
		    &from, false);
		if (l->leaves != l->tree.size)
			r = MG_ERR_SYS;
	}
	mg_buf_fini(&b);
	return r;
}

uint64_t
mg_ledger_size(const struct mg_ledger *l)
{
	return l->tree.size;
}

void
mg_ledger_root(const struct mg_ledger *l, uint8_t out[MG_MERKLE_HASH])
{
	mg_merkle_root(&l->tree, l->sha, out);
}

/* What a crash left of a note that was being written goes. */
static enum mg_err
cut_torn_note(int fd, off_t *sizep)
{
	char tail[2 * MG_NOTE_MAX];
	struct stat st;
	size_t n, keep;

	if (fstat(fd, &st) != 0)
		return MG_ERR_SYS;
	n = st.st_size < (off_t)sizeof(tail) ? (size_t)st.st_size
					     : sizeof(tail);
	if (pread(fd, tail, n, st.st_size - (off_t)n) != (ssize_t)n)
		return MG_ERR_SYS;
	keep = mg_note_whole(tail, n);
	*sizep = st.st_size - (off_t)(n - keep);
	return keep == n || ftruncate(fd, *sizep) == 0 ? MG_ERR_OK : MG_ERR_SYS;
}

enum mg_err
mg_ledger_add_note(const struct mg_ledger *l, const char *text, size_t n)
{
	off_t size;
	enum mg_err r;
	int fd;

	r = mg_ledger_open_at(
	    l->dirfd, MG_LEDGER_CHECKPOINTS, O_RDWR | O_APPEND | O_CREAT, &fd);
	if (r != MG_ERR_OK)
		return r;
	if ((r = cut_torn_note(fd, &size)) == MG_ERR_OK &&
	    (mg_file_write(fd, text, n) != MG_ERR_OK ||
		mg_file_write(fd, "\n", 1) != MG_ERR_OK ||
		fdatasync(fd) != 0)) {
		(void)!ftruncate(fd, size);
		r = MG_ERR_SYS;
	}
	close(fd);
	return r;
}

int
mg_ledger_dir(const struct mg_ledger *l)
{
	return l->dirfd;
}

/* ---- writing ---- */

uint64_t
mg_ledger_next_seq(const struct mg_ledger *l)
{
	return l->seq + 1;
}

void
mg_ledger_begin(struct mg_ledger *l, struct mg_json *j, const char *type)
{
	char at[MG_TIME_STR];

	l->line_start = mg_buf_len(&l->batch);
	mg_time_format(mg_time_wall_ms(), at);
	mg_json_begin(j, &l->batch);
	mg_json_obj(j, NULL);
	mg_json_int(j, "seq", (int64_t)(l->seq + 1));
	mg_json_str(j, "at", at);
	mg_json_int(j, "bt", mg_time_boot_ms());
	mg_json_str(j, "prev", l->prev);
	mg_json_str(j, "type", type);
}

enum mg_err
mg_ledger_end(struct mg_ledger *l, struct mg_json *j, struct mg_rec *rec)
{
	char next[MG_LEDGER_HASH_HEX];
	const char *line;
	size_t n;
	enum mg_err r;

	mg_json_obj_end(j);
	r = mg_json_end(j);
	line = (const char *)mg_buf_ptr(&l->batch) + l->line_start;
	n = mg_buf_len(&l->batch) - l->line_start;
	if (r == MG_ERR_OK)
		r = mg_rec_parse(rec, line, n);
	if (r == MG_ERR_OK) {
		mg_ledger_hash_line(l->sha, line, n, next);
		r = mg_buf_put_u8(&l->batch, '\n');
	}
	if (r != MG_ERR_OK) {
		l->batch.len = l->batch.off + l->line_start;
		return r;
	}
	mg_ledger_note_discard(l, rec);
	memcpy(l->prev, next, sizeof(next));
	l->seq++;
	return MG_ERR_OK;
}

void
mg_ledger_get_mark(const struct mg_ledger *l, struct mg_ledger_mark *m)
{
	m->len = mg_buf_len(&l->batch);
	m->seq = l->seq;
	m->discarded = l->discarded;
	memcpy(m->prev, l->prev, sizeof(m->prev));
}

void
mg_ledger_rewind(struct mg_ledger *l, const struct mg_ledger_mark *m)
{
	l->batch.len = l->batch.off + m->len;
	l->seq = m->seq;
	l->discarded = m->discarded;
	memcpy(l->prev, m->prev, sizeof(l->prev));
}

size_t
mg_ledger_pending(const struct mg_ledger *l)
{
	return mg_buf_len(&l->batch);
}

static void
forget_batch(struct mg_ledger *l)
{
	mg_buf_reset(&l->batch);
	l->seq = l->synced;
	l->discarded = l->synced_discarded;
	memcpy(l->prev, l->synced_prev, sizeof(l->prev));
}

/* Removes the segment that was given up, for good (Rule 3). */
static enum mg_err
drop_unbegun(struct mg_ledger *l)
{
	if (l->unbegun[0] == '\0')
		return MG_ERR_OK;
	if ((unlinkat(l->dirfd, l->unbegun, 0) != 0 && errno != ENOENT) ||
	    fsync(l->dirfd) != 0)
		return MG_ERR_SYS;
	l->unbegun[0] = '\0';
	return MG_ERR_OK;
}

/* A new descriptor on the file as it was after the last sync. */
static enum mg_err
cut_back(struct mg_ledger *l)
{
	enum mg_err r;

	if (l->fd != -1)
		close(l->fd); /* Rule 2 */
	l->fd = -1;
	l->dead = true;
	if ((r = drop_unbegun(l)) != MG_ERR_OK)
		return r;
	r = mg_ledger_open_at(l->dirfd, l->name, O_RDWR | O_APPEND, &l->fd);
	if (r != MG_ERR_OK)
		return r;
	if (ftruncate(l->fd, l->size) != 0 || fsync(l->fd) != 0)
		return MG_ERR_SYS;
	l->dead = false;
	return MG_ERR_OK;
}

enum mg_err
mg_ledger_sync(struct mg_ledger *l)
{
	size_t n = mg_buf_len(&l->batch);
	int saved;

	if (l->dead) {
		forget_batch(l);
		errno = l->error;
		return MG_ERR_STATE;
	}
	if (n == 0)
		return MG_ERR_OK;
	if (mg_file_write(l->fd, mg_buf_ptr(&l->batch), n) == MG_ERR_OK &&
	    fdatasync(l->fd) == 0) { /* Rule 1 */
		/* The lines are there whether or not the file of their
		 * leaves can be written: that is made anew from them. */
		mg_ledger_grow(l, (const char *)mg_buf_ptr(&l->batch), n);
		l->size += (off_t)n;
		l->synced = l->seq;
		l->synced_discarded = l->discarded;
		memcpy(l->synced_prev, l->prev, sizeof(l->prev));
		mg_buf_reset(&l->batch);
		return MG_ERR_OK;
	}
	saved = l->error = errno;
	forget_batch(l);
	(void)cut_back(l);
	errno = saved;
	return MG_ERR_SYS;
}

bool
mg_ledger_is_dead(const struct mg_ledger *l)
{
	return l->dead;
}

enum mg_err
mg_ledger_revive(struct mg_ledger *l)
{
	return l->dead ? cut_back(l) : MG_ERR_OK;
}

/* ---- a new segment ---- */

bool
mg_ledger_is_full(const struct mg_ledger *l, int64_t wall_ms)
{
	if (l->size >= (off_t)MG_LEDGER_SEGMENT_BYTES)
		return true;
	return l->synced > l->first &&
	       wall_ms - l->began_ms >= MG_LEDGER_SEGMENT_MS;
}

/* The snapshot's first line: where the ledger is. */
static enum mg_err
snapshot_head(const struct mg_ledger *l, struct mg_buf *b)
{
	char hex[MG_LEDGER_HASH_HEX];
	struct mg_json j;
	enum mg_err r;
	unsigned k;

	mg_json_begin(&j, b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "type", "snapshot");
	mg_json_int(&j, "seq", (int64_t)l->seq);
	mg_json_str(&j, "prev", l->prev);
	mg_json_int(&j, "discarded", (int64_t)l->discarded);
	mg_json_arr(&j, "peaks");
	for (k = 0; k < MG_MERKLE_DEPTH; k++) {
		if ((l->tree.size >> k & 1) == 0)
			continue;
		mg_hex(l->tree.peak[k], MG_MERKLE_HASH, hex);
		mg_json_str(&j, NULL, hex);
	}
	mg_json_arr_end(&j);
	mg_json_obj_end(&j);
	if ((r = mg_json_end(&j)) != MG_ERR_OK)
		return r;
	return mg_buf_put_u8(b, '\n');
}

static enum mg_err
write_snapshot(struct mg_ledger *l, const void *state, size_t n,
    char hex[MG_LEDGER_HASH_HEX])
{
	char name[MG_LEDGER_NAME];
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init(&b, MG_LEDGER_SNAPSHOT_MAX);
	mg_ledger_name(l->seq + 1, ".snapshot", name);
	if ((r = snapshot_head(l, &b)) == MG_ERR_OK &&
	    (r = mg_buf_put(&b, state, n)) == MG_ERR_OK) {
		mg_ledger_hash_line(
		    l->sha, (const char *)mg_buf_ptr(&b), mg_buf_len(&b), hex);
		r = mg_file_replace_at(
		    l->dirfd, name, mg_buf_ptr(&b), mg_buf_len(&b), 0600);
	}
	mg_buf_fini(&b);
	return r;
}

/* The first line of the new segment, into the batch. */
static enum mg_err
put_first_line(struct mg_ledger *l, const char *snapshot)
{
	uint8_t root[MG_MERKLE_HASH];
	char hex[MG_LEDGER_HASH_HEX];
	struct mg_rec rec;
	struct mg_json j;
	enum mg_err r;

	mg_ledger_root(l, root);
	mg_hex(root, sizeof(root), hex);
	mg_rec_init(&rec);
	mg_ledger_begin(l, &j, "segment");
	mg_json_str(&j, "snapshot", snapshot);
	mg_json_str(&j, "root", hex);
	r = mg_ledger_end(l, &j, &rec);
	mg_rec_fini(&rec);
	return r;
}

/* Snapshots that will not be needed: all but the newest few. */
static void
drop_snapshots(const struct mg_ledger *l)
{
	struct mg_ledger_file *v;
	char name[MG_LEDGER_NAME];
	size_t n, i, kept = 0;

	if (mg_ledger_list(l->dirfd, &v, &n) != MG_ERR_OK)
		return;
	for (i = n; i > 0 && i + 2 * MG_LEDGER_SNAPSHOTS > n; i--) {
		mg_ledger_name(v[i - 1].first, ".snapshot", name);
		if (faccessat(l->dirfd, name, F_OK, 0) == 0 &&
		    ++kept > MG_LEDGER_SNAPSHOTS)
			(void)unlinkat(l->dirfd, name, 0);
	}
	free(v);
}

/* The file of the new segment, with its first line. */
static enum mg_err
begin_segment(struct mg_ledger *l, const char *name, const char *snapshot)
{
	enum mg_err r;

	r = mg_ledger_open_at(
	    l->dirfd, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL, &l->fd);
	if (r != MG_ERR_OK)
		return r;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->first = l->seq + 1;
	l->size = 0;
	l->began_ms = mg_time_wall_ms();
	/* The name first: once the line is durable nothing may fail. */
	if (fsync(l->dirfd) != 0)
		return MG_ERR_SYS;
	if ((r = put_first_line(l, snapshot)) == MG_ERR_OK)
		r = mg_ledger_sync(l);
	return r;
}

enum mg_err
mg_ledger_rotate(struct mg_ledger *l, const void *state, size_t n)
{
	char hex[MG_LEDGER_HASH_HEX], name[MG_LEDGER_NAME];
	struct mg_ledger old = *l;
	enum mg_err r;
	int saved;

	/* One without a line has the name that the new one would get. */
	if (l->dead || mg_buf_len(&l->batch) > 0 || l->synced < l->first)
		return MG_ERR_STATE;
	/* Of older lines than the new segment's nothing is read again. */
	if ((r = mg_ledger_mend(l)) != MG_ERR_OK)
		return r;
	old.leaves = l->leaves;
	if (fdatasync(l->leaves_fd) != 0)
		return MG_ERR_SYS;
	if ((r = write_snapshot(l, state, n, hex)) != MG_ERR_OK)
		return r;
	mg_ledger_name(l->seq + 1, ".jsonl", name);
	l->fd = -1;
	r = begin_segment(l, name, hex);
	if (r == MG_ERR_OK) {
		close(old.fd);
		drop_snapshots(l);
		return MG_ERR_OK;
	}
	/* Rule 3: as if nothing had been begun. */
	saved = errno;
	if (l->fd != -1)
		close(l->fd);
	mg_buf_reset(&l->batch);
	old.batch = l->batch;
	*l = old;
	memcpy(l->unbegun, name, sizeof(name));
	if (drop_unbegun(l) != MG_ERR_OK)
		(void)cut_back(l);
	errno = saved;
	return r;
}
