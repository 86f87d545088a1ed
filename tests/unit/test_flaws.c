/* SPDX-License-Identifier: ISC */
/*
 * Malformed ledgers, one row a kind: what the agent's start and "modelgate
 * verify" say of it, and where. A refused start changes no byte.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "ledger.h"
#include "mg_b64.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_lines.h"

/* Three segments of five records, a checkpoint over each. */
#define S1 "00000000000000000001.jsonl"
#define S2 "00000000000000000006.jsonl"
#define S3 "00000000000000000011.jsonl"
#define SNAP2 "00000000000000000006.snapshot"
#define SNAP3 "00000000000000000011.snapshot"
#define LINES 5
#define RECORDS 15
#define FILE_MAX (1U << 20)

static char home[64], good[80], other[80], dir[80];
static int dirfd_;
static struct mg_note_key host = {.kind = MG_NOTE_LOG};
static uint8_t seed[MG_ED25519] = {7};
static struct mg_sha *sha;
static bool refuses_records, refuses_state;

/* ---- a good one ---- */

static enum mg_err
on_record(void *arg, const struct mg_rec *rec)
{
	(void)arg;
	(void)rec;
	return refuses_records ? MG_ERR_STATE : MG_ERR_OK;
}

static enum mg_err
on_state(void *arg, const struct mg_rec *rec)
{
	(void)arg;
	(void)rec;
	return refuses_state ? MG_ERR_STATE : MG_ERR_OK;
}

static void
put_note(struct mg_ledger *l)
{
	uint8_t root[MG_MERKLE_HASH];
	struct mg_note note;

	mg_ledger_root(l, root);
	assert_int_equal(
	    mg_note_make(&note, host.name, mg_ledger_size(l), root), MG_ERR_OK);
	assert_int_equal(mg_note_sign(&note, &host, seed, 0), MG_ERR_OK);
	assert_int_equal(mg_ledger_add_note(l, note.text, note.len), MG_ERR_OK);
}

static void
make(const char *path, const char *text)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;
	struct mg_rec rec;
	struct mg_json j;
	int fd, i, k;

	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(
	    mg_ledger_open(fd, &host, on_record, on_state, NULL, &l, &rep),
	    MG_ERR_OK);
	close(fd);
	mg_rec_init(&rec);
	for (i = 0; i < 3; i++) {
		if (i > 0)
			assert_int_equal(
			    mg_ledger_rotate(l, "{\"type\":\"x\"}\n", 13),
			    MG_ERR_OK);
		for (k = i > 0; k < LINES; k++) {
			mg_ledger_begin(l, &j, "note");
			mg_json_str(&j, "text", text);
			assert_int_equal(mg_ledger_end(l, &j, &rec), MG_ERR_OK);
		}
		assert_int_equal(mg_ledger_sync(l), MG_ERR_OK);
		put_note(l);
	}
	assert_int_equal(mg_ledger_size(l), RECORDS);
	mg_rec_fini(&rec);
	mg_ledger_free(l);
}

/* The public key of the seed: what it signs verifies under it. */
static void
make_key(void)
{
	static const uint8_t head[] = {0, 0, 0, 11, 's', 's', 'h', '-', 'e',
	    'd', '2', '5', '5', '1', '9', 0, 0, 0, 32};
	/* of seed 07 00 00 ..., by another tool */
	static const char hex[] =
	    "a2fa2f4a355ba2e907a53009e9e37caddf7ac7e66a08ba07631f553072b3f24c";
	char path[128];
	struct mg_buf b, t;
	FILE *f;
	size_t i;

	for (i = 0; i < MG_ED25519; i++)
		host.pub[i] = (uint8_t)strtoul(
		    (char[3]){hex[2 * i], hex[2 * i + 1], 0}, NULL, 16);
	assert_true(mg_note_origin("host", host.name));
	mg_buf_init(&b, 256);
	mg_buf_init(&t, 256);
	assert_int_equal(mg_buf_put(&b, head, sizeof(head)), MG_ERR_OK);
	assert_int_equal(mg_buf_put(&b, host.pub, MG_ED25519), MG_ERR_OK);
	assert_int_equal(
	    mg_b64_put(&t, mg_buf_ptr(&b), mg_buf_len(&b)), MG_ERR_OK);
	snprintf(path, sizeof(path), "%s/host_key.pub", home);
	assert_non_null(f = fopen(path, "w"));
	fprintf(f, "ssh-ed25519 %s\n", mg_buf_cstr(&t));
	fclose(f);
	mg_buf_fini(&b);
	mg_buf_fini(&t);
}

/* ---- its files ---- */

struct text {
	char *p;
	size_t n;
};

static struct text
slurp(const char *folder, const char *name)
{
	char path[256];
	struct mg_buf b;
	struct text t;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	mg_buf_init(&b, FILE_MAX);
	assert_true((fd = open(path, O_RDONLY)) != -1);
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	close(fd);
	t.n = mg_buf_len(&b);
	t.p = malloc(t.n + FILE_MAX); /* room to add to */
	memcpy(t.p, mg_buf_ptr(&b), t.n);
	memset(t.p + t.n, 0, FILE_MAX);
	mg_buf_fini(&b);
	return t;
}

static void
spill(const char *name, const void *p, size_t n)
{
	int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd != -1);
	assert_int_equal(mg_file_write(fd, p, n), MG_ERR_OK);
	close(fd);
}

static void
empty(const char *folder)
{
	char path[512];
	struct dirent *de;
	DIR *d = opendir(folder);

	while (d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, de->d_name);
		(void)remove(path);
	}
	closedir(d);
}

static void
fresh(void)
{
	struct dirent *de;
	struct text t;
	DIR *d;

	empty(dir);
	assert_non_null(d = opendir(good));
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		t = slurp(good, de->d_name);
		spill(de->d_name, t.p, t.n);
		free(t.p);
	}
	closedir(d);
	refuses_records = refuses_state = false;
}

/* What is there, and what is in it. */
static void
digest(uint8_t out[MG_MERKLE_HASH])
{
	uint8_t sum[MG_MERKLE_HASH], md[MG_MERKLE_HASH];
	struct dirent *de;
	struct stat st;
	struct text t;
	size_t i;
	DIR *d;

	memset(out, 0, MG_MERKLE_HASH);
	assert_non_null(d = opendir(dir));
	while ((de = readdir(d)) != NULL) {
		mg_sha_plain(sha, de->d_name, strlen(de->d_name), sum);
		assert_int_equal(
		    fstatat(dirfd_, de->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		if (S_ISREG(st.st_mode) && st.st_size < FILE_MAX) {
			t = slurp(dir, de->d_name);
			mg_sha_leaf(sha, t.p, t.n, md);
			free(t.p);
		} else {
			mg_sha_leaf(sha, &st.st_size, sizeof(st.st_size), md);
		}
		for (i = 0; i < MG_MERKLE_HASH; i++)
			out[i] ^= sum[i] ^ (uint8_t)(md[i] << 1 | md[i] >> 7);
	}
	closedir(d);
}

/* Line k of a file, from 1, with its newline. */
static struct text
line_of(const struct text *t, unsigned k)
{
	struct text l = {.p = t->p};

	while (--k > 0)
		l.p = strchr(l.p, '\n') + 1;
	l.n = (size_t)(strchr(l.p, '\n') + 1 - l.p);
	return l;
}

/* Other bytes in the place of lines from k on, so many of them. */
static void
put_lines(const char *name, unsigned k, unsigned lines, const char *p, size_t n)
{
	struct text t = slurp(dir, name), from, to;
	size_t rest;

	from = line_of(&t, k);
	to = lines > 0 ? line_of(&t, k + lines - 1) : from;
	if (lines > 0)
		to.p += to.n;
	rest = (size_t)(t.p + t.n - to.p);
	memmove(from.p + n, to.p, rest);
	memcpy(from.p, p, n);
	spill(name, t.p, (size_t)(from.p - t.p) + n + rest);
	free(t.p);
}

/* In line k, one text for another. */
static void
swap(const char *name, unsigned k, const char *old, const char *new)
{
	struct text t = slurp(dir, name), l = line_of(&t, k);
	char buf[8192], *at;

	memcpy(buf, l.p, l.n);
	buf[l.n] = '\0';
	assert_non_null(at = strstr(buf, old));
	memmove(
	    at + strlen(new), at + strlen(old), strlen(at + strlen(old)) + 1);
	memcpy(at, new, strlen(new));
	free(t.p);
	put_lines(name, k, 1, buf, strlen(buf));
}

static void
cut(const char *name, off_t size)
{
	int fd = openat(dirfd_, name, O_WRONLY);

	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void
gone(const char *name)
{
	assert_int_equal(unlinkat(dirfd_, name, 0), 0);
}

static void
flip(const char *name, off_t at)
{
	int fd = openat(dirfd_, name, O_RDWR);
	uint8_t c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* ---- what is done to it ---- */

static void
no_snapshots(void)
{
	gone(SNAP2);
	gone(SNAP3);
}

static void
long_line(void)
{
	char *p = malloc(70001);

	memset(p, 'x', 70000);
	p[70000] = '\n';
	put_lines(S3, 3, 1, p, 70001);
	free(p);
}

static void
endless_line(void)
{
	cut(S3, (off_t)4 << 30);
}

static void
nul_byte(void)
{
	put_lines(S3, 3, 1, "{\"seq\":13,\0}\n", 13);
}

static void
nested(void)
{
	swap(S3, 3, "\"text\":", "\"deep\":{\"a\":1},\"text\":");
}

static void
deeply_nested(void)
{
	char *p = malloc(60001);

	memset(p, '[', 60000);
	memcpy(p, "{\"seq\":13,\"a\":", 14);
	p[60000] = '\n';
	put_lines(S3, 3, 1, p, 60001);
	free(p);
}

static void
no_record(void)
{
	put_lines(S3, 3, 1, "hello\n", 6);
}

static void
member_twice(void)
{
	swap(S3, 3, "\"text\":", "\"seq\":13,\"text\":");
}

static void
no_number(void)
{
	put_lines(S3, 3, 1, "{\"a\":1}\n", 8);
}

static void
wrong_number(void)
{
	swap(S3, 3, "\"seq\":13", "\"seq\":-13");
}

static void
no_type(void)
{
	swap(S3, 3, "\"type\":\"note\"", "\"type\":\"\"");
}

static void
no_time(void)
{
	swap(S3, 3, "\"at\":\"2", "\"at\":\"x");
}

static void
no_boot_time(void)
{
	swap(S3, 3, "\"bt\":", "\"bt\":-");
}

static void
clock_back(void)
{
	swap(S3, 3, "\"bt\":", "\"bt\":1,\"was\":");
}

static void
torn_line(void)
{
	struct text t = slurp(dir, S2);

	no_snapshots();
	cut(S2, (off_t)t.n - 5);
	free(t.p);
}

static void
duplicated(void)
{
	struct text t = slurp(dir, S3), l = line_of(&t, 3);

	put_lines(S3, 4, 0, l.p, l.n);
	free(t.p);
}

static void
reordered(void)
{
	struct text t = slurp(dir, S3), l = line_of(&t, 2);

	put_lines(S3, 4, 0, l.p, l.n);
	put_lines(S3, 2, 1, "", 0);
	free(t.p);
}

static void
old_one_again(void)
{
	struct text t = slurp(dir, S3), l = line_of(&t, 1);

	put_lines(S3, 4, 0, l.p, l.n);
	free(t.p);
}

static void
missing(void)
{
	put_lines(S3, 3, 1, "", 0);
}

static void
foreign_line(void)
{
	struct text t = slurp(other, S3), l = line_of(&t, 3);

	put_lines(S3, 3, 1, l.p, l.n);
	free(t.p);
}

static void
changed(void)
{
	swap(S3, 3, "good", "evil");
}

static void
changed_unkept(void)
{
	changed();
	gone("leaves");
}

static void
changed_last(void)
{
	swap(S3, 5, "good", "evil");
	gone("checkpoints");
}

static void
no_head(void)
{
	swap(S3, 1, "\"segment\"", "\"segmemt\"");
}

static void
wrong_root(void)
{
	swap(S3, 1, "\"root\":\"", "\"root\":\"0");
}

static void
missing_segment(void)
{
	no_snapshots();
	gone(S2);
}

static void
extra_segment(void)
{
	struct text t = slurp(dir, S3), l = line_of(&t, 3);

	spill("00000000000000000013.jsonl", l.p, l.n);
	free(t.p);
}

static void
far_segment(void)
{
	spill("00000000000000000099.jsonl", "", 0);
}

static void
foreign_segment(void)
{
	struct text t = slurp(other, S3);

	spill(S3, t.p, t.n);
	free(t.p);
}

static void
segment_link(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/" S3, good);
	gone(S3);
	assert_int_equal(symlinkat(path, dirfd_, S3), 0);
}

static void
segment_pipe(void)
{
	gone(S3);
	assert_int_equal(mkfifoat(dirfd_, S3, 0600), 0);
}

static void
old_segment_folder(void)
{
	gone(S1);
	assert_int_equal(mkdirat(dirfd_, S1, 0700), 0);
}

static void
leaves_pipe(void)
{
	gone("leaves");
	assert_int_equal(mkfifoat(dirfd_, "leaves", 0600), 0);
}

static void
leaves_link(void)
{
	gone("leaves");
	assert_int_equal(symlinkat("/etc/passwd", dirfd_, "leaves"), 0);
}

static void
checkpoints_pipe(void)
{
	gone("checkpoints");
	assert_int_equal(mkfifoat(dirfd_, "checkpoints", 0600), 0);
}

static void
not_private(void)
{
	assert_int_equal(fchmodat(dirfd_, S3, 0644, 0), 0);
}

static void
pack(const void *p, size_t n, size_t keep, bool wrong)
{
	size_t bound = ZSTD_compressBound(n), len;
	char *out = malloc(bound);

	len = ZSTD_compress(out, bound, p, n, 3);
	assert_false(ZSTD_isError(len));
	if (wrong)
		memset(out + 9, 0xff, 8);
	spill(S1 ".zst", out, len - keep);
	gone(S1);
	free(out);
}

static void
pack_cut(void)
{
	struct text t = slurp(dir, S1);

	pack(t.p, t.n, 3, false);
	free(t.p);
}

static void
pack_bad(void)
{
	struct text t = slurp(dir, S1);

	pack(t.p, t.n, 0, true);
	free(t.p);
}

/* Good lines, and more than a segment ever has. */
static void
pack_bomb(void)
{
	static char fill[60000];
	struct text t = slurp(dir, S1), all;
	size_t size = MG_LINES_UNPACKED_MAX + FILE_MAX;
	char hex[MG_LEDGER_HASH_HEX];
	struct text l = line_of(&t, LINES);
	int seq = LINES, n;

	gone("checkpoints");
	gone("leaves");
	memset(fill, 'x', sizeof(fill) - 1);
	all.p = malloc(size);
	memcpy(all.p, t.p, t.n);
	all.n = t.n;
	while (all.n + sizeof(fill) + 1000 < size) {
		mg_ledger_hash_line(sha, l.p, l.n - 1, hex);
		l.p = all.p + all.n;
		n = snprintf(l.p, size - all.n,
		    "{\"seq\":%d,\"at\":\"2038-01-01T00:00:00.000Z\","
		    "\"bt\":4102444800000,\"prev\":\"%s\","
		    "\"type\":\"note\",\"text\":\"%s\"}\n",
		    ++seq, hex, fill);
		l.n = (size_t)n;
		all.n += l.n;
	}
	pack(all.p, all.n, 0, false);
	free(all.p);
	free(t.p);
}

static void
packed_needed(void)
{
	struct text t = slurp(dir, S1);

	no_snapshots();
	pack(t.p, t.n, 0, false);
	free(t.p);
}

static void
unfit(void)
{
	refuses_records = true;
}

static void
unfit_snapshot(void)
{
	refuses_state = true;
}

static void
first_gone(void)
{
	gone(S1);
}

static void
first_and_leaves_gone(void)
{
	gone(S1);
	gone("leaves");
}

static off_t
length(const char *name, unsigned lines)
{
	struct text t = slurp(dir, name), l = line_of(&t, lines);
	off_t n = l.p + l.n - t.p;

	free(t.p);
	return n;
}

static void
lines_cut(void)
{
	cut(S3, length(S3, 3));
	gone("checkpoints");
}

static void
line_cut(void)
{
	cut(S3, length(S3, 5) - 1);
	gone("checkpoints");
}

static void
lines_and_leaves_cut(void)
{
	cut(S3, length(S3, 3));
	cut("leaves", 13 * MG_MERKLE_HASH);
}

static void
segment_cut(void)
{
	gone(S3);
	gone(SNAP3);
}

static void
leaf_wrong(void)
{
	flip("leaves", 12 * MG_MERKLE_HASH);
}

static void
old_leaf_wrong(void)
{
	flip("leaves", 2 * MG_MERKLE_HASH);
}

/* A note more: over so many, signed by whom. */
static void
add_note(uint64_t size, const struct mg_note_key *key, const uint8_t *by)
{
	struct text t = slurp(dir, "checkpoints");
	uint8_t root[MG_MERKLE_HASH] = {1};
	struct mg_note note;

	assert_int_equal(mg_note_make(&note, host.name, size, root), MG_ERR_OK);
	assert_int_equal(mg_note_sign(&note, key, by, 0), MG_ERR_OK);
	memcpy(t.p + t.n, note.text, note.len);
	t.p[t.n + note.len] = '\n';
	spill("checkpoints", t.p, t.n + note.len + 1);
	free(t.p);
}

static void
note_longer(void)
{
	add_note(RECORDS + 1, &host, seed);
}

static void
note_other_root(void)
{
	add_note(RECORDS, &host, seed);
}

static void
note_foreign(void)
{
	struct mg_note_key key = host;

	key.pub[0] ^= 1;
	add_note(RECORDS, &key, seed);
}

static void
note_forged(void)
{
	uint8_t by[MG_ED25519] = {8};

	add_note(RECORDS, &host, by);
}

static void
note_malformed(void)
{
	struct text t = slurp(dir, "checkpoints");
	const char *more = "host/modelgate-ledger\nmany\nAAAA\n\nx\n\n";

	memcpy(t.p + t.n, more, strlen(more));
	spill("checkpoints", t.p, t.n + strlen(more));
	free(t.p);
}

/* From line 3 of the last segment on, with every hash made to fit. */
static void
rewritten(void)
{
	struct text t = slurp(dir, S3);
	char hex[MG_LEDGER_HASH_HEX], *at;
	uint8_t leaf[MG_MERKLE_HASH];
	struct text l;
	unsigned k;
	int fd = openat(dirfd_, "leaves", O_WRONLY);

	memcpy(strstr(line_of(&t, 3).p, "good"), "evil", 4);
	for (k = 3; k <= LINES; k++) {
		l = line_of(&t, k);
		mg_sha_leaf(sha, l.p, l.n - 1, leaf);
		assert_int_equal(pwrite(fd, leaf, sizeof(leaf),
				     (off_t)(9 + k) * MG_MERKLE_HASH),
		    sizeof(leaf));
		mg_ledger_hash_line(sha, l.p, l.n - 1, hex);
		if (k == LINES)
			break;
		at = strstr(l.p + l.n, "\"prev\":\"") + 8;
		memcpy(at, hex, 64);
	}
	close(fd);
	spill(S3, t.p, t.n);
	free(t.p);
}

/* ---- what is said of it ---- */

#define OK MG_FLAW_NONE /* accepted, or not looked at */

static const struct row {
	void (*change)(void);
	enum mg_flaw_kind agent, verify;
	const char *file; /* of the first who finds it */
	uint64_t line, record;
} rows[] = {
    {long_line, MG_FLAW_LONG, MG_FLAW_LONG, S3, 3, 13},
    {endless_line, MG_FLAW_LONG, MG_FLAW_LONG, S3, 6, 16},
    {nul_byte, MG_FLAW_NUL, MG_FLAW_NUL, S3, 3, 13},
    {nested, MG_FLAW_NESTED, MG_FLAW_NESTED, S3, 3, 13},
    {deeply_nested, MG_FLAW_NESTED, MG_FLAW_NESTED, S3, 3, 13},
    {no_record, MG_FLAW_RECORD, MG_FLAW_RECORD, S3, 3, 13},
    {member_twice, MG_FLAW_RECORD, MG_FLAW_RECORD, S3, 3, 13},
    {no_number, MG_FLAW_SEQ, MG_FLAW_SEQ, S3, 3, 13},
    {wrong_number, MG_FLAW_SEQ, MG_FLAW_SEQ, S3, 3, 13},
    {no_type, MG_FLAW_TYPE, MG_FLAW_TYPE, S3, 3, 13},
    {no_time, MG_FLAW_TIME, MG_FLAW_TIME, S3, 3, 13},
    {no_boot_time, MG_FLAW_TIME, MG_FLAW_TIME, S3, 3, 13},
    {clock_back, MG_FLAW_CLOCK, MG_FLAW_CLOCK, S3, 3, 13},
    {torn_line, MG_FLAW_TORN, MG_FLAW_TORN, S2, 5, 10},
    {unfit, MG_FLAW_UNFIT, OK, S3, 1, 11},
    {duplicated, MG_FLAW_DUPLICATED, MG_FLAW_DUPLICATED, S3, 4, 14},
    {reordered, MG_FLAW_ORDER, MG_FLAW_ORDER, S3, 2, 12},
    {old_one_again, MG_FLAW_ORDER, MG_FLAW_ORDER, S3, 4, 14},
    {missing, MG_FLAW_MISSING, MG_FLAW_MISSING, S3, 3, 13},
    {foreign_line, MG_FLAW_FOREIGN, MG_FLAW_FOREIGN, S3, 3, 13},
    {changed, MG_FLAW_CHANGED, MG_FLAW_CHANGED, S3, 3, 13},
    {changed_unkept, MG_FLAW_CHAIN, MG_FLAW_CHAIN, S3, 4, 13},
    {changed_last, OK, MG_FLAW_CHANGED, S3, 5, 15},
    {no_head, MG_FLAW_HEAD, MG_FLAW_HEAD, S3, 1, 11},
    {wrong_root, MG_FLAW_ROOT, MG_FLAW_ROOT, S3, 1, 11},
    {missing_segment, MG_FLAW_SEGMENT_MISSING, MG_FLAW_SEGMENT_MISSING, S3, 0,
	6},
    {extra_segment, MG_FLAW_SEGMENT_EXTRA, MG_FLAW_SEGMENT_EXTRA,
	"00000000000000000013.jsonl", 0, 16},
    {far_segment, MG_FLAW_SEGMENT_MISSING, MG_FLAW_SEGMENT_MISSING,
	"00000000000000000099.jsonl", 0, 16},
    {foreign_segment, MG_FLAW_SEGMENT_FOREIGN, MG_FLAW_SEGMENT_FOREIGN, S3, 1,
	11},
    {segment_link, MG_FLAW_FILE, MG_FLAW_FILE, S3, 0, 11},
    {segment_pipe, MG_FLAW_FILE, MG_FLAW_FILE, S3, 0, 11},
    {old_segment_folder, MG_FLAW_FILE, MG_FLAW_FILE, S1, 0, 1},
    {leaves_pipe, MG_FLAW_FILE, MG_FLAW_FILE, "leaves", 0, 0},
    {leaves_link, MG_FLAW_FILE, MG_FLAW_FILE, "leaves", 0, 0},
    {checkpoints_pipe, MG_FLAW_FILE, MG_FLAW_FILE, "checkpoints", 0, 0},
    {not_private, MG_FLAW_PRIVATE, OK, S3, 0, 11},
    {pack_cut, OK, MG_FLAW_PACK_CUT, S1 ".zst", 1, 1},
    {pack_bomb, OK, MG_FLAW_PACK_BOMB, "", 0, 0},
    {pack_bad, OK, MG_FLAW_PACK_BAD, S1 ".zst", 1, 1},
    {packed_needed, MG_FLAW_PACKED, OK, S1 ".zst", 0, 1},
    {unfit_snapshot, MG_FLAW_SNAPSHOT, OK, SNAP3, 0, 11},
    {first_gone, OK, MG_FLAW_GAP, "", 0, 1},
    {first_and_leaves_gone, OK, MG_FLAW_LEAVES_GONE, "", 0, 1},
    {lines_cut, MG_FLAW_LEAVES_LEFT, MG_FLAW_LEAVES_LEFT, S3, 3, 14},
    {line_cut, MG_FLAW_LEAVES_LEFT, MG_FLAW_LEAVES_LEFT, S3, 5, 15},
    {leaf_wrong, OK, MG_FLAW_LEAVES_WRONG, "leaves", 0, 13},
    {old_leaf_wrong, OK, MG_FLAW_LEAVES_WRONG, "leaves", 0, 3},
    {lines_and_leaves_cut, MG_FLAW_TRUNCATED, MG_FLAW_TRUNCATED, S3, 3, 14},
    {segment_cut, MG_FLAW_TRUNCATED, MG_FLAW_TRUNCATED, S2, 5, 11},
    {note_longer, MG_FLAW_TRUNCATED, MG_FLAW_TRUNCATED, S3, 5, 16},
    {note_other_root, MG_FLAW_REWRITTEN, MG_FLAW_REWRITTEN, S3, 5, 11},
    {rewritten, MG_FLAW_REWRITTEN, MG_FLAW_REWRITTEN, S3, 5, 11},
    {note_malformed, MG_FLAW_NOTE_BAD, MG_FLAW_NOTE_BAD, "checkpoints", 19, 0},
    {note_foreign, MG_FLAW_NOTE_FOREIGN, MG_FLAW_NOTE_FOREIGN, "checkpoints",
	19, 0},
    {note_forged, MG_FLAW_NOTE_FORGED, MG_FLAW_NOTE_FORGED, "checkpoints", 19,
	0},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- the agent's start ---- */

static void
a_start_names_each_flaw_and_changes_nothing(void **state)
{
	uint8_t before[MG_MERKLE_HASH], after[MG_MERKLE_HASH];
	struct mg_ledger_report rep;
	const struct row *r;
	struct mg_ledger *l;
	enum mg_err e;

	(void)state;
	for (r = rows; r < rows + NROWS; r++) {
		fresh();
		r->change();
		digest(before);
		e = mg_ledger_open(
		    dirfd_, &host, on_record, on_state, NULL, &l, &rep);
		if (r->agent != rep.flaw.kind)
			print_error("row %zu: %s:%llu: %s\n",
			    (size_t)(r - rows), rep.file,
			    (unsigned long long)rep.line, rep.flaw.text);
		assert_int_equal(rep.flaw.kind, r->agent);
		assert_int_equal(e, r->agent == OK ? MG_ERR_OK : MG_ERR_FORMAT);
		mg_ledger_free(l);
		if (r->agent == OK)
			continue;
		digest(after);
		assert_memory_equal(before, after, sizeof(before));
		assert_string_equal(rep.file, r->file);
		if (rep.line != r->line || rep.flaw.record != r->record)
			print_error(
			    "row %zu: %s\n", (size_t)(r - rows), rep.flaw.text);
		assert_int_equal(rep.line, r->line);
		assert_int_equal(rep.flaw.record, r->record);
	}
}

static void
a_wrong_leaf_is_told_and_mended(void **state)
{
	struct mg_ledger_report rep;
	struct mg_ledger *l;
	struct text was, is;

	(void)state;
	fresh();
	was = slurp(dir, "leaves");
	leaf_wrong();
	assert_int_equal(
	    mg_ledger_open(dirfd_, &host, on_record, on_state, NULL, &l, &rep),
	    MG_ERR_OK);
	mg_ledger_free(l);
	assert_int_equal(rep.leaves_differ, 13);
	assert_false(rep.leaves_short);
	is = slurp(dir, "leaves");
	assert_int_equal(is.n, was.n);
	assert_memory_equal(is.p, was.p, was.n);
	free(is.p);
	free(was.p);
}

/* ---- modelgate verify ---- */

static int
verify(char *out, size_t size, const char *option, const char *value)
{
	char *argv[] = {(char[]){"verify"}, dir, NULL, NULL, NULL};
	char self[256], path[300];
	size_t have = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	argv[2] = option == NULL ? NULL : strdup(option);
	argv[3] = value == NULL ? NULL : strdup(value);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../modelgate-ledger", self);
	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		(void)dup2(fds[1], 1);
		(void)dup2(fds[1], 2);
		execv(path, argv);
		_exit(99);
	}
	close(fds[1]);
	while ((n = read(fds[0], out + have, size - 1 - have)) > 0)
		have += (size_t)n;
	out[have] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(argv[2]);
	free(argv[3]);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Its word, and no other's. */
static void
check_words(const char *out, enum mg_flaw_kind kind)
{
	unsigned k;
	char word[64];

	for (k = 1; k < MG_FLAW_COUNT; k++) {
		snprintf(word, sizeof(word),
		    " %s: ", mg_flaw_word((enum mg_flaw_kind)k));
		if ((strstr(out, word) != NULL) != (k == (unsigned)kind))
			print_error("%s%s\n", word, out);
		assert_int_equal(
		    strstr(out, word) != NULL, k == (unsigned)kind);
	}
}

static void
verify_names_each_flaw(void **state)
{
	char out[8192], place[128];
	const struct row *r;
	int status;

	(void)state;
	for (r = rows; r < rows + NROWS; r++) {
		fresh();
		r->change();
		status = verify(out, sizeof(out), NULL, NULL);
		if (status != (r->verify == OK ? 0 : 1))
			print_error("row %zu: %s\n", (size_t)(r - rows), out);
		assert_int_equal(status, r->verify == OK ? 0 : 1);
		check_words(out, r->verify);
		if (r->verify == OK || r->file[0] == '\0')
			continue;
		assert_non_null(strstr(out, r->file));
		if (r->record == 0)
			continue;
		snprintf(place, sizeof(place), "record: %llu (%s%s%.0llu)\n",
		    (unsigned long long)r->record, r->file,
		    r->line > 0 ? ":" : "", (unsigned long long)r->line);
		if (strstr(out, place) == NULL)
			print_error(
			    "row %zu: %s%s\n", (size_t)(r - rows), place, out);
		assert_non_null(strstr(out, place));
	}
}

/* What the hub has seen is another ledger, or a longer one. */
static void
verify_compares_with_what_the_hub_has_seen(void **state)
{
	char out[8192], path[128];
	struct text t;

	(void)state;
	fresh();
	snprintf(path, sizeof(path), "%s/leaves", other);
	assert_int_equal(verify(out, sizeof(out), "--leaves", path), 1);
	check_words(out, MG_FLAW_HUB_CHANGED);
	snprintf(path, sizeof(path), "%s/hub", home);
	t = slurp(good, "leaves");
	(void)unlinkat(dirfd_, "hub", 0);
	spill("hub", t.p, t.n + MG_MERKLE_HASH);
	snprintf(path, sizeof(path), "%s/hub", dir);
	assert_int_equal(verify(out, sizeof(out), "--leaves", path), 1);
	check_words(out, MG_FLAW_HUB_MORE);
	spill("hub", t.p, t.n);
	assert_int_equal(verify(out, sizeof(out), "--leaves", path), 0);
	free(t.p);
	snprintf(path, sizeof(path), "%s/host_key.pub", home);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(verify(out, sizeof(out), NULL, NULL), 1);
	check_words(out, MG_FLAW_NOTE_UNKNOWN);
	make_key();
}

static void
every_kind_has_its_word_and_is_played(void **state)
{
	bool seen[MG_FLAW_COUNT] = {[MG_FLAW_NONE] = true,
	    [MG_FLAW_HUB_CHANGED] = true,
	    [MG_FLAW_HUB_MORE] = true,
	    [MG_FLAW_NOTE_UNKNOWN] = true};
	const struct row *r;
	unsigned k, i;

	(void)state;
	for (r = rows; r < rows + NROWS; r++)
		seen[r->agent] = seen[r->verify] = true;
	for (k = 0; k < MG_FLAW_COUNT; k++) {
		assert_true(seen[k]);
		for (i = 0; i < k; i++)
			assert_string_not_equal(
			    mg_flaw_word((enum mg_flaw_kind)i),
			    mg_flaw_word((enum mg_flaw_kind)k));
	}
}

static int
begin(void **state)
{
	(void)state;
	snprintf(home, sizeof(home), "/tmp/flaws.XXXXXX");
	if ((sha = mg_sha_new()) == NULL || mkdtemp(home) == NULL)
		return 1;
	snprintf(good, sizeof(good), "%s/good", home);
	snprintf(other, sizeof(other), "%s/other", home);
	snprintf(dir, sizeof(dir), "%s/ledger", home);
	make_key();
	make(good, "good");
	make(other, "other");
	return mkdir(dir, 0700) != 0 ||
	       (dirfd_ = open(dir, O_RDONLY | O_DIRECTORY)) == -1;
}

static int
end(void **state)
{
	(void)state;
	close(dirfd_);
	empty(dir);
	empty(good);
	empty(other);
	empty(home);
	mg_sha_free(sha);
	return rmdir(home);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_names_each_flaw_and_changes_nothing),
	    cmocka_unit_test(a_wrong_leaf_is_told_and_mended),
	    cmocka_unit_test(verify_names_each_flaw),
	    cmocka_unit_test(verify_compares_with_what_the_hub_has_seen),
	    cmocka_unit_test(every_kind_has_its_word_and_is_played),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
