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
	for (int kind = 0; kind < 5; kind++) {
		assert_true(epoch_buffer_is_empty(&b));
		switch (kind) {
		case 0: assert_int_equal(epoch_buffer_add(&b, 1, 0), 0); break;
		case 1: assert_int_equal(epoch_buffer_create(&b, 1, slice_str("x")), 0); break;
		case 2: assert_int_equal(epoch_buffer_delete(&b, 1), 0); break;
		case 3: epoch_buffer_flush(&b, 1); break;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deltas_are_summed_by_id),
		cmocka_unit_test(test_a_buffer_is_empty_until_something_is_in_it),
		cmocka_unit_test(test_names_come_back_in_order_with_their_ids),
		cmocka_unit_test(test_the_highest_floor_stays),
		cmocka_unit_test(test_clearing_gives_large_memory_back_and_keeps_small),
		cmocka_unit_test(test_the_parts_grow_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
