/* SPDX-License-Identifier: MIT */
/*
 * cluster_wait.c - until replicas have what was written.
 *
 * WAIT speaks of its own connection: of everything that was executed before its last command. So it is asked
 * over the connection that the changes were answered on, and over no other: a node that was connected to
 * again may be another, or have lost them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cluster_impl.h"
#include "num.h"
#include "slots.h"

/* One question takes well less than the quarter of the time limit that a silent link may take, though Redis
 * looks only ten times a second whether its time is over. */
enum { WAIT_PART = 16, WAIT_MAX_MS = 200 };

struct waiting {
	struct cluster *cluster;
	unsigned replicas; /* or CLUSTER_WAIT_WHERE_ANY */
	bool is_lost;
	bool is_short;	/* a node's replicas do not have it yet */
	bool was_short; /* the same, in any turn; told then */
	bool is_unsure; /* whether a node has replicas is not known */
	enum shc_status status;
	char why[320]; /* the last trouble, as a sentence: requests that come later have others */
};

__attribute__((format(printf, 2, 3))) static void say(struct waiting *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
}

/* It has become a replica: of what was written it keeps only what its master has too. */
static bool is_demoted(enum shc_status status, const struct resp_reply *reply)
{
	static const char *const texts[] = {"UNBLOCKED ", "ERR WAIT cannot be used with replica instances"};
	for (size_t i = 0; status == SHC_REFUSED && i < 2; i++) {
		size_t len = strlen(texts[i]);
		if (reply->str.len >= len && memcmp(reply->str.data, texts[i], len) == 0)
			return true;
	}
	return false;
}

/* How many are waited for, of a node that has some. */
static unsigned wanted(const struct waiting *w)
{
	return w->replicas == CLUSTER_WAIT_WHERE_ANY ? 1 : w->replicas;
}

static void say_short(struct waiting *w, const struct node *node, int64_t has)
{
	w->is_short = w->was_short = true;
	if (wanted(w) == 1)
		say(w, "%s: no replica has what was written", cluster_name(node));
	else
		say(w, "%s: %lld of %u replicas have what was written", cluster_name(node), (long long)has,
		    wanted(w));
}

static void take_wait(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct waiting *w = arg;
	struct cluster *c = w->cluster;
	if (status == SHC_UNREACHABLE || status == SHC_IN_DOUBT || is_demoted(status, reply)) {
		w->is_lost = true;
		cluster_refresh(c);
		cluster_forget_writes(op->node);
		return;
	}
	if (status || reply->type != RESP_INT) {
		w->status = status ? status : SHC_PROTOCOL;
		say(w, "WAIT: %s", status ? cluster_error(c) : "the answer makes no sense");
		return;
	}
	if (reply->i64 >= wanted(w))
		cluster_forget_writes(op->node);
	else
		say_short(w, op->node, reply->i64);
}

static int64_t wait_ms(const struct cluster *c)
{
	int64_t ms = c->timeout_ms / WAIT_PART;
	ms = ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
	return ms > 0 ? ms : 1; /* 0 would be for ever */
}

static bool put_over(struct waiting *w, struct node *node, op_done_fn *done, size_t argc,
		     const struct slice *argv)
{
	const struct cluster_way way = {
		.kind = OP_READ,
		.slot = OP_ANY_SLOT,
		.node = node,
		.over = cluster_wrote_over(node),
		.done = done,
		.arg = w,
	};
	if (cluster_put(w->cluster, &way, argc, argv) == SHC_OK)
		return true;
	w->status = SHC_MEMORY;
	say(w, "out of memory");
	return false;
}

static void ask_wait(struct waiting *w, struct node *node)
{
	char replicas[NUM_I64_CHARS_MAX], ms[NUM_I64_CHARS_MAX];
	const struct slice argv[] = {slice_str("WAIT"),
				     {replicas, num_format_i64(replicas, wanted(w))},
				     {ms, num_format_i64(ms, wait_ms(w->cluster))}};
	(void)put_over(w, node, take_wait, 3, argv);
}

/* The map lists no replica, because there is none, or because it has failed: then it may become the master
 * all the same, without what was written. */
static void take_nodes(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct waiting *w = arg;
	if (status == SHC_UNREACHABLE || status == SHC_IN_DOUBT)
		take_wait(arg, op, status, reply);
	else if (status == SHC_OK && slots_has_replica(reply->str))
		ask_wait(w, op->node);
	else
		cluster_forget_writes(op->node);
}

static void put_wait(void *arg, struct node *node)
{
	static const struct slice nodes[] = {{"CLUSTER", 7}, {"NODES", 5}};
	struct waiting *w = arg;
	struct cluster *c = w->cluster;
	bool is_asked = w->replicas != CLUSTER_WAIT_WHERE_ANY || cluster_replicas(c, node) > 0;
	bool is_replaced = cluster_slots(node) == 0; /* and who is its replica now says nothing */
	if (is_replaced || cluster_wrote_over(node) != cluster_connection(node)) {
		w->is_lost = true;
		cluster_forget_writes(node);
		return;
	}
	if (!is_asked && !cluster_is_map_fresh(c)) { /* since MOVED led here, say */
		w->is_unsure = true;
		return;
	}
	if (is_asked)
		ask_wait(w, node);
	else if (cluster_is_cluster(c))
		(void)put_over(w, node, take_nodes, 2, nodes);
	else
		cluster_forget_writes(node);
}

static enum shc_status outcome(struct waiting *w)
{
	if (w->status)
		return w->status;
	if (!w->is_lost)
		return w->is_short || w->is_unsure ? SHC_IN_DOUBT : SHC_OK;
	if (!w->was_short ||
	    !cluster_is_over(w->cluster)) /* else the deadline has cut the next question short */
		say(w, "%s; whether a replica has what was written is not known", cluster_error(w->cluster));
	return SHC_IN_DOUBT;
}

enum shc_status cluster_wait(struct cluster *c, unsigned replicas, bool *is_lost)
{
	struct waiting w = {.cluster = c, .replicas = replicas};
	do {
		w.is_short = w.is_unsure = false;
		cluster_each_written(c, put_wait, &w);
		cluster_run(c, 0);
		if (w.is_short)
			cluster_refresh(c); /* it may have lost its replica */
		if (w.is_unsure && cluster_renew_map(c))
			say(&w, "%s; who has replicas is not known", cluster_error(c));
	} while ((w.is_short || w.is_unsure) && !w.is_lost && !w.status && !cluster_is_over(c));
	enum shc_status status = outcome(&w);
	*is_lost = w.is_lost;
	if (status)
		cluster_say(c, "%s", w.why);
	return status;
}
