/* SPDX-License-Identifier: ISC */
/* The texts of error values. */
#include <assert.h>
#include <stddef.h>

#include "mg_err.h"

static const char *const texts[] = {
#define MG_ERR_TEXT(name, text) [MG_ERR_##name] = (text),
    MG_ERR_LIST(MG_ERR_TEXT)
#undef MG_ERR_TEXT
};

static_assert(
    sizeof(texts) / sizeof(texts[0]) == MG_ERR_COUNT, "every error has a text");

const char *
mg_err_str(enum mg_err err)
{
	if ((size_t)err >= MG_ERR_COUNT)
		return "unknown error";
	return texts[err];
}
