/* SPDX-License-Identifier: ISC */
/*
 * discard: what could be discarded; and, as the command of the operation
 * "discard", the question to the agent. Nothing is decided here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "led.h"
#include "mg_client.h"
#include "mg_time.h"

#define ANSWER_MS 600000

/* A row for each segment: its last line, and how old that is. */
static int
print_segments(struct led *led)
{
	struct mg_ledger_file *v;
	struct stat st;
	size_t n, i;
	int dirfd;

	dirfd = open(LED_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd == -1 || mg_ledger_list(dirfd, &v, &n) != MG_ERR_OK)
		return led_fail(
		    led, "cannot read '%s': %s", LED_DIR, strerror(errno));
	for (i = 0; i < mg_ledger_keep_from(n); i++) {
		if (fstatat(dirfd, v[i].name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		printf(led->json ? "{\"last\":%llu,\"days\":%lld,"
				   "\"bytes\":%lld,\"compressed\":%s}\n"
				 : "%20llu  %5lld days  %9lld bytes  %s\n",
		    (unsigned long long)v[i + 1].first - 1,
		    (long long)(time(NULL) - st.st_mtime) / 86400,
		    (long long)st.st_size,
		    led->json ? (v[i].zst ? "true" : "false")
			      : (v[i].zst ? "compressed" : "plain"));
	}
	free(v);
	close(dirfd);
	return 0;
}

static bool
number(const char *s, uint64_t *vp)
{
	*vp = 0;
	if (s[0] == '0' || strlen(s) > 18)
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		*vp = *vp * 10 + (uint64_t)(*s - '0');
	return *s == '\0' && *vp > 0;
}

int
led_discard(struct led *led, const char *what)
{
	struct mg_discard_req req;
	struct mg_refused refused;
	struct mg_done done;
	struct mg_chan *ch;
	struct mg_frame f;
	int status = LED_FAILED;

	if (what == NULL)
		return print_segments(led);
	if (!number(what, &req.last))
		return led_fail(
			   led, "'%s' is not the number of a record", what),
		       LED_USAGE;
	if (mg_client_connect(MG_CLIENT_SOCKET, 5000, &ch) != MG_ERR_OK)
		return led_fail(led, "the agent cannot be reached");
	memset(&f, 0, sizeof(f));
	if (mg_chan_send(ch, 1, MG_MSG_DISCARD_REQ, &req) != MG_ERR_OK ||
	    mg_chan_wait(ch, ANSWER_MS, &f) != MG_ERR_OK)
		(void)led_fail(led, "the agent does not answer");
	else if (f.op == MG_MSG_REFUSED &&
		 mg_frame_decode(&f, &refused, sizeof(refused)) == MG_ERR_OK)
		(void)led_fail(led, "refused: %s", refused.text);
	else if (f.op == MG_MSG_DONE &&
		 mg_frame_decode(&f, &done, sizeof(done)) == MG_ERR_OK) {
		printf("%s\n", done.text);
		status = 0;
	}
	mg_chan_free(ch);
	return status;
}
