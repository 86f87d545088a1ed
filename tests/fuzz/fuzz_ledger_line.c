/* SPDX-License-Identifier: ISC */
/* Lines of a ledger and of a snapshot, applied one after the other; what
 * becomes of them can be saved, and restored to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
each_line(struct mg_state *st, const char *p, size_t n, bool snapshot)
{
	const char *nl, *end = p + n;
	struct mg_rec rec;
	enum mg_err r;

	mg_rec_init(&rec);
	for (; p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL;
	     p = nl + 1) {
		r = mg_rec_parse(&rec, p, (size_t)(nl - p));
		if (r == MG_ERR_OK)
			r = snapshot ? mg_state_restore(st, &rec)
				     : mg_state_apply(st, &rec);
		if (r == MG_ERR_OK)
			mg_state_commit(st);
		else if (snapshot)
			abort(); /* what we saved ourselves */
		else
			mg_state_rollback_to(st, NULL);
	}
	mg_rec_fini(&rec);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_state *st = mg_state_new(), *again = mg_state_new();
	struct mg_buf a;

	if (st == NULL || again == NULL)
		abort();
	mg_buf_init(&a, (size_t)1 << 24);
	each_line(st, (const char *)data, size, false);
	if (mg_state_save(st, &a) == MG_ERR_OK) {
		each_line(
		    again, (const char *)mg_buf_ptr(&a), mg_buf_len(&a), true);
		if (mg_state_live_count(again) != mg_state_live_count(st))
			abort();
	}
	mg_buf_fini(&a);
	mg_state_free(st);
	mg_state_free(again);
	return 0;
}
