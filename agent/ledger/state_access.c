/* SPDX-License-Identifier: ISC */
/* Records about who is in without a grant, as long as a process goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state_int.h"

/* Saved and cleared up to the link to the next, which is not to be undone. */
#define SIZE offsetof(struct mg_access, next)

static struct mg_access *
access_of(struct mg_state *st, const char *uuid)
{
	struct mg_access *a;

	for (a = st->accesses; a != NULL && strcmp(a->uuid, uuid) != 0;)
		a = a->next;
	return a;
}

enum mg_err
mg_state_add_access(struct mg_state_ctx *c)
{
	const char *uuid = mg_rec_str(c->rec, "uuid", "");
	struct mg_access *a;

	if (strlen(uuid) != MG_UUID_STR - 1)
		return MG_ERR_FORMAT;
	if ((a = access_of(c->st, "")) == NULL) {
		if (c->st->naccesses == MG_ACCESSES_MAX)
			return MG_ERR_OK;
		if ((a = calloc(1, sizeof(*a))) == NULL)
			return MG_ERR_NOMEM;
		a->next = c->st->accesses;
		c->st->accesses = a;
		c->st->naccesses++;
	}
	if (!mg_state_save_for_undo(c->st, a, SIZE, NULL))
		return MG_ERR_NOMEM;
	memcpy(a->uuid, uuid, MG_UUID_STR);
	snprintf(
	    a->user, sizeof(a->user), "%s", mg_rec_str(c->rec, "user", ""));
	snprintf(a->operation, sizeof(a->operation), "%s",
	    mg_rec_str(c->rec, "operation", ""));
	a->pid = mg_rec_int(c->rec, "pid", 0);
	a->start = mg_rec_int(c->rec, "start", 0);
	return MG_ERR_OK;
}

enum mg_err
mg_state_apply_access_end(struct mg_state_ctx *c)
{
	const char *uuid = mg_rec_str(c->rec, "uuid", "");
	struct mg_access *a = uuid[0] == '\0' ? NULL : access_of(c->st, uuid);

	if (a == NULL)
		return MG_ERR_STATE;
	if (!mg_state_save_for_undo(c->st, a, SIZE, NULL))
		return MG_ERR_NOMEM;
	memset(a, 0, SIZE);
	return MG_ERR_OK;
}

void
mg_state_forget_accesses(struct mg_state *st)
{
	struct mg_access *a;

	for (a = st->accesses; a != NULL; a = a->next)
		memset(a, 0, SIZE);
}

void
mg_state_free_accesses(struct mg_state *st)
{
	struct mg_access *a;

	while ((a = st->accesses) != NULL) {
		st->accesses = a->next;
		free(a);
	}
}

const struct mg_access *
mg_state_access(const struct mg_state *st, const struct mg_access *after)
{
	const struct mg_access *a = after == NULL ? st->accesses : after->next;

	while (a != NULL && a->uuid[0] == '\0')
		a = a->next;
	return a;
}

const struct mg_access *
mg_state_access_find(const struct mg_state *st, const char *uuid)
{
	const struct mg_access *a = mg_state_access(st, NULL);

	while (a != NULL && strcmp(a->uuid, uuid) != 0)
		a = mg_state_access(st, a);
	return a;
}
