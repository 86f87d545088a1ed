/* SPDX-License-Identifier: ISC */
#ifndef DOC_H
#define DOC_H

#include <stdbool.h>
#include <pwd.h>
#include <stddef.h>

#include "mg_buf.h"
#include "mg_json.h"

/*
 * modelgate doctor: is this host really enforcing? Files:
 *
 *	main.c		options, the list of checks, what is printed
 *	doc_agent.c	the agent, as it answers; audit, hub, clock
 *	doc_models.c	what is served, against the ledger
 *	doc_pam.c	the PAM stacks and who uses them
 *	doc_files.c	owners and modes of what decides
 *	doc_reach.c	other ways to the serving users and the models
 *	doc_run.c	what other programs and the user database say
 *	doc_record.c	what changed since the last time, for audit
 */

enum doc_result { DOC_BAD = 0, DOC_WARN, DOC_GOOD };

#define DOC_NAME_MAX 64
#define DOC_FAILING_MAX 64

struct doc {
	bool json;
	unsigned bad, warn;
	struct mg_buf out;
	struct mg_json j;
	char failing[DOC_FAILING_MAX][DOC_NAME_MAX]; /* names of what is bad */
	size_t nfailing;
};

/* One line: what was looked at, what was found, how to mend it. */
void doc_say(struct doc *d, enum doc_result r, const char *name,
    const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * Runs argv (an absolute path first) with a clean environment; fn sees each
 * line of its output. False when it could not be run or failed.
 */
typedef void (*doc_line_fn)(void *arg, const char *line);
bool doc_output(const char *const *argv, doc_line_fn fn, void *arg);

/* A user from NSS; pw points into text. False: there is none. */
struct doc_user {
	struct passwd pw;
	char text[4096];
};
bool doc_user(const char *name, struct doc_user *u);

void doc_agent(struct doc *d);
void doc_models(struct doc *d);
void doc_pam(struct doc *d);
void doc_files(struct doc *d);
void doc_reach(struct doc *d);

/*
 * Compares with the last time (MG_DOC_STATE) and writes one audit record
 * for each check that began or ceased to fail. False, with a message on
 * standard error, when it could not.
 */
#define MG_DOC_STATE "/var/lib/modelgate/doctor"
bool doc_record(const struct doc *d);

#endif
