/* SPDX-License-Identifier: ISC */
/*
 * Reading the ledger at start-up.
 *
 * Rules
 * 1. Only a last line without newline, whose hash was never kept, can be the
 *    trace of a crash. All else that does not fit was changed by somebody:
 *    say where, refuse to start.
 * 2. A snapshot is believed when the first line of its segment, which is in
 *    the chain and in the tree, has its hash. Another is passed over.
 * 3. A segment that a crash left without its first line never began: what
 *    is there of it is removed and the one before goes on.
 * 4. There are at least as many lines as the newest checkpoint was signed
 *    over and as leaf hashes were kept, both of which are written behind the
 *    lines; and the tree has the root that was signed.
 * 5. Nothing is written, removed or cut off before all of it was found good:
 *    a refused start leaves everything as it is.
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
#include "mg_follow.h"
#include "mg_id.h"
#include "mg_note.h"
#include "mg_time.h"

#define READ_BUFFER (1U << 20)

struct reader {
	struct mg_ledger *l;
	mg_ledger_fn fn, restore;
	void *arg;
	struct mg_ledger_report *rep;
	struct mg_leaves kept;
	struct mg_follow follow;
	struct mg_rec rec;
	struct mg_note note; /* the newest checkpoint; size 0: none */
	uint64_t note_line;  /* of its file */
	uint64_t base;	     /* lines before those that are read */
	size_t torn;	     /* bytes at the end, without a newline */
	char was_file[64];   /* where follow.differs is */
	uint64_t was_line;
	bool is_first; /* line of a segment comes next */
};

/* ---- flaws ---- */

#define FLAW(rd, kind, ...)                                                    \
	(mg_flaw_set(&(rd)->rep->flaw, (kind), __VA_ARGS__), MG_ERR_FORMAT)

static void
set_place(struct reader *rd, const char *file, uint64_t line)
{
	snprintf(rd->rep->file, sizeof(rd->rep->file), "%s", file);
	rd->rep->line = line;
}

static uint64_t
next_record(const struct reader *rd)
{
	return rd->follow.tree.size + 1;
}

/* ---- checkpoints ---- */

/* How many lines there are before an offset, for people; 0: not known. */
static uint64_t
count_lines(int fd, off_t end)
{
	char buf[4096], *p;
	uint64_t lines = 0;
	off_t at = 0;
	ssize_t n;

	while (at < end) {
		if ((n = pread(fd, buf, sizeof(buf), at)) <= 0)
			return 0;
		if (n > end - at)
			n = (ssize_t)(end - at);
		for (p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
			lines++;
		at += n;
	}
	return lines;
}

/* Rule 4: the host has to have signed it. */
static enum mg_err
judge_note(
    struct reader *rd, const struct mg_note_key *host, const char *p, size_t n)
{
	struct mg_note_key key = *host;
	const char *why;

	if (mg_note_parse(&rd->note, p, n, &why) != MG_ERR_OK)
		return FLAW(rd, MG_FLAW_NOTE_BAD, 0,
		    "the newest checkpoint is malformed: %s", why);
	/* The host's name may have changed since; its key has not. */
	snprintf(key.name, sizeof(key.name), "%s", rd->note.origin);
	switch ((int)mg_note_verify(&rd->note, &key, NULL)) {
	case MG_ERR_OK:
		return MG_ERR_OK;
	case MG_ERR_NOENT:
		return FLAW(rd, MG_FLAW_NOTE_FOREIGN, 0,
		    "the newest checkpoint is not signed with this host's key");
	default:
		return FLAW(rd, MG_FLAW_NOTE_FORGED, 0,
		    "this host's signature of the newest checkpoint is wrong");
	}
}

static enum mg_err
read_note(struct reader *rd, const struct mg_note_key *host)
{
	char tail[2 * MG_NOTE_MAX];
	size_t n, start, len;
	enum mg_err r;
	struct stat st;
	int fd;

	r = mg_ledger_open_file(rd->l->dirfd, MG_LEDGER_CHECKPOINTS, &fd);
	if (r == MG_ERR_SYS && errno == ENOENT)
		return MG_ERR_OK;
	set_place(rd, MG_LEDGER_CHECKPOINTS, 0);
	if (r == MG_ERR_PERM || (r == MG_ERR_SYS && errno == ELOOP))
		return FLAW(rd, MG_FLAW_FILE, 0,
		    "the checkpoints are not a private file");
	if (r != MG_ERR_OK)
		return r;
	r = MG_ERR_SYS;
	if (fstat(fd, &st) != 0)
		goto out;
	n = st.st_size < (off_t)sizeof(tail) ? (size_t)st.st_size
					     : sizeof(tail);
	if (pread(fd, tail, n, st.st_size - (off_t)n) != (ssize_t)n)
		goto out;
	r = MG_ERR_OK;
	if (!mg_note_last(tail, n, &start, &len))
		goto out;
	rd->note_line =
	    count_lines(fd, st.st_size - (off_t)n + (off_t)start) + 1;
	rd->rep->line = rd->note_line;
	r = judge_note(rd, host, tail + start, len);
	if (r == MG_ERR_OK)
		set_place(rd, "", 0);
out:
	close(fd);
	return r;
}

/* Rule 4: the root that was signed over so many lines. */
static enum mg_err
check_note(struct reader *rd)
{
	const struct mg_follow *f = &rd->follow;
	uint8_t root[MG_MERKLE_HASH];

	if (rd->note.size != f->tree.size || f->tree.size == 0)
		return MG_ERR_OK;
	mg_merkle_root(&f->tree, rd->l->sha, root);
	if (memcmp(root, rd->note.root, sizeof(root)) == 0)
		return MG_ERR_OK;
	if (f->differs != 0)
		set_place(rd, rd->was_file, rd->was_line);
	return FLAW(rd, MG_FLAW_REWRITTEN,
	    f->differs != 0 ? f->differs : rd->base + 1,
	    "the records up to %llu do not have the root of the signed "
	    "checkpoint (checkpoints:%llu); the first changed one is %s%llu",
	    (unsigned long long)f->tree.size, (unsigned long long)rd->note_line,
	    f->differs != 0 ? "" : "not before ",
	    (unsigned long long)(f->differs != 0 ? f->differs : rd->base + 1));
}

/* Rule 4: as many lines as there were. */
static enum mg_err
check_end(struct reader *rd)
{
	uint64_t n = rd->follow.tree.size;
	const char *torn = rd->torn > 0 ? ", and a line that ends early" : "";

	if (rd->note.size > n)
		return FLAW(rd, MG_FLAW_TRUNCATED, n + 1,
		    "%llu records are there%s, and a checkpoint "
		    "(checkpoints:%llu) was signed over %llu",
		    (unsigned long long)n, torn,
		    (unsigned long long)rd->note_line,
		    (unsigned long long)rd->note.size);
	if (rd->kept.n > n)
		return FLAW(rd, MG_FLAW_LEAVES_LEFT, n + 1,
		    "%llu records are there%s, and the hashes of %llu were "
		    "kept (leaves)",
		    (unsigned long long)n, torn,
		    (unsigned long long)rd->kept.n);
	return MG_ERR_OK;
}

/* ---- lines ---- */

static enum mg_err
take_line(struct reader *rd, const char *line, size_t n)
{
	struct mg_follow *f = &rd->follow;
	struct mg_ledger *l = rd->l;
	enum mg_err r;

	if (rd->rep->flaw.kind != MG_FLAW_NONE) {
		mg_follow_rest(f, line, n);
		rd->rep->flaw = f->flaw;
		return MG_ERR_OK;
	}
	rd->rep->line++;
	r = mg_follow_check(f, line, n, rd->is_first);
	if (f->differs == next_record(rd)) {
		memcpy(rd->was_file, rd->rep->file, sizeof(rd->was_file));
		rd->was_line = rd->rep->line;
	}
	if (r == MG_ERR_FORMAT) {
		rd->rep->flaw = f->flaw;
		if (f->differs != 0 && f->flaw.record == f->differs)
			set_place(rd, rd->was_file, rd->was_line);
	}
	if (r != MG_ERR_OK)
		return f->flaw.kind == MG_FLAW_MISSING ? MG_ERR_OK : r;
	if (rd->is_first)
		l->began_ms = f->at_ms;
	rd->is_first = false;
	if ((r = rd->fn(rd->arg, &f->rec)) != MG_ERR_OK)
		return r == MG_ERR_NOMEM
			   ? r
			   : FLAW(rd, MG_FLAW_UNFIT, next_record(rd),
				 "the record does not fit here (%s)",
				 mg_err_str(r));
	mg_ledger_note_discard(l, &f->rec);
	mg_follow_take(f, line, n);
	l->seq++;
	rd->rep->read++;
	return check_note(rd);
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
	mg_buf_consume(b, (size_t)(p - (const char *)mg_buf_ptr(b)));
	if (mg_buf_len(b) <= MG_REC_LINE_MAX)
		return MG_ERR_OK;
	if (rd->rep->flaw.kind != MG_FLAW_NONE)
		return MG_ERR_FORMAT;
	rd->rep->line++;
	return FLAW(rd, MG_FLAW_LONG, next_record(rd),
	    "the line is longer than %d bytes", MG_REC_LINE_MAX);
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
finish_segment(struct reader *rd, bool last, size_t torn)
{
	struct mg_ledger *l = rd->l;
	struct stat st;

	if (rd->rep->flaw.kind != MG_FLAW_NONE)
		return MG_ERR_FORMAT;
	rd->rep->line += torn > 0;
	if (torn > 0 && !last) /* Rule 1 */
		return FLAW(rd, MG_FLAW_TORN, next_record(rd),
		    "the line ends early, and it is not the last");
	if (fstat(l->fd, &st) != 0)
		return MG_ERR_SYS;
	l->size = st.st_size - (off_t)torn;
	rd->torn = torn;
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

	set_place(rd, f->name, 0);
	if (f->first > next_record(rd))
		return FLAW(rd, MG_FLAW_SEGMENT_MISSING, next_record(rd),
		    "the segment before %s is not there", f->name);
	if (f->first < next_record(rd))
		return FLAW(rd, MG_FLAW_SEGMENT_EXTRA, next_record(rd),
		    "%s begins within another segment", f->name);
	if (f->zst)
		return FLAW(rd, MG_FLAW_PACKED, next_record(rd),
		    "no snapshot fits a later segment, and this one is "
		    "compressed");
	r = mg_ledger_open_at(l->dirfd, f->name, O_RDWR | O_APPEND, &l->fd);
	if (r == MG_ERR_PERM)
		return FLAW(rd, MG_FLAW_PRIVATE, next_record(rd),
		    "the segment is not a private file (mode 0600, one link)");
	if (r != MG_ERR_OK)
		return r;
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

/* The snapshot's own first line: where the ledger is. */
static bool
take_head(struct reader *rd, uint64_t first)
{
	struct mg_merkle *t = &rd->follow.tree;
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
	mg_merkle_init(t);
	t->size = first - 1;
	for (k = 0; k < MG_MERKLE_DEPTH; k++)
		if ((t->size >> k & 1) != 0 &&
		    (i == n ||
			!mg_unhex(peaks[i++], t->peak[k], MG_MERKLE_HASH)))
			return false;
	rd->base = l->seq = first - 1;
	l->discarded = (uint64_t)mg_rec_int(&rd->rec, "discarded", 0);
	memcpy(rd->follow.prev, prev, MG_LEDGER_HASH_HEX);
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

/* MG_ERR_NOENT: there is none that fits. */
static enum mg_err
try_snapshot(struct reader *rd, const struct mg_ledger_file *f)
{
	char hex[MG_LEDGER_HASH_HEX], name[MG_LEDGER_NAME];
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init(&b, MG_LEDGER_SNAPSHOT_MAX);
	if ((r = read_snapshot(rd, f, &b)) != MG_ERR_OK) {
		if (r != MG_ERR_SYS || errno != ENOENT)
			rd->rep->bad_snapshots++;
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
	r = restore_lines(
	    rd, (const char *)mg_buf_ptr(&b), mg_buf_len(&b), f->first);
	if (r == MG_ERR_FORMAT || r == MG_ERR_STATE) {
		mg_ledger_name(f->first, ".snapshot", name);
		set_place(rd, name, 0);
		r = FLAW(rd, MG_FLAW_SNAPSHOT, f->first,
		    "the snapshot cannot be restored by this version");
	}
out:
	mg_buf_fini(&b);
	return r;
}

/* ---- all of it ---- */

/* Rule 3: whether the last segment has no whole line. */
static bool
is_unbegun(struct reader *rd, const struct mg_ledger_file *v, size_t n)
{
	return n >= 2 && !v[n - 1].zst && v[n - 1].is_regular &&
	       first_line(rd, &v[n - 1]) == MG_ERR_TRUNC;
}

static enum mg_err
drop_unbegun(struct reader *rd, const struct mg_ledger_file *f)
{
	char name[MG_LEDGER_NAME];

	mg_ledger_name(f->first, ".snapshot", name);
	if (unlinkat(rd->l->dirfd, f->name, 0) != 0 ||
	    (unlinkat(rd->l->dirfd, name, 0) != 0 && errno != ENOENT) ||
	    fsync(rd->l->dirfd) != 0)
		return MG_ERR_SYS;
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

/* Every segment, also those that are not read, is a file. */
static enum mg_err
check_files(struct reader *rd, const struct mg_ledger_file *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!v[i].is_regular) {
			set_place(rd, v[i].name, 0);
			return FLAW(rd, MG_FLAW_FILE, v[i].first,
			    "the segment is not a file, but a link, a pipe, a "
			    "folder or the like");
		}
	return MG_ERR_OK;
}

static enum mg_err
repair(struct reader *rd)
{
	struct mg_ledger *l = rd->l;

	if (ftruncate(l->fd, l->size) != 0 || fsync(l->fd) != 0)
		return MG_ERR_SYS;
	rd->rep->repaired = true;
	rd->rep->repaired_bytes = rd->torn;
	return MG_ERR_OK;
}

/* The file of leaves goes on where it is right; or is made anew. */
static enum mg_err
settle_leaves(struct reader *rd)
{
	const struct mg_follow *f = &rd->follow;
	struct mg_ledger *l = rd->l;
	enum mg_err r;

	r = mg_ledger_open_at(
	    l->dirfd, MG_LEDGER_LEAVES, O_RDWR | O_CREAT, &l->leaves_fd);
	if (r != MG_ERR_OK)
		return r;
	l->leaves = f->differs != 0 ? f->differs - 1 : rd->kept.n;
	rd->rep->leaves_differ = f->differs;
	if (l->leaves + 1 >= l->first)
		(void)!mg_ledger_mend(l); /* else later */
	else
		mg_ledger_leaves_lose(l);
	rd->rep->leaves_short = mg_ledger_leaves_are_short(l);
	return MG_ERR_OK;
}

/* Rule 5: from here on it is written. */
static enum mg_err
settle(struct reader *rd, const struct mg_ledger_file *unbegun)
{
	struct mg_ledger *l = rd->l;
	enum mg_err r = MG_ERR_OK;

	memcpy(l->prev, rd->follow.prev, sizeof(l->prev));
	l->tree = rd->follow.tree;
	if (rd->torn > 0)
		r = repair(rd);
	if (r == MG_ERR_OK && unbegun != NULL)
		r = drop_unbegun(rd, unbegun);
	return r == MG_ERR_OK ? settle_leaves(rd) : r;
}

static enum mg_err
load_all(struct reader *rd, const struct mg_ledger_file *v, size_t n)
{
	const struct mg_ledger_file *unbegun = NULL;
	enum mg_err r;

	if ((r = check_files(rd, v, n)) != MG_ERR_OK)
		return r;
	if (n == 0)
		r = create_first(rd->l);
	if (is_unbegun(rd, v, n))
		unbegun = &v[--n];
	if (r == MG_ERR_OK)
		r = load_from(rd, v, n);
	if (r == MG_ERR_OK && unbegun != NULL &&
	    unbegun->first != next_record(rd))
		r = load_one(rd, unbegun, true);
	if (r == MG_ERR_OK)
		r = check_end(rd);
	return r == MG_ERR_OK ? settle(rd, unbegun) : r;
}

/* What was kept beside the lines, to compare them with. */
static enum mg_err
load_beside(struct reader *rd, const struct mg_note_key *host)
{
	enum mg_err r;

	r = mg_leaves_open(&rd->kept, rd->l->dirfd, MG_LEDGER_LEAVES);
	if (r == MG_ERR_PERM) {
		set_place(rd, MG_LEDGER_LEAVES, 0);
		return FLAW(rd, MG_FLAW_FILE, 0,
		    "the leaves are not a file, but a link, a pipe, a folder "
		    "or the like");
	}
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		return r;
	return host == NULL ? MG_ERR_OK : read_note(rd, host);
}

enum mg_err
mg_ledger_load(struct mg_ledger *l, const struct mg_note_key *host,
    mg_ledger_fn fn, mg_ledger_fn restore, void *arg,
    struct mg_ledger_report *rep)
{
	struct reader *rd;
	struct mg_ledger_file *v;
	enum mg_err r;
	size_t n;

	if ((r = mg_ledger_list(l->dirfd, &v, &n)) != MG_ERR_OK)
		return r;
	if ((rd = calloc(1, sizeof(*rd))) == NULL) {
		free(v);
		return MG_ERR_NOMEM;
	}
	rd->l = l;
	rd->fn = fn;
	rd->restore = restore;
	rd->arg = arg;
	rd->rep = rep;
	mg_leaves_init(&rd->kept);
	mg_follow_init(&rd->follow, l->sha, &rd->kept);
	mg_rec_init(&rd->rec);
	if ((r = load_beside(rd, host)) == MG_ERR_OK)
		r = load_all(rd, v, n);
	rep->records = l->seq;
	mg_rec_fini(&rd->rec);
	mg_follow_fini(&rd->follow);
	mg_leaves_fini(&rd->kept);
	free(rd);
	free(v);
	return r;
}
