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
#include <stdbool.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_text.h"
#include "mg_time.h"

/* The last line of a body that asks for a number: nobody but its requester
 * is shown it, so whoever signs puts it in. */
#define ASKED "confirm: ??\n"
#define ASKED_LEN (sizeof(ASKED) - 1)
#define ASKED_AT 9 /* of the digits */

static bool
is_word(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* As mg_time_format() writes it. */
static bool
is_time(const char *s, size_t n)
{
	char copy[MG_TIME_STR], again[MG_TIME_STR];
	int64_t ms;

	if (n >= sizeof(copy))
		return false;
	memcpy(copy, s, n);
	copy[n] = '\0';
	if (mg_time_parse(copy, 0, &ms) != MG_ERR_OK)
		return false;
	mg_time_format(ms, again);
	return is_word(s, n, again);
}

/* As mg_duration_format() writes it. */
static bool
is_duration(const char *s, size_t n)
{
	char copy[MG_DURATION_STR], again[MG_DURATION_STR];
	int64_t ms = 0;

	if (n >= sizeof(copy))
		return false;
	memcpy(copy, s, n);
	copy[n] = '\0';
	if (strcmp(copy, "0s") != 0 &&
	    mg_duration_parse(copy, &ms) != MG_ERR_OK)
		return false;
	mg_duration_format(ms, again);
	return is_word(s, n, again);
}

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
	/* Rule 2: these would read as another duration, another time. */
	if (body->lasts_ms < 0 || body->lasts_ms % 1000 != 0 ||
	    !is_duration(lasts, strlen(lasts)) || !is_time(when, strlen(when)))
		return MG_ERR_FORMAT;
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
	if (body->asks_number && (r = mg_buf_put_text(b, ASKED)) != MG_ERR_OK)
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

bool
mg_text_asks_number(const char *text, size_t n)
{
	return n > ASKED_LEN && text[n - ASKED_LEN - 1] == '\n' &&
	       memcmp(text + n - ASKED_LEN, ASKED, ASKED_LEN) == 0;
}

bool
mg_text_is_number(const char *s)
{
	return s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9' &&
	       s[2] == '\0';
}

enum mg_err
mg_text_put_number(
    struct mg_buf *b, const char *text, size_t n, const char *number)
{
	enum mg_err r;

	if (!mg_text_asks_number(text, n))
		return MG_ERR_NOENT;
	if (!mg_text_is_number(number))
		return MG_ERR_FORMAT;
	if ((r = mg_buf_put(b, text, n - ASKED_LEN + ASKED_AT)) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, number)) == MG_ERR_OK)
		r = mg_buf_put_u8(b, '\n');
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

/* ---- the canonical form ---- */

/* A 32-bit number in its shortest form, or "-". */
static bool
is_number(const char *s, size_t n, bool may_be_unset)
{
	uint64_t v = 0;
	size_t i;

	if (may_be_unset && is_word(s, n, "-"))
		return true;
	if (n == 0 || n > 10 || (s[0] == '0' && n > 1))
		return false;
	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	return v <= UINT32_MAX && !(may_be_unset && v == UINT32_MAX);
}

static enum mg_err
check_time(const char *s, size_t n)
{
	return is_time(s, n) ? MG_ERR_OK : MG_ERR_FORMAT;
}

static enum mg_err
check_duration(const char *s, size_t n)
{
	return is_duration(s, n) ? MG_ERR_OK : MG_ERR_FORMAT;
}

static enum mg_err
check_value(const char *s, size_t n)
{
	if (n == 0)
		return MG_ERR_FORMAT;
	return is_word(s, n, "\\u{2d}") ? MG_ERR_OK : mg_esc_check(s, n, NULL);
}

/* Two texts with one blank between them and none inside. */
static enum mg_err
check_pair(const char *s, size_t n)
{
	const char *blank = memchr(s, ' ', n);
	enum mg_err r;
	size_t len;

	if (blank == NULL)
		return MG_ERR_FORMAT;
	len = (size_t)(blank - s);
	if ((r = mg_esc_check(s, len, " ")) != MG_ERR_OK)
		return r;
	return mg_esc_check(blank + 1, n - len - 1, " ");
}

/* Takes " key=" and what follows up to the next blank, or to the end. */
static bool
take_part(const char **sp, size_t *np, const char *key, bool to_end,
    const char **valuep, size_t *lenp)
{
	size_t klen = strlen(key);
	const char *blank;

	if (*np < klen || memcmp(*sp, key, klen) != 0)
		return false;
	*valuep = *sp + klen;
	*lenp = *np - klen;
	if (!to_end && (blank = memchr(*valuep, ' ', *lenp)) != NULL)
		*lenp = (size_t)(blank - *valuep);
	*sp += klen + *lenp;
	*np -= klen + *lenp;
	return true;
}

static enum mg_err
check_requester(const char *s, size_t n)
{
	const char *v;
	enum mg_err r;
	size_t len;

	if (!take_part(&s, &n, "", false, &v, &len))
		return MG_ERR_FORMAT;
	if ((r = mg_esc_check(v, len, " ")) != MG_ERR_OK)
		return r;
	if (!take_part(&s, &n, " uid=", false, &v, &len) ||
	    !is_number(v, len, false) ||
	    !take_part(&s, &n, " session=", false, &v, &len) ||
	    !is_number(v, len, true) ||
	    !take_part(&s, &n, " origin=", true, &v, &len))
		return MG_ERR_FORMAT;
	return check_value(v, len);
}

/* "-", or texts in quotes with one blank between two. */
static enum mg_err
check_argv(const char *s, size_t n)
{
	const char *end;
	enum mg_err r;
	size_t len;

	if (is_word(s, n, "-"))
		return MG_ERR_OK;
	for (;;) {
		if (n < 2 || s[0] != '"' ||
		    (end = memchr(s + 1, '"', n - 1)) == NULL)
			return MG_ERR_FORMAT;
		len = (size_t)(end - s) - 1;
		if ((r = mg_esc_check(s + 1, len, "\"")) != MG_ERR_OK)
			return r;
		s += len + 2;
		n -= len + 2;
		if (n == 0)
			return MG_ERR_OK;
		if (s[0] != ' ')
			return MG_ERR_FORMAT;
		s++;
		n--;
	}
}

static const struct {
	const char *key;
	enum mg_err (*check)(const char *s, size_t n);
} lines[] = {
    {"request: ", check_pair},
    {"host: ", check_pair},
    {"requester: ", check_requester},
    {"operation: ", check_value},
    {"model: ", check_value},
    {"version: ", check_value},
    {"artifact: ", check_value},
    {"argv: ", check_argv},
    {"run-as: ", check_value},
    {"lasts: ", check_duration},
    {"reason: ", check_value},
    {"ticket: ", check_value},
    {"policy: ", check_value},
    {"requested-at: ", check_time},
    {"nonce: ", check_value},
};

enum mg_err
mg_text_check_body(const char *text, size_t n)
{
	size_t i, klen, len;
	const char *nl;
	enum mg_err r;

	if (n > MG_TEXT_BODY_MAX)
		return MG_ERR_LIMIT;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		klen = strlen(lines[i].key);
		if ((nl = memchr(text, '\n', n)) == NULL)
			return MG_ERR_FORMAT;
		len = (size_t)(nl - text);
		if (len < klen || memcmp(text, lines[i].key, klen) != 0)
			return MG_ERR_FORMAT;
		r = lines[i].check(text + klen, len - klen);
		if (r != MG_ERR_OK)
			return r;
		text += len + 1;
		n -= len + 1;
	}
	return n == 0 || is_word(text, n, ASKED) ? MG_ERR_OK : MG_ERR_TRAIL;
}
