/* SPDX-License-Identifier: ISC */
#ifndef MG_CLIENT_H
#define MG_CLIENT_H

#include "mg_chan.h"

/*
 * The blocking client side of the agent's socket, for the CLI and the PAM
 * module. The agent proves itself by the kernel's word that the listening
 * process is root's (SO_PEERCRED): a socket that somebody else put in its
 * place is refused.
 */

#define MG_CLIENT_SOCKET "/run/modelgate/agent.sock"
#define MG_ROOT_SOCKET "/run/modelgate/root.sock" /* root's alone */
#define MG_CLIENT_QUEUE_MAX 65536

/*
 * Connects within timeout_ms; root, who wants MG_CLIENT_SOCKET, by its own. On
 * success *chp is the caller's to free with mg_chan_free(). MG_ERR_NOENT: no
 * agent listens. MG_ERR_PERM: what listens is not root's. MG_ERR_TIMEOUT,
 * MG_ERR_SYS, MG_ERR_NOMEM.
 */
enum mg_err mg_client_connect(
    const char *path, int timeout_ms, struct mg_chan **chp) MG_MUST_CHECK;

/*
 * Asks the one question of a fresh channel. An agent that has hung up by
 * then is no error: it may have said why, which is read as any answer is.
 * Otherwise as mg_chan_send_fds().
 */
enum mg_err mg_client_ask(struct mg_chan *ch, enum mg_msg_op op,
    const void *msg, const int *fds, size_t nfds) MG_MUST_CHECK;

#endif
