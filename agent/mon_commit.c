/* SPDX-License-Identifier: ISC */
/*
 * Ledger first, then audit, then the effect.
 *
 * Rules
 * 1. A transaction's continuation runs only after its lines are durable and
 *    the kernel has taken its audit records (DESIGN, promise 1).
 * 2. State changes when a line enters the batch, so that the next decision
 *    of the same round sees it; when the batch does not become durable the
 *    state goes back to what the ledger says.
 * 3. When the ledger is durable but the audit record is not taken, the
 *    continuation hears MG_WHY_AUDIT_FAILED and has to take the transition
 *    back with another record. It never goes on.
 * 4. When the ledger cannot be written the audit log alone can say so: it
 *    does, once for the first line that failed and once when one did not.
 * 5. Audit records wait here for their turn: thousands of transitions that
 *    come together (a deadline that many share, a revocation of all) fill no
 *    writer's queue, and none is refused because the others were there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"

#define AUDITS_PER_TXN 8
#define AUDIT_BYTES_MAX 131072 /* with the writers at once */
#define ROTATE_AGAIN_MS 1000   /* when it failed, and in a flood */

struct audit_item {
	uint32_t uid;
	struct mg_buf frame;
};

struct mon_txn {
	struct mon *m;
	enum mg_err r;
	struct mg_json j;
	struct mg_rec rec;
	struct mg_ledger_mark mark;
	const void *state_mark;
	struct audit_item audits[AUDITS_PER_TXN];
	size_t naudits;
	size_t waiting; /* audit answers to come */
	size_t bytes;	/* of its audit records */
	bool audit_bad;
	mon_txn_fn fn;
	void *arg;
	struct mon_txn *next;
};

struct mon_txn *
mon_txn_begin(struct mon *m)
{
	struct mon_txn *t;

	/* Building one is never interrupted, so there is one at a time; the
	 * preallocated failure keeps callers free of error paths. */
	if (m->txn_open)
		mg_fatal("transaction inside a transaction");
	if ((t = calloc(1, sizeof(*t))) == NULL)
		mg_fatal("out of memory");
	m->txn_open = true;
	t->m = m;
	t->r = MG_ERR_OK;
	mg_rec_init(&t->rec);
	mg_ledger_get_mark(m->ledger, &t->mark);
	t->state_mark = mg_state_mark(m->state);
	return t;
}

struct mg_json *
mon_rec_begin(struct mon_txn *t, const char *type)
{
	mg_ledger_begin(t->m->ledger, &t->j, type);
	return &t->j;
}

static enum mg_err
add_audit(struct mon_txn *t)
{
	struct mg_audit_req a;
	struct audit_item *it;
	const char *field;
	enum mg_err r;

	if (!mon_audit_fill(t->m, &t->rec, &a))
		return MG_ERR_OK;
	if (t->naudits == AUDITS_PER_TXN)
		return MG_ERR_LIMIT;
	it = &t->audits[t->naudits];
	mg_buf_init(&it->frame, 32768);
	it->uid = a.oauid < 0 ? MG_PROC_UNSET : (uint32_t)a.oauid;
	r = mg_msg_encode(&it->frame, 0, MG_MSG_AUDIT_REQ, &a, &field);
	if (r != MG_ERR_OK) {
		mg_log(MG_EVT_ERROR, "op=AUDIT_REQ field=%s err='%s'",
		    mon_or_empty(field), mg_err_str(r));
		mg_buf_fini(&it->frame);
		return r;
	}
	t->naudits++;
	return MG_ERR_OK;
}

void
mon_rec_end(struct mon_txn *t)
{
	enum mg_err r;

	r = mg_ledger_end(t->m->ledger, &t->j, &t->rec);
	if (r == MG_ERR_OK && t->r == MG_ERR_OK)
		r = mg_state_apply(t->m->state, &t->rec); /* Rule 2 */
	if (r == MG_ERR_OK && t->r == MG_ERR_OK)
		r = add_audit(t);
	if (r != MG_ERR_OK && t->r == MG_ERR_OK) {
		mg_log(MG_EVT_ERROR, "type=%s err='record refused: %s'",
		    mg_rec_str(&t->rec, "type", "?"), mg_err_str(r));
		t->r = r;
	}
}

void
mon_txn_commit(struct mon_txn *t, mon_txn_fn fn, void *arg)
{
	struct mon *m = t->m;

	m->txn_open = false;
	t->fn = fn;
	t->arg = arg;
	if (t->r != MG_ERR_OK) {
		mg_ledger_rewind(m->ledger, &t->mark);
		mg_state_rollback_to(m->state, t->state_mark);
	}
	mg_rec_fini(&t->rec);
	if (m->txns_last != NULL)
		m->txns_last->next = t;
	else
		m->txns = t;
	m->txns_last = t;
}

static void
txn_free(struct mon_txn *t)
{
	while (t->naudits > 0)
		mg_buf_fini(&t->audits[--t->naudits].frame);
	free(t);
}

static void
finish(struct mon_txn *t, enum mg_why why)
{
	mon_txn_fn fn = t->fn;
	void *arg = t->arg;

	txn_free(t);
	if (fn != NULL)
		fn(arg, why);
}

static void send_more(struct mon *m);

static void
audit_answer(void *arg, bool ok)
{
	struct mon_txn *t = arg;
	struct mon *m = t->m;

	if (!ok)
		t->audit_bad = true;
	if (--t->waiting > 0)
		return;
	m->audit_bytes -= t->bytes;
	finish(t, t->audit_bad ? MG_WHY_AUDIT_FAILED : MG_WHY_NONE);
	send_more(m);
}

static void
send_audits(struct mon_txn *t)
{
	struct mg_audit_req a;
	size_t i;
	bool ok;

	/* One more than there are, so that answers given at once do not
	 * finish the transaction before the last was sent. */
	t->waiting = t->naudits + 1;
	/* analyzer: t lives until the one more */
	for (i = 0; i < t->naudits; i++) {
		struct mg_buf *b = &t->audits[i].frame;

		ok = mg_msg_decode(MG_MSG_AUDIT_REQ,
			 mg_buf_ptr(b) + MG_MSG_HEADER,
			 mg_buf_len(b) - MG_MSG_HEADER, &a, sizeof(a),
			 NULL) == MG_ERR_OK;
		if (ok)
			mon_audit_send(
			    t->m, t->audits[i].uid, &a, audit_answer, t);
		else
			audit_answer(t, false);
	}
	audit_answer(t, true);
}

/* Rule 5 */
static void
send_more(struct mon *m)
{
	struct mon_txn *t;

	if (m->audit_sending)
		return; /* whoever is goes on */
	m->audit_sending = true;
	while ((t = m->audit_next) != NULL &&
	       (m->audit_bytes == 0 ||
		   m->audit_bytes + t->bytes <= AUDIT_BYTES_MAX)) {
		if ((m->audit_next = t->next) == NULL)
			m->audit_last = NULL;
		m->audit_bytes += t->bytes;
		send_audits(t);
	}
	m->audit_sending = false;
}

/* Its lines are durable; its audit records follow. */
static void
enqueue_audits(struct mon_txn *t)
{
	struct mon *m = t->m;
	size_t i;

	for (i = 0; i < t->naudits; i++)
		t->bytes += mg_buf_len(&t->audits[i].frame);
	t->next = NULL;
	if (m->audit_last != NULL)
		m->audit_last->next = t;
	else
		m->audit_next = t;
	m->audit_last = t;
	send_more(m);
}

static void
revive(void *arg)
{
	struct mon *m = arg;

	if (mg_ledger_revive(m->ledger) == MG_ERR_OK) {
		mg_log(MG_EVT_LEDGER, "text='can be written again'");
		return;
	}
	mon_timer_set(m, &m->revive_timer, mg_time_boot_ms() + 1000, revive, m);
}

static void
ledger_failed(struct mon *m, int err)
{
	mg_log(MG_EVT_LEDGER_BAD, "err='%s' dead=%d", strerror(err),
	    mg_ledger_is_dead(m->ledger));
	mg_state_rollback_to(m->state, NULL); /* Rule 2 */
	if (!m->ledger_failing)
		mon_audit_ledger(m, err != 0 ? err : EIO); /* Rule 4 */
	m->ledger_failing = true;
	if (mg_ledger_is_dead(m->ledger))
		revive(m);
}

/* A new segment, when the old one is full. The state is what the ledger
 * says: nothing waits in the batch. */
static void
rotate(struct mon *m)
{
	struct mg_buf b;
	enum mg_err r;

	if (mg_ledger_is_dead(m->ledger) || mg_ledger_pending(m->ledger) > 0 ||
	    mg_time_boot_ms() < m->rotate_ms ||
	    !mg_ledger_is_full(m->ledger, mg_time_wall_ms()))
		return;
	m->rotate_ms = mg_time_boot_ms() + ROTATE_AGAIN_MS;
	mg_buf_init(&b, MG_LEDGER_SNAPSHOT_MAX);
	if ((r = mg_state_save(m->state, &b)) == MG_ERR_OK)
		r = mg_ledger_rotate(m->ledger, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	if (r == MG_ERR_OK) {
		mg_log(MG_EVT_LEDGER, "text='new segment' records=%llu",
		    (unsigned long long)mg_ledger_size(m->ledger));
		mon_tree_checkpoint(m);
		mon_keep_look(m);
	} else
		mg_log(MG_EVT_LEDGER_BAD, "text='no new segment' err='%s: %s'",
		    mg_err_str(r), strerror(errno));
}

void
mon_commit_round(void *arg)
{
	struct mon *m = arg;
	struct mon_txn *t, *next;
	bool ok;

	mon_clock_look(m);
	/* Continuations may begin new transactions: take the list first and
	 * go round until there is none. */
	while ((t = m->txns) != NULL) {
		m->txns = m->txns_last = NULL;
		ok = mg_ledger_sync(m->ledger) == MG_ERR_OK; /* Rule 1 */
		if (ok) {
			mg_state_commit(m->state);
			if (m->ledger_failing)
				mon_audit_ledger(m, 0); /* Rule 4 */
			m->ledger_failing = false;
			rotate(m);
			mon_log_grown(m);
			mon_tree_grown(m);
		} else {
			ledger_failed(m, errno);
		}
		for (; t != NULL; t = next) {
			next = t->next;
			if (!ok)
				finish(t, MG_WHY_LEDGER_FAILED);
			else if (t->r != MG_ERR_OK)
				finish(t,
				    t->r == MG_ERR_STATE   ? MG_WHY_WRONG_STATE
				    : t->r == MG_ERR_LIMIT ? MG_WHY_LIMIT
							   : MG_WHY_INTERNAL);
			else
				enqueue_audits(t);
		}
	}
}

void
mon_commit_fini(struct mon *m)
{
	struct mon_txn *t;

	while ((t = m->txns) != NULL) {
		m->txns = t->next;
		txn_free(t);
	}
	m->txns_last = NULL;
	while ((t = m->audit_next) != NULL) {
		m->audit_next = t->next;
		txn_free(t);
	}
	m->audit_last = NULL;
}
