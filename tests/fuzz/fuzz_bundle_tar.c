/* SPDX-License-Identifier: ISC */
/* Exported files: taken apart and put together they are the same bytes; and
 * the paths in them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_bundle.h"
#include "mg_merkle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_path(const struct mg_bundle_file *f)
{
	uint8_t path[MG_MERKLE_PROOF_MAX][MG_MERKLE_HASH];
	struct mg_buf b;
	size_t n;

	if (mg_bundle_get_path(f->data, f->len, 5, 12, path, &n) != MG_ERR_OK)
		return;
	mg_buf_init(&b, 65536);
	if (mg_bundle_put_path(&b, 5, 12,
		(const uint8_t(*)[MG_MERKLE_HASH])path, n) != MG_ERR_OK ||
	    mg_buf_len(&b) != f->len ||
	    memcmp(mg_buf_ptr(&b), f->data, f->len) != 0)
		abort();
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_bundle bundle;
	struct mg_buf b;
	const char *why;
	size_t i;

	if (mg_bundle_parse(&bundle, data, size, &why) != MG_ERR_OK)
		return 0;
	mg_buf_init(&b, MG_BUNDLE_MAX);
	for (i = 0; i < bundle.n; i++) {
		read_path(&bundle.v[i]);
		if (mg_bundle_put(&b, bundle.v[i].name, bundle.v[i].data,
			bundle.v[i].len) != MG_ERR_OK)
			abort();
	}
	if (mg_bundle_put_end(&b) != MG_ERR_OK || mg_buf_len(&b) != size ||
	    memcmp(mg_buf_ptr(&b), data, size) != 0)
		abort();
	mg_buf_fini(&b);
	mg_bundle_fini(&bundle);
	return 0;
}
