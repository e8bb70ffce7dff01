/* SPDX-License-Identifier: MIT */
/* peer_limit.c - see peer_limit.h. */
#include "peer_limit.h"

#include <string.h>

#include "clock.h"
#include "peer.h"
#include "server.h"
#include "worker.h"

/* Steady, so that a clock that is set gives nobody a budget. */
static int64_t now_ns(const struct worker *w)
{
	return steady_clock_ns(&w->server->registry.steady);
}

static inline int64_t limit_of(const struct peer *p, enum limit_kind kind)
{
	return p->limits.values[kind];
}

void peer_limit_set(struct peer *p, const struct limits *limits)
{
	p->limits = *limits;
	p->is_limited = p->source && (limit_of(p, LIMIT_OPERATIONS) || limit_of(p, LIMIT_BYTES));
}

/* ---- asking and telling ---- */

/* Requests, up to `max`. */
static size_t requests_left(const struct peer *p, int64_t now, size_t max)
{
	int64_t rate = limit_of(p, LIMIT_OPERATIONS);
	int64_t left = rate ? budget_left(&p->source->operations, rate, now) : (int64_t)max;

	return left < (int64_t)max ? (size_t)left : max;
}

static bool has_bytes_left(const struct peer *p, int64_t now)
{
	int64_t rate = limit_of(p, LIMIT_BYTES);

	return !rate || budget_left(&p->source->bytes, rate, now) > 0;
}

static bool may(const struct peer *p, int64_t now)
{
	return !p->is_limited || (requests_left(p, now, 1) > 0 && has_bytes_left(p, now));
}

bool peer_limit_may(const struct peer *p)
{
	return p->wait.is_resumed || may(p, now_ns(p->worker));
}

void peer_limit_begin(struct peer *p, size_t in_bytes)
{
	struct worker *w = p->worker;
	size_t left = requests_left(p, now_ns(w), w->batch.count) + p->wait.is_resumed;

	if (left < w->batch.count) {
		w->batch.count = left;
		p->has_stale_parser = true; /* the rest is parsed again */
	}
	w->use = (struct peer_use){
		.account = p->source,
		.limits = p->limits,
		.requests = atomic_load_explicit(&w->stats.requests, memory_order_relaxed),
		.in_bytes = in_bytes,
		.out_bytes = buf_len(&p->out),
	};
}

void peer_limit_end(struct peer *p, size_t in_bytes)
{
	struct worker *w = p->worker;
	struct peer_use use = w->use;
	int64_t requests =
		(int64_t)(atomic_load_explicit(&w->stats.requests, memory_order_relaxed) - use.requests);
	int64_t bytes =
		(int64_t)(in_bytes - use.in_bytes) + (int64_t)buf_len(&p->out) - (int64_t)use.out_bytes;
	int64_t now = now_ns(w);

	w->use.account = NULL;
	if (use.limits.values[LIMIT_OPERATIONS])
		budget_use(&use.account->operations, use.limits.values[LIMIT_OPERATIONS], requests, now);
	if (use.limits.values[LIMIT_BYTES])
		budget_use(&use.account->bytes, use.limits.values[LIMIT_BYTES], bytes, now);
	if (use.is_left)
		sources_leave(&w->server->sources, use.account, now);
}

/* ---- being held back ---- */

static struct source_queue *queue_of(const struct peer *p)
{
	return &p->source->queues[p->worker->index];
}

static int64_t ready_ns(const struct peer *p)
{
	int64_t rate = limit_of(p, LIMIT_OPERATIONS), ready = 0, other;

	if (p->is_limited && rate)
		ready = budget_ready_ns(&p->source->operations, rate);
	rate = limit_of(p, LIMIT_BYTES);
	if (p->is_limited && rate) {
		other = budget_ready_ns(&p->source->bytes, rate);
		ready = other > ready ? other : ready;
	}
	return ready;
}

static void look_at(struct worker *w, const struct peer *p)
{
	int64_t ready = ready_ns(p);

	if (TAILQ_EMPTY(&w->held_back) || ready < w->release_ns)
		w->release_ns = ready;
}

static void show(struct peer *p, bool is_held_back)
{
	atomic_store_explicit(&p->client.is_held_back, is_held_back, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->worker->stats.held_back_now, is_held_back ? 1 : -1,
				  memory_order_relaxed);
}

void peer_limit_hold(struct peer *p)
{
	struct worker *w = p->worker;
	struct source_queue *q = queue_of(p);

	p->wait = (struct peer_wait){.kind = WAIT_BUDGET};
	p->held_back_ns = now_ns(w);
	look_at(w, p);
	if (TAILQ_EMPTY(&q->peers))
		TAILQ_INSERT_TAIL(&w->held_back, q, link);
	TAILQ_INSERT_TAIL(&q->peers, p, waiting);
	stat_add(&w->stats.held_back, 1);
	show(p, true);
}

static void stop_holding(struct peer *p)
{
	struct worker *w = p->worker;
	struct source_queue *q = queue_of(p);

	TAILQ_REMOVE(&q->peers, p, waiting);
	if (TAILQ_EMPTY(&q->peers))
		TAILQ_REMOVE(&w->held_back, q, link);
	p->wait.kind = WAIT_NONE;
	stat_add(&w->stats.held_back_us, (uint64_t)(now_ns(w) - p->held_back_ns) / 1000);
	show(p, false);
}

/* One after the other, for as long as there was budget at `now`: who is held back again stands behind the
 * others. The last one may take the source with it, by a log-in. */
static void release_queue(struct source_queue *q, int64_t now)
{
	bool is_last = false;

	while (!is_last) {
		struct peer *p = TAILQ_FIRST(&q->peers);

		if (!p->is_closing && !may(p, now))
			return;
		is_last = TAILQ_NEXT(p, waiting) == NULL;
		stop_holding(p);
		peer_go_on(p);
	}
}

void peer_limit_release(struct worker *w)
{
	struct source_queue *q, *next;
	int64_t now;

	if (TAILQ_EMPTY(&w->held_back))
		return;
	now = now_ns(w);
	if (now < w->release_ns)
		return;
	for (q = TAILQ_FIRST(&w->held_back); q; q = next) {
		next = TAILQ_NEXT(q, link);
		release_queue(q, now);
	}
	w->release_ns = INT64_MAX;
	TAILQ_FOREACH (q, &w->held_back, link)
		look_at(w, TAILQ_FIRST(&q->peers));
}

int64_t peer_limit_wait_ms(const struct worker *w)
{
	int64_t left_ns;

	if (TAILQ_EMPTY(&w->held_back))
		return -1;
	left_ns = w->release_ns - now_ns(w);
	return left_ns > 0 ? (left_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS : 0;
}

/* ---- coming and going ---- */

int peer_limit_move(struct peer *p, const struct source_key *key, int64_t clients_max)
{
	struct worker *w = p->worker;
	struct source *to, *from = p->source;
	int rc;

	if (!from || source_key_equal(&from->key, key))
		return 0;
	rc = sources_join(&w->server->sources, key, clients_max, now_ns(w), &to);
	if (rc)
		return rc;
	p->source = to;
	/* The present batch is on the account of the one that it began with, which must be there until its
	 * end. */
	if (from == w->use.account && !w->use.is_left)
		w->use.is_left = true;
	else
		sources_leave(&w->server->sources, from, now_ns(w));
	w->batch.count = 0;
	p->has_stale_parser = true;
	return 0;
}

void peer_limit_leave(struct peer *p)
{
	int64_t now;

	if (!p->source)
		return;
	now = now_ns(p->worker);
	if (p->wait.kind == WAIT_BUDGET)
		stop_holding(p);
	if (limit_of(p, LIMIT_BYTES))
		budget_use(&p->source->bytes, limit_of(p, LIMIT_BYTES), (int64_t)buf_len(&p->in), now);
	sources_leave(&p->worker->server->sources, p->source, now);
	p->source = NULL;
}
