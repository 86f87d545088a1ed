/* SPDX-License-Identifier: ISC */
/*
 * The second factor: one mg-auth per try, guess limits, enrolment.
 *
 * Rules
 * 1. Guesses are counted per person, over every channel and across
 *    restarts: the count is part of the fold, not of this process.
 * 2. An answer that was handed to mg-auth is a guess, whatever its sender
 *    does next: a client that hangs up does not take it back. Answers that
 *    are out count as failures until they are known to be right, so that
 *    tries side by side get no more guesses than tries in a row.
 * 3. A try is on record before anybody hears how it went.
 * 4. A question that nobody answered is no try; it is on record as refusals
 *    are, up to a rate: who asks and hangs up does not fill the ledger.
 * 5. Tokens are judged here, in one go, when all of them are there: before
 *    that nothing was guessed, and nothing is out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

struct mon_auth {
	struct mon *m;
	struct mon_client *client; /* NULL: gone */
	enum mg_auth_mode mode;
	struct mon_proc proc;
	struct mg_timer timer;
	char user[97];
	uint32_t uid;
	uint32_t ses; /* of who is asked */
	char by[97];
	char service[65];
	char about[511];
	char uuid[MG_UUID_STR];
	unsigned answers; /* handed to mg-auth */
	unsigned tokens;  /* that a rule asks for */
	bool finished;
	mon_auth_fn fn;
	void *arg;
	enum mg_why why;
	char text[256];
	struct mon_auth *next;
};

static void
auth_free(struct mon_auth *a)
{
	struct mon_auth **p = &a->m->auths;

	while (*p != NULL && *p != a)
		p = &(*p)->next;
	if (*p != NULL)
		*p = a->next;
	if (a->client != NULL && a->client->auth == a)
		a->client->auth = NULL;
	mg_timer_clear(a->m->loop, &a->timer);
	mon_proc_stop(&a->proc);
	free(a);
}

/* Tells whoever waits, and frees. */
static void
conclude(struct mon_auth *a)
{
	mon_auth_fn fn = a->fn;
	void *arg = a->arg;
	enum mg_why why = a->why;
	struct mon_client *c = a->client;
	char text[256], code[1] = "";

	snprintf(text, sizeof(text), "%s", a->text);
	auth_free(a);
	if (fn != NULL)
		fn(arg, why, text);
	else if (c == NULL)
		return;
	else if (why == MG_WHY_NONE)
		mon_reply_done(c, text);
	else
		mon_reply_refused(c, why, code, "", text, "");
}

static void
recorded(void *arg, enum mg_why failed)
{
	struct mon_auth *a = arg;

	if (failed != MG_WHY_NONE) {
		a->why = failed;
		a->text[0] = '\0';
	}
	conclude(a);
}

/* Wrong codes and wrong tokens are counted apart: who knows codes gets no
 * more guesses at tokens by them. */
static const struct mg_factor *
guesses(const struct mon_auth *a)
{
	return a->mode == MG_AUTH_TOKENS
		   ? mg_state_token_guesses(a->m->state, a->user)
		   : mg_state_factor(a->m->state, a->user);
}

static bool
is_locked(const struct mon_auth *a)
{
	const struct mg_factor *f = guesses(a);

	return f != NULL && f->locked_until_bt > mg_time_boot_ms();
}

static enum mg_why
locked_why(const struct mon_auth *a)
{
	return a->mode == MG_AUTH_TOKENS ? MG_WHY_TOKENS_LOCKED
					 : MG_WHY_MFA_LOCKED;
}

/*
 * Whether one more guess may go out (Rule 2): not while locked, and never
 * more at once than are left until the next lock. Once a lock is over there
 * is one guess, then the next lock.
 */
static bool
may_guess(const struct mon_auth *self)
{
	const struct mg_factor *f = guesses(self);
	unsigned fails = f == NULL ? 0 : f->fails, out = 0;
	const struct mon_auth *a;

	if (is_locked(self))
		return false;
	if (self->mode == MG_AUTH_TOKENS)
		return true; /* Rule 5 */
	for (a = self->m->auths; a != NULL; a = a->next)
		if (strcmp(a->user, self->user) == 0 && !a->finished &&
		    a->mode != MG_AUTH_TOKENS && a->answers > 0)
			out++;
	return out < (fails < MG_MFA_TRIES ? MG_MFA_TRIES - fails : 1);
}

/* Rule 3 */
static void
record_try(struct mon_auth *a, bool ok, bool counts, bool replay)
{
	const struct mg_factor *f = guesses(a);
	bool locks;
	struct mon_txn *t;
	struct mg_json *j;

	a->finished = true;
	mg_timer_clear(a->m->loop, &a->timer);
	mon_proc_stop(&a->proc);
	if (!ok && !counts && !mon_may_record(a->m, a->uid)) { /* Rule 4 */
		mon_txn_commit(mon_txn_begin(a->m), recorded, a);
		return;
	}
	locks = !ok && counts && (f == NULL ? 0 : f->fails) + 1 >= MG_MFA_TRIES;
	t = mon_txn_begin(a->m);
	j = mon_rec_begin(t, "mfa");
	mg_json_str(j, "uuid", a->uuid);
	mg_json_str(j, "user", a->user);
	mg_json_int(j, "uid", a->uid);
	mg_json_int(j, "ses", a->ses);
	mg_json_str(j, "service", a->service);
	mg_json_bool(j, "ok", ok);
	mg_json_bool(j, "counts", counts);
	mg_json_bool(j, "replay", replay);
	mg_json_bool(j, "locked", locks);
	mg_json_str(j, "why", ok ? "" : mg_why_word(a->why));
	mon_rec_end(t);
	mg_log(MG_EVT_MFA, "user=%s service=%s ok=%d replay=%d locked=%d",
	    a->user, a->service, ok, replay, locks);
	mon_txn_commit(t, recorded, a);
}

static void
record_change(struct mon_auth *a, bool ok)
{
	struct mon_txn *t;
	struct mg_json *j;

	a->finished = true;
	mg_timer_clear(a->m->loop, &a->timer);
	mon_proc_stop(&a->proc);
	if (!ok && !mon_may_record(a->m, a->uid)) { /* Rule 4 */
		mon_txn_commit(mon_txn_begin(a->m), recorded, a);
		return;
	}
	t = mon_txn_begin(a->m);
	j = mon_rec_begin(t, a->mode == MG_AUTH_ENROLL ? "enroll" : "unenroll");
	mg_json_str(j, "uuid", a->uuid);
	mg_json_str(j, "user", a->user);
	mg_json_int(j, "uid", a->uid);
	mg_json_str(j, "by", a->by);
	mg_json_bool(j, "ok", ok);
	mon_rec_end(t);
	mon_txn_commit(t, recorded, a);
}

static void
put_numbers(struct mg_json *j, const struct mg_auth_result *res)
{
	char text[8];
	size_t i;

	mg_json_arr(j, "numbers");
	for (i = 0; i < res->numbers_len; i++) {
		snprintf(text, sizeof(text), "%u", res->numbers[i]);
		mg_json_str(j, NULL, text);
	}
	mg_json_arr_end(j);
}

/* What came of tokens; res: what was judged, NULL: nothing was. Rule 3, and
 * mon_tokens.c, Rule 3: with this they are used up. */
static void
record_tokens(struct mon_auth *a, bool ok, const struct mg_auth_result *res)
{
	const struct mg_factor *f = guesses(a);
	bool counts = !ok && res != NULL, locks;
	struct mon_txn *t;
	struct mg_json *j;

	a->finished = true;
	mg_timer_clear(a->m->loop, &a->timer);
	if (res == NULL && !mon_may_record(a->m, a->uid)) { /* Rule 4 */
		mon_proc_stop(&a->proc);
		mon_txn_commit(mon_txn_begin(a->m), recorded, a);
		return;
	}
	locks = counts && (f == NULL ? 0 : f->fails) + 1 >= MG_MFA_TRIES;
	t = mon_txn_begin(a->m);
	j = mon_rec_begin(t, "tokens");
	mg_json_str(j, "what", ok ? "used" : "wrong");
	mg_json_str(j, "uuid", a->uuid);
	mg_json_str(j, "user", a->user);
	mg_json_int(j, "uid", a->uid);
	mg_json_int(j, "ses", a->ses);
	mg_json_str(j, "set", res == NULL ? "" : res->set);
	if (res != NULL)
		put_numbers(j, res);
	mg_json_bool(j, "counts", counts);
	mg_json_bool(j, "locked", locks);
	mg_json_str(j, "why", ok ? "" : mg_why_word(a->why));
	mon_rec_end(t);
	mg_log(MG_EVT_TOKENS, "user=%s set=%s what=%s locked=%d", a->user,
	    res == NULL ? "" : res->set, ok ? "used" : "wrong", locks);
	mon_proc_stop(&a->proc); /* res lies in its channel */
	mon_txn_commit(t, recorded, a);
}

static void
fail(struct mon_auth *a, enum mg_why why, const char *text, bool counts)
{
	a->why = why;
	snprintf(a->text, sizeof(a->text), "%s", text);
	if (a->mode == MG_AUTH_TOKENS)
		record_tokens(a, false, NULL);
	else if (a->mode == MG_AUTH_CHECK || counts)
		record_try(a, false, counts, false);
	else
		record_change(a, false);
}

/* Rule 5 */
static void
take_tokens(struct mon_auth *a, const struct mg_auth_result *res)
{
	bool ok;

	if (!res->ok) {
		fail(a, MG_WHY_TOKENS, res->text, false);
		return;
	}
	if (is_locked(a)) { /* by tries side by side */
		fail(a, MG_WHY_TOKENS_LOCKED, "", false);
		return;
	}
	ok = mon_tokens_judge(a->m, a->tokens, res);
	a->why = ok ? MG_WHY_NONE : MG_WHY_TOKENS;
	snprintf(a->text, sizeof(a->text), "%s",
	    ok ? "" : mg_why_sentence(MG_WHY_TOKENS));
	record_tokens(a, ok, res);
}

static void
take_result(struct mon_auth *a, const struct mg_auth_result *res)
{
	if (a->mode == MG_AUTH_TOKENS) {
		take_tokens(a, res);
		return;
	}
	if (res->ok) {
		a->why = MG_WHY_NONE;
		snprintf(a->text, sizeof(a->text), "%s", res->text);
		if (a->mode == MG_AUTH_CHECK)
			record_try(a, true, false, false);
		else
			record_change(a, true);
		return;
	}
	if (res->unset) {
		fail(a, MG_WHY_MFA_UNSET,
		    "no second factor is enrolled: modelgate enroll", false);
		return;
	}
	/* Nothing was answered, so it is not the person who failed. */
	a->why = res->broken	  ? MG_WHY_MFA_BROKEN
		 : a->answers > 0 ? MG_WHY_MFA_FAILED
				  : MG_WHY_INTERNAL;
	snprintf(a->text, sizeof(a->text), "%s",
	    res->text[0] != '\0' ? res->text
				 : mg_why_sentence(MG_WHY_MFA_FAILED));
	if (a->mode == MG_AUTH_UNENROLL)
		record_change(a, false);
	else
		record_try(a, false, a->answers > 0, res->replay);
}

/* What mg-auth says to a person goes through; nothing else does. */
static void
relay(struct mon_auth *a, struct mg_frame *f)
{
	union {
		struct mg_auth_prompt prompt;
		struct mg_auth_info info;
		struct mg_enroll_key key;
	} msg;
	size_t size = f->op == MG_MSG_AUTH_PROMPT ? sizeof(msg.prompt)
		      : f->op == MG_MSG_AUTH_INFO ? sizeof(msg.info)
						  : sizeof(msg.key);

	if (a->client == NULL) {
		if (f->op == MG_MSG_AUTH_PROMPT)
			fail(a, MG_WHY_MFA_FAILED, "nobody answers",
			    a->answers > 0);
		return;
	}
	if (mg_frame_decode(f, &msg, size) != MG_ERR_OK)
		fail(a, MG_WHY_INTERNAL, "", a->answers > 0);
	else
		mon_reply(a->client, f->op, &msg);
}

static void
auth_frame(void *arg, struct mg_frame *f)
{
	struct mon_auth *a = arg;
	struct mg_auth_result res;

	if (a->finished)
		return;
	if (f->op != MG_MSG_AUTH_RESULT)
		relay(a, f);
	else if (mg_frame_decode(f, &res, sizeof(res)) != MG_ERR_OK)
		fail(a, MG_WHY_INTERNAL, "", a->answers > 0);
	else
		take_result(a, &res);
}

static void
auth_ended(void *arg, int status)
{
	struct mon_auth *a = arg;

	(void)status;
	if (!a->finished)
		fail(a, MG_WHY_MFA_FAILED, "the authentication process ended",
		    a->answers > 0);
}

static void
auth_late(void *arg)
{
	struct mon_auth *a = arg;

	fail(a, MG_WHY_MFA_FAILED, "no answer in time", a->answers > 0);
}

void
mon_auth_answer(struct mon_client *c, struct mg_frame *f)
{
	struct mon_auth *a = c->auth;
	struct mg_auth_ans ans;

	if (a->finished || !mon_proc_is_up(&a->proc) ||
	    mg_frame_decode(f, &ans, sizeof(ans)) != MG_ERR_OK)
		return;
	if (a->answers == 0 && !may_guess(a)) {
		fail(a, locked_why(a), "", false);
		return;
	}
	a->answers++; /* Rule 2 */
	if (mon_port_send(&a->proc.port, 0, MG_MSG_AUTH_ANS, &ans) != MG_ERR_OK)
		fail(a, MG_WHY_INTERNAL, "", true);
}

void
mon_auth_client_gone(struct mon_client *c)
{
	struct mon_auth *a = c->auth;

	c->auth = NULL;
	a->client = NULL;
	if (a->finished || a->answers > 0)
		return; /* Rule 2: it goes on without the client */
	if (a->fn != NULL)
		fail(a, MG_WHY_MFA_FAILED, "nobody answers", false);
	else
		auth_free(a);
}

/* ---- beginning ---- */

static void
start(struct mon_auth *a)
{
	struct mg_auth_start msg = {.mode = (uint8_t)a->mode,
	    .user = a->user,
	    .host = a->m->conf.host,
	    .tty = a->client->peer.tty,
	    .rhost = "",
	    .about = a->about};

	if (a->mode != MG_AUTH_UNENROLL && is_locked(a)) {
		fail(a, locked_why(a), "", false);
		return;
	}
	if (a->mode == MG_AUTH_TOKENS)
		mon_tokens_offer(a->m, a->tokens, &msg);
	a->proc.on_frame = auth_frame;
	a->proc.on_end = auth_ended;
	a->proc.arg = a;
	if (mon_proc_start(&a->proc, a->m, "mg-auth", NULL, NULL, MG_ROLE_AUTH,
		NULL, 0) != MG_ERR_OK ||
	    mon_port_send(&a->proc.port, 1, MG_MSG_AUTH_START, &msg) !=
		MG_ERR_OK) {
		fail(a, MG_WHY_INTERNAL, "", false);
		return;
	}
	mon_timer_set(a->m, &a->timer,
	    mg_time_boot_ms() + (a->mode == MG_AUTH_TOKENS
					? MON_TOKENS_DEADLINE_MS
					: MON_AUTH_DEADLINE_MS),
	    auth_late, a);
}

static struct mon_auth *
auth_new(struct mon_client *c, enum mg_auth_mode mode)
{
	struct mon_auth *a;
	struct mg_uuid u;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		mg_fatal("out of memory");
	/* Without a request it has a number of its own, for the records. */
	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, a->uuid);
	a->m = c->m;
	a->client = c;
	a->mode = mode;
	a->ses = c->peer.session;
	a->why = MG_WHY_INTERNAL;
	a->next = c->m->auths;
	c->m->auths = a;
	c->auth = a;
	return a;
}

static void
begin(struct mon_auth *a, const char *user, uint32_t uid, const char *service,
    const char *about, const char *uuid, mon_auth_fn fn, void *arg)
{
	snprintf(a->user, sizeof(a->user), "%s", user);
	snprintf(a->by, sizeof(a->by), "%s", user);
	snprintf(a->service, sizeof(a->service), "%s", service);
	snprintf(a->about, sizeof(a->about), "%s", about);
	snprintf(a->uuid, sizeof(a->uuid), "%s", uuid);
	a->uid = uid;
	a->fn = fn;
	a->arg = arg;
	start(a);
}

void
mon_auth_check(struct mon_client *c, const char *user, uint32_t uid,
    const char *service, const char *about, const char *uuid, mon_auth_fn fn,
    void *arg)
{
	begin(auth_new(c, MG_AUTH_CHECK), user, uid, service, about, uuid, fn,
	    arg);
}

void
mon_auth_tokens(struct mon_client *c, const struct mg_req *req,
    const char *about, mon_auth_fn fn, void *arg)
{
	struct mon_auth *a = auth_new(c, MG_AUTH_TOKENS);

	a->tokens = req->tokens;
	begin(a, req->user, req->uid, "break-glass", about, req->uuid, fn, arg);
}

/* ---- enrolment ---- */

static void
refuse_early(struct mon_auth *a, enum mg_why why, const char *text)
{
	a->finished = true;
	a->why = why;
	snprintf(a->text, sizeof(a->text), "%s", text);
	conclude(a);
}

static void
enroll_known(void *arg)
{
	struct mon_auth *a = arg;
	const struct mon_person *p;
	uint32_t uid;

	if (a->client == NULL) {
		auth_free(a);
		return;
	}
	uid = mon_client_uid(a->client);
	p = uid == MG_PROC_UNSET ? NULL : mon_person_by_uid(a->m, uid);
	if (p == NULL) {
		refuse_early(a,
		    uid == MG_PROC_UNSET ? MG_WHY_NO_LOGIN
					 : MG_WHY_UNKNOWN_USER,
		    "");
		return;
	}
	snprintf(a->user, sizeof(a->user), "%s", p->name);
	snprintf(a->by, sizeof(a->by), "%s", p->name);
	snprintf(a->service, sizeof(a->service), "enroll");
	snprintf(a->about, sizeof(a->about), "second factor of %s on %s",
	    p->name, a->m->conf.host);
	a->uid = uid;
	start(a);
}

static bool
is_root_itself(const struct mon_client *c)
{
	return c->peer.uid == 0 &&
	       (c->peer.loginuid == 0 || c->peer.loginuid == MG_PROC_UNSET);
}

static bool
policy_allows(struct mon *m, const char *user, const char *operation)
{
	struct mg_req req = {.user = user,
	    .operation = operation,
	    .model = "",
	    .version = "",
	    .origin = "",
	    .ses = MG_PROC_UNSET,
	    .mfa_age_ms = -1};
	struct mg_verdict v;
	struct mg_ask ask;

	mon_req_ask(m, &req, &ask);
	mg_policy_decide(m->policy, &ask, &v);
	return v.kind == MG_VERDICT_ALLOW;
}

bool
mon_may(struct mon_client *c, const char *operation, char *user, size_t size)
{
	const struct mon_person *p;
	uint32_t uid = mon_client_uid(c);

	snprintf(user, size, "root");
	p = uid == MG_PROC_UNSET ? NULL : mon_person_by_uid(c->m, uid);
	if (p != NULL)
		snprintf(user, size, "%s", p->name);
	if (is_root_itself(c))
		return true;
	return p != NULL && policy_allows(c->m, p->name, operation);
}

static void
refuse_unenroll(struct mon_auth *a, const char *by)
{
	struct mon_client *c = a->client;
	struct mon_refusal ref = {.user = by,
	    .uid = mon_client_uid(c),
	    .ses = c->peer.session,
	    .tty = c->peer.tty,
	    .origin = "",
	    .operation = "unenroll",
	    .model = "",
	    .version = "",
	    .rule = "",
	    .text = "only root or who holds the right 'unenroll' may remove a "
		    "second factor",
	    .remedy = "",
	    .why = MG_WHY_NOT_PERMITTED};

	auth_free(a);
	mon_refuse(c->m, c, &ref);
}

static void
unenroll_known(void *arg)
{
	struct mon_auth *a = arg;
	char by[97];

	if (a->client == NULL) {
		auth_free(a);
		return;
	}
	if (!mon_may(a->client, "unenroll", by, sizeof(by))) {
		refuse_unenroll(a, by);
		return;
	}
	snprintf(a->by, sizeof(a->by), "%s", by);
	start(a);
}

static void
identify(struct mon_auth *a, void (*fn)(void *arg))
{
	const struct mg_peer *peer = &a->client->peer;
	uint32_t uid =
	    peer->loginuid != MG_PROC_UNSET ? peer->loginuid : peer->uid;

	if (mon_people_fetch(a->m, NULL, 0, uid, fn, a) != MG_ERR_OK)
		refuse_early(a, MG_WHY_INTERNAL, "");
}

void
mon_auth_enroll(struct mon_client *c)
{
	struct mon_auth *a = auth_new(c, MG_AUTH_ENROLL);

	identify(a, enroll_known);
}

void
mon_auth_unenroll(struct mon_client *c, const char *user)
{
	struct mon_auth *a = auth_new(c, MG_AUTH_UNENROLL);

	snprintf(a->user, sizeof(a->user), "%s", user);
	a->uid = MG_PROC_UNSET;
	identify(a, unenroll_known);
}
