/* SPDX-License-Identifier: ISC */
#ifndef PAM_ARGS_H
#define PAM_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/* The words behind the module's name on a line of pam.d. */

#define PAM_ARGS_TIMEOUT_MIN_MS 100
#define PAM_ARGS_TIMEOUT_MAX_MS 600000
#define PAM_ARGS_RESCUE_MAX 32 /* names */

struct pam_args {
	const char *operation; /* never NULL */
	const char *rescue;    /* "name,name", or "" */
	int timeout_ms;	       /* 0: not given */
	bool quiet;
	bool debug;
};

/*
 * Reads argv, whose strings must outlive args. False when a word is
 * unknown, malformed or given twice; why then says what is wrong, and args
 * holds nothing of use.
 */
bool pam_args_parse(int argc, const char **argv, struct pam_args *args,
    char *why, size_t why_size);

/* Whether rescue= names this user. */
bool pam_args_is_rescue(const struct pam_args *args, const char *user);

#endif
