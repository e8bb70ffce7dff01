/* SPDX-License-Identifier: MIT */
/* What a worker did in one epoch, against plain arrays; random, by seed. */
#include <errno.h>

#include "core_rig.h"

enum { IDS = 3000 };

struct picture {
	uint64_t delta[IDS];
	bool is_told[IDS];
	uint64_t id_first, id_step;
	size_t told;
};

static void tell(void *arg, struct journal_delta d)
{
	struct picture *p = arg;
	uint64_t n = (d.id - p->id_first) / p->id_step;

	assert_int_equal((d.id - p->id_first) % p->id_step, 0);
	assert_in_range(n, 0, IDS - 1);
	assert_false(p->is_told[n]);
	p->is_told[n] = true;
	assert_int_equal(d.delta, p->delta[n]);
	p->told++;
}

/* Ids in a row, far apart, and where only the high bits differ: each id is told once with its sum. */
static void test_deltas_are_summed_by_id(void **state)
{
	static const struct {
		uint64_t first, step;
	} CASES[] = {{1, 1},
		     {1, 64},
		     {1, UINT64_C(1) << 20},
		     {5, UINT64_C(1) << 40},
		     {UINT64_C(1) << 62, 1},
		     {1, UINT64_C(0x6789abcdef) * 1000}};
	struct epoch_buffer b;

	(void)state;
	epoch_buffer_init(&b);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct picture *p = calloc(1, sizeof(*p));
		struct rng r = {i + 1};
		size_t distinct = 0;
		bool is_used[IDS] = {false};

		assert_non_null(p);
		p->id_first = CASES[i].first;
		p->id_step = CASES[i].step;
		for (size_t n = 0; n < 20000; n++) {
			size_t which = rng_below(&r, 1 + rng_below(&r, IDS));
			uint64_t delta = rng_below(&r, 2) ? rng_u64(&r) : rng_below(&r, 3) - UINT64_C(1);

			assert_int_equal(epoch_buffer_add(&b, p->id_first + which * p->id_step, delta), 0);
			p->delta[which] += delta;
			distinct += !is_used[which];
			is_used[which] = true;
			assert_int_equal(b.delta_count, distinct);
		}
		epoch_buffer_each(&b, tell, p);
		assert_int_equal(p->told, distinct);
		epoch_buffer_clear(&b);
		assert_true(epoch_buffer_is_empty(&b));
		free(p);
	}
	epoch_buffer_fini(&b);
}

static void test_a_buffer_is_empty_until_something_is_in_it(void **state)
{
	struct epoch_buffer b;
	int thing;

	(void)state;
	epoch_buffer_init(&b);
	for (int kind = 0; kind < 7; kind++) {
		assert_true(epoch_buffer_is_empty(&b));
		switch (kind) {
		case 0: assert_int_equal(epoch_buffer_add(&b, 1, 0), 0); break;
		case 1: assert_int_equal(epoch_buffer_create(&b, 1, slice_str("x")), 0); break;
		case 2: assert_int_equal(epoch_buffer_delete(&b, 1), 0); break;
		case 3: epoch_buffer_flush(&b, 1); break;
		case 4:
			assert_int_equal(epoch_buffer_reserve(&b, 1, 0), 0);
			assert_true(epoch_buffer_is_empty(&b));
			epoch_buffer_state(&b, &(struct journal_state){.id = 1});
			break;
		case 5:
			assert_int_equal(epoch_buffer_reserve(&b, 0, 1), 0);
			assert_true(epoch_buffer_is_empty(&b));
			epoch_buffer_hit(&b, &(struct journal_hit){.id = 1});
			break;
		default: assert_int_equal(epoch_buffer_retire(&b, &thing, RETIRED_CELLS), 0); break;
		}
		assert_false(epoch_buffer_is_empty(&b));
		epoch_buffer_clear(&b);
	}
	assert_true(epoch_buffer_is_empty(&b));
	epoch_buffer_fini(&b);
}

static void test_names_come_back_in_order_with_their_ids(void **state)
{
	struct epoch_buffer b;
	char text[NAME_LEN_MAX];
	struct slice name;
	uint64_t id;
	size_t pos;

	(void)state;
	memset(text, 'n', sizeof(text));
	epoch_buffer_init(&b);
	for (int round = 0; round < 3; round++) {
		for (uint64_t n = 1; n <= 2000; n++) {
			struct slice s = {.data = text, .len = 1 + n % NAME_LEN_MAX};

			text[0] = (char)('a' + n % 20);
			assert_int_equal(epoch_buffer_create(&b, n * UINT64_C(0x123456789), s), 0);
		}
		pos = 0;
		for (uint64_t n = 1; n <= 2000; n++) {
			assert_true(epoch_buffer_next_name(&b, &pos, &id, &name));
			assert_int_equal(id, n * UINT64_C(0x123456789));
			assert_int_equal(name.len, 1 + n % NAME_LEN_MAX);
			assert_int_equal(name.data[0], 'a' + n % 20);
		}
		assert_false(epoch_buffer_next_name(&b, &pos, &id, &name));
		epoch_buffer_clear(&b);
		pos = 0;
		assert_false(epoch_buffer_next_name(&b, &pos, &id, &name));
	}
	epoch_buffer_fini(&b);
}

static void test_the_highest_floor_stays(void **state)
{
	struct epoch_buffer b;

	(void)state;
	epoch_buffer_init(&b);
	epoch_buffer_flush(&b, 10);
	epoch_buffer_flush(&b, 30);
	epoch_buffer_flush(&b, 20);
	assert_int_equal(b.floor_id, 30);
	epoch_buffer_fini(&b);
}

/* After an epoch with a million counters an idle worker does not hold its memory. */
static void test_clearing_gives_large_memory_back_and_keeps_small(void **state)
{
	struct epoch_buffer b;
	int thing;

	(void)state;
	epoch_buffer_init(&b);
	for (uint64_t id = 1; id <= 1000000; id++)
		assert_int_equal(epoch_buffer_add(&b, id, 1), 0);
	for (uint64_t id = 1; id <= 200000; id++) {
		assert_int_equal(epoch_buffer_create(&b, id, slice_str("a name of some length")), 0);
		assert_int_equal(epoch_buffer_delete(&b, id), 0);
		assert_int_equal(epoch_buffer_retire(&b, &thing, RETIRED_CELLS), 0);
	}
	assert_int_equal(b.delta_count, 1000000);
	epoch_buffer_clear(&b);
	assert_int_equal(b.names.cap, 0);
	assert_int_equal(b.deletes.cap, 0);
	assert_int_equal(b.retired.cap, 0);
	for (size_t i = 0; i < DELTA_PARTS; i++)
		assert_null(b.parts[i].slots);
	for (uint64_t id = 1; id <= 1000; id++)
		assert_int_equal(epoch_buffer_add(&b, id, 1), 0);
	epoch_buffer_clear(&b);
	assert_non_null(b.parts[0].slots);
	assert_non_null(epoch_buffer_place(&b, 1));
	epoch_buffer_fini(&b);
}

/* Growing must stay in its part: no request waits for a million entries to move. */
static void test_the_parts_grow_evenly(void **state)
{
	struct epoch_buffer b;
	uint32_t min = UINT32_MAX, max = 0;

	(void)state;
	epoch_buffer_init(&b);
	for (uint64_t id = 1; id <= 640000; id++)
		assert_int_equal(epoch_buffer_add(&b, id, 1), 0);
	for (size_t i = 0; i < DELTA_PARTS; i++) {
		min = b.parts[i].count < min ? b.parts[i].count : min;
		max = b.parts[i].count > max ? b.parts[i].count : max;
	}
	assert_in_range(min, 9000, 10000);
	assert_in_range(max, 10000, 11000);
	epoch_buffer_fini(&b);
}

/* ---- states and hits ---- */

enum { KEYS = 500, SECONDS = 20 };

/* Ids in a row, and far apart. */
static uint64_t id_of(size_t n, int round)
{
	return round % 2 ? (n + 1) << 40 : n + 1;
}

static void test_of_the_states_of_an_id_the_newest_is_told_once(void **state)
{
	struct epoch_buffer b;
	struct rng r = {rig_seed() ? rig_seed() : 3};

	(void)state;
	epoch_buffer_init(&b);
	for (int round = 0; round < 20; round++) {
		struct journal_state newest[KEYS] = {0}, s;
		uint32_t ids = 1 + rng_below(&r, KEYS), version = 0;
		size_t distinct = 0, told = 0;

		for (size_t n = 0; n < 3000; n++) {
			size_t which = rng_below(&r, ids);

			/* Mostly later ones; now and then one that was overtaken. */
			version++;
			s = (struct journal_state){.id = id_of(which, round),
						   .version = rng_below(&r, 5) ? version
									       : 1 + rng_below(&r, version),
						   .expire_at_ms = (int64_t)rng_u64(&r),
						   .tat_ns = (int64_t)rng_u64(&r)};
			assert_int_equal(epoch_buffer_reserve(&b, 1, 0), 0);
			epoch_buffer_state(&b, &s);
			distinct += !newest[which].id;
			if (s.version > newest[which].version)
				newest[which] = s;
		}
		assert_true(epoch_buffer_bytes(&b) >= distinct * sizeof(s));
		for (size_t pos = 0; pos < b.states.count; pos++) {
			s = epoch_table_at(&b.states, pos)->state;
			size_t which = (size_t)(round % 2 ? s.id >> 40 : s.id) - 1;

			assert_in_range(which, 0, KEYS - 1);
			assert_memory_equal(&s, &newest[which], sizeof(s));
			newest[which].id = 0; /* once */
			told++;
		}
		assert_int_equal(told, distinct);
		epoch_buffer_clear(&b);
		assert_true(epoch_buffer_is_empty(&b));
		assert_int_equal(b.states.count, 0);
	}
	epoch_buffer_fini(&b);
}

static void test_hits_are_summed_by_id_and_second(void **state)
{
	static uint64_t sum[KEYS][SECONDS];
	struct epoch_buffer b;
	struct rng r = {rig_seed() ? rig_seed() : 5};

	(void)state;
	epoch_buffer_init(&b);
	for (int round = 0; round < 20; round++) {
		uint32_t ids = 1 + rng_below(&r, KEYS);
		size_t told = 0, distinct = 0;
		struct journal_hit hit;

		memset(sum, 0, sizeof(sum));
		for (size_t n = 0; n < 5000; n++) {
			size_t which = rng_below(&r, ids), second = rng_below(&r, SECONDS);
			uint64_t count = 1 + (rng_u64(&r) >> 8);

			assert_int_equal(epoch_buffer_reserve(&b, 0, 1), 0);
			hit = (struct journal_hit){id_of(which, round), (int64_t)second - 3, count};
			epoch_buffer_hit(&b, &hit);
			distinct += !sum[which][second];
			sum[which][second] += count;
		}
		assert_true(epoch_buffer_bytes(&b) >= distinct * sizeof(hit));
		for (size_t pos = 0; pos < b.hits.count; pos++) {
			hit = epoch_table_at(&b.hits, pos)->hit;
			size_t which = (size_t)(round % 2 ? hit.id >> 40 : hit.id) - 1;

			assert_in_range(which, 0, KEYS - 1);
			assert_in_range(hit.second + 3, 0, SECONDS - 1);
			assert_true(hit.count != 0 && hit.count == sum[which][hit.second + 3]);
			sum[which][hit.second + 3] = 0; /* once */
			told++;
		}
		assert_int_equal(told, distinct);
		epoch_buffer_clear(&b);
		assert_true(epoch_buffer_is_empty(&b));
	}
	epoch_buffer_fini(&b);
}

/* What was reserved is there, in whichever parts the ids end; what cannot be reserved changes nothing. */
static void test_room_that_was_reserved_is_room(void **state)
{
	struct journal_state s;
	struct journal_hit hit;
	struct epoch_buffer b;
	size_t chunks;

	(void)state;
	epoch_buffer_init(&b);
	assert_int_equal(epoch_buffer_reserve(&b, 10000, 20000), 0);
	chunks = b.states.chunk_count + b.hits.chunk_count;
	for (uint64_t n = 0; n < 20000; n++) {
		s = (struct journal_state){.id = 64 * n + 1, .version = 1};
		hit = (struct journal_hit){.id = 1, .second = (int64_t)n, .count = 1};
		if (n < 10000)
			epoch_buffer_state(&b, &s);
		epoch_buffer_hit(&b, &hit);
	}
	assert_int_equal(b.states.chunk_count + b.hits.chunk_count, chunks);
	assert_int_equal(epoch_buffer_reserve(&b, SIZE_MAX, 0), -ENOMEM);
	assert_int_equal(epoch_buffer_reserve(&b, 0, UINT32_MAX), -ENOMEM);
	assert_int_equal(b.states.chunk_count + b.hits.chunk_count, chunks);
	assert_int_equal(b.hits.count, 20000);
	for (size_t pos = 0; pos < b.hits.count; pos++)
		assert_int_equal(epoch_table_at(&b.hits, pos)->hit.second, pos);
	epoch_buffer_fini(&b);
}

/* Neither does growing move all of a million, nor do chains get long. */
static void test_the_parts_of_states_and_hits_grow_evenly(void **state)
{
	struct epoch_buffer b;

	(void)state;
	epoch_buffer_init(&b);
	assert_int_equal(epoch_buffer_reserve(&b, 640000, 640000), 0);
	for (uint64_t n = 1; n <= 640000; n++) {
		epoch_buffer_state(&b, &(struct journal_state){.id = n, .version = n});
		/* A thousand counters, while the disk is full for ten minutes. */
		epoch_buffer_hit(&b, &(struct journal_hit){1 + n % 1000, 1700000000 + (int64_t)n / 1000, 1});
	}
	for (size_t i = 0; i < EPOCH_TABLE_PARTS; i++) {
		const struct epoch_table_part *parts[] = {&b.states.parts[i], &b.hits.parts[i]};

		for (size_t k = 0; k < 2; k++) {
			size_t used = 0;

			assert_in_range(parts[k]->count, 9000, 11000);
			assert_int_equal(parts[k]->mask, 16383);
			for (size_t head = 0; head <= parts[k]->mask; head++)
				used += parts[k]->heads[head] != 0;
			assert_true(used > parts[k]->count / 2);
		}
	}
	epoch_buffer_clear(&b);
	for (size_t i = 0; i < EPOCH_TABLE_PARTS; i++)
		assert_true(!b.states.parts[i].heads && !b.hits.parts[i].heads);
	assert_in_range(b.states.chunk_count, 1, 1024);
	epoch_buffer_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deltas_are_summed_by_id),
		cmocka_unit_test(test_a_buffer_is_empty_until_something_is_in_it),
		cmocka_unit_test(test_names_come_back_in_order_with_their_ids),
		cmocka_unit_test(test_the_highest_floor_stays),
		cmocka_unit_test(test_clearing_gives_large_memory_back_and_keeps_small),
		cmocka_unit_test(test_the_parts_grow_evenly),
		cmocka_unit_test(test_of_the_states_of_an_id_the_newest_is_told_once),
		cmocka_unit_test(test_hits_are_summed_by_id_and_second),
		cmocka_unit_test(test_room_that_was_reserved_is_room),
		cmocka_unit_test(test_the_parts_of_states_and_hits_grow_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
