/* SPDX-License-Identifier: MIT */
/*
 * uplink_wait.c - until replicas have what is in the cluster.
 *
 * WAIT speaks of what its own connection has changed, and of all that was there before. What was pushed may
 * have been so over another connection, or by the start before this one; so a mark is written to each master
 * first. When a node was lost meanwhile, what it has lost is looked for before anybody is told anything.
 */
#include <stdio.h>

#include "../lib/cluster.h"
#include "uplink.h"

/* Nobody reads its value. */
#define MARK	"uplink-wait"
#define MARK_MS "10000"

struct marking {
	struct uplink *uplink;
	bool is_failed;
};

static void take_mark(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct marking *m = arg;

	(void)op;
	(void)reply;
	m->is_failed |= status != SHC_OK;
}

static void put_mark(void *arg, struct node *node)
{
	struct marking *m = arg;
	struct uplink *u = m->uplink;
	struct cluster_way way = {.kind = OP_REPEATABLE, .done = take_mark, .arg = m};
	char key[sizeof("shc:{}:" MARK) + SHARD_TAG_SIZE];
	int len;

	while (way.slot < SLOT_COUNT && cluster_master(u->cluster, way.slot) != node)
		way.slot++;
	if (way.slot == SLOT_COUNT)
		return;
	len = snprintf(key, sizeof(key), "shc:{%s}:" MARK, u->tags[way.slot]);
	const struct slice argv[] = {
		slice_str("SET"), {key, (size_t)len}, slice_str("1"), slice_str("PX"), slice_str(MARK_MS)};
	m->is_failed |= cluster_put(u->cluster, &way, 5, argv) != SHC_OK;
}

/* Whoever was lost since it was pushed to is heard of so. */
static void put_ping(void *arg, struct node *node)
{
	struct marking *m = arg;
	static const struct slice argv[] = {{"PING", 4}};
	const struct cluster_way way = {.kind = OP_READ,
					.slot = OP_ANY_SLOT,
					.node = node,
					.is_once = true,
					.done = take_mark,
					.arg = m};

	m->is_failed |= cluster_put(m->uplink->cluster, &way, 1, argv) != SHC_OK;
}

static bool ask_all(struct uplink *u, cluster_node_fn *put)
{
	struct marking m = {.uplink = u};

	if (cluster_connect(u->cluster))
		return false;
	cluster_each(u->cluster, false, put, &m);
	cluster_run(u->cluster, 0);
	return !m.is_failed;
}

bool uplink_ask_replicas(struct uplink *u, int64_t replicas)
{
	unsigned wanted = replicas < 0 ? CLUSTER_WAIT_WHERE_ANY : (unsigned)replicas;
	bool is_lost = false, is_there;

	uplink_begin(u, UPLINK_ROUND_MS);
	is_there = ask_all(u, replicas ? put_mark : put_ping);
	if (is_there && replicas)
		is_there = cluster_wait(u->cluster, wanted, &is_lost) == SHC_OK;
	if (!is_there)
		uplink_note(u, cluster_error(u->cluster));
	uplink_look_at_topology(u);
	return is_there;
}

bool uplink_wait_replicas(struct uplink *u, unsigned replicas)
{
	return !u->is_fast && uplink_ask_replicas(u, replicas) && !u->is_fast;
}
