/* SPDX-License-Identifier: ISC */
/* modelgate-doctor: the list of checks, one line each. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"
#include "mg_esc.h"
#include "mg_name.h"

#define EXIT_USAGE 2

void
doc_say(struct doc *d, enum doc_result r, const char *name, const char *fix,
    const char *fmt, ...)
{
	static const char *const words[] = {"FAIL", "warn", "ok"};
	static const char *const json_words[] = {"fail", "warning", "ok"};
	char raw[1024], text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	mg_esc_line(raw, text, sizeof(text));
	d->bad += r == DOC_BAD;
	d->warn += r == DOC_WARN;
	if (r == DOC_BAD && d->nfailing < DOC_FAILING_MAX)
		snprintf(d->failing[d->nfailing++], DOC_NAME_MAX, "%s", name);
	if (d->json) {
		mg_json_obj(&d->j, NULL);
		mg_json_str(&d->j, "check", name);
		mg_json_str(&d->j, "result", json_words[r]);
		mg_json_str(&d->j, "text", text);
		mg_json_str(&d->j, "fix", r == DOC_GOOD ? "" : fix);
		mg_json_obj_end(&d->j);
		return;
	}
	printf("%-4s  %-15s %s\n", words[r], name, text);
	if (r != DOC_GOOD && fix[0] != '\0')
		printf("      %-15s fix: %s\n", "", fix);
}

static int
usage(FILE *out)
{
	fprintf(out,
	    "usage: modelgate doctor [--json] [--record]\n"
	    "Is this host really enforcing? One line a check; exit status 1 "
	    "when one fails.\n"
	    "--record: also write an audit record for each check that began "
	    "or ceased to\n          fail since the last time (for a timer)\n");
	return out == stdout ? 0 : EXIT_USAGE;
}

static void
show(struct doc *d)
{
	const char *line;

	mg_json_arr_end(&d->j);
	if (!d->json)
		printf("%u failed, %u warnings\n", d->bad, d->warn);
	else if (mg_json_end(&d->j) == MG_ERR_OK &&
		 (line = mg_buf_cstr(&d->out)) != NULL)
		printf("%s\n", line);
	mg_buf_fini(&d->out);
}

int
main(int argc, char **argv)
{
	static const struct option opts[] = {{"json", 0, NULL, 'j'},
	    {"record", 0, NULL, 'r'}, {"help", 0, NULL, 'h'},
	    {NULL, 0, NULL, 0}};
	static char name[] = "modelgate doctor"; /* in what getopt says */
	static struct doc d;			 /* large */
	const char *meant;
	bool record = false;
	int c;

	if (argc > 0)
		argv[0] = name;
	while ((c = getopt_long(argc, argv, "jh", opts, NULL)) != -1) {
		switch (c) {
		case 'j':
			d.json = true;
			break;
		case 'r':
			record = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			meant = mg_name_meant_option(argv[optind - 1], opts);
			if (meant != NULL)
				fprintf(
				    stderr, "%s: is it '--%s'?\n", name, meant);
			return usage(stderr);
		}
	}
	if (optind != argc)
		return usage(stderr);
	mg_buf_init(&d.out, 262144);
	mg_json_begin(&d.j, &d.out);
	mg_json_arr(&d.j, NULL);
	if (getuid() != 0)
		doc_say(&d, DOC_WARN, "doctor", "sudo modelgate doctor",
		    "not root: some checks cannot look");
	doc_agent(&d);
	doc_models(&d);
	doc_pam(&d);
	doc_files(&d);
	doc_reach(&d);
	show(&d);
	if (fflush(stdout) != 0 || ferror(stdout))
		return 1;
	if (record && !doc_record(&d))
		return 1;
	return d.bad > 0 ? 1 : 0;
}
