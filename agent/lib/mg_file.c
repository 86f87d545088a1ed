/* SPDX-License-Identifier: ISC */
/*
 * Opening files that must be trusted.
 *
 * Rules
 * 1. Never a path twice: each part is opened below the descriptor of the
 *    part before it, and checked with fstat on the descriptor that is used.
 * 2. A folder that others can write makes everything below it theirs,
 *    unless it is sticky and the next part belongs to a trusted owner. A
 *    folder that is asked for itself is never theirs to add to.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_id.h"

#define OPEN_SAFE (O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)

static enum mg_err say(char *why, size_t size, enum mg_err r, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

static enum mg_err
say(char *why, size_t size, enum mg_err r, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL)
		return r;
	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return r;
}

/* above: a folder on the way to what is asked for. */
static bool
is_trusted(const struct stat *st, const struct mg_file_rule *rule, bool above)
{
	if (rule->any_owner)
		return true;
	if (st->st_uid != 0 && st->st_uid != rule->owner)
		return false;
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return true;
	return above && (st->st_mode & S_ISVTX) != 0; /* Rule 2 */
}

static enum mg_err
check(const struct stat *st, int flags, const struct mg_file_rule *rule,
    bool above, const char *name, char *why, size_t size)
{
	if ((flags & O_DIRECTORY) == 0 && !S_ISREG(st->st_mode))
		return say(
		    why, size, MG_ERR_PERM, "'%s' is not a regular file", name);
	if (!is_trusted(st, rule, above))
		return say(why, size, MG_ERR_PERM,
		    "'%s' can be changed by others (%s)", name,
		    st->st_uid != 0 && st->st_uid != rule->owner
			? "owner"
			: "group or other write mode");
	if (rule->no_read && !above && (st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return say(why, size, MG_ERR_PERM,
		    "'%s' can be read by others (mode must be 0600)", name);
	return MG_ERR_OK;
}

static enum mg_err
open_part(int dirfd, const char *name, int flags,
    const struct mg_file_rule *rule, bool above, int *fdp, char *why,
    size_t why_size)
{
	struct stat st;
	enum mg_err r;
	int fd;

	*fdp = -1;
	if (name[0] == '\0' || strchr(name, '/') != NULL ||
	    strcmp(name, "..") == 0)
		return say(why, why_size, MG_ERR_FORMAT,
		    "'%s' is not a file name", name);
	if ((fd = openat(dirfd, name, O_RDONLY | OPEN_SAFE | flags)) == -1)
		return say(why, why_size,
		    errno == ENOENT ? MG_ERR_NOENT : MG_ERR_SYS,
		    "cannot open '%s': %s", name, strerror(errno));
	if (fstat(fd, &st) != 0)
		r = say(why, why_size, MG_ERR_SYS, "cannot stat '%s': %s", name,
		    strerror(errno));
	else
		r = check(&st, flags, rule, above, name, why, why_size);
	if (r != MG_ERR_OK) {
		close(fd);
		return r;
	}
	*fdp = fd;
	return MG_ERR_OK;
}

enum mg_err
mg_file_open_at(int dirfd, const char *name, int flags,
    const struct mg_file_rule *rule, int *fdp, char *why, size_t why_size)
{
	return open_part(dirfd, name, flags, rule, false, fdp, why, why_size);
}

/* The folder below dir called name, checked; closes dir. */
static enum mg_err
step(int *dirp, const char *name, const struct mg_file_rule *rule, char *why,
    size_t size)
{
	enum mg_err r;
	int next;

	r = open_part(
	    *dirp, name, O_DIRECTORY | O_PATH, rule, true, &next, why, size);
	close(*dirp);
	*dirp = next;
	return r;
}

enum mg_err
mg_file_open(const char *path, int flags, const struct mg_file_rule *rule,
    int *fdp, char *why, size_t why_size)
{
	char part[NAME_MAX + 1];
	const char *p = path, *slash;
	size_t n;
	enum mg_err r = MG_ERR_OK;
	int dir;

	*fdp = -1;
	if (path[0] != '/')
		return say(why, why_size, MG_ERR_FORMAT,
		    "'%s' is not an absolute path", path);
	if ((dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) == -1)
		return say(why, why_size, MG_ERR_SYS, "cannot open '/': %s",
		    strerror(errno));
	while (r == MG_ERR_OK) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 0 || n >= sizeof(part)) {
			r = say(why, why_size, MG_ERR_FORMAT,
			    "'%s' is not a file name", path);
			break;
		}
		memcpy(part, p, n);
		part[n] = '\0';
		p += n;
		if ((slash = strchr(p, '/')) != NULL &&
		    slash[strspn(slash, "/")] != '\0') {
			r = step(&dir, part, rule, why, why_size);
			continue;
		}
		r = mg_file_open_at(dir, part, flags, rule, fdp, why, why_size);
		break;
	}
	if (dir != -1)
		close(dir);
	return r;
}

enum mg_err
mg_file_read(int fd, struct mg_buf *b)
{
	uint8_t *d;
	ssize_t n;
	size_t want;

	for (;;) {
		want = b->max - mg_buf_len(b);
		if (want == 0) {
			uint8_t probe;

			do
				n = read(fd, &probe, 1);
			while (n == -1 && errno == EINTR);
			return n == 0  ? MG_ERR_OK
			       : n > 0 ? MG_ERR_LIMIT
				       : MG_ERR_SYS;
		}
		if (want > 16384)
			want = 16384;
		if ((d = mg_buf_reserve(b, want)) == NULL)
			return MG_ERR_NOMEM;
		n = read(fd, d, want);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return MG_ERR_SYS;
		if (n == 0)
			return MG_ERR_OK;
		mg_buf_commit(b, (size_t)n);
	}
}

enum mg_err
mg_file_write(int fd, const void *p, size_t n)
{
	const uint8_t *d = p;
	ssize_t w;

	while (n > 0) {
		w = write(fd, d, n);
		if (w == -1 && errno == EINTR)
			continue;
		if (w <= 0)
			return MG_ERR_SYS;
		d += w;
		n -= (size_t)w;
	}
	return MG_ERR_OK;
}

static enum mg_err
write_new(int dirfd, const char *tmp, const void *p, size_t n, mode_t mode)
{
	enum mg_err r;
	int fd;

	fd = openat(dirfd, tmp,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd == -1)
		return MG_ERR_SYS;
	r = mg_file_write(fd, p, n);
	if (r == MG_ERR_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		r = MG_ERR_SYS;
	if (close(fd) != 0 && r == MG_ERR_OK)
		r = MG_ERR_SYS;
	return r;
}

enum mg_err
mg_file_replace_at(
    int dirfd, const char *name, const void *p, size_t n, mode_t mode)
{
	char tmp[NAME_MAX + 1], salt[17];
	enum mg_err r;
	int len;

	if ((r = mg_random_hex(salt, 8)) != MG_ERR_OK)
		return r;
	len = snprintf(tmp, sizeof(tmp), ".%s.%s", name, salt);
	if (len < 0 || (size_t)len >= sizeof(tmp))
		return MG_ERR_LIMIT;
	r = write_new(dirfd, tmp, p, n, mode);
	if (r == MG_ERR_OK && renameat(dirfd, tmp, dirfd, name) != 0)
		r = MG_ERR_SYS;
	if (r == MG_ERR_OK && fsync(dirfd) != 0)
		r = MG_ERR_SYS;
	if (r != MG_ERR_OK)
		(void)unlinkat(dirfd, tmp, 0);
	return r;
}

enum mg_err
mg_file_sanitise_std(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	if (fd == -1)
		return MG_ERR_SYS;
	close(fd);
	return MG_ERR_OK;
}
