/* SPDX-License-Identifier: ISC */
/* The ledger, with every system call of it failing in turn: what was said
 * to be durable is there, what was said not to be is not, and a power cut
 * leaves a ledger that opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"
#include "ledger.h"
#include "mg_file.h"

#define STATE "{\"type\":\"kept\"}\n"

static enum mg_err
ignore(void *arg, const struct mg_rec *rec)
{
	(void)arg;
	(void)rec;
	return MG_ERR_OK;
}

/* One line with the number n, that has to be found again or not. */
static void
put(struct mg_ledger *l, struct fault_seen *seen, unsigned batch)
{
	unsigned long from = seen->begun, i;
	struct mg_ledger_mark mark;
	struct mg_json j;
	struct mg_rec rec;
	enum mg_err r;

	mg_rec_init(&rec);
	mg_ledger_get_mark(l, &mark);
	while (batch-- > 0) {
		mg_ledger_begin(l, &j, "note");
		mg_json_int(&j, "i", (int64_t)++seen->begun);
		if (mg_ledger_end(l, &j, &rec) != MG_ERR_OK)
			abort();
	}
	mg_rec_fini(&rec);
	if ((r = mg_ledger_sync(l)) == MG_ERR_OK)
		seen->done = seen->begun;
	if (mg_ledger_is_dead(l))
		(void)!mg_ledger_revive(l);
	/* While it is dead nobody can say what is on the disk. */
	for (i = from + 1; r != MG_ERR_OK && i <= seen->begun; i++)
		fault_lose(seen, i, !mg_ledger_is_dead(l));
}

static struct mg_ledger *
open_it(int dirfd)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;

	if (mg_ledger_open(dirfd, NULL, ignore, ignore, NULL, &l, &rep) !=
	    MG_ERR_OK)
		return NULL;
	return l;
}

/* What is called a leaf is the hash of that line. */
static void
check_leaves(struct mg_ledger *l)
{
	uint8_t v[64][MG_MERKLE_HASH], is[MG_MERKLE_HASH], want[MG_MERKLE_HASH];
	struct mg_sha *sha = mg_sha_new();
	struct mg_merkle t;
	size_t n, i;
	enum mg_err r;

	mg_merkle_init(&t);
	r = mg_ledger_leaves(l, 0, v, 64, &n);
	for (i = 0; r == MG_ERR_OK && i < n; i++)
		mg_merkle_add(&t, sha, v[i]);
	mg_ledger_root(l, want);
	mg_merkle_root(&t, sha, is);
	mg_sha_free(sha);
	if (r == MG_ERR_OK &&
	    (n != mg_ledger_size(l) || memcmp(is, want, sizeof(is)) != 0))
		abort();
}

static void
play(int dirfd, struct fault_seen *seen)
{
	struct mg_ledger *l = open_it(dirfd);

	if (l == NULL)
		return;
	put(l, seen, 1);
	put(l, seen, 2);
	(void)!mg_ledger_add_note(l, "a\nb\n", 4);
	(void)!mg_ledger_rotate(l, STATE, strlen(STATE));
	put(l, seen, 1);
	check_leaves(l);
	(void)!mg_ledger_rotate(l, STATE, strlen(STATE));
	put(l, seen, 1);
	put(l, seen, 1);
	check_leaves(l);
	mg_ledger_free(l);
	if ((l = open_it(dirfd)) == NULL)
		return;
	put(l, seen, 1);
	check_leaves(l);
	mg_ledger_free(l);
}

/* Ends soon after the new segment: what failed there was not mended. */
static void
play_segment(int dirfd, struct fault_seen *seen)
{
	struct mg_ledger *l = open_it(dirfd);

	if (l == NULL)
		return;
	put(l, seen, 1);
	(void)!mg_ledger_rotate(l, STATE, strlen(STATE));
	put(l, seen, 1);
	put(l, seen, 1);
	mg_ledger_free(l);
}

struct found {
	const struct fault_seen *seen;
	unsigned long last;
	unsigned long lines; /* of all kinds */
};

static void
count(struct found *f, const struct mg_rec *rec)
{
	unsigned long i = (unsigned long)mg_rec_int(rec, "i", 0);

	if (i == 0)
		return;
	assert_true(i > f->last);
	assert_true(i <= f->seen->begun);
	assert_false(fault_has_gone(f->seen, i));
	/* None that was durable is missing in between. */
	while (++f->last < i)
		assert_true(fault_may_lack(f->seen, f->last));
}

/* All lines of all segments, whatever snapshots there are. */
static void
read_all(int dirfd, struct found *f)
{
	struct mg_ledger_file *v;
	struct mg_rec rec;
	struct mg_buf b;
	const char *p, *nl;
	size_t n, i;
	int fd;

	mg_rec_init(&rec);
	assert_int_equal(mg_ledger_list(dirfd, &v, &n), MG_ERR_OK);
	for (i = 0; i < n; i++) {
		mg_buf_init(&b, 1 << 20);
		assert_int_equal(
		    mg_ledger_open_file(dirfd, v[i].name, &fd), MG_ERR_OK);
		assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
		assert_non_null(p = mg_buf_cstr(&b));
		for (; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
			assert_int_equal(
			    mg_rec_parse(&rec, p, (size_t)(nl - p)), MG_ERR_OK);
			assert_int_equal(
			    mg_rec_int(&rec, "seq", 0), ++f->lines);
			count(f, &rec);
		}
		mg_buf_fini(&b);
	}
	mg_rec_fini(&rec);
	free(v);
}

static void
check(int dirfd, const struct fault_seen *seen)
{
	struct mg_ledger_report rep;
	struct found f = {.seen = seen};
	struct mg_ledger *l;
	enum mg_err r;

	r = mg_ledger_open(dirfd, NULL, ignore, ignore, NULL, &l, &rep);
	if (r != MG_ERR_OK)
		print_error("%s:%llu: %s\n", rep.file,
		    (unsigned long long)rep.line, rep.flaw.text);
	assert_int_equal(r, MG_ERR_OK);
	assert_false(rep.leaves_short);
	read_all(dirfd, &f);
	assert_int_equal(f.lines, mg_ledger_size(l));
	while (++f.last <= seen->done)
		assert_true(fault_may_lack(seen, f.last));
	check_leaves(l);
	mg_ledger_free(l);
}

static void
promise1_every_call_of_the_ledger_fails_in_turn(void **state)
{
	static const struct fault_test t = {.play = play, .check = check};

	(void)state;
	fault_every(&t);
}

static void
promise1_a_new_segment_that_failed_is_never_found(void **state)
{
	static const struct fault_test t = {
	    .play = play_segment, .check = check};

	(void)state;
	fault_every(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(promise1_every_call_of_the_ledger_fails_in_turn),
	    cmocka_unit_test(promise1_a_new_segment_that_failed_is_never_found),
	};

	mg_sha_free(mg_sha_new()); /* once, not in every child */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
