/* SPDX-License-Identifier: ISC */
/* doctor: is this host really enforcing? One line a check. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "mg_json.h"

enum result { BAD, WARN, GOOD };

struct doctor {
	bool json;
	unsigned bad, warn;
	struct mg_buf out;
	struct mg_json j;
	/* what the agent says of itself */
	bool answered;
	bool audit, ledger;
	char link[512], hub[256], policy[80], host[100];
};

static void
check(struct doctor *d, enum result r, const char *name, const char *text,
    const char *fix)
{
	static const char *const words[] = {"FAIL", "warn", "ok"};

	if (r == BAD)
		d->bad++;
	if (r == WARN)
		d->warn++;
	if (d->json) {
		mg_json_obj(&d->j, NULL);
		mg_json_str(&d->j, "check", name);
		mg_json_str(&d->j, "result",
		    r == GOOD	? "ok"
		    : r == WARN ? "warning"
				: "fail");
		mg_json_str(&d->j, "text", text);
		mg_json_str(&d->j, "fix", r == GOOD ? "" : fix);
		mg_json_obj_end(&d->j);
		return;
	}
	printf("%-4s  %-14s %s\n", words[r], name, text);
	if (r != GOOD && fix[0] != '\0')
		printf("      %-14s fix: %s\n", "", fix);
}

static void
on_info(void *arg, const char *json, const struct mg_rec *rec)
{
	struct doctor *d = arg;

	(void)json;
	d->answered = true;
	d->audit = mg_rec_bool(rec, "audit");
	d->ledger = mg_rec_bool(rec, "ledger");
	snprintf(d->link, sizeof(d->link), "%s", mg_rec_str(rec, "link", ""));
	snprintf(d->hub, sizeof(d->hub), "%s", mg_rec_str(rec, "hub", ""));
	snprintf(d->host, sizeof(d->host), "%s", mg_rec_str(rec, "host", ""));
	snprintf(
	    d->policy, sizeof(d->policy), "%s", mg_rec_str(rec, "policy", ""));
}

static void
check_agent(struct doctor *d)
{
	struct mg_info_req q = {0};
	char text[400];

	if (mg_cli_ask(MG_MSG_INFO_REQ, &q, true, on_info, d, NULL) != 0 ||
	    !d->answered) {
		check(d, BAD, "agent", "it does not answer",
		    "systemctl start modelgated; modelgated -n shows what is "
		    "wrong with its files");
		return;
	}
	snprintf(text, sizeof(text), "answers as %s, policy %.19s...", d->host,
	    d->policy);
	check(d, GOOD, "agent", text, "");
	check(d, d->audit ? GOOD : BAD, "audit",
	    d->audit ? "the kernel records" : "the kernel does not record",
	    "auditctl -e 1, and start auditd");
	check(d, d->ledger ? GOOD : BAD, "ledger",
	    d->ledger ? "can be written" : "cannot be written",
	    "look at the disk below /var/lib/modelgate");
	if (d->hub[0] == '\0')
		check(d, WARN, "hub", "none is configured",
		    "[hub] in /etc/modelgate/agent.ini; without one nobody "
		    "can approve");
	else
		check(d, strncmp(d->link, "not ", 4) == 0 ? WARN : GOOD, "hub",
		    d->link, "ssh to the hub by hand; compare its host key");
}

/* A stack and those that it includes, to a fixed depth. */
#define INCLUDES_MAX 16

struct stack {
	char names[INCLUDES_MAX][64];
	size_t n;
};

static void
add_stack(struct stack *st, const char *name, size_t len)
{
	size_t i;

	if (st->n == INCLUDES_MAX || len == 0 || len >= sizeof(st->names[0]) ||
	    memchr(name, '/', len) != NULL)
		return;
	for (i = 0; i < st->n; i++)
		if (strlen(st->names[i]) == len &&
		    memcmp(st->names[i], name, len) == 0)
			return;
	memcpy(st->names[st->n], name, len);
	st->names[st->n++][len] = '\0';
}

/* The word of s that begins behind its first n words. */
static const char *
word(const char *s, unsigned n, size_t *lenp)
{
	s += strspn(s, " \t");
	for (; n > 0; n--) {
		s += strcspn(s, " \t\n");
		s += strspn(s, " \t");
	}
	*lenp = strcspn(s, " \t\n");
	return s;
}

/* One line: an include is remembered; true when it gates type. */
static bool
line_gates(struct stack *st, const char *line, const char *type)
{
	const char *first, *control, *name;
	size_t n, nc, nn;

	first = word(line, 0, &n);
	if (n == 8 && memcmp(first, "@include", 8) == 0) {
		name = word(line, 1, &nn);
		add_stack(st, name, nn);
		return false;
	}
	if (n != strlen(type) || memcmp(first, type, n) != 0)
		return false;
	control = word(line, 1, &nc);
	name = word(line, 2, &nn);
	if ((nc == 7 && memcmp(control, "include", 7) == 0) ||
	    (nc == 8 && memcmp(control, "substack", 8) == 0))
		add_stack(st, name, nn);
	return nn == 16 && memcmp(name, "pam_modelgate.so", 16) == 0 &&
	       ((nc == 8 && memcmp(control, "required", 8) == 0) ||
		   (nc == 9 && memcmp(control, "requisite", 9) == 0));
}

/* Whether a service's stack has a line of that type that must pass us. */
static bool
stack_has(const char *service, const char *type)
{
	struct stack st = {.n = 0};
	char path[256], line[1024];
	bool found = false;
	size_t i;
	FILE *f;

	add_stack(&st, service, strlen(service));
	for (i = 0; i < st.n && !found; i++) {
		snprintf(path, sizeof(path), "/etc/pam.d/%s", st.names[i]);
		if ((f = fopen(path, "re")) == NULL)
			continue;
		while (!found && fgets(line, sizeof(line), f) != NULL)
			found = line_gates(&st, line, type);
		fclose(f);
	}
	return found;
}

static void
check_stack(struct doctor *d, const char *service)
{
	char path[256], text[300], name[64];
	bool account, session;

	snprintf(path, sizeof(path), "/etc/pam.d/%s", service);
	snprintf(name, sizeof(name), "pam %s", service);
	if (access(path, F_OK) != 0)
		return; /* the service is not there */
	account = stack_has(service, "account");
	session = stack_has(service, "session");
	snprintf(text, sizeof(text), "%s%s%s",
	    account ? "account is gated" : "account is not gated",
	    session ? ", session is registered" : ", session is not registered",
	    "");
	check(d, account && session ? GOOD : BAD, name, text,
	    "add the lines of pam_modelgate(8) to that file");
}

static void
check_mode(struct doctor *d, const char *path, mode_t bad, const char *fix)
{
	char text[300];
	struct stat st;

	if (lstat(path, &st) != 0) {
		snprintf(text, sizeof(text), "%s: %s", path, strerror(errno));
		check(d, errno == EACCES ? WARN : BAD, "files", text, fix);
		return;
	}
	snprintf(text, sizeof(text), "%s belongs to uid %u, mode %04o", path,
	    (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
	check(d, st.st_uid == 0 && (st.st_mode & bad) == 0 ? GOOD : BAD,
	    "files", text, fix);
}

int
mg_cmd_doctor(int argc, char **argv)
{
	static const struct option opts[] = {
	    {"json", 0, NULL, 'j'}, {NULL, 0, NULL, 0}};
	static const char *const services[] = {
	    "sshd", "sudo", "sudo-i", "su", "su-l", "login"};
	struct doctor d = {0};
	const char *line;
	size_t i;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "j", opts, NULL)) != -1) {
		if (c != 'j')
			return mg_cli_usage("doctor");
		d.json = true;
	}
	if (optind != argc)
		return mg_cli_usage("doctor");
	mg_buf_init(&d.out, 65536);
	mg_json_begin(&d.j, &d.out);
	mg_json_arr(&d.j, NULL);
	check_agent(&d);
	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		check_stack(&d, services[i]);
	check_mode(&d, MG_CONFDIR, 022, "chown root; chmod go-w");
	check_mode(&d, MG_CONFDIR "/policy.d", 022, "chown root; chmod go-w");
	check_mode(
	    &d, MG_CONFDIR "/allowed_signers", 022, "chown root; chmod go-w");
	check_mode(&d, "/var/lib/modelgate", 077, "chmod 700");
	mg_json_arr_end(&d.j);
	if (d.json && mg_json_end(&d.j) == MG_ERR_OK &&
	    (line = mg_buf_cstr(&d.out)) != NULL)
		printf("%s\n", line);
	mg_buf_fini(&d.out);
	if (!d.json)
		printf("%u failed, %u warnings\n", d.bad, d.warn);
	return d.bad > 0 ? 1 : 0;
}
