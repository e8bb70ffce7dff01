/* SPDX-License-Identifier: MIT */
/*
 * uplink_wait.c - until replicas have what was pushed. WAIT speaks of its own connection, so it is asked over
 * the one that the pushes were answered on; when that is gone, what has been lost is looked for first.
 */
#include "../lib/num.h"
#include "uplink.h"

#define WAIT_MS "200"

struct waiting {
	struct uplink *uplink;
	unsigned replicas;
	bool is_lost, is_short;
};

static void take_count(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct waiting *w = arg;

	if (status || reply->type != RESP_INT) {
		w->is_lost = true;
		cluster_forget_writes(op->node);
	} else if (reply->i64 >= (int64_t)w->replicas) {
		cluster_forget_writes(op->node);
	} else {
		w->is_short = true;
		uplink_say(w->uplink, "%s: %lld replicas have what was pushed, %u are wanted",
			   cluster_name(op->node), (long long)reply->i64, w->replicas);
	}
}

static void put_wait(void *arg, struct node *node)
{
	struct waiting *w = arg;
	const struct cluster_way way = {
		.kind = OP_READ,
		.slot = OP_ANY_SLOT,
		.node = node,
		.over = cluster_wrote_over(node),
		.done = take_count,
		.arg = w,
	};
	char digits[NUM_I64_CHARS_MAX];
	const struct slice argv[] = {
		slice_str("WAIT"), {digits, num_format_i64(digits, w->replicas)}, slice_str(WAIT_MS)};

	if (cluster_slots(node) == 0 || cluster_wrote_over(node) != cluster_connection(node)) {
		w->is_lost = true;
		cluster_forget_writes(node);
	} else if (cluster_put(w->uplink->cluster, &way, 3, argv)) {
		w->is_short = true;
	}
}

bool uplink_wait_replicas(struct uplink *u, unsigned replicas)
{
	struct waiting w = {.uplink = u, .replicas = replicas};

	if (u->is_fast)
		return false;
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	cluster_each_written(u->cluster, put_wait, &w);
	cluster_run(u->cluster, 0);
	if (w.is_lost)
		uplink_sweep_begin(u, true);
	return !w.is_lost && !w.is_short;
}
