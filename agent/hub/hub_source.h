/* SPDX-License-Identifier: ISC */
#ifndef HUB_SOURCE_H
#define HUB_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Penalties of sources (hub_net_source()): each offence adds time; a source
 * that has gathered more than HUB_PENALTY_MIN_MS has a narrow door only until
 * it is over (hub_accept.c). A table of fixed size: when it is full, the
 * penalty that ends first is forgotten.
 */

#define HUB_PENALTY_MIN_MS 15000
#define HUB_PENALTY_MAX_MS 600000
#define HUB_SOURCES_MAX 4096

enum hub_offence {
	HUB_OFFENCE_NONE,
	HUB_OFFENCE_LOGIN, /* tried to log in and is nobody here */
	HUB_OFFENCE_GRACE, /* took too long */
	HUB_OFFENCE_PROTO, /* is not an ssh client */
	HUB_OFFENCE_CRASH, /* the process that served it crashed */
	HUB_OFFENCE_CROWD, /* logs in so often at once that it has to go */
};

struct hub_penalty {
	uint8_t source[16];
	int64_t until_ms; /* CLOCK_BOOTTIME; 0: free */
};

struct hub_sources {
	struct hub_penalty v[HUB_SOURCES_MAX];
	uint64_t seed;
};

void hub_sources_init(struct hub_sources *t, uint64_t seed);

void hub_source_punish(struct hub_sources *t, const uint8_t source[16],
    enum hub_offence offence, int64_t now_ms);

/* For how long the source is under a penalty; 0: it is not. */
int64_t hub_source_blocked_ms(
    const struct hub_sources *t, const uint8_t source[16], int64_t now_ms);

#endif
