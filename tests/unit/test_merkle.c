/* SPDX-License-Identifier: ISC */
/* The Merkle tree: agent/ledger/mg_merkle.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_id.h"
#include "mg_merkle.h"

#define H MG_MERKLE_HASH
#define MANY 70

static struct mg_sha *sha;
static uint8_t leaves[MANY][H];

static int
setup(void **state)
{
	char text[16];
	unsigned i;

	(void)state;
	if ((sha = mg_sha_new()) == NULL)
		return 1;
	for (i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		mg_sha_leaf(sha, text, strlen(text), leaves[i]);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_sha_free(sha);
	return 0;
}

static void
root_of(uint64_t n, uint8_t out[H])
{
	struct mg_merkle t;
	uint64_t i;

	mg_merkle_init(&t);
	for (i = 0; i < n; i++)
		mg_merkle_add(&t, sha, leaves[i]);
	mg_merkle_root(&t, sha, out);
}

/* Hashes of the wanted subtrees, put back into the order of the proof. */
static size_t
prove(struct mg_merkle_range *want, size_t n, uint64_t size,
    uint8_t out[MG_MERKLE_PROOF_MAX][H])
{
	struct mg_merkle_collect c;
	uint64_t i;
	size_t k;

	for (k = 0; k < n; k++)
		want[k].slot = k;
	mg_merkle_collect_init(&c, want, n, size);
	for (i = 0; i < size; i++)
		mg_merkle_collect_add(&c, sha, leaves[i]);
	assert_true(mg_merkle_collect_end(&c, sha));
	for (k = 0; k < n; k++)
		memcpy(out[want[k].slot], want[k].hash, H);
	return n;
}

static size_t
inclusion(uint64_t i, uint64_t size, uint8_t out[MG_MERKLE_PROOF_MAX][H])
{
	struct mg_merkle_range want[MG_MERKLE_PROOF_MAX];

	return prove(want, mg_merkle_path(i, size, want), size, out);
}

static size_t
consistency(uint64_t m, uint64_t n, uint8_t out[MG_MERKLE_PROOF_MAX][H])
{
	struct mg_merkle_range want[MG_MERKLE_PROOF_MAX];

	return prove(want, mg_merkle_consistency(m, n, want), n, out);
}

#define C(p) ((const uint8_t(*)[H])(p))

/* The leaves and roots that the logs of Certificate Transparency are
 * tested with. */
static void
roots_are_those_of_rfc_6962(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *root;
	} v[] = {
	    {"", 0,
		"6e340b9cffb37a989ca544e6bb780a2c"
		"78901d3fb33738768511a30617afa01d"},
	    {"\x00", 1,
		"fac54203e7cc696cf0dfcb42c92a1d9d"
		"baf70ad9e621f4bd8d98662f00e3c125"},
	    {"\x10", 1,
		"aeb6bcfe274b70a14fb067a5e5578264"
		"db0fa9b51af5e0ba159158f329e06e77"},
	    {"\x20\x21", 2,
		"d37ee418976dd95753c1c73862b9398f"
		"a2a2cf9b4ff0fdfe8b30cd95209614b7"},
	    {"\x30\x31", 2,
		"4e3bbb1f7b478dcfe71fb631631519a3"
		"bca12c9aefca1612bfce4c13a86264d4"},
	    {"\x40\x41\x42\x43", 4,
		"76e67dadbcdf1e10e1b74ddc608abd2f"
		"98dfb16fbce75277b5232a127f2087ef"},
	    {"\x50\x51\x52\x53\x54\x55\x56\x57", 8,
		"ddb89be403809e325750d3d263cd7892"
		"9c2942b7942a34b77e122c9594a74c8c"},
	    {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
		16,
		"5dc9da79a70659a9ad559cb701ded9a2"
		"ab9d823aad2f4960cfe370eff4604328"},
	};
	struct mg_merkle t;
	uint8_t h[H];
	char hex[2 * H + 1];
	size_t i;

	(void)state;
	mg_merkle_init(&t);
	mg_merkle_root(&t, sha, h);
	mg_hex(h, H, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
				 "27ae41e4649b934ca495991b7852b855");
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		mg_sha_leaf(sha, v[i].bytes, v[i].n, h);
		mg_merkle_add(&t, sha, h);
		mg_merkle_root(&t, sha, h);
		mg_hex(h, H, hex);
		assert_string_equal(hex, v[i].root);
	}
}

static void
every_leaf_of_every_tree_is_proved(void **state)
{
	uint8_t p[MG_MERKLE_PROOF_MAX][H], root[H];
	uint64_t size, i;
	size_t n;

	(void)state;
	for (size = 1; size <= MANY; size++) {
		root_of(size, root);
		for (i = 0; i < size; i++) {
			n = inclusion(i, size, p);
			assert_true(mg_merkle_check_inclusion(
			    sha, i, size, leaves[i], C(p), n, root));
		}
	}
}

static void
every_tree_continues_every_smaller_one(void **state)
{
	uint8_t p[MG_MERKLE_PROOF_MAX][H], root[H], old[H];
	uint64_t m, size;
	size_t n;

	(void)state;
	for (size = 1; size <= MANY; size++) {
		root_of(size, root);
		for (m = 1; m <= size; m++) {
			root_of(m, old);
			n = consistency(m, size, p);
			assert_true(mg_merkle_check_consistency(
			    sha, m, size, old, C(p), n, root));
		}
	}
}

/* A claim, and what to ask about it. */
struct claim {
	bool is_inclusion;
	uint64_t a, size; /* a: index, or size of the old tree */
	uint8_t first[H]; /* leaf, or root of the old tree */
	uint8_t root[H];
	uint8_t p[MG_MERKLE_PROOF_MAX][H];
	size_t n;
};

static bool
holds(const struct claim *c)
{
	return c->is_inclusion ? mg_merkle_check_inclusion(sha, c->a, c->size,
				     c->first, C(c->p), c->n, c->root)
			       : mg_merkle_check_consistency(sha, c->a, c->size,
				     c->first, C(c->p), c->n, c->root);
}

static void
fails(const struct claim *good, const struct claim *bad)
{
	if (memcmp(good, bad, sizeof(*bad)) != 0)
		assert_false(holds(bad));
}

static void
flip_every_bit(const struct claim *good)
{
	struct claim bad;
	size_t i, bit;

	for (bit = 0; bit < 8 * H; bit++) {
		bad = *good;
		bad.first[bit / 8] ^= (uint8_t)(1 << bit % 8);
		fails(good, &bad);
		bad = *good;
		bad.root[bit / 8] ^= (uint8_t)(1 << bit % 8);
		fails(good, &bad);
		for (i = 0; i < good->n; i++) {
			bad = *good;
			bad.p[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
			fails(good, &bad);
		}
	}
}

static void
change_lengths(const struct claim *good)
{
	struct claim bad;
	size_t n, i;

	for (n = 0; n <= MG_MERKLE_PROOF_MAX; n++) {
		bad = *good;
		bad.n = n;
		fails(good, &bad);
	}
	for (i = 0; i <= good->n; i++) { /* one hash more, everywhere */
		bad = *good;
		memmove(bad.p[i + 1], bad.p[i], (good->n - i) * H);
		memset(bad.p[i], 0, H);
		bad.n++;
		assert_false(holds(&bad));
		memcpy(bad.p[i], good->root, H);
		assert_false(holds(&bad));
	}
	for (i = 0; i < good->n; i++) { /* one less, everywhere */
		bad = *good;
		memmove(bad.p[i], bad.p[i + 1], (good->n - i - 1) * H);
		bad.n--;
		assert_false(holds(&bad));
	}
}

static void
change_order(const struct claim *good)
{
	struct claim bad;
	size_t i, k;

	for (i = 0; i < good->n; i++)
		for (k = i + 1; k < good->n; k++) {
			bad = *good;
			memcpy(bad.p[i], good->p[k], H);
			memcpy(bad.p[k], good->p[i], H);
			fails(good, &bad);
		}
	bad = *good;
	memcpy(bad.first, good->root, H);
	memcpy(bad.root, good->first, H);
	fails(good, &bad);
}

/* Where a tree is not the one it was made for. The path of a leaf says
 * nothing of the size beyond its own turns, so another size may have the
 * same: what binds the size is the signed checkpoint. */
static void
change_places(const struct claim *good)
{
	const uint64_t v[] = {0, good->a + 1, good->a - 1, good->a ^ 2,
	    good->a * 2, good->a / 2, good->size, good->size + 1, UINT64_MAX};
	struct claim bad;
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		bad = *good;
		bad.a = v[i];
		fails(good, &bad);
	}
	bad = *good;
	bad.size = 0;
	assert_false(holds(&bad));
	bad.size = good->a == 0 ? 0 : good->a - (good->is_inclusion ? 0 : 1);
	assert_false(holds(&bad));
	bad.size = UINT64_MAX;
	assert_false(holds(&bad));
}

static void
mutate(const struct claim *good)
{
	assert_true(holds(good));
	flip_every_bit(good);
	change_lengths(good);
	change_order(good);
	change_places(good);
}

static void
no_changed_inclusion_proof_holds(void **state)
{
	static const uint64_t sizes[] = {2, 3, 4, 5, 7, 8, 13, 33, MANY};
	struct claim c;
	uint64_t i;
	size_t s;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (i = 0; i < sizes[s]; i += 1 + sizes[s] / 7) {
			memset(&c, 0, sizeof(c));
			c.is_inclusion = true;
			c.a = i;
			c.size = sizes[s];
			memcpy(c.first, leaves[i], H);
			root_of(c.size, c.root);
			c.n = inclusion(i, c.size, c.p);
			mutate(&c);
		}
}

static void
no_changed_consistency_proof_holds(void **state)
{
	static const uint64_t sizes[] = {2, 3, 4, 5, 7, 8, 13, 33, MANY};
	struct claim c;
	uint64_t m;
	size_t s;

	(void)state;
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (m = 1; m <= sizes[s]; m += 1 + sizes[s] / 7) {
			memset(&c, 0, sizeof(c));
			c.a = m;
			c.size = sizes[s];
			root_of(m, c.first);
			root_of(c.size, c.root);
			c.n = consistency(m, c.size, c.p);
			mutate(&c);
		}
}

static void
a_node_is_no_leaf(void **state)
{
	uint8_t both[2 * H], h[H], root[H];

	(void)state;
	memcpy(both, leaves[0], H);
	memcpy(both + H, leaves[1], H);
	mg_sha_leaf(sha, both, sizeof(both), h);
	root_of(2, root);
	assert_memory_not_equal(h, root, H);
}

static void
nothing_is_proved_outside_of_the_tree(void **state)
{
	struct mg_merkle_range want[MG_MERKLE_PROOF_MAX];
	uint8_t h[H] = {0};

	(void)state;
	assert_int_equal(mg_merkle_path(5, 5, want), 0);
	assert_int_equal(mg_merkle_path(0, 0, want), 0);
	assert_int_equal(mg_merkle_consistency(0, 5, want), 0);
	assert_int_equal(mg_merkle_consistency(6, 5, want), 0);
	assert_false(mg_merkle_check_inclusion(sha, 0, 0, h, C(h), 0, h));
	assert_false(mg_merkle_check_consistency(sha, 0, 0, h, C(h), 0, h));
	assert_true(mg_merkle_path(UINT64_MAX - 1, UINT64_MAX, want) <= 64);
	assert_true(mg_merkle_consistency(UINT64_MAX - 1, UINT64_MAX, want) <=
		    MG_MERKLE_PROOF_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(roots_are_those_of_rfc_6962),
	    cmocka_unit_test(every_leaf_of_every_tree_is_proved),
	    cmocka_unit_test(every_tree_continues_every_smaller_one),
	    cmocka_unit_test(no_changed_inclusion_proof_holds),
	    cmocka_unit_test(no_changed_consistency_proof_holds),
	    cmocka_unit_test(a_node_is_no_leaf),
	    cmocka_unit_test(nothing_is_proved_outside_of_the_tree),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
