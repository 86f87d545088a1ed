/* SPDX-License-Identifier: ISC */
#ifndef LED_REP_H
#define LED_REP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "led.h"
#include "mg_id.h"

/* What a report counts, and the page that shows it. */

#define REP_KEYS_MAX 512 /* different ones in a table; the rest is "others" */
#define REP_BUCKETS 65536
#define REP_DAY_MS 86400000LL

/* One request. All strings are its own. */
struct rep_req {
	struct rep_req *next; /* in its bucket */
	char uuid[MG_UUID_STR];
	char *user, *what, *model, *version, *reason, *approvers;
	int64_t asked_ms, granted_ms;
	unsigned runs, failed;
	bool refused;
	bool needs_people;
	char state[16], why[32];
};

struct rep_row {
	char name[200];
	unsigned long n, bad; /* bad: refused or denied */
};

struct rep_table {
	struct rep_row v[REP_KEYS_MAX];
	size_t n;
};

struct rep_day {
	unsigned long n, bad;
};

/* A rule of the policy in force. */
struct rep_rule {
	char name[128], where[160];
	bool used, left_out;
};

struct rep {
	char host[256];
	char person[128];
	bool is_own; /* of that person's records alone */
	int64_t since_ms, until_ms;
	struct rep_req *buckets[REP_BUCKETS];
	struct rep_req **all; /* in the order they were filed in */
	size_t nall;
	struct rep_table users, what, models, why, approvers, unused;
	struct rep_day *days; /* from the day of since_ms on */
	size_t ndays;
	struct rep_rule *rules; /* at the end: those that nothing names */
	size_t nrules;
	bool has_rules; /* the policy could be read */
	unsigned long refused, denied, granted, runs, failed;
	unsigned long nunused, wrong_codes, rejected;
	int64_t *approve_ms, *revoke_us; /* sorted */
	size_t napprove, nrevoke;
};

/* Room for one more behind the n things of v. */
bool rep_grow(void **v, size_t n, size_t size);

/* Reads the rules of the policy in force; false: it cannot be read. */
bool rep_rules_read(struct rep *rp);
/* Marks those that a record names. */
void rep_rules_used(struct rep *rp, const struct mg_rec *rec);
/* Leaves those that none did, in the order of the policy. */
void rep_rules_end(struct rep *rp);

/* What became of it: "refused", its state, or how far it is. */
const char *rep_outcome(const struct rep_req *r);

/* How much of what was asked for was refused or denied, in percent. */
double rep_refusal_rate(const struct rep *rp);

/* The value that p of 100 of the n sorted ones do not exceed. n > 0. */
int64_t rep_percentile(const int64_t *v, size_t n, unsigned p);

/* "2.8 ms", "12.0 s", "37.2 min", "5.5 h", "3.1 d". */
void rep_time(double s, char out[40]);

/* "2026-11-01T00:00 to 2026-11-22T12:00 UTC". */
void rep_period(const struct rep *rp, char out[80]);

void rep_html(const struct rep *rp);

#endif
