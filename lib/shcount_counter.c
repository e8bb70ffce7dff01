/* SPDX-License-Identifier: MIT */
/*
 * shcount_counter.c - one counter, or some to read, in one round trip; on a cluster, redis_counter.c.
 */
#include <inttypes.h>
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

static enum shc_status no_name(struct shc *shc)
{
	return wire_say(&shc->wire, SHC_USAGE,
			"bad name: 1 to %d bytes without control characters are expected", NAME_LEN_MAX);
}

enum shc_status shcount_locate(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX])
{
	if (!slice_is_name(*name))
		return no_name(shc);
	name->data = memcpy(room, name->data, name->len);
	return shcount_identify(shc, false);
}

enum shc_status shcount_ask(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
			    const struct shc_reply **reply)
{
	enum shc_status status = wire_append(&shc->wire, argc, argv, is_write);
	return status ? status : shcount_next_reply(shc, reply);
}

enum { NAME_WORDS_MAX = 5 };

/* A command on a counter, in a call that has begun. `argv[1]` is its name. */
static enum shc_status name_command(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
				    const struct shc_reply **reply)
{
	struct slice words[NAME_WORDS_MAX];
	char room[NAME_LEN_MAX];
	if (!slice_is_name(argv[1]))
		return no_name(shc);
	memcpy(words, argv, argc * sizeof(*words));
	enum shc_status status = check_own_name(shc, &words[1], room);
	return status ? status : shcount_ask(shc, argc, words, is_write, reply);
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

/* ---- within bounds ---- */

/* Far less than what a server cannot add to its clock. */
#define TTL_MS_MAX (INT64_MAX / 2)

static enum shc_status check_ttl(struct shc *shc, int64_t ttl_ms, int64_t least_ms)
{
	if (ttl_ms >= least_ms && ttl_ms <= TTL_MS_MAX)
		return SHC_OK;
	return wire_say(&shc->wire, SHC_USAGE, "a counter lives at least 1 ms, and at most 2^62");
}

enum shc_status shcount_passes(struct shc *shc, int64_t now, int64_t delta, const struct shc_bounds *bounds)
{
	bool is_above = (__int128)now + delta > bounds->max;
	return wire_say(&shc->wire, SHC_REFUSED, "the counter is %" PRId64 ": %" PRId64 " more would pass %s",
			now, delta, is_above ? "the most" : "the least");
}

/* SHC.INCR, whose reply is [value, what was added]. */
static enum shc_status incr_within(struct shc *shc, struct slice name, int64_t delta,
				   const struct shc_bounds *bounds, int64_t *value)
{
	const struct {
		const char *word;
		int64_t number, none;
	} options[] = {{"PX", bounds->ttl_ms, 0},
		       {"LBOUND", bounds->min, INT64_MIN},
		       {"UBOUND", bounds->max, INT64_MAX}};
	enum { OPTIONS = sizeof(options) / sizeof(options[0]) };
	char digits[1 + OPTIONS][NUM_I64_CHARS_MAX];
	struct slice argv[3 + 2 * OPTIONS] = {
		slice_str("SHC.INCR"), name, {digits[0], num_format_i64(digits[0], delta)}};
	size_t argc = 3;
	for (size_t i = 0; i < OPTIONS; i++) {
		if (options[i].number == options[i].none)
			continue;
		argv[argc++] = slice_str(options[i].word);
		argv[argc++] =
			(struct slice){digits[1 + i], num_format_i64(digits[1 + i], options[i].number)};
	}
	const struct shc_reply *reply;
	enum shc_status status = shcount_ask(shc, argc, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_ARRAY || reply->count != 2 || reply->elements[0].type != SHC_T_INT ||
	    reply->elements[1].type != SHC_T_INT)
		return shcount_unexpected(shc, true);
	int64_t now = reply->elements[0].integer;
	/* Where there was nothing to add, the value says it. */
	if (reply->elements[1].integer != delta || now < bounds->min || now > bounds->max)
		return shcount_passes(shc, now, delta, bounds);
	if (value)
		*value = now;
	return SHC_OK;
}

enum shc_status shc_incr_within(struct shc *shc, const char *name, size_t name_len, int64_t delta,
				const struct shc_bounds *bounds, int64_t *value)
{
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = check_ttl(shc, bounds->ttl_ms, 0);
	if (status)
		return status;
	if (bounds->min == INT64_MIN && bounds->max == INT64_MAX && bounds->ttl_ms == 0)
		return shc_incr(shc, name, name_len, delta, value);
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX];
	status = shcount_locate(shc, &s, room);
	if (status)
		return status;
	return shc->redis ? redis_incr_within(shc, s, delta, bounds, value)
			  : incr_within(shc, s, delta, bounds, value);
}

/* ---- get ---- */

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

/* ---- set, del ---- */

/* ttl_ms 0: for ever. */
static enum shc_status set(struct shc *shc, struct slice name, int64_t value, int64_t ttl_ms)
{
	char digits[NUM_I64_CHARS_MAX], ttl_digits[NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("SET"),
		name,
		{digits, num_format_i64(digits, value)},
		slice_str("PX"),
		{ttl_digits, num_format_i64(ttl_digits, ttl_ms)},
	};
	if (shcount_on_cluster(shc))
		return redis_set(shc, name, value, ttl_ms);
	const struct shc_reply *reply;
	enum shc_status status = name_command(shc, ttl_ms ? 5 : 3, argv, true, &reply);
	if (status)
		return status;
	bool is_ok = reply->type == SHC_T_STATUS &&
		     slice_equal((struct slice){reply->data, reply->len}, slice_str("OK"));
	return is_ok ? SHC_OK : shcount_unexpected(shc, true);
}

enum shc_status shc_set(struct shc *shc, const char *name, size_t name_len, int64_t value)
{
	enum shc_status status = shcount_begin(shc);
	return status ? status : set(shc, (struct slice){name, name_len}, value, 0);
}

enum shc_status shc_set_ttl(struct shc *shc, const char *name, size_t name_len, int64_t value, int64_t ttl_ms)
{
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = check_ttl(shc, ttl_ms, 1);
	return status ? status : set(shc, (struct slice){name, name_len}, value, ttl_ms);
}

enum shc_status shc_del(struct shc *shc, const char *name, size_t name_len)
{
	struct slice argv[] = {slice_str("DEL"), {name, name_len}};
	char room[NAME_LEN_MAX];
	const struct shc_reply *reply;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK && shcount_on_cluster(shc))
		return redis_del(shc, argv[1]);
	if (status == SHC_OK)
		status = shcount_locate(shc, &argv[1], room);
	if (status == SHC_OK)
		status = name_command(shc, 2, argv, true, &reply);
	if (status)
		return status;
	if (reply->type != SHC_T_INT)
		return shcount_unexpected(shc, true);
	bool was_there = reply->integer > 0;
	if (shc->redis)
		status = redis_forget(shc, 1, &argv[1]);
	if (status)
		return status;
	return was_there ? SHC_OK : SHC_MISSING;
}
