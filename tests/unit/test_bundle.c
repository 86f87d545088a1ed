/* SPDX-License-Identifier: ISC */
/* Exported files: mg_bundle.c. One form is read, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mg_bundle.h"
#include "mg_merkle.h"

/* 100 characters */
#define TEN "0123456789"
#define TOO_LONG TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static struct mg_buf b;

static int
setup(void **state)
{
	(void)state;
	mg_buf_init(&b, MG_BUNDLE_MAX + 4096);
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
put(const char *name, const char *data)
{
	assert_int_equal(
	    mg_bundle_put(&b, name, data, strlen(data)), MG_ERR_OK);
}

static void
refused(const char *why_not)
{
	struct mg_bundle bundle;
	const char *why;

	assert_int_equal(
	    mg_bundle_parse(&bundle, mg_buf_ptr(&b), mg_buf_len(&b), &why),
	    MG_ERR_FORMAT);
	assert_string_equal(why, why_not);
	assert_null(bundle.v);
	assert_int_equal(bundle.n, 0);
}

static void
what_is_put_in_comes_out(void **state)
{
	static char full[512];
	struct mg_bundle bundle;
	const char *why;

	(void)state;
	memset(full, 'x', sizeof(full));
	put("README", "read me");
	put("records/1.json", "");
	assert_int_equal(
	    mg_bundle_put(&b, "full", full, sizeof(full)), MG_ERR_OK);
	assert_int_equal(mg_bundle_put_end(&b), MG_ERR_OK);
	assert_int_equal(
	    mg_bundle_parse(&bundle, mg_buf_ptr(&b), mg_buf_len(&b), &why),
	    MG_ERR_OK);
	assert_int_equal(bundle.n, 3);
	assert_memory_equal(
	    mg_bundle_find(&bundle, "README")->data, "read me", 7);
	assert_int_equal(mg_bundle_find(&bundle, "records/1.json")->len, 0);
	assert_int_equal(mg_bundle_find(&bundle, "full")->len, sizeof(full));
	assert_null(mg_bundle_find(&bundle, "readme"));
	mg_bundle_fini(&bundle);
}

static void
names_that_lead_elsewhere_are_refused(void **state)
{
	static const char *const names[] = {"", "/etc/passwd", "..", "../x",
	    ".ssh", "a/../b", "a//b", "a/", "a/.b", "a b", "a\nb", "\xc3\xbc",
	    TOO_LONG};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(
		    mg_bundle_put(&b, names[i], "x", 1), MG_ERR_FORMAT);
		assert_int_equal(mg_buf_len(&b), 0);
	}
	assert_int_equal(
	    mg_bundle_put(&b, "x", "", MG_BUNDLE_MAX + 1), MG_ERR_FORMAT);
}

/* Every bit of headers and padding, and every shorter file. */
static void
one_form_is_read_and_no_other(void **state)
{
	struct mg_bundle bundle;
	const char *why;
	size_t n, i;
	uint8_t *p;
	enum mg_err r;

	(void)state;
	put("one", "1");
	put("two", "2");
	assert_int_equal(mg_bundle_put_end(&b), MG_ERR_OK);
	n = mg_buf_len(&b);
	p = (uint8_t *)(uintptr_t)mg_buf_ptr(&b);
	for (i = 0; i < n * 8; i++) {
		p[i / 8] ^= (uint8_t)(1U << i % 8);
		r = mg_bundle_parse(&bundle, p, n, &why);
		/* Data is the members' own affair. */
		assert_int_equal(r,
		    i / 8 == 512 || i / 8 == 1536 ? MG_ERR_OK : MG_ERR_FORMAT);
		mg_bundle_fini(&bundle);
		p[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	for (i = 0; i < n; i++)
		assert_int_equal(
		    mg_bundle_parse(&bundle, p, i, &why), MG_ERR_FORMAT);
}

static void
each_flaw_has_its_words(void **state)
{
	char name[32];
	int i;

	(void)state;
	refused("it is cut off");
	put("one", "1");
	refused("it is cut off");
	assert_int_equal(mg_buf_put(&b, "x", 1), MG_ERR_OK);
	refused("it ends within a header");
	mg_buf_reset(&b);
	put("one", "1");
	put("one", "1");
	refused("a member is there twice");
	mg_buf_reset(&b);
	put("one", "1");
	assert_int_equal(mg_bundle_put_end(&b), MG_ERR_OK);
	assert_int_equal(mg_buf_put(&b, "x", 1), MG_ERR_OK);
	refused("there is something behind its end");
	mg_buf_reset(&b);
	for (i = 0; i <= MG_BUNDLE_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		put(name, "");
	}
	refused("it has more than 1024 members");
	mg_buf_reset(&b);
	assert_non_null(mg_buf_reserve(&b, MG_BUNDLE_MAX + 1));
	mg_buf_commit(&b, MG_BUNDLE_MAX + 1);
	refused("it is larger than 64 MiB");
}

/* For every place in trees of many sizes; sides cannot be chosen. */
static void
a_path_is_read_as_it_was_written(void **state)
{
	uint8_t in[MG_MERKLE_PROOF_MAX][32], out[MG_MERKLE_PROOF_MAX][32];
	struct mg_merkle_range r[MG_MERKLE_PROOF_MAX];
	uint64_t size, i;
	size_t n, m, k;
	uint8_t *p;

	(void)state;
	for (k = 0; k < MG_MERKLE_PROOF_MAX; k++)
		memset(in[k], (int)(k * 7 + 1), 32);
	for (size = 1; size < 20; size++)
		for (i = 0; i < size; i++) {
			mg_buf_reset(&b);
			n = mg_merkle_path(i, size, r);
			assert_int_equal(mg_bundle_put_path(&b, i, size,
					     (const uint8_t(*)[32])in, n),
			    MG_ERR_OK);
			assert_int_equal(mg_bundle_get_path(mg_buf_ptr(&b),
					     mg_buf_len(&b), i, size, out, &m),
			    MG_ERR_OK);
			assert_int_equal(n, m);
			assert_memory_equal(in, out, n * 32);
			p = (uint8_t *)(uintptr_t)mg_buf_ptr(&b);
			for (k = 0; k < mg_buf_len(&b); k += 13) {
				p[k] ^= 0x40;
				assert_int_equal(
				    mg_bundle_get_path(
					p, mg_buf_len(&b), i, size, out, &m),
				    MG_ERR_FORMAT);
				p[k] ^= 0x40;
			}
			assert_int_equal(
			    mg_bundle_get_path(
				p, mg_buf_len(&b) + 1, i, size, out, &m),
			    MG_ERR_FORMAT);
		}
	assert_int_equal(
	    mg_bundle_get_path("", 0, 1, 1, out, &m), MG_ERR_FORMAT);
	assert_int_equal(
	    mg_bundle_put_path(&b, 0, 4, (const uint8_t(*)[32])in, 1),
	    MG_ERR_INTERNAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_is_put_in_comes_out),
	    T(names_that_lead_elsewhere_are_refused),
	    T(one_form_is_read_and_no_other),
	    T(each_flaw_has_its_words),
	    T(a_path_is_read_as_it_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
