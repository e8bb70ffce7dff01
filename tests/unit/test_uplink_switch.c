/* SPDX-License-Identifier: MIT */
/* A new incarnation: what it begins with, and that nothing of the old one arrives behind it. See
 * uplink_rig.h. */
#include "uplink_rig.h"

/* A failover that nobody has noticed. */
static void lose_some(struct uplink_rig *g)
{
	for (unsigned n = 0; n < NAMES; n++) {
		struct object *o = &g->objects[n];

		if (o->has_field && rng_below(&g->r, 10) == 0) {
			o->has_field = rng_below(&g->r, 2);
			o->field.value -= 1000000;
		}
	}
}

/* What there is of a field of this start, else what the start, or the incarnation, began with. */
static void take_baselines(struct uplink_rig *g, const struct store_baseline *rows, size_t count)
{
	for (unsigned n = 0; n < NAMES; n++) {
		struct object *o = &g->objects[n];
		bool is_ours = o->has_field && o->field.object == o->id;
		int64_t stands = o->baseline + (is_ours ? o->field.value : 0), found = 0;

		for (size_t i = 0; i < count; i++)
			if (o->id && rows[i].id == o->id)
				found = rows[i].value;
		if (o->id)
			assert_int_equal(found, stands);
		o->baseline = found;
		o->has_field = false; /* the new incarnation has none */
	}
}

static void switch_once(struct uplink_rig *g)
{
	struct store_baseline *rows;
	size_t count;

	for (int i = 0; i < 10; i++) {
		some_epoch(g, NAMES);
		(void)some_round(g, 3, 0);
	}
	some_epoch(g, NAMES); /* of which nothing was sent */
	lose_some(g);
	uplink_table_doubt(&g->t, START, false);
	while (uplink_table_look(&g->t))
		(void)some_round(g, 3, 0);
	rows = uplink_table_baselines(&g->t, START, &count);
	assert_non_null(rows);
	for (size_t i = 1; i < count; i++)
		assert_true(rows[i - 1].id < rows[i].id);
	take_baselines(g, rows, count);
	free(rows);
	uplink_table_switch(&g->t, START);
	assert_as_model(g);
}

/* What was in doubt, or lost, is looked up; a contribution begins where its old field stands. */
static void run_switch(struct uplink_rig *g)
{
	for (int i = 0; i < 3; i++)
		switch_once(g);
	some_epoch(g, NAMES);
	while (!some_round(g, 0, 0))
		;
	assert_all_is_there(g);
}

static void test_a_new_incarnation_begins_where_the_old_fields_stand(void **state)
{
	(void)state;
	each_seed(run_switch);
}

static void test_what_was_loaded_and_not_pushed_is_left_out_of_a_new_incarnation(void **state)
{
	struct uplink_table t;
	struct store_baseline *rows;
	size_t count;

	(void)state;
	assert_int_equal(uplink_table_init(&t), 0);
	assert_int_equal(uplink_table_load(&t, 3, slice_str("a"), 10), 0);
	assert_int_equal(uplink_table_load(&t, 5, slice_str("b"), 20), 0);
	uplink_table_load_baseline(&t, 5, 15);
	uplink_table_loaded(&t, 7);
	uplink_table_doubt(&t, START, false);
	assert_int_equal(uplink_table_look(&t), 0);
	rows = uplink_table_baselines(&t, START, &count);
	assert_int_equal(count, 2);
	assert_int_equal(rows[0].value, 10);
	assert_int_equal(rows[1].value, 20);
	free(rows);
	uplink_table_fini(&t);
}

/* Nobody else goes on with an incarnation that was given up, so its fields say what has arrived of it,
 * whichever start has brought that. */
static void test_what_a_retired_incarnation_has_not_brought_is_brought_by_the_next_one(void **state)
{
	static const struct {
		const char *name;
		int64_t value, baseline;
		struct uplink_answer there;
		int64_t stands_at;
	} CASES[] = {
		{"none", 10, 0, {UPLINK_OTHER, false, false, {.value = 0}, 0}, 0},
		{"none of its own", 30, 20, {UPLINK_OTHER, false, false, {.value = 0}, 0}, 20},
		{"less", 10, 0, {UPLINK_OTHER, true, false, {{START - 1, 3}, 7, 3, 0}, 0}, 7},
		{"less of its own", 30, 20, {UPLINK_OTHER, true, true, {{START - 1, 3}, 7, 4, 7}, 0}, 27},
		{"all", 10, 0, {UPLINK_OTHER, true, false, {{START, 7}, 10, 5, 0}, 0}, 10},
		{"another object's", 30, 20, {UPLINK_OTHER, true, true, {{START, 7}, 10, 1, 0}, 0}, 20},
		{"strange", 30, 20, {UPLINK_BROKEN, false, false, {.value = 0}, 0}, 30},
		{"refused", 30, 20, {UPLINK_REFUSED, false, false, {.value = 0}, 0}, 30},
	};
	enum { CASE_COUNT = sizeof(CASES) / sizeof(CASES[0]) };
	struct uplink_table t;
	struct uplink_push push;
	struct store_baseline *rows;
	size_t count, at = 0;

	(void)state;
	assert_int_equal(uplink_table_init(&t), 0);
	for (size_t i = 0; i < CASE_COUNT; i++) {
		assert_int_equal(uplink_table_load(&t, i + 1, slice_str(CASES[i].name), CASES[i].value), 0);
		uplink_table_load_baseline(&t, i + 1, CASES[i].baseline);
	}
	uplink_table_loaded(&t, 7);
	uplink_table_doubt(&t, START, true);
	assert_int_equal(uplink_table_look(&t), CASE_COUNT);
	uplink_table_begin_round(&t);
	while (uplink_table_take(&t, START, &push)) {
		assert_true(push.is_look);
		uplink_table_answer(&t, &push, &CASES[push.entry->id - 1].there);
	}
	/* Where others than this start have been, what they have sent may come yet: it must find another
	 * mark. */
	assert_int_equal(uplink_table_look(&t), 3);
	uplink_table_begin_round(&t);
	while (uplink_table_take(&t, START, &push)) {
		assert_false(push.is_look);
		assert_int_equal(push.delta, 0);
		uplink_table_answer(&t, &push, &(struct uplink_answer){.outcome = UPLINK_PUSHED});
	}
	assert_int_equal(uplink_table_look(&t), 0);
	rows = uplink_table_baselines(&t, START, &count);
	for (size_t i = 0; i < CASE_COUNT; i++)
		if (CASES[i].stands_at) {
			assert_int_equal(rows[at].id, i + 1);
			assert_int_equal(rows[at++].value, CASES[i].stands_at);
		}
	assert_int_equal(count, at);
	free(rows);
	uplink_table_fini(&t);
}

/* It may have been rolled back since. */
static void test_what_was_looked_up_is_looked_up_again_when_a_master_was_replaced(void **state)
{
	struct uplink_rig *g = *state;

	add(g, 1);
	end_epoch(g, true);
	assert_true(some_round(g, 0, 0));
	for (int i = 0; i < 2; i++) {
		uplink_table_doubt(&g->t, START, false);
		assert_int_equal(uplink_table_look(&g->t), 1);
		(void)some_round(g, 0, 0);
		assert_int_equal(uplink_table_look(&g->t), 0);
	}
}

/* A request that may be done yet expects what is there: it gets another mark. */
static void test_what_is_on_its_way_comes_to_nothing_before_a_switch(void **state)
{
	struct uplink_rig *g = *state;
	struct uplink_push late, fence;

	add(g, 1);
	end_epoch(g, true);
	assert_true(some_round(g, 0, 0));
	commit_more(g, 1);
	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &late));
	uplink_table_answer(&g->t, &late, &(struct uplink_answer){.outcome = UPLINK_LOST});
	uplink_table_doubt(&g->t, START, false);
	assert_int_equal(uplink_table_look(&g->t), 1);
	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &fence));
	answer(g, &fence, 0);
	assert_int_equal(uplink_table_look(&g->t), 0);
	assert_false(is_expected(&g->objects[1], &late));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_incarnation_begins_where_the_old_fields_stand),
		cmocka_unit_test(test_what_was_loaded_and_not_pushed_is_left_out_of_a_new_incarnation),
		cmocka_unit_test(test_what_a_retired_incarnation_has_not_brought_is_brought_by_the_next_one),
		COURSE(test_what_was_looked_up_is_looked_up_again_when_a_master_was_replaced),
		COURSE(test_what_is_on_its_way_comes_to_nothing_before_a_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
