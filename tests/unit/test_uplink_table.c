/* SPDX-License-Identifier: MIT */
/* What the uplink knows by name, against a model: epochs in, rounds and sweeps out. See uplink_rig.h. */
#include <errno.h>
#include <sys/resource.h>

#include "uplink_rig.h"

static void run_epochs(struct uplink_rig *g)
{
	for (int i = 0; i < EPOCHS; i++) {
		/* From few names, each often, to all of them: the indexes grow, and holes move. */
		some_epoch(g, 4U << rng_below(&g->r, 7));
		assert_as_model(g);
	}
}

static void test_epochs_make_what_they_record_in_whatever_buffer(void **state)
{
	(void)state;
	each_seed(run_epochs);
}

static void run_rounds(struct uplink_rig *g)
{
	for (int i = 0; i < EPOCHS; i++) {
		some_epoch(g, NAMES);
		(void)some_round(g, 1 + rng_below(&g->r, 6), 20);
	}
	/* What was not answered is left for the next one. */
	while (!some_round(g, 0, 0))
		;
	while (uplink_table_counts(&g->t).due)
		(void)some_round(g, 0, 0);
	assert_all_is_there(g);
	assert_int_equal(uplink_table_counts(&g->t).synced_epoch, g->epoch);
	assert_int_equal(uplink_table_lag_ms(&g->t, 5000), 0);
}

static void test_rounds_bring_everything_whatever_is_lost(void **state)
{
	(void)state;
	each_seed(run_rounds);
}

/* The cluster loses some, without a word: a sweep finds out. */
static void run_sweeps(struct uplink_rig *g)
{
	for (int i = 0; i < 20; i++)
		some_epoch(g, NAMES);
	while (!some_round(g, 0, 0))
		;
	for (unsigned n = 0; n < NAMES; n++)
		if (rng_below(&g->r, 3) == 0) {
			g->objects[n].has_field = rng_below(&g->r, 2);
			g->objects[n].field.value += 5;
		}
	for (int i = 0; i < 3; i++) {
		while (uplink_table_sweep(&g->t, 1 + rng_below(&g->r, 50)))
			(void)some_round(g, 0, 0);
		while (!some_round(g, 0, 0))
			;
	}
	/* Of the deleted ones, those that the table knows nothing of may have come back: the other end's
	 * task. */
	for (unsigned n = 0; n < NAMES; n++) {
		char text[16];

		if (g->objects[n].has_field)
			assert_int_equal(uplink_table_found(&g->t, name_of(text, n)), 0);
	}
	while (!some_round(g, 0, 0))
		;
	assert_all_is_there(g);
}

static void test_a_sweep_finds_what_the_cluster_has_lost(void **state)
{
	(void)state;
	each_seed(run_sweeps);
}

/* The cluster does not take it now; it rests until a sweep. */
static void refuse_next(struct uplink_rig *g)
{
	struct uplink_push p;

	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &p));
	uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_REFUSED});
	assert_int_equal(uplink_table_counts(&g->t).due, 0);
	assert_int_equal(uplink_table_counts(&g->t).refused, 1);
}

static void test_a_deleted_name_is_kept_until_a_zero_is_there_and_a_sweep_has_gone_by(void **state)
{
	struct uplink_rig *g = *state;

	add(g, 1);
	end_epoch(g, true);
	assert_true(some_round(g, 0, 0));
	delete (g, 1);
	end_epoch(g, true);
	refuse_next(g);
	assert_false(uplink_table_sweep(&g->t, 100));
	assert_int_equal(uplink_table_counts(&g->t).names, 1);
	assert_true(some_round(g, 0, 0));
	assert_int_equal(g->objects[1].field.value, 0);
	assert_int_equal(uplink_table_counts(&g->t).names, 1);
	assert_false(uplink_table_sweep(&g->t, 100));
	assert_int_equal(uplink_table_counts(&g->t).names, 0);
}

static void test_an_answer_that_is_lost_leaves_its_name_for_the_next_round(void **state)
{
	struct uplink_push p;
	struct uplink_rig *g = *state;

	add(g, 1);
	end_epoch(g, true);
	assert_int_equal(uplink_table_begin_round(&g->t), 1);
	assert_true(uplink_table_take(&g->t, START, &p));
	assert_false(p.is_look);
	uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_LOST});
	assert_false(uplink_table_take(&g->t, START, &p));
	assert_false(uplink_table_end_round(&g->t));
	assert_int_equal(uplink_table_counts(&g->t).synced_epoch, 0);
	assert_int_equal(uplink_table_lag_ms(&g->t, 1500), 500);
	assert_true(some_round(g, 0, 0));
	assert_int_equal(uplink_table_counts(&g->t).synced_epoch, 1);
}

static void test_what_changes_under_way_is_due_again(void **state)
{
	struct uplink_push p;
	struct uplink_rig *g = *state;

	add(g, 1);
	end_epoch(g, true);
	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &p));
	commit_more(g, 1);
	answer(g, &p, 0);
	assert_int_equal(uplink_table_counts(&g->t).due, 1);
	assert_true(some_round(g, 0, 0));
	assert_all_is_there(g);
}

/* Each once, also when the table grows between two pages; those that came meanwhile may be told. */
static void run_pages(struct uplink_rig *g)
{
	unsigned told[NAMES] = {0}, first = 50 + rng_below(&g->r, 100);
	struct uplink_state rows[16];
	uint64_t cursor = 0;

	for (unsigned n = 0; n < first; n++)
		add(g, n);
	end_epoch(g, true);
	do {
		size_t count = uplink_table_page(&g->t, &cursor, rows, 16);

		for (size_t i = 0; i < count; i++) {
			char text[16] = "";

			memcpy(text, rows[i].name, rows[i].name_len);
			assert_int_equal(told[atoi(text + 4)]++, 0);
		}
		if (rng_below(&g->r, 3) == 0) {
			for (unsigned i = 0; i < 60; i++)
				add(g, first + rng_below(&g->r, NAMES - first));
			end_epoch(g, true);
		}
	} while (cursor);
	for (unsigned n = 0; n < first; n++)
		assert_int_equal(told[n], 1);
}

static void test_pages_tell_each_name_once_while_the_table_grows(void **state)
{
	(void)state;
	each_seed(run_pages);
}

/* ---- no memory ---- */

static void test_an_epoch_for_which_there_is_no_memory_may_come_again(void **state)
{
	struct uplink_rig *g = *state;
	struct rlimit before, none;
	char text[16];
	int rc = 0;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	for (uint64_t id = 1; id <= 200000; id++)
		assert_int_equal(epoch_buffer_create(&g->buffers[0], id, name_of(text, (unsigned)id)), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	none = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	rc = uplink_table_reserve(&g->t, g->list, BUFFERS);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(uplink_table_reserve(&g->t, g->list, BUFFERS), 0);
	uplink_table_end_epoch(&g->t, g->list, BUFFERS, 1, true, 1);
	assert_int_equal(uplink_table_counts(&g->t).names, 200000);
	assert_int_equal(uplink_table_counts(&g->t).due, 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epochs_make_what_they_record_in_whatever_buffer),
		cmocka_unit_test(test_rounds_bring_everything_whatever_is_lost),
		cmocka_unit_test(test_a_sweep_finds_what_the_cluster_has_lost),
		COURSE(test_a_deleted_name_is_kept_until_a_zero_is_there_and_a_sweep_has_gone_by),
		COURSE(test_an_answer_that_is_lost_leaves_its_name_for_the_next_round),
		COURSE(test_what_changes_under_way_is_due_again),
		cmocka_unit_test(test_pages_tell_each_name_once_while_the_table_grows),
		COURSE(test_an_epoch_for_which_there_is_no_memory_may_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
