/* SPDX-License-Identifier: ISC */
/*
 * The built mg-verify, started as the monitor starts it, in a private mount
 * namespace that knows its users.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_text.h"
#include "mg_chan.h"
#include "mg_file.h"
#include "mg_spawn.h"
#include "mg_time.h"
#include "sshsig_recipe.h"

#define UID_VERIFY 63991
#define UID_KEYGEN 63992
#define NOW_MS 1795352400000
#define WAIT_MS 20000

static char prog[512], dir[] = "/tmp/mg-process-XXXXXX";

struct process {
	struct mg_child child;
	struct mg_chan *ch;
};

/* ---- a host that has our users ---- */

static int
write_path(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	int ok;

	if (fd == -1)
		return -1;
	ok = mg_file_write(fd, text, strlen(text)) == MG_ERR_OK ? 0 : -1;
	close(fd);
	return ok;
}

static int
set_up(void **state)
{
	char path[64], text[512];
	ssize_t n;

	(void)state;
	n = readlink("/proc/self/exe", prog, sizeof(prog) - 32);
	if (n <= 0 || mkdtemp(dir) == NULL)
		return -1;
	prog[n] = '\0';
	snprintf(strrchr(prog, '/'), 32, "/../mg-verify");
	if (geteuid() != 0)
		return 0; /* every test skips itself */
	snprintf(path, sizeof(path), "%s/passwd", dir);
	snprintf(text, sizeof(text),
	    "root:x:0:0:root:/root:/bin/sh\n"
	    "_mg-verify:x:%d:%d::/:/usr/sbin/nologin\n"
	    "_mg-keygen:x:%d:%d::/:/usr/sbin/nologin\n",
	    UID_VERIFY, UID_VERIFY, UID_KEYGEN, UID_KEYGEN);
	if (write_path(path, text) != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount(path, "/etc/passwd", NULL, MS_BIND, NULL) != 0)
		return -1;
	return 0;
}

static int
tear_down(void **state)
{
	char path[64];

	(void)state;
	(void)umount2("/etc/passwd", MNT_DETACH);
	snprintf(path, sizeof(path), "%s/passwd", dir);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/slow", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}

/* ---- starting and asking ---- */

static void
start_on(const char *mode, const char *path, struct process *p)
{
	char name[] = "mg-verify", arg[32], arg2[256];
	char evil[] = "OPENSSL_CONF=/nonexistent/openssl.cnf";
	char *argv[] = {name, arg, path == NULL ? NULL : arg2, NULL};
	char *envp[] = {evil, NULL};
	struct mg_spawn_fd fds[2];
	int pair[2];

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	snprintf(arg, sizeof(arg), "%s", mode);
	if (path != NULL)
		snprintf(arg2, sizeof(arg2), "%s", path);
	assert_int_equal(mg_spawn_socketpair(pair), MG_ERR_OK);
	fds[0].fd = pair[1];
	fds[0].target = 3;
	fds[1].fd = STDERR_FILENO;
	fds[1].target = 2;
	assert_int_equal(
	    mg_spawn(prog, argv, envp, fds, 2, &p->child), MG_ERR_OK);
	close(pair[1]);
	p->ch = mg_chan_new(pair[0], MG_ROLE_MONITOR, MG_ROLE_VERIFY, 1 << 20);
	assert_non_null(p->ch);
}

static void
start(const char *mode, struct process *p)
{
	start_on(mode, NULL, p);
}

/* Closes our end and returns the exit status. */
static int
end(struct process *p)
{
	struct pollfd pfd = {.fd = p->child.pidfd, .events = POLLIN};
	int status;

	mg_chan_free(p->ch);
	assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
	status = mg_spawn_reap(&p->child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What a mode says of a signature by the fixed key; its end is checked. */
static bool
ask_sig(const char *mode, const struct recipe *r, const char *text,
    struct mg_verify_sig_ans *ans, char why[256])
{
	struct mg_verify_sig_req req;
	struct mg_buf sig, key, b64;
	struct mg_frame f;
	struct process p;
	char line[512];

	make(r, &sig);
	make_key(r, &key);
	mg_buf_init(&b64, 1024);
	assert_int_equal(
	    mg_b64_put(&b64, mg_buf_ptr(&key), mg_buf_len(&key)), MG_ERR_OK);
	snprintf(line, sizeof(line), "alice namespaces=\"%s\" %s %.*s\n", NS,
	    type_of(r), (int)mg_buf_len(&b64), (const char *)mg_buf_ptr(&b64));
	memset(&req, 0, sizeof(req));
	req.signers = (const uint8_t *)line;
	req.signers_len = strlen(line);
	req.ns = MG_TEXT_NAMESPACE;
	req.principal = "alice";
	req.now_ms = NOW_MS;
	req.text = (const uint8_t *)text;
	req.text_len = strlen(text);
	req.sig = mg_buf_ptr(&sig);
	req.sig_len = mg_buf_len(&sig);
	start(mode, &p);
	assert_int_equal(
	    mg_chan_send(p.ch, 7, MG_MSG_VERIFY_SIG_REQ, &req), MG_ERR_OK);
	assert_int_equal(mg_chan_wait(p.ch, WAIT_MS, &f), MG_ERR_OK);
	assert_int_equal(f.id, 7);
	assert_int_equal(mg_frame_decode(&f, ans, sizeof(*ans)), MG_ERR_OK);
	snprintf(why, 256, "%s", ans->text);
	if (strcmp(mode, "sig") == 0)
		assert_string_equal(ans->key_type, type_of(r));
	assert_int_equal(end(&p), 0);
	mg_buf_fini(&sig);
	mg_buf_fini(&key);
	mg_buf_fini(&b64);
	return ans->ok;
}

static void
both_modes_say_yes_to_a_good_signature(void **state)
{
	struct mg_verify_sig_ans ans;
	struct recipe r = {.is_sk = true};
	char why[256];

	(void)state;
	assert_true(ask_sig("sig", &r, TEXT, &ans, why));
	assert_true(ans.hardware);
	assert_true(ask_sig("keygen", &r, TEXT, &ans, why));
}

static void
both_modes_say_no_to_another_text_and_why(void **state)
{
	struct mg_verify_sig_ans ans;
	struct recipe r = {.is_sk = false};
	char why[256];

	(void)state;
	assert_false(ask_sig("sig", &r, TEXT "x", &ans, why));
	assert_non_null(strstr(why, "does not verify"));
	assert_false(ask_sig("keygen", &r, TEXT "x", &ans, why));
	assert_non_null(strstr(why, "does not confirm"));
}

static void
ssh_keygen_that_hangs_is_ended_and_means_no(void **state)
{
	struct mg_verify_sig_ans ans;
	struct recipe r = {.is_sk = false};
	char path[64], why[256];
	bool ok;

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof(path), "%s/slow", dir);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(write_path(path, "#!/bin/sh\nexec sleep 1000\n"), 0);
	assert_int_equal(
	    mount(path, "/usr/bin/ssh-keygen", NULL, MS_BIND, NULL), 0);
	ok = ask_sig("keygen", &r, TEXT, &ans, why);
	(void)umount2("/usr/bin/ssh-keygen", MNT_DETACH);
	assert_false(ok);
	assert_string_equal(why, "ssh-keygen: did not end in time");
}

/* ---- digests ---- */

static bool
ask_digest(const char *path, uint64_t max_bytes, char digest[96], char why[513])
{
	struct mg_digest_req req = {.max_bytes = max_bytes};
	struct mg_digest_ans ans;
	struct mg_frame f;
	struct process p;

	start_on("digest", path, &p);
	assert_int_equal(
	    mg_chan_send(p.ch, 9, MG_MSG_DIGEST_REQ, &req), MG_ERR_OK);
	do
		assert_int_equal(mg_chan_wait(p.ch, WAIT_MS, &f), MG_ERR_OK);
	while (f.op == MG_MSG_PROGRESS);
	assert_int_equal(mg_frame_decode(&f, &ans, sizeof(ans)), MG_ERR_OK);
	snprintf(digest, 96, "%s", ans.digest);
	snprintf(why, 513, "%s", ans.text);
	if (ans.ok)
		assert_true(ans.files > 0);
	assert_int_equal(end(&p), 0);
	return ans.ok;
}

static void
a_folder_gets_a_digest_and_a_file_none(void **state)
{
	char digest[96], why[513];

	(void)state;
	assert_true(ask_digest("/usr/include/linux", 1 << 30, digest, why));
	assert_int_equal(strncmp(digest, "sha256:", 7), 0);
	assert_int_equal(strlen(digest), 71);
	assert_false(ask_digest("/usr/include/linux", 1000, digest, why));
	assert_non_null(strstr(why, "beyond the 1000 bytes"));
	assert_string_equal(digest, "");
	assert_false(ask_digest("/etc/shells", 1 << 20, digest, why));
	assert_false(ask_digest("/no/such/folder", 1 << 20, digest, why));
	assert_non_null(strstr(why, "'no'"));
}

static void
what_its_user_may_not_read_is_refused(void **state)
{
	char digest[96], why[513];

	(void)state;
	assert_int_equal(chmod(dir, 0700), 0);
	assert_false(ask_digest(dir, 1 << 30, digest, why));
	assert_non_null(strstr(why, "Permission denied"));
}

static void
a_digest_without_a_path_gets_no_answer(void **state)
{
	struct process p;

	(void)state;
	start("digest", &p);
	assert_int_equal(end(&p), 1);
	start_on("sig", "/etc", &p);
	assert_int_equal(end(&p), 1);
}

/* ---- the process ---- */

/* The first number behind key in /proc/PID/status, or -1. */
static long
status_of(pid_t pid, const char *key)
{
	char path[64], line[256];
	long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			v = strtol(line + strlen(key), NULL, 10);
	fclose(f);
	return v;
}

static void
check_user(const char *mode, const char *path, long uid)
{
	int64_t until = mg_time_boot_ms() + WAIT_MS;
	struct process p;

	start_on(mode, path, &p);
	while (
	    status_of(p.child.pid, "Uid:") != uid && mg_time_boot_ms() < until)
		sched_yield();
	assert_int_equal(status_of(p.child.pid, "Uid:"), uid);
	assert_int_equal(status_of(p.child.pid, "NoNewPrivs:"), 1);
	(void)end(&p);
}

static void
rule3_parser_and_ssh_keygen_are_different_users(void **state)
{
	(void)state;
	check_user("sig", NULL, UID_VERIFY);
	check_user("digest", "/etc", UID_VERIFY);
	check_user("keygen", NULL, UID_KEYGEN);
}

static void
rule4_a_mode_takes_only_its_own_question(void **state)
{
	struct mg_digest_req req = {.max_bytes = 1};
	struct mg_frame f;
	struct process p;

	(void)state;
	start("sig", &p);
	assert_int_equal(
	    mg_chan_send(p.ch, 1, MG_MSG_DIGEST_REQ, &req), MG_ERR_OK);
	assert_int_equal(mg_chan_wait(p.ch, WAIT_MS, &f), MG_ERR_CLOSED);
	assert_int_equal(end(&p), 1);
}

static void
rule2_a_second_question_gets_no_answer(void **state)
{
	struct mg_digest_req req = {.max_bytes = 1 << 20};
	struct mg_frame f;
	struct process p;

	(void)state;
	start_on("digest", "/etc/security", &p);
	assert_int_equal(
	    mg_chan_send(p.ch, 1, MG_MSG_DIGEST_REQ, &req), MG_ERR_OK);
	assert_int_equal(
	    mg_chan_send(p.ch, 2, MG_MSG_DIGEST_REQ, &req), MG_ERR_OK);
	assert_int_equal(mg_chan_wait(p.ch, WAIT_MS, &f), MG_ERR_OK);
	assert_int_equal(f.id, 1);
	assert_int_not_equal(mg_chan_wait(p.ch, WAIT_MS, &f), MG_ERR_OK);
	(void)end(&p);
}

static void
an_unknown_mode_or_an_early_end_answers_nothing(void **state)
{
	struct process p;

	(void)state;
	start("everything", &p);
	assert_int_equal(end(&p), 1);
	start("sig", &p);
	assert_int_equal(end(&p), 1);
}

static void
bytes_that_are_no_message_end_it(void **state)
{
	static const char junk[64] = {1, 2, 3, 4, 5};
	struct process p;

	(void)state;
	start("sig", &p);
	assert_int_equal(
	    write(mg_chan_fd(p.ch), junk, sizeof(junk)), sizeof(junk));
	assert_int_equal(end(&p), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_modes_say_yes_to_a_good_signature),
	    cmocka_unit_test(both_modes_say_no_to_another_text_and_why),
	    cmocka_unit_test(ssh_keygen_that_hangs_is_ended_and_means_no),
	    cmocka_unit_test(a_folder_gets_a_digest_and_a_file_none),
	    cmocka_unit_test(what_its_user_may_not_read_is_refused),
	    cmocka_unit_test(a_digest_without_a_path_gets_no_answer),
	    cmocka_unit_test(rule3_parser_and_ssh_keygen_are_different_users),
	    cmocka_unit_test(rule4_a_mode_takes_only_its_own_question),
	    cmocka_unit_test(rule2_a_second_question_gets_no_answer),
	    cmocka_unit_test(an_unknown_mode_or_an_early_end_answers_nothing),
	    cmocka_unit_test(bytes_that_are_no_message_end_it),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
