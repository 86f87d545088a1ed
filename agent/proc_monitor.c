/* SPDX-License-Identifier: ISC */
/*
 * modelgated: the agent's lasting root process.
 *
 * Runs as: root
 * Holds: policy, requests, grants, the ledger, the listening socket
 * Accepts: typed messages from its children and from root's programs;
 * root-owned configuration
 * Sends: typed messages to its children and to root's programs
 * If it dies: every run ends, every client is refused; a restart folds the
 * ledger and continues
 *
 * Rules
 * 1. It starts whole or not at all.
 * 2. Start and end are on record.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mg_b64.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define TICK_MS 60000
#define AUDIT_CHECK_MS 2000
#define PIDFILE MON_RUN_DIR "/modelgated.pid"

static const struct mg_file_rule root_only = {.owner = 0};

const char *
mon_or_empty(const char *s)
{
	return s == NULL ? "" : s;
}

void
mon_timer_set(struct mon *m, struct mg_timer *t, int64_t at_ms,
    void (*fn)(void *arg), void *arg)
{
	if (mg_timer_set(m->loop, t, at_ms, fn, arg) != MG_ERR_OK)
		mg_fatal("out of memory");
}

static void
log_diags(enum mg_event event, const struct mg_diags *ds)
{
	size_t i;

	for (i = 0; i < ds->n; i++)
		mg_log(event, "at=%s:%u:%u text='%s'", ds->v[i].file,
		    ds->v[i].line, ds->v[i].col, ds->v[i].text);
}

static void
reload(struct mon *m)
{
	struct mg_diags *ds;

	if ((ds = calloc(1, sizeof(*ds))) == NULL)
		return;
	mg_diags_init(ds);
	mon_policy_reload(m);
	if (mon_conf_load(MG_CONFDIR "/agent.ini", &m->conf, ds) == MG_ERR_OK)
		mg_log(MG_EVT_CONFIG, "text=reloaded");
	else
		mon_policy_bad(m, "agent.ini", MG_CONFDIR "/agent.ini", ds);
	mon_keep_look(m);
	free(ds);
	mon_audit_check(m);
	mon_hub_reconf(m);
	mon_outage_init(m);
}

/* ---- the ledger ---- */

static enum mg_err
fold(void *arg, const struct mg_rec *rec)
{
	struct mon *m = arg;
	enum mg_err r;

	if ((r = mg_state_apply(m->state, rec)) == MG_ERR_OK)
		mg_state_commit(m->state);
	return r;
}

static enum mg_err
restore(void *arg, const struct mg_rec *rec)
{
	struct mon *m = arg;
	enum mg_err r;

	if ((r = mg_state_restore(m->state, rec)) == MG_ERR_OK)
		mg_state_commit(m->state);
	return r;
}

static void
open_ledger(struct mon *m)
{
	struct mg_ledger_report rep;
	struct mg_note_key host;
	enum mg_err r;
	int dir;

	if (mkdirat(m->state_dir, "ledger", 0700) != 0 && errno != EEXIST)
		mg_fatal("cannot make %s/ledger: %s", MON_STATE_DIR,
		    strerror(errno));
	dir = openat(m->state_dir, "ledger",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir == -1)
		mg_fatal("cannot open %s/ledger: %s", MON_STATE_DIR,
		    strerror(errno));
	if (flock(dir, LOCK_EX | LOCK_NB) != 0)
		mg_fatal("another modelgated uses %s", MON_STATE_DIR);
	if ((m->state = mg_state_new()) == NULL)
		mg_fatal("out of memory");
	r = mg_ledger_open(dir, mon_tree_key(m, &host) ? &host : NULL, fold,
	    restore, m, &m->ledger, &rep);
	if (r != MG_ERR_OK)
		mg_fatal("ledger is broken: %s/ledger/%s:%llu: record %llu: %s",
		    MON_STATE_DIR, rep.file, (unsigned long long)rep.line,
		    (unsigned long long)rep.flaw.record, rep.flaw.text);
	if (rep.repaired)
		mg_log(MG_EVT_LEDGER_BAD,
		    "file=%s text='cut off %zu bytes of a line that was "
		    "not finished'",
		    rep.file, rep.repaired_bytes);
	if (rep.bad_snapshots > 0 || rep.leaves_short)
		mg_log(MG_EVT_LEDGER_BAD,
		    "text='%u snapshots do not fit, leaves %s: "
		    "modelgate verify says more'",
		    rep.bad_snapshots, rep.leaves_short ? "lack some" : "fit");
	if (rep.leaves_differ != 0)
		mg_log(MG_EVT_LEDGER_BAD,
		    "file=leaves err='the hash of record %llu was wrong, and "
		    "is made anew'",
		    (unsigned long long)rep.leaves_differ);
	mg_log(MG_EVT_LEDGER, "records=%llu read=%llu",
	    (unsigned long long)rep.records, (unsigned long long)rep.read);
	mg_state_set_free_hook(m->state, mon_req_released, m);
	/* dir stays open: it holds the lock. */
}

static void
record_start(struct mon *m)
{
	struct mon_txn *t = mon_txn_begin(m);
	struct mg_json *j = mon_rec_begin(t, "start");

	mg_json_str(j, "boot", m->boot);
	mg_json_str(j, "version", MG_VERSION);
	mg_json_str(j, "host", m->conf.host);
	mg_json_str(j, "host_key", m->host_key_fp);
	mg_json_str(
	    j, "policy", m->policy == NULL ? "" : mg_policy_digest(m->policy));
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
}

static void
record_stop(struct mon *m)
{
	struct mon_txn *t = mon_txn_begin(m);

	(void)mon_rec_begin(t, "stop");
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
	mon_commit_round(m);
}

/* ---- timers ---- */

/* Keeps the ledger's idea of the time fresh while something has a
 * deadline, so that little is in doubt after a power cut. */
static void
tick(void *arg)
{
	struct mon *m = arg;
	struct mon_txn *t;

	mon_sessions_check(m);
	mon_policy_look(m);
	if (mg_state_live_count(m->state) > 0) {
		t = mon_txn_begin(m);
		(void)mon_rec_begin(t, "tick");
		mon_rec_end(t);
		mon_txn_commit(t, NULL, NULL);
	}
	mon_timer_set(m, &m->tick_timer, mg_time_boot_ms() + TICK_MS, tick, m);
}

static void
check_audit(void *arg)
{
	struct mon *m = arg;

	mon_audit_check(m);
	mon_refuse_tick(m);
	mon_timer_set(m, &m->audit_timer, mg_time_boot_ms() + AUDIT_CHECK_MS,
	    check_audit, m);
}

/* ---- signals, readiness ---- */

/* sd_notify(3) without the library: one datagram. */
static void
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun;
	int fd;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	if (path == NULL || strlen(path) >= sizeof(sun.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sun.sun_path, path, strlen(path));
	if (sun.sun_path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		(struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			    strlen(path))) == -1)
		mg_log(
		    MG_EVT_DEBUG, "err='cannot notify: %s'", strerror(errno));
	close(fd);
}

struct signals {
	struct mon *m;
	int fd;
	struct mg_watch *watch;
};

static void
on_signal(void *arg, uint32_t events)
{
	struct signals *s = arg;
	struct signalfd_siginfo si;

	(void)events;
	while (read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP) {
			notify("RELOADING=1");
			reload(s->m);
			notify("READY=1");
			continue;
		}
		mg_log(MG_EVT_STOP, "signal=%u", si.ssi_signo);
		s->m->stopping = true;
		mon_refuse_tick(s->m);
		mg_log_end();
		mg_loop_stop(s->m->loop);
	}
}

static void
watch_signals(struct signals *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (mg_close_init() != MG_ERR_OK ||
	    sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    (s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1 ||
	    mg_watch_add(s->m->loop, s->fd, EPOLLIN, on_signal, s, &s->watch) !=
		MG_ERR_OK)
		mg_fatal("cannot watch signals: %s", strerror(errno));
}

/* ---- beginning and end ---- */

static void
limit_self(void)
{
	struct rlimit core = {0, 0}, files;

	(void)umask(077);
	if (setrlimit(RLIMIT_CORE, &core) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		mg_fatal("cannot switch core dumps off");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur =
		    files.rlim_max < 16384 ? files.rlim_max : 16384;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (chdir("/") != 0)
		mg_fatal("cannot go to /");
}

/*
 * Its children start with root's capabilities, which with no-new-privileges
 * are those that it holds, and drop their own. To itself it allows those to
 * end them and to look into artifacts' folders.
 */
static void
confine_self(void)
{
	const struct mg_confine_caps how = {
	    .effective = MG_CAP(CAP_KILL) | MG_CAP(CAP_DAC_READ_SEARCH),
	    .permitted = MG_CAPS_ALL,
	    .bounding = MG_CAPS_ALL,
	};
	char why[256];

	if (mg_confine_caps(&how, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
}

static void
open_dirs(struct mon *m)
{
	char why[512];

	if (mkdir(MON_RUN_DIR, 0755) != 0 && errno != EEXIST)
		mg_fatal("cannot make %s: %s", MON_RUN_DIR, strerror(errno));
	(void)chmod(MON_RUN_DIR, 0755); /* clients need to reach the socket */
	if (mkdir(MON_STATE_DIR, 0700) != 0 && errno != EEXIST)
		mg_fatal("cannot make %s: %s", MON_STATE_DIR, strerror(errno));
	if (mg_file_open(MON_STATE_DIR, O_DIRECTORY, &root_only, &m->state_dir,
		why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s: %s", MON_STATE_DIR, why);
}

static void
start(struct mon *m)
{
	struct mg_diags ds;

	mg_diags_init(&ds);
	if (mon_conf_load(MG_CONFDIR "/agent.ini", &m->conf, &ds) !=
	    MG_ERR_OK) {
		log_diags(MG_EVT_CONFIG_BAD, &ds);
		mg_fatal("configuration is not usable");
	}
	open_dirs(m);
	if (mg_proc_boot_id(m->boot) != MG_ERR_OK)
		mg_fatal("cannot read the boot id");
	mon_keys_load(m);
	open_ledger(m);
	mon_policy_open(m);
	if ((m->loop = mg_loop_new()) == NULL ||
	    mon_log_pipe_init(m) != MG_ERR_OK)
		mg_fatal("cannot start the loop: %s", strerror(errno));
	mg_loop_set_round_end(m->loop, mon_commit_round, m);
	mon_store_init(m);
	if (mon_cgroup_init(m) != MG_ERR_OK)
		mg_fatal("cannot use cgroups");
	if (mon_people_init(m) != MG_ERR_OK)
		mg_fatal("cannot start mg-ident");
	m->started_ms = mg_time_boot_ms();
}

/* The kernel's answer is needed before the first record goes out. */
static void
wait_for_audit(struct mon *m)
{
	int64_t end = mg_time_boot_ms() + 2000;

	mon_audit_check(m);
	while (!m->audit_ok && !m->audit_known && mg_time_boot_ms() < end)
		mg_loop_once(m->loop, 100);
	if (!m->audit_ok)
		mg_log(MG_EVT_AUDIT_BAD,
		    "text='the kernel does not record; "
		    "%s'",
		    m->conf.audit_optional ? "going on, as configured"
					   : "everything is refused");
	check_audit(m);
}

static void
go(struct mon *m)
{
	mon_clock_init(m);
	wait_for_audit(m);
	record_start(m);
	mon_policy_begin(m);
	mon_tree_init(m);
	mon_commit_round(m);
	mon_people_refresh_groups(m);
	mon_run_sweep(m);
	mon_req_resume(m);
	mon_run_prepare(m);
	mon_outage_init(m);
	tick(m);
	mon_models_init(m);
	mon_keep_init(m);
	if (mon_doors_init(m) != MG_ERR_OK)
		mg_fatal("cannot listen on the socket: %s", strerror(errno));
	mg_log(MG_EVT_READY, "host=%s policy=%s hub=%s", m->conf.host,
	    mg_policy_digest(m->policy),
	    m->conf.hub_address[0] != '\0' ? m->conf.hub_address : "none");
}

static void
stop(struct mon *m)
{
	notify("STOPPING=1");
	mon_doors_deaf(m);
	mon_run_stop_all(m);
	mon_doors_fini(m);
	mon_outage_fini(m);
	mon_decision_fini(m);
	mon_hub_fini(m);
	record_stop(m);
	mon_keep_fini(m);
	mon_tree_fini(m);
	mon_audit_fini(m);
	mon_people_fini(m);
	mon_commit_fini(m);
	mon_policy_fini(m);
	(void)unlink(PIDFILE);
}

static void
write_pidfile(void)
{
	char text[32];
	int fd;

	fd = open(PIDFILE,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd == -1)
		return;
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (mg_file_write(fd, text, strlen(text)) != MG_ERR_OK)
		mg_log(MG_EVT_ERROR, "err='cannot write %s'", PIDFILE);
	close(fd);
}

/* Forks; the parent ends when the child is ready or has failed. Returns the
 * descriptor on which the child says that it is ready. */
static int
daemonise(void)
{
	int pipefd[2];
	char c;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) != 0 || (pid = fork()) == -1)
		mg_fatal("cannot start in the background: %s", strerror(errno));
	if (pid != 0) {
		close(pipefd[1]);
		_exit(read(pipefd[0], &c, 1) == 1 ? 0 : 1);
	}
	close(pipefd[0]);
	(void)setsid();
	return pipefd[1];
}

static void
background_ready(int fd)
{
	int null;

	if (fd == -1)
		return;
	if (write(fd, "", 1) != 1)
		mg_log(MG_EVT_ERROR, "err='nobody waits for us'");
	close(fd);
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) != -1) {
		(void)dup2(null, 0);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		close(null);
	}
}

static int
check_only(bool print)
{
	struct mon_conf conf;
	static const struct mg_policy_source src = {
	    .policy_dir = MG_CONFDIR "/policy.d",
	    .operations_dir = MG_CONFDIR "/operations.d",
	    .rule = &root_only,
	    .can = MG_POLICY_CAN_AGENT};
	struct mg_policy *p = NULL;
	struct mg_diags ds;
	int status = 0;

	memset(&conf, 0, sizeof(conf));
	mg_diags_init(&ds);
	if (mon_conf_load(MG_CONFDIR "/agent.ini", &conf, &ds) != MG_ERR_OK)
		status = 1;
	else if (print)
		mon_conf_print(&conf, stdout);
	mg_diags_print(&ds, stderr);
	mg_diags_init(&ds);
	if (mg_policy_load(&src, &p, &ds) != MG_ERR_OK)
		status = 1;
	mg_diags_print(&ds, stderr);
	mg_policy_free(p);
	mon_conf_fini(&conf);
	return status;
}

static void
usage(FILE *out)
{
	fprintf(out,
	    "usage: modelgated [-dnTvhV]\n"
	    "  -d, --daemon   run in the background once ready\n"
	    "  -n, --check    check configuration and policy, then exit\n"
	    "  -T, --print    the same, and print the configuration in force\n"
	    "  -v, --verbose  log more\n"
	    "  -h, --help     this text\n"
	    "  -V, --version  the version\n"
	    "Signals: HUP reloads, TERM ends. See modelgated(8).\n");
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"daemon", 0, NULL, 'd'},
	    {"check", 0, NULL, 'n'}, {"print", 0, NULL, 'T'},
	    {"verbose", 0, NULL, 'v'}, {"help", 0, NULL, 'h'},
	    {"version", 0, NULL, 'V'}, {NULL, 0, NULL, 0}};
	static struct mon m = {.cgroup = -1};
	struct signals sig = {.m = &m, .fd = -1};
	enum mg_log_level level = MG_LOG_INFO;
	bool background = false, check = false, print = false;
	int c, ready = -1;

	if (mg_file_sanitise_std() != MG_ERR_OK || argc < 1)
		return 1;
	mg_log_init("modelgated", MG_LOG_TO_STDERR, level);
	while ((c = getopt_long(argc, argv, "dnTvhV", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			background = true;
			break;
		case 'T':
			print = true;
			check = true;
			break;
		case 'n':
			check = true;
			break;
		case 'v':
			level = MG_LOG_DEBUG;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("modelgated %s\n", MG_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	mg_log_init("modelgated", MG_LOG_TO_STDERR, level);
	if (check)
		return check_only(print);
	if (geteuid() != 0)
		mg_fatal("must be started by root");
	if (background)
		ready = daemonise();
	limit_self();
	start(&m);
	confine_self();
	watch_signals(&sig);
	go(&m);
	write_pidfile();
	notify("READY=1");
	if (background)
		mg_log_init("modelgated", MG_LOG_TO_SYSLOG, level);
	background_ready(ready);
	mg_loop_run(m.loop);
	stop(&m);
	return 0;
}
