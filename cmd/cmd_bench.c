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
#include "bench_batch.h"
#include "bench_cpu.h"
#include "bench_memcached.h"
#include "signals.h"
#include "target.h"

enum {
	OPTION_DO,
	OPTION_CONNECTIONS,
	OPTION_PIPELINE,
	OPTION_KEYS,
	OPTION_SPREAD,
	OPTION_NAMES,
	OPTION_RATE,
	OPTION_TIME,
	OPTION_REQUESTS,
	OPTION_PREFIX,
	OPTION_DIGITS,
	OPTION_KEEP,
	OPTION_NO_SUM,
	OPTION_THREADS,
	OPTION_MEMCACHED,
};

static const struct option_spec options[] = {
	[OPTION_DO] =
		{0, "do", OPTION_VALUE, "incr|add|get",
		 "what a request does (default incr): add 1 and get the new value, add 1 as incr -q does, "
		 "get"},
	[OPTION_CONNECTIONS] = {0, "connections", OPTION_VALUE, "N", "to the server (default 50)"},
	[OPTION_PIPELINE] = {0, "pipeline", OPTION_VALUE, "N",
			     "requests sent at once on each connection (default 1); the next when all are "
			     "answered"},
	[OPTION_KEYS] = {0, "keys", OPTION_VALUE, "N",
			 "counters that requests choose from (default 100000); 1: a single hot one"},
	[OPTION_SPREAD] =
		{0, "spread", OPTION_VALUE, "uniform|zipf|sequence",
		 "how they choose (default uniform): any alike, the k-th with weight k^-0.99, one after "
		 "the other"},
	[OPTION_NAMES] =
		{0, "names", OPTION_VALUE, "N",
		 "with --do add: counters that one request adds to (default 1); each counts as an operation"},
	[OPTION_RATE] =
		{0, "rate", OPTION_VALUE, "N",
		 "requests a second, in all, on a schedule; latencies count from when a request was due "
		 "(without: as fast as answers come)"},
	[OPTION_TIME] = {0, "time", OPTION_VALUE, "DUR", "how long (default 5s, without --requests)"},
	[OPTION_REQUESTS] = {0, "requests", OPTION_VALUE, "N", "how many requests at most"},
	[OPTION_PREFIX] = {0, "prefix", OPTION_VALUE, "P", "how the counters' names begin (default bench:)"},
	[OPTION_DIGITS] = {0, "digits", OPTION_VALUE, "N", "digits behind it (1 to 8, default 8)"},
	[OPTION_KEEP] = {0, "keep", OPTION_FLAG, NULL,
			 "take counters that are there already, and leave them all at the end"},
	[OPTION_NO_SUM] =
		{0, "no-sum", OPTION_FLAG, NULL,
		 "with --keep: neither make the counters nor compare their sum and values, which takes its time "
		 "with millions"},
	[OPTION_THREADS] = {0, "threads", OPTION_VALUE, "N",
			    "to share the connections (default half of the CPUs)"},
	[OPTION_MEMCACHED] =
		{0, "memcached", OPTION_VALUE, "SOCKET",
		 "the server is a memcached, on this socket or at HOST:PORT; instead of -s, -u, -c"},
	{0},
};

static const char *const kinds[] = {[BENCH_INCR] = "incr", [BENCH_ADD] = "add", [BENCH_GET] = "get", NULL};
static const char *const spreads[] = {
	[SPREAD_UNIFORM] = "uniform", [SPREAD_ZIPF] = "zipf", [SPREAD_SEQUENCE] = "sequence", NULL};

enum {
	CONNECTIONS_DEFAULT = 50,
	KEYS_DEFAULT = 100000,
	SECONDS_DEFAULT = 5,
	NS_PER_MS = 1000000,
	UNDER_WAY_MAX = 1000000, /* requests, on all connections to a cluster */
	MEMCACHED_NAME_MAX = 250,
};

/* ---- options ---- */

/* The word of an option, one of a list; the first is the default. */
static bool read_word(const struct invocation *inv, int option, const char *const *words, unsigned *index)
{
	const char *word = inv->values[option];
	for (*index = 0; word && words[*index]; ++*index)
		if (strcmp(word, words[*index]) == 0)
			return true;
	if (!word)
		return true;
	command_usage(inv, "--%s \"%.32s\": %s is expected", options[option].word, word,
		      options[option].arg_name);
	return false;
}

static bool read_words(const struct invocation *inv, struct bench_plan *plan)
{
	unsigned kind, spread;
	if (!read_word(inv, OPTION_DO, kinds, &kind) || !read_word(inv, OPTION_SPREAD, spreads, &spread))
		return false;
	plan->kind = (enum bench_kind)kind;
	plan->kind_word = kinds[kind];
	plan->spread = (enum bench_spread)spread;
	plan->spread_word = spreads[spread];
	return true;
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

static int64_t numbers_of(unsigned digits)
{
	int64_t count = 1;
	while (digits-- > 0)
		count *= 10;
	return count;
}

/* As many as their digits can tell apart. */
static bool read_keys(const struct invocation *inv, struct bench_plan *plan)
{
	int64_t digits = BENCH_DIGITS_MAX, keys;
	if (!read_count(inv, OPTION_DIGITS, BENCH_DIGITS_MAX, &digits))
		return false;
	int64_t most = numbers_of((unsigned)digits);
	most = most < BENCH_KEYS_MAX ? most : BENCH_KEYS_MAX;
	keys = most < KEYS_DEFAULT ? most : KEYS_DEFAULT;
	if (!read_count(inv, OPTION_KEYS, most, &keys))
		return false;
	plan->digits = (unsigned)digits;
	plan->keys = (unsigned)keys;
	return true;
}

static bool read_sizes(const struct invocation *inv, struct bench_plan *plan)
{
	int64_t connections = CONNECTIONS_DEFAULT, pipeline = 1, names = 1, rate = 0, requests = 0;
	int64_t threads = bench_threads_default();
	if (!read_count(inv, OPTION_CONNECTIONS, BENCH_CONNECTIONS_MAX, &connections) ||
	    !read_count(inv, OPTION_PIPELINE, BENCH_PIPELINE_MAX, &pipeline) ||
	    !read_count(inv, OPTION_NAMES, BENCH_NAMES_MAX, &names) ||
	    !read_count(inv, OPTION_RATE, BENCH_RATE_MAX, &rate) ||
	    !read_count(inv, OPTION_REQUESTS, INT64_MAX, &requests) ||
	    !read_count(inv, OPTION_THREADS, BENCH_THREADS_MAX, &threads))
		return false;
	plan->threads = (unsigned)(threads < connections ? threads : connections);
	plan->connections = (unsigned)connections;
	plan->pipeline = (unsigned)pipeline;
	plan->names = (unsigned)names;
	plan->rate = (unsigned)rate;
	plan->requests = (uint64_t)requests;
	return true;
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
	size_t most = plan->memcached ? MEMCACHED_NAME_MAX : NAME_LEN_MAX;
	if (strlen(plan->prefix) > most - plan->digits) {
		command_usage(inv, "--prefix: %u digits follow, and a name has at most %zu bytes%s",
			      plan->digits, most, plan->memcached ? " in memcached" : "");
		return false;
	}
	if (plan->memcached && strchr(plan->prefix, ' ')) {
		command_usage(inv, "--prefix: a name has no blank in memcached");
		return false;
	}
	bench_name(plan, 0, name);
	return command_is_name(inv, name);
}

/* ---- what does not go together ---- a complaint, and false */

static bool fits_memcached(const struct invocation *inv, const struct bench_plan *plan)
{
	if (!plan->memcached)
		return true;
	if (inv->socket || inv->url || inv->cluster || inv->shards || inv->reads_replica)
		command_usage(inv,
			      "--memcached names the server; -s, -u, -c, --shards and --read are for others");
	else if (!memcached_is_place(plan->memcached))
		command_usage(
			inv,
			"--memcached \"%.64s\": the path of a socket, with a slash, or HOST:PORT is expected",
			plan->memcached);
	else
		return true;
	return false;
}

static bool fits_itself(const struct invocation *inv, const struct bench_plan *plan)
{
	if (plan->names > 1 && plan->kind != BENCH_ADD)
		command_usage(inv, "--names is for --do add: other requests have a single counter");
	else if (plan->names > 1 && plan->memcached)
		command_usage(inv, "--names is for shcounterd: a request to memcached has a single counter");
	else if (plan->is_unsummed && !plan->is_kept)
		command_usage(inv, "--no-sum goes with --keep: nothing is known about counters then");
	else if (bench_batch_bytes(plan) > BENCH_BATCH_BYTES_MAX)
		command_usage(inv, "--pipeline times --names: at most %d MiB can be sent at once",
			      BENCH_BATCH_BYTES_MAX >> 20);
	else
		return true;
	return false;
}

/* Known when the server is. */
static bool fits_server(const struct invocation *inv, const struct bench_plan *plan)
{
	if (plan->names > 1 && plan->is_redis)
		command_usage(
			inv, "--names is for shcounterd: Redis has no request that adds to several counters");
	else if (plan->rate && plan->is_cluster)
		command_usage(inv, "--rate is for a single server, not for a cluster");
	else if (plan->is_cluster && (uint64_t)plan->connections * plan->pipeline > UNDER_WAY_MAX)
		command_usage(
			inv,
			"--connections times --pipeline: at most %d requests can be under way on a cluster",
			UNDER_WAY_MAX);
	else
		return true;
	return false;
}

static bool read_plan(const struct invocation *inv, struct bench_plan *plan)
{
	*plan = (struct bench_plan){
		.parts = inv->shards ? inv->shards : 1,
		.timeout_ns = (int64_t)inv->timeout_ms * NS_PER_MS,
		.is_kept = inv->values[OPTION_KEEP] != NULL,
		.is_unsummed = inv->values[OPTION_NO_SUM] != NULL,
		.memcached = inv->values[OPTION_MEMCACHED],
		.reads_replica = inv->reads_replica,
	};
	return read_words(inv, plan) && read_keys(inv, plan) && read_sizes(inv, plan) &&
	       read_time(inv, plan) && read_prefix(inv, plan) && fits_memcached(inv, plan) &&
	       fits_itself(inv, plan);
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

/* Runs, and looks at the sum, and at what the server's process has used meanwhile. */
static int measure(const struct invocation *inv, const struct bench_plan *plan,
		   const struct bench_links *links, const struct bench_worth *before)
{
	struct bench_link *link = &links->list[0];
	struct bench_tally *tally = calloc(1, sizeof(*tally)); /* large for a stack */
	struct bench_result r = {.tally = tally, .before = *before};
	if (!tally)
		return command_fail(EX_IOERR, "out of memory");
	tally->values = REPLY_VALUES_NONE;
	int rc = EX_IOERR;
	if (bench_run(plan, links, bench_cpu_pid(plan, link), inv->is_quiet, tally, &r)) {
		int summed = plan->is_unsummed ? EX_OK : bench_sum_counters(plan, link, &r.after);
		r.has_grown = summed == EX_OK && !plan->is_unsummed;
		if (r.has_grown)
			r.grown = r.after.sum - before->sum;
		int shown = bench_show(inv, plan, &r);
		int judged = bench_judge(plan, &r);
		rc = judged ? judged : shown ? shown : summed;
	}
	free(tally);
	return rc;
}

/* From here on there are counters to delete, whatever happens. */
static int run_on(const struct invocation *inv, const struct bench_plan *plan, struct bench_links *links)
{
	struct bench_link *link = &links->list[0];
	struct bench_worth worth = BENCH_WORTH_NONE;
	signals_note_stops();
	int rc = plan->is_unsummed ? EX_OK : bench_make_counters(plan, link, &worth);
	if (rc)
		return rc;
	announce(inv, plan);
	rc = bench_links_open(inv, plan, links);
	if (rc == EX_OK)
		rc = measure(inv, plan, links, &worth);
	int deleted = plan->is_kept ? EX_OK : bench_delete_counters(plan, link);
	if (signals_stop())
		signals_end();
	return rc ? rc : deleted;
}

/* On a Unix socket the library does not ask: there it is a shcounterd, except for us. */
static int identify(struct bench_plan *plan, struct bench_link *link)
{
	struct shc *shc = link->shc;
	/* Sums are exact on masters only; what is measured may read elsewhere. */
	(void)shc_set_read_replica(shc, false);
	enum shc_status status = redis_identify(shc);
	if (status)
		return command_status(shc, status);
	plan->is_cluster = redis_is_cluster(shc);
	plan->is_redis = redis_is(shc) ||
			 (shc->wire.url.kind == URL_UNIX && bench_link_info(link, "redis_version").data &&
			  !bench_link_info(link, "shcounterd_version").data);
	return EX_OK;
}

static int run(struct invocation *inv)
{
	struct bench_plan plan;
	struct bench_links links;
	if (!read_plan(inv, &plan))
		return EX_USAGE;
	int rc = bench_links_init(inv, &plan, &links);
	if (rc == EX_OK && !plan.memcached)
		rc = identify(&plan, &links.list[0]);
	if (rc == EX_OK)
		rc = fits_server(inv, &plan) ? run_on(inv, &plan, &links) : EX_USAGE;
	bench_links_fini(&links);
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
		"  shcount bench --rate 20000 --spread zipf\n"
		"  shcount bench --memcached /run/memcached.sock\n"
		"\n"
		"Makes counters of its own, bench:00000000 and on, runs, compares their sum with what was "
		"acknowledged, and their values with those in the answers, and deletes them. It refuses to start when one of them is there already; with "
		"--keep it takes them as they are, and leaves them.\n"
		"\n"
		"Replies are followed by the next requests over the same connection, so a server that is slow "
		"is asked less: latencies are those of the requests that were made. With --rate requests are due "
		"on a schedule, and latencies count from there: a server that stops for a while is charged with all "
		"that it keeps waiting. They include the time behind others of the same pipeline. On a Redis "
		"Cluster, --connections times --pipeline requests are under way in all, over few connections.\n"
		"\n"
		"CPU times are those of all threads of a server on this machine, and bench's own.\n"
		"\n"
		"^C ends it early: it prints what there is, and deletes the counters. Exit status 1 when requests were "
		"refused, or the sum or the answers are wrong, 69 or 75 when answers did not come.\n",
	.options = options,
	.operands_max = 0,
	.run = run,
};
