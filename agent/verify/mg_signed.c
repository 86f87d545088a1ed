/* SPDX-License-Identifier: ISC */
/*
 * Whether one of several signers signed an artifact.
 *
 * Rules
 * 1. The signature is reached from the artifact's own descriptor, with no
 *    symbolic link, and is a plain file of bounded size: its owner put it
 *    there.
 * 2. A signer's file is public keys, or certificates with the identities
 *    that count: a root alone would let in everybody whom it ever
 *    certified.
 * 3. Every file has to be covered: a signature's own list of what it leaves
 *    out would be a place to put code that nobody signed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mg_buf.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "verify/mg_oms.h"
#include "verify/mg_signed.h"

#define BEGIN_KEY "-----BEGIN PUBLIC KEY-----"
#define BEGIN_CERT "-----BEGIN CERTIFICATE-----"
#define IDENTITY "identity:"

struct judge {
	const struct mg_signed_ask *ask;
	struct mg_oms_bundle bundle;
	struct mg_oms_signer signer;
	struct mg_oms_fail fail;
	bool found;
};

/* ---- the signature ---- */

/* Rule 1 */
static enum mg_err
open_signature(int dir, int *fdp, char *why, size_t size)
{
	struct open_how how;
	struct stat st;
	int fd;

	memset(&how, 0, sizeof(how));
	how.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
	fd = (int)syscall(SYS_openat2, dir, MG_SIGNED_FILE, &how, sizeof(how));
	if (fd == -1) {
		snprintf(why, size, "no signature: cannot open '%s': %s",
		    MG_SIGNED_FILE, strerror(errno));
		return MG_ERR_NOENT;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		snprintf(why, size, "'%s' is not a file", MG_SIGNED_FILE);
		return MG_ERR_PERM;
	}
	*fdp = fd;
	return MG_ERR_OK;
}

static enum mg_err
read_bundle(struct judge *j, char *why, size_t size)
{
	struct mg_buf b;
	enum mg_err r;
	int fd;

	if ((r = open_signature(j->ask->fd, &fd, why, size)) != MG_ERR_OK)
		return r;
	mg_buf_init(&b, MG_OMS_BUNDLE_MAX);
	if ((r = mg_file_read(fd, &b)) != MG_ERR_OK) {
		snprintf(why, size, "cannot read '%s': %s", MG_SIGNED_FILE,
		    mg_err_str(r));
	} else {
		r = mg_oms_bundle_parse(
		    &j->bundle, mg_buf_ptr(&b), mg_buf_len(&b), &j->fail);
		if (r != MG_ERR_OK)
			snprintf(
			    why, size, "%s: %s", MG_SIGNED_FILE, j->fail.text);
	}
	close(fd);
	mg_buf_fini(&b);
	return r;
}

/* ---- signers ---- */

static void
try_trust(struct judge *j, struct mg_oms_trust *trust)
{
	struct mg_oms_fail fail;

	if (trust == NULL)
		return;
	j->found = mg_oms_bundle_verify(&j->bundle, trust, j->ask->now_ms,
		       &j->signer, &fail) == MG_ERR_OK;
	/* Of many reasons the one of a key that could have been it. */
	if (!j->found &&
	    (j->fail.why == MG_OMS_NONE ||
		(fail.why != MG_OMS_OTHER_KEY && fail.why != MG_OMS_METHOD)))
		j->fail = fail;
	mg_oms_trust_free(trust);
}

static void
try_keys(struct judge *j, const char *text)
{
	struct mg_oms_fail fail;
	const char *p;

	for (p = strstr(text, BEGIN_KEY); p != NULL && !j->found;
	     p = strstr(p + 1, BEGIN_KEY))
		try_trust(j, mg_oms_trust_key(p, strlen(p), &fail));
}

/* Rule 2 */
static void
try_certificates(struct judge *j, const char *text)
{
	char id[MG_SIGNED_IDENTITY_MAX + 1];
	struct mg_oms_fail fail;
	const char *p, *v;
	size_t n;

	if (strstr(text, BEGIN_CERT) == NULL)
		return;
	for (p = text; p != NULL && !j->found; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, IDENTITY, strlen(IDENTITY)) != 0)
			continue;
		v = p + strlen(IDENTITY);
		v += strspn(v, " \t");
		n = strcspn(v, "\n");
		if (n == 0 || n > MG_SIGNED_IDENTITY_MAX)
			continue;
		memcpy(id, v, n);
		id[n] = '\0';
		try_trust(
		    j, mg_oms_trust_ca(text, strlen(text), NULL, 0, id, &fail));
	}
}

static enum mg_err
try_signer(struct judge *j, const uint8_t *pem, size_t n)
{
	char *text;

	if ((text = malloc(n + 1)) == NULL)
		return MG_ERR_NOMEM;
	memcpy(text, pem, n);
	text[n] = '\0'; /* what stands behind a NUL is not read */
	try_keys(j, text);
	if (!j->found)
		try_certificates(j, text);
	free(text);
	return MG_ERR_OK;
}

static enum mg_err
find_signer(struct judge *j, struct mg_signed *out)
{
	const struct mg_signed_ask *ask = j->ask;
	const uint8_t *pem;
	const char *name;
	struct mg_buf b;
	enum mg_err r = MG_ERR_OK;
	size_t n, i;

	mg_buf_init_read(&b, ask->signers, ask->signers_len);
	for (i = 0; mg_buf_len(&b) > 0 && !j->found; i++) {
		if (i == MG_SIGNED_SIGNERS_MAX)
			return MG_ERR_LIMIT;
		if ((r = mg_buf_get_str(&b, sizeof(out->signer) - 1, &name)) !=
			MG_ERR_OK ||
		    (r = mg_buf_get_bytes(&b, MG_SIGNED_PEM_MAX, &pem, &n)) !=
			MG_ERR_OK ||
		    (r = try_signer(j, pem, n)) != MG_ERR_OK)
			return r;
		if (j->found) {
			snprintf(out->signer, sizeof(out->signer), "%s", name);
			snprintf(out->fp, sizeof(out->fp), "%s", j->signer.fp);
		}
	}
	return MG_ERR_OK;
}

/* ---- the files ---- */

static void
say_difference(const struct mg_oms_report *rep, const struct mg_oms_fail *fail,
    char *why, size_t size)
{
	const char *path = NULL;
	char esc[200];

	if (rep->ndiffs > 0)
		path = rep->diffs[0].path;
	else if (fail->why == MG_OMS_UNCOVERED && rep->nuncovered > 0)
		path = rep->uncovered[0];
	if (path == NULL) {
		snprintf(why, size, "%s", fail->text);
		return;
	}
	mg_esc_line(path, esc, sizeof(esc));
	snprintf(why, size, "%s: '%s'", fail->text, esc);
}

static enum mg_err
check_files(struct judge *j, char *why, size_t size)
{
	struct mg_oms_files files = {.fd = j->ask->fd,
	    .sig_path = MG_SIGNED_FILE,
	    .max_bytes = j->ask->max_bytes,
	    .strict = true, /* Rule 3 */
	    .progress = j->ask->progress,
	    .arg = j->ask->arg};
	struct mg_oms_statement st;
	struct mg_oms_report rep;
	enum mg_err r;

	memset(&rep, 0, sizeof(rep));
	r = mg_oms_statement_parse(&st, mg_buf_ptr(&j->bundle.payload),
	    mg_buf_len(&j->bundle.payload), &j->fail);
	if (r == MG_ERR_OK)
		r = mg_oms_check(&st, &files, &rep, &j->fail);
	if (r != MG_ERR_OK)
		say_difference(&rep, &j->fail, why, size);
	mg_oms_report_fini(&rep);
	mg_oms_statement_fini(&st);
	return r;
}

enum mg_err
mg_signed_check(const struct mg_signed_ask *ask, struct mg_signed *out,
    char *why, size_t why_size)
{
	struct judge j = {.ask = ask};
	enum mg_err r;

	memset(out, 0, sizeof(*out));
	why[0] = '\0';
	if ((r = read_bundle(&j, why, why_size)) != MG_ERR_OK)
		goto out;
	if ((r = find_signer(&j, out)) != MG_ERR_OK)
		goto out;
	if (!j.found) {
		snprintf(why, why_size, "signed by none of the signers: %s",
		    j.fail.why == MG_OMS_NONE ? "they have no usable key"
					      : j.fail.text);
		r = MG_ERR_PERM;
		goto out;
	}
	r = check_files(&j, why, why_size);
out:
	if (r != MG_ERR_OK) {
		memset(out, 0, sizeof(*out));
		if (why[0] == '\0')
			snprintf(why, why_size, "%s", mg_err_str(r));
	}
	mg_oms_bundle_fini(&j.bundle);
	return r;
}
