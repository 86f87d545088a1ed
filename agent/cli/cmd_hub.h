/* SPDX-License-Identifier: ISC */
#ifndef MG_CMD_HUB_H
#define MG_CMD_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "mg_buf.h"

/*
 * Where the hub is, and talking to it with the stock ssh. What the hub
 * sends is not trusted: it is bounded, and made printable before it is
 * shown.
 */

#define HUB_TARGET_MAX 256
#define HUB_PORT_DEFAULT "7022"

struct hub_target {
	char dest[HUB_TARGET_MAX]; /* [user@]host, never an option */
	char port[8];
};

/*
 * Reads "[user@]host[:port]" or "[user@][v6]:port". MG_ERR_FORMAT and *whyp
 * when it is not that.
 */
enum mg_err hub_target_parse(
    const char *s, struct hub_target *t, const char **whyp) MG_MUST_CHECK;

/*
 * The value of "hub" in the section [client] of an INI text; empty when it
 * is not set. MG_ERR_FORMAT and *linep: what is not understood.
 */
enum mg_err hub_client_ini(const char *text, size_t n, char *out, size_t size,
    unsigned *linep) MG_MUST_CHECK;

/*
 * Finds the hub: option (may be NULL), MODELGATE_HUB,
 * ~/.config/modelgate/hub, /etc/modelgate/client.ini, else "hub". On
 * failure why says what is wrong where.
 */
enum mg_err hub_find(const char *option, struct hub_target *t, char *why,
    size_t why_size) MG_MUST_CHECK;

/*
 * The private key (or the public half of one in an agent) to use: option,
 * MODELGATE_KEY, the first of the usual ones in ~/.ssh. MG_ERR_NOENT.
 */
enum mg_err hub_find_key(
    const char *option, char *out, size_t size) MG_MUST_CHECK;

/*
 * Runs a program with n bytes on its standard input. Its output goes to
 * out, or, when out is NULL, to ours, made printable line by line; what it
 * complains of likewise to said, as far as it fits there. Returns its exit
 * status, 255 when it could not be run or was ended, -1 when its
 * output is longer than out can be.
 */
int hub_run(char *const argv[], const void *in, size_t n, struct mg_buf *out,
    struct mg_buf *said);

/* The same for a command of the hub; key may be NULL. */
int hub_ssh(const struct hub_target *t, const char *key, const char *command,
    const void *in, size_t n, struct mg_buf *out, struct mg_buf *said);

/* Appends s as one word of a command of the hub (conn_args.h). */
enum mg_err hub_put_word(struct mg_buf *b, const char *s) MG_MUST_CHECK;

#endif
