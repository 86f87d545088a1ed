/* SPDX-License-Identifier: ISC */
/* What a broken invariant does in a program that must live on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mg_buf.h"
#include "mg_bug.h"

/* As in the PAM module: takes the place of the one that aborts. */
static int bugs;

void
mg_bug(void)
{
	bugs++;
}

static void
assert_is_broken_off(struct mg_buf *b)
{
	const char *s;
	uint8_t v;

	assert_int_equal(bugs, 1);
	assert_int_equal(mg_buf_len(b), 0);
	assert_int_equal(mg_buf_get_u8(b, &v), MG_ERR_TRUNC);
	assert_int_equal(mg_buf_get_str(b, 10, &s), MG_ERR_TRUNC);
	assert_int_not_equal(mg_buf_put_u8(b, 1), MG_ERR_OK);
	assert_null(mg_buf_reserve(b, 1));
	assert_int_equal(mg_buf_len(b), 0);
}

static void
rule3_a_commit_beyond_the_memory_leaves_an_empty_full_buffer(void **state)
{
	struct mg_buf b;

	(void)state;
	bugs = 0;
	mg_buf_init(&b, 1024);
	assert_int_equal(mg_buf_put_text(&b, "hello"), MG_ERR_OK);
	mg_buf_commit(&b, 100000);
	assert_is_broken_off(&b);
	mg_buf_fini(&b);
}

static void
rule3_a_commit_to_a_buffer_that_only_reads_leaves_it_empty_and_full(
    void **state)
{
	struct mg_buf b;

	(void)state;
	bugs = 0;
	mg_buf_init_read(&b, "hello", 5);
	mg_buf_commit(&b, 1);
	assert_is_broken_off(&b);
	mg_buf_fini(&b);
}

static void
rule3_a_consume_beyond_the_data_leaves_an_empty_full_buffer(void **state)
{
	struct mg_buf b;

	(void)state;
	bugs = 0;
	mg_buf_init(&b, 1024);
	assert_int_equal(mg_buf_put_text(&b, "hello"), MG_ERR_OK);
	mg_buf_consume(&b, 6);
	assert_is_broken_off(&b);
	mg_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		rule3_a_commit_beyond_the_memory_leaves_an_empty_full_buffer),
	    cmocka_unit_test(
		rule3_a_commit_to_a_buffer_that_only_reads_leaves_it_empty_and_full),
	    cmocka_unit_test(
		rule3_a_consume_beyond_the_data_leaves_an_empty_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
