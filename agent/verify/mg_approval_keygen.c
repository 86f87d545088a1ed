/* SPDX-License-Identifier: ISC */
/*
 * Asks the system's ssh-keygen whether a signature verifies.
 *
 * Rules
 * 1. Only its exit status counts, and only 0 means yes: what it prints
 *    holds text of the signature, and is thrown away.
 * 2. It gets the principal's lines and no others, so that no pattern and no
 *    other person's key can match.
 * 3. It gets bytes, not paths: sealed memory files, which nobody changes
 *    between the two readings of it.
 * 4. It runs with a fixed path, fixed environment (UTC, or times without a
 *    zone would mean something else), a deadline, and then a SIGKILL.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_signers.h"
#include "mg_spawn.h"
#include "mg_text.h"
#include "mg_time.h"
#include "verify/mg_approval.h"

#define KEYGEN "/usr/bin/ssh-keygen"
#define FD_SIG 3
#define FD_SIGNERS 4

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static enum mg_err
fail(char *why, size_t size, enum mg_err r, const char *text)
{
	snprintf(why, size, "ssh-keygen: %s", text);
	return r;
}

/* ---- what it reads ---- */

/* Appends line number want (from 1) of the file, with a newline. */
static enum mg_err
put_line(struct mg_buf *b, const struct mg_approval *a, unsigned want)
{
	const char *p = (const char *)a->signers, *nl;
	const char *end = p + a->signers_len;
	unsigned line;
	enum mg_err r;

	for (line = 1; p < end; line++, p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		if (line != want) {
			if (nl == end)
				break;
			continue;
		}
		r = mg_buf_put(b, p, (size_t)(nl - p));
		return r == MG_ERR_OK ? mg_buf_put_u8(b, '\n') : r;
	}
	return MG_ERR_INTERNAL;
}

/* Rule 2 */
static enum mg_err
put_lines(struct mg_buf *b, const struct mg_approval *a, char *why, size_t size)
{
	const struct mg_signer *signer;
	struct mg_signers *signers;
	struct mg_diags ds;
	enum mg_err r;
	size_t i;

	mg_diags_init(&ds);
	r = mg_signers_parse(MG_SIGNERS_APPROVERS, "allowed_signers",
	    (const char *)a->signers, a->signers_len, &signers, &ds);
	if (r == MG_ERR_NOMEM)
		return r;
	if (r != MG_ERR_OK) {
		mg_diags_first(&ds, why, size);
		return r;
	}
	for (i = 0; i < mg_signers_count(signers) && r == MG_ERR_OK; i++) {
		signer = mg_signers_at(signers, i);
		if (strcmp(signer->name, a->principal) == 0)
			r = put_line(b, a, signer->line);
	}
	mg_signers_free(signers);
	if (r == MG_ERR_OK && mg_buf_len(b) == 0)
		return fail(why, size, MG_ERR_PERM, "principal has no key");
	return r;
}

/* Rule 3 */
static int
memory_file(const void *p, size_t n)
{
	const int seals =
	    F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int fd;

	fd = memfd_create("modelgate", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (fd == -1 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("modelgate", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if (mg_file_write(fd, p, n) != MG_ERR_OK ||
	    lseek(fd, 0, SEEK_SET) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- running it ---- */

/* "verify-time=YYYYMMDDHHMMSSZ" */
static bool
format_time(int64_t now_ms, char out[32])
{
	time_t t = (time_t)(now_ms / 1000);
	struct tm tm;

	return now_ms > 0 && gmtime_r(&t, &tm) != NULL &&
	       strftime(out, 32, "verify-time=%Y%m%d%H%M%SZ", &tm) == 27;
}

/* Rule 4 */
static enum mg_err
start(const struct mg_approval *a, const struct mg_spawn_fd fds[3],
    struct mg_child *childp)
{
	char prog[] = "ssh-keygen", y[] = "-Y", verify[] = "verify";
	char o[] = "-O", when[32], f[] = "-f", file[32], i[] = "-I";
	char n[] = "-n", ns[64], s[] = "-s", sig[32];
	char lc[] = "LC_ALL=C", tz[] = "TZ=UTC0", home[] = "HOME=/nonexistent";
	char principal[128];
	char *argv[] = {prog, y, verify, o, when, f, file, i, principal, n, ns,
	    s, sig, NULL};
	char *envp[] = {lc, tz, home, NULL};

	childp->pid = childp->pidfd = -1;
	snprintf(ns, sizeof(ns), "%s", a->ns);
	if (!format_time(a->now_ms, when) ||
	    strlen(a->principal) >= sizeof(principal))
		return MG_ERR_FORMAT;
	memcpy(principal, a->principal, strlen(a->principal) + 1);
	snprintf(file, sizeof(file), "/proc/self/fd/%d", FD_SIGNERS);
	snprintf(sig, sizeof(sig), "/proc/self/fd/%d", FD_SIG);
	return mg_spawn(KEYGEN, argv, envp, fds, 3, childp);
}

/* Waits for the end of the child; its wait status in *statusp. */
static enum mg_err
await(struct mg_child *child, int *statusp)
{
	int64_t end = mg_time_boot_ms() + MG_APPROVAL_KEYGEN_MS, left;
	struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
	enum mg_err r = MG_ERR_TIMEOUT;
	int n;

	while (r == MG_ERR_TIMEOUT && (left = end - mg_time_boot_ms()) > 0) {
		n = poll(&p, 1, (int)left);
		if (n == 1)
			r = MG_ERR_OK;
		else if (n == -1 && errno != EINTR)
			r = MG_ERR_SYS;
	}
	if (r != MG_ERR_OK)
		(void)pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
	/* It ends, and is not left behind when poll() cannot wait for it. */
	while ((*statusp = mg_spawn_reap(child)) == -1)
		(void)poll(&p, 1, -1);
	return r;
}

static enum mg_err
run(const struct mg_approval *a, const struct mg_spawn_fd fds[3], char *why,
    size_t size)
{
	struct mg_child child;
	int status = -1;
	enum mg_err r;

	if ((r = start(a, fds, &child)) != MG_ERR_OK)
		return fail(why, size, r, "cannot be started");
	r = await(&child, &status);
	if (r == MG_ERR_TIMEOUT)
		return fail(why, size, r, "did not end in time");
	if (r != MG_ERR_OK)
		return fail(why, size, MG_ERR_SYS, "cannot be waited for");
	if (WIFSIGNALED(status))
		return fail(why, size, MG_ERR_SYS, "ended by a signal");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) /* Rule 1 */
		return fail(
		    why, size, MG_ERR_BADSIG, "does not confirm the signature");
	return MG_ERR_OK;
}

enum mg_err
mg_approval_keygen(const struct mg_approval *a, char *why, size_t why_size)
{
	struct mg_spawn_fd fds[3] = {{-1, 0}, {-1, FD_SIG}, {-1, FD_SIGNERS}};
	struct mg_buf lines;
	enum mg_err r;
	size_t i;

	why[0] = '\0';
	mg_buf_init(&lines, MG_SIGNERS_FILE_MAX + 1);
	if ((r = put_lines(&lines, a, why, why_size)) != MG_ERR_OK)
		goto out;
	fds[0].fd = memory_file(a->text, a->text_len);
	fds[1].fd = memory_file(a->sig, a->sig_len);
	fds[2].fd = memory_file(mg_buf_ptr(&lines), mg_buf_len(&lines));
	if (fds[0].fd == -1 || fds[1].fd == -1 || fds[2].fd == -1)
		r = fail(why, why_size, MG_ERR_SYS, "cannot make its files");
	else
		r = run(a, fds, why, why_size);
out:
	for (i = 0; i < 3; i++)
		if (fds[i].fd != -1)
			close(fds[i].fd);
	mg_buf_fini(&lines);
	if (r != MG_ERR_OK && why[0] == '\0')
		(void)fail(why, why_size, r, mg_err_str(r));
	return r;
}
