/* SPDX-License-Identifier: ISC */
#ifndef PAM_TALK_H
#define PAM_TALK_H

#include "pam_ask.h"

/*
 * One round trip: a connection, one question, the agent's questions to the
 * person, one answer. Bounded in time and in messages.
 */

#define PAM_TALK_TIMEOUT_MS 3000 /* account and session */
#define PAM_TALK_HUMAN_MS 60000	 /* auth, and once a question was put */
#define PAM_TALK_FIRST_MS 5000	 /* until the agent's first word */
#define PAM_TALK_TELL_MS 1000	 /* when the answer changes nothing */
#define PAM_TALK_FRAMES_MAX 64
#define PAM_TALK_PROMPTS_MAX 8

struct pam_talk {
	pam_handle_t *pamh;
	const struct pam_args *args;
	const struct pam_ask *ask;
	enum pam_stage stage;
	int flags;	  /* of the pam_sm_ call */
	bool is_telling;  /* ask no questions, show no refusal, be quick */
	bool is_answered; /* out: the person answered a question of the agent's
			   */
	char note[256];	  /* out: what happened, for the log */
};

enum pam_situation pam_talk_run(struct pam_talk *t);

#endif
