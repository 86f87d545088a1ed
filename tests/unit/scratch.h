/* SPDX-License-Identifier: ISC */
#ifndef SCRATCH_H
#define SCRATCH_H

/* A folder of its own for each test: what cmocka's set-up and tear-down are,
 * and what puts files there. After <cmocka.h>. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"

struct place {
	char path[64];
	int fd;
};

static int
remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return 1;
	snprintf(p->path, sizeof(p->path), "/tmp/mg-scratch-XXXXXX");
	if (mkdtemp(p->path) == NULL)
		return 1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY);
	*state = p;
	return p->fd == -1;
}

static int
tear_down(void **state)
{
	struct place *p = *state;

	close(p->fd);
	(void)nftw(p->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void
put_file(const struct place *p, const char *name, const char *text)
{
	int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(mg_file_write(fd, text, strlen(text)), MG_ERR_OK);
	close(fd);
}

#endif
