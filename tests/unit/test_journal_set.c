/* SPDX-License-Identifier: MIT */
/* Many bodies as one, held against plain arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "../../daemon/journal_set.h"

enum { IDS = 200, EPOCHS = 40 };

static uint64_t seed;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Packs and adds; the writer is gone afterwards, so the set must have copies. */
static int add(struct journal_set *set, uint64_t epoch, struct journal_writer *w)
{
	int r = journal_writer_finish(w);

	assert_int_equal(r, 0);
	for (size_t i = 0; i < w->count && r == 0; i++)
		r = journal_set_add(set, epoch, buf_head(&w->parts[i]), buf_len(&w->parts[i]));
	journal_writer_fini(w);
	return r;
}

static uint64_t oracle[EPOCHS + 1][IDS];
static bool is_in_oracle[EPOCHS + 1][IDS];

/* Several runs an epoch, as several workers make them. */
static void add_random_epoch(struct journal_set *set, uint64_t epoch)
{
	struct journal_writer w;

	journal_writer_init(&w, (int64_t)epoch * 10);
	for (uint64_t run = draw() % 4; run > 0; run--) {
		struct journal_delta deltas[IDS];
		size_t count = 0;

		for (uint64_t id = draw() % 20; id < IDS; id += 1 + draw() % 50) {
			deltas[count++] = (struct journal_delta){.id = id, .delta = draw()};
			oracle[epoch][id] += deltas[count - 1].delta;
			is_in_oracle[epoch][id] = true;
		}
		journal_put_deltas(&w, deltas, count);
	}
	assert_int_equal(add(set, epoch, &w), 0);
}

static void assert_sum(struct journal_set *set, uint64_t id, uint64_t above)
{
	struct journal_sum sum;
	uint64_t want = 0, newest = 0;

	for (uint64_t epoch = above + 1; epoch <= EPOCHS; epoch++) {
		want += oracle[epoch][id];
		if (is_in_oracle[epoch][id])
			newest = epoch;
	}
	assert_int_equal(journal_set_take(set, id, above, &sum), 0);
	assert_int_equal(sum.delta, want);
	assert_int_equal(sum.count > 0, newest > 0);
	if (newest)
		assert_int_equal(sum.time_ms, newest * 10);
}

static void test_sums_are_those_of_all_epochs_above(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= 50; round++) {
		struct journal_set set;
		uint64_t peeked;

		seed = round * 0x9e3779b97f4a7c15u;
		memset(oracle, 0, sizeof(oracle));
		memset(is_in_oracle, 0, sizeof(is_in_oracle));
		journal_set_init(&set);
		for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++)
			add_random_epoch(&set, epoch);
		assert_int_equal(journal_set_sort(&set), 0);
		for (uint64_t id = 0; id < IDS;
		     id += 1 + draw() % 3) { /* ids that nobody asks for are passed over */
			assert_sum(&set, id, draw() % (EPOCHS + 1));
			assert_true(!journal_set_peek(&set, &peeked) || peeked > id);
		}
		journal_set_fini(&set);
	}
}

/* ---- states and hits ---- */

enum { SECONDS = 6 };

static uint64_t hits[EPOCHS + 1][IDS][SECONDS];
static struct journal_state newest[IDS];

static void add_random_run(struct journal_writer *w, uint64_t epoch)
{
	for (uint64_t id = 1 + draw() % 20; id < IDS; id += 1 + draw() % 50) {
		/* Versions of an id are different, and not in the order of epochs. */
		struct journal_state state = {id, draw() >> 1, (int64_t)draw(), (int64_t)draw()};

		journal_put_state(w, &state);
		if (state.version > newest[id].version)
			newest[id] = state;
	}
	for (uint64_t id = 1 + draw() % 20; id < IDS; id += 1 + draw() % 50) {
		for (uint64_t n = draw() % 4; n > 0; n--) {
			struct journal_hit hit = {id, (int64_t)(draw() % SECONDS), draw() >> draw() % 64};

			journal_put_hit(w, &hit);
			hits[epoch][id][hit.second] += hit.count;
		}
	}
}

static void assert_hits(struct journal_set *set, uint64_t id, uint64_t above)
{
	uint64_t want[SECONDS] = {0};
	struct journal_hits got;

	for (uint64_t epoch = above + 1; epoch <= EPOCHS; epoch++)
		for (size_t second = 0; second < SECONDS; second++)
			want[second] += hits[epoch][id][second];
	assert_int_equal(journal_set_take_hits(set, id, above, &got), 0);
	for (size_t i = 0; i < got.count; i++) {
		assert_int_equal(got.items[i].id, id);
		assert_true(i == 0 || got.items[i].second > got.items[i - 1].second);
		assert_int_equal(got.items[i].count, want[got.items[i].second]);
		want[got.items[i].second] = 0;
	}
	for (size_t second = 0; second < SECONDS; second++)
		assert_int_equal(want[second], 0);
}

static void assert_states(struct journal_set *set)
{
	struct journal_state state;
	uint64_t id, last = 0;

	while (journal_set_peek_state(set, &id)) {
		assert_true(id > last);
		for (last++; last < id; last++)
			assert_int_equal(newest[last].id, 0);
		assert_int_equal(journal_set_take_state(set, id, &state), 0);
		assert_memory_equal(&state, &newest[id], sizeof(state));
	}
	assert_int_equal(journal_set_take_state(set, IDS, &state), 0);
	assert_int_equal(state.id, 0);
}

static void test_states_are_the_newest_and_hits_the_sums_of_all_epochs_above(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= 50; round++) {
		struct journal_set set, shared;
		uint64_t peeked;

		seed = round * 0x9e3779b97f4a7c15u;
		memset(hits, 0, sizeof(hits));
		memset(newest, 0, sizeof(newest));
		journal_set_init(&set);
		for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
			struct journal_writer w;

			journal_writer_init(&w, 0);
			for (uint64_t run = draw() % 4; run > 0; run--)
				add_random_run(&w, epoch);
			assert_int_equal(add(&set, epoch, &w), 0);
		}
		assert_int_equal(journal_set_sort(&set), 0);
		assert_int_equal(journal_set_share(&shared, &set), 0);
		assert_false(journal_set_peek_state(&shared, &peeked));
		assert_false(journal_set_peek_hits(&shared, &peeked));
		journal_set_fini(&shared);
		assert_states(&set);
		for (uint64_t id = 0; id < IDS; id += 1 + draw() % 3) {
			assert_hits(&set, id, draw() % (EPOCHS + 1));
			assert_true(!journal_set_peek_hits(&set, &peeked) || peeked > id);
		}
		journal_set_fini(&set);
	}
}

static void test_names_and_deletes_come_sorted_and_once(void **state)
{
	struct journal_writer w;
	struct journal_set set;

	(void)state;
	journal_set_init(&set);
	journal_writer_init(&w, 30);
	journal_put_name(&w, 9, slice_str("nine"));
	journal_put_delete(&w, 5);
	journal_put_name(&w, 2, slice_str("two"));
	journal_put_floor(&w, 2);
	assert_int_equal(add(&set, 3, &w), 0);
	journal_writer_init(&w, 20);
	journal_put_name(&w, 4, slice_str("four"));
	journal_put_delete(&w, 9);
	journal_put_delete(&w, 5);
	journal_put_floor(&w, 1);
	assert_int_equal(add(&set, 4, &w), 0);
	assert_int_equal(journal_set_sort(&set), 0);
	assert_int_equal(set.name_count, 3);
	assert_true(slice_equal(set.names[0].name, slice_str("two")));
	assert_true(slice_equal(set.names[1].name, slice_str("four")));
	assert_int_equal(set.names[1].time_ms, 20);
	assert_int_equal(set.delete_count, 2);
	assert_int_equal(set.deletes[1], 9);
	assert_int_equal(set.floor_id, 2);
	assert_int_equal(set.id_max, 9);
	assert_int_equal(set.time_max_ms, 30);
	for (uint64_t id = 0; id < 12; id++)
		assert_int_equal(journal_set_is_dead(&set, id), id < 2 || id == 5 || id == 9);
	journal_set_fini(&set);
}

static void test_an_id_created_twice_is_refused(void **state)
{
	struct journal_writer w;
	struct journal_set set;

	(void)state;
	journal_set_init(&set);
	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		journal_writer_init(&w, 0);
		journal_put_name(&w, 7, slice_str(epoch == 1 ? "a" : "b"));
		assert_int_equal(add(&set, epoch, &w), 0);
	}
	assert_int_equal(journal_set_sort(&set), -EUCLEAN);
	journal_set_fini(&set);
}

static void test_a_damaged_body_is_refused(void **state)
{
	/* Checksum right; the second record of the delta section steps by 0. */
	char body[JOURNAL_HEAD_BYTES + 13 + JOURNAL_TAIL_BYTES] = {0};
	struct journal_hits taken;
	struct journal_sum sum;
	struct journal_set set;

	(void)state;
	journal_set_init(&set);
	assert_int_equal(journal_set_add(&set, 1, body, sizeof(body)), -EUCLEAN);
	assert_int_equal(journal_set_add(&set, 1, NULL, 0), -EUCLEAN);
	journal_set_fini(&set);

	memcpy(body + JOURNAL_HEAD_BYTES, "\2\2\0\0\0\4\0\0\0\1\2\0\2", 13);
	journal_seal(body, sizeof(body));
	journal_set_init(&set);
	assert_int_equal(journal_set_add(&set, 1, body, sizeof(body)), 0);
	assert_int_equal(journal_set_sort(&set), 0);
	assert_int_equal(journal_set_take(&set, 1, 0, &sum), -EUCLEAN);
	journal_set_fini(&set);

	/* Of states. */
	memcpy(body + JOURNAL_HEAD_BYTES, "\7\2\0\0\0\4\0\0\0\1\1\0\0", 13);
	journal_seal(body, sizeof(body));
	journal_set_init(&set);
	assert_int_equal(journal_set_add(&set, 1, body, sizeof(body)), 0);
	assert_int_equal(journal_set_sort(&set), 0);
	assert_int_equal(journal_set_take_state(&set, 1, &newest[0]), -EUCLEAN);
	journal_set_fini(&set);

	/* Of hits: half of the second one. */
	memcpy(body + JOURNAL_HEAD_BYTES, "\10\2\0\0\0\4\0\0\0\1\0\1\1", 13);
	journal_seal(body, sizeof(body));
	journal_set_init(&set);
	assert_int_equal(journal_set_add(&set, 1, body, sizeof(body)), 0);
	assert_int_equal(journal_set_sort(&set), 0);
	assert_int_equal(journal_set_take_hits(&set, 1, 0, &taken), -EUCLEAN);
	journal_set_fini(&set);
}

static void test_an_empty_set_has_nothing(void **state)
{
	struct journal_sum sum;
	struct journal_set set;
	uint64_t id;

	(void)state;
	journal_set_init(&set);
	assert_int_equal(journal_set_sort(&set), 0);
	assert_false(journal_set_peek(&set, &id));
	assert_int_equal(journal_set_take(&set, 3, 0, &sum), 0);
	assert_int_equal(sum.count, 0);
	assert_false(journal_set_is_dead(&set, 0));
	journal_set_fini(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_are_those_of_all_epochs_above),
		cmocka_unit_test(test_states_are_the_newest_and_hits_the_sums_of_all_epochs_above),
		cmocka_unit_test(test_names_and_deletes_come_sorted_and_once),
		cmocka_unit_test(test_an_id_created_twice_is_refused),
		cmocka_unit_test(test_a_damaged_body_is_refused),
		cmocka_unit_test(test_an_empty_set_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
