/* SPDX-License-Identifier: ISC */
/*
 * report --html: one page that needs nothing else.
 *
 * Rules
 * 1. Every name and reason in the page was written by somebody: each is
 *    escaped where it is put, and there is no script that it could become:
 *    the page has none, and tells the browser to run and to fetch nothing.
 * 2. What is shown as a colour or a length stands beside it as a number.
 */
#include <stdio.h>
#include <string.h>

#include "led_rep.h"
#include "mg_esc.h"
#include "mg_time.h"

#define ROWS_MAX 12
#define LIST_MAX 200
#define BARS_MAX 92
#define HEIGHT 150.0

/* Rule 1 */
static void
html(const char *s)
{
	char line[2048];

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
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--soft:#5d6670;"
    "--line:#dfe3e8;--card:#f6f8fa;--good:#2563a8;--bad:#b4441c}"
    "@media screen and (prefers-color-scheme:dark){:root{--bg:#14171a;"
    "--fg:#e6e9ec;--soft:#9aa4ae;--line:#2d333a;--card:#1c2126;"
    "--good:#6aa9ec;--bad:#ee8a5f}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:1100px;padding:24px 16px;"
    "background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}"
    "h1{font-size:22px;margin:0;overflow-wrap:anywhere}"
    "h2{font-size:16px;margin:0 0 8px}"
    "p{color:var(--soft);margin:4px 0 20px}"
    ".n{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));"
    "gap:10px;margin:0 0 12px}"
    ".n div,section{background:var(--card);border:1px solid var(--line);"
    "border-radius:8px;padding:12px;min-width:0}"
    ".n div{display:flex;flex-direction:column-reverse;"
    "justify-content:flex-end}"
    ".n dd{margin:0;font-size:22px;font-weight:600}"
    ".n dt{color:var(--soft);font-size:13px}"
    "section{margin-bottom:12px}"
    ".g{display:grid;align-items:start;gap:0 12px;grid-template-columns:"
    "repeat(auto-fit,minmax(min(100%,320px),1fr))}"
    "table{width:100%;border-collapse:collapse}"
    "th,td{padding:3px 8px 3px 0;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere;font-weight:inherit}"
    "thead th{color:var(--soft);font-size:13px}"
    ".t th{width:42%}.t .v{width:84px;padding-right:0;text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".b{display:flex;height:12px;margin-top:5px}"
    ".b i{background:var(--good)}.b i+i{background:var(--bad)}"
    "svg{width:100%;height:150px;display:block}"
    ".k{color:var(--soft);font-size:13px;margin:6px 0 0}"
    ".k i{display:inline-block;width:10px;height:10px;margin:0 4px 0 8px}"
    ".l{table-layout:fixed}.l th:nth-child(1){width:150px}"
    ".l th:nth-child(2){width:15%}.l th:nth-child(3){width:25%}"
    ".l th:nth-child(5){width:18%}"
    ".l td{border-top:1px solid var(--line)}.l small{color:var(--soft)}"
    ".l td:first-child{white-space:nowrap;"
    "font-variant-numeric:tabular-nums}"
    ".x{color:var(--bad)}"
    "@media(max-width:640px){.l thead{display:none}"
    ".l tr{display:block;border-top:1px solid var(--line);padding:6px 0}"
    ".l td{display:block;border:0;padding:0}}"
    "@media print{body{max-width:none;padding:0;font-size:11px}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "section,.l tr{break-inside:avoid}.w{break-inside:auto}}";

static void
number(const char *label, const char *fmt, double v)
{
	char text[40];

	snprintf(text, sizeof(text), "%.*f%s", fmt[0] - '0', v, fmt + 1);
	printf("<div><dt>%s</dt><dd>%s</dd></div>", label, text);
}

/* A time; nothing was measured when n is 0. */
static void
measure(const char *label, const int64_t *v, size_t n, unsigned p, double per_s)
{
	char text[40] = "&ndash;";

	if (n > 0)
		rep_time((double)rep_percentile(v, n, p) / per_s, text);
	printf("<div><dt>%s</dt><dd>%s</dd></div>", label, text);
}

static void
table(const char *title, const char *bad_word, const struct rep_table *t)
{
	double max = t->n > 0 ? (double)t->v[0].n : 1;
	size_t i;

	printf("<section><h2>%s</h2>", title);
	if (t->n == 0)
		printf("<p class=k>nothing</p>");
	else
		printf("<table class=t><tbody>");
	for (i = 0; i < t->n && i < ROWS_MAX; i++) {
		const struct rep_row *r = &t->v[i];
		unsigned long bad = r->bad < r->n ? r->bad : r->n;

		printf("<tr><th scope=row>");
		html(r->name);
		printf("</th><td><div class=b><i style=\"width:%.1f%%\"></i>"
		       "<i style=\"width:%.1f%%\"></i></div></td>"
		       "<td class=v>%lu",
		    100.0 * (double)(r->n - bad) / max,
		    100.0 * (double)bad / max, r->n);
		if (bad > 0 && bad_word != NULL)
			printf("<br><small class=x>%lu %s</small>", bad,
			    bad_word); /* Rule 2 */
		printf("</td></tr>\n");
	}
	if (t->n > 0)
		printf("</tbody></table>");
	if (t->n > i)
		printf("<p class=k>and %zu more</p>", t->n - i);
	printf("</section>\n");
}

static void
rules(const struct rep *rp)
{
	size_t i;

	if (!rp->has_rules)
		return;
	printf("<section><h2>Rules that nobody used</h2>");
	if (rp->nrules == 0)
		printf("<p class=k>nothing</p>");
	else
		printf("<table class=t><tbody>");
	for (i = 0; i < rp->nrules && i < ROWS_MAX; i++) {
		printf("<tr><th scope=row>");
		html(rp->rules[i].name);
		printf("</th><td class=k>");
		html(rp->rules[i].where);
		printf("</td></tr>\n");
	}
	if (rp->nrules > 0)
		printf("</tbody></table>");
	if (rp->nrules > i)
		printf("<p class=k>and %zu more</p>", rp->nrules - i);
	printf("</section>\n");
}

/* Days from..to as one bar, what was refused at its foot. */
static void
bar(const struct rep *rp, size_t from, size_t to, double max, double x,
    double w)
{
	char day[MG_TIME_STR];
	struct rep_day sum = {0};
	double h, bad;
	size_t i;

	for (i = from; i < to; i++) {
		sum.n += rp->days[i].n;
		sum.bad += rp->days[i].bad;
	}
	if (sum.n == 0)
		return;
	if (sum.bad > sum.n)
		sum.bad = sum.n;
	h = (HEIGHT - 4) * (double)sum.n / max;
	bad = (HEIGHT - 4) * (double)sum.bad / max;
	mg_time_format(rp->since_ms + (int64_t)from * REP_DAY_MS, day);
	printf("<g><title>%.10s: %lu, %lu refused</title>"
	       "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
	       "fill=\"var(--good)\"/><rect x=\"%.1f\" y=\"%.1f\" "
	       "width=\"%.1f\" height=\"%.1f\" fill=\"var(--bad)\"/></g>",
	    day, sum.n, sum.bad, x, HEIGHT - h, w, h - bad, x, HEIGHT - bad, w,
	    bad);
}

static unsigned long
highest(const struct rep *rp, size_t step)
{
	unsigned long max = 1, n = 0;
	size_t i;

	for (i = 0; i < rp->ndays; i++) {
		n = (i % step == 0 ? 0 : n) + rp->days[i].n;
		if (n > max)
			max = n;
	}
	return max;
}

static void
days(const struct rep *rp)
{
	size_t step = (rp->ndays + BARS_MAX - 1) / BARS_MAX, i, nth = 0;
	size_t bars = (rp->ndays + step - 1) / step;
	double w = 1000.0 / (double)(bars > 20 ? bars : 20);
	unsigned long max = highest(rp, step);

	printf("<section><h2>Requests ");
	if (step == 1)
		printf("a day</h2>");
	else
		printf("in %zu days each</h2>", step);
	printf("<svg viewBox=\"0 0 1000 150\" preserveAspectRatio=\"none\" "
	       "role=\"img\" aria-label=\"%zu requests in %zu days, at most "
	       "%lu in a bar of %zu\">",
	    rp->nall, rp->ndays, max, step);
	for (i = 0; i < rp->ndays; i += step)
		bar(rp, i, i + step < rp->ndays ? i + step : rp->ndays,
		    (double)max, w * (double)nth++, w * 0.85);
	printf("</svg><p class=k>The highest bar is %lu."
	       "<i style=\"background:var(--good)\"></i>asked "
	       "<i style=\"background:var(--bad)\"></i>refused or denied</p>"
	       "</section>\n",
	    max);
}

static void
request(const struct rep_req *r)
{
	const char *outcome = rep_outcome(r);
	char at[MG_TIME_STR];
	bool bad = r->refused || r->failed > 0 ||
		   strcmp(outcome, "denied") == 0 ||
		   strcmp(outcome, "revoked") == 0;

	mg_time_format(r->asked_ms, at);
	printf("<tr><td>%.10s %.5s</td><td>", at, at + 11);
	html(r->user);
	printf("</td><td>");
	html(r->what);
	printf("%s", r->model[0] != '\0' ? " " : "");
	html(r->model);
	printf("%s", r->version[0] != '\0' ? "@" : "");
	html(r->version);
	printf("</td><td>");
	html(r->reason);
	printf("</td><td%s>%s", bad ? " class=x" : "", outcome);
	if (r->why[0] != '\0' && strcmp(r->why, outcome) != 0) {
		printf(" <small>");
		html(r->why);
		printf("</small>");
	}
	if (r->approvers[0] != '\0') {
		printf("<br><small>decided by ");
		html(r->approvers);
		printf("</small>");
	}
	printf("</td></tr>\n");
}

static void
list(const struct rep *rp)
{
	size_t n = rp->nall < LIST_MAX ? rp->nall : LIST_MAX, i;

	if (n == 0)
		return;
	printf("<section class=w><h2>");
	if (rp->nall > n)
		printf("The last %zu of %zu requests", n, rp->nall);
	else
		printf("All requests");
	printf("</h2><table class=l><thead><tr><th scope=col>when (UTC)"
	       "<th scope=col>who<th scope=col>what<th scope=col>why"
	       "<th scope=col>outcome</tr></thead><tbody>\n");
	for (i = rp->nall; i > rp->nall - n; i--)
		request(rp->all[i - 1]);
	printf("</tbody></table></section>\n");
}

static void
numbers(const struct rep *rp)
{
	printf("<dl class=n>");
	number("requests", "0", (double)rp->nall);
	number("refused or denied", "1 %", rep_refusal_rate(rp));
	number("granted", "0", (double)rp->granted);
	number("runs", "0", (double)rp->runs);
	number("runs that failed", "0", (double)rp->failed);
	measure("median to approve", rp->approve_ms, rp->napprove, 50, 1e3);
	measure("90 % approved within", rp->approve_ms, rp->napprove, 90, 1e3);
	measure("median to revoke", rp->revoke_us, rp->nrevoke, 50, 1e6);
	number("grants never used", "0", (double)rp->nunused);
	number("wrong codes", "0", (double)rp->wrong_codes);
	printf("</dl>\n");
}

void
rep_html(const struct rep *rp)
{
	char text[80];

	rep_period(rp, text);
	printf("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
	       "<meta name=viewport content=\"width=device-width,"
	       "initial-scale=1\"><meta http-equiv="
	       "Content-Security-Policy content=\"default-src 'none'; "
	       "style-src 'unsafe-inline'\"><title>modelgate report</title>"
	       "<style>%s</style></head>\n<body><main><h1>modelgate on ",
	    style);
	html(rp->host);
	printf("</h1><p>%s%s</p>\n", text,
	    rp->nall == 0 ? ": nobody asked for anything" : "");
	numbers(rp);
	if (rp->nall > 0)
		days(rp);
	printf("<div class=g>");
	table("People", "refused", &rp->users);
	table("Operations", "refused", &rp->what);
	table("Models", "refused", &rp->models);
	table("Approvers", "no", &rp->approvers);
	table("Granted and never used", NULL, &rp->unused);
	rules(rp);
	table("Why not", NULL, &rp->why);
	printf("</div>\n");
	list(rp);
	printf("</main></body></html>\n");
}
