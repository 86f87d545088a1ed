/* SPDX-License-Identifier: ISC */
/* Secrets at rest: what opens, and everything else, which does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_file.h"
#include "mg_seal.h"

#define TEXT "the quick brown fox"
#define PLACE "otp/alice"
#define ROOM 4096

static struct mg_seal
key_of(uint8_t byte)
{
	struct mg_seal s = {.has_key = true};

	memset(s.key, byte, sizeof(s.key));
	return s;
}

static void
put(const struct mg_seal *s, const char *place, const void *p, size_t n,
    struct mg_buf *b)
{
	mg_buf_init_secret(b, ROOM);
	assert_int_equal(mg_seal_put(s, place, p, n, b), MG_ERR_OK);
}

/* What mg_seal_get() says of the n bytes; nothing comes out of a refusal. */
static enum mg_err
get(const struct mg_seal *s, const char *place, const void *p, size_t n)
{
	char why[128] = "";
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init_secret(&b, ROOM);
	r = mg_seal_get(s, place, p, n, &b, why, sizeof(why));
	if (r == MG_ERR_OK) {
		assert_int_equal(mg_buf_len(&b), strlen(TEXT));
		assert_memory_equal(mg_buf_ptr(&b), TEXT, strlen(TEXT));
	} else {
		assert_int_equal(mg_buf_len(&b), 0);
		assert_string_not_equal(why, "");
	}
	mg_buf_fini(&b);
	return r;
}

static void
what_was_sealed_opens_and_does_not_show(void **state)
{
	struct mg_seal s = key_of(7);
	struct mg_buf b;

	(void)state;
	put(&s, PLACE, TEXT, strlen(TEXT), &b);
	assert_int_equal(mg_buf_len(&b), strlen(TEXT) + MG_SEAL_MORE);
	assert_true(mg_seal_is(mg_buf_ptr(&b), mg_buf_len(&b)));
	assert_null(
	    memmem(mg_buf_ptr(&b), mg_buf_len(&b), &TEXT[4], 5)); /* quick */
	assert_int_equal(
	    get(&s, PLACE, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_OK);
	mg_buf_fini(&b);
}

static void
every_size_reads_back(void **state)
{
	struct mg_seal s = key_of(7);
	struct mg_buf b, out;
	uint8_t text[600];
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(text); n++) {
		memset(text, (int)n, sizeof(text));
		put(&s, PLACE, text, n, &b);
		mg_buf_init_secret(&out, sizeof(text));
		assert_int_equal(mg_seal_get(&s, PLACE, mg_buf_ptr(&b),
				     mg_buf_len(&b), &out, NULL, 0),
		    MG_ERR_OK);
		assert_int_equal(mg_buf_len(&out), n);
		assert_memory_equal(mg_buf_ptr(&out), text, n);
		mg_buf_fini(&b);
		mg_buf_fini(&out);
	}
}

static void
rule2_the_same_text_is_never_sealed_alike(void **state)
{
	struct mg_seal s = key_of(7);
	struct mg_buf a, b;

	(void)state;
	put(&s, PLACE, TEXT, strlen(TEXT), &a);
	put(&s, PLACE, TEXT, strlen(TEXT), &b);
	assert_memory_not_equal(mg_buf_ptr(&a) + strlen(MG_SEAL_HEAD),
	    mg_buf_ptr(&b) + strlen(MG_SEAL_HEAD), 12);
	assert_memory_not_equal(mg_buf_ptr(&a) + strlen(MG_SEAL_HEAD) + 12,
	    mg_buf_ptr(&b) + strlen(MG_SEAL_HEAD) + 12, strlen(TEXT));
	mg_buf_fini(&a);
	mg_buf_fini(&b);
}

static void
rule3_another_place_or_key_does_not_open(void **state)
{
	struct mg_seal s = key_of(7), other = key_of(8);
	struct mg_buf b;

	(void)state;
	put(&s, PLACE, TEXT, strlen(TEXT), &b);
	assert_int_equal(
	    get(&s, "otp/bob", mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_SEALED);
	assert_int_equal(
	    get(&s, "", mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_SEALED);
	assert_int_equal(
	    get(&other, PLACE, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_SEALED);
	mg_buf_fini(&b);
}

/* No changed bit, no end cut off or put on, leaves something that opens. */
static void
rule4_what_was_changed_does_not_open(void **state)
{
	struct mg_seal s = key_of(7);
	struct mg_buf b;
	uint8_t copy[ROOM];
	size_t n, i;
	int bit;

	(void)state;
	put(&s, PLACE, TEXT, strlen(TEXT), &b);
	n = mg_buf_len(&b);
	memcpy(copy, mg_buf_ptr(&b), n);
	for (i = strlen(MG_SEAL_HEAD); i < n; i++) {
		for (bit = 0; bit < 8; bit++) {
			copy[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(
			    get(&s, PLACE, copy, n), MG_ERR_SEALED);
			copy[i] ^= (uint8_t)(1 << bit);
		}
	}
	for (i = strlen(MG_SEAL_HEAD); i < n; i++)
		assert_int_not_equal(get(&s, PLACE, copy, i), MG_ERR_OK);
	copy[n] = 0;
	assert_int_equal(get(&s, PLACE, copy, n + 1), MG_ERR_SEALED);
	mg_buf_fini(&b);
}

static void
rule5_without_a_key_nothing_sealed_opens(void **state)
{
	struct mg_seal s = key_of(7), none = {.has_key = false};
	struct mg_buf b;

	(void)state;
	put(&s, PLACE, TEXT, strlen(TEXT), &b);
	assert_int_equal(
	    get(&none, PLACE, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_SEALED);
	mg_buf_fini(&b);
	/* Nor with a key of zeros, which is what none looks like. */
	none.has_key = true;
	put(&s, PLACE, TEXT, strlen(TEXT), &b);
	assert_int_equal(
	    get(&none, PLACE, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_SEALED);
	mg_buf_fini(&b);
}

static void
what_is_not_sealed_passes_as_it_is(void **state)
{
	struct mg_seal s = key_of(7), none = {.has_key = false};
	struct mg_buf b;

	(void)state;
	put(&none, PLACE, TEXT, strlen(TEXT), &b);
	assert_int_equal(mg_buf_len(&b), strlen(TEXT));
	assert_int_equal(
	    get(&none, PLACE, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_OK);
	assert_int_equal(
	    get(&s, PLACE, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_OK);
	mg_buf_fini(&b);
}

static void
no_room_and_long_places_are_errors(void **state)
{
	struct mg_seal s = key_of(7);
	char place[MG_SEAL_PLACE_MAX + 2];
	struct mg_buf b, sealed;

	(void)state;
	memset(place, 'p', sizeof(place) - 1);
	place[sizeof(place) - 1] = '\0';
	mg_buf_init_secret(&b, strlen(TEXT) + MG_SEAL_MORE - 1);
	assert_int_equal(
	    mg_seal_put(&s, PLACE, TEXT, strlen(TEXT), &b), MG_ERR_LIMIT);
	assert_int_equal(mg_seal_put(&s, place, "", 0, &b), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
	put(&s, PLACE, TEXT, strlen(TEXT), &sealed);
	assert_int_equal(mg_seal_get(&s, place, mg_buf_ptr(&sealed),
			     mg_buf_len(&sealed), &b, NULL, 0),
	    MG_ERR_LIMIT);
	mg_buf_init_secret(&b, strlen(TEXT) - 1);
	assert_int_equal(mg_seal_get(&s, PLACE, mg_buf_ptr(&sealed),
			     mg_buf_len(&sealed), &b, NULL, 0),
	    MG_ERR_LIMIT);
	mg_buf_fini(&b);
	mg_buf_fini(&sealed);
}

/* ---- the credential ---- */

static char dir[64];

static void
write_key(size_t n, mode_t mode)
{
	char path[128], key[64];
	int fd;

	memset(key, 'k', sizeof(key));
	snprintf(path, sizeof(path), "%s/" MG_SEAL_FILE, dir);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, key, n), MG_ERR_OK);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static enum mg_err
init(struct mg_seal *s)
{
	char why[256] = "";
	enum mg_err r = mg_seal_init(s, why, sizeof(why));

	assert_true(r == MG_ERR_OK || (!s->has_key && why[0] != '\0'));
	assert_true(r != MG_ERR_OK || why[0] == '\0');
	return r;
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mg-seal.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return setenv(MG_SEAL_VARIABLE, dir, 1);
}

static int
tear_down(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/" MG_SEAL_FILE, dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return unsetenv(MG_SEAL_VARIABLE);
}

static void
the_credential_is_the_key(void **state)
{
	struct mg_seal s;

	(void)state;
	write_key(MG_SEAL_KEY, 0400);
	assert_int_equal(init(&s), MG_ERR_OK);
	assert_true(s.has_key);
	assert_int_equal(s.key[0], 'k');
	assert_int_equal(s.key[MG_SEAL_KEY - 1], 'k');
	mg_seal_fini(&s);
	assert_false(s.has_key);
	assert_int_equal(s.key[0], 0);
}

static void
no_credential_is_no_key(void **state)
{
	struct mg_seal s;

	(void)state;
	assert_int_equal(init(&s), MG_ERR_OK);
	assert_false(s.has_key);
	unsetenv(MG_SEAL_VARIABLE);
	assert_int_equal(init(&s), MG_ERR_OK);
	assert_false(s.has_key);
	mg_seal_fini(NULL);
}

static void
rule1_a_credential_that_is_not_one_is_an_error(void **state)
{
	char path[600];
	struct mg_seal s;

	(void)state;
	write_key(MG_SEAL_KEY - 1, 0400);
	assert_int_equal(init(&s), MG_ERR_FORMAT);
	write_key(MG_SEAL_KEY + 1, 0400);
	assert_int_equal(init(&s), MG_ERR_FORMAT);
	write_key(0, 0400);
	assert_int_equal(init(&s), MG_ERR_FORMAT);
	write_key(MG_SEAL_KEY, 0440);
	assert_int_equal(init(&s), MG_ERR_PERM);
	write_key(MG_SEAL_KEY, 0402);
	assert_int_equal(init(&s), MG_ERR_PERM);
	setenv(MG_SEAL_VARIABLE, "tmp", 1);
	assert_int_equal(init(&s), MG_ERR_FORMAT);
	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	setenv(MG_SEAL_VARIABLE, path, 1);
	assert_int_equal(init(&s), MG_ERR_FORMAT);
}

int
main(void)
{
#define P(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_sealed_opens_and_does_not_show),
	    cmocka_unit_test(every_size_reads_back),
	    cmocka_unit_test(rule2_the_same_text_is_never_sealed_alike),
	    cmocka_unit_test(rule3_another_place_or_key_does_not_open),
	    cmocka_unit_test(rule4_what_was_changed_does_not_open),
	    cmocka_unit_test(rule5_without_a_key_nothing_sealed_opens),
	    cmocka_unit_test(what_is_not_sealed_passes_as_it_is),
	    cmocka_unit_test(no_room_and_long_places_are_errors),
	    P(the_credential_is_the_key),
	    P(no_credential_is_no_key),
	    P(rule1_a_credential_that_is_not_one_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
