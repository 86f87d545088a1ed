/* SPDX-License-Identifier: ISC */
/*
 * Talking to the hub with the stock ssh.
 *
 * Rules
 * 1. A host name is never an option: "-oProxyCommand=..." in a variable or
 *    a file would run a command.
 * 2. What the hub sends, on either stream, is shown with nothing in it that
 *    a terminal would act on, whatever the hub has become.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd_hub.h"
#include "mg_esc.h"
#include "mg_file.h"

#define CLIENT_INI MG_CONFDIR "/client.ini"
#define FILE_MAX 16384
#define STEP 16384
#define LINE_MAX_BYTES 262144

extern char **environ;

/* ---- where ---- */

static bool
is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
	       c == ':' || c == '%';
}

static bool
is_plain_word(const char *s, size_t n, bool may_have_colon)
{
	size_t i;

	if (n == 0 || s[0] == '-' || s[0] == '.') /* Rule 1 */
		return false;
	for (i = 0; i < n; i++)
		if (!is_host_char(s[i]) ||
		    (!may_have_colon && (s[i] == ':' || s[i] == '%')))
			return false;
	return true;
}

static bool
set_port(struct hub_target *t, const char *s)
{
	size_t n = strspn(s, "0123456789");

	if (n == 0 || n > 5 || s[n] != '\0' || s[0] == '0' ||
	    strtoul(s, NULL, 10) > 65535)
		return false;
	memcpy(t->port, s, n + 1);
	return true;
}

enum mg_err
hub_target_parse(const char *s, struct hub_target *t, const char **whyp)
{
	const char *at = strrchr(s, '@'), *host = at == NULL ? s : at + 1;
	const char *end, *port;
	bool v6 = host[0] == '[';
	size_t user = at == NULL ? 0 : (size_t)(at - s);

	memset(t, 0, sizeof(*t));
	memcpy(t->port, HUB_PORT_DEFAULT, sizeof(HUB_PORT_DEFAULT));
	*whyp = "is longer than 255 bytes";
	if (strlen(s) >= sizeof(t->dest))
		return MG_ERR_LIMIT;
	*whyp = "is not [user@]host[:port]";
	if (at != NULL && !is_plain_word(s, user, false))
		return MG_ERR_FORMAT;
	if (v6)
		host++;
	end = v6 ? strchr(host, ']') : strchr(host, ':');
	if (end == NULL && v6)
		return MG_ERR_FORMAT;
	if (end == NULL)
		end = host + strlen(host);
	if (!is_plain_word(host, (size_t)(end - host), v6))
		return MG_ERR_FORMAT;
	port = v6 ? end + 1 : end;
	if (*port != '\0' && (*port != ':' || !set_port(t, port + 1)))
		return MG_ERR_FORMAT;
	snprintf(t->dest, sizeof(t->dest), "%.*s%s%.*s", (int)user, s,
	    at == NULL ? "" : "@", (int)(end - host), host);
	*whyp = "";
	return MG_ERR_OK;
}

/* The next line of text, without blanks around it; false at the end. */
static bool
next_line(const char **pp, const char *end, char *out, size_t size, bool *fitp)
{
	const char *p = *pp, *nl;
	size_t n;

	if (p == end)
		return false;
	nl = memchr(p, '\n', (size_t)(end - p));
	n = (size_t)((nl == NULL ? end : nl) - p);
	*pp = nl == NULL ? end : nl + 1;
	while (n > 0 && (p[0] == ' ' || p[0] == '\t')) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	*fitp = n < size && memchr(p, '\0', n) == NULL;
	if (!*fitp)
		n = 0;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

/* "hub = VALUE"; the value, or NULL. */
static const char *
hub_value(const char *line)
{
	size_t n;

	if (strncmp(line, "hub", 3) != 0)
		return NULL;
	line += 3;
	n = strspn(line, " \t");
	if (line[n] != '=')
		return NULL;
	line += n + 1;
	line += strspn(line, " \t");
	return line[0] == '\0' ? NULL : line;
}

enum mg_err
hub_client_ini(
    const char *text, size_t n, char *out, size_t size, unsigned *linep)
{
	const char *p = text, *end = text + n, *v;
	char line[512];
	bool in_client = false, fits;

	out[0] = '\0';
	for (*linep = 1; next_line(&p, end, line, sizeof(line), &fits);
	     ++*linep) {
		if (fits &&
		    (line[0] == '\0' || line[0] == ';' || line[0] == '#'))
			continue;
		if (fits && !in_client && strcmp(line, "[client]") == 0) {
			in_client = true;
			continue;
		}
		if (!fits || !in_client || out[0] != '\0' ||
		    (v = hub_value(line)) == NULL || strlen(v) >= size)
			return MG_ERR_FORMAT;
		memcpy(out, v, strlen(v) + 1);
	}
	return MG_ERR_OK;
}

static enum mg_err
read_path(const char *path, struct mg_buf *b)
{
	enum mg_err r;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1)
		return errno == ENOENT || errno == ENOTDIR ? MG_ERR_NOENT
							   : MG_ERR_SYS;
	r = mg_file_read(fd, b);
	close(fd);
	return r;
}

static bool
home_path(const char *name, char *out, size_t size)
{
	const char *home = getenv("HOME");

	return home != NULL && home[0] == '/' &&
	       (size_t)snprintf(out, size, "%s/%s", home, name) < size;
}

/* Reads one of the two files into out, which stays empty without it. */
static enum mg_err
from_file(const char *path, bool is_ini, char *out, size_t size, char *why,
    size_t why_size)
{
	unsigned line = 1;
	struct mg_buf b;
	const char *p;
	enum mg_err r;
	bool fits = true;

	out[0] = '\0';
	mg_buf_init(&b, FILE_MAX);
	if ((r = read_path(path, &b)) == MG_ERR_NOENT) {
		mg_buf_fini(&b);
		return MG_ERR_OK;
	}
	p = (const char *)mg_buf_ptr(&b);
	if (r == MG_ERR_OK && is_ini)
		r = hub_client_ini(p, mg_buf_len(&b), out, size, &line);
	else if (r == MG_ERR_OK &&
		 next_line(&p, p + mg_buf_len(&b), out, size, &fits) && !fits)
		r = MG_ERR_FORMAT;
	if (r == MG_ERR_FORMAT)
		snprintf(why, why_size, "%s:%u: not understood", path, line);
	else if (r != MG_ERR_OK)
		snprintf(why, why_size, "cannot read '%s': %s", path,
		    r == MG_ERR_SYS ? strerror(errno) : mg_err_str(r));
	mg_buf_fini(&b);
	return r;
}

enum mg_err
hub_find(const char *option, struct hub_target *t, char *why, size_t why_size)
{
	char path[PATH_MAX], text[HUB_TARGET_MAX] = "";
	const char *flaw, *env = getenv("MODELGATE_HUB");
	enum mg_err r = MG_ERR_OK;

	if (option == NULL && env != NULL && env[0] != '\0')
		option = env;
	if (option == NULL &&
	    home_path(".config/modelgate/hub", path, sizeof(path)))
		r = from_file(path, false, text, sizeof(text), why, why_size);
	if (r == MG_ERR_OK && option == NULL && text[0] == '\0')
		r = from_file(
		    CLIENT_INI, true, text, sizeof(text), why, why_size);
	if (r != MG_ERR_OK)
		return r;
	if (option == NULL)
		option = text[0] == '\0' ? "hub" : text;
	if ((r = hub_target_parse(option, t, &flaw)) != MG_ERR_OK)
		snprintf(why, why_size, "the hub '%s' %s", option, flaw);
	return r;
}

enum mg_err
hub_find_key(const char *option, char *out, size_t size)
{
	static const char *const usual[] = {".ssh/id_ed25519_sk",
	    ".ssh/id_ecdsa_sk", ".ssh/id_ed25519", ".ssh/id_ecdsa",
	    ".ssh/id_rsa"};
	const char *env = getenv("MODELGATE_KEY");
	size_t i;

	if (option == NULL && env != NULL && env[0] != '\0')
		option = env;
	if (option != NULL)
		return (size_t)snprintf(out, size, "%s", option) < size
			   ? MG_ERR_OK
			   : MG_ERR_LIMIT;
	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (home_path(usual[i], out, size) && access(out, R_OK) == 0)
			return MG_ERR_OK;
	return MG_ERR_NOENT;
}

/* ---- running ---- */

/* Prints a line (n bytes without the newline) with nothing harmful in it. */
static void
print_line(FILE *f, const char *p, size_t n)
{
	uint32_t cp;
	size_t len;

	if (n > 0 && p[n - 1] == '\r') /* ssh ends its lines so */
		n--;
	for (; n > 0; p += len, n -= len) { /* Rule 2 */
		if ((len = mg_utf8_next(p, n, &cp)) == 0) {
			len = 1;
			fputc('?', f);
		} else if (mg_esc_is_plain(cp)) {
			fwrite(p, 1, len, f);
		} else {
			fputc('?', f);
		}
	}
	fputc('\n', f);
}

/* Prints the whole lines in b; all of it at the end. */
static void
print_lines(FILE *f, struct mg_buf *b, bool at_end)
{
	const char *p, *nl;
	size_t n;

	for (;;) {
		p = (const char *)mg_buf_ptr(b);
		n = mg_buf_len(b);
		nl = n == 0 ? NULL : memchr(p, '\n', n);
		if (nl == NULL)
			break;
		print_line(f, p, (size_t)(nl - p));
		mg_buf_consume(b, (size_t)(nl - p) + 1);
	}
	if (n > 0 && (at_end || n >= LINE_MAX_BYTES)) {
		print_line(f, p, n);
		mg_buf_consume(b, n);
	}
	fflush(f);
}

static pid_t
start(char *const argv[], int in, int out, int err_out)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t set;
	pid_t pid = -1;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (posix_spawn_file_actions_init(&fa) != 0)
		return -1;
	if (posix_spawnattr_init(&at) != 0) {
		posix_spawn_file_actions_destroy(&fa);
		return -1;
	}
	if ((err = posix_spawn_file_actions_adddup2(&fa, in, 0)) == 0 &&
	    (err = posix_spawn_file_actions_adddup2(&fa, out, 1)) == 0 &&
	    (err = posix_spawn_file_actions_adddup2(&fa, err_out, 2)) == 0 &&
	    (err = posix_spawnattr_setsigdefault(&at, &set)) == 0 &&
	    (err = posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF)) == 0)
		err = posix_spawnp(&pid, argv[0], &fa, &at, argv, environ);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	if (err != 0)
		fprintf(stderr, "modelgate: cannot run %s: %s\n", argv[0],
		    strerror(err));
	return err == 0 ? pid : -1;
}

struct pump {
	int in, out, err; /* to and from the child; -1: closed */
	int pidfd;	  /* -1: it has ended */
	const uint8_t *p;
	size_t left;
	struct mg_buf *to, *said; /* NULL: shown */
	struct mg_buf lines, err_lines;
	bool overflow;
};

static void
pump_in(struct pump *m)
{
	ssize_t n = write(m->in, m->p, m->left);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		m->p += n;
		m->left -= (size_t)n;
	}
	if (n <= 0 || m->left == 0) {
		close(m->in);
		m->in = -1;
	}
}

static void
pump_out(struct pump *m)
{
	struct mg_buf *b = m->to == NULL ? &m->lines : m->to;
	uint8_t buf[STEP];
	ssize_t n = read(m->out, buf, sizeof(buf));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && mg_buf_put(b, buf, (size_t)n) != MG_ERR_OK)
		m->overflow = true;
	if (m->to == NULL)
		print_lines(stdout, b, n <= 0);
	if (n > 0 && !m->overflow)
		return;
	close(m->out);
	m->out = -1;
}

/* What the child complains of: shown, or kept as far as it fits. */
static void
pump_err(struct pump *m)
{
	uint8_t buf[STEP];
	ssize_t n = read(m->err, buf, sizeof(buf));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && mg_buf_put(m->said != NULL ? m->said : &m->err_lines, buf,
			 (size_t)n) != MG_ERR_OK)
		n = 0; /* more than anybody reads */
	print_lines(stderr, &m->err_lines, n <= 0);
	if (n > 0)
		return;
	close(m->err);
	m->err = -1;
}

/*
 * Until the child has ended and its output is read. Nobody waits for the end
 * of its complaints: a master that ssh leaves behind (ControlPersist) keeps
 * that stream open.
 */
static void
pump(struct pump *m)
{
	struct pollfd p[4] = {{.events = POLLOUT}, {.events = POLLIN},
	    {.events = POLLIN}, {.events = POLLIN}};

	mg_buf_init(&m->lines, LINE_MAX_BYTES + STEP);
	mg_buf_init(&m->err_lines, LINE_MAX_BYTES + STEP);
	while (m->out != -1 || m->pidfd != -1) {
		p[0].fd = m->in;
		p[1].fd = m->out;
		p[2].fd = m->err;
		p[3].fd = m->pidfd;
		if (poll(p, 4, -1) == -1) {
			if (errno != EINTR)
				break;
			continue;
		}
		if (m->in != -1 && p[0].revents != 0)
			pump_in(m);
		if (m->out != -1 && p[1].revents != 0)
			pump_out(m);
		if (m->err != -1 && p[2].revents != 0)
			pump_err(m);
		if (m->pidfd != -1 && p[3].revents != 0) {
			close(m->pidfd);
			m->pidfd = -1;
		}
	}
	if (m->err != -1)
		pump_err(m); /* what is there */
	print_lines(stderr, &m->err_lines, true);
	mg_buf_fini(&m->lines);
	mg_buf_fini(&m->err_lines);
}

/* Three pipes: to the child, from it, and its complaints. */
static bool
make_pipes(int fds[6])
{
	int i;

	for (i = 0; i < 3; i++)
		if (pipe2(fds + (size_t)i * 2, O_CLOEXEC) != 0)
			break;
	if (i == 3)
		return true;
	while (i-- > 0) {
		close(fds[i * 2]);
		close(fds[i * 2 + 1]);
	}
	return false;
}

static void
close_fd(int fd)
{
	if (fd != -1)
		close(fd);
}

int
hub_run(char *const argv[], const void *in, size_t n, struct mg_buf *out,
    struct mg_buf *said)
{
	struct pump m = {.p = in, .left = n, .to = out, .said = said};
	int fds[6], status = 0;
	pid_t pid;

	if (!make_pipes(fds))
		return 255;
	(void)signal(SIGPIPE, SIG_IGN);
	pid = start(argv, fds[0], fds[3], fds[5]);
	close(fds[0]);
	close(fds[3]);
	close(fds[5]);
	m.in = fds[1];
	m.out = fds[2];
	m.err = fds[4];
	m.pidfd = pid == -1 ? -1 : pidfd_open(pid, 0);
	(void)fcntl(m.err, F_SETFL, O_NONBLOCK);
	if (n == 0) {
		close(m.in);
		m.in = -1;
	} else {
		(void)fcntl(m.in, F_SETFL, O_NONBLOCK);
	}
	pump(&m);
	close_fd(m.in);
	close_fd(m.out);
	close_fd(m.err);
	close_fd(m.pidfd);
	while (pid != -1 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	if (m.overflow)
		return -1;
	return pid != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int
hub_ssh(const struct hub_target *t, const char *key, const char *command,
    const void *in, size_t n, struct mg_buf *out, struct mg_buf *said)
{
	const char *argv[16];
	size_t i = 0;

	argv[i++] = "ssh";
	argv[i++] = "-T";
	argv[i++] = "-p";
	argv[i++] = t->port;
	if (key != NULL) {
		argv[i++] = "-i";
		argv[i++] = key;
		/* Few tries are allowed; an agent may hold many keys. */
		argv[i++] = "-oIdentitiesOnly=yes";
	}
	argv[i++] = "--"; /* Rule 1 */
	argv[i++] = t->dest;
	argv[i++] = command;
	argv[i] = NULL;
	return hub_run((char *const *)(uintptr_t)argv, in, n, out, said);
}

enum mg_err
hub_put_word(struct mg_buf *b, const char *s)
{
	enum mg_err r = mg_buf_put_u8(b, '"');

	for (; *s != '\0' && r == MG_ERR_OK; s++) {
		if (*s == '"' || *s == '\\')
			r = mg_buf_put_u8(b, '\\');
		if (r == MG_ERR_OK)
			r = mg_buf_put_u8(b, (uint8_t)*s);
	}
	return r == MG_ERR_OK ? mg_buf_put_u8(b, '"') : r;
}
