/* SPDX-License-Identifier: ISC */
#ifndef MG_NAME_H
#define MG_NAME_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Identifiers: [A-Za-z0-9][A-Za-z0-9._-]{0,95}, without "..". Path-safe by
 * construction, never an option, never hidden. DESIGN: words, "model".
 */

#define MG_NAME_MAX 96

/* Longest "model@version". */
#define MG_REF_MAX (2 * MG_NAME_MAX + 1)

/* Whether s is an identifier (operation, model, version, role, user). */
bool mg_name_is_valid(const char *s);

/*
 * Why s is not an identifier, as words to print after the quoted name:
 * "begins with '-'", "is longer than 96 characters", ... Never NULL; for a
 * valid name it reads "is valid".
 */
const char *mg_name_why(const char *s);

/*
 * Splits "model[@version]" into two buffers of MG_NAME_MAX + 1 bytes; the
 * version is empty when there is none. False, and both are empty, unless
 * each part that is there is an identifier.
 */
bool mg_name_split_ref(const char *ref, char *model, char *version);

/*
 * Whether s matches a pattern of literal characters, '*' (any run) and '?'
 * (any one). Time is O(length * length), no recursion.
 */
bool mg_name_matches(const char *s, const char *pattern);

/*
 * Whether the first n bytes of s are name with one slip: a character too many,
 * too few or another, or two neighbours exchanged. For "is it 'name'?"; so not
 * for equal ones, nor for those of fewer than three characters.
 */
bool mg_name_is_slip(const char *s, size_t n, const char *name);

/*
 * Which long option a word of a command line ("--nmae", "--nmae=x") is, but
 * for one slip. NULL: none.
 */
struct option;
const char *mg_name_meant_option(const char *word, const struct option *longs);

#endif
