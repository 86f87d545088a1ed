/* SPDX-License-Identifier: ISC */
/*
 * modelgate-hub: the mailbox between hosts and approvers.
 *
 * Runs as: _mg-hub, refuses to run as root
 * Holds: the listening socket, the queue of requests and decisions
 * Accepts: typed messages from its connection processes; its own files
 * Sends: typed messages to its connection processes; JSON to the notify command
 * If it dies: a restart reads its queue; hosts re-submit
 *
 * Rules
 * 1. Never root, in no identity: what meets the network must not be able to
 *    become it again.
 * 2. Nothing that comes over ssh is parsed here; the processes that do are
 *    linked with libssh, this one is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hub.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_time.h"

#define TIDY_MS 60000
#define GROUPS_MAX 256

int64_t
hub_now(const struct hub *hub)
{
	return hub->wall_ms + (mg_time_boot_ms() - hub->boot_ms);
}

/* ---- start ---- */

static void
usage(FILE *out)
{
	fputs("usage: modelgate-hub [-nTV] [-c FILE]\n"
	      "  -c FILE  read FILE instead of " HUB_CONF_FILE "\n"
	      "  -n       check configuration and keys, then exit\n"
	      "  -T       print the configuration in force, then exit\n"
	      "  -V       print the version\n",
	    out);
}

/* Rule 1 */
static bool
is_root_somehow(void)
{
	gid_t groups[GROUPS_MAX];
	uid_t r, e, s;
	gid_t gr, ge, gs;
	int n, i;

	if (getresuid(&r, &e, &s) != 0 || getresgid(&gr, &ge, &gs) != 0 ||
	    (n = getgroups(GROUPS_MAX, groups)) == -1)
		return true;
	if (r == 0 || e == 0 || s == 0 || gr == 0 || ge == 0 || gs == 0)
		return true;
	for (i = 0; i < n; i++)
		if (groups[i] == 0)
			return true;
	return false;
}

static void
harden(void)
{
	struct rlimit none = {0, 0}, files;
	char why[256];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    setrlimit(RLIMIT_CORE, &none) != 0)
		mg_fatal("cannot give up privileges: %s", strerror(errno));
	if (mg_filter_never(true, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	/* A limit on files becomes an error that we see, not our end. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
}

/* Fits the limits to the descriptors that there are. */
static void
fit_descriptors(struct hub *hub)
{
	struct hub_conf *c = &hub->conf;
	struct rlimit files;
	uint64_t need;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	need = 2 * (c->logins_max + c->sessions_max) + 64;
	if (files.rlim_cur >= need + c->waiting_max)
		return;
	if (files.rlim_cur < need + 8)
		mg_fatal("%llu descriptors are too few for %llu logins and "
			 "%llu sessions",
		    (unsigned long long)files.rlim_cur,
		    (unsigned long long)c->logins_max,
		    (unsigned long long)c->sessions_max);
	c->waiting_max = files.rlim_cur - need;
	mg_log(MG_EVT_LIMIT, "only %llu connections may wait: %llu descriptors",
	    (unsigned long long)c->waiting_max,
	    (unsigned long long)files.rlim_cur);
}

static void
print_flaws(const struct mg_diags *ds)
{
	mg_diags_print(ds, stderr);
	fflush(stderr);
}

/* ---- the log of the children ---- */

static void
on_log(void *arg, uint32_t events)
{
	struct hub *hub = arg;
	char *p, *nl, line[MG_LOG_LINE_MAX];
	uint8_t *d;
	ssize_t n;
	size_t len, have;

	(void)events;
	if ((d = mg_buf_reserve(&hub->log_in, 4096)) == NULL) {
		mg_buf_reset(&hub->log_in); /* a line without an end */
		return;
	}
	if ((n = read(hub->log_fd[0], d, 4096)) <= 0)
		return;
	mg_buf_commit(&hub->log_in, (size_t)n);
	for (;;) {
		p = (char *)(uintptr_t)mg_buf_ptr(&hub->log_in);
		have = mg_buf_len(&hub->log_in);
		if (have == 0 || (nl = memchr(p, '\n', have)) == NULL)
			break;
		len = (size_t)(nl - p) < sizeof(line) - 1 ? (size_t)(nl - p)
							  : sizeof(line) - 1;
		memcpy(line, p, len);
		line[len] = '\0';
		mg_buf_consume(&hub->log_in, (size_t)(nl - p) + 1);
		mg_log_from_child(line);
	}
}

static enum mg_err
open_log(struct hub *hub)
{
	mg_buf_init(&hub->log_in, 16384);
	if (pipe2(hub->log_fd, O_CLOEXEC) != 0)
		return MG_ERR_SYS;
	if (fcntl(hub->log_fd[0], F_SETFL, O_NONBLOCK) != 0)
		return MG_ERR_SYS;
	return mg_watch_add(
	    hub->loop, hub->log_fd[0], EPOLLIN, on_log, hub, &hub->log_watch);
}

/* ---- signals ---- */

static void
reload(struct hub *hub)
{
	struct mg_diags ds;
	struct hub_conf conf;

	/* New keys only; addresses and limits need a restart. */
	mg_diags_init(&ds);
	if (hub_conf_load(&conf, hub->conf_path, &ds) == MG_ERR_OK &&
	    hub_keys_load(hub, &conf, &ds) == MG_ERR_OK) {
		mg_log(MG_EVT_CONFIG, "reloaded: %zu approver keys, %zu hosts",
		    mg_signers_count(hub->approvers),
		    mg_signers_count(hub->hosts));
		hub_peers_recheck(hub);
		return;
	}
	print_flaws(&ds);
	mg_log(MG_EVT_CONFIG_BAD, "not reloaded; the old one stays in force");
}

static void
on_signal(void *arg, uint32_t events)
{
	struct hub *hub = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(hub->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGHUP) {
		reload(hub);
		return;
	}
	mg_log(MG_EVT_STOP, "signal=%u", si.ssi_signo);
	mg_log_end();
	mg_loop_stop(hub->loop);
}

static enum mg_err
open_signals(struct hub *hub)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_SETMASK, &set, NULL) != 0)
		return MG_ERR_SYS;
	hub->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (hub->signal_fd == -1)
		return MG_ERR_SYS;
	return mg_watch_add(hub->loop, hub->signal_fd, EPOLLIN, on_signal, hub,
	    &hub->signal_watch);
}

/* Tells systemd, if it started us, that we serve. */
static void
say_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = path == NULL ? 0 : strlen(path);
	int fd;

	if (n < 2 || n >= sizeof(sa.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, n);
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	(void)sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&sa,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

/* ---- life ---- */

static void
on_tidy(void *arg)
{
	struct hub *hub = arg;
	size_t dropped;

	if (hub_store_tidy(&hub->store, hub_now(hub), &dropped) != MG_ERR_OK)
		mg_log(MG_EVT_ERROR, "cannot tidy the journal: %s",
		    strerror(errno));
	if (dropped > 0) {
		mg_log(MG_EVT_HUB, "forgot %zu requests", dropped);
		hub_changed(hub);
	}
	if (mg_timer_set(hub->loop, &hub->tidy, mg_time_boot_ms() + TIDY_MS,
		on_tidy, hub) != MG_ERR_OK)
		mg_fatal("out of memory");
}

static void
open_store(struct hub *hub)
{
	const struct hub_conf *c = &hub->conf;
	struct hub_store_limits limits = {.requests = c->requests_max,
	    .requests_per_host = c->requests_per_host,
	    .bytes = c->queue_mib << 20,
	    .keep_ended_ms = c->keep_ended_ms};
	char why[512];
	size_t torn;

	if (hub_store_open(&hub->store, c->state, &limits, &torn, why,
		sizeof(why)) != MG_ERR_OK)
		mg_fatal("state in '%s' cannot be used: %s", c->state, why);
	hub->trees = hub_trees_new(hub->store.journal.dirfd);
	if (hub->trees == NULL)
		mg_fatal("out of memory");
	if (torn > 0)
		mg_log(MG_EVT_LEDGER,
		    "repaired: a record of %zu bytes that was being written "
		    "when the hub ended was cut off",
		    torn);
	hub->boot_ms = mg_time_boot_ms();
	hub->wall_ms = mg_time_wall_ms();
	/* Time does not run backwards across a restart. */
	if (hub->wall_ms < hub->store.last_ms)
		hub->wall_ms = hub->store.last_ms;
	mg_log(MG_EVT_LEDGER, "journal has %llu records, %zu requests",
	    (unsigned long long)hub->store.journal.lines, hub->store.n);
}

static void
start(struct hub *hub)
{
	char why[256] = "";

	if ((hub->loop = mg_loop_new()) == NULL || open_log(hub) != MG_ERR_OK ||
	    open_signals(hub) != MG_ERR_OK)
		mg_fatal("cannot start: %s", strerror(errno));
	hub->notify = hub_notify_new(
	    hub->loop, hub->conf.notify, hub->conf.name, hub->log_fd[1]);
	if (hub->notify == NULL)
		mg_fatal("out of memory");
	open_store(hub);
	hub_sources_init(&hub->sources,
	    (uint64_t)mg_time_wall_ms() << 20 | (uint64_t)getpid());
	fit_descriptors(hub);
	on_tidy(hub);
	if (hub_listen(hub, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
}

static void
end(struct hub *hub)
{
	hub_listen_end(hub);
	hub_peers_end(hub);
	hub_notify_free(hub->notify);
	hub_trees_free(hub->trees);
	hub_store_close(&hub->store);
	hub_keys_free(hub);
	mg_watch_del(hub->log_watch);
	mg_watch_del(hub->signal_watch);
	mg_timer_clear(hub->loop, &hub->tidy);
	mg_buf_fini(&hub->log_in);
	close(hub->log_fd[0]);
	close(hub->log_fd[1]);
	close(hub->signal_fd);
	mg_loop_free(hub->loop);
}

static void
load(struct hub *hub)
{
	struct mg_diags ds;
	char why[256] = "";

	mg_diags_init(&ds);
	if (hub_conf_load(&hub->conf, hub->conf_path, &ds) != MG_ERR_OK ||
	    hub_keys_load(hub, &hub->conf, &ds) != MG_ERR_OK) {
		print_flaws(&ds);
		mg_fatal("configuration refused");
	}
	if (hub_keys_try(hub, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s: %s", hub->host_key_path, why);
}

int
main(int argc, char **argv)
{
	bool check_only = false, print_only = false;
	static struct hub hub;
	int ch;

	if (mg_file_sanitise_std() != MG_ERR_OK)
		return 1;
	mg_log_init("modelgate-hub", MG_LOG_TO_STDERR, MG_LOG_INFO);
	hub.conf_path = HUB_CONF_FILE;
	while ((ch = getopt(argc, argv, "c:nTVh")) != -1) {
		switch (ch) {
		case 'c':
			hub.conf_path = optarg;
			break;
		case 'n':
			check_only = true;
			break;
		case 'T':
			print_only = true;
			break;
		case 'V':
			puts("modelgate-hub " MG_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (argc < 1 || optind != argc) {
		usage(stderr);
		return 2;
	}
	if (is_root_somehow()) /* Rule 1 */
		mg_fatal("refusing to run as root (user or group 0)");
	harden();
	load(&hub);
	if (print_only)
		hub_conf_print(&hub.conf, stdout);
	if (check_only || print_only) {
		hub_keys_free(&hub);
		return 0;
	}
	mg_log(MG_EVT_START, "version=%s approver-keys=%zu host-keys=%zu",
	    MG_VERSION, mg_signers_count(hub.approvers),
	    mg_signers_count(hub.hosts));
	start(&hub);
	mg_log(MG_EVT_READY, "pid=%d", (int)getpid());
	say_ready();
	mg_loop_run(hub.loop);
	end(&hub);
	return 0;
}
