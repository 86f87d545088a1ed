/* SPDX-License-Identifier: ISC */
/* Models on a real file system against what was signed of them. */
#include <fcntl.h>
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
#include <jansson.h>

#include "mg_file.h"
#include "oms_forge.h"
#include "scratch.h"
#include "verify/mg_oms.h"

static EVP_PKEY *key;

static void
put_dir(const struct place *p, const char *name)
{
	assert_int_equal(mkdirat(p->fd, name, 0755), 0);
}

/* ---- statements by hand ---- */

struct list {
	struct mg_buf digests;
	char *text;
};

static void
list_init(struct list *l)
{
	mg_buf_init(&l->digests, 65536);
	l->text = strdup("");
}

static void
list_add(
    struct list *l, const char *name, const char *alg, const char *s, size_t n)
{
	char *res = resource(name, alg, s, n, &l->digests);
	char *all = text("%s%s%s", l->text, l->text[0] == '\0' ? "" : ",", res);

	free(l->text);
	free(res);
	l->text = all;
}

/* Reads the statement that says this list and that serialization. */
static void
list_end(struct list *l, const char *serialization, struct mg_oms_statement *st)
{
	struct mg_oms_fail fail;
	struct said w;
	char *all = text("[%s]", l->text), *s;

	memset(&w, 0, sizeof(w));
	w.resources = all;
	w.serialization = serialization;
	s = statement(&w, &l->digests);
	if (mg_oms_statement_parse(st, s, strlen(s), &fail) != MG_ERR_OK)
		fail_msg("%s", fail.text);
	mg_buf_fini(&l->digests);
	free(l->text);
	free(all);
	free(s);
}

static void
add_file(struct list *l, const char *name, const char *content)
{
	list_add(l, name, "sha256", content, strlen(content));
}

struct outcome {
	enum mg_oms_why why;
	size_t missing, extra, changed, uncovered;
	uint64_t files;
	char first[256]; /* difference, or else what is not covered */
	char text[512];
};

static struct outcome
check_with(const struct mg_oms_statement *st, struct mg_oms_files files)
{
	struct mg_oms_report rep;
	struct mg_oms_fail fail;
	struct outcome o;
	enum mg_err r;

	memset(&o, 0, sizeof(o));
	files.max_bytes = 1 << 30;
	r = mg_oms_check(st, &files, &rep, &fail);
	assert_int_equal(r == MG_ERR_OK, fail.why == MG_OMS_NONE);
	o.why = fail.why;
	o.missing = rep.missing;
	o.extra = rep.extra;
	o.changed = rep.changed;
	o.uncovered = rep.nuncovered;
	o.files = rep.files;
	if (rep.ndiffs > 0)
		snprintf(o.first, sizeof(o.first), "%s", rep.diffs[0].path);
	else if (rep.nuncovered > 0)
		snprintf(o.first, sizeof(o.first), "%s", rep.uncovered[0]);
	snprintf(o.text, sizeof(o.text), "%s", fail.text);
	mg_oms_report_fini(&rep);
	return o;
}

static struct outcome
check(const struct place *p, const struct mg_oms_statement *st)
{
	return check_with(st, (struct mg_oms_files){.fd = p->fd});
}

/* Two files, as they stand in the folder. */
static void
make_model(const struct place *p, struct mg_oms_statement *st)
{
	struct list l;

	put_file(p, "a", "alpha");
	put_dir(p, "sub");
	put_file(p, "sub/b", "beta");
	list_init(&l);
	add_file(&l, "a", "alpha");
	add_file(&l, "sub/b", "beta");
	list_end(&l, NULL, st);
}

/* ---- files ---- */

static void
the_files_that_were_signed_are_accepted(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;

	make_model(p, &st);
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_NONE);
	assert_int_equal(o.files, 2);
	mg_oms_statement_fini(&st);
}

static void
rule1_missing_extra_and_changed_files_are_found(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;

	make_model(p, &st);
	put_file(p, "new.py", "import os");
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_FILES);
	assert_int_equal(o.extra, 1);
	assert_string_equal(o.first, "new.py");
	assert_int_equal(unlinkat(p->fd, "new.py", 0), 0);
	put_file(p, "a", "alphb");
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_FILES);
	assert_int_equal(o.changed, 1);
	assert_string_equal(o.first, "a");
	put_file(p, "a", "longer than alpha");
	o = check(p, &st);
	assert_int_equal(o.changed, 1);
	assert_int_equal(unlinkat(p->fd, "sub/b", 0), 0);
	o = check(p, &st);
	assert_int_equal(o.missing, 1);
	assert_string_equal(o.first, "sub/b");
	/* Renamed: one of each. */
	put_file(p, "a", "alpha");
	put_file(p, "sub/c", "beta");
	o = check(p, &st);
	assert_int_equal(o.missing, 1);
	assert_int_equal(o.extra, 1);
	mg_oms_statement_fini(&st);
}

static void
names_that_differ_in_case_are_different(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;

	make_model(p, &st);
	assert_int_equal(renameat(p->fd, "a", p->fd, "A"), 0);
	o = check(p, &st);
	assert_int_equal(o.missing, 1);
	assert_int_equal(o.extra, 1);
	mg_oms_statement_fini(&st);
}

static void
the_order_of_the_list_does_not_matter(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct list l;

	/* As the reference implementation sorts: by the parts of a path. */
	put_dir(p, "model");
	put_file(p, "model/x", "1");
	put_file(p, "model.safetensors", "2");
	list_init(&l);
	add_file(&l, "model/x", "1");
	add_file(&l, "model.safetensors", "2");
	list_end(&l, NULL, &st);
	assert_int_equal(check(p, &st).why, MG_OMS_NONE);
	mg_oms_statement_fini(&st);
}

static void
what_git_keeps_counts_only_below_the_top(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;

	make_model(p, &st);
	put_dir(p, ".git");
	put_file(p, ".git/config", "x");
	put_file(p, ".gitignore", "x");
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_NONE);
	assert_int_equal(o.uncovered, 2);
	put_file(p, "sub/.gitignore", "x");
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_FILES);
	assert_string_equal(o.first, "sub/.gitignore");
	mg_oms_statement_fini(&st);
}

static void
rule3_what_is_left_out_is_told_or_refused(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;
	struct list l;

	put_file(p, "a", "alpha");
	put_file(p, "model.py", "evil");
	put_dir(p, "d");
	put_file(p, "d/x", "evil");
	list_init(&l);
	add_file(&l, "a", "alpha");
	list_end(&l,
	    "{\"method\":\"files\",\"hash_type\":\"sha256\",\"allow_symlinks\":"
	    "false,\"ignore_paths\":[\"model.py\",\"d\",\"absent\","
	    "\"model.sig\"]}",
	    &st);
	put_file(p, "model.sig", "{}");
	o = check_with(
	    &st, (struct mg_oms_files){.fd = p->fd, .sig_path = "model.sig"});
	assert_int_equal(o.why, MG_OMS_NONE);
	assert_int_equal(o.uncovered, 2);
	assert_string_equal(o.first, "model.py");
	o = check_with(
	    &st, (struct mg_oms_files){
		     .fd = p->fd, .sig_path = "model.sig", .strict = true});
	assert_int_equal(o.why, MG_OMS_UNCOVERED);
	assert_int_equal(unlinkat(p->fd, "model.py", 0), 0);
	assert_int_equal(unlinkat(p->fd, "d/x", 0), 0);
	assert_int_equal(unlinkat(p->fd, "d", AT_REMOVEDIR), 0);
	o = check_with(
	    &st, (struct mg_oms_files){
		     .fd = p->fd, .sig_path = "model.sig", .strict = true});
	assert_int_equal(o.why, MG_OMS_NONE);
	mg_oms_statement_fini(&st);
}

static void
the_signature_itself_is_not_part_of_the_model(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;

	make_model(p, &st);
	put_file(p, "sub/model.sig", "{}");
	assert_int_equal(check(p, &st).why, MG_OMS_FILES);
	assert_int_equal(check_with(&st, (struct mg_oms_files){.fd = p->fd,
					     .sig_path = "sub/model.sig"})
			     .why,
	    MG_OMS_NONE);
	mg_oms_statement_fini(&st);
}

static void
links_in_a_model_are_refused_whatever_was_signed(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;
	struct list l;

	put_file(p, "a", "alpha");
	assert_int_equal(symlinkat("a", p->fd, "b"), 0);
	list_init(&l);
	add_file(&l, "a", "alpha");
	add_file(&l, "b", "alpha");
	list_end(&l,
	    "{\"method\":\"files\",\"hash_type\":\"sha256\","
	    "\"allow_symlinks\":true}",
	    &st);
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_ARTIFACT);
	assert_non_null(strstr(o.text, "'b' is a symbolic link"));
	mg_oms_statement_fini(&st);
}

static void
a_single_file_is_called_dot_or_by_its_name(void **state)
{
	const struct place *p = *state;
	static const char *const names[] = {".", "m.bin", "other.bin"};
	struct mg_oms_statement st;
	struct list l;
	size_t i;
	int fd;

	put_file(p, "m.bin", "weights");
	fd = openat(p->fd, "m.bin", O_RDONLY);
	for (i = 0; i < 3; i++) {
		list_init(&l);
		add_file(&l, names[i], "weights");
		list_end(&l, NULL, &st);
		assert_int_equal(check_with(&st, (struct mg_oms_files){.fd = fd,
						     .basename = "m.bin"})
				     .why,
		    i < 2 ? MG_OMS_NONE : MG_OMS_FILES);
		mg_oms_statement_fini(&st);
	}
	close(fd);
}

static void
blake2b_is_computed(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct list l;

	put_file(p, "a", "alpha");
	list_init(&l);
	list_add(&l, "a", "blake2b", "alpha", 5);
	list_end(&l,
	    "{\"method\":\"files\",\"hash_type\":\"blake2b\","
	    "\"allow_symlinks\":false}",
	    &st);
	assert_int_equal(check(p, &st).why, MG_OMS_NONE);
	put_file(p, "a", "alphb");
	assert_int_equal(check(p, &st).why, MG_OMS_FILES);
	mg_oms_statement_fini(&st);
}

/* ---- shards ---- */

#define SHARDS4                                                                \
	"{\"method\":\"shards\",\"hash_type\":\"sha256\","                     \
	"\"allow_symlinks\":false,\"shard_size\":4.0}"

static void
add_part(struct list *l, const char *name, const char *content)
{
	list_add(l, name, "sha256-sharded-4", content, strlen(content));
}

static void
shards_are_compared_part_by_part(void **state)
{
	const struct place *p = *state;
	struct mg_oms_statement st;
	struct outcome o;
	struct list l;

	put_file(p, "f", "aaaabbbbcc");
	put_file(p, "x:y", "dddd");
	put_file(p, "empty", "");
	list_init(&l);
	add_part(&l, "f:4:8", "bbbb");
	add_part(&l, "f:0:4", "aaaa");
	add_part(&l, "f:8:10", "cc");
	add_part(&l, "x:y:0:4", "dddd");
	list_end(&l, SHARDS4, &st);
	o = check(p, &st);
	assert_int_equal(o.why, MG_OMS_NONE);
	/* Empty files are in no list, so the list does not cover them. */
	assert_int_equal(o.uncovered, 1);
	assert_string_equal(o.first, "empty");
	put_file(p, "f", "aaaaBbbbcc");
	o = check(p, &st);
	assert_int_equal(o.changed, 1);
	put_file(p, "f", "aaaabbbbccc");
	assert_int_equal(check(p, &st).changed, 1);
	put_file(p, "f", "aaaabbbb");
	assert_int_equal(check(p, &st).changed, 1);
	put_file(p, "f", "");
	assert_int_equal(check(p, &st).changed, 1);
	assert_int_equal(unlinkat(p->fd, "f", 0), 0);
	o = check(p, &st);
	assert_int_equal(o.missing, 1);
	assert_string_equal(o.first, "f");
	mg_oms_statement_fini(&st);
}

static void
holes_and_overlaps_between_shards_are_refused(void **state)
{
	const struct place *p = *state;
	static const char *const names[][2] = {
	    {"f:0:4", "f:8:10"}, /* a hole */
	    {"f:0:4", "f:2:6"},	 /* an overlap */
	    {"f:0:10", NULL},	 /* one for all */
	    {"f:4:8", "f:8:10"}, /* the beginning */
	};
	struct mg_oms_statement st;
	struct list l;
	size_t i;

	put_file(p, "f", "aaaabbbbcc");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		list_init(&l);
		add_part(&l, names[i][0], "whatever");
		if (names[i][1] != NULL)
			add_part(&l, names[i][1], "whatever");
		list_end(&l, SHARDS4, &st);
		assert_int_equal(check(p, &st).why, MG_OMS_FILES);
		mg_oms_statement_fini(&st);
	}
}

/* ---- signing ---- */

/* Signs, and verifies what came out with the public half. */
static char *
sign(const struct place *p, struct mg_oms_sign s, EVP_PKEY *k,
    struct mg_oms_fail *fail, char root[65])
{
	struct mg_oms_files files = {
	    .fd = p->fd, .max_bytes = 1 << 30, .sig_path = "model.sig"};
	char *pem = pem_of(k, true), *text_of = NULL;
	struct mg_buf out;

	mg_buf_init(&out, MG_OMS_BUNDLE_MAX);
	s.files = &files;
	s.key = pem;
	s.key_len = strlen(pem);
	if (s.hash == MG_HASH_NONE)
		s.hash = MG_HASH_SHA256;
	if (mg_oms_sign(&s, &out, root, fail) == MG_ERR_OK) {
		assert_non_null(mg_buf_cstr(&out));
		text_of = strdup((const char *)mg_buf_ptr(&out));
	}
	mg_buf_fini(&out);
	free(pem);
	return text_of;
}

/* What was signed is accepted; one changed byte is not. */
static void
check_signed(
    const struct place *p, const char *bundle, EVP_PKEY *k, const char *victim)
{
	struct mg_oms_files files = {.fd = p->fd, .sig_path = "model.sig"};
	char *pem = pem_of(k, false);
	struct mg_oms_trust *t;
	struct mg_oms_bundle b;
	struct mg_oms_statement st;
	struct mg_oms_signer who;
	struct mg_oms_fail fail;

	t = mg_oms_trust_key(pem, strlen(pem), &fail);
	assert_non_null(t);
	assert_int_equal(
	    mg_oms_bundle_parse(&b, bundle, strlen(bundle), &fail), MG_ERR_OK);
	assert_int_equal(
	    mg_oms_bundle_verify(&b, t, 0, &who, &fail), MG_ERR_OK);
	assert_int_equal(mg_oms_statement_parse(&st, mg_buf_ptr(&b.payload),
			     mg_buf_len(&b.payload), &fail),
	    MG_ERR_OK);
	put_file(p, "model.sig", bundle);
	assert_int_equal(check_with(&st, files).why, MG_OMS_NONE);
	put_file(p, victim, "something else");
	assert_int_equal(check_with(&st, files).changed, 1);
	mg_oms_statement_fini(&st);
	mg_oms_bundle_fini(&b);
	mg_oms_trust_free(t);
	free(pem);
}

static void
sign_with_curve(const struct place *p, const char *curve)
{
	EVP_PKEY *k = new_key(curve);
	struct mg_oms_fail fail;
	char *s;

	put_file(p, "weights", "0123456789");
	s = sign(p, (struct mg_oms_sign){.name = "m"}, k, &fail, NULL);
	assert_non_null(s);
	check_signed(p, s, k, "weights");
	free(s);
	EVP_PKEY_free(k);
}

static void
what_we_sign_verifies_with_every_curve(void **state)
{
	const struct place *p = *state;

	sign_with_curve(p, "P-256");
	sign_with_curve(p, "P-384");
	sign_with_curve(p, "P-521");
}

static void
what_we_sign_verifies_in_every_serialization(void **state)
{
	const struct place *p = *state;
	static const struct mg_oms_sign ways[] = {
	    {.hash = MG_HASH_SHA256},
	    {.hash = MG_HASH_BLAKE2B},
	    {.hash = MG_HASH_SHA256, .shard_size = 3},
	    {.hash = MG_HASH_BLAKE2B, .shard_size = 1},
	    {.hash = MG_HASH_SHA256, .shard_size = 1000000000},
	};
	struct mg_oms_fail fail;
	size_t i;
	char *s;

	put_dir(p, "d");
	put_file(p, "d/caf\xc3\xa9 \"1\"", "x");
	put_file(p, "d.x", "y");
	put_file(p, "empty", "");
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		put_file(p, "weights", "0123456789");
		s = sign(p, ways[i], key, &fail, NULL);
		assert_non_null(s);
		check_signed(p, s, key, "weights");
		free(s);
	}
}

/* The decoded payload of a signature file. */
static json_t *
payload_of(const char *bundle)
{
	json_t *j = json_loads(bundle, 0, NULL), *p;
	struct mg_buf b;
	const char *s;

	assert_non_null(j);
	s = json_string_value(
	    json_object_get(json_object_get(j, "dsseEnvelope"), "payload"));
	mg_buf_init(&b, 65536);
	assert_int_equal(mg_b64_get(&b, s, strlen(s), NULL), MG_ERR_OK);
	p = json_loadb((const char *)mg_buf_ptr(&b), mg_buf_len(&b), 0, NULL);
	assert_non_null(p);
	mg_buf_fini(&b);
	json_decref(j);
	return p;
}

static const char *
member(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

/* What the reference implementation looks at, as it wants it. */
static void
the_payload_is_what_the_reference_reads(void **state)
{
	const struct place *p = *state;
	static const char *const ignored[] = {".git", ".gitattributes",
	    ".github", ".gitignore", "model.sig", "README.md"};
	static const char *const more[] = {"README.md"};
	json_t *j, *pred, *ser, *res;
	struct mg_oms_fail fail;
	char root[65], *s;
	size_t i;

	put_dir(p, "a");
	put_file(p, "a/b", "1");
	put_file(p, "a.c", "23456");
	put_file(p, "README.md", "not signed");
	s = sign(p,
	    (struct mg_oms_sign){.name = "the model",
		.ignore = more,
		.nignore = 1,
		.shard_size = 4},
	    key, &fail, root);
	j = payload_of(s);
	assert_string_equal(member(j, "_type"), STATEMENT);
	assert_string_equal(member(j, "predicateType"), PREDICATE);
	assert_int_equal(json_array_size(json_object_get(j, "subject")), 1);
	res = json_array_get(json_object_get(j, "subject"), 0);
	assert_string_equal(member(res, "name"), "the model");
	assert_string_equal(
	    member(json_object_get(res, "digest"), "sha256"), root);
	pred = json_object_get(j, "predicate");
	ser = json_object_get(pred, "serialization");
	assert_string_equal(member(ser, "method"), "shards");
	assert_string_equal(member(ser, "hash_type"), "sha256");
	assert_true(json_is_false(json_object_get(ser, "allow_symlinks")));
	assert_int_equal(
	    json_integer_value(json_object_get(ser, "shard_size")), 4);
	for (i = 0; i < 6; i++)
		assert_string_equal(
		    json_string_value(json_array_get(
			json_object_get(ser, "ignore_paths"), i)),
		    ignored[i]);
	res = json_object_get(pred, "resources");
	assert_int_equal(json_array_size(res), 3);
	assert_string_equal(member(json_array_get(res, 0), "name"), "a.c:0:4");
	assert_string_equal(member(json_array_get(res, 1), "name"), "a.c:4:5");
	assert_string_equal(member(json_array_get(res, 2), "name"), "a/b:0:1");
	assert_string_equal(
	    member(json_array_get(res, 2), "algorithm"), "sha256-sharded-4");
	json_decref(j);
	free(s);
}

static void
the_root_digest_is_known_without_a_key(void **state)
{
	const struct place *p = *state;
	struct mg_oms_files files = {.fd = p->fd, .max_bytes = 1000};
	struct mg_oms_sign s = {.files = &files, .hash = MG_HASH_SHA256};
	char root[65], *hex;
	struct mg_oms_fail fail;
	struct mg_buf list;

	put_file(p, "a", "1");
	put_file(p, "b", "2");
	mg_buf_init(&list, 64);
	free(resource("a", "sha256", "1", 1, &list));
	free(resource("b", "sha256", "2", 1, &list));
	hex = hex_of(EVP_sha256(), mg_buf_ptr(&list), mg_buf_len(&list));
	assert_int_equal(mg_oms_root(&s, root, &fail), MG_ERR_OK);
	assert_string_equal(root, hex);
	mg_buf_fini(&list);
	free(hex);
}

static void
what_others_could_not_verify_is_not_signed(void **state)
{
	const struct place *p = *state;
	static const char *const globs[] = {"*.md"};
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *k1 = new_key("secp256k1");
	struct mg_oms_fail fail;

	put_file(p, "a:b", "1");
	assert_null(
	    sign(p, (struct mg_oms_sign){.shard_size = 1}, key, &fail, NULL));
	assert_int_equal(fail.why, MG_OMS_RESOURCE);
	assert_null(
	    sign(p, (struct mg_oms_sign){.name = NULL}, rsa, &fail, NULL));
	assert_int_equal(fail.why, MG_OMS_KEY);
	assert_null(
	    sign(p, (struct mg_oms_sign){.name = NULL}, k1, &fail, NULL));
	assert_int_equal(fail.why, MG_OMS_KEY);
	assert_null(sign(p, (struct mg_oms_sign){.ignore = globs, .nignore = 1},
	    key, &fail, NULL));
	assert_int_equal(fail.why, MG_OMS_IGNORE);
	assert_null(
	    sign(p, (struct mg_oms_sign){.certs = "nonsense", .certs_len = 8},
		key, &fail, NULL));
	assert_int_equal(fail.why, MG_OMS_CERTIFICATE);
	assert_int_equal(symlinkat("x", p->fd, "link"), 0);
	assert_null(
	    sign(p, (struct mg_oms_sign){.name = NULL}, key, &fail, NULL));
	assert_int_equal(fail.why, MG_OMS_ARTIFACT);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(k1);
}

static int
make_key(void **state)
{
	(void)state;
	key = new_key("P-256");
	return 0;
}

static int
free_key(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_files_that_were_signed_are_accepted),
	    TEST(rule1_missing_extra_and_changed_files_are_found),
	    TEST(names_that_differ_in_case_are_different),
	    TEST(the_order_of_the_list_does_not_matter),
	    TEST(what_git_keeps_counts_only_below_the_top),
	    TEST(rule3_what_is_left_out_is_told_or_refused),
	    TEST(the_signature_itself_is_not_part_of_the_model),
	    TEST(links_in_a_model_are_refused_whatever_was_signed),
	    TEST(a_single_file_is_called_dot_or_by_its_name),
	    TEST(blake2b_is_computed),
	    TEST(shards_are_compared_part_by_part),
	    TEST(holes_and_overlaps_between_shards_are_refused),
	    TEST(what_we_sign_verifies_with_every_curve),
	    TEST(what_we_sign_verifies_in_every_serialization),
	    TEST(the_payload_is_what_the_reference_reads),
	    TEST(the_root_digest_is_known_without_a_key),
	    TEST(what_others_could_not_verify_is_not_signed),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
