/* SPDX-License-Identifier: ISC */
/* Frames over a byte stream, cut in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mg_stream.h"

#define UUID "3e02fa34-5d3b-4a64-9c0e-0123456789ab"

static struct mg_stream a, b; /* the hub's end and the host's */

static int
setup(void **state)
{
	(void)state;
	mg_stream_init(&a, MG_ROLE_HUB, MG_ROLE_HOST, 65536);
	mg_stream_init(&b, MG_ROLE_HOST, MG_ROLE_HUB, 65536);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_stream_fini(&a);
	mg_stream_fini(&b);
	return 0;
}

/* Three frames of different lengths wait in b's output. */
static void
send_three(void)
{
	struct mg_hub_ping ping = {.token = 7};
	struct mg_hub_verdict v = {.uuid = UUID,
	    .approver = "bob",
	    .decision = "approve",
	    .accepted = true,
	    .text = "1 of 2"};

	assert_int_equal(
	    mg_stream_send(&b, 1, MG_MSG_HUB_PING, &ping), MG_ERR_OK);
	assert_int_equal(
	    mg_stream_send(&b, 2, MG_MSG_HUB_VERDICT, &v), MG_ERR_OK);
	ping.token = 8;
	assert_int_equal(
	    mg_stream_send(&b, 3, MG_MSG_HUB_PONG, &ping), MG_ERR_OK);
}

/* Takes all frames out of the n bytes at p; adds to *seen. */
static void
take(const uint8_t *p, size_t n, unsigned *seen)
{
	struct mg_hub_verdict v;
	struct mg_frame f;
	size_t used;
	enum mg_err r;

	do {
		r = mg_stream_recv(&a, p, n, &used, &f, NULL);
		p += used;
		n -= used;
		if (r != MG_ERR_OK)
			break;
		++*seen;
		assert_int_equal(f.id, *seen);
		assert_int_equal(f.nfds, 0);
		assert_int_equal(f.fds[0], -1);
		if (*seen == 2) {
			assert_int_equal(
			    mg_frame_decode(&f, &v, sizeof(v)), MG_ERR_OK);
			assert_string_equal(v.text, "1 of 2");
		}
	} while (r == MG_ERR_OK);
	assert_int_equal(r, MG_ERR_AGAIN);
	assert_int_equal(n, 0);
}

static void
frames_come_whole_however_the_bytes_are_cut(void **state)
{
	size_t n, cut, at, step;
	const uint8_t *p;
	unsigned seen;

	(void)state;
	send_three();
	p = mg_stream_out(&b, &n);
	for (cut = 1; cut <= n; cut++) {
		seen = 0;
		for (at = 0; at < n; at += step) {
			step = n - at < cut ? n - at : cut;
			take(p + at, step, &seen);
		}
		assert_int_equal(seen, 3);
		assert_false(mg_stream_is_inside(&a));
	}
}

static void
an_end_inside_a_frame_can_be_told_from_one_between_two(void **state)
{
	struct mg_hub_ping ping = {.token = 7};
	struct mg_frame f;
	size_t n, used, i;
	const uint8_t *p;

	(void)state;
	assert_int_equal(
	    mg_stream_send(&b, 1, MG_MSG_HUB_PING, &ping), MG_ERR_OK);
	p = mg_stream_out(&b, &n);
	assert_false(mg_stream_is_inside(&a));
	for (i = 0; i < n - 1; i++) {
		assert_int_equal(mg_stream_recv(&a, p + i, 1, &used, &f, NULL),
		    MG_ERR_AGAIN);
		assert_true(mg_stream_is_inside(&a));
	}
	assert_int_equal(
	    mg_stream_recv(&a, p + n - 1, 1, &used, &f, NULL), MG_ERR_OK);
	assert_false(mg_stream_is_inside(&a));
}

static void
rule1_a_header_is_judged_before_memory_for_the_rest(void **state)
{
	/* HUB_PUT of 64 KiB + 1: over its row. */
	static const uint8_t too_long[] = {
	    0, 1, 0, 9, 0, 110, 0, 1, 0, 0, 0, 1};
	/* 4 GiB of an op that is allowed. */
	static const uint8_t huge[] = {
	    255, 255, 255, 255, 0, 110, 0, 1, 0, 0, 0, 1};
	/* HUB_DECISION goes the other way. */
	static const uint8_t wrong_way[] = {
	    0, 0, 0, 20, 0, 113, 0, 1, 0, 0, 0, 1};
	static const uint8_t unknown[] = {
	    0, 0, 0, 20, 255, 1, 0, 1, 0, 0, 0, 1};
	static const uint8_t version[] = {
	    0, 0, 0, 16, 0, 115, 0, 2, 0, 0, 0, 1};
	static const uint8_t too_short[] = {
	    0, 0, 0, 7, 0, 115, 0, 1, 0, 0, 0, 1};
	static const struct {
		const uint8_t *p;
		const char *why;
	} cases[] = {
	    {too_long, "length outside of the message's limit"},
	    {huge, "length outside of the message's limit"},
	    {wrong_way, "message not for this direction"},
	    {unknown, "unknown message"},
	    {version, "unknown protocol version"},
	    {too_short, "length outside of the message's limit"},
	};
	struct mg_frame f;
	const char *why;
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mg_stream_fini(&a);
		mg_stream_init(&a, MG_ROLE_HUB, MG_ROLE_HOST, 65536);
		assert_int_equal(
		    mg_stream_recv(&a, cases[i].p, 12, &used, &f, &why),
		    MG_ERR_PROTO);
		assert_string_equal(why, cases[i].why);
		assert_true(a.in.cap <= 256);
	}
}

static void
rule2_nothing_is_read_after_a_violation(void **state)
{
	static const uint8_t bad[12] = {0};
	struct mg_frame f;
	const uint8_t *p;
	size_t n, used;

	(void)state;
	send_three();
	p = mg_stream_out(&b, &n);
	assert_int_equal(mg_stream_recv(&a, bad, sizeof(bad), &used, &f, NULL),
	    MG_ERR_PROTO);
	assert_int_equal(
	    mg_stream_recv(&a, p, n, &used, &f, NULL), MG_ERR_PROTO);
	assert_int_equal(used, 0);
}

static void
sending_is_bounded_and_only_in_its_direction(void **state)
{
	struct mg_hub_decision d = {
	    .uuid = UUID, .approver = "bob", .decision = "approve"};
	struct mg_hub_ping ping = {.token = 7};
	struct mg_stream small;
	size_t n;

	(void)state;
	assert_int_equal(
	    mg_stream_send(&b, 1, MG_MSG_HUB_DECISION, &d), MG_ERR_INTERNAL);
	assert_int_equal(
	    mg_stream_send(&a, 1, MG_MSG_HUB_DECISION, &d), MG_ERR_OK);
	mg_stream_init(&small, MG_ROLE_HUB, MG_ROLE_HOST, 45);
	assert_int_equal(
	    mg_stream_send(&small, 1, MG_MSG_HUB_PING, &ping), MG_ERR_OK);
	assert_int_equal(
	    mg_stream_send(&small, 2, MG_MSG_HUB_PING, &ping), MG_ERR_OK);
	assert_int_equal(
	    mg_stream_send(&small, 3, MG_MSG_HUB_PING, &ping), MG_ERR_LIMIT);
	(void)mg_stream_out(&small, &n);
	assert_int_equal(n, 40); /* no half frame was left */
	mg_stream_sent(&small, 20);
	assert_int_equal(
	    mg_stream_send(&small, 3, MG_MSG_HUB_PING, &ping), MG_ERR_OK);
	mg_stream_fini(&small);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(frames_come_whole_however_the_bytes_are_cut),
	    T(an_end_inside_a_frame_can_be_told_from_one_between_two),
	    T(rule1_a_header_is_judged_before_memory_for_the_rest),
	    T(rule2_nothing_is_read_after_a_violation),
	    T(sending_is_bounded_and_only_in_its_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
