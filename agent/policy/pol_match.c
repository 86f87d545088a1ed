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

#define CLOCKS_MS 60000 /* that files may be ahead of the clock */

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
	f->open = 0;
	f->is_survey = f->assume_all = false;
	f->nassume = 0;
	pol_roles_of(p, ask->people, ask->user, ask->now_ms, &f->roles);
	u = pol_map_find(&p->users, ask->user, strlen(ask->user));
	if (u != POL_NONE)
		user = pol_user(p, u);
	f->user = user->atoms;
	f->nuser = user->natoms;
	f->nmodel = pol_model_atoms(p, ask->model, f->model_buf, &f->model);
	add_labels(f);
	f->has_from = p->asks_from && ask->from[0] != '\0' &&
		      pol_addr_parse(ask->from, &f->from);
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
	if (f->has_from)
		return pol_nets_match(r->from, &f->from);
	if (f->ask->is_local)
		return pol_nets_match(r->from, NULL);
	return unknown_fits(r);
}

static bool
has_when(const struct pol_facts *f, uint32_t atom, bool maybe)
{
	const struct pol_when_term *t =
	    (struct pol_when_term *)f->p->whens.v + atom;
	const struct mg_file_state *st;
	int64_t age;

	if (f->ask->files == NULL)
		return maybe;
	st = &f->ask->files[t->file];
	if (st->is == MG_FILE_UNKNOWN)
		return maybe;
	age = f->ask->now_ms - st->modified_ms;
	switch (t->what) {
	case POL_PRESENT:
		return st->is == MG_FILE_PRESENT;
	case POL_ABSENT:
		return st->is == MG_FILE_ABSENT;
	case POL_NEWER:
	case POL_OLDER:
		break;
	}
	if (st->is != MG_FILE_PRESENT)
		return false;
	if (age < -CLOCKS_MS) /* a wrong clock: how old it is, nobody knows */
		return maybe;
	return (age <= t->ms) == (t->what == POL_NEWER);
}

static bool
creator_match(const struct pol_facts *f, const struct pol_rule *r)
{
	const struct mg_people *people = f->ask->people;
	const char *creator = f->ask->creator;

	if (creator == NULL || creator[0] == '\0')
		return unknown_fits(r);
	if (strcmp(creator, f->ask->user) == 0)
		return true;
	return people != NULL && people->is_same != NULL &&
	       people->is_same(people->arg, creator, f->ask->user);
}

/* None, Staging and Archived, but not Production. */
static bool
is_staging(const char *stage)
{
	return stage != NULL &&
	       (strcmp(stage, "None") == 0 || strcmp(stage, "Staging") == 0 ||
		   strcmp(stage, "Archived") == 0);
}

/* A model condition is never met where no model is asked about. */
static bool
model_match(const struct pol_facts *f, const struct pol_rule *r)
{
	return f->ask->model[0] != '\0' &&
	       sel_match(f, r->model, has_model, false);
}

bool
pol_model_sel_match(const struct pol_facts *f, const struct pol_sel *sel)
{
	return sel_match(f, sel, has_model, false);
}

static bool
cond_match(
    const struct pol_facts *f, const struct pol_rule *r, enum pol_cond cond)
{
	bool maybe = unknown_fits(r);

	switch (cond) {
	case POL_COND_USER:
		return r->user == NULL ||
		       sel_match(f, r->user, has_user, maybe);
	case POL_COND_ROLE:
		return r->role == NULL ||
		       sel_match(f, r->role, has_role, maybe);
	case POL_COND_TIME:
		return r->time == NULL ||
		       pol_times_match(r->time, f->ask->now_ms);
	case POL_COND_FROM:
		return r->from == NULL || from_match(f, r);
	case POL_COND_WHEN:
		return r->when == NULL ||
		       sel_match(f, r->when, has_when, maybe);
	case POL_COND_HOST:
		return r->host == NULL ||
		       sel_match(f, r->host, has_host, maybe);
	case POL_COND_VERSION:
		return r->version == NULL || version_match(f, r);
	case POL_COND_MODEL:
		return r->model == NULL || model_match(f, r);
	case POL_COND_CREATOR:
		return !r->creator || creator_match(f, r);
	case POL_COND_STAGES:
		return r->stages == POL_STAGES_ANY ||
		       (is_staging(f->ask->stage_from) &&
			   is_staging(f->ask->stage_to));
	}
	return false;
}

static uint64_t
sel_key(const struct pol_sel *sel)
{
	return sel == NULL ? 0 : sel->hash;
}

uint64_t
pol_cond_key(const struct pol_rule *r, enum pol_cond cond)
{
	switch (cond) {
	case POL_COND_USER:
		return sel_key(r->user);
	case POL_COND_ROLE:
		return sel_key(r->role);
	case POL_COND_TIME:
		return r->time == NULL ? 0 : r->time->hash;
	case POL_COND_FROM:
		return r->from == NULL ? 0 : r->from->hash;
	case POL_COND_WHEN:
		return sel_key(r->when);
	case POL_COND_HOST:
		return sel_key(r->host);
	case POL_COND_VERSION:
		return sel_key(r->version);
	case POL_COND_MODEL:
		return sel_key(r->model);
	case POL_COND_CREATOR:
		return r->creator;
	case POL_COND_STAGES:
		return r->stages == POL_STAGES_ANY ? 0 : 1;
	}
	return 0;
}

/* Keys of different conditions are different, too. */
uint64_t
pol_cond_mark(const struct pol_rule *r, enum pol_cond cond)
{
	uint64_t key = pol_cond_key(r, cond);

	return key == 0 ? 0 : pol_mix64(key + (uint64_t)cond);
}

/* In a survey: whether an open condition is assumed to hold. */
static bool
is_assumed(
    const struct pol_facts *f, const struct pol_rule *r, enum pol_cond cond)
{
	uint64_t key;
	size_t i;

	if (f->assume_all || (key = pol_cond_mark(r, cond)) == 0)
		return true;
	for (i = 0; i < f->nassume; i++)
		if (f->assume[i] == key)
			return true;
	return false;
}

unsigned
pol_match(const struct pol_facts *f, const struct pol_rule *r, bool is_all)
{
	/* What rules differ in comes first, what costs time last. */
	static const enum pol_cond order[POL_CONDS] = {POL_COND_USER,
	    POL_COND_ROLE, POL_COND_MODEL, POL_COND_HOST, POL_COND_VERSION,
	    POL_COND_CREATOR, POL_COND_STAGES, POL_COND_FROM, POL_COND_TIME,
	    POL_COND_WHEN};
	unsigned missing = 0;
	size_t i;

	for (i = 0; i < POL_CONDS && (is_all || missing == 0); i++)
		if ((f->open & order[i]) != 0 ? !is_assumed(f, r, order[i])
					      : !cond_match(f, r, order[i]))
			missing |= order[i];
	return missing;
}

/* ---- words ---- */

#define SAY_ITEMS_MAX 5

typedef const char *(*word_fn)(const struct mg_policy *p, uint32_t atom);

void
pol_put(struct pol_words *w, const char *s)
{
	size_t n = strlen(s);

	if (w->size == 0)
		return;
	if (n > w->size - 1 - w->n)
		n = w->size - 1 - w->n;
	memcpy(w->s + w->n, s, n);
	w->n += n;
	w->s[w->n] = '\0';
}

void
pol_say(struct pol_words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w->size == 0 || w->n + 1 >= w->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(w->s + w->n, w->size - w->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->n += (size_t)n;
	if (w->n >= w->size)
		w->n = w->size - 1;
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
say_items(struct pol_words *w, const struct mg_policy *p,
    const struct pol_sel *sel, word_fn word, bool neg)
{
	const uint32_t *at = sel->w, *end = sel->w + sel->nwords;
	unsigned items = 0;
	uint32_t n, i;

	for (; at < end; at += n) {
		bool is_neg = (*at & POL_SEL_NOT) != 0;

		n = *at++ & ~POL_SEL_NOT;
		if (is_neg != neg)
			continue;
		if (++items > SAY_ITEMS_MAX) {
			pol_put(w, " or others");
			return;
		}
		pol_put(w, items == 1 ? "" : " or ");
		for (i = 0; i < n; i++) {
			pol_put(w, i == 0 ? "" : " & ");
			pol_put(w, word(p, at[i]));
		}
	}
}

/* pos, then "a or b & c, but not d"; or neg, then "d". */
static void
say_sel(struct pol_words *w, const struct mg_policy *p,
    const struct pol_sel *sel, word_fn word, const char *pos, const char *neg)
{
	uint32_t items = 0, i;

	for (i = 0; i < sel->nwords; i += 1 + (sel->w[i] & ~POL_SEL_NOT))
		items++;
	pol_put(w, sel->npos > 0 ? pos : neg);
	if (sel->npos > 0)
		say_items(w, p, sel, word, false);
	if (items == sel->npos)
		return;
	if (sel->npos > 0)
		pol_put(w, ", but not ");
	say_items(w, p, sel, word, true);
}

static const char *
when_word(const struct mg_policy *p, uint32_t atom)
{
	return ((struct pol_when_term *)p->whens.v)[atom].text;
}

/* "!10.0.0.0/8, !local": from elsewhere than that. */
static void
say_from(struct pol_words *w, const struct pol_nets *nets)
{
	const char *s;

	pol_put(w, nets->npos > 0 ? " from " : " from elsewhere than ");
	for (s = nets->text; *s != '\0'; s++)
		if (nets->npos > 0 || *s != '!')
			pol_say(w, "%c", *s);
}

void
pol_say_conds(struct pol_words *w, const struct mg_policy *p,
    const struct pol_rule *r, unsigned conds)
{
	if ((conds & POL_COND_ROLE) != 0)
		say_sel(w, p, r->role, role_word, " to members of ",
		    " to who is no member of ");
	if ((conds & POL_COND_USER) != 0)
		say_sel(w, p, r->user, user_word, " to ", " to others than ");
	if ((conds & POL_COND_CREATOR) != 0)
		pol_say(w, " to who created it");
	if ((conds & POL_COND_MODEL) != 0)
		say_sel(w, p, r->model, model_word, " for models ",
		    " for models other than ");
	if ((conds & POL_COND_VERSION) != 0)
		say_sel(w, p, r->version, version_word, " for versions ",
		    " for versions other than ");
	if ((conds & POL_COND_STAGES) != 0)
		pol_say(w, " among None, Staging and Archived");
	if ((conds & POL_COND_HOST) != 0)
		say_sel(
		    w, p, r->host, host_word, " on ", " on hosts other than ");
	if ((conds & POL_COND_FROM) != 0)
		say_from(w, r->from);
	if ((conds & POL_COND_TIME) != 0)
		pol_say(w, " at %s", r->time->text);
	if ((conds & POL_COND_WHEN) != 0)
		say_sel(w, p, r->when, when_word, " when ", " unless ");
}
