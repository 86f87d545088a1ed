/* SPDX-License-Identifier: ISC */
/*
 * What policy is in force, and why another is not.
 *
 * A policy may say that stewards sign whatever replaces it. Then what is in
 * force is not what lies in /etc, but what the ledger names: its copy lies in
 * the agent's own folder, and only its digest makes it count.
 *
 * Rules
 * 1. A reload replaces all or nothing; what is refused stays refused across
 *    restarts, and what was in force stays in force.
 * 2. Whoever can write files cannot bring them into force: the policy in
 *    force says who must have signed, the keys in force say who did. Both
 *    are known by the digests in the ledger, not by where files lie.
 * 3. A version is used once, so that an older policy, signed as it was, does
 *    not come back; the ledger remembers the highest.
 * 4. Nothing takes effect before it is on record. What was refused, and what
 *    was changed by hand, is on record too.
 */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_ini.h"
#include "mg_name.h"
#include "mg_text.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_copy.h"

#define POLICY_DIR MG_CONFDIR "/policy.d"
#define OPERATIONS_DIR MG_CONFDIR "/operations.d"
#define SIGNERS MG_CONFDIR "/allowed_signers"
#define SIGNATURES MG_CONFDIR "/signatures"

#define SIGS_MAX 32 /* that are looked at */
#define SIG_BYTES 16384
#define FIRST_MS 60000 /* for the signatures of the very first policy */

static const struct mg_file_rule root_only = {.owner = 0};

/* A guarded file that may come into force. */
struct paper {
	const char *what; /* as signed texts and file names have it */
	bool is_new;	  /* it is not what is in force */
	bool is_good;
	uint64_t version;
	char digest[MG_STATE_DIGEST];
	const char *by[SIGS_MAX]; /* who signed it, as names of sigs[] */
	size_t nby;
	char why[512]; /* it does not come into force */
};

struct sigfile {
	struct paper *of;
	char name[MG_NAME_MAX + 1];
	struct mg_buf bytes;
};

struct mon_candidate {
	struct mon *m;
	struct mg_policy *next;
	struct mg_buf keys; /* allowed_signers */
	struct paper policy, signers;
	struct sigfile sigs[SIGS_MAX];
	size_t nsigs, at;
	struct mg_buf text;
	struct mon_sig check;
	bool pins; /* the keys come into force along with the policy */
};

/* ---- reading ---- */

static enum mg_err
read_file(const char *path, struct mg_buf *b, char *why, size_t size)
{
	enum mg_err r;
	int fd;

	r = mg_file_open(path, 0, &root_only, &fd, why, size);
	if (r != MG_ERR_OK)
		return r;
	if ((r = mg_file_read(fd, b)) != MG_ERR_OK)
		snprintf(why, size, "cannot read %s: %s", path, mg_err_str(r));
	close(fd);
	return r;
}

static void
digest_of(const struct mg_buf *b, char out[MG_STATE_DIGEST])
{
	uint8_t md[SHA256_DIGEST_LENGTH];
	size_t i;

	SHA256(mg_buf_ptr(b), mg_buf_len(b), md);
	memcpy(out, "sha256:", 8);
	for (i = 0; i < sizeof(md); i++)
		snprintf(out + 7 + 2 * i, 3, "%02x", md[i]);
}

/* "# version 7" in the first line of allowed_signers; 0: there is none. */
static uint64_t
version_of(const struct mg_buf *b)
{
	static const char head[] = "# version ";
	const char *p = (const char *)mg_buf_ptr(b);
	size_t n = mg_buf_len(b), i;
	uint64_t v = 0;

	if (n < sizeof(head) || memcmp(p, head, sizeof(head) - 1) != 0)
		return 0;
	for (i = sizeof(head) - 1; i < n && p[i] != '\n'; i++) {
		if (p[i] < '0' || p[i] > '9' || v > 99999999)
			return 0;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	return v;
}

static bool
is_signed(const struct mg_policy *p)
{
	return p != NULL && mg_policy_guard(p)->is_signed;
}

enum mg_err
mon_policy_signers(struct mon *m, struct mg_buf *b, char *why, size_t size)
{
	if (!m->has_signers)
		return read_file(SIGNERS, b, why, size);
	return mg_buf_put(b, mg_buf_ptr(&m->signers), mg_buf_len(&m->signers));
}

/* ---- on record ---- */

static void
put_errors(struct mon *m, struct mg_json *j)
{
	size_t i;

	mg_json_arr(j, "errors");
	for (i = 0; i < m->npolicy_errors; i++)
		mg_json_str(j, NULL, m->policy_errors[i]);
	mg_json_arr_end(j);
}

static struct mg_json *
begin_record(struct mon_txn *t, bool ok, const char *what, const char *path)
{
	struct mg_json *j = mon_rec_begin(t, "policy");
	char uuid[MG_UUID_STR];
	struct mg_uuid u;

	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, uuid);
	mg_json_str(j, "uuid", uuid);
	mg_json_bool(j, "ok", ok);
	mg_json_str(j, "what", what);
	mg_json_str(j, "path", path);
	return j;
}

static void
record_policy(struct mon *m, struct mon_txn *t, const struct mg_policy *p,
    const struct paper *paper)
{
	struct mg_json *j = begin_record(t, true, "policy", POLICY_DIR);

	(void)m;
	mg_json_str(j, "digest", mg_policy_digest(p));
	mg_json_int(j, "version", (int64_t)mg_policy_guard(p)->version);
	mg_json_bool(j, "signed", is_signed(p));
	mg_json_strv(j, "by", paper == NULL ? NULL : paper->by,
	    paper == NULL ? 0 : paper->nby);
	mg_json_str(j, "text", "");
	mon_rec_end(t);
}

/* Rule 4 */
static void
record_refused(struct mon *m, const char *what, const char *path,
    const char *digest, const char *text)
{
	struct mon_txn *t = mon_txn_begin(m);
	struct mg_json *j = begin_record(t, false, what, path);

	mg_json_str(j, "digest", digest);
	mg_json_str(j, "text", text);
	put_errors(m, j);
	mon_rec_end(t);
	mon_txn_commit(t, NULL, NULL);
}

static void
forget_errors(struct mon *m)
{
	while (m->npolicy_errors > 0)
		free(m->policy_errors[--m->npolicy_errors]);
}

static void
keep_errors(struct mon *m, const struct mg_diags *ds)
{
	char text[MG_DIAG_FILE_MAX + MG_DIAG_TEXT_MAX + 40];
	size_t i;

	for (i = 0; i < ds->n; i++) {
		const struct mg_diag *d = &ds->v[i];

		if (d->is_warning || m->npolicy_errors == MG_DIAG_MAX)
			continue;
		snprintf(text, sizeof(text), "%s:%u:%u: %s", d->file, d->line,
		    d->col, d->text);
		m->policy_errors[m->npolicy_errors] = strdup(text);
		if (m->policy_errors[m->npolicy_errors] != NULL)
			m->npolicy_errors++;
	}
}

void
mon_policy_bad(struct mon *m, const char *what, const char *path,
    const struct mg_diags *ds)
{
	char first[700];
	size_t i;

	for (i = 0; i < ds->n; i++)
		mg_log(MG_EVT_POLICY_BAD, "at=%s:%u:%u text='%s'",
		    ds->v[i].file, ds->v[i].line, ds->v[i].col, ds->v[i].text);
	mg_log(MG_EVT_POLICY_BAD, "text='the old %s stays'", what);
	keep_errors(m, ds);
	mg_diags_first(ds, first, sizeof(first));
	record_refused(m, what, path, "", first);
}

/* ---- in force ---- */

static void
set_policy(struct mon *m, struct mg_policy *p)
{
	bool first = m->policy == NULL;

	mg_policy_free(m->policy);
	m->policy = p; /* Rule 1 */
	mg_log(MG_EVT_POLICY, "digest=%s", mg_policy_digest(p));
	if (first)
		return;
	mon_people_refresh_groups(m);
	mon_req_reconsider(m);
}

static void
set_signers(struct mon *m, const struct mg_buf *keys)
{
	mg_buf_fini(&m->signers);
	mg_buf_init(&m->signers, MON_SIGNERS_MAX);
	if (mg_buf_put(&m->signers, mg_buf_ptr(keys), mg_buf_len(keys)) !=
	    MG_ERR_OK)
		mg_fatal("out of memory");
	m->has_signers = true;
}

static void
candidate_free(struct mon_candidate *c)
{
	struct mon *m = c->m;

	mon_sig_stop(&c->check);
	while (c->nsigs > 0)
		mg_buf_fini(&c->sigs[--c->nsigs].bytes);
	mg_policy_free(c->next);
	mg_buf_fini(&c->keys);
	mg_buf_fini(&c->text);
	m->candidate = NULL;
	free(c);
	(void)malloc_trim(0); /* reading took more than what came of it */
	if (!m->reload_again)
		return;
	m->reload_again = false;
	mon_policy_reload(m);
}

/* What is good is on record, or is not to be. */
static void
taken(void *arg, enum mg_why why)
{
	struct mon_candidate *c = arg;
	struct mon *m = c->m;

	if (why != MG_WHY_NONE) {
		mg_log(MG_EVT_POLICY_BAD,
		    "text='the old policy stays: it could not be put on "
		    "record: %s'",
		    mg_why_word(why));
		candidate_free(c);
		return;
	}
	if (c->signers.is_good || c->pins)
		set_signers(m, &c->keys);
	if (c->policy.is_good) {
		set_policy(m, c->next);
		c->next = NULL;
		m->has_signers = m->has_signers && is_signed(m->policy);
	}
	mon_copy_prune(mg_state_guarded(m->state));
	candidate_free(c);
}

static void
refuse_paper(struct mon *m, const struct paper *p, const char *path)
{
	mg_log(MG_EVT_POLICY_BAD, "what=%s digest=%s text='%s'", p->what,
	    p->digest, p->why);
	record_refused(m, p->what, path, p->digest, p->why);
	if (m->policy_edit[0] == '\0')
		snprintf(m->policy_edit, sizeof(m->policy_edit),
		    "%s was changed and is not in force: %s", path, p->why);
}

static void
judge_paper(struct mon_candidate *c, struct paper *p)
{
	const struct mg_guarded *g = mg_state_guarded(c->m->state);
	bool policy = p == &c->policy;

	p->is_good = mg_policy_guard_check(c->m->policy,
	    policy ? g->policy_version : g->signers_version,
	    policy ? c->next : NULL, p->version, mon_people(c->m), p->by,
	    p->nby, mg_time_wall_ms(), p->why, sizeof(p->why)); /* Rule 3 */
	if (p->is_good &&
	    !(policy ? !is_signed(c->next) ||
			   mon_copy_keep(c->next, POLICY_DIR, OPERATIONS_DIR)
		     : mon_copy_keep_signers(&c->keys, p->digest))) {
		p->is_good = false;
		snprintf(p->why, sizeof(p->why), "no copy can be kept in %s",
		    MON_COPIES);
	}
}

/* All signatures are judged, and the people known. */
static void
settle(void *arg)
{
	struct mon_candidate *c = arg;
	struct mon *m = c->m;
	struct mon_txn *t;
	struct mg_json *j;

	if (c->policy.is_new)
		judge_paper(c, &c->policy);
	if (c->signers.is_new)
		judge_paper(c, &c->signers);
	c->pins = c->policy.is_good && !m->has_signers && is_signed(c->next);
	if (c->pins && !mon_copy_keep_signers(&c->keys, c->signers.digest)) {
		c->pins = c->policy.is_good = false;
		snprintf(c->policy.why, sizeof(c->policy.why),
		    "no copy of allowed_signers can be kept");
	}
	m->policy_edit[0] = '\0';
	if (c->policy.is_new && !c->policy.is_good)
		refuse_paper(m, &c->policy, POLICY_DIR);
	if (c->signers.is_new && !c->signers.is_good)
		refuse_paper(m, &c->signers, SIGNERS);
	snprintf(m->policy_seen, sizeof(m->policy_seen), "%s %s",
	    c->policy.digest, c->signers.digest);
	if (!c->policy.is_good && !c->signers.is_good) {
		candidate_free(c);
		return;
	}
	t = mon_txn_begin(m);
	if (c->policy.is_good)
		record_policy(m, t, c->next, &c->policy);
	if (c->signers.is_good || c->pins) {
		j = begin_record(t, true, "allowed_signers", SIGNERS);
		mg_json_str(j, "digest", c->signers.digest);
		mg_json_int(j, "version", (int64_t)c->signers.version);
		mg_json_strv(j, "by", c->signers.by, c->signers.nby);
		mg_json_str(j, "text", "");
		mon_rec_end(t);
	}
	mon_txn_commit(t, taken, c); /* Rule 4 */
}

/* ---- signatures ---- */

static void check_next(struct mon_candidate *c);

static void
checked(void *arg)
{
	struct mon_candidate *c = arg;
	struct sigfile *f = &c->sigs[c->at];

	if (c->check.ok)
		f->of->by[f->of->nby++] = f->name;
	else
		mg_log(MG_EVT_POLICY_BAD, "what=%s signer=%s text='%s'",
		    f->of->what, f->name, c->check.why);
	c->at++;
	check_next(c);
}

static bool
check_one(struct mon_candidate *c)
{
	struct sigfile *f = &c->sigs[c->at];
	/* Rule 2: the keys in force; the first time there are none. */
	const struct mg_buf *keys =
	    c->m->has_signers ? &c->m->signers : &c->keys;
	struct mg_verify_sig_req q = {.ns = MG_POLICY_NAMESPACE,
	    .principal = f->name,
	    .signers = mg_buf_ptr(keys),
	    .signers_len = mg_buf_len(keys),
	    .sig = mg_buf_ptr(&f->bytes),
	    .sig_len = mg_buf_len(&f->bytes)};

	mg_buf_reset(&c->text);
	if (mg_policy_guard_text(&c->text, f->of->what, f->of->version,
		f->of->digest) != MG_ERR_OK)
		return false;
	q.text = mg_buf_ptr(&c->text);
	q.text_len = mg_buf_len(&c->text);
	return mon_sig_start(&c->check, c->m, &q, checked, c);
}

static void
check_next(struct mon_candidate *c)
{
	const char *names[SIGS_MAX];
	size_t i;

	while (c->at < c->nsigs) {
		if (check_one(c))
			return;
		c->at++;
	}
	for (i = 0; i < c->nsigs; i++)
		names[i] = c->sigs[i].name;
	if (mon_people_fetch(c->m, names, c->nsigs, MG_PROC_UNSET, settle, c) !=
	    MG_ERR_OK)
		settle(c); /* nobody is known: not enough */
}

/* "policy.NAME.sig": a signature of p by NAME. */
static bool
is_of(const struct paper *p, const char *file, char name[MG_NAME_MAX + 1])
{
	size_t n = strlen(file), w = strlen(p->what);

	if (!p->is_new || n < w + 6 || memcmp(file, p->what, w) != 0 ||
	    file[w] != '.' || strcmp(file + n - 4, ".sig") != 0 ||
	    n - w - 5 > MG_NAME_MAX)
		return false;
	memcpy(name, file + w + 1, n - w - 5);
	name[n - w - 5] = '\0';
	return mg_name_is_valid(name);
}

static void
take_sigfile(struct mon_candidate *c, int dir, const char *file)
{
	struct sigfile *f = &c->sigs[c->nsigs];
	int fd;

	if (c->nsigs == SIGS_MAX)
		return;
	if (is_of(&c->policy, file, f->name))
		f->of = &c->policy;
	else if (is_of(&c->signers, file, f->name))
		f->of = &c->signers;
	else
		return;
	if (mg_file_open_at(dir, file, 0, &root_only, &fd, NULL, 0) !=
	    MG_ERR_OK)
		return;
	mg_buf_init(&f->bytes, SIG_BYTES);
	if (mg_file_read(fd, &f->bytes) == MG_ERR_OK)
		c->nsigs++;
	else
		mg_buf_fini(&f->bytes);
	close(fd);
}

static void
find_signatures(struct mon_candidate *c)
{
	struct dirent *de;
	DIR *d;
	int fd;

	if ((fd = mon_copy_open_folder(SIGNATURES)) == -1)
		return; /* then nobody has signed */
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((de = readdir(d)) != NULL)
		take_sigfile(c, fd, de->d_name);
	closedir(d);
}

/* ---- candidates ---- */

static struct mon_candidate *
candidate_new(struct mon *m, struct mg_policy *next)
{
	struct mon_candidate *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		mg_fatal("out of memory");
	c->m = m;
	c->next = next;
	mg_buf_init(&c->keys, MON_SIGNERS_MAX);
	mg_buf_init(&c->text, 4096);
	c->policy.what = "policy";
	c->policy.version = mg_policy_guard(next)->version;
	snprintf(c->policy.digest, sizeof(c->policy.digest), "%s",
	    mg_policy_digest(next));
	c->policy.is_new =
	    m->policy == NULL ||
	    strcmp(mg_policy_digest(next), mg_policy_digest(m->policy)) != 0;
	c->signers.what = "allowed_signers";
	m->candidate = c;
	return c;
}

static void
consider(struct mon *m, struct mg_policy *next)
{
	struct mon_candidate *c = candidate_new(m, next);
	char why[512] = "";

	if (read_file(SIGNERS, &c->keys, why, sizeof(why)) != MG_ERR_OK) {
		mg_log(MG_EVT_POLICY_BAD, "text='%s: %s'", SIGNERS, why);
		record_refused(m, "allowed_signers", SIGNERS, "", why);
		mg_buf_reset(&c->keys);
	}
	c->signers.version = version_of(&c->keys);
	digest_of(&c->keys, c->signers.digest);
	c->signers.is_new =
	    m->has_signers &&
	    strcmp(c->signers.digest, mg_state_guarded(m->state)->signers) != 0;
	if (!c->policy.is_new && !c->signers.is_new) {
		m->policy_edit[0] = '\0';
		mg_log(MG_EVT_POLICY, "digest=%s text='as it was'",
		    c->policy.digest);
		candidate_free(c);
		return;
	}
	find_signatures(c);
	check_next(c);
}

static void
take_unsigned(struct mon *m, struct mg_policy *next)
{
	struct mon_txn *t = mon_txn_begin(m);

	record_policy(m, t, next, NULL);
	mon_txn_commit(t, NULL, NULL);
	m->policy_edit[0] = '\0';
	set_policy(m, next);
}

/* ---- what lies there ---- */

static void
mix(uint64_t *h, uint64_t v)
{
	*h = (*h ^ v) * UINT64_C(1099511628211);
}

static void
mix_stat(uint64_t *h, int at, const char *name)
{
	struct stat st;
	const char *p;

	for (p = name; *p != '\0'; p++)
		mix(h, (unsigned char)*p);
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	mix(h, st.st_ino);
	mix(h, (uint64_t)st.st_size);
	mix(h, (uint64_t)st.st_mtim.tv_sec);
	mix(h, (uint64_t)st.st_mtim.tv_nsec);
	mix(h, (uint64_t)st.st_ctim.tv_sec);
	mix(h, (uint64_t)st.st_ctim.tv_nsec);
}

/* Something that changes whenever one of the files does. */
static uint64_t
stat_of_files(void)
{
	static const char *const folders[] = {POLICY_DIR, OPERATIONS_DIR};
	uint64_t h = UINT64_C(14695981039346656037);
	struct dirent *de;
	size_t i;
	DIR *d;

	for (i = 0; i < 2; i++) {
		if ((d = opendir(folders[i])) == NULL)
			continue;
		while ((de = readdir(d)) != NULL)
			if (mg_ini_is_name(de->d_name))
				mix_stat(&h, dirfd(d), de->d_name);
		closedir(d);
	}
	mix_stat(&h, AT_FDCWD, SIGNERS);
	return h;
}

/* The digest of the policy that lies there, or "" when it does not load. */
static void
digest_there(char out[MG_STATE_DIGEST])
{
	struct mg_policy *p;
	struct mg_diags *ds;

	out[0] = '\0';
	if ((ds = calloc(1, sizeof(*ds))) == NULL)
		return;
	mg_diags_init(ds);
	if (mon_copy_load_from(POLICY_DIR, OPERATIONS_DIR, &p, ds) == MG_ERR_OK)
		snprintf(out, MG_STATE_DIGEST, "%s", mg_policy_digest(p));
	mg_policy_free(p);
	free(ds);
}

static void
report_edit(
    struct mon *m, const char *path, const char *what, const char *digest)
{
	snprintf(m->policy_edit, sizeof(m->policy_edit),
	    "%s was changed and is not in force: no reload has taken it", path);
	mg_log(MG_EVT_POLICY_BAD, "what=%s text='%s'", what, m->policy_edit);
	record_refused(m, what, path, digest, m->policy_edit);
}

void
mon_policy_look(struct mon *m)
{
	char policy[MG_STATE_DIGEST], keys[MG_STATE_DIGEST], why[512];
	char seen[sizeof(m->policy_seen)];
	uint64_t stat_now;
	struct mg_buf b;

	if (!is_signed(m->policy) || m->candidate != NULL ||
	    (stat_now = stat_of_files()) == m->policy_stat)
		return;
	m->policy_stat = stat_now;
	digest_there(policy);
	mg_buf_init(&b, MON_SIGNERS_MAX);
	(void)!read_file(SIGNERS, &b, why, sizeof(why));
	digest_of(&b, keys);
	mg_buf_fini(&b);
	snprintf(seen, sizeof(seen), "%s %s", policy, keys);
	if (strcmp(seen, m->policy_seen) == 0)
		return; /* on record already */
	memcpy(m->policy_seen, seen, sizeof(seen));
	m->policy_edit[0] = '\0';
	if (strcmp(policy, mg_policy_digest(m->policy)) != 0)
		report_edit(m, POLICY_DIR, "policy", policy);
	if (strcmp(keys, mg_state_guarded(m->state)->signers) != 0)
		report_edit(m, SIGNERS, "allowed_signers", keys);
}

/* ---- loading ---- */

void
mon_policy_reload(struct mon *m)
{
	struct mg_policy *next;
	struct mg_diags *ds;

	if (m->candidate != NULL) {
		m->reload_again = true;
		return;
	}
	if ((ds = calloc(1, sizeof(*ds))) == NULL)
		return;
	mg_diags_init(ds);
	forget_errors(m);
	m->policy_stat = stat_of_files();
	if (mon_copy_load_from(POLICY_DIR, OPERATIONS_DIR, &next, ds) !=
	    MG_ERR_OK) {
		mon_policy_bad(m, "policy", POLICY_DIR, ds);
		if (is_signed(m->policy))
			snprintf(m->policy_edit, sizeof(m->policy_edit),
			    "%s was changed and does not load", POLICY_DIR);
	} else if (is_signed(m->policy) || is_signed(next)) {
		consider(m, next);
	} else {
		take_unsigned(m, next);
	}
	free(ds);
}

/* The keys in force, from their copy or from where they were taken. */
static void
open_signers(struct mon *m, const char *digest)
{
	char path[256], why[512], found[MG_STATE_DIGEST] = "";
	const char *paths[] = {path, SIGNERS};
	struct mg_buf b;
	size_t i;

	mon_copy_signers(path, sizeof(path), digest);
	for (i = 0; i < 2 && !m->has_signers; i++) {
		mg_buf_init(&b, MON_SIGNERS_MAX);
		if (read_file(paths[i], &b, why, sizeof(why)) == MG_ERR_OK) {
			digest_of(&b, found);
			if (strcmp(found, digest) == 0) /* Rule 2 */
				set_signers(m, &b);
		}
		mg_buf_fini(&b);
	}
	if (!m->has_signers)
		mg_fatal("the approvers' keys in force (%s) are neither in %s "
			 "nor in %s",
		    digest, MON_COPIES, SIGNERS);
}

static void
open_signed(struct mon *m, struct mg_policy *there)
{
	const struct mg_guarded *g = mg_state_guarded(m->state);
	enum mg_err r;

	r = mon_copy_load(g->policy, &m->policy);
	if (r != MG_ERR_OK && there != NULL &&
	    strcmp(mg_policy_digest(there), g->policy) == 0) { /* Rule 2 */
		m->policy = there;
		if (!mon_copy_keep(there, POLICY_DIR, OPERATIONS_DIR))
			mg_fatal("no copy can be kept in %s", MON_COPIES);
		there = NULL;
	}
	mg_policy_free(there);
	if (m->policy == NULL)
		mg_fatal("the policy in force (%s) is neither in %s nor in %s: "
			 "put it back",
		    g->policy, MON_COPIES, POLICY_DIR);
	open_signers(m, g->signers);
}

void
mon_policy_open(struct mon *m)
{
	struct mg_policy *there;
	struct mg_diags *ds;
	size_t i;

	if ((ds = calloc(1, sizeof(*ds))) == NULL)
		mg_fatal("out of memory");
	mg_diags_init(ds);
	if (mon_copy_load_from(POLICY_DIR, OPERATIONS_DIR, &there, ds) !=
	    MG_ERR_OK) {
		for (i = 0; i < ds->n; i++)
			mg_log(MG_EVT_POLICY_BAD, "at=%s:%u:%u text='%s'",
			    ds->v[i].file, ds->v[i].line, ds->v[i].col,
			    ds->v[i].text);
		if (!mg_state_guarded(m->state)->is_signed)
			mg_fatal("policy is not usable");
	}
	free(ds);
	if (mg_state_guarded(m->state)->is_signed)
		open_signed(m, there);
	else if (is_signed(there))
		mg_policy_free(there); /* _begin() */
	else
		m->policy = there;
	(void)malloc_trim(0); /* reading took more than what came of it */
}

void
mon_policy_begin(struct mon *m)
{
	int64_t end = mg_time_boot_ms() + FIRST_MS;
	struct mon_txn *t;

	if (m->policy == NULL) {
		mon_policy_reload(m);
		while (m->policy == NULL && m->candidate != NULL &&
		       mg_time_boot_ms() < end)
			mg_loop_once(m->loop, 100);
		mon_commit_round(m);
		if (m->policy == NULL)
			mg_fatal("policy is not usable: %s", m->policy_edit);
		return;
	}
	t = mon_txn_begin(m);
	record_policy(m, t, m->policy, NULL);
	mon_txn_commit(t, NULL, NULL);
	if (is_signed(m->policy))
		mon_policy_reload(m); /* what lies there may be another */
}

void
mon_policy_fini(struct mon *m)
{
	m->reload_again = false;
	if (m->candidate != NULL)
		candidate_free(m->candidate);
	forget_errors(m);
}
