/* SPDX-License-Identifier: ISC */
/*
 * policy fmt: files in one form.
 *
 * Works on lines, so that comments stay where they are; then reads both
 * texts with the strict reader and compares what they say. A text that
 * cannot be read, or would say something else, is left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_ini.h"
#include "pcli.h"

static const char help[] =
    "fmt [-w] [--check] FILE|DIR...\n\n"
    "Writes policy files in one form: `key = value`, one blank between the\n"
    "entries of a list, one empty line between sections, comments kept. What\n"
    "they say does not change.\n\n"
    "  -w        write the files, instead of printing to standard output\n"
    "  --check   only name the files that would change\n\n"
    "exit status: 0 fine, 1 with --check: some would change, 125 a file\n"
    "cannot be read or written\n";

/* ---- one text ---- */

struct fmt {
	struct mg_buf *out;
	enum mg_err r;
	unsigned blanks; /* empty lines that wait to be written */
	bool any;	 /* something was written */
};

static void
put(struct fmt *f, const char *s, size_t n)
{
	if (f->r == MG_ERR_OK)
		f->r = mg_buf_put(f->out, s, n);
}

static void
begin_line(struct fmt *f, bool is_header)
{
	if (f->any && (f->blanks > 0 || is_header))
		put(f, "\n", 1);
	f->blanks = 0;
	f->any = true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Where the comment behind a value or header begins; else the end. */
static size_t
content_length(const char *s, size_t n)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '"')
			quoted = !quoted;
		else if (s[i] == ';' && !quoted && i > 0 && is_blank(s[i - 1]))
			break;
	}
	return i;
}

static void
put_comment(struct fmt *f, const char *s, size_t n)
{
	while (n > 0 && (is_blank(*s) || *s == ';')) {
		s++;
		n--;
	}
	while (n > 0 && is_blank(s[n - 1]))
		n--;
	if (n == 0)
		return;
	put(f, " ; ", 3);
	put(f, s, n);
}

/*
 * A value with one blank where there are several, one behind each ',', none
 * before it; untouched inside quotes.
 */
static void
put_value(struct fmt *f, const char *s, size_t n)
{
	bool quoted = false, blank = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '"')
			quoted = !quoted;
		if (!quoted && is_blank(s[i])) {
			blank = true;
			continue;
		}
		if (!quoted && s[i] == ',') {
			put(f, ",", 1);
			blank = true;
			continue;
		}
		if (blank)
			put(f, " ", 1);
		blank = false;
		put(f, &s[i], 1);
	}
}

/* Text for people is not a list. */
static bool
is_prose(const char *key, size_t n)
{
	return (n == 11 && memcmp(key, "description", 11) == 0) ||
	       (n == 7 && memcmp(key, "command", 7) == 0);
}

static void
put_setting(struct fmt *f, const char *s, size_t n)
{
	const char *eq = memchr(s, '=', n);
	size_t key = (size_t)(eq - s), at = key + 1, len, trimmed;

	while (key > 0 && is_blank(s[key - 1]))
		key--;
	while (at < n && is_blank(s[at]))
		at++;
	put(f, s, key);
	put(f, " = ", 3);
	len = content_length(s + at, n - at);
	for (trimmed = len; trimmed > 0 && is_blank(s[at + trimmed - 1]);)
		trimmed--;
	if (is_prose(s, key))
		put(f, s + at, trimmed);
	else
		put_value(f, s + at, trimmed);
	put_comment(f, s + at + len, n - at - len);
}

static void
put_header(struct fmt *f, const char *s, size_t n)
{
	const char *close = memchr(s, ']', n);
	size_t len = (size_t)(close - s), i;
	bool blank = false;

	for (i = 0; i < len; i++) {
		if (is_blank(s[i])) {
			blank = true;
			continue;
		}
		if (blank)
			put(f, " ", 1);
		blank = false;
		put(f, &s[i], 1);
	}
	put(f, "]", 1);
	put_comment(f, close + 1, n - len - 1);
}

static void
put_line(struct fmt *f, const char *s, size_t n)
{
	while (n > 0 && is_blank(s[n - 1]))
		n--;
	if (n == 0) {
		f->blanks++;
		return;
	}
	begin_line(f, false);
	if (*s == ';' || *s == '#')
		put(f, s, n);
	else if (*s == '[')
		put_header(f, s, n);
	else
		put_setting(f, s, n);
	put(f, "\n", 1);
}

/* Whether the next thing behind comments at s is a header. */
static bool
leads_to_header(const char *s, const char *end)
{
	while (s < end) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));

		if (*s == '[')
			return true;
		if (*s != ';' && *s != '#')
			return false;
		s = nl == NULL ? end : nl + 1;
	}
	return false;
}

static enum mg_err
format_text(const char *s, size_t n, struct mg_buf *out)
{
	struct fmt f = {.out = out};
	const char *end = s + n, *nl;
	bool in_lead = false; /* comments right above a header */

	while (s < end && f.r == MG_ERR_OK) {
		nl = memchr(s, '\n', (size_t)(end - s));
		nl = nl == NULL ? end : nl;
		/* An empty line above a section and its comments. */
		if (!in_lead && leads_to_header(s, end)) {
			f.blanks += f.any;
			in_lead = true;
		}
		if (*s != ';' && *s != '#')
			in_lead = false;
		put_line(&f, s, (size_t)(nl - s));
		s = nl < end ? nl + 1 : end;
	}
	return f.r;
}

/* ---- the same in other words ---- */

/* What a text says, as one text without blanks outside quotes. */
struct meaning {
	struct mg_buf b;
	enum mg_err r;
};

static void
note(void *arg, const struct mg_ini_line *ln)
{
	struct meaning *m = arg;
	const char *s;

	if (m->r != MG_ERR_OK)
		return;
	m->r = mg_buf_putf(&m->b, "[%s %s] %s=", ln->section, ln->name,
	    ln->key == NULL ? "" : ln->key);
	for (s = ln->key == NULL ? "" : ln->value; *s != '\0'; s++)
		if (!is_blank(*s) && m->r == MG_ERR_OK)
			m->r = mg_buf_put(&m->b, s, 1);
	if (m->r == MG_ERR_OK)
		m->r = mg_buf_put(&m->b, "\n", 1);
}

static enum mg_err
meaning_of(const char *file, const struct mg_buf *text, struct meaning *m,
    struct mg_diags *ds)
{
	enum mg_err r;

	m->r = MG_ERR_OK;
	mg_buf_init(&m->b, 4 * POL_FILE_BYTES_MAX);
	r = mg_ini_parse(file, (const char *)mg_buf_ptr(text), mg_buf_len(text),
	    note, m, ds);
	return r == MG_ERR_OK ? m->r : r;
}

static bool
is_equal(const struct mg_buf *a, const struct mg_buf *b)
{
	return mg_buf_len(a) == mg_buf_len(b) &&
	       (mg_buf_len(a) == 0 ||
		   memcmp(mg_buf_ptr(a), mg_buf_ptr(b), mg_buf_len(a)) == 0);
}

/* ---- files ---- */

struct run {
	bool write, check;
	unsigned changed;
	int status;
};

static void
failed(struct run *run, const char *path, const char *what)
{
	pcli_error("%s: %s", path, what);
	run->status = PCLI_FAILED;
}

static enum mg_err
read_file(const char *path, struct mg_buf *b)
{
	enum mg_err r;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1)
		return MG_ERR_SYS;
	r = mg_file_read(fd, b);
	close(fd);
	return r;
}

/* Through a new file beside it, so that nobody ever reads half of it. */
static enum mg_err
write_file(const char *path, const struct mg_buf *b)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	struct stat st;
	enum mg_err r;
	int fd;

	snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : (int)(slash - path + 1),
	    slash == NULL ? "." : path);
	if (stat(path, &st) != 0 ||
	    (fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return MG_ERR_SYS;
	r = mg_file_replace_at(fd, slash == NULL ? path : slash + 1,
	    mg_buf_ptr(b), mg_buf_len(b), st.st_mode & 07777);
	close(fd);
	return r;
}

static void
emit(struct run *run, const char *path, const struct mg_buf *old,
    const struct mg_buf *new)
{
	bool same = is_equal(old, new);

	run->changed += !same;
	if (run->check) {
		if (!same)
			puts(path);
	} else if (!run->write) {
		fwrite(mg_buf_ptr(new), 1, mg_buf_len(new), stdout);
	} else if (!same && write_file(path, new) != MG_ERR_OK) {
		failed(run, path, strerror(errno));
	}
}

static void
format_file(struct run *run, const char *path)
{
	struct mg_buf old, new;
	struct meaning a, b;
	static struct mg_diags ds;

	mg_diags_init(&ds);
	mg_buf_init(&old, POL_FILE_BYTES_MAX);
	mg_buf_init(&new, 2 * POL_FILE_BYTES_MAX);
	mg_buf_init(&a.b, 0);
	mg_buf_init(&b.b, 0);
	if (read_file(path, &old) != MG_ERR_OK) {
		failed(run, path, strerror(errno));
	} else if (meaning_of(path, &old, &a, &ds) != MG_ERR_OK) {
		pcli_print_diags(&ds);
		run->status = PCLI_FAILED;
	} else if (mg_buf_len(&old) > 0 &&
		   (format_text((const char *)mg_buf_ptr(&old),
			mg_buf_len(&old), &new) != MG_ERR_OK ||
		       meaning_of(path, &new, &b, &ds) != MG_ERR_OK ||
		       !is_equal(&a.b, &b.b))) {
		failed(run, path, "left alone: it would say something else");
	} else {
		emit(run, path, &old, &new);
	}
	mg_buf_fini(&old);
	mg_buf_fini(&new);
	mg_buf_fini(&a.b);
	mg_buf_fini(&b.b);
}

static int
is_ini(const struct dirent *e)
{
	return mg_ini_is_name(e->d_name);
}

static void
format_path(struct run *run, const char *path)
{
	struct dirent **v = NULL;
	struct stat st;
	char *file;
	int n, i;

	if (stat(path, &st) != 0) {
		failed(run, path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		format_file(run, path);
		return;
	}
	n = scandir(path, &v, is_ini, alphasort);
	for (i = 0; i < n; i++) {
		if (asprintf(&file, "%s/%s", path, v[i]->d_name) != -1) {
			format_file(run, file);
			free(file);
		}
		free(v[i]);
	}
	free(v);
	if (n == -1)
		failed(run, path, strerror(errno));
}

int
pcli_fmt(int argc, char **argv)
{
	struct run run = {.status = PCLI_OK};
	const struct pcli_opt opts[] = {{"-w", &run.write, NULL},
	    {"--check", &run.check, NULL}, {NULL, NULL, NULL}};
	struct pcli c;
	int status, i;

	if (!pcli_init(&c, "fmt"))
		return PCLI_FAILED;
	if ((status = pcli_args(&c, argc, argv, opts, help)) >= 0)
		goto out;
	if (c.npos == 0) {
		status = pcli_usage("fmt [-w] [--check] FILE|DIR...");
		goto out;
	}
	for (i = 0; i < c.npos; i++)
		format_path(&run, c.pos[i]);
	status = run.status;
	if (status == PCLI_OK && run.check && run.changed > 0)
		status = PCLI_NO;
out:
	pcli_fini(&c);
	return status;
}
