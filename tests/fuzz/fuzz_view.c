/* SPDX-License-Identifier: ISC */
/*
 * What a host may have an approver see: a request as it comes out of the
 * hub, as a row, a page and JSON. The first byte is the terminal's width.
 * Whatever it says, nothing moves the cursor and no line is longer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub/conn_view.h"
#include "mg_chan.h"
#include "mg_esc.h"

#define NOW 1700000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whole lines of text that prints. */
static void
check(struct mg_buf *b, size_t width)
{
	const char *s = mg_buf_cstr(b), *nl;
	char line[4096];
	size_t n;

	if (s == NULL || strlen(s) != mg_buf_len(b))
		abort();
	for (; *s != '\0'; s = nl + 1) {
		if ((nl = strchr(s, '\n')) == NULL)
			abort();
		n = (size_t)(nl - s);
		if (n >= sizeof(line))
			continue;
		memcpy(line, s, n);
		line[n] = '\0';
		if (!mg_esc_is_clean(line) ||
		    (width != 0 && conn_view_columns(line) > width))
			abort();
	}
}

static void
show(const struct mg_conn_item *m, unsigned width)
{
	struct conn_row rows[2];
	struct mg_json j;
	struct mg_buf b;

	memset(rows, 0, sizeof(rows));
	conn_row_fill(&rows[0], m, "bob", NOW);
	conn_row_fill(&rows[1], m, m->requester, NOW);
	mg_buf_init(&b, 1 << 20);
	if (conn_view_table(&b, rows, 2, width, true) != MG_ERR_OK)
		abort();
	check(&b, width);
	mg_buf_reset(&b);
	if (conn_view_page(&b, m, "bob", width, NOW) != MG_ERR_OK)
		abort();
	check(&b, 0);
	mg_buf_reset(&b);
	mg_json_begin(&j, &b);
	conn_view_json(&j, m, "bob");
	if (mg_json_end(&j) != MG_ERR_OK)
		abort();
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_conn_item m;
	struct mg_frame f;
	unsigned width;

	if (size < 2)
		return 0;
	width = data[0] == 0 ? 0 : CONN_WIDTH_MIN + data[0] % 200u;
	memset(&f, 0, sizeof(f));
	f.op = MG_MSG_CONN_ITEM;
	f.payload = data + 1;
	f.len = size - 1;
	if (mg_frame_decode(&f, &m, sizeof(m)) == MG_ERR_OK)
		show(&m, width);
	return 0;
}
