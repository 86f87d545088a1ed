/* SPDX-License-Identifier: ISC */
/*
 * JSON of signature files, and what else they are made of.
 *
 * Rules
 * 1. Size, depth and number of values are counted before the parser sees
 *    the text: the parser recurses, and takes a hundred bytes a value.
 * 2. A member that stands twice is refused: two readers would each take
 *    another one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_b64.h"
#include "mg_esc.h"
#include "verify/mg_oms_int.h"

#define DEPTH_MAX 16
#define VALUES_MAX 1000000

const char *const mg_oms_git_paths[5] = {
    ".git", ".gitattributes", ".github", ".gitignore", NULL};

static const char *const words[] = {
#define MG_OMS_WHY_WORD(NAME, word) [MG_OMS_##NAME] = (word),
    MG_OMS_WHY_LIST(MG_OMS_WHY_WORD)
#undef MG_OMS_WHY_WORD
};

const char *
mg_oms_why_word(enum mg_oms_why why)
{
	return (size_t)why < MG_OMS_WHY_COUNT ? words[why] : "unknown";
}

enum mg_err
mg_oms_say(struct mg_oms_fail *fail, enum mg_err r, enum mg_oms_why why,
    const char *fmt, ...)
{
	va_list ap;

	fail->why = why;
	va_start(ap, fmt);
	vsnprintf(fail->text, sizeof(fail->text), fmt, ap);
	va_end(ap);
	return r;
}

/* ---- JSON ---- */

/* Rule 1 */
static enum mg_err
count(const char *p, size_t len, const char *what, struct mg_oms_fail *fail)
{
	size_t depth = 0, values = 0, i;
	bool in_string = false;

	for (i = 0; i < len; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
			continue;
		}
		switch (p[i]) {
		case '"':
			in_string = true;
			break;
		case '[':
		case '{':
			depth++;
			values++;
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		case ',':
		case ':':
			values++;
			break;
		default:
			break;
		}
		if (depth > DEPTH_MAX)
			return mg_oms_say(fail, MG_ERR_LIMIT, MG_OMS_TOO_DEEP,
			    "%s: nested more than %d deep", what, DEPTH_MAX);
		if (values > VALUES_MAX)
			return mg_oms_say(fail, MG_ERR_LIMIT, MG_OMS_TOO_LARGE,
			    "%s: more than %d values", what, VALUES_MAX);
	}
	return MG_ERR_OK;
}

static enum mg_err
say_json(const json_error_t *e, const char *what, struct mg_oms_fail *fail)
{
	enum json_error_code code = json_error_code(e);
	char esc[128];

	mg_esc_line(e->text, esc, sizeof(esc));
	/* Unknown: it had not even the memory to begin. */
	if (code == json_error_out_of_memory || code == json_error_unknown)
		return mg_oms_say(fail, MG_ERR_NOMEM, MG_OMS_NOMEM,
		    "%s: out of memory", what);
	return mg_oms_say(fail, MG_ERR_FORMAT,
	    code == json_error_duplicate_key ? MG_OMS_DUPLICATE : MG_OMS_JSON,
	    "%s:%d:%d: %s", what, e->line, e->column, esc);
}

enum mg_err
mg_oms_json(const void *text, size_t len, const char *what, json_t **jp,
    struct mg_oms_fail *fail)
{
	json_error_t e = {.line = -1}; /* jansson may leave the code as it is */
	enum mg_err r;
	json_t *j;

	*jp = NULL;
	if (len > MG_OMS_BUNDLE_MAX)
		return mg_oms_say(fail, MG_ERR_LIMIT, MG_OMS_TOO_LARGE,
		    "%s: larger than %zu bytes", what, MG_OMS_BUNDLE_MAX);
	if ((r = count(text, len, what, fail)) != MG_ERR_OK)
		return r;
	j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e); /* Rule 2 */
	if (j == NULL)
		return say_json(&e, what, fail);
	if (!json_is_object(j)) {
		json_decref(j);
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_JSON,
		    "%s: is not a JSON object", what);
	}
	*jp = j;
	return MG_ERR_OK;
}

static const char *
type_name(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "?";
}

json_t *
mg_oms_get(const json_t *obj, const char *name, json_type type,
    struct mg_oms_fail *fail)
{
	json_t *j = json_object_get(obj, name);

	if (j == NULL) {
		(void)mg_oms_say(
		    fail, MG_ERR_FORMAT, MG_OMS_FIELD, "'%s' is missing", name);
		return NULL;
	}
	if (json_typeof(j) != type &&
	    !(type == JSON_FALSE && json_is_boolean(j))) {
		(void)mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'%s' is not %s", name, type_name(type));
		return NULL;
	}
	return j;
}

enum mg_err
mg_oms_only(const json_t *obj, const char *const *names, const char *what,
    struct mg_oms_fail *fail)
{
	void *it = json_object_iter((json_t *)(uintptr_t)obj);
	const char *key, *const *n;
	char esc[64];

	for (; it != NULL;
	     it = json_object_iter_next((json_t *)(uintptr_t)obj, it)) {
		key = json_object_iter_key(it);
		for (n = names; *n != NULL && strcmp(*n, key) != 0; n++)
			;
		if (*n != NULL)
			continue;
		mg_esc_line(key, esc, sizeof(esc));
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "%s has an unknown member '%s'", what, esc);
	}
	return MG_ERR_OK;
}

/* ---- text ---- */

/* The canonical form of what both alphabets can write; malloc'ed. */
static char *
to_canonical(const char *s, size_t n)
{
	char *d = malloc(n + 4);
	size_t i;

	if (d == NULL)
		return NULL;
	for (i = 0; i < n; i++)
		d[i] = (char)(s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i]);
	for (; n % 4 != 0 && n % 4 != 1; n++)
		d[n] = '=';
	d[n] = '\0';
	return d;
}

enum mg_err
mg_oms_base64(
    struct mg_buf *b, const char *s, const char *what, struct mg_oms_fail *fail)
{
	enum mg_err r = MG_ERR_FORMAT;
	char *d;

	/* One text is in one alphabet. */
	if (strpbrk(s, "-_") != NULL && strpbrk(s, "+/") != NULL)
		return mg_oms_say(fail, r, MG_OMS_BASE64,
		    "%s: two alphabets of base64 in one text", what);
	if ((d = to_canonical(s, strlen(s))) == NULL)
		return mg_oms_say(fail, MG_ERR_NOMEM, MG_OMS_NOMEM,
		    "%s: out of memory", what);
	r = mg_b64_get(b, d, strlen(d), NULL);
	free(d);
	if (r == MG_ERR_OK && mg_buf_len(b) > 0)
		return MG_ERR_OK;
	if (r == MG_ERR_LIMIT)
		return mg_oms_say(
		    fail, r, MG_OMS_TOO_LARGE, "%s: is too long", what);
	if (r == MG_ERR_NOMEM)
		return mg_oms_say(
		    fail, r, MG_OMS_NOMEM, "%s: out of memory", what);
	return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_BASE64, "%s: is %s", what,
	    r == MG_ERR_OK ? "empty" : "not base64");
}

bool
mg_oms_path_is_valid(const char *s)
{
	size_t n;

	if (!mg_utf8_is_valid(s, strlen(s)) || !mg_esc_is_clean(s) ||
	    strchr(s, '\\') != NULL || strlen(s) > MG_TREE_PATH_MAX)
		return false;
	for (;; s += n + 1) {
		n = strcspn(s, "/");
		if (n == 0 || (n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (s[n] == '\0')
			return true;
	}
}

enum mg_err
mg_oms_put_pae(struct mg_buf *b, const void *payload, size_t len)
{
	enum mg_err r;

	r = mg_buf_putf(b, "DSSEv1 %zu %s %zu ", strlen(OMS_PAYLOAD_TYPE),
	    OMS_PAYLOAD_TYPE, len);
	return r == MG_ERR_OK ? mg_buf_put(b, payload, len) : r;
}
