/* SPDX-License-Identifier: ISC */
/* Old segments and the file of leaves: ledger_keep.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "ledger.h"
#include "mg_file.h"
#include "mg_lines.h"

#define SEGMENTS 9
#define LINES 5 /* of each, with its first */
#define TOTAL ((uint64_t)SEGMENTS * LINES - 1)
#define STOPS_MAX 2000

static char base[64], copy[64];
static int dirfd_;

static enum mg_err
pass(void *arg, const struct mg_rec *rec)
{
	(void)arg;
	(void)rec;
	return MG_ERR_OK;
}

static struct mg_ledger *
open_it(void)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;

	assert_int_equal(
	    mg_ledger_open(dirfd_, NULL, pass, pass, NULL, &l, &rep),
	    MG_ERR_OK);
	return l;
}

static void
put(struct mg_ledger *l, const char *type, uint64_t first, uint64_t last)
{
	struct mg_rec rec;
	struct mg_json j;

	mg_rec_init(&rec);
	mg_ledger_begin(l, &j, type);
	if (last > 0) {
		mg_json_bool(&j, "ok", true);
		mg_json_int(&j, "first", (int64_t)first);
		mg_json_int(&j, "last", (int64_t)last);
	}
	assert_int_equal(mg_ledger_end(l, &j, &rec), MG_ERR_OK);
	mg_rec_fini(&rec);
}

static void
fill(void)
{
	struct mg_ledger *l = open_it();
	int i, k;

	for (i = 0; i < SEGMENTS; i++) {
		if (i > 0)
			assert_int_equal(mg_ledger_rotate(l, "", 0), MG_ERR_OK);
		for (k = 1; k < LINES; k++)
			put(l, "tick", 0, 0);
		assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	}
	assert_int_equal(mg_ledger_size(l), TOTAL);
	mg_ledger_free(l);
}

/* Every file of the folder, to copy or to nothing. */
static void
each_file(const char *from, const char *to)
{
	char a[512], b[512];
	struct dirent *de;
	struct mg_buf buf;
	DIR *d = opendir(from);
	int in, out;

	assert_non_null(d);
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(a, sizeof(a), "%s/%s", from, de->d_name);
		if (to == NULL) {
			assert_int_equal(unlink(a), 0);
			continue;
		}
		snprintf(b, sizeof(b), "%s/%s", to, de->d_name);
		mg_buf_init(&buf, 1U << 20);
		in = open(a, O_RDONLY);
		out = open(b, O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_int_equal(mg_file_read(in, &buf), MG_ERR_OK);
		assert_int_equal(
		    mg_file_write(out, mg_buf_ptr(&buf), mg_buf_len(&buf)),
		    MG_ERR_OK);
		mg_buf_fini(&buf);
		close(in);
		close(out);
	}
	closedir(d);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/keep.XXXXXX");
	snprintf(copy, sizeof(copy), "/tmp/keep.XXXXXX");
	if (mkdtemp(base) == NULL || mkdtemp(copy) == NULL)
		return 1;
	dirfd_ = open(base, O_RDONLY | O_DIRECTORY);
	fill();
	close(dirfd_);
	dirfd_ = open(copy, O_RDONLY | O_DIRECTORY);
	each_file(base, copy);
	return dirfd_ == -1;
}

static int
teardown(void **state)
{
	(void)state;
	close(dirfd_);
	each_file(copy, NULL);
	each_file(base, NULL);
	return rmdir(copy) != 0 || rmdir(base) != 0;
}

static void
fresh(void)
{
	each_file(copy, NULL);
	each_file(base, copy);
}

/* The first line that is there; every segment behind it is, once. */
static uint64_t
first_line(void)
{
	uint64_t first, seq;
	struct mg_ledger_file *v;
	struct mg_lines *lines;
	const char *line;
	enum mg_err r;
	size_t n, len, i;
	int fd;

	assert_int_equal(mg_ledger_list(dirfd_, &v, &n), MG_ERR_OK);
	assert_true(n > 0);
	first = seq = v[0].first;
	for (i = 0; i < n; i++) {
		assert_int_equal(v[i].first, seq);
		assert_int_equal(
		    mg_ledger_open_file(dirfd_, v[i].name, &fd), MG_ERR_OK);
		lines = mg_lines_new(fd, v[i].zst);
		assert_non_null(lines);
		while ((r = mg_lines_next(lines, &line, &len)) == MG_ERR_OK)
			seq++;
		assert_int_equal(r, MG_ERR_NOENT);
		mg_lines_free(lines);
	}
	assert_true(seq > TOTAL);
	free(v);
	return first;
}

static void
fold_all(struct mg_ledger *l, enum mg_err want)
{
	struct mg_ledger_fold f;
	enum mg_err r;

	mg_ledger_fold_init(&f, 3);
	while ((r = mg_ledger_fold(l, &f, 7)) == MG_ERR_AGAIN)
		continue;
	assert_int_equal(r, want);
}

/* Runs fn in a process that is killed at the entry or exit of its k-th
 * system call; false: it was over before that. */
static bool
killed_at(void (*fn)(void), int k)
{
	int status, i;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	for (i = 0; i < k; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status));
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

/* ---- discarding ---- */

/* The hashes of so many lines are there twice, and are what they were. */
static void
check_spare(uint64_t lines)
{
	char a[128], b[128];
	struct mg_buf x, y;
	int in;

	if (lines == 0)
		return;
	snprintf(a, sizeof(a), "%s/leaves", base);
	snprintf(b, sizeof(b), "%s/leaves.discarded", copy);
	mg_buf_init(&x, 1U << 20);
	mg_buf_init(&y, 1U << 20);
	assert_true((in = open(a, O_RDONLY)) != -1);
	assert_int_equal(mg_file_read(in, &x), MG_ERR_OK);
	close(in);
	assert_true((in = open(b, O_RDONLY)) != -1);
	assert_int_equal(mg_file_read(in, &y), MG_ERR_OK);
	close(in);
	assert_true(mg_buf_len(&y) >= lines * MG_MERKLE_HASH);
	assert_memory_equal(
	    mg_buf_ptr(&x), mg_buf_ptr(&y), lines * MG_MERKLE_HASH);
	mg_buf_fini(&x);
	mg_buf_fini(&y);
}

static void
discard_three(void)
{
	struct mg_ledger *l = open_it();
	struct mg_ledger_mark m;

	put(l, "discard", 1, 3 * LINES - 1);
	mg_ledger_get_mark(l, &m);
	if (mg_ledger_sync(l) != MG_ERR_OK || mg_ledger_discard(l) != MG_ERR_OK)
		_exit(1);
	mg_ledger_free(l);
}

static void
discard_survives_a_kill_at_each_call(void **state)
{
	struct mg_ledger *l;
	uint64_t first, said;
	int k;

	(void)state;
	for (k = 1; k < STOPS_MAX && killed_at(discard_three, k); k++) {
		first = first_line();
		l = open_it();
		said = mg_ledger_discarded(l);
		assert_true(said == 0 || said == 3 * LINES - 1);
		check_spare(first - 1);
		/* Nothing goes that no durable record names. */
		if (said == 0)
			assert_int_equal(first, 1);
		fold_all(l, MG_ERR_OK);
		assert_int_equal(mg_ledger_leftover(l),
		    said > 0 && first <= said ? first : 0);
		assert_int_equal(mg_ledger_discard(l), MG_ERR_OK);
		assert_int_equal(first_line(), said == 0 ? 1 : said + 1);
		mg_ledger_free(l);
		fresh();
	}
	assert_in_range(k, 20, STOPS_MAX - 1);
	assert_int_equal(first_line(), 3 * LINES);
	check_spare(3 * LINES - 1);
	/* A later snapshot knows of it, too. */
	l = open_it();
	assert_int_equal(mg_ledger_rotate(l, "", 0), MG_ERR_OK);
	mg_ledger_free(l);
	l = open_it();
	assert_int_equal(mg_ledger_discarded(l), 3 * LINES - 1);
	mg_ledger_free(l);
}

static void
discard_is_undone_with_its_batch(void **state)
{
	struct mg_ledger *l = open_it();
	struct mg_ledger_mark m;

	(void)state;
	mg_ledger_get_mark(l, &m);
	put(l, "discard", 1, 2 * LINES - 1);
	assert_int_equal(mg_ledger_discarded(l), 2 * LINES - 1);
	mg_ledger_rewind(l, &m);
	assert_int_equal(mg_ledger_discarded(l), 0);
	assert_int_equal(mg_ledger_leftover(l), 0);
	mg_ledger_free(l);
}

/* Whatever is asked for: a start can read what it needs. */
static void
discard_leaves_the_newest(void **state)
{
	struct mg_ledger *l = open_it();

	(void)state;
	put(l, "discard", 1, TOTAL);
	assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	assert_int_equal(mg_ledger_discard(l), MG_ERR_OK);
	mg_ledger_free(l);
	assert_int_equal(
	    first_line(), (SEGMENTS - MG_LEDGER_SNAPSHOTS - 1) * LINES);
	mg_ledger_free(open_it());
}

/* ---- compressing ---- */

static void
pack_first(void)
{
	struct mg_ledger *l = open_it();
	struct mg_ledger_file *v;
	struct mg_buf b;
	uint8_t out[65536];
	size_t n, len;
	int in, fd;

	mg_buf_init(&b, 1U << 20);
	if (mg_ledger_list(dirfd_, &v, &n) != MG_ERR_OK || v[0].zst ||
	    mg_ledger_open_file(dirfd_, v[0].name, &in) != MG_ERR_OK ||
	    mg_file_read(in, &b) != MG_ERR_OK ||
	    mg_ledger_pack_new(l, &v[0], &fd) != MG_ERR_OK)
		_exit(1);
	len =
	    ZSTD_compress(out, sizeof(out), mg_buf_ptr(&b), mg_buf_len(&b), 3);
	if (ZSTD_isError(len) || mg_file_write(fd, out, len) != MG_ERR_OK ||
	    mg_ledger_pack_done(l, &v[0], fd) != MG_ERR_OK)
		_exit(1);
	close(in);
	close(fd);
	free(v);
	mg_buf_fini(&b);
	mg_ledger_free(l);
}

static void
compressing_survives_a_kill_at_each_call(void **state)
{
	struct mg_ledger_file *v;
	size_t n;
	int k;

	(void)state;
	for (k = 1; k < STOPS_MAX && killed_at(pack_first, k); k++) {
		assert_int_equal(first_line(), 1);
		mg_ledger_free(open_it());
		/* And what a crash left is no obstacle. */
		assert_int_equal(mg_ledger_list(dirfd_, &v, &n), MG_ERR_OK);
		if (!v[0].zst)
			pack_first();
		free(v);
		assert_int_equal(first_line(), 1);
		fresh();
	}
	assert_in_range(k, 20, STOPS_MAX - 1);
	assert_int_equal(mg_ledger_list(dirfd_, &v, &n), MG_ERR_OK);
	assert_true(v[0].zst);
	assert_int_equal(n, SEGMENTS);
	free(v);
	assert_int_equal(first_line(), 1);
}

/* As many bytes of zeros as want, compressed: little. */
static struct mg_lines *
bomb(size_t want, bool newlines)
{
	size_t len, bound = ZSTD_compressBound(want);
	char *p = calloc(1, want), *q = malloc(bound);
	int fd = open(copy, O_TMPFILE | O_RDWR, 0600);

	assert_true(p != NULL && q != NULL && fd != -1);
	if (newlines)
		memset(p, '\n', want);
	len = ZSTD_compress(q, bound, p, want, 3);
	assert_int_equal(mg_file_write(fd, q, len), MG_ERR_OK);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	free(p);
	free(q);
	return mg_lines_new(fd, true);
}

static void
a_bomb_is_refused(void **state)
{
	struct mg_lines *lines;
	const char *line;
	enum mg_err r;
	size_t n;

	(void)state;
	lines = bomb((size_t)100 << 20, false);
	assert_non_null(lines);
	assert_int_equal(mg_lines_next(lines, &line, &n), MG_ERR_LIMIT);
	mg_lines_free(lines);
	lines = bomb((size_t)MG_LINES_UNPACKED_MAX + (1 << 20), true);
	assert_non_null(lines);
	while ((r = mg_lines_next(lines, &line, &n)) == MG_ERR_OK)
		continue;
	assert_int_equal(r, MG_ERR_FORMAT);
	mg_lines_free(lines);
}

/* ---- leaves ---- */

static void
lost_leaves_are_told_and_made_anew(void **state)
{
	struct mg_ledger_report rep;
	uint8_t leaf[1][MG_MERKLE_HASH];
	struct mg_ledger *l;
	struct mg_buf b;
	uint64_t need;
	int fd, old, good;
	size_t n;

	(void)state;
	assert_int_equal(unlinkat(dirfd_, MG_LEDGER_LEAVES, 0), 0);
	assert_int_equal(
	    mg_ledger_open(dirfd_, NULL, pass, pass, NULL, &l, &rep),
	    MG_ERR_OK);
	assert_true(rep.leaves_short);
	assert_int_equal(mg_ledger_leaves(l, 0, leaf, 1, &n), MG_ERR_STATE);
	fold_all(l, MG_ERR_FORMAT);
	mg_ledger_free(l);
	/* It is not forgotten, although lines were added since. */
	assert_int_equal(
	    mg_ledger_open(dirfd_, NULL, pass, pass, NULL, &l, &rep),
	    MG_ERR_OK);
	assert_true(rep.leaves_short);
	put(l, "tick", 0, 0);
	assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
	assert_int_equal(
	    mg_ledger_leaves_begin(l, true, &fd, &old, &need), MG_ERR_OK);
	assert_int_equal(need, TOTAL);
	/* The hashes of the first lines, from the file that was whole. */
	mg_buf_init(&b, 1U << 20);
	{
		char path[128];

		snprintf(path, sizeof(path), "%s/leaves", base);
		good = open(path, O_RDONLY);
	}
	assert_int_equal(mg_file_read(good, &b), MG_ERR_OK);
	assert_int_equal(
	    mg_file_write(fd, mg_buf_ptr(&b), need * MG_MERKLE_HASH),
	    MG_ERR_OK);
	fold_all(l, MG_ERR_OK);
	assert_int_equal(mg_ledger_leaves_done(l), MG_ERR_OK);
	assert_int_equal(mg_ledger_leaves(l, 0, leaf, 1, &n), MG_ERR_OK);
	mg_ledger_free(l);
	if (old != -1)
		close(old);
	close(good);
	mg_buf_fini(&b);
	l = open_it();
	assert_false(mg_ledger_leaves_are_short(l));
	fold_all(l, MG_ERR_OK);
	mg_ledger_free(l);
}

/* A copy that is lost, or ends within a hash, comes back by and by. */
static void
the_second_copy_comes_back(void **state)
{
	struct mg_ledger *l;
	unsigned calls = 1;

	(void)state;
	discard_three();
	l = open_it();
	assert_int_equal(unlinkat(dirfd_, MG_LEDGER_SPARE, 0), 0);
	while (mg_ledger_spare(l, 3 * LINES - 1, 4) == MG_ERR_AGAIN)
		calls++;
	assert_int_equal(calls, 4);
	check_spare(3 * LINES - 1);
	{
		int fd = openat(dirfd_, MG_LEDGER_SPARE, O_WRONLY);

		assert_int_equal(ftruncate(fd, 100), 0);
		close(fd);
	}
	assert_int_equal(mg_ledger_spare(l, 3 * LINES - 1, 100), MG_ERR_OK);
	check_spare(3 * LINES - 1);
	/* More than there are cannot be kept. */
	assert_int_equal(mg_ledger_spare(l, TOTAL + 50, 100), MG_ERR_STATE);
	mg_ledger_free(l);
}

static void
wrong_leaves_do_not_fold(void **state)
{
	struct mg_ledger *l = open_it();
	int fd = openat(dirfd_, MG_LEDGER_LEAVES, O_RDWR);

	(void)state;
	fold_all(l, MG_ERR_OK);
	assert_int_equal(pwrite(fd, "x", 1, 5), 1);
	fold_all(l, MG_ERR_FORMAT);
	close(fd);
	mg_ledger_free(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(discard_survives_a_kill_at_each_call),
	    T(discard_is_undone_with_its_batch),
	    T(discard_leaves_the_newest),
	    T(compressing_survives_a_kill_at_each_call),
	    T(a_bomb_is_refused),
	    T(lost_leaves_are_told_and_made_anew),
	    T(the_second_copy_comes_back),
	    T(wrong_leaves_do_not_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
