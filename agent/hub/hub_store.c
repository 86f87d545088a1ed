/* SPDX-License-Identifier: ISC */
/*
 * The mailbox, a fold over the journal.
 *
 * Each kind of record has a check (does it fit the state?) and an apply
 * (make it so). Reading the journal does both; a live change makes the
 * record, parses it back, checks, writes, applies: there is one way into
 * the state, and a restart goes the same one.
 *
 * Rules
 * 1. A host touches its own requests only: it could end another host's
 *    request, or claim that a decision was taken.
 * 2. A request's body never changes: somebody may have signed it already.
 * 3. A decision is final once the host took it, and is not replaced while
 *    it is on its way: the host would see two of one person.
 * 4. Memory that is out after a record was written ends the process: going
 *    on would leave a state that is not the fold.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub_request.h"
#include "mg_esc.h"
#include "mg_log.h"
#include "mg_name.h"
#include "mg_text.h"
#include "mg_time.h"

/* A deadline that moves less than this is not worth a record. */
#define DEADLINE_SLACK_MS 5000

enum kind { PUT, STATE, DECISION, VERDICT, DROP, NKINDS };

static const char *const kind_names[NKINDS] = {
    [PUT] = "put",
    [STATE] = "state",
    [DECISION] = "decision",
    [VERDICT] = "verdict",
    [DROP] = "drop",
};

/* ---- finding ---- */

static int
compare_uuid(const struct mg_uuid *a, const struct mg_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

/* Where u stands or would stand. */
static size_t
lower_bound(const struct hub_store *s, const struct mg_uuid *u)
{
	size_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (compare_uuid(&s->v[mid]->uuid, u) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct hub_request *
by_uuid(const struct hub_store *s, const char *id)
{
	struct mg_uuid u;
	size_t i;

	if (mg_uuid_parse(id, &u) != MG_ERR_OK)
		return NULL;
	i = lower_bound(s, &u);
	if (i == s->n || compare_uuid(&s->v[i]->uuid, &u) != 0)
		return NULL;
	return s->v[i];
}

static enum mg_err
by_code(struct hub_store *s, const char *code, struct hub_request **reqp)
{
	size_t i, found = 0;

	for (i = 0; i < s->n; i++) {
		if (strcmp(s->v[i]->code, code) != 0)
			continue;
		*reqp = s->v[i];
		found++;
	}
	if (found > 1)
		*reqp = NULL;
	return found == 0 ? MG_ERR_NOENT : found > 1 ? MG_ERR_STATE : MG_ERR_OK;
}

enum mg_err
hub_store_find(struct hub_store *s, const char *id, struct hub_request **reqp)
{
	char code[MG_CODE_STR];
	struct mg_uuid u;

	*reqp = NULL;
	if (mg_uuid_parse(id, &u) == MG_ERR_OK) {
		*reqp = by_uuid(s, id);
		return *reqp == NULL ? MG_ERR_NOENT : MG_ERR_OK;
	}
	if (mg_code_parse(id, code) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	return by_code(s, code, reqp);
}

/* ---- the fold ---- */

static const char *
str(const struct mg_rec *rec, const char *key)
{
	return mg_rec_str(rec, key, "");
}

static void
view_of(const struct mg_rec *rec, struct hub_put_view *v)
{
	memset(v, 0, sizeof(*v));
	v->uuid = str(rec, "uuid");
	v->host = str(rec, "host");
	v->requester = str(rec, "requester");
	v->review = mg_rec_str(rec, "review", "?"); /* none is not "" */
	v->body = str(rec, "body");
	v->need = mg_rec_strv(rec, "need", &v->nneed);
	v->filed_ms = mg_rec_int(rec, "filed", 0);
	v->deadline_ms = mg_rec_int(rec, "deadline", 0);
}

static const char *
check_put(
    const struct hub_request *req, const struct mg_rec *rec, enum mg_err *rp)
{
	struct hub_put_view v;
	const char *why;
	enum mg_err r;

	view_of(rec, &v);
	if ((r = hub_put_check(&v, &why)) != MG_ERR_OK) {
		*rp = r;
		return why;
	}
	if (req == NULL)
		return NULL;
	if (strcmp(req->host, v.host) != 0) /* Rule 1 */
		return "the request is another host's";
	if (strcmp(req->body, v.body) != 0) /* Rule 2 */
		return "the request is known with another body";
	return req->ended ? "the request has ended" : NULL;
}

static const char *
check_state(const struct hub_request *req, const struct mg_rec *rec)
{
	const char *const *agreed;
	size_t n, i;

	agreed = mg_rec_strv(rec, "agreed", &n);
	if (req == NULL)
		return "the request is not known";
	if (!mg_name_is_valid(str(rec, "state")) ||
	    strlen(str(rec, "state")) > 16)
		return "the state is not a word";
	if (n % 2 != 0 || n > 32)
		return "the list of approvers is malformed";
	for (i = 0; i < n; i++)
		if (!mg_esc_is_clean(agreed[i]))
			return "the list of approvers does not print";
	if (req->ended)
		return "the request has ended";
	return NULL;
}

static bool
is_word(const char *s)
{
	return strcmp(s, "approve") == 0 || strcmp(s, "deny") == 0;
}

/* An armoured signature is lines of printing ASCII. */
static bool
is_armour(const char *s)
{
	size_t i;

	if (strncmp(s, "-----BEGIN SSH SIGNATURE-----\n", 30) != 0)
		return false;
	for (i = 0; s[i] != '\0'; i++)
		if (i >= HUB_SIG_MAX ||
		    (s[i] != '\n' && (s[i] < 0x20 || s[i] > 0x7e)))
			return false;
	return true;
}

static const char *
check_decision(const struct hub_request *req, const struct mg_rec *rec)
{
	const char *word = str(rec, "decision");
	const struct hub_decision *d;

	if (req == NULL)
		return "the request is not known";
	if (!mg_name_is_valid(str(rec, "approver")))
		return "the approver is not a name";
	if (!is_word(word))
		return "the decision is neither approve nor deny";
	if (strlen(str(rec, "note")) > MG_TEXT_NOTE_MAX ||
	    !mg_esc_is_clean(str(rec, "note")))
		return "the note is too long or does not print";
	if (!is_armour(str(rec, "sig")))
		return "the signature is not an armoured ssh signature";
	d = hub_store_decision(req, str(rec, "approver"));
	if (d == NULL || d->judged == MG_HUB_REFUSED)
		return NULL;
	if (d->judged == MG_HUB_ACCEPTED) /* Rule 3 */
		return "a decision is final";
	if (strcmp(d->word, word) != 0 || d->handed)
		return "your decision is on its way to the host";
	return NULL;
}

static const char *
check_verdict(const struct hub_request *req, const struct mg_rec *rec)
{
	const struct hub_decision *d;

	if (req == NULL)
		return "the request is not known";
	d = hub_store_decision(req, str(rec, "approver"));
	if (d == NULL || strcmp(d->word, str(rec, "decision")) != 0)
		return "there is no such decision";
	if (!mg_esc_is_clean(str(rec, "text")))
		return "the verdict does not print";
	return NULL;
}

/* What is wrong with it, or NULL; *rp: as which error. */
static const char *
check(const struct hub_request *req, enum kind kind, const struct mg_rec *rec,
    enum mg_err *rp)
{
	*rp = MG_ERR_FORMAT;
	switch (kind) {
	case PUT:
		return check_put(req, rec, rp);
	case STATE:
		return check_state(req, rec);
	case DECISION:
		return check_decision(req, rec);
	case VERDICT:
		return check_verdict(req, rec);
	case DROP:
		return req == NULL ? "the request is not known" : NULL;
	case NKINDS:
		break;
	}
	return "unknown record";
}

static enum mg_err
insert(struct hub_store *s, struct hub_request *req)
{
	struct hub_request **v;
	size_t cap, at;

	if (s->n == s->cap) {
		cap = s->cap == 0 ? 64 : s->cap * 2;
		if ((v = reallocarray(s->v, cap, sizeof(*v))) == NULL)
			return MG_ERR_NOMEM;
		s->v = v;
		s->cap = cap;
	}
	at = lower_bound(s, &req->uuid);
	memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof(*s->v));
	s->v[at] = req;
	s->n++;
	return MG_ERR_OK;
}

static struct hub_load *
load_of(struct hub_store *s, const char *host, bool make)
{
	size_t size = strlen(host) + 1;
	struct hub_load *l;

	for (l = s->loads; l != NULL; l = l->next)
		if (strcmp(l->host, host) == 0)
			return l;
	if (!make || (l = calloc(1, sizeof(*l) + size)) == NULL)
		return NULL;
	memcpy(l->host, host, size);
	l->next = s->loads;
	s->loads = l;
	return l;
}

/* It waits for nobody any more. */
static void
unload(struct hub_request *req)
{
	if (req->load != NULL)
		req->load->pending--;
	req->load = NULL;
}

static enum mg_err
apply_put(struct hub_store *s, struct hub_request *req,
    const struct mg_rec *rec, int64_t at)
{
	struct hub_put_view v;
	enum mg_err r;

	view_of(rec, &v);
	if (req != NULL) {
		if ((r = hub_str_set(&req->review, v.review)) != MG_ERR_OK)
			return r;
		req->deadline_ms = v.deadline_ms;
		return hub_strv_set(&req->need, v.need, v.nneed);
	}
	if ((req = hub_request_new(&v, at)) == NULL)
		return MG_ERR_NOMEM;
	if ((req->load = load_of(s, req->host, true)) == NULL)
		r = MG_ERR_NOMEM;
	else
		r = insert(s, req);
	if (r != MG_ERR_OK) {
		hub_request_free(req);
		return r;
	}
	req->load->pending++;
	s->bytes += req->bytes;
	return MG_ERR_OK;
}

static enum mg_err
apply_state(struct hub_request *req, const struct mg_rec *rec, int64_t at)
{
	const char *const *agreed;
	enum mg_err r;
	size_t n;

	agreed = mg_rec_strv(rec, "agreed", &n);
	if ((r = hub_str_set(&req->state, str(rec, "state"))) != MG_ERR_OK ||
	    (r = hub_strv_set(&req->agreed, agreed, n)) != MG_ERR_OK)
		return r;
	if (mg_rec_has(rec, "deadline"))
		req->deadline_ms = mg_rec_int(rec, "deadline", 0);
	req->ended = mg_rec_bool(rec, "ended");
	if (req->ended) {
		req->ended_ms = at;
		unload(req);
	}
	return MG_ERR_OK;
}

static enum mg_err
apply_decision(struct hub_request *req, const struct mg_rec *rec, int64_t at)
{
	const char *approver = str(rec, "approver");
	struct hub_decision *d = hub_store_decision(req, approver);
	enum mg_err r;

	if (d == NULL) {
		if ((d = hub_decision_add(req, approver)) == NULL)
			return MG_ERR_NOMEM;
	}
	if ((r = hub_str_set(&d->word, str(rec, "decision"))) != MG_ERR_OK ||
	    (r = hub_str_set(&d->note, str(rec, "note"))) != MG_ERR_OK ||
	    (r = hub_str_set(&d->verdict, "")) != MG_ERR_OK ||
	    (r = hub_str_set(&d->sig, str(rec, "sig"))) != MG_ERR_OK)
		return r;
	d->judged = MG_HUB_UNJUDGED;
	d->at_ms = at;
	d->handed = false;
	return MG_ERR_OK;
}

static enum mg_err
apply_verdict(struct hub_request *req, const struct mg_rec *rec)
{
	struct hub_decision *d = hub_store_decision(req, str(rec, "approver"));
	enum mg_err r;

	if (d == NULL)
		return MG_ERR_INTERNAL; /* check_verdict() saw it */
	if ((r = hub_str_set(&d->verdict, str(rec, "text"))) != MG_ERR_OK)
		return r;
	d->judged =
	    mg_rec_bool(rec, "accepted") ? MG_HUB_ACCEPTED : MG_HUB_REFUSED;
	free(d->sig);
	d->sig = NULL;
	return MG_ERR_OK;
}

static void
apply_drop(struct hub_store *s, struct hub_request *req)
{
	size_t at = lower_bound(s, &req->uuid);

	memmove(s->v + at, s->v + at + 1, (s->n - at - 1) * sizeof(*s->v));
	s->n--;
	s->bytes -= req->bytes;
	unload(req);
	hub_request_free(req);
}

static enum mg_err
apply(struct hub_store *s, struct hub_request *req, enum kind kind,
    const struct mg_rec *rec)
{
	int64_t at = mg_rec_int(rec, "at", 0);
	enum mg_err r = MG_ERR_INTERNAL;

	if (at > s->last_ms)
		s->last_ms = at;
	switch (kind) {
	case PUT:
		r = apply_put(s, req, rec, at);
		break;
	case STATE:
		r = apply_state(req, rec, at);
		break;
	case DECISION:
		r = apply_decision(req, rec, at);
		break;
	case VERDICT:
		r = apply_verdict(req, rec);
		break;
	case DROP:
		apply_drop(s, req);
		return MG_ERR_OK;
	case NKINDS:
		break;
	}
	if (r == MG_ERR_OK && req != NULL) {
		s->bytes -= req->bytes;
		hub_request_weigh(req);
		s->bytes += req->bytes;
	}
	return r;
}

static enum mg_err
fold(void *arg, const struct mg_rec *rec, const char **whyp)
{
	struct hub_store *s = arg;
	struct hub_request *req;
	enum kind kind;
	enum mg_err r;

	for (kind = PUT; kind < NKINDS; kind++)
		if (strcmp(kind_names[kind], str(rec, "t")) == 0)
			break;
	req = by_uuid(s, str(rec, "uuid"));
	if ((*whyp = check(req, kind, rec, &r)) != NULL)
		return r;
	return apply(s, req, kind, rec);
}

static void
forget_all(struct hub_store *s)
{
	struct hub_load *l;

	while (s->n > 0)
		hub_request_free(s->v[--s->n]);
	free(s->v);
	s->v = NULL;
	s->cap = 0;
	while ((l = s->loads) != NULL) {
		s->loads = l->next;
		free(l);
	}
}

enum mg_err
hub_store_open(struct hub_store *s, const char *dir,
    const struct hub_store_limits *limits, size_t *torn_bytesp, char *why,
    size_t why_size)
{
	enum mg_err r;

	memset(s, 0, sizeof(*s));
	s->limits = *limits;
	r = hub_journal_open(
	    &s->journal, dir, fold, s, torn_bytesp, why, why_size);
	if (r != MG_ERR_OK)
		forget_all(s);
	return r;
}

void
hub_store_close(struct hub_store *s)
{
	hub_journal_close(&s->journal);
	forget_all(s);
}

/* ---- live changes ---- */

static enum mg_err
refuse(char *why, size_t size, enum mg_err r, const char *text)
{
	snprintf(why, size, "%s", text);
	return r;
}

/*
 * The record that was begun: checked, written, applied. A flaw found here
 * is the caller's input's (MG_ERR_FORMAT), unless memory was out.
 */
static enum mg_err
commit(struct hub_store *s, struct hub_request *req, enum kind kind, char *why,
    size_t why_size)
{
	const char *flaw;
	struct mg_rec rec;
	enum mg_err r;

	mg_rec_init(&rec);
	if ((r = hub_journal_end(&s->journal, &rec)) != MG_ERR_OK) {
		(void)refuse(why, why_size, r, mg_err_str(r));
		goto out;
	}
	if ((flaw = check(req, kind, &rec, &r)) != NULL) {
		(void)refuse(why, why_size, r, flaw);
		goto out;
	}
	if ((r = hub_journal_commit(&s->journal)) != MG_ERR_OK) {
		snprintf(why, why_size, "the hub cannot write: %s",
		    r == MG_ERR_SYS ? strerror(errno) : mg_err_str(r));
		goto out;
	}
	if (apply(s, req, kind, &rec) != MG_ERR_OK) /* Rule 4 */
		mg_fatal("out of memory after a record was written");
out:
	mg_rec_fini(&rec);
	return r;
}

static size_t
pending_of(struct hub_store *s, const char *host)
{
	const struct hub_load *l = load_of(s, host, false);

	return l == NULL ? 0 : l->pending;
}

static enum mg_err
check_room(struct hub_store *s, int64_t now_ms, const char *host, char *why,
    size_t size)
{
	size_t dropped;

	if (s->n >= s->limits.requests || s->bytes >= s->limits.bytes) {
		if (hub_store_tidy(s, now_ms, &dropped) != MG_ERR_OK)
			return refuse(
			    why, size, MG_ERR_SYS, "the hub cannot write");
	}
	if (s->n >= s->limits.requests || s->bytes >= s->limits.bytes)
		return refuse(why, size, MG_ERR_LIMIT,
		    "the hub is full ('requests' and 'queue-mib' of hub.ini)");
	if (pending_of(s, host) >= s->limits.requests_per_host)
		return refuse(why, size, MG_ERR_LIMIT,
		    "the hub holds as many requests of this host as it may "
		    "('requests-per-host' of hub.ini)");
	return MG_ERR_OK;
}

static int64_t
deadline(int64_t now_ms, uint64_t left_ms)
{
	if (left_ms > (uint64_t)MG_DURATION_MAX_MS)
		left_ms = (uint64_t)MG_DURATION_MAX_MS;
	return now_ms + (int64_t)left_ms;
}

static bool
put_is_news(
    const struct hub_request *req, const struct mg_hub_put *m, int64_t due)
{
	int64_t d = due - req->deadline_ms;

	return strcmp(req->body, m->body) != 0 ||
	       strcmp(req->review, m->review) != 0 ||
	       !hub_strv_equal(&req->need, m->need, m->need_n) ||
	       d > DEADLINE_SLACK_MS || d < -DEADLINE_SLACK_MS;
}

enum mg_err
hub_store_put(struct hub_store *s, int64_t now_ms, const char *host,
    const struct mg_hub_put *m, struct hub_request **reqp, bool *is_newp,
    char *why, size_t why_size)
{
	struct hub_request *req = by_uuid(s, m->uuid);
	int64_t due = deadline(now_ms, m->left_ms);
	struct mg_json *j;
	enum mg_err r;

	*reqp = NULL;
	*is_newp = req == NULL;
	if (req != NULL && strcmp(req->host, host) != 0) /* Rule 1 */
		return refuse(why, why_size, MG_ERR_PERM,
		    "the request is another host's");
	if (req != NULL && (req->ended || !put_is_news(req, m, due))) {
		*reqp = req;
		return MG_ERR_OK;
	}
	if (req == NULL &&
	    (r = check_room(s, now_ms, host, why, why_size)) != MG_ERR_OK)
		return r;
	j = hub_journal_begin(&s->journal, kind_names[PUT], now_ms);
	mg_json_str(j, "uuid", m->uuid);
	mg_json_str(j, "host", host);
	mg_json_str(j, "requester", m->requester);
	mg_json_str(j, "review", m->review);
	mg_json_int(j, "filed", m->filed_ms);
	mg_json_int(j, "deadline", due);
	mg_json_strv(j, "need", m->need, m->need_n);
	mg_json_str(j, "body", m->body);
	if ((r = commit(s, req, PUT, why, why_size)) == MG_ERR_OK)
		*reqp = by_uuid(s, m->uuid);
	return r;
}

/* The host's own request of that id. */
static enum mg_err
find_own(struct hub_store *s, const char *host, const char *uuid,
    struct hub_request **reqp, char *why, size_t size)
{
	struct hub_request *req = by_uuid(s, uuid);

	*reqp = NULL;
	if (req == NULL)
		return refuse(
		    why, size, MG_ERR_NOENT, "the request is not known");
	if (strcmp(req->host, host) != 0) /* Rule 1 */
		return refuse(
		    why, size, MG_ERR_PERM, "the request is another host's");
	*reqp = req;
	return MG_ERR_OK;
}

enum mg_err
hub_store_state(struct hub_store *s, int64_t now_ms, const char *host,
    const struct mg_hub_state *m, struct hub_request **reqp, bool *changedp,
    char *why, size_t why_size)
{
	int64_t due = deadline(now_ms, m->left_ms);
	struct mg_json *j;
	enum mg_err r;

	*changedp = false;
	if ((r = find_own(s, host, m->uuid, reqp, why, why_size)) != MG_ERR_OK)
		return r;
	if ((*reqp)->ended)
		return MG_ERR_OK;
	if (!m->ended && strcmp((*reqp)->state, m->state) == 0 &&
	    hub_strv_equal(&(*reqp)->agreed, m->agreed, m->agreed_n))
		return MG_ERR_OK;
	j = hub_journal_begin(&s->journal, kind_names[STATE], now_ms);
	mg_json_str(j, "uuid", m->uuid);
	mg_json_str(j, "state", m->state);
	mg_json_bool(j, "ended", m->ended);
	if (!m->ended)
		mg_json_int(j, "deadline", due);
	mg_json_strv(j, "agreed", m->agreed, m->agreed_n);
	if ((r = commit(s, *reqp, STATE, why, why_size)) == MG_ERR_OK)
		*changedp = true;
	return r;
}

/* Why a decision cannot be taken; MG_ERR_OK when it can. */
static enum mg_err
may_decide(const struct hub_request *req, const char *approver,
    const char *word, char *why, size_t size)
{
	const struct hub_decision *d = hub_store_decision(req, approver);

	if (req->ended) {
		snprintf(why, size, "the request has ended (%s)", req->state);
		return MG_ERR_STATE;
	}
	if (d == NULL || d->judged == MG_HUB_REFUSED)
		return MG_ERR_OK;
	if (d->judged == MG_HUB_UNJUDGED && !d->handed &&
	    strcmp(d->word, word) == 0)
		return MG_ERR_OK; /* replaces what nobody has seen */
	snprintf(why, size, "you have decided: %s%s; a decision is final",
	    d->word,
	    d->judged == MG_HUB_UNJUDGED ? " (on its way to the host)" : "");
	return MG_ERR_EXIST;
}

enum mg_err
hub_store_decide(struct hub_store *s, int64_t now_ms, const char *approver,
    const char *uuid, const char *word, const char *note, const char *sig,
    struct hub_request **reqp, struct hub_decision **dp, char *why,
    size_t why_size)
{
	struct hub_request *req = by_uuid(s, uuid);
	struct mg_json *j;
	enum mg_err r;

	*reqp = NULL;
	*dp = NULL;
	if (req == NULL)
		return refuse(
		    why, why_size, MG_ERR_NOENT, "the request is not known");
	if ((r = may_decide(req, approver, word, why, why_size)) != MG_ERR_OK)
		return r;
	j = hub_journal_begin(&s->journal, kind_names[DECISION], now_ms);
	mg_json_str(j, "uuid", req->id);
	mg_json_str(j, "approver", approver);
	mg_json_str(j, "decision", word);
	mg_json_str(j, "note", note);
	mg_json_str(j, "sig", sig);
	if ((r = commit(s, req, DECISION, why, why_size)) != MG_ERR_OK)
		return r;
	*reqp = req;
	*dp = hub_store_decision(req, approver);
	return MG_ERR_OK;
}

enum mg_err
hub_store_verdict(struct hub_store *s, int64_t now_ms, const char *host,
    const struct mg_hub_verdict *m, struct hub_request **reqp, bool *changedp,
    char *why, size_t why_size)
{
	const struct hub_decision *d;
	struct mg_json *j;
	enum mg_err r;

	*changedp = false;
	if ((r = find_own(s, host, m->uuid, reqp, why, why_size)) != MG_ERR_OK)
		return r;
	d = hub_store_decision(*reqp, m->approver);
	if (d == NULL || strcmp(d->word, m->decision) != 0)
		return refuse(
		    why, why_size, MG_ERR_NOENT, "there is no such decision");
	if (d->judged == MG_HUB_ACCEPTED ||
	    (d->judged == MG_HUB_REFUSED && !m->accepted))
		return MG_ERR_OK;
	j = hub_journal_begin(&s->journal, kind_names[VERDICT], now_ms);
	mg_json_str(j, "uuid", m->uuid);
	mg_json_str(j, "approver", m->approver);
	mg_json_str(j, "decision", m->decision);
	mg_json_bool(j, "accepted", m->accepted);
	mg_json_str(j, "text", m->text);
	if ((r = commit(s, *reqp, VERDICT, why, why_size)) == MG_ERR_OK)
		*changedp = true;
	return r;
}

/* ---- tidying ---- */

/* How long a request whose host went silent is kept after its deadline. */
#define SILENT_MS (24 * 3600 * 1000LL)
/* A journal shorter than this is never worth rewriting. */
#define REWRITE_LINES_MIN 1000

static bool
is_over(
    const struct hub_store *s, const struct hub_request *req, int64_t now_ms)
{
	if (req->ended)
		return now_ms - req->ended_ms >= s->limits.keep_ended_ms;
	return now_ms - req->deadline_ms >= SILENT_MS;
}

/* The ended request that ended first; NULL: none has. */
static struct hub_request *
oldest_ended(const struct hub_store *s)
{
	struct hub_request *oldest = NULL;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i]->ended &&
		    (oldest == NULL || s->v[i]->ended_ms < oldest->ended_ms))
			oldest = s->v[i];
	return oldest;
}

static enum mg_err
drop(struct hub_store *s, int64_t now_ms, struct hub_request *req)
{
	struct mg_json *j;
	char why[128];

	j = hub_journal_begin(&s->journal, kind_names[DROP], now_ms);
	mg_json_str(j, "uuid", req->id);
	return commit(s, req, DROP, why, sizeof(why));
}

static enum mg_err
rewrite_decision(struct hub_store *s, struct hub_rewrite *w,
    const struct hub_request *req, const struct hub_decision *d)
{
	struct mg_json *j;
	enum mg_err r;

	j = hub_rewrite_begin(&s->journal, w, kind_names[DECISION], d->at_ms);
	mg_json_str(j, "uuid", req->id);
	mg_json_str(j, "approver", d->approver);
	mg_json_str(j, "decision", d->word);
	mg_json_str(j, "note", d->note);
	/* Nobody needs a signature any more that its host has judged. */
	mg_json_str(j, "sig",
	    d->sig == NULL ? "-----BEGIN SSH SIGNATURE-----\n" : d->sig);
	if ((r = hub_rewrite_put(&s->journal, w)) != MG_ERR_OK ||
	    d->judged == MG_HUB_UNJUDGED)
		return r;
	j = hub_rewrite_begin(&s->journal, w, kind_names[VERDICT], d->at_ms);
	mg_json_str(j, "uuid", req->id);
	mg_json_str(j, "approver", d->approver);
	mg_json_str(j, "decision", d->word);
	mg_json_bool(j, "accepted", d->judged == MG_HUB_ACCEPTED);
	mg_json_str(j, "text", d->verdict);
	return hub_rewrite_put(&s->journal, w);
}

static enum mg_err
rewrite_state(
    struct hub_store *s, struct hub_rewrite *w, const struct hub_request *req)
{
	struct mg_json *j;

	j = hub_rewrite_begin(&s->journal, w, kind_names[STATE],
	    req->ended ? req->ended_ms : req->put_ms);
	mg_json_str(j, "uuid", req->id);
	mg_json_str(j, "state", req->state);
	mg_json_bool(j, "ended", req->ended);
	mg_json_strv(
	    j, "agreed", (const char *const *)req->agreed.v, req->agreed.n);
	return hub_rewrite_put(&s->journal, w);
}

static enum mg_err
rewrite_request(
    struct hub_store *s, struct hub_rewrite *w, const struct hub_request *req)
{
	const struct hub_decision *d;
	struct mg_json *j;
	enum mg_err r;

	j = hub_rewrite_begin(&s->journal, w, kind_names[PUT], req->put_ms);
	mg_json_str(j, "uuid", req->id);
	mg_json_str(j, "host", req->host);
	mg_json_str(j, "requester", req->requester);
	mg_json_str(j, "review", req->review);
	mg_json_int(j, "filed", req->filed_ms);
	mg_json_int(j, "deadline", req->deadline_ms);
	mg_json_strv(j, "need", (const char *const *)req->need.v, req->need.n);
	mg_json_str(j, "body", req->body);
	r = hub_rewrite_put(&s->journal, w);
	for (d = req->decisions; d != NULL && r == MG_ERR_OK; d = d->next)
		r = rewrite_decision(s, w, req, d);
	if (r == MG_ERR_OK)
		r = rewrite_state(s, w, req);
	return r;
}

static enum mg_err
rewrite(struct hub_store *s)
{
	struct hub_rewrite w;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	hub_rewrite_init(&w);
	for (i = 0; i < s->n && r == MG_ERR_OK; i++)
		r = rewrite_request(s, &w, s->v[i]);
	if (r == MG_ERR_OK)
		r = hub_rewrite_done(&s->journal, &w);
	hub_rewrite_fini(&w);
	return r;
}

static uint64_t
count_live(const struct hub_store *s)
{
	const struct hub_decision *d;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s->n; i++) {
		n += 2;
		for (d = s->v[i]->decisions; d != NULL; d = d->next)
			n += d->judged == MG_HUB_UNJUDGED ? 1 : 2;
	}
	return n;
}

enum mg_err
hub_store_tidy(struct hub_store *s, int64_t now_ms, size_t *droppedp)
{
	struct hub_request *req;
	enum mg_err r = MG_ERR_OK;
	size_t i = 0;

	*droppedp = 0;
	while (i < s->n && r == MG_ERR_OK) {
		if (!is_over(s, s->v[i], now_ms)) {
			i++;
			continue;
		}
		r = drop(s, now_ms, s->v[i]);
		++*droppedp;
	}
	while (r == MG_ERR_OK &&
	       (s->n >= s->limits.requests || s->bytes >= s->limits.bytes) &&
	       (req = oldest_ended(s)) != NULL) {
		r = drop(s, now_ms, req);
		++*droppedp;
	}
	if (r == MG_ERR_OK && s->journal.lines >= REWRITE_LINES_MIN &&
	    s->journal.lines / 2 > count_live(s))
		r = rewrite(s);
	return r;
}
