/* SPDX-License-Identifier: ISC */
/*
 * The hub's journal as a file: refused with the place, or a mailbox that is
 * the same when it is read again, and after it was written anew.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/hub_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/mg-fuzz-XXXXXX";
static const struct hub_store_limits limits = {.requests = 50,
    .requests_per_host = 20,
    .bytes = 1 << 20,
    .keep_ended_ms = 1000};

static void
remove_dir(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, HUB_JOURNAL_NAME);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/lock", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void
put_file(const uint8_t *p, size_t n)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, HUB_JOURNAL_NAME);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1 || (n > 0 && write(fd, p, n) != (ssize_t)n))
		abort();
	close(fd);
}

/* How many requests there are; -1 when it is refused. */
static int
reopen(bool tidy)
{
	struct hub_store s;
	size_t torn = 0, dropped;
	char why[256] = "";
	int n;

	if (hub_store_open(&s, dir, &limits, &torn, why, sizeof(why)) !=
	    MG_ERR_OK) {
		if (why[0] == '\0')
			abort();
		return -1;
	}
	if (tidy && hub_store_tidy(&s, INT64_MAX / 2, &dropped) != MG_ERR_OK)
		abort();
	n = (int)s.n;
	hub_store_close(&s);
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	int n;

	if (!ready && (mkdtemp(dir) == NULL || atexit(remove_dir) != 0))
		abort();
	ready = true;
	put_file(data, size);
	if ((n = reopen(false)) == -1)
		return 0;
	if (reopen(true) == -1)
		abort(); /* what was read once is read again */
	if (reopen(false) > n)
		abort();
	return 0;
}
