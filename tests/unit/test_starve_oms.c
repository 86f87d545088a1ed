/* SPDX-License-Identifier: ISC */
/*
 * Signed artifacts while memory, libcrypto and system calls fail in turn: a
 * no never becomes a yes, a yes is right or an error, nothing is left.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
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
#include "starve.h"
#include "verify/mg_digest.h"
#include "verify/mg_oms.h"
#include "verify/mg_signed.h"

#define MAPPED 70000 /* bytes of a file that is mapped, not read */

static char top[] = "/tmp/mg-starve-XXXXXX";
static EVP_PKEY *key;
static struct chain chain;

/* ---- folders ---- */

static int
remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

static void
put_file(int dir, const char *name, const void *p, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, p, n), MG_ERR_OK);
	close(fd);
}

/* A model of three files, one of which is long. */
static int
new_model(void)
{
	static char big[MAPPED];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/XXXXXX", top);
	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	put_file(fd, "a", "alpha", 5);
	assert_int_equal(mkdirat(fd, "sub", 0755), 0);
	put_file(fd, "sub/b", big, sizeof(big));
	put_file(fd, "sub/c", "", 0);
	return fd;
}

/* Signs it: method certificate when certs are given. */
static void
sign_model(int fd, EVP_PKEY *k, const char *certs, const char *leave_out)
{
	struct mg_oms_files files = {
	    .fd = fd, .sig_path = MG_SIGNED_FILE, .max_bytes = 1 << 30};
	char *pem = pem_of(k, true);
	struct mg_oms_sign s = {.files = &files,
	    .hash = MG_HASH_SHA256,
	    .ignore = &leave_out,
	    .nignore = leave_out != NULL,
	    .key = pem,
	    .key_len = strlen(pem),
	    .certs = certs,
	    .certs_len = certs == NULL ? 0 : strlen(certs)};
	struct mg_oms_fail fail;
	struct mg_buf out;

	mg_buf_init(&out, MG_OMS_BUNDLE_MAX);
	assert_int_equal(mg_oms_sign(&s, &out, NULL, &fail), MG_ERR_OK);
	put_file(fd, MG_SIGNED_FILE, mg_buf_ptr(&out), mg_buf_len(&out));
	mg_buf_fini(&out);
	free(pem);
}

/* ---- deploying what one of the signers signed ---- */

struct deploy {
	struct mg_signed_ask ask;
	enum mg_err want;
};

static const char *
play_signed(const void *arg)
{
	const struct deploy *d = arg;
	static const struct mg_signed zero;
	char why[512];
	struct mg_signed out;
	enum mg_err r = mg_signed_check(&d->ask, &out, why, sizeof(why));

	if (r == MG_ERR_OK)
		return d->want != MG_ERR_OK		    ? "no became yes"
		       : strcmp(out.signer, "team") != 0    ? "wrong signer"
		       : strncmp(out.fp, "sha256:", 7) != 0 ? "no key"
		       : strlen(out.fp) != 71 || why[0] != '\0' ? "half a yes"
								: NULL;
	if (!starve_has_hit() && r != d->want)
		return "no without a reason";
	return memcmp(&out, &zero, sizeof(out)) != 0 ? "half a no"
	       : why[0] == '\0'			     ? "no reason is given"
						     : NULL;
}

static void
deploy(int fd, const char *signers, enum mg_err want, unsigned kinds)
{
	struct deploy d = {.ask = {.fd = fd,
			       .max_bytes = 1 << 20,
			       .now_ms = (int64_t)time(NULL) * 1000},
	    .want = want};
	struct mg_buf b;

	mg_buf_init(&b, 65536);
	assert_int_equal(mg_buf_put_str(&b, "team"), MG_ERR_OK);
	assert_int_equal(
	    mg_buf_put_bytes(&b, signers, strlen(signers)), MG_ERR_OK);
	d.ask.signers = mg_buf_ptr(&b);
	d.ask.signers_len = mg_buf_len(&b);
	starve_every(kinds, play_signed, &d);
	mg_buf_fini(&b);
	close(fd);
}

static void
a_key(void **state)
{
	char *pem = pem_of(key, false);
	int fd = new_model();

	(void)state;
	sign_model(fd, key, NULL, NULL);
	deploy(fd, pem, MG_ERR_OK, STARVE_ALL);
	free(pem);
}

static char *
leaf_and_inter(void)
{
	char *leaf = pem_of_cert(chain.leaf), *inter = pem_of_cert(chain.inter);
	char *s = text("%s%s", leaf, inter);

	free(leaf);
	free(inter);
	return s;
}

static void
a_certificate_and_its_identity(void **state)
{
	char *certs = leaf_and_inter(), *root = pem_of_cert(chain.root);
	char *fp = fp_of(chain.inter), *s;
	int fd = new_model();

	(void)state;
	sign_model(fd, chain.leaf_key, certs, NULL);
	s = text("identity: CN=fraud team,O=Acme\n%s", root);
	deploy(dup(fd), s, MG_ERR_OK, STARVE_MEMORY | STARVE_CRYPTO);
	free(s);
	s = text("identity: %s\n%s", fp, root);
	deploy(dup(fd), s, MG_ERR_OK, STARVE_MEMORY | STARVE_CRYPTO);
	free(s);
	s = text("identity: CN=somebody\n%s", root);
	deploy(fd, s, MG_ERR_PERM, STARVE_MEMORY | STARVE_CRYPTO);
	free(s);
	free(certs);
	free(root);
	free(fp);
}

static void
what_is_not_as_it_was_signed(void **state)
{
	char *pem = pem_of(key, false), *other;
	EVP_PKEY *k = new_key("P-256");
	int fd = new_model();

	(void)state;
	sign_model(fd, key, NULL, NULL);
	put_file(fd, "a", "alphb", 5);
	deploy(fd, pem, MG_ERR_PERM, STARVE_ALL & ~STARVE_JSON);
	/* A file that the signature leaves out. */
	fd = new_model();
	put_file(fd, "model.py", "import os", 9);
	sign_model(fd, key, NULL, "model.py");
	deploy(fd, pem, MG_ERR_PERM, STARVE_ALL & ~STARVE_JSON);
	/* Signed by somebody else. */
	fd = new_model();
	sign_model(fd, key, NULL, NULL);
	other = pem_of(k, false);
	deploy(fd, other, MG_ERR_PERM, STARVE_ALL & ~STARVE_JSON);
	EVP_PKEY_free(k);
	free(other);
	free(pem);
}

/* ---- revocation ---- */

struct asked {
	struct mg_oms_bundle bundle;
	char *ca, *crl;
	enum mg_oms_why want;
};

static const char *
play_trust(const void *arg)
{
	const struct asked *q = arg;
	struct mg_oms_signer who;
	struct mg_oms_fail fail;
	struct mg_oms_trust *t;
	enum mg_err r = MG_ERR_INTERNAL;

	memset(&who, 0, sizeof(who));
	t = mg_oms_trust_ca(q->ca, strlen(q->ca), q->crl, strlen(q->crl),
	    "CN=fraud team,O=Acme", &fail);
	if (t != NULL)
		r = mg_oms_bundle_verify(
		    &q->bundle, t, (int64_t)now * 1000, &who, &fail);
	mg_oms_trust_free(t);
	if (r == MG_ERR_OK)
		return q->want != MG_OMS_NONE ? "no became yes"
		       : who.fp[0] == '\0'    ? "nobody signed"
					      : NULL;
	if (!starve_has_hit() && fail.why != q->want)
		return "no without a reason";
	return who.fp[0] != '\0' || fail.why == MG_OMS_NONE ? "half a no"
							    : NULL;
}

static void
revocation_lists(void **state)
{
	char *root = make_crl(chain.root, chain.root_key, NULL);
	char *clean = make_crl(chain.inter, chain.int_key, NULL);
	char *revoked = make_crl(chain.inter, chain.int_key, chain.leaf);
	char *m = chain_material(chain.leaf, chain.inter), *s;
	struct forge f = {
	    .key = chain.leaf_key, .payload = "{}", .material = m};
	struct mg_oms_fail fail;
	struct asked q;

	(void)state;
	memset(&q, 0, sizeof(q));
	s = forge(&f);
	assert_int_equal(
	    mg_oms_bundle_parse(&q.bundle, s, strlen(s), &fail), MG_ERR_OK);
	q.ca = pem_of_cert(chain.root);
	q.crl = text("%s%s", root, clean);
	starve_every(STARVE_ALL, play_trust, &q);
	free(q.crl);
	q.crl = text("%s%s", root, revoked);
	q.want = MG_OMS_REVOKED;
	starve_every(STARVE_ALL, play_trust, &q);
	mg_oms_bundle_fini(&q.bundle);
	free(q.crl);
	free(q.ca);
	free(s);
	free(m);
	free(root);
	free(clean);
	free(revoked);
}

/* ---- differences ---- */

struct compare {
	struct mg_oms_statement st;
	struct mg_oms_files files;
};

/* Three are missing, two extra. */
static const char *
play_check(const void *arg)
{
	const struct compare *c = arg;
	struct mg_oms_report rep;
	struct mg_oms_fail fail;
	enum mg_err r = mg_oms_check(&c->st, &c->files, &rep, &fail);
	const char *wrong = NULL;

	if (r == MG_ERR_OK)
		wrong = "no became yes";
	else if (fail.why == MG_OMS_FILES &&
		 (rep.missing != 3 || rep.extra != 2 || rep.changed != 0))
		wrong = "a count is wrong";
	else if (!starve_has_hit() && rep.ndiffs != 5)
		wrong = "a difference is not told";
	mg_oms_report_fini(&rep);
	return wrong;
}

static void
differences(void **state)
{
	struct compare c;
	struct mg_oms_fail fail;
	struct mg_buf list;
	struct said w;
	char *a, *b, *s, *all;
	int fd = new_model();

	(void)state;
	memset(&c, 0, sizeof(c));
	memset(&w, 0, sizeof(w));
	mg_buf_init(&list, 4096);
	a = resource("sub/b:0:50000", "sha256", "x", 1, &list);
	b = resource("gone:0:5", "sha256", "x", 1, &list);
	s = resource("zone:0:5", "sha256", "x", 1, &list);
	all = text("[%s,%s,%s]", a, b, s);
	w.resources = all;
	w.serialization = "{\"method\":\"shards\",\"hash_type\":\"sha256\","
			  "\"allow_symlinks\":false,\"shard_size\":50000,"
			  "\"ignore_paths\":[\"left/out\"]}";
	free(s);
	s = statement(&w, &list);
	assert_int_equal(
	    mg_oms_statement_parse(&c.st, s, strlen(s), &fail), MG_ERR_OK);
	put_file(fd, "extra", "x", 1);
	assert_int_equal(unlinkat(fd, "sub/b", 0), 0);
	c.files.fd = fd;
	c.files.max_bytes = 1 << 20;
	starve_every(STARVE_ALL, play_check, &c);
	mg_oms_statement_fini(&c.st);
	mg_buf_fini(&list);
	free(a);
	free(b);
	free(s);
	free(all);
	close(fd);
}

/* ---- statements ---- */

static const char *
play_statement(const void *arg)
{
	static const struct mg_oms_statement zero;
	struct mg_oms_statement st;
	struct mg_oms_fail fail;
	enum mg_err r = mg_oms_statement_parse(&st, arg, strlen(arg), &fail);
	const char *wrong = NULL;

	if (r == MG_ERR_OK && (st.nresources != 2 || st.shard_size != 4))
		wrong = "half a statement";
	else if (r != MG_ERR_OK && memcmp(&st, &zero, sizeof(st)) != 0)
		wrong = "a statement is left";
	else if (r != MG_ERR_OK && (!starve_has_hit() || fail.text[0] == '\0'))
		wrong = "no without a reason";
	mg_oms_statement_fini(&st);
	return wrong;
}

static void
statements(void **state)
{
	struct mg_buf list;
	struct said w;
	char *a, *b, *s, *all;

	(void)state;
	memset(&w, 0, sizeof(w));
	mg_buf_init(&list, 4096);
	a = resource("f:4:8", "sha256", "x", 1, &list);
	b = resource("f:0:4", "sha256", "y", 1, &list);
	all = text("[%s,%s]", a, b);
	w.resources = all;
	w.serialization = "{\"method\":\"shards\",\"hash_type\":\"sha256\","
			  "\"allow_symlinks\":false,\"shard_size\":4,"
			  "\"ignore_paths\":[\"x\",\"y/z\"]}";
	s = statement(&w, &list);
	starve_every(STARVE_ALL, play_statement, s);
	mg_buf_fini(&list);
	free(a);
	free(b);
	free(s);
	free(all);
}

/* ---- signing ---- */

struct signing {
	struct mg_oms_sign s;
	struct mg_oms_trust *trust;
	char root[65];
};

static const char *
check_bundle(const struct signing *g, const struct mg_buf *out)
{
	struct mg_oms_signer who;
	struct mg_oms_bundle b;
	struct mg_oms_fail fail;
	enum mg_err r;

	r = mg_oms_bundle_parse(&b, mg_buf_ptr(out), mg_buf_len(out), &fail);
	if (r == MG_ERR_OK)
		r = mg_oms_bundle_verify(
		    &b, g->trust, (int64_t)now * 1000, &who, &fail);
	mg_oms_bundle_fini(&b);
	return r == MG_ERR_OK ? NULL : "what was signed does not verify";
}

static const char *
play_sign(const void *arg)
{
	const struct signing *g = arg;
	const char *wrong = NULL;
	struct mg_oms_fail fail;
	struct mg_buf out;
	char root[65];
	enum mg_err r;

	mg_buf_init(&out, MG_OMS_BUNDLE_MAX);
	r = mg_oms_sign(&g->s, &out, root, &fail);
	starve_rest();
	if (r == MG_ERR_OK && strcmp(root, g->root) != 0)
		wrong = "another root digest";
	else if (r == MG_ERR_OK)
		wrong = check_bundle(g, &out);
	else if (mg_buf_len(&out) > 0)
		wrong = "half a signature is left";
	else if (!starve_has_hit() || fail.text[0] == '\0')
		wrong = "no without a reason";
	mg_buf_fini(&out);
	return wrong;
}

static void
signing(void **state)
{
	int fd = new_model();
	struct mg_oms_files files = {.fd = fd, .max_bytes = 1 << 20};
	char *pem = pem_of(key, true), *pub = pem_of(key, false);
	char *leaf = pem_of(chain.leaf_key, true), *certs = leaf_and_inter();
	char *root = pem_of_cert(chain.root);
	struct mg_oms_fail fail;
	struct signing g;

	(void)state;
	memset(&g, 0, sizeof(g));
	g.s.files = &files;
	g.s.name = "m";
	g.s.hash = MG_HASH_BLAKE2B;
	g.s.shard_size = 50000;
	g.s.key = pem;
	g.s.key_len = strlen(pem);
	g.trust = mg_oms_trust_key(pub, strlen(pub), &fail);
	assert_int_equal(mg_oms_root(&g.s, g.root, &fail), MG_ERR_OK);
	starve_every(STARVE_ALL, play_sign, &g);
	mg_oms_trust_free(g.trust);
	g.s.hash = MG_HASH_SHA256;
	g.s.shard_size = 0;
	g.s.key = leaf;
	g.s.key_len = strlen(leaf);
	g.s.certs = certs;
	g.s.certs_len = strlen(certs);
	g.trust = mg_oms_trust_ca(
	    root, strlen(root), NULL, 0, "CN=fraud team,O=Acme", &fail);
	assert_int_equal(mg_oms_root(&g.s, g.root, &fail), MG_ERR_OK);
	starve_every(STARVE_MEMORY | STARVE_CRYPTO, play_sign, &g);
	mg_oms_trust_free(g.trust);
	free(pem);
	free(pub);
	free(leaf);
	free(certs);
	free(root);
	close(fd);
}

/* ---- the digest ---- */

struct digested {
	struct mg_digest_ask ask;
	struct mg_digest want;
};

static const char *
play_digest(const void *arg)
{
	static const struct mg_digest zero;
	const struct digested *d = arg;
	const char *wrong = NULL;
	struct mg_digest out;
	struct mg_buf manifest;
	char why[256];
	enum mg_err r;

	mg_buf_init(&manifest, 65536);
	r = mg_digest(&d->ask, &out, &manifest, why, sizeof(why));
	if (r == MG_ERR_OK && memcmp(&out, &d->want, sizeof(out)) != 0)
		wrong = "another digest";
	else if (r != MG_ERR_OK && memcmp(&out, &zero, sizeof(out)) != 0)
		wrong = "half a digest";
	else if (r != MG_ERR_OK && (!starve_has_hit() || why[0] == '\0'))
		wrong = "no without a reason";
	mg_buf_fini(&manifest);
	return wrong;
}

static void
digests(void **state)
{
	struct digested d;
	char why[256];
	int fd = new_model(), one;

	(void)state;
	memset(&d, 0, sizeof(d));
	d.ask.fd = fd;
	d.ask.max_bytes = 1 << 20;
	assert_int_equal(
	    mg_digest(&d.ask, &d.want, NULL, why, sizeof(why)), MG_ERR_OK);
	starve_every(STARVE_ALL, play_digest, &d);
	one = openat(fd, "sub/b", O_RDONLY | O_CLOEXEC);
	d.ask.fd = one;
	assert_int_equal(
	    mg_digest(&d.ask, &d.want, NULL, why, sizeof(why)), MG_ERR_OK);
	starve_every(STARVE_ALL, play_digest, &d);
	close(one);
	close(fd);
}

/* One core: requests come in the same order in every run. */
static int
set_up(void **state)
{
	static const struct wish leaf;
	cpu_set_t set;

	(void)state;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0 ||
	    mkdtemp(top) == NULL)
		return 1;
	key = new_key("P-256");
	chain = make_chain(&leaf, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	free_chain(&chain);
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key),
	    cmocka_unit_test(a_certificate_and_its_identity),
	    cmocka_unit_test(what_is_not_as_it_was_signed),
	    cmocka_unit_test(revocation_lists),
	    cmocka_unit_test(differences),
	    cmocka_unit_test(statements),
	    cmocka_unit_test(signing),
	    cmocka_unit_test(digests),
	};

	starve_begin();
	return cmocka_run_group_tests_name(
	    "signed artifacts", tests, set_up, tear_down);
}
