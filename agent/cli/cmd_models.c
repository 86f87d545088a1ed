/* SPDX-License-Identifier: ISC */
/* models: what is deployed on this host, from the ledger alone. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_json.h"
#include "mg_name.h"

struct listing {
	bool json;
	size_t n;
	unsigned drifted;
};

/* Whatever somebody wrote, escaped, on a line of its own. */
static void
line(const char *what, const char *value)
{
	char text[2048];

	if (value[0] == '\0')
		return;
	mg_esc_line(value, text, sizeof(text));
	printf("    %-11s %s\n", what, text);
}

static void
print_back(const struct mg_rec *rec)
{
	const char *const *v;
	char text[1024] = "";
	size_t n, i, used = 0;

	v = mg_rec_strv(rec, "back", &n);
	for (i = 0; i + 1 < n && used < sizeof(text); i += 2)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s%s (%.19s...)", i > 0 ? ", " : "", v[i], v[i + 1]);
	line("roll back", text);
}

static void
print_model(const struct mg_rec *rec)
{
	const char *version = mg_rec_str(rec, "version", "");
	const char *promoted = mg_rec_str(rec, "promoted", "");
	const char *const *back;
	char ref[2 * MG_NAME_MAX + 2];
	size_t n;

	snprintf(ref, sizeof(ref), "%s%s%s", mg_rec_str(rec, "model", ""),
	    version[0] != '\0' ? "@" : "", version);
	if (version[0] == '\0') {
		printf("%-32s nothing is live\n", ref);
		print_back(rec);
		return;
	}
	printf("%-32s since %.19sZ%s%s\n", ref, mg_rec_str(rec, "since", ""),
	    strcmp(promoted, version) == 0 ? ", promoted" : "",
	    mg_rec_bool(rec, "drifted") ? ", DRIFTED" : "");
	line("digest", mg_rec_str(rec, "digest", ""));
	if (mg_rec_bool(rec, "drifted")) {
		line("found", mg_rec_str(rec, "found", "")[0] != '\0'
				  ? mg_rec_str(rec, "found", "")
				  : "nothing that may be served");
		line("found at", mg_rec_str(rec, "checked", ""));
	}
	if (strcmp(promoted, version) != 0)
		line("promoted", promoted);
	line("asked for", mg_rec_str(rec, "user", ""));
	line("approved", mg_rec_str(rec, "approvers", ""));
	line("why", mg_rec_str(rec, "reason", ""));
	line("request", mg_rec_str(rec, "id", ""));
	back = mg_rec_strv(rec, "back", &n);
	line("replaced", n > 0 ? back[0] : "");
	print_back(rec);
}

static void
on_row(void *arg, const char *json, const struct mg_rec *rec)
{
	struct listing *l = arg;

	if (l->json)
		printf("%s%s", l->n > 0 ? ",\n " : "[", json);
	else
		print_model(rec);
	l->n++;
	l->drifted += mg_rec_bool(rec, "drifted");
}

static int
list_all(bool look, bool json)
{
	struct mg_list_req q = {
	    .what = look ? MG_LIST_CHECK : MG_LIST_MODELS, .id = ""};
	struct listing l = {.json = json};
	int status;

	status = mg_cli_ask(MG_MSG_LIST_REQ, &q, json, on_row, &l, NULL);
	if (status != 0)
		return status;
	if (json)
		printf("%s]\n", l.n == 0 ? "[" : "");
	else if (l.n == 0)
		fprintf(stderr, "nothing was deployed here\n");
	return look && l.drifted > 0 ? 1 : 0;
}

/* ---- one model's history ---- */

static void
print_approvers(const struct mg_rec *rec)
{
	const char *const *v;
	size_t n, i;

	v = mg_rec_strv(rec, "approvers", &n);
	for (i = 0; i < n; i++)
		printf("%s%s", i == 0 ? ", approved by " : ",", v[i]);
}

/* Which bytes, and which request to ask about. */
static void
print_digest(const struct mg_rec *rec)
{
	const char *digest = mg_rec_str(rec, "digest", "");
	char code[MG_CODE_STR];
	struct mg_uuid u;

	printf("%32s%s", "", digest);
	if (mg_uuid_parse(mg_rec_str(rec, "uuid", ""), &u) == MG_ERR_OK) {
		mg_code_from_uuid(&u, code);
		printf("%srequest %s", digest[0] != '\0' ? ", " : "", code);
	}
	putchar('\n');
}

static void
print_drift(const struct mg_rec *rec)
{
	const char *found = mg_rec_str(rec, "found", "");
	char text[2048];

	mg_esc_line(mg_rec_str(rec, "text", ""), text, sizeof(text));
	printf("%s%s%s%s\n",
	    mg_rec_bool(rec, "ok") ? "is over: serves what is on record, "
				   : "serves other bytes: ",
	    found, found[0] != '\0' && text[0] != '\0' ? " " : "", text);
}

static void
print_event(const struct mg_rec *rec)
{
	const char *effect = mg_rec_str(rec, "effect", "");
	const char *old = mg_rec_str(rec, "replaced", "");
	const char *reason = mg_rec_str(rec, "reason", "");
	char text[2048];

	printf("%.19sZ  %-8s %-12s ", mg_rec_str(rec, "at", ""),
	    strcmp(effect, "serve") == 0 ? mg_rec_str(rec, "operation", "")
					 : effect,
	    mg_rec_str(rec, "version", ""));
	if (strcmp(effect, "drift") == 0) {
		print_drift(rec);
		return;
	}
	printf("by %s", mg_rec_str(rec, "user", ""));
	print_approvers(rec);
	if (old[0] != '\0' && strcmp(effect, "serve") == 0)
		printf(", replaced %s", old);
	mg_esc_line(reason, text, sizeof(text));
	printf("%s%s\n", text[0] != '\0' ? ": " : "", text);
	print_digest(rec);
}

int
mg_cmd_models(int argc, char **argv)
{
	static const struct option opts[] = {{"check", 0, NULL, 'c'},
	    {"json", 0, NULL, 'j'}, {NULL, 0, NULL, 0}};
	struct mg_log_req q = {.type = "model"};
	bool json = false, look = false;
	char unknown[MG_NAME_MAX + 64];
	int c;

	optind = 1;
	while ((c = mg_cli_getopt(argc, argv, "cj", opts)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'c')
			look = true;
		else
			return mg_cli_usage("models");
	}
	if (optind == argc)
		return list_all(look, json);
	if (look) {
		mg_cli_say("--check is for all models at once");
		return mg_cli_usage("models");
	}
	if (optind + 1 != argc)
		return mg_cli_unexpected("models", argv[optind + 1]);
	if (!mg_name_is_valid(argv[optind])) {
		mg_cli_say("model '%.100s' %s", argv[optind],
		    mg_name_why(argv[optind]));
		return MG_EXIT_USAGE;
	}
	q.model = argv[optind];
	snprintf(unknown, sizeof(unknown),
	    "nothing that you may see was ever deployed here of '%s'", q.model);
	return mg_cli_log(&q, json, print_event, unknown);
}
