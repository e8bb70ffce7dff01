/* SPDX-License-Identifier: MIT */
/*
 * cluster_nodes.c - the nodes that are known, and which slots they serve.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_impl.h"
#include "slots.h"

enum { REPLICA_REST_MS = 10000 };

/* ---- the list ---- */

static struct node *find(struct cluster *c, struct slice host, uint16_t port)
{
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		if (n->port == port && slice_equal(slice_str(n->host), host))
			return n;
	}
	return NULL;
}

static void node_free(struct node *n)
{
	link_fini(&n->link);
	free(n->name);
	free(n->host);
	free(n);
}

static struct node *node_new(struct slice host, uint16_t port)
{
	struct node *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	link_init(&n->link);
	STAILQ_INIT(&n->waiting);
	n->port = port;
	n->host = strndup(host.data, host.len);
	bool is_v6 = n->host && strchr(n->host, ':');
	if (!n->host || asprintf(&n->name, is_v6 ? "[%s]:%u" : "%s:%u", n->host, (unsigned)port) < 0) {
		n->name = NULL;
		node_free(n);
		return NULL;
	}
	return n;
}

static bool grow(struct cluster *c)
{
	size_t cap = c->nodes_cap ? c->nodes_cap * 2 : 8;
	struct node **nodes = reallocarray(c->nodes, cap, sizeof(struct node *));
	if (!nodes)
		return false;
	c->nodes = nodes;
	struct pollfd *polls = reallocarray(c->polls, cap, sizeof(*polls));
	if (!polls)
		return false;
	c->polls = polls;
	c->nodes_cap = cap;
	return true;
}

struct node *nodes_at(struct cluster *c, struct slice host, uint16_t port)
{
	struct node *n = find(c, host, port);
	if (n)
		return n;
	if (c->nodes_count == c->nodes_cap && !grow(c))
		return NULL;
	n = node_new(host, port);
	if (n)
		c->nodes[c->nodes_count++] = n;
	return n;
}

void nodes_fini(struct cluster *c)
{
	for (size_t i = 0; i < c->nodes_count; i++)
		node_free(c->nodes[i]);
	free(c->nodes);
}

static bool is_needed(const struct node *n)
{
	return n->is_seed || n->is_listed || n->waiting_count > 0 || n->link.unanswered_count > 0 ||
	       n->wrote_over > 0;
}

void nodes_sweep(struct cluster *c)
{
	size_t kept = 0;
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		if (is_needed(n))
			c->nodes[kept++] = n;
		else
			node_free(n);
	}
	c->nodes_count = kept;
}

/* ---- the map ---- */

struct taking {
	struct cluster *c;
	struct node *asked;
	struct node *master;   /* of the range that is being told */
	struct node **masters; /* the new map */
	bool has_failed;       /* no memory */
};

static void take_node(void *arg, unsigned first, unsigned last, const struct slots_node *told)
{
	struct taking *t = arg;
	struct slice host = told->host.len > 0 ? told->host : slice_str(t->asked->host);
	struct node *n = nodes_at(t->c, host, told->port);
	if (!n) {
		t->has_failed = true;
		return;
	}
	n->is_listed = true;
	if (told->is_replica) {
		n->master = t->master;
		return;
	}
	t->master = n;
	n->master = NULL;
	n->slots += last - first + 1;
	for (unsigned slot = first; slot <= last; slot++)
		t->masters[slot] = n;
}

static void forget_map(struct cluster *c)
{
	for (size_t i = 0; i < c->nodes_count; i++) {
		c->nodes[i]->is_listed = false;
		c->nodes[i]->master = NULL;
		c->nodes[i]->slots = 0;
	}
}

bool nodes_take_map(struct cluster *c, const struct resp_reply *reply, struct node *asked)
{
	struct taking t = {.c = c, .asked = asked, .masters = calloc(SLOT_COUNT, sizeof(struct node *))};
	forget_map(c);
	bool is_sane = t.masters && slots_read(reply, take_node, &t) && !t.has_failed;
	if (!is_sane)
		forget_map(c);
	if (is_sane)
		memcpy(c->masters, t.masters, sizeof(c->masters));
	for (unsigned slot = 0; !is_sane && slot < SLOT_COUNT; slot++) { /* the old one stands */
		struct node *n = c->masters[slot];
		if (n) {
			n->is_listed = true;
			n->slots++;
			n->master = NULL;
		}
	}
	free(t.masters);
	return is_sane;
}

void nodes_move_slot(struct cluster *c, unsigned slot, struct node *to)
{
	struct node *from = c->masters[slot];
	if (from == to)
		return;
	if (from && from->slots > 0)
		from->slots--;
	to->slots++;
	to->is_listed = true;
	to->master = NULL;
	c->masters[slot] = to;
}

/* ---- asking it ---- */

/* One that has failed is left alone for longer than others: its master can be asked as well. */
static bool can_be_read(const struct cluster *c, const struct node *n)
{
	const int64_t rest_ns = (int64_t)REPLICA_REST_MS * NS_PER_MS;
	return n->failures == 0 || c->now_ns - n->retry_ns > rest_ns;
}

struct node *nodes_replica(struct cluster *c, const struct node *master)
{
	struct node *best = NULL;
	unsigned seen = 0;
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		if (n->master == master && can_be_read(c, n) && arc4random_uniform(++seen) == 0)
			best = n;
	}
	return best;
}

struct node *cluster_master(struct cluster *c, unsigned slot)
{
	return c->masters[slot];
}

void cluster_each(struct cluster *c, bool has_replicas, cluster_node_fn *fn, void *arg)
{
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		if (n->slots > 0 || (has_replicas && n->master))
			fn(arg, n);
	}
}

const char *cluster_name(const struct node *node)
{
	return node->name;
}

unsigned cluster_slots(const struct node *node)
{
	return node->slots;
}

unsigned cluster_replicas(struct cluster *c, const struct node *node)
{
	unsigned count = 0;
	for (size_t i = 0; i < c->nodes_count; i++)
		count += c->nodes[i]->master == node;
	return count;
}

bool cluster_is_replica(const struct node *node)
{
	return node->master != NULL;
}

uint64_t cluster_connection(const struct node *node)
{
	return node->link.state == LINK_UP ? node->link.generation : 0;
}

uint64_t cluster_wrote_over(const struct node *node)
{
	return node->wrote_over;
}

void cluster_forget_writes(struct node *node)
{
	node->wrote_over = 0;
}

void cluster_each_written(struct cluster *c, cluster_node_fn *fn, void *arg)
{
	for (size_t i = 0; i < c->nodes_count; i++) {
		if (c->nodes[i]->wrote_over > 0)
			fn(arg, c->nodes[i]);
	}
}

double cluster_load(const struct node *node)
{
	double queued = (double)(node->waiting_count + node->link.unanswered_count + 1);
	return queued * (node->reply_ns + 1) * (1 + node->failures);
}
