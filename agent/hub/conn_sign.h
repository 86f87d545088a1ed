/* SPDX-License-Identifier: ISC */
#ifndef CONN_SIGN_H
#define CONN_SIGN_H

#include "mg_buf.h"

/*
 * Signing through an ssh-agent: its protocol, and the SSHSIG envelope
 * around what it gives back. Pure: bytes in, bytes out.
 */

#define CONN_AGENT_MESSAGE_MAX 262144
#define CONN_AGENT_KEYS_MAX 4096

/* "Which keys do you have?" */
enum mg_err conn_agent_put_list(struct mg_buf *b) MG_MUST_CHECK;

/*
 * Whether the answer (without its length) names the key. MG_ERR_NOENT: it
 * does not. MG_ERR_FORMAT: it is not such an answer.
 */
enum mg_err conn_agent_find(
    const void *msg, size_t len, const void *key, size_t key_len) MG_MUST_CHECK;

/* "Sign these bytes with that key"; RSA with SHA-512. */
enum mg_err conn_agent_put_sign(struct mg_buf *b, const void *key,
    size_t key_len, const void *data, size_t n) MG_MUST_CHECK;

/*
 * The signature out of the answer, checked to be one of that key's type;
 * *sigp points into msg. MG_ERR_PERM: the agent does not want to.
 */
enum mg_err conn_agent_signature(const void *msg, size_t len, const void *key,
    size_t key_len, const uint8_t **sigp, size_t *np) MG_MUST_CHECK;

/* What has to be signed for a text, in the namespace of approvals. */
enum mg_err conn_sshsig_put_signed(
    struct mg_buf *b, const void *text, size_t n) MG_MUST_CHECK;

/* The armoured SSHSIG of a signature over that. */
enum mg_err conn_sshsig_put_armour(struct mg_buf *b, const void *key,
    size_t key_len, const void *sig, size_t sig_len) MG_MUST_CHECK;

#endif
