/* SPDX-License-Identifier: ISC */
/*
 * How long a decision takes, how long loading, how much memory.
 *
 *	policy_bench DIR [DECISIONS]
 *
 * DIR is what policy_gen wrote. Prints tab-separated figures on one line:
 * rules, nanoseconds of a decision (median, 99th hundredth, median of those
 * that allow), milliseconds to load, KiB that the policy takes, hundredths
 * that allow, allocations while deciding. Writes
 * into the file DECISIONS "allow" or "deny" for each question, to compare
 * with what others say.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pol.h"

/* Counts what the engine allocates. */
static size_t allocations;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *
malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}

#define QUESTIONS_MAX 20000
#define ROUNDS 5

struct question {
	char line[128];
	char label[32];
	const char *labels[1];
	const char *groups[4];
	struct mg_ask ask;
};

static struct question questions[QUESTIONS_MAX];
static size_t nquestions;
static struct question *current;

/* The caller of the policy has looked people up before. */
static const char *const *
groups_of(void *arg, const char *user, size_t *np)
{
	(void)arg;
	(void)user;
	*np = 3;
	return current->groups;
}

static const struct mg_people people = {.groups_of = groups_of};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void
fill(struct question *q)
{
	char *p = q->line, *f[6];
	int i;

	for (i = 0; i < 6; i++)
		f[i] = strsep(&p, "\t\n");
	snprintf(q->label, sizeof(q->label), "env:%s", f[3]);
	q->labels[0] = q->label;
	for (i = 0, p = f[4]; i < 3; i++)
		q->groups[i] = strsep(&p, ",");
	q->ask = (struct mg_ask){.user = f[0],
	    .people = &people,
	    .operation = f[1],
	    .model = f[2],
	    .version = "7",
	    .host = "host-1",
	    .labels = q->labels,
	    .nlabels = 1,
	    .from = "10.1.2.3",
	    .now_ms = INT64_C(1795514400000),
	    .login_key = "ssh-ed25519"};
}

static void
read_questions(const char *dir)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/questions.tsv", dir);
	if ((f = fopen(path, "r")) == NULL) {
		perror(path);
		exit(1);
	}
	while (nquestions < QUESTIONS_MAX &&
	       fgets(questions[nquestions].line, 128, f) != NULL)
		fill(&questions[nquestions++]);
	fclose(f);
}

static size_t
resident_kib(void)
{
	unsigned long pages = 0, size = 0;
	char line[128], *end;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		return 0;
	fclose(f);
	size = strtoul(line, &end, 10);
	pages = size > 0 ? strtoul(end, NULL, 10) : 0;
	return pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static struct mg_policy *
load(const char *dir, double *msp)
{
	char pol[512], ops[512];
	struct mg_policy_source src = {
	    .policy_dir = pol, .operations_dir = ops, .can = MG_POLICY_CAN_ALL};
	static struct mg_diags ds;
	struct mg_policy *p;
	uint64_t start;

	snprintf(pol, sizeof(pol), "%s/policy.d", dir);
	snprintf(ops, sizeof(ops), "%s/operations.d", dir);
	mg_diags_init(&ds);
	start = now_ns();
	if (mg_policy_load(&src, &p, &ds) != MG_ERR_OK) {
		mg_diags_print(&ds, stderr);
		exit(1);
	}
	*msp = (double)(now_ns() - start) / 1e6;
	return p;
}

static void
put_decisions(const struct mg_policy *p, const char *path)
{
	FILE *f = fopen(path, "w");
	struct mg_verdict v;
	size_t i;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	for (i = 0; i < nquestions; i++) {
		current = &questions[i];
		mg_policy_decide(p, &current->ask, &v);
		fputs(v.kind == MG_VERDICT_DENY ? "deny\n" : "allow\n", f);
	}
	fclose(f);
}

int
main(int argc, char **argv)
{
	static uint32_t ns[QUESTIONS_MAX * ROUNDS];
	static uint32_t allowed_ns[QUESTIONS_MAX * ROUNDS];
	size_t before, during, i, n = 0, nallowed = 0, round;
	struct mg_verdict v;
	struct mg_policy *p;
	uint64_t start;
	double ms;

	if (argc < 2) {
		fprintf(stderr, "usage: policy_bench DIR [DECISIONS]\n");
		return 2;
	}
	read_questions(argv[1]);
	malloc_trim(0);
	before = resident_kib();
	p = load(argv[1], &ms);
	malloc_trim(0);
	before = resident_kib() - before;
	allocations = 0;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < nquestions; i++) {
			current = &questions[i];
			start = now_ns();
			mg_policy_decide(p, &current->ask, &v);
			ns[n++] = (uint32_t)(now_ns() - start);
			if (v.kind != MG_VERDICT_DENY)
				allowed_ns[nallowed++] = ns[n - 1];
		}
	}
	during = allocations;
	if (argc > 2)
		put_decisions(p, argv[2]);
	qsort(ns, n, sizeof(ns[0]), by_value);
	qsort(allowed_ns, nallowed, sizeof(ns[0]), by_value);
	printf("%u\t%u\t%u\t%u\t%.0f\t%zu\t%.0f\t%zu\n", p->rules.n, ns[n / 2],
	    ns[n / 100 * 99], nallowed == 0 ? 0 : allowed_ns[nallowed / 2], ms,
	    before, 100.0 * (double)nallowed / (double)n, during);
	mg_policy_free(p);
	return 0;
}
