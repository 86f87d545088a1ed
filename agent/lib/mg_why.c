/* SPDX-License-Identifier: ISC */
/* The words for reasons. */
#include <stddef.h>
#include <string.h>

#include "mg_why.h"

static const struct {
	const char *word, *sentence;
} table[] = {
#define MG_WHY_ROW(NAME, word, sentence) [MG_WHY_##NAME] = {(word), (sentence)},
    MG_WHY_LIST(MG_WHY_ROW)
#undef MG_WHY_ROW
};

const char *
mg_why_word(enum mg_why why)
{
	if ((size_t)why >= MG_WHY_COUNT)
		why = MG_WHY_INTERNAL;
	return table[why].word;
}

const char *
mg_why_sentence(enum mg_why why)
{
	if ((size_t)why >= MG_WHY_COUNT)
		why = MG_WHY_INTERNAL;
	return table[why].sentence;
}

enum mg_why
mg_why_from_word(const char *word)
{
	size_t i;

	for (i = 0; i < MG_WHY_COUNT; i++)
		if (strcmp(table[i].word, word) == 0)
			return (enum mg_why)i;
	return MG_WHY_NONE;
}
