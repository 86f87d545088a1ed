/* SPDX-License-Identifier: ISC */
/*
 * modelgate policy: which tool.
 *
 * Installed as a helper that `modelgate policy ...` executes, so that the
 * operator's own program links none of this.
 */
#include <stdio.h>
#include <string.h>

#include "mg_file.h"
#include "mg_name.h"
#include "pcli.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *args, *what;
} tools[] = {
    {"check", pcli_check, "[DIR]", "find every problem"},
    {"test", pcli_test, "[DIR] [NAME...]", "run the [test] sections"},
    {"explain", pcli_explain,
	"USER OPERATION [MODEL[@VERSION]] [on LABELS] [at TIME] [from ADDR]",
	"say what the answer is, and why"},
    {"who-can", pcli_who_can, "[OPERATION [MODEL[@VERSION]]] [on LABELS]",
	"list everybody who may do it"},
    {"what-can", pcli_what_can, "USER [MODEL[@VERSION]] [on LABELS]",
	"list everything that somebody may do"},
    {"diff", pcli_diff, "OLD NEW", "say what a new policy changes for whom"},
    {"fmt", pcli_fmt, "[-w] [--check] FILE|DIR...", "write files in one form"},
    {"digest", pcli_digest, "[DIR]", "print what approvals name"},
    {"sign", pcli_sign, "[-f KEY] [--signers FILE] [DIR]",
	"sign it as a steward"},
};

#define NTOOLS (sizeof(tools) / sizeof(tools[0]))

static int
usage(FILE *out)
{
	size_t i;

	fprintf(out, "usage: modelgate policy TOOL [options] ...\n\n");
	for (i = 0; i < NTOOLS; i++)
		fprintf(out, "  %-8s  %s\n            %s\n", tools[i].name,
		    tools[i].args, tools[i].what);
	fprintf(out,
	    "\n"
	    "options of all tools:\n"
	    "  -d DIR           the policy folder (default %s/policy.d)\n"
	    "  -O DIR           the operations folder (default: operations.d "
	    "beside policy.d)\n"
	    "  --json           one JSON document instead of text\n"
	    "  --group G=A,B    A and B are in group G (repeat as needed)\n"
	    "  --at TIME        as if it were then, in UTC: "
	    "2026-12-24T18:00\n"
	    "  --no-nss         ask this machine about no users, groups, "
	    "commands\n"
	    "\n"
	    "`modelgate policy TOOL --help` says more; modelgate-policy(5) has "
	    "the language.\n",
	    MG_CONFDIR);
	return out == stdout ? PCLI_OK : PCLI_USAGE;
}

static bool
is_help(const char *s)
{
	return strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0 ||
	       strcmp(s, "help") == 0;
}

int
main(int argc, char **argv)
{
	size_t i;

	if (mg_file_sanitise_std() != MG_ERR_OK)
		return PCLI_FAILED;
	pcli_out_init();
	if (argc < 2)
		return usage(stderr);
	if (is_help(argv[1]))
		return usage(stdout);
	for (i = 0; i < NTOOLS; i++)
		if (strcmp(tools[i].name, argv[1]) == 0)
			return tools[i].run(argc - 1, argv + 1);
	for (i = 0; i < NTOOLS; i++)
		if (mg_name_is_slip(argv[1], strlen(argv[1]), tools[i].name))
			break;
	pcli_error("there is no tool '%s'; see `modelgate policy --help`%s%s%s",
	    argv[1], i < NTOOLS ? "; is it '" : "",
	    i < NTOOLS ? tools[i].name : "", i < NTOOLS ? "'?" : "");
	return PCLI_USAGE;
}
