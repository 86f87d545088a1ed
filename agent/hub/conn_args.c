/* SPDX-License-Identifier: ISC */
/*
 * Takes command lines apart.
 *
 * Rules
 * 1. One reading: `text` and `submit` must come to the same note from the
 *    same words, or the signature is over another text.
 * 2. Never a shell, nothing expands.
 */
#include <string.h>

#include "conn_args.h"
#include "mg_esc.h"

static bool
is_blank(char c)
{
	return c == ' ';
}

enum mg_err
conn_args_begin(struct conn_args *a, const char *s, const char **whyp)
{
	size_t n = strlen(s), len;
	const char *p = s;
	uint32_t cp;

	a->p = "";
	*whyp = "the command is too long";
	if (n > CONN_COMMAND_MAX)
		return MG_ERR_LIMIT;
	for (; n > 0; p += len, n -= len) {
		*whyp = "the command is not UTF-8";
		if ((len = mg_utf8_next(p, n, &cp)) == 0)
			return MG_ERR_FORMAT;
		*whyp = "the command has control or invisible characters";
		if (!mg_esc_is_plain(cp))
			return MG_ERR_FORMAT;
	}
	*whyp = "";
	a->p = s;
	return MG_ERR_OK;
}

struct out {
	char *d;
	size_t n, size;
	bool full;
};

static void
put(struct out *o, char c)
{
	if (o->n + 1 >= o->size) {
		o->full = true;
		return;
	}
	o->d[o->n++] = c;
}

/* From behind the opening quote to behind the closing one; false: open. */
static bool
quoted(struct conn_args *a, char quote, struct out *o)
{
	for (; *a->p != '\0'; a->p++) {
		if (*a->p == quote) {
			a->p++;
			return true;
		}
		if (quote == '"' && *a->p == '\\' &&
		    (a->p[1] == '"' || a->p[1] == '\\'))
			a->p++;
		put(o, *a->p);
	}
	return false;
}

/* One word at the cursor. */
static bool
word(struct conn_args *a, struct out *o)
{
	while (*a->p != '\0' && !is_blank(*a->p)) {
		char c = *a->p++;

		if (c == '\'' || c == '"') {
			if (!quoted(a, c, o))
				return false;
			continue;
		}
		if (c == '\\') {
			if (*a->p == '\0')
				return false;
			c = *a->p++;
		}
		put(o, c);
	}
	return true;
}

static enum mg_err
finish(struct out *o, bool ok)
{
	if (!ok || o->full)
		o->n = 0;
	o->d[o->n] = '\0';
	return !ok ? MG_ERR_FORMAT : o->full ? MG_ERR_LIMIT : MG_ERR_OK;
}

enum mg_err
conn_args_word(struct conn_args *a, char *out, size_t size)
{
	struct out o = {.d = out, .size = size};

	out[0] = '\0';
	while (is_blank(*a->p))
		a->p++;
	if (*a->p == '\0')
		return MG_ERR_NOENT;
	return finish(&o, word(a, &o));
}

enum mg_err
conn_args_rest(struct conn_args *a, char *out, size_t size)
{
	struct out o = {.d = out, .size = size};
	bool ok = true, first = true;

	while (ok) {
		while (is_blank(*a->p))
			a->p++;
		if (*a->p == '\0')
			break;
		if (!first)
			put(&o, ' ');
		first = false;
		ok = word(a, &o); /* Rule 1 */
	}
	return finish(&o, ok);
}
