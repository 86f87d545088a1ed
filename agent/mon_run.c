/* SPDX-License-Identifier: ISC */
/*
 * Runs: starting the command of a grant, and ending all that it became.
 *
 * Rules
 * 1. Between the approval and the exec stand, in this order: who people are
 *    now, what the policy says now, the artifact's digest now, the record.
 * 2. Every process of a run is in its cgroup (where there is cgroup v2) and
 *    in its audit session; both survive fork, setsid and exec, and a process
 *    without privileges can leave neither.
 * 3. A run is over when no process of it is left, not when its command
 *    returns; until then the grant's end ends it.
 * 4. mg-run may die: then its processes are ended from here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define ENV_MAX 16
#define GONE_RETRY_MS 200
#define STOP_MS 3000
#define SPARE_AFTER_MS 20
#define OLD_GROUP_TRIES 150

struct mon_run {
	struct mon *m;
	struct mg_req *req;	   /* NULL: forgotten by the state */
	struct mon_job *job;	   /* until the client was told that it runs */
	struct mon_client *client; /* then this one, until the exit */
	struct mon_proc proc;
	struct mon_proc sweep; /* when mg-run is gone before its processes */
	uint32_t number;       /* within the grant; 0: not on record yet */
	uint32_t ses;
	int pty;	/* master, on its way to the client */
	int go;		/* a byte into it starts the command; -1: none */
	char group[64]; /* name of its cgroup; "": none */
	int group_events;
	struct mg_watch *group_watch;
	unsigned busy; /* callbacks to come that hold this run */
	bool going;    /* mg-run was told to start the command */
	bool exited;   /* "exit" is written */
	bool alone;    /* the command left no process behind */
	bool adopted;  /* what PAM let in: there is no mg-run */
	pid_t pid;     /* of it, which PAM asked for */
	uint64_t start;
	bool emptied;	      /* "empty" is written */
	bool doomed;	      /* free it when nothing holds it any more */
	enum mg_why kill_why; /* NONE: not killed */
	int64_t killed_us;
	struct mg_timer timer;
	struct mon_run *next;
};

/* ---- cgroups ---- */

/* The folder of this process's own group below the root of cgroup2. */
static int
own_group(int root)
{
	char text[4096], *p, *nl;
	ssize_t n;
	int fd;

	if ((fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* The line of v2 is "0::/path". */
	if (strncmp(text, "0::/", 4) == 0)
		p = text + 4;
	else if ((p = strstr(text, "\n0::/")) != NULL)
		p += 5;
	else
		return -1;
	if ((nl = strchr(p, '\n')) != NULL)
		*nl = '\0';
	return openat(
	    root, p[0] == '\0' ? "." : p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* cgroup2 wherever it is mounted, or through a mount of our own that no
 * folder shows (hosts that still run v1). */
static int
cgroup_root(void)
{
	struct statfs sfs;
	int fs, fd;

	fd = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1 && fstatfs(fd, &sfs) == 0 &&
	    sfs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	if (fd != -1)
		close(fd);
	fs = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC);
	if (fs == -1)
		return -1;
	fd = -1;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return fd;
}

enum mg_err
mon_cgroup_init(struct mon *m)
{
	int root, own;

	m->cgroup = -1;
	if ((root = cgroup_root()) == -1) {
		mg_log(MG_EVT_CONFIG,
		    "cgroup=none text='runs are ended by audit session'");
		return MG_ERR_OK;
	}
	own = own_group(root);
	close(root);
	if (own == -1)
		return MG_ERR_OK;
	if (mkdirat(own, "modelgate", 0755) != 0 && errno != EEXIST) {
		close(own);
		return MG_ERR_OK;
	}
	m->cgroup =
	    openat(own, "modelgate", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(own);
	return MG_ERR_OK;
}

static int
group_open(struct mon *m, const char *group, const char *file, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return openat(m->cgroup, path, flags | O_CLOEXEC);
}

static bool
group_write(
    struct mon *m, const char *group, const char *file, const char *text)
{
	ssize_t n;
	int fd;

	if ((fd = group_open(m, group, file, O_WRONLY)) == -1)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

/* Whether any process is in the group; a group that is gone has none. */
static bool
group_is_populated(struct mon *m, const char *group)
{
	char text[256];
	ssize_t n;
	int fd;

	fd = group_open(m, group, "cgroup.events", O_RDONLY);
	if (fd == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return true;
	text[n] = '\0';
	return strstr(text, "populated 0") == NULL;
}

static void
make_group(struct mon_run *run)
{
	struct mon *m = run->m;

	if (m->cgroup == -1)
		return;
	snprintf(run->group, sizeof(run->group), "run-%s-%u", run->req->code,
	    ++m->run_counter);
	if (mkdirat(m->cgroup, run->group, 0755) != 0 && errno != EEXIST)
		run->group[0] = '\0';
}

/* A group whose last processes are about to end; it can go then. */
struct mon_old_group {
	char name[64];
	unsigned tries;
	struct mon_old_group *next;
};

static void
remove_old_groups(void *arg)
{
	struct mon *m = arg;
	struct mon_old_group **p = &m->old_groups, *g;

	while ((g = *p) != NULL) {
		(void)group_write(m, g->name, "cgroup.kill", "1");
		if (unlinkat(m->cgroup, g->name, AT_REMOVEDIR) == 0 ||
		    errno != EBUSY || ++g->tries == OLD_GROUP_TRIES) {
			*p = g->next;
			free(g);
		} else {
			p = &g->next;
		}
	}
	if (m->old_groups != NULL)
		mon_timer_set(m, &m->old_groups_timer,
		    mg_time_boot_ms() + GONE_RETRY_MS, remove_old_groups, m);
}

static void
remove_group(struct mon *m, const char *name)
{
	struct mon_old_group *g;

	if (unlinkat(m->cgroup, name, AT_REMOVEDIR) == 0 || errno != EBUSY ||
	    (g = calloc(1, sizeof(*g))) == NULL)
		return;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->next = m->old_groups;
	m->old_groups = g;
	mon_timer_set(m, &m->old_groups_timer,
	    mg_time_boot_ms() + GONE_RETRY_MS, remove_old_groups, m);
}

/* ---- life ---- */

static struct mon_run *
run_alloc(struct mon *m)
{
	struct mon_run *run;

	if ((run = calloc(1, sizeof(*run))) == NULL)
		mg_fatal("out of memory");
	run->m = m;
	run->ses = MG_PROC_UNSET;
	run->pty = run->go = run->group_events = -1;
	return run;
}

static void
run_attach(struct mon_run *run, struct mg_req *req)
{
	run->req = req;
	run->next = mon_req_rt(req)->runs;
	mon_req_rt(req)->runs = run;
}

static struct mon_run *
run_new(struct mon *m, struct mg_req *req)
{
	struct mon_run *run = run_alloc(m);

	run_attach(run, req);
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

/* Frees the run once no callback holds it. */
static void
run_release(struct mon_run *run)
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
		remove_group(run->m, run->group);
	free(run);
}

/* A callback came: false when the run was only waiting for it to go. */
static bool
run_resume(struct mon_run *run)
{
	run->busy--;
	if (!run->doomed)
		return true;
	run_release(run);
	return false;
}

/* Ends a run that never began: the client is told, nothing ran. */
static void
give_up(struct mon_run *run, enum mg_why why, const char *text)
{
	struct mon_job *job = run->job;

	if (job != NULL)
		mon_reply_refused(job->client, why,
		    run->req == NULL ? "" : run->req->code,
		    run->req == NULL ? "" : run->req->rule, text, "");
	drop_job(run);
	mon_proc_stop(&run->proc);
	run_release(run);
}

/* ---- what is known at the moment of use ---- */

/* MG_WHY_NONE when the grant can be used now. */
static enum mg_why
usable(struct mon *m, const struct mg_req *req)
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
	if (run->group[0] == '\0')
		return true;
	*groupp = group_open(run->m, run->group, ".", O_RDONLY | O_DIRECTORY);
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
		give_up(run, MG_WHY_UNKNOWN_USER,
		    "the account that the command runs as is not known here");
		return;
	}
	make_group(run);
	if (!collect_fds(run, fds, &n, &group)) {
		give_up(run, MG_WHY_BAD_REQUEST,
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
		give_up(run, MG_WHY_INTERNAL, "the runner cannot be reached");
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
		give_up(run, MG_WHY_INTERNAL, "");
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
	give_up(run, why, full);
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
		give_up(run, MG_WHY_POLICY_CHANGED, "");
	else if (!mon_job_signers(job, &v, why, sizeof(why)))
		give_up(run, MG_WHY_ARTIFACT_UNSIGNED, why);
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

	if (!run_resume(run))
		return;
	if (run->req == NULL || run->job->client == NULL ||
	    !mon_proc_is_up(&run->proc)) {
		give_up(run, MG_WHY_INTERNAL, "");
		return;
	}
	if ((why = usable(run->m, run->req)) != MG_WHY_NONE) /* Rule 1 */
		give_up(run, why, "");
	else if (run->req->digest[0] != '\0')
		check_artifact(run);
	else
		send_spec(run);
}

static void run_frame(void *arg, struct mg_frame *f);
static void run_ended(void *arg, int status);

static enum mg_err
start_runner(struct mon_run *run)
{
	run->proc.on_frame = run_frame;
	run->proc.on_end = run_ended;
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
	m->spare_run = run_alloc(m);
	if (start_runner(m->spare_run) == MG_ERR_OK)
		return;
	run_release(m->spare_run);
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
	run_attach(run, req);
	run->job = job;
	job->run = run;
	job->req = NULL; /* the run holds it from here on */
	mon_req_fetch_names(m, req, names, &n);
	run->busy++;
	if (mon_people_fetch(m, names, n, MG_PROC_UNSET, run_checked, run) ==
	    MG_ERR_OK)
		return;
	run->busy--;
	give_up(run, MG_WHY_INTERNAL, "");
}

/* ---- on record, then go ---- */

static void finish(struct mon_run *run, uint32_t killed, uint64_t took_us);
static void write_exit(
    struct mon_run *run, const char *how, int64_t value, uint32_t left);

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
	write_exit(run, "not-started", 0, 0);
	finish(run, 0, 0);
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
		give_up(run, why, "");
		return;
	}
	if (why == MG_WHY_NONE && run->kill_why != MG_WHY_NONE)
		why = run->kill_why;
	if (why == MG_WHY_NONE && run->job->client == NULL)
		why = MG_WHY_CANCELLED;
	/* Straight to what waits to become the command. */
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
		run_ended(run, -1);
		return;
	}
	if (a.error != 0) {
		char text[400];

		snprintf(text, sizeof(text), "%s: %s", a.text,
		    strerror((int)a.error));
		give_up(run, MG_WHY_EXEC_FAILED, text);
		return;
	}
	/* Others may have used the grant while this run was prepared. */
	if ((why = usable(run->m, run->req)) != MG_WHY_NONE) {
		give_up(run, why, "");
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
		write_exit(run, "no-exec", a->error, 0);
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
	(void)run_resume(run);
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

static void
write_exit(struct mon_run *run, const char *how, int64_t value, uint32_t left)
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
	run_release(run);
	mon_run_prepare(m);
	if (req != NULL && req->live.state == MG_REQ_GRANTED &&
	    req->uses != 0 && req->live.used >= req->uses &&
	    req->live.nruns == 0)
		mon_req_end(m, req, MG_REQ_USED, MG_WHY_USED, req->user);
}

/* No process of the run is left (Rule 3). */
static void
finish(struct mon_run *run, uint32_t killed, uint64_t took_us)
{
	struct mon_txn *t;
	struct mg_json *j;

	if (run->emptied)
		return;
	run->emptied = true;
	mg_timer_clear(run->m->loop, &run->timer);
	if (run->req == NULL || run->number == 0) {
		run_release(run);
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

static void
run_frame(void *arg, struct mg_frame *f)
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
			write_exit(run, a.exited.signaled ? "signal" : "status",
			    a.exited.value, a.exited.left);
		return;
	case MG_MSG_RUN_EMPTY:
		if (mg_frame_decode(f, &a.empty, sizeof(a.empty)) != MG_ERR_OK)
			return;
		if (!run->going) { /* it ended while it waited to begin */
			run_ended(run, -1);
			return;
		}
		write_exit(run, "not-started", 0, 0);
		finish(run, a.empty.killed, a.empty.took_us);
		return;
	default:
		return;
	}
}

/* ---- ending by force ---- */

static int64_t
now_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void start_sweep(struct mon_run *run);

static void
sweep_again(void *arg)
{
	start_sweep(arg);
}

static void
sweep_ended(void *arg, int status)
{
	struct mon_run *run = arg;

	if (status == 0) {
		finish(run, 0, (uint64_t)(now_us() - run->killed_us));
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

/* Rule 4: a process of ours that ends whatever is left of the run. */
static void
start_sweep(struct mon_run *run)
{
	char ses[16];
	int group = -1;
	enum mg_err r;

	if (mon_proc_is_up(&run->sweep))
		return;
	snprintf(ses, sizeof(ses), "%u", run->ses);
	if (run->group[0] != '\0')
		group = openat(run->m->cgroup, run->group,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
run_ended(void *arg, int status)
{
	struct mon_run *run = arg;

	(void)status;
	if (run == run->m->spare_run) {
		run->m->spare_run = NULL;
		run_release(run);
		return;
	}
	if (run->emptied)
		return;
	if (run->number == 0 || (run->busy > 0 && !run->going)) {
		if (run->number == 0)
			give_up(run, MG_WHY_INTERNAL, "the runner ended");
		else
			run->kill_why = MG_WHY_INTERNAL; /* run_recorded */
		return;
	}
	if (run->kill_why == MG_WHY_NONE) {
		run->kill_why = MG_WHY_INTERNAL;
		run->killed_us = now_us();
	}
	write_exit(run, "lost", 0, 0);
	start_sweep(run);
}

static void
kill_late(void *arg)
{
	struct mon_run *run = arg;

	mg_log(MG_EVT_ERROR, "req=%s err='the runner does not answer'",
	    run->req == NULL ? "" : run->req->code);
	mon_proc_stop(&run->proc);
	write_exit(run, "lost", 0, 0);
	start_sweep(run);
}

static void
kill_one(struct mon_run *run, enum mg_why why)
{
	struct mg_run_kill msg = {0};

	if (run->emptied || run->doomed || run->kill_why != MG_WHY_NONE)
		return;
	run->kill_why = why;
	run->killed_us = now_us();
	if (run->number == 0) {
		give_up(run, why, "");
		return;
	}
	if (!run->going && !run->adopted)
		return; /* run_recorded sees it */
	/* At once, without waiting for anybody's turn. */
	if (run->group[0] != '\0')
		(void)group_write(run->m, run->group, "cgroup.kill", "1");
	if (run->adopted) {
		start_sweep(run);
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

/* ---- what PAM let in under a grant ---- */

static void
adopted_event(void *arg, uint32_t events)
{
	struct mon_run *run = arg;

	(void)events;
	if (group_is_populated(run->m, run->group))
		return;
	mg_watch_del(run->group_watch);
	run->group_watch = NULL;
	write_exit(run, "session", 0, 0);
	finish(run, 0,
	    run->killed_us == 0 ? 0 : (uint64_t)(now_us() - run->killed_us));
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
	/* Without a record there is no session: what was let in goes. */
	(void)group_write(run->m, run->group, "cgroup.kill", "1");
	if (run->req != NULL && run->req->live.used >= run->number &&
	    why == MG_WHY_AUDIT_FAILED) {
		run->kill_why = why;
		write_exit(run, "not-started", 0, 0);
		start_sweep(run);
		return;
	}
	run->number = 0;
	run_release(run);
}

enum mg_err
mon_run_adopt(
    struct mon *m, struct mg_req *req, const struct mg_peer *peer, uint32_t ses)
{
	struct mon_run *run;
	struct mon_txn *t;
	struct mg_json *j;
	char text[16];

	run = run_new(m, req);
	run->adopted = true;
	run->pid = peer->pid;
	run->start = peer->start;
	run->ses = ses;
	make_group(run);
	snprintf(text, sizeof(text), "%d", (int)peer->pid);
	if (run->group[0] == '\0' ||
	    !group_write(m, run->group, "cgroup.procs", text) ||
	    (run->group_events = group_open(
		 m, run->group, "cgroup.events", O_RDONLY)) == -1 ||
	    mg_watch_add(m->loop, run->group_events, EPOLLPRI, adopted_event,
		run, &run->group_watch) != MG_ERR_OK) {
		run_release(run);
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

/* Groups whose agent is gone: nothing in them may go on. */
static void
clear_groups(struct mon *m)
{
	struct dirent *de;
	DIR *d;
	int fd;

	if (m->cgroup == -1)
		return;
	fd = openat(m->cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (strncmp(de->d_name, "run-", 4) != 0)
			continue;
		(void)group_write(m, de->d_name, "cgroup.kill", "1");
		remove_group(m, de->d_name);
	}
	closedir(d);
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
		run = run_new(m, req);
		run->number = rs->run;
		run->ses = rs->ses;
		run->exited = rs->exited;
		run->going = true;
		run->kill_why = MG_WHY_RESTART;
		run->killed_us = now_us();
		write_exit(run, "lost", 0, 0);
		start_sweep(run);
	}
}

void
mon_run_sweep(struct mon *m)
{
	struct mg_req *req;

	clear_groups(m);
	for (req = mg_state_live(m->state); req != NULL; req = req->next)
		sweep_req(m, req);
	for (req = mg_state_ended(m->state); req != NULL; req = req->next)
		sweep_req(m, req);
}
