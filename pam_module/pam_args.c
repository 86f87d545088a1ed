/* SPDX-License-Identifier: ISC */
/*
 * The module's words.
 *
 * Rules
 * 1. A line that is not understood as a whole is an error, and an error
 *    refuses: a mistyped word must not leave a gate open that its author
 *    believes shut.
 */
#include <stdio.h>
#include <string.h>

#include "mg_esc.h"
#include "mg_name.h"
#include "pam_args.h"

#define DEFAULT_OPERATION "login"

/* The value of "KEY=VALUE", or NULL when word is something else. */
static const char *
value_of(const char *word, const char *key)
{
	size_t n = strlen(key);

	if (strncmp(word, key, n) != 0 || word[n] != '=')
		return NULL;
	return word + n + 1;
}

/* Copies the name up to ',' or the end; NULL when it is not one. */
static const char *
next_name(const char *list, char name[MG_NAME_MAX + 1])
{
	size_t n = strcspn(list, ",");

	if (n > MG_NAME_MAX)
		return NULL;
	memcpy(name, list, n);
	name[n] = '\0';
	return mg_name_is_valid(name) ? list + n : NULL;
}

static bool
is_name_list(const char *list)
{
	char name[MG_NAME_MAX + 1];
	int n;

	for (n = 0; n < PAM_ARGS_RESCUE_MAX; n++) {
		if ((list = next_name(list, name)) == NULL)
			return false;
		if (*list == '\0')
			return true;
		list++;
	}
	return false;
}

/* A number within the limits of timeout=, else 0. */
static int
parse_ms(const char *s)
{
	int v = 0;

	if (*s == '0')
		return 0;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return 0;
		v = v * 10 + (*s - '0');
		if (v > PAM_ARGS_TIMEOUT_MAX_MS)
			return 0;
	}
	return v >= PAM_ARGS_TIMEOUT_MIN_MS ? v : 0;
}

/* NULL when the word is fine, else what is wrong with it. */
static const char *
take_word(const char *word, struct pam_args *args)
{
	const char *v;

	if ((v = value_of(word, "operation")) != NULL) {
		if (args->operation != NULL)
			return "is given twice";
		args->operation = v;
		return mg_name_is_valid(v) ? NULL : "is not an operation";
	}
	if ((v = value_of(word, "rescue")) != NULL) {
		if (args->rescue != NULL)
			return "is given twice";
		args->rescue = v;
		return is_name_list(v) ? NULL : "is not a list of users";
	}
	if ((v = value_of(word, "timeout")) != NULL) {
		if (args->timeout_ms != 0)
			return "is given twice";
		args->timeout_ms = parse_ms(v);
		return args->timeout_ms != 0
			   ? NULL
			   : "is not a time from 100 to 600000 ms";
	}
	if (strcmp(word, "quiet") == 0 && !args->quiet) {
		args->quiet = true;
		return NULL;
	}
	if (strcmp(word, "debug") == 0 && !args->debug) {
		args->debug = true;
		return NULL;
	}
	return "is not known here";
}

bool
pam_args_parse(int argc, const char **argv, struct pam_args *args, char *why,
    size_t why_size)
{
	const char *problem;
	char word[128];
	int i;

	memset(args, 0, sizeof(*args));
	for (i = 0; i < argc; i++) {
		problem =
		    argv[i] == NULL ? "is missing" : take_word(argv[i], args);
		if (problem == NULL)
			continue;
		mg_esc_line(argv[i] == NULL ? "" : argv[i], word, sizeof(word));
		snprintf(why, why_size, "'%s' %s", word, problem);
		return false; /* Rule 1 */
	}
	if (args->operation == NULL)
		args->operation = DEFAULT_OPERATION;
	if (args->rescue == NULL)
		args->rescue = "";
	return true;
}

bool
pam_args_is_rescue(const struct pam_args *args, const char *user)
{
	char name[MG_NAME_MAX + 1];
	const char *list = args->rescue;

	while (*list != '\0') {
		if ((list = next_name(list, name)) == NULL)
			return false;
		if (strcmp(name, user) == 0)
			return true;
		if (*list == ',')
			list++;
	}
	return false;
}
