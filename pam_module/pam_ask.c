/* SPDX-License-Identifier: ISC */
/*
 * PAM items to a question.
 *
 * Rules
 * 1. Nothing a caller chose can keep the question from being asked: what
 *    does not fit is cut, what is not clean is made clean. Only a user name
 *    that the agent has no word for is refused.
 * 2. SSH_AUTH_INFO_0 is a variable of the PAM environment, which other
 *    modules can set too (pam_env from a file that the user writes, to lend
 *    a hardware-backed key to the record). sshd sets it again right before
 *    each stage's modules run. So it is believed from sshd only, a line that
 *    is in front of pam_env reads what sshd wrote, and the end of a session
 *    has no use for it.
 * 3. PAM_USER is read anew at each stage: modules may change it.
 */
#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_name.h"
#include "pam_ask.h"

#define INFO_VARIABLE "SSH_AUTH_INFO_0"

static const char *
item(pam_handle_t *pamh, int which)
{
	const void *v = NULL;

	if (pam_get_item(pamh, which, &v) != PAM_SUCCESS || v == NULL)
		return "";
	return v;
}

char *
pam_ask_clean_text(const char *s, size_t max)
{
	size_t n = strlen(s), len, used = 0;
	char *out, *nl;
	uint32_t cp;

	if ((out = malloc(max + 1)) == NULL)
		return NULL;
	for (; n > 0; s += len, n -= len) {
		if ((len = mg_utf8_next(s, n, &cp)) > max - used)
			break;
		if (len > 0)
			memcpy(out + used, s, len);
		else if (used < max)
			out[used] = '?';
		else
			break;
		len = len == 0 ? 1 : len;
		used += len;
	}
	out[used] = '\0';
	if (n > 0 && (nl = strrchr(out, '\n')) != NULL)
		nl[1] = '\0';
	return out;
}

/* Rule 2 */
static const char *
auth_info(pam_handle_t *pamh, enum pam_stage stage)
{
	const char *s;

	if (stage == MG_STAGE_CLOSE || strcmp(item(pamh, PAM_TTY), "ssh") != 0)
		return "";
	s = pam_getenv(pamh, INFO_VARIABLE);
	return s == NULL ? "" : s;
}

static enum pam_situation
get_user(struct pam_ask *ask, pam_handle_t *pamh, enum pam_stage stage)
{
	int r;

	if (stage == MG_STAGE_AUTH) {
		r = pam_get_user(pamh, &ask->user, NULL);
		if (r != PAM_SUCCESS)
			return r == PAM_BUF_ERR ? MG_SIT_NO_MEMORY
						: MG_SIT_CONV;
	} else {
		ask->user = item(pamh, PAM_USER); /* Rule 3 */
	}
	if (ask->user == NULL)
		ask->user = "";
	mg_esc_line(ask->user, ask->user_shown, sizeof(ask->user_shown));
	return mg_name_is_valid(ask->user) ? MG_SIT_ALLOWED : MG_SIT_NO_USER;
}

/* Whether s is a name that the message's field holds. */
static bool
is_service(const char *s)
{
	return strlen(s) <= PAM_ASK_SERVICE_MAX && mg_name_is_valid(s);
}

enum pam_situation
pam_ask_init(struct pam_ask *ask, pam_handle_t *pamh,
    const struct pam_args *args, enum pam_stage stage)
{
	const char *s;
	enum pam_situation sit;

	memset(ask, 0, sizeof(*ask));
	if ((sit = get_user(ask, pamh, stage)) != MG_SIT_ALLOWED)
		return sit;
	s = item(pamh, PAM_SERVICE);
	s = is_service(s) ? s : "unknown"; /* Rule 1 */
	memcpy(ask->service, s, strlen(s) + 1);
	s = item(pamh, PAM_TTY);
	if (strncmp(s, "/dev/", 5) == 0)
		s += 5;
	mg_esc_line(s, ask->tty, sizeof(ask->tty));
	mg_esc_line(item(pamh, PAM_RHOST), ask->rhost, sizeof(ask->rhost));
	s = auth_info(pamh, stage);
	ask->auth_info = pam_ask_clean_text(s, PAM_ASK_INFO_MAX);
	if (ask->auth_info == NULL)
		return MG_SIT_NO_MEMORY;
	ask->is_stranger = stage == MG_STAGE_AUTH &&
			   ask->auth_info[0] == '\0' && ask->rhost[0] != '\0';
	ask->req.service = ask->service;
	ask->req.user = ask->user;
	ask->req.operation = args->operation;
	ask->req.tty = ask->tty;
	ask->req.rhost = ask->rhost;
	ask->req.auth_info = ask->auth_info;
	return MG_SIT_ALLOWED;
}

void
pam_ask_fini(struct pam_ask *ask)
{
	free(ask->auth_info);
	ask->auth_info = NULL;
}
