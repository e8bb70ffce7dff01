/* SPDX-License-Identifier: MIT */
/*
 * States and windows on disk: what a load tells is the newest state and the sum of all hits, whether they
 * stand in the journal, in a merged body or in the tables; they go with their counter; and what is damaged is
 * found. (That they are exact wherever folding stood: test_store_crash.c, test_store_faults.c.)
 */
#include "store_fixture.h"
#include "../../daemon/window.h"

enum { IDS = 40 };

static const int64_t now = 1700000000;

/* What a load told, by id. */
struct told {
	struct journal_state states[IDS];
	uint64_t hits[IDS]; /* of the last minute */
	bool has_window[IDS];
	unsigned state_count, window_count;
	int error; /* what the sink says to the third */
};

static int add_state(void *arg, const struct journal_state *state)
{
	struct told *t = arg;

	assert_in_range(state->id, 1, IDS - 1);
	assert_int_equal(t->states[state->id].id, 0); /* each id once */
	t->states[state->id] = *state;
	return ++t->state_count == 3 ? t->error : 0;
}

static int add_window(void *arg, uint64_t id, struct window *window)
{
	struct told *t = arg;
	struct window_sum sum;

	assert_in_range(id, 1, IDS - 1);
	assert_false(t->has_window[id]);
	t->has_window[id] = true;
	assert_int_equal(window_sum(window, now, 60000, &sum), 0);
	t->hits[id] = sum.hits;
	window_free(window);
	return ++t->window_count == 3 ? t->error : 0;
}

static int ignore_counters(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	(void)arg;
	(void)loader;
	(void)counters;
	(void)count;
	return 0;
}

static int try_load(struct store *s, struct told *t, uint64_t *epoch)
{
	const struct store_sink sink = {
		.counters = ignore_counters, .state = add_state, .window = add_window, .arg = t};
	struct store_state state;
	int r = store_load(s, &sink, &state);

	*epoch = state.epoch_first;
	return r;
}

static struct store *load(const char *path, struct told *t, uint64_t *epoch)
{
	struct store *s;

	*t = (struct told){0};
	assert_int_equal(store_open(&s, path, STORE_CREATE), 0);
	if (try_load(s, t, epoch) != 0)
		fail_msg("%s", store_error(s));
	return s;
}

/* Names 1 to count; with no states and hits. */
static void put_names(struct journal_writer *w, uint64_t count)
{
	char name[16];

	for (uint64_t id = 1; id <= count; id++) {
		snprintf(name, sizeof(name), "c%llu", (unsigned long long)id);
		journal_put_name(w, id, slice_str(name));
	}
}

static void put_state(struct journal_writer *w, uint64_t id, uint64_t version, int64_t expire_at_ms)
{
	journal_put_state(w, &(struct journal_state){.id = id,
						     .version = version,
						     .expire_at_ms = expire_at_ms,
						     .tat_ns = -expire_at_ms});
}

static void put_hit(struct journal_writer *w, uint64_t id, int64_t second, uint64_t count)
{
	journal_put_hit(w, &(struct journal_hit){id, second, count});
}

static void fold(struct store *s)
{
	assert_int_equal(fold_everything(s, 3), STORE_OK);
}

/* Twenty counters, ten with a state, ten with hits, folded. */
static struct store *make(struct fixture *f, uint64_t *epoch)
{
	struct journal_writer w;
	struct told t;
	struct store *s = load(f->path, &t, epoch);

	journal_writer_init(&w, 0);
	put_names(&w, 20);
	for (uint64_t id = 1; id <= 20; id += 2)
		put_state(&w, id, id, (int64_t)id);
	for (uint64_t id = 1; id <= 10; id++)
		put_hit(&w, id, now, id);
	must_commit(s, *epoch, &w, 21);
	fold(s);
	return s;
}

static void test_the_newest_state_and_all_hits_count_wherever_they_stand(void **state)
{
	struct fixture *f = *state;
	uint64_t e, ignored;
	struct store *s = make(f, &e);
	struct journal_writer w;
	struct told t;

	/* 1: newer in the journal; 3: older; 2: only there; 11: hits only there. */
	journal_writer_init(&w, 0);
	put_state(&w, 1, 2, 100);
	put_state(&w, 3, 2, 100);
	put_state(&w, 2, 1, 100);
	put_hit(&w, 1, now - 1, 10);
	put_hit(&w, 1, now - 60, 1000); /* no more in the minute */
	put_hit(&w, 11, now, 5);
	must_commit(s, e + 1, &w, 21);
	journal_writer_init(&w, 0);
	put_hit(&w, 1, now, 100);
	must_commit(s, e + 2, &w, 21);
	for (int folded = 0; folded < 2; folded++) {
		copy_database(f->path, f->image);
		store_close(load(f->image, &t, &ignored));
		assert_int_equal(t.state_count, 11);
		assert_int_equal(t.window_count, 11);
		assert_int_equal(t.states[1].version, 2);
		assert_int_equal(t.states[1].expire_at_ms, 100);
		assert_int_equal(t.states[1].tat_ns, -100);
		assert_int_equal(t.states[2].expire_at_ms, 100);
		assert_int_equal(t.states[3].version, 3);
		assert_int_equal(t.states[3].expire_at_ms, 3);
		assert_int_equal(t.hits[1], 111);
		assert_int_equal(t.hits[2], 2);
		assert_int_equal(t.hits[11], 5);
		fold(s);
	}
	assert_clean(f->path);
	store_close(s);
}

static void test_states_and_windows_go_with_their_counter(void **state)
{
	struct fixture *f = *state;
	uint64_t e, ignored;
	struct store *s = make(f, &e);
	struct journal_writer w;
	struct told t;

	/* 1 is deleted, and so is 21, which was made in the same pass; what comes later is nobody's. */
	journal_writer_init(&w, 0);
	journal_put_name(&w, 21, slice_str("short"));
	put_state(&w, 21, 1, 1);
	put_hit(&w, 21, now, 1);
	put_state(&w, 1, 9, 9);
	put_hit(&w, 1, now, 9);
	journal_put_delete(&w, 1);
	journal_put_delete(&w, 21);
	must_commit(s, e + 1, &w, 22);
	for (int folded = 0; folded < 2; folded++) {
		copy_database(f->path, f->image);
		store_close(load(f->image, &t, &ignored));
		assert_int_equal(t.state_count, 9);
		assert_int_equal(t.window_count, 9);
		assert_true(!t.states[1].id && !t.has_window[1] && !t.states[21].id && !t.has_window[21]);
		fold(s);
	}
	journal_writer_init(&w, 0);
	put_state(&w, 1, 10, 9);
	put_hit(&w, 1, now, 9);
	must_commit(s, e + 2, &w, 22);
	fold(s);
	assert_clean(f->path);

	/* FLUSHALL, and a new one. */
	journal_writer_init(&w, 0);
	journal_put_floor(&w, 22);
	journal_put_name(&w, 22, slice_str("new"));
	put_state(&w, 22, 1, 5);
	put_hit(&w, 22, now, 7);
	must_commit(s, e + 3, &w, 23);
	for (int folded = 0; folded < 2; folded++) {
		copy_database(f->path, f->image);
		store_close(load(f->image, &t, &ignored));
		assert_int_equal(t.state_count, 1);
		assert_int_equal(t.window_count, 1);
		assert_int_equal(t.states[22].expire_at_ms, 5);
		assert_int_equal(t.hits[22], 7);
		fold(s);
	}
	assert_clean(f->path);
	store_close(s);
}

static void test_merging_keeps_the_newest_state_and_all_hits(void **state)
{
	struct fixture *f = *state;
	uint64_t e, ignored, bytes;
	struct store *s = make(f, &e);
	struct journal_writer w;
	struct store_stats stats;
	struct told t;

	for (uint64_t n = 1; n <= 50; n++) {
		journal_writer_init(&w, 0);
		put_state(&w, 5, n % 2 ? 100 + n : 200 + n, (int64_t)n);
		put_hit(&w, 5, now - (int64_t)(n % 3), 1);
		put_hit(&w, 6, now - 600, 1);
		must_commit(s, e + n, &w, 21);
	}
	bytes = store_journal_bytes(s);
	assert_int_equal(store_journal_merge(s, 1), STORE_OK);
	store_stats(s, &stats);
	assert_int_equal(stats.merges, 1);
	assert_true(store_journal_bytes(s) < bytes / 10); /* each key once */
	for (int folded = 0; folded < 2; folded++) {
		copy_database(f->path, f->image);
		store_close(load(f->image, &t, &ignored));
		assert_int_equal(t.states[5].version, 250);
		assert_int_equal(t.states[5].expire_at_ms, 50);
		assert_int_equal(t.hits[5], 5 + 50);
		assert_int_equal(t.hits[6], 6);
		fold(s);
	}
	store_close(s);
}

/* A commit waits for a transaction of the fold: windows that are large are taken in smaller numbers. */
static void test_a_transaction_takes_few_large_windows(void **state)
{
	enum { WINDOWS = 20, ROWS = 40 };
	struct fixture *f = *state;
	struct store_stats before, after;
	struct journal_writer w;
	struct told t;
	uint64_t e;
	struct store *s = load(f->path, &t, &e);

	journal_writer_init(&w, 0);
	put_names(&w, WINDOWS);
	for (uint64_t id = 1; id <= WINDOWS; id++)
		for (int64_t i = 0; i < 2000; i++)
			put_hit(&w, id, now - 60 * i, 1000);
	must_commit(s, e, &w, WINDOWS + 1);
	store_stats(s, &before);
	assert_int_equal(fold_everything(s, ROWS), STORE_OK);
	store_stats(s, &after);
	/* 1440 minutes and more, of 3 bytes each: the work of nine rows. */
	assert_in_range(after.fold_transactions - before.fold_transactions, WINDOWS * 8 / ROWS, WINDOWS);
	store_close(s);
}

static void test_the_sink_can_stop_the_load(void **state)
{
	struct fixture *f = *state;
	uint64_t e;
	struct store *s = make(f, &e);
	struct told t = {.error = -ENOMEM};

	store_close(s);
	assert_int_equal(store_open(&s, f->path, 0), 0);
	assert_int_equal(try_load(s, &t, &e), -ENOMEM);
	assert_int_equal(t.state_count, 3);
	assert_non_null(strstr(store_error(s), "loading was stopped"));
	store_close(s);
}

static void test_rows_that_make_no_sense_are_refused_and_found(void **state)
{
	static const struct {
		const char *descr, *sql;
		bool is_load_refused;
	} cases[] = {
		{"a window from the future", "UPDATE window SET as_of = as_of + 1 WHERE id = 2", true},
		{"a window that was changed",
		 "UPDATE window SET body = CAST(substr(body, 1, 3) || x'ff' || substr(body, 5) AS BLOB)"
		 " WHERE id = 2",
		 true},
		{"a window of nothing", "UPDATE window SET body = x'' WHERE id = 2", true},
		{"a window of a negative id", "UPDATE window SET id = -2 WHERE id = 2", true},
		{"a state of a negative id", "UPDATE state SET id = -2 WHERE id = 3", true},
		{"a state of a negative version", "UPDATE state SET version = -1 WHERE id = 3", true},
		{"a state without name", "DELETE FROM name WHERE id = 11; DELETE FROM value WHERE id = 11",
		 false},
		{"a window without name", "DELETE FROM name WHERE id = 2; DELETE FROM value WHERE id = 2",
		 false},
		{"no states", "DROP TABLE state", true},
	};
	struct fixture *f = *state;
	uint64_t e;
	struct told t;

	store_close(make(f, &e));
	copy_database(f->path, f->image);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t lines = 0;
		struct store *s;
		int r;

		copy_database(f->image, f->path);
		run_sql(f->path, cases[i].sql);
		if (store_check(f->path, count_line, &lines) != 1)
			fail_msg("not found: %s", cases[i].descr);
		t = (struct told){0};
		r = store_open(&s, f->path, 0);
		if (r == 0)
			r = try_load(s, &t, &e);
		if (r != (cases[i].is_load_refused ? -EUCLEAN : 0))
			fail_msg("%s: %d, %s", cases[i].descr, r, store_error(s));
		store_close(s);
	}
}

/* A fold that meets a damaged window writes nothing over it. */
static void test_a_damaged_window_is_not_folded_into(void **state)
{
	struct fixture *f = *state;
	uint64_t e;
	struct store *s = make(f, &e);
	struct journal_writer w;
	int r;

	run_sql(f->path, "UPDATE window SET body = x'00112233445566' WHERE id = 2");
	journal_writer_init(&w, 0);
	put_hit(&w, 2, now, 1);
	must_commit(s, e + 1, &w, 21);
	r = fold_everything(s, 100);
	assert_int_equal(r, -EUCLEAN);
	assert_non_null(strstr(store_error(s), "the window of id 2"));
	store_close(s);
}

/* As version 2 left it. */
static void test_a_file_of_version_2_is_checked_as_it_is_and_brought_up_to_date_when_opened(void **state)
{
	struct fixture *f = *state;
	uint64_t e, ignored;
	struct journal_writer w;
	struct told t;

	make_database(f->path, 20);
	run_sql(f->path, TO_VERSION_2);
	assert_clean(f->path);
	store_close(load(f->path, &t, &e));
	assert_int_equal(t.state_count + t.window_count, 0);
	for (int folded = 0; folded < 2; folded++) {
		struct store *s = load(f->path, &t, &e);

		assert_int_equal(t.state_count, folded);
		assert_int_equal(t.window_count, folded);
		journal_writer_init(&w, 0);
		put_state(&w, 4, 1 + (uint64_t)folded, 1);
		put_hit(&w, 4, now, 1);
		must_commit(s, e, &w, 21);
		fold(s);
		store_close(s);
	}
	store_close(load(f->path, &t, &ignored));
	assert_int_equal(t.states[4].version, 2);
	assert_int_equal(t.hits[4], 2);
	assert_clean(f->path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_the_newest_state_and_all_hits_count_wherever_they_stand),
		fixture_test(test_states_and_windows_go_with_their_counter),
		fixture_test(test_merging_keeps_the_newest_state_and_all_hits),
		fixture_test(test_a_transaction_takes_few_large_windows),
		fixture_test(test_the_sink_can_stop_the_load),
		fixture_test(test_rows_that_make_no_sense_are_refused_and_found),
		fixture_test(test_a_damaged_window_is_not_folded_into),
		fixture_test(test_a_file_of_version_2_is_checked_as_it_is_and_brought_up_to_date_when_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
