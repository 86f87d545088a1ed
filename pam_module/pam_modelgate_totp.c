/* SPDX-License-Identifier: ISC */
/*
 * The second factor that modelgate brings along: a one-time password. For
 * /etc/pam.d/modelgate, which mg-auth runs as root; never loaded in sshd.
 *
 * Rules
 * 1. Success is said in one place, after the code's step is on disk.
 * 2. Whoever comes from another host and is not logged in yet is asked for
 *    a code whether there is a factor or not: the missing question would
 *    tell who has none. Whoever is logged in is told at once.
 * 3. Codes are wiped and never logged.
 */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "mg_esc.h"
#include "mg_time.h"
#include "mg_totp.h"

#define EXPORT __attribute__((visibility("default")))
#define PROMPT "Verification code: "

/* A word for mg-auth, and the code that goes with it. */
static int
refuse(pam_handle_t *pamh, const char *word, int code)
{
	char setting[sizeof(MG_TOTP_VARIABLE) + 16];

	snprintf(setting, sizeof(setting), MG_TOTP_VARIABLE "=%s", word);
	(void)pam_putenv(pamh, setting);
	return code;
}

static int
broken(pam_handle_t *pamh, const char *user, enum mg_err r, const char *why)
{
	if (r == MG_ERR_NOMEM)
		return PAM_BUF_ERR;
	pam_syslog(pamh,
	    r == MG_ERR_FORMAT || r == MG_ERR_PERM || r == MG_ERR_SEALED
		? LOG_ALERT
		: LOG_ERR,
	    "cannot check the second factor in " MG_TOTP_DIR "/%s: %s", user,
	    why[0] != '\0' ? why : mg_err_str(r));
	return refuse(pamh, MG_TOTP_WORD_BROKEN, PAM_AUTHINFO_UNAVAIL);
}

/* Whether the person has a factor: MG_ERR_OK or MG_ERR_NOENT. */
static enum mg_err
look(const char *user, char *why, size_t size)
{
	struct mg_totp_store st;
	struct mg_totp t;
	enum mg_err r;

	if ((r = mg_totp_store_init(&st, MG_TOTP_DIR, why, size)) != MG_ERR_OK)
		return r;
	r = mg_totp_store_load(&st, user, &t, why, size);
	mg_totp_wipe(&t);
	mg_totp_store_fini(&st);
	return r;
}

/* Rule 2 */
static bool
is_stranger(pam_handle_t *pamh)
{
	const void *rhost = NULL, *tty = NULL;

	if (pam_get_item(pamh, PAM_RHOST, &rhost) != PAM_SUCCESS ||
	    pam_get_item(pamh, PAM_TTY, &tty) != PAM_SUCCESS)
		return true;
	if (rhost == NULL || ((const char *)rhost)[0] == '\0')
		return false;
	return tty == NULL || ((const char *)tty)[0] == '\0' ||
	       strcmp(tty, "ssh") == 0;
}

/* The person's answer, the caller's to wipe and free; NULL for none. */
static char *
ask(pam_handle_t *pamh, int *codep)
{
	char *resp = NULL;

	*codep = pam_prompt(pamh, PAM_PROMPT_ECHO_OFF, &resp, "%s", PROMPT);
	if (*codep == PAM_SUCCESS && resp == NULL)
		*codep = PAM_CONV_ERR;
	return resp;
}

static int
judge(pam_handle_t *pamh, const char *user, const char *code)
{
	enum mg_totp_result result;
	char why[256] = "";
	enum mg_err r;

	r = mg_totp_check(MG_TOTP_DIR, user, mg_time_wall_ms() / 1000, code,
	    &result, why, sizeof(why));
	if (r == MG_ERR_NOENT)
		return refuse(pamh, MG_TOTP_WORD_UNSET, PAM_USER_UNKNOWN);
	if (r != MG_ERR_OK)
		return broken(pamh, user, r, why);
	switch (result) {
	case MG_TOTP_ACCEPTED:
		return PAM_SUCCESS; /* Rule 1 */
	case MG_TOTP_REPLAYED:
		pam_syslog(pamh, LOG_NOTICE, "used code for '%s'", user);
		return refuse(pamh, MG_TOTP_WORD_REPLAY, PAM_AUTH_ERR);
	case MG_TOTP_WRONG:
		break;
	}
	pam_syslog(pamh, LOG_NOTICE, "wrong code for '%s'", user);
	return refuse(pamh, MG_TOTP_WORD_WRONG, PAM_AUTH_ERR);
}

static int
authenticate(pam_handle_t *pamh)
{
	const char *user = NULL;
	char why[256] = "", *code;
	enum mg_err r;
	int ret;

	if ((ret = pam_get_user(pamh, &user, NULL)) != PAM_SUCCESS)
		return ret == PAM_BUF_ERR ? ret : PAM_CONV_ERR;
	if (user == NULL || !mg_name_is_valid(user))
		return refuse(pamh, MG_TOTP_WORD_UNSET, PAM_USER_UNKNOWN);
	r = look(user, why, sizeof(why));
	/* No folder: nobody was ever enrolled here. */
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		return broken(pamh, user, r, why);
	if (r == MG_ERR_NOENT && !is_stranger(pamh))
		return refuse(pamh, MG_TOTP_WORD_UNSET, PAM_USER_UNKNOWN);
	code = ask(pamh, &ret);
	if (ret == PAM_SUCCESS)
		ret = judge(pamh, user, code);
	if (code != NULL)
		explicit_bzero(code, strlen(code)); /* Rule 3 */
	free(code);
	return ret;
}

EXPORT int
pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	char word[128];

	(void)flags;
	if (argc > 0) {
		mg_esc_line(argv[0], word, sizeof(word));
		pam_syslog(pamh, LOG_ERR,
		    "refused: argument '%s' is not "
		    "known here",
		    word);
		return PAM_SERVICE_ERR;
	}
	return authenticate(pamh);
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
