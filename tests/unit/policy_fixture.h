/* SPDX-License-Identifier: ISC */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

/* What tests of the policy share: policies from strings, people from lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pol.h"

/* 2026-11-24 10:00 UTC, a Tuesday. */
#define NOON INT64_C(1795514400000)

static struct mg_diags ds __attribute__((unused));

/* "user: group group" lines; a user without a line is unknown. */
struct fixture_people {
	const char *groups[16][8]; /* user, then groups */
	const char *aliases[4][2]; /* two names of one person */
};

static const char *const *
fixture_groups_of(void *arg, const char *user, size_t *np)
{
	const struct fixture_people *fp = arg;
	size_t i, n;

	for (i = 0; i < 16 && fp->groups[i][0] != NULL; i++) {
		if (strcmp(fp->groups[i][0], user) != 0)
			continue;
		for (n = 0; n < 7 && fp->groups[i][n + 1] != NULL;)
			n++;
		*np = n;
		return fp->groups[i] + 1;
	}
	*np = 0;
	return NULL;
}

static const char *const *
fixture_members_of(void *arg, const char *group, size_t *np)
{
	static const char *out[16];
	const struct fixture_people *fp = arg;
	size_t i, j, n = 0;

	for (i = 0; i < 16 && fp->groups[i][0] != NULL; i++)
		for (j = 1; j < 8 && fp->groups[i][j] != NULL; j++)
			if (strcmp(fp->groups[i][j], group) == 0)
				out[n++] = fp->groups[i][0];
	*np = n;
	return n == 0 ? NULL : out;
}

static bool
fixture_is_same(void *arg, const char *a, const char *b)
{
	const struct fixture_people *fp = arg;
	size_t i;

	for (i = 0; i < 4 && fp->aliases[i][0] != NULL; i++)
		if ((strcmp(fp->aliases[i][0], a) == 0 &&
			strcmp(fp->aliases[i][1], b) == 0) ||
		    (strcmp(fp->aliases[i][0], b) == 0 &&
			strcmp(fp->aliases[i][1], a) == 0))
			return true;
	return strcmp(a, b) == 0;
}

/* All of them are known and in no group. */
static const char *const *
fixture_no_groups(void *arg, const char *user, size_t *np)
{
	static const char *const none[1];

	(void)arg;
	(void)user;
	*np = 0;
	return none;
}

static const struct mg_people nobody_in_groups
    __attribute__((unused)) = {.groups_of = fixture_no_groups};

__attribute__((unused)) static struct mg_people
people_of(struct fixture_people *fp)
{
	struct mg_people people = {.arg = fp,
	    .groups_of = fixture_groups_of,
	    .members_of = fixture_members_of,
	    .is_same = fixture_is_same};

	return people;
}

__attribute__((unused)) static struct mg_policy *
try_load(const char *text)
{
	const struct pol_text t = {.dir = "policy.d",
	    .name = "t.ini",
	    .bytes = text,
	    .len = strlen(text)};
	struct mg_policy *p;
	enum mg_err r;

	mg_diags_init(&ds);
	r = pol_load_texts(&t, 1, &p, &ds);
	assert_int_equal(r == MG_ERR_OK, p != NULL);
	assert_int_equal(r == MG_ERR_OK, ds.errors == 0);
	return p;
}

__attribute__((unused)) static struct mg_policy *
must_load(const char *text)
{
	struct mg_policy *p = try_load(text);

	if (p == NULL)
		mg_diags_print(&ds, stderr);
	assert_non_null(p);
	return p;
}

/* The text is refused, and the first error reads so. */
#define assert_bad(text, message) assert_bad_at(__LINE__, text, message)

__attribute__((unused)) static void
assert_bad_at(int line, const char *text, const char *message)
{
	struct mg_policy *p = try_load(text);
	char first[MG_DIAG_TEXT_MAX + MG_DIAG_FILE_MAX];

	mg_diags_first(&ds, first, sizeof(first));
	if (p != NULL || strcmp(first, message) != 0)
		print_error("line %d: %s\nnot: %s\n", line,
		    p == NULL ? first : "it loads", message);
	assert_null(p);
	assert_string_equal(first, message);
}

/* An ask with everything empty that is not given. */
__attribute__((unused)) static struct mg_ask
ask_for(const char *user, const char *operation, const char *model)
{
	struct mg_ask ask = {.user = user,
	    .people = &nobody_in_groups,
	    .operation = operation,
	    .model = model,
	    .version = model[0] == '\0' ? "" : "1",
	    .host = "host-1",
	    .from = "",
	    .now_ms = NOON,
	    .login_key = ""};

	return ask;
}

#endif
