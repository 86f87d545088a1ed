/* SPDX-License-Identifier: ISC */
/*
 * Giving up root.
 *
 * Rules
 * 1. Every step is checked, and the result is read back from the kernel: a
 *    setuid() that failed, or that left a saved id, is root for whoever
 *    takes the process over.
 * 2. The user comes from /etc/passwd, not through NSS: a directory service
 *    that hangs, or that answers 0, must not decide how this goes.
 * 3. Nothing is gained later: no-new-privs, no capability in any set, so
 *    that neither a set-id file nor a file capability gives anything back.
 * 4. Not traceable, so that another process of the same user that was
 *    taken over cannot take this one as well. (An exec undoes this one.)
 * 5. Limits are set last, by the user itself: exec refuses a process that
 *    was over its process limit when it changed its user.
 * 6. uid 0 without capabilities still owns most files of the system: what
 *    stays uid 0 is kept to its folders by Landlock. Without Landlock (a
 *    kernel that was started without it) the first five rules are left.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <grp.h>
#include <unistd.h>

#include "mg_confine.h"

static enum mg_err say(char *why, size_t size, enum mg_err r, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

static enum mg_err
say(char *why, size_t size, enum mg_err r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return r;
}

static enum mg_err
find_user(const char *name, uid_t *uidp, gid_t *gidp, char *why, size_t size)
{
	enum mg_err r = MG_ERR_NOENT;
	const struct passwd *pw;
	FILE *f;

	*uidp = (uid_t)-1;
	*gidp = (gid_t)-1;
	if ((f = fopen("/etc/passwd", "re")) == NULL) /* Rule 2 */
		return say(why, size, MG_ERR_SYS, "cannot open /etc/passwd: %s",
		    strerror(errno));
	while (r == MG_ERR_NOENT && (pw = fgetpwent(f)) != NULL)
		if (strcmp(pw->pw_name, name) == 0) {
			*uidp = pw->pw_uid;
			*gidp = pw->pw_gid;
			r = MG_ERR_OK;
		}
	fclose(f);
	if (r != MG_ERR_OK)
		return say(why, size, r, "no user '%s' in /etc/passwd", name);
	if (*uidp == 0 || *gidp == 0)
		return say(
		    why, size, MG_ERR_PERM, "user '%s' has uid or gid 0", name);
	return MG_ERR_OK;
}

/* ---- capabilities ---- */

struct caps {
	uint64_t effective, permitted, inheritable;
};

static bool
get_caps(struct caps *c)
{
	struct __user_cap_header_struct h = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

	memset(d, 0, sizeof(d));
	if (syscall(SYS_capget, &h, d) != 0)
		return false;
	c->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	c->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	c->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	return true;
}

/* Keeps what is held of permitted, and may use what is of effective. */
static bool
keep_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct h = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
	struct caps have;

	if (!get_caps(&have))
		return false;
	permitted &= have.permitted;
	effective &= permitted;
	memset(d, 0, sizeof(d));
	d[0].permitted = (uint32_t)permitted;
	d[1].permitted = (uint32_t)(permitted >> 32);
	d[0].effective = (uint32_t)effective;
	d[1].effective = (uint32_t)(effective >> 32);
	return syscall(SYS_capset, &h, d) == 0;
}

static bool
has_no_caps_but(uint64_t permitted, uint64_t effective)
{
	struct caps have;

	return get_caps(&have) && (have.effective & ~effective) == 0 &&
	       (have.permitted & ~permitted) == 0 && have.inheritable == 0;
}

/*
 * Nothing else can be gained by exec. A set that may not be changed (no
 * CAP_SETPCAP) is one that whoever started us has chosen.
 */
static void
bound_caps(uint64_t keep)
{
	int c;

	for (c = 0; c < 64; c++)
		if ((keep & MG_CAP(c)) == 0)
			(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

/* ---- users ---- */

/* What the kernel says afterwards. Rule 1 */
static bool
is_confined(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	return getresuid(&r, &e, &s) == 0 && r == uid && e == uid && s == uid &&
	       getresgid(&rg, &eg, &sg) == 0 && rg == gid && eg == gid &&
	       sg == gid && getgroups(0, NULL) == 0 &&
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
	       has_no_caps_but(0, 0) && setuid(0) == -1 && setgid(0) == -1;
}

/* The name of the step that failed, or NULL. */
static const char *
change_user(uid_t uid, gid_t gid)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return "no-new-privs";
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return "ambient capabilities";
	bound_caps(0);
	if (setgroups(0, NULL) != 0)
		return "setgroups";
	if (setresgid(gid, gid, gid) != 0)
		return "setresgid";
	if (setresuid(uid, uid, uid) != 0)
		return "setresuid";
	if (!keep_caps(0, 0))
		return "capset";
	/* After the change: it resets both. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) /* Rule 4 */
		return "non-dumpable";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return "death signal";
	return NULL;
}

/* Lowers a limit for good; never raises what was inherited. */
static bool
limit(int what, uint64_t value)
{
	struct rlimit l;

	if (value == MG_CONFINE_INHERIT)
		return true;
	if (getrlimit((__rlimit_resource_t)what, &l) != 0)
		return false;
	if (l.rlim_max > value)
		l.rlim_max = (rlim_t)value;
	if (l.rlim_cur > l.rlim_max)
		l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &l) == 0;
}

static bool
set_limits(const struct mg_confine_limits *l)
{
	/* Who logs into a file that is too long loses the line, not its life.
	 */
	(void)signal(SIGXFSZ, SIG_IGN);
	return limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, l->cpu_s) &&
	       limit(RLIMIT_FSIZE, l->fsize_bytes) &&
	       limit(RLIMIT_NOFILE, l->nofile) &&
	       (MG_CONFINE_SANITIZED || (limit(RLIMIT_AS, l->as_bytes) &&
					    limit(RLIMIT_NPROC, l->nproc)));
}

enum mg_err
mg_confine_user(const char *name, const struct mg_confine_limits *limits,
    char *why, size_t why_size)
{
	const char *step;
	enum mg_err r;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return say(why, why_size, MG_ERR_PERM,
		    "cannot become user '%s': not started as root", name);
	r = find_user(name, &uid, &gid, why, why_size);
	if (r != MG_ERR_OK)
		return r;
	if (chdir("/") != 0)
		return say(why, why_size, MG_ERR_SYS, "cannot enter '/': %s",
		    strerror(errno));
	(void)umask(077);
	if ((step = change_user(uid, gid)) != NULL)
		return say(why, why_size, MG_ERR_SYS,
		    "cannot become user '%s': %s: %s", name, step,
		    strerror(errno));
	if (!is_confined(uid, gid)) /* Rule 1 */
		return say(why, why_size, MG_ERR_SYS,
		    "cannot become user '%s': privileges are left", name);
	if (!set_limits(limits)) /* Rule 5 */
		return say(why, why_size, MG_ERR_SYS, "cannot set limits: %s",
		    strerror(errno));
	return MG_ERR_OK;
}

/* ---- uid 0, and nothing else ---- */

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_MAKE                                                                \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |       \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	    LANDLOCK_ACCESS_FS_MAKE_REG)
#define FS_ALL                                                                 \
	(FS_READ | FS_MAKE | LANDLOCK_ACCESS_FS_EXECUTE |                      \
	    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |      \
	    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |     \
	    LANDLOCK_ACCESS_FS_MAKE_SYM)

static bool
allow_below(int ruleset, int fd, uint64_t what)
{
	struct landlock_path_beneath_attr a = {
	    .allowed_access = what, .parent_fd = fd};

	return fd == -1 || syscall(SYS_landlock_add_rule, ruleset,
			       LANDLOCK_RULE_PATH_BENEATH, &a, 0) == 0;
}

/* Rule 6 */
static bool
keep_to(int read_fd, int write_fd)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = FS_ALL};
	bool ok;
	int fd;

	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd == -1)
		return errno == ENOSYS || errno == EOPNOTSUPP;
	ok = allow_below(fd, read_fd, FS_READ) &&
	     allow_below(fd, write_fd, FS_READ | FS_MAKE) &&
	     syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close(fd);
	return ok;
}

static bool
is_bare_root(void)
{
	return geteuid() == 0 && getuid() == 0 && getgroups(0, NULL) == 0 &&
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && has_no_caps_but(0, 0);
}

/* The name of the step that failed, or NULL. */
static const char *
become_bare_root(int read_fd, int write_fd)
{
	if (chdir("/") != 0)
		return "entering '/'";
	(void)umask(077);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return "no-new-privs";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return "ambient capabilities";
	if (setgroups(0, NULL) != 0)
		return "setgroups";
	if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		return "setresuid";
	if (!keep_to(read_fd, write_fd))
		return "Landlock";
	if (!keep_caps(0, 0))
		return "capset";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return "non-dumpable";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return "death signal";
	return NULL;
}

enum mg_err
mg_confine_root(const struct mg_confine_limits *limits, int read_fd,
    int write_fd, char *why, size_t why_size)
{
	const char *step;

	if (geteuid() != 0)
		return say(why, why_size, MG_ERR_PERM, "not started as root");
	if ((step = become_bare_root(read_fd, write_fd)) != NULL)
		return say(why, why_size, MG_ERR_SYS,
		    "cannot give up privileges: %s: %s", step, strerror(errno));
	if (!is_bare_root()) /* Rule 1 */
		return say(why, why_size, MG_ERR_SYS,
		    "cannot give up privileges: some are left");
	if (!set_limits(limits)) /* Rule 5 */
		return say(why, why_size, MG_ERR_SYS, "cannot set limits: %s",
		    strerror(errno));
	return MG_ERR_OK;
}

/* ---- root with capabilities ---- */

/* The name of the step that failed, or NULL. */
static const char *
confine_caps(const struct mg_confine_caps *how)
{
	if (how->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return "no-new-privs";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return "ambient capabilities";
	if (how->bounding != MG_CAPS_ALL)
		bound_caps(how->bounding);
	if (!keep_caps(how->permitted, how->effective) ||
	    !has_no_caps_but(how->permitted, how->effective)) /* Rule 1 */
		return "capset";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) /* Rule 4 */
		return "non-dumpable";
	if (how->ends_with_parent &&
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return "death signal";
	if (!limit(RLIMIT_CORE, 0) ||
	    (how->limits != NULL && !set_limits(how->limits)))
		return "limits";
	return NULL;
}

enum mg_err
mg_confine_caps(const struct mg_confine_caps *how, char *why, size_t why_size)
{
	const char *step = confine_caps(how);

	if (step == NULL)
		return MG_ERR_OK;
	return say(why, why_size, MG_ERR_SYS,
	    "cannot give up privileges: %s: %s", step, strerror(errno));
}
