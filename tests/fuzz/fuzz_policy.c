/* SPDX-License-Identifier: ISC */
/*
 * A policy file. What loads must answer every question, in bounds and with
 * a reason, and denial must be the answer when nothing is known. It differs
 * from itself in nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pol.h"

#define NOW_MS INT64_C(1795514400000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const groups[] = {"ml-eng", "g1"};

static const char *const *
groups_of(void *arg, const char *user, size_t *np)
{
	(void)arg;
	*np = 2;
	return user[0] == 'a' ? groups : NULL;
}

static const struct mg_people people = {.groups_of = groups_of};

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
count(const struct mg_policy *p, const struct mg_ask *ask,
    const struct mg_verdict *v)
{
	static const char *const names[] = {"alice", "bob", "carol", "a", "b"};
	struct mg_quorum q;
	size_t i;

	mg_policy_quorum(p, v, &people, ask->user, names, 5, NOW_MS, &q);
	must(v->kind != MG_VERDICT_DENY || !q.satisfied);
	must(q.fills[0] == -1 || strcmp(ask->user, names[0]) != 0);
	for (i = 0; i < 5; i++)
		must(q.fills[i] < (int)v->nslots);
	mg_policy_quorum(p, v, &people, ask->user, names, 0, NOW_MS, &q);
	must(v->nslots == 0 || v->kind == MG_VERDICT_DENY || !q.satisfied);
}

static void
ask_all(const struct mg_policy *p)
{
	static const char *const users[] = {"alice", "bob", "root"};
	static const char *const models[] = {"", "fraud-a", "m"};
	static const char *const labels[] = {"env:production"};
	struct mg_ask ask = {.people = &people,
	    .host = "host-1",
	    .labels = labels,
	    .nlabels = 1,
	    .from = "10.1.2.3",
	    .now_ms = NOW_MS,
	    .login_key = "ssh-ed25519"};
	struct pol_near near[4];
	struct mg_verdict v;
	size_t u, m;
	uint32_t o;

	for (o = 0; o < p->ops.n && o < 24; o += o < 5 ? 2 : 3) {
		for (u = 0; u < 3; u++) {
			for (m = u == 0 ? 0 : 1; m < 2 + (u == 0); m++) {
				ask.user = users[u];
				ask.operation = p->ops.v[o].s;
				ask.model = models[m];
				ask.version = m == 0 ? "" : "1";
				mg_policy_decide(p, &ask, &v);
				must((v.kind == MG_VERDICT_DENY) ==
				     (v.why != MG_WHY_NONE));
				must((v.kind == MG_VERDICT_DENY) ==
				     (v.remedy[0] != '\0'));
				must(v.nslots <= MG_VERDICT_SLOTS_MAX);
				count(p, &ask, &v);
				(void)pol_near(p, &ask, near, 4);
			}
		}
	}
}

static void
no_change(void *arg, const struct pol_change *c)
{
	(void)arg;
	must(c->kind == POL_CHANGE_MORE);
}

static bool
is_known(void *arg, const char *name)
{
	(void)arg;
	return name[0] < 'm';
}

/* What check looks for; it finds no less than what loading does. */
static void
lint(const struct pol_text *t, bool loads)
{
	static struct mg_diags ds;
	const struct mg_policy_lint with = {.people = &people,
	    .now_ms = NOW_MS,
	    .has_user = is_known,
	    .has_group = is_known};
	struct mg_policy *p;
	enum mg_err r;

	mg_diags_init(&ds);
	r = pol_load_texts_lint(t, 1, &with, &p, &ds);
	must(r != MG_ERR_OK || loads);
	mg_policy_free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const users[] = {"alice", "bob", ""};
	static struct mg_diags ds;
	struct pol_text t = {
	    .dir = "policy.d", .name = "t.ini", .bytes = data, .len = size};
	struct mg_policy *p;
	enum mg_err r;
	size_t n;

	mg_diags_init(&ds);
	r = pol_load_texts(&t, 1, &p, &ds);
	must((r == MG_ERR_OK) == (p != NULL));
	must((r == MG_ERR_FORMAT) == (ds.errors > 0));
	if (p == NULL)
		return 0;
	must(strlen(mg_policy_digest(p)) == 7 + 64);
	(void)mg_policy_groups(p, &n);
	ask_all(p);
	must(pol_diff(p, p, &people, users, 3, NOW_MS, no_change, NULL));
	lint(&t, true);
	mg_policy_free(p);
	return 0;
}
