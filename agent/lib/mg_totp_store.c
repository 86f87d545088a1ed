/* SPDX-License-Identifier: ISC */
/*
 * Where the secrets of second factors are kept.
 *
 * Rules
 * 1. Only root's own files count: opened below a checked descriptor, no
 *    link of either kind, closed to others. A file that somebody else could
 *    have placed or read is a factor that somebody else holds.
 * 2. One spelling: what a record says can be written in one way only, with
 *    a checksum, so that a torn or edited file is refused as a whole and
 *    never half understood (a lost "used" line would let codes in again).
 * 3. A record names its person: a copy under another name is refused, or
 *    one person's app would open another's account.
 * 4. One process at a time: the folder is locked from reading "used" to
 *    writing it, so that two tries cannot both be the first.
 * 5. Secrets are wiped on every path, and the files that interrupted
 *    writers leave are removed.
 * 6. With the machine's credential records are sealed (mg_seal.h), for one
 *    person each. A record from before is sealed when it is next written,
 *    which is at the next code.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_id.h"
#include "mg_time.h"
#include "mg_totp_store.h"

#define FIRST_KEY "modelgate totp"
#define VERSION "v1"
#define CHECK_KEY "check"
#define PLACE_SIZE (sizeof("otp/") + MG_NAME_MAX)
#define FILE_MAX (MG_TOTP_RECORD_MAX + MG_SEAL_MORE)

/* Longest value of a line: the secret in hex. */
#define VALUE_MAX (2 * MG_TOTP_SECRET_MAX)

static const char *const words[] = {
    [MG_TOTP_NONE] = "none",
    [MG_TOTP_SHA1] = "sha1",
    [MG_TOTP_SHA256] = "sha256",
    [MG_TOTP_SHA512] = "sha512",
};

#define NWORDS (sizeof(words) / sizeof(words[0]))

void
mg_totp_wipe(struct mg_totp *t)
{
	if (t != NULL)
		explicit_bzero(t, sizeof(*t));
}

const char *
mg_totp_alg_word(enum mg_totp_alg alg)
{
	return (size_t)alg < NWORDS ? words[alg] : words[MG_TOTP_NONE];
}

static enum mg_totp_alg
alg_from_word(const char *s)
{
	size_t i;

	for (i = MG_TOTP_SHA1; i < NWORDS; i++)
		if (strcmp(words[i], s) == 0)
			return (enum mg_totp_alg)i;
	return MG_TOTP_NONE;
}

/* Whether every member is within its limits. */
static bool
is_sound(const struct mg_totp *t)
{
	return mg_name_is_valid(t->user) && t->alg > MG_TOTP_NONE &&
	       t->alg <= MG_TOTP_SHA512 && t->digits >= MG_TOTP_DIGITS_MIN &&
	       t->digits <= MG_TOTP_DIGITS_MAX &&
	       t->period_s >= MG_TOTP_PERIOD_MIN &&
	       t->period_s <= MG_TOTP_PERIOD_MAX &&
	       t->secret_len >= MG_TOTP_SECRET_MIN &&
	       t->secret_len <= MG_TOTP_SECRET_MAX && t->used <= INT64_MAX &&
	       t->enrolled_s >= 0;
}

/* CRC-32 as zip and Ethernet have it. Finds damage, not malice. */
static uint32_t
crc32(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;
	int bit;

	for (; n > 0; n--, p++) {
		crc ^= *p;
		for (bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320U & (0U - (crc & 1)));
	}
	return ~crc;
}

/* ---- reading ---- */

struct cursor {
	const char *p, *end;
	unsigned line;
};

/* The next line, which must be "KEY VALUE"; the value into out. */
static bool
get_line(struct cursor *c, const char *key, char out[VALUE_MAX + 1])
{
	size_t klen = strlen(key), n;
	const char *nl;

	c->line++;
	out[0] = '\0';
	nl = memchr(c->p, '\n', (size_t)(c->end - c->p));
	if (nl == NULL || (size_t)(nl - c->p) < klen + 2 ||
	    memcmp(c->p, key, klen) != 0 || c->p[klen] != ' ')
		return false;
	n = (size_t)(nl - c->p) - klen - 1;
	if (n > VALUE_MAX || memchr(c->p + klen + 1, '\0', n) != NULL)
		return false;
	memcpy(out, c->p + klen + 1, n);
	out[n] = '\0';
	c->p = nl + 1;
	return true;
}

/* A number in its one spelling (Rule 2). */
static bool
get_number(struct cursor *c, const char *key, uint64_t max, uint64_t *vp)
{
	char s[VALUE_MAX + 1];
	uint64_t v = 0;
	size_t i;
	unsigned d;

	*vp = 0;
	if (!get_line(c, key, s) || (s[0] == '0' && s[1] != '\0'))
		return false;
	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		d = (unsigned)(s[i] - '0');
		if (v > (max - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*vp = v;
	return true;
}

static int
hex_value(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return -1;
}

static bool
get_secret(struct cursor *c, struct mg_totp *t)
{
	char s[VALUE_MAX + 1];
	size_t n, i;
	int hi = 0, lo = 0;

	n = get_line(c, "secret", s) ? strlen(s) : 0;
	for (i = 0; i + 1 < n; i += 2) {
		hi = hex_value(s[i]);
		lo = hex_value(s[i + 1]);
		if (hi < 0 || lo < 0)
			break;
		t->secret[t->secret_len++] = (uint8_t)(hi << 4 | lo);
	}
	explicit_bzero(s, sizeof(s)); /* Rule 5 */
	return n > 0 && i == n;
}

static bool
get_members(struct cursor *c, struct mg_totp *t)
{
	char s[VALUE_MAX + 1];
	uint64_t v;

	if (!get_line(c, "user", s) || !mg_name_is_valid(s))
		return false;
	memcpy(t->user, s, strlen(s) + 1);
	if (!get_line(c, "algorithm", s))
		return false;
	t->alg = alg_from_word(s);
	if (t->alg == MG_TOTP_NONE || !get_number(c, "digits", 99, &v))
		return false;
	t->digits = (unsigned)v;
	if (!get_number(c, "period", 999, &v))
		return false;
	t->period_s = (unsigned)v;
	if (!get_secret(c, t) || !get_number(c, "used", INT64_MAX, &t->used) ||
	    !get_number(c, "enrolled", INT64_MAX, &v))
		return false;
	t->enrolled_s = (int64_t)v;
	return true;
}

static bool
get_record(struct cursor *c, struct mg_totp *t)
{
	const char *start = c->p, *before;
	char s[VALUE_MAX + 1], want[9];

	if (!get_line(c, FIRST_KEY, s) || strcmp(s, VERSION) != 0 ||
	    !get_members(c, t))
		return false;
	before = c->p;
	if (!get_line(c, CHECK_KEY, s))
		return false;
	snprintf(want, sizeof(want), "%08x",
	    crc32((const uint8_t *)start, (size_t)(before - start)));
	if (strcmp(s, want) != 0) /* Rule 2 */
		return false;
	c->line++;
	return c->p == c->end && is_sound(t);
}

enum mg_err
mg_totp_parse(const void *p, size_t n, struct mg_totp *t, unsigned *linep)
{
	struct cursor c = {.p = p, .end = (const char *)p + n, .line = 0};
	bool ok;

	memset(t, 0, sizeof(*t));
	ok = n <= MG_TOTP_RECORD_MAX && get_record(&c, t);
	if (linep != NULL)
		*linep = c.line;
	if (!ok)
		mg_totp_wipe(t);
	return ok ? MG_ERR_OK : MG_ERR_FORMAT;
}

/* ---- writing ---- */

enum mg_err
mg_totp_format(const struct mg_totp *t, struct mg_buf *b)
{
	char hex[2 * MG_TOTP_SECRET_MAX + 1];
	size_t start = mg_buf_len(b);
	enum mg_err r;

	if (!is_sound(t))
		return MG_ERR_FORMAT;
	mg_hex(t->secret, t->secret_len, hex);
	r = mg_buf_putf(b,
	    FIRST_KEY " " VERSION "\nuser %s\nalgorithm %s\ndigits %u\n"
		      "period %u\nsecret %s\nused %llu\nenrolled %lld\n",
	    t->user, words[t->alg], t->digits, t->period_s, hex,
	    (unsigned long long)t->used, (long long)t->enrolled_s);
	explicit_bzero(hex, sizeof(hex));
	if (r != MG_ERR_OK)
		return r;
	return mg_buf_putf(b, CHECK_KEY " %08x\n",
	    crc32(mg_buf_ptr(b) + start, mg_buf_len(b) - start));
}

/* ---- the folder ---- */

static enum mg_err
lock(int fd)
{
	struct timespec pause = {.tv_sec = 0, .tv_nsec = 2000000};
	int64_t end = mg_time_boot_ms() + MG_TOTP_LOCK_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return MG_ERR_SYS;
		if (mg_time_boot_ms() >= end)
			return MG_ERR_TIMEOUT;
		(void)nanosleep(&pause, NULL);
	}
	return MG_ERR_OK;
}

/* "cannot DO 'NAME': errno" into why. */
static enum mg_err
say_errno(char *why, size_t size, const char *what, const char *name)
{
	if (why != NULL)
		snprintf(why, size, "cannot %s '%s': %s", what, name,
		    strerror(errno));
	return MG_ERR_SYS;
}

enum mg_err
mg_totp_store_init(
    struct mg_totp_store *st, const char *dir, char *why, size_t why_size)
{
	struct mg_file_rule rule = {.owner = geteuid(), .no_read = true};
	enum mg_err r;

	r = mg_file_open(dir, O_DIRECTORY, &rule, &st->dirfd, why, why_size);
	if (r != MG_ERR_OK)
		return r;
	if ((r = mg_seal_init(&st->seal, why, why_size)) != MG_ERR_OK) {
		mg_totp_store_fini(st);
		return r == MG_ERR_NOMEM ? r : MG_ERR_SEALED;
	}
	r = lock(st->dirfd); /* Rule 4 */
	if (r == MG_ERR_SYS)
		(void)say_errno(why, why_size, "lock", dir);
	else if (r != MG_ERR_OK && why != NULL)
		snprintf(why, why_size, "'%s' stays locked", dir);
	if (r != MG_ERR_OK)
		mg_totp_store_fini(st);
	return r;
}

void
mg_totp_store_fini(struct mg_totp_store *st)
{
	if (st->dirfd != -1)
		close(st->dirfd);
	st->dirfd = -1;
	mg_seal_fini(&st->seal);
}

/* What a record is sealed for (Rules 3 and 6). */
static void
place_of(const char *user, char out[PLACE_SIZE])
{
	snprintf(out, PLACE_SIZE, "otp/%s", user);
}

/* The record in the bytes of a file. */
static enum mg_err
open_record(struct mg_totp_store *st, const char *user, const struct mg_buf *in,
    struct mg_buf *out, char *why, size_t size)
{
	char place[PLACE_SIZE], text[128] = "";
	enum mg_err r;

	place_of(user, place);
	r = mg_seal_get(&st->seal, place, mg_buf_ptr(in), mg_buf_len(in), out,
	    text, sizeof(text));
	if (r == MG_ERR_LIMIT)
		r = MG_ERR_FORMAT;
	if (r != MG_ERR_OK && why != NULL)
		snprintf(why, size, "'%s' is %s", user,
		    text[0] != '\0' ? text : mg_err_str(r));
	return r;
}

/* The bytes of a file that passed Rule 1. */
static enum mg_err
read_file(struct mg_totp_store *st, const char *user, struct mg_buf *b,
    char *why, size_t size)
{
	struct mg_file_rule rule = {.owner = geteuid(), .no_read = true};
	struct stat sb;
	enum mg_err r;
	int fd;

	r = mg_file_open_at(st->dirfd, user, 0, &rule, &fd, why, size);
	if (r != MG_ERR_OK)
		return r == MG_ERR_SYS && errno == ELOOP ? MG_ERR_PERM : r;
	if (fstat(fd, &sb) != 0) {
		r = say_errno(why, size, "stat", user);
	} else if (sb.st_nlink != 1) {
		r = MG_ERR_PERM;
		if (why != NULL)
			snprintf(why, size, "'%s' has a second name", user);
	} else if ((r = mg_file_read(fd, b)) != MG_ERR_OK && why != NULL) {
		snprintf(
		    why, size, "cannot read '%s': %s", user, mg_err_str(r));
	}
	close(fd);
	return r == MG_ERR_LIMIT ? MG_ERR_FORMAT : r;
}

static enum mg_err
understand(const struct mg_buf *b, const char *user, struct mg_totp *t,
    char *why, size_t size)
{
	unsigned line;

	if (mg_totp_parse(mg_buf_ptr(b), mg_buf_len(b), t, &line) !=
	    MG_ERR_OK) {
		if (why != NULL)
			snprintf(why, size, "'%s' is damaged in line %u", user,
			    line);
		return MG_ERR_FORMAT;
	}
	if (strcmp(t->user, user) == 0)
		return MG_ERR_OK;
	if (why != NULL) /* Rule 3 */
		snprintf(
		    why, size, "'%s' is the record of '%s'", user, t->user);
	mg_totp_wipe(t);
	return MG_ERR_PERM;
}

enum mg_err
mg_totp_store_load(struct mg_totp_store *st, const char *user,
    struct mg_totp *t, char *why, size_t why_size)
{
	struct mg_buf file, b;
	enum mg_err r;

	memset(t, 0, sizeof(*t));
	if (!mg_name_is_valid(user)) {
		if (why != NULL)
			snprintf(why, why_size, "the user name %s",
			    mg_name_why(user));
		return MG_ERR_FORMAT;
	}
	mg_buf_init_secret(&file, FILE_MAX);
	mg_buf_init_secret(&b, FILE_MAX);
	if ((r = read_file(st, user, &file, why, why_size)) == MG_ERR_OK &&
	    (r = open_record(st, user, &file, &b, why, why_size)) == MG_ERR_OK)
		r = understand(&b, user, t, why, why_size);
	mg_buf_fini(&file);
	mg_buf_fini(&b);
	return r;
}

enum mg_err
mg_totp_store_save(struct mg_totp_store *st, const struct mg_totp *t, char *why,
    size_t why_size)
{
	char place[PLACE_SIZE];
	struct mg_buf b, file;
	enum mg_err r;

	place_of(t->user, place);
	mg_buf_init_secret(&b, MG_TOTP_RECORD_MAX);
	mg_buf_init_secret(&file, FILE_MAX);
	if ((r = mg_totp_format(t, &b)) == MG_ERR_OK &&
	    (r = mg_seal_put(&st->seal, place, mg_buf_ptr(&b), mg_buf_len(&b),
		 &file)) == MG_ERR_OK)
		r = mg_file_replace_at(st->dirfd, t->user, mg_buf_ptr(&file),
		    mg_buf_len(&file), 0600);
	if (r == MG_ERR_SYS)
		(void)say_errno(why, why_size, "write", t->user);
	else if (r != MG_ERR_OK && why != NULL)
		snprintf(why, why_size, "cannot write the record: %s",
		    mg_err_str(r));
	mg_buf_fini(&b);
	mg_buf_fini(&file);
	return r;
}

enum mg_err
mg_totp_store_remove(
    struct mg_totp_store *st, const char *user, char *why, size_t why_size)
{
	if (!mg_name_is_valid(user))
		return MG_ERR_FORMAT;
	if (unlinkat(st->dirfd, user, 0) != 0) {
		if (errno == ENOENT)
			return MG_ERR_NOENT;
		return say_errno(why, why_size, "remove", user);
	}
	if (fsync(st->dirfd) != 0)
		return say_errno(why, why_size, "sync the folder of", user);
	return MG_ERR_OK;
}

void
mg_totp_store_sweep(struct mg_totp_store *st)
{
	struct dirent *e;
	DIR *d;
	int fd;

	/* A second descriptor: closedir() closes the one it was given. The
	 * lock is the first one's. */
	fd = openat(st->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0) /* Rule 5 */
			(void)unlinkat(st->dirfd, e->d_name, 0);
	closedir(d);
}
