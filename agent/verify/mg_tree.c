/* SPDX-License-Identifier: ISC */
/*
 * Walks an artifact that its owner may be changing.
 *
 * Rules
 * 1. Everything is reached from the one descriptor that we were given, with
 *    openat2(): no symbolic link, no "..", no other file system. A path
 *    that is looked up from the root would be whatever stands there now.
 * 2. Only regular files and folders. A link would give other bytes to
 *    whoever follows it later, a FIFO would hang us, a device is not data.
 * 3. A file with a second name is refused: whoever owns the other name can
 *    change it from outside of the artifact.
 * 4. Names are plain UTF-8 without a backslash: no name can look like
 *    another one, break a line of the manifest, or need its escapes.
 * 5. What is opened later has to be what was listed: same inode, size and
 *    times, before and after it was read.
 * 6. Bounded: files, folders, depth, length of paths, bytes.
 * 7. What was sealed is still: where somebody can write, the right bytes
 *    are right for no longer than this look at them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mg_esc.h"
#include "verify/mg_tree.h"

#define NAMES_CHUNK 65536
#define OPEN_TRIES 100 /* a rename elsewhere makes openat2() say again */

/* Paths are never freed one by one, so they are kept in large pieces. */
struct mg_tree_names {
	struct mg_tree_names *next;
	size_t used;
	char d[NAMES_CHUNK];
};

struct walk {
	struct mg_tree *tree;
	const struct mg_tree_rules *rules;
	size_t files_cap, dirs_cap;
	char *why;
	size_t why_size;
};

static enum mg_err say(char *why, size_t size, enum mg_err r, const char *path,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Says what is wrong with path, which may be any bytes. */
static enum mg_err
say(char *why, size_t size, enum mg_err r, const char *path, const char *fmt,
    ...)
{
	char esc[160], text[160];
	va_list ap;

	mg_esc_line(path[0] == '\0' ? "." : path, esc, sizeof(esc));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(why, size, "'%s' %s", esc, text);
	return r;
}

static enum mg_err
say_errno(char *why, size_t size, const char *path, const char *what)
{
	int e = errno;
	enum mg_err r = MG_ERR_SYS;

	if (e == EACCES || e == EPERM)
		r = MG_ERR_PERM;
	else if (e == ENOMEM)
		r = MG_ERR_NOMEM;
	else if (e == ENOENT || e == ENOTDIR)
		r = MG_ERR_STATE;
	if (e == EXDEV)
		return say(
		    why, size, MG_ERR_PERM, path, "is on another file system");
	if (e == ELOOP)
		return say(why, size, MG_ERR_PERM, path, "is a symbolic link");
	return say(why, size, r, path, "%s: %s", what, strerror(e));
}

/* ---- reaching ---- */

/* Rule 1 */
static int
open_below(int root, const char *path, int flags)
{
	struct open_how how;
	int fd, tries = 0;

	memset(&how, 0, sizeof(how));
	how.flags = (uint64_t)(unsigned)(O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
					 O_NOCTTY | O_NONBLOCK | flags);
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		      RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
	do
		fd = (int)syscall(SYS_openat2, root,
		    path[0] == '\0' ? "." : path, &how, sizeof(how));
	while (fd == -1 && (errno == EINTR || errno == EAGAIN) &&
	       ++tries < OPEN_TRIES);
	return fd;
}

static struct mg_tree_id
id_of(const struct stat *st)
{
	struct mg_tree_id id;

	memset(&id, 0, sizeof(id));
	id.dev = st->st_dev;
	id.ino = st->st_ino;
	id.size = (uint64_t)st->st_size;
	id.mtime = st->st_mtim;
	id.ctime = st->st_ctim;
	return id;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
same_id(const struct mg_tree_id *a, const struct mg_tree_id *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

/* Rules 2, 3 */
static enum mg_err
check_kind(const struct stat *st, const char *path, char *why, size_t size)
{
	if (S_ISLNK(st->st_mode))
		return say(why, size, MG_ERR_PERM, path, "is a symbolic link");
	if (!S_ISREG(st->st_mode))
		return say(why, size, MG_ERR_PERM, path,
		    "is neither a regular file nor a folder");
	if (st->st_nlink != 1)
		return say(why, size, MG_ERR_PERM, path,
		    "has %ju names (hard links)", (uintmax_t)st->st_nlink);
	if (st->st_size < 0)
		return say(why, size, MG_ERR_PERM, path, "has no size");
	return MG_ERR_OK;
}

/* Rule 7; an ACL that lets somebody write shows in the group's bits. */
static enum mg_err
check_seal(const struct walk *w, const struct stat *st, const char *path)
{
	if (!w->rules->is_sealed)
		return MG_ERR_OK;
	if (st->st_uid != 0)
		return say(w->why, w->why_size, MG_ERR_PERM, path,
		    "was given to user %ju", (uintmax_t)st->st_uid);
	if ((st->st_mode & 0222) != 0)
		return say(w->why, w->why_size, MG_ERR_PERM, path,
		    "was made writable: mode %04o",
		    (unsigned)(st->st_mode & 07777));
	return MG_ERR_OK;
}

/* ---- listing ---- */

static const char *
keep_name(struct mg_tree *tree, const char *s, size_t n)
{
	struct mg_tree_names *c = tree->names;

	if (c == NULL || NAMES_CHUNK - c->used < n + 1) {
		if ((c = malloc(sizeof(*c))) == NULL)
			return NULL;
		c->next = tree->names;
		c->used = 0;
		tree->names = c;
	}
	memcpy(c->d + c->used, s, n + 1);
	c->used += n + 1;
	return c->d + c->used - n - 1;
}

static enum mg_err
add(struct walk *w, struct mg_tree_entry **vp, size_t *np, size_t *capp,
    size_t max, const char *path, const struct stat *st)
{
	struct mg_tree_entry *v;
	enum mg_err r;
	size_t cap;

	if ((r = check_seal(w, st, path)) != MG_ERR_OK)
		return r;
	if (*np == max) /* Rule 6 */
		return say(w->why, w->why_size, MG_ERR_LIMIT, path,
		    "is one too many: more than %zu of its kind", max);
	if (*np == *capp) {
		cap = *capp == 0 ? 64 : *capp * 2;
		if ((v = reallocarray(*vp, cap, sizeof(*v))) == NULL)
			return MG_ERR_NOMEM;
		*vp = v;
		*capp = cap;
	}
	v = &(*vp)[*np];
	v->id = id_of(st);
	if ((v->path = keep_name(w->tree, path, strlen(path))) == NULL)
		return MG_ERR_NOMEM;
	++*np;
	return MG_ERR_OK;
}

static enum mg_err
add_file(struct walk *w, const char *path, const struct stat *st)
{
	struct mg_tree *t = w->tree;
	uint64_t size = (uint64_t)st->st_size;
	enum mg_err r;

	r = check_kind(st, path, w->why, w->why_size);
	if (r != MG_ERR_OK)
		return r;
	if (size > w->rules->max_bytes - t->bytes)
		return say(w->why, w->why_size, MG_ERR_LIMIT, path,
		    "goes beyond the %ju bytes that an artifact may have",
		    (uintmax_t)w->rules->max_bytes);
	t->bytes += size;
	return add(w, &t->files, &t->nfiles, &w->files_cap, MG_TREE_FILES_MAX,
	    path, st);
}

static size_t
depth_of(const char *path)
{
	size_t n = 1;

	for (; *path != '\0'; path++)
		n += *path == '/';
	return n;
}

static enum mg_err
add_dir(struct walk *w, const char *path, const struct stat *st)
{
	if (depth_of(path) > MG_TREE_DEPTH_MAX)
		return say(w->why, w->why_size, MG_ERR_LIMIT, path,
		    "is more than %d folders deep", MG_TREE_DEPTH_MAX);
	return add(w, &w->tree->dirs, &w->tree->ndirs, &w->dirs_cap,
	    MG_TREE_DIRS_MAX, path, st);
}

/* Rule 4 */
static enum mg_err
check_name(struct walk *w, const char *path, const char *name)
{
	if (!mg_utf8_is_valid(name, strlen(name)))
		return say(w->why, w->why_size, MG_ERR_PERM, path,
		    "has a name that is not UTF-8");
	if (!mg_esc_is_clean(name))
		return say(w->why, w->why_size, MG_ERR_PERM, path,
		    "has characters in its name that do not print");
	if (strchr(name, '\\') != NULL)
		return say(w->why, w->why_size, MG_ERR_PERM, path,
		    "has a backslash in its name");
	return MG_ERR_OK;
}

static bool
is_skipped(const struct mg_tree_rules *rules, const char *path)
{
	size_t i;

	for (i = 0; i < rules->nskip; i++)
		if (strcmp(rules->skip[i], path) == 0)
			return true;
	return false;
}

/* One name found in the folder dir, which is open as dirfd. */
static enum mg_err
visit(struct walk *w, int dirfd, const char *dir, const char *name)
{
	char path[MG_TREE_PATH_MAX + NAME_MAX + 2];
	struct stat st;
	enum mg_err r;

	snprintf(
	    path, sizeof(path), "%s%s%s", dir, dir[0] == '\0' ? "" : "/", name);
	if (is_skipped(w->rules, path))
		return MG_ERR_OK;
	if ((r = check_name(w, path, name)) != MG_ERR_OK)
		return r;
	if (strlen(path) > MG_TREE_PATH_MAX)
		return say(w->why, w->why_size, MG_ERR_LIMIT, path,
		    "has a path of more than %d bytes", MG_TREE_PATH_MAX);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return say_errno(
		    w->why, w->why_size, path, "cannot be looked at");
	if (S_ISDIR(st.st_mode))
		return add_dir(w, path, &st);
	return add_file(w, path, &st);
}

static enum mg_err
read_dir(struct walk *w, DIR *d, const char *dir)
{
	const struct dirent *e;
	enum mg_err r = MG_ERR_OK;

	while (r == MG_ERR_OK) {
		errno = 0;
		if ((e = readdir(d)) == NULL)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = visit(w, dirfd(d), dir, e->d_name);
	}
	if (r == MG_ERR_OK && errno != 0)
		return say_errno(w->why, w->why_size, dir, "cannot be listed");
	return r;
}

/* Lists folder i; folders found in it are put behind the last one. */
static enum mg_err
list_dir(struct walk *w, size_t i)
{
	struct mg_tree_entry *e = &w->tree->dirs[i];
	const char *path = e->path;
	struct mg_tree_id id;
	struct stat st;
	enum mg_err r;
	DIR *d = NULL;
	int fd;

	if ((fd = open_below(w->tree->fd, path, O_DIRECTORY)) == -1)
		return say_errno(w->why, w->why_size, path, "cannot be opened");
	if (fstat(fd, &st) != 0 || (d = fdopendir(fd)) == NULL) {
		r = say_errno(w->why, w->why_size, path, "cannot be listed");
		close(fd);
		return r;
	}
	id = id_of(&st);
	if (!same_id(&id, &e->id)) /* Rule 5 */
		r = say(w->why, w->why_size, MG_ERR_STATE, path,
		    "was changed while it was read");
	else
		r = read_dir(w, d, path);
	closedir(d);
	return r;
}

static int
compare(const void *a, const void *b)
{
	const struct mg_tree_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static enum mg_err
walk_all(struct walk *w)
{
	struct mg_tree *t = w->tree;
	struct stat st;
	enum mg_err r;
	size_t i;

	if (fstat(t->fd, &st) != 0)
		return say_errno(w->why, w->why_size, "", "cannot be read");
	if (!S_ISDIR(st.st_mode))
		return add_file(w, MG_TREE_SINGLE, &st);
	if ((r = add(w, &t->dirs, &t->ndirs, &w->dirs_cap, MG_TREE_DIRS_MAX, "",
		 &st)) != MG_ERR_OK)
		return r;
	for (i = 0; i < t->ndirs; i++)
		if ((r = list_dir(w, i)) != MG_ERR_OK)
			return r;
	if (t->nfiles == 0)
		return say(
		    w->why, w->why_size, MG_ERR_NOENT, "", "holds no file");
	qsort(t->files, t->nfiles, sizeof(*t->files), compare);
	return MG_ERR_OK;
}

enum mg_err
mg_tree_walk(int fd, const struct mg_tree_rules *rules, struct mg_tree **treep,
    char *why, size_t why_size)
{
	struct walk w;
	enum mg_err r;

	*treep = NULL;
	why[0] = '\0';
	memset(&w, 0, sizeof(w));
	w.rules = rules;
	w.why = why;
	w.why_size = why_size;
	if ((w.tree = calloc(1, sizeof(*w.tree))) == NULL) {
		r = MG_ERR_NOMEM;
	} else {
		w.tree->fd = fd;
		r = walk_all(&w);
	}
	if (r == MG_ERR_OK) {
		*treep = w.tree;
		w.tree = NULL;
	} else if (why[0] == '\0') {
		snprintf(why, why_size, "%s", mg_err_str(r));
	}
	mg_tree_free(w.tree);
	return r;
}

void
mg_tree_free(struct mg_tree *tree)
{
	struct mg_tree_names *c, *next;

	if (tree == NULL)
		return;
	for (c = tree->names; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(tree->files);
	free(tree->dirs);
	free(tree);
}

/* ---- using ---- */

/* Rule 5 */
enum mg_err
mg_tree_check(
    const struct mg_tree *tree, size_t i, int fd, char *why, size_t why_size)
{
	const struct mg_tree_entry *e = &tree->files[i];
	struct mg_tree_id id;
	struct stat st;
	enum mg_err r;

	if (fstat(fd, &st) != 0)
		return say_errno(why, why_size, e->path, "cannot be read");
	id = id_of(&st);
	if (!same_id(&id, &e->id))
		return say(why, why_size, MG_ERR_STATE, e->path,
		    "was changed while it was read");
	r = check_kind(&st, e->path, why, why_size);
	return r;
}

enum mg_err
mg_tree_open(
    const struct mg_tree *tree, size_t i, int *fdp, char *why, size_t why_size)
{
	const char *path = tree->files[i].path;
	enum mg_err r;
	int fd;

	*fdp = -1;
	if (strcmp(path, MG_TREE_SINGLE) == 0)
		fd = fcntl(tree->fd, F_DUPFD_CLOEXEC, 3);
	else
		fd = open_below(tree->fd, path, 0);
	if (fd == -1)
		return say_errno(why, why_size, path, "cannot be opened");
	r = mg_tree_check(tree, i, fd, why, why_size);
	if (r != MG_ERR_OK)
		close(fd);
	else
		*fdp = fd;
	return r;
}

enum mg_err
mg_tree_check_dirs(const struct mg_tree *tree, char *why, size_t why_size)
{
	const struct mg_tree_entry *e;
	struct mg_tree_id id;
	struct stat st;
	size_t i;
	int fd, bad;

	for (i = 0; i < tree->ndirs; i++) {
		e = &tree->dirs[i];
		if ((fd = open_below(tree->fd, e->path, O_DIRECTORY)) == -1)
			return say_errno(
			    why, why_size, e->path, "cannot be opened");
		bad = fstat(fd, &st);
		close(fd);
		if (bad != 0)
			return say_errno(
			    why, why_size, e->path, "cannot be read");
		id = id_of(&st);
		if (!same_id(&id, &e->id))
			return say(why, why_size, MG_ERR_STATE, e->path,
			    "was changed while it was read");
	}
	return MG_ERR_OK;
}
