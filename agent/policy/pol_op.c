/* SPDX-License-Identifier: ISC */
/*
 * Operations: what they run, and what they are called together.
 *
 * Rules
 * 1. A placeholder becomes one element of the command or a part of one,
 *    never two: there is no shell, and nothing that a value contains is
 *    split, expanded or removed.
 * 2. What is put in is an identifier, checked again here: it cannot begin
 *    with '-' or '.', and cannot contain '/'. Only {args} takes anything,
 *    as elements of their own. {artifact} is the agent's own path.
 * 3. The program is written out in the policy, absolute and without
 *    placeholders: a request never chooses what is run.
 */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

#define ELEMENT_MAX 4096

/* ---- names ---- */

static uint32_t
add_op(struct pol_load *ld, const char *name, enum pol_op_kind kind)
{
	struct mg_policy *p = ld->p;
	struct pol_op *op;
	uint32_t i, n = p->ops.n;

	/* A name whose place was not there: all behind it would miss theirs. */
	if (ld->no_memory)
		return POL_NONE;
	i = pol_map_add(&p->ops, &p->mem, name, strlen(name));
	if (i == POL_NONE) {
		ld->no_memory = true;
		return POL_NONE;
	}
	if (i < n)
		return i;
	if ((op = pol_vec_add(&p->op_at, sizeof(*op))) == NULL) {
		ld->no_memory = true;
		return POL_NONE;
	}
	op->kind = kind;
	op->def.name = p->ops.v[i].s;
	op->def.run_as = "";
	op->def.cwd = "/";
	op->def.where = "built in";
	return i;
}

void
pol_op_builtin(struct pol_load *ld, const char *name, enum pol_op_kind kind,
    enum pol_level level)
{
	uint32_t i = add_op(ld, name, kind);

	if (i != POL_NONE)
		pol_op(ld->p, i)->level = level;
}

void
pol_ops_builtin(struct pol_load *ld)
{
	pol_op_builtin(ld, "login", POL_OP_HOST, POL_LEVEL_NONE);
	pol_op_builtin(ld, "root-shell", POL_OP_HOST, POL_LEVEL_NONE);
	pol_op_builtin(ld, "log", POL_OP_RIGHT, POL_LEVEL_NONE);
	pol_op_builtin(ld, "revoke", POL_OP_RIGHT, POL_LEVEL_NONE);
	pol_op_builtin(ld, "unenroll", POL_OP_RIGHT, POL_LEVEL_NONE);
	pol_op_builtin(ld, "tokens", POL_OP_RIGHT, POL_LEVEL_NONE);
	pol_perm_builtin(ld);
}

static void
declare(struct pol_load *ld, enum pol_op_kind kind)
{
	const char *name = ld->sec->name;
	struct pol_op *op;
	uint32_t i;

	if (!mg_name_is_valid(name)) {
		pol_err_head(
		    ld, "operation name '%s' %s", name, mg_name_why(name));
		return;
	}
	i = pol_map_find(&ld->p->ops, name, strlen(name));
	if (i == POL_NONE) {
		if ((i = add_op(ld, name, kind)) != POL_NONE)
			pol_op(ld->p, i)->def.where = pol_where(ld);
		return;
	}
	op = pol_op(ld->p, i);
	if (op->kind != POL_OP_MODEL && op->kind != POL_OP_GROUP)
		pol_err_head(ld, "operation '%s' is built in", name);
	else if (op->kind != kind)
		pol_err_head(ld,
		    "'%s' is both an operation and a group of operations",
		    name);
}

void
pol_op_declare(struct pol_load *ld)
{
	declare(ld, POL_OP_MODEL);
}

void
pol_op_group_declare(struct pol_load *ld)
{
	declare(ld, POL_OP_GROUP);
}

/* ---- templates ---- */

static const struct {
	const char *text;
	size_t len;
	enum { P_USER = 1, P_MODEL, P_VERSION, P_ARGS, P_ARTIFACT } what;
} places[] = {
    {"{user}", 6, P_USER},
    {"{model}", 7, P_MODEL},
    {"{version}", 9, P_VERSION},
    {"{args}", 6, P_ARGS},
    {"{artifact}", 10, P_ARTIFACT},
};

#define NPLACES (sizeof(places) / sizeof(places[0]))

/* The place that begins at s, or -1. */
static int
place_at(const char *s)
{
	size_t i;

	for (i = 0; i < NPLACES; i++)
		if (strncmp(s, places[i].text, places[i].len) == 0)
			return (int)i;
	return -1;
}

/* Checks the braces of a template and notes what it takes. */
static bool
check_places(
    struct pol_load *ld, struct mg_operation *def, const char *s, size_t off)
{
	size_t i = strcspn(s, "{}");
	int at;

	for (; s[i] != '\0'; i += strcspn(s + i, "{}")) {
		if ((at = place_at(s + i)) == -1) {
			pol_err(ld, off + i,
			    "only {user}, {model}, {version}, {artifact} and "
			    "{args} can stand in braces");
			return false;
		}
		def->takes_model |= places[at].what == P_MODEL;
		def->takes_version |= places[at].what == P_VERSION;
		if (places[at].what == P_ARGS &&
		    (strcmp(s, "{args}") != 0 || def->takes_args)) {
			pol_err(ld, off + i,
			    "{args} stands once, as a word of its own");
			return false;
		}
		def->takes_args |= places[at].what == P_ARGS;
		def->takes_artifact |= places[at].what == P_ARTIFACT;
		i += places[at].len;
	}
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * The next word of a command: blanks separate, double quotes hold together.
 * NULL at the end, or after an error (then *failedp).
 */
static char *
next_word(struct pol_load *ld, const char **sp, size_t *offp, bool *failedp)
{
	const char *s = *sp, *end;

	while (is_blank(*s))
		s++;
	*offp = (size_t)(s - ld->ln->value);
	*sp = s;
	if (*s == '\0')
		return NULL;
	if (*s != '"') {
		end = s + strcspn(s, " \t\"");
		*sp = end;
		*failedp = *end == '"';
	} else {
		end = strchr(++s, '"'); /* mg_ini saw to it that it is there */
		*failedp = end == NULL || (end[1] != '\0' && !is_blank(end[1]));
		*sp = end == NULL ? s : end + 1;
	}
	if (*failedp) {
		pol_err(ld, (size_t)(*sp - ld->ln->value),
		    "a quote stands around a whole word or not at all");
		return NULL;
	}
	return pol_item_dup(ld, s, (size_t)(end - s));
}

static bool
is_path(struct pol_load *ld, const char *s, size_t off)
{
	if (s[0] != '/')
		pol_err(ld, off, "'%s' is not an absolute path", s);
	else if (strstr(s, "/../") != NULL || strstr(s, "/./") != NULL ||
		 strstr(s, "//") != NULL)
		pol_err(ld, off, "the path is not in its shortest form");
	else
		return true;
	return false;
}

static void
set_command(struct pol_load *ld, void *obj)
{
	struct mg_operation *def = &((struct pol_op *)obj)->def;
	const char *s = ld->ln->value, **argv;
	bool failed = false, ok = true;
	size_t off;
	char *word;

	argv = pol_alloc(&ld->p->mem, (POL_ARGV_MAX + 1) * sizeof(*argv));
	if (argv == NULL) {
		ld->no_memory = true;
		return;
	}
	def->argv = argv;
	while ((word = next_word(ld, &s, &off, &failed)) != NULL) {
		if (def->argc == POL_ARGV_MAX) {
			pol_err(ld, off, "more than %d words", POL_ARGV_MAX);
			return;
		}
		if (def->argc == 0 && strpbrk(word, "{}") != NULL) {
			pol_err(ld, off, /* Rule 3 */
			    "the program cannot be a placeholder");
			ok = false;
		} else if (def->argc == 0) {
			ok = is_path(ld, word, off);
		}
		ok = ok && check_places(ld, def, word, off);
		argv[def->argc++] =
		    pol_strndup(&ld->p->mem, word, strlen(word));
		if (argv[def->argc - 1] == NULL)
			ld->no_memory = true;
	}
}

static const char *
keep_value(struct pol_load *ld)
{
	const char *s =
	    pol_strndup(&ld->p->mem, ld->ln->value, strlen(ld->ln->value));

	return s == NULL ? pol_oom(ld) : s;
}

static void
set_run_as(struct pol_load *ld, void *obj)
{
	const char *v = ld->ln->value;

	if (pol_name(ld, "user", v, strlen(v), 0))
		((struct pol_op *)obj)->def.run_as = keep_value(ld);
}

static void
set_cwd(struct pol_load *ld, void *obj)
{
	if (is_path(ld, ld->ln->value, 0))
		((struct pol_op *)obj)->def.cwd = keep_value(ld);
}

/* A path with places in it; NULL after an error. */
static const char *
path_value(struct pol_load *ld, struct mg_operation *def)
{
	const char *v = ld->ln->value;

	if (strstr(v, "{args}") != NULL || strstr(v, "{artifact}") != NULL)
		pol_err(ld, 0, "{args} and {artifact} cannot stand in a path");
	else if (is_path(ld, v, 0) && check_places(ld, def, v, 0))
		return keep_value(ld);
	return NULL;
}

static void
set_artifact(struct pol_load *ld, void *obj)
{
	struct mg_operation *def = &((struct pol_op *)obj)->def;

	def->artifact = path_value(ld, def);
}

static void
set_serves(struct pol_load *ld, void *obj)
{
	struct mg_operation *def = &((struct pol_op *)obj)->def;

	def->serves = path_value(ld, def);
}

static void
set_effect(struct pol_load *ld, void *obj)
{
	static const char *const words[] = {
	    "serve", "promote", "retire", "none"};
	size_t i;

	for (i = 0; i < 4; i++)
		if (strcmp(ld->ln->value, words[i]) == 0) {
			((struct pol_op *)obj)->def.effect = words[i];
			return;
		}
	pol_err(
	    ld, 0, "'%s' is not serve, promote, retire or none", ld->ln->value);
}

/* What operations of these names do unless it is said otherwise. */
static const char *
usual_effect(const char *name)
{
	if (strcmp(name, "deploy") == 0 || strcmp(name, "rollback") == 0)
		return "serve";
	if (strcmp(name, "promote") == 0 || strcmp(name, "retire") == 0)
		return name;
	return "none";
}

static void
set_level(struct pol_load *ld, void *obj)
{
	enum pol_level l;

	for (l = POL_LEVEL_READ; l <= POL_LEVEL_MANAGE; l++)
		if (strcmp(ld->ln->value, pol_level_words[l]) == 0)
			break;
	if (l > POL_LEVEL_MANAGE)
		pol_err(ld, 0,
		    "'%s' is not read, edit, manage-staging, "
		    "manage-production or manage",
		    ld->ln->value);
	else
		((struct pol_op *)obj)->level = l;
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key op_keys[] = {
    {"command", set_command},
    {"run-as", set_run_as},
    {"cwd", set_cwd},
    {"artifact", set_artifact},
    {"serves", set_serves},
    {"effect", set_effect},
    {"level", set_level},
    {"description", set_description},
    {NULL, NULL},
};

/* The operation of the current section, if it was declared as that. */
static struct pol_op *
op_of_section(struct pol_load *ld, enum pol_op_kind kind)
{
	const char *name = ld->sec->name;
	uint32_t i = pol_map_find(&ld->p->ops, name, strlen(name));

	if (i == POL_NONE || pol_op(ld->p, i)->kind != kind)
		return NULL;
	return pol_op(ld->p, i);
}

static bool
has_key(struct pol_load *ld, const char *key)
{
	uint32_t i;

	for (i = 0; i < ld->sec->n; i++)
		if (strcmp(pol_line(&ld->src, ld->sec->first + i)->key, key) ==
		    0)
			return true;
	pol_err_head(
	    ld, "[%s %s] needs a '%s'", ld->sec->type, ld->sec->name, key);
	return false;
}

void
pol_op_parse(struct pol_load *ld)
{
	struct pol_op *op = op_of_section(ld, POL_OP_MODEL);

	if (op == NULL)
		return;
	pol_keys(ld, op_keys, op, NULL);
	(void)has_key(ld, "command");
	(void)has_key(ld, "run-as");
	if (op->def.effect == NULL)
		op->def.effect = usual_effect(op->def.name);
	if (op->def.takes_artifact && op->def.artifact == NULL)
		(void)has_key(ld, "artifact");
}

static void
set_operations(struct pol_load *ld, void *obj)
{
	const struct pol_ids *ids = pol_ops_parse(ld, false);

	if (ids != NULL)
		((struct pol_op *)obj)->members = *ids;
}

static const struct pol_key group_keys[] = {
    {"operations", set_operations},
    {"description", set_description},
    {NULL, NULL},
};

void
pol_op_group_parse(struct pol_load *ld)
{
	struct pol_op *op = op_of_section(ld, POL_OP_GROUP);

	if (op == NULL)
		return;
	if (has_key(ld, "operations"))
		pol_keys(ld, group_keys, op, NULL);
}

/* ---- lists of operations ---- */

static void
add_id(struct pol_ids *ids, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < ids->n; i++)
		if (ids->v[i] == id)
			return;
	ids->v[ids->n++] = id;
}

static bool
add_ops(struct pol_load *ld, const struct pol_iter *it, bool may_star,
    struct pol_ids *ids)
{
	struct mg_policy *p = ld->p;
	char meant[POL_MEANT];
	struct pol_op *op;
	uint32_t i, id;

	if (it->len == 1 && it->s[0] == '*' && may_star) {
		for (i = 0; i < p->ops.n; i++)
			if (pol_op(p, i)->kind == POL_OP_MODEL)
				add_id(ids, i);
		return true;
	}
	id = pol_map_find(&p->ops, it->s, it->len);
	if (id == POL_NONE) {
		pol_err(ld, it->off, "no operation '%.*s' is defined%s",
		    (int)it->len, it->s,
		    pol_map_meant(&p->ops, it->s, it->len, meant));
		return false;
	}
	op = pol_op(p, id);
	if (op->kind != POL_OP_GROUP) {
		add_id(ids, id);
		return true;
	}
	if (strcmp(ld->sec->type, "operation-group") == 0) {
		pol_err(ld, it->off, "'%.*s' is a group itself", (int)it->len,
		    it->s);
		return false;
	}
	for (i = 0; i < op->members.n; i++)
		add_id(ids, op->members.v[i]);
	return true;
}

const struct pol_ids *
pol_ops_parse(struct pol_load *ld, bool may_star)
{
	const char kind = may_star ? 'O' : 'o';
	const struct pol_ids *shared;
	struct pol_ids *ids, all = {0};
	struct pol_iter it;
	bool ok = true;

	if ((shared = pol_shared_get(ld, kind, ld->ln->value)) != NULL)
		return shared;
	all.v = pol_alloc(&ld->p->mem, ld->p->ops.n * sizeof(*all.v));
	ids = pol_alloc(&ld->p->mem, sizeof(*ids));
	if (all.v == NULL || ids == NULL)
		return pol_oom(ld);
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it))
		ok = add_ops(ld, &it, may_star, &all) && ok;
	if (!ok || it.failed)
		return NULL;
	*ids = all;
	pol_shared_put(ld, kind, ld->ln->value, ids);
	return ids;
}

/* ---- expansion ---- */

static const char *
value_of(const struct mg_expand *x, int place, const char **whatp)
{
	const char *v = NULL;

	switch (places[place].what) {
	case P_USER:
		*whatp = "user";
		v = x->user;
		break;
	case P_MODEL:
		*whatp = "model";
		v = x->model;
		break;
	case P_VERSION:
		*whatp = "version";
		v = x->version;
		break;
	case P_ARGS:
		*whatp = "args";
		break;
	case P_ARTIFACT:
		*whatp = "artifact";
		v = x->artifact;
		return v == NULL || v[0] != '/' ? NULL : v;
	}
	/* Rule 2 */
	return v == NULL || !mg_name_is_valid(v) ? NULL : v;
}

/* Expands one element into out (size bytes). */
static enum mg_err
expand(const char *tmpl, const struct mg_expand *x, char *out, size_t size,
    const char **whatp)
{
	const char *v, *s = tmpl;
	size_t used = 0, n;
	int at;

	while (*s != '\0') {
		at = *s == '{' ? place_at(s) : -1;
		if (at == -1) {
			v = s;
			n = 1;
			s++;
		} else {
			if ((v = value_of(x, at, whatp)) == NULL)
				return MG_ERR_FORMAT;
			n = strlen(v);
			s += places[at].len;
		}
		if (n >= size - used)
			return MG_ERR_LIMIT;
		memcpy(out + used, v, n);
		used += n;
	}
	out[used] = '\0';
	return MG_ERR_OK;
}

static enum mg_err
put_element(const char *s, char **argv, size_t max, size_t *argcp)
{
	/* One place is the terminating NULL's. */
	if (*argcp + 1 >= max || strlen(s) >= ELEMENT_MAX)
		return MG_ERR_LIMIT;
	if ((argv[*argcp] = strdup(s)) == NULL)
		return MG_ERR_NOMEM;
	(*argcp)++;
	return MG_ERR_OK;
}

static enum mg_err
put_args(const struct mg_expand *x, char **argv, size_t max, size_t *argcp)
{
	enum mg_err r = MG_ERR_OK;
	size_t i;

	for (i = 0; i < x->nargs && r == MG_ERR_OK; i++)
		r = put_element(x->args[i], argv, max, argcp);
	return r;
}

enum mg_err
mg_operation_argv(const struct mg_operation *op, const struct mg_expand *x,
    char **argv, size_t max, size_t *argcp, const char **whatp)
{
	char out[ELEMENT_MAX];
	enum mg_err r = MG_ERR_OK;
	size_t i;

	*argcp = 0;
	*whatp = NULL;
	if (max == 0)
		return MG_ERR_LIMIT;
	for (i = 0; i < op->argc && r == MG_ERR_OK; i++) {
		if (strcmp(op->argv[i], "{args}") == 0) {
			r = put_args(x, argv, max, argcp);
			continue;
		}
		r = expand(op->argv[i], x, out, sizeof(out), whatp);
		if (r == MG_ERR_OK)
			r = put_element(out, argv, max, argcp);
	}
	if (r != MG_ERR_FORMAT)
		*whatp = NULL;
	while (r != MG_ERR_OK && *argcp > 0)
		free(argv[--*argcp]);
	argv[*argcp] = NULL;
	return r;
}

static enum mg_err
expand_path(const char *tmpl, const struct mg_expand *x, char *out, size_t size)
{
	const char *what;
	enum mg_err r;

	if (size > 0)
		out[0] = '\0';
	if (tmpl == NULL)
		return MG_ERR_NOENT;
	if (size == 0)
		return MG_ERR_LIMIT;
	r = expand(tmpl, x, out, size, &what);
	if (r != MG_ERR_OK)
		out[0] = '\0';
	return r;
}

enum mg_err
mg_operation_artifact(const struct mg_operation *op, const struct mg_expand *x,
    char *out, size_t size)
{
	return expand_path(op->artifact, x, out, size);
}

enum mg_err
mg_operation_serves(const struct mg_operation *op, const struct mg_expand *x,
    char *out, size_t size)
{
	return expand_path(op->serves, x, out, size);
}
