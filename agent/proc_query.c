/* SPDX-License-Identifier: ISC */
/*
 * mg-query: reads the ledger for a client.
 *
 * Runs as: _mg-front, no privileges, one per question
 * Holds: ledger segments (read only) and the client's output descriptor
 * Accepts: one filter and segments from the monitor; ledger lines
 * Sends: the lines that pass, to the client; questions for more segments
 * If it dies: the listing is cut short and the client says so
 *
 * Rules
 * 1. What a person may see is decided by the monitor (only_user) and
 *    enforced here, line by line: a line without that user is not shown,
 *    and a line of a request is that of the request's user.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_id.h"
#include "mg_json.h"
#include "mg_lines.h"
#include "mg_log.h"
#include "mg_rec.h"
#include "mg_time.h"

#define CHANNEL_FD 3
#define USER "_mg-front"
#define READ_STEP 262144
#define OUT_MAX 1048576
#define BUCKETS 262144

/* What lines of a request do not repeat: whose, and about what. */
struct about {
	char uuid[MG_UUID_STR];
	char *user, *model, *version, *operation;
	struct about *next;
};

struct query {
	struct mg_query_req q;
	char request[MG_UUID_STR]; /* code or uuid, canonical */
	bool by_code;
	struct about *table[BUCKETS];
	struct mg_buf in, out;
	struct mg_rec rec;
	int out_fd;
	struct mg_chan *ch;
	/* The segment that is read. */
	int fd;		     /* -1: none yet */
	ZSTD_DCtx *zst;	     /* NULL: it is not compressed */
	bool frame_ended;    /* of it */
	uint64_t unpacked;   /* bytes of it */
	uint64_t first, seq; /* its first line; the last line seen */
};

static size_t
bucket_of(const char *uuid)
{
	uint32_t h = 2166136261U;

	for (; *uuid != '\0'; uuid++)
		h = (h ^ (unsigned char)*uuid) * 16777619U;
	return h % BUCKETS;
}

static const struct about *
find(const struct query *qy, const char *uuid)
{
	const struct about *a = qy->table[bucket_of(uuid)];

	while (a != NULL && strcmp(a->uuid, uuid) != 0)
		a = a->next;
	return a;
}

static char *
copy(const struct mg_rec *rec, const char *key)
{
	char *s = strdup(mg_rec_str(rec, key, ""));

	if (s == NULL)
		mg_fatal("out of memory");
	return s;
}

static void
learn(struct query *qy, const struct mg_rec *rec)
{
	const char *uuid = mg_rec_str(rec, "uuid", "");
	struct about *a;
	size_t b;

	if (uuid[0] == '\0' || strlen(uuid) >= sizeof(a->uuid) ||
	    !mg_rec_has(rec, "operation") || find(qy, uuid) != NULL)
		return;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		mg_fatal("out of memory");
	memcpy(a->uuid, uuid, strlen(uuid) + 1);
	a->user = copy(rec, "user");
	a->model = copy(rec, "model");
	a->version = copy(rec, "version");
	a->operation = copy(rec, "operation");
	b = bucket_of(uuid);
	a->next = qy->table[b];
	qy->table[b] = a;
}

static bool
is(const char *wanted, const char *have)
{
	return wanted[0] == '\0' || strcmp(wanted, have) == 0;
}

static bool
is_request(const struct query *qy, const char *uuid)
{
	struct mg_uuid u;
	char code[MG_CODE_STR];

	if (qy->request[0] == '\0')
		return true;
	if (mg_uuid_parse(uuid, &u) != MG_ERR_OK)
		return false;
	if (!qy->by_code)
		return strcmp(qy->request, uuid) == 0;
	mg_code_from_uuid(&u, code);
	return strcmp(qy->request, code) == 0;
}

static bool
is_in_time(const struct query *qy, const struct mg_rec *rec)
{
	int64_t at;

	if (qy->q.since_ms == 0 && qy->q.until_ms == 0)
		return true;
	if (mg_time_parse(mg_rec_str(rec, "at", ""), 0, &at) != MG_ERR_OK)
		return false;
	return (qy->q.since_ms == 0 || at >= qy->q.since_ms) &&
	       (qy->q.until_ms == 0 || at < qy->q.until_ms);
}

static bool
passes(struct query *qy, const struct mg_rec *rec)
{
	const char *uuid = mg_rec_str(rec, "uuid", "");
	const struct about *a = find(qy, uuid);
	const char *user = a != NULL ? a->user : mg_rec_str(rec, "user", "");

	if (!is(qy->q.only_user, user)) /* Rule 1 */
		return false;
	return is(qy->q.user, user) &&
	       is(qy->q.model,
		   a != NULL ? a->model : mg_rec_str(rec, "model", "")) &&
	       is(qy->q.version,
		   a != NULL ? a->version : mg_rec_str(rec, "version", "")) &&
	       is(qy->q.operation, a != NULL
				       ? a->operation
				       : mg_rec_str(rec, "operation", "")) &&
	       is(qy->q.type, mg_rec_str(rec, "type", "")) &&
	       (is(qy->q.outcome, mg_rec_str(rec, "state", "")) ||
		   is(qy->q.outcome, mg_rec_str(rec, "decision", ""))) &&
	       is_request(qy, uuid) && is_in_time(qy, rec);
}

/* False when the client does not read any more. */
static bool
flush_out(struct query *qy)
{
	struct pollfd p = {.fd = qy->out_fd, .events = POLLOUT};
	ssize_t n;

	while (mg_buf_len(&qy->out) > 0) {
		n = write(
		    qy->out_fd, mg_buf_ptr(&qy->out), mg_buf_len(&qy->out));
		if (n > 0) {
			mg_buf_consume(&qy->out, (size_t)n);
			continue;
		}
		if (n == -1 && errno == EAGAIN)
			(void)poll(&p, 1, -1);
		else if (n == -1 && errno != EINTR)
			return false;
	}
	return true;
}

/* What the lines of a request do not repeat, added behind what they say. */
static enum mg_err
put_about(struct query *qy, const struct about *a)
{
	struct mg_json j;

	/* An object of its own, whose brackets are cut off. */
	struct mg_buf b;
	enum mg_err r;

	mg_buf_init(&b, 4096);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "of_user", a->user);
	mg_json_str(&j, "of_operation", a->operation);
	mg_json_str(&j, "of_model", a->model);
	mg_json_str(&j, "of_version", a->version);
	mg_json_obj_end(&j);
	if ((r = mg_json_end(&j)) == MG_ERR_OK &&
	    (r = mg_buf_put_u8(&qy->out, ',')) == MG_ERR_OK)
		r = mg_buf_put(
		    &qy->out, mg_buf_ptr(&b) + 1, mg_buf_len(&b) - 1);
	mg_buf_fini(&b);
	return r;
}

static bool
emit(struct query *qy, const char *line, size_t n)
{
	const struct about *a = find(qy, mg_rec_str(&qy->rec, "uuid", ""));
	enum mg_err r;

	if (mg_buf_len(&qy->out) + n + 4096 > OUT_MAX && !flush_out(qy))
		return false;
	if (a != NULL && !mg_rec_has(&qy->rec, "operation")) {
		if ((r = mg_buf_put(&qy->out, line, n - 1)) == MG_ERR_OK)
			r = put_about(qy, a);
	} else {
		r = mg_buf_put(&qy->out, line, n);
	}
	return r == MG_ERR_OK && mg_buf_put_u8(&qy->out, '\n') == MG_ERR_OK;
}

/* The UUID of a line that was not parsed yet. A quote inside a value is
 * escaped, so what is found is the member. */
static bool
peek_uuid(const char *line, size_t n, char out[MG_UUID_STR])
{
	static const char mark[] = "\"uuid\":\"";
	const char *p = memmem(line, n, mark, sizeof(mark) - 1);

	if (p == NULL ||
	    (size_t)(line + n - p) < sizeof(mark) - 1 + MG_UUID_STR)
		return false;
	memcpy(out, p + sizeof(mark) - 1, MG_UUID_STR - 1);
	out[MG_UUID_STR - 1] = '\0';
	return true;
}

/* False when the line cannot pass, which saves parsing it: most lines are
 * of a request of which we know already that it does not. */
static bool
may_pass(const struct query *qy, const char *line, size_t n)
{
	char uuid[MG_UUID_STR];
	const struct about *a;

	if (!peek_uuid(line, n, uuid))
		return true;
	if (!is_request(qy, uuid))
		return false;
	return (a = find(qy, uuid)) == NULL ||
	       (is(qy->q.only_user, a->user) && is(qy->q.user, a->user) &&
		   is(qy->q.model, a->model) && is(qy->q.version, a->version) &&
		   is(qy->q.operation, a->operation));
}

/* All whole lines of in. 1 go on, 0 client gone, -1 broken ledger. */
static int
take_lines(struct query *qy)
{
	const char *p = (const char *)mg_buf_ptr(&qy->in), *nl, *start = p;
	const char *end = p + mg_buf_len(&qy->in);
	size_t n;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n = (size_t)(nl - p);
		qy->seq++;
		if (may_pass(qy, p, n)) {
			if (mg_rec_parse(&qy->rec, p, n) != MG_ERR_OK)
				return -1;
			learn(qy, &qy->rec);
			if (passes(qy, &qy->rec) && !emit(qy, p, n))
				return 0;
		}
		p = nl + 1;
	}
	mg_buf_consume(&qy->in, (size_t)(p - start));
	return mg_buf_len(&qy->in) > MG_REC_LINE_MAX ? -1 : 1;
}

static int
take_compressed(struct query *qy, const uint8_t *p, size_t n)
{
	static uint8_t plain[READ_STEP];
	ZSTD_inBuffer in = {p, n, 0};
	ZSTD_outBuffer out;
	size_t r;
	int go = 1;

	do {
		out = (ZSTD_outBuffer){plain, sizeof(plain), 0};
		r = ZSTD_decompressStream(qy->zst, &out, &in);
		qy->unpacked += out.pos;
		if (ZSTD_isError(r) || qy->unpacked > MG_LINES_UNPACKED_MAX)
			return -1;
		qy->frame_ended = r == 0;
		go = mg_buf_put(&qy->in, plain, out.pos) == MG_ERR_OK
			 ? take_lines(qy)
			 : -1;
	} while (go == 1 && (in.pos < in.size || out.pos == out.size));
	return go;
}

/* At most READ_STEP bytes; 0 at the end of what is there now, -1 failed. */
static ssize_t
read_some(struct query *qy, uint8_t *p)
{
	ssize_t n;

	do
		n = read(qy->fd, p, READ_STEP);
	while (n == -1 && errno == EINTR);
	return n;
}

/* To the end of what is there now. */
static int
read_on(struct query *qy)
{
	static uint8_t packed[READ_STEP];
	uint8_t *p = packed;
	ssize_t n;
	int go = 1;

	while (go == 1 && qy->fd != -1) {
		if (qy->zst == NULL &&
		    (p = mg_buf_reserve(&qy->in, READ_STEP)) == NULL)
			return -1;
		if ((n = read_some(qy, p)) < 0)
			return -1;
		if (n == 0)
			return 1;
		if (qy->zst != NULL) {
			go = take_compressed(qy, p, (size_t)n);
			continue;
		}
		mg_buf_commit(&qy->in, (size_t)n);
		go = take_lines(qy);
	}
	return go;
}

/* Takes over a segment, which is read up to its end. */
static int
read_segment(struct query *qy, int fd, bool compressed, uint64_t first)
{
	bool whole = qy->zst == NULL || qy->frame_ended;

	if (qy->fd != -1)
		close(qy->fd);
	ZSTD_freeDCtx(qy->zst);
	qy->zst = NULL;
	qy->frame_ended = false;
	qy->unpacked = 0;
	qy->fd = fd;
	qy->first = first;
	qy->seq = first - 1;
	if (mg_buf_len(&qy->in) > 0 || !whole)
		return -1; /* the one before ends too early */
	if (!compressed)
		return read_on(qy);
	if ((qy->zst = ZSTD_createDCtx()) == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		qy->zst, ZSTD_d_windowLogMax, MG_LINES_WINDOW_LOG)))
		mg_fatal("out of memory");
	return read_on(qy);
}

/* Asks for the next segments and reads them. *nonep: there is none. */
static int
read_next(struct query *qy, bool *nonep)
{
	struct mg_query_next_req req = {.after = qy->first};
	struct mg_query_next_ans ans;
	struct mg_frame f;
	struct mg_buf first;
	uint64_t v;
	size_t i, n;
	int go, fds[MG_MSG_FDS_MAX];

	*nonep = false;
	memset(&f, 0, sizeof(f));
	if (mg_chan_send(qy->ch, 1, MG_MSG_QUERY_NEXT_REQ, &req) != MG_ERR_OK ||
	    mg_chan_wait(qy->ch, -1, &f) != MG_ERR_OK ||
	    f.op != MG_MSG_QUERY_NEXT_ANS ||
	    mg_frame_decode(&f, &ans, sizeof(ans)) != MG_ERR_OK ||
	    f.nfds != ans.compressed_len || ans.first_len != 8 * f.nfds)
		mg_fatal("no usable segments");
	n = f.nfds;
	*nonep = n == 0;
	for (i = 0; i < n; i++)
		fds[i] = mg_frame_take_fd(qy->ch, &f, i);
	/* What came behind the last look at the one before. */
	go = read_on(qy);
	mg_buf_init_read(&first, ans.first, ans.first_len);
	for (i = 0; i < n && go == 1; i++)
		if (mg_buf_get_u64(&first, &v) != MG_ERR_OK)
			go = -1;
		else
			go =
			    read_segment(qy, fds[i], ans.compressed[i] != 0, v);
	return go;
}

/* Until there are more lines. False: nobody reads any more. */
static bool
wait_for_more(struct query *qy)
{
	struct mg_query_wait_req req = {.size = qy->seq};
	struct pollfd p[2];
	struct mg_frame f;
	enum mg_err r;

	memset(&f, 0, sizeof(f));
	if (mg_chan_send(qy->ch, 2, MG_MSG_QUERY_WAIT_REQ, &req) != MG_ERR_OK)
		return false;
	p[0].fd = mg_chan_fd(qy->ch);
	p[1].fd = qy->out_fd;
	for (;;) {
		p[0].events = POLLIN;
		p[1].events = 0; /* only that it was closed */
		if (poll(p, 2, -1) == -1 && errno != EINTR)
			return false;
		if (p[1].revents != 0)
			return false;
		if ((r = mg_chan_recv(qy->ch, &f, NULL)) == MG_ERR_OK)
			return f.op == MG_MSG_QUERY_WAIT_ANS;
		if (r != MG_ERR_AGAIN)
			return false;
	}
}

/* 1 done, 0 client gone, -1 broken ledger. */
static int
read_all(struct query *qy)
{
	bool follow = (qy->q.flags & MG_QUERY_FOLLOW) != 0, none = false;
	int go;

	for (;;) {
		if ((go = read_next(qy, &none)) != 1)
			return go;
		if (!none)
			continue;
		if (!flush_out(qy))
			return 0;
		if (!follow)
			return 1;
		if (!wait_for_more(qy))
			return 0;
	}
}

static void
prepare(struct query *qy)
{
	struct mg_uuid u;
	char code[MG_CODE_STR];

	if (qy->q.request[0] == '\0')
		return;
	if (mg_uuid_parse(qy->q.request, &u) == MG_ERR_OK) {
		mg_uuid_format(&u, qy->request);
		return;
	}
	qy->by_code = true;
	/* A code that is none matches nothing. */
	snprintf(qy->request, sizeof(qy->request), "%s",
	    mg_code_parse(qy->q.request, code) == MG_ERR_OK ? code : "?");
}

/* The question, out of a frame that the next one replaces. */
static bool
keep_question(struct query *qy, const struct mg_frame *f)
{
	static uint8_t copy_of[4096];
	struct mg_frame kept = *f;

	if (f->len > sizeof(copy_of))
		return false;
	memcpy(copy_of, f->payload, f->len);
	kept.payload = copy_of;
	return mg_frame_decode(&kept, &qy->q, sizeof(qy->q)) == MG_ERR_OK;
}

int
main(void)
{
	static const struct mg_confine_limits limits = {
	    .cpu_s = 600,
	    .as_bytes = (uint64_t)4 << 30,
	    .fsize_bytes = MG_CONFINE_INHERIT, /* the client's own file */
	    .nofile = 64,
	    .nproc = 8192,
	};
	static struct query qy;
	struct mg_frame f;
	char why[256];

	mg_log_init("mg-query", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		return 1;
	if (mg_confine_user(USER, &limits, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(0, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
	(void)signal(SIGPIPE, SIG_IGN);
	qy.ch = mg_chan_new(CHANNEL_FD, MG_ROLE_QUERY, MG_ROLE_MONITOR, 4096);
	memset(&f, 0, sizeof(f));
	if (qy.ch == NULL || mg_chan_wait(qy.ch, -1, &f) != MG_ERR_OK ||
	    f.op != MG_MSG_QUERY_REQ || f.nfds != 1 ||
	    (qy.out_fd = mg_frame_take_fd(qy.ch, &f, 0)) == -1 ||
	    !keep_question(&qy, &f))
		mg_fatal("no usable question");
	mg_buf_init(&qy.in, READ_STEP + 2 * MG_REC_LINE_MAX);
	mg_buf_init(&qy.out, OUT_MAX + MG_REC_LINE_MAX);
	mg_rec_init(&qy.rec);
	qy.fd = -1;
	prepare(&qy);
	return read_all(&qy) == -1 ? 1 : 0;
}
