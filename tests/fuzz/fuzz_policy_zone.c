/* SPDX-License-Identifier: ISC */
/* A time zone file: refused, or every question about it has an answer. */
#include <stdint.h>
#include <stdlib.h>

#include "pol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t when[] = {INT64_C(-4000000000), -1, 0,
	    INT64_C(1795514400), INT64_C(2500000000), INT64_C(250000000000)};
	const struct pol_zone *z;
	struct pol_arena mem = {0};
	size_t i;

	if (pol_zone_parse(&mem, data, size, &z) == MG_ERR_OK) {
		for (i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
			(void)pol_zone_offset(z, when[i]);
			(void)pol_zone_moment(z, when[i], POL_FIRST);
			(void)pol_zone_moment(z, when[i], POL_LAST);
		}
	} else if (z != NULL) {
		abort();
	}
	pol_arena_fini(&mem);
	return 0;
}
