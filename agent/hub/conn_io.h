/* SPDX-License-Identifier: ISC */
#ifndef CONN_IO_H
#define CONN_IO_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "conn.h"
#include "conn_args.h"
#include "mg_chan.h"

/*
 * mg-hub-conn: one process, one ssh connection, one struct conn.
 *
 *	conn.c		start, confinement, log-in, which command
 *	conn_auth.c	what the peer may do before and beside its command
 *	conn_io.c	waiting, reading, writing, questions to the hub
 *	conn_cmd.c	the commands of approvers
 *	conn_menu.c	the menu on a terminal
 *	conn_agent.c	the peer's ssh-agent
 *	conn_host.c	the channel of a host
 *	conn_confine.c	what the process may ask of the kernel
 *	conn_args.c conn_sign.c conn_view.c	pure functions
 */

#define CONN_HUB_QUEUE 262144
#define CONN_LINE_MAX 1024
/* How long a decision waits for the host's verdict. */
#define CONN_VERDICT_MS 5000
#define CONN_HUB_MS 10000 /* for any other answer of the hub */

/* Exit status of commands; modelgate-hub(8). */
enum conn_status {
	CONN_STATUS_OK = 0,
	CONN_STATUS_REFUSED = 1,
	CONN_STATUS_USAGE = 2,
	CONN_STATUS_STORED = 3, /* no verdict of the host yet */
};

struct conn {
	struct mg_chan *hub;
	uint32_t next_id;
	bool changed; /* the hub said that the inbox changed */

	ssh_bind bind;
	ssh_session session;
	ssh_event event;
	ssh_channel channel; /* the one session channel */
	struct ssh_server_callbacks_struct server_cb;
	struct ssh_channel_callbacks_struct channel_cb;

	/* from CONN_START */
	char peer[65], hub_name[256];
	int64_t command_ms, idle_ms, dead_ms, grace_ms;
	uint32_t max_tries;

	/* log-in */
	uint32_t tries;
	bool is_bad_login; /* too many tries */
	enum mg_hub_who who;
	char name[97];
	uint8_t *key;
	size_t key_len;
	char key_type[64], key_fp[64];

	/* the request on the channel */
	bool has_pty, has_agent, wants_shell, wants_exec;
	unsigned columns, rows;
	bool resized;
	char command[CONN_COMMAND_MAX + 2]; /* one more: it was too long */

	bool is_dead;	     /* the ssh connection or the hub is gone */
	int64_t deadline_ms; /* CLOCK_BOOTTIME; all ends then */
	bool timed_out;
};

/* ---- conn_auth.c ---- */
void conn_set_callbacks(struct conn *c);

/* ---- conn_io.c ---- */

/*
 * Serves the ssh connection until something happens, or until_ms. False
 * when it is all over: peer or hub gone, or the deadline passed.
 */
bool conn_step(struct conn *c, int64_t until_ms);

/* Reads what the peer sent, up to size; -1: it ended. 0: nothing yet. */
int conn_read(struct conn *c, void *p, size_t size);

/* Writes all of it; false when the peer is gone or does not take it. */
bool conn_write(struct conn *c, const void *p, size_t n);

/* Text for the peer's standard output and error, '\n' as it needs it. */
bool conn_puts(struct conn *c, const char *s);
bool conn_errs(struct conn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the channel with an exit status, in peace. */
void conn_finish(struct conn *c, int status);

/* Sends a message to the hub; *idp gets its id. False: the hub is gone. */
bool conn_ask(
    struct conn *c, enum mg_msg_op op, const void *msg, uint32_t *idp);

/*
 * The next message of the hub that answers id, within timeout_ms.
 * MG_ERR_TIMEOUT, MG_ERR_CLOSED.
 */
enum mg_err conn_answer(struct conn *c, uint32_t id, int64_t timeout_ms,
    struct mg_frame *f) MG_MUST_CHECK;

/* Takes what the hub says unasked. */
void conn_drain_hub(struct conn *c);

/* ---- conn_cmd.c ---- */

/* Runs the command line; the exit status. */
int conn_run_command(struct conn *c);

/*
 * A request with its body. False: a message was written (to err when it is
 * not NULL, else to the peer). item lives until the next question.
 */
struct mg_conn_item;
bool conn_get(struct conn *c, const char *id, struct mg_conn_item *item,
    struct mg_frame *f, char *err, size_t err_size);

/*
 * Submits an armoured signature and says what came of it, in out; the
 * status.
 */
int conn_submit(struct conn *c, const char *uuid, const char *word,
    const char *note, const void *sig, size_t sig_len, char *out,
    size_t out_size);

/* Why note cannot be one; NULL when it can. */
const char *conn_note_flaw(const char *note);

struct conn_row;
/* The inbox; the caller frees *rowsp. False: the hub did not answer. */
bool conn_list(struct conn *c, bool ended, bool watch, struct conn_row **rowsp,
    size_t *np);

/* ---- conn_agent.c ---- */

/*
 * Signs the text with the key that logged in, through the peer's agent;
 * appends the armoured signature. *whyp says what did not work.
 */
bool conn_agent_sign(struct conn *c, const void *text, size_t n,
    struct mg_buf *armour, const char **whyp);

/* ---- conn_menu.c ---- */
int conn_menu(struct conn *c);

/* ---- conn_host.c ---- */
void conn_serve_host(struct conn *c);

/* ---- conn_confine.c ---- */

/* Before a byte of the peer is read. False: it did not work. */
bool conn_confine(char *why, size_t why_size);

#endif
