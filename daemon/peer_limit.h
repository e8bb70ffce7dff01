/* SPDX-License-Identifier: MIT */
/*
 * peer_limit.h - a peer's share in what its source may take (peer_source.h, limits.h).
 *
 * Before a batch the budgets are asked, behind it they are told what it has used: a batch has no more
 * requests than there is budget for at that moment, and of bytes what it takes. So all that a source gets
 * beyond its limits at once is a batch of bytes for each worker that serves it. A request that has waited was
 * paid for when it was first done, and is done again whatever is left.
 *
 * A peer whose source has nothing left is held back: not read from, and what it has sent is not looked at
 * (WAIT_BUDGET). It stands in its source's queue of this worker, and that in the worker's list; replies go on
 * leaving. Thread: the worker that owns the peer.
 */
#ifndef SHC_PEER_LIMIT_H
#define SHC_PEER_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"
#include "peer_source.h"

struct peer;
struct worker;

/* The batch that is being executed, of one that is limited: on whose account it is, and what it began with.
 */
struct peer_use {
	struct source *account; /* null: there is none */
	bool is_left;		/* the peer has logged in since, and counts there only until its end */
	struct limits limits;
	uint64_t requests;
	size_t in_bytes, out_bytes;
};

/* What its source may take, as rules and settings are now. */
void peer_limit_set(struct peer *p, const struct limits *limits);

/* May it have a batch? Only of one that is limited. */
bool peer_limit_may(const struct peer *p);
/* It may not, now. */
void peer_limit_hold(struct peer *p);

/* Around a batch that is parsed, of one that is limited. Cuts the batch; `in_bytes` were used up before it,
 * or are now. */
void peer_limit_begin(struct peer *p, size_t in_bytes);
void peer_limit_end(struct peer *p, size_t in_bytes);

/* From now on it comes from there, where it may be one of so many; what it has sent behind the present
 * request is on that account. 0; -EUSERS, -ENOMEM: nothing has changed. */
int peer_limit_move(struct peer *p, const struct source_key *key, int64_t clients_max);

/* It ends: what it has sent and nobody has looked at was read all the same. */
void peer_limit_leave(struct peer *p);

/* End of a turn: whoever was held back and may go on, does. */
void peer_limit_release(struct worker *w);
/* Milliseconds until that is worth while; -1: nobody is held back. */
int64_t peer_limit_wait_ms(const struct worker *w);

#endif
