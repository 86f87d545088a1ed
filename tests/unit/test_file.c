/* SPDX-License-Identifier: ISC */
/*
 * Files that must be trusted: mg_file.c. "Others" are everybody but root and
 * the owner that a rule names: by naming somebody else, our own files are
 * another's, with no need for a second user.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_file.h"
#include "open_fds.h"

static char top[64]; /* our folder below /tmp */
static int topfd;
static struct mg_file_rule mine, other;
static char why[512];
static unsigned fds_before;

static const char *
at(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void
create(const char *name, const char *text, mode_t mode)
{
	int fd = openat(topfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
folder(const char *name, mode_t mode)
{
	assert_int_equal(mkdirat(topfd, name, 0700), 0);
	assert_int_equal(fchmodat(topfd, name, mode, 0), 0);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/test_file.XXXXXX");
	fds_before = open_fds();
	if (mkdtemp(top) == NULL)
		return 1;
	topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mine = (struct mg_file_rule){.owner = geteuid()};
	other = (struct mg_file_rule){.owner = geteuid() + 1};
	return topfd == -1;
}

static int
teardown(void **state)
{
	char *argv[] = {(char[]){"rm"}, (char[]){"-rf"}, top, NULL};
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		execv("/bin/rm", argv);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(topfd);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static enum mg_err
try_open(const char *path, int flags, const struct mg_file_rule *rule)
{
	enum mg_err r;
	int fd = 99;

	strcpy(why, "nothing said");
	r = mg_file_open(path, flags, rule, &fd, why, sizeof(why));
	if (r == MG_ERR_OK) {
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	} else {
		assert_int_equal(fd, -1);
		assert_string_not_equal(why, "nothing said");
	}
	return r;
}

static void
assert_refused(const char *path, int flags, const struct mg_file_rule *rule,
    const char *part)
{
	enum mg_err r = try_open(path, flags, rule);

	if (r == MG_ERR_OK)
		fail_msg("opened: %s", path);
	if (strstr(why, part) == NULL)
		fail_msg("'%s' does not say '%s'", why, part);
}

/* ---- paths ---- */

static void
a_file_of_ours_is_opened_and_read(void **state)
{
	struct mg_buf b;
	int fd;

	(void)state;
	create("f", "hello", 0644);
	assert_int_equal(
	    mg_file_open(at("f"), 0, &mine, &fd, why, sizeof(why)), MG_ERR_OK);
	mg_buf_init(&b, 100);
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), "hello");
	mg_buf_fini(&b);
	close(fd);
	folder("d", 0755);
	create("d/f", "x", 0600);
	assert_int_equal(try_open(at("d/f"), 0, &mine), MG_ERR_OK);
	assert_int_equal(try_open(at("d//f"), 0, &mine), MG_ERR_OK);
	assert_int_equal(try_open(at("d"), O_DIRECTORY, &mine), MG_ERR_OK);
	assert_int_equal(try_open(at("d/"), O_DIRECTORY, &mine), MG_ERR_OK);
	assert_int_equal(
	    mg_file_open(at("f"), 0, &mine, &fd, NULL, 0), MG_ERR_OK);
	close(fd);
}

static void
what_is_no_path_to_a_file_is_refused(void **state)
{
	char longer[NAME_MAX + 80];
	int fd;

	(void)state;
	create("f", "x", 0600);
	assert_int_equal(try_open("", 0, &mine), MG_ERR_FORMAT);
	assert_int_equal(try_open("f", 0, &mine), MG_ERR_FORMAT);
	assert_int_equal(try_open("./f", 0, &mine), MG_ERR_FORMAT);
	assert_int_equal(try_open("/", O_DIRECTORY, &mine), MG_ERR_FORMAT);
	assert_int_equal(try_open("//", O_DIRECTORY, &mine), MG_ERR_FORMAT);
	folder("d", 0700);
	assert_refused(at("d/../f"), 0, &mine, "'..'");
	assert_refused(at("d/.."), O_DIRECTORY, &mine, "'..'");
	assert_int_equal(try_open(at("none"), 0, &mine), MG_ERR_NOENT);
	assert_int_equal(try_open(at("none/f"), 0, &mine), MG_ERR_NOENT);
	assert_int_equal(try_open(at("f/g"), 0, &mine), MG_ERR_SYS);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(try_open(longer, 0, &mine), MG_ERR_FORMAT);
	assert_int_equal(
	    mg_file_open_at(topfd, "d/f", 0, &mine, &fd, why, sizeof(why)),
	    MG_ERR_FORMAT);
	assert_int_equal(
	    mg_file_open_at(topfd, "", 0, &mine, &fd, why, sizeof(why)),
	    MG_ERR_FORMAT);
	assert_int_equal(mg_file_open_at(topfd, "..", O_DIRECTORY, &mine, &fd,
			     why, sizeof(why)),
	    MG_ERR_FORMAT);
	assert_int_equal(fd, -1);
}

static void
a_symbolic_link_is_refused_as_the_last_part_and_before(void **state)
{
	(void)state;
	folder("d", 0700);
	create("d/f", "x", 0600);
	assert_int_equal(symlinkat("d/f", topfd, "to-file"), 0);
	assert_int_equal(symlinkat("d", topfd, "to-folder"), 0);
	assert_int_equal(symlinkat("none", topfd, "to-nothing"), 0);
	assert_refused(at("to-file"), 0, &mine, "'to-file'");
	assert_refused(at("to-folder"), O_DIRECTORY, &mine, "'to-folder'");
	assert_refused(at("to-folder/f"), 0, &mine, "'to-folder'");
	assert_refused(at("to-nothing"), 0, &mine, "'to-nothing'");
	mine.any_owner = true; /* that is no word about links */
	assert_refused(at("to-file"), 0, &mine, "'to-file'");
}

static void
only_regular_files_are_files_and_none_of_the_others_blocks(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(mkfifoat(topfd, "fifo", 0600), 0);
	folder("d", 0700);
	create("f", "x", 0600);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", at("sock"));
	assert_int_equal(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(s);
	(void)alarm(10); /* ends the test if an open waits for a writer */
	assert_refused(at("fifo"), 0, &mine, "not a regular file");
	assert_refused(at("fifo"), O_DIRECTORY, &mine, "'fifo'");
	assert_refused(at("d"), 0, &mine, "not a regular file");
	assert_refused(at("f"), O_DIRECTORY, &mine, "'f'");
	assert_refused(at("sock"), 0, &mine, "'sock'");
	assert_refused("/dev/null", 0, &mine, "not a regular file");
	(void)alarm(0);
}

/* ---- owners and modes ---- */

static void
a_file_that_others_may_write_is_refused(void **state)
{
	static const mode_t bad[] = {0620, 0602, 0622, 0666, 0777, 02620};
	static const mode_t good[] = {0600, 0400, 0644, 0755, 04755, 0444};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		create("f", "x", good[i]);
		assert_int_equal(try_open(at("f"), 0, &mine), MG_ERR_OK);
		assert_int_equal(unlinkat(topfd, "f", 0), 0);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		create("f", "x", bad[i]);
		assert_refused(at("f"), 0, &mine, "'f' can be changed");
		/* The sticky bit means nothing on a file. */
		create("f", "x", bad[i] | S_ISVTX);
		assert_refused(at("f"), 0, &mine, "'f' can be changed");
		assert_int_equal(unlinkat(topfd, "f", 0), 0);
	}
}

static void
a_secret_that_others_may_read_is_refused(void **state)
{
	static const mode_t bad[] = {0640, 0604, 0610, 0601, 0644};
	size_t i;

	(void)state;
	mine.no_read = true;
	folder("open", 0755); /* the folder may be read */
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		create("open/f", "x", bad[i]);
		assert_refused(at("open/f"), 0, &mine, "read by others");
		assert_int_equal(unlinkat(topfd, "open/f", 0), 0);
	}
	create("open/f", "x", 0600);
	assert_int_equal(try_open(at("open/f"), 0, &mine), MG_ERR_OK);
}

static void
what_belongs_to_another_is_refused_wherever_it_stands(void **state)
{
	(void)state;
	if (geteuid() == 0) { /* root's own files are always trusted */
		assert_int_equal(chown(top, 65534, 65534), 0);
		other.owner = 0;
	}
	create("f", "x", 0600);
	assert_refused(at("f"), 0, &other, "owner");
	assert_refused(top, O_DIRECTORY, &other, "owner");
	other.any_owner = true;
	assert_int_equal(try_open(at("f"), 0, &other), MG_ERR_OK);
	assert_int_equal(try_open(top, O_DIRECTORY, &other), MG_ERR_OK);
}

static void
root_s_files_are_trusted_whoever_is_named(void **state)
{
	(void)state;
	assert_int_equal(try_open("/etc/passwd", 0, &mine), MG_ERR_OK);
	assert_int_equal(try_open("/etc/passwd", 0, &other), MG_ERR_OK);
	assert_int_equal(try_open("/etc", O_DIRECTORY, &other), MG_ERR_OK);
}

static void
rule2_what_lies_below_a_folder_that_others_write_is_refused(void **state)
{
	static const mode_t bad[] = {0770, 0707, 0777, 0720};
	size_t i;

	(void)state;
	folder("d", 0700);
	folder("d/e", 0700);
	create("d/e/f", "x", 0600);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(fchmodat(topfd, "d", bad[i], 0), 0);
		assert_refused(at("d/e/f"), 0, &mine, "'d' can be changed");
		assert_refused(
		    at("d/e"), O_DIRECTORY, &mine, "'d' can be changed");
		assert_refused(
		    at("d"), O_DIRECTORY, &mine, "'d' can be changed");
	}
}

static void
rule2_a_sticky_folder_is_passed_to_what_is_ours(void **state)
{
	(void)state;
	folder("d", 01777);
	create("d/f", "x", 0600);
	folder("d/e", 0700);
	create("d/e/f", "x", 0600);
	assert_int_equal(try_open(at("d/f"), 0, &mine), MG_ERR_OK);
	assert_int_equal(try_open(at("d/e/f"), 0, &mine), MG_ERR_OK);
	assert_int_equal(try_open(at("d/e"), O_DIRECTORY, &mine), MG_ERR_OK);
	if (geteuid() == 0) {
		assert_int_equal(chown(at("d/e"), 65534, 65534), 0);
		assert_refused(at("d/e/f"), 0, &mine, "owner");
		assert_int_equal(chown(at("d/f"), 65534, 65534), 0);
		assert_refused(at("d/f"), 0, &mine, "owner");
	}
}

/* Who may add files to a folder decides what is read from it. */
static void
rule2_a_sticky_folder_is_not_trusted_as_the_last_part(void **state)
{
	int fd = 99;

	(void)state;
	folder("d", 01777);
	assert_refused(at("d"), O_DIRECTORY, &mine, "'d' can be changed");
	assert_refused("/tmp", O_DIRECTORY, &mine, "'tmp' can be changed");
	assert_int_equal(mg_file_open_at(topfd, "d", O_DIRECTORY, &mine, &fd,
			     why, sizeof(why)),
	    MG_ERR_PERM);
	assert_int_equal(fd, -1);
}

/* ---- races ---- */

/* Swaps two names in our folder until it is killed. */
static pid_t
swapper(const char *a, const char *b)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		(void)renameat2(topfd, a, topfd, b, RENAME_EXCHANGE);
}

/* Opens path often; whenever that succeeds it must be the good one. */
static void
assert_never_evil(const char *path, const char *a, const char *b)
{
	pid_t pid = swapper(a, b);
	unsigned opened = 0, refused = 0;
	char text[16];
	int fd, i;

	for (i = 0; i < 200000 && (opened < 2000 || refused < 2000); i++) {
		if (mg_file_open(path, 0, &mine, &fd, NULL, 0) != MG_ERR_OK) {
			refused++;
			continue;
		}
		memset(text, 0, sizeof(text));
		assert_true(read(fd, text, sizeof(text) - 1) > 0);
		assert_string_equal(text, "good");
		close(fd);
		opened++;
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(opened > 0 && refused > 0); /* there was a race */
}

static void
rule1_a_file_swapped_for_a_link_during_the_open_is_never_followed(void **state)
{
	(void)state;
	create("f", "good", 0600);
	create("evil", "evil", 0600);
	assert_int_equal(symlinkat("evil", topfd, "link"), 0);
	assert_never_evil(at("f"), "f", "link");
}

static void
rule1_a_file_swapped_for_a_writable_one_is_never_used(void **state)
{
	(void)state;
	create("f", "good", 0600);
	create("evil", "evil", 0666);
	assert_never_evil(at("f"), "f", "evil");
}

static void
rule1_a_folder_swapped_during_the_walk_is_never_entered(void **state)
{
	(void)state;
	folder("d", 0700);
	create("d/f", "good", 0600);
	folder("e", 0777);
	create("e/f", "evil", 0600);
	assert_never_evil(at("d/f"), "d", "e");
}

/* ---- reading and writing ---- */

static int
open_plain(const char *name)
{
	int fd = openat(topfd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd != -1);
	return fd;
}

static void
a_file_is_read_up_to_the_buffer_s_limit_and_not_cut(void **state)
{
	static char text[40001];
	struct mg_buf b;
	size_t limit;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	create("f", text, 0600);
	for (limit = 40000 - 2; limit <= 40000 + 2; limit++) {
		fd = open_plain("f");
		mg_buf_init(&b, limit);
		assert_int_equal(mg_file_read(fd, &b),
		    limit < 40000 ? MG_ERR_LIMIT : MG_ERR_OK);
		if (limit >= 40000)
			assert_int_equal(mg_buf_len(&b), 40000);
		mg_buf_fini(&b);
		close(fd);
	}
}

static void
reading_adds_to_what_is_there_and_fails_on_what_is_no_file(void **state)
{
	struct mg_buf b;
	int fd;

	(void)state;
	create("f", "world", 0600);
	create("empty", "", 0600);
	mg_buf_init(&b, 11);
	assert_int_equal(mg_buf_put_text(&b, "hello "), MG_ERR_OK);
	fd = open_plain("empty");
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	close(fd);
	fd = open_plain("f");
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	close(fd);
	assert_string_equal(mg_buf_cstr(&b), "hello world");
	assert_int_equal(mg_file_read(topfd, &b), MG_ERR_SYS);
	assert_int_equal(mg_file_read(-1, &b), MG_ERR_SYS);
	mg_buf_fini(&b);
}

static void
a_write_that_does_not_arrive_is_an_error(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(mg_file_write(fd, "x", 1), MG_ERR_SYS);
	assert_int_equal(mg_file_write(-1, "x", 1), MG_ERR_SYS);
	assert_int_equal(mg_file_write(fd, "", 0), MG_ERR_OK);
	close(fd);
}

static void
a_write_goes_on_after_short_ones(void **state)
{
	static char data[300000];
	size_t got = 0;
	char part[777];
	ssize_t n;
	int p[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(p[0]);
		_exit(mg_file_write(p[1], data, sizeof(data)) == MG_ERR_OK ? 0
									   : 1);
	}
	close(p[1]);
	while ((n = read(p[0], part, sizeof(part))) > 0)
		got += (size_t)n;
	close(p[0]);
	assert_int_equal(got, sizeof(data));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
assert_holds(const char *name, const char *text, mode_t mode)
{
	struct mg_buf b;
	struct stat st;
	int fd = open_plain(name);

	mg_buf_init(&b, 1000);
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), text);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	mg_buf_fini(&b);
	close(fd);
}

static unsigned
names_in_top(void)
{
	DIR *d = opendir(top);
	struct dirent *de;
	unsigned n = 0;

	assert_non_null(d);
	while ((de = readdir(d)) != NULL)
		n += strcmp(de->d_name, ".") != 0 &&
		     strcmp(de->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void
a_replaced_file_is_new_whole_and_of_the_mode_asked_for(void **state)
{
	mode_t was = umask(077);
	char c[8] = "";
	int old;

	(void)state;
	create("f", "old", 0600);
	old = open_plain("f");
	assert_int_equal(
	    mg_file_replace_at(topfd, "f", "new text", 8, 0644), MG_ERR_OK);
	assert_holds("f", "new text", 0644);
	assert_int_equal(read(old, c, sizeof(c)), 3); /* a reader's is whole */
	assert_string_equal(c, "old");
	close(old);
	assert_int_equal(
	    mg_file_replace_at(topfd, "g", "", 0, 0600), MG_ERR_OK);
	assert_holds("g", "", 0600);
	assert_int_equal(names_in_top(), 2);
	(void)umask(was);
}

static void
replacing_a_link_leaves_its_target_alone(void **state)
{
	struct stat st;

	(void)state;
	create("target", "precious", 0600);
	assert_int_equal(symlinkat("target", topfd, "f"), 0);
	assert_int_equal(
	    mg_file_replace_at(topfd, "f", "new", 3, 0600), MG_ERR_OK);
	assert_holds("target", "precious", 0600);
	assert_holds("f", "new", 0600);
	assert_int_equal(fstatat(topfd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void
a_replacement_that_fails_leaves_nothing_behind(void **state)
{
	char longer[NAME_MAX + 1];

	(void)state;
	folder("d", 0700);
	create("d/inside", "x", 0600);
	assert_int_equal(
	    mg_file_replace_at(topfd, "d", "new", 3, 0600), MG_ERR_SYS);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[NAME_MAX] = '\0';
	assert_int_equal(
	    mg_file_replace_at(topfd, longer, "new", 3, 0600), MG_ERR_LIMIT);
	assert_int_equal(
	    mg_file_replace_at(-1, "f", "new", 3, 0600), MG_ERR_SYS);
	assert_int_equal(names_in_top(), 1);
}

/* ---- descriptors 0 to 2 ---- */

/* In a child without the descriptors of mask: 0 when all is as it should. */
static int
sanitised(unsigned mask)
{
	struct stat null, st;
	int i;

	for (i = 0; i < 3; i++)
		if ((mask & 1U << i) != 0)
			close(i);
	if (mg_file_sanitise_std() != MG_ERR_OK)
		return 1;
	if (stat("/dev/null", &null) != 0)
		return 2;
	for (i = 0; i < 3; i++) {
		if (fstat(i, &st) != 0)
			return 3;
		if ((mask & 1U << i) != 0 && st.st_rdev != null.st_rdev)
			return 4;
		if ((mask & 1U << i) != 0 && fcntl(i, F_GETFD) != 0)
			return 5;
	}
	return 0;
}

static void
descriptors_0_to_2_are_filled_and_no_more_are_opened(void **state)
{
	unsigned mask;
	int status;
	pid_t pid;

	(void)state;
	for (mask = 0; mask < 8; mask++) {
		unsigned before = open_fds();

		if ((pid = fork()) == 0) {
			status = sanitised(mask);
			if (status == 0 && open_fds() != before)
				status = 6;
			_exit(status);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_file_of_ours_is_opened_and_read),
	    T(what_is_no_path_to_a_file_is_refused),
	    T(a_symbolic_link_is_refused_as_the_last_part_and_before),
	    T(only_regular_files_are_files_and_none_of_the_others_blocks),
	    T(a_file_that_others_may_write_is_refused),
	    T(a_secret_that_others_may_read_is_refused),
	    T(what_belongs_to_another_is_refused_wherever_it_stands),
	    T(root_s_files_are_trusted_whoever_is_named),
	    T(rule2_what_lies_below_a_folder_that_others_write_is_refused),
	    T(rule2_a_sticky_folder_is_passed_to_what_is_ours),
	    T(rule2_a_sticky_folder_is_not_trusted_as_the_last_part),
	    T(rule1_a_file_swapped_for_a_link_during_the_open_is_never_followed),
	    T(rule1_a_file_swapped_for_a_writable_one_is_never_used),
	    T(rule1_a_folder_swapped_during_the_walk_is_never_entered),
	    T(a_file_is_read_up_to_the_buffer_s_limit_and_not_cut),
	    T(reading_adds_to_what_is_there_and_fails_on_what_is_no_file),
	    T(a_write_that_does_not_arrive_is_an_error),
	    T(a_write_goes_on_after_short_ones),
	    T(a_replaced_file_is_new_whole_and_of_the_mode_asked_for),
	    T(replacing_a_link_leaves_its_target_alone),
	    T(a_replacement_that_fails_leaves_nothing_behind),
	    T(descriptors_0_to_2_are_filled_and_no_more_are_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
