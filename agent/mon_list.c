/* SPDX-License-Identifier: ISC */
/*
 * Listings of requests, models and tokens, and what the agent says of itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "mon_asker.h"

#define ROWS_EACH 32 /* of a list, then others have their turn */

struct list {
	struct mg_list_req q;
	char id[37];
	uint64_t below; /* rows filed before are to come */
	size_t sent;	/* models */
	struct mg_timer timer;
};

static struct list *
list_of(const struct mon_asker *a)
{
	return a->own;
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
put_long(struct mon_asker *a, struct mg_json *j, const struct mg_req *req)
{
	mg_json_strv(j, "argv", req->argv, req->argc);
	mg_json_str(j, "reason", req->reason);
	mg_json_str(j, "text", req->text);
	mg_json_str(j, "remedy", req->remedy);
	put_approvals(a->m, j, req);
}

/* cut: without that, so that it can be listed at all. */
static void
put_row(
    struct mon_asker *a, struct mg_json *j, const struct mg_req *req, bool cut)
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
	if (mon_asker_owns(a, req) && number[0] != '\0')
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

static bool
try_row(struct mon_asker *a, const struct mg_req *req, bool cut)
{
	struct mg_buf b;
	struct mg_json j;
	bool sent;

	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	put_row(a, &j, req, cut);
	sent = mon_asker_send(a, &b, &j);
	mg_buf_fini(&b);
	return sent;
}

/* Nobody is left out of a list for being long. */
static void
send_row(struct mon_asker *a, const struct mg_req *req)
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
walk_begin(struct walk *w, const struct mon_asker *a)
{
	const struct mg_state *st = a->m->state;
	bool all = list_of(a)->q.everyone, known = a->uid != MG_PROC_UNSET;

	w->all = all ? mg_state_live(st) : NULL;
	w->pending = !all && known ? mg_state_own_pending(st, a->uid) : NULL;
	w->granted = !all && known ? mg_state_own_granted(st, a->uid) : NULL;
	while (w->all != NULL && w->all->order >= list_of(a)->below)
		w->all = w->all->next;
	while (w->pending != NULL && w->pending->order >= list_of(a)->below)
		w->pending = w->pending->own.next;
	while (w->granted != NULL && w->granted->order >= list_of(a)->below)
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
is_listed(const struct mon_asker *a, const struct mg_req *req)
{
	if (list_of(a)->q.what == MG_LIST_REQUESTS)
		return req->live.state == MG_REQ_PENDING;
	return list_of(a)->q.what != MG_LIST_GRANTS ||
	       req->live.state == MG_REQ_GRANTED;
}

/* The end of a listing, with what its reader has to know besides. */
static void
finish_list(struct mon_asker *a)
{
	struct mon *m = a->m;
	unsigned asked = mg_policy_tokens(m->policy), left;
	char text[1025];

	if (asked == 0 || list_of(a)->q.what != MG_LIST_NONE ||
	    !mon_asker_may(a, "log")) {
		mon_asker_done(a, m->policy_edit);
		return;
	}
	left = mon_tokens_left(m, asked);
	snprintf(text, sizeof(text), "%s%s%u set%s of break-glass tokens left",
	    m->policy_edit, m->policy_edit[0] != '\0' ? "; " : "", left,
	    left == 1 ? "" : "s");
	mon_asker_done(a, text);
}

/* Some rows; the next when those are taken and others had their turn. */
static void
list_more(void *arg)
{
	struct mon_asker *a = arg;
	struct mg_req *req;
	struct walk w;
	unsigned n;

	if (mon_asker_client(a) == NULL) {
		mon_asker_free(a);
		return;
	}
	walk_begin(&w, a);
	for (n = 0; n < ROWS_EACH; n++) {
		if (!mon_client_has_room(mon_asker_client(a)))
			return;
		while ((req = walk_next(&w)) != NULL && !is_listed(a, req))
			continue;
		if (req == NULL) {
			finish_list(a);
			return;
		}
		list_of(a)->below = req->order;
		send_row(a, req);
	}
	mon_timer_set(a->m, &list_of(a)->timer, 0, list_more, a);
}

static void
list_one(struct mon_asker *a, bool everyone)
{
	const struct mg_req *req = mg_state_find(a->m->state, list_of(a)->id);

	if (req == NULL || (!everyone && !mon_asker_owns(a, req))) {
		mon_asker_fail(a, MG_WHY_NOT_FOUND,
		    "nothing of yours is known under this code",
		    "older ones: modelgate log --request CODE");
		return;
	}
	send_row(a, req);
	mon_asker_done(a, "");
}

/* ---- models ---- */

static void
send_model(struct mon_asker *a, const struct mg_model *p, bool all)
{
	struct mg_buf b;
	struct mg_json j;

	if (p->live.version[0] == '\0' && p->back[0].version[0] == '\0')
		return;
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mon_model_put(a->m, &j, p, all);
	if (!mon_asker_send(a, &b, &j))
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
	struct mon_asker *a = arg;
	size_t i;

	if (mon_asker_client(a) == NULL) {
		mon_asker_free(a);
		return;
	}
	all = list_of(a)->q.what == MG_LIST_CHECK || mon_asker_may(a, "log");
	p = mg_models_first(mg_state_models(a->m->state));
	for (i = 0; p != NULL && i < list_of(a)->sent; i++)
		p = p->next;
	for (i = 0; p != NULL && i < ROWS_EACH; i++, p = p->next) {
		if (!mon_client_has_room(mon_asker_client(a)))
			return;
		list_of(a)->sent++;
		send_model(a, p, all);
	}
	if (p == NULL)
		mon_asker_done(a, "");
	else
		mon_timer_set(a->m, &list_of(a)->timer, 0, models_more, a);
}

static void
send_models(struct mon_asker *a)
{
	if (mon_asker_client(a) != NULL) {
		mon_asker_client(a)->on_more = models_more;
		mon_asker_client(a)->more_arg = a;
	}
	models_more(a);
}

static void
models_checked(void *arg)
{
	send_models(arg);
}

static void
list_models(struct mon_asker *a)
{
	bool all = mon_asker_may(a, "log");

	if (list_of(a)->q.what == MG_LIST_MODELS)
		send_models(a);
	else if (all)
		mon_models_check(a->m, models_checked, a);
	else
		mon_asker_fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'log' may have the "
		    "served bytes looked at",
		    "");
}

static void
list_tokens(struct mon_asker *a)
{
	const struct mg_token_set *s = mg_state_sets(a->m->state);
	struct mg_buf b;
	struct mg_json j;
	size_t i;

	if (!mon_asker_may(a, "log")) {
		mon_asker_fail(a, MG_WHY_NOT_PERMITTED,
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
		(void)mon_asker_send(a, &b, &j); /* short */
		mg_buf_fini(&b);
	}
	mon_asker_done(a, "");
}

static void
list(struct mon_asker *a)
{
	bool everyone;

	if (list_of(a)->q.what == MG_LIST_MODELS ||
	    list_of(a)->q.what == MG_LIST_CHECK) {
		list_models(a);
		return;
	}
	if (list_of(a)->q.what == MG_LIST_TOKENS) {
		list_tokens(a);
		return;
	}
	everyone = mon_asker_may(a, "log");
	if (list_of(a)->q.everyone && !everyone) {
		mon_asker_fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'log' may see "
		    "everybody's",
		    "");
		return;
	}
	if (list_of(a)->q.what == MG_LIST_ONE) {
		list_one(a, everyone);
		return;
	}
	list_of(a)->below = UINT64_MAX;
	mon_asker_client(a)->on_more = list_more;
	mon_asker_client(a)->more_arg = a;
	list_more(a);
}

static void
list_fini(struct mon_asker *a)
{
	mg_timer_clear(a->m->loop, &list_of(a)->timer);
}

void
mon_list(struct mon_client *c, const struct mg_list_req *q)
{
	struct mon_asker *a =
	    mon_asker_new(c, "log", sizeof(struct list), list, list_fini);

	if (a == NULL)
		return;
	list_of(a)->q = *q;
	snprintf(list_of(a)->id, sizeof(list_of(a)->id), "%s", q->id);
}

/* ---- the agent itself ---- */

static void
put_policy(struct mon_asker *a, struct mg_json *j)
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
	for (i = 0; i < m->npolicy_errors && mon_asker_may(a, "log"); i++)
		mg_json_str(j, NULL, m->policy_errors[i]);
	mg_json_arr_end(j);
}

static void
info(struct mon_asker *a)
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
	mg_json_bool(&j, "may_log", mon_asker_may(a, "log"));
	mg_json_obj_end(&j);
	(void)mon_asker_send(a, &b, &j);
	mg_buf_fini(&b);
	mon_asker_done(a, "");
}

void
mon_info(struct mon_client *c)
{
	(void)mon_asker_new(c, "log", 0, info, NULL);
}

/* ---- checkpoints ---- */

static void
checkpoint(struct mon_asker *a)
{
	struct mg_buf b;
	struct mg_json j;

	if (!mon_asker_may(a, "log")) {
		mon_asker_fail(a, MG_WHY_NOT_PERMITTED,
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
	(void)mon_asker_send(a, &b, &j);
	mg_buf_fini(&b);
	mon_asker_done(a, "");
}

void
mon_checkpoint(struct mon_client *c)
{
	(void)mon_asker_new(c, "log", 0, checkpoint, NULL);
}
