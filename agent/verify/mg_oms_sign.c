/* SPDX-License-Identifier: ISC */
/*
 * Signs a model so that the reference implementation verifies it.
 *
 * Rules
 * 1. What is written is read again and verified before anybody gets it: a
 *    signature that nobody can verify is found out here, not at night.
 * 2. The private key leaves no copy behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "mg_b64.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_json.h"
#include "verify/mg_oms_int.h"

#define SIG_MAX 256
#define NAME_BYTES (MG_TREE_PATH_MAX + 64)

/* One line of the list that is signed. */
struct entry {
	char *name;
	size_t piece;
};

struct signer {
	const struct mg_oms_sign *s;
	struct mg_oms_fail *fail;
	struct mg_tree *tree;
	struct mg_hash_piece *pieces;
	struct entry *entries; /* sorted by name */
	size_t n;
	char root[65];
	EVP_PKEY *key;
	struct mg_buf payload;
	struct mg_buf sig;
};

static enum mg_err
no_memory(struct signer *sg)
{
	return mg_oms_say(
	    sg->fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
}

static const char *
hash_name(enum mg_hash hash)
{
	return hash == MG_HASH_SHA256 ? "sha256" : "blake2b";
}

/* ---- the list ---- */

static enum mg_err
check_ignore(struct signer *sg)
{
	char esc[128];
	size_t i;

	if (sg->s->nignore > MG_OMS_IGNORE_MAX - 8)
		return mg_oms_say(sg->fail, MG_ERR_LIMIT, MG_OMS_IGNORE,
		    "more than %d paths to leave out", MG_OMS_IGNORE_MAX - 8);
	for (i = 0; i < sg->s->nignore; i++) {
		if (mg_oms_path_is_valid(sg->s->ignore[i]) &&
		    strpbrk(sg->s->ignore[i], "*?[") == NULL)
			continue;
		mg_esc_line(sg->s->ignore[i], esc, sizeof(esc));
		return mg_oms_say(sg->fail, MG_ERR_FORMAT, MG_OMS_IGNORE,
		    "'%s' is no path that can be left out", esc);
	}
	return MG_ERR_OK;
}

static uint64_t
parts_of(const struct mg_oms_sign *s, uint64_t size)
{
	if (s->shard_size == 0)
		return 1;
	return size / s->shard_size + (size % s->shard_size != 0);
}

/* Makes room for every file's parts. */
static enum mg_err
count_parts(struct signer *sg)
{
	uint64_t total = 0, n;
	size_t i;

	for (i = 0; i < sg->tree->nfiles; i++) {
		n = parts_of(sg->s, sg->tree->files[i].id.size);
		if (n > MG_OMS_RESOURCES_MAX - total)
			return mg_oms_say(sg->fail, MG_ERR_LIMIT,
			    MG_OMS_TOO_LARGE, "more than %d parts to list",
			    MG_OMS_RESOURCES_MAX);
		total += n;
	}
	if (total == 0)
		return mg_oms_say(sg->fail, MG_ERR_NOENT, MG_OMS_ARTIFACT,
		    "all files are empty, which shards do not list");
	sg->pieces = calloc((size_t)total, sizeof(*sg->pieces));
	sg->entries = calloc((size_t)total, sizeof(*sg->entries));
	if (sg->pieces == NULL || sg->entries == NULL)
		return no_memory(sg);
	return MG_ERR_OK;
}

static enum mg_err
add_part(struct signer *sg, size_t file, uint64_t start, uint64_t end)
{
	const char *path = sg->tree->files[file].path;
	struct mg_hash_piece *p = &sg->pieces[sg->n];
	char name[NAME_BYTES], esc[128];

	p->file = file;
	p->start = start;
	p->end = end;
	if (sg->s->shard_size == 0) {
		snprintf(name, sizeof(name), "%s", path);
	} else if (strchr(path, ':') != NULL) {
		mg_esc_line(path, esc, sizeof(esc));
		return mg_oms_say(sg->fail, MG_ERR_FORMAT, MG_OMS_RESOURCE,
		    "'%s' has a colon, which others refuse in shards", esc);
	} else {
		snprintf(name, sizeof(name), "%s:%ju:%ju", path,
		    (uintmax_t)start, (uintmax_t)end);
	}
	if ((sg->entries[sg->n].name = strdup(name)) == NULL)
		return no_memory(sg);
	sg->entries[sg->n].piece = sg->n;
	sg->n++;
	return MG_ERR_OK;
}

static enum mg_err
add_file(struct signer *sg, size_t file)
{
	uint64_t size = sg->tree->files[file].id.size, start, end;
	enum mg_err r = MG_ERR_OK;

	if (sg->s->shard_size == 0)
		return add_part(sg, file, 0, size);
	for (start = 0; start < size && r == MG_ERR_OK; start = end) {
		end = size - start > sg->s->shard_size
			  ? start + sg->s->shard_size
			  : size;
		r = add_part(sg, file, start, end);
	}
	return r;
}

static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static enum mg_err
make_root(struct signer *sg)
{
	size_t bytes = mg_hash_bytes(sg->s->hash), i;
	uint8_t h[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	for (i = 0; i < sg->n && ok; i++)
		ok = EVP_DigestUpdate(ctx,
			 sg->pieces[sg->entries[i].piece].digest, bytes) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, h, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return no_memory(sg);
	mg_hex(h, 32, sg->root);
	return MG_ERR_OK;
}

static enum mg_err
make_list(struct signer *sg)
{
	enum mg_err r;
	size_t i;

	if (mg_hash_bytes(sg->s->hash) == 0)
		return mg_oms_say(
		    sg->fail, MG_ERR_INTERNAL, MG_OMS_INTERNAL, "no hash");
	if ((r = check_ignore(sg)) != MG_ERR_OK ||
	    (r = mg_oms_walk(sg->s->files, sg->s->ignore, sg->s->nignore,
		 &sg->tree, sg->fail)) != MG_ERR_OK ||
	    (r = count_parts(sg)) != MG_ERR_OK)
		return r;
	for (i = 0; i < sg->tree->nfiles && r == MG_ERR_OK; i++)
		r = add_file(sg, i);
	if (r != MG_ERR_OK)
		return r;
	r = mg_oms_hash(
	    sg->s->files, sg->tree, sg->s->hash, sg->pieces, sg->n, sg->fail);
	if (r != MG_ERR_OK)
		return r;
	qsort(sg->entries, sg->n, sizeof(*sg->entries), compare);
	return make_root(sg);
}

/* ---- the statement ---- */

static void
put_resources(const struct signer *sg, struct mg_json *j)
{
	char hex[2 * MG_HASH_BYTES_MAX + 1], alg[64];
	const struct mg_hash_piece *p;
	size_t i;

	snprintf(alg, sizeof(alg), "%s", hash_name(sg->s->hash));
	/* As the reference implementation names them, and wants them. */
	if (sg->s->shard_size != 0)
		snprintf(alg, sizeof(alg), "%s-sharded-%ju",
		    hash_name(sg->s->hash), (uintmax_t)sg->s->shard_size);
	mg_json_arr(j, "resources");
	for (i = 0; i < sg->n; i++) {
		p = &sg->pieces[sg->entries[i].piece];
		mg_hex(p->digest, mg_hash_bytes(sg->s->hash), hex);
		mg_json_obj(j, NULL);
		mg_json_str(j, "name", sg->entries[i].name);
		mg_json_str(j, "algorithm", alg);
		mg_json_str(j, "digest", hex);
		mg_json_obj_end(j);
	}
	mg_json_arr_end(j);
}

static void
put_serialization(const struct signer *sg, struct mg_json *j)
{
	size_t i;

	mg_json_obj(j, "serialization");
	mg_json_str(j, "method", sg->s->shard_size == 0 ? "files" : "shards");
	mg_json_str(j, "hash_type", hash_name(sg->s->hash));
	if (sg->s->shard_size != 0)
		mg_json_int(j, "shard_size", (int64_t)sg->s->shard_size);
	mg_json_bool(j, "allow_symlinks", false);
	mg_json_arr(j, "ignore_paths");
	for (i = 0; mg_oms_git_paths[i] != NULL; i++)
		mg_json_str(j, NULL, mg_oms_git_paths[i]);
	if (sg->s->files->sig_path != NULL)
		mg_json_str(j, NULL, sg->s->files->sig_path);
	for (i = 0; i < sg->s->nignore; i++)
		mg_json_str(j, NULL, sg->s->ignore[i]);
	mg_json_arr_end(j);
	mg_json_obj_end(j);
}

static enum mg_err
make_payload(struct signer *sg)
{
	const char *name = sg->s->name;
	struct mg_json j;

	if (name == NULL || name[0] == '\0' || !mg_esc_is_clean(name))
		name = "model";
	mg_json_begin(&j, &sg->payload);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "_type", OMS_STATEMENT_TYPE);
	mg_json_arr(&j, "subject");
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "name", name);
	mg_json_obj(&j, "digest");
	mg_json_str(&j, "sha256", sg->root);
	mg_json_obj_end(&j);
	mg_json_obj_end(&j);
	mg_json_arr_end(&j);
	mg_json_str(&j, "predicateType", OMS_PREDICATE_TYPE);
	mg_json_obj(&j, "predicate");
	put_serialization(sg, &j);
	put_resources(sg, &j);
	mg_json_obj_end(&j);
	mg_json_obj_end(&j);
	return mg_json_end(&j) == MG_ERR_OK ? MG_ERR_OK : no_memory(sg);
}

/* ---- key and signature ---- */

static enum mg_err
load_key(struct signer *sg)
{
	BIO *bio = NULL;

	ERR_clear_error();
	if (sg->s->key_len <= MG_OMS_PEM_MAX &&
	    (bio = BIO_new_mem_buf(sg->s->key, (int)sg->s->key_len)) != NULL)
		sg->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (sg->key == NULL)
		return mg_oms_say(sg->fail, MG_ERR_FORMAT, MG_OMS_KEY,
		    "key: is not a private key in PEM form, or not readable");
	if (mg_oms_key_md(sg->key) == NULL)
		return mg_oms_say(sg->fail, MG_ERR_FORMAT, MG_OMS_KEY,
		    "key: is not of P-256, P-384 or P-521");
	return MG_ERR_OK;
}

static enum mg_err
make_signature(struct signer *sg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct mg_buf pae;
	uint8_t *d;
	size_t n = SIG_MAX;
	bool ok;

	mg_buf_init(&pae, MG_OMS_BUNDLE_MAX + 128);
	ok =
	    ctx != NULL &&
	    mg_oms_put_pae(&pae, mg_buf_ptr(&sg->payload),
		mg_buf_len(&sg->payload)) == MG_ERR_OK &&
	    (d = mg_buf_reserve(&sg->sig, n)) != NULL &&
	    EVP_DigestSignInit(
		ctx, NULL, mg_oms_key_md(sg->key), NULL, sg->key) == 1 &&
	    EVP_DigestSign(ctx, d, &n, mg_buf_ptr(&pae), mg_buf_len(&pae)) == 1;
	if (ok)
		mg_buf_commit(&sg->sig, n);
	mg_buf_fini(&pae);
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return mg_oms_say(
		    sg->fail, MG_ERR_INTERNAL, MG_OMS_INTERNAL, "cannot sign");
	return MG_ERR_OK;
}

/* ---- the signature file ---- */

static enum mg_err
put_base64(struct mg_json *j, const char *key, const void *p, size_t n)
{
	struct mg_buf b;
	const char *s;
	enum mg_err r;

	mg_buf_init(&b, MG_B64_LEN(n) + 1);
	r = mg_b64_put(&b, p, n);
	if (r == MG_ERR_OK && (s = mg_buf_cstr(&b)) != NULL)
		mg_json_str(j, key, s);
	else
		r = MG_ERR_NOMEM;
	mg_buf_fini(&b);
	return r;
}

/* The certificates of the PEM text, the leaf first; how many, or -1. */
static int
put_certs(struct signer *sg, struct mg_json *j)
{
	BIO *bio = BIO_new_mem_buf(sg->s->certs, (int)sg->s->certs_len);
	X509 *cert = NULL;
	uint8_t *der;
	int n = 0, len;
	bool ok = bio != NULL;

	ERR_clear_error();
	while (ok && n <= MG_OMS_CERTS_MAX &&
	       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		der = NULL;
		ok = (n > 0 ||
			 EVP_PKEY_eq(X509_get0_pubkey(cert), sg->key) == 1) &&
		     (len = i2d_X509(cert, &der)) > 0;
		if (ok) {
			mg_json_obj(j, NULL);
			ok = put_base64(j, "rawBytes", der, (size_t)len) ==
			     MG_ERR_OK;
			mg_json_obj_end(j);
		}
		OPENSSL_free(der);
		X509_free(cert);
		n++;
	}
	/* The end, not a certificate that cannot be read. */
	ok = ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	BIO_free(bio);
	ERR_clear_error();
	return ok && n > 0 && n <= MG_OMS_CERTS_MAX ? n : -1;
}

static enum mg_err
put_material(struct signer *sg, struct mg_json *j)
{
	char hint[65];

	mg_json_obj(j, "verificationMaterial");
	if (sg->s->certs == NULL) {
		if (mg_oms_key_hint(sg->key, hint) != MG_ERR_OK)
			return no_memory(sg);
		mg_json_obj(j, "publicKey");
		mg_json_str(j, "hint", hint);
		mg_json_obj_end(j);
	} else {
		mg_json_obj(j, "x509CertificateChain");
		mg_json_arr(j, "certificates");
		if (sg->s->certs_len > MG_OMS_PEM_MAX || put_certs(sg, j) < 1)
			return mg_oms_say(sg->fail, MG_ERR_FORMAT,
			    MG_OMS_CERTIFICATE,
			    "certificates: not 1 to %d in PEM form of which "
			    "the first is of the key",
			    MG_OMS_CERTS_MAX);
		mg_json_arr_end(j);
		mg_json_obj_end(j);
	}
	mg_json_arr(j, "tlogEntries");
	mg_json_arr_end(j);
	mg_json_obj_end(j);
	return MG_ERR_OK;
}

static enum mg_err
put_bundle(struct signer *sg, struct mg_buf *out)
{
	struct mg_json j;
	enum mg_err r;

	mg_json_begin(&j, out);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "mediaType", OMS_MEDIA_TYPE);
	if ((r = put_material(sg, &j)) != MG_ERR_OK)
		return r;
	mg_json_obj(&j, "dsseEnvelope");
	r = put_base64(
	    &j, "payload", mg_buf_ptr(&sg->payload), mg_buf_len(&sg->payload));
	if (r != MG_ERR_OK)
		return no_memory(sg);
	mg_json_str(&j, "payloadType", OMS_PAYLOAD_TYPE);
	mg_json_arr(&j, "signatures");
	mg_json_obj(&j, NULL);
	r = put_base64(&j, "sig", mg_buf_ptr(&sg->sig), mg_buf_len(&sg->sig));
	if (r != MG_ERR_OK)
		return no_memory(sg);
	mg_json_str(&j, "keyid", "");
	mg_json_obj_end(&j);
	mg_json_arr_end(&j);
	mg_json_obj_end(&j);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) != MG_ERR_OK ||
	    mg_buf_put_u8(out, '\n') != MG_ERR_OK)
		return no_memory(sg);
	return MG_ERR_OK;
}

/* The public half of our key, as somebody who verifies would have it. */
static struct mg_oms_trust *
own_trust(struct signer *sg)
{
	struct mg_oms_trust *t = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	if (bio != NULL && PEM_write_bio_PUBKEY(bio, sg->key) == 1 &&
	    (n = BIO_get_mem_data(bio, &text)) > 0)
		t = mg_oms_trust_key(text, (size_t)n, sg->fail);
	BIO_free(bio);
	return t;
}

/* Rule 1 */
static enum mg_err
read_back(struct signer *sg, const struct mg_buf *out)
{
	struct mg_oms_statement st;
	struct mg_oms_bundle b;
	struct mg_oms_signer who;
	struct mg_oms_trust *t = own_trust(sg);
	enum mg_err r;

	r = mg_oms_bundle_parse(&b, mg_buf_ptr(out), mg_buf_len(out), sg->fail);
	if (r == MG_ERR_OK && t == NULL)
		r = no_memory(sg);
	/* The chain is judged by whom it is shown to; the key has to fit. */
	if (r == MG_ERR_OK) {
		b.method = MG_OMS_KEYED;
		r = mg_oms_bundle_verify(&b, t, 0, &who, sg->fail);
	}
	if (r == MG_ERR_OK) {
		r = mg_oms_statement_parse(&st, mg_buf_ptr(&b.payload),
		    mg_buf_len(&b.payload), sg->fail);
		mg_oms_statement_fini(&st);
	}
	mg_oms_bundle_fini(&b);
	mg_oms_trust_free(t);
	return r;
}

static void
init(struct signer *sg, const struct mg_oms_sign *s, struct mg_oms_fail *fail)
{
	memset(sg, 0, sizeof(*sg));
	memset(fail, 0, sizeof(*fail));
	sg->s = s;
	sg->fail = fail;
	mg_buf_init(&sg->payload, MG_OMS_BUNDLE_MAX);
	mg_buf_init(&sg->sig, SIG_MAX);
}

static void
fini(struct signer *sg)
{
	size_t i;

	for (i = 0; i < sg->n; i++)
		free(sg->entries[i].name);
	free(sg->entries);
	free(sg->pieces);
	mg_tree_free(sg->tree);
	EVP_PKEY_free(sg->key); /* Rule 2: wiped by OpenSSL */
	mg_buf_fini(&sg->payload);
	mg_buf_fini(&sg->sig);
}

enum mg_err
mg_oms_sign(const struct mg_oms_sign *s, struct mg_buf *out, char *root,
    struct mg_oms_fail *fail)
{
	struct signer sg;
	enum mg_err r;

	init(&sg, s, fail);
	if ((r = load_key(&sg)) == MG_ERR_OK &&
	    (r = make_list(&sg)) == MG_ERR_OK &&
	    (r = make_payload(&sg)) == MG_ERR_OK &&
	    (r = make_signature(&sg)) == MG_ERR_OK &&
	    (r = put_bundle(&sg, out)) == MG_ERR_OK)
		r = read_back(&sg, out);
	if (root != NULL)
		memcpy(root, sg.root, sizeof(sg.root));
	if (r != MG_ERR_OK)
		mg_buf_reset(out);
	fini(&sg);
	return r;
}

enum mg_err
mg_oms_root(
    const struct mg_oms_sign *s, char root[65], struct mg_oms_fail *fail)
{
	struct signer sg;
	enum mg_err r;

	init(&sg, s, fail);
	r = make_list(&sg);
	memcpy(root, sg.root, sizeof(sg.root));
	fini(&sg);
	return r;
}
