/* SPDX-License-Identifier: ISC */
/*
 * Framed channels against a peer that writes what it likes: mg_chan.c.
 * Every test ends with as many open descriptors as it began with.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mg_chan.h"
#include "mg_time.h"
#include "open_fds.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define QUEUE (4 * MG_MSG_PAYLOAD_MAX)

/* We are the monitor; the peer may be a runner or a client's worker. */
static struct mg_chan *ch;
static int peer = -1;
static unsigned fds_before;

static void
connect_as(unsigned self, unsigned other)
{
	int sp[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
	assert_non_null(ch = mg_chan_new(sp[0], self, other, QUEUE));
	peer = sp[1];
}

static int
setup(void **state)
{
	(void)state;
	fds_before = open_fds();
	connect_as(MG_ROLE_MONITOR | MG_ROLE_AGENT | MG_ROLE_QUERY,
	    MG_ROLE_RUN | MG_ROLE_CLIENT | MG_ROLE_VERIFY | MG_ROLE_FRONT |
		MG_ROLE_MONITOR);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mg_chan_free(ch);
	ch = NULL;
	if (peer != -1)
		close(peer);
	peer = -1;
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

/* ---- the peer's pen ---- */

/* One frame's bytes, header as given. */
static size_t
frame(uint8_t *out, uint32_t len, unsigned op, unsigned version,
    const void *payload, size_t n)
{
	const uint8_t head[12] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
	    (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)(op >> 8), (uint8_t)op,
	    (uint8_t)(version >> 8), (uint8_t)version, 0, 0, 0, 7};

	memcpy(out, head, sizeof(head));
	if (n > 0)
		memcpy(out + sizeof(head), payload, n);
	return sizeof(head) + n;
}

/* Well-formed frames that a runner may send. */
static size_t
stopped(uint8_t *out)
{
	return frame(out, 12, MG_MSG_RUN_STOPPED, 1, "\0\0\0\24", 4);
}

static size_t
ready(uint8_t *out)
{
	static const uint8_t body[] = {
	    0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0};

	return frame(
	    out, 8 + sizeof(body), MG_MSG_RUN_READY, 1, body, sizeof(body));
}

/* A client's RUN_REQ: one descriptor may ride on it. */
static size_t
run_req(uint8_t *out)
{
	struct mg_run_req req = {.operation = "deploy"};
	struct mg_buf b;
	size_t n;

	mg_buf_init(&b, 4096);
	assert_int_equal(
	    mg_msg_encode(&b, 7, MG_MSG_RUN_REQ, &req, NULL), MG_ERR_OK);
	n = mg_buf_len(&b);
	memcpy(out, mg_buf_ptr(&b), n);
	mg_buf_fini(&b);
	return n;
}

/* Segments for a reader: sixteen descriptors may ride on it. */
static size_t
segments(uint8_t *out)
{
	static const uint8_t body[8] = {0};

	return frame(out, 8 + sizeof(body), MG_MSG_QUERY_NEXT_ANS, 1, body,
	    sizeof(body));
}

/* Sends n bytes with nfds descriptors (of /dev/null) riding on them. */
static void
post(const void *p, size_t n, size_t nfds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[64];
	size_t i;

	assert_true(nfds <= N(fds));
	memset(&ctl, 0, sizeof(ctl));
	for (i = 0; i < nfds; i++)
		assert_true((fds[i] = open("/dev/null", O_RDONLY)) != -1);
	if (nfds > 0) {
		m.msg_control = ctl.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		ctl.align.cmsg_level = SOL_SOCKET;
		ctl.align.cmsg_type = SCM_RIGHTS;
		ctl.align.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(&ctl.align), fds, sizeof(int) * nfds);
	}
	assert_int_equal(sendmsg(peer, &m, MSG_NOSIGNAL), (ssize_t)n);
	for (i = 0; i < nfds; i++)
		close(fds[i]);
}

static void
hang_up(void)
{
	close(peer);
	peer = -1;
}

static void
assert_violation(const char *expected)
{
	struct mg_frame f;
	const char *why;

	assert_int_equal(mg_chan_recv(ch, &f, &why), MG_ERR_PROTO);
	assert_string_equal(why, expected);
	/* Dead from then on, whatever comes. */
	assert_int_equal(mg_chan_recv(ch, &f, &why), MG_ERR_PROTO);
	assert_int_equal(f.nfds, 0);
}

static void
assert_frame(enum mg_msg_op op, size_t nfds)
{
	struct mg_frame f;
	size_t i;

	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_OK);
	assert_int_equal(f.op, op);
	assert_int_equal(f.id, 7);
	assert_int_equal(f.nfds, nfds);
	for (i = 0; i < MG_MSG_FDS_MAX; i++)
		assert_int_equal(f.fds[i] != -1, i < nfds);
}

static void
assert_nothing_yet(void)
{
	struct mg_frame f;

	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_AGAIN);
	assert_int_equal(f.nfds, 0);
	assert_null(f.payload);
}

/* ---- frames ---- */

static void
a_frame_that_comes_byte_by_byte_is_given_out_once_and_whole(void **state)
{
	uint8_t w[256];
	size_t n = ready(w), i;

	(void)state;
	for (i = 0; i + 1 < n; i++) {
		post(w + i, 1, 0);
		assert_nothing_yet();
	}
	post(w + i, 1, 0);
	assert_frame(MG_MSG_RUN_READY, 0);
	assert_nothing_yet();
}

static void
glued_frames_come_out_one_by_one(void **state)
{
	uint8_t w[1024];
	size_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		n += stopped(w + n);
	post(w, n, 0);
	for (i = 0; i < 10; i++)
		assert_frame(MG_MSG_RUN_STOPPED, 0);
	assert_nothing_yet();
}

static void
an_end_between_frames_is_told_from_one_inside(void **state)
{
	uint8_t w[256];
	size_t n = ready(w), cut;
	struct mg_frame f;

	(void)state;
	post(w, n, 0);
	hang_up();
	assert_frame(MG_MSG_RUN_READY, 0);
	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_CLOSED);
	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_CLOSED);
	for (cut = 1; cut < n; cut++) {
		mg_chan_free(ch);
		connect_as(MG_ROLE_MONITOR, MG_ROLE_RUN);
		post(w, cut, 0);
		hang_up();
		assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_TRUNC);
	}
}

static void
rule1_a_bad_header_is_refused_before_its_payload_comes(void **state)
{
	static const struct {
		uint32_t len;
		unsigned op, version;
		const char *why;
	} cases[] = {
	    {0, MG_MSG_RUN_READY, 1, "length outside of the message's limit"},
	    {7, MG_MSG_RUN_READY, 1, "length outside of the message's limit"},
	    {8 + 513, MG_MSG_RUN_READY, 1,
		"length outside of the message's limit"},
	    {UINT32_MAX, MG_MSG_RUN_READY, 1,
		"length outside of the message's limit"},
	    {8, 0, 1, "unknown message"},
	    {8, 9999, 1, "unknown message"},
	    {8, MG_MSG_RUN_READY, 0, "unknown protocol version"},
	    {8, MG_MSG_RUN_READY, 2, "unknown protocol version"},
	    {8, MG_MSG_RUN_READY, 256, "unknown protocol version"},
	    /* the monitor's own, and another process's */
	    {9, MG_MSG_RUN_KILL, 1, "message not for this direction"},
	    {8, MG_MSG_AUTH_RESULT, 1, "message not for this direction"},
	};
	uint8_t w[16];
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		(void)frame(
		    w, cases[i].len, cases[i].op, cases[i].version, NULL, 0);
		post(w, 12, 0);
		assert_violation(cases[i].why);
		mg_chan_free(ch);
		close(peer);
		connect_as(MG_ROLE_MONITOR, MG_ROLE_RUN);
	}
}

static void
a_violation_behind_a_good_frame_does_not_spoil_it(void **state)
{
	uint8_t w[256];
	size_t n = stopped(w);

	(void)state;
	n += frame(w + n, 8, 9999, 1, NULL, 0);
	post(w, n, 0);
	assert_frame(MG_MSG_RUN_STOPPED, 0);
	assert_violation("unknown message");
}

static void
a_payload_that_does_not_decode_is_not_given_out_as_a_message(void **state)
{
	struct mg_run_stopped msg = {.signo = 9};
	struct mg_frame f;
	uint8_t w[64];

	(void)state;
	post(w, frame(w, 11, MG_MSG_RUN_STOPPED, 1, "abc", 3), 0);
	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_OK);
	assert_int_equal(mg_frame_decode(&f, &msg, sizeof(msg)), MG_ERR_TRUNC);
	assert_int_equal(msg.signo, 0);
}

/* ---- descriptors ---- */

static void
rule2_a_descriptor_on_a_message_that_carries_none_ends_the_channel(void **state)
{
	uint8_t w[64];

	(void)state;
	post(w, stopped(w), 1);
	assert_violation("descriptors that were not asked for");
}

static void
rule2_one_descriptor_more_than_the_row_allows_ends_the_channel(void **state)
{
	uint8_t w[256];

	(void)state;
	post(w, run_req(w), 1);
	assert_frame(MG_MSG_RUN_REQ, 1);
	post(w, run_req(w), 2);
	assert_violation("descriptors that were not asked for");
}

static void
rule2_as_many_descriptors_as_the_kernel_takes_end_the_channel(void **state)
{
	uint8_t w[256];

	(void)state;
	/* More than there is room for: MSG_CTRUNC. */
	post(w, segments(w), 64);
	assert_violation("too many descriptors");
}

static void
rule2_descriptors_that_the_kernel_could_not_install_end_the_channel(
    void **state)
{
	struct rlimit was, low;
	struct mg_frame f;
	uint8_t w[256];
	const char *why;
	enum mg_err r;
	int next;

	(void)state;
	post(w, segments(w), 3);
	/* Room for one of the three: MSG_CTRUNC without any overflow. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true((next = dup(peer)) != -1);
	close(next);
	low = was;
	low.rlim_cur = (rlim_t)next + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	r = mg_chan_recv(ch, &f, &why);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(r, MG_ERR_PROTO);
	assert_string_equal(why, "too many descriptors");
	assert_int_equal(f.nfds, 0);
	assert_int_equal(open_fds(), fds_before + 2);
}

static void
rule2_exactly_one_more_than_any_row_allows_ends_the_channel(void **state)
{
	uint8_t w[256];

	(void)state;
	post(w, segments(w), MG_MSG_FDS_MAX + 1);
	assert_violation("too many descriptors");
}

static void
rule2_descriptors_in_small_portions_are_counted_together(void **state)
{
	uint8_t w[256];
	size_t n = run_req(w);

	(void)state;
	post(w, 1, 1);
	assert_nothing_yet();
	/* The second, on a byte of the payload. */
	post(w + 1, n - 2, 0);
	assert_nothing_yet();
	post(w + n - 1, 1, 1);
	assert_violation("descriptors that were not asked for");
}

static void
rule2_descriptors_on_half_a_header_cannot_pile_up(void **state)
{
	uint8_t w[256];
	struct mg_frame f;
	enum mg_err r = MG_ERR_AGAIN;
	size_t i;

	(void)state;
	(void)segments(w);
	for (i = 0; i < 11 && r == MG_ERR_AGAIN; i++) {
		post(w + i, 1, 2);
		r = mg_chan_recv(ch, &f, NULL);
	}
	assert_int_equal(r, MG_ERR_PROTO);
	/* 8 portions of 2 fit; what came with the ninth is closed. */
	assert_int_equal(i, 9);
	assert_true(open_fds() <= fds_before + 2 + MG_MSG_FDS_MAX);
}

static void
rule3_descriptors_stay_with_their_frame_among_glued_ones(void **state)
{
	uint8_t w[1024];
	size_t n;

	(void)state;
	/* A sender ends the piece that carries descriptors with the frame;
	 * what comes before and behind may be glued to it on our side. */
	n = stopped(w);
	n += stopped(w + n);
	post(w, n, 0);
	post(w, segments(w), 2);
	n = stopped(w);
	n += segments(w + n);
	post(w, n, 0);
	post(w, segments(w), 1);
	post(w, stopped(w), 0);
	assert_frame(MG_MSG_RUN_STOPPED, 0);
	assert_frame(MG_MSG_RUN_STOPPED, 0);
	assert_frame(MG_MSG_QUERY_NEXT_ANS, 2);
	assert_frame(MG_MSG_RUN_STOPPED, 0);
	assert_frame(MG_MSG_QUERY_NEXT_ANS, 0);
	assert_frame(MG_MSG_QUERY_NEXT_ANS, 1);
	assert_frame(MG_MSG_RUN_STOPPED, 0);
	assert_nothing_yet();
}

static void
rule3_half_a_frame_with_descriptors_and_the_rest_glued_to_others(void **state)
{
	uint8_t w[1024], x[1024];
	size_t n = stopped(w), m = segments(x), cut;

	(void)state;
	for (cut = 1; cut < m; cut++) {
		memcpy(w + n, x, cut);
		post(w, n, 0);
		post(x, cut, 3);
		/* The rest, and another frame right behind it. */
		memcpy(w + n, x + cut, m - cut);
		(void)stopped(w + n + m - cut);
		post(w + n, m - cut + n, 0);
		assert_frame(MG_MSG_RUN_STOPPED, 0);
		assert_frame(MG_MSG_QUERY_NEXT_ANS, 3);
		assert_frame(MG_MSG_RUN_STOPPED, 0);
		assert_nothing_yet();
	}
}

static void
rule3_the_rest_of_a_frame_and_the_next_set_of_descriptors_do_not_mix(
    void **state)
{
	uint8_t w[1024];
	size_t n = segments(w), cut;

	(void)state;
	for (cut = 1; cut < n; cut++) {
		post(w, cut, 3);
		assert_nothing_yet();
		post(w + cut, n - cut, 0);
		post(w, n, 2);
		assert_frame(MG_MSG_QUERY_NEXT_ANS, 3);
		assert_frame(MG_MSG_QUERY_NEXT_ANS, 2);
		assert_nothing_yet();
	}
}

static void
rule3_descriptors_on_a_piece_of_two_frames_go_to_the_second(void **state)
{
	uint8_t w[1024];
	size_t n = segments(w);

	(void)state;
	n += segments(w + n);
	post(w, n, 1);
	assert_frame(MG_MSG_QUERY_NEXT_ANS, 0);
	assert_frame(MG_MSG_QUERY_NEXT_ANS, 1);
	/* And if the second may have none, that ends it. */
	n = segments(w);
	n += stopped(w + n);
	post(w, n, 1);
	assert_frame(MG_MSG_QUERY_NEXT_ANS, 0);
	assert_violation("descriptors that were not asked for");
}

static void
a_descriptor_that_is_taken_is_the_caller_s_and_the_rest_are_closed(void **state)
{
	struct mg_frame f;
	uint8_t w[256];
	struct stat st;
	int fd;

	(void)state;
	post(w, segments(w), 3);
	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_OK);
	fd = mg_frame_take_fd(ch, &f, 1);
	assert_true(fd != -1);
	assert_int_equal(f.fds[1], -1);
	assert_int_equal(mg_frame_take_fd(ch, &f, 1), -1); /* once */
	assert_int_equal(mg_frame_take_fd(ch, &f, 3), -1); /* there is none */
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(open_fds(), fds_before + 2 + 3);
	assert_nothing_yet();
	assert_int_equal(open_fds(), fds_before + 2 + 1);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
}

static void
descriptors_of_a_frame_that_never_becomes_whole_are_closed(void **state)
{
	struct mg_frame f;
	uint8_t w[256];

	(void)state;
	post(w, segments(w) - 1, 3);
	hang_up();
	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_TRUNC);
	assert_int_equal(f.nfds, 0);
}

/* ---- sending ---- */

static void
a_message_is_sent_in_its_direction_and_with_its_descriptors_only(void **state)
{
	struct mg_run_stopped s = {.signo = 9};
	struct mg_run_kill go = {0};
	struct mg_front_conn d = {0};
	const int fds[2] = {peer, peer};

	(void)state;
	assert_int_equal(
	    mg_chan_send(ch, 1, MG_MSG_RUN_STOPPED, &s), MG_ERR_INTERNAL);
	assert_int_equal(
	    mg_chan_send(ch, 1, (enum mg_msg_op)999, &s), MG_ERR_INTERNAL);
	assert_int_equal(mg_chan_send_fds(ch, 1, MG_MSG_RUN_KILL, &go, fds, 1),
	    MG_ERR_INTERNAL);
	assert_int_equal(mg_chan_send_fds(ch, 1, MG_MSG_FRONT_CONN, &d, fds, 2),
	    MG_ERR_INTERNAL);
	assert_false(mg_chan_has_output(ch));
	assert_int_equal(
	    mg_chan_send_fds(ch, 1, MG_MSG_FRONT_CONN, &d, fds, 1), MG_ERR_OK);
}

static void
a_descriptor_that_is_not_open_is_not_sent_and_neither_is_its_message(
    void **state)
{
	struct mg_run_spec spec = {
	    .uuid = "3e02fa34-5d3b-4a64-9c0e-0123456789ab",
	    .cwd = "/",
	    .user = "mlserve"};
	const int bad[2] = {peer, -1};
	char c;

	(void)state;
	assert_int_equal(
	    mg_chan_send_fds(ch, 1, MG_MSG_RUN_SPEC, &spec, bad, 2),
	    MG_ERR_SYS);
	assert_int_equal(open_fds(), fds_before + 2);
	assert_false(mg_chan_has_output(ch));
	assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
a_queue_that_is_full_takes_no_more_and_loses_nothing(void **state)
{
	struct mg_started m = {
	    .uuid = "3e02fa34-5d3b-4a64-9c0e-0123456789ab", .run = 0};
	struct mg_chan *other;
	struct mg_frame f;
	uint32_t sent = 0, seen = 0;
	enum mg_err r;
	int sp[2], small = 4096;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	assert_int_equal(
	    setsockopt(sp[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	mg_chan_free(ch);
	assert_non_null(
	    ch = mg_chan_new(sp[0], MG_ROLE_AGENT, MG_ROLE_CLIENT, 1000));
	assert_non_null(
	    other = mg_chan_new(sp[1], MG_ROLE_CLIENT, MG_ROLE_AGENT, 1000));
	/* Each with a descriptor: those wait too, and are not lost. */
	do {
		m.run = sent;
		r = mg_chan_send_fds(ch, 7, MG_MSG_STARTED, &m, &peer, 1);
		if (r == MG_ERR_OK)
			sent++;
	} while (r == MG_ERR_OK);
	assert_int_equal(r, MG_ERR_LIMIT);
	assert_true(sent > 5);
	assert_true(mg_chan_has_output(ch));
	for (;;) {
		assert_int_equal(mg_chan_flush(ch), MG_ERR_OK);
		if ((r = mg_chan_recv(other, &f, NULL)) != MG_ERR_OK)
			break;
		assert_int_equal(mg_frame_decode(&f, &m, sizeof(m)), MG_ERR_OK);
		assert_int_equal(m.run, seen);
		assert_int_equal(f.nfds, 1);
		seen++;
	}
	assert_int_equal(r, MG_ERR_AGAIN);
	assert_int_equal(seen, sent);
	assert_false(mg_chan_has_output(ch));
	mg_chan_free(other);
}

static void
unsent_messages_and_their_descriptors_are_freed_with_the_channel(void **state)
{
	struct mg_started m = {.uuid = "3e02fa34-5d3b-4a64-9c0e-0123456789ab"};
	enum mg_err r;
	int n = 0;

	(void)state;
	mg_chan_free(ch);
	close(peer);
	connect_as(MG_ROLE_AGENT, MG_ROLE_CLIENT);
	do
		r = mg_chan_send_fds(ch, 7, MG_MSG_STARTED, &m, &peer, 1);
	while (r == MG_ERR_OK && ++n < 100000);
	assert_int_equal(r, MG_ERR_LIMIT);
	assert_true(mg_chan_has_output(ch));
	/* At most 64 sets of them wait. */
	assert_true(open_fds() <= fds_before + 2 + 64);
}

static void
large_messages_with_descriptors_pass_between_two_channels(void **state)
{
	static char arg[1500];
	static struct mg_run_spec spec, got;
	struct mg_chan *other;
	struct mg_frame f;
	int sp[2], i, round;
	const int fds[2] = {peer, peer};
	enum mg_err r;

	(void)state;
	memset(arg, 'x', sizeof(arg) - 1);
	memset(&spec, 0, sizeof(spec));
	spec.uuid = "3e02fa34-5d3b-4a64-9c0e-0123456789ab";
	spec.cwd = "/";
	spec.user = "mlserve";
	for (i = 0; i < 48; i++)
		spec.argv[spec.argv_n++] = arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	mg_chan_free(ch);
	assert_non_null(
	    ch = mg_chan_new(sp[0], MG_ROLE_MONITOR, MG_ROLE_RUN, QUEUE));
	assert_non_null(
	    other = mg_chan_new(sp[1], MG_ROLE_RUN, MG_ROLE_MONITOR, QUEUE));
	for (round = 0; round < 8; round++)
		assert_int_equal(
		    mg_chan_send_fds(ch, (uint32_t)round, MG_MSG_RUN_SPEC,
			&spec, fds, (size_t)round % 3),
		    MG_ERR_OK);
	for (round = 0; round < 8;) {
		assert_int_equal(mg_chan_flush(ch), MG_ERR_OK);
		if ((r = mg_chan_recv(other, &f, NULL)) == MG_ERR_AGAIN)
			continue;
		assert_int_equal(r, MG_ERR_OK);
		assert_int_equal(f.id, round);
		assert_int_equal(f.nfds, round % 3);
		assert_int_equal(
		    mg_frame_decode(&f, &got, sizeof(got)), MG_ERR_OK);
		assert_int_equal(got.argv_n, 48);
		assert_string_equal(got.argv[47], arg);
		round++;
	}
	mg_chan_free(other);
}

static void
a_peer_that_is_gone_is_an_error_and_no_signal(void **state)
{
	struct mg_run_kill go = {0};

	(void)state;
	hang_up();
	assert_int_equal(
	    mg_chan_send(ch, 1, MG_MSG_RUN_KILL, &go), MG_ERR_CLOSED);
	assert_int_equal(
	    mg_chan_send(ch, 1, MG_MSG_RUN_KILL, &go), MG_ERR_CLOSED);
}

static void
what_a_peer_said_before_it_hung_up_is_read(void **state)
{
	struct mg_run_kill go = {0};
	struct mg_frame f;
	uint8_t w[256];

	(void)state;
	post(w, ready(w), 0);
	hang_up();
	assert_int_equal(
	    mg_chan_send(ch, 1, MG_MSG_RUN_KILL, &go), MG_ERR_CLOSED);
	assert_int_equal(mg_chan_wait(ch, 1000, &f), MG_ERR_OK);
	assert_int_equal(f.op, MG_MSG_RUN_READY);
	assert_int_equal(mg_chan_wait(ch, 1000, &f), MG_ERR_CLOSED);
}

static void
who_broke_the_rules_can_still_be_told(void **state)
{
	struct mg_run_kill go = {0};
	struct mg_frame f;
	uint8_t w[256];
	const char *why;

	(void)state;
	memset(w, 0xff, sizeof(w));
	post(w, sizeof(w), 0);
	assert_int_equal(mg_chan_recv(ch, &f, &why), MG_ERR_PROTO);
	assert_int_equal(mg_chan_send(ch, 1, MG_MSG_RUN_KILL, &go), MG_ERR_OK);
	assert_int_equal(mg_chan_recv(ch, &f, &why), MG_ERR_PROTO);
}

/* ---- waiting ---- */

static void
waiting_ends_at_its_time_even_if_bytes_trickle_in(void **state)
{
	uint8_t w[256];
	struct mg_frame f;
	int64_t start = mg_time_boot_ms();

	(void)state;
	post(w, ready(w) - 1, 0);
	assert_int_equal(mg_chan_wait(ch, 50, &f), MG_ERR_TIMEOUT);
	assert_true(mg_time_boot_ms() - start >= 50);
	assert_true(mg_time_boot_ms() - start < 5000);
	assert_int_equal(mg_chan_wait(ch, 0, &f), MG_ERR_TIMEOUT);
	hang_up();
	assert_int_equal(mg_chan_wait(ch, -1, &f), MG_ERR_TRUNC);
}

static void
a_secret_does_not_stay_in_memory_behind_its_frame(void **state)
{
	struct mg_auth_ans ans = {.text = "hunter2hunter2hunter2"};
	struct mg_auth_ans got;
	struct mg_frame f;
	struct mg_buf b;
	const char *where;

	(void)state;
	mg_buf_init(&b, 1024);
	assert_int_equal(
	    mg_msg_encode(&b, 7, MG_MSG_AUTH_ANS, &ans, NULL), MG_ERR_OK);
	post(mg_buf_ptr(&b), mg_buf_len(&b), 0);
	assert_int_equal(mg_chan_recv(ch, &f, NULL), MG_ERR_OK);
	assert_int_equal(mg_frame_decode(&f, &got, sizeof(got)), MG_ERR_OK);
	where = got.text;
	assert_string_equal(where, ans.text);
	assert_nothing_yet();
	assert_int_equal(where[0], 0);
	assert_int_equal(where[10], 0);
	mg_buf_fini(&b);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_frame_that_comes_byte_by_byte_is_given_out_once_and_whole),
	    T(glued_frames_come_out_one_by_one),
	    T(an_end_between_frames_is_told_from_one_inside),
	    T(rule1_a_bad_header_is_refused_before_its_payload_comes),
	    T(a_violation_behind_a_good_frame_does_not_spoil_it),
	    T(a_payload_that_does_not_decode_is_not_given_out_as_a_message),
	    T(rule2_a_descriptor_on_a_message_that_carries_none_ends_the_channel),
	    T(rule2_one_descriptor_more_than_the_row_allows_ends_the_channel),
	    T(rule2_as_many_descriptors_as_the_kernel_takes_end_the_channel),
	    T(rule2_descriptors_that_the_kernel_could_not_install_end_the_channel),
	    T(rule2_exactly_one_more_than_any_row_allows_ends_the_channel),
	    T(rule2_descriptors_in_small_portions_are_counted_together),
	    T(rule2_descriptors_on_half_a_header_cannot_pile_up),
	    T(rule3_descriptors_stay_with_their_frame_among_glued_ones),
	    T(rule3_half_a_frame_with_descriptors_and_the_rest_glued_to_others),
	    T(rule3_the_rest_of_a_frame_and_the_next_set_of_descriptors_do_not_mix),
	    T(rule3_descriptors_on_a_piece_of_two_frames_go_to_the_second),
	    T(a_descriptor_that_is_taken_is_the_caller_s_and_the_rest_are_closed),
	    T(descriptors_of_a_frame_that_never_becomes_whole_are_closed),
	    T(a_message_is_sent_in_its_direction_and_with_its_descriptors_only),
	    T(a_descriptor_that_is_not_open_is_not_sent_and_neither_is_its_message),
	    T(a_queue_that_is_full_takes_no_more_and_loses_nothing),
	    T(unsent_messages_and_their_descriptors_are_freed_with_the_channel),
	    T(large_messages_with_descriptors_pass_between_two_channels),
	    T(a_peer_that_is_gone_is_an_error_and_no_signal),
	    T(what_a_peer_said_before_it_hung_up_is_read),
	    T(who_broke_the_rules_can_still_be_told),
	    T(waiting_ends_at_its_time_even_if_bytes_trickle_in),
	    T(a_secret_does_not_stay_in_memory_behind_its_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
