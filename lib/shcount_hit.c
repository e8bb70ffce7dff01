/* SPDX-License-Identifier: MIT */
/*
 * shcount_hit.c - hits in time and limits, in one round trip; in Redis, redis_hit.c.
 */
#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

static struct slice number(char digits[NUM_I64_CHARS_MAX], int64_t v)
{
	return (struct slice){digits, num_format_i64(digits, v)};
}

/* Whether it is an array of so many integers. */
static bool is_numbers(const struct shc_reply *reply, size_t count)
{
	if (reply->type != SHC_T_ARRAY || reply->count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (reply->elements[i].type != SHC_T_INT)
			return false;
	}
	return true;
}

static enum shc_status check_window(struct shc *shc, int64_t window_ms, int64_t max_ms)
{
	if (window_ms >= 1 && window_ms <= max_ms)
		return SHC_OK;
	return wire_say(&shc->wire, SHC_USAGE, "a window is from 1 ms to %lld days",
			(long long)(max_ms / 86400000));
}

enum shc_status shc_hit(struct shc *shc, const char *name, size_t name_len, int64_t n, int64_t *value)
{
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX], digits[NUM_I64_CHARS_MAX];
	enum shc_status status = shcount_begin(shc);
	if (status)
		return status;
	if (n < 1)
		return wire_say(&shc->wire, SHC_USAGE, "there is at least 1 hit");
	status = shcount_locate(shc, &s, room);
	if (status)
		return status;
	if (shc->redis)
		return redis_hit(shc, s, n, value);
	const struct slice argv[] = {slice_str("SHC.HIT"), s, number(digits, n)};
	const struct shc_reply *reply;
	status = shcount_ask(shc, 3, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_INT)
		return shcount_unexpected(shc, true);
	if (value)
		*value = reply->integer;
	return SHC_OK;
}

enum shc_status shc_hits(struct shc *shc, const char *name, size_t name_len, int64_t window_ms,
			 struct shc_hits *out)
{
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX], digits[NUM_I64_CHARS_MAX];
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = check_window(shc, window_ms, SHC_WINDOW_MS_MAX);
	if (status == SHC_OK)
		status = shcount_locate(shc, &s, room);
	if (status)
		return status;
	if (shc->redis)
		return redis_hits(shc, s, window_ms, out);
	const struct slice argv[] = {slice_str("SHC.HITS"), s, number(digits, window_ms)};
	const struct shc_reply *reply;
	status = shcount_ask(shc, 3, argv, false, &reply);
	if (status)
		return status;
	if (!is_numbers(reply, 2))
		return shcount_unexpected(shc, false);
	*out = (struct shc_hits){reply->elements[0].integer, reply->elements[1].integer};
	return SHC_OK;
}

static enum shc_status check_limit(struct shc *shc, const struct shc_limit *limit, int64_t n)
{
	enum shc_status status = check_window(shc, limit->window_ms, SHC_LIMIT_MS_MAX);
	if (status)
		return status;
	if (limit->count < 1)
		return wire_say(&shc->wire, SHC_USAGE, "a limit is at least 1");
	if (n < 1 || n > limit->count)
		return wire_say(&shc->wire, SHC_USAGE, "from 1 to as many as the limit may be asked for");
	return SHC_OK;
}

/* [0 or 1, remaining, ms to wait]. -1 ms, never, is only said of more than the limit, which is not asked for.
 */
static bool is_allowance(const struct shc_reply *reply)
{
	if (!is_numbers(reply, 3))
		return false;
	int64_t allowed = reply->elements[0].integer;
	return (allowed == 0 || allowed == 1) && reply->elements[1].integer >= 0 &&
	       reply->elements[2].integer >= 0;
}

enum shc_status shc_allow(struct shc *shc, const char *name, size_t name_len, const struct shc_limit *limit,
			  int64_t n, struct shc_allowance *out)
{
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX], digits[3][NUM_I64_CHARS_MAX];
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = check_limit(shc, limit, n);
	if (status == SHC_OK)
		status = shcount_locate(shc, &s, room);
	if (status)
		return status;
	if (shc->redis)
		return redis_allow(shc, s, limit, n, out);
	const struct slice argv[] = {
		slice_str("SHC.ALLOW"),
		s,
		number(digits[0], limit->count),
		number(digits[1], limit->window_ms),
		number(digits[2], n),
	};
	const struct shc_reply *reply;
	status = shcount_ask(shc, 5, argv, true, &reply);
	if (status)
		return status;
	if (!is_allowance(reply))
		return shcount_unexpected(shc, true);
	*out = (struct shc_allowance){reply->elements[0].integer == 1, reply->elements[1].integer,
				      reply->elements[2].integer};
	return SHC_OK;
}
