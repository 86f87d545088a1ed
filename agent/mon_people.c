/* SPDX-License-Identifier: ISC */
/*
 * Who people are, asked of NSS through mg-ident.
 *
 * NSS can hang (LDAP), crash or lie slowly, so no lookup happens in this
 * process: a question has a deadline, and when it passes mg-ident is
 * replaced and the answer is "unknown", which every decision reads as no.
 */
#include <stdlib.h>
#include <string.h>

#include "mg_time.h"
#include "mon.h"

#define PEOPLE_MAX 4096
#define FETCH_MAX 80 /* people asked for at once */
#define GROUPS_MAX 512
#define GROUPS_REFRESH_MS 60000
#define FRESH_MS 50
#define LOST_MS 3000
#define TURNS 64 /* callbacks in a row */

/* A question that mg-ident has not answered yet; several may wait for it. */
struct mon_question {
	uint32_t id, uid;
	char name[97];
	struct mon_question *next;
};

struct mon_fetch {
	struct mon *m;
	uint32_t ids[FETCH_MAX]; /* of questions not answered yet; 0: none */
	size_t n, waiting;
	int64_t deadline;
	void (*fn)(void *arg);
	void *arg;
	struct mon_fetch *next;
};

/* The members of a group that the policy names. */
struct mon_group {
	char name[97];
	char **members;
	size_t n;
	uint32_t id; /* of the question that is out */
	struct mon_group *next;
};

static void
free_strings(char **v, size_t n)
{
	while (n > 0)
		free(v[--n]);
	free(v);
}

static void
person_clear(struct mon_person *p)
{
	free(p->home);
	free(p->shell);
	free(p->gids);
	free_strings(p->groups, p->ngroups);
	p->home = p->shell = NULL;
	p->gids = NULL;
	p->groups = NULL;
	p->ngids = p->ngroups = 0;
	p->found = false;
}

const struct mon_person *
mon_person_by_name(struct mon *m, const char *name)
{
	struct mon_person *p;

	for (p = m->people; p != NULL; p = p->next)
		if (p->found && strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

const struct mon_person *
mon_person_by_uid(struct mon *m, uint32_t uid)
{
	struct mon_person *p, *best = NULL;

	/* Two names may share a uid: the one asked for last is meant. */
	for (p = m->people; p != NULL; p = p->next)
		if (p->found && p->uid == uid &&
		    (best == NULL || p->fetched_bt > best->fetched_bt))
			best = p;
	return best;
}

/* ---- the view for the policy ---- */

static const char *const *
groups_of(void *arg, const char *user, size_t *np)
{
	const struct mon_person *p = mon_person_by_name(arg, user);

	*np = p == NULL ? 0 : p->ngroups;
	return p == NULL ? NULL : (const char *const *)p->groups;
}

static struct mon_group *
find_group(struct mon *m, const char *name)
{
	struct mon_group *g;

	for (g = m->groups; g != NULL; g = g->next)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static const char *const *
members_of(void *arg, const char *group, size_t *np)
{
	struct mon *m = arg;
	struct mon_group *g = find_group(m, group);

	*np = 0;
	if (g == NULL) {
		/* First time that it is named: fetched with the next round. */
		size_t n = 0;

		for (g = m->groups; g != NULL; g = g->next)
			n++;
		if (n >= GROUPS_MAX || strlen(group) >= sizeof(g->name) ||
		    (g = calloc(1, sizeof(*g))) == NULL)
			return NULL;
		memcpy(g->name, group, strlen(group) + 1);
		g->next = m->groups;
		m->groups = g;
		return NULL;
	}
	*np = g->n;
	return (const char *const *)g->members;
}

static bool
is_same(void *arg, const char *a, const char *b)
{
	const struct mon_person *pa, *pb;

	if (strcmp(a, b) == 0)
		return true;
	pa = mon_person_by_name(arg, a);
	pb = mon_person_by_name(arg, b);
	return pa != NULL && pb != NULL && pa->uid == pb->uid;
}

const struct mg_people *
mon_people(struct mon *m)
{
	return &m->people_view;
}

/* ---- answers ---- */

/* Its people are known, as far as they are: it has a turn. */
static void
fetch_ready(struct mon *m, struct mon_fetch *f)
{
	f->next = NULL;
	if (m->ready_last != NULL)
		m->ready_last->next = f;
	else
		m->ready = f;
	m->ready_last = f;
}

static void serve_ready(void *arg);

/* Serves those who wait for a turn; when there are many, others get theirs
 * in between. */
static void
serve(struct mon *m)
{
	struct mon_fetch *f;
	unsigned n;

	for (n = 0; n < TURNS && (f = m->ready) != NULL; n++) {
		if ((m->ready = f->next) == NULL)
			m->ready_last = NULL;
		f->fn(f->arg);
		free(f);
	}
	if (m->ready != NULL)
		mon_timer_set(m, &m->ready_timer, 0, serve_ready, m);
}

static void
serve_ready(void *arg)
{
	serve(arg);
}

static char **
copy_strings(const char *const *v, size_t n)
{
	char **w;
	size_t i;

	if ((w = calloc(n + 1, sizeof(*w))) == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		if ((w[i] = strdup(v[i])) == NULL) {
			free_strings(w, i);
			return NULL;
		}
	}
	return w;
}

/* The place for a person: the one of that name, or the stalest. */
static struct mon_person *
place_for(struct mon *m, const char *name)
{
	struct mon_person *p, *stale = NULL;
	size_t n = 0;

	for (p = m->people; p != NULL; p = p->next) {
		n++;
		if (strcmp(p->name, name) == 0)
			return p;
		if (stale == NULL || p->fetched_bt < stale->fetched_bt)
			stale = p;
	}
	if (n >= PEOPLE_MAX)
		return stale;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return stale;
	p->next = m->people;
	m->people = p;
	return p;
}

static uint32_t
be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) |
	       ((uint32_t)p[2] << 8) | p[3];
}

static void
keep_person(struct mon *m, const struct mg_ident_ans *a)
{
	struct mon_person *p;
	size_t i;

	if (a->name[0] == '\0' || (p = place_for(m, a->name)) == NULL)
		return;
	person_clear(p);
	memcpy(p->name, a->name, strlen(a->name) + 1);
	p->fetched_bt = mg_time_boot_ms();
	if (!a->found || a->gids_len % 4 != 0)
		return;
	p->uid = a->uid;
	p->gid = a->gid;
	p->home = strdup(a->home);
	p->shell = strdup(a->shell);
	p->ngids = a->gids_len / 4;
	p->gids = calloc(p->ngids + 1, sizeof(*p->gids));
	p->groups = copy_strings(a->groups, a->groups_n);
	if (p->home == NULL || p->shell == NULL || p->gids == NULL ||
	    p->groups == NULL) {
		p->ngids = 0;
		person_clear(p);
		return;
	}
	p->ngroups = a->groups_n;
	for (i = 0; i < p->ngids; i++)
		p->gids[i] = be32(a->gids + 4 * i);
	p->found = true;
}

static void
forget_question(struct mon *m, uint32_t id)
{
	struct mon_question **p = &m->questions, *q;

	while (*p != NULL && (*p)->id != id)
		p = &(*p)->next;
	if ((q = *p) == NULL)
		return;
	*p = q->next;
	free(q);
}

/* Ticks id off; a fetch that waits for nothing else is done. */
static void
answered(struct mon_fetch *f, uint32_t id)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		if (f->ids[i] != id)
			continue;
		f->ids[i] = 0;
		f->waiting--;
	}
}

static void
take_person(struct mon *m, struct mg_frame *frame)
{
	static struct mg_ident_ans a; /* large */
	struct mon_fetch **p = &m->fetches, *f;

	if (frame->id == 0 ||
	    mg_frame_decode(frame, &a, sizeof(a)) != MG_ERR_OK)
		return;
	keep_person(m, &a);
	forget_question(m, frame->id);
	while ((f = *p) != NULL) {
		answered(f, frame->id);
		if (f->waiting > 0) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		fetch_ready(m, f);
	}
	serve(m);
}

static void
take_group(struct mon *m, struct mg_frame *frame)
{
	static struct mg_group_ans a;
	struct mon_group *g;

	if (mg_frame_decode(frame, &a, sizeof(a)) != MG_ERR_OK)
		return;
	for (g = m->groups; g != NULL; g = g->next)
		if (g->id == frame->id && strcmp(g->name, a.name) == 0)
			break;
	if (g == NULL)
		return;
	free_strings(g->members, g->n);
	g->id = 0;
	g->n = 0;
	g->members = copy_strings(a.members, a.members_n);
	if (g->members != NULL)
		g->n = a.members_n;
}

static void
ident_frame(void *arg, struct mg_frame *f)
{
	if (f->op == MG_MSG_IDENT_ANS)
		take_person(arg, f);
	else
		take_group(arg, f);
}

bool
mon_people_are_lost(const struct mon *m)
{
	return m->people_lost_bt != 0 &&
	       mg_time_boot_ms() - m->people_lost_bt < LOST_MS;
}

/* ---- questions ---- */

static enum mg_err
ident_up(struct mon *m)
{
	if (mon_proc_is_up(&m->ident))
		return MG_ERR_OK;
	return mon_proc_start(
	    &m->ident, m, "mg-ident", NULL, NULL, MG_ROLE_IDENT, NULL, 0);
}

/* Nobody answers: from here on everybody is unknown, until asked anew. */
static void
give_up_all(struct mon *m)
{
	struct mon_person *p;
	struct mon_fetch *f;

	m->people_lost_bt = mg_time_boot_ms();
	for (p = m->people; p != NULL; p = p->next)
		person_clear(p);
	while (m->questions != NULL)
		forget_question(m, m->questions->id);
	while ((f = m->fetches) != NULL) {
		m->fetches = f->next;
		fetch_ready(m, f);
	}
	serve(m);
}

static void
ident_ended(void *arg, int status)
{
	(void)status;
	give_up_all(arg);
}

static void
late(void *arg)
{
	struct mon *m = arg;
	int64_t now = mg_time_boot_ms();
	struct mon_fetch *f;

	for (f = m->fetches; f != NULL; f = f->next) {
		if (f->deadline > now)
			continue;
		mg_log(MG_EVT_ERROR, "err='name service does not answer'");
		mon_proc_stop(&m->ident);
		give_up_all(m);
		return;
	}
	if (m->fetches != NULL)
		mon_timer_set(m, &m->people_timer,
		    now + MON_PEOPLE_DEADLINE_MS / 4, late, m);
}

/* Whether what is known of a person is of this very moment: the steps of one
 * question do not ask for the same person twice. */
static bool
is_fresh(struct mon *m, const char *name, uint32_t uid)
{
	const struct mon_person *p = name[0] != '\0'
					 ? mon_person_by_name(m, name)
					 : mon_person_by_uid(m, uid);

	return p != NULL && mg_time_boot_ms() - p->fetched_bt < FRESH_MS;
}

/* The answer to a question that is on its way is as fresh as FRESH_MS. */
static const struct mon_question *
on_its_way(struct mon *m, const char *name, uint32_t uid)
{
	const struct mon_question *q;

	for (q = m->questions; q != NULL; q = q->next)
		if (strcmp(q->name, name) == 0 &&
		    (name[0] != '\0' || q->uid == uid))
			return q;
	return NULL;
}

static struct mon_question *
send_question(struct mon *m, const char *name, uint32_t uid)
{
	struct mg_ident_req msg = {.name = name, .uid = uid};
	struct mon_question *q;

	if (strlen(name) >= sizeof(q->name) ||
	    (q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	if ((q->id = ++m->ident_id) == 0)
		q->id = ++m->ident_id;
	if (mon_port_send(&m->ident.port, q->id, MG_MSG_IDENT_REQ, &msg) !=
	    MG_ERR_OK) {
		free(q);
		return NULL;
	}
	q->uid = uid;
	memcpy(q->name, name, strlen(name) + 1);
	q->next = m->questions;
	m->questions = q;
	return q;
}

static bool
ask(struct mon_fetch *f, const char *name, uint32_t uid)
{
	const struct mon_question *q;

	if (is_fresh(f->m, name, uid))
		return true;
	if ((q = on_its_way(f->m, name, uid)) == NULL &&
	    (q = send_question(f->m, name, uid)) == NULL)
		return false;
	f->ids[f->n++] = q->id;
	f->waiting++;
	return true;
}

enum mg_err
mon_people_fetch(struct mon *m, const char *const *names, size_t n,
    uint32_t uid, void (*fn)(void *arg), void *arg)
{
	struct mon_fetch *f;
	enum mg_err r;
	size_t i, j;

	if (n + 1 > FETCH_MAX)
		return MG_ERR_LIMIT;
	if ((r = ident_up(m)) != MG_ERR_OK)
		return r;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return MG_ERR_NOMEM;
	f->m = m;
	f->fn = fn;
	f->arg = arg;
	f->deadline = mg_time_boot_ms() + MON_PEOPLE_DEADLINE_MS;
	if (uid != MG_PROC_UNSET && !ask(f, "", uid))
		r = MG_ERR_SYS;
	for (i = 0; i < n && r == MG_ERR_OK; i++) {
		for (j = 0; j < i && strcmp(names[j], names[i]) != 0; j++)
			continue;
		if (j == i && names[i][0] != '\0' &&
		    !ask(f, names[i], MG_PROC_UNSET))
			r = MG_ERR_SYS;
	}
	if (r != MG_ERR_OK) {
		free(f);
		return r;
	}
	if (f->waiting == 0) {
		/* All is known; the callback comes later all the same. */
		fetch_ready(m, f);
		mon_timer_set(m, &m->ready_timer, 0, serve_ready, m);
		return MG_ERR_OK;
	}
	f->next = m->fetches;
	m->fetches = f;
	if (m->people_timer.slot == 0)
		mon_timer_set(m, &m->people_timer,
		    mg_time_boot_ms() + MON_PEOPLE_DEADLINE_MS / 4, late, m);
	return MG_ERR_OK;
}

static void
refresh(void *arg)
{
	struct mon *m = arg;
	struct mon_group *g;

	for (g = m->groups; g != NULL; g = g->next) {
		struct mg_group_req q = {.name = g->name};

		if (ident_up(m) != MG_ERR_OK)
			break;
		g->id = ++m->ident_id;
		(void)mon_port_send(
		    &m->ident.port, g->id, MG_MSG_GROUP_REQ, &q);
	}
	mon_timer_set(m, &m->groups_timer,
	    mg_time_boot_ms() + GROUPS_REFRESH_MS, refresh, m);
}

void
mon_people_refresh_groups(struct mon *m)
{
	refresh(m);
}

enum mg_err
mon_people_init(struct mon *m)
{
	m->people_view.arg = m;
	m->people_view.groups_of = groups_of;
	m->people_view.members_of = members_of;
	m->people_view.is_same = is_same;
	m->ident.on_frame = ident_frame;
	m->ident.on_end = ident_ended;
	m->ident.arg = m;
	return ident_up(m);
}

void
mon_people_fini(struct mon *m)
{
	struct mon_person *p;
	struct mon_group *g;
	struct mon_fetch *f;

	mon_proc_stop(&m->ident);
	while ((f = m->fetches) != NULL) {
		m->fetches = f->next;
		free(f);
	}
	while ((f = m->ready) != NULL) {
		m->ready = f->next;
		free(f);
	}
	while (m->questions != NULL)
		forget_question(m, m->questions->id);
	while ((p = m->people) != NULL) {
		m->people = p->next;
		person_clear(p);
		free(p);
	}
	while ((g = m->groups) != NULL) {
		m->groups = g->next;
		free_strings(g->members, g->n);
		free(g);
	}
}
