/* SPDX-License-Identifier: ISC */
/* What the hub keeps, with every system call of it failing in turn: its
 * journal, and its copies of hosts' ledgers. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "fault.h"
#include "hub/hub_journal.h"
#include "hub/hub_tree.h"
#include "mg_log.h"
#include "mg_merkle.h"

#define STATUS_FATAL 1

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

/* ---- the journal ---- */

struct found {
	const struct fault_seen *seen;
	unsigned long last;
};

static enum mg_err
ignore(void *arg, const struct mg_rec *rec, const char **whyp)
{
	(void)arg;
	(void)rec;
	(void)whyp;
	return MG_ERR_OK;
}

static void
add(struct hub_journal *j, struct fault_seen *seen)
{
	struct mg_rec rec;
	struct mg_json *js = hub_journal_begin(j, "x", 1);

	mg_json_int(js, "i", (int64_t)++seen->begun);
	mg_rec_init(&rec);
	if (hub_journal_end(j, &rec) != MG_ERR_OK)
		abort();
	mg_rec_fini(&rec);
	if (hub_journal_commit(j) == MG_ERR_OK)
		seen->done = seen->begun;
	else
		fault_lose(seen, seen->begun, true);
}

/* The same again, as one file. */
static void
rewrite(struct hub_journal *j, const struct fault_seen *seen)
{
	struct hub_rewrite w;
	unsigned long i;

	hub_rewrite_init(&w);
	for (i = 1; i <= seen->begun; i++) {
		if (fault_may_lack(seen, i))
			continue;
		mg_json_int(hub_rewrite_begin(j, &w, "x", 1), "i", (int64_t)i);
		if (hub_rewrite_put(j, &w) != MG_ERR_OK)
			abort();
	}
	(void)!hub_rewrite_done(j, &w);
	hub_rewrite_fini(&w);
}

static bool
open_it(struct hub_journal *j, int dirfd)
{
	size_t torn;
	char why[256];

	return hub_journal_open(j, path_of(dirfd), ignore, NULL, &torn, why,
		   sizeof(why)) == MG_ERR_OK;
}

static void
play(int dirfd, struct fault_seen *seen)
{
	struct hub_journal j;

	if (!open_it(&j, dirfd))
		return;
	add(&j, seen);
	add(&j, seen);
	rewrite(&j, seen);
	add(&j, seen);
	add(&j, seen);
	hub_journal_close(&j);
	if (!open_it(&j, dirfd))
		return;
	add(&j, seen);
	hub_journal_close(&j);
}

static enum mg_err
count(void *arg, const struct mg_rec *rec, const char **whyp)
{
	struct found *f = arg;
	unsigned long i = (unsigned long)mg_rec_int(rec, "i", 0);

	(void)whyp;
	assert_true(i > f->last);
	assert_true(i <= f->seen->begun);
	assert_false(fault_has_gone(f->seen, i));
	while (++f->last < i)
		assert_true(fault_may_lack(f->seen, f->last));
	return MG_ERR_OK;
}

static void
check(int dirfd, const struct fault_seen *seen)
{
	struct found f = {.seen = seen};
	struct hub_journal j;
	char why[256] = "";
	enum mg_err r;
	size_t torn;

	r = hub_journal_open(
	    &j, path_of(dirfd), count, &f, &torn, why, sizeof(why));
	if (r != MG_ERR_OK)
		print_error("%s\n", why);
	assert_int_equal(r, MG_ERR_OK);
	while (++f.last <= seen->done)
		assert_true(fault_may_lack(seen, f.last));
	hub_journal_close(&j);
}

static void
rule1_no_decision_is_lost_whatever_call_fails(void **state)
{
	static const struct fault_test t = {
	    .play = play, .check = check, .may_exit = STATUS_FATAL};

	(void)state;
	fault_every(&t);
}

/* ---- a host's ledger ---- */

#define HOST "web1"

static uint8_t host_seed[MG_ED25519], host_pub[MG_ED25519];
static uint8_t hub_seed[MG_ED25519], hub_pub[MG_ED25519];

static void
make_key(uint8_t seed[MG_ED25519], uint8_t pub[MG_ED25519], int byte)
{
	size_t n = MG_ED25519;
	EVP_PKEY *k;

	memset(seed, byte, MG_ED25519);
	k = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, seed, MG_ED25519);
	assert_non_null(k);
	assert_int_equal(EVP_PKEY_get_raw_public_key(k, pub, &n), 1);
	EVP_PKEY_free(k);
}

/* What the host says: the leaves from..to, and its note at to. The answer
 * may be to begin elsewhere. */
static void
say(struct hub_trees *all, uint64_t from, uint64_t to,
    struct mg_hub_witness *ans, bool *alarmp)
{
	uint8_t leaf[64][MG_MERKLE_HASH], root[MG_MERKLE_HASH];
	struct mg_note_key key = {.kind = MG_NOTE_LOG};
	struct mg_sha *sha = mg_sha_new();
	struct mg_hub_tree m = {.from = from};
	struct mg_merkle t;
	struct mg_note note;
	uint64_t i;

	mg_merkle_init(&t);
	for (i = 0; i < to; i++) {
		memset(leaf[i], (int)i + 1, MG_MERKLE_HASH);
		mg_merkle_add(&t, sha, leaf[i]);
	}
	mg_merkle_root(&t, sha, root);
	mg_sha_free(sha);
	memcpy(key.pub, host_pub, sizeof(host_pub));
	if (!mg_note_origin(HOST, key.name) ||
	    mg_note_make(&note, key.name, to, root) != MG_ERR_OK ||
	    mg_note_sign(&note, &key, host_seed, 0) != MG_ERR_OK)
		abort();
	m.leaves = leaf[from];
	m.leaves_len = (size_t)(to - from) * MG_MERKLE_HASH;
	m.note = (const uint8_t *)note.text;
	m.note_len = note.len;
	hub_trees_take(
	    all, HOST, host_pub, &m, hub_seed, hub_pub, 1, ans, alarmp);
}

static bool
witness(struct hub_trees *all, uint64_t to)
{
	struct mg_hub_witness ans;
	bool alarm;
	int tries;

	say(all, to, to, &ans, &alarm); /* asks how far the hub is */
	for (tries = 0; tries < 3 && !ans.ok && !alarm && ans.size <= to;
	     tries++)
		say(all, ans.size, to, &ans, &alarm);
	if (alarm || ans.alarm)
		abort();
	return ans.ok;
}

static void
play_trees(int dirfd, struct fault_seen *seen)
{
	struct hub_trees *all;
	unsigned long to;

	for (to = 3; to <= 12; to += 3) {
		if ((all = hub_trees_new(dirfd)) == NULL)
			abort();
		seen->begun = to;
		if (witness(all, to))
			seen->done = to;
		if (to == 6 && witness(all, ++to))
			seen->done = to;
		hub_trees_free(all);
	}
}

/* Every checkpoint that is kept is whole. */
static void
check_notes(struct hub_trees *all)
{
	char text[32768], *p = text, *q;
	struct mg_note note;
	ssize_t n;

	n = hub_trees_read(
	    all, MG_HUB_TREE_CHECKPOINTS, HOST, 0, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	for (; *p != '\0'; p = q + 2) {
		assert_non_null(q = strstr(p, "\n\n"));
		assert_non_null(q = strstr(q + 2, "\n\n"));
		assert_int_equal(
		    mg_note_parse(&note, p, (size_t)(q + 1 - p), NULL),
		    MG_ERR_OK);
	}
}

static void
check_trees(int dirfd, const struct fault_seen *seen)
{
	struct hub_trees *all = hub_trees_new(dirfd);
	struct mg_hub_witness ans;
	bool alarm;

	assert_non_null(all);
	say(all, 64 - 1, 64 - 1, &ans, &alarm);
	assert_false(alarm);
	assert_true(ans.size >= seen->done);
	assert_true(witness(all, 40)); /* it goes on, and nobody cries wolf */
	check_notes(all);
	hub_trees_free(all);
}

static void
rule3_a_witness_that_cannot_write_raises_no_alarm(void **state)
{
	static const struct fault_test t = {
	    .play = play_trees, .check = check_trees};

	(void)state;
	fault_every(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rule1_no_decision_is_lost_whatever_call_fails),
	    cmocka_unit_test(rule3_a_witness_that_cannot_write_raises_no_alarm),
	};

	mg_log_init("test", MG_LOG_TO_STDERR, MG_LOG_ERR);
	make_key(host_seed, host_pub, 7);
	make_key(hub_seed, hub_pub, 8);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
