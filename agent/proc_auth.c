/* SPDX-License-Identifier: ISC */
/*
 * mg-auth: one try at somebody's second factor.
 *
 * Runs as: root, one per try
 * Holds: the secrets of second factors, through /etc/pam.d/modelgate
 * Accepts: one question from the monitor; answers to prompts
 * Sends: prompts, one result
 * If it dies: the try has failed
 *
 * Rules
 * 1. A result is "ok" only where pam_authenticate() and pam_acct_mgmt() both
 *    returned PAM_SUCCESS for the person that was asked about. What modules
 *    leave in the environment explains a refusal and never decides.
 * 2. A try ends: limits per question, on questions, and on the whole, the
 *    last kept by the kernel with a signal that no module can catch or put
 *    off.
 * 3. Modules are other people's code run as root: they get a clean
 *    environment, a fixed umask and limits that no caller set. They do not
 *    get no-new-privileges: modules may start set-uid or confined helpers
 *    (pam_unix with SELinux, pam_sss), and root gains nothing by those.
 * 4. Text of modules is cleaned before it goes out; answers are wiped.
 * 5. Whoever has a factor proves it before it is replaced, and what is
 *    replaced is the record that was there when they did.
 * 6. A new secret is stored only after its owner has shown a code of it.
 * 7. libpam takes the service "other" for a file that is missing, and for a
 *    type of line that a file lacks; on many systems that is the password.
 *    So the file must be there, root's, and name both types.
 * 8. Of tokens only digests leave this process, together, when all are
 *    typed; which of them is right is not known here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mg_chan.h"
#include "mg_confine.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_filter.h"
#include "mg_log.h"
#include "mg_time.h"
#include "mg_token.h"
#include "mg_totp.h"

#define CHANNEL_FD 3
#define QUEUE_MAX 65536
#define SERVICE "modelgate"
#define SERVICE_FILE "/etc/pam.d/" SERVICE
#define SERVICE_FILE_MAX 65536

#define START_MS 10000	/* until the monitor's question */
#define PROMPT_MS 60000 /* for one answer */
#define TRY_MS 120000	/* for everything */
#define FLUSH_MS 5000	/* to get rid of the result */
#define PROMPTS_MAX 8
#define TOKEN_MS 180000	     /* for one token */
#define TOKENS_TRY_MS 600000 /* for all of them */
#define SLIPS_MAX 6	     /* what was typed and is no token to be had */
#define INFOS_MAX 32
#define CONFIRM_TRIES 3
#define PARENT_DIR "/var/lib/modelgate" /* of MG_TOTP_DIR */
#define LINE_SIZE 512 /* of a prompt or a message, with the NUL */

struct auth {
	struct mg_chan *ch;
	uint32_t id;
	int64_t deadline_ms;
	unsigned prompts, prompts_max, infos;
	int prompt_ms;
	timer_t alarm;
	enum mg_prompt what;
	const char *user; /* these point into text */
	const char *host;
	const char *tty;
	const char *rhost;
	char text[1024];
	struct mg_auth_result result;
	char result_text[256];
	struct {
		char set[MG_TOKEN_SET_STR];
		unsigned need;
	} sets[MG_TOKEN_SETS_MAX]; /* of tokens, that are good here */
	size_t nsets;
};

/* ---- talking to the monitor ---- */

/* Nobody is there to tell. */
static _Noreturn void
give_up(const char *why)
{
	mg_log(MG_EVT_DEBUG, "why='%s'", why);
	_exit(1);
}

static void
send_or_die(struct auth *a, enum mg_msg_op op, const void *msg)
{
	enum mg_err r = mg_chan_send(a->ch, a->id, op, msg);

	if (r != MG_ERR_OK)
		give_up(mg_err_str(r));
}

/* A message on one line of its own; over the limit it is dropped. */
static void
send_info(struct auth *a, bool is_error, const char *text)
{
	struct mg_auth_info m = {.is_error = is_error, .text = text};

	if (a->infos++ < INFOS_MAX)
		send_or_die(a, MG_MSG_AUTH_INFO, &m);
}

/* Rule 2 */
static int
left_ms(const struct auth *a, int most)
{
	int64_t left = a->deadline_ms - mg_time_boot_ms();

	if (left < 0)
		left = 0;
	return left < most ? (int)left : most;
}

/*
 * Puts a question. *answerp is the caller's to wipe and free. False when
 * there is no answer: no time left, too many questions, not one line.
 */
static bool
ask(struct auth *a, bool echo, const char *text, char **answerp)
{
	struct mg_auth_prompt m = {
	    .what = (uint8_t)a->what, .echo = echo, .text = text};
	struct mg_auth_ans ans;
	struct mg_frame f;
	enum mg_err r;

	*answerp = NULL;
	if (a->prompts++ == a->prompts_max)
		return false;
	send_or_die(a, MG_MSG_AUTH_PROMPT, &m);
	r = mg_chan_wait(a->ch, left_ms(a, a->prompt_ms), &f);
	if (r == MG_ERR_TIMEOUT)
		return false;
	if (r == MG_ERR_CLOSED)
		give_up("the monitor has gone");
	if (r != MG_ERR_OK)
		mg_fatal("cannot read the answer: %s", mg_err_str(r));
	if (f.op != MG_MSG_AUTH_ANS ||
	    mg_frame_decode(&f, &ans, sizeof(ans)) != MG_ERR_OK)
		mg_fatal("unexpected message '%s'", mg_msg_name(f.op));
	if (strlen(ans.text) < PAM_MAX_RESP_SIZE)
		*answerp = strdup(ans.text);
	return *answerp != NULL;
}

static void
drop_answer(char *answer)
{
	if (answer != NULL)
		explicit_bzero(answer, strlen(answer));
	free(answer);
}

/* The one result; the process ends after it. */
static _Noreturn void
finish(struct auth *a)
{
	struct pollfd p = {.fd = mg_chan_fd(a->ch), .events = POLLOUT};

	a->result.text = a->result_text;
	send_or_die(a, MG_MSG_AUTH_RESULT, &a->result);
	while (mg_chan_has_output(a->ch)) {
		if (poll(&p, 1, FLUSH_MS) <= 0 ||
		    mg_chan_flush(a->ch) != MG_ERR_OK)
			give_up("the monitor does not take the result");
	}
	mg_chan_free(a->ch);
	exit(0);
}

static void set_text(struct auth *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
set_text(struct auth *a, const char *fmt, ...)
{
	char raw[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	mg_esc_line(raw, a->result_text, sizeof(a->result_text));
}

static _Noreturn void
fail(struct auth *a, int pam_code)
{
	a->result.ok = false;
	a->result.pam_code = (uint32_t)pam_code;
	finish(a);
}

/* ---- the conversation with PAM modules ---- */

/*
 * Sends the lines of a module's message, all but the last, and returns that
 * one, escaped, in last: a question's own line.
 */
static void
send_lines(struct auth *a, bool is_error, const char *msg, char *last)
{
	char line[PAM_MAX_MSG_SIZE * 2];
	size_t n;

	last[0] = '\0';
	while (*msg != '\0') {
		n = strcspn(msg, "\r\n");
		if (last[0] != '\0')
			send_info(a, is_error, last);
		snprintf(line, sizeof(line), "%.*s",
		    (int)(n < sizeof(line) ? n : sizeof(line) - 1), msg);
		mg_esc_line(line, last, LINE_SIZE); /* Rule 4 */
		msg += n;
		msg += strspn(msg, "\r\n");
	}
}

static int
one_message(struct auth *a, const struct pam_message *m, char **respp)
{
	const char *text = m->msg == NULL ? "" : m->msg;
	char last[LINE_SIZE];

	switch (m->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
	case PAM_PROMPT_ECHO_ON:
		send_lines(a, false, text, last);
		return ask(a, m->msg_style == PAM_PROMPT_ECHO_ON, last, respp)
			   ? PAM_SUCCESS
			   : PAM_CONV_ERR;
	case PAM_ERROR_MSG:
	case PAM_TEXT_INFO:
		send_lines(a, m->msg_style == PAM_ERROR_MSG, text, last);
		if (last[0] != '\0')
			send_info(a, m->msg_style == PAM_ERROR_MSG, last);
		return PAM_SUCCESS;
	default:
		return PAM_CONV_ERR;
	}
}

static int
converse(int n, const struct pam_message **msgs, struct pam_response **respp,
    void *arg)
{
	struct pam_response *resp;
	int i, ret = PAM_SUCCESS;

	*respp = NULL;
	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	if ((resp = calloc((size_t)n, sizeof(*resp))) == NULL)
		return PAM_BUF_ERR;
	for (i = 0; i < n && ret == PAM_SUCCESS; i++)
		ret = one_message(arg, msgs[i], &resp[i].resp);
	if (ret == PAM_SUCCESS) {
		*respp = resp;
		return PAM_SUCCESS;
	}
	for (i = 0; i < n; i++)
		drop_answer(resp[i].resp);
	free(resp);
	return ret;
}

/* ---- one try ---- */

static int
set_items(pam_handle_t *pamh, const struct auth *a)
{
	int ret = PAM_SUCCESS;

	if (a->tty[0] != '\0')
		ret = pam_set_item(pamh, PAM_TTY, a->tty);
	if (ret == PAM_SUCCESS && a->rhost[0] != '\0')
		ret = pam_set_item(pamh, PAM_RHOST, a->rhost);
	if (ret == PAM_SUCCESS)
		ret = pam_set_item(pamh, PAM_RUSER, a->user);
	return ret;
}

static bool
is_same_user(pam_handle_t *pamh, const char *user)
{
	const void *now = NULL;

	return pam_get_item(pamh, PAM_USER, &now) == PAM_SUCCESS &&
	       now != NULL && strcmp(now, user) == 0;
}

/* Rule 1 */
static int
run_stack(pam_handle_t *pamh, const struct auth *a)
{
	int ret;

	if ((ret = set_items(pamh, a)) != PAM_SUCCESS ||
	    (ret = pam_authenticate(pamh, 0)) != PAM_SUCCESS ||
	    (ret = pam_acct_mgmt(pamh, 0)) != PAM_SUCCESS)
		return ret;
	if (is_same_user(pamh, a->user))
		return PAM_SUCCESS;
	mg_log(MG_EVT_ERROR,
	    "user=%s text='a module of " SERVICE " changed the user'", a->user);
	return PAM_PERM_DENIED;
}

/* Why not, for the person and for the monitor. */
static void
explain(struct auth *a, pam_handle_t *pamh, int code)
{
	const char *word = pam_getenv(pamh, MG_TOTP_VARIABLE);

	if (word == NULL)
		word = "";
	if (strcmp(word, MG_TOTP_WORD_REPLAY) == 0) {
		a->result.replay = true;
		set_text(a, "this code was used before; wait for the next one");
	} else if (strcmp(word, MG_TOTP_WORD_UNSET) == 0) {
		a->result.unset = true;
		set_text(a, "no second factor is enrolled for %s", a->user);
	} else if (strcmp(word, MG_TOTP_WORD_BROKEN) == 0) {
		a->result.broken = true;
		set_text(a,
		    "the second factor of %s cannot be checked; the "
		    "log says why",
		    a->user);
	} else if (strcmp(word, MG_TOTP_WORD_WRONG) == 0) {
		set_text(a, "wrong code");
	} else if (code == PAM_CONV_ERR || code == PAM_CONV_AGAIN) {
		set_text(a, "no answer in time");
	} else {
		set_text(a, "%s", pam_strerror(pamh, code));
	}
}

/* Whether a line of text begins with the word, or includes another file. */
static bool
has_line(const char *text, const char *word)
{
	size_t n = strlen(word);
	const char *p = text;

	while (*p != '\0') {
		p += strspn(p, " \t\n");
		if (*p == '-')
			p++;
		if (strncmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\t'))
			return true;
		if (strncmp(p, "@include", 8) == 0)
			return true;
		p += strcspn(p, "\n");
	}
	return false;
}

/* Rule 7 */
static bool
is_configured(struct auth *a)
{
	struct mg_file_rule rule = {.owner = 0};
	struct mg_buf b;
	const char *text;
	char why[256] = "";
	bool ok = false;
	int fd;

	mg_buf_init(&b, SERVICE_FILE_MAX);
	if (mg_file_open(SERVICE_FILE, 0, &rule, &fd, why, sizeof(why)) ==
	    MG_ERR_OK) {
		ok = mg_file_read(fd, &b) == MG_ERR_OK &&
		     (text = mg_buf_cstr(&b)) != NULL &&
		     has_line(text, "auth") && has_line(text, "account");
		close(fd);
	}
	mg_buf_fini(&b);
	if (ok)
		return true;
	mg_log(MG_EVT_ERROR, "file=" SERVICE_FILE " text='%s'",
	    why[0] != '\0' ? why : "needs lines of type auth and account");
	set_text(a, "the second factor is not set up on this host");
	return false;
}

/* Runs the stack; PAM_SUCCESS, or the code with the result filled in. */
static int
check(struct auth *a)
{
	struct pam_conv conv = {.conv = converse, .appdata_ptr = a};
	pam_handle_t *pamh = NULL;
	int ret;

	if (!is_configured(a))
		return PAM_SYSTEM_ERR;
	ret = pam_start(SERVICE, a->user, &conv, &pamh);
	if (ret != PAM_SUCCESS || pamh == NULL) {
		set_text(a, "PAM does not start");
		return ret == PAM_SUCCESS ? PAM_SYSTEM_ERR : ret;
	}
	ret = run_stack(pamh, a);
	if (ret != PAM_SUCCESS)
		explain(a, pamh, ret);
	(void)pam_end(pamh, ret);
	return ret;
}

static _Noreturn void
do_check(struct auth *a)
{
	int ret = check(a);

	mg_log(MG_EVT_MFA, "user=%s result=%s%s", a->user,
	    ret == PAM_SUCCESS ? "ok" : "refused why=",
	    ret == PAM_SUCCESS ? "" : a->result_text);
	if (ret != PAM_SUCCESS)
		fail(a, ret);
	a->result.ok = true;
	finish(a);
}

/* ---- enrolment ---- */

static _Noreturn void
fail_store(struct auth *a, enum mg_err r, const char *why)
{
	mg_log(MG_EVT_ERROR, "user=%s file=" MG_TOTP_DIR "/%s text='%s'",
	    a->user, a->user, why[0] != '\0' ? why : mg_err_str(r));
	a->result.broken =
	    r == MG_ERR_FORMAT || r == MG_ERR_PERM || r == MG_ERR_SEALED;
	if (r == MG_ERR_FORMAT || r == MG_ERR_PERM)
		set_text(a,
		    "the record of %s is damaged; an administrator "
		    "has to remove it (modelgate unenroll %s)",
		    a->user, a->user);
	else if (r == MG_ERR_SEALED)
		set_text(a, "the secrets of this host are sealed and do not "
			    "open; the log says why");
	else
		set_text(a, "the second factor cannot be stored; the log says "
			    "why");
	fail(a, PAM_SYSTEM_ERR);
}

static enum mg_err
make_folder(void)
{
	enum mg_err r = MG_ERR_SYS;
	int dir;

	dir = open(PARENT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1)
		return MG_ERR_SYS;
	if (mkdir(MG_TOTP_DIR, 0700) == 0 && fsync(dir) == 0)
		r = MG_ERR_OK;
	close(dir);
	return r;
}

/* The folder, made where it is missing. */
static void
open_store(struct auth *a, struct mg_totp_store *st)
{
	char why[256] = "";
	enum mg_err r;

	r = mg_totp_store_init(st, MG_TOTP_DIR, why, sizeof(why));
	if (r == MG_ERR_NOENT && make_folder() == MG_ERR_OK)
		r = mg_totp_store_init(st, MG_TOTP_DIR, why, sizeof(why));
	if (r != MG_ERR_OK)
		fail_store(a, r, why);
}

/* The record there is; false for none. */
static bool
load(struct auth *a, struct mg_totp_store *st, struct mg_totp *t)
{
	char why[256] = "";
	enum mg_err r;

	r = mg_totp_store_load(st, a->user, t, why, sizeof(why));
	if (r != MG_ERR_OK && r != MG_ERR_NOENT)
		fail_store(a, r, why);
	return r == MG_ERR_OK;
}

static void
send_key(struct auth *a, const struct mg_totp *t)
{
	struct mg_enroll_key m;
	struct mg_buf uri, secret;
	enum mg_err r;

	mg_buf_init_secret(&uri, LINE_SIZE);
	mg_buf_init_secret(&secret, 129);
	if ((r = mg_totp_put_uri(t, a->host, &uri)) != MG_ERR_OK ||
	    (r = mg_totp_put_secret(t, &secret)) != MG_ERR_OK)
		fail_store(a, r, "");
	m.uri = mg_buf_cstr(&uri);
	m.secret = mg_buf_cstr(&secret);
	if (m.uri == NULL || m.secret == NULL)
		fail_store(a, MG_ERR_NOMEM, "");
	send_or_die(a, MG_MSG_ENROLL_KEY, &m);
	mg_buf_fini(&uri);
	mg_buf_fini(&secret);
}

/* Rule 6: a code of the new secret, whose step is used up by that. */
static void
confirm(struct auth *a, struct mg_totp *t)
{
	enum mg_totp_result res = MG_TOTP_WRONG;
	char *code;
	int i;

	for (i = 0; i < CONFIRM_TRIES && res != MG_TOTP_ACCEPTED; i++) {
		if (i > 0)
			send_info(a, true,
			    "that is not a code of this key; "
			    "is the clock of your device right?");
		if (!ask(a, false, "Code that the app shows: ", &code)) {
			set_text(a, "no code in time; nothing is changed");
			fail(a, PAM_CONV_ERR);
		}
		if (mg_totp_match(t, mg_time_wall_ms() / 1000, code, &res,
			&t->used) != MG_ERR_OK)
			res = MG_TOTP_WRONG;
		drop_answer(code);
	}
	if (res == MG_TOTP_ACCEPTED)
		return;
	set_text(
	    a, "no right code in %d tries; nothing is changed", CONFIRM_TRIES);
	fail(a, PAM_TRY_AGAIN);
}

/* Rule 5: old is the record that was proven; all zero for none. */
static void
store(struct auth *a, const struct mg_totp *old, const struct mg_totp *new)
{
	struct mg_totp_store st;
	struct mg_totp now;
	char why[256] = "";
	enum mg_err r;
	bool is_same;

	open_store(a, &st);
	(void)load(a, &st, &now);
	is_same = now.secret_len == old->secret_len &&
		  memcmp(now.secret, old->secret, sizeof(now.secret)) == 0;
	mg_totp_wipe(&now);
	if (!is_same) {
		set_text(a, "the second factor was changed in the meantime; "
			    "nothing is changed now");
		fail(a, PAM_TRY_AGAIN);
	}
	r = mg_totp_store_save(&st, new, why, sizeof(why));
	if (r != MG_ERR_OK)
		fail_store(a, r, why);
	mg_totp_store_sweep(&st);
	mg_totp_store_fini(&st);
}

static _Noreturn void
do_enroll(struct auth *a)
{
	struct mg_totp_store st;
	struct mg_totp old, new;
	bool has_one;
	int ret;

	open_store(a, &st);
	has_one = load(a, &st, &old);
	mg_totp_store_fini(&st);
	if (has_one) { /* Rule 5 */
		send_info(a, false,
		    "prove the second factor that is enrolled "
		    "now, to replace it");
		if ((ret = check(a)) != PAM_SUCCESS)
			fail(a, ret);
	}
	if (mg_totp_new(&new, a->user, mg_time_wall_ms() / 1000) != MG_ERR_OK)
		fail_store(a, MG_ERR_SYS, "no random bytes");
	send_key(a, &new);
	confirm(a, &new);
	store(a, &old, &new);
	mg_totp_wipe(&old);
	mg_totp_wipe(&new);
	mg_log(MG_EVT_MFA, "user=%s result=%s", a->user,
	    has_one ? "replaced" : "enrolled");
	set_text(a, "the second factor of %s is %s", a->user,
	    has_one ? "replaced" : "enrolled");
	a->result.ok = true;
	finish(a);
}

static _Noreturn void
do_unenroll(struct auth *a)
{
	struct mg_totp_store st;
	char why[256] = "";
	enum mg_err r;

	open_store(a, &st);
	r = mg_totp_store_remove(&st, a->user, why, sizeof(why));
	mg_totp_store_sweep(&st);
	mg_totp_store_fini(&st);
	if (r == MG_ERR_NOENT) {
		a->result.unset = true;
		set_text(a, "no second factor is enrolled for %s", a->user);
		fail(a, PAM_USER_UNKNOWN);
	}
	if (r != MG_ERR_OK)
		fail_store(a, r, why);
	mg_log(MG_EVT_MFA, "user=%s result=removed", a->user);
	set_text(a, "the second factor of %s is removed", a->user);
	a->result.ok = true;
	finish(a);
}

/* ---- tokens ---- */

struct typed {
	const char *set; /* of the first; NULL: there is none yet */
	unsigned need;
	unsigned n;
	uint8_t numbers[MG_TOKENS_MAX];
	uint8_t digests[MG_TOKENS_MAX * MG_TOKEN_DIGEST];
};

/* What is wrong with a token that may be one; NULL: it is one more. */
static const char *
add_token(struct auth *a, struct typed *t, const struct mg_token *tok)
{
	size_t i;

	for (i = 0; i < a->nsets; i++)
		if (strcmp(a->sets[i].set, tok->set) == 0)
			break;
	if (i == a->nsets)
		return "its set is used, void, or not of this host";
	if (t->set != NULL && strcmp(t->set, tok->set) != 0)
		return "it is of another set than the first";
	if (memchr(t->numbers, (int)tok->number, t->n) != NULL)
		return "you have given this one already";
	t->set = a->sets[i].set;
	t->need = a->sets[i].need;
	t->numbers[t->n] = (uint8_t)tok->number;
	memcpy(
	    t->digests + t->n * MG_TOKEN_DIGEST, tok->digest, MG_TOKEN_DIGEST);
	t->n++;
	return NULL;
}

/* "Token 1 of 2 (any of set K7Q2 or M3XX): " */
static void
token_question(const struct auth *a, const struct typed *t, char *out)
{
	size_t used, i;

	if (t->set != NULL) {
		snprintf(out, LINE_SIZE, "Token %u of %u (set %s): ", t->n + 1,
		    t->need, t->set);
		return;
	}
	used = (size_t)snprintf(out, LINE_SIZE, "Token 1 (of set");
	for (i = 0; i < a->nsets; i++)
		used += (size_t)snprintf(out + used, LINE_SIZE - used, "%s %s",
		    i > 0 ? " or" : "", a->sets[i].set);
	snprintf(out + used, LINE_SIZE - used, "): ");
}

/* One token more, or one slip; false when nobody answers. */
static bool
take_token(struct auth *a, struct typed *t, unsigned *slips)
{
	char line[LINE_SIZE], question[LINE_SIZE];
	struct mg_token tok;
	const char *why = "";
	char *answer;

	token_question(a, t, question);
	if (!ask(a, false, question, &answer))
		return false;
	if (mg_token_parse(answer, &tok, &why) == MG_ERR_OK)
		why = add_token(a, t, &tok);
	drop_answer(answer);
	explicit_bzero(&tok, sizeof(tok));
	if (why != NULL) {
		snprintf(line, sizeof(line), "that does not count: %s", why);
		send_info(a, true, line);
		(*slips)++;
	}
	return true;
}

/* Rule 8 */
static _Noreturn void
do_tokens(struct auth *a)
{
	struct typed t = {.need = MG_TOKENS_MAX};
	unsigned slips = 0;

	if (a->nsets == 0) {
		set_text(a, "no set of tokens is left on this host");
		fail(a, PAM_AUTHINFO_UNAVAIL);
	}
	a->what = MG_PROMPT_TOKEN;
	while (t.n < t.need) {
		if (slips == SLIPS_MAX) {
			set_text(a, "too much that is no token");
			fail(a, PAM_MAXTRIES);
		}
		if (!take_token(a, &t, &slips)) {
			set_text(a, "no token in time");
			fail(a, PAM_CONV_ERR);
		}
	}
	a->result.ok = true;
	a->result.set = t.set;
	a->result.numbers = t.numbers;
	a->result.numbers_len = t.n;
	a->result.digests = t.digests;
	a->result.digests_len = t.n * MG_TOKEN_DIGEST;
	finish(a);
}

/* ---- the process ---- */

static void
set_limit(int what, rlim_t most)
{
	struct rlimit rl;

	if (getrlimit(what, &rl) != 0)
		mg_fatal("getrlimit: %s", strerror(errno));
	if (rl.rlim_max > most)
		rl.rlim_max = most;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(what, &rl) != 0)
		mg_fatal("setrlimit: %s", strerror(errno));
}

/* Rule 2: the kernel ends the process, whatever a module does meanwhile. */
static void
set_alarm(struct auth *a, int try_ms)
{
	struct itimerspec its = {
	    .it_value.tv_sec = (START_MS + try_ms + FLUSH_MS) / 1000 + 5};

	if (timer_settime(a->alarm, 0, &its, NULL) != 0)
		mg_fatal("cannot set a timer: %s", strerror(errno));
}

static void
make_alarm(struct auth *a)
{
	struct sigevent ev = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};

	if (timer_create(CLOCK_BOOTTIME, &ev, &a->alarm) != 0)
		mg_fatal("cannot make a timer: %s", strerror(errno));
	set_alarm(a, TRY_MS);
}

/* Rule 3: nothing but a path and where the machine's credentials are. */
static void
set_environment(void)
{
	const char *dir = getenv(MG_SEAL_VARIABLE);
	char *kept = dir == NULL ? NULL : strdup(dir);

	if ((dir != NULL && kept == NULL) || clearenv() != 0 ||
	    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1) != 0 ||
	    (kept != NULL && setenv(MG_SEAL_VARIABLE, kept, 1) != 0))
		mg_fatal("cannot set the environment");
	free(kept);
}

/* Rule 3 */
static void
confine(void)
{
	/* What modules need: files of any person, another user, a helper
	 * that ends, a port below 1024, locked memory, records of theirs. */
	struct mg_confine_caps how = {
	    .effective = MG_CAP(CAP_CHOWN) | MG_CAP(CAP_DAC_OVERRIDE) |
			 MG_CAP(CAP_DAC_READ_SEARCH) | MG_CAP(CAP_FOWNER) |
			 MG_CAP(CAP_FSETID) | MG_CAP(CAP_KILL) |
			 MG_CAP(CAP_SETGID) | MG_CAP(CAP_SETUID) |
			 MG_CAP(CAP_NET_BIND_SERVICE) | MG_CAP(CAP_IPC_LOCK) |
			 MG_CAP(CAP_AUDIT_WRITE),
	    .ends_with_parent = true,
	};
	char why[256];

	how.permitted = how.bounding = how.effective;
	if (geteuid() != 0 || getuid() != 0)
		mg_fatal("must run as root");
	/* Before the capabilities go: it takes one of them. */
	if (mg_filter_never(false, why, sizeof(why)) != MG_ERR_OK ||
	    mg_confine_caps(&how, why, sizeof(why)) != MG_ERR_OK)
		mg_fatal("%s", why);
	set_limit(RLIMIT_NOFILE, 256);
	set_limit(RLIMIT_CPU, 60);
	set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
	umask(077);
	if (chdir("/") != 0)
		mg_fatal("chdir: %s", strerror(errno));
	set_environment();
}

/* Copies a text of the question, which ends with the next message. */
static const char *
keep(struct auth *a, size_t *usedp, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = a->text + *usedp;

	if (n > sizeof(a->text) - *usedp)
		mg_fatal("the question is too long");
	memcpy(p, s, n);
	*usedp += n;
	return p;
}

/* How long it may take; tokens are long, and nobody else's code runs. */
static void
set_times(struct auth *a, enum mg_auth_mode mode)
{
	bool tokens = mode == MG_AUTH_TOKENS;
	int try_ms = tokens ? TOKENS_TRY_MS : TRY_MS;

	a->prompt_ms = tokens ? TOKEN_MS : PROMPT_MS;
	a->prompts_max = tokens ? MG_TOKENS_MAX + SLIPS_MAX : PROMPTS_MAX;
	a->deadline_ms = mg_time_boot_ms() + try_ms;
	if (tokens)
		set_alarm(a, try_ms);
}

static void
keep_sets(struct auth *a, const struct mg_auth_start *m)
{
	size_t i;

	for (i = 0; i + 1 < m->sets_n && a->nsets < MG_TOKEN_SETS_MAX; i += 2) {
		if (!mg_token_is_set(m->sets[i]) || m->sets[i + 1][0] < '1' ||
		    m->sets[i + 1][0] > '9')
			mg_fatal("that is no set of tokens");
		memcpy(a->sets[a->nsets].set, m->sets[i], MG_TOKEN_SET_STR);
		a->sets[a->nsets].need = (unsigned)(m->sets[i + 1][0] - '0');
		a->nsets++;
	}
}

/* Takes the one question; what the factor is for goes out first. */
static enum mg_auth_mode
take_question(struct auth *a)
{
	struct mg_auth_start m;
	struct mg_frame f;
	size_t used = 0;
	enum mg_err r;

	r = mg_chan_wait(a->ch, START_MS, &f);
	if (r == MG_ERR_CLOSED)
		give_up("no question");
	if (r != MG_ERR_OK || f.op != MG_MSG_AUTH_START ||
	    mg_frame_decode(&f, &m, sizeof(m)) != MG_ERR_OK)
		mg_fatal("no question: %s", mg_err_str(r));
	a->id = f.id;
	set_times(a, (enum mg_auth_mode)m.mode);
	keep_sets(a, &m);
	a->user = keep(a, &used, m.user);
	a->host = keep(a, &used, m.host);
	a->tty = keep(a, &used, m.tty);
	a->rhost = keep(a, &used, m.rhost);
	/* Whoever waits hears at once that somebody is at work. */
	if (m.about[0] != '\0')
		send_info(a, false, m.about);
	else if (m.mode == MG_AUTH_CHECK)
		send_info(a, false, "second factor");
	return (enum mg_auth_mode)m.mode;
}

int
main(int argc, char **argv)
{
	struct auth a;

	(void)argv;
	if (mg_file_sanitise_std() != MG_ERR_OK)
		return 1;
	mg_log_init("mg-auth", MG_LOG_TO_PARENT, MG_LOG_INFO);
	if (argc > 1)
		mg_fatal("takes no arguments");
	confine();
	memset(&a, 0, sizeof(a));
	make_alarm(&a);
	a.ch =
	    mg_chan_new(CHANNEL_FD, MG_ROLE_AUTH, MG_ROLE_MONITOR, QUEUE_MAX);
	if (a.ch == NULL)
		mg_fatal("no channel on descriptor %d", CHANNEL_FD);
	if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0)
		mg_fatal("fcntl: %s", strerror(errno));
	switch (take_question(&a)) {
	case MG_AUTH_CHECK:
		do_check(&a);
	case MG_AUTH_ENROLL:
		do_enroll(&a);
	case MG_AUTH_UNENROLL:
		do_unenroll(&a);
	case MG_AUTH_TOKENS:
		do_tokens(&a);
	case MG_AUTH_NONE:
		break;
	}
	mg_fatal("unknown mode");
}
