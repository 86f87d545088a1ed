/* SPDX-License-Identifier: ISC */
#ifndef SSHSIG_KEYS_H
#define SSHSIG_KEYS_H

/* Keys and signatures by the real ssh-keygen, in a folder of its own. */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_spawn.h"
#include "mg_text.h"
#include "sshsig_recipe.h"
#include "verify/mg_approval.h"

#define NOW_MS 1795352400000 /* 2026-11-22T13:00:00Z */
#define OPTS "namespaces=\"" NS "\""

static char dir[] = "/tmp/mg-approval-XXXXXX";

static const char *
path(const char *name)
{
	static char buf[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "%s/%s", dir, name);
	return buf[i];
}

static void
write_file(const char *name, const void *p, size_t n)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, p, n), MG_ERR_OK);
	close(fd);
}

static char *
read_file(const char *name)
{
	int fd = open(path(name), O_RDONLY);
	struct mg_buf b;
	char *s;

	assert_int_not_equal(fd, -1);
	mg_buf_init(&b, 65536);
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	close(fd);
	assert_non_null(mg_buf_cstr(&b));
	s = strdup((const char *)mg_buf_ptr(&b));
	mg_buf_fini(&b);
	return s;
}

/* Runs ssh-keygen with the words (NULL ends them); its output into out. */
static int
keygen(const char *in, const char *out, ...)
{
	struct mg_spawn_fd fds[2] = {{-1, 0}, {-1, 1}};
	char prog[] = "ssh-keygen", home[] = "HOME=/nonexistent";
	char *argv[24] = {prog}, *envp[] = {home, NULL};
	struct mg_child child;
	struct pollfd p;
	const char *w;
	size_t n = 1;
	va_list ap;

	va_start(ap, out);
	while ((w = va_arg(ap, const char *)) != NULL) {
		assert_true(n < 23);
		argv[n++] = strdup(w);
	}
	va_end(ap);
	fds[0].fd = open(in == NULL ? "/dev/null" : path(in), O_RDONLY);
	fds[1].fd =
	    open(path(out), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(
	    mg_spawn("/usr/bin/ssh-keygen", argv, envp, fds, 2, &child),
	    MG_ERR_OK);
	p.fd = child.pidfd;
	p.events = POLLIN;
	assert_int_equal(poll(&p, 1, 60000), 1);
	close(fds[0].fd);
	close(fds[1].fd);
	while (n > 1)
		free(argv[--n]);
	return WEXITSTATUS(mg_spawn_reap(&child));
}

static struct mg_approval
ask(const char *who, const char *signers, const char *sig)
{
	struct mg_approval a = {
	    .ns = MG_TEXT_NAMESPACE,
	    .principal = who,
	    .now_ms = NOW_MS,
	    .signers = (const uint8_t *)signers,
	    .signers_len = strlen(signers),
	    .text = (const uint8_t *)TEXT,
	    .text_len = strlen(TEXT),
	    .sig = (const uint8_t *)sig,
	    .sig_len = strlen(sig),
	};

	return a;
}

/* "NAME OPTIONS KEY\n" for the public key file. */
static char *
line_of(const char *name, const char *opts, const char *pub)
{
	char *key = read_file(pub), *line;

	assert_int_not_equal(asprintf(&line, "%s %s %s", name, opts, key), -1);
	free(key);
	return line;
}

/* A new key in the files k and k.pub, and TEXT signed by it. */
static char *
new_signature(const char *type, const char *bits, const char *hash)
{
	char hashopt[32];

	(void)unlink(path("k"));
	(void)unlink(path("text.sig"));
	write_file("text", TEXT, strlen(TEXT));
	assert_int_equal(keygen(NULL, "out", "-q", "-t", type, "-b", bits, "-N",
			     "", "-f", path("k"), NULL),
	    0);
	snprintf(hashopt, sizeof(hashopt), "hashalg=%s", hash);
	assert_int_equal(keygen(NULL, "out", "-Y", "sign", "-O", hashopt, "-n",
			     NS, "-f", path("k"), path("text"), NULL),
	    0);
	return read_file("text.sig");
}

/* ---- the fixed key ---- */

static char *
recipe(const struct recipe *r)
{
	struct mg_buf b;
	char *s;

	make(r, &b);
	assert_non_null(mg_buf_cstr(&b));
	s = strdup((const char *)mg_buf_ptr(&b));
	mg_buf_fini(&b);
	return s;
}

/* The public key of the recipes as a line of allowed_signers. */
static char *
recipe_line(bool is_sk, const char *name, const char *opts)
{
	struct recipe r = {.is_sk = is_sk};
	struct mg_buf key, b64;
	char *line;

	make_key(&r, &key);
	mg_buf_init(&b64, 4096);
	assert_int_equal(
	    mg_b64_put(&b64, mg_buf_ptr(&key), mg_buf_len(&key)), MG_ERR_OK);
	assert_int_not_equal(
	    asprintf(&line, "%s %s %s %.*s\n", name, opts, type_of(&r),
		(int)mg_buf_len(&b64), (const char *)mg_buf_ptr(&b64)),
	    -1);
	mg_buf_fini(&key);
	mg_buf_fini(&b64);
	return line;
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	static const char *const names[] = {
	    "k", "k.pub", "text", "text.sig", "out", "fp"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path(names[i]));
	return rmdir(dir);
}

#endif
