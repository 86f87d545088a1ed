/* SPDX-License-Identifier: ISC */
#ifndef HUB_NOTIFY_H
#define HUB_NOTIFY_H

#include "hub_store.h"
#include "mg_loop.h"

/*
 * Tells the site's notify command what happens: one run a happening, one
 * JSON object on its standard input. It runs in its own process group, for
 * at most HUB_NOTIFY_TIME_MS, a few at a time, and never holds up the hub;
 * what does not fit the queue is dropped and logged.
 */

#define HUB_NOTIFY_QUEUE_MAX 256
#define HUB_NOTIFY_RUNNING_MAX 4
#define HUB_NOTIFY_TIME_MS 10000

struct hub_notify;

/* path "" makes one that does nothing. log_fd becomes its standard error. */
struct hub_notify *hub_notify_new(struct mg_loop *loop, const char *path,
    const char *hub_name, int log_fd) MG_MUST_CHECK;

/* Ends what runs. */
void hub_notify_free(struct hub_notify *n);

/* What is told. */
void hub_notify_request(
    struct hub_notify *n, const struct hub_request *req, int64_t now_ms);
void hub_notify_decision(struct hub_notify *n, const struct hub_request *req,
    const struct hub_decision *d, int64_t now_ms);
void hub_notify_verdict(struct hub_notify *n, const struct hub_request *req,
    const struct hub_decision *d, int64_t now_ms);
void hub_notify_ended(
    struct hub_notify *n, const struct hub_request *req, int64_t now_ms);

#endif
