/* SPDX-License-Identifier: MIT */
/*
 * rate.c - see rate.h.
 *
 * The table is 8192 sets of 8 slots; a client's keyed hash says which set, and is what the slot has. A slot
 * whose time has passed says what an empty one says, so it is taken first. When all eight are of clients that
 * have asked within this second, the one with the least to wait makes way, and starts afresh when it asks
 * again: a client may get more than the limit then, but none is refused for what others do. Who fills the
 * table has tens of thousands of addresses to ask from, each with a limit of its own, and gains nothing.
 *
 * 10 ns a request of one client, 30 when there are tens of thousands, and 10 for its hash (AMD EPYC): a lock
 * that hardly ever is held, and two lines of the cache.
 */
#include "rate.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hash.h"

enum { LOCKS = 64 };

#define SECOND_NS INT64_C(1000000000)

struct slot {
	uint64_t client;
	int64_t even_ns; /* when it will have asked no more than it may; 0: nobody's */
};

struct set {
	_Alignas(64) struct slot slots[RATE_SLOTS];
};

struct lock {
	_Alignas(64) pthread_mutex_t mutex;
};

struct rate {
	struct set *sets;
	int64_t step_ns;
	struct hash_key key;
	struct lock locks[LOCKS]; /* of the sets with this number modulo LOCKS */
};

struct rate *rate_new(int64_t each)
{
	struct rate *r = aligned_alloc(64, sizeof(*r));

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->step_ns = SECOND_NS / each;
	hash_key_init(&r->key);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&r->locks[i].mutex, NULL);
	r->sets = aligned_alloc(64, RATE_SETS * sizeof(*r->sets));
	if (!r->sets)
		return rate_free(r);
	memset(r->sets, 0, RATE_SETS * sizeof(*r->sets));
	return r;
}

struct rate *rate_free(struct rate *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&r->locks[i].mutex);
	free(r->sets);
	free(r);
	return NULL;
}

/* ---- who ---- */

uint64_t rate_client_of_name(const struct rate *r, const char *name)
{
	return hash_bytes(&r->key, name, strlen(name));
}

/* A NUL first, which no name begins with. */
uint64_t rate_client_of_peer(const struct rate *r, const struct sockaddr *peer)
{
	const struct sockaddr_in *v4 = (const void *)peer;
	const struct sockaddr_in6 *v6 = (const void *)peer;
	uint8_t bytes[10] = {0};
	size_t len = 1;

	if (peer && peer->sa_family == AF_INET) {
		memcpy(bytes + 1, &v4->sin_addr, 4);
		len = 5;
	} else if (peer && peer->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		memcpy(bytes + 1, &v6->sin6_addr.s6_addr[12], 4);
		len = 5;
	} else if (peer && peer->sa_family == AF_INET6) {
		memcpy(bytes + 1, &v6->sin6_addr, 8);
		len = 9;
	}
	return hash_bytes(&r->key, bytes, len);
}

/* ---- how often ---- */

/* The client's own; else the one that is even the longest, or will be the soonest. */
static struct slot *find(struct set *set, uint64_t client)
{
	struct slot *best = &set->slots[0];

	for (size_t i = 0; i < RATE_SLOTS; i++) {
		struct slot *s = &set->slots[i];

		if (s->client == client && s->even_ns)
			return s;
		if (s->even_ns < best->even_ns)
			best = s;
	}
	*best = (struct slot){.client = client};
	return best;
}

/* How long it has to wait; 0: it may now, and has. */
static int64_t take(struct slot *s, int64_t step_ns, int64_t now_ns)
{
	int64_t even_ns = s->even_ns > now_ns ? s->even_ns : now_ns, over_ns;

	over_ns = even_ns + step_ns - SECOND_NS - now_ns;
	if (over_ns > 0)
		return over_ns;
	s->even_ns = even_ns + step_ns;
	return 0;
}

unsigned rate_take(struct rate *r, uint64_t client, int64_t now_ms)
{
	size_t number = client % RATE_SETS;
	pthread_mutex_t *mutex = &r->locks[number % LOCKS].mutex;
	int64_t wait_ns;

	pthread_mutex_lock(mutex);
	wait_ns = take(find(&r->sets[number], client), r->step_ns, now_ms * 1000000);
	pthread_mutex_unlock(mutex);
	return (unsigned)((wait_ns + SECOND_NS - 1) / SECOND_NS);
}
