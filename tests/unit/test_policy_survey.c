/* SPDX-License-Identifier: ISC */
/* Who can and what can: every way, however many there are. */
#include "policy_fixture.h"

#define WAYS 300
#define OPEN ((1U << POL_CONDS) - 1)

static char text[65536];

struct seen {
	unsigned n;
	bool rule[WAYS];
	char but[POL_ROW_TEXT];
};

static void
note(void *arg, const struct pol_row *row)
{
	struct seen *seen = arg;

	seen->n++;
	if (row->rule->name[0] == 'r')
		seen->rule[atoi(row->rule->name + 1)] = true;
	snprintf(seen->but, sizeof(seen->but), "%s", row->but);
}

static void
survey(const char *policy, struct seen *seen)
{
	struct mg_policy *p = must_load(policy);
	struct mg_ask ask = ask_for("alice", "deploy", "");
	struct pol_survey s;

	memset(seen, 0, sizeof(*seen));
	assert_true(pol_survey_init(&s, p));
	assert_true(pol_survey_user(&s, &ask,
	    OPEN & ~(unsigned)(POL_COND_USER | POL_COND_ROLE), note, seen));
	pol_survey_fini(&s);
	mg_policy_free(p);
}

static size_t
head(void)
{
	return (size_t)snprintf(text, sizeof(text),
	    "[operation deploy]\ncommand = /bin/true {model}\nrun-as = www\n");
}

static void
every_way_is_told(void **state)
{
	struct seen seen;
	size_t n = head();
	unsigned i;

	(void)state;
	for (i = 0; i < WAYS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[rule r%u]\noperation = deploy\nmodel = m%u\n", i, i);
	survey(text, &seen);
	assert_int_equal(seen.n, WAYS);
	for (i = 0; i < WAYS; i++)
		assert_true(seen.rule[i]);
}

/* More exceptions than a row holds: that there are more is said. */
static void
what_does_not_fit_is_said_to_be_there(void **state)
{
	static const char end[] = "; and more: read the rules";
	struct seen seen;
	size_t n = head(), len;
	unsigned i;

	(void)state;
	n += (size_t)snprintf(
	    text + n, sizeof(text) - n, "[rule a]\noperation = deploy\n");
	for (i = 0; i < 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[rule d%u]\neffect = deny\noperation = deploy\n"
		    "host = env:e%u\n",
		    i, i);
	survey(text, &seen);
	assert_int_equal(seen.n, 1);
	len = strlen(seen.but);
	assert_true(len > sizeof(end));
	assert_string_equal(seen.but + len - strlen(end), end);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_way_is_told),
	    cmocka_unit_test(what_does_not_fit_is_said_to_be_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
