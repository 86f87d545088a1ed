/* SPDX-License-Identifier: ISC */
/*
 * Digests of the pieces of a tree, in several threads.
 *
 * Files are mapped, not read: copying a byte costs a sixth of hashing it.
 *
 * Rules
 * 1. A mapped file that is cut short while we look at it raises SIGBUS. It
 *    is caught where it happens and reads as "changed".
 * 2. The first failure ends all threads, and nothing that was computed is
 *    used: half a digest is no digest.
 * 3. What was read is what was listed: identity, size and times are
 *    compared before and after, for files and for folders.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "mg_esc.h"
#include "verify/mg_hash.h"

#define WINDOW ((uint64_t)16 << 20) /* bytes mapped at a time */
#define AHEAD 2			    /* windows */
#define STEP ((uint64_t)256 << 10)  /* read ahead at a time */
#define SMALL ((uint64_t)64 << 10)  /* read rather than map up to here */
#define STACK_BYTES ((size_t)512 << 10)
#define PROGRESS_MS 100

struct pool {
	struct mg_hash_job *job;
	const EVP_MD *md;
	size_t *order; /* pieces, the longest first */
	atomic_size_t next;
	atomic_uint_fast64_t done;
	atomic_bool stop;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t ended;
	unsigned running;
	enum mg_err r;
	char why[512];
};

struct worker {
	struct pool *pool;
	EVP_MD_CTX *ctx;
	uint8_t *buf; /* SMALL bytes */
	char why[512];
};

/* Where this thread goes on when a mapped page cannot be had. Rule 1 */
static _Thread_local sigjmp_buf *volatile bus_exit;

static void
on_bus(int sig)
{
	if (bus_exit != NULL)
		siglongjmp(*bus_exit, 1);
	(void)signal(sig, SIG_DFL); /* not ours: die of it on return */
}

size_t
mg_hash_bytes(enum mg_hash hash)
{
	switch (hash) {
	case MG_HASH_SHA256:
		return 32;
	case MG_HASH_BLAKE2B:
		return 64;
	case MG_HASH_NONE:
		break;
	}
	return 0;
}

static EVP_MD *
fetch(enum mg_hash hash)
{
	switch (hash) {
	case MG_HASH_SHA256:
		return EVP_MD_fetch(NULL, "SHA256", NULL);
	case MG_HASH_BLAKE2B:
		return EVP_MD_fetch(NULL, "BLAKE2B-512", NULL);
	case MG_HASH_NONE:
		break;
	}
	return NULL;
}

static enum mg_err
say(struct worker *w, const struct mg_hash_piece *p, enum mg_err r,
    const char *text)
{
	const char *path = w->pool->job->tree->files[p->file].path;
	char esc[160];

	mg_esc_line(path, esc, sizeof(esc));
	snprintf(w->why, sizeof(w->why), "'%s' %s", esc, text);
	return r;
}

/* ---- one stretch ---- */

/* False when a page could not be had. */
static bool
update_mapped(EVP_MD_CTX *ctx, const void *p, size_t n, bool *okp)
{
	sigjmp_buf env;

	*okp = false;
	if (sigsetjmp(env, 0) != 0) {
		bus_exit = NULL;
		return false;
	}
	bus_exit = &env;
	*okp = EVP_DigestUpdate(ctx, p, n) == 1;
	bus_exit = NULL;
	return true;
}

/* n bytes at off, of which off is a multiple of the page size. */
static enum mg_err
hash_mapped(struct worker *w, const struct mg_hash_piece *p, int fd,
    uint64_t page, size_t skip, size_t n)
{
	bool ok, whole;
	uint8_t *map;

	map = mmap(NULL, n + skip, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (map == MAP_FAILED)
		return MG_ERR_AGAIN; /* read it instead */
	(void)madvise(map, n + skip, MADV_SEQUENTIAL);
	whole = update_mapped(w->ctx, map + skip, n, &ok);
	(void)munmap(map, n + skip);
	if (!whole)
		return say(w, p, MG_ERR_STATE,
		    "was changed while it was read, or cannot be read");
	return ok ? MG_ERR_OK : MG_ERR_INTERNAL;
}

static enum mg_err
hash_read(struct worker *w, const struct mg_hash_piece *p, int fd, uint64_t off,
    uint64_t n)
{
	char text[128];
	ssize_t got;
	size_t want;

	while (n > 0) {
		want = n > SMALL ? (size_t)SMALL : (size_t)n;
		got = pread(fd, w->buf, want, (off_t)off);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			snprintf(text, sizeof(text), "cannot be read: %s",
			    strerror(errno));
			return say(w, p, MG_ERR_SYS, text);
		}
		if (got == 0)
			return say(w, p, MG_ERR_STATE,
			    "was changed while it was read");
		if (EVP_DigestUpdate(w->ctx, w->buf, (size_t)got) != 1)
			return MG_ERR_INTERNAL;
		off += (uint64_t)got;
		n -= (uint64_t)got;
	}
	return MG_ERR_OK;
}

static enum mg_err
hash_window(struct worker *w, const struct mg_hash_piece *p, int fd,
    uint64_t off, uint64_t n)
{
	uint64_t skip = off % (uint64_t)sysconf(_SC_PAGESIZE);
	enum mg_err r = MG_ERR_AGAIN;

	if (n > SMALL)
		r = hash_mapped(w, p, fd, off - skip, (size_t)skip, (size_t)n);
	if (r == MG_ERR_AGAIN)
		r = hash_read(w, p, fd, off, n);
	return r;
}

/* Has the disk read ahead of us: what begins at off, up to the end. */
static void
prefetch(const struct mg_hash_piece *p, int fd, uint64_t off, uint64_t n)
{
	if (off >= p->end || p->end - p->start <= SMALL)
		return;
	if (n > p->end - off)
		n = p->end - off;
	/* One call reads no more than the device takes at a time. */
	for (n += off; off < n; off += STEP)
		(void)posix_fadvise(
		    fd, (off_t)off, (off_t)STEP, POSIX_FADV_WILLNEED);
}

static enum mg_err
hash_stretch(struct worker *w, const struct mg_hash_piece *p, int fd)
{
	uint64_t off, n;
	enum mg_err r = MG_ERR_OK;

	prefetch(p, fd, p->start, AHEAD * WINDOW);
	for (off = p->start; off < p->end && r == MG_ERR_OK; off += n) {
		n = p->end - off < WINDOW ? p->end - off : WINDOW;
		if (atomic_load(&w->pool->stop))
			return MG_ERR_CLOSED;
		if (n == WINDOW)
			prefetch(p, fd, off + AHEAD * WINDOW, WINDOW);
		r = hash_window(w, p, fd, off, n);
		atomic_fetch_add(&w->pool->done, n);
	}
	return r;
}

static enum mg_err
hash_piece(struct worker *w, struct mg_hash_piece *p)
{
	const struct mg_tree *tree = w->pool->job->tree;
	enum mg_err r;
	int fd;

	r = mg_tree_open(tree, p->file, &fd, w->why, sizeof(w->why));
	if (r != MG_ERR_OK) /* Rule 3 */
		return r;
	if (p->end > tree->files[p->file].id.size || p->start > p->end ||
	    EVP_DigestInit_ex2(w->ctx, w->pool->md, NULL) != 1)
		r = MG_ERR_INTERNAL;
	else
		r = hash_stretch(w, p, fd);
	if (r == MG_ERR_OK && EVP_DigestFinal_ex(w->ctx, p->digest, NULL) != 1)
		r = MG_ERR_INTERNAL;
	if (r == MG_ERR_OK) /* Rule 3 */
		r = mg_tree_check(tree, p->file, fd, w->why, sizeof(w->why));
	close(fd);
	return r;
}

/* ---- the threads ---- */

/* Rule 2 */
static void
fail(struct pool *pool, enum mg_err r, const char *why)
{
	pthread_mutex_lock(&pool->lock);
	if (pool->r == MG_ERR_OK) {
		pool->r = r;
		snprintf(pool->why, sizeof(pool->why), "%s",
		    why[0] == '\0' ? mg_err_str(r) : why);
	}
	pthread_mutex_unlock(&pool->lock);
	atomic_store(&pool->stop, true);
}

static void
work(struct pool *pool, struct worker *w)
{
	struct mg_hash_job *job = pool->job;
	enum mg_err r;
	size_t i;

	while (!atomic_load(&pool->stop)) {
		i = atomic_fetch_add(&pool->next, 1);
		if (i >= job->npieces)
			return;
		r = hash_piece(w, &job->pieces[pool->order[i]]);
		if (r != MG_ERR_OK)
			fail(pool, r, w->why);
	}
}

static void *
worker_main(void *arg)
{
	struct pool *pool = arg;
	struct worker w;

	memset(&w, 0, sizeof(w));
	w.pool = pool;
	w.ctx = EVP_MD_CTX_new();
	w.buf = malloc((size_t)SMALL);
	if (w.ctx == NULL || w.buf == NULL)
		fail(pool, MG_ERR_NOMEM, "");
	else
		work(pool, &w);
	free(w.buf);
	EVP_MD_CTX_free(w.ctx);
	pthread_mutex_lock(&pool->lock);
	pool->running--;
	pthread_cond_signal(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* How many threads are of use. */
static unsigned
count_threads(const struct mg_hash_job *job)
{
	unsigned n = job->threads;
	cpu_set_t set;

	if (n == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (unsigned)CPU_COUNT(&set);
	if (n > MG_HASH_THREADS_MAX)
		n = MG_HASH_THREADS_MAX;
	if (n > job->npieces)
		n = (unsigned)job->npieces;
	return n == 0 ? 1 : n;
}

static uint64_t
total_bytes(const struct mg_hash_job *job)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < job->npieces; i++)
		n += job->pieces[i].end - job->pieces[i].start;
	return n;
}

/* Waits until no thread runs, telling the caller how far they are. */
static void
wait_all(struct pool *pool)
{
	const struct mg_hash_job *job = pool->job;
	uint64_t total = total_bytes(job);
	struct timespec ts;

	pthread_mutex_lock(&pool->lock);
	while (pool->running > 0) {
		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_nsec += PROGRESS_MS * 1000000L;
		if (ts.tv_nsec >= 1000000000L) {
			ts.tv_nsec -= 1000000000L;
			ts.tv_sec++;
		}
		(void)pthread_cond_timedwait(&pool->ended, &pool->lock, &ts);
		if (job->progress == NULL)
			continue;
		pthread_mutex_unlock(&pool->lock);
		job->progress(job->arg, atomic_load(&pool->done), total);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
}

/* Fewer threads than wanted are enough; none is not. */
static void
run_threads(struct pool *pool)
{
	pthread_t threads[MG_HASH_THREADS_MAX];
	unsigned want = count_threads(pool->job), n = 0, i;
	pthread_attr_t attr;

	if (pthread_attr_init(&attr) != 0) {
		fail(pool, MG_ERR_NOMEM, "");
		return;
	}
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (i = 0; i < want; i++) {
		pthread_mutex_lock(&pool->lock);
		pool->running++;
		pthread_mutex_unlock(&pool->lock);
		if (pthread_create(&threads[n], &attr, worker_main, pool) ==
		    0) {
			n++;
			continue;
		}
		pthread_mutex_lock(&pool->lock);
		pool->running--;
		pthread_mutex_unlock(&pool->lock);
		break;
	}
	(void)pthread_attr_destroy(&attr);
	if (n == 0)
		fail(pool, MG_ERR_SYS, "no thread can be started");
	wait_all(pool);
	for (i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
}

/* ---- the whole ---- */

static int
compare(const void *a, const void *b, void *arg)
{
	const struct mg_hash_piece *pieces = arg;
	const struct mg_hash_piece *x = &pieces[*(const size_t *)a];
	const struct mg_hash_piece *y = &pieces[*(const size_t *)b];
	uint64_t n = x->end - x->start, m = y->end - y->start;

	if (n != m)
		return n > m ? -1 : 1;
	return *(const size_t *)a < *(const size_t *)b ? -1 : 1;
}

/* The longest first, so that no core is left with one at the end. */
static size_t *
make_order(const struct mg_hash_job *job)
{
	size_t *order, i;

	if ((order = calloc(job->npieces + 1, sizeof(*order))) == NULL)
		return NULL;
	for (i = 0; i < job->npieces; i++)
		order[i] = i;
	qsort_r(order, job->npieces, sizeof(*order), compare, job->pieces);
	return order;
}

static bool
init_sync(struct pool *pool)
{
	pthread_condattr_t attr;
	bool ok;

	if (pthread_mutex_init(&pool->lock, NULL) != 0)
		return false;
	if (pthread_condattr_init(&attr) != 0) {
		(void)pthread_mutex_destroy(&pool->lock);
		return false;
	}
	ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
	     pthread_cond_init(&pool->ended, &attr) == 0;
	(void)pthread_condattr_destroy(&attr);
	if (!ok)
		(void)pthread_mutex_destroy(&pool->lock);
	return ok;
}

static enum mg_err
run_guarded(struct pool *pool)
{
	struct sigaction sa, old;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_bus;
	sa.sa_flags = SA_NODEFER; /* left by siglongjmp() */
	if (sigaction(SIGBUS, &sa, &old) != 0)
		return MG_ERR_SYS;
	run_threads(pool);
	(void)sigaction(SIGBUS, &old, NULL);
	if (pool->r == MG_ERR_OK) /* Rule 3 */
		pool->r = mg_tree_check_dirs(
		    pool->job->tree, pool->why, sizeof(pool->why));
	return pool->r;
}

enum mg_err
mg_hash_run(struct mg_hash_job *job, char *why, size_t why_size)
{
	struct pool pool;
	EVP_MD *md = NULL;
	enum mg_err r = MG_ERR_NOMEM;

	memset(&pool, 0, sizeof(pool));
	why[0] = '\0';
	pool.job = job;
	if ((pool.order = make_order(job)) == NULL)
		goto out;
	if ((md = fetch(job->hash)) == NULL) {
		r = MG_ERR_INTERNAL;
		goto out;
	}
	pool.md = md;
	if (!init_sync(&pool))
		goto out;
	r = run_guarded(&pool);
	(void)pthread_mutex_destroy(&pool.lock);
	(void)pthread_cond_destroy(&pool.ended);
out:
	if (r != MG_ERR_OK)
		snprintf(why, why_size, "%s",
		    pool.why[0] == '\0' ? mg_err_str(r) : pool.why);
	EVP_MD_free(md);
	free(pool.order);
	return r;
}
