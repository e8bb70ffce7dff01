/* SPDX-License-Identifier: MIT */
/*
 * cmd_bench.c - options of bench, and its order: connect, make the counters, run, look at their sum, delete
 * them.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"
#include "../lib/redis.h"
#include "bench.h"
#include "signals.h"
#include "target.h"

enum {
	OPTION_DO,
	OPTION_CONNECTIONS,
	OPTION_PIPELINE,
	OPTION_KEYS,
	OPTION_TIME,
	OPTION_REQUESTS,
	OPTION_PREFIX,
	OPTION_KEEP,
	OPTION_THREADS,
};

static const struct option_spec options[] = {
	[OPTION_DO] =
		{0, "do", OPTION_VALUE, "incr|add|get",
		 "what a request does (default incr): add 1 and get the new value, add 1 as incr -q does, "
		 "get"},
	[OPTION_CONNECTIONS] = {0, "connections", OPTION_VALUE, "N", "to the server (default 50)"},
	[OPTION_PIPELINE] = {0, "pipeline", OPTION_VALUE, "N",
			     "requests under way on each connection (default 1)"},
	[OPTION_KEYS] = {0, "keys", OPTION_VALUE, "N",
			 "counters that requests choose from (default 100000); 1: a single hot one"},
	[OPTION_TIME] = {0, "time", OPTION_VALUE, "DUR", "how long (default 5s, without --requests)"},
	[OPTION_REQUESTS] = {0, "requests", OPTION_VALUE, "N", "how many requests at most"},
	[OPTION_PREFIX] = {0, "prefix", OPTION_VALUE, "P", "how the counters' names begin (default bench:)"},
	[OPTION_KEEP] = {0, "keep", OPTION_FLAG, NULL,
			 "take counters that are there already, and leave them all at the end"},
	[OPTION_THREADS] = {0, "threads", OPTION_VALUE, "N",
			    "to share the connections (default half of the CPUs)"},
	{0},
};

static const char *const kinds[] = {[BENCH_INCR] = "incr", [BENCH_ADD] = "add", [BENCH_GET] = "get"};

enum {
	CONNECTIONS_DEFAULT = 50,
	KEYS_DEFAULT = 100000,
	SECONDS_DEFAULT = 5,
	NS_PER_MS = 1000000,
	UNDER_WAY_MAX = 1000000, /* requests, on all connections */
};

/* ---- options ---- */

static bool read_kind(const struct invocation *inv, struct bench_plan *plan)
{
	const char *word = inv->values[OPTION_DO] ? inv->values[OPTION_DO] : kinds[BENCH_INCR];
	for (int i = 0; i < (int)(sizeof(kinds) / sizeof(kinds[0])); i++) {
		if (strcmp(word, kinds[i]) != 0)
			continue;
		plan->kind = (enum bench_kind)i;
		plan->kind_word = kinds[i];
		return true;
	}
	command_usage(inv, "--do \"%.32s\": incr, add or get is expected", word);
	return false;
}

/* `value` has the default. */
static bool read_count(const struct invocation *inv, int option, int64_t most, int64_t *value)
{
	const char *text = inv->values[option];
	if (!text || (num_parse_i64_loose(slice_str(text), value) && *value >= 1 && *value <= most))
		return true;
	command_usage(inv, "--%s \"%.32s\": a number from 1 to %lld is expected", options[option].word, text,
		      (long long)most);
	return false;
}

static bool read_sizes(const struct invocation *inv, struct bench_plan *plan)
{
	int64_t connections = CONNECTIONS_DEFAULT, pipeline = 1, keys = KEYS_DEFAULT, requests = 0;
	int64_t threads = bench_threads_default();
	if (!read_count(inv, OPTION_CONNECTIONS, BENCH_CONNECTIONS_MAX, &connections) ||
	    !read_count(inv, OPTION_PIPELINE, BENCH_PIPELINE_MAX, &pipeline) ||
	    !read_count(inv, OPTION_KEYS, BENCH_KEYS_MAX, &keys) ||
	    !read_count(inv, OPTION_REQUESTS, INT64_MAX, &requests) ||
	    !read_count(inv, OPTION_THREADS, BENCH_THREADS_MAX, &threads))
		return false;
	plan->threads = (unsigned)(threads < connections ? threads : connections);
	plan->connections = (unsigned)connections;
	plan->pipeline = (unsigned)pipeline;
	plan->keys = (unsigned)keys;
	plan->requests = (uint64_t)requests;
	if (connections * pipeline <= UNDER_WAY_MAX)
		return true;
	command_usage(inv, "--connections times --pipeline: at most %d requests can be under way",
		      UNDER_WAY_MAX);
	return false;
}

static bool read_time(const struct invocation *inv, struct bench_plan *plan)
{
	const char *text = inv->values[OPTION_TIME];
	int64_t ms = plan->requests ? 0 : SECONDS_DEFAULT * 1000;
	if (text && (!num_parse_duration_ms(slice_str(text), &ms) || ms < 1 || ms > INT64_MAX / NS_PER_MS)) {
		command_usage(inv, "--time \"%.32s\": a duration such as 500ms, 5s or 1m is expected", text);
		return false;
	}
	plan->time_ns = ms * NS_PER_MS;
	return true;
}

static bool read_prefix(const struct invocation *inv, struct bench_plan *plan)
{
	char name[BENCH_NAME_SIZE];
	plan->prefix = inv->values[OPTION_PREFIX] ? inv->values[OPTION_PREFIX] : "bench:";
	if (strlen(plan->prefix) > NAME_LEN_MAX - BENCH_DIGITS) {
		command_usage(inv, "--prefix: %d digits follow, and a name has at most %d bytes",
			      BENCH_DIGITS, NAME_LEN_MAX);
		return false;
	}
	bench_name(plan, 0, name);
	return command_is_name(inv, name);
}

static bool read_plan(const struct invocation *inv, struct bench_plan *plan)
{
	*plan = (struct bench_plan){
		.parts = inv->shards ? inv->shards : 1,
		.timeout_ns = (int64_t)inv->timeout_ms * NS_PER_MS,
		.is_kept = inv->values[OPTION_KEEP] != NULL,
	};
	return read_kind(inv, plan) && read_sizes(inv, plan) && read_time(inv, plan) &&
	       read_prefix(inv, plan);
}

/* ---- connections ---- */

struct handles {
	struct shc **list; /* owned */
	unsigned count;
};

static void close_handles(struct handles *h)
{
	while (h->count > 0)
		shc_close(h->list[--h->count]);
	free(h->list);
}

/* One is the connections to all nodes of a cluster. */
static int open_handles(const struct invocation *inv, const struct bench_plan *plan, struct handles *h)
{
	unsigned wanted = plan->is_cluster ? plan->threads : plan->connections;
	int rc = EX_OK;
	*h = (struct handles){.list = calloc(wanted, sizeof(struct shc *))};
	if (!h->list)
		return command_fail(EX_IOERR, "out of memory");
	while (h->count < wanted && rc == EX_OK) {
		rc = target_connect(inv, &h->list[h->count]);
		h->count += rc == EX_OK;
	}
	return rc;
}

/* ---- the order of things ---- */

static void announce(const struct invocation *inv, const struct bench_plan *plan)
{
	char told[2 * BENCH_NAME_SIZE + 64];
	bench_tell_counters(plan, told, sizeof(told));
	if (!inv->is_quiet)
		command_fail(0, "%s on %s; %s at the end", plan->kind_word, told,
			     plan->is_kept     ? "left there"
			     : plan->keys == 1 ? "it is deleted"
					       : "they are deleted");
}

static int measure(const struct invocation *inv, const struct bench_plan *plan, struct shc *shc,
		   const struct handles *h, uint64_t sum_before)
{
	struct bench_tally *tally = calloc(1, sizeof(*tally)); /* large for a stack */
	struct bench_result r = {.tally = tally};
	uint64_t sum;
	if (!tally)
		return command_fail(EX_IOERR, "out of memory");
	int rc = EX_IOERR;
	if (bench_run(plan, h->list, h->count, inv->is_quiet, tally, &r.seconds)) {
		int summed = bench_sum_counters(plan, shc, &sum);
		r.has_grown = summed == EX_OK;
		r.grown = sum - sum_before;
		int shown = bench_show(inv, plan, &r);
		int judged = bench_judge(plan, &r);
		rc = judged ? judged : shown ? shown : summed;
	}
	free(tally);
	return rc;
}

/* From here on there are counters to delete, whatever happens. */
static int run_on(const struct invocation *inv, const struct bench_plan *plan, struct shc *shc)
{
	struct handles h;
	uint64_t sum;
	signals_note_stops();
	int rc = bench_make_counters(plan, shc, &sum);
	if (rc)
		return rc;
	announce(inv, plan);
	rc = open_handles(inv, plan, &h);
	if (rc == EX_OK)
		rc = measure(inv, plan, shc, &h, sum);
	close_handles(&h);
	int deleted = plan->is_kept ? EX_OK : bench_delete_counters(plan, shc);
	if (signals_stop())
		signals_end();
	return rc ? rc : deleted;
}

static int run(struct invocation *inv)
{
	struct bench_plan plan;
	struct shc *shc;
	if (!read_plan(inv, &plan))
		return EX_USAGE;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	/* Sums are exact on masters only; what is measured may read elsewhere. */
	if (inv->reads_replica)
		(void)shc_set_read_replica(shc, false);
	enum shc_status status = redis_identify(shc);
	plan.is_redis = redis_is(shc);
	plan.is_cluster = redis_is_cluster(shc);
	rc = status ? command_status(shc, status) : run_on(inv, &plan, shc);
	shc_close(shc);
	return rc;
}

const struct command cmd_bench = {
	.name = "bench",
	.group = GROUP_SERVER,
	.operands = "",
	.summary = "put load on the server, print throughput and latencies",
	.help = "  shcount bench                    incr, 50 connections, 100000 counters, 5 s\n"
		"  shcount bench --keys 1 --do add  a single hot counter, on the sharded path\n"
		"  shcount bench --pipeline 16 --requests 1000000\n"
		"  shcount bench -c node1:7000 --keys 1 --shards 16\n"
		"\n"
		"Makes counters of its own, bench:00000000 and on, runs, compares their sum with what was "
		"acknowledged, and deletes them. It refuses to start when one of them is there already; with "
		"--keep it takes them as they are, and leaves them.\n"
		"\n"
		"Each reply is followed by the next request over the same connection, so a server that is slow "
		"is asked less: latencies are those of the requests that were made. One is from the request to "
		"its reply, and includes the time behind others of the same pipeline. On a Redis Cluster, "
		"--connections times --pipeline requests are under way in all, over few connections.\n"
		"\n"
		"^C ends it early: it prints what there is, and deletes the counters. Exit status 1 when requests were "
		"refused or the sum is wrong, 69 or 75 when answers did not come.\n",
	.options = options,
	.operands_max = 0,
	.run = run,
};
