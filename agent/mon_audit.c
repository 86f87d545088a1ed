/* SPDX-License-Identifier: ISC */
/*
 * What a ledger record looks like in the audit log, and who writes it.
 *
 * Rules
 * 1. One record per transition, built here and nowhere else.
 * 2. ausearch -ua matches the login uid of the *sender*, which the kernel
 *    adds and nobody can forge. So there is one writer process per
 *    requester, which carries that login uid; what has no requester goes
 *    through a writer without one.
 * 3. An answer that does not come in time is "not taken".
 * 4. A kernel whose audit is switched off, or that throws records away (above
 *    a rate, or because auditd does not read), thanks for a record as if it
 *    had taken it. So the kernel is asked after each: only when it records
 *    then, and has lost none since the record was sent, was that taken.
 * 5. It loses them a while after. While that happens, it is asked a second
 *    time, later than a record can be lost; the first that were lost are
 *    noticed too late for themselves, and said in the log.
 */
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "mg_esc.h"
#include "mg_time.h"
#include "mon.h"

/* Numbers that libaudit names and the kernel's header does not. */
#define T_USER_AUTH 1100
#define T_USER_ACCT 1101
#define T_CRED_ACQ 1103
#define T_CRED_DISP 1104
#define T_USER_END 1106
#define T_USER_CHAUTHTOK 1108
#define T_USYS_CONFIG 1111
#define T_USER_CMD 1123
#define T_SERVICE_START 1130
#define T_SERVICE_STOP 1131
#define T_ANOM_LOGIN_FAILURES 2100
#define T_ANOM_CRYPTO_FAIL 2110
#define T_ANOM_EXEC 2112
#define T_RESP_KILL_PROC 2202
#define T_CRYPTO_REPLAY_USER 2406
#define T_SOFTWARE_UPDATE 1138
#define T_ANOM_RBAC_INTEGRITY_FAIL 2109

#define WRITERS_MAX 16
#define DOUBT_MS 10000 /* after the kernel lost a record */
#define SECOND_MS 1000 /* it gives up on auditd in half of that */
#define VALUE_MAX 1024 /* of cmd= and path=: the audit line stays short */

/* ---- from record to message ---- */

/* Scratch that a filled request points into; one at a time is in use. */
struct scratch {
	char model[200];
	char grantors[512];
	char cmd[VALUE_MAX + 1];
	char path[VALUE_MAX + 1];
	char op[33];
	char values[16][128];
};

/* Requests are built and encoded one after the other, never two at once. */
static struct scratch sc;

static void
more(struct mg_audit_req *a, const char *name, const char *value)
{
	size_t slot = a->more_n;

	if (value[0] == '\0' || slot + 2 > 16)
		return;
	snprintf(sc.values[slot], sizeof(sc.values[slot]), "%s", value);
	a->more[slot] = name;
	a->more[slot + 1] = sc.values[slot];
	a->more_n = slot + 2;
}

static void
more_int(struct mg_audit_req *a, const char *name, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	more(a, name, text);
}

/* Joins an argv for cmd=, cut at VALUE_MAX, which is then said. */
static void
join(struct mg_audit_req *a, const char *const *v, size_t n)
{
	size_t used = 0, i, len;

	sc.cmd[0] = '\0';
	for (i = 0; i < n; i++) {
		len = strlen(v[i]);
		if (used + len + 2 > sizeof(sc.cmd)) {
			a->cut = true;
			break;
		}
		if (i > 0)
			sc.cmd[used++] = ' ';
		memcpy(sc.cmd + used, v[i], len + 1);
		used += len;
	}
	a->cmd = sc.cmd;
}

static void
set_model(struct mg_audit_req *a, const char *model)
{
	snprintf(sc.model, sizeof(sc.model), "%s", model);
	a->model = sc.model;
}

/* Members that most records have. */
static void
common(struct mon *m, const struct mg_rec *rec, struct mg_audit_req *a)
{
	const char *uuid = mg_rec_str(rec, "uuid", "");
	const struct mg_req *req = mg_state_find(m->state, uuid);

	memset(a, 0, sizeof(*a));
	memset(&sc, 0, sizeof(sc));
	a->uuid = uuid;
	a->oauid = a->oses = -1;
	a->host = m->conf.host;
	a->addr = "";
	a->tty = mg_rec_str(rec, "tty", "");
	a->acct = mg_rec_str(rec, "user", "");
	a->success = true;
	if (mg_rec_has(rec, "uid"))
		a->oauid = mg_rec_int(rec, "uid", -1);
	if (mg_rec_has(rec, "ses") &&
	    mg_rec_int(rec, "ses", -1) != (int64_t)MG_PROC_UNSET)
		a->oses = mg_rec_int(rec, "ses", -1);
	a->addr = mg_rec_str(rec, "origin", "");
	set_model(a, mg_rec_str(rec, "model", ""));
	if (req == NULL)
		return;
	a->acct = req->user;
	a->oauid = req->uid;
	a->oses = req->ses == MG_PROC_UNSET ? -1 : (int64_t)req->ses;
	a->tty = req->tty;
	a->addr = req->origin;
	set_model(a, req->model);
	more(a, "mgop", req->operation);
	more(a, "mgver", req->version);
}

static void
fill_request(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USER_ACCT;
	a->op = "request";
	more(a, "digest", mg_rec_str(rec, "digest", ""));
	more(a, "policy", mg_rec_str(rec, "policy", ""));
}

static void
fill_refused(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USER_ACCT;
	a->op = "refuse";
	a->why = mg_rec_str(rec, "why", "");
	a->success = false;
}

static void
fill_mfa(struct mg_audit_req *a, const struct mg_rec *rec)
{
	bool ok = mg_rec_bool(rec, "ok");
	bool locked = mg_rec_bool(rec, "locked");

	a->type = mg_rec_bool(rec, "replay") ? T_CRYPTO_REPLAY_USER
		  : locked		     ? T_ANOM_LOGIN_FAILURES
					     : T_USER_AUTH;
	a->op = locked ? "mfa-lock" : "mfa";
	a->acct = mg_rec_str(rec, "user", "");
	a->why = mg_rec_str(rec, "why", "");
	a->success = ok;
}

static void
fill_decision(struct mg_audit_req *a, const struct mg_rec *rec)
{
	bool accepted = strcmp(mg_rec_str(rec, "type", ""), "decision") == 0;
	const char *decision = mg_rec_str(rec, "decision", "");

	a->type =
	    mg_rec_bool(rec, "replay") ? T_CRYPTO_REPLAY_USER : T_USER_AUTH;
	a->op = strcmp(decision, "deny") == 0 ? "deny" : "approve";
	a->acct = mg_rec_str(rec, "approver", "");
	a->why = mg_rec_str(rec, "why", "");
	a->success = accepted;
	more(a, "key", mg_rec_str(rec, "key_fp", ""));
	more(a, "key-type", mg_rec_str(rec, "key_type", ""));
}

static void
fill_review(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USER_AUTH;
	a->op = "review";
	a->acct = mg_rec_str(rec, "approver", "");
	a->success = true;
	more(a, "decision", mg_rec_str(rec, "decision", ""));
	more(a, "key", mg_rec_str(rec, "key_fp", ""));
}

static void
fill_grant(struct mon *m, struct mg_audit_req *a, const struct mg_rec *rec)
{
	const struct mg_req *req;
	const char *names[MG_APPROVALS_MAX];
	size_t n, i, used = 0;

	a->type = T_CRED_ACQ;
	a->op = "grant";
	if ((req = mg_state_find(m->state, a->uuid)) == NULL)
		return;
	n = mon_req_approvers(req, names, MG_APPROVALS_MAX);
	for (i = 0; i < n; i++) {
		int w = snprintf(sc.grantors + used, sizeof(sc.grantors) - used,
		    "%s%s", i > 0 ? "," : "", names[i]);

		if (w < 0 || (size_t)w >= sizeof(sc.grantors) - used) {
			sc.grantors[used] = '\0';
			a->cut = true;
			break;
		}
		used += (size_t)w;
	}
	a->grantors = sc.grantors;
	more_int(a, "ttl", req->lasts_ms / 1000);
	(void)rec;
}

static void
fill_run(struct mon *m, struct mg_audit_req *a, const struct mg_rec *rec)
{
	const struct mg_req *req = mg_state_find(m->state, a->uuid);

	a->type = T_USER_CMD;
	a->op = "run";
	if (req == NULL)
		return;
	join(a, req->argv, req->argc);
	snprintf(sc.path, sizeof(sc.path), "%s", req->cwd);
	a->path = sc.path;
	more(a, "runas", req->run_as);
	more_int(a, "run", mg_rec_int(rec, "run", 0));
	more_int(a, "run-session", mg_rec_int(rec, "run_ses", -1));
}

static void
fill_exit(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USER_END;
	a->op = "exit";
	a->success = strcmp(mg_rec_str(rec, "how", ""), "status") == 0 &&
		     mg_rec_int(rec, "value", 1) == 0;
	more_int(a, "run", mg_rec_int(rec, "run", 0));
	more(a, "how", mg_rec_str(rec, "how", ""));
	more_int(a, "value", mg_rec_int(rec, "value", 0));
}

static bool
fill_empty(struct mg_audit_req *a, const struct mg_rec *rec)
{
	if (!mg_rec_has(rec, "why"))
		return false; /* ended by itself: "exit" has said so */
	a->type = T_RESP_KILL_PROC;
	a->op = "kill";
	a->why = mg_rec_str(rec, "why", "");
	more_int(a, "run", mg_rec_int(rec, "run", 0));
	more_int(a, "killed", mg_rec_int(rec, "killed", 0));
	more_int(a, "took-us", mg_rec_int(rec, "took_us", 0));
	return true;
}

static void
fill_end(struct mg_audit_req *a, const struct mg_rec *rec)
{
	const char *state = mg_rec_str(rec, "state", "");
	bool granted = strcmp(state, "used") == 0 ||
		       strcmp(state, "expired") == 0 ||
		       strcmp(state, "revoked") == 0;

	a->type = granted ? T_CRED_DISP : T_USER_ACCT;
	snprintf(sc.op, sizeof(sc.op), "%s", state);
	a->op = sc.op;
	a->why = mg_rec_str(rec, "why", "");
	a->success = granted;
	more(a, "by", mg_rec_str(rec, "by", ""));
}

static void
fill_policy(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USYS_CONFIG;
	a->op = "policy";
	a->path = mg_rec_str(rec, "path", "");
	a->success = mg_rec_bool(rec, "ok");
	more(a, "policy", mg_rec_str(rec, "digest", ""));
}

static void
fill_waiver(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_ANOM_EXEC;
	a->op = "waive";
	a->why = mg_rec_str(rec, "waive", "");
}

static void
fill_tokens(struct mg_audit_req *a, const struct mg_rec *rec)
{
	const char *what = mg_rec_str(rec, "what", "");
	bool made = strcmp(what, "made") == 0, used = strcmp(what, "used") == 0;
	bool locked = mg_rec_bool(rec, "locked");
	const char *const *numbers;
	char text[2 * MG_TOKENS_MAX + 1] = "";
	size_t n, i;

	a->type = made || strcmp(what, "void") == 0 ? T_USER_CHAUTHTOK
		  : locked			    ? T_ANOM_LOGIN_FAILURES
						    : T_USER_AUTH;
	a->op = made			     ? "tokens-made"
		: used			     ? "tokens-used"
		: locked		     ? "tokens-lock"
		: strcmp(what, "wrong") == 0 ? "tokens-wrong"
					     : "tokens-void";
	a->why = mg_rec_str(rec, "why", "");
	a->success = strcmp(what, "wrong") != 0;
	more(a, "set", mg_rec_str(rec, "set", ""));
	numbers = mg_rec_strv(rec, "numbers", &n);
	for (i = 0; i < n && i < MG_TOKENS_MAX; i++) {
		if (i > 0)
			text[2 * i - 1] = ',';
		text[2 * i] = numbers[i][0];
	}
	more(a, "tokens", text);
}

static void
fill_outage(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = mg_rec_bool(rec, "down") ? T_SERVICE_STOP : T_SERVICE_START;
	a->op = mg_rec_bool(rec, "down") ? "hub-down" : "hub-up";
	a->success = !mg_rec_bool(rec, "down");
	more_int(a, "probes", mg_rec_int(rec, "probes", 0));
}

static void
fill_clock(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USYS_CONFIG;
	a->op = "clock-set";
	more_int(a, "by-ms", mg_rec_int(rec, "by_ms", 0));
}

static void
fill_witness(struct mg_audit_req *a)
{
	a->type = T_ANOM_CRYPTO_FAIL;
	a->op = "ledger-changed";
	a->why = "another-history";
	a->success = false;
}

static void
fill_discard(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USYS_CONFIG;
	a->op = "discard";
	a->success = mg_rec_bool(rec, "ok");
	more_int(a, "first", mg_rec_int(rec, "first", 0));
	more_int(a, "last", mg_rec_int(rec, "last", 0));
}

static void
fill_prune(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_SOFTWARE_UPDATE;
	a->op = "prune";
	a->success = mg_rec_bool(rec, "ok");
	more(a, "digest", mg_rec_str(rec, "digest", ""));
}

static void
fill_model(struct mg_audit_req *a, const struct mg_rec *rec)
{
	enum mg_effect e = mg_effect_from_word(mg_rec_str(rec, "effect", ""));

	a->op = e == MG_EFFECT_DRIFT	 ? "drift"
		: e == MG_EFFECT_SERVE	 ? "serve"
		: e == MG_EFFECT_PROMOTE ? "promote"
					 : "retire";
	a->success = e != MG_EFFECT_DRIFT || mg_rec_bool(rec, "ok");
	a->type = a->success ? T_SOFTWARE_UPDATE : T_ANOM_RBAC_INTEGRITY_FAIL;
	if (e == MG_EFFECT_DRIFT)
		more(a, "mgver", mg_rec_str(rec, "version", ""));
	more(a, "digest", mg_rec_str(rec, "digest", ""));
	more(a, "found", mg_rec_str(rec, "found", ""));
	more(a, "replaced", mg_rec_str(rec, "replaced", ""));
}

static void
fill_factor(struct mg_audit_req *a, const struct mg_rec *rec, const char *op)
{
	a->type = T_USER_CHAUTHTOK;
	a->op = op;
	a->success = mg_rec_bool(rec, "ok");
	more(a, "by", mg_rec_str(rec, "by", ""));
}

static void
fill_access(struct mg_audit_req *a, const struct mg_rec *rec)
{
	a->type = T_USER_ACCT;
	a->op = "access";
	more(a, "service", mg_rec_str(rec, "service", ""));
}

static void
fill_ledger(struct mg_audit_req *a, int err)
{
	a->type = err != 0 ? T_SERVICE_STOP : T_SERVICE_START;
	a->op = err != 0 ? "ledger-down" : "ledger-up";
	a->success = err == 0;
	if (err != 0)
		more(a, "err", mon_or_empty(strerrorname_np(err)));
}

/* A word for reason=, an address for addr=: nothing else may stand there. */
static bool
is_safe(const char *s)
{
	for (; *s != '\0'; s++)
		if ((*s < 'a' || *s > 'z') && (*s < 'A' || *s > 'Z') &&
		    (*s < '0' || *s > '9') && strchr("-._:", *s) == NULL)
			return false;
	return true;
}

bool
mon_audit_fill(struct mon *m, const struct mg_rec *rec, struct mg_audit_req *a)
{
	const char *type = mg_rec_str(rec, "type", "");
	bool wanted = true;

	common(m, rec, a);
	if (strcmp(type, "request") == 0)
		fill_request(a, rec);
	else if (strcmp(type, "refused") == 0)
		fill_refused(a, rec);
	else if (strcmp(type, "mfa") == 0)
		fill_mfa(a, rec);
	else if (strcmp(type, "decision") == 0 || strcmp(type, "rejected") == 0)
		fill_decision(a, rec);
	else if (strcmp(type, "grant") == 0)
		fill_grant(m, a, rec);
	else if (strcmp(type, "run") == 0)
		fill_run(m, a, rec);
	else if (strcmp(type, "exit") == 0)
		fill_exit(a, rec);
	else if (strcmp(type, "empty") == 0)
		wanted = fill_empty(a, rec);
	else if (strcmp(type, "end") == 0)
		fill_end(a, rec);
	else if (strcmp(type, "policy") == 0)
		fill_policy(a, rec);
	else if (strcmp(type, "enroll") == 0 || strcmp(type, "unenroll") == 0)
		fill_factor(a, rec, type);
	else if (strcmp(type, "waiver") == 0)
		fill_waiver(a, rec);
	else if (strcmp(type, "tokens") == 0)
		fill_tokens(a, rec);
	else if (strcmp(type, "review") == 0)
		fill_review(a, rec);
	else if (strcmp(type, "model") == 0)
		fill_model(a, rec);
	else if (strcmp(type, "outage") == 0)
		fill_outage(a, rec);
	else if (strcmp(type, "clock") == 0)
		fill_clock(a, rec);
	else if (strcmp(type, "witness") == 0)
		fill_witness(a);
	else if (strcmp(type, "discard") == 0)
		fill_discard(a, rec);
	else if (strcmp(type, "prune") == 0)
		fill_prune(a, rec);
	else if (strcmp(type, "access") == 0)
		fill_access(a, rec);
	else
		wanted = false;
	if (wanted && !is_safe(a->addr))
		a->addr = "";
	return wanted;
}

/* ---- the writers ---- */

struct question {
	uint32_t id;
	struct mon *m;
	bool is_state;	      /* of the kernel, Rule 4; else a record */
	bool is_second;	      /* Rule 5 */
	uint32_t lost_before; /* records, when this one was sent */
	struct mg_timer timer;
	int64_t deadline;
	void (*fn)(void *arg, bool ok);
	void *arg;
	struct question *next;
};

struct mon_writer {
	struct mon *m;
	uint32_t uid;
	char uid_text[16];
	struct mon_proc proc;
	struct question *first, *last;
	struct mg_timer timer;
	uint32_t next_id;
	int64_t used_bt;
	struct mon_writer *next;
};

static void
answer_first(struct mon_writer *w, bool ok)
{
	struct question *q = w->first;

	if ((w->first = q->next) == NULL)
		w->last = NULL;
	q->fn(q->arg, ok);
	free(q);
}

static void
push(struct mon_writer *w, struct question *q)
{
	q->next = NULL;
	q->id = ++w->next_id;
	q->deadline = mg_time_boot_ms() + MON_AUDIT_DEADLINE_MS;
	if (w->last != NULL)
		w->last->next = q;
	else
		w->first = q;
	w->last = q;
	w->used_bt = mg_time_boot_ms();
}

static void
writer_free(struct mon_writer *w)
{
	struct mon_writer **p = &w->m->writers;

	while (*p != NULL && *p != w)
		p = &(*p)->next;
	if (*p != NULL)
		*p = w->next;
	mg_timer_clear(w->m->loop, &w->timer);
	mon_proc_stop(&w->proc);
	while (w->first != NULL)
		answer_first(w, false);
	free(w);
}

static void
writer_ended(void *arg, int status)
{
	(void)status;
	writer_free(arg);
}

static void
writer_late(void *arg)
{
	struct mon_writer *w = arg;

	mg_log(MG_EVT_AUDIT_BAD, "err='the kernel does not take records'");
	writer_free(w); /* Rule 3: a new one starts with the next record */
}

static void
rearm(struct mon_writer *w)
{
	if (w->first == NULL)
		mg_timer_clear(w->m->loop, &w->timer);
	else
		mon_timer_set(
		    w->m, &w->timer, w->first->deadline, writer_late, w);
}

static void writer_frame(void *arg, struct mg_frame *f);

/* Makes room: the writer that was idle longest goes. */
static void
evict(struct mon *m)
{
	struct mon_writer *w, *oldest = NULL;
	size_t n = 0;

	for (w = m->writers; w != NULL; w = w->next) {
		n++;
		if (w->first == NULL &&
		    (oldest == NULL || w->used_bt < oldest->used_bt))
			oldest = w;
	}
	if (n >= WRITERS_MAX && oldest != NULL)
		writer_free(oldest);
}

static struct mon_writer *
writer_of(struct mon *m, uint32_t uid)
{
	struct mon_writer *w;

	for (w = m->writers; w != NULL; w = w->next)
		if (w->uid == uid)
			return w;
	evict(m);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->m = m;
	w->uid = uid;
	if (uid != MG_PROC_UNSET)
		snprintf(w->uid_text, sizeof(w->uid_text), "%u", uid);
	w->proc.on_frame = writer_frame;
	w->proc.on_end = writer_ended;
	w->proc.arg = w;
	if (mon_proc_start(&w->proc, m, "mg-audit",
		w->uid_text[0] == '\0' ? NULL : w->uid_text, NULL,
		MG_ROLE_AUDIT, NULL, 0) != MG_ERR_OK) {
		free(w);
		return NULL;
	}
	w->next = m->writers;
	m->writers = w;
	return w;
}

static void
say_reader(struct mon *m, bool unread)
{
	if (unread == m->audit_unread)
		return;
	m->audit_unread = unread;
	if (unread)
		mg_log(MG_EVT_AUDIT_BAD,
		    "auditd=off text='the kernel has nobody to give its "
		    "records to'");
	else
		mg_log(MG_EVT_READY, "auditd=on");
}

static bool
take_state(struct mon *m, struct mg_frame *f)
{
	struct mg_audit_state s;
	bool was = m->audit_ok;

	if (mg_frame_decode(f, &s, sizeof(s)) != MG_ERR_OK)
		return false;
	m->audit_known = true;
	m->audit_ok = s.ok && s.enabled != 0;
	if (was != m->audit_ok)
		mg_log(m->audit_ok ? MG_EVT_READY : MG_EVT_AUDIT_BAD,
		    "audit=%s", m->audit_ok ? "on" : "off");
	if (s.lost > m->audit_lost && was) {
		mg_log(MG_EVT_AUDIT_BAD, "lost=%u", s.lost - m->audit_lost);
		m->audit_doubt = mg_time_boot_ms() + DOUBT_MS;
	}
	m->audit_lost = s.lost;
	if (m->audit_ok)
		say_reader(m, s.pid == 0);
	return true;
}

/* Rule 4 */
static bool
was_taken(const struct mon *m, const struct question *q)
{
	if (!m->audit_ok)
		return m->conf.audit_optional;
	return m->audit_lost <= q->lost_before;
}

static void
answer_popped(struct question *q, bool ok)
{
	q->fn(q->arg, ok);
	free(q);
}

/* Nobody's writer alone may ask. */
static void
ask_state(struct question *q)
{
	struct mon_writer *w = writer_of(q->m, MG_PROC_UNSET);
	struct mg_audit_state_req req = {0};

	if (w == NULL) {
		answer_popped(q, false);
		return;
	}
	q->is_state = true;
	push(w, q);
	/* What cannot be sent is not answered: Rule 3. */
	(void)!mon_port_send(
	    &w->proc.port, q->id, MG_MSG_AUDIT_STATE_REQ, &req);
	rearm(w);
}

static void
ask_second(void *arg)
{
	ask_state(arg);
}

/* The first question of w is taken out of it; w may be gone soon. */
static struct question *
pop(struct mon_writer *w)
{
	struct question *q = w->first;

	if ((w->first = q->next) == NULL)
		w->last = NULL;
	rearm(w);
	return q;
}

/* The kernel has said how it is: the end of q, or Rule 5. */
static void
judge(struct mon_writer *w)
{
	struct mon *m = w->m;
	struct question *q = pop(w);
	bool taken = was_taken(m, q);

	if (!taken || q->is_second || mg_time_boot_ms() >= m->audit_doubt) {
		answer_popped(q, taken);
		return;
	}
	q->is_second = true;
	mon_timer_set(
	    m, &q->timer, mg_time_boot_ms() + SECOND_MS, ask_second, q);
}

/* False: f answers nothing that was asked. */
static bool
take_answer(struct mon_writer *w, struct mg_frame *f)
{
	struct question *q = w->first;
	struct mg_audit_ans ans;

	if (f->op == MG_MSG_AUDIT_STATE && f->id == 0) /* mon_audit_check() */
		return take_state(w->m, f);
	if (q == NULL || f->id != q->id)
		return false;
	if (q->is_state) {
		if (f->op != MG_MSG_AUDIT_STATE || !take_state(w->m, f))
			return false;
		judge(w);
		return true;
	}
	if (f->op != MG_MSG_AUDIT_ANS ||
	    mg_frame_decode(f, &ans, sizeof(ans)) != MG_ERR_OK)
		return false;
	if (ans.ok) {
		ask_state(pop(w));
		return true;
	}
	mg_log(MG_EVT_AUDIT_BAD, "err='%s'", strerror((int)ans.error));
	answer_popped(pop(w), false);
	return true;
}

static void
writer_frame(void *arg, struct mg_frame *f)
{
	struct mon_writer *w = arg;

	if (take_answer(w, f))
		return; /* w may be gone */
	mg_log(MG_EVT_PROTO, "proc=mg-audit");
	writer_free(w);
}

void
mon_audit_send(struct mon *m, uint32_t uid, const struct mg_audit_req *a,
    void (*fn)(void *arg, bool ok), void *arg)
{
	struct mon_writer *w;
	struct question *q;

	if (!m->audit_ok) {
		mon_audit_check(m); /* the next one may be taken */
		fn(arg, m->conf.audit_optional);
		return;
	}
	if ((w = writer_of(m, uid)) == NULL ||
	    (q = calloc(1, sizeof(*q))) == NULL) {
		fn(arg, false);
		return;
	}
	q->m = m;
	q->lost_before = m->audit_lost;
	q->fn = fn;
	q->arg = arg;
	push(w, q);
	if (mon_port_send(&w->proc.port, q->id, MG_MSG_AUDIT_REQ, a) !=
	    MG_ERR_OK) {
		writer_free(w); /* answers q with false */
		return;
	}
	rearm(w);
}

static void
told(void *arg, bool ok)
{
	(void)arg;
	(void)ok; /* said in the log where it was not */
}

void
mon_audit_ledger(struct mon *m, int err)
{
	struct mg_audit_req a;
	struct mg_rec rec;
	char uuid[MG_UUID_STR];
	struct mg_uuid u;

	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, uuid);
	mg_rec_init(&rec);
	common(m, &rec, &a);
	mg_rec_fini(&rec);
	a.uuid = uuid;
	fill_ledger(&a, err);
	mon_audit_send(m, MG_PROC_UNSET, &a, told, NULL);
}

void
mon_audit_check(struct mon *m)
{
	struct mg_audit_state_req q = {0};
	struct mon_writer *w = writer_of(m, MG_PROC_UNSET);

	if (w != NULL)
		(void)mon_port_send(
		    &w->proc.port, 0, MG_MSG_AUDIT_STATE_REQ, &q);
}

void
mon_audit_fini(struct mon *m)
{
	while (m->writers != NULL)
		writer_free(m->writers);
}
