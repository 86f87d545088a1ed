/* SPDX-License-Identifier: ISC */
/* Addresses of the hub and of its peers. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "hub_net.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};

/* Digits only, at most max. */
static bool
number(const char *s, unsigned max, unsigned *vp)
{
	unsigned v = 0;

	if (*s == '\0' || (*s == '0' && s[1] != '\0'))
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned)(*s - '0');
		if (v > max)
			return false;
	}
	*vp = v;
	return true;
}

enum mg_err
hub_addr_parse(const char *s, struct hub_addr *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a->sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->sa;
	char host[64];
	const char *colon = strrchr(s, ':');
	unsigned port;
	size_t n;

	memset(a, 0, sizeof(*a));
	if (colon == NULL || !number(colon + 1, 65535, &port) || port == 0)
		return MG_ERR_FORMAT;
	n = (size_t)(colon - s);
	if (n >= sizeof(host))
		return MG_ERR_FORMAT;
	memcpy(host, s, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		a->len = sizeof(*v4);
		return MG_ERR_OK;
	}
	if (n < 3 || host[0] != '[' || host[n - 1] != ']')
		return MG_ERR_FORMAT;
	host[n - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
		return MG_ERR_FORMAT;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	a->len = sizeof(*v6);
	return MG_ERR_OK;
}

void
hub_addr_format(
    const struct sockaddr_storage *sa, bool with_port, char out[HUB_ADDR_TEXT])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;
	bool is_v6 = false;

	if (sa->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		port = ntohs(v4->sin_port);
	} else if (sa->ss_family == AF_INET6 &&
		   IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		(void)inet_ntop(
		    AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof(host));
		port = ntohs(v6->sin6_port);
	} else if (sa->ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		port = ntohs(v6->sin6_port);
		is_v6 = true;
	}
	if (with_port)
		snprintf(out, HUB_ADDR_TEXT, is_v6 ? "[%s]:%u" : "%s:%u", host,
		    port);
	else
		snprintf(out, HUB_ADDR_TEXT, "%s", host);
}

static bool
bit(const uint8_t *b, unsigned i)
{
	return (b[i / 8] >> (7 - i % 8) & 1) != 0;
}

static bool
address_bytes(const char *s, uint8_t out[16], unsigned *bitsp)
{
	memcpy(out, v4_prefix, sizeof(v4_prefix));
	*bitsp = 32;
	if (inet_pton(AF_INET, s, out + 12) == 1)
		return true;
	*bitsp = 128;
	return inet_pton(AF_INET6, s, out) == 1;
}

enum mg_err
hub_net_parse(const char *s, struct hub_net *net)
{
	char host[64];
	const char *slash = strchr(s, '/');
	size_t n = slash == NULL ? strlen(s) : (size_t)(slash - s);
	unsigned width, bits, i;

	memset(net, 0, sizeof(*net));
	if (n >= sizeof(host))
		return MG_ERR_FORMAT;
	memcpy(host, s, n);
	host[n] = '\0';
	if (!address_bytes(host, net->b, &width))
		return MG_ERR_FORMAT;
	bits = width;
	if (slash != NULL && !number(slash + 1, width, &bits))
		return MG_ERR_FORMAT;
	net->bits = bits + 128 - width;
	for (i = net->bits; i < 128; i++)
		if (bit(net->b, i))
			return MG_ERR_FORMAT;
	return MG_ERR_OK;
}

void
hub_net_bytes(const struct sockaddr_storage *sa, uint8_t out[16])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	memset(out, 0, 16);
	if (sa->ss_family == AF_INET) {
		memcpy(out, v4_prefix, sizeof(v4_prefix));
		memcpy(out + 12, &v4->sin_addr, 4);
	} else if (sa->ss_family == AF_INET6) {
		memcpy(out, &v6->sin6_addr, 16);
	}
}

bool
hub_net_has(const struct hub_net *net, const uint8_t addr[16])
{
	unsigned i;

	for (i = 0; i < net->bits; i++)
		if (bit(net->b, i) != bit(addr, i))
			return false;
	return true;
}

void
hub_net_source(const uint8_t addr[16], uint8_t out[16])
{
	memcpy(out, addr, 16);
	if (memcmp(addr, v4_prefix, sizeof(v4_prefix)) != 0)
		memset(out + 8, 0, 8);
}
