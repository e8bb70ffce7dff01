/* SPDX-License-Identifier: MIT */
/* How often a client may ask; against a bucket that is counted the plain way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "../../gateway/rate.h"

static struct rate *with(int64_t each)
{
	struct rate *r = rate_new(each);

	assert_non_null(r);
	return r;
}

static int64_t taken_at(struct rate *r, uint64_t client, int64_t now_ms, int tries)
{
	int64_t taken = 0;

	for (int i = 0; i < tries; i++)
		taken += rate_take(r, client, now_ms) == 0;
	return taken;
}

static void test_one_second_of_requests_may_come_at_once(void **state)
{
	struct rate *r = with(100);

	(void)state;
	assert_int_equal(taken_at(r, 1, 5000, 1000), 100);
	assert_int_equal(taken_at(r, 2, 5000, 1000), 100); /* each on its own */
	assert_int_equal(taken_at(r, 1, 5500, 1000), 50);
	assert_int_equal(taken_at(r, 1, 5510, 1000), 1);
	assert_int_equal(taken_at(r, 1, 60000, 1000), 100); /* no more is saved up */
	rate_free(r);
}

static void test_over_a_long_time_the_limit_is_what_was_set(void **state)
{
	static const int64_t limits[] = {1, 3, 7, 1000, 1000000};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rate *r = with(limits[i]);
		int64_t taken = 0;

		for (int64_t ms = 0; ms < 20000; ms += 10)
			taken += taken_at(r, 9, 1000 + ms, (int)(limits[i] / 50) + 2);
		/* 20 seconds, and the one in advance, but for what is lost at the end. */
		assert_in_range(taken, limits[i] * 2097 / 100 - 1, limits[i] * 21 + 1);
		rate_free(r);
	}
}

static void test_who_asks_too_often_is_told_when_and_then_may(void **state)
{
	struct rate *r = with(1);
	unsigned wait_s;

	(void)state;
	assert_int_equal(rate_take(r, 1, 1000), 0);
	wait_s = rate_take(r, 1, 1000);
	assert_int_equal(wait_s, 1);
	assert_int_equal(rate_take(r, 1, 1000 + wait_s * 1000), 0);
	rate_free(r);
}

/* What is refused does not count: who goes on asking gets what is his. */
static void test_refusals_cost_nothing(void **state)
{
	struct rate *r = with(10);

	(void)state;
	assert_int_equal(taken_at(r, 1, 1000, 100000), 10);
	assert_int_equal(taken_at(r, 1, 1100, 100000), 1);
	rate_free(r);
}

static void test_a_full_table_refuses_nobody_who_is_new(void **state)
{
	struct rate *r = with(2);
	uint64_t client = 0;

	(void)state;
	/* All of them within one second, each over its limit. */
	for (; client < 2 * RATE_CLIENTS_MAX; client++)
		for (int i = 0; i < 3; i++)
			rate_take(r, client, 5000);
	for (uint64_t newcomer = client; newcomer < client + 1000; newcomer++)
		assert_int_equal(rate_take(r, newcomer, 5000), 0);
	rate_free(r);
}

static void test_clients_of_an_earlier_second_make_way_first(void **state)
{
	struct rate *r = with(2);

	(void)state;
	for (uint64_t client = 1; client <= RATE_CLIENTS_MAX; client++)
		rate_take(r, client, 1000);
	/* 7 of a set that have used up what is theirs, and then many who ask once. */
	for (uint64_t i = 0; i < RATE_SLOTS - 1; i++)
		assert_int_equal(taken_at(r, i * RATE_SETS, 5000, 9), 2);
	for (uint64_t i = 100; i < 1000; i++)
		assert_int_equal(rate_take(r, i * RATE_SETS, 5000), 0);
	for (uint64_t i = 0; i < RATE_SLOTS - 1; i++)
		assert_int_equal(taken_at(r, i * RATE_SETS, 5000, 9), 0);
	rate_free(r);
}

/* ---- who ---- */

static uint64_t peer(const struct rate *r, const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return rate_client_of_peer(r, (struct sockaddr *)&v4);
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return rate_client_of_peer(r, (struct sockaddr *)&v6);
}

static void test_one_client_is_an_ipv4_address_or_a_64_network_of_ipv6_or_a_name(void **state)
{
	struct rate *r = with(1), *other = with(1);

	(void)state;
	assert_true(peer(r, "192.0.2.1") == peer(r, "192.0.2.1"));
	assert_true(peer(r, "192.0.2.1") == peer(r, "::ffff:192.0.2.1"));
	assert_true(peer(r, "192.0.2.1") != peer(r, "192.0.2.2"));
	assert_true(peer(r, "2001:db8:1:2::1") == peer(r, "2001:db8:1:2:ffff::9"));
	assert_true(peer(r, "2001:db8:1:2::1") != peer(r, "2001:db8:1:3::1"));
	assert_true(peer(r, "::1") != rate_client_of_peer(r, NULL));
	assert_true(rate_client_of_name(r, "anna") == rate_client_of_name(r, "anna"));
	assert_true(rate_client_of_name(r, "anna") != rate_client_of_name(r, "bob"));
	/* The secret is drawn. */
	assert_true(peer(r, "192.0.2.1") != peer(other, "192.0.2.1"));
	rate_free(r);
	rate_free(other);
}

/* ---- threads ---- */

enum { THREADS = 4, TRIES = 20000, CLIENTS = 16, LIMIT = 1000 };

static struct rate *shared;

static void *ask_often(void *arg)
{
	int64_t *taken = arg;

	for (int i = 0; i < TRIES; i++)
		taken[i % CLIENTS] += rate_take(shared, (uint64_t)(i % CLIENTS), 1000) == 0;
	return NULL;
}

static void test_threads_share_the_limit(void **state)
{
	int64_t taken[THREADS][CLIENTS] = {{0}}, sum;
	pthread_t threads[THREADS];

	(void)state;
	shared = with(LIMIT);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, taken[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int c = 0; c < CLIENTS; c++) {
		sum = 0;
		for (int i = 0; i < THREADS; i++)
			sum += taken[i][c];
		assert_int_equal(sum, LIMIT);
	}
	rate_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_second_of_requests_may_come_at_once),
		cmocka_unit_test(test_over_a_long_time_the_limit_is_what_was_set),
		cmocka_unit_test(test_who_asks_too_often_is_told_when_and_then_may),
		cmocka_unit_test(test_refusals_cost_nothing),
		cmocka_unit_test(test_a_full_table_refuses_nobody_who_is_new),
		cmocka_unit_test(test_clients_of_an_earlier_second_make_way_first),
		cmocka_unit_test(test_one_client_is_an_ipv4_address_or_a_64_network_of_ipv6_or_a_name),
		cmocka_unit_test(test_threads_share_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
