/* SPDX-License-Identifier: ISC */
/* The fold while every request for memory fails in turn: a record that does
 * not fit into memory has changed nothing, and a snapshot is whole or an
 * error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_state.h"
#include "starve.h"

#define ONE "0a6f3b52-5a0c-4d0e-9d11-0123456789ab"
#define TWO "9b1e7d1a-93f2-4b7e-8d11-0123456789ab"
#define LONG                                                                   \
	"a reason that is long, and long, and long, and long, and long, and "  \
	"long, and long, and long, and long, and long, and long, and long"

static const char *const story[] = {
    "\"type\":\"start\",\"boot\":\"11111111-1111-4111-8111-111111111111\"",
    "\"type\":\"policy\",\"ok\":true,\"what\":\"policy\",\"digest\":"
    "\"sha256:00\",\"version\":3",
    "\"type\":\"policy\",\"ok\":true,\"what\":\"allowed_signers\",\"digest\":"
    "\"sha256:01\",\"version\":1",
    "\"type\":\"session-open\",\"ses\":5,\"uid\":7001,\"user\":\"alice\","
    "\"tty\":\"pts/1\",\"hardware\":true,\"key_fp\":\"SHA256:k\","
    "\"mfa_bt\":900",
    "\"type\":\"request\",\"uuid\":\"" ONE "\",\"user\":\"alice\","
    "\"uid\":7001,\"ses\":5,\"operation\":\"deploy\",\"model\":\"m\","
    "\"version\":\"2\",\"digest\":\"sha256:aa\",\"reason\":\"" LONG LONG LONG
    "\",\"approve_ms\":900000,\"start_ms\":600000,\"lasts_ms\":1800000,"
    "\"uses\":2,\"need\":[\"risk-owner\",\"1\"],\"args\":[\"a\",\"b\"],"
    "\"argv\":[\"/bin/true\"],\"mfa\":true",
    "\"type\":\"mfa\",\"uuid\":\"" ONE "\",\"user\":\"alice\",\"ses\":5,"
    "\"ok\":true",
    "\"type\":\"mfa\",\"user\":\"mallory\",\"ok\":false,\"counts\":true",
    "\"type\":\"tokens\",\"what\":\"wrong\",\"user\":\"mallory\",\"counts\":"
    "true",
    "\"type\":\"decision\",\"uuid\":\"" ONE "\",\"approver\":\"bob\","
    "\"decision\":\"approve\",\"note\":\"fine\",\"key_fp\":\"SHA256:x\"",
    "\"type\":\"grant\",\"uuid\":\"" ONE "\"",
    "\"type\":\"run\",\"uuid\":\"" ONE "\",\"run\":1,\"run_ses\":77",
    "\"type\":\"exit\",\"uuid\":\"" ONE "\",\"run\":1,\"how\":\"status\","
    "\"value\":0",
    "\"type\":\"model\",\"uuid\":\"" ONE "\",\"effect\":\"serve\",\"model\":"
    "\"m\",\"version\":\"2\",\"digest\":\"sha256:aa\",\"path\":\"/s/m\","
    "\"user\":\"alice\",\"approvers\":[\"bob\"],\"reason\":\"r\"",
    "\"type\":\"model\",\"uuid\":\"" ONE "\",\"effect\":\"serve\",\"model\":"
    "\"m\",\"version\":\"3\",\"digest\":\"sha256:ab\",\"path\":\"/s/m\","
    "\"user\":\"alice\",\"approvers\":[\"bob\"],\"reason\":\"r\"",
    "\"type\":\"empty\",\"uuid\":\"" ONE "\",\"run\":1",
    "\"type\":\"run\",\"uuid\":\"" ONE "\",\"run\":2,\"run_ses\":78",
    "\"type\":\"access\",\"uuid\":\"\",\"user\":\"alice\",\"operation\":"
    "\"login\"",
    "\"type\":\"refused\",\"uuid\":\"" TWO "\",\"user\":\"carol\",\"uid\":"
    "7003,\"operation\":\"deploy\",\"why\":\"no-rule\",\"text\":\"no\"",
    "\"type\":\"session-open\",\"ses\":9,\"uid\":7002,\"user\":\"bob\"",
    "\"type\":\"session-close\",\"ses\":9,\"how\":\"logout\"",
    "\"type\":\"end\",\"uuid\":\"" ONE "\",\"state\":\"revoked\",\"why\":"
    "\"revoked\",\"by\":\"root\"",
    "\"type\":\"start\",\"boot\":\"22222222-2222-4222-8222-222222222222\"",
};

#define NSTORY (sizeof(story) / sizeof(story[0]))

static enum mg_err
apply(struct mg_state *st, size_t i)
{
	char line[4096];
	struct mg_rec rec;
	enum mg_err r;

	snprintf(line, sizeof(line),
	    "{\"at\":\"2026-11-22T10:00:%02zu.000Z\",\"bt\":%zu,%s}", i,
	    1000 + i * 1000, story[i]);
	mg_rec_init(&rec);
	if ((r = mg_rec_parse(&rec, line, strlen(line))) == MG_ERR_OK)
		r = mg_state_apply(st, &rec);
	mg_rec_fini(&rec);
	return r;
}

/* Whether st is what the first n records make of nothing. */
static bool
is_after(struct mg_state *st, size_t n)
{
	struct mg_state *want = mg_state_new();
	struct mg_buf a, b;
	size_t i;
	bool same;

	mg_buf_init(&a, 1U << 20);
	mg_buf_init(&b, 1U << 20);
	for (i = 0; i < n; i++) {
		assert_int_equal(apply(want, i), MG_ERR_OK);
		mg_state_commit(want);
	}
	assert_int_equal(mg_state_save(want, &a), MG_ERR_OK);
	same = mg_state_save(st, &b) == MG_ERR_OK &&
	       mg_buf_len(&a) == mg_buf_len(&b) &&
	       memcmp(mg_buf_ptr(&a), mg_buf_ptr(&b), mg_buf_len(&a)) == 0;
	if (!same)
		print_error("after %zu:\n%s\n%s\n", n, mg_buf_cstr(&a),
		    mg_buf_cstr(&b));
	mg_buf_fini(&a);
	mg_buf_fini(&b);
	mg_state_free(want);
	return same;
}

static const char *
play_apply(const void *arg)
{
	struct mg_state *st = mg_state_new();
	const char *wrong = NULL;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	(void)arg;
	if (st == NULL)
		return starve_has_hit() ? NULL : "no state without a reason";
	for (i = 0; i < NSTORY && r == MG_ERR_OK; i++)
		if ((r = apply(st, i)) == MG_ERR_OK)
			mg_state_commit(st);
	starve_rest();
	if (r != MG_ERR_OK && (!starve_has_hit() || r != MG_ERR_NOMEM))
		wrong = "another error";
	if (r != MG_ERR_OK) {
		i--;
		mg_state_rollback_to(st, NULL);
	}
	if (wrong == NULL && !is_after(st, i))
		wrong = "it is not what it was before the record";
	/* And it goes on as if nothing had been. */
	for (; i < NSTORY && wrong == NULL; i++) {
		if (apply(st, i) != MG_ERR_OK)
			wrong = "the record does not fit any more";
		mg_state_commit(st);
	}
	if (wrong == NULL && !is_after(st, NSTORY))
		wrong = "it is another in the end";
	mg_state_free(st);
	return wrong;
}

static void
a_record_counts_whole_or_not_at_all(void **state)
{
	(void)state;
	starve_every(STARVE_MEMORY, play_apply, NULL);
}

/* All of it; MG_ERR_NOMEM: the state is to be thrown away. */
static enum mg_err
restore(struct mg_state *st, const struct mg_buf *b)
{
	const char *p = (const char *)mg_buf_ptr(b), *nl;
	const char *end = p + mg_buf_len(b);
	enum mg_err r = MG_ERR_OK;
	struct mg_rec rec;

	mg_rec_init(&rec);
	for (; p < end && r == MG_ERR_OK; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		r = mg_rec_parse(&rec, p, (size_t)(nl - p));
		if (r == MG_ERR_OK)
			r = mg_state_restore(st, &rec);
		mg_state_commit(st);
	}
	mg_rec_fini(&rec);
	return r;
}

static const char *
play_snapshot(const void *arg)
{
	struct mg_state *back = mg_state_new();
	const char *wrong = NULL;
	struct mg_state *st;
	struct mg_buf b;
	enum mg_err r;

	memcpy(&st, arg, sizeof(st));
	mg_buf_init(&b, 1U << 20);
	if ((r = mg_state_save(st, &b)) == MG_ERR_OK && back != NULL)
		r = restore(back, &b);
	starve_rest();
	if (back == NULL || r != MG_ERR_OK) {
		if (!starve_has_hit() || (back != NULL && r != MG_ERR_NOMEM))
			wrong = "another error";
	} else if (!is_after(back, NSTORY)) {
		wrong = "restored, and another";
	}
	mg_buf_fini(&b);
	mg_state_free(back);
	return wrong;
}

static void
a_snapshot_is_whole_or_an_error(void **state)
{
	struct mg_state *st = mg_state_new();
	size_t i;

	(void)state;
	for (i = 0; i < NSTORY; i++) {
		assert_int_equal(apply(st, i), MG_ERR_OK);
		mg_state_commit(st);
	}
	starve_every(STARVE_MEMORY, play_snapshot, &st);
	mg_state_free(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_counts_whole_or_not_at_all),
	    cmocka_unit_test(a_snapshot_is_whole_or_an_error),
	};

	starve_begin();
	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
