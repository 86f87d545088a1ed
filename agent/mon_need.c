/* SPDX-License-Identifier: ISC */
/*
 * What a request needs by today's policy: whether it is still allowed, who
 * has agreed, whose decision would count, who is asked next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

/* ---- waiting for approvals ---- */

/* The verdict of today for a request; false when it is no longer allowed. It
 * and mon_req_quorum() are for use at once: see mon_ask_begin(). */
bool
mon_req_today(struct mon *m, const struct mg_req *req, struct mg_verdict *v)
{
	struct mg_ask ask;

	mon_req_ask(m, req, &ask);
	mg_policy_decide(m->policy, &ask, v);
	return v->kind != MG_VERDICT_DENY;
}

/* What a request that is no longer allowed ends with. */
enum mg_why
mon_req_late_why(const struct mg_verdict *v)
{
	return v->why == MG_WHY_LIMIT || v->why == MG_WHY_SEPARATION ||
		       v->why == MG_WHY_KEY_NEEDED
		   ? v->why
		   : MG_WHY_POLICY_CHANGED;
}

void
mon_req_quorum(struct mon *m, const struct mg_req *req,
    const struct mg_verdict *v, struct mg_quorum *q)
{
	const char *names[MG_APPROVALS_MAX];
	size_t n = mon_req_approvers(req, names, MG_APPROVALS_MAX);

	mg_policy_quorum(m->policy, v, mon_people(m), req->user, names, n,
	    mg_time_wall_ms(), q);
}

static void
list_candidates(struct mon *m, const struct mg_req *req, const char *role,
    char *out, size_t size)
{
	const char *names[64];
	size_t n, i, used = 0;

	n = mg_policy_role_members(
	    m->policy, mon_people(m), role, mg_time_wall_ms(), names, 64);
	if (n > 64)
		n = 64;
	out[0] = '\0';
	for (i = 0; i < n; i++) {
		if (strcmp(names[i], req->user) == 0)
			continue;
		if (used + strlen(names[i]) + 2 > size)
			break;
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		    used > 0 ? "," : "", names[i]);
	}
}

static void
need_review(struct mon *m, const struct mg_req *req, struct mon_need *s)
{
	size_t i;

	snprintf(s->how, sizeof(s->how), "a review of what was done");
	for (i = 0; i < req->nreview && i < 16; i++) {
		if ((req->live.reviewed & 1U << i) != 0)
			continue;
		snprintf(s->text[i], 12, "1");
		list_candidates(m, req, req->review[i], s->text[i] + 12, 512);
		s->need[s->nneed++] = req->review[i];
		s->need[s->nneed++] = s->text[i];
		s->need[s->nneed++] = s->text[i] + 12;
	}
}

void
mon_req_need(struct mon *m, const struct mg_req *req, struct mon_need *s)
{
	struct mg_verdict v;
	struct mg_quorum q;
	const char *names[MG_APPROVALS_MAX];
	size_t i, n;

	memset(s, 0, sizeof(*s));
	if (mg_req_wants_review(req)) {
		need_review(m, req, s);
		return;
	}
	if (!mon_req_today(m, req, &v))
		return;
	mon_req_quorum(m, req, &v, &q);
	snprintf(s->how, sizeof(s->how), "%s%s",
	    v.approve[0] != '\0' ? v.approve
	    : v.different_teams	 ? "all of them"
				 : "",
	    v.different_teams ? ", of different teams" : "");
	for (i = 0; i < v.nslots && i < 16; i++) {
		char *count = s->text[i], *cand = s->text[i] + 12;

		snprintf(count, 12, "%u", v.slots[i].count);
		list_candidates(m, req, v.slots[i].role, cand, 512);
		s->need[s->nneed++] = v.slots[i].role;
		s->need[s->nneed++] = count;
		s->need[s->nneed++] = cand;
	}
	n = mon_req_approvers(req, names, MG_APPROVALS_MAX);
	for (i = 0; i < n && s->nagreed + 2 <= 32; i++) {
		if (q.fills[i] < 0)
			continue;
		s->agreed[s->nagreed++] = v.slots[q.fills[i]].role;
		s->agreed[s->nagreed++] = names[i];
	}
}

/* ---- who may decide ---- */

#define CROWD_MAX 64 /* as many as mg_policy_quorum() takes */
#define ROUNDS 4     /* as many stages as there can be */

/* Whether these would be enough, in this order. */
static bool
is_enough(struct mon *m, const struct mg_req *req, const struct mg_verdict *v,
    const char *const *names, size_t n)
{
	struct mg_quorum q;

	mg_policy_quorum(m->policy, v, mon_people(m), req->user, names, n,
	    mg_time_wall_ms(), &q);
	return q.satisfied;
}

/* Adds those who could still agree, but never without. */
static size_t
add_members(struct mon *m, const struct mg_verdict *v, const char *without,
    const char **names, size_t n)
{
	const char *role[CROWD_MAX];
	size_t i, k, r, each, got;

	each = (CROWD_MAX - n) / (ROUNDS * (v->nslots == 0 ? 1 : v->nslots));
	for (r = 0; r < ROUNDS; r++) {
		for (i = 0; i < v->nslots; i++) {
			got = mg_policy_role_members(m->policy, mon_people(m),
			    v->slots[i].role, mg_time_wall_ms(), role,
			    each + 1);
			for (k = 0; k < got && n < CROWD_MAX; k++)
				if (!mon_people(m)->is_same(
					m, role[k], without))
					names[n++] = role[k];
		}
	}
	return n;
}

/*
 * Whether name comes too early: with the others' help it would be enough
 * later, but not when it is given now.
 */
static bool
is_early(struct mon *m, const struct mg_req *req, const struct mg_verdict *v,
    const char *name)
{
	const char *names[CROWD_MAX];
	size_t n, all;

	n = mon_req_approvers(req, names, MG_APPROVALS_MAX);
	all = add_members(m, v, "", names, n);
	if (!is_enough(m, req, v, names, all))
		return false; /* nobody can tell */
	names[n++] = name;
	all = add_members(m, v, name, names, n);
	return !is_enough(m, req, v, names, all);
}

const char *
mon_req_flaw(
    struct mon *m, const struct mg_req *req, const char *name, bool deny)
{
	static char text[400];
	struct mg_verdict v;
	struct mg_quorum q;
	bool holds = false;
	size_t i;

	if (!mon_req_today(m, req, &v))
		return "the policy does not allow it any more";
	for (i = 0; i < v.nslots; i++)
		holds = holds || mg_policy_has_role(m->policy, mon_people(m),
				     name, v.slots[i].role, mg_time_wall_ms());
	if (!holds)
		return "you hold none of the roles that are asked";
	if (deny)
		return "";
	mg_policy_quorum(m->policy, &v, mon_people(m), req->user, &name, 1,
	    mg_time_wall_ms(), &q);
	if (q.fills[0] == -1 && mg_policy_is_service(m->policy, name))
		return "a service account approves nothing";
	if (q.fills[0] == -1)
		return v.different_teams
			   ? "somebody of another team has to agree, who had "
			     "no part in this version before"
			   : "somebody has to agree who had no part in this "
			     "version before";
	if (v.is_flat || !is_early(m, req, &v, name))
		return "";
	snprintf(text, sizeof(text),
	    "others have to agree first, then submit it again: %s", v.approve);
	return text;
}
