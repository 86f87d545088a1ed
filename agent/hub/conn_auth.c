/* SPDX-License-Identifier: ISC */
/*
 * What the peer may do before and beside its command.
 *
 * Rules
 * 1. A log-in counts only in the call that follows a verified signature
 *    (SSH_PUBLICKEY_STATE_VALID), with the key of that very call; what an
 *    earlier call offered is forgotten. libssh asks twice.
 * 2. Who somebody is, is said by the key alone: the user name is whatever
 *    the client likes, and is not even logged.
 * 3. Every other way in is shut: no password, nothing interactive, no
 *    GSSAPI (which libssh would do by itself, Kerberos and all, if no
 *    callback stood in its way), no certificates, no weak RSA.
 * 4. One session channel, one command on it. No environment, no subsystem,
 *    no forwarding of ports or X11.
 * 5. An agent is only remembered as offered; it is opened when the approver
 *    signs in the menu.
 */
#include <stdlib.h>
#include <string.h>

#include "conn_io.h"
#include "conn_view.h"
#include "mg_b64.h"
#include "mg_log.h"
#include "mg_sshkey.h"

#define COLUMNS_MAX 500
#define ROWS_MAX 500

/* The key as on the wire, into b; MG_SSHKEY_NONE: not one that we take. */
static enum mg_sshkey_type
blob_of(ssh_key key, struct mg_buf *b)
{
	enum mg_sshkey_type type = MG_SSHKEY_NONE;
	char *text = NULL;

	if (ssh_pki_export_pubkey_base64(key, &text) != SSH_OK || text == NULL)
		return MG_SSHKEY_NONE;
	if (mg_b64_get(b, text, strlen(text), NULL) != MG_ERR_OK ||
	    mg_sshkey_check(mg_buf_ptr(b), mg_buf_len(b), &type, NULL) !=
		MG_ERR_OK)
		type = MG_SSHKEY_NONE;
	ssh_string_free_char(text);
	return type;
}

/* Asks the hub whose key it is. Anything unclear: nobody's. */
static enum mg_hub_who
ask_who(struct conn *c, const struct mg_buf *blob, bool login)
{
	struct mg_conn_who_req req = {.key = mg_buf_ptr(blob),
	    .key_len = mg_buf_len(blob),
	    .login = login};
	struct mg_conn_who_ans ans;
	struct mg_frame f;
	uint32_t id;

	if (!conn_ask(c, MG_MSG_CONN_WHO_REQ, &req, &id))
		return MG_HUB_NOBODY;
	/* Not conn_answer(): libssh is calling us and must not be entered. */
	if (mg_chan_wait(c->hub, CONN_HUB_MS, &f) != MG_ERR_OK || f.id != id ||
	    f.op != MG_MSG_CONN_WHO_ANS ||
	    mg_frame_decode(&f, &ans, sizeof(ans)) != MG_ERR_OK) {
		c->is_dead = true;
		return MG_HUB_NOBODY;
	}
	if (ans.who != MG_HUB_APPROVER && ans.who != MG_HUB_HOST)
		return MG_HUB_NOBODY;
	memcpy(c->name, ans.name, strlen(ans.name) + 1);
	return (enum mg_hub_who)ans.who;
}

static void
note_fingerprint(struct conn *c, ssh_key key)
{
	unsigned char *hash = NULL;
	char *text = NULL;
	size_t n = 0;

	if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &n) ==
	    SSH_OK)
		text = ssh_get_fingerprint_hash(
		    SSH_PUBLICKEY_HASH_SHA256, hash, n);
	if (text != NULL && strlen(text) < sizeof(c->key_fp))
		memcpy(c->key_fp, text, strlen(text) + 1);
	ssh_clean_pubkey_hash(&hash);
	ssh_string_free_char(text);
}

/* Rule 1: the key was proved in this call. */
static bool
log_in(struct conn *c, ssh_key key, const struct mg_buf *blob,
    enum mg_sshkey_type type)
{
	enum mg_hub_who who = ask_who(c, blob, true);

	if (who == MG_HUB_NOBODY)
		return false;
	if ((c->key = malloc(mg_buf_len(blob))) == NULL)
		return false;
	memcpy(c->key, mg_buf_ptr(blob), mg_buf_len(blob));
	c->key_len = mg_buf_len(blob);
	memcpy(c->key_type, mg_sshkey_name(type),
	    strlen(mg_sshkey_name(type)) + 1);
	note_fingerprint(c, key);
	c->who = who;
	return true;
}

static void
count_try(struct conn *c)
{
	if (++c->tries >= c->max_tries)
		c->is_bad_login = true;
}

static int
judge_key(struct conn *c, ssh_key key, char state)
{
	enum mg_sshkey_type type;
	struct mg_buf blob;
	bool ok = false;

	if (c->who != MG_HUB_NOBODY || c->is_bad_login || c->is_dead)
		return SSH_AUTH_DENIED;
	mg_buf_init(&blob, MG_SSHKEY_BLOB_MAX + 2);
	type = blob_of(key, &blob);
	if (type != MG_SSHKEY_NONE && state == SSH_PUBLICKEY_STATE_VALID)
		ok = log_in(c, key, &blob, type);
	else if (type != MG_SSHKEY_NONE && state == SSH_PUBLICKEY_STATE_NONE)
		ok = ask_who(c, &blob, false) != MG_HUB_NOBODY;
	mg_buf_fini(&blob);
	if (!ok)
		count_try(c);
	return ok ? SSH_AUTH_SUCCESS : SSH_AUTH_DENIED;
}

static int
on_pubkey(ssh_session session, const char *user, struct ssh_key_struct *key,
    char state, void *arg)
{
	(void)session;
	(void)user; /* Rule 2 */
	return judge_key(arg, key, state);
}

/* Rule 3 */
static ssh_string
on_gssapi(
    ssh_session session, const char *user, int n, ssh_string *oids, void *arg)
{
	(void)session;
	(void)user;
	(void)n;
	(void)oids;
	count_try(arg);
	return NULL;
}

static int
on_service(ssh_session session, const char *service, void *arg)
{
	(void)session;
	(void)arg;
	return strcmp(service, "ssh-userauth") == 0 ? 0 : -1;
}

/* Whatever no callback took: refused by libssh when we return 1. */
static int
on_message(ssh_session session, ssh_message msg, void *arg)
{
	struct conn *c = arg;

	(void)session;
	if (ssh_message_type(msg) == SSH_REQUEST_AUTH &&
	    ssh_message_subtype(msg) != SSH_AUTH_METHOD_NONE)
		count_try(c);
	return 1;
}

/* ---- the channel ---- */

static unsigned
clamp(int v, unsigned max)
{
	return v <= 0 ? 0 : (unsigned)v < max ? (unsigned)v : max;
}

static bool
has_command(const struct conn *c)
{
	return c->wants_shell || c->wants_exec;
}

static int
on_pty(ssh_session session, ssh_channel channel, const char *term, int cols,
    int rows, int px, int py, void *arg)
{
	struct conn *c = arg;

	(void)session;
	(void)channel;
	(void)term;
	(void)px;
	(void)py;
	if (c->who != MG_HUB_APPROVER || has_command(c) || c->has_pty)
		return -1;
	c->has_pty = true;
	c->columns = cols == 0 ? CONN_WIDTH_UNKNOWN : clamp(cols, COLUMNS_MAX);
	c->rows = clamp(rows, ROWS_MAX);
	return 0;
}

static int
on_resize(ssh_session session, ssh_channel channel, int cols, int rows, int px,
    int py, void *arg)
{
	struct conn *c = arg;

	(void)session;
	(void)channel;
	(void)px;
	(void)py;
	c->columns = clamp(cols, COLUMNS_MAX);
	c->rows = clamp(rows, ROWS_MAX);
	c->resized = true;
	return 0;
}

static int
on_shell(ssh_session session, ssh_channel channel, void *arg)
{
	struct conn *c = arg;

	(void)session;
	(void)channel;
	if (c->who != MG_HUB_APPROVER || has_command(c)) /* Rule 4 */
		return 1;
	c->wants_shell = true;
	return 0;
}

static int
on_exec(ssh_session session, ssh_channel channel, const char *cmd, void *arg)
{
	struct conn *c = arg;
	size_t n = strlen(cmd);

	(void)session;
	(void)channel;
	if (has_command(c)) /* Rule 4 */
		return 1;
	/* Cut to one byte too much: conn_args_begin() then says so. */
	if (n > CONN_COMMAND_MAX + 1)
		n = CONN_COMMAND_MAX + 1;
	memcpy(c->command, cmd, n);
	c->command[n] = '\0';
	c->wants_exec = true;
	return 0;
}

static void
on_agent(ssh_session session, ssh_channel channel, void *arg)
{
	struct conn *c = arg;

	(void)session;
	(void)channel;
	c->has_agent = c->who == MG_HUB_APPROVER; /* Rule 5 */
}

static ssh_channel
on_open(ssh_session session, void *arg)
{
	struct conn *c = arg;

	if (c->channel != NULL || c->who == MG_HUB_NOBODY) /* Rule 4 */
		return NULL;
	if ((c->channel = ssh_channel_new(session)) == NULL)
		return NULL;
	if (ssh_set_channel_callbacks(c->channel, &c->channel_cb) != SSH_OK) {
		ssh_channel_free(c->channel);
		c->channel = NULL;
	}
	return c->channel;
}

void
conn_set_callbacks(struct conn *c)
{
	memset(&c->server_cb, 0, sizeof(c->server_cb));
	c->server_cb.userdata = c;
	c->server_cb.auth_pubkey_function = on_pubkey;
	c->server_cb.gssapi_select_oid_function = on_gssapi;
	c->server_cb.service_request_function = on_service;
	c->server_cb.channel_open_request_session_function = on_open;
	ssh_callbacks_init(&c->server_cb);
	memset(&c->channel_cb, 0, sizeof(c->channel_cb));
	c->channel_cb.userdata = c;
	c->channel_cb.channel_pty_request_function = on_pty;
	c->channel_cb.channel_pty_window_change_function = on_resize;
	c->channel_cb.channel_shell_request_function = on_shell;
	c->channel_cb.channel_exec_request_function = on_exec;
	c->channel_cb.channel_auth_agent_req_function = on_agent;
	ssh_callbacks_init(&c->channel_cb);
	(void)ssh_set_server_callbacks(c->session, &c->server_cb);
	ssh_set_message_callback(c->session, on_message, c);
	ssh_set_auth_methods(c->session, SSH_AUTH_METHOD_PUBLICKEY);
}
