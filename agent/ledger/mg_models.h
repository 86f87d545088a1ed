/* SPDX-License-Identifier: ISC */
#ifndef MG_MODELS_H
#define MG_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_id.h"
#include "mg_rec.h"

/*
 * What is deployed on this host: for each model what is live, what was
 * promoted, and what was live before. Part of struct mg_state, which alone
 * writes it, from records of type "model". What is returned lives as long
 * as the whole, as plain data, so that a change can be undone by copying it
 * back. Models over MG_MODELS_MAX are in the ledger only.
 */

#define MG_MODELS_MAX 1024
#define MG_MODEL_BACK_MAX 8 /* versions to go back to */

/* What a successful run of an operation means; the words of "effect". */
enum mg_effect {
	MG_EFFECT_NONE = 0,
	MG_EFFECT_SERVE,   /* "serve": the version is live */
	MG_EFFECT_PROMOTE, /* "promote": it is the good one */
	MG_EFFECT_RETIRE,  /* "retire": it is out of service, for good */
	MG_EFFECT_DRIFT,   /* "drift": other bytes are served than recorded */
	MG_EFFECT_COUNT
};

const char *mg_effect_word(enum mg_effect e);
/* MG_EFFECT_NONE for any other word. */
enum mg_effect mg_effect_from_word(const char *word);

struct mg_model_version {
	char version[97]; /* "": none */
	char digest[72];
};

struct mg_model {
	char name[97];
	struct mg_model_version live;
	char promoted[97];
	struct mg_model_version back[MG_MODEL_BACK_MAX]; /* the newest first */
	char path[512];		/* where what is served can be found */
	char uuid[MG_UUID_STR]; /* of the request that made it live */
	char user[97];
	char approvers[256]; /* joined by commas */
	char reason[256];    /* maybe cut */
	int64_t since_ms;    /* wall clock; 0: nothing was ever live */
	bool drifted;
	char found[72]; /* the digest that was found instead; "": none */
	struct mg_model *next;
};

struct mg_models;

struct mg_models *mg_models_new(void) MG_MUST_CHECK;
void mg_models_free(struct mg_models *ms);

/* By name; with make it is made when it is not there. NULL: not there, no
 * memory, or (see mg_models_are_full()) too many. */
struct mg_model *mg_models_find(
    struct mg_models *ms, const char *name, bool make);
bool mg_models_are_full(const struct mg_models *ms);
/* In the order in which they were first deployed. */
const struct mg_model *mg_models_first(const struct mg_models *ms);

/* Nothing is known of it: what made it was undone. */
bool mg_model_is_blank(const struct mg_model *m);

/* Applies a record of type "model" to the model that it names. */
void mg_model_apply(
    struct mg_model *model, const struct mg_rec *rec, int64_t wall_ms);

/* The members of a line from which mg_model_restore() makes the same. */
struct mg_json;
void mg_model_save(const struct mg_model *model, struct mg_json *j);
void mg_model_restore(struct mg_model *model, const struct mg_rec *rec);

#endif
