/* SPDX-License-Identifier: MIT */
/*
 * Sessions and tokens on disk: the newest record of a key is what a load tells, whether it stands in the
 * journal, in a merged body or in the tables, and however often a fold is cut off and done again.
 */
#include "store_fixture.h"

struct mark {
	char key[32], detail[64];
	uint64_t number;
	int64_t used_ms;
};

struct marks {
	struct mark items[64];
	size_t count;
};

static int add_session(void *arg, struct slice id, uint64_t seq, struct slice cursor, int64_t used_ms)
{
	struct marks *m = arg;
	struct mark *mark = &m->items[m->count++];

	assert_true(m->count <= 64);
	snprintf(mark->key, sizeof(mark->key), "%.*s", (int)id.len, id.data);
	snprintf(mark->detail, sizeof(mark->detail), "%.*s", (int)cursor.len, cursor.len ? cursor.data : "");
	mark->number = seq;
	mark->used_ms = used_ms;
	return 0;
}

static int add_token(void *arg, struct slice name, struct slice token, int64_t delta, int64_t used_ms)
{
	struct marks *m = arg;
	struct mark *mark = &m->items[m->count++];

	assert_true(m->count <= 64);
	snprintf(mark->key, sizeof(mark->key), "%.*s/%.*s", (int)name.len, name.data, (int)token.len,
		 token.data);
	mark->number = (uint64_t)delta;
	mark->used_ms = used_ms;
	return 0;
}

static int ignore_counters(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	(void)arg;
	(void)loader;
	(void)counters;
	(void)count;
	return 0;
}

/* Opens, loads, and tells where epochs may begin. */
static struct store *load(const char *path, struct marks *m, uint64_t *epoch)
{
	const struct store_sink sink = {.counters = ignore_counters,
					.session = add_session,
					.token = add_token,
					.arg = m,
					.loaders = 1};
	struct store_state state;
	struct store *s;

	*m = (struct marks){0};
	assert_int_equal(store_open(&s, path, STORE_CREATE), 0);
	assert_int_equal(store_load(s, &sink, &state), 0);
	assert_int_equal(state.sessions + state.tokens, m->count);
	*epoch = state.epoch_first;
	return s;
}

static const struct mark *find(const struct marks *m, const char *key)
{
	const struct mark *found = NULL;

	for (size_t i = 0; i < m->count; i++) {
		if (strcmp(m->items[i].key, key) != 0)
			continue;
		assert_null(found); /* each key once */
		found = &m->items[i];
	}
	return found;
}

static void commit_session(struct store *s, uint64_t epoch, const char *id, uint64_t seq, const char *cursor)
{
	struct journal_writer w;

	journal_writer_init(&w, (int64_t)epoch * 1000);
	journal_put_session(&w, slice_str(id), seq, slice_str(cursor));
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, epoch, &w, NULL, 0, 1), STORE_OK);
	journal_writer_fini(&w);
}

static void commit_token(struct store *s, uint64_t epoch, const char *name, const char *token, int64_t delta)
{
	struct journal_writer w;

	journal_writer_init(&w, (int64_t)epoch * 1000);
	journal_put_token(&w, slice_str(name), slice_str(token), delta);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, epoch, &w, NULL, 0, 1), STORE_OK);
	journal_writer_fini(&w);
}

static void fold(struct store *s)
{
	int r = store_fold_begin(s);

	while (r == STORE_AGAIN)
		r = store_fold_step(s, 3);
	assert_int_equal(r, STORE_OK);
}

static void assert_mark(const struct marks *m, const char *key, uint64_t number, const char *detail,
			uint64_t epoch)
{
	const struct mark *mark = find(m, key);

	assert_non_null(mark);
	assert_int_equal(mark->number, number);
	assert_string_equal(mark->detail, detail);
	assert_int_equal(mark->used_ms, (int64_t)epoch * 1000);
}

static void test_the_newest_record_of_a_session_counts_wherever_it_stands(void **state)
{
	struct fixture *f = *state;
	struct marks m;
	uint64_t e, ignored;
	struct store *s = load(f->path, &m, &e);

	assert_int_equal(m.count, 0);
	commit_session(s, e, "a", 1, "one");
	commit_session(s, e + 1, "b", 7, "");
	commit_session(s, e + 2, "a", 2, "two");
	copy_database(f->path, f->image);
	store_close(load(f->image, &m, &ignored)); /* all in the journal */
	assert_int_equal(m.count, 2);
	assert_mark(&m, "a", 2, "two", e + 2);
	assert_mark(&m, "b", 7, "", e + 1);
	fold(s);
	commit_session(s, e + 3, "a", 3, "three");
	s = store_close(s);
	store_close(load(f->path, &m, &ignored)); /* a newer one in the journal than in the table */
	assert_int_equal(m.count, 2);
	assert_mark(&m, "a", 3, "three", e + 3);
	assert_mark(&m, "b", 7, "", e + 1);
}

static void test_of_one_epoch_the_largest_sequence_counts(void **state)
{
	struct fixture *f = *state;
	struct journal_writer w;
	struct marks m;
	uint64_t e, ignored;
	struct store *s = load(f->path, &m, &e);

	journal_writer_init(&w, (int64_t)e * 1000);
	journal_put_session(&w, slice_str("a"), 5, slice_str("five"));
	journal_put_session(&w, slice_str("a"), 6, slice_str("six"));
	journal_put_session(&w, slice_str("a"), 4, slice_str("four"));
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, e, &w, NULL, 0, 1), STORE_OK);
	journal_writer_fini(&w);
	fold(s);
	store_close(s);
	store_close(load(f->path, &m, &ignored));
	assert_int_equal(m.count, 1);
	assert_mark(&m, "a", 6, "six", e);
}

static void test_tokens_of_different_names_are_different(void **state)
{
	struct fixture *f = *state;
	struct marks m;
	uint64_t e, ignored;
	struct store *s = load(f->path, &m, &e);

	commit_token(s, e, "x", "t", 5);
	commit_token(s, e + 1, "xt", "t", INT64_MIN);
	commit_token(s, e + 2, "x", "tt", -1);
	fold(s);
	commit_token(s, e + 3, "y", "t", 9);
	store_close(s);
	store_close(load(f->path, &m, &ignored));
	assert_int_equal(m.count, 4);
	assert_mark(&m, "x/t", 5, "", e);
	assert_mark(&m, "xt/t", (uint64_t)INT64_MIN, "", e + 1);
	assert_mark(&m, "x/tt", (uint64_t)-1, "", e + 2);
	assert_mark(&m, "y/t", 9, "", e + 3);
}

static void test_a_fold_that_is_cut_off_anywhere_loses_and_revives_nothing(void **state)
{
	struct fixture *f = *state;
	struct marks m;
	uint64_t e, ignored;
	struct store *s = load(f->path, &m, &e);
	char key[16];
	int r;

	for (uint64_t i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "s%llu", (unsigned long long)i % 5);
		commit_session(s, e + 2 * i, key, i + 1, key);
		commit_token(s, e + 2 * i + 1, "n", key, (int64_t)i);
	}
	for (r = store_fold_begin(s); r == STORE_AGAIN;) {
		r = store_fold_step(s, 1);
		copy_database(f->path, f->image);
		store_close(load(f->image, &m, &ignored));
		assert_int_equal(m.count, 10);
		for (uint64_t i = 15; i < 20; i++) {
			snprintf(key, sizeof(key), "s%llu", (unsigned long long)i % 5);
			assert_mark(&m, key, i + 1, key, e + 2 * i);
			snprintf(key, sizeof(key), "n/s%llu", (unsigned long long)i % 5);
			assert_mark(&m, key, i, "", e + 2 * i + 1);
		}
	}
	assert_int_equal(r, STORE_OK);
	store_close(s);
}

static void test_a_merge_keeps_the_newest(void **state)
{
	struct fixture *f = *state;
	struct marks m;
	uint64_t e, ignored;
	struct store *s = load(f->path, &m, &e);
	struct store_stats stats;

	for (uint64_t i = 0; i < 40; i++) {
		commit_session(s, e + 2 * i, i % 2 ? "odd" : "even", i + 1, "c");
		commit_token(s, e + 2 * i + 1, "n", i % 2 ? "odd" : "even", (int64_t)i);
	}
	assert_int_equal(store_journal_merge(s, 1), STORE_OK);
	store_stats(s, &stats);
	assert_int_equal(stats.merges, 1);
	store_close(s);
	store_close(load(f->path, &m, &ignored));
	assert_int_equal(m.count, 4);
	assert_int_equal(find(&m, "odd")->number, 40);
	assert_int_equal(find(&m, "even")->number, 39);
	assert_int_equal(find(&m, "n/odd")->number, 39);
	assert_int_equal(find(&m, "n/even")->number, 38);
}

static void test_what_was_used_before_a_moment_can_be_forgotten(void **state)
{
	struct fixture *f = *state;
	struct marks m;
	uint64_t e, ignored;
	struct store *s = load(f->path, &m, &e);

	commit_session(s, e, "old", 1, "");
	commit_session(s, e + 5, "new", 1, "");
	for (uint64_t i = 0; i < 5; i++)
		commit_token(s, e + 6 + i, "n", (const char *[]){"a", "b", "c", "d", "e"}[i], 1);
	fold(s);
	assert_int_equal(store_forget(s, (int64_t)(e + 5) * 1000, (int64_t)(e + 9) * 1000, 2), STORE_AGAIN);
	assert_int_equal(store_forget(s, (int64_t)(e + 5) * 1000, (int64_t)(e + 9) * 1000, 2), STORE_OK);
	store_close(s);
	store_close(load(f->path, &m, &ignored));
	assert_int_equal(m.count, 3);
	assert_null(find(&m, "old"));
	assert_non_null(find(&m, "new"));
	assert_non_null(find(&m, "n/d"));
	assert_non_null(find(&m, "n/e"));
}

static void say_nothing(void *arg, const char *line)
{
	(void)line;
	++*(size_t *)arg;
}

/* As version 1 left it. */
static void test_a_file_of_version_1_is_checked_as_it_is_and_brought_up_to_date_when_opened(void **state)
{
	struct fixture *f = *state;
	struct marks m;
	uint64_t e, ignored;
	size_t lines = 0;
	struct store *s = load(f->path, &m, &e);
	struct journal_writer w;

	journal_writer_init(&w, 1000);
	journal_put_name(&w, 1, slice_str("kept"));
	journal_put_deltas(&w, &(struct journal_delta){1, 42}, 1);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(store_commit(s, e, &w, NULL, 0, 2), STORE_OK);
	journal_writer_fini(&w);
	fold(s);
	store_close(s);
	run_sql(f->path, TO_VERSION_1);
	assert_int_equal(store_check(f->path, say_nothing, &lines), 0);
	assert_int_equal(lines, 1);
	s = load(f->path, &m, &e);
	commit_session(s, e, "a", 1, "");
	commit_token(s, e + 1, "n", "t", 1);
	fold(s);
	store_close(s);
	s = load(f->path, &m, &ignored);
	assert_int_equal(m.count, 2);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_the_newest_record_of_a_session_counts_wherever_it_stands),
		fixture_test(test_of_one_epoch_the_largest_sequence_counts),
		fixture_test(test_tokens_of_different_names_are_different),
		fixture_test(test_a_fold_that_is_cut_off_anywhere_loses_and_revives_nothing),
		fixture_test(test_a_merge_keeps_the_newest),
		fixture_test(test_what_was_used_before_a_moment_can_be_forgotten),
		fixture_test(test_a_file_of_version_1_is_checked_as_it_is_and_brought_up_to_date_when_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
