/* SPDX-License-Identifier: ISC */
/* The JSON writer: mg_json.c, judged by jq(1) too. */
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_bug.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_json.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct mg_buf b;
static struct mg_json j;
static int bugs;

/* In the place of the one that aborts, as in test_bug.c. */
void
mg_bug(void)
{
	bugs++;
}

static int
setup(void **state)
{
	(void)state;
	mg_buf_init(&b, 65536);
	mg_json_begin(&j, &b);
	bugs = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_buf_fini(&b);
	return 0;
}

static void
assert_written(const char *expected)
{
	assert_int_equal(mg_json_end(&j), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), expected);
}

static void
commas_stand_between_and_nowhere_else(void **state)
{
	const char *const v[] = {"x", "y"};

	(void)state;
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "s", "a");
	mg_json_int(&j, "i", -5);
	mg_json_bool(&j, "t", true);
	mg_json_bool(&j, "f", false);
	mg_json_null(&j, "n");
	mg_json_strv(&j, "v", v, 2);
	mg_json_strv(&j, "e", NULL, 0);
	mg_json_obj(&j, "o");
	mg_json_obj(&j, "empty");
	mg_json_obj_end(&j);
	mg_json_int(&j, "after", 1);
	mg_json_obj_end(&j);
	mg_json_arr(&j, "a");
	mg_json_int(&j, NULL, 1);
	mg_json_arr(&j, NULL);
	mg_json_arr_end(&j);
	mg_json_str(&j, NULL, "z");
	mg_json_arr_end(&j);
	mg_json_raw(&j, "r", "{\"in\":[1]}");
	mg_json_obj_end(&j);
	assert_written("{\"s\":\"a\",\"i\":-5,\"t\":true,\"f\":false,"
		       "\"n\":null,\"v\":[\"x\",\"y\"],\"e\":[],"
		       "\"o\":{\"empty\":{},\"after\":1},"
		       "\"a\":[1,[],\"z\"],\"r\":{\"in\":[1]}}");
}

static void
texts_are_safe_on_a_terminal(void **state)
{
	static const struct {
		const char *raw, *json;
	} cases[] = {
	    {"", "\"\""},
	    {"plain \xc3\xa9 /", "\"plain \xc3\xa9 /\""},
	    {"\"\\", "\"\\\"\\\\\""},
	    {"\n\r\t", "\"\\n\\r\\t\""},
	    {"\x01\x1b\x7f", "\"\\u0001\\u001b\\u007f\""},
	    {"\xc2\x9b", "\"\\u009b\""},
	    {"\xe2\x80\xae", "\"\\u202e\""},
	    {"\xf3\xa0\x81\x81", "\"\\udb40\\udc41\""},
	    {"\xf4\x8f\xbf\xbf", "\"\\udbff\\udfff\""},
	    {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
	    {"a\xff"
	     "b",
		"\"a\\ufffdb\""},
	    {"\xc3", "\"\\ufffd\""},
	    {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		mg_buf_reset(&b);
		mg_json_begin(&j, &b);
		mg_json_str(&j, NULL, cases[i].raw);
		assert_written(cases[i].json);
		assert_true(mg_esc_is_clean(mg_buf_cstr(&b)));
	}
}

static void
keys_are_escaped_as_texts_are(void **state)
{
	(void)state;
	mg_json_obj(&j, NULL);
	mg_json_int(&j, "a\"b\n", 1);
	mg_json_obj_end(&j);
	assert_written("{\"a\\\"b\\n\":1}");
}

static void
integers_are_written_at_their_limits(void **state)
{
	(void)state;
	mg_json_arr(&j, NULL);
	mg_json_int(&j, NULL, INT64_MIN);
	mg_json_int(&j, NULL, INT64_MAX);
	mg_json_int(&j, NULL, 0);
	mg_json_arr_end(&j);
	assert_written("[-9223372036854775808,9223372036854775807,0]");
}

static void
the_first_error_sticks_whatever_fits_later(void **state)
{
	struct mg_buf small;

	(void)state;
	mg_buf_init(&small, 10);
	mg_json_begin(&j, &small);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "k", "much too long");
	mg_buf_reset(&small); /* room again */
	mg_json_int(&j, "i", 1);
	mg_json_obj_end(&j);
	assert_int_equal(mg_json_end(&j), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&small), 0);
	mg_buf_fini(&small);
}

static enum mg_err
write_into(size_t max, size_t *np)
{
	struct mg_buf small;
	enum mg_err r;

	mg_buf_init(&small, max);
	mg_json_begin(&j, &small);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "key", "a\nb\xff");
	mg_json_int(&j, "n", 1234567);
	mg_json_bool(&j, "t", true);
	mg_json_obj_end(&j);
	r = mg_json_end(&j);
	*np = mg_buf_len(&small);
	mg_buf_fini(&small);
	return r;
}

static void
no_buffer_size_makes_a_cut_document_a_success(void **state)
{
	size_t whole, max, n;

	(void)state;
	assert_int_equal(write_into(1000, &whole), MG_ERR_OK);
	for (max = 1; max < whole; max++)
		assert_int_equal(write_into(max, &n), MG_ERR_LIMIT);
	assert_int_equal(write_into(whole, &n), MG_ERR_OK);
	assert_int_equal(n, whole);
}

static void
a_document_that_is_still_open_is_an_error(void **state)
{
	(void)state;
	mg_json_obj(&j, NULL);
	mg_json_arr(&j, "a");
	mg_json_arr_end(&j);
	assert_int_equal(mg_json_end(&j), MG_ERR_INTERNAL);
	mg_json_obj_end(&j);
	assert_int_equal(mg_json_end(&j), MG_ERR_OK);
}

static void
nesting_too_deep_is_a_bug_of_ours_and_stays_in_memory(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < MG_JSON_DEPTH_MAX; i++)
		mg_json_arr(&j, NULL);
	assert_int_equal(bugs, 0);
	mg_json_arr(&j, NULL);
	assert_int_equal(bugs, 1);
	for (i = 0; i < 1000; i++)
		mg_json_arr(&j, NULL);
	assert_int_equal(mg_json_end(&j), MG_ERR_INTERNAL);
}

static void
closing_what_is_not_open_is_a_bug_of_ours_and_stays_in_memory(void **state)
{
	(void)state;
	mg_json_int(&j, NULL, 1);
	mg_json_obj_end(&j);
	assert_int_equal(bugs, 1);
	mg_json_arr_end(&j);
	assert_int_equal(mg_json_end(&j), MG_ERR_INTERNAL);
}

/* ---- jq ---- */

/* Whether jq takes the document for a true one: .s is exactly raw. */
static bool
jq_reads(const char *path, const char *raw)
{
	char *argv[] = {(char[]){"jq"}, (char[]){"-e"}, (char[]){"--arg"},
	    (char[]){"raw"}, (char *)(uintptr_t)raw,
	    (char[]){".s == $raw and .[$raw] == -1 and .v[1] == $raw"},
	    (char *)(uintptr_t)path, NULL};
	posix_spawn_file_actions_t fa;
	char *envp[] = {NULL};
	int status = -1;
	pid_t pid;

	assert_int_equal(posix_spawn_file_actions_init(&fa), 0);
	assert_int_equal(
	    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0),
	    0);
	assert_int_equal(
	    posix_spawn(&pid, "/usr/bin/jq", &fa, NULL, argv, envp), 0);
	posix_spawn_file_actions_destroy(&fa);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
jq_reads_what_is_written(void **state)
{
	static const char *const raw[] = {"plain", "", "\"quoted\" \\ back",
	    "\x01\x02\x1b\x7f\n\r\t\b\f", "\xc3\xa9 \xe4\xb8\xad",
	    "\xe2\x80\xae\xe2\x80\x8b\xef\xbb\xbf",
	    "\xf0\x9f\x98\x80\xf3\xa0\x81\x81\xf4\x8f\xbf\xbd",
	    "{\"s\":\"inject\"}", "\\u0041", "\\ud800"};
	char path[] = "/tmp/test_json.XXXXXX";
	const char *v[2] = {"other", NULL};
	int fd = mkstemp(path);
	size_t i;

	(void)state;
	assert_true(fd != -1);
	for (i = 0; i < N(raw); i++) {
		mg_buf_reset(&b);
		mg_json_begin(&j, &b);
		v[1] = raw[i];
		mg_json_obj(&j, NULL);
		mg_json_int(&j, raw[i], -1);
		mg_json_str(&j, "s", raw[i]);
		mg_json_strv(&j, "v", v, 2);
		mg_json_obj_end(&j);
		assert_int_equal(mg_json_end(&j), MG_ERR_OK);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, mg_buf_ptr(&b), mg_buf_len(&b), 0),
		    (ssize_t)mg_buf_len(&b));
		if (!jq_reads(path, raw[i]))
			fail_msg("jq reads %s otherwise", mg_buf_cstr(&b));
	}
	assert_false(jq_reads(path, "something else"));
	close(fd);
	unlink(path);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(commas_stand_between_and_nowhere_else),
	    T(texts_are_safe_on_a_terminal),
	    T(keys_are_escaped_as_texts_are),
	    T(integers_are_written_at_their_limits),
	    T(the_first_error_sticks_whatever_fits_later),
	    T(no_buffer_size_makes_a_cut_document_a_success),
	    T(a_document_that_is_still_open_is_an_error),
	    T(nesting_too_deep_is_a_bug_of_ours_and_stays_in_memory),
	    T(closing_what_is_not_open_is_a_bug_of_ours_and_stays_in_memory),
	    T(jq_reads_what_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
