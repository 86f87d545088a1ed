/* SPDX-License-Identifier: ISC */
/*
 * The PAM stacks, read as libpam reads them (pam.conf(5)): whether every way
 * through a service's stack passes pam_modelgate.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doc.h"

#define LINES_MAX 256
#define DEPTH_MAX 8
#define MODULE "pam_modelgate.so"
#define FIX "add the lines of pam_modelgate(8) to that file"

struct line {
	char control[128], module[128], args[256], file[64];
	unsigned no;
	bool in_substack; /* "done" in it ends the substack only */
};

struct stack {
	struct line v[LINES_MAX];
	size_t n;
	bool too_long;
};

/* A file that is being read; includes are read in their place. */
struct level {
	FILE *f;
	char name[64];
	unsigned no;
	bool is_substack;
};

static bool
push(struct level *at, size_t *depthp, const char *name, bool is_substack)
{
	char path[256];
	FILE *f;

	if (*depthp == DEPTH_MAX || name[0] == '\0' ||
	    strchr(name, '/') != NULL)
		return false;
	snprintf(path, sizeof(path), "/etc/pam.d/%s", name);
	if ((f = fopen(path, "re")) == NULL)
		return false;
	at[*depthp].f = f;
	at[*depthp].no = 0;
	at[*depthp].is_substack = is_substack;
	snprintf(at[*depthp].name, sizeof(at[*depthp].name), "%s", name);
	(*depthp)++; /* analyzer: whoever reads f closes it */
	return true;
}

/* Cuts the next word, or "[words in brackets]", off *sp. */
static void
word(char **sp, char *out, size_t size)
{
	char *s = *sp + strspn(*sp, " \t");
	size_t n;

	if (*s == '[' && strchr(s, ']') != NULL)
		n = (size_t)(strchr(s, ']') - s) + 1;
	else
		n = strcspn(s, " \t");
	snprintf(out, size, "%.*s", (int)n, s);
	*sp = s + n;
}

/* Reads lines of type into st; includes are followed. */
static void
read_stack(struct stack *st, const char *service, const char *type)
{
	struct level at[DEPTH_MAX];
	char text[1024], first[128], rest[64], *s;
	size_t depth = 0;
	struct line *l;

	st->n = 0;
	st->too_long = false;
	(void)push(at, &depth, service, false);
	while (depth > 0) {
		struct level *top = &at[depth - 1];

		if (fgets(text, sizeof(text), top->f) == NULL) {
			fclose(top->f);
			depth--;
			continue;
		}
		top->no++;
		text[strcspn(text, "#\n")] = '\0';
		s = text;
		word(&s, first, sizeof(first));
		if (strcmp(first, "@include") == 0) {
			word(&s, rest, sizeof(rest));
			(void)push(at, &depth, rest, top->is_substack);
			continue;
		}
		if (strcmp(first, type) != 0 || st->n == LINES_MAX) {
			st->too_long = st->too_long || st->n == LINES_MAX;
			continue;
		}
		l = &st->v[st->n];
		word(&s, l->control, sizeof(l->control));
		word(&s, l->module, sizeof(l->module));
		snprintf(l->args, sizeof(l->args), "%s", s + strspn(s, " \t"));
		snprintf(l->file, sizeof(l->file), "%s", top->name);
		l->no = top->no;
		l->in_substack = top->is_substack;
		if (strcmp(l->control, "include") == 0 ||
		    strcmp(l->control, "substack") == 0)
			(void)push(at, &depth, l->module,
			    top->is_substack || l->control[0] == 's');
		else
			st->n++;
	}
}

static bool
is_ours(const struct line *l)
{
	const char *slash = strrchr(l->module, '/');

	return strcmp(slash == NULL ? l->module : slash + 1, MODULE) == 0;
}

/* How many lines behind it a success of l skips; LINES_MAX: all. */
static size_t
skips(const struct line *l)
{
	const char *s;

	/* Root may become anybody: there is nothing to ask. */
	if (strcmp(l->module, "pam_succeed_if.so") == 0 &&
	    strstr(l->args, "use_uid uid = 0") != NULL)
		return 0;
	if (strcmp(l->control, "sufficient") == 0)
		return l->in_substack ? 0 : LINES_MAX;
	if ((s = strstr(l->control, "success=")) == NULL)
		return 0;
	s += strlen("success=");
	if (strncmp(s, "done", 4) == 0)
		return l->in_substack ? 0 : LINES_MAX;
	return (size_t)strtoul(s, NULL, 10);
}

/*
 * The line of ours that every success of the stack passes, or NULL; *byp is
 * then the line that leads around it, or NULL when there is none of ours.
 */
static const struct line *
gate(const struct stack *st, const struct line **byp)
{
	size_t i, ours;

	*byp = NULL;
	for (ours = 0; ours < st->n; ours++)
		if (is_ours(&st->v[ours]) &&
		    (strcmp(st->v[ours].control, "required") == 0 ||
			strcmp(st->v[ours].control, "requisite") == 0))
			break;
	if (ours == st->n)
		return NULL;
	for (i = 0; i < ours; i++) {
		if (i + skips(&st->v[i]) < ours)
			continue;
		*byp = &st->v[i];
		return NULL;
	}
	return &st->v[ours];
}

/* What must stand behind operation= there; "": nothing. */
static const char *
operation_of(const char *service)
{
	return strcmp(service, "doas") == 0 || strncmp(service, "su", 2) == 0
		   ? "root-shell"
		   : "";
}

static bool
says_operation(const struct line *l, const char *operation)
{
	const char *s = strstr(l->args, "operation=");
	size_t n = strlen(operation);

	if (s == NULL)
		return n == 0;
	s += strlen("operation=");
	return n == 0 || (strncmp(s, operation, n) == 0 &&
			     (s[n] == '\0' || s[n] == ' ' || s[n] == '\t'));
}

static void
check_service(struct doc *d, const char *service)
{
	static struct stack account, session; /* large */
	const struct line *by, *a, *s, *unused;
	char path[256], name[64];

	snprintf(path, sizeof(path), "/etc/pam.d/%s", service);
	snprintf(name, sizeof(name), "pam %s", service);
	if (access(path, F_OK) != 0)
		return; /* the service is not there */
	read_stack(&account, service, "account");
	read_stack(&session, service, "session");
	a = gate(&account, &by);
	s = gate(&session, &unused);
	if (by != NULL)
		doc_say(d, DOC_BAD, name,
		    "put the line of " MODULE " in front of it",
		    "%s:%u: a success of %s leads around " MODULE, by->file,
		    by->no, by->module);
	else if (a == NULL)
		doc_say(d, DOC_BAD, name, FIX,
		    "nobody is stopped: no 'account required " MODULE "'");
	else if (!says_operation(a, operation_of(service)))
		doc_say(d, DOC_BAD, name, "write operation=root-shell there",
		    "%s:%u: asks for '%s', and this service gives a shell",
		    a->file, a->no, a->args);
	else if (s == NULL)
		doc_say(d, DOC_BAD, name, FIX,
		    "account is gated, but sessions are not registered, and "
		    "logout ends no grant");
	else
		doc_say(d, DOC_GOOD, name, "",
		    "account is gated, session is registered");
}

/* The module is there, and nobody but root can replace it. */
static void
check_module(struct doc *d)
{
	static const char *const where[] = {"/lib/*/security/" MODULE,
	    "/usr/lib/*/security/" MODULE, "/lib/security/" MODULE,
	    "/lib64/security/" MODULE};
	struct stat st;
	glob_t g;
	size_t i;

	for (i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		if (glob(where[i], 0, NULL, &g) != 0)
			continue;
		if (stat(g.gl_pathv[0], &st) == 0 && st.st_uid == 0 &&
		    (st.st_mode & 022) == 0)
			doc_say(
			    d, DOC_GOOD, "pam module", "", "%s", g.gl_pathv[0]);
		else
			doc_say(d, DOC_BAD, "pam module",
			    "chown root; chmod go-w", "%s can be replaced",
			    g.gl_pathv[0]);
		globfree(&g);
		return;
	}
	doc_say(d, DOC_BAD, "pam module", "make install",
	    MODULE " is not installed: the stacks refuse everybody");
}

static void
sshd_line(void *arg, const char *line)
{
	int *use_pam = arg;

	if (strncmp(line, "usepam ", 7) == 0)
		*use_pam = strcmp(line, "usepam yes\n") == 0;
}

/* sshd asks PAM only when it is told to. */
static void
check_sshd(struct doc *d)
{
	static const char *const argv[] = {"/usr/sbin/sshd", "-T", NULL};
	int use_pam = -1;

	if (getuid() != 0 || access(argv[0], X_OK) != 0 ||
	    !doc_output(argv, sshd_line, &use_pam) || use_pam == -1)
		return;
	doc_say(d, use_pam ? DOC_GOOD : DOC_BAD, "sshd",
	    "UsePAM yes in /etc/ssh/sshd_config",
	    use_pam ? "asks PAM" : "does not ask PAM: UsePAM is no");
}

/* pkexec asks polkit, whose rules may let in without any stack. */
static void
check_pkexec(struct doc *d)
{
	struct stat st;

	if (stat("/usr/bin/pkexec", &st) == 0 && (st.st_mode & S_ISUID) != 0)
		doc_say(d, DOC_WARN, "pkexec",
		    "chmod u-s /usr/bin/pkexec, or remove its package",
		    "polkit's rules decide who becomes root with it, not the "
		    "policy");
}

void
doc_pam(struct doc *d)
{
	static const char *const services[] = {
	    "sshd", "sudo", "sudo-i", "su", "su-l", "login"};
	size_t i;

	check_module(d);
	check_sshd(d);
	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		check_service(d, services[i]);
	/* It lets nobody in without that file. */
	if (access("/etc/doas.conf", F_OK) == 0)
		check_service(d, "doas");
	check_pkexec(d);
}
