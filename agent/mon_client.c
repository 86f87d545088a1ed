/* SPDX-License-Identifier: ISC */
/*
 * Clients: which question goes where, and their answers.
 *
 * Rules
 * 1. A client has one question at a time.
 * 2. Only root (the PAM module's hosts) may ask the PAM questions.
 * 3. Who breaks the protocol is on record by what the kernel says of them,
 *    at the rate of all refusals: probing is not silent. It counts as many
 *    connections, too.
 * 4. Root's own programs, sshd and sudo with the PAM module among them, are
 *    answered here: a worker between them and us that was taken over could
 *    say yes in our name, or ask in root's.
 * 5. Nobody is waited for without end: neither who asks nothing, nor who
 *    does not take the answer, of which only a message is kept.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_time.h"
#include "mon.h"

uint32_t
mon_client_uid(const struct mon_client *c)
{
	const struct mon_person *p;

	if (c->is_pretender)
		return MG_PROC_UNSET;
	if (c->peer.loginuid != MG_PROC_UNSET)
		return c->peer.loginuid;
	/* No login: a service account's own processes, or nobody we know. */
	p = mon_person_by_uid(c->m, c->peer.uid);
	if (p != NULL && mg_policy_is_service(c->m->policy, p->name))
		return c->peer.uid;
	return MG_PROC_UNSET;
}

static void
close_fd(struct mon_client *c)
{
	if (c->fd != -1)
		mg_close(c->fd);
	c->fd = -1;
}

void
mon_client_free(struct mon_client *c)
{
	mon_door_leave(c);
	if (c->auth != NULL)
		mon_auth_client_gone(c);
	if (c->job != NULL)
		mon_job_client_gone(c->job);
	if (c->on_more != NULL)
		c->on_more(c->more_arg);
	if (c->run != NULL)
		mon_run_client_gone(c->run);
	mg_timer_clear(c->m->loop, &c->patience);
	close_fd(c);
	if (c->pidfd != -1)
		close(c->pidfd);
	mg_close_begin(); /* more may be on its way */
	mon_port_fini(&c->port);
	mg_close_end();
	free(c);
}

/* ---- answers ---- */

void
mon_reply(struct mon_client *c, enum mg_msg_op op, const void *msg)
{
	if (c != NULL)
		(void)mon_port_send(&c->port, c->id, op, msg);
}

/* For reasons that have the same way out whatever was asked for. */
static const char *
way_out(enum mg_why why)
{
	return why == MG_WHY_MFA_BROKEN
		   ? "an administrator, who finds the file and what is wrong "
		     "with it in the log of this host, and mends it or "
		     "removes it with 'modelgate unenroll'"
		   : "";
}

void
mon_reply_refused(struct mon_client *c, enum mg_why why, const char *code,
    const char *rule, const char *text, const char *remedy)
{
	struct mg_refused msg = {.why = why,
	    .code = code,
	    .rule = rule,
	    .text = text[0] != '\0' ? text : mg_why_sentence(why),
	    .remedy = remedy[0] != '\0' ? remedy : way_out(why)};

	if (c == NULL)
		return;
	mon_reply(c, MG_MSG_REFUSED, &msg);
	mon_client_idle(c);
}

void
mon_reply_done(struct mon_client *c, const char *text)
{
	struct mg_done msg = {.text = text};

	if (c == NULL)
		return;
	mon_reply(c, MG_MSG_DONE, &msg);
	mon_client_idle(c);
}

/* Rule 5 */
static void
client_silent(void *arg)
{
	struct mon_client *c = arg;

	mg_log(MG_EVT_LIMIT, "uid=%u why='%s'", c->peer.uid,
	    c->busy ? "took no answer" : "said nothing");
	mon_client_free(c);
}

void
mon_client_idle(struct mon_client *c)
{
	c->busy = false;
	close_fd(c);
	mon_timer_set(c->m, &c->patience, mg_time_boot_ms() + MON_SILENCE_MS,
	    client_silent, c);
}

bool
mon_client_has_room(struct mon_client *c)
{
	if (!mg_chan_has_output(c->port.ch))
		return true;
	mon_timer_set(c->m, &c->patience, mg_time_boot_ms() + MON_STALL_MS,
	    client_silent, c);
	return false;
}

static void
client_drained(void *arg)
{
	struct mon_client *c = arg;

	if (c->on_more == NULL)
		return;
	mg_timer_clear(c->m->loop, &c->patience);
	c->on_more(c->more_arg);
}

/* ---- questions ---- */

/* Messages that belong to the question being answered. */
static bool
continues(struct mon_client *c, struct mg_frame *f)
{
	struct mg_signal_req sig;

	switch ((int)f->op) {
	case MG_MSG_AUTH_ANS:
		if (c->auth != NULL)
			mon_auth_answer(c, f);
		return true;
	case MG_MSG_GIVEUP_REQ:
		if (c->job != NULL)
			mon_job_giveup(c->job);
		return true;
	case MG_MSG_SIGNAL_REQ:
		if (c->run != NULL &&
		    mg_frame_decode(f, &sig, sizeof(sig)) == MG_ERR_OK)
			mon_run_signal(c->run, sig.signo);
		return true;
	default:
		return false;
	}
}

/* Rule 3. Without answer the client must go. */
static void
put_on_record(
    struct mon_client *c, bool answer, enum mg_why why, const char *text)
{
	uint32_t uid =
	    c->peer.loginuid != MG_PROC_UNSET ? c->peer.loginuid : c->peer.uid;
	const struct mon_person *p = mon_person_by_uid(c->m, uid);
	struct mon_refusal ref = {.user = p != NULL ? p->name : "",
	    .uid = uid,
	    .ses = c->peer.session,
	    .tty = c->peer.tty,
	    .origin = "",
	    .operation = "",
	    .model = "",
	    .version = "",
	    .rule = "",
	    .text = text,
	    .remedy = "",
	    .why = why};

	mon_refuse(c->m, answer ? c : NULL, &ref);
}

/* What came with a message that nobody takes it from. */
static void
drop_fds(struct mon_client *c, struct mg_frame *f)
{
	size_t i;
	int fd;

	for (i = 0; i < f->nfds; i++)
		if ((fd = mg_frame_take_fd(c->port.ch, f, i)) != -1)
			mg_close(fd);
}

static void
ask_run(struct mon_client *c, struct mg_frame *f)
{
	struct mg_run_req q;

	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK) {
		drop_fds(c, f);
		put_on_record(c, true, MG_WHY_BAD_REQUEST, "");
		return;
	}
	c->fd = mg_frame_take_fd(c->port.ch, f, 0);
	mon_job_start(c, &q);
}

static void
ask_log(struct mon_client *c, struct mg_frame *f)
{
	struct mg_log_req q;

	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK || f->nfds != 1) {
		drop_fds(c, f);
		put_on_record(c, true, MG_WHY_BAD_REQUEST,
		    "a log comes with one descriptor");
		return;
	}
	c->fd = mg_frame_take_fd(c->port.ch, f, 0);
	mon_log_query(c, &q);
}

static void
ask_pam(struct mon_client *c, struct mg_frame *f)
{
	struct mg_pam_req q;

	if (c->peer.uid != 0) { /* Rule 2 */
		put_on_record(c, true, MG_WHY_NOT_PERMITTED,
		    "only root may ask what the PAM module asks");
		return;
	}
	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK)
		put_on_record(c, true, MG_WHY_BAD_REQUEST, "");
	else
		mon_pam(c, f->op, &q);
}

static void
ask_other(struct mon_client *c, struct mg_frame *f)
{
	union {
		struct mg_list_req list;
		struct mg_end_req end;
		struct mg_unenroll_req unenroll;
		struct mg_discard_req discard;
		struct mg_tokens_req tokens;
	} q;
	bool ok = true;

	switch ((int)f->op) {
	case MG_MSG_LIST_REQ:
		ok = mg_frame_decode(f, &q.list, sizeof(q.list)) == MG_ERR_OK;
		if (ok)
			mon_list(c, &q.list);
		break;
	case MG_MSG_END_REQ:
		ok = mg_frame_decode(f, &q.end, sizeof(q.end)) == MG_ERR_OK;
		if (ok)
			mon_end(c, &q.end);
		break;
	case MG_MSG_UNENROLL_REQ:
		ok = mg_frame_decode(f, &q.unenroll, sizeof(q.unenroll)) ==
		     MG_ERR_OK;
		if (ok)
			mon_auth_unenroll(c, q.unenroll.user);
		break;
	case MG_MSG_ENROLL_REQ:
		mon_auth_enroll(c);
		break;
	case MG_MSG_INFO_REQ:
		mon_info(c);
		break;
	case MG_MSG_CHECKPOINT_REQ:
		mon_checkpoint(c);
		break;
	case MG_MSG_DISCARD_REQ:
		ok = mg_frame_decode(f, &q.discard, sizeof(q.discard)) ==
		     MG_ERR_OK;
		if (ok)
			mon_discard(c, &q.discard);
		break;
	case MG_MSG_TOKENS_REQ:
		ok = mg_frame_decode(f, &q.tokens, sizeof(q.tokens)) ==
		     MG_ERR_OK;
		if (ok)
			mon_tokens_order(c, &q.tokens);
		break;
	default:
		ok = false;
	}
	if (!ok)
		put_on_record(c, true, MG_WHY_BAD_REQUEST, "");
}

/* What mg-front says of its client, or a client of itself. */
static void
take_malformed(struct mon_client *c, const struct mg_frame *f)
{
	struct mg_malformed q;
	bool answer = !c->busy;

	if (mg_frame_decode(f, &q, sizeof(q)) != MG_ERR_OK)
		q.text = "malformed";
	c->busy = true; /* until the refusal is on record */
	mon_door_charge(c);
	put_on_record(c, answer, MG_WHY_BAD_REQUEST, q.text);
	if (!answer)
		mon_client_free(c);
}

static void
client_frame(void *arg, struct mg_frame *f)
{
	struct mon_client *c = arg;

	if (continues(c, f))
		return;
	mg_timer_clear(c->m->loop, &c->patience);
	if (f->op == MG_MSG_MALFORMED) {
		take_malformed(c, f);
		return;
	}
	if (c->busy) { /* Rule 1 */
		drop_fds(c, f);
		mon_door_charge(c);
		put_on_record(c, false, MG_WHY_BAD_REQUEST,
		    "a question before the last was answered");
		mon_client_free(c);
		return;
	}
	c->busy = true;
	c->id = f->id;
	c->is_pretender = !mon_door_believes(c);
	switch ((int)f->op) {
	case MG_MSG_RUN_REQ:
		ask_run(c, f);
		break;
	case MG_MSG_LOG_REQ:
		ask_log(c, f);
		break;
	case MG_MSG_PAM_AUTH_REQ:
	case MG_MSG_PAM_ACCT_REQ:
	case MG_MSG_PAM_OPEN_REQ:
	case MG_MSG_PAM_CLOSE_REQ:
		ask_pam(c, f);
		break;
	default:
		ask_other(c, f);
	}
}

/* A last word to root's program whose bytes are not what they may be. */
static void
say_why(struct mon_client *c, const char *why)
{
	struct mg_refused msg = {.why = MG_WHY_BAD_REQUEST, .text = why};

	if (mg_chan_send(c->port.ch, 0, MG_MSG_REFUSED, &msg) != MG_ERR_OK ||
	    mg_chan_flush(c->port.ch) != MG_ERR_OK)
		mg_log(MG_EVT_DEBUG, "err='cannot say why'");
}

static void
client_closed(void *arg, const char *why)
{
	struct mon_client *c = arg;

	if (why[0] != '\0')
		mg_log(MG_EVT_PROTO, "uid=%u pid=%d why='%s'", c->peer.uid,
		    (int)c->peer.pid, why);
	/* Of others, mg-front has said it (take_malformed). */
	if (why[0] != '\0' && c->is_direct) {
		put_on_record(c, false, MG_WHY_BAD_REQUEST, why);
		say_why(c, why);
	}
	mon_client_free(c);
}

/* ---- beginning ---- */

static void
begin(struct mon_client *c)
{
	c->port.on_frame = client_frame;
	c->port.on_close = client_closed;
	c->port.on_drain = client_drained;
	c->port.arg = c;
	mon_client_idle(c);
}

enum mg_err
mon_client_through_front(struct mon_client *c)
{
	begin(c);
	return mon_front_give(c->m, &c->port, c->sock);
}

/* Rule 4 */
enum mg_err
mon_client_directly(struct mon_client *c)
{
	int fd;

	if ((fd = fcntl(c->sock, F_DUPFD_CLOEXEC, 3)) == -1)
		return MG_ERR_SYS;
	c->is_direct = true;
	begin(c);
	return mon_port_init(&c->port, c->m, fd, MG_ROLE_AGENT, MG_ROLE_CLIENT);
}
