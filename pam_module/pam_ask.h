/* SPDX-License-Identifier: ISC */
#ifndef PAM_ASK_H
#define PAM_ASK_H

#include <security/pam_modules.h>
#include <stdbool.h>

#include "mg_msg.h"
#include "pam_args.h"
#include "pam_verdict.h"

/* The question for the agent, made from the items of a PAM handle. */

#define PAM_ASK_SERVICE_MAX 64
#define PAM_ASK_TTY_MAX 64
#define PAM_ASK_RHOST_MAX 255
#define PAM_ASK_INFO_MAX 16384

struct pam_ask {
	struct mg_pam_req req; /* points into what follows */
	const char *user;      /* PAM_USER; libpam's, for this stage only */
	char user_shown[128];  /* the same, fit for a log line */
	char service[PAM_ASK_SERVICE_MAX + 1];
	char tty[PAM_ASK_TTY_MAX + 1];
	char rhost[PAM_ASK_RHOST_MAX + 1];
	char *auth_info;  /* owned */
	bool is_stranger; /* nothing is proven about who is there, over ssh */
};

/*
 * Fills ask. Anything but MG_SIT_ALLOWED is how the stage comes out. To be
 * freed with pam_ask_fini() in any case.
 */
enum pam_situation pam_ask_init(struct pam_ask *ask, pam_handle_t *pamh,
    const struct pam_args *args, enum pam_stage stage);

void pam_ask_fini(struct pam_ask *ask);

/*
 * Copies s, at most max bytes of it, with what is not UTF-8 made '?'. A text
 * that is too long ends with its last whole line. NULL when memory is out.
 */
char *pam_ask_clean_text(const char *s, size_t max);

#endif
