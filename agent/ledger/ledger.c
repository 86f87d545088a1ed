/* SPDX-License-Identifier: ISC */
/*
 * The ledger's files.
 *
 * Rules
 * 1. A line is acted upon only after fdatasync said that it is there.
 * 2. After a failed write or sync nothing is assumed about the descriptor:
 *    it is closed, and the file is cut back through a new one.
 * 3. Only a last line without newline can be the trace of a crash. All else
 *    that does not fit was changed by somebody: say where, refuse to start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_time.h"

#define SEGMENT_NAME_LEN 26 /* 20 digits and ".jsonl" */
#define READ_BUFFER (1U << 20)
#define SEGMENTS_MAX 100000

struct mg_ledger {
	int dirfd;
	int fd;
	char name[SEGMENT_NAME_LEN + 1];
	uint64_t seq;	 /* of the last line in the batch or file */
	uint64_t synced; /* of the last durable line */
	off_t size;	 /* of the durable part of the file */
	char prev[MG_LEDGER_HASH_HEX];
	char synced_prev[MG_LEDGER_HASH_HEX];
	struct mg_buf batch;
	size_t line_start;
	bool dead;
};

static const char zeros[MG_LEDGER_HASH_HEX] =
    "00000000000000000000000000000000"
    "00000000000000000000000000000000";

static void
hash_line(const char *line, size_t n, char out[MG_LEDGER_HASH_HEX])
{
	uint8_t md[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)line, n, md);
	mg_hex(md, sizeof(md), out);
}

static bool
is_segment(const char *name)
{
	size_t i;

	if (strlen(name) != SEGMENT_NAME_LEN ||
	    strcmp(name + 20, ".jsonl") != 0)
		return false;
	for (i = 0; i < 20; i++)
		if (name[i] < '0' || name[i] > '9')
			return false;
	return true;
}

static void
segment_name(uint64_t first, char out[SEGMENT_NAME_LEN + 1])
{
	snprintf(out, SEGMENT_NAME_LEN + 1, "%020llu.jsonl",
	    (unsigned long long)first);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
free_names(char **v, size_t n)
{
	while (n > 0)
		free(v[--n]);
	free(v);
}

/* The segments' names, sorted. */
static enum mg_err
list_segments(int dirfd, char ***vp, size_t *np)
{
	char **v = NULL, **w;
	struct dirent *de;
	enum mg_err r = MG_ERR_OK;
	size_t n = 0;
	DIR *d;
	int fd;

	*vp = NULL;
	*np = 0;
	if ((fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return MG_ERR_SYS;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return MG_ERR_SYS;
	}
	while (r == MG_ERR_OK && (de = readdir(d)) != NULL) {
		if (!is_segment(de->d_name))
			continue;
		if (n == SEGMENTS_MAX) {
			r = MG_ERR_LIMIT;
		} else if ((w = reallocarray(v, n + 1, sizeof(*v))) == NULL) {
			r = MG_ERR_NOMEM;
		} else {
			v = w;
			if ((v[n] = strdup(de->d_name)) == NULL)
				r = MG_ERR_NOMEM;
			else
				n++;
		}
	}
	closedir(d);
	if (r != MG_ERR_OK) {
		free_names(v, n);
		return r;
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_name);
	*vp = v;
	*np = n;
	return MG_ERR_OK;
}

/* ---- reading ---- */

struct reader {
	struct mg_ledger *l;
	mg_ledger_fn fn;
	void *arg;
	struct mg_ledger_report *rep;
	struct mg_rec rec;
};

static enum mg_err
broken(struct reader *rd, const char *text)
{
	snprintf(rd->rep->text, sizeof(rd->rep->text), "%s", text);
	return MG_ERR_FORMAT;
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
	if (mg_rec_int(&rd->rec, "seq", 0) != (int64_t)(l->seq + 1)) {
		snprintf(text, sizeof(text), "seq is %lld where %llu belongs",
		    (long long)mg_rec_int(&rd->rec, "seq", 0),
		    (unsigned long long)l->seq + 1);
		return broken(rd, text);
	}
	if (strcmp(mg_rec_str(&rd->rec, "prev", ""), l->prev) != 0)
		return broken(rd,
		    "prev is not the hash of the line before: that line or "
		    "this one was changed");
	if (mg_rec_str(&rd->rec, "type", "")[0] == '\0')
		return broken(rd, "type is missing");
	if ((r = rd->fn(rd->arg, &rd->rec)) != MG_ERR_OK) {
		snprintf(text, sizeof(text), "record does not fit here (%s)",
		    mg_err_str(r));
		return r == MG_ERR_NOMEM ? r : broken(rd, text);
	}
	hash_line(line, n, l->prev);
	l->seq++;
	rd->rep->records++;
	return MG_ERR_OK;
}

/* All whole lines in b; what remains is the beginning of another. */
static enum mg_err
take_lines(struct reader *rd, struct mg_buf *b)
{
	const char *p, *nl;
	enum mg_err r;

	for (;;) {
		p = (const char *)mg_buf_ptr(b);
		nl = memchr(p, '\n', mg_buf_len(b));
		if (nl == NULL)
			break;
		if ((r = take_line(rd, p, (size_t)(nl - p))) != MG_ERR_OK)
			return r;
		mg_buf_consume(b, (size_t)(nl - p) + 1);
	}
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
open_segment(struct mg_ledger *l, const char *name, int flags, int *fdp)
{
	struct stat st;

	*fdp = openat(l->dirfd, name,
	    O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | flags,
	    0600);
	if (*fdp == -1)
		return MG_ERR_SYS;
	if (fstat(*fdp, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & (S_IRWXG | S_IRWXO)) == 0 && st.st_nlink == 1)
		return MG_ERR_OK;
	close(*fdp);
	*fdp = -1;
	return MG_ERR_PERM;
}

static enum mg_err
load_one(struct reader *rd, const char *name, bool last)
{
	struct mg_ledger *l = rd->l;
	char expected[SEGMENT_NAME_LEN + 1];
	struct stat st;
	size_t torn;
	enum mg_err r;

	snprintf(rd->rep->file, sizeof(rd->rep->file), "%s", name);
	rd->rep->line = 0;
	segment_name(l->seq + 1, expected);
	if (strcmp(name, expected) != 0)
		return broken(rd, "segment is missing before this one");
	if ((r = open_segment(l, name, 0, &l->fd)) != MG_ERR_OK) {
		if (r == MG_ERR_PERM)
			(void)broken(rd, "segment is not a private file "
					 "(mode must be 0600, one link)");
		return r;
	}
	if ((r = read_segment(rd, l->fd, &torn)) != MG_ERR_OK)
		return r;
	if (torn > 0 && !last) { /* Rule 3 */
		rd->rep->line++;
		return broken(rd, "line ends early, and it is not the last");
	}
	if (fstat(l->fd, &st) != 0)
		return MG_ERR_SYS;
	if (torn > 0 && (r = repair(rd, l->fd, st.st_size, torn)) != MG_ERR_OK)
		return r;
	l->size = st.st_size - (off_t)torn;
	memcpy(l->name, expected, sizeof(l->name));
	if (!last) {
		close(l->fd);
		l->fd = -1;
	}
	return MG_ERR_OK;
}

static enum mg_err
create_first(struct mg_ledger *l)
{
	enum mg_err r;

	segment_name(l->seq + 1, l->name);
	r = open_segment(l, l->name, O_CREAT | O_EXCL, &l->fd);
	if (r == MG_ERR_OK && fsync(l->dirfd) != 0)
		r = MG_ERR_SYS;
	l->size = 0;
	return r;
}

static enum mg_err
load_all(struct reader *rd)
{
	char **names;
	size_t n, i;
	enum mg_err r;

	if ((r = list_segments(rd->l->dirfd, &names, &n)) != MG_ERR_OK)
		return r;
	if (n == 0)
		r = create_first(rd->l);
	for (i = 0; i < n && r == MG_ERR_OK; i++)
		r = load_one(rd, names[i], i + 1 == n);
	free_names(names, n);
	return r;
}

enum mg_err
mg_ledger_open(int dirfd, mg_ledger_fn fn, void *arg, struct mg_ledger **lp,
    struct mg_ledger_report *rep)
{
	struct mg_ledger *l;
	struct reader rd;
	enum mg_err r;

	*lp = NULL;
	memset(rep, 0, sizeof(*rep));
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return MG_ERR_NOMEM;
	l->fd = -1;
	memcpy(l->prev, zeros, sizeof(zeros));
	mg_buf_init(&l->batch, MG_LEDGER_BATCH_MAX);
	if ((l->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3)) == -1) {
		mg_ledger_free(l);
		return MG_ERR_SYS;
	}
	rd.l = l;
	rd.fn = fn;
	rd.arg = arg;
	rd.rep = rep;
	mg_rec_init(&rd.rec);
	r = load_all(&rd);
	mg_rec_fini(&rd.rec);
	if (r != MG_ERR_OK) {
		if (rep->text[0] == '\0')
			snprintf(rep->text, sizeof(rep->text), "%s (%s)",
			    mg_err_str(r), strerror(errno));
		mg_ledger_free(l);
		return r;
	}
	l->synced = l->seq;
	memcpy(l->synced_prev, l->prev, sizeof(l->prev));
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
	if (l->dirfd != -1)
		close(l->dirfd);
	mg_buf_fini(&l->batch);
	free(l);
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
		hash_line(line, n, next);
		r = mg_buf_put_u8(&l->batch, '\n');
	}
	if (r != MG_ERR_OK) {
		l->batch.len = l->batch.off + l->line_start;
		return r;
	}
	memcpy(l->prev, next, sizeof(next));
	l->seq++;
	return MG_ERR_OK;
}

void
mg_ledger_get_mark(const struct mg_ledger *l, struct mg_ledger_mark *m)
{
	m->len = mg_buf_len(&l->batch);
	m->seq = l->seq;
	memcpy(m->prev, l->prev, sizeof(m->prev));
}

void
mg_ledger_rewind(struct mg_ledger *l, const struct mg_ledger_mark *m)
{
	l->batch.len = l->batch.off + m->len;
	l->seq = m->seq;
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
	memcpy(l->prev, l->synced_prev, sizeof(l->prev));
}

/* A new descriptor on the file as it was after the last sync. */
static enum mg_err
cut_back(struct mg_ledger *l)
{
	enum mg_err r;

	if (l->fd != -1)
		close(l->fd); /* Rule 2 */
	l->dead = true;
	if ((r = open_segment(l, l->name, 0, &l->fd)) != MG_ERR_OK)
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
		return MG_ERR_STATE;
	}
	if (n == 0)
		return MG_ERR_OK;
	if (mg_file_write(l->fd, mg_buf_ptr(&l->batch), n) == MG_ERR_OK &&
	    fdatasync(l->fd) == 0) { /* Rule 1 */
		l->size += (off_t)n;
		l->synced = l->seq;
		memcpy(l->synced_prev, l->prev, sizeof(l->prev));
		mg_buf_reset(&l->batch);
		return MG_ERR_OK;
	}
	saved = errno;
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

int
mg_ledger_open_segments(const struct mg_ledger *l, int *fds, size_t max)
{
	char **names;
	size_t n, i, first;
	int count = 0;

	if (list_segments(l->dirfd, &names, &n) != MG_ERR_OK)
		return -1;
	first = n > max ? n - max : 0;
	for (i = first; i < n; i++) {
		fds[count] = openat(
		    l->dirfd, names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fds[count] == -1)
			break;
		count++;
	}
	free_names(names, n);
	if (i == n)
		return count;
	while (count > 0)
		close(fds[--count]);
	return -1;
}
