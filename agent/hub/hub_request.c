/* SPDX-License-Identifier: ISC */
/*
 * Requests and decisions in memory.
 *
 * Rules
 * 1. What inboxes show of a request is read out of the body that approvers
 *    sign, and the body must name the host whose key put it: another line
 *    beside it could say "download" where the body says "deploy".
 */
#include <stdlib.h>
#include <string.h>

#include "hub_request.h"
#include "mg_esc.h"
#include "mg_name.h"
#include "mg_text.h"

/* The value of a line of the body as it stands there, escapes and all. */
static const char *
raw_value(const char *body, const char *key, size_t *np)
{
	size_t klen = strlen(key);
	const char *p = body, *nl;

	*np = 0;
	for (; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
		if (strncmp(p, key, klen) != 0 ||
		    strncmp(p + klen, ": ", 2) != 0)
			continue;
		*np = (size_t)(nl - p) - klen - 2;
		return p + klen + 2;
	}
	return NULL;
}

/* Whether the line of key begins with the words a and, if given, b. */
static bool
begins_with(const char *body, const char *key, const char *a, const char *b)
{
	size_t n, an = strlen(a), bn;
	const char *v = raw_value(body, key, &n);

	if (v == NULL || n < an || memcmp(v, a, an) != 0)
		return false;
	if (b == NULL)
		return n > an && v[an] == ' ';
	bn = strlen(b);
	return n == an + 1 + bn && v[an] == ' ' &&
	       memcmp(v + an + 1, b, bn) == 0;
}

/* A copy of the line's value, which must be a name, or "-" for empty. */
static char *
copy_name(const char *body, const char *key, bool may_be_empty, bool *okp)
{
	size_t n;
	const char *v = raw_value(body, key, &n);
	char name[MG_NAME_MAX + 1];

	*okp = false;
	if (v == NULL || n > MG_NAME_MAX)
		return NULL;
	memcpy(name, v, n);
	name[n] = '\0';
	if (may_be_empty && strcmp(name, "-") == 0)
		name[0] = '\0';
	else if (!mg_name_is_valid(name))
		return NULL;
	*okp = true;
	return strdup(name);
}

static bool
names_are_names(const char *body)
{
	static const struct {
		const char *key;
		bool may_be_empty;
	} keys[] = {{"operation", false}, {"model", true}, {"version", true}};
	size_t i;
	bool ok;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		free(copy_name(body, keys[i].key, keys[i].may_be_empty, &ok));
		if (!ok)
			return false;
	}
	return true;
}

/* *rp: what kind of error it is. */
static const char *
find_flaw(const struct hub_put_view *v, enum mg_err *rp)
{
	char id[MG_UUID_STR], code[MG_CODE_STR];
	struct mg_uuid u;
	enum mg_err r;
	size_t i;

	*rp = MG_ERR_FORMAT;
	if (mg_uuid_parse(v->uuid, &u) != MG_ERR_OK)
		return "no UUID";
	mg_uuid_format(&u, id);
	mg_code_from_uuid(&u, code);
	if (!mg_name_is_valid(v->host) || !mg_name_is_valid(v->requester))
		return "host or requester is not a name";
	if (v->review[0] != '\0' && strcmp(v->review, "glass") != 0 &&
	    strcmp(v->review, "tokens") != 0)
		return "no such review";
	r = mg_text_check_body(v->body, strlen(v->body));
	if (r == MG_ERR_NOMEM) {
		*rp = r;
		return mg_err_str(r);
	}
	if (r != MG_ERR_OK)
		return "the body is malformed";
	/* Rule 1 */
	if (!begins_with(v->body, "request", id, code))
		return "the body names another request";
	if (!begins_with(v->body, "host", v->host, NULL))
		return "the body names another host than the key's name here";
	if (!begins_with(v->body, "requester", v->requester, NULL))
		return "the body names another requester";
	if (!names_are_names(v->body))
		return "operation, model or version is not a name";
	if (v->nneed % 3 != 0 || v->nneed > 48)
		return "the list of roles is malformed";
	for (i = 0; i < v->nneed; i++)
		if (!mg_esc_is_clean(v->need[i]))
			return "the list of roles does not print";
	return NULL;
}

enum mg_err
hub_put_check(const struct hub_put_view *v, const char **whyp)
{
	enum mg_err r;
	const char *why = find_flaw(v, &r);

	*whyp = why == NULL ? "" : why;
	return why == NULL ? MG_ERR_OK : r;
}

/* ---- lists of texts ---- */

static void
strv_free(char **v, size_t n)
{
	size_t i;

	for (i = 0; v != NULL && i < n; i++)
		free(v[i]);
	free(v);
}

bool
hub_strv_equal(const struct hub_strv *a, const char *const *v, size_t n)
{
	size_t i;

	if (a->n != n)
		return false;
	for (i = 0; i < n; i++)
		if (strcmp(a->v[i], v[i]) != 0)
			return false;
	return true;
}

enum mg_err
hub_strv_set(struct hub_strv *a, const char *const *v, size_t n)
{
	char **copy;
	size_t i;

	if ((copy = calloc(n + 1, sizeof(*copy))) == NULL)
		return MG_ERR_NOMEM;
	for (i = 0; i < n; i++) {
		if ((copy[i] = strdup(v[i])) != NULL)
			continue;
		strv_free(copy, i);
		return MG_ERR_NOMEM;
	}
	strv_free(a->v, a->n);
	a->v = copy;
	a->n = n;
	return MG_ERR_OK;
}

enum mg_err
hub_str_set(char **sp, const char *s)
{
	char *copy = strdup(s);

	if (copy == NULL)
		return MG_ERR_NOMEM;
	free(*sp);
	*sp = copy;
	return MG_ERR_OK;
}

/* ---- requests ---- */

struct hub_request *
hub_request_new(const struct hub_put_view *v, int64_t now_ms)
{
	struct hub_request *req;
	bool ok;

	if ((req = calloc(1, sizeof(*req))) == NULL)
		return NULL;
	if (mg_uuid_parse(v->uuid, &req->uuid) != MG_ERR_OK)
		goto fail;
	mg_uuid_format(&req->uuid, req->id);
	mg_code_from_uuid(&req->uuid, req->code);
	req->filed_ms = v->filed_ms;
	req->deadline_ms = v->deadline_ms;
	req->put_ms = now_ms;
	req->host = strdup(v->host);
	req->requester = strdup(v->requester);
	req->review = strdup(v->review);
	req->body = strdup(v->body);
	req->state = strdup("pending");
	req->operation = copy_name(v->body, "operation", false, &ok);
	req->model = copy_name(v->body, "model", true, &ok);
	req->version = copy_name(v->body, "version", true, &ok);
	if (req->host == NULL || req->requester == NULL ||
	    req->review == NULL || req->body == NULL || req->state == NULL ||
	    req->operation == NULL || req->model == NULL ||
	    req->version == NULL ||
	    hub_strv_set(&req->need, v->need, v->nneed) != MG_ERR_OK)
		goto fail;
	hub_request_weigh(req);
	return req;
fail:
	hub_request_free(req);
	return NULL;
}

static void
decision_free(struct hub_decision *d)
{
	free(d->approver);
	free(d->word);
	free(d->note);
	free(d->sig);
	free(d->verdict);
	free(d);
}

void
hub_request_free(struct hub_request *req)
{
	struct hub_decision *d;

	if (req == NULL)
		return;
	while ((d = req->decisions) != NULL) {
		req->decisions = d->next;
		decision_free(d);
	}
	free(req->host);
	free(req->requester);
	free(req->review);
	free(req->body);
	free(req->operation);
	free(req->model);
	free(req->version);
	free(req->state);
	strv_free(req->need.v, req->need.n);
	strv_free(req->agreed.v, req->agreed.n);
	free(req);
}

struct hub_decision *
hub_decision_add(struct hub_request *req, const char *approver)
{
	struct hub_decision *d, **end;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->approver = strdup(approver);
	d->word = strdup("");
	d->note = strdup("");
	d->verdict = strdup("");
	if (d->approver == NULL || d->word == NULL || d->note == NULL ||
	    d->verdict == NULL) {
		decision_free(d);
		return NULL;
	}
	for (end = &req->decisions; *end != NULL; end = &(*end)->next)
		continue;
	*end = d;
	return d;
}

static size_t
weight(const char *s)
{
	return s == NULL ? 0 : strlen(s) + 1;
}

void
hub_request_weigh(struct hub_request *req)
{
	const struct hub_decision *d;
	size_t n = sizeof(*req), i;

	n += weight(req->body) + weight(req->review) + weight(req->host);
	for (i = 0; i < req->need.n; i++)
		n += weight(req->need.v[i]);
	for (i = 0; i < req->agreed.n; i++)
		n += weight(req->agreed.v[i]);
	for (d = req->decisions; d != NULL; d = d->next)
		n += sizeof(*d) + weight(d->sig) + weight(d->note) +
		     weight(d->verdict);
	req->bytes = n;
}

struct hub_decision *
hub_store_decision(const struct hub_request *req, const char *approver)
{
	struct hub_decision *d;

	for (d = req->decisions; d != NULL; d = d->next)
		if (strcmp(d->approver, approver) == 0)
			return d;
	return NULL;
}

uint64_t
hub_request_left_ms(const struct hub_request *req, int64_t now_ms)
{
	if (req->ended || req->deadline_ms <= now_ms)
		return 0;
	return (uint64_t)(req->deadline_ms - now_ms);
}

/* Whether the comma list names person. */
static bool
list_has(const char *list, const char *person)
{
	size_t n = strlen(person), len;

	for (; *list != '\0'; list += len) {
		list += strspn(list, ", ");
		len = strcspn(list, ", ");
		if (len == n && memcmp(list, person, n) == 0)
			return true;
	}
	return false;
}

const char *
hub_request_asks(const struct hub_request *req, const char *person)
{
	size_t i;

	for (i = 0; i + 2 < req->need.n; i += 3)
		if (list_has(req->need.v[i + 2], person))
			return req->need.v[i];
	return NULL;
}
