/* SPDX-License-Identifier: ISC */
/*
 * mg-store: copies an artifact into the store, or clears away a copy that
 * was given up. It decides nothing: the digest of the copy is computed
 * afterwards by mg-verify, and only the monitor gives a copy its name.
 *
 * Runs as: root without capabilities, one per copy, kept to two folders
 * Holds: an artifact's folder (read only), an empty folder of the store
 * Accepts: file names and bytes of an artifact; one question from the monitor
 * Sends: progress, one answer
 * If it dies: nothing is served; what it left is cleared away
 *
 * Rules
 * 1. What comes out belongs to root and can be written by nobody: whoever
 *    owns the source has no name, descriptor or mapping of the copy.
 * 2. The source is what mg_tree.h lets through, reached from one
 *    descriptor; it may change and lie, which only makes a copy with
 *    another digest. What is made is made below one descriptor, where
 *    nothing else is.
 * 3. Bounded: as many bytes as were listed, and no more than were allowed.
 * 4. Durable before it is reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_time.h"
#include "verify/mg_tree.h"

#define FD_CHANNEL 3
#define FD_STORE 4
#define QUESTION_MS 10000
#define ANSWER_MS 10000
#define QUEUE_MAX 65536
#define TELL_MS 250
#define PIECE ((size_t)8 << 20)
#define BUFFER ((size_t)1 << 20)
#define SYNC_EACH_MAX 1000 /* more files than that: one sync of them all */

struct copy {
	struct mg_chan *ch;
	uint32_t id;
	int source;
	struct mg_tree *tree;
	uint8_t *buf;
	uint64_t done;
	int64_t next_ms;
	char why[512];
};

/* ---- one file ---- */

static void
tell(struct copy *c, uint64_t n)
{
	struct mg_progress msg = {.what = "copying", .total = c->tree->bytes};
	int64_t now = mg_time_boot_ms();

	c->done += n;
	msg.done = c->done;
	if (now < c->next_ms)
		return;
	c->next_ms = now + TELL_MS;
	(void)!mg_chan_send(c->ch, c->id, MG_MSG_PROGRESS, &msg);
}

/* As many bytes as could be moved; 0 at the end; -1 and errno. */
static ssize_t
move_some(struct copy *c, int in, int out, size_t want, bool *by_handp)
{
	ssize_t n;

	if (!*by_handp) {
		n = copy_file_range(in, NULL, out, NULL, want, 0);
		if (n > 0)
			return n;
		/* Not between these two file systems, or a file whose size
		 * is not told: by hand, which also says what is wrong. */
		*by_handp = true;
	}
	n = read(in, c->buf, want < BUFFER ? want : BUFFER);
	if (n <= 0)
		return n;
	return mg_file_write(out, c->buf, (size_t)n) == MG_ERR_OK ? n : -1;
}

/* Rule 3 */
static enum mg_err
copy_bytes(struct copy *c, int in, int out, uint64_t size)
{
	bool by_hand = false;
	ssize_t n;

	while (size > 0) {
		n = move_some(
		    c, in, out, size < PIECE ? (size_t)size : PIECE, &by_hand);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return MG_ERR_SYS;
		if (n == 0) {
			errno = ENODATA;
			return MG_ERR_STATE;
		}
		size -= (uint64_t)n;
		tell(c, (uint64_t)n);
	}
	return MG_ERR_OK;
}

static enum mg_err
say_errno(struct copy *c, enum mg_err r, const char *path, const char *what)
{
	snprintf(
	    c->why, sizeof(c->why), "'%s' %s: %s", path, what, strerror(errno));
	return r;
}

static enum mg_err
copy_file(struct copy *c, size_t i)
{
	const struct mg_tree_entry *e = &c->tree->files[i];
	bool sync_it = c->tree->nfiles <= SYNC_EACH_MAX;
	enum mg_err r;
	int in, out;

	r = mg_tree_open(c->tree, i, &in, c->why, sizeof(c->why));
	if (r != MG_ERR_OK)
		return r;
	out = openat(FD_STORE, e->path,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (out == -1) {
		r = say_errno(c, MG_ERR_SYS, e->path, "cannot be made");
		close(in);
		return r;
	}
	if ((r = copy_bytes(c, in, out, e->id.size)) != MG_ERR_OK)
		r = say_errno(c, r, e->path, "cannot be copied");
	else if (fchmod(out, 0444) != 0 || (sync_it && fsync(out) != 0))
		r = say_errno(c, MG_ERR_SYS, e->path, "cannot be kept");
	close(in);
	if (close(out) != 0 && r == MG_ERR_OK)
		r = say_errno(c, MG_ERR_SYS, e->path, "cannot be kept");
	return r;
}

/* ---- the folders ---- */

static enum mg_err
make_dirs(struct copy *c)
{
	const char *path;
	size_t i;

	/* The first is the artifact's own; parents come before children. */
	for (i = 1; i < c->tree->ndirs; i++) {
		path = c->tree->dirs[i].path;
		if (mkdirat(FD_STORE, path, 0700) != 0)
			return say_errno(c, MG_ERR_SYS, path, "cannot be made");
	}
	return MG_ERR_OK;
}

/* Rules 1, 4: from the deepest folder up. */
static enum mg_err
seal_dirs(struct copy *c)
{
	const char *path;
	size_t i;
	int fd, bad;

	for (i = c->tree->ndirs; i-- > 0;) {
		path = c->tree->dirs[i].path;
		fd = openat(FD_STORE, path[0] == '\0' ? "." : path,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd == -1)
			return say_errno(
			    c, MG_ERR_SYS, path, "cannot be opened");
		bad = fchmod(fd, 0555) != 0 || fsync(fd) != 0;
		if (i == 0 && c->tree->nfiles > SYNC_EACH_MAX)
			bad = bad || syncfs(fd) != 0;
		if (bad)
			(void)say_errno(c, MG_ERR_SYS, path, "cannot be kept");
		close(fd);
		if (bad)
			return MG_ERR_SYS;
	}
	return MG_ERR_OK;
}

static enum mg_err
copy_all(struct copy *c, uint64_t max_bytes)
{
	struct mg_tree_rules rules = {.max_bytes = max_bytes};
	enum mg_err r;
	size_t i;

	r = mg_tree_walk(
	    c->source, &rules, &c->tree, c->why, sizeof(c->why)); /* Rule 2 */
	if (r != MG_ERR_OK || (r = make_dirs(c)) != MG_ERR_OK)
		return r;
	for (i = 0; i < c->tree->nfiles; i++)
		if ((r = copy_file(c, i)) != MG_ERR_OK)
			return r;
	return seal_dirs(c);
}

/* ---- the process ---- */

static enum mg_err
answer(struct mg_chan *ch, struct mg_frame *f, int source, const char *open_why)
{
	struct copy c = {.ch = ch,
	    .id = f->id,
	    .source = source,
	    .next_ms = mg_time_boot_ms() + TELL_MS};
	struct mg_copy_ans ans = {.ok = false, .text = c.why};
	struct mg_copy_req req;
	enum mg_err r;

	if (f->op != MG_MSG_COPY_REQ)
		return MG_ERR_PROTO;
	if ((r = mg_frame_decode(f, &req, sizeof(req))) != MG_ERR_OK)
		return r;
	if (source == -1)
		snprintf(c.why, sizeof(c.why), "%s", open_why);
	else if ((c.buf = malloc(BUFFER)) == NULL)
		snprintf(c.why, sizeof(c.why), "out of memory");
	else
		ans.ok = copy_all(&c, req.max_bytes) == MG_ERR_OK;
	if (ans.ok)
		c.why[0] = '\0';
	mg_tree_free(c.tree);
	free(c.buf);
	return mg_chan_send(ch, f->id, MG_MSG_COPY_ANS, &ans);
}

static void
confine(int source)
{
	static const struct mg_confine_limits limits = {
	    .cpu_s = MG_CONFINE_INHERIT,
	    .as_bytes = (uint64_t)1 << 30,
	    .fsize_bytes = MG_CONFINE_INHERIT,
	    .nofile = 64,
	    .nproc = MG_CONFINE_INHERIT};
	char why[256];

	if (mg_confine_root(&limits, source, FD_STORE, why, sizeof(why)) !=
		MG_ERR_OK ||
	    mg_filter_only(MG_ALLOW_READ | MG_ALLOW_WRITE, why, sizeof(why)) !=
		MG_ERR_OK)
		mg_fatal("%s", why);
}

static void
do_copy(const char *path)
{
	static const struct mg_file_rule any = {.any_owner = true};
	char open_why[512] = "";
	struct mg_chan *ch;
	struct mg_frame f;
	enum mg_err r;
	int source = -1;

	(void)!mg_file_open(
	    path, O_DIRECTORY, &any, &source, open_why, sizeof(open_why));
	confine(source);
	ch =
	    mg_chan_new(FD_CHANNEL, MG_ROLE_VERIFY, MG_ROLE_MONITOR, QUEUE_MAX);
	if (ch == NULL)
		mg_fatal("no channel on descriptor %d", FD_CHANNEL);
	if ((r = mg_chan_wait(ch, QUESTION_MS, &f)) == MG_ERR_OK)
		r = answer(ch, &f, source, open_why);
	if (r == MG_ERR_OK)
		r = mg_chan_finish(ch, ANSWER_MS);
	mg_chan_free(ch);
	if (r != MG_ERR_OK)
		mg_fatal("%s", mg_err_str(r));
}

/* A sealed folder is made writable again before its entries go. */
static int
open_up(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)at;
	if (kind == FTW_D && (st->st_mode & 0200) == 0)
		return chmod(path, 0700);
	return 0;
}

static int
take_away(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)at;
	if (kind == FTW_DP || kind == FTW_DNR)
		(void)rmdir(path);
	else
		(void)unlink(path);
	return 0;
}

/* Removes the given-up copy NAME, a folder of root's that nobody else can
 * write: paths are as good as descriptors in it. */
static void
do_clean(const char *name)
{
	if (strncmp(name, "tmp-", 4) != 0 || strchr(name, '/') != NULL)
		mg_fatal("'%s' is not a copy that was given up", name);
	if (fchdir(FD_STORE) != 0)
		mg_fatal("no store on descriptor %d", FD_STORE);
	if (nftw(name, open_up, 16, FTW_PHYS | FTW_MOUNT) == 0)
		(void)nftw(
		    name, take_away, 16, FTW_PHYS | FTW_MOUNT | FTW_DEPTH);
}

int
main(int argc, char **argv)
{
	mg_log_init("mg-store", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (argc != 3 ||
	    (strcmp(argv[1], "copy") != 0 && strcmp(argv[1], "clean") != 0))
		mg_fatal("usage: mg-store copy PATH | clean NAME");
	if (clearenv() != 0)
		mg_fatal("cannot clear the environment");
	if (strcmp(argv[1], "copy") == 0) {
		do_copy(argv[2]);
	} else {
		confine(-1);
		do_clean(argv[2]);
	}
	return 0;
}
