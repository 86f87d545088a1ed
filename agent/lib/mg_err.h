/* SPDX-License-Identifier: ISC */
#ifndef MG_ERR_H
#define MG_ERR_H

/* What a fallible function of this project returns. */

#define MG_MUST_CHECK __attribute__((warn_unused_result))

#define MG_ERR_LIST(X)                                                         \
	X(OK, "success")                                                       \
	X(NOMEM, "out of memory")                                              \
	X(SYS, "system error")                                                 \
	X(TRUNC, "message ends early")                                         \
	X(TRAIL, "bytes after the end")                                        \
	X(LIMIT, "over the limit")                                             \
	X(FORMAT, "malformed")                                                 \
	X(PROTO, "protocol violation")                                         \
	X(PERM, "not permitted")                                               \
	X(NOENT, "not found")                                                  \
	X(EXIST, "exists already")                                             \
	X(STATE, "not possible in this state")                                 \
	X(AGAIN, "nothing to read yet")                                        \
	X(CLOSED, "peer closed the connection")                                \
	X(TIMEOUT, "timed out")                                                \
	X(BADSIG, "signature does not verify")                                 \
	X(SEALED, "sealed and does not open")                                  \
	X(INTERNAL, "internal error")

enum mg_err {
#define MG_ERR_ENUM(name, text) MG_ERR_##name,
	MG_ERR_LIST(MG_ERR_ENUM)
#undef MG_ERR_ENUM
	    MG_ERR_COUNT
};

/*
 * The English words for an error. Never NULL; an unknown value reads
 * "unknown error". The text is static.
 */
const char *mg_err_str(enum mg_err err);

#endif
