/* SPDX-License-Identifier: ISC */
#ifndef POL_H
#define POL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_ini.h"
#include "mg_name.h"
#include "pol_zone.h"
#include "policy.h"

/*
 * The inside of the policy module. Files:
 *
 *	pol_mem.c	memory that is freed at once; names to numbers
 *	pol_read.c	folders to sections and lines; the digest
 *	pol_value.c	lists, counts and durations in values
 *	pol_role.c	[role], [user]: who is what
 *	pol_model.c	[model]: which attributes a model name has
 *	pol_net.c	addresses and networks
 *	pol_zone.c	what the hour is somewhere
 *	pol_time.c	windows of time
 *	pol_op.c	[operation], [operation-group]; commands
 *	pol_when.c	files that rules ask about
 *	pol_approve.c	who has to agree: ways, counts, stages
 *	pol_demand.c	what else a rule asks for
 *	pol_limit.c	whether that is given; [separation]
 *	pol_rule.c	[rule]
 *	pol_perm.c	[permission]: the levels of model registries
 *	pol_guard.c	[policy]: who must sign a change of it
 *	pol_load.c	all of it together
 *	pol_match.c	whether a rule applies, and what it lacks
 *	pol_index.c	finding rules without looking at all
 *	pol_decide.c	what all rules that apply come to
 *	pol_quorum.c	who fills which slot
 *	pol_given.c	a question in words
 *	pol_test.c	[test]
 *	pol_survey.c	who can, what can
 *	pol_near.c	which rules nearly apply, for explanations
 *	pol_clause.c	what an allowance takes, compared with another
 *	pol_names.c	a name for each way in which patterns fit
 *	pol_imply.c	whether one condition holds whenever another does
 *	pol_diff.c	what a new policy changes for whom
 *	pol_diff_when.c	under which circumstances
 *	pol_diff_model.c	and with attributes of models
 *	pol_diff_rest.c	and what it changes besides decisions
 *	pol_lint.c	what loads, but cannot be meant
 *	policy.c	small answers
 */

/* Limits of a policy; modelgate-policy(5), LIMITS. */
#define POL_FILES_MAX 1024
#define POL_FILE_BYTES_MAX (64U << 20)
#define POL_BYTES_MAX (256U << 20) /* all files together */
#define POL_SECTIONS_MAX 1000000U  /* of all types together */
#define POL_ROLES_MAX 8192
#define POL_ITEMS_MAX 256    /* in one list */
#define POL_TERMS_MAX 8	     /* joined by '&' in one item */
#define POL_PATTERNS_MAX 256 /* model patterns that are not PREFIX* */
#define POL_HOST_PATTERNS_MAX 256
#define POL_LABELS_MAX 64 /* of a host, in an ask */
#define POL_ATTRS_MAX 64  /* different attribute names of models */
#define POL_ARGV_MAX 64
#define POL_COUNT_MAX 32 /* people of one role in "approve" */
#define POL_USES_MAX 1000000
#define POL_HOST_ATOMS_MAX 320 /* labels of a host, patterns of its name */

#define POL_NONE UINT32_MAX

/* ---- pol_mem.c ---- */

struct pol_chunk;

/* Memory that is given back all at once. */
struct pol_arena {
	struct pol_chunk *head;
	size_t bytes;
};

/* n zero bytes, or NULL. */
void *pol_alloc(struct pol_arena *a, size_t n);
char *pol_strndup(struct pol_arena *a, const char *s, size_t n);
char *pol_printf(struct pol_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void pol_arena_fini(struct pol_arena *a);

/* Different strings, numbered from 0 in the order of their coming. */
struct pol_map {
	struct pol_sym {
		const char *s;
		uint32_t hash, len;
	} * v;
	uint32_t n, cap;
	uint32_t *slot;
	uint32_t mask; /* slots - 1; 0: none yet */
};

/* FNV-1a, which can be continued: start with POL_HASH_INIT. */
#define POL_HASH_INIT 2166136261U
uint32_t pol_hash(uint32_t h, const char *s, size_t n);

/* The number of s, or POL_NONE. */
uint32_t pol_map_find(const struct pol_map *m, const char *s, size_t n);
uint32_t pol_map_find_hashed(
    const struct pol_map *m, const char *s, size_t n, uint32_t hash);
/* As well, after adding it; POL_NONE: out of memory. */
uint32_t pol_map_add(
    struct pol_map *m, struct pol_arena *a, const char *s, size_t n);
void pol_map_fini(struct pol_map *m);
/* "; is it 'NAME'?" with a name of m that s may be meant for, or "". */
#define POL_MEANT (MG_NAME_MAX + 16)
const char *pol_map_meant(
    const struct pol_map *m, const char *s, size_t n, char out[POL_MEANT]);

/*
 * 64 bits of a text without its blanks; sums of such are hashes of sets.
 * Others in every process: whoever writes a policy cannot look for texts with
 * equal ones, so that `policy diff` takes the one for the other.
 */
uint64_t pol_hash64(const char *s, size_t n);
uint64_t pol_mix64(uint64_t h);

/* A growing array of anything. */
struct pol_vec {
	void *v;
	uint32_t n, cap;
};

/* Room for one more of size bytes, zeroed, or NULL. */
void *pol_vec_add(struct pol_vec *vec, size_t size);
void pol_vec_fini(struct pol_vec *vec);

/* ---- pol_read.c ---- */

/* "key = value" as it stands in a file. */
struct pol_line {
	const char *key, *value;
	uint32_t line;
	uint16_t key_col, value_col;
};

struct pol_section {
	const char *type, *name;
	uint32_t file, line;
	uint32_t first, n; /* its lines */
	uint16_t name_col;
};

struct pol_file {
	char *path; /* the folder as given and the name */
	const char *name;
	struct mg_buf text;
	bool is_operations;
};

/* What was read, before anything is understood. */
struct pol_source {
	struct pol_arena mem;
	struct pol_vec files;	 /* struct pol_file, sorted */
	struct pol_vec sections; /* struct pol_section */
	struct pol_vec lines;	 /* struct pol_line */
	size_t bytes;
	struct mg_diags *ds;
	bool no_memory, is_full;
	bool is_linted; /* also say what is not read */
};

enum mg_err pol_source_read(struct pol_source *src,
    const struct mg_policy_source *from, struct mg_diags *ds) MG_MUST_CHECK;

/* A file that is in memory already; for tests and fuzzing. */
struct pol_text {
	const char *dir, *name;
	const void *bytes;
	size_t len;
	bool is_operations;
};
enum mg_err pol_source_take(struct pol_source *src,
    const struct pol_text *texts, size_t n, struct mg_diags *ds) MG_MUST_CHECK;
enum mg_err pol_source_digest(
    const struct pol_source *src, char *out, size_t size) MG_MUST_CHECK;
void pol_source_fini(struct pol_source *src);

static inline struct pol_file *
pol_file(const struct pol_source *src, uint32_t i)
{
	return (struct pol_file *)src->files.v + i;
}

static inline struct pol_section *
pol_section(const struct pol_source *src, uint32_t i)
{
	return (struct pol_section *)src->sections.v + i;
}

static inline struct pol_line *
pol_line(const struct pol_source *src, uint32_t i)
{
	return (struct pol_line *)src->lines.v + i;
}

/* An error (or warning) at a line and column of a section's file. */
void pol_diag(struct pol_source *src, bool is_warning, uint32_t file,
    uint32_t line, unsigned col, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* ---- pol_load.c ---- */

/*
 * As mg_policy_load() from files that are in memory already, without
 * pol_lint(): they may ask for approvals of nobody.
 */
enum mg_err pol_load_texts(const struct pol_text *texts, size_t n,
    struct mg_policy **pp, struct mg_diags *ds) MG_MUST_CHECK;

/* And with it. */
enum mg_err pol_load_texts_lint(const struct pol_text *texts, size_t n,
    const struct mg_policy_lint *lint, struct mg_policy **pp,
    struct mg_diags *ds) MG_MUST_CHECK;

/* While a policy is being loaded. */
struct pol_load {
	struct mg_policy *p;
	struct pol_source src;
	const struct pol_section *sec; /* the one being read */
	const struct pol_line *ln;     /* and its line */
	struct pol_map seen;	       /* "type name" of all sections */
	uint32_t *seen_at;	       /* section of each */
	struct pol_map shared;	       /* compiled values by their text */
	struct pol_vec shared_at;      /* const void * */
	struct pol_vec members;	       /* struct pol_entry of all roles */
	struct pol_vec user_attrs;     /* struct pol_user_attr */
	struct pol_vec attrs;	       /* struct pol_attr of one model */
	const char *zone_dir;
	bool is_strict; /* files that are read must be root's */
	unsigned can;	/* MG_POLICY_CAN_* */
	bool ignore_tests;
	bool is_linted;
	const struct mg_policy_lint *lint;
	uint32_t role; /* number of the one being read */
	void *scratch; /* of pol_approve_parse() */
	bool no_memory;
};

/* An error at byte off of the current line's value. */
void pol_err(struct pol_load *ld, size_t off, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* At the key of the current line; at the header of the section. */
void pol_err_key(struct pol_load *ld, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void pol_err_head(struct pol_load *ld, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Remembers that memory is out; returns NULL. */
void *pol_oom(struct pol_load *ld);
/* "FILE:LINE" of the current section, in the policy's memory. */
const char *pol_where(struct pol_load *ld);

/* Calls fn for every section of that type. */
void pol_each(
    struct pol_load *ld, const char *type, void (*fn)(struct pol_load *ld));

/* One key of a section type: sets it in obj from the current line. */
struct pol_key {
	const char *key;
	void (*set)(struct pol_load *ld, void *obj);
};
/*
 * Goes through the lines of the current section. other, which may be NULL,
 * is asked first whether it takes a key that is not in keys.
 */
void pol_keys(struct pol_load *ld, const struct pol_key *keys, void *obj,
    bool (*other)(struct pol_load *ld, void *obj));

/* ---- pol_value.c ---- */

/* Goes through "a, b, c". */
struct pol_iter {
	const char *s;	 /* the item, not terminated */
	size_t len, off; /* off: from the value's beginning */
	const char *value;
	size_t at;
	unsigned n;
	bool done, failed;
};

void pol_iter_init(struct pol_iter *it, const char *value);
/* The next item; false at the end, or after an error that is said. */
bool pol_iter_next(struct pol_load *ld, struct pol_iter *it);

/* A copy of the item in ld->src's memory; NULL only without memory. */
char *pol_item_dup(struct pol_load *ld, const char *s, size_t n);

/* Each says what is wrong and returns false. */
bool pol_count(struct pol_load *ld, const char *s, size_t n, size_t off,
    unsigned max, unsigned *vp);
bool pol_duration(struct pol_load *ld, int64_t *msp);
bool pol_name(
    struct pol_load *ld, const char *what, const char *s, size_t n, size_t off);
bool pol_label(struct pol_load *ld, const char *s, size_t n, size_t off);

/*
 * A list that selects: items separated by ',', terms of an item joined by
 * '&', '!' before an item excludes. Encoded as words: for each item
 * POL_SEL_NOT (or 0) | number of terms, then the terms' atoms.
 */
struct pol_sel {
	uint64_t hash; /* of what it says, whatever the order of items */
	uint32_t nwords;
	uint32_t npos; /* items that do not exclude */
	uint32_t w[];
};
#define POL_SEL_NOT 0x80000000U

/*
 * Reads the current line's value; atom() gives a term its number (or says
 * what is wrong and returns POL_NONE). Equal texts of one kind share.
 */
const struct pol_sel *pol_sel_parse(struct pol_load *ld, char kind,
    uint32_t (*atom)(struct pol_load *ld, const char *s, size_t n, size_t off));

/* Compiled values by kind and text; NULL when there is none yet. */
const void *pol_shared_get(struct pol_load *ld, char kind, const char *text);
void pol_shared_put(
    struct pol_load *ld, char kind, const char *text, const void *v);

/* ---- pol_role.c ---- */

#define POL_ROLE_WORDS (POL_ROLES_MAX / 64)

/* One entry of a role's members. */
struct pol_member {
	uint32_t role; /* rank of the role that gains or loses somebody */
	bool neg;
	int64_t from_ms, until_ms; /* when it holds: from <= now < until */
};

struct pol_members {
	struct pol_member *v;
	uint32_t n;
};

struct pol_ids {
	uint32_t *v;
	uint32_t n;
};

struct pol_role {
	const char *name, *where;
	struct pol_members in; /* roles that include or exclude this one */
	struct pol_ids users, groups, roles; /* that it includes; ranks */
	bool is_approve_only;
	const char *approver; /* approve-only role whose members it takes in */
	bool asks_groups;     /* membership depends on groups, in any way */
};

/* A member as it is written, while loading. */
struct pol_entry {
	uint32_t role;	/* number of the role whose members these are */
	uint32_t other; /* number of the user, group or role */
	enum pol_entry_kind { POL_USER = 0, POL_GROUP, POL_ROLE } kind;
	struct pol_member m;
};

struct pol_user_attr {
	uint32_t user, atom;
};

struct pol_user {
	uint32_t *atoms; /* of user selectors: the name, attributes */
	uint32_t natoms;
	struct pol_members in;
	uint32_t team; /* atom, or POL_NONE */
	bool is_service, has_kind;
};

/* Roles of a person: surely and possibly (groups may be unknown). */
struct pol_roles {
	uint64_t sure[POL_ROLE_WORDS], maybe[POL_ROLE_WORDS];
};

static inline bool
pol_bit(const uint64_t *set, uint32_t i)
{
	return (set[i / 64] >> (i % 64)) & 1;
}

void pol_role_declare(struct pol_load *ld);
void pol_roles_parse(struct pol_load *ld);
/* Adds the members on the current line to the role of that number. */
void pol_members_parse(struct pol_load *ld, uint32_t role);
void pol_user_parse(struct pol_load *ld);
void pol_users_finish(struct pol_load *ld);
void pol_names_finish(struct pol_load *ld);
uint32_t pol_role_atom(
    struct pol_load *ld, const char *s, size_t n, size_t off);
uint32_t pol_user_atom(
    struct pol_load *ld, const char *s, size_t n, size_t off);
/* Rank of the role called s, or POL_NONE. */
uint32_t pol_role_rank(const struct mg_policy *p, const char *s, size_t n);
void pol_roles_of(const struct mg_policy *p, const struct mg_people *people,
    const char *user, int64_t now_ms, struct pol_roles *out);

/* ---- pol_model.c ---- */

#define POL_VALUES_MAX 8 /* of one attribute */
#define POL_MATCHES_MAX (1 + MG_NAME_MAX + 1 + POL_PATTERNS_MAX)
#define POL_MODEL_ATOMS_MAX (POL_MATCHES_MAX + POL_ATTRS_MAX * POL_VALUES_MAX)

/* What a name or pattern stands for. */
struct pol_pattern {
	uint32_t model; /* index in sections, or POL_NONE */
	uint32_t atom;	/* that rules use, or POL_NONE */
	uint32_t *all;	/* exact names: every atom, once finished */
	uint32_t nall;
};

/* Patterns of one kind by their text. */
struct pol_patterns {
	struct pol_map text;
	struct pol_vec at; /* struct pol_pattern */
};

struct pol_models {
	struct pol_patterns exact;   /* names */
	struct pol_patterns prefix;  /* of PREFIX*, without the star */
	struct pol_patterns general; /* all others */
	struct pol_map keys;	     /* names of attributes */
	struct pol_map atoms; /* "=name", "^prefix", "~pattern", "key:value" */
	uint64_t lengths[2];  /* of the prefixes */
	struct pol_vec sections; /* struct pol_model */
};

struct pol_attr {
	uint32_t key;
	uint32_t natoms;
	uint32_t atoms[POL_VALUES_MAX];
};

/* A [model] section. */
struct pol_model {
	const char *pattern, *where;
	uint32_t section;
	uint32_t specificity;
	struct pol_attr *attrs;
	uint32_t nattrs;
};

void pol_model_parse(struct pol_load *ld);
void pol_models_finish(struct pol_load *ld);
void pol_models_fini(struct pol_models *m);
uint32_t pol_model_atom(
    struct pol_load *ld, const char *s, size_t n, size_t off);
/*
 * The atoms of a model: *vp points into the policy or to buf, which has
 * room for POL_MODEL_ATOMS_MAX. Returns their number.
 */
uint32_t pol_model_atoms(const struct mg_policy *p, const char *model,
    uint32_t *buf, const uint32_t **vp);
/* Whether some string matches both patterns. */
bool pol_glob_meet(const char *a, const char *b);
/* Whether s is made of name characters, '*' and '?'; else says so. */
bool pol_glob(
    struct pol_load *ld, const char *what, const char *s, size_t n, size_t off);

/* ---- pol_net.c ---- */

/* An address as 16 bytes; v4 stands in ::ffff:0:0/96. */
struct pol_addr {
	uint8_t b[16];
};

struct pol_net {
	struct pol_addr a;
	uint8_t bits;
	bool neg;
};

struct pol_nets {
	const char *text; /* as it is written */
	uint64_t hash;
	bool local, not_local; /* sessions that came over no network */
	uint32_t n, npos;
	struct pol_net v[];
};

bool pol_addr_parse(const char *s, struct pol_addr *a);
const struct pol_nets *pol_nets_parse(struct pol_load *ld);
bool pol_net_is_v4(const struct pol_net *net);
/* a NULL: the session came over no network. */
bool pol_nets_match(const struct pol_nets *nets, const struct pol_addr *a);

/* ---- pol_time.c ---- */

#define POL_WINDOWS_MAX 64

struct pol_tz {
	const char *name;
	const struct pol_zone *data; /* NULL: UTC */
};

/* One window; what it does not say is open. */
struct pol_window {
	const struct pol_tz *zone;
	int64_t begin_ms, end_ms;    /* begin <= now < end */
	int64_t first_day, last_day; /* local days since 1970, inclusive */
	uint32_t from, to; /* local seconds of the day; over midnight too */
	uint8_t days;	   /* bit 0: monday */
	bool neg;
};

struct pol_times {
	const char *text; /* as it is written */
	uint64_t hash;
	uint32_t n, npos;
	struct pol_window v[];
};

/* wide: the longer reading where a clock is set back (see Rule 1 there). */
const struct pol_times *pol_times_parse(struct pol_load *ld, bool wide);
bool pol_times_match(const struct pol_times *times, int64_t now_ms);
/* The zone of that name; NULL: the policy's own. NULL: an error was said. */
const struct pol_tz *pol_zone(
    struct pol_load *ld, const char *name, size_t off);
/*
 * The moment that a date (with or without an hour) of the policy's zone
 * begins, or ends.
 */
bool pol_date_parse(struct pol_load *ld, const char *s, size_t n, size_t off,
    bool is_end, bool wide, int64_t *msp);

/* ---- pol_index.c ---- */

enum pol_dim {
	POL_DIM_NONE = 0, /* a leaf */
	POL_DIM_ROLE,
	POL_DIM_USER,
	POL_DIM_MODEL,
	POL_DIM_HOST,
};

struct pol_inode {
	enum pol_dim dim;
	uint32_t any;	   /* child of rules that do not say; POL_NONE */
	uint32_t first, n; /* a leaf's rules in the pool */
};

struct pol_edge {
	uint64_t key; /* node and atom; 0: none */
	uint32_t child;
};

struct pol_edges {
	struct pol_edge *edge;
	uint32_t mask, nedges;
};

struct pol_index {
	struct pol_vec nodes; /* struct pol_inode */
	struct pol_vec pool;  /* uint32_t, rules */
	struct pol_edges edges;
	/* Rules to advise: by operation and model atom, count and rules. */
	struct pol_edges near;
	struct pol_vec near_pool;
};

static inline struct pol_inode *
pol_inode(const struct pol_index *ix, uint32_t i)
{
	return (struct pol_inode *)ix->nodes.v + i;
}

void pol_index_build(struct pol_load *ld);
void pol_index_fini(struct pol_index *ix);

/* ---- pol_op.c ---- */

enum pol_level {
	POL_LEVEL_NONE = 0,
	POL_LEVEL_READ,
	POL_LEVEL_EDIT,
	POL_LEVEL_STAGING,
	POL_LEVEL_PRODUCTION,
	POL_LEVEL_MANAGE,
};

enum pol_op_kind {
	POL_OP_MODEL = 0, /* has an [operation] section */
	POL_OP_HOST,	  /* login, root-shell */
	POL_OP_RIGHT,	  /* log, revoke, ... */
	POL_OP_REGISTRY,  /* registry.view, ... */
	POL_OP_GROUP,	  /* stands for its members */
};

struct pol_op {
	struct mg_operation def;
	enum pol_op_kind kind;
	struct pol_ids members;	    /* of a group */
	struct pol_vec rules;	    /* uint32_t, rules that name it */
	enum pol_level level;	    /* that a [permission] gives it for */
	struct pol_vec separations; /* uint32_t */
	uint32_t index;		    /* root of the tree of rules */
};

/* Adds a built-in one. */
void pol_op_builtin(struct pol_load *ld, const char *name,
    enum pol_op_kind kind, enum pol_level level);
void pol_ops_builtin(struct pol_load *ld);
void pol_op_declare(struct pol_load *ld);
void pol_op_group_declare(struct pol_load *ld);
void pol_op_parse(struct pol_load *ld);
void pol_op_group_parse(struct pol_load *ld);
/*
 * The operations that the current line names, groups resolved, each once.
 * '*' stands for all with a section, where the caller allows it.
 */
const struct pol_ids *pol_ops_parse(struct pol_load *ld, bool may_star);

/* ---- pol_when.c ---- */

#define POL_FILES_ASKED_MAX 64

/* "file:/run/incident present" */
struct pol_when_term {
	enum { POL_PRESENT = 0, POL_ABSENT, POL_NEWER, POL_OLDER } what;
	uint32_t file;
	int64_t ms;
	const char *text; /* as it is written */
};

/* A selector whose atoms are numbers of terms. */
uint32_t pol_when_atom(
    struct pol_load *ld, const char *s, size_t n, size_t off);

/* ---- pol_approve.c ---- */

#define POL_ALTS_MAX 32	  /* ways to satisfy one "approve" */
#define POL_STAGES_MAX 4  /* joined by "then" */
#define POL_NESTING_MAX 8 /* parentheses */

/* count people of a role; stage 0: at any time. */
struct pol_need {
	uint32_t role; /* rank */
	uint16_t count, stage;
};

/* One way: all of these. */
struct pol_way {
	uint32_t n;
	struct pol_need need[MG_VERDICT_SLOTS_MAX];
};

struct pol_approve {
	const char *text; /* as it is written */
	uint32_t nways, nstages;
	struct pol_way way[];
};

const struct pol_approve *pol_approve_parse(struct pol_load *ld);

/* ---- pol_demand.c ---- */

/* Which ssh keys a login may have been made with. */
enum pol_login {
	POL_LOGIN_HARDWARE = 1 << 0,
	POL_LOGIN_CERTIFICATE = 1 << 1,
	POL_LOGIN_ED25519 = 1 << 2,
	POL_LOGIN_ECDSA = 1 << 3,
	POL_LOGIN_RSA = 1 << 4,
};

/* "deploy" in "did deploy, approved promote" */
struct pol_event {
	const char *operation;
	bool approved;
};

struct pol_limit {
	enum pol_scope {
		POL_PER_MODEL = 0,
		POL_PER_TIER,
		POL_PER_HOST,
	} scope;   /* of live grants */
	int64_t n; /* 0: no limit */
	int64_t per_ms;
};

/* How a rule that asks for approvals does without. */
struct pol_outage {
	bool served_before; /* when-hub-down */
	bool always;	    /* break-glass-when */
	uint32_t glass;	    /* role, + 1; 0: nobody */
	uint32_t review;    /* role, + 1 */
	unsigned tokens;    /* break-glass-tokens; 0: none */
	int64_t lasts_ms;
};

/* What a rule asks for. Times: 0 where it does not say. */
struct mg_demand {
	uint64_t hash; /* of its lines, in whatever order */
	const struct pol_approve *approve;
	bool mfa, hardware_key, confirm_number, different_teams;
	bool has_uses, artifact_signed;
	unsigned keys; /* enum pol_login; 0: any */
	unsigned uses;
	int64_t mfa_max_age_ms, key_max_age_ms;
	int64_t approve_within_ms, start_within_ms, lasts_ms;
	struct pol_limit live, rate, bytes;
	const struct pol_event *excluded; /* who did one of these */
	uint32_t nexcluded;
	const char **signers;
	uint32_t nsigners;
	struct pol_outage outage;
};

/* Whether the slots of a verdict can say whom it asks for. */
bool pol_demand_is_flat(const struct mg_demand *d);

/* Whether it asks for more than people and a second factor. */
bool pol_demand_is_hard(const struct mg_demand *d);

/* A demand while the lines of its rule are read. */
struct pol_demand_draft {
	struct mg_demand d;
	const struct pol_line *first;	/* NULL: it asks for nothing */
	char text[MG_INI_LINE_MAX * 2]; /* of all lines, to share it */
	size_t len;
};

/* Says what does not fit together. */
void pol_demand_check(struct pol_load *ld, const struct pol_demand_draft *dr);
/* Takes the current line if it is about a demand. */
bool pol_demand_key(struct pol_load *ld, struct pol_demand_draft *dr);
/* The finished demand, shared with equal ones; NULL for none. */
const struct mg_demand *pol_demand_finish(
    struct pol_load *ld, struct pol_demand_draft *dr);

/* ---- pol_rule.c ---- */

enum pol_effect {
	POL_DENY = 0,
	POL_ALLOW,
	POL_REQUIRE, /* demands, but does not allow */
};

/* Which registry transitions a rule is about. */
enum pol_stages {
	POL_STAGES_ANY = 0,
	POL_STAGES_STAGING, /* among None, Staging and Archived */
};

/* What most asks look at stands first. */
struct pol_rule {
	enum pol_effect effect;
	enum pol_stages stages;
	const struct pol_sel *role, *user, *model, *host, *version;
	const struct mg_demand *demand; /* NULL: asks for nothing */
	bool creator;	  /* only for who made what is asked about */
	uint32_t section; /* while loading */
	const struct pol_nets *from;
	const struct pol_times *time;
	const struct pol_sel *when;
	const char *name, *where;
	const struct pol_ids *ops;
};

void pol_rule_parse(struct pol_load *ld);
/* Whoever may only approve is allowed nothing by the current section. */
void pol_approver_check(struct pol_load *ld, uint32_t rank);
/* Keeps a finished rule; pol_index_build() files it. */
void pol_rule_add(struct pol_load *ld, const struct pol_rule *r);

/* ---- pol_perm.c ---- */

extern const char *const pol_level_words[POL_LEVEL_MANAGE + 1];

/* The registry's own operations, and the level that each needs. */
void pol_perm_builtin(struct pol_load *ld);
void pol_perm_declare(struct pol_load *ld);
void pol_perm_members(struct pol_load *ld);
void pol_perm_parse(struct pol_load *ld);
/* Once all rules are there. */
void pol_perm_finish(struct pol_load *ld);

/* ---- pol_guard.c ---- */

/* [policy]: the time zone before everything else, then the rest. */
void pol_guard_zone(struct pol_load *ld);
void pol_guard_parse(struct pol_load *ld);

/* ---- pol_limit.c ---- */

/* "Nobody drives all of these for one version alone." */
struct pol_separation {
	const char *name, *where;
	const struct pol_ids *ops;
	const struct pol_sel *model;
	unsigned at_most;
};

void pol_separation_parse(struct pol_load *ld);

/* ---- pol_match.c ---- */

/* What holds for an ask, worked out once. */
struct pol_facts {
	const struct mg_policy *p;
	const struct mg_ask *ask;
	struct pol_roles roles;
	const uint32_t *user, *model; /* atoms */
	uint32_t nuser, nmodel, nhost;
	bool has_from;
	struct pol_addr from;
	/* A survey: these conditions are not settled, but assumed. */
	unsigned open; /* enum pol_cond */
	bool assume_all, is_survey;
	const uint64_t *assume; /* pol_cond_mark()s that hold */
	size_t nassume;
	uint32_t host[POL_HOST_ATOMS_MAX];
	uint32_t model_buf[POL_MODEL_ATOMS_MAX];
};

void pol_facts_init(
    struct pol_facts *f, const struct mg_policy *p, const struct mg_ask *ask);

/* The conditions of a rule. */
enum pol_cond {
	POL_COND_USER = 1 << 0,
	POL_COND_ROLE = 1 << 1,
	POL_COND_TIME = 1 << 2,
	POL_COND_FROM = 1 << 3,
	POL_COND_WHEN = 1 << 4,
	POL_COND_HOST = 1 << 5,
	POL_COND_VERSION = 1 << 6,
	POL_COND_MODEL = 1 << 7,
	POL_COND_CREATOR = 1 << 8,
	POL_COND_STAGES = 1 << 9,
};
#define POL_CONDS 10

/*
 * Which conditions of the rule are not met (all of them with is_all, else
 * only the first); 0: the rule applies. What is not known never helps:
 * it fails an allowing rule and fits a denying one.
 */
unsigned pol_match(
    const struct pol_facts *f, const struct pol_rule *r, bool is_all);
bool pol_model_sel_match(const struct pol_facts *f, const struct pol_sel *sel);

/*
 * A hash of what the rule says for the condition, 0 when it says nothing;
 * and one that differs from those of other conditions.
 */
uint64_t pol_cond_key(const struct pol_rule *r, enum pol_cond cond);
uint64_t pol_cond_mark(const struct pol_rule *r, enum pol_cond cond);

/* Calls fn for a superset of the rules that apply; some perhaps twice. */
typedef void (*pol_visit_fn)(void *arg, const struct pol_rule *r);
void pol_index_visit(const struct pol_facts *f, const struct pol_op *op,
    pol_visit_fn fn, void *arg);

/* Calls fn for a few allowing rules of the operation about that model. */
void pol_index_near(
    const struct pol_facts *f, uint32_t op, pol_visit_fn fn, void *arg);

/* A text that grows up to its size. */
struct pol_words {
	char *s;
	size_t n, size;
};
void pol_put(struct pol_words *w, const char *s);
void pol_say(struct pol_words *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "to members of x for the model y": what would meet these conditions. */
void pol_say_conds(struct pol_words *w, const struct mg_policy *p,
    const struct pol_rule *r, unsigned conds);

/* ---- pol_limit.c ---- */

/*
 * Whether what the demand asks of the past, of now and of the login is
 * given; else says what is not, and why.
 */
bool pol_demand_met(const struct pol_facts *f, const struct pol_rule *r,
    enum mg_why *whyp, struct pol_words *w);
/* Whether a separation of duties is in the way. */
bool pol_is_separated(
    const struct pol_facts *f, uint32_t op, struct pol_words *w);

/* ---- pol_given.c ---- */

/* A question, read from words; ask points into it. */
struct pol_given {
	struct mg_ask ask;
	const struct pol_zone *zone; /* of times without one */
	bool wants_user, wants_operation;
	char user[MG_NAME_MAX + 1], operation[MG_NAME_MAX + 1];
	char model[MG_NAME_MAX + 1], version[MG_NAME_MAX + 1];
	char host[MG_NAME_MAX + 1], creator[MG_NAME_MAX + 1];
	char from[64], stage[64];
	char label[POL_LABELS_MAX][2 * MG_NAME_MAX + 2];
	const char *labels[POL_LABELS_MAX];
	size_t nlabels;
	int64_t key_age_ms, mfa_age_ms;
	size_t bad_word; /* which word is wrong, and why */
	char error[256];
};

/* Times without a zone are those of zone (NULL: UTC). */
void pol_given_init(struct pol_given *g, const struct pol_zone *zone);
/* ask.now_ms stays as it is where the words do not say when. */
bool pol_given_parse(struct pol_given *g, const char *const *words, size_t n);
/* "10GiB" */
bool pol_bytes_parse(const char *s, int64_t *vp);

/* ---- pol_test.c ---- */

#define POL_FACTS_MAX 64

struct pol_fact {
	enum pol_fact_kind {
		POL_FACT_GROUP = 0, /* user (NULL: the asker) is in it */
		POL_FACT_DID,
		POL_FACT_APPROVED,
		POL_FACT_LIVE,
		POL_FACT_FILE, /* of age n; -1: absent */
	} kind;
	const char *user, *what, *model;
	int64_t n;
};

struct pol_test {
	const char *name, *where, *expect;
	struct pol_given *given;
	struct pol_fact *facts;
	uint32_t nfacts;
	const char **approved;
	size_t napproved;
	int64_t granted, bytes;
	uint32_t file, line; /* of expect, while loading */
	uint16_t col;
};

void pol_test_parse(struct pol_load *ld);
/* Every test that fails is an error. */
void pol_tests_check(struct pol_load *ld);
/* Runs one; actual is what the policy comes to, in the words of expect. */
bool pol_test_run(const struct mg_policy *p, const struct pol_test *t,
    struct mg_verdict *v, char *actual, size_t size);
/* A verdict in those words; q: what is missing of it. */
void pol_say_verdict(struct pol_words *w, const struct mg_verdict *v,
    const struct mg_quorum *q, bool has_approved);

/* ---- pol_decide.c ---- */

/* What the n rules come to, if f is all that holds. */
void pol_decide_among(const struct pol_facts *f, uint32_t op,
    const struct pol_rule *const *rules, size_t n, struct mg_verdict *v);

/* ---- pol_survey.c ---- */

/*
 * Answers to questions that leave things open: "who can deploy?" without a
 * host, a time, a model. Each way to be allowed is a row, with the
 * circumstances that it takes.
 */

/* Rules by whom they are about. */
struct pol_survey {
	const struct mg_policy *p;
	struct pol_vec *by_role, *by_atom; /* of uint32_t, rules */
	struct pol_vec open;
	struct pol_vec found; /* const struct pol_rule * */
	uint8_t *seen;	      /* by rule */
};

#define POL_ROW_TEXT 512

struct pol_row {
	struct mg_verdict v;
	const struct pol_rule *rule; /* that allows it */
	char needs[POL_ROW_TEXT];    /* "mfa, 1 a"; empty: nothing */
	char when[POL_ROW_TEXT];     /* "on env:production"; empty: always */
	char but[POL_ROW_TEXT];	     /* what forbids or adds in between */
};

typedef void (*pol_row_fn)(void *arg, const struct pol_row *row);

/* false: out of memory. */
bool pol_survey_init(struct pol_survey *s, const struct mg_policy *p);
void pol_survey_fini(struct pol_survey *s);
/*
 * Calls fn for each way in which ask's user may do ask's operation, the
 * conditions in open not being settled. false: out of memory.
 */
bool pol_survey_user(struct pol_survey *s, const struct mg_ask *ask,
    unsigned open, pol_row_fn fn, void *arg);

/* The conditions of a rule that are among the open ones. */
struct pol_circs {
	uint64_t key[POL_CONDS]; /* pol_cond_mark()s */
	size_t n;
	unsigned conds;
	const struct pol_rule *rule;
};

void pol_circs_of(const struct pol_rule *r, unsigned open, struct pol_circs *c);
bool pol_circs_within(const struct pol_circs *a, const struct pol_circs *b);
/*
 * Fills f and s->found, the rules that may matter, sorted by name. false: out
 * of memory.
 */
bool pol_survey_begin(struct pol_survey *s, const struct mg_ask *ask,
    uint32_t op, unsigned open, struct pol_facts *f);

/* ---- pol_lint.c ---- */

/* with NULL: only what must not load, whatever day it is. */
void pol_lint(struct pol_load *ld, const struct mg_policy_lint *with);

/* ---- pol_near.c ---- */

struct pol_near {
	const struct pol_rule *rule;
	unsigned missing; /* conditions; 0: it applies */
};

unsigned pol_distance(unsigned missing);
/* The max rules of the operation that are nearest to applying, in order. */
size_t pol_near(const struct mg_policy *p, const struct mg_ask *ask,
    struct pol_near *out, size_t max);
/* ---- pol_clause.c ---- */

enum pol_clause_kind {
	POL_CLAUSE_MFA = 0, /* how old it may be; 0: now */
	POL_CLAUSE_HARDWARE,
	POL_CLAUSE_KEYS,
	POL_CLAUSE_KEY_AGE,
	POL_CLAUSE_ROLE,
	POL_CLAUSE_WAYS,
	POL_CLAUSE_TEAMS,
	POL_CLAUSE_EXCLUDED,
	POL_CLAUSE_NUMBER,
	POL_CLAUSE_SIGNED,
	POL_CLAUSE_SIGNERS,
	POL_CLAUSE_LIVE,
	POL_CLAUSE_RATE,
	POL_CLAUSE_BYTES,
	POL_CLAUSE_REVIEWER,
	/* From here on every allowance has them, and says them if unlike. */
	POL_CLAUSE_APPROVE_WITHIN,
	POL_CLAUSE_START_WITHIN,
	POL_CLAUSE_LASTS,
	POL_CLAUSE_USES,
	POL_CLAUSE_OUTAGE,
	POL_CLAUSE_GLASS,
	POL_CLAUSE_GLASS_LASTS,
	POL_CLAUSE_TOKENS,
};

#define POL_CLAUSES_MAX 64

/* What is asked for; the same of two is told by kind, name and of. */
struct pol_clause {
	enum pol_clause_kind kind;
	const char *name;
	int64_t of, strict; /* the larger, the less is allowed */
};

struct pol_clauses {
	bool is_denied, is_cut;
	/* Bits of kinds: what some rule says, or one that may yet apply. */
	uint32_t said, elsewhere;
	size_t n;
	struct pol_clause v[POL_CLAUSES_MAX];
};

#define POL_WIDER 1U
#define POL_NARROWER 2U

/* Of a verdict and the rules that it comes from; they live longer. */
void pol_clauses_of(struct pol_clauses *cs, const struct mg_verdict *v,
    const struct pol_rule *const *rules, size_t n);
/* Notes that the rule, which is not among these, might apply as well. */
void pol_clauses_beside(struct pol_clauses *cs, const struct pol_rule *r);
/* What the second allows that the first does not, and the reverse. */
unsigned pol_clauses_compare(
    const struct pol_clauses *was, const struct pol_clauses *is);
/* What a rule asks for; NULL: nothing. */
void pol_say_demand(struct pol_words *w, const struct mg_demand *d);
/*
 * "mfa, 1 risk-owner"; other NULL: all but times and uses, else what other
 * has not or has unlike.
 */
void pol_say_clauses(struct pol_words *w, const struct pol_clauses *cs,
    const struct pol_clauses *other);

/* ---- pol_imply.c ---- */

/*
 * Whether b's condition holds whenever a's does, as far as their texts show:
 * true is sure, false is not. Conditions on people are not compared.
 */
bool pol_cond_implies(const struct mg_policy *pa, const struct pol_rule *a,
    const struct mg_policy *pb, const struct pol_rule *b, enum pol_cond cond);
/* All of b's conditions among conds. */
bool pol_conds_imply(const struct mg_policy *pa, const struct pol_rule *a,
    const struct mg_policy *pb, const struct pol_rule *b, unsigned conds);
/* Whether one's conditions exclude the other's, as far as texts show. */
bool pol_conds_clash(const struct mg_policy *pa, const struct pol_rule *a,
    const struct mg_policy *pb, const struct pol_rule *b);
/*
 * The rule as several, each with one of the items of its lists of hosts,
 * models and versions; itself where these are long. At most POL_ALTS_MAX
 * into out, in memory of mem. 0: out of memory.
 */
size_t pol_alternatives(struct pol_arena *mem, const struct pol_rule *r,
    unsigned conds, struct pol_rule *out);

/* ---- pol_names.c ---- */

/*
 * Calls fn with valid names that fit the first of n patterns: at least one
 * for each set of the others that fits some of them. MG_ERR_LIMIT: there may
 * be more such sets.
 */
typedef void (*pol_name_fn)(void *arg, const char *name);
enum mg_err pol_names(const char *const *patterns, size_t n, pol_name_fn fn,
    void *arg) MG_MUST_CHECK;

/* ---- pol_diff.c ---- */

enum pol_change_kind {
	POL_CHANGE_DECISION = 0, /* users, operation, perhaps model */
	POL_CHANGE_APPROVER,	 /* users, operation is the role's name */
	POL_CHANGE_OPERATION,	 /* what is run */
	POL_CHANGE_SEPARATION,
	POL_CHANGE_GUARD,
	POL_CHANGE_MORE, /* what was too much to look at */
};

struct pol_change {
	enum pol_change_kind kind;
	unsigned how; /* POL_WIDER, POL_NARROWER */
	const char *const *users;
	size_t nusers;
	const char *operation, *model;
	const char *when;	    /* "on env:test"; empty: always */
	const char *before, *after; /* NULL: denied, not there */
	const char *rule, *where;   /* that makes it so; NULL: none */
	bool is_old;		    /* that rule is gone */
	int64_t since_ms;	    /* 0: now */
};

typedef void (*pol_change_fn)(void *arg, const struct pol_change *c);

/*
 * Calls fn for everything that differs. users are those to look at, each
 * once; an empty name is whoever no policy names. false: out of memory.
 */
bool pol_diff(const struct mg_policy *was, const struct mg_policy *is,
    const struct mg_people *people, const char *const *users, size_t nusers,
    int64_t now_ms, pol_change_fn fn, void *arg);

/* ---- pol_diff_rest.c ---- */

void pol_diff_operations(const struct mg_policy *was,
    const struct mg_policy *is, pol_change_fn fn, void *arg);
/* Separations that such a model comes under, or leaves. */
void pol_diff_separated(const struct mg_policy *was, const struct mg_policy *is,
    const char *model, const char *shown, pol_change_fn fn, void *arg);
void pol_diff_separations(const struct mg_policy *was,
    const struct mg_policy *is, pol_change_fn fn, void *arg);
void pol_diff_guard(const struct mg_policy *was, const struct mg_policy *is,
    pol_change_fn fn, void *arg);

/* ---- policy.c ---- */

struct mg_policy {
	struct pol_arena mem;
	char digest[80];
	struct pol_map users, groups, roles, ops;
	struct pol_map user_atoms, host_atoms, versions, files;
	struct pol_vec host_patterns; /* uint32_t, atoms without ':' */
	struct pol_vec user_at;	      /* struct pol_user */
	struct pol_vec group_at;      /* struct pol_members */
	struct pol_vec op_at;	      /* struct pol_op */
	struct pol_vec rules;	      /* struct pol_rule */
	struct pol_vec whens;	      /* struct pol_when_term */
	struct pol_vec separations;   /* struct pol_separation */
	struct pol_vec tests;	      /* struct pol_test */
	struct pol_models models;
	struct pol_index index;
	struct pol_role *role_at; /* by rank */
	uint32_t *role_rank;	  /* by number in roles */
	struct pol_ids grouped;	  /* roles that name groups, to add or not */
	struct pol_user nobody;	  /* whoever is not in users */
	const char **group_names;
	const char **user_names;
	const char **file_names;
	const char *zone_name; /* of dates without one; NULL: UTC */
	const struct pol_zone *zone;
	bool asks_from; /* some rule is about addresses */
	struct mg_policy_guard guard;
};

static inline struct pol_user *
pol_user(const struct mg_policy *p, uint32_t i)
{
	return (struct pol_user *)p->user_at.v + i;
}

static inline struct pol_op *
pol_op(const struct mg_policy *p, uint32_t i)
{
	return (struct pol_op *)p->op_at.v + i;
}

static inline struct pol_rule *
pol_rule(const struct mg_policy *p, uint32_t i)
{
	return (struct pol_rule *)p->rules.v + i;
}

static inline struct pol_model *
pol_model(const struct mg_policy *p, uint32_t i)
{
	return (struct pol_model *)p->models.sections.v + i;
}

static inline struct pol_pattern *
pol_pattern(const struct pol_patterns *ps, uint32_t i)
{
	return (struct pol_pattern *)ps->at.v + i;
}

#endif
