/* SPDX-License-Identifier: MIT */
/*
 * origin.h - whether it is our own page that asks, or another one in the same browser. Pure; any thread.
 *
 * A page of elsewhere can have its reader's browser send requests to any address that the browser reaches:
 * to this machine, and to networks that its author does not reach. Three headers, which no page can set, tell
 * them apart: Host (a name that was bound to our address a moment ago, "DNS rebinding", is none of ours),
 * Origin, and Sec-Fetch-Site. Who is no browser sends the first one only, and whatever he likes.
 */
#ifndef SHC_GATEWAY_ORIGIN_H
#define SHC_GATEWAY_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

/* Who we are; borrowed. */
struct origin_self {
	const char *listen;	  /* HOST:PORT */
	const char *const *hosts; /* further names */
	size_t host_count;
	bool is_tls; /* plain HTTP is somebody else. Without, a proxy may have taken the TLS away */
};

/* Whether a Host header, with a port or without, is a name of ours: localhost, an address of loopback, what
 * we listen on (when that is all addresses or a name: any address, for an address cannot be rebound), or one
 * of `hosts`. */
bool origin_is_our_host(const struct origin_self *self, const char *host);

/* Whether a name can stand in a Host header. */
bool origin_is_host(const char *name);

/* Whether an Origin header is that of a page of ours, which has asked for `host`. "null" is not. */
bool origin_is_same(const struct origin_self *self, const char *origin, const char *host);

/* Whether one with these headers (null: there is none) may ask: our page; no page; or, when it is a page that
 * is asked for (`is_page`, with GET), the follower of a link in a window of his own. */
bool origin_may_fetch(const char *site, const char *mode, const char *dest, bool is_page);

#endif
