/* SPDX-License-Identifier: ISC */
/*
 * Whether this is root on the console.
 *
 * Rules
 * 1. PAM_TTY is what the application says: su takes it from descriptor 0,
 *    which its caller chooses. It counts only where it names the terminal
 *    that the kernel says controls this process: to get that, a caller must
 *    be a session leader and open the console itself, which needs rights on
 *    it.
 * 2. Pseudo-terminals are never consoles, whatever they are called (in a
 *    container /dev/console is one): the device's number decides.
 * 3. Who sits there is told by the login uid, which su and sudo do not
 *    change, and by the real uid: a login uid that was never set can be set
 *    by any process, so it does not stand alone. login(1) itself has none
 *    yet and is started by init, as root.
 * 4. A remote host rules it out.
 * 5. What cannot be read is not so.
 */
#include <errno.h>
#include <fcntl.h>
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "pam_console.h"

#define TTYAUX_MAJOR 5

/* The name below /dev of a local console; false for all else (Rule 2). */
static bool
console_name(uint64_t terminal, char out[32])
{
	unsigned maj = (unsigned)(terminal >> 8) & 0xfff;
	unsigned min = (unsigned)(terminal & 0xff) |
		       ((unsigned)(terminal >> 12) & 0xfff00);

	out[0] = '\0';
	if (maj == 4 && min >= 1 && min < 64)
		snprintf(out, 32, "tty%u", min);
	else if (maj == 4 && min >= 64)
		snprintf(out, 32, "ttyS%u", min - 64);
	else if (maj == 229)
		snprintf(out, 32, "hvc%u", min);
	else if (maj == 204 && min >= 64 && min < 80)
		snprintf(out, 32, "ttyAMA%u", min - 64);
	else if (maj == TTYAUX_MAJOR && min == 1)
		snprintf(out, 32, "console");
	return out[0] != '\0';
}

bool
pam_console_judge(const struct pam_console_facts *f)
{
	const char *tty = f->tty;
	char name[32];

	if (f->service == NULL || tty == NULL || tty[0] == '\0')
		return false;
	if (f->rhost != NULL && f->rhost[0] != '\0') /* Rule 4 */
		return false;
	if (!console_name(f->terminal, name))
		return false;
	if (strncmp(tty, "/dev/", 5) == 0)
		tty += 5;
	/* /dev/console is another name of a terminal that has its own. */
	if (strcmp(tty, name) != 0 && strcmp(tty, "console") != 0)
		return false; /* Rule 1 */
	if (f->real_uid != 0) /* Rule 3 */
		return false;
	return f->loginuid == 0 || (f->loginuid == PAM_CONSOLE_NO_UID &&
				       strcmp(f->service, "login") == 0);
}

static bool
read_small(const char *path, char *out, size_t size)
{
	ssize_t n;
	int fd;

	out[0] = '\0';
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1)
		return false;
	do
		n = read(fd, out, size - 1);
	while (n == -1 && errno == EINTR);
	close(fd);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return true;
}

/* A whole decimal number, followed by end or one of the bytes in stop. */
static bool
to_u64(const char *s, const char *stop, uint64_t *vp)
{
	uint64_t v = 0;

	*vp = 0;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if ((v = v * 10 + (uint64_t)(*s - '0')) > UINT32_MAX)
			return false;
	if (*s != '\0' && strchr(stop, *s) == NULL)
		return false;
	*vp = v;
	return true;
}

uint32_t
pam_console_loginuid(void)
{
	char text[32];
	uint64_t v;

	if (!read_small("/proc/self/loginuid", text, sizeof(text)) ||
	    !to_u64(text, "\n", &v))
		return PAM_CONSOLE_NO_UID; /* Rule 5 */
	return (uint32_t)v;
}

/* Field 7 of /proc/self/stat; 0 when there is none. */
static uint64_t
controlling_terminal(void)
{
	char stat[1024];
	const char *p;
	uint64_t v;
	int field;

	if (!read_small("/proc/self/stat", stat, sizeof(stat)))
		return 0;
	/* The name of the program may hold anything but ends at the last
	 * parenthesis. */
	if ((p = strrchr(stat, ')')) == NULL)
		return 0;
	for (field = 2; field < 7; field++)
		if ((p = strchr(p + 1, ' ')) == NULL)
			return 0;
	return to_u64(p + 1, " ", &v) ? v : 0;
}

static const char *
item(pam_handle_t *pamh, int which)
{
	const void *v = NULL;

	if (pam_get_item(pamh, which, &v) != PAM_SUCCESS)
		return NULL;
	return v;
}

bool
pam_console_is_root(pam_handle_t *pamh, const char *user)
{
	struct pam_console_facts f = {
	    .service = item(pamh, PAM_SERVICE),
	    .tty = item(pamh, PAM_TTY),
	    .rhost = item(pamh, PAM_RHOST),
	    .real_uid = getuid(),
	    .loginuid = pam_console_loginuid(),
	    .terminal = controlling_terminal(),
	};
	struct passwd *pw;

	/* The account last: looking it up may take a while. */
	if (!pam_console_judge(&f))
		return false;
	pw = pam_modutil_getpwnam(pamh, user);
	return pw != NULL && pw->pw_uid == 0;
}
