/* SPDX-License-Identifier: ISC */
/*
 * The menu: look at what waits, and decide.
 *
 * Rules
 * 1. The default of every question is to do nothing.
 * 2. What is signed was shown, whole, just before.
 * 3. What is typed comes back only as printing characters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn_io.h"
#include "conn_view.h"
#include "mg_esc.h"
#include "mg_text.h"
#include "mg_time.h"

enum answer {
	ANSWER_LINE,
	ANSWER_LEAVE,	/* ^D, or the connection ended */
	ANSWER_CANCEL,	/* ^C */
	ANSWER_CHANGED, /* the inbox changed while nothing was typed */
};

struct menu {
	struct conn *c;
	uint8_t in[256]; /* read and not looked at */
	size_t in_n, in_at;
	char utf8[8]; /* the bytes of a character, so far */
	size_t utf8_n;
	enum { PLAIN, ESCAPE, SEQUENCE } esc;
	bool after_cr;
};

static bool say(struct menu *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
say(struct menu *m, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return conn_puts(m->c, text);
}

/* ---- one line of input ---- */

/* The next byte; -1: it is over; -2: the inbox changed meanwhile. */
static int
next_byte(struct menu *m, bool may_change)
{
	struct conn *c = m->c;
	int n;

	while (m->in_at == m->in_n) {
		if ((n = conn_read(c, m->in, sizeof(m->in))) < 0)
			return -1;
		m->in_at = 0;
		m->in_n = (size_t)n;
		if (n > 0) {
			c->deadline_ms = mg_time_boot_ms() + c->idle_ms;
			break;
		}
		conn_drain_hub(c);
		if (may_change && (c->changed || c->resized))
			return -2;
		if (!conn_step(c, c->deadline_ms))
			return -1;
	}
	return m->in[m->in_at++];
}

/* Whether the byte belongs to an escape sequence of a key. */
static bool
is_of_sequence(struct menu *m, int b)
{
	switch (m->esc) {
	case PLAIN:
		if (b == 0x1b)
			m->esc = ESCAPE;
		return b == 0x1b;
	case ESCAPE:
		m->esc = b == '[' || b == 'O' ? SEQUENCE : PLAIN;
		return true;
	case SEQUENCE:
		if (b >= 0x40 && b <= 0x7e)
			m->esc = PLAIN;
		return true;
	}
	return false;
}

/* Rule 3: adds a byte; echoes when it completes a printing character. */
static void
type_byte(struct menu *m, int b, char *out, size_t size)
{
	size_t n = strlen(out), len;
	uint32_t cp;

	if (m->utf8_n == 4)
		m->utf8_n = 0;
	m->utf8[m->utf8_n++] = (char)b;
	m->utf8[m->utf8_n] = '\0';
	if ((len = mg_utf8_next(m->utf8, m->utf8_n, &cp)) == 0)
		return; /* not whole yet, or never */
	m->utf8_n = 0;
	if (!mg_esc_is_plain(cp) || n + len >= size)
		return;
	memcpy(out + n, m->utf8, len);
	out[n + len] = '\0';
	(void)conn_puts(m->c, out + n);
}

static void
erase_last(struct menu *m, char *out)
{
	size_t n = strlen(out), cols;

	if (n == 0)
		return;
	do
		n--;
	while (n > 0 && ((unsigned char)out[n] & 0xc0) == 0x80);
	cols = conn_view_columns(out + n);
	out[n] = '\0';
	for (; cols > 0; cols--)
		(void)conn_puts(m->c, "\b \b");
}

/* Acts on one key; true when the line is over (*ap says how). */
static bool
key(struct menu *m, int b, char *out, size_t size, enum answer *ap)
{
	bool lf_of_crlf = b == '\n' && m->after_cr;

	m->after_cr = b == '\r';
	if (lf_of_crlf || is_of_sequence(m, b))
		return false;
	*ap = ANSWER_LINE;
	if (b == '\r' || b == '\n')
		return true;
	*ap = ANSWER_CANCEL;
	if (b == 0x03)
		return true;
	*ap = ANSWER_LEAVE;
	if (b == 0x04 && out[0] == '\0')
		return true;
	if (b == 0x7f || b == 0x08)
		erase_last(m, out);
	else if (b == 0x15)
		while (out[0] != '\0')
			erase_last(m, out);
	else if (b >= 0x20)
		type_byte(m, b, out, size);
	return false;
}

static enum answer
ask(struct menu *m, const char *prompt, char *out, size_t size, bool may_change)
{
	enum answer a = ANSWER_LEAVE;
	int b;

	out[0] = '\0';
	m->utf8_n = 0;
	if (!conn_puts(m->c, prompt))
		return ANSWER_LEAVE;
	do {
		b = next_byte(m, may_change && out[0] == '\0');
		if (b == -1)
			return ANSWER_LEAVE;
		if (b == -2) {
			(void)conn_puts(m->c, "\n");
			return ANSWER_CHANGED;
		}
	} while (!key(m, b, out, size, &a));
	(void)conn_puts(m->c, a == ANSWER_CANCEL ? "^C\n" : "\n");
	return a;
}

/* ---- signing ---- */

/* Whether an approver has to know the number on the requester's terminal. */
static bool
needs_number(const struct mg_conn_item *item, const char *word)
{
	return strcmp(word, "approve") == 0 &&
	       mg_text_asks_number(item->body, strlen(item->body));
}

/* The same without an agent: two lines to copy. */
static void
say_two_lines(struct menu *m, const struct mg_conn_item *item, const char *code,
    const char *word, const char *note)
{
	const char *hub = m->c->hub_name, *quoted = NULL;
	struct mg_buf b;

	mg_buf_init(&b, 8192);
	if (note[0] != '\0' && mg_buf_put_u8(&b, ' ') == MG_ERR_OK &&
	    conn_view_quote(&b, note) == MG_ERR_OK)
		quoted = mg_buf_cstr(&b);
	if (quoted == NULL)
		quoted = "";
	(void)say(m,
	    "Log in with ssh -A, or sign where your key is:\n"
	    "  ssh %s text %s %s%s%s > approval.txt\n",
	    hub, code, word, quoted,
	    needs_number(item, word) ? " | sed '$s/[?][?]/NN/'" : "");
	if (needs_number(item, word))
		(void)say(m, "with the number on the requester's terminal "
			     "for NN, then\n");
	(void)say(m,
	    "  ssh-keygen -Y sign -n " MG_TEXT_NAMESPACE
	    " -f ~/.ssh/id_ed25519 < approval.txt | ssh %s submit %s %s%s\n",
	    hub, code, word, quoted);
	mg_buf_fini(&b);
}

/* The text to sign; number is "" where none is needed. */
static bool
put_text(struct menu *m, const struct mg_conn_item *item, const char *word,
    const char *note, const char *number, struct mg_buf *out)
{
	struct mg_buf text;
	bool ok;

	mg_buf_init(&text, MG_TEXT_MAX);
	ok = mg_text_put(number[0] == '\0' ? out : &text, word, m->c->name,
		 note, item->body, strlen(item->body)) == MG_ERR_OK;
	if (ok && number[0] != '\0')
		ok = mg_text_put_number(out, (const char *)mg_buf_ptr(&text),
			 mg_buf_len(&text), number) == MG_ERR_OK;
	mg_buf_fini(&text);
	return ok;
}

static void
sign_and_submit(struct menu *m, const struct mg_conn_item *item,
    const char *word, const char *note, const char *number)
{
	char uuid[MG_UUID_STR], out[700], esc[700];
	struct mg_buf text, sig;
	const char *why;

	memcpy(uuid, item->uuid, sizeof(uuid));
	mg_buf_init(&text, MG_TEXT_MAX);
	mg_buf_init(&sig, MG_TEXT_MAX);
	if (!put_text(m, item, word, note, number, &text)) {
		(void)say(m, "the text is too long to be signed\n");
	} else if (!conn_agent_sign(m->c, mg_buf_ptr(&text), mg_buf_len(&text),
		       &sig, &why)) {
		(void)say(m, "not sent: %s\n", why);
	} else {
		(void)conn_submit(m->c, uuid, word, note, mg_buf_ptr(&sig),
		    mg_buf_len(&sig), out, sizeof(out));
		mg_esc_line(out, esc, sizeof(esc));
		(void)say(m, "%s\n", esc);
	}
	mg_buf_fini(&text);
	mg_buf_fini(&sig);
}

/* ---- deciding ---- */

/* A note, as the question for it asks; false: nothing is to be done. */
static bool
get_note(struct menu *m, bool is_needed, char *note, size_t size)
{
	const char *flaw;

	if (ask(m, is_needed ? "why not (needed): " : "note (Enter for none): ",
		note, size, false) != ANSWER_LINE)
		return false;
	if ((flaw = conn_note_flaw(note)) != NULL) {
		(void)say(m, "%s\n", flaw);
		return false;
	}
	if (is_needed && note[0] == '\0') {
		(void)say(m, "nothing done: a denial needs a note\n");
		return false;
	}
	return true;
}

static void
decide(struct menu *m, const struct mg_conn_item *item, const char *code,
    const char *word)
{
	char note[MG_TEXT_NOTE_MAX + 1], yes[16], prompt[160], number[16] = "";

	if (!get_note(m, strcmp(word, "deny") == 0, note, sizeof(note)))
		return;
	if (!m->c->has_agent) {
		(void)say(m, "No ssh-agent is forwarded, so nothing can be "
			     "signed from here.\n");
		say_two_lines(m, item, code, word, note);
		return;
	}
	if (needs_number(item, word) &&
	    (ask(m, "the number on the requester's terminal: ", number,
		 sizeof(number), false) != ANSWER_LINE ||
		!mg_text_is_number(number))) {
		(void)say(m, "nothing done: that is not two digits\n");
		return;
	}
	snprintf(prompt, sizeof(prompt),
	    "sign and send '%s' for %s? type yes: ", word, code);
	if (ask(m, prompt, yes, sizeof(yes), false) != ANSWER_LINE ||
	    strcmp(yes, "yes") != 0) { /* Rule 1 */
		(void)say(m, "nothing done\n");
		return;
	}
	sign_and_submit(m, item, word, note, number);
}

/* Rule 2 */
static bool
show(struct menu *m, const struct mg_conn_item *item)
{
	const char *s = NULL;
	struct mg_buf b;
	bool ok;

	mg_buf_init(&b, 131072);
	if (conn_view_page(&b, item, m->c->name, m->c->columns,
		mg_time_wall_ms()) == MG_ERR_OK)
		s = mg_buf_cstr(&b);
	ok = say(m, "\n") && s != NULL && conn_puts(m->c, s) && say(m, "\n");
	mg_buf_fini(&b);
	return ok;
}

/* A copy of the body: the item is gone with the next answer of the hub. */
static bool
look(struct menu *m, const char *id)
{
	static struct mg_conn_item item;
	char err[600], esc[600], word[16], code[MG_CODE_STR], uuid[MG_UUID_STR];
	struct mg_frame f;
	struct mg_uuid u;
	char *body;
	bool ok;

	if (!conn_get(m->c, id, &item, &f, err, sizeof(err))) {
		mg_esc_line(err, esc, sizeof(esc));
		return say(m, "%s\n", esc);
	}
	if (mg_uuid_parse(item.uuid, &u) != MG_ERR_OK || !show(m, &item))
		return false;
	mg_code_from_uuid(&u, code);
	if (item.ended ||
	    (item.decision[0] != '\0' && item.judged != MG_HUB_REFUSED))
		return true;
	mg_uuid_format(&u, uuid);
	if ((body = strdup(item.body)) == NULL)
		return false;
	item.uuid = uuid;
	item.body = body;
	ok = ask(m, "a approve, d deny, Enter back: ", word, sizeof(word),
		 false) != ANSWER_LEAVE;
	if (strcmp(word, "a") == 0)
		decide(m, &item, code, "approve");
	else if (strcmp(word, "d") == 0)
		decide(m, &item, code, "deny");
	item.uuid = item.body = NULL; /* it is static, they are not */
	free(body);
	return ok;
}

/* ---- the list ---- */

static bool
print_rows(struct menu *m, const struct conn_row *rows, size_t n)
{
	const char *s = NULL;
	struct mg_buf b;
	bool ok;

	if (n == 0)
		return say(m, "\nnothing waits for approval\n");
	mg_buf_init(&b, (size_t)1 << 26);
	if (conn_view_table(&b, rows, n,
		m->c->columns < CONN_WIDTH_MIN ? CONN_WIDTH_MIN : m->c->columns,
		true) == MG_ERR_OK)
		s = mg_buf_cstr(&b);
	ok = say(m, "\n") && s != NULL && conn_puts(m->c, s);
	mg_buf_fini(&b);
	return ok;
}

/* What was typed: a number of the list, or a code. */
static const char *
chosen(const struct conn_row *rows, size_t n, const char *word)
{
	size_t i, v = 0;

	for (i = 0; word[i] >= '0' && word[i] <= '9' && i < 5; i++)
		v = v * 10 + (size_t)(word[i] - '0');
	if (word[i] == '\0' && v >= 1 && v <= n)
		return rows[v - 1].uuid;
	return word;
}

/* One round: list, question, action. False: leave. */
static bool
turn(struct menu *m)
{
	struct conn_row *rows;
	enum answer a;
	char word[64];
	size_t n;
	bool ok;

	m->c->resized = false;
	if (!conn_list(m->c, false, true, &rows, &n))
		return false;
	ok = print_rows(m, rows, n);
	while (ok) {
		a = ask(m,
		    "number or code to look at, Enter to refresh, q to "
		    "leave: ",
		    word, sizeof(word), true);
		if (a == ANSWER_LEAVE || strcmp(word, "q") == 0)
			ok = false;
		if (a != ANSWER_CANCEL)
			break;
	}
	if (ok && a == ANSWER_LINE && word[0] != '\0')
		ok = look(m, chosen(rows, n, word));
	free(rows);
	return ok;
}

int
conn_menu(struct conn *c)
{
	struct menu m = {.c = c};

	c->deadline_ms = mg_time_boot_ms() + c->idle_ms;
	if (!say(&m, "modelgate hub: you are %s\n  %s %s\n", c->name,
		c->key_type, c->key_fp))
		return CONN_STATUS_REFUSED;
	while (turn(&m))
		continue;
	if (c->timed_out)
		return CONN_STATUS_REFUSED;
	return CONN_STATUS_OK;
}
