/* SPDX-License-Identifier: ISC */
#ifndef MG_CLI_H
#define MG_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "mg_client.h"
#include "mg_msg.h"
#include "mg_rec.h"

/*
 * What the subcommands of modelgate share. This binary links libc only:
 * what needs more is a program of its own in MG_LIBEXECDIR.
 */

#define MG_CLI_CONNECT_MS 5000

/* Exit statuses besides the command's own. */
#define MG_EXIT_REFUSED 125
#define MG_EXIT_USAGE 2

/* Every subcommand: argv[0] is its name. Returns the exit status. */
int mg_cmd_run(int argc, char **argv);
int mg_cmd_request(int argc, char **argv);
int mg_cmd_status(int argc, char **argv);
int mg_cmd_grants(int argc, char **argv);
int mg_cmd_requests(int argc, char **argv);
int mg_cmd_done(int argc, char **argv);
int mg_cmd_cancel(int argc, char **argv);
int mg_cmd_revoke(int argc, char **argv);
int mg_cmd_why(int argc, char **argv);
int mg_cmd_log(int argc, char **argv);
int mg_cmd_models(int argc, char **argv);
int mg_cmd_approve(int argc, char **argv);
int mg_cmd_deny(int argc, char **argv);
int mg_cmd_show(int argc, char **argv);
int mg_cmd_inbox(int argc, char **argv);

/* Prints the usage of a subcommand to err and returns MG_EXIT_USAGE. */
int mg_cli_usage(const char *name);

/* The same, after naming the word that the subcommand has no place for. */
int mg_cli_unexpected(const char *name, const char *word);

/* getopt_long(3) of a subcommand: what it says begins "modelgate NAME: ". */
struct option;
int mg_cli_getopt(
    int argc, char **argv, const char *shorts, const struct option *longs);

/* "modelgate: TEXT" on standard error, escaped for one line. */
void mg_cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Connects to the agent. On failure it has told the user (as JSON when
 * json is set) and returns NULL: exit with MG_EXIT_REFUSED.
 */
struct mg_chan *mg_cli_connect(bool json);

/* Shows a refusal, with rule, remedy and code. Returns MG_EXIT_REFUSED. */
int mg_cli_refused(const struct mg_refused *r, bool json);

/* The same for a failure of this program's own. */
int mg_cli_failed(bool json, const char *word, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Has the agent read the ledger; print sees each record that passes q, or
 * its line is printed as it is (json). When there is none, unknown is what
 * is said, as a failure. Returns the exit status.
 */
int mg_cli_log(const struct mg_log_req *q, bool json,
    void (*print)(const struct mg_rec *rec), const char *unknown);

/*
 * Sends one question and reads ITEM frames until DONE. fn sees each row
 * (NULL: rows are ignored). *textp gets a malloc'ed copy of DONE's text
 * unless textp is NULL. Returns 0, or the status to exit with.
 */
typedef void (*mg_cli_row_fn)(
    void *arg, const char *json, const struct mg_rec *rec);
int mg_cli_ask(enum mg_msg_op op, const void *msg, bool json, mg_cli_row_fn fn,
    void *arg, char **textp);

/* Columns of the terminal on fd, or 80. */
unsigned mg_cli_columns(int fd);

#endif
