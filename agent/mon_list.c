/* SPDX-License-Identifier: ISC */
/*
 * Listings, the ends that people ask for, and readers of the ledger.
 *
 * Who may see or end what: one's own, always; everybody's with the rights
 * "log" and "revoke" of the policy; root itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define SEGMENTS_MAX 16 /* descriptors of one query_next_ans */
#define QUERY_DEADLINE_MS 600000
#define ROWS_EACH 32  /* of a list, then others have their turn */
#define ENDS_EACH 128 /* requests that are ended, the same */

/* A question that needs to know who asks. */
struct ask {
	struct mon *m;
	struct mon_job *job; /* stands in for the client */
	struct mg_list_req list;
	struct mg_end_req end;
	struct mg_log_req log;
	char id[37], user[97], model[97], version[97], operation[97];
	char type[33], outcome[33], note[1025];
	char person[97]; /* who asks */
	unsigned ending; /* ends that are not on record yet */
	unsigned ended;
	enum mg_why end_failed;
	const char *ended_text;
	uint32_t uid;
	int out; /* where a log goes */
	struct mon_proc query;
	struct mg_timer timer;
	void (*fn)(struct ask *a);
	uint64_t waits; /* the reader has so many lines and wants more */
	uint32_t waits_id;
	bool is_waiting;
	uint64_t below;		 /* of a list: rows filed before are to come */
	size_t sent;		 /* models */
	struct ask *prev, *next; /* of those with a reader */
};

static struct mon_client *
client_of(struct ask *a)
{
	return a->job->client;
}

static void
ask_free(struct ask *a)
{
	mg_timer_clear(a->m->loop, &a->timer);
	if (a->prev != NULL)
		a->prev->next = a->next;
	else if (a->m->queries == a)
		a->m->queries = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	mon_proc_stop(&a->query);
	if (a->out != -1)
		close(a->out);
	if (client_of(a) != NULL)
		client_of(a)->on_more = NULL;
	mon_job_free(a->job);
	free(a);
}

static void
finish(struct ask *a, const char *text)
{
	mon_reply_done(client_of(a), text);
	ask_free(a);
}

static void end(struct ask *a);

/* Who asks for what is others' is on record. */
static void
refuse(struct ask *a, const char *text, const char *remedy)
{
	struct mon_client *c = client_of(a);
	struct mon_refusal ref = {.user = a->person,
	    .uid = a->uid,
	    .ses = c->peer.session,
	    .tty = c->peer.tty,
	    .origin = "",
	    .operation = a->fn == end ? "revoke" : "log",
	    .model = "",
	    .version = "",
	    .rule = "",
	    .text = text,
	    .remedy = remedy,
	    .why = MG_WHY_NOT_PERMITTED};

	c->job = NULL;
	a->job->client = NULL;
	mon_refuse(a->m, c, &ref);
	ask_free(a);
}

static void
fail(struct ask *a, enum mg_why why, const char *text, const char *remedy)
{
	if (why == MG_WHY_NOT_PERMITTED && client_of(a) != NULL) {
		refuse(a, text, remedy);
		return;
	}
	mon_reply_refused(client_of(a), why, "", "", text, remedy);
	ask_free(a);
}

static void
known(void *arg)
{
	struct ask *a = arg;
	const struct mon_person *p;

	if (client_of(a) == NULL) {
		ask_free(a);
		return;
	}
	a->uid = mon_client_uid(client_of(a));
	p = a->uid == MG_PROC_UNSET ? NULL : mon_person_by_uid(a->m, a->uid);
	if (p != NULL)
		snprintf(a->person, sizeof(a->person), "%s", p->name);
	a->fn(a);
}

static struct ask *
ask_new(struct mon_client *c, void (*fn)(struct ask *a))
{
	uint32_t uid =
	    c->peer.loginuid != MG_PROC_UNSET ? c->peer.loginuid : c->peer.uid;
	struct ask *a;

	if ((a = calloc(1, sizeof(*a))) == NULL ||
	    (a->job = calloc(1, sizeof(*a->job))) == NULL)
		mg_fatal("out of memory");
	a->m = a->job->m = c->m;
	a->job->client = c;
	c->job = a->job;
	a->fn = fn;
	a->out = -1;
	if (mon_people_fetch(c->m, NULL, 0, uid, known, a) == MG_ERR_OK)
		return a;
	fail(a, MG_WHY_INTERNAL, "the name service is down", "");
	return NULL;
}

static bool
may(struct ask *a, const char *operation)
{
	char user[97];

	return mon_may(client_of(a), operation, user, sizeof(user));
}

static bool
is_own(const struct ask *a, const struct mg_req *req)
{
	return a->uid != MG_PROC_UNSET && req->uid == a->uid;
}

/* ---- rows ---- */

static void
put_times(struct mg_json *j, const struct mg_req *req)
{
	int64_t now = mg_time_boot_ms(), left = 0;
	char at[MG_TIME_STR];

	mg_time_format(req->filed_ms, at);
	mg_json_str(j, "filed", at);
	if (req->live.granted_ms != 0) {
		mg_time_format(req->live.granted_ms, at);
		mg_json_str(j, "granted", at);
	}
	if (req->live.ended_ms != 0) {
		mg_time_format(req->live.ended_ms, at);
		mg_json_str(j, "ended", at);
	}
	if (req->live.state == MG_REQ_PENDING)
		left = req->live.approve_by_bt - now;
	else if (req->live.state == MG_REQ_GRANTED)
		left = req->live.ends_bt - now;
	mg_json_int(j, "left_ms", left > 0 ? left : 0);
}

static void
put_approvals(struct mon *m, struct mg_json *j, const struct mg_req *req)
{
	struct mon_need *s;
	char text[1400];
	size_t i;

	mg_json_arr(j, "decisions");
	for (i = 0; i < req->live.napprovals; i++) {
		const struct mg_approval *a = &req->live.approvals[i];

		snprintf(text, sizeof(text), "%s %s%s%s", a->approver,
		    a->approve ? "approve" : "deny",
		    a->note[0] != '\0' ? " " : "", a->note);
		mg_json_str(j, NULL, text);
	}
	mg_json_arr_end(j);
	if (req->live.state != MG_REQ_PENDING ||
	    (s = calloc(1, sizeof(*s))) == NULL)
		return;
	mon_req_need(m, req, s);
	mg_json_strv(j, "need", s->need, s->nneed);
	mg_json_strv(j, "agreed", s->agreed, s->nagreed);
	free(s);
}

/* What of a row can be long. */
static void
put_long(struct ask *a, struct mg_json *j, const struct mg_req *req)
{
	mg_json_strv(j, "argv", req->argv, req->argc);
	mg_json_str(j, "reason", req->reason);
	mg_json_str(j, "text", req->text);
	mg_json_str(j, "remedy", req->remedy);
	put_approvals(a->m, j, req);
}

/* cut: without that, so that it can be listed at all. */
static void
put_row(struct ask *a, struct mg_json *j, const struct mg_req *req, bool cut)
{
	struct mon *m = a->m;
	char number[3];

	mg_json_obj(j, NULL);
	mg_json_str(j, "id", req->code);
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(j, "state", mg_req_state_word(req->live.state));
	if (req->live.why != MG_WHY_NONE) {
		mg_json_str(j, "why", mg_why_word(req->live.why));
		mg_json_str(j, "sentence", mg_why_sentence(req->live.why));
	}
	mg_json_str(j, "user", req->user);
	mg_json_str(j, "operation", req->operation);
	mg_json_str(j, "model", req->model);
	mg_json_str(j, "version", req->version);
	mg_json_str(j, "run_as", req->run_as);
	mg_json_str(j, "digest", req->digest);
	mg_json_str(j, "ticket", req->ticket);
	mg_json_str(j, "origin", req->origin);
	mg_json_str(j, "tty", req->tty);
	mg_json_str(j, "rule", req->rule);
	mg_json_bool(j, "mfa", req->mfa);
	mg_json_bool(j, "mfa_done", req->live.mfa_done);
	mon_req_number(m, req, number);
	if (is_own(a, req) && number[0] != '\0')
		mg_json_str(j, "number", number);
	put_times(j, req);
	mg_json_int(j, "uses", req->uses);
	mg_json_int(j, "used", req->live.used);
	mg_json_int(j, "running", (int64_t)req->live.nruns);
	mg_json_str(j, "by", mon_or_empty(req->live.ended_by));
	if (cut)
		mg_json_bool(j, "cut", true);
	else
		put_long(a, j, req);
	mg_json_obj_end(j);
}

/* False: it is too long, and was not sent. */
static bool
send_item(struct ask *a, struct mg_buf *b, struct mg_json *j)
{
	struct mg_item item = {0};

	if (mg_json_end(j) != MG_ERR_OK || (item.json = mg_buf_cstr(b)) == NULL)
		return false;
	mon_reply(client_of(a), MG_MSG_ITEM, &item);
	return true;
}

static bool
try_row(struct ask *a, const struct mg_req *req, bool cut)
{
	struct mg_buf b;
	struct mg_json j;
	bool sent;

	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	put_row(a, &j, req, cut);
	sent = send_item(a, &b, &j);
	mg_buf_fini(&b);
	return sent;
}

/* Nobody is left out of a list for being long. */
static void
send_row(struct ask *a, const struct mg_req *req)
{
	if (!try_row(a, req, false) && !try_row(a, req, true))
		mg_log(
		    MG_EVT_ERROR, "req=%s err='cannot be listed'", req->code);
}

/* ---- list ---- */

/* Where a list is. What is in it may change between two turns, so its place
 * is found anew by what was sent last. */
struct walk {
	struct mg_req *all, *pending, *granted; /* next of each; own ones */
};

static void
walk_begin(struct walk *w, const struct ask *a)
{
	const struct mg_state *st = a->m->state;
	bool all = a->list.everyone, known = a->uid != MG_PROC_UNSET;

	w->all = all ? mg_state_live(st) : NULL;
	w->pending = !all && known ? mg_state_own_pending(st, a->uid) : NULL;
	w->granted = !all && known ? mg_state_own_granted(st, a->uid) : NULL;
	while (w->all != NULL && w->all->order >= a->below)
		w->all = w->all->next;
	while (w->pending != NULL && w->pending->order >= a->below)
		w->pending = w->pending->own.next;
	while (w->granted != NULL && w->granted->order >= a->below)
		w->granted = w->granted->own.next;
}

/* The newest that is left, and goes on. */
static struct mg_req *
walk_next(struct walk *w)
{
	struct mg_req *req = w->all;

	if (req != NULL) {
		w->all = req->next;
	} else if (w->pending != NULL &&
		   (w->granted == NULL ||
		       w->pending->order > w->granted->order)) {
		req = w->pending;
		w->pending = req->own.next;
	} else if ((req = w->granted) != NULL) {
		w->granted = req->own.next;
	}
	return req;
}

static bool
is_listed(const struct ask *a, const struct mg_req *req)
{
	if (a->list.what == MG_LIST_REQUESTS)
		return req->live.state == MG_REQ_PENDING;
	return a->list.what != MG_LIST_GRANTS ||
	       req->live.state == MG_REQ_GRANTED;
}

/* The end of a listing, with what its reader has to know besides. */
static void
finish_list(struct ask *a)
{
	struct mon *m = a->m;
	unsigned asked = mg_policy_tokens(m->policy), left;
	char text[1025];

	if (asked == 0 || a->list.what != MG_LIST_NONE || !may(a, "log")) {
		finish(a, m->policy_edit);
		return;
	}
	left = mon_tokens_left(m, asked);
	snprintf(text, sizeof(text), "%s%s%u set%s of break-glass tokens left",
	    m->policy_edit, m->policy_edit[0] != '\0' ? "; " : "", left,
	    left == 1 ? "" : "s");
	finish(a, text);
}

/* Some rows; the next when those are taken and others had their turn. */
static void
list_more(void *arg)
{
	struct ask *a = arg;
	struct mg_req *req;
	struct walk w;
	unsigned n;

	if (client_of(a) == NULL) {
		ask_free(a);
		return;
	}
	walk_begin(&w, a);
	for (n = 0; n < ROWS_EACH; n++) {
		if (!mon_client_has_room(client_of(a)))
			return;
		while ((req = walk_next(&w)) != NULL && !is_listed(a, req))
			continue;
		if (req == NULL) {
			finish_list(a);
			return;
		}
		a->below = req->order;
		send_row(a, req);
	}
	mon_timer_set(a->m, &a->timer, 0, list_more, a);
}

static void
list_one(struct ask *a, bool everyone)
{
	const struct mg_req *req = mg_state_find(a->m->state, a->id);

	if (req == NULL || (!everyone && !is_own(a, req))) {
		fail(a, MG_WHY_NOT_FOUND,
		    "nothing of yours is known under this code",
		    "older ones: modelgate log --request CODE");
		return;
	}
	send_row(a, req);
	finish(a, "");
}

/* ---- models ---- */

static void
send_model(struct ask *a, const struct mg_model *p, bool all)
{
	struct mg_buf b;
	struct mg_json j;

	if (p->live.version[0] == '\0' && p->back[0].version[0] == '\0')
		return;
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mon_model_put(a->m, &j, p, all);
	if (!send_item(a, &b, &j))
		mg_log(
		    MG_EVT_ERROR, "model=%s err='cannot be listed'", p->name);
	mg_buf_fini(&b);
}

/* As list_more(). New models come last. */
static void
models_more(void *arg)
{
	bool all;
	const struct mg_model *p;
	struct ask *a = arg;
	size_t i;

	if (client_of(a) == NULL) {
		ask_free(a);
		return;
	}
	all = a->list.what == MG_LIST_CHECK || may(a, "log");
	p = mg_models_first(mg_state_models(a->m->state));
	for (i = 0; p != NULL && i < a->sent; i++)
		p = p->next;
	for (i = 0; p != NULL && i < ROWS_EACH; i++, p = p->next) {
		if (!mon_client_has_room(client_of(a)))
			return;
		a->sent++;
		send_model(a, p, all);
	}
	if (p == NULL)
		finish(a, "");
	else
		mon_timer_set(a->m, &a->timer, 0, models_more, a);
}

static void
send_models(struct ask *a)
{
	if (client_of(a) != NULL) {
		client_of(a)->on_more = models_more;
		client_of(a)->more_arg = a;
	}
	models_more(a);
}

static void
models_checked(void *arg)
{
	send_models(arg);
}

static void
list_models(struct ask *a)
{
	bool all = may(a, "log");

	if (a->list.what == MG_LIST_MODELS)
		send_models(a);
	else if (all)
		mon_models_check(a->m, models_checked, a);
	else
		fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'log' may have the "
		    "served bytes looked at",
		    "");
}

static void
list_tokens(struct ask *a)
{
	const struct mg_token_set *s = mg_state_sets(a->m->state);
	struct mg_buf b;
	struct mg_json j;
	size_t i;

	if (!may(a, "log")) {
		fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'log' may see what sets "
		    "of tokens there are",
		    "");
		return;
	}
	for (i = 0; i < MG_SETS_MAX; i++) {
		if (s[i].name[0] == '\0')
			continue;
		mg_buf_init(&b, 16384);
		mg_json_begin(&j, &b);
		mon_tokens_put(a->m, &s[i], &j);
		(void)send_item(a, &b, &j); /* short */
		mg_buf_fini(&b);
	}
	finish(a, "");
}

static void
list(struct ask *a)
{
	bool everyone;

	if (a->list.what == MG_LIST_MODELS || a->list.what == MG_LIST_CHECK) {
		list_models(a);
		return;
	}
	if (a->list.what == MG_LIST_TOKENS) {
		list_tokens(a);
		return;
	}
	everyone = may(a, "log");
	if (a->list.everyone && !everyone) {
		fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'log' may see "
		    "everybody's",
		    "");
		return;
	}
	if (a->list.what == MG_LIST_ONE) {
		list_one(a, everyone);
		return;
	}
	a->below = UINT64_MAX;
	client_of(a)->on_more = list_more;
	client_of(a)->more_arg = a;
	list_more(a);
}

void
mon_list(struct mon_client *c, const struct mg_list_req *q)
{
	struct ask *a = ask_new(c, list);

	if (a == NULL)
		return;
	a->list = *q;
	snprintf(a->id, sizeof(a->id), "%s", q->id);
}

/* ---- done, cancel, revoke ---- */

/* One of the ends that were asked for is on record, or cannot be. */
static void
end_recorded(void *arg, enum mg_why failed)
{
	struct ask *a = arg;
	char text[64];

	if (failed != MG_WHY_NONE)
		a->end_failed = failed;
	if (--a->ending > 0)
		return;
	if (a->end_failed != MG_WHY_NONE) {
		fail(a, a->end_failed, "", "");
		return;
	}
	snprintf(text, sizeof(text), "%u revoked", a->ended);
	finish(a, a->ended_text != NULL ? a->ended_text : text);
}

/* Ends it; text: what is said once it is on record, NULL: how many. */
static void
end_one(struct ask *a, struct mg_req *req, enum mg_req_state to,
    enum mg_why why, const char *text)
{
	a->ending++;
	a->ended++;
	a->ended_text = text;
	mon_req_end_then(a->m, req, to, why,
	    a->person[0] != '\0' ? a->person : "root", end_recorded, a);
}

static void
end_done(struct ask *a, struct mg_req *req)
{
	if (!is_own(a, req))
		fail(a, MG_WHY_NOT_YOURS, "", "");
	else if (req->live.state != MG_REQ_GRANTED)
		fail(a, MG_WHY_WRONG_STATE, "it is not a grant that is held",
		    req->live.state == MG_REQ_PENDING
			? "it waits still: modelgate cancel"
			: "");
	else
		end_one(a, req, MG_REQ_REVOKED, MG_WHY_DONE, "given back");
}

static void
end_cancel(struct ask *a, struct mg_req *req)
{
	if (!is_own(a, req))
		fail(a, MG_WHY_NOT_YOURS, "", "");
	else if (req->live.state != MG_REQ_PENDING)
		fail(a, MG_WHY_WRONG_STATE, "it does not wait any more",
		    req->live.state == MG_REQ_GRANTED
			? "it is granted: modelgate done"
			: "");
	else
		end_one(
		    a, req, MG_REQ_CANCELLED, MG_WHY_CANCELLED, "cancelled");
}

static void
revoke_one(struct ask *a, struct mg_req *req, const char *text)
{
	end_one(a, req,
	    req->live.state == MG_REQ_GRANTED ? MG_REQ_REVOKED : MG_REQ_DENIED,
	    MG_WHY_REVOKED, text);
}

static bool
is_to_end(const struct ask *a, const struct mg_req *req)
{
	return a->end.all ||
	       (a->user[0] != '\0' && strcmp(req->user, a->user) == 0);
}

/* Some that wait still; others have their turn before the next. */
static void
revoke_more(void *arg)
{
	struct mg_req *req, *next;
	struct ask *a = arg;
	unsigned n = 0;

	for (req = mg_state_live(a->m->state); req != NULL; req = next) {
		next = req->next; /* an ended one is in another list */
		if (req->order >= a->below || !is_to_end(a, req))
			continue;
		if (n++ == ENDS_EACH) {
			mon_timer_set(a->m, &a->timer, 0, revoke_more, a);
			return;
		}
		a->below = req->order;
		revoke_one(a, req, NULL);
	}
	end_recorded(a, MG_WHY_NONE);
}

static void
revoke_many(struct ask *a)
{
	struct mg_req *req, *next;

	if (!may(a, "revoke")) {
		fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'revoke' may end "
		    "others' grants",
		    "your own: modelgate done ID");
		return;
	}
	a->ending = 1; /* so that none of them is the last one yet */
	a->below = UINT64_MAX;
	/* What is granted may be running. */
	for (req = mg_state_granted(a->m->state); req != NULL; req = next) {
		next = req->granted.next; /* an ended one is in no such list */
		if (is_to_end(a, req))
			revoke_one(a, req, NULL);
	}
	revoke_more(a);
}

static void
end(struct ask *a)
{
	struct mg_req *req;

	if (a->end.verb == MG_END_REVOKE && a->id[0] == '\0') {
		revoke_many(a);
		return;
	}
	req = mg_state_find(a->m->state, a->id);
	/* Whether it exists is told only to those it concerns. */
	if (req == NULL ||
	    (!is_own(a, req) && !may(a, "log") && !may(a, "revoke"))) {
		fail(a, MG_WHY_NOT_FOUND, "", "");
		return;
	}
	switch (a->end.verb) {
	case MG_END_DONE:
		end_done(a, req);
		break;
	case MG_END_CANCEL:
		end_cancel(a, req);
		break;
	case MG_END_REVOKE:
		if (!mg_req_is_live(req))
			fail(a, MG_WHY_WRONG_STATE, "it has ended already", "");
		else if (!is_own(a, req) && !may(a, "revoke"))
			fail(a, MG_WHY_NOT_PERMITTED, "", "");
		else
			revoke_one(a, req, "revoked");
		break;
	default:
		fail(a, MG_WHY_BAD_REQUEST, "", "");
	}
}

void
mon_end(struct mon_client *c, const struct mg_end_req *q)
{
	struct ask *a = ask_new(c, end);

	if (a == NULL)
		return;
	a->end = *q;
	snprintf(a->id, sizeof(a->id), "%s", q->id);
	snprintf(a->user, sizeof(a->user), "%s", q->user);
	snprintf(a->note, sizeof(a->note), "%s", q->note);
}

/* ---- the ledger ---- */

enum mg_err
mon_list_segments(
    struct mon *m, struct mon_port *port, uint32_t id, uint64_t after)
{
	struct mg_query_next_ans ans = {0};
	uint8_t first[8 * SEGMENTS_MAX], compressed[SEGMENTS_MAX];
	int dir = mg_ledger_dir(m->ledger);
	struct mg_ledger_file *v;
	struct mg_buf b;
	int fds[SEGMENTS_MAX];
	size_t n, i, k = 0;
	enum mg_err r;

	if ((r = mg_ledger_list(dir, &v, &n)) != MG_ERR_OK)
		return r;
	mg_buf_init(&b, sizeof(first));
	for (i = 0; i < n && k < SEGMENTS_MAX && r == MG_ERR_OK; i++) {
		if (v[i].first <= after)
			continue;
		r = mg_ledger_open_file(dir, v[i].name, &fds[k]);
		if (r != MG_ERR_OK)
			break;
		compressed[k++] = v[i].zst;
		r = mg_buf_put_u64(&b, v[i].first);
	}
	if (r == MG_ERR_OK) {
		memcpy(first, mg_buf_ptr(&b), mg_buf_len(&b));
		ans.first = first;
		ans.first_len = mg_buf_len(&b);
		ans.compressed = compressed;
		ans.compressed_len = k;
		r = mon_port_send_fds(
		    port, id, MG_MSG_QUERY_NEXT_ANS, &ans, fds, k);
	}
	for (i = 0; i < k; i++)
		close(fds[i]);
	mg_buf_fini(&b);
	free(v);
	return r;
}

static void
tell_grown(struct ask *a)
{
	struct mg_query_wait_ans ans = {.size = mg_ledger_size(a->m->ledger)};

	if (!a->is_waiting || ans.size <= a->waits)
		return;
	a->is_waiting = false;
	(void)mon_port_send(
	    &a->query.port, a->waits_id, MG_MSG_QUERY_WAIT_ANS, &ans);
}

void
mon_list_grown(struct mon *m)
{
	struct ask *a;

	for (a = m->queries; a != NULL; a = a->next)
		tell_grown(a);
}

static void
query_frame(void *arg, struct mg_frame *f)
{
	struct mg_query_next_req next;
	struct mg_query_wait_req wait;
	struct ask *a = arg;

	if (f->op == MG_MSG_QUERY_NEXT_REQ &&
	    mg_frame_decode(f, &next, sizeof(next)) == MG_ERR_OK) {
		if (mon_list_segments(
			a->m, &a->query.port, f->id, next.after) != MG_ERR_OK)
			fail(a, MG_WHY_INTERNAL, "the ledger cannot be opened",
			    "");
	} else if (f->op == MG_MSG_QUERY_WAIT_REQ &&
		   (a->log.flags & MG_QUERY_FOLLOW) != 0 &&
		   mg_frame_decode(f, &wait, sizeof(wait)) == MG_ERR_OK) {
		a->is_waiting = true;
		a->waits = wait.size;
		a->waits_id = f->id;
		tell_grown(a);
	}
}

static void
query_ended(void *arg, int status)
{
	struct ask *a = arg;

	if (status == 0)
		finish(a, "");
	else
		fail(a, MG_WHY_INTERNAL, "the ledger could not be read whole",
		    "");
}

static void
query_late(void *arg)
{
	fail(arg, MG_WHY_LIMIT, "reading the ledger took too long", "");
}

static void
query(struct ask *a)
{
	bool everyone = may(a, "log");
	struct mg_query_req q = {.only_user = everyone ? "" : a->person,
	    .user = a->user,
	    .model = a->model,
	    .version = a->version,
	    .operation = a->operation,
	    .type = a->type,
	    .outcome = a->outcome,
	    .request = a->id,
	    .since_ms = a->log.since_ms,
	    .until_ms = a->log.until_ms,
	    .flags = a->log.flags};
	enum mg_err r;

	if (!everyone && a->person[0] == '\0') {
		fail(a, MG_WHY_NO_LOGIN, "", "");
		return;
	}
	a->query.on_frame = query_frame;
	a->query.on_end = query_ended;
	a->query.arg = a;
	r = mon_proc_start(
	    &a->query, a->m, "mg-query", NULL, NULL, MG_ROLE_QUERY, NULL, 0);
	if (r == MG_ERR_OK)
		r = mon_port_send_fds(
		    &a->query.port, 1, MG_MSG_QUERY_REQ, &q, &a->out, 1);
	if (r != MG_ERR_OK) {
		fail(a, MG_WHY_INTERNAL, "the reader cannot be started", "");
		return;
	}
	a->next = a->m->queries;
	if (a->next != NULL)
		a->next->prev = a;
	a->m->queries = a;
	if ((a->log.flags & MG_QUERY_FOLLOW) == 0)
		mon_timer_set(a->m, &a->timer,
		    mg_time_boot_ms() + QUERY_DEADLINE_MS, query_late, a);
}

void
mon_log_query(struct mon_client *c, const struct mg_log_req *q)
{
	struct ask *a = ask_new(c, query);

	if (a == NULL)
		return;
	a->log = *q;
	snprintf(a->id, sizeof(a->id), "%s", q->request);
	snprintf(a->user, sizeof(a->user), "%s", q->user);
	snprintf(a->model, sizeof(a->model), "%s", q->model);
	snprintf(a->version, sizeof(a->version), "%s", q->version);
	snprintf(a->operation, sizeof(a->operation), "%s", q->operation);
	snprintf(a->type, sizeof(a->type), "%s", q->type);
	snprintf(a->outcome, sizeof(a->outcome), "%s", q->outcome);
	a->out = c->fds[0];
	c->fds[0] = -1;
}

/* ---- the agent itself ---- */

static void
put_policy(struct ask *a, struct mg_json *j)
{
	struct mon *m = a->m;
	const struct mg_policy_guard *g;
	size_t i;

	mon_policy_look(m);
	g = mg_policy_guard(m->policy);
	mg_json_str(j, "policy", mg_policy_digest(m->policy));
	mg_json_int(j, "policy_version", (int64_t)g->version);
	mg_json_bool(j, "policy_signed", g->is_signed);
	mg_json_str(j, "policy_edit", m->policy_edit);
	mg_json_int(j, "policy_refused", (int64_t)m->npolicy_errors);
	mg_json_arr(j, "policy_errors");
	for (i = 0; i < m->npolicy_errors && may(a, "log"); i++)
		mg_json_str(j, NULL, m->policy_errors[i]);
	mg_json_arr_end(j);
}

static void
info(struct ask *a)
{
	struct mon *m = a->m;
	char outage[400];
	struct mg_buf b;
	struct mg_json j;

	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "version", MG_VERSION);
	mg_json_str(&j, "host", m->conf.host);
	mg_json_strv(
	    &j, "labels", (const char *const *)m->conf.labels, m->conf.nlabels);
	mg_json_str(&j, "host_key", m->host_key_fp);
	put_policy(a, &j);
	mg_json_bool(&j, "audit", m->audit_ok);
	mg_json_bool(&j, "auditd", !m->audit_unread);
	mg_json_bool(&j, "audit_required", !m->conf.audit_optional);
	mg_json_bool(&j, "ledger", !mg_ledger_is_dead(m->ledger));
	mg_json_str(&j, "ledger_alarm", mon_tree_alarm(m));
	mg_json_int(&j, "records", (int64_t)mg_ledger_next_seq(m->ledger) - 1);
	mg_json_str(&j, "hub", m->conf.hub_address);
	mg_json_str(&j, "link", mon_hub_status(m));
	mon_outage_text(m, outage, sizeof(outage));
	mg_json_str(&j, "outage", outage);
	mg_json_int(&j, "tokens_asked", mg_policy_tokens(m->policy));
	mg_json_int(
	    &j, "token_sets", mon_tokens_left(m, mg_policy_tokens(m->policy)));
	mg_json_str(&j, "cgroup", m->cgroup == -1 ? "none" : "v2");
	mg_json_int(&j, "clients", m->nclients);
	mg_json_int(&j, "open", (int64_t)mg_state_live_count(m->state));
	mg_json_int(&j, "up_ms", mg_time_boot_ms() - m->started_ms);
	mg_json_str(&j, "you", a->person);
	mg_json_obj_end(&j);
	(void)send_item(a, &b, &j);
	mg_buf_fini(&b);
	finish(a, "");
}

void
mon_info(struct mon_client *c)
{
	(void)ask_new(c, info);
}

/* ---- checkpoints ---- */

static void
checkpoint(struct ask *a)
{
	struct mg_buf b;
	struct mg_json j;

	if (!may(a, "log")) {
		fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'log' may ask for a "
		    "checkpoint",
		    "");
		return;
	}
	mon_tree_checkpoint(a->m);
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_int(&j, "records", (int64_t)mg_ledger_size(a->m->ledger));
	mg_json_str(&j, "note", mon_tree_note(a->m));
	mg_json_obj_end(&j);
	(void)send_item(a, &b, &j);
	mg_buf_fini(&b);
	finish(a, "");
}

void
mon_checkpoint(struct mon_client *c)
{
	(void)ask_new(c, checkpoint);
}
