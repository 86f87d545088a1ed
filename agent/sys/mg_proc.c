/* SPDX-License-Identifier: ISC */
/*
 * Reading identities from the kernel.
 *
 * Rules
 * 1. A pid is a number that the kernel gives away again: it is pinned by a
 *    pidfd before /proc is read and found alive after.
 * 2. Nothing here comes from an environment, a path or an argument of the
 *    peer.
 * 3. Where the kernel cannot pin the peer itself, the process that has its
 *    number must at least be its user's: somebody who lets the number go
 *    and waits for another user's process to get it would be that user.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mg_proc.h"

#define LINE_MAX_UP 64 /* parents that are looked at */

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static enum mg_err
read_small(int dirfd, const char *file, char *out, size_t size)
{
	ssize_t n;
	int fd;

	out[0] = '\0';
	if ((fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC)) == -1)
		return errno == ENOENT ? MG_ERR_NOENT : MG_ERR_SYS;
	do
		n = read(fd, out, size - 1);
	while (n == -1 && errno == EINTR);
	close(fd);
	if (n < 0)
		return MG_ERR_SYS;
	out[n] = '\0';
	return MG_ERR_OK;
}

static enum mg_err
to_u32(const char *s, uint32_t *vp)
{
	uint64_t v = 0;

	*vp = 0;
	if (*s < '0' || *s > '9')
		return MG_ERR_FORMAT;
	for (; *s >= '0' && *s <= '9'; s++)
		if ((v = v * 10 + (uint64_t)(*s - '0')) > UINT32_MAX)
			return MG_ERR_LIMIT;
	*vp = (uint32_t)v;
	return MG_ERR_OK;
}

static enum mg_err
number_at(int dirfd, const char *file, uint32_t *vp)
{
	char text[64];
	enum mg_err r;

	*vp = 0;
	if ((r = read_small(dirfd, file, text, sizeof(text))) != MG_ERR_OK)
		return r;
	return to_u32(text, vp);
}

static int
open_proc(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

enum mg_err
mg_proc_number(pid_t pid, const char *file, uint32_t *vp)
{
	enum mg_err r;
	int dir;

	*vp = 0;
	if ((dir = open_proc(pid)) == -1)
		return MG_ERR_NOENT;
	r = number_at(dir, file, vp);
	close(dir);
	return r;
}

/* Field n (from 1) of /proc/PID/stat, after the name in parentheses. */
static const char *
stat_field(const char *stat, int n)
{
	const char *p = strrchr(stat, ')');
	int i;

	if (p == NULL)
		return NULL;
	for (i = 2; i < n; i++)
		if ((p = strchr(p + 1, ' ')) == NULL)
			return NULL;
	return p + 1;
}

static uint64_t
to_u64(const char *s)
{
	uint64_t v = 0;

	for (; s != NULL && *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	return v;
}

static void
name_tty(uint64_t dev, char *out, size_t size)
{
	unsigned maj = major((dev_t)dev), min = minor((dev_t)dev);

	out[0] = '\0';
	if (maj >= 136 && maj <= 143)
		snprintf(out, size, "pts/%u", (maj - 136) * 256 + min);
	else if (maj == 4 && min < 64)
		snprintf(out, size, "tty%u", min);
	else if (maj == 4)
		snprintf(out, size, "ttyS%u", min - 64);
	else if (dev != 0)
		snprintf(out, size, "tty-%u-%u", maj, min);
}

static enum mg_err
fill_from_proc(int dir, struct mg_peer *peer)
{
	char stat[1024];
	enum mg_err r;

	if ((r = number_at(dir, "loginuid", &peer->loginuid)) != MG_ERR_OK ||
	    (r = number_at(dir, "sessionid", &peer->session)) != MG_ERR_OK ||
	    (r = read_small(dir, "stat", stat, sizeof(stat))) != MG_ERR_OK)
		return r;
	name_tty(to_u64(stat_field(stat, 7)), peer->tty, sizeof(peer->tty));
	peer->start = to_u64(stat_field(stat, 22));
	return peer->start == 0 ? MG_ERR_FORMAT : MG_ERR_OK;
}

/*
 * A descriptor for the peer; *by_numberp when the kernel is before Linux
 * 6.5 and it could only be had by number. Any other failure is a peer that
 * is gone: to look its number up then would find whoever has it now.
 */
static int
peer_pidfd(int sock, pid_t pid, bool *by_numberp)
{
	socklen_t len;
	int fd = -1;

	len = sizeof(fd);
	*by_numberp = false;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	if (errno != ENOPROTOOPT)
		return -1;
	*by_numberp = true;
	return pidfd_open(pid, 0);
}

/* The real and the effective uid of the process. */
static enum mg_err
read_uids(int dir, uint32_t *ruidp, uint32_t *euidp)
{
	char status[4096];
	const char *p;
	enum mg_err r;

	*ruidp = *euidp = MG_PROC_UNSET;
	r = read_small(dir, "status", status, sizeof(status));
	if (r != MG_ERR_OK)
		return r;
	if ((p = strstr(status, "\nUid:\t")) == NULL)
		return MG_ERR_FORMAT;
	if ((r = to_u32(p + 6, ruidp)) != MG_ERR_OK)
		return r;
	if ((p = strchr(p + 6, '\t')) == NULL)
		return MG_ERR_FORMAT;
	return to_u32(p + 1, euidp);
}

/*
 * Rule 3. A peer whose number another process of the same user has by now
 * is not found out: only SO_PEERPIDFD can.
 */
static enum mg_err
check_number(int dir, const struct mg_peer *peer)
{
	uint32_t ruid, euid;
	enum mg_err r = read_uids(dir, &ruid, &euid);

	if (r == MG_ERR_OK && euid != peer->uid)
		r = MG_ERR_CLOSED;
	return r;
}

enum mg_err
mg_proc_peer(int sock, struct mg_peer *peer, int *pidfdp)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	bool by_number;
	enum mg_err r;
	int pidfd, dir;

	memset(peer, 0, sizeof(*peer));
	peer->loginuid = peer->session = MG_PROC_UNSET;
	if (pidfdp != NULL)
		*pidfdp = -1;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    len != sizeof(cred) || cred.pid <= 0)
		return MG_ERR_SYS;
	peer->pid = cred.pid;
	peer->uid = cred.uid;
	peer->gid = cred.gid;
	if ((pidfd = peer_pidfd(sock, cred.pid, &by_number)) == -1)
		return MG_ERR_CLOSED;
	if ((dir = open_proc(cred.pid)) == -1) {
		close(pidfd);
		return MG_ERR_CLOSED;
	}
	r = fill_from_proc(dir, peer);
	if (r == MG_ERR_OK && by_number)
		r = check_number(dir, peer);
	close(dir);
	if (r == MG_ERR_OK && pidfd_send_signal(pidfd, 0, NULL, 0) != 0 &&
	    errno == ESRCH)
		r = MG_ERR_CLOSED; /* Rule 1 */
	if (r != MG_ERR_OK || pidfdp == NULL)
		close(pidfd);
	else
		*pidfdp = pidfd;
	return r;
}

/* The parent's number and the start time; 0: the process is gone. */
static pid_t
parent_at(int dir, uint64_t *startp)
{
	char stat[1024];
	const char *p;
	uint32_t ppid;

	*startp = 0;
	if (read_small(dir, "stat", stat, sizeof(stat)) != MG_ERR_OK)
		return 0;
	*startp = to_u64(stat_field(stat, 22));
	p = stat_field(stat, 4);
	return p != NULL && to_u32(p, &ppid) == MG_ERR_OK ? (pid_t)ppid : 0;
}

static bool
is_in_login(int dir, const struct mg_peer *peer)
{
	uint32_t loginuid, session;

	return number_at(dir, "loginuid", &loginuid) == MG_ERR_OK &&
	       number_at(dir, "sessionid", &session) == MG_ERR_OK &&
	       loginuid == peer->loginuid && session == peer->session;
}

/*
 * The folder of the parent of the process at dir, or -1. A folder stays its
 * process's. The number may be another process's by the time that it is
 * opened: then it is not the parent's any more (Rule 1).
 */
static int
open_parent(int dir)
{
	uint64_t start;
	pid_t ppid = parent_at(dir, &start);
	int up;

	if (ppid == 0 || (up = open_proc(ppid)) == -1)
		return -1;
	if (parent_at(dir, &start) == ppid)
		return up;
	close(up);
	return -1;
}

bool
mg_proc_is_of_login(const struct mg_peer *peer)
{
	uint32_t ruid, euid;
	uint64_t start;
	bool found = false;
	int dir, up, depth;

	if ((dir = open_proc(peer->pid)) == -1)
		return false;
	if (parent_at(dir, &start) == 0 || start != peer->start) {
		close(dir);
		return false;
	}
	for (depth = 0; depth < LINE_MAX_UP && is_in_login(dir, peer);
	     depth++) {
		found = read_uids(dir, &ruid, &euid) == MG_ERR_OK &&
			ruid == peer->loginuid;
		if (found || (up = open_parent(dir)) == -1)
			break;
		close(dir);
		dir = up;
	}
	close(dir);
	return found;
}

bool
mg_proc_has_session(uint32_t session)
{
	struct dirent *de;
	bool found = false;
	uint32_t pid, v;
	DIR *d;

	if ((d = opendir("/proc")) == NULL)
		return true;
	while (!found && (de = readdir(d)) != NULL)
		found =
		    to_u32(de->d_name, &pid) == MG_ERR_OK &&
		    mg_proc_number((pid_t)pid, "sessionid", &v) == MG_ERR_OK &&
		    v == session;
	closedir(d);
	return found;
}

enum mg_err
mg_proc_boot_id(char out[37])
{
	char text[64];
	enum mg_err r;

	out[0] = '\0';
	r = read_small(
	    AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text));
	if (r != MG_ERR_OK)
		return r;
	text[strcspn(text, "\n")] = '\0';
	if (strlen(text) != 36)
		return MG_ERR_FORMAT;
	memcpy(out, text, 37);
	return MG_ERR_OK;
}

enum mg_err
mg_proc_set_loginuid(uid_t uid, uint32_t *sessionp)
{
	char text[16];
	enum mg_err r = MG_ERR_SYS;
	ssize_t n;
	int fd, len;

	*sessionp = MG_PROC_UNSET;
	len = snprintf(text, sizeof(text), "%u", (unsigned)uid);
	fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return MG_ERR_SYS;
	n = write(fd, text, (size_t)len);
	if (n == len)
		r = MG_ERR_OK;
	close(fd);
	if (r == MG_ERR_OK)
		r = number_at(AT_FDCWD, "/proc/self/sessionid", sessionp);
	return r;
}

enum mg_err
mg_proc_open(pid_t pid, uint64_t start, int *fdp)
{
	struct mg_peer now;
	char path[32];
	enum mg_err r;
	int dir;

	*fdp = pidfd_open(pid, 0);
	if (*fdp == -1)
		return errno == ESRCH || errno == EINVAL ? MG_ERR_NOENT
							 : MG_ERR_SYS;
	/* The number may be another process's by now: looked at with the
	 * descriptor in hand. */
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir == -1 ? MG_ERR_NOENT : fill_from_proc(dir, &now);
	if (dir != -1)
		close(dir);
	if (r == MG_ERR_OK && now.start == start)
		return MG_ERR_OK;
	close(*fdp);
	*fdp = -1;
	return r == MG_ERR_OK || r == MG_ERR_NOENT ? MG_ERR_NOENT : r;
}
