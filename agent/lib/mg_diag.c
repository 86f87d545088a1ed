/* SPDX-License-Identifier: ISC */
/* Keeps and prints the problems that were found in files. */
#include <stdarg.h>
#include <string.h>

#include "mg_diag.h"
#include "mg_esc.h"

void
mg_diags_init(struct mg_diags *ds)
{
	memset(ds, 0, sizeof(*ds));
}

static struct mg_diag *
place(struct mg_diags *ds, bool is_warning)
{
	size_t i;

	if (ds->n < MG_DIAG_MAX)
		return &ds->v[ds->n++];
	if (is_warning)
		return NULL;
	for (i = ds->n; i > 0; i--) {
		if (!ds->v[i - 1].is_warning)
			continue;
		memmove(
		    &ds->v[i - 1], &ds->v[i], (ds->n - i) * sizeof(ds->v[0]));
		return &ds->v[ds->n - 1];
	}
	return NULL;
}

/*
 * Which character of the escaped line esc stands for byte col of src, from
 * 1: escapes are longer than what they stand for, and a character may have
 * several bytes. 0 when it was cut away.
 */
static unsigned
find_mark(const char *src, unsigned col, const char *esc)
{
	char before[MG_DIAG_SRC_MAX], shown[6 * MG_DIAG_SRC_MAX];
	unsigned mark = 1;
	size_t i, n;

	if (col == 0 || col > sizeof(before) || col > strlen(src) + 1)
		return 0;
	memcpy(before, src, col - 1);
	before[col - 1] = '\0';
	mg_esc_line(before, shown, sizeof(shown));
	n = strlen(shown);
	if (strncmp(shown, esc, n) != 0)
		return 0;
	for (i = 0; i < n; i++)
		if (((unsigned char)shown[i] & 0xc0) != 0x80)
			mark++;
	return mark;
}

void
mg_diags_add(struct mg_diags *ds, bool is_warning, const char *file,
    unsigned line, unsigned col, const char *src, const char *fmt, ...)
{
	struct mg_diag *d;
	char raw[MG_DIAG_TEXT_MAX];
	va_list ap;

	if (is_warning)
		ds->warnings++;
	else
		ds->errors++;
	if ((d = place(ds, is_warning)) == NULL)
		return;
	memset(d, 0, sizeof(*d));
	d->line = line;
	d->col = col;
	d->is_warning = is_warning;
	mg_esc_line(file == NULL ? "" : file, d->file, sizeof(d->file));
	if (src != NULL) {
		mg_esc_line(src, d->src, sizeof(d->src));
		d->mark = find_mark(src, col, d->src);
	}
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	mg_esc_line(raw, d->text, sizeof(d->text));
}

static void
format_one(const struct mg_diag *d, char *out, size_t size)
{
	char where[MG_DIAG_FILE_MAX + 32];

	if (d->line == 0)
		snprintf(where, sizeof(where), "%s", d->file);
	else if (d->col == 0)
		snprintf(where, sizeof(where), "%s:%u", d->file, d->line);
	else
		snprintf(
		    where, sizeof(where), "%s:%u:%u", d->file, d->line, d->col);
	snprintf(out, size, "%s: %s%s", where, d->is_warning ? "warning: " : "",
	    d->text);
}

static void
print_marker(const struct mg_diag *d, FILE *out)
{
	size_t i;

	fprintf(out, "    %s\n", d->src);
	if (d->mark == 0)
		return;
	fputs("    ", out);
	for (i = 1; i < d->mark; i++)
		fputc(' ', out);
	fputs("^\n", out);
}

void
mg_diags_print(const struct mg_diags *ds, FILE *out)
{
	char line[MG_DIAG_FILE_MAX + MG_DIAG_TEXT_MAX + 64];
	size_t i, total = ds->errors + ds->warnings;

	for (i = 0; i < ds->n; i++) {
		format_one(&ds->v[i], line, sizeof(line));
		fprintf(out, "%s\n", line);
		if (ds->v[i].src[0] != '\0')
			print_marker(&ds->v[i], out);
	}
	if (total > ds->n)
		fprintf(out, "and %zu more\n", total - ds->n);
}

void
mg_diags_first(const struct mg_diags *ds, char *out, size_t size)
{
	const struct mg_diag *d = NULL;
	size_t i;

	for (i = 0; i < ds->n && d == NULL; i++)
		if (!ds->v[i].is_warning)
			d = &ds->v[i];
	if (d == NULL && ds->n > 0)
		d = &ds->v[0];
	if (d == NULL)
		snprintf(out, size, "no problem found");
	else
		format_one(d, out, size);
}
