/* SPDX-License-Identifier: ISC */
/*
 * mg-link: the host's outbound ssh connection to the hub.
 *
 * Runs as: _mg-link, no privileges, while a request waits for approvals
 * Holds: the host's key for the hub, the ssh connection
 * Accepts: requests from the monitor; bytes from the hub
 * Sends: requests to the hub; decisions to the monitor
 * If it dies: it is started again with back-off; nothing is lost, the host
 * re-submits
 *
 * Rules
 * 1. Root is given up before anything else happens.
 * 2. The hub is the one whose key is pinned, or nobody: no known_hosts file,
 *    no first-use trust, no configuration file of ssh, no algorithm beside
 *    ours, no password that could be given away.
 * 3. Nothing is passed on as bytes: each message is decoded and encoded
 *    again, in both directions. The monitor never sees what did not pass.
 * 4. A connection that says nothing for a minute is dead.
 * 5. What cannot be sent now is not kept: the monitor says it all again
 *    when the connection is up. Nothing piles up here.
 */
#include <errno.h>
#include <fcntl.h>
#include <libssh/libssh.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mg_b64.h"
#include "mg_confine.h"
#include "mg_filter.h"
#include "mg_esc.h"
#include "mg_log.h"
#include "mg_sshkey.h"
#include "mg_stream.h"
#include "mg_time.h"

#define USER "_mg-link"
#define FILTER (MG_ALLOW_READ | MG_ALLOW_LOAD | MG_ALLOW_CONNECT)
#define FD_CHANNEL 3
#define MON_QUEUE ((size_t)1 << 20)
#define OUT_MAX ((size_t)1 << 20)
#define OUT_BUSY 262144 /* then the monitor has to wait */
#define CONF_MS 10000
#define CONNECT_MS 15000
#define PING_MS 20000
#define DEAD_MS 60000
#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 30000
#define STEADY_MS 5000 /* up for so long: the next back-off begins anew */
#define PIECE 16384
#define PINS_MAX 16

#define KEX                                                                    \
	"curve25519-sha256,curve25519-sha256@libssh.org,"                      \
	"ecdh-sha2-nistp521,ecdh-sha2-nistp384,ecdh-sha2-nistp256"
#define CIPHERS                                                                \
	"chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,"                \
	"aes128-gcm@openssh.com,aes256-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"

static const struct mg_confine_limits limits = {
    .cpu_s = MG_CONFINE_INHERIT,
    .as_bytes = (uint64_t)256 << 20,
    .fsize_bytes = 0,
    .nofile = 32,
    .nproc = 0,
};

/* Each stage is left for the next, or for STAGE_IDLE. */
enum stage {
	STAGE_IDLE, /* until retry_ms */
	STAGE_TCP,
	STAGE_SSH,
	STAGE_AUTH,
	STAGE_CHANNEL,
	STAGE_COMMAND,
	STAGE_UP
};

enum step { STEP_AGAIN, STEP_NEXT, STEP_FAIL };

struct pin {
	enum mg_sshkey_type type;
	uint8_t blob[MG_SSHKEY_BLOB_MAX];
	size_t len;
};

struct link {
	struct mg_chan *mon;
	/* from LINK_CONF */
	char address[256], host[97], port[8];
	struct pin pins[PINS_MAX];
	size_t npins;
	ssh_key key;
	/* the connection */
	enum stage stage;
	int sock;
	ssh_session session;
	ssh_channel channel;
	struct mg_stream st;
	int64_t retry_ms, deadline_ms; /* of the stages before UP */
	int64_t up_ms, heard_ms, ping_ms;
	int64_t backoff_ms;
	unsigned attempt;
	char why[300]; /* what went wrong last */
};

/* ---- to the monitor ---- */

static void
to_monitor(struct link *l, uint32_t id, enum mg_msg_op op, const void *msg)
{
	enum mg_err r = mg_chan_send(l->mon, id, op, msg);

	if (r != MG_ERR_OK)
		mg_fatal("cannot send %s to the monitor: %s", mg_msg_name(op),
		    mg_err_str(r));
}

static void
say_status(struct link *l, bool up, const char *text)
{
	struct mg_link_status m = {.up = up, .text = text};

	to_monitor(l, 0, MG_MSG_LINK_STATUS, &m);
}

/* ---- ending a connection ---- */

static int64_t
random_below(int64_t n)
{
	uint32_t v = 0;

	if (getrandom(&v, sizeof(v), 0) != sizeof(v))
		v = 0;
	return n <= 0 ? 0 : (int64_t)(v % (uint64_t)n);
}

static void
drop(struct link *l)
{
	if (l->channel != NULL)
		ssh_channel_free(l->channel);
	if (l->session != NULL) {
		ssh_disconnect(l->session);
		ssh_free(l->session);
	}
	/* libssh closes a socket of ours after an error only; nothing was
	 * opened since, so closing it twice closes nothing else. */
	if (l->sock != -1)
		(void)close(l->sock);
	l->channel = NULL;
	l->session = NULL;
	l->sock = -1;
	mg_stream_fini(&l->st);
	l->stage = STAGE_IDLE;
}

/* Ends it, says why, and sets when to try again. */
static void
fail(struct link *l)
{
	int64_t now = mg_time_boot_ms(), wait;

	if (l->stage == STAGE_UP && now - l->up_ms >= STEADY_MS)
		l->backoff_ms = BACKOFF_MIN_MS;
	wait = l->backoff_ms / 2 + random_below(l->backoff_ms);
	l->backoff_ms = l->backoff_ms > BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS
							   : l->backoff_ms * 2;
	drop(l);
	l->retry_ms = now + wait;
	mg_log(
	    MG_EVT_LINK, "down: %s; again in %lld ms", l->why, (long long)wait);
	say_status(l, false, l->why);
}

static enum step bad(struct link *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static enum step
bad(struct link *l, const char *fmt, ...)
{
	char raw[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	/* It may hold what the peer said: one line, printing. */
	mg_esc_line(raw, l->why, sizeof(l->why));
	return STEP_FAIL;
}

/* ---- the stages of a connection ---- */

/* The socket for one of the addresses, another one each time. */
static int
connect_to(const struct addrinfo *list, unsigned attempt)
{
	const struct addrinfo *ai;
	unsigned n = 0, i;
	int fd, one = 1, dead = DEAD_MS;

	for (ai = list; ai != NULL; ai = ai->ai_next)
		n++;
	for (ai = list, i = n == 0 ? 0 : attempt % n; i > 0; i--)
		ai = ai->ai_next;
	if (ai == NULL)
		return -1;
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead));
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 &&
	    errno != EINPROGRESS) {
		i = (unsigned)errno;
		close(fd);
		errno = (int)i;
		return -1;
	}
	return fd;
}

static enum step
start_tcp(struct link *l)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int err;

	l->deadline_ms = mg_time_boot_ms() + CONNECT_MS;
	err = getaddrinfo(l->address, l->port, &hints, &list);
	if (err != 0) {
		hints.ai_flags = AI_NUMERICSERV; /* no address but loopback */
		err = getaddrinfo(l->address, l->port, &hints, &list);
	}
	if (err != 0)
		return bad(
		    l, "cannot find '%s': %s", l->address, gai_strerror(err));
	l->sock = connect_to(list, l->attempt++);
	err = errno;
	freeaddrinfo(list);
	if (l->sock == -1)
		return bad(l, "cannot connect to %s port %s: %s", l->address,
		    l->port, strerror(err));
	return STEP_NEXT;
}

static enum step
check_tcp(struct link *l)
{
	struct pollfd p = {.fd = l->sock, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int err = 0;

	if (poll(&p, 1, 0) == 0)
		return STEP_AGAIN;
	if (getsockopt(l->sock, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	if (err != 0)
		return bad(l, "cannot connect to %s port %s: %s", l->address,
		    l->port, strerror(err));
	return STEP_NEXT;
}

/* The host key algorithms of the pinned keys, and no others. */
static void
host_key_list(const struct link *l, char *out, size_t size)
{
	const char *name;
	size_t i, used = 0;

	out[0] = '\0';
	for (i = 0; i < l->npins; i++) {
		name = l->pins[i].type == MG_SSHKEY_RSA
			   ? "rsa-sha2-512,rsa-sha2-256"
			   : mg_sshkey_name(l->pins[i].type);
		if (strstr(out, name) != NULL || used + strlen(name) + 2 > size)
			continue;
		used += (size_t)snprintf(
		    out + used, size - used, "%s%s", used > 0 ? "," : "", name);
	}
}

static bool
set(ssh_session s, enum ssh_options_e option, const void *value)
{
	return ssh_options_set(s, option, value) == SSH_OK;
}

/* Rule 2 */
static bool
set_options(struct link *l)
{
	int yes = 1, no = 0, bits = MG_SSHKEY_RSA_BITS_MIN;
	long seconds = CONNECT_MS / 1000;
	ssh_session s = l->session;
	bool never = false;
	char keys[512];

	host_key_list(l, keys, sizeof(keys));
	return set(s, SSH_OPTIONS_PROCESS_CONFIG, &never) &&
	       set(s, SSH_OPTIONS_SSH_DIR, "/nonexistent") &&
	       set(s, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") &&
	       set(s, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") &&
	       set(s, SSH_OPTIONS_HOST, l->address) &&
	       set(s, SSH_OPTIONS_USER, l->host) &&
	       set(s, SSH_OPTIONS_STRICTHOSTKEYCHECK, &yes) &&
	       set(s, SSH_OPTIONS_HOSTKEYS, keys) &&
	       set(s, SSH_OPTIONS_KEY_EXCHANGE, KEX) &&
	       set(s, SSH_OPTIONS_CIPHERS_C_S, CIPHERS) &&
	       set(s, SSH_OPTIONS_CIPHERS_S_C, CIPHERS) &&
	       set(s, SSH_OPTIONS_HMAC_C_S, MACS) &&
	       set(s, SSH_OPTIONS_HMAC_S_C, MACS) &&
	       set(s, SSH_OPTIONS_COMPRESSION, "no") &&
	       set(s, SSH_OPTIONS_RSA_MIN_SIZE, &bits) &&
	       set(s, SSH_OPTIONS_PASSWORD_AUTH, &no) &&
	       set(s, SSH_OPTIONS_KBDINT_AUTH, &no) &&
	       set(s, SSH_OPTIONS_GSSAPI_AUTH, &no) &&
	       set(s, SSH_OPTIONS_TIMEOUT, &seconds) &&
	       set(s, SSH_OPTIONS_FD, &l->sock);
}

static enum step
start_ssh(struct link *l)
{
	if ((l->session = ssh_new()) == NULL)
		return bad(l, "out of memory");
	if (!set_options(l))
		return bad(l, "options: %s", ssh_get_error(l->session));
	ssh_set_blocking(l->session, 0);
	return STEP_NEXT;
}

static bool
is_pinned(const struct link *l, const uint8_t *blob, size_t len)
{
	size_t i;

	for (i = 0; i < l->npins; i++)
		if (l->pins[i].len == len &&
		    memcmp(l->pins[i].blob, blob, len) == 0)
			return true;
	return false;
}

/* Rule 2: the key that the exchange was signed with. */
static enum step
check_host_key(struct link *l)
{
	enum step step = STEP_FAIL;
	ssh_key key = NULL;
	char *b64 = NULL;
	struct mg_buf b;

	mg_buf_init(&b, MG_SSHKEY_BLOB_MAX + 2);
	if (ssh_get_server_publickey(l->session, &key) != SSH_OK ||
	    ssh_pki_export_pubkey_base64(key, &b64) != SSH_OK || b64 == NULL ||
	    mg_b64_get(&b, b64, strlen(b64), NULL) != MG_ERR_OK)
		(void)bad(l, "the hub's host key cannot be read");
	else if (!is_pinned(l, mg_buf_ptr(&b), mg_buf_len(&b)))
		(void)bad(l,
		    "%s port %s has a host key that is not pinned: "
		    "%s %s",
		    l->address, l->port,
		    ssh_key_type_to_char(ssh_key_type(key)), b64);
	else
		step = STEP_NEXT;
	mg_buf_fini(&b);
	ssh_string_free_char(b64);
	ssh_key_free(key);
	return step;
}

static enum step
exchange_keys(struct link *l)
{
	int r = ssh_connect(l->session);

	if (r == SSH_AGAIN)
		return STEP_AGAIN;
	if (r != SSH_OK)
		return bad(l, "ssh: %s", ssh_get_error(l->session));
	/* libssh made it blocking when it was connected. */
	if (fcntl(l->sock, F_SETFL, O_NONBLOCK) != 0)
		return bad(l, "socket: %s", strerror(errno));
	return check_host_key(l);
}

static enum step
log_in(struct link *l)
{
	switch (ssh_userauth_publickey(l->session, NULL, l->key)) {
	case SSH_AUTH_SUCCESS:
		break;
	case SSH_AUTH_AGAIN:
		return STEP_AGAIN;
	case SSH_AUTH_DENIED:
	case SSH_AUTH_PARTIAL:
		return bad(l, "the hub does not know this host's key");
	default:
		return bad(l, "ssh: %s", ssh_get_error(l->session));
	}
	if ((l->channel = ssh_channel_new(l->session)) == NULL)
		return bad(l, "out of memory");
	return STEP_NEXT;
}

static enum step
open_channel(struct link *l)
{
	int r = ssh_channel_open_session(l->channel);

	if (r == SSH_AGAIN)
		return STEP_AGAIN;
	return r == SSH_OK ? STEP_NEXT
			   : bad(l, "ssh: %s", ssh_get_error(l->session));
}

static enum step
ask_command(struct link *l)
{
	int r = ssh_channel_request_exec(l->channel, "host");

	if (r == SSH_AGAIN)
		return STEP_AGAIN;
	return r == SSH_OK ? STEP_NEXT
			   : bad(l, "ssh: %s", ssh_get_error(l->session));
}

static void
come_up(struct link *l)
{
	int64_t now = mg_time_boot_ms();

	mg_stream_init(&l->st, MG_ROLE_HOST, MG_ROLE_HUB, OUT_MAX);
	l->up_ms = l->heard_ms = now;
	l->ping_ms = now + PING_MS;
	mg_log(MG_EVT_LINK, "up: %s port %s", l->address, l->port);
	say_status(l, true, "");
}

/* ---- messages ---- */

union message {
	struct mg_hub_put put;
	struct mg_hub_put_ans put_ans;
	struct mg_hub_state state;
	struct mg_hub_decision decision;
	struct mg_hub_verdict verdict;
	struct mg_hub_tree tree;
	struct mg_hub_witness witness;
	struct mg_hub_ping ping;
};

static enum step
to_hub(struct link *l, uint32_t id, enum mg_msg_op op, const void *msg)
{
	enum mg_err r = mg_stream_send(&l->st, id, op, msg);

	if (r != MG_ERR_OK)
		return bad(
		    l, "cannot send %s: %s", mg_msg_name(op), mg_err_str(r));
	return STEP_NEXT;
}

/* Rule 3 */
static enum step
from_hub(struct link *l, const struct mg_frame *f)
{
	const struct mg_msg_type *t = mg_msg_type(f->op);
	union message m;

	if (t == NULL || t->size > sizeof(m) ||
	    mg_frame_decode(f, &m, t->size) != MG_ERR_OK)
		return bad(
		    l, "the hub sent a malformed %s", mg_msg_name(f->op));
	l->heard_ms = mg_time_boot_ms();
	if (f->op == MG_MSG_HUB_PING)
		return to_hub(l, f->id, MG_MSG_HUB_PONG, &m);
	if (f->op == MG_MSG_HUB_PUT_ANS || f->op == MG_MSG_HUB_DECISION ||
	    f->op == MG_MSG_HUB_WITNESS)
		to_monitor(l, f->id, f->op, &m);
	else if (f->op != MG_MSG_HUB_PONG)
		return bad(l, "the hub sent a %s", mg_msg_name(f->op));
	return STEP_NEXT;
}

static enum step
take_bytes(struct link *l, const uint8_t *p, size_t n)
{
	enum step step = STEP_NEXT;
	struct mg_frame f;
	const char *why;
	enum mg_err r;
	size_t used;

	while (step == STEP_NEXT) {
		r = mg_stream_recv(&l->st, p, n, &used, &f, &why);
		p += used;
		n -= used;
		if (r == MG_ERR_AGAIN)
			break;
		if (r != MG_ERR_OK)
			return bad(l, "the hub broke the protocol: %s", why);
		step = from_hub(l, &f);
	}
	return step;
}

static enum step
read_hub(struct link *l)
{
	uint8_t buf[PIECE];
	enum step step;
	int n;

	/* While the monitor does not take what we have, read no more. */
	while (!mg_chan_has_output(l->mon)) {
		n = ssh_channel_read_nonblocking(
		    l->channel, buf, sizeof(buf), 0);
		if (n > 0) {
			if ((step = take_bytes(l, buf, (size_t)n)) != STEP_NEXT)
				return step;
			continue;
		}
		if (n == SSH_ERROR)
			return bad(l, "ssh: %s", ssh_get_error(l->session));
		if (n < 0 || ssh_channel_is_eof(l->channel) ||
		    !ssh_channel_is_open(l->channel))
			return bad(l, "the hub hung up");
		break;
	}
	return STEP_NEXT;
}

static enum step
write_hub(struct link *l)
{
	const uint8_t *p;
	uint32_t window;
	size_t n;
	int w;

	for (;;) {
		p = mg_stream_out(&l->st, &n);
		window = ssh_channel_window_size(l->channel);
		if (n == 0 || window == 0 ||
		    (ssh_get_status(l->session) & SSH_WRITE_PENDING) != 0)
			return STEP_NEXT;
		if (n > PIECE)
			n = PIECE;
		if (n > window)
			n = window;
		w = ssh_channel_write(l->channel, p, (uint32_t)n);
		if (w < 0)
			return bad(l, "ssh: %s", ssh_get_error(l->session));
		if (w == 0)
			return STEP_NEXT;
		mg_stream_sent(&l->st, (size_t)w);
	}
}

static enum step
watch_clock(struct link *l)
{
	int64_t now = mg_time_boot_ms();
	struct mg_hub_ping ping = {.token = (uint64_t)now};

	if (now - l->heard_ms >= DEAD_MS) /* Rule 4 */
		return bad(l, "the hub says nothing");
	if (now < l->ping_ms)
		return STEP_NEXT;
	l->ping_ms = now + PING_MS;
	return to_hub(l, 0, MG_MSG_HUB_PING, &ping);
}

static enum step
serve(struct link *l)
{
	enum step step;

	if ((step = read_hub(l)) != STEP_NEXT ||
	    (step = watch_clock(l)) != STEP_NEXT ||
	    (step = write_hub(l)) != STEP_NEXT)
		return step;
	return STEP_AGAIN;
}

/* ---- from the monitor ---- */

static void
from_monitor(struct link *l, const struct mg_frame *f)
{
	const struct mg_msg_type *t = mg_msg_type(f->op);
	union message m;

	if (f->op != MG_MSG_HUB_PUT && f->op != MG_MSG_HUB_STATE &&
	    f->op != MG_MSG_HUB_VERDICT && f->op != MG_MSG_HUB_TREE)
		mg_fatal("the monitor sent %s", mg_msg_name(f->op));
	if (t == NULL || t->size > sizeof(m) ||
	    mg_frame_decode(f, &m, t->size) != MG_ERR_OK)
		mg_fatal("the monitor sent a malformed %s", mg_msg_name(f->op));
	if (l->stage != STAGE_UP)
		return; /* Rule 5 */
	if (to_hub(l, f->id, f->op, &m) == STEP_FAIL)
		fail(l);
}

static bool
is_busy(const struct link *l)
{
	size_t n = 0;

	if (l->stage == STAGE_UP)
		(void)mg_stream_out(&l->st, &n);
	return n > OUT_BUSY;
}

/* False: the monitor is gone. */
static bool
read_monitor(struct link *l)
{
	struct mg_frame f;
	const char *why;
	enum mg_err r = MG_ERR_AGAIN;

	if (mg_chan_flush(l->mon) != MG_ERR_OK)
		return false;
	while (!is_busy(l) && (r = mg_chan_recv(l->mon, &f, &why)) == MG_ERR_OK)
		from_monitor(l, &f);
	if (r == MG_ERR_PROTO)
		mg_fatal("the monitor broke the protocol: %s", why);
	return r == MG_ERR_AGAIN || r == MG_ERR_OK;
}

/* ---- the loop ---- */

static enum step
do_stage(struct link *l)
{
	switch (l->stage) {
	case STAGE_IDLE:
		return mg_time_boot_ms() < l->retry_ms ? STEP_AGAIN
						       : start_tcp(l);
	case STAGE_TCP: {
		enum step step = check_tcp(l);

		return step == STEP_NEXT ? start_ssh(l) : step;
	}
	case STAGE_SSH:
		return exchange_keys(l);
	case STAGE_AUTH:
		return log_in(l);
	case STAGE_CHANNEL:
		return open_channel(l);
	case STAGE_COMMAND:
		return ask_command(l);
	case STAGE_UP:
		return serve(l);
	}
	return STEP_FAIL;
}

/* Goes as far as it can without waiting. */
static void
advance(struct link *l)
{
	enum step step;

	while ((step = do_stage(l)) == STEP_NEXT) {
		l->stage++;
		if (l->stage == STAGE_UP)
			come_up(l);
	}
	if (step == STEP_AGAIN && l->stage != STAGE_IDLE &&
	    l->stage != STAGE_UP && mg_time_boot_ms() >= l->deadline_ms)
		step = bad(l, "%s port %s does not answer in time", l->address,
		    l->port);
	if (step == STEP_FAIL)
		fail(l);
}

static int
wait_ms(const struct link *l)
{
	int64_t at = l->deadline_ms, left;

	if (l->stage == STAGE_IDLE)
		at = l->retry_ms;
	else if (l->stage == STAGE_UP)
		at = l->ping_ms < l->heard_ms + DEAD_MS ? l->ping_ms
							: l->heard_ms + DEAD_MS;
	left = at - mg_time_boot_ms();
	return left < 0 ? 0 : left > DEAD_MS ? DEAD_MS : (int)left;
}

static short
socket_events(const struct link *l)
{
	if (l->stage == STAGE_TCP)
		return POLLOUT;
	if (l->session != NULL &&
	    (ssh_get_status(l->session) & SSH_WRITE_PENDING) != 0)
		return POLLIN | POLLOUT;
	return POLLIN;
}

static void
run(struct link *l)
{
	struct pollfd p[2];
	bool was_busy;
	int ms;

	do {
		was_busy = is_busy(l);
		advance(l);
		/* What was received may have to be answered. */
		p[0].fd = mg_chan_fd(l->mon);
		p[0].events = is_busy(l) ? 0 : POLLIN;
		if (mg_chan_has_output(l->mon))
			p[0].events |= POLLOUT;
		p[1].fd = l->stage == STAGE_IDLE ? -1 : l->sock;
		p[1].events = socket_events(l);
		if (l->stage == STAGE_UP && mg_chan_has_output(l->mon))
			p[1].events &= (short)~POLLIN;
		/* Frames that were not taken then may have been read. */
		ms = was_busy && !is_busy(l) ? 0 : wait_ms(l);
		if (poll(p, 2, ms) == -1 && errno != EINTR)
			mg_fatal("poll: %s", strerror(errno));
	} while (read_monitor(l));
}

/* ---- start ---- */

static bool
take_pin(struct link *l, const char *text)
{
	const char *blank = strchr(text, ' '), *why;
	struct pin *pin = &l->pins[l->npins];
	char type[64];
	struct mg_buf b;
	size_t bad_at;
	enum mg_err r;

	if (blank == NULL || (size_t)(blank - text) >= sizeof(type) ||
	    l->npins == PINS_MAX)
		return false;
	memcpy(type, text, (size_t)(blank - text));
	type[blank - text] = '\0';
	mg_buf_init(&b, MG_SSHKEY_BLOB_MAX + 2);
	r = mg_sshkey_parse(
	    &b, type, blank + 1, strlen(blank + 1), &bad_at, &why);
	if (r == MG_ERR_OK) {
		pin->type = mg_sshkey_type(type);
		pin->len = mg_buf_len(&b);
		memcpy(pin->blob, mg_buf_ptr(&b), pin->len);
		l->npins++;
	}
	mg_buf_fini(&b);
	return r == MG_ERR_OK;
}

static ssh_key
read_key(const uint8_t *p, size_t n)
{
	ssh_key key = NULL;
	char *pem;

	if ((pem = malloc(n + 1)) == NULL)
		return NULL;
	memcpy(pem, p, n);
	pem[n] = '\0';
	if (ssh_pki_import_privkey_base64(pem, NULL, NULL, NULL, &key) !=
	    SSH_OK)
		key = NULL;
	explicit_bzero(pem, n);
	free(pem);
	return key;
}

static void
get_conf(struct link *l)
{
	struct mg_link_conf m;
	struct mg_frame f;
	size_t i;

	if (mg_chan_wait(l->mon, CONF_MS, &f) != MG_ERR_OK ||
	    f.op != MG_MSG_LINK_CONF ||
	    mg_frame_decode(&f, &m, sizeof(m)) != MG_ERR_OK)
		mg_fatal("no configuration from the monitor");
	snprintf(l->address, sizeof(l->address), "%s", m.address);
	snprintf(l->host, sizeof(l->host), "%s", m.host);
	snprintf(l->port, sizeof(l->port), "%u", m.port);
	for (i = 0; i < m.pins_n; i++)
		if (!take_pin(l, m.pins[i]))
			mg_fatal("a pinned key of the hub is malformed: %s",
			    m.pins[i]);
	if (l->npins == 0) /* Rule 2 */
		mg_fatal("no key of the hub is pinned");
	if ((l->key = read_key(m.key, m.key_len)) == NULL)
		mg_fatal("the host's key for the hub cannot be used");
}

int
main(void)
{
	static struct link l;
	char why[256] = "";

	mg_log_init("mg-link", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (clearenv() != 0)
		mg_fatal("cannot clear the environment");
	(void)signal(SIGPIPE, SIG_IGN);
	if (mg_confine_user(USER, &limits, why, sizeof(why)) != MG_ERR_OK ||
	    mg_filter_only(FILTER, why, sizeof(why)) != MG_ERR_OK) /* Rule 1 */
		mg_fatal("%s", why);
	if (ssh_init() != SSH_OK)
		mg_fatal("cannot start libssh");
	l.sock = -1;
	l.backoff_ms = BACKOFF_MIN_MS;
	l.mon =
	    mg_chan_new(FD_CHANNEL, MG_ROLE_LINK, MG_ROLE_MONITOR, MON_QUEUE);
	if (l.mon == NULL)
		mg_fatal("no channel on descriptor %d", FD_CHANNEL);
	get_conf(&l);
	run(&l);
	drop(&l);
	ssh_key_free(l.key);
	mg_chan_free(l.mon);
	(void)ssh_finalize();
	return 0;
}
