/* SPDX-License-Identifier: ISC */
/*
 * How requests look.
 *
 * Rules
 * 1. Every text is escaped before it is laid out: a name in a request must
 *    not move the cursor of who decides on it.
 * 2. The page of a request shows the body line by line as it is signed,
 *    all of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "conn_view.h"
#include "mg_esc.h"
#include "mg_text.h"
#include "mg_time.h"

#define GAP 2
#define CELL_MIN 6

/* ---- words ---- */

void
conn_view_time(int64_t ms, char out[16])
{
	int64_t s = ms < 0 ? 0 : ms / 1000, m = s / 60, h = m / 60, d = h / 24;

	if (s < 60)
		snprintf(out, 16, "%us", (unsigned)s);
	else if (m < 10)
		snprintf(out, 16, "%um%us", (unsigned)m, (unsigned)(s % 60));
	else if (h < 1)
		snprintf(out, 16, "%um", (unsigned)m);
	else if (d < 1)
		snprintf(out, 16, "%uh%um", (unsigned)h, (unsigned)(m % 60));
	else
		snprintf(out, 16, "%ud%uh", (unsigned)(d % 10000),
		    (unsigned)(h % 24));
}

static size_t
char_columns(uint32_t cp)
{
	int w = wcwidth((wchar_t)cp);

	return w < 0 ? 1 : (size_t)w;
}

size_t
conn_view_columns(const char *s)
{
	size_t n = strlen(s), len, cols = 0;
	uint32_t cp;

	for (; n > 0; s += len, n -= len) {
		if ((len = mg_utf8_next(s, n, &cp)) == 0) {
			len = 1;
			cp = '?';
		}
		cols += char_columns(cp);
	}
	return cols;
}

/* Whether the comma list names person. */
static bool
list_has(const char *list, const char *person)
{
	size_t n = strlen(person), len;

	for (; *list != '\0'; list += len) {
		list += strspn(list, ", ");
		len = strcspn(list, ", ");
		if (len == n && memcmp(list, person, n) == 0)
			return true;
	}
	return false;
}

/* The roles that name could fill, with commas. */
static void
roles_of(const struct mg_conn_item *m, const char *name, char *out, size_t size)
{
	size_t i, used = 0;

	out[0] = '\0';
	for (i = 0; i + 2 < m->need_n; i += 3) {
		if (!list_has(m->need[i + 2], name))
			continue;
		if (used + strlen(m->need[i]) + 3 > size)
			break;
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		    used > 0 ? ", " : "", m->need[i]);
	}
}

static const char *
judged_word(const struct mg_conn_item *m)
{
	switch ((enum mg_hub_judged)m->judged) {
	case MG_HUB_ACCEPTED:
		return "accepted";
	case MG_HUB_REFUSED:
		return "refused";
	case MG_HUB_UNJUDGED:
		break;
	}
	return m->host_up ? "on its way" : "waits for the host";
}

static bool
has_decided(const struct mg_conn_item *m)
{
	return m->decision[0] != '\0' && m->judged != MG_HUB_REFUSED;
}

static void
set_asked(struct conn_row *row, const struct mg_conn_item *m, const char *name)
{
	char roles[200], raw[256];

	roles_of(m, name, roles, sizeof(roles));
	if (m->ended)
		snprintf(raw, sizeof(raw), "ended: %s", m->state);
	else if (has_decided(m))
		snprintf(raw, sizeof(raw), "you: %s, %s", m->decision,
		    judged_word(m));
	else if (m->decision[0] != '\0') /* it is asked still */
		snprintf(raw, sizeof(raw), "%s (%s refused: %s)",
		    roles[0] == '\0' ? "-" : roles, m->decision, m->verdict);
	else
		snprintf(raw, sizeof(raw), "%s%s",
		    m->review[0] != '\0' ? "review: " : "",
		    roles[0] == '\0' ? "-" : roles);
	mg_esc_line(raw, row->asked, sizeof(row->asked));
	row->is_due = !m->ended && roles[0] != '\0' && !has_decided(m);
}

void
conn_row_fill(struct conn_row *row, const struct mg_conn_item *m,
    const char *name, int64_t now_ms)
{
	struct mg_uuid u;
	char ref[200];

	memset(row, 0, sizeof(*row));
	if (mg_uuid_parse(m->uuid, &u) == MG_ERR_OK) {
		mg_uuid_format(&u, row->uuid);
		mg_code_from_uuid(&u, row->code);
	}
	conn_view_time(now_ms - m->filed_ms, row->age);
	if (m->ended)
		snprintf(row->left, sizeof(row->left), "-");
	else
		conn_view_time((int64_t)m->left_ms, row->left);
	snprintf(ref, sizeof(ref), "%s%s%s", m->model,
	    m->version[0] == '\0' ? "" : "@", m->version);
	/* Rule 1 */
	mg_esc_line(m->requester, row->requester, sizeof(row->requester));
	mg_esc_line(m->host, row->host, sizeof(row->host));
	mg_esc_line(m->operation, row->operation, sizeof(row->operation));
	mg_esc_line(ref[0] == '\0' ? "-" : ref, row->model, sizeof(row->model));
	set_asked(row, m, name);
}

/* ---- tables ---- */

enum col { NUMBER, CODE, AGE, LEFT, WHO, HOST, OPERATION, MODEL, ASKED, NCOLS };

static const struct {
	const char *title;
	bool may_shrink;
} cols[NCOLS] = {
    [NUMBER] = {"#", false},
    [CODE] = {"CODE", false},
    [AGE] = {"AGE", false},
    [LEFT] = {"LEFT", false},
    [WHO] = {"WHO", true},
    [HOST] = {"HOST", true},
    [OPERATION] = {"OPERATION", true},
    [MODEL] = {"MODEL", true},
    [ASKED] = {"ASKED OF YOU", true},
};

static const char *
cell(const struct conn_row *row, enum col c, size_t number, char buf[16])
{
	switch (c) {
	case NUMBER:
		snprintf(buf, 16, "%zu", number);
		return buf;
	case CODE:
		return row->code;
	case AGE:
		return row->age;
	case LEFT:
		return row->left;
	case WHO:
		return row->requester;
	case HOST:
		return row->host;
	case OPERATION:
		return row->operation;
	case MODEL:
		return row->model;
	case ASKED:
		return row->asked;
	case NCOLS:
		break;
	}
	return "";
}

/* Appends s cut to width columns; sets *usedp to the columns it took. */
static enum mg_err
put_cut(struct mg_buf *b, const char *s, size_t width, size_t *usedp)
{
	size_t n = strlen(s), len, w, used = 0;
	bool cut = conn_view_columns(s) > width;
	size_t room = cut && width > 2 ? width - 2 : width;
	enum mg_err r = MG_ERR_OK;
	uint32_t cp;

	for (; n > 0 && r == MG_ERR_OK; s += len, n -= len) {
		if ((len = mg_utf8_next(s, n, &cp)) == 0)
			return MG_ERR_FORMAT; /* it was escaped: cannot be */
		if ((w = char_columns(cp)) > room - used)
			break;
		used += w;
		r = mg_buf_put(b, s, len);
	}
	if (r == MG_ERR_OK && cut && width > 2) {
		used += 2;
		r = mg_buf_put_text(b, "..");
	}
	*usedp = used;
	return r;
}

static enum mg_err
put_blanks(struct mg_buf *b, size_t n)
{
	enum mg_err r = MG_ERR_OK;

	for (; n > 0 && r == MG_ERR_OK; n--)
		r = mg_buf_put_u8(b, ' ');
	return r;
}

static enum mg_err
put_line(
    struct mg_buf *b, const char *const text[NCOLS], const size_t widths[NCOLS])
{
	size_t used, pad = 0;
	enum mg_err r = MG_ERR_OK;
	int c;

	for (c = NUMBER; c < NCOLS && r == MG_ERR_OK; c++) {
		if (widths[c] == 0)
			continue;
		if ((r = put_blanks(b, pad)) != MG_ERR_OK ||
		    (r = put_cut(b, text[c], widths[c], &used)) != MG_ERR_OK)
			break;
		pad = widths[c] - used + GAP;
	}
	return r == MG_ERR_OK ? mg_buf_put_u8(b, '\n') : r;
}

static void
natural_widths(
    const struct conn_row *rows, size_t n, bool numbered, size_t widths[NCOLS])
{
	char buf[16];
	size_t i, w;
	int c;

	for (c = NUMBER; c < NCOLS; c++) {
		widths[c] = 0;
		if (c == NUMBER && !numbered)
			continue;
		widths[c] = strlen(cols[c].title);
		for (i = 0; i < n; i++) {
			w = conn_view_columns(
			    cell(&rows[i], (enum col)c, i + 1, buf));
			if (w > widths[c])
				widths[c] = w;
		}
	}
}

static size_t
total(const size_t widths[NCOLS])
{
	size_t sum = 0;
	int c;

	for (c = NUMBER; c < NCOLS; c++)
		if (widths[c] > 0)
			sum += widths[c] + (sum > 0 ? GAP : 0);
	return sum;
}

/* Takes from the widest until it fits; false when it cannot. */
static bool
shrink(size_t widths[NCOLS], size_t width)
{
	int c, widest;

	while (total(widths) > width) {
		widest = -1;
		for (c = NUMBER; c < NCOLS; c++)
			if (cols[c].may_shrink && widths[c] > CELL_MIN &&
			    (widest == -1 || widths[c] > widths[widest]))
				widest = c;
		if (widest == -1)
			return false;
		widths[widest]--;
	}
	return true;
}

/* Appends a line cut to width (0: no limit). */
static enum mg_err
put_short(struct mg_buf *b, const char *s, unsigned width)
{
	size_t used;
	enum mg_err r;

	r = put_cut(b, s, width == 0 ? strlen(s) + 1 : width, &used);
	return r == MG_ERR_OK ? mg_buf_put_u8(b, '\n') : r;
}

/* A few short lines a request, for a narrow terminal. */
static enum mg_err
put_stacked(
    struct mg_buf *b, const struct conn_row *row, size_t number, unsigned width)
{
	char line[600], front[24] = "";
	enum mg_err r;

	if (number > 0)
		snprintf(front, sizeof(front), "%zu  ", number);
	snprintf(line, sizeof(line), "%s%s  %s left, %s old", front, row->code,
	    row->left, row->age);
	if ((r = put_short(b, line, width)) != MG_ERR_OK)
		return r;
	snprintf(line, sizeof(line), "  %s %s", row->operation, row->model);
	if ((r = put_short(b, line, width)) != MG_ERR_OK)
		return r;
	snprintf(line, sizeof(line), "  %s on %s", row->requester, row->host);
	if ((r = put_short(b, line, width)) != MG_ERR_OK)
		return r;
	snprintf(line, sizeof(line), "  asked of you: %s", row->asked);
	return put_short(b, line, width);
}

enum mg_err
conn_view_table(struct mg_buf *b, const struct conn_row *rows, size_t n,
    unsigned width, bool numbered)
{
	size_t widths[NCOLS], i;
	const char *text[NCOLS];
	enum mg_err r = MG_ERR_OK;
	char buf[16];
	int c;

	natural_widths(rows, n, numbered, widths);
	if (width != 0 &&
	    (width < CONN_WIDTH_NARROW || !shrink(widths, width))) {
		for (i = 0; i < n && r == MG_ERR_OK; i++)
			r = put_stacked(
			    b, &rows[i], numbered ? i + 1 : 0, width);
		return r;
	}
	for (c = NUMBER; c < NCOLS; c++)
		text[c] = cols[c].title;
	r = put_line(b, text, widths);
	for (i = 0; i < n && r == MG_ERR_OK; i++) {
		for (c = NUMBER; c < NCOLS; c++)
			text[c] = cell(&rows[i], (enum col)c, i + 1, buf);
		r = put_line(b, text, widths);
	}
	return r;
}

/* ---- one page ---- */

#define KEY_COLUMNS 14

/* "key  value", wrapped at width with the value's column kept. */
static enum mg_err
put_field(
    struct mg_buf *b, const char *key, const char *v, size_t n, unsigned width)
{
	size_t room, used = 0, len, w;
	enum mg_err r;
	uint32_t cp;

	room = width > KEY_COLUMNS + 10 ? width - KEY_COLUMNS : SIZE_MAX;
	if ((r = mg_buf_putf(b, "%-*s", KEY_COLUMNS, key)) != MG_ERR_OK)
		return r;
	for (; n > 0 && r == MG_ERR_OK; v += len, n -= len) {
		if ((len = mg_utf8_next(v, n, &cp)) == 0)
			return MG_ERR_FORMAT;
		w = char_columns(cp);
		if (w > room - used) {
			used = 0;
			if ((r = mg_buf_put_u8(b, '\n')) != MG_ERR_OK ||
			    (r = put_blanks(b, KEY_COLUMNS)) != MG_ERR_OK)
				return r;
		}
		used += w;
		r = mg_buf_put(b, v, len);
	}
	return r == MG_ERR_OK ? mg_buf_put_u8(b, '\n') : r;
}

static enum mg_err
put_words(struct mg_buf *b, const char *key, const char *v, unsigned width)
{
	struct mg_buf esc;
	enum mg_err r;

	mg_buf_init(&esc, MG_TEXT_MAX);
	r = mg_esc_put(&esc, v, strlen(v), NULL); /* Rule 1 */
	if (r == MG_ERR_OK)
		r = put_field(b, key, (const char *)mg_buf_ptr(&esc),
		    mg_buf_len(&esc), width);
	mg_buf_fini(&esc);
	return r;
}

/* Rule 2 */
static enum mg_err
put_body(struct mg_buf *b, const char *body, unsigned width)
{
	const char *p = body, *nl, *colon;
	char key[KEY_COLUMNS + 1];
	enum mg_err r = MG_ERR_OK;
	size_t klen;

	if (mg_text_check_body(body, strlen(body)) != MG_ERR_OK)
		return mg_buf_put_text(b, "(malformed)\n");
	for (; r == MG_ERR_OK && (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
		colon = strchr(p, ':'); /* the check saw it */
		klen = (size_t)(colon - p);
		if (klen >= sizeof(key) - 1)
			klen = sizeof(key) - 2;
		memcpy(key, p, klen);
		key[klen] = '\0';
		r = put_field(
		    b, key, colon + 2, (size_t)(nl - colon) - 2, width);
	}
	return r;
}

/* Who has agreed in a role, with commas; how many. */
static unsigned
agreed_in(
    const struct mg_conn_item *m, const char *role, char *out, size_t size)
{
	size_t i, used = 0;
	unsigned n = 0;

	out[0] = '\0';
	for (i = 0; i + 1 < m->agreed_n; i += 2) {
		if (strcmp(m->agreed[i], role) != 0)
			continue;
		n++;
		if (used + strlen(m->agreed[i + 1]) + 3 > size)
			continue;
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		    used > 0 ? ", " : "", m->agreed[i + 1]);
	}
	return n;
}

static enum mg_err
put_needs(struct mg_buf *b, const struct mg_conn_item *m, unsigned width)
{
	char who[256], line[1400];
	enum mg_err r = MG_ERR_OK;
	const char *asked;
	unsigned n;
	size_t i;

	for (i = 0; i + 2 < m->need_n && r == MG_ERR_OK; i += 3) {
		n = agreed_in(m, m->need[i], who, sizeof(who));
		asked = m->need[i + 2];
		if (n >= strtoul(m->need[i + 1], NULL, 10))
			asked = NULL; /* who has agreed is not asked again */
		else if (asked[0] == '\0')
			asked = "nobody";
		snprintf(line, sizeof(line), "%u of %.16s %.96s%s%s%s%.1000s",
		    n, m->need[i + 1], m->need[i], n > 0 ? ": " : "", who,
		    asked == NULL ? "" : "; asked: ",
		    asked == NULL ? "" : asked);
		r = put_words(b, i == 0 ? "agreed" : "", line, width);
	}
	return r;
}

/* Nobody shall take what has happened for what is asked. */
static enum mg_err
put_review(struct mg_buf *b, const struct mg_conn_item *m, unsigned width)
{
	char line[160];

	if (m->review[0] == '\0')
		return MG_ERR_OK;
	snprintf(line, sizeof(line),
	    "this has run already: it broke the glass%s; what you sign is "
	    "what you say of it",
	    strcmp(m->review, "tokens") == 0 ? " with sealed tokens" : "");
	return put_words(b, "review", line, width);
}

enum mg_err
conn_view_page(struct mg_buf *b, const struct mg_conn_item *m, const char *name,
    unsigned width, int64_t now_ms)
{
	char line[800], left[16], age[16], roles[200];
	enum mg_err r;

	conn_view_time((int64_t)m->left_ms, left);
	conn_view_time(now_ms - m->filed_ms, age);
	if ((r = put_body(b, m->body, width)) != MG_ERR_OK)
		return r;
	if (m->ended)
		snprintf(line, sizeof(line), "%s (ended)", m->state);
	else
		snprintf(line, sizeof(line), "%s, %s left, filed %s ago%s",
		    m->state, left, age,
		    m->host_up ? "" : "; the host is not connected now");
	if ((r = put_words(b, "state", line, width)) != MG_ERR_OK ||
	    (r = put_review(b, m, width)) != MG_ERR_OK ||
	    (r = put_needs(b, m, width)) != MG_ERR_OK)
		return r;
	roles_of(m, name, roles, sizeof(roles));
	if (m->decision[0] != '\0')
		snprintf(line, sizeof(line), "%s, %s%s%s", m->decision,
		    judged_word(m), m->verdict[0] == '\0' ? "" : ": ",
		    m->verdict);
	else if (roles[0] != '\0')
		snprintf(line, sizeof(line), "asked as %s", roles);
	else
		snprintf(line, sizeof(line), "nothing is asked");
	return put_words(b, "you", line, width);
}

/* ---- JSON ---- */

static void
json_names(struct mg_json *j, const char *key, const char *list)
{
	char name[100];
	size_t len;

	mg_json_arr(j, key);
	for (; *list != '\0'; list += len) {
		list += strspn(list, ", ");
		len = strcspn(list, ", ");
		if (len == 0 || len >= sizeof(name))
			continue;
		memcpy(name, list, len);
		name[len] = '\0';
		mg_json_str(j, NULL, name);
	}
	mg_json_arr_end(j);
}

static int64_t
small_number(const char *s)
{
	int64_t v = 0;

	for (; *s >= '0' && *s <= '9' && v < 1000000; s++)
		v = v * 10 + (*s - '0');
	return v;
}

static void
json_needs(struct mg_json *j, const struct mg_conn_item *m)
{
	size_t i;

	mg_json_arr(j, "need");
	for (i = 0; i + 2 < m->need_n; i += 3) {
		mg_json_obj(j, NULL);
		mg_json_str(j, "role", m->need[i]);
		mg_json_int(j, "count", small_number(m->need[i + 1]));
		json_names(j, "candidates", m->need[i + 2]);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
	mg_json_arr(j, "agreed");
	for (i = 0; i + 1 < m->agreed_n; i += 2) {
		mg_json_obj(j, NULL);
		mg_json_str(j, "role", m->agreed[i]);
		mg_json_str(j, "person", m->agreed[i + 1]);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static void
json_own(struct mg_json *j, const struct mg_conn_item *m, const char *name)
{
	static const char *const words[] = {
	    [MG_HUB_UNJUDGED] = "waiting",
	    [MG_HUB_ACCEPTED] = "accepted",
	    [MG_HUB_REFUSED] = "refused",
	};
	char roles[200];

	roles_of(m, name, roles, sizeof(roles));
	json_names(j, "asked_of_you", roles);
	if (m->decision[0] == '\0') {
		mg_json_null(j, "your_decision");
		return;
	}
	mg_json_str(j, "your_decision", m->decision);
	mg_json_str(j, "judged",
	    m->judged <= MG_HUB_REFUSED ? words[m->judged] : "waiting");
	mg_json_str(j, "verdict", m->verdict);
}

void
conn_view_json(
    struct mg_json *j, const struct mg_conn_item *m, const char *name)
{
	char code[MG_CODE_STR] = "", when[MG_TIME_STR];
	struct mg_uuid u;

	if (mg_uuid_parse(m->uuid, &u) == MG_ERR_OK)
		mg_code_from_uuid(&u, code);
	mg_time_format(m->filed_ms, when);
	mg_json_obj(j, NULL);
	mg_json_str(j, "code", code);
	mg_json_str(j, "uuid", m->uuid);
	mg_json_str(j, "host", m->host);
	mg_json_bool(j, "host_connected", m->host_up);
	mg_json_str(j, "requester", m->requester);
	mg_json_str(j, "operation", m->operation);
	mg_json_str(j, "model", m->model);
	mg_json_str(j, "version", m->version);
	mg_json_str(j, "state", m->state);
	mg_json_bool(j, "ended", m->ended);
	if (m->review[0] != '\0')
		mg_json_str(j, "review", m->review);
	mg_json_str(j, "filed", when);
	mg_json_int(j, "left_s", (int64_t)(m->left_ms / 1000));
	json_needs(j, m);
	json_own(j, m, name);
	if (m->body[0] != '\0')
		mg_json_str(j, "body", m->body);
	mg_json_obj_end(j);
}

/* ---- quoting ---- */

static bool
is_simple(const char *s)
{
	size_t i;

	if (s[0] == '\0')
		return false;
	for (i = 0; s[i] != '\0'; i++) {
		if ((s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= '0' && s[i] <= '9') ||
		    strchr("._-,:@%+/", s[i]) != NULL)
			continue;
		/* One blank between two words comes back as it was. */
		if (s[i] == ' ' && i > 0 && s[i - 1] != ' ' && s[i + 1] != '\0')
			continue;
		return false;
	}
	return true;
}

enum mg_err
conn_view_quote(struct mg_buf *b, const char *s)
{
	bool simple = is_simple(s);
	enum mg_err r;

	if ((r = mg_buf_put_text(b, simple ? "'" : "'\"")) != MG_ERR_OK)
		return r;
	for (; *s != '\0' && r == MG_ERR_OK; s++) {
		if (*s == '\'')
			r = mg_buf_put_text(b, "'\\''");
		else if (*s == '"' || *s == '\\')
			r = mg_buf_putf(b, "\\%c", *s);
		else
			r = mg_buf_put_u8(b, (uint8_t)*s);
	}
	return r == MG_ERR_OK ? mg_buf_put_text(b, simple ? "'" : "\"'") : r;
}
