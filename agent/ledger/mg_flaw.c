/* SPDX-License-Identifier: ISC */
/* The words for what can be wrong with a ledger. */
#include <stdarg.h>
#include <stdio.h>

#include "mg_flaw.h"

static const char *const words[] = {
#define WORD(name, word) [MG_FLAW_##name] = (word),
    MG_FLAW_LIST(WORD)
#undef WORD
};

const char *
mg_flaw_word(enum mg_flaw_kind kind)
{
	return words[(unsigned)kind < MG_FLAW_COUNT ? kind : MG_FLAW_NONE];
}

void
mg_flaw_set(struct mg_flaw *f, enum mg_flaw_kind kind, uint64_t record,
    const char *fmt, ...)
{
	va_list ap;
	int n;

	f->kind = kind;
	f->record = record;
	n = snprintf(f->text, sizeof(f->text), "%s: ", mg_flaw_word(kind));
	va_start(ap, fmt);
	vsnprintf(f->text + n, sizeof(f->text) - (size_t)n, fmt, ap);
	va_end(ap);
}
