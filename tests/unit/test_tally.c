/* SPDX-License-Identifier: MIT */
/* test_tally.c - sums by id against an array, the largest against a sort. */
#include "core_rig.h"

#include "../../daemon/tally.h"

static void test_sums_are_those_of_an_array(void **state)
{
	enum { IDS = 5000 };
	static uint64_t want[IDS + 1];
	struct rng rng = {.state = 7};
	struct tally t = {0};

	(void)state;
	for (int round = 0; round < 3; round++) {
		size_t distinct = 0;

		memset(want, 0, sizeof(want));
		for (size_t n = rig_scaled(100000); n > 0; n--) {
			uint64_t id = 1 + rng_below(&rng, IDS), delta = rng_u64(&rng);

			assert_int_equal(tally_add(&t, id, delta), 0);
			want[id] += delta;
		}
		for (uint64_t id = 1; id <= IDS; id++) {
			uint64_t *sum = tally_find(&t, id);

			distinct += sum != NULL;
			if (sum)
				assert_int_equal(*sum, want[id]);
			else
				assert_int_equal(want[id], 0);
		}
		assert_int_equal(t.count, distinct);
		assert_null(tally_find(&t, IDS + 1));
		tally_clear(&t);
		assert_null(tally_find(&t, 1));
		assert_int_equal(t.count, 0);
	}
	tally_fini(&t);
}

static void test_large_memory_goes_back_when_it_is_cleared(void **state)
{
	struct tally t = {0};

	(void)state;
	for (uint64_t id = 1; id <= 1 << 18; id++)
		assert_int_equal(tally_add(&t, id, 1), 0);
	tally_clear(&t);
	assert_null(t.slots);
	assert_int_equal(tally_add(&t, 5, 1), 0);
	assert_int_equal(*tally_find(&t, 5), 1);
	tally_fini(&t);
}

/* As busiest_offer ranks them. */
static int by_rank(const void *a, const void *b)
{
	const struct journal_delta *x = a, *y = b;
	uint64_t p = tally_size(x->delta), q = tally_size(y->delta);

	if (p != q)
		return p < q ? 1 : -1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void assert_kept(struct busiest *b, struct journal_delta *all, size_t count)
{
	size_t kept = count < BUSIEST_MAX ? count : BUSIEST_MAX;

	qsort(all, count, sizeof(*all), by_rank);
	qsort(b->items, b->count, sizeof(b->items[0]), by_rank);
	assert_int_equal(b->count, kept);
	assert_memory_equal(b->items, all, kept * sizeof(*all));
}

static void test_the_largest_are_kept_whichever_way_they_went(void **state)
{
	enum { COUNT = 20000 };
	static struct journal_delta all[COUNT];
	static const uint32_t ranges[] = {3, 1000, 1u << 31};
	struct busiest *b = malloc(sizeof(*b));

	(void)state;
	assert_non_null(b);
	for (size_t round = 0; round < 3; round++) {
		struct rng rng = {.state = round};

		for (size_t count = 0; count < COUNT; count = count ? 19 * count : 55) {
			b->count = 0;
			for (size_t i = 0; i < count; i++) {
				uint64_t size = 1 + rng_below(&rng, ranges[round]);

				all[i].id = 1 + i;
				all[i].delta = rng_below(&rng, 2) ? size : -size;
				busiest_offer(b, all[i]);
			}
			assert_kept(b, all, count);
		}
	}
	free(b);
}

static void test_no_change_is_none_and_the_largest_distance_is_one(void **state)
{
	struct busiest *b = calloc(1, sizeof(*b));

	(void)state;
	assert_non_null(b);
	busiest_offer(b, (struct journal_delta){.id = 1, .delta = 0});
	assert_int_equal(b->count, 0);
	for (uint64_t id = 1; id <= BUSIEST_MAX; id++)
		busiest_offer(b, (struct journal_delta){.id = id, .delta = INT64_MAX});
	busiest_offer(b, (struct journal_delta){.id = 5000, .delta = (uint64_t)INT64_MIN});
	qsort(b->items, b->count, sizeof(b->items[0]), by_rank);
	assert_int_equal(b->items[0].id, 5000);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_are_those_of_an_array),
		cmocka_unit_test(test_large_memory_goes_back_when_it_is_cleared),
		cmocka_unit_test(test_the_largest_are_kept_whichever_way_they_went),
		cmocka_unit_test(test_no_change_is_none_and_the_largest_distance_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
