/* SPDX-License-Identifier: ISC */
/* policy diff: what a new policy changes for whom. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "pcli.h"

static const char help[] =
    "diff [options] OLD NEW\n\n"
    "Compares two policy folders by what they decide, not by their lines:\n"
    "for every operation and circumstance that comes out differently, what\n"
    "it was, what it is now, and for whom. Also who can approve, what an\n"
    "operation runs, separations of duties, and who must sign the policy.\n\n"
    "A change is `wider` when something is allowed or asks for less,\n"
    "`narrower` when something is denied or asks for more, and `changed`\n"
    "when it is both or cannot be compared.\n\n"
    "exit status: 0 nothing changes, 1 only narrower, 3 also wider or\n"
    "changed, 125 one of them does not load\n";

/* One change, kept until all are known. */
struct entry {
	struct pol_change c; /* strings are copies */
	const char **users;
	size_t nusers;
};

struct diff {
	struct pcli c;
	struct mg_policy *old, *new;
	struct mg_diags ds[2];
	struct pol_arena mem;
	struct pol_vec entries; /* struct entry */
	bool failed;
};

/* ---- keeping ---- */

static const char *
keep(struct diff *d, const char *s)
{
	const char *copy;

	if (s == NULL)
		return NULL;
	copy = pol_strndup(&d->mem, s, strlen(s));
	d->failed = d->failed || copy == NULL;
	return copy == NULL ? "" : copy;
}

static void
take(void *arg, const struct pol_change *c)
{
	struct diff *d = arg;
	struct entry *e = pol_vec_add(&d->entries, sizeof(*e));
	size_t i;

	if (e == NULL) {
		d->failed = true;
		return;
	}
	e->c = *c;
	e->c.operation = keep(d, c->operation == NULL ? "" : c->operation);
	e->c.model = keep(d, c->model == NULL ? "" : c->model);
	e->c.when = keep(d, c->when == NULL ? "" : c->when);
	e->c.before = keep(d, c->before);
	e->c.after = keep(d, c->after);
	e->c.rule = keep(d, c->rule == NULL ? "" : c->rule);
	e->c.where = keep(d, c->where == NULL ? "" : c->where);
	e->users = pol_alloc(&d->mem, (c->nusers + 1) * sizeof(*e->users));
	if (e->users == NULL) {
		d->failed = true;
		return;
	}
	for (i = 0; i < c->nusers; i++)
		e->users[i] = c->users[i]; /* they live as long as c->people */
	e->nusers = c->nusers;
}

static int
compare_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* Everything but for whom. */
static int
compare_change(const struct pol_change *a, const struct pol_change *b)
{
	int r;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->since_ms != b->since_ms)
		return a->since_ms < b->since_ms ? -1 : 1;
	if ((r = compare_text(a->operation, b->operation)) != 0 ||
	    (r = compare_text(a->model, b->model)) != 0 ||
	    (r = compare_text(a->when, b->when)) != 0 ||
	    (r = compare_text(a->before, b->before)) != 0 ||
	    (r = compare_text(a->after, b->after)) != 0)
		return r;
	return a->how < b->how ? -1 : a->how > b->how;
}

static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = compare_change(&x->c, &y->c);

	if (r != 0)
		return r;
	return compare_text(x->c.where, y->c.where);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The people of v[0] and of n - 1 others that say the same. */
static bool
join(struct diff *d, struct entry *v, size_t n)
{
	size_t total = 0, i, j, k = 0;
	const char **all;

	for (i = 0; i < n; i++)
		total += v[i].nusers;
	all = pol_alloc(&d->mem, (total + 1) * sizeof(*all));
	if (all == NULL)
		return false;
	for (i = 0; i < n; i++)
		for (j = 0; j < v[i].nusers; j++)
			all[k++] = v[i].users[j];
	if (total > 1)
		qsort(all, total, sizeof(*all), by_text);
	for (i = k = 0; i < total; i++)
		if (i == 0 || strcmp(all[i], all[k - 1]) != 0)
			all[k++] = all[i];
	/* Anybody else stands last. */
	if (k > 1 && all[0][0] == '\0') {
		memmove(all, all + 1, (k - 1) * sizeof(*all));
		all[k - 1] = "";
	}
	v[0].users = all;
	v[0].nusers = k;
	return true;
}

/* Puts equal changes together, in the order of reading. */
static bool
order(struct diff *d)
{
	struct entry *v = d->entries.v;
	uint32_t i, next, n = 0;

	if (d->entries.n > 1)
		qsort(v, d->entries.n, sizeof(*v), compare);
	for (i = 0; i < d->entries.n; i = next) {
		for (next = i + 1; next < d->entries.n; next++)
			if (compare_change(&v[i].c, &v[next].c) != 0)
				break;
		if (!join(d, &v[i], next - i))
			return false;
		v[n++] = v[i];
	}
	d->entries.n = n;
	return true;
}

/* ---- text ---- */

static const char *
how_word(unsigned how)
{
	return how == POL_WIDER	     ? "wider"
	       : how == POL_NARROWER ? "narrower"
				     : "changed";
}

/* Where both allow, what they ask for alike is not said. */
static void
print_side(const char *word, const char *s, const char *other)
{
	printf("    %s ", word);
	if (s == NULL)
		printf("denied\n");
	else if (s[0] != '\0')
		printf("allowed with %s\n", s);
	else
		printf("allowed%s\n", other == NULL ? "" : " without that");
}

static void
print_sides(const struct pol_change *c)
{
	if (c->kind == POL_CHANGE_DECISION) {
		print_side("was", c->before, c->after);
		print_side("now", c->after, c->before);
	} else if (c->kind != POL_CHANGE_APPROVER &&
		   c->kind != POL_CHANGE_MORE) {
		printf("    was %s\n", c->before == NULL ? "not" : c->before);
		printf("    now %s\n", c->after == NULL ? "not" : c->after);
	}
}

static void
print_title(const struct pol_change *c)
{
	char since[MG_TIME_STR];

	switch (c->kind) {
	case POL_CHANGE_DECISION:
		printf("%s", c->operation);
		if (c->model[0] != '\0')
			printf(", model %s", c->model);
		if (c->when[0] != '\0')
			printf(", %s", c->when);
		break;
	case POL_CHANGE_APPROVER:
		printf("%s approves as %s",
		    c->how == POL_WIDER ? "who also" : "who no longer",
		    c->operation);
		break;
	case POL_CHANGE_OPERATION:
		printf("what %s runs", c->operation);
		break;
	case POL_CHANGE_SEPARATION:
		printf("separation %s", c->rule);
		if (c->model[0] != '\0')
			printf(", model %s", c->model);
		break;
	case POL_CHANGE_GUARD:
		printf("who signs the policy");
		break;
	case POL_CHANGE_MORE:
		printf("more than could be looked at; read the files");
		break;
	}
	if (c->since_ms != 0) {
		mg_time_format(c->since_ms, since);
		since[16] = '\0';
		printf(" (from %sZ on)", since);
	}
}

static void
print_entry(const struct entry *e)
{
	const struct pol_change *c = &e->c;

	printf("%s%s%s: ",
	    pcli_on((c->how & POL_WIDER) != 0 ? PCLI_YELLOW : PCLI_GREEN),
	    how_word(c->how), pcli_off());
	print_title(c);
	putchar('\n');
	print_sides(c);
	if (e->nusers > 0)
		pcli_names(e->users, e->nusers, 4);
	if (c->where[0] != '\0')
		printf("    %s%s%s%s%s%s%s\n", pcli_on(PCLI_DIM),
		    c->is_old ? "no longer by " : "by ", c->rule,
		    c->rule[0] == '\0' ? "" : " (", c->where,
		    c->rule[0] == '\0' ? "" : ")", pcli_off());
	putchar('\n');
}

static void
print_all(const struct diff *d)
{
	const struct entry *v = d->entries.v;
	unsigned wider = 0, narrower = 0, changed = 0;
	uint32_t i;

	for (i = 0; i < d->entries.n; i++) {
		print_entry(&v[i]);
		wider += v[i].c.how == POL_WIDER;
		narrower += v[i].c.how == POL_NARROWER;
		changed += v[i].c.how == (POL_WIDER | POL_NARROWER);
	}
	if (d->entries.n == 0)
		printf("nothing changes for anybody\n");
	else
		printf("%u wider, %u narrower, %u changed\n", wider, narrower,
		    changed);
}

/* ---- JSON ---- */

static void
put_text(struct mg_json *j, const char *key, const char *s)
{
	if (s == NULL || s[0] == '\0')
		mg_json_null(j, key);
	else
		mg_json_str(j, key, s);
}

static void
put_side(struct mg_json *j, const char *key, const struct pol_change *c,
    const char *s)
{
	if (c->kind != POL_CHANGE_DECISION) {
		put_text(j, key, s);
		return;
	}
	mg_json_obj(j, key);
	mg_json_bool(j, "allowed", s != NULL);
	mg_json_str(j, "needs", s == NULL ? "" : s);
	mg_json_obj_end(j);
}

static void
put_entry(struct mg_json *j, const struct entry *e)
{
	static const char *const kinds[] = {
	    "decision", "approver", "operation", "separation", "guard", "more"};
	const struct pol_change *c = &e->c;
	char since[MG_TIME_STR];

	mg_json_obj(j, NULL);
	mg_json_str(j, "kind", kinds[c->kind]);
	mg_json_str(j, "how", how_word(c->how));
	put_text(j, c->kind == POL_CHANGE_APPROVER ? "role" : "operation",
	    c->operation);
	put_text(j, "model", c->model);
	mg_json_str(j, "circumstances", c->when);
	put_side(j, "before", c, c->before);
	put_side(j, "after", c, c->after);
	mg_json_strv(j, "users", e->users, e->nusers);
	put_text(j, "rule", c->rule);
	put_text(j, "where", c->where);
	mg_json_bool(j, "rule_is_gone", c->is_old);
	if (c->since_ms != 0)
		mg_time_format(c->since_ms, since);
	put_text(j, "since", c->since_ms != 0 ? since : NULL);
	mg_json_obj_end(j);
}

static int
print_json(const struct diff *d, int status)
{
	const struct entry *v = d->entries.v;
	struct pcli_json pj;
	struct mg_json *j = pcli_json_begin(&pj);
	uint32_t i;

	mg_json_str(j, "old", mg_policy_digest(d->old));
	mg_json_str(j, "new", mg_policy_digest(d->new));
	mg_json_bool(j, "wider", status == PCLI_ASK);
	mg_json_arr(j, "changes");
	for (i = 0; i < d->entries.n; i++)
		put_entry(j, &v[i]);
	mg_json_arr_end(j);
	return pcli_json_end(&pj, status);
}

/* ---- both at once ---- */

struct loading {
	const char *dir, *operations;
	struct mg_policy **pp;
	struct mg_diags *ds;
	enum mg_err r;
};

static void *
load_one(void *arg)
{
	struct loading *l = arg;

	mg_diags_init(l->ds);
	l->r = pcli_load_dir(l->dir, l->operations, false, l->pp, l->ds);
	return NULL;
}

static int
say_failed(const struct diff *d, const struct loading *l)
{
	struct pcli_json pj;
	struct mg_json *j;

	if (l->r != MG_ERR_FORMAT) {
		pcli_error("%s: %s", l->dir, mg_err_str(l->r));
		return PCLI_FAILED;
	}
	if (d->c.json) {
		j = pcli_json_begin(&pj);
		mg_json_bool(j, "loads", false);
		pcli_json_diags(j, l->ds);
		return pcli_json_end(&pj, PCLI_FAILED);
	}
	pcli_print_diags(l->ds);
	pcli_hint_operations(l->ds, l->dir, l->operations);
	pcli_error("the policy in %s does not load", l->dir);
	return PCLI_FAILED;
}

static int
load_both(struct diff *d)
{
	struct loading l[2] = {
	    {d->c.pos[0], d->c.operations, &d->old, &d->ds[0], MG_ERR_OK},
	    {d->c.pos[1], d->c.operations, &d->new, &d->ds[1], MG_ERR_OK}};
	bool is_apart;
	pthread_t t;

	is_apart = pthread_create(&t, NULL, load_one, &l[0]) == 0;
	load_one(&l[1]);
	if (is_apart)
		(void)pthread_join(t, NULL);
	else
		load_one(&l[0]);
	if (l[0].r != MG_ERR_OK)
		return say_failed(d, &l[0]);
	return l[1].r != MG_ERR_OK ? say_failed(d, &l[1]) : PCLI_OK;
}

static bool
find(struct diff *d)
{
	const struct mg_policy *both[2] = {d->old, d->new};
	const char *const *users;
	size_t n;

	users = pcli_people_all(d->c.people, both, 2, &n);
	return users != NULL &&
	       pol_diff(
		   d->old, d->new, d->c.view, users, n, d->c.now_ms, take, d) &&
	       !d->failed && order(d);
}

static int
show(const struct diff *d)
{
	const struct entry *v = d->entries.v;
	int status = d->entries.n == 0 ? PCLI_OK : PCLI_NO;
	uint32_t i;

	for (i = 0; i < d->entries.n; i++)
		if ((v[i].c.how & POL_WIDER) != 0)
			status = PCLI_ASK;
	if (d->c.json)
		return print_json(d, status);
	print_all(d);
	return status;
}

int
pcli_diff(int argc, char **argv)
{
	static struct diff d; /* large */
	int status;

	if (!pcli_init(&d.c, "diff"))
		return PCLI_FAILED;
	if ((status = pcli_args(&d.c, argc, argv, NULL, help)) >= 0)
		goto out;
	if (d.c.npos != 2) {
		status = pcli_usage("diff [options] OLD NEW");
		goto out;
	}
	if ((status = load_both(&d)) != PCLI_OK)
		goto out;
	status = PCLI_FAILED;
	if (!find(&d))
		pcli_error("out of memory");
	else
		status = show(&d);
out:
	mg_policy_free(d.old);
	mg_policy_free(d.new);
	pol_vec_fini(&d.entries);
	pol_arena_fini(&d.mem);
	pcli_fini(&d.c);
	return status;
}
