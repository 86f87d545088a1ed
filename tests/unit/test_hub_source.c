/* SPDX-License-Identifier: ISC */
/* Who is one source, and its penalties: hub/hub_net.c, hub/hub_source.c. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hub/hub_net.h"
#include "hub/hub_source.h"

#define T(name) cmocka_unit_test(name)

static struct hub_sources t;

/* The source of an address in text. */
static const uint8_t *
source(const char *text)
{
	static uint8_t out[4][16];
	static unsigned turn;
	struct sockaddr_storage sa;
	uint8_t addr[16];

	memset(&sa, 0, sizeof(sa));
	if (strchr(text, ':') != NULL) {
		sa.ss_family = AF_INET6;
		assert_int_equal(
		    inet_pton(AF_INET6, text,
			&((struct sockaddr_in6 *)(void *)&sa)->sin6_addr),
		    1);
	} else {
		sa.ss_family = AF_INET;
		assert_int_equal(
		    inet_pton(AF_INET, text,
			&((struct sockaddr_in *)(void *)&sa)->sin_addr),
		    1);
	}
	hub_net_bytes(&sa, addr);
	turn = (turn + 1) % 4;
	hub_net_source(addr, out[turn]);
	return out[turn];
}

static int
setup(void **state)
{
	(void)state;
	hub_sources_init(&t, 7);
	return 0;
}

static int64_t
left(const char *text, int64_t now)
{
	return hub_source_blocked_ms(&t, source(text), now);
}

static void
punish(const char *text, enum hub_offence offence, int64_t now)
{
	hub_source_punish(&t, source(text), offence, now);
}

static void
a_source_is_a_v4_address_or_a_v6_network_of_64_bits(void **state)
{
	(void)state;
	assert_memory_not_equal(source("192.0.2.7"), source("192.0.2.8"), 16);
	assert_memory_equal(
	    source("192.0.2.7"), source("::ffff:192.0.2.7"), 16);
	assert_memory_equal(
	    source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"), 16);
	assert_memory_not_equal(
	    source("2001:db8:1:2::1"), source("2001:db8:1:3::1"), 16);
}

static void
penalties_add_up_count_from_a_threshold_and_expire(void **state)
{
	int64_t now = 1000000;

	(void)state;
	assert_int_equal(left("192.0.2.7", now), 0);
	punish("192.0.2.7", HUB_OFFENCE_NONE, now);
	punish("192.0.2.7", HUB_OFFENCE_LOGIN, now);
	punish("192.0.2.7", HUB_OFFENCE_PROTO, now);
	assert_int_equal(left("192.0.2.7", now), 0); /* 15 s is not more */
	punish("192.0.2.7", HUB_OFFENCE_CROWD, now);
	assert_int_equal(left("192.0.2.7", now), 20000);
	assert_int_equal(left("192.0.2.8", now), 0);
	assert_int_equal(left("192.0.2.7", now + 4999), 15001);
	assert_int_equal(left("192.0.2.7", now + 5000), 0);
	/* What has passed counts no more. */
	punish("192.0.2.7", HUB_OFFENCE_LOGIN, now + 60000);
	assert_int_equal(left("192.0.2.7", now + 60000), 0);
}

static void
a_penalty_has_an_end_whatever_is_done(void **state)
{
	int64_t now = 1000000;
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++)
		punish("2001:db8::1", HUB_OFFENCE_CRASH, now);
	assert_int_equal(left("2001:db8::2", now), HUB_PENALTY_MAX_MS);
	assert_int_equal(left("2001:db8::2", now + HUB_PENALTY_MAX_MS), 0);
}

/* A network of many sources takes no more memory, and frees those who are
 * under the longest penalty no sooner than others. */
static void
the_table_is_bounded_and_forgets_the_shortest_first(void **state)
{
	uint8_t other[16] = {0x20, 0x01, 0x0d, 0xb8};
	int64_t now = 1000000;
	uint32_t i;

	(void)state;
	punish("192.0.2.7", HUB_OFFENCE_CRASH, now);
	punish("192.0.2.7", HUB_OFFENCE_CRASH, now);
	for (i = 0; i < 20 * HUB_SOURCES_MAX; i++) {
		memcpy(other + 4, &i, sizeof(i));
		hub_source_punish(&t, other, HUB_OFFENCE_LOGIN, now);
		assert_int_equal(hub_source_blocked_ms(&t, other, now), 0);
	}
	assert_int_equal(left("192.0.2.7", now), 180000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_source_is_a_v4_address_or_a_v6_network_of_64_bits),
	    cmocka_unit_test_setup(
		penalties_add_up_count_from_a_threshold_and_expire, setup),
	    cmocka_unit_test_setup(
		a_penalty_has_an_end_whatever_is_done, setup),
	    cmocka_unit_test_setup(
		the_table_is_bounded_and_forgets_the_shortest_first, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
