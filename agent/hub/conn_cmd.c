/* SPDX-License-Identifier: ISC */
/*
 * The commands of approvers.
 *
 * Rules
 * 1. The text that is signed is the host's body under the name that the key
 *    stands for; the approver cannot name himself otherwise.
 * 2. Standard input has a limit, and is read to its end before anything is
 *    judged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn_io.h"
#include "conn_view.h"
#include "mg_esc.h"
#include "mg_log.h"
#include "mg_name.h"
#include "mg_text.h"
#include "mg_time.h"

#define SIG_MAX 16384
#define ROWS_MAX 65536
#define JSON_MAX 131072
#define PAGE_MAX 131072
#define TABLE_MAX ((size_t)1 << 26)
#define FOLLOW_MS (24 * 3600 * 1000LL)
#define FOLLOW_REST 9 /* times as long as the list took */

static const char help[] =
    "commands:\n"
    "  inbox [--json] [--all] [--follow]    what waits for approval\n"
    "  show ID [--json]                     everything about one request\n"
    "  text ID approve|deny [NOTE]          the text to sign\n"
    "  submit ID approve|deny [NOTE]        a signature, on standard input\n"
    "  ledgers                              hosts whose ledgers are "
    "witnessed\n"
    "  checkpoints|leaves|alarms HOST       what is kept of one\n"
    "  whoami                               whom the hub takes you for\n"
    "  help                                 this\n"
    "ID is the short code or the UUID. To approve:\n"
    "  ssh HUB text ID approve 'NOTE' |\n"
    "    ssh-keygen -Y sign -n " MG_TEXT_NAMESPACE " -f KEY |\n"
    "    ssh HUB submit ID approve 'NOTE'\n"
    "Where the text ends with \"confirm: ??\", the two digits on the\n"
    "requester's terminal come in their place before it is signed:\n"
    "  ssh HUB text ID approve | sed '$s/[?][?]/NN/' | ssh-keygen ...\n"
    "Without a command and with a terminal: a menu that signs through a\n"
    "forwarded ssh-agent (ssh -A).\n";

static const char bad_word[] = "a quote is not closed or a word is too long";

static int
usage(struct conn *c, const char *what)
{
	(void)conn_errs(c, "%s; 'help' lists the commands\n", what);
	return CONN_STATUS_USAGE;
}

static int
fail(struct conn *c, const char *what)
{
	char esc[600];

	mg_esc_line(what, esc, sizeof(esc));
	(void)conn_errs(c, "%s\n", esc);
	return CONN_STATUS_REFUSED;
}

/* Writes what b holds; the status. */
static int
print(struct conn *c, struct mg_buf *b, enum mg_err r)
{
	const char *s = r == MG_ERR_OK ? mg_buf_cstr(b) : NULL;

	if (s == NULL)
		return fail(c, "the hub is out of memory");
	return conn_puts(c, s) ? CONN_STATUS_OK : CONN_STATUS_REFUSED;
}

/* ---- questions ---- */

static const char *
no_answer(enum mg_err r)
{
	return r == MG_ERR_TIMEOUT ? "the hub does not answer in time"
				   : "the connection to the hub broke";
}

bool
conn_get(struct conn *c, const char *id, struct mg_conn_item *item,
    struct mg_frame *f, char *err, size_t err_size)
{
	struct mg_conn_show_req req = {.id = id};
	struct mg_conn_done done;
	uint32_t rid;
	enum mg_err r;

	if (!mg_msg_class_check(MG_CLASS_CODE0, id) || strlen(id) > 36 ||
	    id[0] == '\0') {
		snprintf(err, err_size, "that is neither a code nor a UUID");
		return false;
	}
	snprintf(err, err_size, "%s", no_answer(MG_ERR_CLOSED));
	if (!conn_ask(c, MG_MSG_CONN_SHOW_REQ, &req, &rid))
		return false;
	if ((r = conn_answer(c, rid, CONN_HUB_MS, f)) != MG_ERR_OK) {
		snprintf(err, err_size, "%s", no_answer(r));
		return false;
	}
	if (f->op == MG_MSG_CONN_ITEM)
		return mg_frame_decode(f, item, sizeof(*item)) == MG_ERR_OK;
	if (f->op == MG_MSG_CONN_DONE &&
	    mg_frame_decode(f, &done, sizeof(done)) == MG_ERR_OK)
		snprintf(err, err_size, "%s", done.text);
	return false;
}

/* Called for each item of a list. False: stop. */
typedef bool (*item_fn)(
    struct conn *c, const struct mg_conn_item *item, void *arg);

static bool
each_item(struct conn *c, bool ended, bool watch, item_fn fn, void *arg)
{
	struct mg_conn_list_req req = {.ended = ended, .watch = watch};
	static struct mg_conn_item item;
	struct mg_conn_done done;
	struct mg_frame f;
	uint32_t id;

	c->changed = false;
	if (!conn_ask(c, MG_MSG_CONN_LIST_REQ, &req, &id))
		return false;
	for (;;) {
		if (conn_answer(c, id, CONN_HUB_MS, &f) != MG_ERR_OK)
			return false;
		if (f.op == MG_MSG_CONN_DONE)
			return mg_frame_decode(&f, &done, sizeof(done)) ==
				   MG_ERR_OK &&
			       done.ok;
		if (f.op != MG_MSG_CONN_ITEM ||
		    mg_frame_decode(&f, &item, sizeof(item)) != MG_ERR_OK ||
		    !fn(c, &item, arg))
			return false;
	}
}

struct rows {
	struct conn_row *v;
	size_t n, cap;
};

static bool
add_row(struct conn *c, const struct mg_conn_item *item, void *arg)
{
	struct rows *rows = arg;
	struct conn_row *v;
	size_t cap;

	if (rows->n == ROWS_MAX)
		return false;
	if (rows->n == rows->cap) {
		cap = rows->cap == 0 ? 16 : rows->cap * 2;
		if ((v = reallocarray(rows->v, cap, sizeof(*v))) == NULL)
			return false;
		rows->v = v;
		rows->cap = cap;
	}
	conn_row_fill(&rows->v[rows->n++], item, c->name, mg_time_wall_ms());
	return true;
}

bool
conn_list(
    struct conn *c, bool ended, bool watch, struct conn_row **rowsp, size_t *np)
{
	struct rows rows = {NULL, 0, 0};

	*rowsp = NULL;
	*np = 0;
	if (!each_item(c, ended, watch, add_row, &rows)) {
		free(rows.v);
		return false;
	}
	*rowsp = rows.v;
	*np = rows.n;
	return true;
}

/* ---- inbox ---- */

struct inbox_flags {
	bool json, all, follow;
	unsigned width;
};

struct json_list {
	bool comma;
};

static bool
print_item(struct conn *c, const struct mg_conn_item *item, const char *front,
    const char *end)
{
	struct mg_json j;
	struct mg_buf b;
	bool ok;

	mg_buf_init(&b, JSON_MAX);
	mg_json_begin(&j, &b);
	conn_view_json(&j, item, c->name);
	ok = conn_puts(c, front) &&
	     print(c, &b, mg_json_end(&j)) == CONN_STATUS_OK &&
	     conn_puts(c, end);
	mg_buf_fini(&b);
	return ok;
}

static bool
add_json(struct conn *c, const struct mg_conn_item *item, void *arg)
{
	struct json_list *list = arg;
	bool first = !list->comma;

	list->comma = true;
	return print_item(c, item, first ? "\n" : ",\n", "");
}

static int
inbox_json(struct conn *c, const struct inbox_flags *flags)
{
	struct json_list list = {false};

	if (!conn_puts(c, "["))
		return CONN_STATUS_REFUSED;
	if (!each_item(c, flags->all, false, add_json, &list))
		return fail(c, no_answer(MG_ERR_CLOSED));
	return conn_puts(c, list.comma ? "\n]\n" : "]\n") ? CONN_STATUS_OK
							  : CONN_STATUS_REFUSED;
}

static int
inbox_table(struct conn *c, const struct inbox_flags *flags)
{
	struct conn_row *rows;
	struct mg_buf b;
	size_t n;
	int status;

	if (!conn_list(c, flags->all, false, &rows, &n))
		return fail(c, no_answer(MG_ERR_CLOSED));
	mg_buf_init(&b, TABLE_MAX);
	if (n == 0)
		status = conn_puts(c, "nothing waits for approval\n")
			     ? CONN_STATUS_OK
			     : CONN_STATUS_REFUSED;
	else
		status = print(
		    c, &b, conn_view_table(&b, rows, n, flags->width, false));
	mg_buf_fini(&b);
	free(rows);
	return status;
}

/* The requests that were there the last time, and those of this time. */
struct follow {
	char (*old)[MG_UUID_STR];
	size_t nold;
	char (*new)[MG_UUID_STR];
	size_t nnew, cap;
	bool json;
	unsigned width;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool
was_there(const struct follow *fo, const char *uuid)
{
	return fo->nold > 0 && bsearch(uuid, fo->old, fo->nold,
				   sizeof(*fo->old), by_text) != NULL;
}

static bool
print_new(struct conn *c, const struct mg_conn_item *item, bool json)
{
	char line[1200];
	struct conn_row row;

	if (json)
		return print_item(c, item, "", "\n");
	conn_row_fill(&row, item, c->name, mg_time_wall_ms());
	snprintf(line, sizeof(line),
	    "%s  %s left  %s on %s  %s %s  asked of you: %s\n", row.code,
	    row.left, row.requester, row.host, row.operation, row.model,
	    row.asked);
	return conn_puts(c, line);
}

static bool
follow_item(struct conn *c, const struct mg_conn_item *item, void *arg)
{
	struct follow *fo = arg;
	char(*v)[MG_UUID_STR];

	if (fo->nnew == ROWS_MAX)
		return true;
	if (fo->nnew == fo->cap) {
		fo->cap = fo->cap == 0 ? 16 : fo->cap * 2;
		v = reallocarray(fo->new, fo->cap, sizeof(*v));
		if (v == NULL)
			return false;
		fo->new = v;
	}
	memcpy(fo->new[fo->nnew++], item->uuid, MG_UUID_STR);
	return was_there(fo, item->uuid) || print_new(c, item, fo->json);
}

/*
 * Until something changed, and long enough for a list to be a small part of
 * the time: an inbox that is long, or that many follow, is looked at less
 * often. False: it is over.
 */
static bool
follow_wait(struct conn *c, int64_t took_ms)
{
	int64_t from = mg_time_boot_ms() + FOLLOW_REST * took_ms;

	while (!c->changed && conn_step(c, c->deadline_ms))
		conn_drain_hub(c);
	while (!c->is_dead && mg_time_boot_ms() < from && conn_step(c, from))
		conn_drain_hub(c);
	return !c->is_dead;
}

static int
inbox_follow(struct conn *c, const struct inbox_flags *flags)
{
	struct follow fo = {.json = flags->json};
	int64_t began;

	c->deadline_ms = mg_time_boot_ms() + FOLLOW_MS;
	for (;;) {
		began = mg_time_boot_ms();
		if (!each_item(c, false, true, follow_item, &fo))
			break;
		free(fo.old);
		fo.old = fo.new;
		fo.nold = fo.nnew;
		fo.new = NULL;
		fo.nnew = fo.cap = 0;
		if (fo.nold > 0)
			qsort(fo.old, fo.nold, sizeof(*fo.old), by_text);
		if (!follow_wait(c, mg_time_boot_ms() - began))
			break;
	}
	free(fo.old);
	free(fo.new);
	return CONN_STATUS_OK;
}

static bool
width_of(const char *s, unsigned *wp)
{
	unsigned v = 0;

	for (; *s >= '0' && *s <= '9' && v <= CONN_WIDTH_MAX; s++)
		v = v * 10 + (unsigned)(*s - '0');
	*wp = v;
	return *s == '\0' && v >= CONN_WIDTH_MIN && v <= CONN_WIDTH_MAX;
}

static unsigned
terminal_width(const struct conn *c)
{
	if (!c->has_pty)
		return 0;
	return c->columns < CONN_WIDTH_MIN ? CONN_WIDTH_MIN : c->columns;
}

static int
cmd_inbox(struct conn *c, struct conn_args *a)
{
	struct inbox_flags flags = {.width = terminal_width(c)};
	char word[32];
	enum mg_err r;

	while ((r = conn_args_word(a, word, sizeof(word))) == MG_ERR_OK) {
		if (strcmp(word, "--json") == 0)
			flags.json = true;
		else if (strcmp(word, "--all") == 0)
			flags.all = true;
		else if (strcmp(word, "--follow") == 0)
			flags.follow = true;
		else if (strncmp(word, "--width=", 8) != 0 ||
			 !width_of(word + 8, &flags.width))
			return usage(c, "inbox takes --json, --all, --follow, "
					"--width=COLUMNS");
	}
	if (r != MG_ERR_NOENT)
		return usage(c, bad_word);
	if (flags.follow)
		return inbox_follow(c, &flags);
	return flags.json ? inbox_json(c, &flags) : inbox_table(c, &flags);
}

/* ---- show ---- */

static int
show_page(struct conn *c, const struct mg_conn_item *item, unsigned width)
{
	struct mg_buf b;
	int status;

	mg_buf_init(&b, PAGE_MAX);
	status = print(
	    c, &b, conn_view_page(&b, item, c->name, width, mg_time_wall_ms()));
	mg_buf_fini(&b);
	return status;
}

static int
cmd_show(struct conn *c, struct conn_args *a)
{
	char id[40], word[32], err[600];
	static struct mg_conn_item item;
	unsigned width = c->has_pty ? terminal_width(c) : CONN_WIDTH_UNKNOWN;
	struct mg_frame f;
	bool json = false;
	enum mg_err r;

	if (conn_args_word(a, id, sizeof(id)) != MG_ERR_OK)
		return usage(c, "show needs a code or UUID");
	while ((r = conn_args_word(a, word, sizeof(word))) == MG_ERR_OK) {
		if (strcmp(word, "--json") == 0)
			json = true;
		else if (strncmp(word, "--width=", 8) != 0 ||
			 !width_of(word + 8, &width))
			return usage(c, "show takes --json, --width=COLUMNS");
	}
	if (r != MG_ERR_NOENT)
		return usage(c, bad_word);
	if (!conn_get(c, id, &item, &f, err, sizeof(err)))
		return fail(c, err);
	if (!json)
		return show_page(c, &item, width);
	return print_item(c, &item, "", "\n") ? CONN_STATUS_OK
					      : CONN_STATUS_REFUSED;
}

/* ---- text and submit ---- */

struct decision {
	char id[40];
	char word[16];
	char note[MG_TEXT_NOTE_MAX + 1];
};

const char *
conn_note_flaw(const char *note)
{
	if (strlen(note) > MG_TEXT_NOTE_MAX)
		return "the note is longer than 1024 bytes";
	if (!mg_esc_is_clean(note))
		return "the note has control or invisible characters";
	return NULL;
}

/* Reads "ID approve|deny [NOTE]"; what is wrong, or NULL. */
static const char *
read_decision(struct conn_args *a, struct decision *d)
{
	enum mg_err r;

	if (conn_args_word(a, d->id, sizeof(d->id)) != MG_ERR_OK)
		return "a code or UUID is needed";
	if (conn_args_word(a, d->word, sizeof(d->word)) != MG_ERR_OK ||
	    (strcmp(d->word, "approve") != 0 && strcmp(d->word, "deny") != 0))
		return "after the code comes 'approve' or 'deny'";
	r = conn_args_rest(a, d->note, sizeof(d->note));
	if (r == MG_ERR_LIMIT)
		return "the note is longer than 1024 bytes";
	if (r != MG_ERR_OK)
		return "a quote is not closed (your shell removes one level "
		       "of quotes: write \"'...'\")";
	return conn_note_flaw(d->note);
}

static int
cmd_text(struct conn *c, struct conn_args *a)
{
	static struct mg_conn_item item;
	struct decision d;
	struct mg_frame f;
	const char *flaw;
	char err[600];
	struct mg_buf b;
	enum mg_err r;
	int status;

	if ((flaw = read_decision(a, &d)) != NULL)
		return usage(c, flaw);
	if (!conn_get(c, d.id, &item, &f, err, sizeof(err)))
		return fail(c, err);
	if (item.ended) {
		snprintf(
		    err, sizeof(err), "the request has ended (%s)", item.state);
		return fail(c, err);
	}
	mg_buf_init(&b, MG_TEXT_MAX);
	r = mg_text_put(&b, d.word, c->name, d.note, item.body,
	    strlen(item.body)); /* Rule 1 */
	status = print(c, &b, r);
	mg_buf_fini(&b);
	return status;
}

/* Rule 2 */
static enum mg_err
read_input(struct conn *c, struct mg_buf *b)
{
	uint8_t buf[4096];
	enum mg_err r;
	int n, i;

	for (;;) {
		while ((n = conn_read(c, buf, sizeof(buf))) > 0)
			for (i = 0; i < n; i++)
				if (buf[i] != '\r' && /* of other systems */
				    (r = mg_buf_put_u8(b, buf[i])) != MG_ERR_OK)
					return r;
		if (n < 0)
			return c->is_dead ? MG_ERR_CLOSED : MG_ERR_OK;
		if (!conn_step(c, c->deadline_ms))
			return MG_ERR_TIMEOUT;
	}
}

/* The host's word on what was submitted. */
static int
await_verdict(struct conn *c, uint32_t id, char *out, size_t size)
{
	struct mg_hub_verdict v;
	struct mg_frame f;

	if (conn_answer(c, id, CONN_VERDICT_MS, &f) == MG_ERR_OK &&
	    f.op == MG_MSG_CONN_VERDICT &&
	    mg_frame_decode(&f, &v, sizeof(v)) == MG_ERR_OK) {
		snprintf(out, size, "%s: %s",
		    v.accepted ? "accepted" : "refused", v.text);
		return v.accepted ? CONN_STATUS_OK : CONN_STATUS_REFUSED;
	}
	snprintf(out, size, "stored; the host has not answered yet");
	return CONN_STATUS_STORED;
}

int
conn_submit(struct conn *c, const char *uuid, const char *word,
    const char *note, const void *sig, size_t sig_len, char *out,
    size_t out_size)
{
	struct mg_conn_submit_req req = {.uuid = uuid,
	    .decision = word,
	    .note = note,
	    .sig = sig,
	    .sig_len = sig_len};
	struct mg_conn_done done;
	struct mg_frame f;
	uint32_t id;

	if (!conn_ask(c, MG_MSG_CONN_SUBMIT_REQ, &req, &id) ||
	    conn_answer(c, id, CONN_HUB_MS, &f) != MG_ERR_OK ||
	    f.op != MG_MSG_CONN_DONE ||
	    mg_frame_decode(&f, &done, sizeof(done)) != MG_ERR_OK) {
		snprintf(out, out_size,
		    "the hub did not answer: look at 'show' whether it has "
		    "your decision");
		return CONN_STATUS_REFUSED;
	}
	if (!done.ok) {
		snprintf(out, out_size, "refused: %s", done.text);
		return CONN_STATUS_REFUSED;
	}
	if (done.text[0] == '\0')
		return await_verdict(c, id, out, out_size);
	snprintf(out, out_size, "%s", done.text);
	return CONN_STATUS_STORED;
}

static int
submit(struct conn *c, const struct decision *d, const struct mg_buf *sig)
{
	static struct mg_conn_item item;
	char uuid[MG_UUID_STR], out[700], esc[700];
	struct mg_frame f;
	int status;

	if (!conn_get(c, d->id, &item, &f, out, sizeof(out)))
		return fail(c, out);
	memcpy(uuid, item.uuid, sizeof(uuid));
	status = conn_submit(c, uuid, d->word, d->note, mg_buf_ptr(sig),
	    mg_buf_len(sig), out, sizeof(out));
	if (status == CONN_STATUS_REFUSED)
		return fail(c, out);
	mg_esc_line(out, esc, sizeof(esc));
	return conn_puts(c, esc) && conn_puts(c, "\n") ? status
						       : CONN_STATUS_REFUSED;
}

static int
cmd_submit(struct conn *c, struct conn_args *a)
{
	struct decision d;
	const char *flaw;
	struct mg_buf sig;
	enum mg_err r;
	int status;

	if ((flaw = read_decision(a, &d)) != NULL)
		return usage(c, flaw);
	if (c->has_pty)
		return usage(c, "submit reads a signature from standard input, "
				"not from a terminal");
	mg_buf_init(&sig, SIG_MAX);
	r = read_input(c, &sig);
	if (r == MG_ERR_LIMIT)
		status = fail(c, "standard input is longer than 16384 bytes");
	else if (r != MG_ERR_OK)
		status = fail(c, "standard input did not come");
	else if (mg_buf_len(&sig) == 0)
		status = fail(c, "there is no signature on standard input");
	else
		status = submit(c, &d, &sig);
	mg_buf_fini(&sig);
	return status;
}

/* ---- ledgers ---- */

static int
print_tree(struct conn *c, enum mg_hub_tree_part part, const char *host)
{
	struct mg_conn_tree_req req = {.what = (uint8_t)part, .host = host};
	struct mg_conn_tree ans;
	struct mg_frame f;
	uint32_t id;
	enum mg_err r;

	for (;;) {
		if (!conn_ask(c, MG_MSG_CONN_TREE_REQ, &req, &id))
			return fail(c, no_answer(MG_ERR_CLOSED));
		if ((r = conn_answer(c, id, CONN_HUB_MS, &f)) != MG_ERR_OK)
			return fail(c, no_answer(r));
		if (f.op != MG_MSG_CONN_TREE ||
		    mg_frame_decode(&f, &ans, sizeof(ans)) != MG_ERR_OK)
			return fail(c, no_answer(MG_ERR_CLOSED));
		if (!ans.ok)
			return fail(c, ans.text);
		if (ans.data_len == 0)
			return CONN_STATUS_OK;
		if (!conn_write(c, ans.data, ans.data_len))
			return CONN_STATUS_REFUSED;
		req.offset += ans.data_len;
	}
}

static int
cmd_ledgers(struct conn *c, struct conn_args *a)
{
	if (a->p[0] != '\0')
		return usage(c, "ledgers takes nothing");
	return print_tree(c, MG_HUB_TREE_LIST, "");
}

static int
one_ledger(struct conn *c, struct conn_args *a, enum mg_hub_tree_part part)
{
	char host[MG_NAME_MAX + 1];

	if (conn_args_word(a, host, sizeof(host)) != MG_ERR_OK ||
	    !mg_name_is_valid(host) || a->p[strspn(a->p, " \t")] != '\0')
		return usage(c, "name one host");
	return print_tree(c, part, host);
}

static int
cmd_checkpoints(struct conn *c, struct conn_args *a)
{
	return one_ledger(c, a, MG_HUB_TREE_CHECKPOINTS);
}

static int
cmd_leaves(struct conn *c, struct conn_args *a)
{
	return one_ledger(c, a, MG_HUB_TREE_LEAVES);
}

static int
cmd_alarms(struct conn *c, struct conn_args *a)
{
	return one_ledger(c, a, MG_HUB_TREE_ALARMS);
}

/* ---- the rest ---- */

static int
cmd_whoami(struct conn *c, struct conn_args *a)
{
	char line[400];

	if (a->p[0] != '\0')
		return usage(c, "whoami takes nothing");
	snprintf(
	    line, sizeof(line), "%s %s %s\n", c->name, c->key_type, c->key_fp);
	return conn_puts(c, line) ? CONN_STATUS_OK : CONN_STATUS_REFUSED;
}

static int
cmd_help(struct conn *c, struct conn_args *a)
{
	(void)a;
	return conn_puts(c, help) ? CONN_STATUS_OK : CONN_STATUS_REFUSED;
}

static const struct {
	const char *name;
	int (*fn)(struct conn *c, struct conn_args *a);
} commands[] = {
    {"inbox", cmd_inbox},
    {"show", cmd_show},
    {"text", cmd_text},
    {"submit", cmd_submit},
    {"ledgers", cmd_ledgers},
    {"checkpoints", cmd_checkpoints},
    {"leaves", cmd_leaves},
    {"alarms", cmd_alarms},
    {"whoami", cmd_whoami},
    {"help", cmd_help},
};

int
conn_run_command(struct conn *c)
{
	struct conn_args a;
	const char *why;
	char word[32];
	size_t i;

	if (conn_args_begin(&a, c->command, &why) != MG_ERR_OK)
		return usage(c, why);
	if (conn_args_word(&a, word, sizeof(word)) != MG_ERR_OK)
		return usage(c, "unknown command");
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, word) != 0)
			continue;
		a.p += strspn(a.p, " \t");
		return commands[i].fn(c, &a);
	}
	return usage(c, "unknown command");
}
