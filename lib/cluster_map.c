/* SPDX-License-Identifier: MIT */
/*
 * cluster_map.c - asks for the map: one request at a time, with pauses that grow as long as it keeps being
 * wrong, and not the same node twice in a row if there is another.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "cluster_impl.h"

enum {
	PAUSE_MIN_MS = 25, /* between two questions */
	PAUSE_MAX_MS = 1000,
	CALM_PAUSES = 8, /* after so many the first one is short again */
	NEXT_NODE_MS = 5,
	NEXT_NODE_DOUBLINGS_MAX = 5,
	FRESH_MS = 1000, /* no longer is a map believed that lists no replica: one may have come back */
};

static int64_t jitter(int64_t ns)
{
	return ns / 2 + (int64_t)arc4random_uniform((uint32_t)(ns / 2) + 1);
}

static int64_t pause_of(struct map_wish *w, int64_t now_ns)
{
	const int64_t least = (int64_t)PAUSE_MIN_MS * NS_PER_MS, most = (int64_t)PAUSE_MAX_MS * NS_PER_MS;
	bool is_calm = w->pause_ns == 0 || now_ns - w->asked_ns > CALM_PAUSES * w->pause_ns;
	w->pause_ns = is_calm ? least : w->pause_ns * 2;
	if (w->pause_ns > most)
		w->pause_ns = most;
	return jitter(w->pause_ns);
}

/* As long as there is no map at all: all nodes are asked quickly, then again ever more seldom. */
static int64_t first_pause_of(struct cluster *c)
{
	size_t rounds = c->wish.questions++ / c->nodes_count;
	return cluster_pause_ns(NEXT_NODE_MS, rounds < NEXT_NODE_DOUBLINGS_MAX ? (unsigned)rounds
									       : NEXT_NODE_DOUBLINGS_MAX);
}

void map_want(struct cluster *c)
{
	c->wish.is_wanted = c->is_cluster;
}

bool map_is_fresh(const struct cluster *c)
{
	int64_t age_ns = conn_now_ns() - c->wish.asked_ns;
	return c->has_map && !c->wish.is_wanted && age_ns < (int64_t)FRESH_MS * NS_PER_MS;
}

/* ---- whom ---- */

/* Looking a name up may take all of the time there is. */
static bool is_address(const char *host)
{
	char room[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

/* What it takes to ask a node; the one that was asked last is the last resort. */
enum effort { CONNECTED, CONNECT, LOOK_UP, AGAIN, EFFORTS };

static enum effort effort_of(const struct cluster *c, const struct node *n)
{
	if (n == c->wish.asked)
		return AGAIN;
	if (n->link.state == LINK_UP)
		return CONNECTED;
	return n->link.state == LINK_DOWN && !is_address(n->host) ? LOOK_UP : CONNECT;
}

static bool can_be_asked(const struct cluster *c, const struct node *n)
{
	return n->retry_ns <= c->now_ns && (n->is_listed || n->is_seed);
}

/* The next in turn of those that take the least. */
static struct node *choose(struct cluster *c)
{
	for (enum effort effort = CONNECTED; effort < EFFORTS; effort++) {
		for (size_t i = 0; i < c->nodes_count; i++) {
			struct node *n = c->nodes[(c->wish.turn + i) % c->nodes_count];
			if (can_be_asked(c, n) && effort_of(c, n) == effort) {
				c->wish.turn += i + 1;
				c->wish.asked = n;
				return n;
			}
		}
	}
	return NULL;
}

/* ---- the answer ---- */

static void give_up(struct cluster *c, enum shc_status status)
{
	if (!c->has_map)
		c->fatal = status;
	c->wish.is_wanted = false;
}

/* What one Redis server, and a shcounterd, say to CLUSTER SLOTS. */
static bool is_alone(struct slice error)
{
	static const char *const texts[] = {"ERR This instance has cluster support disabled",
					    "ERR unknown command"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t len = strlen(texts[i]);
		if (error.len >= len && memcmp(error.data, texts[i], len) == 0)
			return true;
	}
	return false;
}

static void take_answer(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	struct cluster *c = arg;
	if (op->node != c->wish.asked)
		return; /* it kept silent for so long that another one was asked */
	c->wish.is_asked = false;
	if (status == SHC_DENIED || status == SHC_REFUSED) {
		if (status == SHC_REFUSED && is_alone(reply->str))
			cluster_say(c, "%s is no node of a cluster: for one server use redis://%s",
				    op->node->name, op->node->name);
		give_up(c, status);
		return;
	}
	if (status)
		return; /* the next one is asked soon */
	if (!nodes_take_map(c, reply, op->node)) {
		cluster_say(c, "%s: the answer to CLUSTER SLOTS makes no sense", op->node->name);
		return;
	}
	c->wish.is_wanted = false;
	c->wish.questions = 0;
	c->has_map = true;
	cluster_reroute(c);
}

int64_t map_step(struct cluster *c)
{
	static const struct slice argv[] = {{"CLUSTER", 7}, {"SLOTS", 5}};
	struct map_wish *w = &c->wish;
	if (!w->is_wanted)
		return INT64_MAX;
	/* Where it was put, an addition may be in doubt, which is waited for longer. */
	int64_t at_ns = w->is_asked ? w->asked_ns + cluster_patience_ns(c) : w->next_ns;
	if (at_ns > c->now_ns)
		return at_ns;
	struct node *n = choose(c);
	if (!n) /* all are left alone for now */
		return c->now_ns + (int64_t)NEXT_NODE_MS * NS_PER_MS;
	if (cluster_put_own(c, n, 2, argv, take_answer))
		return c->now_ns + (int64_t)NEXT_NODE_MS * NS_PER_MS;
	w->is_asked = true;
	w->next_ns = c->now_ns + (c->has_map ? pause_of(w, c->now_ns) : first_pause_of(c));
	w->asked_ns = c->now_ns;
	return w->asked_ns + cluster_patience_ns(c);
}
