/* SPDX-License-Identifier: ISC */
#ifndef POL_H
#define POL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_ini.h"
#include "mg_name.h"
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
 *	pol_op.c	[operation], [operation-group]; commands
 *	pol_rule.c	[rule]
 *	pol_load.c	all of it together
 *	pol_match.c	whether a rule applies, and what it lacks
 *	pol_decide.c	what all rules that apply come to
 *	pol_quorum.c	who fills which slot
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

/* As mg_policy_load() from files that are in memory already. */
enum mg_err pol_load_texts(const struct pol_text *texts, size_t n,
    struct mg_policy **pp, struct mg_diags *ds) MG_MUST_CHECK;

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
	uint32_t role;		       /* number of the one being read */
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
	bool asks_groups; /* membership depends on groups, in any way */
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
void pol_user_parse(struct pol_load *ld);
void pol_users_finish(struct pol_load *ld);
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
	struct pol_vec attrs; /* struct pol_attr */
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
	uint32_t n, npos;
	struct pol_net v[];
};

bool pol_addr_parse(const char *s, struct pol_addr *a);
const struct pol_nets *pol_nets_parse(struct pol_load *ld);
bool pol_nets_match(const struct pol_nets *nets, const struct pol_addr *a);

/* ---- pol_op.c ---- */

enum pol_op_kind {
	POL_OP_MODEL = 0, /* has an [operation] section */
	POL_OP_HOST,	  /* login, root-shell */
	POL_OP_RIGHT,	  /* log, revoke, unenroll */
	POL_OP_GROUP,	  /* stands for its members */
};

struct pol_op {
	struct mg_operation def;
	enum pol_op_kind kind;
	struct pol_ids members; /* of a group */
	struct pol_vec rules;	/* uint32_t, rules that name it */
};

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

/* ---- pol_rule.c ---- */

enum pol_effect {
	POL_DENY = 0,
	POL_ALLOW,
	POL_REQUIRE, /* demands, but does not allow */
};

struct pol_need {
	uint32_t role; /* rank */
	unsigned count;
};

/* What a rule asks for. Times: 0 where it does not say. */
struct pol_demand {
	bool mfa;
	bool has_uses;
	unsigned uses;
	uint32_t nneeds;
	struct pol_need need[MG_VERDICT_SLOTS_MAX];
	int64_t approve_within_ms, start_within_ms, lasts_ms;
};

struct pol_rule {
	const char *name, *where;
	const struct pol_ids *ops;
	const struct pol_sel *role, *user, *model, *version, *host;
	const struct pol_nets *from;
	const struct pol_demand *demand; /* NULL: asks for nothing */
	uint32_t section;		 /* while loading */
	enum pol_effect effect;
};

void pol_rule_parse(struct pol_load *ld);

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
	uint32_t host[POL_HOST_ATOMS_MAX];
	uint32_t model_buf[POL_MODEL_ATOMS_MAX];
};

void pol_facts_init(
    struct pol_facts *f, const struct mg_policy *p, const struct mg_ask *ask);

/* The conditions of a rule. */
enum pol_cond {
	POL_COND_USER = 1 << 0,
	POL_COND_ROLE = 1 << 1,
	POL_COND_MODEL = 1 << 2,
	POL_COND_VERSION = 1 << 3,
	POL_COND_HOST = 1 << 4,
	POL_COND_FROM = 1 << 5,
};

/*
 * Which conditions of the rule are not met (all of them with is_all, else
 * only the first); 0: the rule applies. What is not known never helps:
 * it fails an allowing rule and fits a denying one.
 */
unsigned pol_match(
    const struct pol_facts *f, const struct pol_rule *r, bool is_all);

/* Words for a person: what would meet the conditions in missing. */
void pol_remedy(const struct mg_policy *p, const struct pol_rule *r,
    unsigned missing, char *out, size_t size);

/* ---- pol_decide.c ---- */

/* ---- policy.c ---- */

struct mg_policy {
	struct pol_arena mem;
	char digest[80];
	struct pol_map users, groups, roles, ops;
	struct pol_map user_atoms, host_atoms, versions;
	struct pol_vec host_patterns; /* uint32_t, atoms without ':' */
	struct pol_vec user_at;	      /* struct pol_user */
	struct pol_vec group_at;      /* struct pol_members */
	struct pol_vec op_at;	      /* struct pol_op */
	struct pol_vec rules;	      /* struct pol_rule */
	struct pol_models models;
	struct pol_role *role_at; /* by rank */
	uint32_t *role_rank;	  /* by number in roles */
	struct pol_ids grouped;	  /* roles that name groups, to add or not */
	struct pol_user nobody;	  /* whoever is not in users */
	const char **group_names;
	const char **user_names;
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
