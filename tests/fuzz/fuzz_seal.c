/* SPDX-License-Identifier: ISC */
/*
 * Sealed files. The first byte chooses: 'S', the rest is sealed here, one of
 * its bytes is changed, and both are opened; 'n', the rest is what somebody
 * put in place of a file, and there is no key; else there is one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_seal.h"

#define PLACE "otp/alice"
#define TEXT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mg_seal
fixed_key(void)
{
	struct mg_seal s = {.has_key = true};

	memset(s.key, 'k', sizeof(s.key));
	return s;
}

/* What is in place of a file opens as it is, or sealed, or not at all. */
static void
open_it(const struct mg_seal *s, const uint8_t *p, size_t n)
{
	bool sealed = mg_seal_is(p, n);
	char why[128] = "";
	struct mg_buf b;
	enum mg_err r;
	size_t len;

	mg_buf_init_secret(&b, TEXT_MAX);
	r = mg_seal_get(s, PLACE, p, n, &b, why, sizeof(why));
	len = mg_buf_len(&b);
	if (r != MG_ERR_OK && len != 0)
		abort(); /* half of it */
	if (r == MG_ERR_OK && !sealed &&
	    (len != n || (n > 0 && memcmp(mg_buf_ptr(&b), p, n) != 0)))
		abort();
	if (r == MG_ERR_OK && sealed &&
	    (!s->has_key || len != n - MG_SEAL_MORE))
		abort();
	if (r != MG_ERR_OK && sealed && n <= TEXT_MAX && why[0] == '\0')
		abort();
	mg_buf_fini(&b);
}

/* Only the bytes that were sealed, only for their place, open. */
static void
seal_it(const uint8_t *p, size_t n)
{
	struct mg_seal s = fixed_key(), none = {.has_key = false};
	struct mg_buf b, out;
	uint8_t *d;
	size_t at;

	if (n > TEXT_MAX)
		return;
	mg_buf_init(&b, TEXT_MAX + MG_SEAL_MORE);
	mg_buf_init_secret(&out, TEXT_MAX);
	if (mg_seal_put(&s, PLACE, p, n, &b) != MG_ERR_OK ||
	    (d = malloc(mg_buf_len(&b))) == NULL)
		abort();
	memcpy(d, mg_buf_ptr(&b), mg_buf_len(&b));
	if (mg_seal_get(&s, PLACE, d, mg_buf_len(&b), &out, NULL, 0) !=
		MG_ERR_OK ||
	    mg_buf_len(&out) != n ||
	    (n > 0 && memcmp(mg_buf_ptr(&out), p, n) != 0))
		abort();
	mg_buf_reset(&out);
	if (mg_seal_get(&s, "otp/bob", d, mg_buf_len(&b), &out, NULL, 0) ==
		MG_ERR_OK ||
	    mg_seal_get(&none, PLACE, d, mg_buf_len(&b), &out, NULL, 0) ==
		MG_ERR_OK)
		abort();
	at = (n > 0 ? p[0] : 0) % mg_buf_len(&b);
	d[at] ^= (uint8_t)(n > 1 && p[1] != 0 ? p[1] : 1);
	/* Without its first line it is no sealed file, but a file. */
	if (mg_seal_is(d, mg_buf_len(&b)) &&
	    mg_seal_get(&s, PLACE, d, mg_buf_len(&b), &out, NULL, 0) ==
		MG_ERR_OK)
		abort();
	free(d);
	mg_buf_fini(&b);
	mg_buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_seal s = fixed_key();

	if (size == 0)
		return 0;
	if (data[0] == 'S') {
		seal_it(data + 1, size - 1);
		return 0;
	}
	s.has_key = data[0] != 'n';
	open_it(&s, data + 1, size - 1);
	return 0;
}
