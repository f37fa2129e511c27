/*
 * endpoint.h - where a datagram came from, and so where its answer goes.
 *
 * Addresses are 16 bytes everywhere; IPv4 is mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2). Which of our own
 * addresses was asked, `local` says: the same number on every worker (net_address).
 */
#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct endpoint {
	uint8_t ip[16];
	uint16_t port;       /* the peer's, host order */
	uint16_t local_port; /* ours, host order */
	uint8_t mac[6];      /* the peer's (or its gateway's) */
	uint8_t local;       /* ENDPOINT_IPV4, or 1 + the position among our IPv6 addresses */
	uint8_t pad;
};

enum { ENDPOINT_IPV4 = 0 };

static inline bool
endpoint_is_ipv6(const struct endpoint *endpoint)
{
	return endpoint->local != ENDPOINT_IPV4;
}

static inline void
endpoint_map_ipv4(uint8_t ip[16], const void *ipv4)
{
	memset(ip, 0, 10);
	memset(ip + 10, 0xff, 2);
	memcpy(ip + 12, ipv4, 4);
}

static inline bool
endpoint_is_mapped(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip, mapped, sizeof mapped) == 0;
}

#endif
