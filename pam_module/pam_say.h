/* SPDX-License-Identifier: ISC */
#ifndef PAM_SAY_H
#define PAM_SAY_H

#include <security/pam_modules.h>
#include <stddef.h>

/* Words to the person, through the application's conversation. */

#define PAM_SAY_MAX 511 /* bytes; libpam's limit is 512 with the NUL */

/* Cuts the text in s to at most max bytes, between two characters. */
void pam_say_cut(char *s, size_t max);

/* One line each; a conversation that does not show them is no error. */
void pam_say_info(pam_handle_t *pamh, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void pam_say_error(pam_handle_t *pamh, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
