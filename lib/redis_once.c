/* SPDX-License-Identifier: MIT */
/*
 * redis_once.c - additions that look before they add: once under a token, or within bounds. They go to the
 * name itself, in one script with what they look at.
 */
#include "num.h"
#include "redis_impl.h"

#define TOKEN_TTL_MS "86400000" /* 24 h, as shcounterd's token-ttl */

/* [value as a string, 0 or 1] */
static bool read_pair(const struct resp_reply *reply, int64_t *value, bool *is_first)
{
	if (reply->type != RESP_ARRAY || reply->count != 2 || reply->elements[0].type != RESP_BULK ||
	    reply->elements[1].type != RESP_INT)
		return false;
	*is_first = reply->elements[1].i64 == 1;
	return num_parse_i64(reply->elements[0].str, value);
}

static enum shc_status run(struct shc *shc, enum op_kind kind, struct slice name, const struct script *script,
			   size_t argc, const struct slice *argv, int64_t *value, bool *is_done)
{
	const struct resp_reply *reply;
	enum shc_status status = redis_ask_script(shc, kind, slot_of(name), script, argc, argv, &reply);
	if (status)
		return status;
	return read_pair(reply, value, is_done) ? SHC_OK : redis_senseless(shc, true);
}

static enum shc_status add_once(struct shc *shc, struct slice token, struct slice name, int64_t delta,
				int64_t *value, bool *is_applied)
{
	const char *tag = redis_tag(shc->redis, slot_of(name));
	if (!tag)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	struct shard_key key;
	char digits[NUM_I64_CHARS_MAX];
	shard_token(&key, tag, token, name);
	const struct slice argv[] = {
		slice_str("2"),		 name, shard_slice(&key), {digits, num_format_i64(digits, delta)},
		slice_str(TOKEN_TTL_MS),
	};
	return run(shc, OP_REPEATABLE, name, &script_once, 5, argv, value, is_applied);
}

enum shc_status redis_once(struct shc *shc, struct slice token, struct slice name, int64_t delta,
			   bool is_durable, int64_t *value, bool *is_applied)
{
	struct shard_count count;
	int64_t now = 0;
	bool is_first = false, was_first = false, is_lost = false;
	char token_room[NAME_LEN_MAX];
	token.data = memcpy(token_room, token.data, token.len);
	char room[NAME_LEN_MAX];
	enum shc_status status = redis_begin_addition(shc, &name, room, true, &count);
	if (status)
		return status;
	do { /* a node that was lost before a replica had it is asked again */
		bool was_lost = is_lost;
		is_lost = false;
		status = add_once(shc, token, name, delta, &now, &is_first);
		if (status == SHC_UNREACHABLE && was_lost)
			return wire_say(&shc->wire, SHC_IN_DOUBT,
					"%s; it was counted by a server that is gone",
					cluster_error(shc->redis->cluster));
		was_first |= is_first;
		if (status == SHC_OK && is_durable)
			status = redis_wait(shc, &is_lost);
	} while (is_lost && !cluster_is_over(shc->redis->cluster));
	__int128 sum = now;
	if (status == SHC_OK && value)
		status = redis_sum(shc, name, &count, &now, &sum);
	if (status)
		return status;
	if (!redis_to_i64(sum, &now))
		return wire_say(&shc->wire, SHC_IN_DOUBT,
				"counted, but the sum of this counter's parts leaves 64 bits");
	if (value)
		*value = now;
	if (is_applied)
		*is_applied = was_first;
	return SHC_OK;
}

enum shc_status redis_incr_within(struct shc *shc, struct slice name, int64_t delta,
				  const struct shc_bounds *bounds, int64_t *value)
{
	struct shard_count count;
	char texts[4][NUM_I64_CHARS_MAX];
	int64_t now;
	bool is_done;
	char room[NAME_LEN_MAX];
	enum shc_status status = redis_begin_counter(shc, &name, room, false, &count);
	if (status == SHC_OK)
		status = redis_in_one_place(shc, &count, bounds->ttl_ms ? "expire" : "be held within bounds");
	if (status)
		return status;
	const struct slice argv[] = {
		slice_str("1"),
		name,
		{texts[0], num_format_i64(texts[0], delta)},
		{texts[1], num_format_i64(texts[1], bounds->min)},
		{texts[2], num_format_i64(texts[2], bounds->max)},
		{texts[3], num_format_i64(texts[3], bounds->ttl_ms)},
	};
	status = run(shc, OP_WRITE, name, &script_bound, 6, argv, &now, &is_done);
	if (status)
		return status;
	if (!is_done)
		return shcount_passes(shc, now, delta, bounds);
	if (value)
		*value = now;
	return SHC_OK;
}
