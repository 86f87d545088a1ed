/* SPDX-License-Identifier: ISC */
#ifndef MON_ASKER_H
#define MON_ASKER_H

#include "mon.h"

/*
 * A client's question whose answer depends on who asks. Who may see or end
 * what: one's own, always; everybody's with a right of the policy, or as
 * root.
 */
struct mon_asker {
	struct mon *m;
	struct mon_job *job; /* stands in for the client */
	const char *right;   /* what for others' is "log", "revoke" */
	char person[97];     /* "": nobody that is known */
	uint32_t uid;
	void (*fn)(struct mon_asker *a);
	void (*fini)(struct mon_asker *a); /* NULL: nothing to do */
	void *own; /* what the question needs besides; calloc()ed */
};

/*
 * Begins a question: fn is called when it is known who asks, fini before own
 * (own_size bytes, zeroed) is freed with the rest. NULL: refused already.
 */
struct mon_asker *mon_asker_new(struct mon_client *c, const char *right,
    size_t own_size, void (*fn)(struct mon_asker *a),
    void (*fini)(struct mon_asker *a));

/* Who asks; NULL: gone. */
struct mon_client *mon_asker_client(const struct mon_asker *a);
/* Whether who asks is root or holds that right. */
bool mon_asker_may(const struct mon_asker *a, const char *operation);
/* Whether the request is of who asks. */
bool mon_asker_owns(const struct mon_asker *a, const struct mg_req *req);

/* One more item of the answer: what j wrote to b. False: it is too long, and
 * was not sent. */
bool mon_asker_send(struct mon_asker *a, struct mg_buf *b, struct mg_json *j);

/* The end of the answer; these free a. */
void mon_asker_done(struct mon_asker *a, const char *text);
void mon_asker_fail(
    struct mon_asker *a, enum mg_why why, const char *text, const char *remedy);
void mon_asker_free(struct mon_asker *a);

#endif
