/* SPDX-License-Identifier: MIT */
/* Which names the uplink forgets, and when: those that nobody here has, and nothing of in the cluster. */
#include "../../daemon/uplink_table.h"
#include "core_rig.h"

#define START UINT64_C(0xabc)

struct forget_rig {
	struct uplink_table t;
	struct epoch_buffer buffer, *list[1];
	uint64_t epoch;
};

static void begin(struct forget_rig *g)
{
	memset(g, 0, sizeof(*g));
	assert_int_equal(uplink_table_init(&g->t), 0);
	uplink_table_loaded(&g->t, 0);
	epoch_buffer_init(&g->buffer);
	g->list[0] = &g->buffer;
}

static void end(struct forget_rig *g)
{
	epoch_buffer_fini(&g->buffer);
	uplink_table_fini(&g->t);
}

static void create(struct forget_rig *g, uint64_t id, const char *name, uint64_t value)
{
	assert_int_equal(epoch_buffer_create(&g->buffer, id, slice_str(name)), 0);
	assert_int_equal(epoch_buffer_add(&g->buffer, id, value), 0);
}

static void reserve(struct forget_rig *g)
{
	assert_int_equal(uplink_table_reserve(&g->t, g->list, 1), 0);
}

static void end_epoch(struct forget_rig *g)
{
	uplink_table_end_epoch(&g->t, g->list, 1, ++g->epoch, true, 1);
	epoch_buffer_clear(&g->buffer);
}

/* The cluster has nothing of what is looked at, and takes what is pushed. Returns how much that adds. */
static int64_t some_round(struct forget_rig *g, const struct uplink_answer *looks)
{
	static const struct uplink_answer pushed = {.outcome = UPLINK_PUSHED};
	struct uplink_push p;
	int64_t sum = 0;

	uplink_table_begin_round(&g->t);
	while (uplink_table_take(&g->t, START, &p)) {
		sum += p.is_look ? 0 : p.delta;
		uplink_table_answer(&g->t, &p, p.is_look ? looks : &pushed);
	}
	assert_true(uplink_table_end_round(&g->t));
	return sum;
}

static const struct uplink_answer nothing = {.outcome = UPLINK_OTHER};

static size_t names(struct forget_rig *g)
{
	return uplink_table_counts(&g->t).names;
}

static void test_a_name_that_comes_again_is_kept_by_a_sweep_before_its_epoch_is_on_disk(void **state)
{
	struct forget_rig g;

	(void)state;
	begin(&g);
	create(&g, 1, "again", 5);
	reserve(&g);
	end_epoch(&g);
	assert_int_equal(some_round(&g, &nothing), 5);
	assert_int_equal(epoch_buffer_delete(&g.buffer, 1), 0);
	reserve(&g);
	end_epoch(&g);
	assert_int_equal(some_round(&g, &nothing), -5);
	/* Nobody's now. */
	create(&g, 2, "again", 7);
	reserve(&g);
	assert_false(uplink_table_sweep(&g.t, 100));
	assert_int_equal(some_round(&g, &nothing), 0);
	assert_false(uplink_table_sweep(&g.t, 100));
	end_epoch(&g);
	assert_int_equal(names(&g), 1);
	assert_int_equal(some_round(&g, &nothing), 7);
	end(&g);
}

static void come_and_go(struct forget_rig *g, uint64_t first, int count)
{
	char name[32];

	for (int i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)first + (unsigned)i);
		create(g, first + (unsigned)i, name, 5);
		assert_int_equal(epoch_buffer_delete(&g->buffer, first + (unsigned)i), 0);
	}
	reserve(g);
	end_epoch(g);
}

/* One that the cluster knows, one that lives, and many that nobody has heard of. */
static void test_names_that_come_and_go_while_nothing_can_be_pushed_take_no_memory(void **state)
{
	enum { TIMES = 50, EACH = 1000 };
	struct forget_rig g;

	(void)state;
	begin(&g);
	create(&g, 1, "known", 5);
	reserve(&g);
	end_epoch(&g);
	assert_int_equal(some_round(&g, &nothing), 5);
	assert_int_equal(epoch_buffer_delete(&g.buffer, 1), 0);
	create(&g, 2, "lives", 7);
	reserve(&g);
	end_epoch(&g);
	for (int i = 0; i < TIMES; i++) {
		come_and_go(&g, 1000 + (uint64_t)i * EACH, EACH);
		if (i % 3 == 0)
			uplink_table_begin_round(&g.t);
		uplink_table_tidy(&g.t);
		assert_in_range(names(&g), 2, 2 * EACH + 1024);
	}
	assert_int_equal(some_round(&g, &nothing), 7 - 5);
	assert_int_equal(names(&g), 2);
	end(&g);
}

/* Nothing of it is there, so a counter that is gone need not wait until the cluster takes something. */
static void test_names_that_come_and_go_while_they_are_refused_take_no_memory(void **state)
{
	enum { TIMES = 50, EACH = 1000 };
	struct forget_rig g;
	struct uplink_push p;
	char name[32];

	(void)state;
	begin(&g);
	for (uint64_t i = 1; i <= TIMES * (uint64_t)EACH; i++) {
		(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
		create(&g, i, name, 5);
		if (i % EACH)
			continue;
		reserve(&g);
		end_epoch(&g);
		uplink_table_begin_round(&g.t);
		while (uplink_table_take(&g.t, START, &p))
			uplink_table_answer(&g.t, &p, &(struct uplink_answer){.outcome = UPLINK_REFUSED});
		for (uint64_t gone = i - EACH + 1; gone <= i; gone++)
			assert_int_equal(epoch_buffer_delete(&g.buffer, gone), 0);
		end_epoch(&g);
		uplink_table_tidy(&g.t);
		assert_in_range(names(&g), 0, 2 * EACH + 1024);
		assert_int_equal(uplink_table_counts(&g.t).refused, names(&g));
	}
	end(&g);
}

/* Its ledger may have what a start before this one brought, and did not take back. */
static void test_a_name_that_has_come_and_gone_is_looked_at_when_it_has_a_ledger(void **state)
{
	struct uplink_answer there = {
		.outcome = UPLINK_OTHER,
		.has_field = true,
		.field = {.mark = {.start = START, .epoch = 1}, .value = 9, .object = 1},
	};
	struct forget_rig g;

	(void)state;
	begin(&g);
	come_and_go(&g, 5, 1);
	assert_int_equal(uplink_table_found(&g.t, slice_str("5")), 0);
	come_and_go(&g, 1000, 2000);
	uplink_table_tidy(&g.t);
	assert_int_equal(names(&g), 1);
	assert_int_equal(some_round(&g, &there), -9);
	end(&g);
}

static void test_a_sweep_forgets_a_name_whose_object_has_come_and_gone(void **state)
{
	struct forget_rig g;

	(void)state;
	begin(&g);
	create(&g, 1, "gone", 5);
	assert_int_equal(epoch_buffer_delete(&g.buffer, 1), 0);
	reserve(&g);
	end_epoch(&g);
	some_round(&g, &nothing);
	assert_false(uplink_table_sweep(&g.t, 100));
	some_round(&g, &nothing);
	assert_false(uplink_table_sweep(&g.t, 100));
	assert_int_equal(names(&g), 0);
	end(&g);
}

static void test_ledgers_of_others_leave_no_entries(void **state)
{
	struct forget_rig g;
	char name[16];

	(void)state;
	begin(&g);
	create(&g, 1, "own", 5);
	reserve(&g);
	end_epoch(&g);
	some_round(&g, &nothing);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "other%d", i);
		assert_int_equal(uplink_table_found(&g.t, slice_str(name)), 0);
	}
	assert_int_equal(names(&g), 1001);
	assert_int_equal(some_round(&g, &nothing), 0);
	assert_int_equal(names(&g), 1);
	end(&g);
}

static void test_what_has_come_back_from_the_dead_is_taken_out_and_kept_until_a_sweep(void **state)
{
	struct uplink_answer there = {
		.outcome = UPLINK_OTHER,
		.has_field = true,
		.field = {.mark = {.start = START, .epoch = 1}, .value = 9, .object = 1},
	};
	struct forget_rig g;

	(void)state;
	begin(&g);
	assert_int_equal(uplink_table_found(&g.t, slice_str("dead")), 0);
	assert_int_equal(some_round(&g, &there), -9);
	assert_int_equal(names(&g), 1);
	assert_false(uplink_table_sweep(&g.t, 100));
	assert_int_equal(names(&g), 0);
	end(&g);
}

static void test_a_name_of_others_that_is_counted_here_meanwhile_is_kept(void **state)
{
	struct forget_rig g;

	(void)state;
	begin(&g);
	assert_int_equal(uplink_table_found(&g.t, slice_str("both")), 0);
	create(&g, 1, "both", 3);
	reserve(&g);
	assert_int_equal(some_round(&g, &nothing), 0);
	assert_int_equal(names(&g), 1);
	end_epoch(&g);
	assert_int_equal(some_round(&g, &nothing), 3);
	assert_int_equal(names(&g), 1);
	end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_that_comes_again_is_kept_by_a_sweep_before_its_epoch_is_on_disk),
		cmocka_unit_test(test_a_sweep_forgets_a_name_whose_object_has_come_and_gone),
		cmocka_unit_test(test_names_that_come_and_go_while_nothing_can_be_pushed_take_no_memory),
		cmocka_unit_test(test_names_that_come_and_go_while_they_are_refused_take_no_memory),
		cmocka_unit_test(test_a_name_that_has_come_and_gone_is_looked_at_when_it_has_a_ledger),
		cmocka_unit_test(test_ledgers_of_others_leave_no_entries),
		cmocka_unit_test(test_what_has_come_back_from_the_dead_is_taken_out_and_kept_until_a_sweep),
		cmocka_unit_test(test_a_name_of_others_that_is_counted_here_meanwhile_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
