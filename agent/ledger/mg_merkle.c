/* SPDX-License-Identifier: ISC */
/*
 * The Merkle tree over ledger lines.
 *
 * Rules
 * 1. Leaves and nodes are hashed with different first bytes, so that a node
 *    can never be shown as a line.
 * 2. A proof has exactly as many hashes as its sizes ask for: one more or
 *    one less is no proof, whatever it hashes to.
 * 3. Nothing can be proved about a leaf outside of the tree, and the empty
 *    tree proves nothing about any other.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "mg_merkle.h"

struct mg_sha {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

struct mg_sha *
mg_sha_new(void)
{
	struct mg_sha *sha;

	if ((sha = calloc(1, sizeof(*sha))) == NULL)
		return NULL;
	sha->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	sha->ctx = EVP_MD_CTX_new();
	if (sha->md != NULL && sha->ctx != NULL)
		return sha;
	mg_sha_free(sha);
	return NULL;
}

void
mg_sha_free(struct mg_sha *sha)
{
	if (sha == NULL)
		return;
	EVP_MD_CTX_free(sha->ctx);
	EVP_MD_free(sha->md);
	free(sha);
}

/* first (if it is not negative), p, q. What fails here would be OpenSSL
 * itself; the hash is then one that nothing has. */
static void
digest(struct mg_sha *sha, int first, const void *p, size_t n, const void *q,
    size_t m, uint8_t out[MG_MERKLE_HASH])
{
	uint8_t byte = (uint8_t)first;
	bool ok;

	ok = EVP_DigestInit_ex2(sha->ctx, sha->md, NULL) == 1 &&
	     (first < 0 || EVP_DigestUpdate(sha->ctx, &byte, 1) == 1) &&
	     EVP_DigestUpdate(sha->ctx, p, n) == 1 &&
	     (m == 0 || EVP_DigestUpdate(sha->ctx, q, m) == 1) &&
	     EVP_DigestFinal_ex(sha->ctx, out, NULL) == 1;
	if (!ok)
		memset(out, 0xff, MG_MERKLE_HASH);
}

void
mg_sha_plain(
    struct mg_sha *sha, const void *p, size_t n, uint8_t out[MG_MERKLE_HASH])
{
	digest(sha, -1, p, n, NULL, 0, out);
}

/* Rule 1 */
void
mg_sha_leaf(
    struct mg_sha *sha, const void *p, size_t n, uint8_t out[MG_MERKLE_HASH])
{
	digest(sha, 0, p, n, NULL, 0, out);
}

static void
node(struct mg_sha *sha, const uint8_t left[MG_MERKLE_HASH],
    const uint8_t right[MG_MERKLE_HASH], uint8_t out[MG_MERKLE_HASH])
{
	uint8_t both[2 * MG_MERKLE_HASH];

	memcpy(both, left, MG_MERKLE_HASH);
	memcpy(both + MG_MERKLE_HASH, right, MG_MERKLE_HASH);
	digest(sha, 1, both, sizeof(both), NULL, 0, out);
}

/* ---- growing ---- */

void
mg_merkle_init(struct mg_merkle *t)
{
	memset(t, 0, sizeof(*t));
}

void
mg_merkle_add(
    struct mg_merkle *t, struct mg_sha *sha, const uint8_t leaf[MG_MERKLE_HASH])
{
	uint8_t cur[MG_MERKLE_HASH];
	unsigned k;

	memcpy(cur, leaf, sizeof(cur));
	for (k = 0; (t->size >> k & 1) != 0; k++)
		node(sha, t->peak[k], cur, cur);
	memcpy(t->peak[k], cur, sizeof(cur));
	t->size++;
}

/* The root over all complete subtrees that begin at leaf a or later. */
static bool
root_from(const struct mg_merkle *t, struct mg_sha *sha, uint64_t a,
    uint8_t out[MG_MERKLE_HASH])
{
	uint64_t end = t->size;
	bool any = false;
	unsigned k;

	for (k = 0; k < MG_MERKLE_DEPTH && end > a; k++) {
		if ((t->size >> k & 1) == 0)
			continue;
		if (any)
			node(sha, t->peak[k], out, out);
		else
			memcpy(out, t->peak[k], MG_MERKLE_HASH);
		any = true;
		end -= (uint64_t)1 << k;
	}
	return any && end == a;
}

void
mg_merkle_root(
    const struct mg_merkle *t, struct mg_sha *sha, uint8_t out[MG_MERKLE_HASH])
{
	if (!root_from(t, sha, 0, out))
		mg_sha_plain(sha, "", 0, out);
}

/* ---- which subtrees prove what ---- */

/* The largest power of two that is smaller than n (n > 1). */
static uint64_t
split(uint64_t n)
{
	uint64_t k = (uint64_t)1 << 63;

	while (k >= n)
		k >>= 1;
	return k;
}

static void
reverse(struct mg_merkle_range *v, size_t n)
{
	struct mg_merkle_range tmp;
	size_t i;

	for (i = 0; i < n / 2; i++) {
		tmp = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = tmp;
	}
}

static void
put_range(struct mg_merkle_range *v, size_t *np, uint64_t a, uint64_t b)
{
	memset(&v[*np], 0, sizeof(v[*np]));
	v[*np].a = a;
	v[*np].b = b;
	(*np)++;
}

size_t
mg_merkle_path(uint64_t index, uint64_t size,
    struct mg_merkle_range out[MG_MERKLE_PROOF_MAX])
{
	uint64_t lo = 0, hi = size, mid;
	size_t n = 0;

	if (index >= size)
		return 0;
	while (hi - lo > 1) {
		mid = lo + split(hi - lo);
		if (index < mid) {
			put_range(out, &n, mid, hi);
			hi = mid;
		} else {
			put_range(out, &n, lo, mid);
			lo = mid;
		}
	}
	reverse(out, n);
	return n;
}

size_t
mg_merkle_consistency(uint64_t old, uint64_t size,
    struct mg_merkle_range out[MG_MERKLE_PROOF_MAX])
{
	uint64_t lo = 0, hi = size, mid;
	bool whole = true; /* lo..old is the old tree's own root */
	size_t n = 0;

	if (old == 0 || old >= size)
		return 0;
	while (old < hi) {
		mid = lo + split(hi - lo);
		if (old <= mid) {
			put_range(out, &n, mid, hi);
			hi = mid;
		} else {
			put_range(out, &n, lo, mid);
			lo = mid;
			whole = false;
		}
	}
	if (!whole)
		put_range(out, &n, lo, hi);
	reverse(out, n);
	return n;
}

/* ---- collecting their hashes ---- */

static int
by_end(const void *x, const void *y)
{
	const struct mg_merkle_range *p = x, *q = y;

	return p->b < q->b ? -1 : p->b > q->b;
}

void
mg_merkle_collect_init(struct mg_merkle_collect *c,
    struct mg_merkle_range *want, size_t n, uint64_t size)
{
	memset(c, 0, sizeof(*c));
	c->want = want;
	c->n = n;
	c->size = size;
	if (n > 1)
		qsort(want, n, sizeof(*want), by_end);
}

/* cur is the subtree of 2^k leaves that ends where the tree does. */
static void
offer(struct mg_merkle_collect *c, unsigned k, const uint8_t *cur)
{
	uint64_t end = c->tree.size + 1;
	size_t i;

	for (i = c->next; i < c->n && c->want[i].b == end; i++)
		if (end - c->want[i].a == (uint64_t)1 << k)
			memcpy(c->want[i].hash, cur, MG_MERKLE_HASH);
}

void
mg_merkle_collect_add(struct mg_merkle_collect *c, struct mg_sha *sha,
    const uint8_t leaf[MG_MERKLE_HASH])
{
	struct mg_merkle *t = &c->tree;
	uint8_t cur[MG_MERKLE_HASH];
	unsigned k;

	memcpy(cur, leaf, sizeof(cur));
	offer(c, 0, cur);
	for (k = 0; (t->size >> k & 1) != 0; k++) {
		node(sha, t->peak[k], cur, cur);
		offer(c, k + 1, cur);
	}
	memcpy(t->peak[k], cur, sizeof(cur));
	t->size++;
	/* Those at the very end may be made of several: see _end. */
	while (t->size < c->size && c->next < c->n &&
	       c->want[c->next].b == t->size)
		c->next++;
}

bool
mg_merkle_collect_end(struct mg_merkle_collect *c, struct mg_sha *sha)
{
	size_t i;

	if (c->tree.size != c->size)
		return false;
	for (i = c->next; i < c->n; i++) {
		uint64_t len = c->want[i].b - c->want[i].a;

		if ((len & (len - 1)) != 0 &&
		    !root_from(&c->tree, sha, c->want[i].a, c->want[i].hash))
			return false;
	}
	return true;
}

/* ---- checking ---- */

bool
mg_merkle_check_inclusion(struct mg_sha *sha, uint64_t index, uint64_t size,
    const uint8_t leaf[MG_MERKLE_HASH], const uint8_t (*proof)[MG_MERKLE_HASH],
    size_t n, const uint8_t root[MG_MERKLE_HASH])
{
	uint64_t fn = index, sn = size - 1;
	uint8_t r[MG_MERKLE_HASH];
	size_t i;

	if (index >= size) /* Rule 3 */
		return false;
	memcpy(r, leaf, sizeof(r));
	for (i = 0; i < n; i++) {
		if (sn == 0)
			return false; /* Rule 2 */
		if ((fn & 1) != 0 || fn == sn) {
			node(sha, proof[i], r, r);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			node(sha, r, proof[i], r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(r, root, sizeof(r)) == 0;
}

/* 0 < old < size. The first hash is the old root itself when the old tree
 * is one complete subtree: the proof then leaves it out. */
static bool
walk(struct mg_sha *sha, uint64_t old, uint64_t size,
    const uint8_t old_root[MG_MERKLE_HASH],
    const uint8_t (*proof)[MG_MERKLE_HASH], size_t n,
    const uint8_t root[MG_MERKLE_HASH])
{
	uint8_t fr[MG_MERKLE_HASH], sr[MG_MERKLE_HASH];
	uint64_t fn = old - 1, sn = size - 1;
	size_t i = 0;

	if ((old & (old - 1)) == 0) {
		memcpy(fr, old_root, sizeof(fr));
	} else {
		if (n == 0)
			return false;
		memcpy(fr, proof[i++], sizeof(fr));
	}
	memcpy(sr, fr, sizeof(sr));
	for (; (fn & 1) != 0; fn >>= 1)
		sn >>= 1;
	for (; i < n; i++) {
		if (sn == 0)
			return false; /* Rule 2 */
		if ((fn & 1) != 0 || fn == sn) {
			node(sha, proof[i], fr, fr);
			node(sha, proof[i], sr, sr);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			node(sha, sr, proof[i], sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(fr, old_root, sizeof(fr)) == 0 &&
	       memcmp(sr, root, sizeof(sr)) == 0;
}

bool
mg_merkle_check_consistency(struct mg_sha *sha, uint64_t old, uint64_t size,
    const uint8_t old_root[MG_MERKLE_HASH],
    const uint8_t (*proof)[MG_MERKLE_HASH], size_t n,
    const uint8_t root[MG_MERKLE_HASH])
{
	if (old == 0 || old > size) /* Rule 3 */
		return false;
	if (old == size)
		return n == 0 && memcmp(old_root, root, MG_MERKLE_HASH) == 0;
	return walk(sha, old, size, old_root, proof, n, root);
}
