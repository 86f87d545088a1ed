/* SPDX-License-Identifier: ISC */
/*
 * Asking two judges about one signature.
 *
 * Rules
 * 1. Two processes judge it, of two users and independent of each other: a
 *    strict parser, and the stock ssh-keygen. Both must say yes, in time.
 */
#include <stdio.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"

static void
conclude(struct mon_sig *s)
{
	if (s->done || !s->strict_done || !s->stock_done)
		return;
	s->done = true;
	mon_sig_stop(s);
	s->ok = s->strict_ok && s->stock_ok; /* Rule 1 */
	s->fn(s->arg);
}

static void
judged(struct mon_sig *s, bool strict, bool ok, const char *why)
{
	if (strict) {
		s->strict_done = true;
		s->strict_ok = ok;
	} else {
		s->stock_done = true;
		s->stock_ok = ok;
	}
	if (!ok && (s->why[0] == '\0' || strict))
		snprintf(s->why, sizeof(s->why), "%s", why);
	conclude(s);
}

static void
take_answer(struct mon_sig *s, bool strict, struct mg_frame *f)
{
	struct mg_verify_sig_ans a;

	if (s->done || f->op != MG_MSG_VERIFY_SIG_ANS ||
	    mg_frame_decode(f, &a, sizeof(a)) != MG_ERR_OK)
		return;
	if (strict && a.ok) {
		snprintf(s->key_type, sizeof(s->key_type), "%s", a.key_type);
		snprintf(s->key_fp, sizeof(s->key_fp), "%s", a.key_fp);
		s->hardware = a.hardware;
	}
	judged(s, strict, a.ok, a.text);
}

static void
strict_frame(void *arg, struct mg_frame *f)
{
	struct mon_sig *s = arg;

	if (!s->strict_done)
		take_answer(s, true, f);
}

static void
stock_frame(void *arg, struct mg_frame *f)
{
	struct mon_sig *s = arg;

	if (!s->stock_done)
		take_answer(s, false, f);
}

static void
strict_ended(void *arg, int status)
{
	struct mon_sig *s = arg;

	(void)status;
	if (!s->strict_done)
		judged(s, true, false, "the verifier ended");
}

static void
stock_ended(void *arg, int status)
{
	struct mon_sig *s = arg;

	(void)status;
	if (!s->stock_done)
		judged(s, false, false, "ssh-keygen could not be run");
}

static void
late(void *arg)
{
	struct mon_sig *s = arg;

	snprintf(s->why, sizeof(s->why), "the verifier took too long");
	s->strict_done = s->stock_done = true;
	s->strict_ok = s->stock_ok = false;
	conclude(s);
}

bool
mon_sig_start(struct mon_sig *s, struct mon *m,
    const struct mg_verify_sig_req *q, void (*fn)(void *arg), void *arg)
{
	struct mg_verify_sig_req now = *q;

	memset(s, 0, sizeof(*s));
	s->m = m;
	s->fn = fn;
	s->arg = arg;
	now.now_ms = mg_time_wall_ms();
	s->strict.on_frame = strict_frame;
	s->strict.on_end = strict_ended;
	s->stock.on_frame = stock_frame;
	s->stock.on_end = stock_ended;
	s->strict.arg = s->stock.arg = s;
	if (mon_proc_start(&s->strict, m, "mg-verify", "sig", NULL,
		MG_ROLE_VERIFY, NULL, 0) != MG_ERR_OK ||
	    mon_proc_start(&s->stock, m, "mg-verify", "keygen", NULL,
		MG_ROLE_VERIFY, NULL, 0) != MG_ERR_OK ||
	    mon_port_send(&s->strict.port, 1, MG_MSG_VERIFY_SIG_REQ, &now) !=
		MG_ERR_OK ||
	    mon_port_send(&s->stock.port, 1, MG_MSG_VERIFY_SIG_REQ, &now) !=
		MG_ERR_OK) {
		mon_sig_stop(s);
		return false;
	}
	mon_timer_set(
	    m, &s->timer, mg_time_boot_ms() + MON_VERIFY_DEADLINE_MS, late, s);
	return true;
}

void
mon_sig_stop(struct mon_sig *s)
{
	if (s->m == NULL)
		return;
	mg_timer_clear(s->m->loop, &s->timer);
	mon_proc_stop(&s->strict);
	mon_proc_stop(&s->stock);
}
