/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - requests to the nodes of a Redis Cluster, or to one Redis server: many at once, each to the
 * node that serves its slot, through redirections, lost connections and failovers, under one deadline.
 *
 * Requests are put, then run until at most so many are left; each tells its end once, in whatever order
 * nodes answer. There is no thread: all work is done inside cluster_run. Internal to libshcount; one thread
 * at a time. docs/design.md 7a has the reasons.
 */
#ifndef SHC_CLUSTER_H
#define SHC_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link.h"
#include "shcount.h"
#include "slice.h"
#include "url.h"

struct cluster;

/* Borrows `url`: where to ask first, and credentials. Null: no memory. */
struct cluster *cluster_open(const struct url *url);

/* Forgets what is still under way, and tells nobody. Null is allowed. */
void cluster_close(struct cluster *c);

/* READ requests go to replicas, where there are any that answer. */
void cluster_read_replicas(struct cluster *c, bool reads_replicas);

/* Begins a public call. `is_patient`: also nodes that were never there are asked again until the deadline;
 * else it ends when none of the given ones can be connected to. */
void cluster_begin(struct cluster *c, int timeout_ms, bool is_patient);

/* Once *is_stopping, which any thread may set, calls have a quarter of a second left together, whatever they
 * were given. Borrowed; null: there is no such end. */
void cluster_stop_with(struct cluster *c, const _Atomic bool *is_stopping);

/* The deadline begins anew, within a call that makes progress. */
void cluster_extend(struct cluster *c);

/* Where to, and as what. */
struct cluster_way {
	enum op_kind kind;
	unsigned slot;	   /* or OP_ANY_SLOT */
	struct node *node; /* OP_ANY_SLOT: this one */
	uint64_t over; /* OP_ANY_SLOT: only over this connection (cluster_connection) of the node; 0: any */
	bool is_once;  /* OP_ANY_SLOT: when it cannot be sent, or its connection is lost, that is its end */
	bool is_hasty; /* who is asked to come again later does so twice, then that is its end: not executed
			*/
	op_done_fn *done;
	void *arg;
	uint64_t tag;
};

/* Puts a request. SHC_OK or SHC_MEMORY. Nothing is sent yet. */
enum shc_status cluster_put(struct cluster *c, const struct cluster_way *way, size_t argc,
			    const struct slice *argv);

/* The same for a script: `argv` begins with the number of its keys. */
enum shc_status cluster_put_script(struct cluster *c, const struct cluster_way *way,
				   const struct script *script, size_t argc, const struct slice *argv);

/* Runs until at most `left_max` requests have not told their end. After the deadline all have. */
void cluster_run(struct cluster *c, size_t left_max);

/* Requests that have not told their end. */
size_t cluster_left(const struct cluster *c);

/* Ends all requests of which no byte has left, as not executed, and runs until the others are through. */
void cluster_drain(struct cluster *c);

/* Asks for the map when there is none, and returns when there is. SHC_OK, or why not. */
enum shc_status cluster_connect(struct cluster *c);

/* The map may be wrong: it is asked for again, soon. */
void cluster_refresh(struct cluster *c);

/* Asks for the map now, and returns when it is there. SHC_OK, or why not. */
enum shc_status cluster_renew_map(struct cluster *c);

/* Whether the map is about as old as what it is asked about may be, and nothing speaks against it. */
bool cluster_is_map_fresh(const struct cluster *c);

/* Whether the deadline has come. */
bool cluster_is_over(const struct cluster *c);

/* Why a request could not be served: the last trouble there was, as a sentence; for op_done_fn and after. */
const char *cluster_error(const struct cluster *c);

/* The reply that an op_done_fn is told, as it came: for whoever wants to keep it. */
struct slice cluster_raw(const struct cluster *c);

/* How often a connection was lost that had been used: what that node had answered before, it may have
 * forgotten.
 */
uint64_t cluster_losses(const struct cluster *c);

/* How often a connection has ended, also while nothing was under way, or at a deadline: behind any of them
 * there may be a server that has restarted. */
uint64_t cluster_partings(const struct cluster *c);

/* Whether there ever was a connection to a node. */
bool cluster_was_connected(const struct cluster *c);

/* ---- nodes ---- valid until the next cluster_begin */

/* The master that serves a slot; null: not known. */
struct node *cluster_master(struct cluster *c, unsigned slot);

/* Calls for each master (with `has_replicas` for each node) that serves slots. */
typedef void cluster_node_fn(void *arg, struct node *node);
void cluster_each(struct cluster *c, bool has_replicas, cluster_node_fn *fn, void *arg);

/* "host:port"; "[v6]:port". The node's. */
const char *cluster_name(const struct node *node);
unsigned cluster_slots(const struct node *node);		       /* that it is the master of */
unsigned cluster_replicas(struct cluster *c, const struct node *node); /* that it has */
bool cluster_is_replica(const struct node *node);

/* The connection to it that there is; 0: none. */
uint64_t cluster_connection(const struct node *node);

/* The connection over which a node answered the first change that was not forgotten since; 0: none. */
uint64_t cluster_wrote_over(const struct node *node);
void cluster_forget_writes(struct node *node);

/* Calls for each node that has one. */
void cluster_each_written(struct cluster *c, cluster_node_fn *fn, void *arg);

/* How long a request would take there, in relation to other nodes: unanswered ones times how long answers
 * take. */
double cluster_load(const struct node *node);

/* Whether it is a cluster, and not one server. */
bool cluster_is_cluster(const struct cluster *c);

/* ---- replicas (cluster_wait.c) ---- */

/* One replica of each node, and of those that have none none. */
enum { CLUSTER_WAIT_WHERE_ANY = 0 };

/* Runs all requests, and returns when so many replicas of each node that was written to (cluster_wrote_over)
 * have what was written; those are forgotten. With more of them than a node has that is never so.
 * SHC_IN_DOUBT: a connection was lost meanwhile, so nobody can tell: write again what may be repeated;
 * *is_lost. Or not until the deadline: cluster_error has a node, and how many have it. A node answers nothing
 * else over its connection while it waits, a sixteenth of the time limit or 200 ms at once. */
enum shc_status cluster_wait(struct cluster *c, unsigned replicas, bool *is_lost);

#endif
