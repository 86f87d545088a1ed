/* SPDX-License-Identifier: ISC */
/* Owners and modes of what decides: nobody but root may write there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doc.h"
#include "mg_seal.h"

#define FILES_MAX 20000
#define FREE_MIN ((uint64_t)64 << 20) /* bytes: a week of records */

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

/* ---- secrets at rest ---- */

#define STATE_DIR "/var/lib/modelgate"
#define HUB_KEY_STORED "/etc/credstore.encrypted/hub_host_key"
#define SEAL_FIX                                                               \
	"make the credential " MG_SEAL_FILE ", modelgated(8), and restart"

struct secrets {
	unsigned sealed, open, unread;
	char example[128]; /* one that is not sealed */
};

static void
count_secret(struct secrets *s, int dir, const char *name)
{
	uint8_t head[sizeof(MG_SEAL_HEAD)];
	ssize_t n = -1;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd != -1) {
		n = read(fd, head, sizeof(head));
		close(fd);
	}
	if (n < 0) {
		s->unread++;
	} else if (mg_seal_is(head, (size_t)n)) {
		s->sealed++;
	} else {
		s->open++;
		snprintf(s->example, sizeof(s->example), "%s", name);
	}
	explicit_bzero(head, sizeof(head));
}

static void
count_factors(struct secrets *s)
{
	struct dirent *e;
	DIR *dir = opendir(STATE_DIR "/otp");

	if (dir == NULL) {
		s->unread += errno != ENOENT;
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			count_secret(s, dirfd(dir), e->d_name);
	closedir(dir);
}

/* Whether a copy of the disk would be a copy of the secrets. */
static void
check_secrets(struct doc *d)
{
	struct secrets s = {.sealed = 0};
	int dir = open(STATE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir == -1)
		return; /* check_private() has said so */
	count_secret(&s, dir, "host_key");
	count_secret(&s, dir, "number_key");
	close(dir);
	count_factors(&s);
	if (s.unread > 0)
		doc_say(d, DOC_BAD, "secrets", "start the agent once",
		    "%u of those below %s cannot be read", s.unread, STATE_DIR);
	else if (s.open == 0)
		doc_say(d, DOC_GOOD, "secrets", "",
		    "all %u are sealed with the machine's credential",
		    s.sealed);
	else if (s.sealed == 0)
		doc_say(d, DOC_WARN, "secrets", SEAL_FIX,
		    "none of %u is sealed: root's alone, but in clear on the "
		    "disk",
		    s.open);
	else
		doc_say(d, DOC_WARN, "secrets",
		    "a factor is sealed when its owner next gives a code",
		    "%u are sealed, %u are not yet (%s)", s.sealed, s.open,
		    s.example);
}

/* The same of the hub's key, where a hub runs beside the agent. */
static void
check_hub_key(struct doc *d)
{
	static const char open[] = MG_CONFDIR "/hub_host_key";
	struct stat st;

	if (stat(open, &st) == 0 && (st.st_mode & 077) != 0)
		doc_say(d, DOC_BAD, "hub key",
		    "chmod 600; a new one, if somebody may have read it",
		    "%s can be read by others, mode %04o", open,
		    (unsigned)(st.st_mode & 07777));
	else if (access(open, F_OK) == 0)
		doc_say(d, DOC_WARN, "hub key",
		    "make it the credential hub_host_key, modelgate-hub(8)",
		    "%s is its user's alone, but in clear on the disk", open);
	else if (access(HUB_KEY_STORED, F_OK) == 0)
		doc_say(d, DOC_GOOD, "hub key", "",
		    "the machine's credential, not in clear on the disk");
}

/*
 * Whether a file can be begun there: a file system that found an error does
 * not always say that it is read-only. 0, or errno.
 */
static int
try_disk(void)
{
	int fd = open(STATE_DIR, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd == -1)
		return errno == EOPNOTSUPP || errno == EACCES ? 0 : errno;
	close(fd);
	return 0;
}

/* Where nothing can be written nothing is allowed. */
static void
check_disk(struct doc *d)
{
	struct statvfs fs;
	uint64_t left;
	int error;

	if (statvfs(STATE_DIR, &fs) != 0)
		return; /* the agent, which makes it, is not there: said so */
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if ((fs.f_flag & ST_RDONLY) != 0)
		doc_say(d, DOC_BAD, "disk",
		    "mount it writable: until then nothing is allowed",
		    STATE_DIR " is on a read-only file system");
	else if (left < FREE_MIN / 64 || (fs.f_files > 0 && fs.f_favail == 0))
		doc_say(d, DOC_BAD, "disk",
		    "make room: until then nothing is allowed",
		    "the file system of " STATE_DIR " is full");
	else if ((error = try_disk()) != 0)
		doc_say(d, DOC_BAD, "disk",
		    "repair it: until then nothing is allowed",
		    STATE_DIR ": %s", strerror(error));
	else if (left < FREE_MIN)
		doc_say(d, DOC_WARN, "disk",
		    "make room: when it is full nothing is allowed",
		    STATE_DIR " has %llu MiB left",
		    (unsigned long long)(left >> 20));
	else
		doc_say(d, DOC_GOOD, "disk", "", STATE_DIR " has room");
}

void
doc_files(struct doc *d)
{
	check_tree(d, MG_CONFDIR);
	check_tree(d, MG_LIBEXECDIR);
	check_tree(d, "/etc/pam.d");
	check_private(d, STATE_DIR);
	check_secrets(d);
	check_hub_key(d);
	check_disk(d);
}
