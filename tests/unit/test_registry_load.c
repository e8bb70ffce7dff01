/* SPDX-License-Identifier: MIT */
/* test_registry_load.c - several threads fill a registry: each name once, in no more memory than growing
 * takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "../../daemon/registry_load.h"

enum { THREADS = 4, NAMES = 30000, SHARED = 3000 /* of them, that every thread tries */ };

static struct slice name_of(char name[24], uint64_t id)
{
	snprintf(name, 24, "counter:%08llu", (unsigned long long)id);
	return slice_str(name);
}

struct part {
	struct registry *registry;
	struct registry_loader loader;
	pthread_t thread;
	uint64_t first; /* ids from here on, THREADS apart; behind those that all try */
	unsigned taken, refused;
};

static void load_one(struct part *p, uint64_t id)
{
	char text[24];
	struct slice name = name_of(text, id);
	const struct registry_object object = {.id = id, .value = -(int64_t)id};
	int rc = registry_load(p->registry, &p->loader, name, registry_hash(p->registry, name), &object);

	p->taken += rc == 0;
	p->refused += rc == -EEXIST;
}

static void *load_part(void *arg)
{
	struct part *p = arg;

	for (uint64_t id = 1; id <= SHARED; id++)
		load_one(p, id);
	for (uint64_t id = SHARED + p->first; id <= NAMES; id += THREADS)
		load_one(p, id);
	return NULL;
}

static void assert_has_all(struct registry *r)
{
	char text[24];

	for (uint64_t id = 1; id <= NAMES; id++) {
		struct slice name = name_of(text, id);
		struct counter *c = registry_find(r, name, registry_hash(r, name));

		assert_non_null(c);
		assert_int_equal(counter_id(counter_object(c)), id);
		assert_int_equal(counter_base(c), -(int64_t)id);
	}
}

static void load_on_threads(uint64_t expected)
{
	struct part parts[THREADS];
	struct registry r;
	unsigned taken = 0, refused = 0;

	assert_int_equal(registry_init(&r, NULL), 0);
	assert_int_equal(registry_presize(&r, expected), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		parts[i] = (struct part){.registry = &r, .first = i + 1};
		registry_loader_init(&parts[i].loader);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&parts[i].thread, NULL, load_part, &parts[i]), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(parts[i].thread, NULL);
		taken += parts[i].taken;
		refused += parts[i].refused;
	}
	for (unsigned i = 0; i < THREADS; i++)
		registry_loader_fini(&r, &parts[i].loader);
	assert_int_equal(taken, NAMES);
	assert_int_equal(refused, (THREADS - 1) * SHARED);
	assert_has_all(&r);
	registry_fini(&r);
}

static void test_each_name_is_taken_once(void **state)
{
	(void)state;
	load_on_threads(NAMES);
}

static void test_a_table_that_was_expected_to_be_small_grows(void **state)
{
	(void)state;
	load_on_threads(0);
	load_on_threads(NAMES / 5);
}

static void test_a_table_of_the_expected_size_takes_no_more_memory_than_one_that_grew(void **state)
{
	struct registry grown, sized;
	struct registry_loader l;
	char text[24];

	(void)state;
	for (uint64_t count = NAMES / 4; count <= NAMES; count += NAMES / 20) {
		assert_int_equal(registry_init(&grown, NULL), 0);
		assert_int_equal(registry_init(&sized, NULL), 0);
		assert_int_equal(registry_presize(&sized, count), 0);
		registry_loader_init(&l);
		for (uint64_t id = 1; id <= count; id++) {
			struct slice name = name_of(text, id);
			struct counter *c;

			assert_int_equal(registry_insert(&grown, name, registry_hash(&grown, name), NULL, &c),
					 0);
			assert_int_equal(registry_load(&sized, &l, name, registry_hash(&sized, name),
						       &(struct registry_object){.id = id}),
					 0);
		}
		registry_loader_fini(&sized, &l);
		/* Which segments have split already is chance. */
		assert_true(arena_used_bytes(&sized.arena) <= arena_used_bytes(&grown.arena) * 21 / 20);
		registry_fini(&grown);
		registry_fini(&sized);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_name_is_taken_once),
		cmocka_unit_test(test_a_table_that_was_expected_to_be_small_grows),
		cmocka_unit_test(test_a_table_of_the_expected_size_takes_no_more_memory_than_one_that_grew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
