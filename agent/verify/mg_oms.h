/* SPDX-License-Identifier: ISC */
#ifndef MG_OMS_H
#define MG_OMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "verify/mg_hash.h"

/*
 * OpenSSF Model Signing v1.0: who signed a model, and whether its files are
 * the ones that were signed. A signature file is a Sigstore bundle of JSON
 * that holds a DSSE envelope that holds an in-toto statement that lists the
 * files. The methods "key" and "certificate" are known; "sigstore" and the
 * hash blake3 are not, and say so.
 *
 * The order of use: mg_oms_bundle_parse(), mg_oms_bundle_verify(), and only
 * then mg_oms_statement_parse() of the payload that was verified, and
 * mg_oms_check(). modelgate-artifact(1).
 */

#define MG_OMS_BUNDLE_MAX ((size_t)64 << 20)
#define MG_OMS_CERTS_MAX 10   /* in a bundle */
#define MG_OMS_IGNORE_MAX 256 /* paths that a signature leaves out */
#define MG_OMS_RESOURCES_MAX 200000
#define MG_OMS_PEM_MAX ((size_t)1 << 20)

/* Every way to fail: its stable word in --json, and what it says. */
#define MG_OMS_WHY_LIST(W)                                                     \
	W(NONE, "none")                                                        \
	W(INTERNAL, "internal")                                                \
	W(NOMEM, "no-memory")                                                  \
	W(TOO_LARGE, "too-large") /* the signature file, or its JSON */        \
	W(TOO_DEEP, "too-deep")	  /* nested JSON */                            \
	W(JSON, "not-json")                                                    \
	W(DUPLICATE, "duplicate-key") /* the same member twice in JSON */      \
	W(FIELD, "bad-field")	      /* missing, unknown, of a wrong type */  \
	W(MEDIA_TYPE, "media-type")                                            \
	W(SIGSTORE, "sigstore") /* a method that is not known */               \
	W(BASE64, "base64")                                                    \
	W(PAYLOAD_TYPE, "payload-type")                                        \
	W(METHOD, "method")	  /* not the method that was asked for */      \
	W(KEY, "key")		  /* the key that was given is no use */       \
	W(OTHER_KEY, "other-key") /* signed with another key */                \
	W(SIGNATURE, "bad-signature")                                          \
	W(CERTIFICATE, "certificate") /* cannot be read */                     \
	W(CHAIN, "untrusted-chain")                                            \
	W(EXPIRED, "expired")                                                  \
	W(NOT_YET, "not-yet-valid")                                            \
	W(REVOKED, "revoked")                                                  \
	W(USAGE, "key-usage") /* not a certificate for signing */              \
	W(IDENTITY, "other-identity")                                          \
	W(STATEMENT, "statement") /* the payload is another statement */       \
	W(PREDICATE, "predicate") /* or says something else */                 \
	W(HASH, "hash")		  /* not known, or of a wrong length */        \
	W(SERIALIZATION, "serialization")                                      \
	W(RESOURCE, "resource") /* a name that no file may have */             \
	W(IGNORE, "ignore-path")                                               \
	W(ROOT, "root-digest")	/* does not fit the list */                    \
	W(ARTIFACT, "artifact") /* holds what none may hold */                 \
	W(MOVING, "changed-meanwhile")                                         \
	W(FILES, "files-differ")  /* missing, extra or changed */              \
	W(UNCOVERED, "uncovered") /* strict: ignored files are there */

enum mg_oms_why {
#define MG_OMS_WHY_ENUM(NAME, word) MG_OMS_##NAME,
	MG_OMS_WHY_LIST(MG_OMS_WHY_ENUM)
#undef MG_OMS_WHY_ENUM
	    MG_OMS_WHY_COUNT
};

/* Why something failed; the text is safe to print. */
struct mg_oms_fail {
	enum mg_oms_why why;
	char text[512];
};

/* The stable word. */
const char *mg_oms_why_word(enum mg_oms_why why);

/* ---- the signature file ---- */

enum mg_oms_method { MG_OMS_METHOD_NONE = 0, MG_OMS_KEYED, MG_OMS_CERTIFIED };

struct mg_oms_bundle {
	enum mg_oms_method method;
	char hint[65]; /* SHA-256 of the key's PEM; "" in old bundles */
	struct mg_buf payload;
	struct mg_buf sig;
	struct mg_buf certs; /* DER, one behind the other; the leaf first */
	size_t cert_len[MG_OMS_CERTS_MAX];
	size_t ncerts;
};

/*
 * Reads a signature file of len bytes. On failure b is empty. Ended by
 * mg_oms_bundle_fini() either way. Nothing in it is trusted yet.
 */
enum mg_err mg_oms_bundle_parse(struct mg_oms_bundle *b, const void *text,
    size_t len, struct mg_oms_fail *fail) MG_MUST_CHECK;

void mg_oms_bundle_fini(struct mg_oms_bundle *b);

/* ---- whom to trust ---- */

struct mg_oms_trust;

/* Trusts one public key, PEM. NULL on failure. */
struct mg_oms_trust *mg_oms_trust_key(
    const void *pem, size_t len, struct mg_oms_fail *fail) MG_MUST_CHECK;

/*
 * Trusts certificates that were issued below one of the certificates in
 * ca (PEM, one or more), for one identity: "sha256:HEX" (the SHA-256 of a
 * certificate of the chain; colons between the digits may stand), or the
 * subject of the signing certificate as openssl x509 -subject -nameopt
 * RFC2253 prints it. crl may be NULL, else PEM of revocation lists, of
 * which the chain then needs one for every certificate. NULL on failure.
 */
struct mg_oms_trust *mg_oms_trust_ca(const void *ca, size_t ca_len,
    const void *crl, size_t crl_len, const char *identity,
    struct mg_oms_fail *fail) MG_MUST_CHECK;

void mg_oms_trust_free(struct mg_oms_trust *trust);

/* Who signed: for people and records. */
struct mg_oms_signer {
	char fp[72];	   /* "sha256:HEX": of the key's PEM, or certificate */
	char subject[256]; /* of the certificate; "" for a key */
};

/*
 * Whether the bundle's payload was signed by whom we trust, at now_ms
 * (wall clock). MG_ERR_OK means yes; MG_ERR_BADSIG and MG_ERR_PERM no;
 * everything else is no too.
 */
enum mg_err mg_oms_bundle_verify(const struct mg_oms_bundle *b,
    const struct mg_oms_trust *trust, int64_t now_ms,
    struct mg_oms_signer *signer, struct mg_oms_fail *fail) MG_MUST_CHECK;

/* ---- what was signed ---- */

struct mg_oms_resource {
	const char *path;
	uint64_t start, end; /* of a shard; 0, 0: the whole file */
	uint8_t digest[MG_HASH_BYTES_MAX];
};

struct mg_oms_statement {
	const char *name; /* informational */
	uint8_t root[32];
	enum mg_hash hash;
	uint64_t shard_size; /* 0: whole files */
	const char *ignore[MG_OMS_IGNORE_MAX];
	size_t nignore;
	struct mg_oms_resource *resources; /* sorted by path and start */
	size_t nresources;
	char *text; /* owned: all strings */
};

/* Reads a payload. On failure st is empty; ended by _fini() either way. */
enum mg_err mg_oms_statement_parse(struct mg_oms_statement *st,
    const void *payload, size_t len, struct mg_oms_fail *fail) MG_MUST_CHECK;

void mg_oms_statement_fini(struct mg_oms_statement *st);

/* ---- the files ---- */

#define MG_OMS_DIFFS_MAX 20

struct mg_oms_files {
	int fd;		      /* of a folder or a file; the caller's */
	const char *basename; /* of a single file; may be NULL */
	const char *sig_path; /* the signature's path in the folder, or NULL */
	uint64_t max_bytes;
	bool strict; /* fail when a file is there that is not covered */
	unsigned threads;
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

enum mg_oms_diff { MG_OMS_MISSING, MG_OMS_EXTRA, MG_OMS_CHANGED };

struct mg_oms_report {
	uint64_t files, bytes; /* that were compared */
	/* The first differences, malloc'ed; counted beyond. */
	struct {
		enum mg_oms_diff kind;
		char *path;
	} diffs[MG_OMS_DIFFS_MAX];
	size_t ndiffs, missing, extra, changed;
	/* What is there although the signature leaves it out. */
	char *uncovered[MG_OMS_DIFFS_MAX];
	size_t nuncovered;
};

/*
 * Whether the files are those of the statement, no more and no less.
 * report is filled as far as it goes, also on failure; ended by
 * mg_oms_report_fini(). Uses threads and takes over SIGBUS.
 */
enum mg_err mg_oms_check(const struct mg_oms_statement *st,
    const struct mg_oms_files *files, struct mg_oms_report *report,
    struct mg_oms_fail *fail) MG_MUST_CHECK;

void mg_oms_report_fini(struct mg_oms_report *report);

/* ---- signing ---- */

struct mg_oms_sign {
	const struct mg_oms_files *files;
	const char *name;	   /* of the model; may be NULL */
	const char *const *ignore; /* besides the usual ones */
	size_t nignore;
	enum mg_hash hash;
	uint64_t shard_size; /* 0: whole files */
	const void *key;     /* private key, PEM, of P-256, P-384 or P-521 */
	size_t key_len;
	const void *certs; /* PEM, the leaf first; NULL: method key */
	size_t certs_len;
};

/*
 * Signs the files and appends the signature file to out. root (65 bytes,
 * may be NULL) gets the root digest in hex. The result was verified again
 * before this returns.
 */
enum mg_err mg_oms_sign(const struct mg_oms_sign *s, struct mg_buf *out,
    char *root, struct mg_oms_fail *fail) MG_MUST_CHECK;

/* Only the root digest, as mg_oms_sign() would write it. */
enum mg_err mg_oms_root(const struct mg_oms_sign *s, char root[65],
    struct mg_oms_fail *fail) MG_MUST_CHECK;

#endif
