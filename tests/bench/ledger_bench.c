/* SPDX-License-Identifier: ISC */
/*
 * Measures the ledger:
 *
 *	ledger_bench append FOLDER WRITERS RECORDS	group commit
 *	ledger_bench one FOLDER RECORDS			one after the other
 *	ledger_bench fill FOLDER [SEGMENT] RECORDS	a history; segments of
 *							so many records
 *	ledger_bench start FOLDER			what a start reads
 *	ledger_bench audit RECORDS			the same as an audit log
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"
#include "mg_state.h"
#include "mg_time.h"

#define BOOT "11111111-1111-4111-8111-111111111111"

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static struct mg_state *state;

static enum mg_err
fold(void *arg, const struct mg_rec *rec)
{
	enum mg_err r = mg_state_apply(state, rec);

	(void)arg;
	if (r == MG_ERR_OK)
		mg_state_commit(state);
	return r;
}

static enum mg_err
restore(void *arg, const struct mg_rec *rec)
{
	enum mg_err r = mg_state_restore(state, rec);

	(void)arg;
	if (r == MG_ERR_OK)
		mg_state_commit(state);
	return r;
}

static struct mg_ledger *
open_folder(const char *path, struct mg_ledger_report *rep)
{
	struct mg_ledger *l;
	int fd;

	(void)mkdir(path, 0700);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY)) == -1)
		die(path);
	state = mg_state_new();
	if (mg_ledger_open(fd, NULL, fold, restore, NULL, &l, rep) !=
	    MG_ERR_OK) {
		fprintf(stderr, "%s:%llu: %s\n", rep->file,
		    (unsigned long long)rep->line, rep->flaw.text);
		exit(1);
	}
	return l;
}

/* ---- append ---- */

#define WRITERS_MAX 256

/* Who waits; each is woken alone, as a client with a socket of its own is. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	sem_t *asked[WRITERS_MAX];
	unsigned nasked;
	unsigned long todo, nlatency;
	double *latency;
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static void
put(struct mg_ledger *l)
{
	struct mg_json j;
	struct mg_rec rec;

	mg_rec_init(&rec);
	mg_ledger_begin(l, &j, "mfa");
	mg_json_str(&j, "uuid", "5c0e7d1a-93f2-4b7e-8d11-0123456789ab");
	mg_json_str(&j, "user", "alice");
	mg_json_int(&j, "uid", 7001);
	mg_json_int(&j, "ses", 42);
	mg_json_str(&j, "service", "modelgate");
	mg_json_bool(&j, "ok", true);
	if (mg_ledger_end(l, &j, &rec) != MG_ERR_OK)
		die("record");
	mg_rec_fini(&rec);
}

/* Asks for one record after the other, each once the last is durable. */
static void *
writer(void *arg)
{
	sem_t durable;
	double t;

	(void)arg;
	(void)sem_init(&durable, 0, 0);
	(void)pthread_mutex_lock(&g.lock);
	while (g.todo > 0) {
		g.todo--;
		t = now();
		if (g.nasked == 0)
			(void)pthread_cond_signal(&g.work);
		g.asked[g.nasked++] = &durable;
		(void)pthread_mutex_unlock(&g.lock);
		(void)sem_wait(&durable);
		t = now() - t;
		(void)pthread_mutex_lock(&g.lock);
		g.latency[g.nlatency++] = t;
	}
	(void)pthread_mutex_unlock(&g.lock);
	(void)sem_destroy(&durable);
	return NULL;
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* As the monitor does: all that was asked by now becomes durable together,
 * while the next questions come in. */
static void
commit_all(struct mg_ledger *l, unsigned long n)
{
	sem_t *asked[WRITERS_MAX];
	unsigned k, i;

	while (n > 0) {
		(void)pthread_mutex_lock(&g.lock);
		while (g.nasked == 0)
			(void)pthread_cond_wait(&g.work, &g.lock);
		k = g.nasked;
		memcpy(asked, g.asked, k * sizeof(asked[0]));
		g.nasked = 0;
		(void)pthread_mutex_unlock(&g.lock);
		for (i = 0; i < k; i++)
			put(l);
		if (mg_ledger_sync(l) != MG_ERR_OK)
			die("sync");
		for (i = 0; i < k; i++)
			(void)sem_post(asked[i]);
		n -= k;
	}
}

static void
append(const char *path, unsigned writers, unsigned long n)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l = open_folder(path, &rep);
	pthread_t t[WRITERS_MAX];
	double start;
	unsigned i;

	if (writers == 0 || writers > WRITERS_MAX)
		die("WRITERS");
	g.latency = calloc(n + 1, sizeof(double));
	g.todo = n;
	start = now();
	for (i = 0; i < writers; i++)
		if (pthread_create(&t[i], NULL, writer, NULL) != 0)
			die("thread");
	commit_all(l, n);
	for (i = 0; i < writers; i++)
		(void)pthread_join(t[i], NULL);
	start = now() - start;
	qsort(g.latency, n, sizeof(double), by_value);
	printf("%.0f %.0f %.0f\n", (double)n / start, g.latency[n / 2] * 1e6,
	    g.latency[n * 99 / 100] * 1e6);
	mg_ledger_free(l);
}

/* One record at a time, and beside it the same bytes and fdatasync. */
static void
one(const char *path, unsigned long n)
{
	double *a = calloc(n, sizeof(*a)), *b = calloc(n, sizeof(*b)), t;
	struct mg_ledger_report rep;
	struct mg_ledger *l = open_folder(path, &rep);
	char file[4096], line[300];
	unsigned long i;
	int fd;

	snprintf(file, sizeof(file), "%s/plain", path);
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0600);
	memset(line, 'x', sizeof(line));
	for (i = 0; i < n; i++) {
		t = now();
		put(l);
		if (mg_ledger_sync(l) != MG_ERR_OK)
			die("sync");
		a[i] = now() - t;
		t = now();
		if (write(fd, line, sizeof(line)) != (ssize_t)sizeof(line) ||
		    fdatasync(fd) != 0)
			die("fdatasync");
		b[i] = now() - t;
	}
	(void)unlink(file);
	qsort(a, n, sizeof(*a), by_value);
	qsort(b, n, sizeof(*b), by_value);
	printf("%.0f %.0f\n", a[n / 2] * 1e6, b[n / 2] * 1e6);
	mg_ledger_free(l);
}

/* ---- a history ---- */

static void
begin(
    struct mg_ledger *l, struct mg_json *j, const char *type, const char *uuid)
{
	mg_ledger_begin(l, j, type);
	mg_json_str(j, "uuid", uuid);
}

static void
end(struct mg_ledger *l, struct mg_json *j)
{
	struct mg_rec rec;

	mg_rec_init(&rec);
	if (mg_ledger_end(l, j, &rec) != MG_ERR_OK ||
	    mg_state_apply(state, &rec) != MG_ERR_OK) {
		fprintf(stderr, "record %s refused\n",
		    mg_rec_str(&rec, "type", "?"));
		exit(1);
	}
	mg_rec_fini(&rec);
}

/* Seven lines: asked, approved, granted, run, ended. */
static void
story(struct mg_ledger *l, unsigned long i)
{
	static const char *const people[] = {"alice", "bob", "carol", "dave"};
	static const char *const need[] = {"risk-owner", "1"};
	char uuid[MG_UUID_STR], model[32], version[16], sig[400];
	struct mg_json j;

	snprintf(uuid, sizeof(uuid), "%08lx-0000-4000-8000-%012lx", i, i);
	snprintf(model, sizeof(model), "model-%lu", i % 50);
	snprintf(version, sizeof(version), "%lu", i / 50 % 100);
	memset(sig, 'A', sizeof(sig) - 1);
	sig[sizeof(sig) - 1] = '\0';
	begin(l, &j, "request", uuid);
	mg_json_str(&j, "user", people[i % 4]);
	mg_json_int(&j, "uid", 7000 + (int64_t)(i % 4));
	mg_json_int(&j, "ses", 5);
	mg_json_str(&j, "origin", "10.1.2.3");
	mg_json_str(&j, "operation", i % 3 == 0 ? "promote" : "deploy");
	mg_json_str(&j, "model", model);
	mg_json_str(&j, "version", version);
	mg_json_str(&j, "reason", "a reason of usual length, as people write");
	mg_json_int(&j, "approve_ms", 900000);
	mg_json_int(&j, "start_ms", 600000);
	mg_json_int(&j, "lasts_ms", 1800000);
	mg_json_int(&j, "uses", 1);
	mg_json_strv(&j, "need", need, 2);
	end(l, &j);
	begin(l, &j, "decision", uuid);
	mg_json_str(&j, "approver", "bob");
	mg_json_str(&j, "decision", "approve");
	mg_json_str(&j, "key_fp", "SHA256:47DEQpj8HBSa+TImW+5JCeuQeRkm5NM");
	mg_json_str(&j, "sig", sig);
	end(l, &j);
	begin(l, &j, "grant", uuid);
	end(l, &j);
	begin(l, &j, "run", uuid);
	mg_json_int(&j, "run", 1);
	mg_json_int(&j, "run_ses", 6);
	end(l, &j);
	begin(l, &j, "exit", uuid);
	mg_json_int(&j, "run", 1);
	mg_json_str(&j, "how", "status");
	mg_json_int(&j, "value", 0);
	end(l, &j);
	begin(l, &j, "empty", uuid);
	mg_json_int(&j, "run", 1);
	end(l, &j);
	begin(l, &j, "end", uuid);
	mg_json_str(&j, "state", "used");
	mg_json_str(&j, "why", "used");
	mg_json_str(&j, "by", "");
	end(l, &j);
}

static void
fill(const char *path, unsigned long n, unsigned long segment)
{
	uint64_t last = 1;
	struct mg_ledger_report rep;
	struct mg_ledger *l = open_folder(path, &rep);
	struct mg_json j;
	struct mg_buf b;
	unsigned long i;

	mg_ledger_begin(l, &j, "start");
	mg_json_str(&j, "boot", BOOT);
	end(l, &j);
	mg_buf_init(&b, MG_LEDGER_SNAPSHOT_MAX);
	for (i = 0; mg_ledger_next_seq(l) <= n; i++) {
		story(l, i);
		if (i % 200 != 199 && segment == 0)
			continue;
		if (mg_ledger_sync(l) != MG_ERR_OK)
			die("sync");
		mg_state_commit(state);
		if (segment > 0 ? mg_ledger_next_seq(l) - last < segment
				: !mg_ledger_is_full(l, mg_time_wall_ms()))
			continue;
		last = mg_ledger_next_seq(l);
		mg_buf_reset(&b);
		if (mg_state_save(state, &b) != MG_ERR_OK ||
		    mg_ledger_rotate(l, mg_buf_ptr(&b), mg_buf_len(&b)) !=
			MG_ERR_OK)
			die("rotate");
	}
	if (mg_ledger_sync(l) != MG_ERR_OK)
		die("sync");
	printf("%llu\n", (unsigned long long)mg_ledger_size(l));
	mg_ledger_free(l);
}

static void
start(const char *path)
{
	struct mg_ledger_report rep;
	double t = now();
	struct mg_ledger *l = open_folder(path, &rep);

	t = now() - t;
	printf("%.0f %llu %llu\n", t * 1e3, (unsigned long long)rep.records,
	    (unsigned long long)rep.read);
	mg_ledger_free(l);
}

/* As many events in the form of auditd's log. */
static void
audit(unsigned long n)
{
	static const char *const people[] = {"alice", "bob", "carol", "dave"};
	unsigned long i;

	for (i = 0; i < n; i++)
		printf("type=USER_CMD msg=audit(%lu.%03lu:%lu): pid=%lu uid=0 "
		       "auid=%lu ses=5 subj=unconfined msg='op=modelgate:run "
		       "uuid=%08lx-0000-4000-8000-%012lx acct=\"%s\" "
		       "vm=\"model-%lu\" oauid=%lu oses=5 mgop=deploy "
		       "mgver=%lu exe=\"/usr/libexec/modelgate/mg-audit\" "
		       "hostname=gpu-7 addr=10.1.2.3 terminal=? "
		       "res=success'\n",
		    1795000000 + i / 1000, i % 1000, i + 1, 1000 + i % 30000,
		    7000 + i % 4, i / 7, i / 7, people[i % 4], i / 7 % 50,
		    7000 + i % 4, i % 100);
}

int
main(int argc, char **argv)
{
	unsigned long n = argc > 2 ? strtoul(argv[argc - 1], NULL, 10) : 0;

	if (argc == 5 && strcmp(argv[1], "append") == 0)
		append(argv[2], (unsigned)strtoul(argv[3], NULL, 10), n);
	else if (argc == 4 && strcmp(argv[1], "one") == 0)
		one(argv[2], n);
	else if (argc == 4 && strcmp(argv[1], "fill") == 0)
		fill(argv[2], n, 0);
	else if (argc == 5 && strcmp(argv[1], "fill") == 0)
		fill(argv[2], n, strtoul(argv[3], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "start") == 0)
		start(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "audit") == 0)
		audit(n);
	else
		return 2;
	return 0;
}
