/* SPDX-License-Identifier: ISC */
/*
 * modelgate-artifact: digests and signatures of model folders. Needs no
 * agent, no root and no configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/crypto.h>

#include "art.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_name.h"

enum opt {
	OPT_HELP = 256,
	OPT_JSON,
	OPT_STRICT,
	OPT_OMS,
	OPT_MANIFEST,
	OPT_SIGNATURE,
	OPT_KEY,
	OPT_IDENTITY,
	OPT_CA,
	OPT_CRL,
	OPT_CERT,
	OPT_IGNORE,
	OPT_NAME,
	OPT_HASH,
	OPT_SHARD_SIZE,
	OPT_MAX_BYTES,
	OPT_THREADS,
};

static const struct option common[] = {
    {"help", no_argument, NULL, OPT_HELP},
    {"json", no_argument, NULL, OPT_JSON},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"oms", no_argument, NULL, OPT_OMS},
    {"manifest", no_argument, NULL, OPT_MANIFEST},
    {"signature", required_argument, NULL, OPT_SIGNATURE},
    {"key", required_argument, NULL, OPT_KEY},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"ca", required_argument, NULL, OPT_CA},
    {"crl", required_argument, NULL, OPT_CRL},
    {"cert", required_argument, NULL, OPT_CERT},
    {"ignore", required_argument, NULL, OPT_IGNORE},
    {"name", required_argument, NULL, OPT_NAME},
    {"hash", required_argument, NULL, OPT_HASH},
    {"shard-size", required_argument, NULL, OPT_SHARD_SIZE},
    {"max-bytes", required_argument, NULL, OPT_MAX_BYTES},
    {"threads", required_argument, NULL, OPT_THREADS},
    {NULL, 0, NULL, 0},
};

#define BIT(o) (1u << ((o)-OPT_HELP))

static const struct command {
	const char *name;
	int (*fn)(struct art *a);
	unsigned allowed; /* set of BIT(enum opt) */
	const char *usage;
} commands[] = {
    {"verify", art_verify,
	BIT(OPT_JSON) | BIT(OPT_STRICT) | BIT(OPT_SIGNATURE) | BIT(OPT_KEY) |
	    BIT(OPT_IDENTITY) | BIT(OPT_CA) | BIT(OPT_CRL) |
	    BIT(OPT_MAX_BYTES) | BIT(OPT_THREADS),
	"verify PATH [--signature FILE] [--strict] [--json]\n"
	"    (--key PEM | --ca PEM... --identity sha256:HEX|SUBJECT [--crl "
	"PEM]...)"},
    {"digest", art_digest,
	BIT(OPT_JSON) | BIT(OPT_OMS) | BIT(OPT_MANIFEST) | BIT(OPT_SIGNATURE) |
	    BIT(OPT_IGNORE) | BIT(OPT_HASH) | BIT(OPT_SHARD_SIZE) |
	    BIT(OPT_MAX_BYTES) | BIT(OPT_THREADS),
	"digest PATH [--json | --manifest]\n"
	"       modelgate artifact digest PATH --oms [--signature FILE]\n"
	"    [--ignore PATH]... [--hash sha256|blake2b] [--shard-size BYTES] "
	"[--json]"},
    {"sign", art_sign,
	BIT(OPT_JSON) | BIT(OPT_SIGNATURE) | BIT(OPT_KEY) | BIT(OPT_CERT) |
	    BIT(OPT_IGNORE) | BIT(OPT_NAME) | BIT(OPT_HASH) |
	    BIT(OPT_SHARD_SIZE) | BIT(OPT_MAX_BYTES) | BIT(OPT_THREADS),
	"sign PATH --key PEM [--cert PEM]... [--signature FILE]\n"
	"    [--name NAME] [--ignore PATH]... [--hash sha256|blake2b]\n"
	"    [--shard-size BYTES] [--json]"},
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static int
usage(const struct command *c, FILE *out)
{
	size_t i;

	if (c != NULL) {
		fprintf(out, "usage: modelgate artifact %s\n", c->usage);
		return ART_USAGE;
	}
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(out, "%s modelgate artifact %s\n",
		    i == 0 ? "usage:" : "      ", commands[i].usage);
	return ART_USAGE;
}

static bool
wrong(const char *option, const char *why)
{
	fprintf(stderr, "modelgate artifact: --%s %s\n", option, why);
	return false;
}

/* Digits only. */
static bool
number(const char *s, uint64_t max, uint64_t *vp)
{
	uint64_t v = 0;

	if (*s == '\0' || strlen(s) > 18)
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	*vp = v;
	return *s == '\0' && v > 0 && v <= max;
}

static bool
add(const char **v, size_t *np, size_t max, const char *option)
{
	if (*np == max)
		return wrong(option, "is given too often");
	v[(*np)++] = optarg;
	return true;
}

static bool
set_once(const char **p, const char *option)
{
	if (*p != NULL)
		return wrong(option, "is given twice");
	*p = optarg;
	return true;
}

static bool
set_hash(struct art *a)
{
	if (strcmp(optarg, "sha256") == 0)
		a->hash = MG_HASH_SHA256;
	else if (strcmp(optarg, "blake2b") == 0)
		a->hash = MG_HASH_BLAKE2B;
	else
		return wrong("hash", "is not sha256 or blake2b");
	return true;
}

static bool
set_number(uint64_t *vp, uint64_t max, const char *option)
{
	if (!number(optarg, max, vp))
		return wrong(option, "is not a number, or out of range");
	return true;
}

static bool
set_threads(struct art *a)
{
	uint64_t v = 0;

	if (!set_number(&v, MG_HASH_THREADS_MAX, "threads"))
		return false;
	a->threads = (unsigned)v;
	return true;
}

static bool
take(struct art *a, enum opt o)
{
	switch (o) {
	case OPT_JSON:
		return a->json = true;
	case OPT_STRICT:
		return a->strict = true;
	case OPT_OMS:
		return a->oms = true;
	case OPT_MANIFEST:
		return a->manifest = true;
	case OPT_SIGNATURE:
		return set_once(&a->signature, "signature");
	case OPT_KEY:
		return set_once(&a->key, "key");
	case OPT_IDENTITY:
		return set_once(&a->identity, "identity");
	case OPT_NAME:
		return set_once(&a->model_name, "name");
	case OPT_CA:
		return add(a->ca, &a->nca, ART_FILES_MAX, "ca");
	case OPT_CRL:
		return add(a->crl, &a->ncrl, ART_FILES_MAX, "crl");
	case OPT_CERT:
		return add(a->cert, &a->ncert, ART_FILES_MAX, "cert");
	case OPT_IGNORE:
		return add(
		    a->ignore, &a->nignore, MG_OMS_IGNORE_MAX - 8, "ignore");
	case OPT_HASH:
		return set_hash(a);
	case OPT_SHARD_SIZE:
		return set_number(
		    &a->shard_size, (uint64_t)1 << 50, "shard-size");
	case OPT_MAX_BYTES:
		return set_number(&a->max_bytes, UINT64_MAX, "max-bytes");
	case OPT_THREADS:
		return set_threads(a);
	case OPT_HELP:
		break;
	}
	return false;
}

/* What belongs together, and what excludes each other. */
static bool
is_sensible(const struct command *c, const struct art *a)
{
	if (c->fn == art_verify && (a->key != NULL) == (a->nca > 0)) {
		fprintf(stderr,
		    "modelgate artifact: whom to trust? Give --key, "
		    "or --ca and --identity\n");
		return false;
	}
	if (c->fn == art_verify && (a->identity != NULL) != (a->nca > 0))
		return wrong("identity", "goes with --ca: a trusted root alone "
					 "says nothing about who signed");
	if (a->ncrl > 0 && a->nca == 0)
		return wrong("crl", "goes with --ca");
	if (c->fn == art_sign && a->key == NULL)
		return wrong("key", "is missing");
	if (a->manifest && (a->oms || a->json))
		return wrong("manifest", "goes with nothing else");
	if (c->fn == art_digest && !a->oms &&
	    (a->shard_size != 0 || a->nignore > 0 || a->signature != NULL ||
		a->hash != MG_HASH_NONE))
		return wrong("oms", "is missing for the other options");
	return true;
}

static bool
parse(const struct command *c, struct art *a, int argc, char **argv)
{
	static char name[64];
	const char *meant;
	int o;

	snprintf(name, sizeof(name), "modelgate artifact %s", c->name);
	argv[0] = name; /* in what getopt says */
	optind = 1;
	while ((o = getopt_long(argc, argv, "", common, NULL)) != -1) {
		if (o == '?') {
			meant = mg_name_meant_option(argv[optind - 1], common);
			if (meant != NULL)
				fprintf(
				    stderr, "%s: is it '--%s'?\n", name, meant);
			return false;
		}
		if ((c->allowed & BIT(o)) == 0) {
			fprintf(stderr,
			    "modelgate artifact: %s does not take that\n",
			    c->name);
			return false;
		}
		if (!take(a, (enum opt)o))
			return false;
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "modelgate artifact: %s\n",
		    optind == argc ? "which folder or file?"
				   : "more than one folder or file");
		return false;
	}
	a->path = argv[optind];
	if (!is_sensible(c, a))
		return false;
	if (a->hash == MG_HASH_NONE)
		a->hash = MG_HASH_SHA256;
	return true;
}

/* Never a path twice: what is digested is reached from here. */
static bool
open_artifact(struct art *a)
{
	struct stat st;
	const char *slash;

	a->fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (a->fd == -1 || fstat(a->fd, &st) != 0 ||
	    (a->real = realpath(a->path, NULL)) == NULL) {
		(void)art_fail(a, "unreadable", "cannot open '%s': %s", a->path,
		    strerror(errno));
		return false;
	}
	a->is_dir = S_ISDIR(st.st_mode);
	slash = strrchr(a->real, '/');
	a->name = slash == NULL ? a->real : slash + 1;
	return true;
}

static bool
is_help(const char *s)
{
	return strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0;
}

static int
run(const struct command *c, int argc, char **argv)
{
	struct art a;
	int status = ART_FAILED;

	memset(&a, 0, sizeof(a));
	a.fd = -1;
	a.max_bytes = ART_BYTES_MAX;
	if (argc == 2 && is_help(argv[1])) {
		(void)usage(c, stdout);
		return 0;
	}
	if (!parse(c, &a, argc, argv))
		return usage(c, stderr);
	if (open_artifact(&a))
		status = c->fn(&a);
	if (a.fd != -1)
		close(a.fd);
	free(a.real);
	return status;
}

int
main(int argc, char **argv)
{
	char shown[128];
	size_t i;

	/* OpenSSL crashes later when this fails and nobody looks. */
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    OSSL_LIB_CTX_get0_global_default() == NULL)
		return ART_FAILED;
	if (argc < 2)
		return usage(NULL, stderr);
	if (is_help(argv[1])) {
		(void)usage(NULL, stdout);
		return 0;
	}
	for (i = 0; i < NCOMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	mg_esc_line(argv[1], shown, sizeof(shown));
	fprintf(stderr, "modelgate artifact: there is no tool '%s'\n", shown);
	return usage(NULL, stderr);
}
