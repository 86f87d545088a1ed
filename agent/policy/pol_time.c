/* SPDX-License-Identifier: ISC */
/*
 * When: "mon-fri 08:00-18:00 Europe/Berlin", "2026-12-20 .. 2027-01-04".
 *
 * Days of the week, dates and hours are those of a clock on the wall in the
 * zone. An hour that a change of the clock makes twice is inside both times;
 * one that it skips never comes.
 *
 * Rules
 * 1. Where a window begins or ends at a date and hour that exist twice, a
 *    rule that allows gets the shorter reading and one that denies or
 *    requires the longer: doubt is never an hour more.
 */
#include <stdio.h>
#include <string.h>

#include "mg_time.h"
#include "pol.h"

#define DAY 86400
#define ALL_WEEK 0x7f
#define DIGITS "0123456789"

static const char days[7][4] = {
    "mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* A window while its words are read. */
struct draft {
	struct pol_window w;
	bool has_date, has_days, has_hours, has_range, wants_end;
	int64_t begin, end; /* local seconds */
	bool begin_is_day, end_is_day;
	size_t off;
};

/* ---- words ---- */

static bool
two_digits(const char *s, unsigned *vp)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*vp = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
	return true;
}

/* "HH:MM", 24:00 at most */
static bool
clock_word(const char *s, uint32_t *secondsp)
{
	unsigned h, m;

	if (!two_digits(s, &h) || s[2] != ':' || !two_digits(s + 3, &m) ||
	    h > 24 || m > 59 || (h == 24 && m > 0))
		return false;
	*secondsp = h * 3600 + m * 60;
	return true;
}

/* "HH:MM-HH:MM" */
static bool
hours_word(struct draft *d, const char *s, size_t n)
{
	if (n != 11 || s[5] != '-' || d->has_hours ||
	    !clock_word(s, &d->w.from) || !clock_word(s + 6, &d->w.to) ||
	    d->w.from == DAY)
		return false;
	d->has_hours = true;
	return true;
}

static bool
day_name(const char *s, unsigned *dayp)
{
	for (*dayp = 0; *dayp < 7; (*dayp)++)
		if (memcmp(s, days[*dayp], 3) == 0)
			return true;
	return false;
}

/* "mon", "mon-fri", "sat+sun" */
static bool
days_word(struct draft *d, const char *s, size_t n)
{
	unsigned first, last, i, set = 0;

	if (d->has_days)
		return false;
	for (;;) {
		if (n < 3 || !day_name(s, &first))
			return false;
		s += 3;
		n -= 3;
		last = first;
		if (n >= 4 && *s == '-') {
			if (!day_name(s + 1, &last))
				return false;
			s += 4;
			n -= 4;
		}
		for (i = first;; i = (i + 1) % 7) {
			set |= 1U << i;
			if (i == last)
				break;
		}
		if (n == 0)
			break;
		if (*s != '+')
			return false;
		s++;
		n--;
	}
	d->w.days = (uint8_t)set;
	d->has_days = true;
	return true;
}

/* "2026-12-20" or "2026-12-20T18:00" */
static bool
date_word(const char *s, size_t n, int64_t *localp, bool *is_dayp)
{
	char text[24];
	enum mg_err r;

	if ((n != 10 && n != 16) || s[4] != '-')
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	r = mg_time_parse(text, 0, localp);
	*localp /= 1000;
	*is_dayp = n == 10;
	return r == MG_ERR_OK;
}

static bool
put_date(struct draft *d, const char *s, size_t n)
{
	if (d->wants_end) {
		d->wants_end = false;
		return date_word(s, n, &d->end, &d->end_is_day);
	}
	if (d->has_date || !date_word(s, n, &d->begin, &d->begin_is_day))
		return false;
	d->has_date = true;
	return true;
}

static bool
zone_word(struct pol_load *ld, struct draft *d, const char *s, size_t n)
{
	char name[POL_ZONE_NAME_MAX + 1];

	if (n > POL_ZONE_NAME_MAX) {
		pol_err(ld, d->off, "no time zone has such a long name");
		return false;
	}
	memcpy(name, s, n);
	name[n] = '\0';
	d->w.zone = pol_zone(ld, name, d->off);
	return d->w.zone != NULL;
}

static bool
put_word(
    struct pol_load *ld, struct draft *d, const char *s, size_t n, bool is_last)
{
	bool digit = s[0] >= '0' && s[0] <= '9';
	unsigned day;

	if (n == 2 && memcmp(s, "..", 2) == 0) {
		if (d->has_date && !d->has_range) {
			d->has_range = d->wants_end = true;
			return true;
		}
	} else if (digit && n > 4 && strspn(s, DIGITS) == 4 && s[4] == '-') {
		if (put_date(d, s, n))
			return true;
		pol_err(ld, d->off,
		    "'%.*s' is not a date such as 2026-12-24 or "
		    "2026-12-24T18:00",
		    (int)n, s);
		return false;
	} else if (digit) {
		if (hours_word(d, s, n))
			return true;
		pol_err(ld, d->off, "'%.*s' are not hours such as 08:00-18:00",
		    (int)n, s);
		return false;
	} else if (days_word(d, s, n)) {
		return true;
	} else if (n == 3 && day_name(s, &day)) {
		pol_err(ld, d->off, "join days, as in mon-fri or sat+sun");
		return false;
	} else if (is_last) {
		return zone_word(ld, d, s, n);
	}
	pol_err(ld, d->off, "'%.*s' does not belong here", (int)n, s);
	return false;
}

/* ---- windows ---- */

/* Rule 1 */
static int64_t
moment(const struct draft *d, int64_t local, bool wide, bool is_end)
{
	return pol_zone_moment(d->w.zone->data, local,
		   wide == is_end ? POL_LAST : POL_FIRST) *
	       1000;
}

static bool
finish(struct pol_load *ld, struct draft *d, size_t off, bool wide)
{
	struct pol_window *w = &d->w;

	if (w->zone == NULL)
		w->zone = pol_zone(ld, NULL, off);
	if (w->zone == NULL)
		return false;
	if (d->has_hours && w->from == w->to) {
		pol_err(ld, off, "the hours begin and end at once");
		return false;
	}
	if (!d->has_date)
		return true;
	if (!d->has_range) {
		d->end = d->begin;
		d->end_is_day = d->begin_is_day;
		if (!d->begin_is_day) {
			pol_err(ld, off,
			    "a date with an hour needs '..' and "
			    "an end");
			return false;
		}
	}
	if (d->end + (d->end_is_day ? DAY - 1 : 0) <= d->begin) {
		pol_err(ld, off, "it ends before it begins");
		return false;
	}
	if (d->begin_is_day)
		w->first_day = d->begin / DAY;
	else
		w->begin_ms = moment(d, d->begin, wide, false);
	if (d->end_is_day)
		w->last_day = d->end / DAY;
	else
		w->end_ms = moment(d, d->end, wide, true);
	return true;
}

static bool
parse_window(struct pol_load *ld, const char *s, size_t n, size_t off,
    bool wide, struct pol_window *out)
{
	struct draft d = {.w = {.days = ALL_WEEK,
			      .to = DAY,
			      .begin_ms = INT64_MIN,
			      .end_ms = INT64_MAX,
			      .first_day = INT64_MIN,
			      .last_day = INT64_MAX}};
	size_t i = 0, len;

	while (i < n) {
		for (len = 0;
		     i + len < n && s[i + len] != ' ' && s[i + len] != '\t';)
			len++;
		d.off = off + i;
		if (len > 0 && !put_word(ld, &d, s + i, len, i + len == n))
			return false;
		i += len + (len < n - i);
	}
	if (d.wants_end || (!d.has_date && !d.has_days && !d.has_hours)) {
		pol_err(ld, off,
		    d.wants_end ? "the end of '..' is missing"
				: "neither a date, nor days, nor hours");
		return false;
	}
	if (!finish(ld, &d, off, wide))
		return false;
	*out = d.w;
	return true;
}

const struct pol_times *
pol_times_parse(struct pol_load *ld, bool wide)
{
	const char kind = wide ? 'T' : 't';
	const struct pol_times *shared;
	struct pol_window v[POL_WINDOWS_MAX];
	struct pol_times *times;
	uint32_t n = 0, npos = 0;
	uint64_t hash;
	struct pol_iter it;
	bool ok = true;

	if ((shared = pol_shared_get(ld, kind, ld->ln->value)) != NULL)
		return shared;
	hash = ld->p->zone_name == NULL
		   ? 1
		   : pol_hash64(ld->p->zone_name, strlen(ld->p->zone_name));
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		bool neg = it.s[0] == '!';

		hash += pol_hash64(it.s, it.len);
		if (n == POL_WINDOWS_MAX) {
			pol_err(ld, it.off, "more than %d windows",
			    POL_WINDOWS_MAX);
			return NULL;
		}
		/* What is taken out is the longer, the shorter the rest. */
		ok = parse_window(ld, it.s + neg, it.len - neg, it.off + neg,
			 wide != neg, &v[n]) &&
		     ok;
		v[n++].neg = neg;
		npos += !neg;
	}
	if (!ok || it.failed)
		return NULL;
	times = pol_alloc(&ld->p->mem, sizeof(*times) + n * sizeof(v[0]));
	if (times == NULL ||
	    (times->text = pol_strndup(
		 &ld->p->mem, ld->ln->value, strlen(ld->ln->value))) == NULL)
		return pol_oom(ld);
	times->hash = hash;
	times->n = n;
	times->npos = npos;
	memcpy(times->v, v, n * sizeof(v[0]));
	pol_shared_put(ld, kind, ld->ln->value, times);
	return times;
}

/* ---- zones ---- */

/* name NULL: the policy's own. */
const struct pol_tz *
pol_zone(struct pol_load *ld, const char *name, size_t off)
{
	struct mg_policy *p = ld->p;
	const struct pol_tz *shared;
	struct pol_tz *tz;
	enum mg_err r;

	if (name == NULL)
		name = p->zone_name == NULL ? "UTC" : p->zone_name;
	if ((shared = pol_shared_get(ld, 'z', name)) != NULL)
		return shared;
	if ((tz = pol_alloc(&p->mem, sizeof(*tz))) == NULL ||
	    (tz->name = pol_strndup(&p->mem, name, strlen(name))) == NULL)
		return pol_oom(ld);
	if (strcmp(name, "UTC") != 0) {
		r = pol_zone_read(
		    &p->mem, ld->zone_dir, name, ld->is_strict, &tz->data);
		if (r == MG_ERR_NOMEM)
			return pol_oom(ld);
		if (r != MG_ERR_OK) {
			pol_err(ld, off,
			    r == MG_ERR_NOENT
				? "no time zone '%s' is known here"
				: "the time zone file of '%s' is damaged",
			    name);
			return NULL;
		}
	}
	pol_shared_put(ld, 'z', name, tz);
	return tz;
}

/* ---- matching ---- */

static bool
day_fits(const struct pol_window *w, int64_t day)
{
	/* 1970-01-01 was a Thursday. */
	unsigned weekday = (unsigned)(((day + 3) % 7 + 7) % 7);

	return day >= w->first_day && day <= w->last_day &&
	       ((w->days >> weekday) & 1) != 0;
}

static bool
window_match(const struct pol_window *w, int64_t now_ms)
{
	int64_t local, day;
	uint32_t second;

	if (now_ms < w->begin_ms || now_ms >= w->end_ms)
		return false;
	local = now_ms / 1000 - (now_ms % 1000 < 0);
	local += pol_zone_offset(w->zone->data, local);
	day = local / DAY - (local % DAY < 0);
	second = (uint32_t)(local - day * DAY);
	if (w->from < w->to)
		return second >= w->from && second < w->to && day_fits(w, day);
	/* Over midnight: it belongs to the day on which it began. */
	if (second >= w->from)
		return day_fits(w, day);
	return second < w->to && day_fits(w, day - 1);
}

bool
pol_times_match(const struct pol_times *times, int64_t now_ms)
{
	bool yes = times->npos == 0;
	uint32_t i;

	for (i = 0; i < times->n; i++) {
		if (!window_match(&times->v[i], now_ms))
			continue;
		if (times->v[i].neg)
			return false;
		yes = true;
	}
	return yes;
}

bool
pol_date_parse(struct pol_load *ld, const char *s, size_t n, size_t off,
    bool is_end, bool wide, int64_t *msp)
{
	const struct pol_tz *tz = pol_zone(ld, NULL, off);
	int64_t local;
	bool is_day;

	if (!date_word(s, n, &local, &is_day)) {
		pol_err(ld, off,
		    "'%.*s' is not a date such as 2026-12-24 or "
		    "2026-12-24T18:00",
		    (int)n, s);
		return false;
	}
	if (tz == NULL)
		return false;
	if (is_day && is_end)
		local += DAY;
	*msp = pol_zone_moment(
		   tz->data, local, wide == is_end ? POL_LAST : POL_FIRST) *
	       1000;
	return true;
}
