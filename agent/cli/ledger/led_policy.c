/* SPDX-License-Identifier: ISC */
/*
 * The policy of an exported request: the very bytes that its digest is over,
 * so that nobody has to believe what is quoted.
 *
 *	modelgate policy v1
 *	policy/NAME LENGTH
 *	(so many bytes of policy.d/NAME)
 *	...
 *	operations/NAME LENGTH
 *	...
 *
 * Rules
 * 1. It is exported only when its SHA-256 is the digest that the request's
 *    record names, and it verifies only then.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "led.h"
#include "mg_file.h"
#include "mg_id.h"
#include "mg_ini.h"

#define HEAD "modelgate policy v1\n"
#define FILE_MAX ((size_t)16 << 20)

static bool
has_digest(const void *p, size_t n, const char *want)
{
	struct mg_sha *sha = mg_sha_new();
	char hex[2 * MG_MERKLE_HASH + 1];
	uint8_t md[MG_MERKLE_HASH];

	if (sha == NULL)
		return false;
	mg_sha_plain(sha, p, n, md);
	mg_sha_free(sha);
	mg_hex(md, sizeof(md), hex);
	return strncmp(want, "sha256:", 7) == 0 && strcmp(want + 7, hex) == 0;
}

/* ---- putting it together ---- */

int
led_is_ini(const struct dirent *de)
{
	return mg_ini_is_name(de->d_name);
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool
put_file(struct mg_buf *b, const char *dir, const char *kind, const char *name)
{
	char path[4096];
	struct mg_buf text;
	bool ok = false;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1)
		return false;
	mg_buf_init(&text, FILE_MAX);
	ok = mg_file_read(fd, &text) == MG_ERR_OK &&
	     mg_buf_putf(b, "%s/%s %zu\n", kind, name, mg_buf_len(&text)) ==
		 MG_ERR_OK &&
	     mg_buf_put(b, mg_buf_ptr(&text), mg_buf_len(&text)) == MG_ERR_OK;
	close(fd);
	mg_buf_fini(&text);
	return ok;
}

static bool
put_dir(struct mg_buf *b, const char *dir, const char *kind)
{
	struct dirent **v = NULL;
	bool ok = true;
	int n, i;

	n = scandir(dir, &v, led_is_ini, by_name);
	for (i = 0; i < n; i++) {
		ok = ok && put_file(b, dir, kind, v[i]->d_name);
		free(v[i]);
	}
	free(v);
	return ok && n >= 0;
}

/* Rule 1 */
bool
led_put_policy(struct mg_buf *b, const struct mg_rec *rec)
{
	return mg_buf_put_text(b, HEAD) == MG_ERR_OK &&
	       put_dir(b, MG_CONFDIR "/policy.d", "policy") &&
	       put_dir(b, MG_CONFDIR "/operations.d", "operations") &&
	       has_digest(
		   mg_buf_ptr(b), mg_buf_len(b), mg_rec_str(rec, "policy", ""));
}

/* Rule 1 */
bool
led_check_policy(const struct mg_rec *rec, const void *p, size_t n)
{
	return has_digest(p, n, mg_rec_str(rec, "policy", ""));
}

/* ---- quoting ---- */

/* The bytes of a file of policy.d; NULL: it is not in it. */
static const char *
find_file(const char *p, size_t n, const char *name, size_t *lenp)
{
	const char *end = p + n, *nl, *blank;
	size_t len;

	for (p += strlen(HEAD) < n ? strlen(HEAD) : n; p < end; p += len) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL ||
		    (blank = memchr(p, ' ', (size_t)(nl - p))) == NULL)
			return NULL;
		len = strtoul(blank + 1, NULL, 10);
		if (len > (size_t)(end - nl - 1))
			return NULL;
		if ((size_t)(blank - p) == 7 + strlen(name) &&
		    memcmp(p, "policy/", 7) == 0 &&
		    memcmp(p + 7, name, strlen(name)) == 0) {
			*lenp = len;
			return nl + 1;
		}
		p = nl + 1;
	}
	return NULL;
}

/* The section that begins in that line. */
static void
quote(const char *p, size_t n, unsigned long line,
    void (*say)(const char *text, size_t len))
{
	const char *end = p + n, *nl;
	unsigned long at;

	for (at = 1; p < end; at++, p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		if (at > line && *p == '[')
			break;
		if (at >= line && nl > p)
			say(p, (size_t)(nl - p));
	}
}

void
led_quote_rule(const void *policy, size_t n, const char *rule,
    void (*say)(const char *text, size_t len))
{
	const char *colon, *name, *p;
	char file[256];
	size_t len = 0;

	/* NAME (PATH/FILE:LINE) */
	if ((name = strrchr(rule, '(')) == NULL ||
	    (colon = strrchr(name, ':')) == NULL)
		return;
	for (p = name++; p < colon; p++)
		if (*p == '/')
			name = p + 1;
	say(rule, strlen(rule));
	snprintf(file, sizeof(file), "%.*s", (int)(colon - name), name);
	if ((p = find_file(policy, n, file, &len)) != NULL)
		quote(p, len, strtoul(colon + 1, NULL, 10), say);
}
