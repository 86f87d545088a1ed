/* SPDX-License-Identifier: ISC */
/* The fold over the ledger: ledger/mg_state.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_state.h"

#define BOOT_A "11111111-1111-4111-8111-111111111111"
#define BOOT_B "22222222-2222-4222-8222-222222222222"
#define REQ "5c0e7d1a-93f2-4b7e-8d11-0123456789ab"

static struct mg_state *st;
static int64_t bt, wall;

static enum mg_err apply(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

static enum mg_err
apply(const char *fmt, ...)
{
	char body[4096], line[5000];
	struct mg_rec rec;
	va_list ap;
	enum mg_err r;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line),
	    "{\"at\":\"2026-11-22T%02d:%02d:%02d.000Z\",\"bt\":%lld,%s}",
	    (int)(wall / 3600000 % 24), (int)(wall / 60000 % 60),
	    (int)(wall / 1000 % 60), (long long)bt, body);
	mg_rec_init(&rec);
	assert_int_equal(mg_rec_parse(&rec, line, strlen(line)), MG_ERR_OK);
	r = mg_state_apply(st, &rec);
	mg_rec_fini(&rec);
	return r;
}

static int
setup(void **state)
{
	(void)state;
	st = mg_state_new();
	assert_non_null(st);
	bt = 1000000;
	wall = 3600000 * 8;
	assert_int_equal(
	    apply("\"type\":\"start\",\"boot\":\"" BOOT_A "\""), MG_ERR_OK);
	mg_state_commit(st);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_state_free(st);
	return 0;
}

static enum mg_err
file_request(const char *uuid, unsigned uses)
{
	return apply("\"type\":\"request\",\"uuid\":\"%s\",\"user\":\"alice\","
		     "\"uid\":7001,\"ses\":5,\"operation\":\"deploy\","
		     "\"model\":\"m\",\"version\":\"2\",\"approve_ms\":900000,"
		     "\"start_ms\":600000,\"lasts_ms\":1800000,\"uses\":%u,"
		     "\"need\":[\"risk-owner\",\"1\"],\"mfa\":true",
	    uuid, uses);
}

static enum mg_err
grant(void)
{
	return apply("\"type\":\"grant\",\"uuid\":\"" REQ "\"");
}

static enum mg_err
end(const char *state, const char *why)
{
	return apply("\"type\":\"end\",\"uuid\":\"" REQ
		     "\",\"state\":\"%s\",\"why\":\"%s\",\"by\":\"x\"",
	    state, why);
}

static struct mg_req *
req(void)
{
	return mg_state_find(st, REQ);
}

/* Every pair of states against the list of what DESIGN section 4 draws. */
static void
only_the_transitions_of_the_design_exist(void **state)
{
	static const struct {
		enum mg_req_state from, to;
	} drawn[] = {{MG_REQ_NONE, MG_REQ_PENDING},
	    {MG_REQ_NONE, MG_REQ_DENIED}, {MG_REQ_PENDING, MG_REQ_GRANTED},
	    {MG_REQ_PENDING, MG_REQ_DENIED}, {MG_REQ_PENDING, MG_REQ_CANCELLED},
	    {MG_REQ_PENDING, MG_REQ_TIMEDOUT}, {MG_REQ_GRANTED, MG_REQ_USED},
	    {MG_REQ_GRANTED, MG_REQ_EXPIRED}, {MG_REQ_GRANTED, MG_REQ_REVOKED}};
	unsigned from, to, found = 0;
	size_t i;

	(void)state;
	for (from = 0; from <= MG_REQ_STATE_COUNT; from++) {
		for (to = 0; to <= MG_REQ_STATE_COUNT; to++) {
			bool want = false;

			for (i = 0; i < sizeof(drawn) / sizeof(drawn[0]); i++)
				if (drawn[i].from == from && drawn[i].to == to)
					want = true;
			found += want;
			assert_int_equal(mg_req_may_go((enum mg_req_state)from,
					     (enum mg_req_state)to),
			    want);
		}
	}
	assert_int_equal(found, sizeof(drawn) / sizeof(drawn[0]));
}

/* From every state, every record type: what is not drawn changes nothing. */
static void
records_out_of_place_are_refused_and_change_nothing(void **state)
{
	static const char *const ends[] = {"used", "expired", "revoked",
	    "denied", "cancelled", "timedout", "granted", "pending", "none",
	    "nonsense"};
	enum mg_req_state was;
	size_t i, k;

	(void)state;
	for (i = 0; i < 6; i++) {
		teardown(NULL);
		setup(NULL);
		assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
		if (i < 3)
			assert_int_equal(grant(), MG_ERR_OK);
		assert_int_equal(end(ends[i], "none"), MG_ERR_OK);
		was = req()->live.state;
		assert_int_equal(grant(), MG_ERR_STATE);
		for (k = 0; k < sizeof(ends) / sizeof(ends[0]); k++)
			assert_int_equal(end(ends[k], "none"), MG_ERR_STATE);
		assert_int_equal(file_request(REQ, 1), MG_ERR_STATE);
		assert_int_equal(
		    apply("\"type\":\"decision\",\"uuid\":\"" REQ
			  "\",\"approver\":\"bob\",\"decision\":\"approve\""),
		    MG_ERR_STATE);
		assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
				       "\",\"run\":1,\"run_ses\":9"),
		    MG_ERR_STATE);
		assert_int_equal(req()->live.state, was);
		assert_int_equal(req()->live.napprovals, 0);
		assert_int_equal(mg_state_live_count(st), 0);
	}
}

static void
a_grant_cannot_be_used_more_often_than_it_says(void **state)
{
	(void)state;
	assert_int_equal(file_request(REQ, 2), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":1,\"run_ses\":9"),
	    MG_ERR_STATE); /* not granted yet */
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":2,\"run_ses\":9"),
	    MG_ERR_STATE); /* a number was left out */
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":1,\"run_ses\":9"),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":2,\"run_ses\":10"),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":3,\"run_ses\":11"),
	    MG_ERR_STATE);
	assert_int_equal(req()->live.nruns, 2);
	assert_int_equal(
	    apply("\"type\":\"empty\",\"uuid\":\"" REQ "\",\"run\":1"),
	    MG_ERR_OK);
	assert_int_equal(
	    apply("\"type\":\"empty\",\"uuid\":\"" REQ "\",\"run\":1"),
	    MG_ERR_STATE);
	assert_int_equal(req()->live.nruns, 1);
}

static void
a_rollback_undoes_what_did_not_become_durable(void **state)
{
	const void *mark;

	(void)state;
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	mg_state_commit(st);
	mark = mg_state_mark(st);
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(end("expired", "expired"), MG_ERR_OK);
	assert_int_equal(
	    file_request("6c0e7d1a-93f2-4b7e-8d11-0123456789ab", 1), MG_ERR_OK);
	assert_int_equal(
	    apply("\"type\":\"mfa\",\"user\":\"alice\",\"ok\":false,"
		  "\"counts\":true"),
	    MG_ERR_OK);
	mg_state_rollback_to(st, mark);
	assert_int_equal(req()->live.state, MG_REQ_PENDING);
	assert_int_equal(mg_state_live_count(st), 1);
	assert_null(mg_state_find(st, "6c0e7d1a-93f2-4b7e-8d11-0123456789ab"));
	assert_null(mg_state_factor(st, "alice"));
	assert_ptr_equal(mg_state_live(st), req());
	assert_null(mg_state_ended(st));
}

static void
reboot(const char *boot, int64_t wall_step, int64_t new_bt)
{
	wall += wall_step;
	bt = new_bt;
	assert_int_equal(
	    apply("\"type\":\"start\",\"boot\":\"%s\"", boot), MG_ERR_OK);
	mg_state_commit(st);
}

static void
promise4_a_reboot_never_lengthens_a_deadline(void **state)
{
	(void)state;
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	assert_int_equal(grant(), MG_ERR_OK);
	/* 10 minutes of 30 pass, then the host is off for 5. */
	bt += 600000;
	wall += 600000;
	assert_int_equal(apply("\"type\":\"tick\""), MG_ERR_OK);
	reboot(BOOT_B, 300000, 42000);
	assert_int_equal(req()->live.ends_bt - bt, 1800000 - 600000 - 300000);
}

static void
promise4_a_clock_set_back_across_a_reboot_ends_everything(void **state)
{
	(void)state;
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	assert_int_equal(grant(), MG_ERR_OK);
	reboot(BOOT_B, -1000, 42000);
	assert_true(req()->live.ends_bt <= bt);
	assert_true(req()->live.start_by_bt <= bt);
}

static void
promise4_a_restart_of_the_agent_keeps_deadlines_as_they_were(void **state)
{
	int64_t ends;

	(void)state;
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	assert_int_equal(grant(), MG_ERR_OK);
	ends = req()->live.ends_bt;
	/* Same boot: whatever the wall clock does, only bt counts. */
	reboot(BOOT_A, -7200000, bt + 5000);
	assert_int_equal(req()->live.ends_bt, ends);
	reboot(BOOT_A, 14400000, bt + 5000);
	assert_int_equal(req()->live.ends_bt, ends);
}

static void
guess(bool ok)
{
	assert_int_equal(apply("\"type\":\"mfa\",\"user\":\"alice\",\"ok\":%s,"
			       "\"counts\":%s",
			     ok ? "true" : "false", ok ? "false" : "true"),
	    MG_ERR_OK);
}

static void
five_wrong_codes_lock_and_each_more_locks_longer(void **state)
{
	int64_t until = 0;
	int i;

	(void)state;
	for (i = 0; i < MG_MFA_TRIES - 1; i++)
		guess(false);
	assert_int_equal(mg_state_factor(st, "alice")->locked_until_bt, 0);
	guess(false);
	until = mg_state_factor(st, "alice")->locked_until_bt;
	assert_int_equal(until, bt + MG_MFA_LOCK_MS);
	guess(false);
	assert_int_equal(mg_state_factor(st, "alice")->locked_until_bt,
	    bt + 2 * MG_MFA_LOCK_MS);
	for (i = 0; i < 20; i++)
		guess(false);
	assert_int_equal(mg_state_factor(st, "alice")->locked_until_bt,
	    bt + MG_MFA_LOCK_MAX_MS);
	assert_null(mg_state_factor(st, "bob"));
	guess(true);
	assert_null(mg_state_factor(st, "alice"));
}

static void
a_lock_outlives_a_reboot_and_a_clock_set_forward(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < MG_MFA_TRIES; i++)
		guess(false);
	reboot(BOOT_B, 20000000, 7000);
	assert_int_equal(
	    mg_state_factor(st, "alice")->locked_until_bt - bt, MG_MFA_LOCK_MS);
}

static void
codes_find_requests_as_people_type_them(void **state)
{
	char typed[16];
	const char *code;

	(void)state;
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	code = req()->code;
	snprintf(typed, sizeof(typed), "%.5s-%s", code, code + 5);
	assert_ptr_equal(mg_state_find(st, typed), req());
	for (size_t i = 0; typed[i] != '\0'; i++)
		if (typed[i] >= 'A' && typed[i] <= 'Z')
			typed[i] = (char)(typed[i] - 'A' + 'a');
	assert_ptr_equal(mg_state_find(st, typed), req());
	assert_null(mg_state_find(st, "0000000000"));
	assert_null(mg_state_find(st, ""));
	assert_null(mg_state_find(st, "../../../etc"));
}

static void
ended_requests_are_forgotten_but_not_those_that_still_run(void **state)
{
	char uuid[MG_UUID_STR];
	struct mg_uuid u;
	int i;

	(void)state;
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":1,\"run_ses\":9"),
	    MG_ERR_OK);
	assert_int_equal(end("revoked", "revoked"), MG_ERR_OK);
	for (i = 0; i < MG_ENDED_MAX + 50; i++) {
		assert_int_equal(mg_uuid_new(&u), MG_ERR_OK);
		mg_uuid_format(&u, uuid);
		assert_int_equal(
		    apply("\"type\":\"refused\",\"uuid\":\"%s\",\"user\":"
			  "\"mallory\",\"operation\":\"deploy\",\"why\":"
			  "\"no-rule\"",
			uuid),
		    MG_ERR_OK);
		mg_state_commit(st);
	}
	assert_non_null(req());
	assert_int_equal(
	    apply("\"type\":\"empty\",\"uuid\":\"" REQ "\",\"run\":1"),
	    MG_ERR_OK);
	mg_state_commit(st);
	assert_int_equal(
	    apply("\"type\":\"refused\",\"uuid\":\"%s\",\"user\":\"m\"",
		"7c0e7d1a-93f2-4b7e-8d11-0123456789ab"),
	    MG_ERR_OK);
	mg_state_commit(st);
	assert_null(req());
}

static void
unknown_records_do_not_fit(void **state)
{
	(void)state;
	assert_int_equal(apply("\"type\":\"gift\""), MG_ERR_FORMAT);
	assert_int_equal(
	    apply("\"type\":\"request\",\"uuid\":\"x\""), MG_ERR_FORMAT);
	assert_int_equal(
	    apply("\"type\":\"start\",\"boot\":\"x\""), MG_ERR_FORMAT);
	assert_int_equal(grant(), MG_ERR_STATE);
}

static void
sessions_open_and_close(void **state)
{
	const struct mg_session *s;

	(void)state;
	assert_int_equal(
	    apply("\"type\":\"session-open\",\"ses\":5,\"uid\":7001,"
		  "\"user\":\"alice\",\"service\":\"sshd\",\"origin\":"
		  "\"10.1.2.3\",\"key_type\":\"sk-x\",\"hardware\":true"),
	    MG_ERR_OK);
	s = mg_state_session(st, 5);
	assert_non_null(s);
	assert_string_equal(s->origin, "10.1.2.3");
	assert_string_equal(s->tty, "");
	assert_true(s->hardware);
	assert_int_equal(
	    apply("\"type\":\"session-close\",\"ses\":6"), MG_ERR_OK);
	assert_non_null(mg_state_session(st, 5));
	assert_int_equal(
	    apply("\"type\":\"session-close\",\"ses\":5"), MG_ERR_OK);
	assert_null(mg_state_session(st, 5));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- the past ---- */

#define OTHER "6c0e7d1a-93f2-4b7e-8d11-0123456789ab"

static const struct mg_past_fact *
fact(const char *user)
{
	return mg_past_fact(mg_state_past(st), user, "deploy", "m", "2", false);
}

static void
decided_by(const char *approver, const char *person, const char *decision)
{
	assert_int_equal(apply("\"type\":\"decision\",\"uuid\":\"" REQ
			       "\",\"approver\":\"%s\",\"person\":\"%s\","
			       "\"decision\":\"%s\"",
			     approver, person, decision),
	    MG_ERR_OK);
}

static enum mg_err
run(unsigned n)
{
	return apply("\"type\":\"run\",\"uuid\":\"" REQ "\",\"run\":%u", n);
}

/* An approval is one once it made a grant; doing is running, and a grant is
 * one thing however often it is run. */
static void
the_past_counts_requests_not_attempts(void **state)
{
	(void)state;
	assert_int_equal(file_request(REQ, 0), MG_ERR_OK);
	decided_by("robert", "bob", "approve");
	decided_by("carol", "carol", "deny");
	assert_null(fact("bob"));
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(fact("bob")->approved, 1);
	assert_null(fact("robert"));
	assert_null(fact("carol"));
	assert_null(fact("alice"));
	assert_int_equal(run(1), MG_ERR_OK);
	assert_int_equal(run(2), MG_ERR_OK);
	assert_int_equal(fact("alice")->did, 1);
	assert_int_equal(fact("alice")->approved, 0);
}

static int64_t
count(int64_t since_ms)
{
	return mg_past_count(mg_state_past(st), "alice", "deploy", since_ms);
}

static void
what_did_not_become_durable_is_not_in_the_past(void **state)
{
	const struct mg_past_fact *f;

	(void)state;
	assert_int_equal(file_request(REQ, 0), MG_ERR_OK);
	mg_state_commit(st);
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(run(1), MG_ERR_OK);
	assert_int_equal(count(0), 1);
	mg_state_rollback_to(st, NULL);
	assert_int_equal(count(0), 0);
	f = fact("alice");
	assert_true(f == NULL || f->did == 0);
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(run(1), MG_ERR_OK);
	mg_state_commit(st);
	assert_int_equal(count(0), 1);
	assert_int_equal(fact("alice")->did, 1);
}

static void
access(const char *user, const char *uuid)
{
	assert_int_equal(apply("\"type\":\"access\",\"uuid\":\"%s\",\"user\":"
			       "\"%s\",\"operation\":\"deploy\"",
			     uuid, user),
	    MG_ERR_OK);
}

static void
being_let_in_counts_once_with_or_without_a_grant(void **state)
{
	(void)state;
	access("alice", OTHER);
	assert_int_equal(count(0), 1);
	assert_int_equal(file_request(REQ, 0), MG_ERR_OK);
	assert_int_equal(grant(), MG_ERR_OK);
	access("alice", REQ); /* through the grant */
	assert_int_equal(count(0), 2);
	assert_int_equal(count(INT64_MAX), 0);
}

/* What was forgotten may lie behind the question: then nobody knows. */
static void
a_past_that_forgot_says_so(void **state)
{
	int64_t at;
	size_t i;

	(void)state;
	access("alice", OTHER);
	mg_state_commit(st);
	at = count(0);
	assert_int_equal(at, 1);
	wall += 1000;
	for (i = 0; i < MG_PAST_EVENTS_MAX; i++)
		access("alice", OTHER);
	mg_state_commit(st);
	assert_int_equal(count(0), -1);
	wall += 5000;
	access("alice", OTHER);
	mg_state_commit(st);
	/* 2026-11-22T08:00:06Z; what was forgotten is older than that */
	assert_int_equal(count(INT64_C(1795334406000)), 1);
}

static void
open_session(unsigned ses, const char *fp, int64_t mfa_bt)
{
	assert_int_equal(apply("\"type\":\"session-open\",\"ses\":%u,\"user\":"
			       "\"alice\",\"key_fp\":\"%s\",\"mfa_bt\":%lld",
			     ses, fp, (long long)mfa_bt),
	    MG_ERR_OK);
}

static void
a_key_is_as_old_as_its_first_login(void **state)
{
	struct mg_past *p = mg_state_past(st);
	int64_t first;

	(void)state;
	open_session(5, "SHA256:x", 0);
	first = mg_past_key(p, "alice", "SHA256:x", false)->since_ms;
	assert_true(first > 0);
	wall += 1000;
	open_session(6, "SHA256:x", 0);
	open_session(7, "SHA256:y", 0);
	assert_int_equal(
	    mg_past_key(p, "alice", "SHA256:x", false)->since_ms, first);
	assert_int_equal(
	    mg_past_key(p, "alice", "SHA256:y", false)->since_ms, first + 1000);
	assert_null(mg_past_key(p, "bob", "SHA256:x", false));
}

static void
passed(unsigned ses)
{
	assert_int_equal(
	    apply("\"type\":\"mfa\",\"user\":\"alice\",\"ok\":true,"
		  "\"ses\":%u",
		ses),
	    MG_ERR_OK);
}

static void
a_second_factor_is_of_its_session_and_boot(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(mg_state_passed_bt(st, "alice", 5), 0);
	passed(5);
	assert_int_equal(mg_state_passed_bt(st, "alice", 5), bt);
	assert_int_equal(mg_state_passed_bt(st, "alice", 6), 0);
	/* A login's has the uuid of its access, which is no request. */
	assert_int_equal(apply("\"type\":\"mfa\",\"uuid\":"
			       "\"00000000-0000-4000-8000-00000000abcd\","
			       "\"user\":\"alice\",\"ok\":true,\"ses\":6"),
	    MG_ERR_OK);
	assert_int_equal(mg_state_passed_bt(st, "alice", 6), bt);
	assert_int_equal(mg_state_passed_bt(st, "bob", 5), 0);
	mg_state_commit(st);
	bt += 10;
	passed(5);
	mg_state_rollback_to(st, NULL);
	assert_int_equal(mg_state_passed_bt(st, "alice", 5), bt - 10);
	open_session(9, "", bt - 5);
	assert_int_equal(mg_state_passed_bt(st, "alice", 9), bt - 5);
	/* the oldest goes when there are too many */
	for (i = 0; i < MG_FACTOR_SESSIONS; i++) {
		bt++;
		passed(20 + i);
	}
	assert_int_equal(mg_state_passed_bt(st, "alice", 5), 0);
	assert_int_equal(mg_state_passed_bt(st, "alice", 27), bt);
	/* numbers of sessions begin anew */
	bt = 10;
	assert_int_equal(
	    apply("\"type\":\"start\",\"boot\":\"" BOOT_B "\""), MG_ERR_OK);
	assert_int_equal(mg_state_passed_bt(st, "alice", 27), 0);
}

/* The state after being saved and restored; it replaces st. */
static void
save_and_restore(struct mg_buf *b)
{
	const char *p, *nl, *end;
	struct mg_rec rec;

	mg_buf_init(b, 1U << 24);
	assert_int_equal(mg_state_save(st, b), MG_ERR_OK);
	mg_state_free(st);
	st = mg_state_new();
	assert_non_null(st);
	mg_rec_init(&rec);
	p = (const char *)mg_buf_ptr(b);
	for (end = p + mg_buf_len(b); p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		assert_int_equal(
		    mg_rec_parse(&rec, p, (size_t)(nl - p)), MG_ERR_OK);
		assert_int_equal(mg_state_restore(st, &rec), MG_ERR_OK);
		mg_state_commit(st);
	}
	mg_rec_fini(&rec);
}

static enum mg_err
model(const char *effect, const char *version, const char *digest)
{
	return apply("\"type\":\"model\",\"uuid\":\"" REQ "\",\"effect\":"
		     "\"%s\",\"model\":\"m\",\"version\":\"%s\","
		     "\"digest\":\"%s\",\"path\":\"/s/m\","
		     "\"user\":\"alice\",\"approvers\":[\"bob\","
		     "\"carol\"],\"reason\":\"\\u00fc\"",
	    effect, version, digest);
}

static const struct mg_model *
first_model(void)
{
	return mg_models_first(mg_state_models(st));
}

static void
models_are_what_ran_last_and_can_go_back(void **state)
{
	const struct mg_model *m;
	struct mg_buf first, again;
	char version[8];
	int i;

	(void)state;
	assert_null(first_model());
	for (i = 1; i <= MG_MODEL_BACK_MAX + 3; i++) {
		snprintf(version, sizeof(version), "%d", i);
		assert_int_equal(model("serve", version, version), MG_ERR_OK);
	}
	m = first_model();
	assert_non_null(m);
	assert_null(m->next);
	assert_string_equal(m->live.version, "11");
	assert_string_equal(m->back[0].version, "10");
	assert_string_equal(m->back[MG_MODEL_BACK_MAX - 1].version, "3");
	assert_string_equal(m->approvers, "bob,carol");
	assert_string_equal(m->path, "/s/m");
	/* going back: it is live, and no longer something to go back to */
	assert_int_equal(model("serve", "10", "10"), MG_ERR_OK);
	assert_string_equal(m->back[0].version, "11");
	assert_string_equal(m->back[1].version, "9");
	/* the same again changes nothing */
	assert_int_equal(model("serve", "10", "new"), MG_ERR_OK);
	assert_string_equal(m->live.digest, "new");
	assert_string_equal(m->back[0].version, "11");
	assert_int_equal(model("promote", "10", "new"), MG_ERR_OK);
	assert_string_equal(m->promoted, "10");
	assert_int_equal(model("retire", "11", ""), MG_ERR_OK);
	assert_string_equal(m->back[0].version, "9");
	assert_string_equal(m->live.version, "10");
	assert_int_equal(apply("\"type\":\"model\",\"effect\":\"drift\","
			       "\"model\":\"m\",\"ok\":false,"
			       "\"found\":\"sha256:00\""),
	    MG_ERR_OK);
	assert_true(m->drifted);
	mg_state_commit(st);
	save_and_restore(&first);
	save_and_restore(&again);
	assert_int_equal(mg_buf_len(&first), mg_buf_len(&again));
	assert_memory_equal(
	    mg_buf_ptr(&first), mg_buf_ptr(&again), mg_buf_len(&first));
	mg_buf_fini(&first);
	mg_buf_fini(&again);
	m = first_model();
	assert_true(m->drifted);
	assert_string_equal(m->back[0].version, "9");
	assert_string_equal(m->reason, "\xc3\xbc");
	assert_int_equal(model("retire", "10", ""), MG_ERR_OK);
	assert_string_equal(m->live.version, "");
	assert_string_equal(m->promoted, "");
	assert_false(m->drifted);
	/* a record that did not become durable never happened */
	mg_state_rollback_to(st, NULL);
	assert_string_equal(m->live.version, "10");
	assert_true(m->drifted);
}

#define THIRD "7c0e7d1a-93f2-4b7e-8d11-0123456789ab"

/* One of everything that a state can hold. */
static void
fill_state(void)
{
	assert_int_equal(file_request(OTHER, 0), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"end\",\"uuid\":\"" OTHER
			       "\",\"state\":\"denied\",\"why\":\"denied\","
			       "\"by\":\"bob\""),
	    MG_ERR_OK);
	assert_int_equal(file_request(REQ, 3), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"mfa\",\"uuid\":\"" REQ
			       "\",\"user\":\"alice\",\"ses\":5,\"ok\":true"),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"decision\",\"uuid\":\"" REQ
			       "\",\"approver\":\"bob\",\"decision\":"
			       "\"approve\",\"note\":\"\\u00fc\","
			       "\"key_fp\":\"SHA256:x\""),
	    MG_ERR_OK);
	bt += 1000;
	wall += 1000;
	assert_int_equal(grant(), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"run\",\"uuid\":\"" REQ
			       "\",\"run\":1,\"run_ses\":77"),
	    MG_ERR_OK);
	assert_int_equal(file_request(THIRD, 1), MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"session-open\",\"ses\":9,"
			       "\"uid\":7001,\"user\":\"alice\",\"tty\":"
			       "\"pts/1\",\"hardware\":true,\"key_fp\":"
			       "\"SHA256:k\""),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"session-open\",\"ses\":10,"
			       "\"uid\":7002,\"user\":\"bob\""),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"mfa\",\"user\":\"mallory\","
			       "\"ok\":false,\"counts\":true"),
	    MG_ERR_OK);
}

/* Where each of a state's lists says that the requests are. */
static void
assert_lists(const char *live, const char *granted, const char *pending,
    const char *held)
{
	char text[4][64] = {"", "", "", ""};
	const struct mg_req *r;
	size_t n = 0;

	for (r = mg_state_live(st); r != NULL && n < 60; r = r->next)
		text[0][n++] = r->model[0];
	for (n = 0, r = mg_state_granted(st); r != NULL; r = r->granted.next)
		text[1][n++] = r->model[0];
	for (n = 0, r = mg_state_own_pending(st, 7); r != NULL; r = r->own.next)
		text[2][n++] = r->model[0];
	for (n = 0, r = mg_state_own_granted(st, 7); r != NULL; r = r->own.next)
		text[3][n++] = r->model[0];
	assert_string_equal(text[0], live);
	assert_string_equal(text[1], granted);
	assert_string_equal(text[2], pending);
	assert_string_equal(text[3], held);
	assert_int_equal(mg_state_live_count(st), strlen(live));
	assert_int_equal(
	    mg_state_live_count_of(st, 7), strlen(pending) + strlen(held));
}

static const char *
numbered(unsigned i)
{
	static char uuid[MG_UUID_STR];

	snprintf(uuid, sizeof(uuid), "%08x-93f2-4b7e-8d11-0123456789ab",
	    (i + 1) * 0x01010101);
	return uuid;
}

static enum mg_err
end_numbered(unsigned i, const char *state)
{
	return apply("\"type\":\"end\",\"uuid\":\"%s\",\"state\":\"%s\","
		     "\"why\":\"revoked\",\"by\":\"root\"",
	    numbered(i), state);
}

static enum mg_err
grant_numbered(unsigned i)
{
	return apply("\"type\":\"grant\",\"uuid\":\"%s\"", numbered(i));
}

/* One person's, and grants: newest first, whatever was granted first. */
static void
lists_follow_every_change_and_every_undo(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++) /* a to f, in turn 7's and 8's */
		assert_int_equal(apply("\"type\":\"request\",\"uuid\":\"%s\","
				       "\"uid\":%u,\"user\":\"u\",\"model\":"
				       "\"%c\",\"approve_ms\":9,\"start_ms\":9,"
				       "\"lasts_ms\":9",
				     numbered(i), 7 + i % 2, 'a' + (int)i),
		    MG_ERR_OK);
	mg_state_commit(st);
	assert_lists("fedcba", "", "eca", "");
	assert_int_equal(mg_state_live_count_of(st, 9), 0);
	for (i = 0; i < 5; i += 2)
		assert_int_equal(grant_numbered(i), MG_ERR_OK);
	assert_lists("fedcba", "eca", "", "eca");
	mg_state_rollback_to(st, NULL);
	assert_lists("fedcba", "", "eca", "");
	assert_int_equal(grant_numbered(4), MG_ERR_OK);
	assert_int_equal(grant_numbered(1), MG_ERR_OK);
	mg_state_commit(st);
	assert_lists("fedcba", "eb", "ca", "e");
	for (i = 0; i < 6; i++)
		assert_int_equal(
		    end_numbered(i, i == 1 || i == 4 ? "revoked" : "denied"),
		    MG_ERR_OK);
	assert_lists("", "", "", "");
	mg_state_rollback_to(st, NULL);
	assert_int_equal(mg_state_live_count(st), 6);
	assert_int_equal(mg_state_live_count_of(st, 7), 3);
	assert_int_equal(mg_state_live_count_of(st, 8), 3);
	assert_int_equal(end_numbered(2, "denied"), MG_ERR_OK);
	assert_int_equal(mg_state_live_count_of(st, 7), 2);
}

static void
a_state_is_saved_and_restored_whole(void **state)
{
	struct mg_buf first, again;
	struct mg_req *rq;

	(void)state;
	fill_state();
	assert_int_equal(mg_state_save(st, &(struct mg_buf){0}), MG_ERR_STATE);
	mg_state_commit(st);
	save_and_restore(&first);
	save_and_restore(&again);
	assert_int_equal(mg_buf_len(&first), mg_buf_len(&again));
	assert_memory_equal(
	    mg_buf_ptr(&first), mg_buf_ptr(&again), mg_buf_len(&first));
	mg_buf_fini(&first);
	mg_buf_fini(&again);
	rq = req();
	assert_non_null(rq);
	assert_int_equal(rq->live.state, MG_REQ_GRANTED);
	assert_true(rq->live.mfa_done);
	assert_int_equal(rq->live.napprovals, 1);
	assert_string_equal(rq->live.approvals[0].note, "\xc3\xbc");
	assert_int_equal(
	    rq->live.granted_ms - rq->live.approvals[0].at_ms, 1000);
	assert_int_equal(rq->live.ends_bt, bt + 1800000);
	assert_int_equal(rq->live.granted_ms - rq->filed_ms, 1000);
	assert_int_equal(rq->live.nruns, 1);
	assert_int_equal(rq->live.used, 1);
	assert_int_equal(mg_state_live_count(st), 2);
	assert_string_equal(mg_state_live(st)->uuid, THIRD); /* newest first */
	assert_string_equal(mg_state_ended(st)->live.ended_by, "bob");
	assert_true(mg_state_session(st, 9)->hardware);
	assert_int_equal(mg_state_sessions(st)->ses, 10);
	assert_int_equal(mg_state_factor(st, "mallory")->fails, 1);
	assert_int_equal(mg_state_passed_bt(st, "alice", 5), bt - 1000);
	assert_int_equal(fact("alice")->did, 1);
	assert_int_equal(fact("bob")->approved, 1);
	assert_int_equal(count(0), 1);
	assert_int_equal(
	    mg_past_key(mg_state_past(st), "alice", "SHA256:k", false)
		->since_ms,
	    rq->live.granted_ms);
	/* and life goes on, over a reboot as well */
	bt = 5000;
	wall += 60000;
	assert_int_equal(
	    apply("\"type\":\"start\",\"boot\":\"" BOOT_B "\""), MG_ERR_OK);
	assert_int_equal(req()->live.ends_bt, 5000 + 1800000 - 60000);
	assert_int_equal(
	    apply("\"type\":\"exit\",\"uuid\":\"" REQ "\",\"run\":1"),
	    MG_ERR_OK);
	assert_int_equal(
	    apply("\"type\":\"empty\",\"uuid\":\"" REQ "\",\"run\":1"),
	    MG_ERR_OK);
	assert_int_equal(end("used", "used"), MG_ERR_OK);
	mg_state_commit(st);
}

/* ---- without approvals ---- */

#define DIGEST "sha256:aa"

/* Version 1 with these bytes: approved unless waived, runs, ends so. */
static void
serve(const char *uuid, bool waived, const char *how, int value)
{
	const char *w = waived ? "waiver" : "decision";

	assert_int_equal(
	    apply("\"type\":\"request\",\"uuid\":\"%s\",\"user\":\"alice\","
		  "\"uid\":7001,\"operation\":\"deploy\",\"model\":\"m\","
		  "\"version\":\"1\",\"digest\":\"" DIGEST "\","
		  "\"need\":[\"r\",\"1\"],\"waive\":\"%s\","
		  "\"review\":[%s],\"lasts_ms\":1800000,"
		  "\"approve_ms\":900000,\"start_ms\":900000,\"uses\":1",
		uuid, waived ? "break-glass" : "",
		waived ? "\"owner\",\"steward\"" : ""),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"%s\",\"uuid\":\"%s\",\"approver\":"
			       "\"bob\",\"decision\":\"approve\"",
			     w, uuid),
	    MG_ERR_OK);
	assert_int_equal(
	    apply("\"type\":\"grant\",\"uuid\":\"%s\"", uuid), MG_ERR_OK);
	assert_int_equal(
	    apply("\"type\":\"run\",\"uuid\":\"%s\",\"run\":1", uuid),
	    MG_ERR_OK);
	assert_int_equal(apply("\"type\":\"exit\",\"uuid\":\"%s\",\"run\":1,"
			       "\"how\":\"%s\",\"value\":%d",
			     uuid, how, value),
	    MG_ERR_OK);
	mg_state_commit(st);
}

static void
what_was_served_is_what_people_approved_and_what_ended_well(void **state)
{
	(void)state;
	serve(OTHER, true, "status", 0); /* nobody had approved it */
	assert_false(mg_state_was_served(st, "m", "1", DIGEST));
	serve(REQ, false, "status", 1);
	assert_false(mg_state_was_served(st, "m", "1", DIGEST));
	serve(THIRD, false, "status", 0);
	assert_true(mg_state_was_served(st, "m", "1", DIGEST));
	assert_false(mg_state_was_served(st, "m", "2", DIGEST));
	assert_false(mg_state_was_served(st, "n", "1", DIGEST));
	assert_false(mg_state_was_served(st, "m", "1", DIGEST "b"));
	assert_false(mg_state_was_served(st, "m", "1", ""));
}

static enum mg_err
review(const char *uuid, const char *roles)
{
	return apply("\"type\":\"review\",\"uuid\":\"%s\",\"approver\":"
		     "\"bob\",\"roles\":[%s]",
	    uuid, roles);
}

static void
broken_glass_waits_for_every_review_and_is_not_forgotten(void **state)
{
	struct mg_buf snapshot;

	(void)state;
	assert_null(mg_state_unreviewed(st));
	serve(REQ, false, "status", 0);
	assert_null(mg_state_unreviewed(st));
	assert_int_equal(review(REQ, "\"owner\""), MG_ERR_STATE);
	serve(OTHER, true, "status", 0);
	assert_ptr_equal(mg_state_unreviewed(st), mg_state_find(st, OTHER));
	assert_int_equal(review(OTHER, "\"nobody\""), MG_ERR_OK);
	assert_int_equal(review(OTHER, "\"steward\""), MG_ERR_OK);
	assert_non_null(mg_state_unreviewed(st));
	mg_state_commit(st);
	save_and_restore(&snapshot);
	mg_buf_fini(&snapshot);
	assert_ptr_equal(mg_state_unreviewed(st), mg_state_find(st, OTHER));
	assert_int_equal(review(OTHER, "\"owner\""), MG_ERR_OK);
	assert_null(mg_state_unreviewed(st));
	mg_state_rollback_to(st, NULL);
	assert_non_null(mg_state_unreviewed(st));
	assert_int_equal(review(OTHER, "\"owner\""), MG_ERR_OK);
	assert_int_equal(review(OTHER, "\"owner\""), MG_ERR_STATE);
}

/* ---- who is in without a grant ---- */

static void
who_is_in_without_a_grant_is_counted_until_the_process_ends(void **state)
{
	struct mg_buf snapshot;

	(void)state;
	assert_null(mg_state_access(st, NULL));
	assert_int_equal(apply("\"type\":\"access\",\"uuid\":\"" REQ
			       "\",\"user\":\"alice\",\"operation\":"
			       "\"root-shell\",\"pid\":77,\"start\":123"),
	    MG_ERR_OK);
	/* what did not become durable is not counted */
	mg_state_rollback_to(st, NULL);
	assert_null(mg_state_access(st, NULL));
	assert_int_equal(apply("\"type\":\"access\",\"uuid\":\"" REQ
			       "\",\"user\":\"alice\",\"operation\":"
			       "\"root-shell\",\"pid\":77,\"start\":123"),
	    MG_ERR_OK);
	/* a login has a session instead */
	assert_int_equal(apply("\"type\":\"access\",\"uuid\":\"" OTHER
			       "\",\"user\":\"bob\",\"operation\":\"login\""),
	    MG_ERR_OK);
	mg_state_commit(st);
	save_and_restore(&snapshot);
	mg_buf_fini(&snapshot);
	assert_string_equal(mg_state_access(st, NULL)->uuid, REQ);
	assert_int_equal(mg_state_access_find(st, REQ)->pid, 77);
	assert_int_equal(mg_state_access_find(st, REQ)->start, 123);
	assert_string_equal(
	    mg_state_access_find(st, REQ)->operation, "root-shell");
	assert_null(mg_state_access(st, mg_state_access(st, NULL)));
	assert_int_equal(
	    apply("\"type\":\"access-end\",\"uuid\":\"" OTHER "\""),
	    MG_ERR_STATE);
	assert_int_equal(
	    apply("\"type\":\"access-end\",\"uuid\":\"" REQ "\""), MG_ERR_OK);
	assert_null(mg_state_access(st, NULL));
	mg_state_rollback_to(st, NULL);
	assert_non_null(mg_state_access(st, NULL));
	/* no process outlives a boot */
	assert_int_equal(
	    apply("\"type\":\"start\",\"boot\":\"" BOOT_B "\""), MG_ERR_OK);
	assert_null(mg_state_access(st, NULL));
	assert_int_equal(
	    apply("\"type\":\"access-end\",\"uuid\":\"\""), MG_ERR_STATE);
}

/* ---- tokens ---- */

#define H64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static enum mg_err
made(const char *set, int need, int of)
{
	char known[400] = "";
	int i;

	for (i = 0; i < of; i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known),
		    "%s\"" H64 "\"", i > 0 ? "," : "");
	return apply("\"type\":\"tokens\",\"what\":\"made\",\"set\":\"%s\","
		     "\"need\":%d,\"known_by\":[%s],\"key\":\"0011\"",
	    set, need, known);
}

static enum mg_err
used(const char *uuid, const char *set)
{
	return apply("\"type\":\"tokens\",\"what\":\"used\",\"uuid\":\"%s\","
		     "\"user\":\"alice\",\"set\":\"%s\","
		     "\"numbers\":[\"1\",\"3\"]",
	    uuid, set);
}

static void
rule3_a_set_is_used_once_and_stays_used(void **state)
{
	const struct mg_token_set *s;
	struct mg_buf snapshot;

	(void)state;
	assert_int_equal(made("K7Q2", 2, 3), MG_ERR_OK);
	assert_int_equal(made("K7Q2", 2, 3), MG_ERR_EXIST);
	assert_int_equal(made("K7q2", 2, 3), MG_ERR_FORMAT);
	assert_int_equal(made("AAAA", 4, 3), MG_ERR_FORMAT);
	assert_int_equal(made("AAAA", 0, 3), MG_ERR_FORMAT);
	assert_int_equal(used(REQ, "K7Q2"), MG_ERR_STATE); /* no request */
	assert_int_equal(file_request(REQ, 1), MG_ERR_OK);
	assert_int_equal(file_request(OTHER, 1), MG_ERR_OK);
	mg_state_commit(st);
	assert_int_equal(used(REQ, "ZZZZ"), MG_ERR_STATE);
	mg_state_rollback_to(st, NULL);
	assert_int_equal(used(REQ, "K7Q2"), MG_ERR_OK);
	assert_int_equal(mg_state_find(st, REQ)->live.tokens, 2);
	/* what did not become durable did not use it up */
	mg_state_rollback_to(st, NULL);
	assert_int_equal(mg_state_set(st, "K7Q2")->state, MG_SET_GOOD);
	assert_int_equal(mg_state_find(st, REQ)->live.tokens, 0);
	assert_int_equal(used(REQ, "K7Q2"), MG_ERR_OK);
	mg_state_commit(st);
	/* not for another one, not for the same, and not void either */
	assert_int_equal(used(OTHER, "K7Q2"), MG_ERR_STATE);
	mg_state_rollback_to(st, NULL);
	assert_int_equal(made("BBBB", 1, 1), MG_ERR_OK);
	mg_state_commit(st);
	assert_int_equal(used(REQ, "BBBB"), MG_ERR_STATE);
	mg_state_rollback_to(st, NULL);
	save_and_restore(&snapshot);
	mg_buf_fini(&snapshot);
	s = mg_state_set(st, "K7Q2");
	assert_int_equal(s->state, MG_SET_USED);
	assert_string_equal(s->request, REQ);
	assert_string_equal(s->hash[2], H64);
	assert_string_equal(s->key, "0011");
	assert_int_equal(mg_state_find(st, REQ)->live.tokens, 2);
	assert_int_equal(mg_state_set(st, "BBBB")->state, MG_SET_GOOD);
	assert_int_equal(apply("\"type\":\"tokens\",\"what\":\"void\","
			       "\"set\":\"K7Q2\""),
	    MG_ERR_STATE);
	assert_int_equal(apply("\"type\":\"tokens\",\"what\":\"void\","
			       "\"set\":\"BBBB\""),
	    MG_ERR_OK);
	assert_int_equal(used(OTHER, "BBBB"), MG_ERR_STATE);
	assert_int_equal(
	    apply("\"type\":\"tokens\",\"what\":\"x\""), MG_ERR_FORMAT);
}

static void
sets_are_bounded_and_a_good_one_is_never_forgotten(void **state)
{
	struct mg_buf snapshot;
	char set[5];
	int i;

	(void)state;
	for (i = 0; i < MG_TOKEN_SETS_MAX; i++) {
		snprintf(set, sizeof(set), "AA%02d", i);
		assert_int_equal(made(set, 1, 2), MG_ERR_OK);
	}
	assert_int_equal(made("ZZZZ", 1, 2), MG_ERR_LIMIT);
	/* one that ends makes room; ended ones are forgotten, oldest first */
	for (i = 0; i < 40; i++) {
		assert_int_equal(apply("\"type\":\"tokens\",\"what\":"
				       "\"void\",\"set\":\"%s\"",
				     set),
		    MG_ERR_OK);
		snprintf(set, sizeof(set), "BB%02d", i);
		assert_int_equal(made(set, 1, 2), MG_ERR_OK);
		mg_state_commit(st);
	}
	assert_null(mg_state_set(st, "BB02"));
	assert_int_equal(mg_state_set(st, "AA00")->state, MG_SET_GOOD);
	assert_int_equal(mg_state_set(st, "BB38")->state, MG_SET_VOID);
	save_and_restore(&snapshot);
	mg_buf_fini(&snapshot);
	assert_int_equal(mg_state_set(st, "AA00")->state, MG_SET_GOOD);
	assert_int_equal(mg_state_set(st, "BB38")->state, MG_SET_VOID);
	assert_int_equal(made("ZZZZ", 1, 2), MG_ERR_LIMIT);
}

static void
guess_token(const char *user, bool counts)
{
	assert_int_equal(apply("\"type\":\"tokens\",\"what\":\"wrong\","
			       "\"user\":\"%s\",\"counts\":%s",
			     user, counts ? "true" : "false"),
	    MG_ERR_OK);
	mg_state_commit(st);
}

static void
guesses_at_tokens_lock_who_makes_them_and_no_code_unlocks(void **state)
{
	struct mg_buf snapshot;
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		guess_token("alice", false);
	assert_null(mg_state_token_guesses(st, "alice"));
	for (i = 0; i < MG_MFA_TRIES; i++)
		guess_token("alice", true);
	assert_int_equal(mg_state_token_guesses(st, "alice")->locked_until_bt,
	    bt + MG_MFA_LOCK_MS);
	assert_null(mg_state_token_guesses(st, "bob"));
	assert_null(mg_state_factor(st, "alice")); /* codes still go */
	assert_int_equal(apply("\"type\":\"mfa\",\"user\":\"alice\","
			       "\"ok\":true,\"uuid\":\"\""),
	    MG_ERR_OK);
	mg_state_commit(st);
	assert_int_equal(
	    mg_state_token_guesses(st, "alice")->fails, MG_MFA_TRIES);
	save_and_restore(&snapshot);
	mg_buf_fini(&snapshot);
	assert_int_equal(
	    mg_state_token_guesses(st, "alice")->fails, MG_MFA_TRIES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(only_the_transitions_of_the_design_exist),
	    T(models_are_what_ran_last_and_can_go_back),
	    T(lists_follow_every_change_and_every_undo),
	    T(a_state_is_saved_and_restored_whole),
	    T(what_was_served_is_what_people_approved_and_what_ended_well),
	    T(broken_glass_waits_for_every_review_and_is_not_forgotten),
	    T(who_is_in_without_a_grant_is_counted_until_the_process_ends),
	    T(rule3_a_set_is_used_once_and_stays_used),
	    T(sets_are_bounded_and_a_good_one_is_never_forgotten),
	    T(guesses_at_tokens_lock_who_makes_them_and_no_code_unlocks),
	    T(records_out_of_place_are_refused_and_change_nothing),
	    T(a_grant_cannot_be_used_more_often_than_it_says),
	    T(a_rollback_undoes_what_did_not_become_durable),
	    T(promise4_a_reboot_never_lengthens_a_deadline),
	    T(promise4_a_clock_set_back_across_a_reboot_ends_everything),
	    T(promise4_a_restart_of_the_agent_keeps_deadlines_as_they_were),
	    T(five_wrong_codes_lock_and_each_more_locks_longer),
	    T(a_lock_outlives_a_reboot_and_a_clock_set_forward),
	    T(codes_find_requests_as_people_type_them),
	    T(ended_requests_are_forgotten_but_not_those_that_still_run),
	    T(unknown_records_do_not_fit),
	    T(sessions_open_and_close),
	    T(the_past_counts_requests_not_attempts),
	    T(what_did_not_become_durable_is_not_in_the_past),
	    T(being_let_in_counts_once_with_or_without_a_grant),
	    T(a_past_that_forgot_says_so),
	    T(a_key_is_as_old_as_its_first_login),
	    T(a_second_factor_is_of_its_session_and_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
