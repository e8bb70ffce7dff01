/* SPDX-License-Identifier: MIT */
/*
 * cluster_impl.h - what cluster.c (requests), cluster_nodes.c (nodes and the map) and cluster_map.c (when the
 * map is asked for) share. Internal to lib/cluster.
 */
#ifndef SHC_CLUSTER_IMPL_H
#define SHC_CLUSTER_IMPL_H

#include "cluster.h"
#include "tls.h"

struct pollfd;

enum { NS_PER_MS = 1000000 };

struct node {
	char *name; /* owned: what cluster_name gives */
	char *host; /* owned */
	uint16_t port;
	bool is_seed;	     /* given by the user: stays, whatever the map says */
	bool is_listed;	     /* in the map */
	struct node *master; /* it is a replica of; null: a master, or unknown */
	unsigned slots;
	struct link link;
	struct op_list waiting; /* for the link */
	size_t waiting_count;
	unsigned failures;   /* to connect or answer, in a row */
	int64_t retry_ns;    /* is left alone until then */
	double reply_ns;     /* smoothed: how long an answer takes */
	uint64_t wrote_over; /* the connection over which the first change was answered that no WAIT has
				covered; 0: none */
};

struct map_wish {
	bool is_wanted;
	bool is_asked; /* the answer is to come */
	int64_t next_ns;
	int64_t pause_ns;
	int64_t asked_ns;
	size_t turn;		  /* whom to ask next */
	size_t questions;	  /* since there was an answer, as long as there is no map */
	const struct node *asked; /* the last one; only to be compared */
};

struct cluster {
	const struct url *url;
	struct tls_context *tls; /* owned; made by the first connection of a URL that wants TLS */
	bool is_cluster;
	bool reads_replicas;
	bool is_patient;
	int timeout_ms;
	int64_t now_ns, deadline_ns;
	const _Atomic bool *is_stopping; /* null: nobody stops it */
	int64_t stop_ns;		 /* when calls end, since that was seen; 0: it was not */
	struct node **nodes;		 /* owned */
	size_t nodes_count, nodes_cap;
	struct node *masters[SLOT_COUNT]; /* null: unknown */
	bool has_map;
	struct map_wish wish;
	struct op_list loose; /* for no node in particular yet, or pausing */
	size_t left;
	struct pollfd *polls;  /* owned; nodes_cap of them */
	uint64_t connections;  /* made */
	uint64_t losses;       /* of links that were up */
	uint64_t partings;     /* the same, and of links that were up with nothing under way */
	struct buf words;      /* of the request that is being made */
	struct slice raw;      /* the reply that is being told, as it came */
	enum shc_status fatal; /* whoever asks for a slot is told: it is no cluster, or wants no such user */
	char error[320];
};

/* Ends a connection whose requests have been told of. */
static inline void cluster_part(struct cluster *c, struct link *l)
{
	c->partings += l->state == LINK_UP;
	link_close(l);
}

/* ---- cluster_nodes.c ---- */

/* The node at an address, new if need be; null: no memory. */
struct node *nodes_at(struct cluster *c, struct slice host, uint16_t port);

/* Takes the map from a reply to CLUSTER SLOTS that `asked` gave. False: it makes no sense. */
bool nodes_take_map(struct cluster *c, const struct resp_reply *reply, struct node *asked);

/* One slot lives there now. */
void nodes_move_slot(struct cluster *c, unsigned slot, struct node *to);

/* Forgets nodes that nobody names and nobody waits for. */
void nodes_sweep(struct cluster *c);

void nodes_fini(struct cluster *c);

/* A master's replica for a read; null: none that answers. */
struct node *nodes_replica(struct cluster *c, const struct node *master);

/* ---- cluster_map.c ---- */

/* The map may be wrong. */
void map_want(struct cluster *c);

/* It was asked for a moment ago, and nothing speaks against it. */
bool map_is_fresh(const struct cluster *c);

/* Asks for it, when it is wanted and the time has come. Returns when to look again. */
int64_t map_step(struct cluster *c);

/* ---- cluster_ops.c ---- */

/* Its end: tells it, and frees it. */
void op_settle(struct cluster *c, struct op *op, enum shc_status status, const struct resp_reply *reply);

/* It will not be sent (again): SHC_IN_DOUBT when an earlier time may have done it, else `status`. */
void op_settle_unsent(struct cluster *c, struct op *op, enum shc_status status);

/* To the loose ones, not to be looked at before that time. */
void op_loosen(struct cluster *c, struct op *op, int64_t not_before_ns);

/* Counts an attempt. Returns when the next one may be made. */
int64_t op_next_attempt_ns(const struct cluster *c, struct op *op);

/* The same again, in a while. */
void op_again(struct cluster *c, struct op *op);

/* To those that wait for the node's link. */
void op_wait_for(struct node *n, struct op *op);

/* Takes all of those. */
void op_take_waiting(struct node *n, struct op_list *out);

/* Whether the one connection it may be sent over is gone. */
bool op_is_cut_off(const struct op *op);

/* Loose requests that are due go to their nodes. Returns when to look again. */
int64_t ops_dispatch(struct cluster *c);

/* All that waits looks again where it belongs: the map has changed. */
void cluster_reroute(struct cluster *c);

/* ---- cluster_links.c ---- */

/* Closes the link and leaves the node alone for a while; requests that must not be sent again have their end,
 * those that wait for this node alone with `status`. `is_unread`: the node has surely not looked at what was
 * sent. */
void node_drop(struct cluster *c, struct node *n, enum shc_status status, bool is_unread);

/* The same for a connection that has failed: `rc` is -errno, `why` better words for it, or null. */
void node_fail(struct cluster *c, struct node *n, int rc, const char *why);

/* Begins to connect; and goes on, when poll(2) has said so. */
void node_open(struct cluster *c, struct node *n);
void node_go_on(struct cluster *c, struct node *n);

/* Before there is a connection. False: TLS is wanted and cannot be had; c->fatal says so. */
bool cluster_has_tls(struct cluster *c);

/* ---- cluster_traffic.c ---- */

/* Takes all replies that are there. */
void node_receive(struct cluster *c, struct node *n);

/* Connects if need be, hands over what waits, and sends. */
void node_push(struct cluster *c, struct node *n);

/* ---- cluster.c ---- */

/* Sets the error's sentence. */
void cluster_say(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A pause of about `base_ms` doubled `times` times, at most a second: between half and all of it, so that
 * clients do not come in step. */
int64_t cluster_pause_ns(unsigned base_ms, unsigned times);

/* For how long a link on which an answer is to come may be silent. */
int64_t cluster_patience_ns(const struct cluster *c);

/* Puts a request of the cluster's own to a node: cluster_left does not count it. */
enum shc_status cluster_put_own(struct cluster *c, struct node *node, size_t argc, const struct slice *argv,
				op_done_fn *done);

#endif
