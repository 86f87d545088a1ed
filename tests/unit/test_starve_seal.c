/* SPDX-License-Identifier: ISC */
/*
 * Secrets at rest while memory, libcrypto and system calls fail in turn:
 * nothing is written in clear, nothing that was changed opens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mg_seal.h"
#include "starve.h"

#define PLACE "otp/alice"
#define SECRET "secret 00112233445566778899aabbccddeeff\n"

static struct mg_seal key = {
    .has_key = true, .key = "thirty-two bytes of a fixed key"};

static const char *
play_put(const void *arg)
{
	const char *wrong = NULL;
	struct mg_buf b, out;
	enum mg_err r;

	(void)arg;
	mg_buf_init(&b, 4096);
	mg_buf_init_secret(&out, 4096);
	r = mg_seal_put(&key, PLACE, SECRET, strlen(SECRET), &b);
	starve_rest();
	if (r != MG_ERR_OK && (mg_buf_len(&b) > 0 || !starve_has_hit()))
		wrong = "half of it is there, or no reason";
	else if (memmem(mg_buf_ptr(&b), mg_buf_len(&b), "0011", 4) != NULL)
		wrong = "it is in clear";
	else if (r == MG_ERR_OK &&
		 (mg_seal_get(&key, PLACE, mg_buf_ptr(&b), mg_buf_len(&b), &out,
		      NULL, 0) != MG_ERR_OK ||
		     mg_buf_len(&out) != strlen(SECRET)))
		wrong = "it does not open";
	mg_buf_fini(&b);
	mg_buf_fini(&out);
	return wrong;
}

/* A file, and whether it is as it was sealed. */
struct sealed {
	struct mg_buf b;
	bool good;
	bool memory; /* nothing but memory is out */
};

static const char *
play_get(const void *arg)
{
	const struct sealed *s = arg;
	const char *wrong = NULL;
	struct mg_buf out;
	char why[128] = "";
	enum mg_err r;

	mg_buf_init_secret(&out, 4096);
	r = mg_seal_get(&key, PLACE, mg_buf_ptr(&s->b), mg_buf_len(&s->b), &out,
	    why, sizeof(why));
	if (r == MG_ERR_OK && !s->good)
		wrong = "what was changed opens";
	else if (r == MG_ERR_OK &&
		 (mg_buf_len(&out) != strlen(SECRET) ||
		     memcmp(mg_buf_ptr(&out), SECRET, strlen(SECRET)) != 0))
		wrong = "another text";
	else if (r != MG_ERR_OK && mg_buf_len(&out) > 0)
		wrong = "some of it";
	else if (r != MG_ERR_OK && s->good && !starve_has_hit())
		wrong = "no without a reason";
	else if (r != MG_ERR_OK && s->memory && r != MG_ERR_NOMEM)
		wrong = why[0] != '\0' ? "memory is out: told another reason"
				       : "memory is out: no reason told";
	mg_buf_fini(&out);
	return wrong;
}

static void
what_is_sealed_is_sealed_or_an_error(void **state)
{
	(void)state;
	starve_every(STARVE_ALL, play_put, NULL);
}

static void
what_opens_is_what_was_sealed(void **state)
{
	struct sealed s = {.good = true};
	uint8_t *d;

	(void)state;
	mg_buf_init(&s.b, 4096);
	assert_int_equal(
	    mg_seal_put(&key, PLACE, SECRET, strlen(SECRET), &s.b), MG_ERR_OK);
	starve_every(STARVE_ALL, play_get, &s);
	s.memory = true;
	starve_every(STARVE_MEMORY, play_get, &s);
	s.memory = false;
	/* One bit of the text. */
	d = mg_buf_reserve(&s.b, 1);
	assert_non_null(d);
	d[-20] ^= 1;
	s.good = false;
	starve_every(STARVE_ALL, play_get, &s);
	mg_buf_fini(&s.b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_sealed_is_sealed_or_an_error),
	    cmocka_unit_test(what_opens_is_what_was_sealed),
	};

	starve_begin();
	return cmocka_run_group_tests_name("sealed secrets", tests, NULL, NULL);
}
