/* SPDX-License-Identifier: ISC */
/*
 * A question in words: "alice deploy fraud-scorer@12 on env:production from
 * 10.1.2.3 at 2026-11-24T10:00", in [test] sections and on command lines.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "pol.h"

static bool bad(struct pol_given *g, size_t i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool
bad(struct pol_given *g, size_t i, const char *fmt, ...)
{
	va_list ap;

	g->bad_word = i;
	va_start(ap, fmt);
	vsnprintf(g->error, sizeof(g->error), fmt, ap);
	va_end(ap);
	return false;
}

/* "env:production,host-1": labels, and a host's name. */
static bool
set_on(struct pol_given *g, size_t i, const char *word)
{
	const char *s = word;
	size_t n;

	for (;; s += n + 1) {
		n = strcspn(s, ",");
		if (n == 0 || n > 2 * MG_NAME_MAX + 1)
			return bad(g, i, "'%s' is not a list of labels", word);
		if (memchr(s, ':', n) == NULL) {
			snprintf(g->host, sizeof(g->host), "%.*s", (int)n, s);
			if (!mg_name_is_valid(g->host))
				return bad(g, i, "host '%s' %s", g->host,
				    mg_name_why(g->host));
		} else if (g->nlabels == POL_LABELS_MAX) {
			return bad(g, i, "more than %d labels", POL_LABELS_MAX);
		} else {
			snprintf(g->label[g->nlabels], sizeof(g->label[0]),
			    "%.*s", (int)n, s);
			g->labels[g->nlabels] = g->label[g->nlabels];
			g->nlabels++;
		}
		if (s[n] == '\0')
			return true;
	}
}

static bool
set_from(struct pol_given *g, size_t i, const char *word)
{
	struct pol_addr a;

	if (strcmp(word, "local") == 0) {
		g->ask.is_local = true;
		return true;
	}
	if (!pol_addr_parse(word, &a))
		return bad(g, i, "'%s' is not an address", word);
	snprintf(g->from, sizeof(g->from), "%s", word);
	return true;
}

static bool
set_at(struct pol_given *g, size_t i, const char *word)
{
	size_t n = strlen(word);
	int64_t ms;

	if (strcmp(word, "now") == 0) {
		g->ask.now_ms = mg_time_wall_ms();
		return true;
	}
	if (n < 10 || word[4] != '-' ||
	    mg_time_parse(word, 0, &ms) != MG_ERR_OK)
		return bad(g, i,
		    "'%s' is not a time such as 2026-12-24T18:00 (or with a "
		    "Z, for UTC)",
		    word);
	if (word[n - 1] != 'Z')
		ms = pol_zone_moment(g->zone, ms / 1000, POL_FIRST) * 1000 +
		     ms % 1000;
	g->ask.now_ms = ms;
	return true;
}

static bool
set_key(struct pol_given *g, size_t i, const char *word)
{
	static const struct {
		const char *word, *type;
		bool hardware;
	} keys[] = {
	    {"ed25519", "ssh-ed25519", false},
	    {"ecdsa", "ecdsa-sha2-nistp256", false},
	    {"rsa", "ssh-rsa", false},
	    {"hardware", "sk-ssh-ed25519@openssh.com", true},
	    {"certificate", "ssh-ed25519-cert-v01@openssh.com", false},
	};
	size_t k;

	for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		if (strcmp(keys[k].word, word) != 0)
			continue;
		g->ask.login_key = keys[k].type;
		g->ask.login_key_is_hardware = keys[k].hardware;
		return true;
	}
	return bad(g, i,
	    "'%s' is not ed25519, ecdsa, rsa, hardware or certificate", word);
}

static bool
set_age(struct pol_given *g, size_t i, const char *word, int64_t *agep)
{
	if (mg_duration_parse(word, agep) == MG_ERR_OK)
		return true;
	return bad(g, i, "'%s' is not a duration such as 30m", word);
}

bool
pol_bytes_parse(const char *s, int64_t *vp)
{
	static const char units[] = "KMGT";
	const char *unit;
	int64_t v = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 9; i++)
		v = v * 10 + (s[i] - '0');
	if (i == 0 || v == 0 || s[i] == '\0')
		return false;
	unit = strchr(units, s[i]);
	if (unit == NULL || strcmp(s + i + 1, "iB") != 0)
		return false;
	*vp = v << (10 * (unit - units + 1));
	return *vp > 0;
}

static bool
set_size(struct pol_given *g, size_t i, const char *word)
{
	if (pol_bytes_parse(word, &g->ask.bytes))
		return true;
	return bad(g, i, "'%s' is not a size such as 10GiB", word);
}

/* "Staging:Production" */
static bool
set_stage(struct pol_given *g, size_t i, const char *word)
{
	const char *colon = strchr(word, ':');

	if (colon == NULL || strlen(word) >= sizeof(g->stage))
		return bad(
		    g, i, "'%s' is not of the form Staging:Production", word);
	snprintf(g->stage, sizeof(g->stage), "%s", word);
	g->stage[colon - word] = '\0';
	g->ask.stage_from = g->stage;
	g->ask.stage_to = g->stage + (colon - word) + 1;
	return true;
}

static bool
set_creator(struct pol_given *g, size_t i, const char *word)
{
	if (!mg_name_is_valid(word))
		return bad(g, i, "user '%s' %s", word, mg_name_why(word));
	snprintf(g->creator, sizeof(g->creator), "%s", word);
	g->ask.creator = g->creator;
	return true;
}

/* A keyword and its value; 0: it is none, -1: the value is bad. */
static int
keyword(struct pol_given *g, size_t i, const char *key, const char *value)
{
	static const char *const keys[] = {"on", "from", "at", "key", "key-age",
	    "mfa-age", "size", "stage", "created-by"};
	size_t k;
	bool ok = false;

	for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		if (strcmp(keys[k], key) == 0)
			break;
	if (k == sizeof(keys) / sizeof(keys[0]))
		return 0;
	if (value == NULL) {
		(void)bad(g, i, "something is missing behind '%s'", key);
		return -1;
	}
	switch (k) {
	case 0:
		ok = set_on(g, i + 1, value);
		break;
	case 1:
		ok = set_from(g, i + 1, value);
		break;
	case 2:
		ok = set_at(g, i + 1, value);
		break;
	case 3:
		ok = set_key(g, i + 1, value);
		break;
	case 4:
		ok = set_age(g, i + 1, value, &g->key_age_ms);
		break;
	case 5:
		ok = set_age(g, i + 1, value, &g->mfa_age_ms);
		break;
	case 6:
		ok = set_size(g, i + 1, value);
		break;
	case 7:
		ok = set_stage(g, i + 1, value);
		break;
	case 8:
		ok = set_creator(g, i + 1, value);
		break;
	}
	return ok ? 1 : -1;
}

static bool
set_names(struct pol_given *g, const char *const *words, size_t n, size_t *ip)
{
	size_t i = *ip;

	if (g->wants_user) {
		if (i == n || !mg_name_is_valid(words[i]))
			return bad(g, i, "a user must stand %s",
			    i == n ? "first" : "here");
		snprintf(g->user, sizeof(g->user), "%s", words[i++]);
	}
	if (g->wants_operation) {
		if (i == n || !mg_name_is_valid(words[i]))
			return bad(g, i, "an operation must stand here");
		snprintf(g->operation, sizeof(g->operation), "%s", words[i++]);
	}
	*ip = i;
	return true;
}

bool
pol_given_parse(struct pol_given *g, const char *const *words, size_t n)
{
	size_t i = 0;
	int r;

	if (!set_names(g, words, n, &i))
		return false;
	while (i < n) {
		r = keyword(g, i, words[i], i + 1 < n ? words[i + 1] : NULL);
		if (r < 0)
			return false;
		if (r > 0) {
			i += 2;
			continue;
		}
		if (g->model[0] != '\0' ||
		    !mg_name_split_ref(words[i], g->model, g->version))
			return bad(g, i,
			    "'%s' is neither MODEL[@VERSION] nor on, from or "
			    "at",
			    words[i]);
		i++;
	}
	if (g->key_age_ms > 0)
		g->ask.login_key_since_ms = g->ask.now_ms - g->key_age_ms;
	if (g->mfa_age_ms > 0)
		g->ask.mfa_ms = g->ask.now_ms - g->mfa_age_ms;
	g->ask.nlabels = g->nlabels;
	return true;
}

void
pol_given_init(struct pol_given *g, const struct pol_zone *zone)
{
	memset(g, 0, sizeof(*g));
	g->zone = zone;
	g->wants_user = g->wants_operation = true;
	g->ask.user = g->user;
	g->ask.operation = g->operation;
	g->ask.model = g->model;
	g->ask.version = g->version;
	g->ask.host = g->host;
	g->ask.labels = (const char *const *)g->labels;
	g->ask.from = g->from;
	g->ask.login_key = "";
}
