/* SPDX-License-Identifier: ISC */
/* The reader of every configuration and policy file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned line;
	char *last;
};

static void
take(void *arg, const struct mg_ini_line *l)
{
	struct seen *s = arg;

	if (l->line <= s->line || l->section == NULL || l->name == NULL ||
	    !mg_utf8_is_valid(l->src, strlen(l->src)) ||
	    strlen(l->src) > MG_INI_LINE_MAX)
		abort();
	if (l->key != NULL &&
	    (l->key[0] == '\0' || l->value == NULL || l->value[0] == '\0' ||
		l->key_col == 0 || l->value_col <= l->key_col ||
		l->value_col > strlen(l->src)))
		abort();
	s->line = l->line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mg_diags ds;
	struct seen seen = {0, NULL};
	enum mg_err r;

	mg_diags_init(&ds);
	r = mg_ini_parse(
	    "fuzz.ini", (const char *)data, size, take, &seen, &ds);
	if ((r == MG_ERR_FORMAT) != (ds.n > 0) ||
	    (r != MG_ERR_OK && r != MG_ERR_FORMAT && r != MG_ERR_NOMEM))
		abort();
	return 0;
}
