/* SPDX-License-Identifier: ISC */
/*
 * modelgate-enroll: "modelgate enroll" and "modelgate unenroll USER".
 *
 * Rules
 * 1. A secret goes to a terminal, or where --plain says that it may: never
 *    by accident into a pipe, a file or a log.
 * 2. It is on a screen of its own, which is cleared, and in memory that is
 *    wiped and never dumped.
 * 3. Whatever the agent sends is shown as text.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "enroll_qr.h"
#include "enroll_tty.h"
#include "mg_client.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_json.h"
#include "mg_name.h"
#include "mg_time.h"
#include "mg_why.h"

#define CONNECT_MS 5000
#define SILENCE_MS 150000 /* longer than any try may take */
#define SLICE_MS 500	  /* a signal between two calls is seen by then */
#define EXIT_REFUSED 125
#define EXIT_USAGE 2
#define PICTURE_MAX 262144

struct enroll {
	struct mg_chan *ch;
	bool plain, json;
	bool has_screen; /* standard output can show one */
	bool is_on;	 /* and does */
	int status;	 /* -1: go on */
};

/* ---- output ---- */

static void say(const struct enroll *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Words for the person: where the secret is, or on standard error. */
static void
say(const struct enroll *e, const char *fmt, ...)
{
	FILE *out = e->is_on ? stdout : stderr;
	va_list ap;

	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fflush(out);
}

/* Pairs of key and value, ended by NULL, as one line. */
static void
put_json(int fd, const char *const *pairs)
{
	struct mg_json j;
	struct mg_buf b;

	mg_buf_init_secret(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	for (; pairs[0] != NULL; pairs += 2)
		mg_json_str(&j, pairs[0], pairs[1]);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK &&
	    mg_buf_put_text(&b, "\n") == MG_ERR_OK &&
	    mg_file_write(fd, mg_buf_ptr(&b), mg_buf_len(&b)) != MG_ERR_OK)
		perror("modelgate: write");
	mg_buf_fini(&b);
}

static void
put_json_refused(const char *word, const char *text, const char *rule,
    const char *remedy, const char *code)
{
	const char *const pairs[] = {"event", "refused", "why", word, "text",
	    text, "rule", rule, "remedy", remedy, "code", code, NULL};

	put_json(STDERR_FILENO, pairs);
}

static void
leave_screen(struct enroll *e)
{
	if (!e->is_on)
		return;
	fflush(stdout);
	enroll_tty_screen(false);
	e->is_on = false;
}

/* Ends with a reason of our own. */
static void
fail(struct enroll *e, const char *word, const char *text)
{
	leave_screen(e);
	e->status = EXIT_REFUSED;
	if (e->json)
		put_json_refused(word, text, "", "", "");
	else
		say(e, "modelgate: %s\n", text);
}

/* ---- the key ---- */

/* "ABCD EFGH ...": easier to type. */
static enum mg_err
put_groups(struct mg_buf *b, const char *secret)
{
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; secret[i] != '\0' && r == MG_ERR_OK; i++) {
		if (i > 0 && i % 4 == 0)
			r = mg_buf_put_text(b, " ");
		if (r == MG_ERR_OK)
			r = mg_buf_put(b, secret + i, 1);
	}
	return r;
}

static bool
has_256_colours(void)
{
	const char *term = getenv("TERM");

	return term != NULL && strstr(term, "256color") != NULL;
}

/* The picture, or why there is none; what remains is room for three lines. */
static enum mg_err
put_picture(struct mg_buf *b, const char *uri)
{
	struct enroll_qr_paper paper;
	unsigned rows, cols;

	enroll_tty_size(STDOUT_FILENO, &paper.rows, &paper.cols);
	rows = paper.rows;
	paper.rows = rows > 3 ? rows - 3 : 0;
	paper.has_blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	paper.has_256 = has_256_colours();
	if (enroll_qr_put(b, uri, &paper, &rows, &cols))
		return MG_ERR_OK;
	return mg_buf_putf(b,
	    "\n(The picture needs a terminal of %u columns and %u lines.)\n\n",
	    cols, rows + 3);
}

static enum mg_err
put_screen(struct mg_buf *b, const struct mg_enroll_key *m)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b,
		 "Scan this with an authenticator app, or type the key:\n")) !=
		MG_ERR_OK ||
	    (r = put_picture(b, m->uri)) != MG_ERR_OK ||
	    (r = mg_buf_put_text(b, "Key: ")) != MG_ERR_OK ||
	    (r = put_groups(b, m->secret)) != MG_ERR_OK)
		return r;
	return mg_buf_put_text(b, "\n");
}

static enum mg_err
put_plain(struct mg_buf *b, const struct mg_enroll_key *m)
{
	enum mg_err r;

	if ((r = mg_buf_putf(b, "uri: %s\nkey: ", m->uri)) != MG_ERR_OK ||
	    (r = put_groups(b, m->secret)) != MG_ERR_OK)
		return r;
	return mg_buf_put_text(b, "\n");
}

static void
on_key(struct enroll *e, const struct mg_enroll_key *m)
{
	const char *const pairs[] = {
	    "event", "key", "uri", m->uri, "secret", m->secret, NULL};
	struct mg_buf b;
	enum mg_err r;

	if (e->json) {
		put_json(STDOUT_FILENO, pairs);
		return;
	}
	mg_buf_init_secret(&b, PICTURE_MAX); /* Rule 2 */
	r = e->has_screen ? put_screen(&b, m) : put_plain(&b, m);
	if (r == MG_ERR_OK && e->has_screen) {
		fflush(NULL);
		enroll_tty_screen(true);
		e->is_on = true;
	}
	if (r == MG_ERR_OK)
		r = mg_file_write(
		    STDOUT_FILENO, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	if (r != MG_ERR_OK)
		fail(e, "internal", "the key cannot be shown");
}

/* ---- the agent's messages ---- */

struct question {
	struct enroll *e;
	const char *text;
};

static void
put_question(void *arg)
{
	const struct question *q = arg;

	/* A terminal moves on to the next line by itself. */
	say(q->e, "%s%s", q->text, isatty(STDIN_FILENO) == 1 ? "" : "\n");
}

static void
on_prompt(struct enroll *e, uint32_t id, const struct mg_auth_prompt *m)
{
	char text[ENROLL_ANSWER_MAX + 1];
	struct mg_auth_ans ans = {.text = text};
	struct question q = {.e = e, .text = m->text};
	enum mg_err r;

	if (!enroll_tty_read(m->echo, put_question, &q, text)) {
		fail(e, "cancelled", "no answer; nothing is changed");
		return;
	}
	r = mg_chan_send(e->ch, id, MG_MSG_AUTH_ANS, &ans);
	explicit_bzero(text, sizeof(text));
	if (r == MG_ERR_FORMAT || r == MG_ERR_LIMIT)
		fail(e, "cancelled", "the answer is not text of one line");
	else if (r != MG_ERR_OK)
		fail(e, "agent-down", "the agent went away");
}

static void
on_refused(struct enroll *e, const struct mg_refused *m)
{
	const char *word = mg_why_word((enum mg_why)m->why);
	const char *text =
	    m->text[0] != '\0' ? m->text : mg_why_sentence((enum mg_why)m->why);

	leave_screen(e);
	e->status = EXIT_REFUSED;
	if (e->json) {
		put_json_refused(word, text, m->rule, m->remedy, m->code);
		return;
	}
	say(e, "modelgate: refused: %s\n", text);
	if (m->rule[0] != '\0')
		say(e, "  rule: %s\n", m->rule);
	if (m->remedy[0] != '\0')
		say(e, "  what would help: %s\n", m->remedy);
	if (m->code[0] != '\0')
		say(e, "  code %s: modelgate why %s\n", m->code, m->code);
}

static void
on_done(struct enroll *e, const struct mg_done *m, bool is_enroll)
{
	const char *const pairs[] = {"event", "done", "text", m->text, NULL};

	leave_screen(e);
	e->status = 0;
	if (e->json) {
		put_json(STDOUT_FILENO, pairs);
		return;
	}
	printf("modelgate: %s\n", m->text[0] != '\0' ? m->text : "done");
	if (is_enroll)
		printf("Next: 'modelgate run OPERATION MODEL' asks for a code "
		       "of the app,\nwhere the policy wants one.\n");
	fflush(stdout);
}

static void
on_frame(struct enroll *e, const struct mg_frame *f, bool is_enroll)
{
	union {
		struct mg_auth_prompt prompt;
		struct mg_auth_info info;
		struct mg_enroll_key key;
		struct mg_refused refused;
		struct mg_done done;
	} m;
	const struct mg_msg_type *t = mg_msg_type(f->op);

	if (t->size > sizeof(m) ||
	    mg_frame_decode(f, &m, t->size) != MG_ERR_OK) {
		fail(e, "internal", "the agent's answer is malformed");
		return;
	}
	if (f->op == MG_MSG_AUTH_PROMPT)
		on_prompt(e, f->id, &m.prompt);
	else if (f->op == MG_MSG_AUTH_INFO && !e->json)
		say(e, "%s\n", m.info.text);
	else if (f->op == MG_MSG_ENROLL_KEY && is_enroll)
		on_key(e, &m.key);
	else if (f->op == MG_MSG_REFUSED)
		on_refused(e, &m.refused);
	else if (f->op == MG_MSG_DONE)
		on_done(e, &m.done, is_enroll);
	else if (f->op != MG_MSG_AUTH_INFO)
		fail(e, "internal", "the agent's answer is not known here");
}

/* The next frame; false when there is none and e has ended. */
static bool
next_frame(struct enroll *e, struct mg_frame *f)
{
	int64_t end = mg_time_boot_ms() + SILENCE_MS;
	struct pollfd p = {.fd = mg_chan_fd(e->ch), .events = POLLIN};
	enum mg_err r;
	int64_t left;

	while ((r = mg_chan_recv(e->ch, f, NULL)) == MG_ERR_AGAIN) {
		left = end - mg_time_boot_ms();
		if (left <= 0 || enroll_tty_signal() != 0)
			break;
		if (poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS) == -1 &&
		    errno != EINTR)
			break;
	}
	if (r == MG_ERR_OK)
		return true;
	if (enroll_tty_signal() != 0)
		fail(e, "cancelled", "interrupted; nothing is changed");
	else
		fail(e, "agent-down", "the agent does not answer");
	return false;
}

static int
converse(struct enroll *e, enum mg_msg_op op, const void *msg)
{
	struct mg_frame f;
	enum mg_err r;

	e->status = -1;
	r = mg_client_connect(MG_CLIENT_SOCKET, CONNECT_MS, &e->ch);
	if (r != MG_ERR_OK) {
		fail(e, "agent-down",
		    r == MG_ERR_NOENT
			? "the agent is not running: nothing listens on "
			  "" MG_CLIENT_SOCKET
		    : r == MG_ERR_PERM ? "what listens on " MG_CLIENT_SOCKET
					 " is not root's"
				       : "the agent cannot be reached");
		return e->status;
	}
	if (mg_client_ask(e->ch, op, msg, NULL, 0) != MG_ERR_OK)
		fail(e, "agent-down", "the agent does not take the question");
	while (e->status == -1 && next_frame(e, &f))
		on_frame(e, &f, op == MG_MSG_ENROLL_REQ);
	leave_screen(e);
	mg_chan_free(e->ch);
	return e->status;
}

/* ---- commands ---- */

static int
usage(const char *command, bool is_asked_for)
{
	FILE *out = is_asked_for ? stdout : stderr;

	if (strcmp(command, "unenroll") != 0)
		fputs("usage: modelgate enroll [--plain] [--json]\n", out);
	if (strcmp(command, "enroll") != 0)
		fputs("usage: modelgate unenroll USER [--json]\n", out);
	return is_asked_for ? 0 : EXIT_USAGE;
}

static int
do_enroll(struct enroll *e)
{
	struct mg_enroll_req m = {.reserved = 0};
	const char *term = getenv("TERM");
	bool is_tty = isatty(STDOUT_FILENO) == 1;

	if (!is_tty && !e->plain) { /* Rule 1 */
		fail(e, "bad-request",
		    "standard output is no terminal, and the key is a secret: "
		    "say --plain to have it printed there");
		return e->status;
	}
	e->has_screen = is_tty && !e->plain && !e->json && term != NULL &&
			strcmp(term, "dumb") != 0;
	return converse(e, MG_MSG_ENROLL_REQ, &m);
}

static int
do_unenroll(struct enroll *e, const char *user)
{
	struct mg_unenroll_req m = {.user = user};
	char shown[128];

	if (mg_name_is_valid(user))
		return converse(e, MG_MSG_UNENROLL_REQ, &m);
	mg_esc_line(user, shown, sizeof(shown));
	fprintf(
	    stderr, "modelgate: the user '%s' %s\n", shown, mg_name_why(user));
	return EXIT_USAGE;
}

/* Takes the options out; returns how many words remain, or -1. */
static int
take_options(struct enroll *e, int argc, char **argv)
{
	int i, n = 0;

	for (i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--plain") == 0)
			e->plain = true;
		else if (strcmp(argv[i], "--json") == 0)
			e->json = true;
		else if (argv[i][0] == '-')
			return -1;
		else
			argv[n++] = argv[i];
	}
	return n;
}

static void
protect_memory(void)
{
	struct rlimit none = {0, 0};

	(void)prctl(PR_SET_DUMPABLE, 0); /* Rule 2 */
	(void)setrlimit(RLIMIT_CORE, &none);
}

int
main(int argc, char **argv)
{
	struct enroll e = {.status = -1};
	const char *command = argc > 1 ? argv[1] : "";
	int n;

	if (mg_file_sanitise_std() != MG_ERR_OK)
		return EXIT_REFUSED;
	protect_memory();
	(void)setlocale(LC_CTYPE, "");
	if (argc < 2)
		return usage("", false);
	if (argc > 2 &&
	    (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))
		return usage(command, true);
	n = take_options(&e, argc - 2, argv + 2);
	enroll_tty_init();
	if (strcmp(command, "enroll") == 0 && n == 0)
		return do_enroll(&e);
	if (strcmp(command, "unenroll") == 0 && n == 1 && !e.plain)
		return do_unenroll(&e, argv[2]);
	return usage(command, false);
}
