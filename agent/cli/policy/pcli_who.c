/* SPDX-License-Identifier: ISC */
/*
 * policy who-can, policy what-can: complete answers.
 *
 * What the question leaves open (the host, the time, the model) stands in
 * the answer as circumstances. Everybody whom the policy or one of its
 * groups names is looked at, and a nobody for all others.
 */
#include <stdlib.h>
#include <string.h>

#include "pcli.h"

static const char who_help[] =
    "who-can [--matrix] [--csv] [options]\n"
    "           [OPERATION [MODEL[@VERSION]]]\n"
    "           [on LABEL,...] [at TIME] [from ADDRESS|local]\n\n"
    "Lists everybody who may do the operation (or any), what they need for\n"
    "it, and in which circumstances. `(anybody else)` is whoever the policy\n"
    "does not name.\n\n"
    "  --matrix   people against operations: yes, ask (once others agree),\n"
    "             with a * where it takes certain circumstances\n"
    "  --csv      for spreadsheets\n\n"
    "exit status: 0 somebody may, 1 nobody may, 125 it does not load\n";

static const char what_help[] =
    "what-can [--matrix] [--csv] [options]\n"
    "           USER [MODEL[@VERSION]]\n"
    "           [on LABEL,...] [at TIME] [from ADDRESS|local]\n\n"
    "Lists everything that the user may do, what it takes, and in which\n"
    "circumstances.\n\n"
    "exit status: 0 something, 1 nothing, 125 the policy does not load\n";

/* One way for one user to do one operation. */
struct way {
	const char *user, *operation; /* user empty: anybody else */
	uint32_t nuser, nop;	      /* their numbers */
	bool asks;
	char *needs, *when, *but;
	const struct pol_rule *rule;
};

struct who {
	struct pcli c;
	struct pol_given g;
	bool matrix, csv;
	unsigned open;
	const char *const *users; /* sorted */
	const char *user;	  /* the only one, of what-can */
	size_t nusers;
	struct pol_vec ways; /* struct way */
	uint32_t nuser, nop; /* whom and what g.ask is about */
	bool failed;
};

/* ---- finding ---- */

static void
take_row(void *arg, const struct pol_row *row)
{
	struct who *w = arg;
	struct way *way = pol_vec_add(&w->ways, sizeof(*way));

	if (way == NULL) {
		w->failed = true;
		return;
	}
	way->user = w->g.ask.user;
	way->operation = w->g.ask.operation;
	way->nuser = w->nuser;
	way->nop = w->nop;
	way->asks = row->v.kind == MG_VERDICT_ASK;
	way->needs = strdup(row->needs);
	way->when = strdup(row->when);
	way->but = strdup(row->but);
	way->rule = row->rule;
	if (way->needs == NULL || way->when == NULL || way->but == NULL)
		w->failed = true;
}

/* What a question leaves open. */
static void
set_open(struct who *w)
{
	const struct pol_given *g = &w->g;

	w->open = POL_COND_WHEN;
	if (g->model[0] == '\0')
		w->open |= POL_COND_MODEL;
	if (g->version[0] == '\0')
		w->open |= POL_COND_VERSION;
	if (g->nlabels == 0 && g->host[0] == '\0')
		w->open |= POL_COND_HOST;
	if (g->from[0] == '\0' && !g->ask.is_local)
		w->open |= POL_COND_FROM;
	if (g->ask.now_ms == w->c.now_ms)
		w->open |= POL_COND_TIME;
	if (g->ask.creator == NULL)
		w->open |= POL_COND_CREATOR;
	if (g->ask.stage_from == NULL)
		w->open |= POL_COND_STAGES;
}

static bool
find(struct who *w)
{
	const struct mg_policy *p = w->c.p;
	struct mg_ask *ask = &w->g.ask;
	struct pol_survey s;
	uint32_t o;
	size_t i;
	bool ok;

	ask->people = w->c.view;
	if (!pol_survey_init(&s, p))
		return false;
	ok = true;
	for (o = 0; o < p->ops.n && ok; o++) {
		if (w->g.operation[0] != '\0' &&
		    strcmp(p->ops.v[o].s, w->g.operation) != 0)
			continue;
		ask->operation = p->ops.v[o].s;
		w->nop = o;
		for (i = 0; i < w->nusers && ok && !w->failed; i++) {
			ask->user = w->users[i];
			w->nuser = (uint32_t)i;
			ok = pol_survey_user(&s, ask, w->open, take_row, w);
		}
	}
	pol_survey_fini(&s);
	return ok && !w->failed;
}

/* ---- showing ---- */

static const struct way *
way_at(const struct who *w, uint32_t i)
{
	return (const struct way *)w->ways.v + i;
}

/* By operation and rule, then whatever else they say, then by user. */
static int
compare_words(const struct way *a, const struct way *b)
{
	int r;

	if (a->nop != b->nop)
		return a->nop < b->nop ? -1 : 1;
	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	if ((r = strcmp(a->needs, b->needs)) != 0 ||
	    (r = strcmp(a->when, b->when)) != 0)
		return r;
	return strcmp(a->but, b->but);
}

static int
compare(const void *a, const void *b)
{
	const struct way *x = a, *y = b;
	int r = compare_words(x, y);

	if (r != 0)
		return r;
	return (x->nuser > y->nuser) - (x->nuser < y->nuser);
}

/* Names of n ways that differ in nothing else. */
static bool
print_names(const struct way *way, uint32_t n)
{
	const char **names = calloc(n, sizeof(*names));
	uint32_t i;

	if (names == NULL)
		return false;
	for (i = 0; i < n; i++)
		names[i] = way[i].user;
	pcli_names(names, n, 4);
	free(names);
	return true;
}

static void
print_way(const struct way *way, bool is_first, bool with_operation)
{
	const char *p, *next;

	printf("%s  ", is_first ? "" : "\n");
	if (with_operation)
		printf(
		    "%s%s%s: ", pcli_on(PCLI_BOLD), way->operation, pcli_off());
	if (way->asks)
		printf("%sasks for%s %s\n", pcli_on(PCLI_YELLOW), pcli_off(),
		    way->needs);
	else
		printf("%sallowed%s%s%s\n", pcli_on(PCLI_GREEN), pcli_off(),
		    way->needs[0] == '\0' ? "" : " with ", way->needs);
	if (way->when[0] != '\0')
		printf("    %s\n", way->when);
	for (p = way->but; *p != '\0'; p = next) {
		next = strstr(p, "; ");
		printf("    %s%.*s%s\n", pcli_on(PCLI_RED),
		    next == NULL ? (int)strlen(p) : (int)(next - p), p,
		    pcli_off());
		next = next == NULL ? p + strlen(p) : next + 2;
	}
	printf("    %sby %s (%s)%s\n", pcli_on(PCLI_DIM), way->rule->name,
	    way->rule->where, pcli_off());
}

/* Ways that are alike, with all of their people. */
static bool
print_who(struct who *w)
{
	struct way *v = w->ways.v;
	uint32_t i, end;
	bool ok = true;

	qsort(v, w->ways.n, sizeof(*v), compare);
	for (i = 0; ok && i < w->ways.n; i = end) {
		for (end = i + 1; end < w->ways.n; end++)
			if (compare_words(&v[i], &v[end]) != 0)
				break;
		print_way(&v[i], i == 0, w->g.operation[0] == '\0');
		ok = print_names(&v[i], end - i);
	}
	return ok;
}

static void
print_what(const struct who *w)
{
	uint32_t i;

	for (i = 0; i < w->ways.n; i++)
		print_way(way_at(w, i), i == 0, true);
}

/* ---- matrix ---- */

/* What is known of a user and an operation. */
enum {
	CELL_YES = 1 << 0, /* in some circumstances */
	CELL_ASK = 1 << 1,
	CELL_SURE_YES = 1 << 2, /* in all */
	CELL_SURE_ASK = 1 << 3,
};

static const char *
cell_word(uint8_t cell)
{
	if ((cell & CELL_SURE_YES) != 0)
		return "yes";
	if ((cell & CELL_SURE_ASK) != 0)
		return (cell & CELL_YES) != 0 ? "ask, yes*" : "ask";
	if ((cell & CELL_YES) != 0)
		return "yes*";
	return (cell & CELL_ASK) != 0 ? "ask*" : "-";
}

struct matrix {
	uint8_t *cell; /* nusers * nops */
	bool *has_user, *has_op;
	size_t nops, width;
};

static bool
matrix_fill(struct matrix *m, const struct who *w)
{
	const char *name;
	char buf[512];
	uint32_t i;

	m->nops = w->c.p->ops.n;
	m->width = strlen(pcli_name("", buf, sizeof(buf)));
	m->cell = calloc(w->nusers * m->nops, 1);
	m->has_user = calloc(w->nusers, sizeof(bool));
	m->has_op = calloc(m->nops, sizeof(bool));
	if (m->cell == NULL || m->has_user == NULL || m->has_op == NULL)
		return false;
	for (i = 0; i < w->ways.n; i++) {
		const struct way *way = way_at(w, i);
		uint8_t *cell = &m->cell[way->nuser * m->nops + way->nop];
		bool sure = way->when[0] == '\0' && way->but[0] == '\0';

		*cell |= way->asks ? CELL_ASK : CELL_YES;
		if (sure)
			*cell |= way->asks ? CELL_SURE_ASK : CELL_SURE_YES;
		m->has_user[way->nuser] = m->has_op[way->nop] = true;
		name = pcli_name(way->user, buf, sizeof(buf));
		if (strlen(name) > m->width)
			m->width = strlen(name);
	}
	return true;
}

static void
matrix_cell(const char *text, size_t width, bool csv)
{
	const char *colour = pcli_on(text[0] == 'y'   ? PCLI_GREEN
				     : text[0] == 'a' ? PCLI_YELLOW
						      : PCLI_DIM);

	if (csv)
		printf(",%s%s%s", strchr(text, ',') == NULL ? "" : "\"", text,
		    strchr(text, ',') == NULL ? "" : "\"");
	else
		printf("  %s%-*s%s", colour, (int)width, text, pcli_off());
}

static size_t
op_width(const struct who *w, size_t op)
{
	size_t n = w->c.p->ops.v[op].len;

	return n < 9 ? 9 : n;
}

static void
matrix_print(const struct matrix *m, const struct who *w)
{
	char buf[512];
	size_t u, o;

	printf("%-*s", w->csv ? 0 : (int)m->width, w->csv ? "user" : "");
	for (o = 0; o < m->nops; o++) {
		if (!m->has_op[o])
			continue;
		printf(w->csv ? ",%s%*s" : "  %s%*s", w->c.p->ops.v[o].s,
		    w->csv ? 0 : (int)(op_width(w, o) - w->c.p->ops.v[o].len),
		    "");
	}
	putchar('\n');
	for (u = 0; u < w->nusers; u++) {
		if (!m->has_user[u])
			continue;
		printf("%-*s", w->csv ? 0 : (int)m->width,
		    pcli_name(w->users[u], buf, sizeof(buf)));
		for (o = 0; o < m->nops; o++)
			if (m->has_op[o])
				matrix_cell(cell_word(m->cell[u * m->nops + o]),
				    op_width(w, o), w->csv);
		putchar('\n');
	}
}

static bool
print_matrix(const struct who *w)
{
	struct matrix m = {0};
	bool ok = matrix_fill(&m, w);

	if (ok)
		matrix_print(&m, w);
	free(m.cell);
	free(m.has_user);
	free(m.has_op);
	return ok;
}

/* ---- other forms ---- */

static void
put_field(const char *s, bool last)
{
	bool quote = strpbrk(s, ",\"\n") != NULL;

	if (quote)
		putchar('"');
	for (; *s != '\0'; s++) {
		if (*s == '"')
			putchar('"');
		putchar(*s);
	}
	if (quote)
		putchar('"');
	putchar(last ? '\n' : ',');
}

static void
print_csv(const struct who *w)
{
	char buf[512];
	uint32_t i;

	puts("user,operation,verdict,needs,circumstances,exceptions,rule,"
	     "where");
	for (i = 0; i < w->ways.n; i++) {
		const struct way *way = way_at(w, i);

		put_field(pcli_name(way->user, buf, sizeof(buf)), false);
		put_field(way->operation, false);
		put_field(way->asks ? "ask" : "allow", false);
		put_field(way->needs, false);
		put_field(way->when, false);
		put_field(way->but, false);
		put_field(way->rule->name, false);
		put_field(way->rule->where, true);
	}
}

static int
print_json(const struct who *w, int status)
{
	struct pcli_json pj;
	struct mg_json *j = pcli_json_begin(&pj);
	uint32_t i;

	mg_json_str(j, "policy", mg_policy_digest(w->c.p));
	mg_json_arr(j, "ways");
	for (i = 0; i < w->ways.n; i++) {
		const struct way *way = way_at(w, i);

		mg_json_obj(j, NULL);
		if (way->user[0] == '\0')
			mg_json_null(j, "user");
		else
			mg_json_str(j, "user", way->user);
		mg_json_str(j, "operation", way->operation);
		mg_json_str(j, "verdict", way->asks ? "ask" : "allow");
		mg_json_str(j, "needs", way->needs);
		mg_json_str(j, "circumstances", way->when);
		mg_json_str(j, "exceptions", way->but);
		mg_json_str(j, "rule", way->rule->name);
		mg_json_str(j, "where", way->rule->where);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
	return pcli_json_end(&pj, status);
}

/* ---- the tools ---- */

static bool
parse(struct who *w, bool is_who)
{
	pol_given_init(&w->g, w->c.p->zone);
	w->g.wants_user = !is_who;
	/* `who-can on env:test` asks about all operations. */
	w->g.wants_operation = false;
	w->g.ask.now_ms = w->c.now_ms;
	if (is_who && w->c.npos > 0 && strcmp(w->c.pos[0], "on") != 0 &&
	    strcmp(w->c.pos[0], "at") != 0 && strcmp(w->c.pos[0], "from") != 0)
		w->g.wants_operation = true;
	if (!pol_given_parse(
		&w->g, (const char *const *)w->c.pos, (size_t)w->c.npos)) {
		pcli_error("%s", w->g.error);
		return false;
	}
	if (w->g.operation[0] != '\0' &&
	    mg_policy_operation(w->c.p, w->g.operation) == NULL) {
		pcli_error(
		    "the policy defines no operation '%s'", w->g.operation);
		return false;
	}
	set_open(w);
	return true;
}

static bool
list_users(struct who *w, bool is_who)
{
	const struct mg_policy *p = w->c.p;

	w->user = w->g.user;
	w->users = &w->user;
	w->nusers = 1;
	if (is_who)
		w->users = pcli_people_all(w->c.people, &p, 1, &w->nusers);
	return w->users != NULL;
}

static int
show(struct who *w, bool is_who)
{
	int status = w->ways.n > 0 ? PCLI_OK : PCLI_NO;
	bool ok = true;

	if (w->c.json)
		return print_json(w, status);
	if (w->matrix)
		ok = print_matrix(w);
	else if (w->csv)
		print_csv(w);
	else if (w->ways.n == 0)
		printf("%s\n", is_who ? "nobody" : "nothing");
	else if (is_who)
		ok = print_who(w);
	else
		print_what(w);
	if (!ok)
		pcli_error("out of memory");
	return ok ? status : PCLI_FAILED;
}

static void
who_fini(struct who *w)
{
	struct way *way = w->ways.v;
	uint32_t i;

	for (i = 0; i < w->ways.n; i++) {
		free(way[i].needs);
		free(way[i].when);
		free(way[i].but);
	}
	pol_vec_fini(&w->ways);
	pcli_fini(&w->c);
}

static int
run(int argc, char **argv, bool is_who)
{
	static struct who w; /* large */
	const struct pcli_opt opts[] = {{"--matrix", &w.matrix, NULL},
	    {"--csv", &w.csv, NULL}, {NULL, NULL, NULL}};
	int status;

	if (!pcli_init(&w.c, is_who ? "who-can" : "what-can"))
		return PCLI_FAILED;
	status =
	    pcli_args(&w.c, argc, argv, opts, is_who ? who_help : what_help);
	if (status >= 0)
		goto out;
	if (!is_who && w.c.npos == 0) {
		status = pcli_usage("what-can USER [MODEL[@VERSION]] [on "
				    "LABELS]");
		goto out;
	}
	if ((status = pcli_load(&w.c, false)) != PCLI_OK)
		goto out;
	status = PCLI_USAGE;
	if (!parse(&w, is_who))
		goto out;
	status = PCLI_FAILED;
	if (!list_users(&w, is_who) || !find(&w))
		pcli_error("out of memory");
	else
		status = show(&w, is_who);
out:
	who_fini(&w);
	return status;
}

int
pcli_who_can(int argc, char **argv)
{
	return run(argc, argv, true);
}

int
pcli_what_can(int argc, char **argv)
{
	return run(argc, argv, false);
}
