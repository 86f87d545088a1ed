/* SPDX-License-Identifier: ISC */
/* The JSON writer. */
#include <string.h>

#include "mg_bug.h"
#include "mg_esc.h"
#include "mg_json.h"

void
mg_json_begin(struct mg_json *j, struct mg_buf *b)
{
	memset(j, 0, sizeof(*j));
	j->b = b;
}

static void
put(struct mg_json *j, const char *p, size_t n)
{
	if (j->r == MG_ERR_OK)
		j->r = mg_buf_put(j->b, p, n);
}

static void
text(struct mg_json *j, const char *s)
{
	put(j, s, strlen(s));
}

static void
unit(struct mg_json *j, uint32_t v)
{
	if (j->r == MG_ERR_OK)
		j->r = mg_buf_putf(j->b, "\\u%04x", v & 0xffff);
}

static void
escaped(struct mg_json *j, uint32_t cp)
{
	switch (cp) {
	case '"':
		text(j, "\\\"");
		return;
	case '\\':
		text(j, "\\\\");
		return;
	case '\n':
		text(j, "\\n");
		return;
	case '\r':
		text(j, "\\r");
		return;
	case '\t':
		text(j, "\\t");
		return;
	}
	if (cp >= 0x10000) {
		unit(j, 0xd800 + ((cp - 0x10000) >> 10));
		cp = 0xdc00 + ((cp - 0x10000) & 0x3ff);
	}
	unit(j, cp);
}

static void
string(struct mg_json *j, const char *s)
{
	size_t n = strlen(s), len, run = 0;
	uint32_t cp;

	text(j, "\"");
	while (n > run) {
		if ((len = mg_utf8_next(s + run, n - run, &cp)) == 0) {
			len = 1;
			cp = 0xfffd;
		} else if (cp != '"' && cp != '\\' && mg_esc_is_plain(cp)) {
			run += len;
			continue;
		}
		put(j, s, run);
		escaped(j, cp);
		s += run + len;
		n -= run + len;
		run = 0;
	}
	put(j, s, run);
	text(j, "\"");
}

static void
lead(struct mg_json *j, const char *key)
{
	if (j->comma[j->depth])
		text(j, ",");
	j->comma[j->depth] = true;
	if (key != NULL) {
		string(j, key);
		text(j, ":");
	}
}

/* The callers' nesting is fixed: this one's is wrong. */
static void
break_off(struct mg_json *j)
{
	mg_bug();
	j->r = MG_ERR_INTERNAL;
}

static void
open_one(struct mg_json *j, const char *key, const char *bracket)
{
	lead(j, key);
	text(j, bracket);
	if (j->depth == MG_JSON_DEPTH_MAX)
		break_off(j);
	else
		j->comma[++j->depth] = false;
}

static void
close_one(struct mg_json *j, const char *bracket)
{
	if (j->depth == 0) {
		break_off(j);
		return;
	}
	j->depth--;
	text(j, bracket);
}

void
mg_json_obj(struct mg_json *j, const char *key)
{
	open_one(j, key, "{");
}

void
mg_json_obj_end(struct mg_json *j)
{
	close_one(j, "}");
}

void
mg_json_arr(struct mg_json *j, const char *key)
{
	open_one(j, key, "[");
}

void
mg_json_arr_end(struct mg_json *j)
{
	close_one(j, "]");
}

void
mg_json_str(struct mg_json *j, const char *key, const char *s)
{
	lead(j, key);
	string(j, s);
}

void
mg_json_int(struct mg_json *j, const char *key, int64_t v)
{
	lead(j, key);
	if (j->r == MG_ERR_OK)
		j->r = mg_buf_putf(j->b, "%lld", (long long)v);
}

void
mg_json_bool(struct mg_json *j, const char *key, bool v)
{
	lead(j, key);
	text(j, v ? "true" : "false");
}

void
mg_json_null(struct mg_json *j, const char *key)
{
	lead(j, key);
	text(j, "null");
}

void
mg_json_strv(struct mg_json *j, const char *key, const char *const *v, size_t n)
{
	size_t i;

	mg_json_arr(j, key);
	for (i = 0; i < n; i++)
		mg_json_str(j, NULL, v[i]);
	mg_json_arr_end(j);
}

void
mg_json_raw(struct mg_json *j, const char *key, const char *json)
{
	lead(j, key);
	text(j, json);
}

enum mg_err
mg_json_end(struct mg_json *j)
{
	if (j->r == MG_ERR_OK && j->depth != 0)
		return MG_ERR_INTERNAL;
	return j->r;
}
