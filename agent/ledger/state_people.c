/* SPDX-License-Identifier: ISC */
/* Records about people: second factors, sessions; and a new boot, which
 * ends sessions and carries deadlines over. */
#include <stdlib.h>
#include <string.h>

#include "state_int.h"

void
mg_state_session_free(struct mg_session *s)
{
	free((char *)(uintptr_t)s->user);
	free(s);
}

enum mg_err
mg_state_factor_of(struct mg_state *st, const char *user, struct mg_factor **fp)
{
	struct mg_factor *f;

	for (f = st->factors; f != NULL; f = f->next)
		if (strcmp(f->user, user) == 0)
			break;
	if (f == NULL) {
		if ((f = calloc(1, sizeof(*f))) == NULL)
			return MG_ERR_NOMEM;
		if ((f->user = strdup(user)) == NULL) {
			free(f);
			return MG_ERR_NOMEM;
		}
		f->next = st->factors;
		st->factors = f;
	}
	*fp = f;
	return mg_state_save_for_undo(st, f, sizeof(*f), NULL) ? MG_ERR_OK
							       : MG_ERR_NOMEM;
}

int64_t
mg_state_lock_ms(unsigned fails)
{
	int64_t ms = MG_MFA_LOCK_MS;

	for (; fails > MG_MFA_TRIES && ms < MG_MFA_LOCK_MAX_MS; fails--)
		ms *= 2;
	return ms > MG_MFA_LOCK_MAX_MS ? MG_MFA_LOCK_MAX_MS : ms;
}

/* The session has passed: in the place of the one that did longest ago. */
static void
note_passed(struct mg_factor *f, uint32_t ses, int64_t bt)
{
	size_t i, to = 0;

	for (i = 0; i < MG_FACTOR_SESSIONS; i++) {
		if (f->passed[i].at_bt != 0 && f->passed[i].ses == ses) {
			to = i;
			break;
		}
		if (f->passed[i].at_bt < f->passed[to].at_bt)
			to = i;
	}
	f->passed[to].ses = ses;
	f->passed[to].at_bt = bt;
}

enum mg_err
mg_state_apply_mfa(struct mg_state_ctx *c)
{
	const char *user = mg_rec_str(c->rec, "user", "");
	bool ok = mg_rec_bool(c->rec, "ok");
	struct mg_factor *f;
	struct mg_req *req;
	enum mg_err r;

	if ((r = mg_state_factor_of(c->st, user, &f)) != MG_ERR_OK)
		return r;
	if (ok) {
		f->fails = 0;
		f->locked_until_bt = 0;
		if (mg_rec_int(c->rec, "ses", UINT32_MAX) != UINT32_MAX)
			note_passed(f,
			    (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX),
			    c->bt);
	} else if (mg_rec_bool(c->rec, "counts")) {
		f->fails++;
		if (f->fails >= MG_MFA_TRIES)
			f->locked_until_bt = c->bt + mg_state_lock_ms(f->fails);
	}
	/* A login's factor has the uuid of the access, not of a request. */
	if (!ok || mg_state_find(c->st, mg_rec_str(c->rec, "uuid", "")) == NULL)
		return MG_ERR_OK;
	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING)
		return MG_ERR_STATE;
	req->live.mfa_done = true;
	return MG_ERR_OK;
}

static enum mg_err
note_key(struct mg_state_ctx *c)
{
	const char *user = mg_rec_str(c->rec, "user", "");
	const char *fp = mg_rec_str(c->rec, "key_fp", "");
	struct mg_past_key *k;

	if (fp[0] == '\0')
		return MG_ERR_OK;
	if ((k = mg_past_key(c->st->past, user, fp, true)) == NULL)
		return mg_past_is_full(c->st->past) ? MG_ERR_OK : MG_ERR_NOMEM;
	if (k->since_ms != 0)
		return MG_ERR_OK;
	if (!mg_state_save_for_undo(c->st, k, sizeof(*k), NULL))
		return MG_ERR_NOMEM;
	k->since_ms = c->wall;
	return MG_ERR_OK;
}

/* A second factor that was given while logging in. */
static enum mg_err
note_login(struct mg_state_ctx *c)
{
	int64_t at_bt = mg_rec_int(c->rec, "mfa_bt", 0);
	struct mg_factor *f;
	enum mg_err r;

	if (at_bt <= 0 || at_bt > c->bt)
		return MG_ERR_OK;
	r = mg_state_factor_of(c->st, mg_rec_str(c->rec, "user", ""), &f);
	if (r == MG_ERR_OK)
		note_passed(
		    f, (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX), at_bt);
	return r;
}

/* All of a session's strings in one block that begins at s->user. Sessions
 * are not undone: a line that did not become durable leaves at worst the
 * description of a session without consequences. */
enum mg_err
mg_state_apply_session_open(struct mg_state_ctx *c)
{
	static const char *const keys[] = {
	    "user", "service", "tty", "origin", "key_type", "key_fp"};
	struct mg_session *s;
	const char *v[6];
	size_t i, total = 0;
	enum mg_err r;
	char *p;

	if ((r = note_key(c)) != MG_ERR_OK || (r = note_login(c)) != MG_ERR_OK)
		return r;
	for (i = 0; i < 6; i++) {
		v[i] = mg_rec_str(c->rec, keys[i], "");
		total += strlen(v[i]) + 1;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return MG_ERR_NOMEM;
	if ((p = malloc(total)) == NULL) {
		free(s);
		return MG_ERR_NOMEM;
	}
	for (i = 0; i < 6; i++) {
		const char **to[] = {&s->user, &s->service, &s->tty, &s->origin,
		    &s->key_type, &s->key_fp};

		memcpy(p, v[i], strlen(v[i]) + 1);
		*to[i] = p;
		p += strlen(v[i]) + 1;
	}
	s->ses = (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX);
	s->uid = (uint32_t)mg_rec_int(c->rec, "uid", UINT32_MAX);
	s->hardware = mg_rec_bool(c->rec, "hardware");
	s->opened_ms = c->wall;
	s->next = c->st->sessions;
	c->st->sessions = s;
	return MG_ERR_OK;
}

enum mg_err
mg_state_apply_session_close(struct mg_state_ctx *c)
{
	struct mg_session **p = &c->st->sessions, *s;
	uint32_t ses = (uint32_t)mg_rec_int(c->rec, "ses", UINT32_MAX);

	while ((s = *p) != NULL && s->ses != ses)
		p = &s->next;
	if (s != NULL) {
		*p = s->next;
		mg_state_session_free(s);
	}
	return MG_ERR_OK;
}

static void
carry(int64_t *deadline, int64_t last_bt, int64_t bt, int64_t off)
{
	int64_t left = *deadline - last_bt;

	if (*deadline == 0)
		return;
	*deadline = bt + (off < 0 ? 0 : left - off); /* Rule 2 */
}

/* A new boot: carry every deadline over; sessions are gone. */
static void
rebase(struct mg_state_ctx *c)
{
	struct mg_state *st = c->st;
	int64_t off = c->wall - st->last_wall;
	struct mg_session *s;
	struct mg_factor *f;
	struct mg_req *req;

	for (req = st->live.first; req != NULL; req = req->next) {
		carry(&req->live.approve_by_bt, st->last_bt, c->bt, off);
		carry(&req->live.start_by_bt, st->last_bt, c->bt, off);
		carry(&req->live.ends_bt, st->last_bt, c->bt, off);
	}
	for (f = st->factors; f != NULL; f = f->next) {
		memset(f->passed, 0, sizeof(f->passed));
		/* A lock must not get shorter by a clock set forward. */
		if (f->locked_until_bt > st->last_bt)
			f->locked_until_bt =
			    c->bt + (f->locked_until_bt - st->last_bt);
		else
			f->locked_until_bt = 0;
	}
	while ((s = st->sessions) != NULL) {
		st->sessions = s->next;
		mg_state_session_free(s);
	}
	mg_state_forget_accesses(st);
}

enum mg_err
mg_state_apply_start(struct mg_state_ctx *c)
{
	const char *boot = mg_rec_str(c->rec, "boot", "");

	if (strlen(boot) != 36)
		return MG_ERR_FORMAT;
	if (c->st->boot[0] != '\0' && strcmp(boot, c->st->boot) != 0)
		rebase(c);
	memcpy(c->st->boot, boot, 37);
	return MG_ERR_OK;
}

const struct mg_session *
mg_state_session(const struct mg_state *st, uint32_t ses)
{
	const struct mg_session *s;

	for (s = st->sessions; s != NULL; s = s->next)
		if (s->ses == ses)
			return s;
	return NULL;
}

const struct mg_session *
mg_state_sessions(const struct mg_state *st)
{
	return st->sessions;
}

const struct mg_factor *
mg_state_factor(const struct mg_state *st, const char *user)
{
	const struct mg_factor *f;

	for (f = st->factors; f != NULL; f = f->next)
		if (strcmp(f->user, user) == 0)
			return f->fails > 0 ? f : NULL;
	return NULL;
}

int64_t
mg_state_passed_bt(const struct mg_state *st, const char *user, uint32_t ses)
{
	const struct mg_factor *f;
	size_t i;

	for (f = st->factors; f != NULL; f = f->next) {
		if (strcmp(f->user, user) != 0)
			continue;
		for (i = 0; i < MG_FACTOR_SESSIONS; i++)
			if (f->passed[i].at_bt != 0 && f->passed[i].ses == ses)
				return f->passed[i].at_bt;
	}
	return 0;
}
