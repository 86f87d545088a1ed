/* SPDX-License-Identifier: ISC */
/* System calls that fail when they are told to, and a disk that remembers
 * only what was synced: fault.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault.h"

#define NODES_MAX 256
#define NAMES_MAX 64
/* In memory: nothing here depends on a real disk. */
#define FOLDER "/dev/shm"
#define EXIT_CUT 77
#define EXIT_WRONG 78
#define CALLS_MAX 5000

/* ---- the plan ---- */

static bool armed;
static bool inside; /* our own calls, while it is armed */
static enum fault_how how;
static unsigned at;
static int error;
static enum fault_disk disk;
static struct fault_seen *seen;
static int world = -1; /* the folder that is worked in */
static char after[64]; /* where the disk is found after a cut */

/* ---- the disk ---- */

struct name {
	char text[64];
	unsigned node;
};

struct node {
	dev_t dev;
	ino_t ino;
	int keep; /* so that its number is not given to another file */
	bool is_dir, synced;
	mode_t mode;
	char *data;
	size_t len;
	struct name names[NAMES_MAX];
	size_t nnames;
};

static struct node nodes[NODES_MAX];
static size_t nnodes;

/* Names that were removed, while their folder was not synced since. */
struct ghost {
	unsigned dir;
	struct name name;
};

static struct ghost ghosts[NAMES_MAX];
static size_t nghosts;

static void
broken(const char *text)
{
	fprintf(stderr, "fault: %s: %s\n", text, strerror(errno));
	_exit(EXIT_WRONG);
}

/* Its place in nodes; the descriptor is not kept: it may hold a lock. */
static unsigned
node_of(int fd)
{
	struct stat st;
	char path[32];
	size_t i;
	int again;

	if (fstat(fd, &st) != 0)
		broken("cannot look at a file");
	for (i = 0; i < nnodes; i++)
		if (nodes[i].dev == st.st_dev && nodes[i].ino == st.st_ino)
			return (unsigned)i;
	if (i == NODES_MAX)
		broken("too many files");
	nodes[i].dev = st.st_dev;
	nodes[i].ino = st.st_ino;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_PATH | O_CLOEXEC);
	/* Far away from the numbers that the code under test sees. */
	nodes[i].keep = fcntl(again, F_DUPFD_CLOEXEC, 500);
	if (nodes[i].keep == -1)
		broken("cannot keep a file");
	close(again);
	nodes[i].is_dir = S_ISDIR(st.st_mode);
	nodes[i].mode = st.st_mode & 07777;
	nnodes++;
	return (unsigned)i;
}

static int
node_open(const struct node *n, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", n->keep);
	if ((fd = open(path, flags | O_CLOEXEC)) == -1)
		broken("cannot look at a file");
	return fd;
}

static char *
node_bytes(const struct node *n, size_t *lenp)
{
	struct stat st;
	char *p = NULL;
	int fd = node_open(n, O_RDONLY);

	if (fstat(fd, &st) != 0 ||
	    (p = malloc((size_t)st.st_size + 1)) == NULL ||
	    pread(fd, p, (size_t)st.st_size, 0) != st.st_size)
		broken("cannot read a file");
	close(fd);
	*lenp = (size_t)st.st_size;
	return p;
}

/* The names in the folder n as they are now. */
static size_t
node_names(const struct node *n, struct name *v)
{
	struct dirent *de;
	size_t k = 0;
	int one, fd = node_open(n, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);

	while (d != NULL && (de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (k == NAMES_MAX)
			broken("too many names");
		snprintf(v[k].text, sizeof(v[k].text), "%s", de->d_name);
		one = openat(fd, de->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (one == -1)
			broken("cannot look at a name");
		v[k++].node = node_of(one);
		close(one);
	}
	closedir(d);
	return k;
}

static void
node_sync(unsigned i)
{
	struct node *n = &nodes[i];
	size_t k;

	n->synced = true;
	if (n->is_dir) {
		n->nnames = node_names(n, n->names);
		for (k = nghosts; k-- > 0;)
			if (ghosts[k].dir == i)
				ghosts[k] = ghosts[--nghosts];
		return;
	}
	free(n->data);
	n->data = node_bytes(n, &n->len);
}

static void
sync_tree(unsigned i)
{
	size_t k;

	node_sync(i);
	if (nodes[i].is_dir)
		for (k = 0; k < nodes[i].nnames; k++)
			sync_tree(nodes[i].names[k].node);
}

/* It is about to be removed. */
static void
remember(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct ghost *g = &ghosts[nghosts];

	if (fd == -1)
		return;
	if (nghosts == NAMES_MAX)
		broken("too many names were removed");
	g->dir = node_of(dirfd);
	g->name.node = node_of(fd);
	snprintf(g->name.text, sizeof(g->name.text), "%s", name);
	nghosts++;
	close(fd);
}

/* ---- the cut ---- */

static void
leave_file(int dirfd, const char *name, const struct node *n)
{
	size_t len = 0, live_len;
	char *live = node_bytes(n, &live_len);
	const char *p = live;
	int fd;

	switch (disk) {
	case FAULT_ALL:
	case FAULT_BYTES:
	case FAULT_GHOSTS:
		len = live_len;
		break;
	case FAULT_NONE:
	case FAULT_NAMES:
		p = n->data;
		len = n->synced ? n->len : 0;
		break;
	case FAULT_HALF:
		/* The first half of what was added; of what was changed
		 * within, all. */
		len = live_len > n->len ? n->len + (live_len - n->len) / 2
					: live_len;
		break;
	}
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 || write(fd, p, len) != (ssize_t)len ||
	    fchmod(fd, n->mode | 0600) != 0)
		broken("cannot leave a file");
	close(fd);
	free(live);
}

static size_t
add_name(struct name *v, size_t n, const struct name *name)
{
	size_t k;

	for (k = 0; k < n; k++)
		if (strcmp(v[k].text, name->text) == 0)
			return n;
	if (n == NAMES_MAX)
		broken("too many names");
	v[n] = *name;
	return n + 1;
}

static void
leave(int dirfd, unsigned i)
{
	bool old = disk == FAULT_NONE || disk == FAULT_BYTES;
	struct name *v = calloc(NAMES_MAX, sizeof(*v));
	struct node *n = &nodes[i];
	size_t k, nv;
	int sub;

	if (v == NULL)
		broken("memory");
	if (old)
		memcpy(v, n->names, sizeof(n->names));
	nv = old ? n->nnames : node_names(n, v);
	for (k = 0; k < nghosts && disk == FAULT_GHOSTS; k++)
		if (ghosts[k].dir == i)
			nv = add_name(v, nv, &ghosts[k].name);
	for (k = 0; k < nv; k++) {
		if (!nodes[v[k].node].is_dir) {
			leave_file(dirfd, v[k].text, &nodes[v[k].node]);
			continue;
		}
		if (mkdirat(dirfd, v[k].text, 0700) != 0 ||
		    (sub = openat(dirfd, v[k].text, O_RDONLY | O_DIRECTORY)) ==
			-1)
			broken("cannot leave a folder");
		leave(sub, v[k].node);
		close(sub);
	}
	free(v);
}

static void
cut(void)
{
	int fd;

	armed = false;
	fd = open(after, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		broken("cannot open what is left");
	leave(fd, node_of(world));
	close(fd);
}

static void
arm(void)
{
	sync_tree(node_of(world));
	armed = true;
}

/* ---- one call ---- */

enum verdict { GO, FAIL, HALF };

/* writes: the call changes something. */
static enum verdict
judge(const char *call, bool writes)
{
	enum verdict v = FAIL;

	if (!armed || inside)
		return GO;
	if (++seen->calls != at)
		return seen->hit && how == FAULT_STAYS && writes ? FAIL : GO;
	seen->hit = true;
	snprintf(seen->call, sizeof(seen->call), "%s", call);
	if (how == FAULT_CUT) {
		cut();
		_exit(EXIT_CUT);
	}
	if (how == FAULT_SHORT || how == FAULT_TORN)
		v = HALF;
	return v;
}

/* What a torn call that cannot be halved comes to: done, and then dark. */
static int
done(int r)
{
	if (how == FAULT_TORN) {
		cut();
		_exit(EXIT_CUT);
	}
	return r;
}

#define CALL(name, writes, real)                                               \
	switch (judge(#name, writes)) {                                        \
	case FAIL:                                                             \
		errno = error;                                                 \
		return -1;                                                     \
	case HALF:                                                             \
		return done(real);                                             \
	case GO:                                                               \
		break;                                                         \
	}                                                                      \
	return real

#define WRAP(type, name, ...)                                                  \
	type __real_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__)

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_openat(int dirfd, const char *name, int flags, ...);
int __wrap_openat(int dirfd, const char *name, int flags, ...);
int
__wrap_openat(int dirfd, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode = 0;
	bool writes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	CALL(openat, writes, __real_openat(dirfd, name, flags, mode));
}

WRAP(int, __openat_2, int dirfd, const char *name, int flags)
{
	CALL(openat, false, __real___openat_2(dirfd, name, flags));
}

int __real_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...);
int
__wrap_open(const char *name, int flags, ...)
{
	CALL(open, false, __real_open(name, flags));
}

WRAP(ssize_t, write, int fd, const void *p, size_t n)
{
	switch (judge("write", true)) {
	case FAIL:
		errno = error;
		return -1;
	case HALF:
		if (n > 1)
			n /= 2;
		return done((int)__real_write(fd, p, n));
	case GO:
		break;
	}
	return __real_write(fd, p, n);
}

WRAP(ssize_t, pwrite, int fd, const void *p, size_t n, off_t off)
{
	switch (judge("pwrite", true)) {
	case FAIL:
		errno = error;
		return -1;
	case HALF:
		if (n > 1)
			n /= 2;
		return done((int)__real_pwrite(fd, p, n, off));
	case GO:
		break;
	}
	return __real_pwrite(fd, p, n, off);
}

WRAP(ssize_t, copy_file_range, int in, off_t *ip, int out, off_t *op, size_t n,
    unsigned flags)
{
	switch (judge("copy_file_range", true)) {
	case FAIL:
		errno = error;
		return -1;
	case HALF:
		if (n > 1)
			n /= 2;
		return done(
		    (int)__real_copy_file_range(in, ip, out, op, n, flags));
	case GO:
		break;
	}
	return __real_copy_file_range(in, ip, out, op, n, flags);
}

static int
synced(int fd, int r)
{
	if (r == 0 && armed) {
		inside = true;
		node_sync(node_of(fd));
		inside = false;
	}
	return r;
}

WRAP(int, fsync, int fd)
{
	CALL(fsync, true, synced(fd, __real_fsync(fd)));
}

WRAP(int, fdatasync, int fd)
{
	CALL(fdatasync, true, synced(fd, __real_fdatasync(fd)));
}

static int
synced_all(int r)
{
	if (r == 0 && armed) {
		inside = true;
		sync_tree(node_of(world));
		inside = false;
	}
	return r;
}

WRAP(int, syncfs, int fd)
{
	CALL(syncfs, true, synced_all(__real_syncfs(fd)));
}

WRAP(int, ftruncate, int fd, off_t n)
{
	CALL(ftruncate, true, __real_ftruncate(fd, n));
}

WRAP(int, renameat, int fd, const char *a, int to, const char *b)
{
	CALL(renameat, true, __real_renameat(fd, a, to, b));
}

WRAP(int, unlinkat, int fd, const char *name, int flags)
{
	if (armed && !inside) {
		inside = true;
		remember(fd, name);
		inside = false;
	}
	CALL(unlinkat, true, __real_unlinkat(fd, name, flags));
}

WRAP(int, mkdirat, int fd, const char *name, mode_t mode)
{
	CALL(mkdirat, true, __real_mkdirat(fd, name, mode));
}

WRAP(int, fchmod, int fd, mode_t mode)
{
	CALL(fchmod, true, __real_fchmod(fd, mode));
}

/* Whatever is said, a descriptor is closed; a late error may be told. */
WRAP(int, close, int fd)
{
	int r;

	switch (judge("close", false)) {
	case FAIL:
		(void)__real_close(fd);
		errno = error;
		return -1;
	case HALF:
		r = __real_close(fd);
		return done(r);
	case GO:
		break;
	}
	return __real_close(fd);
}

WRAP(ssize_t, read, int fd, void *p, size_t n)
{
	switch (judge("read", false)) {
	case FAIL:
		errno = error;
		return -1;
	case HALF:
		if (n > 1)
			n /= 2;
		return done((int)__real_read(fd, p, n));
	case GO:
		break;
	}
	return __real_read(fd, p, n);
}

WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t off)
{
	CALL(pread, false, __real_pread(fd, p, n, off));
}

WRAP(ssize_t, __pread_chk, int fd, void *p, size_t n, off_t off, size_t room)
{
	CALL(pread, false, __real___pread_chk(fd, p, n, off, room));
}

WRAP(int, fstat, int fd, struct stat *st)
{
	CALL(fstat, false, __real_fstat(fd, st));
}

WRAP(int, flock, int fd, int op)
{
	CALL(flock, false, __real_flock(fd, op));
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- every call in turn ---- */

void
fault_lose(struct fault_seen *s, unsigned long i, bool sure)
{
	assert_true(i < sizeof(s->lost));
	s->lost[i] = sure ? 2 : 1;
}

bool
fault_may_lack(const struct fault_seen *s, unsigned long i)
{
	return i < sizeof(s->lost) && s->lost[i] > 0;
}

bool
fault_has_gone(const struct fault_seen *s, unsigned long i)
{
	return i < sizeof(s->lost) && s->lost[i] == 2;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static void
remove_all(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	while (waitpid(pid, &status, 0) == -1)
		assert_int_equal(errno, EINTR);
	return status;
}

static const char *
plan_text(char *out, size_t size)
{
	static const char *const hows[] = {[FAULT_ONCE] = "fails once",
	    [FAULT_STAYS] = "fails and stays so",
	    [FAULT_SHORT] = "is short",
	    [FAULT_CUT] = "is when the power goes",
	    [FAULT_TORN] = "is torn"};
	static const char *const disks[] = {[FAULT_ALL] = "all",
	    [FAULT_NONE] = "nothing",
	    [FAULT_NAMES] = "names",
	    [FAULT_BYTES] = "bytes",
	    [FAULT_HALF] = "half",
	    [FAULT_GHOSTS] = "more than there was"};

	snprintf(out, size,
	    "call %u (%s) %s (%s); of what was not synced is left: %s", at,
	    seen->call, hows[how], strerror(error), disks[disk]);
	return out;
}

/* Both run in children: what they break, leak or lock ends with them. */
static void
play(const struct fault_test *t)
{
	t->play(world, seen);
	if (how == FAULT_CUT || how == FAULT_TORN)
		armed = false;
	else
		cut();
	_exit(0);
}

static void
run_check(const struct fault_test *t)
{
	int fd = open(after, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		broken("cannot open what is left");
	t->check(fd, seen);
	_exit(0);
}

/* False: the n-th call did not come. */
static bool
one(const struct fault_test *t)
{
	char dir[64] = FOLDER "/fault.XXXXXX", text[256];
	int status;
	pid_t pid;

	memset(seen, 0, sizeof(*seen));
	assert_non_null(mkdtemp(dir));
	snprintf(after, sizeof(after), FOLDER "/fault-after.XXXXXX");
	assert_non_null(mkdtemp(after));
	world = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(world != -1);
	if (t->prepare != NULL)
		t->prepare(world);
	fflush(NULL);
	if ((pid = fork()) == 0) {
		arm();
		play(t);
	}
	status = wait_for(pid);
	if (!WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != EXIT_CUT &&
		WEXITSTATUS(status) != t->may_exit))
		fail_msg("%s: status 0x%x", plan_text(text, sizeof(text)),
		    (unsigned)status);
	/* A process that gave up left no disk: the live one is it. */
	if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) == t->may_exit) {
		remove_all(after);
		assert_int_equal(rename(dir, after), 0);
	}
	if (seen->hit || WEXITSTATUS(status) == 0) {
		if (seen->hit && (pid = fork()) == 0)
			run_check(t);
		if (seen->hit && wait_for(pid) != 0)
			fail_msg("%s: not sound, in %s",
			    plan_text(text, sizeof(text)), after);
	}
	close(world);
	remove_all(dir);
	remove_all(after);
	return seen->hit;
}

static unsigned
each(const struct fault_test *t)
{
	for (at = 1; one(t); at++)
		assert_true(at < CALLS_MAX);
	assert_true(at > 1); /* something was tried */
	return at - 1;
}

struct plan {
	enum fault_how how;
	int error;
	enum fault_disk disk;
	bool always; /* not only with FAULTS=all */
};

static const struct plan plans[] = {
    {FAULT_ONCE, EIO, FAULT_NONE, true},
    {FAULT_ONCE, EIO, FAULT_GHOSTS, true},
    {FAULT_ONCE, ENOSPC, FAULT_HALF, false},
    {FAULT_ONCE, EINTR, FAULT_NONE, false},
    {FAULT_ONCE, EDQUOT, FAULT_HALF, false},
    {FAULT_STAYS, EIO, FAULT_NONE, false},
    {FAULT_STAYS, ENOSPC, FAULT_ALL, true},
    {FAULT_STAYS, EROFS, FAULT_NONE, false},
    {FAULT_SHORT, 0, FAULT_NONE, true},
    {FAULT_CUT, 0, FAULT_ALL, false},
    {FAULT_CUT, 0, FAULT_NONE, true},
    {FAULT_CUT, 0, FAULT_NAMES, false},
    {FAULT_CUT, 0, FAULT_BYTES, false},
    {FAULT_CUT, 0, FAULT_HALF, true},
    {FAULT_CUT, 0, FAULT_GHOSTS, false},
    {FAULT_TORN, 0, FAULT_ALL, true},
    {FAULT_TORN, 0, FAULT_NONE, false},
    {FAULT_TORN, 0, FAULT_NAMES, false},
    {FAULT_TORN, 0, FAULT_BYTES, false},
    {FAULT_TORN, 0, FAULT_HALF, false},
};

void
fault_every(const struct fault_test *t)
{
	const char *env = getenv("FAULTS");
	bool all = env != NULL && strcmp(env, "all") == 0;
	const struct plan *p;
	unsigned runs = 0;
	size_t i;

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	for (i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		p = &plans[i];
		if (!all && !p->always)
			continue;
		how = p->how;
		error = p->error;
		disk = p->disk;
		runs += each(t);
	}
	print_message("# %u runs, each with another call that failed\n", runs);
	munmap(seen, sizeof(*seen));
}
