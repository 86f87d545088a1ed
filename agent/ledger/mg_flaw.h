/* SPDX-License-Identifier: ISC */
#ifndef MG_FLAW_H
#define MG_FLAW_H

#include <stdint.h>

/*
 * What can be wrong with a ledger. The agent at its start and "modelgate
 * verify" use the same words, one for each kind, and no kind has another's;
 * modelgate-ledger(5), DIAGNOSTICS, lists them.
 */
#define MG_FLAW_LIST(X)                                                        \
	X(NONE, "none")                                                        \
	/* a line */                                                           \
	X(LONG, "long-line")                                                   \
	X(NUL, "nul-byte")                                                     \
	X(NESTED, "nested-value")                                              \
	X(RECORD, "no-record")                                                 \
	X(SEQ, "no-number")                                                    \
	X(TYPE, "no-type")                                                     \
	X(TIME, "no-time")                                                     \
	X(CLOCK, "clock-back")                                                 \
	X(TORN, "torn-line")                                                   \
	X(UNFIT, "unfit")                                                      \
	/* lines among others */                                               \
	X(DUPLICATED, "duplicated")                                            \
	X(ORDER, "out-of-order")                                               \
	X(MISSING, "missing")                                                  \
	X(FOREIGN, "foreign-line")                                             \
	X(CHANGED, "changed")                                                  \
	X(CHAIN, "broken-chain")                                               \
	/* segments */                                                         \
	X(HEAD, "no-segment-line")                                             \
	X(ROOT, "wrong-root")                                                  \
	X(SEGMENT_MISSING, "missing-segment")                                  \
	X(SEGMENT_EXTRA, "extra-segment")                                      \
	X(SEGMENT_FOREIGN, "foreign-segment")                                  \
	X(FILE, "no-file")                                                     \
	X(PRIVATE, "not-private")                                              \
	X(PACK_CUT, "cut-archive")                                             \
	X(PACK_BAD, "damaged-archive")                                         \
	X(PACK_BOMB, "swollen-archive")                                        \
	X(PACKED, "no-snapshot")                                               \
	X(SNAPSHOT, "unfit-snapshot")                                          \
	X(GAP, "not-discarded")                                                \
	/* leaves */                                                           \
	X(LEAVES_LEFT, "lost-records")                                         \
	X(LEAVES_WRONG, "wrong-leaves")                                        \
	X(LEAVES_GONE, "lost-leaves")                                          \
	/* checkpoints */                                                      \
	X(NOTE_BAD, "malformed-checkpoint")                                    \
	X(NOTE_FOREIGN, "foreign-checkpoint")                                  \
	X(NOTE_FORGED, "forged-checkpoint")                                    \
	X(NOTE_UNKNOWN, "unknown-signer")                                      \
	X(TRUNCATED, "truncated")                                              \
	X(REWRITTEN, "rewritten")                                              \
	/* the hub */                                                          \
	X(HUB_CHANGED, "not-as-witnessed")                                     \
	X(HUB_MORE, "less-than-witnessed")

enum mg_flaw_kind {
#define MG_FLAW_ENUM(name, word) MG_FLAW_##name,
	MG_FLAW_LIST(MG_FLAW_ENUM)
#undef MG_FLAW_ENUM
	    MG_FLAW_COUNT
};

struct mg_flaw {
	enum mg_flaw_kind kind;
	uint64_t record; /* the first bad one; 0: none in particular */
	char text[512];	 /* "WORD: a sentence" */
};

/* Its word. Never NULL. */
const char *mg_flaw_word(enum mg_flaw_kind kind);

void mg_flaw_set(struct mg_flaw *f, enum mg_flaw_kind kind, uint64_t record,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
