/* SPDX-License-Identifier: MIT */
/* Sealed buffers made into journal bodies: what is read back is what all workers did together. */
#include "core_rig.h"
#include "../../daemon/sort.h"

enum { BUFFERS = 4, IDS = 4000, SECONDS = 5 };

/* ---- sorting ---- */

static void check_sorted(const struct journal_delta *sorted, size_t count, uint64_t sum)
{
	for (size_t i = 0; i < count; i++) {
		sum -= sorted[i].delta * (sorted[i].id | 1);
		if (i)
			assert_true(sorted[i - 1].id <= sorted[i].id);
	}
	assert_int_equal(sum, 0);
}

static void test_deltas_are_sorted_by_id(void **state)
{
	static const size_t COUNTS[] = {0, 1, 2, 100, 511, 512, 513, 5000, 70000};
	static const unsigned BITS[] = {1, 8, 11, 12, 22, 23, 33, 44, 55, 63};

	(void)state;
	for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++) {
		for (size_t k = 0; k < sizeof(BITS) / sizeof(BITS[0]); k++) {
			struct journal_delta *a = calloc(COUNTS[i] + 1, sizeof(*a));
			struct journal_delta *b = calloc(COUNTS[i] + 1, sizeof(*b));
			struct rng r = {i * 100 + k};
			uint64_t sum = 0;

			assert_true(a && b);
			for (size_t n = 0; n < COUNTS[i]; n++) {
				a[n].id = rng_u64(&r) >> (64 - BITS[k]);
				a[n].delta = rng_u64(&r);
				sum += a[n].delta * (a[n].id | 1);
			}
			check_sorted(sort_by_key(a, b, COUNTS[i]), COUNTS[i], sum);
			free(a);
			free(b);
		}
	}
}

/* ---- packing ---- */

struct oracle {
	uint64_t delta[IDS];
	uint8_t names[IDS], deletes[IDS]; /* how many */
	uint64_t floor_id;
	struct journal_state states[IDS]; /* the newest; id 0: none */
	uint64_t hits[IDS][SECONDS];
	uint64_t version;
	struct journal_hit last; /* record of a hit that was read: they come in order */
};

static void change_state(struct rng *r, struct epoch_buffer *b, struct oracle *o, uint64_t id)
{
	struct journal_state s = {.id = id,
				  .version = ++o->version,
				  .expire_at_ms = (int64_t)rng_u64(r),
				  .tat_ns = (int64_t)rng_u64(r)};

	assert_int_equal(epoch_buffer_reserve(b, 1, 0), 0);
	epoch_buffer_state(b, &s);
	o->states[id] = s;
}

/* Now and then as many as make the sum nothing. */
static void hit(struct rng *r, struct epoch_buffer *b, struct oracle *o, uint64_t id)
{
	uint32_t second = rng_below(r, SECONDS);
	uint64_t count = rng_below(r, 8) ? 1 + rng_below(r, 3) : 0 - o->hits[id][second];

	assert_int_equal(epoch_buffer_reserve(b, 0, 1), 0);
	epoch_buffer_hit(b, &(struct journal_hit){id, second, count});
	o->hits[id][second] += count;
}

static void fill(struct rng *r, struct epoch_buffer *buffers, struct oracle *o)
{
	size_t count = rng_below(r, 4) ? rng_below(r, 200) : rng_below(r, 20000);
	char name[16];

	for (size_t n = 0; n < count; n++) {
		struct epoch_buffer *b = &buffers[rng_below(r, BUFFERS)];
		uint64_t id = 1 + rng_below(r, IDS - 1),
			 delta = rng_below(r, 4) ? rng_u64(r) : 0 - o->delta[id];

		switch (rng_below(r, 50)) {
		case 40:
		case 41:
		case 42:
		case 43: change_state(r, b, o, id); break;
		case 44:
		case 45:
		case 46:
		case 47:
		case 48:
		case 49: hit(r, b, o, 1 + id % 500); break;
		case 0:
			if (o->names[id]++)
				break;
			snprintf(name, sizeof(name), "n%llu", (unsigned long long)id);
			assert_int_equal(epoch_buffer_create(b, id, slice_str(name)), 0);
			break;
		case 1:
			if (o->deletes[id]++ == 0)
				assert_int_equal(epoch_buffer_delete(b, id), 0);
			break;
		case 2:
			if (rng_below(r, 20) == 0) {
				epoch_buffer_flush(b, id);
				o->floor_id = id > o->floor_id ? id : o->floor_id;
			}
			break;
		default: assert_int_equal(epoch_buffer_add(b, id, delta), 0); o->delta[id] += delta;
		}
	}
}

static void take_hit(struct oracle *o, const struct journal_hit *h)
{
	assert_in_range(h->id, 1, IDS - 1);
	assert_in_range(h->second, 0, SECONDS - 1);
	assert_true(h->count != 0);
	assert_int_equal(h->count, o->hits[h->id][h->second]);
	o->hits[h->id][h->second] = 0;
	assert_true(h->id > o->last.id || (h->id == o->last.id && h->second > o->last.second));
	o->last = *h;
}

static void take(struct oracle *o, const struct journal_record *rec)
{
	char name[16];

	switch (rec->type) {
	case JOURNAL_NAME:
		assert_in_range(rec->id, 1, IDS - 1);
		assert_true(o->names[rec->id]);
		o->names[rec->id] = 0;
		snprintf(name, sizeof(name), "n%llu", (unsigned long long)rec->id);
		assert_true(slice_equal(rec->name, slice_str(name)));
		break;
	case JOURNAL_DELTA:
		/* one record a counter, and none for nothing */
		assert_in_range(rec->id, 1, IDS - 1);
		assert_true(rec->delta != 0);
		assert_int_equal(rec->delta, o->delta[rec->id]);
		o->delta[rec->id] = 0;
		break;
	case JOURNAL_DELETE:
		assert_true(o->deletes[rec->id]);
		o->deletes[rec->id] = 0;
		break;
	case JOURNAL_FLOOR: o->floor_id = rec->id == o->floor_id ? 0 : o->floor_id; break;
	case JOURNAL_SESSION:
	case JOURNAL_TOKEN: fail_msg("nobody put a session or token"); break;
	case JOURNAL_STATE:
		/* one record a counter: the newest */
		assert_in_range(rec->id, 1, IDS - 1);
		assert_memory_equal(&rec->state, &o->states[rec->id], sizeof(rec->state));
		o->states[rec->id].id = 0;
		break;
	case JOURNAL_HIT: take_hit(o, &rec->hit); break;
	}
}

static void run_round(struct pack *p, struct rng *r, struct epoch_buffer *buffers, struct epoch_buffer **list)
{
	struct oracle *o = calloc(1, sizeof(*o));
	struct journal_writer w;

	assert_non_null(o);
	fill(r, buffers, o);
	journal_writer_init(&w, 123);
	assert_int_equal(pack_epoch(p, list, BUFFERS, &w), 0);
	assert_int_equal(journal_writer_finish(&w), 0);
	for (size_t i = 0; i < w.count; i++) {
		struct journal_reader reader;
		struct journal_record rec;
		int rc = journal_reader_init(&reader, buf_head(&w.parts[i]), buf_len(&w.parts[i]));

		assert_int_equal(rc, JOURNAL_OK);
		assert_int_equal(reader.time_ms, 123);
		while ((rc = journal_next(&reader, &rec)) == JOURNAL_OK)
			take(o, &rec);
		assert_int_equal(rc, JOURNAL_END);
	}
	for (size_t id = 0; id < IDS; id++)
		assert_true(!o->delta[id] && !o->names[id] && !o->deletes[id] && !o->states[id].id);
	for (size_t i = 0; i < IDS * SECONDS; i++)
		assert_int_equal((&o->hits[0][0])[i], 0);
	assert_int_equal(o->floor_id, 0);
	journal_writer_fini(&w);
	free(o);
}

static void test_what_is_packed_is_what_was_done(void **state)
{
	struct epoch_buffer buffers[BUFFERS], *list[BUFFERS];
	struct rng r = {rig_seed() ? rig_seed() : 7};
	struct pack p;

	(void)state;
	pack_init(&p);
	for (size_t i = 0; i < BUFFERS; i++) {
		epoch_buffer_init(&buffers[i]);
		list[i] = &buffers[i];
	}
	for (size_t round = 0; round < rig_scaled(200); round++) {
		/* In one run or in many. */
		if (round % 2)
			p.run_max = 1 + rng_below(&r, 2000);
		run_round(&p, &r, buffers, list);
		for (size_t i = 0; i < BUFFERS; i++)
			epoch_buffer_clear(&buffers[i]);
	}
	for (size_t i = 0; i < BUFFERS; i++)
		epoch_buffer_fini(&buffers[i]);
	pack_fini(&p);
}

/* The first epoch of a start may have names only: there is no scratch memory yet. */
static void test_an_epoch_without_deltas_is_packed(void **state)
{
	struct epoch_buffer b, *list[] = {&b};
	struct journal_writer w;
	struct pack p;

	(void)state;
	pack_init(&p);
	epoch_buffer_init(&b);
	for (int with_name = 0; with_name < 2; with_name++) {
		if (with_name)
			assert_int_equal(epoch_buffer_create(&b, 1, slice_str("x")), 0);
		journal_writer_init(&w, 0);
		assert_int_equal(pack_epoch(&p, list, 1, &w), 0);
		assert_int_equal(journal_writer_finish(&w), 0);
		assert_int_equal(w.count, with_name);
		journal_writer_fini(&w);
	}
	epoch_buffer_fini(&b);
	pack_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deltas_are_sorted_by_id),
		cmocka_unit_test(test_what_is_packed_is_what_was_done),
		cmocka_unit_test(test_an_epoch_without_deltas_is_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
