/* SPDX-License-Identifier: ISC */
/*
 * What an approver says.
 *
 * Rules
 * 1. A decision is stored under the name that the key stands for, whatever
 *    the connection says, and only while the key is valid.
 * 2. Durable first, then answered, then handed on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "mg_log.h"
#include "mg_time.h"

/* ---- items ---- */

static size_t
copy_list(const char **out, size_t max, const struct hub_strv *in)
{
	size_t i, n = in->n < max ? in->n : max;

	for (i = 0; i < n; i++)
		out[i] = in->v[i];
	return n;
}

static void
fill_item(const struct hub_peer *p, const struct hub_request *req,
    bool with_body, struct mg_conn_item *m)
{
	const struct hub_decision *d = hub_store_decision(req, p->name);

	memset(m, 0, sizeof(*m));
	m->uuid = req->id;
	m->host = req->host;
	m->requester = req->requester;
	m->operation = req->operation;
	m->model = req->model;
	m->version = req->version;
	m->need_n = copy_list(
	    m->need, sizeof(m->need) / sizeof(m->need[0]), &req->need);
	m->agreed_n = copy_list(
	    m->agreed, sizeof(m->agreed) / sizeof(m->agreed[0]), &req->agreed);
	m->review = req->review;
	m->state = req->state;
	m->ended = req->ended;
	m->filed_ms = req->filed_ms;
	m->left_ms = hub_request_left_ms(req, hub_now(p->hub));
	m->host_up = hub_host_of(p->hub, req->host) != NULL;
	if (d != NULL) {
		m->decision = d->word;
		m->judged = (uint8_t)d->judged;
		m->verdict = d->verdict;
	}
	if (with_body)
		m->body = req->body;
}

/* ---- the inbox ---- */

/* One to be sorted; what is asked of it often is asked once. */
struct entry {
	const struct hub_request *req;
	bool due;
};

/* Whether this person is asked and has not answered. */
static bool
is_due(const struct hub_request *req, const char *name)
{
	const struct hub_decision *d = hub_store_decision(req, name);

	return !req->ended && hub_request_asks(req, name) != NULL &&
	       (d == NULL || d->judged == MG_HUB_REFUSED);
}

/* What waits for the reader first, then what ends first, ended ones last. */
static int
compare(const void *a, const void *b)
{
	const struct hub_request *x = ((const struct entry *)a)->req;
	const struct hub_request *y = ((const struct entry *)b)->req;
	bool dx = ((const struct entry *)a)->due;
	bool dy = ((const struct entry *)b)->due;

	if (x->ended != y->ended)
		return x->ended ? 1 : -1;
	if (dx != dy)
		return dx ? -1 : 1;
	if (x->ended && x->ended_ms != y->ended_ms)
		return x->ended_ms > y->ended_ms ? -1 : 1;
	if (x->deadline_ms != y->deadline_ms)
		return x->deadline_ms < y->deadline_ms ? -1 : 1;
	return memcmp(x->uuid.b, y->uuid.b, sizeof(x->uuid.b));
}

/* The requests for one reader, in order; the caller frees *vp. */
static enum mg_err
select_requests(struct hub_peer *p, bool ended, struct entry **vp, size_t *np)
{
	const struct hub_store *s = &p->hub->store;
	int64_t now_ms = hub_now(p->hub);
	struct entry *v;
	size_t i, n = 0;

	*np = 0;
	if ((v = calloc(s->n + 1, sizeof(*v))) == NULL)
		return MG_ERR_NOMEM;
	for (i = 0; i < s->n; i++) {
		if (!ended && hub_request_left_ms(s->v[i], now_ms) == 0)
			continue;
		v[n].req = s->v[i];
		v[n++].due = is_due(s->v[i], p->name);
	}
	qsort(v, n, sizeof(*v), compare);
	*vp = v;
	*np = n;
	return MG_ERR_OK;
}

void
hub_list_more(struct hub_peer *p)
{
	struct hub_request *req;
	struct mg_conn_item m;
	char id[MG_UUID_STR];

	while (p->list != NULL && p->list_at < p->list_n) {
		if (mg_chan_has_output(p->chan))
			return; /* on_chan() comes again */
		mg_uuid_format(&p->list[p->list_at++], id);
		if (hub_store_find(&p->hub->store, id, &req) != MG_ERR_OK)
			continue; /* forgotten meanwhile */
		fill_item(p, req, false, &m);
		hub_peer_send(p, p->list_id, MG_MSG_CONN_ITEM, &m);
		if (p->state == HUB_PEER_ENDING)
			return;
	}
	if (p->list == NULL)
		return;
	free(p->list);
	p->list = NULL;
	hub_peer_done(p, p->list_id, true, "");
}

void
hub_on_list(struct hub_peer *p, uint32_t id, const struct mg_conn_list_req *m)
{
	struct entry *v;
	size_t n, i;

	if (p->list != NULL) {
		hub_peer_violation(p, "a list before the last one ended");
		return;
	}
	p->watches = m->watch;
	p->told = false;
	if (select_requests(p, m->ended, &v, &n) != MG_ERR_OK) {
		hub_peer_done(p, id, false, "the hub is out of memory");
		return;
	}
	p->list = calloc(n + 1, sizeof(*p->list));
	for (i = 0; p->list != NULL && i < n; i++)
		p->list[i] = v[i].req->uuid;
	free(v);
	if (p->list == NULL) {
		hub_peer_done(p, id, false, "the hub is out of memory");
		return;
	}
	p->list_n = n;
	p->list_at = 0;
	p->list_id = id;
	hub_list_more(p);
}

void
hub_changed(struct hub *hub)
{
	struct mg_conn_changed m = {0};
	struct hub_peer *p, *next;

	for (p = hub->first; p != NULL; p = next) {
		next = p->next;
		if (p->state != HUB_PEER_APPROVER || !p->watches || p->told)
			continue;
		p->told = true; /* until it lists again */
		hub_peer_send(p, 0, MG_MSG_CONN_CHANGED, &m);
	}
}

/* ---- one request ---- */

static const char *
why_not_found(enum mg_err r)
{
	if (r == MG_ERR_STATE)
		return "several requests have that code: use the UUID";
	if (r == MG_ERR_FORMAT)
		return "that is neither a code nor a UUID";
	return "no request has that code";
}

void
hub_on_show(struct hub_peer *p, uint32_t id, const struct mg_conn_show_req *m)
{
	struct hub_request *req;
	struct mg_conn_item item;
	enum mg_err r;

	if ((r = hub_store_find(&p->hub->store, m->id, &req)) != MG_ERR_OK) {
		hub_peer_done(p, id, false, why_not_found(r));
		return;
	}
	fill_item(p, req, true, &item);
	hub_peer_send(p, id, MG_MSG_CONN_ITEM, &item);
	hub_peer_done(p, id, true, "");
}

/* ---- decisions ---- */

static char *
copy_text(const uint8_t *p, size_t n)
{
	char *s;

	if (memchr(p, '\0', n) != NULL || (s = malloc(n + 1)) == NULL)
		return NULL;
	memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

/* Rule 1 */
static bool
may_submit(struct hub_peer *p, uint32_t id)
{
	const char *name;

	if (hub_keys_find(p->hub, p->key, p->key_len, &name) ==
		MG_HUB_APPROVER &&
	    strcmp(name, p->name) == 0)
		return true;
	hub_peer_done(p, id, false, "your key is no longer valid");
	return false;
}

/* Whether the same decision waits already: then only its verdict is due. */
static const struct hub_decision *
same_decision(struct hub_peer *p, const struct mg_conn_submit_req *m,
    const char *sig, struct hub_request **reqp)
{
	const struct hub_decision *d;

	if (hub_store_find(&p->hub->store, m->uuid, reqp) != MG_ERR_OK ||
	    (d = hub_store_decision(*reqp, p->name)) == NULL ||
	    d->judged != MG_HUB_UNJUDGED || strcmp(d->sig, sig) != 0 ||
	    strcmp(d->word, m->decision) != 0 || strcmp(d->note, m->note) != 0)
		return NULL;
	return d;
}

/* It is on disk: say so, hand it on, wait for the host's word. */
static void
taken(struct hub_peer *p, uint32_t id, const struct hub_request *req)
{
	struct hub_peer *host = hub_host_of(p->hub, req->host);
	char text[256] = "";

	if (host == NULL)
		snprintf(text, sizeof(text),
		    "stored; %s is not connected now and gets it when it is",
		    req->host);
	memcpy(p->waits_for, req->id, sizeof(p->waits_for));
	p->waits_id = id;
	hub_peer_done(p, id, true, text); /* Rule 2 */
	if (host != NULL)
		hub_host_deliver(host);
}

static void
submit(struct hub_peer *p, uint32_t id, const struct mg_conn_submit_req *m,
    const char *sig)
{
	struct hub *hub = p->hub;
	struct hub_decision *d;
	struct hub_request *req;
	char why[256] = "";

	if (same_decision(p, m, sig, &req) != NULL) {
		taken(p, id, req);
		return;
	}
	if (hub_store_decide(&hub->store, hub_now(hub), p->name, m->uuid,
		m->decision, m->note, sig, &req, &d, why,
		sizeof(why)) != MG_ERR_OK) {
		mg_log(MG_EVT_REFUSED, "approver=%s uuid=%s %s", p->name,
		    m->uuid, why);
		hub_peer_done(p, id, false, why);
		return;
	}
	mg_log(MG_EVT_DECISION, "req=%s host=%s approver=%s %s stored",
	    req->code, req->host, d->approver, d->word);
	taken(p, id, req);
	hub_notify_decision(hub->notify, req, d, hub_now(hub));
	hub_changed(hub);
}

void
hub_on_submit(
    struct hub_peer *p, uint32_t id, const struct mg_conn_submit_req *m)
{
	char *sig;

	if (!may_submit(p, id))
		return;
	if ((sig = copy_text(m->sig, m->sig_len)) == NULL)
		hub_peer_done(p, id, false, "the signature is not text");
	else
		submit(p, id, m, sig);
	free(sig);
}

void
hub_tell_verdict(struct hub *hub, const struct hub_request *req,
    const struct hub_decision *d)
{
	struct mg_hub_verdict m = {.uuid = req->id,
	    .approver = d->approver,
	    .decision = d->word,
	    .accepted = d->judged == MG_HUB_ACCEPTED,
	    .text = d->verdict};
	struct hub_peer *p, *next;

	for (p = hub->first; p != NULL; p = next) {
		next = p->next;
		if (p->state != HUB_PEER_APPROVER ||
		    strcmp(p->name, d->approver) != 0 ||
		    strcmp(p->waits_for, req->id) != 0)
			continue;
		p->waits_for[0] = '\0';
		hub_peer_send(p, p->waits_id, MG_MSG_CONN_VERDICT, &m);
	}
}

/* ---- ledgers ---- */

void
hub_on_tree_req(
    struct hub_peer *p, uint32_t id, const struct mg_conn_tree_req *m)
{
	static uint8_t piece[57344];
	struct mg_conn_tree ans = {.ok = true, .data = piece, .text = ""};
	struct mg_buf b;
	ssize_t n = -1;
	size_t left;

	if (m->what >= MG_HUB_TREE_PARTS) {
		hub_peer_violation(p, "no such part of a ledger");
		return;
	}
	if (m->what == MG_HUB_TREE_LIST) {
		mg_buf_init(&b, (size_t)1 << 24);
		if (hub_trees_list(p->hub->trees, &b) == MG_ERR_OK) {
			left = mg_buf_len(&b);
			left = m->offset < left ? left - (size_t)m->offset : 0;
			n = (ssize_t)(left < sizeof(piece) ? left
							   : sizeof(piece));
			if (n > 0)
				memcpy(piece, mg_buf_ptr(&b) + m->offset,
				    (size_t)n);
		}
		mg_buf_fini(&b);
	} else {
		n = hub_trees_read(p->hub->trees,
		    (enum mg_hub_tree_part)m->what, m->host, m->offset, piece,
		    sizeof(piece));
	}
	if (n < 0) {
		ans.ok = false;
		ans.text = "nothing is kept of such a host's ledger";
		n = 0;
	}
	ans.data_len = (size_t)n;
	hub_peer_send(p, id, MG_MSG_CONN_TREE, &ans);
}
