/* SPDX-License-Identifier: ISC */
#ifndef PROTOCOL_PAGE_H
#define PROTOCOL_PAGE_H

/* The examples of PROTOCOL.md, for the tests that hold the code to them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"

/*
 * The first block of that kind ("```text") in the section with that
 * heading. The caller frees.
 */
static inline char *
page_block(const char *heading, const char *kind)
{
	int fd = open("agent/PROTOCOL.md", O_RDONLY | O_CLOEXEC);
	char mark[80], *s, *e, *out;
	struct mg_buf b;

	assert_true(fd != -1);
	mg_buf_init(&b, 1 << 20);
	assert_int_equal(mg_file_read(fd, &b), MG_ERR_OK);
	close(fd);
	assert_non_null(mg_buf_cstr(&b));
	snprintf(mark, sizeof(mark), "\n## %s\n", heading);
	assert_non_null(s = strstr((char *)b.d, mark));
	snprintf(mark, sizeof(mark), "\n```%s\n", kind);
	assert_non_null(s = strstr(s, mark));
	s += strlen(mark);
	assert_non_null(e = strstr(s, "```\n"));
	assert_non_null(out = strndup(s, (size_t)(e - s)));
	mg_buf_fini(&b);
	return out;
}

#endif
