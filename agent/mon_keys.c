/* SPDX-License-Identifier: ISC */
/*
 * The host's own secrets: its key for the hub and for checkpoints, and the
 * key that makes the numbers which approvers type.
 *
 * Rules
 * 1. With the machine's credential (mg_seal.h) they are on disk sealed, and
 *    a new one was never there otherwise: ssh-keygen writes to /run, which
 *    is memory.
 * 2. A sealed one that does not open ends the start: a new key in its place
 *    would make the host a stranger to its hub and its witnesses.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_b64.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_seal.h"
#include "mon.h"

#define HOST_KEY "host_key"
#define NUMBER_KEY "number_key"
#define KEY_MAX 16384
#define NEW_KEY MON_RUN_DIR "/host_key.new"

struct keys {
	struct mon *m;
	struct mg_seal seal;
	char why[512];
};

static enum mg_err
read_fd(int fd, const char *name, struct mg_buf *b, char *why, size_t size)
{
	enum mg_err r = mg_file_read(fd, b);

	if (r != MG_ERR_OK)
		snprintf(
		    why, size, "cannot read '%s': %s", name, mg_err_str(r));
	close(fd);
	return r;
}

static enum mg_err
read_at(struct keys *k, const char *name, bool secret, struct mg_buf *b)
{
	struct mg_file_rule rule = {.owner = 0, .no_read = secret};
	enum mg_err r;
	int fd;

	r = mg_file_open_at(
	    k->m->state_dir, name, 0, &rule, &fd, k->why, sizeof(k->why));
	if (r != MG_ERR_OK)
		return r;
	return read_fd(fd, name, b, k->why, sizeof(k->why));
}

static enum mg_err
save(struct keys *k, const char *name, const struct mg_buf *b)
{
	struct mg_buf file;
	enum mg_err r;

	mg_buf_init_secret(&file, KEY_MAX + MG_SEAL_MORE);
	r = mg_seal_put(&k->seal, name, mg_buf_ptr(b), mg_buf_len(b), &file);
	if (r == MG_ERR_OK)
		r = mg_file_replace_at(k->m->state_dir, name, mg_buf_ptr(&file),
		    mg_buf_len(&file), 0600);
	if (r != MG_ERR_OK)
		snprintf(k->why, sizeof(k->why), "cannot write '%s': %s", name,
		    r == MG_ERR_SYS ? strerror(errno) : mg_err_str(r));
	mg_buf_fini(&file);
	return r;
}

/* The secret called name, opened; sealed now if it was not yet. */
static enum mg_err
load(struct keys *k, const char *name, struct mg_buf *b)
{
	struct mg_buf file;
	char why[128] = "";
	enum mg_err r;
	bool is_sealed;

	mg_buf_init_secret(&file, KEY_MAX + MG_SEAL_MORE);
	if ((r = read_at(k, name, true, &file)) != MG_ERR_OK)
		goto out;
	is_sealed = mg_seal_is(mg_buf_ptr(&file), mg_buf_len(&file));
	r = mg_seal_get(&k->seal, name, mg_buf_ptr(&file), mg_buf_len(&file), b,
	    why, sizeof(why));
	if (r != MG_ERR_OK)
		snprintf(k->why, sizeof(k->why), "it is %s",
		    why[0] != '\0' ? why : mg_err_str(r));
	else if (k->seal.has_key && !is_sealed && save(k, name, b) != MG_ERR_OK)
		mg_log(
		    MG_EVT_ERROR, "file=%s err='not sealed: %s'", name, k->why);
out:
	mg_buf_fini(&file);
	return r;
}

static bool
is_missing(const struct keys *k, const char *name)
{
	return faccessat(k->m->state_dir, name, F_OK, 0) != 0 &&
	       errno == ENOENT;
}

/* ---- the host's key ---- */

static enum mg_err
run_keygen(void)
{
	char *argv[] = {(char *)(uintptr_t) "ssh-keygen",
	    (char *)(uintptr_t) "-q", (char *)(uintptr_t) "-t",
	    (char *)(uintptr_t) "ed25519", (char *)(uintptr_t) "-N",
	    (char *)(uintptr_t) "", (char *)(uintptr_t) "-C",
	    (char *)(uintptr_t) "modelgate", (char *)(uintptr_t) "-f",
	    (char *)(uintptr_t)NEW_KEY, NULL};
	char *envp[] = {NULL};
	struct mg_child child;
	int status = -1;

	if (mg_spawn("/usr/bin/ssh-keygen", argv, envp, NULL, 0, &child) !=
	    MG_ERR_OK)
		return MG_ERR_SYS;
	while (waitpid(child.pid, &status, 0) == -1 && errno == EINTR)
		continue;
	close(child.pidfd);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? MG_ERR_OK
							     : MG_ERR_SYS;
}

static enum mg_err
read_new(struct keys *k, const char *path, struct mg_buf *b)
{
	struct mg_file_rule rule = {.owner = 0};
	enum mg_err r;
	int fd;

	r = mg_file_open(path, 0, &rule, &fd, k->why, sizeof(k->why));
	if (r != MG_ERR_OK)
		return r;
	return read_fd(fd, path, b, k->why, sizeof(k->why));
}

static void
remove_new(void)
{
	(void)unlink(NEW_KEY);
	(void)unlink(NEW_KEY ".pub");
}

/* Rule 1. The public half first: the other one says that there is a key. */
static enum mg_err
make_host_key(struct keys *k)
{
	struct mg_buf key, pub;
	enum mg_err r;

	mg_buf_init_secret(&key, KEY_MAX);
	mg_buf_init(&pub, KEY_MAX);
	remove_new();
	snprintf(k->why, sizeof(k->why), "ssh-keygen made none");
	if ((r = run_keygen()) == MG_ERR_OK &&
	    (r = read_new(k, NEW_KEY, &key)) == MG_ERR_OK &&
	    (r = read_new(k, NEW_KEY ".pub", &pub)) == MG_ERR_OK &&
	    (r = mg_file_replace_at(k->m->state_dir, HOST_KEY ".pub",
		 mg_buf_ptr(&pub), mg_buf_len(&pub), 0644)) == MG_ERR_OK)
		r = save(k, HOST_KEY, &key);
	remove_new();
	mg_buf_fini(&key);
	mg_buf_fini(&pub);
	return r;
}

/* "ssh-ed25519 BASE64 comment" -> SHA256:... */
static enum mg_err
public_fingerprint(struct mon *m, const char *line)
{
	uint8_t md[SHA256_DIGEST_LENGTH];
	const char *p = strchr(line, ' ');
	struct mg_buf blob, text;
	enum mg_err r = MG_ERR_FORMAT;
	const char *s;

	mg_buf_init(&blob, KEY_MAX);
	mg_buf_init(&text, 128);
	if (p != NULL && (r = mg_b64_get(&blob, p + 1, strcspn(p + 1, " \n"),
			      NULL)) == MG_ERR_OK) {
		SHA256(mg_buf_ptr(&blob), mg_buf_len(&blob), md);
		r = mg_b64_put(&text, md, sizeof(md));
	}
	if (r == MG_ERR_OK && (s = mg_buf_cstr(&text)) != NULL)
		snprintf(
		    m->host_key_fp, sizeof(m->host_key_fp), "SHA256:%.43s", s);
	mg_buf_fini(&blob);
	mg_buf_fini(&text);
	return r;
}

static void
load_host_key(struct keys *k)
{
	struct mg_buf pub;
	const char *line;

	mg_buf_init_secret(&k->m->host_key, KEY_MAX);
	mg_buf_init(&pub, KEY_MAX);
	if ((is_missing(k, HOST_KEY) && make_host_key(k) != MG_ERR_OK) ||
	    load(k, HOST_KEY, &k->m->host_key) != MG_ERR_OK || /* Rule 2 */
	    read_at(k, HOST_KEY ".pub", false, &pub) != MG_ERR_OK)
		mg_fatal("%s/%s: %s", MON_STATE_DIR, HOST_KEY, k->why);
	if ((line = mg_buf_cstr(&pub)) == NULL ||
	    public_fingerprint(k->m, line) != MG_ERR_OK)
		mg_fatal(
		    "%s/%s.pub is not a public key", MON_STATE_DIR, HOST_KEY);
	mg_buf_fini(&pub);
}

/* ---- the number key ---- */

static enum mg_err
make_number_key(struct keys *k)
{
	char hex[2 * sizeof(k->m->number_key) + 1];
	struct mg_buf b;
	enum mg_err r;

	if ((r = mg_random_hex(hex, sizeof(k->m->number_key))) != MG_ERR_OK)
		return r;
	mg_buf_init_read(&b, hex, strlen(hex));
	r = save(k, NUMBER_KEY, &b);
	explicit_bzero(hex, sizeof(hex));
	return r;
}

/* A secret that nobody else is told, unlike the host's key. */
static void
load_number_key(struct keys *k)
{
	struct mg_buf b;
	enum mg_err r = MG_ERR_OK;

	k->why[0] = '\0';
	mg_buf_init_secret(&b, 2 * sizeof(k->m->number_key) + 1);
	if (is_missing(k, NUMBER_KEY))
		r = make_number_key(k);
	if (r == MG_ERR_OK)
		r = load(k, NUMBER_KEY, &b);
	if (r != MG_ERR_OK || mg_buf_len(&b) != 2 * sizeof(k->m->number_key))
		mg_fatal("%s/%s: %s", MON_STATE_DIR, NUMBER_KEY,
		    k->why[0] != '\0' ? k->why : "it is not what it has to be");
	SHA256(mg_buf_ptr(&b), mg_buf_len(&b), k->m->number_key);
	mg_buf_fini(&b);
}

/* mg-auth opens sealed records itself: it is told where, not what. */
static void
keep_credentials(struct mon *m)
{
	const char *dir = secure_getenv(MG_SEAL_VARIABLE);

	if (dir != NULL &&
	    asprintf(&m->credentials, MG_SEAL_VARIABLE "=%s", dir) == -1)
		mg_fatal("out of memory");
}

void
mon_keys_load(struct mon *m)
{
	struct keys k = {.m = m};

	keep_credentials(m);
	if (mg_seal_init(&k.seal, k.why, sizeof(k.why)) != MG_ERR_OK)
		mg_fatal("$" MG_SEAL_VARIABLE "/" MG_SEAL_FILE ": %s", k.why);
	load_host_key(&k);
	load_number_key(&k);
	mg_seal_fini(&k.seal);
}
