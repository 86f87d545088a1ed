/* SPDX-License-Identifier: ISC */
#ifndef MG_OMS_INT_H
#define MG_OMS_INT_H

#include <jansson.h>
#include <openssl/evp.h>

#include "verify/mg_oms.h"

/* What the files of mg_oms share. */

#define OMS_MEDIA_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"
#define OMS_PAYLOAD_TYPE "application/vnd.in-toto+json"
#define OMS_STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define OMS_PREDICATE_TYPE "https://model_signing/signature/v1.0"

/* Never part of a model, at the top of its folder only; ends with NULL. */
extern const char *const mg_oms_git_paths[5];

/* Fills fail and returns r. Words from outside are escaped by the caller. */
enum mg_err mg_oms_say(struct mg_oms_fail *fail, enum mg_err r,
    enum mg_oms_why why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Reads JSON within our limits of size, depth and number of values, without
 * duplicate members. what names it in messages. *jp is the caller's
 * (json_decref), an object, NULL on failure.
 */
enum mg_err mg_oms_json(const void *text, size_t len, const char *what,
    json_t **jp, struct mg_oms_fail *fail) MG_MUST_CHECK;

/* The member, of the type, or NULL and fail filled. */
json_t *mg_oms_get(const json_t *obj, const char *name, json_type type,
    struct mg_oms_fail *fail);

/* MG_ERR_OK when every member of obj is one of the names (NULL ends). */
enum mg_err mg_oms_only(const json_t *obj, const char *const *names,
    const char *what, struct mg_oms_fail *fail) MG_MUST_CHECK;

/* Appends what base64 (either alphabet, padding or none) stands for. */
enum mg_err mg_oms_base64(struct mg_buf *b, const char *s, const char *what,
    struct mg_oms_fail *fail) MG_MUST_CHECK;

/* Whether s is a plain relative path: no empty part, no ".", no "..". */
bool mg_oms_path_is_valid(const char *s);

/* Appends what is signed for a payload. */
enum mg_err mg_oms_put_pae(
    struct mg_buf *b, const void *payload, size_t len) MG_MUST_CHECK;

/* The digest that goes with a key of P-256, P-384 or P-521; else NULL. */
const EVP_MD *mg_oms_key_md(const EVP_PKEY *key);

/* The SHA-256, in hex, of the PEM text of the public key. */
enum mg_err mg_oms_key_hint(const EVP_PKEY *key, char out[65]) MG_MUST_CHECK;

/*
 * Lists the files that count: without the signature, without what git
 * keeps, without ignore. *treep is the caller's (mg_tree_free()).
 */
enum mg_err mg_oms_walk(const struct mg_oms_files *files,
    const char *const *ignore, size_t nignore, struct mg_tree **treep,
    struct mg_oms_fail *fail) MG_MUST_CHECK;

/* Hashes the pieces; fail tells a moving artifact from a broken one. */
enum mg_err mg_oms_hash(const struct mg_oms_files *files,
    const struct mg_tree *tree, enum mg_hash hash, struct mg_hash_piece *pieces,
    size_t n, struct mg_oms_fail *fail) MG_MUST_CHECK;

#endif
