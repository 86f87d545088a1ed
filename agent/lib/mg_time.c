/* SPDX-License-Identifier: ISC */
/* Durations, RFC 3339 times, and the two clocks. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mg_time.h"

static int64_t
clock_ms(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
mg_time_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t
mg_time_boot_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

void
mg_time_format(int64_t wall_ms, char out[MG_TIME_STR])
{
	struct tm tm;
	time_t t = (time_t)(wall_ms / 1000);

	if (wall_ms < 0 || gmtime_r(&t, &tm) == NULL || tm.tm_year > 8099) {
		snprintf(out, MG_TIME_STR, "invalid");
		return;
	}
	snprintf(out, MG_TIME_STR, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000,
	    (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
	    (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
	    (unsigned)tm.tm_sec % 100, (unsigned)(wall_ms % 1000));
}

int64_t
mg_time_days(int64_t year, unsigned month, unsigned day)
{
	int64_t era;
	unsigned yoe, doy, doe;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	yoe = (unsigned)(year - era * 400);
	doy = (153 * (month + (month > 2 ? -3U : 9)) + 2) / 5 + day - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

/* Exactly n digits at *sp. */
static bool
digits(const char **sp, int n, unsigned *vp)
{
	*vp = 0;
	for (; n > 0; n--, (*sp)++) {
		if (**sp < '0' || **sp > '9')
			return false;
		*vp = *vp * 10 + (unsigned)(**sp - '0');
	}
	return true;
}

static bool
literal(const char **sp, char c)
{
	if (**sp != c)
		return false;
	(*sp)++;
	return true;
}

static unsigned
days_in_month(unsigned y, unsigned m)
{
	static const unsigned char len[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
		return 29;
	return len[m - 1];
}

static bool
parse_clock(const char **sp, int64_t *msp)
{
	unsigned h, m, s = 0, frac = 0;

	if (!digits(sp, 2, &h) || !literal(sp, ':') || !digits(sp, 2, &m))
		return false;
	if (literal(sp, ':')) {
		if (!digits(sp, 2, &s))
			return false;
		if (literal(sp, '.') && !digits(sp, 3, &frac))
			return false;
	}
	if (h > 23 || m > 59 || s > 59)
		return false;
	*msp = ((int64_t)h * 3600 + m * 60 + s) * 1000 + frac;
	return true;
}

enum mg_err
mg_time_parse(const char *s, int64_t now_ms, int64_t *wall_msp)
{
	unsigned y, mon, d;
	int64_t clock = 0, age;
	const char *p = s;

	*wall_msp = 0;
	if (mg_duration_parse(s, &age) == MG_ERR_OK) {
		*wall_msp = now_ms > age ? now_ms - age : 0;
		return MG_ERR_OK;
	}
	if (!digits(&p, 4, &y) || !literal(&p, '-') || !digits(&p, 2, &mon) ||
	    !literal(&p, '-') || !digits(&p, 2, &d))
		return MG_ERR_FORMAT;
	if (y < 1970 || mon < 1 || mon > 12 || d < 1 ||
	    d > days_in_month(y, mon))
		return MG_ERR_FORMAT;
	if (literal(&p, 'T')) {
		if (!parse_clock(&p, &clock))
			return MG_ERR_FORMAT;
		(void)literal(&p, 'Z');
	}
	if (*p != '\0')
		return MG_ERR_FORMAT;
	*wall_msp = mg_time_days(y, mon, d) * 86400000 + clock;
	return MG_ERR_OK;
}

static const struct {
	char unit;
	int64_t ms;
} units[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};

#define NUNITS (sizeof(units) / sizeof(units[0]))

enum mg_err
mg_duration_parse(const char *s, int64_t *msp)
{
	int64_t total = 0, v;
	size_t u = 0;
	int n;

	*msp = 0;
	if (*s == '\0')
		return MG_ERR_FORMAT;
	while (*s != '\0') {
		v = 0;
		for (n = 0; *s >= '0' && *s <= '9'; n++, s++) {
			if (n >= 9)
				return MG_ERR_LIMIT;
			v = v * 10 + (*s - '0');
		}
		if (n == 0)
			return MG_ERR_FORMAT;
		while (u < NUNITS && units[u].unit != *s)
			u++;
		if (u == NUNITS)
			return MG_ERR_FORMAT;
		if (v > MG_DURATION_MAX_MS / units[u].ms)
			return MG_ERR_LIMIT;
		total += v * units[u].ms;
		u++;
		s++;
	}
	if (total > MG_DURATION_MAX_MS)
		return MG_ERR_LIMIT;
	if (total == 0)
		return MG_ERR_FORMAT;
	*msp = total;
	return MG_ERR_OK;
}

void
mg_duration_format(int64_t ms, char out[MG_DURATION_STR])
{
	size_t u, used = 0;
	int64_t s, v;

	s = ms <= 0 ? 0 : ms / 1000 + (ms % 1000 > 0 ? 1 : 0);
	out[0] = '\0';
	for (u = 0; u < NUNITS; u++) {
		v = s / (units[u].ms / 1000);
		s %= units[u].ms / 1000;
		if (v == 0)
			continue;
		used += (size_t)snprintf(out + used, MG_DURATION_STR - used,
		    "%lld%c", (long long)v, units[u].unit);
		if (used >= MG_DURATION_STR)
			return;
	}
	if (used == 0)
		snprintf(out, MG_DURATION_STR, "0s");
}
