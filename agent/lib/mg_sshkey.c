/* SPDX-License-Identifier: ISC */
/*
 * Syntax of public ssh keys.
 *
 * Rules
 * 1. The type inside the blob is the one that counts, and a file that
 *    names another beside it is refused: readers would disagree on it.
 * 2. One blob for one key: a number with needless zero bytes in front, or
 *    bytes behind, would make the same key look like another one, and one
 *    person could stand in the file as two.
 * 3. RSA below 2048 bits is refused: it can be forged.
 */
#include <string.h>

#include "mg_b64.h"
#include "mg_sshkey.h"

#define APPLICATION_MAX 255

static const struct row {
	const char *name;
	const char *curve; /* NULL: not ecdsa */
	size_t key_bytes;  /* of the fixed part; 0: RSA */
	bool is_hardware;
} rows[] = {
    [MG_SSHKEY_NONE] = {"", NULL, 0, false},
    [MG_SSHKEY_ED25519] = {"ssh-ed25519", NULL, 32, false},
    [MG_SSHKEY_ECDSA_256] = {"ecdsa-sha2-nistp256", "nistp256", 65, false},
    [MG_SSHKEY_ECDSA_384] = {"ecdsa-sha2-nistp384", "nistp384", 97, false},
    [MG_SSHKEY_ECDSA_521] = {"ecdsa-sha2-nistp521", "nistp521", 133, false},
    [MG_SSHKEY_RSA] = {"ssh-rsa", NULL, 0, false},
    [MG_SSHKEY_SK_ED25519] = {"sk-ssh-ed25519@openssh.com", NULL, 32, true},
    [MG_SSHKEY_SK_ECDSA_256] = {"sk-ecdsa-sha2-nistp256@openssh.com",
	"nistp256", 65, true},
};

#define NTYPES (sizeof(rows) / sizeof(rows[0]))

static enum mg_sshkey_type
find_type(const char *name, size_t n)
{
	size_t i;

	for (i = MG_SSHKEY_NONE + 1; i < NTYPES; i++)
		if (strlen(rows[i].name) == n &&
		    memcmp(rows[i].name, name, n) == 0)
			return (enum mg_sshkey_type)i;
	return MG_SSHKEY_NONE;
}

enum mg_sshkey_type
mg_sshkey_type(const char *name)
{
	return find_type(name, strlen(name));
}

const char *
mg_sshkey_name(enum mg_sshkey_type type)
{
	return (size_t)type < NTYPES ? rows[type].name : "";
}

bool
mg_sshkey_is_hardware(enum mg_sshkey_type type)
{
	return (size_t)type < NTYPES && rows[type].is_hardware;
}

static bool
get_string(struct mg_buf *b, const uint8_t **pp, size_t *np)
{
	return mg_buf_get_bytes(b, MG_SSHKEY_BLOB_MAX, pp, np) == MG_ERR_OK;
}

/* A positive number in its shortest form; its length in bits, or 0. */
static size_t
get_mpint_bits(struct mg_buf *b, bool *is_oddp)
{
	const uint8_t *p;
	size_t n, bits;
	uint8_t top;

	if (!get_string(b, &p, &n) || n == 0 || (p[0] & 0x80) != 0)
		return 0;
	*is_oddp = (p[n - 1] & 1) != 0;
	if (p[0] == 0) {
		if (n < 2 || (p[1] & 0x80) == 0) /* Rule 2 */
			return 0;
		p++;
		n--;
	}
	bits = (n - 1) * 8;
	for (top = p[0]; top != 0; top >>= 1)
		bits++;
	return bits;
}

static const char *
check_rsa(struct mg_buf *b)
{
	bool e_odd = false, n_odd = false;
	size_t e, n;

	e = get_mpint_bits(b, &e_odd);
	n = get_mpint_bits(b, &n_odd);
	if (e < 2 || e > 64 || n == 0 || !e_odd || !n_odd)
		return "is not an RSA key";
	if (n < MG_SSHKEY_RSA_BITS_MIN) /* Rule 3 */
		return "has fewer than 2048 bits";
	if (n > MG_SSHKEY_RSA_BITS_MAX)
		return "has more than 16384 bits";
	return NULL;
}

static const char *
check_fixed(struct mg_buf *b, const struct row *row)
{
	const uint8_t *p;
	size_t n;

	if (row->curve != NULL &&
	    (!get_string(b, &p, &n) || n != strlen(row->curve) ||
		memcmp(p, row->curve, n) != 0))
		return "is of another curve than its type";
	if (!get_string(b, &p, &n) || n != row->key_bytes)
		return "has the wrong length";
	if (row->curve != NULL && p[0] != 4)
		return "is not an uncompressed point";
	return NULL;
}

/* The application of a security key: "ssh:" or "ssh:something". */
static const char *
check_application(struct mg_buf *b)
{
	const uint8_t *p;
	size_t n, i;

	if (!get_string(b, &p, &n) || n == 0 || n > APPLICATION_MAX)
		return "has no application";
	for (i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return "has an application that does not print";
	return NULL;
}

static const char *
check_blob(struct mg_buf *b, enum mg_sshkey_type *typep)
{
	const uint8_t *name;
	const char *why;
	size_t n;

	if (!get_string(b, &name, &n))
		return "is cut short";
	*typep = find_type((const char *)name, n);
	if (*typep == MG_SSHKEY_NONE)
		return "is of a type that is not taken";
	why = *typep == MG_SSHKEY_RSA ? check_rsa(b)
				      : check_fixed(b, &rows[*typep]);
	if (why == NULL && rows[*typep].is_hardware)
		why = check_application(b);
	if (why == NULL && mg_buf_get_end(b) != MG_ERR_OK)
		why = "has bytes after its end"; /* Rule 2 */
	return why;
}

enum mg_err
mg_sshkey_check(
    const void *blob, size_t len, enum mg_sshkey_type *typep, const char **whyp)
{
	struct mg_buf b;
	const char *why;

	*typep = MG_SSHKEY_NONE;
	mg_buf_init_read(&b, blob, len);
	why = len > MG_SSHKEY_BLOB_MAX ? "is too long" : check_blob(&b, typep);
	if (whyp != NULL)
		*whyp = why == NULL ? "" : why;
	if (why == NULL)
		return MG_ERR_OK;
	*typep = MG_SSHKEY_NONE;
	return MG_ERR_FORMAT;
}

enum mg_err
mg_sshkey_parse(struct mg_buf *b, const char *type_name, const char *b64,
    size_t n, size_t *badp, const char **whyp)
{
	enum mg_sshkey_type named = mg_sshkey_type(type_name), type;
	size_t start = mg_buf_len(b);
	enum mg_err r;

	*badp = 0;
	*whyp = "is of a type that is not taken";
	if (named == MG_SSHKEY_NONE)
		return MG_ERR_FORMAT;
	*whyp = "is too long";
	if (n > MG_B64_LEN((size_t)MG_SSHKEY_BLOB_MAX))
		return MG_ERR_LIMIT;
	*whyp = "is not base64";
	if ((r = mg_b64_get(b, b64, n, badp)) != MG_ERR_OK) {
		if (r == MG_ERR_NOMEM)
			*whyp = mg_err_str(r);
		return r;
	}
	*badp = 0;
	r = mg_sshkey_check(
	    mg_buf_ptr(b) + start, mg_buf_len(b) - start, &type, whyp);
	if (r == MG_ERR_OK && type != named) { /* Rule 1 */
		*whyp = "is of another type than the word before it";
		r = MG_ERR_FORMAT;
	}
	if (r != MG_ERR_OK)
		b->len = b->off + start;
	return r;
}
