/* SPDX-License-Identifier: ISC */
/* A record on one line of JSON, read and written again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_json.h"
#include "mg_rec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_again(struct mg_json *j, const struct mg_rec *rec)
{
	size_t i;

	mg_json_obj(j, NULL);
	for (i = 0; i < rec->n; i++) {
		const struct mg_rec_field *f = &rec->f[i];

		switch (f->kind) {
		case MG_REC_STR:
			mg_json_str(j, f->key, f->s);
			break;
		case MG_REC_INT:
			mg_json_int(j, f->key, f->i);
			break;
		case MG_REC_BOOL:
			mg_json_bool(j, f->key, f->i != 0);
			break;
		case MG_REC_STRV:
			mg_json_strv(j, f->key, f->v, f->n);
			break;
		}
	}
	mg_json_obj_end(j);
}

static void
compare(const struct mg_rec *a, const struct mg_rec *b)
{
	size_t i, k;

	if (a->n != b->n)
		abort();
	for (i = 0; i < a->n; i++) {
		const struct mg_rec_field *x = &a->f[i], *y = &b->f[i];

		if (x->kind != y->kind || strcmp(x->key, y->key) != 0 ||
		    (x->kind == MG_REC_STR && strcmp(x->s, y->s) != 0) ||
		    ((x->kind == MG_REC_INT || x->kind == MG_REC_BOOL) &&
			x->i != y->i))
			abort();
		if (x->kind != MG_REC_STRV)
			continue;
		if (x->n != y->n)
			abort();
		for (k = 0; k < x->n; k++)
			if (strcmp(x->v[k], y->v[k]) != 0)
				abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_rec rec, again;
	struct mg_json j;
	struct mg_buf b;
	const char *line;
	char *copy;

	if ((copy = malloc(size + 1)) == NULL)
		abort();
	memcpy(copy, data, size);
	mg_rec_init(&rec);
	mg_rec_init(&again);
	mg_buf_init(&b, 8 * MG_REC_LINE_MAX);
	if (mg_rec_parse(&rec, copy, size) != MG_ERR_OK) {
		if (rec.n != 0 || rec.text != NULL)
			abort();
	} else {
		mg_json_begin(&j, &b);
		write_again(&j, &rec);
		if (mg_json_end(&j) != MG_ERR_OK ||
		    (line = mg_buf_cstr(&b)) == NULL || !mg_esc_is_clean(line))
			abort();
		/* Escapes are longer than what they stand for. */
		if (strlen(line) <= MG_REC_LINE_MAX) {
			if (mg_rec_parse(&again, line, strlen(line)) !=
			    MG_ERR_OK)
				abort();
			compare(&rec, &again);
		}
	}
	mg_buf_fini(&b);
	mg_rec_fini(&again);
	mg_rec_fini(&rec);
	free(copy);
	return 0;
}
