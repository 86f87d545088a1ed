/* SPDX-License-Identifier: ISC */
/*
 * The hub's mailbox is opened while memory and system calls fail in turn: it
 * opens whole or not at all, and no failure costs a line of the journal.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hub/hub_store.h"
#include "hub_body.h"
#include "mg_text.h"
#include "starve.h"

#define NREQUESTS 3
#define SIG "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"

static const struct hub_store_limits limits = {.requests = 50,
    .requests_per_host = 20,
    .bytes = 1 << 20,
    .keep_ended_ms = 1000};

static char dir[] = "/tmp/modelgate.XXXXXX";
static char why[256];

static void
make_id(unsigned i, char id[MG_UUID_STR])
{
	snprintf(id, MG_UUID_STR, "%08x-5d3b-4a64-9c0e-0123456789ab", i + 1);
}

static void
put(struct hub_store *s, unsigned i)
{
	struct mg_hub_put m = {.review = "glass",
	    .requester = "alice",
	    .need = {"risk-owner", "1", "bob,carol"},
	    .need_n = 3,
	    .filed_ms = NOW,
	    .left_ms = 60000};
	struct hub_request *req;
	char id[MG_UUID_STR];
	struct mg_buf b;
	bool is_new;

	make_id(i, id);
	make_body(&b, id, "web-1", "alice");
	m.uuid = id;
	m.body = mg_buf_cstr(&b);
	assert_int_equal(
	    hub_store_put(s, NOW, "web-1", &m, &req, &is_new, why, sizeof(why)),
	    MG_ERR_OK);
	mg_buf_fini(&b);
}

/* Requests; decisions, judged and not; one that has ended. */
static int
fill(void **state)
{
	struct mg_hub_verdict v = {.approver = "bob",
	    .decision = "approve",
	    .accepted = true,
	    .text = "counts"};
	struct mg_hub_state ended = {
	    .state = "denied", .ended = true, .agreed_n = 0};
	struct hub_decision *d;
	struct hub_request *req;
	char id[MG_UUID_STR];
	struct hub_store s;
	bool changed;
	unsigned i;
	size_t torn;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	assert_int_equal(
	    hub_store_open(&s, dir, &limits, &torn, why, sizeof(why)),
	    MG_ERR_OK);
	for (i = 0; i < NREQUESTS; i++)
		put(&s, i);
	make_id(0, id);
	assert_int_equal(hub_store_decide(&s, NOW, "bob", id, "approve", "fine",
			     SIG, &req, &d, why, sizeof(why)),
	    MG_ERR_OK);
	v.uuid = id;
	assert_int_equal(hub_store_verdict(&s, NOW, "web-1", &v, &req, &changed,
			     why, sizeof(why)),
	    MG_ERR_OK);
	assert_int_equal(hub_store_decide(&s, NOW, "carol", id, "deny", "no",
			     SIG, &req, &d, why, sizeof(why)),
	    MG_ERR_OK);
	make_id(1, id);
	ended.uuid = id;
	assert_int_equal(hub_store_state(&s, NOW, "web-1", &ended, &req,
			     &changed, why, sizeof(why)),
	    MG_ERR_OK);
	hub_store_close(&s);
	return 0;
}

/* Whether it is all that fill() wrote. */
static bool
is_whole(struct hub_store *s)
{
	const struct hub_decision *bob, *carol;
	struct hub_request *req;
	char id[MG_UUID_STR];

	make_id(0, id);
	if (s->n != NREQUESTS || hub_store_find(s, id, &req) != MG_ERR_OK)
		return false;
	bob = hub_store_decision(req, "bob");
	carol = hub_store_decision(req, "carol");
	if (bob == NULL || bob->judged != MG_HUB_ACCEPTED || carol == NULL ||
	    carol->judged != MG_HUB_UNJUDGED || carol->sig == NULL ||
	    strcmp(carol->note, "no") != 0 || req->ended || req->load == NULL ||
	    req->load->pending != NREQUESTS - 1)
		return false;
	make_id(1, id);
	return hub_store_find(s, id, &req) == MG_ERR_OK && req->ended &&
	       strcmp(req->state, "denied") == 0 && req->load == NULL;
}

static const char *
play_open(const void *arg)
{
	const char *wrong = NULL;
	struct hub_store s;
	enum mg_err r;
	size_t torn;

	(void)arg;
	why[0] = '\0';
	r = hub_store_open(&s, dir, &limits, &torn, why, sizeof(why));
	starve_rest();
	if (r == MG_ERR_OK) {
		if (torn > 0 || !is_whole(&s))
			wrong = "it opens, and is not what was written";
		hub_store_close(&s);
		return wrong;
	}
	if (!starve_has_hit())
		return "it does not open, without a reason";
	if (r == MG_ERR_FORMAT)
		return "what is as it was written is called wrong";
	r = hub_store_open(&s, dir, &limits, &torn, why, sizeof(why));
	if (r != MG_ERR_OK)
		return "it does not open any more";
	if (torn > 0 || !is_whole(&s))
		wrong = "a failure to open it cost something";
	hub_store_close(&s);
	return wrong;
}

static void
it_opens_whole_or_not_at_all(void **state)
{
	(void)state;
	starve_every(STARVE_MEMORY | STARVE_CALLS, play_open, NULL);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int
clear(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_opens_whole_or_not_at_all),
	};

	starve_begin();
	return cmocka_run_group_tests_name("mailbox", tests, fill, clear);
}
