/* SPDX-License-Identifier: ISC */
/*
 * The agent's protocol and SSHSIG.
 *
 * Rules
 * 1. The agent is the approver's, and still everything from it is counted:
 *    the channel to it ends in a machine that we know nothing of.
 * 2. Only the key that logged in signs: with another one of the agent's
 *    keys the approval would be somebody else's, or nobody's.
 */
#include <openssl/evp.h>
#include <string.h>

#include "conn_sign.h"
#include "mg_b64.h"
#include "mg_sshkey.h"
#include "mg_text.h"

#define AGENT_FAILURE 5
#define AGENT_LIST 11
#define AGENT_LIST_ANS 12
#define AGENT_SIGN 13
#define AGENT_SIGN_ANS 14
#define FLAG_RSA_SHA2_512 4

#define SSHSIG_MAGIC "SSHSIG"
#define SSHSIG_HASH "sha512"
#define ARMOUR_COLUMNS 70

static enum mg_err
put_text(struct mg_buf *b, const char *s)
{
	return mg_buf_put_bytes(b, s, strlen(s));
}

enum mg_err
conn_agent_put_list(struct mg_buf *b)
{
	enum mg_err r;

	if ((r = mg_buf_put_u32(b, 1)) != MG_ERR_OK)
		return r;
	return mg_buf_put_u8(b, AGENT_LIST);
}

/* The kind of an answer; MG_ERR_PERM for a plain refusal. */
static enum mg_err
get_kind(struct mg_buf *b, uint8_t expected)
{
	uint8_t kind;

	if (mg_buf_get_u8(b, &kind) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	if (kind == AGENT_FAILURE)
		return MG_ERR_PERM;
	return kind == expected ? MG_ERR_OK : MG_ERR_FORMAT;
}

enum mg_err
conn_agent_find(const void *msg, size_t len, const void *key, size_t key_len)
{
	enum mg_err r, found = MG_ERR_NOENT;
	const uint8_t *blob, *comment;
	size_t n, cn;
	struct mg_buf b;
	uint32_t i, keys;

	mg_buf_init_read(&b, msg, len);
	if ((r = get_kind(&b, AGENT_LIST_ANS)) != MG_ERR_OK)
		return r;
	if (mg_buf_get_u32(&b, &keys) != MG_ERR_OK ||
	    keys > CONN_AGENT_KEYS_MAX)
		return MG_ERR_FORMAT;
	for (i = 0; i < keys; i++) {
		if (mg_buf_get_bytes(&b, len, &blob, &n) != MG_ERR_OK ||
		    mg_buf_get_bytes(&b, len, &comment, &cn) != MG_ERR_OK)
			return MG_ERR_FORMAT;
		if (n == key_len && memcmp(blob, key, n) == 0)
			found = MG_ERR_OK;
	}
	if (mg_buf_get_end(&b) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	return found;
}

static enum mg_sshkey_type
type_of(const void *key, size_t key_len)
{
	enum mg_sshkey_type type;

	if (mg_sshkey_check(key, key_len, &type, NULL) != MG_ERR_OK)
		return MG_SSHKEY_NONE;
	return type;
}

enum mg_err
conn_agent_put_sign(struct mg_buf *b, const void *key, size_t key_len,
    const void *data, size_t n)
{
	uint32_t flags =
	    type_of(key, key_len) == MG_SSHKEY_RSA ? FLAG_RSA_SHA2_512 : 0;
	enum mg_err r;

	if (key_len > MG_SSHKEY_BLOB_MAX || n > MG_TEXT_MAX)
		return MG_ERR_LIMIT;
	if ((r = mg_buf_put_u32(b, (uint32_t)(1 + 4 + key_len + 4 + n + 4))) !=
		MG_ERR_OK ||
	    (r = mg_buf_put_u8(b, AGENT_SIGN)) != MG_ERR_OK ||
	    (r = mg_buf_put_bytes(b, key, key_len)) != MG_ERR_OK ||
	    (r = mg_buf_put_bytes(b, data, n)) != MG_ERR_OK)
		return r;
	return mg_buf_put_u32(b, flags);
}

/* Whether a signature of that algorithm is one of a key of that type. */
static bool
fits(enum mg_sshkey_type type, const uint8_t *alg, size_t n)
{
	const char *name = mg_sshkey_name(type);

	if (type == MG_SSHKEY_RSA)
		name = "rsa-sha2-512";
	return type != MG_SSHKEY_NONE && strlen(name) == n &&
	       memcmp(name, alg, n) == 0;
}

enum mg_err
conn_agent_signature(const void *msg, size_t len, const void *key,
    size_t key_len, const uint8_t **sigp, size_t *np)
{
	const uint8_t *sig, *alg;
	struct mg_buf b, inner;
	size_t n, an;
	enum mg_err r;

	*sigp = NULL;
	*np = 0;
	mg_buf_init_read(&b, msg, len);
	if ((r = get_kind(&b, AGENT_SIGN_ANS)) != MG_ERR_OK)
		return r;
	if (mg_buf_get_bytes(&b, MG_SSHKEY_BLOB_MAX, &sig, &n) != MG_ERR_OK ||
	    mg_buf_get_end(&b) != MG_ERR_OK)
		return MG_ERR_FORMAT;
	mg_buf_init_read(&inner, sig, n);
	if (mg_buf_get_bytes(&inner, n, &alg, &an) != MG_ERR_OK ||
	    !fits(type_of(key, key_len), alg, an))
		return MG_ERR_FORMAT;
	*sigp = sig;
	*np = n;
	return MG_ERR_OK;
}

enum mg_err
conn_sshsig_put_signed(struct mg_buf *b, const void *text, size_t n)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;
	enum mg_err r;

	if (EVP_Digest(text, n, hash, &hash_len, EVP_sha512(), NULL) != 1)
		return MG_ERR_INTERNAL;
	if ((r = mg_buf_put_text(b, SSHSIG_MAGIC)) != MG_ERR_OK ||
	    (r = put_text(b, MG_TEXT_NAMESPACE)) != MG_ERR_OK ||
	    (r = put_text(b, "")) != MG_ERR_OK ||
	    (r = put_text(b, SSHSIG_HASH)) != MG_ERR_OK)
		return r;
	return mg_buf_put_bytes(b, hash, hash_len);
}

static enum mg_err
put_blob(struct mg_buf *b, const void *key, size_t key_len, const void *sig,
    size_t sig_len)
{
	enum mg_err r;

	if ((r = mg_buf_put_text(b, SSHSIG_MAGIC)) != MG_ERR_OK ||
	    (r = mg_buf_put_u32(b, 1)) != MG_ERR_OK ||
	    (r = mg_buf_put_bytes(b, key, key_len)) != MG_ERR_OK ||
	    (r = put_text(b, MG_TEXT_NAMESPACE)) != MG_ERR_OK ||
	    (r = put_text(b, "")) != MG_ERR_OK ||
	    (r = put_text(b, SSHSIG_HASH)) != MG_ERR_OK)
		return r;
	return mg_buf_put_bytes(b, sig, sig_len);
}

static enum mg_err
put_lines(struct mg_buf *b, const struct mg_buf *text)
{
	const char *p = (const char *)mg_buf_ptr(text);
	size_t left = mg_buf_len(text), n;
	enum mg_err r = MG_ERR_OK;

	for (; left > 0 && r == MG_ERR_OK; p += n, left -= n) {
		n = left < ARMOUR_COLUMNS ? left : ARMOUR_COLUMNS;
		if ((r = mg_buf_put(b, p, n)) == MG_ERR_OK)
			r = mg_buf_put_u8(b, '\n');
	}
	return r;
}

enum mg_err
conn_sshsig_put_armour(struct mg_buf *b, const void *key, size_t key_len,
    const void *sig, size_t sig_len)
{
	struct mg_buf blob, text;
	enum mg_err r;

	mg_buf_init(&blob, 4 * MG_SSHKEY_BLOB_MAX);
	mg_buf_init(&text, 6 * MG_SSHKEY_BLOB_MAX);
	if ((r = put_blob(&blob, key, key_len, sig, sig_len)) == MG_ERR_OK &&
	    (r = mg_b64_put(&text, mg_buf_ptr(&blob), mg_buf_len(&blob))) ==
		MG_ERR_OK &&
	    (r = mg_buf_put_text(b, "-----BEGIN SSH SIGNATURE-----\n")) ==
		MG_ERR_OK &&
	    (r = put_lines(b, &text)) == MG_ERR_OK)
		r = mg_buf_put_text(b, "-----END SSH SIGNATURE-----\n");
	mg_buf_fini(&blob);
	mg_buf_fini(&text);
	return r;
}
