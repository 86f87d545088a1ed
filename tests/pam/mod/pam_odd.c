/* SPDX-License-Identifier: ISC */
/*
 * A PAM module for tests that does what its arguments say, in order:
 *
 *	ask		a question with echo, "Odd? "
 *	ask=N		N of them
 *	info=N		N messages
 *	dirty		a message with escape codes, two lines and 600 bytes
 *	binary		a message of an unknown style
 *	user=NAME	changes PAM_USER
 *	word=WORD	sets MODELGATE_TOTP, as the second factor would
 *	password=TEXT	leaves it for later modules
 *	env=A=B		sets a variable of the PAM environment
 *	dump=FILE	writes what the process looks like to FILE
 *	hang		blocks every signal and never returns
 *	return=N	what to return; 0 if not given
 */
#include <dirent.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern char **environ;

static void
dump_fds(FILE *f)
{
	struct dirent *e;
	DIR *d;

	if ((d = opendir("/proc/self/fd")) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			fprintf(f, "fd %s\n", e->d_name);
	closedir(d);
}

static void
dump(pam_handle_t *pamh, const char *path)
{
	const void *tty = NULL, *rhost = NULL, *ruser = NULL;
	char dir[256] = "";
	struct rlimit rl;
	mode_t mask;
	FILE *f;
	char **e;

	mask = umask(0);
	umask(mask);
	if ((f = fopen(path, "w")) == NULL)
		return;
	for (e = environ; *e != NULL; e++)
		fprintf(f, "env %s\n", *e);
	fprintf(f, "umask %03o\n", (unsigned)mask);
	if (getcwd(dir, sizeof(dir)) != NULL)
		fprintf(f, "cwd %s\n", dir);
	if (getrlimit(RLIMIT_CORE, &rl) == 0)
		fprintf(f, "core %ld\n", (long)rl.rlim_cur);
	fprintf(f, "dumpable %d\n", prctl(PR_GET_DUMPABLE));
	fprintf(f, "nnp %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	(void)pam_get_item(pamh, PAM_TTY, &tty);
	(void)pam_get_item(pamh, PAM_RHOST, &rhost);
	(void)pam_get_item(pamh, PAM_RUSER, &ruser);
	fprintf(f, "tty %s\nrhost %s\nruser %s\n",
	    tty == NULL ? "" : (const char *)tty,
	    rhost == NULL ? "" : (const char *)rhost,
	    ruser == NULL ? "" : (const char *)ruser);
	dump_fds(f);
	fclose(f);
}

static void
dirty(pam_handle_t *pamh)
{
	char big[601];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0'; /* libpam passes 511 on */
	(void)pam_info(pamh, "one \033[2J\nt\002wo\\\n");
	(void)pam_prompt(pamh, PAM_ERROR_MSG, NULL, "%s", big);
}

static int
unknown_style(pam_handle_t *pamh)
{
	const void *v = NULL;
	const struct pam_conv *conv;
	struct pam_message m = {.msg_style = 42, .msg = "?"};
	const struct pam_message *mp = &m;
	struct pam_response *resp = NULL;

	if (pam_get_item(pamh, PAM_CONV, &v) != PAM_SUCCESS || v == NULL)
		return PAM_SYSTEM_ERR;
	conv = v;
	return conv->conv(1, &mp, &resp, conv->appdata_ptr);
}

static void
hang(void)
{
	sigset_t all;

	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	for (;;)
		pause();
}

static int
questions(pam_handle_t *pamh, long n)
{
	char *resp = NULL;
	int ret = PAM_SUCCESS;

	for (; n > 0 && ret == PAM_SUCCESS; n--) {
		ret = pam_prompt(pamh, PAM_PROMPT_ECHO_ON, &resp, "Odd? ");
		free(resp);
		resp = NULL;
	}
	return ret;
}

static int
one_word(pam_handle_t *pamh, const char *w)
{
	const char *v = strchr(w, '=');
	char setting[64];
	long n;

	v = v == NULL ? "1" : v + 1;
	n = strtol(v, NULL, 10);
	if (strncmp(w, "ask", 3) == 0)
		return questions(pamh, n);
	if (strncmp(w, "info=", 5) == 0)
		while (n-- > 0)
			(void)pam_info(pamh, "message");
	if (strcmp(w, "dirty") == 0)
		dirty(pamh);
	if (strcmp(w, "binary") == 0)
		return unknown_style(pamh);
	if (strncmp(w, "user=", 5) == 0)
		return pam_set_item(pamh, PAM_USER, v);
	if (strncmp(w, "word=", 5) == 0) {
		snprintf(setting, sizeof(setting), "MODELGATE_TOTP=%s", v);
		return pam_putenv(pamh, setting);
	}
	if (strncmp(w, "password=", 9) == 0)
		return pam_set_item(pamh, PAM_AUTHTOK, v);
	if (strncmp(w, "env=", 4) == 0)
		return pam_putenv(pamh, v);
	if (strncmp(w, "dump=", 5) == 0)
		dump(pamh, v);
	if (strcmp(w, "hang") == 0)
		hang();
	if (strncmp(w, "return=", 7) == 0)
		return (int)n;
	return PAM_SUCCESS;
}

static int
run(pam_handle_t *pamh, int argc, const char **argv)
{
	int i, ret = PAM_SUCCESS;

	for (i = 0; i < argc && ret == PAM_SUCCESS; i++)
		ret = one_word(pamh, argv[i]);
	return ret;
}

EXPORT int
pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return run(pamh, argc, argv);
}

EXPORT int
pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}

EXPORT int
pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return run(pamh, argc, argv);
}

EXPORT int
pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return run(pamh, argc, argv);
}

EXPORT int
pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return run(pamh, argc, argv);
}
