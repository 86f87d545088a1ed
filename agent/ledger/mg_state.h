/* SPDX-License-Identifier: ISC */
#ifndef MG_STATE_H
#define MG_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"
#include "mg_id.h"
#include "mg_models.h"
#include "mg_past.h"
#include "mg_rec.h"
#include "mg_token.h"
#include "mg_why.h"

/*
 * What the agent knows: requests, grants, runs, sessions, second-factor
 * failures. All of it is a fold over ledger records: mg_state_apply() is
 * the only way in, live and at start-up. Pure: no clock, no file, no log.
 */

enum mg_req_state {
	MG_REQ_NONE = 0,
	MG_REQ_PENDING,
	MG_REQ_GRANTED,
	MG_REQ_USED,
	MG_REQ_EXPIRED,
	MG_REQ_REVOKED,
	MG_REQ_DENIED,
	MG_REQ_CANCELLED,
	MG_REQ_TIMEDOUT,
	MG_REQ_STATE_COUNT
};

#define MG_APPROVALS_MAX 32
#define MG_RUNS_MAX 16	     /* open at once, per grant */
#define MG_ENDED_MAX 1024    /* ended requests kept in memory */
#define MG_PENDING_MAX 10000 /* requests that wait or are granted */

struct mg_approval {
	const char *approver; /* as he signed */
	const char *person;   /* the first name of his uid */
	const char *note;
	const char *key_fp;
	bool approve; /* else a denial */
	int64_t at_ms;
};

/* One execution that has not been found empty yet. */
struct mg_run_state {
	uint32_t run; /* number within the grant, from 1; 0: free slot */
	uint32_t ses; /* its audit session */
	bool exited;
};

/* The part of a request that changes; plain data, so that a batch whose
 * records could not be made durable can be undone by copying it back. */
struct mg_req_live {
	enum mg_req_state state;
	enum mg_why why;
	const char *ended_by;
	bool mfa_done;
	struct mg_approval *approvals; /* at most MG_APPROVALS_MAX */
	size_t napprovals, approvals_cap;
	unsigned used;	   /* runs started, ever */
	bool waived;	   /* granted without the approvals */
	unsigned tokens;   /* that were given for it */
	unsigned reviewed; /* bit i: somebody of review[i] has signed */
	struct mg_run_state runs[MG_RUNS_MAX];
	size_t nruns;	    /* open */
	int64_t granted_ms; /* wall clock */
	int64_t ended_ms;
	/* Deadlines in CLOCK_BOOTTIME of the present boot. */
	int64_t approve_by_bt;
	int64_t start_by_bt;
	int64_t ends_bt;
};

struct mg_req;
struct mg_req_owner;

struct mg_req_link {
	struct mg_req *prev, *next;
};

struct mg_req {
	char uuid[MG_UUID_STR];
	char code[MG_CODE_STR];
	const char *user;
	uint32_t uid;
	uint32_t ses;
	const char *tty;
	const char *origin;
	const char *operation;
	const char *model;
	const char *version;
	const char *const *args;
	size_t nargs;
	const char *const *argv;
	size_t argc;
	const char *run_as;
	const char *cwd;
	const char *artifact; /* path */
	const char *digest;
	const char *effect; /* of a run that succeeds: mg_models.h */
	const char *serves; /* where what is served can be found; or "" */
	const char *reason;
	const char *ticket;
	const char *policy;
	const char *nonce;
	const char *rule; /* name and place of the first rule */
	const char *text; /* of a refusal */
	const char *remedy;
	const char *const *need; /* role, count, role, count, ... */
	size_t nneed;
	const char *waive; /* of approvals: "served-before", "break-glass" */
	unsigned tokens;   /* that breaking the glass takes */
	const char *const *review; /* roles that look at it afterwards */
	size_t nreview;
	bool mfa;
	bool confirm; /* approvers sign the requester's two digits */
	bool grant_only;
	/* Of the session that it was filed in, at that time. */
	const char *key_type;
	bool key_hardware;
	bool is_local;
	int64_t key_since_ms; /* wall clock; 0: not known */
	int64_t mfa_age_ms;   /* since a second factor; -1: there was none */
	int64_t bytes;	      /* of the artifact */
	int64_t filed_ms;     /* wall clock */
	int64_t lasts_ms, approve_ms, start_ms;
	unsigned uses; /* 0: no limit */
	struct mg_req_live live;

	void *runtime; /* the monitor's, not folded; NULL at first */
	struct mg_req *next_hash;
	union {
		struct mg_req_link all; /* live ones, or ended ones */
		struct {
			struct mg_req *prev, *next;
		};
	};
	struct mg_req_link granted; /* of all grants */
	struct mg_req_link own;	    /* its requester's pending, or granted */
	uint64_t order;		    /* falls along each of these lists */
	enum mg_req_state listed;   /* by which state it is in lists */
	struct mg_req_owner *owner;
	struct mg_arena_chunk *arena;
};

struct mg_session {
	uint32_t ses;
	uint32_t uid;
	const char *user;
	const char *service;
	const char *tty;
	const char *origin;
	const char *key_type;
	const char *key_fp;
	bool hardware;
	int64_t opened_ms;
	struct mg_session *next;
};

/* Somebody who was let in without a grant, as long as the process that asked
 * goes on. */
struct mg_access {
	char uuid[MG_UUID_STR]; /* "": free */
	char user[97], operation[97];
	int64_t pid, start; /* mg_proc.h */
	struct mg_access *next;
};
#define MG_ACCESSES_MAX 4096 /* counted; more would not change an answer */

#define MG_FACTOR_SESSIONS 8 /* remembered per person */

/* Codes of one person, over all channels and restarts. */
struct mg_factor {
	char *user;
	unsigned fails; /* since the last success */
	int64_t locked_until_bt;
	/* When which session last passed, of the present boot. */
	struct {
		uint32_t ses;
		int64_t at_bt; /* 0: free */
	} passed[MG_FACTOR_SESSIONS];
	struct mg_factor *next;
};

#define MG_MFA_TRIES 5
#define MG_MFA_LOCK_MS 300000	   /* after MG_MFA_TRIES failures */
#define MG_MFA_LOCK_MAX_MS 3600000 /* doubled per failure up to this */

#define MG_STATE_DIGEST 80 /* "sha256:<64 hex>" and a NUL */

/* What is in force of the files that stewards sign. */
struct mg_guarded {
	bool is_signed; /* the policy demands signatures */
	char policy[MG_STATE_DIGEST];
	char signers[MG_STATE_DIGEST]; /* allowed_signers; "": any will do */
	/* The highest that ever were in force; 0: none. */
	uint64_t policy_version, signers_version;
};

/*
 * A set of break-glass tokens: what they are known again from, which is
 * nothing without the host's number key. One that has ended stays so, as
 * long as it is remembered; what is not remembered is not taken either.
 */
#define MG_SETS_MAX 32 /* remembered, MG_TOKEN_SETS_MAX of them usable */
#define MG_SET_HASH 65 /* hex, with the NUL */
struct mg_token_set {
	char name[MG_TOKEN_SET_STR]; /* "": free */
	unsigned need, of;
	char hash[MG_TOKENS_MAX][MG_SET_HASH];
	char key[17]; /* which number key it was made with */
	enum { MG_SET_GOOD = 1, MG_SET_USED, MG_SET_VOID } state;
	int64_t made_ms, ended_ms; /* wall clock */
	char request[MG_UUID_STR]; /* what it was used for */
	uint64_t order;		   /* of making */
};

struct mg_state;

struct mg_state *mg_state_new(void) MG_MUST_CHECK;
void mg_state_free(struct mg_state *st);

/*
 * Applies one ledger record. MG_ERR_STATE when the record is not possible
 * here, MG_ERR_FORMAT when a member is missing, MG_ERR_NOMEM.
 */
enum mg_err mg_state_apply(
    struct mg_state *st, const struct mg_rec *rec) MG_MUST_CHECK;

/*
 * Appends to b the lines (records, each with a newline) that _restore()
 * makes the same state from. MG_ERR_STATE: something is not committed yet.
 */
enum mg_err mg_state_save(
    const struct mg_state *st, struct mg_buf *b) MG_MUST_CHECK;

/* Applies one such line, to a state that began empty. Commit after each. */
enum mg_err mg_state_restore(
    struct mg_state *st, const struct mg_rec *rec) MG_MUST_CHECK;

/* All records so far are durable. */
void mg_state_commit(struct mg_state *st);

/*
 * The records since the mark (NULL: since the last commit) are not in the
 * ledger and never were: undoes them.
 */
const void *mg_state_mark(const struct mg_state *st);
void mg_state_rollback_to(struct mg_state *st, const void *mark);

/*
 * Called for each request that a rollback or the limit on ended requests
 * is about to free, so that the monitor can let go of it.
 */
void mg_state_set_free_hook(
    struct mg_state *st, void (*fn)(void *arg, struct mg_req *req), void *arg);

/* By UUID, or by short code in canonical form. NULL: not known. */
struct mg_req *mg_state_find(const struct mg_state *st, const char *id);

/* The first live (pending or granted) and first ended request, newest
 * first; go on with req->next. */
struct mg_req *mg_state_live(const struct mg_state *st);
struct mg_req *mg_state_ended(const struct mg_state *st);
/* The same of all grants: go on with req->granted.next. */
struct mg_req *mg_state_granted(const struct mg_state *st);
/* The same of one requester's, that are pending or that are granted: go on
 * with req->own.next. None of these looks at others' requests. */
struct mg_req *mg_state_own_pending(const struct mg_state *st, uint32_t uid);
struct mg_req *mg_state_own_granted(const struct mg_state *st, uint32_t uid);
size_t mg_state_live_count(const struct mg_state *st);
size_t mg_state_live_count_of(const struct mg_state *st, uint32_t uid);

const struct mg_session *mg_state_session(
    const struct mg_state *st, uint32_t ses);
const struct mg_session *mg_state_sessions(const struct mg_state *st);

/* The next behind after (NULL: the first), or NULL. */
const struct mg_access *mg_state_access(
    const struct mg_state *st, const struct mg_access *after);
const struct mg_access *mg_state_access_find(
    const struct mg_state *st, const char *uuid);
/* What is deployed here. */
const struct mg_models *mg_state_models(const struct mg_state *st);
const struct mg_guarded *mg_state_guarded(const struct mg_state *st);

/* NULL: no failures. */
const struct mg_factor *mg_state_factor(
    const struct mg_state *st, const char *user);

/* When the session of user last passed a second factor, on the boot clock;
 * 0: never, or it is not remembered. */
int64_t mg_state_passed_bt(
    const struct mg_state *st, const char *user, uint32_t ses);

/* What people did, for looking; the request that is asked about counts. */
struct mg_past *mg_state_past(const struct mg_state *st);

/*
 * Whether this version, with exactly these bytes, ran here to a good end
 * after people had approved it.
 */
bool mg_state_was_served(const struct mg_state *st, const char *model,
    const char *version, const char *digest);

/* Whether the glass was broken for it and not all have reviewed that. */
bool mg_req_wants_review(const struct mg_req *req);
/* Whether decisions on it count: it waits for them, or to be reviewed. */
bool mg_req_is_open(const struct mg_req *req);
/* The request that does, or NULL. */
struct mg_req *mg_state_unreviewed(const struct mg_state *st);

/* The stable word for a state: "pending", "granted", ... */
const char *mg_req_state_word(enum mg_req_state s);

/* Whether from -> to is a transition that exists. */
bool mg_req_may_go(enum mg_req_state from, enum mg_req_state to);

/* The set of that name, or NULL; and all of them, MG_SETS_MAX entries. */
const struct mg_token_set *mg_state_set(
    const struct mg_state *st, const char *name);
const struct mg_token_set *mg_state_sets(const struct mg_state *st);
/* As mg_state_factor(), of guesses at tokens. */
const struct mg_factor *mg_state_token_guesses(
    const struct mg_state *st, const char *user);

/* Whether the request waits or is granted. */
bool mg_req_is_live(const struct mg_req *req);

#endif
