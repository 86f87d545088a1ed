/* SPDX-License-Identifier: ISC */
/*
 * mg-hub-conn: one ssh connection of the hub.
 *
 * Runs as: _mg-hub, one per ssh connection
 * Holds: the hub's host key, one ssh connection
 * Accepts: bytes from an approver or a host
 * Sends: that peer's commands to the hub
 * If it dies: that one connection ends
 *
 * Rules
 * 1. Confined before the first byte of the peer is read.
 * 2. The algorithms are ours, not those of a configuration file of the
 *    system that libssh would read.
 * 3. There is a deadline for everything: to log in, to ask for a command,
 *    for the command.
 */
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn_io.h"
#include "mg_log.h"
#include "mg_sshkey.h"
#include "mg_time.h"

#define START_MS 5000
#define REQUEST_MS 10000 /* from log-in to the command */

/* Rule 2 */
#define KEX                                                                    \
	"curve25519-sha256,curve25519-sha256@libssh.org,"                      \
	"ecdh-sha2-nistp521,ecdh-sha2-nistp384,ecdh-sha2-nistp256,"            \
	"diffie-hellman-group18-sha512,diffie-hellman-group16-sha512"
#define CIPHERS                                                                \
	"chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,"                \
	"aes128-gcm@openssh.com,aes256-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
#define HOST_KEYS                                                              \
	"ssh-ed25519,ecdsa-sha2-nistp521,ecdsa-sha2-nistp384,"                 \
	"ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
#define USER_KEYS                                                              \
	"ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp521,"          \
	"ecdsa-sha2-nistp384,ecdsa-sha2-nistp256,"                             \
	"sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"

/* ---- start ---- */

static bool
get_start(struct conn *c, ssh_key *keyp)
{
	struct mg_conn_start m;
	struct mg_frame f;
	char *pem;

	if (mg_chan_wait(c->hub, START_MS, &f) != MG_ERR_OK ||
	    f.op != MG_MSG_CONN_START ||
	    mg_frame_decode(&f, &m, sizeof(m)) != MG_ERR_OK)
		return false;
	memcpy(c->peer, m.peer, strlen(m.peer) + 1);
	memcpy(c->hub_name, m.hub, strlen(m.hub) + 1);
	c->grace_ms = m.grace_ms;
	c->command_ms = m.command_ms;
	c->idle_ms = m.idle_ms;
	c->dead_ms = m.dead_ms;
	c->max_tries = m.max_tries;
	*keyp = NULL;
	if ((pem = malloc(m.key_len + 1)) == NULL)
		return false;
	memcpy(pem, m.key, m.key_len);
	pem[m.key_len] = '\0';
	if (ssh_pki_import_privkey_base64(pem, NULL, NULL, NULL, keyp) !=
	    SSH_OK)
		*keyp = NULL;
	explicit_bzero(pem, m.key_len);
	free(pem);
	return true;
}

static bool
set_options(ssh_bind b, ssh_key key)
{
	int bits = MG_SSHKEY_RSA_BITS_MIN;
	bool no = false;

	/* First of all: else the system's configuration would be read. */
	return ssh_bind_options_set(b, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_RSA_MIN_SIZE, &bits) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_HMAC_C_S, MACS) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_HMAC_S_C, MACS) ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS,
		   HOST_KEYS) == SSH_OK &&
	       ssh_bind_options_set(b,
		   SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES,
		   USER_KEYS) == SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_BANNER, "modelgate") ==
		   SSH_OK &&
	       ssh_bind_options_set(b, SSH_BIND_OPTIONS_IMPORT_KEY, key) ==
		   SSH_OK;
}

/* Everything that reads files happens here, before the confinement. */
static enum conn_exit
prepare(struct conn *c)
{
	ssh_key key = NULL;

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	if (ssh_init() != SSH_OK || (c->bind = ssh_bind_new()) == NULL ||
	    (c->session = ssh_new()) == NULL ||
	    (c->event = ssh_event_new()) == NULL)
		return CONN_EXIT_FAILED;
	if (!get_start(c, &key))
		return CONN_EXIT_FAILED;
	if (key == NULL)
		return CONN_EXIT_KEY;
	if (!set_options(c->bind, key)) {
		ssh_key_free(key);
		return CONN_EXIT_KEY;
	}
	return CONN_EXIT_OK;
}

static int
on_hub(socket_t fd, int events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg; /* whoever waits in conn_step() looks */
	return 0;
}

/* ---- log-in ---- */

static bool
exchange_keys(struct conn *c)
{
	long seconds = (long)(c->grace_ms + 999) / 1000;

	(void)ssh_options_set(c->session, SSH_OPTIONS_TIMEOUT, &seconds);
	if (ssh_bind_accept_fd(c->bind, c->session, CONN_FD_SOCKET) != SSH_OK)
		return false;
	conn_set_callbacks(c);
	return ssh_handle_key_exchange(c->session) == SSH_OK;
}

static enum conn_exit
log_in(struct conn *c)
{
	c->deadline_ms = mg_time_boot_ms() + c->grace_ms; /* Rule 3 */
	if (!exchange_keys(c))
		return mg_time_boot_ms() >= c->deadline_ms ? CONN_EXIT_GRACE
							   : CONN_EXIT_PROTO;
	ssh_set_blocking(c->session, 0);
	if (ssh_event_add_session(c->event, c->session) != SSH_OK ||
	    ssh_event_add_fd(c->event, mg_chan_fd(c->hub), POLLIN, on_hub, c) !=
		SSH_OK)
		return CONN_EXIT_FAILED;
	while (c->who == MG_HUB_NOBODY && !c->is_bad_login)
		if (!conn_step(c, c->deadline_ms))
			break;
	if (c->who != MG_HUB_NOBODY)
		return CONN_EXIT_OK;
	if (c->timed_out)
		return CONN_EXIT_GRACE;
	return c->tries > 0 ? CONN_EXIT_BAD_LOGIN : CONN_EXIT_NO_LOGIN;
}

/* ---- the command ---- */

static bool
await_command(struct conn *c)
{
	c->deadline_ms = mg_time_boot_ms() + REQUEST_MS;
	while (!c->wants_exec && !c->wants_shell)
		if (!conn_step(c, c->deadline_ms))
			return false;
	return true;
}

static void
serve_approver(struct conn *c)
{
	int status;

	c->deadline_ms = mg_time_boot_ms() + c->command_ms;
	if (c->wants_exec) {
		status = conn_run_command(c);
	} else if (c->has_pty) {
		status = conn_menu(c);
	} else {
		(void)conn_errs(c,
		    "the menu needs a terminal: use ssh -t, or give a command; "
		    "'help' lists them\n");
		status = CONN_STATUS_USAGE;
	}
	conn_finish(c, status);
}

static void
serve_host(struct conn *c)
{
	struct conn_args a;
	char word[16] = "";
	const char *why;

	if (conn_args_begin(&a, c->command, &why) == MG_ERR_OK &&
	    conn_args_word(&a, word, sizeof(word)) == MG_ERR_OK &&
	    strcmp(word, "host") == 0) {
		conn_serve_host(c);
		return;
	}
	(void)conn_errs(c, "a host has one command: host\n");
	conn_finish(c, CONN_STATUS_USAGE);
}

static void
serve(struct conn *c)
{
	if (!await_command(c))
		return;
	if (c->who == MG_HUB_HOST)
		serve_host(c);
	else
		serve_approver(c);
}

static void
hang_up(struct conn *c)
{
	if (c->session != NULL && ssh_is_connected(c->session))
		ssh_disconnect(c->session);
}

int
main(void)
{
	static struct conn c;
	enum conn_exit x;
	char why[256] = "";

	mg_log_init("mg-hub-conn", MG_LOG_TO_PARENT, MG_LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	c.hub = mg_chan_new(
	    CONN_FD_CHAN, MG_ROLE_CONN, MG_ROLE_STORE, CONN_HUB_QUEUE);
	if (c.hub == NULL)
		return CONN_EXIT_FAILED;
	if ((x = prepare(&c)) != CONN_EXIT_OK)
		return (int)x;
	if (!conn_confine(why, sizeof(why))) { /* Rule 1 */
		mg_log(MG_EVT_ERROR, "%s", why);
		return CONN_EXIT_FAILED;
	}
	if (c.peer[0] == '\0') /* a trial: see hub_keys_try() */
		return CONN_EXIT_OK;
	if ((x = log_in(&c)) == CONN_EXIT_OK)
		serve(&c);
	hang_up(&c);
	return (int)x;
}
