/* SPDX-License-Identifier: ISC */
/*
 * mg-keep: works on old records for the monitor, which reads none of them:
 * compresses a segment, checks what was compressed, makes the hashes of all
 * lines anew.
 *
 * Runs as: _mg-front, no privileges, one per piece of work
 * Holds: ledger segments (read only), one new file that nothing reads yet
 * Accepts: ledger lines; segments from the monitor
 * Sends: what it made, into that file; questions for more segments
 * If it dies: what it made is thrown away; the old files stay
 *
 * Rules
 * 1. Who compresses does not judge: another process unpacks the result and
 *    compares every byte before the plain file goes.
 * 2. What is unpacked is bounded: in window, in bytes, in length of a line
 *    (mg_lines.h), and by the plain file, which it may not exceed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "ledger.h"
#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_lines.h"
#include "mg_log.h"
#include "mg_merkle.h"

#define CHANNEL_FD 3
#define USER "_mg-front"
#define STEP ((size_t)1 << 18)
#define LEVEL 6
#define ANSWER_MS 60000
#define LEAVES_AT_ONCE 2048

static const struct mg_confine_limits limits = {
    .cpu_s = 3600,
    .as_bytes = (uint64_t)1 << 29,
    .fsize_bytes = MG_CONFINE_INHERIT, /* the hashes of a long history */
    .nofile = 64,
    .nproc = 8192,
};

/* As many bytes as there are, at most size; 0 at the end. */
static size_t
fetch(int fd, uint8_t *p, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = read(fd, p + have, size - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n < 0)
			mg_fatal("cannot read: %s", strerror(errno));
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return have;
}

/* ---- pack: from 4 to 5 ---- */

static void
pack(void)
{
	static uint8_t plain[STEP], packed[STEP];
	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_outBuffer out;
	ZSTD_inBuffer in;
	size_t left;
	bool last;

	if (z == NULL ||
	    ZSTD_isError(
		ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1)))
		mg_fatal("cannot compress");
	do {
		in = (ZSTD_inBuffer){plain, fetch(4, plain, STEP), 0};
		last = in.size < STEP;
		do {
			out = (ZSTD_outBuffer){packed, sizeof(packed), 0};
			left = ZSTD_compressStream2(
			    z, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
			if (ZSTD_isError(left))
				mg_fatal("%s", ZSTD_getErrorName(left));
			if (mg_file_write(5, packed, out.pos) != MG_ERR_OK)
				mg_fatal("cannot write: %s", strerror(errno));
		} while (in.pos < in.size || (last && left > 0));
	} while (!last);
	ZSTD_freeCCtx(z);
}

/* ---- check: whether 5, unpacked, is 4 ---- */

/* Rules 1, 2 */
static void
check(void)
{
	struct mg_lines *lines = mg_lines_new(5, true);
	static uint8_t plain[MG_REC_LINE_MAX + 1];
	const char *line;
	enum mg_err r;
	size_t n;

	if (lines == NULL)
		mg_fatal("out of memory");
	while ((r = mg_lines_next(lines, &line, &n)) == MG_ERR_OK)
		if (fetch(4, plain, n + 1) != n + 1 ||
		    memcmp(plain, line, n) != 0 || plain[n] != '\n')
			mg_fatal("the compressed segment is another");
	if (r != MG_ERR_NOENT || fetch(4, plain, 1) != 0)
		mg_fatal("the compressed segment is another");
	mg_lines_free(lines);
}

/* ---- leaves: of all segments, to 4; 5 has older ones, or is not there ---- */

static void
put_leaves(const void *p, size_t len)
{
	if (mg_file_write(4, p, len) != MG_ERR_OK)
		mg_fatal("cannot write: %s", strerror(errno));
}

/* Those of lines that were discarded can only come from what was kept. */
static void
copy_leaves(uint64_t n)
{
	static uint8_t buf[LEAVES_AT_ONCE * MG_MERKLE_HASH];
	size_t step;

	for (; n > 0; n -= step) {
		step = n < LEAVES_AT_ONCE ? (size_t)n : LEAVES_AT_ONCE;
		if (fetch(5, buf, step * MG_MERKLE_HASH) !=
		    step * MG_MERKLE_HASH)
			mg_fatal("hashes of discarded lines are lost");
		put_leaves(buf, step * MG_MERKLE_HASH);
	}
}

/* Those of one segment, as long as more are needed. */
static void
hash_segment(struct mg_sha *sha, int fd, bool compressed, uint64_t *leftp)
{
	static uint8_t v[LEAVES_AT_ONCE][MG_MERKLE_HASH];
	struct mg_lines *lines = mg_lines_new(fd, compressed);
	enum mg_err r = MG_ERR_OK;
	const char *line;
	size_t n, k = 0;

	if (lines == NULL)
		mg_fatal("out of memory");
	while (
	    *leftp > 0 && (r = mg_lines_next(lines, &line, &n)) == MG_ERR_OK) {
		mg_sha_leaf(sha, line, n, v[k]);
		(*leftp)--;
		if (++k == LEAVES_AT_ONCE) {
			put_leaves(v, sizeof(v));
			k = 0;
		}
	}
	put_leaves(v, k * MG_MERKLE_HASH);
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		mg_fatal("a segment is damaged: modelgate verify");
	mg_lines_free(lines);
}

/* The next segments behind that line; how many. */
static size_t
ask(struct mg_chan *ch, uint64_t after, struct mg_frame *f,
    struct mg_query_next_ans *ans)
{
	struct mg_query_next_req req = {.after = after};

	memset(f, 0, sizeof(*f));
	if (mg_chan_send(ch, 1, MG_MSG_QUERY_NEXT_REQ, &req) != MG_ERR_OK ||
	    mg_chan_wait(ch, ANSWER_MS, f) != MG_ERR_OK ||
	    f->op != MG_MSG_QUERY_NEXT_ANS ||
	    mg_frame_decode(f, ans, sizeof(*ans)) != MG_ERR_OK ||
	    f->nfds != ans->compressed_len || ans->first_len != 8 * f->nfds)
		mg_fatal("no usable segments");
	return f->nfds;
}

static void
leaves(const char *need)
{
	struct mg_chan *ch =
	    mg_chan_new(CHANNEL_FD, MG_ROLE_QUERY, MG_ROLE_MONITOR, 4096);
	struct mg_sha *sha = mg_sha_new();
	uint64_t left = strtoull(need, NULL, 10), first = 0;
	struct mg_query_next_ans ans;
	struct mg_buf b;
	struct mg_frame f;
	bool begun = false;
	size_t i, n;

	if (ch == NULL || sha == NULL)
		mg_fatal("out of memory");
	while (left > 0) {
		if ((n = ask(ch, first, &f, &ans)) == 0)
			mg_fatal("lines are missing");
		mg_buf_init_read(&b, ans.first, ans.first_len);
		for (i = 0; i < n; i++) {
			if (mg_buf_get_u64(&b, &first) != MG_ERR_OK ||
			    first == 0)
				mg_fatal("no usable segments");
			if (!begun && first - 1 <= left) {
				copy_leaves(first - 1);
				left -= first - 1;
			}
			begun = true;
			hash_segment(sha, mg_frame_take_fd(ch, &f, i),
			    ans.compressed[i] != 0, &left);
		}
	}
	mg_sha_free(sha);
	mg_chan_free(ch);
}

int
main(int argc, char **argv)
{
	char why[256];

	mg_log_init("mg-keep", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (argc < 2 || mg_file_sanitise_std() != MG_ERR_OK ||
	    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		return 1;
	if (mg_confine_user(USER, &limits, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(0, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
	if (strcmp(argv[1], "pack") == 0)
		pack();
	else if (strcmp(argv[1], "check") == 0)
		check();
	else if (strcmp(argv[1], "leaves") == 0 && argc == 3)
		leaves(argv[2]);
	else
		return 2;
	return 0;
}
