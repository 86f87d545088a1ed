/* SPDX-License-Identifier: ISC */
/*
 * The approver's ssh-agent, over a channel that is opened to the client.
 *
 * Rules
 * 1. What comes back has a length, and it is checked before it is read.
 * 2. The channel lives for one signature: an agent is nothing to keep open.
 */
#include <string.h>

#include "conn_io.h"
#include "conn_sign.h"
#include "mg_text.h"
#include "mg_time.h"

#define AGENT_MS 120000 /* a security key waits for a touch */

struct agent {
	struct conn *c;
	ssh_channel channel;
	int64_t end_ms;
	struct mg_buf in;
};

static bool
open_agent(struct agent *ag)
{
	int r;

	if ((ag->channel = ssh_channel_new(ag->c->session)) == NULL)
		return false;
	while ((r = ssh_channel_open_auth_agent(ag->channel)) == SSH_AGAIN)
		if (mg_time_boot_ms() >= ag->end_ms ||
		    !conn_step(ag->c, ag->end_ms))
			return false;
	return r == SSH_OK;
}

static bool
send_all(struct agent *ag, const struct mg_buf *b)
{
	const uint8_t *p = mg_buf_ptr(b);
	size_t n = mg_buf_len(b), piece;
	uint32_t window;
	int w;

	while (n > 0) {
		window = ssh_channel_window_size(ag->channel);
		if (window == 0) {
			if (mg_time_boot_ms() >= ag->end_ms ||
			    !conn_step(ag->c, ag->end_ms))
				return false;
			continue;
		}
		piece = n < window ? n : window;
		w = ssh_channel_write(ag->channel, p, (uint32_t)piece);
		if (w <= 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* Reads until in holds want bytes. */
static bool
read_until(struct agent *ag, size_t want)
{
	uint8_t buf[4096];
	size_t left;
	int n;

	while (mg_buf_len(&ag->in) < want) {
		left = want - mg_buf_len(&ag->in);
		n = ssh_channel_read_nonblocking(ag->channel, buf,
		    (uint32_t)(left < sizeof(buf) ? left : sizeof(buf)), 0);
		if (n > 0 && mg_buf_put(&ag->in, buf, (size_t)n) != MG_ERR_OK)
			return false;
		if (n > 0)
			continue;
		if (n < 0 || ssh_channel_is_eof(ag->channel) ||
		    !ssh_channel_is_open(ag->channel) ||
		    mg_time_boot_ms() >= ag->end_ms ||
		    !conn_step(ag->c, ag->end_ms))
			return false;
	}
	return true;
}

/* One question, one answer; the answer is left in in, without its length. */
static bool
exchange(struct agent *ag, const struct mg_buf *question)
{
	uint32_t len;

	mg_buf_reset(&ag->in);
	if (!send_all(ag, question) || !read_until(ag, 4) ||
	    mg_buf_get_u32(&ag->in, &len) != MG_ERR_OK)
		return false;
	if (len == 0 || len > CONN_AGENT_MESSAGE_MAX) /* Rule 1 */
		return false;
	return read_until(ag, len);
}

static const char *
find_key(struct agent *ag)
{
	struct mg_buf q;
	const char *why = "the agent does not answer";

	mg_buf_init(&q, 64);
	if (conn_agent_put_list(&q) == MG_ERR_OK && exchange(ag, &q)) {
		why = NULL;
		if (conn_agent_find(mg_buf_ptr(&ag->in), mg_buf_len(&ag->in),
			ag->c->key, ag->c->key_len) != MG_ERR_OK)
			why = "the agent does not have the key that you "
			      "logged in with";
	}
	mg_buf_fini(&q);
	return why;
}

static const char *
get_signature(struct agent *ag, const struct mg_buf *data, struct mg_buf *out)
{
	const struct conn *c = ag->c;
	const char *why = "the agent does not answer";
	const uint8_t *sig;
	struct mg_buf q;
	size_t n;

	mg_buf_init(&q, MG_TEXT_MAX);
	if (conn_agent_put_sign(&q, c->key, c->key_len, mg_buf_ptr(data),
		mg_buf_len(data)) == MG_ERR_OK &&
	    exchange(ag, &q)) {
		why = "the agent does not sign";
		if (conn_agent_signature(mg_buf_ptr(&ag->in),
			mg_buf_len(&ag->in), c->key, c->key_len, &sig,
			&n) == MG_ERR_OK &&
		    conn_sshsig_put_armour(out, c->key, c->key_len, sig, n) ==
			MG_ERR_OK)
			why = NULL;
	}
	mg_buf_fini(&q);
	return why;
}

bool
conn_agent_sign(struct conn *c, const void *text, size_t n,
    struct mg_buf *armour, const char **whyp)
{
	struct agent ag = {.c = c, .end_ms = mg_time_boot_ms() + AGENT_MS};
	const char *why = "your agent cannot be reached";
	struct mg_buf data;

	if (c->deadline_ms < ag.end_ms)
		c->deadline_ms = ag.end_ms;
	mg_buf_init(&ag.in, CONN_AGENT_MESSAGE_MAX + 8);
	mg_buf_init(&data, 1024);
	if (conn_sshsig_put_signed(&data, text, n) != MG_ERR_OK)
		why = "the text cannot be hashed";
	else if (open_agent(&ag) && (why = find_key(&ag)) == NULL)
		why = get_signature(&ag, &data, armour);
	if (ag.channel != NULL) /* Rule 2 */
		ssh_channel_free(ag.channel);
	mg_buf_fini(&ag.in);
	mg_buf_fini(&data);
	*whyp = why == NULL ? "" : why;
	return why == NULL;
}
