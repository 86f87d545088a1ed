/* SPDX-License-Identifier: ISC */
/* Names for patterns, against all names of a small alphabet. */
#include <time.h>

#include "mg_name.h"
#include "policy_fixture.h"

static unsigned long state;

static unsigned
below(unsigned n)
{
	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return (unsigned)(state >> 33) % n;
}

#define PATTERNS 4
#define LENGTH 6

static char pattern[PATTERNS][8];
static bool found[1 << PATTERNS];

static unsigned
set_of(const char *name)
{
	unsigned i, set = 0;

	for (i = 0; i < PATTERNS; i++)
		set |= (unsigned)mg_name_matches(name, pattern[i]) << i;
	return set;
}

static void
note(void *arg, const char *name)
{
	(void)arg;
	assert_true(mg_name_is_valid(name));
	assert_true(mg_name_matches(name, pattern[0]));
	found[set_of(name)] = true;
}

/* Of letters that patterns have, one that none has, and what names forbid. */
static void
every_set_that_some_name_has_is_found(void **testing)
{
	static const char letters[] = "ab.-*?", all[] = "abz.-";
	unsigned long seed = (unsigned long)time(NULL);
	const char *v[PATTERNS];
	char name[LENGTH + 1];
	unsigned round, i, j, n, c;

	(void)testing;
	if (getenv("SEED") != NULL)
		seed = strtoul(getenv("SEED"), NULL, 10);
	state = seed;
	for (round = 0; round < 300; round++) {
		for (i = 0; i < PATTERNS; i++) {
			n = 1 + below(4);
			for (j = 0; j < n; j++)
				pattern[i][j] = letters[below(6)];
			pattern[i][n] = '\0';
			v[i] = pattern[i];
		}
		memset(found, 0, sizeof(found));
		assert_int_equal(pol_names(v, PATTERNS, note, NULL), MG_ERR_OK);
		for (i = 0; i < 15625; i++) { /* 5 to the LENGTH */
			for (j = 0, c = i, n = 1 + below(LENGTH); j < n; j++) {
				name[j] = all[c % 5];
				c /= 5;
			}
			name[n] = '\0';
			if (!mg_name_is_valid(name) ||
			    (set_of(name) & 1) == 0 || found[set_of(name)])
				continue;
			fail_msg("SEED=%lu: %s fits %s %s %s %s", seed, name,
			    v[0], v[1], v[2], v[3]);
		}
	}
}

static void
count(void *arg, const char *name)
{
	unsigned *n = arg;

	n[name[strlen(name) - 1] == 'b']++;
}

/* Names end at 96 characters: 60 times a and 60 times b are no name. */
static void
what_only_too_long_names_fit_is_not_there(void **testing)
{
	char a[62], b[62];
	const char *v[2] = {a, b};
	unsigned n[2] = {0, 0};

	(void)testing;
	memset(a, 'a', 60);
	memset(b + 1, 'b', 60);
	a[60] = b[0] = '*';
	a[61] = b[61] = '\0';
	assert_int_equal(pol_names(v, 2, count, n), MG_ERR_OK);
	assert_true(n[0] > 0);
	b[31] = '\0';
	n[1] = 0;
	assert_int_equal(pol_names(v, 2, count, n), MG_ERR_OK);
	assert_true(n[1] > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_set_that_some_name_has_is_found),
	    cmocka_unit_test(what_only_too_long_names_fit_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
