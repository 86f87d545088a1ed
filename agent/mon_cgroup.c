/* SPDX-License-Identifier: ISC */
/*
 * The cgroups of runs: where they are, what is in them, and their removal.
 *
 * Rules
 * 1. Groups are made below one folder of ours, and named by us: else ending
 *    a run could end what is none of its business.
 * 2. A group whose run is over but that is not empty is killed again, for a
 *    while, until it can be removed: whoever forks as he is ended included.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon_cgroup.h"

#define GONE_RETRY_MS 200
#define OLD_GROUP_TRIES 150

/* The folder of this process's own group below the root of cgroup2. */
static int
own_group(int root)
{
	char text[4096], *p, *nl;
	ssize_t n;
	int fd;

	if ((fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* The line of v2 is "0::/path". */
	if (strncmp(text, "0::/", 4) == 0)
		p = text + 4;
	else if ((p = strstr(text, "\n0::/")) != NULL)
		p += 5;
	else
		return -1;
	if ((nl = strchr(p, '\n')) != NULL)
		*nl = '\0';
	return openat(
	    root, p[0] == '\0' ? "." : p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* cgroup2 wherever it is mounted, or through a mount of our own that no
 * folder shows (hosts that still run v1). */
static int
cgroup_root(void)
{
	struct statfs sfs;
	int fs, fd;

	fd = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1 && fstatfs(fd, &sfs) == 0 &&
	    sfs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	if (fd != -1)
		close(fd);
	fs = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC);
	if (fs == -1)
		return -1;
	fd = -1;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return fd;
}

enum mg_err
mon_cgroup_init(struct mon *m)
{
	int root, own;

	m->cgroup = -1;
	if ((root = cgroup_root()) == -1) {
		mg_log(MG_EVT_CONFIG,
		    "cgroup=none text='runs are ended by audit session'");
		return MG_ERR_OK;
	}
	own = own_group(root);
	close(root);
	if (own == -1)
		return MG_ERR_OK;
	if (mkdirat(own, "modelgate", 0755) != 0 && errno != EEXIST) {
		close(own);
		return MG_ERR_OK;
	}
	m->cgroup =
	    openat(own, "modelgate", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(own);
	return MG_ERR_OK;
}

static int
open_file(struct mon *m, const char *group, const char *file, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return openat(m->cgroup, path, flags | O_CLOEXEC);
}

static bool
write_file(struct mon *m, const char *group, const char *file, const char *text)
{
	ssize_t n;
	int fd;

	if ((fd = open_file(m, group, file, O_WRONLY)) == -1)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

void
mon_cgroup_make(struct mon *m, const char *code, char group[MON_CGROUP_NAME])
{
	group[0] = '\0';
	if (m->cgroup == -1)
		return;
	snprintf(group, MON_CGROUP_NAME, "run-%s-%u", code, ++m->run_counter);
	if (mkdirat(m->cgroup, group, 0755) != 0 && errno != EEXIST)
		group[0] = '\0';
}

int
mon_cgroup_folder(struct mon *m, const char *group)
{
	if (group[0] == '\0')
		return -1;
	return open_file(m, group, ".", O_RDONLY | O_DIRECTORY);
}

int
mon_cgroup_events(struct mon *m, const char *group)
{
	return open_file(m, group, "cgroup.events", O_RDONLY);
}

bool
mon_cgroup_add(struct mon *m, const char *group, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	return write_file(m, group, "cgroup.procs", text);
}

void
mon_cgroup_kill(struct mon *m, const char *group)
{
	(void)write_file(m, group, "cgroup.kill", "1");
}

bool
mon_cgroup_is_populated(struct mon *m, const char *group)
{
	char text[256];
	ssize_t n;
	int fd;

	if ((fd = mon_cgroup_events(m, group)) == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return true;
	text[n] = '\0';
	return strstr(text, "populated 0") == NULL;
}

/* A group whose last processes are about to end; it can go then. */
struct mon_old_group {
	char name[MON_CGROUP_NAME];
	unsigned tries;
	struct mon_old_group *next;
};

/* Rule 2 */
static void
remove_old_groups(void *arg)
{
	struct mon *m = arg;
	struct mon_old_group **p = &m->old_groups, *g;

	while ((g = *p) != NULL) {
		mon_cgroup_kill(m, g->name);
		if (unlinkat(m->cgroup, g->name, AT_REMOVEDIR) == 0 ||
		    errno != EBUSY || ++g->tries == OLD_GROUP_TRIES) {
			*p = g->next;
			free(g);
		} else {
			p = &g->next;
		}
	}
	if (m->old_groups != NULL)
		mon_timer_set(m, &m->old_groups_timer,
		    mg_time_boot_ms() + GONE_RETRY_MS, remove_old_groups, m);
}

void
mon_cgroup_remove(struct mon *m, const char *name)
{
	struct mon_old_group *g;

	if (unlinkat(m->cgroup, name, AT_REMOVEDIR) == 0 || errno != EBUSY ||
	    (g = calloc(1, sizeof(*g))) == NULL)
		return;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->next = m->old_groups;
	m->old_groups = g;
	mon_timer_set(m, &m->old_groups_timer,
	    mg_time_boot_ms() + GONE_RETRY_MS, remove_old_groups, m);
}

void
mon_cgroup_clear(struct mon *m)
{
	struct dirent *de;
	DIR *d;
	int fd;

	if (m->cgroup == -1)
		return;
	fd = openat(m->cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (strncmp(de->d_name, "run-", 4) != 0) /* Rule 1 */
			continue;
		mon_cgroup_kill(m, de->d_name);
		mon_cgroup_remove(m, de->d_name);
	}
	closedir(d);
}
