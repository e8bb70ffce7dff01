/* SPDX-License-Identifier: MIT */
/* uplink_nodes.c - what is known of the masters: how pushes go there, and whether they keep what they get. */
#include <stdio.h>
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/num.h"
#include "../lib/log.h"
#include "uplink.h"

enum {
	STOP_MS = 500, /* a stop waits so long for somebody to answer; one that failed before may be paused
			  for */
};

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

struct check {
	struct uplink *uplink;
	bool is_failed;
};

static const char evicts[] = "it evicts keys when its memory is full";

static bool says_evicts(const struct uplink_node *n)
{
	return strncmp(n->error, evicts, sizeof(evicts) - 1) == 0;
}

/* Ledgers do not expire by themselves, so volatile-* takes only what somebody has given a time to live. That
 * may be any of them, and what is taken is counted again: better they hear of it before. */
static void look_at_policy(struct uplink_node *n, struct slice info)
{
	struct slice policy = value_of(info, "maxmemory_policy"), limit = value_of(info, "maxmemory");
	char said[UPLINK_ERROR_SIZE];

	if (!policy.len || !limit.len)
		return; /* a server that does not tell */
	if (slice_is_word(policy, "noeviction") || slice_is_word(limit, "0")) {
		if (says_evicts(n))
			n->error[0] = '\0';
		return;
	}
	(void)snprintf(
		said, sizeof(said),
		"%s (maxmemory-policy %.*s), and what it evicts of totals and ledgers makes totals wrong: set "
		"noeviction",
		evicts, (int)(policy.len < 32 ? policy.len : 32), policy.data);
	if (strcmp(said, n->error) == 0)
		return; /* said already */
	memcpy(n->error, said, sizeof(said));
	log_warning("uplink: %s: %s", n->name, n->error);
}

/* Who may not ask for INFO is not told. */
static void take_info(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct check *c = arg;
	struct uplink_node *n = uplink_node_of(c->uplink, op);

	if (status == SHC_OK && n && reply->str.data)
		look_at_policy(n, reply->str);
	if (status == SHC_OK || uplink_is_refusal(status, reply)) {
		if (n)
			n->is_there = true;
		return;
	}
	c->is_failed = true;
	uplink_note(c->uplink, cluster_error(c->uplink->cluster));
}

static void put_info(void *arg, struct node *node)
{
	struct check *c = arg;
	const struct cluster_way way = {.kind = OP_READ,
					.slot = OP_ANY_SLOT,
					.node = node,
					.is_once = true,
					.done = take_info,
					.arg = c};
	static const struct slice argv[] = {{"INFO", 4}, {"memory", 6}};

	c->is_failed |= cluster_put(c->uplink->cluster, &way, 2, argv) != SHC_OK;
}

bool uplink_check_nodes(struct uplink *u)
{
	struct check c = {.uplink = u};

	for (size_t i = 0; i < u->node_count; i++)
		u->nodes[i].is_there = false;
	uplink_begin(u, u->until_ms ? STOP_MS : UPLINK_ROUND_MS);
	/* A stop does not wait for somebody to be there. */
	if (!u->until_ms && cluster_connect(u->cluster)) {
		uplink_note(u, cluster_error(u->cluster));
		return false;
	}
	cluster_each(u->cluster, false, put_info, &c);
	cluster_run(u->cluster, 0);
	return !c.is_failed;
}

/* ---- who answered ---- */

/* Of a master that there was no room for nothing is known: it is asked. */
bool uplink_is_slot_there(struct uplink *u, unsigned slot)
{
	const struct node *master = cluster_master(u->cluster, slot);
	const struct uplink_node *n = master ? find(u, cluster_name(master)) : NULL;

	return n ? n->is_there : master != NULL;
}

bool uplink_is_anybody_there(const struct uplink *u)
{
	for (size_t i = 0; i < u->node_count; i++)
		if (u->nodes[i].is_there)
			return true;
	return false;
}
