/* SPDX-License-Identifier: ISC */
/*
 * A strict line reader in front of inih.
 *
 * inih splits lines over 199 bytes, joins indented lines, cuts values at
 * " ;" and passes duplicates, all in silence. So the reader here judges
 * each line itself, hands inih only "[s]" or "key=v" for the lines that
 * are sound, and delivers the real strings when inih calls back.
 */
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_ini.h"

/* Headers seen, to find a section that comes twice: a small hash set. */
struct seen {
	char **v;
	size_t n, cap;
};

struct reader {
	const char *at, *end;
	const char *file;
	mg_ini_fn fn;
	void *arg;
	struct mg_diags *ds;
	size_t errors;
	bool no_memory;
	bool in_section;
	bool skip; /* after a bad header: say it once, not per key */
	struct mg_ini_line line;
	char src[MG_INI_LINE_MAX + 1];
	char key[MG_INI_LINE_MAX + 1];
	char value[MG_INI_LINE_MAX + 1];
	char section[MG_INI_LINE_MAX + 1];
	char keys[MG_INI_KEYS_MAX][64];
	size_t nkeys;
	struct seen seen;
};

static void
add_error(struct mg_diags *ds, const struct mg_ini_line *line, unsigned col,
    const char *text)
{
	mg_diags_add(
	    ds, false, line->file, line->line, col, line->src, "%s", text);
}

void
mg_ini_error(struct mg_diags *ds, const struct mg_ini_line *line, unsigned col,
    const char *fmt, ...)
{
	char text[MG_DIAG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_error(ds, line, col, text);
}

static bool
bad(struct reader *rd, size_t col, const char *text)
{
	rd->errors++;
	add_error(rd->ds, &rd->line, (unsigned)col, text);
	return false;
}

/* FNV-1a; the set only has to be fast for honest files. */
static size_t
hash(const char *s)
{
	uint64_t h = 14695981039346656037U;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211U;
	return (size_t)h;
}

static bool
seen_grow(struct seen *seen)
{
	size_t cap = seen->cap == 0 ? 64 : seen->cap * 2, i, at;
	char **v;

	if ((v = calloc(cap, sizeof(*v))) == NULL)
		return false;
	for (i = 0; i < seen->cap; i++) {
		if (seen->v[i] == NULL)
			continue;
		at = hash(seen->v[i]) & (cap - 1);
		while (v[at] != NULL)
			at = (at + 1) & (cap - 1);
		v[at] = seen->v[i];
	}
	free(seen->v);
	seen->v = v;
	seen->cap = cap;
	return true;
}

/* Adds s. 1 added, 0 was there, -1 out of memory. */
static int
seen_add(struct seen *seen, const char *s)
{
	size_t at;

	if (2 * (seen->n + 1) > seen->cap && !seen_grow(seen))
		return -1;
	at = hash(s) & (seen->cap - 1);
	for (; seen->v[at] != NULL; at = (at + 1) & (seen->cap - 1))
		if (strcmp(seen->v[at], s) == 0)
			return 0;
	if ((seen->v[at] = strdup(s)) == NULL)
		return -1;
	seen->n++;
	return 1;
}

static void
seen_fini(struct seen *seen)
{
	size_t i;

	for (i = 0; i < seen->cap; i++)
		free(seen->v[i]);
	free(seen->v);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts trailing blanks of s[0..n) and terminates. */
static size_t
trim_end(char *s, size_t n)
{
	while (n > 0 && is_blank(s[n - 1]))
		n--;
	s[n] = '\0';
	return n;
}

/* Takes the next line into src; false at the end of the text. */
static bool
next_line(struct reader *rd, bool *okp)
{
	const char *nl;
	size_t n, i;
	uint32_t cp;

	*okp = false;
	if (rd->at == rd->end)
		return false;
	nl = memchr(rd->at, '\n', (size_t)(rd->end - rd->at));
	n = (size_t)((nl == NULL ? rd->end : nl) - rd->at);
	rd->line.line++;
	rd->src[0] = '\0';
	if (n > MG_INI_LINE_MAX) {
		(void)bad(rd, 0, "line is longer than 4096 bytes");
	} else {
		memcpy(rd->src, rd->at, n);
		rd->src[n] = '\0';
		*okp = true;
		for (i = 0; i < n && *okp;) {
			size_t len = mg_utf8_next(rd->src + i, n - i, &cp);

			if (len == 0)
				*okp = bad(rd, i + 1, "bytes are not UTF-8");
			else if (cp != '\t' && !mg_esc_is_plain(cp))
				*okp = bad(rd, i + 1,
				    "control or invisible character");
			i += len;
		}
	}
	if (!*okp && *rd->at == '[') /* a header, had it been sound */
		rd->in_section = rd->skip = true;
	rd->at = nl == NULL ? rd->end : nl + 1;
	return true;
}

/* Length of s up to a comment behind it. */
static bool
content_length(struct reader *rd, const char *s, size_t col, size_t *np)
{
	bool quoted = false;
	size_t i;

	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] == '"')
			quoted = !quoted;
		else if (s[i] == ';' && !quoted && i > 0 && is_blank(s[i - 1]))
			break;
	}
	*np = i;
	if (quoted)
		return bad(rd, col, "quote is not closed");
	return true;
}

static bool
header(struct reader *rd)
{
	char *p = rd->src + 1, *close, *name;
	size_t rest;

	rd->in_section = rd->skip = true;
	if ((close = strchr(p, ']')) == NULL)
		return bad(rd, strlen(rd->src) + 1, "']' is missing");
	rest = (size_t)(close + 1 - rd->src);
	while (is_blank(rd->src[rest]))
		rest++;
	if (rd->src[rest] != '\0' &&
	    (rd->src[rest] != ';' || !is_blank(rd->src[rest - 1])))
		return bad(rd, rest + 1, "text after ']'");
	memcpy(rd->section, p, (size_t)(close - p));
	rd->section[close - p] = '\0';
	if (rd->section[0] == '\0' || is_blank(rd->section[0]) ||
	    is_blank(close[-1]))
		return bad(rd, 2, "section is not '[type]' or '[type name]'");
	name = rd->section + strcspn(rd->section, " \t");
	rd->line.name_col = (unsigned)(name - rd->section) + 2;
	if (*name != '\0') {
		*name++ = '\0';
		rd->line.name_col++;
		while (is_blank(*name)) {
			name++;
			rd->line.name_col++;
		}
	}
	/* However many blanks are between the two. */
	snprintf(rd->value, sizeof(rd->value), "%s %s", rd->section, name);
	switch (seen_add(&rd->seen, rd->value)) {
	case 1:
		break;
	case 0:
		return bad(rd, 1, "section stands in this file already");
	default:
		rd->no_memory = true;
		return false;
	}
	rd->line.section = rd->section;
	rd->line.name = name;
	rd->line.key = rd->line.value = NULL;
	rd->nkeys = 0;
	rd->skip = false;
	return true;
}

static bool
note_key(struct reader *rd)
{
	size_t i;

	for (i = 0; i < rd->nkeys; i++)
		if (strcmp(rd->keys[i], rd->key) == 0)
			return bad(rd, 1, "key stands in this section already");
	if (rd->nkeys == MG_INI_KEYS_MAX)
		return bad(rd, 1, "more than 64 keys in this section");
	if (strlen(rd->key) >= sizeof(rd->keys[0]))
		return bad(rd, 1, "key is longer than 63 bytes");
	memcpy(rd->keys[rd->nkeys++], rd->key, strlen(rd->key) + 1);
	return true;
}

static bool
setting(struct reader *rd)
{
	char *eq = strchr(rd->src, '='), *v;
	size_t n;

	if (eq == NULL)
		return bad(rd, 1, "neither '[section]' nor 'key = value'");
	memcpy(rd->key, rd->src, (size_t)(eq - rd->src));
	n = trim_end(rd->key, (size_t)(eq - rd->src));
	if (n == 0)
		return bad(rd, 1, "key is empty");
	if (!rd->in_section)
		return bad(rd, 1, "key outside of a section");
	if (rd->skip)
		return false;
	if (!note_key(rd))
		return false;
	for (v = eq + 1; is_blank(*v); v++)
		continue;
	rd->line.key_col = 1;
	rd->line.value_col = (unsigned)(v - rd->src) + 1;
	if (*v == ';' && v > eq + 1)
		return bad(rd, rd->line.value_col, "value is empty");
	if (!content_length(rd, v, rd->line.value_col, &n))
		return false;
	memcpy(rd->value, v, n);
	if (trim_end(rd->value, n) == 0)
		return bad(rd, rd->line.value_col, "value is empty");
	rd->line.key = rd->key;
	rd->line.value = rd->value;
	return true;
}

/* inih's fgets: the next sound line, in the short form. */
static char *
read_line(char *out, int size, void *stream)
{
	struct reader *rd = stream;
	bool ok;

	while (!rd->no_memory && next_line(rd, &ok)) {
		char c = rd->src[0];

		if (!ok || c == '\0' || c == ';' || c == '#')
			continue;
		if (is_blank(c)) {
			if (rd->src[strspn(rd->src, " \t")] != '\0')
				(void)bad(rd, 1, "line is indented");
			continue;
		}
		if (c == '[') {
			if (!header(rd))
				continue;
			rd->fn(rd->arg, &rd->line);
			snprintf(out, (size_t)size, "[s]\n");
			return out;
		}
		if (!setting(rd))
			continue;
		snprintf(out, (size_t)size, "k=v\n");
		return out;
	}
	return NULL;
}

static int
deliver(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *rd = arg;

	(void)section;
	(void)name;
	(void)value;
	rd->fn(rd->arg, &rd->line);
	return 1;
}

enum mg_err
mg_ini_parse(const char *file, const char *text, size_t len, mg_ini_fn fn,
    void *arg, struct mg_diags *ds)
{
	struct reader *rd;
	enum mg_err r;

	if ((rd = calloc(1, sizeof(*rd))) == NULL)
		return MG_ERR_NOMEM;
	rd->at = text;
	rd->end = text + len;
	rd->fn = fn;
	rd->arg = arg;
	rd->ds = ds;
	rd->line.file = rd->file = file;
	rd->line.src = rd->src;
	if (ini_parse_stream(read_line, rd, deliver, rd) != 0)
		r = MG_ERR_INTERNAL;
	else if (rd->no_memory)
		r = MG_ERR_NOMEM;
	else
		r = rd->errors > 0 ? MG_ERR_FORMAT : MG_ERR_OK;
	seen_fini(&rd->seen);
	free(rd);
	return r;
}

bool
mg_ini_is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".ini") == 0;
}
