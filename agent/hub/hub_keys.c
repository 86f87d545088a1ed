/* SPDX-License-Identifier: ISC */
/*
 * Who is known.
 *
 * Rules
 * 1. Both files or none: with new approvers and old hosts nobody could say
 *    what is in force.
 * 2. A key is an approver's or a host's, never both: what it may do would
 *    depend on which file is looked at first.
 * 3. The files may be changed by root only, not by the hub's own user: who
 *    takes over the hub must not be able to add himself.
 * 4. A key that the service manager hands out is the key, or the hub does not
 *    start: falling back to a file would serve with a key that nobody meant.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn.h"
#include "hub.h"
#include "mg_file.h"
#include "mg_time.h"

#define KEY_MAX 16384
#define TRY_MS 10000

static enum mg_err
fail(struct mg_diags *ds, const char *path, enum mg_err r, const char *why)
{
	mg_diags_add(ds, false, path, 0, 0, NULL, "%s", why);
	return r;
}

static enum mg_err
read_file(const char *path, const struct mg_file_rule *rule, struct mg_buf *b,
    struct mg_diags *ds)
{
	char why[256];
	enum mg_err r;
	int fd;

	if ((r = mg_file_open(path, 0, rule, &fd, why, sizeof(why))) !=
	    MG_ERR_OK)
		return fail(ds, path, r, why);
	if ((r = mg_file_read(fd, b)) != MG_ERR_OK)
		(void)fail(ds, path, r, mg_err_str(r));
	close(fd);
	return r;
}

static enum mg_err
load_signers(enum mg_signers_kind kind, const char *path,
    struct mg_signers **sp, struct mg_diags *ds)
{
	struct mg_file_rule rule = {.owner = 0}; /* Rule 3 */
	struct mg_buf b;
	enum mg_err r;

	*sp = NULL;
	mg_buf_init(&b, MG_SIGNERS_FILE_MAX + 1);
	if ((r = read_file(path, &rule, &b, ds)) == MG_ERR_OK)
		r = mg_signers_parse(kind, path, (const char *)mg_buf_ptr(&b),
		    mg_buf_len(&b), sp, ds);
	mg_buf_fini(&b);
	return r;
}

/* Rule 2 */
static enum mg_err
check_apart(const struct mg_signers *approvers, const struct mg_signers *hosts,
    const char *path, struct mg_diags *ds)
{
	const struct mg_signer *h, *a;
	size_t i;

	for (i = 0; i < mg_signers_count(hosts); i++) {
		h = mg_signers_at(hosts, i);
		a = mg_signers_find(approvers, h->blob, h->blob_len);
		if (a != NULL)
			mg_diags_add(ds, false, path, h->line, 0, NULL,
			    "the key of host %s is an approver's, too: %s",
			    h->name, a->name);
	}
	return ds->errors > 0 ? MG_ERR_FORMAT : MG_ERR_OK;
}

/* Where the key is: see struct hub. False: it cannot be known. Rule 4. */
static bool
find_host_key(const char *file, char *out, size_t size, bool *is_handedp)
{
	const char *dir = secure_getenv("CREDENTIALS_DIRECTORY");
	struct stat st;
	int n;

	*is_handedp = false;
	if (dir != NULL) {
		n = snprintf(out, size, "%s/" HUB_KEY_CREDENTIAL, dir);
		if (n < 0 || (size_t)n >= size)
			return false;
		if (lstat(out, &st) == 0 || errno != ENOENT) {
			*is_handedp = true;
			return true;
		}
	}
	n = snprintf(out, size, "%s", file);
	return n >= 0 && (size_t)n < size;
}

/*
 * One that is handed out is in a folder for this user alone. Its own mode
 * may show a group's right to read: the mask of an access list.
 */
static enum mg_err
load_host_key(
    const char *path, bool is_handed, struct mg_buf *b, struct mg_diags *ds)
{
	struct mg_file_rule rule = {.owner = geteuid(), .no_read = !is_handed};
	static const char first[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	enum mg_err r;

	if ((r = read_file(path, &rule, b, ds)) != MG_ERR_OK)
		return r;
	if (mg_buf_len(b) < sizeof(first) ||
	    memcmp(mg_buf_ptr(b), first, sizeof(first) - 1) != 0)
		return fail(ds, path, MG_ERR_FORMAT,
		    "not a private key as ssh-keygen writes it");
	return MG_ERR_OK;
}

static enum mg_err
find_and_load(struct hub *hub, const struct hub_conf *conf, struct mg_buf *key,
    struct mg_diags *ds)
{
	char path[HUB_PATH_MAX];
	bool is_handed;
	enum mg_err r;

	if (!find_host_key(conf->host_key, path, sizeof(path), &is_handed))
		return fail(ds, conf->host_key, MG_ERR_FORMAT,
		    "CREDENTIALS_DIRECTORY is too long");
	if ((r = load_host_key(path, is_handed, key, ds)) == MG_ERR_OK)
		memcpy(hub->host_key_path, path, sizeof(path));
	return r;
}

enum mg_err
hub_keys_load(struct hub *hub, const struct hub_conf *conf, struct mg_diags *ds)
{
	struct mg_signers *approvers = NULL, *hosts = NULL;
	struct mg_buf key;
	enum mg_err r;

	mg_buf_init_secret(&key, KEY_MAX);
	if ((r = load_signers(MG_SIGNERS_APPROVERS, conf->approvers, &approvers,
		 ds)) != MG_ERR_OK ||
	    (r = load_signers(MG_SIGNERS_HOSTS, conf->hosts, &hosts, ds)) !=
		MG_ERR_OK ||
	    (r = check_apart(approvers, hosts, conf->hosts, ds)) != MG_ERR_OK ||
	    (r = find_and_load(hub, conf, &key, ds)) != MG_ERR_OK)
		goto out;
	hub_keys_free(hub); /* Rule 1 */
	hub->approvers = approvers;
	hub->hosts = hosts;
	hub->host_key = key;
	return MG_ERR_OK;
out:
	mg_signers_free(approvers);
	mg_signers_free(hosts);
	mg_buf_fini(&key);
	return r;
}

void
hub_keys_free(struct hub *hub)
{
	mg_signers_free(hub->approvers);
	mg_signers_free(hub->hosts);
	mg_buf_fini(&hub->host_key);
	hub->approvers = hub->hosts = NULL;
}

enum mg_hub_who
hub_keys_find(
    const struct hub *hub, const void *key, size_t len, const char **namep)
{
	const struct mg_signer *v;

	*namep = "";
	if ((v = mg_signers_find(hub->approvers, key, len)) != NULL) {
		if (!mg_signer_is_valid(v, mg_time_wall_ms()))
			return MG_HUB_NOBODY;
		*namep = v->name;
		return MG_HUB_APPROVER;
	}
	if ((v = mg_signers_find(hub->hosts, key, len)) != NULL) {
		*namep = v->name;
		return MG_HUB_HOST;
	}
	return MG_HUB_NOBODY;
}

/* ---- a trial ---- */

static enum mg_err
judge_trial(int status, char *why, size_t size)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == CONN_EXIT_OK)
		return MG_ERR_OK;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CONN_EXIT_KEY)
		snprintf(why, size,
		    "the host key is not one that can be used (no passphrase, "
		    "RSA at least 2048 bits)");
	else
		snprintf(why, size, "'%s' does not work (status 0x%x)",
		    HUB_CONN_PATH, (unsigned)status);
	return MG_ERR_STATE;
}

static enum mg_err
await_trial(struct mg_child *child, char *why, size_t size)
{
	struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
	int status;

	if (poll(&p, 1, TRY_MS) != 1)
		(void)kill(child->pid, SIGKILL);
	(void)poll(&p, 1, -1);
	status = mg_spawn_reap(child);
	return judge_trial(status, why, size);
}

enum mg_err
hub_keys_try(struct hub *hub, char *why, size_t why_size)
{
	char name[] = "mg-hub-conn", *argv[] = {name, NULL}, *envp[] = {NULL};
	struct mg_conn_start m = {.grace_ms = TRY_MS, .peer = ""};
	struct mg_spawn_fd fds[2];
	struct mg_chan *ch;
	struct mg_child child;
	enum mg_err r;
	int sp[2];

	if ((r = mg_spawn_socketpair(sp)) != MG_ERR_OK)
		return r;
	fds[0].fd = STDERR_FILENO;
	fds[0].target = CONN_FD_LOG;
	fds[1].fd = sp[1];
	fds[1].target = CONN_FD_CHAN;
	r = mg_spawn(HUB_CONN_PATH, argv, envp, fds, 2, &child);
	close(sp[1]);
	if (r != MG_ERR_OK) {
		snprintf(why, why_size, "cannot start '%s': %s", HUB_CONN_PATH,
		    strerror(errno));
		close(sp[0]);
		return r;
	}
	if ((ch = mg_chan_new(
		 sp[0], MG_ROLE_STORE, MG_ROLE_CONN, HUB_QUEUE_MAX)) == NULL) {
		close(sp[0]);
		(void)kill(child.pid, SIGKILL);
		return await_trial(&child, why, why_size);
	}
	m.key = mg_buf_ptr(&hub->host_key);
	m.key_len = mg_buf_len(&hub->host_key);
	if (mg_chan_send(ch, 0, MG_MSG_CONN_START, &m) != MG_ERR_OK)
		(void)kill(child.pid, SIGKILL);
	r = await_trial(&child, why, why_size);
	mg_chan_free(ch);
	return r;
}
