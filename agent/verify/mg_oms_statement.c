/* SPDX-License-Identifier: ISC */
/*
 * Reads what was signed: an in-toto statement about a model's files.
 *
 * Rules
 * 1. Names are plain relative paths, each once: a name that leaves the
 *    folder, or two digests for one file, is a trap for whoever copies by
 *    this list.
 * 2. What a signature leaves out is bounded and plain too: no pattern, no
 *    parent, not everything.
 * 3. The list has to fit its own root digest, in the order it was given:
 *    the root digest is what other documents refer to.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "mg_esc.h"
#include "mg_id.h"
#include "verify/mg_oms_int.h"

#define SHARD_SIZE_MAX ((uint64_t)1 << 50)

struct reader {
	struct mg_oms_statement *st;
	struct mg_oms_fail *fail;
	char *at; /* where the next string goes in st->text */
	EVP_MD_CTX *root;
};

static enum mg_err
no(struct reader *rd, enum mg_oms_why why, const char *text)
{
	return mg_oms_say(rd->fail, MG_ERR_FORMAT, why, "%s", text);
}

static const char *
keep(struct reader *rd, const char *s, size_t n)
{
	char *d = rd->at;

	memcpy(d, s, n);
	d[n] = '\0';
	rd->at += n + 1;
	return d;
}

/* ---- serialization ---- */

static enum mg_err
read_shard_size(struct reader *rd, const json_t *ser)
{
	const json_t *j = json_object_get(ser, "shard_size");
	double d;

	if (j == NULL)
		return no(rd, MG_OMS_SERIALIZATION,
		    "'shard_size' is missing, but the method is shards");
	if (json_is_integer(j) && json_integer_value(j) > 0)
		rd->st->shard_size = (uint64_t)json_integer_value(j);
	/* The reference implementation writes 1000000000.0. */
	if (json_is_real(j)) {
		d = json_real_value(j);
		if (d >= 1 && d <= (double)SHARD_SIZE_MAX && floor(d) >= d)
			rd->st->shard_size = (uint64_t)d;
	}
	if (rd->st->shard_size == 0 || rd->st->shard_size > SHARD_SIZE_MAX)
		return no(rd, MG_OMS_SERIALIZATION,
		    "'shard_size' is not a whole number of bytes");
	return MG_ERR_OK;
}

/* "sha256", or for shards "sha256-sharded-SIZE" */
static bool
names_hash(const struct mg_oms_statement *st, const char *s)
{
	const char *base = st->hash == MG_HASH_SHA256 ? "sha256" : "blake2b";
	char sharded[64];

	if (strcmp(s, base) == 0)
		return true;
	snprintf(sharded, sizeof(sharded), "%s-sharded-%ju", base,
	    (uintmax_t)st->shard_size);
	return st->shard_size != 0 && strcmp(s, sharded) == 0;
}

static enum mg_err
read_hash(struct reader *rd, const json_t *ser)
{
	json_t *j = mg_oms_get(ser, "hash_type", JSON_STRING, rd->fail);
	const char *s;
	char esc[64];

	if (j == NULL)
		return MG_ERR_FORMAT;
	s = json_string_value(j);
	if (strncmp(s, "sha256", 6) == 0)
		rd->st->hash = MG_HASH_SHA256;
	else if (strncmp(s, "blake2b", 7) == 0)
		rd->st->hash = MG_HASH_BLAKE2B;
	if (rd->st->hash != MG_HASH_NONE && names_hash(rd->st, s))
		return MG_ERR_OK;
	mg_esc_line(s, esc, sizeof(esc));
	return mg_oms_say(rd->fail, MG_ERR_FORMAT, MG_OMS_HASH,
	    "hash '%s' is not supported: sha256 and blake2b are", esc);
}

/* Rule 2 */
static enum mg_err
read_ignore(struct reader *rd, const json_t *ser)
{
	const json_t *v = json_object_get(ser, "ignore_paths");
	const char *s;
	char esc[128];
	size_t i;

	if (v == NULL)
		return MG_ERR_OK;
	if (!json_is_array(v))
		return no(
		    rd, MG_OMS_SERIALIZATION, "'ignore_paths' is not an array");
	if (json_array_size(v) > MG_OMS_IGNORE_MAX)
		return no(rd, MG_OMS_IGNORE,
		    "'ignore_paths' holds more than 256 paths");
	for (i = 0; i < json_array_size(v); i++) {
		s = json_string_value(json_array_get(v, i));
		if (s == NULL)
			return no(rd, MG_OMS_IGNORE,
			    "'ignore_paths' holds something else than strings");
		if (!mg_oms_path_is_valid(s) || strpbrk(s, "*?[") != NULL) {
			mg_esc_line(s, esc, sizeof(esc));
			return mg_oms_say(rd->fail, MG_ERR_FORMAT,
			    MG_OMS_IGNORE,
			    "'%s' is no path that may be left out", esc);
		}
		rd->st->ignore[rd->st->nignore++] = keep(rd, s, strlen(s));
	}
	return MG_ERR_OK;
}

static enum mg_err
read_serialization(struct reader *rd, const json_t *ser)
{
	static const char *const names[] = {"method", "hash_type", "shard_size",
	    "allow_symlinks", "ignore_paths", NULL};
	json_t *method;
	enum mg_err r;

	r = mg_oms_only(ser, names, "'serialization'", rd->fail);
	if (r != MG_ERR_OK)
		return r;
	/* true as well: a model with a link in it is refused later. */
	if (mg_oms_get(ser, "allow_symlinks", JSON_FALSE, rd->fail) == NULL)
		return MG_ERR_FORMAT;
	method = mg_oms_get(ser, "method", JSON_STRING, rd->fail);
	if (method == NULL)
		return MG_ERR_FORMAT;
	if (strcmp(json_string_value(method), "shards") == 0)
		r = read_shard_size(rd, ser);
	else if (strcmp(json_string_value(method), "files") != 0)
		r = no(rd, MG_OMS_SERIALIZATION,
		    "'method' is neither files nor shards");
	else if (json_object_get(ser, "shard_size") != NULL)
		r = no(rd, MG_OMS_SERIALIZATION,
		    "'shard_size' is given, but the method is files");
	if (r == MG_ERR_OK)
		r = read_hash(rd, ser);
	return r == MG_ERR_OK ? read_ignore(rd, ser) : r;
}

/* ---- resources ---- */

/* Digits only, at most 2^50; moves *ep, the end, in front of them. */
static bool
take_number(const char *s, const char **ep, uint64_t *vp)
{
	const char *p = *ep, *d;
	uint64_t v = 0;

	while (p > s && p[-1] >= '0' && p[-1] <= '9')
		p--;
	if (p == *ep || *ep - p > 16 || (p[0] == '0' && *ep - p > 1))
		return false;
	for (d = p; d < *ep; d++)
		v = v * 10 + (uint64_t)(*d - '0');
	*ep = p;
	*vp = v;
	return true;
}

/* "PATH:START:END"; a path may hold colons as well. */
static bool
split_shard(const char *s, size_t *np, struct mg_oms_resource *res)
{
	const char *e = s + strlen(s);

	if (!take_number(s, &e, &res->end) || e == s || *--e != ':' ||
	    !take_number(s, &e, &res->start) || e == s || *--e != ':')
		return false;
	*np = (size_t)(e - s);
	return res->start < res->end;
}

/* Rule 1 */
static enum mg_err
read_name(struct reader *rd, const char *s, struct mg_oms_resource *res)
{
	size_t n = strlen(s);
	char esc[128];

	if (rd->st->shard_size == 0 || split_shard(s, &n, res)) {
		res->path = keep(rd, s, n);
		if (strcmp(res->path, MG_TREE_SINGLE) == 0 ||
		    mg_oms_path_is_valid(res->path))
			return MG_ERR_OK;
	}
	mg_esc_line(s, esc, sizeof(esc));
	return mg_oms_say(rd->fail, MG_ERR_FORMAT, MG_OMS_RESOURCE,
	    "'%s' is not the name of a file%s", esc,
	    rd->st->shard_size == 0 ? "" : " and a part of it");
}

static enum mg_err
read_resource(struct reader *rd, const json_t *j)
{
	struct mg_oms_resource *res = &rd->st->resources[rd->st->nresources];
	size_t bytes = mg_hash_bytes(rd->st->hash);
	json_t *name, *alg, *digest;
	enum mg_err r;

	if (!json_is_object(j))
		return no(rd, MG_OMS_FIELD,
		    "'resources' holds something that is not an object");
	if ((name = mg_oms_get(j, "name", JSON_STRING, rd->fail)) == NULL ||
	    (alg = mg_oms_get(j, "algorithm", JSON_STRING, rd->fail)) == NULL ||
	    (digest = mg_oms_get(j, "digest", JSON_STRING, rd->fail)) == NULL)
		return MG_ERR_FORMAT;
	if ((r = read_name(rd, json_string_value(name), res)) != MG_ERR_OK)
		return r;
	if (!names_hash(rd->st, json_string_value(alg)) ||
	    !mg_unhex(json_string_value(digest), res->digest, bytes))
		return no(rd, MG_OMS_HASH,
		    "a resource's digest is not of the statement's hash");
	if (EVP_DigestUpdate(rd->root, res->digest, bytes) != 1)
		return no(rd, MG_OMS_INTERNAL, "internal error");
	rd->st->nresources++;
	return MG_ERR_OK;
}

static int
compare(const void *a, const void *b)
{
	const struct mg_oms_resource *x = a, *y = b;
	int c = strcmp(x->path, y->path);

	if (c != 0)
		return c;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Rule 1 */
static enum mg_err
find_twice(struct reader *rd)
{
	const struct mg_oms_resource *v = rd->st->resources;
	char esc[128];
	size_t i;

	for (i = 1; i < rd->st->nresources; i++) {
		if (compare(&v[i - 1], &v[i]) != 0)
			continue;
		mg_esc_line(v[i].path, esc, sizeof(esc));
		return mg_oms_say(rd->fail, MG_ERR_FORMAT, MG_OMS_RESOURCE,
		    "'%s' is listed twice", esc);
	}
	return MG_ERR_OK;
}

/* Rule 3 */
static enum mg_err
check_root(struct reader *rd)
{
	uint8_t root[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(rd->root, root, NULL) != 1)
		return no(rd, MG_OMS_INTERNAL, "internal error");
	if (memcmp(root, rd->st->root, sizeof(rd->st->root)) != 0)
		return no(rd, MG_OMS_ROOT,
		    "the root digest does not fit the list of files");
	return MG_ERR_OK;
}

static enum mg_err
read_resources(struct reader *rd, const json_t *v)
{
	size_t n = json_array_size(v), i;
	enum mg_err r = MG_ERR_OK;

	if (n == 0 || n > MG_OMS_RESOURCES_MAX)
		return mg_oms_say(rd->fail, MG_ERR_FORMAT, MG_OMS_RESOURCE,
		    "'resources' holds %zu entries, not 1 to %d", n,
		    MG_OMS_RESOURCES_MAX);
	rd->st->resources = calloc(n, sizeof(*rd->st->resources));
	rd->root = EVP_MD_CTX_new();
	if (rd->st->resources == NULL || rd->root == NULL ||
	    EVP_DigestInit_ex(rd->root, EVP_sha256(), NULL) != 1)
		return mg_oms_say(
		    rd->fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
	for (i = 0; i < n && r == MG_ERR_OK; i++)
		r = read_resource(rd, json_array_get(v, i));
	if (r != MG_ERR_OK || (r = check_root(rd)) != MG_ERR_OK)
		return r;
	qsort(rd->st->resources, n, sizeof(*rd->st->resources), compare);
	return find_twice(rd);
}

/* ---- the statement ---- */

static enum mg_err
read_subject(struct reader *rd, const json_t *j)
{
	json_t *v, *subject, *name, *digest;
	const char *hex;

	if ((v = mg_oms_get(j, "subject", JSON_ARRAY, rd->fail)) == NULL)
		return MG_ERR_FORMAT;
	subject = json_array_get(v, 0);
	if (json_array_size(v) != 1 || !json_is_object(subject))
		return no(rd, MG_OMS_STATEMENT,
		    "'subject' does not hold exactly one object");
	if ((name = mg_oms_get(subject, "name", JSON_STRING, rd->fail)) ==
		NULL ||
	    (digest = mg_oms_get(subject, "digest", JSON_OBJECT, rd->fail)) ==
		NULL)
		return MG_ERR_FORMAT;
	hex = json_string_value(json_object_get(digest, "sha256"));
	if (json_object_size(digest) != 1 || hex == NULL ||
	    !mg_unhex(hex, rd->st->root, sizeof(rd->st->root)))
		return no(rd, MG_OMS_STATEMENT,
		    "the subject's digest is not one of sha256");
	rd->st->name =
	    keep(rd, json_string_value(name), json_string_length(name));
	return MG_ERR_OK;
}

static enum mg_err
check_type(struct reader *rd, const json_t *j, const char *member,
    const char *want, enum mg_oms_why why)
{
	json_t *t = mg_oms_get(j, member, JSON_STRING, rd->fail);

	if (t == NULL)
		return MG_ERR_FORMAT;
	if (strcmp(json_string_value(t), want) != 0)
		return mg_oms_say(rd->fail, MG_ERR_FORMAT, why,
		    "'%s' is not %s", member, want);
	return MG_ERR_OK;
}

static enum mg_err
read_statement(struct reader *rd, const json_t *j)
{
	static const char *const names[] = {
	    "_type", "subject", "predicateType", "predicate", NULL};
	json_t *pred, *ser, *res;
	enum mg_err r;

	if ((r = check_type(rd, j, "_type", OMS_STATEMENT_TYPE,
		 MG_OMS_STATEMENT)) != MG_ERR_OK ||
	    (r = check_type(rd, j, "predicateType", OMS_PREDICATE_TYPE,
		 MG_OMS_PREDICATE)) != MG_ERR_OK ||
	    (r = mg_oms_only(j, names, "the statement", rd->fail)) !=
		MG_ERR_OK ||
	    (r = read_subject(rd, j)) != MG_ERR_OK)
		return r;
	/* Other members of the predicate are for later versions. */
	if ((pred = mg_oms_get(j, "predicate", JSON_OBJECT, rd->fail)) ==
		NULL ||
	    (ser = mg_oms_get(pred, "serialization", JSON_OBJECT, rd->fail)) ==
		NULL ||
	    (res = mg_oms_get(pred, "resources", JSON_ARRAY, rd->fail)) == NULL)
		return MG_ERR_FORMAT;
	if ((r = read_serialization(rd, ser)) != MG_ERR_OK)
		return r;
	return read_resources(rd, res);
}

enum mg_err
mg_oms_statement_parse(struct mg_oms_statement *st, const void *payload,
    size_t len, struct mg_oms_fail *fail)
{
	struct reader rd;
	json_t *j = NULL;
	enum mg_err r;

	memset(st, 0, sizeof(*st));
	memset(fail, 0, sizeof(*fail));
	memset(&rd, 0, sizeof(rd));
	rd.st = st;
	rd.fail = fail;
	r = mg_oms_json(payload, len, "payload", &j, fail);
	if (r != MG_ERR_OK)
		goto out;
	/* A decoded string with its NUL is never longer than its quotes. */
	if ((st->text = malloc(len + 1)) == NULL) {
		r = mg_oms_say(
		    fail, MG_ERR_NOMEM, MG_OMS_NOMEM, "out of memory");
		goto out;
	}
	rd.at = st->text;
	r = read_statement(&rd, j);
out:
	EVP_MD_CTX_free(rd.root);
	json_decref(j);
	if (r != MG_ERR_OK)
		mg_oms_statement_fini(st);
	return r;
}

void
mg_oms_statement_fini(struct mg_oms_statement *st)
{
	free(st->resources);
	free(st->text);
	memset(st, 0, sizeof(*st));
}
