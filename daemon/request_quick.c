/* SPDX-License-Identifier: MIT */
/*
 * request_quick.c - the short way of the commonest requests: an addition to one counter, or a look at it, of
 * a client that wants its replies at once. What request_execute does for them, in one piece; whatever is not
 * that simple is left to it.
 *
 * Additions of the same number to the same counter that follow each other are one step, which hands out
 * consecutive values: nothing else of this connection comes between them, and others see a state that they
 * could have seen.
 */
#include "request_quick.h"

#include "../lib/num.h"
#include "peer.h"
#include "server.h"
#include "worker.h"

static inline unsigned quick_of(const struct command *c)
{
	return c->flags & COMMAND_QUICK;
}

/* What the request adds, not 0. False: it is for the long way, which has the words for it. */
static inline bool delta_of(const struct batch_item *item, int64_t *delta)
{
	*delta = quick_of(item->command) == COMMAND_QUICK_DECR ? -1 : 1;
	if (item->command->arity == 2)
		return item->argc == 2;
	if (item->argc != 3 || !num_parse_i64(item->argv[2], delta) || *delta == INT64_MIN)
		return false;
	if (quick_of(item->command) == COMMAND_QUICK_DECR)
		*delta = -*delta;
	return *delta != 0;
}

/* How many of the requests are the same as the first, for a counter that its name was compared with. */
static size_t run_of(const struct batch_item *items, size_t count)
{
	const struct batch_item *first = &items[0];
	size_t n = 1;

	for (; n < count; n++) {
		const struct batch_item *item = &items[n];

		if (!item->is_repeated || item->command != first->command || item->argc != first->argc ||
		    (item->argc == 3 && !slice_equal(item->argv[2], first->argv[2])))
			break;
	}
	return n;
}

static size_t quick_add(struct peer *peer, const struct batch_item *items, size_t count)
{
	struct txn *txn = &peer->worker->txn;
	int64_t delta, first;
	size_t times;

	if (commit_is_stuck(&peer->worker->server->commit) || !delta_of(items, &delta))
		return 0;
	times = run_of(items, count);
	if (quick_of(items->command) == COMMAND_QUICK_ADD) {
		if (!txn_quick_add(txn, items->guess, delta, times))
			return 0;
		for (size_t i = 0; i < times; i++)
			buf_append(&peer->out, "+OK\r\n", 5);
	} else {
		if (!txn_quick_incr(txn, items->guess, delta, times, &first))
			return 0;
		resp_put_ints(&peer->out, first, delta, times);
	}
	return times;
}

static size_t quick_get(struct peer *peer, const struct batch_item *item)
{
	int64_t value;

	if (item->argc != 2 || !txn_quick_get(&peer->worker->txn, item->guess, &value))
		return 0;
	resp_put_bulk_i64(&peer->out, value);
	return 1;
}

static inline bool is_plain(const struct peer *peer)
{
	return !peer->multi.is_open && peer->reply_mode == REPLY_ON;
}

size_t request_quick(struct peer *peer, const struct batch_item *items, size_t count)
{
	const struct command *c = items->command;
	struct worker *w = peer->worker;
	size_t mark = buf_len(&peer->out), done;

	if (!items->guess || quick_of(c) == 0 || !is_plain(peer) ||
	    !slice_equal(counter_name(items->guess), items->argv[1]))
		return 0;
	done = quick_of(c) == COMMAND_QUICK_GET ? quick_get(peer, items) : quick_add(peer, items, count);
	if (done == 0)
		return 0;
	atomic_store_explicit(&peer->client.command, c->name, memory_order_relaxed);
	stat_add(&w->stats.requests, done);
	if (w->is_holding && w->txn.told)
		peer_hold(peer, w->txn.told, mark);
	return done;
}
