/* SPDX-License-Identifier: ISC */
/* Checkpoints: what is read has one form, and is what is written. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mg_note_key key = {
	    .kind = MG_NOTE_LOG, .name = "gpu7/modelgate-ledger"};
	struct mg_note note, again;
	const char *why;

	if (mg_note_parse(&note, (const char *)data, size, &why) != MG_ERR_OK)
		return 0;
	if (mg_note_make(&again, note.origin, note.size, note.root) !=
		MG_ERR_OK ||
	    again.body_len != note.body_len ||
	    memcmp(again.text, note.text, note.body_len) != 0)
		abort();
	/* A key of zeros has signed nothing. */
	if (mg_note_verify(&note, &key, NULL) == MG_ERR_OK)
		abort();
	return 0;
}
