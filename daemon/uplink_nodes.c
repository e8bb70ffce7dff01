/* SPDX-License-Identifier: MIT */
/* uplink_nodes.c - what is known of the masters: how pushes go there, and whether they keep what they get. */
#include <stdio.h>
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/num.h"
#include "log.h"
#include "uplink.h"

static struct uplink_node *find(struct uplink *u, const char *name)
{
	struct uplink_node *n;

	for (n = u->nodes; n < u->nodes + u->node_count; n++)
		if (strncmp(n->name, name, sizeof(n->name) - 1) == 0)
			return n;
	if (u->node_count == UPLINK_NODES_MAX)
		return NULL;
	u->node_count++;
	*n = (struct uplink_node){.name = ""};
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

struct uplink_node *uplink_node_of(struct uplink *u, const struct op *op)
{
	const struct node *node = op->node;

	if (!node && op->slot < SLOT_COUNT)
		node = cluster_master(u->cluster, op->slot);
	return node ? find(u, cluster_name(node)) : NULL;
}

/* ---- eviction ---- */

/* What stands behind "NAME:" at the beginning of a line. */
static struct slice value_of(struct slice info, const char *name)
{
	size_t len = strlen(name);
	const char *at = info.data, *end = info.data + info.len, *line_end;

	for (; at < end; at = line_end + 1) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			line_end = end;
		if ((size_t)(line_end - at) <= len || memcmp(at, name, len) != 0 || at[len] != ':')
			continue;
		at += len + 1;
		return (struct slice){at, (size_t)(line_end - at) - (line_end > at && line_end[-1] == '\r')};
	}
	return (struct slice){NULL, 0};
}

static void take_info(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct uplink *u = arg;
	struct uplink_node *n = uplink_node_of(u, op);
	struct slice policy, limit;

	/* Who may not ask is not told. */
	if (status || !n || !reply->str.data)
		return;
	policy = value_of(reply->str, "maxmemory_policy");
	limit = value_of(reply->str, "maxmemory");
	if (policy.len < 7 || memcmp(policy.data, "allkeys", 7) != 0 || slice_is_word(limit, "0"))
		return;
	(void)snprintf(
		n->error, sizeof(n->error),
		"it evicts keys when its memory is full (maxmemory-policy %.*s), totals and ledgers too: "
		"set noeviction",
		(int)policy.len, policy.data);
	log_warning("uplink: %s: %s", n->name, n->error);
}

static void put_info(void *arg, struct node *node)
{
	struct uplink *u = arg;
	const struct cluster_way way = {.kind = OP_READ,
					.slot = OP_ANY_SLOT,
					.node = node,
					.is_once = true,
					.done = take_info,
					.arg = u};
	static const struct slice argv[] = {{"INFO", 4}, {"memory", 6}};

	(void)cluster_put(u->cluster, &way, 2, argv);
}

void uplink_check_nodes(struct uplink *u)
{
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	if (cluster_connect(u->cluster))
		return;
	cluster_each(u->cluster, false, put_info, u);
	cluster_run(u->cluster, 0);
	u->is_unchecked = false;
}
