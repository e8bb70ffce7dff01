/* SPDX-License-Identifier: MIT */
/* What a field of a ledger means, and what is pushed next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../daemon/uplink_rule.h"

#define FIELD "0123456789abcdef 7 -5 12 3"

static struct slice text(const char *s)
{
	return (struct slice){s, strlen(s)};
}

/* ---- texts ---- */

static void assert_same(const struct uplink_field *f)
{
	char out[UPLINK_FIELD_CHARS_MAX];
	size_t len = uplink_put_field(out, f);
	struct uplink_field back;

	assert_in_range(len, 1, UPLINK_FIELD_CHARS_MAX);
	assert_true(uplink_parse_field((struct slice){out, len}, &back));
	assert_memory_equal(&back, f, sizeof(back));
}

static void test_a_field_is_read_as_it_was_written(void **state)
{
	static const int64_t VALUES[] = {0, 1, -1, INT64_MIN, INT64_MAX};

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 5; k++)
			assert_same(&(struct uplink_field){.mark = {UINT64_MAX >> i, INT64_MAX >> k},
							   .value = VALUES[i],
							   .object = (uint64_t)INT64_MAX >> i,
							   .offset = VALUES[k]});
}

static void test_what_no_daemon_writes_is_no_field(void **state)
{
	static const char *const TEXTS[] = {
		"",
		"retired",
		"0123456789abcdef",
		"0123456789abcdef ",
		"0123456789abcdef 7",
		"0123456789abcdef 7 -5",
		"0123456789abcdef 7 -5 12",
		FIELD " ",
		FIELD " 1",
		(" " FIELD),
		"0123456789ABCDEF 7 -5 12 3",
		"0123456789abcde 7 -5 12 3",
		"0123456789abcdef0 7 -5 12 3",
		"0123456789abcdeg 7 -5 12 3",
		"0123456789abcdef  7 -5 12 3",
		"0123456789abcdef -7 -5 12 3",
		"0123456789abcdef +7 -5 12 3",
		"0123456789abcdef 07 -5 12 3",
		"0123456789abcdef 9223372036854775808 -5 12 3",
		"0123456789abcdef 7 9223372036854775808 12 3",
		"0123456789abcdef 7 -9223372036854775809 12 3",
		"0123456789abcdef 7 -5 -12 3",
		"0123456789abcdef 7 -5 12 -0",
		"0123456789abcdef 7 -5 12 3\n",
		"0123456789abcdef\t7 -5 12 3",
	};
	struct uplink_field field;

	(void)state;
	assert_true(uplink_parse_field(text(FIELD), &field));
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		if (uplink_parse_field(text(TEXTS[i]), &field))
			fail_msg("'%s' is taken for a field", TEXTS[i]);
	assert_false(uplink_parse_field((struct slice){FIELD "\0", sizeof(FIELD)}, &field));
}

static void test_an_id_is_sixteen_small_digits(void **state)
{
	static const char *const TEXTS[] = {"",
					    "0123456789abcde",
					    "0123456789abcdef0",
					    "0123456789abcdeF",
					    "0x23456789abcdef",
					    "0123456789abcde "};
	char out[UPLINK_ID_SIZE];
	uint64_t id;

	(void)state;
	uplink_put_id(out, 0xabc);
	assert_string_equal(out, "0000000000000abc");
	assert_true(uplink_parse_id(text(out), &id));
	assert_int_equal(id, 0xabc);
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		assert_false(uplink_parse_id(text(TEXTS[i]), &id));
}

/* ---- lineage ---- */

/* Three starts: of the first two epochs up to 10 and 25 are on disk, of the present one 30. */
static const struct uplink_mark MARKS[] = {{0xb, 0}, {0xa, 10}, {0xc, 25}};

static enum uplink_verdict judge(struct uplink_lineage *l, uint64_t start, uint64_t epoch)
{
	const struct uplink_field f = {.mark = {start, epoch}, .value = 1};
	char out[UPLINK_FIELD_CHARS_MAX], mark[UPLINK_MARK_CHARS_MAX];
	enum uplink_verdict verdict;
	struct uplink_field back;

	verdict = uplink_judge_field(l, (struct slice){out, uplink_put_field(out, &f)}, &back);
	/* A record says the same. */
	assert_int_equal(verdict,
			 uplink_judge_record(l, (struct slice){mark, uplink_put_mark(mark, &f.mark)}));
	if (verdict == UPLINK_OURS)
		assert_memory_equal(&back, &f, sizeof(back));
	return verdict;
}

static void test_what_this_disk_was_at_is_ours_and_all_else_is_strange(void **state)
{
	static const struct {
		uint64_t start, epoch;
		bool is_ours;
	} CASES[] = {
		{0xb, 0, true},	  {0xb, 10, true},	    {0xb, 11, false}, {0xb, INT64_MAX, false},
		{0xa, 0, true},	  {0xa, 25, true},	    {0xa, 26, false}, {0xc, 25, true},
		{0xc, 30, true},  {0xc, 31, false},	    {0xd, 0, false},  {0, 0, false},
		{0xd, 30, false}, {~UINT64_C(0), 0, false},
	};
	struct uplink_lineage l;

	(void)state;
	assert_int_equal(uplink_lineage_init(&l, MARKS, 3), 0);
	assert_int_equal(judge(&l, 0xc, 26), UPLINK_STRANGE);
	l.now.epoch = 30; /* moves */
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(judge(&l, CASES[i].start, CASES[i].epoch),
				 CASES[i].is_ours ? UPLINK_OURS : UPLINK_STRANGE);
	uplink_lineage_fini(&l);
}

static void test_nothing_retired_and_senseless_are_told_apart(void **state)
{
	struct uplink_lineage l;
	struct uplink_field f;

	(void)state;
	assert_int_equal(uplink_lineage_init(&l, MARKS, 1), 0);
	assert_int_equal(uplink_judge_field(&l, text(""), &f), UPLINK_NOTHING);
	assert_int_equal(uplink_judge_record(&l, text("")), UPLINK_NOTHING);
	assert_int_equal(uplink_judge_field(&l, text("retired"), &f), UPLINK_SENSELESS);
	assert_int_equal(uplink_judge_record(&l, text("retired")), UPLINK_RETIRED);
	assert_int_equal(uplink_judge_field(&l, text("retired "), &f), UPLINK_SENSELESS);
	assert_int_equal(uplink_judge_record(&l, text("Retired")), UPLINK_SENSELESS);
	assert_int_equal(uplink_judge_field(&l, text("5"), &f), UPLINK_SENSELESS);
	/* Who goes on from where an incarnation was given up. */
	assert_int_equal(uplink_judge_record(&l, text("retired 000000000000000b 0")), UPLINK_RETIRED);
	assert_int_equal(uplink_judge_record(&l, text("retired 000000000000000d 0")), UPLINK_STRANGE);
	assert_int_equal(uplink_judge_record(&l, text("retired ")), UPLINK_SENSELESS);
	/* Each has its own form. */
	assert_int_equal(uplink_judge_record(&l, text("000000000000000b 0 1 1 0")), UPLINK_SENSELESS);
	assert_int_equal(uplink_judge_field(&l, text("000000000000000b 0"), &f), UPLINK_SENSELESS);
	uplink_lineage_fini(&l);
}

static void test_a_tombstone_tells_what_was_there(void **state)
{
	struct uplink_lineage l;
	struct uplink_field f;

	(void)state;
	assert_int_equal(uplink_lineage_init(&l, MARKS, 1), 0);
	l.now.epoch = 30;
	assert_int_equal(uplink_judge_field(&l, text("retired 000000000000000b 30 -5 12 3"), &f),
			 UPLINK_RETIRED);
	assert_int_equal(f.mark.start, 0xb);
	assert_int_equal(f.mark.epoch, 30);
	assert_int_equal(f.value, -5);
	assert_int_equal(f.object, 12);
	assert_int_equal(f.offset, 3);
	/* Of an epoch that this disk never had. */
	assert_int_equal(uplink_judge_field(&l, text("retired 000000000000000b 31 -5 12 3"), &f),
			 UPLINK_RETIRED);
	assert_int_equal(f.mark.start, 0);
	assert_int_equal(f.value, 0);
	assert_int_equal(uplink_judge_field(&l, text("retired 000000000000000b 30 -5 12"), &f),
			 UPLINK_SENSELESS);
	uplink_lineage_fini(&l);
}

/* ---- steps ---- */

static __int128 exact_sum(const struct uplink_field *f)
{
	return (__int128)f->value - f->offset;
}

/* Steps end, the field is right then, and no step changes the total by more or less than the field. */
static void walk(struct uplink_field have, uint64_t object, int64_t wanted)
{
	const struct uplink_mark now = {0xc, 31};
	int64_t kept = have.object == object ? have.offset : 0;
	struct uplink_step step;
	int count = 0;

	do {
		assert_in_range(++count, 1, 4);
		step = uplink_step(&have, object, wanted, &now);
		assert_true(step.delta == exact_sum(&step.field) - exact_sum(&have));
		assert_int_equal(step.field.mark.start, now.start);
		assert_int_equal(step.field.mark.epoch, now.epoch);
		/* Each but the first begins where the cluster has what differs. */
		assert_true(count > 1 || step.is_half || step.field.value == wanted);
		have = step.field;
	} while (step.is_half);
	assert_int_equal(have.value, wanted);
	assert_int_equal(have.object, object);
	assert_int_equal(have.offset, kept);
	assert_true(uplink_is_right(&have, object, wanted));
}

static void test_steps_over_64_bits_end_and_sum_up(void **state)
{
	static const int64_t NUMBERS[] = {INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, -2,	     -1, 0, 1,
					  2,	     INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
	enum { COUNT = sizeof(NUMBERS) / sizeof(NUMBERS[0]) };

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		for (size_t k = 0; k < COUNT; k++)
			for (size_t n = 0; n < COUNT; n++)
				for (uint64_t object = 0; object < 3; object++) {
					const struct uplink_field have = {.mark = {0xa, 3},
									  .value = NUMBERS[i],
									  .object = 1,
									  .offset = NUMBERS[k]};

					walk(have, object, object ? NUMBERS[n] : 0);
				}
}

static void test_another_object_takes_no_offset_over(void **state)
{
	struct uplink_field have = {.value = 7, .object = 3, .offset = 7};

	(void)state;
	assert_true(uplink_is_right(&have, 3, 7));
	assert_false(uplink_is_right(&have, 4, 7));
	assert_false(uplink_is_right(&have, 3, 8));
	have = (struct uplink_field){.value = 0, .object = 3};
	assert_true(uplink_is_right(&have, 0, 0));
	have.offset = 1;
	assert_false(uplink_is_right(&have, 0, 0));
}

static void test_a_contribution_that_does_not_fit_is_none(void **state)
{
	int64_t n;

	(void)state;
	assert_true(uplink_contribution(INT64_MIN, INT64_MIN, &n));
	assert_int_equal(n, 0);
	assert_true(uplink_contribution(-1, INT64_MAX, &n));
	assert_int_equal(n, INT64_MIN);
	assert_false(uplink_contribution(-2, INT64_MAX, &n));
	assert_false(uplink_contribution(0, INT64_MIN, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_field_is_read_as_it_was_written),
		cmocka_unit_test(test_what_no_daemon_writes_is_no_field),
		cmocka_unit_test(test_an_id_is_sixteen_small_digits),
		cmocka_unit_test(test_what_this_disk_was_at_is_ours_and_all_else_is_strange),
		cmocka_unit_test(test_nothing_retired_and_senseless_are_told_apart),
		cmocka_unit_test(test_a_tombstone_tells_what_was_there),
		cmocka_unit_test(test_steps_over_64_bits_end_and_sum_up),
		cmocka_unit_test(test_another_object_takes_no_offset_over),
		cmocka_unit_test(test_a_contribution_that_does_not_fit_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
