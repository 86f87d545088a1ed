/* SPDX-License-Identifier: ISC */
#ifndef MG_PAST_H
#define MG_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_rec.h"

/*
 * What people did, for as long as the ledger goes back: who ran and who
 * approved what on which version, what was granted to whom and when, since
 * when a login key is in use. Part of struct mg_state, which alone writes
 * it; what is returned to be changed lives as long as the whole, so that a
 * change can be undone by copying it back.
 *
 * At most MG_PAST_MAX things are kept. When there are more, mg_past_is_full()
 * says so, and who does not find something must not conclude anything.
 */

#define MG_PAST_MAX 200000
#define MG_PAST_EVENTS_MAX 16384 /* grants of one person and operation */

struct mg_past;

/* In how many requests somebody ran, or approved, an operation on a version. */
struct mg_past_fact {
	unsigned did, approved;
};

/* One grant. It counts once is_real is set. */
struct mg_past_event {
	int64_t at_ms; /* wall clock */
	int64_t bytes; /* of the artifact */
	bool is_real;
	struct mg_past_event *older;
};

struct mg_past_key {
	int64_t since_ms; /* wall clock; 0: never seen */
};

struct mg_past *mg_past_new(void) MG_MUST_CHECK;
void mg_past_free(struct mg_past *p);
bool mg_past_is_full(const struct mg_past *p);

/*
 * Each finds what it names, or NULL; with make it is made when it is not
 * there, and NULL means that there is no memory, or that the past is full.
 */
struct mg_past_fact *mg_past_fact(struct mg_past *p, const char *user,
    const char *operation, const char *model, const char *version, bool make);
struct mg_past_key *mg_past_key(
    struct mg_past *p, const char *user, const char *key_fp, bool make);

/* A new grant, not counting yet; NULL as above. */
struct mg_past_event *mg_past_add(
    struct mg_past *p, const char *user, const char *operation);

/*
 * How many grants since then, and of how many bytes together; -1: older ones
 * were forgotten, or the past is full.
 */
int64_t mg_past_count(const struct mg_past *p, const char *user,
    const char *operation, int64_t since_ms);
int64_t mg_past_bytes(const struct mg_past *p, const char *user,
    const char *operation, int64_t since_ms);

/*
 * Appends lines (records, of that type, clocks and a newline) from which
 * _restore() makes the same past; it takes them one by one.
 */
enum mg_err mg_past_save(const struct mg_past *p, struct mg_buf *b,
    const char *at, int64_t bt) MG_MUST_CHECK;
enum mg_err mg_past_restore(
    struct mg_past *p, const struct mg_rec *rec) MG_MUST_CHECK;

/* Forgets what is over the limit of events; nothing may be undone later. */
void mg_past_prune(struct mg_past *p);

#endif
