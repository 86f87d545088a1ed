/* SPDX-License-Identifier: ISC */
/*
 * The hub's journal.
 *
 * Rules
 * 1. Nothing is answered before its record is on disk: after a crash an
 *    approver would believe in a decision that nobody has.
 * 2. Only a last line without its newline is repaired: that is what a crash
 *    leaves. Anything else was not written by us, and guessing would turn
 *    damage into decisions.
 * 3. Lines are numbered, so that a lost or a doubled line is damage too.
 * 4. A record that failed half-way is cut off before the next one: it would
 *    swallow its beginning.
 * 5. After a failed sync nothing is known any more; the process ends and
 *    the next one reads what is really there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub_journal.h"
#include "mg_file.h"
#include "mg_log.h"

#define READ_STEP 65536

struct reader {
	struct hub_journal *j;
	hub_journal_fn fn;
	void *arg;
	struct mg_buf in;
	char *why;
	size_t why_size;
};

static enum mg_err
flaw(const struct reader *rd, size_t col, const char *text)
{
	if (col > 0)
		snprintf(rd->why, rd->why_size, "%s:%llu:%zu: %s",
		    HUB_JOURNAL_NAME, (unsigned long long)rd->j->lines + 1, col,
		    text);
	else
		snprintf(rd->why, rd->why_size, "%s:%llu: %s", HUB_JOURNAL_NAME,
		    (unsigned long long)rd->j->lines + 1, text);
	return MG_ERR_FORMAT;
}

static enum mg_err
read_line(struct reader *rd, const char *line, size_t n)
{
	const char *why = "";
	struct mg_rec rec;
	enum mg_err r;

	mg_rec_init(&rec);
	r = mg_rec_parse(&rec, line, n);
	if (r == MG_ERR_NOMEM)
		goto out;
	if (r != MG_ERR_OK)
		r = flaw(rd, rec.err_col, "not a record");
	else if (mg_rec_int(&rec, "n", 0) != (int64_t)rd->j->lines + 1)
		r = flaw(rd, 0, "record is out of order"); /* Rule 3 */
	else if ((r = rd->fn(rd->arg, &rec, &why)) != MG_ERR_OK &&
		 r != MG_ERR_NOMEM)
		r = flaw(rd, 0, why);
out:
	mg_rec_fini(&rec);
	return r;
}

/* Hands out the whole lines in the buffer. */
static enum mg_err
read_lines(struct reader *rd)
{
	const char *p, *nl;
	size_t n;
	enum mg_err r;

	for (;;) {
		p = (const char *)mg_buf_ptr(&rd->in);
		n = mg_buf_len(&rd->in);
		if ((nl = memchr(p, '\n', n)) == NULL)
			break;
		if ((r = read_line(rd, p, (size_t)(nl - p))) != MG_ERR_OK)
			return r;
		rd->j->lines++;
		rd->j->size += (uint64_t)(nl - p) + 1;
		mg_buf_consume(&rd->in, (size_t)(nl - p) + 1);
	}
	return n > MG_REC_LINE_MAX ? flaw(rd, 0, "line is too long")
				   : MG_ERR_OK;
}

static enum mg_err
read_all(struct reader *rd)
{
	uint8_t *d;
	ssize_t n;
	enum mg_err r;

	for (;;) {
		if ((d = mg_buf_reserve(&rd->in, READ_STEP)) == NULL)
			return MG_ERR_NOMEM;
		n = read(rd->j->fd, d, READ_STEP);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			snprintf(rd->why, rd->why_size, "cannot read '%s': %s",
			    HUB_JOURNAL_NAME, strerror(errno));
			return MG_ERR_SYS;
		}
		if (n == 0)
			return MG_ERR_OK;
		mg_buf_commit(&rd->in, (size_t)n);
		if ((r = read_lines(rd)) != MG_ERR_OK)
			return r;
	}
}

static enum mg_err
say_errno(char *why, size_t size, const char *what, const char *name)
{
	snprintf(why, size, "cannot %s '%s': %s", what, name, strerror(errno));
	return MG_ERR_SYS;
}

/* Removes what a crash during hub_rewrite_done() left. */
static void
remove_leftovers(int dirfd)
{
	static const char prefix[] = "." HUB_JOURNAL_NAME ".";
	struct dirent *e;
	DIR *d;
	int fd;

	if ((fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, prefix, sizeof(prefix) - 1) == 0)
			(void)unlinkat(dirfd, e->d_name, 0);
	closedir(d);
}

static enum mg_err
open_files(struct hub_journal *j, const char *dir, char *why, size_t size)
{
	struct mg_file_rule rule = {.owner = geteuid(), .no_read = true};
	struct stat st;
	enum mg_err r;

	if ((r = mg_file_open(dir, O_DIRECTORY, &rule, &j->dirfd, why, size)) !=
	    MG_ERR_OK)
		return r;
	if (flock(j->dirfd, LOCK_EX | LOCK_NB) != 0) {
		snprintf(why, size, "'%s' is in use by another hub", dir);
		return errno == EWOULDBLOCK ? MG_ERR_EXIST : MG_ERR_SYS;
	}
	remove_leftovers(j->dirfd);
	j->fd = openat(j->dirfd, HUB_JOURNAL_NAME,
	    O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
	    0600);
	if (j->fd == -1)
		return say_errno(why, size, "open", HUB_JOURNAL_NAME);
	if (fstat(j->fd, &st) != 0 || fsync(j->dirfd) != 0)
		return say_errno(why, size, "use", HUB_JOURNAL_NAME);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IRWXG | S_IRWXO)) != 0 || st.st_nlink != 1) {
		snprintf(why, size, "'%s' can be changed by others",
		    HUB_JOURNAL_NAME);
		return MG_ERR_PERM;
	}
	if ((uint64_t)st.st_size > HUB_JOURNAL_MAX) {
		snprintf(why, size, "'%s' is too large", HUB_JOURNAL_NAME);
		return MG_ERR_LIMIT;
	}
	return MG_ERR_OK;
}

/* Rule 2 */
static enum mg_err
cut_torn(struct hub_journal *j, size_t torn, char *why, size_t size)
{
	if (torn == 0)
		return MG_ERR_OK;
	if (ftruncate(j->fd, (off_t)j->size) != 0 || fdatasync(j->fd) != 0)
		return say_errno(why, size, "repair", HUB_JOURNAL_NAME);
	return MG_ERR_OK;
}

enum mg_err
hub_journal_open(struct hub_journal *j, const char *dir, hub_journal_fn fn,
    void *arg, size_t *torn_bytesp, char *why, size_t why_size)
{
	struct reader rd = {
	    .j = j, .fn = fn, .arg = arg, .why = why, .why_size = why_size};
	enum mg_err r;

	memset(j, 0, sizeof(*j));
	*torn_bytesp = 0;
	snprintf(why, why_size, "%s", mg_err_str(MG_ERR_NOMEM));
	j->dirfd = j->fd = -1;
	mg_buf_init(&j->line, MG_REC_LINE_MAX + 1);
	mg_buf_init(&rd.in, MG_REC_LINE_MAX + 2 * READ_STEP);
	if ((r = open_files(j, dir, why, why_size)) == MG_ERR_OK &&
	    (r = read_all(&rd)) == MG_ERR_OK) {
		*torn_bytesp = mg_buf_len(&rd.in);
		r = cut_torn(j, *torn_bytesp, why, why_size);
	}
	mg_buf_fini(&rd.in);
	if (r != MG_ERR_OK)
		hub_journal_close(j);
	return r;
}

void
hub_journal_close(struct hub_journal *j)
{
	if (j->fd != -1)
		close(j->fd);
	if (j->dirfd != -1)
		close(j->dirfd);
	j->fd = j->dirfd = -1;
	mg_buf_fini(&j->line);
}

/* ---- writing ---- */

static struct mg_json *
begin(struct hub_journal *j, uint64_t n, const char *type, int64_t now_ms)
{
	mg_buf_reset(&j->line);
	mg_json_begin(&j->json, &j->line);
	mg_json_obj(&j->json, NULL);
	mg_json_int(&j->json, "n", (int64_t)n);
	mg_json_str(&j->json, "t", type);
	mg_json_int(&j->json, "at", now_ms);
	return &j->json;
}

struct mg_json *
hub_journal_begin(struct hub_journal *j, const char *type, int64_t now_ms)
{
	return begin(j, j->lines + 1, type, now_ms);
}

enum mg_err
hub_journal_end(struct hub_journal *j, struct mg_rec *rec)
{
	enum mg_err r;

	mg_json_obj_end(&j->json);
	if ((r = mg_json_end(&j->json)) != MG_ERR_OK)
		return r;
	r = mg_rec_parse(
	    rec, (const char *)mg_buf_ptr(&j->line), mg_buf_len(&j->line));
	/* What our own writer made is only ever too much, not malformed. */
	return r == MG_ERR_FORMAT ? MG_ERR_INTERNAL : r;
}

enum mg_err
hub_journal_commit(struct hub_journal *j)
{
	enum mg_err r;
	int err;

	if ((r = mg_buf_put_u8(&j->line, '\n')) != MG_ERR_OK)
		return r;
	if (j->size + mg_buf_len(&j->line) > HUB_JOURNAL_MAX) {
		errno = EFBIG;
		return MG_ERR_SYS;
	}
	r = mg_file_write(j->fd, mg_buf_ptr(&j->line), mg_buf_len(&j->line));
	if (r != MG_ERR_OK) {
		err = errno;
		if (ftruncate(j->fd, (off_t)j->size) != 0) /* Rule 4 */
			mg_fatal("cannot repair '%s': %s", HUB_JOURNAL_NAME,
			    strerror(errno));
		errno = err;
		return r;
	}
	if (fdatasync(j->fd) != 0) /* Rules 1, 5 */
		mg_fatal(
		    "cannot sync '%s': %s", HUB_JOURNAL_NAME, strerror(errno));
	j->size += mg_buf_len(&j->line);
	j->lines++;
	return MG_ERR_OK;
}

/* ---- writing it anew ---- */

void
hub_rewrite_init(struct hub_rewrite *w)
{
	mg_buf_init(&w->b, HUB_JOURNAL_MAX);
	w->lines = 0;
}

void
hub_rewrite_fini(struct hub_rewrite *w)
{
	mg_buf_fini(&w->b);
}

struct mg_json *
hub_rewrite_begin(struct hub_journal *j, struct hub_rewrite *w,
    const char *type, int64_t at_ms)
{
	return begin(j, w->lines + 1, type, at_ms);
}

enum mg_err
hub_rewrite_put(struct hub_journal *j, struct hub_rewrite *w)
{
	enum mg_err r;

	mg_json_obj_end(&j->json);
	if ((r = mg_json_end(&j->json)) != MG_ERR_OK)
		return r;
	if ((r = mg_buf_put(&w->b, mg_buf_ptr(&j->line),
		 mg_buf_len(&j->line))) != MG_ERR_OK ||
	    (r = mg_buf_put_u8(&w->b, '\n')) != MG_ERR_OK)
		return r;
	w->lines++;
	return MG_ERR_OK;
}

/* Whether the file that we append to is still the one in the folder. */
static bool
is_in_place(const struct hub_journal *j)
{
	struct stat st;

	return fstat(j->fd, &st) == 0 && st.st_nlink == 1;
}

enum mg_err
hub_rewrite_done(struct hub_journal *j, const struct hub_rewrite *w)
{
	enum mg_err r;
	int fd;

	r = mg_file_replace_at(j->dirfd, HUB_JOURNAL_NAME, mg_buf_ptr(&w->b),
	    mg_buf_len(&w->b), 0600);
	if (r != MG_ERR_OK && is_in_place(j))
		return r;
	if (r != MG_ERR_OK) /* Rule 5 */
		mg_fatal("cannot sync the folder of '%s': %s", HUB_JOURNAL_NAME,
		    strerror(errno));
	fd = openat(j->dirfd, HUB_JOURNAL_NAME,
	    O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd == -1) /* what we append to the old one would be lost */
		mg_fatal(
		    "cannot open '%s': %s", HUB_JOURNAL_NAME, strerror(errno));
	close(j->fd);
	j->fd = fd;
	j->lines = w->lines;
	j->size = mg_buf_len(&w->b);
	return MG_ERR_OK;
}
