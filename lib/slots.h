/* SPDX-License-Identifier: MIT */
/*
 * slots.h - reads the reply to CLUSTER SLOTS: which node serves which slots. Pure; any thread.
 * Source: https://redis.io/docs/latest/commands/cluster-slots/
 */
#ifndef SHC_SLOTS_H
#define SHC_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "resp.h"
#include "slice.h"

/* A node in a range. */
struct slots_node {
	struct slice host; /* into the reply; empty: the host that was asked */
	uint16_t port;
	bool is_replica; /* of the master that was told before it, for the same range */
};

typedef void slots_fn(void *arg, unsigned first, unsigned last, const struct slots_node *node);

/* Calls `fn` for each node of each range, the range's master first. False, and no call, when anything in the
 * reply makes no sense. Nodes without an address (a cluster that does not know its host names yet) are left
 * out. */
bool slots_read(const struct resp_reply *reply, slots_fn *fn, void *arg);

/* Of a reply to CLUSTER NODES: whether the node that gave it has a replica, be it one that has failed.
 * (CLUSTER SLOTS leaves those out.) */
bool slots_has_replica(struct slice nodes);

#endif
