/* SPDX-License-Identifier: ISC */
/*
 * What a host says.
 *
 * Rules
 * 1. A host that reaches for another host's request is cut off.
 * 2. A decision is given to the host until the host has judged it, again
 *    after each reconnection: the host knows it by request and approver,
 *    so twice is as once.
 * 3. One connection a host, the newest: the one before is most likely dead
 *    and only does not know it yet.
 */
#include <string.h>

#include "hub.h"
#include "mg_log.h"

struct hub_peer *
hub_host_of(const struct hub *hub, const char *name)
{
	struct hub_peer *p;

	for (p = hub->first; p != NULL; p = p->next)
		if (p->state == HUB_PEER_HOST_READY &&
		    strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* Sends one decision; false when the queue is full. */
static bool
hand(struct hub_peer *p, const struct hub_request *req, struct hub_decision *d)
{
	struct mg_hub_decision m = {.uuid = req->id,
	    .approver = d->approver,
	    .decision = d->word,
	    .note = d->note,
	    .sig = (const uint8_t *)d->sig,
	    .sig_len = strlen(d->sig)};
	enum mg_err r = mg_chan_send(p->chan, 0, MG_MSG_HUB_DECISION, &m);

	if (r == MG_ERR_LIMIT)
		return false;
	if (r != MG_ERR_OK) {
		hub_peer_end(p);
		return false;
	}
	d->handed = true;
	mg_log(MG_EVT_DECISION, "req=%s host=%s approver=%s %s handed over",
	    req->code, req->host, d->approver, d->word);
	return true;
}

void
hub_host_deliver(struct hub_peer *p)
{
	struct hub_store *s = &p->hub->store;
	struct hub_decision *d;
	size_t i;

	for (i = 0; i < s->n; i++) {
		/* Few of thousands have any: those are looked at. */
		if (s->v[i]->decisions == NULL ||
		    strcmp(s->v[i]->host, p->name) != 0)
			continue;
		for (d = s->v[i]->decisions; d != NULL; d = d->next)
			if (d->judged == MG_HUB_UNJUDGED && !d->handed &&
			    !hand(p, s->v[i], d))
				goto out; /* on_chan() comes again */
	}
out:
	hub_peer_update_watch(p);
}

/* Rule 2 */
void
hub_host_gone(struct hub_peer *p)
{
	struct hub_store *s = &p->hub->store;
	struct hub_decision *d;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->v[i]->host, p->name) == 0)
			for (d = s->v[i]->decisions; d != NULL; d = d->next)
				d->handed = false;
	mg_log(MG_EVT_SESSION, "host=%s disconnected", p->name);
}

void
hub_on_host_req(struct hub_peer *p)
{
	struct hub_peer *old = hub_host_of(p->hub, p->name);

	if (old != NULL) { /* Rule 3 */
		mg_log(MG_EVT_SESSION, "host=%s connected again", p->name);
		hub_peer_end(old);
	}
	hub_peer_set_state(p, HUB_PEER_HOST_READY);
	mg_log(MG_EVT_SESSION, "host=%s connected", p->name);
	hub_host_deliver(p);
	hub_changed(p->hub);
}

void
hub_on_put(struct hub_peer *p, uint32_t id, const struct mg_hub_put *m)
{
	struct mg_hub_put_ans ans = {.uuid = m->uuid, .ok = false};
	struct hub *hub = p->hub;
	struct hub_request *req;
	char why[256] = "";
	bool is_new;
	enum mg_err r;

	r = hub_store_put(&hub->store, hub_now(hub), p->name, m, &req, &is_new,
	    why, sizeof(why));
	if (r == MG_ERR_PERM) { /* Rule 1 */
		hub_peer_violation(p, "put of another host's request");
		return;
	}
	if (r != MG_ERR_OK) {
		mg_log(MG_EVT_REFUSED, "host=%s uuid=%s %s", p->name, m->uuid,
		    why);
		ans.text = why;
	}
	ans.ok = r == MG_ERR_OK;
	hub_peer_send(p, id, MG_MSG_HUB_PUT_ANS, &ans);
	if (r != MG_ERR_OK || !is_new)
		return;
	mg_log(MG_EVT_REQUEST, "req=%s uuid=%s host=%s by=%s %s", req->code,
	    req->id, req->host, req->requester, req->operation);
	hub_notify_request(hub->notify, req, hub_now(hub));
	hub_changed(hub);
}

void
hub_on_state(struct hub_peer *p, const struct mg_hub_state *m)
{
	struct hub *hub = p->hub;
	struct hub_request *req;
	char why[256] = "";
	bool changed;
	enum mg_err r;

	r = hub_store_state(&hub->store, hub_now(hub), p->name, m, &req,
	    &changed, why, sizeof(why));
	if (r == MG_ERR_PERM) { /* Rule 1 */
		hub_peer_violation(p, "state of another host's request");
		return;
	}
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		mg_log(MG_EVT_REFUSED, "host=%s uuid=%s %s", p->name, m->uuid,
		    why);
	if (r != MG_ERR_OK || !changed)
		return;
	mg_log(MG_EVT_REQUEST, "req=%s host=%s state=%s%s", req->code,
	    req->host, req->state, req->ended ? " ended" : "");
	if (req->ended)
		hub_notify_ended(hub->notify, req, hub_now(hub));
	hub_changed(hub);
}

void
hub_on_verdict(struct hub_peer *p, const struct mg_hub_verdict *m)
{
	struct hub *hub = p->hub;
	const struct hub_decision *d;
	struct hub_request *req;
	char why[256] = "";
	bool changed;
	enum mg_err r;

	r = hub_store_verdict(&hub->store, hub_now(hub), p->name, m, &req,
	    &changed, why, sizeof(why));
	if (r == MG_ERR_PERM) { /* Rule 1 */
		hub_peer_violation(p, "verdict on another host's request");
		return;
	}
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		mg_log(MG_EVT_REFUSED, "host=%s uuid=%s %s", p->name, m->uuid,
		    why);
	if (r != MG_ERR_OK || !changed)
		return;
	if ((d = hub_store_decision(req, m->approver)) == NULL)
		return;
	mg_log(MG_EVT_DECISION, "req=%s approver=%s %s %s: %s", req->code,
	    d->approver, d->word,
	    d->judged == MG_HUB_ACCEPTED ? "accepted" : "refused", d->verdict);
	hub_tell_verdict(hub, req, d);
	hub_notify_verdict(hub->notify, req, d, hub_now(hub));
	hub_changed(hub);
}

/* ---- ledgers ---- */

/* The raw key of a host; only Ed25519 can sign checkpoints. */
static bool
host_key_of(const struct hub_peer *p, uint8_t pub[MG_ED25519])
{
	return mg_ed25519_from_blob(p->key, p->key_len, pub) == MG_ERR_OK;
}

void
hub_on_tree(struct hub_peer *p, uint32_t id, const struct mg_hub_tree *m)
{
	uint8_t key[MG_ED25519], seed[MG_ED25519], pub[MG_ED25519];
	struct mg_hub_witness ans = {.text = "only Ed25519 keys of host and "
					     "hub can sign checkpoints"};
	struct hub *hub = p->hub;
	bool alarm;

	if (host_key_of(p, key) &&
	    mg_ed25519_from_openssh((const char *)mg_buf_ptr(&hub->host_key),
		mg_buf_len(&hub->host_key), seed, pub) == MG_ERR_OK)
		hub_trees_take(hub->trees, p->name, key, m, seed, pub,
		    hub_now(hub) / 1000, &ans, &alarm);
	explicit_bzero(seed, sizeof(seed));
	hub_peer_send(p, id, MG_MSG_HUB_WITNESS, &ans);
}
