/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - the nodes of a Redis Cluster, each asked the same: for `ping` and `stats`.
 */
#ifndef SHC_NODES_H
#define SHC_NODES_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/buf.h"
#include "../lib/redis.h"
#include "command.h"

/* What a node said, by the names of the nodes. */
struct node_answer {
	char *name; /* owned: "host:port" */
	unsigned slots;
	bool is_replica;
	bool is_answered; /* `text` is its reply; else why there is none */
	char *text;	  /* owned */
};

struct node_answers {
	struct node_answer *list; /* owned */
	size_t count, cap;
	bool has_failed; /* no memory */
};

/* Asks all nodes one command, the replicas too. EX_OK, also when some or all do not answer; or an exit status
 * after a complaint. The caller calls nodes_free in any case. */
int nodes_ask(struct shc *shc, const char *command, struct node_answers *out);
void nodes_free(struct node_answers *answers);

#endif
