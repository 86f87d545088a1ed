/* SPDX-License-Identifier: ISC */
/* The command line of an ssh exec request at the hub. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub/conn_args.h"
#include "mg_esc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s, *out;
	struct conn_args a, rest;
	const char *why = NULL;
	size_t room = size > 0 ? data[0] + (size_t)1 : 1;
	enum mg_err r;

	if (size == 0 || size > CONN_COMMAND_MAX)
		return 0;
	if ((s = malloc(size)) == NULL || (out = malloc(room)) == NULL)
		abort();
	memcpy(s, data + 1, size - 1);
	s[size - 1] = '\0';
	if ((r = conn_args_begin(&a, s, &why)) != MG_ERR_OK) {
		if (why == NULL || mg_esc_is_clean(s))
			abort();
	} else {
		rest = a;
		while ((r = conn_args_word(&a, out, room)) == MG_ERR_OK)
			if (!mg_esc_is_clean(out) || strlen(out) >= room)
				abort();
		if (out[0] != '\0')
			abort();
		r = conn_args_rest(&rest, out, room);
		if (!mg_esc_is_clean(out) || (r != MG_ERR_OK && out[0] != '\0'))
			abort();
	}
	free(out);
	free(s);
	return 0;
}
