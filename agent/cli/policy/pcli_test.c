/* SPDX-License-Identifier: ISC */
/* policy test: the policy's own tests, one line each. */
#include <string.h>

#include "pcli.h"

static const char help[] =
    "test [options] [DIR] [NAME...]\n\n"
    "Runs the [test] sections of the policy (or those that are named) and\n"
    "prints a line for each. A policy whose test fails does not load; this\n"
    "tool shows all of them.\n\n"
    "exit status: 0 all pass, 1 some fail, 125 the policy does not load\n";

struct test {
	struct pcli c;
	char *const *names;
	int nnames;
	unsigned passed, failed;
};

static bool
is_wanted(const struct test *t, const char *name)
{
	int i;

	for (i = 0; i < t->nnames; i++)
		if (strcmp(t->names[i], name) == 0)
			return true;
	return t->nnames == 0;
}

static void
print_one(const struct pol_test *pt, bool ok, const char *actual,
    const struct mg_verdict *v)
{
	printf("%s%s%s %s\n", pcli_on(ok ? PCLI_GREEN : PCLI_RED),
	    ok ? "pass" : "FAIL", pcli_off(), pt->name);
	if (ok)
		return;
	printf("     %s\n     expected  %s\n     but it is %s\n", pt->where,
	    pt->expect, actual);
	if (v->nrules > 0)
		printf(
		    "     by %s (%s)\n", v->rules[0].name, v->rules[0].where);
	else if (v->remedy[0] != '\0')
		printf("     %s\n", v->remedy);
}

static void
json_one(
    struct mg_json *j, const struct pol_test *pt, bool ok, const char *actual)
{
	mg_json_obj(j, NULL);
	mg_json_str(j, "name", pt->name);
	mg_json_str(j, "where", pt->where);
	mg_json_bool(j, "passes", ok);
	mg_json_str(j, "expected", pt->expect);
	mg_json_str(j, "actual", actual);
	mg_json_obj_end(j);
}

static void
run_all(struct test *t, struct mg_json *j)
{
	char actual[512];
	struct mg_verdict v;
	uint32_t i;
	bool ok;

	for (i = 0; i < t->c.p->tests.n; i++) {
		const struct pol_test *pt =
		    (struct pol_test *)t->c.p->tests.v + i;

		if (!is_wanted(t, pt->name))
			continue;
		ok = pol_test_run(t->c.p, pt, &v, actual, sizeof(actual));
		t->passed += ok;
		t->failed += !ok;
		if (j != NULL)
			json_one(j, pt, ok, actual);
		else
			print_one(pt, ok, actual, &v);
	}
}

static int
run(struct test *t)
{
	struct pcli_json pj;
	struct mg_json *j;

	if (t->c.json) {
		j = pcli_json_begin(&pj);
		mg_json_arr(j, "tests");
		run_all(t, j);
		mg_json_arr_end(j);
		mg_json_int(j, "passed", t->passed);
		mg_json_int(j, "failed", t->failed);
		return pcli_json_end(&pj, t->failed > 0 ? PCLI_NO : PCLI_OK);
	}
	run_all(t, NULL);
	if (t->passed + t->failed == 0) {
		pcli_error(t->nnames > 0 ? "no test has such a name"
					 : "the policy has no [test] section");
		return t->nnames > 0 ? PCLI_NO : PCLI_OK;
	}
	printf("%u passed, %u failed\n", t->passed, t->failed);
	return t->failed > 0 ? PCLI_NO : PCLI_OK;
}

int
pcli_test(int argc, char **argv)
{
	struct test t = {.names = NULL};
	int status;

	if (!pcli_init(&t.c, "test"))
		return PCLI_FAILED;
	if ((status = pcli_args(&t.c, argc, argv, NULL, help)) >= 0)
		goto out;
	t.names = t.c.pos;
	t.nnames = t.c.npos;
	if (t.nnames > 0 && t.c.is_default) {
		t.c.dir = *t.names++;
		t.nnames--;
	}
	if ((status = pcli_load(&t.c, true)) == PCLI_OK)
		status = run(&t);
out:
	pcli_fini(&t.c);
	return status;
}
