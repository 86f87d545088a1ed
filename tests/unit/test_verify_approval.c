/* SPDX-License-Identifier: ISC */
/*
 * Signatures by the real ssh-keygen against both judges, and signatures
 * that the two judge differently.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_text.h"
#include "mg_file.h"
#include "mg_spawn.h"
#include "mg_time.h"
#include "sshsig_recipe.h"
#include "verify/mg_approval.h"

#define NOW_MS 1795352400000 /* 2026-11-22T13:00:00Z */
#define OPTS "namespaces=\"" NS "\""

static char dir[] = "/tmp/mg-approval-XXXXXX";

static const char *
path(const char *name)
{
	static char buf[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "%s/%s", dir, name);
	return buf[i];
}

static void
write_file(const char *name, const void *p, size_t n)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, p, n), MG_ERR_OK);
	close(fd);
}

static char *
read_file(const char *name)
{
	int fd = open(path(name), O_RDONLY);
	struct mg_buf b;
	char *s;

	assert_int_not_equal(fd, -1);
	mg_buf_init(&b, 65536);
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	close(fd);
	assert_non_null(mg_buf_cstr(&b));
	s = strdup((const char *)mg_buf_ptr(&b));
	mg_buf_fini(&b);
	return s;
}

/* Runs ssh-keygen with the words (NULL ends them); its output into out. */
static int
keygen(const char *in, const char *out, ...)
{
	struct mg_spawn_fd fds[2] = {{-1, 0}, {-1, 1}};
	char prog[] = "ssh-keygen", home[] = "HOME=/nonexistent";
	char *argv[24] = {prog}, *envp[] = {home, NULL};
	struct mg_child child;
	struct pollfd p;
	const char *w;
	size_t n = 1;
	va_list ap;

	va_start(ap, out);
	while ((w = va_arg(ap, const char *)) != NULL) {
		assert_true(n < 23);
		argv[n++] = strdup(w);
	}
	va_end(ap);
	fds[0].fd = open(in == NULL ? "/dev/null" : path(in), O_RDONLY);
	fds[1].fd =
	    open(path(out), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(
	    mg_spawn("/usr/bin/ssh-keygen", argv, envp, fds, 2, &child),
	    MG_ERR_OK);
	p.fd = child.pidfd;
	p.events = POLLIN;
	assert_int_equal(poll(&p, 1, 60000), 1);
	close(fds[0].fd);
	close(fds[1].fd);
	while (n > 1)
		free(argv[--n]);
	return WEXITSTATUS(mg_spawn_reap(&child));
}

/* ---- the judges ---- */

struct verdict {
	enum mg_err check, keygen;
	struct mg_approval_key key;
	char check_why[256], keygen_why[256];
};

static struct mg_approval
ask(const char *who, const char *signers, const char *sig)
{
	struct mg_approval a = {
	    .ns = MG_TEXT_NAMESPACE,
	    .principal = who,
	    .now_ms = NOW_MS,
	    .signers = (const uint8_t *)signers,
	    .signers_len = strlen(signers),
	    .text = (const uint8_t *)TEXT,
	    .text_len = strlen(TEXT),
	    .sig = (const uint8_t *)sig,
	    .sig_len = strlen(sig),
	};

	return a;
}

static struct verdict
judge(const struct mg_approval *a)
{
	struct verdict v;

	v.check =
	    mg_approval_check(a, &v.key, v.check_why, sizeof(v.check_why));
	v.keygen = mg_approval_keygen(a, v.keygen_why, sizeof(v.keygen_why));
	return v;
}

static void
both_refuse(const struct mg_approval *a, const char *want)
{
	struct verdict v = judge(a);

	assert_int_not_equal(v.check, MG_ERR_OK);
	assert_int_not_equal(v.keygen, MG_ERR_OK);
	if (strstr(v.check_why, want) == NULL)
		fail_msg("'%s' does not say '%s'", v.check_why, want);
	assert_string_not_equal(v.keygen_why, "");
}

static void
both_accept(const struct mg_approval *a)
{
	struct verdict v = judge(a);

	assert_string_equal(v.check_why, "");
	assert_string_equal(v.keygen_why, "");
	assert_int_equal(v.check, MG_ERR_OK);
	assert_int_equal(v.keygen, MG_ERR_OK);
}

/* ---- keys of every type, made by ssh-keygen ---- */

/* "NAME OPTIONS KEY\n" for the public key file. */
static char *
line_of(const char *name, const char *opts, const char *pub)
{
	char *key = read_file(pub), *line;

	assert_int_not_equal(asprintf(&line, "%s %s %s", name, opts, key), -1);
	free(key);
	return line;
}

static void
check_type(const char *type, const char *bits, const char *hash)
{
	char *sig, *signers, *fp, hashopt[32];
	struct mg_approval a;
	struct verdict v;

	(void)unlink(path("k"));
	(void)unlink(path("text.sig"));
	write_file("text", TEXT, strlen(TEXT));
	assert_int_equal(keygen(NULL, "out", "-q", "-t", type, "-b", bits, "-N",
			     "", "-f", path("k"), NULL),
	    0);
	snprintf(hashopt, sizeof(hashopt), "hashalg=%s", hash);
	assert_int_equal(keygen(NULL, "out", "-Y", "sign", "-O", hashopt, "-n",
			     NS, "-f", path("k"), path("text"), NULL),
	    0);
	assert_int_equal(
	    keygen(NULL, "fp", "-l", "-f", path("k.pub"), NULL), 0);
	sig = read_file("text.sig");
	signers = line_of("alice", OPTS, "k.pub");
	fp = read_file("fp");
	a = ask("alice", signers, sig);
	both_accept(&a);
	v = judge(&a);
	assert_non_null(strstr(fp, v.key.fp));
	assert_int_equal(strlen(v.key.fp), 50);
	assert_non_null(strstr(signers, v.key.type));
	assert_false(v.key.is_hardware);
	/* One changed byte of the text. */
	a.text_len--;
	both_refuse(&a, "does not verify");
	free(sig);
	free(signers);
	free(fp);
}

static void
every_key_type_of_ssh_keygen_verifies(void **state)
{
	(void)state;
	check_type("ed25519", "256", "sha512");
	check_type("ed25519", "256", "sha256");
	check_type("ecdsa", "256", "sha512");
	check_type("ecdsa", "384", "sha512");
	check_type("ecdsa", "521", "sha256");
	check_type("rsa", "2048", "sha512");
	check_type("rsa", "3072", "sha256");
}

static void
a_short_rsa_key_is_refused(void **state)
{
	char *sig, *signers;
	struct mg_approval a;

	(void)state;
	(void)unlink(path("k"));
	(void)unlink(path("text.sig"));
	write_file("text", TEXT, strlen(TEXT));
	assert_int_equal(keygen(NULL, "out", "-q", "-t", "rsa", "-b", "1024",
			     "-N", "", "-f", path("k"), NULL),
	    0);
	assert_int_equal(keygen(NULL, "out", "-Y", "sign", "-n", NS, "-f",
			     path("k"), path("text"), NULL),
	    0);
	sig = read_file("text.sig");
	signers = line_of("alice", OPTS, "k.pub");
	a = ask("alice", signers, sig);
	both_refuse(&a, "key is malformed");
	free(sig);
	free(signers);
}

/* ---- the fixed key ---- */

static char *
recipe(const struct recipe *r)
{
	struct mg_buf b;
	char *s;

	make(r, &b);
	assert_non_null(mg_buf_cstr(&b));
	s = strdup((const char *)mg_buf_ptr(&b));
	mg_buf_fini(&b);
	return s;
}

/* The public key of the recipes as a line of allowed_signers. */
static char *
recipe_line(bool is_sk, const char *name, const char *opts)
{
	struct recipe r = {.is_sk = is_sk};
	struct mg_buf key, b64;
	char *line;

	make_key(&r, &key);
	mg_buf_init(&b64, 4096);
	assert_int_equal(
	    mg_b64_put(&b64, mg_buf_ptr(&key), mg_buf_len(&key)), MG_ERR_OK);
	assert_int_not_equal(
	    asprintf(&line, "%s %s %s %.*s\n", name, opts, type_of(&r),
		(int)mg_buf_len(&b64), (const char *)mg_buf_ptr(&b64)),
	    -1);
	mg_buf_fini(&key);
	mg_buf_fini(&b64);
	return line;
}

static void
a_security_key_that_was_touched_verifies(void **state)
{
	char *sig = recipe(&(struct recipe){.is_sk = true});
	char *signers = recipe_line(true, "alice", OPTS);
	struct mg_approval a = ask("alice", signers, sig);

	(void)state;
	both_accept(&a);
	assert_true(judge(&a).key.is_hardware);
	free(sig);
	free(signers);
}

/* What ssh-keygen takes and we do not: the reason why both are asked. */
static void
ours_alone_refuses(const struct recipe *r, const char *want)
{
	char *sig = recipe(r);
	char *signers = recipe_line(r->is_sk, "alice", OPTS);
	struct mg_approval a = ask("alice", signers, sig);
	struct verdict v = judge(&a);

	assert_int_equal(v.keygen, MG_ERR_OK);
	assert_int_not_equal(v.check, MG_ERR_OK);
	assert_non_null(strstr(v.check_why, want));
	free(sig);
	free(signers);
}

static void
what_ssh_keygen_lets_through_is_refused_by_the_strict_parser(void **state)
{
	(void)state;
	ours_alone_refuses(
	    &(struct recipe){.is_sk = true, .untouched = true}, "touched");
	ours_alone_refuses(&(struct recipe){.version_0 = true}, "version");
	ours_alone_refuses(&(struct recipe){.reserved = "x"}, "reserved");
}

static void
a_signature_in_another_namespace_is_refused(void **state)
{
	char *sig = recipe(&(struct recipe){.ns = "git"});
	char *signers = recipe_line(false, "alice", OPTS);
	struct mg_approval a = ask("alice", signers, sig);

	(void)state;
	both_refuse(&a, "namespace");
	free(sig);
	free(signers);
}

static void
promise3_another_persons_key_is_not_mine(void **state)
{
	char *sig = recipe(&(struct recipe){.is_sk = false});
	char *bob = recipe_line(false, "bob", OPTS), *both;
	char *alice = recipe_line(true, "alice", OPTS);
	struct mg_approval a;

	(void)state;
	assert_int_not_equal(asprintf(&both, "%s%s", bob, alice), -1);
	a = ask("alice", both, sig);
	both_refuse(&a, "is of 'bob', not of 'alice'");
	a = ask("carol", both, sig);
	both_refuse(&a, "has no key of 'carol'");
	a = ask("alice", alice, sig);
	both_refuse(&a, "the signing key is not in it");
	a = ask("bob", both, sig);
	both_accept(&a);
	free(sig);
	free(bob);
	free(alice);
	free(both);
}

static void
judge_validity(const char *opts, const char *want)
{
	char *sig = recipe(&(struct recipe){.is_sk = false});
	char *signers = recipe_line(false, "alice", opts);
	struct mg_approval a = ask("alice", signers, sig);

	if (want == NULL)
		both_accept(&a);
	else
		both_refuse(&a, want);
	free(sig);
	free(signers);
}

static void
a_key_is_valid_only_in_its_time(void **state)
{
	(void)state;
	judge_validity(
	    OPTS ",valid-after=\"20261101Z\",valid-before=\"20261201Z\"", NULL);
	judge_validity(OPTS ",valid-before=\"20261122Z\"", "not valid now");
	judge_validity(
	    OPTS ",valid-after=\"20261122130001Z\"", "not valid now");
	judge_validity(OPTS ",valid-after=\"20261122130000Z\"", NULL);
}

static void
one_bad_line_refuses_everything(void **state)
{
	char *sig = recipe(&(struct recipe){.is_sk = false});
	char *alice = recipe_line(false, "alice", OPTS), *file;
	struct mg_approval a;

	(void)state;
	assert_int_not_equal(
	    asprintf(&file, "%sbob ssh-ed25519 AAAA\n", alice), -1);
	a = ask("alice", file, sig);
	both_refuse(&a, "allowed_signers:2:");
	free(file);
	free(alice);
	alice = recipe_line(false, "*", OPTS);
	a = ask("alice", alice, sig);
	both_refuse(&a, "allowed_signers:1:1: not one exact name");
	a = ask("alice", "", sig);
	both_refuse(&a, "has no key of 'alice'");
	free(alice);
	free(sig);
}

static void
garbage_is_refused_by_both(void **state)
{
	char *signers = recipe_line(false, "alice", OPTS);
	struct mg_approval a;
	char *big = malloc(16385);
	size_t i;

	(void)state;
	assert_non_null(big);
	memset(big, 'A', 16384);
	big[16384] = '\0';
	a = ask("alice", signers, "");
	both_refuse(&a, "first line");
	a = ask("alice", signers, big);
	both_refuse(&a, "first line");
	memcpy(big, "-----BEGIN SSH SIGNATURE-----\n", 30);
	a = ask("alice", signers, big);
	both_refuse(&a, "armour");
	for (i = 0; i < 16384; i++)
		big[i] = (char)(i * 7 + 1);
	a.sig_len = 16384;
	both_refuse(&a, "first line");
	free(big);
	free(signers);
}

static void
a_clock_before_1970_is_no(void **state)
{
	char *sig = recipe(&(struct recipe){.is_sk = false});
	char *signers = recipe_line(false, "alice", OPTS);
	struct mg_approval a = ask("alice", signers, sig);
	char why[256];

	(void)state;
	a.now_ms = -1;
	assert_int_not_equal(
	    mg_approval_keygen(&a, why, sizeof(why)), MG_ERR_OK);
	free(sig);
	free(signers);
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	static const char *const names[] = {
	    "k", "k.pub", "text", "text.sig", "out", "fp"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path(names[i]));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_key_type_of_ssh_keygen_verifies),
	    cmocka_unit_test(a_short_rsa_key_is_refused),
	    cmocka_unit_test(a_security_key_that_was_touched_verifies),
	    cmocka_unit_test(
		what_ssh_keygen_lets_through_is_refused_by_the_strict_parser),
	    cmocka_unit_test(a_signature_in_another_namespace_is_refused),
	    cmocka_unit_test(promise3_another_persons_key_is_not_mine),
	    cmocka_unit_test(a_key_is_valid_only_in_its_time),
	    cmocka_unit_test(one_bad_line_refuses_everything),
	    cmocka_unit_test(garbage_is_refused_by_both),
	    cmocka_unit_test(a_clock_before_1970_is_no),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
