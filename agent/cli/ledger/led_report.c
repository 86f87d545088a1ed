/* SPDX-License-Identifier: ISC */
/*
 * report: who did what in a period, when and why, and how well it went, as
 * text, JSON or one HTML page (led_report_html.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "led_rep.h"
#include "mg_client.h"
#include "mg_esc.h"
#include "mg_time.h"

#define DAYS_MAX 40000 /* more than a hundred years */
#define TEXT_LIST_MAX 20
#define JSON_LIST_MAX 10000

/* ---- counting ---- */

static struct rep_row *
row_of(struct rep_table *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i].name, name) == 0)
			return &t->v[i];
	if (t->n == REP_KEYS_MAX - 1)
		name = "others";
	if (t->n == REP_KEYS_MAX)
		return &t->v[REP_KEYS_MAX - 1];
	snprintf(t->v[t->n].name, sizeof(t->v[0].name), "%s", name);
	return &t->v[t->n++];
}

static void
count(struct rep_table *t, const char *name, bool bad)
{
	struct rep_row *r;

	if (name[0] == '\0')
		return;
	r = row_of(t, name);
	r->n++;
	r->bad += bad;
}

static struct rep_req **
place_of(struct rep *rp, const char *uuid)
{
	uint32_t h = 2166136261U;
	const char *p;
	struct rep_req **q;

	for (p = uuid; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619U;
	q = &rp->buckets[h % REP_BUCKETS];
	while (*q != NULL && strcmp((*q)->uuid, uuid) != 0)
		q = &(*q)->next;
	return q;
}

bool
rep_grow(void **v, size_t n, size_t size)
{
	void *w;

	if ((n & (n - 1)) != 0) /* full at a power of two */
		return true;
	if ((w = reallocarray(*v, n == 0 ? 1 : 2 * n, size)) == NULL)
		return false;
	*v = w;
	return true;
}

static void
push(int64_t **v, size_t *n, int64_t x)
{
	void *w = *v;

	if (!rep_grow(&w, *n, sizeof(x)))
		return;
	*v = w;
	(*v)[(*n)++] = x;
}

static struct rep_day *
day_of(struct rep *rp, int64_t at)
{
	int64_t i = at / REP_DAY_MS - rp->since_ms / REP_DAY_MS;

	return i >= 0 && (size_t)i < rp->ndays ? &rp->days[i] : NULL;
}

static void
req_free(struct rep_req *r)
{
	free(r->user);
	free(r->what);
	free(r->model);
	free(r->version);
	free(r->reason);
	free(r->approvers);
	free(r);
}

static struct rep_req *
req_new(const struct mg_rec *rec)
{
	struct rep_req *r = calloc(1, sizeof(*r));
	size_t n = 0;

	if (r == NULL)
		return NULL;
	snprintf(r->uuid, sizeof(r->uuid), "%s", mg_rec_str(rec, "uuid", ""));
	snprintf(r->why, sizeof(r->why), "%s", mg_rec_str(rec, "why", ""));
	r->user = strdup(mg_rec_str(rec, "user", ""));
	r->what = strdup(mg_rec_str(rec, "operation", ""));
	r->model = strdup(mg_rec_str(rec, "model", ""));
	r->version = strdup(mg_rec_str(rec, "version", ""));
	r->reason = strdup(mg_rec_str(rec, "reason", ""));
	r->approvers = strdup("");
	(void)mg_rec_strv(rec, "need", &n);
	r->needs_people = n > 0;
	if (r->user != NULL && r->what != NULL && r->model != NULL &&
	    r->version != NULL && r->reason != NULL && r->approvers != NULL)
		return r;
	req_free(r);
	return NULL;
}

static void
new_request(struct rep *rp, const struct mg_rec *rec, int64_t at, bool refused)
{
	struct rep_req **q = place_of(rp, mg_rec_str(rec, "uuid", "")), *r;
	void *all = rp->all;
	struct rep_day *day = day_of(rp, at);

	if (*q != NULL || !rep_grow(&all, rp->nall, sizeof(*rp->all)))
		return;
	rp->all = all;
	if ((r = req_new(rec)) == NULL)
		return;
	r->asked_ms = at;
	r->refused = refused;
	*q = rp->all[rp->nall++] = r;
	rp->refused += refused;
	count(&rp->users, r->user, refused);
	count(&rp->what, r->what, refused);
	count(&rp->models, r->model, refused);
	if (refused)
		count(&rp->why, r->why, true);
	if (day != NULL) {
		day->n++;
		day->bad += refused;
	}
}

static void
add_approver(struct rep_req *r, const struct mg_rec *rec)
{
	char *s;

	if (asprintf(&s, "%s%s%s%s", r->approvers,
		r->approvers[0] != '\0' ? ", " : "",
		mg_rec_str(rec, "approver", ""),
		strcmp(mg_rec_str(rec, "decision", ""), "deny") == 0
		    ? " (no)"
		    : "") == -1)
		return;
	free(r->approvers);
	r->approvers = s;
}

static void
denied(struct rep *rp, const struct rep_req *r)
{
	struct rep_day *day = day_of(rp, r->asked_ms);

	rp->denied++;
	if (r->user[0] != '\0')
		row_of(&rp->users, r->user)->bad++;
	if (r->what[0] != '\0')
		row_of(&rp->what, r->what)->bad++;
	if (r->model[0] != '\0')
		row_of(&rp->models, r->model)->bad++;
	if (day != NULL)
		day->bad++;
	count(&rp->why, r->why, true);
}

static void
end_request(struct rep *rp, struct rep_req *r, const struct mg_rec *rec)
{
	char right[200];

	if (r->state[0] != '\0')
		return;
	snprintf(
	    r->state, sizeof(r->state), "%s", mg_rec_str(rec, "state", ""));
	snprintf(r->why, sizeof(r->why), "%s", mg_rec_str(rec, "why", ""));
	if (strcmp(r->state, "denied") == 0)
		denied(rp, r);
	if (r->granted_ms == 0 || r->runs > 0)
		return;
	rp->nunused++;
	snprintf(right, sizeof(right), "%s: %s%s%s", r->user, r->what,
	    r->model[0] != '\0' ? " " : "", r->model);
	count(&rp->unused, right, false);
}

static void
take_request(struct rep *rp, struct rep_req *r, const char *type,
    const struct mg_rec *rec, int64_t at)
{
	if (strcmp(type, "decision") == 0) {
		add_approver(r, rec);
	} else if (strcmp(type, "grant") == 0) {
		rp->granted++;
		r->granted_ms = at;
		/* What nobody had to agree to took nobody time. */
		if (r->needs_people)
			push(&rp->approve_ms, &rp->napprove, at - r->asked_ms);
	} else if (strcmp(type, "run") == 0) {
		rp->runs++;
		r->runs++;
	} else if (strcmp(type, "exit") == 0 &&
		   mg_rec_int(rec, "value", 0) != 0) {
		rp->failed++;
		r->failed++;
	} else if (strcmp(type, "end") == 0) {
		end_request(rp, r, rec);
	}
}

static void
take(struct rep *rp, const struct mg_rec *rec)
{
	const char *type = mg_rec_str(rec, "type", "");
	struct rep_req *r = *place_of(rp, mg_rec_str(rec, "uuid", ""));
	int64_t at = 0;

	(void)!mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at);
	if (strcmp(type, "request") == 0 || strcmp(type, "refused") == 0)
		new_request(rp, rec, at, type[2] == 'f');
	else if (strcmp(type, "decision") == 0)
		count(&rp->approvers, mg_rec_str(rec, "approver", ""),
		    strcmp(mg_rec_str(rec, "decision", ""), "deny") == 0);
	else if (strcmp(type, "rejected") == 0)
		rp->rejected++;
	else if (strcmp(type, "mfa") == 0)
		rp->wrong_codes += !mg_rec_bool(rec, "ok");
	else if (strcmp(type, "empty") == 0 && mg_rec_has(rec, "why"))
		push(&rp->revoke_us, &rp->nrevoke,
		    mg_rec_int(rec, "took_us", 0));
	rep_rules_used(rp, rec);
	if (r != NULL)
		take_request(rp, r, type, rec, at);
}

static int
by_count(const void *a, const void *b)
{
	const struct rep_row *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
sort_all(struct rep *rp)
{
	struct rep_table *t[] = {&rp->users, &rp->what, &rp->models, &rp->why,
	    &rp->approvers, &rp->unused};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		qsort(t[i]->v, t[i]->n, sizeof(t[i]->v[0]), by_count);
	if (rp->napprove > 1)
		qsort(rp->approve_ms, rp->napprove, sizeof(int64_t), by_number);
	if (rp->nrevoke > 1)
		qsort(rp->revoke_us, rp->nrevoke, sizeof(int64_t), by_number);
}

int64_t
rep_percentile(const int64_t *v, size_t n, unsigned p)
{
	return v[(n - 1) * p / 100];
}

const char *
rep_outcome(const struct rep_req *r)
{
	if (r->refused)
		return "refused";
	if (r->failed > 0)
		return "failed";
	if (r->state[0] != '\0')
		return r->state;
	return r->granted_ms != 0 ? "granted" : "pending";
}

double
rep_refusal_rate(const struct rep *rp)
{
	return rp->nall == 0 ? 0
			     : 100.0 * (double)(rp->refused + rp->denied) /
				   (double)rp->nall;
}

/* ---- from the agent ---- */

static bool
read_pipe(struct rep *rp, int fd)
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

/* The name of this host, which the ledger's lines do not repeat; and whose
 * records the agent will tell: out of one's own alone, nobody can say which
 * rules others have used. */
static void
ask_host(struct rep *rp)
{
	struct mg_info_req q = {0};
	struct mg_item item;
	struct mg_chan *ch;
	struct mg_frame f;
	struct mg_rec rec;

	if (mg_client_connect(MG_CLIENT_SOCKET, 5000, &ch) != MG_ERR_OK)
		return;
	memset(&f, 0, sizeof(f));
	mg_rec_init(&rec);
	if (mg_chan_send(ch, 1, MG_MSG_INFO_REQ, &q) == MG_ERR_OK &&
	    mg_chan_wait(ch, 10000, &f) == MG_ERR_OK && f.op == MG_MSG_ITEM &&
	    mg_frame_decode(&f, &item, sizeof(item)) == MG_ERR_OK &&
	    mg_rec_parse(&rec, item.json, strlen(item.json)) == MG_ERR_OK) {
		snprintf(rp->host, sizeof(rp->host), "%s",
		    mg_rec_str(&rec, "host", ""));
		rp->is_own = !mg_rec_bool(&rec, "may_log");
		snprintf(rp->person, sizeof(rp->person), "%s",
		    mg_rec_str(&rec, "you", ""));
	}
	mg_rec_fini(&rec);
	mg_chan_free(ch);
}

static int
ask_agent(struct led *led, struct rep *rp)
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
	ask_host(rp);
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
text_table(const char *title, const struct rep_table *t, const char *bad)
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
	if (t->n > i)
		printf("  and %zu more\n", t->n - i);
}

void
rep_period(const struct rep *rp, char out[80])
{
	char a[MG_TIME_STR], b[MG_TIME_STR];

	mg_time_format(rp->since_ms, a);
	mg_time_format(rp->until_ms, b);
	snprintf(out, 80, "%.16s to %.16s UTC", a, b);
}

void
rep_time(double s, char out[40])
{
	static const struct {
		double below, unit;
		const char *name;
	} v[] = {{1, 1e-3, "ms"}, {120, 1, "s"}, {7200, 60, "min"},
	    {172800, 3600, "h"}};
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (s < v[i].below) {
			snprintf(out, 40, "%.1f %s", s / v[i].unit, v[i].name);
			return;
		}
	snprintf(out, 40, "%.1f d", s / 86400);
}

static void
text_time(const char *what, const int64_t *v, size_t n, double per_s)
{
	char median[40], most[40];

	if (n == 0)
		return;
	rep_time((double)rep_percentile(v, n, 50) / per_s, median);
	rep_time((double)rep_percentile(v, n, 90) / per_s, most);
	printf(
	    "  time to %s: median %s, 90 %% within %s\n", what, median, most);
}

static void
text_request(const struct rep_req *r)
{
	char at[MG_TIME_STR], what[400], reason[512], whole[2048];

	mg_time_format(r->asked_ms, at);
	snprintf(what, sizeof(what), "%s%s%s%s%s", r->what,
	    r->model[0] != '\0' ? " " : "", r->model,
	    r->version[0] != '\0' ? "@" : "", r->version);
	mg_esc_line(r->reason, reason, sizeof(reason));
	snprintf(whole, sizeof(whole), "%s%s%s%s%s",
	    r->refused ? r->why : r->approvers,
	    (r->refused || r->approvers[0] != '\0') && reason[0] != '\0' ? "; "
									 : "",
	    reason[0] != '\0' ? "'" : "", reason, reason[0] != '\0' ? "'" : "");
	printf("  %.16s  %-10s  %-9s  %-28s  %s\n", at, r->user, rep_outcome(r),
	    what, whole);
}

static void
text_list(const struct rep *rp)
{
	size_t i, n = rp->nall < TEXT_LIST_MAX ? rp->nall : TEXT_LIST_MAX;

	if (n == 0)
		return;
	if (rp->nall > n)
		printf("\nthe last %zu of %zu requests (--json has %d)\n", n,
		    rp->nall, JSON_LIST_MAX);
	else
		printf("\nrequests\n");
	for (i = rp->nall; i > rp->nall - n; i--)
		text_request(rp->all[i - 1]);
}

static void
text_rules(const struct rep *rp)
{
	char name[512];
	size_t i;

	if (rp->nrules == 0)
		return;
	printf("\nrules that nobody used\n");
	for (i = 0; i < rp->nrules && i < 10; i++) {
		mg_esc_line(rp->rules[i].name, name, sizeof(name));
		printf("  %-32s %s\n", name, rp->rules[i].where);
	}
	if (rp->nrules > i)
		printf("  and %zu more\n", rp->nrules - i);
}

static void
print_text(const struct rep *rp)
{
	char text[80];

	rep_period(rp, text);
	printf("modelgate on %s, %s\n", rp->host, text);
	if (rp->is_own)
		printf("only what %s has done\n", rp->person);
	printf("\n");
	if (rp->nall == 0)
		printf("  nobody asked for anything\n");
	printf("  requests %zu, refused %lu, denied %lu (%.1f %%), granted "
	       "%lu, runs %lu (%lu failed)\n",
	    rp->nall, rp->refused, rp->denied, rep_refusal_rate(rp),
	    rp->granted, rp->runs, rp->failed);
	text_time("approve", rp->approve_ms, rp->napprove, 1e3);
	text_time("revoke", rp->revoke_us, rp->nrevoke, 1e6);
	printf("  granted and never used: %lu; wrong codes: %lu; decisions "
	       "that did not count: %lu\n",
	    rp->nunused, rp->wrong_codes, rp->rejected);
	text_table("people", &rp->users, "refused");
	text_table("operations", &rp->what, "refused");
	text_table("models", &rp->models, "refused");
	text_table("approvers", &rp->approvers, "no");
	text_table("granted and never used", &rp->unused, NULL);
	text_rules(rp);
	text_table("why not", &rp->why, NULL);
	text_list(rp);
}

static void
json_table(struct mg_json *j, const char *key, const struct rep_table *t)
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

/* Not there when the policy cannot be read. */
static void
json_rules(struct mg_json *j, const struct rep *rp)
{
	size_t i;

	if (!rp->has_rules)
		return;
	mg_json_arr(j, "unused_rules");
	for (i = 0; i < rp->nrules; i++) {
		mg_json_obj(j, NULL);
		mg_json_str(j, "name", rp->rules[i].name);
		mg_json_str(j, "where", rp->rules[i].where);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static void
json_days(struct mg_json *j, const struct rep *rp)
{
	char day[MG_TIME_STR];
	size_t i;

	mg_json_arr(j, "days");
	for (i = 0; i < rp->ndays; i++) {
		if (rp->days[i].n == 0)
			continue;
		mg_time_format(rp->since_ms + (int64_t)i * REP_DAY_MS, day);
		day[10] = '\0';
		mg_json_obj(j, NULL);
		mg_json_str(j, "name", day);
		mg_json_int(j, "count", (int64_t)rp->days[i].n);
		mg_json_int(j, "refused", (int64_t)rp->days[i].bad);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static void
json_list(struct mg_json *j, const struct rep *rp)
{
	size_t n = rp->nall < JSON_LIST_MAX ? rp->nall : JSON_LIST_MAX, i;
	char at[MG_TIME_STR];

	mg_json_arr(j, "list");
	for (i = rp->nall; i > rp->nall - n; i--) {
		const struct rep_req *r = rp->all[i - 1];

		mg_time_format(r->asked_ms, at);
		mg_json_obj(j, NULL);
		mg_json_str(j, "at", at);
		mg_json_str(j, "uuid", r->uuid);
		mg_json_str(j, "user", r->user);
		mg_json_str(j, "operation", r->what);
		mg_json_str(j, "model", r->model);
		mg_json_str(j, "version", r->version);
		mg_json_str(j, "outcome", rep_outcome(r));
		mg_json_str(j, "why", r->why);
		mg_json_str(j, "approvers", r->approvers);
		mg_json_str(j, "reason", r->reason);
		mg_json_int(j, "runs", r->runs);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

/* What nothing was measured of is left out. */
static void
json_times(struct mg_json *j, const struct rep *rp)
{
	if (rp->napprove > 0) {
		mg_json_int(j, "approve_ms_median",
		    rep_percentile(rp->approve_ms, rp->napprove, 50));
		mg_json_int(j, "approve_ms_p90",
		    rep_percentile(rp->approve_ms, rp->napprove, 90));
	}
	if (rp->nrevoke > 0) {
		mg_json_int(j, "revoke_us_median",
		    rep_percentile(rp->revoke_us, rp->nrevoke, 50));
		mg_json_int(j, "revoke_us_p90",
		    rep_percentile(rp->revoke_us, rp->nrevoke, 90));
	}
}

static int
print_json(const struct led *led, const struct rep *rp)
{
	char a[MG_TIME_STR], b[MG_TIME_STR];
	struct mg_buf buf;
	struct mg_json j;
	const char *s = NULL;

	mg_time_format(rp->since_ms, a);
	mg_time_format(rp->until_ms, b);
	mg_buf_init(&buf, (size_t)1 << 27);
	mg_json_begin(&j, &buf);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "host", rp->host);
	mg_json_str(&j, "since", a);
	mg_json_str(&j, "until", b);
	mg_json_int(&j, "requests", (int64_t)rp->nall);
	mg_json_int(&j, "refused", (int64_t)rp->refused);
	mg_json_int(&j, "denied", (int64_t)rp->denied);
	mg_json_int(&j, "granted", (int64_t)rp->granted);
	mg_json_int(&j, "runs", (int64_t)rp->runs);
	mg_json_int(&j, "failed", (int64_t)rp->failed);
	mg_json_int(&j, "unused", (int64_t)rp->nunused);
	mg_json_int(&j, "wrong_codes", (int64_t)rp->wrong_codes);
	mg_json_int(&j, "rejected", (int64_t)rp->rejected);
	json_times(&j, rp);
	json_table(&j, "people", &rp->users);
	json_table(&j, "operations", &rp->what);
	json_table(&j, "models", &rp->models);
	json_table(&j, "approvers", &rp->approvers);
	json_table(&j, "never_used", &rp->unused);
	json_rules(&j, rp);
	json_table(&j, "why", &rp->why);
	json_days(&j, rp);
	json_list(&j, rp);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (s = mg_buf_cstr(&buf)) != NULL)
		printf("%s\n", s);
	mg_buf_fini(&buf);
	return s != NULL ? 0 : led_fail(led, "the report gets too large");
}

/* ---- all of it ---- */

static void
rep_free(struct rep *rp)
{
	size_t i;

	for (i = 0; i < rp->nall; i++)
		req_free(rp->all[i]);
	free(rp->all);
	free(rp->days);
	free(rp->rules);
	free(rp->approve_ms);
	free(rp->revoke_us);
	free(rp);
}

/* The period. Returns 0, or the status to exit with. */
static int
take_times(const struct led *led, struct rep *rp)
{
	int64_t now = mg_time_wall_ms();
	const char *bad = NULL;

	rp->since_ms = now - 30 * REP_DAY_MS;
	rp->until_ms = now;
	if (led->since != NULL &&
	    mg_time_parse(led->since, now, &rp->since_ms) != MG_ERR_OK)
		bad = led->since;
	else if (led->until != NULL &&
		 mg_time_parse(led->until, now, &rp->until_ms) != MG_ERR_OK)
		bad = led->until;
	if (bad != NULL)
		(void)led_fail(led,
		    "'%.100s' is not a time such as 2026-11-22, "
		    "2026-11-22T14:00 or 30d (at most 366d)",
		    bad);
	else if (rp->since_ms >= rp->until_ms)
		(void)led_fail(led, "--since is not before --until");
	else if (rp->until_ms - rp->since_ms > DAYS_MAX * REP_DAY_MS)
		(void)led_fail(led, "that is more than a hundred years");
	else
		return 0;
	return LED_USAGE;
}

int
led_report(struct led *led, const char *what)
{
	struct rep *rp = calloc(1, sizeof(*rp));
	int status;

	(void)what;
	if (rp == NULL)
		return led_fail(led, "out of memory");
	if ((status = take_times(led, rp)) == 0) {
		rp->ndays = (size_t)(rp->until_ms / REP_DAY_MS -
				     rp->since_ms / REP_DAY_MS + 1);
		rp->days = calloc(rp->ndays, sizeof(*rp->days));
		rp->has_rules = rep_rules_read(rp);
		status = rp->days == NULL ? led_fail(led, "out of memory")
					  : ask_agent(led, rp);
	}
	if (status == 0) {
		sort_all(rp);
		if (rp->is_own) {
			rp->nrules = 0;
			rp->has_rules = false;
		}
		rep_rules_end(rp);
		if (led->json)
			status = print_json(led, rp);
		else if (led->html)
			rep_html(rp);
		else
			print_text(rp);
	}
	rep_free(rp);
	return status;
}
