/* SPDX-License-Identifier: ISC */
/* What a rule asks for, from the lines that say so. */
#include <string.h>

#include "mg_time.h"
#include "pol.h"

/* A demand that the caller cannot honour must not load. */
static bool
must_can(struct pol_load *ld, unsigned can)
{
	if ((ld->can & can) != 0)
		return true;
	pol_err_key(
	    ld, "this version of the agent cannot honour '%s'", ld->ln->key);
	return false;
}

static void
set_mfa(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value;

	if (strcmp(v, "required") == 0)
		d->mfa = true;
	else if (strcmp(v, "hardware-key") == 0)
		d->hardware_key = true;
	else
		pol_err(ld, 0, "'%s' is not 'required' or 'hardware-key'", v);
}

static void
set_mfa_max_age(struct pol_load *ld, struct mg_demand *d)
{
	d->mfa = true;
	if (must_can(ld, MG_POLICY_CAN_MFA_AGE))
		(void)pol_duration(ld, &d->mfa_max_age_ms);
}

static void
set_login_key(struct pol_load *ld, struct mg_demand *d)
{
	static const struct {
		const char *word;
		enum pol_login key;
	} words[] = {
	    {"hardware", POL_LOGIN_HARDWARE},
	    {"certificate", POL_LOGIN_CERTIFICATE},
	    {"ed25519", POL_LOGIN_ED25519},
	    {"ecdsa", POL_LOGIN_ECDSA},
	    {"rsa", POL_LOGIN_RSA},
	};
	struct pol_iter it;
	size_t i;

	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == it.len &&
			    memcmp(words[i].word, it.s, it.len) == 0)
				break;
		if (i < sizeof(words) / sizeof(words[0]))
			d->keys |= words[i].key;
		else
			pol_err(ld, it.off,
			    "'%.*s' is not hardware, certificate, ed25519, "
			    "ecdsa or rsa",
			    (int)it.len, it.s);
	}
}

static void
set_key_max_age(struct pol_load *ld, struct mg_demand *d)
{
	if (must_can(ld, MG_POLICY_CAN_KEY_AGE))
		(void)pol_duration(ld, &d->key_max_age_ms);
}

static void
set_approve(struct pol_load *ld, struct mg_demand *d)
{
	d->approve = pol_approve_parse(ld);
}

static void
set_teams(struct pol_load *ld, struct mg_demand *d)
{
	if (strcmp(ld->ln->value, "different") == 0)
		d->different_teams = true;
	else
		pol_err(ld, 0, "'%s' is not 'different'", ld->ln->value);
}

static bool
skip_word(const char **sp, size_t *np, size_t *offp, const char *word)
{
	size_t n = strlen(word);

	if (*np <= n || memcmp(*sp, word, n) != 0)
		return false;
	*sp += n;
	*np -= n;
	*offp += n;
	return true;
}

/* "did package", "approved deploy" */
static bool
put_event(struct pol_load *ld, const struct pol_iter *it, struct pol_event *ev)
{
	const char *s = it->s;
	size_t n = it->len, off = it->off;
	char meant[POL_MEANT];
	uint32_t id;

	ev->approved = skip_word(&s, &n, &off, "approved ");
	if (!ev->approved && !skip_word(&s, &n, &off, "did ")) {
		pol_err(
		    ld, off, "write 'did OPERATION' or 'approved OPERATION'");
		return false;
	}
	/* Who packaged a version did so elsewhere. */
	if (n == 7 && memcmp(s, "package", 7) == 0) {
		ev->operation = "package";
		return true;
	}
	id = pol_map_find(&ld->p->ops, s, n);
	if (id == POL_NONE || pol_op(ld->p, id)->kind == POL_OP_GROUP) {
		pol_err(ld, off, "no operation '%.*s' is defined%s", (int)n, s,
		    pol_map_meant(&ld->p->ops, s, n, meant));
		return false;
	}
	ev->operation = pol_op(ld->p, id)->def.name;
	return true;
}

static void
set_approve_not(struct pol_load *ld, struct mg_demand *d)
{
	struct pol_event v[POL_ITEMS_MAX], *copy;
	uint32_t n = 0;
	struct pol_iter it;

	if (!must_can(ld, MG_POLICY_CAN_PAST))
		return;
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it))
		n += put_event(ld, &it, &v[n]);
	if ((copy = pol_alloc(&ld->p->mem, n * sizeof(v[0]) + 1)) == NULL) {
		ld->no_memory = true;
		return;
	}
	memcpy(copy, v, n * sizeof(v[0]));
	d->excluded = copy;
	d->nexcluded = n;
}

static void
set_confirm(struct pol_load *ld, struct mg_demand *d)
{
	if (!must_can(ld, MG_POLICY_CAN_CONFIRM))
		return;
	if (strcmp(ld->ln->value, "number") == 0)
		d->confirm_number = true;
	else
		pol_err(ld, 0, "'%s' is not 'number'", ld->ln->value);
}

/* ---- how much ---- */

/* "2", "2 per tier" */
static void
set_max_concurrent(struct pol_load *ld, struct mg_demand *d)
{
	static const char *const words[] = {
	    " per model", " per tier", " per host"};
	const char *v = ld->ln->value, *rest = strchr(v, ' ');
	unsigned count, i;

	if (!must_can(ld, MG_POLICY_CAN_LIVE) ||
	    !pol_count(ld, v, rest == NULL ? strlen(v) : (size_t)(rest - v), 0,
		POL_USES_MAX, &count))
		return;
	d->live.n = count;
	if (rest == NULL)
		return;
	for (i = 0; i < 3; i++)
		if (strcmp(rest, words[i]) == 0)
			break;
	if (i == 3)
		pol_err(ld, (size_t)(rest - v),
		    "write 'per model', 'per tier' or 'per host'");
	d->live.scope = (enum pol_scope)(i % 3);
}

/* "5 per 1d": the number is read by the caller. */
static bool
set_per(struct pol_load *ld, const char *s, struct pol_limit *l)
{
	size_t off = (size_t)(s - ld->ln->value);

	if (strncmp(s, " per ", 5) == 0 &&
	    mg_duration_parse(s + 5, &l->per_ms) == MG_ERR_OK)
		return true;
	pol_err(ld, off, "write for how long, such as 'per 1d'");
	return false;
}

static void
set_rate(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value;
	size_t n = strcspn(v, " ");
	unsigned count;

	if (!must_can(ld, MG_POLICY_CAN_RATE) ||
	    !pol_count(ld, v, n, 0, POL_USES_MAX, &count) ||
	    !set_per(ld, v + n, &d->rate))
		return;
	d->rate.n = count;
}

/* "100GiB per 1d" */
static void
set_budget(struct pol_load *ld, struct mg_demand *d)
{
	static const char units[] = "KMGT";
	const char *v = ld->ln->value, *unit;
	size_t n = strspn(v, "0123456789");
	unsigned count;

	if (!must_can(ld, MG_POLICY_CAN_BYTES) ||
	    !pol_count(ld, v, n, 0, POL_USES_MAX, &count))
		return;
	unit = v[n] == '\0' ? NULL : strchr(units, v[n]);
	if (unit == NULL || strncmp(v + n + 1, "iB", 2) != 0) {
		pol_err(ld, n, "write the unit: KiB, MiB, GiB or TiB");
		return;
	}
	if (!set_per(ld, v + n + 3, &d->bytes))
		return;
	d->bytes.n = (int64_t)count << (10 * (unit - units + 1));
}

/* ---- the rest ---- */

/* "signed", "signed by fraud-team, ml-platform" */
static void
set_artifact(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value, **names;
	struct pol_iter it;

	if (!must_can(ld, MG_POLICY_CAN_SIGNED))
		return;
	d->artifact_signed = true;
	if (strcmp(v, "signed") == 0)
		return;
	if (strncmp(v, "signed by ", 10) != 0) {
		pol_err(ld, 0, "write 'signed' or 'signed by NAME'");
		return;
	}
	names = pol_alloc(&ld->p->mem, MG_VERDICT_SIGNERS_MAX * sizeof(*names));
	if (names == NULL) {
		ld->no_memory = true;
		return;
	}
	d->signers = names;
	pol_iter_init(&it, v);
	it.at = 10;
	while (pol_iter_next(ld, &it)) {
		if (!pol_name(ld, "signer", it.s, it.len, it.off))
			continue;
		if (d->nsigners == MG_VERDICT_SIGNERS_MAX) {
			pol_err(ld, it.off, "more than %d signers",
			    MG_VERDICT_SIGNERS_MAX);
			return;
		}
		names[d->nsigners] = pol_strndup(&ld->p->mem, it.s, it.len);
		if (names[d->nsigners++] == NULL)
			ld->no_memory = true;
	}
}

static void
set_approve_within(struct pol_load *ld, struct mg_demand *d)
{
	(void)pol_duration(ld, &d->approve_within_ms);
}

static void
set_start_within(struct pol_load *ld, struct mg_demand *d)
{
	(void)pol_duration(ld, &d->start_within_ms);
}

static void
set_lasts(struct pol_load *ld, struct mg_demand *d)
{
	(void)pol_duration(ld, &d->lasts_ms);
}

static void
set_uses(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value;

	d->has_uses = true;
	if (strcmp(v, "unlimited") == 0)
		return;
	if (v[0] < '1' || v[0] > '9')
		pol_err(ld, 0,
		    "'%s' is neither a number from 1 nor 'unlimited'", v);
	else
		(void)pol_count(ld, v, strlen(v), 0, POL_USES_MAX, &d->uses);
}

/* ---- without approvals ---- */

static void
set_when_hub_down(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value;

	if (strcmp(v, "served-before") == 0)
		d->outage.served_before = true;
	else if (strcmp(v, "refuse") != 0)
		pol_err(ld, 0, "'%s' is not 'refuse' or 'served-before'", v);
}

static uint32_t
one_role(struct pol_load *ld)
{
	const char *v = ld->ln->value;
	uint32_t role = pol_role_atom(ld, v, strlen(v), 0);

	return role == POL_NONE ? 0 : role + 1;
}

static void
set_glass(struct pol_load *ld, struct mg_demand *d)
{
	if (must_can(ld, MG_POLICY_CAN_GLASS))
		d->outage.glass = one_role(ld);
}

static void
set_glass_review(struct pol_load *ld, struct mg_demand *d)
{
	d->outage.review = one_role(ld);
}

static void
set_glass_when(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value;

	if (strcmp(v, "always") == 0)
		d->outage.always = true;
	else if (strcmp(v, "hub-down") != 0)
		pol_err(ld, 0, "'%s' is not 'hub-down' or 'always'", v);
}

static void
set_glass_lasts(struct pol_load *ld, struct mg_demand *d)
{
	(void)pol_duration(ld, &d->outage.lasts_ms);
}

static void
set_glass_tokens(struct pol_load *ld, struct mg_demand *d)
{
	const char *v = ld->ln->value;

	if (v[0] < '1' || v[0] > '9' || v[1] != '\0')
		pol_err(ld, 0, "'%s' is not a number from 1 to 9", v);
	else
		d->outage.tokens = (unsigned)(v[0] - '0');
}

static const struct {
	const char *key;
	void (*set)(struct pol_load *ld, struct mg_demand *d);
} keys[] = {
    {"mfa", set_mfa},
    {"mfa-max-age", set_mfa_max_age},
    {"login-key", set_login_key},
    {"login-key-max-age", set_key_max_age},
    {"approve", set_approve},
    {"approve-teams", set_teams},
    {"approve-not", set_approve_not},
    {"confirm", set_confirm},
    {"max-concurrent", set_max_concurrent},
    {"rate", set_rate},
    {"budget", set_budget},
    {"artifact", set_artifact},
    {"approve-within", set_approve_within},
    {"start-within", set_start_within},
    {"lasts", set_lasts},
    {"uses", set_uses},
    {"when-hub-down", set_when_hub_down},
    {"break-glass", set_glass},
    {"break-glass-review", set_glass_review},
    {"break-glass-when", set_glass_when},
    {"break-glass-lasts", set_glass_lasts},
    {"break-glass-tokens", set_glass_tokens},
};

/* Adds the current line to the text by which equal demands are shared. */
static void
note_line(struct pol_load *ld, struct pol_demand_draft *dr)
{
	size_t k = strlen(ld->ln->key), v = strlen(ld->ln->value);

	if (dr->first == NULL)
		dr->first = ld->ln;
	dr->d.hash += pol_mix64(
	    pol_hash64(ld->ln->key, k) ^ pol_hash64(ld->ln->value, v));
	if (dr->len >= sizeof(dr->text) ||
	    k + v + 3 > sizeof(dr->text) - dr->len) {
		dr->len = sizeof(dr->text); /* too long to be shared */
		return;
	}
	memcpy(dr->text + dr->len, ld->ln->key, k);
	dr->text[dr->len + k] = '=';
	memcpy(dr->text + dr->len + k + 1, ld->ln->value, v);
	dr->len += k + v + 2;
	dr->text[dr->len - 1] = '\n';
	dr->text[dr->len] = '\0';
}

bool
pol_demand_key(struct pol_load *ld, struct pol_demand_draft *dr)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].key, ld->ln->key) == 0)
			break;
	if (i == sizeof(keys) / sizeof(keys[0]))
		return false;
	note_line(ld, dr);
	keys[i].set(ld, &dr->d);
	return true;
}

void
pol_demand_check(struct pol_load *ld, const struct pol_demand_draft *dr)
{
	const struct mg_demand *d = &dr->d;
	bool glass = d->outage.glass != 0;

	if (dr->first == NULL)
		return;
	ld->ln = dr->first;
	if ((glass || d->outage.served_before) && d->approve == NULL)
		pol_err_key(ld,
		    "'when-hub-down' and 'break-glass' are about approvals, "
		    "and this rule asks for none");
	if (glass != (d->outage.review != 0))
		pol_err_key(ld,
		    "'break-glass' and 'break-glass-review' need each other");
	if (!glass && (d->outage.always || d->outage.lasts_ms != 0 ||
			  d->outage.tokens != 0))
		pol_err_key(ld, "there is no 'break-glass' in this rule");
}

const struct mg_demand *
pol_demand_finish(struct pol_load *ld, struct pol_demand_draft *dr)
{
	const struct mg_demand *shared;
	struct mg_demand *d;
	bool is_short = dr->len < MG_INI_LINE_MAX;

	if (dr->first == NULL)
		return NULL;
	if (is_short && (shared = pol_shared_get(ld, 'd', dr->text)) != NULL)
		return shared;
	if ((d = pol_alloc(&ld->p->mem, sizeof(*d))) == NULL)
		return pol_oom(ld);
	*d = dr->d;
	if (is_short)
		pol_shared_put(ld, 'd', dr->text, d);
	return d;
}

bool
pol_demand_is_flat(const struct mg_demand *d)
{
	return d->approve == NULL ||
	       (d->approve->nways == 1 && d->approve->nstages == 0);
}

bool
pol_demand_is_hard(const struct mg_demand *d)
{
	return d->hardware_key || d->keys != 0 || d->key_max_age_ms != 0 ||
	       d->live.n != 0 || d->rate.n != 0 || d->bytes.n != 0;
}
