/* SPDX-License-Identifier: ISC */
/*
 * Whether what rules ask of the login, of the past and of the present is
 * given; and separation of duties.
 *
 * Rules
 * 1. What the caller does not know is not given: no history, no size, no
 *    age of a key is ever taken for a good one.
 */
#include <stdio.h>
#include <string.h>

#include "mg_time.h"
#include "pol.h"

/* ---- [separation] ---- */

struct sep_draft {
	struct pol_separation s;
	bool has_at_most;
};

static void
set_operations(struct pol_load *ld, void *obj)
{
	((struct sep_draft *)obj)->s.ops = pol_ops_parse(ld, false);
}

static void
set_model(struct pol_load *ld, void *obj)
{
	((struct sep_draft *)obj)->s.model =
	    pol_sel_parse(ld, 'm', pol_model_atom);
}

static void
set_at_most(struct pol_load *ld, void *obj)
{
	struct sep_draft *dr = obj;
	const char *v = ld->ln->value;

	dr->has_at_most = true;
	(void)pol_count(ld, v, strlen(v), 0, POL_ITEMS_MAX, &dr->s.at_most);
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key sep_keys[] = {
    {"operations", set_operations},
    {"model", set_model},
    {"at-most", set_at_most},
    {"description", set_description},
    {NULL, NULL},
};

static bool
check_separation(struct pol_load *ld, const struct sep_draft *dr, size_t errors)
{
	if (ld->src.ds->errors != errors)
		return false;
	if (dr->s.ops == NULL || dr->s.ops->n < 2)
		pol_err_head(ld, "a separation needs two operations or more");
	else if (dr->s.at_most >= dr->s.ops->n)
		pol_err_head(ld,
		    "at-most %u of %u operations separates "
		    "nothing",
		    dr->s.at_most, dr->s.ops->n);
	else if ((ld->can & MG_POLICY_CAN_PAST) == 0)
		pol_err_head(ld, "this version of the agent cannot honour "
				 "[separation]");
	else
		return true;
	return false;
}

static void
add_separation(struct pol_load *ld, const struct pol_separation *s)
{
	struct mg_policy *p = ld->p;
	struct pol_separation *slot;
	uint32_t i, *id;

	if ((slot = pol_vec_add(&p->separations, sizeof(*slot))) == NULL) {
		ld->no_memory = true;
		return;
	}
	*slot = *s;
	for (i = 0; i < s->ops->n; i++) {
		id = pol_vec_add(
		    &pol_op(p, s->ops->v[i])->separations, sizeof(*id));
		if (id == NULL)
			ld->no_memory = true;
		else
			*id = p->separations.n - 1;
	}
}

void
pol_separation_parse(struct pol_load *ld)
{
	size_t errors = ld->src.ds->errors;
	struct sep_draft dr = {.has_at_most = false};

	if (!mg_name_is_valid(ld->sec->name)) {
		pol_err_head(ld, "name '%s' %s", ld->sec->name,
		    mg_name_why(ld->sec->name));
		return;
	}
	dr.s.name =
	    pol_strndup(&ld->p->mem, ld->sec->name, strlen(ld->sec->name));
	dr.s.where = pol_where(ld);
	if (dr.s.name == NULL || dr.s.where == NULL) {
		ld->no_memory = true;
		return;
	}
	pol_keys(ld, sep_keys, &dr, NULL);
	if (!dr.has_at_most && dr.s.ops != NULL)
		dr.s.at_most = dr.s.ops->n - 1;
	if (check_separation(ld, &dr, errors))
		add_separation(ld, &dr.s);
}

/* How many other operations of s the asker did; -1: not known (Rule 1). */
static int
others_done(
    const struct pol_facts *f, const struct pol_separation *s, uint32_t op)
{
	const struct mg_history *h = f->ask->history;
	const struct mg_ask *ask = f->ask;
	int n = 0, did;
	uint32_t i;

	if (h == NULL || h->did == NULL || ask->version[0] == '\0')
		return -1;
	for (i = 0; i < s->ops->n; i++) {
		if (s->ops->v[i] == op)
			continue;
		did = h->did(h->arg, ask->user,
		    pol_op(f->p, s->ops->v[i])->def.name, ask->model,
		    ask->version);
		if (did < 0)
			return -1;
		n += did > 0;
	}
	return n;
}

bool
pol_is_separated(const struct pol_facts *f, uint32_t op, struct pol_words *w)
{
	const struct pol_vec *ids = &pol_op(f->p, op)->separations;
	const struct pol_separation *s;
	uint32_t i;
	int n;

	for (i = 0; i < ids->n; i++) {
		s = (struct pol_separation *)f->p->separations.v +
		    ((uint32_t *)ids->v)[i];
		if (f->ask->model[0] == '\0' ||
		    (s->model != NULL && !pol_model_sel_match(f, s->model)))
			continue;
		n = others_done(f, s, op);
		if (n >= 0 && (unsigned)n < s->at_most)
			continue;
		pol_say(w, "separation %s (%s): ", s->name, s->where);
		if (n < 0)
			pol_say(w, "who did what to this version is not "
				   "known");
		else
			pol_say(w,
			    "%s did %d of its operations on this "
			    "version already; somebody else has to",
			    f->ask->user, n);
		return true;
	}
	return false;
}

/* ---- the login's key ---- */

static bool
key_fits(const struct mg_ask *ask, unsigned keys)
{
	const char *type = ask->login_key;

	return ((keys & POL_LOGIN_HARDWARE) != 0 &&
		   ask->login_key_is_hardware) ||
	       ((keys & POL_LOGIN_CERTIFICATE) != 0 &&
		   strstr(type, "-cert-v01@") != NULL) ||
	       ((keys & POL_LOGIN_ED25519) != 0 &&
		   strstr(type, "ssh-ed25519") != NULL) ||
	       ((keys & POL_LOGIN_ECDSA) != 0 &&
		   strstr(type, "ecdsa-sha2-") != NULL) ||
	       ((keys & POL_LOGIN_RSA) != 0 &&
		   (strncmp(type, "ssh-rsa", 7) == 0 ||
		       strncmp(type, "rsa-sha2-", 9) == 0));
}

static bool
say_keys(struct pol_words *w, unsigned keys)
{
	pol_say(w, "asks for a login with another kind of ssh key:%s%s%s%s%s",
	    (keys & POL_LOGIN_HARDWARE) != 0 ? " hardware" : "",
	    (keys & POL_LOGIN_CERTIFICATE) != 0 ? " certificate" : "",
	    (keys & POL_LOGIN_ED25519) != 0 ? " ed25519" : "",
	    (keys & POL_LOGIN_ECDSA) != 0 ? " ecdsa" : "",
	    (keys & POL_LOGIN_RSA) != 0 ? " rsa" : "");
	return false;
}

static bool
key_met(
    const struct mg_ask *ask, const struct mg_demand *d, struct pol_words *w)
{
	char age[MG_DURATION_STR];

	if (d->hardware_key && !ask->login_key_is_hardware) {
		pol_say(w, "asks for a login with a hardware-backed key");
		return false;
	}
	if (d->keys != 0 && !key_fits(ask, d->keys))
		return say_keys(w, d->keys);
	if (d->key_max_age_ms == 0)
		return true;
	if (ask->login_key_since_ms > 0 &&
	    ask->login_key_since_ms <= ask->now_ms &&
	    ask->now_ms - ask->login_key_since_ms <= d->key_max_age_ms)
		return true;
	mg_duration_format(d->key_max_age_ms, age);
	pol_say(
	    w, "asks for a login key that came into use in the last %s", age);
	return false;
}

/* ---- how much ---- */

/* Whether a model shares a tier with the one that is asked about. */
static bool
same_tier(const struct pol_facts *f, const char *model)
{
	uint32_t buf[POL_MODEL_ATOMS_MAX], n, i, j;
	bool has = false, had = false;
	const uint32_t *v;

	n = pol_model_atoms(f->p, model, buf, &v);
	for (j = 0; j < f->nmodel; j++)
		had = had || strncmp(f->p->models.atoms.v[f->model[j]].s,
				 "tier:", 5) == 0;
	for (i = 0; i < n; i++) {
		if (strncmp(f->p->models.atoms.v[v[i]].s, "tier:", 5) != 0)
			continue;
		has = true;
		for (j = 0; j < f->nmodel; j++)
			if (f->model[j] == v[i])
				return true;
	}
	return !has && !had;
}

static bool
is_about(const struct pol_facts *f, const struct pol_rule *r, const char *op)
{
	uint32_t i;

	for (i = 0; i < r->ops->n; i++)
		if (strcmp(pol_op(f->p, r->ops->v[i])->def.name, op) == 0)
			return true;
	return false;
}

static bool
live_met(
    const struct pol_facts *f, const struct pol_rule *r, struct pol_words *w)
{
	static const char *const scopes[] = {"model", "tier", "host"};
	const struct pol_limit *l = &r->demand->live;
	const struct mg_history *h = f->ask->history;
	struct mg_live live;
	int64_t n = 0;
	size_t i;

	if (l->n == 0)
		return true;
	if (h == NULL || h->live == NULL) {
		pol_say(w, "has a limit, and what runs is not known");
		return false;
	}
	for (i = 0; h->live(h->arg, i, &live); i++) {
		if (!is_about(f, r, live.operation))
			continue;
		n += l->scope == POL_PER_HOST ||
		     (l->scope == POL_PER_TIER
			     ? same_tier(f, live.model)
			     : strcmp(live.model, f->ask->model) == 0);
	}
	if (n < l->n)
		return true;
	pol_say(w, "allows %lld at once per %s, and %lld %s going on",
	    (long long)l->n, scopes[l->scope], (long long)n,
	    n == 1 ? "is" : "are");
	return false;
}

/* What the callback counts over all operations of the rule; -1: unknown. */
static int64_t
sum_since(const struct pol_facts *f, const struct pol_rule *r, int64_t per_ms,
    int64_t (*count)(
	void *arg, const char *user, const char *operation, int64_t since_ms))
{
	int64_t sum = 0, n;
	uint32_t i;

	if (count == NULL)
		return -1;
	for (i = 0; i < r->ops->n; i++) {
		n = count(f->ask->history->arg, f->ask->user,
		    pol_op(f->p, r->ops->v[i])->def.name,
		    f->ask->now_ms - per_ms);
		if (n < 0 || n > INT64_MAX - sum)
			return -1;
		sum += n;
	}
	return sum;
}

static bool
rate_met(
    const struct pol_facts *f, const struct pol_rule *r, struct pol_words *w)
{
	const struct pol_limit *l = &r->demand->rate;
	const struct mg_history *h = f->ask->history;
	char per[MG_DURATION_STR];
	int64_t n;

	if (l->n == 0)
		return true;
	n = h == NULL ? -1 : sum_since(f, r, l->per_ms, h->granted);
	if (n >= 0 && n < l->n)
		return true;
	mg_duration_format(l->per_ms, per);
	pol_say(
	    w, "allows %lld per %s to one person, and ", (long long)l->n, per);
	if (n < 0)
		pol_say(w, "the past is not known");
	else
		pol_say(w, "%s had %lld", f->ask->user, (long long)n);
	return false;
}

static bool
bytes_met(
    const struct pol_facts *f, const struct pol_rule *r, struct pol_words *w)
{
	const struct pol_limit *l = &r->demand->bytes;
	const struct mg_history *h = f->ask->history;
	char per[MG_DURATION_STR];
	int64_t n;

	if (l->n == 0)
		return true;
	n = h == NULL ? -1 : sum_since(f, r, l->per_ms, h->bytes);
	if (n >= 0 && n <= l->n && f->ask->bytes > 0 &&
	    f->ask->bytes <= l->n - n)
		return true;
	mg_duration_format(l->per_ms, per);
	pol_say(w, "allows %lld MiB per %s to one person, and ",
	    (long long)(l->n >> 20), per);
	if (n < 0 || f->ask->bytes <= 0)
		pol_say(w, "how much this would be is not known");
	else
		pol_say(w, "with this it would be %llu MiB",
		    ((unsigned long long)n +
			(unsigned long long)f->ask->bytes) >>
			20);
	return false;
}

bool
pol_demand_met(const struct pol_facts *f, const struct pol_rule *r,
    enum mg_why *whyp, struct pol_words *w)
{
	pol_say(w, "rule %s (%s) ", r->name, r->where);
	*whyp = MG_WHY_KEY_NEEDED;
	if (!key_met(f->ask, r->demand, w))
		return false;
	*whyp = MG_WHY_LIMIT;
	return live_met(f, r, w) && rate_met(f, r, w) && bytes_met(f, r, w);
}
