/* SPDX-License-Identifier: ISC */
/* modelgate artifact sign */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "art.h"
#include "mg_file.h"

/* Replaces the file at path as a whole. */
static int
put_file(const struct art *a, const char *path, const struct mg_buf *b)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	enum mg_err r = MG_ERR_SYS;
	int fd;

	dir = slash == NULL   ? strdup(".")
	      : slash == path ? strdup("/")
			      : strndup(path, (size_t)(slash - path));
	if (dir == NULL)
		return art_fail(a, "no-memory", "out of memory");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (fd != -1) {
		r = mg_file_replace_at(fd, slash == NULL ? path : slash + 1,
		    mg_buf_ptr(b), mg_buf_len(b), 0644);
		close(fd);
	}
	if (r != MG_ERR_OK)
		return art_fail(a, "unwritable", "cannot write '%s': %s", path,
		    strerror(errno));
	return 0;
}

/* Told, not refused: on a build server all files look like this. */
static void
warn_of_open_key(const struct art *a)
{
	struct stat st;

	if (stat(a->key, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
		fprintf(stderr,
		    "modelgate artifact: warning: others can read the private "
		    "key\n");
}

static int
say(const struct art *a, const char *path, const char *root)
{
	struct mg_json j;
	struct mg_buf b;

	if (!a->json) {
		printf("signed: %s\nsignature: %s\n", root, path);
		return fflush(stdout) == 0
			   ? 0
			   : art_fail(a, "output", "cannot write output");
	}
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_bool(&j, "ok", true);
	mg_json_str(&j, "root", root);
	mg_json_str(&j, "signature", path);
	mg_json_obj_end(&j);
	return art_print_json(&j, &b, 0);
}

static int
sign(struct art *a, const char *path, const struct mg_buf *key,
    const struct mg_buf *certs)
{
	struct mg_oms_files files;
	struct mg_oms_fail fail;
	struct mg_oms_sign s;
	struct mg_buf out;
	char root[72] = "sha256:", *buf = NULL;
	enum mg_err r;
	int status;

	memset(&s, 0, sizeof(s));
	mg_buf_init(&out, MG_OMS_BUNDLE_MAX);
	art_files(a, art_inside(a, path, &buf), &files);
	s.files = &files;
	s.name = a->model_name != NULL ? a->model_name : a->name;
	s.ignore = a->ignore;
	s.nignore = a->nignore;
	s.hash = a->hash;
	s.shard_size = a->shard_size;
	s.key = mg_buf_ptr(key);
	s.key_len = mg_buf_len(key);
	s.certs = a->ncert == 0 ? NULL : mg_buf_ptr(certs);
	s.certs_len = mg_buf_len(certs);
	r = mg_oms_sign(&s, &out, root + 7, &fail);
	art_end_progress(a);
	if (r != MG_ERR_OK)
		status = art_fail(
		    a, mg_oms_why_word(fail.why), "%s: %s", a->path, fail.text);
	else if ((status = put_file(a, path, &out)) == 0)
		status = say(a, path, root);
	mg_buf_fini(&out);
	free(buf);
	return status;
}

int
art_sign(struct art *a)
{
	struct mg_buf key, certs;
	char *path;
	int status = ART_FAILED;

	mg_buf_init_secret(&key, MG_OMS_PEM_MAX);
	mg_buf_init(&certs, MG_OMS_PEM_MAX);
	if ((path = art_signature_path(a)) == NULL) {
		(void)art_fail(a, "no-memory", "out of memory");
	} else if (art_read(a, a->key, MG_OMS_PEM_MAX, &key) &&
		   art_read_all(a, a->cert, a->ncert, &certs)) {
		warn_of_open_key(a);
		status = sign(a, path, &key, &certs);
	}
	free(path);
	mg_buf_fini(&key);
	mg_buf_fini(&certs);
	return status;
}
