/* SPDX-License-Identifier: ISC */
/* What is deployed here, folded from the ledger's "model" records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_json.h"
#include "mg_models.h"

struct mg_models {
	struct mg_model *first, *last;
	size_t n;
};

static const char *const words[MG_EFFECT_COUNT] = {
    [MG_EFFECT_NONE] = "none",
    [MG_EFFECT_SERVE] = "serve",
    [MG_EFFECT_PROMOTE] = "promote",
    [MG_EFFECT_RETIRE] = "retire",
    [MG_EFFECT_DRIFT] = "drift",
};

const char *
mg_effect_word(enum mg_effect e)
{
	return (size_t)e < MG_EFFECT_COUNT ? words[e] : "none";
}

enum mg_effect
mg_effect_from_word(const char *word)
{
	size_t i;

	for (i = 1; i < MG_EFFECT_COUNT; i++)
		if (strcmp(words[i], word) == 0)
			return (enum mg_effect)i;
	return MG_EFFECT_NONE;
}

struct mg_models *
mg_models_new(void)
{
	return calloc(1, sizeof(struct mg_models));
}

void
mg_models_free(struct mg_models *ms)
{
	struct mg_model *m;

	if (ms == NULL)
		return;
	while ((m = ms->first) != NULL) {
		ms->first = m->next;
		free(m);
	}
	free(ms);
}

bool
mg_models_are_full(const struct mg_models *ms)
{
	return ms->n >= MG_MODELS_MAX;
}

const struct mg_model *
mg_models_first(const struct mg_models *ms)
{
	return ms->first;
}

/* Text that is longer is cut between two characters. */
static void
put(char *out, size_t size, const char *s)
{
	size_t n = strlen(s);

	if (n >= size) {
		n = size - 1;
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	memmove(out, s, n);
	out[n] = '\0';
}

struct mg_model *
mg_models_find(struct mg_models *ms, const char *name, bool make)
{
	struct mg_model *m;

	for (m = ms->first; m != NULL; m = m->next)
		if (strcmp(m->name, name) == 0)
			return m;
	if (!make || mg_models_are_full(ms) ||
	    (m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	put(m->name, sizeof(m->name), name);
	if (ms->last != NULL)
		ms->last->next = m;
	else
		ms->first = m;
	ms->last = m;
	ms->n++;
	return m;
}

bool
mg_model_is_blank(const struct mg_model *m)
{
	return m->uuid[0] == '\0' && m->live.version[0] == '\0' &&
	       m->promoted[0] == '\0' && m->back[0].version[0] == '\0' &&
	       !m->drifted;
}

/* ---- applying ---- */

static void
drop_back(struct mg_model *m, const char *version)
{
	size_t i, n = 0;

	for (i = 0; i < MG_MODEL_BACK_MAX; i++)
		if (m->back[i].version[0] != '\0' &&
		    strcmp(m->back[i].version, version) != 0)
			m->back[n++] = m->back[i];
	while (n < MG_MODEL_BACK_MAX)
		memset(&m->back[n++], 0, sizeof(m->back[0]));
}

static void
serve(struct mg_model *m, const struct mg_rec *rec, int64_t wall_ms)
{
	const char *version = mg_rec_str(rec, "version", "");
	const char *const *v;
	size_t n, i, used = 0;

	if (m->live.version[0] != '\0') {
		drop_back(m, m->live.version);
		memmove(
		    m->back + 1, m->back, sizeof(m->back) - sizeof(m->back[0]));
		m->back[0] = m->live;
	}
	drop_back(m, version);
	put(m->live.version, sizeof(m->live.version), version);
	put(m->live.digest, sizeof(m->live.digest),
	    mg_rec_str(rec, "digest", ""));
	put(m->path, sizeof(m->path), mg_rec_str(rec, "path", ""));
	put(m->uuid, sizeof(m->uuid), mg_rec_str(rec, "uuid", ""));
	put(m->user, sizeof(m->user), mg_rec_str(rec, "user", ""));
	put(m->reason, sizeof(m->reason), mg_rec_str(rec, "reason", ""));
	m->approvers[0] = '\0';
	v = mg_rec_strv(rec, "approvers", &n);
	for (i = 0; i < n && used < sizeof(m->approvers); i++)
		used += (size_t)snprintf(m->approvers + used,
		    sizeof(m->approvers) - used, "%s%s", i > 0 ? "," : "",
		    v[i]);
	m->since_ms = wall_ms;
	m->drifted = false;
	m->found[0] = '\0';
}

static void
retire(struct mg_model *m, const char *version)
{
	drop_back(m, version);
	if (strcmp(m->promoted, version) == 0)
		m->promoted[0] = '\0';
	if (strcmp(m->live.version, version) != 0)
		return;
	memset(&m->live, 0, sizeof(m->live));
	m->drifted = false;
	m->found[0] = '\0';
}

void
mg_model_apply(struct mg_model *m, const struct mg_rec *rec, int64_t wall_ms)
{
	const char *version = mg_rec_str(rec, "version", "");

	switch (mg_effect_from_word(mg_rec_str(rec, "effect", ""))) {
	case MG_EFFECT_SERVE:
		serve(m, rec, wall_ms);
		break;
	case MG_EFFECT_PROMOTE:
		put(m->promoted, sizeof(m->promoted), version);
		break;
	case MG_EFFECT_RETIRE:
		retire(m, version);
		break;
	case MG_EFFECT_DRIFT:
		m->drifted = !mg_rec_bool(rec, "ok");
		put(m->found, sizeof(m->found), mg_rec_str(rec, "found", ""));
		break;
	case MG_EFFECT_NONE:
	case MG_EFFECT_COUNT:
		break;
	}
}

/* ---- snapshots ---- */

void
mg_model_save(const struct mg_model *m, struct mg_json *j)
{
	size_t i;

	mg_json_str(j, "model", m->name);
	mg_json_str(j, "version", m->live.version);
	mg_json_str(j, "digest", m->live.digest);
	mg_json_str(j, "promoted", m->promoted);
	mg_json_arr(j, "back"); /* version, digest, ... */
	for (i = 0; i < MG_MODEL_BACK_MAX; i++) {
		if (m->back[i].version[0] == '\0')
			break;
		mg_json_str(j, NULL, m->back[i].version);
		mg_json_str(j, NULL, m->back[i].digest);
	}
	mg_json_arr_end(j);
	mg_json_str(j, "path", m->path);
	mg_json_str(j, "uuid", m->uuid);
	mg_json_str(j, "user", m->user);
	mg_json_str(j, "approvers", m->approvers);
	mg_json_str(j, "reason", m->reason);
	mg_json_int(j, "since_ms", m->since_ms);
	mg_json_bool(j, "drifted", m->drifted);
	mg_json_str(j, "found", m->found);
}

void
mg_model_restore(struct mg_model *m, const struct mg_rec *rec)
{
	const char *const *v;
	size_t n, i;

	put(m->live.version, sizeof(m->live.version),
	    mg_rec_str(rec, "version", ""));
	put(m->live.digest, sizeof(m->live.digest),
	    mg_rec_str(rec, "digest", ""));
	put(m->promoted, sizeof(m->promoted), mg_rec_str(rec, "promoted", ""));
	v = mg_rec_strv(rec, "back", &n);
	for (i = 0; i + 1 < n && i / 2 < MG_MODEL_BACK_MAX; i += 2) {
		put(m->back[i / 2].version, sizeof(m->back[0].version), v[i]);
		put(m->back[i / 2].digest, sizeof(m->back[0].digest), v[i + 1]);
	}
	put(m->path, sizeof(m->path), mg_rec_str(rec, "path", ""));
	put(m->uuid, sizeof(m->uuid), mg_rec_str(rec, "uuid", ""));
	put(m->user, sizeof(m->user), mg_rec_str(rec, "user", ""));
	put(m->approvers, sizeof(m->approvers),
	    mg_rec_str(rec, "approvers", ""));
	put(m->reason, sizeof(m->reason), mg_rec_str(rec, "reason", ""));
	m->since_ms = mg_rec_int(rec, "since_ms", 0);
	m->drifted = mg_rec_bool(rec, "drifted");
	put(m->found, sizeof(m->found), mg_rec_str(rec, "found", ""));
}
