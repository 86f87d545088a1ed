/* SPDX-License-Identifier: ISC */
/*
 * Judging one-time passwords.
 *
 * Rules
 * 1. Three steps, no more, and no learning of a clock's drift: a wide or
 *    moving window multiplies the guesses that count.
 * 2. A step is used once: codes of steps at or below the highest used one
 *    are refused, so that a code that was watched is worth nothing. Where a
 *    code fits two steps, the later one is marked.
 * 3. All candidates are compared in full and in constant time: how long it
 *    takes must not tell how many digits were right.
 */
#include <errno.h>
#include <liboath/oath.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mg_esc.h"
#include "mg_totp.h"

#define WINDOW 1 /* Rule 1 */
#define ISSUER "modelgate"
#define HOST_MAX 64

/* The code without blanks; false when it is not that many digits. */
static bool
normalise(const char *code, unsigned digits, char out[MG_TOTP_DIGITS_MAX + 1])
{
	unsigned n = 0;

	for (; *code != '\0'; code++) {
		if (*code == ' ')
			continue;
		if (*code < '0' || *code > '9' || n == digits)
			return false;
		out[n++] = *code;
	}
	out[n] = '\0';
	return n == digits;
}

static bool
is_equal(const char *a, const char *b, size_t n)
{
	unsigned char diff = 0;
	size_t i;

	for (i = 0; i < n; i++) /* Rule 3 */
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

static enum mg_err
compute(
    const struct mg_totp *t, uint64_t step, char out[MG_TOTP_DIGITS_MAX + 1])
{
	int flags = t->alg == MG_TOTP_SHA256   ? OATH_TOTP_HMAC_SHA256
		    : t->alg == MG_TOTP_SHA512 ? OATH_TOTP_HMAC_SHA512
					       : 0;

	out[0] = '\0';
	if (oath_totp_generate2((const char *)t->secret, t->secret_len,
		(time_t)(step * t->period_s), t->period_s, 0, t->digits, flags,
		out) != OATH_OK ||
	    strlen(out) != t->digits)
		return MG_ERR_INTERNAL;
	return MG_ERR_OK;
}

static enum mg_err
search(const struct mg_totp *t, uint64_t now, const char *code,
    enum mg_totp_result *resultp, uint64_t *stepp)
{
	char want[MG_TOTP_DIGITS_MAX + 1];
	uint64_t step = now > WINDOW ? now - WINDOW : 0;
	enum mg_err r = MG_ERR_OK;

	for (; step <= now + WINDOW && r == MG_ERR_OK; step++) {
		if ((r = compute(t, step, want)) != MG_ERR_OK ||
		    !is_equal(want, code, t->digits))
			continue;
		if (step > t->used) { /* Rule 2 */
			*resultp = MG_TOTP_ACCEPTED;
			*stepp = step;
		} else if (*resultp != MG_TOTP_ACCEPTED) {
			*resultp = MG_TOTP_REPLAYED;
		}
	}
	explicit_bzero(want, sizeof(want));
	return r;
}

enum mg_err
mg_totp_match(const struct mg_totp *t, int64_t now_s, const char *code,
    enum mg_totp_result *resultp, uint64_t *stepp)
{
	char typed[MG_TOTP_DIGITS_MAX + 1];
	enum mg_err r = MG_ERR_OK;

	*resultp = MG_TOTP_WRONG;
	*stepp = 0;
	if (now_s < 0 || now_s > INT64_MAX / 2 || t->period_s == 0 ||
	    t->alg == MG_TOTP_NONE || t->digits > MG_TOTP_DIGITS_MAX)
		return MG_ERR_FORMAT;
	if (oath_init() != OATH_OK)
		return MG_ERR_INTERNAL;
	if (normalise(code, t->digits, typed))
		r = search(
		    t, (uint64_t)now_s / t->period_s, typed, resultp, stepp);
	explicit_bzero(typed, sizeof(typed));
	(void)oath_done();
	if (r != MG_ERR_OK) {
		*resultp = MG_TOTP_WRONG;
		*stepp = 0;
	}
	return r;
}

/* One try against an open store. */
static enum mg_err
try_code(struct mg_totp_store *st, const char *user, int64_t now_s,
    const char *code, enum mg_totp_result *resultp, char *why, size_t size)
{
	struct mg_totp t;
	uint64_t step;
	enum mg_err r;

	if ((r = mg_totp_store_load(st, user, &t, why, size)) != MG_ERR_OK)
		return r;
	r = mg_totp_match(&t, now_s, code, resultp, &step);
	if (r == MG_ERR_OK && *resultp == MG_TOTP_ACCEPTED) {
		t.used = step;
		r = mg_totp_store_save(st, &t, why, size);
	}
	mg_totp_wipe(&t);
	return r;
}

enum mg_err
mg_totp_check(const char *dir, const char *user, int64_t now_s,
    const char *code, enum mg_totp_result *resultp, char *why, size_t why_size)
{
	struct mg_totp_store st;
	enum mg_err r;

	*resultp = MG_TOTP_WRONG;
	if (why != NULL && why_size > 0)
		why[0] = '\0';
	if ((r = mg_totp_store_init(&st, dir, why, why_size)) != MG_ERR_OK)
		return r;
	r = try_code(&st, user, now_s, code, resultp, why, why_size);
	if (r != MG_ERR_OK)
		*resultp = MG_TOTP_WRONG;
	mg_totp_store_fini(&st);
	return r;
}

/* ---- enrolment ---- */

enum mg_err
mg_totp_new(struct mg_totp *t, const char *user, int64_t now_s)
{
	ssize_t n;

	mg_totp_wipe(t);
	if (!mg_name_is_valid(user) || now_s < 0)
		return MG_ERR_FORMAT;
	memcpy(t->user, user, strlen(user) + 1);
	t->alg = MG_TOTP_SHA1;
	t->digits = 6;
	t->period_s = 30;
	t->secret_len = 20;
	t->enrolled_s = now_s;
	do
		n = getrandom(t->secret, t->secret_len, 0);
	while (n == -1 && errno == EINTR);
	if (n == (ssize_t)t->secret_len)
		return MG_ERR_OK;
	mg_totp_wipe(t);
	return MG_ERR_SYS;
}

enum mg_err
mg_totp_put_secret(const struct mg_totp *t, struct mg_buf *b)
{
	char *s = NULL;
	size_t n = 0;
	enum mg_err r;

	if (oath_base32_encode(
		(const char *)t->secret, t->secret_len, &s, &n) != OATH_OK)
		return MG_ERR_NOMEM;
	/* Apps want no padding: whole bytes are clear without it. */
	while (n > 0 && s[n - 1] == '=')
		n--;
	r = mg_buf_put(b, s, n);
	explicit_bzero(s, n);
	free(s);
	return r;
}

/* Percent-encoded but for the unreserved characters of RFC 3986. */
static enum mg_err
put_encoded(struct mg_buf *b, const char *s, size_t n)
{
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; i < n && r == MG_ERR_OK; i++) {
		if ((s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= '0' && s[i] <= '9') ||
		    (s[i] != '\0' && strchr("-._~", s[i]) != NULL))
			r = mg_buf_put(b, s + i, 1);
		else
			r = mg_buf_putf(b, "%%%02X", (unsigned char)s[i]);
	}
	return r;
}

/* "modelgate HOST". Neither part of a label may hold a colon. */
static enum mg_err
put_issuer(struct mg_buf *b, const char *host)
{
	size_t n = 0, len;
	uint32_t cp;
	enum mg_err r;

	while (host[n] != '\0' &&
	       (len = mg_utf8_next(host + n, strlen(host + n), &cp)) > 0 &&
	       cp != ':' && n + len <= HOST_MAX)
		n += len;
	if ((r = mg_buf_put_text(b, ISSUER)) != MG_ERR_OK || n == 0)
		return r;
	if ((r = mg_buf_put_text(b, "%20")) != MG_ERR_OK)
		return r;
	return put_encoded(b, host, n);
}

/*
 * What is the usual (SHA-1, 6 digits, 30 s) is left out: the shorter the
 * address, the better the picture of it fits on a terminal.
 */
static enum mg_err
put_unusual(const struct mg_totp *t, struct mg_buf *b)
{
	enum mg_err r = MG_ERR_OK;

	if (t->alg != MG_TOTP_SHA1)
		r = mg_buf_putf(b, "&algorithm=%s",
		    t->alg == MG_TOTP_SHA256 ? "SHA256" : "SHA512");
	if (t->digits != 6 && r == MG_ERR_OK)
		r = mg_buf_putf(b, "&digits=%u", t->digits);
	if (t->period_s != 30 && r == MG_ERR_OK)
		r = mg_buf_putf(b, "&period=%u", t->period_s);
	return r;
}

enum mg_err
mg_totp_put_uri(const struct mg_totp *t, const char *host, struct mg_buf *b)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b, "otpauth://totp/")) == MG_ERR_OK &&
	    (r = put_issuer(b, host)) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, ":")) == MG_ERR_OK &&
	    (r = put_encoded(b, t->user, strlen(t->user))) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, "?secret=")) == MG_ERR_OK &&
	    (r = mg_totp_put_secret(t, b)) == MG_ERR_OK &&
	    (r = mg_buf_put_text(b, "&issuer=")) == MG_ERR_OK &&
	    (r = put_issuer(b, host)) == MG_ERR_OK)
		r = put_unusual(t, b);
	return r;
}
