/* SPDX-License-Identifier: ISC */
/* What a new policy changes besides decisions: commands, separations, guard. */
#include <string.h>

#include "pol.h"

/* ---- what is run ---- */

static const char *
or_none(const char *s)
{
	return s == NULL ? "none" : s;
}

static void
say_operation(struct pol_words *w, const struct mg_operation *op)
{
	size_t i;

	for (i = 0; i < op->argc; i++)
		pol_say(w, "%s%s", i == 0 ? "" : " ", op->argv[i]);
	pol_say(w, " as %s in %s, artifact %s", or_none(op->run_as),
	    or_none(op->cwd), or_none(op->artifact));
	if (strcmp(or_none(op->effect), "none") != 0)
		pol_say(w, ", effect %s", op->effect);
	if (op->serves != NULL)
		pol_say(w, ", serves %s", op->serves);
}

void
pol_diff_operations(const struct mg_policy *was, const struct mg_policy *is,
    pol_change_fn fn, void *arg)
{
	/* As long as anything that can be in a file. */
	static const size_t size = 2 * MG_INI_LINE_MAX;
	char before[2 * MG_INI_LINE_MAX], after[2 * MG_INI_LINE_MAX];
	struct pol_change c = {.kind = POL_CHANGE_OPERATION,
	    .how = POL_WIDER | POL_NARROWER,
	    .before = before,
	    .after = after};
	uint32_t i, id;

	for (i = 0; i < is->ops.n; i++) {
		struct pol_words b = {.s = before, .size = size};
		struct pol_words a = {.s = after, .size = size};

		id = pol_map_find(&was->ops, is->ops.v[i].s, is->ops.v[i].len);
		if (id == POL_NONE || pol_op(is, i)->kind != POL_OP_MODEL ||
		    pol_op(was, id)->kind != POL_OP_MODEL)
			continue;
		say_operation(&b, &pol_op(was, id)->def);
		say_operation(&a, &pol_op(is, i)->def);
		if (strcmp(before, after) == 0)
			continue;
		c.operation = is->ops.v[i].s;
		c.where = pol_op(is, i)->def.where;
		fn(arg, &c);
	}
}

/* ---- separations ---- */

static struct pol_separation *
separation(const struct mg_policy *p, uint32_t i)
{
	return (struct pol_separation *)p->separations.v + i;
}

static uint64_t
key_of(const struct mg_policy *p, const struct pol_separation *s)
{
	uint64_t ops = 0;
	uint32_t i;

	for (i = 0; i < s->ops->n; i++)
		ops += pol_mix64(pol_hash64(
		    p->ops.v[s->ops->v[i]].s, p->ops.v[s->ops->v[i]].len));
	return s->model == NULL ? ops : pol_mix64(ops) ^ s->model->hash;
}

/* The one about the same operations and models, or NULL. */
static const struct pol_separation *
same_in(const struct mg_policy *p, uint64_t key)
{
	uint32_t i;

	for (i = 0; i < p->separations.n; i++)
		if (key_of(p, separation(p, i)) == key)
			return separation(p, i);
	return NULL;
}

static void
say_separation(struct pol_words *w, const struct mg_policy *p,
    const struct pol_separation *s)
{
	struct pol_rule r = {.model = s->model};
	uint32_t i;

	pol_say(w, "one person at most %u of", s->at_most);
	for (i = 0; i < s->ops->n; i++)
		pol_say(
		    w, "%s %s", i == 0 ? "" : ",", p->ops.v[s->ops->v[i]].s);
	if (s->model != NULL)
		pol_say_conds(w, p, &r, POL_COND_MODEL);
}

/* was or is NULL: it is not there. */
static void
report(const struct mg_policy *const *p, const struct pol_separation *was,
    const struct pol_separation *is, pol_change_fn fn, void *arg)
{
	const struct pol_separation *s = is == NULL ? was : is;
	char before[POL_ROW_TEXT], after[POL_ROW_TEXT];
	struct pol_words b = {.s = before, .size = sizeof(before)};
	struct pol_words a = {.s = after, .size = sizeof(after)};
	struct pol_change c = {.kind = POL_CHANGE_SEPARATION,
	    .how = POL_NARROWER,
	    .before = was == NULL ? NULL : before,
	    .after = is == NULL ? NULL : after,
	    .is_old = is == NULL};

	if (s == NULL)
		return; /* one of the two is there */
	c.rule = s->name;
	c.where = s->where;
	if (is == NULL || (was != NULL && was->at_most < is->at_most))
		c.how = POL_WIDER;
	if (was != NULL)
		say_separation(&b, p[0], was);
	if (is != NULL)
		say_separation(&a, p[1], is);
	fn(arg, &c);
}

void
pol_diff_separations(const struct mg_policy *was, const struct mg_policy *is,
    pol_change_fn fn, void *arg)
{
	const struct mg_policy *const p[2] = {was, is};
	const struct pol_separation *one, *other;
	uint32_t i;

	for (i = 0; i < was->separations.n; i++) {
		one = separation(was, i);
		other = same_in(is, key_of(was, one));
		if (other == NULL || other->at_most != one->at_most)
			report(p, one, other, fn, arg);
	}
	for (i = 0; i < is->separations.n; i++) {
		one = separation(is, i);
		if (same_in(was, key_of(is, one)) == NULL)
			report(p, NULL, one, fn, arg);
	}
}

static bool
is_separated(const struct mg_policy *p, const struct pol_separation *s,
    const char *model)
{
	struct pol_facts f = {.p = p};

	if (s->model == NULL)
		return true;
	f.nmodel = pol_model_atoms(p, model, f.model_buf, &f.model);
	return pol_model_sel_match(&f, s->model);
}

void
pol_diff_separated(const struct mg_policy *was, const struct mg_policy *is,
    const char *model, const char *shown, pol_change_fn fn, void *arg)
{
	const struct pol_separation *one, *other;
	char text[POL_ROW_TEXT];
	struct pol_change c = {.kind = POL_CHANGE_SEPARATION, .model = shown};
	bool before, after;
	uint32_t i;

	for (i = 0; i < is->separations.n; i++) {
		struct pol_words w = {.s = text, .size = sizeof(text)};

		one = separation(is, i);
		if ((other = same_in(was, key_of(is, one))) == NULL)
			continue;
		before = is_separated(was, other, model);
		after = is_separated(is, one, model);
		if (before == after)
			continue;
		say_separation(&w, is, one);
		c.how = after ? POL_NARROWER : POL_WIDER;
		c.before = before ? text : NULL;
		c.after = after ? text : NULL;
		c.rule = one->name;
		c.where = one->where;
		fn(arg, &c);
	}
}

/* ---- [policy] ---- */

static void
say_guard(struct pol_words *w, const struct mg_policy_guard *g)
{
	size_t i;

	for (i = 0; i < g->nsigners; i++)
		pol_say(w, "%s%u %s", i == 0 ? "signed by " : ", ",
		    g->signers[i].count, g->signers[i].role);
	if (g->nsigners == 0)
		pol_put(w, "signed by nobody");
}

void
pol_diff_guard(const struct mg_policy *was, const struct mg_policy *is,
    pol_change_fn fn, void *arg)
{
	char before[POL_ROW_TEXT], after[POL_ROW_TEXT];
	struct pol_words b = {.s = before, .size = sizeof(before)};
	struct pol_words a = {.s = after, .size = sizeof(after)};
	struct pol_change c = {
	    .kind = POL_CHANGE_GUARD, .before = before, .after = after};

	say_guard(&b, &was->guard);
	say_guard(&a, &is->guard);
	if (strcmp(before, after) == 0)
		return;
	c.how = !was->guard.is_signed  ? POL_NARROWER
		: !is->guard.is_signed ? POL_WIDER
				       : POL_WIDER | POL_NARROWER;
	fn(arg, &c);
}
