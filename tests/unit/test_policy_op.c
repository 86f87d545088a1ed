/* SPDX-License-Identifier: ISC */
/* From an operation's command to the elements that are executed. */
#include "policy_fixture.h"

static char *argv[16];
static size_t argc;
static const char *what;

static enum mg_err
argv_of(struct mg_policy *p, const struct mg_expand *x, size_t max)
{
	return mg_operation_argv(
	    mg_policy_operation(p, "x"), x, argv, max, &argc, &what);
}

static void
free_argv(void)
{
	while (argc > 0)
		free(argv[--argc]);
}

static struct mg_policy *
with_command(const char *command)
{
	char text[512];

	snprintf(text, sizeof(text),
	    "[operation x]\ncommand = %s\nrun-as = www\n"
	    "artifact = /srv/{model}/v{version}\n",
	    command);
	return must_load(text);
}

static void
a_definition_is_kept_as_written(void **state)
{
	struct mg_policy *p = must_load("[operation x]\n"
					"command = /bin/a \"b c\" {model} d\n"
					"run-as = www\ncwd = /srv\n");
	const struct mg_operation *op = mg_policy_operation(p, "x");

	(void)state;
	assert_non_null(op);
	assert_string_equal(op->name, "x");
	assert_int_equal(op->argc, 4);
	assert_string_equal(op->argv[0], "/bin/a");
	assert_string_equal(op->argv[1], "b c");
	assert_string_equal(op->argv[2], "{model}");
	assert_string_equal(op->argv[3], "d");
	assert_null(op->argv[4]);
	assert_string_equal(op->run_as, "www");
	assert_string_equal(op->cwd, "/srv");
	assert_null(op->artifact);
	assert_string_equal(op->where, "policy.d/t.ini:1");
	assert_true(op->takes_model);
	assert_false(op->takes_version);
	assert_false(op->takes_args);
	assert_null(mg_policy_operation(p, "y"));
	op = mg_policy_operation(p, "login");
	assert_non_null(op);
	assert_int_equal(op->argc, 0);
	assert_false(op->takes_model);
	mg_policy_free(p);
}

static void
rule1_a_placeholder_is_one_element_or_a_part_of_one(void **state)
{
	const char *const args[] = {"", "a b", "$(reboot)", "{model}", "-x"};
	const struct mg_expand x = {.user = "alice",
	    .model = "m",
	    .version = "1.2",
	    .args = args,
	    .nargs = 5};
	struct mg_policy *p =
	    with_command("/bin/a {model}@{version} --by={user} -- {args} end");
	static const char *const expect[] = {"/bin/a", "m@1.2", "--by=alice",
	    "--", "", "a b", "$(reboot)", "{model}", "-x", "end"};
	size_t i;

	(void)state;
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_OK);
	assert_int_equal(argc, 10);
	for (i = 0; i < 10; i++)
		assert_string_equal(argv[i], expect[i]);
	assert_null(argv[10]);
	free_argv();
	mg_policy_free(p);
}

static void
rule2_only_identifiers_are_put_in(void **state)
{
	static const char *const bad[] = {"", "-rf", ".", "..", "a/b", "../x",
	    "a b", "a\nb", "a;b", "\xc3\xa9"};
	struct mg_policy *p = with_command("/bin/a {model} {version}");
	struct mg_expand x = {.user = "u", .model = "m", .version = "1"};
	char out[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		x.model = bad[i];
		assert_int_equal(argv_of(p, &x, 16), MG_ERR_FORMAT);
		assert_string_equal(what, "model");
		assert_int_equal(argc, 0);
		assert_null(argv[0]);
		assert_int_equal(
		    mg_operation_artifact(
			mg_policy_operation(p, "x"), &x, out, sizeof(out)),
		    MG_ERR_FORMAT);
		assert_string_equal(out, "");
	}
	x.model = "m";
	x.version = NULL;
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_FORMAT);
	assert_string_equal(what, "version");
	mg_policy_free(p);
}

static void
lengths_are_bounded(void **state)
{
	static char longer[5000];
	const char *args[1] = {longer};
	struct mg_expand x = {.user = "u",
	    .model = "m",
	    .version = "1",
	    .args = args,
	    .nargs = 1};
	struct mg_policy *p = with_command("/bin/a {args}");
	char out[9];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_LIMIT);
	assert_int_equal(argc, 0);
	longer[4095] = '\0';
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_OK);
	free_argv();
	assert_int_equal(argv_of(p, &x, 3), MG_ERR_OK);
	free_argv();
	assert_int_equal(argv_of(p, &x, 2), MG_ERR_LIMIT);
	assert_int_equal(argv_of(p, &x, 1), MG_ERR_LIMIT);
	assert_int_equal(argv_of(p, &x, 0), MG_ERR_LIMIT);
	assert_int_equal(
	    mg_operation_artifact(mg_policy_operation(p, "x"), &x, out, 9),
	    MG_ERR_LIMIT); /* "/srv/m/v1" and a NUL are 10 */
	mg_policy_free(p);
}

static void
an_artifact_is_a_path(void **state)
{
	struct mg_expand x = {.user = "u", .model = "m", .version = "1"};
	struct mg_policy *p = with_command("/bin/a");
	char out[64];

	(void)state;
	assert_int_equal(mg_operation_artifact(
			     mg_policy_operation(p, "x"), &x, out, sizeof(out)),
	    MG_ERR_OK);
	assert_string_equal(out, "/srv/m/v1");
	assert_int_equal(mg_operation_artifact(mg_policy_operation(p, "login"),
			     &x, out, sizeof(out)),
	    MG_ERR_NOENT);
	mg_policy_free(p);
}

static void
artifact_is_one_element_and_must_be_known(void **state)
{
	struct mg_expand x = {.artifact = "/store/sha256-00", .model = "m"};
	struct mg_policy *p = with_command("/bin/a dir={artifact}");

	(void)state;
	assert_true(mg_policy_operation(p, "x")->takes_artifact);
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_OK);
	assert_int_equal(argc, 2);
	assert_string_equal(argv[1], "dir=/store/sha256-00");
	free_argv();
	x.artifact = "";
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_FORMAT);
	assert_string_equal(what, "artifact");
	x.artifact = NULL;
	assert_int_equal(argv_of(p, &x, 16), MG_ERR_FORMAT);
	mg_policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(artifact_is_one_element_and_must_be_known),
	    cmocka_unit_test(a_definition_is_kept_as_written),
	    cmocka_unit_test(
		rule1_a_placeholder_is_one_element_or_a_part_of_one),
	    cmocka_unit_test(rule2_only_identifiers_are_put_in),
	    cmocka_unit_test(lengths_are_bounded),
	    cmocka_unit_test(an_artifact_is_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
