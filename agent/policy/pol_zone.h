/* SPDX-License-Identifier: ISC */
#ifndef POL_ZONE_H
#define POL_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "mg_err.h"

/*
 * Time zones: files of the zoneinfo database (RFC 9636), read when a policy
 * is loaded, so that deciding opens nothing. Times are seconds since 1970;
 * "local" ones count the same way but are what a clock on the wall shows.
 */

#define POL_ZONE_DIR "/usr/share/zoneinfo"
#define POL_ZONE_NAME_MAX 64
#define POL_ZONE_BYTES_MAX 65536

struct pol_zone;
struct pol_arena;

/*
 * Reads the bytes of a TZif file; *zp lives in a. MG_ERR_FORMAT when they
 * are not a well-formed version 2 file or newer, MG_ERR_NOMEM.
 */
enum mg_err pol_zone_parse(struct pol_arena *a, const uint8_t *d, size_t n,
    const struct pol_zone **zp) MG_MUST_CHECK;

/*
 * Reads the zone called name ("Europe/Berlin") below dir. must_be_safe: the
 * file must be root's and writable by nobody else. MG_ERR_NOENT: there is
 * no such zone.
 */
enum mg_err pol_zone_read(struct pol_arena *a, const char *dir,
    const char *name, int must_be_safe,
    const struct pol_zone **zp) MG_MUST_CHECK;

/* How many seconds local time is ahead of UTC at t. NULL: UTC. */
int32_t pol_zone_offset(const struct pol_zone *z, int64_t t);

enum pol_pick { POL_FIRST = 0, POL_LAST };

/*
 * When it is local time local: the first or last such moment where a change
 * of the hour makes two of them; the change itself where it makes none.
 */
int64_t pol_zone_moment(
    const struct pol_zone *z, int64_t local, enum pol_pick pick);

#endif
