/* SPDX-License-Identifier: MIT */
/*
 * bench.h - a load generator: what is asked for, the threads that do it, and what they have seen.
 *
 * cmd_bench.c has the options and the order of things, bench_links.c the connections, bench_counters.c the
 * counters that are made, summed up and deleted (bench_memcached.c those in memcached), bench_run.c the
 * threads, bench_server.c what a thread does with the connections to one server, bench_cluster.c the same
 * with a Redis Cluster, bench_report.c what is printed. Beside them: bench_keys.h, bench_batch.h,
 * bench_reply.h, bench_worth.h and histogram.h, which know nothing of connections, bench_cpu.h and
 * bench_window.h, the time that is measured.
 */
#ifndef SHC_BENCH_H
#define SHC_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/conn.h"
#include "../lib/shcount_impl.h"
#include "bench_keys.h"
#include "bench_window.h"
#include "bench_worth.h"
#include "command.h"
#include "histogram.h"

enum {
	BENCH_DIGITS_MAX = 8, /* of a counter's number in its name */
	BENCH_KEYS_MAX = 10000000,
	BENCH_CONNECTIONS_MAX = 10000,
	BENCH_PIPELINE_MAX = 10000,
	BENCH_NAMES_MAX = 10000,
	BENCH_BATCH_BYTES_MAX = 64 << 20, /* a pipeline: each thread makes one in advance */
	BENCH_RATE_MAX = 100000000,
	BENCH_THREADS_MAX = 1000,
	BENCH_WHY_SIZE = 320,
};

enum bench_kind { BENCH_INCR, BENCH_ADD, BENCH_GET };

struct bench_plan {
	enum bench_kind kind;
	const char *kind_word;
	const char *prefix;
	unsigned digits; /* behind it */
	unsigned connections, pipeline, keys;
	unsigned names; /* of one request */
	enum bench_spread spread;
	const char *spread_word;
	unsigned threads;  /* at most `connections` */
	unsigned parts;	   /* of each counter; 1: none */
	uint64_t requests; /* 0: no limit */
	int64_t time_ns;   /* 0: no limit */
	unsigned rate;	   /* requests a second, in all; 0: each reply is followed by the next request */
	int64_t timeout_ns;
	bool is_kept, is_unsummed;
	bool reads_replica;    /* which may be behind */
	const char *memcached; /* where one is; null: another server, which invocation says */
	/* known once there is a connection: */
	bool is_redis, is_cluster;
};

static inline bool bench_is_write(const struct bench_plan *plan)
{
	return plan->kind != BENCH_GET;
}

/* Does an answer have the value of a counter in it? */
static inline bool bench_tells_values(const struct bench_plan *plan)
{
	return plan->kind != BENCH_ADD || plan->is_redis;
}

/* A connection to the server; or, on a cluster, those to all of its nodes. */
struct bench_link {
	struct shc *shc; /* owned; null: memcached's, and */
	struct conn own; /* this is its connection */
};

/* The one behind it; not on a cluster. */
static inline struct conn *bench_link_conn(struct bench_link *link)
{
	return link->shc ? &link->shc->wire.conn : &link->own;
}

/* What has become of requests. */
struct bench_tally {
	struct histogram latency_ns; /* of those that were answered, and not with an error */
	struct reply_values values;  /* in these answers */
	struct histogram late_ns;    /* at a rate: how late we were to see that a pipeline was due */
	uint64_t refused;	     /* error replies */
	uint64_t in_doubt;	     /* changes that were sent, and no answer came */
	uint64_t unanswered;	     /* others without an answer: nothing has changed */
	uint64_t overdue;	     /* by the rate they should have been sent before the end, and were not */
	bool is_denied;		     /* of the error replies, one says so */
	bool is_wrong;		     /* what came cannot be right: `loss` says how */
	char refusal[BENCH_WHY_SIZE]; /* the first of them; "": none */
	char loss[BENCH_WHY_SIZE];    /* why an answer did not come, the first time; "": all came */
};

/* What all threads share. */
struct bench_run {
	const struct bench_plan *plan;
	_Atomic uint64_t untaken; /* requests */
	_Atomic bool is_over;	  /* set by any thread: no more requests */
	_Atomic unsigned working; /* threads */
	struct bench_window window;
	int wake_fd; /* eventfd: a thread has come to its end */
};

/* A thread. Its members are its own until it has ended, but for `answered`. */
struct bench_worker {
	struct bench_run *run;
	struct bench_link *links; /* borrowed: its connections; on a cluster a single one, for all nodes */
	unsigned links_count;
	unsigned window; /* on a cluster: requests under way */
	double share;	 /* of all that is asked for at a rate, */
	double phase; /* and by which part of the time between two requests it is behind the first thread */
	struct bench_keys keys;
	_Atomic uint64_t answered;
	struct bench_tally tally;
	pthread_t thread;
};

/* ---- connections ---- exit statuses; all but EX_OK after a complaint */

/* The first is there before the others, for the counters; where a connection is one to a single server it is
 * one of those that are measured, too, so that there are not more than were asked for. */
struct bench_links {
	struct bench_link *list; /* owned */
	unsigned count;
};

/* Opens the first; whatever comes of it, bench_links_fini. */
int bench_links_init(const struct invocation *inv, const struct bench_plan *plan, struct bench_links *links);
void bench_links_fini(struct bench_links *links);

/* Opens those that are missing, now that it is known what the server is. */
int bench_links_open(const struct invocation *inv, const struct bench_plan *plan, struct bench_links *links);

/* What INFO says behind `key` and a colon; its data is null when it says nothing of it, or nothing at all.
 * The handle's until its next call. Not for memcached. */
struct slice bench_link_info(struct bench_link *link, const char *key);

/* ---- counters ---- the same; not while threads run */

/* Makes sure that all are new, or wanted as they are; makes those that are not there. *worth: of all. */
int bench_make_counters(const struct bench_plan *plan, struct bench_link *link, struct bench_worth *worth);

int bench_sum_counters(const struct bench_plan *plan, struct bench_link *link, struct bench_worth *worth);

int bench_delete_counters(const struct bench_plan *plan, struct bench_link *link);

/* The name of the first and the last, for a sentence. */
void bench_tell_counters(const struct bench_plan *plan, char *out, size_t size);

/* The name of one, ended by '\0', into room for any. */
enum { BENCH_NAME_SIZE = NAME_LEN_MAX + 1 };
void bench_name(const struct bench_plan *plan, unsigned key, char out[BENCH_NAME_SIZE]);

/* Writes the last `digits` (at most 8) of its decimal digits. */
void bench_put_digits(char *out, unsigned digits, unsigned key);

/* ---- the run ---- */

struct bench_result {
	const struct bench_tally *tally;
	double seconds;
	uint64_t grown; /* of the sum of all counters */
	bool has_grown; /* it is known, and */
	struct bench_worth before, after;
	int64_t client_cpu_ns;
	int64_t server_cpu_ns; /* -1: not known */
};

/* Runs the threads over these connections to the end: the sum of what they have seen in *tally, times in the
 * result. `server`: its process, or 0. False after a complaint: no memory, and nothing was sent.
 * signals_note_stops has been called. */
bool bench_run(const struct bench_plan *plan, const struct bench_links *links, pid_t server, bool is_quiet,
	       struct bench_tally *tally, struct bench_result *r);

/* How many threads are good here: half of the CPUs, for a server on this machine needs some too. */
unsigned bench_threads_default(void);

/* ---- for the two loops; in the worker's thread ---- */

/* How many of `want` requests are to be made; the caller makes them. 0: no more. */
unsigned bench_take(struct bench_worker *w, int64_t now_ns, unsigned want);

/* So many requests, sent at once, were answered, with these values; one was refused, in these words; their
 * answers will not come.
 */
void bench_answered(struct bench_worker *w, unsigned count, const struct reply_values *values,
		    int64_t sent_ns, int64_t now_ns);
void bench_refused(struct bench_worker *w, bool is_denied, struct slice words);
void bench_lost(struct bench_worker *w, uint64_t count, bool is_in_doubt, const char *why);
void bench_wrong(struct bench_worker *w, const char *how);

/* No more requests, from any thread. */
void bench_stop(struct bench_worker *w);

void bench_server_loop(struct bench_worker *w);
void bench_cluster_loop(struct bench_worker *w);

/* ---- what is printed ---- */

/* To stdout. EX_OK, or an exit status after a complaint. */
int bench_show(const struct invocation *inv, const struct bench_plan *plan, const struct bench_result *r);

/* Complains about what went wrong, if anything did, and returns the exit status that belongs to it. */
int bench_judge(const struct bench_plan *plan, const struct bench_result *r);

#endif
