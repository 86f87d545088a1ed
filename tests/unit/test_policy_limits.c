/* SPDX-License-Identifier: ISC */
/* modelgate-policy(5), LIMITS: what is inside loads, one more does not. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_file.h"
#include "policy_fixture.h"

/* A text that grows. */
static char *text;
static size_t len, cap;

static void
put(const char *s)
{
	size_t n = strlen(s);

	if (n + 1 > cap - len) {
		cap = (cap + n) * 2 + 64;
		assert_non_null(text = realloc(text, cap));
	}
	memcpy(text + len, s, n + 1);
	len += n;
}

/* n times one, sep between; '#' in it is the number. */
static void
many(unsigned n, const char *one, const char *sep)
{
	char number[16], at[2] = "";
	const char *s;
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%u", i);
		put(i == 0 ? "" : sep);
		for (s = one; *s != '\0'; s++) {
			at[0] = *s;
			put(*s == '#' ? number : at);
		}
	}
}

#define OP "[operation deploy]\ncommand = /bin/true\nrun-as = www\n"
#define RULE OP "[rule r]\noperation = deploy\n"

/* A policy with n of something. */
static const struct limit {
	const char *name;
	unsigned max;
	const char *before, *one, *sep, *after;
	const char *error; /* a part of it */
} limits[] = {
    {"items of a list", 256, RULE "role = a", ",!a", "",
	"\n[role a]\nmembers = b\n", "more than 256 entries"},
    {"terms of an item", 8, RULE "host = ", "a:b#", " & ", "\n",
	"more than 8 terms in one item"},
    {"roles", 8192, "", "[role r#]\nmembers = u\n", "", "",
	"more than 8192 roles"},
    {"patterns of models", 256, "", "[model *a#]\ntier = low\n", "", "",
	"more than 256 model patterns"},
    {"patterns of hosts", 256, OP,
	"[rule r#]\noperation = deploy\n"
	"host = h#\n",
	"", "", "more than 256 different host names"},
    {"attributes of models", 64, "", "[model m#]\nx-# = y\n", "", "",
	"more than 64 different attributes"},
    {"values of an attribute", 8, "[model m]\ntier = ", "t#", ", ", "\n",
	"more than 8 values"},
    {"words of a command", 64, "[operation x]\nrun-as = www\ncommand = ", "/w#",
	" ", "\n", "more than 64 words"},
    {"windows of time", 64, RULE "time = ", "2026-01-01 mon", ", ", "\n",
	"more than 64 windows"},
    {"files asked about", 64, RULE "when = ", "file:/f# present", ", ", "\n",
	"more than 64 files"},
    {"open parentheses", 8, RULE "approve = ", "(", "", NULL,
	"too many parentheses"},
    {"stages", 4, RULE "approve = ", "1 a", " then ",
	"\n[role a]\nmembers = b\n", "more than 4 stages"},
    {"ways to approve", 32, RULE "approve = ", "1 a", " or ",
	"\n[role a]\nmembers = b\n", "too many ways"},
    {"roles to approve", 16, RULE "approve = ", "1 a#", ", ", NULL,
	"too many people or roles"},
    {"signers", 16, RULE "artifact = signed by ", "s#", ", ", "\n",
	"more than 16 signers"},
    {"facts of a test", 64,
	RULE "[test t]\ngiven = a deploy\nexpect = allow\n"
	     "groups = ",
	"g#", ", ", "\n", "more than 64 facts"},
};

/* What stands behind depends on how many there are. */
static void
put_rest(const struct limit *l, unsigned n)
{
	if (l->after != NULL) {
		put(l->after);
		return;
	}
	if (strcmp(l->name, "open parentheses") == 0) {
		put("1 a");
		many(n, ")", "");
		put("\n[role a]\nmembers = b\n");
		return;
	}
	put("\n");
	many(n, "[role a#]\nmembers = b\n", "");
}

static void
every_count_is_bounded(void **state)
{
	const struct limit *l;
	struct mg_policy *p;
	unsigned more;

	(void)state;
	for (l = limits; l < limits + sizeof(limits) / sizeof(*l); l++) {
		for (more = 0; more < 2; more++) {
			unsigned n = l->max + more;

			/* One item stands there already. */
			if (l->before[0] != '\0' && l->one[0] == ',')
				n--;
			len = 0;
			put(l->before);
			many(n, l->one, l->sep);
			put_rest(l, n);
			p = try_load(text);
			if ((p == NULL) != (more == 1))
				fail_msg("%u %s: %s", l->max + more, l->name,
				    p == NULL ? ds.v[0].text : "loads");
			if (p == NULL && strstr(ds.v[0].text, l->error) == NULL)
				fail_msg("%s: %s", l->name, ds.v[0].text);
			mg_policy_free(p);
		}
	}
}

static void
so_are_lines_keys_and_names(void **state)
{
	char name[128];

	(void)state;
	len = 0;
	put("[rule r]\noperation = login\ndescription = ");
	many(4096 - 14, "x", "");
	put("\n");
	mg_policy_free(must_load(text));
	text[len - 1] = 'x';
	put("\n");
	assert_null(try_load(text));
	assert_non_null(strstr(ds.v[0].text, "4096"));
	assert_int_equal(ds.v[0].line, 3);

	len = 0;
	put("[model m]\n");
	many(65, "x-# = y\n", "");
	assert_null(try_load(text));
	assert_int_equal(ds.v[0].line, 66);

	memset(name, 'n', 97);
	name[97] = '\0';
	len = 0;
	put("[role ");
	put(name);
	put("]\nmembers = a\n");
	assert_null(try_load(text));
	assert_non_null(strstr(ds.v[0].text, "96"));
	memmove(text + 6, text + 7, len - 6);
	mg_policy_free(must_load(text));
}

static void
numbers_are_bounded(void **state)
{
	(void)state;
	mg_policy_free(
	    must_load(RULE "approve = 32 a\nuses = 1000000\nlasts = 366d\n"
			   "[role a]\nmembers = b\n"));
	assert_null(try_load(RULE "approve = 33 a\n[role a]\nmembers = b\n"));
	assert_null(try_load(RULE "approve = 20 a, 20 a\n[role a]\n"
				  "members = b\n"));
	assert_null(try_load(RULE "uses = 1000001\n"));
	assert_null(try_load(RULE "lasts = 367d\n"));
	assert_null(try_load(RULE "rate = 99999999999999999999 per 1d\n"));
	assert_null(try_load(RULE "budget = 1000001TiB per 1d\n"));
}

/* ---- files ---- */

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_limits.XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static bool
loads(void)
{
	const struct mg_policy_source src = {.policy_dir = dir};
	struct mg_policy *p;
	enum mg_err r;

	mg_diags_init(&ds);
	r = mg_policy_load(&src, &p, &ds);
	mg_policy_free(p);
	return r == MG_ERR_OK;
}

static FILE *
create(unsigned i)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%04u.ini", dir, i);
	assert_non_null(f = fopen(path, "w"));
	return f;
}

static void
files_are_bounded_in_number(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 1024; i++)
		assert_int_equal(fclose(create(i)), 0);
	assert_true(loads());
	assert_int_equal(fclose(create(i)), 0);
	assert_false(loads());
	assert_non_null(strstr(ds.v[0].text, "1024"));
}

static void
files_are_bounded_in_size(void **state)
{
	FILE *f = create(0);

	(void)state;
	assert_int_equal(ftruncate(fileno(f), (64 << 20) + 1), 0);
	assert_int_equal(fclose(f), 0);
	assert_false(loads());
	assert_non_null(strstr(ds.v[0].text, "larger than 64 MiB"));
}

static void
sections_are_bounded_in_number(void **state)
{
	FILE *f = create(0);
	unsigned i;

	(void)state;
	for (i = 0; i < 1000001; i++)
		assert_true(fprintf(f, "[user u%u]\n", i) > 0);
	assert_int_equal(fclose(f), 0);
	assert_false(loads());
	assert_non_null(strstr(ds.v[0].text, "more than 1000000 sections"));
	assert_int_equal(ds.v[0].line, 1000001);
}

int
main(void)
{
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_count_is_bounded),
	    cmocka_unit_test(so_are_lines_keys_and_names),
	    cmocka_unit_test(numbers_are_bounded),
	    DIR_TEST(files_are_bounded_in_number),
	    DIR_TEST(files_are_bounded_in_size),
	    DIR_TEST(sections_are_bounded_in_number),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(text);
	return failed;
}
