/* SPDX-License-Identifier: ISC */
/* [rule]: whom, what, where it is about, and what it asks for. */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

/* A rule while its lines are read. */
struct draft {
	struct pol_rule r;
	struct pol_demand d;
	const struct pol_line *first_demand;
	char text[MG_INI_LINE_MAX * 2]; /* of all demands, to share them */
	size_t len;
};

static void
set_effect(struct pol_load *ld, void *obj)
{
	struct draft *dr = obj;
	const char *v = ld->ln->value;

	if (strcmp(v, "allow") == 0)
		dr->r.effect = POL_ALLOW;
	else if (strcmp(v, "deny") == 0)
		dr->r.effect = POL_DENY;
	else if (strcmp(v, "require") == 0)
		dr->r.effect = POL_REQUIRE;
	else
		pol_err(ld, 0, "'%s' is not allow, deny or require", v);
}

static bool
is_value(struct pol_load *ld, const char *key, const char *value)
{
	uint32_t i;

	for (i = 0; i < ld->sec->n; i++) {
		const struct pol_line *l =
		    pol_line(&ld->src, ld->sec->first + i);

		if (strcmp(l->key, key) == 0)
			return strcmp(l->value, value) == 0;
	}
	return false;
}

static void
set_operation(struct pol_load *ld, void *obj)
{
	struct draft *dr = obj;
	bool may_star =
	    is_value(ld, "effect", "deny") || is_value(ld, "effect", "require");

	if (!may_star && strcmp(ld->ln->value, "*") == 0)
		pol_err(ld, 0,
		    "a rule that allows names its operations; '*' is for "
		    "deny and require");
	else
		dr->r.ops = pol_ops_parse(ld, may_star);
}

static void
set_role(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.role = pol_sel_parse(ld, 'r', pol_role_atom);
}

static void
set_user(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.user = pol_sel_parse(ld, 'u', pol_user_atom);
}

static void
set_model(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.model = pol_sel_parse(ld, 'm', pol_model_atom);
}

static uint32_t
version_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	uint32_t i;

	if (!pol_glob(ld, "version", s, n, off))
		return POL_NONE;
	i = pol_map_add(&ld->p->versions, &ld->p->mem, s, n);
	ld->no_memory = ld->no_memory || i == POL_NONE;
	return i;
}

static void
set_version(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.version = pol_sel_parse(ld, 'v', version_atom);
}

/* A label "key:value", or a pattern of host names. */
static uint32_t
host_atom(struct pol_load *ld, const char *s, size_t n, size_t off)
{
	struct mg_policy *p = ld->p;
	bool is_label = memchr(s, ':', n) != NULL;
	uint32_t before = p->host_atoms.n, i, *slot;

	if (!(is_label ? pol_label(ld, s, n, off)
		       : pol_glob(ld, "host", s, n, off)))
		return POL_NONE;
	i = pol_map_add(&p->host_atoms, &p->mem, s, n);
	if (i == POL_NONE) {
		ld->no_memory = true;
		return POL_NONE;
	}
	if (i < before || is_label)
		return i;
	if (p->host_patterns.n == POL_HOST_PATTERNS_MAX) {
		pol_err(ld, off, "more than %u different host names",
		    POL_HOST_PATTERNS_MAX);
		return POL_NONE;
	}
	if ((slot = pol_vec_add(&p->host_patterns, sizeof(*slot))) == NULL)
		ld->no_memory = true;
	else
		*slot = i;
	return i;
}

static void
set_host(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.host = pol_sel_parse(ld, 'h', host_atom);
}

static void
set_from(struct pol_load *ld, void *obj)
{
	((struct draft *)obj)->r.from = pol_nets_parse(ld);
}

/* ---- demands ---- */

/* Remembers that the current line is one. */
static struct pol_demand *
demand(struct pol_load *ld, void *obj)
{
	struct draft *dr = obj;
	size_t k = strlen(ld->ln->key), v = strlen(ld->ln->value);

	if (dr->first_demand == NULL)
		dr->first_demand = ld->ln;
	if (k + v + 2 < sizeof(dr->text) - dr->len) {
		memcpy(dr->text + dr->len, ld->ln->key, k);
		dr->text[dr->len + k] = '=';
		memcpy(dr->text + dr->len + k + 1, ld->ln->value, v);
		dr->text[dr->len + k + 1 + v] = '\n';
		dr->len += k + v + 2;
		dr->text[dr->len] = '\0';
	} else {
		dr->len = sizeof(dr->text); /* too long to be shared */
	}
	return &dr->d;
}

static void
set_mfa(struct pol_load *ld, void *obj)
{
	struct pol_demand *d = demand(ld, obj);

	if (strcmp(ld->ln->value, "required") == 0)
		d->mfa = true;
	else
		pol_err(ld, 0, "'%s' is not 'required'", ld->ln->value);
}

/* "2 risk-owner" */
static bool
put_need(struct pol_load *ld, struct pol_demand *d, const struct pol_iter *it)
{
	size_t digits = 0, name;
	struct pol_need need;
	uint32_t i;

	while (
	    digits < it->len && it->s[digits] != ' ' && it->s[digits] != '\t')
		digits++;
	for (name = digits;
	     name < it->len && (it->s[name] == ' ' || it->s[name] == '\t');)
		name++;
	if (name == it->len) {
		pol_err(ld, it->off,
		    "write how many of which role, such as '1 risk-owner'");
		return false;
	}
	if (!pol_count(ld, it->s, digits, it->off, POL_COUNT_MAX, &need.count))
		return false;
	need.role =
	    pol_role_atom(ld, it->s + name, it->len - name, it->off + name);
	if (need.role == POL_NONE)
		return false;
	for (i = 0; i < d->nneeds; i++)
		if (d->need[i].role == need.role) {
			pol_err(ld, it->off + name, "the role stands twice");
			return false;
		}
	if (d->nneeds == MG_VERDICT_SLOTS_MAX) {
		pol_err(
		    ld, it->off, "more than %d roles", MG_VERDICT_SLOTS_MAX);
		return false;
	}
	d->need[d->nneeds++] = need;
	return true;
}

static void
set_approve(struct pol_load *ld, void *obj)
{
	struct pol_demand *d = demand(ld, obj);
	struct pol_iter it;

	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it))
		if (!put_need(ld, d, &it))
			return;
}

static void
set_approve_within(struct pol_load *ld, void *obj)
{
	(void)pol_duration(ld, &demand(ld, obj)->approve_within_ms);
}

static void
set_start_within(struct pol_load *ld, void *obj)
{
	(void)pol_duration(ld, &demand(ld, obj)->start_within_ms);
}

static void
set_lasts(struct pol_load *ld, void *obj)
{
	(void)pol_duration(ld, &demand(ld, obj)->lasts_ms);
}

static void
set_uses(struct pol_load *ld, void *obj)
{
	struct pol_demand *d = demand(ld, obj);
	const char *v = ld->ln->value;

	d->has_uses = true;
	if (strcmp(v, "unlimited") != 0)
		(void)pol_count(ld, v, strlen(v), 0, POL_USES_MAX, &d->uses);
}

static void
set_description(struct pol_load *ld, void *obj)
{
	(void)ld;
	(void)obj;
}

static const struct pol_key rule_keys[] = {
    {"effect", set_effect},
    {"operation", set_operation},
    {"role", set_role},
    {"user", set_user},
    {"model", set_model},
    {"version", set_version},
    {"host", set_host},
    {"from", set_from},
    {"mfa", set_mfa},
    {"approve", set_approve},
    {"approve-within", set_approve_within},
    {"start-within", set_start_within},
    {"lasts", set_lasts},
    {"uses", set_uses},
    {"description", set_description},
    {NULL, NULL},
};

static const struct pol_demand *
share_demand(struct pol_load *ld, struct draft *dr)
{
	const struct pol_demand *shared = NULL;
	struct pol_demand *d;

	if (dr->first_demand == NULL)
		return NULL;
	if (dr->len < MG_INI_LINE_MAX &&
	    (shared = pol_shared_get(ld, 'd', dr->text)) != NULL)
		return shared;
	if ((d = pol_alloc(&ld->p->mem, sizeof(*d))) == NULL)
		return pol_oom(ld);
	*d = dr->d;
	if (dr->len < MG_INI_LINE_MAX)
		pol_shared_put(ld, 'd', dr->text, d);
	return d;
}

static bool
check_rule(struct pol_load *ld, const struct draft *dr, size_t errors)
{
	if (dr->r.ops == NULL && ld->src.ds->errors == errors)
		pol_err_head(ld, "rule '%s' names no operation", dr->r.name);
	if (dr->r.effect == POL_DENY && dr->first_demand != NULL) {
		ld->ln = dr->first_demand;
		pol_err_key(ld, "a rule that denies cannot ask for anything");
	}
	if (dr->r.effect == POL_REQUIRE && dr->first_demand == NULL)
		pol_err_head(ld, "rule '%s' requires nothing", ld->sec->name);
	return ld->src.ds->errors == errors;
}

/* Files the rule under each of its operations. */
static void
add_rule(struct pol_load *ld, struct draft *dr)
{
	struct mg_policy *p = ld->p;
	uint32_t i, id = p->rules.n, *slot;
	struct pol_rule *r;

	if ((r = pol_vec_add(&p->rules, sizeof(*r))) == NULL) {
		ld->no_memory = true;
		return;
	}
	dr->r.demand = share_demand(ld, dr);
	*r = dr->r;
	for (i = 0; i < r->ops->n; i++) {
		slot =
		    pol_vec_add(&pol_op(p, r->ops->v[i])->rules, sizeof(*slot));
		if (slot == NULL)
			ld->no_memory = true;
		else
			*slot = id;
	}
}

void
pol_rule_parse(struct pol_load *ld)
{
	size_t errors = ld->src.ds->errors;
	struct draft dr;

	memset(&dr.r, 0, sizeof(dr.r));
	memset(&dr.d, 0, sizeof(dr.d));
	dr.first_demand = NULL;
	dr.len = 0;
	if (!mg_name_is_valid(ld->sec->name)) {
		pol_err_head(ld, "rule name '%s' %s", ld->sec->name,
		    mg_name_why(ld->sec->name));
		return;
	}
	dr.r.name =
	    pol_strndup(&ld->p->mem, ld->sec->name, strlen(ld->sec->name));
	dr.r.where = pol_where(ld);
	dr.r.section = (uint32_t)(ld->sec - pol_section(&ld->src, 0));
	dr.r.effect = POL_ALLOW;
	if (dr.r.name == NULL || dr.r.where == NULL) {
		ld->no_memory = true;
		return;
	}
	pol_keys(ld, rule_keys, &dr, NULL);
	if (check_rule(ld, &dr, errors) && !ld->no_memory)
		add_rule(ld, &dr);
}
