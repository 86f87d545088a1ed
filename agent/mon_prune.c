/* SPDX-License-Identifier: ISC */
/*
 * Copies in the store that nobody needs any more.
 *
 * Rules
 * 1. What is live, was promoted, or can be gone back to stays; so does what
 *    is found to be served instead, and what a request, grant, run or a
 *    client at work names. This is looked at again right before a copy goes.
 * 2. Only after every model's served bytes were looked at: a copy that
 *    somebody serves without a record is found by its digest, not by a link
 *    that may change meanwhile.
 * 3. What an operation without a known effect was given is never removed:
 *    nobody says when it is not used any more.
 * 4. On record, and taken by the kernel, before it goes. It loses its name
 *    in one step; its bytes go afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_id.h"
#include "mon.h"
#include "mon_job.h"

#define AT_ONCE_MAX 8
#define PREFIX "sha256-"
#define HELD "held-"

struct prune {
	struct mon *m;
	char name[MON_COPY_NAME]; /* "sha256-HEX" */
	char digest[MON_COPY_NAME];
	char uuid[MG_UUID_STR];
};

/* Rule 3 */
void
mon_prune_hold(struct mon *m, const char *digest)
{
	char held[sizeof(HELD) + MON_COPY_NAME];
	int fd;

	if (strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 7 + 64)
		return;
	snprintf(held, sizeof(held), HELD PREFIX "%s", digest + 7);
	fd = openat(m->store_dir, held,
	    O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd == -1) {
		mg_log(MG_EVT_ERROR, "err='cannot hold a copy: %s'",
		    strerror(errno));
		return;
	}
	(void)!fsync(m->store_dir);
	close(fd);
}

static bool
is_held(const struct mon *m, const char *name)
{
	char held[sizeof(HELD) + MON_COPY_NAME];

	snprintf(held, sizeof(held), HELD "%s", name);
	return faccessat(m->store_dir, held, F_OK, 0) == 0 || errno != ENOENT;
}

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool
model_needs(const struct mon *m, const struct mg_model *p, const char *digest)
{
	size_t i;

	if (is(p->live.digest, digest) || is(p->found, digest))
		return true;
	for (i = 0; i < MG_MODEL_BACK_MAX; i++)
		if ((i < m->conf.keep_versions ||
			is(p->back[i].version, p->promoted)) &&
		    is(p->back[i].digest, digest))
			return true;
	return false;
}

/* Rule 1 */
static bool
is_needed(const struct mon *m, const char *digest)
{
	const struct mg_models *ms = mg_state_models(m->state);
	const struct mon_client *c;
	const struct mg_model *p;
	const struct mg_req *r;

	if (mg_models_are_full(ms))
		return true; /* not all of them are known */
	for (p = mg_models_first(ms); p != NULL; p = p->next)
		if (model_needs(m, p, digest))
			return true;
	for (r = mg_state_live(m->state); r != NULL; r = r->next)
		if (is(r->digest, digest))
			return true;
	for (r = mg_state_ended(m->state); r != NULL; r = r->next)
		if (r->live.nruns > 0 && is(r->digest, digest))
			return true;
	for (c = m->clients; c != NULL; c = c->next)
		if (c->job != NULL && (is(c->job->want_digest, digest) ||
					  is(c->job->digest, digest)))
			return true;
	return false;
}

static void
put_record(struct prune *p, bool ok, mon_txn_fn fn)
{
	struct mon_txn *t = mon_txn_begin(p->m);
	struct mg_json *j = mon_rec_begin(t, "prune");

	mg_json_str(j, "uuid", p->uuid);
	mg_json_bool(j, "ok", ok);
	mg_json_str(j, "digest", p->digest);
	mon_rec_end(t);
	mon_txn_commit(t, fn, fn == NULL ? NULL : p);
}

/* Rules 1, 4 */
static void
recorded(void *arg, enum mg_why why)
{
	struct prune *p = arg;
	struct mon *m = p->m;
	char tmp[48];

	snprintf(tmp, sizeof(tmp), "tmp-prune-%u-%u", (unsigned)getpid(),
	    ++m->copy_counter);
	if (why == MG_WHY_NONE && !is_needed(m, p->digest) &&
	    !is_held(m, p->name) &&
	    renameat2(m->store_dir, p->name, m->store_dir, tmp,
		RENAME_NOREPLACE) == 0) {
		mg_log(MG_EVT_CONFIG, "copy=%s text='removed: not needed'",
		    p->name);
		(void)!fsync(m->store_dir);
		mon_store_clean(m, tmp);
	} else if (why == MG_WHY_NONE || why == MG_WHY_AUDIT_FAILED) {
		put_record(p, false, NULL); /* it stayed */
	}
	free(p);
}

static void
prune_one(struct mon *m, const char *name)
{
	struct prune *p = calloc(1, sizeof(*p));
	struct mg_uuid u;

	if (p == NULL || mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no memory or no random numbers");
	p->m = m;
	mg_uuid_format(&u, p->uuid);
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(
	    p->digest, sizeof(p->digest), "sha256:%s", name + strlen(PREFIX));
	put_record(p, true, recorded);
}

void
mon_prune(struct mon *m)
{
	char digest[MON_COPY_NAME];
	const struct dirent *de;
	unsigned n = 0;
	DIR *d;
	int fd;

	fd = openat(m->store_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while (n < AT_ONCE_MAX && (de = readdir(d)) != NULL) {
		if (strncmp(de->d_name, PREFIX, strlen(PREFIX)) != 0 ||
		    strlen(de->d_name) != strlen(PREFIX) + 64)
			continue;
		snprintf(digest, sizeof(digest), "sha256:%.64s",
		    de->d_name + strlen(PREFIX));
		if (is_needed(m, digest) || is_held(m, de->d_name))
			continue;
		prune_one(m, de->d_name);
		n++;
	}
	closedir(d);
}
