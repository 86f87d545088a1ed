/* SPDX-License-Identifier: ISC */
/* The names of the ledger's files, and opening them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_int.h"
#include "mg_id.h"

#define DIGITS 20
#define SEGMENTS_MAX 1000000

void
mg_ledger_name(uint64_t first, const char *suffix, char out[MG_LEDGER_NAME])
{
	snprintf(out, MG_LEDGER_NAME, "%020llu%s", (unsigned long long)first,
	    suffix);
}

uint64_t
mg_ledger_name_first(const char *name, const char *suffix)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		if (v > (INT64_MAX - 9) / 10)
			return 0;
		v = v * 10 + (uint64_t)(name[i] - '0');
	}
	return strcmp(name + DIGITS, suffix) == 0 ? v : 0;
}

enum mg_err
mg_ledger_open_at(int dirfd, const char *name, int flags, int *fdp)
{
	struct stat st;

	*fdp = openat(dirfd, name,
	    O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | flags, 0600);
	if (*fdp == -1)
		return MG_ERR_SYS;
	if (fstat(*fdp, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & (S_IRWXG | S_IRWXO)) == 0 && st.st_nlink == 1)
		return MG_ERR_OK;
	close(*fdp);
	*fdp = -1;
	return MG_ERR_PERM;
}

enum mg_err
mg_ledger_open_file(int dirfd, const char *name, int *fdp)
{
	return mg_ledger_open_at(dirfd, name, O_RDONLY, fdp);
}

static int
by_first(const void *a, const void *b)
{
	const struct mg_ledger_file *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (int)x->zst - (int)y->zst;
}

static bool
parse_name(const char *name, struct mg_ledger_file *f)
{
	memset(f, 0, sizeof(*f));
	if (strlen(name) >= sizeof(f->name))
		return false;
	if ((f->first = mg_ledger_name_first(name, ".jsonl")) == 0) {
		f->first = mg_ledger_name_first(name, ".jsonl.zst");
		f->zst = true;
	}
	snprintf(f->name, sizeof(f->name), "%s", name);
	return f->first != 0;
}

static enum mg_err
collect(DIR *d, struct mg_ledger_file **vp, size_t *np)
{
	struct mg_ledger_file f, *w;
	struct dirent *de;
	struct stat st;
	size_t cap = 0;

	for (;;) {
		errno = 0; /* an error is not the end of the folder */
		if ((de = readdir(d)) == NULL)
			return errno == 0 ? MG_ERR_OK : MG_ERR_SYS;
		if (!parse_name(de->d_name, &f))
			continue;
		f.is_regular =
		    de->d_type == DT_REG || (de->d_type == DT_UNKNOWN &&
						fstatat(dirfd(d), f.name, &st,
						    AT_SYMLINK_NOFOLLOW) == 0 &&
						S_ISREG(st.st_mode));
		if (*np == SEGMENTS_MAX)
			return MG_ERR_LIMIT;
		if (*np == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			w = reallocarray(*vp, cap, sizeof(**vp));
			if (w == NULL)
				return MG_ERR_NOMEM;
			*vp = w;
		}
		(*vp)[(*np)++] = f;
	}
}

enum mg_err
mg_ledger_list(int dirfd, struct mg_ledger_file **vp, size_t *np)
{
	struct mg_ledger_file *v = NULL;
	size_t n = 0, i, k = 0;
	enum mg_err r;
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
	r = collect(d, &v, &n);
	closedir(d);
	if (r != MG_ERR_OK) {
		free(v);
		return r;
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_first);
	for (i = 0; i < n; i++)
		if (k == 0 || v[k - 1].first != v[i].first)
			v[k++] = v[i];
	*vp = v;
	*np = k;
	return MG_ERR_OK;
}

void
mg_ledger_hash_line(struct mg_sha *sha, const char *line, size_t n,
    char out[MG_LEDGER_HASH_HEX])
{
	uint8_t md[MG_MERKLE_HASH];

	mg_sha_plain(sha, line, n, md);
	mg_hex(md, sizeof(md), out);
}
