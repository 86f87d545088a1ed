/* SPDX-License-Identifier: ISC */
#ifndef PAM_VERDICT_H
#define PAM_VERDICT_H

/*
 * What the module tells libpam, for every situation at every stage. Only
 * here does an outcome become a return code.
 */

enum pam_stage {
	MG_STAGE_AUTH,
	MG_STAGE_ACCOUNT,
	MG_STAGE_OPEN,
	MG_STAGE_CLOSE,
	MG_STAGE_COUNT
};

/* How a stage came out. The forgotten value is a refusal. */
enum pam_situation {
	MG_SIT_DENIED,	   /* the agent said no */
	MG_SIT_ALLOWED,	   /* the agent said yes */
	MG_SIT_RESCUED,	   /* the agent is down; named in rescue= */
	MG_SIT_CONSOLE,	   /* root on the console */
	MG_SIT_AGENT_DOWN, /* absent, slow, not root's, or not talking sense */
	MG_SIT_NO_RECORD,  /* it answers, but cannot write what it does */
	MG_SIT_BROKE_OFF,  /* failed after a question, or in this process */
	MG_SIT_LOCKED,	   /* too many wrong codes */
	MG_SIT_NO_USER,	   /* nobody that the agent could know */
	MG_SIT_CONV,	   /* a question could not be put, or not in time */
	MG_SIT_NO_MEMORY,
	MG_SIT_BAD_ARGS, /* the line in pam.d is wrong */
	MG_SIT_COUNT
};

/*
 * The PAM return code. Only MG_SIT_ALLOWED, MG_SIT_RESCUED and
 * MG_SIT_CONSOLE give PAM_SUCCESS; values outside of the enums never do.
 */
int pam_verdict(enum pam_stage stage, enum pam_situation situation);

/* "auth", "account", "session open", "session close". */
const char *pam_verdict_stage_word(enum pam_stage stage);

/* A few words for the log. */
const char *pam_verdict_situation_word(enum pam_situation situation);

#endif
