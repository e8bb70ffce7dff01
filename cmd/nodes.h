/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - the nodes of a Redis Cluster, each asked the same: for `ping` and `stats`.
 */
#ifndef SHC_NODES_H
#define SHC_NODES_H

#include <stdbool.h>

#include "../lib/redis.h"
#include "command.h"
#include "output.h"

/* What a node said, by the names of the nodes. */
struct node_answer {
	char *name; /* owned: "host:port" */
	unsigned slots;
	bool is_replica;
	bool is_answered; /* `text` is its reply; else why there is none */
	char *text;	  /* owned */
};

/* Asks all nodes one command, the replicas too, and shows each answer in the order of their names (nothing
 * with -q); what does not answer is told behind it. EX_OK, EX_UNAVAILABLE when one did not answer, or another
 * exit status after a complaint. */
typedef void node_show_fn(const struct invocation *inv, struct output *out, const struct node_answer *answer);
int nodes_show(const struct invocation *inv, struct shc *shc, const char *command, const char *heading,
	       node_show_fn *show);

#endif
