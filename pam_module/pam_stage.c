/* SPDX-License-Identifier: ISC */
/*
 * What happens in a stage.
 *
 * Rules
 * 1. rescue= helps when the agent is down, cannot keep its records (a full
 *    disk) or cannot find out who people are, never when it refuses.
 * 2. Who rescue= is about: at a login the account that logs in; everywhere
 *    else the login uid's, for PAM_USER is then the account that is wanted
 *    (su) or one that root chose, and a login uid is the person. No login
 *    uid, no rescue.
 * 3. Root on the console needs nobody's leave, but the agent is told. At
 *    the auth stage it is not even asked: there are questions to answer.
 * 4. At a login's auth stage, that the agent asks for nothing (or is down)
 *    proves nobody: somebody must have proven something, to sshd, to another
 *    module with a password, or to the agent. Else a stack with this line
 *    alone would let anybody be anybody.
 * 5. No outcome but those of pam_verdict() leaves here.
 */
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "pam_console.h"
#include "pam_say.h"
#include "pam_stage.h"
#include "pam_talk.h"

#define LOGIN_OPERATION "login"

/* Rule 2 */
static bool
is_rescue(pam_handle_t *pamh, const struct pam_args *args, const char *user)
{
	uint32_t uid;
	struct passwd *pw;

	if (args->rescue[0] == '\0')
		return false;
	if (strcmp(args->operation, LOGIN_OPERATION) == 0)
		return pam_args_is_rescue(args, user);
	if ((uid = pam_console_loginuid()) == PAM_CONSOLE_NO_UID)
		return false;
	pw = pam_modutil_getpwuid(pamh, (uid_t)uid);
	return pw != NULL && pam_args_is_rescue(args, pw->pw_name);
}

static enum pam_situation
on_console(struct pam_talk *t)
{
	if (t->stage != MG_STAGE_AUTH) { /* Rule 3 */
		t->is_telling = true;
		(void)pam_talk_run(t);
	}
	return MG_SIT_CONSOLE;
}

static int
priority(enum pam_situation sit)
{
	switch (sit) {
	case MG_SIT_ALLOWED:
		return LOG_DEBUG;
	case MG_SIT_DENIED:
	case MG_SIT_LOCKED:
	case MG_SIT_NO_USER:
	case MG_SIT_CONV:
	case MG_SIT_CONSOLE:
		return LOG_NOTICE;
	case MG_SIT_RESCUED:
		return LOG_ALERT;
	case MG_SIT_NO_MEMORY:
		return LOG_CRIT;
	case MG_SIT_AGENT_DOWN:
	case MG_SIT_NO_RECORD:
	case MG_SIT_BROKE_OFF:
	case MG_SIT_BAD_ARGS:
	case MG_SIT_COUNT:
		break;
	}
	return LOG_ERR;
}

static void
log_outcome(const struct pam_talk *t, enum pam_situation sit)
{
	int level = priority(sit);

	if (level == LOG_DEBUG && !t->args->debug)
		return;
	pam_syslog(t->pamh, level,
	    "%s: %s: user='%s' operation=%s tty='%s' rhost='%s'%s%s",
	    pam_verdict_stage_word(t->stage), pam_verdict_situation_word(sit),
	    t->ask->user_shown, t->args->operation, t->ask->tty, t->ask->rhost,
	    t->note[0] != '\0' ? ": " : "", t->note);
}

/* What the agent cannot explain: that it is not there, or was not asked. */
static void
explain(const struct pam_talk *t, enum pam_situation sit)
{
	const char *operation = t->args->operation;

	if (t->args->quiet)
		return;
	if (sit == MG_SIT_AGENT_DOWN || sit == MG_SIT_BROKE_OFF ||
	    sit == MG_SIT_NO_MEMORY)
		pam_say_error(t->pamh,
		    "modelgate: %s: refused, because %s; root on the console "
		    "gets in",
		    operation, pam_verdict_situation_word(sit));
	/* At auth this would tell which names exist. */
	if (sit == MG_SIT_NO_USER && t->stage != MG_STAGE_AUTH)
		pam_say_error(t->pamh,
		    "modelgate: %s: refused, because '%s' is not a name that "
		    "the agent can look up",
		    operation, t->ask->user_shown);
}

/* Rule 4 */
static bool
is_proven(const struct pam_talk *t)
{
	const void *password = NULL;

	if (t->stage != MG_STAGE_AUTH ||
	    strcmp(t->args->operation, LOGIN_OPERATION) != 0)
		return true;
	if (t->is_answered || t->ask->auth_info[0] != '\0')
		return true;
	return pam_get_item(t->pamh, PAM_AUTHTOK, &password) == PAM_SUCCESS &&
	       password != NULL;
}

static enum pam_situation
decide(struct pam_talk *t)
{
	enum pam_situation sit;

	if (pam_console_is_root(t->pamh, t->ask->user))
		return on_console(t);
	sit = pam_talk_run(t);
	if ((sit == MG_SIT_AGENT_DOWN ||
		sit == MG_SIT_NO_RECORD) && /* Rule 1 */
	    is_rescue(t->pamh, t->args, t->ask->user))
		sit = MG_SIT_RESCUED;
	if ((sit == MG_SIT_ALLOWED || sit == MG_SIT_RESCUED) && !is_proven(t)) {
		snprintf(t->note, sizeof(t->note),
		    "nobody has proven anything: the auth line must follow "
		    "another factor");
		if (!t->args->quiet)
			pam_say_error(t->pamh,
			    "modelgate: login: not accepted; the log says why");
		sit = MG_SIT_DENIED;
	}
	if (sit != MG_SIT_NO_USER) /* then the agent has explained it */
		explain(t, sit);
	return sit;
}

int
pam_stage_run(pam_handle_t *pamh, int flags, int argc, const char **argv,
    enum pam_stage stage)
{
	struct pam_args args;
	struct pam_ask ask;
	struct pam_talk talk;
	enum pam_situation sit;
	char why[256];

	if (!pam_args_parse(argc, argv, &args, why, sizeof(why))) {
		pam_syslog(pamh, LOG_ERR, "%s: refused: argument %s",
		    pam_verdict_stage_word(stage), why);
		return pam_verdict(stage, MG_SIT_BAD_ARGS);
	}
	memset(&talk, 0, sizeof(talk));
	talk.pamh = pamh;
	talk.args = &args;
	talk.ask = &ask;
	talk.stage = stage;
	talk.flags = flags;
	sit = pam_ask_init(&ask, pamh, &args, stage);
	if (sit == MG_SIT_ALLOWED)
		sit = decide(&talk);
	else
		explain(&talk, sit);
	log_outcome(&talk, sit);
	pam_ask_fini(&ask);
	return pam_verdict(stage, sit); /* Rule 5 */
}
