/* SPDX-License-Identifier: ISC */
/*
 * The signed text.
 *
 * Rules
 * 1. One line per value, in a fixed order, whatever the value holds: a
 *    newline in a reason must not become a line of the text.
 * 2. Injective: two different requests never render to the same bytes. An
 *    empty value is "-", so a value that is "-" is escaped.
 */
#include <string.h>

#include "mg_esc.h"
#include "mg_text.h"
#include "mg_time.h"

static const char *const body_keys[] = {"request", "host", "requester",
    "operation", "model", "version", "artifact", "argv", "run-as", "lasts",
    "reason", "ticket", "policy", "requested-at", "nonce"};

#define NKEYS (sizeof(body_keys) / sizeof(body_keys[0]))

static enum mg_err
put_value(struct mg_buf *b, const char *s)
{
	if (s[0] == '\0')
		return mg_buf_put_text(b, "-");
	if (strcmp(s, "-") == 0)
		return mg_buf_put_text(b, "\\u{2d}"); /* Rule 2 */
	return mg_esc_put(b, s, strlen(s), NULL);
}

static enum mg_err
put_line(struct mg_buf *b, const char *key, const char *value)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b, key)) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, ": ")) == MG_ERR_OK &&
	    (r = put_value(b, value)) == MG_ERR_OK)
		r = mg_buf_put_text(b, "\n");
	return r;
}

static enum mg_err
put_argv(struct mg_buf *b, const char *const *argv, size_t argc)
{
	enum mg_err r = mg_buf_put_text(b, "argv:");
	size_t i;

	for (i = 0; i < argc && r == MG_ERR_OK; i++) {
		if ((r = mg_buf_put_text(b, " \"")) == MG_ERR_OK &&
		    (r = mg_esc_put(b, argv[i], strlen(argv[i]), "\"")) ==
			MG_ERR_OK)
			r = mg_buf_put_text(b, "\"");
	}
	if (argc == 0 && r == MG_ERR_OK)
		r = mg_buf_put_text(b, " -");
	return r == MG_ERR_OK ? mg_buf_put_text(b, "\n") : r;
}

static enum mg_err
put_requester(struct mg_buf *b, const struct mg_text_body *body)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b, "requester: ")) == MG_ERR_OK &&
	    (r = mg_esc_put(b, body->requester, strlen(body->requester),
		 " ")) == MG_ERR_OK)
		r = mg_buf_putf(b, " uid=%u", body->uid);
	if (r == MG_ERR_OK && body->session != UINT32_MAX)
		r = mg_buf_putf(b, " session=%u", body->session);
	else if (r == MG_ERR_OK)
		r = mg_buf_put_text(b, " session=-");
	if (r == MG_ERR_OK)
		r = mg_buf_put_text(b, " origin=");
	if (r == MG_ERR_OK)
		r = put_value(b, body->origin);
	return r == MG_ERR_OK ? mg_buf_put_text(b, "\n") : r;
}

/* "key: first second" with blanks of both escaped. */
static enum mg_err
put_pair(
    struct mg_buf *b, const char *key, const char *first, const char *second)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b, key)) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, ": ")) == MG_ERR_OK &&
	    (r = mg_esc_put(b, first, strlen(first), " ")) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, " ")) == MG_ERR_OK &&
	    (r = mg_esc_put(b, second, strlen(second), " ")) == MG_ERR_OK)
		r = mg_buf_put_text(b, "\n");
	return r;
}

enum mg_err
mg_text_put_body(struct mg_buf *b, const struct mg_text_body *body)
{
	char lasts[MG_DURATION_STR], when[MG_TIME_STR];
	size_t start = mg_buf_len(b);
	enum mg_err r;

	mg_duration_format(body->lasts_ms, lasts);
	mg_time_format(body->requested_ms, when);
	if ((r = put_pair(b, "request", body->uuid, body->code)) != MG_ERR_OK ||
	    (r = put_pair(b, "host", body->host, body->host_key)) !=
		MG_ERR_OK ||
	    (r = put_requester(b, body)) != MG_ERR_OK ||
	    (r = put_line(b, "operation", body->operation)) != MG_ERR_OK ||
	    (r = put_line(b, "model", body->model)) != MG_ERR_OK ||
	    (r = put_line(b, "version", body->version)) != MG_ERR_OK ||
	    (r = put_line(b, "artifact", body->artifact)) != MG_ERR_OK ||
	    (r = put_argv(b, body->argv, body->argc)) != MG_ERR_OK ||
	    (r = put_line(b, "run-as", body->run_as)) != MG_ERR_OK ||
	    (r = put_line(b, "lasts", lasts)) != MG_ERR_OK ||
	    (r = put_line(b, "reason", body->reason)) != MG_ERR_OK ||
	    (r = put_line(b, "ticket", body->ticket)) != MG_ERR_OK ||
	    (r = put_line(b, "policy", body->policy)) != MG_ERR_OK ||
	    (r = put_line(b, "requested-at", when)) != MG_ERR_OK ||
	    (r = put_line(b, "nonce", body->nonce)) != MG_ERR_OK)
		return r;
	return mg_buf_len(b) - start > MG_TEXT_BODY_MAX ? MG_ERR_LIMIT
							: MG_ERR_OK;
}

enum mg_err
mg_text_put(struct mg_buf *b, const char *decision, const char *approver,
    const char *note, const char *body, size_t n)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b, "modelgate approval v1\n")) == MG_ERR_OK &&
	    (r = put_line(b, "decision", decision)) == MG_ERR_OK &&
	    (r = put_line(b, "approver", approver)) == MG_ERR_OK &&
	    (r = put_line(b, "note", note)) == MG_ERR_OK)
		r = mg_buf_put(b, body, n);
	return r;
}

/* The line of text that begins with "key: ": its value and length. */
static const char *
find_line(const char *text, size_t n, const char *key, size_t *lenp)
{
	size_t klen = strlen(key), len;
	const char *nl;

	while (n > 0) {
		nl = memchr(text, '\n', n);
		len = nl == NULL ? n : (size_t)(nl - text);
		if (len > klen + 1 && memcmp(text, key, klen) == 0 &&
		    text[klen] == ':' && text[klen + 1] == ' ') {
			*lenp = len - klen - 2;
			return text + klen + 2;
		}
		if (nl == NULL)
			break;
		text += len + 1;
		n -= len + 1;
	}
	return NULL;
}

enum mg_err
mg_text_get(struct mg_buf *b, const char *text, size_t n, const char *key)
{
	const char *v;
	size_t len;

	if ((v = find_line(text, n, key, &len)) == NULL)
		return MG_ERR_NOENT;
	if (len == 1 && v[0] == '-')
		return MG_ERR_OK;
	return mg_esc_undo(b, v, len);
}

/* Whether s[0..n) is plain text and escapes of the form that we write. */
static bool
value_is_canonical(const char *s, size_t n)
{
	struct mg_buf raw;
	uint32_t cp;
	size_t len;
	bool ok;

	if (n == 0)
		return false;
	mg_buf_init(&raw, MG_TEXT_MAX);
	ok = mg_esc_undo(&raw, s, n) == MG_ERR_OK;
	mg_buf_fini(&raw);
	for (; ok && n > 0; s += len, n -= len) {
		len = mg_utf8_next(s, n, &cp);
		ok = len > 0 && mg_esc_is_plain(cp);
	}
	return ok;
}

enum mg_err
mg_text_check_body(const char *text, size_t n)
{
	const char *nl;
	size_t i, klen, len;

	if (n > MG_TEXT_BODY_MAX)
		return MG_ERR_LIMIT;
	for (i = 0; i < NKEYS; i++) {
		klen = strlen(body_keys[i]);
		if ((nl = memchr(text, '\n', n)) == NULL)
			return MG_ERR_FORMAT;
		len = (size_t)(nl - text);
		if (len < klen + 3 || memcmp(text, body_keys[i], klen) != 0 ||
		    text[klen] != ':' || text[klen + 1] != ' ' ||
		    !value_is_canonical(text + klen + 2, len - klen - 2))
			return MG_ERR_FORMAT;
		text += len + 1;
		n -= len + 1;
	}
	return n == 0 ? MG_ERR_OK : MG_ERR_TRAIL;
}
