/* SPDX-License-Identifier: ISC */
#ifndef MON_H
#define MON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"
#include "mg_chan.h"
#include "mg_close.h"
#include "mg_log.h"
#include "mg_loop.h"
#include "mg_proc.h"
#include "mg_spawn.h"
#include "mg_why.h"
#include "mg_state.h"
#include "policy.h"
#include "verify/mg_digest.h"

/*
 * The inside of modelgated's lasting root process. One thread, one loop;
 * everything that waits is a callback. Files:
 *
 *	proc_monitor.c	start, reload, stop
 *	mon_conf.c	agent.ini and the other root-owned files
 *	mon_keys.c	the host's own secrets
 *	mon_port.c	channels and children
 *	mon_commit.c	ledger first, then audit, then the effect
 *	mon_clock.c	a wall clock that is set
 *	mon_audit.c	what a record looks like in the audit log; its writers
 *	mon_people.c	who people are, through mg-ident
 *	mon_door.c	accepting clients, their limits, whose turn it is
 *	mon_front.c	workers of mg-front
 *	mon_client.c	what clients ask, and their answers
 *	mon_policy.c	what policy is in force, and why another is not
 *	mon_copy.c	the agent's copies of a signed policy
 *	mon_verify.c	asking two judges about one signature
 *	mon_ask.c	what the policy is told
 *	mon_refuse.c	refusals without a request
 *	mon_job.c	one client, from its question to a request on record
 *	mon_need.c	who has to agree with a request, who may
 *	mon_request.c	a request on record, to its grant and its end
 *	mon_auth.c	second factor, enrolment
 *	mon_tokens.c	sets of break-glass tokens
 *	mon_store.c	digests and signatures of artifacts, their copies
 *	mon_prune.c	copies that nobody needs any more
 *	mon_model.c	what is deployed here, and whether it still is
 *	mon_run_start.c	what stands before a command, and what it is given
 *	mon_run.c	a run on record, until no process of it is left
 *	mon_run_kill.c	ending runs by force; what an earlier agent left
 *	mon_run_adopt.c	runs of what PAM let in under a grant
 *	mon_cgroup.c	the groups that hold the processes of runs
 *	mon_hub.c	what the hub is told, and its link
 *	mon_decision.c	whether an approver's decision counts
 *	mon_outage.c	whether approvers can be reached at all
 *	mon_tree.c	signed checkpoints of the ledger
 *	mon_keep.c	hashes of the ledger, its old segments, their end
 *	mon_pam.c	the four questions of the PAM module
 *	mon_asker.c	questions whose answer depends on who asks:
 *	mon_list.c	listings, and what the agent says of itself
 *	mon_end.c	done, cancel, revoke
 *	mon_log.c	readers of the ledger
 *	ledger/mg_state.c	the fold over the ledger
 */

#define MON_STATE_DIR "/var/lib/modelgate"
#define MON_RUN_DIR "/run/modelgate"
#define MON_STORE_DIR MG_STORE_DIR
#define MON_COPY_NAME 72 /* "sha256-HEX", NUL */

#define MON_PACES 256
#define MON_PORT_QUEUE 262144	   /* bytes waiting for one peer */
#define MON_AUDIT_DEADLINE_MS 4000 /* the kernel takes a record by then */
#define MON_PEOPLE_DEADLINE_MS 2000
#define MON_SILENCE_MS 10000 /* a client asks something by then */
#define MON_STALL_MS 30000   /* and takes what it asked for */
#define MON_DIGEST_DEADLINE_MS 3600000
#define MON_VERIFY_DEADLINE_MS 10000
#define MON_AUTH_DEADLINE_MS 130000
#define MON_TOKENS_DEADLINE_MS 620000 /* they are long to type */
#define MON_LINK_IDLE_MS 60000
#define MON_KILL_DEADLINE_MS 3000 /* then others do mg-run's work */

struct mon;
struct mon_job;
struct mon_run;
struct mon_client;
struct mon_old_group;

/* ---- mon_conf.c ---- */

#define MON_LABELS_MAX 32
#define MON_PINS_MAX 16

struct mon_conf {
	char host[MG_MSG_STRV_BYTES / 16]; /* name in signed texts */
	char *labels[MON_LABELS_MAX];
	size_t nlabels;
	char hub_address[256]; /* empty: no hub */
	uint16_t hub_port;
	int64_t hub_down_after_ms;
	char *pins[MON_PINS_MAX];
	size_t npins;
	bool audit_optional;
	unsigned clients_max, clients_per_user;
	unsigned pending_max, pending_per_user;
	unsigned refusals_per_minute; /* per user, on record */
	unsigned check_minutes;	      /* between looks at what is served */
	unsigned keep_versions;	      /* copies to go back to, of a model */
	unsigned hot_days;	      /* then segments are compressed */
	unsigned keep_days;	      /* then they may be discarded */
	uint64_t artifact_max;	      /* bytes */
};

/* Reads agent.ini at path; on error conf is unchanged and ds says why. */
enum mg_err mon_conf_load(
    const char *path, struct mon_conf *conf, struct mg_diags *ds) MG_MUST_CHECK;
void mon_conf_fini(struct mon_conf *conf);
/* Prints conf in agent.ini's own form (modelgated -T). */
void mon_conf_print(const struct mon_conf *conf, FILE *out);

/* ---- mon_keys.c ---- */

/*
 * Reads the host's key and the number key from m->state_dir, makes those
 * that are missing, seals those that are not sealed while the machine's
 * credential is there. Ends the process when one cannot be had.
 */
void mon_keys_load(struct mon *m);

/* ---- mon_port.c ---- */

/* A channel in the loop. */
struct mon_port {
	struct mon *m;
	struct mg_chan *ch;
	struct mg_watch *watch;
	void (*on_frame)(void *arg, struct mg_frame *f);
	void (*on_close)(void *arg, const char *why); /* may free the port */
	void (*on_drain)(void *arg); /* all is sent that waited; or NULL */
	void *arg;
	bool closed;
	bool *gone; /* set when _fini is called from inside on_frame */
};

/* Takes fd in any case. */
enum mg_err mon_port_init(struct mon_port *p, struct mon *m, int fd,
    unsigned self, unsigned peer) MG_MUST_CHECK;
/* The channel of one port goes to another, whose callbacks are set; from is
 * without one afterwards, in any case. */
enum mg_err mon_port_take(
    struct mon_port *to, struct mon_port *from) MG_MUST_CHECK;
void mon_port_fini(struct mon_port *p);
/* Sends; an error closes the port by way of on_close, later. */
enum mg_err mon_port_send(
    struct mon_port *p, uint32_t id, enum mg_msg_op op, const void *msg);
enum mg_err mon_port_send_fds(struct mon_port *p, uint32_t id,
    enum mg_msg_op op, const void *msg, const int *fds, size_t nfds);

/* A child with a channel on its descriptor 3 and our log pipe on 2. */
struct mon_proc {
	struct mon *m;
	const char *name;
	struct mg_child child;
	struct mon_port port;
	struct mg_watch *pid_watch;
	struct mg_timer linger;
	bool started;
	void (*on_frame)(void *arg, struct mg_frame *f);
	/* The child ended, or broke the protocol and was killed. Called once;
	 * the proc is already _fini'ed. */
	void (*on_end)(void *arg, int status);
	void (*on_drain)(void *arg); /* it took all that waited; or NULL */
	void *arg;
};

/*
 * Starts MG_LIBEXECDIR/name with up to two arguments (NULL: none) as the
 * process that plays role, further descriptors extra at 4, 5, ...
 */
enum mg_err mon_proc_start(struct mon_proc *p, struct mon *m, const char *name,
    const char *arg1, const char *arg2, unsigned role, const int *extra,
    size_t nextra) MG_MUST_CHECK;
/* Ends the child without calling on_end; it is reaped in the background. */
void mon_proc_stop(struct mon_proc *p);
bool mon_proc_is_up(const struct mon_proc *p);
/* Forgets a child that goes on by itself; it is reaped in the background. */
void mon_proc_let_go(struct mon_proc *p);

/* The pipe that children log to; one for all. */
enum mg_err mon_log_pipe_init(struct mon *m) MG_MUST_CHECK;

/* ---- mon_commit.c ---- */

/* What is to be recorded together, before an effect. */
struct mon_txn;
/* why is MG_WHY_NONE when ledger and audit have everything. */
typedef void (*mon_txn_fn)(void *arg, enum mg_why why);

struct mon_txn *mon_txn_begin(struct mon *m);
/* Begins and ends one record; its members are added to the mg_json. */
struct mg_json *mon_rec_begin(struct mon_txn *t, const char *type);
void mon_rec_end(struct mon_txn *t);
/* fn is called after the round (always, later, once). fn may be NULL. */
void mon_txn_commit(struct mon_txn *t, mon_txn_fn fn, void *arg);
/* The loop's end of a round: writes, syncs, audits. */
void mon_commit_round(void *arg);
void mon_commit_fini(struct mon *m);

/* ---- mon_clock.c ---- */

/* Takes the wall clock as it is; puts on record that it was set since. */
void mon_clock_init(struct mon *m);
void mon_clock_look(struct mon *m);

/* ---- mon_audit.c ---- */

/* Fills a from a ledger record; false when the record has no audit event. */
bool mon_audit_fill(
    struct mon *m, const struct mg_rec *rec, struct mg_audit_req *a);
/*
 * Hands a record to the writer with login uid uid (MG_PROC_UNSET: none).
 * fn(arg, ok) is called once.
 */
void mon_audit_send(struct mon *m, uint32_t uid, const struct mg_audit_req *a,
    void (*fn)(void *arg, bool ok), void *arg);
/* The ledger cannot be written (an errno), or can again (0). */
void mon_audit_ledger(struct mon *m, int err);
void mon_audit_fini(struct mon *m);
/* Asks the kernel whether it records; answers into m->audit_*. */
void mon_audit_check(struct mon *m);

/* ---- mon_people.c ---- */

struct mon_person {
	char name[97];
	bool found;
	uint32_t uid, gid;
	char *home, *shell;
	uint32_t *gids;
	size_t ngids;
	char **groups;
	size_t ngroups;
	int64_t fetched_bt;
	struct mon_person *next;
};

struct mon_fetch;
struct mon_question;

/*
 * Looks up people anew: names (may repeat or be empty) and uid (unless
 * MG_PROC_UNSET). fn(arg) is called once, later, also when nobody answers
 * in time: who is not found then is unknown.
 */
enum mg_err mon_people_fetch(struct mon *m, const char *const *names, size_t n,
    uint32_t uid, void (*fn)(void *arg), void *arg) MG_MUST_CHECK;
/* Whether nobody answered of late: an unknown person may be known after all. */
bool mon_people_are_lost(const struct mon *m);
const struct mon_person *mon_person_by_name(struct mon *m, const char *name);
const struct mon_person *mon_person_by_uid(struct mon *m, uint32_t uid);
/* The view that policy functions take. */
const struct mg_people *mon_people(struct mon *m);
enum mg_err mon_people_init(struct mon *m) MG_MUST_CHECK;
void mon_people_fini(struct mon *m);
/* Learns the members of every group that the policy names. */
void mon_people_refresh_groups(struct mon *m);

/* ---- mon_door.c ---- */

enum mg_err mon_doors_init(struct mon *m) MG_MUST_CHECK;
/* Ends all clients. */
void mon_doors_fini(struct mon *m);
/* Takes no more clients; those who wait are not turned away yet. */
void mon_doors_deaf(struct mon *m);
/* The place of a client that is about to be freed is another's. */
void mon_door_leave(struct mon_client *c);
/* What the client did costs as much as many connections. */
void mon_door_charge(struct mon_client *c);
/* Whether the login uid of root's program is that of who started it. */
bool mon_door_believes(const struct mon_client *c);
/* A worker waits for a client. */
void mon_door_worker(struct mon *m);
/* A worker that was asked for did not come about. */
void mon_door_no_worker(struct mon *m);

/* ---- mon_front.c ---- */

/* Has n workers wait for clients, or come about; a few at most. */
enum mg_err mon_front_prepare(struct mon *m, unsigned n) MG_MUST_CHECK;
/* Whether one waits. */
bool mon_front_is_ready(const struct mon *m);
/*
 * Gives the client at fd, which stays the caller's, to a worker that waits;
 * what the worker says comes from p, whose callbacks are set. MG_ERR_AGAIN:
 * none waits. MG_ERR_CLOSED: it had died, and is forgotten.
 */
enum mg_err mon_front_give(
    struct mon *m, struct mon_port *p, int fd) MG_MUST_CHECK;
void mon_front_fini(struct mon *m);

/* ---- mon_client.c ---- */

struct mon_client {
	struct mon *m;
	struct mon_port port;
	struct mg_peer peer;
	int pidfd;		  /* of the process that connected */
	struct mg_timer patience; /* until it asks, or takes its answer */
	uint32_t id;		  /* of the frame being answered */
	struct mon_job *job;
	struct mon_run *run; /* whose output and exit it waits for */
	struct mon_auth *auth;
	bool is_direct;	   /* root: no mg-front in between */
	bool is_pretender; /* its login uid is not believed */
	bool busy;	   /* a question is being answered */
	/* More of an answer is due: what was sent is taken, or the client has
	 * gone. NULL: there is no more. */
	void (*on_more)(void *arg);
	void *more_arg;
	struct mon_user *user;
	int sock; /* while it waits for its turn; -1: it had it */
	int fd;	  /* that came with the question; -1: none */
	struct mon_client *prev, *next;
	struct mon_client *behind; /* of the same user, while it waits */
};

/* Ends the connection and what hangs on it. */
void mon_client_free(struct mon_client *c);
/*
 * Serves the client at c->sock, which stays the caller's: through the worker
 * that waits, or root's directly. On error the client is as it was, but for
 * its port, which may not be used.
 */
enum mg_err mon_client_through_front(struct mon_client *c) MG_MUST_CHECK;
enum mg_err mon_client_directly(struct mon_client *c) MG_MUST_CHECK;
/* Sends one answer. The client may be NULL (gone): nothing happens. */
void mon_reply(struct mon_client *c, enum mg_msg_op op, const void *msg);
void mon_reply_refused(struct mon_client *c, enum mg_why why, const char *code,
    const char *rule, const char *text, const char *remedy);
void mon_reply_done(struct mon_client *c, const char *text);
/* The question is answered; the client may ask another. */
void mon_client_idle(struct mon_client *c);
/*
 * Whether the client has taken all that was sent to it. If not, on_more is
 * called when it has; a client that takes nothing for MON_STALL_MS goes.
 */
bool mon_client_has_room(struct mon_client *c);
/* Who the kernel says this is: login uid, or a service account's uid. */
uint32_t mon_client_uid(const struct mon_client *c);

/* ---- mon_policy.c ---- */

#define MON_SIGNERS_MAX 262144 /* bytes of allowed_signers */

/*
 * What is in force, from the ledger and the files. A policy that is signed
 * for the first time is not judged here: m->policy is NULL then, and
 * _begin() does it, which needs the loop.
 */
void mon_policy_open(struct mon *m);
void mon_policy_begin(struct mon *m);
/* The files have changed: takes them in force, or says why not. */
void mon_policy_reload(struct mon *m);
/* Looks for files that are not what is in force, where they are guarded. */
void mon_policy_look(struct mon *m);
/* The approvers' keys that are in force now. */
enum mg_err mon_policy_signers(
    struct mon *m, struct mg_buf *b, char *why, size_t size) MG_MUST_CHECK;
/* A configuration file was refused: on record, with what is wrong. */
void mon_policy_bad(struct mon *m, const char *what, const char *path,
    const struct mg_diags *ds);
void mon_policy_fini(struct mon *m);

/* ---- mon_verify.c ---- */

/* One signature being judged; zeroed before its first use. */
struct mon_sig {
	struct mon *m;
	struct mon_proc strict, stock;
	struct mg_timer timer;
	bool strict_done, strict_ok, stock_done, stock_ok, done;
	bool ok; /* both said yes */
	char key_type[65], key_fp[65];
	bool hardware;
	char why[256]; /* not */
	void (*fn)(void *arg);
	void *arg;
};

/*
 * Starts both judges with q (its time is filled in); fn(arg) is called once,
 * later, and may end the life of s. False: they cannot be started.
 */
bool mon_sig_start(struct mon_sig *s, struct mon *m,
    const struct mg_verify_sig_req *q, void (*fn)(void *arg), void *arg);
/* Ends it without calling fn. */
void mon_sig_stop(struct mon_sig *s);

/* ---- mon_ask.c ---- */

#define MON_FILES_MAX 64 /* as many as a policy may ask about */

/* How somebody logged in, as far as PAM registered it. */
struct mon_how {
	char origin[64];
	char key_type[65];
	bool hardware;
	bool is_local;
	int64_t key_since_ms; /* wall clock; 0: not known */
	int64_t mfa_age_ms;   /* since a second factor; -1: there was none */
};

void mon_how(
    struct mon *m, const char *user, uint32_t ses, struct mon_how *how);
/* When user's key came into use, on the wall clock; 0: not known. */
int64_t mon_key_since(struct mon *m, const char *user, const char *key_fp);

/*
 * Begins a question for the policy: this host, now, its past. self is the
 * request that it is about (NULL: none yet), which is not held against
 * itself. One question at a time: what came of the one before, a verdict
 * with its demands, must not be looked at any more.
 */
void mon_ask_begin(
    struct mon *m, const struct mg_req *self, struct mg_ask *ask);
/* how has to last as long as ask. */
void mon_ask_how(struct mg_ask *ask, const struct mon_how *how);
/* The whole question of a request; strings belong to req and m. */
void mon_req_ask(struct mon *m, const struct mg_req *req, struct mg_ask *ask);

/* ---- mon_refuse.c ---- */

/* A refusal without a request: recorded, then told to the client. */
struct mon_refusal {
	const char *user;
	uint32_t uid, ses;
	const char *tty, *origin;
	const char *operation, *model, *version;
	const char *rule, *text, *remedy;
	enum mg_why why;
};
/* c may be NULL: then it is recorded and nobody is told. */
void mon_refuse(
    struct mon *m, struct mon_client *c, const struct mon_refusal *ref);
/*
 * Whether one more thing that came to nothing (a refusal, a try without an
 * answer) of uid goes on record this minute; what does not is counted.
 */
bool mon_may_record(struct mon *m, uint32_t uid);
/* Says how many did not, once their minute is over or the agent stops. */
void mon_refuse_tick(struct mon *m);

/* ---- mon_job.c ---- */

void mon_job_start(struct mon_client *c, const struct mg_run_req *q);
/* Somebody with login uid uid connected. */
void mon_job_expect(struct mon *m, uint32_t uid);
void mon_job_client_gone(struct mon_job *job);
void mon_job_giveup(struct mon_job *job);

/* ---- mon_need.c ---- */

/* need and agreed lists of a pending message; storage in s. */
struct mon_need {
	const char *need[48];
	size_t nneed;
	const char *agreed[32];
	size_t nagreed;
	char text[16][12 + 512];
	char how[300]; /* in words, where need does not say all */
};
void mon_req_need(struct mon *m, const struct mg_req *req, struct mon_need *s);
/* Why a decision of name, who is known, would not count; "": it would. The
 * text lasts until the next call. */
const char *mon_req_flaw(
    struct mon *m, const struct mg_req *req, const char *name, bool deny);

/* ---- mon_request.c ---- */

/* A request can go on: its factor or a decision came in. */
void mon_req_advance(struct mon *m, struct mg_req *req);
/* Ends a request or grant: record, effect, hub, waiting clients. */
void mon_req_end(struct mon *m, struct mg_req *req, enum mg_req_state to,
    enum mg_why why, const char *by);
/*
 * The same; then is called once, maybe at once, when the end is on record and
 * what ran was told to end, or with why the record could not be written.
 */
void mon_req_end_then(struct mon *m, struct mg_req *req, enum mg_req_state to,
    enum mg_why why, const char *by,
    void (*then)(void *arg, enum mg_why failed), void *arg);
/* Timers of everything that the ledger restored. */
void mon_req_resume(struct mon *m);
/*
 * Judges the pending requests again, under a policy that just changed: what
 * was signed may now be enough, or somebody else may have to be asked.
 */
void mon_req_reconsider(struct mon *m);
/* Names of those who approved, at most max; returns how many. */
size_t mon_req_approvers(
    const struct mg_req *req, const char **out, size_t max);
/* The body of the signed text; false when it cannot be rendered. */
bool mon_req_body(struct mon *m, const struct mg_req *req, struct mg_buf *b);
/* The two digits that the requester is shown, and nobody else; "": none. */
void mon_req_number(const struct mon *m, const struct mg_req *req, char out[3]);

#define MON_TRIERS_MAX 16 /* per request */

/* Signatures of one approver over a wrong text, where a number is asked. */
struct mon_try {
	char approver[97];
	unsigned n;
};

/* The monitor's side of a live request (req->runtime). */
struct mon_req_rt {
	struct mg_timer timer;
	struct mon_job *job;  /* a client that waits */
	struct mon_run *runs; /* of this grant */
	bool at_hub;	      /* the hub was told of it */
	bool granting;	      /* a grant record is being committed */
	unsigned verifying;   /* signatures being checked */
	unsigned rejected;    /* decisions refused, on record */
	/* In the queue of what the hub is to be told, and what of. */
	struct mg_req *due_prev, *due_next;
	bool put_due, state_due;
	bool hub_refused;      /* and its requester was told */
	struct mon_try *tries; /* MON_TRIERS_MAX, at the number; or NULL */
};
struct mon_req_rt *mon_req_rt(struct mg_req *req);

/* ---- mon_auth.c ---- */

struct mon_auth;
/* ok, or why not. */
typedef void (*mon_auth_fn)(void *arg, enum mg_why why, const char *text);

/*
 * Asks c's person for the second factor of user. Limits over all channels
 * apply and every try is recorded, with uuid, before fn hears of it.
 */
void mon_auth_check(struct mon_client *c, const char *user, uint32_t uid,
    const char *service, const char *about, const char *uuid, mon_auth_fn fn,
    void *arg);
/* As that, for need break-glass tokens; in the state req has them then. */
void mon_auth_tokens(struct mon_client *c, const struct mg_req *req,
    const char *about, mon_auth_fn fn, void *arg);
void mon_auth_enroll(struct mon_client *c);
void mon_auth_unenroll(struct mon_client *c, const char *user);
void mon_auth_answer(struct mon_client *c, struct mg_frame *f);
void mon_auth_client_gone(struct mon_client *c);
/*
 * Whether the client's person, looked up already, has a built-in right
 * ("log", "revoke", "unenroll"): root itself has, others by policy. user
 * gets the name to put on record.
 */
bool mon_may(
    struct mon_client *c, const char *operation, char *user, size_t size);

/* ---- mon_tokens.c ---- */

/* Makes or voids a set, for root. */
void mon_tokens_order(struct mon_client *c, const struct mg_tokens_req *q);
/* How many sets can be used where a rule asks for need tokens. */
unsigned mon_tokens_left(const struct mon *m, unsigned need);
/* Names them to mg-auth; msg points into the state. */
void mon_tokens_offer(
    const struct mon *m, unsigned need, struct mg_auth_start *msg);
/* Whether what was typed are as many tokens of one usable set as it takes. */
bool mon_tokens_judge(const struct mon *m, unsigned need,
    const struct mg_auth_result *res) MG_MUST_CHECK;
/* One row of a listing. */
void mon_tokens_put(
    const struct mon *m, const struct mg_token_set *s, struct mg_json *j);

/* ---- mon_store.c ---- */

/* Opens the store, making it if need be, and clears it of leftovers. */
void mon_store_init(struct mon *m);
/* Where the copy of an artifact is or would be. False: not a digest. */
bool mon_store_path(const char *digest, char *out, size_t size);

/* Removes a copy "tmp-..." in the background. */
void mon_store_clean(struct mon *m, const char *name);

/* ---- mon_prune.c ---- */

/* Removes copies that nobody needs, some of them; for after a look at what
 * is served. */
void mon_prune(struct mon *m);
/* The copy of that digest is never to be removed. */
void mon_prune_hold(struct mon *m, const char *digest);

/* ---- mon_model.c ---- */

/* Adds to t what the success of a run of req means for its model. */
void mon_model_changed(
    struct mon *m, struct mon_txn *t, const struct mg_req *req);
/* What the ledger says of a model; NULL: nothing. */
const struct mg_model *mon_model_find(struct mon *m, const char *name);
/* Compares what is served with the record, model by model, and puts on
 * record what differs. fn(arg) is called once, later (may be NULL). */
void mon_models_check(struct mon *m, void (*fn)(void *arg), void *arg);
void mon_models_init(struct mon *m);
/* One row of a listing; without people and reasons unless all. */
void mon_model_put(
    struct mon *m, struct mg_json *j, const struct mg_model *model, bool all);

/* ---- mon_run_start.c ---- */

/* Starts a run of a granted request for the client of job. */
void mon_run_start(struct mon_job *job, struct mg_req *req);
/* Has a runner wait for the next run. */
void mon_run_prepare(struct mon *m);

/* ---- mon_run.c ---- */

void mon_run_signal(struct mon_run *run, uint32_t signo);
void mon_run_client_gone(struct mon_run *run);
/* The state forgets the request of these runs. */
struct mon_req_rt;
void mon_run_req_gone(struct mon_req_rt *rt);
/* Whether it is used up and no process of its runs is left; that it ends as
 * used is about to be written. */
bool mon_run_is_over(struct mg_req *req);

/* ---- mon_run_kill.c ---- */

/* Ends every process of every run of req. */
void mon_run_kill_all(struct mon *m, struct mg_req *req, enum mg_why why);
/* Runs that an earlier agent left behind: ended and recorded. */
void mon_run_sweep(struct mon *m);
/* Ends all runs and waits, shortly, until that is on record. */
void mon_run_stop_all(struct mon *m);

/* ---- mon_run_adopt.c ---- */

/* A group for a process that PAM lets in under a grant, and what it starts. */
enum mg_err mon_run_adopt(struct mon *m, struct mg_req *req,
    const struct mg_peer *peer, uint32_t ses) MG_MUST_CHECK;
/* The grant of uid that holds the process; NULL: none. */
struct mg_req *mon_run_holder(
    struct mon *m, uint32_t uid, const struct mg_peer *peer);

/* ---- mon_cgroup.c ---- */

enum mg_err mon_cgroup_init(struct mon *m) MG_MUST_CHECK;

/* ---- mon_hub.c ---- */

void mon_hub_put(struct mon *m, struct mg_req *req);
void mon_hub_state(struct mon *m, struct mg_req *req);
/* The request is about to be freed. */
void mon_hub_forget(struct mon *m, struct mg_req *req);
void mon_hub_fini(struct mon *m);
void mon_hub_reconf(struct mon *m);
const char *mon_hub_status(const struct mon *m);

/* ---- mon_outage.c ---- */

/* Begins to probe the hub; again after a reload. */
void mon_outage_init(struct mon *m);
void mon_outage_fini(struct mon *m);
/* Probes now: something happened. */
void mon_outage_look(struct mon *m);
/* Whether no approver can be reached; on record. */
bool mon_outage_is_down(const struct mon *m);
/*
 * Whether the approvals that v asks for are to be waived for the job: why is
 * MG_WHY_NONE, and waive says how, or is empty: then they are asked for. Else
 * why and text say why not. digest is "" while it is not known yet: then
 * only what is certain is said.
 */
struct mon_waive {
	const char *waive; /* "", "served-before", "break-glass" */
	enum mg_why why;
	char text[300], remedy[300];
};
void mon_outage_judge(struct mon *m, const struct mg_verdict *v,
    bool break_glass, const char *reason, const char *model,
    const char *version, const char *digest, struct mon_waive *w);
/* Whether the request goes without the approvals of v, as it was filed. */
bool mon_outage_waives(
    struct mon *m, const struct mg_req *req, const struct mg_verdict *v);
/* Since when and why, or "". */
void mon_outage_text(const struct mon *m, char *out, size_t size);

/* Checkpoints wait for the hub; they are seen to. */
void mon_hub_tree(struct mon *m);
void mon_hub_tree_done(struct mon *m);
/* Sends to the hub now, or not at all: false when it is not connected. */
bool mon_hub_send(struct mon *m, enum mg_msg_op op, const void *msg);
/* What came of a decision: to its link, which knows whether it is connected. */
void mon_hub_verdict(struct mon *m, const struct mg_hub_verdict *msg);

/* ---- mon_decision.c ---- */

/* Judges what the hub says that somebody has decided, sooner or later. */
void mon_decision(struct mon *m, const struct mg_hub_decision *d);
void mon_decision_fini(struct mon *m);

/* ---- mon_tree.c ---- */

#define MON_TREE_RECORDS 1000 /* a checkpoint at least so often, */
#define MON_TREE_MS 300000    /* and so long after a record */

/* The host's key for checkpoints. False: it is not Ed25519. */
bool mon_tree_key(const struct mon *m, struct mg_note_key *key) MG_MUST_CHECK;
void mon_tree_init(struct mon *m);
void mon_tree_fini(struct mon *m);
/* The ledger has more durable lines. */
void mon_tree_grown(struct mon *m);
/* Signs a checkpoint now, and has the hub countersign it. */
void mon_tree_checkpoint(struct mon *m);
/* The newest of our own; empty: there is none. */
const char *mon_tree_note(const struct mon *m);
/* What the hub has seen of another history since the start; empty: nothing. */
const char *mon_tree_alarm(const struct mon *m);
bool mon_tree_is_due(const struct mon *m);
void mon_tree_send(struct mon *m);
void mon_tree_link_down(struct mon *m);
void mon_tree_witness(struct mon *m, const struct mg_hub_witness *w);

/* ---- mon_keep.c ---- */

/* Looks after the ledger's files; what a crash left is finished. */
void mon_keep_init(struct mon *m);
void mon_keep_fini(struct mon *m);
/* Looks now: a segment is new, or the settings are. */
void mon_keep_look(struct mon *m);
/* Whether the hashes of all lines are known to be right. */
bool mon_keep_has_leaves(const struct mon *m);
/* A run wants records discarded. */
void mon_discard(struct mon_client *c, const struct mg_discard_req *q);

/* ---- mon_pam.c ---- */

void mon_pam(
    struct mon_client *c, enum mg_msg_op op, const struct mg_pam_req *q);

/* Ends sessions that have no process any more (after a restart nobody
 * watches the processes that opened them), and accesses as well. */
void mon_sessions_check(struct mon *m);

/* ---- mon_list.c ---- */

void mon_list(struct mon_client *c, const struct mg_list_req *q);
void mon_info(struct mon_client *c);
void mon_checkpoint(struct mon_client *c);

/* ---- mon_end.c ---- */

void mon_end(struct mon_client *c, const struct mg_end_req *q);

/* ---- mon_log.c ---- */

void mon_log_query(struct mon_client *c, const struct mg_log_req *q);
/* Sends a reader the segments after that line, as many as go along. */
enum mg_err mon_log_segments(struct mon *m, struct mon_port *port, uint32_t id,
    uint64_t after) MG_MUST_CHECK;
/* There are more lines: tells readers that wait for them. */
void mon_log_grown(struct mon *m);

/* ---- the process ---- */

struct mon {
	struct mg_loop *loop;
	struct mon_conf conf;
	struct mg_policy *policy;
	struct mon_candidate *candidate; /* wants to be the policy */
	bool reload_again;
	struct mg_buf signers; /* in force, where has_signers */
	bool has_signers;
	char *policy_errors[MG_DIAG_MAX]; /* of the last reload */
	size_t npolicy_errors;
	char policy_edit[512]; /* why files are not in force; "": they are */
	char policy_seen[2 * MG_STATE_DIGEST]; /* that was on record */
	uint64_t policy_stat;
	const struct mg_req *asked; /* what the policy is asked about */
	struct mg_history history;
	struct mg_file_state files[MON_FILES_MAX];
	const struct mg_req *live_req; /* next to be told of */
	const struct mg_session *live_session;
	const struct mg_access *live_access;
	const struct mg_peer *asked_by; /* not counted; NULL: nobody */
	struct mg_state *state;
	struct mg_ledger *ledger;
	int state_dir; /* MON_STATE_DIR */
	int store_dir; /* MON_STORE_DIR */
	unsigned copy_counter;
	char boot[37];
	char *credentials; /* "NAME=FOLDER" for who needs it; NULL: none */
	char host_key_fp[64];
	struct mg_buf host_key; /* private, OpenSSH PEM */
	uint8_t number_key[32]; /* makes the numbers that approvers type */
	int64_t started_ms;
	bool stopping;

	int log_pipe[2];
	struct mg_watch *log_watch;
	struct mg_buf log_buf;

	struct mon_txn *txns, *txns_last;
	bool txn_open;
	struct mon_txn *audit_next, *audit_last; /* for their turn */
	size_t audit_bytes;			 /* with the writers */
	bool audit_sending;
	struct mg_timer revive_timer;

	struct mon_writer *writers;
	bool audit_ok;	  /* the kernel records */
	bool audit_known; /* it has been asked */
	struct mg_timer audit_timer;
	int64_t clock_gap_ms; /* wall time at boot, as recorded */
	int64_t clock_by_ms;  /* the step that is being recorded */
	bool clock_telling;
	uint32_t audit_lost; /* by the kernel, when last asked */
	int64_t audit_doubt; /* it loses some; not for sure until then */
	bool audit_unread;   /* it has no auditd */

	struct mon_proc ident;
	struct mon_fetch *fetches;	      /* that wait for answers */
	struct mon_fetch *ready, *ready_last; /* for their turn */
	struct mg_timer ready_timer;
	struct mon_question *questions;
	struct mon_person *people;
	struct mon_group *groups;
	struct mg_people people_view;
	uint32_t ident_id;
	struct mg_timer people_timer, groups_timer;
	int64_t people_lost_bt; /* nobody answered; 0: never */

	struct mon_proc front;
	struct mon_worker *workers; /* that have no client yet */
	unsigned nworkers;
	struct mg_timer worker_timer;
	struct mon_door {
		struct mon *m;
		int fd;
		struct mg_watch *watch;
		bool is_deaf; /* no descriptor for who came last */
	} doors[2];	      /* everybody's, and root's alone */
	struct mon_client *clients;
	unsigned nclients;
	unsigned most_clients;	/* since memory was given back */
	struct mon_user *users; /* who has connections */
	struct mon_user *line;	/* who waits for a turn, in turn */
	unsigned nwaiting;	/* clients of theirs */
	struct mon_pace {
		uint32_t uid;
		unsigned n; /* that are not forgotten yet */
		int64_t at_ms;
	} pace[MON_PACES]; /* how often who connects, by uid */
	struct mg_timer accept_timer;
	int files_max; /* descriptors */

	struct mon_auth *auths;
	struct mon_login *logins;  /* processes that opened a session */
	struct mon_inside *inside; /* that were let in without a grant */
	struct mon_mark *marks;	   /* second factors that PAM asked for */
	struct mon_link *link;
	struct mon_decisions *decisions;
	struct mon_outage *outage;
	struct mon_tree *tree;
	struct mon_keep *keep;
	struct mon_reader *readers; /* of the ledger */
	bool ledger_failing;	    /* the last line was not written */
	int64_t rotate_ms;	    /* not before */
	int cgroup;		    /* folder for runs' groups; -1: none */
	struct mon_old_group *old_groups; /* to be removed */
	struct mg_timer old_groups_timer;
	uint32_t run_counter;
	struct mon_run *spare_run; /* started, not used yet */
	struct mon_check *check;   /* of what is served; NULL: none now */
	struct mg_timer check_timer;
	int64_t checked_ms; /* wall clock; 0: not since the start */
	struct mg_timer spare_timer;
	struct mg_timer tick_timer;
	struct mg_timer reconsider_timer;
	uint64_t reconsider_below;  /* those filed before are to come */
	struct mon_bucket *buckets; /* refusals on record */
};

/* "" for NULL. */
const char *mon_or_empty(const char *s);

/* Sets a timer; without memory for one the agent cannot keep its promises
 * and ends (a restart folds the ledger). */
void mon_timer_set(struct mon *m, struct mg_timer *t, int64_t at_ms,
    void (*fn)(void *arg), void *arg);

#endif
