/* SPDX-License-Identifier: ISC */
/*
 * From folders to sections and lines, and the digest of all bytes.
 *
 * Rules
 * 1. Every file is read once; what is parsed are the bytes that were
 *    hashed, so that no change between two reads can slip in.
 * 2. The digest names folder, file name and length before the bytes: moving
 *    a line from one file's end to the next one's beginning changes it.
 * 3. A name in the folder that looks like a policy file but cannot be read
 *    as one is an error: a rule that is silently left out could be a deny.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_id.h"
#include "mg_ini.h"
#include "pol.h"

static const struct mg_file_rule anybody = {.any_owner = true};

static void
file_error(struct pol_source *src, const char *path, const char *text)
{
	mg_diags_add(src->ds, false, path, 0, 0, NULL, "%s", text);
}

static bool
add_name(struct pol_source *src, const char *dir, const char *name,
    bool is_operations)
{
	size_t n = strlen(dir);
	struct pol_file *f;
	char *path;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (src->files.n == POL_FILES_MAX) {
		file_error(src, dir, "more than 1024 files");
		return false;
	}
	path = pol_printf(&src->mem, "%.*s/%s", (int)n, dir, name);
	if (path == NULL ||
	    (f = pol_vec_add(&src->files, sizeof(*f))) == NULL) {
		src->no_memory = true;
		return false;
	}
	mg_buf_init(&f->text, POL_FILE_BYTES_MAX);
	f->is_operations = is_operations;
	f->path = path;
	f->name = path + n + 1;
	return true;
}

/* A folder of tools and tests may be named relatively and by links. */
static int
open_dir(
    struct pol_source *src, const char *dir, const struct mg_file_rule *rule)
{
	char why[256];
	int fd;

	if (!rule->any_owner) {
		if (mg_file_open(dir, O_DIRECTORY, rule, &fd, why,
			sizeof(why)) != MG_ERR_OK)
			file_error(src, dir, why);
		return fd;
	}
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		snprintf(why, sizeof(why), "cannot open: %s", strerror(errno));
		file_error(src, dir, why);
	}
	return fd;
}

/* "x.ini.bak", ".x.ini", "x.INI": who wrote it may believe that it counts. */
static void
warn_unread(struct pol_source *src, const char *dir, const char *name)
{
	char path[MG_DIAG_FILE_MAX];

	size_t n = strlen(name);

	if (strcasestr(name, ".ini") == NULL ||
	    (n > 8 && strcmp(name + n - 8, ".example") == 0))
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	mg_diags_add(src->ds, true, path, 0, 0, NULL,
	    "this is not read: a policy file's name ends in '.ini' and does "
	    "not begin with '.'");
}

static void
list_dir(struct pol_source *src, const char *dir, int fd, bool is_operations)
{
	struct dirent *e;
	int dup_fd;
	DIR *d;

	if ((dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) == -1 ||
	    (d = fdopendir(dup_fd)) == NULL) {
		if (dup_fd != -1)
			close(dup_fd);
		file_error(src, dir, strerror(errno));
		return;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (!mg_ini_is_name(e->d_name) && src->is_linted)
			warn_unread(src, dir, e->d_name);
		if (mg_ini_is_name(e->d_name) &&
		    !add_name(src, dir, e->d_name, is_operations))
			break;
	}
	if (e == NULL && errno != 0)
		file_error(src, dir, strerror(errno));
	closedir(d);
}

static void
read_file(struct pol_source *src, struct pol_file *f, int dirfd,
    const struct mg_file_rule *rule)
{
	char why[256] = "";
	enum mg_err r;
	int fd = -1;

	if (!mg_name_is_valid(f->name)) {
		snprintf(
		    why, sizeof(why), "file name %s", mg_name_why(f->name));
		file_error(src, f->path, why); /* Rule 3 */
		return;
	}
	r = mg_file_open_at(dirfd, f->name, 0, rule, &fd, why, sizeof(why));
	if (r == MG_ERR_OK)
		r = mg_file_read(fd, &f->text);
	if (r == MG_ERR_LIMIT)
		snprintf(why, sizeof(why), "file is larger than 64 MiB");
	else if (r == MG_ERR_NOMEM)
		src->no_memory = true;
	else if (r != MG_ERR_OK && why[0] == '\0')
		snprintf(why, sizeof(why), "cannot read: %s", strerror(errno));
	if (r != MG_ERR_OK) {
		file_error(src, f->path, why);
		mg_buf_reset(&f->text);
	}
	if (fd != -1)
		close(fd);
	src->bytes += mg_buf_len(&f->text);
}

static int
by_name(const void *a, const void *b)
{
	const struct pol_file *fa = a, *fb = b;

	if (fa->is_operations != fb->is_operations)
		return fa->is_operations ? 1 : -1;
	return strcmp(fa->name, fb->name);
}

static void
read_dir(struct pol_source *src, const char *dir,
    const struct mg_file_rule *rule, bool is_operations)
{
	uint32_t i, first = src->files.n;
	int fd;

	if ((fd = open_dir(src, dir, rule)) == -1)
		return;
	list_dir(src, dir, fd, is_operations);
	if (src->files.n > first)
		qsort(pol_file(src, first), src->files.n - first,
		    sizeof(struct pol_file), by_name);
	for (i = first; i < src->files.n && src->bytes <= POL_BYTES_MAX; i++)
		read_file(src, pol_file(src, i), fd, rule);
	if (src->bytes > POL_BYTES_MAX)
		file_error(src, dir, "more than 256 MiB of policy");
	close(fd);
}

struct sink {
	struct pol_source *src;
	uint32_t file;
};

static void
take_header(struct sink *to, const struct mg_ini_line *ln)
{
	struct pol_source *src = to->src;
	struct pol_section *s;

	if (src->sections.n == POL_SECTIONS_MAX) {
		mg_ini_error(src->ds, ln, 1, "more than 1000000 sections");
		src->is_full = true;
		return;
	}
	if ((s = pol_vec_add(&src->sections, sizeof(*s))) == NULL ||
	    (s->type = pol_strndup(
		 &src->mem, ln->section, strlen(ln->section))) == NULL ||
	    (s->name = pol_strndup(&src->mem, ln->name, strlen(ln->name))) ==
		NULL) {
		src->no_memory = true;
		return;
	}
	s->file = to->file;
	s->line = ln->line;
	s->name_col = (uint16_t)ln->name_col;
	s->first = src->lines.n;
}

static void
take(void *arg, const struct mg_ini_line *ln)
{
	struct sink *to = arg;
	struct pol_source *src = to->src;
	struct pol_line *l;

	if (src->no_memory || src->is_full)
		return;
	if (ln->key == NULL) {
		take_header(to, ln);
		return;
	}
	if (src->sections.n == 0)
		return;
	if ((l = pol_vec_add(&src->lines, sizeof(*l))) == NULL ||
	    (l->key = pol_strndup(&src->mem, ln->key, strlen(ln->key))) ==
		NULL ||
	    (l->value = pol_strndup(&src->mem, ln->value, strlen(ln->value))) ==
		NULL) {
		src->no_memory = true;
		return;
	}
	l->line = ln->line;
	l->key_col = (uint16_t)ln->key_col;
	l->value_col = (uint16_t)ln->value_col;
	pol_section(src, src->sections.n - 1)->n++;
}

static enum mg_err
parse_files(struct pol_source *src)
{
	uint32_t i;

	for (i = 0; i < src->files.n && !src->no_memory; i++) {
		struct sink to = {.src = src, .file = i};
		struct pol_file *f = pol_file(src, i);
		enum mg_err r;

		r = mg_ini_parse(f->path, (const char *)mg_buf_ptr(&f->text),
		    mg_buf_len(&f->text), take, &to, src->ds);
		if (r == MG_ERR_NOMEM)
			src->no_memory = true;
	}
	if (src->no_memory)
		return MG_ERR_NOMEM;
	return src->ds->errors > 0 ? MG_ERR_FORMAT : MG_ERR_OK;
}

enum mg_err
pol_source_read(struct pol_source *src, const struct mg_policy_source *from,
    struct mg_diags *ds)
{
	const struct mg_file_rule *rule = from->rule;

	memset(src, 0, sizeof(*src));
	src->ds = ds;
	src->is_linted = from->lint != NULL;
	if (rule == NULL)
		rule = &anybody;
	read_dir(src, from->policy_dir, rule, false);
	if (from->operations_dir != NULL)
		read_dir(src, from->operations_dir, rule, true);
	return parse_files(src);
}

enum mg_err
pol_source_take(struct pol_source *src, const struct pol_text *texts, size_t n,
    struct mg_diags *ds)
{
	size_t i;

	memset(src, 0, sizeof(*src));
	src->ds = ds;
	for (i = 0; i < n && !src->no_memory; i++) {
		if (!add_name(src, texts[i].dir, texts[i].name,
			texts[i].is_operations))
			break;
		if (mg_buf_put(&pol_file(src, (uint32_t)i)->text,
			texts[i].bytes, texts[i].len) != MG_ERR_OK)
			src->no_memory = true;
	}
	return parse_files(src);
}

static bool
hash_file(EVP_MD_CTX *md, const struct pol_file *f)
{
	char head[512];
	int n;

	n = snprintf(head, sizeof(head), "%s/%s %zu\n", /* Rule 2 */
	    f->is_operations ? "operations" : "policy", f->name,
	    mg_buf_len(&f->text));
	return n > 0 && (size_t)n < sizeof(head) &&
	       EVP_DigestUpdate(md, head, (size_t)n) == 1 &&
	       EVP_DigestUpdate(
		   md, mg_buf_ptr(&f->text), mg_buf_len(&f->text)) == 1;
}

enum mg_err
pol_source_digest(const struct pol_source *src, char *out, size_t size)
{
	unsigned char d[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len = 0;
	EVP_MD_CTX *md;
	uint32_t i;
	bool ok;

	out[0] = '\0';
	if ((md = EVP_MD_CTX_new()) == NULL)
		return MG_ERR_NOMEM;
	ok = EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(md, "modelgate policy v1\n", 20) == 1;
	for (i = 0; i < src->files.n && ok; i++)
		ok = hash_file(md, pol_file(src, i));
	ok = ok && EVP_DigestFinal_ex(md, d, &len) == 1;
	EVP_MD_CTX_free(md);
	if (!ok)
		return MG_ERR_NOMEM;
	mg_hex(d, len, hex);
	snprintf(out, size, "sha256:%s", hex);
	return MG_ERR_OK;
}

void
pol_source_fini(struct pol_source *src)
{
	uint32_t i;

	for (i = 0; i < src->files.n; i++)
		mg_buf_fini(&pol_file(src, i)->text);
	pol_vec_fini(&src->files);
	pol_vec_fini(&src->sections);
	pol_vec_fini(&src->lines);
	pol_arena_fini(&src->mem);
}

/* Copies line number line of f to out, cut to size. */
static void
copy_line(const struct pol_file *f, uint32_t line, char *out, size_t size)
{
	const char *p = (const char *)mg_buf_ptr(&f->text), *nl;
	size_t left = mg_buf_len(&f->text), n;

	out[0] = '\0';
	while (left > 0 && line > 1 && (nl = memchr(p, '\n', left)) != NULL) {
		left -= (size_t)(nl + 1 - p);
		p = nl + 1;
		line--;
	}
	if (left == 0)
		return;
	nl = memchr(p, '\n', left);
	n = nl == NULL ? left : (size_t)(nl - p);
	if (n >= size)
		n = size - 1;
	memcpy(out, p, n);
	out[n] = '\0';
}

void
pol_diag(struct pol_source *src, bool is_warning, uint32_t file, uint32_t line,
    unsigned col, const char *fmt, ...)
{
	char text[MG_DIAG_TEXT_MAX], at[MG_INI_LINE_MAX + 1] = "";
	const struct pol_file *f = pol_file(src, file);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (src->ds->n < MG_DIAG_MAX ||
	    (!is_warning && src->ds->errors < MG_DIAG_MAX))
		copy_line(f, line, at, sizeof(at));
	mg_diags_add(src->ds, is_warning, f->path, line, col, at, "%s", text);
}
