/* SPDX-License-Identifier: ISC */
/*
 * Signed approvals while memory, libcrypto and system calls fail in turn: a
 * no never becomes a yes, a yes is right or an error, nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sshsig_keys.h"
#include "starve.h"

struct question {
	struct mg_approval a;
	bool want; /* a yes, when nothing fails */
};

static const char *
play_check(const void *arg)
{
	const struct question *q = arg;
	struct mg_approval_key key;
	char why[256];
	enum mg_err r = mg_approval_check(&q->a, &key, why, sizeof(why));

	if (r == MG_ERR_OK)
		return !q->want		      ? "no became yes"
		       : strlen(key.fp) != 50 ? "no fingerprint"
		       : key.type[0] == '\0'  ? "no type"
		       : why[0] != '\0'	      ? "a reason beside a yes"
					      : NULL;
	if (!starve_has_hit() && q->want)
		return "no without a reason";
	if (r == MG_ERR_NOMEM && strstr(why, "memory") == NULL)
		return "another reason than the lack";
	return why[0] == '\0' ? "no reason is given" : NULL;
}

static const char *
play_keygen(const void *arg)
{
	const struct question *q = arg;
	char why[256];
	enum mg_err r = mg_approval_keygen(&q->a, why, sizeof(why));

	if (r == MG_ERR_OK)
		return q->want ? NULL : "no became yes";
	if (!starve_has_hit() && q->want)
		return "no without a reason";
	return why[0] == '\0' ? "no reason is given" : NULL;
}

/* The text as it was signed, another text, and another person. */
static void
ask_thrice(const char *(*play)(const void *), const char *signers,
    const char *sig, unsigned kinds)
{
	struct question q = {.a = ask("alice", signers, sig), .want = true};

	starve_every(kinds, play, &q);
	q.want = false;
	q.a.text_len--;
	starve_every(kinds, play, &q);
	q.a = ask("bob", signers, sig);
	starve_every(kinds, play, &q);
}

static void
keys_of_ssh_keygen(void **state)
{
	static const char *const types[][3] = {{"ed25519", "256", "sha512"},
	    {"ecdsa", "256", "sha256"}, {"ecdsa", "384", "sha512"},
	    {"ecdsa", "521", "sha512"}, {"rsa", "2048", "sha512"}};
	char *sig, *signers;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		sig = new_signature(types[i][0], types[i][1], types[i][2]);
		signers = line_of("alice", OPTS, "k.pub");
		ask_thrice(play_check, signers, sig, STARVE_ALL);
		free(sig);
		free(signers);
	}
}

static void
security_keys(void **state)
{
	char *sig = recipe(&(struct recipe){.is_sk = true});
	char *signers = recipe_line(true, "alice", OPTS);

	(void)state;
	ask_thrice(play_check, signers, sig, STARVE_ALL);
	free(sig);
	free(signers);
}

static void
the_systems_ssh_keygen(void **state)
{
	char *sig = recipe(&(struct recipe){.is_sk = false});
	char *signers = recipe_line(false, "alice", OPTS);

	(void)state;
	ask_thrice(play_keygen, signers, sig, STARVE_ALL);
	free(sig);
	free(signers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_of_ssh_keygen),
	    cmocka_unit_test(security_keys),
	    cmocka_unit_test(the_systems_ssh_keygen),
	};

	starve_begin();
	return cmocka_run_group_tests_name(
	    "signed approvals", tests, set_up, tear_down);
}
