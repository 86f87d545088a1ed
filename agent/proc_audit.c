/* SPDX-License-Identifier: ISC */
/*
 * mg-audit: writes records into the kernel's audit log.
 *
 * Runs as: root with CAP_AUDIT_WRITE only; one per requester, with that
 * login uid
 * Holds: an audit netlink socket
 * Accepts: records from the monitor
 * Sends: whether the kernel took the record
 * If it dies: the transition is refused; a new one is started
 *
 * Rules
 * 1. uuid= stands first and res= last; every value that came from outside
 *    goes through the audit library's untrusted-string encoding; what is
 *    not encoded may hold only letters, digits and -._:/@+=, so that nothing
 *    can end its field or begin another.
 * 2. The text stays below 4 KiB, far from the lengths at which libaudit or
 *    the kernel drop records or their tails.
 * 3. "Taken" is a positive sequence number, nothing else.
 * 4. addr is numeric or empty-with-no-hostname: libaudit would otherwise
 *    resolve the host name, which can hang.
 */
#include <errno.h>
#include <fcntl.h>
#include <libaudit.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_proc.h"

#define CHANNEL_FD 3
#define QUEUE_MAX 262144
#define TEXT_MAX 8000 /* hex doubles two values of 1 KiB */

/* Rule 1: for values that are not encoded. */
static bool
is_safe(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if ((*s < 'a' || *s > 'z') && (*s < 'A' || *s > 'Z') &&
		    (*s < '0' || *s > '9') && strchr("-._:/@+=,", *s) == NULL)
			return false;
	return true;
}

static enum mg_err
put_encoded(struct mg_buf *b, const char *name, const char *value)
{
	enum mg_err r;
	char *e;

	if (value[0] == '\0')
		return MG_ERR_OK;
	if ((e = audit_encode_nv_string(name, value, 0)) == NULL)
		return MG_ERR_NOMEM;
	r = mg_buf_putf(b, " %s", e);
	free(e);
	return r;
}

static enum mg_err
put_word(struct mg_buf *b, const char *name, const char *value)
{
	if (value[0] == '\0')
		return MG_ERR_OK;
	return mg_buf_putf(b, " %s=%s", name, is_safe(value) ? value : "?");
}

static enum mg_err
put_number(struct mg_buf *b, const char *name, int64_t v)
{
	return v < 0 ? MG_ERR_OK
		     : mg_buf_putf(b, " %s=%lld", name, (long long)v);
}

static enum mg_err
put_more(struct mg_buf *b, const struct mg_audit_req *a)
{
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; i + 1 < a->more_n && r == MG_ERR_OK; i += 2)
		r = put_word(b, a->more[i], a->more[i + 1]);
	return r;
}

/* The message part; libaudit adds exe, hostname, addr, terminal and res. */
static enum mg_err
format(struct mg_buf *b, const struct mg_audit_req *a)
{
	enum mg_err r;

	if ((r = mg_buf_putf(b, "uuid=%s op=modelgate:%s", a->uuid, a->op)) !=
		MG_ERR_OK ||
	    (r = put_word(b, "grantors", a->grantors)) != MG_ERR_OK ||
	    (r = put_encoded(b, "acct", a->acct)) != MG_ERR_OK ||
	    (r = put_number(b, "oauid", a->oauid)) != MG_ERR_OK ||
	    (r = put_number(b, "oses", a->oses)) != MG_ERR_OK ||
	    (r = put_encoded(b, "vm", a->model)) != MG_ERR_OK ||
	    (r = put_word(b, "reason", a->why)) != MG_ERR_OK ||
	    (r = put_more(b, a)) != MG_ERR_OK ||
	    (r = put_encoded(b, "path", a->path)) != MG_ERR_OK ||
	    (r = put_encoded(b, "cmd", a->cmd)) != MG_ERR_OK)
		return r;
	return a->cut ? mg_buf_put_text(b, " trunc=1") : MG_ERR_OK;
}

/* Whether addr is an address and not a name. */
static bool
is_numeric(const char *s)
{
	return s[0] != '\0' && s[strspn(s, "0123456789abcdefABCDEF.:")] == '\0';
}

static void
answer(struct mg_chan *ch, uint32_t id, int fd, const struct mg_audit_req *a)
{
	struct mg_audit_ans ans = {0};
	struct mg_buf b;
	const char *text, *addr, *tty;
	enum mg_err r;
	int rc = -EINVAL;

	mg_buf_init(&b, TEXT_MAX);
	r = format(&b, a);
	addr = is_numeric(a->addr) ? a->addr : NULL;
	tty = is_safe(a->tty) ? a->tty : "";
	if (r == MG_ERR_OK && (text = mg_buf_cstr(&b)) != NULL)
		rc = audit_log_user_message(fd, (int)a->type, text,
		    addr == NULL       ? NULL
		    : is_safe(a->host) ? a->host
				       : NULL,
		    addr, tty, a->success ? 1 : 0); /* Rule 4 */
	ans.ok = rc > 0;			    /* Rule 3 */
	if (!ans.ok)
		ans.error = (uint32_t)(rc < 0 ? -rc : ECONNREFUSED);
	mg_buf_fini(&b);
	if (mg_chan_send(ch, id, MG_MSG_AUDIT_ANS, &ans) != MG_ERR_OK)
		mg_fatal("cannot answer");
}

static void
answer_state(struct mg_chan *ch, uint32_t id, int fd)
{
	struct mg_audit_state s = {0};
	struct audit_reply rep;
	int i;

	memset(&rep, 0, sizeof(rep));
	if (audit_request_status(fd) > 0) {
		for (i = 0; i < 40 && !s.ok; i++) {
			if (audit_get_reply(fd, &rep, GET_REPLY_BLOCKING, 0) <=
			    0)
				break;
			if (rep.type != AUDIT_GET || rep.status == NULL)
				continue;
			s.ok = true;
			s.enabled = rep.status->enabled;
			s.pid = rep.status->pid;
			s.lost = rep.status->lost;
			s.backlog = rep.status->backlog;
		}
	}
	if (mg_chan_send(ch, id, MG_MSG_AUDIT_STATE, &s) != MG_ERR_OK)
		mg_fatal("cannot answer");
}

/*
 * Only what is needed from here on. Asking for the state takes
 * CAP_AUDIT_CONTROL: only the writer that is nobody's has it. Root's files
 * are root's without any capability, so no file can be opened any more.
 */
static void
confine(bool may_ask)
{
	static const struct mg_confine_limits limits = {
	    .cpu_s = MG_CONFINE_INHERIT,
	    .as_bytes = (uint64_t)64 << 20,
	    .fsize_bytes = 0,
	    .nofile = 16,
	    .nproc = 0,
	};
	struct mg_confine_caps how = {
	    .limits = &limits,
	    .effective = MG_CAP(CAP_AUDIT_WRITE),
	    .no_new_privs = true,
	    .ends_with_parent = true,
	};
	char why[256];

	if (may_ask)
		how.effective |= MG_CAP(CAP_AUDIT_CONTROL);
	how.permitted = how.bounding = how.effective;
	if (mg_confine_caps(&how, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(0, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
}

static bool
take_login_uid(const char *text)
{
	unsigned long v;
	uint32_t ses;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || v >= UINT32_MAX)
		return false;
	/* Where login uids are immutable or we are not trusted with them, the
	 * record still carries oauid=. */
	if (mg_proc_set_loginuid((uid_t)v, &ses) != MG_ERR_OK)
		mg_log(MG_EVT_AUDIT_BAD, "err='cannot take login uid %lu'", v);
	return true;
}

int
main(int argc, char **argv)
{
	struct mg_audit_req a;
	struct mg_chan *ch;
	struct mg_frame f;
	enum mg_err r;
	int fd;

	mg_log_init("mg-audit", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		return 1;
	if (argc == 2 && !take_login_uid(argv[1]))
		mg_fatal("not a login uid");
	if ((fd = audit_open()) == -1)
		mg_fatal(
		    "cannot reach the kernel's audit: %s", strerror(errno));
	confine(argc < 2);
	ch = mg_chan_new(CHANNEL_FD, MG_ROLE_AUDIT, MG_ROLE_MONITOR, QUEUE_MAX);
	if (ch == NULL)
		mg_fatal("cannot open the channel");
	memset(&f, 0, sizeof(f));
	while ((r = mg_chan_wait(ch, -1, &f)) == MG_ERR_OK) {
		if (f.op == MG_MSG_AUDIT_STATE_REQ)
			answer_state(ch, f.id, fd);
		else if (f.op == MG_MSG_AUDIT_REQ &&
			 mg_frame_decode(&f, &a, sizeof(a)) == MG_ERR_OK)
			answer(ch, f.id, fd, &a);
		else
			mg_fatal("message %s out of place", mg_msg_name(f.op));
	}
	audit_close(fd);
	return r == MG_ERR_CLOSED ? 0 : 1;
}
