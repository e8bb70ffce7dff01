/* SPDX-License-Identifier: MIT */
/*
 * uplink_wait.c - until replicas have what was pushed.
 *
 * WAIT speaks of what its own connection has changed, so it is asked over the one that the pushes were
 * answered on, also when it has been asked before: by then with a smaller number, perhaps. When that
 * connection is gone, what has been lost is looked for first; and as looking changes nothing, something is
 * written to each master then, behind which WAIT speaks of all that was there before.
 */
#include <stdio.h>

#include "../lib/num.h"
#include "uplink.h"

#define WAIT_MS "200"

/* Of which nobody reads the value. */
#define MARK	"uplink-wait"
#define MARK_MS "10000"

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
	} else if (reply->i64 < (int64_t)w->replicas) {
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

/* ---- marks ---- */

static void take_mark(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct waiting *w = arg;

	(void)op;
	(void)reply;
	w->is_short |= status != SHC_OK;
}

static void put_mark(void *arg, struct node *node)
{
	struct waiting *w = arg;
	struct uplink *u = w->uplink;
	struct cluster_way way = {.kind = OP_REPEATABLE, .done = take_mark, .arg = w};
	char key[sizeof("shc:{}:" MARK) + SHARD_TAG_SIZE];
	int len;

	while (way.slot < SLOT_COUNT && cluster_master(u->cluster, way.slot) != node)
		way.slot++;
	if (way.slot == SLOT_COUNT)
		return;
	len = snprintf(key, sizeof(key), "shc:{%s}:" MARK, u->tags[way.slot]);
	const struct slice argv[] = {
		slice_str("SET"), {key, (size_t)len}, slice_str("1"), slice_str("PX"), slice_str(MARK_MS)};
	w->is_short |= cluster_put(u->cluster, &way, 5, argv) != SHC_OK;
}

/* Something of this connection's on each master. */
static bool mark_all(struct uplink *u)
{
	struct waiting w = {.uplink = u};

	if (cluster_connect(u->cluster))
		return false;
	cluster_each(u->cluster, false, put_mark, &w);
	cluster_run(u->cluster, 0);
	return !w.is_short;
}

bool uplink_wait_replicas(struct uplink *u, unsigned replicas)
{
	struct waiting w = {.uplink = u, .replicas = replicas};

	if (u->is_fast)
		return false;
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	u->is_unmarked = u->is_unmarked && !mark_all(u);
	if (u->is_unmarked)
		return false;
	cluster_each_written(u->cluster, put_wait, &w);
	cluster_run(u->cluster, 0);
	if (w.is_lost) {
		u->is_unmarked = true;
		uplink_sweep_begin(u, true);
	}
	return !w.is_lost && !w.is_short;
}
