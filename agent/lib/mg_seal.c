/* SPDX-License-Identifier: ISC */
/*
 * Sealing secrets at rest with the machine's credential.
 *
 * Rules
 * 1. The key is a file that only this user can read, named by the service
 *    manager; never an argument or the value of a variable, which others
 *    and core files show.
 * 2. A nonce is random for each write: the same one twice would give away
 *    the texts and the key of the tag. 96 random bits are good for 2^32
 *    writes, which no host lives to see.
 * 3. Header and place are authenticated: a record copied to another
 *    person's name, or to another purpose, does not open.
 * 4. Nothing of a text is used before its tag was found right.
 * 5. What is sealed opens with the key or not at all: a missing key is no
 *    reason to believe the bytes.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_seal.h"

#define HEAD_LEN (sizeof(MG_SEAL_HEAD) - 1)
#define NONCE 12
#define TAG 16

_Static_assert(HEAD_LEN + NONCE + TAG == MG_SEAL_MORE, "MG_SEAL_MORE");

void
mg_seal_fini(struct mg_seal *s)
{
	if (s != NULL)
		explicit_bzero(s, sizeof(*s));
}

static enum mg_err
say(char *why, size_t size, enum mg_err r, const char *text)
{
	if (why != NULL)
		snprintf(why, size, "%s", text);
	return r;
}

/* Rule 1 */
static enum mg_err
read_key(struct mg_seal *s, const char *dir, char *why, size_t size)
{
	struct mg_file_rule rule = {.owner = geteuid(), .no_read = true};
	char path[512];
	struct mg_buf b;
	enum mg_err r;
	int fd, n;

	n = snprintf(path, sizeof(path), "%s/" MG_SEAL_FILE, dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return say(
		    why, size, MG_ERR_FORMAT, MG_SEAL_VARIABLE " is too long");
	if ((r = mg_file_open(path, 0, &rule, &fd, why, size)) != MG_ERR_OK)
		return r;
	mg_buf_init_secret(&b, MG_SEAL_KEY);
	if ((r = mg_file_read(fd, &b)) == MG_ERR_LIMIT ||
	    (r == MG_ERR_OK && mg_buf_len(&b) != MG_SEAL_KEY))
		r = say(
		    why, size, MG_ERR_FORMAT, MG_SEAL_FILE " is not 32 bytes");
	else if (r != MG_ERR_OK)
		(void)say(why, size, r, "cannot read " MG_SEAL_FILE);
	if (r == MG_ERR_OK) {
		memcpy(s->key, mg_buf_ptr(&b), MG_SEAL_KEY);
		s->has_key = true;
	}
	mg_buf_fini(&b);
	close(fd);
	return r;
}

enum mg_err
mg_seal_init(struct mg_seal *s, char *why, size_t why_size)
{
	const char *dir = secure_getenv(MG_SEAL_VARIABLE);
	enum mg_err r;

	memset(s, 0, sizeof(*s));
	if (dir == NULL)
		return MG_ERR_OK;
	if ((r = read_key(s, dir, why, why_size)) != MG_ERR_NOENT)
		return r;
	if (why != NULL && why_size > 0)
		why[0] = '\0';
	return MG_ERR_OK;
}

bool
mg_seal_is(const void *p, size_t n)
{
	return n >= HEAD_LEN && memcmp(p, MG_SEAL_HEAD, HEAD_LEN) == 0;
}

/* Key, nonce and what is authenticated beside the text (Rule 3). */
static bool
begin(EVP_CIPHER_CTX *ctx, const struct mg_seal *s, const char *place,
    const uint8_t *nonce, int enc)
{
	const uint8_t *head = (const uint8_t *)MG_SEAL_HEAD;
	int n;

	return EVP_CipherInit_ex(
		   ctx, EVP_aes_256_gcm(), NULL, s->key, nonce, enc) == 1 &&
	       EVP_CipherUpdate(ctx, NULL, &n, head, (int)HEAD_LEN) == 1 &&
	       EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)place,
		   (int)strlen(place)) == 1;
}

static bool
is_in_bounds(const char *place, size_t n)
{
	return strlen(place) <= MG_SEAL_PLACE_MAX && n <= INT32_MAX / 2;
}

/* Where n bytes may be written: a buffer that is full is another error than
 * memory that is out. */
static enum mg_err
make_room(struct mg_buf *b, size_t n, uint8_t **outp)
{
	if (mg_buf_len(b) > b->max || n > b->max - mg_buf_len(b))
		return MG_ERR_LIMIT;
	*outp = mg_buf_reserve(b, n);
	return *outp == NULL ? MG_ERR_NOMEM : MG_ERR_OK;
}

/* Rule 2 */
static enum mg_err
new_nonce(uint8_t *out)
{
	ssize_t n;

	do
		n = getrandom(out, NONCE, 0);
	while (n == -1 && errno == EINTR);
	return n == NONCE ? MG_ERR_OK : MG_ERR_SYS;
}

/* out: room for n + MG_SEAL_MORE. */
static enum mg_err
seal(const struct mg_seal *s, const char *place, const void *p, size_t n,
    uint8_t *out)
{
	uint8_t *nonce = out + HEAD_LEN, *text = nonce + NONCE;
	EVP_CIPHER_CTX *ctx = NULL;
	enum mg_err r;
	int len = 0, last = 0;

	memcpy(out, MG_SEAL_HEAD, HEAD_LEN);
	if ((r = new_nonce(nonce)) != MG_ERR_OK)
		return r;
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		return MG_ERR_NOMEM;
	if (!begin(ctx, s, place, nonce, 1) ||
	    EVP_CipherUpdate(ctx, text, &len, p, (int)n) != 1 ||
	    EVP_CipherFinal_ex(ctx, text + len, &last) != 1 ||
	    (size_t)len + (size_t)last != n ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, text + n) != 1)
		r = MG_ERR_INTERNAL;
	EVP_CIPHER_CTX_free(ctx); /* wipes the key in it */
	return r;
}

enum mg_err
mg_seal_put(const struct mg_seal *s, const char *place, const void *p, size_t n,
    struct mg_buf *b)
{
	enum mg_err r;
	uint8_t *out;

	if (!s->has_key)
		return mg_buf_put(b, p, n);
	if (!is_in_bounds(place, n))
		return MG_ERR_LIMIT;
	if ((r = make_room(b, n + MG_SEAL_MORE, &out)) != MG_ERR_OK)
		return r;
	if ((r = seal(s, place, p, n, out)) == MG_ERR_OK)
		mg_buf_commit(b, n + MG_SEAL_MORE);
	else
		explicit_bzero(out, n + MG_SEAL_MORE);
	return r;
}

/* in: nonce, n bytes, tag; out: room for n. */
static enum mg_err
unseal(const struct mg_seal *s, const char *place, const uint8_t *in, size_t n,
    uint8_t *out)
{
	const uint8_t *text = in + NONCE;
	EVP_CIPHER_CTX *ctx;
	uint8_t tag[TAG];
	enum mg_err r = MG_ERR_INTERNAL;
	int len = 0, last = 0;

	memcpy(tag, text + n, TAG);
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		return MG_ERR_NOMEM;
	if (begin(ctx, s, place, in, 0) &&
	    EVP_CipherUpdate(ctx, out, &len, text, (int)n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1)
		r = EVP_CipherFinal_ex(ctx, out + len, &last) == 1 /* Rule 4 */
			? MG_ERR_OK
			: MG_ERR_SEALED;
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

enum mg_err
mg_seal_get(const struct mg_seal *s, const char *place, const void *p, size_t n,
    struct mg_buf *b, char *why, size_t why_size)
{
	enum mg_err r;
	uint8_t *out;
	size_t len;

	if (!mg_seal_is(p, n))
		return mg_buf_put(b, p, n);
	if (!s->has_key) /* Rule 5 */
		return say(why, why_size, MG_ERR_SEALED,
		    "sealed, and there is no credential " MG_SEAL_FILE);
	if (n < MG_SEAL_MORE)
		return say(
		    why, why_size, MG_ERR_FORMAT, "sealed and cut short");
	len = n - MG_SEAL_MORE;
	if (!is_in_bounds(place, n))
		return say(why, why_size, MG_ERR_LIMIT, "too large");
	/* One byte at least, so that there is a place for the text. */
	if ((r = make_room(b, len > 0 ? len : 1, &out)) != MG_ERR_OK)
		return say(why, why_size, r,
		    r == MG_ERR_LIMIT ? "too large" : mg_err_str(r));
	r = unseal(s, place, (const uint8_t *)p + HEAD_LEN, len, out);
	if (r == MG_ERR_OK) {
		mg_buf_commit(b, len);
		return r;
	}
	explicit_bzero(out, len);
	if (r != MG_ERR_SEALED)
		return say(why, why_size, r, mg_err_str(r));
	return say(why, why_size, r,
	    "sealed with another credential or for another place, or was "
	    "changed");
}
