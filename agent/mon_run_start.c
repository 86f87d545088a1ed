/* SPDX-License-Identifier: ISC */
/*
 * Starting the command of a grant: what is checked before, what mg-run is
 * told, and the mg-run that waits for it.
 *
 * Rules
 * 1. Between the approval and the exec stand, in this order: who people are
 *    now, what the policy says now, the artifact's digest now; then the
 *    record (mon_run.c). What was true when it was asked may not be now.
 * 2. The command begins in the run's cgroup (where there is cgroup v2) and
 *    in its audit session; both survive fork, setsid and exec, and a process
 *    without privileges can leave neither.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon_run.h"

#define ENV_MAX 16
#define SPARE_AFTER_MS 20

/* ---- what is known at the moment of use ---- */

enum mg_why
mon_run_usable(struct mon *m, const struct mg_req *req)
{
	if (req->live.state != MG_REQ_GRANTED)
		return req->live.why != MG_WHY_NONE ? req->live.why
						    : MG_WHY_WRONG_STATE;
	if (req->live.ends_bt <= mg_time_boot_ms())
		return MG_WHY_EXPIRED;
	if (req->uses != 0 && req->live.used >= req->uses)
		return MG_WHY_USED;
	if (req->live.nruns >= MG_RUNS_MAX)
		return MG_WHY_LIMIT;
	return mon_req_recheck(m, req);
}

/* ---- the spec ---- */

/* Where the command finds the artifact. */
static const char *
artifact_of(const struct mon_run *run, char *store, size_t size)
{
	if (mon_req_is_bound(run->m, run->req) &&
	    mon_store_path(run->req->digest, store, size))
		return store;
	return run->req->artifact;
}

static size_t
make_env(struct mon_run *run, const struct mon_person *p,
    char text[ENV_MAX][1200], const char **out)
{
	const struct mg_req *req = run->req;
	char store[sizeof(MON_STORE_DIR) + MON_COPY_NAME];
	const struct {
		const char *name, *value;
	} v[] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
			  "/sbin:/bin"},
	    {"HOME", p->home}, {"SHELL", p->shell}, {"USER", p->name},
	    {"LOGNAME", p->name}, {"LANG", "C.UTF-8"}, {"TERM", run->job->term},
	    {"MODELGATE_REQUEST", req->uuid}, {"MODELGATE_USER", req->user},
	    {"MODELGATE_OPERATION", req->operation},
	    {"MODELGATE_MODEL", req->model},
	    {"MODELGATE_VERSION", req->version},
	    {"MODELGATE_ARTIFACT", artifact_of(run, store, sizeof(store))},
	    {"MODELGATE_DIGEST", req->digest}};
	size_t n = 0, i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (v[i].value[0] == '\0')
			continue;
		snprintf(
		    text[n], sizeof(text[n]), "%s=%s", v[i].name, v[i].value);
		out[n] = text[n];
		n++;
	}
	return n;
}

static size_t
put_gids(const struct mon_person *p, uint8_t *out, size_t max)
{
	size_t i;

	for (i = 0; i < p->ngids && 4 * (i + 1) <= max; i++) {
		out[4 * i] = (uint8_t)(p->gids[i] >> 24);
		out[4 * i + 1] = (uint8_t)(p->gids[i] >> 16);
		out[4 * i + 2] = (uint8_t)(p->gids[i] >> 8);
		out[4 * i + 3] = (uint8_t)p->gids[i];
	}
	return 4 * i;
}

/* The descriptors that go with the spec: the bag of the caller's (mg_bag.h),
 * then the cgroup. False when the caller sent none, and some are needed. */
static bool
collect_fds(struct mon_run *run, int fds[2], size_t *np, int *groupp)
{
	*np = 0;
	*groupp = -1;
	if (run->job->tty_mask != MG_RUN_ALL_TTY) {
		if (run->job->client->fd == -1)
			return false;
		fds[(*np)++] = run->job->client->fd;
	}
	/* Rule 2 */
	*groupp = mon_cgroup_folder(run->m, run->group);
	if (*groupp != -1)
		fds[(*np)++] = *groupp;
	return true;
}

static void
fill_spec(
    struct mon_run *run, const struct mon_person *p, struct mg_run_spec *spec)
{
	/* Encoded before this is called again. */
	static char text[ENV_MAX][1200];
	static uint8_t gids[65536];
	const struct mg_req *req = run->req;
	size_t i;

	spec->uuid = req->uuid;
	for (i = 0; i < req->argc; i++)
		spec->argv[i] = req->argv[i];
	spec->argv_n = req->argc;
	spec->env_n = make_env(run, p, text, spec->env);
	spec->cwd = req->cwd;
	spec->user = p->name;
	spec->uid = p->uid;
	spec->gid = p->gid;
	spec->gids = gids;
	spec->gids_len = put_gids(p, gids, sizeof(gids));
	spec->loginuid = req->uid;
	spec->tty_mask = run->job->tty_mask;
	spec->rows = run->job->rows;
	spec->cols = run->job->cols;
}

static void
send_spec(struct mon_run *run)
{
	const struct mon_person *p;
	struct mg_run_spec spec = {0};
	int fds[2], group;
	size_t n;
	enum mg_err r;

	p = mon_person_by_name(run->m, run->req->run_as);
	if (p == NULL || p->ngids > 16384) {
		mon_run_give_up(run, MG_WHY_UNKNOWN_USER,
		    "the account that the command runs as is not known here");
		return;
	}
	mon_cgroup_make(run->m, run->req->code, run->group);
	if (!collect_fds(run, fds, &n, &group)) {
		mon_run_give_up(run, MG_WHY_BAD_REQUEST,
		    "a descriptor for the command is missing");
		return;
	}
	fill_spec(run, p, &spec);
	spec.has_cgroup = group != -1;
	r = mon_port_send_fds(
	    &run->proc.port, 1, MG_MSG_RUN_SPEC, &spec, fds, n);
	if (group != -1)
		close(group);
	if (r != MG_ERR_OK)
		mon_run_give_up(
		    run, MG_WHY_INTERNAL, "the runner cannot be reached");
}

/* ---- starting ---- */

static void
digest_checked(struct mon_job *job, bool ok, const char *text)
{
	struct mon_run *run = job->run;
	struct mon *m = run->m;
	struct mg_req *req = run->req;
	enum mg_why why = MG_WHY_ARTIFACT_MISSING;
	bool same = req != NULL && strcmp(job->digest, req->digest) == 0;
	char full[1024];

	if (req == NULL || job->client == NULL) {
		mon_run_give_up(run, MG_WHY_INTERNAL, "");
		return;
	}
	if (ok && same) {
		send_spec(run);
		return;
	}
	if (!same && job->digest[0] != '\0') {
		snprintf(full, sizeof(full),
		    "artifact %s is %s now, %s was approved", req->artifact,
		    job->digest, req->digest);
		why = MG_WHY_ARTIFACT_CHANGED;
	} else {
		snprintf(
		    full, sizeof(full), "artifact %s: %s", req->artifact, text);
		if (job->is_unsigned)
			why = MG_WHY_ARTIFACT_UNSIGNED;
	}
	mon_run_give_up(run, why, full);
	/* What was approved is not there any more: nothing to use it on. What
	 * could not be read may be there again. */
	if (why != MG_WHY_ARTIFACT_MISSING)
		mon_req_end(m, req, MG_REQ_REVOKED, why, "");
}

/* What is served is a copy where the command can name one, and else the
 * source, of which only its owner's word says that it stays as it is. */
static void
check_artifact(struct mon_run *run)
{
	struct mon_job *job = run->job;
	struct mg_req *req = run->req;
	struct mg_verdict v;
	char why[512];

	if (!mon_req_today(run->m, req, &v))
		mon_run_give_up(run, MG_WHY_POLICY_CHANGED, "");
	else if (!mon_job_signers(job, &v, why, sizeof(why)))
		mon_run_give_up(run, MG_WHY_ARTIFACT_UNSIGNED, why);
	else if (mon_req_is_bound(run->m, req)) {
		if (mg_effect_from_word(req->effect) == MG_EFFECT_NONE)
			mon_prune_hold(run->m, req->digest);
		mon_job_bind(job, req->artifact, req->digest, digest_checked);
	} else
		mon_job_digest(job, req->artifact, digest_checked);
}

static void
run_checked(void *arg)
{
	struct mon_run *run = arg;
	enum mg_why why;

	if (!mon_run_resume(run))
		return;
	if (run->req == NULL || run->job->client == NULL ||
	    !mon_proc_is_up(&run->proc)) {
		mon_run_give_up(run, MG_WHY_INTERNAL, "");
		return;
	}
	if ((why = mon_run_usable(run->m, run->req)) !=
	    MG_WHY_NONE) /* Rule 1 */
		mon_run_give_up(run, why, "");
	else if (run->req->digest[0] != '\0')
		check_artifact(run);
	else
		send_spec(run);
}

static enum mg_err
start_runner(struct mon_run *run)
{
	run->proc.on_frame = mon_run_frame;
	run->proc.on_end = mon_run_ended;
	run->proc.arg = run;
	return mon_proc_start(
	    &run->proc, run->m, "mg-run", NULL, NULL, MG_ROLE_RUN, NULL, 0);
}

/* One mg-run waits for work, so that the next command does not wait for an
 * exec of ours. It knows nothing yet and has nothing. It is started when a
 * run is over, or has lasted for a moment: not while a client waits. */
void
mon_run_prepare(struct mon *m)
{
	if (m->spare_run != NULL || m->stopping)
		return;
	m->spare_run = mon_run_alloc(m);
	if (start_runner(m->spare_run) == MG_ERR_OK)
		return;
	mon_run_release(m->spare_run);
	m->spare_run = NULL;
}

static void
prepare_now(void *arg)
{
	mon_run_prepare(arg);
}

void
mon_run_start(struct mon_job *job, struct mg_req *req)
{
	const char *names[MG_APPROVALS_MAX + 2];
	struct mon *m = job->m;
	struct mon_run *run;
	size_t n;

	mon_run_prepare(m);
	if ((run = m->spare_run) == NULL) {
		mon_reply_refused(job->client, MG_WHY_INTERNAL, req->code, "",
		    "the runner cannot be started", "");
		mon_job_free(job);
		return;
	}
	m->spare_run = NULL;
	mon_timer_set(m, &m->spare_timer, mg_time_boot_ms() + SPARE_AFTER_MS,
	    prepare_now, m);
	mon_run_attach(run, req);
	run->job = job;
	job->run = run;
	job->req = NULL; /* the run holds it from here on */
	mon_req_fetch_names(m, req, names, &n);
	run->busy++;
	if (mon_people_fetch(m, names, n, MG_PROC_UNSET, run_checked, run) ==
	    MG_ERR_OK)
		return;
	run->busy--;
	mon_run_give_up(run, MG_WHY_INTERNAL, "");
}
