/* SPDX-License-Identifier: ISC */
/*
 * Reads armoured ssh signatures, strictly. No arithmetic here: that is in
 * mg_sshsig_crypto.c.
 *
 * Rules
 * 1. One armour and nothing around it, one base64 form: a file that holds
 *    two signatures, or text that one reader skips and another does not,
 *    could show a person one thing and a verifier another.
 * 2. Version 1 and an empty reserved field: ssh-keygen takes version 0, and
 *    a reserved field that no signature covers.
 * 3. The namespace is exactly ours: a signature made for a mail or a commit
 *    is not an approval.
 * 4. Types are listed, not excluded: no SHA-1 (ssh-rsa), no DSA, no
 *    certificates, no webauthn, whose signed bytes a web page chooses.
 * 5. Exact lengths and nothing after the end, at every level.
 * 6. A security key was touched: ssh-keygen does not look at the flags, so
 *    malware on the approver's machine could sign alone. Attested data and
 *    extensions change what the signed bytes mean and are refused.
 */
#include <stdio.h>
#include <string.h>

#include "mg_b64.h"
#include "mg_text.h"
#include "verify/mg_sshsig.h"

#define HEADER "-----BEGIN SSH SIGNATURE-----\n"
#define FOOTER "-----END SSH SIGNATURE-----"
#define MAGIC "SSHSIG"
#define LINE_CHARS_MAX 76
#define ED25519_SIG_BYTES 64

#define FLAG_PRESENT 0x01u
#define FLAG_VERIFIED 0x04u
#define FLAG_BACKUP_ELIGIBLE 0x08u
#define FLAG_BACKED_UP 0x10u
#define FLAG_ATTESTED 0x40u
#define FLAG_EXTENSIONS 0x80u

static enum mg_err
no(const char **whyp, enum mg_err r, const char *why)
{
	*whyp = why;
	return r;
}

static bool
equals(const uint8_t *p, size_t n, const char *s)
{
	return n == strlen(s) && memcmp(p, s, n) == 0;
}

/* ---- the armour ---- */

/*
 * Appends the characters of one base64 line of the armour at *pp to text.
 * All lines but the last are of one length, which the first one sets.
 */
static const char *
take_line(const char **pp, const char *end, size_t *widthp, struct mg_buf *text)
{
	const char *nl = memchr(*pp, '\n', (size_t)(end - *pp));
	size_t n;

	if (nl == NULL)
		return "signature: armour has no last line";
	n = (size_t)(nl - *pp);
	if (n == 0 || n > LINE_CHARS_MAX)
		return "signature: armour has a line of the wrong length";
	if (*widthp == 0)
		*widthp = n;
	else if (mg_buf_len(text) % *widthp != 0 || n > *widthp)
		return "signature: armour has lines of different lengths";
	if (mg_buf_put(text, *pp, n) != MG_ERR_OK)
		return "signature: out of memory"; /* all of it would fit */
	*pp = nl + 1;
	return NULL;
}

/* Rule 1 */
static const char *
take_armour(const char *p, size_t len, struct mg_buf *text)
{
	const char *end = p + len, *why;
	size_t width = 0;

	if (len < sizeof(HEADER) - 1 ||
	    memcmp(p, HEADER, sizeof(HEADER) - 1) != 0)
		return "signature: does not begin with its armour's first line";
	p += sizeof(HEADER) - 1;
	do
		if ((why = take_line(&p, end, &width, text)) != NULL)
			return why;
	while (p < end && *p != '-');
	len = (size_t)(end - p);
	if (len < sizeof(FOOTER) - 1 ||
	    memcmp(p, FOOTER, sizeof(FOOTER) - 1) != 0)
		return "signature: armour has no last line";
	p += sizeof(FOOTER) - 1;
	if (p < end && *p == '\n')
		p++;
	return p == end ? NULL : "signature: text after its armour";
}

static enum mg_err
decode_armour(
    struct mg_buf *blob, const void *armour, size_t len, const char **whyp)
{
	struct mg_buf text;
	const char *why;
	enum mg_err r;

	if (len > MG_SSHSIG_ARMOUR_MAX)
		return no(whyp, MG_ERR_LIMIT, "signature: too long");
	mg_buf_init(&text, MG_SSHSIG_ARMOUR_MAX);
	if ((why = take_armour(armour, len, &text)) != NULL)
		r = no(whyp, MG_ERR_FORMAT, why);
	else if ((r = mg_b64_get(blob, (const char *)mg_buf_ptr(&text),
		      mg_buf_len(&text), NULL)) != MG_ERR_OK &&
		 r != MG_ERR_NOMEM)
		*whyp = "signature: armour is not base64";
	mg_buf_fini(&text);
	return r;
}

/* ---- the blob ---- */

static bool
get_string(struct mg_buf *b, const uint8_t **pp, size_t *np)
{
	return mg_buf_get_bytes(b, MG_SSHSIG_ARMOUR_MAX, pp, np) == MG_ERR_OK;
}

/* A positive mpint in its shortest form, of at most max bytes. */
static bool
get_number(struct mg_buf *b, size_t max, const uint8_t **pp, size_t *np)
{
	const uint8_t *p;
	size_t n;

	if (!get_string(b, &p, &n) || n == 0 || (p[0] & 0x80) != 0)
		return false;
	if (p[0] == 0) {
		if (n < 2 || (p[1] & 0x80) == 0)
			return false;
		p++;
		n--;
	}
	*pp = p;
	*np = n;
	return n <= max;
}

static size_t
curve_bytes(enum mg_sshkey_type type)
{
	switch (type) {
	case MG_SSHKEY_ECDSA_256:
	case MG_SSHKEY_SK_ECDSA_256:
		return 32;
	case MG_SSHKEY_ECDSA_384:
		return 48;
	case MG_SSHKEY_ECDSA_521:
		return 66;
	case MG_SSHKEY_NONE:
	case MG_SSHKEY_ED25519:
	case MG_SSHKEY_SK_ED25519:
	case MG_SSHKEY_RSA:
		break;
	}
	return 0;
}

static const char *
read_ed25519(struct mg_sshsig *sig, struct mg_buf *b)
{
	if (!get_string(b, &sig->sig, &sig->sig_len) ||
	    sig->sig_len != ED25519_SIG_BYTES)
		return "signature: ed25519 part is not 64 bytes";
	return NULL;
}

static const char *
read_ecdsa(struct mg_sshsig *sig, struct mg_buf *b)
{
	size_t n, max = curve_bytes(sig->type);
	const uint8_t *p;
	struct mg_buf in;

	if (!get_string(b, &p, &n))
		return "signature: ends early";
	mg_buf_init_read(&in, p, n);
	if (!get_number(&in, max, &sig->r, &sig->r_len) ||
	    !get_number(&in, max, &sig->s, &sig->s_len) ||
	    mg_buf_get_end(&in) != MG_ERR_OK) /* Rule 5 */
		return "signature: ecdsa part is not two numbers";
	return NULL;
}

/* The length of the key's modulus, its last part. */
static size_t
rsa_bytes(const struct mg_sshsig *sig)
{
	struct mg_buf b;
	const uint8_t *p = NULL;
	size_t n = 0;
	int i;

	mg_buf_init_read(&b, sig->key, sig->key_len);
	for (i = 0; i < 3; i++)
		if (!get_string(&b, &p, &n))
			return 0;
	return n > 0 && p[0] == 0 ? n - 1 : n;
}

static const char *
read_rsa(struct mg_sshsig *sig, struct mg_buf *b)
{
	if (!get_string(b, &sig->sig, &sig->sig_len) || sig->sig_len == 0 ||
	    sig->sig_len != rsa_bytes(sig)) /* Rule 5 */
		return "signature: RSA part is not as long as its key";
	return NULL;
}

/* Rule 6 */
static const char *
read_flags(struct mg_sshsig *sig, struct mg_buf *b)
{
	const unsigned known = FLAG_PRESENT | FLAG_VERIFIED |
			       FLAG_BACKUP_ELIGIBLE | FLAG_BACKED_UP;

	if (mg_buf_get_u8(b, &sig->flags) != MG_ERR_OK ||
	    mg_buf_get_u32(b, &sig->counter) != MG_ERR_OK)
		return "signature: ends early";
	if ((sig->flags & FLAG_ATTESTED) != 0)
		return "signature: security key added attested data";
	if ((sig->flags & FLAG_EXTENSIONS) != 0)
		return "signature: security key added extensions";
	if ((sig->flags & ~known) != 0)
		return "signature: security key set unknown flags";
	if ((sig->flags & FLAG_PRESENT) == 0)
		return "signature: the security key was not touched";
	return NULL;
}

/* The name inside the signature proper has to fit the key. Rule 4 */
static bool
name_fits(struct mg_sshsig *sig, const uint8_t *p, size_t n)
{
	if (sig->type != MG_SSHKEY_RSA)
		return equals(p, n, mg_sshkey_name(sig->type));
	if (equals(p, n, "rsa-sha2-256"))
		sig->rsa_hash = MG_SSHSIG_SHA256;
	else if (equals(p, n, "rsa-sha2-512"))
		sig->rsa_hash = MG_SSHSIG_SHA512;
	return sig->rsa_hash != MG_SSHSIG_HASH_NONE;
}

static const char *
read_by_type(struct mg_sshsig *sig, struct mg_buf *b)
{
	switch (sig->type) {
	case MG_SSHKEY_ED25519:
	case MG_SSHKEY_SK_ED25519:
		return read_ed25519(sig, b);
	case MG_SSHKEY_ECDSA_256:
	case MG_SSHKEY_ECDSA_384:
	case MG_SSHKEY_ECDSA_521:
	case MG_SSHKEY_SK_ECDSA_256:
		return read_ecdsa(sig, b);
	case MG_SSHKEY_RSA:
		return read_rsa(sig, b);
	case MG_SSHKEY_NONE:
		break;
	}
	return "signature: key is of a type that is not taken";
}

static enum mg_err
read_signature(
    struct mg_sshsig *sig, const uint8_t *p, size_t n, const char **whyp)
{
	const uint8_t *name;
	struct mg_buf b;
	const char *why;
	size_t name_len;

	mg_buf_init_read(&b, p, n);
	if (!get_string(&b, &name, &name_len))
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	if (!name_fits(sig, name, name_len))
		return no(whyp, MG_ERR_PERM,
		    "signature: algorithm is not taken for this key");
	if ((why = read_by_type(sig, &b)) != NULL)
		return no(whyp, MG_ERR_FORMAT, why);
	if (mg_sshkey_is_hardware(sig->type) &&
	    (why = read_flags(sig, &b)) != NULL)
		return no(whyp, MG_ERR_PERM, why);
	if (mg_buf_get_end(&b) != MG_ERR_OK) /* Rule 5 */
		return no(whyp, MG_ERR_FORMAT,
		    "signature: bytes after the signature proper");
	return MG_ERR_OK;
}

static enum mg_err
read_key(struct mg_sshsig *sig, struct mg_buf *b, const char **whyp)
{
	const char *why;

	if (!get_string(b, &sig->key, &sig->key_len))
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	if (mg_sshkey_check(sig->key, sig->key_len, &sig->type, &why) ==
	    MG_ERR_OK)
		return MG_ERR_OK;
	if (strcmp(why, "is of a type that is not taken") == 0)
		return no(whyp, MG_ERR_PERM,
		    "signature: key is of a type that is not taken");
	return no(whyp, MG_ERR_FORMAT, "signature: key is malformed");
}

static enum mg_err
read_head(struct mg_buf *b, const char **whyp)
{
	uint32_t version = 0;
	const uint8_t *p = mg_buf_ptr(b);

	if (mg_buf_len(b) < sizeof(MAGIC) - 1 ||
	    memcmp(p, MAGIC, sizeof(MAGIC) - 1) != 0)
		return no(whyp, MG_ERR_FORMAT, "signature: is not an SSHSIG");
	mg_buf_consume(b, sizeof(MAGIC) - 1);
	if (mg_buf_get_u32(b, &version) != MG_ERR_OK)
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	if (version != 1) /* Rule 2 */
		return no(whyp, MG_ERR_PERM, "signature: version is not 1");
	return MG_ERR_OK;
}

static enum mg_err
read_fields(struct mg_sshsig *sig, struct mg_buf *b, const char **whyp)
{
	const uint8_t *p;
	size_t n;

	if (!get_string(b, &p, &n))
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	if (equals(p, n, MG_TEXT_NAMESPACE))
		sig->ns = MG_TEXT_NAMESPACE;
	else if (equals(p, n, MG_TEXT_POLICY_NAMESPACE))
		sig->ns = MG_TEXT_POLICY_NAMESPACE;
	else /* Rule 3 */
		return no(whyp, MG_ERR_PERM,
		    "signature: namespace is not one of modelgate's");
	if (!get_string(b, &p, &n))
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	if (n != 0) /* Rule 2 */
		return no(whyp, MG_ERR_PERM,
		    "signature: reserved field is not empty");
	if (!get_string(b, &p, &n))
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	if (equals(p, n, "sha256"))
		sig->hash = MG_SSHSIG_SHA256;
	else if (equals(p, n, "sha512"))
		sig->hash = MG_SSHSIG_SHA512;
	else
		return no(whyp, MG_ERR_PERM,
		    "signature: hash is not sha256 or sha512");
	if (!get_string(b, &p, &n))
		return no(whyp, MG_ERR_FORMAT, "signature: ends early");
	return read_signature(sig, p, n, whyp);
}

static enum mg_err
read_blob(struct mg_sshsig *sig, const char **whyp)
{
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init_read(&b, mg_buf_ptr(&sig->blob), mg_buf_len(&sig->blob));
	if ((r = read_head(&b, whyp)) != MG_ERR_OK ||
	    (r = read_key(sig, &b, whyp)) != MG_ERR_OK ||
	    (r = read_fields(sig, &b, whyp)) != MG_ERR_OK)
		return r;
	if (mg_buf_get_end(&b) != MG_ERR_OK) /* Rule 5 */
		return no(whyp, MG_ERR_TRAIL, "signature: bytes after its end");
	return MG_ERR_OK;
}

enum mg_err
mg_sshsig_parse(
    struct mg_sshsig *sig, const void *armour, size_t len, const char **whyp)
{
	enum mg_err r;

	*whyp = "signature: out of memory";
	memset(sig, 0, sizeof(*sig));
	mg_buf_init(&sig->blob, MG_SSHSIG_ARMOUR_MAX);
	if ((r = decode_armour(&sig->blob, armour, len, whyp)) == MG_ERR_OK)
		r = read_blob(sig, whyp);
	if (r != MG_ERR_OK)
		mg_sshsig_fini(sig);
	else
		*whyp = "";
	return r;
}

void
mg_sshsig_fini(struct mg_sshsig *sig)
{
	mg_buf_fini(&sig->blob);
	memset(sig, 0, sizeof(*sig));
}
