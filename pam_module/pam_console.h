/* SPDX-License-Identifier: ISC */
#ifndef PAM_CONSOLE_H
#define PAM_CONSOLE_H

#include <security/pam_modules.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Root on the console always gets in, so that no fault of ours locks a host
 * up. Who claims to be that is judged by what the kernel says about this
 * process.
 */

#define PAM_CONSOLE_NO_UID UINT32_MAX

struct pam_console_facts {
	const char *service; /* PAM_SERVICE */
	const char *tty;     /* PAM_TTY, may be NULL */
	const char *rhost;   /* PAM_RHOST, may be NULL */
	uid_t real_uid;	     /* of this process */
	uint32_t loginuid;   /* PAM_CONSOLE_NO_UID: none */
	uint64_t terminal;   /* controlling terminal as /proc has it; 0: none */
};

/*
 * Whether a process of which these facts are true sits on a local console
 * and is root's, all but the account that is asked for.
 */
bool pam_console_judge(const struct pam_console_facts *f);

/* Gathers the facts and looks up the account as well. */
bool pam_console_is_root(pam_handle_t *pamh, const char *user);

/* This process's login uid; PAM_CONSOLE_NO_UID when it has none. */
uint32_t pam_console_loginuid(void);

#endif
