/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever was committed is there after a crash at any point, wherever folding and merging stood, and
 * nothing else.
 *
 * Method: random epochs (new counters, deltas, deletes, flushes) go to the store and to a plain array.
 * Commits, fold steps, merges and checkpoints come in random order, and after every single transaction the
 * files are copied as a crash would leave them. The copy is loaded and compared; now and then it is checked,
 * folded to its end and compared again, or the work goes on with it, as after a crash. Prints its seed when
 * it fails. SHC_TEST_SEED=N runs one seed.
 */
#include "store_model.h"

enum {
	SEEDS = 6,
	STEPS = 120,
	IDS_MAX = 4000,
	ROWS_MAX = 40,
};

struct world {
	struct fixture *f;
	struct store *s;
	struct model model;
};

static void assert_picture(const struct world *world, const struct observed *p)
{
	const char *why = model_mismatch(&world->model, p);

	if (why)
		fail_msg("%s", why);
}

/* ---- crashes ---- */

/* The work goes on with the image, as a new start would. */
static void crash(struct world *world, struct store *image)
{
	struct observed p;

	store_close(image);
	copy_database(world->f->path, world->f->image);
	store_close(world->s);
	copy_database(world->f->image, world->f->path);
	world->s = observe(world->f->path, &p);
	assert_picture(world, &p);
	world->model.epoch = p.counters.state.epoch_first;
	observed_free(&p);
}

/* After every transaction. */
static void assert_survives(struct world *world)
{
	struct observed p;
	struct store *image;

	copy_database(world->f->path, world->f->image);
	image = observe(world->f->image, &p);
	assert_picture(world, &p);
	observed_free(&p);
	switch (draw() % 12) {
	case 0:
		assert_int_equal(fold_everything(image, 1 + draw() % ROWS_MAX), STORE_OK);
		store_close(image);
		assert_clean(world->f->image);
		image = observe(world->f->image, &p);
		assert_picture(world, &p);
		assert_int_equal(p.counters.state.journal_rows, 0);
		observed_free(&p);
		break;
	case 1: crash(world, image); return;
	case 2: assert_clean(world->f->image); break;
	default: break;
	}
	store_close(image);
}

/* ---- the work ---- */

static void commit(struct world *world)
{
	struct journal_writer w;

	model_draw_epoch(&world->model, &w);
	assert_int_equal(store_commit(world->s, world->model.epoch, &w, NULL, 0, world->model.id_next),
			 STORE_OK);
	journal_writer_fini(&w);
}

static void step(struct world *world)
{
	uint64_t choice = draw() % 10;
	int r;

	if (choice < 4) {
		commit(world);
	} else if (choice < 8) {
		r = store_fold_begin(world->s);
		for (uint64_t i = 1 + draw() % 4; i > 0 && r == STORE_AGAIN; i--) {
			r = store_fold_step(world->s, 1 + draw() % ROWS_MAX);
			if (r == STORE_AGAIN && i > 1)
				assert_survives(world);
			if (!store_is_folding(world->s))
				break;
		}
		assert_true(r == STORE_OK || r == STORE_AGAIN);
	} else if (choice < 9) {
		assert_int_equal(store_journal_merge(world->s, 0), STORE_OK);
	} else {
		assert_int_equal(store_checkpoint(world->s, 0), STORE_OK);
	}
	assert_survives(world);
}

static void run_seed(struct fixture *f, uint64_t number)
{
	struct world *world = calloc(1, sizeof(*world));
	struct observed p;

	assert_non_null(world);
	print_message("seed %llu\n", (unsigned long long)number);
	seed = number * 0x9e3779b97f4a7c15u;
	world->f = f;
	model_init(&world->model, IDS_MAX);
	world->s = observe(f->path, &p);
	world->model.epoch = p.counters.state.epoch_first - 1;
	observed_free(&p);
	for (int i = 0; i < STEPS; i++)
		step(world);
	store_close(world->s);
	copy_database("/nonexistent", f->path);
	unlink(f->path);
	model_fini(&world->model);
	free(world);
}

static void test_recovery_is_exact_after_every_transaction(void **state)
{
	const char *only = getenv("SHC_TEST_SEED");

	if (only) {
		run_seed(*state, strtoull(only, NULL, 10));
		return;
	}
	for (uint64_t number = 1; number <= SEEDS; number++)
		run_seed(*state, number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_recovery_is_exact_after_every_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
