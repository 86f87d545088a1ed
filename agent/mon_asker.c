/* SPDX-License-Identifier: ISC */
/*
 * Questions whose answer depends on who asks.
 *
 * Rules
 * 1. Nothing is answered before the name service has said who asks.
 * 2. Who asks for what is others' is on record.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mon_asker.h"
#include "mon_job.h"

struct mon_client *
mon_asker_client(const struct mon_asker *a)
{
	return a->job->client;
}

void
mon_asker_free(struct mon_asker *a)
{
	if (a->fini != NULL)
		a->fini(a);
	if (mon_asker_client(a) != NULL)
		mon_asker_client(a)->on_more = NULL;
	mon_job_free(a->job);
	free(a->own);
	free(a);
}

void
mon_asker_done(struct mon_asker *a, const char *text)
{
	mon_reply_done(mon_asker_client(a), text);
	mon_asker_free(a);
}

static void
refuse(struct mon_asker *a, const char *text, const char *remedy)
{
	struct mon_client *c = mon_asker_client(a);
	struct mon_refusal ref = {.user = a->person,
	    .uid = a->uid,
	    .ses = c->peer.session,
	    .tty = c->peer.tty,
	    .origin = "",
	    .operation = a->right,
	    .model = "",
	    .version = "",
	    .rule = "",
	    .text = text,
	    .remedy = remedy,
	    .why = MG_WHY_NOT_PERMITTED};

	c->job = NULL;
	a->job->client = NULL;
	mon_refuse(a->m, c, &ref);
	mon_asker_free(a);
}

void
mon_asker_fail(
    struct mon_asker *a, enum mg_why why, const char *text, const char *remedy)
{
	struct mon_client *c = mon_asker_client(a);

	if (why == MG_WHY_NOT_PERMITTED && c != NULL) { /* Rule 2 */
		refuse(a, text, remedy);
		return;
	}
	mon_reply_refused(c, why, "", "", text, remedy);
	mon_asker_free(a);
}

static void
known(void *arg)
{
	struct mon_asker *a = arg;
	const struct mon_person *p;

	if (mon_asker_client(a) == NULL) {
		mon_asker_free(a);
		return;
	}
	a->uid = mon_client_uid(mon_asker_client(a));
	p = a->uid == MG_PROC_UNSET ? NULL : mon_person_by_uid(a->m, a->uid);
	if (p != NULL)
		snprintf(a->person, sizeof(a->person), "%s", p->name);
	a->fn(a);
}

struct mon_asker *
mon_asker_new(struct mon_client *c, const char *right, size_t own_size,
    void (*fn)(struct mon_asker *a), void (*fini)(struct mon_asker *a))
{
	uint32_t uid =
	    c->peer.loginuid != MG_PROC_UNSET ? c->peer.loginuid : c->peer.uid;
	struct mon_asker *a;

	if ((a = calloc(1, sizeof(*a))) == NULL ||
	    (a->job = calloc(1, sizeof(*a->job))) == NULL ||
	    (own_size > 0 && (a->own = calloc(1, own_size)) == NULL))
		mg_fatal("out of memory");
	a->m = a->job->m = c->m;
	a->job->client = c;
	c->job = a->job;
	a->right = right;
	a->fn = fn;
	a->fini = fini;
	if (mon_people_fetch(c->m, NULL, 0, uid, known, a) == MG_ERR_OK)
		return a;
	mon_asker_fail(a, MG_WHY_INTERNAL, "the name service is down", "");
	return NULL;
}

bool
mon_asker_may(const struct mon_asker *a, const char *operation)
{
	char user[97];

	return mon_may(mon_asker_client(a), operation, user, sizeof(user));
}

bool
mon_asker_owns(const struct mon_asker *a, const struct mg_req *req)
{
	return a->uid != MG_PROC_UNSET && req->uid == a->uid;
}

bool
mon_asker_send(struct mon_asker *a, struct mg_buf *b, struct mg_json *j)
{
	struct mg_item item = {0};

	if (mg_json_end(j) != MG_ERR_OK || (item.json = mg_buf_cstr(b)) == NULL)
		return false;
	mon_reply(mon_asker_client(a), MG_MSG_ITEM, &item);
	return true;
}
