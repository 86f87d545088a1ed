/* SPDX-License-Identifier: ISC */
/* Where second factors are kept: the record, the folder, one try at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_file.h"
#include "mg_totp.h"

static const char record[] = "modelgate totp v1\n"
			     "user alice\n"
			     "algorithm sha1\n"
			     "digits 6\n"
			     "period 30\n"
			     "secret 3132333435363738393031323334353637383930\n"
			     "used 41152263\n"
			     "enrolled 1763800000\n"
			     "check b883a835\n";

/* The folder of one test; removed with all that is in it. */
struct place {
	char dir[64];
	struct mg_totp_store st;
	char why[256];
};

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/mg-otp.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->st.dirfd = -1;
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char cmd[128];
	pid_t pid;

	mg_totp_store_fini(&p->st);
	snprintf(cmd, sizeof(cmd), "%s", p->dir);
	if ((pid = fork()) == 0) {
		execlp("rm", "rm", "-rf", cmd, (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	free(p);
	return 0;
}

static void
factor(struct mg_totp *t, const char *user)
{
	memset(t, 0, sizeof(*t));
	snprintf(t->user, sizeof(t->user), "%s", user);
	t->alg = MG_TOTP_SHA1;
	t->digits = 6;
	t->period_s = 30;
	t->secret_len = 20;
	memcpy(t->secret, "12345678901234567890", 20);
	t->used = 41152263;
	t->enrolled_s = 1763800000;
}

static void
open_store(struct place *p)
{
	assert_int_equal(
	    mg_totp_store_init(&p->st, p->dir, p->why, sizeof(p->why)),
	    MG_ERR_OK);
}

static void
save(struct place *p, const struct mg_totp *t)
{
	assert_int_equal(
	    mg_totp_store_save(&p->st, t, p->why, sizeof(p->why)), MG_ERR_OK);
}

static enum mg_err
load(struct place *p, const char *user, struct mg_totp *t)
{
	p->why[0] = '\0';
	return mg_totp_store_load(&p->st, user, t, p->why, sizeof(p->why));
}

static void
write_file(struct place *p, const char *name, const char *text, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, text, strlen(text)), MG_ERR_OK);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* ---- the record ---- */

static void
a_record_reads_back_as_it_was_written(void **state)
{
	struct mg_totp t, u;
	struct mg_buf b;

	(void)state;
	factor(&t, "alice");
	mg_buf_init_secret(&b, MG_TOTP_RECORD_MAX);
	assert_int_equal(mg_totp_format(&t, &b), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), record);
	assert_int_equal(
	    mg_totp_parse(mg_buf_ptr(&b), mg_buf_len(&b), &u, NULL), MG_ERR_OK);
	assert_memory_equal(&t, &u, sizeof(t));
	mg_buf_fini(&b);
}

static void
the_largest_record_fits(void **state)
{
	struct mg_totp t, u;
	struct mg_buf b;

	(void)state;
	factor(&t, "alice");
	memset(t.user, 'u', MG_NAME_MAX);
	t.alg = MG_TOTP_SHA512;
	t.digits = 8;
	t.period_s = MG_TOTP_PERIOD_MAX;
	memset(t.secret, 0xff, sizeof(t.secret));
	t.secret_len = MG_TOTP_SECRET_MAX;
	t.used = INT64_MAX;
	t.enrolled_s = INT64_MAX;
	mg_buf_init_secret(&b, MG_TOTP_RECORD_MAX);
	assert_int_equal(mg_totp_format(&t, &b), MG_ERR_OK);
	assert_int_equal(
	    mg_totp_parse(mg_buf_ptr(&b), mg_buf_len(&b), &u, NULL), MG_ERR_OK);
	assert_memory_equal(&t, &u, sizeof(t));
	mg_buf_fini(&b);
}

static void
rule2_a_record_cut_anywhere_is_refused(void **state)
{
	struct mg_totp t, zero;
	size_t n;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	for (n = 0; n < sizeof(record) - 1; n++) {
		assert_int_equal(
		    mg_totp_parse(record, n, &t, NULL), MG_ERR_FORMAT);
		assert_memory_equal(&t, &zero, sizeof(t));
	}
}

static void
rule2_a_record_with_any_bit_flipped_is_refused(void **state)
{
	char copy[sizeof(record)];
	struct mg_totp t;
	size_t i;
	int bit;

	(void)state;
	for (i = 0; i < sizeof(record) - 1; i++) {
		for (bit = 0; bit < 8; bit++) {
			memcpy(copy, record, sizeof(record));
			copy[i] = (char)(copy[i] ^ (1 << bit));
			assert_int_equal(
			    mg_totp_parse(copy, sizeof(record) - 1, &t, NULL),
			    MG_ERR_FORMAT);
		}
	}
}

/* The checksum of text's lines, appended as writers do. */
static enum mg_err
parse_with_right_check(const char *text, struct mg_totp *t, unsigned *linep)
{
	uint32_t crc = UINT32_MAX;
	char whole[2048];
	const char *s;
	int bit, n;

	for (s = text; *s != '\0'; s++) {
		crc ^= (uint8_t)*s;
		for (bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320U : 0);
	}
	n = snprintf(whole, sizeof(whole), "%scheck %08x\n", text, ~crc);
	assert_true(n > 0 && (size_t)n < sizeof(whole));
	return mg_totp_parse(whole, (size_t)n, t, linep);
}

static void
rule2_each_line_has_one_spelling_and_its_limits(void **state)
{
#define HEAD "modelgate totp v1\nuser alice\n"
#define SECRET "secret 3132333435363738393031323334353637383930\n"
#define TAIL "used 0\nenrolled 0\n"
	static const struct {
		const char *text;
		unsigned line;
	} bad[] = {
	    {"", 1},
	    {"modelgate totp v2\nuser alice\nalgorithm sha1\ndigits 6\n"
	     "period 30\n" SECRET TAIL,
		1},
	    {"modelgate totp  v1\n", 1},
	    {"modelgate totp v1\r\nuser alice\n", 1},
	    {"modelgate totp v1\nuser ../alice\n", 2},
	    {"modelgate totp v1\nuser .alice\n", 2},
	    {"modelgate totp v1\nuser \n", 2},
	    {"modelgate totp v1\n\nuser alice\n", 2},
	    {"modelgate totp v1\nname alice\n", 2},
	    {HEAD "algorithm none\n", 3},
	    {HEAD "algorithm SHA1\n", 3},
	    {HEAD "algorithm md5\n", 3},
	    {HEAD "algorithm sha1 \n", 3},
	    {HEAD "algorithm sha1\ndigits 06\n", 4},
	    {HEAD "algorithm sha1\ndigits +6\n", 4},
	    {HEAD "algorithm sha1\ndigits -6\n", 4},
	    {HEAD "algorithm sha1\ndigits 100\n", 4},
	    {HEAD "algorithm sha1\ndigits 5\nperiod 30\n" SECRET TAIL, 10},
	    {HEAD "algorithm sha1\ndigits 9\nperiod 30\n" SECRET TAIL, 10},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 0\n" SECRET TAIL, 10},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 999\n" SECRET TAIL, 10},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\nsecret 00\n" TAIL, 10},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n"
		  "secret 313233343536373839303132333435363\n" TAIL,
		6},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n"
		  "secret 3132333435363738393031323334353637383G30\n" TAIL,
		6},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n"
		  "secret 3132333435363738393031323334353637383AA0\n" TAIL,
		6},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n" SECRET
		  "used 9223372036854775808\nenrolled 0\n",
		7},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n" SECRET
		  "used 99999999999999999999999\nenrolled 0\n",
		7},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n" SECRET
		  "used 1\nused 2\nenrolled 0\n",
		8},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n" SECRET "enrolled 0\n",
		7},
	    {HEAD "algorithm sha1\ndigits 6\nperiod 30\n" SECRET TAIL
		  "note hello\n",
		9},
	};
	struct mg_totp t;
	unsigned line;
	size_t i;

	(void)state;
	assert_int_equal(
	    parse_with_right_check(HEAD
		"algorithm sha1\ndigits 6\nperiod 30\n" SECRET TAIL,
		&t, NULL),
	    MG_ERR_OK);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse_with_right_check(bad[i].text, &t, &line),
		    MG_ERR_FORMAT);
		assert_int_equal(line, bad[i].line);
	}
#undef HEAD
#undef SECRET
#undef TAIL
}

static void
rule2_bytes_after_the_record_are_refused(void **state)
{
	char more[sizeof(record) + 1];
	struct mg_totp t;

	(void)state;
	snprintf(more, sizeof(more), "%s\n", record);
	assert_int_equal(
	    mg_totp_parse(more, strlen(more), &t, NULL), MG_ERR_FORMAT);
	assert_int_equal(mg_totp_parse(record, sizeof(record), &t, NULL),
	    MG_ERR_FORMAT); /* the NUL */
}

static void
what_could_not_be_read_back_is_not_written(void **state)
{
	struct mg_totp t;
	struct mg_buf b;

	(void)state;
	mg_buf_init_secret(&b, MG_TOTP_RECORD_MAX);
	factor(&t, "alice");
	t.secret_len = MG_TOTP_SECRET_MIN - 1;
	assert_int_equal(mg_totp_format(&t, &b), MG_ERR_FORMAT);
	factor(&t, "al/ice");
	assert_int_equal(mg_totp_format(&t, &b), MG_ERR_FORMAT);
	factor(&t, "alice");
	t.digits = 5;
	assert_int_equal(mg_totp_format(&t, &b), MG_ERR_FORMAT);
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
}

/* ---- the folder ---- */

static void
what_was_saved_is_loaded_with_mode_0600(void **state)
{
	struct place *p = *state;
	struct mg_totp t, u;
	struct stat sb;

	factor(&t, "alice");
	open_store(p);
	save(p, &t);
	assert_int_equal(load(p, "alice", &u), MG_ERR_OK);
	assert_memory_equal(&t, &u, sizeof(t));
	assert_int_equal(fstatat(p->st.dirfd, "alice", &sb, 0), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_int_equal(load(p, "bob", &u), MG_ERR_NOENT);
}

static void
rule1_a_folder_that_others_can_enter_is_refused(void **state)
{
	struct place *p = *state;

	assert_int_equal(chmod(p->dir, 0710), 0);
	assert_int_equal(
	    mg_totp_store_init(&p->st, p->dir, p->why, sizeof(p->why)),
	    MG_ERR_PERM);
	assert_int_equal(p->st.dirfd, -1);
	assert_non_null(strstr(p->why, "can be read by others"));
	assert_int_equal(chmod(p->dir, 0702), 0);
	assert_int_equal(
	    mg_totp_store_init(&p->st, p->dir, p->why, sizeof(p->why)),
	    MG_ERR_PERM);
	assert_int_equal(chmod(p->dir, 0700), 0);
}

static void
rule1_a_file_that_others_can_read_is_refused(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0666};
	struct place *p = *state;
	struct mg_totp t;
	size_t i;

	open_store(p);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_file(p, "alice", record, modes[i]);
		assert_int_equal(load(p, "alice", &t), MG_ERR_PERM);
		assert_int_equal(t.secret_len, 0);
		assert_non_null(strstr(p->why, "'alice' can be"));
	}
	write_file(p, "alice", record, 0600);
	assert_int_equal(load(p, "alice", &t), MG_ERR_OK);
}

static void
rule1_another_owners_file_is_refused(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	if (geteuid() != 0) {
		print_message("# only root can give a file away\n");
		skip();
	}
	open_store(p);
	write_file(p, "alice", record, 0600);
	assert_int_equal(fchownat(p->st.dirfd, "alice", 65534, 0, 0), 0);
	assert_int_equal(load(p, "alice", &t), MG_ERR_PERM);
	assert_non_null(strstr(p->why, "owner"));
}

static void
rule1_links_of_either_kind_are_refused(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	open_store(p);
	write_file(p, "real", record, 0600);
	assert_int_equal(symlinkat("real", p->st.dirfd, "alice"), 0);
	assert_int_equal(load(p, "alice", &t), MG_ERR_PERM);
	assert_int_equal(unlinkat(p->st.dirfd, "alice", 0), 0);
	assert_int_equal(
	    linkat(p->st.dirfd, "real", p->st.dirfd, "alice", 0), 0);
	assert_int_equal(load(p, "alice", &t), MG_ERR_PERM);
	assert_non_null(strstr(p->why, "second name"));
}

static void
rule1_what_is_not_a_plain_file_is_refused_at_once(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	open_store(p);
	assert_int_equal(mkfifoat(p->st.dirfd, "alice", 0600), 0);
	assert_int_equal(load(p, "alice", &t), MG_ERR_PERM);
	assert_int_equal(mkdirat(p->st.dirfd, "bob", 0700), 0);
	assert_int_equal(load(p, "bob", &t), MG_ERR_PERM);
}

static void
rule2_a_damaged_file_says_which_line(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	open_store(p);
	write_file(p, "alice", "modelgate totp v1\nuser alice\nhello\n", 0600);
	assert_int_equal(load(p, "alice", &t), MG_ERR_FORMAT);
	assert_string_equal(p->why, "'alice' is damaged in line 3");
	write_file(p, "alice", "", 0600);
	assert_int_equal(load(p, "alice", &t), MG_ERR_FORMAT);
}

static void
a_file_over_the_limit_is_refused(void **state)
{
	struct place *p = *state;
	char big[MG_TOTP_RECORD_MAX + 2];
	struct mg_totp t;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	open_store(p);
	write_file(p, "alice", big, 0600);
	assert_int_equal(load(p, "alice", &t), MG_ERR_FORMAT);
}

static void
rule3_a_copy_under_another_name_is_refused(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	open_store(p);
	write_file(p, "bob", record, 0600);
	assert_int_equal(load(p, "bob", &t), MG_ERR_PERM);
	assert_string_equal(p->why, "'bob' is the record of 'alice'");
	assert_int_equal(t.secret_len, 0);
}

static void
names_that_are_paths_reach_no_file(void **state)
{
	static const char *const names[] = {
	    "", ".", "..", "../alice", "/etc/shadow", "-x", ".alice", "a/b"};
	struct place *p = *state;
	struct mg_totp t;
	size_t i;

	open_store(p);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(load(p, names[i], &t), MG_ERR_FORMAT);
		assert_int_equal(mg_totp_store_remove(
				     &p->st, names[i], p->why, sizeof(p->why)),
		    MG_ERR_FORMAT);
	}
}

static void
remove_takes_away_whatever_is_there(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	open_store(p);
	write_file(p, "alice", "garbage", 0666);
	assert_int_equal(
	    mg_totp_store_remove(&p->st, "alice", p->why, sizeof(p->why)),
	    MG_ERR_OK);
	assert_int_equal(load(p, "alice", &t), MG_ERR_NOENT);
	assert_int_equal(
	    mg_totp_store_remove(&p->st, "alice", p->why, sizeof(p->why)),
	    MG_ERR_NOENT);
}

static void
rule5_what_killed_writers_left_is_swept(void **state)
{
	struct place *p = *state;
	struct mg_totp t;

	factor(&t, "alice");
	open_store(p);
	save(p, &t);
	write_file(p, ".alice.0123456789abcdef", record, 0600);
	write_file(p, ".bob.0123456789abcdef", record, 0600);
	mg_totp_store_sweep(&p->st);
	assert_int_equal(
	    faccessat(p->st.dirfd, ".alice.0123456789abcdef", F_OK, 0), -1);
	assert_int_equal(
	    faccessat(p->st.dirfd, ".bob.0123456789abcdef", F_OK, 0), -1);
	assert_int_equal(load(p, "alice", &t), MG_ERR_OK);
}

/* ---- one try at a time ---- */

static void
rule4_the_folder_is_locked_while_it_is_open(void **state)
{
	struct place *p = *state;
	struct mg_totp_store second;
	pid_t pid;
	int status, fds[2];
	char c;

	assert_int_equal(pipe(fds), 0);
	open_store(p);
	if ((pid = fork()) == 0) {
		mg_totp_store_fini(&p->st); /* the lock stays the parent's */
		if (mg_totp_store_init(&second, p->dir, NULL, 0) != MG_ERR_OK ||
		    write(fds[1], "x", 1) != 1)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	usleep(50000);
	assert_int_equal(read(fds[0], &c, 1), -1);
	mg_totp_store_fini(&p->st);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	close(fds[1]);
}

static void
a_lock_that_is_never_given_back_ends_in_a_refusal(void **state)
{
	struct place *p = *state;
	struct mg_totp_store second;
	char why[128];

	open_store(p);
	assert_int_equal(mg_totp_store_init(&second, p->dir, why, sizeof(why)),
	    MG_ERR_TIMEOUT);
	assert_non_null(strstr(why, "stays locked"));
}

/* One try in a process of its own: 0 accepted, 1 replayed, 2 else. */
static pid_t
start_try(const struct place *p, const int go[2], const char *code, int64_t now)
{
	enum mg_totp_result res;
	pid_t pid;
	char c;

	if ((pid = fork()) != 0)
		return pid;
	close(go[1]);
	if (read(go[0], &c, 1) != 0) /* until the parent closes its end */
		_exit(3);
	if (mg_totp_check(p->dir, "alice", now, code, &res, NULL, 0) !=
	    MG_ERR_OK)
		_exit(2);
	_exit(res == MG_TOTP_ACCEPTED ? 0 : res == MG_TOTP_REPLAYED ? 1 : 2);
}

static int
end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
rule4_two_tries_with_one_code_never_both_succeed(void **state)
{
	struct place *p = *state;
	struct mg_totp t;
	int round, go[2], a, b;
	pid_t one, two;

	factor(&t, "alice");
	for (round = 0; round < 200; round++) {
		t.used = 0;
		open_store(p);
		save(p, &t);
		mg_totp_store_fini(&p->st);
		assert_int_equal(pipe2(go, O_CLOEXEC), 0);
		one = start_try(p, go, "005924", 1234567890);
		two = start_try(p, go, "005924", 1234567890);
		close(go[0]);
		close(go[1]);
		a = end_of(one);
		b = end_of(two);
		assert_true((a == 0 && b == 1) || (a == 1 && b == 0));
	}
}

static void
an_accepted_code_is_on_disk_before_success_is_told(void **state)
{
	struct place *p = *state;
	enum mg_totp_result res;
	struct mg_totp t;

	factor(&t, "alice");
	t.used = 0;
	open_store(p);
	save(p, &t);
	mg_totp_store_fini(&p->st);
	assert_int_equal(mg_totp_check(p->dir, "alice", 1234567890, "005924",
			     &res, p->why, sizeof(p->why)),
	    MG_ERR_OK);
	assert_int_equal(res, MG_TOTP_ACCEPTED);
	open_store(p);
	assert_int_equal(load(p, "alice", &t), MG_ERR_OK);
	assert_int_equal(t.used, 1234567890 / 30);
	mg_totp_store_fini(&p->st);
	assert_int_equal(mg_totp_check(p->dir, "alice", 1234567890, "005924",
			     &res, p->why, sizeof(p->why)),
	    MG_ERR_OK);
	assert_int_equal(res, MG_TOTP_REPLAYED);
}

static void
a_wrong_code_writes_nothing(void **state)
{
	struct place *p = *state;
	enum mg_totp_result res;
	struct stat before, after;
	struct mg_totp t;
	char path[128];

	factor(&t, "alice");
	open_store(p);
	save(p, &t);
	mg_totp_store_fini(&p->st);
	snprintf(path, sizeof(path), "%s/alice", p->dir);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(
	    mg_totp_check(p->dir, "alice", 1234567890, "000000", &res, NULL, 0),
	    MG_ERR_OK);
	assert_int_equal(res, MG_TOTP_WRONG);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

/* ---- sealed records ---- */

static void
use_key(struct place *p, uint8_t byte)
{
	p->st.seal.has_key = byte != 0;
	memset(p->st.seal.key, byte, sizeof(p->st.seal.key));
}

static bool
is_on_disk(struct place *p, const char *name, const char *text)
{
	char path[128], d[2048];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	assert_int_not_equal(fd = open(path, O_RDONLY), -1);
	assert_true((n = read(fd, d, sizeof(d))) > 0);
	close(fd);
	return memmem(d, (size_t)n, text, strlen(text)) != NULL;
}

static void
rule6_a_record_is_sealed_when_it_is_written(void **state)
{
	struct place *p = *state;
	struct mg_totp t, u;

	open_store(p);
	write_file(p, "alice", record, 0600);
	use_key(p, 7);
	/* one from before the key is read, and stays until it is written */
	assert_int_equal(load(p, "alice", &t), MG_ERR_OK);
	assert_true(is_on_disk(p, "alice", "3132333435"));
	save(p, &t);
	assert_true(is_on_disk(p, "alice", MG_SEAL_HEAD));
	assert_false(is_on_disk(p, "alice", "3132333435"));
	assert_false(is_on_disk(p, "alice", "user"));
	assert_int_equal(load(p, "alice", &u), MG_ERR_OK);
	assert_memory_equal(&t, &u, sizeof(t));
}

static void
rule6_a_sealed_record_opens_with_its_key_and_name_only(void **state)
{
	struct place *p = *state;
	char from[128], to[128];
	static const struct mg_totp zero;
	struct mg_totp t;

	open_store(p);
	use_key(p, 7);
	factor(&t, "alice");
	save(p, &t);
	use_key(p, 0);
	assert_int_equal(load(p, "alice", &t), MG_ERR_SEALED);
	assert_memory_equal(&t, &zero, sizeof(t));
	assert_non_null(strstr(p->why, MG_SEAL_FILE));
	use_key(p, 8);
	assert_int_equal(load(p, "alice", &t), MG_ERR_SEALED);
	assert_memory_equal(&t, &zero, sizeof(t));
	use_key(p, 7);
	snprintf(from, sizeof(from), "%s/alice", p->dir);
	snprintf(to, sizeof(to), "%s/bob", p->dir);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(load(p, "bob", &t), MG_ERR_SEALED);
	assert_memory_equal(&t, &zero, sizeof(t));
}

static void
the_largest_record_fits_sealed(void **state)
{
	struct place *p = *state;
	struct mg_totp t, u;

	open_store(p);
	use_key(p, 7);
	factor(&t, "alice");
	memset(t.user, 'u', MG_NAME_MAX);
	t.alg = MG_TOTP_SHA512;
	t.secret_len = MG_TOTP_SECRET_MAX;
	t.used = INT64_MAX;
	t.enrolled_s = INT64_MAX;
	save(p, &t);
	assert_int_equal(load(p, t.user, &u), MG_ERR_OK);
	assert_memory_equal(&t, &u, sizeof(t));
}

static void
a_credential_that_is_not_one_opens_no_store(void **state)
{
	struct place *p = *state;

	write_file(p, MG_SEAL_FILE, "too short", 0600);
	assert_int_equal(setenv(MG_SEAL_VARIABLE, p->dir, 1), 0);
	assert_int_equal(
	    mg_totp_store_init(&p->st, p->dir, p->why, sizeof(p->why)),
	    MG_ERR_SEALED);
	assert_int_equal(unsetenv(MG_SEAL_VARIABLE), 0);
	assert_non_null(strstr(p->why, "32 bytes"));
	assert_int_equal(p->st.dirfd, -1);
}

static void
what_cannot_be_written_or_removed_is_said(void **state)
{
	struct place *p = *state;
	char path[128];
	struct mg_totp t;

	open_store(p);
	snprintf(path, sizeof(path), "%s/alice", p->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	factor(&t, "alice");
	assert_int_equal(
	    mg_totp_store_save(&p->st, &t, p->why, sizeof(p->why)), MG_ERR_SYS);
	assert_non_null(strstr(p->why, "cannot write 'alice'"));
	assert_int_equal(
	    mg_totp_store_remove(&p->st, "alice", p->why, sizeof(p->why)),
	    MG_ERR_SYS);
	assert_non_null(strstr(p->why, "cannot remove 'alice'"));
	t.digits = 0;
	assert_int_equal(mg_totp_store_save(&p->st, &t, p->why, sizeof(p->why)),
	    MG_ERR_FORMAT);
	assert_non_null(strstr(p->why, "malformed"));
	assert_string_equal(mg_totp_alg_word(MG_TOTP_SHA256), "sha256");
	assert_string_equal(mg_totp_alg_word((enum mg_totp_alg)99), "none");
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
#define P(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    T(a_record_reads_back_as_it_was_written),
	    T(the_largest_record_fits),
	    T(rule2_a_record_cut_anywhere_is_refused),
	    T(rule2_a_record_with_any_bit_flipped_is_refused),
	    T(rule2_each_line_has_one_spelling_and_its_limits),
	    T(rule2_bytes_after_the_record_are_refused),
	    T(what_could_not_be_read_back_is_not_written),
	    P(what_was_saved_is_loaded_with_mode_0600),
	    P(rule1_a_folder_that_others_can_enter_is_refused),
	    P(rule1_a_file_that_others_can_read_is_refused),
	    P(rule1_another_owners_file_is_refused),
	    P(rule1_links_of_either_kind_are_refused),
	    P(rule1_what_is_not_a_plain_file_is_refused_at_once),
	    P(rule2_a_damaged_file_says_which_line),
	    P(a_file_over_the_limit_is_refused),
	    P(rule3_a_copy_under_another_name_is_refused),
	    P(names_that_are_paths_reach_no_file),
	    P(remove_takes_away_whatever_is_there),
	    P(rule5_what_killed_writers_left_is_swept),
	    P(rule4_the_folder_is_locked_while_it_is_open),
	    P(a_lock_that_is_never_given_back_ends_in_a_refusal),
	    P(rule4_two_tries_with_one_code_never_both_succeed),
	    P(an_accepted_code_is_on_disk_before_success_is_told),
	    P(a_wrong_code_writes_nothing),
	    P(rule6_a_record_is_sealed_when_it_is_written),
	    P(rule6_a_sealed_record_opens_with_its_key_and_name_only),
	    P(the_largest_record_fits_sealed),
	    P(a_credential_that_is_not_one_opens_no_store),
	    P(what_cannot_be_written_or_removed_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
