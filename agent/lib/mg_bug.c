/* SPDX-License-Identifier: ISC */
/*
 * What a broken invariant does to our own processes. Alone in its file, so
 * that a program with a function of that name never pulls this one in.
 */
#include <stdlib.h>

#include "mg_bug.h"

void
mg_bug(void)
{
	abort();
}
