/* SPDX-License-Identifier: ISC */
/* policy check: every problem at once. */
#include <string.h>

#include "pcli.h"

static const char help[] =
    "check [--strict] [options] [DIR]\n\n"
    "Reads the policy as the agent does and looks for more: approvals that\n"
    "nobody can give, rules that never apply, names that nobody has. Every\n"
    "problem is shown with its file, line and column.\n\n"
    "  --strict   warnings, too, are problems\n\n"
    "exit status: 0 no problem (warnings may have been shown), 1 problems\n";

static void
print_summary(const struct pcli *c)
{
	const struct mg_policy *p = c->p;

	printf("%s%s%s: %u rules, %u roles, %u operations, %u models, %u "
	       "tests\n%s\n",
	    pcli_on(PCLI_GREEN), c->dir, pcli_off(), p->rules.n, p->roles.n,
	    p->ops.n, p->models.sections.n, p->tests.n, mg_policy_digest(p));
}

static int
print_json(const struct pcli *c, int status)
{
	struct pcli_json pj;
	struct mg_json *j = pcli_json_begin(&pj);

	mg_json_bool(j, "loads", c->p != NULL);
	pcli_json_diags(j, &c->ds);
	if (c->p != NULL) {
		mg_json_str(j, "digest", mg_policy_digest(c->p));
		mg_json_int(j, "rules", c->p->rules.n);
		mg_json_int(j, "roles", c->p->roles.n);
		mg_json_int(j, "operations", c->p->ops.n);
		mg_json_int(j, "models", c->p->models.sections.n);
		mg_json_int(j, "tests", c->p->tests.n);
	}
	return pcli_json_end(&pj, status);
}

static int
check(struct pcli *c, bool strict)
{
	enum mg_err r;
	int status;

	r = pcli_load_lint(c);
	if (r != MG_ERR_OK && r != MG_ERR_FORMAT) {
		pcli_error("%s", mg_err_str(r));
		return PCLI_FAILED;
	}
	if (c->p != NULL && c->p->rules.n == 0)
		mg_diags_add(&c->ds, true, c->dir, 0, 0, NULL,
		    "no rule is in it, so everything is refused: is it the "
		    "right folder?");
	status = c->ds.errors > 0 || (strict && c->ds.warnings > 0) ? PCLI_NO
								    : PCLI_OK;
	if (c->json)
		return print_json(c, status);
	pcli_print_diags(&c->ds);
	pcli_hint_operations(&c->ds, c->dir, c->operations);
	if (c->ds.errors > 0)
		pcli_error("%zu error%s, %zu warning%s; it does not load",
		    c->ds.errors, c->ds.errors == 1 ? "" : "s", c->ds.warnings,
		    c->ds.warnings == 1 ? "" : "s");
	else if (c->p != NULL)
		print_summary(c);
	return status;
}

int
pcli_check(int argc, char **argv)
{
	bool strict = false;
	const struct pcli_opt opts[] = {
	    {"--strict", &strict, NULL}, {NULL, NULL, NULL}};
	struct pcli c;
	int status;

	if (!pcli_init(&c, "check"))
		return PCLI_FAILED;
	if ((status = pcli_args(&c, argc, argv, opts, help)) >= 0)
		goto out;
	if (c.npos > 1) {
		status = pcli_usage("check [--strict] [DIR]");
		goto out;
	}
	if (c.npos == 1)
		c.dir = c.pos[0];
	status = check(&c, strict);
out:
	pcli_fini(&c);
	return status;
}
