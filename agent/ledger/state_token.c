/* SPDX-License-Identifier: ISC */
/* Records about tokens, which stand in for approvers that cannot be asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state_int.h"

#define GUESSER "tokens:%s" /* among factors: no login name has a colon */

/* MG_SETS_MAX: there is none of that name. */
static size_t
set_index(const struct mg_state *st, const char *name)
{
	size_t i;

	for (i = 0; i < MG_SETS_MAX; i++)
		if (name[0] != '\0' && strcmp(st->sets[i].name, name) == 0)
			break;
	return i;
}

/* A place for one more: free, or of the oldest that has ended. */
static struct mg_token_set *
set_place(struct mg_state *st)
{
	struct mg_token_set *old = NULL, *s;
	size_t i, good = 0;

	for (i = 0; i < MG_SETS_MAX; i++) {
		s = &st->sets[i];
		if (s->state == MG_SET_GOOD)
			good++;
		else if (old == NULL || s->order < old->order)
			old = s;
	}
	return good < MG_TOKEN_SETS_MAX ? old : NULL;
}

bool
mg_state_fill_set(struct mg_token_set *s, const struct mg_rec *rec)
{
	const char *name = mg_rec_str(rec, "set", "");
	const char *key = mg_rec_str(rec, "key", "");
	const char *const *v;
	size_t n, i;

	v = mg_rec_strv(rec, "known_by", &n);
	memset(s, 0, sizeof(*s));
	if (!mg_token_is_set(name) || n < 1 || n > MG_TOKENS_MAX ||
	    strlen(key) >= sizeof(s->key))
		return false;
	for (i = 0; i < n; i++) {
		if (strlen(v[i]) != MG_SET_HASH - 1)
			return false;
		memcpy(s->hash[i], v[i], MG_SET_HASH);
	}
	memcpy(s->name, name, MG_TOKEN_SET_STR);
	memcpy(s->key, key, strlen(key) + 1);
	s->of = (unsigned)n;
	s->need = (unsigned)mg_rec_int(rec, "need", 0);
	s->state = MG_SET_GOOD;
	return s->need >= 1 && s->need <= s->of;
}

static enum mg_err
set_made(struct mg_state_ctx *c)
{
	struct mg_state *st = c->st;
	struct mg_token_set s, *to;

	if (!mg_state_fill_set(&s, c->rec))
		return MG_ERR_FORMAT;
	if (set_index(st, s.name) != MG_SETS_MAX)
		return MG_ERR_EXIST;
	if ((to = set_place(st)) == NULL)
		return MG_ERR_LIMIT;
	if (!mg_state_save_for_undo(st, to, sizeof(*to), NULL))
		return MG_ERR_NOMEM;
	s.made_ms = c->wall;
	s.order = ++st->sets_made;
	*to = s;
	return MG_ERR_OK;
}

/* Used or void: either way once, and for good. */
static enum mg_err
set_ended(struct mg_state_ctx *c, bool used)
{
	size_t i = set_index(c->st, mg_rec_str(c->rec, "set", ""));
	struct mg_token_set *s;

	if (i == MG_SETS_MAX || c->st->sets[i].state != MG_SET_GOOD)
		return MG_ERR_STATE;
	s = &c->st->sets[i];
	if (!mg_state_save_for_undo(c->st, s, sizeof(*s), NULL))
		return MG_ERR_NOMEM;
	s->state = used ? MG_SET_USED : MG_SET_VOID;
	s->ended_ms = c->wall;
	if (used)
		snprintf(s->request, sizeof(s->request), "%s",
		    mg_rec_str(c->rec, "uuid", ""));
	return MG_ERR_OK;
}

static enum mg_err
guesser(struct mg_state_ctx *c, struct mg_factor **fp)
{
	char name[160];

	snprintf(name, sizeof(name), GUESSER, mg_rec_str(c->rec, "user", ""));
	return mg_state_factor_of(c->st, name, fp);
}

static enum mg_err
tokens_used(struct mg_state_ctx *c)
{
	const char *user = mg_rec_str(c->rec, "user", "");
	struct mg_factor *f;
	struct mg_req *req;
	enum mg_err r;
	size_t n;

	if ((r = mg_state_subject(c, &req)) != MG_ERR_OK)
		return r;
	if (req->live.state != MG_REQ_PENDING || req->live.tokens != 0)
		return MG_ERR_STATE;
	if ((r = set_ended(c, true)) != MG_ERR_OK)
		return r;
	(void)mg_rec_strv(c->rec, "numbers", &n);
	req->live.tokens = (unsigned)n;
	if (mg_state_token_guesses(c->st, user) == NULL)
		return MG_ERR_OK;
	if ((r = guesser(c, &f)) != MG_ERR_OK)
		return r;
	f->fails = 0;
	f->locked_until_bt = 0;
	return MG_ERR_OK;
}

static enum mg_err
tokens_wrong(struct mg_state_ctx *c)
{
	struct mg_factor *f;
	enum mg_err r;

	if (!mg_rec_bool(c->rec, "counts"))
		return MG_ERR_OK;
	if ((r = guesser(c, &f)) != MG_ERR_OK)
		return r;
	f->fails++;
	if (f->fails >= MG_MFA_TRIES)
		f->locked_until_bt = c->bt + mg_state_lock_ms(f->fails);
	return MG_ERR_OK;
}

enum mg_err
mg_state_apply_tokens(struct mg_state_ctx *c)
{
	const char *what = mg_rec_str(c->rec, "what", "");

	if (strcmp(what, "made") == 0)
		return set_made(c);
	if (strcmp(what, "void") == 0)
		return set_ended(c, false);
	if (strcmp(what, "used") == 0)
		return tokens_used(c);
	return strcmp(what, "wrong") == 0 ? tokens_wrong(c) : MG_ERR_FORMAT;
}

const struct mg_factor *
mg_state_token_guesses(const struct mg_state *st, const char *user)
{
	char name[160];

	snprintf(name, sizeof(name), GUESSER, user);
	return mg_state_factor(st, name);
}

const struct mg_token_set *
mg_state_set(const struct mg_state *st, const char *name)
{
	size_t i = set_index(st, name);

	return i == MG_SETS_MAX ? NULL : &st->sets[i];
}

const struct mg_token_set *
mg_state_sets(const struct mg_state *st)
{
	return st->sets;
}
