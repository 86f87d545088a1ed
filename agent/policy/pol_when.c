/* SPDX-License-Identifier: ISC */
/*
 * Files that other systems write: "file:/run/incident present".
 *
 * Deciding opens nothing: who asks brings the state of each file along.
 *
 * Rules
 * 1. A file that anybody could have put there, taken away or touched says
 *    nothing: neither "present" nor "absent". Its folder, and all above it,
 *    belong to root or, together with the file, to a system account, and
 *    nobody else can write there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_time.h"
#include "pol.h"

#define POL_SYSTEM_UIDS 1000 /* accounts of people begin here */

/* The number of the file, or POL_NONE after saying what is wrong. */
static uint32_t
file_id(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	struct mg_policy *p = ld->p;
	uint32_t id;

	if (n < 2 || s[0] != '/' || s[n - 1] == '/') {
		pol_err(ld, off, "'%.*s' is not the absolute path of a file",
		    (int)n, s);
		return POL_NONE;
	}
	if (p->files.n == POL_FILES_ASKED_MAX &&
	    pol_map_find(&p->files, s, n) == POL_NONE) {
		pol_err(ld, off, "more than %d files", POL_FILES_ASKED_MAX);
		return POL_NONE;
	}
	id = pol_map_add(&p->files, &p->mem, s, n);
	if (id == POL_NONE)
		ld->no_memory = true;
	return id;
}

/* "present", "absent", "newer than 1h", "older than 1h" */
static bool
parse_state(struct pol_load *ld, struct pol_when_term *t, const char *s,
    size_t n, size_t off)
{
	char text[64];
	bool newer;

	if (n < sizeof(text)) {
		memcpy(text, s, n);
		text[n] = '\0';
		t->what = POL_PRESENT;
		if (strcmp(text, "present") == 0)
			return true;
		t->what = POL_ABSENT;
		if (strcmp(text, "absent") == 0)
			return true;
		newer = strncmp(text, "newer than ", 11) == 0;
		t->what = newer ? POL_NEWER : POL_OLDER;
		if ((newer || strncmp(text, "older than ", 11) == 0) &&
		    mg_duration_parse(text + 11, &t->ms) == MG_ERR_OK)
			return true;
	}
	pol_err(ld, off,
	    "'%.*s' is not 'present', 'absent', 'newer than 1h' or 'older "
	    "than 1h'",
	    (int)n, s);
	return false;
}

uint32_t
pol_when_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	struct pol_when_term t = {.what = POL_PRESENT}, *slot;
	const char *blank = memchr(s, ' ', n);
	size_t path;

	if (n < 5 || memcmp(s, "file:", 5) != 0 || blank == NULL) {
		pol_err(ld, off,
		    "'%.*s' is not of the form 'file:/path present'", (int)n,
		    s);
		return POL_NONE;
	}
	path = (size_t)(blank - s) - 5;
	if (!parse_state(ld, &t, blank + 1, n - path - 6, off + path + 6))
		return POL_NONE;
	if ((t.text = pol_strndup(&ld->p->mem, s, n)) == NULL) {
		ld->no_memory = true;
		return POL_NONE;
	}
	if ((t.file = file_id(ld, s + 5, path, off + 5)) == POL_NONE)
		return POL_NONE;
	if ((slot = pol_vec_add(&ld->p->whens, sizeof(*slot))) == NULL) {
		ld->no_memory = true;
		return POL_NONE;
	}
	*slot = t;
	return ld->p->whens.n - 1;
}

const char *const *
mg_policy_files(const struct mg_policy *p, size_t *np)
{
	*np = p->files.n;
	return p->file_names;
}

/*
 * The folder of path, as far as nobody but root and its own system account
 * can change what stands in it: else whoever else can, decides.
 */
static enum mg_err
open_folder(const char *path, const char **namep, int *fdp)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == path ? 1 : (size_t)(slash - path);
	char dir[MG_INI_LINE_MAX + 1];
	struct mg_file_rule rule = {.owner = 0};
	struct stat st;

	*fdp = -1;
	*namep = slash + 1;
	if (n >= sizeof(dir))
		return MG_ERR_LIMIT;
	memcpy(dir, path, n);
	dir[n] = '\0';
	if (lstat(dir, &st) == 0 && st.st_uid < POL_SYSTEM_UIDS)
		rule.owner = st.st_uid;
	return mg_file_open(dir, O_DIRECTORY, &rule, fdp, NULL, 0);
}

static void
look(const char *path, struct mg_file_state *out)
{
	const char *name;
	struct stat st;
	enum mg_err r;
	int fd;

	r = open_folder(path, &name, &fd);
	if (r == MG_ERR_NOENT) {
		out->is = MG_FILE_ABSENT;
	} else if (r == MG_ERR_OK &&
		   fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			out->is = MG_FILE_ABSENT;
	} else if (r == MG_ERR_OK && S_ISREG(st.st_mode) &&
		   st.st_uid < POL_SYSTEM_UIDS && (st.st_mode & 022) == 0) {
		out->is = MG_FILE_PRESENT;
		out->modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 +
				   st.st_mtim.tv_nsec / 1000000;
	}
	if (fd != -1)
		close(fd);
}

void
mg_policy_files_look(
    const struct mg_policy *p, struct mg_file_state *out, size_t max)
{
	size_t i;

	memset(out, 0, max * sizeof(*out));
	for (i = 0; i < p->files.n && i < max; i++)
		look(p->file_names[i], &out[i]);
}
