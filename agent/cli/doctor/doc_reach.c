/* SPDX-License-Identifier: ISC */
/*
 * Ways to the serving users and to the models that do not lead past
 * modelgate. What is looked for stands with each check; what is found is
 * for a person to judge, so the names of files and users are shown.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "doc.h"
#include "mg_buf.h"
#include "mg_file.h"
#include "pol.h"

#define TARGETS_MAX 16
#define TREES_MAX 16
#define FILES_MAX 200000
#define SECONDS_MAX 10

/* Users that operations run as, and folders that artifacts are in. */
struct targets {
	char user[TARGETS_MAX][97];
	uid_t uid[TARGETS_MAX];
	size_t nusers;
	char tree[TREES_MAX][256];
	size_t ntrees;
};

static void
add_user(struct targets *t, const char *name)
{
	struct doc_user u;
	size_t i;

	if (name == NULL || t->nusers == TARGETS_MAX)
		return;
	for (i = 0; i < t->nusers; i++)
		if (strcmp(t->user[i], name) == 0)
			return;
	if (!doc_user(name, &u) || u.pw.pw_uid == 0)
		return;
	snprintf(t->user[t->nusers], sizeof(t->user[0]), "%s", name);
	t->uid[t->nusers++] = u.pw.pw_uid;
}

/* "/srv/models/{model}/{version}": what stands in front of the names. */
static void
add_tree(struct targets *t, const char *path)
{
	char folder[256];
	size_t i, n;

	if (path == NULL || t->ntrees == TREES_MAX)
		return;
	n = strcspn(path, "{");
	if (n < 2 || n >= sizeof(folder))
		return;
	memcpy(folder, path, n);
	folder[n] = '\0';
	*strrchr(folder, '/') = '\0';
	for (i = 0; i < t->ntrees; i++)
		if (strcmp(t->tree[i], folder) == 0)
			return;
	if (folder[0] != '\0')
		snprintf(
		    t->tree[t->ntrees++], sizeof(t->tree[0]), "%s", folder);
}

static bool
read_policy(struct doc *d, struct targets *t)
{
	static const struct mg_file_rule root_only = {.owner = 0};
	struct mg_policy_source src = {.policy_dir = MG_CONFDIR "/policy.d",
	    .operations_dir = MG_CONFDIR "/operations.d",
	    .rule = &root_only,
	    .can = MG_POLICY_CAN_AGENT};
	static struct mg_diags ds; /* large */
	struct mg_policy *p;
	char text[700];
	uint32_t i;

	mg_diags_init(&ds);
	if (mg_policy_load(&src, &p, &ds) != MG_ERR_OK) {
		mg_diags_first(&ds, text, sizeof(text));
		doc_say(d, DOC_BAD, "policy",
		    "modelgate policy check " MG_CONFDIR "/policy.d", "%s",
		    text);
		return false;
	}
	doc_say(d, DOC_GOOD, "policy", "", "it loads");
	for (i = 0; i < p->ops.n; i++) {
		const struct pol_op *op = pol_op(p, i);

		if (op->kind == POL_OP_GROUP || op->def.argc == 0)
			continue;
		add_user(t, op->def.run_as);
		add_tree(t, op->def.artifact);
	}
	mg_policy_free(p);
	return true;
}

/* ---- ways to be a serving user ---- */

/* A key that logs in as the user; a password that does. */
static void
check_login(struct doc *d, const char *user)
{
	const struct spwd *sp = getspnam(user);
	struct doc_user u;
	char path[512];
	struct stat st;
	unsigned i;

	for (i = 0; doc_user(user, &u) && i < 2; i++) {
		snprintf(path, sizeof(path), "%s/.ssh/authorized_keys%s",
		    u.pw.pw_dir, i == 0 ? "" : "2");
		if (stat(path, &st) == 0 && st.st_size > 0) {
			doc_say(d, DOC_BAD, "login",
			    "remove it: operations start as this user without "
			    "any key",
			    "%s: somebody logs in as %s", path, user);
			return;
		}
	}
	if (sp != NULL && sp->sp_pwdp != NULL && sp->sp_pwdp[0] != '!' &&
	    sp->sp_pwdp[0] != '*') {
		doc_say(d, DOC_BAD, "login", "passwd -l", "%s has a password",
		    user);
		return;
	}
	doc_say(d, DOC_GOOD, "login", "", "no key and no password lead to %s",
	    user);
}

/* What cron or at runs as the user, unasked. */
static void
check_cron(struct doc *d, const char *user)
{
	char path[300];

	snprintf(path, sizeof(path), "/var/spool/cron/crontabs/%s", user);
	if (access(path, F_OK) == 0)
		doc_say(d, DOC_WARN, "cron",
		    "read it: it runs without being asked about", "%s", path);
	else
		doc_say(d, DOC_GOOD, "cron", "", "%s has no crontab", user);
}

/* nftw(3) has no argument for its callback. */
static struct {
	const struct targets *t;
	time_t until;
	unsigned files;
	char found[512];
	bool cut;
} walk;

static int
look_setid(const char *path, const struct stat *st, int what, struct FTW *at)
{
	size_t i;

	(void)at;
	if (what != FTW_F)
		return 0;
	if ((++walk.files & 1023) == 0 && time(NULL) > walk.until) {
		walk.cut = true;
		return 1;
	}
	if (!S_ISREG(st->st_mode) || (st->st_mode & S_ISUID) == 0)
		return 0;
	for (i = 0; i < walk.t->nusers; i++) {
		if (st->st_uid != walk.t->uid[i])
			continue;
		snprintf(walk.found, sizeof(walk.found), "%s becomes %s", path,
		    walk.t->user[i]);
		return 1;
	}
	return 0;
}

/*
 * A set-user-id program of a serving user is that user, to everybody. Looked
 * for where people and serving users can write; who can write elsewhere is
 * root already.
 */
static void
check_setid(struct doc *d, const struct targets *t)
{
	static const char *const where[] = {"/tmp", "/var/tmp", "/dev/shm",
	    "/srv", "/home", "/opt", "/usr/local", "/var/lib"};
	size_t i;

	memset(&walk, 0, sizeof(walk));
	walk.t = t;
	walk.until = time(NULL) + SECONDS_MAX;
	for (i = 0; i < sizeof(where) / sizeof(where[0]); i++)
		if (walk.found[0] == '\0' && !walk.cut)
			(void)nftw(
			    where[i], look_setid, 32, FTW_PHYS | FTW_MOUNT);
	if (walk.found[0] != '\0')
		doc_say(d, DOC_BAD, "setuid", "chmod u-s", "%s", walk.found);
	else if (walk.cut)
		doc_say(d, DOC_WARN, "setuid", "find / -perm -4000",
		    "not all was looked at within %d s", SECONDS_MAX);
	else
		doc_say(d, DOC_GOOD, "setuid", "",
		    "no program becomes a serving user");
}

/* ---- ways to write models ---- */

/* An access list that lets a named user or group, or others, write. */
static bool
acl_lets_write(const char *path)
{
	/* <linux/posix_acl_xattr.h>: version, then tag, perm, id each. */
	unsigned char v[4 + 8 * 64];
	ssize_t n = lgetxattr(path, "system.posix_acl_access", v, sizeof(v));
	unsigned tag, perm;
	ssize_t i;

	for (i = 4; i + 8 <= n; i += 8) {
		tag = v[i] | (unsigned)v[i + 1] << 8;
		perm = v[i + 2] | (unsigned)v[i + 3] << 8;
		if ((tag == 0x02 || tag == 0x08) && (perm & 2) != 0)
			return true;
	}
	return n > (ssize_t)sizeof(v) || (n == -1 && errno == ERANGE);
}

static bool
is_serving(uid_t uid)
{
	size_t i;

	for (i = 0; i < walk.t->nusers; i++)
		if (walk.t->uid[i] == uid)
			return true;
	return uid == 0;
}

static int
look_model(const char *path, const struct stat *st, int what, struct FTW *at)
{
	const char *who = NULL;

	(void)at;
	if (what == FTW_NS || S_ISLNK(st->st_mode))
		return 0;
	if (++walk.files > FILES_MAX ||
	    ((walk.files & 1023) == 0 && time(NULL) > walk.until)) {
		walk.cut = true;
		return 1;
	}
	if (!is_serving(st->st_uid))
		who = "its owner";
	else if ((st->st_mode & 002) != 0 &&
		 !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0))
		who = "everybody";
	else if ((st->st_mode & 020) != 0 && st->st_gid != 0)
		who = "its group";
	else if (acl_lets_write(path))
		who = "its access list";
	if (who == NULL)
		return 0;
	snprintf(walk.found, sizeof(walk.found), "%s can be written by %s",
	    path, who);
	return 1;
}

/* The folders above decide as well: who may rename one owns all below. */
static void
look_above(const char *tree)
{
	char path[256];
	struct stat st;
	char *slash;

	snprintf(path, sizeof(path), "%s", tree);
	while ((slash = strrchr(path, '/')) != NULL && slash != path &&
	       walk.found[0] == '\0') {
		*slash = '\0';
		if (lstat(path, &st) == 0)
			(void)look_model(path, &st, FTW_D, NULL);
	}
}

static void
check_tree(struct doc *d, const struct targets *t, const char *tree)
{
	memset(&walk, 0, sizeof(walk));
	walk.t = t;
	walk.until = time(NULL) + SECONDS_MAX;
	if (access(tree, F_OK) != 0)
		return; /* nothing there yet */
	(void)nftw(tree, look_model, 32, FTW_PHYS);
	look_above(tree);
	if (walk.found[0] != '\0')
		doc_say(d, DOC_BAD, "models",
		    "only root and the serving user should write there", "%s",
		    walk.found);
	else if (walk.cut)
		doc_say(d, DOC_WARN, "models", "",
		    "%s: only the first %u files were looked at", tree,
		    walk.files);
	else
		doc_say(d, DOC_GOOD, "models", "",
		    "%s: only root and serving users write", tree);
}

/* ---- sudo, and what the kernel records ---- */

struct search {
	const char *needle;
	bool found;
};

static void
search_line(void *arg, const char *line)
{
	struct search *s = arg;

	s->found = s->found || strstr(line, s->needle) != NULL;
}

static bool
output_has(const char *const *argv, const char *needle)
{
	struct search s = {.needle = needle};

	(void)doc_output(argv, search_line, &s);
	return s.found;
}

/* sudo's own rules come on top of modelgate's; these take it away. */
static void
check_sudoers(struct doc *d)
{
	static const char *const argv[] = {
	    "/usr/bin/cvtsudoers", "-e", "-f", "sudoers", "/etc/sudoers", NULL};

	if (getuid() != 0 || access("/etc/sudoers", F_OK) != 0 ||
	    access("/usr/bin/cvtsudoers", X_OK) != 0)
		return;
	if (output_has(argv, "!pam_acct_mgmt"))
		doc_say(d, DOC_BAD, "sudoers", "remove !pam_acct_mgmt",
		    "sudo does not ask PAM whether it may");
	else
		doc_say(d, DOC_GOOD, "sudoers", "",
		    "every sudo asks PAM, whatever its rules allow");
}

static void
check_audit_rules(struct doc *d)
{
	static const char *const argv[] = {"/usr/sbin/auditctl", "-l", NULL};

	if (getuid() != 0 || access("/usr/sbin/auditctl", X_OK) != 0)
		return;
	if (!output_has(argv, "modelgate"))
		doc_say(d, DOC_WARN, "audit rules",
		    "install the shipped audit.rules below /etc/audit/rules.d "
		    "and run augenrules --load",
		    "none with the key modelgate: who goes around it leaves "
		    "no trace");
	else if (!output_has(argv, "uid!=0 -F msgtype=ANOM_PROMISCUOUS"))
		doc_say(d, DOC_WARN, "audit rules",
		    "install the shipped audit.rules of this version and run "
		    "augenrules --load",
		    "a user can have the kernel lose records, and everybody "
		    "refused meanwhile");
	else
		doc_say(d, DOC_GOOD, "audit rules", "",
		    "the kernel watches what decides (ausearch -k modelgate)");
}

void
doc_reach(struct doc *d)
{
	static struct targets t; /* large */
	size_t i;

	check_sudoers(d);
	check_audit_rules(d);
	if (!read_policy(d, &t))
		return;
	for (i = 0; i < t.nusers; i++) {
		check_login(d, t.user[i]);
		check_cron(d, t.user[i]);
	}
	if (t.nusers > 0)
		check_setid(d, &t);
	for (i = 0; i < t.ntrees; i++)
		check_tree(d, &t, t.tree[i]);
}
