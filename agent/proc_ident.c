/* SPDX-License-Identifier: ISC */
/*
 * mg-ident: asks the name service who people are.
 *
 * Runs as: _mg-ident, no privileges
 * Holds: nothing
 * Accepts: names and numbers from the monitor; what NSS answers
 * Sends: users, groups, members
 * If it dies: or hangs over 2 s, the question is answered "unknown" and a new
 * one is started
 *
 * Rules
 * 1. What NSS says is checked like any other input: a user whose name is
 *    not an identifier does not exist for us.
 * 2. What cannot be asked has no answer: "unknown" would be one, and keeps
 *    people out. The monitor starts a process that has descriptors again.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_name.h"

#define CHANNEL_FD 3
#define USER "_mg-ident"
#define QUEUE_MAX 1048576
#define FILTER                                                                 \
	(MG_ALLOW_READ | MG_ALLOW_LOAD | MG_ALLOW_CONNECT | MG_ALLOW_THREADS)
#define NSS_BUFFER 262144
#define GROUPS_MAX 512 /* rows of ident_ans.groups */
#define GIDS_MAX 16384
#define MEMBERS_MAX 512

static char nss_text[NSS_BUFFER];

static const char *
clean_or_empty(const char *s)
{
	return s != NULL && mg_esc_is_clean(s) ? s : "";
}

static void
put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* Names of groups for the policy; those that are no clean text are left out,
 * since no policy can name them. */
static void
name_groups(struct mg_ident_ans *a, const gid_t *gids, int n)
{
	static char text[65536];
	struct group gr, *found;
	size_t used = 0, len;
	int i;

	for (i = 0; i < n && a->groups_n < GROUPS_MAX; i++) {
		if (getgrgid_r(gids[i], &gr, nss_text, sizeof(nss_text),
			&found) != 0 ||
		    found == NULL || !mg_esc_is_clean(gr.gr_name))
			continue;
		len = strlen(gr.gr_name) + 1;
		if (len > 256 || len > sizeof(text) - used)
			continue;
		memcpy(text + used, gr.gr_name, len);
		a->groups[a->groups_n++] = text + used;
		used += len;
	}
}

/* The user's groups as a login would get them, now. */
static bool
fill_groups(struct mg_ident_ans *a, const char *name, gid_t gid)
{
	static gid_t gids[GIDS_MAX];
	static uint8_t bytes[GIDS_MAX * 4];
	int n = GIDS_MAX, i;

	if (getgrouplist(name, gid, gids, &n) == -1)
		return false;
	for (i = 0; i < n; i++)
		put32(bytes + 4 * (size_t)i, (uint32_t)gids[i]);
	a->gids = bytes;
	a->gids_len = (size_t)n * 4;
	name_groups(a, gids, n);
	return true;
}

/* NSS passes over a file that it cannot open as if nothing stood in it. */
static bool
may_open(void)
{
	int fd = open("/etc/nsswitch.conf", O_RDONLY | O_CLOEXEC);

	if (fd != -1)
		close(fd);
	return fd != -1 || (errno != EMFILE && errno != ENFILE &&
			       errno != ENOMEM && errno != EIO);
}

static void
answer_person(struct mg_chan *ch, uint32_t id, const struct mg_ident_req *q)
{
	static struct mg_ident_ans a;
	static char name[MG_NAME_MAX + 1], home[1025], shell[1025];
	struct passwd pw, *found = NULL;
	int err;

	memset(&a, 0, sizeof(a));
	a.name = q->name;
	a.uid = q->uid;
	if (q->name[0] != '\0')
		err = getpwnam_r(
		    q->name, &pw, nss_text, sizeof(nss_text), &found);
	else
		err =
		    getpwuid_r(q->uid, &pw, nss_text, sizeof(nss_text), &found);
	if (err == 0 && found != NULL && mg_name_is_valid(pw.pw_name) &&
	    strlen(clean_or_empty(pw.pw_dir)) < sizeof(home) &&
	    strlen(clean_or_empty(pw.pw_shell)) < sizeof(shell)) { /* Rule 1 */
		memcpy(name, pw.pw_name, strlen(pw.pw_name) + 1);
		memcpy(home, clean_or_empty(pw.pw_dir),
		    strlen(clean_or_empty(pw.pw_dir)) + 1);
		memcpy(shell, clean_or_empty(pw.pw_shell),
		    strlen(clean_or_empty(pw.pw_shell)) + 1);
		a.name = name;
		a.home = home;
		a.shell = shell;
		a.uid = pw.pw_uid;
		a.gid = pw.pw_gid;
		a.found = fill_groups(&a, name, pw.pw_gid);
	}
	if (!a.found && (!may_open() || err == EIO)) /* Rule 2 */
		mg_fatal("no name service: %s", strerror(errno));
	if (mg_chan_send(ch, id, MG_MSG_IDENT_ANS, &a) != MG_ERR_OK)
		mg_fatal("cannot answer");
}

static void
answer_group(struct mg_chan *ch, uint32_t id, const struct mg_group_req *q)
{
	static struct mg_group_ans a;
	struct group gr, *found = NULL;
	size_t i;

	memset(&a, 0, sizeof(a));
	a.name = q->name;
	if (getgrnam_r(q->name, &gr, nss_text, sizeof(nss_text), &found) == 0 &&
	    found != NULL) {
		a.found = true;
		for (i = 0; gr.gr_mem[i] != NULL && a.members_n < MEMBERS_MAX;
		     i++)
			if (mg_name_is_valid(gr.gr_mem[i]))
				a.members[a.members_n++] = gr.gr_mem[i];
	}
	if (mg_chan_send(ch, id, MG_MSG_GROUP_ANS, &a) != MG_ERR_OK)
		mg_fatal("cannot answer");
}

static void
answer(struct mg_chan *ch, struct mg_frame *f)
{
	struct mg_ident_req who;
	struct mg_group_req group;

	if (f->op == MG_MSG_IDENT_REQ &&
	    mg_frame_decode(f, &who, sizeof(who)) == MG_ERR_OK)
		answer_person(ch, f->id, &who);
	else if (f->op == MG_MSG_GROUP_REQ &&
		 mg_frame_decode(f, &group, sizeof(group)) == MG_ERR_OK)
		answer_group(ch, f->id, &group);
	else
		mg_fatal("message %s out of place", mg_msg_name(f->op));
}

int
main(void)
{
	static const struct mg_confine_limits limits = {
	    .cpu_s = MG_CONFINE_INHERIT,
	    .as_bytes = MG_CONFINE_INHERIT, /* NSS modules map what they like */
	    .fsize_bytes = 0,
	    .nofile = 64,
	    .nproc = 16,
	};
	struct mg_chan *ch;
	struct mg_frame f;
	char why[256];
	enum mg_err r;

	mg_log_init("mg-ident", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		return 1;
	if (mg_confine_user(USER, &limits, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(FILTER, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
	ch = mg_chan_new(CHANNEL_FD, MG_ROLE_IDENT, MG_ROLE_MONITOR, QUEUE_MAX);
	if (ch == NULL)
		mg_fatal("cannot open the channel");
	memset(&f, 0, sizeof(f));
	while ((r = mg_chan_wait(ch, -1, &f)) == MG_ERR_OK)
		answer(ch, &f);
	return r == MG_ERR_CLOSED ? 0 : 1;
}
