/* SPDX-License-Identifier: ISC */
/* The hub's mailbox and its journal. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hub/hub_store.h"
#include "hub_body.h"
#include "mg_text.h"

#define SIG "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"

static const struct hub_store_limits limits = {
    .requests = 50,
    .requests_per_host = 20,
    .bytes = 1 << 20,
    .keep_ended_ms = 1000,
};

static struct hub_store s;
static char dir[64], path[96], why[256];

/* ---- help ---- */

static void
make_id(unsigned i, char id[MG_UUID_STR])
{
	snprintf(id, MG_UUID_STR, "%08x-5d3b-4a64-9c0e-0123456789ab",
	    i * 2654435761U);
}

static enum mg_err
put_as(const char *key_host, const char *body_host, unsigned i, bool *newp)
{
	struct hub_request *req;
	struct mg_hub_put m;
	char id[MG_UUID_STR];
	struct mg_buf b;
	enum mg_err r;
	bool is_new;

	make_id(i, id);
	make_body(&b, id, body_host, "alice");
	memset(&m, 0, sizeof(m));
	m.uuid = id;
	m.body = mg_buf_cstr(&b);
	m.review = "";
	m.requester = "alice";
	m.need[0] = "risk-owner";
	m.need[1] = "1";
	m.need[2] = "bob,carol";
	m.need_n = 3;
	m.filed_ms = NOW;
	m.left_ms = 60000;
	why[0] = '\0';
	r = hub_store_put(
	    &s, NOW, key_host, &m, &req, &is_new, why, sizeof(why));
	assert_int_equal(r == MG_ERR_OK, req != NULL);
	if (newp != NULL)
		*newp = is_new;
	mg_buf_fini(&b);
	return r;
}

static enum mg_err
put(unsigned i)
{
	return put_as("web-1", "web-1", i, NULL);
}

static enum mg_err
state(const char *host, unsigned i, const char *word, bool ended)
{
	struct hub_request *req;
	struct mg_hub_state m;
	char id[MG_UUID_STR];
	bool changed;

	make_id(i, id);
	memset(&m, 0, sizeof(m));
	m.uuid = id;
	m.state = word;
	m.ended = ended;
	m.left_ms = 50000;
	m.agreed[0] = "risk-owner";
	m.agreed[1] = "bob";
	m.agreed_n = 2;
	return hub_store_state(
	    &s, NOW, host, &m, &req, &changed, why, sizeof(why));
}

static enum mg_err
decide(const char *who, unsigned i, const char *word, const char *sig)
{
	struct hub_decision *d;
	struct hub_request *req;
	char id[MG_UUID_STR];

	make_id(i, id);
	return hub_store_decide(&s, NOW + 5, who, id, word, "looks good", sig,
	    &req, &d, why, sizeof(why));
}

static enum mg_err
verdict(const char *host, const char *who, unsigned i, const char *word,
    bool accepted)
{
	struct hub_request *req;
	struct mg_hub_verdict m;
	char id[MG_UUID_STR];
	bool changed;

	make_id(i, id);
	memset(&m, 0, sizeof(m));
	m.uuid = id;
	m.approver = who;
	m.decision = word;
	m.accepted = accepted;
	m.text = accepted ? "1 of 1" : "signature does not verify";
	return hub_store_verdict(
	    &s, NOW, host, &m, &req, &changed, why, sizeof(why));
}

static struct hub_request *
get(unsigned i)
{
	struct hub_request *req;
	char id[MG_UUID_STR];

	make_id(i, id);
	if (hub_store_find(&s, id, &req) != MG_ERR_OK)
		return NULL;
	return req;
}

/* The whole state as text, to be compared. */
static char *
dump(void)
{
	const struct hub_decision *d;
	const struct hub_request *q;
	struct mg_buf b;
	size_t i, k;
	char *out;

	mg_buf_init(&b, 1 << 22);
	for (i = 0; i < s.n; i++) {
		q = s.v[i];
		assert_int_equal(
		    mg_buf_putf(&b, "%s %s %s %s|%s|%s %s %s|%s %d %lld %lld\n",
			q->id, q->code, q->host, q->requester, q->review,
			q->operation, q->model, q->version, q->state, q->ended,
			(long long)q->deadline_ms, (long long)q->filed_ms),
		    MG_ERR_OK);
		assert_int_equal(mg_buf_put_text(&b, q->body), MG_ERR_OK);
		for (k = 0; k < q->need.n; k++)
			assert_int_equal(
			    mg_buf_putf(&b, "need %s\n", q->need.v[k]),
			    MG_ERR_OK);
		for (k = 0; k < q->agreed.n; k++)
			assert_int_equal(
			    mg_buf_putf(&b, "agreed %s\n", q->agreed.v[k]),
			    MG_ERR_OK);
		for (d = q->decisions; d != NULL; d = d->next)
			assert_int_equal(
			    mg_buf_putf(&b, "%s %s %s %d %s %s\n", d->approver,
				d->word, d->note, (int)d->judged, d->verdict,
				d->judged == MG_HUB_UNJUDGED ? d->sig : "-"),
			    MG_ERR_OK);
	}
	assert_non_null(mg_buf_cstr(&b));
	out = strdup((const char *)mg_buf_ptr(&b));
	assert_non_null(out);
	mg_buf_fini(&b);
	return out;
}

static enum mg_err
reopen_raw(size_t *tornp)
{
	return hub_store_open(&s, dir, &limits, tornp, why, sizeof(why));
}

static void
reopen(void)
{
	size_t torn;

	hub_store_close(&s);
	assert_int_equal(reopen_raw(&torn), MG_ERR_OK);
	assert_int_equal(torn, 0);
}

/* The journal's bytes; *np of them. */
static char *
slurp(size_t *np)
{
	struct mg_buf b;
	char *out;
	int fd;

	mg_buf_init(&b, 1 << 24);
	assert_true((fd = open(path, O_RDONLY)) >= 0);
	for (;;) {
		uint8_t *d = mg_buf_reserve(&b, 4096);
		ssize_t n;

		assert_non_null(d);
		if ((n = read(fd, d, 4096)) <= 0)
			break;
		mg_buf_commit(&b, (size_t)n);
	}
	close(fd);
	*np = mg_buf_len(&b);
	out = malloc(*np + 1);
	assert_non_null(out);
	memcpy(out, mg_buf_ptr(&b), *np);
	out[*np] = '\0';
	mg_buf_fini(&b);
	return out;
}

static void
spew(const char *p, size_t n)
{
	int fd;

	assert_true((fd = open(path, O_WRONLY | O_TRUNC)) >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static int
setup(void **state_)
{
	size_t torn;

	(void)state_;
	snprintf(dir, sizeof(dir), "/tmp/test_hub_store.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/journal", dir);
	if (reopen_raw(&torn) != MG_ERR_OK) {
		fprintf(stderr, "# %s\n", why);
		return -1;
	}
	return 0;
}

static int
teardown(void **state_)
{
	(void)state_;
	hub_store_close(&s);
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}

/* One of everything: pending, decided, judged, refused, ended. */
static void
fill(void)
{
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(put(2), MG_ERR_OK);
	assert_int_equal(put_as("web-2", "web-2", 3, NULL), MG_ERR_OK);
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_OK);
	assert_int_equal(decide("carol", 1, "deny", SIG), MG_ERR_OK);
	assert_int_equal(
	    verdict("web-1", "bob", 1, "approve", true), MG_ERR_OK);
	assert_int_equal(state("web-1", 1, "pending", false), MG_ERR_OK);
	assert_int_equal(decide("bob", 2, "approve", SIG), MG_ERR_OK);
	assert_int_equal(
	    verdict("web-1", "bob", 2, "approve", false), MG_ERR_OK);
	assert_int_equal(state("web-1", 2, "denied", true), MG_ERR_OK);
	assert_int_equal(decide("dave", 3, "approve", SIG), MG_ERR_OK);
}

/* ---- the fold ---- */

static void
a_restart_loses_nothing(void **state_)
{
	char *before, *after;

	(void)state_;
	fill();
	before = dump();
	reopen();
	after = dump();
	assert_string_equal(before, after);
	assert_int_equal(get(1)->decisions->judged, MG_HUB_ACCEPTED);
	assert_int_equal(get(1)->decisions->next->judged, MG_HUB_UNJUDGED);
	assert_string_equal(get(1)->decisions->next->sig, SIG);
	free(before);
	free(after);
}

static void
what_inboxes_show_is_read_out_of_the_body(void **state_)
{
	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_string_equal(get(1)->operation, "deploy");
	assert_string_equal(get(1)->model, "fraud");
	assert_string_equal(get(1)->version, "12");
	assert_string_equal(hub_request_asks(get(1), "carol"), "risk-owner");
	assert_null(hub_request_asks(get(1), "caro"));
	assert_null(hub_request_asks(get(1), "dave"));
	assert_int_equal(hub_request_left_ms(get(1), NOW), 60000);
	assert_int_equal(hub_request_left_ms(get(1), NOW + 70000), 0);
}

static void
a_request_is_found_by_its_uuid_and_by_its_code_as_people_type_it(void **state_)
{
	struct hub_request *req, *again;
	char typed[32];

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	req = get(1);
	snprintf(typed, sizeof(typed), "%.5s-%s", req->code, req->code + 5);
	assert_int_equal(hub_store_find(&s, typed, &again), MG_ERR_OK);
	assert_ptr_equal(again, req);
	assert_int_equal(
	    hub_store_find(&s, "0000000000", &again), MG_ERR_NOENT);
	assert_int_equal(hub_store_find(&s, "U!", &again), MG_ERR_FORMAT);
	assert_int_equal(hub_store_find(&s, "", &again), MG_ERR_FORMAT);
	assert_null(again);
}

static void
the_same_put_again_changes_nothing(void **state_)
{
	uint64_t lines;
	bool is_new;

	(void)state_;
	assert_int_equal(put_as("web-1", "web-1", 1, &is_new), MG_ERR_OK);
	assert_true(is_new);
	lines = s.journal.lines;
	assert_int_equal(put_as("web-1", "web-1", 1, &is_new), MG_ERR_OK);
	assert_false(is_new);
	assert_int_equal(s.journal.lines, lines);
	assert_int_equal(s.n, 1);
}

/* ---- rules of the store ---- */

static void
rule1_a_host_touches_its_own_requests_only(void **state_)
{
	char *before, *after;

	(void)state_;
	fill();
	before = dump();
	assert_int_equal(put_as("web-2", "web-2", 1, NULL), MG_ERR_PERM);
	assert_int_equal(state("web-2", 1, "granted", true), MG_ERR_PERM);
	assert_int_equal(
	    verdict("web-2", "carol", 1, "deny", false), MG_ERR_PERM);
	assert_string_equal(why, "the request is another host's");
	after = dump();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void
rule1_a_body_that_names_another_host_is_refused(void **state_)
{
	(void)state_;
	assert_int_equal(put_as("web-1", "web-2", 1, NULL), MG_ERR_FORMAT);
	assert_int_equal(put_as("web-1", "web-11", 1, NULL), MG_ERR_FORMAT);
	assert_int_equal(put_as("web-11", "web-1", 1, NULL), MG_ERR_FORMAT);
	assert_int_equal(s.n, 0);
	assert_int_equal(s.journal.size, 0);
}

static void
rule2_a_body_never_changes(void **state_)
{
	struct hub_request *req;
	struct mg_hub_put m;
	char id[MG_UUID_STR];
	struct mg_buf b;
	bool is_new;

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	make_id(1, id);
	make_body(&b, id, "web-1", "mallory");
	memset(&m, 0, sizeof(m));
	m.uuid = id;
	m.body = mg_buf_cstr(&b);
	m.review = "";
	m.requester = "mallory";
	assert_int_equal(hub_store_put(&s, NOW, "web-1", &m, &req, &is_new, why,
			     sizeof(why)),
	    MG_ERR_FORMAT);
	assert_string_equal(why, "the request is known with another body");
	m.requester = "alice"; /* not the body's */
	make_id(2, id);
	mg_buf_fini(&b);
	make_body(&b, id, "web-1", "mallory");
	m.body = mg_buf_cstr(&b);
	assert_int_equal(hub_store_put(&s, NOW, "web-1", &m, &req, &is_new, why,
			     sizeof(why)),
	    MG_ERR_FORMAT);
	assert_string_equal(why, "the body names another requester");
	make_id(3, id); /* nor the body's */
	m.requester = "mallory";
	assert_int_equal(hub_store_put(&s, NOW, "web-1", &m, &req, &is_new, why,
			     sizeof(why)),
	    MG_ERR_FORMAT);
	assert_string_equal(why, "the body names another request");
	mg_buf_fini(&b);
	assert_string_equal(get(1)->requester, "alice");
	assert_int_equal(s.n, 1);
}

static void
a_malformed_body_is_refused(void **state_)
{
	static const char *const edits[][2] = {
	    {"operation: deploy\n", "operation: de ploy\n"},
	    {"operation: deploy\n", "operation: -\n"},
	    {"model: fraud\n", "model: ../x\n"},
	    {"version: 12\n", "version: \n"},
	    {"nonce: 00\n", "nonce: 00\nnonce: 00\n"},
	    {"nonce: 00\n", "nonce: 00"},
	    {"nonce: 00\n", ""},
	    {"ticket: -\n", "ticket: \x1b[2J\n"},
	    {"ticket: -\n", "ticket: \xe2\x80\xae\n"},
	};
	struct hub_request *req;
	struct mg_hub_put m;
	char id[MG_UUID_STR], body[8192], *at;
	struct mg_buf b;
	bool is_new;
	size_t i;

	(void)state_;
	for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		make_id(1, id);
		make_body(&b, id, "web-1", "alice");
		at = strstr((char *)(uintptr_t)mg_buf_cstr(&b), edits[i][0]);
		assert_non_null(at);
		snprintf(body, sizeof(body), "%.*s%s%s",
		    (int)(at - (const char *)mg_buf_ptr(&b)), mg_buf_ptr(&b),
		    edits[i][1], at + strlen(edits[i][0]));
		memset(&m, 0, sizeof(m));
		m.uuid = id;
		m.body = body;
		m.review = "";
		m.requester = "alice";
		assert_int_equal(hub_store_put(&s, NOW, "web-1", &m, &req,
				     &is_new, why, sizeof(why)),
		    MG_ERR_FORMAT);
		mg_buf_fini(&b);
	}
	assert_int_equal(s.journal.size, 0);
}

static void
rule3_a_decision_is_final_once_it_is_accepted(void **state_)
{
	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_OK);
	assert_int_equal(
	    verdict("web-1", "bob", 1, "approve", true), MG_ERR_OK);
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_EXIST);
	assert_int_equal(decide("bob", 1, "deny", SIG), MG_ERR_EXIST);
	assert_string_equal(
	    why, "you have decided: approve; a decision is final");
	/* The host cannot take it back either. */
	assert_int_equal(
	    verdict("web-1", "bob", 1, "approve", false), MG_ERR_OK);
	assert_int_equal(get(1)->decisions->judged, MG_HUB_ACCEPTED);
	assert_int_equal(
	    verdict("web-1", "bob", 1, "deny", true), MG_ERR_NOENT);
}

static void
rule3_a_decision_on_its_way_is_not_replaced(void **state_)
{
	static const char other[] = "-----BEGIN SSH SIGNATURE-----\nBBBB\n";

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_OK);
	/* Nobody has seen it: a better signature may replace it. */
	assert_int_equal(decide("bob", 1, "deny", other), MG_ERR_EXIST);
	assert_int_equal(decide("bob", 1, "approve", other), MG_ERR_OK);
	assert_string_equal(get(1)->decisions->sig, other);
	assert_null(get(1)->decisions->next);
	get(1)->decisions->handed = true;
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_EXIST);
	assert_string_equal(get(1)->decisions->sig, other);
	assert_int_equal(decide("carol", 1, "approve", SIG), MG_ERR_OK);
}

static void
a_refused_decision_can_be_made_again(void **state_)
{
	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_OK);
	assert_int_equal(
	    verdict("web-1", "bob", 1, "approve", false), MG_ERR_OK);
	assert_null(get(1)->decisions->sig);
	assert_int_equal(decide("bob", 1, "deny", SIG), MG_ERR_OK);
	assert_int_equal(get(1)->decisions->judged, MG_HUB_UNJUDGED);
	reopen();
	assert_string_equal(get(1)->decisions->word, "deny");
	assert_int_equal(get(1)->decisions->judged, MG_HUB_UNJUDGED);
	assert_null(get(1)->decisions->next);
}

static void
an_ended_request_takes_no_decision_and_no_put(void **state_)
{
	uint64_t lines;

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(state("web-1", 1, "granted", true), MG_ERR_OK);
	lines = s.journal.lines;
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_STATE);
	assert_string_equal(why, "the request has ended (granted)");
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(state("web-1", 1, "pending", false), MG_ERR_OK);
	assert_true(get(1)->ended);
	assert_int_equal(s.journal.lines, lines);
}

static void
what_is_not_a_signature_is_refused(void **state_)
{
	static const char *const bad[] = {"", "AAAA\n",
	    " -----BEGIN SSH SIGNATURE-----\n", "-----BEGIN SSH SIGNATURE-----",
	    "-----BEGIN SSH SIGNATURE-----\nAA\x1b[0m\n",
	    "-----BEGIN SSH SIGNATURE-----\r\n",
	    "-----BEGIN SSH SIGNATURE-----\n\xc3\xa4\n"};
	static char big[HUB_SIG_MAX + 64];
	size_t i;

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    decide("bob", 1, "approve", bad[i]), MG_ERR_FORMAT);
	memset(big, 'A', sizeof(big) - 1);
	memcpy(big, "-----BEGIN SSH SIGNATURE-----\n", 30);
	assert_int_equal(decide("bob", 1, "approve", big), MG_ERR_FORMAT);
	assert_int_equal(decide("bob", 1, "maybe", SIG), MG_ERR_FORMAT);
	assert_int_equal(decide("../bob", 1, "approve", SIG), MG_ERR_FORMAT);
	assert_null(get(1)->decisions);
	assert_int_equal(decide("bob", 2, "approve", SIG), MG_ERR_NOENT);
}

/* ---- limits ---- */

static void
a_host_cannot_fill_the_hub_alone(void **state_)
{
	unsigned i;

	(void)state_;
	for (i = 0; i < limits.requests_per_host; i++)
		assert_int_equal(put(i), MG_ERR_OK);
	assert_int_equal(put(i), MG_ERR_LIMIT);
	assert_int_equal(put(0), MG_ERR_OK); /* known: still fine */
	assert_int_equal(put_as("web-2", "web-2", i, NULL), MG_ERR_OK);
	assert_int_equal(state("web-1", 0, "denied", true), MG_ERR_OK);
	assert_int_equal(put(i + 1), MG_ERR_OK);
}

static void
a_full_hub_forgets_ended_requests_first(void **state_)
{
	char host[16];
	unsigned i;

	(void)state_;
	for (i = 0; i < limits.requests; i++) {
		snprintf(host, sizeof(host), "web-%u", i / 10);
		assert_int_equal(put_as(host, host, i, NULL), MG_ERR_OK);
	}
	assert_int_equal(put_as("web-9", "web-9", i, NULL), MG_ERR_LIMIT);
	assert_string_equal(
	    why, "the hub is full ('requests' and 'queue-mib' of hub.ini)");
	assert_int_equal(state("web-3", 33, "granted", true), MG_ERR_OK);
	assert_int_equal(put_as("web-9", "web-9", i, NULL), MG_ERR_OK);
	assert_null(get(33));
	assert_int_equal(s.n, limits.requests);
	reopen();
	assert_int_equal(s.n, limits.requests);
	assert_null(get(33));
}

/* ---- the journal ---- */

static void
rule2_a_torn_last_line_is_cut_off_at_every_length(void **state_)
{
	size_t n, last, torn, cut;
	char *before, *after, *bytes;

	(void)state_;
	fill();
	before = dump();
	free(slurp(&last));
	assert_int_equal(decide("erin", 3, "deny", SIG), MG_ERR_OK);
	bytes = slurp(&n);
	for (cut = last; cut < n; cut++) {
		hub_store_close(&s);
		spew(bytes, cut);
		assert_int_equal(reopen_raw(&torn), MG_ERR_OK);
		assert_int_equal(torn, cut - last);
		after = dump();
		assert_string_equal(before, after);
		free(after);
		assert_int_equal(s.journal.size, last);
	}
	/* And the next record follows cleanly. */
	assert_int_equal(decide("erin", 3, "deny", SIG), MG_ERR_OK);
	reopen();
	free(before);
	free(bytes);
}

static void
rule2_any_other_damage_refuses_and_says_the_line(void **state_)
{
	char *bytes, *copy, *nl, expect[64];
	size_t n, torn, lines = 0, at;

	(void)state_;
	fill();
	bytes = slurp(&n);
	copy = malloc(n + 2);
	assert_non_null(copy);
	hub_store_close(&s);
	for (at = 0; at < n; at = (size_t)(nl - bytes) + 1) {
		nl = strchr(bytes + at, '\n');
		assert_non_null(nl);
		lines++;
		/* The line is gone (unless nothing follows it). */
		memcpy(copy, bytes, at);
		memcpy(copy + at, nl + 1, n - (size_t)(nl + 1 - bytes));
		if ((size_t)(nl + 1 - bytes) < n) {
			spew(copy, n - (size_t)(nl + 1 - (bytes + at)));
			assert_int_equal(reopen_raw(&torn), MG_ERR_FORMAT);
			snprintf(
			    expect, sizeof(expect), "journal:%zu: ", lines);
			assert_memory_equal(why, expect, strlen(expect));
		}
		/* Its first byte is another one. */
		memcpy(copy, bytes, n);
		copy[at] = 'x';
		spew(copy, n);
		assert_int_equal(reopen_raw(&torn), MG_ERR_FORMAT);
		snprintf(expect, sizeof(expect), "journal:%zu:1: ", lines);
		assert_memory_equal(why, expect, strlen(expect));
	}
	spew(bytes, n);
	assert_int_equal(reopen_raw(&torn), MG_ERR_OK);
	free(bytes);
	free(copy);
}

static void
no_flipped_bit_goes_unseen_or_is_more_than_a_changed_text(void **state_)
{
	size_t n, torn, at, same = 0;
	char *bytes, *before, *after;
	enum mg_err r;

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(decide("bob", 1, "approve", SIG), MG_ERR_OK);
	before = dump();
	bytes = slurp(&n);
	hub_store_close(&s);
	for (at = 0; at < n; at++) {
		bytes[at] ^= 1;
		spew(bytes, n);
		bytes[at] ^= 1;
		r = reopen_raw(&torn);
		if (r != MG_ERR_OK)
			continue;
		after = dump();
		same += strcmp(before, after) == 0 && torn == 0;
		free(after);
		hub_store_close(&s);
	}
	/* What may change unseen: the dates ("at"), which no fold shows. */
	assert_true(same <= 30);
	spew(bytes, n);
	assert_int_equal(reopen_raw(&torn), MG_ERR_OK);
	free(before);
	free(bytes);
}

static void
rule4_a_write_that_fails_leaves_nothing_behind(void **state_)
{
	struct rlimit old, small;
	char *before, *after;
	size_t n, i;

	(void)state_;
	fill();
	before = dump();
	free(slurp(&n));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	/* Room for a part of the record: a short write, then an error. */
	for (i = 0; i < 100; i += 33) {
		small = old;
		small.rlim_cur = n + i;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(decide("erin", 3, "deny", SIG), MG_ERR_SYS);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_memory_equal(why, "the hub cannot write: ", 22);
		after = dump();
		assert_string_equal(before, after);
		free(after);
	}
	assert_int_equal(decide("erin", 3, "deny", SIG), MG_ERR_OK);
	reopen();
	assert_non_null(hub_store_decision(get(3), "erin"));
	free(before);
}

static void
one_hub_at_a_time(void **state_)
{
	struct hub_store other;
	size_t torn;

	(void)state_;
	assert_int_equal(
	    hub_store_open(&other, dir, &limits, &torn, why, sizeof(why)),
	    MG_ERR_EXIST);
	assert_non_null(strstr(why, "in use by another hub"));
}

static void
a_folder_or_journal_that_others_can_read_is_refused(void **state_)
{
	size_t torn;

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	hub_store_close(&s);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(reopen_raw(&torn), MG_ERR_PERM);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chmod(dir, 0750), 0);
	assert_int_equal(reopen_raw(&torn), MG_ERR_PERM);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(reopen_raw(&torn), MG_ERR_OK);
}

static void
a_journal_that_is_a_link_is_refused(void **state_)
{
	char target[128];
	size_t torn;

	(void)state_;
	hub_store_close(&s);
	snprintf(target, sizeof(target), "%s/real", dir);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink("real", path), 0);
	assert_int_not_equal(reopen_raw(&torn), MG_ERR_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(target, path), 0); /* two names */
	assert_int_equal(reopen_raw(&torn), MG_ERR_PERM);
	assert_int_equal(unlink(target), 0);
	assert_int_equal(reopen_raw(&torn), MG_ERR_OK);
}

static void
a_journal_that_is_mostly_history_is_rewritten(void **state_)
{
	char *before, *after;
	size_t dropped;
	unsigned i;

	(void)state_;
	fill();
	for (i = 100; i < 800; i++) {
		assert_int_equal(put(i), MG_ERR_OK);
		assert_int_equal(state("web-1", i, "denied", true), MG_ERR_OK);
		if (i % 10 == 9)
			assert_int_equal(
			    hub_store_tidy(&s, NOW + 2000, &dropped),
			    MG_ERR_OK);
	}
	/* Request 2 had ended too; 1 and 3 are pending. */
	assert_int_equal(s.n, 2);
	assert_true(s.journal.lines < 1000);
	before = dump();
	reopen();
	after = dump();
	assert_string_equal(before, after);
	assert_int_equal(decide("erin", 3, "deny", SIG), MG_ERR_OK);
	free(before);
	free(after);
}

static void
a_rewrite_that_fails_keeps_the_old_journal(void **state_)
{
	struct rlimit old, none;
	uint64_t size;
	char *before, *after;
	size_t dropped;
	unsigned i;

	(void)state_;
	fill();
	for (i = 0; s.journal.lines < 1100; i++)
		assert_int_equal(
		    state("web-1", 1, i % 2 == 0 ? "pending" : "asked", false),
		    MG_ERR_OK);
	size = s.journal.size;
	before = dump();
	/* No new file can be opened. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(hub_store_tidy(&s, NOW, &dropped), MG_ERR_SYS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(dropped, 0);
	assert_int_equal(s.journal.size, size);
	/* What is written next is not lost. */
	assert_int_equal(decide("erin", 3, "deny", SIG), MG_ERR_OK);
	free(before);
	before = dump();
	reopen();
	after = dump();
	assert_string_equal(before, after);
	assert_int_equal(hub_store_tidy(&s, NOW, &dropped), MG_ERR_OK);
	assert_true(s.journal.size < size);
	free(after);
	after = dump();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void
what_a_crash_left_of_a_rewrite_is_removed(void **state_)
{
	char left[128];
	struct stat st;
	int fd;

	(void)state_;
	fill();
	snprintf(left, sizeof(left), "%s/.journal.0123456789abcdef", dir);
	assert_true((fd = open(left, O_CREAT | O_WRONLY, 0600)) >= 0);
	close(fd);
	reopen();
	assert_int_equal(stat(left, &st), -1);
	assert_int_equal(errno, ENOENT);
}

static void
a_silent_host_s_request_is_forgotten_a_day_after_its_deadline(void **state_)
{
	size_t dropped;

	(void)state_;
	assert_int_equal(put(1), MG_ERR_OK);
	assert_int_equal(
	    hub_store_tidy(&s, NOW + 60000 + 23 * 3600000LL, &dropped),
	    MG_ERR_OK);
	assert_int_equal(dropped, 0);
	assert_int_equal(
	    hub_store_tidy(&s, NOW + 60000 + 24 * 3600000LL, &dropped),
	    MG_ERR_OK);
	assert_int_equal(dropped, 1);
	assert_null(get(1));
}

/* A long random life: after any number of steps a reopened store equals. */
static void
a_random_life_folds_to_the_same_state(void **state_)
{
	static const char *const who[] = {"bob", "carol", "dave"};
	static const char *const words[] = {"approve", "deny"};
	char *before, *after;
	size_t dropped;
	unsigned step, i;

	(void)state_;
	srand(1);
	for (step = 0; step < 3000; step++) {
		unsigned a = (unsigned)rand();

		i = (unsigned)rand() % 30;
		switch (a % 6) {
		case 0:
		case 1:
			(void)put(i);
			break;
		case 2:
			(void)state("web-1", i, "pending", a / 6 % 4 == 0);
			break;
		case 3:
			(void)decide(who[a / 6 % 3], i, words[a / 18 % 2], SIG);
			break;
		case 4:
			(void)verdict("web-1", who[a / 6 % 3], i,
			    words[a / 18 % 2], a / 36 % 2 == 0);
			break;
		default:
			if (a / 6 % 50 == 0)
				assert_int_equal(
				    hub_store_tidy(&s, NOW + 2000, &dropped),
				    MG_ERR_OK);
			break;
		}
		if (step % 300 != 0)
			continue;
		before = dump();
		reopen();
		after = dump();
		assert_string_equal(before, after);
		free(before);
		free(after);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_restart_loses_nothing),
	    T(what_inboxes_show_is_read_out_of_the_body),
	    T(a_request_is_found_by_its_uuid_and_by_its_code_as_people_type_it),
	    T(the_same_put_again_changes_nothing),
	    T(rule1_a_host_touches_its_own_requests_only),
	    T(rule1_a_body_that_names_another_host_is_refused),
	    T(rule2_a_body_never_changes),
	    T(a_malformed_body_is_refused),
	    T(rule3_a_decision_is_final_once_it_is_accepted),
	    T(rule3_a_decision_on_its_way_is_not_replaced),
	    T(a_refused_decision_can_be_made_again),
	    T(an_ended_request_takes_no_decision_and_no_put),
	    T(what_is_not_a_signature_is_refused),
	    T(a_host_cannot_fill_the_hub_alone),
	    T(a_full_hub_forgets_ended_requests_first),
	    T(rule2_a_torn_last_line_is_cut_off_at_every_length),
	    T(rule2_any_other_damage_refuses_and_says_the_line),
	    T(no_flipped_bit_goes_unseen_or_is_more_than_a_changed_text),
	    T(rule4_a_write_that_fails_leaves_nothing_behind),
	    T(one_hub_at_a_time),
	    T(a_folder_or_journal_that_others_can_read_is_refused),
	    T(a_journal_that_is_a_link_is_refused),
	    T(a_journal_that_is_mostly_history_is_rewritten),
	    T(a_rewrite_that_fails_keeps_the_old_journal),
	    T(what_a_crash_left_of_a_rewrite_is_removed),
	    T(a_silent_host_s_request_is_forgotten_a_day_after_its_deadline),
	    T(a_random_life_folds_to_the_same_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
