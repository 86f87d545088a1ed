/* SPDX-License-Identifier: ISC */
/* Policies from folders: what loads, and what is refused where. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_file.h"
#include "policy_fixture.h"

/* ---- folders ---- */

static char dir[64], ops[80], pol[80];

static int
setup_dirs(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_policy.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(pol, sizeof(pol), "%s/policy.d", dir);
	snprintf(ops, sizeof(ops), "%s/operations.d", dir);
	return mkdir(pol, 0755) != 0 || mkdir(ops, 0755) != 0 ? -1 : 0;
}

static int
teardown_dirs(void **state)
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

static void
put(const char *where, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", where, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct mg_policy *
load_dirs(const struct mg_file_rule *rule)
{
	struct mg_policy_source src = {
	    .policy_dir = pol, .operations_dir = ops, .rule = rule};
	struct mg_policy *p;
	enum mg_err r;

	mg_diags_init(&ds);
	r = mg_policy_load(&src, &p, &ds);
	assert_int_equal(r == MG_ERR_OK, p != NULL);
	return p;
}

#define OP "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"
#define RULE "[rule r]\noperation = deploy\n"

static void
both_folders_make_one_policy(void **state)
{
	struct mg_policy *p;
	struct mg_ask ask = ask_for("alice", "deploy", "m");
	struct mg_verdict v;

	(void)state;
	put(ops, "deploy.ini", OP);
	put(pol, "rules.ini", RULE);
	put(pol, ".rules.ini.swp", "rubbish");
	put(pol, "rules.ini~", "rubbish");
	put(pol, "README", "rubbish");
	p = load_dirs(NULL);
	assert_non_null(p);
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_ALLOW);
	mg_policy_free(p);
}

static void
the_digest_changes_with_every_byte_and_every_name(void **state)
{
	char a[96], b[96];
	struct mg_policy *p;

	(void)state;
	put(ops, "deploy.ini", OP);
	put(pol, "a.ini", RULE "; x\n");
	put(pol, "b.ini", "; y\n");
	p = load_dirs(NULL);
	assert_non_null(p);
	snprintf(a, sizeof(a), "%s", mg_policy_digest(p));
	assert_int_equal(strlen(a), 7 + 64);
	assert_memory_equal(a, "sha256:", 7);
	mg_policy_free(p);

	/* The same lines in all, one moved to the other file. */
	put(pol, "a.ini", RULE);
	put(pol, "b.ini", "; x\n; y\n");
	p = load_dirs(NULL);
	assert_non_null(p);
	snprintf(b, sizeof(b), "%s", mg_policy_digest(p));
	assert_string_not_equal(a, b);
	mg_policy_free(p);

	put(pol, "b.ini", "; y\n");
	put(pol, "a.ini", RULE "; x\n");
	p = load_dirs(NULL);
	assert_non_null(p);
	assert_string_equal(mg_policy_digest(p), a);
	mg_policy_free(p);
}

static void
operations_d_holds_operations_only(void **state)
{
	(void)state;
	put(ops, "deploy.ini", OP RULE);
	assert_null(load_dirs(NULL));
	assert_non_null(strstr(ds.v[0].text, "belongs into the policy folder"));
	assert_int_equal(ds.v[0].line, 4);
}

static void
a_file_that_others_can_write_is_refused(void **state)
{
	const struct mg_file_rule rule = {.owner = geteuid()};
	char path[256];

	(void)state;
	put(ops, "deploy.ini", OP);
	put(pol, "rules.ini", RULE);
	snprintf(path, sizeof(path), "%s/rules.ini", pol);
	assert_int_equal(chmod(path, 0666), 0);
	assert_null(load_dirs(&rule));
	assert_non_null(strstr(ds.v[0].text, "can be changed by others"));
	assert_int_equal(chmod(path, 0644), 0);
	mg_policy_free(load_dirs(&rule));
	assert_int_equal(ds.errors, 0);
}

static void
a_link_a_folder_and_a_fifo_are_refused(void **state)
{
	char path[256], target[256];

	(void)state;
	put(ops, "deploy.ini", OP);
	put(dir, "elsewhere", RULE);
	snprintf(path, sizeof(path), "%s/rules.ini", pol);
	snprintf(target, sizeof(target), "%s/elsewhere", dir);
	assert_int_equal(symlink(target, path), 0);
	assert_null(load_dirs(NULL));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_null(load_dirs(NULL));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_null(load_dirs(NULL));
}

static void
a_missing_folder_is_an_error_and_an_empty_one_denies(void **state)
{
	struct mg_ask ask = ask_for("root", "login", "");
	struct mg_verdict v;
	struct mg_policy *p = load_dirs(NULL);

	(void)state;
	assert_non_null(p);
	mg_policy_decide(p, &ask, &v);
	assert_int_equal(v.kind, MG_VERDICT_DENY);
	assert_int_equal(v.why, MG_WHY_NO_RULE);
	mg_policy_free(p);
	assert_int_equal(rmdir(ops), 0);
	assert_null(load_dirs(NULL));
}

static void
a_section_in_two_files_is_refused_and_both_are_named(void **state)
{
	(void)state;
	put(ops, "deploy.ini", OP);
	put(pol, "a.ini", RULE);
	put(pol, "b.ini", "\n" RULE);
	assert_null(load_dirs(NULL));
	assert_int_equal(ds.v[0].line, 2);
	assert_non_null(strstr(ds.v[0].file, "/policy.d/b.ini"));
	assert_non_null(strstr(ds.v[0].text, "/policy.d/a.ini:1 already"));
}

static void
a_hostile_file_name_is_refused(void **state)
{
	(void)state;
	put(pol, "a b\x1b[31m.ini", RULE);
	assert_null(load_dirs(NULL));
	assert_null(strchr(ds.v[0].file, '\x1b'));
}

/* ---- every error names its place ---- */

#define BASE                                                                   \
	"[operation deploy]\n"                                                 \
	"command = /bin/true {model}\n"                                        \
	"run-as = www\n"                                                       \
	"[role ops]\n"                                                         \
	"members = alice\n"                                                    \
	"[rule r]\n"

static const struct {
	const char *text, *message;
} mistakes[] = {
    {"[rule r]\noperation = fly\n",
	"policy.d/t.ini:2:13: no operation 'fly' is defined"},
    {"[rule r]\n", "policy.d/t.ini:1:7: rule 'r' names no operation"},
    {"[rul r]\n",
	"policy.d/t.ini:1:2: unknown section type 'rul'; is it 'rule'?"},
    {"[rule]\n", "policy.d/t.ini:1:6: [rule] needs a name"},
    {"[rule a/b]\noperation = login\n",
	"policy.d/t.ini:1:7: rule name 'a/b' contains '/'"},
    {"[rule r]\noperation = login\nrole = ops\n",
	"policy.d/t.ini:3:8: no role 'ops' is defined"},
    {"[rule r]\noperation = login\nmfa = yes\n",
	"policy.d/t.ini:3:7: 'yes' is not 'required' or "
	"'hardware-key'"},
    {"[rule r]\noperation = login\neffect = permit\n",
	"policy.d/t.ini:3:10: 'permit' is not allow, deny or require"},
    {"[rule r]\noperation = *\n",
	"policy.d/t.ini:2:13: a rule that allows names its "
	"operations; '*' is for deny and require"},
    {"[rule r]\noperation = login\neffect = deny\nmfa = required\n",
	"policy.d/t.ini:4:1: a rule that denies cannot ask for "
	"anything"},
    {"[rule r]\noperation = login\neffect = require\n",
	"policy.d/t.ini:1:7: rule 'r' requires nothing"},
    {"[rule r]\noperation = login\nlasts = 1y\n",
	"policy.d/t.ini:3:9: '1y' is not a duration such as 30m, "
	"1h30m or 7d"},
    {"[rule r]\noperation = login\nlasts = 0s\n",
	"policy.d/t.ini:3:9: '0s' is not a duration such as 30m, "
	"1h30m or 7d"},
    {"[rule r]\noperation = login\nlasts = 367d\n",
	"policy.d/t.ini:3:9: the duration is over 366 days"},
    {"[rule r]\noperation = login\nuses = 0\n",
	"policy.d/t.ini:3:8: '0' is neither a number from 1 nor "
	"'unlimited'"},
    {"[rule r]\noperation = login\nuses = 1x\n",
	"policy.d/t.ini:3:9: 'x' is not a digit"},
    {"[rule r]\noperation = login\nuses = -1\n",
	"policy.d/t.ini:3:8: '-1' is neither a number from 1 nor "
	"'unlimited'"},
    {"[rule r]\noperation = login,\n",
	"policy.d/t.ini:2:19: nothing stands behind the ','"},
    {"[rule r]\noperation = ,login\n",
	"policy.d/t.ini:2:13: nothing stands before the ','"},
    {"[rule r]\noperation = login\nfrom = 10.0.0.1/8\n",
	"policy.d/t.ini:3:8: there are bits behind the prefix; write "
	"10.0.0.0/8"},
    {"[rule r]\noperation = login\nfrom = 10.0.0.0/33\n",
	"policy.d/t.ini:3:17: the number is over 32"},
    {"[rule r]\noperation = login\nfrom = 10.0.0.0/08\n",
	"policy.d/t.ini:3:17: the number begins with 0"},
    {"[rule r]\noperation = login\nfrom = office\n",
	"policy.d/t.ini:3:8: 'office' is not an address or a network "
	"such as 10.0.0.0/8 or 2001:db8::/32"},
    {"[rule r]\noperation = login\nfrom = ::ffff:10.0.0.0/104\n",
	"policy.d/t.ini:3:8: write a v4 address in its own form"},
    {"[rule r]\noperation = login\nfrom = 2001:db8::1/32\n",
	"policy.d/t.ini:3:8: there are bits behind the prefix; write "
	"2001:db8::/32"},
    {"[rule r]\noperation = login\nmodel = teir:high\n",
	"policy.d/t.ini:3:9: models have no attribute 'teir'"},
    {"[rule r]\noperation = login\nmodel = a/b*\n",
	"policy.d/t.ini:3:9: model 'a/b*' contains '/'"},
    {"[rule r]\noperation = login\nhost = env:\n",
	"policy.d/t.ini:3:12: value '' is empty"},
    {"[rule r]\noperation = login\nhosts = env:x\n",
	"policy.d/t.ini:3:1: unknown key 'hosts' in [rule]; is it 'host'?"},
    {BASE "operation = deploy\napprove = 0 ops\n",
	"policy.d/t.ini:8:11: the count must not be 0"},
    {BASE "operation = deploy\napprove = ops\n",
	"policy.d/t.ini:8:11: write how many of which role, such as "
	"'1 risk-owner'"},
    {BASE "operation = deploy\napprove = 1 nobody\n",
	"policy.d/t.ini:8:13: no role 'nobody' is defined"},
    {BASE "operation = deploy\napprove = 1 ops|ops\n",
	"policy.d/t.ini:8:17: the role stands twice"},
    {BASE "operation = deploy\napprove = 33 ops\n",
	"policy.d/t.ini:8:11: the number is over 32"},
    {"[role a]\nmembers = b\n[role b]\nmembers = a\n",
	"policy.d/t.ini:1:7: role 'a' is made of itself, by way of "
	"its members"},
    {"[role a]\nmembers = x, !a\n",
	"policy.d/t.ini:1:7: role 'a' is made of itself, by way of "
	"its members"},
    {"[role a]\n", "policy.d/t.ini:1:7: role 'a' has no members"},
    {"[role a]\nmembers = role:b\n",
	"policy.d/t.ini:2:16: no role 'b' is defined"},
    {"[role a]\nmembers = @\n",
	"policy.d/t.ini:2:12: '' is not a group's name"},
    {"[role a]\nmembers = -x\n",
	"policy.d/t.ini:2:11: user '-x' begins with '-'"},
    {"[user a]\nkind = robot\n",
	"policy.d/t.ini:2:8: 'robot' is neither 'person' nor "
	"'service'"},
    {"[user a]\ncolour = red\n",
	"policy.d/t.ini:2:1: unknown key 'colour' in [user]"},
    {"[model a]\ncolour = red\n",
	"policy.d/t.ini:2:1: unknown key 'colour' in [model]"},
    {"[model a*b]\ntier = high\n[model *ab]\ntier = low\n",
	"policy.d/t.ini:1:8: neither 'a*b' nor '*ab' "
	"(policy.d/t.ini:3) is more specific, and they disagree about "
	"'tier'"},
    {"[operation login]\ncommand = /bin/true\nrun-as = a\n",
	"policy.d/t.ini:1:12: operation 'login' is built in"},
    {"[operation x]\nrun-as = a\n",
	"policy.d/t.ini:1:12: [operation x] needs a 'command'"},
    {"[operation x]\ncommand = /bin/true\n",
	"policy.d/t.ini:1:12: [operation x] needs a 'run-as'"},
    {"[operation x]\ncommand = true\nrun-as = a\n",
	"policy.d/t.ini:2:11: 'true' is not an absolute path"},
    {"[operation x]\ncommand = /bin/{model}\nrun-as = a\n",
	"policy.d/t.ini:2:11: the program cannot be a placeholder"},
    {"[operation x]\ncommand = /bin/../sh\nrun-as = a\n",
	"policy.d/t.ini:2:11: the path is not in its shortest form"},
    {"[operation x]\ncommand = /bin/true {host}\nrun-as = a\n",
	"policy.d/t.ini:2:21: only {user}, {model}, {version}, "
	"{artifact} and {args} can stand in braces"},
    {"[operation x]\ncommand = /bin/true a}\nrun-as = a\n",
	"policy.d/t.ini:2:22: only {user}, {model}, {version}, "
	"{artifact} and {args} can stand in braces"},
    {"[operation x]\ncommand = /bin/true {artifact}\nrun-as = a\n",
	"policy.d/t.ini:1:12: [operation x] needs a 'artifact'"},
    {"[operation x]\ncommand = /bin/true\nrun-as = a\n"
     "artifact = /a/{artifact}\n",
	"policy.d/t.ini:4:12: {args} and {artifact} cannot stand in a path"},
    {"[operation x]\ncommand = /bin/true a{args}\nrun-as = a\n",
	"policy.d/t.ini:2:22: {args} stands once, as a word of its "
	"own"},
    {"[operation x]\ncommand = /bin/true {args} {args}\nrun-as = a\n",
	"policy.d/t.ini:2:28: {args} stands once, as a word of its "
	"own"},
    {"[operation x]\ncommand = /bin/true a\"b c\"\nrun-as = a\n",
	"policy.d/t.ini:2:22: a quote stands around a whole word or "
	"not at all"},
    {"[operation x]\ncommand = /bin/a\nrun-as = a\n"
     "[operation-group x]\noperations = x\n",
	"policy.d/t.ini:4:18: 'x' is both an operation and a group of "
	"operations"},
    {"[operation-group x]\noperations = x\n",
	"policy.d/t.ini:2:14: 'x' is a group itself"},
};

static void
errors_name_line_and_column(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		assert_bad_at((int)i, mistakes[i].text, mistakes[i].message);
}

static void
every_problem_is_said_at_once(void **state)
{
	char text[8192] = "";
	size_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < 30; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[rule r%d]\noperation = fly\nrole = none\n", i);
	assert_null(try_load(text));
	assert_int_equal(ds.errors, 60);
	assert_int_equal(ds.n, MG_DIAG_MAX);
}

static void
comments_and_descriptions_are_free(void **state)
{
	(void)state;
	mg_policy_free(
	    must_load("; a\n# b\n[rule r] ; c\ndescription = d, ! & é\n"
		      "operation = login ; e\n"));
}

int
main(void)
{
#define DIRS(f) cmocka_unit_test_setup_teardown(f, setup_dirs, teardown_dirs)
	const struct CMUnitTest tests[] = {
	    DIRS(both_folders_make_one_policy),
	    DIRS(the_digest_changes_with_every_byte_and_every_name),
	    DIRS(operations_d_holds_operations_only),
	    DIRS(a_file_that_others_can_write_is_refused),
	    DIRS(a_link_a_folder_and_a_fifo_are_refused),
	    DIRS(a_missing_folder_is_an_error_and_an_empty_one_denies),
	    DIRS(a_section_in_two_files_is_refused_and_both_are_named),
	    DIRS(a_hostile_file_name_is_refused),
	    cmocka_unit_test(errors_name_line_and_column),
	    cmocka_unit_test(every_problem_is_said_at_once),
	    cmocka_unit_test(comments_and_descriptions_are_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
