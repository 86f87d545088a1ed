/* SPDX-License-Identifier: ISC */
/*
 * What a new policy changes for models whose attributes it changes. (Rules:
 * pol_diff.c.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pol_diff.h"

#define MODEL_CLASSES_MAX 256 /* whose attributes change */
#define MODEL_LOOKS_MAX 1024  /* sections that change */

static uint64_t
sum_model(const struct pol_diff *d, int k, const char *model, bool only_used)
{
	uint32_t buf[POL_MODEL_ATOMS_MAX], n, i;
	const struct mg_policy *p = d->p[k];
	const uint32_t *v;
	uint64_t sum = 0;

	n = pol_model_atoms(p, model, buf, &v);
	for (i = 0; i < n; i++) {
		const struct pol_sym *sym = &p->models.atoms.v[v[i]];

		if (only_used ? d->used_model[k][v[i]]
			      : memchr(sym->s, ':', sym->len) != NULL)
			sum += pol_mix64(pol_hash64(sym->s, sym->len));
	}
	return sum;
}

/* A name that the pattern matches: "fraud-any" for "fraud-*". */
static void
name_for(const char *pattern, char *out, size_t size)
{
	struct pol_words w = {.s = out, .size = size};

	out[0] = '\0';
	for (; *pattern != '\0'; pattern++)
		pol_say(&w, *pattern == '*' ? "any" : "%c",
		    *pattern == '?' ? 'x' : *pattern);
}

#define PROBE_MAX (MG_NAME_MAX * 3 + 1)

/* Models that change alike, by what rules see of them. */
struct class
{
	uint64_t was, is;
	const char *name; /* one of them */
	char shown[POL_ROW_TEXT];
	bool is_cut; /* shown is not all */
};

/* What is looked at while the names of one pattern are. */
struct look {
	struct pol_diff *d;
	const char *pattern;
	uint64_t any_sign;     /* of that name's class; 0: it does not change */
	struct pol_vec signs;  /* uint64_t, classes met below the pattern */
	struct pol_map others; /* patterns that fit some of the same names */
};

static struct class *
class_of(struct pol_diff *d, uint64_t was, uint64_t is, const char *name)
{
	struct class *c = d->classes.v;
	uint32_t i;

	for (i = 0; i < d->classes.n; i++, c++)
		if (c->was == was && c->is == is)
			return c;
	if (d->classes.n == MODEL_CLASSES_MAX) {
		d->is_cut = true; /* Rule 1 */
		return NULL;
	}
	if ((c = pol_vec_add(&d->classes, sizeof(*c))) == NULL ||
	    (c->name = pol_strndup(&d->model_mem, name, strlen(name))) ==
		NULL) {
		d->no_memory = true;
		return NULL;
	}
	c->was = was;
	c->is = is;
	return c;
}

/* "fraud-*, such as ocr-a" */
static void
show_in(struct class *c, const char *such, const char *name)
{
	struct pol_words w = {.s = c->shown,
	    .n = strlen(c->shown),
	    .size = sizeof(c->shown) - sizeof(", and more")};

	if (c->is_cut)
		return;
	if (w.n + strlen(name) + 12 > w.size) {
		c->is_cut = true;
		w.size = sizeof(c->shown);
		pol_put(&w, ", and more");
		return;
	}
	pol_say(&w, "%s%s%s", w.n == 0 ? "" : ", ", such, name);
}

/* The class of a name that changes, as a number; 0: it does not change. */
static uint64_t
sign_of_model(struct pol_diff *d, const char *name, uint64_t *was, uint64_t *is)
{
	if (sum_model(d, POL_WAS, name, false) ==
	    sum_model(d, POL_IS, name, false))
		return 0;
	*was = sum_model(d, POL_WAS, name, true);
	*is = sum_model(d, POL_IS, name, true);
	return *was == *is ? 0 : pol_mix64(*was) + *is + 1;
}

/* The name alone, or as what stands for a pattern. */
static uint64_t
add_model(struct pol_diff *d, const char *name, const char *shown)
{
	uint64_t was, is, sign = sign_of_model(d, name, &was, &is);
	struct class *c;

	if (sign != 0 && (c = class_of(d, was, is, name)) != NULL)
		show_in(c, "", shown);
	return sign;
}

/* A name below a pattern: said where it changes otherwise than that. */
static void
look_at(void *arg, const char *name)
{
	struct look *k = arg;
	uint64_t was, is, sign = sign_of_model(k->d, name, &was, &is), *slot;
	struct class *c;
	uint32_t i;

	if (sign == 0 || sign == k->any_sign || k->d->no_memory)
		return;
	for (i = 0; i < k->signs.n; i++)
		if (((uint64_t *)k->signs.v)[i] == sign)
			return;
	if ((slot = pol_vec_add(&k->signs, sizeof(*slot))) == NULL) {
		k->d->no_memory = true;
		return;
	}
	*slot = sign;
	if ((c = class_of(k->d, was, is, name)) != NULL)
		show_in(c, "such as ", name);
}

/* Whether some name fits both; quick for what most patterns are. */
static bool
may_meet(const char *a, const char *b)
{
	size_t n = strcspn(a, "*?"), m = strcspn(b, "*?");

	return strncmp(a, b, n < m ? n : m) == 0 && pol_glob_meet(a, b);
}

static void
add_other(struct look *k, const char *pattern)
{
	if (strcmp(pattern, k->pattern) != 0 && may_meet(pattern, k->pattern) &&
	    pol_map_add(&k->others, &k->d->model_mem, pattern,
		strlen(pattern)) == POL_NONE)
		k->d->no_memory = true;
}

/* Patterns beside this one; names that are spelled out are looked at. */
static void
add_others(struct look *k, const struct pol_models *m)
{
	char pattern[MG_NAME_MAX + 2];
	uint32_t i;

	for (i = 0; i < m->prefix.text.n; i++) {
		snprintf(
		    pattern, sizeof(pattern), "%s*", m->prefix.text.v[i].s);
		add_other(k, pattern);
	}
	for (i = 0; i < m->general.text.n; i++)
		add_other(k, m->general.text.v[i].s);
	for (i = 0; i < m->exact.text.n; i++)
		if (mg_name_matches(m->exact.text.v[i].s, k->pattern))
			look_at(k, m->exact.text.v[i].s);
}

/* All models of a section that is new, gone or another. */
static void
compare_pattern(struct pol_diff *d, const char *pattern)
{
	struct look k = {.d = d, .pattern = pattern};
	char any[PROBE_MAX];
	const char **v;
	enum mg_err r;
	uint32_t i;

	if (strpbrk(pattern, "*?") == NULL) {
		(void)add_model(d, pattern, pattern);
		return;
	}
	name_for(pattern, any, sizeof(any));
	if (mg_name_is_valid(any))
		k.any_sign = add_model(d, any, pattern);
	add_others(&k, &d->p[POL_WAS]->models);
	add_others(&k, &d->p[POL_IS]->models);
	if ((v = calloc(k.others.n + 1U, sizeof(*v))) != NULL) {
		v[0] = pattern;
		for (i = 0; i < k.others.n; i++)
			v[i + 1] = k.others.v[i].s;
		r = pol_names(v, k.others.n + 1U, look_at, &k);
		d->is_cut = d->is_cut || r == MG_ERR_LIMIT; /* Rule 1 */
		d->no_memory = d->no_memory || r == MG_ERR_NOMEM;
	}
	d->no_memory = d->no_memory || v == NULL;
	free(v);
	pol_vec_fini(&k.signs);
	pol_map_fini(&k.others);
}

/* What a section says, as a number. */
static uint64_t
sum_section(const struct mg_policy *p, const struct pol_model *m)
{
	uint64_t sum = 1;
	uint32_t i, j;

	for (i = 0; i < m->nattrs; i++)
		for (j = 0; j < m->attrs[i].natoms; j++) {
			const struct pol_sym *sym =
			    &p->models.atoms.v[m->attrs[i].atoms[j]];

			sum += pol_mix64(pol_hash64(sym->s, sym->len));
		}
	return sum;
}

static int
by_pattern(const void *a, const void *b)
{
	const struct pol_model *const *x = a, *const *y = b;

	return strcmp((*x)->pattern, (*y)->pattern);
}

/* The sections of a policy by their patterns; NULL: no memory. */
static const struct pol_model **
sorted_sections(const struct mg_policy *p)
{
	uint32_t i, n = p->models.sections.n;
	const struct pol_model **v = calloc(n + 1U, sizeof(*v));

	if (v == NULL)
		return NULL;
	for (i = 0; i < n; i++)
		v[i] = pol_model(p, i);
	qsort(v, n, sizeof(*v), by_pattern);
	return v;
}

/* Every section that is not the same in both, once. */
static void
compare_sections(struct pol_diff *d, const struct pol_model *const *was,
    const struct pol_model *const *is)
{
	uint32_t i = 0, j = 0, n = d->p[POL_WAS]->models.sections.n;
	uint32_t m = d->p[POL_IS]->models.sections.n, looks = 0;
	const char *pattern;
	int order;

	while ((i < n || j < m) && !d->no_memory) {
		order = i == n	 ? 1
			: j == m ? -1
				 : strcmp(was[i]->pattern, is[j]->pattern);
		pattern = order <= 0 ? was[i]->pattern : is[j]->pattern;
		if (order != 0 || sum_section(d->p[POL_WAS], was[i]) !=
				      sum_section(d->p[POL_IS], is[j])) {
			if (looks++ < MODEL_LOOKS_MAX)
				compare_pattern(d, pattern);
			else
				d->is_cut = true; /* Rule 1 */
		}
		i += order <= 0;
		j += order >= 0;
	}
}

bool
pol_diff_models(struct pol_diff *d)
{
	const struct pol_model **was = sorted_sections(d->p[POL_WAS]);
	const struct pol_model **is = sorted_sections(d->p[POL_IS]);
	struct class *c;
	uint32_t i;

	d->no_memory = d->no_memory || was == NULL || is == NULL;
	if (!d->no_memory)
		compare_sections(d, was, is);
	c = d->classes.v;
	for (i = 0; i < d->classes.n && !d->no_memory; i++, c++) {
		d->model = c->name;
		d->model_shown = c->shown;
		pol_diff_people(d, false);
		pol_diff_separated(d->p[POL_WAS], d->p[POL_IS], c->name,
		    c->shown, d->fn, d->arg);
	}
	d->model = d->model_shown = NULL;
	free(was);
	free(is);
	return !d->no_memory;
}
