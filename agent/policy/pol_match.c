/* SPDX-License-Identifier: ISC */
/*
 * Whether a rule applies to an ask.
 *
 * Rules
 * 1. What is not known never helps: an unknown address, a directory that
 *    does not answer or a missing version fails the conditions of a rule
 *    that allows or requires nothing more, and meets those of one that
 *    denies or requires. Otherwise hiding a fact would be a way in.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pol.h"

static void
add_labels(struct pol_facts *f)
{
	const struct mg_policy *p = f->p;
	const struct mg_ask *ask = f->ask;
	uint32_t i, atom;
	size_t n;

	for (n = 0; n < ask->nlabels && n < POL_LABELS_MAX; n++) {
		atom = pol_map_find(
		    &p->host_atoms, ask->labels[n], strlen(ask->labels[n]));
		if (atom != POL_NONE)
			f->host[f->nhost++] = atom;
	}
	for (i = 0; i < p->host_patterns.n; i++) {
		atom = ((uint32_t *)p->host_patterns.v)[i];
		if (mg_name_matches(ask->host, p->host_atoms.v[atom].s))
			f->host[f->nhost++] = atom;
	}
}

void
pol_facts_init(
    struct pol_facts *f, const struct mg_policy *p, const struct mg_ask *ask)
{
	const struct pol_user *user = &p->nobody;
	uint32_t u;

	f->p = p;
	f->ask = ask;
	f->nhost = 0;
	pol_roles_of(p, ask->people, ask->user, ask->now_ms, &f->roles);
	u = pol_map_find(&p->users, ask->user, strlen(ask->user));
	if (u != POL_NONE)
		user = pol_user(p, u);
	f->user = user->atoms;
	f->nuser = user->natoms;
	f->nmodel = pol_model_atoms(p, ask->model, f->model_buf, &f->model);
	add_labels(f);
	f->has_from =
	    ask->from[0] != '\0' && pol_addr_parse(ask->from, &f->from);
}

/* ---- conditions ---- */

static bool
has_atom(const uint32_t *v, uint32_t n, uint32_t atom)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (v[i] == atom)
			return true;
	return false;
}

/* Which terms hold: one function per kind of selector. */
typedef bool (*has_fn)(const struct pol_facts *f, uint32_t atom, bool maybe);

static bool
has_role(const struct pol_facts *f, uint32_t atom, bool maybe)
{
	return pol_bit(maybe ? f->roles.maybe : f->roles.sure, atom);
}

static bool
has_user(const struct pol_facts *f, uint32_t atom, bool maybe)
{
	(void)maybe;
	return has_atom(f->user, f->nuser, atom);
}

static bool
has_model(const struct pol_facts *f, uint32_t atom, bool maybe)
{
	(void)maybe;
	return has_atom(f->model, f->nmodel, atom);
}

static bool
has_host(const struct pol_facts *f, uint32_t atom, bool maybe)
{
	(void)maybe;
	return has_atom(f->host, f->nhost, atom);
}

static bool
has_version(const struct pol_facts *f, uint32_t atom, bool maybe)
{
	(void)maybe;
	return mg_name_matches(f->ask->version, f->p->versions.v[atom].s);
}

/*
 * An item that excludes is judged the other way round: with maybe false,
 * whoever may be excluded is.
 */
static bool
sel_match(const struct pol_facts *f, const struct pol_sel *sel, has_fn has,
    bool maybe)
{
	const uint32_t *w = sel->w, *end = sel->w + sel->nwords;
	bool yes = sel->npos == 0, neg, all;
	uint32_t n;

	while (w < end) {
		neg = (*w & POL_SEL_NOT) != 0;
		n = *w++ & ~POL_SEL_NOT;
		for (all = true; n > 0; n--, w++)
			all = all && has(f, *w, neg ? !maybe : maybe);
		if (all && neg)
			return false;
		yes = yes || all;
	}
	return yes;
}

/* Rule 1: whether an unknown fact counts as fitting. */
static bool
unknown_fits(const struct pol_rule *r)
{
	return r->effect != POL_ALLOW;
}

static bool
version_match(const struct pol_facts *f, const struct pol_rule *r)
{
	if (f->ask->version[0] == '\0')
		return f->ask->model[0] != '\0' && unknown_fits(r);
	return sel_match(f, r->version, has_version, false);
}

static bool
from_match(const struct pol_facts *f, const struct pol_rule *r)
{
	if (!f->has_from)
		return unknown_fits(r);
	return pol_nets_match(r->from, &f->from);
}

/* A model condition is never met where no model is asked about. */
static bool
model_match(const struct pol_facts *f, const struct pol_rule *r)
{
	return f->ask->model[0] != '\0' &&
	       sel_match(f, r->model, has_model, false);
}

unsigned
pol_match(const struct pol_facts *f, const struct pol_rule *r, bool is_all)
{
	bool maybe = unknown_fits(r);
	unsigned missing = 0;

	if (r->user != NULL && !sel_match(f, r->user, has_user, maybe))
		missing |= POL_COND_USER;
	if (r->role != NULL && (is_all || missing == 0) &&
	    !sel_match(f, r->role, has_role, maybe))
		missing |= POL_COND_ROLE;
	if (r->model != NULL && (is_all || missing == 0) && !model_match(f, r))
		missing |= POL_COND_MODEL;
	if (r->host != NULL && (is_all || missing == 0) &&
	    !sel_match(f, r->host, has_host, maybe))
		missing |= POL_COND_HOST;
	if (r->version != NULL && (is_all || missing == 0) &&
	    !version_match(f, r))
		missing |= POL_COND_VERSION;
	if (r->from != NULL && (is_all || missing == 0) && !from_match(f, r))
		missing |= POL_COND_FROM;
	return missing;
}

/* ---- words ---- */

#define SAY_ITEMS_MAX 5

typedef const char *(*word_fn)(const struct mg_policy *p, uint32_t atom);

struct text {
	char *s;
	size_t n, size;
};

static void say(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->n + 1 >= t->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->s + t->n, t->size - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n;
	if (t->n >= t->size)
		t->n = t->size - 1;
}

static const char *
role_word(const struct mg_policy *p, uint32_t atom)
{
	return p->role_at[atom].name;
}

static const char *
user_word(const struct mg_policy *p, uint32_t atom)
{
	return p->user_atoms.v[atom].s;
}

static const char *
model_word(const struct mg_policy *p, uint32_t atom)
{
	const char *s = p->models.atoms.v[atom].s;

	return s[0] == '=' ? s + 1 : s;
}

static const char *
host_word(const struct mg_policy *p, uint32_t atom)
{
	return p->host_atoms.v[atom].s;
}

static const char *
version_word(const struct mg_policy *p, uint32_t atom)
{
	return p->versions.v[atom].s;
}

/* Says the items that are excluded, or those that are not. */
static void
say_items(struct text *t, const struct mg_policy *p, const struct pol_sel *sel,
    word_fn word, bool neg)
{
	const uint32_t *w = sel->w, *end = sel->w + sel->nwords;
	unsigned items = 0;
	uint32_t n, i;

	for (; w < end; w += n) {
		bool is_neg = (*w & POL_SEL_NOT) != 0;

		n = *w++ & ~POL_SEL_NOT;
		if (is_neg != neg)
			continue;
		if (++items > SAY_ITEMS_MAX) {
			say(t, " or others");
			return;
		}
		say(t, "%s", items == 1 ? "" : " or ");
		for (i = 0; i < n; i++)
			say(t, "%s%s", i == 0 ? "" : " & ", word(p, w[i]));
	}
}

/* "a or b & c, but not d" */
static void
say_sel(struct text *t, const struct mg_policy *p, const struct pol_sel *sel,
    word_fn word)
{
	uint32_t items = 0, i;

	for (i = 0; i < sel->nwords; i += 1 + (sel->w[i] & ~POL_SEL_NOT))
		items++;
	if (sel->npos > 0)
		say_items(t, p, sel, word, false);
	if (items == sel->npos)
		return;
	say(t, sel->npos > 0 ? ", but not " : "any other than ");
	say_items(t, p, sel, word, true);
}

void
pol_remedy(const struct mg_policy *p, const struct pol_rule *r,
    unsigned missing, char *out, size_t size)
{
	struct text t = {.s = out, .size = size};

	say(&t, "rule %s (%s) would allow it", r->name, r->where);
	if ((missing & POL_COND_ROLE) != 0) {
		say(&t, " to members of ");
		say_sel(&t, p, r->role, role_word);
	}
	if ((missing & POL_COND_USER) != 0) {
		say(&t, " to ");
		say_sel(&t, p, r->user, user_word);
	}
	if ((missing & POL_COND_MODEL) != 0) {
		say(&t, " for the model ");
		say_sel(&t, p, r->model, model_word);
	}
	if ((missing & POL_COND_VERSION) != 0) {
		say(&t, " for the version ");
		say_sel(&t, p, r->version, version_word);
	}
	if ((missing & POL_COND_HOST) != 0) {
		say(&t, " on ");
		say_sel(&t, p, r->host, host_word);
	}
	if ((missing & POL_COND_FROM) != 0)
		say(&t, " from %s", r->from->text);
}
