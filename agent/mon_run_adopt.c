/* SPDX-License-Identifier: ISC */
/*
 * Runs of what PAM let in under a grant: they have a group, but no mg-run.
 *
 * Rules
 * 1. The process is in its group before PAM lets it in: all that it starts
 *    is there as well, and the grant's end ends it.
 * 2. What is let in without a record goes.
 */
#include <sys/epoll.h>

#include "mon_run.h"

static void
adopted_event(void *arg, uint32_t events)
{
	struct mon_run *run = arg;

	(void)events;
	if (mon_cgroup_is_populated(run->m, run->group))
		return;
	mg_watch_del(run->group_watch);
	run->group_watch = NULL;
	mon_run_write_exit(run, "session", 0, 0);
	mon_run_finish(run, 0, mon_run_took_us(run));
}

static void
adopt_recorded(void *arg, enum mg_why why)
{
	struct mon_run *run = arg;

	run->busy--;
	if (why == MG_WHY_NONE) {
		run->going = true;
		adopted_event(run, 0); /* it may be gone already */
		return;
	}
	/* Rule 2 */
	mon_cgroup_kill(run->m, run->group);
	if (run->req != NULL && run->req->live.used >= run->number &&
	    why == MG_WHY_AUDIT_FAILED) {
		mon_run_mark_killed(run, why);
		mon_run_write_exit(run, "not-started", 0, 0);
		mon_run_start_sweep(run);
		return;
	}
	run->number = 0;
	mon_run_release(run);
}

enum mg_err
mon_run_adopt(
    struct mon *m, struct mg_req *req, const struct mg_peer *peer, uint32_t ses)
{
	struct mon_run *run;
	struct mon_txn *t;
	struct mg_json *j;

	run = mon_run_new(m, req);
	run->adopted = true;
	run->pid = peer->pid;
	run->start = peer->start;
	run->ses = ses;
	/* Rule 1 */
	mon_cgroup_make(m, req->code, run->group);
	if (run->group[0] == '\0' ||
	    !mon_cgroup_add(m, run->group, peer->pid) ||
	    (run->group_events = mon_cgroup_events(m, run->group)) == -1 ||
	    mg_watch_add(m->loop, run->group_events, EPOLLPRI, adopted_event,
		run, &run->group_watch) != MG_ERR_OK) {
		mon_run_release(run);
		return MG_ERR_SYS;
	}
	run->number = req->live.used + 1;
	t = mon_txn_begin(m);
	j = mon_rec_begin(t, "run");
	mg_json_str(j, "uuid", req->uuid);
	mg_json_int(j, "run", run->number);
	mg_json_int(j, "run_ses", ses);
	mon_rec_end(t);
	run->busy++;
	mon_txn_commit(t, adopt_recorded, run);
	return MG_ERR_OK;
}

struct mg_req *
mon_run_holder(struct mon *m, uint32_t uid, const struct mg_peer *peer)
{
	const struct mon_run *run;
	struct mg_req *req;

	for (req = mg_state_own_granted(m->state, uid); req != NULL;
	     req = req->own.next)
		for (run = mon_req_rt(req)->runs; run != NULL; run = run->next)
			if (run->adopted && run->kill_why == MG_WHY_NONE &&
			    run->pid == peer->pid && run->start == peer->start)
				return req;
	return NULL;
}
