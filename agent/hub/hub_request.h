/* SPDX-License-Identifier: ISC */
#ifndef HUB_REQUEST_H
#define HUB_REQUEST_H

#include "hub_store.h"

/* Requests and decisions in memory; for the store's own files. */

/* Everything that a request is made of, before it is one. */
struct hub_put_view {
	const char *uuid, *host, *requester, *review, *body;
	const char *const *need;
	size_t nneed;
	int64_t filed_ms, deadline_ms;
};

/*
 * Whether the parts fit each other: the body is one that mg_text.h can have
 * rendered, and names the same request, host and requester. MG_ERR_FORMAT
 * and *whyp otherwise; MG_ERR_NOMEM when that could not be found out.
 */
enum mg_err hub_put_check(
    const struct hub_put_view *v, const char **whyp) MG_MUST_CHECK;

/* A request of checked parts; NULL when memory is out. */
struct hub_request *hub_request_new(
    const struct hub_put_view *v, int64_t now_ms) MG_MUST_CHECK;
void hub_request_free(struct hub_request *req);

/* Whether a is the list of the n texts at v. */
bool hub_strv_equal(const struct hub_strv *a, const char *const *v, size_t n);

/* Replaces a by copies of v; on MG_ERR_NOMEM a is as it was. */
enum mg_err hub_strv_set(
    struct hub_strv *a, const char *const *v, size_t n) MG_MUST_CHECK;

/* Replaces *sp by a copy; on MG_ERR_NOMEM it is as it was. */
enum mg_err hub_str_set(char **sp, const char *s) MG_MUST_CHECK;

/* Adds an empty decision of an approver; NULL when memory is out. */
struct hub_decision *hub_decision_add(
    struct hub_request *req, const char *approver) MG_MUST_CHECK;

/* Counts again what the request takes. */
void hub_request_weigh(struct hub_request *req);

#endif
