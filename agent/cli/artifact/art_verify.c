/* SPDX-License-Identifier: ISC */
/* modelgate artifact verify */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "art.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_time.h"

struct result {
	enum mg_err r;
	struct mg_oms_fail fail;
	struct mg_oms_bundle bundle;
	struct mg_oms_signer signer;
	struct mg_oms_statement st;
	struct mg_oms_report report;
	char *sig_file;
};

/* ---- telling ---- */

static const char *
kind_word(enum mg_oms_diff kind)
{
	switch (kind) {
	case MG_OMS_MISSING:
		return "missing";
	case MG_OMS_EXTRA:
		return "extra";
	case MG_OMS_CHANGED:
		return "changed";
	}
	return "?";
}

static void
json_diffs(
    const struct mg_oms_report *rep, struct mg_json *j, enum mg_oms_diff kind)
{
	size_t i;

	mg_json_arr(j, kind_word(kind));
	for (i = 0; i < rep->ndiffs; i++)
		if (rep->diffs[i].kind == kind)
			mg_json_str(j, NULL, rep->diffs[i].path);
	mg_json_arr_end(j);
}

static int
say_json(const struct result *res, int status)
{
	const struct mg_oms_report *rep = &res->report;
	char root[72];
	struct mg_json j;
	struct mg_buf b;
	size_t i;

	mg_buf_init(&b, 262144);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_bool(&j, "ok", status == 0);
	mg_json_str(&j, "code", mg_oms_why_word(res->fail.why));
	mg_json_str(&j, "text", res->fail.text);
	mg_json_str(&j, "signature", res->sig_file);
	mg_json_str(&j, "method",
	    res->bundle.method == MG_OMS_KEYED	     ? "key"
	    : res->bundle.method == MG_OMS_CERTIFIED ? "certificate"
						     : "");
	mg_json_str(&j, "signer", res->signer.fp);
	mg_json_str(&j, "subject", res->signer.subject);
	if (res->st.name != NULL) {
		memcpy(root, "sha256:", 7);
		mg_hex(res->st.root, sizeof(res->st.root), root + 7);
		mg_json_str(&j, "model", res->st.name);
		mg_json_str(&j, "root", root);
	}
	mg_json_int(&j, "files", (int64_t)rep->files);
	mg_json_int(&j, "bytes", (int64_t)rep->bytes);
	json_diffs(rep, &j, MG_OMS_MISSING);
	json_diffs(rep, &j, MG_OMS_EXTRA);
	json_diffs(rep, &j, MG_OMS_CHANGED);
	mg_json_arr(&j, "uncovered");
	for (i = 0; i < rep->nuncovered; i++)
		mg_json_str(&j, NULL, rep->uncovered[i]);
	mg_json_arr_end(&j);
	mg_json_obj_end(&j);
	return art_print_json(&j, &b, status);
}

static void
say_path(FILE *out, const char *what, const char *path)
{
	char esc[2048];

	mg_esc_line(path, esc, sizeof(esc));
	fprintf(out, "  %s: %s\n", what, esc);
}

static int
say_no(const struct art *a, const struct result *res, int status)
{
	const struct mg_oms_report *rep = &res->report;
	size_t i;

	(void)art_fail(a, "", "%s: %s", a->path, res->fail.text);
	for (i = 0; i < rep->ndiffs; i++)
		say_path(
		    stderr, kind_word(rep->diffs[i].kind), rep->diffs[i].path);
	if (rep->missing + rep->extra + rep->changed > rep->ndiffs)
		fprintf(stderr, "  and more\n");
	if (res->fail.why == MG_OMS_UNCOVERED)
		for (i = 0; i < rep->nuncovered; i++)
			say_path(stderr, "not covered", rep->uncovered[i]);
	return status;
}

static int
say_yes(const struct art *a, const struct result *res)
{
	const struct mg_oms_report *rep = &res->report;
	char name[256], size[32];
	size_t i;

	mg_esc_line(res->st.name, name, sizeof(name));
	art_size(rep->bytes, size);
	printf(
	    "verified: %s, %ju files, %s\n", name, (uintmax_t)rep->files, size);
	if (res->signer.subject[0] != '\0')
		printf("signed by: %s (%s)\n", res->signer.subject,
		    res->signer.fp);
	else
		printf("signed by: key %s\n", res->signer.fp);
	for (i = 0; i < rep->nuncovered; i++)
		say_path(
		    stdout, "not covered by the signature", rep->uncovered[i]);
	if (fflush(stdout) != 0)
		return art_fail(a, "output", "cannot write output");
	return 0;
}

/* What could not be found out is not the same as a no. */
static int
status_of(const struct result *res)
{
	if (res->r == MG_ERR_OK)
		return 0;
	if (res->r == MG_ERR_NOMEM || res->r == MG_ERR_SYS ||
	    res->r == MG_ERR_INTERNAL || res->fail.why == MG_OMS_MOVING)
		return ART_FAILED;
	return ART_NO;
}

/* ---- doing ---- */

static struct mg_oms_trust *
make_trust(const struct art *a, struct mg_oms_fail *fail)
{
	struct mg_oms_trust *t = NULL;
	struct mg_buf pem, crl;

	mg_buf_init(&pem, MG_OMS_PEM_MAX);
	mg_buf_init(&crl, MG_OMS_PEM_MAX);
	if (a->key != NULL) {
		if (art_read(a, a->key, MG_OMS_PEM_MAX, &pem))
			t = mg_oms_trust_key(
			    mg_buf_ptr(&pem), mg_buf_len(&pem), fail);
	} else if (art_read_all(a, a->ca, a->nca, &pem) &&
		   art_read_all(a, a->crl, a->ncrl, &crl)) {
		t = mg_oms_trust_ca(mg_buf_ptr(&pem), mg_buf_len(&pem),
		    a->ncrl == 0 ? NULL : mg_buf_ptr(&crl), mg_buf_len(&crl),
		    a->identity, fail);
	}
	if (t == NULL && fail->why != MG_OMS_NONE)
		(void)art_fail(a, mg_oms_why_word(fail->why), "%s", fail->text);
	mg_buf_fini(&pem);
	mg_buf_fini(&crl);
	return t;
}

/* Trust, then content, then files: nothing is read for a stranger. */
static void
judge(struct art *a, const struct mg_oms_trust *trust, const struct mg_buf *sig,
    struct result *res)
{
	struct mg_oms_files files;
	char *buf = NULL;

	res->r = mg_oms_bundle_parse(
	    &res->bundle, mg_buf_ptr(sig), mg_buf_len(sig), &res->fail);
	if (res->r != MG_ERR_OK)
		return;
	res->r = mg_oms_bundle_verify(
	    &res->bundle, trust, mg_time_wall_ms(), &res->signer, &res->fail);
	if (res->r != MG_ERR_OK)
		return;
	res->r =
	    mg_oms_statement_parse(&res->st, mg_buf_ptr(&res->bundle.payload),
		mg_buf_len(&res->bundle.payload), &res->fail);
	if (res->r != MG_ERR_OK)
		return;
	art_files(a, art_inside(a, res->sig_file, &buf), &files);
	res->r = mg_oms_check(&res->st, &files, &res->report, &res->fail);
	art_end_progress(a);
	free(buf);
}

int
art_verify(struct art *a)
{
	struct mg_oms_trust *trust = NULL;
	struct mg_oms_fail fail;
	struct result res;
	struct mg_buf sig;
	int status = ART_FAILED;

	memset(&res, 0, sizeof(res));
	memset(&fail, 0, sizeof(fail));
	mg_buf_init(&sig, MG_OMS_BUNDLE_MAX);
	if ((res.sig_file = art_signature_path(a)) == NULL) {
		(void)art_fail(a, "no-memory", "out of memory");
		goto out;
	}
	if ((trust = make_trust(a, &fail)) == NULL ||
	    !art_read(a, res.sig_file, MG_OMS_BUNDLE_MAX, &sig))
		goto out;
	judge(a, trust, &sig, &res);
	status = status_of(&res);
	if (a->json)
		status = say_json(&res, status);
	else if (res.r == MG_ERR_OK)
		status = say_yes(a, &res);
	else
		status = say_no(a, &res, status);
out:
	mg_oms_trust_free(trust);
	mg_oms_bundle_fini(&res.bundle);
	mg_oms_statement_fini(&res.st);
	mg_oms_report_fini(&res.report);
	mg_buf_fini(&sig);
	free(res.sig_file);
	return status;
}
