/* SPDX-License-Identifier: ISC */
/*
 * What the policy is told: who, what and where, how the person logged in,
 * what the ledger knows of the past, and what is live now.
 *
 * Rules
 * 1. How somebody logged in is what PAM registered for the session, and a
 *    request keeps what it was when it was filed: numbers of sessions are
 *    used again after a reboot.
 * 2. Times that may make something too old are counted on the boot clock
 *    where it has them: a wall clock that is set back makes no factor fresh.
 * 3. A request is not held against itself, and nothing else is left out.
 */
#include <stdio.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"

/* ---- how somebody logged in ---- */

int64_t
mon_key_since(struct mon *m, const char *user, const char *key_fp)
{
	const struct mg_past_key *k;

	k = mg_past_key(mg_state_past(m->state), user, key_fp, false);
	return k == NULL ? 0 : k->since_ms;
}

void
mon_how(struct mon *m, const char *user, uint32_t ses, struct mon_how *how)
{
	const struct mg_session *s = NULL;
	int64_t passed;

	memset(how, 0, sizeof(*how));
	how->mfa_age_ms = -1;
	if (ses != MG_PROC_UNSET)
		s = mg_state_session(m->state, ses);
	if (s == NULL)
		return;
	snprintf(how->origin, sizeof(how->origin), "%s", s->origin);
	snprintf(how->key_type, sizeof(how->key_type), "%s", s->key_type);
	how->hardware = s->hardware;
	how->is_local = s->origin[0] == '\0';
	if (s->key_fp[0] != '\0')
		how->key_since_ms = mon_key_since(m, s->user, s->key_fp);
	passed = mg_state_passed_bt(m->state, user, ses);
	if (passed != 0)
		how->mfa_age_ms = mg_time_boot_ms() - passed; /* Rule 2 */
}

void
mon_ask_how(struct mg_ask *ask, const struct mon_how *how)
{
	ask->login_key = how->key_type;
	ask->login_key_is_hardware = how->hardware;
	ask->login_key_since_ms = how->key_since_ms;
	ask->is_local = how->is_local;
	ask->mfa_ms = how->mfa_age_ms < 0 ? 0 : ask->now_ms - how->mfa_age_ms;
}

/* ---- the past and the present ---- */

/* Whether self is about the same version and operation. */
static bool
is_about(const struct mg_req *self, const char *operation, const char *model,
    const char *version)
{
	return self != NULL && strcmp(self->operation, operation) == 0 &&
	       strcmp(self->model, model) == 0 &&
	       strcmp(self->version, version) == 0;
}

/* The name under which the ledger knows what user did. */
static const char *
first_name(struct mon *m, const char *user)
{
	const struct mon_person *p = mon_person_by_name(m, user);

	if (p != NULL)
		p = mon_person_by_uid(m, p->uid);
	return p == NULL ? user : p->name;
}

static const struct mg_past_fact *
fact_of(struct mon *m, const char *user, const char *operation,
    const char *model, const char *version)
{
	return mg_past_fact(
	    mg_state_past(m->state), user, operation, model, version, false);
}

/* What is not found in a past that is full may have been there. */
static int
absent(struct mon *m)
{
	return mg_past_is_full(mg_state_past(m->state)) ? -1 : 0;
}

static int
did(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	struct mon *m = arg;
	const struct mg_req *self = m->asked;
	const char *name = first_name(m, user);
	const struct mg_past_fact *f;
	unsigned own;

	f = fact_of(m, name, operation, model, version);
	if (f == NULL)
		return absent(m);
	own = is_about(self, operation, model, version) &&
	      self->live.used > 0 && strcmp(self->user, name) == 0;
	return f->did > own; /* Rule 3 */
}

/* Whether name is among those whose approval made self a grant. */
static bool
approved_self(const struct mg_req *self, const char *name)
{
	size_t i;

	for (i = 0; self->live.granted_ms != 0 && i < self->live.napprovals;
	     i++)
		if (self->live.approvals[i].approve &&
		    strcmp(self->live.approvals[i].person, name) == 0)
			return true;
	return false;
}

static int
approved(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	struct mon *m = arg;
	const struct mg_req *self = m->asked;
	const char *name = first_name(m, user);
	const struct mg_past_fact *f;
	unsigned own;

	f = fact_of(m, name, operation, model, version);
	if (f == NULL)
		return absent(m);
	own = is_about(self, operation, model, version) &&
	      approved_self(self, name);
	return f->approved > own; /* Rule 3 */
}

/* A grant that is going on; one that let somebody in goes on as a session. */
static bool
is_going_on(const struct mon *m, const struct mg_req *req)
{
	return req != m->asked &&
	       (req->live.nruns == 0 || strcmp(req->operation, "login") != 0);
}

/* The next who is in without a grant, but for who asks. */
static const struct mg_access *
next_access(const struct mon *m, const struct mg_access *after)
{
	const struct mg_access *a = mg_state_access(m->state, after);

	while (a != NULL && m->asked_by != NULL && a->pid == m->asked_by->pid &&
	       (uint64_t)a->start == m->asked_by->start)
		a = mg_state_access(m->state, a);
	return a;
}

static void
put_session(const struct mg_session *s, struct mg_live *out)
{
	out->user = s->user;
	out->operation = "login";
	out->model = out->version = "";
}

/* Asked for 0, 1, 2, ... in turn, so the place of the last is remembered. */
static bool
live(void *arg, size_t i, struct mg_live *out)
{
	struct mon *m = arg;

	if (i == 0) {
		m->live_req = mg_state_granted(m->state);
		m->live_session = mg_state_sessions(m->state);
		m->live_access = next_access(m, NULL);
	}
	while (m->live_req != NULL && !is_going_on(m, m->live_req))
		m->live_req = m->live_req->granted.next;
	if (m->live_req != NULL) {
		out->user = m->live_req->user;
		out->operation = m->live_req->operation;
		out->model = m->live_req->model;
		out->version = m->live_req->version;
		m->live_req = m->live_req->granted.next;
		return true;
	}
	if (m->live_session != NULL) {
		put_session(m->live_session, out);
		m->live_session = m->live_session->next;
		return true;
	}
	if (m->live_access == NULL)
		return false;
	out->user = m->live_access->user;
	out->operation = m->live_access->operation;
	out->model = out->version = "";
	m->live_access = next_access(m, m->live_access);
	return true;
}

/* Whether the grant of self is among what is counted. */
static bool
counts_self(const struct mon *m, const char *user, const char *operation,
    int64_t since_ms)
{
	const struct mg_req *self = m->asked;

	return self != NULL && self->live.granted_ms != 0 &&
	       self->live.granted_ms >= since_ms &&
	       strcmp(self->user, user) == 0 &&
	       strcmp(self->operation, operation) == 0;
}

static int64_t
granted(void *arg, const char *user, const char *operation, int64_t since_ms)
{
	struct mon *m = arg;
	int64_t n;

	n = mg_past_count(mg_state_past(m->state), user, operation, since_ms);
	if (n > 0 && counts_self(m, user, operation, since_ms))
		n--; /* Rule 3 */
	return n;
}

static int64_t
bytes(void *arg, const char *user, const char *operation, int64_t since_ms)
{
	struct mon *m = arg;
	int64_t n;

	n = mg_past_bytes(mg_state_past(m->state), user, operation, since_ms);
	if (n > 0 && counts_self(m, user, operation, since_ms))
		n -= m->asked->bytes; /* Rule 3 */
	return n;
}

/* ---- the question ---- */

void
mon_ask_begin(struct mon *m, const struct mg_req *self, struct mg_ask *ask)
{
	memset(ask, 0, sizeof(*ask));
	ask->people = mon_people(m);
	ask->host = m->conf.host;
	ask->labels = (const char *const *)m->conf.labels;
	ask->nlabels = m->conf.nlabels;
	ask->now_ms = mg_time_wall_ms();
	ask->login_key = "";
	m->asked = self;
	m->asked_by = NULL;
	m->history = (struct mg_history){.arg = m,
	    .did = did,
	    .approved = approved,
	    .live = live,
	    .granted = granted,
	    .bytes = bytes};
	ask->history = &m->history;
	mg_policy_files_look(m->policy, m->files, MON_FILES_MAX);
	ask->files = m->files;
}

void
mon_req_ask(struct mon *m, const struct mg_req *req, struct mg_ask *ask)
{
	mon_ask_begin(m, req, ask);
	ask->user = req->user;
	ask->operation = req->operation;
	ask->model = req->model;
	ask->version = req->version;
	ask->from = req->origin;
	ask->bytes = req->bytes;
	ask->login_key = mon_or_empty(req->key_type); /* Rule 1 */
	ask->login_key_is_hardware = req->key_hardware;
	ask->login_key_since_ms = req->key_since_ms;
	ask->is_local = req->is_local;
	ask->mfa_ms = req->mfa_age_ms < 0 ? 0 : ask->now_ms - req->mfa_age_ms;
}
