/* SPDX-License-Identifier: ISC */
/*
 * A PAM application for tests: runs stages of a service and prints what the
 * person sees and what every stage returns.
 *
 *	pamdrive [-c CONFDIR] [-t TTY] [-r RHOST] [-e NAME=VALUE] [-s]
 *	    [-a ANSWER]... [-w MS] [-m N] SERVICE USER STAGE...
 *
 * Stages: auth setcred account open close; "env NAME=VALUE" and "user NAME"
 * change the handle between two stages. Each question takes the next ANSWER
 * after MS milliseconds; without one the conversation fails, with "-" it
 * succeeds and has no text. -s: PAM_SILENT. -m: the Nth allocation of each
 * stage fails.
 */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mg_time.h"

#define ANSWERS_MAX 16

#ifndef __SANITIZE_ADDRESS__
/* Allocations that can be made to fail, the libraries' too. */
static long fail_at, allocations;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static int
must_fail(void)
{
	return fail_at > 0 && ++allocations == fail_at;
}

void *
malloc(size_t n)
{
	return must_fail() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return must_fail() ? NULL : __libc_realloc(p, n);
}

static void
set_failure(long n)
{
	fail_at = n;
	allocations = 0;
}
#else
static void
set_failure(long n)
{
	(void)n;
}
#endif

struct person {
	const char *answers[ANSWERS_MAX];
	int n, next;
	int wait_ms;
};

static int
answer(struct person *p, const char *what, const char *text, char **respp)
{
	struct timespec ts = {
	    p->wait_ms / 1000, (p->wait_ms % 1000) * 1000000L};

	printf("%s: %s\n", what, text);
	(void)nanosleep(&ts, NULL);
	if (p->next == p->n)
		return PAM_CONV_ERR;
	if (strcmp(p->answers[p->next], "-") != 0)
		*respp = strdup(p->answers[p->next]);
	p->next++;
	return PAM_SUCCESS;
}

static int
converse(int n, const struct pam_message **msgs, struct pam_response **respp,
    void *arg)
{
	struct pam_response *resp;
	int i, ret = PAM_SUCCESS;

	if ((resp = calloc((size_t)n, sizeof(*resp))) == NULL)
		return PAM_BUF_ERR;
	for (i = 0; i < n && ret == PAM_SUCCESS; i++) {
		switch (msgs[i]->msg_style) {
		case PAM_PROMPT_ECHO_OFF:
			ret =
			    answer(arg, "ask-off", msgs[i]->msg, &resp[i].resp);
			break;
		case PAM_PROMPT_ECHO_ON:
			ret =
			    answer(arg, "ask-on", msgs[i]->msg, &resp[i].resp);
			break;
		case PAM_ERROR_MSG:
			printf("error: %s\n", msgs[i]->msg);
			break;
		case PAM_TEXT_INFO:
			printf("info: %s\n", msgs[i]->msg);
			break;
		default:
			ret = PAM_CONV_ERR;
		}
	}
	if (ret != PAM_SUCCESS) {
		free(resp);
		resp = NULL;
	}
	*respp = resp;
	return ret;
}

static int
run_stage(pam_handle_t *pamh, const char *stage, int flags)
{
	if (strcmp(stage, "auth") == 0)
		return pam_authenticate(pamh, flags);
	if (strcmp(stage, "setcred") == 0)
		return pam_setcred(pamh, flags | PAM_ESTABLISH_CRED);
	if (strcmp(stage, "account") == 0)
		return pam_acct_mgmt(pamh, flags);
	if (strcmp(stage, "open") == 0)
		return pam_open_session(pamh, flags);
	if (strcmp(stage, "close") == 0)
		return pam_close_session(pamh, flags);
	fprintf(stderr, "pamdrive: unknown stage '%s'\n", stage);
	exit(2);
}

static void
must(int ret, const char *what)
{
	if (ret == PAM_SUCCESS)
		return;
	fprintf(stderr, "pamdrive: %s: %d\n", what, ret);
	exit(2);
}

static long failure;

/* "env A=B" and "user NAME" take two words; returns how many were used. */
static int
run_word(pam_handle_t *pamh, char **argv, int flags)
{
	int64_t start = mg_time_boot_ms();
	int ret;

	if (strcmp(argv[0], "env") == 0 && argv[1] != NULL) {
		must(pam_putenv(pamh, argv[1]), "putenv");
		return 2;
	}
	if (strcmp(argv[0], "user") == 0 && argv[1] != NULL) {
		must(pam_set_item(pamh, PAM_USER, argv[1]), "user");
		return 2;
	}
	set_failure(failure);
	ret = run_stage(pamh, argv[0], flags);
	set_failure(0);
	printf("%s=%d\n", argv[0], ret);
	fprintf(stderr, "%s_ms=%lld\n", argv[0],
	    (long long)(mg_time_boot_ms() - start));
	return 1;
}

static int
usage(void)
{
	fputs("usage: pamdrive [-c DIR] [-t TTY] [-r RHOST] [-e NAME=VALUE] "
	      "[-s] [-a ANSWER]... [-w MS] SERVICE USER STAGE...\n",
	    stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	struct person person = {.n = 0};
	struct pam_conv conv = {.conv = converse, .appdata_ptr = &person};
	const char *confdir = NULL, *tty = NULL, *rhost = NULL, *env = NULL;
	pam_handle_t *pamh = NULL;
	int opt, flags = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "a:c:e:m:r:st:w:")) != -1) {
		if (opt == 'a' && person.n < ANSWERS_MAX)
			person.answers[person.n++] = optarg;
		else if (opt == 'c')
			confdir = optarg;
		else if (opt == 'e')
			env = optarg;
		else if (opt == 'm')
			failure = strtol(optarg, NULL, 10);
		else if (opt == 'r')
			rhost = optarg;
		else if (opt == 's')
			flags = (int)PAM_SILENT;
		else if (opt == 't')
			tty = optarg;
		else if (opt == 'w')
			person.wait_ms = (int)strtol(optarg, NULL, 10);
		else
			return usage();
	}
	if (argc - optind < 3)
		return usage();
	must(pam_start_confdir(
		 argv[optind], argv[optind + 1], &conv, confdir, &pamh),
	    "start");
	if (tty != NULL)
		must(pam_set_item(pamh, PAM_TTY, tty), "tty");
	if (rhost != NULL)
		must(pam_set_item(pamh, PAM_RHOST, rhost), "rhost");
	if (env != NULL)
		must(pam_putenv(pamh, env), "putenv");
	for (optind += 2; optind < argc;)
		optind += run_word(pamh, argv + optind, flags);
	must(pam_end(pamh, PAM_SUCCESS), "end");
	return 0;
}
