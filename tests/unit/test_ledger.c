/* SPDX-License-Identifier: ISC */
/* The ledger's files: ledger.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"
#include "mg_file.h"

#define FIRST "00000000000000000001.jsonl"

static char dir[64];
static int dirfd_;
static unsigned seen;
static enum mg_err fn_says;

static enum mg_err
count(void *arg, const struct mg_rec *rec)
{
	(void)arg;
	assert_true(mg_rec_has(rec, "seq"));
	seen++;
	return fn_says;
}

static unsigned restored;

static enum mg_err
count_restored(void *arg, const struct mg_rec *rec)
{
	(void)arg;
	(void)rec;
	restored++;
	return MG_ERR_OK;
}

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ledger.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	seen = 0;
	fn_says = MG_ERR_OK;
	return dirfd_ == -1;
}

static int
teardown(void **state)
{
	struct dirent *de;
	DIR *d = opendir(dir);

	(void)state;
	while (d != NULL && (de = readdir(d)) != NULL)
		(void)unlinkat(dirfd_, de->d_name, 0);
	closedir(d);
	close(dirfd_);
	return rmdir(dir);
}

static struct mg_ledger *
open_ok(struct mg_ledger_report *rep)
{
	struct mg_ledger *l;

	seen = 0;
	assert_int_equal(
	    mg_ledger_open(dirfd_, NULL, count, count_restored, NULL, &l, rep),
	    MG_ERR_OK);
	return l;
}

static void
put(struct mg_ledger *l, const char *text)
{
	struct mg_json j;
	struct mg_rec rec;

	mg_rec_init(&rec);
	mg_ledger_begin(l, &j, "note");
	mg_json_str(&j, "text", text);
	assert_int_equal(mg_ledger_end(l, &j, &rec), MG_ERR_OK);
	assert_string_equal(mg_rec_str(&rec, "text", ""), text);
	mg_rec_fini(&rec);
}

static void
fill(unsigned n)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l = open_ok(&rep);
	char text[32];
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		put(l, text);
	}
	assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	mg_ledger_free(l);
}

/* The whole file; the caller frees. */
static char *
slurp(size_t *np)
{
	struct stat s;
	char *p;
	int fd = openat(dirfd_, FIRST, O_RDONLY);

	assert_true(fd != -1);
	assert_int_equal(fstat(fd, &s), 0);
	p = malloc((size_t)s.st_size + 1);
	assert_int_equal(read(fd, p, (size_t)s.st_size), s.st_size);
	p[s.st_size] = '\0';
	close(fd);
	*np = (size_t)s.st_size;
	return p;
}

static void
spill(const char *p, size_t n)
{
	int fd = openat(dirfd_, FIRST, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static void
keep_leaves(unsigned n)
{
	int fd = openat(dirfd_, "leaves", O_WRONLY);

	assert_int_equal(ftruncate(fd, n * MG_MERKLE_HASH), 0);
	close(fd);
}

static enum mg_err
try_open(struct mg_ledger_report *rep)
{
	struct mg_ledger *l;
	enum mg_err r;

	seen = 0;
	r = mg_ledger_open(dirfd_, NULL, count, count_restored, NULL, &l, rep);
	mg_ledger_free(l);
	return r;
}

static void
what_was_synced_is_read_back(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;

	(void)state;
	fill(100);
	l = open_ok(&rep);
	assert_int_equal(seen, 100);
	assert_int_equal(rep.records, 100);
	assert_false(rep.repaired);
	assert_int_equal(mg_ledger_next_seq(l), 101);
	mg_ledger_free(l);
}

static void
what_was_not_synced_is_not_there(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;

	(void)state;
	fill(3);
	l = open_ok(&rep);
	put(l, "never synced");
	mg_ledger_free(l);
	l = open_ok(&rep);
	assert_int_equal(seen, 3);
	mg_ledger_free(l);
}

/* Cut at every byte of the last line: always repaired, always said. */
static void
a_torn_last_line_is_repaired_and_said(void **state)
{
	struct mg_ledger_report rep;
	size_t n, cut, last;
	char *whole;

	(void)state;
	fill(3);
	whole = slurp(&n);
	for (last = n - 1; whole[last - 1] != '\n'; last--)
		continue;
	for (cut = last + 1; cut < n; cut++) {
		spill(whole, cut);
		keep_leaves(2); /* a crash's line never got one */
		assert_int_equal(try_open(&rep), MG_ERR_OK);
		assert_true(rep.repaired);
		assert_int_equal(rep.repaired_bytes, cut - last);
		assert_int_equal(seen, 2);
		/* The repair lasts. */
		assert_int_equal(try_open(&rep), MG_ERR_OK);
		assert_false(rep.repaired);
	}
	free(whole);
}

/* Change every byte of the first two lines in turn: never accepted. */
static void
promise10_a_changed_byte_is_found_and_named(void **state)
{
	struct mg_ledger_report rep;
	size_t n, i;
	char *whole, *third, was;
	unsigned line;

	(void)state;
	fill(3);
	whole = slurp(&n);
	third = strchr(strchr(whole, '\n') + 1, '\n') + 1;
	for (i = 0; whole + i < third; i++) {
		was = whole[i];
		whole[i] = was == '0' ? '1' : '0';
		spill(whole, n);
		line = whole + i < strchr(whole, '\n') + 1 ? 1 : 2;
		assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
		assert_string_equal(rep.file, FIRST);
		/* Found there, or where the next line's hash disagrees: the
		 * record is named all the same. */
		if (rep.flaw.kind != MG_FLAW_SEQ)
			assert_int_equal(rep.flaw.record, line);
		assert_in_range(rep.line, line, line + 1);
		assert_true(rep.flaw.text[0] != '\0');
		whole[i] = was;
	}
	spill(whole, n);
	assert_int_equal(try_open(&rep), MG_ERR_OK);
	free(whole);
}

static void
lines_removed_doubled_or_swapped_are_found(void **state)
{
	struct mg_ledger_report rep;
	size_t n, one, two;
	char *whole, *mixed;

	(void)state;
	fill(4);
	whole = slurp(&n);
	mixed = malloc(2 * n);
	one = (size_t)(strchr(whole, '\n') + 1 - whole);
	two = (size_t)(strchr(whole + one, '\n') + 1 - whole);
	/* without the second */
	memcpy(mixed, whole, one);
	memcpy(mixed + one, whole + two, n - two);
	spill(mixed, n - (two - one));
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_int_equal(rep.line, 2);
	/* the second twice */
	memcpy(mixed, whole, two);
	memcpy(mixed + two, whole + one, n - one);
	spill(mixed, n + (two - one));
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_int_equal(rep.line, 3);
	/* first and second swapped */
	memcpy(mixed, whole + one, two - one);
	memcpy(mixed + (two - one), whole, one);
	memcpy(mixed + two, whole + two, n - two);
	spill(mixed, n);
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_int_equal(rep.line, 1);
	free(mixed);
	free(whole);
}

static void
a_line_that_the_fold_refuses_stops_the_start(void **state)
{
	struct mg_ledger_report rep;

	(void)state;
	fill(2);
	fn_says = MG_ERR_STATE;
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_int_equal(rep.line, 1);
}

static void
an_endless_line_is_refused_not_read(void **state)
{
	struct mg_ledger_report rep;
	char *p = malloc(1 << 20);

	(void)state;
	fill(1);
	memset(p, 'x', 1 << 20);
	spill(p, 1 << 20);
	free(p);
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_non_null(strstr(rep.flaw.text, "longer"));
}

static void
a_ledger_that_others_can_read_is_refused(void **state)
{
	struct mg_ledger_report rep;

	(void)state;
	fill(1);
	assert_int_equal(fchmodat(dirfd_, FIRST, 0640, 0), 0);
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_int_equal(rep.flaw.kind, MG_FLAW_PRIVATE);
}

static void
a_missing_segment_is_refused(void **state)
{
	struct mg_ledger_report rep;

	(void)state;
	fill(3);
	assert_int_equal(
	    renameat(dirfd_, FIRST, dirfd_, "00000000000000000009.jsonl"), 0);
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_non_null(strstr(rep.flaw.text, "missing"));
}

/* A full disk, as far as a process can make one: RLIMIT_FSIZE. */
static void
promise1_a_failed_write_leaves_the_ledger_as_it_was(void **state)
{
	struct mg_ledger_report rep;
	struct rlimit old, tight;
	struct mg_ledger *l;
	size_t n;
	char *before, *after;
	size_t m;

	(void)state;
	fill(5);
	before = slurp(&n);
	l = open_ok(&rep);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = n + 100; /* room for part of the line */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	put(l, "does not fit");
	put(l, "nor this");
	assert_int_equal(mg_ledger_sync(l), MG_ERR_SYS);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	after = slurp(&m);
	assert_int_equal(m, n);
	assert_memory_equal(before, after, n);
	assert_false(mg_ledger_is_dead(l));
	assert_int_equal(mg_ledger_next_seq(l), 6);
	/* and goes on when there is room again */
	put(l, "fits");
	assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	mg_ledger_free(l);
	assert_int_equal(try_open(&rep), MG_ERR_OK);
	assert_int_equal(seen, 6);
	free(before);
	free(after);
}

static void
a_mark_gives_up_only_what_came_after(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger_mark mark;
	struct mg_ledger *l = open_ok(&rep);

	(void)state;
	put(l, "kept");
	mg_ledger_get_mark(l, &mark);
	put(l, "given up");
	mg_ledger_rewind(l, &mark);
	put(l, "kept too");
	assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	mg_ledger_free(l);
	l = open_ok(&rep);
	assert_int_equal(seen, 2);
	mg_ledger_free(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- segments and snapshots ---- */

#define STATE_LINE "{\"type\":\"clock\",\"at\":\"x\",\"bt\":1}\n"

/* n lines, a new segment, m lines. */
static void
two_segments(unsigned n, unsigned m)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;

	fill(n);
	l = open_ok(&rep);
	assert_int_equal(
	    mg_ledger_rotate(l, STATE_LINE, strlen(STATE_LINE)), MG_ERR_OK);
	mg_ledger_free(l);
	if (m > 0)
		fill(m);
}

/* The root over all lines on disk, by hand. */
static void
root_by_hand(uint8_t out[MG_MERKLE_HASH])
{
	struct mg_sha *sha = mg_sha_new();
	struct mg_ledger_file *v;
	uint8_t leaf[MG_MERKLE_HASH];
	struct mg_merkle t;
	char path[160], *line = NULL;
	size_t n, i, cap = 0;
	ssize_t len;
	FILE *f;

	assert_non_null(sha);
	mg_merkle_init(&t);
	assert_int_equal(mg_ledger_list(dirfd_, &v, &n), MG_ERR_OK);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, v[i].name);
		assert_non_null(f = fopen(path, "r"));
		while ((len = getline(&line, &cap, f)) > 0) {
			mg_sha_leaf(sha, line, (size_t)len - 1, leaf);
			mg_merkle_add(&t, sha, leaf);
		}
		fclose(f);
	}
	mg_merkle_root(&t, sha, out);
	free(line);
	free(v);
	mg_sha_free(sha);
}

static void
check_tree(struct mg_ledger *l)
{
	uint8_t root[MG_MERKLE_HASH], hand[MG_MERKLE_HASH];
	uint8_t leaves[64][MG_MERKLE_HASH];
	struct mg_sha *sha = mg_sha_new();
	struct mg_merkle t;
	uint64_t at = 0;
	size_t n, i;

	assert_non_null(sha);
	mg_ledger_root(l, root);
	root_by_hand(hand);
	assert_memory_equal(root, hand, sizeof(root));
	mg_merkle_init(&t); /* and what the file of leaves says */
	do {
		assert_int_equal(
		    mg_ledger_leaves(l, at, leaves, 64, &n), MG_ERR_OK);
		for (i = 0; i < n; i++)
			mg_merkle_add(&t, sha, leaves[i]);
		at += n;
	} while (n > 0);
	assert_int_equal(at, mg_ledger_size(l));
	mg_merkle_root(&t, sha, hand);
	assert_memory_equal(root, hand, sizeof(root));
	mg_sha_free(sha);
}

static void
a_new_segment_goes_on_where_the_old_one_ended(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;

	(void)state;
	two_segments(100, 7);
	restored = 0;
	l = open_ok(&rep);
	assert_int_equal(rep.records, 108);
	assert_int_equal(rep.read, 8); /* history is not read */
	assert_int_equal(seen, 8);
	assert_int_equal(restored, 1);
	check_tree(l);
	put(l, "more");
	assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	check_tree(l);
	mg_ledger_free(l);
}

#define SECOND "00000000000000000101"

static void
a_snapshot_that_was_changed_is_passed_over(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;
	int fd;

	(void)state;
	two_segments(100, 7);
	fd = openat(dirfd_, SECOND ".snapshot", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, STATE_LINE, strlen(STATE_LINE)),
	    (ssize_t)strlen(STATE_LINE));
	close(fd);
	restored = 0;
	l = open_ok(&rep);
	assert_int_equal(rep.bad_snapshots, 1);
	assert_int_equal(rep.read, 108);
	assert_int_equal(restored, 0);
	check_tree(l);
	mg_ledger_free(l);
}

static void
a_segment_that_never_began_is_removed(void **state)
{
	static const char *const traces[] = {"", "{\"seq\":101,\"at\":"};
	struct mg_ledger_report rep;
	struct mg_ledger *l;
	size_t i;
	int fd;

	(void)state;
	two_segments(100, 0);
	for (i = 0; i < 2; i++) {
		fd = openat(dirfd_, SECOND ".jsonl",
		    O_WRONLY | O_TRUNC | O_CREAT, 0600);
		assert_int_equal(write(fd, traces[i], strlen(traces[i])),
		    (ssize_t)strlen(traces[i]));
		close(fd);
		keep_leaves(100);
		l = open_ok(&rep);
		assert_int_equal(rep.records, 100);
		assert_int_equal(
		    faccessat(dirfd_, SECOND ".jsonl", F_OK, 0), -1);
		check_tree(l);
		mg_ledger_free(l);
	}
	l = open_ok(&rep); /* and it can begin again */
	assert_int_equal(
	    mg_ledger_rotate(l, STATE_LINE, strlen(STATE_LINE)), MG_ERR_OK);
	check_tree(l);
	mg_ledger_free(l);
}

static void
a_segment_with_another_first_line_is_refused(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;
	char *p;
	size_t n;

	(void)state;
	two_segments(100, 7);
	p = slurp(&n);
	(void)unlinkat(dirfd_, SECOND ".snapshot", 0);
	assert_int_equal(renameat(dirfd_, SECOND ".jsonl", dirfd_, "kept"), 0);
	/* A continuation in the first file, cut in two by hand. */
	keep_leaves(100);
	fill(2);
	free(p);
	p = slurp(&n);
	l = NULL;
	{
		char *cut = strstr(p, "{\"seq\":101,");
		int fd = openat(
		    dirfd_, SECOND ".jsonl", O_WRONLY | O_CREAT | O_EXCL, 0600);

		assert_non_null(cut);
		assert_true(write(fd, cut, strlen(cut)) > 0);
		close(fd);
		spill(p, (size_t)(cut - p));
	}
	free(p);
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_int_equal(rep.flaw.kind, MG_FLAW_HEAD);
	mg_ledger_free(l);
}

static void
a_torn_line_at_the_end_of_an_old_segment_is_damage(void **state)
{
	struct mg_ledger_report rep;
	char *p;
	size_t n;

	(void)state;
	two_segments(100, 7);
	(void)unlinkat(dirfd_, SECOND ".snapshot", 0);
	p = slurp(&n);
	spill(p, n - 5);
	free(p);
	assert_int_equal(try_open(&rep), MG_ERR_FORMAT);
	assert_string_equal(rep.file, FIRST);
	assert_int_equal(rep.line, 100);
}

static void
leaves_that_were_lost_come_back_from_the_lines(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;
	uint8_t leaf[1][MG_MERKLE_HASH];
	size_t n;
	int fd;

	(void)state;
	two_segments(100, 7);
	fd = openat(dirfd_, "leaves", O_WRONLY);
	assert_int_equal(ftruncate(fd, 103 * 32 - 7), 0);
	l = open_ok(&rep);
	assert_false(rep.leaves_short);
	check_tree(l);
	mg_ledger_free(l);
	assert_int_equal(ftruncate(fd, 50 * 32), 0);
	close(fd);
	l = open_ok(&rep); /* older than the snapshot: said, not guessed */
	assert_true(rep.leaves_short);
	assert_int_equal(mg_ledger_leaves(l, 0, leaf, 1, &n), MG_ERR_STATE);
	mg_ledger_free(l);
}

static void
only_the_newest_snapshots_are_kept(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger_file *v;
	struct mg_ledger *l;
	char name[64];
	size_t n, i, kept = 0;

	(void)state;
	for (i = 0; i < 9; i++)
		two_segments(3, 0);
	l = open_ok(&rep);
	assert_int_equal(rep.records, 36);
	assert_int_equal(rep.read, 1);
	check_tree(l);
	mg_ledger_free(l);
	assert_int_equal(mg_ledger_list(dirfd_, &v, &n), MG_ERR_OK);
	assert_int_equal(n, 10);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%020llu.snapshot",
		    (unsigned long long)v[i].first);
		kept += faccessat(dirfd_, name, F_OK, 0) == 0;
	}
	free(v);
	assert_int_equal(kept, MG_LEDGER_SNAPSHOTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_was_synced_is_read_back),
	    T(what_was_not_synced_is_not_there),
	    T(a_torn_last_line_is_repaired_and_said),
	    T(a_new_segment_goes_on_where_the_old_one_ended),
	    T(a_snapshot_that_was_changed_is_passed_over),
	    T(a_segment_that_never_began_is_removed),
	    T(a_segment_with_another_first_line_is_refused),
	    T(a_torn_line_at_the_end_of_an_old_segment_is_damage),
	    T(leaves_that_were_lost_come_back_from_the_lines),
	    T(only_the_newest_snapshots_are_kept),
	    T(promise10_a_changed_byte_is_found_and_named),
	    T(lines_removed_doubled_or_swapped_are_found),
	    T(a_line_that_the_fold_refuses_stops_the_start),
	    T(an_endless_line_is_refused_not_read),
	    T(a_ledger_that_others_can_read_is_refused),
	    T(a_missing_segment_is_refused),
	    T(promise1_a_failed_write_leaves_the_ledger_as_it_was),
	    T(a_mark_gives_up_only_what_came_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
