/* SPDX-License-Identifier: ISC */
/*
 * Sets of break-glass tokens: made, void, offered, known again.
 *
 * Rules
 * 1. Tokens never come here. They are made by root's own program and typed
 *    into mg-auth; both say a digest. The ledger, which auditors read and
 *    exports hold, gets an HMAC of that with the host's number key: without
 *    the key, sealed where that can be, it is good for nothing.
 * 2. What a set is (good, used, void) is in the ledger and nowhere else, so
 *    there is no file whose old copy would bring a used set back. An old
 *    copy of the ledger itself is another history: the hub's witness says so.
 * 3. A set is used up, on record, before what it is used for can be granted;
 *    it stays used up whatever becomes of that. A record that would use it
 *    twice does not fit the ledger.
 * 4. Tokens are judged together and once all are there: no answer says which
 *    of them was wrong. Guesses are counted by who makes them (mon_auth.c):
 *    they void no set, and lock nobody else out.
 * 5. Only root makes and voids, over a connection of its own: no mg-front
 *    stands in between. Root by way of sudo needs the right "tokens".
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

/* ---- knowing one again (Rule 1) ---- */

static void
hmac_hex(const struct mon *m, const char *what, const uint8_t *p, size_t n,
    char out[MG_SET_HASH])
{
	uint8_t text[64 + MG_TOKEN_DIGEST], md[32];
	size_t k = strlen(what);
	unsigned len = 0;

	if (k + n > sizeof(text))
		mg_fatal("too long a text for a token");
	memcpy(text, what, k);
	memcpy(text + k, p, n);
	if (HMAC(EVP_sha256(), m->number_key, sizeof(m->number_key), text,
		k + n, md, &len) == NULL ||
	    len != sizeof(md))
		mg_fatal("cannot compute what a token is known by");
	mg_hex(md, sizeof(md), out);
}

static void
known_by(const struct mon *m, const uint8_t digest[MG_TOKEN_DIGEST],
    char out[MG_SET_HASH])
{
	hmac_hex(m, "modelgate-token\n", digest, MG_TOKEN_DIGEST, out);
}

/* Tells one number key from another. */
static void
key_id(const struct mon *m, char out[17])
{
	char hex[MG_SET_HASH];

	hmac_hex(m, "modelgate-token-key\n", (const uint8_t *)"", 0, hex);
	snprintf(out, 17, "%.16s", hex);
}

/* Whether tokens of s can be known again here, as many as that. */
static bool
is_usable(const struct mon *m, const struct mg_token_set *s, unsigned need)
{
	char id[17];

	if (s->state != MG_SET_GOOD || s->of < need)
		return false;
	key_id(m, id);
	return strcmp(id, s->key) == 0;
}

static unsigned
needed(const struct mg_token_set *s, unsigned need)
{
	return s->need > need ? s->need : need;
}

unsigned
mon_tokens_left(const struct mon *m, unsigned need)
{
	const struct mg_token_set *s = mg_state_sets(m->state);
	unsigned n = 0;
	size_t i;

	for (i = 0; i < MG_SETS_MAX; i++)
		n += is_usable(m, &s[i], need);
	return n;
}

void
mon_tokens_offer(const struct mon *m, unsigned need, struct mg_auth_start *msg)
{
	static const char digits[][2] = {
	    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
	const struct mg_token_set *s = mg_state_sets(m->state);
	size_t i;

	for (i = 0; i < MG_SETS_MAX; i++) {
		if (!is_usable(m, &s[i], need) || msg->sets_n + 2 > 32)
			continue;
		msg->sets[msg->sets_n] = s[i].name;
		msg->sets[msg->sets_n + 1] = digits[needed(&s[i], need)];
		msg->sets_n += 2;
	}
}

/* Rule 4. mg-auth has looked at all but the last; it is not asked twice. */
bool
mon_tokens_judge(
    const struct mon *m, unsigned need, const struct mg_auth_result *res)
{
	const struct mg_token_set *s = mg_state_set(m->state, res->set);
	char hash[MG_SET_HASH];
	unsigned seen = 0, right = 0, n;
	size_t i;

	if (s == NULL || !is_usable(m, s, need) ||
	    res->numbers_len != needed(s, need) ||
	    res->digests_len != res->numbers_len * MG_TOKEN_DIGEST)
		return false;
	for (i = 0; i < res->numbers_len; i++) {
		n = res->numbers[i];
		if (n < 1 || n > s->of || (seen & 1U << n) != 0)
			return false;
		seen |= 1U << n;
		known_by(m, res->digests + i * MG_TOKEN_DIGEST, hash);
		right += CRYPTO_memcmp(hash, s->hash[n - 1], MG_SET_HASH) == 0;
	}
	return right == res->numbers_len;
}

/* ---- making and voiding ---- */

struct order {
	struct mon *m;
	struct mon_job *job; /* stands in for the client */
	uint8_t verb;
	char set[MG_TOKEN_SET_STR];
	unsigned need;
	size_t of;
	uint8_t digests[MG_TOKENS_MAX * MG_TOKEN_DIGEST];
	char by[97];
};

static void
order_free(struct order *o)
{
	mon_job_free(o->job);
	explicit_bzero(o, sizeof(*o));
	free(o);
}

static void
recorded(void *arg, enum mg_why why)
{
	struct order *o = arg;
	struct mon_client *c = o->job->client;
	char text[64];

	if (why != MG_WHY_NONE) {
		mon_reply_refused(c, why, "", "", "", "");
	} else {
		snprintf(text, sizeof(text), "set %s is void", o->set);
		mon_reply_done(
		    c, o->verb == MG_TOKENS_MADE ? o->m->conf.host : text);
	}
	order_free(o);
}

static void
put_known_by(const struct order *o, struct mg_json *j)
{
	char hash[MG_SET_HASH];
	size_t i;

	mg_json_arr(j, "known_by");
	for (i = 0; i < o->of; i++) {
		known_by(o->m, o->digests + i * MG_TOKEN_DIGEST, hash);
		mg_json_str(j, NULL, hash);
	}
	mg_json_arr_end(j);
}

static void
record(struct order *o)
{
	struct mon_txn *t;
	struct mg_json *j;
	char uuid[MG_UUID_STR], id[17];
	struct mg_uuid u;

	if (mg_uuid_new(&u) != MG_ERR_OK)
		mg_fatal("no random numbers");
	mg_uuid_format(&u, uuid);
	t = mon_txn_begin(o->m);
	j = mon_rec_begin(t, "tokens");
	mg_json_str(j, "uuid", uuid);
	mg_json_str(j, "set", o->set);
	mg_json_str(j, "user", o->by);
	mg_json_int(j, "uid", o->job->uid);
	mg_json_int(j, "ses", o->job->ses);
	if (o->verb == MG_TOKENS_MADE) {
		key_id(o->m, id);
		mg_json_str(j, "what", "made");
		mg_json_int(j, "need", o->need);
		put_known_by(o, j);
		mg_json_str(j, "key", id);
	} else {
		mg_json_str(j, "what", "void");
	}
	mon_rec_end(t);
	mg_log(MG_EVT_TOKENS, "set=%s what=%s by=%s", o->set,
	    o->verb == MG_TOKENS_MADE ? "made" : "void", o->by);
	mon_txn_commit(t, recorded, o);
}

/* What is wrong with the order; NULL: nothing. */
static const char *
flaw(const struct order *o)
{
	const struct mg_token_set *s = mg_state_set(o->m->state, o->set);
	const struct mg_token_set *all = mg_state_sets(o->m->state);
	size_t i, good = 0;

	if (!mg_token_is_set(o->set))
		return "that is not the name of a set";
	if (o->verb == MG_TOKENS_VOID)
		return s == NULL		 ? "there is no such set"
		       : s->state != MG_SET_GOOD ? "it is used or void already"
						 : NULL;
	if (o->verb != MG_TOKENS_MADE || o->of < 1 || o->need < 1 ||
	    o->need > o->of)
		return "a set has 1 to 9 tokens, and needs no more than it has";
	if (s != NULL)
		return "there is a set of that name; try again";
	for (i = 0; i < MG_SETS_MAX; i++)
		good += all[i].state == MG_SET_GOOD;
	return good < MG_TOKEN_SETS_MAX
		   ? NULL
		   : "there are 16 sets; use or void one: modelgate tokens";
}

static void
refuse(struct order *o)
{
	struct mon_client *c = o->job->client;
	struct mon_refusal ref = {.user = o->by,
	    .uid = o->job->uid,
	    .ses = o->job->ses,
	    .tty = c->peer.tty,
	    .origin = "",
	    .operation = "tokens",
	    .model = "",
	    .version = "",
	    .rule = "",
	    .text = "only root makes or voids break-glass tokens; by way of "
		    "sudo it takes the right 'tokens' as well",
	    .remedy = "",
	    .why = MG_WHY_NOT_PERMITTED};

	o->job->client = NULL;
	c->job = NULL;
	mon_refuse(o->m, c, &ref);
	order_free(o);
}

static void
known(void *arg)
{
	struct order *o = arg;
	struct mon_client *c = o->job->client;
	const char *why;

	if (c == NULL) {
		order_free(o);
		return;
	}
	/* Rule 5 */
	if (!mon_may(c, "tokens", o->by, sizeof(o->by)) || !c->is_direct) {
		refuse(o);
		return;
	}
	if ((why = flaw(o)) == NULL) {
		record(o);
		return;
	}
	mon_reply_refused(c, MG_WHY_BAD_REQUEST, "", "", why, "");
	order_free(o);
}

void
mon_tokens_order(struct mon_client *c, const struct mg_tokens_req *q)
{
	struct order *o;

	if ((o = calloc(1, sizeof(*o))) == NULL ||
	    (o->job = calloc(1, sizeof(*o->job))) == NULL)
		mg_fatal("out of memory");
	o->m = o->job->m = c->m;
	o->job->client = c;
	o->job->uid =
	    c->peer.loginuid != MG_PROC_UNSET ? c->peer.loginuid : c->peer.uid;
	o->job->ses = c->peer.session;
	c->job = o->job;
	o->verb = q->verb;
	o->need = q->need;
	snprintf(o->set, sizeof(o->set), "%s", q->set);
	if (q->digests_len <= sizeof(o->digests) &&
	    q->digests_len % MG_TOKEN_DIGEST == 0) {
		memcpy(o->digests, q->digests, q->digests_len);
		o->of = q->digests_len / MG_TOKEN_DIGEST;
	}
	if (mon_people_fetch(c->m, NULL, 0, o->job->uid, known, o) !=
	    MG_ERR_OK) {
		mon_reply_refused(c, MG_WHY_INTERNAL, "", "", "", "");
		order_free(o);
	}
}

/* ---- the list ---- */

void
mon_tokens_put(
    const struct mon *m, const struct mg_token_set *s, struct mg_json *j)
{
	char at[MG_TIME_STR];

	mg_json_obj(j, NULL);
	mg_json_str(j, "set", s->name);
	mg_json_str(j, "state",
	    s->state == MG_SET_USED   ? "used"
	    : s->state == MG_SET_VOID ? "void"
	    : is_usable(m, s, 0)      ? "good"
				      : "lost");
	mg_json_int(j, "need", s->need);
	mg_json_int(j, "of", s->of);
	mg_time_format(s->made_ms, at);
	mg_json_str(j, "made", at);
	if (s->ended_ms != 0) {
		mg_time_format(s->ended_ms, at);
		mg_json_str(j, "ended", at);
	}
	mg_json_str(j, "request", s->request);
	mg_json_obj_end(j);
}
