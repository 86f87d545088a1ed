/* SPDX-License-Identifier: ISC */
#ifndef MG_POLICY_H
#define MG_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_diag.h"
#include "mg_err.h"
#include "mg_file.h"
#include "mg_why.h"

/*
 * The policy: parsed once, immutable, decided by pure functions. The agent
 * and `modelgate policy` share this module, so that they cannot disagree.
 * The language is modelgate-policy(5).
 *
 * Every rule that matches applies; any deny denies; the demands of all
 * matching allow rules add up; nothing matching denies. File order never
 * matters.
 */

struct mg_policy;

/* Where facts about people come from: NSS through the caller. */
struct mg_people {
	void *arg;
	/* Names of the groups that user is in; NULL and 0 when unknown. */
	const char *const *(*groups_of)(
	    void *arg, const char *user, size_t *np);
	/* Names of the users in group; NULL and 0 when unknown. */
	const char *const *(*members_of)(
	    void *arg, const char *group, size_t *np);
	/* Whether two names are the same person (one uid). NULL: by name. */
	bool (*is_same)(void *arg, const char *a, const char *b);
};

/* What stood in a ledger of the past, and what is live now. */
struct mg_live {
	const char *user, *operation, *model, *version;
};

/*
 * The past, answered by the caller without delay. None of it counts the
 * request that is asked about. A callback that is NULL, or answers -1, does
 * not know; then whatever depends on it is refused.
 */
struct mg_history {
	void *arg;
	/*
	 * Whether the person called user once had the operation run on that
	 * version, or approved it for somebody: 1, 0, -1.
	 */
	int (*did)(void *arg, const char *user, const char *operation,
	    const char *model, const char *version);
	int (*approved)(void *arg, const char *user, const char *operation,
	    const char *model, const char *version);
	/* The live grant number i, or false behind the last. */
	bool (*live)(void *arg, size_t i, struct mg_live *out);
	/*
	 * How many requests of the person for the operation were granted
	 * since then, and of how many bytes their artifacts are together.
	 */
	int64_t (*granted)(void *arg, const char *user, const char *operation,
	    int64_t since_ms);
	int64_t (*bytes)(void *arg, const char *user, const char *operation,
	    int64_t since_ms);
};

/* A file that rules ask about: mg_policy_files(). */
enum mg_file_is {
	MG_FILE_UNKNOWN = 0,
	MG_FILE_ABSENT,
	MG_FILE_PRESENT,
};

struct mg_file_state {
	enum mg_file_is is;
	int64_t modified_ms; /* wall clock */
};

/* What is asked. Empty string: not known or not given. */
struct mg_ask {
	const char *user;
	const struct mg_people *people;
	const char *operation;
	const char *model;
	const char *version;
	const char *host;	   /* this host's name */
	const char *const *labels; /* "env:production", ... */
	size_t nlabels;
	const char *from;      /* numeric source address, v4 or v6 */
	int64_t now_ms;	       /* wall clock */
	const char *login_key; /* ssh key type of the login */
	bool login_key_is_hardware;
	/* From here on 0 and NULL, too, are "not known or not given". */
	bool is_local; /* the session came over no network; from is "" */
	int64_t login_key_since_ms; /* when that key came into use */
	int64_t mfa_ms; /* when the session last passed a second factor */
	int64_t bytes;	/* of the artifact */
	/* One for each of mg_policy_files(). */
	const struct mg_file_state *files;
	const struct mg_history *history;
	const char *creator; /* who made the model or request asked about */
	const char *stage_from, *stage_to; /* of a registry's transition */
};

/* The dangerous value is not 0. */
enum mg_verdict_kind {
	MG_VERDICT_DENY = 0,
	MG_VERDICT_ASK,	  /* allowed once the demands are met */
	MG_VERDICT_ALLOW, /* allowed, nothing is demanded */
};

#define MG_VERDICT_RULES_MAX 32
#define MG_VERDICT_SLOTS_MAX 16
#define MG_VERDICT_DEMANDS_MAX 8 /* that say more than slots can */
#define MG_VERDICT_SIGNERS_MAX 16
#define MG_VERDICT_REVIEWERS_MAX 4

struct mg_demand;

/* count different people who hold role. */
struct mg_slot {
	const char *role;
	unsigned count;
	unsigned must; /* of them, whichever way is taken */
};

struct mg_rule_ref {
	const char *name;
	const char *where; /* "/etc/modelgate/policy.d/x.ini:12" */
};

struct mg_verdict {
	enum mg_verdict_kind kind;
	enum mg_why why; /* MG_WHY_NONE unless denied */
	/*
	 * Rules that applied: the denying one alone, the one whose demand
	 * cannot be met alone, or all that allow.
	 */
	struct mg_rule_ref rules[MG_VERDICT_RULES_MAX];
	size_t nrules;
	bool mfa; /* a second factor is needed now */
	/*
	 * Who is asked to approve. Where is_flat, exactly these people are
	 * needed. Else approve says in words what is (one of several ways,
	 * or stages), slots are all the roles that occur in it, and
	 * mg_policy_quorum() alone knows when it is enough.
	 */
	struct mg_slot slots[MG_VERDICT_SLOTS_MAX];
	size_t nslots;
	bool is_flat;
	char approve[256];
	bool confirm_number;  /* approvers type the requester's two digits */
	bool different_teams; /* of approvers and requester */
	bool artifact_signed; /* refuse unless the artifact is */
	/* By one of these, where there are any. */
	const char *signers[MG_VERDICT_SIGNERS_MAX];
	size_t nsigners;
	int64_t approve_within_ms; /* the shortest of the rules' */
	int64_t start_within_ms;
	int64_t lasts_ms;
	unsigned uses; /* how often a grant can be used; 0: no limit */
	/*
	 * How it can go without the approvals. served_before: while the hub
	 * is down, for a version that this host ran before. break_glass: by
	 * this asker, who is to say so, for break_glass_ms at most, and with
	 * so many tokens of one set (0: none); then one of each of the
	 * reviewers' roles has to sign for it.
	 */
	bool served_before, break_glass, break_glass_always;
	int64_t break_glass_ms;
	unsigned break_glass_tokens;
	const char *reviewers[MG_VERDICT_REVIEWERS_MAX];
	size_t nreviewers;
	/* For mg_policy_quorum(); they live as long as the ask's do. */
	const struct mg_demand *demands[MG_VERDICT_DEMANDS_MAX];
	size_t ndemands;
	const struct mg_history *history;
	const char *model, *version;
	/* A denial in words: what would satisfy it, or why nothing can. */
	char remedy[512];
};

/* An operation's definition. Strings belong to the policy. */
struct mg_operation {
	const char *name;
	const char *const *argv; /* templates; argc 0 for host operations */
	size_t argc;
	const char *run_as;
	const char *cwd;
	const char *artifact; /* path template; NULL: none */
	const char *effect;   /* of success: serve promote retire none */
	const char *serves;   /* template: where what is live can be found */
	const char *where;
	bool takes_model; /* a template names {model} */
	bool takes_version;
	bool takes_args; /* "{args}" stands in the command */
	bool takes_artifact;
};

/*
 * For `modelgate policy check`: everything suspicious is a warning, and
 * approvals that nobody can give today are errors.
 */
struct mg_policy_lint {
	const struct mg_people *people;
	int64_t now_ms;
	void *arg;
	/* Whether this machine knows them, and who is in the group. */
	bool (*has_user)(void *arg, const char *user);
	bool (*has_group)(void *arg, const char *group);
	/* It is for another machine: say nothing of what this one lacks. */
	bool is_elsewhere;
};

/* Where a policy is read from. Zero what you do not set. */
struct mg_policy_source {
	const char *policy_dir;	    /* every *.ini in it; must be there */
	const char *operations_dir; /* as well, [operation] only; NULL: none */
	/* Who may be able to write them. NULL: anybody (tools, tests). */
	const struct mg_file_rule *rule;
	/*
	 * What the caller can fill in and enforce: MG_POLICY_CAN_*. A policy
	 * that needs anything else does not load.
	 */
	unsigned can;
	const char *zone_dir; /* NULL: /usr/share/zoneinfo */
	bool ignore_tests;    /* for tools that run them themselves */
	const struct mg_policy_lint *lint; /* NULL: what must not load only */
};

/* login_key_since_ms is filled in. */
#define MG_POLICY_CAN_KEY_AGE (1U << 0)
/* mfa_ms is filled in. */
#define MG_POLICY_CAN_MFA_AGE (1U << 1)
/* confirm_number is enforced. */
#define MG_POLICY_CAN_CONFIRM (1U << 2)
/* history->did and approved answer. */
#define MG_POLICY_CAN_PAST (1U << 3)
/* history->live answers. */
#define MG_POLICY_CAN_LIVE (1U << 4)
/* history->granted answers. */
#define MG_POLICY_CAN_RATE (1U << 5)
/* history->bytes answers, bytes is filled in. */
#define MG_POLICY_CAN_BYTES (1U << 6)
/* files is filled in. */
#define MG_POLICY_CAN_FILES (1U << 7)
/* artifact_signed and signers are enforced. */
#define MG_POLICY_CAN_SIGNED (1U << 8)
/* creator, stage_from and stage_to are filled in. */
#define MG_POLICY_CAN_REGISTRY (1U << 9)
/* is_local is filled in. */
#define MG_POLICY_CAN_LOCAL (1U << 10)
/* break_glass is enforced. */
#define MG_POLICY_CAN_GLASS (1U << 11)
#define MG_POLICY_CAN_ALL ((1U << 12) - 1)

/* What the agent can; `modelgate policy` checks for no more and no less. */
#define MG_POLICY_CAN_AGENT MG_POLICY_CAN_ALL

/*
 * Reads every *.ini in the folders of src (opened and checked by its rule).
 * On any error nothing is loaded: *pp is NULL, ds says what and where.
 * Warnings in ds do not prevent loading. MG_ERR_FORMAT when ds has errors,
 * MG_ERR_NOMEM.
 */
enum mg_err mg_policy_load(const struct mg_policy_source *src,
    struct mg_policy **pp, struct mg_diags *ds) MG_MUST_CHECK;

void mg_policy_free(struct mg_policy *p);

/* The most tokens that any rule asks for; 0: none does. */
unsigned mg_policy_tokens(const struct mg_policy *p);

/* "sha256:<64 hex>" over the names and bytes of all files. */
const char *mg_policy_digest(const struct mg_policy *p);

/* The operation of that name, or NULL. */
const struct mg_operation *mg_policy_operation(
    const struct mg_policy *p, const char *name);

/* The names of all groups that the policy asks about. */
const char *const *mg_policy_groups(const struct mg_policy *p, size_t *np);

/* Who must sign a policy that replaces this one, and its version. */
struct mg_policy_guard {
	bool is_signed;
	uint64_t version; /* 0: none given */
	struct mg_slot signers[MG_VERDICT_SLOTS_MAX];
	size_t nsigners;
};

const struct mg_policy_guard *mg_policy_guard(const struct mg_policy *p);

/* Namespace of signatures over mg_policy_guard_text(). */
#define MG_POLICY_NAMESPACE "modelgate-policy"

/*
 * Appends the text that stewards sign (SSHSIG): what is "policy", with the
 * policy's digest and its [policy] version; or "allowed_signers", with
 * "sha256:<64 hex>" of that file and a version of its own.
 */
enum mg_err mg_policy_guard_text(struct mg_buf *b, const char *what,
    uint64_t version, const char *digest) MG_MUST_CHECK;

/*
 * Whether a guarded file may come into force. current: the policy in force,
 * NULL at the very first; current_version: the highest version of that file
 * that ever was in force here (0: none), which the caller remembers. next:
 * the policy that comes, with its version; for allowed_signers: NULL, and
 * the file's version. signers: principals with a good signature over the
 * text, each of them once or more. why says what is missing.
 */
bool mg_policy_guard_check(const struct mg_policy *current,
    uint64_t current_version, const struct mg_policy *next, uint64_t version,
    const struct mg_people *people, const char *const *signers, size_t n,
    int64_t now_ms, char *why, size_t size) MG_MUST_CHECK;

/* The files whose state an ask brings along, in that order. */
const char *const *mg_policy_files(const struct mg_policy *p, size_t *np);

/*
 * Looks at those files now: at most max states into out, each UNKNOWN when
 * it cannot be told. Makes system calls.
 */
void mg_policy_files_look(
    const struct mg_policy *p, struct mg_file_state *out, size_t max);

/* Decides. v is filled as a whole; no allocation, no system call. */
void mg_policy_decide(
    const struct mg_policy *p, const struct mg_ask *ask, struct mg_verdict *v);

/* Whether user holds role now. */
bool mg_policy_has_role(const struct mg_policy *p,
    const struct mg_people *people, const char *user, const char *role,
    int64_t now_ms);

/* Whether user is declared a service account ([user x] kind = service). */
bool mg_policy_is_service(const struct mg_policy *p, const char *user);

/*
 * Who holds role now, as far as people knows: at most max names into out
 * (they belong to the policy or to people). Returns how many it wrote.
 */
size_t mg_policy_role_members(const struct mg_policy *p,
    const struct mg_people *people, const char *role, int64_t now_ms,
    const char **out, size_t max);

/* What a set of approvals lacks and who fills which slot. */
struct mg_quorum {
	bool satisfied;
	/* Per slot of the verdict: how many are still needed. */
	unsigned missing[MG_VERDICT_SLOTS_MAX];
	/* Per approver: the slot it fills, or -1 when it fills none. */
	int fills[64];
};

/*
 * Assigns approvers (names, at most 64) to the slots of v: one person fills
 * one slot, the requester none, two names of one person count once.
 * Satisfied only when every slot is full.
 */
void mg_policy_quorum(const struct mg_policy *p, const struct mg_verdict *v,
    const struct mg_people *people, const char *requester,
    const char *const *approvers, size_t n, int64_t now_ms,
    struct mg_quorum *q);

/* Values for placeholders. */
struct mg_expand {
	const char *user;
	const char *model;
	const char *version;
	const char *const *args;
	size_t nargs;
	const char *artifact; /* where its bytes are, absolute; NULL: none */
};

/*
 * Expands the command of op: every placeholder becomes exactly one element
 * or a part of one, "{args}" as many as given. Elements are malloc'ed into
 * argv (max of them, NULL-terminated); the caller frees each.
 * MG_ERR_LIMIT, MG_ERR_NOMEM, MG_ERR_FORMAT (a value is missing; *whatp
 * names it).
 */
enum mg_err mg_operation_argv(const struct mg_operation *op,
    const struct mg_expand *x, char **argv, size_t max, size_t *argcp,
    const char **whatp) MG_MUST_CHECK;

/*
 * Expands the artifact path of op, or where it serves from, into out.
 * MG_ERR_NOENT: it has none.
 */
enum mg_err mg_operation_artifact(const struct mg_operation *op,
    const struct mg_expand *x, char *out, size_t size) MG_MUST_CHECK;
enum mg_err mg_operation_serves(const struct mg_operation *op,
    const struct mg_expand *x, char *out, size_t size) MG_MUST_CHECK;

#endif
