/* SPDX-License-Identifier: ISC */
/*
 * Swaps the bytes of an artifact under whoever reads it, until killed:
 *
 *	swapper HOW FOLDER SPARE
 *
 * FOLDER holds the artifact: a file "weights" of 256 KiB of 'g'. SPARE is a
 * folder beside it, for what is put in its place: 'e'. HOW is one of
 *
 *	rename	    weights changes places with another file
 *	folder	    FOLDER changes places with another folder
 *	symlink	    weights is a link to another file now and then
 *	hardlink    weights is another name of another file now and then
 *	write	    weights is written in place
 *	map	    weights is written through a mapping made before
 *	fuse	    FOLDER is a file system whose file has other bytes each
 *		    time that it is read (as root: a mount)
 *	stuck	    the same, and who closes the file waits for ever
 *
 * Prints a line when it has begun, and on SIGTERM how often it swapped.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SIZE 262144

static volatile sig_atomic_t ended;
static unsigned long swaps;
static char good[SIZE], evil[SIZE];

static void
on_term(int sig)
{
	(void)sig;
	ended = 1;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* Between nothing and a few milliseconds: what is attacked takes about as
 * long, so every moment of it is hit. */
static void
pause_some(void)
{
	struct timespec ts = {0, (random() % 8000) * 1000L};

	if (random() % 3 != 0)
		(void)nanosleep(&ts, NULL);
}

static void
put(int dir, const char *name, const char *bytes)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd == -1 || write(fd, bytes, SIZE) != SIZE)
		die(name);
	close(fd);
}

/* ---- ways ---- */

static void
by_rename(int a, int b)
{
	put(b, "other", evil);
	for (; !ended; swaps++, pause_some())
		if (renameat2(a, "weights", b, "other", RENAME_EXCHANGE) != 0)
			die("rename");
}

static void
by_folder(const char *folder, const char *spare)
{
	char other[4096];
	int fd;

	snprintf(other, sizeof(other), "%s/folder", spare);
	if (mkdir(other, 0755) != 0 ||
	    (fd = open(other, O_RDONLY | O_DIRECTORY)) == -1)
		die(other);
	put(fd, "weights", evil);
	for (; !ended; swaps++, pause_some())
		if (renameat2(AT_FDCWD, folder, AT_FDCWD, other,
			RENAME_EXCHANGE) != 0)
			die("rename");
}

static void
by_link(int a, int b, const char *spare, bool hard)
{
	char target[4096];

	put(b, "other", evil);
	snprintf(target, sizeof(target), "%s/other", spare);
	for (; !ended; swaps++, pause_some()) {
		if (hard && linkat(b, "other", b, "new", 0) != 0)
			die("link");
		if (!hard && symlinkat(target, b, "new") != 0)
			die("symlink");
		if (renameat2(a, "weights", b, "new", RENAME_EXCHANGE) != 0)
			die("rename");
		pause_some();
		if (renameat2(a, "weights", b, "new", RENAME_EXCHANGE) != 0 ||
		    unlinkat(b, "new", 0) != 0)
			die("back");
	}
}

static void
by_write(int a)
{
	int fd = openat(a, "weights", O_RDWR);

	if (fd == -1)
		die("weights");
	for (; !ended; swaps++, pause_some()) {
		if (pwrite(fd, swaps % 2 == 0 ? evil : good, SIZE, 0) != SIZE)
			die("write");
	}
	(void)!pwrite(fd, good, SIZE, 0);
}

static void
by_map(int a)
{
	int fd = openat(a, "weights", O_RDWR);
	char *p;

	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("map");
	for (; !ended; swaps++, pause_some())
		memcpy(p, swaps % 2 == 0 ? evil : good, SIZE);
	memcpy(p, good, SIZE);
}

/* ---- a file system that lies ---- */

#define INO_FILE 2

static void
attr(struct fuse_attr *a, uint64_t ino)
{
	memset(a, 0, sizeof(*a));
	a->ino = ino;
	a->mode = ino == INO_FILE ? S_IFREG | 0644 : S_IFDIR | 0755;
	a->nlink = ino == INO_FILE ? 1 : 2;
	a->size = ino == INO_FILE ? SIZE : 0;
	a->blksize = 4096;
	a->mtime = a->ctime = a->atime = 1000000000;
}

static void
answer(int dev, uint64_t unique, int error, const void *data, size_t n)
{
	struct fuse_out_header h = {.len = (uint32_t)(sizeof(h) + n),
	    .error = -error,
	    .unique = unique};
	struct iovec v[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)data, n}};

	(void)!writev(dev, v, n > 0 ? 2 : 1);
}

static void
answer_entry(int dev, uint64_t unique, const char *name)
{
	struct fuse_entry_out e = {.nodeid = INO_FILE, .generation = 1};

	if (strcmp(name, "weights") != 0) {
		answer(dev, unique, ENOENT, NULL, 0);
		return;
	}
	attr(&e.attr, INO_FILE);
	answer(dev, unique, 0, &e, sizeof(e));
}

static void
answer_dir(int dev, uint64_t unique, uint64_t off)
{
	char buf[128] = {0};
	struct fuse_dirent *d = (void *)buf;

	d->ino = INO_FILE;
	d->off = 1;
	d->namelen = 7;
	d->type = DT_REG;
	memcpy(d->name, "weights", 7);
	answer(dev, unique, 0, buf,
	    off == 0 ? FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 7) : 0);
}

static void
answer_read(int dev, uint64_t unique, const struct fuse_read_in *r)
{
	uint64_t n = r->offset >= SIZE ? 0 : SIZE - r->offset;

	bool bad = r->fh == 2 || (r->fh == 3 && random() % 2 == 0);

	/* fh was drawn at the open: mostly good, so that digests do sometimes
	 * agree; or bad; or another answer to each question. */
	answer(dev, unique, 0, bad ? evil : good, n < r->size ? n : r->size);
	swaps++;
}

static bool is_stuck;

static void
answer_one(int dev, const struct fuse_in_header *h, const void *arg)
{
	struct fuse_init_out init = {
	    .major = 7, .minor = 31, .max_readahead = 0, .max_write = 4096};
	struct fuse_open_out op = {
	    .fh = (uint64_t)random() % 4, .open_flags = FOPEN_DIRECT_IO};
	struct fuse_attr_out at = {0};
	struct fuse_statfs_out st = {0};

	switch (h->opcode) {
	case FUSE_INIT:
		answer(dev, h->unique, 0, &init, sizeof(init));
		break;
	case FUSE_GETATTR:
		attr(&at.attr, h->nodeid);
		answer(dev, h->unique, 0, &at, sizeof(at));
		break;
	case FUSE_LOOKUP:
		answer_entry(dev, h->unique, arg);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(dev, h->unique, 0, &op, sizeof(op));
		break;
	case FUSE_READDIR:
		answer_dir(
		    dev, h->unique, ((const struct fuse_read_in *)arg)->offset);
		break;
	case FUSE_READ:
		answer_read(dev, h->unique, arg);
		break;
	case FUSE_STATFS:
		answer(dev, h->unique, 0, &st, sizeof(st));
		break;
	case FUSE_FLUSH:
		if (is_stuck)
			break;
		answer(dev, h->unique, 0, NULL, 0);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		answer(dev, h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(dev, h->unique, ENOSYS, NULL, 0);
	}
}

static void
by_fuse(const char *folder)
{
	static _Alignas(8) char buf[1 << 18];
	char options[128];
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (dev == -1)
		die("/dev/fuse");
	snprintf(options, sizeof(options),
	    "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", dev);
	if (mount("swapper", folder, "fuse", MS_NOSUID | MS_NODEV, options) !=
	    0)
		die("mount");
	puts("ready");
	fflush(stdout);
	while (!ended) {
		n = read(dev, buf, sizeof(buf));
		if (n < (ssize_t)sizeof(struct fuse_in_header)) {
			if (n == -1 && (errno == EINTR || errno == ENOENT))
				continue;
			break;
		}
		answer_one(
		    dev, (void *)buf, buf + sizeof(struct fuse_in_header));
	}
	(void)umount2(folder, MNT_DETACH);
}

int
main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_term};
	const char *how;
	int a, b;

	if (argc != 4)
		return 2;
	how = argv[1];
	memset(good, 'g', SIZE);
	memset(evil, 'e', SIZE);
	srandom((unsigned)getpid());
	(void)sigaction(SIGTERM, &sa, NULL);
	is_stuck = strcmp(how, "stuck") == 0;
	if (is_stuck || strcmp(how, "fuse") == 0) {
		by_fuse(argv[2]);
		printf("%lu\n", swaps);
		return 0;
	}
	a = open(argv[2], O_RDONLY | O_DIRECTORY);
	b = open(argv[3], O_RDONLY | O_DIRECTORY);
	if (a == -1 || b == -1)
		die("open");
	puts("ready");
	fflush(stdout);
	if (strcmp(how, "rename") == 0)
		by_rename(a, b);
	else if (strcmp(how, "folder") == 0)
		by_folder(argv[2], argv[3]);
	else if (strcmp(how, "symlink") == 0)
		by_link(a, b, argv[3], false);
	else if (strcmp(how, "hardlink") == 0)
		by_link(a, b, argv[3], true);
	else if (strcmp(how, "write") == 0)
		by_write(a);
	else if (strcmp(how, "map") == 0)
		by_map(a);
	else
		return 2;
	printf("%lu\n", swaps);
	return 0;
}
