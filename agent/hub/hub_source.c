/* SPDX-License-Identifier: ISC */
/* Penalties of sources. */
#include <string.h>

#include "hub_source.h"

#define PROBES 8 /* places a source may stand in */

void
hub_sources_init(struct hub_sources *t, uint64_t seed)
{
	memset(t, 0, sizeof(*t));
	t->seed = seed;
}

static int64_t
worth_ms(enum hub_offence offence)
{
	switch (offence) {
	case HUB_OFFENCE_NONE:
		return 0;
	case HUB_OFFENCE_LOGIN:
	case HUB_OFFENCE_CROWD:
		return 5000;
	case HUB_OFFENCE_GRACE:
	case HUB_OFFENCE_PROTO:
		return 10000;
	case HUB_OFFENCE_CRASH:
		return 90000;
	}
	return 0;
}

/* FNV-1a over seed and source: an attacker does not choose neighbours. */
static size_t
slot(const struct hub_sources *t, const uint8_t source[16])
{
	uint64_t h = 14695981039346656037U ^ t->seed;
	size_t i;

	for (i = 0; i < 16; i++)
		h = (h ^ source[i]) * 1099511628211U;
	return (size_t)(h >> 16);
}

static size_t
find(const struct hub_sources *t, const uint8_t source[16], bool *foundp)
{
	size_t first = slot(t, source), i, at, best = first % HUB_SOURCES_MAX;

	for (i = 0; i < PROBES; i++) {
		at = (first + i) % HUB_SOURCES_MAX;
		if (t->v[at].until_ms != 0 &&
		    memcmp(t->v[at].source, source, 16) == 0) {
			*foundp = true;
			return at;
		}
		if (t->v[at].until_ms < t->v[best].until_ms)
			best = at;
	}
	*foundp = false;
	return best;
}

void
hub_source_punish(struct hub_sources *t, const uint8_t source[16],
    enum hub_offence offence, int64_t now_ms)
{
	struct hub_penalty *p;
	int64_t add = worth_ms(offence);
	bool found;

	if (add == 0)
		return;
	p = &t->v[find(t, source, &found)];
	if (!found)
		memcpy(p->source, source, 16);
	if (!found || p->until_ms < now_ms)
		p->until_ms = now_ms;
	p->until_ms += add;
	if (p->until_ms > now_ms + HUB_PENALTY_MAX_MS)
		p->until_ms = now_ms + HUB_PENALTY_MAX_MS;
}

int64_t
hub_source_blocked_ms(
    const struct hub_sources *t, const uint8_t source[16], int64_t now_ms)
{
	bool found;
	size_t at = find(t, source, &found);
	int64_t left = found ? t->v[at].until_ms - now_ms : 0;

	return left > HUB_PENALTY_MIN_MS ? left : 0;
}
