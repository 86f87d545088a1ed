/* SPDX-License-Identifier: ISC */
/*
 * What is deployed here, as the ledger has it, and whether it is still what
 * is served.
 *
 * Rules
 * 1. What is live is a record of its own, written with the exit of the run
 *    that made it so: who asks what is live needs nothing but the ledger.
 * 2. A difference is put on record when it begins and when it ends, not at
 *    every look: else it would hide what else is there.
 * 3. What cannot be read is a difference, too.
 * 4. One model at a time: looking must not keep the host from serving.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_models.h"
#include "mg_time.h"
#include "mon.h"
#include "mon_job.h"

#define WAITERS_MAX 16

/* ---- on record ---- */

/* Where the served bytes can be looked at later. */
static void
put_path(struct mon *m, struct mg_json *j, const struct mg_req *req)
{
	char store[sizeof(MON_STORE_DIR) + MON_COPY_NAME];

	if (req->serves[0] != '\0')
		mg_json_str(j, "path", req->serves);
	else if (mon_req_is_bound(m, req) &&
		 mon_store_path(req->digest, store, sizeof(store)))
		mg_json_str(j, "path", store);
	else
		mg_json_str(j, "path", req->artifact);
}

/* Rule 1 */
void
mon_model_changed(struct mon *m, struct mon_txn *t, const struct mg_req *req)
{
	enum mg_effect effect = mg_effect_from_word(req->effect);
	const char *names[MG_APPROVALS_MAX];
	const struct mg_model *old;
	struct mg_json *j;

	if (effect == MG_EFFECT_NONE || effect == MG_EFFECT_DRIFT ||
	    req->model[0] == '\0')
		return;
	old = mon_model_find(m, req->model);
	j = mon_rec_begin(t, "model");
	mg_json_str(j, "uuid", req->uuid);
	mg_json_str(j, "effect", req->effect);
	mg_json_str(j, "operation", req->operation);
	mg_json_str(j, "model", req->model);
	mg_json_str(j, "version", req->version);
	mg_json_str(j, "digest", req->digest);
	put_path(m, j, req);
	mg_json_str(j, "user", req->user);
	mg_json_strv(j, "approvers", names,
	    mon_req_approvers(req, names, MG_APPROVALS_MAX));
	mg_json_str(j, "reason", req->reason);
	mg_json_str(j, "ticket", req->ticket);
	if (old != NULL) {
		mg_json_str(j, "replaced", old->live.version);
		mg_json_str(j, "replaced_digest", old->live.digest);
	}
	mon_rec_end(t);
}

const struct mg_model *
mon_model_find(struct mon *m, const char *name)
{
	const struct mg_model *p;

	p = mg_models_first(mg_state_models(m->state));
	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

/* ---- listing ---- */

void
mon_model_put(
    struct mon *m, struct mg_json *j, const struct mg_model *p, bool all)
{
	char at[MG_TIME_STR] = "";
	struct mg_uuid u;
	char code[MG_CODE_STR] = "";
	size_t i;

	if (p->since_ms != 0)
		mg_time_format(p->since_ms, at);
	if (mg_uuid_parse(p->uuid, &u) == MG_ERR_OK)
		mg_code_from_uuid(&u, code);
	mg_json_obj(j, NULL);
	mg_json_str(j, "model", p->name);
	mg_json_str(j, "version", p->live.version);
	mg_json_str(j, "digest", p->live.digest);
	mg_json_str(j, "since", at);
	mg_json_str(j, "promoted", p->promoted);
	mg_json_str(j, "id", code);
	mg_json_str(j, "path", p->path);
	mg_json_arr(j, "back"); /* version, digest, ... */
	for (i = 0; i < MG_MODEL_BACK_MAX && p->back[i].version[0] != '\0';
	     i++) {
		mg_json_str(j, NULL, p->back[i].version);
		mg_json_str(j, NULL, p->back[i].digest);
	}
	mg_json_arr_end(j);
	mg_json_bool(j, "drifted", p->drifted);
	mg_json_str(j, "found", p->found);
	if (m->checked_ms != 0) {
		mg_time_format(m->checked_ms, at);
		mg_json_str(j, "checked", at);
	}
	if (all) {
		mg_json_str(j, "user", p->user);
		mg_json_str(j, "approvers", p->approvers);
		mg_json_str(j, "reason", p->reason);
	}
	mg_json_obj_end(j);
}

/* ---- looking ---- */

struct mon_check {
	struct mon *m;
	struct mon_proc proc;
	struct mg_timer timer;
	char model[97]; /* that is looked at; "": none yet */
	char version[97], digest[72];
	struct {
		void (*fn)(void *arg);
		void *arg;
	} waiters[WAITERS_MAX];
	size_t nwaiters;
};

static void check_next(struct mon_check *c);

static void
check_over(struct mon_check *c)
{
	struct mon *m = c->m;
	size_t i;

	m->check = NULL;
	m->checked_ms = mg_time_wall_ms();
	mon_prune(m);
	for (i = 0; i < c->nwaiters; i++)
		c->waiters[i].fn(c->waiters[i].arg);
	mg_timer_clear(m->loop, &c->timer);
	free(c);
}

static void
recorded(void *arg, enum mg_why why)
{
	(void)why; /* tried again at the next look: the state says the same */
	check_next(arg);
}

/* Rules 2, 3 */
static void
found(struct mon_check *c, const char *digest, const char *text)
{
	const struct mg_model *p = mon_model_find(c->m, c->model);
	bool ok = strcmp(digest, c->digest) == 0;
	struct mon_txn *t;
	struct mg_json *j;

	mg_timer_clear(c->m->loop, &c->timer);
	/* Something else may have been deployed meanwhile. */
	if (p == NULL || strcmp(p->live.version, c->version) != 0 ||
	    strcmp(p->live.digest, c->digest) != 0 ||
	    (ok ? !p->drifted : p->drifted && strcmp(p->found, digest) == 0)) {
		check_next(c);
		return;
	}
	mg_log(ok ? MG_EVT_CONFIG : MG_EVT_ERROR,
	    "model=%s version=%s drift=%s found=%s text='%s'", c->model,
	    c->version, ok ? "over" : "yes", digest, text);
	t = mon_txn_begin(c->m);
	j = mon_rec_begin(t, "model");
	mg_json_str(j, "uuid", p->uuid);
	mg_json_str(j, "effect", "drift");
	mg_json_str(j, "model", c->model);
	mg_json_str(j, "version", c->version);
	mg_json_str(j, "digest", c->digest);
	mg_json_str(j, "path", p->path);
	mg_json_bool(j, "ok", ok);
	mg_json_str(j, "found", digest);
	mg_json_str(j, "text", ok ? "" : text);
	mon_rec_end(t);
	mon_txn_commit(t, recorded, c);
}

static void
check_frame(void *arg, struct mg_frame *f)
{
	struct mon_check *c = arg;
	char digest[97], text[513];
	struct mg_digest_ans a;

	if (f->op == MG_MSG_PROGRESS)
		return;
	if (f->op != MG_MSG_DIGEST_ANS ||
	    mg_frame_decode(f, &a, sizeof(a)) != MG_ERR_OK) {
		mon_proc_stop(&c->proc);
		found(c, "", "the verifier failed");
		return;
	}
	snprintf(digest, sizeof(digest), "%.71s", a.digest);
	snprintf(text, sizeof(text), "%s", a.text);
	mon_proc_stop(&c->proc); /* f is gone from here on */
	found(c, digest, text);
}

static void
check_ended(void *arg, int status)
{
	(void)status;
	found(arg, "", "the verifier ended");
}

static void
check_late(void *arg)
{
	struct mon_check *c = arg;

	mon_proc_stop(&c->proc);
	found(c, "", "it took too long to read");
}

static bool
check_start(struct mon_check *c, const struct mg_model *p)
{
	struct mg_digest_req q = {.max_bytes = c->m->conf.artifact_max};

	snprintf(c->version, sizeof(c->version), "%s", p->live.version);
	snprintf(c->digest, sizeof(c->digest), "%s", p->live.digest);
	c->proc.on_frame = check_frame;
	c->proc.on_end = check_ended;
	c->proc.arg = c;
	if (mon_proc_start(&c->proc, c->m, "mg-verify", "served", p->path,
		MG_ROLE_VERIFY, NULL, 0) != MG_ERR_OK)
		return false;
	if (mon_port_send(&c->proc.port, 1, MG_MSG_DIGEST_REQ, &q) !=
	    MG_ERR_OK) {
		mon_proc_stop(&c->proc);
		return false;
	}
	mon_timer_set(c->m, &c->timer,
	    mg_time_boot_ms() + MON_DIGEST_DEADLINE_MS, check_late, c);
	return true;
}

/* Rule 4: the next model that has something live, or the end. */
static void
check_next(struct mon_check *c)
{
	const struct mg_model *p;

	p = mg_models_first(mg_state_models(c->m->state));
	while (c->model[0] != '\0' && p != NULL) {
		if (strcmp(p->name, c->model) == 0) {
			p = p->next;
			break;
		}
		p = p->next;
	}
	for (; p != NULL; p = p->next) {
		snprintf(c->model, sizeof(c->model), "%s", p->name);
		if (p->live.digest[0] != '\0' && p->path[0] == '/' &&
		    check_start(c, p))
			return;
	}
	check_over(c);
}

void
mon_models_check(struct mon *m, void (*fn)(void *arg), void *arg)
{
	struct mon_check *c = m->check;
	bool is_new = c == NULL;

	if (fn != NULL && !is_new && c->nwaiters == WAITERS_MAX) {
		fn(arg); /* with what is known from before */
		return;
	}
	if (is_new) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			mg_fatal("out of memory");
		c->m = m;
		m->check = c;
	}
	if (fn != NULL) {
		c->waiters[c->nwaiters].fn = fn;
		c->waiters[c->nwaiters].arg = arg;
		c->nwaiters++;
	}
	if (is_new)
		check_next(c);
}

static void
on_time(void *arg)
{
	struct mon *m = arg;

	mon_models_check(m, NULL, NULL);
	mon_models_init(m);
}

void
mon_models_init(struct mon *m)
{
	mon_timer_set(m, &m->check_timer,
	    mg_time_boot_ms() + (int64_t)m->conf.check_minutes * 60000, on_time,
	    m);
}
