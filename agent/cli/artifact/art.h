/* SPDX-License-Identifier: ISC */
#ifndef ART_H
#define ART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mg_buf.h"
#include "mg_json.h"
#include "verify/mg_oms.h"

/* What the subcommands of modelgate-artifact share. */

/* Exit statuses. */
#define ART_NO 1 /* it is not what it is said to be */
#define ART_USAGE 2
#define ART_FAILED 125 /* that could not be found out */

#define ART_FILES_MAX 16 /* --ca, --cert, --crl */
#define ART_BYTES_MAX ((uint64_t)16 << 40)

struct art_progress {
	bool is_shown;
	int64_t start_ms;
	int64_t last_ms;
};

/* The options of all subcommands; each one takes only its own. */
struct art {
	const char *path; /* of the artifact, as given */
	int fd;		  /* of it */
	bool is_dir;
	char *real;	  /* its path without links; owned */
	const char *name; /* the last part of real */
	bool json, strict, oms, manifest;
	const char *signature, *key, *identity, *model_name;
	const char *ca[ART_FILES_MAX], *crl[ART_FILES_MAX];
	const char *cert[ART_FILES_MAX];
	size_t nca, ncrl, ncert;
	const char *ignore[MG_OMS_IGNORE_MAX];
	size_t nignore;
	uint64_t max_bytes, shard_size;
	enum mg_hash hash;
	unsigned threads;
	struct art_progress progress;
};

/* Each returns the exit status. */
int art_verify(struct art *a);
int art_digest(struct art *a);
int art_sign(struct art *a);

/* "modelgate artifact: PATH: TEXT" on standard error, or as JSON; returns
 * ART_FAILED. */
int art_fail(const struct art *a, const char *word, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads a whole file into b. False when told about it. */
bool art_read(
    const struct art *a, const char *path, size_t max_bytes, struct mg_buf *b);

/* The same for several, one behind the other. */
bool art_read_all(
    const struct art *a, const char *const *paths, size_t n, struct mg_buf *b);

/* What files of the artifact count; sig_path may be NULL. */
void art_files(struct art *a, const char *sig_path, struct mg_oms_files *files);

/*
 * Where the signature is or goes: --signature, else model.sig in the
 * folder, else PATH.sig. malloc'ed, NULL when memory is out.
 */
char *art_signature_path(const struct art *a);

/*
 * The path, relative to the artifact's folder, of a file that is or will
 * be at path; NULL when it is not in there. Points into a buffer that
 * *bufp gets (free it).
 */
const char *art_inside(const struct art *a, const char *path, char **bufp);

/* A callback for progress; and what ends the line. */
void art_show_progress(void *arg, uint64_t done, uint64_t total);
void art_end_progress(struct art *a);

/* "1.2 GB" */
void art_size(uint64_t bytes, char out[32]);

/* Prints a finished JSON object as one line. Returns status. */
int art_print_json(struct mg_json *j, struct mg_buf *b, int status);

#endif
