/* SPDX-License-Identifier: ISC */
/* Files, progress and messages of modelgate-artifact. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "art.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_time.h"

#define BAR_WIDTH 24
#define SHOW_AFTER_MS 300

int
art_fail(const struct art *a, const char *word, const char *fmt, ...)
{
	char text[1024], esc[1200];
	struct mg_json j;
	struct mg_buf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mg_esc_line(text, esc, sizeof(esc));
	if (!a->json) {
		fprintf(stderr, "modelgate artifact: %s\n", esc);
		return ART_FAILED;
	}
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_bool(&j, "ok", false);
	mg_json_str(&j, "code", word);
	mg_json_str(&j, "text", esc);
	mg_json_obj_end(&j);
	return art_print_json(&j, &b, ART_FAILED);
}

int
art_print_json(struct mg_json *j, struct mg_buf *b, int status)
{
	const char *line = NULL;

	if (mg_json_end(j) == MG_ERR_OK)
		line = mg_buf_cstr(b);
	if (line == NULL || printf("%s\n", line) < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "modelgate artifact: cannot write output\n");
		status = ART_FAILED;
	}
	mg_buf_fini(b);
	return status;
}

/* ---- files ---- */

bool
art_read(
    const struct art *a, const char *path, size_t max_bytes, struct mg_buf *b)
{
	struct stat st;
	enum mg_err r;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &st) != 0) {
		(void)art_fail(a, "unreadable", "cannot open '%s': %s", path,
		    strerror(errno));
		if (fd != -1)
			close(fd);
		return false;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
	    (uint64_t)st.st_size > max_bytes) {
		close(fd);
		(void)art_fail(a, "unreadable",
		    "'%s' is not a file of %zu bytes "
		    "or less",
		    path, max_bytes);
		return false;
	}
	r = mg_file_read(fd, b);
	close(fd);
	if (r != MG_ERR_OK)
		(void)art_fail(a, "unreadable", "cannot read '%s': %s", path,
		    mg_err_str(r));
	return r == MG_ERR_OK;
}

bool
art_read_all(
    const struct art *a, const char *const *paths, size_t n, struct mg_buf *b)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!art_read(a, paths[i], MG_OMS_PEM_MAX, b))
			return false;
		/* A file need not end with a newline; PEM has to. */
		if (mg_buf_put_u8(b, '\n') != MG_ERR_OK) {
			(void)art_fail(
			    a, "too-large", "'%s' is too large", paths[i]);
			return false;
		}
	}
	return true;
}

void
art_files(struct art *a, const char *sig_path, struct mg_oms_files *files)
{
	memset(files, 0, sizeof(*files));
	files->fd = a->fd;
	files->basename = a->is_dir ? NULL : a->name;
	files->sig_path = sig_path;
	files->max_bytes = a->max_bytes;
	files->strict = a->strict;
	files->threads = a->threads;
	files->progress = art_show_progress;
	files->arg = a;
}

char *
art_signature_path(const struct art *a)
{
	char *s;

	if (a->signature != NULL)
		return strdup(a->signature);
	if (asprintf(&s, a->is_dir ? "%s/model.sig" : "%s.sig", a->real) == -1)
		return NULL;
	return s;
}

const char *
art_inside(const struct art *a, const char *path, char **bufp)
{
	size_t n = strlen(a->real);
	const char *slash = strrchr(path, '/');
	char *dir, real[PATH_MAX], *full;

	*bufp = NULL;
	if (!a->is_dir)
		return NULL;
	/* The file may not be there yet; its folder has to. */
	dir = slash == NULL   ? strdup(".")
	      : slash == path ? strdup("/")
			      : strndup(path, (size_t)(slash - path));
	if (dir == NULL || realpath(dir, real) == NULL) {
		free(dir);
		return NULL;
	}
	free(dir);
	if (asprintf(&full, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
		slash == NULL ? path : slash + 1) == -1)
		return NULL;
	if (strncmp(full, a->real, n) != 0 || full[n] != '/') {
		free(full);
		return NULL;
	}
	*bufp = full;
	return full + n + 1;
}

/* ---- progress ---- */

void
art_size(uint64_t bytes, char out[32])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
	double v = (double)bytes / 1000;
	size_t i = 0;

	if (bytes < 1000) {
		snprintf(out, 32, "%u bytes", (unsigned)bytes);
		return;
	}
	for (; v >= 999.95 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		v /= 1000;
	snprintf(out, 32, "%.1f %s", v, units[i]);
}

static void
draw(const struct art_progress *p, int64_t now, uint64_t done, uint64_t total)
{
	char bar[BAR_WIDTH + 1], a[32], b[32], rate[32], left[MG_DURATION_STR];
	uint64_t ms = (uint64_t)(now - p->start_ms), per_s;
	size_t full = (size_t)((double)done / (double)total * BAR_WIDTH);

	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '#', full < BAR_WIDTH ? full : BAR_WIDTH);
	bar[BAR_WIDTH] = '\0';
	per_s = (uint64_t)((double)done * 1000 / (double)(ms + 1)) + 1;
	art_size(done, a);
	art_size(total, b);
	art_size(per_s, rate);
	mg_duration_format((int64_t)((total - done) / per_s) * 1000, left);
	fprintf(stderr, "\r[%s] %3u%%  %s of %s, %s/s, %s left \x1b[K", bar,
	    (unsigned)((double)done / (double)total * 100), a, b, rate, left);
}

void
art_show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct art *a = arg;
	struct art_progress *p = &a->progress;
	int64_t now = mg_time_boot_ms();

	if (p->start_ms == 0)
		p->start_ms = now;
	if (total == 0 || done > total || !isatty(STDERR_FILENO) ||
	    now - p->start_ms < SHOW_AFTER_MS)
		return;
	p->is_shown = true;
	draw(p, now, done, total);
}

void
art_end_progress(struct art *a)
{
	if (a->progress.is_shown)
		fprintf(stderr, "\r\x1b[K");
	a->progress.is_shown = false;
}
