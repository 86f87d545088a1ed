/* SPDX-License-Identifier: ISC */
/* What a host may send to the hub, and the hub to a host, in pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static union {
	struct mg_hub_put put;
	struct mg_hub_put_ans put_ans;
	struct mg_hub_state state;
	struct mg_hub_decision decision;
	struct mg_hub_verdict verdict;
	struct mg_hub_ping ping;
} msg;

/* What decodes must encode to the same bytes: there is one form only. */
static void
check(const struct mg_frame *f)
{
	const struct mg_msg_type *t = mg_msg_type(f->op);
	struct mg_buf b;

	if (t == NULL || t->size > sizeof(msg))
		abort();
	if (mg_frame_decode(f, &msg, t->size) != MG_ERR_OK)
		return;
	mg_buf_init(&b, MG_MSG_PAYLOAD_MAX);
	if (mg_msg_encode(&b, f->id, f->op, &msg, NULL) != MG_ERR_OK ||
	    mg_buf_len(&b) != f->len + MG_MSG_HEADER ||
	    memcmp(mg_buf_ptr(&b) + MG_MSG_HEADER, f->payload, f->len) != 0)
		abort();
	mg_buf_fini(&b);
}

/* The first byte is the end that reads and the size of the pieces. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_stream st;
	struct mg_frame f;
	size_t at = 1, step, used;
	enum mg_err r = MG_ERR_AGAIN;

	if (size == 0)
		return 0;
	if ((data[0] & 1) != 0)
		mg_stream_init(&st, MG_ROLE_HUB, MG_ROLE_HOST, 4096);
	else
		mg_stream_init(&st, MG_ROLE_HOST, MG_ROLE_HUB, 4096);
	while (at < size && (r == MG_ERR_OK || r == MG_ERR_AGAIN)) {
		step = (size_t)(data[0] >> 1) + 1;
		if (step > size - at)
			step = size - at;
		r = mg_stream_recv(&st, data + at, step, &used, &f, NULL);
		if (used > step || (r == MG_ERR_AGAIN && used != step))
			abort();
		if (r == MG_ERR_OK)
			check(&f);
		at += used;
	}
	mg_stream_fini(&st);
	return 0;
}
