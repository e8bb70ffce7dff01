/* SPDX-License-Identifier: MIT */
/*
 * redis_hit.c - hits in time, and rate limits. Both add to the name itself, in one script with what they keep
 * beside it, in its slot.
 */
#include "hits.h"
#include "num.h"
#include "redis_impl.h"

static struct slice number(char digits[NUM_I64_CHARS_MAX], int64_t v)
{
	return (struct slice){digits, num_format_i64(digits, v)};
}

/* ---- hit ---- */

static enum shc_status add_hits(struct shc *shc, struct slice name, int64_t n, int64_t *own)
{
	struct shard_key keys[SHARD_EXTRAS];
	char digits[NUM_I64_CHARS_MAX];
	enum shc_status status = redis_extras(shc, name, keys);
	if (status)
		return status;
	const struct slice argv[] = {
		slice_str("4"),
		name,
		shard_slice(&keys[SHARD_SECONDS]),
		shard_slice(&keys[SHARD_MINUTES]),
		shard_slice(&keys[SHARD_HOURS]),
		number(digits, n),
	};
	const struct resp_reply *reply;
	status = redis_ask_script(shc, OP_WRITE, slot_of(name), &script_hit, 6, argv, &reply);
	if (status)
		return status;
	if (reply->type != RESP_BULK || !num_parse_i64(reply->str, own))
		return redis_senseless(shc, true);
	return SHC_OK;
}

enum shc_status redis_hit(struct shc *shc, struct slice name, int64_t n, int64_t *value)
{
	struct shard_count count;
	char room[NAME_LEN_MAX];
	int64_t own;
	enum shc_status status = redis_begin_counter(shc, &name, room, false, &count);
	if (status == SHC_OK)
		status = add_hits(shc, name, n, &own);
	__int128 sum = 0;
	if (status == SHC_OK && value)
		status = redis_sum(shc, name, &count, &own, &sum);
	if (status || !value)
		return status;
	if (!redis_to_i64(sum, value))
		return wire_say(&shc->wire, SHC_IN_DOUBT,
				"counted, but the sum of this counter's parts leaves 64 bits");
	return SHC_OK;
}

/* ---- hits ---- */

struct counting {
	struct round round;
	enum hits_level level;
	int64_t window_ms;
	bool is_there; /* the counter: what another one of that name has left behind does not count */
	int64_t hits;
};

static void take_there(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct counting *c = arg;
	(void)op;
	if (round_took(&c->round, status))
		c->is_there = reply->type == RESP_INT && reply->i64 > 0;
}

/* [clock, level] */
static void take_level(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct counting *c = arg;
	int64_t now_s;
	(void)op;
	if (!round_took(&c->round, status))
		return;
	bool is_level = reply->type == RESP_ARRAY && reply->count == 2 &&
			reply->elements[0].type == RESP_BULK && reply->elements[1].type == RESP_BULK &&
			num_parse_i64(reply->elements[0].str, &now_s) &&
			hits_sum(reply->elements[1].str, c->level, c->window_ms, now_s, &c->hits);
	if (!is_level)
		c->round.status = wire_say(&c->round.shc->wire, SHC_REFUSED,
					   "what is stored as the hits of this counter is none");
}

/* Each for itself, so that what is being moved to another node is found wherever it is. */
static enum shc_status count(struct counting *c, struct slice name)
{
	static const enum shard_extra extras[] = {SHARD_SECONDS, SHARD_MINUTES, SHARD_HOURS};
	struct shard_key keys[SHARD_EXTRAS];
	unsigned slot = slot_of(name);
	enum shc_status status = redis_extras(c->round.shc, name, keys);
	if (status)
		return status;
	const struct slice exists[] = {slice_str("EXISTS"), name};
	const struct slice read[] = {slice_str("1"), shard_slice(&keys[extras[c->level]])};
	if (round_put(&c->round, OP_READ, slot, take_there, c, 0, 2, exists))
		(void)round_put_script(&c->round, OP_READ, slot, &script_hits, take_level, c, 0, 2, read);
	return round_run(&c->round);
}

enum shc_status redis_hits(struct shc *shc, struct slice name, int64_t window_ms, struct shc_hits *out)
{
	struct counting c = {
		.round = {.shc = shc}, .level = hits_level_of(window_ms), .window_ms = window_ms};
	redis_begin(shc, false);
	enum shc_status status = count(&c, name);
	if (status)
		return status;
	out->hits = c.is_there ? c.hits : 0;
	out->resolution_ms = hits_resolution_ms(c.level);
	return SHC_OK;
}

/* ---- allow ---- */

enum { US_PER_MS = 1000 };

/* What script_allow calculates with, exact: its numbers are doubles. */
struct worth {
	int64_t window_us;
	__int128 whole;	  /* of n, as a fraction of limit->count: microseconds times that */
	int64_t us, part; /* the same, as the script takes it */
};

static struct worth worth_of(const struct shc_limit *limit, int64_t n)
{
	struct worth w = {.window_us = limit->window_ms * US_PER_MS};
	w.whole = (__int128)n * w.window_us;
	w.us = (int64_t)(w.whole / limit->count);
	w.part = (int64_t)(w.whole % limit->count);
	return w;
}

/* [0 or 1, debt, part]; both are what they are now, when it is allowed after it. */
static bool read_answer(const struct resp_reply *reply, const struct shc_limit *limit, const struct worth *w,
			struct shc_allowance *out)
{
	int64_t debt_us, part;
	if (reply->type != RESP_ARRAY || reply->count != 3 || reply->elements[0].type != RESP_INT ||
	    reply->elements[1].type != RESP_BULK || reply->elements[2].type != RESP_BULK ||
	    !num_parse_i64(reply->elements[1].str, &debt_us) || !num_parse_i64(reply->elements[2].str, &part))
		return false;
	int64_t allowed = reply->elements[0].i64;
	if ((allowed != 0 && allowed != 1) || debt_us < 0 || debt_us > w->window_us || part < 0 ||
	    part >= limit->count)
		return false;
	__int128 free = (__int128)(w->window_us - debt_us) * limit->count - part;
	__int128 missing = w->whole - free;
	__int128 per_ms = (__int128)limit->count * US_PER_MS;
	out->is_allowed = allowed == 1;
	out->remaining = free > 0 ? (int64_t)(free / w->window_us) : 0;
	out->retry_after_ms = out->is_allowed ? 0 : (int64_t)((missing + per_ms - 1) / per_ms);
	return true;
}

static enum shc_status ask_allowance(struct shc *shc, struct slice name, const struct shc_limit *limit,
				     int64_t n, struct shc_allowance *out)
{
	struct shard_key keys[SHARD_EXTRAS];
	enum shc_status status = redis_extras(shc, name, keys);
	if (status)
		return status;
	const struct worth w = worth_of(limit, n);
	char digits[5][NUM_I64_CHARS_MAX];
	const struct slice argv[] = {
		slice_str("2"),
		name,
		shard_slice(&keys[SHARD_LIMIT]),
		number(digits[0], n),
		number(digits[1], w.window_us),
		number(digits[2], w.us),
		number(digits[3], w.part),
		number(digits[4], limit->count),
	};
	const struct resp_reply *reply;
	status = redis_ask_script(shc, OP_WRITE, slot_of(name), &script_allow, 8, argv, &reply);
	if (status)
		return status;
	return read_answer(reply, limit, &w, out) ? SHC_OK : redis_senseless(shc, true);
}

enum shc_status redis_allow(struct shc *shc, struct slice name, const struct shc_limit *limit, int64_t n,
			    struct shc_allowance *out)
{
	struct shard_count parts;
	char room[NAME_LEN_MAX];
	if (limit->count > REDIS_LIMIT_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "a limit of more than 10^15 is not for Redis");
	enum shc_status status = redis_begin_counter(shc, &name, room, false, &parts);
	if (status == SHC_OK)
		status = redis_in_one_place(shc, &parts, "have a limit");
	return status ? status : ask_allowance(shc, name, limit, n, out);
}
