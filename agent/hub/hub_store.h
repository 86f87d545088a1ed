/* SPDX-License-Identifier: ISC */
#ifndef HUB_STORE_H
#define HUB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub_journal.h"
#include "mg_id.h"
#include "mg_msg.h"

/*
 * The mailbox: requests that hosts put, decisions that approvers submit,
 * verdicts that hosts give on them. Everything here is a fold over the
 * journal; each call that changes something returns after it is on disk.
 * Times are the hub's own (now_ms): wall clock at start, then steady.
 */

#define HUB_SIG_MAX 16384

struct hub_decision {
	struct hub_decision *next;
	char *approver;
	char *word; /* "approve" or "deny" */
	char *note;
	char *sig; /* armoured; NULL once judged */
	enum mg_hub_judged judged;
	char *verdict; /* the host's words; "" until then */
	int64_t at_ms;
	bool handed; /* given to the host over its present connection */
};

struct hub_strv {
	char **v;
	size_t n;
};

struct hub_request {
	struct mg_uuid uuid;
	char id[MG_UUID_STR], code[MG_CODE_STR];
	char *host, *requester, *body;
	char *review; /* of what has run: "glass", "tokens"; else empty */
	char *operation, *model, *version; /* out of the body */
	struct hub_strv need, agreed;
	char *state;
	bool ended;
	int64_t filed_ms; /* the host's wall clock */
	int64_t put_ms;	  /* first seen */
	int64_t deadline_ms, ended_ms;
	struct hub_decision *decisions;
	struct hub_load *load; /* it counts there; NULL: it has ended */
	size_t bytes;	       /* about how much memory it takes */
};

struct hub_store_limits {
	size_t requests;	  /* in all */
	size_t requests_per_host; /* not ended */
	uint64_t bytes;		  /* of all requests */
	int64_t keep_ended_ms;
};

/* A host's requests that have not ended. */
struct hub_load {
	struct hub_load *next;
	size_t pending;
	char host[];
};

struct hub_store {
	struct hub_journal journal;
	struct hub_load *loads; /* of hosts that ever had some */
	struct hub_store_limits limits;
	struct hub_request **v; /* by uuid */
	size_t n, cap;
	uint64_t bytes;
	int64_t last_ms; /* the latest date in the journal */
};

/*
 * Opens the store in the folder dir; see hub_journal_open(). On failure s
 * holds nothing.
 */
enum mg_err hub_store_open(struct hub_store *s, const char *dir,
    const struct hub_store_limits *limits, size_t *torn_bytesp, char *why,
    size_t why_size) MG_MUST_CHECK;
void hub_store_close(struct hub_store *s);

/* The request of a UUID or a short code. MG_ERR_NOENT, MG_ERR_STATE (the
 * code fits several), MG_ERR_FORMAT (neither). */
enum mg_err hub_store_find(struct hub_store *s, const char *id,
    struct hub_request **reqp) MG_MUST_CHECK;

/* The decision of one approver, or NULL. */
struct hub_decision *hub_store_decision(
    const struct hub_request *req, const char *approver);

/*
 * A host puts a request (again). *is_newp: it was not known. On refusal
 * (MG_ERR_PERM, MG_ERR_FORMAT, MG_ERR_EXIST, MG_ERR_LIMIT) or failure
 * (MG_ERR_SYS) why says what for.
 */
enum mg_err hub_store_put(struct hub_store *s, int64_t now_ms, const char *host,
    const struct mg_hub_put *m, struct hub_request **reqp, bool *is_newp,
    char *why, size_t why_size) MG_MUST_CHECK;

/*
 * A host says what has become of a request. MG_ERR_PERM: it is another
 * host's. MG_ERR_NOENT: not known (any more). *changedp: something did.
 */
enum mg_err hub_store_state(struct hub_store *s, int64_t now_ms,
    const char *host, const struct mg_hub_state *m, struct hub_request **reqp,
    bool *changedp, char *why, size_t why_size) MG_MUST_CHECK;

/*
 * An approver's signed decision. sig is the armoured signature as text.
 * MG_ERR_EXIST: the approver has decided; MG_ERR_STATE: the request ended;
 * MG_ERR_NOENT, MG_ERR_FORMAT, MG_ERR_LIMIT, MG_ERR_SYS; why says more.
 */
enum mg_err hub_store_decide(struct hub_store *s, int64_t now_ms,
    const char *approver, const char *uuid, const char *word, const char *note,
    const char *sig, struct hub_request **reqp, struct hub_decision **dp,
    char *why, size_t why_size) MG_MUST_CHECK;

/*
 * A host's verdict on a decision. MG_ERR_PERM, MG_ERR_NOENT as above.
 * *changedp: it is news.
 */
enum mg_err hub_store_verdict(struct hub_store *s, int64_t now_ms,
    const char *host, const struct mg_hub_verdict *m, struct hub_request **reqp,
    bool *changedp, char *why, size_t why_size) MG_MUST_CHECK;

/*
 * Forgets what nobody needs any more, and rewrites the journal when most
 * of it is history. Call now and then. *droppedp: how many were forgotten.
 */
enum mg_err hub_store_tidy(
    struct hub_store *s, int64_t now_ms, size_t *droppedp) MG_MUST_CHECK;

/* Time left to approve. */
uint64_t hub_request_left_ms(const struct hub_request *req, int64_t now_ms);

/* Whether need names person as a candidate of a role; the role, or NULL. */
const char *hub_request_asks(const struct hub_request *req, const char *person);

#endif
