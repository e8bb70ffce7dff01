/* SPDX-License-Identifier: MIT */
/*
 * request_window.c - what is counted in time: SHC.HIT and SHC.HITS (window.h), and SHC.ALLOW, a rate limit.
 * Pure computing on staged keys.
 *
 * The limit is the generic cell rate algorithm (ITU-T I.371, virtual scheduling): of a limit of L in a window
 * of W, each that is allowed costs W / L, and the theoretical arrival time (tat) is when all that was allowed
 * has been paid for. It may run ahead of now by W. One number, whatever the rate; no edge at which a new
 * window would allow twice the limit.
 */

#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
#include "window.h"

/* The number at argv[i], at least 1; 1 when it is not there. False: an error was put. */
static bool parse_count(struct request *r, size_t i, int64_t *out)
{
	*out = 1;
	if (i >= r->argc)
		return true;
	if (!num_parse_i64(r->argv[i], out)) {
		reply_not_integer(r);
		return false;
	}
	if (*out < 1)
		reply_error(r, "ERR the number must be at least 1");
	return *out >= 1;
}

/* ---- hits ---- */

enum request_result request_shc_hit(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	int64_t n;

	if (r->argc > 3)
		return reply_arity(r);
	if (!parse_count(r, 2, &n))
		return REQUEST_DONE;
	if (!txn_incr(k, n))
		return reply_overflow(r);
	txn_hit(k, (uint64_t)n);
	return reply_int(r, k->value);
}

enum request_result request_shc_hits(struct request *r)
{
	const struct txn_key *k = request_key(r, 0);
	struct window_sum sum;
	int64_t window_ms;

	if (!num_parse_i64(r->argv[2], &window_ms))
		return reply_not_integer(r);
	if (window_sum(txn_window(k), txn_steady_ns(r->txn) / CLOCK_NS_PER_S, window_ms, &sum))
		return reply_error(r, "ERR the window must be from 1 millisecond to 30 days (2592000000)");
	/* Those of this transaction are of the present second. */
	sum.hits += k->hits;
	resp_put_array(r->out, 2);
	resp_put_int(r->out, sum.hits > INT64_MAX ? INT64_MAX : (int64_t)sum.hits);
	resp_put_int(r->out, sum.resolution_ms);
	return REQUEST_DONE;
}

/* ---- limits ---- */

/* 10 years: its end, in nanoseconds since 1970, is far within 64 bits. */
#define LIMIT_WINDOW_MS_MAX (INT64_C(3653) * 24 * 3600 * 1000)

struct limit {
	int64_t count, window_ns;
	int64_t n; /* that are asked for */
};

/* What `n` cost, rounded down: whoever asks one by one pays no more than by the dozen, and gets `count`. */
static int64_t cost_ns(const struct limit *l, int64_t n)
{
	return (int64_t)((__int128)n * l->window_ns / l->count);
}

/* How many can still be had when tat runs ahead of now by so much: the largest m that costs no more than what
 * is left. */
static int64_t remaining(const struct limit *l, int64_t ahead_ns)
{
	__int128 left = l->window_ns - ahead_ns;

	return (int64_t)(((left + 1) * l->count - 1) / l->window_ns);
}

static bool parse_limit(struct request *r, struct limit *l)
{
	int64_t window_ms;

	if (r->argc > 5) {
		reply_arity(r);
		return false;
	}
	if (!num_parse_i64(r->argv[2], &l->count) || !num_parse_i64(r->argv[3], &window_ms)) {
		reply_not_integer(r);
		return false;
	}
	if (window_ms < 1 || window_ms > LIMIT_WINDOW_MS_MAX) {
		reply_error(r, "ERR the window must be from 1 millisecond to 10 years (315619200000)");
		return false;
	}
	l->window_ns = window_ms * CLOCK_NS_PER_MS;
	if (l->count < 1 || l->count > l->window_ns) {
		reply_error(r, "ERR the limit must be from 1 to one a nanosecond");
		return false;
	}
	return parse_count(r, 4, &l->n);
}

static enum request_result reply_allow(struct request *r, bool is_allowed, int64_t left, int64_t retry_ms)
{
	resp_put_array(r->out, 3);
	resp_put_int(r->out, is_allowed);
	resp_put_int(r->out, left);
	resp_put_int(r->out, retry_ms);
	return REQUEST_DONE;
}

static int64_t ms_up(int64_t ns)
{
	return (ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
}

/* One that this makes is forgotten when its limit has recovered, so that limits by address do not pile up;
 * and none that expires does so before, for that would be a way round the limit. */
static void keep_until(struct request *r, struct txn_key *k, bool was_live, int64_t ahead_ns)
{
	/* What is left of the present millisecond comes on top of it. */
	int64_t at_ms = txn_wall_ms(r->txn) + 1 + ms_up(ahead_ns);

	if (!was_live || (k->expire_at_ms != 0 && k->expire_at_ms < at_ms))
		txn_expire(r->txn, k, at_ms);
}

enum request_result request_shc_allow(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	int64_t now = txn_steady_ns(r->txn), ahead, after;
	bool was_live = k->is_live, is_clamped;
	struct limit l;

	if (!parse_limit(r, &l))
		return REQUEST_DONE;
	/* Not further ahead than a window: that was another limit, or another clock. */
	ahead = k->tat_ns > now ? k->tat_ns - now : 0;
	is_clamped = ahead > l.window_ns;
	if (is_clamped)
		ahead = l.window_ns;
	if (l.n > l.count)
		return reply_allow(r, false, remaining(&l, ahead), -1);
	after = ahead + cost_ns(&l, l.n);
	if (after > l.window_ns) {
		/* Kept, so that what is said about the next try comes true. */
		if (is_clamped)
			k->tat_ns = now + ahead;
		return reply_allow(r, false, remaining(&l, ahead), ms_up(after - l.window_ns));
	}
	if (!txn_incr(k, l.n))
		return reply_overflow(r);
	k->tat_ns = now + after;
	keep_until(r, k, was_live, after);
	return reply_allow(r, true, remaining(&l, after), 0);
}
