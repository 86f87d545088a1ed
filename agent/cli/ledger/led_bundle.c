/* SPDX-License-Identifier: ISC */
/*
 * verify FILE: checks exported evidence, anywhere.
 *
 * Rules
 * 1. Nothing in the file is believed because it is in the file: keys are
 *    shown to be compared, or given on the command line.
 * 2. Every record has to be in the tree of the signed checkpoint, every
 *    decision's signature has to verify over the text in its record, and
 *    the text has to name the request that the records are about.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "led.h"
#include "mg_bundle.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "verify/mg_sshsig.h"

#define APPROVERS_MAX 64
#define RULES_MAX 32 /* quoted */

struct check {
	struct led *led;
	struct mg_bundle bundle;
	struct mg_note note;
	struct mg_note_key host, hub;
	bool has_hub;
	int64_t seen_s;
	char uuid[MG_UUID_STR];
	char user[97], operation[97], model[97], version[97], state[33];
	char at[32], policy[97];
	char said[APPROVERS_MAX][200];
	size_t nsaid, records;
	const struct mg_bundle_file *quoted; /* the policy; NULL: it is not */
	char rules[RULES_MAX][600];
	size_t nrules;
	char text[512];
};

static bool no(struct check *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
no(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- keys and checkpoint ---- */

static bool
take_key(struct check *c, const char *name, struct mg_note_key *key)
{
	const struct mg_bundle_file *f = mg_bundle_find(&c->bundle, name);
	char line[512];

	if (f == NULL || f->len >= sizeof(line))
		return no(c, "malformed: %s is missing", name);
	memcpy(line, f->data, f->len);
	line[f->len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (!led_parse_key(line, key))
		return no(c, "malformed: %s is not an Ed25519 key", name);
	return true;
}

/* Rule 1: the keys that the caller trusts, if any were given. */
static bool
check_trust(struct check *c)
{
	size_t i;

	if (c->led->host.kind != 0 &&
	    memcmp(c->led->host.pub, c->host.pub, MG_ED25519) != 0)
		return no(c, "foreign: the file is of another host than the "
			     "one whose key was given");
	if (!c->has_hub || c->led->nhubs == 0)
		return true;
	for (i = 0; i < c->led->nhubs; i++)
		if (memcmp(c->led->hubs[i].pub, c->hub.pub, MG_ED25519) == 0)
			return true;
	return no(c, "foreign: the file names a hub that is not trusted here");
}

static bool
check_note(struct check *c)
{
	const struct mg_bundle_file *f;
	const char *why;

	if ((f = mg_bundle_find(&c->bundle, "checkpoint")) == NULL)
		return no(c, "malformed: there is no checkpoint");
	if (mg_note_parse(&c->note, (const char *)f->data, f->len, &why) !=
	    MG_ERR_OK)
		return no(c, "malformed: checkpoint: %s", why);
	c->host.kind = MG_NOTE_LOG;
	snprintf(c->host.name, sizeof(c->host.name), "%s", c->note.origin);
	if (!take_key(c, "host.pub", &c->host))
		return false;
	if (mg_note_verify(&c->note, &c->host, NULL) != MG_ERR_OK)
		return no(c, "forged: the host's signature under the "
			     "checkpoint is wrong");
	c->has_hub = mg_bundle_find(&c->bundle, "hub.pub") != NULL;
	if (c->has_hub) {
		c->hub.kind = MG_NOTE_WITNESS;
		snprintf(c->hub.name, sizeof(c->hub.name), "modelgate-hub");
		if (!take_key(c, "hub.pub", &c->hub))
			return false;
		if (mg_note_verify(&c->note, &c->hub, &c->seen_s) != MG_ERR_OK)
			return no(c, "forged: the hub's signature under the "
				     "checkpoint is wrong");
	}
	return check_trust(c);
}

/* ---- records ---- */

static void
keep(const struct mg_rec *rec, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%s", mg_rec_str(rec, key, ""));
}

/* The policy that is in it has to be the one that was signed. */
static bool
check_policy(struct check *c, const struct mg_rec *rec)
{
	const char *const *v;
	size_t n;

	v = mg_rec_strv(rec, "rules", &n);
	for (; c->nrules < n && c->nrules < RULES_MAX; c->nrules++)
		snprintf(c->rules[c->nrules], sizeof(c->rules[0]), "%s",
		    v[c->nrules]);
	c->quoted = mg_bundle_find(&c->bundle, "policy.txt");
	if (c->quoted == NULL ||
	    led_check_policy(rec, c->quoted->data, c->quoted->len))
		return true;
	return no(c, "foreign: policy.txt is not the policy of the request");
}

/* What the record adds to the story. */
static bool
take_record(struct check *c, const struct mg_rec *rec)
{
	const char *type = mg_rec_str(rec, "type", "");
	const char *uuid = mg_rec_str(rec, "uuid", "");

	if (strcmp(type, "policy") == 0) {
		keep(rec, "digest", c->policy, sizeof(c->policy));
		return true;
	}
	if (strcmp(type, "request") == 0 || strcmp(type, "refused") == 0) {
		if (c->uuid[0] != '\0')
			return no(c, "malformed: two requests are in it");
		keep(rec, "uuid", c->uuid, sizeof(c->uuid));
		keep(rec, "user", c->user, sizeof(c->user));
		keep(rec, "operation", c->operation, sizeof(c->operation));
		keep(rec, "model", c->model, sizeof(c->model));
		keep(rec, "version", c->version, sizeof(c->version));
		keep(rec, "at", c->at, sizeof(c->at));
		snprintf(c->state, sizeof(c->state), "%s",
		    strcmp(type, "refused") == 0 ? "refused" : "pending");
		keep(rec, "policy", c->policy, sizeof(c->policy));
		return check_policy(c, rec);
	}
	if (strcmp(uuid, c->uuid) != 0)
		return no(c, "foreign: a record is of another request");
	if (strcmp(type, "grant") == 0)
		snprintf(c->state, sizeof(c->state), "granted");
	if (strcmp(type, "end") == 0)
		keep(rec, "state", c->state, sizeof(c->state));
	return true;
}

/* Rule 2: the signature, over the text in the record, about the request. */
static bool
check_decision(struct check *c, const struct mg_rec *rec, const char *seq)
{
	const char *text = mg_rec_str(rec, "text", "");
	const char *armour = mg_rec_str(rec, "sig", ""), *why;
	char want[256], fp[MG_SSHSIG_FP_STR] = "", name[64];
	const struct mg_bundle_file *f;
	struct mg_sshsig sig;
	bool ok;

	snprintf(name, sizeof(name), "decisions/%s.text", seq);
	f = mg_bundle_find(&c->bundle, name);
	if (f == NULL || f->len != strlen(text) ||
	    memcmp(f->data, text, f->len) != 0)
		return no(c, "changed: %s is not the text of its record", name);
	ok = mg_sshsig_parse(&sig, armour, strlen(armour), &why) == MG_ERR_OK &&
	     mg_sshsig_verify(&sig, text, strlen(text), &why) == MG_ERR_OK &&
	     mg_sshsig_fingerprint(&sig, fp) == MG_ERR_OK;
	mg_sshsig_fini(&sig);
	if (!ok)
		return no(c, "forged: decision %s: %s", seq, why);
	if (strcmp(fp, mg_rec_str(rec, "key_fp", "")) != 0)
		return no(c,
		    "forged: decision %s has another key than its "
		    "record says",
		    seq);
	snprintf(want, sizeof(want),
	    "modelgate approval v1\ndecision: %s\napprover: %s\n",
	    mg_rec_str(rec, "decision", ""), mg_rec_str(rec, "approver", ""));
	snprintf(name, sizeof(name), "\nrequest: %s ", c->uuid);
	if (strncmp(text, want, strlen(want)) != 0 ||
	    strstr(text, name) == NULL)
		return no(
		    c, "foreign: decision %s is about something else", seq);
	if (c->nsaid < APPROVERS_MAX)
		snprintf(c->said[c->nsaid++], sizeof(c->said[0]), "%s: %s, %s",
		    mg_rec_str(rec, "approver", ""),
		    mg_rec_str(rec, "decision", ""), fp);
	return true;
}

static bool
check_path(struct check *c, const struct mg_bundle_file *f, const char *seq,
    uint64_t index)
{
	uint8_t path[MG_MERKLE_PROOF_MAX][MG_MERKLE_HASH], leaf[MG_MERKLE_HASH];
	const struct mg_bundle_file *p;
	char name[64];
	size_t n;

	snprintf(name, sizeof(name), "proofs/%s.path", seq);
	if ((p = mg_bundle_find(&c->bundle, name)) == NULL)
		return no(c, "malformed: %s is missing", name);
	if (index >= c->note.size)
		return no(c, "record %s is newer than the checkpoint", seq);
	if (mg_bundle_get_path(
		p->data, p->len, index, c->note.size, path, &n) != MG_ERR_OK)
		return no(
		    c, "malformed: %s is not a path for that record", name);
	mg_sha_leaf(c->led->sha, f->data, f->len, leaf);
	if (!mg_merkle_check_inclusion(c->led->sha, index, c->note.size, leaf,
		(const uint8_t(*)[MG_MERKLE_HASH])path, n, c->note.root))
		return no(
		    c, "changed: record %s is not in the signed ledger", seq);
	return true;
}

static bool
check_record(struct check *c, const struct mg_bundle_file *f)
{
	const char *seq_text = f->name + strlen("records/");
	struct mg_rec rec;
	char seq[32], want[32];
	int64_t n;
	bool ok;

	snprintf(
	    seq, sizeof(seq), "%.*s", (int)strcspn(seq_text, "."), seq_text);
	mg_rec_init(&rec);
	if (mg_rec_parse(&rec, (const char *)f->data, f->len) != MG_ERR_OK) {
		ok = no(c, "malformed: %s is not a record", f->name);
		goto out;
	}
	n = mg_rec_int(&rec, "seq", 0);
	snprintf(want, sizeof(want), "records/%lld.json", (long long)n);
	if (n < 1 || strcmp(want, f->name) != 0) {
		ok = no(c, "malformed: %s holds record %lld", f->name,
		    (long long)n);
		goto out;
	}
	ok = check_path(c, f, seq, (uint64_t)n - 1) && take_record(c, &rec);
	if (ok && strcmp(mg_rec_str(&rec, "type", ""), "decision") == 0)
		ok = check_decision(c, &rec, seq);
	c->records++;
out:
	mg_rec_fini(&rec);
	return ok;
}

static bool
check_all(struct check *c)
{
	size_t i;

	if (!check_note(c))
		return false;
	for (i = 0; i < c->bundle.n; i++)
		if (strncmp(c->bundle.v[i].name, "records/", 8) == 0 &&
		    !check_record(c, &c->bundle.v[i]))
			return false;
	if (c->uuid[0] == '\0')
		return no(c, "malformed: there is no request in it");
	return true;
}

/* ---- telling ---- */

static void say(const char *label, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(const char *label, const char *fmt, ...)
{
	char raw[700], text[1500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	mg_esc_line(raw, text, sizeof(text));
	printf("  %-10s %s\n", label, text);
}

static void
say_line(const char *text, size_t len)
{
	say("", "  %.*s", (int)(len < 600 ? len : 600), text);
}

static void
print_story(const struct check *c)
{
	char fp[64];
	size_t i;

	say("request", "%s at %s", c->uuid, c->at);
	say("who", "%s", c->user);
	say("what", "%s %s%s%s", c->operation, c->model,
	    c->version[0] != '\0' ? "@" : "", c->version);
	for (i = 0; i < c->nsaid; i++)
		say("decision", "%s", c->said[i]);
	say("policy", "%s", c->policy);
	for (i = 0; c->quoted != NULL && i < c->nrules; i++)
		led_quote_rule(
		    c->quoted->data, c->quoted->len, c->rules[i], say_line);
	say("became", "%s", c->state);
	led_fingerprint(c->host.pub, fp);
	say("host", "%s, key %s%s", c->note.origin, fp,
	    c->led->host.kind != 0 ? " (trusted)"
				   : ": compare it, or give --host-key");
	if (!c->has_hub) {
		say("hub", "has not witnessed this checkpoint");
		return;
	}
	led_fingerprint(c->hub.pub, fp);
	say("hub", "witnessed it, key %s%s", fp,
	    c->led->nhubs > 0 ? " (trusted)"
			      : ": compare it, or give --hub-key");
}

static void
print_json(const struct check *c, bool ok)
{
	char host[64], hub[64] = "";
	struct mg_buf b;
	struct mg_json j;
	const char *s, *said[APPROVERS_MAX];
	size_t i;

	led_fingerprint(c->host.pub, host);
	if (c->has_hub)
		led_fingerprint(c->hub.pub, hub);
	for (i = 0; i < c->nsaid; i++)
		said[i] = c->said[i];
	mg_buf_init(&b, 65536);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_bool(&j, "ok", ok);
	mg_json_str(&j, "text", c->text);
	mg_json_str(&j, "request", c->uuid);
	mg_json_str(&j, "user", c->user);
	mg_json_str(&j, "operation", c->operation);
	mg_json_str(&j, "model", c->model);
	mg_json_str(&j, "version", c->version);
	mg_json_str(&j, "state", c->state);
	mg_json_strv(&j, "decisions", said, c->nsaid);
	mg_json_str(&j, "policy", c->policy);
	mg_json_bool(&j, "has_policy", c->quoted != NULL);
	mg_json_int(&j, "records", (int64_t)c->records);
	mg_json_str(&j, "host_key", host);
	mg_json_str(&j, "hub_key", hub);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (s = mg_buf_cstr(&b)) != NULL)
		printf("%s\n", s);
	mg_buf_fini(&b);
}

/* Whether it begins as an archive does, ours or another. */
static bool
is_archive(const struct mg_buf *b)
{
	return mg_buf_len(b) >= 512 &&
	       memcmp((const char *)mg_buf_ptr(b) + 257, "ustar", 5) == 0;
}

int
led_bundle_verify(struct led *led, const char *path)
{
	struct check *c = calloc(1, sizeof(*c));
	int status = LED_FAILED;
	const char *why;
	struct mg_buf b;
	bool ok;

	if (c == NULL)
		return led_fail(led, "out of memory");
	c->led = led;
	mg_buf_init(&b, MG_BUNDLE_MAX);
	if (!led_read(led, path, &b))
		goto out;
	ok = mg_bundle_parse(
		 &c->bundle, mg_buf_ptr(&b), mg_buf_len(&b), &why) == MG_ERR_OK;
	if (ok)
		ok = check_all(c);
	else if (is_archive(&b))
		(void)no(c, "malformed: %s", why);
	else
		(void)no(c,
		    "this is not what `modelgate export REQUEST` writes, or "
		    "its beginning was changed (with no FILE, verify checks "
		    "this host's ledger)");
	status = ok ? 0 : LED_NO;
	if (led->json)
		print_json(c, ok);
	else if (!ok)
		printf("BAD: %s\n", c->text);
	else if (!led->quiet) {
		printf("good: %zu records\n", c->records);
		print_story(c);
	}
out:
	mg_bundle_fini(&c->bundle);
	mg_buf_fini(&b);
	free(c);
	return status;
}
