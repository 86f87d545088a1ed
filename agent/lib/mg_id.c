/* SPDX-License-Identifier: ISC */
/* UUIDs and the short codes made from them. */
#include <string.h>
#include <sys/random.h>

#include "mg_id.h"

const char mg_code_symbols[33] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char hexdigits[] = "0123456789abcdef";

static enum mg_err
fill_random(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? MG_ERR_OK : MG_ERR_SYS;
}

enum mg_err
mg_uuid_new(struct mg_uuid *u)
{
	enum mg_err r;

	memset(u, 0, sizeof(*u));
	if ((r = fill_random(u->b, sizeof(u->b))) != MG_ERR_OK)
		return r;
	u->b[6] = (uint8_t)((u->b[6] & 0x0f) | 0x40);
	u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
	return MG_ERR_OK;
}

void
mg_hex(const uint8_t *p, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = hexdigits[p[i] >> 4];
		out[2 * i + 1] = hexdigits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

void
mg_uuid_format(const struct mg_uuid *u, char out[MG_UUID_STR])
{
	size_t i, o = 0;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[o++] = '-';
		out[o++] = hexdigits[u->b[i] >> 4];
		out[o++] = hexdigits[u->b[i] & 15];
	}
	out[o] = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
mg_unhex(const char *s, uint8_t *out, size_t n)
{
	int hi, lo;
	size_t i;

	/* Small letters only. */
	if (strlen(s) != 2 * n || strspn(s, hexdigits) != 2 * n)
		return false;
	for (i = 0; i < n; i++) {
		hi = hex_value(s[2 * i]);
		lo = hex_value(s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)((unsigned)hi << 4 | (unsigned)lo);
	}
	return true;
}

enum mg_err
mg_uuid_parse(const char *s, struct mg_uuid *u)
{
	struct mg_uuid t;
	size_t i, o = 0;
	int hi, lo;

	memset(u, 0, sizeof(*u));
	if (strlen(s) != MG_UUID_STR - 1)
		return MG_ERR_FORMAT;
	for (i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && s[o++] != '-')
			return MG_ERR_FORMAT;
		hi = hex_value(s[o++]);
		lo = hex_value(s[o++]);
		if (hi < 0 || lo < 0)
			return MG_ERR_FORMAT;
		t.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*u = t;
	return MG_ERR_OK;
}

bool
mg_uuid_equal(const struct mg_uuid *a, const struct mg_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void
mg_code_from_uuid(const struct mg_uuid *u, char out[MG_CODE_STR])
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < 7; i++)
		v = (v << 8) | u->b[i];
	v >>= 6; /* 56 bits read, 50 kept */
	for (i = 0; i < MG_CODE_STR - 1; i++)
		out[i] = mg_code_symbols[(v >> (45 - 5 * i)) & 31];
	out[MG_CODE_STR - 1] = '\0';
}

char
mg_code_char(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'O')
		return '0';
	if (c == 'I' || c == 'L')
		return '1';
	if (c == '\0' || strchr(mg_code_symbols, c) == NULL)
		return '\0';
	return c;
}

enum mg_err
mg_code_parse(const char *s, char out[MG_CODE_STR])
{
	char t[MG_CODE_STR], c;
	size_t n = 0, seen = 0;

	out[0] = '\0';
	for (; *s != '\0'; s++) {
		if (++seen > 2 * MG_CODE_STR)
			return MG_ERR_FORMAT;
		if (*s == '-' || *s == ' ')
			continue;
		if ((c = mg_code_char(*s)) == '\0' || n >= MG_CODE_STR - 1)
			return MG_ERR_FORMAT;
		t[n++] = c;
	}
	if (n != MG_CODE_STR - 1)
		return MG_ERR_FORMAT;
	t[n] = '\0';
	memcpy(out, t, sizeof(t));
	return MG_ERR_OK;
}

enum mg_err
mg_random_hex(char *out, size_t n)
{
	uint8_t p[64];
	enum mg_err r;

	out[0] = '\0';
	if (n > sizeof(p))
		return MG_ERR_LIMIT;
	if ((r = fill_random(p, n)) == MG_ERR_OK)
		mg_hex(p, n, out);
	return r;
}
