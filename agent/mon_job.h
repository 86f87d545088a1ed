/* SPDX-License-Identifier: ISC */
#ifndef MON_JOB_H
#define MON_JOB_H

#include "mon.h"

/*
 * One client that wants something run or granted: mon_job.c, mon_run*.c.
 * What the files around requests need of each other, beside mon.h.
 */

#define MON_ARGV_MAX 47 /* of run_spec, less the NULL */

struct mon_job {
	struct mon *m;
	struct mon_client *client; /* NULL: gone */
	struct mg_req *req;	   /* once it is filed */
	struct mon_run *run;	   /* once it is started */
	bool waiting;		   /* for approvals: nothing is out */
	bool asking;		   /* mon_auth.c will come back to it */
	unsigned tries;		   /* of the second factor */

	uint32_t uid;
	char user[97];
	uint32_t ses;
	char tty[32];
	char origin[64];
	struct mon_how how;

	char operation[97], model[97], version[97], ticket[129];
	char *reason;
	char *args[32];
	size_t nargs;
	uint32_t flags;
	int64_t for_ms;
	uint8_t tty_mask;
	char term[65];
	uint16_t rows, cols;

	struct mg_verdict verdict;
	char *argv[MON_ARGV_MAX + 1];
	size_t argc;
	char artifact[1024], serves[512];
	const char *waive; /* static; of approvals */
	char digest[97];
	uint64_t bytes; /* of the artifact, once it has a digest */
	char uuid[MG_UUID_STR];

	/* mon_store.c */
	struct mon_proc work; /* mg-verify or mg-store */
	struct mg_timer timer;
	void (*on_digest)(struct mon_job *job, bool ok, const char *text);
	void (*on_bound)(struct mon_job *job, bool ok, const char *text);
	bool want_signed, is_unsigned;
	struct mg_buf signers;
	char signer[97], signer_fp[97];
	char want_digest[97];
	char copy[32]; /* name of a copy in the making; "": none */
};

/* Lets go of client and request and frees; NULL is fine. */
void mon_job_free(struct mon_job *job);

/*
 * Computes the digest of path into job->digest, and who signed it if
 * mon_job_signers() said that this matters. fn is called once, maybe at
 * once.
 */
void mon_job_digest(struct mon_job *job, const char *path,
    void (*fn)(struct mon_job *job, bool ok, const char *text));

/*
 * Takes from a verdict who has to have signed the artifact; false, with
 * why, when their keys cannot be had.
 */
bool mon_job_signers(
    struct mon_job *job, const struct mg_verdict *v, char *why, size_t size);

/*
 * Makes sure that the store holds a copy of source with that digest, and
 * that the signers signed it. fn is called once, maybe at once, with
 * job->digest being what the copy's is.
 */
void mon_job_bind(struct mon_job *job, const char *source, const char *digest,
    void (*fn)(struct mon_job *job, bool ok, const char *text));
/* Gives up a copy in the making. */
void mon_job_drop_copy(struct mon_job *job);

/* Whether the command of req names the copy in the store. */
bool mon_req_is_bound(struct mon *m, const struct mg_req *req);

/* Its request is granted: runs it, or says so. */
void mon_job_granted(struct mon_job *job);
/* Tells a waiting client who has agreed and who is asked; note: why now. */
void mon_job_tell_pending(struct mon_job *job, const char *note);

/* ---- mon_refuse.c ---- */

/* As mon_refuse() for a client with a job; frees the job. */
void mon_job_refuse(struct mon *m, struct mon_client *c, struct mon_job *job,
    const struct mon_refusal *ref);
/* A name for a request whose short code is not in use; false: no entropy. */
bool mon_req_new_uuid(struct mon *m, char uuid[MG_UUID_STR]);

/* ---- mon_need.c ---- */

/*
 * Today's verdict for req; false when it is a denial. It and
 * mon_req_quorum() are for use at once: see mon_ask_begin().
 */
bool mon_req_today(
    struct mon *m, const struct mg_req *req, struct mg_verdict *v);
/* What a request that v no longer allows ends with. */
enum mg_why mon_req_late_why(const struct mg_verdict *v);
/* How far the approvals of req go towards v. */
void mon_req_quorum(struct mon *m, const struct mg_req *req,
    const struct mg_verdict *v, struct mg_quorum *q);

/* ---- mon_request.c ---- */

/* "deploy fraud-scorer@12" */
void mon_req_subject(const char *operation, const char *model,
    const char *version, char *out, size_t size);
/* The first rule of v, "name (file:line)"; "" without one. */
void mon_rule_text(const struct mg_verdict *v, char *out, size_t size);
/* Whether its time is over, though nothing has said so yet. */
bool mon_req_is_overdue(const struct mg_req *req);
/* Sets the timer of its next deadline. */
void mon_req_arm(struct mon *m, struct mg_req *req);

/* Whether the request may still be granted or run, with what is known of
 * people now. MG_WHY_NONE: yes. */
enum mg_why mon_req_recheck(struct mon *m, const struct mg_req *req);

/* Everybody whose standing matters for req: MG_APPROVALS_MAX + 2 names. */
void mon_req_fetch_names(
    struct mon *m, const struct mg_req *req, const char **out, size_t *np);

/* The state's hook before a request is freed. */
void mon_req_released(void *arg, struct mg_req *req);

#endif
