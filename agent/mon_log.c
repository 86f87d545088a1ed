/* SPDX-License-Identifier: ISC */
/*
 * Readers of the ledger: mg-query gets descriptors of its segments, and
 * writes to where the client wants it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon_asker.h"

#define SEGMENTS_MAX 16 /* descriptors of one query_next_ans */
#define QUERY_DEADLINE_MS 600000

struct mon_reader {
	struct mon_asker *a;
	struct mg_log_req q;
	char id[37], user[97], model[97], version[97], operation[97];
	char type[33], outcome[33];
	int out; /* where the lines go */
	bool has_out;
	struct mon_proc query;
	struct mg_timer timer;
	uint64_t waits; /* it has so many lines and wants more */
	uint32_t waits_id;
	bool is_waiting;
	struct mon_reader *prev, *next;
};

enum mg_err
mon_log_segments(
    struct mon *m, struct mon_port *port, uint32_t id, uint64_t after)
{
	struct mg_query_next_ans ans = {0};
	uint8_t first[8 * SEGMENTS_MAX], compressed[SEGMENTS_MAX];
	int dir = mg_ledger_dir(m->ledger);
	struct mg_ledger_file *v;
	struct mg_buf b;
	int fds[SEGMENTS_MAX];
	size_t n, i, k = 0;
	enum mg_err r;

	if ((r = mg_ledger_list(dir, &v, &n)) != MG_ERR_OK)
		return r;
	mg_buf_init(&b, sizeof(first));
	for (i = 0; i < n && k < SEGMENTS_MAX && r == MG_ERR_OK; i++) {
		if (v[i].first <= after)
			continue;
		r = mg_ledger_open_file(dir, v[i].name, &fds[k]);
		if (r != MG_ERR_OK)
			break;
		compressed[k++] = v[i].zst;
		r = mg_buf_put_u64(&b, v[i].first);
	}
	if (r == MG_ERR_OK) {
		memcpy(first, mg_buf_ptr(&b), mg_buf_len(&b));
		ans.first = first;
		ans.first_len = mg_buf_len(&b);
		ans.compressed = compressed;
		ans.compressed_len = k;
		r = mon_port_send_fds(
		    port, id, MG_MSG_QUERY_NEXT_ANS, &ans, fds, k);
	}
	for (i = 0; i < k; i++)
		close(fds[i]);
	mg_buf_fini(&b);
	free(v);
	return r;
}

/* There are more lines than it has had: says so. */
static void
tell_grown(struct mon_reader *r)
{
	struct mg_query_wait_ans ans = {
	    .size = mg_ledger_size(r->a->m->ledger)};

	if (!r->is_waiting || ans.size <= r->waits)
		return;
	r->is_waiting = false;
	(void)mon_port_send(
	    &r->query.port, r->waits_id, MG_MSG_QUERY_WAIT_ANS, &ans);
}

void
mon_log_grown(struct mon *m)
{
	struct mon_reader *r;

	for (r = m->readers; r != NULL; r = r->next)
		tell_grown(r);
}

static void
query_frame(void *arg, struct mg_frame *f)
{
	struct mg_query_next_req next;
	struct mg_query_wait_req wait;
	struct mon_reader *r = arg;

	if (f->op == MG_MSG_QUERY_NEXT_REQ &&
	    mg_frame_decode(f, &next, sizeof(next)) == MG_ERR_OK) {
		if (mon_log_segments(r->a->m, &r->query.port, f->id,
			next.after) != MG_ERR_OK)
			mon_asker_fail(r->a, MG_WHY_INTERNAL,
			    "the ledger cannot be opened", "");
	} else if (f->op == MG_MSG_QUERY_WAIT_REQ &&
		   (r->q.flags & MG_QUERY_FOLLOW) != 0 &&
		   mg_frame_decode(f, &wait, sizeof(wait)) == MG_ERR_OK) {
		r->is_waiting = true;
		r->waits = wait.size;
		r->waits_id = f->id;
		tell_grown(r);
	}
}

static void
query_ended(void *arg, int status)
{
	struct mon_reader *r = arg;

	if (status == 0)
		mon_asker_done(r->a, "");
	else
		mon_asker_fail(r->a, MG_WHY_INTERNAL,
		    "the ledger could not be read whole", "");
}

static void
query_late(void *arg)
{
	struct mon_reader *r = arg;

	mon_asker_fail(
	    r->a, MG_WHY_LIMIT, "reading the ledger took too long", "");
}

static enum mg_err
start_query(struct mon_reader *r, bool everyone)
{
	struct mg_query_req q = {.only_user = everyone ? "" : r->a->person,
	    .user = r->user,
	    .model = r->model,
	    .version = r->version,
	    .operation = r->operation,
	    .type = r->type,
	    .outcome = r->outcome,
	    .request = r->id,
	    .since_ms = r->q.since_ms,
	    .until_ms = r->q.until_ms,
	    .flags = r->q.flags};
	enum mg_err err;

	r->query.on_frame = query_frame;
	r->query.on_end = query_ended;
	r->query.arg = r;
	err = mon_proc_start(
	    &r->query, r->a->m, "mg-query", NULL, NULL, MG_ROLE_QUERY, NULL, 0);
	return err != MG_ERR_OK ? err
				: mon_port_send_fds(&r->query.port, 1,
				      MG_MSG_QUERY_REQ, &q, &r->out, 1);
}

static void
begin(struct mon_asker *a)
{
	bool everyone = mon_asker_may(a, "log");
	struct mon_reader *r = a->own;

	if (!everyone && a->person[0] == '\0') {
		mon_asker_fail(a, MG_WHY_NO_LOGIN, "", "");
		return;
	}
	if (start_query(r, everyone) != MG_ERR_OK) {
		mon_asker_fail(
		    a, MG_WHY_INTERNAL, "the reader cannot be started", "");
		return;
	}
	r->next = a->m->readers;
	if (r->next != NULL)
		r->next->prev = r;
	a->m->readers = r;
	if ((r->q.flags & MG_QUERY_FOLLOW) == 0)
		mon_timer_set(a->m, &r->timer,
		    mg_time_boot_ms() + QUERY_DEADLINE_MS, query_late, r);
}

static void
fini(struct mon_asker *a)
{
	struct mon_reader *r = a->own;

	mg_timer_clear(a->m->loop, &r->timer);
	if (r->prev != NULL)
		r->prev->next = r->next;
	else if (a->m->readers == r)
		a->m->readers = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	mon_proc_stop(&r->query);
	if (r->has_out)
		mg_close(r->out);
}

void
mon_log_query(struct mon_client *c, const struct mg_log_req *q)
{
	struct mon_asker *a =
	    mon_asker_new(c, "log", sizeof(struct mon_reader), begin, fini);
	struct mon_reader *r;

	if (a == NULL)
		return;
	r = a->own;
	r->a = a;
	r->q = *q;
	snprintf(r->id, sizeof(r->id), "%s", q->request);
	snprintf(r->user, sizeof(r->user), "%s", q->user);
	snprintf(r->model, sizeof(r->model), "%s", q->model);
	snprintf(r->version, sizeof(r->version), "%s", q->version);
	snprintf(r->operation, sizeof(r->operation), "%s", q->operation);
	snprintf(r->type, sizeof(r->type), "%s", q->type);
	snprintf(r->outcome, sizeof(r->outcome), "%s", q->outcome);
	r->out = c->fd;
	r->has_out = true;
	c->fd = -1;
}
