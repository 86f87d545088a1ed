/* SPDX-License-Identifier: ISC */
/* policy explain: what the answer is, which rules make it, who could help. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_ini.h"
#include "mg_time.h"
#include "pcli.h"

#define NEAR_MAX 16
#define SHOW_NEAR 5
#define PEOPLE_SHOWN 64

static const char help[] =
    "explain [options] USER OPERATION [MODEL[@VERSION]]\n"
    "           [on LABEL,...] [at TIME] [from ADDRESS|local]\n"
    "           [key KIND] [key-age AGE] [mfa-age AGE] [size SIZE]\n"
    "           [stage FROM:TO] [created-by USER]\n\n"
    "Says whether the policy allows it, which rules apply or nearly do, what\n"
    "would satisfy it, and who could approve now. LABEL is like\n"
    "env:production or a host's name; without `on`, and with the installed\n"
    "policy, it is this host. TIME is like 2026-12-24T18:00, in the policy's\n"
    "time zone, or with a Z in UTC; without it, now. What happened before\n"
    "is not looked at: as if nothing had.\n\n"
    "exit status: 0 allowed, 1 denied, 3 allowed once others agree,\n"
    "125 the policy does not load\n";

struct explain {
	struct pcli c;
	struct pol_given g;
	struct mg_verdict v;
	struct pol_near near[NEAR_MAX];
	size_t nnear;
	struct mg_file_state files[POL_FILES_ASKED_MAX];
	bool groups_unknown;
};

/* ---- this host, as agent.ini has it ---- */

static void
agent_line(void *arg, const struct mg_ini_line *ln)
{
	struct pol_given *g = arg;
	const char *s;
	size_t n;

	if (ln->key == NULL || strcmp(ln->section, "host") != 0)
		return;
	if (strcmp(ln->key, "name") == 0) {
		snprintf(g->host, sizeof(g->host), "%s", ln->value);
		return;
	}
	if (strcmp(ln->key, "labels") != 0)
		return;
	for (s = ln->value; g->nlabels < POL_LABELS_MAX; s += n + 1) {
		s += strspn(s, " \t");
		n = strcspn(s, ",");
		snprintf(g->label[g->nlabels], sizeof(g->label[0]), "%.*s",
		    (int)n, s);
		g->label[g->nlabels][strcspn(g->label[g->nlabels], " \t")] =
		    '\0';
		g->labels[g->nlabels] = g->label[g->nlabels];
		g->nlabels++;
		if (s[n] == '\0')
			return;
	}
}

static void
this_host(struct pol_given *g)
{
	struct mg_diags ds;
	struct mg_buf b;
	FILE *f;

	(void)gethostname(g->host, sizeof(g->host) - 1);
	if ((f = fopen(MG_CONFDIR "/agent.ini", "re")) == NULL)
		return;
	mg_buf_init(&b, 65536);
	mg_diags_init(&ds);
	if (mg_file_read(fileno(f), &b) == MG_ERR_OK)
		(void)!mg_ini_parse("agent.ini", (const char *)mg_buf_ptr(&b),
		    mg_buf_len(&b), agent_line, g, &ds);
	mg_buf_fini(&b);
	fclose(f);
	g->ask.nlabels = g->nlabels;
}

/* ---- a past in which nothing has happened ---- */

static int
never(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	(void)arg;
	(void)user;
	(void)operation;
	(void)model;
	(void)version;
	return 0;
}

static bool
nothing_live(void *arg, size_t i, struct mg_live *out)
{
	(void)arg;
	(void)i;
	(void)out;
	return false;
}

static int64_t
none_since(void *arg, const char *user, const char *operation, int64_t since_ms)
{
	(void)arg;
	(void)user;
	(void)operation;
	(void)since_ms;
	return 0;
}

static const struct mg_history no_history = {.did = never,
    .approved = never,
    .live = nothing_live,
    .granted = none_since,
    .bytes = none_since};

/* Whether the past would matter to some rule that applies. */
static bool
asks_past(const struct explain *e)
{
	const struct mg_policy *p = e->c.p;
	const struct mg_demand *d;
	uint32_t op;
	size_t i;

	op = pol_map_find(&p->ops, e->g.operation, strlen(e->g.operation));
	if (op == POL_NONE)
		return false;
	for (i = 0; i < e->nnear; i++) {
		d = e->near[i].rule->demand;
		if (e->near[i].missing == 0 && d != NULL &&
		    (d->live.n != 0 || d->rate.n != 0 || d->bytes.n != 0 ||
			d->nexcluded > 0))
			return true;
	}
	return pol_op(p, op)->separations.n > 0;
}

/* ---- words ---- */

static void
print_question(const struct explain *e)
{
	const struct mg_ask *ask = &e->g.ask;
	char when[MG_TIME_STR];
	size_t i;

	printf("%s%s %s", pcli_on(PCLI_BOLD), ask->user, ask->operation);
	if (ask->model[0] != '\0')
		printf(" %s", ask->model);
	if (ask->version[0] != '\0')
		printf("@%s", ask->version);
	printf("%s", pcli_off());
	if (ask->host[0] != '\0' || ask->nlabels > 0)
		printf(" on %s", ask->host);
	for (i = 0; i < ask->nlabels; i++)
		printf("%s%s", i > 0 || ask->host[0] != '\0' ? "," : "",
		    ask->labels[i]);
	if (ask->from[0] != '\0' || ask->is_local)
		printf(" from %s", ask->is_local ? "local" : ask->from);
	mg_time_format(ask->now_ms, when);
	when[16] = '\0';
	printf(" at %sZ\n\n", when);
}

/* How it goes without the approvals. */
static void
print_outage(const struct mg_verdict *v)
{
	char lasts[MG_DURATION_STR];
	size_t i;

	if (v->served_before)
		printf("  while the hub is down, without approvals for what "
		       "ran here before\n");
	if (!v->break_glass)
		return;
	mg_duration_format(v->break_glass_ms, lasts);
	printf("  may break the glass%s for %s",
	    v->break_glass_always ? "" : " while the hub is down,", lasts);
	if (v->break_glass_tokens > 0)
		printf(", with %u token%s", v->break_glass_tokens,
		    v->break_glass_tokens == 1 ? "" : "s");
	for (i = 0; i < v->nreviewers; i++)
		printf("%s%s", i == 0 ? ", reviewed by " : " and ",
		    v->reviewers[i]);
	putchar('\n');
}

static void
print_verdict(const struct explain *e)
{
	static const struct {
		const char *word;
		enum pcli_colour colour;
	} kinds[] = {{"denied", PCLI_RED}, {"asks", PCLI_YELLOW},
	    {"allowed", PCLI_GREEN}};
	const struct mg_verdict *v = &e->v;
	char text[512] = "", approve[MG_DURATION_STR], start[MG_DURATION_STR];
	struct pol_words w = {.s = text, .size = sizeof(text)};
	char lasts[MG_DURATION_STR];
	struct mg_quorum q;

	printf("  %s%s%s", pcli_on(kinds[v->kind].colour), kinds[v->kind].word,
	    pcli_off());
	if (v->kind == MG_VERDICT_DENY) {
		printf(" (%s): %s\n  %s\n", mg_why_word(v->why),
		    mg_why_sentence(v->why), v->remedy);
		return;
	}
	if (v->kind == MG_VERDICT_ASK) {
		mg_policy_quorum(e->c.p, v, e->c.view, e->g.user, NULL, 0,
		    e->g.ask.now_ms, &q);
		pol_say_verdict(&w, v, &q, false);
		printf(" for %s%s", text + 4,
		    v->different_teams ? ", from different teams" : "");
	}
	putchar('\n');
	mg_duration_format(v->approve_within_ms, approve);
	mg_duration_format(v->start_within_ms, start);
	mg_duration_format(v->lasts_ms, lasts);
	printf("  ");
	if (v->nslots > 0)
		printf("to be approved within %s, ", approve);
	printf("to be started within %s, lasts %s, ", start, lasts);
	if (v->uses == 0)
		printf("used as often as needed\n");
	else
		printf(
		    v->uses == 1 ? "used once\n" : "used %u times\n", v->uses);
	if (v->artifact_signed)
		printf("  only with a signed artifact\n");
	if (v->nslots > 0)
		print_outage(v);
}

static void
print_applying(const struct explain *e)
{
	static const char *const effects[] = {"denies", "allows", "requires"};
	struct pcli_table t;
	char asks[256];
	size_t i;

	pcli_table_init(&t, 4);
	for (i = 0; i < e->nnear; i++) {
		const struct pol_rule *r = e->near[i].rule;
		struct pol_words w = {.s = asks, .size = sizeof(asks)};

		if (e->near[i].missing != 0)
			continue;
		asks[0] = '\0';
		pol_say_demand(&w, r->demand);
		pcli_table_row(&t,
		    r->effect == POL_DENY ? PCLI_RED : PCLI_GREEN,
		    (const char *const[]){
			r->name, effects[r->effect], r->where, asks});
	}
	if (t.nrows > 0)
		printf("\nrules that apply\n");
	pcli_table_end(&t, 2);
}

static void
print_near(const struct explain *e)
{
	struct pcli_table t;
	char why[400];
	size_t i;

	pcli_table_init(&t, 3);
	for (i = 0; i < e->nnear && t.nrows < SHOW_NEAR; i++) {
		const struct pol_rule *r = e->near[i].rule;
		struct pol_words w = {.s = why, .size = sizeof(why)};

		if (e->near[i].missing == 0)
			continue;
		pol_say(&w, "%s",
		    r->effect == POL_ALLOW  ? "would allow it"
		    : r->effect == POL_DENY ? "would forbid it"
					    : "would ask for more");
		pol_say_conds(&w, e->c.p, r, e->near[i].missing);
		pcli_table_row(&t, PCLI_PLAIN,
		    (const char *const[]){r->name, r->where, why});
	}
	if (t.nrows > 0)
		printf("\nrules that nearly apply\n");
	pcli_table_end(&t, 2);
}

/* Who could fill a slot now, without the requester. */
static size_t
candidates(const struct explain *e, const char *role, const char **out)
{
	size_t n, i, k = 0;

	n = mg_policy_role_members(
	    e->c.p, e->c.view, role, e->g.ask.now_ms, out, PEOPLE_SHOWN);
	for (i = 0; i < n; i++) {
		if (e->c.view->is_same(e->c.view->arg, out[i], e->g.ask.user) ||
		    mg_policy_is_service(e->c.p, out[i]))
			continue;
		out[k++] = out[i];
	}
	return k;
}

static void
print_people(const struct explain *e)
{
	const char *out[PEOPLE_SHOWN];
	struct pcli_table t;
	char names[600];
	size_t i, j, n;

	if (e->v.nslots == 0)
		return;
	printf("\nwho could approve now\n");
	pcli_table_init(&t, 2);
	for (i = 0; i < e->v.nslots; i++) {
		struct pol_words w = {.s = names, .size = sizeof(names)};

		names[0] = '\0';
		n = candidates(e, e->v.slots[i].role, out);
		for (j = 0; j < n; j++)
			pol_say(&w, "%s%s", j == 0 ? "" : ", ", out[j]);
		if (n == 0)
			pol_say(&w, "nobody");
		pcli_table_row(&t, n == 0 ? PCLI_RED : PCLI_PLAIN,
		    (const char *const[]){e->v.slots[i].role, names});
	}
	pcli_table_end(&t, 2);
}

/* ---- JSON ---- */

static void
json_rules(struct mg_json *j, const struct explain *e)
{
	static const char *const effects[] = {"deny", "allow", "require"};
	char text[400];
	size_t i;

	mg_json_arr(j, "rules");
	for (i = 0; i < e->nnear; i++) {
		const struct pol_rule *r = e->near[i].rule;
		struct pol_words w = {.s = text, .size = sizeof(text)};

		mg_json_obj(j, NULL);
		mg_json_str(j, "name", r->name);
		mg_json_str(j, "where", r->where);
		mg_json_str(j, "effect", effects[r->effect]);
		mg_json_bool(j, "applies", e->near[i].missing == 0);
		text[0] = '\0';
		pol_say_conds(&w, e->c.p, r, e->near[i].missing);
		mg_json_str(j, "missing", text + (text[0] == ' '));
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static void
json_slots(struct mg_json *j, const struct explain *e)
{
	const char *out[PEOPLE_SHOWN];
	size_t i, n;

	mg_json_arr(j, "approvals");
	for (i = 0; i < e->v.nslots; i++) {
		n = candidates(e, e->v.slots[i].role, out);
		mg_json_obj(j, NULL);
		mg_json_str(j, "role", e->v.slots[i].role);
		mg_json_int(j, "count", e->v.slots[i].count);
		mg_json_strv(j, "candidates", out, n);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static int
print_json(const struct explain *e, int status)
{
	static const char *const kinds[] = {"deny", "ask", "allow"};
	const struct mg_verdict *v = &e->v;
	struct pcli_json pj;
	struct mg_json *j = pcli_json_begin(&pj);

	mg_json_str(j, "verdict", kinds[v->kind]);
	mg_json_str(j, "why", mg_why_word(v->why));
	mg_json_str(j, "remedy", v->remedy);
	mg_json_bool(j, "mfa", v->mfa);
	mg_json_bool(j, "confirm_number", v->confirm_number);
	mg_json_bool(j, "different_teams", v->different_teams);
	mg_json_bool(j, "artifact_signed", v->artifact_signed);
	mg_json_str(j, "approve", v->approve);
	json_slots(j, e);
	mg_json_int(j, "approve_within_ms", v->approve_within_ms);
	mg_json_int(j, "start_within_ms", v->start_within_ms);
	mg_json_int(j, "lasts_ms", v->lasts_ms);
	mg_json_int(j, "uses", v->uses);
	mg_json_bool(j, "served_before", v->served_before);
	mg_json_bool(j, "break_glass", v->break_glass);
	mg_json_bool(j, "break_glass_always", v->break_glass_always);
	mg_json_int(
	    j, "break_glass_ms", v->break_glass ? v->break_glass_ms : 0);
	mg_json_int(j, "break_glass_tokens",
	    v->break_glass ? v->break_glass_tokens : 0);
	mg_json_strv(j, "break_glass_review", v->reviewers, v->nreviewers);
	mg_json_bool(j, "groups_unknown", e->groups_unknown);
	mg_json_bool(j, "past_taken_for_granted", asks_past(e));
	json_rules(j, e);
	mg_json_str(j, "policy", mg_policy_digest(e->c.p));
	return pcli_json_end(&pj, status);
}

/* ---- the tool ---- */

static bool
parse(struct explain *e)
{
	struct pol_given *g = &e->g;

	pol_given_init(g, e->c.p->zone);
	g->ask.now_ms = e->c.now_ms;
	if (!pol_given_parse(
		g, (const char *const *)e->c.pos, (size_t)e->c.npos)) {
		pcli_error("%s", g->error);
		return false;
	}
	if (e->c.is_default && g->nlabels == 0 && g->host[0] == '\0')
		this_host(g);
	return true;
}

static int
explain(struct explain *e)
{
	static const int statuses[] = {PCLI_NO, PCLI_ASK, PCLI_OK};
	struct mg_ask *ask = &e->g.ask;
	size_t n;

	ask->people = e->c.view;
	ask->history = &no_history;
	if (e->c.p->files.n > 0) {
		mg_policy_files_look(e->c.p, e->files, POL_FILES_ASKED_MAX);
		ask->files = e->files;
	}
	e->groups_unknown =
	    e->c.p->groups.n > 0 &&
	    e->c.view->groups_of(e->c.view->arg, ask->user, &n) == NULL;
	mg_policy_decide(e->c.p, ask, &e->v);
	e->nnear = pol_near(e->c.p, ask, e->near, NEAR_MAX);
	if (e->c.json)
		return print_json(e, statuses[e->v.kind]);
	print_question(e);
	print_verdict(e);
	print_applying(e);
	print_near(e);
	print_people(e);
	if (asks_past(e))
		printf("\nThis takes for granted that nobody did anything to "
		       "this version before, that\nnothing runs, and that no "
		       "limit is used up.\n");
	if (e->groups_unknown)
		printf("\nThis machine does not know '%s': groups count as "
		       "unknown, which allows nothing.\n"
		       "--group NAME=%s says otherwise.\n",
		    ask->user, ask->user);
	return statuses[e->v.kind];
}

int
pcli_explain(int argc, char **argv)
{
	static struct explain e; /* large */
	int status;

	if (!pcli_init(&e.c, "explain"))
		return PCLI_FAILED;
	if ((status = pcli_args(&e.c, argc, argv, NULL, help)) >= 0)
		goto out;
	if (e.c.npos < 2) {
		status = pcli_usage("explain USER OPERATION [MODEL[@VERSION]] "
				    "[on LABELS] [at TIME] [from ADDR]");
		goto out;
	}
	if ((status = pcli_load(&e.c, false)) == PCLI_OK)
		status = parse(&e) ? explain(&e) : PCLI_USAGE;
out:
	pcli_fini(&e.c);
	return status;
}
