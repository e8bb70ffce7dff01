/* SPDX-License-Identifier: MIT */
/*
 * peer_memory.h - what connections hold beside counters: requests that are not whole, transactions before
 * their EXEC, replies that nobody takes. Each has limits of its own; these are for all of them together
 * (max-client-memory), so that many connections cannot take what one may.
 *
 * A connection counts from PEER_MEMORY_FREE bytes on; most never do. When all together hold more than the
 * limit, each worker closes the largest of its own that holds at least the mean, at the end of its turn,
 * until that is over: who holds little is not closed for what others hold. As Redis does with
 * maxmemory-clients.
 */
#ifndef SHC_PEER_MEMORY_H
#define SHC_PEER_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>

struct peer;
struct worker;

enum { PEER_MEMORY_FREE = 64 << 10 };

/* Of the daemon. Changed by workers, read by anyone; relaxed: a count that is a moment old closes a
 * connection a turn later. */
struct peer_memory {
	_Atomic int64_t bytes;	 /* held by connections that count */
	_Atomic int64_t holders; /* so many */
	_Atomic uint64_t evicted;
	_Atomic int64_t said_ms; /* monotonic; when the log was told of one */
};

/* After its buffers may have changed; needed when they hold more than half of PEER_MEMORY_FREE (they double),
 * or when it counts already. By the worker of the peer. */
void peer_memory_look(struct peer *p);

/* It holds nothing any more, or will be freed soon. By the worker of the peer. */
void peer_memory_forget(struct peer *p);

/* End of turn. */
void peer_memory_evict(struct worker *w);

#endif
