/* SPDX-License-Identifier: ISC */
/* The agent, as it answers and as it would start; audit, the hub, the clock. */
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

#include "doc.h"
#include "mg_client.h"
#include "mg_msg.h"
#include "mg_rec.h"

#define CONNECT_MS 5000
#define ANSWER_MS 10000
#define FIRST_MAX 400 /* of what another program says */

static enum mg_err
read_info(struct mg_chan *ch, struct mg_rec *rec)
{
	struct mg_info_req q = {0};
	struct mg_item item;
	struct mg_frame f;
	enum mg_err r;

	memset(&f, 0, sizeof(f));
	if ((r = mg_chan_send(ch, 1, MG_MSG_INFO_REQ, &q)) != MG_ERR_OK ||
	    (r = mg_chan_wait(ch, ANSWER_MS, &f)) != MG_ERR_OK)
		return r;
	if (f.op != MG_MSG_ITEM)
		return MG_ERR_PERM; /* it refused */
	if ((r = mg_frame_decode(&f, &item, sizeof(item))) != MG_ERR_OK)
		return r;
	return mg_rec_parse(rec, item.json, strlen(item.json));
}

static void
say_hub(struct doc *d, const struct mg_rec *rec)
{
	const char *link = mg_rec_str(rec, "link", "");
	const char *outage = mg_rec_str(rec, "outage", "");

	if (mg_rec_str(rec, "hub", "")[0] == '\0')
		doc_say(d, DOC_WARN, "hub",
		    "[hub] in /etc/modelgate/agent.ini; without one nobody "
		    "can approve",
		    "none is configured");
	else if (outage[0] != '\0')
		doc_say(d, DOC_BAD, "hub",
		    "start the hub, or look at the network between", "%s",
		    outage);
	else
		doc_say(d, strncmp(link, "not ", 4) == 0 ? DOC_WARN : DOC_GOOD,
		    "hub", "ssh to the hub by hand; compare its host key", "%s",
		    link);
}

static void
say_ledger(struct doc *d, const struct mg_rec *rec)
{
	const char *alarm = mg_rec_str(rec, "ledger_alarm", "");

	if (!mg_rec_bool(rec, "ledger"))
		doc_say(d, DOC_BAD, "ledger",
		    "look at the disk below /var/lib/modelgate",
		    "cannot be written");
	else if (alarm[0] != '\0')
		doc_say(d, DOC_BAD, "ledger",
		    "find out who changed it, or took an old copy of it for "
		    "the disk's; modelgate-ledger(5), DIAGNOSTICS",
		    "the hub has seen another history: %s", alarm);
	else
		doc_say(d, DOC_GOOD, "ledger", "", "can be written");
}

/* Where rules ask for tokens: whether there are any to type. */
static void
say_tokens(struct doc *d, const struct mg_rec *rec)
{
	long long asked = mg_rec_int(rec, "tokens_asked", 0);
	long long sets = mg_rec_int(rec, "token_sets", 0);

	if (asked == 0)
		return;
	if (sets == 0)
		doc_say(d, DOC_BAD, "break-glass tokens",
		    "modelgate tokens make, as root; seal them in envelopes",
		    "rules ask for %lld tokens, and no set that has so many is "
		    "left",
		    asked);
	else
		doc_say(d, DOC_GOOD, "break-glass tokens", "",
		    "%lld set%s of tokens %s left", sets, sets == 1 ? "" : "s",
		    sets == 1 ? "is" : "are");
}

/* Whether the files are what is in force. */
static void
say_policy(struct doc *d, const struct mg_rec *rec)
{
	const char *edit = mg_rec_str(rec, "policy_edit", "");
	const char *const *errors;
	size_t n, i;

	errors = mg_rec_strv(rec, "policy_errors", &n);
	if (edit[0] != '\0')
		doc_say(d, DOC_BAD, "policy in force",
		    "have it signed and reload, or put the files back", "%s",
		    edit);
	else if (mg_rec_int(rec, "policy_refused", 0) > 0)
		doc_say(d, DOC_BAD, "policy in force",
		    "modelgate policy check; then reload",
		    "the last reload was refused: %lld problems",
		    (long long)mg_rec_int(rec, "policy_refused", 0));
	else
		doc_say(d, DOC_GOOD, "policy in force", "", "as the files%s",
		    mg_rec_bool(rec, "policy_signed") ? ", signed" : "");
	for (i = 0; i < n; i++)
		doc_say(d, DOC_BAD, "policy", "", "%s", errors[i]);
}

static void
say_info(struct doc *d, const struct mg_rec *rec)
{
	bool audit = mg_rec_bool(rec, "audit");
	bool read = mg_rec_bool(rec, "auditd");
	bool required = mg_rec_bool(rec, "audit_required");
	bool cgroup = strcmp(mg_rec_str(rec, "cgroup", ""), "none") != 0;

	doc_say(d, DOC_GOOD, "agent", "", "answers as %s, policy %.19s...",
	    mg_rec_str(rec, "host", "?"), mg_rec_str(rec, "policy", "?"));
	say_policy(d, rec);
	doc_say(d, audit && read ? DOC_GOOD : DOC_BAD, "audit",
	    audit ? "start auditd" : "auditctl -e 1, and start auditd",
	    !audit ? "the kernel does not record"
	    : read ? "the kernel records"
		   : "the kernel records, but no auditd takes that to disk");
	doc_say(d, required ? DOC_GOOD : DOC_WARN, "audit mode",
	    "[audit] mode = required in /etc/modelgate/agent.ini",
	    required ? "no record, no action"
		     : "operations run even when nothing records them");
	say_ledger(d, rec);
	doc_say(d, cgroup ? DOC_GOOD : DOC_WARN, "cgroup",
	    "mount cgroup v2: processes of a run are then ended as one",
	    cgroup ? "runs are in groups of their own"
		   : "no cgroup v2: runs are followed by process tree and "
		     "audit session");
	say_hub(d, rec);
	say_tokens(d, rec);
}

static void
first_line(void *arg, const char *line)
{
	char *first = arg;

	if (first[0] == '\0')
		snprintf(
		    first, FIRST_MAX, "%.*s", (int)strcspn(line, "\n"), line);
}

/* What runs was read once; the next start reads what lies there now. */
static void
say_next_start(struct doc *d)
{
	static const char *const argv[] = {
	    "/bin/sh", "-c", "exec /usr/sbin/modelgated -n 2>&1", NULL};
	char first[FIRST_MAX] = "";

	if (getuid() != 0)
		return;
	if (doc_output(argv, first_line, first))
		doc_say(d, DOC_GOOD, "next start", "",
		    "agent.ini and the policy load");
	else
		doc_say(d, DOC_BAD, "next start",
		    "modelgated -n says all that is wrong",
		    "what lies there does not load: %s", first);
}

/* What the kernel knows of the clock's discipline, adjtimex(2). */
static void
say_clock(struct doc *d)
{
	struct timex t = {.modes = 0};
	int state = adjtimex(&t);

	if (state == -1 || state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
		doc_say(d, DOC_WARN, "clock", "run an NTP client",
		    "not synchronised: times in records and signed texts are "
		    "this host's own word");
	else
		doc_say(d, DOC_GOOD, "clock", "", "synchronised");
}

void
doc_agent(struct doc *d)
{
	struct mg_chan *ch;
	struct mg_rec rec;
	enum mg_err r;

	mg_rec_init(&rec);
	r = mg_client_connect(MG_CLIENT_SOCKET, CONNECT_MS, &ch);
	if (r == MG_ERR_OK) {
		r = read_info(ch, &rec);
		mg_chan_free(ch);
	}
	if (r == MG_ERR_OK)
		say_info(d, &rec);
	else if (r == MG_ERR_NOENT)
		doc_say(d, DOC_BAD, "agent",
		    "systemctl start modelgated; modelgated -n shows what is "
		    "wrong with its files",
		    "it is not running: nothing listens on %s",
		    MG_CLIENT_SOCKET);
	else
		doc_say(d, DOC_BAD, "agent",
		    "systemctl start modelgated; modelgated -n shows what is "
		    "wrong with its files",
		    "it does not answer at %s: %s", MG_CLIENT_SOCKET,
		    mg_err_str(r));
	mg_rec_fini(&rec);
	say_next_start(d);
	say_clock(d);
}
