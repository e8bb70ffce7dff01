/* SPDX-License-Identifier: MIT */
/* One counter: where its bytes lie, what fits, how cells come to rest, what a reader without a lock sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/counter.h"

static struct counter *new_counter(const char *name)
{
	struct slice s = slice_str(name);
	struct counter *c = malloc(counter_size(s.len));

	assert_non_null(c);
	counter_init(c, s, 0);
	return c;
}

/* ---- layout ---- */

static void test_a_record_is_24_bytes_and_its_name(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct counter), 24);
	assert_int_equal(offsetof(struct counter, name), 24);
	assert_int_equal(counter_size(1), 32);
	assert_int_equal(counter_size(8), 32);
	assert_int_equal(counter_size(9), 40);
	assert_int_equal(counter_size(16), 40);
	assert_int_equal(counter_size(NAME_LEN_MAX), 280);
}

static void test_each_cell_has_a_pair_of_cache_lines_to_itself(void **state)
{
	static const uint32_t WORKERS[] = {1, 2, 3, 16, 255};

	(void)state;
	assert_int_equal(sizeof(struct counter_cell), 128);
	assert_int_equal(offsetof(struct counter_cells, cell) % 128, 0);
	for (size_t i = 0; i < sizeof(WORKERS) / sizeof(WORKERS[0]); i++) {
		struct counter_cells *cells = counter_cells_new(7, WORKERS[i]);

		assert_non_null(cells);
		assert_int_equal((uintptr_t)cells % 128, 0);
		assert_int_equal(cells->count, WORKERS[i]);
		for (uint32_t k = 0; k < WORKERS[i]; k++) {
			assert_int_equal((uintptr_t)&cells->cell[k] % 128, 0);
			assert_int_equal(atomic_load(&cells->cell[k].value), 0);
		}
		assert_null(counter_cells_free(cells));
	}
}

static void test_the_object_word_tells_id_and_cells(void **state)
{
	struct counter_cells *cells = counter_cells_new(UINT64_C(1) << 62, 2);
	uint64_t with_cells = (uint64_t)(uintptr_t)cells;

	(void)state;
	assert_non_null(cells);
	assert_false(counter_has_object(COUNTER_ABSENT));
	assert_false(counter_has_object(COUNTER_GONE));
	assert_false(counter_has_cells(COUNTER_ABSENT));
	assert_false(counter_has_cells(COUNTER_GONE));
	assert_int_equal(counter_id(COUNTER_ABSENT), 0);
	assert_int_equal(counter_id(COUNTER_GONE), 0);
	for (uint64_t id = 1; id < UINT64_C(1) << 62; id *= 3) {
		uint64_t object = counter_object_of_id(id);

		assert_true(counter_has_object(object));
		assert_false(counter_has_cells(object));
		assert_int_equal(counter_id(object), id);
	}
	assert_true(counter_has_object(with_cells));
	assert_true(counter_has_cells(with_cells));
	assert_int_equal(counter_id(with_cells), UINT64_C(1) << 62);
	counter_cells_free(cells);
}

static void test_a_name_of_any_length_is_kept_whole(void **state)
{
	char name[NAME_LEN_MAX + 1];

	(void)state;
	memset(name, 'n', NAME_LEN_MAX);
	for (size_t len = 1; len <= NAME_LEN_MAX; len++) {
		struct slice s = {.data = name, .len = len};
		struct counter *c = malloc(counter_size(len));

		assert_non_null(c);
		counter_init(c, s, 9);
		assert_true(slice_equal(counter_name(c), s));
		assert_int_equal(counter_stamp(c), 9);
		assert_false(counter_has_object(counter_object(c)));
		assert_int_equal(counter_read(c).value, 0);
		free(c);
	}
}

/* ---- range ---- */

static void test_base_and_full_cells_fit_64_bits(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= 255; workers++) {
		struct counter_cells *cells = counter_cells_new(1, workers);
		__int128 all;

		assert_non_null(cells);
		all = (__int128)cells->share * workers + COUNTER_BASE_MAX;
		assert_true(all <= INT64_MAX && -all >= INT64_MIN);
		/* and not much is given away */
		assert_true(cells->share >= COUNTER_BASE_MAX / workers - 1);
		counter_cells_free(cells);
	}
	assert_true(counter_may_have_cells(COUNTER_BASE_MAX));
	assert_true(counter_may_have_cells(-COUNTER_BASE_MAX));
	assert_false(counter_may_have_cells(COUNTER_BASE_MAX + 1));
	assert_false(counter_may_have_cells(-COUNTER_BASE_MAX - 1));
	assert_false(counter_may_have_cells(INT64_MIN));
}

static void test_a_cell_has_room_up_to_its_share_and_no_further(void **state)
{
	struct counter_cells *cells = counter_cells_new(1, 3);
	uint64_t object = (uint64_t)(uintptr_t)cells;
	int64_t share;

	(void)state;
	assert_non_null(cells);
	share = cells->share;
	const struct {
		const char *descr;
		int64_t value, room;
		bool has_room;
	} CASES[] = {
		{"empty, nothing", 0, 0, true},
		{"empty, all of it", 0, share, true},
		{"empty, one too many", 0, share + 1, false},
		{"empty, the largest number", 0, INT64_MAX, false},
		{"full up, nothing", share, 0, true},
		{"full up, one", share, 1, false},
		{"full down, nothing", -share, 0, true},
		{"full down, one", -share, 1, false},
		{"one left above", share - 1, 1, true},
		{"one left below", 1 - share, 1, true},
		{"two, one left above", share - 1, 2, false},
		{"two, one left below", 1 - share, 2, false},
		{"full up, the largest number", share, INT64_MAX, false},
		{"full down, the largest number", -share, INT64_MAX, false},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		atomic_store(&cells->cell[1].value, CASES[i].value);
		if (counter_cell_has_room(object, 1, CASES[i].room) != CASES[i].has_room)
			fail_msg("%s", CASES[i].descr);
		/* A neighbour's cell does not count. */
		assert_true(counter_cell_has_room(object, 0, share));
	}
	assert_false(counter_cell_has_room(COUNTER_ABSENT, 1, 0));
	assert_false(counter_cell_has_room(COUNTER_GONE, 1, 0));
	assert_false(counter_cell_has_room(counter_object_of_id(3), 1, 0));
	counter_cells_free(cells);
}

static void test_the_sum_is_right_at_both_ends(void **state)
{
	struct counter *c = new_counter("x");
	struct counter_cells *cells = counter_cells_new(5, 4);
	uint64_t object = (uint64_t)(uintptr_t)cells;

	(void)state;
	assert_non_null(cells);
	counter_set_object(c, object);
	for (size_t n = 0; n < 2; n++) {
		int64_t sign = n ? 1 : -1;

		counter_set_base(c, sign * COUNTER_BASE_MAX);
		for (uint32_t i = 0; i < 4; i++)
			atomic_store(&cells->cell[i].value, sign * cells->share);
		assert_int_equal(counter_total(c, object), sign * (COUNTER_BASE_MAX + 4 * cells->share));
		assert_int_equal(counter_read(c).value, counter_total(c, object));
		assert_int_equal(counter_read(c).object, object);
	}
	counter_cells_free(cells);
	free(c);
}

/* ---- merging ---- */

static void test_a_mark_keeps_the_workers_off_and_is_due_when_sealed(void **state)
{
	struct counter_cells *cells = counter_cells_new(5, 2);
	uint64_t object = (uint64_t)(uintptr_t)cells;
	_Atomic uint64_t open = 41;

	(void)state;
	assert_non_null(cells);
	assert_false(counter_merge_is_due(cells, UINT64_MAX - 1));
	assert_true(counter_cell_has_room(object, 0, 1));
	assert_int_equal(counter_merge_mark(cells, &open), 41);
	assert_false(counter_cell_has_room(object, 0, 0));
	atomic_store(&open, 43);
	/* Who comes later waits for no later epoch. */
	assert_int_equal(counter_merge_mark(cells, &open), 41);
	assert_false(counter_merge_is_due(cells, 40));
	assert_true(counter_merge_is_due(cells, 41));
	assert_true(counter_merge_is_due(cells, 50));
	counter_cells_free(cells);
}

static void test_merging_keeps_value_and_id(void **state)
{
	struct counter *c = new_counter("x");
	struct counter_cells *cells = counter_cells_new(77, 3);
	uint64_t object = (uint64_t)(uintptr_t)cells;

	(void)state;
	assert_non_null(cells);
	counter_set_base(c, 1000);
	counter_set_object(c, object);
	for (uint32_t i = 0; i < 3; i++)
		counter_cell_add(object, i, -(int64_t)i * 10);
	assert_int_equal(counter_read(c).value, 970);
	counter_lock(c, COUNTER_LOCKED);
	counter_merge(c, cells);
	counter_unlock(c);
	assert_int_equal(counter_object(c), counter_object_of_id(77));
	assert_int_equal(counter_base(c), 970);
	assert_int_equal(counter_read(c).value, 970);
	counter_cells_free(cells);
	free(c);
}

/* ---- stamps ---- */

/* Nobody can be in the next epoch while the global one has not moved: such a stamp is one round of 2^32 old.
 */
static void test_a_stamp_a_whole_round_old_is_raised(void **state)
{
	_Atomic uint64_t open_epoch = UINT32_MAX;
	struct counter *c = new_counter("x");

	(void)state;
	assert_int_equal(counter_stamp(c), 0);
	counter_raise(c, UINT32_MAX, &open_epoch);
	assert_int_equal(counter_stamp(c), UINT32_MAX);
	/* the same words, but the epoch has moved: it may be true, and stays */
	atomic_store(&c->stamp, 0);
	atomic_store(&open_epoch, (uint64_t)UINT32_MAX + 1);
	counter_raise(c, UINT32_MAX, &open_epoch);
	assert_int_equal(counter_stamp(c), 0);
	free(c);
}

static void test_a_stamp_only_grows(void **state)
{
	static const uint64_t FIRST[] = {1, 1000, (UINT64_C(1) << 32) - 3, (UINT64_C(7) << 32) + 5};
	_Atomic uint64_t open_epoch;

	(void)state;
	for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++) {
		uint64_t e = FIRST[i];
		struct counter *c = new_counter("x");

		atomic_store(&c->stamp, (uint32_t)(e - 1));
		for (int n = 0; n < 8; n++, e++) {
			assert_false(counter_stamp_is_next(counter_stamp(c), e));
			atomic_store(&open_epoch, e);
			counter_raise(c, e, &open_epoch);
			assert_int_equal(counter_stamp(c), (uint32_t)e);
			assert_false(counter_stamp_is_next(counter_stamp(c), e));
			assert_true(counter_stamp_is_next(counter_stamp(c), e - 1));
			/* who is behind does not take it back */
			counter_raise(c, e - 1, &open_epoch);
			assert_int_equal(counter_stamp(c), (uint32_t)e);
		}
		free(c);
	}
}

/* ---- reading without a lock ---- */

enum { READS = 300000, OBJECTS = 16 };

struct stage {
	struct counter *c;
	_Atomic bool is_over;
};

/* Object n has the values n * 1000 ... n * 1000 + 9; between two objects there is none. */
static void *change_all_the_time(void *arg)
{
	struct stage *s = arg;

	for (uint64_t id = 1; !atomic_load(&s->is_over); id++) {
		int64_t first = (int64_t)(id % OBJECTS) * 1000;

		counter_lock(s->c, COUNTER_LOCKED);
		counter_set_base(s->c, first);
		counter_set_object(s->c, counter_object_of_id(id));
		counter_unlock(s->c);
		for (int64_t n = 1; n < 10; n++) {
			counter_lock(s->c, COUNTER_LOCKED);
			counter_set_base(s->c, first + n);
			counter_unlock(s->c);
		}
		counter_lock(s->c, COUNTER_LOCKED);
		counter_set_object(s->c, COUNTER_ABSENT);
		counter_unlock(s->c);
	}
	return NULL;
}

/* An object ends before the next one's base is written, as in a delete and a later creation. */
static void test_a_read_gives_a_value_that_its_object_had(void **state)
{
	struct stage s = {.c = new_counter("x")};
	pthread_t thread;

	(void)state;
	atomic_init(&s.is_over, false);
	assert_int_equal(pthread_create(&thread, NULL, change_all_the_time, &s), 0);
	for (size_t n = 0; n < READS; n++) {
		struct counter_view v = counter_read(s.c);

		if (!counter_has_object(v.object)) {
			assert_int_equal(v.value, 0);
			continue;
		}
		assert_int_equal(v.value / 1000, counter_id(v.object) % OBJECTS);
		assert_in_range(v.value % 1000, 0, 9);
	}
	atomic_store(&s.is_over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(s.c);
}

struct lock_user {
	struct counter *c;
	pthread_t thread;
	enum counter_lock_state how;
};

static void *count_under_the_lock(void *arg)
{
	struct lock_user *u = arg;

	for (int n = 0; n < 50000; n++) {
		counter_lock(u->c, u->how);
		counter_set_base(u->c, counter_base(u->c) + 1);
		counter_unlock(u->c);
	}
	return NULL;
}

static void test_the_lock_excludes(void **state)
{
	struct lock_user users[3];
	struct counter *c = new_counter("x");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		users[i] = (struct lock_user){.c = c, .how = i ? COUNTER_LOCKED : COUNTER_LOCKED_TXN};
		assert_int_equal(pthread_create(&users[i].thread, NULL, count_under_the_lock, &users[i]), 0);
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(users[i].thread, NULL), 0);
	assert_int_equal(counter_base(c), 150000);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_is_24_bytes_and_its_name),
		cmocka_unit_test(test_each_cell_has_a_pair_of_cache_lines_to_itself),
		cmocka_unit_test(test_the_object_word_tells_id_and_cells),
		cmocka_unit_test(test_a_name_of_any_length_is_kept_whole),
		cmocka_unit_test(test_base_and_full_cells_fit_64_bits),
		cmocka_unit_test(test_a_cell_has_room_up_to_its_share_and_no_further),
		cmocka_unit_test(test_the_sum_is_right_at_both_ends),
		cmocka_unit_test(test_a_mark_keeps_the_workers_off_and_is_due_when_sealed),
		cmocka_unit_test(test_merging_keeps_value_and_id),
		cmocka_unit_test(test_a_stamp_only_grows),
		cmocka_unit_test(test_a_stamp_a_whole_round_old_is_raised),
		cmocka_unit_test(test_a_read_gives_a_value_that_its_object_had),
		cmocka_unit_test(test_the_lock_excludes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
