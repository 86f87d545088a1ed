/* SPDX-License-Identifier: ISC */
/*
 * The offset of local time, from TZif files and their closing rule.
 *
 * Rules
 * 1. Every count is compared with what is left of the file before anything
 *    is read; a file that does not add up is refused as a whole.
 * 2. Zone names are path parts of letters, digits and "+-_"; no part begins
 *    with a dot, so that nothing outside the database is opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mg_file.h"
#include "mg_time.h"
#include "pol.h"
#include "pol_zone.h"

#define DAY 86400
#define OFFSET_MAX (26 * 3600) /* RFC 9636: what readers must expect */
#define TRANSITIONS_MAX 4096

/* A day of the year on which the hour changes, as POSIX writes it. */
struct change {
	enum { CHANGE_NONE = 0, CHANGE_MONTH, CHANGE_JULIAN, CHANGE_DAY } kind;
	int32_t month, week, day; /* Mm.w.d; or Jn, n in day */
	int32_t time;		  /* seconds after midnight, -167 to 167 h */
};

struct pol_zone {
	uint32_t n;
	int64_t *at;	 /* transitions, ascending */
	int32_t *offset; /* from then on */
	int32_t first;	 /* before the first of them */
	/* After the last of them. */
	bool has_tail, has_dst;
	int32_t std, dst;
	struct change to_dst, to_std;
};

/* ---- the closing rule: "CET-1CEST,M3.5.0,M10.5.0/3" ---- */

static bool
take(const char **sp, char c)
{
	if (**sp != c)
		return false;
	(*sp)++;
	return true;
}

static bool
number(const char **sp, int32_t max, int32_t *vp)
{
	const char *s = *sp;
	int32_t v = 0;

	while (*s >= '0' && *s <= '9' && v <= max)
		v = v * 10 + (*s++ - '0');
	if (s == *sp || v > max)
		return false;
	*vp = v;
	*sp = s;
	return true;
}

static bool
abbreviation(const char **sp)
{
	const char *s = *sp;

	if (take(&s, '<')) {
		while (*s != '\0' && *s != '>')
			s++;
		if (!take(&s, '>'))
			return false;
	} else {
		while ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z'))
			s++;
	}
	if (s - *sp < 3)
		return false;
	*sp = s;
	return true;
}

/* [+-]h[h[h]][:mm[:ss]] */
static bool
clock_time(const char **sp, int32_t max_hours, int32_t *vp)
{
	int32_t h, m = 0, s = 0, sign = 1;

	if (take(sp, '-'))
		sign = -1;
	else
		(void)take(sp, '+');
	if (!number(sp, max_hours, &h))
		return false;
	if (take(sp, ':') &&
	    (!number(sp, 59, &m) || (take(sp, ':') && !number(sp, 59, &s))))
		return false;
	*vp = sign * (h * 3600 + m * 60 + s);
	return true;
}

static bool
change_day(const char **sp, struct change *c)
{
	c->time = 2 * 3600;
	if (take(sp, 'M')) {
		c->kind = CHANGE_MONTH;
		if (!number(sp, 12, &c->month) || !take(sp, '.') ||
		    !number(sp, 5, &c->week) || !take(sp, '.') ||
		    !number(sp, 6, &c->day) || c->month == 0 || c->week == 0)
			return false;
	} else if (take(sp, 'J')) {
		c->kind = CHANGE_JULIAN;
		if (!number(sp, 365, &c->day) || c->day == 0)
			return false;
	} else {
		c->kind = CHANGE_DAY;
		if (!number(sp, 365, &c->day))
			return false;
	}
	return !take(sp, '/') || clock_time(sp, 167, &c->time);
}

static bool
parse_tail(struct pol_zone *z, const char *s)
{
	if (*s == '\0')
		return true;
	if (!abbreviation(&s) || !clock_time(&s, 24, &z->std))
		return false;
	z->std = -z->std;
	z->has_tail = true;
	if (*s == '\0')
		return true;
	z->dst = z->std + 3600;
	if (!abbreviation(&s))
		return false;
	if (*s != ',') {
		if (!clock_time(&s, 24, &z->dst))
			return false;
		z->dst = -z->dst;
	}
	z->has_dst = take(&s, ',') && change_day(&s, &z->to_dst) &&
		     take(&s, ',') && change_day(&s, &z->to_std);
	return z->has_dst && *s == '\0';
}

static bool
is_leap(int64_t y)
{
	return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

/* Local seconds of a change in a year. */
static int64_t
change_at(const struct change *c, int64_t year)
{
	int64_t jan1 = mg_time_days(year, 1, 1), day, next;
	int32_t w;

	switch (c->kind) {
	case CHANGE_NONE:
		break;
	case CHANGE_MONTH:
		day = mg_time_days(year, (unsigned)c->month, 1);
		next = c->month == 12
			   ? mg_time_days(year + 1, 1, 1)
			   : mg_time_days(year, (unsigned)c->month + 1, 1);
		/* 1970-01-01 was a Thursday. */
		day += (c->day - (day + 4) % 7 + 7) % 7;
		for (w = 1; w < c->week && day + 7 < next; w++)
			day += 7;
		return day * DAY + c->time;
	case CHANGE_JULIAN:
		day = jan1 + c->day - 1 + (is_leap(year) && c->day >= 60);
		return day * DAY + c->time;
	case CHANGE_DAY:
		return (jan1 + c->day) * DAY + c->time;
	}
	return jan1 * DAY;
}

/* The year of local seconds, closely: at most one off at its ends. */
static int64_t
year_of(int64_t local)
{
	return 1970 + local / 31556952 - (local < 0);
}

static int32_t
tail_offset(const struct pol_zone *z, int64_t t)
{
	int64_t year = year_of(t), latest = INT64_MIN, at, y;
	int32_t offset = z->std;

	if (!z->has_dst)
		return z->std;
	for (y = year - 1; y <= year + 1; y++) {
		at = change_at(&z->to_dst, y) - z->std;
		if (at <= t && at > latest) {
			latest = at;
			offset = z->dst;
		}
		at = change_at(&z->to_std, y) - z->dst;
		if (at <= t && at > latest) {
			latest = at;
			offset = z->std;
		}
	}
	return offset;
}

/* ---- the file ---- */

struct input {
	const uint8_t *d;
	size_t n;
};

/* Rule 1 */
static const uint8_t *
need(struct input *in, size_t n)
{
	const uint8_t *p = in->d;

	if (n > in->n)
		return NULL;
	in->d += n;
	in->n -= n;
	return p;
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static int64_t
be64(const uint8_t *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct head {
	uint8_t version;
	uint32_t isut, isstd, leap, time, type, chars;
};

static bool
read_head(struct input *in, struct head *h)
{
	const uint8_t *p = need(in, 44);

	if (p == NULL || memcmp(p, "TZif", 4) != 0)
		return false;
	h->version = p[4];
	h->isut = be32(p + 20);
	h->isstd = be32(p + 24);
	h->leap = be32(p + 28);
	h->time = be32(p + 32);
	h->type = be32(p + 36);
	h->chars = be32(p + 40);
	return h->type > 0 && h->type <= 256 && h->time <= TRANSITIONS_MAX &&
	       h->chars <= 4096 && h->leap <= 4096 && h->isut <= h->type &&
	       h->isstd <= h->type;
}

static bool
skip_block(struct input *in, const struct head *h, size_t width)
{
	size_t n = h->time * (width + 1) + h->type * 6 + h->chars +
		   h->leap * (width + 4) + h->isstd + h->isut;

	return need(in, n) != NULL;
}

static bool
type_offset(
    const uint8_t *types, const struct head *h, uint8_t type, int32_t *offsetp)
{
	if (type >= h->type)
		return false;
	*offsetp = (int32_t)be32(types + (size_t)type * 6);
	return *offsetp >= -OFFSET_MAX && *offsetp <= OFFSET_MAX;
}

static bool
read_block(struct input *in, const struct head *h, struct pol_zone *z)
{
	const uint8_t *times = need(in, (size_t)h->time * 8);
	const uint8_t *indices = need(in, h->time);
	const uint8_t *types = need(in, (size_t)h->type * 6);
	uint32_t i;

	if (times == NULL || indices == NULL || types == NULL ||
	    need(in, h->chars + (size_t)h->leap * 12 + h->isstd + h->isut) ==
		NULL ||
	    !type_offset(types, h, 0, &z->first))
		return false;
	for (i = 0; i < h->time; i++) {
		z->at[i] = be64(times + (size_t)i * 8);
		if (!type_offset(types, h, indices[i], &z->offset[i]) ||
		    (i > 0 && z->at[i] <= z->at[i - 1]))
			return false;
	}
	z->n = h->time;
	return true;
}

static bool
read_tail(struct input *in, struct pol_zone *z)
{
	char text[128];
	size_t n = in->n;

	if (n < 2 || n > sizeof(text) || in->d[0] != '\n' ||
	    in->d[n - 1] != '\n' || memchr(in->d + 1, '\n', n - 2) != NULL ||
	    memchr(in->d, '\0', n) != NULL)
		return false;
	memcpy(text, in->d + 1, n - 2);
	text[n - 2] = '\0';
	return parse_tail(z, text);
}

enum mg_err
pol_zone_parse(
    struct pol_arena *a, const uint8_t *d, size_t n, const struct pol_zone **zp)
{
	struct input in = {.d = d, .n = n};
	struct pol_zone *z;
	struct head h;

	*zp = NULL;
	if (!read_head(&in, &h) || h.version < '2' || !skip_block(&in, &h, 4) ||
	    !read_head(&in, &h))
		return MG_ERR_FORMAT;
	if ((z = pol_alloc(a, sizeof(*z))) == NULL ||
	    (z->at = pol_alloc(a, (h.time + 1) * sizeof(*z->at))) == NULL ||
	    (z->offset = pol_alloc(a, (h.time + 1) * sizeof(*z->offset))) ==
		NULL)
		return MG_ERR_NOMEM;
	if (!read_block(&in, &h, z) || !read_tail(&in, z))
		return MG_ERR_FORMAT;
	*zp = z;
	return MG_ERR_OK;
}

/* Rule 2 */
static bool
is_zone_name(const char *s)
{
	size_t i;

	if (s[0] == '\0' || s[0] == '/' || strlen(s) > POL_ZONE_NAME_MAX)
		return false;
	for (i = 0; s[i] != '\0'; i++) {
		bool plain = (s[i] >= 'a' && s[i] <= 'z') ||
			     (s[i] >= 'A' && s[i] <= 'Z') ||
			     (s[i] >= '0' && s[i] <= '9') || s[i] == '_' ||
			     s[i] == '+' || s[i] == '-';

		if (!plain &&
		    (s[i] != '/' || s[i + 1] == '/' || s[i + 1] == '\0'))
			return false;
	}
	return true;
}

static bool
is_safe_file(int fd, int must_be_safe)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (!must_be_safe ||
		   (st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0));
}

enum mg_err
pol_zone_read(struct pol_arena *a, const char *dir, const char *name,
    int must_be_safe, const struct pol_zone **zp)
{
	char path[512];
	struct mg_buf b;
	enum mg_err r = MG_ERR_NOENT;
	int fd, n;

	*zp = NULL;
	n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!is_zone_name(name) || n < 0 || (size_t)n >= sizeof(path))
		return MG_ERR_NOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return MG_ERR_NOENT;
	mg_buf_init(&b, POL_ZONE_BYTES_MAX);
	if (is_safe_file(fd, must_be_safe))
		r = mg_file_read(fd, &b);
	if (r == MG_ERR_OK)
		r = pol_zone_parse(a, mg_buf_ptr(&b), mg_buf_len(&b), zp);
	mg_buf_fini(&b);
	close(fd);
	return r;
}

/* ---- answers ---- */

int32_t
pol_zone_offset(const struct pol_zone *z, int64_t t)
{
	uint32_t lo = 0, hi, mid;

	if (z == NULL)
		return 0;
	hi = z->n; /* at[lo - 1] <= t < at[hi] */
	if (z->n == 0 || t >= z->at[z->n - 1]) {
		if (z->has_tail)
			return tail_offset(z, t);
		return z->n == 0 ? z->first : z->offset[z->n - 1];
	}
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (z->at[mid] <= t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? z->first : z->offset[lo - 1];
}

/* The smallest t in (lo, hi] whose local time is not before local. */
static int64_t
bisect(const struct pol_zone *z, int64_t local, int64_t lo, int64_t hi)
{
	int64_t mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (mid + pol_zone_offset(z, mid) < local)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}

int64_t
pol_zone_moment(const struct pol_zone *z, int64_t local, enum pol_pick pick)
{
	int64_t from = local - OFFSET_MAX - 3600,
		to = local + OFFSET_MAX + 3600;
	int64_t t, at, found = INT64_MIN, gap = INT64_MIN;

	/* No offset lasts less than an hour. */
	for (t = from; t <= to; t += 3600) {
		at = local - pol_zone_offset(z, t);
		if (at + pol_zone_offset(z, at) == local &&
		    (found == INT64_MIN ||
			(pick == POL_FIRST ? at < found : at > found)))
			found = at;
		if (gap == INT64_MIN && t + pol_zone_offset(z, t) >= local)
			gap = bisect(z, local, t - 3600, t);
	}
	return found != INT64_MIN ? found : gap;
}
