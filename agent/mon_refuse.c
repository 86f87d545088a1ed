/* SPDX-License-Identifier: ISC */
/*
 * Refusals without a request: on record before the client hears of them, up
 * to a rate, with a code that `modelgate why` explains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

struct mon_bucket {
	uint32_t uid;
	unsigned used, dropped;
	int64_t minute;
	struct mon_bucket *next;
};

/* What a minute kept back is said once it is over, and at the end. */
static void
say_dropped(struct mon_bucket *b)
{
	if (b->dropped > 0)
		mg_log(MG_EVT_LIMIT,
		    "uid=%u dropped=%u why='refusals per minute'", b->uid,
		    b->dropped);
	b->dropped = 0;
}

void
mon_refuse_tick(struct mon *m)
{
	int64_t minute = mg_time_boot_ms() / 60000;
	struct mon_bucket *b;

	for (b = m->buckets; b != NULL; b = b->next)
		if (b->minute != minute || m->stopping)
			say_dropped(b);
}

bool
mon_may_record(struct mon *m, uint32_t uid)
{
	int64_t minute = mg_time_boot_ms() / 60000;
	struct mon_bucket *b;

	for (b = m->buckets; b != NULL && b->uid != uid; b = b->next)
		continue;
	if (b == NULL) {
		if ((b = calloc(1, sizeof(*b))) == NULL)
			return false;
		b->uid = uid;
		b->next = m->buckets;
		m->buckets = b;
	}
	if (b->minute != minute) {
		say_dropped(b);
		b->minute = minute;
		b->used = 0;
	}
	if (b->used < m->conf.refusals_per_minute) {
		b->used++;
		return true;
	}
	b->dropped++;
	return false;
}

bool
mon_req_new_uuid(struct mon *m, char uuid[MG_UUID_STR])
{
	struct mg_uuid u;
	char code[MG_CODE_STR];
	int i;

	for (i = 0; i < 16; i++) {
		if (mg_uuid_new(&u) != MG_ERR_OK)
			return false;
		mg_code_from_uuid(&u, code);
		mg_uuid_format(&u, uuid);
		if (mg_state_find(m->state, code) == NULL)
			return true;
	}
	return false;
}

/* A refusal on its way to the ledger, with what the client will be told. */
struct refusal {
	struct mon *m;
	struct mon_client *client;
	struct mon_job *job; /* keeps client up to date; NULL: see below */
	enum mg_why why;
	char code[MG_CODE_STR];
	char rule[512], text[1024], remedy[1024];
};

static void
refusal_recorded(void *arg, enum mg_why why)
{
	struct refusal *rf = arg;
	struct mon_client *c = rf->job != NULL ? rf->job->client : rf->client;

	/* Not on record: refused all the same, without a code to look up. */
	if (why != MG_WHY_NONE)
		rf->code[0] = '\0';
	mon_reply_refused(c, rf->why, rf->code, rf->rule, rf->text, rf->remedy);
	if (rf->job != NULL)
		mon_job_free(rf->job);
	free(rf);
}

static void
record_refusal(struct mon *m, const struct mon_refusal *ref, const char *uuid,
    struct refusal *rf)
{
	struct mon_txn *t = mon_txn_begin(m);
	struct mg_json *j = mon_rec_begin(t, "refused");

	mg_json_str(j, "uuid", uuid);
	mg_json_str(j, "user", ref->user);
	mg_json_int(j, "uid", ref->uid);
	mg_json_int(j, "ses", ref->ses);
	mg_json_str(j, "tty", ref->tty);
	mg_json_str(j, "origin", ref->origin);
	mg_json_str(j, "operation", ref->operation);
	mg_json_str(j, "model", ref->model);
	mg_json_str(j, "version", ref->version);
	mg_json_str(j, "why", mg_why_word(ref->why));
	mg_json_str(j, "rule", ref->rule);
	mg_json_str(j, "text", rf->text);
	mg_json_str(j, "remedy", ref->remedy);
	mon_rec_end(t);
	mon_txn_commit(t, refusal_recorded, rf);
	mg_log(MG_EVT_REFUSED, "req=%s user=%s op=%s model=%s why=%s rule='%s'",
	    rf->code, ref->user, ref->operation, ref->model,
	    mg_why_word(ref->why), ref->rule);
}

void
mon_job_refuse(struct mon *m, struct mon_client *c, struct mon_job *job,
    const struct mon_refusal *ref)
{
	struct refusal *rf;
	struct mg_uuid u;
	char uuid[MG_UUID_STR];

	if ((rf = calloc(1, sizeof(*rf))) == NULL)
		mg_fatal("out of memory");
	rf->m = m;
	rf->client = c;
	rf->job = job;
	rf->why = ref->why;
	snprintf(rf->rule, sizeof(rf->rule), "%s", ref->rule);
	snprintf(rf->text, sizeof(rf->text), "%s",
	    ref->text[0] != '\0' ? ref->text : mg_why_sentence(ref->why));
	snprintf(rf->remedy, sizeof(rf->remedy), "%s", ref->remedy);
	/* Uids that are nobody's here are made up in any number. */
	if (!mon_may_record(
		m, ref->user[0] == '\0' ? MG_PROC_UNSET : ref->uid)) {
		refusal_recorded(rf, MG_WHY_LIMIT);
		return;
	}
	if (!mon_req_new_uuid(m, uuid)) {
		refusal_recorded(rf, MG_WHY_INTERNAL);
		return;
	}
	if (mg_uuid_parse(uuid, &u) == MG_ERR_OK)
		mg_code_from_uuid(&u, rf->code);
	record_refusal(m, ref, uuid, rf);
}

/* For clients without a job. Such a client cannot go away in between
 * unnoticed: its job stands in for it. */
void
mon_refuse(struct mon *m, struct mon_client *c, const struct mon_refusal *ref)
{
	struct mon_job *job;

	if (c == NULL) {
		mon_job_refuse(m, NULL, NULL, ref);
		return;
	}
	if ((job = calloc(1, sizeof(*job))) == NULL)
		mg_fatal("out of memory");
	job->m = m;
	job->client = c;
	c->job = job;
	mon_job_refuse(m, c, job, ref);
}
