/* SPDX-License-Identifier: ISC */
/* Log lines. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "mg_esc.h"
#include "mg_log.h"
#include "mg_time.h"

static const struct {
	const char *word;
	enum mg_log_level level;
} events[] = {
#define MG_EVENT_ROW(NAME, word, level)                                        \
	[MG_EVT_##NAME] = {(word), MG_LOG_##level},
    MG_EVENT_LIST(MG_EVENT_ROW)
#undef MG_EVENT_ROW
};

static const int priorities[] = {
    [MG_LOG_ERR] = LOG_ERR,
    [MG_LOG_WARN] = LOG_WARNING,
    [MG_LOG_NOTICE] = LOG_NOTICE,
    [MG_LOG_INFO] = LOG_INFO,
    [MG_LOG_DEBUG] = LOG_DEBUG,
};

/* The one piece of process-wide state: where lines go, and how many went. */
static struct {
	const char *name;
	enum mg_log_target target;
	enum mg_log_level level;
	struct mg_log_gate gates[MG_EVT_COUNT + 1]; /* the last: of children */
} log_state = {
    .name = "modelgate", .target = MG_LOG_TO_STDERR, .level = MG_LOG_INFO};

void
mg_log_init(
    const char *name, enum mg_log_target target, enum mg_log_level level)
{
	log_state.name = name;
	log_state.target = target;
	log_state.level = level;
	if (target == MG_LOG_TO_SYSLOG)
		openlog(name, LOG_PID, LOG_AUTHPRIV);
}

static void
write_line(enum mg_log_level level, const char *name, const char *text)
{
	char line[MG_LOG_LINE_MAX + 256];
	int n;

	switch (log_state.target) {
	case MG_LOG_TO_SYSLOG:
		syslog(priorities[level], "%s", text);
		return;
	case MG_LOG_TO_STDERR:
		n = snprintf(line, sizeof(line), "%s: %s\n", name, text);
		break;
	case MG_LOG_TO_PARENT:
		n = snprintf(line, sizeof(line), "%d %s[%d]: %s\n", (int)level,
		    name, (int)getpid(), text);
		break;
	default:
		return;
	}
	/* One write, so that lines of several processes do not mix. */
	if (n > 0 && (size_t)n < sizeof(line) &&
	    write(STDERR_FILENO, line, (size_t)n) == -1)
		return;
}

static void
log_text(enum mg_log_level level, const char *word, const char *raw)
{
	char text[MG_LOG_LINE_MAX + 64], esc[MG_LOG_LINE_MAX];

	snprintf(text, sizeof(text), "evt=%s %s", word, raw);
	mg_esc_line(text, esc, sizeof(esc));
	write_line(level, log_state.name, esc);
}

bool
mg_log_gate_pass(struct mg_log_gate *g, int64_t now_ms)
{
	if (now_ms - g->since_ms >= MG_LOG_WINDOW_MS) {
		g->since_ms = now_ms;
		g->lines = 0;
	}
	if (g->lines < MG_LOG_LINES_MAX) {
		g->lines++;
		return true;
	}
	g->dropped++;
	return false;
}

static void
say_dropped(size_t i, unsigned n)
{
	char text[128];

	if (n == 0)
		return;
	snprintf(text, sizeof(text), "event=%s dropped=%u",
	    i == MG_EVT_COUNT ? "child-lines" : events[i].word, n);
	log_text(MG_LOG_WARN, events[MG_EVT_LIMIT].word, text);
}

/* Says what was not written in windows that are over, or in all. */
static void
say_all_dropped(int64_t now, bool all)
{
	struct mg_log_gate *g;
	size_t i;

	for (i = 0; i <= MG_EVT_COUNT; i++) {
		g = &log_state.gates[i];
		if (all || now - g->since_ms >= MG_LOG_WINDOW_MS) {
			say_dropped(i, g->dropped);
			g->dropped = 0;
		}
	}
}

void
mg_log_end(void)
{
	say_all_dropped(0, true);
}

static bool
may_write(size_t i)
{
	int64_t now = mg_time_boot_ms();

	say_all_dropped(now, false);
	return mg_log_gate_pass(&log_state.gates[i], now);
}

void
mg_log(enum mg_event event, const char *fmt, ...)
{
	char raw[MG_LOG_LINE_MAX];
	int saved = errno;
	va_list ap;

	if (events[event].level <= log_state.level && may_write(event)) {
		va_start(ap, fmt);
		vsnprintf(raw, sizeof(raw), fmt, ap);
		va_end(ap);
		log_text(events[event].level, events[event].word, raw);
	}
	errno = saved;
}

void
mg_log_from_child(const char *line)
{
	enum mg_log_level level = MG_LOG_WARN;
	char esc[MG_LOG_LINE_MAX];

	if (line[0] >= '0' && line[0] <= '4' && line[1] == ' ') {
		level = (enum mg_log_level)(line[0] - '0');
		line += 2;
	}
	if (level > log_state.level || !may_write(MG_EVT_COUNT))
		return;
	mg_esc_line(line, esc, sizeof(esc));
	write_line(level, log_state.name, esc);
}

void
mg_fatal(const char *fmt, ...)
{
	char raw[MG_LOG_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	log_text(MG_LOG_ERR, "fatal", raw);
	exit(1);
}
