/* SPDX-License-Identifier: ISC */
/* Artifacts on a real file system: good, hostile, and changing meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_confine.h"
#include "mg_file.h"
#include "scratch.h"
#include "verify/mg_digest.h"
#include "verify/mg_hash.h"

#define MIB ((uint64_t)1 << 20)

/* A file of n bytes that takes no room on the disk. */
static void
put_sparse(const struct place *p, const char *name, uint64_t n)
{
	int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, (off_t)n), 0);
	close(fd);
}

static void
put_dir(const struct place *p, const char *name)
{
	assert_int_equal(mkdirat(p->fd, name, 0755), 0);
}

static enum mg_err
digest_fd(int fd, struct mg_digest *out, char why[512])
{
	struct mg_digest_ask ask = {.fd = fd, .max_bytes = 4096 * MIB};

	return mg_digest(&ask, out, NULL, why, 512);
}

static void
refuse(const struct place *p, enum mg_err r, const char *want)
{
	struct mg_digest d;
	char why[512];

	assert_int_equal(digest_fd(p->fd, &d, why), r);
	assert_string_equal(d.text, "");
	if (strstr(why, want) == NULL)
		fail_msg("'%s' does not say '%s'", why, want);
}

/* ---- what it is ---- */

static void
the_digest_is_what_sha256sum_and_sort_make_of_it(void **state)
{
	const struct place *p = *state;
	struct mg_digest_ask ask = {.fd = p->fd, .max_bytes = MIB};
	struct mg_buf manifest;
	struct mg_digest d;
	char why[512];

	put_dir(p, "b");
	put_file(p, "a", "");
	put_file(p, "b/c", "hello\n");
	put_file(p, "b.d", "x");
	mg_buf_init(&manifest, 4096);
	assert_int_equal(
	    mg_digest(&ask, &d, &manifest, why, sizeof(why)), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&manifest),
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	    "  a\n"
	    "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	    "  b.d\n"
	    "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
	    "  b/c\n");
	assert_string_equal(d.text,
	    "sha256:"
	    "51500aeda8086accac2f51352f54230912f5710e6aa49e3e985a0f369b6232a5");
	assert_int_equal(d.files, 3);
	assert_int_equal(d.bytes, 7);
	mg_buf_fini(&manifest);
}

static void
rule1_a_single_file_is_called_dot(void **state)
{
	const struct place *p = *state;
	struct mg_digest d;
	char why[512];
	int fd;

	put_file(p, "model.bin", "hello\n");
	fd = openat(p->fd, "model.bin", O_RDONLY);
	assert_int_equal(digest_fd(fd, &d, why), MG_ERR_OK);
	close(fd);
	assert_string_equal(d.text,
	    "sha256:"
	    "2e6c42423d4d169698602297e961d0b709095f3d5ca17ee48184e2e93690af40");
	assert_int_equal(d.files, 1);
}

static void
the_number_of_threads_does_not_matter(void **state)
{
	const struct place *p = *state;
	struct mg_digest_ask ask = {.fd = p->fd, .max_bytes = 100 * MIB};
	struct mg_digest one, many;
	char name[16], why[512];
	unsigned i;

	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		put_sparse(p, name, i * 100000 + i);
	}
	ask.threads = 1;
	assert_int_equal(
	    mg_digest(&ask, &one, NULL, why, sizeof(why)), MG_ERR_OK);
	ask.threads = 7;
	assert_int_equal(
	    mg_digest(&ask, &many, NULL, why, sizeof(why)), MG_ERR_OK);
	assert_string_equal(one.text, many.text);
}

static void
any_change_of_a_name_or_a_byte_changes_the_digest(void **state)
{
	const struct place *p = *state;
	struct mg_digest a, b;
	char why[512];

	put_file(p, "x", "1");
	assert_int_equal(digest_fd(p->fd, &a, why), MG_ERR_OK);
	put_file(p, "x", "2");
	assert_int_equal(digest_fd(p->fd, &b, why), MG_ERR_OK);
	assert_string_not_equal(a.text, b.text);
	put_file(p, "x", "1");
	assert_int_equal(renameat(p->fd, "x", p->fd, "y"), 0);
	assert_int_equal(digest_fd(p->fd, &b, why), MG_ERR_OK);
	assert_string_not_equal(a.text, b.text);
	assert_int_equal(renameat(p->fd, "y", p->fd, "x"), 0);
	assert_int_equal(digest_fd(p->fd, &b, why), MG_ERR_OK);
	assert_string_equal(a.text, b.text);
}

/* ---- what is refused ---- */

static void
rule2_links_and_special_files_are_refused(void **state)
{
	const struct place *p = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int s;

	put_file(p, "good", "x");
	assert_int_equal(symlinkat("good", p->fd, "bad"), 0);
	refuse(p, MG_ERR_PERM, "'bad' is a symbolic link");
	assert_int_equal(unlinkat(p->fd, "bad", 0), 0);
	assert_int_equal(symlinkat("/etc", p->fd, "bad"), 0);
	refuse(p, MG_ERR_PERM, "'bad' is a symbolic link");
	assert_int_equal(unlinkat(p->fd, "bad", 0), 0);
	assert_int_equal(mkfifoat(p->fd, "bad", 0644), 0);
	refuse(p, MG_ERR_PERM, "'bad' is neither a regular file nor a folder");
	assert_int_equal(unlinkat(p->fd, "bad", 0), 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/bad", p->path);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	refuse(p, MG_ERR_PERM, "'bad' is neither a regular file nor a folder");
	close(s);
}

static void
rule3_a_file_with_two_names_is_refused(void **state)
{
	const struct place *p = *state;

	put_file(p, "a", "x");
	assert_int_equal(linkat(p->fd, "a", p->fd, "b", 0), 0);
	refuse(p, MG_ERR_PERM, "has 2 names (hard links)");
}

static void
refuse_name(const struct place *p, const char *name, const char *want)
{
	put_file(p, name, "x");
	refuse(p, MG_ERR_PERM, want);
	assert_int_equal(unlinkat(p->fd, name, 0), 0);
}

static void
rule4_names_that_could_deceive_are_refused(void **state)
{
	const struct place *p = *state;

	refuse_name(p, "a\xff", "'a\\x{ff}' has a name that is not UTF-8");
	refuse_name(p, "a\nb", "do not print");
	refuse_name(p, "a\tb", "do not print");
	refuse_name(p, "a\x1b[31m", "do not print");
	refuse_name(p,
	    "a\xe2\x80\xae"
	    "b",
	    "do not print");
	refuse_name(p, "a\\nb", "backslash");
	put_file(p, "caf\xc3\xa9 latte: 1", "x");
	put_file(p, "-rf", "x");
	{
		struct mg_digest d;
		char why[512];

		assert_int_equal(digest_fd(p->fd, &d, why), MG_ERR_OK);
	}
}

static void
an_empty_folder_is_no_artifact(void **state)
{
	const struct place *p = *state;

	refuse(p, MG_ERR_NOENT, "holds no file");
	put_dir(p, "empty");
	refuse(p, MG_ERR_NOENT, "holds no file");
}

static void
rule6_bytes_are_limited(void **state)
{
	const struct place *p = *state;
	struct mg_digest_ask ask = {.fd = p->fd, .max_bytes = 10};
	struct mg_digest d;
	char why[512];

	put_file(p, "a", "12345");
	put_file(p, "b", "12345");
	assert_int_equal(
	    mg_digest(&ask, &d, NULL, why, sizeof(why)), MG_ERR_OK);
	ask.max_bytes = 9;
	assert_int_equal(
	    mg_digest(&ask, &d, NULL, why, sizeof(why)), MG_ERR_LIMIT);
	assert_non_null(strstr(why, "beyond the 9 bytes"));
	ask.max_bytes = 0;
	assert_int_equal(
	    mg_digest(&ask, &d, NULL, why, sizeof(why)), MG_ERR_LIMIT);
}

static void
rule6_depth_and_length_of_paths_are_limited(void **state)
{
	const struct place *p = *state;
	char name[MG_TREE_PATH_MAX + 256];
	size_t n, i;

	for (n = 0, i = 0; i < MG_TREE_DEPTH_MAX; i++) {
		n += (size_t)snprintf(
		    name + n, sizeof(name) - n, "%sd", i == 0 ? "" : "/");
		put_dir(p, name);
	}
	memcpy(name + n, "/f", 3);
	put_file(p, name, "x");
	{
		struct mg_digest d;
		char why[512];

		assert_int_equal(digest_fd(p->fd, &d, why), MG_ERR_OK);
	}
	memcpy(name + n, "/d", 3);
	put_dir(p, name);
	refuse(p, MG_ERR_LIMIT, "more than 32 folders deep");
	assert_int_equal(unlinkat(p->fd, name, AT_REMOVEDIR), 0);
	for (n = 0, i = 0; i < 5; i++) {
		memset(name + n, 'x', 200);
		n += 200;
		name[n] = '\0';
		put_dir(p, name);
		name[n++] = '/';
	}
	memset(name + n, 'y', 20);
	name[n + 20] = '\0';
	put_file(p, name, "x");
	refuse(p, MG_ERR_LIMIT, "has a path of more than 1024 bytes");
}

/* ---- as another user, on other mounts ---- */

static void
need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("needs root\n");
	skip();
}

static int
in_child(int (*fn)(const struct place *), const struct place *p)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(fn(p));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static int
digest_as_nobody(const struct place *p)
{
	static const struct mg_confine_limits limits = {
	    .cpu_s = 10,
	    .as_bytes = MG_CONFINE_INHERIT,
	    .nofile = 64,
	    .nproc = 1000,
	};
	struct mg_digest d;
	char why[512];

	if (mg_confine_user("nobody", &limits, why, sizeof(why)) != MG_ERR_OK)
		return 1;
	if (digest_fd(p->fd, &d, why) != MG_ERR_PERM)
		return 2;
	return strstr(why, "cannot be opened: Permission denied") != NULL ? 0
									  : 3;
}

static void
what_cannot_be_read_is_named(void **state)
{
	const struct place *p = *state;

	need_root();
	assert_int_equal(fchmod(p->fd, 0755), 0);
	put_file(p, "f", "x");
	assert_int_equal(fchmodat(p->fd, "f", 0600, 0), 0);
	assert_int_equal(in_child(digest_as_nobody, p), 0);
	assert_int_equal(fchmodat(p->fd, "f", 0644, 0), 0);
	put_dir(p, "d");
	assert_int_equal(fchmodat(p->fd, "d", 0700, 0), 0);
	assert_int_equal(in_child(digest_as_nobody, p), 0);
}

static int
digest_over_mount(const struct place *p)
{
	struct mg_digest d;
	char why[512], sub[80];

	snprintf(sub, sizeof(sub), "%s/d", p->path);
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("/usr/lib", sub, NULL, MS_BIND, NULL) != 0)
		return 1;
	/* p->fd lies in the old namespace, where nothing is mounted. */
	if (digest_fd(open(p->path, O_RDONLY | O_DIRECTORY), &d, why) !=
	    MG_ERR_PERM)
		return 2;
	return strstr(why, "'d' is on another file system") != NULL ? 0 : 3;
}

static void
rule1_another_mount_is_not_entered(void **state)
{
	const struct place *p = *state;

	need_root();
	put_file(p, "f", "x");
	put_dir(p, "d");
	assert_int_equal(in_child(digest_over_mount, p), 0);
}

/* ---- changes meanwhile ---- */

static struct mg_tree *
walk(const struct place *p)
{
	struct mg_tree_rules rules = {.max_bytes = 4096 * MIB};
	struct mg_tree *tree;
	char why[512];

	assert_int_equal(
	    mg_tree_walk(p->fd, &rules, &tree, why, sizeof(why)), MG_ERR_OK);
	return tree;
}

static enum mg_err
hash(const struct mg_tree *tree, char why[512])
{
	struct mg_hash_job job = {.tree = tree, .hash = MG_HASH_SHA256};
	struct mg_hash_piece *v = calloc(tree->nfiles, sizeof(*v));
	enum mg_err r;
	size_t i;

	assert_non_null(v);
	for (i = 0; i < tree->nfiles; i++) {
		v[i].file = i;
		v[i].end = tree->files[i].id.size;
	}
	job.pieces = v;
	job.npieces = tree->nfiles;
	r = mg_hash_run(&job, why, 512);
	free(v);
	return r;
}

/* Does it until the kernel's clock shows it; times have a granularity. */
static void
until_seen(const struct place *p, const char *name, const char *text)
{
	struct stat a, b;
	int tries;

	assert_int_equal(fstatat(p->fd, name, &a, 0), 0);
	for (tries = 0; tries < 1000000; tries++) {
		put_file(p, name, text);
		assert_int_equal(fstatat(p->fd, name, &b, 0), 0);
		if (a.st_ctim.tv_sec != b.st_ctim.tv_sec ||
		    a.st_ctim.tv_nsec != b.st_ctim.tv_nsec)
			return;
	}
	fail_msg("the clock stands still");
}

static void
expect_changed(struct mg_tree *tree, const char *want)
{
	char why[512];

	assert_int_equal(hash(tree, why), MG_ERR_STATE);
	if (strstr(why, want) == NULL)
		fail_msg("'%s' does not say '%s'", why, want);
	mg_tree_free(tree);
}

static void
rule5_a_file_written_in_place_is_found_out(void **state)
{
	const struct place *p = *state;
	struct timespec times[2];
	struct mg_tree *tree;
	struct stat st;

	put_file(p, "f", "1111");
	tree = walk(p);
	until_seen(p, "f", "2222");
	expect_changed(tree, "'f' was changed");
	/* Setting the old time again does not hide it. */
	tree = walk(p);
	assert_int_equal(fstatat(p->fd, "f", &st, 0), 0);
	until_seen(p, "f", "3333");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(p->fd, "f", times, 0), 0);
	expect_changed(tree, "'f' was changed");
}

static void
rule5_a_file_swapped_by_rename_is_found_out(void **state)
{
	const struct place *p = *state;
	struct mg_tree *tree;

	put_file(p, "f", "1111");
	tree = walk(p);
	put_file(p, "g", "1111");
	assert_int_equal(renameat(p->fd, "g", p->fd, "f"), 0);
	expect_changed(tree, "was changed");
}

static void
rule5_a_file_swapped_for_a_link_is_found_out(void **state)
{
	const struct place *p = *state;
	struct mg_tree *tree;
	char why[512];

	put_file(p, "f", "1111");
	tree = walk(p);
	assert_int_equal(unlinkat(p->fd, "f", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", p->fd, "f"), 0);
	assert_int_not_equal(hash(tree, why), MG_ERR_OK);
	assert_non_null(strstr(why, "'f' is a symbolic link"));
	mg_tree_free(tree);
}

static void
rule5_a_new_file_is_found_out(void **state)
{
	const struct place *p = *state;
	struct mg_tree *tree;

	put_dir(p, "d");
	put_file(p, "d/f", "1111");
	tree = walk(p);
	put_file(p, "d/new", "x");
	expect_changed(tree, "'d' was changed");
}

static void
rule5_a_lost_file_is_found_out(void **state)
{
	const struct place *p = *state;
	struct mg_tree *tree;

	put_file(p, "f", "1111");
	tree = walk(p);
	assert_int_equal(unlinkat(p->fd, "f", 0), 0);
	expect_changed(tree, "'f'");
}

static void
truncate_it(void *arg, uint64_t done, uint64_t total)
{
	const struct place *p = arg;
	int fd;

	(void)done;
	(void)total;
	fd = openat(p->fd, "big", O_WRONLY | O_TRUNC);
	assert_int_not_equal(fd, -1);
	close(fd);
}

static void
rule1_a_file_cut_short_while_it_is_mapped_is_an_error_not_a_crash(void **state)
{
	struct place *p = *state;
	struct mg_digest_ask ask = {.fd = p->fd,
	    .max_bytes = 65536 * MIB,
	    .progress = truncate_it,
	    .arg = p};
	struct mg_digest d;
	char why[512];

	put_sparse(p, "big", 8192 * MIB);
	assert_int_equal(
	    mg_digest(&ask, &d, NULL, why, sizeof(why)), MG_ERR_STATE);
	assert_non_null(strstr(why, "'big' was changed while it was read"));
}

/* Leaves room for little more than what the process has. */
static bool
forbid_large_maps(void)
{
	unsigned long pages = 0;
	struct rlimit l;
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128];

	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		return false;
	fclose(f);
	pages = strtoul(line, NULL, 10);
	l.rlim_cur = l.rlim_max =
	    pages * (unsigned long)sysconf(_SC_PAGESIZE) + 8 * MIB;
	return setrlimit(RLIMIT_AS, &l) == 0 &&
	       mmap(NULL, 16 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0) == MAP_FAILED;
}

static int
digest_without_maps(const struct place *p)
{
	struct mg_digest mapped, d;
	char why[512];

	if (digest_fd(p->fd, &mapped, why) != MG_ERR_OK)
		return 1;
	if (!forbid_large_maps())
		return 2;
	if (digest_fd(p->fd, &d, why) != MG_ERR_OK)
		return 3;
	return strcmp(mapped.text, d.text) == 0 ? 0 : 4;
}

static void
what_cannot_be_mapped_is_read(void **state)
{
	const struct place *p = *state;

	put_sparse(p, "big", 40 * MIB + 7);
	put_file(p, "small", "x");
	assert_int_equal(in_child(digest_without_maps, p), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_digest_is_what_sha256sum_and_sort_make_of_it),
	    TEST(rule1_a_single_file_is_called_dot),
	    TEST(the_number_of_threads_does_not_matter),
	    TEST(any_change_of_a_name_or_a_byte_changes_the_digest),
	    TEST(rule2_links_and_special_files_are_refused),
	    TEST(rule3_a_file_with_two_names_is_refused),
	    TEST(rule4_names_that_could_deceive_are_refused),
	    TEST(an_empty_folder_is_no_artifact),
	    TEST(rule6_bytes_are_limited),
	    TEST(rule6_depth_and_length_of_paths_are_limited),
	    TEST(what_cannot_be_read_is_named),
	    TEST(rule1_another_mount_is_not_entered),
	    TEST(rule5_a_file_written_in_place_is_found_out),
	    TEST(rule5_a_file_swapped_by_rename_is_found_out),
	    TEST(rule5_a_file_swapped_for_a_link_is_found_out),
	    TEST(rule5_a_new_file_is_found_out),
	    TEST(rule5_a_lost_file_is_found_out),
	    TEST(
		rule1_a_file_cut_short_while_it_is_mapped_is_an_error_not_a_crash),
	    /* The last one: sanitizers need the address space. */
	    TEST(what_cannot_be_mapped_is_read),
	};
	size_t n = sizeof(tests) / sizeof(tests[0]);

	return _cmocka_run_group_tests(
	    "tests", tests, n - (MG_CONFINE_SANITIZED ? 1 : 0), NULL, NULL);
}
