/* SPDX-License-Identifier: ISC */
/*
 * Models by name and attribute.
 *
 * A model's attributes come from every [model] section whose pattern it
 * matches; for each attribute the most specific of them wins. Names that
 * the policy spells out are resolved when it is loaded, others when asked.
 */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

#define EXACT UINT32_MAX

static bool
is_glob(const char *s, size_t n)
{
	return memchr(s, '*', n) != NULL || memchr(s, '?', n) != NULL;
}

bool
pol_glob(
    struct pol_load *ld, const char *what, const char *s, size_t n, size_t off)
{
	char name[MG_NAME_MAX + 1];
	size_t i;

	if (!is_glob(s, n))
		return pol_name(ld, what, s, n, off);
	if (n > MG_NAME_MAX) {
		pol_err(ld, off, "%s is longer than %d characters", what,
		    MG_NAME_MAX);
		return false;
	}
	for (i = 0; i < n; i++)
		name[i] = s[i];
	for (i = 0; i < n; i++)
		if (name[i] == '*' || name[i] == '?')
			name[i] = 'x';
	name[n] = '\0';
	if (mg_name_is_valid(name))
		return true;
	pol_err(ld, off, "%s '%.*s' %s", what, (int)n, s, mg_name_why(name));
	return false;
}

bool
pol_glob_meet(const char *a, const char *b)
{
	bool at[MG_NAME_MAX + 2][MG_NAME_MAX + 2] = {{false}};
	size_t na = strlen(a), nb = strlen(b), i, j;

	if (na > MG_NAME_MAX || nb > MG_NAME_MAX)
		return true;
	at[0][0] = true;
	for (i = 0; i <= na; i++) {
		for (j = 0; j <= nb; j++) {
			char x = a[i], y = b[j];

			if (!at[i][j])
				continue;
			if (x == '*' && i < na)
				at[i + 1][j] = true;
			if (y == '*' && j < nb)
				at[i][j + 1] = true;
			if (x == '*' && y != '*' && j < nb)
				at[i][j + 1] = true;
			if (y == '*' && x != '*' && i < na)
				at[i + 1][j] = true;
			if (i < na && j < nb && x != '*' && y != '*' &&
			    (x == y || x == '?' || y == '?'))
				at[i + 1][j + 1] = true;
		}
	}
	return at[na][nb];
}

/* ---- reading ---- */

/* The record of a pattern's text, added where it is new. */
static struct pol_pattern *
pattern_add(struct pol_load *ld, const char *s, size_t n)
{
	struct pol_models *m = &ld->p->models;
	struct pol_patterns *ps;
	struct pol_pattern *pat;
	uint32_t i;

	if (!is_glob(s, n)) {
		ps = &m->exact;
	} else if (s[n - 1] == '*' && !is_glob(s, n - 1)) {
		ps = &m->prefix;
		n--;
	} else {
		ps = &m->general;
	}
	i = pol_map_add(&ps->text, &ld->p->mem, s, n);
	if (i == POL_NONE)
		return pol_oom(ld);
	if (i < ps->at.n)
		return pol_pattern(ps, i);
	if ((pat = pol_vec_add(&ps->at, sizeof(*pat))) == NULL)
		return pol_oom(ld);
	pat->model = pat->atom = POL_NONE;
	if (ps == &m->prefix)
		m->lengths[n / 64] |= UINT64_C(1) << (n % 64);
	return pat;
}

static uint32_t
specificity(const char *s)
{
	uint32_t n = 0;

	if (!is_glob(s, strlen(s)))
		return EXACT;
	for (; *s != '\0'; s++)
		n += *s != '*' && *s != '?';
	return n;
}

static bool
is_attr_key(const char *s, size_t n)
{
	static const char *const known[] = {
	    "tier", "project", "data", "format", "owner", "stage"};
	size_t i;

	if (n > 2 && memcmp(s, "x-", 2) == 0)
		return true;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i]) == n && memcmp(known[i], s, n) == 0)
			return true;
	return false;
}

static uint32_t
attr_atom(struct pol_load *ld, const char *key, const char *s, size_t n)
{
	char text[2 * MG_NAME_MAX + 2];
	size_t k = strlen(key);
	uint32_t atom;

	memcpy(text, key, k);
	text[k] = ':';
	memcpy(text + k + 1, s, n);
	atom = pol_map_add(&ld->p->models.atoms, &ld->p->mem, text, k + 1 + n);
	if (atom == POL_NONE)
		ld->no_memory = true;
	return atom;
}

static bool
set_attr(struct pol_load *ld, void *obj)
{
	const char *key = ld->ln->key;
	struct pol_attr attr = {0}, *slot;
	struct pol_iter it;

	if (!is_attr_key(key, strlen(key)) || !mg_name_is_valid(key))
		return false;
	attr.key =
	    pol_map_add(&ld->p->models.keys, &ld->p->mem, key, strlen(key));
	if (attr.key != POL_NONE && attr.key >= POL_ATTRS_MAX)
		pol_err_key(
		    ld, "more than %u different attributes", POL_ATTRS_MAX);
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		if (!pol_name(ld, "value", it.s, it.len, it.off))
			continue;
		if (attr.natoms == POL_VALUES_MAX) {
			pol_err(
			    ld, it.off, "more than %u values", POL_VALUES_MAX);
			break;
		}
		attr.atoms[attr.natoms++] = attr_atom(ld, key, it.s, it.len);
	}
	(void)obj;
	if ((slot = pol_vec_add(&ld->attrs, sizeof(*slot))) == NULL)
		ld->no_memory = true;
	else
		*slot = attr;
	return true;
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key model_keys[] = {
    {"description", set_description},
    {NULL, NULL},
};

/* As pol_glob() for the header. */
static bool
check_header(struct pol_load *ld)
{
	struct pol_line at = {.line = ld->sec->line,
	    .value_col = ld->sec->name_col,
	    .key = "",
	    .value = ld->sec->name};
	bool ok;

	ld->ln = &at;
	ok = pol_glob(ld, "model", ld->sec->name, strlen(ld->sec->name), 0);
	ld->ln = NULL;
	return ok;
}

static void
keep_attrs(struct pol_load *ld, struct pol_model *model)
{
	size_t bytes = ld->attrs.n * sizeof(*model->attrs);

	if (bytes == 0)
		return;
	if ((model->attrs = pol_alloc(&ld->p->mem, bytes)) == NULL) {
		ld->no_memory = true;
		return;
	}
	memcpy(model->attrs, ld->attrs.v, bytes);
	model->nattrs = ld->attrs.n;
}

void
pol_model_parse(struct pol_load *ld)
{
	struct pol_models *m = &ld->p->models;
	const char *name = ld->sec->name;
	struct pol_pattern *pat;
	struct pol_model *model;
	uint32_t i = m->sections.n;

	if (!check_header(ld) ||
	    (pat = pattern_add(ld, name, strlen(name))) == NULL)
		return;
	if (m->general.at.n > POL_PATTERNS_MAX)
		pol_err_head(ld,
		    "more than %u model patterns that are not PREFIX*",
		    POL_PATTERNS_MAX);
	if ((model = pol_vec_add(&m->sections, sizeof(*model))) == NULL) {
		ld->no_memory = true;
		return;
	}
	pat->model = i;
	model->where = pol_where(ld);
	model->pattern = pol_strndup(&ld->p->mem, name, strlen(name));
	if (model->pattern == NULL)
		ld->no_memory = true;
	model->section = (uint32_t)(ld->sec - pol_section(&ld->src, 0));
	model->specificity = specificity(name);
	ld->attrs.n = 0;
	pol_keys(ld, model_keys, model, set_attr);
	keep_attrs(ld, pol_model(ld->p, i));
}

uint32_t
pol_model_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	struct pol_models *m = &ld->p->models;
	const char *colon = memchr(s, ':', n);
	char text[MG_NAME_MAX + 2];
	struct pol_pattern *pat;
	uint32_t atom;

	if (colon != NULL) {
		if (!pol_label(ld, s, n, off))
			return POL_NONE;
		if (!is_attr_key(s, (size_t)(colon - s))) {
			pol_err(ld, off, "models have no attribute '%.*s'",
			    (int)(colon - s), s);
			return POL_NONE;
		}
		atom = pol_map_add(&m->atoms, &ld->p->mem, s, n);
		ld->no_memory = ld->no_memory || atom == POL_NONE;
		return atom;
	}
	if (!pol_glob(ld, "model", s, n, off) ||
	    (pat = pattern_add(ld, s, n)) == NULL)
		return POL_NONE;
	if (m->general.at.n > POL_PATTERNS_MAX) {
		pol_err(ld, off,
		    "more than %u model patterns that are not PREFIX*",
		    POL_PATTERNS_MAX);
		return POL_NONE;
	}
	if (pat->atom == POL_NONE) {
		text[0] = '=';
		memcpy(text + 1, s, n);
		pat->atom = pol_map_add(&m->atoms, &ld->p->mem, text, n + 1);
		ld->no_memory = ld->no_memory || pat->atom == POL_NONE;
	}
	return pat->atom;
}

/* ---- matching ---- */

struct found {
	const struct pol_pattern *v[POL_MATCHES_MAX];
	uint32_t n;
};

static void
find_prefixes(
    const struct pol_models *m, const char *s, size_t n, struct found *f)
{
	uint32_t hash = POL_HASH_INIT, i;
	size_t len;

	for (len = 0; len <= n; len++) {
		if (len > 0)
			hash = pol_hash(hash, s + len - 1, 1);
		if (((m->lengths[len / 64] >> (len % 64)) & 1) == 0)
			continue;
		i = pol_map_find_hashed(&m->prefix.text, s, len, hash);
		if (i != POL_NONE)
			f->v[f->n++] = pol_pattern(&m->prefix, i);
	}
}

static void
find_patterns(const struct mg_policy *p, const char *s, struct found *f)
{
	const struct pol_models *m = &p->models;
	size_t n = strlen(s);
	uint32_t i;

	f->n = 0;
	if (n > MG_NAME_MAX)
		return;
	i = pol_map_find(&m->exact.text, s, n);
	if (i != POL_NONE)
		f->v[f->n++] = pol_pattern(&m->exact, i);
	find_prefixes(m, s, n, f);
	for (i = 0; i < m->general.at.n; i++)
		if (mg_name_matches(s, m->general.text.v[i].s))
			f->v[f->n++] = pol_pattern(&m->general, i);
}

/* Sections that apply, the most specific first. */
static uint32_t
sort_sections(const struct mg_policy *p, const struct found *f,
    const struct pol_model **out)
{
	const struct pol_model *model;
	uint32_t i, j, n = 0;

	for (i = 0; i < f->n; i++) {
		if (f->v[i]->model == POL_NONE)
			continue;
		model = pol_model(p, f->v[i]->model);
		for (j = n; j > 0; j--) {
			if (out[j - 1]->specificity >= model->specificity)
				break;
			out[j] = out[j - 1];
		}
		out[j] = model;
		n++;
	}
	return n;
}

static uint32_t
resolve(const struct mg_policy *p, const char *name, uint32_t *buf)
{
	const struct pol_model *by[POL_MATCHES_MAX];
	struct found f;
	uint32_t i, j, n = 0, nby;
	uint64_t seen = 0;

	find_patterns(p, name, &f);
	for (i = 0; i < f.n; i++)
		if (f.v[i]->atom != POL_NONE)
			buf[n++] = f.v[i]->atom;
	nby = sort_sections(p, &f, by);
	for (i = 0; i < nby; i++) {
		const struct pol_attr *a = by[i]->attrs;

		for (j = 0; j < by[i]->nattrs; j++, a++) {
			if (((seen >> a->key) & 1) != 0)
				continue;
			seen |= UINT64_C(1) << a->key;
			memcpy(buf + n, a->atoms, a->natoms * sizeof(*buf));
			n += a->natoms;
		}
	}
	return n;
}

uint32_t
pol_model_atoms(const struct mg_policy *p, const char *model, uint32_t *buf,
    const uint32_t **vp)
{
	const struct pol_models *m = &p->models;
	uint32_t i;

	if (model[0] == '\0') {
		*vp = NULL;
		return 0;
	}
	i = pol_map_find(&m->exact.text, model, strlen(model));
	if (i != POL_NONE) {
		*vp = pol_pattern(&m->exact, i)->all;
		return pol_pattern(&m->exact, i)->nall;
	}
	*vp = buf;
	return resolve(p, model, buf);
}

/* ---- finishing ---- */

static bool
attrs_differ(
    const struct pol_model *a, const struct pol_model *b, uint32_t *keyp)
{
	const struct pol_attr *x = a->attrs, *y;
	uint32_t i, j;

	for (i = 0; i < a->nattrs; i++, x++) {
		y = b->attrs;
		for (j = 0; j < b->nattrs; j++, y++) {
			if (x->key != y->key)
				continue;
			*keyp = x->key;
			if (x->natoms != y->natoms ||
			    memcmp(x->atoms, y->atoms,
				x->natoms * sizeof(x->atoms[0])) != 0)
				return true;
		}
	}
	return false;
}

/* Two patterns of one specificity must not disagree about a name. */
static void
check_pair(
    struct pol_load *ld, const struct pol_model *a, const struct pol_model *b)
{
	uint32_t key;

	if (a == b || a->specificity != b->specificity ||
	    !attrs_differ(a, b, &key) || !pol_glob_meet(a->pattern, b->pattern))
		return;
	ld->sec = pol_section(&ld->src, a->section);
	pol_err_head(ld,
	    "neither '%s' nor '%s' (%s) is more specific, and they disagree "
	    "about '%s'",
	    a->pattern, b->pattern, b->where, ld->p->models.keys.v[key].s);
}

static bool
is_general(const char *s)
{
	size_t n = strcspn(s, "*?");

	return s[n] != '\0' && (s[n] != '*' || s[n + 1] != '\0');
}

/* Two different PREFIX* of one length never meet. */
static void
check_ties(struct pol_load *ld)
{
	const struct pol_models *m = &ld->p->models;
	const struct pol_model *a;
	uint32_t i, j;

	for (i = 0; i < m->general.at.n; i++) {
		if (pol_pattern(&m->general, i)->model == POL_NONE)
			continue;
		a = pol_model(ld->p, pol_pattern(&m->general, i)->model);
		for (j = 0; j < m->sections.n; j++)
			if (!is_general(pol_model(ld->p, j)->pattern) ||
			    j > pol_pattern(&m->general, i)->model)
				check_pair(ld, a, pol_model(ld->p, j));
	}
}

void
pol_models_finish(struct pol_load *ld)
{
	struct pol_models *m = &ld->p->models;
	uint32_t buf[POL_MODEL_ATOMS_MAX], i;
	struct pol_pattern *pat;

	if (m->keys.n > POL_ATTRS_MAX || ld->src.ds->errors > 0 ||
	    ld->no_memory)
		return;
	check_ties(ld);
	for (i = 0; i < m->exact.at.n; i++) {
		pat = pol_pattern(&m->exact, i);
		pat->nall = resolve(ld->p, m->exact.text.v[i].s, buf);
		pat->all =
		    pol_alloc(&ld->p->mem, pat->nall * sizeof(buf[0]) + 1);
		if (pat->all == NULL) {
			ld->no_memory = true;
			return;
		}
		memcpy(pat->all, buf, pat->nall * sizeof(buf[0]));
	}
}

static void
patterns_fini(struct pol_patterns *ps)
{
	pol_map_fini(&ps->text);
	pol_vec_fini(&ps->at);
}

void
pol_models_fini(struct pol_models *m)
{
	patterns_fini(&m->exact);
	patterns_fini(&m->prefix);
	patterns_fini(&m->general);
	pol_vec_fini(&m->sections);
	pol_map_fini(&m->keys);
	pol_map_fini(&m->atoms);
}
