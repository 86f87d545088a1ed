/* SPDX-License-Identifier: ISC */
/*
 * A wall clock that is set while the agent runs.
 *
 * Rules
 * 1. No deadline looks at the wall clock; but codes, windows of time and the
 *    validity of keys do, and records bear it. So that it jumped is on
 *    record, together with the first that is decided by the new time.
 * 2. A clock that is slewed, or a leap second, is none that was set.
 */
#include "mon.h"
#include "mg_id.h"
#include "mg_time.h"

#define STEP_MIN_MS 1000 /* more than that: Rule 2 */
#define READING_MAX_MS 100

/* Wall time at boot; false when the two clocks were not read at once. */
static bool
read_gap(int64_t *gapp)
{
	int64_t before = mg_time_boot_ms();
	int64_t wall = mg_time_wall_ms();
	int64_t after = mg_time_boot_ms();

	*gapp = wall - after;
	return after - before <= READING_MAX_MS;
}

static void
recorded(void *arg, enum mg_why why)
{
	struct mon *m = arg;

	m->clock_telling = false;
	if (why == MG_WHY_NONE)
		m->clock_gap_ms += m->clock_by_ms;
	/* else the next look tells it */
}

static void
record(struct mon *m)
{
	char uuid[MG_UUID_STR];
	struct mg_uuid u;
	struct mg_json *j;
	struct mon_txn *t;

	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, uuid);
	mg_log(MG_EVT_CLOCK, "by-ms=%lld", (long long)m->clock_by_ms);
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "clock");
	mg_json_str(j, "uuid", uuid);
	mg_json_int(j, "by_ms", m->clock_by_ms);
	mon_rec_end(t);
	m->clock_telling = true;
	mon_txn_commit(t, recorded, m);
}

void
mon_clock_init(struct mon *m)
{
	while (!read_gap(&m->clock_gap_ms))
		continue;
}

void
mon_clock_look(struct mon *m)
{
	int64_t gap;

	if (m->clock_telling || m->ledger_failing ||
	    (!m->audit_ok && !m->conf.audit_optional) || !read_gap(&gap))
		return;
	m->clock_by_ms = gap - m->clock_gap_ms;
	if (m->clock_by_ms > STEP_MIN_MS || m->clock_by_ms < -STEP_MIN_MS)
		record(m);
}
