/* SPDX-License-Identifier: ISC */
/*
 * The artifact digest.
 *
 * Rules
 * 1. Two different artifacts never have the same manifest: paths are
 *    relative, plain, and in one order; a single file is called ".", which
 *    no file in a folder can be called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "mg_id.h"
#include "verify/mg_digest.h"
#include "verify/mg_hash.h"

#define SHA256_BYTES 32
#define LINE_MAX_BYTES (SHA256_BYTES * 2 + 2 + MG_TREE_PATH_MAX + 1)

static struct mg_hash_piece *
whole_files(const struct mg_tree *tree)
{
	struct mg_hash_piece *v;
	size_t i;

	if ((v = calloc(tree->nfiles, sizeof(*v))) == NULL)
		return NULL;
	for (i = 0; i < tree->nfiles; i++) {
		v[i].file = i;
		v[i].end = tree->files[i].id.size;
	}
	return v;
}

/* "HEX  PATH\n" */
static enum mg_err
put_entry(EVP_MD_CTX *ctx, struct mg_buf *manifest, const char *path,
    const uint8_t *digest)
{
	char line[LINE_MAX_BYTES + 1], hex[2 * SHA256_BYTES + 1];
	int n;

	mg_hex(digest, SHA256_BYTES, hex);
	n = snprintf(line, sizeof(line), "%s  %s\n", hex, path);
	if (n <= 0 || (size_t)n >= sizeof(line))
		return MG_ERR_INTERNAL;
	if (EVP_DigestUpdate(ctx, line, (size_t)n) != 1)
		return MG_ERR_INTERNAL;
	if (manifest == NULL)
		return MG_ERR_OK;
	return mg_buf_put(manifest, line, (size_t)n);
}

/* Rule 1: the tree is sorted. */
static enum mg_err
put_all(const struct mg_tree *tree, const struct mg_hash_piece *pieces,
    struct mg_buf *manifest, uint8_t out[EVP_MAX_MD_SIZE])
{
	EVP_MD_CTX *ctx;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	if ((ctx = EVP_MD_CTX_new()) == NULL)
		return MG_ERR_NOMEM;
	if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		r = MG_ERR_INTERNAL;
	for (i = 0; i < tree->nfiles && r == MG_ERR_OK; i++)
		r = put_entry(
		    ctx, manifest, tree->files[i].path, pieces[i].digest);
	if (r == MG_ERR_OK && EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		r = MG_ERR_INTERNAL;
	EVP_MD_CTX_free(ctx);
	return r;
}

static enum mg_err
hash_files(const struct mg_digest_ask *ask, const struct mg_tree *tree,
    struct mg_hash_piece *pieces, char *why, size_t why_size)
{
	struct mg_hash_job job;

	memset(&job, 0, sizeof(job));
	job.tree = tree;
	job.hash = MG_HASH_SHA256;
	job.pieces = pieces;
	job.npieces = tree->nfiles;
	job.threads = ask->threads;
	job.progress = ask->progress;
	job.arg = ask->arg;
	return mg_hash_run(&job, why, why_size);
}

enum mg_err
mg_digest(const struct mg_digest_ask *ask, struct mg_digest *out,
    struct mg_buf *manifest, char *why, size_t why_size)
{
	struct mg_tree_rules rules = {
	    .max_bytes = ask->max_bytes, .is_sealed = ask->is_sealed};
	struct mg_hash_piece *pieces = NULL;
	struct mg_tree *tree = NULL;
	uint8_t digest[EVP_MAX_MD_SIZE];
	enum mg_err r;

	memset(out, 0, sizeof(*out));
	why[0] = '\0';
	r = mg_tree_walk(ask->fd, &rules, &tree, why, why_size);
	if (r != MG_ERR_OK)
		goto out;
	if ((pieces = whole_files(tree)) == NULL) {
		r = MG_ERR_NOMEM;
		goto out;
	}
	if ((r = hash_files(ask, tree, pieces, why, why_size)) != MG_ERR_OK ||
	    (r = put_all(tree, pieces, manifest, digest)) != MG_ERR_OK)
		goto out;
	memcpy(out->text, "sha256:", 7);
	mg_hex(digest, SHA256_BYTES, out->text + 7);
	out->files = tree->nfiles;
	out->bytes = tree->bytes;
out:
	if (r != MG_ERR_OK && why[0] == '\0')
		snprintf(why, why_size, "%s", mg_err_str(r));
	free(pieces);
	mg_tree_free(tree);
	return r;
}
