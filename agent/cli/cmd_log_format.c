/* SPDX-License-Identifier: ISC */
/*
 * Ledger records as other programs take them: CSV, CEF, OCSF.
 *
 * Rules
 * 1. A value can end its field, its line or its format in none of them.
 * 2. A spreadsheet computes no field: what begins like a formula gets a
 *    quote in front.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_log.h"
#include "mg_id.h"
#include "mg_json.h"
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

/* ---- CSV (RFC 4180) ---- */

static const char *const columns[] = {"seq", "at", "type", "code", "uuid",
    "user", "operation", "model", "version", "approver", "decision", "state",
    "why", "ok", "message"};

#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

static void
csv_field(const char *s)
{
	putchar('"');
	if (strchr("=+-@\t\r", s[0]) != NULL && s[0] != '\0')
		putchar('\''); /* Rule 2 */
	for (; *s != '\0'; s++) {
		if (*s == '"')
			putchar('"');
		putchar(*s);
	}
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

/* Escapes what ends a value: '|' in the head, '=' behind it. */
static void
cef_value(const char *s, char end)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n' || *s == '\r') {
			printf("\\n");
			continue;
		}
		if (*s == '\\' || *s == end)
			putchar('\\');
		putchar(*s);
	}
}

static void
cef_pair(const char *key, const char *value)
{
	if (value[0] == '\0')
		return;
	printf(" %s=", key);
	cef_value(value, '=');
}

static void
cef_line(const struct mg_rec *rec, const char *host)
{
	const char *type = mg_rec_str(rec, "type", "");
	int64_t at = 0;

	(void)!mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at);
	printf("CEF:0|modelgate|modelgate|%s|", MG_VERSION);
	cef_value(type, '|');
	printf("|modelgate ");
	cef_value(type, '|');
	printf("|%d|rt=%lld", is_failure(rec) ? 6 : 3, (long long)at);
	cef_pair("dvchost", host);
	cef_pair("suser", get(rec, "user"));
	cef_pair("act", get(rec, "operation"));
	cef_pair("externalId", mg_rec_str(rec, "uuid", ""));
	cef_pair("outcome", is_failure(rec) ? "failure" : "success");
	cef_pair("reason", mg_rec_str(rec, "why", ""));
	cef_pair("duser", mg_rec_str(rec, "approver", ""));
	cef_pair("shost", mg_rec_str(rec, "origin", ""));
	if (get(rec, "model")[0] != '\0') {
		printf(" cs1Label=model");
		cef_pair("cs1", get(rec, "model"));
	}
	if (get(rec, "version")[0] != '\0') {
		printf(" cs2Label=version");
		cef_pair("cs2", get(rec, "version"));
	}
	cef_pair("msg", message(rec));
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
	mg_json_str(j, "correlation_uid", mg_rec_str(rec, "uuid", ""));
	mg_json_str(j, "original_time", mg_rec_str(rec, "at", ""));
	mg_json_obj_end(j);
}

static void
ocsf_subjects(struct mg_json *j, const struct mg_rec *rec, const char *host)
{
	mg_json_obj(j, "actor");
	mg_json_obj(j, "user");
	mg_json_str(j, "name",
	    mg_rec_has(rec, "approver") ? mg_rec_str(rec, "approver", "")
					: get(rec, "user"));
	mg_json_obj_end(j);
	mg_json_obj_end(j);
	mg_json_obj(j, "api");
	mg_json_str(j, "operation", get(rec, "operation"));
	mg_json_obj(j, "request");
	mg_json_str(j, "uid", mg_rec_str(rec, "uuid", ""));
	mg_json_obj_end(j);
	mg_json_obj_end(j);
	mg_json_arr(j, "resources");
	mg_json_obj(j, NULL);
	mg_json_str(j, "type", "model");
	mg_json_str(j, "name", get(rec, "model"));
	mg_json_str(j, "version", get(rec, "version"));
	mg_json_obj_end(j);
	mg_json_arr_end(j);
	mg_json_obj(j, "device");
	mg_json_str(j, "hostname", host);
	mg_json_int(j, "type_id", 1);
	mg_json_obj_end(j);
	mg_json_obj(j, "src_endpoint");
	mg_json_str(j, "name", mg_rec_str(rec, "origin", ""));
	mg_json_obj_end(j);
}

static void
ocsf_line(const struct mg_rec *rec, const char *line, const char *host)
{
	int id = activity(mg_rec_str(rec, "type", ""));
	bool failed = is_failure(rec);
	struct mg_buf b;
	struct mg_json j;
	int64_t at = 0;
	const char *s;

	(void)!mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at);
	mg_buf_init(&b, 4 * MG_REC_LINE_MAX);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_int(&j, "category_uid", 6);
	mg_json_int(&j, "class_uid", 6003);
	mg_json_int(&j, "activity_id", id);
	mg_json_int(&j, "type_uid", 600300 + id);
	mg_json_int(&j, "time", at);
	mg_json_int(&j, "severity_id", failed ? 3 : 1);
	mg_json_int(&j, "status_id", failed ? 2 : 1);
	mg_json_str(&j, "status_code", mg_rec_str(rec, "type", ""));
	mg_json_str(&j, "status_detail", mg_rec_str(rec, "why", ""));
	mg_json_str(&j, "message", message(rec));
	ocsf_metadata(&j, rec);
	ocsf_subjects(&j, rec, host);
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
