/* SPDX-License-Identifier: ISC */
/*
 * run and request: what is shown while a request waits, on a terminal and on
 * a pipe.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_run.h"
#include "mg_json.h"
#include "mg_time.h"

void
run_clear_line(struct run_session *s)
{
	if (s->line_shown)
		fputs("\r\033[J", stderr);
	s->line_shown = false;
}

/*
 * One screen line at most: a longer one could not be taken back. The cursor
 * goes back to its beginning: a terminal that is made narrower folds the
 * line, and keeps the cursor at that character; what is below goes with it.
 */
static void
show(struct run_session *s, const char *text, unsigned width)
{
	const char *p = text;
	unsigned used = 0;

	for (; *p != '\0' && used + 1 < width; p++)
		if (((unsigned char)*p & 0xc0) != 0x80)
			used++;
	while (*p != '\0' && ((unsigned char)*p & 0xc0) == 0x80)
		p++;
	fprintf(stderr, "\r\033[J%.*s\r", (int)(p - text), text);
	s->line_shown = true;
}

void
run_show_line(struct run_session *s)
{
	char left[MG_DURATION_STR], text[2200];
	unsigned width = mg_cli_columns(STDERR_FILENO);
	int n;

	if (!s->pending || s->quiet_wait)
		return;
	mg_duration_format(s->deadline - mg_time_boot_ms(), left);
	n = snprintf(text, sizeof(text), "%s left  %s", left, s->line);
	if (n >= (int)width) /* how many are missing before who they are */
		snprintf(text, sizeof(text), "%s left  %s", left, s->brief);
	show(s, text, width);
}

static unsigned
count_agreed(
    const struct mg_pending *p, const char *role, char *who, size_t size)
{
	unsigned n = 0;
	size_t i, used = 0;

	who[0] = '\0';
	for (i = 0; i + 1 < p->agreed_n; i += 2) {
		if (strcmp(p->agreed[i], role) != 0)
			continue;
		n++;
		if (used < size)
			used += (size_t)snprintf(who + used, size - used,
			    "%s%s", used > 0 ? "," : "", p->agreed[i + 1]);
	}
	return n;
}

/* "risk-owner 1/1 bob   data-steward 0/1 asked: carol", or without names */
static void
describe(const struct mg_pending *p, bool names, char *out, size_t size)
{
	char who[256];
	size_t i, used = 0;
	unsigned have;
	unsigned long want;

	out[0] = '\0';
	for (i = 0; i + 2 < p->need_n && used < size; i += 3) {
		have = count_agreed(p, p->need[i], who, sizeof(who));
		want = strtoul(p->need[i + 1], NULL, 10);
		used += (size_t)snprintf(out + used, size - used,
		    "%s%s %u/%lu%s%s", used > 0 ? "   " : "", p->need[i], have,
		    want, names ? " " : "", names ? who : "");
		if (names && have < want && used < size)
			used += (size_t)snprintf(out + used, size - used,
			    "%sasked: %s", who[0] != '\0' ? " " : "",
			    p->need[i + 2][0] != '\0' ? p->need[i + 2]
						      : "nobody known");
	}
}

static void
first_pending(struct run_session *s, const struct mg_pending *p)
{
	fprintf(stderr, "modelgate: %s is filed as %s\n", s->what, p->code);
	if (p->digest[0] != '\0')
		fprintf(stderr, "  %s\n", p->digest); /* fits 80 columns */
	if (p->need_n == 0)
		return;
	if ((s->q.flags & MG_RUN_BREAK_GLASS) != 0)
		fprintf(stderr, "  breaks the glass: nobody is waited for, and "
				"somebody reviews it afterwards\n");
	else if (p->hub[0] == '\0')
		fprintf(stderr, "  no hub is configured: nobody can approve "
				"it\n");
	else
		fprintf(stderr, "  approvers: modelgate approve %s\n", p->code);
	if (p->how[0] != '\0')
		fprintf(stderr, "  needed: %s\n", p->how);
	if (p->number[0] != '\0')
		fprintf(
		    stderr, "  tell whom you ask this number: %s\n", p->number);
}

void
run_json_event(
    const char *event, const char *code, const char *text, const char *number)
{
	struct mg_buf b;
	struct mg_json j;
	const char *line;

	mg_buf_init(&b, 8192);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "event", event);
	mg_json_str(&j, "code", code);
	mg_json_str(&j, "text", text);
	if (number[0] != '\0')
		mg_json_str(&j, "number", number);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (line = mg_buf_cstr(&b)) != NULL)
		fprintf(stderr, "%s\n", line);
	mg_buf_fini(&b);
}

/* A line of its own for everybody who has agreed since the last time. */
static void
tell_agreed(struct run_session *s, const struct mg_pending *p)
{
	size_t i;

	for (i = s->nagreed; i + 1 < p->agreed_n; i += 2)
		fprintf(stderr, "  %s agrees (%s)\n", p->agreed[i + 1],
		    p->agreed[i]);
	s->nagreed = p->agreed_n;
}

/* Also later than with the first word: that the hub cannot be reached. */
static void
tell_note(struct run_session *s, const struct mg_pending *p)
{
	if (p->note[0] != '\0' && strcmp(p->note, s->note) != 0)
		fprintf(stderr, "  %s\n", p->note);
	snprintf(s->note, sizeof(s->note), "%s", p->note);
}

void
run_on_pending(struct run_session *s, const struct mg_pending *p)
{
	bool first = !s->pending;

	describe(p, true, s->line, sizeof(s->line));
	describe(p, false, s->brief, sizeof(s->brief));
	s->deadline = mg_time_boot_ms() + (int64_t)p->left_ms;
	s->pending = true;
	if (s->json) {
		if (first || strcmp(s->line, s->last) != 0)
			run_json_event("pending", p->code, s->line, p->number);
	} else {
		run_clear_line(s);
		if (first)
			first_pending(s, p);
		tell_agreed(s, p);
		tell_note(s, p);
		if (s->quiet_wait && p->need_n > 0 &&
		    strcmp(s->line, s->last) != 0)
			fprintf(stderr, "  %s\n", s->line);
		else if (p->need_n > 0)
			run_show_line(s);
	}
	memcpy(s->last, s->line, sizeof(s->last));
}

/* "reading the artifact: 42% of 8.0 GB, 1.9 GB/s, 3s left" */
void
run_on_progress(struct run_session *s, const struct mg_progress *p)
{
	char left[MG_DURATION_STR], text[160];
	int64_t now = mg_time_boot_ms();
	uint64_t per_s, todo;

	if (s->json || s->quiet_wait || p->total == 0 || p->done > p->total)
		return;
	if (strcmp(s->phase, p->what) != 0) {
		snprintf(s->phase, sizeof(s->phase), "%s", p->what);
		s->phase_ms = now - 250; /* it comes four times a second */
	}
	per_s = p->done / (uint64_t)(now - s->phase_ms) * 1000 + 1;
	todo = (p->total - p->done) / per_s;
	mg_duration_format((int64_t)todo * 1000, left);
	snprintf(text, sizeof(text),
	    "%s the artifact: %u%% of %.1f GB, %.2f GB/s, %s left", p->what,
	    (unsigned)(p->done / (p->total / 100 + 1)), (double)p->total / 1e9,
	    (double)per_s / 1e9, left);
	show(s, text, mg_cli_columns(STDERR_FILENO));
}
