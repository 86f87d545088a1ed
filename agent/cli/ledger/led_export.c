/* SPDX-License-Identifier: ISC */
/*
 * export: everything about one request, with proofs, in one file.
 *
 * Rules
 * 1. What is written was checked: the paths lead to the root of a
 *    checkpoint whose signature verifies, or nothing is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "led.h"
#include "led_readme.h"
#include "mg_b64.h"
#include "mg_bundle.h"
#include "mg_client.h"
#include "mg_file.h"
#include "mg_id.h"
#include "verify/mg_sshsig.h"

#define RECORDS_MAX 512

struct kept {
	uint64_t seq;
	char *line;
	size_t len;
};

struct export
{
	struct led *led;
	int dirfd;
	char code[MG_CODE_STR], uuid[MG_UUID_STR]; /* empty until found */
	struct kept v[RECORDS_MAX];
	size_t n;
	struct kept policy; /* the last one before the request */
	struct led_notes notes;
	const struct led_note *note;
	uint64_t lines;
	struct mg_merkle_range *want;
	size_t nwant;
	struct mg_buf out;
};

/* ---- lines ---- */

typedef int (*line_fn)(struct export *x, const char *line, size_t n);

static int
each_line(struct export *x, line_fn fn)
{
	struct mg_ledger_file *f;
	struct mg_lines *lines;
	const char *line;
	size_t n, i, len;
	int fd, status = 0;
	enum mg_err r = MG_ERR_NOENT;

	if (mg_ledger_list(x->dirfd, &f, &n) != MG_ERR_OK)
		return led_fail(x->led, "cannot read the folder");
	x->lines = n > 0 ? f[0].first - 1 : 0;
	for (i = 0; i < n && status == 0; i++) {
		fd = openat(
		    x->dirfd, f[i].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd == -1 || (lines = mg_lines_new(fd, f[i].zst)) == NULL) {
			status = led_fail(x->led, "cannot open '%s': %s",
			    f[i].name, strerror(errno));
			break;
		}
		while (status == 0 &&
		       (r = mg_lines_next(lines, &line, &len)) == MG_ERR_OK) {
			x->lines++;
			status = fn(x, line, len);
		}
		mg_lines_free(lines);
		if (status == 0 && r != MG_ERR_NOENT &&
		    !(r == MG_ERR_TRUNC && i + 1 == n))
			status = led_fail(x->led,
			    "'%s' is damaged: modelgate verify says where",
			    f[i].name);
	}
	free(f);
	return status < 0 ? 0 : status;
}

static int
keep(struct export *x, struct kept *k, const char *line, size_t n)
{
	free(k->line);
	k->line = malloc(n + 1);
	if (k->line == NULL)
		return led_fail(x->led, "out of memory");
	memcpy(k->line, line, n);
	k->line[n] = '\0';
	k->len = n;
	k->seq = x->lines;
	return 0;
}

/* Whether the line is of our request; the first one tells its UUID. */
static bool
is_ours(struct export *x, const char *line, size_t n)
{
	static const char mark[] = "\"uuid\":\"";
	char code[MG_CODE_STR], text[MG_UUID_STR];
	const char *p = memmem(line, n, mark, sizeof(mark) - 1);
	struct mg_uuid u;

	if (p == NULL || (size_t)(line + n - p) < sizeof(mark) + 35)
		return false;
	memcpy(text, p + sizeof(mark) - 1, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (x->uuid[0] != '\0')
		return strcmp(text, x->uuid) == 0;
	if (mg_uuid_parse(text, &u) != MG_ERR_OK)
		return false;
	mg_code_from_uuid(&u, code);
	if (strcmp(code, x->code) != 0)
		return false;
	memcpy(x->uuid, text, sizeof(text));
	return true;
}

static int
find_line(struct export *x, const char *line, size_t n)
{
	static const char policy[] = "\"type\":\"policy\"";

	if (is_ours(x, line, n)) {
		if (x->n == RECORDS_MAX)
			return led_fail(x->led,
			    "the request has more than %d records",
			    RECORDS_MAX);
		return keep(x, &x->v[x->n++], line, n);
	}
	if (x->n == 0 && memmem(line, n, policy, sizeof(policy) - 1) != NULL &&
	    memmem(line, n, "\"ok\":true", 9) != NULL)
		return keep(x, &x->policy, line, n);
	return 0;
}

/* ---- proofs ---- */

static int
choose_note(struct export *x)
{
	uint64_t last = x->v[x->n - 1].seq;
	struct led_note *n;
	size_t i;

	for (i = 0; i < x->notes.n; i++) {
		n = &x->notes.v[i];
		if (n->note.size < last || n->note.size > x->lines)
			continue;
		if (x->note == NULL || n->witnessed >= x->note->witnessed)
			x->note = n;
	}
	if (x->note != NULL)
		return 0;
	return led_fail(x->led,
	    "no signed checkpoint covers the request yet: modelgate "
	    "checkpoint");
}

static struct mg_merkle_collect collect;

static int
collect_line(struct export *x, const char *line, size_t n)
{
	uint8_t leaf[MG_MERKLE_HASH];

	if (x->lines > x->note->note.size)
		return -1; /* enough */
	mg_sha_leaf(x->led->sha, line, n, leaf);
	mg_merkle_collect_add(&collect, x->led->sha, leaf);
	return 0;
}

/* Of records that were discarded the hashes are left. */
static int
collect_gap(struct export *x)
{
	uint8_t leaf[MG_MERKLE_HASH];
	struct mg_ledger_file *f;
	uint64_t left;
	FILE *in;
	int fd;
	size_t n;

	if (mg_ledger_list(x->dirfd, &f, &n) != MG_ERR_OK)
		return led_fail(x->led, "cannot read the folder");
	left = n > 0 ? f[0].first - 1 : 0;
	free(f);
	if (left == 0)
		return 0;
	fd = openat(
	    x->dirfd, MG_LEDGER_LEAVES, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 || (in = fdopen(fd, "r")) == NULL)
		return led_fail(x->led, "the hashes of discarded records are "
					"not there");
	while (left > 0 && fread(leaf, sizeof(leaf), 1, in) == 1) {
		mg_merkle_collect_add(&collect, x->led->sha, leaf);
		left--;
	}
	fclose(in);
	return left == 0 ? 0
			 : led_fail(x->led, "the hashes of discarded records "
					    "are not all there");
}

/* slot: which record, and where in its path. */
static int
collect_paths(struct export *x)
{
	struct mg_merkle_range r[MG_MERKLE_PROOF_MAX];
	uint8_t root[MG_MERKLE_HASH];
	size_t i, k, n;
	int status;

	x->want = calloc(x->n * MG_MERKLE_PROOF_MAX + 1, sizeof(*x->want));
	if (x->want == NULL)
		return led_fail(x->led, "out of memory");
	for (i = 0; i < x->n; i++) {
		n = mg_merkle_path(x->v[i].seq - 1, x->note->note.size, r);
		for (k = 0; k < n; k++) {
			r[k].slot = i * MG_MERKLE_PROOF_MAX + k;
			x->want[x->nwant++] = r[k];
		}
	}
	mg_merkle_collect_init(&collect, x->want, x->nwant, x->note->note.size);
	if ((status = collect_gap(x)) != 0 ||
	    (status = each_line(x, collect_line)) != 0)
		return status;
	if (!mg_merkle_collect_end(&collect, x->led->sha))
		return led_fail(x->led, "the ledger is shorter than its "
					"checkpoint");
	mg_merkle_root(&collect.tree, x->led->sha, root);
	if (memcmp(root, x->note->note.root, sizeof(root)) != 0) /* Rule 1 */
		return led_fail(x->led,
		    "the ledger does not have the root of its checkpoint: "
		    "modelgate verify");
	return 0;
}

/* ---- members ---- */

static bool
put(struct export *x, const char *name, const void *p, size_t n)
{
	return mg_bundle_put(&x->out, name, p, n) == MG_ERR_OK;
}

static bool
put_key(struct export *x, const char *name, const struct mg_note_key *key)
{
	static const uint8_t der[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b,
	    0x65, 0x70, 0x03, 0x21, 0x00};
	static const uint8_t wire[] = {0, 0, 0, 11, 's', 's', 'h', '-', 'e',
	    'd', '2', '5', '5', '1', '9', 0, 0, 0, 32};
	uint8_t raw[sizeof(wire) + MG_ED25519];
	char file[32];
	struct mg_buf b;
	bool ok;

	mg_buf_init(&b, 1024);
	memcpy(raw, der, sizeof(der));
	memcpy(raw + sizeof(der), key->pub, MG_ED25519);
	ok = mg_buf_put_text(&b, "-----BEGIN PUBLIC KEY-----\n") == MG_ERR_OK &&
	     mg_b64_put(&b, raw, sizeof(der) + MG_ED25519) == MG_ERR_OK &&
	     mg_buf_put_text(&b, "\n-----END PUBLIC KEY-----\n") == MG_ERR_OK;
	snprintf(file, sizeof(file), "%s.pem", name);
	ok = ok && put(x, file, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_reset(&b);
	memcpy(raw, wire, sizeof(wire));
	memcpy(raw + sizeof(wire), key->pub, MG_ED25519);
	snprintf(file, sizeof(file), "%s.pub", name);
	ok = ok && mg_buf_put_text(&b, "ssh-ed25519 ") == MG_ERR_OK &&
	     mg_b64_put(&b, raw, sizeof(raw)) == MG_ERR_OK &&
	     mg_buf_put_u8(&b, '\n') == MG_ERR_OK &&
	     put(x, file, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	return ok;
}

static bool
put_keys(struct export *x)
{
	size_t i;

	if (!put_key(x, "host", &x->led->host))
		return false;
	for (i = 0; x->note->witnessed && i < x->led->nhubs; i++)
		if (mg_note_verify(&x->note->note, &x->led->hubs[i], NULL) ==
		    MG_ERR_OK)
			return put_key(x, "hub", &x->led->hubs[i]);
	return true;
}

static bool
put_record(struct export *x, size_t i)
{
	uint8_t path[MG_MERKLE_PROOF_MAX][MG_MERKLE_HASH];
	char name[64];
	struct mg_buf b;
	size_t k, n = 0;
	bool ok;

	for (k = 0; k < x->nwant; k++) {
		if (x->want[k].slot / MG_MERKLE_PROOF_MAX != i)
			continue;
		memcpy(path[x->want[k].slot % MG_MERKLE_PROOF_MAX],
		    x->want[k].hash, MG_MERKLE_HASH);
		n++;
	}
	mg_buf_init(&b, 65536);
	snprintf(name, sizeof(name), "records/%llu.json",
	    (unsigned long long)x->v[i].seq);
	ok = put(x, name, x->v[i].line, x->v[i].len);
	snprintf(name, sizeof(name), "proofs/%llu.path",
	    (unsigned long long)x->v[i].seq);
	ok = ok &&
	     mg_bundle_put_path(&b, x->v[i].seq - 1, x->note->note.size,
		 (const uint8_t(*)[MG_MERKLE_HASH])path, n) == MG_ERR_OK &&
	     put(x, name, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	return ok;
}

/* The line of allowed_signers for a signature: its own key, and the name
 * that was signed under. */
static bool
put_signer(struct mg_buf *signers, const struct mg_rec *rec)
{
	const char *armour = mg_rec_str(rec, "sig", ""), *why;
	struct mg_sshsig sig;
	bool ok;

	ok = mg_sshsig_parse(&sig, armour, strlen(armour), &why) == MG_ERR_OK &&
	     mg_buf_putf(signers, "%s namespaces=\"modelgate-approval\" %s ",
		 mg_rec_str(rec, "approver", ""),
		 mg_sshkey_name(sig.type)) == MG_ERR_OK &&
	     mg_b64_put(signers, sig.key, sig.key_len) == MG_ERR_OK &&
	     mg_buf_put_u8(signers, '\n') == MG_ERR_OK;
	mg_sshsig_fini(&sig);
	return ok;
}

static bool
put_decision(struct export *x, const struct kept *k, struct mg_buf *signers)
{
	const char *text, *sig;
	struct mg_rec rec;
	char name[64];
	bool ok = true;

	mg_rec_init(&rec);
	if (mg_rec_parse(&rec, k->line, k->len) == MG_ERR_OK &&
	    strcmp(mg_rec_str(&rec, "type", ""), "decision") == 0) {
		text = mg_rec_str(&rec, "text", "");
		sig = mg_rec_str(&rec, "sig", "");
		snprintf(name, sizeof(name), "decisions/%llu.text",
		    (unsigned long long)k->seq);
		ok = put(x, name, text, strlen(text));
		snprintf(name, sizeof(name), "decisions/%llu.sig",
		    (unsigned long long)k->seq);
		ok = ok && put(x, name, sig, strlen(sig)) &&
		     put_signer(signers, &rec);
	}
	mg_rec_fini(&rec);
	return ok;
}

/* What the audit log has of the request, where we may read it. */
static bool
put_audit(struct export *x)
{
	int fd, null, status = -1;
	struct mg_buf b;
	bool ok = true;
	pid_t pid;

	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd == -1 || null == -1)
		return true;
	if ((pid = fork()) == 0) {
		if (dup2(null, 0) != -1 && dup2(fd, 1) != -1 &&
		    dup2(null, 2) != -1)
			execlp("ausearch", "ausearch", "--input-logs", "--raw",
			    "-uu", x->uuid, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	mg_buf_init(&b, (size_t)1 << 24);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
	    lseek(fd, 0, SEEK_SET) == 0 && mg_file_read(fd, &b) == MG_ERR_OK &&
	    mg_buf_len(&b) > 0)
		ok = put(x, "audit.log", mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	close(fd);
	close(null);
	return ok;
}

/* The policy, if it is still the one that the request was judged by. */
static bool
put_policy(struct export *x)
{
	struct mg_rec rec;
	struct mg_buf b;
	bool ok = true;
	size_t i;

	mg_rec_init(&rec);
	mg_buf_init(&b, MG_BUNDLE_MAX / 2);
	for (i = 0; i < x->n; i++)
		if (mg_rec_parse(&rec, x->v[i].line, x->v[i].len) ==
			MG_ERR_OK &&
		    strcmp(mg_rec_str(&rec, "type", ""), "request") == 0)
			break;
	if (i < x->n && led_put_policy(&b, &rec))
		ok = put(x, "policy.txt", mg_buf_ptr(&b), mg_buf_len(&b));
	else if (!x->led->quiet)
		(void)fprintf(stderr,
		    "modelgate: the policy here is not the request's any "
		    "more: it is not in the file\n");
	mg_buf_fini(&b);
	mg_rec_fini(&rec);
	return ok;
}

static bool
build(struct export *x)
{
	struct mg_buf signers;
	bool ok;
	size_t i;

	mg_buf_init(&signers, 1U << 20);
	ok = put(x, "README", LED_README, strlen(LED_README)) &&
	     put(x, "checkpoint", x->note->note.text, x->note->note.len) &&
	     put_keys(x);
	for (i = 0; i < x->n && ok; i++)
		ok = put_record(x, i);
	for (i = 0; i < x->n && ok; i++)
		ok = put_decision(x, &x->v[i], &signers);
	ok = ok &&
	     put(x, "allowed_signers", mg_buf_ptr(&signers),
		 mg_buf_len(&signers)) &&
	     put_policy(x) && put_audit(x) &&
	     mg_bundle_put_end(&x->out) == MG_ERR_OK;
	mg_buf_fini(&signers);
	return ok;
}

/* A device or a pipe is written to. Anything else that has the name gets
 * out of the way at once for the whole new file: root may do this in a folder
 * where somebody else has put a link. */
static bool
put_file(const char *path, const struct mg_buf *b)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	struct stat st;
	bool ok;
	int fd;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		if ((fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY)) == -1)
			return false;
		ok = mg_file_write(fd, mg_buf_ptr(b), mg_buf_len(b)) ==
		     MG_ERR_OK;
		return close(fd) == 0 && ok;
	}
	if (slash != NULL)
		snprintf(
		    dir, sizeof(dir), "%.*s", (int)(slash - path + 1), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return false;
	ok = mg_file_replace_at(fd, slash != NULL ? slash + 1 : path,
		 mg_buf_ptr(b), mg_buf_len(b), 0600) == MG_ERR_OK;
	close(fd);
	return ok;
}

static void
print_json(const struct export *x, const char *path)
{
	struct mg_buf b;
	struct mg_json j;
	const char *s;

	mg_buf_init(&b, 65536);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "file", path);
	mg_json_int(&j, "records", (int64_t)x->n);
	mg_json_bool(&j, "witnessed", x->note->witnessed);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (s = mg_buf_cstr(&b)) != NULL)
		printf("%s\n", s);
	mg_buf_fini(&b);
}

static int
write_out(struct export *x)
{
	char name[64];
	const char *path = x->led->out;

	if (path == NULL) {
		snprintf(name, sizeof(name), "%s.modelgate.tar", x->code);
		path = name;
	}
	errno = 0;
	if (!put_file(path, &x->out))
		return led_fail(x->led, "cannot write '%s': %s", path,
		    errno != 0 ? strerror(errno) : "its name is too long");
	if (x->led->json)
		print_json(x, path);
	else if (!x->led->quiet)
		printf("%s: %zu records, proved by %s checkpoint over %llu\n",
		    path, x->n,
		    x->note->witnessed ? "a witnessed" : "the host's own",
		    (unsigned long long)x->note->note.size);
	return 0;
}

/* ---- all of it ---- */

/* A checkpoint that covers what happened just now. */
static void
ask_checkpoint(void)
{
	struct mg_checkpoint_req req = {0};
	struct mg_chan *ch;
	struct mg_frame f;

	if (mg_client_connect(MG_CLIENT_SOCKET, 2000, &ch) != MG_ERR_OK)
		return;
	memset(&f, 0, sizeof(f));
	if (mg_chan_send(ch, 1, MG_MSG_CHECKPOINT_REQ, &req) == MG_ERR_OK)
		(void)!mg_chan_wait(ch, 10000, &f);
	mg_chan_free(ch);
}

static int
gather(struct export *x)
{
	char path[4096];
	int status;

	snprintf(path, sizeof(path), "%s/../host_key.pub", x->led->dir);
	if (x->led->host.kind == 0) {
		x->led->host.kind = MG_NOTE_LOG;
		if (!led_read_key(path, &x->led->host, NULL, 0))
			return led_fail(
			    x->led, "'%s' is not the host's Ed25519 key", path);
	}
	if ((status = each_line(x, find_line)) != 0)
		return status;
	if (x->n == 0)
		return led_fail(
		    x->led, "the ledger has no request %s", x->code);
	if (x->policy.line != NULL && x->n < RECORDS_MAX) {
		memmove(&x->v[1], &x->v[0], x->n * sizeof(x->v[0]));
		x->v[0] = x->policy;
		memset(&x->policy, 0, sizeof(x->policy));
		x->n++;
	}
	snprintf(
	    path, sizeof(path), "%s/%s", x->led->dir, MG_LEDGER_CHECKPOINTS);
	if ((status = led_notes_add(x->led, &x->notes, path, true)) != 0 ||
	    (status = choose_note(x)) != 0)
		return status;
	return collect_paths(x);
}

int
led_export(struct led *led, const char *request)
{
	struct export *x;
	struct mg_uuid u;
	int status;

	if (request == NULL)
		return led_fail(led, "which request?"), LED_USAGE;
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return led_fail(led, "out of memory");
	x->led = led;
	mg_buf_init(&x->out, MG_BUNDLE_MAX);
	if (mg_uuid_parse(request, &u) == MG_ERR_OK) {
		mg_uuid_format(&u, x->uuid);
		mg_code_from_uuid(&u, x->code);
	} else if (mg_code_parse(request, x->code) != MG_ERR_OK) {
		(void)led_fail(led,
		    "'%s' is neither a code such as R7KQ2FHD4M nor a UUID",
		    request);
		status = LED_USAGE;
		goto out;
	}
	if (led->dir == NULL) {
		led->dir = LED_DIR;
		ask_checkpoint();
	}
	x->dirfd = open(led->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->dirfd == -1) {
		status = led_fail(led, "cannot open '%s': %s%s", led->dir,
		    strerror(errno),
		    errno == EACCES ? " (only root may read a host's ledger)"
				    : "");
		goto out;
	}
	if ((status = gather(x)) == 0)
		status = build(x) ? write_out(x)
				  : led_fail(led, "the file gets too large");
	close(x->dirfd);
out:
	while (x->n > 0)
		free(x->v[--x->n].line);
	free(x->policy.line);
	free(x->want);
	led_notes_free(&x->notes);
	mg_buf_fini(&x->out);
	free(x);
	return status;
}
