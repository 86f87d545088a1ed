/* SPDX-License-Identifier: ISC */
/*
 * Memory that is freed at once, and strings that become numbers.
 *
 * Rules
 * 1. What two policies are compared by differs from process to process:
 *    otherwise an author finds two lists of equal hash at leisure, and
 *    `policy diff` shows the reviewer nothing.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "pol.h"

#define CHUNK_BYTES 65536U

struct pol_chunk {
	struct pol_chunk *next;
	size_t used, size;
	max_align_t d[];
};

static struct pol_chunk *
add_chunk(struct pol_arena *a, size_t n)
{
	struct pol_chunk *c;
	size_t size = n > CHUNK_BYTES / 4 ? n : CHUNK_BYTES - sizeof(*c);

	if ((c = calloc(1, sizeof(*c) + size)) == NULL)
		return NULL;
	c->size = size;
	a->bytes += sizeof(*c) + size;
	/* A chunk for one big thing must not hide what the head has left. */
	if (a->head != NULL && size == n) {
		c->next = a->head->next;
		a->head->next = c;
	} else {
		c->next = a->head;
		a->head = c;
	}
	return c;
}

void *
pol_alloc(struct pol_arena *a, size_t n)
{
	struct pol_chunk *c = a->head;
	size_t align = sizeof(void *) - 1;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + align) & ~align;
	if (c == NULL || n > c->size - c->used)
		c = add_chunk(a, n);
	if (c == NULL)
		return NULL;
	p = (char *)c->d + c->used;
	c->used += n;
	return p;
}

char *
pol_strndup(struct pol_arena *a, const char *s, size_t n)
{
	char *p = pol_alloc(a, n + 1);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

char *
pol_printf(struct pol_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (p = pol_alloc(a, (size_t)n + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void
pol_arena_fini(struct pol_arena *a)
{
	struct pol_chunk *c;

	while ((c = a->head) != NULL) {
		a->head = c->next;
		free(c);
	}
	a->bytes = 0;
}

uint32_t
pol_hash(uint32_t h, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619U;
	return h;
}

uint64_t
pol_mix64(uint64_t h)
{
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

/*
 * Rule 1: the kernel's random bytes for this process, which change nothing
 * but which texts have equal hashes.
 */
static void
secret(uint64_t out[2])
{
	const void *at = (const void *)(uintptr_t)getauxval(AT_RANDOM);

	out[0] = UINT64_C(14695981039346656037);
	out[1] = UINT64_C(1099511628211);
	if (at != NULL)
		memcpy(out, at, 2 * sizeof(out[0]));
	out[1] |= 1;
}

uint64_t
pol_hash64(const char *s, size_t n)
{
	uint64_t key[2], h;
	size_t i;

	secret(key);
	h = key[0];
	for (i = 0; i < n; i++)
		if (s[i] != ' ' && s[i] != '\t')
			h = (h ^ (unsigned char)s[i]) * key[1];
	return pol_mix64(h);
}

/* Spreads FNV's weak low bits. */
static uint32_t
slot_of(const struct pol_map *m, uint32_t hash)
{
	return (hash ^ (hash >> 15)) & m->mask;
}

uint32_t
pol_map_find_hashed(
    const struct pol_map *m, const char *s, size_t n, uint32_t hash)
{
	uint32_t at, i;

	if (m->mask == 0)
		return POL_NONE;
	for (at = slot_of(m, hash); (i = m->slot[at]) != 0;
	     at = (at + 1) & m->mask) {
		const struct pol_sym *sym = &m->v[i - 1];

		if (sym->hash == hash && sym->len == n &&
		    memcmp(sym->s, s, n) == 0)
			return i - 1;
	}
	return POL_NONE;
}

uint32_t
pol_map_find(const struct pol_map *m, const char *s, size_t n)
{
	return pol_map_find_hashed(m, s, n, pol_hash(POL_HASH_INIT, s, n));
}

const char *
pol_map_meant(
    const struct pol_map *m, const char *s, size_t n, char out[POL_MEANT])
{
	uint32_t i;

	out[0] = '\0';
	for (i = 0; i < m->n && out[0] == '\0'; i++)
		if (mg_name_is_slip(s, n, m->v[i].s))
			snprintf(out, POL_MEANT, "; is it '%.*s'?", MG_NAME_MAX,
			    m->v[i].s);
	return out;
}

static bool
grow_slots(struct pol_map *m)
{
	uint32_t size = m->mask == 0 ? 16 : (m->mask + 1) * 2, i, at;
	uint32_t *slot;

	if ((slot = calloc(size, sizeof(*slot))) == NULL)
		return false;
	free(m->slot);
	m->slot = slot;
	m->mask = size - 1;
	for (i = 0; i < m->n; i++) {
		at = slot_of(m, m->v[i].hash);
		while (slot[at] != 0)
			at = (at + 1) & m->mask;
		slot[at] = i + 1;
	}
	return true;
}

static bool
grow_syms(struct pol_map *m)
{
	uint32_t cap = m->cap == 0 ? 8 : m->cap * 2;
	struct pol_sym *v = reallocarray(m->v, cap, sizeof(*v));

	if (v == NULL)
		return false;
	m->v = v;
	m->cap = cap;
	return true;
}

uint32_t
pol_map_add(struct pol_map *m, struct pol_arena *a, const char *s, size_t n)
{
	uint32_t hash = pol_hash(POL_HASH_INIT, s, n), i, at;

	if ((i = pol_map_find_hashed(m, s, n, hash)) != POL_NONE)
		return i;
	if (m->n >= UINT32_MAX / 4 || (m->n == m->cap && !grow_syms(m)))
		return POL_NONE;
	if (2 * (m->n + 1) > m->mask && !grow_slots(m))
		return POL_NONE;
	if ((m->v[m->n].s = pol_strndup(a, s, n)) == NULL)
		return POL_NONE;
	m->v[m->n].hash = hash;
	m->v[m->n].len = (uint32_t)n;
	for (at = slot_of(m, hash); m->slot[at] != 0;)
		at = (at + 1) & m->mask;
	m->slot[at] = ++m->n;
	return m->n - 1;
}

void
pol_map_fini(struct pol_map *m)
{
	free(m->v);
	free(m->slot);
	memset(m, 0, sizeof(*m));
}

void *
pol_vec_add(struct pol_vec *vec, size_t size)
{
	uint32_t cap = vec->cap == 0 ? 8 : vec->cap * 2;
	void *v;

	if (vec->n == vec->cap) {
		if (cap > UINT32_MAX / 4 ||
		    (v = reallocarray(vec->v, cap, size)) == NULL)
			return NULL;
		vec->v = v;
		vec->cap = cap;
	}
	v = (char *)vec->v + (size_t)vec->n++ * size;
	memset(v, 0, size);
	return v;
}

void
pol_vec_fini(struct pol_vec *vec)
{
	free(vec->v);
	memset(vec, 0, sizeof(*vec));
}
