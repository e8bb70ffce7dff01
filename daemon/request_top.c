/* SPDX-License-Identifier: MIT */
/*
 * request_top.c - SHC.TOP: the counters that change fastest. What the committer has counted (top.h), with the
 * values of now.
 */
#include <errno.h>
#include <stdio.h>

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
#include "server.h"
#include "worker.h"

enum { RATE_SIZE = 48 };

/* RESP2 has no kind of its own for it. */
static void put_rate(const struct request *r, struct buf *out, double rate)
{
	char text[RATE_SIZE];
	int len = snprintf(text, sizeof(text), "%.3f", rate);

	if (r->proto < 3) {
		resp_put_bulk(out, text, (size_t)len);
		return;
	}
	buf_append(out, ",", 1);
	buf_append(out, text, (size_t)len);
	buf_append(out, "\r\n", 2);
}

static void put_row(const struct request *r, struct buf *out, const struct top_entry *e, int64_t value,
		    double seconds)
{
	resp_put_array(out, 4);
	resp_put_bulk(out, e->name, e->name_len);
	resp_put_int(out, value);
	put_rate(r, out, (double)e->change / seconds);
	resp_put_int(out, e->change);
}

/* The value that the object has now. 1: it has one; 0: it was deleted since; -ENOMEM. Looked up one by one,
 * so that nobody who counts meets a lock. */
static int look_up(const struct request *r, const struct top_entry *e, int64_t *value)
{
	struct slice name = {.data = e->name, .len = e->name_len};
	int rc = txn_open(r->txn, &name, 1, TXN_READ);
	const struct txn_key *k;

	if (rc)
		return rc < 0 ? rc : -ENOMEM;
	k = txn_key(r->txn, 0);
	*value = k->value;
	/* A new object under the same name has changed by something else. */
	rc = k->is_live && counter_id(k->object) == e->id;
	txn_abort(r->txn);
	return rc;
}

/* 0 or -ENOMEM. */
static int put_rows(const struct request *r, const struct top_result *top, size_t max, struct buf *rows,
		    size_t *count)
{
	double seconds = (double)top->duration_ns / 1e9;
	int rc = 0;

	*count = 0;
	for (size_t i = 0; i < top->count && *count < max && rc >= 0; i++) {
		int64_t value = 0;

		rc = look_up(r, &top->entries[i], &value);
		if (rc > 0) {
			put_row(r, rows, &top->entries[i], value, seconds);
			++*count;
		}
	}
	return rc < 0 ? rc : 0;
}

static enum request_result reply_top(struct request *r, const struct top_result *top, size_t max)
{
	struct buf rows = worker_take_spare(r->worker);
	size_t count;

	if (put_rows(r, top, max, &rows, &count)) {
		reply_error(r, "OOM out of memory");
	} else {
		resp_put_array(r->out, count);
		if (count)
			buf_append(r->out, buf_head(&rows), buf_len(&rows));
		r->out->failed |= rows.failed;
	}
	worker_give_spare(r->worker, &rows);
	return REQUEST_DONE;
}

/* While the disk refuses, no epoch ends: nothing is counted then. */
static enum request_result wait_for_period(struct request *r, uint64_t seen)
{
	if (commit_is_stuck(&r->worker->server->commit))
		return reply_stuck(r);
	return peer_park(r->peer, WAIT_TOP, seen, -1);
}

/* The first one waits for a period to begin and to end; the others are told of the last. */
enum request_result request_shc_top(struct request *r)
{
	struct commit *c = &r->worker->server->commit;
	const struct peer_wait *wait = &r->peer->wait;
	uint64_t seen = atomic_load(&c->top.periods);
	int64_t max = TOP_DEFAULT;
	struct top_result *top = NULL;
	bool is_counting;

	if (r->argc > 2)
		return reply_arity(r);
	if (r->argc == 2 && (!num_parse_i64(r->argv[1], &max) || max < 1 || max > TOP_MAX))
		return reply_error(r, "ERR count is out of range: 1 to 1000 is expected");
	is_counting = top_ask(&c->top, r->worker->now_ms);
	if (!is_counting)
		waker_wake(&c->waker);
	if (is_counting || (wait->is_resumed && seen > wait->target))
		top = top_newest(&c->top, r->worker->now_ms);
	if (!top)
		return wait_for_period(r, seen);
	reply_top(r, top, (size_t)max);
	top_unref(&c->top, top);
	return REQUEST_DONE;
}
