/* SPDX-License-Identifier: ISC */
#ifndef MG_TEXT_H
#define MG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"

/*
 * The text that approvers sign: PROTOCOL.md, "The signed text". The host
 * renders it; the hub and approvers' tools only put their three lines
 * (decision, approver, note) in front of the host's body.
 */

#define MG_TEXT_NAMESPACE "modelgate-approval"
#define MG_TEXT_POLICY_NAMESPACE "modelgate-policy" /* of guarded files */
#define MG_TEXT_MAX 32768
#define MG_TEXT_BODY_MAX 24576
#define MG_TEXT_NOTE_MAX 1024

struct mg_text_body {
	const char *uuid;
	const char *code;
	const char *host;
	const char *host_key; /* fingerprint, SHA256:... */
	const char *requester;
	uint32_t uid;
	uint32_t session;   /* audit session; UINT32_MAX: none */
	const char *origin; /* address or terminal it came from; may be "" */
	const char *operation;
	const char *model;
	const char *version;
	const char *artifact; /* digest, sha256:...; may be "" */
	const char *const *argv;
	size_t argc;
	const char *run_as;
	int64_t lasts_ms;
	const char *reason;
	const char *ticket;
	const char *policy;   /* digest */
	int64_t requested_ms; /* wall clock */
	const char *nonce;
	bool asks_number; /* approvers sign the requester's two digits */
};

/*
 * Appends the body: the lines from "request:" to "nonce:", and "confirm: ??"
 * where a number is asked.
 * MG_ERR_LIMIT when it would pass MG_TEXT_BODY_MAX, MG_ERR_FORMAT when
 * the duration is not one of whole seconds up to a year or the time is before
 * 1970 or after 9999: what cannot be shown whole cannot be approved.
 */
enum mg_err mg_text_put_body(
    struct mg_buf *b, const struct mg_text_body *body) MG_MUST_CHECK;

/*
 * Appends the whole text for one approver's decision ("approve" or
 * "deny") over a body of n bytes.
 */
enum mg_err mg_text_put(struct mg_buf *b, const char *decision,
    const char *approver, const char *note, const char *body,
    size_t n) MG_MUST_CHECK;

/* Whether the body or text of n bytes has "??" where a number is asked. */
bool mg_text_asks_number(const char *text, size_t n);

/* Whether s is such a number: two digits. */
bool mg_text_is_number(const char *s);

/*
 * Appends a body or text of n bytes with the number in the place of "??".
 * MG_ERR_NOENT when none is asked, MG_ERR_FORMAT when it is not a number.
 */
enum mg_err mg_text_put_number(struct mg_buf *b, const char *text, size_t n,
    const char *number) MG_MUST_CHECK;

/*
 * The value of a line of a body or of a whole text, unescaped into b.
 * An empty value is written as "-" and read back as empty.
 * MG_ERR_NOENT when there is no such line, MG_ERR_FORMAT.
 */
enum mg_err mg_text_get(struct mg_buf *b, const char *text, size_t n,
    const char *key) MG_MUST_CHECK;

/*
 * Whether the n bytes are what mg_text_put_body() writes for some body:
 * the right lines in the right order, each value in its one form.
 * MG_ERR_FORMAT, MG_ERR_LIMIT, MG_ERR_TRAIL, MG_ERR_NOMEM.
 */
enum mg_err mg_text_check_body(const char *text, size_t n) MG_MUST_CHECK;

#endif
