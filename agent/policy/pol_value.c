/* SPDX-License-Identifier: ISC */
/* Lists, names, counts and durations in values. */
#include <stdio.h>
#include <string.h>

#include "mg_time.h"
#include "pol.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts blanks at both ends of s[0..*n); *off moves along. */
static const char *
trim(const char *s, size_t *n, size_t *off)
{
	while (*n > 0 && is_blank(*s)) {
		s++;
		(*n)--;
		(*off)++;
	}
	while (*n > 0 && is_blank(s[*n - 1]))
		(*n)--;
	return s;
}

void
pol_iter_init(struct pol_iter *it, const char *value)
{
	memset(it, 0, sizeof(*it));
	it->value = value;
}

bool
pol_iter_next(struct pol_load *ld, struct pol_iter *it)
{
	const char *comma;

	if (it->done)
		return false;
	it->off = it->at;
	it->s = it->value + it->at;
	comma = strchr(it->s, ',');
	it->len = comma == NULL ? strlen(it->s) : (size_t)(comma - it->s);
	it->at += it->len + 1;
	it->done = comma == NULL;
	it->s = trim(it->s, &it->len, &it->off);
	if (it->len == 0) {
		pol_err(ld, it->off, "nothing stands %s",
		    it->done ? "behind the ','" : "before the ','");
	} else if (it->n == POL_ITEMS_MAX) {
		pol_err(ld, it->off, "more than %u entries", POL_ITEMS_MAX);
	} else {
		it->n++;
		return true;
	}
	it->done = it->failed = true;
	return false;
}

char *
pol_item_dup(struct pol_load *ld, const char *s, size_t n)
{
	char *copy = pol_strndup(&ld->src.mem, s, n);

	return copy == NULL ? pol_oom(ld) : copy;
}

bool
pol_count(struct pol_load *ld, const char *s, size_t n, size_t off,
    unsigned max, unsigned *vp)
{
	unsigned v = 0;
	size_t i;

	*vp = 0;
	for (i = 0; i < n && s[i] >= '0' && s[i] <= '9' && v <= max; i++)
		v = v * 10 + (unsigned)(s[i] - '0');
	if (n == 0 || s[0] < '0' || s[0] > '9') {
		pol_err(ld, off, "a number must stand here");
	} else if (s[0] == '0') {
		pol_err(ld, off,
		    n == 1 ? "the count must not be 0"
			   : "the number begins with 0");
	} else if (v > max) {
		pol_err(ld, off, "the number is over %u", max);
	} else if (i < n) {
		pol_err(ld, off + i, "'%c' is not a digit", s[i]);
	} else {
		*vp = v;
		return true;
	}
	return false;
}

bool
pol_duration(struct pol_load *ld, int64_t *msp)
{
	enum mg_err r = mg_duration_parse(ld->ln->value, msp);

	if (r == MG_ERR_LIMIT)
		pol_err(ld, 0, "the duration is over 366 days");
	else if (r != MG_ERR_OK)
		pol_err(ld, 0,
		    "'%s' is not a duration such as 30m, 1h30m or 7d",
		    ld->ln->value);
	return r == MG_ERR_OK;
}

bool
pol_name(
    struct pol_load *ld, const char *what, const char *s, size_t n, size_t off)
{
	char name[MG_NAME_MAX + 2];
	size_t len = n > MG_NAME_MAX ? MG_NAME_MAX + 1 : n;

	memcpy(name, s, len);
	name[len] = '\0';
	if (mg_name_is_valid(name))
		return true;
	pol_err(ld, off, "%s '%s' %s", what, name, mg_name_why(name));
	return false;
}

/* "key:value", both of them names. */
bool
pol_label(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	const char *colon = memchr(s, ':', n);
	size_t k = colon == NULL ? n : (size_t)(colon - s);

	if (colon == NULL) {
		pol_err(
		    ld, off, "'%.*s' is not of the form key:value", (int)n, s);
		return false;
	}
	return pol_name(ld, "key", s, k, off) &&
	       pol_name(ld, "value", colon + 1, n - k - 1, off + k + 1);
}

/* The kind and the text; returns how long that is. */
static size_t
shared_key(char *key, char kind, const char *text)
{
	size_t n = strnlen(text, MG_INI_LINE_MAX);

	key[0] = kind;
	memcpy(key + 1, text, n);
	return n + 1;
}

const void *
pol_shared_get(struct pol_load *ld, char kind, const char *text)
{
	char key[MG_INI_LINE_MAX + 1];
	uint32_t i;

	i = pol_map_find(&ld->shared, key, shared_key(key, kind, text));
	/* Its place may be missing: memory was out. */
	if (i == POL_NONE || i >= ld->shared_at.n)
		return NULL;
	return ((const void **)ld->shared_at.v)[i];
}

void
pol_shared_put(struct pol_load *ld, char kind, const char *text, const void *v)
{
	char key[MG_INI_LINE_MAX + 1];
	const void **at;

	if (pol_map_add(&ld->shared, &ld->src.mem, key,
		shared_key(key, kind, text)) == POL_NONE ||
	    (at = pol_vec_add(&ld->shared_at, sizeof(*at))) == NULL)
		(void)pol_oom(ld);
	else
		*at = v;
}

struct words {
	uint32_t w[POL_ITEMS_MAX * (1 + POL_TERMS_MAX)];
	uint32_t n, npos;
	uint64_t hash;
};

/* One item of a selecting list: terms joined by '&', perhaps excluded. */
static bool
put_item(struct pol_load *ld, const struct pol_iter *it, struct words *out,
    uint32_t (*atom)(struct pol_load *ld, const char *s, size_t n, size_t off))
{
	const char *s = it->s, *amp, *term;
	size_t left = it->len, off = it->off, n, at;
	uint32_t *head = &out->w[out->n++], id;
	uint64_t terms = 0;

	*head = 0;
	if (*s == '!') {
		*head = POL_SEL_NOT;
		s++;
		left--;
		off++;
	} else {
		out->npos++;
	}
	for (;;) {
		amp = memchr(s, '&', left);
		n = amp == NULL ? left : (size_t)(amp - s);
		at = off;
		if ((*head & ~POL_SEL_NOT) == POL_TERMS_MAX) {
			pol_err(ld, at, "more than %u terms in one item",
			    POL_TERMS_MAX);
			return false;
		}
		term = trim(s, &n, &at);
		if (n > 0 && *term == '!') {
			pol_err(ld, at,
			    "a '!' stands before the first term, and is about "
			    "all of them");
			return false;
		}
		id = atom(ld, term, n, at);
		if (id == POL_NONE)
			return false;
		out->w[out->n++] = id;
		terms += pol_hash64(term, n);
		(*head)++;
		if (amp == NULL) {
			out->hash += pol_mix64(terms ^ (*head >> 31));
			return true;
		}
		off += (size_t)(amp + 1 - s);
		left -= (size_t)(amp + 1 - s);
		s = amp + 1;
	}
}

const struct pol_sel *
pol_sel_parse(struct pol_load *ld, char kind,
    uint32_t (*atom)(struct pol_load *ld, const char *s, size_t n, size_t off))
{
	const struct pol_sel *shared;
	struct pol_sel *sel;
	struct words out;
	struct pol_iter it;

	if ((shared = pol_shared_get(ld, kind, ld->ln->value)) != NULL)
		return shared;
	out.n = out.npos = 0;
	out.hash = 1;
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it))
		if (!put_item(ld, &it, &out, atom))
			return NULL;
	if (it.failed)
		return NULL;
	sel = pol_alloc(&ld->p->mem, sizeof(*sel) + out.n * sizeof(out.w[0]));
	if (sel == NULL)
		return pol_oom(ld);
	sel->hash = out.hash;
	sel->nwords = out.n;
	sel->npos = out.npos;
	memcpy(sel->w, out.w, out.n * sizeof(out.w[0]));
	pol_shared_put(ld, kind, ld->ln->value, sel);
	return sel;
}
