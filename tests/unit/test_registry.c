/* SPDX-License-Identifier: MIT */
/*
 * name -> counter: against an oracle, at a million names, while it grows under readers, and while it is
 * walked. What inserting replaces is collected in an epoch's buffer and freed at the end, as the committer
 * does.
 */
#include <errno.h>
#include <pthread.h>

#include "core_rig.h"

/* ---- names ---- */

enum { TEXT_BYTES = 24 };

static struct slice name_of(char text[TEXT_BYTES], const char *prefix, uint64_t n)
{
	/* 16 bytes, as counters in the field: a word and a number */
	int len = snprintf(text, TEXT_BYTES, "%s%0*llu", prefix, 16 - (int)strlen(prefix),
			   (unsigned long long)n);

	return (struct slice){.data = text, .len = (size_t)len};
}

static struct counter *find(struct registry *r, struct slice name)
{
	return registry_find(r, name, registry_hash(r, name));
}

static struct counter *insert(struct registry *r, struct slice name, struct epoch_buffer *retired)
{
	struct counter *c = NULL;

	if (registry_insert(r, name, registry_hash(r, name), retired, &c))
		return NULL;
	return c;
}

static void free_retired(struct registry *r, struct epoch_buffer *b)
{
	for (size_t i = 0; i < b->retired.count; i++)
		registry_free(r, &b->retired.items[i]);
	b->retired.count = 0;
	epoch_buffer_fini(b);
}

/* ---- one thread ---- */

static void test_a_million_names_are_found_and_no_others(void **state)
{
	size_t count = rig_scaled(1000000), used;
	char text[TEXT_BYTES];
	struct registry r;

	(void)state;
	assert_int_equal(registry_init(&r, NULL), 0);
	used = arena_used_bytes(&r.arena);
	for (size_t i = 0; i < count; i++) {
		struct slice name = name_of(text, "page:", i);
		struct counter *c;

		assert_null(find(&r, name));
		c = insert(&r, name, NULL);
		assert_non_null(c);
		assert_true(slice_equal(counter_name(c), name));
		counter_set_base(c, (int64_t)i);
		counter_set_object(c, counter_object_of_id(i + 1));
		assert_ptr_equal(insert(&r, name, NULL), c);
	}
	for (size_t i = 0; i < count; i++) {
		struct counter *c = find(&r, name_of(text, "page:", i));

		assert_non_null(c);
		assert_int_equal(counter_base(c), i);
		assert_null(find(&r, name_of(text, "none:", i)));
	}
	used = arena_used_bytes(&r.arena) - used;
	print_message("%zu names of 16 bytes: %.1f bytes each used, %.1f reserved; directory of 2^%u\n",
		      count, (double)used / (double)count,
		      (double)atomic_load(&r.arena.reserved_bytes) / (double)count,
		      atomic_load(&r.directory)->depth);
	registry_fini(&r);
}

enum { ORACLE_NAMES = 3000 };

/* Names come and go until most places of a segment are deleted ones: it is copied then, not split for ever.
 */
static void test_names_removed_and_inserted_again_follow_the_oracle(void **state)
{
	struct counter *there[ORACLE_NAMES] = {NULL};
	struct rng rng = {rig_seed() ? rig_seed() : 3};
	size_t steps = rig_scaled(400000), used;
	char text[TEXT_BYTES];
	struct registry r;

	(void)state;
	assert_int_equal(registry_init(&r, NULL), 0);
	for (size_t n = 0; n < steps; n++) {
		size_t which = rng_below(&rng, ORACLE_NAMES);
		struct slice name = name_of(text, "n", which);

		assert_ptr_equal(find(&r, name), there[which]);
		if (!there[which]) {
			there[which] = insert(&r, name, NULL);
			assert_non_null(there[which]);
			assert_false(counter_has_object(counter_object(there[which])));
			continue;
		}
		/* With an object it stays. */
		counter_set_object(there[which], counter_object_of_id(n + 1));
		assert_false(registry_remove(&r, there[which]));
		counter_set_object(there[which], COUNTER_ABSENT);
		assert_true(registry_remove(&r, there[which]));
		assert_int_equal(counter_object(there[which]), COUNTER_GONE);
		/* Noted twice, removed once. */
		assert_false(registry_remove(&r, there[which]));
		registry_free(&r, &(struct retired){.p = there[which], .kind = RETIRED_COUNTER});
		there[which] = NULL;
	}
	assert_true(atomic_load(&r.directory)->depth <= 6);
	used = arena_used_bytes(&r.arena);
	assert_true(used < ORACLE_NAMES * 48 + 64 * sizeof(struct segment));
	registry_fini(&r);
}

/* Same tag, same first place, and so the same segment for long: only the name tells them apart. */
static void test_names_with_the_same_tag_and_place_are_told_apart(void **state)
{
	enum { CANDIDATES = 400000, SLOTS = 1 << 21 };
	uint32_t *first = calloc(SLOTS, sizeof(*first));
	char text[TEXT_BYTES], other[TEXT_BYTES];
	struct registry r;
	size_t pairs = 0;

	(void)state;
	assert_non_null(first);
	assert_int_equal(registry_init(&r, NULL), 0);
	for (uint32_t i = 1; i < CANDIDATES; i++) {
		struct slice a = name_of(text, "c", i), b;
		uint64_t key = registry_hash(&r, a) & 0x1ffffff; /* place and tag */
		uint32_t *seen = &first[key % SLOTS];
		struct counter *ca, *cb;

		if (!*seen) {
			*seen = i;
			continue;
		}
		b = name_of(other, "c", *seen);
		if ((registry_hash(&r, b) & 0x1ffffff) != key)
			continue;
		pairs++;
		ca = insert(&r, a, NULL);
		cb = find(&r, b);
		assert_ptr_not_equal(ca, cb);
		cb = insert(&r, b, NULL);
		assert_ptr_not_equal(ca, cb);
		assert_ptr_equal(find(&r, a), ca);
		assert_ptr_equal(find(&r, b), cb);
	}
	assert_true(pairs > 100);
	free(first);
	registry_fini(&r);
}

/* A place whose counter was removed looks like one with tag 0: prefetching must not follow it. */
static void test_a_guess_is_a_counter_or_nothing(void **state)
{
	struct epoch_buffer retired;
	char text[TEXT_BYTES];
	struct registry r;

	(void)state;
	assert_int_equal(registry_init(&r, NULL), 0);
	epoch_buffer_init(&retired);
	for (uint64_t i = 0; i < 300; i++) {
		struct slice name = name_of(text, "gone:", i);
		struct counter *c = insert(&r, name, &retired);

		assert_ptr_equal(registry_guess(&r, registry_hash(&r, name)), c);
		assert_true(registry_remove(&r, c));
		registry_free(&r, &(struct retired){.p = c, .kind = RETIRED_COUNTER});
	}
	for (uint64_t place = 0; place < REGISTRY_SLOTS; place++)
		assert_null(registry_guess(&r, place << 16));
	free_retired(&r, &retired);
	registry_fini(&r);
}

/* However a segment is filled, a look-up comes to each of its places, and to the nearest in its line first.
 */
static void test_a_look_up_comes_to_every_place_once(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < REGISTRY_SLOTS; first++) {
		bool is_seen[REGISTRY_SLOTS] = {false};

		assert_int_equal(registry_place(first << 16, 0), first);
		for (uint32_t n = 0; n < REGISTRY_SLOTS; n++) {
			uint32_t place = registry_place(first << 16, n);

			assert_false(is_seen[place]);
			is_seen[place] = true;
			if (n < 8)
				assert_int_equal(place / 8, first / 8);
		}
	}
}

static void test_memory_max_refuses_new_names_only(void **state)
{
	_Atomic int64_t max;
	char text[TEXT_BYTES];
	struct counter *c;
	struct registry r;
	struct slice name;
	size_t i;

	(void)state;
	assert_int_equal(registry_init(&r, &max), 0);
	atomic_init(&max, (int64_t)arena_used_bytes(&r.arena) + 10000);
	for (i = 0; insert(&r, name_of(text, "q", i), NULL); i++)
		assert_true(i < 1000);
	assert_in_range(i, 200, 260);
	name = name_of(text, "q", i);
	assert_int_equal(registry_insert(&r, name, registry_hash(&r, name), NULL, &c), -EDQUOT);
	c = find(&r, name_of(text, "q", 7));
	assert_non_null(c);
	assert_ptr_equal(insert(&r, name_of(text, "q", 7), NULL), c);
	assert_true(registry_remove(&r, c));
	registry_free(&r, &(struct retired){.p = c, .kind = RETIRED_COUNTER});
	assert_non_null(insert(&r, name_of(text, "r", 1), NULL));
	atomic_store(&max, 0);
	for (i = 0; i < 10000; i++)
		assert_non_null(insert(&r, name_of(text, "s", i), NULL));
	registry_fini(&r);
}

/* ---- walking ---- */

struct walk {
	uint8_t *told; /* by the number that stands in base */
	size_t count;
	uint64_t hash_last;
	struct registry *registry;
};

static void walk_one(void *arg, struct counter *c)
{
	struct walk *w = arg;
	uint64_t hash = registry_hash(w->registry, counter_name(c));

	assert_true(w->count == 0 || hash >= w->hash_last);
	w->hash_last = hash;
	w->count++;
	if (c->name[0] == 'p')
		w->told[counter_base(c)]++;
}

static void walk_all(struct registry *r, size_t permanent, size_t count_min)
{
	struct walk w = {.registry = r, .told = calloc(permanent, 1)};
	uint64_t cursor = 0;

	assert_non_null(w.told);
	do {
		size_t before = w.count;

		cursor = registry_walk(r, cursor, count_min, walk_one, &w);
		assert_true(cursor < UINT64_C(1) << REGISTRY_CURSOR_BITS);
		assert_true(cursor == 0 || w.count >= before + count_min);
	} while (cursor);
	for (size_t i = 0; i < permanent; i++)
		assert_int_equal(w.told[i], 1);
	free(w.told);
}

static void tell_one(void *arg, struct counter *c)
{
	struct walk *w = arg;

	if (c->name[0] == 'p')
		w->told[counter_base(c)]++;
}

static void each_of_all(struct registry *r, size_t permanent)
{
	struct walk w = {.told = calloc(permanent + 1, 1)};

	assert_non_null(w.told);
	registry_each(r, tell_one, &w);
	for (size_t i = 0; i < permanent; i++)
		assert_int_equal(w.told[i], 1);
	free(w.told);
}

static void insert_permanent(struct registry *r, size_t count)
{
	char text[TEXT_BYTES];

	for (size_t i = 0; i < count; i++) {
		struct counter *c = insert(r, name_of(text, "p", i), NULL);

		assert_non_null(c);
		counter_set_base(c, (int64_t)i);
	}
}

static void test_a_walk_in_steps_of_any_size_tells_each_counter_once(void **state)
{
	static const size_t STEPS[] = {1, 2, 10, 439, 440, 441, 10000, SIZE_MAX};
	struct registry r;

	(void)state;
	assert_int_equal(registry_init(&r, NULL), 0);
	walk_all(&r, 0, 1);
	insert_permanent(&r, 5000);
	for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
		struct walk w = {.registry = &r, .told = calloc(5000, 1)};
		uint64_t cursor = 0;
		size_t calls = 0;

		assert_non_null(w.told);
		do {
			cursor = registry_walk(&r, cursor, STEPS[i], walk_one, &w);
			calls++;
		} while (cursor);
		for (size_t k = 0; k < 5000; k++)
			assert_int_equal(w.told[k], 1);
		assert_true(calls <= 5000 / STEPS[i] + 1);
		free(w.told);
	}
	registry_fini(&r);
}

static void test_each_counter_is_told_once_however_many_there_are(void **state)
{
	static const size_t COUNTS[] = {0, 1, 439, 440, 441, 5000, 20000};

	(void)state;
	for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++) {
		struct registry r;

		assert_int_equal(registry_init(&r, NULL), 0);
		insert_permanent(&r, COUNTS[i]);
		each_of_all(&r, COUNTS[i]);
		registry_fini(&r);
	}
}

/* ---- several threads ---- */

struct growth {
	struct registry registry;
	struct epoch_buffer retired; /* the inserter's */
	size_t count;
	_Atomic size_t inserted; /* names below are in */
	_Atomic bool is_over;
};

static void *grow(void *arg)
{
	struct growth *g = arg;
	char text[TEXT_BYTES];

	for (size_t i = 0; i < g->count; i++) {
		struct counter *c = insert(&g->registry, name_of(text, "grow", i), &g->retired);

		if (!c)
			abort();
		counter_set_base(c, (int64_t)i);
		atomic_store_explicit(&g->inserted, i + 1, memory_order_release);
	}
	atomic_store(&g->is_over, true);
	return NULL;
}

static void *look_up(void *arg)
{
	struct growth *g = arg;
	struct rng rng = {(uint64_t)(uintptr_t)&rng};
	char text[TEXT_BYTES];

	while (!atomic_load(&g->is_over)) {
		size_t inserted = atomic_load_explicit(&g->inserted, memory_order_acquire);
		size_t which = inserted ? rng_u64(&rng) % inserted : 0;
		struct counter *c;

		if (find(&g->registry, name_of(text, "none", which)))
			abort();
		if (!inserted)
			continue;
		c = find(&g->registry, name_of(text, "grow", which));
		if (!c || (which + 1 < inserted && counter_base(c) != (int64_t)which))
			abort();
	}
	return NULL;
}

static struct growth *growth_new(size_t count)
{
	struct growth *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	assert_int_equal(registry_init(&g->registry, NULL), 0);
	epoch_buffer_init(&g->retired);
	g->count = count;
	return g;
}

static void growth_free(struct growth *g)
{
	free_retired(&g->registry, &g->retired);
	registry_fini(&g->registry);
	free(g);
}

static void test_readers_find_everything_while_the_table_grows(void **state)
{
	struct growth *g = growth_new(rig_scaled(300000));
	pthread_t writer, readers[2];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, look_up, g), 0);
	assert_int_equal(pthread_create(&writer, NULL, grow, g), 0);
	assert_int_equal(pthread_join(writer, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	/* It split, and the directory doubled, under them. */
	assert_true(atomic_load(&g->registry.directory)->depth >= 3);
	assert_true(g->retired.retired.count > 10);
	growth_free(g);
}

static void test_a_walk_tells_each_counter_once_while_the_table_grows(void **state)
{
	enum { PERMANENT = 2000 };
	struct growth *g = growth_new(rig_scaled(300000));
	pthread_t writer;
	size_t walks = 0;

	(void)state;
	insert_permanent(&g->registry, PERMANENT);
	assert_int_equal(pthread_create(&writer, NULL, grow, g), 0);
	do {
		walk_all(&g->registry, PERMANENT, 1 + walks % 50);
		each_of_all(&g->registry, PERMANENT);
		walks++;
	} while (!atomic_load(&g->is_over));
	assert_int_equal(pthread_join(writer, NULL), 0);
	growth_free(g);
}

struct racer {
	struct growth *g;
	pthread_t thread;
	struct counter *got[20000];
	struct epoch_buffer retired;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	char text[TEXT_BYTES];

	for (size_t i = 0; i < 20000; i++)
		r->got[i] = insert(&r->g->registry, name_of(text, "race", i), &r->retired);
	return NULL;
}

static void test_two_that_insert_one_name_get_one_record(void **state)
{
	struct growth *g = growth_new(0);
	struct racer *racers = calloc(3, sizeof(*racers));

	(void)state;
	assert_non_null(racers);
	for (size_t i = 0; i < 3; i++) {
		racers[i].g = g;
		epoch_buffer_init(&racers[i].retired);
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
	for (size_t i = 0; i < 20000; i++) {
		assert_non_null(racers[0].got[i]);
		assert_ptr_equal(racers[0].got[i], racers[1].got[i]);
		assert_ptr_equal(racers[0].got[i], racers[2].got[i]);
	}
	for (size_t i = 0; i < 3; i++)
		free_retired(&g->registry, &racers[i].retired);
	free(racers);
	growth_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_million_names_are_found_and_no_others),
		cmocka_unit_test(test_names_removed_and_inserted_again_follow_the_oracle),
		cmocka_unit_test(test_names_with_the_same_tag_and_place_are_told_apart),
		cmocka_unit_test(test_a_guess_is_a_counter_or_nothing),
		cmocka_unit_test(test_a_look_up_comes_to_every_place_once),
		cmocka_unit_test(test_memory_max_refuses_new_names_only),
		cmocka_unit_test(test_a_walk_in_steps_of_any_size_tells_each_counter_once),
		cmocka_unit_test(test_each_counter_is_told_once_however_many_there_are),
		cmocka_unit_test(test_readers_find_everything_while_the_table_grows),
		cmocka_unit_test(test_a_walk_tells_each_counter_once_while_the_table_grows),
		cmocka_unit_test(test_two_that_insert_one_name_get_one_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
