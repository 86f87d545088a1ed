/* SPDX-License-Identifier: ISC */
/*
 * Reads allowed_signers and hosts.
 *
 * Rules
 * 1. One bad line refuses the whole file. ssh-keygen skips it, and a typing
 *    error in a line that limits a key would go unseen.
 * 2. One exact name a line: patterns ("*") would make one key everybody's.
 * 3. The namespace is required, and is exactly ours: without it any
 *    signature that the person ever made (of a mail, of a commit) could be
 *    offered as an approval.
 * 4. Times end in Z. Without it ssh-keygen takes the local time of whoever
 *    runs it, and two hosts disagree on who may approve.
 * 5. A key stands in a file once. Under two names, one person would count
 *    as two.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_name.h"
#include "mg_signers.h"
#include "mg_text.h"
#include "mg_time.h"

struct mg_signers {
	struct mg_signer *v; /* in file order */
	size_t n, cap;
	const struct mg_signer **by_key;
	const struct mg_signer **by_name;
};

struct reader {
	enum mg_signers_kind kind;
	const char *file;
	const char *at, *end; /* what is left of the text */
	struct mg_signers *s;
	struct mg_diags *ds;
	enum mg_err r;
	unsigned line;
	char src[MG_SIGNERS_LINE_MAX + 1];
	const char *p; /* in src */
};

/* The parts of one line, in caller's storage. */
struct entry {
	char name[MG_NAME_MAX + 1];
	unsigned uses;
	int64_t after_ms, before_ms;
};

static void
fail(struct reader *rd, enum mg_err r)
{
	if (rd->r == MG_ERR_OK || r != MG_ERR_FORMAT)
		rd->r = r;
}

/* A problem at p in the line; always false. */
static bool
bad(struct reader *rd, const char *p, const char *what, const char *why)
{
	fail(rd, MG_ERR_FORMAT);
	mg_diags_add(rd->ds, false, rd->file, rd->line,
	    p == NULL ? 0 : (unsigned)(p - rd->src) + 1, rd->src, "%s%s", what,
	    why);
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
skip_blanks(struct reader *rd)
{
	while (is_blank(*rd->p))
		rd->p++;
}

/* The word at the cursor, of *np bytes; the cursor moves behind it. */
static const char *
take_word(struct reader *rd, size_t *np)
{
	const char *start = rd->p;

	while (*rd->p != '\0' && !is_blank(*rd->p))
		rd->p++;
	*np = (size_t)(rd->p - start);
	skip_blanks(rd);
	return start;
}

static bool
read_name(struct reader *rd, struct entry *e)
{
	size_t n;
	const char *w = take_word(rd, &n);

	if (n >= sizeof(e->name))
		return bad(rd, w, "name is longer than 96 characters", "");
	memcpy(e->name, w, n);
	e->name[n] = '\0';
	if (!mg_name_is_valid(e->name)) /* Rule 2 */
		return bad(
		    rd, w, "not one exact name: it ", mg_name_why(e->name));
	return true;
}

/* ---- options ---- */

static unsigned
number(const char *s, size_t n)
{
	unsigned v = 0;

	for (; n > 0; n--, s++)
		v = v * 10 + (unsigned)(*s - '0');
	return v;
}

/* YYYYMMDD[HHMM[SS]]Z, as long as it is a date that exists. */
static bool
read_time(const char *s, size_t n, int64_t *msp)
{
	char iso[MG_TIME_STR];
	size_t digits = strspn(s, "0123456789");

	if (n != digits + 1 || s[digits] != 'Z') /* Rule 4 */
		return false;
	if (digits != 8 && digits != 12 && digits != 14)
		return false;
	snprintf(iso, sizeof(iso), "%04u-%02u-%02uT%02u:%02u:%02uZ",
	    number(s, 4) % 10000, number(s + 4, 2) % 100,
	    number(s + 6, 2) % 100, digits > 8 ? number(s + 8, 2) % 100 : 0,
	    digits > 8 ? number(s + 10, 2) % 100 : 0,
	    digits > 12 ? number(s + 12, 2) % 100 : 0);
	return mg_time_parse(iso, 0, msp) == MG_ERR_OK && *msp > 0;
}

/* What the namespaces allow; 0: they are not of the one form. */
static unsigned
uses_of(const char *v, size_t n)
{
	static const struct {
		const char *text;
		unsigned uses;
	} forms[] = {
	    {MG_TEXT_NAMESPACE, MG_SIGNER_APPROVALS},
	    {MG_TEXT_POLICY_NAMESPACE, MG_SIGNER_POLICY},
	    {MG_TEXT_NAMESPACE "," MG_TEXT_POLICY_NAMESPACE,
		MG_SIGNER_APPROVALS | MG_SIGNER_POLICY},
	};
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strlen(forms[i].text) == n &&
		    memcmp(forms[i].text, v, n) == 0)
			return forms[i].uses;
	return 0;
}

static bool
option(struct reader *rd, struct entry *e, const char *name, size_t n,
    const char *v, size_t vn)
{
	int64_t *timep;

	if (n == 10 && memcmp(name, "namespaces", n) == 0) {
		if (e->uses != 0)
			return bad(rd, name, "option is given twice", "");
		e->uses = uses_of(v, vn);
		if (e->uses == 0) /* Rule 3 */
			return bad(rd, v, "namespace is not exactly ",
			    "'" MG_TEXT_NAMESPACE
			    "', '" MG_TEXT_POLICY_NAMESPACE "' or both");
		return true;
	}
	if (n == 11 && memcmp(name, "valid-after", n) == 0)
		timep = &e->after_ms;
	else if (n == 12 && memcmp(name, "valid-before", n) == 0)
		timep = &e->before_ms;
	else
		return bad(rd, name, "option is not one of namespaces, ",
		    "valid-after, valid-before");
	if (*timep != 0)
		return bad(rd, name, "option is given twice", "");
	if (!read_time(v, vn, timep))
		return bad(rd, v, "time is not YYYYMMDDZ, YYYYMMDDHHMMZ or ",
		    "YYYYMMDDHHMMSSZ");
	return true;
}

/* One name="value"; the cursor stands behind the closing quote after it. */
static bool
read_option(struct reader *rd, struct entry *e)
{
	const char *name = rd->p, *v;
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz-");
	size_t vn;

	if (n == 14 && memcmp(name, "cert-authority", n) == 0)
		return bad(rd, name, "certificates are not taken", "");
	if (name[n] != '=' || name[n + 1] != '"')
		return bad(rd, name, "neither an option such as ",
		    "namespaces=\"...\" nor a key type that is taken");
	v = name + n + 2;
	vn = strcspn(v, "\"\\");
	if (v[vn] != '"')
		return bad(rd, v, "quote is not closed", "");
	rd->p = v + vn + 1;
	return option(rd, e, name, n, v, vn);
}

static bool
read_options(struct reader *rd, struct entry *e)
{
	const char *start = rd->p;

	for (;;) {
		if (!read_option(rd, e))
			return false;
		if (*rd->p != ',')
			break;
		rd->p++;
	}
	if (!is_blank(*rd->p))
		return bad(rd, rd->p, "text after an option", "");
	skip_blanks(rd);
	if (e->after_ms != 0 && e->before_ms != 0 &&
	    e->after_ms >= e->before_ms)
		return bad(rd, start, "the key is never valid", "");
	return true;
}

/* Whether a word of a key type stands at the cursor. */
static bool
at_key_type(const struct reader *rd)
{
	char word[64];
	size_t n = strcspn(rd->p, " \t");

	if (n >= sizeof(word))
		return false;
	memcpy(word, rd->p, n);
	word[n] = '\0';
	return mg_sshkey_type(word) != MG_SSHKEY_NONE;
}

static bool
read_options_of_kind(struct reader *rd, struct entry *e)
{
	const char *start = rd->p;

	if (rd->kind == MG_SIGNERS_HOSTS)
		return true;
	if (!at_key_type(rd) && !read_options(rd, e))
		return false;
	if (e->uses == 0) /* Rule 3 */
		return bad(rd, start, "namespaces=\"" MG_TEXT_NAMESPACE "\"",
		    " is missing");
	return true;
}

/* ---- keys ---- */

static struct mg_signer *
new_signer(struct reader *rd)
{
	struct mg_signers *s = rd->s;
	struct mg_signer *v;
	size_t cap;

	if (s->n == MG_SIGNERS_MAX) {
		(void)bad(rd, NULL, "more than 2048 keys", "");
		fail(rd, MG_ERR_LIMIT);
		return NULL;
	}
	if (s->n == s->cap) {
		cap = s->cap == 0 ? 16 : s->cap * 2;
		if ((v = reallocarray(s->v, cap, sizeof(*v))) == NULL) {
			fail(rd, MG_ERR_NOMEM);
			return NULL;
		}
		s->v = v;
		s->cap = cap;
	}
	v = &s->v[s->n++];
	memset(v, 0, sizeof(*v));
	return v;
}

static bool
keep(struct reader *rd, const struct entry *e, const uint8_t *blob, size_t n)
{
	struct mg_signer *v;
	enum mg_err r;

	if ((v = new_signer(rd)) == NULL)
		return false;
	v->line = rd->line;
	v->after_ms = e->after_ms;
	v->before_ms = e->before_ms;
	v->uses = e->uses;
	v->name = strdup(e->name);
	v->blob = malloc(n);
	r = mg_sshkey_check(blob, n, &v->type, NULL);
	if (v->name == NULL || v->blob == NULL)
		r = MG_ERR_NOMEM;
	if (r != MG_ERR_OK) {
		fail(rd, r);
		return false;
	}
	memcpy(v->blob, blob, n);
	v->blob_len = n;
	return true;
}

static bool
read_key(struct reader *rd, const struct entry *e)
{
	const char *type, *b64, *why;
	char type_name[64];
	struct mg_buf blob;
	size_t n, bn, wrong;
	enum mg_err r;
	bool ok = false;

	type = take_word(rd, &n);
	if (n >= sizeof(type_name))
		return bad(rd, type, "key is of a type that is not taken", "");
	memcpy(type_name, type, n);
	type_name[n] = '\0';
	b64 = take_word(rd, &bn);
	mg_buf_init(&blob, MG_SSHKEY_BLOB_MAX + 2);
	r = mg_sshkey_parse(&blob, type_name, b64, bn, &wrong, &why);
	if (n == 0 || (bn == 0 && mg_sshkey_type(type_name) != MG_SSHKEY_NONE))
		(void)bad(rd, n == 0 ? type : b64, "key is missing", "");
	else if (r == MG_ERR_NOMEM)
		fail(rd, r);
	else if (mg_sshkey_type(type_name) == MG_SSHKEY_NONE)
		(void)bad(rd, type, "key ", why);
	else if (r != MG_ERR_OK)
		(void)bad(rd, b64 + wrong, "key ", why);
	else
		ok = keep(rd, e, mg_buf_ptr(&blob), mg_buf_len(&blob));
	mg_buf_fini(&blob);
	return ok;
}

/* ---- lines ---- */

/* Takes the next line into src; false at the end of the text. */
static bool
next_line(struct reader *rd, bool *okp)
{
	const char *nl;
	size_t n, i, len;
	uint32_t cp;

	*okp = true;
	if (rd->at == rd->end)
		return false;
	nl = memchr(rd->at, '\n', (size_t)(rd->end - rd->at));
	n = (size_t)((nl == NULL ? rd->end : nl) - rd->at);
	rd->line++;
	rd->src[0] = '\0';
	if (n > MG_SIGNERS_LINE_MAX) {
		*okp = bad(rd, NULL, "line is longer than 8192 bytes", "");
		n = 0;
	} else {
		memcpy(rd->src, rd->at, n);
		rd->src[n] = '\0';
	}
	for (i = 0; i < n && *okp; i += len) {
		if ((len = mg_utf8_next(rd->src + i, n - i, &cp)) == 0)
			*okp = bad(rd, rd->src + i, "bytes are not UTF-8", "");
		else if (cp != '\t' && !mg_esc_is_plain(cp))
			*okp = bad(rd, rd->src + i, "control or invisible ",
			    "character");
	}
	rd->at = nl == NULL ? rd->end : nl + 1;
	rd->p = rd->src;
	return true;
}

static void
read_line(struct reader *rd)
{
	struct entry e;

	memset(&e, 0, sizeof(e));
	if (rd->src[0] == '\0' || rd->src[0] == '#')
		return;
	if (is_blank(rd->src[0])) {
		(void)bad(rd, rd->src, "line is indented", "");
		return;
	}
	if (read_name(rd, &e) && read_options_of_kind(rd, &e))
		(void)read_key(rd, &e);
}

/* ---- what was read, sorted ---- */

static int
compare_blob(const void *a, size_t an, const void *b, size_t bn)
{
	if (an != bn)
		return an < bn ? -1 : 1;
	return memcmp(a, b, an);
}

static int
compare_key(const void *a, const void *b)
{
	const struct mg_signer *x = *(const struct mg_signer *const *)a;
	const struct mg_signer *y = *(const struct mg_signer *const *)b;
	int c = compare_blob(x->blob, x->blob_len, y->blob, y->blob_len);

	if (c != 0)
		return c;
	return x->line < y->line ? -1 : x->line > y->line;
}

static int
compare_name(const void *a, const void *b)
{
	const struct mg_signer *x = *(const struct mg_signer *const *)a;
	const struct mg_signer *y = *(const struct mg_signer *const *)b;

	return strcmp(x->name, y->name);
}

static enum mg_err
sort(struct mg_signers *s)
{
	size_t i;

	if (s->n == 0)
		return MG_ERR_OK;
	s->by_key = calloc(s->n, sizeof(*s->by_key));
	s->by_name = calloc(s->n, sizeof(*s->by_name));
	if (s->by_key == NULL || s->by_name == NULL)
		return MG_ERR_NOMEM;
	for (i = 0; i < s->n; i++)
		s->by_key[i] = s->by_name[i] = &s->v[i];
	qsort(s->by_key, s->n, sizeof(*s->by_key), compare_key);
	qsort(s->by_name, s->n, sizeof(*s->by_name), compare_name);
	return MG_ERR_OK;
}

/* Rule 5 */
static void
find_twice(struct reader *rd)
{
	const struct mg_signer *a, *b;
	size_t i;

	for (i = 1; i < rd->s->n; i++) {
		a = rd->s->by_key[i - 1];
		b = rd->s->by_key[i];
		if (compare_blob(a->blob, a->blob_len, b->blob, b->blob_len))
			continue;
		fail(rd, MG_ERR_FORMAT);
		mg_diags_add(rd->ds, false, rd->file, b->line, 0, NULL,
		    "key stands in line %u already%s%s", a->line,
		    strcmp(a->name, b->name) == 0 ? "" : ", as the key of ",
		    strcmp(a->name, b->name) == 0 ? "" : a->name);
	}
}

static void
read_all(struct reader *rd, size_t len)
{
	enum mg_err r;
	bool ok;

	if (len > MG_SIGNERS_FILE_MAX) {
		mg_diags_add(rd->ds, false, rd->file, 0, 0, NULL,
		    "is larger than 262144 bytes");
		rd->r = MG_ERR_LIMIT;
		return;
	}
	while ((rd->r == MG_ERR_OK || rd->r == MG_ERR_FORMAT) &&
	       next_line(rd, &ok))
		if (ok)
			read_line(rd);
	if (rd->r == MG_ERR_NOMEM || rd->r == MG_ERR_LIMIT)
		return;
	if ((r = sort(rd->s)) != MG_ERR_OK)
		rd->r = r;
	else
		find_twice(rd);
}

enum mg_err
mg_signers_parse(enum mg_signers_kind kind, const char *file, const char *text,
    size_t len, struct mg_signers **sp, struct mg_diags *ds)
{
	struct reader *rd;
	enum mg_err r = MG_ERR_NOMEM;

	*sp = NULL;
	if (kind == MG_SIGNERS_NONE)
		return MG_ERR_INTERNAL;
	if ((rd = calloc(1, sizeof(*rd))) == NULL ||
	    (rd->s = calloc(1, sizeof(*rd->s))) == NULL)
		goto out;
	rd->kind = kind;
	rd->file = file;
	rd->at = text;
	rd->end = text + len;
	rd->ds = ds;
	read_all(rd, len);
	r = rd->r; /* Rule 1 */
	if (r == MG_ERR_OK) {
		*sp = rd->s;
		rd->s = NULL;
	}
out:
	if (rd != NULL)
		mg_signers_free(rd->s);
	free(rd);
	return r;
}

void
mg_signers_free(struct mg_signers *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->v[i].name);
		free(s->v[i].blob);
	}
	free(s->v);
	free(s->by_key);
	free(s->by_name);
	free(s);
}

size_t
mg_signers_count(const struct mg_signers *s)
{
	return s->n;
}

const struct mg_signer *
mg_signers_at(const struct mg_signers *s, size_t i)
{
	return i < s->n ? &s->v[i] : NULL;
}

const struct mg_signer *
mg_signers_find(const struct mg_signers *s, const void *blob, size_t len)
{
	size_t lo = 0, hi = s->n, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = compare_blob(
		    blob, len, s->by_key[mid]->blob, s->by_key[mid]->blob_len);
		if (c == 0)
			return s->by_key[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

bool
mg_signers_has_name(const struct mg_signers *s, const char *name)
{
	size_t lo = 0, hi = s->n, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = strcmp(name, s->by_name[mid]->name);
		if (c == 0)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

bool
mg_signer_is_valid(const struct mg_signer *signer, int64_t wall_ms)
{
	if (signer->after_ms != 0 && wall_ms < signer->after_ms)
		return false;
	return signer->before_ms == 0 || wall_ms < signer->before_ms;
}
