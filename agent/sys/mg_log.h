/* SPDX-License-Identifier: ISC */
#ifndef MG_LOG_H
#define MG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
 * Who can make an event happen could fill the disk with its lines: of each
 * event (and of all that children write) no more than so many are written
 * in so long, and then how many were not.
 */
#define MG_LOG_LINES_MAX 500
#define MG_LOG_WINDOW_MS 10000

/* The lines of one event; zeroed before its first use. */
struct mg_log_gate {
	int64_t since_ms;
	unsigned lines, dropped;
};

/* Whether one more line may be written at now_ms; else it is counted. */
bool mg_log_gate_pass(struct mg_log_gate *g, int64_t now_ms);

/* Says now what was not written, before the process ends. */
void mg_log_end(void);

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
