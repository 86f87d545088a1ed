/* SPDX-License-Identifier: ISC */
/* From sections and lines to a policy. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pol.h"

void
pol_err(struct pol_load *ld, size_t off, const char *fmt, ...)
{
	char text[MG_DIAG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pol_diag(&ld->src, false, ld->sec->file, ld->ln->line,
	    ld->ln->value_col + (unsigned)off, "%s", text);
}

void
pol_err_key(struct pol_load *ld, const char *fmt, ...)
{
	char text[MG_DIAG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pol_diag(&ld->src, false, ld->sec->file, ld->ln->line, ld->ln->key_col,
	    "%s", text);
}

void
pol_err_head(struct pol_load *ld, const char *fmt, ...)
{
	char text[MG_DIAG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pol_diag(&ld->src, false, ld->sec->file, ld->sec->line,
	    ld->sec->name[0] == '\0' ? 2 : ld->sec->name_col, "%s", text);
}

void *
pol_oom(struct pol_load *ld)
{
	ld->no_memory = true;
	return NULL;
}

/* By hand: it is asked for once for every rule. */
const char *
pol_where(struct pol_load *ld)
{
	const char *path = pol_file(&ld->src, ld->sec->file)->path;
	char digits[16], *p = digits + sizeof(digits), *s;
	size_t n = strlen(path), len;
	uint32_t line = ld->sec->line;

	do {
		*--p = (char)('0' + line % 10);
		line /= 10;
	} while (line > 0);
	*--p = ':';
	len = (size_t)(digits + sizeof(digits) - p);
	if ((s = pol_alloc(&ld->p->mem, n + len + 1)) == NULL)
		return pol_oom(ld);
	memcpy(s, path, n);
	memcpy(s + n, p, len);
	return s;
}

void
pol_each(struct pol_load *ld, const char *type, void (*fn)(struct pol_load *ld))
{
	uint32_t i;

	for (i = 0; i < ld->src.sections.n && !ld->no_memory; i++) {
		ld->sec = pol_section(&ld->src, i);
		ld->ln = NULL;
		if (strcmp(ld->sec->type, type) == 0)
			fn(ld);
	}
}

static void
unknown_key(struct pol_load *ld, const struct pol_key *k)
{
	const char *key = ld->ln->key;

	while (k->key != NULL && !mg_name_is_slip(key, strlen(key), k->key))
		k++;
	pol_err_key(ld, "unknown key '%s' in [%s]%s%s%s", key, ld->sec->type,
	    k->key == NULL ? "" : "; is it '", k->key == NULL ? "" : k->key,
	    k->key == NULL ? "" : "'?");
}

void
pol_keys(struct pol_load *ld, const struct pol_key *keys, void *obj,
    bool (*other)(struct pol_load *ld, void *obj))
{
	const struct pol_key *k;
	uint32_t i;

	for (i = 0; i < ld->sec->n && !ld->no_memory; i++) {
		ld->ln = pol_line(&ld->src, ld->sec->first + i);
		for (k = keys; k->key != NULL; k++)
			if (strcmp(k->key, ld->ln->key) == 0)
				break;
		if (k->key != NULL)
			k->set(ld, obj);
		else if (other == NULL || !other(ld, obj))
			unknown_key(ld, keys);
	}
}

/* What may stand in brackets, and whether it has a name. */
static const struct {
	const char *type;
	bool has_name, in_operations;
} types[] = {
    {"policy", false, false},
    {"role", true, false},
    {"user", true, false},
    {"model", true, false},
    {"permission", true, false},
    {"operation", true, true},
    {"operation-group", true, true},
    {"rule", true, false},
    {"separation", true, false},
    {"test", true, false},
};

static void
unknown_type(struct pol_load *ld)
{
	const struct pol_section *sec = ld->sec;
	const char *meant = NULL;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (mg_name_is_slip(
			sec->type, strlen(sec->type), types[i].type))
			meant = types[i].type;
	pol_diag(&ld->src, false, sec->file, sec->line, 2,
	    "unknown section type '%s'%s%s%s", sec->type,
	    meant == NULL ? "" : "; is it '", meant == NULL ? "" : meant,
	    meant == NULL ? "" : "'?");
}

static bool
check_type(struct pol_load *ld)
{
	const struct pol_section *sec = ld->sec;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].type, sec->type) == 0)
			break;
	if (i == sizeof(types) / sizeof(types[0])) {
		unknown_type(ld);
		return false;
	}
	if (!types[i].has_name && sec->name[0] != '\0') {
		pol_err_head(ld, "[%s] has no name", sec->type);
		return false;
	}
	if (types[i].has_name && sec->name[0] == '\0') {
		pol_diag(&ld->src, false, sec->file, sec->line,
		    (unsigned)strlen(sec->type) + 2, "[%s] needs a name",
		    sec->type);
		return false;
	}
	if (pol_file(&ld->src, sec->file)->is_operations &&
	    !types[i].in_operations) {
		pol_diag(&ld->src, false, sec->file, sec->line, 2,
		    "[%s] belongs into the policy folder, not here", sec->type);
		return false;
	}
	return true;
}

static void
check_twice(struct pol_load *ld, uint32_t i)
{
	size_t type = strlen(ld->sec->type), name = strlen(ld->sec->name);
	const struct pol_section *first;
	char text[2 * MG_INI_LINE_MAX + 2];
	uint32_t id, n = ld->seen.n;

	memcpy(text, ld->sec->type, type);
	text[type] = ' ';
	memcpy(text + type + 1, ld->sec->name, name + 1);
	id = pol_map_add(&ld->seen, &ld->src.mem, text, type + 1 + name);
	if (id == POL_NONE) {
		ld->no_memory = true;
	} else if (id == n) {
		ld->seen_at[id] = i;
	} else {
		first = pol_section(&ld->src, ld->seen_at[id]);
		pol_err_head(ld, "[%s] stands at %s:%u already", text,
		    pol_file(&ld->src, first->file)->path, first->line);
	}
}

/* Sections of unknown types are dropped by giving them an empty type. */
static void
check_sections(struct pol_load *ld)
{
	uint32_t i;

	ld->seen_at = calloc(ld->src.sections.n + 1, sizeof(*ld->seen_at));
	if (ld->seen_at == NULL) {
		ld->no_memory = true;
		return;
	}
	for (i = 0; i < ld->src.sections.n && !ld->no_memory; i++) {
		struct pol_section *sec = pol_section(&ld->src, i);

		ld->sec = sec;
		if (check_type(ld))
			check_twice(ld, i);
		else
			sec->type = "";
	}
}

static void
build(struct pol_load *ld)
{
	check_sections(ld);
	pol_ops_builtin(ld);
	pol_each(ld, "policy", pol_guard_zone);
	pol_each(ld, "role", pol_role_declare);
	pol_each(ld, "permission", pol_perm_declare);
	pol_each(ld, "operation", pol_op_declare);
	pol_each(ld, "operation-group", pol_op_group_declare);
	pol_roles_parse(ld);
	pol_each(ld, "user", pol_user_parse);
	pol_each(ld, "model", pol_model_parse);
	pol_each(ld, "operation", pol_op_parse);
	pol_each(ld, "operation-group", pol_op_group_parse);
	pol_each(ld, "policy", pol_guard_parse);
	pol_each(ld, "permission", pol_perm_parse);
	pol_each(ld, "rule", pol_rule_parse);
	/* What follows goes by what is there: nothing of it may be half made.
	 */
	if (ld->no_memory)
		return;
	pol_perm_finish(ld);
	pol_each(ld, "separation", pol_separation_parse);
	pol_users_finish(ld);
	pol_models_finish(ld);
	pol_each(ld, "test", pol_test_parse);
	pol_names_finish(ld);
	if (ld->src.ds->errors > 0 || ld->no_memory)
		return;
	if (ld->is_linted)
		pol_lint(ld, ld->lint);
	pol_index_build(ld);
	if (!ld->no_memory && !ld->ignore_tests)
		pol_tests_check(ld);
}

/* r is how reading went; takes and ends ld->src. */
static enum mg_err
load(struct pol_load *ld, enum mg_err r, struct mg_policy **pp)
{
	*pp = NULL;
	if (r != MG_ERR_OK && r != MG_ERR_FORMAT)
		goto out;
	r = MG_ERR_NOMEM;
	if ((ld->p = calloc(1, sizeof(*ld->p))) == NULL)
		goto out;
	if ((r = pol_source_digest(
		 &ld->src, ld->p->digest, sizeof(ld->p->digest))) != MG_ERR_OK)
		goto out;
	build(ld);
	if (ld->no_memory || ld->src.no_memory)
		r = MG_ERR_NOMEM;
	else if (ld->src.ds->errors > 0)
		r = MG_ERR_FORMAT;
	if (r != MG_ERR_OK)
		goto out;
	*pp = ld->p;
	ld->p = NULL;
out:
	mg_policy_free(ld->p);
	pol_source_fini(&ld->src);
	pol_map_fini(&ld->seen);
	pol_map_fini(&ld->shared);
	pol_vec_fini(&ld->shared_at);
	pol_vec_fini(&ld->members);
	pol_vec_fini(&ld->user_attrs);
	pol_vec_fini(&ld->attrs);
	free(ld->seen_at);
	return r;
}

enum mg_err
mg_policy_load(const struct mg_policy_source *src, struct mg_policy **pp,
    struct mg_diags *ds)
{
	struct pol_load ld = {.can = src->can,
	    .zone_dir = src->zone_dir == NULL ? POL_ZONE_DIR : src->zone_dir,
	    .ignore_tests = src->ignore_tests,
	    .is_linted = true,
	    .lint = src->lint,
	    .is_strict = src->rule != NULL && !src->rule->any_owner};

	return load(&ld, pol_source_read(&ld.src, src, ds), pp);
}

enum mg_err
pol_load_texts(const struct pol_text *texts, size_t n, struct mg_policy **pp,
    struct mg_diags *ds)
{
	struct pol_load ld = {
	    .can = MG_POLICY_CAN_ALL, .zone_dir = POL_ZONE_DIR};

	return load(&ld, pol_source_take(&ld.src, texts, n, ds), pp);
}

enum mg_err
pol_load_texts_lint(const struct pol_text *texts, size_t n,
    const struct mg_policy_lint *lint, struct mg_policy **pp,
    struct mg_diags *ds)
{
	struct pol_load ld = {.can = MG_POLICY_CAN_ALL,
	    .zone_dir = POL_ZONE_DIR,
	    .is_linted = true,
	    .lint = lint};

	return load(&ld, pol_source_take(&ld.src, texts, n, ds), pp);
}
