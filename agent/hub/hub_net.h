/* SPDX-License-Identifier: ISC */
#ifndef HUB_NET_H
#define HUB_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "mg_err.h"

/* Addresses: where to listen, where a connection came from. */

#define HUB_ADDR_TEXT 72 /* "[v6%scope]:65535" and NUL */

/* An address to listen at. */
struct hub_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

/* A network: the first bits of a v6 address; v4 as ::ffff:a.b.c.d. */
struct hub_net {
	uint8_t b[16];
	unsigned bits;
};

/* "127.0.0.1:7022" or "[::1]:7022"; numbers only. */
enum mg_err hub_addr_parse(const char *s, struct hub_addr *a) MG_MUST_CHECK;

/* Writes an address (with_port: and its port) as text. */
void hub_addr_format(
    const struct sockaddr_storage *sa, bool with_port, char out[HUB_ADDR_TEXT]);

/* "10.0.0.0/8", "::1/128", "192.0.2.7"; bits after the prefix must be 0. */
enum mg_err hub_net_parse(const char *s, struct hub_net *net) MG_MUST_CHECK;

/* The 16 bytes of an address; all zero when it is neither v4 nor v6. */
void hub_net_bytes(const struct sockaddr_storage *sa, uint8_t out[16]);

bool hub_net_has(const struct hub_net *net, const uint8_t addr[16]);

/*
 * Who is one source: a v4 address, or the /64 of a v6 address, which is
 * what one subscriber has.
 */
void hub_net_source(const uint8_t addr[16], uint8_t out[16]);

#endif
