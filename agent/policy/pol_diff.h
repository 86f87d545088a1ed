/* SPDX-License-Identifier: ISC */
/* What pol_diff*.c share: two policies, and how far looking at them got. */
#ifndef POL_DIFF_H
#define POL_DIFF_H

#include "pol.h"

#define POL_CONDS_ALL ((1U << POL_CONDS) - 1)

enum { POL_WAS, POL_IS };

/* People for whom both policies have the same rules. */
struct pol_diff_person {
	uint64_t sign;
	const char *name;
	bool moves; /* between roles */
};

struct pol_diff {
	const struct mg_policy *p[2];
	struct pol_survey s[2];
	struct pol_facts f[2];
	uint64_t *keys[2];	       /* of all rules, sorted */
	uint64_t *role_key[2];	       /* by rank: of the name */
	bool *touched[2];	       /* by operation */
	bool *used[2], *used_model[2]; /* by atom */
	bool *approves[2];	       /* by role */
	const struct mg_people *people;
	struct pol_vec seen;	/* uint64_t, signs that were looked at */
	struct pol_vec classes; /* struct class, of models */
	struct pol_arena model_mem;
	/* One class and operation. */
	const char *const *users;
	size_t nusers;
	const char *operation, *model, *model_shown;
	uint32_t op[2];
	struct pol_arena mem;
	struct pol_vec alts;  /* struct alt */
	struct pol_vec rows;  /* struct row */
	struct pol_vec sub;   /* const struct pol_rule * */
	struct pol_vec pairs; /* uint64_t, keys */
	unsigned trials, npairs;
	/* Everybody who is looked at, in the order of their signs. */
	const char *const *names;
	struct pol_diff_person *people_at;
	size_t nnames;
	int64_t now_ms, since_ms;
	pol_change_fn fn;
	void *arg;
	bool is_cut, no_memory;
};

/* Sorted numbers: for qsort and bsearch, of what begins with one. */
int pol_by_number(const void *a, const void *b);
bool pol_has_number(const uint64_t *v, size_t n, uint64_t key);

/* What a rule says, names aside, of these conditions: the same number in both
 * policies. */
uint64_t pol_rule_key(const struct pol_rule *r, unsigned conds);

/*
 * Decides d->operation (and d->model, if any) for d->users[0] by both
 * policies, under all circumstances that may matter, and tells d->fn of what
 * is not the same. Out of memory: d->no_memory; too much: d->is_cut.
 */
void pol_diff_decisions(struct pol_diff *d);

/* That, for everybody; later: only for those who move between roles. */
void pol_diff_people(struct pol_diff *d, bool later);

/* That, for the models whose attributes change; false: out of memory. */
bool pol_diff_models(struct pol_diff *d);

#endif
