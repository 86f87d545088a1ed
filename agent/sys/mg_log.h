/* SPDX-License-Identifier: ISC */
#ifndef MG_LOG_H
#define MG_LOG_H

#include <stddef.h>

#include "events.def"

/*
 * Log lines for operators: "evt=WORD key=value ...". Not the audit trail.
 * Never used in the PAM module. One target a process; the children of
 * modelgated write to a pipe that modelgated reads.
 */

#define MG_LOG_LINE_MAX 1024

enum mg_log_level {
	MG_LOG_ERR,
	MG_LOG_WARN,
	MG_LOG_NOTICE,
	MG_LOG_INFO,
	MG_LOG_DEBUG
};

enum mg_event {
#define MG_EVENT_ENUM(NAME, word, level) MG_EVT_##NAME,
	MG_EVENT_LIST(MG_EVENT_ENUM)
#undef MG_EVENT_ENUM
	    MG_EVT_COUNT
};

enum mg_log_target {
	MG_LOG_TO_STDERR, /* "modelgated: evt=..." */
	MG_LOG_TO_SYSLOG, /* facility authpriv */
	MG_LOG_TO_PARENT  /* "N name[pid]: evt=..." on descriptor 2 */
};

/* name must outlive the process; level is the least urgent one written. */
void mg_log_init(
    const char *name, enum mg_log_target target, enum mg_log_level level);

/*
 * Writes one line. The formatted text is escaped as a whole, cut to
 * MG_LOG_LINE_MAX. errno survives.
 */
void mg_log(enum mg_event event, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* One line that a child wrote for us, level digit and all. */
void mg_log_from_child(const char *line);

/* Logs and exits with status 1: for broken invariants and start-up only. */
_Noreturn void mg_fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

#endif
