/* SPDX-License-Identifier: ISC */
/* policy digest: what approvals name, and what stewards sign. */
#include <string.h>

#include "pcli.h"

static const char help[] =
    "digest [--to-sign] [-O DIR] [--json] [DIR]\n\n"
    "Prints the digest over the names and bytes of all policy files, as it\n"
    "stands in signed texts. With --to-sign: the text that stewards sign to\n"
    "bring this policy into force:\n\n"
    "  modelgate policy digest --to-sign DIR |\n"
    "      ssh-keygen -Y sign -n " MG_POLICY_NAMESPACE " -f KEY\n";

static int
print_text(const struct pcli *c)
{
	const struct mg_policy_guard *g = mg_policy_guard(c->p);
	struct mg_buf b;
	int status = PCLI_FAILED;

	if (g->version == 0) {
		pcli_error("the policy has no version; set one in [policy]");
		return PCLI_NO;
	}
	mg_buf_init(&b, 4096);
	if (mg_policy_guard_text(&b, "policy", g->version,
		mg_policy_digest(c->p)) == MG_ERR_OK) {
		fwrite(mg_buf_ptr(&b), 1, mg_buf_len(&b), stdout);
		status = PCLI_OK;
	}
	mg_buf_fini(&b);
	return status;
}

static int
print_json(const struct pcli *c)
{
	struct pcli_json pj;
	struct mg_json *j = pcli_json_begin(&pj);

	mg_json_str(j, "digest", mg_policy_digest(c->p));
	mg_json_int(j, "version", (int64_t)mg_policy_guard(c->p)->version);
	mg_json_bool(j, "signed", mg_policy_guard(c->p)->is_signed);
	return pcli_json_end(&pj, PCLI_OK);
}

int
pcli_digest(int argc, char **argv)
{
	bool to_sign = false;
	const struct pcli_opt opts[] = {
	    {"--to-sign", &to_sign, NULL}, {NULL, NULL, NULL}};
	struct pcli c;
	int status;

	if (!pcli_init(&c, "digest"))
		return PCLI_FAILED;
	if ((status = pcli_args(&c, argc, argv, opts, help)) >= 0)
		goto out;
	if (c.npos > 1) {
		status = pcli_usage("digest [--to-sign] [DIR]");
		goto out;
	}
	if (c.npos == 1)
		c.dir = c.pos[0];
	if ((status = pcli_load(&c, false)) != PCLI_OK)
		goto out;
	if (to_sign)
		status = print_text(&c);
	else if (c.json)
		status = print_json(&c);
	else
		puts(mg_policy_digest(c.p));
out:
	pcli_fini(&c);
	return status;
}
