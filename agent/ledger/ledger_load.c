/* SPDX-License-Identifier: ISC */
/*
 * Reading the ledger at start-up.
 *
 * Rules
 * 1. Only a last line without newline can be the trace of a crash. All else
 *    that does not fit was changed by somebody: say where, refuse to start.
 * 2. A snapshot is believed when the first line of its segment, which is in
 *    the chain and in the tree, has its hash. Another is passed over.
 * 3. A segment that a crash left without its first line never began: what
 *    is there of it is removed and the one before goes on.
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
#include "mg_time.h"

#define READ_BUFFER (1U << 20)

struct reader {
	struct mg_ledger *l;
	mg_ledger_fn fn, restore;
	void *arg;
	struct mg_ledger_report *rep;
	struct mg_rec rec;
	bool is_first; /* line of a segment comes next */
};

static enum mg_err
broken(struct reader *rd, const char *text)
{
	snprintf(rd->rep->text, sizeof(rd->rep->text), "%s", text);
	return MG_ERR_FORMAT;
}

/* ---- lines ---- */

static enum mg_err
wrong_seq(struct reader *rd, int64_t seq)
{
	int64_t want = (int64_t)rd->l->seq + 1;
	char text[160];

	snprintf(text, sizeof(text), "seq is %lld where %lld belongs: %s",
	    (long long)seq, (long long)want,
	    seq <= 0	 ? "this is no ledger line"
	    : seq < want ? "the line is a copy or out of order"
			 : "lines are missing before this one");
	return broken(rd, text);
}

static enum mg_err
check_line(struct reader *rd)
{
	const char *type = mg_rec_str(&rd->rec, "type", "");
	struct mg_ledger *l = rd->l;
	int64_t seq = mg_rec_int(&rd->rec, "seq", 0);

	if (seq != (int64_t)(l->seq + 1))
		return wrong_seq(rd, seq);
	if (strcmp(mg_rec_str(&rd->rec, "prev", ""), l->prev) != 0)
		return broken(rd,
		    "prev is not the hash of the line before: that line or "
		    "this one was changed");
	if (type[0] == '\0')
		return broken(rd, "type is missing");
	if (rd->is_first && l->seq > 0 && strcmp(type, "segment") != 0)
		return broken(rd, "a segment does not begin with its line");
	if (rd->is_first && mg_time_parse(mg_rec_str(&rd->rec, "at", ""), 0,
				&l->began_ms) != MG_ERR_OK)
		return broken(rd, "at is no time");
	rd->is_first = false;
	return MG_ERR_OK;
}

static enum mg_err
take_line(struct reader *rd, const char *line, size_t n)
{
	struct mg_ledger *l = rd->l;
	char text[128];
	enum mg_err r;

	rd->rep->line++;
	if ((r = mg_rec_parse(&rd->rec, line, n)) == MG_ERR_NOMEM)
		return r;
	if (r != MG_ERR_OK) {
		snprintf(text, sizeof(text), "not a record (column %zu: %s)",
		    rd->rec.err_col, mg_err_str(r));
		return broken(rd, text);
	}
	if ((r = check_line(rd)) != MG_ERR_OK)
		return r;
	if ((r = rd->fn(rd->arg, &rd->rec)) != MG_ERR_OK) {
		snprintf(text, sizeof(text), "record does not fit here (%s)",
		    mg_err_str(r));
		return r == MG_ERR_NOMEM ? r : broken(rd, text);
	}
	mg_ledger_note_discard(l, &rd->rec);
	mg_ledger_hash_line(l->sha, line, n, l->prev);
	l->seq++;
	rd->rep->read++;
	return MG_ERR_OK;
}

/* All whole lines in b; what remains is the beginning of another. */
static enum mg_err
take_lines(struct reader *rd, struct mg_buf *b)
{
	const char *p = (const char *)mg_buf_ptr(b), *nl, *end;
	enum mg_err r;

	end = p + mg_buf_len(b);
	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if ((r = take_line(rd, p, (size_t)(nl - p))) != MG_ERR_OK)
			return r;
		p = nl + 1;
	}
	nl = (const char *)mg_buf_ptr(b);
	mg_ledger_grow(rd->l, nl, (size_t)(p - nl));
	mg_buf_consume(b, (size_t)(p - nl));
	if (mg_buf_len(b) > MG_REC_LINE_MAX) {
		rd->rep->line++;
		return broken(rd, "line is longer than 65536 bytes");
	}
	return MG_ERR_OK;
}

/* Reads the open segment; *tornp gets the bytes after the last newline. */
static enum mg_err
read_segment(struct reader *rd, int fd, size_t *tornp)
{
	struct mg_buf b;
	uint8_t *d;
	ssize_t n;
	enum mg_err r = MG_ERR_OK;

	*tornp = 0;
	mg_buf_init(&b, READ_BUFFER + MG_REC_LINE_MAX);
	for (;;) {
		if ((d = mg_buf_reserve(&b, READ_BUFFER / 2)) == NULL) {
			r = MG_ERR_NOMEM;
			break;
		}
		n = read(fd, d, READ_BUFFER / 2);
		if (n == -1 && errno == EINTR)
			continue;
		if (n < 0)
			r = MG_ERR_SYS;
		if (n <= 0)
			break;
		mg_buf_commit(&b, (size_t)n);
		if ((r = take_lines(rd, &b)) != MG_ERR_OK)
			break;
	}
	*tornp = mg_buf_len(&b);
	mg_buf_fini(&b);
	return r;
}

static enum mg_err
repair(struct reader *rd, int fd, off_t size, size_t torn)
{
	if (ftruncate(fd, size - (off_t)torn) != 0 || fsync(fd) != 0)
		return MG_ERR_SYS;
	rd->rep->repaired = true;
	rd->rep->repaired_bytes = torn;
	return MG_ERR_OK;
}

static enum mg_err
finish_segment(struct reader *rd, bool last, size_t torn)
{
	struct mg_ledger *l = rd->l;
	struct stat st;
	enum mg_err r;

	if (torn > 0 && !last) { /* Rule 1 */
		rd->rep->line++;
		return broken(rd, "line ends early, and it is not the last");
	}
	if (fstat(l->fd, &st) != 0)
		return MG_ERR_SYS;
	if (torn > 0 && (r = repair(rd, l->fd, st.st_size, torn)) != MG_ERR_OK)
		return r;
	l->size = st.st_size - (off_t)torn;
	if (!last) {
		close(l->fd);
		l->fd = -1;
	}
	return MG_ERR_OK;
}

static enum mg_err
load_one(struct reader *rd, const struct mg_ledger_file *f, bool last)
{
	struct mg_ledger *l = rd->l;
	size_t torn;
	enum mg_err r;

	snprintf(rd->rep->file, sizeof(rd->rep->file), "%s", f->name);
	rd->rep->line = 0;
	if (f->first != l->seq + 1)
		return broken(rd, "segment is missing before this one");
	if (f->zst)
		return broken(rd, "no snapshot fits a later segment, and this "
				  "one is compressed");
	r = mg_ledger_open_at(l->dirfd, f->name, O_RDWR | O_APPEND, &l->fd);
	if (r != MG_ERR_OK) {
		if (r == MG_ERR_PERM)
			(void)broken(rd, "segment is not a private file "
					 "(mode must be 0600, one link)");
		return r;
	}
	l->first = f->first;
	snprintf(l->name, sizeof(l->name), "%s", f->name);
	rd->is_first = true;
	if ((r = read_segment(rd, l->fd, &torn)) != MG_ERR_OK)
		return r;
	return finish_segment(rd, last, torn);
}

/* ---- snapshots ---- */

/* The first line of a segment, parsed. MG_ERR_TRUNC: it has not ended. */
static enum mg_err
first_line(struct reader *rd, const struct mg_ledger_file *f)
{
	char *buf = malloc(MG_REC_LINE_MAX + 1), *nl;
	enum mg_err r;
	ssize_t n;
	int fd = -1;

	if (buf == NULL)
		return MG_ERR_NOMEM;
	r = mg_ledger_open_file(rd->l->dirfd, f->name, &fd);
	if (r != MG_ERR_OK)
		goto out;
	if ((n = pread(fd, buf, MG_REC_LINE_MAX + 1, 0)) < 0)
		r = MG_ERR_SYS;
	else if ((nl = memchr(buf, '\n', (size_t)n)) != NULL)
		r = mg_rec_parse(&rd->rec, buf, (size_t)(nl - buf));
	else
		r = n > MG_REC_LINE_MAX ? MG_ERR_LIMIT : MG_ERR_TRUNC;
out:
	if (fd != -1)
		close(fd);
	free(buf);
	return r;
}

static enum mg_err
read_snapshot(
    struct reader *rd, const struct mg_ledger_file *f, struct mg_buf *b)
{
	char name[MG_LEDGER_NAME];
	enum mg_err r;
	int fd;

	mg_ledger_name(f->first, ".snapshot", name);
	r = mg_ledger_open_file(rd->l->dirfd, name, &fd);
	if (r == MG_ERR_OK) {
		r = mg_file_read(fd, b);
		close(fd);
	}
	return r;
}

static bool
unhex(const char *s, uint8_t out[MG_MERKLE_HASH])
{
	static const char digits[] = "0123456789abcdef";
	const char *hi, *lo;
	size_t i;

	if (strlen(s) != 2 * MG_MERKLE_HASH)
		return false;
	for (i = 0; i < MG_MERKLE_HASH; i++) {
		hi = strchr(digits, s[2 * i]);
		lo = strchr(digits, s[2 * i + 1]);
		if (hi == NULL || lo == NULL)
			return false;
		out[i] = (uint8_t)((hi - digits) << 4 | (lo - digits));
	}
	return true;
}

/* The snapshot's own first line: where the ledger is. */
static bool
take_head(struct reader *rd, uint64_t first)
{
	struct mg_ledger *l = rd->l;
	const char *prev = mg_rec_str(&rd->rec, "prev", "");
	const char *const *peaks;
	unsigned k;
	size_t n, i = 0;

	peaks = mg_rec_strv(&rd->rec, "peaks", &n);
	if (strcmp(mg_rec_str(&rd->rec, "type", ""), "snapshot") != 0 ||
	    mg_rec_int(&rd->rec, "seq", -1) != (int64_t)first - 1 ||
	    strlen(prev) != MG_LEDGER_HASH_HEX - 1)
		return false;
	mg_merkle_init(&l->tree);
	l->tree.size = first - 1;
	for (k = 0; k < MG_MERKLE_DEPTH; k++)
		if ((l->tree.size >> k & 1) != 0 &&
		    (i == n || !unhex(peaks[i++], l->tree.peak[k])))
			return false;
	l->seq = first - 1;
	l->discarded = (uint64_t)mg_rec_int(&rd->rec, "discarded", 0);
	memcpy(l->prev, prev, MG_LEDGER_HASH_HEX);
	return i == n && l->discarded < first;
}

static enum mg_err
restore_lines(struct reader *rd, const char *p, size_t n, uint64_t first)
{
	const char *nl, *end = p + n;
	bool head = true;
	enum mg_err r;

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			return MG_ERR_FORMAT;
		r = mg_rec_parse(&rd->rec, p, (size_t)(nl - p));
		if (r == MG_ERR_OK && head)
			r = take_head(rd, first) ? MG_ERR_OK : MG_ERR_FORMAT;
		else if (r == MG_ERR_OK)
			r = rd->restore(rd->arg, &rd->rec);
		if (r != MG_ERR_OK)
			return r;
		head = false;
	}
	return head ? MG_ERR_FORMAT : MG_ERR_OK;
}

static bool
has_leaves(const struct mg_ledger *l)
{
	struct stat st;

	return fstat(l->leaves_fd, &st) == 0 &&
	       st.st_size / MG_MERKLE_HASH >= (off_t)l->tree.size;
}

/* MG_ERR_NOENT: there is none that fits. */
static enum mg_err
try_snapshot(struct reader *rd, const struct mg_ledger_file *f)
{
	char hex[MG_LEDGER_HASH_HEX];
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init(&b, MG_LEDGER_SNAPSHOT_MAX);
	if ((r = read_snapshot(rd, f, &b)) != MG_ERR_OK) {
		r = MG_ERR_NOENT;
		goto out;
	}
	mg_ledger_hash_line(
	    rd->l->sha, (const char *)mg_buf_ptr(&b), mg_buf_len(&b), hex);
	if (first_line(rd, f) != MG_ERR_OK ||
	    strcmp(mg_rec_str(&rd->rec, "type", ""), "segment") != 0 ||
	    strcmp(mg_rec_str(&rd->rec, "snapshot", ""), hex) != 0) {
		rd->rep->bad_snapshots++; /* Rule 2 */
		r = MG_ERR_NOENT;
		goto out;
	}
	mg_ledger_name(f->first, ".snapshot", rd->rep->file);
	r = restore_lines(
	    rd, (const char *)mg_buf_ptr(&b), mg_buf_len(&b), f->first);
	if (r == MG_ERR_OK)
		rd->l->leaves = rd->l->tree.size;
	if (r == MG_ERR_OK && !has_leaves(rd->l)) {
		mg_ledger_leaves_lose(rd->l);
		rd->rep->leaves_short = true;
	}
	if (r == MG_ERR_FORMAT || r == MG_ERR_STATE)
		r = broken(rd, "snapshot cannot be restored by this version");
out:
	mg_buf_fini(&b);
	return r;
}

/* ---- all of it ---- */

/* Rule 3: whether the last segment has a whole line. */
static enum mg_err
drop_unbegun(struct reader *rd, const struct mg_ledger_file *v, size_t *np)
{
	const struct mg_ledger_file *f = &v[*np - 1];
	char name[MG_LEDGER_NAME];

	if (*np < 2 || f->zst || first_line(rd, f) != MG_ERR_TRUNC)
		return MG_ERR_OK;
	mg_ledger_name(f->first, ".snapshot", name);
	if (unlinkat(rd->l->dirfd, f->name, 0) != 0 ||
	    (unlinkat(rd->l->dirfd, name, 0) != 0 && errno != ENOENT) ||
	    fsync(rd->l->dirfd) != 0)
		return MG_ERR_SYS;
	(*np)--;
	return MG_ERR_OK;
}

static enum mg_err
create_first(struct mg_ledger *l)
{
	enum mg_err r;

	mg_ledger_name(1, ".jsonl", l->name);
	l->first = 1;
	r = mg_ledger_open_at(
	    l->dirfd, l->name, O_RDWR | O_APPEND | O_CREAT | O_EXCL, &l->fd);
	if (r == MG_ERR_OK && fsync(l->dirfd) != 0)
		r = MG_ERR_SYS;
	l->size = 0;
	l->began_ms = mg_time_wall_ms();
	return r;
}

static enum mg_err
load_from(struct reader *rd, const struct mg_ledger_file *v, size_t n)
{
	enum mg_err r = MG_ERR_NOENT;
	size_t i = n;

	while (i > 0 && r == MG_ERR_NOENT)
		if (v[--i].first > 1)
			r = try_snapshot(rd, &v[i]);
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		return r;
	for (r = MG_ERR_OK; i < n && r == MG_ERR_OK; i++)
		r = load_one(rd, &v[i], i + 1 == n);
	return r;
}

enum mg_err
mg_ledger_load(struct mg_ledger *l, mg_ledger_fn fn, mg_ledger_fn restore,
    void *arg, struct mg_ledger_report *rep)
{
	struct reader rd = {
	    .l = l, .fn = fn, .restore = restore, .arg = arg, .rep = rep};
	struct mg_ledger_file *v;
	enum mg_err r;
	size_t n;

	if ((r = mg_ledger_list(l->dirfd, &v, &n)) != MG_ERR_OK)
		return r;
	mg_rec_init(&rd.rec);
	if (n == 0)
		r = create_first(l);
	else if ((r = drop_unbegun(&rd, v, &n)) == MG_ERR_OK)
		r = load_from(&rd, v, n);
	mg_rec_fini(&rd.rec);
	free(v);
	rep->records = l->seq;
	return r;
}
