/* SPDX-License-Identifier: MIT */
/*
 * loopback.h - addresses that only this machine reaches: 127.0.0.0/8, ::1, and the former as IPv6 sockets see
 * it
 * (::ffff:127.0.0.0/104). Pure; any thread.
 */
#ifndef SHC_LOOPBACK_H
#define SHC_LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

static inline bool loopback_is_v4(struct in_addr address)
{
	return ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

static inline bool loopback_is_v6(const struct in6_addr *address)
{
	return IN6_IS_ADDR_LOOPBACK(address) ||
	       (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == IN_LOOPBACKNET);
}

/* False for all other families. */
static inline bool loopback_is(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	switch (address->sa_family) {
	case AF_INET: return loopback_is_v4(v4->sin_addr);
	case AF_INET6: return loopback_is_v6(&v6->sin6_addr);
	default: return false;
	}
}

#endif
