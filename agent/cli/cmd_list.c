/* SPDX-License-Identifier: ISC */
/* status, requests, grants, why; done, cancel, revoke. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_name.h"
#include "mg_time.h"

/* A table needs as much; a narrower terminal gets a few lines a row. */
#define TABLE_COLUMNS 100

struct rows {
	bool json;
	bool detail;
	bool narrow;
	size_t n;
};

static void
left(const struct mg_rec *rec, char out[MG_DURATION_STR])
{
	int64_t ms = mg_rec_int(rec, "left_ms", 0);

	out[0] = '\0';
	if (ms > 0)
		mg_duration_format(ms, out);
}

/* "1 risk-owner (bob), 1 data-steward (carol)", agreed ones left out. */
static void
needs(const struct mg_rec *rec, char *out, size_t size)
{
	const char *const *need, *const *agreed;
	size_t nneed, nagreed, i, k, used = 0;
	unsigned long want;

	need = mg_rec_strv(rec, "need", &nneed);
	agreed = mg_rec_strv(rec, "agreed", &nagreed);
	out[0] = '\0';
	if (mg_rec_bool(rec, "mfa") && !mg_rec_bool(rec, "mfa_done") &&
	    strcmp(mg_rec_str(rec, "state", ""), "pending") == 0)
		used += (size_t)snprintf(out, size, "second factor");
	for (i = 0; i + 2 < nneed; i += 3) {
		want = strtoul(need[i + 1], NULL, 10);
		for (k = 0; k + 1 < nagreed && want > 0; k += 2)
			if (strcmp(agreed[k], need[i]) == 0)
				want--;
		if (want == 0 || used + 1 >= size)
			continue;
		used += (size_t)snprintf(out + used, size - used,
		    "%s%lu %s (%s)", used > 0 ? ", " : "", want, need[i],
		    need[i + 2][0] != '\0' ? need[i + 2] : "nobody known");
	}
}

static void
subject(const struct mg_rec *rec, char *out, size_t size)
{
	const char *model = mg_rec_str(rec, "model", "");
	const char *version = mg_rec_str(rec, "version", "");

	snprintf(out, size, "%s%s%s%s%s", mg_rec_str(rec, "operation", ""),
	    model[0] != '\0' ? " " : "", model, version[0] != '\0' ? "@" : "",
	    version);
}

/* Everything that a person wrote is shown escaped. */
static void
line(const char *label, const char *value)
{
	char text[4096];

	mg_esc_line(value, text, sizeof(text));
	if (value[0] != '\0')
		printf("  %-12s %s\n", label, text);
}

static void
print_list(const struct mg_rec *rec, const char *label, const char *key)
{
	const char *const *v;
	size_t n, i;

	v = mg_rec_strv(rec, key, &n);
	for (i = 0; i < n; i++)
		line(i == 0 ? label : "", v[i]);
}

static void
print_command(const struct mg_rec *rec)
{
	const char *const *v;
	size_t n, i;

	char text[4096];

	v = mg_rec_strv(rec, "argv", &n);
	if (n == 0)
		return;
	printf("  %-12s", "command");
	for (i = 0; i < n; i++) {
		mg_esc_line(v[i], text, sizeof(text));
		printf(" %s", text);
	}
	printf("\n");
}

static void
print_detail(const struct mg_rec *rec)
{
	char what[400], wait[1024], rest[MG_DURATION_STR], uses[64];

	subject(rec, what, sizeof(what));
	needs(rec, wait, sizeof(wait));
	left(rec, rest);
	printf("%s  %s: %s\n", mg_rec_str(rec, "id", ""), what,
	    mg_rec_str(rec, "state", ""));
	line("because", mg_rec_str(rec, "sentence", ""));
	line("text", mg_rec_str(rec, "text", ""));
	line("rule", mg_rec_str(rec, "rule", ""));
	line("would help", mg_rec_str(rec, "remedy", ""));
	line("requester", mg_rec_str(rec, "user", ""));
	line("from", mg_rec_str(rec, "origin", ""));
	line("terminal", mg_rec_str(rec, "tty", ""));
	line("reason", mg_rec_str(rec, "reason", ""));
	line("ticket", mg_rec_str(rec, "ticket", ""));
	line("number", mg_rec_str(rec, "number", ""));
	line("artifact", mg_rec_str(rec, "digest", ""));
	print_command(rec);
	line("runs as", mg_rec_str(rec, "run_as", ""));
	line("waits for", wait);
	print_list(rec, "decisions", "decisions");
	line("time left", rest);
	line("filed", mg_rec_str(rec, "filed", ""));
	line("granted", mg_rec_str(rec, "granted", ""));
	line("ended", mg_rec_str(rec, "ended", ""));
	line("ended by", mg_rec_str(rec, "by", ""));
	if (mg_rec_int(rec, "used", 0) > 0) {
		snprintf(uses, sizeof(uses), "%lld, %lld running",
		    (long long)mg_rec_int(rec, "used", 0),
		    (long long)mg_rec_int(rec, "running", 0));
		line("runs", uses);
	}
	line("uuid", mg_rec_str(rec, "uuid", ""));
	if (mg_rec_bool(rec, "cut"))
		line("the rest", "is too long: modelgate log --request ID");
}

static void
print_short(const struct mg_rec *rec, size_t n, bool narrow)
{
	char what[400], wait[1024], rest[MG_DURATION_STR];

	subject(rec, what, sizeof(what));
	needs(rec, wait, sizeof(wait));
	left(rec, rest);
	if (narrow) {
		printf("%s  %s%s%s%s\n  %s, %s\n", mg_rec_str(rec, "id", ""),
		    mg_rec_str(rec, "state", ""), rest[0] == '\0' ? "" : ", ",
		    rest, rest[0] == '\0' ? "" : " left", what,
		    mg_rec_str(rec, "user", ""));
		if (wait[0] != '\0')
			printf("  waits for %s\n", wait);
		if (mg_rec_int(rec, "running", 0) > 0)
			printf("  %lld running\n",
			    (long long)mg_rec_int(rec, "running", 0));
		return;
	}
	if (n == 0)
		printf("%-10s  %-8s  %-9s  %-10s  %-32s  %s\n", "ID", "STATE",
		    "LEFT", "USER", "OPERATION", "WAITS FOR");
	if (mg_rec_int(rec, "running", 0) > 0)
		snprintf(wait, sizeof(wait), "%lld running",
		    (long long)mg_rec_int(rec, "running", 0));
	printf("%-10s  %-8s  %-9s  %-10s  %-32s  %s\n",
	    mg_rec_str(rec, "id", ""), mg_rec_str(rec, "state", ""), rest,
	    mg_rec_str(rec, "user", ""), what, wait);
}

static void
on_row(void *arg, const char *json, const struct mg_rec *rec)
{
	struct rows *r = arg;

	if (r->json)
		printf("%s%s", r->n == 0 ? "[" : ",\n ", json);
	else if (r->detail)
		print_detail(rec);
	else
		print_short(rec, r->n, r->narrow);
	r->n++;
}

/* Reads --all, --json and up to one ID. False on wrong usage. */
static bool
options(int argc, char **argv, bool *allp, bool *jsonp, const char **idp)
{
	static const struct option opts[] = {
	    {"all", 0, NULL, 'a'}, {"json", 0, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int c;

	optind = 1;
	while ((c = mg_cli_getopt(argc, argv, "aj", opts)) != -1) {
		if (c == 'a' && allp != NULL)
			*allp = true;
		else if (c == 'j')
			*jsonp = true;
		else
			return false;
	}
	if (idp != NULL && optind < argc)
		*idp = argv[optind++];
	if (optind < argc)
		mg_cli_say("'%.100s' is one word too many", argv[optind]);
	return optind == argc;
}

static bool
is_id(const char *s)
{
	char code[MG_CODE_STR];
	struct mg_uuid u;

	return mg_code_parse(s, code) == MG_ERR_OK ||
	       mg_uuid_parse(s, &u) == MG_ERR_OK;
}

/* The form that the wire takes: no blanks, at most 36 characters. */
static const char *
canonical(const char *s, char code[MG_CODE_STR])
{
	return mg_code_parse(s, code) == MG_ERR_OK ? code : s;
}

static int
bad_id(bool json, const char *id)
{
	(void)mg_cli_failed(json, "bad-request",
	    "'%.100s' is neither a code such as R7KQ2FHD4M nor a UUID", id);
	return MG_EXIT_USAGE;
}

static int
list(enum mg_list what, const char *id, bool all, bool json, bool detail,
    const char *nothing)
{
	char code[MG_CODE_STR];
	struct mg_list_req q = {.what = (uint8_t)what, .everyone = all};
	struct rows rows = {.json = json, .detail = detail};
	char *text = NULL;
	int status;

	rows.narrow = isatty(STDOUT_FILENO) &&
		      mg_cli_columns(STDOUT_FILENO) < TABLE_COLUMNS;
	if (id != NULL && !is_id(id))
		return bad_id(json, id);
	q.id = id == NULL ? "" : canonical(id, code);
	status = mg_cli_ask(MG_MSG_LIST_REQ, &q, json, on_row, &rows, &text);
	if (text != NULL && text[0] != '\0')
		mg_cli_say("%s", text);
	free(text);
	if (status != 0)
		return status;
	if (json)
		printf("%s]\n", rows.n == 0 ? "[" : "");
	else if (rows.n == 0)
		printf("%s\n", nothing);
	return 0;
}

int
mg_cmd_status(int argc, char **argv)
{
	bool all = false, json = false;
	const char *id = NULL;

	if (!options(argc, argv, &all, &json, &id))
		return mg_cli_usage("status");
	if (id != NULL)
		return list(MG_LIST_ONE, id, false, json, true, "");
	return list(MG_LIST_NONE, NULL, all, json, false,
	    "nothing waits, nothing is held");
}

int
mg_cmd_requests(int argc, char **argv)
{
	bool all = false, json = false;

	if (!options(argc, argv, &all, &json, NULL))
		return mg_cli_usage("requests");
	return list(MG_LIST_REQUESTS, NULL, all, json, false, "nothing waits");
}

int
mg_cmd_grants(int argc, char **argv)
{
	bool all = false, json = false;

	if (!options(argc, argv, &all, &json, NULL))
		return mg_cli_usage("grants");
	return list(MG_LIST_GRANTS, NULL, all, json, false, "nothing is held");
}

int
mg_cmd_why(int argc, char **argv)
{
	bool json = false;
	const char *id = NULL;

	if (!options(argc, argv, NULL, &json, &id) || id == NULL)
		return mg_cli_usage("why");
	return list(MG_LIST_ONE, id, false, json, true, "");
}

/* ---- ends ---- */

static int
end(const struct mg_end_req *q, bool json)
{
	char *text = NULL;
	int status;

	status = mg_cli_ask(MG_MSG_END_REQ, q, json, NULL, NULL, &text);
	if (status == 0 && text != NULL) {
		if (json)
			printf("{\"result\":\"%s\"}\n", text);
		else
			printf("%s\n", text);
	}
	free(text);
	return status;
}

static int
end_one(int argc, char **argv, enum mg_end verb, const char *name)
{
	struct mg_end_req q = {.verb = (uint8_t)verb};
	char code[MG_CODE_STR];
	bool json = false;
	const char *id = NULL;

	if (!options(argc, argv, NULL, &json, &id) || id == NULL)
		return mg_cli_usage(name);
	if (!is_id(id))
		return bad_id(json, id);
	q.id = canonical(id, code);
	return end(&q, json);
}

int
mg_cmd_done(int argc, char **argv)
{
	return end_one(argc, argv, MG_END_DONE, "done");
}

int
mg_cmd_cancel(int argc, char **argv)
{
	return end_one(argc, argv, MG_END_CANCEL, "cancel");
}

int
mg_cmd_revoke(int argc, char **argv)
{
	static const struct option opts[] = {{"all", 0, NULL, 'a'},
	    {"user", 1, NULL, 'u'}, {"json", 0, NULL, 'j'}, {NULL, 0, NULL, 0}};
	struct mg_end_req q = {.verb = MG_END_REVOKE};
	char code[MG_CODE_STR];
	bool json = false;
	int c;

	optind = 1;
	while ((c = mg_cli_getopt(argc, argv, "au:j", opts)) != -1) {
		if (c == 'a')
			q.all = true;
		else if (c == 'u')
			q.user = optarg;
		else if (c == 'j')
			json = true;
		else
			return mg_cli_usage("revoke");
	}
	if (q.user != NULL && !mg_name_is_valid(q.user)) {
		(void)mg_cli_failed(json, "bad-request", "user '%s' %s", q.user,
		    mg_name_why(q.user));
		return MG_EXIT_USAGE;
	}
	if (argc - optind + (q.all ? 1 : 0) + (q.user != NULL ? 1 : 0) != 1)
		return mg_cli_usage("revoke");
	if (optind < argc) {
		if (!is_id(argv[optind]))
			return bad_id(json, argv[optind]);
		q.id = canonical(argv[optind], code);
	}
	return end(&q, json);
}
