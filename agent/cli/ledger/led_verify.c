/* SPDX-License-Identifier: ISC */
/*
 * verify: the whole ledger, against its own and the hub's checkpoints.
 *
 * Rules
 * 1. Every line is followed as the agent does at its start (mg_follow.h); the
 *    tree has to have the signed root at the size of every checkpoint. One
 *    flaw ends it: what stands behind proves nothing.
 * 2. The first bad record is named. The leaves that the hub kept tell it
 *    exactly; else the leaves that the host kept, when they were not
 *    changed as well, which a checkpoint tells; else the chain.
 * 3. Signatures are checked before anything is compared: a checkpoint that
 *    nobody signed would let its author choose the verdict.
 * 4. Records at the beginning may be missing when a record says who
 *    discarded them, and their kept hashes make the tree what it was. The
 *    hashes stand in for the records; nothing stands in for the hashes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "led.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_time.h"

#define DISCARDS_MAX 64 /* told of */

struct verify {
	struct led *led;
	int dirfd;
	struct led_notes notes;
	size_t next_note;
	struct mg_leaves own, spare, hub;
	struct mg_follow f;
	uint64_t wrong_leaf; /* a checkpoint tells that it is the hash */
	char was_file[64];   /* where f.differs is */
	uint64_t was_line;
	uint64_t gap; /* lines that were discarded */
	char gap_root[MG_LEDGER_HASH_HEX];
	char *discards[DISCARDS_MAX];
	size_t ndiscards;
	bool gap_told; /* a record says so */
	struct led_report rep;
	struct mg_flaw flaw;
	char text[512], file[64], own_notes[4096];
	uint64_t bytes, total;
	size_t torn; /* bytes of a last line that has not ended */
	int64_t start_ms, shown_ms;
};

/* ---- what is found ---- */

/* v->flaw, of the line or of the file that is read. */
static int
bad(struct verify *v)
{
	v->rep.ok = false;
	v->rep.flaw = v->flaw.kind;
	v->rep.record = v->flaw.record;
	v->rep.text = v->flaw.text;
	if (v->f.differs != 0 && v->flaw.record == v->f.differs) {
		v->rep.file = v->was_file;
		v->rep.line = v->was_line;
	}
	return LED_NO;
}

#define BAD(v, ...) (mg_flaw_set(&(v)->flaw, __VA_ARGS__), bad(v))

/* Not a flaw, but worth a word; the first is kept. */
static void remark(struct verify *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
remark(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	if (v->text[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	v->rep.text = v->text;
}

void
led_print_report(const struct led *led, const struct led_report *rep)
{
	struct mg_buf b;
	struct mg_json j;
	const char *s;
	size_t i;

	if (led->json) {
		mg_buf_init(&b, 16384);
		mg_json_begin(&j, &b);
		mg_json_obj(&j, NULL);
		mg_json_bool(&j, "ok", rep->ok);
		mg_json_str(&j, "flaw", rep->ok ? "" : mg_flaw_word(rep->flaw));
		mg_json_int(&j, "records", (int64_t)rep->records);
		mg_json_int(&j, "checkpoints", (int64_t)rep->checkpoints);
		mg_json_int(&j, "witnessed", (int64_t)rep->witnessed);
		mg_json_str(&j, "file", rep->file);
		mg_json_int(&j, "line", (int64_t)rep->line);
		mg_json_int(&j, "record", (int64_t)rep->record);
		mg_json_str(&j, "text", rep->text);
		mg_json_strv(&j, "discarded", rep->discards, rep->ndiscards);
		mg_json_obj_end(&j);
		if (mg_json_end(&j) == MG_ERR_OK &&
		    (s = mg_buf_cstr(&b)) != NULL)
			printf("%s\n", s);
		mg_buf_fini(&b);
		return;
	}
	if (!rep->ok) {
		printf("BAD: ");
		if (rep->record > 0)
			printf("first bad record: %llu ",
			    (unsigned long long)rep->record);
		if (rep->file[0] != '\0')
			printf(rep->line > 0 ? "(%s:%llu)" : "(%s)", rep->file,
			    (unsigned long long)rep->line);
		printf("\n  %s\n", rep->text);
		return;
	}
	printf("good: %llu records, %llu checkpoints",
	    (unsigned long long)rep->records,
	    (unsigned long long)rep->checkpoints);
	if (rep->witnessed > 0)
		printf(", witnessed by the hub up to record %llu",
		    (unsigned long long)rep->witnessed);
	else
		printf("; no hub has witnessed it");
	printf(" (%.1f s, %.0f records/s)\n", rep->seconds,
	    rep->seconds > 0 ? (double)rep->records / rep->seconds : 0);
	for (i = 0; i < rep->ndiscards; i++)
		printf("  %s\n", rep->discards[i]);
	if (rep->text[0] != '\0')
		printf("  %s\n", rep->text);
}

static void
show_progress(struct verify *v)
{
	int64_t now;
	double s;

	if ((v->f.tree.size & 0xfff) != 0 || v->led->quiet || !isatty(2))
		return;
	now = mg_time_boot_ms();
	if (now - v->shown_ms < 200)
		return;
	v->shown_ms = now;
	s = (double)(now - v->start_ms) / 1000;
	fprintf(stderr, "\r%3.0f %%  %llu records  %.0f/s   ",
	    v->total == 0 ? 0 : 100.0 * (double)v->bytes / (double)v->total,
	    (unsigned long long)v->f.tree.size, (double)v->f.tree.size / s);
}

static void
end_progress(const struct verify *v)
{
	if (v->shown_ms != 0)
		fprintf(stderr, "\r%60s\r", "");
}

/* ---- lines ---- */

/* Rule 2 */
static int
check_hub_leaf(struct verify *v, const uint8_t leaf[MG_MERKLE_HASH])
{
	const uint8_t *kept = mg_leaves_get(&v->hub, v->f.tree.size);

	if (kept == NULL || memcmp(kept, leaf, MG_MERKLE_HASH) == 0)
		return 0;
	return BAD(v, MG_FLAW_HUB_CHANGED, v->f.tree.size + 1,
	    "the record is not the one that the hub has seen");
}

/* Rule 1: every checkpoint of this size. */
static int
check_notes(struct verify *v)
{
	uint8_t root[MG_MERKLE_HASH];
	struct led_note *n;
	uint64_t after = 0;
	size_t i;

	while (v->next_note < v->notes.n &&
	       v->notes.v[v->next_note].note.size == v->f.tree.size) {
		n = &v->notes.v[v->next_note];
		mg_merkle_root(&v->f.tree, v->led->sha, root);
		if (memcmp(root, n->note.root, sizeof(root)) != 0) {
			for (i = v->next_note; i > 0 && after == 0; i--)
				if (v->notes.v[i - 1].note.size < n->note.size)
					after = v->notes.v[i - 1].note.size;
			if (v->f.differs != 0)
				after = v->f.differs - 1;
			return BAD(v, MG_FLAW_REWRITTEN, after + 1,
			    "the records up to %llu do not have the root of a "
			    "signed checkpoint (%s, number %u); the first "
			    "changed one is among %llu to %llu",
			    (unsigned long long)v->f.tree.size, n->file, n->nth,
			    (unsigned long long)after + 1,
			    (unsigned long long)v->f.tree.size);
		}
		if (v->f.differs != 0 && v->wrong_leaf == 0)
			v->wrong_leaf = v->f.differs;
		v->f.differs = 0; /* Rule 2: the record is right */
		v->rep.checkpoints++;
		if (n->witnessed)
			v->rep.witnessed = v->f.tree.size;
		v->next_note++;
	}
	return 0;
}

/* ---- what was discarded (Rule 4) ---- */

/* A record of type "discard": who did it, and who agreed. */
static void
take_discard(struct verify *v)
{
	const struct mg_rec *r = &v->f.rec;
	const char *const *names;
	char who[512] = "", text[1024];
	uint64_t last = (uint64_t)mg_rec_int(r, "last", 0);
	bool ok = mg_rec_bool(r, "ok");
	size_t n, i, used = 0;

	names = mg_rec_strv(r, "approvers", &n);
	for (i = 0; i < n && used < sizeof(who) - 100; i++)
		used += (size_t)snprintf(who + used, sizeof(who) - used,
		    "%s%.90s", i > 0 ? ", " : "", names[i]);
	snprintf(text, sizeof(text),
	    "records %lld to %lld %s: %s%.90s%s%s, %s, request %s",
	    (long long)mg_rec_int(r, "first", 0), (long long)last,
	    ok ? "were discarded" : "were to be discarded, and stayed",
	    mg_rec_has(r, "user") ? "by " : "what a crash had left",
	    mg_rec_str(r, "user", ""), n > 0 ? ", agreed by " : "", who,
	    mg_rec_str(r, "at", ""), mg_rec_str(r, "uuid", ""));
	if (last > v->f.tree.size)
		return;
	if (v->gap > 0 && last >= v->gap && !ok)
		v->gap_told = false;
	else if (v->gap > 0 && last >= v->gap && n >= 2)
		v->gap_told = last > v->gap || strcmp(mg_rec_str(r, "root", ""),
						   v->gap_root) == 0;
	if (v->ndiscards < DISCARDS_MAX &&
	    (v->discards[v->ndiscards] = strdup(text)) != NULL)
		v->ndiscards++;
}

/* The hashes of the records before the first that is there. */
static int
take_gap(struct verify *v, uint64_t n)
{
	uint8_t root[MG_MERKLE_HASH];
	const uint8_t *kept;
	int status;

	v->gap = n;
	while (v->f.tree.size < n) {
		if ((kept = mg_leaves_get(&v->own, v->f.tree.size)) == NULL &&
		    (kept = mg_leaves_get(&v->spare, v->f.tree.size)) == NULL &&
		    (kept = mg_leaves_get(&v->hub, v->f.tree.size)) == NULL)
			return BAD(v, MG_FLAW_LEAVES_GONE, v->f.tree.size + 1,
			    "records 1 to %llu are not there, and the hash of "
			    "this one neither",
			    (unsigned long long)n);
		if ((status = check_hub_leaf(v, kept)) != 0)
			return status;
		mg_merkle_add(&v->f.tree, v->led->sha, kept);
		if ((status = check_notes(v)) != 0)
			return status;
	}
	mg_merkle_root(&v->f.tree, v->led->sha, root);
	mg_hex(root, sizeof(root), v->gap_root);
	return 0;
}

static int
check_gap(struct verify *v)
{
	v->rep.discards = (const char *const *)v->discards;
	v->rep.ndiscards = v->ndiscards;
	if (v->gap == 0 || v->gap_told)
		return 0;
	v->rep.file = "";
	return BAD(v, MG_FLAW_GAP, 1,
	    "records 1 to %llu are not there, and no record says that two "
	    "people discarded them",
	    (unsigned long long)v->gap);
}

static int
take_line(struct verify *v, const char *line, size_t n, bool first)
{
	struct mg_follow *f = &v->f;
	enum mg_err r;
	int status;

	/* Behind what was discarded nothing is left to compare with. */
	f->unchained = v->gap > 0 && f->tree.size == v->gap;
	if ((r = mg_follow_check(f, line, n, first)) == MG_ERR_NOMEM)
		return led_fail(v->led, "out of memory");
	if (f->differs == f->tree.size + 1) {
		snprintf(v->was_file, sizeof(v->was_file), "%s", v->file);
		v->was_line = v->rep.line;
	}
	if (r != MG_ERR_OK) {
		v->flaw = f->flaw;
		return bad(v);
	}
	if ((status = check_hub_leaf(v, f->leaf)) != 0)
		return status;
	mg_follow_take(f, line, n);
	if (strcmp(mg_rec_str(&f->rec, "type", ""), "discard") == 0)
		take_discard(v);
	show_progress(v);
	return check_notes(v);
}

/* The one that is missing may stand behind. */
static void
look_behind(struct verify *v, struct mg_lines *lines)
{
	const char *line;
	size_t n;

	while (mg_lines_next(lines, &line, &n) == MG_ERR_OK)
		mg_follow_rest(&v->f, line, n);
	v->flaw = v->f.flaw;
}

/* ---- files ---- */

static int
end_of_file(struct verify *v, enum mg_err r, enum mg_flaw_kind flaw, size_t n,
    bool last)
{
	switch ((int)r) {
	case MG_ERR_NOENT:
		return 0;
	case MG_ERR_TRUNC:
		if (!last)
			return BAD(v, MG_FLAW_TORN, v->f.tree.size + 1,
			    "the line ends early, and it is not the last");
		v->torn = n;
		return 0;
	case MG_ERR_LIMIT:
		return BAD(v, MG_FLAW_LONG, v->f.tree.size + 1,
		    "the line is longer than %d bytes", MG_REC_LINE_MAX);
	case MG_ERR_FORMAT:
		return BAD(v, flaw, v->f.tree.size + 1,
		    "the compressed segment %s",
		    flaw == MG_FLAW_PACK_CUT   ? "ends early"
		    : flaw == MG_FLAW_PACK_BAD ? "is not what zstd wrote"
					       : "unpacks to more than a "
						 "segment has");
	default:
		return led_fail(
		    v->led, "cannot read '%s': %s", v->file, strerror(errno));
	}
}

static int
read_file(struct verify *v, const struct mg_ledger_file *f, bool last)
{
	struct mg_lines *lines;
	const char *line;
	int fd, status = 0;
	enum mg_err r;
	size_t n;

	snprintf(v->file, sizeof(v->file), "%s", f->name);
	v->rep.file = v->file;
	v->rep.line = 0;
	if (!f->is_regular)
		return BAD(v, MG_FLAW_FILE, v->f.tree.size + 1,
		    "%s is not a file, but a link, a pipe, a folder or the "
		    "like",
		    f->name);
	if (f->first > v->f.tree.size + 1)
		return BAD(v, MG_FLAW_SEGMENT_MISSING, v->f.tree.size + 1,
		    "the segment before %s is not there", f->name);
	if (f->first < v->f.tree.size + 1)
		return BAD(v, MG_FLAW_SEGMENT_EXTRA, v->f.tree.size + 1,
		    "%s begins within another segment", f->name);
	fd = openat(
	    v->dirfd, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return led_fail(
		    v->led, "cannot open '%s': %s", f->name, strerror(errno));
	if ((lines = mg_lines_new(fd, f->zst)) == NULL)
		return led_fail(v->led, "out of memory");
	while ((r = mg_lines_next(lines, &line, &n)) == MG_ERR_OK) {
		v->rep.line++;
		status = take_line(v, line, n, v->rep.line == 1);
		if (status != 0)
			break;
	}
	v->bytes += mg_lines_pos(lines);
	if (status == LED_NO && v->flaw.kind == MG_FLAW_MISSING) {
		look_behind(v, lines);
		status = bad(v);
	}
	if (status == 0) {
		v->rep.line += r != MG_ERR_NOENT;
		status = end_of_file(v, r, mg_lines_flaw(lines), n, last);
	}
	mg_lines_free(lines);
	return status;
}

static uint64_t
bytes_of(int dirfd, const struct mg_ledger_file *f, size_t n)
{
	struct stat st;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (fstatat(dirfd, f[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			sum += (uint64_t)st.st_size;
	return sum;
}

/* Checkpoints or leaves that say that there was more. */
static int
check_end(struct verify *v)
{
	uint64_t n = v->f.tree.size;
	const struct led_note *last;
	const char *torn = v->torn > 0 ? ", and a line that ends early" : "";

	if (v->next_note < v->notes.n) {
		last = &v->notes.v[v->notes.n - 1];
		return BAD(v, MG_FLAW_TRUNCATED, n + 1,
		    "%llu records are there%s, and a checkpoint (%s, number "
		    "%u) was signed over %llu",
		    (unsigned long long)n, torn, last->file, last->nth,
		    (unsigned long long)last->note.size);
	}
	if (v->hub.fd != -1 && v->hub.n > n)
		return BAD(v, MG_FLAW_HUB_MORE, n + 1,
		    "%llu records are there%s, and the hub has seen %llu",
		    (unsigned long long)n, torn, (unsigned long long)v->hub.n);
	if (v->own.n > n)
		return BAD(v, MG_FLAW_LEAVES_LEFT, n + 1,
		    "%llu records are there%s, and the hashes of %llu were "
		    "kept (leaves)",
		    (unsigned long long)n, torn, (unsigned long long)v->own.n);
	if (v->f.differs != 0)
		return BAD(v, MG_FLAW_CHANGED, v->f.differs,
		    "the record is not the one whose hash was kept (leaves), "
		    "and no checkpoint over it tells which is right");
	if (v->wrong_leaf != 0) {
		v->rep.file = MG_LEDGER_LEAVES;
		v->rep.line = 0;
		return BAD(v, MG_FLAW_LEAVES_WRONG, v->wrong_leaf,
		    "the hash that was kept is not that of the record, which "
		    "a checkpoint is signed over");
	}
	return 0;
}

static void
make_remarks(struct verify *v)
{
	const struct mg_follow *f = &v->f;

	if (v->torn > 0)
		remark(v,
		    "the last line has not ended: %zu bytes of it are there",
		    v->torn);
	/* More were kept meanwhile, when the agent runs. */
	mg_leaves_fini(&v->own);
	if (mg_leaves_open(&v->own, v->dirfd, MG_LEDGER_LEAVES) != MG_ERR_OK ||
	    v->own.n < f->tree.size)
		remark(v,
		    "lost-leaves: %llu hashes of the %llu records were kept: "
		    "the agent makes the others anew",
		    (unsigned long long)v->own.n,
		    (unsigned long long)f->tree.size);
	if (f->set_back != 0)
		remark(v,
		    "the wall clock was set back by %llu ms at record %llu",
		    (unsigned long long)f->set_back_ms,
		    (unsigned long long)f->set_back);
}

static int
read_all(struct verify *v)
{
	struct mg_ledger_file *f;
	int status = 0;
	size_t n, i;

	if (mg_ledger_list(v->dirfd, &f, &n) != MG_ERR_OK)
		return led_fail(v->led, "cannot read the folder");
	if (n == 0) {
		free(f);
		return led_fail(
		    v->led, "there is no ledger in '%s'", v->led->dir);
	}
	v->total = bytes_of(v->dirfd, f, n);
	if (f[0].first > 1)
		status = take_gap(v, f[0].first - 1);
	for (i = 0; i < n && status == 0; i++)
		status = read_file(v, &f[i], i + 1 == n);
	free(f);
	if (status == 0)
		status = check_end(v);
	if (status == 0)
		status = check_gap(v);
	if (status == 0)
		make_remarks(v);
	return status;
}

/* ---- checkpoints ---- */

static int
by_size(const void *a, const void *b)
{
	const struct led_note *x = a, *y = b;

	return x->note.size < y->note.size ? -1 : x->note.size > y->note.size;
}

/* Notes stand one after the other, an empty line behind each. */
static size_t
note_len(const char *p, const char *end)
{
	const char *q = p;

	/* The first empty line ends the body, the second the note. */
	if ((q = memmem(q, (size_t)(end - q), "\n\n", 2)) == NULL ||
	    (q = memmem(q + 2, (size_t)(end - q - 2), "\n\n", 2)) == NULL)
		return (size_t)(end - p);
	return (size_t)(q + 1 - p);
}

/* Rule 3: what speaks against believing it. */
static enum mg_flaw_kind
judge(struct led *led, struct led_note *n)
{
	size_t i;

	if (led->host.kind != 0) {
		snprintf(led->host.name, sizeof(led->host.name), "%s",
		    n->note.origin);
		switch ((int)mg_note_verify(&n->note, &led->host, NULL)) {
		case MG_ERR_OK:
			break;
		case MG_ERR_NOENT:
			return MG_FLAW_NOTE_FOREIGN;
		default:
			return MG_FLAW_NOTE_FORGED;
		}
	}
	for (i = 0; i < led->nhubs && !n->witnessed; i++)
		switch (
		    (int)mg_note_verify(&n->note, &led->hubs[i], &n->time_s)) {
		case MG_ERR_OK:
			n->witnessed = true;
			break;
		case MG_ERR_NOENT:
			break;
		default:
			return MG_FLAW_NOTE_FORGED;
		}
	return led->host.kind == 0 && !n->witnessed ? MG_FLAW_NOTE_UNKNOWN
						    : MG_FLAW_NONE;
}

static const char *
judgement(enum mg_flaw_kind kind)
{
	switch ((int)kind) {
	case MG_FLAW_NOTE_FOREIGN:
		return "it is another host's: not signed with the key of this "
		       "one";
	case MG_FLAW_NOTE_FORGED:
		return "the host's or the hub's signature is wrong";
	default:
		return "it is signed by nobody who is known (--host-key, "
		       "--hub-key)";
	}
}

static int
add_one(struct led *led, struct led_notes *notes, const char *p, size_t len,
    const char *path, unsigned nth)
{
	enum mg_flaw_kind kind = MG_FLAW_NOTE_BAD;
	struct led_note *w;
	const char *why;

	w = reallocarray(notes->v, notes->n + 1, sizeof(*w));
	if (w == NULL)
		return led_fail(led, "out of memory");
	notes->v = w;
	w += notes->n;
	memset(w, 0, sizeof(*w));
	if (mg_note_parse(&w->note, p, len, &why) == MG_ERR_OK) {
		kind = judge(led, w);
		why = judgement(kind);
	}
	w->file = path;
	w->nth = nth;
	if (kind == MG_FLAW_NONE) {
		notes->n++;
		return 0;
	}
	(void)led_fail(led, "%s: checkpoint %u: %s: %s", path, nth,
	    mg_flaw_word(kind), why);
	return LED_NO;
}

int
led_notes_add(
    struct led *led, struct led_notes *notes, const char *path, bool must)
{
	const char *p, *end;
	int status = 0;
	struct stat st;
	struct mg_buf b;
	unsigned nth = 0;
	size_t len;

	if (!must && lstat(path, &st) != 0)
		return 0;
	if (!must && !S_ISREG(st.st_mode)) {
		(void)led_fail(led,
		    "%s: %s: it is a link, a pipe, a folder or the like", path,
		    mg_flaw_word(MG_FLAW_FILE));
		return LED_NO;
	}
	mg_buf_init(&b, LED_FILE_MAX);
	if (!led_read(led, path, &b))
		status = LED_FAILED;
	p = (const char *)mg_buf_ptr(&b);
	end = p + mg_buf_len(&b);
	while (status == 0 && p < end) {
		len = note_len(p, end);
		status = add_one(led, notes, p, len, path, ++nth);
		p += len;
		if (p < end && *p == '\n')
			p++;
	}
	mg_buf_fini(&b);
	if (notes->n > 1)
		qsort(notes->v, notes->n, sizeof(*notes->v), by_size);
	return status;
}

void
led_notes_free(struct led_notes *notes)
{
	free(notes->v);
	notes->v = NULL;
	notes->n = 0;
}

/* ---- from the hub ---- */

/* The output of "ssh HUB WORD HOST", in a file that has no name. */
static int
ask_hub(struct led *led, const char *word, const char *host)
{
	char command[256];
	int fd, status = -1;
	pid_t pid;

	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1) {
		(void)led_fail(led, "cannot make a file in /tmp");
		return -1;
	}
	snprintf(command, sizeof(command), "%s %s", word, host);
	if ((pid = fork()) == 0) {
		if (dup2(fd, 1) != -1)
			execlp("ssh", "ssh", "-T", "--", led->hub, command,
			    (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return fd;
	close(fd);
	(void)led_fail(led, "ssh %s %s did not work", led->hub, command);
	return -1;
}

/* HOST of the notes that this folder has. */
static bool
host_name(const struct verify *v, char *out, size_t size)
{
	const char *slash;

	if (v->notes.n == 0 ||
	    (slash = strchr(v->notes.v[0].note.origin, '/')) == NULL)
		return false;
	snprintf(out, size, "%.*s", (int)(slash - v->notes.v[0].note.origin),
	    v->notes.v[0].note.origin);
	return true;
}

static int
from_hub(struct verify *v)
{
	static char path[64];
	char host[128];
	int fd, status;

	if (!host_name(v, host, sizeof(host)))
		return led_fail(
		    v->led, "the folder has no checkpoint that names the host");
	if ((fd = ask_hub(v->led, "checkpoints", host)) == -1)
		return LED_FAILED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	status = lseek(fd, 0, SEEK_SET) == 0
		     ? led_notes_add(v->led, &v->notes, path, true)
		     : LED_FAILED;
	/* fd stays open: the notes name its path. */
	if (status != 0 || (fd = ask_hub(v->led, "leaves", host)) == -1)
		return status != 0 ? status : LED_FAILED;
	mg_leaves_take(&v->hub, fd);
	return 0;
}

/* ---- all of it ---- */

static int
gather(struct verify *v)
{
	char path[4096];
	int status;

	snprintf(path, sizeof(path), "%s/../host_key.pub", v->led->dir);
	if (v->led->host.kind == 0) {
		v->led->host.kind = MG_NOTE_LOG;
		if (!led_read_key(path, &v->led->host, v->led->host_pub,
			sizeof(v->led->host_pub)))
			v->led->host.kind = 0;
	}
	if (mg_leaves_open(&v->own, v->dirfd, MG_LEDGER_LEAVES) ==
	    MG_ERR_PERM) {
		v->rep.file = MG_LEDGER_LEAVES;
		return BAD(v, MG_FLAW_FILE, 0,
		    "the leaves are not a file, but a link, a pipe, a folder "
		    "or the like");
	}
	(void)!mg_leaves_open(&v->spare, v->dirfd, MG_LEDGER_SPARE);
	if (v->led->leaves != NULL &&
	    mg_leaves_open(&v->hub, AT_FDCWD, v->led->leaves) != MG_ERR_OK)
		return led_fail(v->led, "cannot open '%s': %s", v->led->leaves,
		    strerror(errno));
	snprintf(v->own_notes, sizeof(v->own_notes), "%s/%s", v->led->dir,
	    MG_LEDGER_CHECKPOINTS);
	status = led_notes_add(v->led, &v->notes, v->own_notes, false);
	if (status == 0 && v->led->checkpoints != NULL)
		status =
		    led_notes_add(v->led, &v->notes, v->led->checkpoints, true);
	if (status == 0 && v->led->hub != NULL)
		status = from_hub(v);
	return status;
}

static int
verify_folder(struct led *led)
{
	struct verify *v = calloc(1, sizeof(*v));
	int status;

	if (v == NULL)
		return led_fail(led, "out of memory");
	v->led = led;
	mg_leaves_init(&v->own);
	mg_leaves_init(&v->spare);
	mg_leaves_init(&v->hub);
	v->rep.ok = true;
	v->rep.file = v->rep.text = "";
	v->start_ms = mg_time_boot_ms();
	mg_follow_init(&v->f, led->sha, &v->own);
	v->dirfd = open(led->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->dirfd == -1) {
		status = led_fail(led, "cannot open '%s': %s%s", led->dir,
		    strerror(errno),
		    errno == EACCES ? " (only root may read a host's ledger)"
				    : "");
		goto out;
	}
	if ((status = gather(v)) == 0)
		status = read_all(v);
	end_progress(v);
	v->rep.seconds = (double)(mg_time_boot_ms() - v->start_ms) / 1000;
	v->rep.records = v->f.tree.size;
	if (status == LED_NO && v->rep.ok)
		goto out; /* it was said */
	if (status != LED_FAILED)
		led_print_report(led, &v->rep);
out:
	mg_follow_fini(&v->f);
	mg_leaves_fini(&v->own);
	mg_leaves_fini(&v->spare);
	mg_leaves_fini(&v->hub);
	while (v->ndiscards > 0)
		free(v->discards[--v->ndiscards]);
	led_notes_free(&v->notes);
	free(v);
	return status;
}

int
led_verify(struct led *led, const char *what)
{
	struct stat st;

	led->dir = what != NULL ? what : LED_DIR;
	if (what != NULL && stat(what, &st) != 0)
		return led_fail(led, "'%s': %s", what, strerror(errno));
	if (what != NULL && S_ISREG(st.st_mode))
		return led_bundle_verify(led, what);
	return verify_folder(led);
}
