/* SPDX-License-Identifier: ISC */
/*
 * A run on record: from what mg-run has prepared to its last process's end.
 *
 * Rules
 * 1. No record, no action: what waits to become the command is told to go
 *    when ledger and audit have the run, and when the grant can still be
 *    used then; others may have used it meanwhile.
 * 2. A run is over when no process of it is left, not when its command
 *    returns; until then the grant's end ends it.
 * 3. mg-run may die: then its processes are ended from here.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mon_run.h"

/* ---- life ---- */

struct mon_run *
mon_run_alloc(struct mon *m)
{
	struct mon_run *run;

	if ((run = calloc(1, sizeof(*run))) == NULL)
		mg_fatal("out of memory");
	run->m = m;
	run->ses = MG_PROC_UNSET;
	run->pty = run->go = run->group_events = -1;
	return run;
}

void
mon_run_attach(struct mon_run *run, struct mg_req *req)
{
	run->req = req;
	run->next = mon_req_rt(req)->runs;
	mon_req_rt(req)->runs = run;
}

struct mon_run *
mon_run_new(struct mon *m, struct mg_req *req)
{
	struct mon_run *run = mon_run_alloc(m);

	mon_run_attach(run, req);
	return run;
}

static void
unlink_run(struct mon_run *run)
{
	struct mon_run **p;

	if (run->req == NULL)
		return;
	p = &mon_req_rt(run->req)->runs;
	while (*p != NULL && *p != run)
		p = &(*p)->next;
	if (*p != NULL)
		*p = run->next;
	run->req = NULL;
}

static void
drop_job(struct mon_run *run)
{
	if (run->job == NULL)
		return;
	run->job->run = NULL;
	mon_job_free(run->job);
	run->job = NULL;
}

void
mon_run_release(struct mon_run *run)
{
	run->doomed = true;
	if (run->busy > 0)
		return;
	drop_job(run);
	unlink_run(run);
	if (run->client != NULL && run->client->run == run)
		run->client->run = NULL;
	mg_timer_clear(run->m->loop, &run->timer);
	mg_watch_del(run->group_watch);
	if (run->group_events != -1)
		close(run->group_events);
	if (run->pty != -1)
		close(run->pty);
	if (run->go != -1)
		close(run->go);
	mon_proc_stop(&run->proc);
	mon_proc_stop(&run->sweep);
	if (run->group[0] != '\0')
		mon_cgroup_remove(run->m, run->group);
	free(run);
}

bool
mon_run_resume(struct mon_run *run)
{
	run->busy--;
	if (!run->doomed)
		return true;
	mon_run_release(run);
	return false;
}

void
mon_run_give_up(struct mon_run *run, enum mg_why why, const char *text)
{
	struct mon_job *job = run->job;

	if (job != NULL)
		mon_reply_refused(job->client, why,
		    run->req == NULL ? "" : run->req->code,
		    run->req == NULL ? "" : run->req->rule, text, "");
	drop_job(run);
	mon_proc_stop(&run->proc);
	mon_run_release(run);
}

/* ---- on record, then go ---- */

/* The run is in the ledger but nothing came of it. */
static void
abort_recorded(struct mon_run *run, enum mg_why why)
{
	const struct mg_req *req = run->req; /* NULL: forgotten meanwhile */
	struct mon_job *job = run->job;

	if (job != NULL)
		mon_reply_refused(job->client, why,
		    req == NULL ? "" : req->code, req == NULL ? "" : req->rule,
		    "", "");
	drop_job(run);
	mon_proc_stop(&run->proc);
	mon_run_write_exit(run, "not-started", 0, 0);
	mon_run_finish(run, 0, 0);
}

static void
run_recorded(void *arg, enum mg_why why)
{
	struct mon_run *run = arg;
	bool in_state;

	run->busy--;
	in_state = run->req != NULL && run->number != 0 &&
		   run->req->live.used >= run->number;
	if (why != MG_WHY_NONE && (why != MG_WHY_AUDIT_FAILED || !in_state)) {
		run->number = 0;
		mon_run_give_up(run, why, "");
		return;
	}
	if (why == MG_WHY_NONE && run->kill_why != MG_WHY_NONE)
		why = run->kill_why;
	if (why == MG_WHY_NONE && run->job->client == NULL)
		why = MG_WHY_CANCELLED;
	/* Rule 1: straight to what waits to become the command. */
	if (why == MG_WHY_NONE && write(run->go, "", 1) != 1)
		why = MG_WHY_INTERNAL;
	if (why != MG_WHY_NONE)
		abort_recorded(run, why);
	else
		run->going = true;
}

static void
run_ready(struct mon_run *run, struct mg_frame *f)
{
	struct mg_run_ready a;
	struct mon_txn *t;
	struct mg_json *j;
	enum mg_why why;

	if (run->job == NULL || run->number != 0 ||
	    mg_frame_decode(f, &a, sizeof(a)) != MG_ERR_OK) {
		mon_proc_stop(&run->proc);
		mon_run_ended(run, -1);
		return;
	}
	if (a.error != 0) {
		char text[400];

		snprintf(text, sizeof(text), "%s: %s", a.text,
		    strerror((int)a.error));
		mon_run_give_up(run, MG_WHY_EXEC_FAILED, text);
		return;
	}
	/* Others may have used the grant while this run was prepared. */
	if ((why = mon_run_usable(run->m, run->req)) != MG_WHY_NONE) {
		mon_run_give_up(run, why, "");
		return;
	}
	run->ses = a.ses;
	if (a.has_pty)
		run->pty = mg_frame_take_fd(run->proc.port.ch, f, 0);
	run->go = mg_frame_take_fd(run->proc.port.ch, f, a.has_pty ? 1 : 0);
	run->number = run->req->live.used + 1;
	t = mon_txn_begin(run->m);
	j = mon_rec_begin(t, "run");
	mg_json_str(j, "uuid", run->req->uuid);
	mg_json_int(j, "run", run->number);
	mg_json_int(j, "run_ses", run->ses);
	mon_rec_end(t);
	run->busy++;
	mon_txn_commit(t, run_recorded, run);
}

static void
run_started(struct mon_run *run, const struct mg_run_started *a)
{
	struct mon_job *job = run->job;
	struct mg_started msg = {
	    .uuid = run->req->uuid, .code = run->req->code, .run = run->number};
	struct mg_exited bad = {.how = MG_EXIT_NO_EXEC, .value = a->error};

	if (job == NULL)
		return;
	run->client = job->client;
	drop_job(run);
	if (a->error != 0) {
		mg_log(MG_EVT_RUN, "req=%s err='%s: %s'", run->req->code,
		    run->req->argv[0], strerror((int)a->error));
		bad.text = strerror((int)a->error);
		if (run->client != NULL) {
			mon_reply(run->client, MG_MSG_EXITED, &bad);
			mon_client_idle(run->client);
		}
		run->client = NULL;
		mon_run_write_exit(run, "no-exec", a->error, 0);
		return;
	}
	mg_log(MG_EVT_RUN, "req=%s run=%u pid=%u ses=%u", run->req->code,
	    run->number, a->pid, run->ses);
	if (run->client == NULL) {
		mon_run_signal(run, SIGHUP);
		return;
	}
	run->client->run = run;
	(void)mon_port_send_fds(&run->client->port, run->client->id,
	    MG_MSG_STARTED, &msg, &run->pty, run->pty == -1 ? 0 : 1);
	if (run->pty != -1)
		close(run->pty);
	run->pty = -1;
}

/* ---- the end of a run ---- */

static void
exit_recorded(void *arg, enum mg_why why)
{
	struct mon_run *run = arg;

	(void)why;
	(void)mon_run_resume(run);
}

/* The command has run; its status does not wait for the record of it. */
static void
tell_exit(struct mon_run *run, const char *how, int64_t value)
{
	struct mg_exited msg = {
	    .how = strcmp(how, "status") == 0	? MG_EXIT_STATUS
		   : strcmp(how, "signal") == 0 ? MG_EXIT_SIGNAL
						: MG_EXIT_FAILED,
	    .value = (uint32_t)value,
	    .text = ""};

	if (run->client == NULL)
		return;
	if (run->kill_why != MG_WHY_NONE) {
		msg.how = MG_EXIT_ENDED;
		msg.text = mg_why_sentence(run->kill_why);
	}
	run->client->run = NULL;
	mon_reply(run->client, MG_MSG_EXITED, &msg);
	mon_client_idle(run->client);
	run->client = NULL;
}

void
mon_run_write_exit(
    struct mon_run *run, const char *how, int64_t value, uint32_t left)
{
	struct mon_txn *t;
	struct mg_json *j;

	if (run->exited || run->req == NULL || run->number == 0)
		return;
	run->exited = true;
	run->alone = left == 0 && strcmp(how, "lost") != 0;
	tell_exit(run, how, value);
	t = mon_txn_begin(run->m);
	j = mon_rec_begin(t, "exit");
	mg_json_str(j, "uuid", run->req->uuid);
	mg_json_int(j, "run", run->number);
	mg_json_str(j, "how", how);
	mg_json_int(j, "value", value);
	mg_json_int(j, "left", left);
	mon_rec_end(t);
	if (strcmp(how, "status") == 0 && value == 0 &&
	    run->kill_why == MG_WHY_NONE)
		mon_model_changed(run->m, t, run->req);
	mg_log(MG_EVT_EXIT, "req=%s run=%u how=%s value=%lld left=%u",
	    run->req->code, run->number, how, (long long)value, left);
	run->busy++;
	mon_txn_commit(t, exit_recorded, run);
}

static void
empty_recorded(void *arg, enum mg_why why)
{
	struct mon_run *run = arg;
	struct mon *m = run->m;
	struct mg_req *req = run->req;

	(void)why;
	run->busy--;
	mon_run_release(run);
	mon_run_prepare(m);
	if (req != NULL && req->live.state == MG_REQ_GRANTED &&
	    req->uses != 0 && req->live.used >= req->uses &&
	    req->live.nruns == 0)
		mon_req_end(m, req, MG_REQ_USED, MG_WHY_USED, req->user);
}

/* Rule 2 */
void
mon_run_finish(struct mon_run *run, uint32_t killed, uint64_t took_us)
{
	struct mon_txn *t;
	struct mg_json *j;

	if (run->emptied)
		return;
	run->emptied = true;
	mg_timer_clear(run->m->loop, &run->timer);
	if (run->req == NULL || run->number == 0) {
		mon_run_release(run);
		return;
	}
	t = mon_txn_begin(run->m);
	j = mon_rec_begin(t, "empty");
	mg_json_str(j, "uuid", run->req->uuid);
	mg_json_int(j, "run", run->number);
	if (run->kill_why != MG_WHY_NONE) {
		mg_json_str(j, "why", mg_why_word(run->kill_why));
		mg_json_int(j, "killed", killed);
		mg_json_int(j, "took_us", (int64_t)took_us);
	}
	mon_rec_end(t);
	run->busy++;
	mon_txn_commit(t, empty_recorded, run);
}

void
mon_run_frame(void *arg, struct mg_frame *f)
{
	struct mon_run *run = arg;
	union {
		struct mg_run_started started;
		struct mg_run_stopped stopped;
		struct mg_run_exited exited;
		struct mg_run_empty empty;
	} a;

	switch ((int)f->op) {
	case MG_MSG_RUN_READY:
		run_ready(run, f);
		return;
	case MG_MSG_RUN_STARTED:
		if (mg_frame_decode(f, &a.started, sizeof(a.started)) ==
			MG_ERR_OK &&
		    run->going)
			run_started(run, &a.started);
		return;
	case MG_MSG_RUN_STOPPED:
		if (mg_frame_decode(f, &a.stopped, sizeof(a.stopped)) ==
			MG_ERR_OK &&
		    run->client != NULL) {
			struct mg_stopped msg = {.signo = a.stopped.signo};

			mon_reply(run->client, MG_MSG_STOPPED, &msg);
		}
		return;
	case MG_MSG_RUN_EXITED:
		if (mg_frame_decode(f, &a.exited, sizeof(a.exited)) ==
			MG_ERR_OK &&
		    run->going)
			mon_run_write_exit(run,
			    a.exited.signaled ? "signal" : "status",
			    a.exited.value, a.exited.left);
		return;
	case MG_MSG_RUN_EMPTY:
		if (mg_frame_decode(f, &a.empty, sizeof(a.empty)) != MG_ERR_OK)
			return;
		if (!run->going) { /* it ended while it waited to begin */
			mon_run_ended(run, -1);
			return;
		}
		mon_run_write_exit(run, "not-started", 0, 0);
		mon_run_finish(run, a.empty.killed, a.empty.took_us);
		return;
	default:
		return;
	}
}

/* Rule 3 */
void
mon_run_ended(void *arg, int status)
{
	struct mon_run *run = arg;

	(void)status;
	if (run == run->m->spare_run) {
		run->m->spare_run = NULL;
		mon_run_release(run);
		return;
	}
	if (run->emptied)
		return;
	if (run->number == 0 || (run->busy > 0 && !run->going)) {
		if (run->number == 0)
			mon_run_give_up(
			    run, MG_WHY_INTERNAL, "the runner ended");
		else
			run->kill_why = MG_WHY_INTERNAL; /* run_recorded */
		return;
	}
	if (run->kill_why == MG_WHY_NONE)
		mon_run_mark_killed(run, MG_WHY_INTERNAL);
	mon_run_write_exit(run, "lost", 0, 0);
	mon_run_start_sweep(run);
}

bool
mon_run_is_over(struct mg_req *req)
{
	const struct mon_run *run = mon_req_rt(req)->runs;

	if (run == NULL || req->uses == 0 || req->live.used < req->uses)
		return false;
	for (; run != NULL; run = run->next) {
		if (!run->emptied && !run->alone)
			return false;
	}
	return true;
}

void
mon_run_signal(struct mon_run *run, uint32_t signo)
{
	struct mg_run_signal msg = {.signo = signo};

	if (run->going && mon_proc_is_up(&run->proc))
		(void)mon_port_send(
		    &run->proc.port, 0, MG_MSG_RUN_SIGNAL, &msg);
}

void
mon_run_client_gone(struct mon_run *run)
{
	run->client = NULL;
	mon_run_signal(run, SIGHUP);
}

void
mon_run_req_gone(struct mon_req_rt *rt)
{
	struct mon_run *run;

	while ((run = rt->runs) != NULL) {
		rt->runs = run->next;
		run->req = NULL;
	}
}
