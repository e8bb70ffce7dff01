/* SPDX-License-Identifier: MIT */
/* Names that the cluster refuses, and names that somebody waits for. See uplink_rig.h. */
#include "uplink_rig.h"

/* ---- what is refused ---- */

static void test_what_does_not_fit_any_more_while_it_is_under_way_is_refused(void **state)
{
	static const struct uplink_answer pushed = {.outcome = UPLINK_PUSHED};
	struct uplink_rig *g = *state;
	struct uplink_push p;

	assert_int_equal(uplink_table_load(&g->t, 1, slice_str("name1"), 5), 0);
	uplink_table_load_baseline(&g->t, 1, -1);
	assert_int_equal(epoch_buffer_add(any(g), 1, 1), 0);
	end_epoch(g, true);
	assert_int_equal(uplink_table_begin_round(&g->t), 1);
	assert_true(uplink_table_take(&g->t, START, &p));
	assert_int_equal(epoch_buffer_add(any(g), 1, INT64_MAX - 6), 0);
	end_epoch(g, true);
	uplink_table_answer(&g->t, &p, &pushed);
	uplink_table_begin_round(&g->t);
	assert_false(uplink_table_take(&g->t, START, &p));
	assert_int_equal(uplink_table_counts(&g->t).refused, 1);
}

static void test_what_is_refused_is_tried_again_in_turn_and_not_for_a_change(void **state)
{
	struct uplink_rig *g = *state;
	struct uplink_push p;
	unsigned tried[5] = {0};

	commit_names(g, 5);
	assert_int_equal(refuse_round(g), 5);
	assert_int_equal(uplink_table_counts(&g->t).aside, 5);
	for (unsigned n = 0; n < 5; n++)
		add(g, n);
	end_epoch(g, true);
	assert_int_equal(uplink_table_counts(&g->t).due, 0);
	assert_int_equal(refuse_round(g), 0);
	for (int i = 0; i < 3; i++) {
		uplink_table_retry(&g->t, 2);
		while (uplink_table_take(&g->t, START, &p)) {
			tried[number_of(p.entry)]++;
			uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_REFUSED});
		}
	}
	for (unsigned n = 0; n < 5; n++)
		assert_true(tried[n] >= 1);
	assert_int_equal(uplink_table_counts(&g->t).refused, 5);
	assert_false(uplink_table_has_recovered(&g->t));
	uplink_table_retry(&g->t, 1);
	assert_true(some_round(g, 0, 0));
	assert_true(uplink_table_has_recovered(&g->t));
	assert_false(uplink_table_has_recovered(&g->t));
	uplink_table_retry(&g->t, SIZE_MAX);
	assert_true(some_round(g, 0, 0));
	assert_all_is_there(g);
	assert_int_equal(uplink_table_counts(&g->t).refused, 0);
}

/* As it was before: its field is not touched by a refusal. */
static void test_what_is_refused_and_is_right_is_looked_at_before_that_is_believed(void **state)
{
	struct uplink_rig *g = *state;
	struct uplink_push p;

	commit_names(g, 1);
	assert_true(some_round(g, 0, 0));
	assert_false(uplink_table_sweep(&g->t, 100));
	assert_int_equal(refuse_round(g), 1);
	g->objects[0].has_field = false; /* lost meanwhile */
	uplink_table_retry(&g->t, 1);
	assert_true(uplink_table_take(&g->t, START, &p));
	assert_true(p.is_look);
	answer(g, &p, 0);
	/* It is refused until it is there. */
	assert_int_equal(uplink_table_counts(&g->t).refused, 1);
	assert_true(some_round(g, 0, 0));
	assert_int_equal(uplink_table_counts(&g->t).refused, 0);
	assert_all_is_there(g);
}

static void test_an_answer_that_is_lost_says_nothing_of_a_refusal(void **state)
{
	struct uplink_rig *g = *state;
	struct uplink_push p;

	commit_names(g, 1);
	assert_int_equal(refuse_round(g), 1);
	uplink_table_retry(&g->t, 1);
	assert_true(uplink_table_take(&g->t, START, &p));
	uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_LOST});
	assert_int_equal(uplink_table_counts(&g->t).refused, 1);
	assert_int_equal(uplink_table_counts(&g->t).aside, 0);
	assert_int_equal(uplink_table_counts(&g->t).due, 1);
}

static void test_a_sweep_and_a_repair_try_again_what_is_refused(void **state)
{
	struct uplink_rig *g = *state;
	char text[16];

	commit_names(g, 3);
	assert_int_equal(refuse_round(g), 3);
	uplink_table_look_again(&g->t, name_of(text, 1));
	assert_int_equal(refuse_round(g), 1);
	assert_false(uplink_table_sweep(&g->t, 100));
	assert_int_equal(uplink_table_counts(&g->t).aside, 0);
	assert_int_equal(refuse_round(g), 3);
}

static void test_what_is_refused_and_in_doubt_is_looked_up_before_a_switch_and_due_behind_it(void **state)
{
	struct uplink_rig *g = *state;

	commit_names(g, 2);
	assert_true(some_round(g, 0, 0));
	add(g, 1);
	commit_more(g, 0);
	assert_int_equal(refuse_round(g), 2);
	uplink_table_doubt(&g->t, START, false);
	assert_int_equal(uplink_table_look(&g->t), 2);
	assert_int_equal(uplink_table_counts(&g->t).aside, 0);
	(void)some_round(g, 0, 0);
	assert_int_equal(uplink_table_look(&g->t), 0);
	/* Where nothing can be looked at it stays as it is believed. */
	uplink_table_doubt(&g->t, START, false);
	assert_int_equal(uplink_table_look(&g->t), 2);
	assert_int_equal(refuse_round(g), 2);
	assert_int_equal(uplink_table_look(&g->t), 0);
	uplink_table_switch(&g->t, START);
	assert_int_equal(uplink_table_counts(&g->t).aside, 0);
	assert_int_equal(uplink_table_counts(&g->t).due, 2);
}

static void test_a_name_that_stays_here_is_neither_due_nor_refused_and_goes_when_it_is_deleted(void **state)
{
	static const struct uplink_answer kept = {.outcome = UPLINK_KEPT};
	struct uplink_rig *g = *state;
	struct uplink_push p;

	commit_names(g, 1);
	for (int i = 0; i < 2; i++) {
		uplink_table_begin_round(&g->t);
		assert_true(uplink_table_take(&g->t, START, &p));
		uplink_table_answer(&g->t, &p, &kept);
		assert_false(uplink_table_take(&g->t, START, &p));
		assert_int_equal(uplink_table_counts(&g->t).due, 0);
		assert_int_equal(uplink_table_counts(&g->t).refused, 0);
		if (i)
			delete (g, 0);
		else
			add(g, 0);
		end_epoch(g, true);
	}
	uplink_table_begin_round(&g->t);
	assert_false(uplink_table_take(&g->t, START, &p)); /* nothing of it is there */
	assert_false(uplink_table_sweep(&g->t, 100));
	assert_int_equal(uplink_table_counts(&g->t).names, 0);
}

/* ---- one that somebody waits for ---- */

static enum uplink_presence presence(struct uplink_rig *g, unsigned n)
{
	char text[16];
	uint8_t why;

	return uplink_table_presence(&g->t, name_of(text, n), &why);
}

static int await(struct uplink_rig *g, unsigned n)
{
	char text[16];

	return uplink_table_await(&g->t, name_of(text, n));
}

static void test_a_name_is_there_when_it_was_answered_since_it_is_waited_for_though_it_goes_on(void **state)
{
	struct uplink_rig *g = *state;
	struct uplink_push p, other;

	commit_names(g, 2);
	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &p));
	assert_true(uplink_table_take(&g->t, START, &other)); /* which has no answer */
	unsigned n = number_of(p.entry);
	add(g, n);
	end_epoch(g, true);
	assert_int_equal(await(g, n), 0); /* what is under way is older */
	answer(g, &p, 0);
	assert_int_equal(await(g, n), 1);
	assert_int_equal(presence(g, n), UPLINK_NOT_YET);
	assert_true(uplink_table_take(&g->t, START, &p));
	int64_t waited_for = g->objects[n].value;
	commit_more(g, n);
	answer(g, &p, 0);
	assert_int_equal(presence(g, n), UPLINK_IS_THERE);
	assert_int_equal(g->objects[n].field.value, waited_for);
	answer(g, &other, 0);
}

/* What is there instead is replaced first. */
static void test_a_name_that_was_lost_is_not_there_until_it_is_there_again(void **state)
{
	struct uplink_rig *g = *state;
	struct uplink_push p;

	commit_names(g, 1);
	assert_true(some_round(g, 0, 0));
	g->objects[0].has_field = false;
	assert_int_equal(await(g, 0), 1);
	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &p));
	answer(g, &p, 0);
	assert_int_equal(presence(g, 0), UPLINK_NOT_YET);
	assert_true(uplink_table_take(&g->t, START, &p));
	answer(g, &p, 0);
	assert_int_equal(presence(g, 0), UPLINK_IS_THERE);
	assert_all_is_there(g);
}

static void test_a_name_that_is_waited_for_may_be_refused_unknown_or_moved_by_a_switch(void **state)
{
	struct uplink_rig *g = *state;

	commit_names(g, 2);
	assert_int_equal(refuse_round(g), 2);
	assert_int_equal(await(g, 1), 1);
	assert_int_equal(refuse_round(g), 1); /* this one alone is tried again */
	assert_int_equal(presence(g, 1), UPLINK_IS_REFUSED);
	assert_int_equal(await(g, 7), 1);
	assert_int_equal(presence(g, 7), UPLINK_NOT_YET);
	assert_true(some_round(g, 0, 0));
	assert_int_equal(presence(g, 7), UPLINK_IS_THERE);
	assert_int_equal(uplink_table_counts(&g->t).names, 2); /* it is forgotten again */
	uplink_table_doubt(&g->t, START, false);
	uplink_table_switch(&g->t, START);
	assert_int_equal(presence(g, 1), UPLINK_NOT_YET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		COURSE(test_what_does_not_fit_any_more_while_it_is_under_way_is_refused),
		COURSE(test_what_is_refused_is_tried_again_in_turn_and_not_for_a_change),
		COURSE(test_what_is_refused_and_is_right_is_looked_at_before_that_is_believed),
		COURSE(test_an_answer_that_is_lost_says_nothing_of_a_refusal),
		COURSE(test_a_sweep_and_a_repair_try_again_what_is_refused),
		COURSE(test_what_is_refused_and_in_doubt_is_looked_up_before_a_switch_and_due_behind_it),
		COURSE(test_a_name_that_stays_here_is_neither_due_nor_refused_and_goes_when_it_is_deleted),
		COURSE(test_a_name_is_there_when_it_was_answered_since_it_is_waited_for_though_it_goes_on),
		COURSE(test_a_name_that_was_lost_is_not_there_until_it_is_there_again),
		COURSE(test_a_name_that_is_waited_for_may_be_refused_unknown_or_moved_by_a_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
