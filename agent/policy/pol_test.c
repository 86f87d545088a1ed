/* SPDX-License-Identifier: ISC */
/*
 * [test]: what the policy's author says it comes to. A policy that says
 * otherwise does not load.
 *
 * Rules
 * 1. A test depends on nothing outside the policy: people are in the groups
 *    that it says and in no others, files that it does not name are absent,
 *    nothing has happened before, and it is a Wednesday noon long ago
 *    unless it says when. So a policy that loads today loads tomorrow and
 *    elsewhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "pol.h"

#define WORDS_MAX 32

/* 2000-01-05, a Wednesday. */
#define LONG_AGO INT64_C(947030400)

/* ---- reading ---- */

struct words {
	char text[MG_INI_LINE_MAX + 1];
	const char *v[WORDS_MAX];
	size_t off[WORDS_MAX];
	size_t n;
};

static bool
split(
    struct pol_load *ld, const char *s, size_t len, size_t off, struct words *w)
{
	size_t i = 0;

	memcpy(w->text, s, len);
	w->text[len] = '\0';
	for (w->n = 0;;) {
		while (w->text[i] == ' ' || w->text[i] == '\t')
			w->text[i++] = '\0';
		if (w->text[i] == '\0')
			return true;
		if (w->n == WORDS_MAX) {
			pol_err(ld, off + i, "more than %d words", WORDS_MAX);
			return false;
		}
		w->off[w->n] = off + i;
		w->v[w->n++] = w->text + i;
		while (w->text[i] != '\0' && w->text[i] != ' ' &&
		       w->text[i] != '\t')
			i++;
	}
}

static void
set_given(struct pol_load *ld, void *obj)
{
	struct pol_test *t = obj;
	const struct pol_tz *tz = pol_zone(ld, NULL, 0);
	struct words w;

	if (tz == NULL)
		return;
	if ((t->given = pol_alloc(&ld->p->mem, sizeof(*t->given))) == NULL) {
		ld->no_memory = true;
		return;
	}
	pol_given_init(t->given, tz->data);
	t->given->ask.now_ms =
	    pol_zone_moment(tz->data, LONG_AGO + 12 * 3600, POL_FIRST) * 1000;
	if (split(ld, ld->ln->value, strlen(ld->ln->value), 0, &w) &&
	    !pol_given_parse(t->given, w.v, w.n))
		pol_err(ld,
		    t->given->bad_word < w.n ? w.off[t->given->bad_word]
					     : strlen(ld->ln->value),
		    "%s", t->given->error);
}

static const char *
keep(struct pol_load *ld, const char *s, size_t n)
{
	const char *copy = pol_strndup(&ld->p->mem, s, n);

	return copy == NULL ? pol_oom(ld) : copy;
}

/* Adds a fact about whom or what, in one of the lists of a test. */
static struct pol_fact *
add_fact(struct pol_load *ld, struct pol_test *t)
{
	struct pol_fact *f;

	if (t->nfacts == POL_FACTS_MAX) {
		pol_err(ld, 0, "more than %d facts in one test", POL_FACTS_MAX);
		return NULL;
	}
	if (t->facts == NULL)
		t->facts = pol_alloc(&ld->p->mem, POL_FACTS_MAX * sizeof(*f));
	if (t->facts == NULL)
		return pol_oom(ld);
	return &t->facts[t->nfacts++];
}

/* "ml-eng", "bob:risk" */
static void
set_groups(struct pol_load *ld, void *obj)
{
	struct pol_test *t = obj;
	struct pol_fact *f;
	struct pol_iter it;
	const char *colon;

	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		if ((f = add_fact(ld, t)) == NULL)
			return;
		f->kind = POL_FACT_GROUP;
		colon = memchr(it.s, ':', it.len);
		if (colon == NULL) {
			f->what = keep(ld, it.s, it.len);
			continue;
		}
		f->user = keep(ld, it.s, (size_t)(colon - it.s));
		f->what =
		    keep(ld, colon + 1, it.len - (size_t)(colon - it.s) - 1);
	}
}

/* "alice did deploy", "bob approved promote" */
static void
set_history(struct pol_load *ld, void *obj)
{
	struct pol_fact *f;
	struct pol_iter it;
	struct words w;

	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		if (!split(ld, it.s, it.len, it.off, &w) ||
		    (f = add_fact(ld, obj)) == NULL)
			return;
		if (w.n != 3 || (strcmp(w.v[1], "did") != 0 &&
				    strcmp(w.v[1], "approved") != 0)) {
			pol_err(ld, it.off,
			    "write 'USER did OPERATION' or 'USER approved "
			    "OPERATION'");
			return;
		}
		f->kind = strcmp(w.v[1], "did") == 0 ? POL_FACT_DID
						     : POL_FACT_APPROVED;
		f->user = keep(ld, w.v[0], strlen(w.v[0]));
		f->what = keep(ld, w.v[2], strlen(w.v[2]));
	}
}

/* "bob deploy fraud-a" */
static void
set_live(struct pol_load *ld, void *obj)
{
	struct pol_fact *f;
	struct pol_iter it;
	struct words w;

	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		if (!split(ld, it.s, it.len, it.off, &w) ||
		    (f = add_fact(ld, obj)) == NULL)
			return;
		if (w.n != 3) {
			pol_err(ld, it.off, "write 'USER OPERATION MODEL'");
			return;
		}
		f->kind = POL_FACT_LIVE;
		f->user = keep(ld, w.v[0], strlen(w.v[0]));
		f->what = keep(ld, w.v[1], strlen(w.v[1]));
		f->model = keep(ld, w.v[2], strlen(w.v[2]));
	}
}

/* "/run/incident present", "/run/report 2h" */
static void
set_files(struct pol_load *ld, void *obj)
{
	struct pol_fact *f;
	struct pol_iter it;
	struct words w;

	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		if (!split(ld, it.s, it.len, it.off, &w) ||
		    (f = add_fact(ld, obj)) == NULL)
			return;
		f->kind = POL_FACT_FILE;
		if (w.n != 2 ||
		    (strcmp(w.v[1], "present") != 0 &&
			strcmp(w.v[1], "absent") != 0 &&
			mg_duration_parse(w.v[1], &f->n) != MG_ERR_OK)) {
			pol_err(ld, it.off,
			    "write 'PATH present', 'PATH absent' or its age, "
			    "'PATH 2h'");
			return;
		}
		f->what = keep(ld, w.v[0], strlen(w.v[0]));
		if (strcmp(w.v[1], "absent") == 0)
			f->n = -1;
	}
}

static void
set_granted(struct pol_load *ld, void *obj)
{
	unsigned n;

	if (pol_count(
		ld, ld->ln->value, strlen(ld->ln->value), 0, POL_USES_MAX, &n))
		((struct pol_test *)obj)->granted = n;
}

static void
set_bytes(struct pol_load *ld, void *obj)
{
	if (!pol_bytes_parse(ld->ln->value, &((struct pol_test *)obj)->bytes))
		pol_err(
		    ld, 0, "'%s' is not a size such as 10GiB", ld->ln->value);
}

static void
set_approved(struct pol_load *ld, void *obj)
{
	struct pol_test *t = obj;
	struct pol_iter it;

	t->approved =
	    pol_alloc(&ld->p->mem, POL_ITEMS_MAX * sizeof(*t->approved));
	if (t->approved == NULL) {
		ld->no_memory = true;
		return;
	}
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it))
		if (pol_name(ld, "user", it.s, it.len, it.off))
			t->approved[t->napproved++] = keep(ld, it.s, it.len);
}

static void
set_expect(struct pol_load *ld, void *obj)
{
	struct pol_test *t = obj;
	const char *v = ld->ln->value;

	t->expect = keep(ld, v, strlen(v));
	t->line = ld->ln->line;
	t->col = ld->ln->value_col;
	if (strcmp(v, "allow") != 0 && strcmp(v, "deny") != 0 &&
	    strncmp(v, "deny ", 5) != 0 && strncmp(v, "ask ", 4) != 0)
		pol_err(ld, 0,
		    "write 'allow', 'deny', 'deny REASON', 'deny by RULE' or "
		    "'ask mfa, 1 ROLE'");
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key test_keys[] = {
    {"given", set_given},
    {"groups", set_groups},
    {"history", set_history},
    {"live", set_live},
    {"files", set_files},
    {"granted", set_granted},
    {"bytes", set_bytes},
    {"approved", set_approved},
    {"expect", set_expect},
    {"description", set_description},
    {NULL, NULL},
};

void
pol_test_parse(struct pol_load *ld)
{
	size_t errors = ld->src.ds->errors;
	struct pol_test *t;

	if ((t = pol_vec_add(&ld->p->tests, sizeof(*t))) == NULL) {
		ld->no_memory = true;
		return;
	}
	t->name = keep(ld, ld->sec->name, strlen(ld->sec->name));
	t->where = pol_where(ld);
	t->file = ld->sec->file;
	pol_keys(ld, test_keys, t, NULL);
	if (ld->src.ds->errors == errors &&
	    (t->given == NULL || t->expect == NULL))
		pol_err_head(ld, "a test needs 'given' and 'expect'");
}

/* ---- the world of a test (Rule 1) ---- */

struct world {
	const struct pol_test *t;
	const char *groups[POL_FACTS_MAX];
};

static const char *
user_of(const struct pol_test *t, const struct pol_fact *f)
{
	return f->user == NULL ? t->given->user : f->user;
}

static const char *const *
groups_of(void *arg, const char *user, size_t *np)
{
	struct world *w = arg;
	uint32_t i;

	*np = 0;
	for (i = 0; i < w->t->nfacts; i++) {
		const struct pol_fact *f = &w->t->facts[i];

		if (f->kind == POL_FACT_GROUP &&
		    strcmp(user_of(w->t, f), user) == 0)
			w->groups[(*np)++] = f->what;
	}
	return w->groups;
}

static const char *const *
members_of(void *arg, const char *group, size_t *np)
{
	(void)arg;
	(void)group;
	*np = 0;
	return NULL;
}

static int
has_fact(const struct pol_test *t, enum pol_fact_kind kind, const char *user,
    const char *what)
{
	uint32_t i;

	for (i = 0; i < t->nfacts; i++)
		if (t->facts[i].kind == kind &&
		    strcmp(t->facts[i].user, user) == 0 &&
		    strcmp(t->facts[i].what, what) == 0)
			return 1;
	return 0;
}

static int
did(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	(void)model;
	(void)version;
	return has_fact(
	    ((struct world *)arg)->t, POL_FACT_DID, user, operation);
}

static int
approved(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	(void)model;
	(void)version;
	return has_fact(
	    ((struct world *)arg)->t, POL_FACT_APPROVED, user, operation);
}

static bool
live(void *arg, size_t i, struct mg_live *out)
{
	const struct pol_test *t = ((struct world *)arg)->t;
	uint32_t k;

	for (k = 0; k < t->nfacts; k++) {
		const struct pol_fact *f = &t->facts[k];

		if (f->kind != POL_FACT_LIVE || i-- > 0)
			continue;
		out->user = f->user;
		out->operation = f->what;
		out->model = f->model;
		out->version = "";
		return true;
	}
	return false;
}

static int64_t
granted(void *arg, const char *user, const char *operation, int64_t since_ms)
{
	const struct pol_test *t = ((struct world *)arg)->t;

	(void)user;
	(void)since_ms;
	return strcmp(operation, t->given->operation) == 0 ? t->granted : 0;
}

static int64_t
bytes(void *arg, const char *user, const char *operation, int64_t since_ms)
{
	const struct pol_test *t = ((struct world *)arg)->t;

	(void)user;
	(void)since_ms;
	return strcmp(operation, t->given->operation) == 0 ? t->bytes : 0;
}

static void
fill_files(const struct mg_policy *p, const struct pol_test *t,
    struct mg_file_state *files)
{
	uint32_t i, k;

	for (i = 0; i < p->files.n; i++) {
		files[i].is = MG_FILE_ABSENT;
		files[i].modified_ms = 0;
	}
	for (k = 0; k < t->nfacts; k++) {
		const struct pol_fact *f = &t->facts[k];

		if (f->kind != POL_FACT_FILE || f->n < 0)
			continue;
		i = pol_map_find(&p->files, f->what, strlen(f->what));
		if (i == POL_NONE)
			continue;
		files[i].is = MG_FILE_PRESENT;
		files[i].modified_ms = t->given->ask.now_ms - f->n;
	}
}

/* ---- the verdict in words ---- */

/* What is still missing of a verdict with people to ask. */
static void
say_ask(struct pol_words *w, const struct mg_verdict *v,
    const struct mg_quorum *q, bool has_approved)
{
	const char *sep = " ";
	size_t i;

	pol_say(w, "ask");
	if (v->mfa) {
		pol_say(w, "%smfa", sep);
		sep = ", ";
	}
	if (v->confirm_number && !q->satisfied) {
		pol_say(w, "%snumber", sep);
		sep = ", ";
	}
	if (v->nslots == 0 || q->satisfied)
		return;
	if (!v->is_flat && !has_approved) {
		pol_say(w, "%s%s", sep, v->approve);
		return;
	}
	for (i = 0; i < v->nslots; i++) {
		if (q->missing[i] == 0)
			continue;
		pol_say(w, "%s%u %s", sep, q->missing[i], v->slots[i].role);
		sep = ", ";
	}
}

void
pol_say_verdict(struct pol_words *w, const struct mg_verdict *v,
    const struct mg_quorum *q, bool has_approved)
{
	switch (v->kind) {
	case MG_VERDICT_DENY:
		pol_say(w, "deny %s", mg_why_word(v->why));
		if (v->nrules > 0)
			pol_say(w, " by %s", v->rules[0].name);
		return;
	case MG_VERDICT_ASK:
		if (!v->mfa && q->satisfied)
			break;
		say_ask(w, v, q, has_approved);
		return;
	case MG_VERDICT_ALLOW:
		break;
	}
	pol_say(w, "allow");
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One blank between words, none at the ends. */
static void
squeeze(const char *s, char *out, size_t size)
{
	size_t n = 0;

	for (; *s != '\0' && n + 1 < size; s++) {
		bool blank = *s == ' ' || *s == '\t';

		if (!blank)
			out[n++] = *s;
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* "ask a, b" in one order; what has "or", "and", "then" stays as it is. */
static void
normalise(const char *s, char *out, size_t size)
{
	struct pol_words w = {.s = out, .size = size};
	char text[1024], *item[64], *p;
	size_t n = 0, i, len;

	squeeze(s, text, sizeof(text));
	if (strncmp(text, "ask ", 4) != 0 || strpbrk(text, "()|") != NULL ||
	    strstr(text, " or ") != NULL || strstr(text, " and ") != NULL ||
	    strstr(text, " then ") != NULL) {
		pol_say(&w, "%s", text);
		return;
	}
	for (p = text + 4; p != NULL && n < 64;) {
		item[n++] = strsep(&p, ",");
		item[n - 1] += strspn(item[n - 1], " ");
		len = strlen(item[n - 1]);
		if (len > 0 && item[n - 1][len - 1] == ' ')
			item[n - 1][len - 1] = '\0';
	}
	qsort(item, n, sizeof(item[0]), by_text);
	pol_say(&w, "ask");
	for (i = 0; i < n; i++)
		pol_say(&w, "%s %s", i == 0 ? "" : ",", item[i]);
}

/* "deny" fits every denial; "deny by RULE", "deny REASON" those. */
static bool
fits(const char *expect, const char *actual)
{
	char want[1024], is[1024], why[64];
	const char *by;

	if (strncmp(expect, "deny", 4) != 0 ||
	    strncmp(actual, "deny", 4) != 0) {
		normalise(expect, want, sizeof(want));
		normalise(actual, is, sizeof(is));
		return strcmp(want, is) == 0;
	}
	by = strstr(actual, " by ");
	snprintf(why, sizeof(why), "%.*s",
	    by == NULL ? (int)strlen(actual) : (int)(by - actual), actual);
	return strcmp(expect, "deny") == 0 || strcmp(expect, actual) == 0 ||
	       strcmp(expect, why) == 0 ||
	       (strncmp(expect, "deny by ", 8) == 0 && by != NULL &&
		   strcmp(expect + 4, by) == 0);
}

bool
pol_test_run(const struct mg_policy *p, const struct pol_test *t,
    struct mg_verdict *v, char *actual, size_t size)
{
	struct mg_file_state files[POL_FILES_ASKED_MAX];
	struct world world = {.t = t};
	const struct mg_people people = {
	    .arg = &world, .groups_of = groups_of, .members_of = members_of};
	const struct mg_history history = {.arg = &world,
	    .did = did,
	    .approved = approved,
	    .live = live,
	    .granted = granted,
	    .bytes = bytes};
	struct pol_words w = {.s = actual, .size = size};
	struct mg_ask ask = t->given->ask;
	struct mg_quorum q;

	fill_files(p, t, files);
	ask.files = files;
	ask.people = &people;
	ask.history = &history;
	mg_policy_decide(p, &ask, v);
	mg_policy_quorum(
	    p, v, &people, ask.user, t->approved, t->napproved, ask.now_ms, &q);
	pol_say_verdict(&w, v, &q, t->napproved > 0);
	v->history = NULL; /* the world ends here */
	return fits(t->expect, actual);
}

void
pol_tests_check(struct pol_load *ld)
{
	char actual[512];
	struct mg_verdict v;
	uint32_t i;

	for (i = 0; i < ld->p->tests.n; i++) {
		const struct pol_test *t =
		    (struct pol_test *)ld->p->tests.v + i;

		if (pol_test_run(ld->p, t, &v, actual, sizeof(actual)))
			continue;
		pol_diag(&ld->src, false, t->file, t->line, t->col,
		    "test '%s' fails: it is '%s'%s%s", t->name, actual,
		    v.nrules > 0 ? ", by " : "",
		    v.nrules > 0 ? v.rules[0].where : "");
	}
}
