/* SPDX-License-Identifier: ISC */
/*
 * Following a ledger line by line.
 *
 * Rules
 * 1. A line is accepted when it is a record, has the next number, is not
 *    older than the one before, and has the hash of that. One flaw ends it:
 *    what stands behind proves nothing.
 * 2. The leaf hashes that were kept tell which of two lines that do not fit
 *    was changed. On their own they prove nothing: a power cut may leave
 *    wrong ones, so that a difference is only remembered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_follow.h"
#include "mg_id.h"
#include "mg_time.h"

#define ZEROS                                                                  \
	"00000000000000000000000000000000"                                     \
	"00000000000000000000000000000000"

/* ---- leaf hashes that somebody kept ---- */

void
mg_leaves_init(struct mg_leaves *l)
{
	l->fd = -1;
	l->n = l->at = l->have = 0;
}

void
mg_leaves_fini(struct mg_leaves *l)
{
	if (l->fd != -1)
		close(l->fd);
	mg_leaves_init(l);
}

void
mg_leaves_take(struct mg_leaves *l, int fd)
{
	struct stat st;

	mg_leaves_fini(l);
	l->fd = fd;
	if (fstat(fd, &st) == 0)
		l->n = (uint64_t)st.st_size / MG_MERKLE_HASH;
}

enum mg_err
mg_leaves_open(struct mg_leaves *l, int dirfd, const char *path)
{
	struct stat st;
	int fd;

	fd = openat(dirfd, path,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return errno == ENOENT	? MG_ERR_NOENT
		       : errno == ELOOP ? MG_ERR_PERM
					: MG_ERR_SYS;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return MG_ERR_PERM;
	}
	mg_leaves_take(l, fd);
	return MG_ERR_OK;
}

const uint8_t *
mg_leaves_get(struct mg_leaves *l, uint64_t i)
{
	ssize_t n;

	if (l->fd == -1 || i >= l->n)
		return NULL;
	if (i < l->at || i >= l->at + l->have) {
		n = pread(
		    l->fd, l->v, sizeof(l->v), (off_t)(i * MG_MERKLE_HASH));
		l->at = i;
		l->have = n < 0 ? 0 : (size_t)n / MG_MERKLE_HASH;
	}
	return i < l->at + l->have ? l->v[i - l->at] : NULL;
}

/* ---- lines ---- */

void
mg_follow_init(struct mg_follow *f, struct mg_sha *sha, struct mg_leaves *kept)
{
	memset(f, 0, sizeof(*f));
	f->sha = sha;
	f->kept = kept;
	mg_merkle_init(&f->tree);
	memcpy(f->prev, ZEROS, sizeof(ZEROS));
	mg_rec_init(&f->rec);
}

void
mg_follow_fini(struct mg_follow *f)
{
	mg_rec_fini(&f->rec);
}

/* Why the line is not a record. */
static void
flaw_record(struct mg_follow *f, const char *line, size_t n, enum mg_err r)
{
	uint64_t record = f->tree.size + 1;
	const char *nul = memchr(line, '\0', n);
	size_t col = f->rec.err_col;
	char c = ' ';

	if (col > 0 && col <= n)
		c = line[col - 1];
	if (n > MG_REC_LINE_MAX)
		mg_flaw_set(&f->flaw, MG_FLAW_LONG, record,
		    "the line is longer than %d bytes", MG_REC_LINE_MAX);
	else if (nul != NULL)
		mg_flaw_set(&f->flaw, MG_FLAW_NUL, record,
		    "the line has a NUL byte (column %zu)",
		    (size_t)(nul - line) + 1);
	else if (col > 1 && (c == '{' || c == '['))
		mg_flaw_set(&f->flaw, MG_FLAW_NESTED, record,
		    "the line has a value within a value (column %zu)", col);
	else
		mg_flaw_set(&f->flaw, MG_FLAW_RECORD, record,
		    "the line is not a record (column %zu: %s)", col,
		    mg_err_str(r));
}

static enum mg_err
check_seq(struct mg_follow *f)
{
	int64_t want = (int64_t)f->tree.size + 1;
	int64_t seq = mg_rec_int(&f->rec, "seq", 0);
	uint64_t at = (uint64_t)want;

	if (seq == want)
		return MG_ERR_OK;
	if (seq <= 0)
		mg_flaw_set(&f->flaw, MG_FLAW_SEQ, at,
		    "the line has no number (seq): it is no ledger's");
	else if (seq == want - 1)
		mg_flaw_set(&f->flaw, MG_FLAW_DUPLICATED, at,
		    "record %lld is here twice", (long long)seq);
	else if (seq < want)
		mg_flaw_set(&f->flaw, MG_FLAW_ORDER, at,
		    "record %lld where %lld belongs", (long long)seq,
		    (long long)want);
	else
		mg_flaw_set(&f->flaw, MG_FLAW_MISSING, at,
		    "record %lld where %lld belongs: the records between are "
		    "not there",
		    (long long)seq, (long long)want);
	return MG_ERR_FORMAT;
}

/* The boot clock goes back at a boot only, and that is where an agent
 * starts. The wall clock may be set back, which is worth a word. */
static enum mg_err
check_time(struct mg_follow *f, bool starts)
{
	int64_t bt = mg_rec_int(&f->rec, "bt", -1), at;

	if (bt < 0 ||
	    mg_time_parse(mg_rec_str(&f->rec, "at", ""), 0, &at) != MG_ERR_OK) {
		mg_flaw_set(&f->flaw, MG_FLAW_TIME, f->tree.size + 1,
		    "%s is no time", bt < 0 ? "bt" : "at");
		return MG_ERR_FORMAT;
	}
	if (bt < f->bt && !starts) {
		mg_flaw_set(&f->flaw, MG_FLAW_CLOCK, f->tree.size + 1,
		    "the clock since boot goes back by %lld ms, and no boot "
		    "was between",
		    (long long)(f->bt - bt));
		return MG_ERR_FORMAT;
	}
	if (at < f->at_ms && f->set_back == 0) {
		f->set_back = f->tree.size + 1;
		f->set_back_ms = (uint64_t)(f->at_ms - at);
	}
	f->bt = bt;
	f->at_ms = at;
	return MG_ERR_OK;
}

/* Rule 2: this line or the one before? */
static enum mg_err
flaw_chain(struct mg_follow *f, bool first)
{
	unsigned long long n = f->tree.size;

	if (f->differs != 0 && f->differs == n)
		mg_flaw_set(&f->flaw, MG_FLAW_CHANGED, n,
		    "record %llu has neither the hash that was kept nor the "
		    "one that the next record gives for it",
		    n);
	else if (f->differs != 0 || n == 0 ||
		 mg_leaves_get(f->kept, n - 1) == NULL)
		mg_flaw_set(&f->flaw, MG_FLAW_CHAIN, n == 0 ? 1 : n,
		    "prev of record %llu is not the hash of record %llu: one "
		    "of them was changed, or is another ledger's",
		    n + 1, n);
	else if (first)
		mg_flaw_set(&f->flaw, MG_FLAW_SEGMENT_FOREIGN, n + 1,
		    "the segment does not continue record %llu, which is as "
		    "it was: it is another ledger's, or was changed",
		    n);
	else
		mg_flaw_set(&f->flaw, MG_FLAW_FOREIGN, n + 1,
		    "record %llu does not continue record %llu, which is as it "
		    "was: it is another ledger's, or was changed",
		    n + 1, n);
	return MG_ERR_FORMAT;
}

/* A segment's own first line says what was before it. */
static enum mg_err
check_head(struct mg_follow *f, const char *type)
{
	char hex[2 * MG_MERKLE_HASH + 1];
	uint8_t root[MG_MERKLE_HASH];

	if (f->tree.size == 0)
		return MG_ERR_OK;
	if (strcmp(type, "segment") != 0) {
		mg_flaw_set(&f->flaw, MG_FLAW_HEAD, f->tree.size + 1,
		    "the segment does not begin with its line");
		return MG_ERR_FORMAT;
	}
	mg_merkle_root(&f->tree, f->sha, root);
	mg_hex(root, sizeof(root), hex);
	if (strcmp(mg_rec_str(&f->rec, "root", ""), hex) == 0)
		return MG_ERR_OK;
	mg_flaw_set(&f->flaw, MG_FLAW_ROOT, f->tree.size + 1,
	    "the root in the segment's first line is not that of the records "
	    "before it");
	return MG_ERR_FORMAT;
}

enum mg_err
mg_follow_check(struct mg_follow *f, const char *line, size_t n, bool first)
{
	const uint8_t *kept;
	const char *type;
	enum mg_err r;

	if ((r = mg_rec_parse(&f->rec, line, n)) == MG_ERR_NOMEM)
		return r;
	if (r != MG_ERR_OK) {
		flaw_record(f, line, n, r);
		return MG_ERR_FORMAT;
	}
	if ((r = check_seq(f)) != MG_ERR_OK)
		return r;
	type = mg_rec_str(&f->rec, "type", "");
	if (type[0] == '\0') {
		mg_flaw_set(&f->flaw, MG_FLAW_TYPE, f->tree.size + 1,
		    "the record has no type");
		return MG_ERR_FORMAT;
	}
	if (!f->unchained &&
	    strcmp(mg_rec_str(&f->rec, "prev", ""), f->prev) != 0)
		return flaw_chain(f, first);
	if ((r = check_time(f, strcmp(type, "start") == 0)) != MG_ERR_OK ||
	    (first && (r = check_head(f, type)) != MG_ERR_OK))
		return r;
	mg_sha_leaf(f->sha, line, n, f->leaf);
	kept = mg_leaves_get(f->kept, f->tree.size);
	if (f->differs == 0 && kept != NULL &&
	    memcmp(kept, f->leaf, MG_MERKLE_HASH) != 0)
		f->differs = f->tree.size + 1; /* Rule 2 */
	return MG_ERR_OK;
}

void
mg_follow_take(struct mg_follow *f, const char *line, size_t n)
{
	uint8_t md[MG_MERKLE_HASH];

	mg_sha_plain(f->sha, line, n, md);
	mg_hex(md, sizeof(md), f->prev);
	mg_merkle_add(&f->tree, f->sha, f->leaf);
	f->unchained = false;
}

void
mg_follow_rest(struct mg_follow *f, const char *line, size_t n)
{
	char head[40];
	int len;

	if (f->flaw.kind != MG_FLAW_MISSING)
		return;
	len = snprintf(head, sizeof(head), "{\"seq\":%llu,",
	    (unsigned long long)f->flaw.record);
	if (n >= (size_t)len && memcmp(line, head, (size_t)len) == 0)
		mg_flaw_set(&f->flaw, MG_FLAW_ORDER, f->flaw.record,
		    "record %llu stands behind later ones",
		    (unsigned long long)f->flaw.record);
}
