/* SPDX-License-Identifier: ISC */
/* Owners and modes of what decides: nobody but root may write there. */
#include <errno.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doc.h"

#define FILES_MAX 20000

/* The hub's own key, where a hub runs beside the agent. */
static bool
is_hub_key(const char *path, const struct stat *st)
{
	struct doc_user hub;

	return strncmp(path, MG_CONFDIR "/hub_host_key",
		   strlen(MG_CONFDIR "/hub_host_key")) == 0 &&
	       doc_user("_mg-hub", &hub) && st->st_uid == hub.pw.pw_uid &&
	       (st->st_mode & 022) == 0;
}

/* nftw(3) has no argument for its callback. */
static struct {
	unsigned files;
	char bad[512];
} walk;

static int
look(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)at;
	if (what == FTW_NS || S_ISLNK(st->st_mode))
		return 0;
	if (++walk.files > FILES_MAX)
		return 1;
	if ((st->st_uid == 0 && (st->st_mode & 022) == 0) ||
	    is_hub_key(path, st))
		return 0;
	snprintf(walk.bad, sizeof(walk.bad), "%s belongs to uid %u, mode %04o",
	    path, (unsigned)st->st_uid, (unsigned)(st->st_mode & 07777));
	return 1;
}

static void
check_tree(struct doc *d, const char *path)
{
	walk.files = 0;
	walk.bad[0] = '\0';
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		doc_say(d, DOC_BAD, "files", "make install", "no %s", path);
		return;
	}
	(void)nftw(path, look, 16, FTW_PHYS | FTW_MOUNT);
	if (walk.bad[0] != '\0')
		doc_say(d, DOC_BAD, "files", "chown root; chmod go-w", "%s",
		    walk.bad);
	else
		doc_say(d, DOC_GOOD, "files", "", "%s is root's alone to write",
		    path);
}

static void
check_private(struct doc *d, const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0) {
		doc_say(d, errno == EACCES ? DOC_WARN : DOC_BAD, "files",
		    "start the agent once", "%s: %s", path, strerror(errno));
		return;
	}
	doc_say(d,
	    st.st_uid == 0 && (st.st_mode & 077) == 0 ? DOC_GOOD : DOC_BAD,
	    "files", "chown root; chmod 700", "%s belongs to uid %u, mode %04o",
	    path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
}

void
doc_files(struct doc *d)
{
	check_tree(d, MG_CONFDIR);
	check_tree(d, MG_LIBEXECDIR);
	check_tree(d, "/etc/pam.d");
	check_private(d, "/var/lib/modelgate");
}
