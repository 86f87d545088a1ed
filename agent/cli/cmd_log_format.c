/* SPDX-License-Identifier: ISC */
/*
 * Ledger records as other programs take them: CSV, CEF, OCSF.
 *
 * Rules
 * 1. A value can end its field, its line or its format in none of them, nor
 *    reach a terminal that shows them: what does not print is escaped.
 * 2. A spreadsheet computes no field: what begins like a formula gets a
 *    quote in front. What stands behind a semicolon may begin a field, too:
 *    in half of the world spreadsheets split there.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_log.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_json.h"
#include "mg_name.h"
#include "mg_time.h"

static const struct word {
	const char *word;
	enum mg_log_format format;
} words[] = {
    {"text", MG_LOG_FORMAT_TEXT},
    {"json", MG_LOG_FORMAT_JSON},
    {"csv", MG_LOG_FORMAT_CSV},
    {"cef", MG_LOG_FORMAT_CEF},
    {"ocsf", MG_LOG_FORMAT_OCSF},
};

bool
mg_log_format_parse(const char *word, enum mg_log_format *fp)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, word) != 0)
			continue;
		*fp = words[i].format;
		return true;
	}
	return false;
}

/* A member, or the one that the reader added for the whole request. */
static const char *
get(const struct mg_rec *rec, const char *key)
{
	const char *s = mg_rec_str(rec, key, "");
	char of[32];

	if (s[0] != '\0')
		return s;
	snprintf(of, sizeof(of), "of_%s", key);
	return mg_rec_str(rec, of, "");
}

static const char *
code_of(const struct mg_rec *rec, char out[MG_CODE_STR])
{
	struct mg_uuid u;

	out[0] = '\0';
	if (mg_uuid_parse(mg_rec_str(rec, "uuid", ""), &u) == MG_ERR_OK)
		mg_code_from_uuid(&u, out);
	return out;
}

/* Whether the record tells of something that did not succeed. */
static bool
is_failure(const struct mg_rec *rec)
{
	const char *type = mg_rec_str(rec, "type", "");
	const char *state = mg_rec_str(rec, "state", "");

	if (strcmp(type, "refused") == 0 || strcmp(type, "rejected") == 0)
		return true;
	if (mg_rec_has(rec, "ok"))
		return !mg_rec_bool(rec, "ok");
	if (strcmp(type, "exit") == 0)
		return mg_rec_int(rec, "value", 0) != 0;
	return strcmp(state, "denied") == 0 || strcmp(state, "revoked") == 0 ||
	       strcmp(state, "timedout") == 0 ||
	       strcmp(mg_rec_str(rec, "decision", ""), "deny") == 0;
}

/* One sentence. */
static const char *
message(const struct mg_rec *rec)
{
	static const char *const keys[] = {"text", "reason", "note", "why"};
	const char *type = mg_rec_str(rec, "type", "");
	const char *s = "";
	size_t i;

	/* The text of a decision is what was signed: many lines. */
	i = strcmp(type, "decision") == 0 ? 1 : 0;
	for (; i < 4 && s[0] == '\0'; i++)
		s = mg_rec_str(rec, keys[i], "");
	return s;
}

/* Who did it, not always who asked. */
static const char *
actor(const struct mg_rec *rec)
{
	const char *s = mg_rec_str(rec, "approver", "");

	return s[0] != '\0' ? s : get(rec, "user");
}

/* ---- CSV (RFC 4180) ---- */

static const char *const columns[] = {"seq", "at", "type", "code", "uuid",
    "user", "operation", "model", "version", "approver", "decision", "state",
    "why", "ok", "message"};

#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

/* = + - @ and their full-width forms, which spreadsheets take as well. */
static bool
begins_formula(uint32_t cp)
{
	return cp == '=' || cp == '+' || cp == '-' || cp == '@' ||
	       cp == 0xff1d || cp == 0xff0b || cp == 0xff0d || cp == 0xff20;
}

static void
csv_text(const char *s, size_t left)
{
	bool at_start = true;
	uint32_t cp;
	size_t n;

	for (; left > 0; s += n, left -= n) {
		if ((n = mg_utf8_next(s, left, &cp)) == 0)
			n = 1, cp = 0xfffd;
		if (at_start && begins_formula(cp))
			putchar('\''); /* Rule 2 */
		if (cp == '"')
			putchar('"');
		printf("%.*s", (int)n, s);
		at_start = cp == ';' || (at_start && (cp == ' ' || cp == '"'));
	}
}

static void
csv_field(const char *s)
{
	struct mg_buf b;

	putchar('"');
	mg_buf_init(&b, 8 * MG_REC_LINE_MAX);
	if (mg_esc_put(&b, s, strlen(s), NULL) == MG_ERR_OK) /* Rule 1 */
		csv_text((const char *)mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	putchar('"');
}

static void
csv_head(void)
{
	size_t i;

	for (i = 0; i < NCOLUMNS; i++)
		printf("%s%s", i > 0 ? "," : "", columns[i]);
	printf("\r\n");
}

static void
csv_line(const struct mg_rec *rec)
{
	char code[MG_CODE_STR];
	size_t i;

	printf("%lld,", (long long)mg_rec_int(rec, "seq", 0));
	for (i = 1; i < NCOLUMNS; i++) {
		if (i > 1)
			putchar(',');
		if (strcmp(columns[i], "code") == 0)
			csv_field(code_of(rec, code));
		else if (strcmp(columns[i], "ok") == 0)
			csv_field(is_failure(rec) ? "false" : "true");
		else if (strcmp(columns[i], "message") == 0)
			csv_field(message(rec));
		else
			csv_field(get(rec, columns[i]));
	}
	printf("\r\n");
}

/* ---- CEF ---- */

/*
 * One value of the extension, of at most max bytes before they are escaped,
 * cut between characters: '=', backslash and line ends have escapes of
 * CEF's, what else does not print has ours.
 */
static void
cef_value(const char *s, size_t max)
{
	size_t n, left = strlen(s);
	uint32_t cp;

	for (; left > 0; s += n, left -= n, max -= n) {
		if ((n = mg_utf8_next(s, left, &cp)) == 0)
			n = 1, cp = 0xfffd;
		if (n > max)
			return;
		if (cp == '\n' || cp == '\r')
			printf(cp == '\n' ? "\\n" : "\\r");
		else if (cp == '\\' || cp == '=')
			printf("\\%c", (char)cp);
		else if (mg_esc_is_plain(cp))
			printf("%.*s", (int)n, s);
		else
			printf("\\\\u{%x}", (unsigned)cp);
	}
}

static void
cef_pair(const char *key, const char *value, size_t max)
{
	if (value[0] == '\0')
		return;
	printf(" %s=", key);
	cef_value(value, max);
}

static void
cef_custom(int n, const char *label, const char *value)
{
	char key[8];

	if (value[0] == '\0')
		return;
	printf(" cs%dLabel=%s", n, label);
	snprintf(key, sizeof(key), "cs%d", n);
	cef_pair(key, value, 4000);
}

static int
family(const char *address)
{
	unsigned char a[16];

	if (inet_pton(AF_INET, address, a) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, address, a) == 1 ? AF_INET6 : AF_UNSPEC;
}

static void
cef_origin(const char *origin)
{
	switch (family(origin)) {
	case AF_INET:
		cef_pair("src", origin, 1023);
		break;
	case AF_INET6:
		printf(" c6a2Label=Source IPv6 Address");
		cef_pair("c6a2", origin, 1023);
		break;
	default:
		cef_pair("shost", origin, 1023);
	}
}

/* The types of records, which the head is made of, are plain words. */
static void
cef_line(const struct mg_rec *rec, const char *host)
{
	const char *type = mg_rec_str(rec, "type", "");
	int64_t at = 0;

	(void)!mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at);
	if (!mg_name_is_valid(type))
		type = "unknown";
	printf("CEF:0|modelgate|modelgate|%s|%s|modelgate %s|%d|rt=%lld",
	    MG_VERSION, type, type, is_failure(rec) ? 6 : 3, (long long)at);
	cef_pair("dvchost", host, 100);
	cef_pair("suser", actor(rec), 1023);
	if (strcmp(actor(rec), get(rec, "user")) != 0)
		cef_pair("duser", get(rec, "user"), 1023);
	cef_pair("act", get(rec, "operation"), 63);
	cef_pair("externalId", mg_rec_str(rec, "uuid", ""), 40);
	cef_pair("outcome", is_failure(rec) ? "failure" : "success", 63);
	cef_pair("reason", mg_rec_str(rec, "why", ""), 1023);
	cef_origin(mg_rec_str(rec, "origin", ""));
	cef_custom(1, "model", get(rec, "model"));
	cef_custom(2, "version", get(rec, "version"));
	cef_custom(3, "decision", mg_rec_str(rec, "decision", ""));
	cef_custom(4, "state", mg_rec_str(rec, "state", ""));
	cef_pair("msg", message(rec), 1023);
	printf(
	    " cn1Label=seq cn1=%lld\n", (long long)mg_rec_int(rec, "seq", 0));
}

/* ---- OCSF 1.3: API Activity (6003) ---- */

static int
activity(const char *type)
{
	static const struct {
		const char *type;
		int id; /* 1 create, 2 read, 3 update, 4 delete, 99 other */
	} v[] = {{"request", 1}, {"enroll", 1}, {"session-open", 1},
	    {"grant", 3}, {"decision", 3}, {"policy", 3}, {"end", 4},
	    {"unenroll", 4}, {"session-close", 4}};
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (strcmp(v[i].type, type) == 0)
			return v[i].id;
	return 99;
}

/* What has no value is left out: an empty string is one. */
static void
ocsf_str(struct mg_json *j, const char *key, const char *value)
{
	if (value[0] != '\0')
		mg_json_str(j, key, value);
}

static void
ocsf_metadata(struct mg_json *j, const struct mg_rec *rec)
{
	char uid[24];

	mg_json_obj(j, "metadata");
	mg_json_str(j, "version", "1.3.0");
	mg_json_obj(j, "product");
	mg_json_str(j, "name", "modelgate");
	mg_json_str(j, "vendor_name", "modelgate");
	mg_json_str(j, "version", MG_VERSION);
	mg_json_obj_end(j);
	snprintf(
	    uid, sizeof(uid), "%lld", (long long)mg_rec_int(rec, "seq", 0));
	mg_json_str(j, "uid", uid);
	mg_json_int(j, "sequence", mg_rec_int(rec, "seq", 0));
	mg_json_str(j, "event_code", mg_rec_str(rec, "type", ""));
	ocsf_str(j, "correlation_uid", mg_rec_str(rec, "uuid", ""));
	mg_json_str(j, "original_time", mg_rec_str(rec, "at", ""));
	mg_json_obj_end(j);
}

/* The agent itself, where nobody did it. */
static void
ocsf_actor(struct mg_json *j, const struct mg_rec *rec)
{
	mg_json_obj(j, "actor");
	if (actor(rec)[0] != '\0') {
		mg_json_obj(j, "user");
		mg_json_str(j, "name", actor(rec));
		mg_json_obj_end(j);
	} else {
		mg_json_str(j, "app_name", "modelgated");
	}
	mg_json_obj_end(j);
}

static void
ocsf_api(struct mg_json *j, const struct mg_rec *rec)
{
	const char *operation = get(rec, "operation");
	const char *uuid = mg_rec_str(rec, "uuid", "");

	mg_json_obj(j, "api");
	mg_json_str(j, "operation",
	    operation[0] != '\0' ? operation : mg_rec_str(rec, "type", ""));
	if (uuid[0] != '\0') {
		mg_json_obj(j, "request");
		mg_json_str(j, "uid", uuid);
		mg_json_obj_end(j);
	}
	mg_json_obj_end(j);
}

static void
ocsf_places(struct mg_json *j, const struct mg_rec *rec, const char *host)
{
	const char *origin = mg_rec_str(rec, "origin", "");

	if (get(rec, "model")[0] != '\0') {
		mg_json_arr(j, "resources");
		mg_json_obj(j, NULL);
		mg_json_str(j, "type", "model");
		mg_json_str(j, "name", get(rec, "model"));
		ocsf_str(j, "version", get(rec, "version"));
		mg_json_obj_end(j);
		mg_json_arr_end(j);
	}
	mg_json_obj(j, "device");
	mg_json_str(j, "hostname", host);
	mg_json_int(j, "type_id", 1);
	mg_json_obj_end(j);
	/* It has to be one: where nothing came from elsewhere, this host. */
	mg_json_obj(j, "src_endpoint");
	if (family(origin) != AF_UNSPEC)
		mg_json_str(j, "ip", origin);
	else
		mg_json_str(j, "hostname", origin[0] != '\0' ? origin : host);
	mg_json_obj_end(j);
}

static void
ocsf_line(const struct mg_rec *rec, const char *line, const char *host)
{
	const char *type = mg_rec_str(rec, "type", "");
	int id = activity(type);
	bool failed = is_failure(rec);
	struct mg_buf b;
	struct mg_json j;
	int64_t at = 0;
	const char *s;

	(void)!mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at);
	mg_buf_init(&b, 16 * MG_REC_LINE_MAX);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_int(&j, "category_uid", 6);
	mg_json_int(&j, "class_uid", 6003);
	mg_json_int(&j, "activity_id", id);
	if (id == 99)
		mg_json_str(&j, "activity_name", type);
	mg_json_int(&j, "type_uid", 600300 + id);
	mg_json_int(&j, "time", at);
	mg_json_int(&j, "severity_id", failed ? 3 : 1);
	mg_json_int(&j, "status_id", failed ? 2 : 1);
	mg_json_str(&j, "status_code", type);
	ocsf_str(&j, "status_detail", mg_rec_str(rec, "why", ""));
	ocsf_str(&j, "message", message(rec));
	ocsf_metadata(&j, rec);
	ocsf_actor(&j, rec);
	ocsf_api(&j, rec);
	ocsf_places(&j, rec, host);
	mg_json_raw(&j, "unmapped", line);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (s = mg_buf_cstr(&b)) != NULL)
		printf("%s\n", s);
	mg_buf_fini(&b);
}

/* ---- all ---- */

void
mg_log_format_head(enum mg_log_format format)
{
	if (format == MG_LOG_FORMAT_CSV)
		csv_head();
}

void
mg_log_format_line(enum mg_log_format format, const struct mg_rec *rec,
    const char *line, const char *host)
{
	switch (format) {
	case MG_LOG_FORMAT_CSV:
		csv_line(rec);
		break;
	case MG_LOG_FORMAT_CEF:
		cef_line(rec, host);
		break;
	case MG_LOG_FORMAT_OCSF:
		ocsf_line(rec, line, host);
		break;
	case MG_LOG_FORMAT_TEXT:
	case MG_LOG_FORMAT_JSON:
		break;
	}
}
