/* SPDX-License-Identifier: MIT */
/*
 * redis_parts.c - into how many parts a counter goes, and which of them is added to.
 */
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "redis_impl.h"

/* ---- one name ---- */

/* Also of a reply that is none: then the name has no parts. */
static struct shard_count count_of(const struct resp_reply *reply)
{
	struct shard_count count = {1, 1};
	if (reply && reply->type == RESP_BULK)
		(void)shard_read_count(reply->str, &count);
	return count;
}

/* The table of the slot that a name lies in. */
static enum shc_status table_of(struct shc *shc, struct slice name, struct shard_key *out)
{
	const char *tag = redis_tag(shc->redis, slot_of(name));
	if (!tag)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	shard_table(out, tag);
	return SHC_OK;
}

enum shc_status redis_denied_table(struct shc *shc, enum shc_status status)
{
	static const char noperm[] = "NOPERM";
	char why[sizeof(shc->wire.error)];
	if (status != SHC_DENIED || strncmp(shc->wire.error, noperm, sizeof(noperm) - 1) != 0 ||
	    strstr(shc->wire.error, "shc:*"))
		return status;
	memcpy(why, shc->wire.error, sizeof(why));
	return wire_say(&shc->wire, status,
			"%.180s; beside the keys of its counters a user needs shc:* here: what is spread is "
			"written there",
			why);
}

static enum shc_status look_up(struct shc *shc, struct slice name, struct shard_count *out)
{
	struct shard_key table;
	const struct resp_reply *reply;
	enum shc_status status = table_of(shc, name, &table);
	if (status)
		return status;
	const struct slice argv[] = {slice_str("HGET"), shard_slice(&table), name};
	status = redis_ask(shc, OP_READ, slot_of(name), 3, argv, &reply);
	if (status == SHC_OK)
		*out = count_of(reply);
	return redis_denied_table(shc, status);
}

enum shc_status redis_begin_counter(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX],
				    bool is_patient, struct shard_count *count)
{
	enum shc_status status = redis_check_name(shc, *name);
	if (status)
		return status;
	name->data = memcpy(room, name->data, name->len);
	*count = (struct shard_count){1, 1};
	redis_begin(shc, is_patient);
	return redis_is_cluster(shc) ? look_up(shc, *name, count) : SHC_OK;
}

enum shc_status redis_in_one_place(struct shc *shc, const struct shard_count *count, const char *what)
{
	if (count->most == 1)
		return SHC_OK;
	return wire_say(&shc->wire, SHC_REFUSED,
			"this counter has %u sub-counters: only one in a single place can %s", count->most,
			what);
}

static enum shc_status set_count(struct shc *shc, struct slice name, struct shard_count *count)
{
	struct shard_key table;
	const struct resp_reply *reply;
	enum shc_status status = table_of(shc, name, &table);
	if (status)
		return status;
	char digits[NUM_I64_CHARS_MAX];
	const struct slice argv[] = {slice_str("1"),
				     shard_slice(&table),
				     name,
				     {digits, num_format_i64(digits, shc->redis->shards)}};
	status = redis_ask_script(shc, OP_REPEATABLE, slot_of(name), &script_shards, 4, argv, &reply);
	if (status)
		return status;
	bool has_grown = shc->redis->shards > count->most, is_lost;
	if (reply->type != RESP_BULK || !shard_read_count(reply->str, count))
		return redis_senseless(shc, false);
	/* A part that nobody knows of would be lost from sight with this node. */
	return has_grown ? redis_wait(shc, &is_lost) : SHC_OK;
}

enum shc_status redis_begin_addition(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX],
				     bool is_patient, struct shard_count *count)
{
	enum shc_status status = redis_begin_counter(shc, name, room, is_patient, count);
	if (status || shc->redis->shards == 0 || shc->redis->shards == count->now)
		return status;
	status = set_count(shc, *name, count);
	return status == SHC_IN_DOUBT ? SHC_UNREACHABLE : status;
}

/* ---- which ---- */

static double load_of(struct redis *r, struct slice name, unsigned k)
{
	struct shard_key key;
	shard_part(&key, name, k);
	const struct node *master = cluster_master(r->cluster, slot_of(shard_slice(&key)));
	return master ? cluster_load(master) : 0;
}

/* The better of two drawn by lot: as good as the best of all, and no herd runs to it. */
unsigned redis_choose(struct redis *r, struct slice name, const struct shard_count *count)
{
	if (count->now == 1)
		return 0;
	unsigned a = 1 + arc4random_uniform(count->now), b = 1 + arc4random_uniform(count->now);
	if (++r->added <= LOAD_KNOWN_AFTER)
		return a;
	return load_of(r, name, b) < load_of(r, name, a) ? b : a;
}

void redis_next_key(struct shc *shc, struct slice name, unsigned parts, struct shard_key *out)
{
	const struct shard_count count = {parts, parts};
	shard_part(out, name, redis_choose(shc->redis, name, &count));
}

/* ---- the sum ---- */

struct summing {
	struct round round;
	__int128 *sum;
};

static void take_part(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct summing *s = arg;
	int64_t value;
	(void)op;
	if (!round_took(&s->round, status) || reply->type == RESP_NULL)
		return;
	if (reply->type != RESP_BULK || !num_parse_i64(reply->str, &value)) {
		s->round.status = wire_say(&s->round.shc->wire, SHC_REFUSED,
					   "what is stored in a part of this counter is not a number");
		return;
	}
	*s->sum += value;
}

/* Of the parts from `first` on. */
static enum shc_status sum_parts(struct shc *shc, struct slice name, unsigned first, unsigned most,
				 __int128 *sum)
{
	struct summing s = {.round = {.shc = shc}, .sum = sum};
	for (unsigned k = first; k <= most; k++) {
		struct shard_key key;
		shard_part(&key, name, k);
		const struct slice argv[] = {slice_str("GET"), shard_slice(&key)};
		if (!round_put(&s.round, OP_READ, slot_of(argv[1]), take_part, &s, k, 2, argv))
			break;
	}
	return round_run(&s.round);
}

/* It is counted; what can fail is only to know the value. */
static enum shc_status not_read(struct shc *shc)
{
	char why[sizeof(shc->wire.error)];
	memcpy(why, shc->wire.error, sizeof(why));
	return wire_say(&shc->wire, SHC_IN_DOUBT, "counted, but the new value could not be read: %.240s",
			why);
}

enum shc_status redis_sum(struct shc *shc, struct slice name, const struct shard_count *count,
			  const int64_t *own, __int128 *sum)
{
	*sum = own ? *own : 0;
	if (count->most == 1 && own)
		return SHC_OK;
	return sum_parts(shc, name, own ? 1 : 0, count->most, sum) ? not_read(shc) : SHC_OK;
}

bool redis_to_i64(__int128 sum, int64_t *out)
{
	*out = (int64_t)sum;
	return sum >= INT64_MIN && sum <= INT64_MAX;
}

/* ---- what redis_add knows ---- */

void counts_fini(struct counts *c)
{
	free(c->read_ns);
	free(c->entries);
	free(c->index);
	*c = (struct counts){0};
}

static struct slice name_of(const struct count_entry *e)
{
	return (struct slice){e->name, e->len};
}

/* Where the name is in the index, or would be. */
static uint32_t *place_of(const struct counts *c, struct slice name)
{
	size_t at = hash_bytes(&c->key, name.data, name.len) & (c->index_size - 1);
	while (c->index[at] > 0 && !slice_equal(name_of(&c->entries[c->index[at] - 1]), name))
		at = (at + 1) & (c->index_size - 1);
	return &c->index[at];
}

struct shard_count counts_find(const struct redis *r, struct slice name)
{
	const struct counts *c = &r->counts;
	uint32_t place = c->index ? *place_of(c, name) : 0;
	return place ? c->entries[place - 1].count : (struct shard_count){1, 1};
}

/* Makes room for one more. */
static bool grow(struct counts *c)
{
	if (c->entries_count < c->entries_cap)
		return true;
	size_t cap = c->entries_cap ? c->entries_cap * 2 : 16;
	struct count_entry *entries = reallocarray(c->entries, cap, sizeof(*entries));
	if (!entries)
		return false;
	c->entries = entries;
	uint32_t *index = calloc(2 * cap, sizeof(*index));
	if (!index)
		return false;
	if (!c->index)
		hash_key_init(&c->key);
	free(c->index);
	c->index = index;
	c->index_size = 2 * cap;
	c->entries_cap = cap;
	for (size_t i = 0; i < c->entries_count; i++)
		*place_of(c, name_of(&c->entries[i])) = (uint32_t)i + 1;
	return true;
}

static bool add_entry(struct counts *c, struct slice name, struct shard_count count)
{
	if (!grow(c))
		return false;
	uint32_t *place = place_of(c, name);
	if (*place == 0)
		*place = (uint32_t)++c->entries_count;
	struct count_entry *e = &c->entries[*place - 1];
	*e = (struct count_entry){.count = count, .len = (uint8_t)name.len};
	memcpy(e->name, name.data, name.len);
	return true;
}

/* A table: names and counts in turn. */
static void take_table(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct round *round = arg;
	struct redis *r = round->shc->redis;
	if (!round_took(round, status) || reply->type != RESP_ARRAY)
		return;
	r->counts.read_ns[op->slot] = conn_now_ns();
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct slice name = reply->elements[i].str;
		struct shard_count count;
		if (slice_is_name(name) && shard_read_count(reply->elements[i + 1].str, &count) &&
		    !add_entry(&r->counts, name, count))
			(void)round_took(round, SHC_MEMORY);
	}
}

static bool is_fresh(const struct counts *c, unsigned slot, int64_t now_ns)
{
	const int64_t most_ns = (int64_t)COUNTS_AGE_MAX_MS * 1000000;
	return c->read_ns[slot] != 0 && now_ns - c->read_ns[slot] < most_ns;
}

enum shc_status counts_want(struct shc *shc, const uint16_t *slots, size_t count)
{
	struct counts *c = &shc->redis->counts;
	struct round round = {.shc = shc};
	if (!redis_is_cluster(shc))
		return SHC_OK;
	if (!c->read_ns)
		c->read_ns = calloc(SLOT_COUNT, sizeof(*c->read_ns));
	if (!c->read_ns)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory");
	int64_t now_ns = conn_now_ns();
	for (size_t i = 0; i < count && round.status == SHC_OK; i++) {
		const char *tag;
		if (is_fresh(c, slots[i], now_ns) || !(tag = redis_tag(shc->redis, slots[i])))
			continue;
		c->read_ns[slots[i]] = now_ns; /* asked for once, also when it comes twice here */
		struct shard_key table;
		shard_table(&table, tag);
		const struct slice argv[] = {slice_str("HGETALL"), shard_slice(&table)};
		(void)round_put(&round, OP_READ, slots[i], take_table, &round, 0, 2, argv);
	}
	return redis_denied_table(shc, round_run(&round));
}

/* ---- as many parts as are wanted ---- */

static void take_count(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct round *round = arg;
	(void)op;
	(void)reply;
	(void)round_took(round, status);
}

static bool put_set(struct round *round, struct slice name)
{
	struct redis *r = round->shc->redis;
	unsigned slot = slot_of(name);
	struct shard_key table;
	char digits[NUM_I64_CHARS_MAX];
	shard_table(&table, redis_tag(r, slot));
	const struct slice argv[] = {
		slice_str("1"), shard_slice(&table), name, {digits, num_format_i64(digits, r->shards)}};
	return round_put_script(round, OP_REPEATABLE, slot, &script_shards, take_count, round, 0, 4, argv);
}

enum shc_status counts_set(struct shc *shc, const struct buf *adds)
{
	struct redis *r = shc->redis;
	struct round round = {.shc = shc};
	bool has_grown = false;
	for (size_t pos = 0; pos < buf_len(adds) && round.status == SHC_OK;) {
		int64_t delta;
		struct slice name = adds_next(adds, &pos, &delta);
		struct shard_count count = counts_find(r, name);
		if (count.now == r->shards)
			continue;
		has_grown |= count.most < r->shards;
		count.most = count.most > r->shards ? count.most : r->shards;
		count.now = r->shards;
		if (!redis_tag(r, slot_of(name)) || !add_entry(&r->counts, name, count))
			(void)round_took(&round, SHC_MEMORY);
		else
			(void)put_set(&round, name);
	}
	bool is_lost;
	enum shc_status status = round_run(&round);
	if (status == SHC_OK && has_grown)
		status = redis_wait(shc, &is_lost);
	if (status)
		counts_fini(&r->counts); /* what it says may not be so */
	return status == SHC_IN_DOUBT ? SHC_UNREACHABLE : status;
}
