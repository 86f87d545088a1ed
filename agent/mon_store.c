/* SPDX-License-Identifier: ISC */
/*
 * Artifacts: their digests, their signers, and the store that they are
 * served from.
 *
 * The store is a folder of root's that everybody may read. A copy of an
 * artifact in it is called after the artifact's digest; it is made when a
 * grant for that digest is used for the first time.
 *
 * Rules
 * 1. Nothing here reads an artifact or even opens it: that happens in
 *    processes that can be ended (a FUSE file may never answer).
 * 2. A copy gets its name only when mg-verify, reading the copy itself,
 *    has found the digest that was approved. Whoever swaps, links, writes
 *    or lies while the copy is made, makes a copy that is thrown away.
 * 3. A copy that is there already is digested again at every use, and so
 *    is the source: somebody who changed it wanted something else served,
 *    and that is refused and recorded, not passed over.
 * 4. What a rule asks of signatures is checked on the same copy. At the
 *    filing it is checked on the source, to tell people early.
 * 5. One person can have only a few of these at work.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_name.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"
#include "verify/mg_signed.h"

#define SIGNERS_DIR MG_CONFDIR "/signers"
#define SIGNERS_BYTES_MAX 131072
#define AT_WORK_MAX 4 /* of one person */

static const struct mg_file_rule root_only = {.owner = 0};

/* ---- the folder ---- */

/* Leftovers of copies that nobody waits for. */
void
mon_store_clean(struct mon *m, const char *name)
{
	struct mon_proc p = {.on_frame = NULL};

	if (mon_proc_start(&p, m, "mg-store", "clean", name, MG_ROLE_VERIFY,
		&m->store_dir, 1) == MG_ERR_OK)
		mon_proc_let_go(&p);
}

void
mon_store_init(struct mon *m)
{
	struct dirent *de;
	char why[512];
	DIR *d;
	int fd;

	if (mkdir(MON_STORE_DIR, 0755) != 0 && errno != EEXIST)
		mg_fatal("cannot make %s: %s", MON_STORE_DIR, strerror(errno));
	if (mg_file_open(MON_STORE_DIR, O_DIRECTORY, &root_only, &m->store_dir,
		why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s: %s", MON_STORE_DIR, why);
	if (fchmod(m->store_dir, 0755) != 0) /* whatever the umask was */
		mg_fatal("%s: %s", MON_STORE_DIR, strerror(errno));
	fd = openat(m->store_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL)
		mg_fatal("cannot read %s", MON_STORE_DIR);
	while ((de = readdir(d)) != NULL)
		if (strncmp(de->d_name, "tmp-", 4) == 0)
			mon_store_clean(m, de->d_name);
	closedir(d);
}

/* "sha256:HEX" -> "sha256-HEX"; false when it is not a digest. */
static bool
copy_name(const char *digest, char name[MON_COPY_NAME])
{
	if (strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 71 ||
	    strspn(digest + 7, "0123456789abcdef") != 64)
		return false;
	snprintf(name, MON_COPY_NAME, "sha256-%s", digest + 7);
	return true;
}

bool
mon_store_path(const char *digest, char *out, size_t size)
{
	char name[MON_COPY_NAME];

	out[0] = '\0';
	if (!copy_name(digest, name))
		return false;
	snprintf(out, size, MON_STORE_DIR "/%s", name);
	return true;
}

/* ---- signers ---- */

static bool
put_signer(struct mg_buf *b, const char *name, char *why, size_t size)
{
	char path[sizeof(SIGNERS_DIR) + MG_NAME_MAX + 8];
	struct mg_buf pem;
	bool ok = false;
	int fd;

	snprintf(path, sizeof(path), SIGNERS_DIR "/%s.pem", name);
	if (mg_file_open(path, 0, &root_only, &fd, why, size) != MG_ERR_OK)
		return false;
	mg_buf_init(&pem, MG_SIGNED_PEM_MAX);
	if (mg_file_read(fd, &pem) != MG_ERR_OK ||
	    mg_buf_put_str(b, name) != MG_ERR_OK ||
	    mg_buf_put_bytes(b, mg_buf_ptr(&pem), mg_buf_len(&pem)) !=
		MG_ERR_OK)
		snprintf(why, size, "%s is too large", path);
	else
		ok = true;
	close(fd);
	mg_buf_fini(&pem);
	return ok;
}

/* "signed" with no name: whoever has a file there. */
static bool
put_every_signer(struct mg_buf *b, char *why, size_t size)
{
	char name[MG_NAME_MAX + 1];
	const struct dirent *de;
	bool ok = true;
	size_t n, count = 0;
	DIR *d;
	int fd;

	if (mg_file_open(SIGNERS_DIR, O_DIRECTORY, &root_only, &fd, why,
		size) != MG_ERR_OK)
		return false;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return false;
	}
	while (ok && (de = readdir(d)) != NULL) {
		n = strlen(de->d_name);
		if (n <= 4 || n - 4 > MG_NAME_MAX ||
		    strcmp(de->d_name + n - 4, ".pem") != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(n - 4), de->d_name);
		if (mg_name_is_valid(name) && count++ < MG_SIGNED_SIGNERS_MAX)
			ok = put_signer(b, name, why, size);
	}
	closedir(d);
	return ok;
}

bool
mon_job_signers(
    struct mon_job *job, const struct mg_verdict *v, char *why, size_t size)
{
	size_t i;

	mg_buf_fini(&job->signers);
	mg_buf_init(&job->signers, SIGNERS_BYTES_MAX);
	job->want_signed = v->artifact_signed;
	if (!v->artifact_signed)
		return true;
	if (v->nsigners == 0)
		return put_every_signer(&job->signers, why, size);
	for (i = 0; i < v->nsigners; i++)
		if (!put_signer(&job->signers, v->signers[i], why, size))
			return false;
	return true;
}

/* ---- digests ---- */

static void
tell_client(struct mon_job *job, struct mg_frame *f)
{
	struct mg_progress msg;

	if (mg_frame_decode(f, &msg, sizeof(msg)) == MG_ERR_OK)
		mon_reply(job->client, MG_MSG_PROGRESS, &msg);
}

static void
work_over(struct mon_job *job)
{
	mg_timer_clear(job->m->loop, &job->timer);
	mon_proc_stop(&job->work);
}

static void
digest_frame(void *arg, struct mg_frame *f)
{
	struct mon_job *job = arg;
	struct mg_digest_ans a;
	char text[600];
	bool ok;

	if (f->op == MG_MSG_PROGRESS) {
		tell_client(job, f);
		return;
	}
	ok = f->op == MG_MSG_DIGEST_ANS &&
	     mg_frame_decode(f, &a, sizeof(a)) == MG_ERR_OK;
	snprintf(text, sizeof(text), "%s",
	    ok && a.text[0] != '\0' ? a.text : "digest failed");
	if (ok) {
		snprintf(job->digest, sizeof(job->digest), "%s", a.digest);
		snprintf(job->signer, sizeof(job->signer), "%s", a.signer);
		snprintf(
		    job->signer_fp, sizeof(job->signer_fp), "%s", a.signer_fp);
		job->is_unsigned = a.is_unsigned;
	}
	ok = ok && a.ok && (!job->want_signed || job->signer[0] != '\0');
	if (ok)
		job->bytes = a.bytes < INT64_MAX ? a.bytes : INT64_MAX;
	work_over(job); /* f is gone from here on */
	job->on_digest(job, ok, text);
}

static void
digest_ended(void *arg, int status)
{
	struct mon_job *job = arg;

	(void)status;
	mg_timer_clear(job->m->loop, &job->timer);
	job->on_digest(job, false, "the verifier ended");
}

static void
digest_late(void *arg)
{
	struct mon_job *job = arg;

	work_over(job);
	job->on_digest(job, false, "it took too long to read");
}

/* Starts a process for job; its op is sent. False: nothing is under way. */
static bool
start_work(struct mon_job *job, const char *name, const char *mode,
    const char *path, const int *extra, enum mg_msg_op op, const void *msg)
{
	enum mg_err r;

	job->work.arg = job;
	r = mon_proc_start(&job->work, job->m, name, mode, path, MG_ROLE_VERIFY,
	    extra, extra == NULL ? 0 : 1);
	if (r == MG_ERR_OK)
		r = mon_port_send(&job->work.port, 1, op, msg);
	if (r == MG_ERR_OK)
		return true;
	mon_proc_stop(&job->work);
	return false;
}

/* Rule 5 */
static bool
is_busy(const struct mon_job *job)
{
	const struct mon_client *c;
	unsigned n = 0;

	for (c = job->m->clients; c != NULL; c = c->next)
		if (c->job != NULL && c->job != job &&
		    c->job->uid == job->uid && mon_proc_is_up(&c->job->work))
			n++;
	return n >= AT_WORK_MAX;
}

void
mon_job_digest(struct mon_job *job, const char *path,
    void (*fn)(struct mon_job *job, bool ok, const char *text))
{
	struct mg_digest_req q = {.max_bytes = job->m->conf.artifact_max,
	    .is_signed = job->want_signed,
	    .now_ms = mg_time_wall_ms(),
	    .signers = mg_buf_ptr(&job->signers),
	    .signers_len = mg_buf_len(&job->signers)};

	job->on_digest = fn;
	job->digest[0] = job->signer[0] = job->signer_fp[0] = '\0';
	job->is_unsigned = false;
	if (is_busy(job)) {
		fn(job, false, "too many artifacts of yours are being read");
		return;
	}
	job->work.on_frame = digest_frame;
	job->work.on_end = digest_ended;
	if (!start_work(job, "mg-verify", "digest", path, NULL,
		MG_MSG_DIGEST_REQ, &q)) {
		fn(job, false, "the verifier cannot be started");
		return;
	}
	mon_timer_set(job->m, &job->timer,
	    mg_time_boot_ms() + MON_DIGEST_DEADLINE_MS, digest_late, job);
}

/* ---- copies ---- */

void
mon_job_drop_copy(struct mon_job *job)
{
	if (job->copy[0] != '\0')
		mon_store_clean(job->m, job->copy);
	job->copy[0] = '\0';
}

static void
copy_done(struct mon_job *job, bool ok, const char *text)
{
	mon_job_drop_copy(job);
	job->on_bound(job, ok, text);
}

/* Rule 2: the copy was read, by itself. */
static void
copy_digested(struct mon_job *job, bool ok, const char *text)
{
	char name[MON_COPY_NAME], why[256];

	if (!ok || strcmp(job->digest, job->want_digest) != 0) {
		copy_done(job, ok, text);
		return;
	}
	if (!copy_name(job->digest, name)) {
		copy_done(job, false, "not a digest");
		return;
	}
	if (renameat2(job->m->store_dir, job->copy, job->m->store_dir, name,
		RENAME_NOREPLACE) == 0) {
		job->copy[0] = '\0';
		if (fsync(job->m->store_dir) == 0) {
			copy_done(job, true, "");
			return;
		}
	} else if (errno == EEXIST) {
		/* Another run was faster; its copy is looked at as well. */
		char path[sizeof(MON_STORE_DIR) + MON_COPY_NAME];

		mon_job_drop_copy(job);
		(void)mon_store_path(job->want_digest, path, sizeof(path));
		mon_job_digest(job, path, job->on_bound);
		return;
	}
	snprintf(why, sizeof(why), "cannot keep the copy: %s", strerror(errno));
	copy_done(job, false, why);
}

static void
copy_frame(void *arg, struct mg_frame *f)
{
	char text[600], path[sizeof(MON_STORE_DIR) + MON_COPY_NAME];
	struct mon_job *job = arg;
	struct mg_copy_ans a;
	bool ok;

	if (f->op == MG_MSG_PROGRESS) {
		tell_client(job, f);
		return;
	}
	ok = f->op == MG_MSG_COPY_ANS &&
	     mg_frame_decode(f, &a, sizeof(a)) == MG_ERR_OK;
	snprintf(text, sizeof(text), "%s",
	    ok && a.text[0] != '\0' ? a.text : "copying failed");
	ok = ok && a.ok;
	work_over(job); /* f is gone from here on */
	if (!ok) {
		copy_done(job, false, text);
		return;
	}
	snprintf(path, sizeof(path), MON_STORE_DIR "/%s", job->copy);
	mon_job_digest(job, path, copy_digested);
}

static void
copy_ended(void *arg, int status)
{
	struct mon_job *job = arg;

	(void)status;
	mg_timer_clear(job->m->loop, &job->timer);
	copy_done(job, false, "the copier ended");
}

static void
copy_late(void *arg)
{
	struct mon_job *job = arg;

	work_over(job);
	copy_done(job, false, "it took too long to copy");
}

static void
start_copy(struct mon_job *job, const char *source)
{
	struct mg_copy_req q = {.max_bytes = job->m->conf.artifact_max};
	struct mon *m = job->m;
	int fd = -1;

	snprintf(job->copy, sizeof(job->copy), "tmp-%u-%u", (unsigned)getpid(),
	    ++m->copy_counter);
	if (mkdirat(m->store_dir, job->copy, 0700) == 0)
		fd = openat(m->store_dir, job->copy,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		job->copy[0] = '\0';
		job->on_bound(job, false, "the store cannot be written");
		return;
	}
	job->work.on_frame = copy_frame;
	job->work.on_end = copy_ended;
	if (start_work(
		job, "mg-store", "copy", source, &fd, MG_MSG_COPY_REQ, &q))
		mon_timer_set(m, &job->timer,
		    mg_time_boot_ms() + MON_DIGEST_DEADLINE_MS, copy_late, job);
	else
		copy_done(job, false, "the copier cannot be started");
	close(fd);
}

/* Rule 3: the source is as it was; now the copy. */
static void
source_digested(struct mon_job *job, bool ok, const char *text)
{
	char path[sizeof(MON_STORE_DIR) + MON_COPY_NAME];

	if (!ok || strcmp(job->digest, job->want_digest) != 0 ||
	    !mon_store_path(job->want_digest, path, sizeof(path)))
		job->on_bound(job, ok, text);
	else
		mon_job_digest(job, path, job->on_bound);
}

void
mon_job_bind(struct mon_job *job, const char *source, const char *digest,
    void (*fn)(struct mon_job *job, bool ok, const char *text))
{
	char name[MON_COPY_NAME];
	struct stat st;

	job->on_bound = fn;
	snprintf(job->want_digest, sizeof(job->want_digest), "%s", digest);
	if (!copy_name(digest, name)) {
		fn(job, false, "not a digest");
		return;
	}
	if (fstatat(job->m->store_dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		start_copy(job, source);
		return;
	}
	mon_job_digest(job, source, source_digested); /* Rule 3 */
}
