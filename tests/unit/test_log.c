/* SPDX-License-Identifier: ISC */
/* Log lines, and how many of them: mg_log.c. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_log.h"

#define SECOND 1000

static void
so_many_lines_in_a_window(void **state)
{
	struct mg_log_gate g = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < MG_LOG_LINES_MAX; i++)
		assert_true(mg_log_gate_pass(&g, 100 * SECOND));
	for (i = 0; i < 1000; i++)
		assert_false(
		    mg_log_gate_pass(&g, 100 * SECOND + MG_LOG_WINDOW_MS - 1));
	assert_int_equal(g.dropped, 1000);
	assert_true(mg_log_gate_pass(&g, 100 * SECOND + MG_LOG_WINDOW_MS));
}

/* Lines on descriptor 2, counted by what they begin with. */
static unsigned
count(FILE *f, const char *what)
{
	char line[2048];
	unsigned n = 0;

	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, what) != NULL)
			n++;
	return n;
}

static void
a_flood_of_one_event_is_counted_and_leaves_room_for_others(void **state)
{
	FILE *f = tmpfile();
	int saved = dup(2), i;

	(void)state;
	assert_non_null(f);
	assert_true(dup2(fileno(f), 2) == 2);
	mg_log_init("test", MG_LOG_TO_STDERR, MG_LOG_INFO);
	for (i = 0; i < 20 * MG_LOG_LINES_MAX; i++) {
		mg_log(MG_EVT_REJECTED, "i=%d", i);
		mg_log_from_child("1 mg-front[7]: evt=limit text=x");
	}
	mg_log(MG_EVT_GRANT, "req=X");
	mg_log_end();
	assert_true(dup2(saved, 2) == 2);
	close(saved);
	/* The clock may pass into a second window, not into a third. */
	assert_in_range(count(f, "evt=decision-rejected"), MG_LOG_LINES_MAX,
	    2 * MG_LOG_LINES_MAX);
	assert_in_range(
	    count(f, "mg-front[7]"), MG_LOG_LINES_MAX, 2 * MG_LOG_LINES_MAX);
	assert_int_equal(count(f, "evt=grant req=X"), 1);
	assert_true(count(f, "evt=limit event=decision-rejected dropped=") > 0);
	assert_true(count(f, "evt=limit event=child-lines dropped=") > 0);
	fclose(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(so_many_lines_in_a_window),
	    cmocka_unit_test(
		a_flood_of_one_event_is_counted_and_leaves_room_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
