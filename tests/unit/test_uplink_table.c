/* SPDX-License-Identifier: MIT */
/*
 * What the uplink knows by name, against a model; random, by seed. SHC_TEST_SEED=N runs that one seed,
 * SHC_TEST_SCALE=F does F times the work.
 */
#include <errno.h>
#include <sys/resource.h>

#include "../../daemon/uplink_table.h"
#include "core_rig.h"

enum { NAMES = 400, SEEDS = 60, EPOCHS = 60, BUFFERS = 3 };
#define START UINT64_C(0xabc)

static struct slice name_of(char out[16], unsigned n)
{
	return (struct slice){out, (size_t)snprintf(out, 16, "name%u", n)};
}

/* ---- a model ---- */

struct object {
	uint64_t id;
	int64_t value, baseline;
	/* what the cluster has */
	bool has_field, is_known; /* known: the table has a name for it */
	struct uplink_field field;
};

struct uplink_rig {
	struct rng r;
	struct uplink_table t;
	struct object objects[NAMES];
	struct epoch_buffer buffers[BUFFERS], *list[BUFFERS];
	uint64_t next_id, epoch;
};

static void begin(struct uplink_rig *g, uint64_t seed)
{
	memset(g, 0, sizeof(*g));
	g->r.state = seed;
	g->next_id = 1;
	assert_int_equal(uplink_table_init(&g->t), 0);
	uplink_table_loaded(&g->t, 0);
	for (int i = 0; i < BUFFERS; i++) {
		epoch_buffer_init(&g->buffers[i]);
		g->list[i] = &g->buffers[i];
	}
}

static void end(struct uplink_rig *g)
{
	for (int i = 0; i < BUFFERS; i++)
		epoch_buffer_fini(&g->buffers[i]);
	uplink_table_fini(&g->t);
}

static struct epoch_buffer *any(struct uplink_rig *g)
{
	return &g->buffers[rng_below(&g->r, BUFFERS)];
}

static void add(struct uplink_rig *g, unsigned n)
{
	struct object *o = &g->objects[n];
	int64_t delta = (int64_t)rng_below(&g->r, 2000) - 1000;
	char text[16];

	if (!o->id) {
		o->id = g->next_id++;
		o->is_known = true;
		assert_int_equal(epoch_buffer_create(any(g), o->id, name_of(text, n)), 0);
	}
	assert_int_equal(epoch_buffer_add(any(g), o->id, (uint64_t)delta), 0);
	o->value += delta;
}

static void end_object(struct object *o)
{
	o->id = 0;
	o->value = o->baseline = 0;
}

static void delete (struct uplink_rig *g, unsigned n)
{
	if (!g->objects[n].id)
		return;
	assert_int_equal(epoch_buffer_delete(any(g), g->objects[n].id), 0);
	end_object(&g->objects[n]);
}

static void flush(struct uplink_rig *g)
{
	uint64_t floor = g->next_id++;

	epoch_buffer_flush(any(g), floor);
	for (unsigned n = 0; n < NAMES; n++)
		end_object(&g->objects[n]);
}

static void end_epoch(struct uplink_rig *g, bool has_content)
{
	assert_int_equal(uplink_table_reserve(&g->t, g->list, BUFFERS), 0);
	/* May be repeated. */
	assert_int_equal(uplink_table_reserve(&g->t, g->list, BUFFERS), 0);
	uplink_table_end_epoch(&g->t, g->list, BUFFERS, ++g->epoch, has_content, 1000);
	for (int i = 0; i < BUFFERS; i++)
		epoch_buffer_clear(&g->buffers[i]);
}

static void some_epoch(struct uplink_rig *g, unsigned names)
{
	unsigned count = rng_below(&g->r, 40);

	for (unsigned i = 0; i < count; i++)
		switch (rng_below(&g->r, 200)) {
		case 0: flush(g); break;
		case 1 ... 40: delete (g, rng_below(&g->r, names)); break;
		default: add(g, rng_below(&g->r, names));
		}
	end_epoch(g, true);
}

static void assert_as_model(struct uplink_rig *g)
{
	struct uplink_state s;
	char text[16];

	for (unsigned n = 0; n < NAMES; n++) {
		const struct object *o = &g->objects[n];
		bool is_found = uplink_table_state(&g->t, name_of(text, n), &s);

		if (!is_found) {
			assert_int_equal(o->id, 0);
			continue;
		}
		assert_int_equal(s.is_there, o->id != 0);
		assert_int_equal(s.committed, o->value);
		assert_int_equal(s.baseline, o->baseline);
	}
}

/* ---- the cluster, on the table's terms ---- */

static unsigned number_of(const struct uplink_entry *e)
{
	char text[16];

	memcpy(text, e->name, e->name_len);
	text[e->name_len] = '\0';
	return (unsigned)atoi(text + 4);
}

static struct uplink_answer other(const struct object *o)
{
	return (struct uplink_answer){
		.outcome = UPLINK_OTHER,
		.has_field = o->has_field,
		.field = o->has_field ? o->field : (struct uplink_field){.value = 0},
	};
}

static bool is_expected(const struct object *o, const struct uplink_push *p)
{
	char out[UPLINK_FIELD_CHARS_MAX];
	size_t len = o->has_field ? uplink_put_field(out, &o->field) : 0;

	return len == p->before_len && memcmp(out, p->before, len) == 0;
}

/* Compares and replaces; what is answered. */
static struct uplink_answer serve(struct object *o, const struct uplink_push *p)
{
	if (!is_expected(o, p))
		return other(o);
	if (!p->is_look) {
		assert_int_equal(uplink_field_sum(&p->after),
				 (o->has_field ? uplink_field_sum(&o->field) : 0) + (uint64_t)p->delta);
		o->field = p->after;
		o->has_field = true;
	}
	return (struct uplink_answer){.outcome = UPLINK_PUSHED};
}

static void answer(struct uplink_rig *g, const struct uplink_push *p, unsigned trouble)
{
	struct object *o = &g->objects[number_of(p->entry)];
	struct uplink_answer a = {.outcome = UPLINK_UNSENT};

	if (!trouble || rng_below(&g->r, trouble)) {
		a = serve(o, p);
	} else if (rng_below(&g->r, 2)) {
		if (rng_below(&g->r, 2))
			(void)serve(o, p);
		a.outcome = UPLINK_LOST;
	}
	uplink_table_answer(&g->t, p, &a);
}

/* One round, with commits in the middle. True: it is through. */
static bool some_round(struct uplink_rig *g, unsigned trouble, unsigned commits)
{
	struct uplink_push flights[8];
	size_t count = 0;

	uplink_table_begin_round(&g->t);
	for (;;) {
		while (count < 8 && uplink_table_take(&g->t, START, &flights[count]))
			count++;
		if (count == 0)
			break;
		if (commits && rng_below(&g->r, commits) == 0)
			some_epoch(g, NAMES);
		size_t i = rng_below(&g->r, (uint32_t)count);

		answer(g, &flights[i], trouble);
		flights[i] = flights[--count];
	}
	return uplink_table_end_round(&g->t);
}

static void assert_all_is_there(struct uplink_rig *g)
{
	for (unsigned n = 0; n < NAMES; n++) {
		const struct object *o = &g->objects[n];

		if (o->has_field)
			assert_int_equal(o->field.value, o->value - o->baseline);
		else
			assert_int_equal(o->value, o->baseline);
	}
}

/* ---- tests ---- */

typedef void seeded_fn(struct uplink_rig *g);

static void each_seed(seeded_fn *fn)
{
	uint64_t only = rig_seed();
	struct uplink_rig *g = malloc(sizeof(*g));

	assert_non_null(g);
	for (uint64_t seed = only ? only : 1; seed <= (only ? only : (uint64_t)rig_scaled(SEEDS)); seed++) {
		begin(g, seed);
		fn(g);
		end(g);
	}
	free(g);
}

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
	struct uplink_rig *g = malloc(sizeof(*g));

	(void)state;
	assert_non_null(g);
	begin(g, 1);
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
	end(g);
	free(g);
}

static void test_an_answer_that_is_lost_leaves_its_name_for_the_next_round(void **state)
{
	struct uplink_push p;
	struct uplink_rig *g = malloc(sizeof(*g));

	(void)state;
	assert_non_null(g);
	begin(g, 1);
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
	end(g);
	free(g);
}

static void test_what_changes_under_way_is_due_again(void **state)
{
	struct uplink_push p;
	struct uplink_rig *g = malloc(sizeof(*g));

	(void)state;
	assert_non_null(g);
	begin(g, 1);
	add(g, 1);
	end_epoch(g, true);
	uplink_table_begin_round(&g->t);
	assert_true(uplink_table_take(&g->t, START, &p));
	add(g, 1);
	g->objects[1].value += 7000;
	epoch_buffer_add(&g->buffers[0], g->objects[1].id, 7000);
	end_epoch(g, true);
	answer(g, &p, 0);
	assert_int_equal(uplink_table_counts(&g->t).due, 1);
	assert_true(some_round(g, 0, 0));
	assert_all_is_there(g);
	end(g);
	free(g);
}

/* ---- what is refused ---- */

static void test_what_does_not_fit_any_more_while_it_is_under_way_is_refused(void **state)
{
	static const struct uplink_answer pushed = {.outcome = UPLINK_PUSHED};
	struct uplink_rig *g = malloc(sizeof(*g));
	struct uplink_push p;

	(void)state;
	assert_non_null(g);
	begin(g, 1);
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
	end(g);
	free(g);
}

static struct uplink_rig *begin_with(unsigned names)
{
	struct uplink_rig *g = malloc(sizeof(*g));

	assert_non_null(g);
	begin(g, 1);
	for (unsigned n = 0; n < names; n++)
		add(g, n);
	end_epoch(g, true);
	return g;
}

/* All of the round; how many there were. */
static size_t refuse_round(struct uplink_rig *g)
{
	struct uplink_push p;
	size_t count = 0;

	uplink_table_begin_round(&g->t);
	while (uplink_table_take(&g->t, START, &p)) {
		uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_REFUSED, .why = 3});
		count++;
	}
	assert_true(uplink_table_end_round(&g->t));
	return count;
}

static void test_what_is_refused_is_tried_again_in_turn_and_not_for_a_change(void **state)
{
	struct uplink_rig *g = begin_with(5);
	struct uplink_push p;
	unsigned tried[5] = {0};

	(void)state;
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
	end(g);
	free(g);
}

/* As it was before: its field is not touched by a refusal. */
static void test_what_is_refused_and_is_right_is_looked_at_before_that_is_believed(void **state)
{
	struct uplink_rig *g = begin_with(1);
	struct uplink_push p;

	(void)state;
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
	end(g);
	free(g);
}

static void test_an_answer_that_is_lost_says_nothing_of_a_refusal(void **state)
{
	struct uplink_rig *g = begin_with(1);
	struct uplink_push p;

	(void)state;
	assert_int_equal(refuse_round(g), 1);
	uplink_table_retry(&g->t, 1);
	assert_true(uplink_table_take(&g->t, START, &p));
	uplink_table_answer(&g->t, &p, &(struct uplink_answer){.outcome = UPLINK_LOST});
	assert_int_equal(uplink_table_counts(&g->t).refused, 1);
	assert_int_equal(uplink_table_counts(&g->t).aside, 0);
	assert_int_equal(uplink_table_counts(&g->t).due, 1);
	end(g);
	free(g);
}

static void test_a_sweep_and_a_repair_try_again_what_is_refused(void **state)
{
	struct uplink_rig *g = begin_with(3);
	char text[16];

	(void)state;
	assert_int_equal(refuse_round(g), 3);
	uplink_table_look_again(&g->t, name_of(text, 1));
	assert_int_equal(refuse_round(g), 1);
	assert_false(uplink_table_sweep(&g->t, 100));
	assert_int_equal(uplink_table_counts(&g->t).aside, 0);
	assert_int_equal(refuse_round(g), 3);
	end(g);
	free(g);
}

static void test_what_is_refused_and_in_doubt_is_looked_up_before_a_switch_and_due_behind_it(void **state)
{
	struct uplink_rig *g = begin_with(2);

	(void)state;
	assert_true(some_round(g, 0, 0));
	add(g, 0);
	add(g, 1);
	g->objects[0].value += 7000; /* not 0 together */
	epoch_buffer_add(&g->buffers[0], g->objects[0].id, 7000);
	end_epoch(g, true);
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
	end(g);
	free(g);
}

static void test_a_name_that_stays_here_is_neither_due_nor_refused_and_goes_when_it_is_deleted(void **state)
{
	static const struct uplink_answer kept = {.outcome = UPLINK_KEPT};
	struct uplink_rig *g = begin_with(1);
	struct uplink_push p;

	(void)state;
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
	end(g);
	free(g);
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
	struct uplink_rig *g = begin_with(2);
	struct uplink_push p, other;

	(void)state;
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
	g->objects[n].value += 7000;
	epoch_buffer_add(&g->buffers[0], g->objects[n].id, 7000);
	end_epoch(g, true);
	answer(g, &p, 0);
	assert_int_equal(presence(g, n), UPLINK_IS_THERE);
	assert_int_equal(g->objects[n].field.value, waited_for);
	answer(g, &other, 0);
	end(g);
	free(g);
}

/* What is there instead is replaced first. */
static void test_a_name_that_was_lost_is_not_there_until_it_is_there_again(void **state)
{
	struct uplink_rig *g = begin_with(1);
	struct uplink_push p;

	(void)state;
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
	end(g);
	free(g);
}

static void test_a_name_that_is_waited_for_may_be_refused_unknown_or_moved_by_a_switch(void **state)
{
	struct uplink_rig *g = begin_with(2);

	(void)state;
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
	end(g);
	free(g);
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

/* ---- a new incarnation ---- */

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
	struct uplink_rig *g = malloc(sizeof(*g));

	(void)state;
	assert_non_null(g);
	begin(g, 1);
	add(g, 1);
	end_epoch(g, true);
	assert_true(some_round(g, 0, 0));
	for (int i = 0; i < 2; i++) {
		uplink_table_doubt(&g->t, START, false);
		assert_int_equal(uplink_table_look(&g->t), 1);
		(void)some_round(g, 0, 0);
		assert_int_equal(uplink_table_look(&g->t), 0);
	}
	end(g);
	free(g);
}

/* A request that may be done yet expects what is there: it gets another mark. */
static void test_what_is_on_its_way_comes_to_nothing_before_a_switch(void **state)
{
	struct uplink_rig *g = malloc(sizeof(*g));
	struct uplink_push late, fence;

	(void)state;
	assert_non_null(g);
	begin(g, 1);
	add(g, 1);
	end_epoch(g, true);
	assert_true(some_round(g, 0, 0));
	add(g, 1);
	g->objects[1].value += 7000;
	epoch_buffer_add(&g->buffers[0], g->objects[1].id, 7000);
	end_epoch(g, true);
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
	end(g);
	free(g);
}

/* ---- no memory ---- */

static void test_an_epoch_for_which_there_is_no_memory_may_come_again(void **state)
{
	struct uplink_rig *g = malloc(sizeof(*g));
	struct rlimit before, none;
	char text[16];
	int rc = 0;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	free(g);
	skip();
#endif
	assert_non_null(g);
	begin(g, 1);
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
	end(g);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epochs_make_what_they_record_in_whatever_buffer),
		cmocka_unit_test(test_rounds_bring_everything_whatever_is_lost),
		cmocka_unit_test(test_a_sweep_finds_what_the_cluster_has_lost),
		cmocka_unit_test(test_a_deleted_name_is_kept_until_a_zero_is_there_and_a_sweep_has_gone_by),
		cmocka_unit_test(test_an_answer_that_is_lost_leaves_its_name_for_the_next_round),
		cmocka_unit_test(test_what_changes_under_way_is_due_again),
		cmocka_unit_test(test_what_does_not_fit_any_more_while_it_is_under_way_is_refused),
		cmocka_unit_test(test_what_is_refused_is_tried_again_in_turn_and_not_for_a_change),
		cmocka_unit_test(test_what_is_refused_and_is_right_is_looked_at_before_that_is_believed),
		cmocka_unit_test(test_an_answer_that_is_lost_says_nothing_of_a_refusal),
		cmocka_unit_test(test_a_sweep_and_a_repair_try_again_what_is_refused),
		cmocka_unit_test(
			test_what_is_refused_and_in_doubt_is_looked_up_before_a_switch_and_due_behind_it),
		cmocka_unit_test(
			test_a_name_that_stays_here_is_neither_due_nor_refused_and_goes_when_it_is_deleted),
		cmocka_unit_test(
			test_a_name_is_there_when_it_was_answered_since_it_is_waited_for_though_it_goes_on),
		cmocka_unit_test(test_a_name_that_was_lost_is_not_there_until_it_is_there_again),
		cmocka_unit_test(test_a_name_that_is_waited_for_may_be_refused_unknown_or_moved_by_a_switch),
		cmocka_unit_test(test_pages_tell_each_name_once_while_the_table_grows),
		cmocka_unit_test(test_a_new_incarnation_begins_where_the_old_fields_stand),
		cmocka_unit_test(test_what_was_loaded_and_not_pushed_is_left_out_of_a_new_incarnation),
		cmocka_unit_test(test_what_a_retired_incarnation_has_not_brought_is_brought_by_the_next_one),
		cmocka_unit_test(test_what_was_looked_up_is_looked_up_again_when_a_master_was_replaced),
		cmocka_unit_test(test_what_is_on_its_way_comes_to_nothing_before_a_switch),
		cmocka_unit_test(test_an_epoch_for_which_there_is_no_memory_may_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
