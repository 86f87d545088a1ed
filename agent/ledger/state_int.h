/* SPDX-License-Identifier: ISC */
#ifndef STATE_INT_H
#define STATE_INT_H

#include "mg_state.h"

/* What the files of the fold share:
 *
 *	mg_state.c		which records there are; looking at it
 *	state_store.c		requests: memory, lists, undoing
 *	state_request.c		records about requests
 *	state_people.c		records about second factors, sessions, boots
 *	state_access.c		records about who is in without a grant
 *	state_token.c		records about tokens
 *	state_snapshot.c	the fold as lines, and back
 */

#define BUCKETS 4096
#define OWNER_BUCKETS 512

struct mg_state_undo {
	struct mg_state_undo *next;
	void *target; /* NULL: a new request */
	struct mg_req *req;
	size_t size;
	char copy[];
};

struct mg_req_list {
	struct mg_req *first, *last;
	size_t n;
	size_t link; /* where in a request its place is kept */
};

/* Who has requests here: as long as there is one, live or not. */
struct mg_req_owner {
	uint32_t uid;
	size_t nreqs;
	struct mg_req_list pending, granted;
	struct mg_req_owner *next;
};

struct mg_state {
	struct mg_req *buckets[BUCKETS];
	struct mg_req_list live, ended, granted;
	struct mg_req_owner *owners[OWNER_BUCKETS];
	uint64_t order;
	struct mg_session *sessions;
	struct mg_access *accesses; /* free ones are used again */
	size_t naccesses;
	struct mg_factor *factors;
	struct mg_past *past;
	struct mg_models *models;
	struct mg_guarded guarded;
	struct mg_token_set sets[MG_SETS_MAX];
	uint64_t sets_made;
	char boot[40];
	int64_t last_bt, last_wall;
	struct mg_state_undo *undo;
	void (*free_hook)(void *arg, struct mg_req *req);
	void *free_arg;
};

/* A record that is applied or restored, with its clocks. */
struct mg_state_ctx {
	struct mg_state *st;
	const struct mg_rec *rec;
	int64_t bt, wall;
};

/* What takes a record of a type. */
struct mg_state_handler {
	const char *type;
	enum mg_err (*fn)(struct mg_state_ctx *c);
};

/* MG_ERR_FORMAT when no handler in v takes it. */
enum mg_err mg_state_handle(
    struct mg_state_ctx *c, const struct mg_state_handler *v);

/* ---- mg_state.c ---- */

/* Pending or granted. */
bool mg_state_is_live(enum mg_req_state s);

/* MG_REQ_NONE: there is no such state. */
enum mg_req_state mg_state_from_word(const char *w);

/* One that is too long changes nothing. */
void mg_state_keep_digest(char to[MG_STATE_DIGEST], const char *digest);

/* A version never goes back. */
void mg_state_raise_to(uint64_t *version, int64_t v);

/* ---- state_store.c ---- */

/* Memory that lives as long as the request. NULL: there is none. */
void *mg_state_alloc(struct mg_req *req, size_t n);

/* A copy of a string member, or of an empty one. False: no memory. */
bool mg_state_keep(struct mg_req *req, const struct mg_rec *rec,
    const char *key, const char **sp);

/* A copy of an array of strings. False: no memory. */
bool mg_state_keep_list(struct mg_req *req, const struct mg_rec *rec,
    const char *key, const char *const **vp, size_t *np);

/* Whose requests there are; NULL: of that uid none. */
const struct mg_req_owner *mg_state_owner(
    const struct mg_state *st, uint32_t uid);

/* Puts a request to those of its uid. False: no memory. */
bool mg_state_own(struct mg_state *st, struct mg_req *req);

/* Takes NULL. It is in no list. */
void mg_state_req_free(struct mg_state *st, struct mg_req *req);

/* Takes it out of the lists that it is in. */
void mg_state_unlist(struct mg_state *st, struct mg_req *req);

/* Into the lists of the state that it has now. */
void mg_state_relist(struct mg_state *st, struct mg_req *req);

/* From here on it is found. */
void mg_state_hash_add(struct mg_state *st, struct mg_req *req);

/* Rule 3: what is at target comes back when this is undone; with size 0 the
 * request goes. False: no memory. */
bool mg_state_save_for_undo(
    struct mg_state *st, void *target, size_t size, struct mg_req *req);

/* ---- state_request.c ---- */

/* A request out of its record. */
enum mg_err mg_state_new_request(
    struct mg_state_ctx *c, enum mg_req_state state, struct mg_req **reqp);

/* The request that a record is about, saved for undo. */
enum mg_err mg_state_subject(struct mg_state_ctx *c, struct mg_req **reqp);

/* An approver's decision out of its record. */
enum mg_err mg_state_keep_decision(struct mg_state_ctx *c, struct mg_req *req);

/* Records of the type in their name. */
enum mg_err mg_state_apply_request(struct mg_state_ctx *c);
enum mg_err mg_state_apply_refused(struct mg_state_ctx *c);
enum mg_err mg_state_apply_access(struct mg_state_ctx *c);
enum mg_err mg_state_apply_decision(struct mg_state_ctx *c);
enum mg_err mg_state_apply_grant(struct mg_state_ctx *c);
enum mg_err mg_state_apply_run(struct mg_state_ctx *c);
enum mg_err mg_state_apply_waiver(struct mg_state_ctx *c);
enum mg_err mg_state_apply_review(struct mg_state_ctx *c);
enum mg_err mg_state_apply_exit(struct mg_state_ctx *c);
enum mg_err mg_state_apply_empty(struct mg_state_ctx *c);
enum mg_err mg_state_apply_end(struct mg_state_ctx *c);

/* ---- state_people.c ---- */

/* The second factor of a user, made when there is none; saved for undo. */
enum mg_err mg_state_factor_of(
    struct mg_state *st, const char *user, struct mg_factor **fp);

/* How long so many wrong codes lock somebody out. */
int64_t mg_state_lock_ms(unsigned fails);

void mg_state_session_free(struct mg_session *s);

/* Records of the type in their name. */
enum mg_err mg_state_apply_mfa(struct mg_state_ctx *c);
enum mg_err mg_state_apply_session_open(struct mg_state_ctx *c);
enum mg_err mg_state_apply_session_close(struct mg_state_ctx *c);
enum mg_err mg_state_apply_start(struct mg_state_ctx *c);

/* ---- state_access.c ---- */

/* One more who is in, out of its record. */
enum mg_err mg_state_add_access(struct mg_state_ctx *c);
/* A new boot: nobody is. */
void mg_state_forget_accesses(struct mg_state *st);
void mg_state_free_accesses(struct mg_state *st);

enum mg_err mg_state_apply_access_end(struct mg_state_ctx *c);

/* ---- state_token.c ---- */

/* A set of tokens out of its record. */
bool mg_state_fill_set(struct mg_token_set *s, const struct mg_rec *rec);

/* Records of the type in their name. */
enum mg_err mg_state_apply_tokens(struct mg_state_ctx *c);

#endif
