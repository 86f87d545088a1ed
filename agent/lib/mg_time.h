/* SPDX-License-Identifier: ISC */
#ifndef MG_TIME_H
#define MG_TIME_H

#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * Durations and points in time. Deadlines count on CLOCK_BOOTTIME; wall
 * time is for people and for records.
 */

#define MG_TIME_STR 25	   /* 2026-11-22T12:51:00.123Z and NUL */
#define MG_DURATION_STR 24 /* 1d2h3m4s and NUL, with room */

/* Longest duration that a person can ask for: 366 days, in ms. */
#define MG_DURATION_MAX_MS (366LL * 24 * 3600 * 1000)

/* Milliseconds since 1970 (wall clock), and since boot with suspend. */
int64_t mg_time_wall_ms(void);
int64_t mg_time_boot_ms(void);

/* UTC with milliseconds, RFC 3339. Years 1970 to 9999; else "invalid". */
void mg_time_format(int64_t wall_ms, char out[MG_TIME_STR]);

/*
 * "2026-11-22", "2026-11-22T12:51[:00[.123]][Z]", or an age such as "2h"
 * (that long before now_ms). All of it UTC.
 */
enum mg_err mg_time_parse(
    const char *s, int64_t now_ms, int64_t *wall_msp) MG_MUST_CHECK;

/*
 * One or more of "1d", "2h", "30m", "45s" in that order; digits only, no
 * blanks, more than zero, at most MG_DURATION_MAX_MS.
 */
enum mg_err mg_duration_parse(const char *s, int64_t *msp) MG_MUST_CHECK;

/* The shortest exact form, rounded up to seconds: "1h30m", "45s", "0s". */
void mg_duration_format(int64_t ms, char out[MG_DURATION_STR]);

/* Days since 1970-01-01 of a civil date (proleptic Gregorian). */
int64_t mg_time_days(int64_t year, unsigned month, unsigned day);

#endif
