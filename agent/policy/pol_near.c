/* SPDX-License-Identifier: ISC */
/* For people who ask why: the rules that apply, and those that nearly do. */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

/* How far a rule is from applying: the number of conditions, then which. */
unsigned
pol_distance(unsigned missing)
{
	unsigned n = 0, left;

	for (left = missing; left != 0; left &= left - 1)
		n++;
	return n << POL_CONDS | missing;
}

static bool
is_nearer(const struct pol_near *a, const struct pol_near *b)
{
	unsigned da = pol_distance(a->missing), db = pol_distance(b->missing);

	if (da != db)
		return da < db;
	return strcmp(a->rule->name, b->rule->name) < 0;
}

/* Keeps the max nearest, the nearest first. */
static size_t
put(struct pol_near *out, size_t n, size_t max, const struct pol_near *new)
{
	size_t i;

	if (n == max && (max == 0 || !is_nearer(new, &out[n - 1])))
		return n;
	if (n < max)
		n++;
	for (i = n - 1; i > 0 && is_nearer(new, &out[i - 1]); i--)
		out[i] = out[i - 1];
	out[i] = *new;
	return n;
}

size_t
pol_near(const struct mg_policy *p, const struct mg_ask *ask,
    struct pol_near *out, size_t max)
{
	const struct pol_op *op;
	struct pol_facts f;
	struct pol_near near;
	uint32_t i, id;
	size_t n = 0;

	id = pol_map_find(&p->ops, ask->operation, strlen(ask->operation));
	if (id == POL_NONE)
		return 0;
	op = pol_op(p, id);
	pol_facts_init(&f, p, ask);
	for (i = 0; i < op->rules.n; i++) {
		near.rule = pol_rule(p, ((uint32_t *)op->rules.v)[i]);
		near.missing = pol_match(&f, near.rule, true);
		n = put(out, n, max, &near);
	}
	return n;
}
