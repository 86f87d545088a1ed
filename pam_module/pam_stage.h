/* SPDX-License-Identifier: ISC */
#ifndef PAM_STAGE_H
#define PAM_STAGE_H

#include <security/pam_modules.h>

#include "pam_verdict.h"

/* One call of libpam, from its arguments to the return code. */
int pam_stage_run(pam_handle_t *pamh, int flags, int argc, const char **argv,
    enum pam_stage stage);

#endif
