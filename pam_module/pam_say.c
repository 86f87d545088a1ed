/* SPDX-License-Identifier: ISC */
/*
 * Words to the person.
 *
 * Rules
 * 1. Text from the agent is printing characters only (mg_msg.h), and is
 *    never a format.
 */
#include <security/pam_ext.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pam_say.h"

/* Room for two texts of the agent's and the words around them. */
#define LINE_MAX_BYTES 4096

void
pam_say_cut(char *s, size_t max)
{
	if (strlen(s) <= max)
		return;
	while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	s[max] = '\0';
}

static void say(pam_handle_t *pamh, int style, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
say(pam_handle_t *pamh, int style, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];

	vsnprintf(line, sizeof(line), fmt, ap);
	pam_say_cut(line, PAM_SAY_MAX);
	(void)pam_prompt(pamh, style, NULL, "%s", line); /* Rule 1 */
}

void
pam_say_info(pam_handle_t *pamh, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(pamh, PAM_TEXT_INFO, fmt, ap);
	va_end(ap);
}

void
pam_say_error(pam_handle_t *pamh, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(pamh, PAM_ERROR_MSG, fmt, ap);
	va_end(ap);
}
