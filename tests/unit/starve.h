/* SPDX-License-Identifier: ISC */
#ifndef STARVE_H
#define STARVE_H

#include <stdbool.h>

/*
 * What the code under test asks for fails in turn, in this very process:
 * memory (its own and jansson's), what libcrypto makes, system calls. The
 * makefile links tests/unit/test_starve_*.c with --wrap for every name that
 * starve.c has a WRAP() of. After each run nothing may be left: no memory,
 * no descriptor.
 */

#define STARVE_MEMORY 1U /* malloc() and its kind, of our own code */
#define STARVE_JSON 2U	 /* the memory of jansson */
#define STARVE_CRYPTO 4U /* what libcrypto does or makes */
#define STARVE_CALLS 8U	 /* system calls, threads */
#define STARVE_ALL 15U

/* Once, before anything else asks for memory. */
void starve_begin(void);

/*
 * Plays once with everything there, then with the first, the second, ... of
 * the kinds of requests failing, until a run makes none: by itself, with all
 * that come after it, and system calls with every error that code here
 * treats in its own way. play returns NULL when what it saw was sound, else
 * what was not; it frees what it was given. Asserts.
 */
void starve_every(
    unsigned kinds, const char *(*play)(const void *arg), const void *arg);

/* From here to the end of the run nothing fails: play looks at results. */
void starve_rest(void);

/* Whether something failed in this run. */
bool starve_has_hit(void);

#endif
