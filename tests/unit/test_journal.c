/* SPDX-License-Identifier: MIT */
/* Journal bodies: what goes in comes out, in order, and nothing else does. Seeds are printed when a test
 * fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../daemon/journal.h"

static uint64_t seed;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Small and huge numbers alike. */
static uint64_t draw_wide(void)
{
	return draw() >> (draw() % 64);
}

/* ---- the oracle: records in the order they were put ---- */

struct expected {
	struct journal_record *records;
	size_t count, cap;
};

static void expect(struct expected *e, struct journal_record record)
{
	if (e->count == e->cap) {
		e->cap = e->cap ? 2 * e->cap : 64;
		e->records = reallocarray(e->records, e->cap, sizeof(*e->records));
		assert_non_null(e->records);
	}
	e->records[e->count++] = record;
}

static char name_bytes[NAME_LEN_MAX];

static void put_name(struct journal_writer *w, struct expected *e)
{
	struct slice name = {.data = name_bytes, .len = 1 + draw() % NAME_LEN_MAX};
	uint64_t id = draw_wide() & JOURNAL_ID_MAX;

	journal_put_name(w, id, name);
	expect(e, (struct journal_record){.type = JOURNAL_NAME, .id = id, .name = name});
}

static void put_deltas(struct journal_writer *w, struct expected *e)
{
	struct journal_delta deltas[3000];
	size_t count = draw() % (draw() % 8 == 0 ? 3000 : 20);
	uint64_t id = draw_wide() >> 2;

	for (size_t i = 0; i < count; i++) {
		deltas[i] = (struct journal_delta){.id = id,
						   .delta = draw_wide() * (draw() % 2 ? 1 : UINT64_MAX)};
		expect(e, (struct journal_record){.type = JOURNAL_DELTA, .id = id, .delta = deltas[i].delta});
		id += 1 + draw_wide() % 1000;
	}
	journal_put_deltas(w, deltas, count);
}

static void put_states(struct journal_writer *w, struct expected *e)
{
	uint64_t id = draw_wide() >> 2;

	for (uint64_t i = draw() % 20; i > 0; i--) {
		struct journal_state state = {.id = id,
					      .version = draw_wide() & JOURNAL_ID_MAX,
					      .expire_at_ms =
						      (int64_t)(draw_wide() * (draw() % 2 ? 1 : UINT64_MAX)),
					      .tat_ns = (int64_t)draw_wide()};

		journal_put_state(w, &state);
		expect(e, (struct journal_record){.type = JOURNAL_STATE, .id = id, .state = state});
		id = (draw() % 3 ? id + draw_wide() % 100 : draw_wide()) & JOURNAL_ID_MAX;
	}
}

static void put_hits(struct journal_writer *w, struct expected *e)
{
	uint64_t id = draw_wide() >> 2;

	for (uint64_t i = draw() % 20; i > 0; i--) {
		struct journal_hit hit = {.id = id, .second = (int64_t)draw_wide(), .count = draw_wide()};

		journal_put_hit(w, &hit);
		expect(e, (struct journal_record){.type = JOURNAL_HIT, .id = id, .hit = hit});
		id = (draw() % 3 ? id + draw_wide() % 100 : draw_wide()) & JOURNAL_ID_MAX;
	}
}

static void put_some(struct journal_writer *w, struct expected *e)
{
	uint64_t id = draw_wide() & JOURNAL_ID_MAX;

	switch (draw() % 10) {
	case 0:
		journal_put_delete(w, id);
		expect(e, (struct journal_record){.type = JOURNAL_DELETE, .id = id});
		break;
	case 1:
		journal_put_floor(w, id);
		expect(e, (struct journal_record){.type = JOURNAL_FLOOR, .id = id});
		break;
	case 2:
	case 3: put_deltas(w, e); break;
	case 4: put_states(w, e); break;
	case 5: put_hits(w, e); break;
	default: put_name(w, e); break;
	}
}

static void assert_record(const struct journal_record *got, const struct journal_record *want)
{
	assert_int_equal(got->type, want->type);
	assert_int_equal(got->id, want->id);
	assert_int_equal(got->delta, want->delta);
	if (want->type == JOURNAL_STATE)
		assert_memory_equal(&got->state, &want->state, sizeof(got->state));
	else if (want->type == JOURNAL_HIT)
		assert_memory_equal(&got->hit, &want->hit, sizeof(got->hit));
	else
		assert_true(slice_equal(got->name, want->name));
}

/* All parts, one behind the other, are what was put. */
static void assert_parts(const struct journal_writer *w, const struct expected *e)
{
	struct journal_record record;
	struct journal_reader r;
	size_t at = 0;
	int result;

	for (size_t i = 0; i < w->count; i++) {
		assert_true(buf_len(&w->parts[i]) <= JOURNAL_PART_BYTES_MAX);
		assert_int_equal(journal_reader_init(&r, buf_head(&w->parts[i]), buf_len(&w->parts[i])),
				 JOURNAL_OK);
		assert_int_equal(r.time_ms, w->time_ms);
		while ((result = journal_next(&r, &record)) == JOURNAL_OK) {
			assert_true(at < e->count);
			assert_record(&record, &e->records[at++]);
		}
		assert_int_equal(result, JOURNAL_END);
		assert_int_equal(journal_next(&r, &record), JOURNAL_END);
	}
	assert_int_equal(at, e->count);
}

/* ---- round trips ---- */

static void test_random_contents_come_back_in_order(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= 300; round++) {
		struct expected e = {0};
		struct journal_writer w;

		seed = round * 0x9e3779b97f4a7c15u;
		journal_writer_init(&w, (int64_t)draw());
		for (uint64_t i = draw() % 60; i > 0; i--)
			put_some(&w, &e);
		assert_int_equal(journal_writer_finish(&w), 0);
		assert_int_equal(w.count > 0, e.count > 0);
		assert_parts(&w, &e);
		journal_writer_fini(&w);
		free(e.records);
	}
}

static void test_an_epoch_of_nothing_has_no_parts(void **state)
{
	struct journal_writer w;

	(void)state;
	journal_writer_init(&w, 5);
	journal_put_deltas(&w, NULL, 0);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(w.count, 0);
	journal_writer_fini(&w);
}

static void test_extreme_states_and_hits_come_back(void **state)
{
	static const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};
	struct expected e = {0};
	struct journal_writer w;

	(void)state;
	journal_writer_init(&w, INT64_MAX);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct journal_state s = {i % 2 ? JOURNAL_ID_MAX : 0, i % 2 ? 0 : JOURNAL_ID_MAX, values[i],
					  ~values[i]};
		struct journal_hit hit = {i % 2 ? 0 : JOURNAL_ID_MAX, values[i], (uint64_t)values[i]};

		journal_put_state(&w, &s);
		expect(&e, (struct journal_record){.type = JOURNAL_STATE, .id = s.id, .state = s});
		for (int twice = 0; twice < 2; twice++) {
			hit.second = twice ? values[i] : (int64_t) ~(uint64_t)values[i];
			journal_put_hit(&w, &hit);
			expect(&e, (struct journal_record){.type = JOURNAL_HIT, .id = hit.id, .hit = hit});
		}
	}
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_parts(&w, &e);
	journal_writer_fini(&w);
	free(e.records);
}

static void test_extreme_ids_and_deltas_come_back(void **state)
{
	static const uint64_t values[] = {0, 1, INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX, UINT64_MAX - 1};
	struct expected e = {0};
	struct journal_writer w;

	(void)state;
	journal_writer_init(&w, INT64_MIN);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct journal_delta deltas[] = {{0, values[i]}, {1, values[i]}, {JOURNAL_ID_MAX, values[i]}};

		journal_put_deltas(&w, deltas, 3);
		for (size_t k = 0; k < 3; k++)
			expect(&e, (struct journal_record){
					   .type = JOURNAL_DELTA, .id = deltas[k].id, .delta = values[i]});
		journal_put_delete(&w, i % 2 ? JOURNAL_ID_MAX : 0);
		expect(&e, (struct journal_record){.type = JOURNAL_DELETE, .id = i % 2 ? JOURNAL_ID_MAX : 0});
	}
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_parts(&w, &e);
	journal_writer_fini(&w);
	free(e.records);
}

/* Names of 255 bytes fill parts soonest, deltas in the middle of one call must be cut too. */
static void test_a_large_epoch_is_cut_into_parts_that_stand_alone(void **state)
{
	struct expected e = {0};
	struct journal_writer w;
	struct slice name = {.data = name_bytes, .len = NAME_LEN_MAX};
	size_t count = 6000000;
	struct journal_delta *deltas = calloc(count, sizeof(*deltas));

	(void)state;
	assert_non_null(deltas);
	journal_writer_init(&w, 1);
	for (uint64_t id = 1; id <= 100000; id++) {
		journal_put_name(&w, id, name);
		expect(&e, (struct journal_record){.type = JOURNAL_NAME, .id = id, .name = name});
	}
	for (size_t i = 0; i < count; i++) {
		deltas[i] = (struct journal_delta){.id = 3 * i, .delta = 1000000 + i};
		expect(&e, (struct journal_record){
				   .type = JOURNAL_DELTA, .id = deltas[i].id, .delta = deltas[i].delta});
	}
	journal_put_deltas(&w, deltas, count);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_true(w.count >= 3);
	assert_parts(&w, &e);
	journal_writer_fini(&w);
	free(deltas);
	free(e.records);
}

static void test_sections_can_be_read_side_by_side(void **state)
{
	struct journal_delta first[] = {{1, 10}, {5, 50}}, second[] = {{2, 20}};
	struct journal_reader r, sections[3];
	struct journal_record record;
	struct journal_writer w;

	(void)state;
	journal_writer_init(&w, 77);
	journal_put_deltas(&w, first, 2);
	journal_put_delete(&w, 9);
	journal_put_deltas(&w, second, 1);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(journal_reader_init(&r, buf_head(&w.parts[0]), buf_len(&w.parts[0])), JOURNAL_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(journal_next_section(&r, &sections[i]), JOURNAL_OK);
	assert_int_equal(journal_next_section(&r, &sections[0]), JOURNAL_END);
	assert_int_equal(journal_section_type(&sections[1]), JOURNAL_DELETE);
	assert_int_equal(journal_next(&sections[2], &record), JOURNAL_OK);
	assert_int_equal(record.id, 2);
	assert_int_equal(journal_next(&sections[0], &record), JOURNAL_OK);
	assert_int_equal(journal_next(&sections[0], &record), JOURNAL_OK);
	assert_int_equal(record.delta, 50);
	assert_int_equal(journal_next(&sections[0], &record), JOURNAL_END);
	assert_int_equal(sections[0].time_ms, 77);
	journal_writer_fini(&w);
}

/* ---- the format ---- */

static void test_checksum_is_crc32c(void **state)
{
	unsigned char zeros[32] = {0}, ones[32];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(journal_checksum("123456789", 9), 0xe3069283u); /* the usual check value */
	assert_int_equal(journal_checksum(zeros, 32), 0x8a9136aau);	 /* RFC 3720, B.4 */
	assert_int_equal(journal_checksum(ones, 32), 0x62a8ab43u);
	assert_int_equal(journal_checksum("", 0), 0);
}

/* What is on somebody's disk stays readable: a change of these bytes needs a new version. */
static void test_bytes_on_disk_do_not_change(void **state)
{
	static const unsigned char body[] = {
		'S', 'H', 'C', 'J',  1,	 0,  0, 0, 0x51, 0,    0,    0,	   0xe8, 3,   0,
		0,   0,	  0,   0,    0,						      /* head */
		1,   1,	  0,   0,    0,	 5,  0, 0, 0,	 14,   3,    'h',  'i',	 '!', /* name 7 */
		2,   2,	  0,   0,    0,	 5,  0, 0, 0,	 7,    0xc8, 1,	   1,	 1,   /* 7 += 100, 8 -= 1 */
		3,   1,	  0,   0,    0,	 1,  0, 0, 0,	 6,			      /* delete 3 */
		4,   1,	  0,   0,    0,	 2,  0, 0, 0,	 0x80, 1,		      /* floor 128 */
		7,   2,	  0,   0,    0,	 10, 0, 0, 0,	 7,    5,    0xc8, 1,	 0,   /* 7: version 5, expires
											 at 100 */
		1,   6,	  0,   0xd0, 15, /* 8: version 6, arrival 1000 */
		8,   2,	  0,   0,    0,	 8,  0, 0, 0,	 7,    0xd0, 15,   0xac, 2, /* 7: 300 in second 1000
										     */
		0,   1,	  1,							    /* 7: 1 in second 999 */
	};
	struct journal_delta deltas[] = {{7, 100}, {8, UINT64_MAX}};
	struct journal_state states[] = {{7, 5, 100, 0}, {8, 6, 0, 1000}};
	struct journal_hit hits[] = {{7, 1000, 300}, {7, 999, 1}};
	struct journal_writer w;
	unsigned char want[sizeof(body) + JOURNAL_TAIL_BYTES];

	(void)state;
	memcpy(want, body, sizeof(body));
	journal_seal(want, sizeof(want));
	journal_writer_init(&w, 1000);
	journal_put_name(&w, 7, slice_str("hi!"));
	journal_put_deltas(&w, deltas, 2);
	journal_put_delete(&w, 3);
	journal_put_floor(&w, 128);
	for (size_t i = 0; i < 2; i++)
		journal_put_state(&w, &states[i]);
	for (size_t i = 0; i < 2; i++)
		journal_put_hit(&w, &hits[i]);
	assert_int_equal(journal_writer_finish(&w), 0);
	assert_int_equal(buf_len(&w.parts[0]), sizeof(want));
	assert_memory_equal(buf_head(&w.parts[0]), want, sizeof(want));
	journal_writer_fini(&w);
}

/* ---- damage ---- */

static void make_body(struct journal_writer *w)
{
	struct expected e = {0};

	seed = 4711;
	journal_writer_init(w, 123456789);
	for (int i = 0; i < 12; i++)
		put_some(w, &e);
	assert_int_equal(journal_writer_finish(w), 0);
	assert_int_equal(w->count, 1);
	free(e.records);
}

static void test_every_flipped_bit_is_found(void **state)
{
	struct journal_record record;
	struct journal_reader r;
	struct journal_writer w;

	(void)state;
	make_body(&w);
	for (size_t bit = 0; bit < 8 * buf_len(&w.parts[0]); bit++) {
		buf_head(&w.parts[0])[bit / 8] ^= (char)(1 << (bit % 8));
		assert_int_equal(journal_reader_init(&r, buf_head(&w.parts[0]), buf_len(&w.parts[0])),
				 JOURNAL_DAMAGED);
		assert_int_equal(journal_next(&r, &record), JOURNAL_DAMAGED);
		buf_head(&w.parts[0])[bit / 8] ^= (char)(1 << (bit % 8));
	}
	journal_writer_fini(&w);
}

/* A length that is wrong under a checksum that is right. */
static void set_length_and_checksum(char *body, size_t len, size_t length)
{
	uint32_t crc;

	for (size_t i = 0; i < 4; i++)
		body[8 + i] = (char)(length >> (8 * i));
	crc = journal_checksum(body, len - JOURNAL_TAIL_BYTES);
	for (size_t i = 0; i < 4; i++)
		body[len - JOURNAL_TAIL_BYTES + i] = (char)(crc >> (8 * i));
}

static void test_every_wrong_length_is_found(void **state)
{
	struct journal_reader r;
	struct journal_writer w;
	size_t len;

	(void)state;
	make_body(&w);
	len = buf_len(&w.parts[0]);
	for (size_t cut = 0; cut < len; cut++) {
		char *copy = malloc(cut ? cut : 1); /* exactly as large, so that ASan sees a read behind it */

		assert_non_null(copy);
		memcpy(copy, buf_head(&w.parts[0]), cut);
		assert_int_equal(journal_reader_init(&r, copy, cut), JOURNAL_DAMAGED);
		free(copy);
	}
	buf_append(&w.parts[0], "", 1);
	assert_int_equal(journal_reader_init(&r, buf_head(&w.parts[0]), len + 1), JOURNAL_DAMAGED);
	set_length_and_checksum(buf_head(&w.parts[0]), len, len + 1);
	assert_int_equal(journal_reader_init(&r, buf_head(&w.parts[0]), len), JOURNAL_DAMAGED);
	journal_writer_fini(&w);
}

/* Content that a writer never makes, under a checksum that is right. */
static void test_records_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *descr;
		size_t len;
		const char *bytes;
	} cases[] = {
		{"half a section head", 3, "\1\1\0"},
		{"an unknown type", 10, "\11\1\0\0\0\1\0\0\0\1"},
		{"a state without its last number", 12, "\7\1\0\0\0\3\0\0\0\2\1\2"},
		{"a version above 2^63-1", 22,
		 "\7\1\0\0\0\15\0\0\0\2\x80\x80\x80\x80\x80\x80\x80\x80\x80\1\0\0"},
		{"the same id twice in states", 17, "\7\2\0\0\0\10\0\0\0\1\1\0\0\0\1\0\0"},
		{"hits without a count", 11, "\10\1\0\0\0\2\0\0\0\2\2"},
		{"hits of an id above 2^63-1", 21,
		 "\10\1\0\0\0\14\0\0\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\1\2\2"},
		{"type 0", 10, "\0\1\0\0\0\1\0\0\0\1"},
		{"no records", 9, "\3\0\0\0\0\0\0\0\0"},
		{"a section longer than the body", 10, "\3\1\0\0\0\2\0\0\0\1"},
		{"more records than bytes", 10, "\3\2\0\0\0\1\0\0\0\1"},
		{"more bytes than records", 11, "\3\1\0\0\0\2\0\0\0\1\1"},
		{"a number without an end", 10, "\3\1\0\0\0\1\0\0\0\x80"},
		{"a number of 65 bits", 19, "\4\1\0\0\0\12\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"},
		{"an id above 2^63-1", 19, "\4\1\0\0\0\12\0\0\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"},
		{"a negative id", 10, "\3\1\0\0\0\1\0\0\0\1"},
		{"an empty name", 11, "\1\1\0\0\0\2\0\0\0\2\0"},
		{"a name longer than the section", 12, "\1\1\0\0\0\3\0\0\0\2\2a"},
		{"a name of 256 bytes", 12, "\1\1\0\0\0\3\0\0\0\2\x80\2"},
		{"the same id twice in deltas", 13, "\2\2\0\0\0\4\0\0\0\1\2\0\2"},
		{"a delta without its number", 10, "\2\1\0\0\0\1\0\0\0\1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = JOURNAL_HEAD_BYTES + cases[i].len + JOURNAL_TAIL_BYTES;
		char *body = calloc(1, len);
		struct journal_record record;
		struct journal_reader r;
		int result;

		assert_non_null(body);
		memcpy(body + JOURNAL_HEAD_BYTES, cases[i].bytes, cases[i].len);
		journal_seal(body, len);
		assert_int_equal(journal_reader_init(&r, body, len), JOURNAL_OK);
		while ((result = journal_next(&r, &record)) == JOURNAL_OK)
			;
		if (result != JOURNAL_DAMAGED)
			print_error("not refused: %s\n", cases[i].descr);
		assert_int_equal(result, JOURNAL_DAMAGED);
		assert_int_equal(journal_next(&r, &record), JOURNAL_DAMAGED);
		free(body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_contents_come_back_in_order),
		cmocka_unit_test(test_an_epoch_of_nothing_has_no_parts),
		cmocka_unit_test(test_extreme_ids_and_deltas_come_back),
		cmocka_unit_test(test_extreme_states_and_hits_come_back),
		cmocka_unit_test(test_a_large_epoch_is_cut_into_parts_that_stand_alone),
		cmocka_unit_test(test_sections_can_be_read_side_by_side),
		cmocka_unit_test(test_checksum_is_crc32c),
		cmocka_unit_test(test_bytes_on_disk_do_not_change),
		cmocka_unit_test(test_every_flipped_bit_is_found),
		cmocka_unit_test(test_every_wrong_length_is_found),
		cmocka_unit_test(test_records_that_make_no_sense_are_refused),
	};

	for (size_t i = 0; i < sizeof(name_bytes); i++)
		name_bytes[i] = (char)('a' + i % 26);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
