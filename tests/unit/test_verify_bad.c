/* SPDX-License-Identifier: ISC */
/*
 * Everything that can be wrong with a signed artifact, a row for each: it is
 * refused, by a reason of its own that nothing else has, and neither the
 * answer nor the artifact shows anything of what was half done. Judged step
 * by step and as the agent does it (mg_signed).
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_file.h"
#include "oms_certs.h"
#include "verify/mg_digest.h"
#include "verify/mg_oms.h"
#include "verify/mg_signed.h"

/* What is wrong; zero members are right. */
struct row {
	const char *kind;
	enum mg_oms_why why;
	const char *says;
	/* The signature file itself, in short, or said so many times. */
	const char *raw;
	size_t times;
	/* A good file, but for: */
	struct forge forge;
	struct said said;
	const char *name; /* of the one file in the list; also twice */
	bool is_twice;
	/* Who signed and who is trusted, with certificates. */
	bool is_certified;
	struct wish leaf;
	const char *identity;
	bool is_foreign, is_alone, is_revoked, has_no_list, is_key_asked;
	/* Another key is asked for, or a certificate although it is a key. */
	bool is_other_key, is_chain_asked;
	/* The model, after it was signed. */
	void (*spoil)(int dir);
};

static EVP_PKEY *key, *other, *rsa;
static struct chain strangers;

/* ---- what becomes of a model ---- */

static void
put_file(int dir, const char *name, const void *p, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, p, n), MG_ERR_OK);
	close(fd);
}

static void
lose(int dir)
{
	assert_int_equal(renameat(dir, "a", dir, "model.sig.old"), 0);
	assert_int_equal(unlinkat(dir, "model.sig.old", 0), 0);
	put_file(dir, "b", "x", 1);
	put_file(dir, "c", "x", 1);
}

static void
change(int dir)
{
	put_file(dir, "a", "y", 1);
}

static void
add(int dir)
{
	put_file(dir, "new.py", "import os", 9);
}

static void
hide(int dir)
{
	put_file(dir, ".gitignore", "x", 1);
}

static void
add_symlink(int dir)
{
	assert_int_equal(symlinkat("a", dir, "s"), 0);
}

static void
add_link(int dir)
{
	assert_int_equal(linkat(dir, "a", dir, "l", 0), 0);
}

static void
add_pipe(int dir)
{
	assert_int_equal(mkfifoat(dir, "p", 0600), 0);
}

static void
add_name(int dir)
{
	put_file(dir, "n\xff", "x", 1);
}

static void
add_escape(int dir)
{
	put_file(dir, "e\x1b[2J", "x", 1);
}

/* ---- the rows ---- */

#define CERTS(v) "{\"x509CertificateChain\":{\"certificates\":" v "}}"
#define ONE_CERT "{\"rawBytes\":\"AAAA\"}"
#define FIVE_CERTS ONE_CERT "," ONE_CERT "," ONE_CERT "," ONE_CERT "," ONE_CERT
#define SER(rest)                                                              \
	"{\"allow_symlinks\":false,\"method\":\"files\","                      \
	"\"hash_type\":\"sha256\"" rest "}"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct row rows[] = {
    /* not JSON that we read */
    {"empty", MG_OMS_JSON, "expected near end of file", .raw = ""},
    {"rubbish", MG_OMS_JSON, "expected near 'rubbish'", .raw = "rubbish"},
    {"cut short", MG_OMS_JSON, "unexpected token near end of file",
	.raw = "{\"mediaType\":"},
    {"two texts", MG_OMS_JSON, "end of file expected", .raw = "{} {}"},
    {"an array", MG_OMS_JSON, "is not a JSON object", .raw = "[]"},
    {"not UTF-8", MG_OMS_JSON, "unable to decode byte 0xff",
	.raw = "{\"a\":\"\xff\"}"},
    {"NUL in a string", MG_OMS_JSON, "\\u0000 is not allowed",
	.raw = "{\"a\":\"\\u0000\"}"},
    {"half a surrogate", MG_OMS_JSON, "invalid Unicode",
	.raw = "{\"a\":\"\\ud834\"}"},
    {"a number too large", MG_OMS_JSON, "real number overflow",
	.raw = "{\"a\":1e400}"},
    {"JSON bomb: deep", MG_OMS_TOO_DEEP, "nested more than 16 deep", .raw = "[",
	.times = 1000000},
    {"JSON bomb: wide", MG_OMS_TOO_LARGE, "more than 1000000 values",
	.raw = "[],", .times = 1000000},
    {"JSON bomb: large", MG_OMS_TOO_LARGE, "larger than 67108864 bytes",
	.raw = " ", .times = MG_OMS_BUNDLE_MAX + 1},
    /* members */
    {"a member twice", MG_OMS_DUPLICATE, "duplicate object key near '\"payload",
	.forge = {.env = ",\"payload\":\"AAAA\""}},
    {"a member twice, escaped", MG_OMS_DUPLICATE,
	"duplicate object key near '\"s",
	.forge = {.more = ",\"s\\u0069g\":\"AAAA\""}},
    {"an unknown member", MG_OMS_FIELD,
	"signature file has an unknown member 'x'",
	.forge = {.top = ",\"x\":1"}},
    {"an unknown member inside", MG_OMS_FIELD,
	"'dsseEnvelope' has an unknown member 'y'",
	.forge = {.env = ",\"y\":1"}},
    {"a member is missing", MG_OMS_FIELD, "'mediaType' is missing",
	.raw = "{}"},
    {"a member of another type", MG_OMS_FIELD, "'mediaType' is not a string",
	.raw = "{\"mediaType\":1}"},
    {"another media type", MG_OMS_MEDIA_TYPE, "'mediaType' is not " MEDIA,
	.forge = {.media = "application/json"}},
    {"another payload type", MG_OMS_PAYLOAD_TYPE, "'payloadType' is not " TYPE,
	.forge = {.ptype = "text/plain"}},
    {"two signatures", MG_OMS_FIELD, "exactly one signature",
	.forge = {.more = "},{\"sig\":\"AAAA\""}},
    {"sigstore", MG_OMS_SIGSTORE, "signed with sigstore",
	.forge = {.material = "{\"certificate\":{\"rawBytes\":\"AAAA\"}}"}},
    {"two methods", MG_OMS_FIELD, "names not exactly one method",
	.forge = {.material = "{\"certificate\":{},\"publicKey\":{}}"}},
    {"a hint that is none", MG_OMS_FIELD, "'hint' is not 64",
	.forge = {.material = "{\"publicKey\":{\"hint\":\"00\"}}"}},
    {"a key that is none", MG_OMS_FIELD, "'publicKey' is not an object",
	.forge = {.material = "{\"publicKey\":7}"}},
    {"a log that is none", MG_OMS_FIELD, "'tlogEntries' is not an array",
	.forge = {.material = "{\"publicKey\":{},\"tlogEntries\":7}"}},
    {"a key's name that is none", MG_OMS_FIELD, "'keyid' is not a string",
	.raw = "{\"mediaType\":\"" MEDIA "\",\"verificationMaterial\":"
	       "{\"publicKey\":{\"rawBytes\":\"\"}},\"dsseEnvelope\":"
	       "{\"payloadType\":\"" TYPE "\",\"payload\":\"AAAA\","
	       "\"signatures\":[{\"sig\":\"AAAA\",\"keyid\":7}]}}"},
    /* base64 */
    {"both alphabets in one text", MG_OMS_BASE64,
	"'sig': two alphabets of base64 in one text", .forge = {.sig = "ab-+"}},
    {"no base64", MG_OMS_BASE64, "'sig': is not base64", .forge = {.sig = "a"}},
    {"no signature", MG_OMS_BASE64, "'sig': is empty", .forge = {.sig = ""}},
    {"no payload", MG_OMS_BASE64, "'payload': is empty",
	.forge = {.payload = ""}},
    /* the signature */
    {"another key", MG_OMS_OTHER_KEY, "signed with another key than the one",
	.is_other_key = true},
    {"the wrong PAE", MG_OMS_SIGNATURE, "the signature does not verify",
	.forge = {.pae = "DSSEV1 T t N P"}},
    {"a key, not a certificate", MG_OMS_METHOD,
	"signed with a bare key, not with a certificate",
	.is_chain_asked = true},
    {"a certificate, not a key", MG_OMS_METHOD,
	"signed with a certificate, not with a bare key", .is_certified = true,
	.is_key_asked = true},
    /* certificates */
    {"no certificate", MG_OMS_FIELD, "holds 0 certificates",
	.forge = {.material = CERTS("[]")}},
    {"eleven certificates", MG_OMS_FIELD, "holds 11 certificates",
	.forge = {.material =
		      CERTS("[" FIVE_CERTS "," FIVE_CERTS "," ONE_CERT "]")}},
    {"a chain that is none", MG_OMS_FIELD,
	"'x509CertificateChain' is not an object",
	.forge = {.material = "{\"x509CertificateChain\":7}"}},
    {"certificates that are none", MG_OMS_FIELD,
	"'certificates' is not an array", .forge = {.material = CERTS("7")}},
    {"a certificate that is none", MG_OMS_FIELD,
	"'certificates' holds something that is not an object",
	.forge = {.material = CERTS("[7]")}},
    {"a certificate with more", MG_OMS_FIELD,
	"a certificate has an unknown member 'z'",
	.forge = {.material = CERTS("[{\"rawBytes\":\"AAAA\",\"z\":1}]")}},
    {"a malformed certificate", MG_OMS_CERTIFICATE,
	"certificate 1 of the signature is malformed", .is_certified = true,
	.forge = {.material = CERTS("[" ONE_CERT "]")}},
    {"expired", MG_OMS_EXPIRED,
	"'CN=fraud team,O=Acme': certificate has expired", .is_certified = true,
	.leaf = {.from = -10 * DAY, .until = -DAY}},
    {"not yet valid", MG_OMS_NOT_YET, "certificate is not yet valid",
	.is_certified = true, .leaf = {.from = DAY, .until = 2 * DAY}},
    {"revoked", MG_OMS_REVOKED, "certificate revoked", .is_certified = true,
	.is_revoked = true},
    {"no list of what is revoked", MG_OMS_CHAIN,
	"unable to get certificate CRL", .is_certified = true,
	.has_no_list = true},
    {"foreign", MG_OMS_CHAIN,
	"'CN=intermediate,O=Acme': unable to get local issuer",
	.is_certified = true, .is_foreign = true},
    {"without its issuer", MG_OMS_CHAIN,
	"'CN=fraud team,O=Acme': unable to get local issuer",
	.is_certified = true, .is_alone = true},
    {"another identity", MG_OMS_IDENTITY,
	"signed by 'CN=fraud team,O=Acme', not by whom was asked for",
	.is_certified = true, .identity = "CN=fraud team,O=Other"},
    {"not for signing", MG_OMS_USAGE, "its key usage is not digital signature",
	.is_certified = true, .leaf = {.usage = "critical,keyEncipherment"}},
    {"SHA-1", MG_OMS_CHAIN, "digest algorithm too weak", .is_certified = true,
	.leaf = {.md = NULL}, .name = "sha1"},
    {"an RSA key", MG_OMS_KEY, "the signing key is not of P-256",
	.is_certified = true, .name = "rsa"},
    /* the statement */
    {"not a statement", MG_OMS_JSON,
	"payload:1:1: '[' or '{' expected near 'x'", .forge = {.payload = "x"}},
    {"a statement of another kind", MG_OMS_STATEMENT,
	"'_type' is not " STATEMENT, .said = {.type = STATEMENT "x"}},
    {"another predicate", MG_OMS_PREDICATE, "'predicateType' is not " PREDICATE,
	.said = {.predicate = "https://model_signing/Digests/v0.1"}},
    {"no subject", MG_OMS_STATEMENT, "does not hold exactly one object",
	.said = {.subject = "[]"}},
    {"the subject's other digest", MG_OMS_STATEMENT,
	"digest is not one of sha256",
	.said = {.subject = "[{\"name\":\"m\",\"digest\":{\"sha512\":\"" HEX64
			    "\"}}]"}},
    {"a statement with more", MG_OMS_FIELD,
	"the statement has an unknown member 'v'",
	.said = {.more = ",\"v\":1"}},
    {"another hash", MG_OMS_HASH, "hash 'blake3' is not supported",
	.said = {.serialization =
		     "{\"method\":\"files\",\"hash_type\":\"blake3\","
		     "\"allow_symlinks\":false}"}},
    {"a digest of another hash", MG_OMS_HASH,
	"a resource's digest is not of the statement's hash",
	.said = {.resources = "[{\"name\":\"a\",\"algorithm\":\"sha256\","
			      "\"digest\":\"00\"}]"}},
    {"links are what?", MG_OMS_FIELD, "'allow_symlinks' is not true or false",
	.said = {.serialization = "{\"allow_symlinks\":{}}"}},
    {"another method", MG_OMS_SERIALIZATION, "neither files nor shards",
	.said = {.serialization = "{\"allow_symlinks\":false,"
				  "\"method\":\"x\"}"}},
    {"parts without a size", MG_OMS_SERIALIZATION, "'shard_size' is missing",
	.said = {.serialization = "{\"allow_symlinks\":false,"
				  "\"method\":\"shards\"}"}},
    {"half a byte", MG_OMS_SERIALIZATION, "is not a whole number of bytes",
	.said = {.serialization = "{\"allow_symlinks\":false,\"method\":"
				  "\"shards\",\"shard_size\":1.5}"}},
    {"a size without parts", MG_OMS_SERIALIZATION, "'shard_size' is given",
	.said = {.serialization = SER(",\"shard_size\":5")}},
    {"serialized with more", MG_OMS_FIELD,
	"'serialization' has an unknown member 'u'",
	.said = {.serialization = SER(",\"u\":1")}},
    {"left out: no list", MG_OMS_SERIALIZATION,
	"'ignore_paths' is not an array",
	.said = {.serialization = SER(",\"ignore_paths\":7")}},
    {"left out: no path", MG_OMS_IGNORE,
	"'ignore_paths' holds something else than strings",
	.said = {.serialization = SER(",\"ignore_paths\":[7]")}},
    {"left out: a pattern", MG_OMS_IGNORE,
	"'*.py' is no path that may be left out",
	.said = {.serialization = SER(",\"ignore_paths\":[\"*.py\"]")}},
    {"an empty list", MG_OMS_RESOURCE, "'resources' holds 0 entries",
	.said = {.resources = "[]"}},
    {"a list of what is no object", MG_OMS_FIELD,
	"'resources' holds something that is not an object",
	.said = {.resources = "[7]"}},
    {"a name that leaves the folder", MG_OMS_RESOURCE,
	"'../a' is not the name of a file", .name = "../a"},
    {"a name that clears the screen", MG_OMS_RESOURCE,
	"'a\\u{1b}[2J' is not the name of a file", .name = "a\\u001b[2J"},
    {"a file twice", MG_OMS_RESOURCE, "'a' is listed twice", .is_twice = true},
    {"the root digest", MG_OMS_ROOT, "the root digest does not fit",
	.said = {.root = HEX64}},
    /* the files */
    {"a file is missing", MG_OMS_FILES, "1 missing, 2 extra, 0 changed",
	.spoil = lose},
    {"a file more", MG_OMS_FILES, "0 missing, 1 extra, 0 changed",
	.spoil = add},
    {"a file is changed", MG_OMS_FILES, "0 missing, 0 extra, 1 changed",
	.spoil = change},
    {"a file is not covered", MG_OMS_UNCOVERED,
	"holds what the signature leaves out", .spoil = hide},
    {"a symbolic link", MG_OMS_ARTIFACT, "'s' is a symbolic link",
	.spoil = add_symlink},
    {"a hard link", MG_OMS_ARTIFACT, "has 2 names (hard links)",
	.spoil = add_link},
    {"a pipe", MG_OMS_ARTIFACT, "'p' is neither a regular file nor a folder",
	.spoil = add_pipe},
    {"a name that is not UTF-8", MG_OMS_ARTIFACT,
	"'n\\x{ff}' has a name that is not UTF-8", .spoil = add_name},
    {"a name that does not print", MG_OMS_ARTIFACT,
	"'e\\u{1b}[2J' has characters in its name that do not print",
	.spoil = add_escape},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Also right: every row above is wrong for one reason alone. */
static const struct row right[] = {
    {"a key", .why = MG_OMS_NONE},
    {"the alphabet of URLs", .forge = {.url_alphabet = true}},
    {"no padding", .forge = {.no_padding = true}},
    {"neither", .forge = {.url_alphabet = true, .no_padding = true}},
    {"certificates", .is_certified = true},
};

/* ---- one case ---- */

struct trial {
	const struct row *row;
	char path[64];
	int dir;
	struct chain chain;
	char *bundle;
	size_t len;
	char *trusted, *crl;  /* PEM */
	const char *identity; /* NULL: a key is trusted */
	struct mg_oms_fail fail;
};

static char *
new_statement(const struct row *row)
{
	const char *name =
	    row->name == NULL || row->is_certified ? "a" : row->name;
	struct said w = row->said;
	struct mg_buf list;
	char *res, *again, *all, *s;

	mg_buf_init(&list, 4096);
	res = resource(name, "sha256", "x", 1, &list);
	if (row->is_twice) {
		again = resource(name, "sha256", "x", 1, &list);
		all = text("[%s,%s]", res, again);
		free(again);
	} else {
		all = text("[%s]", res);
	}
	if (w.resources == NULL)
		w.resources = all;
	s = statement(&w, &list);
	mg_buf_fini(&list);
	free(res);
	free(all);
	return s;
}

static void
forge_bundle(struct trial *t)
{
	const struct row *row = t->row;
	struct forge f = row->forge;
	char *payload = new_statement(row), *m = NULL;

	f.key = row->is_certified ? t->chain.leaf_key : key;
	if (f.payload == NULL)
		f.payload = payload;
	if (row->is_certified && f.material == NULL)
		f.material = m = chain_material(
		    t->chain.leaf, row->is_alone ? NULL : t->chain.inter);
	t->bundle = forge(&f);
	t->len = strlen(t->bundle);
	free(payload);
	free(m);
}

static void
repeat(struct trial *t)
{
	size_t n = strlen(t->row->raw), i;

	t->len = n * (t->row->times == 0 ? 1 : t->row->times);
	t->bundle = malloc(t->len + 1);
	assert_non_null(t->bundle);
	for (i = 0; i < t->len; i++)
		t->bundle[i] = t->row->raw[i % n];
	t->bundle[t->len] = '\0';
}

static void
choose_trust(struct trial *t)
{
	const struct row *row = t->row;
	char *a, *b;

	if (row->is_chain_asked || (row->is_certified && !row->is_key_asked)) {
		t->trusted = pem_of_cert(row->is_foreign || row->is_chain_asked
					     ? strangers.root
					     : t->chain.root);
		t->identity = row->identity != NULL ? row->identity
						    : "CN=fraud team,O=Acme";
	} else {
		t->trusted = pem_of(row->is_other_key ? other : key, false);
	}
	if (!row->is_revoked && !row->has_no_list)
		return;
	a = make_crl(t->chain.root, t->chain.root_key, NULL);
	b = row->has_no_list
		? strdup("")
		: make_crl(t->chain.inter, t->chain.int_key, t->chain.leaf);
	t->crl = text("%s%s", a, b);
	free(a);
	free(b);
}

static void
begin(struct trial *t, const struct row *row)
{
	struct wish leaf = row->leaf;

	memset(t, 0, sizeof(*t));
	t->row = row;
	snprintf(t->path, sizeof(t->path), "/tmp/mg-bad-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	t->dir = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(t->dir, -1);
	if (row->is_certified && row->name != NULL) {
		leaf.md = strcmp(row->name, "sha1") == 0 ? EVP_sha1() : NULL;
		leaf.key = strcmp(row->name, "rsa") == 0 ? rsa : NULL;
	}
	if (row->is_certified)
		t->chain = make_chain(&leaf, NULL);
	if (leaf.key != NULL)
		EVP_PKEY_up_ref(leaf.key);
	if (row->raw != NULL && row->raw[0] != '\0')
		repeat(t);
	else if (row->raw != NULL)
		t->bundle = strdup("");
	else
		forge_bundle(t);
	choose_trust(t);
	put_file(t->dir, "a", "x", 1);
	put_file(t->dir, MG_SIGNED_FILE, t->bundle, t->len);
	if (row->spoil != NULL)
		row->spoil(t->dir);
}

static int
remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

static void
end(struct trial *t)
{
	close(t->dir);
	assert_int_equal(
	    nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	if (t->row->is_certified)
		free_chain(&t->chain);
	free(t->bundle);
	free(t->trusted);
	free(t->crl);
}

/* ---- the judges ---- */

static enum mg_err
check_files(struct trial *t, const struct mg_buf *payload)
{
	static const struct mg_oms_statement zero;
	struct mg_oms_files files = {.fd = t->dir,
	    .sig_path = MG_SIGNED_FILE,
	    .max_bytes = 1000,
	    .strict = true};
	struct mg_oms_statement st;
	struct mg_oms_report rep;
	enum mg_err r;

	r = mg_oms_statement_parse(
	    &st, mg_buf_ptr(payload), mg_buf_len(payload), &t->fail);
	if (r != MG_ERR_OK) {
		assert_memory_equal(&st, &zero, sizeof(st));
		return r;
	}
	r = mg_oms_check(&st, &files, &rep, &t->fail);
	mg_oms_report_fini(&rep);
	mg_oms_statement_fini(&st);
	return r;
}

static enum mg_err
step_by_step(struct trial *t)
{
	static const struct mg_oms_signer nobody;
	struct mg_oms_trust *trust;
	struct mg_oms_signer who;
	struct mg_oms_bundle b;
	enum mg_err r;

	r = mg_oms_bundle_parse(&b, t->bundle, t->len, &t->fail);
	if (r != MG_ERR_OK) {
		assert_int_equal(b.method, MG_OMS_METHOD_NONE);
		assert_int_equal(b.ncerts, 0);
		assert_int_equal(mg_buf_len(&b.payload), 0);
		return r;
	}
	trust = t->identity == NULL
		    ? mg_oms_trust_key(t->trusted, strlen(t->trusted), &t->fail)
		    : mg_oms_trust_ca(t->trusted, strlen(t->trusted), t->crl,
			  t->crl == NULL ? 0 : strlen(t->crl), t->identity,
			  &t->fail);
	assert_non_null(trust);
	r = mg_oms_bundle_verify(
	    &b, trust, (int64_t)time(NULL) * 1000, &who, &t->fail);
	if (r != MG_ERR_OK)
		assert_memory_equal(&who, &nobody, sizeof(who));
	else
		r = check_files(t, &b.payload);
	mg_oms_trust_free(trust);
	mg_oms_bundle_fini(&b);
	return r;
}

/* As the agent does; why is its text. */
static enum mg_err
at_once(struct trial *t, char *why, size_t size)
{
	static const struct mg_signed zero;
	struct mg_signed_ask ask = {.fd = t->dir,
	    .max_bytes = 1000,
	    .now_ms = (int64_t)time(NULL) * 1000};
	char *file = t->identity == NULL
			 ? strdup(t->trusted)
			 : text("identity: %s\n%s", t->identity, t->trusted);
	struct mg_signed out;
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init(&b, 65536);
	assert_int_equal(mg_buf_put_str(&b, "team"), MG_ERR_OK);
	assert_int_equal(mg_buf_put_bytes(&b, file, strlen(file)), MG_ERR_OK);
	ask.signers = mg_buf_ptr(&b);
	ask.signers_len = mg_buf_len(&b);
	r = mg_signed_check(&ask, &out, why, size);
	if (r != MG_ERR_OK)
		assert_memory_equal(&out, &zero, sizeof(out));
	else
		assert_string_equal(out.signer, "team");
	mg_buf_fini(&b);
	free(file);
	return r;
}

/* All that can be seen of the folder, in one string. */
static void
look(const struct trial *t, char out[1024])
{
	static const char *const names[] = {"a", "b", "c", "new.py",
	    ".gitignore", "s", "l", "p", "n\xff", "e\x1b[2J", MG_SIGNED_FILE};
	struct stat st;
	size_t n = 0, i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fstatat(t->dir, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			n += (size_t)snprintf(out + n, 1024 - n,
			    "%s %ju %jd %jd.%ld\n", names[i],
			    (uintmax_t)st.st_ino, (intmax_t)st.st_size,
			    (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	assert_int_equal(fstat(t->dir, &st), 0);
	snprintf(out + n, 1024 - n, "%jd.%ld\n", (intmax_t)st.st_ctim.tv_sec,
	    st.st_ctim.tv_nsec);
}

static void
judge(const struct row *row, char said[512])
{
	char before[1024], after[1024], why[512];
	struct trial t;
	enum mg_err r;

	begin(&t, row);
	look(&t, before);
	r = step_by_step(&t);
	if (t.fail.why != row->why || (r == MG_ERR_OK) != (row->says == NULL))
		fail_msg("%s: is %s: %s", row->kind,
		    mg_oms_why_word(t.fail.why), t.fail.text);
	if (row->says != NULL && strstr(t.fail.text, row->says) == NULL)
		fail_msg("%s: '%s' does not say '%s'", row->kind, t.fail.text,
		    row->says);
	snprintf(said, 512, "%s", t.fail.text);
	/* The agent is asked about no lists, and reads no such large file. */
	if (t.crl == NULL && t.len <= MG_OMS_BUNDLE_MAX) {
		r = at_once(&t, why, sizeof(why));
		if ((r == MG_ERR_OK) != (row->says == NULL) ||
		    strstr(why, t.fail.text) == NULL)
			fail_msg("%s: to the agent it is %s, '%s'", row->kind,
			    mg_err_str(r), why);
	}
	look(&t, after);
	assert_string_equal(before, after);
	end(&t);
}

static void
every_way_to_be_wrong_has_its_own_reason(void **state)
{
	static char said[ROWS][512];
	size_t i, k;

	(void)state;
	for (i = 0; i < ROWS; i++) {
		judge(&rows[i], said[i]);
		for (k = 0; k < i; k++)
			if (strcmp(said[i], said[k]) == 0)
				fail_msg("%s and %s: both '%s'", rows[i].kind,
				    rows[k].kind, said[i]);
	}
}

static void
nothing_of_it_is_wrong_by_itself(void **state)
{
	char said[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		judge(&right[i], said);
}

/* Also what we make ourselves: no link of a chain is lost on the way. */
static void
a_chain_is_signed_as_a_whole_or_not_at_all(void **state)
{
	static const struct row certified = {"a chain", .is_certified = true};
	struct mg_oms_files files = {
	    .sig_path = MG_SIGNED_FILE, .max_bytes = 1000};
	struct mg_oms_sign s = {.files = &files, .hash = MG_HASH_SHA256};
	struct mg_oms_fail fail;
	struct mg_buf out;
	struct trial t;
	char *leaf, *inter, *pem, *certs;

	(void)state;
	begin(&t, &certified);
	files.fd = t.dir;
	leaf = pem_of_cert(t.chain.leaf);
	inter = pem_of_cert(t.chain.inter);
	pem = pem_of(t.chain.leaf_key, true);
	certs = text("%s%s", leaf, inter);
	s.key = pem;
	s.key_len = strlen(pem);
	s.certs = certs;
	s.certs_len = strlen(certs);
	mg_buf_init(&out, MG_OMS_BUNDLE_MAX);
	assert_int_equal(mg_oms_sign(&s, &out, NULL, &fail), MG_ERR_OK);
	mg_buf_reset(&out);
	certs[strlen(leaf) + 100] = '!'; /* in the base64 of the second */
	assert_int_equal(mg_oms_sign(&s, &out, NULL, &fail), MG_ERR_FORMAT);
	assert_int_equal(fail.why, MG_OMS_CERTIFICATE);
	assert_int_equal(mg_buf_len(&out), 0);
	mg_buf_fini(&out);
	free(leaf);
	free(inter);
	free(pem);
	free(certs);
	end(&t);
}

static int
set_up(void **state)
{
	static const struct wish leaf;

	(void)state;
	key = new_key("P-256");
	other = new_key("P-256");
	rsa = EVP_RSA_gen(2048);
	strangers = make_chain(&leaf, NULL);
	return rsa == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	EVP_PKEY_free(rsa);
	free_chain(&strangers);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_way_to_be_wrong_has_its_own_reason),
	    cmocka_unit_test(nothing_of_it_is_wrong_by_itself),
	    cmocka_unit_test(a_chain_is_signed_as_a_whole_or_not_at_all),
	};

	return cmocka_run_group_tests_name(
	    "bad artifacts", tests, set_up, tear_down);
}
