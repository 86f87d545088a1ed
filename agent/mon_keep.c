/* SPDX-License-Identifier: ISC */
/*
 * Keeping the ledger: the hashes of its lines, old segments, and their end.
 *
 * Rules
 * 1. Nothing here reads a line: mg-keep compresses, another mg-keep unpacks
 *    and compares, and only then the plain file goes.
 * 2. Lines are discarded for two people and nobody else: the question has to
 *    come from a run of the operation "discard", known by the kernel's audit
 *    session, of a request that names the very line and that two approvers
 *    have signed, neither of them the requester. No policy makes it less,
 *    and no outage.
 * 3. Lines are discarded once they are older than the class of this host,
 *    and only while the hashes of all lines are whole: what is left has to
 *    prove what it proved before.
 * 4. A record, which the kernel has taken too, comes before the deletion.
 *    What a crash leaves is put on record again before it is deleted.
 * 5. Hashes go to the hub only after they were compared with the ledger:
 *    wrong ones would make it raise an alarm that cannot be taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_id.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define LEAVES_A_STEP 16384 /* some ten milliseconds */
#define ROUND_MS 3600000
#define DAY_MS 86400000LL
#define PEOPLE_MIN 2
#define TRIES_MAX 2 /* to make the leaves anew */

struct discard {
	struct mon_job *job; /* stands in for the client */
	char uuid[MG_UUID_STR];
	uint64_t first, last;
	bool is_left; /* by a crash: nobody waits for it */
};

struct mon_keep {
	struct mon *m;
	struct mg_timer round, step;
	struct mon_proc proc; /* mg-keep */
	struct mg_ledger_file file;
	int plain, packed; /* of it; -1: not open */
	struct mg_ledger_fold fold;
	bool is_folding, leaves_ok;
	unsigned tries;
	struct discard *discard; /* NULL: none is wanted */
};

static void fold_begin(struct mon_keep *k, uint64_t mark_size);
static void pack_next(struct mon_keep *k);
static void make_leaves(struct mon_keep *k);

/* ---- discarding ---- */

static void
discard_free(struct mon_keep *k)
{
	if (k->discard != NULL)
		mon_job_free(k->discard->job);
	free(k->discard);
	k->discard = NULL;
}

static void
refuse(struct mon_keep *k, enum mg_why why, const char *text)
{
	struct discard *d = k->discard;

	mg_log(MG_EVT_ERROR, "text='nothing is discarded: %s' why=%s", text,
	    mg_why_word(why));
	if (d->job != NULL)
		mon_reply_refused(d->job->client, why, "", "", text, "");
	discard_free(k);
}

/* Rule 2: the request whose run this is. */
static struct mg_req *
find_run(struct mon *m, const struct mg_peer *peer)
{
	struct mg_req *req;
	size_t i;

	if (peer->uid != 0 || peer->session == MG_PROC_UNSET)
		return NULL;
	for (req = mg_state_granted(m->state); req != NULL;
	     req = req->granted.next) {
		if (strcmp(req->operation, "discard") != 0)
			continue;
		for (i = 0; i < MG_RUNS_MAX; i++)
			if (req->live.runs[i].run != 0 &&
			    !req->live.runs[i].exited &&
			    req->live.runs[i].ses == peer->session)
				return req;
	}
	return NULL;
}

/* Rule 2: how many people other than the requester have signed. */
static size_t
count_people(const struct mg_req *req)
{
	const struct mg_approval *a = req->live.approvals;
	size_t i, j, n = 0;

	for (i = 0; i < req->live.napprovals; i++) {
		if (!a[i].approve || strcmp(a[i].person, req->user) == 0)
			continue;
		for (j = 0; j < i; j++)
			if (a[j].approve &&
			    strcmp(a[j].person, a[i].person) == 0)
				break;
		n += j == i;
	}
	return n;
}

static bool
agrees(const struct mg_req *req, uint64_t last)
{
	char version[24];

	snprintf(version, sizeof(version), "%llu", (unsigned long long)last);
	return strcmp(req->model, "ledger") == 0 &&
	       strcmp(req->version, version) == 0;
}

/* Rule 3; why those segments may not go, or NULL. */
static const char *
judge_range(struct mon *m, uint64_t *firstp, uint64_t last)
{
	int64_t limit = mg_time_wall_ms() - (int64_t)m->conf.keep_days * DAY_MS;
	int dir = mg_ledger_dir(m->ledger);
	const char *why = "the line is not the last of a segment that may go";
	struct mg_ledger_file *v;
	struct stat st;
	size_t n, i;

	if (mg_ledger_list(dir, &v, &n) != MG_ERR_OK)
		return "the ledger's folder cannot be read";
	*firstp = n > 0 ? v[0].first : 0;
	for (i = 0; i < mg_ledger_keep_from(n); i++) {
		if (v[i].first > last)
			break;
		if (fstatat(dir, v[i].name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    (int64_t)st.st_mtime * 1000 > limit) {
			why = "there are lines among them that are not as old "
			      "as [ledger] keep-days says";
			break;
		}
		if (v[i + 1].first == last + 1) {
			why = NULL;
			break;
		}
	}
	free(v);
	return why;
}

static struct mg_json *
begin_record(struct mon_txn *t, const struct discard *d, bool ok)
{
	struct mg_json *j = mon_rec_begin(t, "discard");

	mg_json_str(j, "uuid", d->uuid);
	mg_json_bool(j, "ok", ok);
	mg_json_int(j, "first", (int64_t)d->first);
	mg_json_int(j, "last", (int64_t)d->last);
	return j;
}

/* The kernel did not take it: it is not to be (Rule 4). */
static void
take_back(struct mon_keep *k)
{
	struct mon_txn *t = mon_txn_begin(k->m);

	(void)begin_record(t, k->discard, false);
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
}

static void
discard_recorded(void *arg, enum mg_why why)
{
	struct mon_keep *k = arg;
	struct discard *d = k->discard;
	char text[96];

	if (why == MG_WHY_AUDIT_FAILED)
		take_back(k);
	if (why != MG_WHY_NONE) {
		refuse(k, why, "it cannot be put on record");
		return;
	}
	if (mg_ledger_discard(k->m->ledger) != MG_ERR_OK) {
		refuse(k, MG_WHY_INTERNAL,
		    "it is on record, and not all files could be removed: the "
		    "agent tries again");
		return;
	}
	snprintf(text, sizeof(text), "records %llu to %llu are discarded",
	    (unsigned long long)d->first, (unsigned long long)d->last);
	mg_log(MG_EVT_LEDGER, "text='%s'", text);
	if (d->job != NULL)
		mon_reply_done(d->job->client, text);
	discard_free(k);
}

/* The hashes are whole: on record, if everything is still as it was. */
static void
discard_folded(struct mon_keep *k)
{
	struct discard *d = k->discard;
	const struct mg_req *req = mg_state_find(k->m->state, d->uuid);
	const char *names[MG_APPROVALS_MAX];
	char root[2 * MG_MERKLE_HASH + 1];
	struct mon_txn *t;
	struct mg_json *j;

	if (!d->is_left && (req == NULL || req->live.state != MG_REQ_GRANTED)) {
		refuse(k, MG_WHY_WRONG_STATE, "the grant is over");
		return;
	}
	mg_hex(k->fold.mark, MG_MERKLE_HASH, root);
	t = mon_txn_begin(k->m);
	j = begin_record(t, d, true);
	mg_json_str(j, "root", root);
	if (!d->is_left) {
		mg_json_str(j, "user", req->user);
		mg_json_strv(j, "approvers", names,
		    mon_req_approvers(req, names, MG_APPROVALS_MAX));
	}
	mon_rec_end(t);
	mon_txn_commit(t, discard_recorded, k);
}

void
mon_discard(struct mon_client *c, const struct mg_discard_req *q)
{
	struct mon_keep *k = c->m->keep;
	const struct mg_req *req;
	const char *why;
	uint64_t first;

	if (k->discard != NULL || k->is_folding) {
		mon_reply_refused(c, MG_WHY_LIMIT, "", "",
		    "the ledger's hashes are being looked at", "try again");
		return;
	}
	if ((k->discard = calloc(1, sizeof(*k->discard))) == NULL ||
	    (k->discard->job = calloc(1, sizeof(struct mon_job))) == NULL)
		mg_fatal("out of memory");
	k->discard->job->m = c->m;
	k->discard->job->client = c;
	c->job = k->discard->job;
	if ((req = find_run(c->m, &c->peer)) == NULL) {
		refuse(k, MG_WHY_NOT_PERMITTED,
		    "only a run of the operation 'discard' may ask for it");
	} else if (!agrees(req, q->last)) {
		refuse(k, MG_WHY_NOT_PERMITTED,
		    "another line than the request names");
	} else if (count_people(req) < PEOPLE_MIN) {
		refuse(k, MG_WHY_NOT_PERMITTED,
		    "records are discarded when two people have agreed");
	} else if ((why = judge_range(c->m, &first, q->last)) != NULL) {
		refuse(k, MG_WHY_NOT_PERMITTED, why);
	} else {
		memcpy(k->discard->uuid, req->uuid, sizeof(req->uuid));
		k->discard->first = first;
		k->discard->last = q->last;
		fold_begin(k, q->last); /* Rule 3 */
	}
}

/* Rule 4: what a crash left. */
static void
finish_discard(struct mon_keep *k)
{
	struct mon *m = k->m;
	uint64_t first = mg_ledger_leftover(m->ledger);
	struct mg_uuid u;

	if (first == 0 || k->discard != NULL)
		return;
	if ((k->discard = calloc(1, sizeof(*k->discard))) == NULL ||
	    mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no memory or no random numbers");
	mg_uuid_format(&u, k->discard->uuid);
	k->discard->is_left = true;
	k->discard->first = first;
	k->discard->last = mg_ledger_discarded(m->ledger);
	fold_begin(k, k->discard->last);
}

/* ---- leaves ---- */

static void
leaves_written(void *arg, int status)
{
	struct mon_keep *k = arg;

	if (status == 0)
		fold_begin(k, 0);
	else if (k->tries < TRIES_MAX)
		make_leaves(k);
	else
		mg_log(MG_EVT_LEDGER_BAD,
		    "err='the hashes of its lines cannot be made anew: "
		    "modelgate-ledger(5)'");
}

/* mg-keep asks for segments, as readers do. */
static void
keep_frame(void *arg, struct mg_frame *f)
{
	struct mg_query_next_req next;
	struct mon_keep *k = arg;

	if (f->op != MG_MSG_QUERY_NEXT_REQ ||
	    mg_frame_decode(f, &next, sizeof(next)) != MG_ERR_OK ||
	    mon_log_segments(k->m, &k->proc.port, f->id, next.after) !=
		MG_ERR_OK)
		mon_proc_stop(&k->proc);
}

static bool
start(struct mon_keep *k, const char *mode, const char *arg, const int *fds,
    size_t nfds, void (*on_end)(void *arg, int status))
{
	k->proc.on_frame = keep_frame;
	k->proc.on_end = on_end;
	k->proc.arg = k;
	return mon_proc_start(&k->proc, k->m, "mg-keep", mode, arg,
		   MG_ROLE_QUERY, fds, nfds) == MG_ERR_OK;
}

static void
make_leaves(struct mon_keep *k)
{
	uint64_t need = 0;
	char text[24];
	int fds[2];

	if (k->tries++ == TRIES_MAX || mon_proc_is_up(&k->proc))
		return;
	/* The hashes of discarded lines that were kept twice; the second time
	 * those of the old file. */
	if (mg_ledger_leaves_begin(k->m->ledger, k->tries == 1, &fds[0],
		&fds[1], &need) != MG_ERR_OK) {
		leaves_written(k, 1);
		return;
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)need);
	mg_log(MG_EVT_LEDGER, "text='makes the hashes of its lines anew'");
	if (!start(
		k, "leaves", text, fds, fds[1] == -1 ? 1 : 2, leaves_written))
		leaves_written(k, 1);
	if (fds[1] != -1)
		close(fds[1]);
}

static void
fold_good(struct mon_keep *k)
{
	struct mon *m = k->m;

	if (mg_ledger_leaves_are_short(m->ledger)) {
		if (mg_ledger_leaves_done(m->ledger) != MG_ERR_OK) {
			leaves_written(k, 1);
			return;
		}
		mg_log(MG_EVT_LEDGER,
		    "text='the hashes of its lines are whole again'");
	}
	k->leaves_ok = true;
	if (mon_tree_is_due(m))
		mon_hub_tree(m);
	if (k->discard != NULL)
		discard_folded(k);
	else
		finish_discard(k);
	pack_next(k);
}

static void
fold_bad(struct mon_keep *k)
{
	k->leaves_ok = false;
	mg_log(MG_EVT_LEDGER_BAD, "err='the hashes of its lines are wrong'");
	if (k->discard != NULL)
		refuse(k, MG_WHY_INTERNAL,
		    "the hashes of the ledger's lines are not whole");
	mg_ledger_leaves_lose(k->m->ledger);
	make_leaves(k);
}

static void
fold_step(void *arg)
{
	struct mon_keep *k = arg;
	struct mg_ledger *l = k->m->ledger;

	switch ((int)mg_ledger_fold(l, &k->fold, LEAVES_A_STEP)) {
	case MG_ERR_AGAIN:
		mon_timer_set(
		    k->m, &k->step, mg_time_boot_ms() + 1, fold_step, k);
		break;
	case MG_ERR_OK:
		if (!mg_ledger_leaves_are_short(l) &&
		    mg_ledger_spare(l, mg_ledger_discarded(l), LEAVES_A_STEP) ==
			MG_ERR_AGAIN) {
			mon_timer_set(k->m, &k->step, mg_time_boot_ms() + 1,
			    fold_step, k);
			break;
		}
		k->is_folding = false;
		fold_good(k);
		break;
	case MG_ERR_FORMAT:
		k->is_folding = false;
		fold_bad(k);
		break;
	default: /* a full disk: the next round tries again */
		k->is_folding = false;
		k->leaves_ok = false;
		if (k->discard != NULL)
			refuse(k, MG_WHY_INTERNAL,
			    "the hashes of the ledger's lines cannot be "
			    "written");
	}
}

static void
fold_begin(struct mon_keep *k, uint64_t mark_size)
{
	mg_ledger_fold_init(&k->fold, mark_size);
	k->is_folding = true;
	mon_timer_set(k->m, &k->step, mg_time_boot_ms(), fold_step, k);
}

/* Rule 5 */
bool
mon_keep_has_leaves(const struct mon *m)
{
	return m->keep != NULL && m->keep->leaves_ok;
}

/* ---- compressing ---- */

static void
close_files(struct mon_keep *k)
{
	if (k->plain != -1)
		close(k->plain);
	if (k->packed != -1)
		close(k->packed);
	k->plain = k->packed = -1;
}

static void
pack_failed(struct mon_keep *k)
{
	mg_log(MG_EVT_LEDGER_BAD, "file=%s err='cannot be compressed: %s'",
	    k->file.name, strerror(errno));
	close_files(k);
}

/* Rule 1: it is the same. */
static void
pack_checked(void *arg, int status)
{
	struct mon_keep *k = arg;

	if (status != 0 || mg_ledger_pack_done(k->m->ledger, &k->file,
			       k->packed) != MG_ERR_OK) {
		pack_failed(k);
		return;
	}
	mg_log(MG_EVT_LEDGER, "file=%s text='is compressed'", k->file.name);
	close_files(k);
	pack_next(k);
}

static void
pack_written(void *arg, int status)
{
	struct mon_keep *k = arg;
	int fds[2] = {k->plain, k->packed};

	if (status != 0 || lseek(k->plain, 0, SEEK_SET) != 0 ||
	    lseek(k->packed, 0, SEEK_SET) != 0 ||
	    !start(k, "check", NULL, fds, 2, pack_checked))
		pack_failed(k);
}

/* The oldest segment that is to be compressed. */
static bool
find_plain(struct mon_keep *k)
{
	int64_t limit =
	    mg_time_wall_ms() - (int64_t)k->m->conf.hot_days * DAY_MS;
	int dir = mg_ledger_dir(k->m->ledger);
	struct mg_ledger_file *v;
	struct stat st;
	bool found = false;
	size_t n, i;

	if (mg_ledger_list(dir, &v, &n) != MG_ERR_OK)
		return false;
	for (i = 0; i < mg_ledger_keep_from(n) && !found; i++) {
		k->file = v[i];
		found =
		    !v[i].zst &&
		    fstatat(dir, v[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (int64_t)st.st_mtime * 1000 <= limit;
	}
	free(v);
	return found;
}

static void
pack_next(struct mon_keep *k)
{
	struct mg_ledger *l = k->m->ledger;
	int fds[2];

	if (k->m->stopping || mon_proc_is_up(&k->proc) || !find_plain(k))
		return;
	if (mg_ledger_open_file(mg_ledger_dir(l), k->file.name, &k->plain) !=
		MG_ERR_OK ||
	    mg_ledger_pack_new(l, &k->file, &k->packed) != MG_ERR_OK) {
		pack_failed(k);
		return;
	}
	fds[0] = k->plain;
	fds[1] = k->packed;
	if (!start(k, "pack", NULL, fds, 2, pack_written))
		pack_failed(k);
}

/* ---- the process ---- */

static void
on_round(void *arg)
{
	struct mon_keep *k = arg;

	mon_timer_set(
	    k->m, &k->round, mg_time_boot_ms() + ROUND_MS, on_round, k);
	if (k->is_folding)
		return;
	if (k->leaves_ok)
		finish_discard(k);
	else if (!mg_ledger_leaves_are_short(k->m->ledger))
		fold_begin(k, 0);
	pack_next(k);
}

void
mon_keep_look(struct mon *m)
{
	struct mon_keep *k = m->keep;

	if (k != NULL)
		mon_timer_set(m, &k->round, mg_time_boot_ms(), on_round, k);
}

void
mon_keep_init(struct mon *m)
{
	struct mon_keep *k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		mg_fatal("out of memory");
	m->keep = k;
	k->m = m;
	k->plain = k->packed = -1;
	if (mg_ledger_leaves_are_short(m->ledger))
		make_leaves(k);
	else
		fold_begin(k, 0);
	mon_timer_set(m, &k->round, mg_time_boot_ms() + ROUND_MS, on_round, k);
}

void
mon_keep_fini(struct mon *m)
{
	struct mon_keep *k = m->keep;

	if (k == NULL)
		return;
	mg_timer_clear(m->loop, &k->round);
	mg_timer_clear(m->loop, &k->step);
	mon_proc_stop(&k->proc);
	close_files(k);
	discard_free(k);
	free(k);
	m->keep = NULL;
}
