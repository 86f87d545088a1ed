/* SPDX-License-Identifier: ISC */
/*
 * Records of second factors. Each input is read as it is, and once more
 * with the right checksum behind it, or nothing would get past that. What
 * is accepted must be sound and must be written back byte for byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_totp_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
crc(const uint8_t *p, size_t n)
{
	uint32_t c = UINT32_MAX;
	int bit;

	for (; n > 0; n--, p++) {
		c ^= *p;
		for (bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ ((c & 1) != 0 ? 0xedb88320U : 0);
	}
	return ~c;
}

static void
check(const uint8_t *data, size_t size)
{
	static const struct mg_totp zero;
	struct mg_totp t;
	struct mg_buf b;

	if (mg_totp_parse(data, size, &t, NULL) != MG_ERR_OK) {
		if (memcmp(&t, &zero, sizeof(t)) != 0)
			abort();
		return;
	}
	if (t.secret_len < MG_TOTP_SECRET_MIN || !mg_name_is_valid(t.user) ||
	    t.alg == MG_TOTP_NONE)
		abort();
	mg_buf_init_secret(&b, MG_TOTP_RECORD_MAX);
	if (mg_totp_format(&t, &b) != MG_ERR_OK || mg_buf_len(&b) != size ||
	    memcmp(mg_buf_ptr(&b), data, size) != 0)
		abort();
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[32];
	uint8_t *copy;
	int n;

	check(data, size);
	n = snprintf(line, sizeof(line), "check %08x\n", crc(data, size));
	if ((copy = malloc(size + (size_t)n)) == NULL)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	memcpy(copy + size, line, (size_t)n);
	check(copy, size + (size_t)n);
	free(copy);
	return 0;
}
