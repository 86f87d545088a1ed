/* SPDX-License-Identifier: ISC */
#ifndef HUB_BODY_H
#define HUB_BODY_H

/* A request's text, as a host sends it to the hub. After <cmocka.h>. */
#include <stdio.h>

#include "mg_id.h"
#include "mg_text.h"

#define NOW 1700000000000

static void
make_body(struct mg_buf *b, const char *id, const char *host, const char *who)
{
	static const char *const argv[] = {"/ops/deploy", "fraud", "12"};
	struct mg_text_body t = {.uuid = id,
	    .host = host,
	    .host_key = "SHA256:x",
	    .requester = who,
	    .uid = 1000,
	    .session = 7,
	    .origin = "10.1.2.3",
	    .operation = "deploy",
	    .model = "fraud",
	    .version = "12",
	    .artifact = "",
	    .argv = argv,
	    .argc = 3,
	    .run_as = "mlserve",
	    .lasts_ms = 60000,
	    .reason = "because \"of\" \\ this",
	    .ticket = "",
	    .policy = "sha256:0",
	    .requested_ms = NOW,
	    .nonce = "00"};
	char code[MG_CODE_STR];
	struct mg_uuid u;

	assert_int_equal(mg_uuid_parse(id, &u), MG_ERR_OK);
	mg_code_from_uuid(&u, code);
	t.code = code;
	mg_buf_init(b, 65536);
	assert_int_equal(mg_text_put_body(b, &t), MG_ERR_OK);
	assert_non_null(mg_buf_cstr(b));
}

#endif
