/* SPDX-License-Identifier: ISC */
/* Who is root on the console, and who only says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "pam_console.h"

#define NONE PAM_CONSOLE_NO_UID
#define TTY(maj, min) ((uint64_t)(maj) << 8 | (min)) /* of small numbers */
#define TTY1 TTY(4, 1)

static const struct {
	const char *what;
	struct pam_console_facts f;
	bool is_root;
} cases[] = {
    {"login on tty1", {"login", "tty1", NULL, 0, NONE, TTY1}, true},
    {"login on /dev/tty1", {"login", "/dev/tty1", "", 0, NONE, TTY1}, true},
    {"login on tty63", {"login", "tty63", NULL, 0, NONE, TTY(4, 63)}, true},
    {"login on a serial line", {"login", "ttyS0", NULL, 0, NONE, TTY(4, 64)},
	true},
    {"login on ttyS11", {"login", "ttyS11", NULL, 0, NONE, TTY(4, 75)}, true},
    {"login on a hypervisor's console",
	{"login", "hvc0", NULL, 0, NONE, TTY(229, 0)}, true},
    {"login on an ARM serial line",
	{"login", "ttyAMA0", NULL, 0, NONE, TTY(204, 64)}, true},
    {"/dev/console, which is a serial line",
	{"login", "console", NULL, 0, NONE, TTY(4, 64)}, true},
    {"the session, after pam_loginuid", {"login", "tty1", NULL, 0, 0, TTY1},
	true},
    {"su by root on tty1", {"su", "tty1", NULL, 0, 0, TTY1}, true},
    {"sudo by root on tty1", {"sudo", "/dev/tty1", NULL, 0, 0, TTY1}, true},

    {"no terminal at all", {"login", "tty1", NULL, 0, NONE, 0}, false},
    {"a pseudo-terminal", {"login", "pts/0", NULL, 0, NONE, TTY(136, 0)},
	false},
    {"rule 1: PAM_TTY says tty1, the kernel says pts/0",
	{"su", "tty1", NULL, 0, 0, TTY(136, 0)}, false},
    {"rule 1: PAM_TTY is another console", {"su", "tty2", NULL, 0, 0, TTY1},
	false},
    {"rule 1: PAM_TTY is empty", {"su", "", NULL, 0, 0, TTY1}, false},
    {"rule 1: PAM_TTY is not set", {"su", NULL, NULL, 0, 0, TTY1}, false},
    {"rule 1: PAM_TTY begins alike", {"su", "tty11", NULL, 0, 0, TTY1}, false},
    {"rule 1: a path that ends alike",
	{"su", "/tmp/dev/tty1", NULL, 0, 0, TTY1}, false},
    {"rule 2: a container's console is a pseudo-terminal",
	{"login", "console", NULL, 0, NONE, TTY(136, 0)}, false},
    {"rule 2: another pseudo-terminal major",
	{"login", "console", NULL, 0, NONE, TTY(143, 5)}, false},
    {"tty0 is no terminal of anybody's",
	{"login", "tty0", NULL, 0, NONE, TTY(4, 0)}, false},
    {"a USB serial line is no console",
	{"login", "ttyUSB0", NULL, 0, NONE, TTY(188, 0)}, false},
    {"/dev/tty", {"su", "tty", NULL, 0, 0, TTY(5, 0)}, false},
    {"sshd", {"sshd", "ssh", "10.1.2.3", 0, NONE, 0}, false},
    {"sshd with a terminal that it should not have",
	{"sshd", "ssh", NULL, 0, NONE, TTY1}, false},
    {"rule 3: su by alice, who sits at tty1",
	{"su", "tty1", NULL, 1000, 1000, TTY1}, false},
    {"rule 3: alice became root with su at tty1",
	{"su", "tty1", NULL, 0, 1000, TTY1}, false},
    {"rule 3: a daemon that gave itself login uid 0",
	{"su", "ttyS0", NULL, 33, 0, TTY(4, 64)}, false},
    {"rule 3: su by a process that never logged in",
	{"su", "tty1", NULL, 0, NONE, TTY1}, false},
    {"rule 3: sudo by a process that never logged in",
	{"sudo", "tty1", NULL, 0, NONE, TTY1}, false},
    {"rule 3: login started by alice from her shell",
	{"login", "tty1", NULL, 0, 1000, TTY1}, false},
    {"rule 3: a set-uid login started by a daemon",
	{"login", "tty1", NULL, 33, NONE, TTY1}, false},
    {"a service that begins alike", {"login2", "tty1", NULL, 0, NONE, TTY1},
	false},
    {"no service", {NULL, "tty1", NULL, 0, 0, TTY1}, false},
    {"rule 4: login called by telnetd",
	{"login", "tty1", "10.1.2.3", 0, NONE, TTY1}, false},
    {"rule 4: su with a remote host", {"su", "tty1", "host", 0, 0, TTY1},
	false},
};

static void
every_case_is_judged_as_its_name_says(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (pam_console_judge(&cases[i].f) != cases[i].is_root)
			fail_msg("'%s' is judged wrongly", cases[i].what);
}

static void
facts_that_nobody_filled_in_are_not_root(void **state)
{
	struct pam_console_facts f;

	(void)state;
	memset(&f, 0, sizeof(f));
	assert_false(pam_console_judge(&f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_case_is_judged_as_its_name_says),
	    cmocka_unit_test(facts_that_nobody_filled_in_are_not_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
