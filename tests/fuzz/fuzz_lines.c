/* SPDX-License-Identifier: ISC */
/*
 * Segments of a ledger as files. The first byte chooses: 'z', the rest is
 * compressed; else it is plain, and its lines are what it is made of.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mg_lines.h"
#include "mg_rec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
file_of(const uint8_t *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd == -1 || (n > 0 && write(fd, p, n) != (ssize_t)n) ||
	    lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

/* Each line is the next one of the text. */
static void
check_plain(const uint8_t **pp, const uint8_t *end, const char *s, size_t n)
{
	if ((size_t)(end - *pp) <= n || memcmp(*pp, s, n) != 0 ||
	    (*pp)[n] != '\n' || memchr(s, '\n', n) != NULL)
		abort();
	*pp += n + 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p, *end;
	struct mg_lines *l;
	uint64_t total = 0;
	const char *s;
	enum mg_err r;
	bool packed;
	size_t n;

	if (size == 0)
		return 0;
	packed = data[0] == 'z';
	p = data + 1;
	end = data + size;
	if ((l = mg_lines_new(file_of(p, size - 1), packed)) == NULL)
		return 0;
	while ((r = mg_lines_next(l, &s, &n)) == MG_ERR_OK) {
		if (n > MG_REC_LINE_MAX)
			abort();
		if (!packed)
			check_plain(&p, end, s, n);
		total += n + 1;
		if (total > MG_LINES_UNPACKED_MAX + MG_REC_LINE_MAX)
			abort();
	}
	if (!packed && r == MG_ERR_NOENT && p != end)
		abort();
	if (!packed && r == MG_ERR_TRUNC && (n != (size_t)(end - p) || n == 0))
		abort();
	if (mg_lines_pos(l) > size - 1)
		abort();
	mg_lines_free(l);
	return 0;
}
