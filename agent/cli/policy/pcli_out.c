/* SPDX-License-Identifier: ISC */
/* Colours on terminals only, tables that line up, JSON. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_esc.h"
#include "pcli.h"

#define JSON_MAX (256U << 20)

static bool out_is_tty, err_is_tty;

static const char *const codes[] = {
    "", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"};

void
pcli_out_init(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	bool may = (no == NULL || no[0] == '\0') && term != NULL &&
		   strcmp(term, "dumb") != 0;

	out_is_tty = may && isatty(STDOUT_FILENO);
	err_is_tty = may && isatty(STDERR_FILENO);
}

const char *
pcli_on(enum pcli_colour c)
{
	return out_is_tty ? codes[c] : "";
}

const char *
pcli_off(void)
{
	return out_is_tty ? "\x1b[0m" : "";
}

const char *
pcli_err_on(enum pcli_colour c)
{
	return err_is_tty ? codes[c] : "";
}

const char *
pcli_err_off(void)
{
	return err_is_tty ? "\x1b[0m" : "";
}

void
pcli_error(const char *fmt, ...)
{
	char raw[1024], text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	mg_esc_line(raw, text, sizeof(text));
	fprintf(stderr, "modelgate policy: %s\n", text);
}

int
pcli_usage(const char *text)
{
	fprintf(stderr, "usage: modelgate policy %s\n", text);
	return PCLI_USAGE;
}

/* ---- tables ---- */

void
pcli_table_init(struct pcli_table *t, size_t ncolumns)
{
	memset(t, 0, sizeof(*t));
	t->ncolumns = ncolumns;
}

void
pcli_table_row(
    struct pcli_table *t, enum pcli_colour c, const char *const *cells)
{
	size_t cap = t->cap == 0 ? 32 : t->cap * 2, i;
	char text[1024];
	void *v;

	if (t->nrows == t->cap) {
		v = reallocarray(t->v, cap * t->ncolumns, sizeof(*t->v));
		if (v == NULL)
			goto failed;
		t->v = v;
		v = reallocarray(t->colour, cap, sizeof(*t->colour));
		if (v == NULL)
			goto failed;
		t->colour = v;
		t->cap = cap;
	}
	for (i = 0; i < t->ncolumns; i++) {
		mg_esc_line(cells[i], text, sizeof(text));
		t->v[t->nrows * t->ncolumns + i] = strdup(text);
		if (t->v[t->nrows * t->ncolumns + i] == NULL)
			t->failed = true;
	}
	t->colour[t->nrows++] = c;
	return;
failed:
	t->failed = true;
}

static size_t
width_of(const char *s)
{
	size_t n = strlen(s), w = 0, len;
	uint32_t cp;

	for (; n > 0; s += len, n -= len, w++)
		if ((len = mg_utf8_next(s, n, &cp)) == 0)
			len = 1;
	return w;
}

static void
print_row(const struct pcli_table *t, size_t row, const size_t *width,
    unsigned indent)
{
	size_t i, last = 0;

	for (i = 0; i < t->ncolumns; i++)
		if (t->v[row * t->ncolumns + i][0] != '\0')
			last = i;
	printf("%*s", (int)indent, "");
	for (i = 0; i <= last; i++) {
		const char *s = t->v[row * t->ncolumns + i];
		bool paint = i == 0 && t->colour[row] != PCLI_PLAIN;

		printf("%s%s%s", paint ? pcli_on(t->colour[row]) : "", s,
		    paint ? pcli_off() : "");
		if (i < last)
			printf("%*s", (int)(width[i] - width_of(s)) + 2, "");
	}
	putchar('\n');
}

void
pcli_table_end(struct pcli_table *t, unsigned indent)
{
	size_t width[PCLI_COLUMNS_MAX] = {0}, i, w;

	for (i = 0; i < t->nrows * t->ncolumns && !t->failed; i++) {
		w = width_of(t->v[i]);
		if (w > width[i % t->ncolumns])
			width[i % t->ncolumns] = w;
	}
	for (i = 0; i < t->nrows && !t->failed; i++)
		print_row(t, i, width, indent);
	if (t->failed)
		pcli_error("out of memory");
	for (i = 0; i < t->nrows * t->ncolumns; i++)
		free(t->v[i]);
	free(t->v);
	free(t->colour);
	memset(t, 0, sizeof(*t));
}

/* ---- people ---- */

const char *
pcli_name(const char *name, char *buf, size_t size)
{
	if (name[0] == '\0')
		return "(anybody else)";
	if (name[0] != '@')
		return name;
	snprintf(buf, size, "(anybody in %s)", name);
	return buf;
}

void
pcli_names(const char *const *names, size_t n, unsigned indent)
{
	size_t col = 0, len, i;
	char buf[512];

	for (i = 0; i < n; i++) {
		const char *name = pcli_name(names[i], buf, sizeof(buf));

		len = strlen(name) + (i + 1 < n ? 2 : 0);
		if (col == 0 || col + len > 78) {
			printf("%s%*s", col == 0 ? "" : "\n", (int)indent, "");
			col = indent;
		}
		printf("%s%s%s%s", pcli_on(PCLI_BOLD), name, pcli_off(),
		    i + 1 < n ? ", " : "");
		col += len;
	}
	putchar('\n');
}

/* ---- JSON ---- */

struct mg_json *
pcli_json_begin(struct pcli_json *pj)
{
	mg_buf_init(&pj->b, JSON_MAX);
	mg_json_begin(&pj->j, &pj->b);
	mg_json_obj(&pj->j, NULL);
	return &pj->j;
}

int
pcli_json_end(struct pcli_json *pj, int status)
{
	mg_json_obj_end(&pj->j);
	if (mg_json_end(&pj->j) != MG_ERR_OK) {
		pcli_error("the answer is too large for one document");
		status = PCLI_FAILED;
	} else {
		fwrite(mg_buf_ptr(&pj->b), 1, mg_buf_len(&pj->b), stdout);
		putchar('\n');
	}
	mg_buf_fini(&pj->b);
	return status;
}
