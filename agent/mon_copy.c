/* SPDX-License-Identifier: ISC */
/*
 * The agent's own copies of a signed policy and of approvers' keys.
 *
 * Rules
 * 1. Where a copy lies and how it is named proves nothing: it is what its
 *    digest is of, or it does not load.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_ini.h"
#include "mon_copy.h"

#define INI_BYTES (64U << 20)

static const struct mg_file_rule root_only = {.owner = 0};

enum mg_err
mon_copy_load_from(const char *policy, const char *operations,
    struct mg_policy **pp, struct mg_diags *ds)
{
	struct mg_policy_source src = {.policy_dir = policy,
	    .operations_dir = operations,
	    .rule = &root_only,
	    .can = MG_POLICY_CAN_AGENT};

	return mg_policy_load(&src, pp, ds);
}

int
mon_copy_open_folder(const char *path)
{
	int fd;

	if (mg_file_open(path, O_DIRECTORY, &root_only, &fd, NULL, 0) !=
	    MG_ERR_OK)
		return -1;
	return fd;
}

/* "/var/lib/modelgate/policy/HEX/policy.d" and the like. */
static void
copy_path(char *out, size_t size, const char *digest, const char *rest)
{
	snprintf(out, size, MON_COPIES "/%s%s", digest + 7, rest);
}

void
mon_copy_signers(char *out, size_t size, const char *digest)
{
	copy_path(out, size, digest, ".signers");
}

static bool
make_folder(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool
copy_file(int from, int to, const char *name)
{
	struct mg_buf b;
	int fd = -1;
	bool ok;

	mg_buf_init(&b, INI_BYTES);
	ok = mg_file_open_at(from, name, 0, &root_only, &fd, NULL, 0) ==
		 MG_ERR_OK &&
	     mg_file_read(fd, &b) == MG_ERR_OK &&
	     mg_file_replace_at(
		 to, name, mg_buf_ptr(&b), mg_buf_len(&b), 0600) == MG_ERR_OK;
	if (fd != -1)
		close(fd);
	mg_buf_fini(&b);
	return ok;
}

/* Copies every *.ini; a source that is not there is an empty one. */
static bool
copy_folder(const char *from, const char *to)
{
	int dst = -1, src = mon_copy_open_folder(from);
	struct dirent *de;
	bool ok;
	DIR *d;

	ok = make_folder(to) && (dst = mon_copy_open_folder(to)) != -1;
	if (src == -1 || !ok || (d = fdopendir(dup(src))) == NULL) {
		ok = ok && src == -1;
		goto out;
	}
	while (ok && (de = readdir(d)) != NULL)
		if (mg_ini_is_name(de->d_name))
			ok = copy_file(src, dst, de->d_name);
	closedir(d);
out:
	if (src != -1)
		close(src);
	if (dst != -1)
		close(dst);
	return ok;
}

enum mg_err
mon_copy_load(const char *digest, struct mg_policy **pp)
{
	char policy[256], operations[256];
	struct mg_diags *ds;
	enum mg_err r;

	*pp = NULL;
	if ((ds = calloc(1, sizeof(*ds))) == NULL)
		return MG_ERR_NOMEM;
	mg_diags_init(ds);
	copy_path(policy, sizeof(policy), digest, "/policy.d");
	copy_path(operations, sizeof(operations), digest, "/operations.d");
	r = mon_copy_load_from(policy, operations, pp, ds);
	if (r == MG_ERR_OK && strcmp(mg_policy_digest(*pp), digest) != 0) {
		mg_policy_free(*pp); /* Rule 1 */
		*pp = NULL;
		r = MG_ERR_BADSIG;
	}
	free(ds);
	return r;
}

bool
mon_copy_keep(const struct mg_policy *p, const char *policy_dir,
    const char *operations_dir)
{
	const char *digest = mg_policy_digest(p);
	char folder[256], to[256];
	struct mg_policy *copy;

	copy_path(folder, sizeof(folder), digest, "");
	if (!make_folder(MON_COPIES) || !make_folder(folder))
		return false;
	copy_path(to, sizeof(to), digest, "/policy.d");
	if (!copy_folder(policy_dir, to))
		return false;
	copy_path(to, sizeof(to), digest, "/operations.d");
	if (!copy_folder(operations_dir, to) ||
	    mon_copy_load(digest, &copy) != MG_ERR_OK)
		return false;
	mg_policy_free(copy);
	return true;
}

bool
mon_copy_keep_signers(const struct mg_buf *keys, const char *digest)
{
	char name[128];
	int dir;
	bool ok;

	if (!make_folder(MON_COPIES) ||
	    (dir = mon_copy_open_folder(MON_COPIES)) == -1)
		return false;
	snprintf(name, sizeof(name), "%s.signers", digest + 7);
	ok = mg_file_replace_at(dir, name, mg_buf_ptr(keys), mg_buf_len(keys),
		 0600) == MG_ERR_OK;
	close(dir);
	return ok;
}

/* Empties a folder of files. */
static void
remove_files(int at, const char *name)
{
	struct dirent *de;
	DIR *d;
	int fd;

	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((de = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), de->d_name, 0);
	closedir(d);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

static void
remove_copy(int at, const char *name)
{
	int fd;

	if (unlinkat(at, name, 0) == 0)
		return; /* keys */
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return;
	remove_files(fd, "policy.d");
	remove_files(fd, "operations.d");
	close(fd);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

void
mon_copy_prune(const struct mg_guarded *g)
{
	struct dirent *de;
	DIR *d;

	if ((d = opendir(MON_COPIES)) == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		size_t n = strcspn(de->d_name, ".");

		if (n == 0 ||
		    (g->is_signed &&
			strncmp(g->policy + 7, de->d_name, n) == 0 &&
			de->d_name[n] == '\0') ||
		    (g->is_signed &&
			strncmp(g->signers + 7, de->d_name, n) == 0 &&
			de->d_name[n] == '.'))
			continue;
		remove_copy(dirfd(d), de->d_name);
	}
	closedir(d);
}
