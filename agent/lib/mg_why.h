/* SPDX-License-Identifier: ISC */
#ifndef MG_WHY_H
#define MG_WHY_H

#include "mg_why.def"

/* Why something was refused or ended. */
enum mg_why {
#define MG_WHY_ENUM(NAME, word, sentence) MG_WHY_##NAME,
	MG_WHY_LIST(MG_WHY_ENUM)
#undef MG_WHY_ENUM
	    MG_WHY_COUNT
};

/* The stable word and the sentence; those of MG_WHY_INTERNAL if unknown. */
const char *mg_why_word(enum mg_why why);
const char *mg_why_sentence(enum mg_why why);

/* The value whose word this is; MG_WHY_NONE when there is none. */
enum mg_why mg_why_from_word(const char *word);

#endif
