/* SPDX-License-Identifier: ISC */
/*
 * The four questions of the PAM module.
 *
 * Rules
 * 1. Who asks for "login" is the account that logs in, because its login
 *    uid is not set yet; for everything else the person is the login uid
 *    of the asking process, whatever account PAM_USER names. One that a
 *    daemon gave itself before it started sudo is nobody's (mon_door.c,
 *    rule 7): it neither uses a grant of that person nor spends guesses.
 * 2. The auth stage tells nothing about the policy: it may be reached by
 *    somebody who has proven nothing yet.
 * 3. A second factor given in the auth stage counts for the account stage
 *    of the same process and for nothing else.
 * 4. What a grant let in is held by its grant from the account stage on: not
 *    every program opens a session after it (sudo -e), and who asks may
 *    wait in between until the grant has ended. What cannot be put where it
 *    can be ended is refused. A login, whose account stage may be that of
 *    another process, is held when its session is opened.
 * 5. A session is opened for who may be in at that moment, whatever was said
 *    at the account stage.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "mg_b64.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define KEY_MAX 8192   /* of a login: a certificate is a key, too */
#define MARK_MS 300000 /* an auth stage is followed by account this soon */
#define MARKS_MAX 1024

/* Rule 3: a factor that was given, by process. */
struct mon_mark {
	pid_t pid;
	uint64_t start;
	uint32_t uid;
	char operation[97];
	int64_t at_bt;
	struct mon_mark *next;
};

/* One question. It stands in for the client as a job does. */
struct pam {
	struct mon *m;
	struct mon_job *job; /* knows whether the client is still there */
	enum mg_msg_op op;
	char service[65], user[97], operation[97], tty[65], rhost[256];
	char key_type[65], key_fp[64];
	char person[97];
	uint32_t uid;
	bool factor_tried;
	char uuid[MG_UUID_STR]; /* of the grant, else its own; "": none yet */
	char text[512];
};

static struct mon_client *
client_of(struct pam *p)
{
	return p->job->client;
}

static bool
is_login(const struct pam *p)
{
	return strcmp(p->operation, "login") == 0;
}

static void
pam_free(struct pam *p)
{
	mon_job_free(p->job);
	free(p);
}

static void
allow(struct pam *p, const char *text)
{
	mon_reply_done(client_of(p), text);
	pam_free(p);
}

static void
refuse(struct pam *p, enum mg_why why, const char *rule, const char *text,
    const char *remedy)
{
	struct mon_refusal ref = {
	    .user = p->person[0] != '\0' ? p->person : p->user,
	    .uid = p->uid,
	    .ses = MG_PROC_UNSET,
	    .tty = p->tty,
	    .origin = p->rhost,
	    .operation = p->operation,
	    .model = "",
	    .version = "",
	    .rule = rule,
	    .text = text,
	    .remedy = remedy,
	    .why = why};
	struct mon_client *c = client_of(p);

	if (c != NULL) {
		ref.ses = c->peer.session;
		c->job = NULL;
		p->job->client = NULL;
		mon_refuse(c->m, c, &ref);
	}
	pam_free(p);
}

/* Rule 2: the same few words for every reason. */
static void
refuse_auth(struct pam *p, enum mg_why why)
{
	mon_reply_refused(client_of(p), why, "", "", mg_why_sentence(why), "");
	pam_free(p);
}

/* ---- marks ---- */

static void
forget_old_marks(struct mon *m)
{
	struct mon_mark **pp = &m->marks, *k;
	int64_t now = mg_time_boot_ms();
	size_t n = 0;

	while ((k = *pp) != NULL) {
		if (now - k->at_bt < MARK_MS && ++n < MARKS_MAX) {
			pp = &k->next;
			continue;
		}
		*pp = k->next;
		free(k);
	}
}

static void
set_mark(struct pam *p)
{
	struct mon *m = p->m;
	struct mon_mark *k;

	forget_old_marks(m);
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return;
	k->pid = client_of(p)->peer.pid;
	k->start = client_of(p)->peer.start;
	k->uid = p->uid;
	k->at_bt = mg_time_boot_ms();
	memcpy(k->operation, p->operation, sizeof(k->operation));
	k->next = m->marks;
	m->marks = k;
}

static const struct mon_mark *
find_mark(struct pam *p)
{
	const struct mg_peer *peer = &client_of(p)->peer;
	const struct mon_mark *k;

	forget_old_marks(p->m);
	for (k = p->m->marks; k != NULL; k = k->next)
		if (k->pid == peer->pid && k->start == peer->start &&
		    k->uid == p->uid && strcmp(k->operation, p->operation) == 0)
			return k;
	return NULL;
}

/* ---- the policy ---- */

static bool
is_hardware(const struct pam *p)
{
	return strncmp(p->key_type, "sk-", 3) == 0;
}

/* A key that nobody has logged in with comes into use now. */
static int64_t
key_since(struct pam *p, int64_t now_ms)
{
	int64_t since;

	if (p->key_fp[0] == '\0')
		return 0;
	since = mon_key_since(p->m, p->person, p->key_fp);
	return since == 0 && !mg_past_is_full(mg_state_past(p->m->state))
		   ? now_ms
		   : since;
}

static void
decide(struct pam *p, struct mg_verdict *v)
{
	struct mon_how how;
	struct mg_ask ask;

	mon_ask_begin(p->m, NULL, &ask);
	p->m->asked_by = &client_of(p)->peer;
	ask.user = p->person;
	ask.operation = p->operation;
	ask.model = ask.version = "";
	mon_how(p->m, p->person, client_of(p)->peer.session, &how);
	if (is_login(p))
		how.is_local = p->rhost[0] == '\0';
	if (p->rhost[0] != '\0')
		how.is_local = false;
	ask.from = p->rhost[0] != '\0' ? p->rhost : how.origin;
	mon_ask_how(&ask, &how);
	if (p->key_type[0] != '\0') {
		ask.login_key = p->key_type;
		ask.login_key_is_hardware = is_hardware(p);
		ask.login_key_since_ms = key_since(p, ask.now_ms);
	}
	mg_policy_decide(p->m->policy, &ask, v);
	p->m->asked_by = NULL;
}

/* A live grant of that person for that operation. */
static struct mg_req *
find_grant(struct pam *p)
{
	int64_t now = mg_time_boot_ms();
	struct mg_req *req;

	for (req = mg_state_own_granted(p->m->state, p->uid); req != NULL;
	     req = req->own.next)
		if (req->live.ends_bt > now &&
		    (req->uses == 0 || req->live.used < req->uses) &&
		    strcmp(req->operation, p->operation) == 0)
			return req;
	return NULL;
}

static void
left_text(const struct mg_req *req, char *out, size_t size)
{
	char left[MG_DURATION_STR];

	mg_duration_format(req->live.ends_bt - mg_time_boot_ms(), left);
	snprintf(out, size, "modelgate: %s granted (%s), %s left",
	    req->operation, req->code, left);
}

/* The grant that holds who asks already. */
static struct mg_req *
holder(struct pam *p)
{
	struct mg_req *req;

	req = mon_run_holder(p->m, p->uid, &client_of(p)->peer);
	return req != NULL && strcmp(req->operation, p->operation) == 0 ? req
									: NULL;
}

/* The grant that who asks may use now. */
static struct mg_req *
usable_grant(struct pam *p)
{
	struct mg_req *req = holder(p);

	if (req == NULL)
		req = find_grant(p);
	return req != NULL && mon_req_recheck(p->m, req) == MG_WHY_NONE ? req
									: NULL;
}

/* Whether the rules let in without a grant. */
static bool
is_free(const struct mg_verdict *v)
{
	return v->kind != MG_VERDICT_DENY && v->nslots == 0;
}

/* Rule 4. Refuses what cannot be held. */
static bool
hold(struct pam *p, struct mg_req *req)
{
	const struct mg_peer *peer = &client_of(p)->peer;

	if (holder(p) == req ||
	    mon_run_adopt(p->m, req, peer,
		is_login(p) ? peer->session : MG_PROC_UNSET) == MG_ERR_OK)
		return true;
	refuse(p, MG_WHY_INTERNAL, "",
	    "what is let in cannot be put under its grant", "");
	return false;
}

/* ---- account ---- */

static void watch_access(struct mon *m, const struct mg_access *a);

static void
access_recorded(void *arg, enum mg_why why)
{
	struct pam *p = arg;
	const struct mg_access *a = mg_state_access_find(p->m->state, p->uuid);

	if (a != NULL)
		watch_access(p->m, a);
	if (why == MG_WHY_NONE)
		allow(p, p->text);
	else
		refuse(p, why, "", "", "");
}

/* What is on record of this question: a try of the factor, then the access. */
static bool
has_uuid(struct pam *p)
{
	struct mg_uuid u;

	if (p->uuid[0] == '\0') {
		if (mg_uuid_new(&u) != MG_ERR_OK)
			return false;
		mg_uuid_format(&u, p->uuid);
	}
	return true;
}

static void
record_access(struct pam *p, const char *rule)
{
	/* Without a grant it is in as long as that process is; a login is as
	 * long as its session. */
	bool counts =
	    mg_state_find(p->m->state, p->uuid) == NULL && !is_login(p);
	struct mon_txn *t;
	struct mg_json *j;

	if (!has_uuid(p)) {
		refuse(p, MG_WHY_INTERNAL, "", "", "");
		return;
	}
	t = mon_txn_begin(p->m);
	j = mon_rec_begin(t, "access");
	mg_json_str(j, "uuid", p->uuid);
	mg_json_str(j, "user", p->person);
	mg_json_int(j, "uid", p->uid);
	mg_json_int(j, "ses", client_of(p)->peer.session);
	mg_json_str(j, "operation", p->operation);
	mg_json_str(j, "service", p->service);
	mg_json_str(j, "tty", p->tty);
	mg_json_str(j, "origin", p->rhost);
	mg_json_str(j, "rule", rule);
	if (counts) {
		mg_json_int(j, "pid", client_of(p)->peer.pid);
		mg_json_int(j, "start", (int64_t)client_of(p)->peer.start);
	}
	mon_rec_end(t);
	mon_txn_commit(t, access_recorded, p);
}

static void account(struct pam *p);

static void
account_factor(void *arg, enum mg_why why, const char *text)
{
	struct pam *p = arg;

	if (client_of(p) == NULL) {
		pam_free(p);
		return;
	}
	if (why != MG_WHY_NONE) {
		refuse(p, why, "", text, "");
		return;
	}
	set_mark(p);
	account(p);
}

static void
ask_factor(struct pam *p, mon_auth_fn fn)
{
	char about[300];

	p->factor_tried = true;
	if (!has_uuid(p)) {
		fn(p, MG_WHY_INTERNAL, "");
		return;
	}
	snprintf(
	    about, sizeof(about), "%s on %s", p->operation, p->m->conf.host);
	mon_auth_check(
	    client_of(p), p->person, p->uid, p->service, about, p->uuid, fn, p);
}

static void
refuse_account(struct pam *p, const struct mg_verdict *v)
{
	char rule[512] = "", text[300], remedy[512];

	if (v->nrules > 0)
		snprintf(rule, sizeof(rule), "%s (%s)", v->rules[0].name,
		    v->rules[0].where);
	if (v->kind == MG_VERDICT_DENY) {
		snprintf(text, sizeof(text), "%s may not %s: %s", p->person,
		    p->operation, mg_why_sentence(v->why));
		refuse(p, v->why, rule, text, v->remedy);
		return;
	}
	snprintf(text, sizeof(text), "%s needs approval", p->operation);
	snprintf(remedy, sizeof(remedy),
	    "ask for it: modelgate request %s --reason '...'", p->operation);
	refuse(p, MG_WHY_APPROVAL_NEEDED, rule, text, remedy);
}

static void
account_granted(struct pam *p, struct mg_req *req)
{
	struct mg_verdict v;

	memcpy(p->uuid, req->uuid, sizeof(p->uuid));
	left_text(req, p->text, sizeof(p->text));
	decide(p, &v);
	if (is_login(p) || is_free(&v) || hold(p, req))
		record_access(p, req->rule);
}

static void
account(struct pam *p)
{
	struct mg_req *req = usable_grant(p);
	struct mg_verdict v;
	char rule[512] = "";

	if (req != NULL) {
		account_granted(p, req);
		return;
	}
	decide(p, &v);
	if (!is_free(&v)) {
		refuse_account(p, &v);
		return;
	}
	if (v.mfa && find_mark(p) == NULL) {
		if (p->factor_tried)
			refuse(p, MG_WHY_MFA_NEEDED, "", "", "");
		else
			ask_factor(p, account_factor);
		return;
	}
	if (v.nrules > 0)
		snprintf(rule, sizeof(rule), "%s (%s)", v.rules[0].name,
		    v.rules[0].where);
	record_access(p, rule);
}

/* ---- auth ---- */

static void
auth_factor(void *arg, enum mg_why why, const char *text)
{
	struct pam *p = arg;

	(void)text;
	if (client_of(p) == NULL) {
		pam_free(p);
		return;
	}
	if (why != MG_WHY_NONE) {
		refuse_auth(p, why);
		return;
	}
	set_mark(p);
	allow(p, "");
}

static void
auth(struct pam *p)
{
	struct mg_verdict v;

	decide(p, &v);
	/* Who is denied is asked too: the account stage says no. */
	if (v.kind == MG_VERDICT_DENY || v.mfa)
		ask_factor(p, auth_factor);
	else
		allow(p, "");
}

/* ---- session ---- */

static void
summary(struct pam *p, char *out, size_t size)
{
	unsigned grants = 0, waiting = 0;
	const struct mg_req *req;
	int64_t first = 0;
	char left[MG_DURATION_STR] = "";

	for (req = mg_state_own_pending(p->m->state, p->uid); req != NULL;
	     req = req->own.next)
		waiting++;
	for (req = mg_state_own_granted(p->m->state, p->uid); req != NULL;
	     req = req->own.next) {
		grants++;
		if (first == 0 || req->live.ends_bt < first)
			first = req->live.ends_bt;
	}
	out[0] = '\0';
	if (grants == 0 && waiting == 0)
		return;
	if (grants > 0)
		mg_duration_format(first - mg_time_boot_ms(), left);
	snprintf(out, size,
	    "modelgate: %u grant%s held%s%s, %u request%s waiting "
	    "(modelgate status)",
	    grants, grants == 1 ? "" : "s",
	    grants > 0 ? ", first ends in " : "", left, waiting,
	    waiting == 1 ? "" : "s");
}

static void
session_recorded(void *arg, enum mg_why why)
{
	struct pam *p = arg;
	char text[512];

	if (why != MG_WHY_NONE) {
		refuse(p, why, "", "", "");
		return;
	}
	summary(p, text, sizeof(text));
	allow(p, p->text[0] != '\0' ? p->text : text);
}

static void watch_login(struct mon *m, struct mon_client *c);

static void
open_login(struct pam *p)
{
	const struct mg_peer *peer = &client_of(p)->peer;
	const struct mon_mark *mark;
	struct mon_txn *t;
	struct mg_json *j;

	mg_log(MG_EVT_SESSION, "user=%s service=%s ses=%u from=%s", p->person,
	    p->service, peer->session, p->rhost);
	t = mon_txn_begin(p->m);
	j = mon_rec_begin(t, "session-open");
	mg_json_int(j, "ses", peer->session);
	mg_json_int(j, "uid", p->uid);
	mg_json_str(j, "user", p->person);
	mg_json_str(j, "service", p->service);
	mg_json_str(j, "tty", p->tty);
	mg_json_str(j, "origin", p->rhost);
	mg_json_str(j, "key_type", p->key_type);
	mg_json_str(j, "key_fp", p->key_fp);
	mg_json_bool(j, "hardware", is_hardware(p));
	if ((mark = find_mark(p)) != NULL)
		mg_json_int(j, "mfa_bt", mark->at_bt);
	mon_rec_end(t);
	watch_login(p->m, client_of(p));
	mon_txn_commit(t, session_recorded, p);
}

static void
open_session(struct pam *p)
{
	struct mg_req *req = usable_grant(p);
	struct mg_verdict v;

	decide(p, &v);
	if (is_free(&v)) {
		req = NULL; /* a rule of its own allows it: no grant holds it */
	} else if (req == NULL) {
		refuse_account(p, &v); /* Rule 5 */
		return;
	}
	if (req != NULL) {
		if (!hold(p, req))
			return;
		left_text(req, p->text, sizeof(p->text));
	}
	if (is_login(p))
		open_login(p);
	else
		session_recorded(p, MG_WHY_NONE);
}

/*
 * Grants that were asked for in the session go with it; one for a login is
 * meant for another session, and a service account has a session for every
 * command that it sends. Who logs out as soon as his command has ended takes
 * nothing away: that grant was used.
 */
static void
end_grants(struct mon *m, uint32_t ses)
{
	struct mg_req *req, *next;

	for (req = mg_state_granted(m->state); req != NULL; req = next) {
		next = req->granted.next; /* an ended one is in no such list */
		if (req->ses == ses && strcmp(req->operation, "login") != 0 &&
		    !mg_policy_is_service(m->policy, req->user) &&
		    !mon_run_is_over(req))
			mon_req_end(
			    m, req, MG_REQ_REVOKED, MG_WHY_LOGOUT, req->user);
	}
}

static void
record_close(
    struct mon *m, uint32_t ses, const char *how, mon_txn_fn fn, void *arg)
{
	struct mon_txn *t;
	struct mg_json *j;

	end_grants(m, ses);
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "session-close");
	mg_json_int(j, "ses", ses);
	mg_json_str(j, "how", how);
	mon_rec_end(t);
	mon_txn_commit(t, fn, arg);
}

/*
 * The process that opened a session is the one that closes it. When it is
 * killed instead, its end is the end of the session.
 */
struct mon_login {
	struct mon *m;
	uint32_t ses;
	int pidfd;
	struct mg_watch *watch;
	struct mon_login *next;
};

static void
login_free(struct mon_login *l)
{
	struct mon_login **p = &l->m->logins;

	while (*p != NULL && *p != l)
		p = &(*p)->next;
	if (*p != NULL)
		*p = l->next;
	mg_watch_del(l->watch);
	close(l->pidfd);
	free(l);
}

static void
login_died(void *arg, uint32_t events)
{
	struct mon_login *l = arg;

	(void)events;
	if (mg_state_session(l->m->state, l->ses) != NULL) {
		mg_log(
		    MG_EVT_SESSION, "ses=%u text='its process ended'", l->ses);
		record_close(l->m, l->ses, "died", NULL, NULL);
	}
	login_free(l);
}

static void
watch_login(struct mon *m, struct mon_client *c)
{
	struct mon_login *l;

	if (c->pidfd == -1 || (l = calloc(1, sizeof(*l))) == NULL)
		return;
	l->m = m;
	l->ses = c->peer.session;
	l->pidfd = c->pidfd;
	c->pidfd = -1;
	l->next = m->logins;
	m->logins = l;
	if (mg_watch_add(m->loop, l->pidfd, EPOLLIN, login_died, l,
		&l->watch) != MG_ERR_OK)
		login_free(l);
}

/* ---- who is in without a grant ---- */

struct mon_inside {
	struct mon *m;
	char uuid[MG_UUID_STR];
	int pidfd;
	struct mg_watch *watch;
	struct mon_inside *next;
};

/* Not on record: mon_sessions_check() comes back to it. */
static void
record_access_end(struct mon *m, const char *uuid)
{
	struct mon_txn *t;
	struct mg_json *j;

	if (mg_state_access_find(m->state, uuid) == NULL)
		return;
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "access-end");
	mg_json_str(j, "uuid", uuid);
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
}

static void
inside_free(struct mon_inside *in)
{
	struct mon_inside **p = &in->m->inside;

	while (*p != NULL && *p != in)
		p = &(*p)->next;
	if (*p != NULL)
		*p = in->next;
	mg_watch_del(in->watch);
	close(in->pidfd);
	free(in);
}

static void
inside_ended(void *arg, uint32_t events)
{
	struct mon_inside *in = arg;

	(void)events;
	record_access_end(in->m, in->uuid);
	inside_free(in);
}

static void
watch_access(struct mon *m, const struct mg_access *a)
{
	struct mon_inside *in;
	enum mg_err r;
	int fd;

	for (in = m->inside; in != NULL; in = in->next)
		if (strcmp(in->uuid, a->uuid) == 0)
			return;
	r = mg_proc_open((pid_t)a->pid, (uint64_t)a->start, &fd);
	if (r == MG_ERR_NOENT)
		record_access_end(m, a->uuid);
	if (r != MG_ERR_OK)
		return;
	if ((in = calloc(1, sizeof(*in))) == NULL) {
		close(fd);
		return;
	}
	in->m = m;
	memcpy(in->uuid, a->uuid, sizeof(in->uuid));
	in->pidfd = fd;
	in->next = m->inside;
	m->inside = in;
	if (mg_watch_add(m->loop, fd, EPOLLIN, inside_ended, in, &in->watch) !=
	    MG_ERR_OK)
		inside_free(in);
}

static bool
is_watched(struct mon *m, uint32_t ses)
{
	const struct mon_login *l;

	for (l = m->logins; l != NULL && l->ses != ses; l = l->next)
		continue;
	return l != NULL;
}

void
mon_sessions_check(struct mon *m)
{
	const struct mg_session *s, *next;
	const struct mg_access *a;

	for (a = mg_state_access(m->state, NULL); a != NULL;
	     a = mg_state_access(m->state, a))
		watch_access(m, a);
	for (s = mg_state_sessions(m->state); s != NULL; s = next) {
		next = s->next;
		if (!is_watched(m, s->ses) && !mg_proc_has_session(s->ses))
			record_close(m, s->ses, "gone", NULL, NULL);
	}
}

static void
close_session(struct pam *p)
{
	uint32_t ses = client_of(p)->peer.session;

	p->text[0] = '\0';
	if (!is_login(p) || ses == MG_PROC_UNSET ||
	    mg_state_session(p->m->state, ses) == NULL) {
		allow(p, "");
		return;
	}
	record_close(p->m, ses, "closed", session_recorded, p);
}

/* ---- beginning ---- */

static void
dispatch(struct pam *p)
{
	switch ((int)p->op) {
	case MG_MSG_PAM_AUTH_REQ:
		auth(p);
		break;
	case MG_MSG_PAM_ACCT_REQ:
		account(p);
		break;
	case MG_MSG_PAM_OPEN_REQ:
		open_session(p);
		break;
	default:
		close_session(p);
	}
}

/* Nobody of that name, or with that login uid, is known. */
static void
refuse_nobody(struct pam *p)
{
	const struct mg_peer *peer = &client_of(p)->peer;
	bool no_login = !is_login(p) && p->uid == MG_PROC_UNSET;
	enum mg_why why = no_login		      ? MG_WHY_NO_LOGIN
			  : mon_people_are_lost(p->m) ? MG_WHY_NAMES_FAILED
						      : MG_WHY_UNKNOWN_USER;
	char text[160] = "";

	if (no_login && client_of(p)->is_pretender)
		snprintf(text, sizeof(text),
		    "process %d has the login uid %u, which no login known "
		    "here gave it",
		    (int)peer->pid, peer->loginuid);
	if (p->op == MG_MSG_PAM_AUTH_REQ && why != MG_WHY_NAMES_FAILED)
		refuse_auth(p, MG_WHY_MFA_FAILED);
	else
		refuse(p, why, "", text, "");
}

static void
person_known(void *arg)
{
	struct pam *p = arg;
	const struct mon_person *who;
	struct mon_client *c = client_of(p);
	uint32_t uid;

	if (c == NULL) {
		pam_free(p);
		return;
	}
	uid = c->is_pretender ? MG_PROC_UNSET : c->peer.loginuid;
	if (is_login(p)) /* Rule 1 */
		who = mon_person_by_name(p->m, p->user);
	else
		who =
		    uid == MG_PROC_UNSET ? NULL : mon_person_by_uid(p->m, uid);
	if (who == NULL) {
		p->uid = uid;
		refuse_nobody(p);
		return;
	}
	snprintf(p->person, sizeof(p->person), "%s", who->name);
	p->uid = who->uid;
	dispatch(p);
}

/*
 * The key of the first line "publickey TYPE BASE64 ..." of SSH_AUTH_INFO_0,
 * which sshd has written of a key that it has parsed. Anything else: none.
 */
static void
login_key(struct pam *p, const char *info)
{
	uint8_t md[SHA256_DIGEST_LENGTH];
	struct mg_buf key, b;
	const char *end, *s;
	char type[sizeof(p->key_type)];
	size_t n;

	if (strncmp(info, "publickey ", 10) != 0)
		return;
	info += 10;
	n = strcspn(info, " \n");
	if (n == 0 || n >= sizeof(type) || info[n] != ' ')
		return;
	memcpy(type, info, n);
	type[n] = '\0';
	info += n + 1;
	end = info + strcspn(info, " \n");
	mg_buf_init(&key, KEY_MAX);
	mg_buf_init(&b, 128);
	if (mg_esc_is_clean(type) && end > info &&
	    mg_b64_get(&key, info, (size_t)(end - info), NULL) == MG_ERR_OK) {
		SHA256(mg_buf_ptr(&key), mg_buf_len(&key), md);
		if (mg_b64_put(&b, md, sizeof(md)) == MG_ERR_OK &&
		    (s = mg_buf_cstr(&b)) != NULL) {
			memcpy(p->key_type, type, n + 1);
			/* without padding */
			snprintf(
			    p->key_fp, sizeof(p->key_fp), "SHA256:%.43s", s);
		}
	}
	mg_buf_fini(&b);
	mg_buf_fini(&key);
}

void
mon_pam(struct mon_client *c, enum mg_msg_op op, const struct mg_pam_req *q)
{
	const char *names[1];
	struct pam *p;

	if ((p = calloc(1, sizeof(*p))) == NULL ||
	    (p->job = calloc(1, sizeof(*p->job))) == NULL)
		mg_fatal("out of memory");
	p->m = p->job->m = c->m;
	p->job->client = c;
	c->job = p->job;
	p->op = op;
	p->uid = MG_PROC_UNSET;
	snprintf(p->service, sizeof(p->service), "%s", q->service);
	snprintf(p->user, sizeof(p->user), "%s", q->user);
	snprintf(p->operation, sizeof(p->operation), "%s", q->operation);
	snprintf(p->tty, sizeof(p->tty), "%s", q->tty);
	snprintf(p->rhost, sizeof(p->rhost), "%s", q->rhost);
	login_key(p, q->auth_info);
	names[0] = p->user;
	if (mon_people_fetch(
		c->m, names, 1, c->peer.loginuid, person_known, p) != MG_ERR_OK)
		refuse(p, MG_WHY_INTERNAL, "", "", "");
}
