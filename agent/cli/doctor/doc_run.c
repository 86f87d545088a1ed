/* SPDX-License-Identifier: ISC */
/* What other programs and the user database say. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doc.h"
#include "mg_spawn.h"

bool
doc_output(const char *const *argv, doc_line_fn fn, void *arg)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *envp[] = {path, NULL}, line[4096];
	struct mg_spawn_fd out = {.target = 1};
	struct mg_child child;
	int pipe_fds[2], status = -1;
	enum mg_err r;
	FILE *f;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return false;
	out.fd = pipe_fds[1];
	r = mg_spawn(
	    argv[0], (char *const *)(uintptr_t)argv, envp, &out, 1, &child);
	close(pipe_fds[1]);
	if (r != MG_ERR_OK || (f = fdopen(pipe_fds[0], "r")) == NULL) {
		close(pipe_fds[0]);
		f = NULL;
	}
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		fn(arg, line);
	if (f != NULL)
		fclose(f);
	if (r != MG_ERR_OK)
		return false;
	while (waitpid(child.pid, &status, 0) == -1 && errno == EINTR)
		continue;
	close(child.pidfd);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool
doc_user(const char *name, struct doc_user *u)
{
	struct passwd *pw;

	return getpwnam_r(name, &u->pw, u->text, sizeof(u->text), &pw) == 0 &&
	       pw != NULL;
}
