/* SPDX-License-Identifier: MIT */
/* test_arena.c - pieces are disjoint and used again; slabs of large ones go back when they are empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../daemon/arena.h"

enum { LARGE = 4160, COUNT = 3000 /* large pieces: six slabs */ };

static char *pieces[COUNT];

static void fill(struct arena *a, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pieces[i] = arena_alloc(a, LARGE);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % 64, 0);
		memset(pieces[i], (int)(i % 251), LARGE);
	}
}

static void assert_untouched(size_t i)
{
	assert_int_equal((unsigned char)pieces[i][0], i % 251);
	assert_memory_equal(pieces[i], pieces[i] + 1, LARGE - 1);
}

static void test_large_pieces_are_disjoint(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, LARGE);
	fill(&a, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_untouched(i);
	assert_int_equal(arena_used_bytes(&a), (size_t)COUNT * LARGE);
	arena_fini(&a);
}

static void test_a_slab_goes_back_when_its_last_piece_is_freed(void **state)
{
	struct arena a;
	size_t reserved;

	(void)state;
	arena_init(&a, LARGE);
	fill(&a, COUNT);
	reserved = atomic_load(&a.reserved_bytes);
	/* Every second one: no slab is empty, and some of the next pieces lie where these lay. */
	for (size_t i = 0; i < COUNT; i += 2)
		arena_free(&a, pieces[i], LARGE);
	assert_int_equal(atomic_load(&a.reserved_bytes), reserved);
	for (size_t i = 0; i < COUNT; i += 2) {
		pieces[i] = arena_alloc(&a, LARGE);
		memset(pieces[i], (int)(i % 251), LARGE);
	}
	assert_true(atomic_load(&a.reserved_bytes) <= reserved + reserved / 2);
	for (size_t i = 0; i < COUNT; i++)
		assert_untouched(i);
	for (size_t i = 0; i < COUNT; i++)
		arena_free(&a, pieces[i], LARGE);
	assert_true(atomic_load(&a.reserved_bytes) < reserved / 4);
	assert_int_equal(arena_used_bytes(&a), 0);
	fill(&a, 2);
	assert_untouched(0);
	arena_fini(&a);
}

/* As a table under changes does. */
static void test_holes_are_at_most_half_of_what_is_used(void **state)
{
	struct arena a;
	uint64_t random = 1;

	(void)state;
	arena_init(&a, LARGE);
	fill(&a, COUNT);
	for (size_t i = 0; i < 20 * COUNT; i++) {
		char **piece;

		random = random * 6364136223846793005u + 1442695040888963407u;
		piece = &pieces[(random >> 33) % COUNT];
		arena_free(&a, *piece, LARGE);
		*piece = arena_alloc(&a, LARGE);
		assert_non_null(*piece);
	}
	assert_int_equal(arena_used_bytes(&a), (size_t)COUNT * LARGE);
	/* ... and two slabs that are not full. */
	assert_true(atomic_load(&a.reserved_bytes) <= (size_t)COUNT * LARGE * 3 / 2 + (4 << 20));
	arena_fini(&a);
}

static void test_small_pieces_of_a_size_are_used_again(void **state)
{
	struct arena a;
	size_t reserved;
	char *p, *q;

	(void)state;
	arena_init(&a, LARGE);
	p = arena_alloc(&a, 40);
	q = arena_alloc(&a, ARENA_SMALL_MAX);
	assert_non_null(p);
	assert_non_null(q);
	reserved = atomic_load(&a.reserved_bytes);
	arena_free(&a, p, 40);
	arena_free(&a, q, ARENA_SMALL_MAX);
	assert_ptr_equal(arena_alloc(&a, ARENA_SMALL_MAX), q);
	assert_ptr_equal(arena_alloc(&a, 40), p);
	assert_int_equal(atomic_load(&a.reserved_bytes), reserved);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_pieces_are_disjoint),
		cmocka_unit_test(test_a_slab_goes_back_when_its_last_piece_is_freed),
		cmocka_unit_test(test_holes_are_at_most_half_of_what_is_used),
		cmocka_unit_test(test_small_pieces_of_a_size_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
