/* SPDX-License-Identifier: ISC */
/*
 * The notify command.
 *
 * Rules
 * 1. What happened goes to standard input, never to the command line or
 *    the environment: a reason could become an option or a variable.
 * 2. The command is ended with its whole process group, also after it
 *    ended by itself: what it left behind would pile up.
 * 3. The hub never waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hub_notify.h"
#include "mg_file.h"
#include "mg_json.h"
#include "mg_log.h"
#include "mg_spawn.h"
#include "mg_text.h"
#include "mg_time.h"

#define MESSAGE_MAX 65536

struct running {
	struct hub_notify *n;
	struct mg_child child; /* pid -1: free */
	struct mg_watch *watch;
	struct mg_timer timer;
	bool timed_out;
};

struct hub_notify {
	struct mg_loop *loop;
	char *path, *hub_name;
	int log_fd;
	char *queue[HUB_NOTIFY_QUEUE_MAX]; /* JSON lines */
	size_t head, n;
	uint64_t dropped;
	struct running running[HUB_NOTIFY_RUNNING_MAX];
};

static void start_some(struct hub_notify *n);

struct hub_notify *
hub_notify_new(
    struct mg_loop *loop, const char *path, const char *hub_name, int log_fd)
{
	struct hub_notify *n;
	size_t i;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		return NULL;
	n->loop = loop;
	n->log_fd = log_fd;
	n->path = strdup(path);
	n->hub_name = strdup(hub_name);
	for (i = 0; i < HUB_NOTIFY_RUNNING_MAX; i++) {
		n->running[i].n = n;
		n->running[i].child.pid = -1;
	}
	if (n->path == NULL || n->hub_name == NULL) {
		hub_notify_free(n);
		return NULL;
	}
	return n;
}

static void
end_one(struct running *run)
{
	if (run->child.pid == -1)
		return;
	/* Not reaped yet, so the group's number is still its own. */
	(void)kill(-run->child.pid, SIGKILL); /* Rule 2 */
	mg_watch_del(run->watch);
	run->watch = NULL;
	mg_timer_clear(run->n->loop, &run->timer);
}

void
hub_notify_free(struct hub_notify *n)
{
	size_t i;

	if (n == NULL)
		return;
	for (i = 0; i < HUB_NOTIFY_RUNNING_MAX; i++)
		end_one(&n->running[i]);
	for (i = 0; i < n->n; i++)
		free(n->queue[(n->head + i) % HUB_NOTIFY_QUEUE_MAX]);
	free(n->path);
	free(n->hub_name);
	free(n);
}

static void
say_how_it_ended(const struct running *run, int status)
{
	if (run->timed_out)
		mg_log(MG_EVT_NOTIFY, "failed: took longer than %d s",
		    HUB_NOTIFY_TIME_MS / 1000);
	else if (WIFSIGNALED(status))
		mg_log(MG_EVT_NOTIFY, "failed: ended by signal %d",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		mg_log(MG_EVT_NOTIFY, "failed: exit status %d",
		    WEXITSTATUS(status));
}

static void
on_end(void *arg, uint32_t events)
{
	struct running *run = arg;
	int status;

	(void)events;
	end_one(run);
	if ((status = mg_spawn_reap(&run->child)) == -1)
		return;
	say_how_it_ended(run, status);
	start_some(run->n);
}

static void
on_timeout(void *arg)
{
	struct running *run = arg;

	run->timed_out = true;
	(void)kill(-run->child.pid, SIGKILL);
}

/* A file that exists in memory only, with the message in it. */
static int
make_input(const char *json)
{
	int fd;

	if ((fd = memfd_create("notify", MFD_CLOEXEC)) == -1)
		return -1;
	if (mg_file_write(fd, json, strlen(json)) != MG_ERR_OK ||
	    lseek(fd, 0, SEEK_SET) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
start_one(struct hub_notify *n, struct running *run, const char *json)
{
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char lang[] = "LC_ALL=C.UTF-8", *envp[] = {path, lang, NULL};
	char *argv[] = {n->path, NULL};
	struct mg_spawn_fd fds[2];
	enum mg_err r;
	int in;

	if ((in = make_input(json)) == -1)
		return false;
	fds[0].fd = in; /* Rule 1 */
	fds[0].target = 0;
	fds[1].fd = n->log_fd;
	fds[1].target = 2;
	r = mg_spawn_session(n->path, argv, envp, fds, 2, &run->child);
	close(in);
	if (r != MG_ERR_OK)
		return false;
	run->timed_out = false;
	if (mg_watch_add(n->loop, run->child.pidfd, EPOLLIN, on_end, run,
		&run->watch) == MG_ERR_OK &&
	    mg_timer_set(n->loop, &run->timer,
		mg_time_boot_ms() + HUB_NOTIFY_TIME_MS, on_timeout,
		run) == MG_ERR_OK)
		return true;
	end_one(run);
	(void)waitpid(run->child.pid, NULL, 0);
	(void)mg_spawn_reap(&run->child);
	return false;
}

static void
start_some(struct hub_notify *n)
{
	size_t i;
	char *json;

	for (i = 0; i < HUB_NOTIFY_RUNNING_MAX && n->n > 0; i++) {
		if (n->running[i].child.pid != -1)
			continue;
		json = n->queue[n->head];
		n->head = (n->head + 1) % HUB_NOTIFY_QUEUE_MAX;
		n->n--;
		if (!start_one(n, &n->running[i], json))
			mg_log(MG_EVT_NOTIFY, "cannot start '%s': %s", n->path,
			    strerror(errno));
		free(json);
	}
}

static void
push(struct hub_notify *n, char *json)
{
	if (n->n == HUB_NOTIFY_QUEUE_MAX) {
		n->dropped++;
		mg_log(MG_EVT_NOTIFY, "dropped: queue is full, %llu so far",
		    (unsigned long long)n->dropped);
		free(json);
		return;
	}
	n->queue[(n->head + n->n) % HUB_NOTIFY_QUEUE_MAX] = json;
	n->n++;
	start_some(n); /* Rule 3 */
}

/* ---- messages ---- */

struct message {
	struct mg_buf b;
	struct mg_json j;
};

/* "deploy fraud@12", or the operation alone. */
static void
subject(const struct hub_request *req, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s%s", req->operation,
	    req->model[0] != '\0' ? " " : "", req->model,
	    req->version[0] != '\0' ? "@" : "", req->version);
}

static void
begin(struct message *m, const struct hub_notify *n, const char *event,
    const struct hub_request *req, int64_t now_ms)
{
	char when[MG_TIME_STR];

	mg_time_format(now_ms, when);
	mg_buf_init(&m->b, MESSAGE_MAX);
	mg_json_begin(&m->j, &m->b);
	mg_json_obj(&m->j, NULL);
	mg_json_str(&m->j, "event", event);
	mg_json_str(&m->j, "time", when);
	mg_json_str(&m->j, "hub", n->hub_name);
	mg_json_str(&m->j, "code", req->code);
	mg_json_str(&m->j, "uuid", req->id);
	mg_json_str(&m->j, "host", req->host);
	mg_json_str(&m->j, "requester", req->requester);
	mg_json_str(&m->j, "operation", req->operation);
	mg_json_str(&m->j, "model", req->model);
	mg_json_str(&m->j, "version", req->version);
	mg_json_str(&m->j, "state", req->state);
}

static void put_text(struct message *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put_text(struct message *m, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mg_json_str(&m->j, "text", text);
}

static void
end(struct message *m, struct hub_notify *n)
{
	const char *s = NULL;
	char *json;

	mg_json_obj_end(&m->j);
	if (mg_json_end(&m->j) == MG_ERR_OK &&
	    mg_buf_put_u8(&m->b, '\n') == MG_ERR_OK)
		s = mg_buf_cstr(&m->b);
	json = s == NULL ? NULL : strdup(s);
	mg_buf_fini(&m->b);
	if (json == NULL)
		mg_log(MG_EVT_NOTIFY, "dropped: cannot make the message");
	else
		push(n, json);
}

/* The reason, as the body has it. */
static void
put_reason(struct message *m, const struct hub_request *req)
{
	struct mg_buf b;
	const char *s = NULL;

	mg_buf_init(&b, MG_TEXT_BODY_MAX + 1);
	if (mg_text_get(&b, req->body, strlen(req->body), "reason") ==
	    MG_ERR_OK)
		s = mg_buf_cstr(&b);
	mg_json_str(&m->j, "reason", s == NULL ? "" : s);
	mg_buf_fini(&b);
}

void
hub_notify_request(
    struct hub_notify *n, const struct hub_request *req, int64_t now_ms)
{
	char left[MG_DURATION_STR], what[3 * 97 + 3];
	struct message m;

	if (n->path[0] == '\0')
		return;
	subject(req, what, sizeof(what));
	mg_duration_format((int64_t)hub_request_left_ms(req, now_ms), left);
	begin(&m, n, "request", req, now_ms);
	mg_json_strv(
	    &m.j, "need", (const char *const *)req->need.v, req->need.n);
	mg_json_int(
	    &m.j, "left_s", (int64_t)hub_request_left_ms(req, now_ms) / 1000);
	put_reason(&m, req);
	put_text(&m, "%s: %s asks to %s on %s, %s left to approve", req->code,
	    req->requester, what, req->host, left);
	end(&m, n);
}

static void
put_decision(struct message *m, const struct hub_decision *d)
{
	mg_json_str(&m->j, "approver", d->approver);
	mg_json_str(&m->j, "decision", d->word);
	mg_json_str(&m->j, "note", d->note);
}

void
hub_notify_decision(struct hub_notify *n, const struct hub_request *req,
    const struct hub_decision *d, int64_t now_ms)
{
	char what[3 * 97 + 3];
	struct message m;

	if (n->path[0] == '\0')
		return;
	subject(req, what, sizeof(what));
	begin(&m, n, "decision", req, now_ms);
	put_decision(&m, d);
	put_text(&m, "%s: %s says %s (%s on %s for %s)", req->code, d->approver,
	    d->word, what, req->host, req->requester);
	end(&m, n);
}

void
hub_notify_verdict(struct hub_notify *n, const struct hub_request *req,
    const struct hub_decision *d, int64_t now_ms)
{
	struct message m;

	if (n->path[0] == '\0')
		return;
	begin(&m, n, "verdict", req, now_ms);
	put_decision(&m, d);
	mg_json_bool(&m.j, "accepted", d->judged == MG_HUB_ACCEPTED);
	mg_json_str(&m.j, "verdict", d->verdict);
	put_text(&m, "%s: %s %s the decision of %s: %s", req->code, req->host,
	    d->judged == MG_HUB_ACCEPTED ? "took" : "refused", d->approver,
	    d->verdict);
	end(&m, n);
}

void
hub_notify_ended(
    struct hub_notify *n, const struct hub_request *req, int64_t now_ms)
{
	char what[3 * 97 + 3];
	struct message m;

	if (n->path[0] == '\0')
		return;
	subject(req, what, sizeof(what));
	begin(&m, n, "ended", req, now_ms);
	put_text(&m, "%s: %s (%s on %s for %s)", req->code, req->state, what,
	    req->host, req->requester);
	end(&m, n);
}
