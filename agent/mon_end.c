/* SPDX-License-Identifier: ISC */
/*
 * The ends of requests and grants that people ask for: done, cancel, revoke.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mon_asker.h"

#define ENDS_EACH 128 /* requests, then others have their turn */

struct end {
	struct mg_end_req q;
	char id[37], user[97];
	unsigned ending; /* ends that are not on record yet */
	unsigned ended;
	enum mg_why failed;
	const char *text;
	uint64_t below; /* what was filed before is to be ended still */
	struct mg_timer timer;
};

static struct end *
end_of(const struct mon_asker *a)
{
	return a->own;
}

/* One of the ends that were asked for is on record, or cannot be. */
static void
end_recorded(void *arg, enum mg_why failed)
{
	struct mon_asker *a = arg;
	struct end *e = end_of(a);
	char text[64];

	if (failed != MG_WHY_NONE)
		e->failed = failed;
	if (--e->ending > 0)
		return;
	if (e->failed != MG_WHY_NONE) {
		mon_asker_fail(a, e->failed, "", "");
		return;
	}
	snprintf(text, sizeof(text), "%u revoked", e->ended);
	mon_asker_done(a, e->text != NULL ? e->text : text);
}

/* Ends it; text: what is said once it is on record, NULL: how many. */
static void
end_one(struct mon_asker *a, struct mg_req *req, enum mg_req_state to,
    enum mg_why why, const char *text)
{
	struct end *e = end_of(a);

	e->ending++;
	e->ended++;
	e->text = text;
	mon_req_end_then(a->m, req, to, why,
	    a->person[0] != '\0' ? a->person : "root", end_recorded, a);
}

static void
end_done(struct mon_asker *a, struct mg_req *req)
{
	if (!mon_asker_owns(a, req))
		mon_asker_fail(a, MG_WHY_NOT_YOURS, "", "");
	else if (req->live.state != MG_REQ_GRANTED)
		mon_asker_fail(a, MG_WHY_WRONG_STATE,
		    "it is not a grant that is held",
		    req->live.state == MG_REQ_PENDING
			? "it waits still: modelgate cancel"
			: "");
	else
		end_one(a, req, MG_REQ_REVOKED, MG_WHY_DONE, "given back");
}

static void
end_cancel(struct mon_asker *a, struct mg_req *req)
{
	if (!mon_asker_owns(a, req))
		mon_asker_fail(a, MG_WHY_NOT_YOURS, "", "");
	else if (req->live.state != MG_REQ_PENDING)
		mon_asker_fail(a, MG_WHY_WRONG_STATE,
		    "it does not wait any more",
		    req->live.state == MG_REQ_GRANTED
			? "it is granted: modelgate done"
			: "");
	else
		end_one(
		    a, req, MG_REQ_CANCELLED, MG_WHY_CANCELLED, "cancelled");
}

static void
revoke_one(struct mon_asker *a, struct mg_req *req, const char *text)
{
	end_one(a, req,
	    req->live.state == MG_REQ_GRANTED ? MG_REQ_REVOKED : MG_REQ_DENIED,
	    MG_WHY_REVOKED, text);
}

static bool
is_to_end(const struct mon_asker *a, const struct mg_req *req)
{
	const struct end *e = end_of(a);

	return e->q.all ||
	       (e->user[0] != '\0' && strcmp(req->user, e->user) == 0);
}

/* Some that wait still; others have their turn before the next. */
static void
revoke_more(void *arg)
{
	struct mg_req *req, *next;
	struct mon_asker *a = arg;
	struct end *e = end_of(a);
	unsigned n = 0;

	for (req = mg_state_live(a->m->state); req != NULL; req = next) {
		next = req->next; /* an ended one is in another list */
		if (req->order >= e->below || !is_to_end(a, req))
			continue;
		if (n++ == ENDS_EACH) {
			mon_timer_set(a->m, &e->timer, 0, revoke_more, a);
			return;
		}
		e->below = req->order;
		revoke_one(a, req, NULL);
	}
	end_recorded(a, MG_WHY_NONE);
}

static void
revoke_many(struct mon_asker *a)
{
	struct mg_req *req, *next;

	if (!mon_asker_may(a, "revoke")) {
		mon_asker_fail(a, MG_WHY_NOT_PERMITTED,
		    "only root or who holds the right 'revoke' may end "
		    "others' grants",
		    "your own: modelgate done ID");
		return;
	}
	end_of(a)->ending = 1; /* so that none of them is the last one yet */
	end_of(a)->below = UINT64_MAX;
	/* What is granted may be running. */
	for (req = mg_state_granted(a->m->state); req != NULL; req = next) {
		next = req->granted.next; /* an ended one is in no such list */
		if (is_to_end(a, req))
			revoke_one(a, req, NULL);
	}
	revoke_more(a);
}

static void
end(struct mon_asker *a)
{
	const struct end *e = end_of(a);
	struct mg_req *req;

	if (e->q.verb == MG_END_REVOKE && e->id[0] == '\0') {
		revoke_many(a);
		return;
	}
	req = mg_state_find(a->m->state, e->id);
	/* Whether it exists is told only to those it concerns. */
	if (req == NULL ||
	    (!mon_asker_owns(a, req) && !mon_asker_may(a, "log") &&
		!mon_asker_may(a, "revoke"))) {
		mon_asker_fail(a, MG_WHY_NOT_FOUND, "", "");
		return;
	}
	switch (e->q.verb) {
	case MG_END_DONE:
		end_done(a, req);
		break;
	case MG_END_CANCEL:
		end_cancel(a, req);
		break;
	case MG_END_REVOKE:
		if (!mg_req_is_live(req))
			mon_asker_fail(
			    a, MG_WHY_WRONG_STATE, "it has ended already", "");
		else if (!mon_asker_owns(a, req) && !mon_asker_may(a, "revoke"))
			mon_asker_fail(a, MG_WHY_NOT_PERMITTED, "", "");
		else
			revoke_one(a, req, "revoked");
		break;
	default:
		mon_asker_fail(a, MG_WHY_BAD_REQUEST, "", "");
	}
}

static void
end_fini(struct mon_asker *a)
{
	mg_timer_clear(a->m->loop, &end_of(a)->timer);
}

void
mon_end(struct mon_client *c, const struct mg_end_req *q)
{
	struct mon_asker *a =
	    mon_asker_new(c, "revoke", sizeof(struct end), end, end_fini);

	struct end *e;

	if (a == NULL)
		return;
	e = end_of(a);
	e->q = *q;
	snprintf(e->id, sizeof(e->id), "%s", q->id);
	snprintf(e->user, sizeof(e->user), "%s", q->user);
}
