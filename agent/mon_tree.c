/* SPDX-License-Identifier: ISC */
/*
 * Checkpoints of the ledger: signed by the host, countersigned by the hub.
 *
 * Rules
 * 1. A checkpoint is signed over durable lines only.
 * 2. The hub countersigns what it saw grow. Its countersignature is kept
 *    when it verifies under a pinned key; nothing else it says is believed.
 * 3. When the hub has seen another history, that is put on record here and
 *    in the audit log, and never taken back: it is the one sign that
 *    somebody changed this host's past.
 * 4. The hub says where it wants the hashes to begin, and may have to say so
 *    again. One that says it and gets no further costs nothing more until the
 *    next checkpoint.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_id.h"
#include "mg_note.h"
#include "mg_sshkey.h"
#include "mg_time.h"
#include "mon.h"

#define LEAVES_AT_ONCE 1792 /* as many as a message takes */
#define WITNESS_NAME "modelgate-hub"
#define BACK_MAX 3 /* times a checkpoint that the hub may go back */

struct mon_tree {
	struct mon *m;
	bool has_key;
	uint8_t seed[MG_ED25519];
	struct mg_note_key key;
	struct mg_note note; /* the newest of our own */
	uint64_t witnessed;  /* lines, by this hub, as far as we know */
	bool due;	     /* the hub shall see the newest */
	bool sending;	     /* and its answer is awaited */
	uint64_t sent_to;    /* the leaf behind those that were sent */
	unsigned back;	     /* times that the hub did not go on from there */
	char alarm[512]; /* what the hub says of another history; "": none */
	struct mg_timer timer;
};

/* ---- our own ---- */

static bool
read_key(const struct mon *m, struct mg_note_key *key, uint8_t seed[MG_ED25519])
{
	memset(key, 0, sizeof(*key));
	key->kind = MG_NOTE_LOG;
	return mg_note_origin(m->conf.host, key->name) &&
	       mg_ed25519_from_openssh((const char *)mg_buf_ptr(&m->host_key),
		   mg_buf_len(&m->host_key), seed, key->pub) == MG_ERR_OK;
}

bool
mon_tree_key(const struct mon *m, struct mg_note_key *key)
{
	uint8_t seed[MG_ED25519];
	bool ok = read_key(m, key, seed);

	explicit_bzero(seed, sizeof(seed));
	return ok;
}

void
mon_tree_init(struct mon *m)
{
	struct mon_tree *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		mg_fatal("out of memory");
	m->tree = t;
	t->m = m;
	t->has_key = read_key(m, &t->key, t->seed);
	if (!t->has_key)
		mg_log(MG_EVT_LEDGER_BAD,
		    "err='host_key is not Ed25519: no checkpoints'");
}

/* Signs what is durable now, unless that was done. Rule 1 */
static bool
sign(struct mon_tree *t)
{
	struct mon *m = t->m;
	uint8_t root[MG_MERKLE_HASH];
	struct mg_note note;
	uint64_t size = mg_ledger_size(m->ledger);

	if (!t->has_key || mg_ledger_is_dead(m->ledger) || size == 0)
		return false;
	if (size == t->note.size)
		return true;
	mg_ledger_root(m->ledger, root);
	if (mg_note_make(&note, t->key.name, size, root) != MG_ERR_OK ||
	    mg_note_sign(&note, &t->key, t->seed, 0) != MG_ERR_OK ||
	    mg_ledger_add_note(m->ledger, note.text, note.len) != MG_ERR_OK) {
		mg_log(MG_EVT_LEDGER_BAD, "err='no checkpoint: %s'",
		    strerror(errno));
		return false;
	}
	t->note = note;
	t->due = true;
	t->back = 0;
	return true;
}

static void
on_timer(void *arg)
{
	struct mon_tree *t = arg;

	mon_tree_checkpoint(t->m);
}

void
mon_tree_grown(struct mon *m)
{
	struct mon_tree *t = m->tree;
	uint64_t size = mg_ledger_size(m->ledger);

	if (t == NULL || size == t->note.size || m->stopping)
		return;
	if (size - t->note.size >= MON_TREE_RECORDS)
		mon_tree_checkpoint(m);
	else if (t->timer.slot == 0)
		mon_timer_set(
		    m, &t->timer, mg_time_boot_ms() + MON_TREE_MS, on_timer, t);
}

void
mon_tree_checkpoint(struct mon *m)
{
	struct mon_tree *t = m->tree;

	if (t == NULL)
		return;
	mg_timer_clear(m->loop, &t->timer);
	if (sign(t) && t->due)
		mon_hub_tree(m);
}

const char *
mon_tree_note(const struct mon *m)
{
	return m->tree == NULL ? "" : m->tree->note.text;
}

/* ---- the hub's ---- */

const char *
mon_tree_alarm(const struct mon *m)
{
	return m->tree == NULL ? "" : m->tree->alarm;
}

bool
mon_tree_is_due(const struct mon *m)
{
	return m->tree != NULL && m->tree->due && m->tree->alarm[0] == '\0' &&
	       mon_keep_has_leaves(m);
}

/* The leaves from that one on; with the note once they are the last. */
static void
send_from(struct mon_tree *t, uint64_t from)
{
	static uint8_t leaves[LEAVES_AT_ONCE][MG_MERKLE_HASH];
	struct mg_hub_tree msg = {.from = from};
	uint64_t left = from < t->note.size ? t->note.size - from : 0;
	size_t n = 0, want;

	want = left < LEAVES_AT_ONCE ? (size_t)left : LEAVES_AT_ONCE;
	if (want > 0 && (mg_ledger_leaves(t->m->ledger, from, leaves, want,
			     &n) != MG_ERR_OK ||
			    n != want)) {
		mg_log(MG_EVT_LEDGER_BAD,
		    "err='leaves cannot be read: modelgate verify'");
		t->due = t->sending = false;
		return;
	}
	t->sent_to = from + n;
	msg.leaves = &leaves[0][0];
	msg.leaves_len = n * MG_MERKLE_HASH;
	if (n == left) {
		msg.note = (const uint8_t *)t->note.text;
		msg.note_len = t->note.len;
	}
	t->sending = mon_hub_send(t->m, MG_MSG_HUB_TREE, &msg);
}

void
mon_tree_send(struct mon *m)
{
	struct mon_tree *t = m->tree;

	if (!mon_tree_is_due(m) || t->sending)
		return;
	/* A new hub may know nothing, so it is asked: from where we think. */
	send_from(t, t->witnessed > 0 && t->witnessed <= t->note.size
			 ? t->witnessed
			 : t->note.size);
}

void
mon_tree_link_down(struct mon *m)
{
	if (m->tree != NULL)
		m->tree->sending = false;
}

/* Whether a pinned key has countersigned the note (Rule 2). */
static bool
is_witnessed(const struct mon *m, const struct mg_note *note)
{
	struct mg_note_key key = {
	    .kind = MG_NOTE_WITNESS, .name = WITNESS_NAME};
	const char *blank, *why;
	struct mg_buf b;
	size_t i, at;
	bool ok = false;

	for (i = 0; i < m->conf.npins && !ok; i++) {
		blank = strchr(m->conf.pins[i], ' ');
		if (blank == NULL ||
		    strncmp(m->conf.pins[i], "ssh-ed25519 ", 12) != 0)
			continue;
		mg_buf_init(&b, MG_SSHKEY_BLOB_MAX + 2);
		ok = mg_sshkey_parse(&b, "ssh-ed25519", blank + 1,
			 strcspn(blank + 1, " "), &at, &why) == MG_ERR_OK &&
		     mg_ed25519_from_blob(mg_buf_ptr(&b), mg_buf_len(&b),
			 key.pub) == MG_ERR_OK &&
		     mg_note_verify(note, &key, NULL) == MG_ERR_OK;
		mg_buf_fini(&b);
	}
	return ok;
}

/* Rule 3 */
static void
alarm_now(struct mon_tree *tree, const char *text)
{
	struct mg_uuid u;
	char uuid[MG_UUID_STR];
	struct mon_txn *t;
	struct mg_json *j;

	mg_log(MG_EVT_LEDGER_BAD, "text='the hub has seen another history: %s'",
	    text);
	if (tree->alarm[0] != '\0')
		return;
	snprintf(tree->alarm, sizeof(tree->alarm), "%s",
	    text[0] == '\0' ? "another history" : text);
	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, uuid);
	t = mon_txn_begin(tree->m);
	j = mon_rec_begin(t, "witness");
	mg_json_str(j, "uuid", uuid);
	mg_json_bool(j, "ok", false);
	mg_json_str(j, "text", text);
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
}

static void
countersigned(struct mon_tree *t, const struct mg_hub_witness *w)
{
	struct mg_note note;
	const char *why;

	if (mg_note_parse(&note, (const char *)w->note, w->note_len, &why) !=
		MG_ERR_OK ||
	    note.size != w->size ||
	    (note.size <= t->witnessed && note.size != t->note.size) ||
	    mg_note_verify(&note, &t->key, NULL) != MG_ERR_OK ||
	    !is_witnessed(t->m, &note)) {
		mg_log(MG_EVT_LEDGER_BAD,
		    "err='the hub returned a checkpoint that does not "
		    "verify'");
		t->due = false;
		return;
	}
	t->witnessed = note.size;
	if (mg_ledger_add_note(t->m->ledger, note.text, note.len) != MG_ERR_OK)
		mg_log(MG_EVT_LEDGER_BAD, "err='cannot keep a checkpoint'");
	t->due = t->note.size != note.size;
	mg_log(MG_EVT_LEDGER, "text='checkpoint countersigned' records=%llu",
	    (unsigned long long)note.size);
}

/* It could not, which says nothing about the ledger: a full disk. It is
 * asked again with the next checkpoint. */
static void
not_now(struct mon_tree *t, const char *text)
{
	mg_log(MG_EVT_LEDGER_BAD, "err='not countersigned: %s'", text);
	t->due = false;
}

/* Rule 4 */
static void
go_on_from(struct mon_tree *t, uint64_t from)
{
	if (from > t->note.size ||
	    (from != t->sent_to && ++t->back > BACK_MAX) ||
	    (from == t->note.size && from == t->sent_to &&
		++t->back > BACK_MAX)) {
		not_now(t, "the hub asks for the same hashes again and again");
		return;
	}
	send_from(t, from);
}

void
mon_tree_witness(struct mon *m, const struct mg_hub_witness *w)
{
	struct mon_tree *t = m->tree;

	if (t == NULL || !t->sending)
		return;
	t->sending = false;
	if (w->ok && w->note_len > 0)
		countersigned(t, w);
	else if (w->alarm)
		alarm_now(t, w->text);
	else if (w->text[0] != '\0')
		not_now(t, w->text);
	else
		go_on_from(t, w->size);
	if (!t->sending && t->due)
		mon_tree_send(m);
	mon_hub_tree_done(m);
}

void
mon_tree_fini(struct mon *m)
{
	if (m->tree == NULL)
		return;
	mg_timer_clear(m->loop, &m->tree->timer);
	(void)sign(m->tree);
	explicit_bzero(m->tree->seed, sizeof(m->tree->seed));
	free(m->tree);
	m->tree = NULL;
}
