/* SPDX-License-Identifier: ISC */
/*
 * report: who did what in a period, and how well it went, as text, JSON or
 * one HTML page that needs nothing else.
 *
 * Rules
 * 1. Every name and reason in the page was written by somebody: each is
 *    escaped where it is put, and there is no script that it could become.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "led.h"
#include "mg_client.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_time.h"

#define KEYS_MAX 512 /* different ones in a table; the rest is "others" */
#define BUCKETS 65536
#define DAY_MS 86400000LL
#define DAYS_MAX 366

/* One request. */
struct req {
	struct req *next;
	char uuid[MG_UUID_STR];
	char *user, *what, *model;
	int64_t asked_ms, granted_ms;
	unsigned runs;
	bool refused;
	char state[16];
};

struct row {
	char name[200];
	unsigned long n, bad; /* bad: refused or denied */
};

struct table {
	struct row v[KEYS_MAX];
	size_t n;
};

struct report {
	int64_t since_ms, until_ms;
	struct req *buckets[BUCKETS];
	struct table users, what, models, why, approvers, days;
	unsigned long asked, refused, denied, granted, runs, failed, unused;
	unsigned long wrong_codes, rejected;
	int64_t *approve_ms, *revoke_us;
	size_t napprove, nrevoke;
};

/* ---- counting ---- */

static struct row *
row_of(struct table *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i].name, name) == 0)
			return &t->v[i];
	if (t->n == KEYS_MAX - 1)
		name = "others";
	if (t->n == KEYS_MAX)
		return &t->v[KEYS_MAX - 1];
	snprintf(t->v[t->n].name, sizeof(t->v[0].name), "%s", name);
	return &t->v[t->n++];
}

static void
count(struct table *t, const char *name, bool bad)
{
	struct row *r;

	if (name[0] == '\0')
		return;
	r = row_of(t, name);
	r->n++;
	r->bad += bad;
}

static struct req **
place_of(struct report *rp, const char *uuid)
{
	uint32_t h = 2166136261U;
	const char *p;
	struct req **q;

	for (p = uuid; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619U;
	q = &rp->buckets[h % BUCKETS];
	while (*q != NULL && strcmp((*q)->uuid, uuid) != 0)
		q = &(*q)->next;
	return q;
}

static bool
push(int64_t **v, size_t *n, int64_t x)
{
	int64_t *w;

	if ((*n & (*n - 1)) == 0) { /* a power of two: full */
		w = reallocarray(*v, *n == 0 ? 1 : 2 * *n, sizeof(**v));
		if (w == NULL)
			return false;
		*v = w;
	}
	(*v)[(*n)++] = x;
	return true;
}

static void
new_request(
    struct report *rp, const struct mg_rec *rec, int64_t at, bool refused)
{
	const char *user = mg_rec_str(rec, "user", "");
	const char *what = mg_rec_str(rec, "operation", "");
	const char *model = mg_rec_str(rec, "model", "");
	struct req **q = place_of(rp, mg_rec_str(rec, "uuid", "")), *r;
	char day[MG_TIME_STR];

	if (*q != NULL || (r = calloc(1, sizeof(*r))) == NULL)
		return;
	snprintf(r->uuid, sizeof(r->uuid), "%s", mg_rec_str(rec, "uuid", ""));
	r->user = strdup(user);
	r->what = strdup(what);
	r->model = strdup(model);
	r->asked_ms = at;
	r->refused = refused;
	*q = r;
	rp->asked++;
	rp->refused += refused;
	count(&rp->users, user, refused);
	count(&rp->what, what, refused);
	count(&rp->models, model, refused);
	if (refused)
		count(&rp->why, mg_rec_str(rec, "why", ""), true);
	mg_time_format(at, day);
	day[10] = '\0';
	count(&rp->days, day, refused);
}

static void
end_request(struct report *rp, struct req *r, const struct mg_rec *rec)
{
	snprintf(
	    r->state, sizeof(r->state), "%s", mg_rec_str(rec, "state", ""));
	if (strcmp(r->state, "denied") == 0) {
		rp->denied++;
		row_of(&rp->users, r->user)->bad++;
		row_of(&rp->what, r->what)->bad++;
		if (r->model[0] != '\0')
			row_of(&rp->models, r->model)->bad++;
		count(&rp->why, mg_rec_str(rec, "why", ""), true);
	}
	if (r->granted_ms != 0 && r->runs == 0)
		rp->unused++;
}

static void
take(struct report *rp, const struct mg_rec *rec)
{
	const char *type = mg_rec_str(rec, "type", "");
	struct req *r = *place_of(rp, mg_rec_str(rec, "uuid", ""));
	int64_t at = 0;

	(void)!mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at);
	if (strcmp(type, "request") == 0 || strcmp(type, "refused") == 0) {
		new_request(rp, rec, at, type[2] == 'f');
	} else if (strcmp(type, "decision") == 0) {
		count(&rp->approvers, mg_rec_str(rec, "approver", ""),
		    strcmp(mg_rec_str(rec, "decision", ""), "deny") == 0);
	} else if (strcmp(type, "rejected") == 0) {
		rp->rejected++;
	} else if (strcmp(type, "mfa") == 0) {
		rp->wrong_codes += !mg_rec_bool(rec, "ok");
	} else if (strcmp(type, "grant") == 0 && r != NULL) {
		rp->granted++;
		r->granted_ms = at;
		(void)!push(&rp->approve_ms, &rp->napprove, at - r->asked_ms);
	} else if (strcmp(type, "run") == 0 && r != NULL) {
		rp->runs++;
		r->runs++;
	} else if (strcmp(type, "exit") == 0) {
		rp->failed += mg_rec_int(rec, "value", 0) != 0;
	} else if (strcmp(type, "empty") == 0 && mg_rec_has(rec, "why")) {
		(void)!push(&rp->revoke_us, &rp->nrevoke,
		    mg_rec_int(rec, "took_us", 0));
	} else if (strcmp(type, "end") == 0 && r != NULL) {
		end_request(rp, r, rec);
	}
}

static int
by_count(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int
by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
sort_all(struct report *rp)
{
	struct table *t[] = {
	    &rp->users, &rp->what, &rp->models, &rp->why, &rp->approvers};
	size_t i;

	for (i = 0; i < 5; i++)
		qsort(t[i]->v, t[i]->n, sizeof(t[i]->v[0]), by_count);
	qsort(rp->days.v, rp->days.n, sizeof(rp->days.v[0]), by_name);
	if (rp->napprove > 1)
		qsort(rp->approve_ms, rp->napprove, sizeof(int64_t), by_number);
	if (rp->nrevoke > 1)
		qsort(rp->revoke_us, rp->nrevoke, sizeof(int64_t), by_number);
}

static int64_t
percentile(const int64_t *v, size_t n, unsigned p)
{
	return n == 0 ? 0 : v[(n - 1) * p / 100];
}

/* ---- from the agent ---- */

static bool
read_pipe(struct report *rp, int fd)
{
	struct mg_lines *lines = mg_lines_new(fd, false);
	struct mg_rec rec;
	const char *line;
	enum mg_err r;
	size_t n;

	if (lines == NULL)
		return false;
	mg_rec_init(&rec);
	while ((r = mg_lines_next(lines, &line, &n)) == MG_ERR_OK)
		if (mg_rec_parse(&rec, line, n) == MG_ERR_OK)
			take(rp, &rec);
	mg_rec_fini(&rec);
	mg_lines_free(lines);
	return r == MG_ERR_NOENT;
}

static int
ask_agent(struct led *led, struct report *rp)
{
	struct mg_log_req q = {
	    .since_ms = rp->since_ms, .until_ms = rp->until_ms};
	struct mg_refused refused;
	struct mg_chan *ch;
	struct mg_frame f;
	int p[2], status = 0;
	bool whole;

	if (mg_client_connect(MG_CLIENT_SOCKET, 5000, &ch) != MG_ERR_OK)
		return led_fail(led, "the agent cannot be reached");
	memset(&f, 0, sizeof(f));
	if (pipe(p) != 0 || mg_chan_send_fds(ch, 1, MG_MSG_LOG_REQ, &q, &p[1],
				1) != MG_ERR_OK) {
		mg_chan_free(ch);
		return led_fail(led, "the agent cannot be asked");
	}
	close(p[1]);
	whole = read_pipe(rp, p[0]);
	if (mg_chan_wait(ch, 10000, &f) != MG_ERR_OK || !whole)
		status = led_fail(led, "the listing was cut short");
	else if (f.op == MG_MSG_REFUSED &&
		 mg_frame_decode(&f, &refused, sizeof(refused)) == MG_ERR_OK)
		status = led_fail(led, "refused: %s", refused.text);
	mg_chan_free(ch);
	return status;
}

/* ---- text and JSON ---- */

static void
text_table(const char *title, const struct table *t, const char *bad)
{
	char name[512];
	size_t i;

	if (t->n == 0)
		return;
	printf("\n%s\n", title);
	for (i = 0; i < t->n && i < 10; i++) {
		mg_esc_line(t->v[i].name, name, sizeof(name));
		printf("  %-32s %7lu", name, t->v[i].n);
		if (bad != NULL && t->v[i].bad > 0)
			printf("  %lu %s", t->v[i].bad, bad);
		printf("\n");
	}
}

static void
period(const struct report *rp, char out[80])
{
	char a[MG_TIME_STR], b[MG_TIME_STR];

	mg_time_format(rp->since_ms, a);
	mg_time_format(rp->until_ms, b);
	snprintf(out, 80, "%.16s to %.16s UTC", a, b);
}

static void
print_text(const struct report *rp)
{
	char text[80];

	period(rp, text);
	printf("modelgate, %s\n\n", text);
	printf("  requests %lu, refused %lu, denied %lu, granted %lu, runs %lu "
	       "(%lu failed)\n",
	    rp->asked, rp->refused, rp->denied, rp->granted, rp->runs,
	    rp->failed);
	printf("  time to approve: median %.1f s, 90 %% within %.1f s\n",
	    (double)percentile(rp->approve_ms, rp->napprove, 50) / 1e3,
	    (double)percentile(rp->approve_ms, rp->napprove, 90) / 1e3);
	if (rp->nrevoke > 0)
		printf("  time to revoke: median %.1f ms, 90 %% within %.1f "
		       "ms\n",
		    (double)percentile(rp->revoke_us, rp->nrevoke, 50) / 1e3,
		    (double)percentile(rp->revoke_us, rp->nrevoke, 90) / 1e3);
	printf("  granted and never used: %lu; wrong codes: %lu; decisions "
	       "that did not count: %lu\n",
	    rp->unused, rp->wrong_codes, rp->rejected);
	text_table("people", &rp->users, "refused");
	text_table("operations", &rp->what, "refused");
	text_table("models", &rp->models, "refused");
	text_table("approvers", &rp->approvers, "times no");
	text_table("why not", &rp->why, NULL);
}

static void
json_table(struct mg_json *j, const char *key, const struct table *t)
{
	size_t i;

	mg_json_arr(j, key);
	for (i = 0; i < t->n; i++) {
		mg_json_obj(j, NULL);
		mg_json_str(j, "name", t->v[i].name);
		mg_json_int(j, "count", (int64_t)t->v[i].n);
		mg_json_int(j, "refused", (int64_t)t->v[i].bad);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static void
print_json(const struct report *rp)
{
	char a[MG_TIME_STR], b[MG_TIME_STR];
	struct mg_buf buf;
	struct mg_json j;
	const char *s;

	mg_time_format(rp->since_ms, a);
	mg_time_format(rp->until_ms, b);
	mg_buf_init(&buf, (size_t)1 << 24);
	mg_json_begin(&j, &buf);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "since", a);
	mg_json_str(&j, "until", b);
	mg_json_int(&j, "requests", (int64_t)rp->asked);
	mg_json_int(&j, "refused", (int64_t)rp->refused);
	mg_json_int(&j, "denied", (int64_t)rp->denied);
	mg_json_int(&j, "granted", (int64_t)rp->granted);
	mg_json_int(&j, "runs", (int64_t)rp->runs);
	mg_json_int(&j, "failed", (int64_t)rp->failed);
	mg_json_int(&j, "unused", (int64_t)rp->unused);
	mg_json_int(&j, "wrong_codes", (int64_t)rp->wrong_codes);
	mg_json_int(&j, "approve_ms_median",
	    percentile(rp->approve_ms, rp->napprove, 50));
	mg_json_int(
	    &j, "approve_ms_p90", percentile(rp->approve_ms, rp->napprove, 90));
	mg_json_int(
	    &j, "revoke_us_median", percentile(rp->revoke_us, rp->nrevoke, 50));
	json_table(&j, "people", &rp->users);
	json_table(&j, "operations", &rp->what);
	json_table(&j, "models", &rp->models);
	json_table(&j, "approvers", &rp->approvers);
	json_table(&j, "why", &rp->why);
	json_table(&j, "days", &rp->days);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (s = mg_buf_cstr(&buf)) != NULL)
		printf("%s\n", s);
	mg_buf_fini(&buf);
}

/* ---- HTML ---- */

/* Rule 1 */
static void
html(const char *s)
{
	char line[1024];

	mg_esc_line(s, line, sizeof(line));
	for (s = line; *s != '\0'; s++)
		switch (*s) {
		case '<':
			printf("&lt;");
			break;
		case '>':
			printf("&gt;");
			break;
		case '&':
			printf("&amp;");
			break;
		case '"':
			printf("&quot;");
			break;
		default:
			putchar(*s);
		}
}

static const char style[] =
    ":root{--bg:#fff;--fg:#1c2024;--soft:#5d6670;--line:#dfe3e8;"
    "--card:#f6f8fa;--good:#2563a8;--bad:#b4441c}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;"
    "--soft:#9aa4ae;--line:#2d333a;--card:#1c2126;--good:#6aa9ec;"
    "--bad:#ee8a5f}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1100px;"
    "padding:24px 16px;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,sans-serif}h1{font-size:22px;margin:0}"
    "h2{font-size:16px;margin:0 0 8px}p{color:var(--soft);margin:4px 0 20px}"
    ".n{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));"
    "gap:10px;margin-bottom:16px}.n div,section{background:var(--card);"
    "border:1px solid var(--line);border-radius:8px;padding:12px}"
    ".n b{display:block;font-size:22px}.n span{color:var(--soft);"
    "font-size:13px}.g{display:grid;align-items:start;gap:12px;grid-template-"
    "columns:"
    "repeat(auto-fit,minmax(min(100%,320px),1fr))}table{width:100%;"
    "border-collapse:collapse}td{padding:3px 0;vertical-align:middle}"
    "td:first-child{max-width:0;width:42%;overflow:hidden;"
    "text-overflow:ellipsis;white-space:nowrap;padding-right:8px}"
    "td:last-child{text-align:right;width:70px;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".b{display:flex;height:12px}.b i{background:var(--good);display:block}"
    ".b i+i{background:var(--bad)}svg{width:100%;height:150px;display:block}"
    ".k{color:var(--soft);font-size:13px;margin:6px 0 0}"
    ".k i{display:inline-block;width:10px;height:10px;margin-right:4px}";

static void
html_number(const char *label, int decimals, const char *unit, double v)
{
	printf("<div><b>%.*f%s</b><span>%s</span></div>", decimals, v, unit,
	    label);
}

static void
html_table(const char *title, const struct table *t)
{
	double max = t->n > 0 ? (double)t->v[0].n : 1;
	size_t i;

	printf("<section><h2>%s</h2><table>", title);
	for (i = 0; i < t->n && i < 12; i++) {
		const struct row *r = &t->v[i];
		unsigned long bad = r->bad < r->n ? r->bad : r->n;

		printf("<tr><td title=\"");
		html(r->name);
		printf("\">");
		html(r->name);
		printf("</td><td><div class=b><i style=\"width:%.1f%%\"></i>"
		       "<i style=\"width:%.1f%%\"></i></div></td><td>%lu",
		    100.0 * (double)(r->n - bad) / max,
		    100.0 * (double)bad / max, r->n);
		if (bad > 0)
			printf(" (%lu)", bad);
		printf("</td></tr>");
	}
	if (t->n == 0)
		printf("<tr><td>nothing</td><td></td><td></td></tr>");
	printf("</table></section>\n");
}

/* A bar a day, what was refused on top. */
static void
html_days(const struct report *rp)
{
	const struct table *t = &rp->days;
	size_t from = t->n > DAYS_MAX ? t->n - DAYS_MAX : 0, i;
	double max = 1, w, h, bad;

	for (i = from; i < t->n; i++)
		if ((double)t->v[i].n > max)
			max = (double)t->v[i].n;
	w = 1000.0 / (double)(t->n - from > 20 ? t->n - from : 20);
	printf("<section><h2>Requests a day</h2><svg viewBox=\"0 0 1000 150\" "
	       "preserveAspectRatio=\"none\" role=\"img\" aria-label=\""
	       "requests a day\">");
	for (i = from; i < t->n; i++) {
		h = 146 * (double)t->v[i].n / max;
		bad = 146 * (double)t->v[i].bad / max;
		printf("<g><title>%s: %lu, %lu refused</title><rect x=\"%.1f\" "
		       "y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
		       "fill=\"var(--good)\"/><rect x=\"%.1f\" y=\"%.1f\" "
		       "width=\"%.1f\" height=\"%.1f\" fill=\"var(--bad)\"/>"
		       "</g>",
		    t->v[i].name, t->v[i].n, t->v[i].bad,
		    w * (double)(i - from), 150 - h, w * 0.85, h,
		    w * (double)(i - from), 150 - h, w * 0.85, bad);
	}
	printf("</svg><div class=k>");
	if (t->n > 0)
		printf("%s to %s, at most %.0f a day. ", t->v[from].name,
		    t->v[t->n - 1].name, max);
	printf("<i style=\"background:var(--good)\"></i>asked "
	       "<i style=\"background:var(--bad)\"></i>refused</div>"
	       "</section>\n");
}

static void
print_html(const struct report *rp)
{
	double rate = rp->asked == 0
			  ? 0
			  : 100.0 * (double)(rp->refused + rp->denied) /
				(double)rp->asked;
	char text[80];

	period(rp, text);
	printf("<!DOCTYPE html>\n<html lang=en><meta charset=utf-8>"
	       "<meta name=viewport content=\"width=device-width,"
	       "initial-scale=1\"><meta http-equiv="
	       "Content-Security-Policy content=\"default-src 'none'; "
	       "style-src 'unsafe-inline'\"><title>modelgate report</title>"
	       "<style>%s</style>\n<h1>modelgate report</h1><p>%s</p>\n",
	    style, text);
	printf("<div class=n>");
	html_number("requests", 0, "", (double)rp->asked);
	html_number("refused or denied", 1, " %", rate);
	html_number("granted", 0, "", (double)rp->granted);
	html_number("runs", 0, "", (double)rp->runs);
	html_number("runs that failed", 0, "", (double)rp->failed);
	html_number("median to approve", 1, " s",
	    (double)percentile(rp->approve_ms, rp->napprove, 50) / 1e3);
	html_number("90 % approved within", 1, " s",
	    (double)percentile(rp->approve_ms, rp->napprove, 90) / 1e3);
	html_number("median to revoke", 1, " ms",
	    (double)percentile(rp->revoke_us, rp->nrevoke, 50) / 1e3);
	html_number("grants never used", 0, "", (double)rp->unused);
	html_number("wrong codes", 0, "", (double)rp->wrong_codes);
	printf("</div>\n");
	html_days(rp);
	printf("<p></p><div class=g>");
	html_table("People", &rp->users);
	html_table("Operations", &rp->what);
	html_table("Models", &rp->models);
	html_table("Approvers", &rp->approvers);
	html_table("Why not", &rp->why);
	printf("</div></html>\n");
}

/* ---- all of it ---- */

static void
report_free(struct report *rp)
{
	struct req *r;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		while ((r = rp->buckets[i]) != NULL) {
			rp->buckets[i] = r->next;
			free(r->user);
			free(r->what);
			free(r->model);
			free(r);
		}
	free(rp->approve_ms);
	free(rp->revoke_us);
	free(rp);
}

int
led_report(struct led *led, const char *what)
{
	struct report *rp = calloc(1, sizeof(*rp));
	int64_t now = mg_time_wall_ms();
	int status;

	(void)what;
	if (rp == NULL)
		return led_fail(led, "out of memory");
	rp->since_ms = now - 30 * DAY_MS;
	rp->until_ms = now;
	status = LED_USAGE;
	if ((led->since != NULL &&
		mg_time_parse(led->since, now, &rp->since_ms) != MG_ERR_OK) ||
	    (led->until != NULL &&
		mg_time_parse(led->until, now, &rp->until_ms) != MG_ERR_OK))
		(void)led_fail(led, "a time is such as 2026-11-22, "
				    "2026-11-22T14:00 or 30d");
	else if ((status = ask_agent(led, rp)) == 0) {
		sort_all(rp);
		if (led->json)
			print_json(rp);
		else if (led->html)
			print_html(rp);
		else
			print_text(rp);
	}
	report_free(rp);
	return status;
}
