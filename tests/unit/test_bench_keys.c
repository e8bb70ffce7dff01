/* SPDX-License-Identifier: MIT */
/*
 * A load generator's keys are spread as they are said to be, and its requests are what a server reads.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cmd/bench_batch.h"
#include "../../cmd/bench_keys.h"
#include "../../lib/resp.h"

enum { DRAWS = 1000000 };

static unsigned *count_draws(enum bench_spread spread, unsigned keys)
{
	unsigned *seen = calloc(keys, sizeof(*seen));
	struct bench_keys k;
	assert_non_null(seen);
	bench_keys_init(&k, spread, keys, 42, 0);
	for (int i = 0; i < DRAWS; i++) {
		unsigned key = bench_keys_next(&k);
		assert_true(key < keys);
		seen[key]++;
	}
	return seen;
}

/* Within five standard deviations of a share, and a share of it that the method itself may be off. */
static void assert_share(unsigned seen, double share, double off)
{
	double expected = DRAWS * share;
	double room = 5 * sqrt(expected) + off * expected;
	if (fabs(seen - expected) > room)
		fail_msg("seen %u times, expected %.0f", seen, expected);
}

static void test_uniform_keys_are_alike(void **state)
{
	(void)state;
	static const unsigned sizes[] = {1, 2, 7, 1000};
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned *seen = count_draws(SPREAD_UNIFORM, sizes[s]);
		for (unsigned k = 0; k < sizes[s]; k++)
			assert_share(seen[k], 1.0 / sizes[s], 0);
		free(seen);
	}
}

static double weight(unsigned from, unsigned to)
{
	double sum = 0;
	for (unsigned rank = to; rank >= from; rank--)
		sum += pow(rank, -0.99);
	return sum;
}

static void test_the_sum_of_the_weights_is_right(void **state)
{
	(void)state;
	static const unsigned sizes[] = {1, 2, 3, 999, 1000, 1001, 12345, 1000000, 10000000};
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		double right = weight(1, sizes[s]);
		assert_true(fabs(bench_keys_zeta(sizes[s]) - right) < 1e-10 * right);
	}
}

/* Gray's method is exact for the first two and an approximation for the others: some percent for the next,
 * less further on. */
static void test_zipf_keys_have_the_weights_of_their_ranks(void **state)
{
	(void)state;
	static const unsigned sizes[] = {1, 2, 3, 100, 100000, 10000000};
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned keys = sizes[s], tail = 0;
		unsigned *seen = count_draws(SPREAD_ZIPF, keys);
		double all = weight(1, keys);
		assert_share(seen[0], 1 / all, 0);
		if (keys > 1)
			assert_share(seen[1], weight(2, 2) / all, 0);
		for (unsigned k = 10; k < keys; k++)
			tail += seen[k];
		if (keys > 10)
			assert_share(tail, weight(11, keys) / all, 0.03);
		tail = 0;
		for (unsigned k = keys / 2; k < keys; k++)
			tail += seen[k];
		if (keys > 10)
			assert_share(tail, weight(keys / 2 + 1, keys) / all, 0.05);
		free(seen);
	}
}

static void test_a_sequence_goes_round(void **state)
{
	(void)state;
	struct bench_keys k;
	bench_keys_init(&k, SPREAD_SEQUENCE, 3, 0, 1);
	static const unsigned expected[] = {1, 2, 0, 1, 2, 0};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(bench_keys_next(&k), expected[i]);
}

static void test_digits_are_those_of_the_number(void **state)
{
	(void)state;
	char text[9], expected[16];
	for (unsigned key = 0; key < 100000000; key += 1 + key / 1000 * 7) {
		snprintf(expected, sizeof(expected), "%08u", key);
		for (unsigned digits = 1; digits <= 8; digits++) {
			memset(text, '-', sizeof(text));
			bench_put_digits(text, digits, key);
			assert_memory_equal(text, expected + 8 - digits, digits);
			assert_int_equal(text[digits], '-');
		}
	}
	bench_put_digits(text, 8, 99999999);
	assert_memory_equal(text, "99999999", 8);
}

static void assert_words(const struct resp_parser *p, const char *verb, const char *prefix,
			 const unsigned *keys, unsigned names, unsigned digits, bool has_delta)
{
	char name[300];
	assert_int_equal(p->argc, 1 + names * (has_delta ? 2 : 1));
	assert_true(slice_equal(p->argv[0], slice_str(verb)));
	for (unsigned n = 0; n < names; n++) {
		snprintf(name, sizeof(name), "%s%0*u", prefix, (int)digits, keys[n]);
		assert_true(slice_equal(p->argv[1 + n * (has_delta ? 2 : 1)], slice_str(name)));
		if (has_delta)
			assert_true(slice_equal(p->argv[2 + n * 2], slice_str("1")));
	}
}

static void test_a_batch_is_as_many_requests_each_for_the_next_keys(void **state)
{
	static const struct {
		enum bench_kind kind;
		bool is_redis;
		unsigned names, digits;
		const char *prefix, *verb;
	} CASES[] = {
		{BENCH_INCR, false, 1, 8, "bench:", "INCR"},
		{BENCH_INCR, true, 1, 1, "", "INCR"},
		{BENCH_GET, false, 1, 3, "a", "GET"},
		{BENCH_ADD, false, 1, 8, "bench:", "SHC.ADD"},
		{BENCH_ADD, true, 1, 5, "b:", "INCRBY"},
		{BENCH_ADD, false, 7, 4, "long enough:", "SHC.ADD"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct bench_plan plan = {.kind = CASES[i].kind,
					  .is_redis = CASES[i].is_redis,
					  .names = CASES[i].names,
					  .digits = CASES[i].digits,
					  .prefix = CASES[i].prefix,
					  .pipeline = 5};
		struct bench_batch batch;
		struct bench_keys keys;
		struct resp_parser p;
		assert_true(bench_batch_init(&batch, &plan));
		assert_int_equal(bench_batch_bytes(&plan), 5 * batch.size);
		bench_keys_init(&keys, SPREAD_SEQUENCE, 10, 0, 0);
		bench_batch_fill(&batch, &keys, 5);
		resp_parser_init(&p);
		for (unsigned r = 0, key = 0; r < 5; r++) {
			unsigned next[8];
			for (unsigned n = 0; n < plan.names; n++)
				next[n] = key++ % 10;
			assert_int_equal(resp_parse(&p, batch.data + r * batch.size, batch.size), RESP_DONE);
			assert_int_equal(p.size_bytes, batch.size);
			assert_words(&p, CASES[i].verb, plan.prefix, next, plan.names, plan.digits,
				     plan.kind == BENCH_ADD);
		}
		resp_parser_fini(&p);
		bench_batch_fini(&batch);
	}
}

static void test_a_batch_for_memcached_is_lines(void **state)
{
	static const char *const expected[] = {
		[BENCH_INCR] = "incr b:000 1\r\nincr b:001 1\r\nincr b:002 1\r\n",
		[BENCH_ADD] = "ma b:000\r\nma b:001\r\nma b:002\r\n",
		[BENCH_GET] = "get b:000\r\nget b:001\r\nget b:002\r\n",
	};
	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		struct bench_plan plan = {.kind = (enum bench_kind)kind,
					  .names = 1,
					  .digits = 3,
					  .prefix = "b:",
					  .pipeline = 3,
					  .memcached = "/there"};
		struct bench_batch batch;
		struct bench_keys keys;
		assert_true(bench_batch_init(&batch, &plan));
		bench_keys_init(&keys, SPREAD_SEQUENCE, 10, 0, 0);
		bench_batch_fill(&batch, &keys, 3);
		assert_int_equal(3 * batch.size, strlen(expected[kind]));
		assert_memory_equal(batch.data, expected[kind], 3 * batch.size);
		bench_batch_fini(&batch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uniform_keys_are_alike),
		cmocka_unit_test(test_the_sum_of_the_weights_is_right),
		cmocka_unit_test(test_zipf_keys_have_the_weights_of_their_ranks),
		cmocka_unit_test(test_a_sequence_goes_round),
		cmocka_unit_test(test_digits_are_those_of_the_number),
		cmocka_unit_test(test_a_batch_is_as_many_requests_each_for_the_next_keys),
		cmocka_unit_test(test_a_batch_for_memcached_is_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
