/* SPDX-License-Identifier: ISC */
/*
 * Whether approvers can be reached at all, as this host finds out itself.
 *
 * Rules
 * 1. Only mg-probe says so. What mg-link or the hub say never makes an
 *    outage: whoever had taken one of them over could do without approvals.
 * 2. An outage is several probes in a row, over the configured time, that
 *    the network itself answered with "no". One answer, or one probe that
 *    could not tell, begins the count anew.
 * 3. It is on record before it counts, and its end as well. It is not kept
 *    over a restart: the agent finds out again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"

#define PROBES_MIN 3
#define EVERY_MS 60000	      /* while all is well */
#define EVERY_FAILING_MS 5000 /* and at least PROBES_MIN in the time */
#define LATE_MS 30000	      /* a probe takes at most so long */

struct mon_outage {
	struct mon *m;
	struct mon_proc proc;
	struct mg_timer next, late;
	char port[8];
	bool heard;	  /* this probe said something */
	unsigned failed;  /* in a row */
	int64_t since_bt; /* the first of them began */
	int64_t since_ms;
	bool down;    /* on record */
	bool telling; /* a record is being committed */
	char text[256];
};

static void start(void *arg);

bool
mon_outage_is_down(const struct mon *m)
{
	return m->outage != NULL && m->outage->down &&
	       m->conf.hub_address[0] != '\0';
}

void
mon_outage_text(const struct mon *m, char *out, size_t size)
{
	char since[MG_TIME_STR];

	out[0] = '\0';
	if (!mon_outage_is_down(m))
		return;
	mg_time_format(m->outage->since_ms, since);
	snprintf(out, size, "the hub does not answer since %s (%s)", since,
	    m->outage->text);
}

static int64_t
failing_interval(const struct mon *m)
{
	int64_t ms = m->conf.hub_down_after_ms / PROBES_MIN;

	return ms < EVERY_FAILING_MS ? ms : EVERY_FAILING_MS;
}

static void
again(struct mon_outage *o)
{
	int64_t ms =
	    o->failed > 0 || o->down ? failing_interval(o->m) : EVERY_MS;

	mon_timer_set(o->m, &o->next, mg_time_boot_ms() + ms, start, o);
}

/* Rule 3 */
static void
recorded(void *arg, enum mg_why why)
{
	struct mon_outage *o = arg;

	o->telling = false;
	if (why != MG_WHY_NONE)
		return; /* the next probe tries again */
	o->down = !o->down;
	mg_log(MG_EVT_OUTAGE, "down=%d text='%s'", o->down, o->text);
	mon_req_reconsider(o->m);
}

static void
record(struct mon_outage *o)
{
	struct mon_txn *t = mon_txn_begin(o->m);
	struct mg_json *j = mon_rec_begin(t, "outage");
	struct mg_uuid u;
	char uuid[MG_UUID_STR];

	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, uuid);
	mg_json_str(j, "uuid", uuid);
	mg_json_bool(j, "down", !o->down);
	mg_json_int(j, "since_ms", o->since_ms);
	mg_json_int(j, "probes", o->failed);
	mg_json_str(j, "text", o->down ? "" : o->text);
	mon_rec_end(t);
	o->telling = true;
	mon_txn_commit(t, recorded, o);
}

/* Rule 2 */
static void
answered(struct mon_outage *o, bool up, const char *text)
{
	if (up) {
		o->failed = 0;
		if (o->down && !o->telling)
			record(o);
		return;
	}
	if (o->failed++ == 0 && !o->down) {
		o->since_bt = mg_time_boot_ms();
		o->since_ms = mg_time_wall_ms();
	}
	snprintf(o->text, sizeof(o->text), "%s", text);
	if (!o->down && !o->telling && o->failed >= PROBES_MIN &&
	    mg_time_boot_ms() - o->since_bt >= o->m->conf.hub_down_after_ms)
		record(o);
}

static void
probe_frame(void *arg, struct mg_frame *f)
{
	struct mon_outage *o = arg;
	struct mg_link_status s;

	if (f->op != MG_MSG_LINK_STATUS || o->heard ||
	    mg_frame_decode(f, &s, sizeof(s)) != MG_ERR_OK)
		return;
	o->heard = true;
	answered(o, s.up, s.text);
}

static void
probe_ended(void *arg, int status)
{
	struct mon_outage *o = arg;

	(void)status;
	mg_timer_clear(o->m->loop, &o->late);
	if (!o->heard)
		o->failed = 0; /* Rule 2 */
	again(o);
}

static void
probe_late(void *arg)
{
	struct mon_outage *o = arg;

	mon_proc_stop(&o->proc);
	o->heard = false;
	probe_ended(o, -1);
}

static void
start(void *arg)
{
	struct mon_outage *o = arg;
	struct mon *m = o->m;

	if (m->stopping || m->conf.hub_address[0] == '\0' ||
	    mon_proc_is_up(&o->proc))
		return;
	o->heard = false;
	o->proc.on_frame = probe_frame;
	o->proc.on_end = probe_ended;
	o->proc.arg = o;
	snprintf(o->port, sizeof(o->port), "%u", m->conf.hub_port);
	if (mon_proc_start(&o->proc, m, "mg-probe", m->conf.hub_address,
		o->port, MG_ROLE_LINK, NULL, 0) != MG_ERR_OK) {
		probe_ended(o, -1);
		return;
	}
	mon_timer_set(m, &o->late, mg_time_boot_ms() + LATE_MS, probe_late, o);
}

void
mon_outage_init(struct mon *m)
{
	if (m->outage == NULL) {
		if ((m->outage = calloc(1, sizeof(*m->outage))) == NULL)
			mg_fatal("out of memory");
		m->outage->m = m;
	}
	/* After a reload it may be another hub. */
	if (m->outage->down)
		m->outage->failed = 0;
	mon_outage_look(m);
}

void
mon_outage_look(struct mon *m)
{
	if (m->outage != NULL && !mon_proc_is_up(&m->outage->proc))
		mon_timer_set(
		    m, &m->outage->next, mg_time_boot_ms(), start, m->outage);
}

void
mon_outage_fini(struct mon *m)
{
	if (m->outage == NULL)
		return;
	mg_timer_clear(m->loop, &m->outage->next);
	mg_timer_clear(m->loop, &m->outage->late);
	mon_proc_stop(&m->outage->proc);
	free(m->outage);
	m->outage = NULL;
}

/* ---- going without approvals ---- */

static void
refuse(
    struct mon_waive *w, enum mg_why why, const char *text, const char *remedy)
{
	w->why = why;
	snprintf(w->text, sizeof(w->text), "%s", text);
	snprintf(w->remedy, sizeof(w->remedy), "%s", remedy);
}

static void
judge_glass(struct mon *m, const struct mg_verdict *v, const char *reason,
    struct mon_waive *w)
{
	const struct mg_req *last = mg_state_unreviewed(m->state);
	unsigned tokens = v->break_glass_tokens;
	char text[200];

	if (!v->break_glass) {
		refuse(w, MG_WHY_GLASS,
		    "the rules do not let you do without the approvals", "");
	} else if (reason[0] == '\0') {
		refuse(w, MG_WHY_GLASS, "breaking the glass takes a reason",
		    "--reason TEXT");
	} else if (last != NULL) {
		snprintf(text, sizeof(text),
		    "the last use, %s by %s, has not been reviewed", last->code,
		    last->user);
		refuse(w, MG_WHY_GLASS, text,
		    "have it reviewed: modelgate approve, by one of each "
		    "role that the rule names");
	} else if (!v->break_glass_always && !mon_outage_is_down(m)) {
		refuse(w, MG_WHY_GLASS,
		    "the hub answers, so approvers can be asked",
		    "the same without --break-glass");
	} else if (tokens > 0 && mon_tokens_left(m, tokens) == 0) {
		snprintf(text, sizeof(text),
		    "it takes %u token%s of one set, and no such set is left",
		    tokens, tokens == 1 ? "" : "s");
		refuse(w, MG_WHY_GLASS, text,
		    "root makes sets, beforehand: modelgate tokens make");
	} else {
		w->waive = "break-glass";
	}
}

void
mon_outage_judge(struct mon *m, const struct mg_verdict *v, bool break_glass,
    const char *reason, const char *model, const char *version,
    const char *digest, struct mon_waive *w)
{
	char text[400];

	memset(w, 0, sizeof(*w));
	w->waive = "";
	if (v->nslots == 0)
		return; /* there is nothing to do without */
	if (break_glass) {
		judge_glass(m, v, reason, w);
		return;
	}
	if (!mon_outage_is_down(m) || (v->served_before && digest[0] == '\0'))
		return;
	if (v->served_before &&
	    mg_state_was_served(m->state, model, version, digest)) {
		w->waive = "served-before";
		return;
	}
	mon_outage_text(m, text, sizeof(text));
	refuse(w, MG_WHY_HUB_DOWN, text,
	    v->break_glass ? "bring the hub back, or --break-glass"
	    : v->served_before
		? "bring the hub back; only a version that ran here before, "
		  "approved and unchanged, goes without approvers"
		: "bring the hub back: these rules do not go without "
		  "approvers");
}

bool
mon_outage_waives(
    struct mon *m, const struct mg_req *req, const struct mg_verdict *v)
{
	bool held = req->live.waived; /* granted so: it stays, hub or not */
	const struct mg_req *open;

	if (!req->live.mfa_done)
		return false;
	if (strcmp(req->waive, "break-glass") != 0)
		return v->served_before && (held || mon_outage_is_down(m)) &&
		       mg_state_was_served(
			   m->state, req->model, req->version, req->digest);
	open = mg_state_unreviewed(m->state);
	return v->break_glass && (open == NULL || open == req) &&
	       req->live.tokens >= v->break_glass_tokens &&
	       (held || v->break_glass_always || mon_outage_is_down(m));
}
