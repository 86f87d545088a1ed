/* SPDX-License-Identifier: ISC */
/* What all tools have in common: options, and loading a policy. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_time.h"
#include "pcli.h"

bool
pcli_init(struct pcli *c, const char *tool)
{
	memset(c, 0, sizeof(*c));
	c->tool = tool;
	c->dir = MG_CONFDIR "/policy.d";
	c->is_default = true;
	c->now_ms = mg_time_wall_ms();
	mg_diags_init(&c->ds);
	if ((c->people = pcli_people_new()) == NULL) {
		pcli_error("out of memory");
		return false;
	}
	c->view = pcli_people_view(c->people);
	return true;
}

void
pcli_fini(struct pcli *c)
{
	mg_policy_free(c->p);
	pcli_people_free(c->people);
}

/* While options are taken. */
struct taker {
	struct pcli *c;
	char **argv;
	int argc, i;
	bool bad;
};

/* The value of the option called name, if that is what stands here. */
static const char *
value_of(struct taker *t, const char *name)
{
	size_t n = strlen(name);
	const char *s = t->argv[t->i];

	if (strncmp(s, name, n) == 0 && s[n] == '=' && s[1] == '-')
		return s + n + 1;
	if (strcmp(s, name) != 0)
		return NULL;
	if (t->i + 1 < t->argc && t->argv[t->i + 1] != NULL)
		return t->argv[++t->i];
	pcli_error("'%s' needs a value", name);
	t->bad = true;
	return "";
}

static bool
take_shared(struct taker *t)
{
	struct pcli *c = t->c;
	const char *v;

	if (strcmp(t->argv[t->i], "--json") == 0) {
		c->json = true;
	} else if (strcmp(t->argv[t->i], "--no-nss") == 0) {
		pcli_people_only(c->people);
	} else if ((v = value_of(t, "--group")) != NULL) {
		if (!t->bad && !pcli_people_add(c->people, v)) {
			pcli_error(
			    "'%s' is not of the form GROUP=USER,USER", v);
			t->bad = true;
		}
	} else if ((v = value_of(t, "--at")) != NULL) {
		if (!t->bad && mg_time_parse(v, 0, &c->now_ms) != MG_ERR_OK) {
			pcli_error("'%s' is not a time such as "
				   "2026-12-24T18:00Z",
			    v);
			t->bad = true;
		}
	} else if ((v = value_of(t, "-d")) != NULL) {
		c->dir = v;
		c->is_default = false;
	} else if ((v = value_of(t, "-O")) != NULL) {
		c->operations = v;
	} else {
		return false;
	}
	return true;
}

static bool
take_own(struct taker *t, const struct pcli_opt *o)
{
	const char *v;

	for (; o != NULL && o->name != NULL; o++) {
		if (o->flag != NULL && strcmp(t->argv[t->i], o->name) == 0) {
			*o->flag = true;
			return true;
		}
		if (o->value != NULL && (v = value_of(t, o->name)) != NULL) {
			*o->value = v;
			return true;
		}
	}
	return false;
}

/* The option that s is but for one slip, or NULL. */
static const char *
meant_option(const char *s, const struct pcli_opt *o)
{
	static const struct pcli_opt shared[] = {{.name = "--json"},
	    {.name = "--no-nss"}, {.name = "--group"}, {.name = "--at"},
	    {.name = NULL}};
	int i;

	for (i = 0; i < 2; i++, o = shared)
		for (; o != NULL && o->name != NULL; o++)
			if (mg_name_is_slip(s, strcspn(s, "="), o->name))
				return o->name;
	return NULL;
}

int
pcli_args(struct pcli *c, int argc, char **argv, const struct pcli_opt *opts,
    const char *help)
{
	struct taker t = {.c = c, .argv = argv, .argc = argc, .i = 1};
	const char *meant;
	bool more = true;

	c->pos = argv + 1; /* never more of them than were read */
	for (; t.i < argc && !t.bad; t.i++) {
		const char *s = argv[t.i];

		if (more &&
		    (strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0)) {
			printf("usage: modelgate policy %s", help);
			return PCLI_OK;
		}
		if (more && strcmp(s, "--") == 0) {
			more = false;
		} else if (!more || s[0] != '-' || s[1] == '\0') {
			c->pos[c->npos++] = argv[t.i];
		} else if (!take_shared(&t) && !take_own(&t, opts)) {
			meant = meant_option(s, opts);
			pcli_error("unknown option '%s'; see `modelgate "
				   "policy %s --help`%s%s%s",
			    s, c->tool, meant == NULL ? "" : "; is it '",
			    meant == NULL ? "" : meant,
			    meant == NULL ? "" : "'?");
			t.bad = true;
		}
	}
	return t.bad ? PCLI_USAGE : -1;
}

char *
pcli_operations_of(const char *dir)
{
	size_t n = strlen(dir);
	char *path;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n < 8 || memcmp(dir + n - 8, "policy.d", 8) != 0 ||
	    (n > 8 && dir[n - 9] != '/'))
		return NULL;
	if (asprintf(&path, "%.*soperations.d", (int)(n - 8), dir) == -1)
		return NULL;
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

void
pcli_hint_operations(
    const struct mg_diags *ds, const char *dir, const char *operations)
{
	static const char missing[] = "no operation '";
	char *beside = operations == NULL ? pcli_operations_of(dir) : NULL;
	size_t i = 0;

	while (i < ds->n &&
	       strncmp(ds->v[i].text, missing, sizeof(missing) - 1) != 0)
		i++;
	if (i < ds->n && operations == NULL && beside == NULL)
		pcli_error("no operations folder belongs to %s; -O DIR names "
			   "one",
		    dir);
	free(beside);
}

static enum mg_err
load_dir(const char *dir, const char *operations, bool ignore_tests,
    const struct mg_policy_lint *lint, struct mg_policy **pp,
    struct mg_diags *ds)
{
	char *beside = NULL;
	struct mg_policy_source src = {.policy_dir = dir,
	    .can = MG_POLICY_CAN_AGENT,
	    .ignore_tests = ignore_tests,
	    .lint = lint};
	enum mg_err r;

	if (operations == NULL)
		operations = beside = pcli_operations_of(dir);
	src.operations_dir = operations;
	r = mg_policy_load(&src, pp, ds);
	free(beside);
	return r;
}

enum mg_err
pcli_load_dir(const char *dir, const char *operations, bool ignore_tests,
    struct mg_policy **pp, struct mg_diags *ds)
{
	return load_dir(dir, operations, ignore_tests, NULL, pp, ds);
}

static bool
has_user(void *arg, const char *user)
{
	return pcli_people_has_user(arg, user);
}

static bool
has_group(void *arg, const char *group)
{
	return pcli_people_has_group(arg, group);
}

enum mg_err
pcli_load_lint(struct pcli *c)
{
	const struct mg_policy_lint lint = {.people = c->view,
	    .now_ms = c->now_ms,
	    .arg = c->people,
	    .has_user = has_user,
	    .has_group = has_group,
	    .is_elsewhere = pcli_people_is_only(c->people)};

	return load_dir(c->dir, c->operations, false, &lint, &c->p, &c->ds);
}

void
pcli_print_diags(const struct mg_diags *ds)
{
	mg_diags_print(ds, stderr);
}

void
pcli_json_diags(struct mg_json *j, const struct mg_diags *ds)
{
	size_t i;

	mg_json_int(j, "errors", (int64_t)ds->errors);
	mg_json_int(j, "warnings", (int64_t)ds->warnings);
	mg_json_arr(j, "problems");
	for (i = 0; i < ds->n; i++) {
		const struct mg_diag *d = &ds->v[i];

		mg_json_obj(j, NULL);
		mg_json_str(j, "level", d->is_warning ? "warning" : "error");
		mg_json_str(j, "file", d->file);
		mg_json_int(j, "line", d->line);
		mg_json_int(j, "column", d->col);
		mg_json_str(j, "message", d->text);
		mg_json_str(j, "source", d->src);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

int
pcli_load(struct pcli *c, bool ignore_tests)
{
	struct pcli_json pj;
	struct mg_json *j;
	enum mg_err r;

	r = pcli_load_dir(c->dir, c->operations, ignore_tests, &c->p, &c->ds);
	if (r == MG_ERR_OK)
		return PCLI_OK;
	if (r != MG_ERR_FORMAT) {
		pcli_error("%s", mg_err_str(r));
		return PCLI_FAILED;
	}
	if (c->json) {
		j = pcli_json_begin(&pj);
		mg_json_bool(j, "loads", false);
		pcli_json_diags(j, &c->ds);
		return pcli_json_end(&pj, PCLI_FAILED);
	}
	pcli_print_diags(&c->ds);
	pcli_hint_operations(&c->ds, c->dir, c->operations);
	pcli_error("the policy in %s does not load", c->dir);
	return PCLI_FAILED;
}
