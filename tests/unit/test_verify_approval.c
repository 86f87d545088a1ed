/* SPDX-License-Identifier: ISC */
/*
 * Signatures by the real ssh-keygen against both judges, and signatures
 * that the two judge differently.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sshsig_keys.h"

/* ---- the judges ---- */

struct verdict {
	enum mg_err check, keygen;
	struct mg_approval_key key;
	char check_why[256], keygen_why[256];
};

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

static void
check_type(const char *type, const char *bits, const char *hash)
{
	char *sig = new_signature(type, bits, hash), *signers, *fp;
	struct mg_approval a;
	struct verdict v;

	assert_int_equal(
	    keygen(NULL, "fp", "-l", "-f", path("k.pub"), NULL), 0);
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
	char *sig = new_signature("rsa", "1024", "sha512"), *signers;
	struct mg_approval a;

	(void)state;
	signers = line_of("alice", OPTS, "k.pub");
	a = ask("alice", signers, sig);
	both_refuse(&a, "key is malformed");
	free(sig);
	free(signers);
}

/* ---- the fixed key ---- */

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
