/* SPDX-License-Identifier: ISC */
/*
 * The conversation with the agent.
 *
 * Rules
 * 1. MG_SIT_AGENT_DOWN and MG_SIT_NO_RECORD open the door to those named in
 *    rescue=, so they are
 *    never what a caller can bring about: not by an answer that cannot be
 *    sent, not by answering late, not by limits on this process (no
 *    descriptors left, no memory), not by having it stand still (signals, a
 *    terminal that takes no output, no processor): the agent's time begins
 *    when it has the question, and is over only when there is no answer
 *    after it. Once the agent has put a question it is not down, whatever
 *    happens after.
 * 2. Every wait ends: one deadline for the stage, an earlier one for the
 *    agent's first word, limits on messages and questions.
 * 3. An answer is wiped as soon as it is sent. It is never logged.
 * 4. To whoever is there over ssh and has proven nothing, every refusal
 *    reads the same: the reason would tell who exists, who has a second
 *    factor, who is locked. The code leads support to the reason.
 */
#include <security/pam_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_client.h"
#include "mg_time.h"
#include "mg_why.h"
#include "pam_say.h"
#include "pam_talk.h"

struct talk {
	struct pam_talk *t;
	struct mg_chan *ch;
	int64_t start_ms;
	int64_t deadline_ms;
	unsigned prompts;
	bool has_spoken; /* the agent */
};

static enum mg_msg_op
question(enum pam_stage stage)
{
	switch (stage) {
	case MG_STAGE_AUTH:
		return MG_MSG_PAM_AUTH_REQ;
	case MG_STAGE_ACCOUNT:
		return MG_MSG_PAM_ACCT_REQ;
	case MG_STAGE_OPEN:
		return MG_MSG_PAM_OPEN_REQ;
	case MG_STAGE_CLOSE:
		return MG_MSG_PAM_CLOSE_REQ;
	case MG_STAGE_COUNT:
		break;
	}
	return MG_MSG_NONE;
}

static int
budget_ms(const struct pam_talk *t)
{
	int ms = t->args->timeout_ms;

	if (ms == 0)
		ms = t->stage == MG_STAGE_AUTH ? PAM_TALK_HUMAN_MS
					       : PAM_TALK_TIMEOUT_MS;
	if (t->is_telling && ms > PAM_TALK_TELL_MS)
		ms = PAM_TALK_TELL_MS;
	return ms;
}

static void
begin(struct talk *k)
{
	k->start_ms = mg_time_boot_ms();
	k->deadline_ms = k->start_ms + budget_ms(k->t);
}

/* Milliseconds until the deadline that counts now (Rule 2). */
static int
left_ms(const struct talk *k)
{
	int64_t end = k->deadline_ms, now = mg_time_boot_ms();

	if (!k->has_spoken && end > k->start_ms + PAM_TALK_FIRST_MS)
		end = k->start_ms + PAM_TALK_FIRST_MS;
	return end > now ? (int)(end - now) : 0;
}

static bool
is_quiet(const struct talk *k)
{
	return k->t->args->quiet || k->t->is_telling;
}

static void
note(struct talk *k, const char *text)
{
	snprintf(k->t->note, sizeof(k->t->note), "%s", text);
}

/* Rule 1: what a failure of the connection means. */
static enum pam_situation
failed(struct talk *k, enum mg_err r)
{
	note(k, mg_err_str(r));
	if (r == MG_ERR_NOMEM)
		return MG_SIT_NO_MEMORY;
	if (k->prompts > 0)
		return MG_SIT_BROKE_OFF;
	if (r == MG_ERR_NOENT || r == MG_ERR_PERM || r == MG_ERR_TIMEOUT ||
	    r == MG_ERR_CLOSED || r == MG_ERR_TRUNC || r == MG_ERR_PROTO)
		return MG_SIT_AGENT_DOWN;
	return MG_SIT_BROKE_OFF;
}

/* ---- what the agent says ---- */

static enum pam_situation
malformed(struct talk *k)
{
	return failed(k, MG_ERR_PROTO);
}

static enum pam_situation
on_done(struct talk *k, const struct mg_frame *f)
{
	struct mg_done m;

	if (mg_frame_decode(f, &m, sizeof(m)) != MG_ERR_OK)
		return malformed(k);
	if (m.text[0] != '\0' && !k->t->args->quiet &&
	    (k->t->flags & PAM_SILENT) == 0)
		pam_say_info(k->t->pamh, "%s", m.text);
	return MG_SIT_ALLOWED;
}

static void
explain(struct talk *k, const struct mg_refused *m)
{
	pam_handle_t *pamh = k->t->pamh;
	bool has_code = m->code[0] != '\0';

	if (k->t->ask->is_stranger) { /* Rule 4 */
		pam_say_error(pamh, "modelgate: not accepted%s%s",
		    has_code ? "; code " : "", m->code);
		return;
	}
	pam_say_error(pamh, "modelgate: %s: %s%s%s%s", k->t->args->operation,
	    m->text[0] != '\0' ? m->text : mg_why_sentence((enum mg_why)m->why),
	    m->rule[0] != '\0' ? " [" : "", m->rule,
	    m->rule[0] != '\0' ? "]" : "");
	if (m->remedy[0] != '\0' || has_code)
		pam_say_error(pamh, "modelgate: %s%s%s%s%s", m->remedy,
		    m->remedy[0] != '\0' && has_code ? "; " : "",
		    has_code ? "'modelgate why " : "", m->code,
		    has_code ? "' tells more" : "");
}

static enum pam_situation
on_refused(struct talk *k, const struct mg_frame *f)
{
	struct mg_refused m;

	if (mg_frame_decode(f, &m, sizeof(m)) != MG_ERR_OK)
		return malformed(k);
	snprintf(k->t->note, sizeof(k->t->note), "%s%s%s%s%s",
	    mg_why_word((enum mg_why)m.why), m.code[0] != '\0' ? " code=" : "",
	    m.code, m.rule[0] != '\0' ? " rule=" : "", m.rule);
	if (!is_quiet(k))
		explain(k, &m);
	if ((m.why == MG_WHY_LEDGER_FAILED || m.why == MG_WHY_AUDIT_FAILED ||
		m.why == MG_WHY_NAMES_FAILED) &&
	    k->prompts == 0) /* Rule 1 */
		return MG_SIT_NO_RECORD;
	if (k->t->ask->is_stranger) /* Rule 4 */
		return MG_SIT_DENIED;
	if (m.why == MG_WHY_MFA_LOCKED)
		return MG_SIT_LOCKED;
	if (m.why == MG_WHY_UNKNOWN_USER)
		return MG_SIT_NO_USER;
	return MG_SIT_DENIED;
}

/* A message of the authentication stack, part of the questions. */
static enum pam_situation
on_info(struct talk *k, const struct mg_frame *f, bool *endp)
{
	struct mg_auth_info m;

	if (mg_frame_decode(f, &m, sizeof(m)) != MG_ERR_OK)
		return malformed(k);
	*endp = false;
	if (is_quiet(k))
		return MG_SIT_ALLOWED;
	if (m.is_error)
		pam_say_error(k->t->pamh, "%s", m.text);
	else
		pam_say_info(k->t->pamh, "%s", m.text);
	return MG_SIT_ALLOWED;
}

/*
 * No answer, or the application cannot ask: for sshd after a key alone this
 * text is all that the person gets to see.
 */
static enum pam_situation
cannot_ask(struct talk *k)
{
	const char *operation = k->t->args->operation;

	note(k, "a question was not answered");
	if (is_quiet(k))
		return MG_SIT_CONV;
	pam_say_error(k->t->pamh,
	    "modelgate: %s: a second factor is needed, and there was no answer "
	    "to the question for it",
	    operation);
	if (strcmp(k->t->ask->tty, "ssh") == 0)
		pam_say_error(k->t->pamh,
		    "modelgate: a login with a key alone cannot be asked; log "
		    "in with 'ssh -o PreferredAuthentications=publickey,"
		    "keyboard-interactive', or get a grant beforehand: "
		    "'modelgate request %s'",
		    operation);
	else
		pam_say_error(k->t->pamh,
		    "modelgate: where nobody can be asked, get a grant "
		    "beforehand: 'modelgate request %s'",
		    operation);
	return MG_SIT_CONV;
}

/* Sends the answer, which may be anything (Rule 1). */
static enum pam_situation
answer(struct talk *k, uint32_t id, const char *text, bool *endp)
{
	struct mg_auth_ans m = {.text = text};
	enum mg_err r;

	if (left_ms(k) == 0) {
		note(k, "the answer came too late");
		if (!is_quiet(k))
			pam_say_error(
			    k->t->pamh, "modelgate: that took too long");
		return MG_SIT_CONV;
	}
	r = mg_chan_send(k->ch, id, MG_MSG_AUTH_ANS, &m);
	if (r == MG_ERR_FORMAT || r == MG_ERR_LIMIT) {
		note(k, "the answer is not text of one line");
		return MG_SIT_DENIED;
	}
	if (r != MG_ERR_OK)
		return failed(k, r);
	k->t->is_answered = true;
	*endp = false;
	return MG_SIT_ALLOWED;
}

static enum pam_situation
on_prompt(struct talk *k, const struct mg_frame *f, bool *endp)
{
	struct mg_auth_prompt m;
	enum pam_situation sit;
	char *resp = NULL;
	int r;

	if (k->t->stage != MG_STAGE_AUTH && k->t->stage != MG_STAGE_ACCOUNT)
		return malformed(k);
	if (mg_frame_decode(f, &m, sizeof(m)) != MG_ERR_OK)
		return malformed(k);
	k->prompts++;
	if (k->t->is_telling || k->prompts > PAM_TALK_PROMPTS_MAX) {
		note(k, "a question that is not answered here");
		return MG_SIT_CONV;
	}
	/* People are slower than agents. */
	if (k->deadline_ms < k->start_ms + PAM_TALK_HUMAN_MS)
		k->deadline_ms = k->start_ms + PAM_TALK_HUMAN_MS;
	r = pam_prompt(k->t->pamh,
	    m.echo ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, &resp, "%s",
	    m.text);
	if (r != PAM_SUCCESS || resp == NULL)
		sit = r == PAM_BUF_ERR ? MG_SIT_NO_MEMORY : cannot_ask(k);
	else
		sit = answer(k, f->id, resp, endp);
	if (resp != NULL) /* Rule 3 */
		explicit_bzero(resp, strlen(resp));
	free(resp);
	return sit;
}

/* *endp is false when the conversation goes on. */
static enum pam_situation
on_frame(struct talk *k, const struct mg_frame *f, bool *endp)
{
	*endp = true;
	k->has_spoken = true;
	if (f->op == MG_MSG_DONE)
		return on_done(k, f);
	if (f->op == MG_MSG_REFUSED)
		return on_refused(k, f);
	if (f->op == MG_MSG_AUTH_INFO)
		return on_info(k, f, endp);
	if (f->op == MG_MSG_AUTH_PROMPT)
		return on_prompt(k, f, endp);
	return malformed(k);
}

static enum pam_situation
converse(struct talk *k)
{
	enum pam_situation sit = MG_SIT_DENIED;
	struct mg_frame f;
	bool is_end = false;
	enum mg_err r;
	int n;

	r = mg_client_ask(
	    k->ch, question(k->t->stage), &k->t->ask->req, NULL, 0);
	if (r != MG_ERR_OK)
		return failed(k, r);
	begin(k);
	for (n = 0; n < PAM_TALK_FRAMES_MAX && !is_end; n++) { /* Rule 2 */
		r = mg_chan_wait(k->ch, left_ms(k), &f);
		if (r != MG_ERR_OK)
			return failed(k, r);
		sit = on_frame(k, &f, &is_end);
	}
	return is_end ? sit : malformed(k);
}

enum pam_situation
pam_talk_run(struct pam_talk *t)
{
	struct talk k = {.t = t};
	enum pam_situation sit;
	enum mg_err r;

	t->note[0] = '\0';
	begin(&k);
	r = mg_client_connect(MG_CLIENT_SOCKET, left_ms(&k), &k.ch);
	if (r != MG_ERR_OK)
		return failed(&k, r);
	sit = converse(&k);
	mg_chan_free(k.ch);
	return sit;
}
