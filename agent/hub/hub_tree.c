/* SPDX-License-Identifier: ISC */
/*
 * The witness of hosts' ledgers.
 *
 * Rules
 * 1. A checkpoint is countersigned only when the hub itself has every leaf
 *    of it and they hash to its root, and only one that continues the last:
 *    who holds the host may add to the ledger, never change what was there.
 * 2. What does not fit is kept with the host's own signature under it: two
 *    signed histories are the proof. Nothing of that host is countersigned
 *    from then on until somebody looked (modelgate-hub(8)).
 * 3. On disk in this order: leaves, note, tree. After a crash the tree is
 *    the truth, and what stands behind it in the other files is written
 *    anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub_tree.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_json.h"
#include "mg_log.h"
#include "mg_name.h"
#include "mg_rec.h"
#include "mg_time.h"

#define HOSTS_MAX 4096
#define NAME_SIZE (MG_NAME_MAX + 24)
#define CHUNK 1792 /* leaves in a message */

struct tree {
	struct tree *next;
	char host[MG_NAME_MAX + 1];
	int leaves_fd;
	struct mg_merkle known;	  /* witnessed */
	struct mg_merkle pending; /* and what came since, not signed yet */
	bool comparing;		  /* pending counts what was compared again */
	char alarm[512];
	int64_t time_s; /* of the last countersignature */
};

struct hub_trees {
	int dirfd;
	struct mg_sha *sha;
	struct tree *first;
	size_t n;
	struct mg_note note; /* of the last answer */
	char text[512];
};

static void
file_name(const char *host, const char *suffix, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "ledger-%s.%s", host, suffix);
}

static int
open_file(const struct hub_trees *all, const char *host, const char *suffix,
    int flags)
{
	char name[NAME_SIZE];
	struct stat st;
	int fd;

	file_name(host, suffix, name);
	fd = openat(
	    all->dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd != -1 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

struct hub_trees *
hub_trees_new(int dirfd)
{
	struct hub_trees *all;

	if ((all = calloc(1, sizeof(*all))) == NULL)
		return NULL;
	all->dirfd = dirfd;
	if ((all->sha = mg_sha_new()) != NULL)
		return all;
	free(all);
	return NULL;
}

void
hub_trees_free(struct hub_trees *all)
{
	struct tree *t;

	if (all == NULL)
		return;
	while ((t = all->first) != NULL) {
		all->first = t->next;
		close(t->leaves_fd);
		free(t);
	}
	mg_sha_free(all->sha);
	free(all);
}

/* ---- on disk ---- */

static bool
parse_tree(struct tree *t, const char *text, size_t n)
{
	const char *const *peaks;
	struct mg_rec rec;
	size_t npeaks, i = 0;
	unsigned k;
	bool ok;

	mg_rec_init(&rec);
	ok = n > 0 && text[n - 1] == '\n' &&
	     mg_rec_parse(&rec, text, n - 1) == MG_ERR_OK &&
	     mg_rec_int(&rec, "size", -1) >= 0;
	t->known.size = ok ? (uint64_t)mg_rec_int(&rec, "size", 0) : 0;
	peaks = mg_rec_strv(&rec, "peaks", &npeaks);
	for (k = 0; ok && k < MG_MERKLE_DEPTH; k++)
		if ((t->known.size >> k & 1) != 0)
			ok =
			    i < npeaks && mg_unhex(peaks[i++], t->known.peak[k],
					      MG_MERKLE_HASH);
	t->time_s = mg_rec_int(&rec, "time", 0);
	snprintf(
	    t->alarm, sizeof(t->alarm), "%s", mg_rec_str(&rec, "alarm", ""));
	mg_rec_fini(&rec);
	return ok && i == npeaks;
}

static bool
write_tree(const struct hub_trees *all, const struct tree *t)
{
	char name[NAME_SIZE], hex[2 * MG_MERKLE_HASH + 1];
	struct mg_buf b;
	struct mg_json j;
	unsigned k;
	bool ok;

	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_int(&j, "size", (int64_t)t->known.size);
	mg_json_int(&j, "time", t->time_s);
	mg_json_str(&j, "alarm", t->alarm);
	mg_json_arr(&j, "peaks");
	for (k = 0; k < MG_MERKLE_DEPTH; k++) {
		if ((t->known.size >> k & 1) == 0)
			continue;
		mg_hex(t->known.peak[k], MG_MERKLE_HASH, hex);
		mg_json_str(&j, NULL, hex);
	}
	mg_json_arr_end(&j);
	mg_json_obj_end(&j);
	file_name(t->host, "tree", name);
	ok = mg_json_end(&j) == MG_ERR_OK &&
	     mg_buf_put_u8(&b, '\n') == MG_ERR_OK &&
	     mg_file_replace_at(all->dirfd, name, mg_buf_ptr(&b),
		 mg_buf_len(&b), 0600) == MG_ERR_OK;
	mg_buf_fini(&b);
	return ok;
}

/* How much of the last len bytes of a file of lines is whole lines. */
static size_t
whole_lines(const char *p, size_t n)
{
	const char *nl = memrchr(p, '\n', n);

	return nl == NULL ? (n < 2 * MG_NOTE_MAX ? 0 : n)
			  : (size_t)(nl + 1 - p);
}

/* What a crash left of the one before, as whole() sees it, goes. */
static bool
append(const struct hub_trees *all, const char *host, const char *suffix,
    size_t (*whole)(const char *p, size_t n), const void *p, size_t n)
{
	int fd = open_file(all, host, suffix, O_RDWR | O_APPEND | O_CREAT);
	char tail[2 * MG_NOTE_MAX];
	struct stat st;
	size_t len;
	bool ok;

	if (fd == -1)
		return false;
	ok = fstat(fd, &st) == 0;
	len = ok && st.st_size < (off_t)sizeof(tail) ? (size_t)st.st_size
						     : sizeof(tail);
	ok =
	    ok && pread(fd, tail, len, st.st_size - (off_t)len) == (ssize_t)len;
	if (ok) {
		st.st_size -= (off_t)(len - whole(tail, len));
		ok = ftruncate(fd, st.st_size) == 0;
	}
	if (ok &&
	    (mg_file_write(fd, p, n) != MG_ERR_OK || fdatasync(fd) != 0)) {
		(void)!ftruncate(fd, st.st_size);
		ok = false;
	}
	close(fd);
	return ok;
}

/* False: there is a tree, and it cannot be read. */
static bool
load(const struct hub_trees *all, struct tree *t)
{
	struct mg_buf b;
	bool ok;
	int fd;

	if ((fd = open_file(all, t->host, "tree", O_RDONLY)) == -1)
		return errno == ENOENT;
	mg_buf_init(&b, 65536);
	ok = mg_file_read(fd, &b) == MG_ERR_OK &&
	     parse_tree(t, (const char *)mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	close(fd);
	return ok;
}

/* With make it begins; NULL: it cannot. */
static struct tree *
tree_of(struct hub_trees *all, const char *host, bool make)
{
	struct tree *t;

	for (t = all->first; t != NULL; t = t->next)
		if (strcmp(t->host, host) == 0)
			return t;
	if (all->n == HOSTS_MAX || !mg_name_is_valid(host) ||
	    (t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	snprintf(t->host, sizeof(t->host), "%s", host);
	t->leaves_fd =
	    open_file(all, host, "leaves", O_RDWR | (make ? O_CREAT : 0));
	if (t->leaves_fd == -1 || !load(all, t)) {
		if (make)
			mg_log(MG_EVT_ERROR,
			    "host=%s err='what is kept of its ledger cannot "
			    "be read'",
			    host);
		if (t->leaves_fd != -1)
			close(t->leaves_fd);
		free(t);
		return NULL;
	}
	t->pending = t->known;
	t->next = all->first;
	all->first = t;
	all->n++;
	return t;
}

/* ---- what does not fit ---- */

/* Rule 2 */
static void
alarm_now(struct hub_trees *all, struct tree *t, const struct mg_note *note,
    int64_t time_s, const char *text)
{
	char at[MG_TIME_STR];
	struct mg_buf b;
	struct mg_json j;

	if (t->alarm[0] != '\0')
		return;
	snprintf(t->alarm, sizeof(t->alarm), "%s", text);
	mg_log(MG_EVT_LEDGER_BAD, "host=%s text='%s'", t->host, text);
	mg_time_format(time_s * 1000, at);
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "at", at);
	mg_json_str(&j, "host", t->host);
	mg_json_str(&j, "text", text);
	mg_json_str(&j, "note", note == NULL ? "" : note->text);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) != MG_ERR_OK ||
	    mg_buf_put_u8(&b, '\n') != MG_ERR_OK ||
	    !append(all, t->host, "alarms", whole_lines, mg_buf_ptr(&b),
		mg_buf_len(&b)) ||
	    !write_tree(all, t))
		mg_log(MG_EVT_ERROR, "host=%s err='the alarm is not on disk'",
		    t->host);
	mg_buf_fini(&b);
}

/* ---- leaves ---- */

static bool
store_leaves(struct hub_trees *all, struct tree *t, const uint8_t *p, size_t n)
{
	off_t at = (off_t)(t->pending.size * MG_MERKLE_HASH);
	size_t i;

	if (pwrite(t->leaves_fd, p, n * MG_MERKLE_HASH, at) !=
	    (ssize_t)(n * MG_MERKLE_HASH))
		return false;
	for (i = 0; i < n; i++)
		mg_merkle_add(&t->pending, all->sha, p + i * MG_MERKLE_HASH);
	return true;
}

/* Compares with what is kept. False: one differs, and text says which. */
static bool
compare_leaves(
    struct hub_trees *all, struct tree *t, const uint8_t *p, size_t n)
{
	static uint8_t kept[CHUNK * MG_MERKLE_HASH];
	uint64_t left = t->known.size - t->pending.size;
	bool beyond = n > left;
	size_t i, len;

	if (beyond)
		n = (size_t)left;
	len = n * MG_MERKLE_HASH;
	if (pread(t->leaves_fd, kept, len,
		(off_t)(t->pending.size * MG_MERKLE_HASH)) != (ssize_t)len) {
		snprintf(all->text, sizeof(all->text),
		    "the hub's own leaves cannot be read");
		return false;
	}
	for (i = 0; i < n; i++)
		if (memcmp(kept + i * MG_MERKLE_HASH, p + i * MG_MERKLE_HASH,
			MG_MERKLE_HASH) != 0)
			break;
	t->pending.size += i; /* its hashes are not used */
	if (i == n && !beyond)
		return true;
	if (i == n) {
		snprintf(all->text, sizeof(all->text),
		    "the signed root is not that of the records");
		return false;
	}
	snprintf(all->text, sizeof(all->text),
	    "record %llu is not the one that was witnessed: the ledger was "
	    "rewritten from there on",
	    (unsigned long long)t->pending.size + 1);
	return false;
}

/* ---- one message ---- */

static void
refuse(struct mg_hub_witness *ans, const struct tree *t, uint64_t size)
{
	ans->ok = false;
	ans->alarm = t != NULL;
	ans->size = size;
	ans->text = t == NULL ? "the hub cannot keep this ledger" : t->alarm;
}

/* The host shall begin again where the witnessed tree ends. */
static void
restart(struct tree *t, struct mg_hub_witness *ans)
{
	t->pending = t->known;
	t->comparing = false;
	ans->ok = false;
	ans->size = t->known.size;
}

/* The signed root is not that of what came: which record is it? */
static void
begin_compare(struct tree *t, struct mg_hub_witness *ans)
{
	mg_merkle_init(&t->pending);
	t->comparing = true;
	ans->ok = false;
	ans->size = 0;
}

static bool
countersign(struct hub_trees *all, struct tree *t, const uint8_t *seed,
    const uint8_t *pub, int64_t time_s)
{
	struct mg_note_key key = {
	    .kind = MG_NOTE_WITNESS, .name = HUB_TREE_NAME};
	char text[MG_NOTE_MAX + 2];

	memcpy(key.pub, pub, MG_ED25519);
	if (fdatasync(t->leaves_fd) != 0 || /* Rule 3 */
	    mg_note_sign(&all->note, &key, seed, time_s) != MG_ERR_OK)
		return false;
	memcpy(text, all->note.text, all->note.len);
	text[all->note.len] = '\n';
	if (!append(
		all, t->host, "notes", mg_note_whole, text, all->note.len + 1))
		return false;
	t->known = t->pending;
	t->time_s = time_s;
	return write_tree(all, t);
}

/* Whether the note is the host's own. */
static bool
is_hosts(struct hub_trees *all, const char *host, const uint8_t *host_key,
    const struct mg_hub_tree *m)
{
	struct mg_note_key key = {.kind = MG_NOTE_LOG};
	const char *why;

	memcpy(key.pub, host_key, MG_ED25519);
	return mg_note_origin(host, key.name) &&
	       mg_note_parse(&all->note, (const char *)m->note, m->note_len,
		   &why) == MG_ERR_OK &&
	       strcmp(all->note.origin, key.name) == 0 &&
	       mg_note_verify(&all->note, &key, NULL) == MG_ERR_OK;
}

/* The end of what was compared again. */
static void
end_compare(struct hub_trees *all, struct tree *t, int64_t time_s)
{
	if (t->pending.size < t->known.size)
		snprintf(all->text, sizeof(all->text),
		    "record %llu is missing: %llu were witnessed, the ledger "
		    "has %llu",
		    (unsigned long long)t->pending.size + 1,
		    (unsigned long long)t->known.size,
		    (unsigned long long)t->pending.size);
	else
		snprintf(all->text, sizeof(all->text),
		    "the signed root is not that of the records");
	alarm_now(all, t, &all->note, time_s, all->text);
}

static void
take_note(struct hub_trees *all, struct tree *t, const struct mg_hub_tree *m,
    const uint8_t *seed, const uint8_t *pub, int64_t time_s,
    struct mg_hub_witness *ans)
{
	uint8_t root[MG_MERKLE_HASH];

	(void)m;
	if (t->comparing) {
		end_compare(all, t, time_s);
		refuse(ans, t, t->known.size);
		return;
	}
	if (all->note.size < t->known.size) {
		begin_compare(t, ans);
		return;
	}
	if (all->note.size != t->pending.size) {
		restart(t, ans);
		return;
	}
	mg_merkle_root(&t->pending, all->sha, root);
	if (memcmp(root, all->note.root, sizeof(root)) != 0) {
		begin_compare(t, ans); /* Rule 1 */
		return;
	}
	if (!countersign(all, t, seed, pub, time_s)) {
		mg_log(MG_EVT_ERROR, "host=%s err='cannot keep its checkpoint'",
		    t->host);
		restart(t, ans);
		ans->text = "the hub cannot write";
		return;
	}
	ans->ok = true;
	ans->size = t->known.size;
	ans->note = (const uint8_t *)all->note.text;
	ans->note_len = all->note.len;
}

static void
take_leaves(struct hub_trees *all, struct tree *t, const struct mg_hub_tree *m,
    int64_t time_s, struct mg_hub_witness *ans)
{
	size_t n = m->leaves_len / MG_MERKLE_HASH;

	if (t->comparing) {
		if (!compare_leaves(all, t, m->leaves, n)) {
			alarm_now(all, t, m->note_len > 0 ? &all->note : NULL,
			    time_s, all->text);
			refuse(ans, t, t->known.size);
			return;
		}
	} else if (!store_leaves(all, t, m->leaves, n)) {
		restart(t, ans);
		ans->text = "the hub cannot write";
		return;
	}
	ans->ok = true;
	ans->size = t->pending.size;
}

void
hub_trees_take(struct hub_trees *all, const char *host,
    const uint8_t host_key[MG_ED25519], const struct mg_hub_tree *m,
    const uint8_t seed[MG_ED25519], const uint8_t pub[MG_ED25519],
    int64_t time_s, struct mg_hub_witness *ans, bool *alarmp)
{
	struct tree *t = tree_of(all, host, true);

	memset(ans, 0, sizeof(*ans));
	ans->text = "";
	*alarmp = false;
	if (t == NULL || t->alarm[0] != '\0') {
		refuse(ans, t, t == NULL ? 0 : t->known.size);
		return;
	}
	if (m->leaves_len % MG_MERKLE_HASH != 0 ||
	    (m->note_len > 0 && !is_hosts(all, host, host_key, m))) {
		restart(t, ans);
		ans->text = "the checkpoint is not one that this host signed";
		return;
	}
	/* A checkpoint behind the known end: there is less than there was. */
	if (m->note_len > 0 && !t->comparing && all->note.size < t->known.size)
		begin_compare(t, ans);
	else if (m->from != t->pending.size)
		restart(t, ans);
	else {
		take_leaves(all, t, m, time_s, ans);
		if (ans->ok && m->note_len > 0)
			take_note(all, t, m, seed, pub, time_s, ans);
	}
	*alarmp = t->alarm[0] != '\0';
}

/* ---- reading ---- */

ssize_t
hub_trees_read(struct hub_trees *all, enum mg_hub_tree_part part,
    const char *host, uint64_t offset, void *out, size_t max)
{
	const struct tree *t;
	const char *suffix = "notes";
	uint64_t end;
	ssize_t n;
	int fd;

	if (!mg_name_is_valid(host) ||
	    (t = tree_of(all, host, false)) == NULL || offset > INT64_MAX)
		return -1;
	if (part == MG_HUB_TREE_LEAVES) {
		/* What is behind the witnessed end is nothing yet. */
		suffix = "leaves";
		end = t->known.size * MG_MERKLE_HASH;
		max = offset >= end	   ? 0
		      : end - offset < max ? (size_t)(end - offset)
					   : max;
	} else if (part == MG_HUB_TREE_ALARMS) {
		suffix = "alarms";
	}
	if ((fd = open_file(all, host, suffix, O_RDONLY)) == -1)
		return errno == ENOENT ? 0 : -1;
	n = pread(fd, out, max, (off_t)offset);
	close(fd);
	return n;
}

static enum mg_err
list_one(struct hub_trees *all, const char *host, struct mg_buf *b)
{
	const struct tree *t = tree_of(all, host, false);
	char at[MG_TIME_STR];
	struct mg_json j;
	enum mg_err r;

	if (t == NULL)
		return MG_ERR_OK;
	mg_time_format(t->time_s * 1000, at);
	mg_json_begin(&j, b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "host", host);
	mg_json_int(&j, "records", (int64_t)t->known.size);
	mg_json_str(&j, "witnessed", t->time_s == 0 ? "" : at);
	mg_json_str(&j, "alarm", t->alarm);
	mg_json_obj_end(&j);
	if ((r = mg_json_end(&j)) != MG_ERR_OK)
		return r;
	return mg_buf_put_u8(b, '\n');
}

enum mg_err
hub_trees_list(struct hub_trees *all, struct mg_buf *b)
{
	char host[MG_NAME_MAX + 1];
	enum mg_err r = MG_ERR_OK;
	struct dirent *de;
	size_t n;
	DIR *d;
	int fd;

	fd = openat(all->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return MG_ERR_SYS;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return MG_ERR_SYS;
	}
	while (r == MG_ERR_OK && (de = readdir(d)) != NULL) {
		n = strlen(de->d_name);
		if (n < 13 || strncmp(de->d_name, "ledger-", 7) != 0 ||
		    strcmp(de->d_name + n - 5, ".tree") != 0 ||
		    n - 12 > MG_NAME_MAX)
			continue;
		memcpy(host, de->d_name + 7, n - 12);
		host[n - 12] = '\0';
		r = list_one(all, host, b);
	}
	closedir(d);
	return r;
}
