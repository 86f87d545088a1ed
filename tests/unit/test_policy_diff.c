/* SPDX-License-Identifier: ISC */
/* What a new policy changes for whom, in words. */
#include <sys/wait.h>
#include <unistd.h>

#include "policy_fixture.h"

#define BASE                                                                   \
	"[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"      \
	"[operation promote]\ncommand = /bin/true {model}\nrun-as = www\n"     \
	"[role ops]\nmembers = ann\n"                                          \
	"[role risk]\nmembers = rob\n"                                         \
	"[model *]\ntier = low\n[model fraud-*]\ntier = high\n"

/* All changes, a line each: "wider deploy on env:a: - > mfa (ann)". */
static char out[8192];

static void
take(void *arg, const struct pol_change *c)
{
	static const char *const kinds[] = {
	    "", "approver ", "command ", "separation ", "guard ", "more "};
	struct pol_words w = {.s = out, .n = strlen(out), .size = sizeof(out)};
	size_t i;

	(void)arg;
	pol_say(&w, "%s%s%s",
	    c->how == POL_WIDER	     ? "wider "
	    : c->how == POL_NARROWER ? "narrower "
				     : "changed ",
	    kinds[c->kind], c->operation == NULL ? "" : c->operation);
	if (c->model != NULL)
		pol_say(&w, " %s", c->model);
	if (c->when != NULL && c->when[0] != '\0')
		pol_say(&w, " %s", c->when);
	pol_say(&w, ": %s > %s", c->before == NULL ? "-" : c->before,
	    c->after == NULL ? "-" : c->after);
	for (i = 0; i < c->nusers; i++)
		pol_say(&w, "%s%s", i == 0 ? " (" : " ",
		    c->users[i][0] == '\0' ? "else" : c->users[i]);
	pol_say(&w, "%s%s\n", c->nusers > 0 ? ")" : "",
	    c->since_ms != 0 ? " later" : "");
}

static void
compare(const char *was, const char *is)
{
	static const char *const users[] = {"ann", "bot", "rob", ""};
	struct mg_policy *a = must_load(was), *b = must_load(is);

	out[0] = '\0';
	assert_true(
	    pol_diff(a, b, &nobody_in_groups, users, 4, NOON, take, NULL));
	mg_policy_free(a);
	mg_policy_free(b);
}

#define changes(was, is, expected)                                             \
	do {                                                                   \
		compare(BASE was, BASE is);                                    \
		assert_string_equal(out, expected);                            \
	} while (0)

#define RULE "[rule r]\noperation = deploy\nrole = ops\n"

static void
what_decides_the_same_is_no_change(void **state)
{
	(void)state;
	changes(RULE, RULE, "");
	/* Another name, another order, another way to write it. */
	changes(RULE "host = env:a, env:b\nmfa = required\nlasts = 1h\n",
	    "[rule other]\nlasts = 1h\nmfa = required\n"
	    "host = env:b,env:a\nrole = ops\noperation = deploy\n",
	    "");
	/* One rule as two, two as one. */
	changes(RULE "host = env:a, env:b\n",
	    RULE "host = env:a\n[rule r2]\noperation = deploy\nrole = ops\n"
		 "host = env:b\n",
	    "");
	changes(RULE, "[rule r]\noperation = deploy\nuser = ann\n", "");
	/* What another rule says already. */
	changes(RULE,
	    RULE "[rule r2]\noperation = deploy\nrole = ops\n"
		 "host = env:a\n",
	    "");
}

static void
what_is_allowed_or_not_is_wider_or_narrower(void **state)
{
	(void)state;
	changes("", RULE, "wider deploy: - >  (ann)\n");
	changes(RULE, "", "narrower deploy:  > - (ann)\n");
	changes(RULE "host = env:a\n", RULE "host = env:a, env:b\n",
	    "wider deploy on env:b: - >  (ann)\n");
	changes(RULE "host = env:a, env:b\n", RULE "host = env:a\n",
	    "narrower deploy on env:b:  > - (ann)\n");
	changes(RULE "host = env:a\n", RULE "host = env:b\n",
	    "narrower deploy on env:a:  > - (ann)\n"
	    "wider deploy on env:b: - >  (ann)\n");
	changes(RULE "model = fraud-a\n", RULE "model = fraud-*\n",
	    "wider deploy for models fraud-*: - >  (ann)\n");
	changes(RULE "from = 10.0.0.0/8\n",
	    RULE "from = 10.0.0.0/8, 192.0.2.0/24\n",
	    "wider deploy from 10.0.0.0/8, 192.0.2.0/24: - >  (ann)\n");
	changes(RULE "time = 08:00-18:00\n", RULE "time = 08:00-19:00\n",
	    "wider deploy at 08:00-19:00: - >  (ann)\n");
	changes(RULE "time = mon-fri\n", RULE "time = mon-fri 08:00-18:00\n",
	    "narrower deploy at mon-fri:  > - (ann)\n");
	changes(RULE "version = 1.*\n", RULE, "wider deploy: - >  (ann)\n");
}

static void
what_is_asked_for_is_compared_piece_by_piece(void **state)
{
	(void)state;
	changes(
	    RULE, RULE "mfa = required\n", "narrower deploy:  > mfa (ann)\n");
	changes(RULE "approve = 2 risk\n", RULE "approve = 1 risk\n",
	    "wider deploy: 2 risk > 1 risk (ann)\n");
	changes(RULE "approve = 1 risk\n", RULE "mfa = required\n",
	    "changed deploy: 1 risk > mfa (ann)\n");
	changes(RULE "lasts = 1h\n", RULE "lasts = 2h\n",
	    "wider deploy: lasts 1h > lasts 2h (ann)\n");
	changes(RULE "uses = unlimited\n", RULE "uses = 3\n",
	    "narrower deploy: any number of uses > 3 uses (ann)\n");
	changes(RULE "approve = 1 risk\n",
	    RULE "approve = 1 risk\nwhen-hub-down = served-before\n",
	    "wider deploy: nothing while the hub is down > what was served "
	    "before while the hub is down (ann)\n");
	changes(RULE "approve = 1 risk\nbreak-glass = ops\n"
		     "break-glass-review = risk\nbreak-glass-when = always\n",
	    RULE "approve = 1 risk\nbreak-glass = ops\n"
		 "break-glass-review = risk\n",
	    "narrower deploy: break-glass > break-glass while the hub is down "
	    "(ann)\n");
	changes(RULE "approve = 1 risk\n",
	    RULE "approve = 1 risk\nbreak-glass = ops\n"
		 "break-glass-review = risk\n",
	    "wider deploy: no break-glass > break-glass while the hub is "
	    "down, break-glass reviewed by risk (ann)\n");
	changes(RULE "approve = 1 risk\nbreak-glass = ops\n"
		     "break-glass-review = risk\nbreak-glass-tokens = 2\n",
	    RULE "approve = 1 risk\nbreak-glass = ops\n"
		 "break-glass-review = risk\nbreak-glass-tokens = 3\n",
	    "narrower deploy: break-glass with 2 tokens > break-glass with 3 "
	    "tokens (ann)\n");
	changes(RULE "approve = 1 risk\nbreak-glass = ops\n"
		     "break-glass-review = risk\nbreak-glass-tokens = 1\n",
	    RULE "approve = 1 risk\nbreak-glass = ops\n"
		 "break-glass-review = risk\n",
	    "wider deploy: break-glass with 1 token > break-glass without "
	    "tokens (ann)\n");
	changes(RULE "max-concurrent = 1\n", RULE "max-concurrent = 2\n",
	    "wider deploy: at most 1 at once per model > at most 2 at once "
	    "per model (ann)\n");
	changes(RULE "login-key-max-age = 30d\n",
	    RULE "login-key-max-age = 7d\n",
	    "narrower deploy: a login key not older than 30d > a login key "
	    "not older than 7d (ann)\n");
	changes(RULE "approve = 1 risk or 1 ops\n",
	    RULE "approve = 1 risk then 1 ops\n",
	    "changed deploy: 1 risk or 1 ops > 1 risk then 1 ops (ann)\n");
}

static void
denials_and_demands_matter_where_something_is_allowed(void **state)
{
	(void)state;
	changes(RULE,
	    RULE "[rule d]\neffect = deny\noperation = deploy\n"
		 "time = 2026-12-20 .. 2027-01-04\n",
	    "narrower deploy at 2026-12-20 .. 2027-01-04:  > - (ann)\n");
	changes(RULE "host = env:a\n",
	    RULE "host = env:a\n[rule d]\neffect = require\n"
		 "operation = *\nmfa = required\nfrom = 10.0.0.0/8\n",
	    "narrower deploy from 10.0.0.0/8, and on env:a:  > mfa (ann)\n");
	/* It forbids what nobody may. */
	changes(
	    RULE, RULE "[rule d]\neffect = deny\noperation = promote\n", "");
}

static void
people_who_move_between_roles(void **state)
{
	(void)state;
	compare(BASE RULE "approve = 1 risk\n",
	    "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"
	    "[operation promote]\ncommand = /bin/true {model}\n"
	    "run-as = www\n"
	    "[role ops]\nmembers = ann, bot\n[role risk]\nmembers = ann, rob\n"
	    "[model *]\ntier = low\n[model fraud-*]\ntier = high\n" RULE
	    "approve = 1 risk\n");
	assert_non_null(strstr(out, "wider deploy: - > 1 risk (bot)\n"));
	assert_non_null(strstr(out, "wider approver risk: - > - (ann)\n"));
	assert_null(strstr(out, "narrower"));
	/* A membership that is cut short is a change of its day. */
	compare("[role ops]\nmembers = ann\n[rule r]\noperation = login\n"
		"role = ops\n",
	    "[role ops]\nmembers = ann until 2026-12-31\n[rule r]\n"
	    "operation = login\nrole = ops\n");
	assert_string_equal(out, "narrower login:  > - (ann) later\n");
}

static void
a_model_that_changes_its_attributes(void **state)
{
	static const char low[] =
	    "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"
	    "[role ops]\nmembers = ann\n[model fraud-*]\ntier = low\n"
	    "[rule r]\noperation = deploy\nrole = ops\nmodel = tier:high\n"
	    "[rule s]\noperation = login\n";
	static const char high[] =
	    "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"
	    "[role ops]\nmembers = ann\n[model fraud-*]\ntier = high\n"
	    "[rule r]\noperation = deploy\nrole = ops\nmodel = tier:high\n"
	    "[rule s]\noperation = login\n";

	(void)state;
	compare(low, high);
	assert_string_equal(out, "wider deploy fraud-*: - >  (ann)\n");
	compare(high, low);
	assert_string_equal(out, "narrower deploy fraud-*:  > - (ann)\n");
}

#define MODELS "[rule r]\noperation = deploy\nrole = ops\nmodel = tier:mid\n"

/* One change for all models that change alike, which are all named. */
static void
models_that_change_alike_are_all_named(void **state)
{
	(void)state;
	changes(MODELS "[model a-*]\ntier = mid\n[model b-*]\ntier = mid\n"
		       "[model c]\ntier = mid\n",
	    MODELS, "narrower deploy a-*, b-*, c:  > - (ann)\n");
	/* What fits both patterns changes otherwise than either. */
	changes(MODELS "[model *-x]\ndata = pii\n",
	    MODELS "[model *-x]\ntier = mid\n[model yyy*]\ntier = low\n",
	    "wider deploy *-x: - >  (ann)\n");
	changes(MODELS "[rule d]\neffect = deny\noperation = deploy\n"
		       "model = *q?\n",
	    MODELS "[rule d]\neffect = deny\noperation = deploy\n"
		   "model = *q?\n[model zz-?]\ntier = mid\n",
	    "wider deploy zz-?: - >  (ann)\n");
	changes(MODELS "[separation s]\noperations = deploy, promote\n"
		       "model = tier:high\n",
	    MODELS "[separation s]\noperations = deploy, promote\n"
		   "model = tier:high\n[model ocr-*]\ntier = high\n",
	    "narrower separation  ocr-*: - > one person at most 1 of deploy, "
	    "promote for models tier:high\n");
}

/* What only "fraud-a" does, of "fraud-?" and "*-a". */
static void
a_name_between_two_patterns_is_found(void **state)
{
	static const char text[] =
	    "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n"
	    "[role ops]\nmembers = ann\n[rule r]\noperation = deploy\n"
	    "role = ops\nmodel = !tier:pii & *-a, fraud-*\n";
	char was[1024];

	(void)state;
	snprintf(was, sizeof(was), "%s[model fraud-?]\ntier = pii\n", text);
	compare(was, text);
	assert_string_equal(out, "wider deploy such as fraud-a: - >  (ann)\n");
}

/* The direction is that of what is decided, not of how much is written. */
static void
what_is_written_more_may_ask_for_less(void **state)
{
	(void)state;
	changes(RULE "mfa = required\n",
	    RULE "mfa = required\nmfa-max-age = 10m\n",
	    "wider deploy: mfa > mfa not older than 10m (ann)\n");
	changes(RULE "mfa-max-age = 10m\n", RULE "mfa-max-age = 5m\n",
	    "narrower deploy: mfa not older than 10m > mfa not older than 5m "
	    "(ann)\n");
	changes(RULE, RULE "lasts = 2h\n",
	    "wider deploy: lasts 30m > lasts 2h (ann)\n");
	/* Instead of 30m, or of the 3h on some hosts. */
	changes(RULE "[rule q]\neffect = require\noperation = deploy\n"
		     "host = env:a\nlasts = 3h\n",
	    RULE "[rule q]\neffect = require\noperation = deploy\n"
		 "host = env:a\nlasts = 3h\n"
		 "[rule p]\neffect = require\noperation = deploy\n"
		 "lasts = 2h\n",
	    "changed deploy: lasts 30m > lasts 2h (ann)\n");
}

static void
two_models_at_once_are_none(void **state)
{
	(void)state;
	changes(RULE "model = fraud-a\n",
	    RULE "model = fraud-a\n[rule q]\noperation = deploy\n"
		 "role = ops\nmodel = ocr\nmfa = required\n",
	    "wider deploy for models ocr: - > mfa (ann)\n");
	/* ocr's tier is low: it is never both. */
	changes(RULE "model = tier:high\n",
	    RULE "model = tier:high\n[rule q]\noperation = deploy\n"
		 "role = ops\nmodel = ocr\nmfa = required\n",
	    "wider deploy for models ocr: - > mfa (ann)\n");
	/* fraud-a's is high. */
	changes(RULE "model = tier:high\n",
	    RULE "model = tier:high\n[rule q]\noperation = deploy\n"
		 "role = ops\nmodel = fraud-a\nmfa = required\n",
	    "wider deploy for models fraud-a: - > mfa (ann)\n"
	    "narrower deploy for models fraud-a, and for models tier:high:  "
	    "> mfa (ann)\n");
}

static void
commands_separations_and_the_guard(void **state)
{
	(void)state;
	compare("[operation a]\ncommand = /bin/true {model}\nrun-as = www\n",
	    "[operation a]\ncommand = /bin/true {model}\nrun-as = root\n");
	assert_string_equal(out,
	    "changed command a: /bin/true {model} as www in /, artifact "
	    "none > /bin/true {model} as root in /, artifact none\n");
	changes("[separation s]\noperations = deploy, promote\n",
	    "[separation t]\noperations = promote, deploy\n", "");
	changes("[separation s]\noperations = deploy, promote\n", "",
	    "wider separation : one person at most 1 of deploy, promote > "
	    "-\n");
	changes("", "[separation s]\noperations = deploy, promote\n",
	    "narrower separation : - > one person at most 1 of deploy, "
	    "promote\n");
	changes("[policy]\nsigned-by = 1 risk\nversion = 1\n", "",
	    "wider guard : signed by 1 risk > signed by nobody\n");
}

/* A hash of the same text, in a process of its own. */
static uint64_t
hash_elsewhere(const char *self)
{
	uint64_t hash = 0;
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)dup2(fd[1], 1);
		execl(self, self, "hash", (char *)NULL);
		_exit(1);
	}
	close(fd[1]);
	assert_int_equal(read(fd[0], &hash, sizeof(hash)), sizeof(hash));
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return hash;
}

static void
rule1_equal_hashes_cannot_be_looked_for(void **state)
{
	char self[256] = "";

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_true(pol_hash64("a b", 3) == pol_hash64("ab", 2));
	assert_true(hash_elsewhere(self) != pol_hash64("ab", 2));
	assert_true(hash_elsewhere(self) != hash_elsewhere(self));
}

static void
a_zone_of_the_policy_changes_its_times(void **state)
{
	(void)state;
	changes(RULE "time = 08:00-18:00\n",
	    "[policy]\ntime-zone = Europe/Berlin\n" RULE "time = 08:00-18:00\n",
	    "narrower deploy at 08:00-18:00:  > - (ann)\n"
	    "wider deploy at 08:00-18:00: - >  (ann)\n");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_decides_the_same_is_no_change),
	    cmocka_unit_test(what_is_allowed_or_not_is_wider_or_narrower),
	    cmocka_unit_test(what_is_asked_for_is_compared_piece_by_piece),
	    cmocka_unit_test(
		denials_and_demands_matter_where_something_is_allowed),
	    cmocka_unit_test(people_who_move_between_roles),
	    cmocka_unit_test(a_model_that_changes_its_attributes),
	    cmocka_unit_test(models_that_change_alike_are_all_named),
	    cmocka_unit_test(a_name_between_two_patterns_is_found),
	    cmocka_unit_test(what_is_written_more_may_ask_for_less),
	    cmocka_unit_test(two_models_at_once_are_none),
	    cmocka_unit_test(commands_separations_and_the_guard),
	    cmocka_unit_test(a_zone_of_the_policy_changes_its_times),
	    cmocka_unit_test(rule1_equal_hashes_cannot_be_looked_for),
	};

	(void)argv;
	if (argc > 1) { /* hash_elsewhere() */
		uint64_t hash = pol_hash64("ab", 2);

		return write(1, &hash, sizeof(hash)) != sizeof(hash);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
