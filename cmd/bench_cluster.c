/* SPDX-License-Identifier: MIT */
/*
 * bench_cluster.c - a thread of a load generator on a Redis Cluster: as many requests under way as it may
 * have, each where its key lies; the end of one is followed by the next.
 */
#include <string.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "../lib/redis.h"
#include "bench.h"

enum { EXTEND_NS = 100000000 /* how often the deadline is moved on while answers come */ };

struct loop {
	struct bench_worker *worker;
	struct shc *shc;
	struct cluster *cluster;
	int64_t extended_ns;
	bool is_ended; /* no more requests from here */
};

static op_done_fn take_end;

static void put_request(struct loop *l, int64_t now_ns)
{
	static const char *const verbs[] = {
		[BENCH_INCR] = "INCR", [BENCH_ADD] = "INCRBY", [BENCH_GET] = "GET"};
	const struct bench_plan *plan = l->worker->run->plan;
	char name[BENCH_NAME_SIZE];
	struct shard_key key;
	bench_name(plan, bench_keys_next(&l->worker->keys), name);
	redis_next_key(l->shc, slice_str(name), plan->parts, &key);
	const struct slice argv[] = {slice_str(verbs[plan->kind]), shard_slice(&key), slice_str("1")};
	const struct cluster_way way = {
		.kind = bench_is_write(plan) ? OP_WRITE : OP_READ,
		.slot = slot_of(argv[1]),
		.done = take_end,
		.arg = l,
		.tag = (uint64_t)now_ns, /* redirections and lost connections are part of what it takes */
	};
	if (cluster_put(l->cluster, &way, plan->kind == BENCH_ADD ? 3 : 2, argv) == SHC_OK)
		return;
	bench_lost(l->worker, 1, false, cluster_error(l->cluster));
	bench_stop(l->worker);
}

static void put_next(struct loop *l, int64_t now_ns)
{
	l->is_ended = l->is_ended || !bench_take(l->worker, now_ns, 1);
	if (!l->is_ended)
		put_request(l, now_ns);
}

/* The value in an answer. False: there is none, as there must be. */
static bool read_value(const struct bench_plan *plan, const struct resp_reply *reply,
		       struct reply_values *values)
{
	int64_t value = 0;
	bool is_absent = !bench_is_write(plan) && reply->type == RESP_NULL;
	if (bench_is_write(plan) && reply->type == RESP_INT)
		value = reply->i64;
	else if (!is_absent &&
		 (bench_is_write(plan) || reply->type != RESP_BULK || !num_parse_i64(reply->str, &value)))
		return false;
	*values = (struct reply_values){(uint64_t)value, value, value, is_absent};
	return true;
}

static void take_answer(struct loop *l, const struct op *op, const struct resp_reply *reply, int64_t now_ns)
{
	struct reply_values values;
	if (read_value(l->worker->run->plan, reply, &values)) {
		bench_answered(l->worker, 1, &values, (int64_t)op->tag, now_ns);
		return;
	}
	bench_wrong(l->worker, "the answer is of a kind that this command does not have");
	bench_stop(l->worker);
}

/* What was lost and cannot have been executed has been tried until the deadline: nobody is there. */
static void take_end(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct loop *l = arg;
	int64_t now_ns = conn_now_ns();
	if (status == SHC_OK) {
		take_answer(l, op, reply, now_ns);
	} else if (reply) {
		bench_refused(l->worker, status == SHC_DENIED, reply->str);
	} else {
		bench_lost(l->worker, 1, status == SHC_IN_DOUBT, cluster_error(l->cluster));
		if (status != SHC_IN_DOUBT)
			bench_stop(l->worker);
	}
	if (reply && now_ns - l->extended_ns > EXTEND_NS) {
		cluster_extend(l->cluster);
		l->extended_ns = now_ns;
	}
	put_next(l, now_ns);
}

void bench_cluster_loop(struct bench_worker *w)
{
	struct loop l = {.worker = w, .shc = w->links[0].shc, .extended_ns = conn_now_ns()};
	l.cluster = redis_engine(l.shc);
	cluster_begin(l.cluster, (int)(w->run->plan->timeout_ns / 1000000), false);
	bench_window_enter(&w->run->window);
	for (unsigned i = 0; i < w->window; i++)
		put_next(&l, conn_now_ns());
	cluster_run(l.cluster, 0);
	bench_window_leave(&w->run->window);
}
