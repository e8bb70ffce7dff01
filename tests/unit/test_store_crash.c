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
#include "store_fixture.h"

enum {
	SEEDS = 6,
	STEPS = 120,
	IDS_MAX = 4000,
	ROWS_MAX = 40,
};

struct model_counter {
	char name[24];
	uint64_t value;
	bool is_live;
};

struct world {
	struct fixture *f;
	struct store *s;
	struct model_counter counters[IDS_MAX]; /* by id; 0 is none */
	uint64_t id_next, epoch;
	uint64_t name_next;
};

/* ---- the model ---- */

static uint64_t draw_delta(void)
{
	switch (draw() % 4) {
	case 0: return draw(); /* wraps often: sums are modulo 2^64 */
	case 1: return 0 - draw() % 1000;
	default: return draw() % 1000;
	}
}

/* A name may be one that a deleted counter had. */
static void draw_name(struct world *world, char *name, size_t size)
{
	bool is_taken = false;
	uint64_t number = draw() % 2 ? draw() % (world->name_next + 1) : world->name_next;

	snprintf(name, size, "n%llu", (unsigned long long)number);
	for (uint64_t id = 1; id < world->id_next && !is_taken; id++)
		is_taken = world->counters[id].is_live && strcmp(world->counters[id].name, name) == 0;
	if (is_taken || number == world->name_next)
		snprintf(name, size, "n%llu", (unsigned long long)world->name_next++);
}

static void create_some(struct world *world, struct journal_writer *w, uint64_t count)
{
	while (count-- > 0 && world->id_next < IDS_MAX) {
		struct model_counter *counter = &world->counters[world->id_next];

		draw_name(world, counter->name, sizeof(counter->name));
		counter->is_live = true;
		counter->value = 0;
		journal_put_name(w, world->id_next++, slice_str(counter->name));
	}
}

/* Deltas of dead counters too: they must be nobody's. */
static void change_some(struct world *world, struct journal_writer *w, uint64_t step)
{
	struct journal_delta deltas[IDS_MAX];
	size_t count = 0;

	for (uint64_t id = 1 + draw() % step; id < world->id_next; id += 1 + draw() % step) {
		deltas[count++] = (struct journal_delta){.id = id, .delta = draw_delta()};
		world->counters[id].value += deltas[count - 1].delta;
	}
	journal_put_deltas(w, deltas, count);
}

static void delete_some(struct world *world, struct journal_writer *w, uint64_t count)
{
	while (count-- > 0 && world->id_next > 1) {
		uint64_t id = 1 + draw() % (world->id_next - 1);

		world->counters[id].is_live = false;
		journal_put_delete(w, id);
	}
}

static void flush(struct world *world, struct journal_writer *w)
{
	for (uint64_t id = 1; id < world->id_next; id++)
		world->counters[id].is_live = false;
	journal_put_floor(w, world->id_next);
}

static void assert_picture(const struct world *world, const struct picture *p)
{
	size_t at = 0;

	for (uint64_t id = 1; id < world->id_next; id++) {
		const struct model_counter *counter = &world->counters[id];

		if (!counter->is_live)
			continue;
		assert_true(at < p->count);
		assert_int_equal(p->counters[at].id, id);
		assert_string_equal(p->counters[at].name, counter->name);
		assert_int_equal(p->counters[at].value, (int64_t)counter->value);
		at++;
	}
	assert_int_equal(at, p->count);
	assert_true(p->state.id_next >= world->id_next);
	assert_true(p->state.epoch_first > world->epoch);
}

/* ---- crashes ---- */

/* The work goes on with the image, as a new start would. */
static void crash(struct world *world, struct store *image)
{
	struct picture p;

	store_close(image);
	copy_database(world->f->path, world->f->image);
	store_close(world->s);
	copy_database(world->f->image, world->f->path);
	world->s = open_and_load(world->f->path, &p);
	assert_picture(world, &p);
	world->epoch = p.state.epoch_first;
	picture_free(&p);
}

/* After every transaction. */
static void assert_survives(struct world *world)
{
	struct picture p;
	struct store *image;

	copy_database(world->f->path, world->f->image);
	image = open_and_load(world->f->image, &p);
	assert_picture(world, &p);
	picture_free(&p);
	switch (draw() % 12) {
	case 0:
		assert_int_equal(fold_everything(image, 1 + draw() % ROWS_MAX), STORE_OK);
		store_close(image);
		assert_clean(world->f->image);
		image = open_and_load(world->f->image, &p);
		assert_picture(world, &p);
		assert_int_equal(p.state.journal_rows, 0);
		picture_free(&p);
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

	journal_writer_init(&w, (int64_t)world->epoch);
	if (draw() % 2)
		create_some(world, &w, draw() % 60);
	change_some(world, &w, 1 + draw() % 40);
	if (draw() % 3 == 0)
		delete_some(world, &w, draw() % 30);
	if (draw() % 25 == 0)
		flush(world, &w);
	if (draw() % 2)
		create_some(world, &w, draw() % 10);
	if (draw() % 2)
		change_some(world, &w, 1 + draw() % 10); /* another worker's run */
	assert_int_equal(journal_writer_finish(&w), 0);
	world->epoch += 1 + draw() % 3;
	assert_int_equal(store_commit(world->s, world->epoch, &w, world->id_next), STORE_OK);
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
	struct picture p;

	assert_non_null(world);
	print_message("seed %llu\n", (unsigned long long)number);
	seed = number * 0x9e3779b97f4a7c15u;
	*world = (struct world){.f = f, .id_next = 1};
	world->s = open_and_load(f->path, &p);
	world->epoch = p.state.epoch_first - 1;
	picture_free(&p);
	for (int i = 0; i < STEPS; i++)
		step(world);
	store_close(world->s);
	copy_database("/nonexistent", f->path);
	unlink(f->path);
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
