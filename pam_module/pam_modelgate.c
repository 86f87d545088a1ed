/* SPDX-License-Identifier: ISC */
/* What libpam calls in sshd, sudo, su and login. Nothing else is exported. */
#include <security/pam_modules.h>

#include "pam_stage.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int
pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return pam_stage_run(pamh, flags, argc, argv, MG_STAGE_AUTH);
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
	return pam_stage_run(pamh, flags, argc, argv, MG_STAGE_ACCOUNT);
}

EXPORT int
pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return pam_stage_run(pamh, flags, argc, argv, MG_STAGE_OPEN);
}

EXPORT int
pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return pam_stage_run(pamh, flags, argc, argv, MG_STAGE_CLOSE);
}
