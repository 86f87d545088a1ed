/* SPDX-License-Identifier: ISC */
#ifndef MG_MSG_H
#define MG_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_msg.def"

/*
 * Messages between processes. A frame on the wire is
 *
 *	u32 length of what follows, u16 op, u16 version, u32 id, payload
 *
 * with all integers big-endian. PROTOCOL.md has the tables. Decoding is
 * strict: every field within its limit and of its class, nothing left over.
 */

#define MG_MSG_VERSION 1
#define MG_MSG_HEADER 12	  /* bytes, the length included */
#define MG_MSG_PAYLOAD_MAX 327680 /* the largest row of the list */
#define MG_MSG_FDS_MAX 16
#define MG_MSG_STRV_MAX 512
#define MG_MSG_STRV_BYTES 4096 /* per entry */

/* Who may send or receive; see mg_msg.def. */
enum mg_msg_role {
	MG_ROLE_CLIENT = 1 << 0,
	MG_ROLE_AGENT = 1 << 1,
	MG_ROLE_MONITOR = 1 << 2,
	MG_ROLE_FRONT = 1 << 3,
	MG_ROLE_AUTH = 1 << 4,
	MG_ROLE_RUN = 1 << 5,
	MG_ROLE_VERIFY = 1 << 6,
	MG_ROLE_AUDIT = 1 << 7,
	MG_ROLE_IDENT = 1 << 8,
	MG_ROLE_QUERY = 1 << 9,
	MG_ROLE_LINK = 1 << 10,
	MG_ROLE_HOST = 1 << 11,
	MG_ROLE_HUB = 1 << 12,
	MG_ROLE_CONN = 1 << 13,
	MG_ROLE_STORE = 1 << 14,
};

enum mg_msg_op {
	MG_MSG_NONE = 0,
#define MG_MSG_ENUM(NAME, s, op, from, to, max, fds) MG_MSG_##NAME = (op),
	MG_MSG_LIST(MG_MSG_ENUM)
#undef MG_MSG_ENUM
};

/* Classes of text. */
enum mg_msg_class {
	MG_CLASS_NONE = 0,
	MG_CLASS_NAME,	/* an identifier, mg_name.h */
	MG_CLASS_NAME0, /* or empty */
	MG_CLASS_LINE,	/* printing characters only, mg_esc.h; may be empty */
	MG_CLASS_TEXT,	/* UTF-8 without NUL */
	MG_CLASS_CODE0, /* letters, digits and '-'; may be empty */
	MG_CLASS_UUID,
	MG_CLASS_TERM, /* letters, digits, "._+-"; may be empty */
	MG_CLASS_PATH, /* absolute, printing characters */
	MG_CLASS_ARG,  /* printing characters; one argument or VAR=value */
};

/* run_req.flags */
enum mg_run_flag {
	MG_RUN_NO_WAIT = 1 << 0,    /* file it, do not wait for approvals */
	MG_RUN_GRANT_ONLY = 1 << 1, /* a grant to use later */
	MG_RUN_CAN_PROMPT = 1 << 2, /* somebody can answer questions */
	MG_RUN_BREAK_GLASS = 1 << 3,
	MG_RUN_ALL_FLAGS = (1 << 4) - 1
};

/* tty_mask: none of the three is passed on. */
#define MG_RUN_ALL_TTY 7

/* log_req.flags */
enum mg_log_flag { MG_LOG_FOLLOW = 1 << 0, MG_LOG_ALL_FLAGS = (1 << 1) - 1 };

enum mg_list {
	MG_LIST_NONE,
	MG_LIST_REQUESTS,
	MG_LIST_GRANTS,
	MG_LIST_ONE,
	MG_LIST_MODELS, /* what is deployed here */
	MG_LIST_CHECK,	/* the same, after a look at what is served */
	MG_LIST_TOKENS, /* sets of break-glass tokens */
};
enum mg_end { MG_END_NONE, MG_END_DONE, MG_END_CANCEL, MG_END_REVOKE };
enum mg_auth_mode {
	MG_AUTH_NONE,
	MG_AUTH_CHECK,	  /* ask for the second factor */
	MG_AUTH_ENROLL,	  /* make a new one */
	MG_AUTH_UNENROLL, /* remove it */
	MG_AUTH_TOKENS,	  /* ask for break-glass tokens */
};
/* What is asked for: a client may have it from elsewhere than a terminal. */
enum mg_prompt { MG_PROMPT_FACTOR, MG_PROMPT_TOKEN };
enum mg_tokens { MG_TOKENS_NONE, MG_TOKENS_MADE, MG_TOKENS_VOID };
enum mg_exit {
	MG_EXIT_NONE,
	MG_EXIT_STATUS,	 /* value is the command's exit status */
	MG_EXIT_SIGNAL,	 /* value is the signal that ended it */
	MG_EXIT_NO_EXEC, /* value is errno: it could not be started */
	MG_EXIT_ENDED,	 /* the grant ended first; text says why */
	MG_EXIT_FAILED,	 /* the agent failed; text says how */
};

/* Flags of log_req and query_req. */
#define MG_QUERY_FOLLOW 1U /* and what comes, until nobody reads any more */
#define MG_QUERY_RAW 2U	   /* lines as they are, all those of the request */

/* Whom the hub knows by a key. */
enum mg_hub_who { MG_HUB_NOBODY, MG_HUB_APPROVER, MG_HUB_HOST };

/* What of a host's ledger the hub is asked for. */
enum mg_hub_tree_part {
	MG_HUB_TREE_LIST,	 /* which hosts, one JSON line each */
	MG_HUB_TREE_CHECKPOINTS, /* the notes that it countersigned */
	MG_HUB_TREE_LEAVES,	 /* leaf hashes, 32 bytes each */
	MG_HUB_TREE_ALARMS,	 /* what did not fit, one JSON line each */
	MG_HUB_TREE_PARTS
};

/* What the host said of a decision. */
enum mg_hub_judged { MG_HUB_UNJUDGED, MG_HUB_ACCEPTED, MG_HUB_REFUSED };

#define MG_DECL_U8(name, limit) uint8_t name;
#define MG_DECL_U16(name, limit) uint16_t name;
#define MG_DECL_U32(name, limit) uint32_t name;
#define MG_DECL_U64(name, limit) uint64_t name;
#define MG_DECL_I64(name, limit) int64_t name;
#define MG_DECL_BOOL(name, limit) bool name;
#define MG_DECL_STR(name, limit) const char *name;
#define MG_DECL_BYTES(name, limit)                                             \
	const uint8_t *name;                                                   \
	size_t name##_len;
#define MG_DECL_STRV(name, limit)                                              \
	const char *name[limit];                                               \
	size_t name##_n;
#define MG_DECL(S, kind, name, limit, class) MG_DECL_##kind(name, limit)

/* The structs: struct mg_run_req { const char *operation; ... }; */
#define MG_MSG_STRUCT(name)                                                    \
	struct mg_##name {                                                     \
		MG_FIELDS_##name(MG_DECL, )                                    \
	};
MG_STRUCT_LIST(MG_MSG_STRUCT)
#undef MG_MSG_STRUCT

/* One field of a message, for the codec and for tests. */
enum mg_msg_kind {
	MG_KIND_U8,
	MG_KIND_U16,
	MG_KIND_U32,
	MG_KIND_U64,
	MG_KIND_I64,
	MG_KIND_BOOL,
	MG_KIND_STR,
	MG_KIND_BYTES,
	MG_KIND_STRV
};

struct mg_msg_field {
	const char *name;
	enum mg_msg_kind kind;
	size_t off;  /* of the member in the struct */
	size_t off2; /* of its _len or _n */
	size_t limit;
	enum mg_msg_class class;
};

struct mg_msg_type {
	enum mg_msg_op op;
	const char *name;
	unsigned from, to; /* sets of enum mg_msg_role */
	size_t max_bytes;
	size_t max_fds;
	size_t size; /* of the struct */
	const struct mg_msg_field *fields;
	size_t nfields;
};

/* The row of op, or NULL when there is none. */
const struct mg_msg_type *mg_msg_type(unsigned op);

/* All rows, *np of them, in the order of the list. */
const struct mg_msg_type *mg_msg_types(size_t *np);

/* The name of op; "unknown" when there is none. */
const char *mg_msg_name(unsigned op);

/* Whether s is text of the class. */
bool mg_msg_class_check(enum mg_msg_class class, const char *s);

/* What the header of a frame says, once it was found permitted. */
struct mg_msg_header {
	const struct mg_msg_type *type;
	uint32_t id;
	size_t len; /* of the payload */
};

/*
 * Judges the MG_MSG_HEADER bytes at p, sent by one of the roles from to
 * one of the roles to, before anything is allocated for what follows.
 * MG_ERR_PROTO unless version, op, direction and length are as the list
 * says; *whyp (may be NULL) then gets a static text.
 */
enum mg_err mg_msg_header_get(const uint8_t *p, unsigned from, unsigned to,
    struct mg_msg_header *h, const char **whyp) MG_MUST_CHECK;

/*
 * Appends one frame with the struct msg of op to b. NULL texts are written
 * as empty. MG_ERR_FORMAT or MG_ERR_LIMIT when a field is not what its
 * row allows (*fieldp, if given, names it); b is then unchanged.
 */
enum mg_err mg_msg_encode(struct mg_buf *b, uint32_t id, enum mg_msg_op op,
    const void *msg, const char **fieldp) MG_MUST_CHECK;

/*
 * Reads a payload of len bytes into the struct msg of op (size bytes, for a
 * check). Texts and bytes point into payload. On failure msg is all zero
 * and *fieldp, if given, names the field.
 */
enum mg_err mg_msg_decode(enum mg_msg_op op, const void *payload, size_t len,
    void *msg, size_t size, const char **fieldp) MG_MUST_CHECK;

#endif
