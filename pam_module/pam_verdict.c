/* SPDX-License-Identifier: ISC */
/*
 * Situations to return codes.
 *
 * Rules
 * 1. PAM_SUCCESS is returned in one place, for situations named one by one.
 *    It is 0, so a hole in the table would read as success: what the table
 *    gives is never passed on as success.
 * 2. Never PAM_IGNORE: where every other module of a stack ignores too, or
 *    one of them succeeds, an error reported so lets people in.
 * 3. Never PAM_NEW_AUTHTOK_REQD or PAM_INCOMPLETE: "required" takes the
 *    first for success, the second suspends the stack.
 * 4. Never PAM_SESSION_ERR for a session that is to be opened: sudo takes
 *    that for no error, and goes on without the session.
 */
#include <security/pam_modules.h>
#include <stddef.h>

#include "pam_verdict.h"

/* clang-format off */
static const int refusals[MG_SIT_COUNT][MG_STAGE_COUNT] = {
	/*			auth			account
	 *			open			close */
	[MG_SIT_DENIED] = {	PAM_AUTH_ERR,		PAM_PERM_DENIED,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	[MG_SIT_AGENT_DOWN] = {	PAM_AUTHINFO_UNAVAIL,	PAM_AUTHINFO_UNAVAIL,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	[MG_SIT_NO_RECORD] = {	PAM_AUTHINFO_UNAVAIL,	PAM_AUTHINFO_UNAVAIL,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	[MG_SIT_BROKE_OFF] = {	PAM_AUTHINFO_UNAVAIL,	PAM_AUTHINFO_UNAVAIL,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	[MG_SIT_LOCKED] = {	PAM_MAXTRIES,		PAM_PERM_DENIED,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	/* Not PAM_USER_UNKNOWN to whoever is not in yet: it would tell
	 * which names exist. */
	[MG_SIT_NO_USER] = {	PAM_AUTH_ERR,		PAM_USER_UNKNOWN,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	[MG_SIT_CONV] = {	PAM_CONV_ERR,		PAM_CONV_ERR,
				PAM_PERM_DENIED,	PAM_SESSION_ERR},
	[MG_SIT_NO_MEMORY] = {	PAM_BUF_ERR,		PAM_BUF_ERR,
				PAM_BUF_ERR,		PAM_BUF_ERR},
	[MG_SIT_BAD_ARGS] = {	PAM_SERVICE_ERR,	PAM_SERVICE_ERR,
				PAM_SERVICE_ERR,	PAM_SERVICE_ERR},
};
/* clang-format on */

int
pam_verdict(enum pam_stage stage, enum pam_situation situation)
{
	int code = PAM_AUTH_ERR;

	if (situation == MG_SIT_ALLOWED || situation == MG_SIT_RESCUED ||
	    situation == MG_SIT_CONSOLE)
		return PAM_SUCCESS; /* Rule 1: the only one */
	if ((size_t)situation < MG_SIT_COUNT && (size_t)stage < MG_STAGE_COUNT)
		code = refusals[situation][stage];
	return code == PAM_SUCCESS ? PAM_AUTH_ERR : code;
}

const char *
pam_verdict_stage_word(enum pam_stage stage)
{
	switch (stage) {
	case MG_STAGE_AUTH:
		return "auth";
	case MG_STAGE_ACCOUNT:
		return "account";
	case MG_STAGE_OPEN:
		return "session open";
	case MG_STAGE_CLOSE:
		return "session close";
	case MG_STAGE_COUNT:
		break;
	}
	return "no stage";
}

const char *
pam_verdict_situation_word(enum pam_situation situation)
{
	switch (situation) {
	case MG_SIT_DENIED:
		return "refused";
	case MG_SIT_ALLOWED:
		return "allowed";
	case MG_SIT_RESCUED:
		return "let in by rescue=";
	case MG_SIT_CONSOLE:
		return "root on the console";
	case MG_SIT_AGENT_DOWN:
		return "the agent does not answer";
	case MG_SIT_NO_RECORD:
		return "the agent cannot keep its records";
	case MG_SIT_BROKE_OFF:
		return "the conversation broke off";
	case MG_SIT_LOCKED:
		return "too many wrong codes";
	case MG_SIT_NO_USER:
		return "no such user";
	case MG_SIT_CONV:
		return "no answer from the person";
	case MG_SIT_NO_MEMORY:
		return "out of memory";
	case MG_SIT_BAD_ARGS:
		return "bad module arguments";
	case MG_SIT_COUNT:
		break;
	}
	return "refused";
}
