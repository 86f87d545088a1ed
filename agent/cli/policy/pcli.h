/* SPDX-License-Identifier: ISC */
#ifndef PCLI_H
#define PCLI_H

#include <stdbool.h>
#include <stdio.h>

#include "mg_json.h"
#include "pol.h"

/*
 * `modelgate policy`: tools for a folder of policy files. They read it with
 * the module that the agent reads it with, need no agent and no root, and
 * change nothing but (with fmt -w) the files they are told to.
 *
 *	main.c		which tool
 *	pcli_load.c	options, loading, saying what is wrong
 *	pcli_out.c	colours, tables, JSON
 *	pcli_people.c	who is in which group: this machine's, or as told
 *	pcli_*.c	one tool each
 */

/* Exit statuses; also in modelgate-policy(5). */
enum pcli_exit {
	PCLI_OK = 0, /* fine; allowed; nothing changes */
	PCLI_NO = 1, /* problems found; denied; only narrower */
	PCLI_USAGE = 2,
	PCLI_ASK = 3,	   /* allowed once others agree; also wider */
	PCLI_FAILED = 125, /* the policy does not load, or no memory */
};

/* ---- pcli_out.c ---- */

enum pcli_colour {
	PCLI_PLAIN = 0,
	PCLI_BOLD,
	PCLI_DIM,
	PCLI_RED,
	PCLI_GREEN,
	PCLI_YELLOW,
};

/* Whether out may be coloured: a terminal, and NO_COLOR is not set. */
void pcli_out_init(void);
/* The escape sequences around coloured text on stdout; "" when plain. */
const char *pcli_on(enum pcli_colour c);
const char *pcli_off(void);
const char *pcli_err_on(enum pcli_colour c);
const char *pcli_err_off(void);

/* Rows of text whose columns line up. */
#define PCLI_COLUMNS_MAX 8
struct pcli_table {
	char *cell[PCLI_COLUMNS_MAX];
	size_t ncolumns, nrows, cap;
	char **v;		  /* nrows * ncolumns */
	enum pcli_colour *colour; /* of each row's first cell */
	bool failed;
};
void pcli_table_init(struct pcli_table *t, size_t ncolumns);
/* Strings are copied. */
void pcli_table_row(
    struct pcli_table *t, enum pcli_colour c, const char *const *cells);
/* Prints with indent blanks in front, and frees. */
void pcli_table_end(struct pcli_table *t, unsigned indent);

/* "alice, bob, anybody in @ml, anybody else", wrapped, indented. */
void pcli_names(const char *const *names, size_t n, unsigned indent);
/* How one of those names is shown; buf is for the long ones. */
const char *pcli_name(const char *name, char *buf, size_t size);

/* One JSON document on stdout. */
struct pcli_json {
	struct mg_buf b;
	struct mg_json j;
};
struct mg_json *pcli_json_begin(struct pcli_json *pj);
/* Prints it and a newline; returns status, or PCLI_FAILED. */
int pcli_json_end(struct pcli_json *pj, int status);

void pcli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- pcli_people.c ---- */

struct pcli_people;

struct pcli_people *pcli_people_new(void);
void pcli_people_free(struct pcli_people *pp);
/* "GROUP=USER,USER": more members of a group, and known users. */
bool pcli_people_add(struct pcli_people *pp, const char *spec);
/* Asks nobody else from now on; who was not named is in no group. */
void pcli_people_only(struct pcli_people *pp);
const struct mg_people *pcli_people_view(struct pcli_people *pp);
/* Whether the machine (or an option) knows this user, this group. */
bool pcli_people_has_user(struct pcli_people *pp, const char *user);
bool pcli_people_has_group(struct pcli_people *pp, const char *group);
/* Whether pcli_people_only() was called. */
bool pcli_people_is_only(const struct pcli_people *pp);

/*
 * Everybody whom the policies name, or their groups have as members, each
 * once; "@GROUP" for somebody in a group whose members are not known here;
 * at last "", for anybody else. Valid until the next call; NULL: no memory.
 */
const char *const *pcli_people_all(struct pcli_people *pp,
    const struct mg_policy *const *p, size_t npolicies, size_t *np);

/* ---- pcli_load.c ---- */

/* Options that all tools share. */
struct pcli {
	const char *tool;
	const char *dir, *operations;
	bool json, is_default;
	char **pos; /* arguments that are no options */
	int npos;
	struct pcli_people *people;
	const struct mg_people *view;
	struct mg_policy *p;
	struct mg_diags ds;
	int64_t now_ms;
};

/* An option of one tool: a flag, or one with a value. */
struct pcli_opt {
	const char *name;
	bool *flag;
	const char **value;
};

/*
 * Takes all options out of argv, wherever they stand: the shared ones and
 * opts (ended by a NULL name; may be NULL). What is left is in c->pos.
 * Returns -1 to go on, else what to exit with: help was asked for and
 * printed, or something was wrong and is said.
 */
int pcli_args(struct pcli *c, int argc, char **argv,
    const struct pcli_opt *opts, const char *help);
/* Initialises, before options. */
bool pcli_init(struct pcli *c, const char *tool);
void pcli_fini(struct pcli *c);
/* Loads c->dir; problems are said (JSON: as the document). */
int pcli_load(struct pcli *c, bool ignore_tests);
/* Loads any folder, quietly. */
enum mg_err pcli_load_dir(const char *dir, const char *operations,
    bool ignore_tests, struct mg_policy **pp, struct mg_diags *ds);
/* Loads c->dir into c->p and c->ds, looking for everything suspicious. */
enum mg_err pcli_load_lint(struct pcli *c);
/*
 * A copy of a policy folder alone has no operations beside it: says so where
 * that is why dir did not load.
 */
void pcli_hint_operations(
    const struct mg_diags *ds, const char *dir, const char *operations);
/* The operations folder that belongs to dir, or NULL; the caller frees. */
char *pcli_operations_of(const char *dir);
void pcli_print_diags(const struct mg_diags *ds);
void pcli_json_diags(struct mg_json *j, const struct mg_diags *ds);
/* Usage of a tool on stderr. */
int pcli_usage(const char *text);

/* ---- one file each ---- */

int pcli_check(int argc, char **argv);
int pcli_test(int argc, char **argv);
int pcli_explain(int argc, char **argv);
int pcli_who_can(int argc, char **argv);
int pcli_what_can(int argc, char **argv);
int pcli_diff(int argc, char **argv);
int pcli_fmt(int argc, char **argv);
int pcli_digest(int argc, char **argv);
int pcli_sign(int argc, char **argv);

#endif
