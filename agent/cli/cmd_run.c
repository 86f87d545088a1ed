/* SPDX-License-Identifier: ISC */
/* run and request: their options. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_run.h"
#include "mg_esc.h"
#include "mg_name.h"
#include "mg_time.h"

static bool
take_ref(struct run_session *s, const char *ref, char *model, char *version)
{
	const char *at = strchr(ref, '@');

	if (mg_name_split_ref(ref, model, version)) {
		s->q.model = model;
		s->q.version = version;
		return true;
	}
	if (at != NULL && at - ref <= MG_NAME_MAX)
		snprintf(model, MG_NAME_MAX + 1, "%.*s", (int)(at - ref), ref);
	if (at != NULL && mg_name_is_valid(model))
		mg_cli_say("version '%.100s' %s", at + 1, mg_name_why(at + 1));
	else if (at != NULL)
		mg_cli_say("model '%.*s' is not a name",
		    (int)(at - ref < 100 ? at - ref : 100), ref);
	else
		mg_cli_say("model '%.100s' %s", ref, mg_name_why(ref));
	return false;
}

static bool
check_text(const char *what, const char *s, size_t max, bool one_line)
{
	if (strlen(s) > max)
		mg_cli_say("%s is longer than %zu bytes", what, max);
	else if (one_line && !mg_esc_is_clean(s))
		mg_cli_say("%s holds characters that do not print", what);
	else if (!mg_utf8_is_valid(s, strlen(s)))
		mg_cli_say("%s is not UTF-8", what);
	else
		return true;
	return false;
}

static bool
take_args(struct run_session *s, char **v, int n)
{
	int i;

	if (n > 32) {
		mg_cli_say("more than 32 arguments");
		return false;
	}
	for (i = 0; i < n; i++) {
		if (!check_text("an argument", v[i], 1024, true))
			return false;
		s->q.args[i] = v[i];
	}
	s->q.args_n = (size_t)n;
	return true;
}

/* Tokens are no argument and no variable: others can read those. */
static bool
take_tokens_fd(struct run_session *s, const char *text)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
	    fd > INT_MAX || fcntl((int)fd, F_GETFD) == -1) {
		mg_cli_say(
		    "'%.100s' is not the number of an open descriptor", text);
		return false;
	}
	if (isatty((int)fd)) {
		mg_cli_say("descriptor %ld is a terminal: tokens are asked for "
			   "there without --tokens-fd",
		    fd);
		return false;
	}
	s->tokens_fd = (int)fd;
	return true;
}

static bool
take_time(struct run_session *s, const char *text)
{
	int64_t ms;

	if (mg_duration_parse(text, &ms) != MG_ERR_OK) {
		mg_cli_say("'%.100s' is not a time such as 30m or 1h30m", text);
		return false;
	}
	s->q.for_ms = (uint64_t)ms;
	return true;
}

static bool
take_operation(struct run_session *s, const char *name)
{
	s->q.operation = name;
	if (mg_name_is_valid(name))
		return true;
	mg_cli_say("operation '%.100s' %s", name, mg_name_why(name));
	return false;
}

static int
wrong(const char *name, const char *what)
{
	mg_cli_say("%s", what);
	return mg_cli_usage(name);
}

static int
run_or_request(int argc, char **argv, bool grant_only)
{
	static const struct option opts[] = {{"reason", 1, NULL, 'r'},
	    {"ticket", 1, NULL, 't'}, {"for", 1, NULL, 'f'},
	    {"no-wait", 0, NULL, 'n'}, {"break-glass", 0, NULL, 'b'},
	    {"tokens-fd", 1, NULL, 'T'}, {"json", 0, NULL, 'j'},
	    {NULL, 0, NULL, 0}};
	struct run_session s = {.tokens_fd = -1,
	    .tty = -1,
	    .sigfd = -1,
	    .master = -1,
	    .in = -1,
	    .out = -1};
	char model[MG_NAME_MAX + 1] = "", version[MG_NAME_MAX + 1] = "";
	char what[3 * MG_NAME_MAX];
	const char *pos[2] = {NULL, NULL};
	int c, npos = 0;
	bool args = false;

	optind = 1;
	/* "--" ends the options; what follows are the command's arguments. */
	while ((c = mg_cli_getopt(argc, argv, "-r:t:f:nbj", opts)) != -1) {
		switch (c) {
		case 1:
			if (npos == 2)
				return mg_cli_unexpected(argv[0], optarg);
			pos[npos++] = optarg;
			break;
		case 'r':
			s.q.reason = optarg;
			break;
		case 't':
			s.q.ticket = optarg;
			break;
		case 'f':
			if (!grant_only)
				return wrong(argv[0],
				    "--for is for grants to use later: "
				    "modelgate request");
			if (!take_time(&s, optarg))
				return MG_EXIT_USAGE;
			break;
		case 'n':
			s.q.flags |= MG_RUN_NO_WAIT;
			break;
		case 'b':
			s.q.flags |= MG_RUN_BREAK_GLASS;
			break;
		case 'T':
			if (!take_tokens_fd(&s, optarg))
				return MG_EXIT_USAGE;
			break;
		case 'j':
			s.json = true;
			break;
		default:
			return mg_cli_usage(argv[0]);
		}
	}
	args = optind <= argc && strcmp(argv[optind - 1], "--") == 0;
	if (npos == 0)
		return wrong(argv[0], "which operation?");
	if (optind < argc && !args)
		return mg_cli_unexpected(argv[0], argv[optind]);
	if (grant_only && (s.q.reason == NULL || s.q.reason[0] == '\0')) {
		mg_cli_say("--reason is missing: approvers want to know why");
		return MG_EXIT_USAGE;
	}
	if (!take_operation(&s, pos[0]) ||
	    (pos[1] != NULL && !take_ref(&s, pos[1], model, version)) ||
	    (s.q.reason != NULL &&
		!check_text("the reason", s.q.reason, 1024, false)) ||
	    (s.q.ticket != NULL &&
		!check_text("the ticket", s.q.ticket, 128, true)) ||
	    !take_args(&s, argv + optind, argc - optind))
		return MG_EXIT_USAGE;
	if (grant_only)
		s.q.flags |= MG_RUN_GRANT_ONLY;
	snprintf(what, sizeof(what), "%s%s%s", pos[0],
	    pos[1] != NULL ? " " : "", pos[1] != NULL ? pos[1] : "");
	s.what = what;
	return run_ask(&s, !grant_only);
}

int
mg_cmd_run(int argc, char **argv)
{
	return run_or_request(argc, argv, false);
}

int
mg_cmd_request(int argc, char **argv)
{
	return run_or_request(argc, argv, true);
}
