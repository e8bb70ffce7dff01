/* SPDX-License-Identifier: MIT */
/*
 * redis.h - what the calls of shcount.h do on a handle whose counters live in Redis: in a cluster, or in one
 * server that is not shcounterd.
 *
 * redis.c has the state and what all share, redis_counter.c single counters, redis_add.c many additions,
 * redis_once.c tokens and bounds, redis_hit.c hits in time and limits, redis_session.c streams, redis_walk.c
 * all counters. With one server, single counters need none of this: INCRBY is INCRBY. docs/design.md 7a says
 * how counters lie in Redis. Each call has the contract of the one in shcount.h that it is named after;
 * shc->redis is not null. Internal to libshcount, but for what shcount itself uses: redis_walk and below.
 */
#ifndef SHC_REDIS_H
#define SHC_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster.h"
#include "shard.h"
#include "shcount.h"
#include "slice.h"
#include "url.h"

struct redis;

/* Borrows the URL. Null: no memory. */
struct redis *redis_open(const struct url *url);
void redis_close(struct redis *r);

void redis_set_shards(struct shc *shc, unsigned shards);
void redis_set_read_replica(struct shc *shc, bool reads_replica);
enum shc_status redis_connect(struct shc *shc);
uint64_t redis_connections(const struct shc *shc);

/* SHC_OK, or SHC_USAGE with the sentence: no name, or one of ours. */
enum shc_status redis_check_name(struct shc *shc, struct slice name);

enum shc_status redis_incr(struct shc *shc, struct slice name, int64_t delta, int64_t *value);
enum shc_status redis_incr_within(struct shc *shc, struct slice name, int64_t delta,
				  const struct shc_bounds *bounds, int64_t *value);
enum shc_status redis_get(struct shc *shc, struct slice name, int64_t *value);
enum shc_status redis_mget(struct shc *shc, size_t count, const char *const *names, const size_t *name_lens,
			   int64_t *values, bool *is_there);
enum shc_status redis_set(struct shc *shc, struct slice name, int64_t value, int64_t ttl_ms); /* 0: none */
enum shc_status redis_del(struct shc *shc, struct slice name);

/* The keys of what a counter may have beside its value. SHC_OK, SHC_USAGE: no name, or SHC_MEMORY. */
enum shc_status redis_extras(struct shc *shc, struct slice name, struct shard_key keys[SHARD_EXTRAS]);

/* In one server: deletes what counters have beside their values, once those are deleted. SHC_OK or
 * SHC_IN_DOUBT: something is changed already. Whoever may not touch such keys has none. */
enum shc_status redis_forget(struct shc *shc, size_t count, const struct slice *names);

enum shc_status redis_command(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
			      const struct resp_reply **reply);
enum shc_status redis_sync(struct shc *shc);

enum shc_status redis_add(struct shc *shc, struct slice name, int64_t delta);
enum shc_status redis_flush(struct shc *shc, uint64_t *refused);

enum shc_status redis_once(struct shc *shc, struct slice token, struct slice name, int64_t delta,
			   bool is_durable, int64_t *value, bool *is_applied);

enum shc_status redis_hit(struct shc *shc, struct slice name, int64_t n, int64_t *value);
enum shc_status redis_hits(struct shc *shc, struct slice name, int64_t window_ms, struct shc_hits *out);
enum shc_status redis_allow(struct shc *shc, struct slice name, const struct shc_limit *limit, int64_t n,
			    struct shc_allowance *out);

enum shc_status redis_session_open(struct shc *shc, struct slice id, struct shc_session *out);
enum shc_status redis_session_add(struct shc *shc, struct slice name, int64_t delta);
enum shc_status redis_session_apply(struct shc *shc, struct slice cursor);
enum shc_status redis_session_flush(struct shc *shc);
void redis_session_close(struct shc *shc);
bool redis_has_session(const struct shc *shc);
void redis_session_stats(const struct shc *shc, struct shc_session_stats *out);

/* ---- for shcount ---- */

/* Finds out what the server is, if it must: SHC_OK, or why not. */
enum shc_status redis_identify(struct shc *shc);

/* Whether counters live in Redis, which is known then, or after a call that needs to know (shc_add, shc_once,
 * shc_session_open); and whether in a cluster, which the URL says. */
bool redis_is(const struct shc *shc);
bool redis_is_cluster(const struct shc *shc);

/* Tells all counters that match, in no order, a page of each node at a time. Whatever `fn` returns but 0 ends
 * it, and stands in *ended. `page` may be null. SHC_REFUSED: all but some that have no value were told; the
 * sentence names the first of those. */
typedef int redis_walk_fn(void *arg, struct slice name, int64_t value);
typedef int redis_page_fn(void *arg);
enum shc_status redis_walk(struct shc *shc, const char *glob, redis_walk_fn *fn, redis_page_fn *page,
			   void *arg, int *ended);

/* The parts of a counter: the name itself first, then those that were ever used. */
struct redis_part {
	struct shard_key key;
	unsigned slot;
	const char *node; /* "host:port"; "?": not known. Until the next call */
	int64_t value;
};
enum shc_status redis_parts(struct shc *shc, struct slice name, struct redis_part **out, size_t *count);

/* One command to each node (with `has_replicas`; else to the masters): tells each answer as it comes; `reply`
 * is null where there was none, and `error` says why. SHC_OK, also then; else nobody was asked. */
typedef void redis_node_fn(void *arg, const struct node *node, enum shc_status status,
			   const struct resp_reply *reply, const char *error);
enum shc_status redis_each(struct shc *shc, bool has_replicas, size_t argc, const struct slice *argv,
			   redis_node_fn *fn, void *arg);

/* Deletes counters, all their parts, and what the cluster remembers of them: for names that nobody adds to at
 * the same time. May be repeated after a failure. */
enum shc_status redis_erase(struct shc *shc, size_t count, const char *const *names);

/* ---- for a load generator, which talks to the nodes itself ---- */

struct cluster *redis_engine(const struct shc *shc);

/* The key that the next addition to a counter of `parts` parts goes to; 1: its name. */
void redis_next_key(struct shc *shc, struct slice name, unsigned parts, struct shard_key *out);

#endif
