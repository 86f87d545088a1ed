/* SPDX-License-Identifier: ISC */
/*
 * mg-verify: answers one question about bytes from outside, and exits.
 *
 * Runs as: _mg-verify (ssh-keygen: _mg-keygen), no privileges, one per question
 * Holds: an artifact's folder, or a signature and the allowed_signers bytes
 * Accepts: signatures, texts, model files
 * Sends: one judgement or one digest
 * If it dies: the signature is refused, the digest is missing
 *
 * Rules
 * 1. Privileges go before the first byte is read.
 * 2. One question a process: what took it over has nobody else's question.
 * 3. A signature is judged in two processes that are different users: the
 *    one that parses it, and the one that runs ssh-keygen. Were they one
 *    user, a parser that was taken over could trace ssh-keygen and have it
 *    say yes.
 * 4. The mode comes from the monitor's argv, and only its message is taken.
 * 5. An artifact is opened here and not by the monitor: a file system of a
 *    user's own (FUSE) or of the network can make an open wait for ever.
 * 6. A copy in the store, however it was reached, has to be sealed: with
 *    another owner or mode its bytes can be others in a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_time.h"
#include "verify/mg_approval.h"
#include "verify/mg_digest.h"
#include "verify/mg_signed.h"

#define FD_CHANNEL 3
#define QUESTION_MS 10000
#define ANSWER_MS 10000
#define QUEUE_MAX 65536
#define MIB ((uint64_t)1 << 20)
#define TELL_MS 250

/* What is to be read; fd -1 where there is none. */
struct artifact {
	int fd;
	bool is_stored; /* in the agent's store */
};

struct mode {
	const char *name;
	const char *user;
	enum mg_msg_op op;
	enum mg_err (*answer)(
	    struct mg_chan *ch, struct mg_frame *f, const struct artifact *a);
	bool takes_path; /* of an artifact */
	bool follows;	 /* links on that path */
	unsigned filter;
	struct mg_confine_limits limits;
};

/* ---- signatures ---- */

static void
to_approval(const struct mg_verify_sig_req *req, struct mg_approval *a)
{
	memset(a, 0, sizeof(*a));
	a->ns = req->ns;
	a->principal = req->principal;
	a->now_ms = req->now_ms;
	a->signers = req->signers;
	a->signers_len = req->signers_len;
	a->text = req->text;
	a->text_len = req->text_len;
	a->sig = req->sig;
	a->sig_len = req->sig_len;
}

static enum mg_err
answer_sig(
    struct mg_chan *ch, struct mg_frame *f, const struct artifact *artifact)
{
	struct mg_verify_sig_req req;
	struct mg_verify_sig_ans ans;
	struct mg_approval_key key;
	struct mg_approval a;
	char why[256] = "";
	enum mg_err r;

	(void)artifact;
	memset(&ans, 0, sizeof(ans));
	if ((r = mg_frame_decode(f, &req, sizeof(req))) != MG_ERR_OK)
		return r;
	to_approval(&req, &a);
	r = mg_approval_check(&a, &key, why, sizeof(why));
	ans.ok = r == MG_ERR_OK;
	ans.key_type = key.type;
	ans.key_fp = key.fp;
	ans.hardware = key.is_hardware;
	ans.text = why;
	return mg_chan_send(ch, f->id, MG_MSG_VERIFY_SIG_ANS, &ans);
}

static enum mg_err
answer_keygen(
    struct mg_chan *ch, struct mg_frame *f, const struct artifact *artifact)
{
	struct mg_verify_sig_req req;
	struct mg_verify_sig_ans ans;
	struct mg_approval a;
	char why[256] = "";
	enum mg_err r;

	(void)artifact;
	memset(&ans, 0, sizeof(ans));
	if ((r = mg_frame_decode(f, &req, sizeof(req))) != MG_ERR_OK)
		return r;
	to_approval(&req, &a);
	r = mg_approval_keygen(&a, why, sizeof(why));
	ans.ok = r == MG_ERR_OK;
	ans.text = why;
	return mg_chan_send(ch, f->id, MG_MSG_VERIFY_SIG_ANS, &ans);
}

/* ---- digests ---- */

struct teller {
	struct mg_chan *ch;
	uint32_t id;
	const char *what;
	int64_t next_ms;
};

static void
tell(void *arg, uint64_t done, uint64_t total)
{
	struct teller *t = arg;
	struct mg_progress msg = {
	    .what = t->what, .done = done, .total = total};
	int64_t now = mg_time_boot_ms();

	if (now < t->next_ms)
		return;
	t->next_ms = now + TELL_MS;
	(void)!mg_chan_send(t->ch, t->id, MG_MSG_PROGRESS, &msg);
}

/* The digest, and then whether that is signed: of a source that somebody
 * can change meanwhile the two may not be of the same bytes, of a copy in
 * the store they are. */
static enum mg_err
judge(const struct mg_digest_req *req, const struct artifact *artifact,
    struct teller *t, struct mg_digest *digest, struct mg_signed *by, char *why,
    size_t size)
{
	struct mg_digest_ask ask = {.fd = artifact->fd,
	    .max_bytes = req->max_bytes,
	    .is_sealed = artifact->is_stored, /* Rule 6 */
	    .progress = tell,
	    .arg = t};
	struct mg_signed_ask sig = {.fd = artifact->fd,
	    .max_bytes = req->max_bytes,
	    .signers = req->signers,
	    .signers_len = req->signers_len,
	    .now_ms = req->now_ms,
	    .progress = tell,
	    .arg = t};
	enum mg_err r;

	memset(by, 0, sizeof(*by));
	t->what = "reading";
	r = mg_digest(&ask, digest, NULL, why, size);
	if (r != MG_ERR_OK || !req->is_signed)
		return r;
	t->what = "checking";
	return mg_signed_check(&sig, by, why, size);
}

static enum mg_err
answer_digest(
    struct mg_chan *ch, struct mg_frame *f, const struct artifact *artifact)
{
	struct teller t = {
	    .ch = ch, .id = f->id, .next_ms = mg_time_boot_ms() + TELL_MS};
	struct mg_digest_req req;
	struct mg_digest_ans ans;
	struct mg_digest digest;
	struct mg_signed by;
	char why[512] = "";
	enum mg_err r;

	memset(&ans, 0, sizeof(ans));
	if ((r = mg_frame_decode(f, &req, sizeof(req))) != MG_ERR_OK)
		return r;
	r = judge(&req, artifact, &t, &digest, &by, why, sizeof(why));
	ans.ok = r == MG_ERR_OK;
	ans.is_unsigned = r != MG_ERR_OK && digest.text[0] != '\0';
	ans.digest = digest.text;
	ans.files = digest.files;
	ans.bytes = digest.bytes;
	ans.signer = by.signer;
	ans.signer_fp = by.fp;
	ans.text = why;
	return mg_chan_send(ch, f->id, MG_MSG_DIGEST_ANS, &ans);
}

/* ---- the process ---- */

/* What is served may be reached through links of the serving user's: it is
 * what they lead to that counts. */
static int
open_served(const char *path, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		snprintf(
		    why, size, "cannot open '%s': %s", path, strerror(errno));
	return fd;
}

/* Asked before privileges go: later /proc does not tell us any more. */
static bool
is_in_store(int fd)
{
	static const char store[] = MG_STORE_DIR "/";
	char link[32], path[sizeof(store)];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, path, sizeof(path)) == (ssize_t)sizeof(path) &&
	       memcmp(path, store, sizeof(store) - 1) == 0;
}

static const struct mode modes[] = {
    {"sig", "_mg-verify", MG_MSG_VERIFY_SIG_REQ, answer_sig, false, false, 0,
	{.cpu_s = 10, .as_bytes = 256 * MIB, .nofile = 16}},
    {"keygen", "_mg-keygen", MG_MSG_VERIFY_SIG_REQ, answer_keygen, false, false,
	MG_ALLOW_EXEC | MG_ALLOW_READ | MG_ALLOW_LOAD,
	{.cpu_s = 10,
	    .as_bytes = 256 * MIB,
	    .fsize_bytes = MIB,
	    .nofile = 64,
	    .nproc = 256}},
    {"digest", "_mg-verify", MG_MSG_DIGEST_REQ, answer_digest, true, false,
	MG_ALLOW_READ | MG_ALLOW_THREADS,
	{.cpu_s = MG_CONFINE_INHERIT,
	    .as_bytes = 16384 * MIB, /* windows and arenas of 64 threads */
	    .nofile = 256,
	    .nproc = 1024}},
    {"served", "_mg-verify", MG_MSG_DIGEST_REQ, answer_digest, true, true,
	MG_ALLOW_READ | MG_ALLOW_THREADS,
	{.cpu_s = MG_CONFINE_INHERIT,
	    .as_bytes = 16384 * MIB, /* windows and arenas of 64 threads */
	    .nofile = 256,
	    .nproc = 1024}},
};

static const struct mode *
find_mode(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc >= 2 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0 &&
		    argc == (modes[i].takes_path ? 3 : 2))
			return &modes[i];
	return NULL;
}

static enum mg_err
serve(const struct mode *mode, struct mg_chan *ch,
    const struct artifact *artifact, const char *open_why)
{
	struct mg_frame f;
	enum mg_err r;

	if ((r = mg_chan_wait(ch, QUESTION_MS, &f)) != MG_ERR_OK)
		return r;
	if (f.op != mode->op) /* Rule 4 */
		return MG_ERR_PROTO;
	if (mode->takes_path && artifact->fd == -1) {
		struct mg_digest_ans ans = {.ok = false,
		    .digest = "",
		    .signer = "",
		    .signer_fp = "",
		    .text = open_why};

		r = mg_chan_send(ch, f.id, MG_MSG_DIGEST_ANS, &ans);
	} else {
		r = mode->answer(ch, &f, artifact);
	}
	if (r != MG_ERR_OK)
		return r;
	return mg_chan_finish(ch, ANSWER_MS); /* Rule 2 */
}

int
main(int argc, char **argv)
{
	static const struct mg_file_rule any = {.any_owner = true};
	const struct mode *mode;
	struct mg_chan *ch;
	char why[256] = "", open_why[512] = "";
	struct artifact artifact = {.fd = -1};
	enum mg_err r;

	mg_log_init("mg-verify", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if ((mode = find_mode(argc, argv)) == NULL)
		mg_fatal("mode is not one of sig, keygen, digest, served");
	if (clearenv() != 0)
		mg_fatal("cannot clear the environment");
	/* Rule 5; a folder that only root reaches is still not read as root. */
	if (mode->follows)
		artifact.fd = open_served(argv[2], open_why, sizeof(open_why));
	else if (mode->takes_path)
		(void)!mg_file_open(argv[2], O_DIRECTORY, &any, &artifact.fd,
		    open_why, sizeof(open_why));
	artifact.is_stored = artifact.fd != -1 && is_in_store(artifact.fd);
	r = mg_confine_user(
	    mode->user, &mode->limits, why, sizeof(why)); /* Rule 1 */
	if (r == MG_ERR_OK)
		r = mg_filter_only(mode->filter, why, sizeof(why));
	if (r != MG_ERR_OK)
		mg_fatal("%s", why);
	ch =
	    mg_chan_new(FD_CHANNEL, MG_ROLE_VERIFY, MG_ROLE_MONITOR, QUEUE_MAX);
	if (ch == NULL)
		mg_fatal("no channel on descriptor %d", FD_CHANNEL);
	r = serve(mode, ch, &artifact, open_why);
	mg_chan_free(ch);
	if (r != MG_ERR_OK)
		mg_fatal("mode=%s %s", mode->name, mg_err_str(r));
	return 0;
}
