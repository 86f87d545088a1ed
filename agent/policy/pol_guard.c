/* SPDX-License-Identifier: ISC */
/*
 * [policy]: the policy about the policy.
 *
 * With "signed-by = 2 security-steward" and "version = 7" a policy is
 * replaced only by one with a higher version that enough stewards signed.
 * Checking signatures is not done here: who calls says whose signatures
 * over mg_policy_guard_text() were found good.
 *
 * Rules
 * 1. Who may replace a policy is said by the policy in force, not by the
 *    one that comes: otherwise whoever can write the folder writes himself
 *    in as a steward.
 * 2. A version is used once: an older policy, signed as it was, does not
 *    come back.
 * 3. One steward counts once, and no service account does.
 */
#include <stdio.h>
#include <string.h>

#include "pol.h"

static void
set_zone(struct pol_load *ld, void *obj)
{
	const struct pol_tz *tz;

	(void)obj;
	ld->p->zone_name =
	    pol_strndup(&ld->p->mem, ld->ln->value, strlen(ld->ln->value));
	if (ld->p->zone_name == NULL)
		ld->no_memory = true;
	else if ((tz = pol_zone(ld, NULL, 0)) == NULL)
		ld->p->zone_name = NULL;
	else
		ld->p->zone = tz->data;
}

static void
set_version(struct pol_load *ld, void *obj)
{
	const char *v = ld->ln->value;
	unsigned n;

	(void)obj;
	if (pol_count(ld, v, strlen(v), 0, 999999999, &n))
		ld->p->guard.version = n;
}

static void
set_signed_by(struct pol_load *ld, void *obj)
{
	const struct pol_approve *a = pol_approve_parse(ld);
	struct mg_policy_guard *g = &ld->p->guard;
	uint32_t i;

	(void)obj;
	if (a == NULL)
		return;
	if (a->nways != 1 || a->nstages != 0) {
		pol_err(ld, 0, "only counts of roles can stand here");
		return;
	}
	g->is_signed = true;
	for (i = 0; i < a->way[0].n; i++) {
		g->signers[i].role =
		    ld->p->role_at[a->way[0].need[i].role].name;
		g->signers[i].count = a->way[0].need[i].count;
	}
	g->nsigners = a->way[0].n;
}

static void
skip(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key first_keys[] = {
    {"time-zone", set_zone},
    {"version", set_version},
    {"signed-by", skip},
    {"description", skip},
    {NULL, NULL},
};

static const struct pol_key later_keys[] = {
    {"time-zone", skip},
    {"version", skip},
    {"signed-by", set_signed_by},
    {"description", skip},
    {NULL, NULL},
};

void
pol_guard_zone(struct pol_load *ld)
{
	pol_keys(ld, first_keys, NULL, NULL);
}

void
pol_guard_parse(struct pol_load *ld)
{
	pol_keys(ld, later_keys, NULL, NULL);
	if (ld->p->guard.is_signed && ld->p->guard.version == 0)
		pol_diag(&ld->src, false, ld->sec->file, ld->sec->line, 2,
		    "a policy that is signed needs a 'version'");
}

/* ---- answers ---- */

const struct mg_policy_guard *
mg_policy_guard(const struct mg_policy *p)
{
	return &p->guard;
}

enum mg_err
mg_policy_guard_text(
    struct mg_buf *b, const char *what, uint64_t version, const char *digest)
{
	return mg_buf_putf(b,
	    "modelgate guarded file v1\nwhat: %s\nversion: %llu\ndigest: %s\n",
	    what, (unsigned long long)version, digest);
}

/* Whether the signers are enough for what p asks. */
static bool
enough(const struct mg_policy *p, const struct mg_people *people,
    const char *const *signers, size_t n, int64_t now_ms)
{
	struct mg_verdict v;
	struct mg_quorum q;
	size_t i;

	memset(&v, 0, sizeof(v));
	v.kind = MG_VERDICT_ASK;
	v.is_flat = true;
	for (i = 0; i < p->guard.nsigners; i++)
		v.slots[i] = p->guard.signers[i];
	v.nslots = p->guard.nsigners;
	mg_policy_quorum(
	    p, &v, people, "", signers, n, now_ms, &q); /* Rule 3 */
	return q.satisfied;
}

static void
say_missing(const struct mg_policy_guard *g, size_t n, char *why, size_t size)
{
	struct pol_words w = {.s = why, .size = size};
	size_t i;

	pol_say(&w, "it must be signed by");
	for (i = 0; i < g->nsigners; i++)
		pol_say(&w, "%s %u %s", i == 0 ? "" : ",", g->signers[i].count,
		    g->signers[i].role);
	pol_say(
	    &w, "; %zu good signature%s found", n, n == 1 ? " was" : "s were");
}

bool
mg_policy_guard_check(const struct mg_policy *current, uint64_t current_version,
    const struct mg_policy *next, uint64_t version,
    const struct mg_people *people, const char *const *signers, size_t n,
    int64_t now_ms, char *why, size_t size)
{
	const struct mg_policy *judge = current; /* Rule 1 */

	if (size > 0)
		why[0] = '\0';
	if (judge == NULL || !judge->guard.is_signed)
		judge = next;
	if (judge == NULL || !judge->guard.is_signed)
		return true;
	if (version <= current_version) { /* Rule 2 */
		snprintf(why, size,
		    "its version is %llu, and version %llu was in force",
		    (unsigned long long)version,
		    (unsigned long long)current_version);
		return false;
	}
	if (enough(judge, people, signers, n, now_ms))
		return true;
	say_missing(&judge->guard, n, why, size);
	return false;
}
