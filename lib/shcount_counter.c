/* SPDX-License-Identifier: MIT */
/*
 * shcount_counter.c - one counter, or some to read, in one round trip; on a cluster, redis_counter.c.
 */
#include <stdio.h>
#include <string.h>

#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

/* Refuses a name that is our own in Redis; only for such a one it matters who the server is. Copies it, for
 * it may lie in a reply, which the answer overwrites. */
static enum shc_status check_own_name(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX])
{
	if (!shard_is_own(*name))
		return SHC_OK;
	name->data = memcpy(room, name->data, name->len);
	enum shc_status status = shcount_identify(shc, false);
	return status || !shc->redis ? status : redis_check_name(shc, *name);
}

enum { NAME_WORDS_MAX = 3 };

/* A command on a counter, in a call that has begun. `argv[1]` is its name. */
static enum shc_status name_command(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
				    const struct shc_reply **reply)
{
	struct slice words[NAME_WORDS_MAX];
	char room[NAME_LEN_MAX];
	if (!slice_is_name(argv[1]))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad name: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	memcpy(words, argv, argc * sizeof(*words));
	enum shc_status status = check_own_name(shc, &words[1], room);
	if (status == SHC_OK)
		status = wire_append(&shc->wire, argc, words, is_write);
	return status ? status : shcount_next_reply(shc, reply);
}

enum shc_status shc_incr(struct shc *shc, const char *name, size_t name_len, int64_t delta, int64_t *value)
{
	char digits[NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("INCRBY"),
		{name, name_len},
		{digits, num_format_i64(digits, delta)},
	};
	const struct shc_reply *reply;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK && shcount_on_cluster(shc))
		return redis_incr(shc, argv[1], delta, value);
	if (status == SHC_OK)
		status = name_command(shc, 3, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_INT)
		return shcount_unexpected(shc, true);
	if (value)
		*value = reply->integer;
	return SHC_OK;
}

enum shc_status shc_incr_within(struct shc *shc, const char *name, size_t name_len, int64_t delta,
				int64_t min, int64_t max, int64_t *value)
{
	enum shc_status status = shcount_begin(shc);
	if (status)
		return status;
	if (min == INT64_MIN && max == INT64_MAX)
		return shc_incr(shc, name, name_len, delta, value);
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX]; /* it may lie in a reply, which the answer overwrites */
	if (slice_is_name(s))
		s.data = memcpy(room, name, name_len);
	status = shcount_identify(shc, false);
	if (status)
		return status;
	if (shc->redis)
		return redis_incr_within(shc, s, delta, min, max, value);
	return wire_say(&shc->wire, SHC_USAGE,
			"this server has no bounds for counters: in this version a Redis Cluster has them");
}

/* Of a reply to GET, or an element of one to MGET: SHC_OK, SHC_MISSING with *value 0, SHC_REFUSED when it is
 * no counter, or SHC_PROTOCOL; without a sentence. */
static enum shc_status read_value(const struct shc_reply *reply, int64_t *value)
{
	if (reply->type == SHC_T_NIL) {
		*value = 0;
		return SHC_MISSING;
	}
	if (reply->type != SHC_T_STRING)
		return SHC_PROTOCOL;
	return num_parse_i64((struct slice){reply->data, reply->len}, value) ? SHC_OK : SHC_REFUSED;
}

enum shc_status shc_get(struct shc *shc, const char *name, size_t name_len, int64_t *value)
{
	struct slice argv[] = {slice_str("GET"), {name, name_len}};
	const struct shc_reply *reply;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK && shcount_on_cluster(shc))
		return redis_get(shc, argv[1], value);
	if (status == SHC_OK)
		status = name_command(shc, 2, argv, false, &reply);
	if (status)
		return status;
	int64_t read;
	status = read_value(reply, &read);
	if (status == SHC_PROTOCOL)
		return shcount_unexpected(shc, false);
	if (status == SHC_REFUSED)
		return wire_say(&shc->wire, status, "what is stored under this name is not a counter");
	if (value)
		*value = read;
	return status;
}

static struct slice name_at(const char *const *names, const size_t *name_lens, size_t i)
{
	return name_lens ? (struct slice){names[i], name_lens[i]} : slice_str(names[i]);
}

static enum shc_status append_mget(struct shc *shc, size_t count, const char *const *names,
				   const size_t *name_lens)
{
	struct buf *out = &shc->wire.out;
	size_t out_len = buf_len(out);
	resp_put_array(out, 1 + count);
	resp_put_bulk_str(out, "MGET");
	for (size_t i = 0; i < count; i++) {
		struct slice name = name_at(names, name_lens, i);
		resp_put_bulk(out, name.data, name.len);
	}
	return wire_appended(&shc->wire, out_len, 0, false);
}

/* Looks at all before it writes any, so that the outputs are untouched on failure. */
static enum shc_status take_values(struct shc *shc, const struct shc_reply *reply, size_t count,
				   int64_t *values, bool *is_there)
{
	if (reply->type != SHC_T_ARRAY || reply->count != count)
		return shcount_unexpected(shc, false);
	for (size_t i = 0; i < count; i++) {
		int64_t value;
		enum shc_status status = read_value(&reply->elements[i], &value);
		if (status == SHC_PROTOCOL)
			return shcount_unexpected(shc, false);
		if (status == SHC_REFUSED)
			return wire_say(&shc->wire, status,
					"what is stored under name %zu of %zu is not a counter", i + 1,
					count);
	}
	for (size_t i = 0; i < count; i++) {
		enum shc_status status = read_value(&reply->elements[i], &values[i]);
		if (is_there)
			is_there[i] = status == SHC_OK;
	}
	return SHC_OK;
}

enum shc_status shc_mget(struct shc *shc, size_t count, const char *const *names, const size_t *name_lens,
			 int64_t *values, bool *is_there)
{
	enum shc_status status = shcount_begin(shc);
	if (status || count == 0)
		return status;
	if (count > RESP_ARGS_MAX - 1)
		return wire_say(&shc->wire, SHC_USAGE, "at most %d counters at a time", RESP_ARGS_MAX - 1);
	for (size_t i = 0; i < count; i++) {
		if (!slice_is_name(name_at(names, name_lens, i)))
			return wire_say(&shc->wire, SHC_USAGE,
					"bad name %zu of %zu: 1 to %d bytes without control characters are "
					"expected",
					i + 1, count, NAME_LEN_MAX);
	}
	if (shcount_on_cluster(shc))
		return redis_mget(shc, count, names, name_lens, values, is_there);
	status = append_mget(shc, count, names, name_lens);
	const struct shc_reply *reply;
	if (status == SHC_OK)
		status = shcount_next_reply(shc, &reply);
	return status ? status : take_values(shc, reply, count, values, is_there);
}

enum shc_status shc_set(struct shc *shc, const char *name, size_t name_len, int64_t value)
{
	char digits[NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("SET"),
		{name, name_len},
		{digits, num_format_i64(digits, value)},
	};
	const struct shc_reply *reply;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK && shcount_on_cluster(shc))
		return redis_set(shc, argv[1], value);
	if (status == SHC_OK)
		status = name_command(shc, 3, argv, true, &reply);
	if (status)
		return status;
	bool is_ok = reply->type == SHC_T_STATUS &&
		     slice_equal((struct slice){reply->data, reply->len}, slice_str("OK"));
	return is_ok ? SHC_OK : shcount_unexpected(shc, true);
}

enum shc_status shc_del(struct shc *shc, const char *name, size_t name_len)
{
	struct slice argv[] = {slice_str("DEL"), {name, name_len}};
	const struct shc_reply *reply;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK && shcount_on_cluster(shc))
		return redis_del(shc, argv[1]);
	if (status == SHC_OK)
		status = name_command(shc, 2, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_INT)
		return shcount_unexpected(shc, true);
	return reply->integer > 0 ? SHC_OK : SHC_MISSING;
}
