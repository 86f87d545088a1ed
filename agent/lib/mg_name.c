/* SPDX-License-Identifier: ISC */
/* The grammar of identifiers and name patterns. */
#include <stddef.h>
#include <getopt.h>
#include <string.h>

#include "mg_name.h"

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool
is_name_char(char c)
{
	return is_alnum(c) || c == '.' || c == '_' || c == '-';
}

/* NULL when valid, else the reason. */
static const char *
check(const char *s)
{
	size_t i;

	if (s[0] == '\0')
		return "is empty";
	if (s[0] == '-')
		return "begins with '-'";
	if (s[0] == '.')
		return "begins with '.'";
	for (i = 0; s[i] != '\0'; i++) {
		if (i >= MG_NAME_MAX)
			return "is longer than 96 characters";
		if (s[i] == '/')
			return "contains '/'";
		if (!is_name_char(s[i]))
			return "contains a character other than letters, "
			       "digits, '.', '_' and '-'";
	}
	if (!is_alnum(s[0]))
		return "does not begin with a letter or digit";
	if (strstr(s, "..") != NULL)
		return "contains '..'";
	return NULL;
}

bool
mg_name_is_valid(const char *s)
{
	return check(s) == NULL;
}

const char *
mg_name_why(const char *s)
{
	const char *why = check(s);

	return why == NULL ? "is valid" : why;
}

static bool
copy_part(const char *s, size_t n, char *out)
{
	char part[MG_NAME_MAX + 1];

	if (n > MG_NAME_MAX)
		return false;
	memcpy(part, s, n);
	part[n] = '\0';
	if (!mg_name_is_valid(part))
		return false;
	memcpy(out, part, n + 1);
	return true;
}

bool
mg_name_split_ref(const char *ref, char *model, char *version)
{
	const char *at = strchr(ref, '@');

	model[0] = version[0] = '\0';
	if (at == NULL)
		return copy_part(ref, strlen(ref), model);
	if (copy_part(at + 1, strlen(at + 1), version) &&
	    copy_part(ref, (size_t)(at - ref), model))
		return true;
	model[0] = version[0] = '\0';
	return false;
}

bool
mg_name_matches(const char *s, const char *pattern)
{
	const char *star = NULL, *resume = NULL;

	while (*s != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			resume = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star != NULL) {
			pattern = star + 1;
			s = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool
mg_name_is_slip(const char *s, size_t n, const char *name)
{
	size_t m = strlen(name), i;

	if (n < 3 || m < 3)
		return false;
	for (i = 0; i < n && i < m && s[i] == name[i]; i++)
		continue;
	s += i;
	name += i;
	n -= i;
	m -= i;
	while (n > 0 && m > 0 && s[n - 1] == name[m - 1]) {
		n--;
		m--;
	}
	if (n == 2 && m == 2)
		return s[0] == name[1] && s[1] == name[0];
	return n <= 1 && m <= 1 && n + m > 0;
}

const char *
mg_name_meant_option(const char *word, const struct option *longs)
{
	if (strncmp(word, "--", 2) != 0)
		return NULL;
	for (word += 2; longs->name != NULL; longs++)
		if (mg_name_is_slip(word, strcspn(word, "="), longs->name))
			return longs->name;
	return NULL;
}
