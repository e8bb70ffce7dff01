/* SPDX-License-Identifier: MIT */
/*
 * request_bound.c - additions within bounds: INCREX as Redis 8.8 and Valkey 9.2 document it, for integers,
 * and SHC.INCR, whose expiry is for a counter that it makes. Pure computing on staged keys.
 */
#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"

struct addition {
	int64_t delta, low, high;
	bool is_saturating;
};

/* False: the sum lies outside, and the bounds are not to be kept to. *out is the value afterwards. */
static bool sum_within(const struct addition *a, int64_t value, int64_t *out)
{
	int64_t sum;
	/* Beyond 64 bits is beyond any bound. */
	bool is_beyond = __builtin_add_overflow(value, a->delta, &sum);
	bool is_high = is_beyond ? a->delta > 0 : sum > a->high;
	bool is_low = is_beyond ? a->delta < 0 : sum < a->low;

	*out = is_high ? a->high : is_low ? a->low : sum;
	return a->is_saturating || (!is_high && !is_low);
}

static enum request_result reply_pair(struct request *r, int64_t value, int64_t applied)
{
	resp_put_array(r->out, 2);
	resp_put_int(r->out, value);
	resp_put_int(r->out, applied);
	return REQUEST_DONE;
}

/* Adds, and says what has become of it; `done`: it was added. */
static enum request_result add_within(struct request *r, const struct addition *a, bool *done)
{
	struct txn_key *k = request_key(r, 0);
	int64_t before = k->value, after, applied;

	*done = sum_within(a, before, &after);
	if (!*done)
		return reply_pair(r, before, 0);
	/* From one end of 64 bits to a bound at the other. */
	if (__builtin_sub_overflow(after, before, &applied)) {
		*done = false;
		return reply_error(r, "ERR applied increment would overflow");
	}
	(void)txn_incr(k, applied); /* it fits */
	return reply_pair(r, after, applied);
}

/* A number behind a word that names it in the error. False: the error was put. */
static bool parse_number(struct request *r, struct slice text, const char *what, int64_t *out)
{
	if (num_parse_i64(text, out))
		return true;
	resp_put_errorf(r->out, "ERR %s is not an integer or out of range", what);
	return false;
}

static bool is_order_right(struct request *r, const struct addition *a)
{
	if (a->low > a->high)
		reply_error(r, "ERR LBOUND can't be greater than UBOUND");
	return a->low <= a->high;
}

/* ---- INCREX ---- */

/* Words by where they stand; 0: not given. Each may be given once. */
struct increx {
	size_t by, low, high, moment;
	struct moment_unit unit;
	bool is_saturating, is_persist, is_enx;
};

static bool take_number(const struct request *r, size_t *i, size_t *at)
{
	if (*at || *i + 1 >= r->argc)
		return false;
	*at = ++*i;
	return true;
}

static bool take_flag(bool *flag)
{
	bool is_first = !*flag;

	*flag = true;
	return is_first;
}

/* The option at argv[*i]; *i moves onto its value. */
static bool parse_option(const struct request *r, size_t *i, struct increx *x)
{
	struct slice word = r->argv[*i];
	struct moment_unit unit;

	if (slice_is_word(word, "byint"))
		return take_number(r, i, &x->by);
	if (slice_is_word(word, "lbound"))
		return take_number(r, i, &x->low);
	if (slice_is_word(word, "ubound"))
		return take_number(r, i, &x->high);
	if (slice_is_word(word, "saturate"))
		return take_flag(&x->is_saturating);
	if (slice_is_word(word, "persist"))
		return take_flag(&x->is_persist);
	if (slice_is_word(word, "enx"))
		return take_flag(&x->is_enx);
	if (!request_is_moment(word, &unit))
		return false;
	x->unit = unit;
	return take_number(r, i, &x->moment);
}

/* 0, or an error was put. */
static int parse_increx(struct request *r, struct increx *x)
{
	*x = (struct increx){0};
	for (size_t i = 2; i < r->argc; i++) {
		if (slice_is_word(r->argv[i], "byfloat")) {
			reply_error(r, "ERR BYFLOAT is not supported: counters are integers");
			return -1;
		}
		if (!parse_option(r, &i, x)) {
			reply_syntax(r);
			return -1;
		}
	}
	if (x->is_persist && (x->moment || x->is_enx)) {
		reply_syntax(r);
		return -1;
	}
	if (x->is_enx && !x->moment) {
		reply_error(r, "ERR ENX flag requires an expiration");
		return -1;
	}
	return 0;
}

enum request_result request_increx(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	struct addition a = {.delta = 1, .low = INT64_MIN, .high = INT64_MAX};
	enum request_result result;
	struct increx x;
	int64_t at_ms = 0;
	bool done;

	if (parse_increx(r, &x) || (x.by && !parse_number(r, r->argv[x.by], "Increment", &a.delta)) ||
	    (x.low && !parse_number(r, r->argv[x.low], "LBOUND", &a.low)) ||
	    (x.high && !parse_number(r, r->argv[x.high], "UBOUND", &a.high)) || !is_order_right(r, &a) ||
	    (x.moment && !request_parse_moment(r, r->argv[x.moment], x.unit, &at_ms)))
		return REQUEST_DONE;
	a.is_saturating = x.is_saturating;
	result = add_within(r, &a, &done);
	if (done && (x.is_persist || (x.moment && !(x.is_enx && k->expire_at_ms))))
		txn_expire(r->txn, k, at_ms);
	return result;
}

/* ---- SHC.INCR ---- */

enum request_result request_shc_incr(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	struct addition a = {.low = INT64_MIN, .high = INT64_MAX};
	const struct moment_unit unit = {.is_seconds = false};
	bool was_live = k->is_live, done;
	enum request_result result;
	struct increx x = {0};
	int64_t at_ms = 0, sum;

	for (size_t i = 3; i < r->argc; i++)
		if (!parse_option(r, &i, &x))
			return reply_syntax(r);
	if (x.by || x.is_saturating || x.is_persist || x.is_enx || x.unit.is_seconds || x.unit.is_absolute)
		return reply_syntax(r);
	if (!parse_number(r, r->argv[2], "Increment", &a.delta) ||
	    (x.low && !parse_number(r, r->argv[x.low], "LBOUND", &a.low)) ||
	    (x.high && !parse_number(r, r->argv[x.high], "UBOUND", &a.high)) || !is_order_right(r, &a) ||
	    (x.moment && !request_parse_moment(r, r->argv[x.moment], unit, &at_ms)))
		return REQUEST_DONE;
	/* Beyond 64 bits is an error, as of INCRBY, where no bound that was given lies before it. */
	if ((a.delta > 0 ? !x.high : !x.low) && !num_add_i64(k->value, a.delta, &sum))
		return reply_overflow(r);
	result = add_within(r, &a, &done);
	if (done && x.moment && !was_live)
		txn_expire(r->txn, k, at_ms);
	return result;
}
