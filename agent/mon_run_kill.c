/* SPDX-License-Identifier: ISC */
/*
 * Ending runs by force: one grant's, all when the agent stops, and those that
 * an earlier agent left behind.
 *
 * Rules
 * 1. The kernel ends what is in the group at once; nobody's turn or answer
 *    is waited for.
 * 2. mg-run may be gone, or not answer: another process of ours ends what is
 *    left then, by group and audit session, again until nothing is.
 * 3. An agent that starts ends what it finds: nobody watches it any more.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon_run.h"

#define GONE_RETRY_MS 200
#define STOP_MS 3000

static int64_t
now_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
mon_run_mark_killed(struct mon_run *run, enum mg_why why)
{
	run->kill_why = why;
	run->killed_us = now_us();
}

uint64_t
mon_run_took_us(const struct mon_run *run)
{
	return run->killed_us == 0 ? 0 : (uint64_t)(now_us() - run->killed_us);
}

static void
sweep_again(void *arg)
{
	mon_run_start_sweep(arg);
}

static void
sweep_ended(void *arg, int status)
{
	struct mon_run *run = arg;

	if (status == 0) {
		mon_run_finish(run, 0, mon_run_took_us(run));
		return;
	}
	mg_log(MG_EVT_ERROR, "req=%s err='processes are left'",
	    run->req == NULL ? "" : run->req->code);
	mon_timer_set(run->m, &run->timer, mg_time_boot_ms() + GONE_RETRY_MS,
	    sweep_again, run);
}

static void
sweep_frame(void *arg, struct mg_frame *f)
{
	(void)arg;
	(void)f;
}

/* Rule 2 */
void
mon_run_start_sweep(struct mon_run *run)
{
	char ses[16];
	int group;
	enum mg_err r;

	if (mon_proc_is_up(&run->sweep))
		return;
	snprintf(ses, sizeof(ses), "%u", run->ses);
	group = mon_cgroup_folder(run->m, run->group);
	run->sweep.on_frame = sweep_frame;
	run->sweep.on_end = sweep_ended;
	run->sweep.arg = run;
	r = mon_proc_start(&run->sweep, run->m, "mg-run", "sweep",
	    run->ses == MG_PROC_UNSET ? "none" : ses, MG_ROLE_RUN, &group,
	    group == -1 ? 0 : 1);
	if (group != -1)
		close(group);
	if (r != MG_ERR_OK)
		mon_timer_set(run->m, &run->timer,
		    mg_time_boot_ms() + GONE_RETRY_MS, sweep_again, run);
}

static void
kill_late(void *arg)
{
	struct mon_run *run = arg;

	mg_log(MG_EVT_ERROR, "req=%s err='the runner does not answer'",
	    run->req == NULL ? "" : run->req->code);
	mon_proc_stop(&run->proc);
	mon_run_write_exit(run, "lost", 0, 0);
	mon_run_start_sweep(run);
}

static void
kill_one(struct mon_run *run, enum mg_why why)
{
	struct mg_run_kill msg = {0};

	if (run->emptied || run->doomed || run->kill_why != MG_WHY_NONE)
		return;
	mon_run_mark_killed(run, why);
	if (run->number == 0) {
		mon_run_give_up(run, why, "");
		return;
	}
	if (!run->going && !run->adopted)
		return; /* run_recorded sees it */
	/* Rule 1 */
	if (run->group[0] != '\0')
		mon_cgroup_kill(run->m, run->group);
	if (run->adopted) {
		mon_run_start_sweep(run);
		return;
	}
	if (!mon_proc_is_up(&run->proc))
		return;
	(void)mon_port_send(&run->proc.port, 0, MG_MSG_RUN_KILL, &msg);
	mon_timer_set(run->m, &run->timer,
	    mg_time_boot_ms() + MON_KILL_DEADLINE_MS, kill_late, run);
}

void
mon_run_kill_all(struct mon *m, struct mg_req *req, enum mg_why why)
{
	struct mon_run *run, *next;

	(void)m;
	for (run = mon_req_rt(req)->runs; run != NULL; run = next) {
		next = run->next;
		kill_one(run, why);
	}
}

/* ---- stopping, and what an earlier agent left behind ---- */

static bool
any_run(struct mon *m)
{
	struct mg_req *req;

	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		if (mon_req_rt(req)->runs != NULL)
			return true;
	for (req = mg_state_ended(m->state); req != NULL; req = req->next)
		if (req->runtime != NULL && mon_req_rt(req)->runs != NULL)
			return true;
	return false;
}

void
mon_run_stop_all(struct mon *m)
{
	int64_t end = mg_time_boot_ms() + STOP_MS;
	struct mg_req *req;

	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		mon_run_kill_all(m, req, MG_WHY_RESTART);
	while (any_run(m) && mg_time_boot_ms() < end)
		mg_loop_once(m->loop, 50);
}

static void
sweep_req(struct mon *m, struct mg_req *req)
{
	struct mon_run *run;
	size_t i;

	for (i = 0; i < MG_RUNS_MAX; i++) {
		const struct mg_run_state *rs = &req->live.runs[i];

		if (rs->run == 0)
			continue;
		run = mon_run_new(m, req);
		run->number = rs->run;
		run->ses = rs->ses;
		run->exited = rs->exited;
		run->going = true;
		mon_run_mark_killed(run, MG_WHY_RESTART);
		mon_run_write_exit(run, "lost", 0, 0);
		mon_run_start_sweep(run);
	}
}

/* Rule 3 */
void
mon_run_sweep(struct mon *m)
{
	struct mg_req *req;

	mon_cgroup_clear(m);
	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		sweep_req(m, req);
	for (req = mg_state_ended(m->state); req != NULL; req = req->next)
		sweep_req(m, req);
}
