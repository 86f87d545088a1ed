/* SPDX-License-Identifier: ISC */
/* modelgate: the command line. One table of subcommands. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_json.h"
#include "mg_name.h"
#include "mg_why.h"

#define ANSWER_MS 30000
#define CHECK_MS 3600000 /* everything that is served is read */

static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv); /* NULL: a program of its own */
	const char *program;
	const char *usage;
	const char *help;
} commands[] = {
    {"run", mg_cmd_run, NULL,
	"run OPERATION [MODEL[@VERSION]] [--reason TEXT] [--ticket ID]\n"
	"    [--no-wait] [--break-glass] [--tokens-fd N] [--json] "
	"[-- ARG...]",
	"run an operation, once it is granted"},
    {"request", mg_cmd_request, NULL,
	"request OPERATION [MODEL[@VERSION]] --reason TEXT [--for TIME]\n"
	"    [--ticket ID] [--no-wait] [--break-glass] [--tokens-fd N] "
	"[--json]\n    [-- ARG...]",
	"ask for a grant to use later (also: login, root-shell)"},
    {"status", mg_cmd_status, NULL, "status [ID] [--all] [--json]",
	"what waits, what is held, what runs"},
    {"requests", mg_cmd_requests, NULL, "requests [--all] [--json]",
	"what waits"},
    {"grants", mg_cmd_grants, NULL, "grants [--all] [--json]", "what is held"},
    {"done", mg_cmd_done, NULL, "done ID [--json]",
	"give a grant back; what runs under it ends"},
    {"cancel", mg_cmd_cancel, NULL, "cancel ID [--json]",
	"withdraw a request that waits"},
    {"revoke", mg_cmd_revoke, NULL, "revoke ID | --user USER | --all [--json]",
	"end grants; what runs under them ends"},
    {"why", mg_cmd_why, NULL, "why CODE [--json]",
	"explain a refusal or an end"},
    {"log", mg_cmd_log, NULL,
	"log [--user U] [--model M[@V]] [--operation O] [--request ID]\n"
	"    [--type T] [--state S] [--decision D] [--host H] [--since T] "
	"[--until T]\n"
	"    [--follow] [--format text|json|csv|cef|ocsf] [--json]",
	"who did what, from the ledger"},
    {"verify", NULL, "modelgate-ledger",
	"verify [FOLDER|FILE] [--hub DESTINATION] [--checkpoints FILE]\n"
	"    [--leaves FILE] [--host-key FILE] [--hub-key FILE] [--quiet] "
	"[--json]",
	"is the ledger whole; does an exported file prove what it says?"},
    {"export", NULL, "modelgate-ledger",
	"export REQUEST [--output FILE] [--dir FOLDER] [--host-key FILE]\n"
	"    [--hub-key FILE] [--quiet] [--json]",
	"everything about one request, with proofs, in one file"},
    {"report", NULL, "modelgate-ledger",
	"report [--since T] [--until T] [--html | --json]",
	"who did what, how often it was refused, how long it took"},
    {"checkpoint", NULL, "modelgate-ledger", "checkpoint [--quiet] [--json]",
	"sign the ledger's head now, and have the hub witness it"},
    {"discard", NULL, "modelgate-ledger", "discard [RECORD] [--json]",
	"old records: what could go; as an operation, let them go"},
    {"inbox", mg_cmd_inbox, NULL,
	"inbox [--all] [--follow] [--key FILE] [--hub HOST] [--json]",
	"approvers: what waits for you"},
    {"show", mg_cmd_show, NULL, "show ID [--key FILE] [--hub HOST] [--json]",
	"approvers: one request in full"},
    {"approve", mg_cmd_approve, NULL,
	"approve ID [-m NOTE] [--number NN] [--key FILE] [--hub HOST]\n"
	"    [--yes] [--json]",
	"approvers: sign yes"},
    {"deny", mg_cmd_deny, NULL,
	"deny ID -m NOTE [--key FILE] [--hub HOST] [--yes] [--json]",
	"approvers: sign no"},
    {"enroll", NULL, "modelgate-enroll", "enroll [--plain] [--json]",
	"set up your second factor"},
    {"unenroll", NULL, "modelgate-enroll", "unenroll USER [--json]",
	"remove somebody's second factor"},
    {"tokens", NULL, "modelgate-tokens",
	"tokens [make [--need N] [--of N] [--plain] | void SET] [--json]",
	"root: break-glass tokens, for sealed envelopes"},
    {"policy", NULL, "modelgate-policy", "policy check|explain|... [--help]",
	"check, test and explain policies"},
    {"artifact", NULL, "modelgate-artifact",
	"artifact digest|verify|sign [--help]",
	"digests and signatures of model folders"},
    {"models", mg_cmd_models, NULL, "models [MODEL] [--check] [--json]",
	"what is deployed here, from the ledger"},
    {"doctor", NULL, "modelgate-doctor", "doctor [--json] [--record]",
	"is this host really enforcing?"},
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

/* ---- shared ---- */

void
mg_cli_say(const char *fmt, ...)
{
	char raw[4096], text[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	mg_esc_line(raw, text, sizeof(text));
	fprintf(stderr, "modelgate: %s\n", text);
}

int
mg_cli_getopt(
    int argc, char **argv, const char *shorts, const struct option *longs)
{
	static char whole[64];
	char *name = argv[0];
	const char *meant;
	int c;

	snprintf(whole, sizeof(whole), "modelgate %s", name);
	argv[0] = whole;
	c = getopt_long(argc, argv, shorts, longs, NULL);
	argv[0] = name;
	if (c == '?' && optind > 0 && optind <= argc &&
	    (meant = mg_name_meant_option(argv[optind - 1], longs)) != NULL)
		mg_cli_say("is it '--%s'?", meant);
	return c;
}

int
mg_cli_usage(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			fprintf(
			    stderr, "usage: modelgate %s\n", commands[i].usage);
	return MG_EXIT_USAGE;
}

int
mg_cli_unexpected(const char *name, const char *word)
{
	mg_cli_say("'%.100s' is one word too many", word);
	return mg_cli_usage(name);
}

/* One refusal as a JSON line on standard error. */
static void
print_json(const char *word, const char *text, const char *rule,
    const char *remedy, const char *code)
{
	struct mg_buf b;
	struct mg_json j;
	const char *line;

	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "event", "refused");
	mg_json_str(&j, "why", word);
	mg_json_str(&j, "text", text);
	mg_json_str(&j, "rule", rule);
	mg_json_str(&j, "remedy", remedy);
	mg_json_str(&j, "code", code);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (line = mg_buf_cstr(&b)) != NULL)
		fprintf(stderr, "%s\n", line);
	mg_buf_fini(&b);
}

int
mg_cli_refused(const struct mg_refused *r, bool json)
{
	enum mg_why why = (enum mg_why)r->why;

	if (json) {
		print_json(
		    mg_why_word(why), r->text, r->rule, r->remedy, r->code);
		return MG_EXIT_REFUSED;
	}
	mg_cli_say("refused: %s", r->text);
	if (r->rule[0] != '\0')
		fprintf(stderr, "  rule: %s\n", r->rule);
	else if (why == MG_WHY_NO_RULE)
		fprintf(stderr, "  rule: no rule matched\n");
	if (r->remedy[0] != '\0')
		fprintf(stderr, "  what would help: %s\n", r->remedy);
	if (r->code[0] != '\0')
		fprintf(
		    stderr, "  code %s: modelgate why %s\n", r->code, r->code);
	return MG_EXIT_REFUSED;
}

int
mg_cli_failed(bool json, const char *word, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (json)
		print_json(word, text, "", "", "");
	else
		mg_cli_say("%s", text);
	return MG_EXIT_REFUSED;
}

struct mg_chan *
mg_cli_connect(bool json)
{
	struct mg_chan *ch;
	enum mg_err r;

	r = mg_client_connect(MG_CLIENT_SOCKET, MG_CLI_CONNECT_MS, &ch);
	if (r == MG_ERR_OK)
		return ch;
	if (r == MG_ERR_NOENT)
		(void)mg_cli_failed(json, "agent-down",
		    "the agent is not running: nothing listens on %s",
		    MG_CLIENT_SOCKET);
	else
		(void)mg_cli_failed(json, "agent-down",
		    "cannot reach the agent at %s: %s", MG_CLIENT_SOCKET,
		    r == MG_ERR_PERM ? "it is not root's" : mg_err_str(r));
	return NULL;
}

int
mg_cli_ask(enum mg_msg_op op, const void *msg, bool json, mg_cli_row_fn fn,
    void *arg, char **textp)
{
	struct mg_chan *ch;
	struct mg_frame f;
	union {
		struct mg_refused refused;
		struct mg_item item;
		struct mg_done done;
	} a;
	struct mg_rec rec;
	int status = -1, wait_ms = ANSWER_MS;
	enum mg_err r;

	if (op == MG_MSG_LIST_REQ &&
	    ((const struct mg_list_req *)msg)->what == MG_LIST_CHECK)
		wait_ms = CHECK_MS;
	if (textp != NULL)
		*textp = NULL;
	if ((ch = mg_cli_connect(json)) == NULL)
		return MG_EXIT_REFUSED;
	memset(&f, 0, sizeof(f));
	mg_rec_init(&rec);
	r = mg_client_ask(ch, op, msg, NULL, 0);
	while (r == MG_ERR_OK && status == -1) {
		if ((r = mg_chan_wait(ch, wait_ms, &f)) != MG_ERR_OK)
			break;
		if (f.op == MG_MSG_REFUSED &&
		    (r = mg_frame_decode(&f, &a.refused, sizeof(a.refused))) ==
			MG_ERR_OK)
			status = mg_cli_refused(&a.refused, json);
		else if (f.op == MG_MSG_DONE &&
			 (r = mg_frame_decode(&f, &a.done, sizeof(a.done))) ==
			     MG_ERR_OK) {
			if (textp != NULL)
				*textp = strdup(a.done.text);
			status = 0;
		} else if (f.op == MG_MSG_ITEM &&
			   (r = mg_frame_decode(&f, &a.item, sizeof(a.item))) ==
			       MG_ERR_OK &&
			   (r = mg_rec_parse(&rec, a.item.json,
				strlen(a.item.json))) == MG_ERR_OK &&
			   fn != NULL)
			fn(arg, a.item.json, &rec);
	}
	mg_rec_fini(&rec);
	mg_chan_free(ch);
	if (status == -1)
		return mg_cli_failed(json, "agent-down",
		    "the agent did not finish its answer: %s", mg_err_str(r));
	return status;
}

unsigned
mg_cli_columns(int fd)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 20)
		return ws.ws_col;
	return 80;
}

/* ---- main ---- */

static void
help(FILE *out)
{
	size_t i;

	fprintf(out, "usage: modelgate COMMAND ...\n\n");
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(
		    out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(out,
	    "\nmodelgate COMMAND --help shows how to use it; modelgate(1) "
	    "says more.\n"
	    "Exit status: the command's own when it ran; 125 refused or "
	    "failed; 126, 127\nas a shell; 2 wrong usage.\n");
}

static int
exec_program(const struct command *c, char **argv)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", MG_LIBEXECDIR, c->program);
	execv(path, argv);
	mg_cli_say("cannot run %s: %s", path, strerror(errno));
	return MG_EXIT_REFUSED;
}

static bool
asks_for_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    (i == 1 && strcmp(argv[i], "-h") == 0))
			return true;
	return false;
}

static int
dispatch(const struct command *c, int argc, char **argv)
{
	/* A program of its own sees "modelgate enroll ..." whole for the two
	 * that share one, and from its subcommand on otherwise. */
	if (c->fn == NULL)
		return exec_program(
		    c, strcmp(c->program, "modelgate-enroll") == 0 ? argv - 1
								   : argv);
	if (asks_for_help(argc, argv)) {
		printf("usage: modelgate %s\n%s\n", c->usage, c->help);
		return 0;
	}
	return c->fn(argc, argv);
}

/* What did not reach a full disk must not pass for the whole. */
static int
finish(int status)
{
	if (status != 0 || (fflush(stdout) == 0 && !ferror(stdout)))
		return status;
	mg_cli_say("cannot write all of the output: %s", strerror(errno));
	return MG_EXIT_REFUSED;
}

static int
unknown(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (mg_name_is_slip(name, strlen(name), commands[i].name))
			break;
	mg_cli_say("'%.100s' is not a command (modelgate --help)%s%s%s", name,
	    i < NCOMMANDS ? "; is it '" : "",
	    i < NCOMMANDS ? commands[i].name : "", i < NCOMMANDS ? "'?" : "");
	return MG_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	static char dashes[] = "--help";
	size_t i;

	if (mg_file_sanitise_std() != MG_ERR_OK)
		return MG_EXIT_REFUSED;
	if (argc < 2) {
		help(stderr);
		return MG_EXIT_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 && argc == 3) {
		argv[1] = argv[2]; /* help COMMAND: COMMAND --help */
		argv[2] = dashes;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout);
		return finish(0);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("modelgate %s\n", MG_VERSION);
		return 0;
	}
	for (i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, argv[1]) == 0)
			return finish(
			    dispatch(&commands[i], argc - 1, argv + 1));
	return unknown(argv[1]);
}
