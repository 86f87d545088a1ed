/* SPDX-License-Identifier: ISC */
/*
 * The engine against a small, slow model of the language that shares no code
 * with it, by random questions over random policies.
 *
 *	SEED=n repeats a run, CASES=n sets how many questions (150,000; a
 *	million in `make property`).
 *
 * The model reads no text: it works on the tables from which the text of a
 * policy is printed, and does everything the plain way. Recursion where the
 * engine has ranks, scanning where it has an index, one character at a time
 * where it has hashes.
 */
#include <time.h>

#include "policy_fixture.h"

/* ---- chance ---- */

static uint64_t seed, state;

static unsigned
below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 20) % n);
}

static bool
chance(unsigned percent)
{
	return below(100) < percent;
}

/* ---- the small world ---- */

#define USERS 7
#define GROUPS 3
#define ROLES 6
#define OPS 4
#define MODELS 6
#define PATTERNS 8
#define RULES 60 /* enough that the index splits */
#define TERMS 2
#define ITEMS 3
#define LABELS 4
#define NETS 6
#define ADDRS 7
#define TIMES 6
#define FILES 2
#define VERSIONS 4

static const char *const users[USERS] = {
    "ann", "ben", "cas", "dan", "eve", "bot", "outsider"};
static const char *const groups[GROUPS] = {"g1", "g2", "g3"};
/* Not in the order of their definition. */
static const char *const role_names[ROLES] = {"m", "z", "a", "q", "b", "y"};
static const char *const op_names[OPS] = {
    "deploy", "promote", "retire", "login"};
static const char *const models[MODELS] = {
    "fraud-a", "fraud-b", "fraud-ab", "ocr", "ocr-a", "zz"};
static const char *const patterns[PATTERNS] = {
    "fraud-*", "fraud-a", "*", "ocr*", "*-a", "?cr", "fraud-?", "zz"};
static const char *const attr_keys[2] = {"tier", "data"};
static const char *const attr_values[3] = {"high", "low", "pii"};
static const char *const labels[LABELS] = {
    "env:production", "env:test", "gpu:a100", "host-1"};
static const char *const version_patterns[VERSIONS] = {"1", "1.*", "*rc", "?"};
static const char *const versions[5] = {"1", "1.2", "2rc", "7", ""};

static const struct {
	const char *text;
	uint8_t a[4];
	unsigned bits;
	bool v6;
} nets[NETS] = {
    {"10.0.0.0/8", {10, 0, 0, 0}, 8, false},
    {"10.1.0.0/16", {10, 1, 0, 0}, 16, false},
    {"192.0.2.4/30", {192, 0, 2, 4}, 30, false},
    {"192.0.2.9", {192, 0, 2, 9}, 32, false},
    {"0.0.0.0/0", {0, 0, 0, 0}, 0, false},
    {"::/0", {0, 0, 0, 0}, 0, true},
};
static const struct {
	const char *text;
	uint8_t a[4];
	bool v6;
} addrs[ADDRS] = {
    {"10.0.0.1", {10, 0, 0, 1}, false},
    {"::ffff:10.1.9.9", {10, 1, 9, 9}, false},
    {"192.0.2.7", {192, 0, 2, 7}, false},
    {"192.0.2.8", {192, 0, 2, 8}, false},
    {"192.0.2.9", {192, 0, 2, 9}, false},
    {"2001:db8::5", {0, 0, 0, 0}, true},
    {"", {0, 0, 0, 0}, false},
};

/* Days count from monday; seconds of the day; over midnight when from > to. */
static const struct {
	const char *text;
	unsigned days, from, to;
	int first, last; /* day of november 2026; 0: any */
} times[TIMES] = {
    {"mon-fri", 0x1f, 0, 86400, 0, 0},
    {"08:00-18:00", 0x7f, 28800, 64800, 0, 0},
    {"22:00-06:00", 0x7f, 79200, 21600, 0, 0},
    {"fri 22:00-06:00", 0x10, 79200, 21600, 0, 0},
    {"2026-11-20 .. 2026-11-25", 0x7f, 0, 86400, 20, 25},
    {"sat+sun 09:00-12:00", 0x60, 32400, 43200, 0, 0},
};

/* ---- tables ---- */

struct member {
	bool neg;
	enum { M_USER, M_GROUP, M_ROLE } kind;
	unsigned id;
	int until; /* day of november 2026, inclusive; 0: for ever */
};

struct item {
	bool neg;
	unsigned n, term[TERMS];
};

struct sel {
	unsigned n; /* 0: the rule does not say */
	struct item v[ITEMS];
};

struct rule {
	enum pol_effect effect;
	unsigned ops;  /* bits */
	bool by_group; /* names the group of operations */
	struct sel role, user, model, version, host, from, time, when;
	bool mfa, hardware;
	unsigned mfa_age; /* minutes; 0: none given */
	unsigned need[ROLES];
	unsigned lasts, approve, uses; /* 0: not said */
	bool unlimited;
	unsigned live, live_scope, rate;
};

struct table {
	unsigned nmembers[ROLES];
	struct member member[ROLES][4];
	int attr[PATTERNS][2]; /* value, or -1 */
	bool has_section[PATTERNS];
	unsigned nrules;
	struct rule rule[RULES];
	bool separation;
	unsigned at_most;
};

struct question {
	unsigned user, op;
	int model;
	unsigned version, addr;
	unsigned host;	 /* bits of labels; the last is the host's name */
	int day, second; /* of november 2026 */
	bool groups_known;
	unsigned in_group; /* bits */
	bool hardware;
	unsigned mfa_ago;     /* minutes; 0: never */
	unsigned file[FILES]; /* enum mg_file_is; 3: nothing said */
	bool history;
	unsigned did; /* bits of operations */
	unsigned nlive, live_op[3];
	int live_model[3];
	unsigned granted;
};

/* ---- printing a policy ---- */

static char text[65536];
static size_t text_len;

static void out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
out(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_len += (size_t)vsnprintf(
	    text + text_len, sizeof(text) - text_len, fmt, ap);
	va_end(ap);
	assert_true(text_len < sizeof(text));
}

static const char *
role_term(unsigned t)
{
	return role_names[t];
}

static const char *
user_term(unsigned t)
{
	static const char *const attrs[2] = {"kind:service", "team:red"};

	return t < USERS ? users[t] : attrs[t - USERS];
}

static const char *
model_term(unsigned t)
{
	static char buf[32];

	if (t < PATTERNS)
		return patterns[t];
	t -= PATTERNS;
	snprintf(
	    buf, sizeof(buf), "%s:%s", attr_keys[t / 3], attr_values[t % 3]);
	return buf;
}

static const char *
version_term(unsigned t)
{
	return version_patterns[t];
}

static const char *
label_term(unsigned t)
{
	return labels[t];
}

static const char *
net_term(unsigned t)
{
	return nets[t].text;
}

static const char *
time_term(unsigned t)
{
	return times[t].text;
}

static const char *
when_term(unsigned t)
{
	static const char *const terms[2 * FILES] = {"file:/f0 present",
	    "file:/f0 absent", "file:/f1 present", "file:/f1 absent"};

	return terms[t];
}

static void
put_sel(const char *key, const struct sel *s, const char *(*term)(unsigned t))
{
	unsigned i, j;

	if (s->n == 0)
		return;
	out("%s = ", key);
	for (i = 0; i < s->n; i++) {
		out("%s%s", i > 0 ? ", " : "", s->v[i].neg ? "!" : "");
		for (j = 0; j < s->v[i].n; j++)
			out("%s%s", j > 0 ? " & " : "", term(s->v[i].term[j]));
	}
	out("\n");
}

static void
put_roles(const struct table *t)
{
	unsigned i, j;

	for (i = 0; i < ROLES; i++) {
		out("[role %s]\nmembers = ", role_names[i]);
		for (j = 0; j < t->nmembers[i]; j++) {
			const struct member *m = &t->member[i][j];

			out("%s%s%s%s", j > 0 ? ", " : "", m->neg ? "!" : "",
			    m->kind == M_GROUP ? "@" : "",
			    m->kind == M_USER	 ? users[m->id]
			    : m->kind == M_GROUP ? groups[m->id]
						 : role_names[m->id]);
			if (m->until > 0)
				out(" until 2026-11-%02d", m->until);
		}
		out("\n");
	}
	out("[user bot]\nkind = service\nteam = red\n"
	    "[user ann]\nteam = red\n");
}

static void
put_demands(const struct rule *r)
{
	const char *sep = "approve = ";
	unsigned i;

	if (r->mfa)
		out("mfa = %s\n", r->hardware ? "hardware-key" : "required");
	if (r->mfa_age > 0)
		out("mfa-max-age = %um\n", r->mfa_age);
	for (i = 0; i < ROLES; i++) {
		if (r->need[i] == 0)
			continue;
		out("%s%u %s", sep, r->need[i], role_names[i]);
		sep = ", ";
	}
	if (strcmp(sep, ", ") == 0)
		out("\n");
	if (r->lasts > 0)
		out("lasts = %um\n", r->lasts);
	if (r->approve > 0)
		out("approve-within = %um\n", r->approve);
	if (r->unlimited)
		out("uses = unlimited\n");
	else if (r->uses > 0)
		out("uses = %u\n", r->uses);
	if (r->live > 0)
		out("max-concurrent = %u%s\n", r->live,
		    r->live_scope == 0	 ? ""
		    : r->live_scope == 1 ? " per tier"
					 : " per host");
	if (r->rate > 0)
		out("rate = %u per 1d\n", r->rate);
}

static void
put_rule(const struct rule *r, unsigned number)
{
	static const char *const effects[] = {"deny", "allow", "require"};
	const char *sep = "";
	unsigned i;

	out("[rule r%02u]\neffect = %s\noperation = ", number,
	    effects[r->effect]);
	if (r->by_group) {
		out("life");
		sep = ", ";
	}
	for (i = 0; i < OPS; i++) {
		if (((r->ops >> i) & 1) == 0 || (r->by_group && i < 2))
			continue;
		out("%s%s", sep, op_names[i]);
		sep = ", ";
	}
	out("\n");
	put_sel("role", &r->role, role_term);
	put_sel("user", &r->user, user_term);
	put_sel("model", &r->model, model_term);
	put_sel("version", &r->version, version_term);
	put_sel("host", &r->host, label_term);
	put_sel("from", &r->from, net_term);
	put_sel("time", &r->time, time_term);
	put_sel("when", &r->when, when_term);
	put_demands(r);
}

static void
put_models(const struct table *t)
{
	unsigned i, k;

	for (i = 0; i < PATTERNS; i++) {
		if (!t->has_section[i])
			continue;
		out("[model %s]\n", patterns[i]);
		for (k = 0; k < 2; k++)
			if (t->attr[i][k] >= 0)
				out("%s = %s\n", attr_keys[k],
				    attr_values[t->attr[i][k]]);
	}
}

/* Sections in any order. */
static void
put_policy(const struct table *t)
{
	unsigned i, part, first = below(4);

	text_len = 0;
	for (i = 0; i < 3; i++)
		out("[operation %s]\ncommand = /bin/true {model}\n"
		    "run-as = x\n",
		    op_names[i]);
	out("[operation-group life]\noperations = deploy, promote\n");
	for (part = 0; part < 4; part++) {
		switch ((first + part) % 4) {
		case 0:
			put_roles(t);
			break;
		case 1:
			put_models(t);
			break;
		case 2:
			for (i = 0; i < t->nrules; i++)
				put_rule(&t->rule[i], i);
			break;
		case 3:
			if (t->separation)
				out("[separation s]\noperations = deploy, "
				    "promote, retire\nat-most = %u\n",
				    t->at_most);
			break;
		}
	}
}

/* ---- making tables and questions ---- */

static void
make_sel(struct sel *s, unsigned percent, unsigned nterms, unsigned max_and)
{
	unsigned i, j;

	memset(s, 0, sizeof(*s));
	if (!chance(percent))
		return;
	s->n = 1 + below(ITEMS);
	for (i = 0; i < s->n; i++) {
		s->v[i].neg = chance(20);
		s->v[i].n = 1 + below(max_and);
		for (j = 0; j < s->v[i].n; j++)
			s->v[i].term[j] = below(nterms);
	}
}

static void
make_demands(struct rule *r)
{
	unsigned i;

	r->mfa = chance(30);
	r->hardware = chance(20);
	r->mfa_age = r->mfa && !r->hardware && chance(40) ? 5 + below(10) : 0;
	for (i = 0; i < ROLES; i++)
		r->need[i] = chance(15) ? 1 + below(2) : 0;
	r->lasts = chance(30) ? 1 + below(90) : 0;
	r->approve = chance(20) ? 1 + below(90) : 0;
	r->uses = chance(20) ? 1 + below(4) : 0;
	r->unlimited = r->uses > 0 && chance(30);
	r->live = chance(15) ? 1 + below(2) : 0;
	r->live_scope = below(3);
	r->rate = chance(10) ? 1 + below(4) : 0;
}

static bool
asks(const struct rule *r)
{
	unsigned i,
	    sum = r->mfa + r->lasts + r->approve + r->uses + r->live + r->rate;

	for (i = 0; i < ROLES; i++)
		sum += r->need[i];
	return sum > 0;
}

static void
make_rule(struct rule *r)
{
	memset(r, 0, sizeof(*r));
	r->effect = chance(15)	 ? POL_DENY
		    : chance(15) ? POL_REQUIRE
				 : POL_ALLOW;
	r->ops = 1 + below((1U << OPS) - 1);
	r->by_group = (r->ops & 3) == 3 && chance(30);
	make_sel(&r->role, 60, ROLES, 2);
	make_sel(&r->user, 20, USERS + 2, 2);
	make_sel(&r->model, 50, PATTERNS + 6, 2);
	make_sel(&r->version, 15, VERSIONS, 1);
	make_sel(&r->host, 30, LABELS, 2);
	make_sel(&r->from, 20, NETS, 1);
	make_sel(&r->time, 20, TIMES, 1);
	make_sel(&r->when, 15, 2 * FILES, 2);
	if (r->effect != POL_DENY)
		make_demands(r);
	if (r->effect == POL_REQUIRE && !asks(r))
		r->lasts = 7;
}

static void
make_table(struct table *t)
{
	unsigned i, j;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < ROLES; i++) {
		t->nmembers[i] = 1 + below(4);
		for (j = 0; j < t->nmembers[i]; j++) {
			struct member *m = &t->member[i][j];

			m->neg = chance(20);
			m->kind = i > 0 && chance(35) ? M_ROLE
				  : chance(40)	      ? M_GROUP
						      : M_USER;
			m->id = below(m->kind == M_ROLE	   ? i
				      : m->kind == M_GROUP ? GROUPS
							   : USERS);
			m->until = chance(15) ? 1 + (int)below(30) : 0;
		}
	}
	for (i = 0; i < PATTERNS; i++) {
		t->has_section[i] = chance(40);
		for (j = 0; j < 2; j++)
			t->attr[i][j] = chance(60) ? (int)below(3) : -1;
	}
	t->nrules = below(chance(80) ? 10 : RULES + 1);
	for (i = 0; i < t->nrules; i++)
		make_rule(&t->rule[i]);
	t->separation = chance(20);
	t->at_most = 1 + below(2);
}

static void
make_question(struct question *q)
{
	unsigned i;

	q->user = below(USERS);
	q->op = below(OPS);
	q->model = q->op == 3 || chance(5) ? -1 : (int)below(MODELS);
	q->version = q->model < 0 ? 4 : below(5);
	q->addr = below(ADDRS);
	q->host = below(1U << LABELS);
	q->day = 1 + (int)below(30);
	q->second = (int)below(86400);
	if (chance(20))
		q->second = 3600 * (int)below(24);
	q->groups_known = chance(85);
	q->in_group = below(1U << GROUPS);
	q->hardware = chance(50);
	q->mfa_ago = chance(50) ? 0 : 1 + below(20);
	for (i = 0; i < FILES; i++)
		q->file[i] = below(3);
	if (chance(10))
		q->file[0] = 3;
	q->history = chance(90);
	q->did = below(8);
	q->nlive = below(4);
	for (i = 0; i < 3; i++) {
		q->live_op[i] = below(3);
		q->live_model[i] = (int)below(MODELS);
	}
	q->granted = below(4);
}

/* ---- the model: what holds ---- */

/* Three truths: no, perhaps, yes. */
enum truth { NO = 0, PERHAPS = 1, YES = 2 };

static enum truth not(enum truth t) { return (enum truth)(2 - (int)t); }

static enum truth
both(enum truth a, enum truth b)
{
	return a < b ? a : b;
}

static enum truth
either(enum truth a, enum truth b)
{
	return a > b ? a : b;
}

static bool
glob(const char *s, const char *p)
{
	if (*p == '\0')
		return *s == '\0';
	if (*p == '*')
		return glob(s, p + 1) || (*s != '\0' && glob(s + 1, p));
	return *s != '\0' && (*p == '?' || *p == *s) && glob(s + 1, p + 1);
}

static enum truth
holds(const struct table *t, const struct question *q, unsigned role)
{
	enum truth in = NO, excluded = NO, m;
	unsigned j;

	for (j = 0; j < t->nmembers[role]; j++) {
		const struct member *e = &t->member[role][j];

		if (e->until > 0 && q->day > e->until)
			continue;
		m = e->kind == M_USER	? (e->id == q->user ? YES : NO)
		    : e->kind == M_ROLE ? holds(t, q, e->id)
		    : !q->groups_known	? PERHAPS
		    : ((q->in_group >> e->id) & 1) ? YES
						   : NO;
		if (e->neg)
			excluded = either(excluded, m);
		else
			in = either(in, m);
	}
	return both(in, not(excluded));
}

static unsigned
literals(const char *p)
{
	unsigned n = 0;

	if (strpbrk(p, "*?") == NULL)
		return 1000;
	for (; *p != '\0'; p++)
		n += *p != '*' && *p != '?';
	return n;
}

/* The value of an attribute, or -1. */
static int
attribute(const struct table *t, const char *model, unsigned key)
{
	int best = -1;
	unsigned i, specific = 0;

	for (i = 0; i < PATTERNS; i++) {
		if (!t->has_section[i] || t->attr[i][key] < 0 ||
		    !glob(model, patterns[i]))
			continue;
		if (best >= 0 && literals(patterns[i]) <= specific)
			continue;
		best = t->attr[i][key];
		specific = literals(patterns[i]);
	}
	return best;
}

/* Sections of one rank that disagree about some name are refused. */
static bool
is_ambiguous(const struct table *t)
{
	/* All names that tell the patterns apart. */
	static const char *const names[] = {"fraud-a", "fraud-b", "fraud-",
	    "ocr", "ocr-a", "xcr", "x-a", "zz", "-a", "ocr-", "ocrx-a",
	    "fraud"};
	unsigned i, j, k, n;

	for (i = 0; i < PATTERNS; i++) {
		for (j = 0; j < i; j++) {
			if (!t->has_section[i] || !t->has_section[j] ||
			    literals(patterns[i]) != literals(patterns[j]))
				continue;
			for (k = 0; k < 2; k++) {
				if (t->attr[i][k] < 0 || t->attr[j][k] < 0 ||
				    t->attr[i][k] == t->attr[j][k])
					continue;
				for (n = 0; n < 12; n++)
					if (glob(names[n], patterns[i]) &&
					    glob(names[n], patterns[j]))
						return true;
			}
		}
	}
	return false;
}

struct ctx {
	const struct table *t;
	const struct question *q;
};

static enum truth
is_role(const struct ctx *c, unsigned term)
{
	return holds(c->t, c->q, term);
}

static enum truth
is_user(const struct ctx *c, unsigned term)
{
	if (term < USERS)
		return term == c->q->user ? YES : NO;
	if (term == USERS)
		return c->q->user == 5 ? YES : NO;
	return c->q->user == 5 || c->q->user == 0 ? YES : NO;
}

static enum truth
is_model(const struct ctx *c, unsigned term)
{
	const char *model = models[c->q->model];

	if (term < PATTERNS)
		return glob(model, patterns[term]) ? YES : NO;
	term -= PATTERNS;
	return attribute(c->t, model, term / 3) == (int)(term % 3) ? YES : NO;
}

static enum truth
is_version(const struct ctx *c, unsigned term)
{
	return glob(versions[c->q->version], version_patterns[term]) ? YES : NO;
}

static enum truth
is_host(const struct ctx *c, unsigned term)
{
	return ((c->q->host >> term) & 1) != 0 ? YES : NO;
}

static enum truth
is_from(const struct ctx *c, unsigned term)
{
	unsigned bit;

	if (addrs[c->q->addr].text[0] == '\0')
		return PERHAPS;
	if (nets[term].v6 != addrs[c->q->addr].v6)
		return NO;
	for (bit = 0; bit < nets[term].bits; bit++)
		if (((nets[term].a[bit / 8] ^ addrs[c->q->addr].a[bit / 8]) &
			(0x80U >> bit % 8)) != 0)
			return NO;
	return YES;
}

/* 1 November 2026 is a Sunday. */
static bool
day_is(unsigned term, int day)
{
	unsigned weekday = (unsigned)((day + 5) % 7);

	return ((times[term].days >> weekday) & 1) != 0 &&
	       (times[term].first == 0 ||
		   (day >= times[term].first && day <= times[term].last));
}

static enum truth
is_time(const struct ctx *c, unsigned term)
{
	unsigned s = (unsigned)c->q->second;
	unsigned from = times[term].from, to = times[term].to;

	if (from < to)
		return s >= from && s < to && day_is(term, c->q->day) ? YES
								      : NO;
	if (s >= from)
		return day_is(term, c->q->day) ? YES : NO;
	return s < to && day_is(term, c->q->day - 1) ? YES : NO;
}

static enum truth
is_when(const struct ctx *c, unsigned term)
{
	unsigned is = c->q->file[0] == 3 ? 0 : c->q->file[term / 2];

	if (is == MG_FILE_UNKNOWN)
		return PERHAPS;
	return (is == MG_FILE_PRESENT) == (term % 2 == 0) ? YES : NO;
}

static enum truth
selected(const struct ctx *c, const struct sel *s,
    enum truth (*is)(const struct ctx *c, unsigned term))
{
	enum truth in = NO, excluded = NO, all;
	bool open = true;
	unsigned i, j;

	for (i = 0; i < s->n; i++) {
		all = YES;
		for (j = 0; j < s->v[i].n; j++)
			all = both(all, is(c, s->v[i].term[j]));
		if (s->v[i].neg) {
			excluded = either(excluded, all);
		} else {
			open = false;
			in = either(in, all);
		}
	}
	return both(open ? YES : in, not(excluded));
}

/* Whether the rule applies: doubt allows nothing and denies everything. */
static bool
applies(const struct ctx *c, const struct rule *r)
{
	const struct question *q = c->q;
	enum truth t = YES;

	if (((r->ops >> q->op) & 1) == 0)
		return false;
	t = both(t, selected(c, &r->role, is_role));
	t = both(t, selected(c, &r->user, is_user));
	t = both(t, selected(c, &r->host, is_host));
	t = both(t, selected(c, &r->when, is_when));
	t = both(t, selected(c, &r->time, is_time));
	if (r->model.n > 0)
		t = both(
		    t, q->model < 0 ? NO : selected(c, &r->model, is_model));
	if (r->version.n > 0)
		t = both(t, q->model < 0 ? NO
			    : q->version == 4
				? PERHAPS
				: selected(c, &r->version, is_version));
	if (r->from.n > 0)
		t = both(t, q->addr == ADDRS - 1
				? PERHAPS
				: selected(c, &r->from, is_from));
	return r->effect == POL_ALLOW ? t == YES : t != NO;
}

/* ---- the model: the verdict ---- */

static bool
limits_met(const struct ctx *c, const struct rule *r, bool *is_key)
{
	const struct question *q = c->q;
	unsigned n = 0, i;
	int a, b;

	*is_key = r->mfa && r->hardware && !q->hardware;
	if (*is_key)
		return false;
	if (r->live > 0 && !q->history)
		return false;
	for (i = 0; r->live > 0 && i < q->nlive; i++) {
		if (((r->ops >> q->live_op[i]) & 1) == 0)
			continue;
		a = attribute(c->t, models[q->live_model[i]], 0);
		b = q->model < 0 ? -1 : attribute(c->t, models[q->model], 0);
		n += r->live_scope == 2 || (r->live_scope == 1 && a == b) ||
		     (r->live_scope == 0 && q->live_model[i] == q->model);
	}
	if (r->live > 0 && n >= r->live)
		return false;
	for (i = 0, n = 0; i < OPS; i++)
		n += ((r->ops >> i) & 1) != 0 ? q->granted : 0;
	return r->rate == 0 || (q->history && n < r->rate);
}

static bool
separated(const struct ctx *c)
{
	const struct question *q = c->q;
	unsigned i, n = 0;

	if (!c->t->separation || q->op == 3 || q->model < 0)
		return false;
	if (!q->history || q->version == 4)
		return true;
	for (i = 0; i < 3; i++)
		n += i != q->op && ((q->did >> i) & 1) != 0;
	return n >= c->t->at_most;
}

struct expect {
	enum mg_verdict_kind kind;
	enum mg_why why;
	bool mfa;
	unsigned need[ROLES], nrules;
	bool in[RULES];
	unsigned lasts, approve, uses;
};

static unsigned
least(unsigned a, unsigned b)
{
	return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

static void
add(const struct ctx *c, const struct rule *r, struct expect *e)
{
	unsigned i;

	if (r->mfa && !r->hardware &&
	    (r->mfa_age == 0 || c->q->mfa_ago == 0 ||
		c->q->mfa_ago > r->mfa_age))
		e->mfa = true;
	for (i = 0; i < ROLES; i++)
		if (r->need[i] > e->need[i])
			e->need[i] = r->need[i];
	e->lasts = least(e->lasts, r->lasts);
	e->approve = least(e->approve, r->approve);
	if (!r->unlimited)
		e->uses = least(e->uses, r->uses);
}

static void
judge(const struct ctx *c, struct expect *e)
{
	bool denied = false, allowed = false, unmet = false, said = false;
	bool is_key, key = false;
	unsigned i;

	memset(e, 0, sizeof(*e));
	for (i = 0; i < c->t->nrules; i++) {
		const struct rule *r = &c->t->rule[i];

		if (!applies(c, r))
			continue;
		e->in[i] = true;
		denied = denied || r->effect == POL_DENY;
		allowed = allowed || r->effect == POL_ALLOW;
		if (r->effect == POL_DENY)
			continue;
		e->nrules++;
		add(c, r, e);
		said = said || r->uses > 0;
		/* Rules are r00, r01, ...: sorted by name. */
		if (!unmet && !limits_met(c, r, &is_key)) {
			unmet = true;
			key = is_key;
		}
	}
	e->why = denied		? MG_WHY_DENY_RULE
		 : !allowed	? MG_WHY_NO_RULE
		 : separated(c) ? MG_WHY_SEPARATION
		 : unmet && key ? MG_WHY_KEY_NEEDED
		 : unmet	? MG_WHY_LIMIT
				: MG_WHY_NONE;
	if (e->why != MG_WHY_NONE)
		return;
	e->kind = MG_VERDICT_ALLOW;
	for (i = 0; i < ROLES; i++)
		if (e->need[i] > 0 || e->mfa)
			e->kind = MG_VERDICT_ASK;
	e->lasts = e->lasts == 0 ? 30 : e->lasts;
	e->approve = e->approve == 0 ? 15 : e->approve;
	if (!said)
		e->uses = c->q->op == 3 ? 0 : 1;
}

/* ---- the engine's view of a question ---- */

static const struct question *asked;

static const char *const *
groups_of(void *arg, const char *user, size_t *np)
{
	static const char *v[GROUPS];
	unsigned i;

	(void)arg;
	(void)user;
	*np = 0;
	if (!asked->groups_known)
		return NULL;
	for (i = 0; i < GROUPS; i++)
		if (((asked->in_group >> i) & 1) != 0)
			v[(*np)++] = groups[i];
	return v;
}

static int
did(void *arg, const char *user, const char *operation, const char *model,
    const char *version)
{
	unsigned i;

	(void)arg;
	(void)user;
	(void)model;
	(void)version;
	for (i = 0; i < OPS; i++)
		if (strcmp(op_names[i], operation) == 0)
			return ((asked->did >> i) & 1) != 0;
	return -1;
}

static bool
live(void *arg, size_t i, struct mg_live *l)
{
	(void)arg;
	if (i >= asked->nlive)
		return false;
	l->user = "someone";
	l->operation = op_names[asked->live_op[i]];
	l->model = models[asked->live_model[i]];
	l->version = "1";
	return true;
}

static int64_t
granted(void *arg, const char *user, const char *operation, int64_t since)
{
	(void)arg;
	(void)user;
	(void)operation;
	(void)since;
	return asked->granted;
}

static const struct mg_people people = {.groups_of = groups_of};
static const struct mg_history history = {
    .did = did, .live = live, .granted = granted};

/* 2026-11-01T00:00Z */
#define NOVEMBER INT64_C(1793491200)

static void
fill(const struct mg_policy *p, const struct question *q, struct mg_ask *ask)
{
	static const char *v[LABELS];
	static struct mg_file_state files[FILES];
	const char *const *names;
	size_t n, i;

	asked = q;
	memset(ask, 0, sizeof(*ask));
	ask->user = users[q->user];
	ask->people = &people;
	ask->operation = op_names[q->op];
	ask->model = q->model < 0 ? "" : models[q->model];
	ask->version = versions[q->version];
	ask->host = (q->host >> (LABELS - 1)) != 0 ? labels[LABELS - 1] : "h";
	for (i = 0; i + 1 < LABELS; i++)
		if (((q->host >> i) & 1) != 0)
			v[ask->nlabels++] = labels[i];
	ask->labels = v;
	ask->from = addrs[q->addr].text;
	ask->now_ms =
	    (NOVEMBER + (q->day - 1) * 86400 + q->second) * INT64_C(1000);
	ask->login_key = "";
	ask->login_key_is_hardware = q->hardware;
	if (q->mfa_ago > 0)
		ask->mfa_ms = ask->now_ms - q->mfa_ago * INT64_C(60000);
	names = mg_policy_files(p, &n);
	for (i = 0; i < n; i++)
		files[i].is = (enum mg_file_is)
				  q->file[strcmp(names[i], "/f0") == 0 ? 0 : 1];
	ask->files = q->file[0] == 3 ? NULL : files;
	ask->history = q->history ? &history : NULL;
}

/* ---- comparing ---- */

static bool
same_slots(const struct expect *e, const struct mg_verdict *v)
{
	unsigned i, n = 0;
	size_t k;

	for (i = 0; i < ROLES; i++) {
		if (e->need[i] == 0)
			continue;
		n++;
		for (k = 0; k < v->nslots; k++)
			if (strcmp(v->slots[k].role, role_names[i]) == 0)
				break;
		if (k == v->nslots || v->slots[k].count != e->need[i])
			return false;
	}
	return v->nslots == n;
}

static bool
same_rules(const struct expect *e, const struct mg_verdict *v)
{
	char name[8];
	unsigned i, n = 0;

	for (i = 0; i < RULES; i++) {
		if (!e->in[i])
			continue;
		snprintf(name, sizeof(name), "r%02u", i);
		if (n == MG_VERDICT_RULES_MAX)
			break;
		if (n >= v->nrules || strcmp(v->rules[n].name, name) != 0)
			return false;
		n++;
	}
	return n == v->nrules;
}

static bool
agree(const struct expect *e, const struct mg_verdict *v)
{
	if (e->kind != v->kind || e->why != v->why)
		return false;
	if (e->kind == MG_VERDICT_DENY)
		return v->nslots == 0 && !v->mfa && v->remedy[0] != '\0';
	return e->mfa == v->mfa && v->is_flat && same_slots(e, v) &&
	       same_rules(e, v) && v->remedy[0] == '\0' &&
	       v->lasts_ms == e->lasts * INT64_C(60000) &&
	       v->approve_within_ms == e->approve * INT64_C(60000) &&
	       v->uses == e->uses;
}

static void
disagree(const struct question *q, const struct expect *e,
    const struct mg_verdict *v)
{
	print_error("SEED=%llu\n%s\n", (unsigned long long)seed, text);
	print_error("%s %s %s@%s from '%s' host %x day %d %02d:%02d:%02d "
		    "groups %d:%x hw %d mfa %u files %u,%u history %d:%x\n",
	    users[q->user], op_names[q->op],
	    q->model < 0 ? "" : models[q->model], versions[q->version],
	    addrs[q->addr].text, q->host, q->day, q->second / 3600,
	    q->second / 60 % 60, q->second % 60, q->groups_known, q->in_group,
	    q->hardware, q->mfa_ago, q->file[0], q->file[1], q->history,
	    q->did);
	print_error("model: %d %s mfa %d lasts %u uses %u\n", (int)e->kind,
	    mg_why_word(e->why), e->mfa, e->lasts, e->uses);
	print_error("engine: %d %s mfa %d lasts %lld uses %u %s\n",
	    (int)v->kind, mg_why_word(v->why), v->mfa,
	    (long long)(v->lasts_ms / 60000), v->uses, v->remedy);
	fail_msg("the engine and the model disagree");
}

static unsigned long
from_env(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s == NULL ? otherwise : strtoul(s, NULL, 10);
}

static void
the_engine_answers_as_the_model_does(void **testing)
{
	unsigned long cases = from_env("CASES", 150000), done = 0;
	unsigned long refused = 0, tables = 0, kinds[3] = {0}, i;
	static struct table t;
	struct question q;
	struct expect e;
	struct mg_verdict v;
	struct mg_ask ask;
	struct mg_policy *p;
	struct ctx c = {.t = &t, .q = &q};

	(void)testing;
	while (done < cases) {
		make_table(&t);
		put_policy(&t);
		p = try_load(text);
		tables++;
		if (is_ambiguous(&t)) {
			refused++;
			if (p != NULL)
				fail_msg("SEED=%llu ambiguous, but loads:\n%s",
				    (unsigned long long)seed, text);
			continue;
		}
		if (p == NULL) {
			mg_diags_print(&ds, stderr);
			fail_msg(
			    "SEED=%llu\n%s", (unsigned long long)seed, text);
		}
		for (i = 0; i < 60; i++, done++) {
			make_question(&q);
			judge(&c, &e);
			fill(p, &q, &ask);
			mg_policy_decide(p, &ask, &v);
			if (!agree(&e, &v))
				disagree(&q, &e, &v);
			kinds[v.kind]++;
		}
		mg_policy_free(p);
	}
	/* A test that only ever sees refusals shows nothing. */
	for (i = 0; i < 3; i++)
		assert_true(kinds[i] > cases / 50);
	print_message("# SEED=%llu: %lu policies (%lu refused), %lu "
		      "questions: %lu denied, %lu asked, %lu allowed\n",
	    (unsigned long long)seed, tables, refused, done, kinds[0], kinds[1],
	    kinds[2]);
}

/* ---- what is said of a new policy ---- */

/* What is told of one operation. */
struct heard {
	const char *operation;
	unsigned how;
};

static void
note(void *arg, const struct pol_change *c)
{
	struct heard *heard = arg;

	if (c->kind != POL_CHANGE_DECISION ||
	    strcmp(c->operation, heard->operation) == 0)
		heard->how |= c->how;
}

/* One thing that one rule asks for is another. */
static void
change_demand(struct rule *r)
{
	unsigned i = below(ROLES);

	if (r->effect == POL_DENY)
		return;
	switch (below(6)) {
	case 0:
		r->mfa = true;
		r->hardware = false;
		r->mfa_age = r->mfa_age > 0 ? 0 : 5 + below(10);
		break;
	case 1:
		r->lasts = below(90);
		break;
	case 2:
		r->uses = below(4);
		r->unlimited = r->uses > 0 && chance(30);
		break;
	case 3:
		r->approve = below(90);
		break;
	case 4:
		r->need[i] = below(3);
		break;
	case 5:
		r->mfa = !r->mfa;
		r->mfa_age = 0;
		break;
	}
	if (r->effect == POL_REQUIRE && !asks(r))
		r->need[0] = 1;
}

/* One rule, or who is in the roles, is another. */
static void
change(struct table *t)
{
	struct table other;
	unsigned i = t->nrules == 0 ? 0 : below(t->nrules);

	switch (below(7)) {
	case 0:
		if (t->nrules > 0)
			t->rule[i] = t->rule[--t->nrules];
		break;
	case 1:
		make_rule(&t->rule[i]);
		t->nrules += t->nrules == 0;
		break;
	case 2:
		make_table(&other);
		other.nrules = t->nrules;
		memcpy(other.rule, t->rule, sizeof(other.rule));
		*t = other;
		break;
	case 3:
		t->rule[i].lasts += 7;
		t->separation = !t->separation;
		break;
	case 4:
		i = below(PATTERNS);
		t->has_section[i] = true;
		t->attr[i][below(2)] = (int)below(4) - 1;
		break;
	case 5:
	case 6:
		if (t->nrules > 0)
			change_demand(&t->rule[i]);
		break;
	}
}

/* How many people of the role are asked for. */
static unsigned
asked_of(const struct mg_verdict *v, const char *role)
{
	size_t i;

	for (i = 0; i < v->nslots; i++)
		if (strcmp(v->slots[i].role, role) == 0)
			return v->slots[i].count;
	return 0;
}

/* Whether b allows anything that a does not. */
static bool
is_wider(const struct mg_verdict *a, const struct mg_verdict *b)
{
	bool wider;
	unsigned i;

	if (a->kind == MG_VERDICT_DENY || b->kind == MG_VERDICT_DENY)
		return a->kind == MG_VERDICT_DENY && b->kind != MG_VERDICT_DENY;
	wider = (a->mfa && !b->mfa) || b->lasts_ms > a->lasts_ms ||
		(a->uses != 0 && (b->uses == 0 || b->uses > a->uses)) ||
		(a->nslots > 0 && b->nslots > 0 &&
		    b->approve_within_ms > a->approve_within_ms);
	for (i = 0; i < ROLES; i++)
		wider = wider ||
			asked_of(a, role_names[i]) > asked_of(b, role_names[i]);
	return wider;
}

/* Whatever is decided otherwise is told of, and in the right direction. */
static void
compare_answers(struct mg_policy *const *p, const char *old)
{
	struct mg_verdict v[2];
	const char *user[1];
	struct question q;
	struct mg_ask ask;
	struct heard heard = {0};
	unsigned k;

	make_question(&q);
	q.nlive = q.granted = 0; /* a limit that is reached is no change */
	for (k = 0; k < 2; k++) {
		fill(p[k], &q, &ask);
		mg_policy_decide(p[k], &ask, &v[k]);
	}
	user[0] = ask.user;
	heard.operation = ask.operation;
	assert_true(
	    pol_diff(p[0], p[1], &people, user, 1, ask.now_ms, note, &heard));
	if ((!is_wider(&v[0], &v[1]) || (heard.how & POL_WIDER) != 0) &&
	    (!is_wider(&v[1], &v[0]) || (heard.how & POL_NARROWER) != 0))
		return;
	fprintf(stderr, "%s\n---\n%s\n", old, text); /* as long as it is */
	print_error("then: %s %s\n", mg_why_word(v[1].why), v[1].remedy);
	fail_msg("SEED=%llu %s %s %s: %d, then %d; told %u",
	    (unsigned long long)seed, ask.user, ask.operation, ask.model,
	    (int)v[0].kind, (int)v[1].kind, heard.how);
}

static void
what_decides_otherwise_is_told(void **testing)
{
	unsigned long cases = from_env("CASES", 150000) / 20, done = 0;
	static char old[sizeof(text)];
	static struct table t;
	struct mg_policy *p[2];
	unsigned i;

	(void)testing;
	while (done < cases) {
		make_table(&t);
		put_policy(&t);
		memcpy(old, text, sizeof(old));
		p[0] = try_load(text);
		change(&t);
		put_policy(&t);
		p[1] = try_load(text);
		for (i = 0; i < 20 && p[0] != NULL && p[1] != NULL; i++, done++)
			compare_answers(p, old);
		mg_policy_free(p[0]);
		mg_policy_free(p[1]);
	}
}

/* ---- who can ---- */

struct told {
	const struct mg_verdict *v;
	bool is_there;
};

/* A way that is told of is by one of the rules that allow. */
static void
note_way(void *arg, const struct pol_row *row)
{
	struct told *told = arg;
	size_t i;

	for (i = 0; i < told->v->nrules; i++)
		if (strcmp(told->v->rules[i].name, row->rule->name) == 0)
			told->is_there = true;
}

static void
ask_who(const struct mg_policy *p, struct pol_survey *s)
{
	unsigned open = ((1U << POL_CONDS) - 1) &
			~(unsigned)(POL_COND_USER | POL_COND_ROLE);
	struct mg_verdict v;
	struct told told = {.v = &v};
	struct question q;
	struct mg_ask ask;

	make_question(&q);
	fill(p, &q, &ask);
	mg_policy_decide(p, &ask, &v);
	if (v.kind == MG_VERDICT_DENY)
		return;
	assert_true(pol_survey_user(s, &ask, open, note_way, &told));
	if (!told.is_there)
		fail_msg(
		    "SEED=%llu %s may %s, but who-can does not say so:\n%s",
		    (unsigned long long)seed, ask.user, ask.operation, text);
}

/* Whoever is allowed something is told of, by a rule that allows it. */
static void
who_can_leaves_nobody_out(void **testing)
{
	unsigned long cases = from_env("CASES", 150000) / 10, done = 0;
	static struct table t;
	struct pol_survey s;
	struct mg_policy *p;
	unsigned i;

	(void)testing;
	while (done < cases) {
		make_table(&t);
		put_policy(&t);
		if ((p = try_load(text)) == NULL)
			continue;
		assert_true(pol_survey_init(&s, p));
		for (i = 0; i < 60; i++, done++)
			ask_who(p, &s);
		pol_survey_fini(&s);
		mg_policy_free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_engine_answers_as_the_model_does),
	    cmocka_unit_test(what_decides_otherwise_is_told),
	    cmocka_unit_test(who_can_leaves_nobody_out),
	};

	seed = from_env("SEED", (unsigned long)time(NULL));
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
