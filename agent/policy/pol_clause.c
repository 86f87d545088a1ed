/* SPDX-License-Identifier: ISC */
/*
 * What an allowance takes, clause by clause, so that two can be compared:
 * which of them asks for more.
 */
#include <string.h>

#include "mg_time.h"
#include "pol.h"

static void
put(struct pol_clauses *cs, enum pol_clause_kind kind, const char *name,
    int64_t of, int64_t strict)
{
	struct pol_clause *c;
	size_t i;

	for (i = 0; i < cs->n; i++) {
		c = &cs->v[i];
		if (c->kind != kind || c->of != of ||
		    strcmp(c->name, name) != 0)
			continue;
		if (c->strict < strict)
			c->strict = strict;
		return;
	}
	if (cs->n == POL_CLAUSES_MAX) {
		cs->is_cut = true;
		return;
	}
	c = &cs->v[cs->n++];
	c->kind = kind;
	c->name = name;
	c->of = of;
	c->strict = strict;
}

static void
put_factor(struct pol_clauses *cs, const struct mg_demand *d)
{
	if (d->mfa)
		put(cs, POL_CLAUSE_MFA, "", 0, -d->mfa_max_age_ms);
}

/* What a verdict does not hold: the strictest of all rules. */
static void
put_demand(struct pol_clauses *cs, const struct mg_demand *d)
{
	uint64_t signers = 0;
	uint32_t i;

	put_factor(cs, d);
	if (d->hardware_key)
		put(cs, POL_CLAUSE_HARDWARE, "", 0, 1);
	if (d->keys != 0)
		put(cs, POL_CLAUSE_KEYS, "", d->keys, 1);
	if (d->key_max_age_ms != 0)
		put(cs, POL_CLAUSE_KEY_AGE, "", 0, -d->key_max_age_ms);
	for (i = 0; i < d->nexcluded; i++)
		put(cs, POL_CLAUSE_EXCLUDED, d->excluded[i].operation,
		    d->excluded[i].approved, 1);
	if (d->live.n != 0)
		put(cs, POL_CLAUSE_LIVE, "", d->live.scope, -d->live.n);
	if (d->rate.n != 0)
		put(cs, POL_CLAUSE_RATE, "", d->rate.per_ms, -d->rate.n);
	if (d->bytes.n != 0)
		put(cs, POL_CLAUSE_BYTES, "", d->bytes.per_ms, -d->bytes.n);
	for (i = 0; i < d->nsigners; i++)
		signers +=
		    pol_mix64(pol_hash64(d->signers[i], strlen(d->signers[i])));
	if (d->nsigners > 0)
		put(cs, POL_CLAUSE_SIGNERS, d->signers[0], (int64_t)signers,
		    d->nsigners);
}

/* How it goes without the approvals: the less often, the stricter. */
static void
put_outage(struct pol_clauses *cs, const struct mg_verdict *v)
{
	size_t i;

	put(cs, POL_CLAUSE_OUTAGE, "", 0, !v->served_before);
	put(cs, POL_CLAUSE_GLASS, "", 0,
	    !v->break_glass ? 2 : !v->break_glass_always);
	if (!v->break_glass)
		return;
	put(cs, POL_CLAUSE_GLASS_LASTS, "", 0, -v->break_glass_ms);
	put(cs, POL_CLAUSE_TOKENS, "", 0, v->break_glass_tokens);
	for (i = 0; i < v->nreviewers; i++)
		put(cs, POL_CLAUSE_REVIEWER, v->reviewers[i], 0, 1);
}

static void
put_verdict(struct pol_clauses *cs, const struct mg_verdict *v)
{
	size_t i;

	for (i = 0; v->is_flat && i < v->nslots; i++)
		put(cs, POL_CLAUSE_ROLE, v->slots[i].role, 0,
		    v->slots[i].count);
	for (i = 0; !v->is_flat && i < v->nslots; i++)
		if (v->slots[i].must > 0)
			put(cs, POL_CLAUSE_ROLE, v->slots[i].role, 0,
			    v->slots[i].must);
	for (i = 0; i < v->ndemands; i++)
		if (!pol_demand_is_flat(v->demands[i]))
			put(cs, POL_CLAUSE_WAYS, v->demands[i]->approve->text,
			    0, 1);
	if (v->different_teams)
		put(cs, POL_CLAUSE_TEAMS, "", 0, 1);
	if (v->confirm_number)
		put(cs, POL_CLAUSE_NUMBER, "", 0, 1);
	if (v->artifact_signed)
		put(cs, POL_CLAUSE_SIGNED, "", 0, 1);
	put(cs, POL_CLAUSE_APPROVE_WITHIN, "", 0, -v->approve_within_ms);
	if (v->nslots > 0)
		put_outage(cs, v);
	put(cs, POL_CLAUSE_START_WITHIN, "", 0, -v->start_within_ms);
	put(cs, POL_CLAUSE_LASTS, "", 0, -v->lasts_ms);
	put(cs, POL_CLAUSE_USES, "", 0,
	    v->uses == 0 ? INT64_MIN : -(int64_t)v->uses);
}

/* Clauses that have a default where no rule says anything, as bits. */
static uint32_t
said_by(const struct mg_demand *d)
{
	uint32_t bits = 0;

	bits |= (uint32_t)(d->approve_within_ms != 0)
		<< POL_CLAUSE_APPROVE_WITHIN;
	bits |= (uint32_t)(d->start_within_ms != 0) << POL_CLAUSE_START_WITHIN;
	bits |= (uint32_t)(d->lasts_ms != 0) << POL_CLAUSE_LASTS;
	bits |= (uint32_t)d->has_uses << POL_CLAUSE_USES;
	bits |= (uint32_t)(d->outage.lasts_ms != 0) << POL_CLAUSE_GLASS_LASTS;
	return bits;
}

void
pol_clauses_beside(struct pol_clauses *cs, const struct pol_rule *r)
{
	if (r->effect != POL_DENY && r->demand != NULL)
		cs->elsewhere |= said_by(r->demand);
}

void
pol_clauses_of(struct pol_clauses *cs, const struct mg_verdict *v,
    const struct pol_rule *const *rules, size_t n)
{
	size_t i;

	cs->n = 0;
	cs->said = 0;
	cs->is_cut = false;
	cs->is_denied = v->kind == MG_VERDICT_DENY;
	if (cs->is_denied)
		return;
	for (i = 0; i < n; i++) /* it is said first */
		if (rules[i]->effect != POL_DENY && rules[i]->demand != NULL)
			put_factor(cs, rules[i]->demand);
	put_verdict(cs, v);
	for (i = 0; i < n; i++)
		if (rules[i]->effect != POL_DENY && rules[i]->demand != NULL) {
			put_demand(cs, rules[i]->demand);
			cs->said |= said_by(rules[i]->demand);
		}
}

static void
put_asked(struct pol_clauses *cs, const struct mg_demand *d)
{
	put_demand(cs, d);
	if (d->approve != NULL)
		put(cs, POL_CLAUSE_WAYS, d->approve->text, 0, 1);
	if (d->different_teams)
		put(cs, POL_CLAUSE_TEAMS, "", 0, 1);
	if (d->confirm_number)
		put(cs, POL_CLAUSE_NUMBER, "", 0, 1);
	if (d->artifact_signed)
		put(cs, POL_CLAUSE_SIGNED, "", 0, 1);
}

static const struct pol_clause *
find(const struct pol_clauses *cs, const struct pol_clause *c)
{
	size_t i;

	for (i = 0; i < cs->n; i++)
		if (cs->v[i].kind == c->kind && cs->v[i].of == c->of &&
		    strcmp(cs->v[i].name, c->name) == 0)
			return &cs->v[i];
	return NULL;
}

/* Whether something that only one of them has says anything. */
static bool
counts(const struct pol_clause *c, const struct pol_clauses *other)
{
	const struct pol_clause glass = {
	    .kind = POL_CLAUSE_GLASS_LASTS, .name = ""};

	/* How break-glass goes, where the other has none. */
	return (c->kind != POL_CLAUSE_REVIEWER &&
		   c->kind != POL_CLAUSE_TOKENS &&
		   c->kind != POL_CLAUSE_GLASS_LASTS) ||
	       find(other, &glass) != NULL;
}

/*
 * Where only one of them says it, the other has the default: 1h instead of
 * the 30m that nobody said is wider, but instead of the 2h that yet another
 * rule says it is narrower.
 */
static bool
is_doubtful(const struct pol_clauses *was, const struct pol_clauses *is,
    enum pol_clause_kind kind)
{
	uint32_t bit = UINT32_C(1) << kind;

	return ((was->said ^ is->said) & bit) != 0 &&
	       ((was->elsewhere | is->elsewhere) & bit) != 0;
}

unsigned
pol_clauses_compare(const struct pol_clauses *was, const struct pol_clauses *is)
{
	const struct pol_clause *c, *other;
	unsigned how = 0;
	size_t i;

	if (was->is_denied || is->is_denied)
		return was->is_denied == is->is_denied ? 0
		       : was->is_denied		       ? POL_WIDER
						       : POL_NARROWER;
	if (was->is_cut || is->is_cut)
		return POL_WIDER | POL_NARROWER;
	for (i = 0; i < was->n; i++) {
		c = &was->v[i];
		if ((other = find(is, c)) == NULL)
			how |= counts(c, is) ? POL_WIDER : 0;
		else if (is_doubtful(was, is, c->kind))
			how |= POL_WIDER | POL_NARROWER;
		else if (other->strict != c->strict)
			how |= other->strict < c->strict ? POL_WIDER
							 : POL_NARROWER;
	}
	for (i = 0; i < is->n; i++)
		if (find(was, &is->v[i]) == NULL && counts(&is->v[i], was))
			how |= POL_NARROWER;
	return how;
}

/* ---- words ---- */

static void
say_keys(struct pol_words *w, unsigned keys)
{
	static const char *const words[] = {
	    "hardware", "certificate", "ed25519", "ecdsa", "rsa"};
	const char *sep = "a login key of kind ";
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (((keys >> i) & 1) == 0)
			continue;
		pol_say(w, "%s%s", sep, words[i]);
		sep = " or ";
	}
}

static void
say_time(struct pol_words *w, const char *before, int64_t ms, const char *after)
{
	char text[MG_DURATION_STR];

	mg_duration_format(ms, text);
	pol_say(w, "%s%s%s", before, text, after);
}

static void
say_count(struct pol_words *w, int64_t n, int64_t per_ms, const char *what)
{
	pol_say(w, "at most %lld%s", (long long)n, what);
	say_time(w, " per ", per_ms, "");
}

static void
say_uses(struct pol_words *w, int64_t strict)
{
	if (strict == INT64_MIN)
		pol_put(w, "any number of uses");
	else
		pol_say(w, "%lld use%s", (long long)-strict,
		    strict == -1 ? "" : "s");
}

static void
say_tokens(struct pol_words *w, int64_t n)
{
	if (n == 0)
		pol_put(w, "break-glass without tokens");
	else
		pol_say(w, "break-glass with %lld token%s", (long long)n,
		    n == 1 ? "" : "s");
}

static void
say_outage(struct pol_words *w, const struct pol_clause *c)
{
	if (c->kind == POL_CLAUSE_OUTAGE)
		pol_put(w, c->strict != 0 ? "nothing while the hub is down"
					  : "what was served before while the "
					    "hub is down");
	else
		pol_put(w, c->strict == 2 ? "no break-glass"
			   : c->strict == 1
			       ? "break-glass while the hub is down"
			       : "break-glass");
}

static void
say_clause(struct pol_words *w, const struct pol_clause *c)
{
	static const char *const scopes[] = {"model", "tier", "host"};

	switch (c->kind) {
	case POL_CLAUSE_MFA:
		if (c->strict == 0)
			pol_put(w, "mfa");
		else
			say_time(w, "mfa not older than ", -c->strict, "");
		break;
	case POL_CLAUSE_HARDWARE:
		pol_put(w, "a hardware key");
		break;
	case POL_CLAUSE_KEYS:
		say_keys(w, (unsigned)c->of);
		break;
	case POL_CLAUSE_KEY_AGE:
		say_time(w, "a login key not older than ", -c->strict, "");
		break;
	case POL_CLAUSE_ROLE:
		pol_say(w, "%lld %s", (long long)c->strict, c->name);
		break;
	case POL_CLAUSE_WAYS:
		pol_put(w, c->name);
		break;
	case POL_CLAUSE_TEAMS:
		pol_put(w, "different teams");
		break;
	case POL_CLAUSE_EXCLUDED:
		pol_say(w, "approvers who %s %s",
		    c->of != 0 ? "did not approve" : "did not do", c->name);
		break;
	case POL_CLAUSE_NUMBER:
		pol_put(w, "the number");
		break;
	case POL_CLAUSE_SIGNED:
		pol_put(w, "a signed artifact");
		break;
	case POL_CLAUSE_SIGNERS:
		pol_say(w, "signed by %s", c->name);
		if (c->strict > 1)
			pol_say(w, " or %lld others", (long long)c->strict - 1);
		break;
	case POL_CLAUSE_LIVE:
		pol_say(w, "at most %lld at once per %s", (long long)-c->strict,
		    scopes[c->of % 3]);
		break;
	case POL_CLAUSE_RATE:
		say_count(w, -c->strict, c->of, "");
		break;
	case POL_CLAUSE_BYTES:
		say_count(w, -c->strict >> 20, c->of, " MiB");
		break;
	case POL_CLAUSE_APPROVE_WITHIN:
		say_time(w, "approval within ", -c->strict, "");
		break;
	case POL_CLAUSE_START_WITHIN:
		say_time(w, "start within ", -c->strict, "");
		break;
	case POL_CLAUSE_LASTS:
		say_time(w, "lasts ", -c->strict, "");
		break;
	case POL_CLAUSE_USES:
		say_uses(w, c->strict);
		break;
	case POL_CLAUSE_OUTAGE:
	case POL_CLAUSE_GLASS:
		say_outage(w, c);
		break;
	case POL_CLAUSE_GLASS_LASTS:
		say_time(w, "break-glass lasts ", -c->strict, "");
		break;
	case POL_CLAUSE_TOKENS:
		say_tokens(w, c->strict);
		break;
	case POL_CLAUSE_REVIEWER:
		pol_say(w, "break-glass reviewed by %s", c->name);
		break;
	}
}

void
pol_say_clauses(struct pol_words *w, const struct pol_clauses *cs,
    const struct pol_clauses *other)
{
	const struct pol_clause *c, *o;
	const char *sep = "";
	size_t i;

	for (i = 0; i < cs->n; i++) {
		c = &cs->v[i];
		o = other == NULL ? NULL : find(other, c);
		if (o == NULL ? c->kind >= POL_CLAUSE_APPROVE_WITHIN
			      : o->strict == c->strict)
			continue;
		pol_put(w, sep);
		say_clause(w, c);
		sep = ", ";
	}
}

void
pol_say_demand(struct pol_words *w, const struct mg_demand *d)
{
	struct pol_clauses cs = {.n = 0};

	if (d == NULL)
		return;
	put_asked(&cs, d);
	pol_say_clauses(w, &cs, NULL);
}
