/* SPDX-License-Identifier: ISC */
/* The body of the signed text, as it comes back from elsewhere. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {"request", "host", "requester", "operation",
    "model", "version", "artifact", "argv", "run-as", "lasts", "reason",
    "ticket", "policy", "requested-at", "nonce", "decision", "approver",
    "note"};

/* What is a body can be read line by line and be signed over. */
static void
check(const char *body, size_t n)
{
	struct mg_buf b, text;
	size_t i;

	mg_buf_init(&b, MG_TEXT_MAX);
	mg_buf_init(&text, MG_TEXT_MAX);
	for (i = 0; i < 15; i++) {
		mg_buf_reset(&b);
		if (mg_text_get(&b, body, n, keys[i]) != MG_ERR_OK)
			abort();
	}
	if (mg_text_put(&text, "approve", "bob", "a\nnote: b", body, n) !=
	    MG_ERR_OK)
		abort();
	/* Nothing in the body reads as one of the lines in front of it. */
	mg_buf_reset(&b);
	if (mg_text_get(&b, (const char *)mg_buf_ptr(&text), mg_buf_len(&text),
		"approver") != MG_ERR_OK ||
	    mg_buf_len(&b) != 3 || memcmp(mg_buf_ptr(&b), "bob", 3) != 0)
		abort();
	mg_buf_fini(&text);
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_buf b;
	char *copy;
	size_t i;

	if ((copy = malloc(size + 1)) == NULL)
		abort();
	memcpy(copy, data, size);
	mg_buf_init(&b, MG_TEXT_MAX);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		mg_buf_reset(&b);
		(void)!mg_text_get(&b, copy, size, keys[i]);
	}
	mg_buf_reset(&b);
	if (mg_text_asks_number(copy, size) &&
	    mg_text_put_number(&b, copy, size, "4x") == MG_ERR_OK)
		abort();
	if (mg_text_check_body(copy, size) == MG_ERR_OK)
		check(copy, size);
	mg_buf_fini(&b);
	free(copy);
	return 0;
}
