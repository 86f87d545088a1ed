/* SPDX-License-Identifier: ISC */
/* Every message between processes: header, payload, and its one form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever decodes has texts of its class and encodes to the same bytes. */
static void
check(const struct mg_msg_type *t, const void *msg, const uint8_t *p, size_t n)
{
	struct mg_buf b;
	size_t i;

	for (i = 0; i < t->nfields; i++) {
		const struct mg_msg_field *f = &t->fields[i];
		const char *s;

		if (f->kind != MG_KIND_STR)
			continue;
		memcpy(&s, (const char *)msg + f->off, sizeof(s));
		if (s == NULL || strlen(s) > f->limit ||
		    !mg_msg_class_check(f->class, s))
			abort();
	}
	mg_buf_init(&b, MG_MSG_PAYLOAD_MAX + MG_MSG_HEADER);
	if (mg_msg_encode(&b, 1, t->op, msg, NULL) != MG_ERR_OK ||
	    mg_buf_len(&b) != n + MG_MSG_HEADER ||
	    (n > 0 && memcmp(mg_buf_ptr(&b) + MG_MSG_HEADER, p, n) != 0))
		abort();
	mg_buf_fini(&b);
}

/* A whole frame, read as if from anybody to anybody. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_msg_header h;
	const char *why, *field;
	uint8_t *copy;
	void *msg;

	if (size < MG_MSG_HEADER ||
	    mg_msg_header_get(data, ~0U, ~0U, &h, &why) != MG_ERR_OK)
		return 0;
	data += MG_MSG_HEADER;
	size -= MG_MSG_HEADER;
	if (size > h.len)
		size = h.len;
	/* Copies of the exact size: reading beyond is seen. */
	if ((msg = malloc(h.type->size)) == NULL ||
	    (copy = malloc(size + 1)) == NULL)
		abort();
	memcpy(copy, data, size);
	if (mg_msg_decode(h.type->op, copy, size, msg, h.type->size, &field) ==
	    MG_ERR_OK)
		check(h.type, msg, copy, size);
	else if (field != NULL && field[0] == '\0')
		abort();
	free(copy);
	free(msg);
	return 0;
}
