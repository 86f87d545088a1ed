/* SPDX-License-Identifier: ISC */
/*
 * The agent's end of its socket, for tests: listens where the agent does and
 * plays a script, so that every way in which an agent can behave can be
 * shown to the module.
 *
 *	fakeagent LOG STEP...
 *
 * Returns when it listens; the script is played by a child, whose number is
 * written to LOG.pid. What the clients sent is written to LOG. Steps, whose
 * first blank may be written '_':
 *
 *	accept			wait for the next client
 *	get			read one message, note it in LOG
 *	done TEXT		send one message
 *	refused WHY|CODE|RULE|TEXT|REMEDY
 *	prompt TEXT / prompt-on TEXT / info TEXT / error TEXT
 *	key URI|SECRET
 *	raw HEX			send bytes
 *	flood N			send N infos
 *	wait MS
 *	close			hang up
 *	gone			stop listening and unlink the socket
 *	loop			begin again with the first step
 *
 * After the last step it waits for the client to hang up.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mg_client.h"
#include "mg_file.h"
#include "mg_why.h"

struct script {
	int listener;
	struct mg_chan *ch;
	uint32_t id;
	FILE *log;
};

static void
die(const char *what)
{
	perror(what);
	exit(2);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	(void)unlink(path);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    chmod(path, 0666) != 0 || listen(fd, 8) != 0)
		die(path);
	return fd;
}

static void
do_accept(struct script *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd == -1)
		die("accept");
	mg_chan_free(s->ch);
	s->ch = mg_chan_new(fd, MG_ROLE_AGENT, MG_ROLE_CLIENT, 1 << 20);
	if (s->ch == NULL)
		die("channel");
	fputs("accepted\n", s->log);
}

/* Every field of a message on one line. */
static void
note_fields(FILE *log, const struct mg_msg_type *t, const char *msg)
{
	size_t i;

	fprintf(log, "%s", t->name);
	for (i = 0; i < t->nfields; i++)
		if (t->fields[i].kind == MG_KIND_STR)
			fprintf(log, " %s='%s'", t->fields[i].name,
			    *(const char *const *)(const void
				    *)(msg + t->fields[i].off));
	fputc('\n', log);
}

static void
do_get(struct script *s)
{
	union {
		struct mg_pam_req pam;
		struct mg_auth_ans ans;
		struct mg_enroll_req enroll;
		struct mg_unenroll_req unenroll;
		char room[4096];
	} msg;
	const struct mg_msg_type *t;
	struct mg_frame f;
	enum mg_err r;

	if ((r = mg_chan_wait(s->ch, 20000, &f)) != MG_ERR_OK) {
		fprintf(s->log, "get: %s\n", mg_err_str(r));
		return;
	}
	t = mg_msg_type(f.op);
	s->id = f.id;
	if (t->size > sizeof(msg) ||
	    mg_frame_decode(&f, &msg, t->size) != MG_ERR_OK)
		fprintf(s->log, "%s malformed\n", t->name);
	else
		note_fields(s->log, t, msg.room);
}

static void
send_msg(struct script *s, enum mg_msg_op op, const void *msg)
{
	enum mg_err r = mg_chan_send(s->ch, s->id, op, msg);

	if (r != MG_ERR_OK)
		fprintf(s->log, "send: %s\n", mg_err_str(r));
}

/* The next part of "A|B|C". */
static const char *
part(char **restp)
{
	char *p = strsep(restp, "|");

	return p == NULL ? "" : p;
}

static void
do_refused(struct script *s, char *rest)
{
	struct mg_refused m;

	m.why = mg_why_from_word(part(&rest));
	m.code = part(&rest);
	m.rule = part(&rest);
	m.text = part(&rest);
	m.remedy = part(&rest);
	send_msg(s, MG_MSG_REFUSED, &m);
}

static void
do_prompt(struct script *s, bool echo, const char *text)
{
	struct mg_auth_prompt m = {.echo = echo, .text = text};

	send_msg(s, MG_MSG_AUTH_PROMPT, &m);
}

static void
do_info(struct script *s, bool is_error, const char *text)
{
	struct mg_auth_info m = {.is_error = is_error, .text = text};

	send_msg(s, MG_MSG_AUTH_INFO, &m);
}

static void
do_key(struct script *s, char *rest)
{
	struct mg_enroll_key m;

	m.uri = part(&rest);
	m.secret = part(&rest);
	send_msg(s, MG_MSG_ENROLL_KEY, &m);
}

static void
do_raw(struct script *s, const char *hex)
{
	char pair[3] = "";
	unsigned char c;

	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
		memcpy(pair, hex, 2);
		c = (unsigned char)strtoul(pair, NULL, 16);
		if (send(mg_chan_fd(s->ch), &c, 1, MSG_NOSIGNAL) != 1)
			break;
	}
}

static void
do_wait(int ms)
{
	struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};

	(void)nanosleep(&ts, NULL);
}

static void
play(struct script *s, const char *step)
{
	char word[32] = "", *rest = strdup(step);
	size_t n = strcspn(step, " _");
	char *arg;
	int i;

	if (rest == NULL || n >= sizeof(word))
		die(step);
	memcpy(word, step, n);
	arg = rest + n + (step[n] != '\0' ? 1 : 0);
	if (strcmp(word, "accept") == 0)
		do_accept(s);
	else if (strcmp(word, "get") == 0)
		do_get(s);
	else if (strcmp(word, "done") == 0)
		send_msg(s, MG_MSG_DONE, &(struct mg_done){.text = arg});
	else if (strcmp(word, "refused") == 0)
		do_refused(s, arg);
	else if (strcmp(word, "prompt") == 0)
		do_prompt(s, false, arg);
	else if (strcmp(word, "prompt-on") == 0)
		do_prompt(s, true, arg);
	else if (strcmp(word, "info") == 0)
		do_info(s, false, arg);
	else if (strcmp(word, "error") == 0)
		do_info(s, true, arg);
	else if (strcmp(word, "key") == 0)
		do_key(s, arg);
	else if (strcmp(word, "raw") == 0)
		do_raw(s, arg);
	else if (strcmp(word, "flood") == 0)
		for (i = (int)strtol(arg, NULL, 10); i > 0; i--)
			do_info(s, false, "again");
	else if (strcmp(word, "wait") == 0)
		do_wait((int)strtol(arg, NULL, 10));
	else if (strcmp(word, "close") == 0) {
		mg_chan_free(s->ch);
		s->ch = NULL;
	} else if (strcmp(word, "gone") == 0) {
		close(s->listener);
		(void)unlink(MG_CLIENT_SOCKET);
	} else {
		fprintf(s->log, "unknown step '%s'\n", step);
		exit(2);
	}
	free(rest);
}

static void
wait_for_end(struct script *s)
{
	struct mg_frame f;

	while (s->ch != NULL && mg_chan_wait(s->ch, 20000, &f) == MG_ERR_OK)
		fprintf(s->log, "more: %s\n", mg_msg_name(f.op));
	mg_chan_free(s->ch);
	fputs("end\n", s->log);
	fclose(s->log);
}

int
main(int argc, char **argv)
{
	struct script s = {.listener = -1};
	char path[256];
	FILE *f;
	pid_t pid;
	int i;

	if (argc < 2)
		return 2;
	s.listener = listen_at(MG_CLIENT_SOCKET);
	if ((s.log = fopen(argv[1], "w")) == NULL)
		die(argv[1]);
	setvbuf(s.log, NULL, _IOLBF, 0);
	if ((pid = fork()) == -1)
		die("fork");
	if (pid != 0) {
		snprintf(path, sizeof(path), "%s.pid", argv[1]);
		if ((f = fopen(path, "w")) == NULL)
			die(path);
		fprintf(f, "%d\n", (int)pid);
		fclose(f);
		_exit(0);
	}
	/* Not the reader of the test's output, and not for ever. */
	close(0);
	close(1);
	close(2);
	if (mg_file_sanitise_std() != MG_ERR_OK)
		return 2;
	alarm(120);
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "loop") == 0)
			i = 1;
		else
			play(&s, argv[i]);
	}
	wait_for_end(&s);
	return 0;
}
