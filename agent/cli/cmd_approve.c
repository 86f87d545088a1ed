/* SPDX-License-Identifier: ISC */
/*
 * approve, deny, show, inbox: the approver's side, over ssh to the hub.
 *
 * Rules
 * 1. The hub is not trusted: what it hands out to be signed must be an
 *    approval text, of this decision and note, for the request that was
 *    asked for. A hub that swaps "deny" for "approve" gets no signature.
 * 2. What is signed is shown first, byte for byte; it cannot hold anything
 *    that a terminal would act on, which is checked here again.
 * 3. The question is asked on the terminal itself, not on standard input,
 *    and silence is no.
 * 4. The number of the requester's terminal comes from whoever approves: a
 *    text that has it already is not signed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_hub.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_json.h"
#include "mg_name.h"
#include "mg_text.h"

#define SIG_MAX 16384
#define COMMAND_MAX 4096
#define SAID_MAX 65536
#define WIDTH_MAX 500 /* that the hub takes */
#define SSH_FAILED 255
#define HUB_STORED 3 /* modelgate-hub(8): no verdict of the host yet */

struct ask {
	const char *name;     /* of the subcommand */
	const char *decision; /* "approve", "deny" or NULL */
	char id[MG_UUID_STR]; /* "" for inbox */
	const char *note, *hub, *key, *number;
	bool yes, json, all, follow;
	struct hub_target target;
	char key_path[PATH_MAX];
	char typed[64];	     /* the number */
	struct mg_buf *said; /* with --json: what ssh and hub complain of */
};

/* ---- options ---- */

/* The one form of a code or UUID, however it was typed. */
static bool
read_id(struct ask *a, const char *s)
{
	char code[MG_CODE_STR];
	struct mg_uuid u;

	if (mg_uuid_parse(s, &u) == MG_ERR_OK) {
		mg_uuid_format(&u, a->id);
		return true;
	}
	if (mg_code_parse(s, code) != MG_ERR_OK)
		return false;
	memcpy(a->id, code, sizeof(code));
	return true;
}

static bool
take_option(struct ask *a, int ch)
{
	switch (ch) {
	case 'm':
		a->note = optarg;
		return a->decision != NULL;
	case 'k':
		a->key = optarg;
		return true;
	case 'h':
		a->hub = optarg;
		return true;
	case 'n':
		a->number = optarg;
		return a->decision != NULL &&
		       strcmp(a->decision, "approve") == 0;
	case 'y':
		a->yes = true;
		return a->decision != NULL;
	case 'j':
		a->json = true;
		return true;
	case 'a':
		a->all = true;
		return strcmp(a->name, "inbox") == 0;
	case 'f':
		a->follow = true;
		return strcmp(a->name, "inbox") == 0;
	}
	return false;
}

/* 0, or the status to exit with. */
static int
read_options(struct ask *a, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"note", required_argument, NULL, 'm'},
	    {"key", required_argument, NULL, 'k'},
	    {"hub", required_argument, NULL, 'h'},
	    {"yes", no_argument, NULL, 'y'},
	    {"number", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, 'j'},
	    {"all", no_argument, NULL, 'a'},
	    {"follow", no_argument, NULL, 'f'},
	    {NULL, 0, NULL, 0},
	};
	const char *id = NULL;
	char why[512];
	int ch;

	a->note = "";
	optind = 0;
	while ((ch = mg_cli_getopt(argc, argv, "m:", longs)) != -1)
		if (!take_option(a, ch))
			return mg_cli_usage(a->name);
	if (strcmp(a->name, "inbox") != 0 && optind < argc)
		id = argv[optind++];
	if (optind < argc)
		return mg_cli_unexpected(a->name, argv[optind]);
	if (id == NULL && strcmp(a->name, "inbox") != 0)
		return mg_cli_usage(a->name);
	if (id != NULL && !read_id(a, id)) {
		mg_cli_say("'%.100s' is neither a code such as R7KQ2FHD4M "
			   "nor a UUID",
		    id);
		return MG_EXIT_USAGE;
	}
	if (hub_find(a->hub, &a->target, why, sizeof(why)) != MG_ERR_OK) {
		mg_cli_say("%s", why);
		return MG_EXIT_USAGE;
	}
	return 0;
}

static int
check_note(const struct ask *a)
{
	if (strcmp(a->decision, "deny") == 0 && a->note[0] == '\0') {
		mg_cli_say("a denial needs a note: -m NOTE");
		return MG_EXIT_USAGE;
	}
	if (a->number != NULL && !mg_text_is_number(a->number)) {
		mg_cli_say("'%s' is not a number of two digits", a->number);
		return MG_EXIT_USAGE;
	}
	if (strlen(a->note) > MG_TEXT_NOTE_MAX || !mg_esc_is_clean(a->note)) {
		mg_cli_say("the note is longer than %d bytes or has control or "
			   "invisible characters",
		    MG_TEXT_NOTE_MAX);
		return MG_EXIT_USAGE;
	}
	return 0;
}

/* ---- the hub ---- */

/* The last line that ssh or the hub said, or the given words. */
static const char *
last_said(const struct ask *a, char *out, size_t size, const char *otherwise)
{
	const char *s = a->said == NULL ? NULL : mg_buf_cstr(a->said);
	char raw[1024] = "";
	size_t n;

	while (s != NULL && *s != '\0') {
		n = strcspn(s, "\r\n");
		if (n > 0)
			snprintf(raw, sizeof(raw), "%.*s", (int)n, s);
		s += n + strspn(s + n, "\r\n");
	}
	mg_esc_line(raw, out, size);
	return out[0] != '\0' ? out : otherwise;
}

/* What an exit status of ssh means for ours, when it is not 0. */
static int
hub_failed(const struct ask *a, int status)
{
	char text[1024];

	if (status == SSH_FAILED)
		return mg_cli_failed(a->json, "hub-down",
		    "ssh to %s port %s failed%s%s; the hub takes keys that "
		    "stand in its allowed_signers",
		    a->target.dest, a->target.port, a->json ? ": " : "",
		    a->json ? last_said(a, text, sizeof(text), "") : "");
	if (status == -1)
		return mg_cli_failed(a->json, "internal",
		    "the hub's answer is longer than it may be");
	if (a->json)
		(void)mg_cli_failed(true, "refused", "%s",
		    last_said(a, text, sizeof(text), "the hub refused"));
	return status == 2 ? MG_EXIT_USAGE : MG_EXIT_REFUSED;
}

/* "text ID approve NOTE" and the like, into b. */
static const char *
command(struct mg_buf *b, const char *verb, const struct ask *a)
{
	if (mg_buf_putf(b, "%s %s %s", verb, a->id, a->decision) != MG_ERR_OK)
		return NULL;
	if (a->note[0] != '\0' && (mg_buf_put_u8(b, ' ') != MG_ERR_OK ||
				      hub_put_word(b, a->note) != MG_ERR_OK))
		return NULL;
	return mg_buf_cstr(b);
}

/* ---- the text ---- */

/* Whether the request line names what was asked for. */
static bool
is_request(const struct mg_buf *text, const char *id)
{
	char uuid[MG_UUID_STR], code[MG_CODE_STR], line[64];
	struct mg_buf v;
	struct mg_uuid u;
	const char *s;
	bool is = false;

	mg_buf_init(&v, MG_TEXT_MAX);
	if (mg_text_get(&v, (const char *)mg_buf_ptr(text), mg_buf_len(text),
		"request") == MG_ERR_OK &&
	    (s = mg_buf_cstr(&v)) != NULL && strlen(s) > 36) {
		memcpy(uuid, s, 36);
		uuid[36] = '\0';
		if (mg_uuid_parse(uuid, &u) == MG_ERR_OK) {
			mg_code_from_uuid(&u, code);
			snprintf(line, sizeof(line), "%s %s", uuid, code);
			is = strcmp(line, s) == 0 &&
			     (strcmp(uuid, id) == 0 || strcmp(code, id) == 0);
		}
	}
	mg_buf_fini(&v);
	return is;
}

/* The lines in front of the body; the body's offset, or 0. */
static size_t
head_length(const struct mg_buf *text)
{
	const char *p = (const char *)mg_buf_ptr(text), *nl;
	size_t n = mg_buf_len(text), at = 0;
	int i;

	for (i = 0; i < 4; i++) {
		if ((nl = memchr(p + at, '\n', n - at)) == NULL)
			return 0;
		at = (size_t)(nl - p) + 1;
	}
	return at;
}

/* Whether the text is, byte for byte, that of this decision and note. */
static bool
is_of_decision(const struct mg_buf *text, const struct ask *a, size_t head)
{
	const char *p = (const char *)mg_buf_ptr(text), *approver;
	struct mg_buf who, again;
	bool is = false;

	mg_buf_init(&who, MG_TEXT_MAX);
	mg_buf_init(&again, MG_TEXT_MAX);
	if (mg_text_get(&who, p, head, "approver") == MG_ERR_OK &&
	    (approver = mg_buf_cstr(&who)) != NULL &&
	    mg_name_is_valid(approver) &&
	    mg_text_put(&again, a->decision, approver, a->note, p + head,
		mg_buf_len(text) - head) == MG_ERR_OK)
		is = mg_buf_len(&again) == mg_buf_len(text) &&
		     memcmp(mg_buf_ptr(&again), p, mg_buf_len(text)) == 0;
	mg_buf_fini(&who);
	mg_buf_fini(&again);
	return is;
}

/*
 * Rules 1, 2 and 4; what is wrong, or NULL. The check of the body and of the
 * note (check_note()) leaves nothing in the text that does not print.
 */
static const char *
flaw_of(const struct mg_buf *text, const struct ask *a)
{
	const char *p = (const char *)mg_buf_ptr(text);
	size_t n = mg_buf_len(text), head = head_length(text);

	if (head == 0 || mg_text_check_body(p + head, n - head) != MG_ERR_OK)
		return "is not an approval text";
	if (!is_of_decision(text, a, head))
		return "is not of this decision and note";
	if (!is_request(text, a->id))
		return "is not of this request";
	return NULL;
}

/* ---- the question ---- */

static int
open_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd != -1 && !isatty(fd)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* What is typed behind the prompt; false: nothing that fits. What was typed
 * in front of it answers nothing: its question was not there to be read. */
static bool
ask_terminal(int fd, const char *prompt, char *out, size_t size)
{
	ssize_t n;

	if (tcflush(fd, TCIFLUSH) != 0 ||
	    mg_file_write(fd, prompt, strlen(prompt)) != MG_ERR_OK)
		return false;
	n = read(fd, out, size);
	if (n <= 0 || out[n - 1] != '\n') /* more than a word: no */
		return false;
	out[n - 1] = '\0';
	return true;
}

/* Rule 3 */
static bool
ask_yes(int fd, const struct ask *a)
{
	char prompt[64], word[64];

	snprintf(prompt, sizeof(prompt), "%s this? [y/N] ", a->decision);
	prompt[0] = a->decision[0] == 'a' ? 'A' : 'D';
	return ask_terminal(fd, prompt, word, sizeof(word)) &&
	       (strcasecmp(word, "y") == 0 || strcasecmp(word, "yes") == 0);
}

/* Whether whoever decides has to know the number; deniers need not. */
static bool
needs_number(const struct ask *a, const struct mg_buf *text)
{
	return strcmp(a->decision, "approve") == 0 &&
	       mg_text_asks_number(
		   (const char *)mg_buf_ptr(text), mg_buf_len(text));
}

/*
 * Rule 2, and what goes on in the next row stands back from the edge: a reason
 * with blanks enough in it would else show there what reads as a line of the
 * text. Whatever is not ASCII counts as two columns, which is the most.
 */
static bool
show_text(int fd, const struct mg_buf *text)
{
	const char *p = (const char *)mg_buf_ptr(text);
	unsigned columns = mg_cli_columns(fd), used = 0, wide;
	size_t i, n = mg_buf_len(text);
	enum mg_err r = MG_ERR_OK;
	struct mg_buf b;

	mg_buf_init(&b, (size_t)2 * MG_TEXT_MAX);
	for (i = 0; i < n && r == MG_ERR_OK; i++) {
		wide = (p[i] & 0x80) == 0 ? 1 : (p[i] & 0x40) != 0 ? 2 : 0;
		if (p[i] != '\n' && used + wide > columns) {
			r = mg_buf_put_text(&b, "\n    ");
			used = 4;
		}
		used = p[i] == '\n' ? 0 : used + wide;
		if (r == MG_ERR_OK)
			r = mg_buf_put(&b, &p[i], 1);
	}
	if (r == MG_ERR_OK)
		r = mg_file_write(fd, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	return r == MG_ERR_OK;
}

/* Shows the text and asks; the number too, where it is not known. */
static bool
ask_person(int fd, struct ask *a, const struct mg_buf *text)
{
	if (!show_text(fd, text))
		return false;
	if (a->number != NULL || !needs_number(a, text))
		return ask_yes(fd, a);
	a->number = a->typed;
	return ask_terminal(fd,
		   "To approve, type the number on the requester's terminal: ",
		   a->typed, sizeof(a->typed)) &&
	       mg_text_is_number(a->typed);
}

/* 0: go on. */
static int
confirm(struct ask *a, const struct mg_buf *text)
{
	bool yes;
	int fd;

	if (a->number != NULL && !needs_number(a, text))
		return mg_cli_failed(
		    a->json, "no-number", "this request asks for no number");
	if (a->yes && a->number == NULL && needs_number(a, text))
		return mg_cli_failed(a->json, "number-needed",
		    "the number on the requester's terminal is asked for: "
		    "--number NN");
	if (a->yes)
		return 0;
	if ((fd = open_terminal()) == -1)
		return mg_cli_failed(a->json, "no-terminal",
		    "there is no terminal to ask on; --yes signs without "
		    "asking");
	yes = ask_person(fd, a, text);
	close(fd);
	return yes ? 0
		   : mg_cli_failed(a->json, "cancelled", "nothing was signed");
}

/* The text as it is signed: with the number, where one is asked for. */
static int
complete(const struct ask *a, const struct mg_buf *text, struct mg_buf *out)
{
	const char *p = (const char *)mg_buf_ptr(text);
	size_t n = mg_buf_len(text);
	enum mg_err r;

	if (needs_number(a, text))
		r = mg_text_put_number(
		    out, p, n, a->number == NULL ? "" : a->number);
	else
		r = mg_buf_put(out, p, n);
	return r == MG_ERR_OK
		   ? 0
		   : mg_cli_failed(a->json, "internal", "%s", mg_err_str(r));
}

/* ---- signing and submitting ---- */

static int
sign(const struct ask *a, const struct mg_buf *text, struct mg_buf *sig)
{
	const char *argv[] = {"ssh-keygen", "-q", "-Y", "sign", "-n",
	    MG_TEXT_NAMESPACE, "-f", a->key_path, NULL};
	char why[1024];
	int status;

	status = hub_run((char *const *)(uintptr_t)argv, mg_buf_ptr(text),
	    mg_buf_len(text), sig, a->said);
	if (status == 0 && mg_buf_len(sig) > 0)
		return 0;
	return mg_cli_failed(a->json, "not-signed",
	    "ssh-keygen could not sign with '%s'%s%s", a->key_path,
	    a->json ? ": " : "",
	    a->json ? last_said(a, why, sizeof(why), "") : "");
}

static void
print_outcome(const struct ask *a, const char *word, const char *text)
{
	struct mg_json j;
	struct mg_buf b;
	const char *s;

	if (!a->json) {
		printf("%s\n", text);
		return;
	}
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "request", a->id);
	mg_json_str(&j, "decision", a->decision);
	mg_json_str(&j, "outcome", word);
	mg_json_str(&j, "text", text);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (s = mg_buf_cstr(&b)) != NULL)
		printf("%s\n", s);
	mg_buf_fini(&b);
}

/* The hub's one line, made safe. */
static void
outcome_text(struct mg_buf *out, char *text, size_t size)
{
	const char *s = mg_buf_cstr(out);
	char raw[1024];

	snprintf(raw, sizeof(raw), "%.*s",
	    s == NULL ? 0 : (int)strcspn(s, "\n"), s == NULL ? "" : s);
	mg_esc_line(raw, text, size);
}

static int
submit(const struct ask *a, const struct mg_buf *sig)
{
	struct mg_buf cmd, out;
	const char *line;
	char text[1024];
	int status;

	mg_buf_init(&cmd, COMMAND_MAX);
	mg_buf_init(&out, 65536);
	if ((line = command(&cmd, "submit", a)) == NULL)
		status = mg_cli_failed(a->json, "internal", "out of memory");
	else
		status = hub_ssh(&a->target, a->key_path, line, mg_buf_ptr(sig),
		    mg_buf_len(sig), &out, a->said);
	outcome_text(&out, text, sizeof(text));
	if (line != NULL && (status == 0 || status == HUB_STORED)) {
		print_outcome(a, status == 0 ? "accepted" : "stored", text);
		status = 0;
	} else if (line != NULL) {
		status = hub_failed(a, status);
	}
	mg_buf_fini(&cmd);
	mg_buf_fini(&out);
	return status;
}

static int
get_text(const struct ask *a, struct mg_buf *text)
{
	struct mg_buf cmd;
	const char *line, *flaw;
	int status;

	mg_buf_init(&cmd, COMMAND_MAX);
	if ((line = command(&cmd, "text", a)) == NULL) {
		mg_buf_fini(&cmd);
		return mg_cli_failed(a->json, "internal", "out of memory");
	}
	status = hub_ssh(&a->target, a->key_path, line, NULL, 0, text, a->said);
	mg_buf_fini(&cmd);
	if (status != 0)
		return hub_failed(a, status);
	if ((flaw = flaw_of(text, a)) != NULL)
		return mg_cli_failed(a->json, "bad-text",
		    "what the hub sent to be signed %s: nothing was signed",
		    flaw);
	return 0;
}

static int
decide(const char *decision, int argc, char **argv)
{
	struct ask a = {.name = argv[0], .decision = decision};
	struct mg_buf text, whole, sig, said;
	int status;

	if ((status = read_options(&a, argc, argv)) != 0 ||
	    (status = check_note(&a)) != 0)
		return status;
	if (hub_find_key(a.key, a.key_path, sizeof(a.key_path)) != MG_ERR_OK)
		return mg_cli_failed(a.json, "no-key",
		    "no key to sign with: --key FILE (the public half will do "
		    "when an agent has the other)");
	mg_buf_init(&text, MG_TEXT_MAX);
	mg_buf_init(&whole, MG_TEXT_MAX);
	mg_buf_init(&sig, SIG_MAX);
	mg_buf_init(&said, SAID_MAX);
	if (a.json)
		a.said = &said;
	if ((status = get_text(&a, &text)) == 0 &&
	    (status = confirm(&a, &text)) == 0 &&
	    (status = complete(&a, &text, &whole)) == 0 &&
	    (status = sign(&a, &whole, &sig)) == 0)
		status = submit(&a, &sig);
	mg_buf_fini(&text);
	mg_buf_fini(&whole);
	mg_buf_fini(&sig);
	mg_buf_fini(&said);
	return status;
}

int
mg_cmd_approve(int argc, char **argv)
{
	return decide("approve", argc, argv);
}

int
mg_cmd_deny(int argc, char **argv)
{
	return decide("deny", argc, argv);
}

/* ---- looking ---- */

static int
look(int argc, char **argv, const char *verb)
{
	struct ask a = {.name = argv[0]};
	struct mg_buf said;
	char cmd[256], width[32] = "";
	unsigned columns = mg_cli_columns(STDOUT_FILENO);
	const char *key = NULL;
	int status;

	if ((status = read_options(&a, argc, argv)) != 0)
		return status;
	if (a.key != NULL || getenv("MODELGATE_KEY") != NULL) {
		if (hub_find_key(a.key, a.key_path, sizeof(a.key_path)) !=
		    MG_ERR_OK)
			return mg_cli_failed(a.json, "no-key",
			    "the name of the key is too long");
		key = a.key_path;
	}
	if (isatty(STDOUT_FILENO))
		snprintf(width, sizeof(width), " --width=%u",
		    columns < WIDTH_MAX ? columns : WIDTH_MAX);
	snprintf(cmd, sizeof(cmd), "%s%s%s%s%s%s%s", verb,
	    a.id[0] == '\0' ? "" : " ", a.id, a.json ? " --json" : "",
	    a.all ? " --all" : "", a.follow ? " --follow" : "",
	    a.json ? "" : width);
	if (a.json)
		a.said = &said;
	mg_buf_init(&said, SAID_MAX);
	status = hub_ssh(&a.target, key, cmd, NULL, 0, NULL, a.said);
	if (status != 0)
		status = hub_failed(&a, status);
	mg_buf_fini(&said);
	return status;
}

int
mg_cmd_show(int argc, char **argv)
{
	return look(argc, argv, "show");
}

int
mg_cmd_inbox(int argc, char **argv)
{
	return look(argc, argv, "inbox");
}
