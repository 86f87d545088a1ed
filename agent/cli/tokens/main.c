/* SPDX-License-Identifier: ISC */
/*
 * modelgate-tokens: "modelgate tokens": sets of break-glass tokens, made,
 * listed, void.
 *
 * Rules
 * 1. Tokens are made here, in memory that is wiped and never dumped; the
 *    agent is told digests. They are shown once, when it has those on
 *    record: what was shown before might be worth nothing.
 * 2. They go to a terminal, on a screen that is cleared, or where --plain or
 *    --json says that they may: never by accident into a pipe or a file.
 * 3. A set of which not all could be shown is void: nobody has it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../enroll/enroll_tty.h"
#include "mg_client.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_json.h"
#include "mg_rec.h"
#include "mg_token.h"
#include "mg_why.h"

#define CONNECT_MS 5000
#define ANSWER_MS 30000
#define EXIT_REFUSED 125
#define EXIT_USAGE 2
#define PAGE_MAX 8192
#define NEED 2 /* of */
#define OF 3

struct set {
	char name[MG_TOKEN_SET_STR];
	unsigned need, of;
	char text[MG_TOKENS_MAX][MG_TOKEN_STR];
	uint8_t digests[MG_TOKENS_MAX * MG_TOKEN_DIGEST];
};

struct tokens {
	bool plain, json;
	char said[1025]; /* by the agent, at the end */
	unsigned rows;
};

/* ---- output ---- */

static enum mg_err
put(struct mg_buf *b)
{
	enum mg_err r;

	r = mg_file_write(STDOUT_FILENO, mg_buf_ptr(b), mg_buf_len(b));
	mg_buf_reset(b);
	return r;
}

static int
refused(const struct tokens *t, const char *word, const char *text,
    const char *remedy)
{
	struct mg_json j;
	struct mg_buf b;
	const char *line;

	if (!t->json) {
		fprintf(stderr, "modelgate: %s\n", text);
		if (remedy[0] != '\0')
			fprintf(stderr, "  what would help: %s\n", remedy);
		return EXIT_REFUSED;
	}
	mg_buf_init(&b, PAGE_MAX);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "event", "refused");
	mg_json_str(&j, "why", word);
	mg_json_str(&j, "text", text);
	mg_json_str(&j, "remedy", remedy);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (line = mg_buf_cstr(&b)) != NULL)
		fprintf(stderr, "%s\n", line);
	mg_buf_fini(&b);
	return EXIT_REFUSED;
}

/* ---- the agent ---- */

static void
print_row(struct tokens *t, const char *json)
{
	const char *ended;
	struct mg_rec rec;

	if (t->json) {
		printf("%s%s", t->rows++ > 0 ? ",\n" : "[", json);
		return;
	}
	mg_rec_init(&rec);
	if (mg_rec_parse(&rec, json, strlen(json)) == MG_ERR_OK) {
		if (t->rows++ == 0)
			printf("SET   STATE  TOKENS  %-20s  %-20s  REQUEST\n",
			    "MADE", "ENDED");
		ended = mg_rec_str(&rec, "ended", "");
		printf("%-4s  %-5s  %lld of %lld  %-20.20s  %-20.20s  %s\n",
		    mg_rec_str(&rec, "set", "?"),
		    mg_rec_str(&rec, "state", "?"),
		    (long long)mg_rec_int(&rec, "need", 0),
		    (long long)mg_rec_int(&rec, "of", 0),
		    mg_rec_str(&rec, "made", ""),
		    ended[0] != '\0' ? ended : "-",
		    mg_rec_str(&rec, "request", ""));
	}
	mg_rec_fini(&rec);
}

/* One answer; false when it was the last, with the exit status. */
static bool
take(struct tokens *t, const struct mg_frame *f, int *statusp)
{
	struct mg_refused no;
	struct mg_item item;
	struct mg_done done;

	if (f->op == MG_MSG_ITEM &&
	    mg_frame_decode(f, &item, sizeof(item)) == MG_ERR_OK) {
		print_row(t, item.json);
		return true;
	}
	if (f->op == MG_MSG_DONE &&
	    mg_frame_decode(f, &done, sizeof(done)) == MG_ERR_OK) {
		snprintf(t->said, sizeof(t->said), "%s", done.text);
		*statusp = 0;
	} else if (f->op == MG_MSG_REFUSED &&
		   mg_frame_decode(f, &no, sizeof(no)) == MG_ERR_OK) {
		*statusp = refused(t, mg_why_word((enum mg_why)no.why),
		    no.text[0] != '\0' ? no.text
				       : mg_why_sentence((enum mg_why)no.why),
		    no.remedy);
	} else {
		*statusp = refused(
		    t, "internal", "the agent's answer is not known here", "");
	}
	return false;
}

static int
ask(struct tokens *t, enum mg_msg_op op, const void *msg)
{
	struct mg_chan *ch;
	struct mg_frame f;
	int status = -1;
	enum mg_err r;

	r = mg_client_connect(MG_CLIENT_SOCKET, CONNECT_MS, &ch);
	if (r != MG_ERR_OK)
		return refused(t, "agent-down",
		    r == MG_ERR_NOENT ? "the agent is not running"
				      : "the agent cannot be reached",
		    "");
	memset(&f, 0, sizeof(f));
	r = mg_client_ask(ch, op, msg, NULL, 0);
	while (r == MG_ERR_OK && status == -1) {
		r = mg_chan_wait(ch, ANSWER_MS, &f);
		if (r == MG_ERR_OK && take(t, &f, &status))
			continue;
	}
	mg_chan_free(ch);
	if (status == -1)
		return refused(
		    t, "agent-down", "the agent did not finish its answer", "");
	return status;
}

/* ---- making ---- */

static enum mg_err
make(struct set *s)
{
	enum mg_err r;
	unsigned i;

	r = mg_token_new_set(s->name);
	for (i = 0; i < s->of && r == MG_ERR_OK; i++)
		r = mg_token_new(s->name, i + 1, s->text[i],
		    s->digests + i * MG_TOKEN_DIGEST);
	return r;
}

/* One card, to be cut off and sealed. */
static enum mg_err
put_card(struct mg_buf *b, const struct set *s, unsigned i, const char *host)
{
	return mg_buf_putf(b,
	    "\n  modelgate break-glass token %u of %u\n"
	    "  host %s, set %s; %u of its %u tokens are needed, once\n\n"
	    "    %s\n\n  - - - - - - - - - - - - - - - - - - - - - - - -\n",
	    i + 1, s->of, host, s->name, s->need, s->of, s->text[i]);
}

static enum mg_err
put_object(struct mg_buf *b, const struct set *s, unsigned i, const char *host)
{
	struct mg_json j;
	enum mg_err r;

	mg_json_begin(&j, b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "event", "token");
	mg_json_str(&j, "host", host);
	mg_json_str(&j, "set", s->name);
	mg_json_int(&j, "number", i + 1);
	mg_json_int(&j, "need", s->need);
	mg_json_int(&j, "of", s->of);
	mg_json_str(&j, "token", s->text[i]);
	mg_json_obj_end(&j);
	if ((r = mg_json_end(&j)) == MG_ERR_OK)
		r = mg_buf_put_text(b, "\n");
	return r;
}

static void
put_question(void *arg)
{
	(void)arg;
	fputs("  Print or copy them now: they are shown this once. Enter when "
	      "you have them: ",
	    stderr);
	fflush(stderr);
}

/* Rule 2. False: not all of it went out. */
static bool
show(const struct tokens *t, const struct set *s, bool screen)
{
	char line[ENROLL_ANSWER_MAX + 1];
	struct mg_buf b;
	enum mg_err r = MG_ERR_OK;
	bool ok;
	unsigned i;

	mg_buf_init_secret(&b, PAGE_MAX);
	for (i = 0; i < s->of && r == MG_ERR_OK; i++)
		r = t->json ? put_object(&b, s, i, t->said)
			    : put_card(&b, s, i, t->said);
	if (screen)
		enroll_tty_screen(true);
	ok = r == MG_ERR_OK && put(&b) == MG_ERR_OK;
	mg_buf_fini(&b);
	if (screen) {
		ok = enroll_tty_read(true, put_question, NULL, line) && ok;
		enroll_tty_screen(false);
	}
	return ok;
}

/* Rule 3 */
static int
take_back(struct tokens *t, const struct set *s)
{
	struct mg_tokens_req q = {.verb = MG_TOKENS_VOID, .set = s->name};
	char text[128];

	if (ask(t, MG_MSG_TOKENS_REQ, &q) != 0)
		snprintf(text, sizeof(text),
		    "set %s was not shown, and could not be made void",
		    s->name);
	else
		snprintf(text, sizeof(text),
		    "set %s was not shown whole: it is void", s->name);
	return refused(t, "cancelled", text, "");
}

static int
do_make(struct tokens *t, struct set *s)
{
	const char *term = getenv("TERM");
	bool tty = isatty(STDOUT_FILENO) == 1;
	bool screen = tty && isatty(STDIN_FILENO) == 1 && !t->plain &&
		      !t->json && term != NULL && strcmp(term, "dumb") != 0;
	struct mg_tokens_req q = {.verb = MG_TOKENS_MADE,
	    .set = s->name,
	    .need = (uint8_t)s->need,
	    .digests = s->digests,
	    .digests_len = s->of * MG_TOKEN_DIGEST};
	int status;

	if (!tty && !t->plain && !t->json)
		return refused(t, "bad-request",
		    "standard output is no terminal, and tokens are secrets",
		    "--plain, to have them printed there");
	if (make(s) != MG_ERR_OK)
		return refused(t, "internal", "no random numbers", "");
	if ((status = ask(t, MG_MSG_TOKENS_REQ, &q)) != 0) /* Rule 1 */
		return status;
	if (!show(t, s, screen))
		return take_back(t, s);
	if (!t->json)
		fprintf(stderr,
		    "modelgate: set %s is made; a rule asks for tokens with "
		    "break-glass-tokens\n",
		    s->name);
	return 0;
}

/* ---- the other commands ---- */

static int
do_void(struct tokens *t, const char *name)
{
	struct mg_tokens_req q = {.verb = MG_TOKENS_VOID, .set = name};
	int status;

	if (!mg_token_is_set(name)) {
		fprintf(stderr,
		    "modelgate: a set has a name of four letters and digits, "
		    "as modelgate tokens lists them\n");
		return EXIT_USAGE;
	}
	status = ask(t, MG_MSG_TOKENS_REQ, &q);
	if (status == 0 && !t->json)
		printf("modelgate: %s\n", t->said);
	return status;
}

static int
do_list(struct tokens *t)
{
	struct mg_list_req q = {.what = MG_LIST_TOKENS, .id = ""};
	int status = ask(t, MG_MSG_LIST_REQ, &q);

	if (status == 0 && t->json)
		printf("%s]\n", t->rows == 0 ? "[" : "");
	else if (status == 0 && t->rows == 0)
		fprintf(stderr, "modelgate: there are no tokens\n");
	if (fflush(stdout) != 0)
		return refused(t, "internal", "cannot write all of it", "");
	return status;
}

/* ---- main ---- */

static int
usage(bool is_asked_for)
{
	fputs("usage: modelgate tokens [--json]\n"
	      "       modelgate tokens make [--need N] [--of N] [--plain] "
	      "[--json]\n"
	      "       modelgate tokens void SET [--json]\n",
	    is_asked_for ? stdout : stderr);
	return is_asked_for ? 0 : EXIT_USAGE;
}

/* "1" to "9"; 0: it is not. */
static unsigned
one_digit(const char *s)
{
	return s[0] >= '1' && s[0] <= '9' && s[1] == '\0'
		   ? (unsigned)(s[0] - '0')
		   : 0;
}

static void
protect_memory(void)
{
	struct rlimit none = {0, 0};

	(void)prctl(PR_SET_DUMPABLE, 0); /* Rule 1 */
	(void)setrlimit(RLIMIT_CORE, &none);
}

static int
dispatch(struct tokens *t, struct set *s, int n, char **word)
{
	const char *verb = n == 0 ? "list" : word[0];
	bool make_one = strcmp(verb, "make") == 0 && n == 1;

	if (!make_one && (s->need != 0 || s->of != 0 || t->plain))
		return usage(false);
	if (make_one) {
		s->of = s->of != 0 ? s->of : s->need > OF ? s->need : OF;
		s->need = s->need != 0 ? s->need : s->of < NEED ? s->of : NEED;
		if (s->need <= s->of)
			return do_make(t, s);
		fprintf(
		    stderr, "modelgate: %u of %u cannot be\n", s->need, s->of);
		return EXIT_USAGE;
	}
	if (strcmp(verb, "void") == 0 && n == 2)
		return do_void(t, word[1]);
	if (strcmp(verb, "list") == 0 && n <= 1)
		return do_list(t);
	return usage(false);
}

int
main(int argc, char **argv)
{
	static const struct option opts[] = {{"need", 1, NULL, 'k'},
	    {"of", 1, NULL, 'n'}, {"plain", 0, NULL, 'p'},
	    {"json", 0, NULL, 'j'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
	static char name[] = "modelgate tokens"; /* in what getopt says */
	static struct set s;
	struct tokens t = {.plain = false};
	int c, status;

	if (mg_file_sanitise_std() != MG_ERR_OK)
		return EXIT_REFUSED;
	protect_memory();
	if (argc < 1 || argv[0][0] == '\0') /* what the kernel makes of 0 */
		return usage(false);
	argv[0] = name;
	while ((c = getopt_long(argc, argv, "h", opts, NULL)) != -1) {
		if (c == 'h')
			return usage(true);
		if (c == 'p')
			t.plain = true;
		else if (c == 'j')
			t.json = true;
		else if (c == 'k' && (s.need = one_digit(optarg)) != 0)
			continue;
		else if (c == 'n' && (s.of = one_digit(optarg)) != 0)
			continue;
		else
			return usage(false);
	}
	enroll_tty_init();
	status = dispatch(&t, &s, argc - optind, argv + optind);
	explicit_bzero(&s, sizeof(s)); /* Rule 1 */
	return status;
}
