/* SPDX-License-Identifier: ISC */
/*
 * Checkpoints of the ledger as signed notes.
 *
 * Rules
 * 1. One form: a number without leading zeros, canonical base64, no byte
 *    before, between or behind. A note that could be written in two ways
 *    could be shown as two notes.
 * 2. The key is found by name and key id, and the id binds name, kind and
 *    key: a host's signature can never pass for a witness's.
 * 3. Every signature of the wanted key must verify, not merely one.
 * 4. Reading takes no memory: a note that could not be read for want of it
 *    would pass for one that was cut short, and be cut off.
 */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "mg_b64.h"
#include "mg_note.h"

#define DASH "\xe2\x80\x94 "
#define DASH_LEN 4
#define ID_LEN 4

bool
mg_note_origin(const char *host, char out[MG_NOTE_NAME_MAX + 1])
{
	int n = snprintf(
	    out, MG_NOTE_NAME_MAX + 1, "%s%s", host, MG_NOTE_ORIGIN_SUFFIX);

	return n > 0 && n <= MG_NOTE_NAME_MAX;
}

/* ---- Ed25519 ---- */

bool
mg_ed25519_verify(const uint8_t pub[MG_ED25519], const void *p, size_t n,
    const uint8_t sig[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key;
	bool ok;

	key = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, pub, MG_ED25519);
	ok = ctx != NULL && key != NULL &&
	     EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, sig, 64, p, n) == 1;
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	return ok;
}

enum mg_err
mg_ed25519_sign(
    const uint8_t seed[MG_ED25519], const void *p, size_t n, uint8_t sig[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key;
	size_t len = 64;
	bool ok;

	key = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, seed, MG_ED25519);
	ok = ctx != NULL && key != NULL &&
	     EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestSign(ctx, sig, &len, p, n) == 1 && len == 64;
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	return ok ? MG_ERR_OK : MG_ERR_INTERNAL;
}

/* ---- OpenSSH's key files ---- */

/* The base64 between the two lines of a PEM file, line ends taken out. */
static enum mg_err
pem_bytes(const char *pem, size_t n, struct mg_buf *out)
{
	static const char first[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	static const char last[] = "-----END OPENSSH PRIVATE KEY-----\n";
	enum mg_err r = MG_ERR_OK;
	const char *end = pem + n;
	struct mg_buf text;

	if (n < sizeof(first) + sizeof(last) ||
	    memcmp(pem, first, sizeof(first) - 1) != 0 ||
	    memcmp(end - (sizeof(last) - 1), last, sizeof(last) - 1) != 0)
		return MG_ERR_FORMAT;
	pem += sizeof(first) - 1;
	end -= sizeof(last) - 1;
	mg_buf_init_secret(&text, n);
	for (; pem < end && r == MG_ERR_OK; pem++)
		if (*pem != '\n')
			r = mg_buf_put_u8(&text, (uint8_t)*pem);
	if (r == MG_ERR_OK)
		r = mg_b64_get(out, (const char *)mg_buf_ptr(&text),
		    mg_buf_len(&text), NULL);
	mg_buf_fini(&text);
	return r;
}

static bool
take(struct mg_buf *b, const char *wanted)
{
	const uint8_t *p;
	size_t n;

	return mg_buf_get_bytes(b, 64, &p, &n) == MG_ERR_OK &&
	       n == strlen(wanted) && memcmp(p, wanted, n) == 0;
}

/* The private section: the check twice, one key, a comment, padding. */
static enum mg_err
private_part(struct mg_buf *b, const uint8_t *pub, uint8_t seed[MG_ED25519])
{
	const uint8_t *p, *comment;
	uint32_t c1, c2;
	uint8_t pad, i;
	size_t n, m;

	if (mg_buf_get_u32(b, &c1) != MG_ERR_OK ||
	    mg_buf_get_u32(b, &c2) != MG_ERR_OK || c1 != c2 ||
	    !take(b, "ssh-ed25519") ||
	    mg_buf_get_bytes(b, MG_ED25519, &p, &n) != MG_ERR_OK ||
	    n != MG_ED25519 || memcmp(p, pub, n) != 0 ||
	    mg_buf_get_bytes(b, 64, &p, &n) != MG_ERR_OK || n != 64 ||
	    memcmp(p + MG_ED25519, pub, MG_ED25519) != 0 ||
	    mg_buf_get_bytes(b, 1024, &comment, &m) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	for (i = 1; mg_buf_len(b) > 0; i++)
		if (mg_buf_get_u8(b, &pad) != MG_ERR_OK || pad != i || i > 16)
			return MG_ERR_FORMAT;
	memcpy(seed, p, MG_ED25519);
	return MG_ERR_OK;
}

enum mg_err
mg_ed25519_from_openssh(const char *pem, size_t n, uint8_t seed[MG_ED25519],
    uint8_t pub[MG_ED25519])
{
	static const char magic[] = "openssh-key-v1"; /* with its NUL */
	enum mg_err r = MG_ERR_FORMAT;
	struct mg_buf b, inner;
	const uint8_t *p;
	uint32_t keys;
	size_t len;

	mg_buf_init_secret(&b, 16384);
	if ((r = pem_bytes(pem, n, &b)) != MG_ERR_OK)
		goto out;
	r = MG_ERR_FORMAT;
	if (mg_buf_len(&b) < sizeof(magic) ||
	    memcmp(mg_buf_ptr(&b), magic, sizeof(magic)) != 0)
		goto out;
	mg_buf_consume(&b, sizeof(magic));
	if (!take(&b, "none") || !take(&b, "none") || !take(&b, "") ||
	    mg_buf_get_u32(&b, &keys) != MG_ERR_OK || keys != 1 ||
	    mg_buf_get_bytes(&b, 128, &p, &len) != MG_ERR_OK ||
	    mg_ed25519_from_blob(p, len, pub) != MG_ERR_OK ||
	    mg_buf_get_bytes(&b, 8192, &p, &len) != MG_ERR_OK ||
	    mg_buf_get_end(&b) != MG_ERR_OK)
		goto out;
	mg_buf_init_read(&inner, p, len);
	r = private_part(&inner, pub, seed);
out:
	mg_buf_fini(&b);
	return r;
}

enum mg_err
mg_ed25519_from_blob(const void *blob, size_t n, uint8_t pub[MG_ED25519])
{
	const uint8_t *p;
	struct mg_buf b;
	size_t len;

	mg_buf_init_read(&b, blob, n);
	if (!take(&b, "ssh-ed25519") ||
	    mg_buf_get_bytes(&b, MG_ED25519, &p, &len) != MG_ERR_OK ||
	    len != MG_ED25519 || mg_buf_get_end(&b) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	memcpy(pub, p, MG_ED25519);
	return MG_ERR_OK;
}

/* ---- making ---- */

static bool
is_name(const char *s, size_t n)
{
	size_t i;

	if (n == 0 || n > MG_NOTE_NAME_MAX)
		return false;
	for (i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || s[i] == '+')
			return false;
	return true;
}

static enum mg_err
append(struct mg_note *note, const void *p, size_t n)
{
	if (n > MG_NOTE_MAX - note->len)
		return MG_ERR_LIMIT;
	memcpy(note->text + note->len, p, n);
	note->len += n;
	note->text[note->len] = '\0';
	return MG_ERR_OK;
}

/* BASE64 and a newline. */
static enum mg_err
append_b64(struct mg_note *note, const void *p, size_t n)
{
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init(&b, 256);
	if ((r = mg_b64_put(&b, p, n)) == MG_ERR_OK &&
	    (r = mg_buf_put_u8(&b, '\n')) == MG_ERR_OK)
		r = append(note, mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b);
	return r;
}

enum mg_err
mg_note_make(struct mg_note *note, const char *origin, uint64_t size,
    const uint8_t root[MG_MERKLE_HASH])
{
	char head[MG_NOTE_NAME_MAX + 32];
	enum mg_err r;
	int n;

	memset(note, 0, sizeof(*note));
	if (!is_name(origin, strlen(origin)))
		return MG_ERR_FORMAT;
	snprintf(note->origin, sizeof(note->origin), "%s", origin);
	note->size = size;
	memcpy(note->root, root, MG_MERKLE_HASH);
	n = snprintf(
	    head, sizeof(head), "%s\n%llu\n", origin, (unsigned long long)size);
	if ((r = append(note, head, (size_t)n)) != MG_ERR_OK ||
	    (r = append_b64(note, root, MG_MERKLE_HASH)) != MG_ERR_OK)
		return r;
	note->body_len = note->len;
	return append(note, "\n", 1);
}

/* Rule 2 */
static void
key_id(const struct mg_note_key *key, uint8_t out[ID_LEN])
{
	uint8_t text[MG_NOTE_NAME_MAX + 2 + MG_ED25519], md[MG_MERKLE_HASH];
	size_t n = strlen(key->name);

	memcpy(text, key->name, n);
	text[n] = '\n';
	text[n + 1] = (uint8_t)key->kind;
	memcpy(text + n + 2, key->pub, MG_ED25519);
	SHA256(text, n + 2 + MG_ED25519, md);
	memcpy(out, md, ID_LEN);
}

/* What is signed: the body, for a witness with a line of its own before. */
static size_t
message(const struct mg_note *note, enum mg_note_kind kind, uint64_t time_s,
    char out[MG_NOTE_MAX + 64])
{
	int n = 0;

	if (kind == MG_NOTE_WITNESS)
		n = snprintf(out, 64, "cosignature/v1\ntime %llu\n",
		    (unsigned long long)time_s);
	memcpy(out + n, note->text, note->body_len);
	return (size_t)n + note->body_len;
}

enum mg_err
mg_note_sign(struct mg_note *note, const struct mg_note_key *key,
    const uint8_t seed[MG_ED25519], int64_t time_s)
{
	char msg[MG_NOTE_MAX + 64];
	struct mg_note_sig *s;
	size_t n, at = ID_LEN;
	enum mg_err r;
	int i;

	if (note->nsigs == MG_NOTE_SIGS_MAX)
		return MG_ERR_LIMIT;
	if (!is_name(key->name, strlen(key->name)))
		return MG_ERR_FORMAT;
	s = &note->sigs[note->nsigs];
	memset(s, 0, sizeof(*s));
	snprintf(s->name, sizeof(s->name), "%s", key->name);
	key_id(key, s->raw);
	if (key->kind == MG_NOTE_WITNESS)
		for (i = 7; i >= 0; i--)
			s->raw[at++] = (uint8_t)((uint64_t)time_s >> (8 * i));
	n = message(note, key->kind, (uint64_t)time_s, msg);
	if ((r = mg_ed25519_sign(seed, msg, n, s->raw + at)) != MG_ERR_OK)
		return r;
	s->len = at + 64;
	if ((r = append(note, DASH, DASH_LEN)) != MG_ERR_OK ||
	    (r = append(note, key->name, strlen(key->name))) != MG_ERR_OK ||
	    (r = append(note, " ", 1)) != MG_ERR_OK ||
	    (r = append_b64(note, s->raw, s->len)) != MG_ERR_OK)
		return r;
	note->nsigs++;
	return MG_ERR_OK;
}

/* ---- reading ---- */

struct cursor {
	const char *p, *end;
};

/* The next line without its newline. */
static bool
line(struct cursor *c, const char **sp, size_t *np)
{
	const char *nl = memchr(c->p, '\n', (size_t)(c->end - c->p));

	if (nl == NULL)
		return false;
	*sp = c->p;
	*np = (size_t)(nl - c->p);
	c->p = nl + 1;
	return true;
}

static bool
number(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (n == 0 || n > 19 || (n > 1 && s[0] == '0'))
		return false;
	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*out = v;
	return v <= INT64_MAX;
}

static const char *
parse_body(struct mg_note *note, struct cursor *c)
{
	const char *s;
	size_t n, len;

	if (!line(c, &s, &n) || !is_name(s, n))
		return "the origin is no name";
	memcpy(note->origin, s, n);
	if (!line(c, &s, &n) || !number(s, n, &note->size))
		return "the size is no number";
	if (!line(c, &s, &n) ||
	    mg_b64_read(note->root, sizeof(note->root), &len, s, n, NULL) !=
		MG_ERR_OK ||
	    len != sizeof(note->root))
		return "the root is no SHA-256 in base64";
	note->body_len = (size_t)(c->p - note->text);
	if (!line(c, &s, &n) || n != 0)
		return "an empty line is missing after the root";
	return NULL;
}

static const char *
parse_sig(struct mg_note_sig *sig, const char *s, size_t n)
{
	const char *sp;

	if (n < DASH_LEN || memcmp(s, DASH, DASH_LEN) != 0)
		return "a signature line does not begin with a dash";
	s += DASH_LEN;
	n -= DASH_LEN;
	sp = memchr(s, ' ', n);
	if (sp == NULL || !is_name(s, (size_t)(sp - s)))
		return "a signature has no name";
	memcpy(sig->name, s, (size_t)(sp - s));
	if (mg_b64_read(sig->raw, sizeof(sig->raw), &sig->len, sp + 1,
		n - (size_t)(sp + 1 - s), NULL) != MG_ERR_OK ||
	    (sig->len != ID_LEN + 64 && sig->len != ID_LEN + 8 + 64))
		return "a signature is not Ed25519 in base64";
	return NULL;
}

/* Rule 4 */
enum mg_err
mg_note_parse(
    struct mg_note *note, const char *text, size_t len, const char **whyp)
{
	const char *why = NULL, *s;
	struct cursor c = {0};
	size_t n;

	memset(note, 0, sizeof(*note));
	if (len > MG_NOTE_MAX) {
		why = "it is longer than 2048 bytes";
	} else {
		memcpy(note->text, text, len);
		note->len = len;
		c.p = note->text;
		c.end = note->text + len;
		why = parse_body(note, &c);
	}
	while (why == NULL && c.p < c.end) {
		if (note->nsigs == MG_NOTE_SIGS_MAX)
			why = "it has more than 8 signatures";
		else if (!line(&c, &s, &n))
			why = "its last line ends early";
		else
			why = parse_sig(&note->sigs[note->nsigs++], s, n);
	}
	if (why == NULL && note->nsigs == 0)
		why = "nobody has signed it";
	if (whyp != NULL)
		*whyp = why == NULL ? "" : why;
	if (why == NULL)
		return MG_ERR_OK;
	memset(note, 0, sizeof(*note));
	return MG_ERR_FORMAT;
}

static uint64_t
time_of(const struct mg_note_sig *s)
{
	uint64_t t = 0;
	size_t i;

	for (i = 0; i < 8; i++)
		t = t << 8 | s->raw[ID_LEN + i];
	return t;
}

enum mg_err
mg_note_verify(
    const struct mg_note *note, const struct mg_note_key *key, int64_t *time_sp)
{
	size_t want = ID_LEN + 64 + (key->kind == MG_NOTE_WITNESS ? 8 : 0);
	enum mg_err r = MG_ERR_NOENT;
	char msg[MG_NOTE_MAX + 64];
	uint8_t id[ID_LEN];
	uint64_t t = 0;
	size_t i, n;

	key_id(key, id);
	for (i = 0; i < note->nsigs; i++) {
		const struct mg_note_sig *s = &note->sigs[i];

		if (s->len != want || strcmp(s->name, key->name) != 0 ||
		    memcmp(s->raw, id, ID_LEN) != 0)
			continue;
		if (key->kind == MG_NOTE_WITNESS)
			t = time_of(s);
		n = message(note, key->kind, t, msg);
		if (t > INT64_MAX / 1000 ||
		    !mg_ed25519_verify(key->pub, msg, n, s->raw + s->len - 64))
			return MG_ERR_BADSIG; /* Rule 3 */
		r = MG_ERR_OK;
	}
	if (r == MG_ERR_OK && time_sp != NULL)
		*time_sp = (int64_t)t;
	return r;
}

/* ---- files of them ---- */

/* Where the last empty line within n bytes ends; 0: there is none. */
static size_t
last_blank(const char *p, size_t n)
{
	for (; n >= 2; n--)
		if (p[n - 1] == '\n' && p[n - 2] == '\n')
			return n;
	return 0;
}

size_t
mg_note_whole(const char *p, size_t n)
{
	size_t end, body, start, left;
	struct mg_note note;

	for (end = last_blank(p, n); end > 0; end = body) {
		body = last_blank(p, end - 1);
		start = last_blank(p, body > 0 ? body - 1 : 0);
		if (mg_note_parse(&note, p + start, end - 1 - start, NULL) ==
		    MG_ERR_OK)
			break;
	}
	left = n - end;
	/* Two empty lines: a note that is wrong, but not cut short. */
	body = last_blank(p + end, left);
	if (left > MG_NOTE_MAX ||
	    (body > 0 && last_blank(p + end, body - 1) > 0))
		return n;
	return end;
}

bool
mg_note_last(const char *p, size_t n, size_t *startp, size_t *lenp)
{
	size_t end = mg_note_whole(p, n), body;

	if (end == 0)
		return false;
	*startp = last_blank(p, end);
	if (*startp == end) {
		body = last_blank(p, end - 1);
		*startp = last_blank(p, body > 0 ? body - 1 : 0);
		end--;
	}
	*lenp = end - *startp;
	return true;
}
