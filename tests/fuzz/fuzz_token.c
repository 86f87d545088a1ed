/* SPDX-License-Identifier: ISC */
/*
 * Break-glass tokens as people type them. What is accepted must have 32
 * symbols, the last of which is right: read again from those alone it is the
 * same token, and with any one of them changed it is none.
 */
#include <stdlib.h>
#include <string.h>

#include "mg_id.h"
#include "mg_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_twin(char *s, const struct mg_token *t)
{
	struct mg_token twin;
	char was;

	if (mg_token_parse(s, &twin, NULL) != MG_ERR_OK ||
	    memcmp(&twin, t, sizeof(twin)) != 0)
		abort();
	was = s[t->digest[0] % 32];
	s[t->digest[0] % 32] = was == 'Z' ? '0' : 'Z';
	if (mg_token_parse(s, &twin, NULL) == MG_ERR_OK)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char typed[1025], s[33] = "";
	struct mg_token t;
	const char *why;
	size_t i, n = 0;

	if (size >= sizeof(typed))
		return -1;
	memcpy(typed, data, size);
	typed[size] = '\0';
	if (mg_token_parse(typed, &t, &why) != MG_ERR_OK) {
		if (t.set[0] != '\0' || t.number != 0 || why[0] == '\0')
			abort();
		return 0;
	}
	for (i = 0; typed[i] != '\0' && n < 32; i++)
		if (typed[i] != '-' && typed[i] != ' ')
			s[n++] = mg_code_char(typed[i]);
	if (n != 32 || t.number < 1 || t.number > MG_TOKENS_MAX ||
	    !mg_token_is_set(t.set) || memcmp(s, t.set, 4) != 0)
		abort();
	check_twin(s, &t);
	return 0;
}
