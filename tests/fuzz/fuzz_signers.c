/* SPDX-License-Identifier: ISC */
/* allowed_signers and hosts, and with them base64 and key blobs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_name.h"
#include "mg_signers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came through must be what the header promises. */
static void
check(const struct mg_signers *s, enum mg_signers_kind kind)
{
	const struct mg_signer *v;
	enum mg_sshkey_type type;
	size_t i;

	for (i = 0; i < mg_signers_count(s); i++) {
		v = mg_signers_at(s, i);
		if (!mg_name_is_valid(v->name) ||
		    mg_sshkey_check(v->blob, v->blob_len, &type, NULL) !=
			MG_ERR_OK ||
		    type != v->type)
			abort();
		/* Found under itself: so no other line has the same key. */
		if (mg_signers_find(s, v->blob, v->blob_len) != v ||
		    !mg_signers_has_name(s, v->name))
			abort();
		if (kind == MG_SIGNERS_HOSTS &&
		    (v->after_ms != 0 || v->before_ms != 0))
			abort();
	}
}

/* The first byte chooses the kind of file. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mg_signers_kind kind;
	static struct mg_diags ds;
	struct mg_signers *s;
	enum mg_err r;

	if (size == 0)
		return 0;
	kind = data[0] == 'h' ? MG_SIGNERS_HOSTS : MG_SIGNERS_APPROVERS;
	mg_diags_init(&ds);
	r = mg_signers_parse(
	    kind, "f", (const char *)data + 1, size - 1, &s, &ds);
	if ((r == MG_ERR_OK) != (s != NULL) || (s != NULL) != (ds.errors == 0))
		abort();
	if (s != NULL)
		check(s, kind);
	mg_signers_free(s);
	return 0;
}
