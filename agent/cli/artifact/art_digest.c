/* SPDX-License-Identifier: ISC */
/* modelgate artifact digest */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "art.h"
#include "verify/mg_digest.h"

#define MANIFEST_MAX ((size_t)256 << 20)

static int
say(const struct art *a, const struct mg_digest *d)
{
	struct mg_json j;
	struct mg_buf b;

	if (!a->json) {
		if (printf("%s\n", d->text) < 0 || fflush(stdout) != 0)
			return art_fail(a, "output", "cannot write output");
		return 0;
	}
	mg_buf_init(&b, 4096);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_bool(&j, "ok", true);
	mg_json_str(&j, "digest", d->text);
	if (!a->oms) {
		mg_json_int(&j, "files", (int64_t)d->files);
		mg_json_int(&j, "bytes", (int64_t)d->bytes);
	}
	mg_json_obj_end(&j);
	return art_print_json(&j, &b, 0);
}

static int
digest_oms(struct art *a)
{
	struct mg_oms_files files;
	struct mg_oms_fail fail;
	struct mg_digest d;
	struct mg_oms_sign s;
	char root[65], *path, *buf = NULL;
	enum mg_err r;

	memset(&d, 0, sizeof(d));
	memset(&s, 0, sizeof(s));
	if ((path = art_signature_path(a)) == NULL)
		return art_fail(a, "no-memory", "out of memory");
	art_files(a, art_inside(a, path, &buf), &files);
	s.files = &files;
	s.hash = a->hash;
	s.shard_size = a->shard_size;
	s.ignore = a->ignore;
	s.nignore = a->nignore;
	r = mg_oms_root(&s, root, &fail);
	art_end_progress(a);
	free(buf);
	free(path);
	if (r != MG_ERR_OK)
		return art_fail(
		    a, mg_oms_why_word(fail.why), "%s: %s", a->path, fail.text);
	snprintf(d.text, sizeof(d.text), "sha256:%s", root);
	return say(a, &d);
}

static int
print_manifest(const struct art *a, const struct mg_buf *b)
{
	size_t n = mg_buf_len(b);

	if (fwrite(mg_buf_ptr(b), 1, n, stdout) != n || fflush(stdout) != 0)
		return art_fail(a, "output", "cannot write output");
	return 0;
}

static const char *
word_of(enum mg_err r)
{
	if (r == MG_ERR_STATE)
		return mg_oms_why_word(MG_OMS_MOVING);
	return mg_oms_why_word(
	    r == MG_ERR_NOMEM ? MG_OMS_NOMEM : MG_OMS_ARTIFACT);
}

int
art_digest(struct art *a)
{
	struct mg_digest_ask ask;
	struct mg_digest d;
	struct mg_buf manifest;
	char why[512];
	enum mg_err r;
	int status;

	if (a->oms)
		return digest_oms(a);
	memset(&ask, 0, sizeof(ask));
	ask.fd = a->fd;
	ask.max_bytes = a->max_bytes;
	ask.threads = a->threads;
	ask.progress = art_show_progress;
	ask.arg = a;
	mg_buf_init(&manifest, MANIFEST_MAX);
	r = mg_digest(
	    &ask, &d, a->manifest ? &manifest : NULL, why, sizeof(why));
	art_end_progress(a);
	if (r != MG_ERR_OK)
		status = art_fail(a, word_of(r), "%s: %s", a->path, why);
	else if (a->manifest)
		status = print_manifest(a, &manifest);
	else
		status = say(a, &d);
	mg_buf_fini(&manifest);
	return status;
}
