/* SPDX-License-Identifier: ISC */
/* What people did: kept, counted, forgotten and brought back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mg_past.h"

#define THINGS 5000 /* more than the table has buckets at first */
#define EVENTS 2500 /* more than a line of a snapshot takes */

static struct mg_past *
new_past(void)
{
	struct mg_past *p = mg_past_new();

	assert_non_null(p);
	return p;
}

/* The same past, through a snapshot. */
static struct mg_past *
reborn(const struct mg_past *p)
{
	struct mg_past *q = new_past();
	struct mg_rec rec;
	struct mg_buf b;
	const char *s, *nl;

	mg_buf_init(&b, 64 << 20);
	assert_int_equal(
	    mg_past_save(p, &b, "2026-11-24T10:00:00Z", 7), MG_ERR_OK);
	s = mg_buf_len(&b) == 0 ? "" : mg_buf_cstr(&b);
	assert_non_null(s);
	mg_rec_init(&rec);
	for (; (nl = strchr(s, '\n')) != NULL; s = nl + 1) {
		assert_int_equal(
		    mg_rec_parse(&rec, s, (size_t)(nl - s)), MG_ERR_OK);
		assert_int_equal(mg_rec_int(&rec, "bt", 0), 7);
		assert_int_equal(mg_past_restore(q, &rec), MG_ERR_OK);
	}
	assert_string_equal(s, "");
	mg_rec_fini(&rec);
	mg_buf_fini(&b);
	return q;
}

static void
name(char out[16], unsigned i)
{
	snprintf(out, 16, "u%u", i);
}

static void
fill(struct mg_past *p)
{
	struct mg_past_fact *f;
	struct mg_past_key *k;
	char user[16];
	unsigned i;

	for (i = 0; i < THINGS; i++) {
		name(user, i);
		f = mg_past_fact(p, user, "deploy", "m", "1", true);
		k = mg_past_key(p, user, "SHA256:x", true);
		assert_non_null(f);
		assert_non_null(k);
		f->did = i;
		f->approved = i % 3;
		k->since_ms = i;
	}
}

static void
check(struct mg_past *p)
{
	const struct mg_past_fact *f;
	const struct mg_past_key *k;
	char user[16];
	unsigned i;

	for (i = 1; i < THINGS; i++) {
		name(user, i);
		f = mg_past_fact(p, user, "deploy", "m", "1", false);
		k = mg_past_key(p, user, "SHA256:x", false);
		assert_non_null(f);
		assert_non_null(k);
		assert_int_equal(f->did, i);
		assert_int_equal(f->approved, i % 3);
		assert_int_equal(k->since_ms, i);
		/* Each part of a name tells things apart. */
		assert_null(mg_past_fact(p, user, "deploy", "m", "2", false));
		assert_null(mg_past_fact(p, user, "deploy", "m1", "", false));
		assert_null(mg_past_key(p, user, "SHA256:y", false));
	}
	assert_false(mg_past_is_full(p));
}

static void
many_things_are_found_again_and_survive_a_snapshot(void **state)
{
	struct mg_past *p = new_past(), *q;

	(void)state;
	fill(p);
	check(p);
	q = reborn(p);
	check(q);
	mg_past_free(p);
	mg_past_free(q);
}

struct event {
	int64_t at_ms, bytes;
	bool is_real;
};

/* The clock goes back at times, and not every grant came to be. */
static void
add_events(struct mg_past *p, struct event *v, size_t n)
{
	struct mg_past_event *ev;
	size_t i;

	for (i = 0; i < n; i++) {
		v[i].at_ms = 1000 + (int64_t)((i * 7919) % 3001);
		v[i].bytes = (int64_t)((i * 104729) % 100003);
		v[i].is_real = i % 5 != 0;
		ev = mg_past_add(p, "alice", "deploy");
		assert_non_null(ev);
		ev->at_ms = v[i].at_ms;
		ev->bytes = v[i].bytes;
		ev->is_real = v[i].is_real;
	}
}

static void
compare(const struct mg_past *p, const struct event *v, size_t n)
{
	int64_t since, count, bytes;
	size_t i;

	for (since = 0; since < 4500; since += 97) {
		count = bytes = 0;
		for (i = 0; i < n; i++) {
			if (!v[i].is_real || v[i].at_ms < since)
				continue;
			count++;
			bytes += v[i].bytes;
		}
		assert_int_equal(
		    mg_past_count(p, "alice", "deploy", since), count);
		assert_int_equal(
		    mg_past_bytes(p, "alice", "deploy", since), bytes);
	}
	assert_int_equal(mg_past_count(p, "alice", "promote", 0), 0);
	assert_int_equal(mg_past_bytes(p, "bob", "deploy", 0), 0);
}

static void
grants_are_counted_as_they_came_whatever_the_clock_did(void **state)
{
	static struct event v[EVENTS];
	struct mg_past *p = new_past(), *q;

	(void)state;
	add_events(p, v, EVENTS);
	compare(p, v, EVENTS);
	q = reborn(p);
	compare(q, v, EVENTS);
	mg_past_free(p);
	mg_past_free(q);
}

static void
bytes_that_pass_what_can_be_counted_are_not_known(void **state)
{
	struct mg_past *p = new_past();
	struct mg_past_event *ev;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		ev = mg_past_add(p, "alice", "deploy");
		assert_non_null(ev);
		*ev = (struct mg_past_event){.at_ms = 1,
		    .bytes = INT64_MAX / 2 + 1,
		    .is_real = true,
		    .older = ev->older};
	}
	assert_int_equal(mg_past_bytes(p, "alice", "deploy", 0), -1);
	assert_int_equal(mg_past_count(p, "alice", "deploy", 0), 2);
	mg_past_free(p);
}

/* Who asks further back than what is kept hears that, never a number. */
static void
what_was_forgotten_is_not_counted_as_nothing(void **state)
{
	struct mg_past *p = new_past(), *q;
	struct mg_past_event *ev;
	int64_t kept = 0;
	int i;

	(void)state;
	mg_past_prune(p); /* nothing to do */
	for (i = 1; i <= MG_PAST_EVENTS_MAX + 1; i++) {
		ev = mg_past_add(p, "alice", "deploy");
		assert_non_null(ev);
		ev->at_ms = i;
		ev->is_real = true;
	}
	assert_int_equal(mg_past_count(p, "alice", "deploy", 1), i - 1);
	mg_past_prune(p);
	kept = MG_PAST_EVENTS_MAX / 2;
	assert_int_equal(mg_past_count(p, "alice", "deploy", i - kept), kept);
	assert_int_equal(mg_past_count(p, "alice", "deploy", i - kept - 1), -1);
	assert_int_equal(mg_past_count(p, "alice", "deploy", 0), -1);
	q = reborn(p);
	assert_int_equal(mg_past_count(q, "alice", "deploy", i - kept), kept);
	assert_int_equal(mg_past_bytes(q, "alice", "deploy", i - kept - 1), -1);
	mg_past_free(p);
	mg_past_free(q);
}

static void
a_full_past_says_so_and_concludes_nothing(void **state)
{
	struct mg_past *p = new_past(), *q;
	char user[16];
	unsigned i;

	(void)state;
	for (i = 0; i < MG_PAST_MAX; i++) {
		name(user, i);
		assert_non_null(mg_past_key(p, user, "k", true));
	}
	assert_false(mg_past_is_full(p));
	assert_int_equal(mg_past_count(p, "alice", "deploy", 0), 0);
	assert_null(mg_past_fact(p, "alice", "deploy", "m", "1", true));
	assert_null(mg_past_add(p, "alice", "deploy"));
	assert_true(mg_past_is_full(p));
	assert_int_equal(mg_past_count(p, "alice", "deploy", 0), -1);
	assert_int_equal(mg_past_bytes(p, "alice", "deploy", 0), -1);
	assert_non_null(mg_past_key(p, "u0", "k", true)); /* is there */
	q = reborn(p);
	assert_true(mg_past_is_full(q));
	mg_past_free(p);
	mg_past_free(q);
	mg_past_free(NULL);
}

static void
a_line_of_another_form_is_refused(void **state)
{
	static const char *const bad[] = {
	    "{\"type\":\"past\",\"user\":\"alice\"}",
	    "{\"type\":\"past-grants\",\"user\":\"a\",\"operation\":\"o\","
	    "\"events\":\"1\"}",
	    "{\"type\":\"past-grants\",\"user\":\"a\",\"operation\":\"o\","
	    "\"events\":\"1 2\"}",
	    "{\"type\":\"past-grants\",\"user\":\"a\",\"operation\":\"o\","
	    "\"events\":\"1 2,x\"}",
	    "{\"type\":\"past-grants\",\"user\":\"b\",\"operation\":\"o\","
	    "\"events\":\"\"}",
	};
	struct mg_past *p = new_past();
	struct mg_rec rec;
	size_t i;

	(void)state;
	mg_rec_init(&rec);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    mg_rec_parse(&rec, bad[i], strlen(bad[i])), MG_ERR_OK);
		assert_int_equal(mg_past_restore(p, &rec), MG_ERR_FORMAT);
	}
	mg_rec_fini(&rec);
	mg_past_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		many_things_are_found_again_and_survive_a_snapshot),
	    cmocka_unit_test(
		grants_are_counted_as_they_came_whatever_the_clock_did),
	    cmocka_unit_test(bytes_that_pass_what_can_be_counted_are_not_known),
	    cmocka_unit_test(what_was_forgotten_is_not_counted_as_nothing),
	    cmocka_unit_test(a_full_past_says_so_and_concludes_nothing),
	    cmocka_unit_test(a_line_of_another_form_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
