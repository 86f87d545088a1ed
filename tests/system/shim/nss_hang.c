/* SPDX-License-Identifier: ISC */
/*
 * A name service that does not answer: libnss_hang.so.2, for the line
 * "passwd: files hang" of a sandbox's nsswitch.conf. While HANGS is there it
 * blocks in every question about somebody whom it does not leave alone; like
 * SSSD it leaves alone root, the system's users, and bob; and what is no name
 * (pam_unix asks for "pam_unix_non_existent:" before every password).
 */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define HANGS "/run/sandbox/nss-hangs"

enum nss_status _nss_hang_getpwnam_r(
    const char *name, struct passwd *pw, char *text, size_t size, int *errnop);
enum nss_status _nss_hang_getpwuid_r(
    uid_t uid, struct passwd *pw, char *text, size_t size, int *errnop);
enum nss_status _nss_hang_getgrnam_r(
    const char *name, struct group *gr, char *text, size_t size, int *errnop);
enum nss_status _nss_hang_getgrgid_r(
    gid_t gid, struct group *gr, char *text, size_t size, int *errnop);
enum nss_status _nss_hang_initgroups_dyn(const char *user, gid_t gid,
    long *startp, long *sizep, gid_t **gidsp, long limit, int *errnop);

static enum nss_status
answer(int *errnop)
{
	/* A process that may not see the file is one that is confined. */
	while (access(HANGS, F_OK) == 0 || errno != ENOENT)
		(void)poll(NULL, 0, 200);
	*errnop = ENOENT;
	return NSS_STATUS_NOTFOUND;
}

static int
is_left_alone(const char *user)
{
	return strcmp(user, "root") == 0 || strcmp(user, "bob") == 0 ||
	       strcmp(user, "sshd") == 0 || strcmp(user, "mlserve") == 0 ||
	       user[0] == '_' || strchr(user, ':') != NULL;
}

enum nss_status
_nss_hang_getpwnam_r(
    const char *name, struct passwd *pw, char *text, size_t size, int *errnop)
{
	(void)pw, (void)text, (void)size;
	*errnop = ENOENT;
	return is_left_alone(name) ? NSS_STATUS_NOTFOUND : answer(errnop);
}

enum nss_status
_nss_hang_getpwuid_r(
    uid_t uid, struct passwd *pw, char *text, size_t size, int *errnop)
{
	(void)uid, (void)pw, (void)text, (void)size;
	return answer(errnop);
}

enum nss_status
_nss_hang_getgrnam_r(
    const char *name, struct group *gr, char *text, size_t size, int *errnop)
{
	(void)name, (void)gr, (void)text, (void)size;
	return answer(errnop);
}

enum nss_status
_nss_hang_getgrgid_r(
    gid_t gid, struct group *gr, char *text, size_t size, int *errnop)
{
	(void)gid, (void)gr, (void)text, (void)size;
	return answer(errnop);
}

enum nss_status
_nss_hang_initgroups_dyn(const char *user, gid_t gid, long *startp, long *sizep,
    gid_t **gidsp, long limit, int *errnop)
{
	(void)gid, (void)startp, (void)sizep, (void)gidsp, (void)limit;
	*errnop = ENOENT;
	return is_left_alone(user) ? NSS_STATUS_NOTFOUND : answer(errnop);
}
