/* SPDX-License-Identifier: MIT */
/*
 * cluster_ops.c - requests: where each belongs, when it is sent again, and how it ends.
 */
#include <stdlib.h>

#include "cluster_impl.h"

enum { PAUSE_BASE_MS = 5 };

/* ---- ends ---- */

void op_settle(struct cluster *c, struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	c->left -= !op->is_own;
	op->done(op->arg, op, status, reply);
	free(op);
}

/* It will not be sent (again). */
void op_settle_unsent(struct cluster *c, struct op *op, enum shc_status status)
{
	op_settle(c, op, op->may_be_done ? SHC_IN_DOUBT : status, NULL);
}

void op_loosen(struct cluster *c, struct op *op, int64_t not_before_ns)
{
	op->not_before_ns = not_before_ns;
	if (op->slot != OP_ANY_SLOT) {
		op->is_asking = false;
		op->node = NULL;
	}
	STAILQ_INSERT_TAIL(&c->loose, op, entry);
}

/* Counts an attempt. Returns when the next one may be made. */
int64_t op_next_attempt_ns(const struct cluster *c, struct op *op)
{
	int64_t pause_ns = cluster_pause_ns(PAUSE_BASE_MS, op->attempts);
	op->attempts = (uint8_t)(op->attempts + (op->attempts < UINT8_MAX));
	return c->now_ns + pause_ns;
}

/* The same again, in a while. */
void op_again(struct cluster *c, struct op *op)
{
	if (op->is_once)
		op_settle(c, op, SHC_UNREACHABLE, NULL);
	else
		op_loosen(c, op, op_next_attempt_ns(c, op));
}

/* ---- where it belongs ---- */

void op_wait_for(struct node *n, struct op *op)
{
	op->node = n;
	STAILQ_INSERT_TAIL(&n->waiting, op, entry);
	n->waiting_count++;
}

void op_take_waiting(struct node *n, struct op_list *out)
{
	STAILQ_CONCAT(out, &n->waiting);
	n->waiting_count = 0;
}

static struct node *route(struct cluster *c, const struct op *op)
{
	if (op->slot >= SLOT_COUNT || op->is_asking)
		return op->node;
	struct node *master = c->masters[op->slot];
	struct node *replica = NULL;
	if (master && c->reads_replicas && op->kind == OP_READ && op->attempts == 0)
		replica = nodes_replica(c, master);
	return replica ? replica : master;
}

bool op_is_cut_off(const struct op *op)
{
	return op->slot == OP_ANY_SLOT && op->generation && op->generation != cluster_connection(op->node);
}

static void wait_for_map(struct cluster *c, struct op *op)
{
	if (c->has_map && c->error[0] == '\0')
		cluster_say(c, "no node serves slot %u", (unsigned)op->slot);
	STAILQ_INSERT_TAIL(&c->loose, op, entry);
	map_want(c);
}

/* Loose requests that are due go to their nodes. Returns when to look again. */
int64_t ops_dispatch(struct cluster *c)
{
	struct op_list loose = STAILQ_HEAD_INITIALIZER(loose);
	STAILQ_CONCAT(&loose, &c->loose);
	int64_t next_ns = INT64_MAX;
	struct op *op;
	while ((op = STAILQ_FIRST(&loose))) {
		STAILQ_REMOVE_HEAD(&loose, entry);
		if (op->not_before_ns > c->now_ns) {
			next_ns = op->not_before_ns < next_ns ? op->not_before_ns : next_ns;
			STAILQ_INSERT_TAIL(&c->loose, op, entry);
			continue;
		}
		if (c->has_map && (op->slot == OP_MAP || (op->slot == OP_NEW_MAP && !c->wish.is_wanted))) {
			op_settle(c, op, SHC_OK, NULL);
			continue;
		}
		struct node *n = route(c, op);
		if (op_is_cut_off(op))
			op_settle_unsent(c, op, SHC_UNREACHABLE);
		else if (n)
			op_wait_for(n, op);
		else if (c->fatal)
			op_settle_unsent(c, op, c->fatal);
		else
			wait_for_map(c, op);
	}
	return next_ns;
}

void cluster_reroute(struct cluster *c)
{
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		struct op_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
		op_take_waiting(n, &waiting);
		struct op *op;
		while ((op = STAILQ_FIRST(&waiting))) {
			STAILQ_REMOVE_HEAD(&waiting, entry);
			if (op->slot == OP_ANY_SLOT || op->is_asking)
				op_wait_for(n, op);
			else
				op_loosen(c, op, 0);
		}
	}
}
