/* SPDX-License-Identifier: ISC */
/* The store of second factors, with every system call of it failing in
 * turn: a code that was used stays used, and no factor is lost. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault.h"
#include "mg_totp_store.h"

static const char *
path_of(int dirfd)
{
	static char path[PATH_MAX];
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		abort();
	path[n] = '\0';
	return path;
}

static enum mg_err
use(int dirfd, uint64_t step, bool first)
{
	struct mg_totp t = {.user = "alice",
	    .alg = MG_TOTP_SHA1,
	    .digits = 6,
	    .period_s = 30,
	    .secret_len = MG_TOTP_SECRET_MIN};
	struct mg_totp_store st;
	enum mg_err r;

	r = mg_totp_store_init(&st, path_of(dirfd), NULL, 0);
	if (r != MG_ERR_OK)
		return r;
	mg_totp_store_sweep(&st);
	if (!first)
		r = mg_totp_store_load(&st, "alice", &t, NULL, 0);
	t.used = step;
	if (r == MG_ERR_OK)
		r = mg_totp_store_save(&st, &t, NULL, 0);
	mg_totp_store_fini(&st);
	return r;
}

static void
prepare(int dirfd)
{
	assert_int_equal(use(dirfd, 1, true), MG_ERR_OK);
}

static void
play(int dirfd, struct fault_seen *seen)
{
	for (seen->begun = 2; seen->begun < 5; seen->begun++)
		if (use(dirfd, seen->begun, false) == MG_ERR_OK)
			seen->done = seen->begun;
}

static void
check(int dirfd, const struct fault_seen *seen)
{
	struct mg_totp_store st;
	struct mg_totp t;
	char why[256];

	assert_int_equal(
	    mg_totp_store_init(&st, path_of(dirfd), why, sizeof(why)),
	    MG_ERR_OK);
	assert_int_equal(
	    mg_totp_store_load(&st, "alice", &t, why, sizeof(why)), MG_ERR_OK);
	assert_true(t.used >= seen->done && t.used >= 1);
	assert_true(t.used <= seen->begun);
	mg_totp_store_fini(&st);
}

static void
rule4_a_used_code_stays_used_whatever_call_fails(void **state)
{
	static const struct fault_test t = {
	    .prepare = prepare, .play = play, .check = check};

	(void)state;
	fault_every(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rule4_a_used_code_stays_used_whatever_call_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
