/* SPDX-License-Identifier: MIT */
/*
 * rate.h - how often each client may ask: so many requests a second, and those of one second at once.
 *
 * Source: GCRA, the "virtual scheduling algorithm" of ITU-T I.371: of a client is kept one time, that at
 * which it would have been in step. Any thread.
 */
#ifndef SHC_GATEWAY_RATE_H
#define SHC_GATEWAY_RATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct rate;

/* Clients that are known at a time: those that have asked within the last second. */
enum { RATE_SETS = 8192, RATE_SLOTS = 8, RATE_CLIENTS_MAX = RATE_SETS * RATE_SLOTS };

/* `each`: requests a second, at least 1. Null: no memory. */
struct rate *rate_new(int64_t each);
struct rate *rate_free(struct rate *r); /* null */

/* One more request. 0: it may; else in how many seconds it will be able to. `now_ms` is monotonic. */
unsigned rate_take(struct rate *r, uint64_t client, int64_t now_ms);

/* Which client: by the name of its token; by its address, an IPv6 one by its /64, which is one machine's;
 * whatever has no address is one. Nobody outside can tell which two are the same. */
uint64_t rate_client_of_name(const struct rate *r, const char *name);
uint64_t rate_client_of_peer(const struct rate *r, const struct sockaddr *peer);

#endif
