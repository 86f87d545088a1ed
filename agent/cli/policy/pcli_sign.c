/* SPDX-License-Identifier: ISC */
/*
 * policy sign: a steward's signature over a policy, or over allowed_signers.
 *
 * The text is the agent's own (mg_policy_guard_text), the cryptography is
 * ssh-keygen's: this only brings them together.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_signers.h"
#include "pcli.h"

static const char usage[] =
    "sign [-f KEY] [--signers FILE] [--print] [-O DIR] [DIR]";

static const char help[] =
    "sign [-f KEY] [--signers FILE] [--print] [-O DIR] [DIR]\n\n"
    "Signs a policy as a steward, for agents that demand it ([policy]\n"
    "signed-by). Prints the text that is signed on standard error and the\n"
    "signature on standard output; it belongs into\n"
    "  " MG_CONFDIR "/signatures/policy.NAME.sig\n"
    "with the steward's name in allowed_signers for NAME. With --signers,\n"
    "FILE is signed instead: a new allowed_signers, whose first line says\n"
    "`# version N`; its signature is called allowed_signers.NAME.sig.\n\n"
    "  -f KEY    the key, or its public half when an ssh-agent has it\n"
    "            (default ~/.ssh/id_ed25519)\n"
    "  --print   print the text only: what this does is\n"
    "            modelgate policy sign --print DIR |\n"
    "                ssh-keygen -Y sign -n " MG_POLICY_NAMESPACE " -f KEY\n";

/* The text for a policy. */
static int
policy_text(struct pcli *c, struct mg_buf *b)
{
	const struct mg_policy_guard *g;
	int status;

	if ((status = pcli_load(c, false)) != PCLI_OK)
		return status;
	g = mg_policy_guard(c->p);
	if (g->version == 0) {
		pcli_error("the policy has no version; set one in [policy]");
		return PCLI_NO;
	}
	return mg_policy_guard_text(
		   b, "policy", g->version, mg_policy_digest(c->p)) == MG_ERR_OK
		   ? PCLI_OK
		   : PCLI_FAILED;
}

/* "# version 7" in the first line. */
static uint64_t
version_of(const char *s)
{
	uint64_t v = 0;

	if (strncmp(s, "# version ", 10) != 0)
		return 0;
	for (s += 10; *s >= '0' && *s <= '9' && v < 100000000; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	return *s == '\n' ? v : 0;
}

static int
read_signers(const char *path, struct mg_buf *file)
{
	struct mg_signers *s = NULL;
	struct mg_diags ds;
	enum mg_err r = MG_ERR_SYS;
	int fd;

	mg_diags_init(&ds);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		r = mg_file_read(fd, file);
		close(fd);
	}
	if (r == MG_ERR_OK)
		r = mg_signers_parse(MG_SIGNERS_APPROVERS, path,
		    (const char *)mg_buf_ptr(file), mg_buf_len(file), &s, &ds);
	mg_signers_free(s);
	pcli_print_diags(&ds);
	if (r == MG_ERR_OK)
		return PCLI_OK;
	if (ds.errors == 0)
		pcli_error("cannot read '%s': %s", path,
		    r == MG_ERR_SYS ? strerror(errno) : mg_err_str(r));
	return PCLI_FAILED;
}

/* The text for a file of signers. */
static int
signers_text(const char *path, struct mg_buf *b)
{
	char digest[8 + 2 * SHA256_DIGEST_LENGTH] = "sha256:";
	uint8_t md[SHA256_DIGEST_LENGTH];
	struct mg_buf file;
	uint64_t version = 0;
	const char *s;
	int status;
	size_t i;

	mg_buf_init(&file, MG_SIGNERS_FILE_MAX);
	if ((status = read_signers(path, &file)) == PCLI_OK) {
		SHA256(mg_buf_ptr(&file), mg_buf_len(&file), md);
		for (i = 0; i < sizeof(md); i++)
			snprintf(digest + 7 + 2 * i, 3, "%02x", md[i]);
		s = mg_buf_cstr(&file);
		version = s == NULL ? 0 : version_of(s);
		if (version == 0) {
			pcli_error("the first line of '%s' is not '# version "
				   "N'",
			    path);
			status = PCLI_NO;
		} else if (mg_policy_guard_text(b, "allowed_signers", version,
			       digest) != MG_ERR_OK) {
			status = PCLI_FAILED;
		}
	}
	mg_buf_fini(&file);
	return status;
}

/* Becomes ssh-keygen, with the text as its standard input. */
static int
sign(const struct mg_buf *text, const char *key)
{
	char path[4096];
	const char *argv[] = {"ssh-keygen", "-q", "-Y", "sign", "-n",
	    MG_POLICY_NAMESPACE, "-f", path, NULL};
	const char *home = getenv("HOME");
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (key != NULL)
		snprintf(path, sizeof(path), "%s", key);
	else
		snprintf(path, sizeof(path), "%s/.ssh/id_ed25519",
		    home == NULL ? "" : home);
	fwrite(mg_buf_ptr(text), 1, mg_buf_len(text), stderr);
	fflush(NULL);
	if (fd == -1 ||
	    mg_file_write(fd, mg_buf_ptr(text), mg_buf_len(text)) !=
		MG_ERR_OK ||
	    lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) == -1) {
		pcli_error("cannot hand over the text: %s", strerror(errno));
		return PCLI_FAILED;
	}
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	pcli_error("ssh-keygen: %s", strerror(errno));
	return PCLI_FAILED;
}

int
pcli_sign(int argc, char **argv)
{
	const char *key = NULL, *signers = NULL;
	bool print = false;
	const struct pcli_opt opts[] = {{"-f", NULL, &key},
	    {"--signers", NULL, &signers}, {"--print", &print, NULL},
	    {NULL, NULL, NULL}};
	struct mg_buf text;
	struct pcli c;
	int status;

	if (!pcli_init(&c, "sign"))
		return PCLI_FAILED;
	mg_buf_init(&text, 4096);
	if ((status = pcli_args(&c, argc, argv, opts, help)) >= 0)
		goto out;
	if (c.npos > (signers == NULL ? 1 : 0)) {
		status = pcli_usage(usage);
		goto out;
	}
	if (c.npos == 1)
		c.dir = c.pos[0];
	status = signers != NULL ? signers_text(signers, &text)
				 : policy_text(&c, &text);
	if (status == PCLI_OK && print)
		fwrite(mg_buf_ptr(&text), 1, mg_buf_len(&text), stdout);
	else if (status == PCLI_OK)
		status = sign(&text, key);
out:
	mg_buf_fini(&text);
	pcli_fini(&c);
	return status;
}
