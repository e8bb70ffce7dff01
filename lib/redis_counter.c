/* SPDX-License-Identifier: MIT */
/*
 * redis_counter.c - one counter, or some, in one or two rounds.
 */
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "redis_impl.h"

static enum shc_status too_large(struct shc *shc)
{
	return wire_say(&shc->wire, SHC_REFUSED, "the sum of this counter's parts leaves 64 bits");
}

/* ---- get ---- */

enum { TAG_COUNT, TAG_VALUE, TAGS };

struct reading {
	__int128 sum;
	unsigned most;
	bool is_there;
};

struct mget {
	struct round round;
	size_t count;
	struct reading *readings;
};

static enum shc_status no_counter(const struct mget *m, size_t i)
{
	if (m->count == 1)
		return wire_say(&m->round.shc->wire, SHC_REFUSED,
				"what is stored under this name, or in a part of it, is not a counter");
	return wire_say(&m->round.shc->wire, SHC_REFUSED,
			"what is stored under name %zu of %zu, or in a part of it, is not a counter", i + 1,
			m->count);
}

static void take_value(struct mget *m, size_t i, const struct resp_reply *reply)
{
	int64_t value;
	if (reply->type == RESP_NULL)
		return;
	if (reply->type != RESP_BULK || !num_parse_i64(reply->str, &value)) {
		m->round.status = no_counter(m, i);
		return;
	}
	m->readings[i].sum += value;
	m->readings[i].is_there = true;
}

static void take_reading(void *arg, const struct op *op, enum shc_status status,
			 const struct resp_reply *reply)
{
	struct mget *m = arg;
	size_t i = op->tag / TAGS;
	struct shard_count count;
	if (!round_took(&m->round, status)) {
		if (op->tag % TAGS == TAG_COUNT)
			redis_denied_table(m->round.shc, status);
		return;
	}
	if (op->tag % TAGS == TAG_VALUE)
		take_value(m, i, reply);
	else if (reply->type == RESP_BULK && shard_read_count(reply->str, &count))
		m->readings[i].most = count.most;
}

static bool put_count(struct mget *m, struct slice name, size_t i)
{
	unsigned slot = slot_of(name);
	const char *tag = redis_tag(m->round.shc->redis, slot);
	if (!tag)
		return round_took(&m->round, SHC_MEMORY);
	struct shard_key table;
	shard_table(&table, tag);
	const struct slice argv[] = {slice_str("HGET"), shard_slice(&table), name};
	return round_put(&m->round, OP_READ, slot, take_reading, m, i * TAGS + TAG_COUNT, 3, argv);
}

static bool put_value(struct mget *m, struct slice key, size_t i)
{
	const struct slice argv[] = {slice_str("GET"), key};
	return round_put(&m->round, OP_READ, slot_of(key), take_reading, m, i * TAGS + TAG_VALUE, 2, argv);
}

static struct slice name_at(const char *const *names, const size_t *name_lens, size_t i)
{
	return name_lens ? (struct slice){names[i], name_lens[i]} : slice_str(names[i]);
}

/* First which have parts, and their own key; then the parts. An addition that was acknowledged before this
 * began went to a part that the table, read after, tells of. */
static enum shc_status read_all(struct mget *m, size_t count, const char *const *names,
				const size_t *name_lens)
{
	bool is_cluster = redis_is_cluster(m->round.shc), is_on = true;
	for (size_t i = 0; i < count && is_on; i++) {
		struct slice name = name_at(names, name_lens, i);
		is_on = (!is_cluster || put_count(m, name, i)) && put_value(m, name, i);
	}
	if (round_run(&m->round))
		return m->round.status;
	for (size_t i = 0; i < count && is_on; i++) {
		for (unsigned k = 1; m->readings[i].most > 1 && k <= m->readings[i].most && is_on; k++) {
			struct shard_key key;
			shard_part(&key, name_at(names, name_lens, i), k);
			is_on = put_value(m, shard_slice(&key), i);
		}
	}
	return round_run(&m->round);
}

static enum shc_status give_all(const struct mget *m, size_t count, int64_t *values, bool *is_there)
{
	int64_t value;
	for (size_t i = 0; i < count; i++) {
		if (!redis_to_i64(m->readings[i].sum, &value))
			return too_large(m->round.shc);
	}
	for (size_t i = 0; i < count; i++) {
		(void)redis_to_i64(m->readings[i].sum, &values[i]);
		if (is_there)
			is_there[i] = m->readings[i].is_there;
	}
	return SHC_OK;
}

enum shc_status redis_mget(struct shc *shc, size_t count, const char *const *names, const size_t *name_lens,
			   int64_t *values, bool *is_there)
{
	for (size_t i = 0; i < count; i++) {
		enum shc_status status = redis_check_name(shc, name_at(names, name_lens, i));
		if (status)
			return status;
	}
	struct mget m = {
		.round = {.shc = shc}, .count = count, .readings = calloc(count, sizeof(*m.readings))};
	if (!m.readings)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	redis_begin(shc, false);
	enum shc_status status = read_all(&m, count, names, name_lens);
	if (status == SHC_OK)
		status = give_all(&m, count, values, is_there);
	free(m.readings);
	return status;
}

enum shc_status redis_get(struct shc *shc, struct slice name, int64_t *value)
{
	int64_t read;
	bool is_there;
	enum shc_status status = redis_mget(shc, 1, &name.data, &name.len, &read, &is_there);
	if (status)
		return status;
	if (value)
		*value = read;
	return is_there ? SHC_OK : SHC_MISSING;
}

/* ---- incr ---- */

static enum shc_status add_to(struct shc *shc, struct slice key, int64_t delta, int64_t *value)
{
	char digits[NUM_I64_CHARS_MAX];
	const struct slice argv[] = {slice_str("INCRBY"), key, {digits, num_format_i64(digits, delta)}};
	const struct resp_reply *reply;
	enum shc_status status = redis_ask(shc, OP_WRITE, slot_of(key), 3, argv, &reply);
	if (status)
		return status;
	if (reply->type != RESP_INT)
		return redis_senseless(shc, true);
	*value = reply->i64;
	return SHC_OK;
}

/* The sum of the parts would leave 64 bits, which shows only when it is read: as if it had been refused. */
static enum shc_status take_back(struct shc *shc, struct slice key, int64_t delta)
{
	int64_t part;
	bool can_be = delta != INT64_MIN;
	if (can_be && add_to(shc, key, -delta, &part) == SHC_OK)
		return wire_say(&shc->wire, SHC_REFUSED, "ERR increment or decrement would overflow");
	return wire_say(&shc->wire, SHC_IN_DOUBT,
			"counted, but the sum of this counter's parts leaves 64 bits now");
}

enum shc_status redis_incr(struct shc *shc, struct slice name, int64_t delta, int64_t *value)
{
	struct shard_count count;
	int64_t part;
	char room[NAME_LEN_MAX];
	enum shc_status status = redis_begin_addition(shc, &name, room, false, &count);
	if (status)
		return status;
	struct shard_key key;
	shard_part(&key, name, redis_choose(shc->redis, name, &count));
	status = add_to(shc, shard_slice(&key), delta, &part);
	__int128 sum = status ? 0 : part;
	if (status == SHC_OK && count.most > 1 && value)
		status = redis_sum(shc, name, &count, NULL, &sum);
	if (status)
		return status;
	int64_t whole;
	if (!redis_to_i64(sum, &whole))
		return take_back(shc, shard_slice(&key), delta);
	if (value)
		*value = whole;
	return SHC_OK;
}

/* ---- set, del ---- */

struct deleting {
	struct round round;
	bool was_there;
	bool has_begun; /* something of the counter is changed */
};

static void take_deleted(void *arg, const struct op *op, enum shc_status status,
			 const struct resp_reply *reply)
{
	struct deleting *d = arg;
	(void)op;
	if (!round_took(&d->round, status))
		return;
	d->was_there |= reply->type == RESP_INT && reply->i64 > 0;
	d->has_begun = true;
}

static bool put_del(struct deleting *d, struct slice name, unsigned k)
{
	struct shard_key key;
	shard_part(&key, name, k);
	const struct slice argv[] = {slice_str("DEL"), shard_slice(&key)};
	return round_put(&d->round, OP_WRITE, slot_of(argv[1]), take_deleted, d, k, 2, argv);
}

enum shc_status redis_extras(struct shc *shc, struct slice name, struct shard_key keys[SHARD_EXTRAS])
{
	enum shc_status status = redis_check_name(shc, name);
	if (status)
		return status;
	const char *tag = redis_tag(shc->redis, slot_of(name));
	if (!tag)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	for (enum shard_extra e = 0; e < SHARD_EXTRAS; e++)
		shard_extra(&keys[e], tag, e, name);
	return SHC_OK;
}

enum { FORGET_MAX = 64 /* names in one request */ };

static enum shc_status forget_some(struct shc *shc, size_t count, const struct slice *names,
				   struct shard_key (*keys)[SHARD_EXTRAS])
{
	struct slice argv[1 + FORGET_MAX * SHARD_EXTRAS] = {slice_str("DEL")};
	size_t argc = 1;
	for (size_t i = 0; i < count; i++) {
		enum shc_status status = redis_extras(shc, names[i], keys[i]);
		if (status)
			return status;
		for (size_t e = 0; e < SHARD_EXTRAS; e++)
			argv[argc++] = shard_slice(&keys[i][e]);
	}
	const struct shc_reply *reply;
	/* It may be done again, so a lost connection is no reason to give up. */
	enum shc_status status = shcount_ask(shc, argc, argv, false, &reply);
	return status == SHC_DENIED ? SHC_OK : status;
}

enum shc_status redis_forget(struct shc *shc, size_t count, const struct slice *names)
{
	size_t at_once = count < FORGET_MAX ? count : FORGET_MAX;
	struct shard_key(*keys)[SHARD_EXTRAS] = calloc(at_once, sizeof(*keys));
	enum shc_status status = SHC_OK;
	if (!keys)
		return wire_say(&shc->wire, SHC_IN_DOUBT, "out of memory; hits and limits are not deleted");
	for (size_t i = 0; i < count && status == SHC_OK; i += at_once)
		status = forget_some(shc, count - i < at_once ? count - i : at_once, names + i, keys);
	free(keys);
	if (status == SHC_OK)
		return SHC_OK;
	char why[sizeof(shc->wire.error)];
	memcpy(why, shc->wire.error, sizeof(why));
	return wire_say(&shc->wire, SHC_IN_DOUBT,
			"%.200s; the value is deleted, hits and limits may not be: run it again", why);
}

static void take_extra(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct deleting *d = arg;
	(void)op;
	(void)reply;
	(void)round_took(&d->round, status);
}

static void put_del_extras(struct deleting *d, struct slice name)
{
	struct shard_key keys[SHARD_EXTRAS];
	if (!round_took(&d->round, redis_extras(d->round.shc, name, keys)))
		return;
	for (size_t i = 0; i < SHARD_EXTRAS; i++) {
		const struct slice argv[] = {slice_str("DEL"), shard_slice(&keys[i])};
		if (!round_put(&d->round, OP_REPEATABLE, slot_of(name), take_extra, d, 0, 2, argv))
			break;
	}
}

/* Parts from `first` to most; a name without parts has only part 0. The table keeps its entry: somebody may
 * be adding to a part at this moment, which must not be out of sight. */
static enum shc_status delete_parts(struct deleting *d, struct slice name, unsigned first,
				    const struct shard_count *count)
{
	unsigned last = count->most > 1 ? count->most : 0;
	for (unsigned k = first; k <= last; k++) {
		if (!put_del(d, name, k))
			break;
	}
	enum shc_status status = round_run(&d->round);
	if (status == SHC_OK || !d->has_begun)
		return status;
	char why[sizeof(d->round.shc->wire.error)];
	memcpy(why, d->round.shc->wire.error, sizeof(why));
	return wire_say(&d->round.shc->wire, SHC_IN_DOUBT,
			"%.200s; some parts of this counter are changed, others are "
			"not: run it again",
			why);
}

enum shc_status redis_del(struct shc *shc, struct slice name)
{
	struct shard_count count;
	struct deleting d = {.round = {.shc = shc}};
	char room[NAME_LEN_MAX];
	enum shc_status status = redis_begin_counter(shc, &name, room, false, &count);
	if (status)
		return status;
	put_del_extras(&d, name);
	status = delete_parts(&d, name, 0, &count);
	if (status)
		return status;
	return d.was_there ? SHC_OK : SHC_MISSING;
}

enum shc_status redis_set(struct shc *shc, struct slice name, int64_t value, int64_t ttl_ms)
{
	struct shard_count count;
	struct deleting d = {.round = {.shc = shc}, .has_begun = true};
	char room[NAME_LEN_MAX], digits[NUM_I64_CHARS_MAX], ttl_digits[NUM_I64_CHARS_MAX];
	enum shc_status status = redis_begin_counter(shc, &name, room, false, &count);
	if (status == SHC_OK && ttl_ms)
		status = redis_in_one_place(shc, &count, "expire");
	if (status)
		return status;
	const struct slice argv[] = {slice_str("SET"),
				     name,
				     {digits, num_format_i64(digits, value)},
				     slice_str("PX"),
				     {ttl_digits, num_format_i64(ttl_digits, ttl_ms)}};
	const struct resp_reply *reply;
	status = redis_ask(shc, OP_WRITE, slot_of(name), ttl_ms ? 5 : 3, argv, &reply);
	if (status)
		return status;
	return reply->type == RESP_SIMPLE ? delete_parts(&d, name, 1, &count) : redis_senseless(shc, true);
}

/* ---- erase ---- */

static void take_erased(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	(void)op;
	(void)reply;
	(void)round_took(arg, status);
}

static enum shc_status want_counts(struct shc *shc, size_t count, const char *const *names)
{
	uint16_t *slots = reallocarray(NULL, count, sizeof(*slots));
	if (!slots)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	for (size_t i = 0; i < count; i++)
		slots[i] = (uint16_t)slot_of(slice_str(names[i]));
	enum shc_status status = counts_want(shc, slots, count);
	free(slots);
	return status;
}

/* Of a counter with parts, the entry in its slot's table too. */
static bool put_erase(struct round *round, struct slice name, unsigned most)
{
	struct shard_key key;
	bool is_on = true;
	for (unsigned k = 0; k <= (most > 1 ? most : 0) && is_on; k++) {
		shard_part(&key, name, k);
		const struct slice argv[] = {slice_str("DEL"), shard_slice(&key)};
		is_on = round_put(round, OP_REPEATABLE, slot_of(argv[1]), take_erased, round, k, 2, argv);
	}
	if (!is_on || most == 1)
		return is_on;
	const char *tag = redis_tag(round->shc->redis, slot_of(name));
	if (!tag)
		return round_took(round, SHC_MEMORY);
	shard_table(&key, tag);
	const struct slice argv[] = {slice_str("HDEL"), shard_slice(&key), name};
	return round_put(round, OP_REPEATABLE, slot_of(name), take_erased, round, 0, 3, argv);
}

enum shc_status redis_erase(struct shc *shc, size_t count, const char *const *names)
{
	struct round round = {.shc = shc};
	redis_begin(shc, false);
	enum shc_status status = want_counts(shc, count, names);
	if (status)
		return status;
	for (size_t i = 0; i < count; i++) {
		struct slice name = slice_str(names[i]);
		if (!put_erase(&round, name, counts_find(shc->redis, name).most))
			break;
	}
	return round_run(&round);
}

/* ---- any command, the replicas ---- */

enum shc_status redis_command(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
			      const struct resp_reply **reply)
{
	unsigned slot = argc > 1 ? slot_of(argv[1]) : arc4random_uniform(SLOT_COUNT);
	redis_begin(shc, false);
	return redis_ask(shc, is_write ? OP_WRITE : OP_READ, slot, argc, argv, reply);
}

enum shc_status redis_sync(struct shc *shc)
{
	bool is_lost;
	redis_begin(shc, false);
	return redis_wait(shc, &is_lost);
}
