/* SPDX-License-Identifier: ISC */
/*
 * What began or ceased to fail since the last time, for the audit log: a
 * timer that runs this says once that a host drifted, not every hour.
 */
#include <errno.h>
#include <libaudit.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

struct names {
	char v[DOC_FAILING_MAX][DOC_NAME_MAX];
	size_t n;
};

static bool
has(const char (*v)[DOC_NAME_MAX], size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(v[i], name) == 0)
			return true;
	return false;
}

static void
read_last(struct names *last)
{
	char line[DOC_NAME_MAX];
	FILE *f;

	last->n = 0;
	if ((f = fopen(MG_DOC_STATE, "re")) == NULL)
		return; /* the first time: all that fails is new */
	while (
	    last->n < DOC_FAILING_MAX && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		memcpy(last->v[last->n++], line, sizeof(line));
	}
	fclose(f);
}

/* In one step, so that a full disk does not make the next run forget. */
static bool
write_last(const struct doc *d)
{
	bool ok;
	size_t i;
	FILE *f;

	if ((f = fopen(MG_DOC_STATE ".new", "we")) == NULL)
		return false;
	for (i = 0; i < d->nfailing; i++)
		fprintf(f, "%s\n", d->failing[i]);
	ok = fflush(f) == 0 && fsync(fileno(f)) == 0;
	ok = fclose(f) == 0 && ok;
	return ok && rename(MG_DOC_STATE ".new", MG_DOC_STATE) == 0;
}

/* Names are ours: letters, digits, blanks and '-'. */
static bool
tell(int fd, const char *name, bool ok)
{
	char text[256], word[DOC_NAME_MAX], *p;

	snprintf(word, sizeof(word), "%s", name);
	for (p = word; *p != '\0'; p++)
		if (*p == ' ')
			*p = '-';
	snprintf(text, sizeof(text), "op=modelgate:doctor check=%s", word);
	return audit_log_user_message(
		   fd, AUDIT_USYS_CONFIG, text, NULL, NULL, NULL, ok) > 0;
}

bool
doc_record(const struct doc *d)
{
	static struct names last;
	bool ok = true;
	size_t i;
	int fd;

	if ((fd = audit_open()) == -1) {
		fprintf(stderr,
		    "modelgate: no connection to kernel audit: %s\n",
		    strerror(errno));
		return false;
	}
	read_last(&last);
	for (i = 0; i < d->nfailing && ok; i++)
		if (!has(last.v, last.n, d->failing[i]))
			ok = tell(fd, d->failing[i], false);
	for (i = 0; i < last.n && ok; i++)
		if (!has(d->failing, d->nfailing, last.v[i]))
			ok = tell(fd, last.v[i], true);
	if (!ok)
		fprintf(stderr,
		    "modelgate: kernel audit does not take it: %s\n",
		    strerror(errno));
	else if (!(ok = write_last(d)))
		fprintf(stderr, "modelgate: cannot write %s: %s\n",
		    MG_DOC_STATE, strerror(errno));
	close(fd);
	return ok;
}
