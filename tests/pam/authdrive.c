/* SPDX-License-Identifier: ISC */
/*
 * The monitor's end of mg-auth's channel, for tests: starts the real
 * process, puts one question, prints every message and gives the answers.
 *
 *	authdrive [-m check|enroll|unenroll|none] [-H HOST] [-t TTY]
 *	    [-r RHOST] [-b ABOUT] MG-AUTH USER ANSWER...
 *	authdrive -R ROUNDS MG-AUTH USER SECRET
 *	authdrive -S USER SECRET USED
 *
 * An ANSWER is text, or
 *	@key[+N|-N]	the code of the new key, N steps from now
 *	@hang		none; wait for the end
 *	@close		none; close the channel
 *	@odd		a message that is no answer
 *	@when FILE	wait until FILE is there; then comes the real answer
 * -R gives one code to two processes at once, ROUNDS times, and counts who
 * gets in. -S writes a record; SECRET is 40 hex digits.
 */
#include <fcntl.h>
#include <liboath/oath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_spawn.h"
#include "mg_totp.h"

#define WAIT_MS 130000

struct
try {
	struct mg_child child;
	struct mg_chan *ch;
	char secret[256]; /* base32 of the new key */
	bool has_result;
};

static void
die(const char *what)
{
	fprintf(stderr, "authdrive: %s\n", what);
	exit(2);
}

static void
start(struct try *t, const char *path, const struct mg_auth_start *m)
{
	char *argv[] = {(char *)(uintptr_t) "mg-auth", NULL};
	char creds[256],
	    *envp[] = {(char *)(uintptr_t) "PATH=/tmp", NULL, NULL};
	struct mg_spawn_fd fds[2];
	int pair[2];

	if (getenv(MG_SEAL_VARIABLE) != NULL) {
		snprintf(creds, sizeof(creds), MG_SEAL_VARIABLE "=%s",
		    getenv(MG_SEAL_VARIABLE));
		envp[1] = creds;
	}
	memset(t, 0, sizeof(*t));
	if (mg_spawn_socketpair(pair) != MG_ERR_OK)
		die("socketpair");
	fds[0] = (struct mg_spawn_fd){STDERR_FILENO, STDERR_FILENO};
	fds[1] = (struct mg_spawn_fd){pair[1], 3};
	if (mg_spawn(path, argv, envp, fds, 2, &t->child) != MG_ERR_OK)
		die(path);
	close(pair[1]);
	t->ch = mg_chan_new(pair[0], MG_ROLE_MONITOR, MG_ROLE_AUTH, 65536);
	if (t->ch == NULL ||
	    mg_chan_send(t->ch, 77, MG_MSG_AUTH_START, m) != MG_ERR_OK)
		die("start");
}

/* The code of a base32 secret, some steps from now. */
static void
code_of(const char *base32, long steps, char out[16])
{
	char *bin = NULL;
	size_t n = 0;
	time_t at = time(NULL) + steps * 30;

	if (oath_base32_decode(base32, strlen(base32), &bin, &n) != OATH_OK ||
	    oath_totp_generate(bin, n, at, 30, 0, 6, out) != OATH_OK)
		die("oath");
	free(bin);
}

static void
give(struct try *t, const char *answer)
{
	struct mg_auth_ans m = {.text = answer};
	char code[16];

	if (strcmp(answer, "@hang") == 0)
		return;
	if (strcmp(answer, "@close") == 0) {
		shutdown(mg_chan_fd(t->ch), SHUT_RDWR);
		return;
	}
	if (strcmp(answer, "@odd") == 0) {
		if (mg_chan_send(t->ch, 77, MG_MSG_AUTH_START,
			&(struct mg_auth_start){.mode = MG_AUTH_CHECK,
			    .user = "root"}) != MG_ERR_OK)
			die("send");
		return;
	}
	if (strncmp(answer, "@key", 4) == 0) {
		code_of(t->secret, strtol(answer + 4, NULL, 10), code);
		m.text = code;
	}
	if (mg_chan_send(t->ch, 77, MG_MSG_AUTH_ANS, &m) != MG_ERR_OK)
		die("answer");
}

static void
on_result(struct try *t, const struct mg_frame *f)
{
	struct mg_auth_result m;

	if (mg_frame_decode(f, &m, sizeof(m)) != MG_ERR_OK)
		die("result");
	printf("result ok=%d replay=%d unset=%d%s pam=%u text=%s\n", m.ok,
	    m.replay, m.unset, m.broken ? " broken" : "", (unsigned)m.pam_code,
	    m.text);
	t->has_result = true;
}

/* Prints one message; true for a question. */
static bool
on_frame(struct try *t, const struct mg_frame *f)
{
	union {
		struct mg_auth_prompt prompt;
		struct mg_auth_info info;
		struct mg_enroll_key key;
	} m;

	if (f->id != 77)
		die("another id");
	if (f->op == MG_MSG_AUTH_RESULT) {
		on_result(t, f);
	} else if (f->op == MG_MSG_AUTH_PROMPT &&
		   mg_frame_decode(f, &m.prompt, sizeof(m.prompt)) ==
		       MG_ERR_OK) {
		printf("ask-%s: %s\n", m.prompt.echo ? "on" : "off",
		    m.prompt.text);
		return true;
	} else if (f->op == MG_MSG_AUTH_INFO &&
		   mg_frame_decode(f, &m.info, sizeof(m.info)) == MG_ERR_OK) {
		printf("%s: %s\n", m.info.is_error ? "error" : "info",
		    m.info.text);
	} else if (f->op == MG_MSG_ENROLL_KEY &&
		   mg_frame_decode(f, &m.key, sizeof(m.key)) == MG_ERR_OK) {
		printf("key: %s %s\n", m.key.uri, m.key.secret);
		snprintf(t->secret, sizeof(t->secret), "%s", m.key.secret);
	} else {
		die("unexpected message");
	}
	return false;
}

static void
wait_for(const char *path)
{
	struct timespec ts = {0, 10000000};

	while (access(path, F_OK) != 0)
		(void)nanosleep(&ts, NULL);
}

static int
drive(struct try *t, int n, char **answers)
{
	struct mg_frame f;
	enum mg_err r;
	int i = 0, status;

	while ((r = mg_chan_wait(t->ch, WAIT_MS, &f)) == MG_ERR_OK) {
		if (!on_frame(t, &f))
			continue;
		if (i < n && strncmp(answers[i], "@when ", 6) == 0)
			wait_for(answers[i++] + 6);
		give(t, i < n ? answers[i++] : "@hang");
	}
	if (r != MG_ERR_CLOSED)
		printf("channel: %s\n", mg_err_str(r));
	if (waitpid(t->child.pid, &status, 0) != t->child.pid)
		die("wait");
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else
		printf("exit %d\n", WEXITSTATUS(status));
	if (!t->has_result)
		puts("no result");
	mg_chan_free(t->ch);
	return 0;
}

/* ---- records ---- */

static void
make_factor(struct mg_totp *t, const char *user, const char *hex, long used)
{
	char pair[3] = "";
	size_t i;

	if (mg_totp_new(t, user, time(NULL)) != MG_ERR_OK || strlen(hex) != 40)
		die("factor");
	for (i = 0; i < 20; i++) {
		memcpy(pair, hex + 2 * i, 2);
		t->secret[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	t->used = (uint64_t)used;
}

static void
put_record(const struct mg_totp *t)
{
	struct mg_totp_store st;
	char why[256];

	if (mg_totp_store_init(&st, MG_TOTP_DIR, why, sizeof(why)) !=
		MG_ERR_OK ||
	    mg_totp_store_save(&st, t, why, sizeof(why)) != MG_ERR_OK)
		die(why);
	mg_totp_store_fini(&st);
}

/* ---- two at once ---- */

/* Reads on to the question; false when the try ended before it. */
static bool
until_asked(struct try *t)
{
	struct mg_frame f;

	while (mg_chan_wait(t->ch, WAIT_MS, &f) == MG_ERR_OK)
		if (f.op == MG_MSG_AUTH_PROMPT)
			return true;
	return false;
}

static bool
is_accepted(struct try *t)
{
	struct mg_auth_result m;
	struct mg_frame f;
	bool ok;

	if (mg_chan_wait(t->ch, WAIT_MS, &f) != MG_ERR_OK ||
	    mg_frame_decode(&f, &m, sizeof(m)) != MG_ERR_OK)
		die("no result");
	ok = m.ok;
	if (!ok && !m.replay)
		die("refused, and not for being used");
	mg_chan_free(t->ch);
	if (waitpid(t->child.pid, NULL, 0) != t->child.pid)
		die("wait");
	return ok;
}

static int
race(int rounds, const char *path, const char *user, const char *hex)
{
	struct mg_auth_start m = {.mode = MG_AUTH_CHECK, .user = user};
	struct mg_totp factor;
	struct try a, b;
	char code[16];
	int i, in[3] = {0, 0, 0};

	for (i = 0; i < rounds; i++) {
		make_factor(&factor, user, hex, 0);
		put_record(&factor);
		if (oath_totp_generate((const char *)factor.secret, 20,
			time(NULL), 30, 0, 6, code) != OATH_OK)
			die("oath");
		start(&a, path, &m);
		start(&b, path, &m);
		if (!until_asked(&a) || !until_asked(&b))
			die("not asked");
		give(&a, code);
		give(&b, code);
		in[is_accepted(&a) + is_accepted(&b)]++;
	}
	printf("none=%d one=%d both=%d\n", in[0], in[1], in[2]);
	return 0;
}

static enum mg_auth_mode
parse_mode(const char *s)
{
	if (strcmp(s, "check") == 0)
		return MG_AUTH_CHECK;
	if (strcmp(s, "enroll") == 0)
		return MG_AUTH_ENROLL;
	if (strcmp(s, "unenroll") == 0)
		return MG_AUTH_UNENROLL;
	return MG_AUTH_NONE;
}

int
main(int argc, char **argv)
{
	struct mg_auth_start m = {.mode = MG_AUTH_CHECK, .host = "gpu-7"};
	struct mg_totp factor;
	struct try t;
	int opt, rounds = 0;
	bool is_record = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "+H:R:Sb:m:r:t:")) != -1) {
		if (opt == 'H')
			m.host = optarg;
		else if (opt == 'R')
			rounds = (int)strtol(optarg, NULL, 10);
		else if (opt == 'S')
			is_record = true;
		else if (opt == 'b')
			m.about = optarg;
		else if (opt == 'm')
			m.mode = (uint8_t)parse_mode(optarg);
		else if (opt == 'r')
			m.rhost = optarg;
		else if (opt == 't')
			m.tty = optarg;
		else
			return 2;
	}
	argc -= optind;
	argv += optind;
	if (is_record && argc == 3) {
		make_factor(
		    &factor, argv[0], argv[1], strtol(argv[2], NULL, 10));
		put_record(&factor);
		return 0;
	}
	if (rounds > 0 && argc == 3)
		return race(rounds, argv[0], argv[1], argv[2]);
	if (argc < 2)
		return 2;
	m.user = argv[1];
	start(&t, argv[0], &m);
	return drive(&t, argc - 2, argv + 2);
}
