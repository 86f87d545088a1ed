/* SPDX-License-Identifier: ISC */
/*
 * Which rules of the policy in force no record of a report's period names:
 * rights that somebody may not need any more.
 *
 * Rules
 * 1. It is about rules that allow something on record. Those that forbid or
 *    ask for more are none; nor are rights of modelgate's own (log, revoke),
 *    whose use is not on record: to call them unused would be a guess.
 * 2. A policy that cannot be read whole gives no list, not a shorter one.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "led_rep.h"
#include "mg_file.h"
#include "mg_ini.h"

#define DIR_POLICY MG_CONFDIR "/policy.d"

/* While a file is read. */
struct reading {
	struct rep *rp;
	bool failed;
	bool open; /* the last rule of rp is the one that is read */
	bool permission;
};

static void
begin(struct reading *rd, const struct mg_ini_line *line)
{
	struct rep *rp = rd->rp;
	struct rep_rule *r;
	void *v = rp->rules;

	rd->permission = strcmp(line->section, "permission") == 0;
	rd->open = rd->permission || strcmp(line->section, "rule") == 0;
	if (!rd->open)
		return;
	if (!rep_grow(&v, rp->nrules, sizeof(*rp->rules))) {
		rd->failed = true;
		rd->open = false;
		return;
	}
	rp->rules = v;
	r = &rp->rules[rp->nrules++];
	memset(r, 0, sizeof(*r));
	snprintf(r->name, sizeof(r->name), "%s", line->name);
	snprintf(r->where, sizeof(r->where), "%s:%u", line->file, line->line);
}

/* Whether all of a list are modelgate's own rights. Rule 1 */
static bool
is_own(const char *list)
{
	static const char *const own[] = {
	    "log", "revoke", "unenroll", "tokens"};
	size_t i, n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			if (strlen(own[i]) == n && memcmp(list, own[i], n) == 0)
				break;
		if (n > 0 && i == sizeof(own) / sizeof(own[0]))
			return false;
	}
	return true;
}

static void
take_line(void *arg, const struct mg_ini_line *line)
{
	struct reading *rd = arg;
	struct rep_rule *r;

	if (line->key == NULL) {
		begin(rd, line);
		return;
	}
	if (!rd->open || rd->permission)
		return;
	r = &rd->rp->rules[rd->rp->nrules - 1];
	if ((strcmp(line->key, "effect") == 0 &&
		strcmp(line->value, "allow") != 0) ||
	    (strcmp(line->key, "operation") == 0 && is_own(line->value)))
		r->left_out = true;
}

static void
read_one(struct reading *rd, const char *name)
{
	char path[4096];
	struct mg_diags ds;
	struct mg_buf b;
	int fd;

	snprintf(path, sizeof(path), DIR_POLICY "/%s", name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1) {
		rd->failed = true;
		return;
	}
	mg_buf_init(&b, LED_FILE_MAX);
	mg_diags_init(&ds);
	rd->open = false;
	if (mg_file_read(fd, &b) != MG_ERR_OK ||
	    mg_ini_parse(name, (const char *)mg_buf_ptr(&b), mg_buf_len(&b),
		take_line, rd, &ds) != MG_ERR_OK)
		rd->failed = true;
	close(fd);
	mg_buf_fini(&b);
}

static int
by_rule_name(const void *a, const void *b)
{
	const struct rep_rule *x = a, *y = b;

	return strcmp(x->name, y->name);
}

bool
rep_rules_read(struct rep *rp)
{
	struct reading rd = {.rp = rp};
	struct dirent **v = NULL;
	int n, i;

	if ((n = scandir(DIR_POLICY, &v, led_is_ini, alphasort)) < 0)
		return false;
	for (i = 0; i < n; i++) {
		if (!rd.failed)
			read_one(&rd, v[i]->d_name);
		free(v[i]);
	}
	free(v);
	if (rd.failed)
		rp->nrules = 0; /* Rule 2 */
	if (rp->nrules > 1)
		qsort(rp->rules, rp->nrules, sizeof(*rp->rules), by_rule_name);
	return !rd.failed;
}

static bool
mark(struct rep *rp, const char *name, size_t n)
{
	struct rep_rule key = {.used = false}, *r;

	if (n >= sizeof(key.name))
		return false;
	memcpy(key.name, name, n);
	key.name[n] = '\0';
	r = rp->nrules == 0 ? NULL
			    : bsearch(&key, rp->rules, rp->nrules,
				  sizeof(*rp->rules), by_rule_name);
	if (r != NULL)
		r->used = true;
	return r != NULL;
}

/* As records say it: "NAME (FILE:LINE)", of a level "NAME:LEVEL (...)". */
static void
used(struct rep *rp, const char *text)
{
	const char *end = strstr(text, " ("), *level;

	if (end == NULL || mark(rp, text, (size_t)(end - text)))
		return;
	if ((level = memrchr(text, ':', (size_t)(end - text))) != NULL)
		(void)mark(rp, text, (size_t)(level - text));
}

void
rep_rules_used(struct rep *rp, const struct mg_rec *rec)
{
	const char *const *v;
	size_t i, n;

	used(rp, mg_rec_str(rec, "rule", ""));
	v = mg_rec_strv(rec, "rules", &n);
	for (i = 0; i < n; i++)
		used(rp, v[i]);
}

static int
by_place(const void *a, const void *b)
{
	const struct rep_rule *x = a, *y = b;

	return strverscmp(x->where, y->where);
}

void
rep_rules_end(struct rep *rp)
{
	size_t i, n = 0;

	for (i = 0; i < rp->nrules; i++)
		if (!rp->rules[i].used && !rp->rules[i].left_out)
			rp->rules[n++] = rp->rules[i];
	rp->nrules = n;
	if (n > 1)
		qsort(rp->rules, n, sizeof(*rp->rules), by_place);
}
