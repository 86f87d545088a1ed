/* SPDX-License-Identifier: ISC */
/* log: reads the ledger through the agent. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_log.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_name.h"
#include "mg_time.h"

#define LINES_MAX (MG_REC_LINE_MAX + 4096)

static const char *
first(const struct mg_rec *rec, const char *a, const char *b)
{
	const char *s = mg_rec_str(rec, a, "");

	return s[0] != '\0' ? s : mg_rec_str(rec, b, "");
}

/* printf() of a value that somebody wrote, escaped. */
static void
say(const char *before, const char *value)
{
	char text[2048];

	mg_esc_line(value, text, sizeof(text));
	printf("%s%s", before, text);
}

static void
say_if(const char *before, const char *value)
{
	if (value[0] != '\0')
		say(before, value);
}

/* "used, 1,3 of set K7Q2" */
static void
print_tokens(const struct mg_rec *rec)
{
	const char *set = mg_rec_str(rec, "set", "");
	const char *const *numbers;
	size_t n, i;

	printf(" %s", mg_rec_str(rec, "what", ""));
	numbers = mg_rec_strv(rec, "numbers", &n);
	for (i = 0; i < n; i++)
		say(i == 0 ? ", " : ",", numbers[i]);
	if (set[0] != '\0')
		say(n > 0 ? " of set " : " set ", set);
}

/* "serve instead of 1" */
static void
print_model(const struct mg_rec *rec)
{
	printf(" %s", mg_rec_str(rec, "effect", ""));
	say_if(" instead of ", mg_rec_str(rec, "replaced", ""));
	say_if(": ", mg_rec_str(rec, "text", ""));
}

/* "revoked (done)", and "used" */
static void
print_end(const struct mg_rec *rec)
{
	const char *state = mg_rec_str(rec, "state", "");
	const char *why = mg_rec_str(rec, "why", "");

	printf(" %s", state);
	if (strcmp(why, state) != 0)
		printf(" (%s)", why);
}

/* The type "policy" is also that of what stands beside one. */
static void
print_policy(const struct mg_rec *rec)
{
	if (strcmp(mg_rec_str(rec, "what", ""), "policy") != 0)
		say_if(": ", mg_rec_str(rec, "what", ""));
	say(mg_rec_bool(rec, "ok") ? " loaded " : " refused ",
	    first(rec, "digest", "text"));
}

/* What happened, in words, after user and subject. */
static void
print_event(const struct mg_rec *rec)
{
	const char *type = mg_rec_str(rec, "type", "");

	printf("%s", type);
	if (strcmp(type, "decision") == 0 || strcmp(type, "rejected") == 0) {
		printf(" %s by %s", mg_rec_str(rec, "decision", ""),
		    mg_rec_str(rec, "approver", ""));
		say_if(": ",
		    mg_rec_str(rec,
			strcmp(type, "decision") == 0 ? "note" : "text", ""));
	} else if (strcmp(type, "mfa") == 0)
		printf(" %s", mg_rec_bool(rec, "ok") ? "ok" : "failed");
	else if (strcmp(type, "tokens") == 0)
		print_tokens(rec);
	else if (strcmp(type, "exit") == 0)
		printf(" %s %lld", mg_rec_str(rec, "how", ""),
		    (long long)mg_rec_int(rec, "value", 0));
	else if (strcmp(type, "empty") == 0 && mg_rec_has(rec, "why"))
		printf(" %lld killed in %lld us",
		    (long long)mg_rec_int(rec, "killed", 0),
		    (long long)mg_rec_int(rec, "took_us", 0));
	else if (strcmp(type, "empty") == 0)
		printf(": none of its processes is left");
	else if (strcmp(type, "model") == 0)
		print_model(rec);
	else if (strcmp(type, "end") == 0)
		print_end(rec);
	else if (strcmp(type, "session-open") == 0) {
		printf(" %lld", (long long)mg_rec_int(rec, "ses", 0));
		say(" by ", mg_rec_str(rec, "service", ""));
		say_if(" from ", mg_rec_str(rec, "origin", ""));
	} else if (strcmp(type, "session-close") == 0)
		printf(" %lld (%s)", (long long)mg_rec_int(rec, "ses", 0),
		    mg_rec_str(rec, "how", ""));
	else if (strcmp(type, "request") == 0)
		say(": ", mg_rec_str(rec, "reason", ""));
	else if (strcmp(type, "policy") == 0)
		print_policy(rec);
	else if (mg_rec_str(rec, "text", "")[0] != '\0')
		say(": ", mg_rec_str(rec, "text", ""));
	printf("\n");
}

/* A line each needs as much; a narrower terminal gets two. */
#define LINE_COLUMNS 120

static void
print_row(const struct mg_rec *rec, bool narrow)
{
	struct mg_uuid u;
	char code[MG_CODE_STR] = "", what[400];
	const char *model = first(rec, "model", "of_model");
	const char *version = first(rec, "version", "of_version");

	if (mg_uuid_parse(mg_rec_str(rec, "uuid", ""), &u) == MG_ERR_OK)
		mg_code_from_uuid(&u, code);
	snprintf(what, sizeof(what), "%s%s%s%s%s",
	    first(rec, "operation", "of_operation"),
	    model[0] != '\0' ? " " : "", model, version[0] != '\0' ? "@" : "",
	    version);
	if (narrow)
		printf("%.19sZ  %-10s  %s\n    %s%s", mg_rec_str(rec, "at", ""),
		    code, first(rec, "of_user", "user"), what,
		    what[0] != '\0' ? "  " : "");
	else
		printf("%.19sZ  %-10s  %-10s  %-28s  ",
		    mg_rec_str(rec, "at", ""), code,
		    first(rec, "of_user", "user"), what);
	print_event(rec);
}

static void
print_line(const struct mg_rec *rec)
{
	print_row(rec, false);
}

static void
print_narrow(const struct mg_rec *rec)
{
	print_row(rec, true);
}

/* What is read in one go, or over several agents (--follow). */
struct reader {
	const struct mg_log_req *q;
	struct mg_buf b;
	enum mg_log_format format;
	bool quiet;				 /* lines are only counted */
	void (*print)(const struct mg_rec *rec); /* of text */
	char host[256];
	size_t n;
	uint64_t last; /* number of the last line that was shown */
	bool is_lost;  /* the agent went away in between */
};

static void
print_one(struct reader *rd, const struct mg_rec *rec, const char *p, size_t n)
{
	char line[MG_REC_LINE_MAX + 4096];

	if (rd->format == MG_LOG_FORMAT_TEXT) {
		rd->print(rec);
		return;
	}
	if (n >= sizeof(line))
		return;
	memcpy(line, p, n);
	line[n] = '\0';
	mg_log_format_line(rd->format, rec, line, rd->host);
}

/* The number of a line; every one begins with it. */
static uint64_t
seq_of(const char *p, size_t n)
{
	static const char head[] = "{\"seq\":";
	uint64_t v = 0;
	size_t i = sizeof(head) - 1;

	if (n <= i || memcmp(p, head, i) != 0)
		return 0;
	for (; i < n && p[i] >= '0' && p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(p[i] - '0');
	return v;
}

static void
take_line(struct reader *rd, struct mg_rec *rec, const char *p, size_t n)
{
	uint64_t seq = seq_of(p, n);

	if (seq <= rd->last) /* shown before the agent went away */
		return;
	rd->last = seq;
	rd->n++;
	if (rd->quiet)
		return;
	if (rd->format == MG_LOG_FORMAT_JSON)
		printf("%.*s\n", (int)n, p);
	else if (mg_rec_parse(rec, p, n) == MG_ERR_OK)
		print_one(rd, rec, p, n);
}

static void
take_lines(struct reader *rd)
{
	struct mg_rec rec;
	const char *p, *nl;
	size_t n;

	mg_rec_init(&rec);
	for (;;) {
		p = (const char *)mg_buf_ptr(&rd->b);
		if ((nl = memchr(p, '\n', mg_buf_len(&rd->b))) == NULL)
			break;
		n = (size_t)(nl - p);
		take_line(rd, &rec, p, n);
		mg_buf_consume(&rd->b, n + 1);
	}
	mg_rec_fini(&rec);
}

static bool
is_following(const struct reader *rd)
{
	return (rd->q->flags & MG_QUERY_FOLLOW) != 0;
}

static bool
read_all(struct reader *rd, int fd)
{
	uint8_t *d;
	ssize_t n;

	for (;;) {
		if ((d = mg_buf_reserve(&rd->b, 65536)) == NULL)
			return false;
		n = read(fd, d, 65536);
		if (n == -1 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			return true;
		mg_buf_commit(&rd->b, (size_t)n);
		take_lines(rd);
		if (is_following(rd) && fflush(stdout) != 0)
			return false;
	}
}

static void
take_info(void *arg, const char *json, const struct mg_rec *rec)
{
	struct reader *rd = arg;

	(void)json;
	snprintf(rd->host, sizeof(rd->host), "%s", mg_rec_str(rec, "host", ""));
}

/* The name of this host, which the ledger's lines do not repeat. */
static int
ask_host(struct reader *rd, bool json)
{
	struct mg_info_req info = {0};

	return mg_cli_ask(MG_MSG_INFO_REQ, &info, json, take_info, rd, NULL);
}

/* One question to the agent at the other end of ch. */
static int
ask_agent(struct reader *rd, struct mg_chan *ch)
{
	bool json = rd->format == MG_LOG_FORMAT_JSON;
	struct mg_refused refused;
	struct mg_frame f;
	int pipefd[2], status = 0;
	bool whole;

	rd->is_lost = false;
	if (pipe(pipefd) != 0)
		return mg_cli_failed(json, "internal", "cannot make a pipe");
	mg_buf_init(&rd->b, LINES_MAX + 65536);
	memset(&f, 0, sizeof(f));
	if (mg_client_ask(ch, MG_MSG_LOG_REQ, rd->q, &pipefd[1], 1) !=
	    MG_ERR_OK)
		status =
		    mg_cli_failed(json, "agent-down", "cannot ask the agent");
	close(pipefd[1]);
	whole = status == 0 && read_all(rd, pipefd[0]);
	close(pipefd[0]);
	mg_buf_fini(&rd->b);
	if (status != 0)
		return status;
	if (mg_chan_wait(ch, 10000, &f) != MG_ERR_OK) {
		rd->is_lost = whole;
		whole = false;
	} else if (f.op == MG_MSG_REFUSED &&
		   mg_frame_decode(&f, &refused, sizeof(refused)) ==
		       MG_ERR_OK) {
		return mg_cli_refused(&refused, json);
	}
	if (whole)
		return 0;
	if (rd->is_lost && is_following(rd))
		return MG_EXIT_REFUSED;
	return mg_cli_failed(json, "agent-down", "the listing was cut short");
}

/* Waits for an agent to come back. NULL: it will not be one of root's. */
static struct mg_chan *
wait_for_agent(void)
{
	static const struct timespec pause = {.tv_nsec = 200000000};
	struct mg_chan *ch;
	enum mg_err r;

	mg_cli_say("the agent has ended; waiting for it to come back");
	while ((r = mg_client_connect(
		    MG_CLIENT_SOCKET, MG_CLI_CONNECT_MS, &ch)) != MG_ERR_OK) {
		if (r == MG_ERR_PERM)
			return NULL;
		(void)nanosleep(&pause, NULL);
	}
	return ch;
}

static int
ask(struct reader *rd)
{
	struct mg_chan *ch = mg_cli_connect(rd->format == MG_LOG_FORMAT_JSON);
	int status = MG_EXIT_REFUSED;

	while (ch != NULL) {
		status = ask_agent(rd, ch);
		mg_chan_free(ch);
		if (!rd->is_lost || !is_following(rd))
			break;
		ch = wait_for_agent();
	}
	return status;
}

/* Nothing was found: because there is nothing, or no such request? */
static int
nothing_found(const struct reader *rd)
{
	struct mg_log_req q = {.request = rd->q->request};
	struct reader any = {.q = &q, .format = rd->format, .quiet = true};
	int status;

	if (q.request != NULL && q.request[0] != '\0') {
		if ((status = ask(&any)) != 0)
			return status;
		if (any.n == 0)
			return mg_cli_failed(rd->format == MG_LOG_FORMAT_JSON,
			    "not-found",
			    "nothing that you may see is known under %s",
			    q.request);
	}
	if (rd->format == MG_LOG_FORMAT_TEXT)
		fprintf(stderr, "nothing found\n");
	return 0;
}

static int
show(struct reader *rd, const char *host)
{
	bool json = rd->format == MG_LOG_FORMAT_JSON;
	int status;

	if (isatty(STDOUT_FILENO) &&
	    mg_cli_columns(STDOUT_FILENO) < LINE_COLUMNS)
		rd->print = print_narrow;
	if ((rd->format > MG_LOG_FORMAT_JSON || host != NULL) &&
	    (status = ask_host(rd, json)) != 0)
		return status;
	if (host != NULL && strcmp(host, rd->host) != 0)
		return mg_cli_failed(json, "not-found",
		    "this host is '%s'; it has no records of '%s'", rd->host,
		    host);
	mg_log_format_head(rd->format);
	status = ask(rd);
	return status == 0 && rd->n == 0 ? nothing_found(rd) : status;
}

int
mg_cli_log(const struct mg_log_req *q, bool json,
    void (*print)(const struct mg_rec *rec), const char *unknown)
{
	struct reader rd = {.q = q,
	    .format = json ? MG_LOG_FORMAT_JSON : MG_LOG_FORMAT_TEXT,
	    .print = print};
	int status = ask(&rd);

	if (status != 0 || rd.n > 0)
		return status;
	return mg_cli_failed(json, "not-found", "%s", unknown);
}

static bool
take_time(const char *s, int64_t *out)
{
	if (mg_time_parse(s, mg_time_wall_ms(), out) == MG_ERR_OK)
		return true;
	mg_cli_say("'%.100s' is not a time such as 2026-11-22, "
		   "2026-11-22T14:00 or 2h (at most 366d)",
	    s);
	return false;
}

static bool
take_name(const char *s, const char *what, const char **out)
{
	*out = s;
	if (mg_name_is_valid(s))
		return true;
	mg_cli_say("%s '%.100s' %s", what, s, mg_name_why(s));
	return false;
}

/* Of ends and of decisions; sorted. */
static const char *const states[] = {"approve", "cancelled", "denied", "deny",
    "expired", "revoked", "timedout", "used"};

/* modelgate-ledger(5), Types; sorted. */
static const char *const types[] = {"access", "access-end", "clock", "decision",
    "discard", "empty", "end", "enroll", "exit", "grant", "mfa", "model",
    "outage", "policy", "prune", "refused", "rejected", "request", "review",
    "run", "segment", "session-close", "session-open", "start", "stop", "tick",
    "tokens", "unenroll", "waiver", "witness"};

static bool
take_word(const char *s, const char *what, const char *const words[],
    size_t nwords, const char **out)
{
	char known[512] = "";
	size_t n = 0;

	*out = s;
	for (size_t i = 0; i < nwords; i++) {
		if (strcmp(s, words[i]) == 0)
			return true;
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s",
		    n == 0 ? "" : ", ", words[i]);
	}
	mg_cli_say(
	    "no record is of the %s '%.100s'; there are: %s", what, s, known);
	return false;
}

static bool
take_request(const char *s, char code[MG_CODE_STR], const char **out)
{
	struct mg_uuid u;

	*out = mg_code_parse(s, code) == MG_ERR_OK ? code : s;
	if (*out == code || mg_uuid_parse(s, &u) == MG_ERR_OK)
		return true;
	mg_cli_say(
	    "'%.100s' is neither a code such as R7KQ2FHD4M nor a UUID", s);
	return false;
}

static bool
take_format(const char *s, enum mg_log_format *out)
{
	if (mg_log_format_parse(s, out))
		return true;
	mg_cli_say("'%.100s' is not text, json, csv, cef or ocsf", s);
	return false;
}

int
mg_cmd_log(int argc, char **argv)
{
	static const struct option opts[] = {{"user", 1, NULL, 'u'},
	    {"model", 1, NULL, 'm'}, {"operation", 1, NULL, 'o'},
	    {"request", 1, NULL, 'r'}, {"type", 1, NULL, 't'},
	    {"state", 1, NULL, 's'}, {"since", 1, NULL, 'S'},
	    {"until", 1, NULL, 'U'}, {"json", 0, NULL, 'j'},
	    {"follow", 0, NULL, 'f'}, {"format", 1, NULL, 'F'},
	    {"decision", 1, NULL, 's'}, {"host", 1, NULL, 'H'},
	    {NULL, 0, NULL, 0}};
	char model[MG_NAME_MAX + 1], version[MG_NAME_MAX + 1];
	char code[MG_CODE_STR];
	struct mg_log_req q = {0};
	enum mg_log_format format = MG_LOG_FORMAT_TEXT;
	struct reader rd = {.q = &q, .print = print_line};
	const char *host = NULL;
	bool ok = true;
	int c;

	optind = 1;
	while (ok && (c = mg_cli_getopt(argc, argv, "j", opts)) != -1) {
		switch (c) {
		case 'u':
			ok = take_name(optarg, "user", &q.user);
			break;
		case 'm':
			ok = mg_name_split_ref(optarg, model, version);
			if (!ok)
				mg_cli_say("'%.100s' is not MODEL or "
					   "MODEL@VERSION",
				    optarg);
			q.model = model;
			q.version = version;
			break;
		case 'o':
			ok = take_name(optarg, "operation", &q.operation);
			break;
		case 't':
			ok = take_word(optarg, "type", types,
			    sizeof(types) / sizeof(types[0]), &q.type);
			break;
		case 's':
			ok = take_word(optarg, "state", states,
			    sizeof(states) / sizeof(states[0]), &q.outcome);
			break;
		case 'r':
			ok = take_request(optarg, code, &q.request);
			break;
		case 'S':
			ok = take_time(optarg, &q.since_ms);
			break;
		case 'U':
			ok = take_time(optarg, &q.until_ms);
			break;
		case 'j':
			format = MG_LOG_FORMAT_JSON;
			break;
		case 'F':
			ok = take_format(optarg, &format);
			break;
		case 'H':
			ok = take_name(optarg, "host", &host);
			break;
		case 'f':
			q.flags |= MG_QUERY_FOLLOW;
			break;
		default:
			return mg_cli_usage("log");
		}
	}
	if (!ok)
		return MG_EXIT_USAGE;
	if (optind != argc)
		return mg_cli_unexpected("log", argv[optind]);
	if (q.until_ms != 0 && q.since_ms >= q.until_ms) {
		mg_cli_say("--since is not before --until");
		return MG_EXIT_USAGE;
	}
	rd.format = format;
	return show(&rd, host);
}
