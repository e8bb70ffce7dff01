/* SPDX-License-Identifier: MIT */
#include "../../daemon/idle.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS(n) ((int64_t)(n)*1000000)

enum { LIMIT_MS = 100 };

static struct waker waker;
static struct idle idle;

static int setup(void **state)
{
	(void)state;
	if (waker_init(&waker))
		return -1;
	idle_init(&idle, LIMIT_MS, &waker, MS(1000));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	waker_fini(&waker);
	return 0;
}

/* As the acceptor asks. */
static int wait_ms(int64_t now_ns)
{
	waker_park(&waker);
	return idle_wait_ms(&idle, now_ns);
}

static bool is_woken(void)
{
	return waker_sleep(&waker, 0) == 1;
}

static void test_off_it_never_ends_a_sleep(void **state)
{
	(void)state;
	idle_init(&idle, 0, &waker, MS(1000));
	assert_int_equal(wait_ms(MS(1000000)), -1);
	idle_open(&idle);
	assert_int_equal(wait_ms(MS(2000000)), -1);
	idle_close(&idle, MS(2000000));
	assert_false(is_woken());
	assert_int_equal(wait_ms(MS(3000000)), -1);
}

static void test_the_time_counts_from_the_start_when_nobody_ever_comes(void **state)
{
	(void)state;
	assert_int_equal(wait_ms(MS(1000)), LIMIT_MS);
	assert_int_equal(wait_ms(MS(1099) + 1), 1); /* never early */
	assert_int_equal(wait_ms(MS(1100)), 0);
}

static void test_the_time_counts_from_the_last_close(void **state)
{
	(void)state;
	idle_open(&idle);
	idle_open(&idle);
	idle_close(&idle, MS(1010));
	idle_close(&idle, MS(1070));
	assert_int_equal(wait_ms(MS(1100)), 70);
	assert_int_equal(wait_ms(MS(1169)), 1);
	assert_int_equal(wait_ms(MS(1170)), 0);
}

static void test_connections_that_come_and_go_wake_nobody(void **state)
{
	(void)state;
	assert_int_equal(wait_ms(MS(1000)), LIMIT_MS);
	for (int i = 0; i < 3; i++) {
		idle_open(&idle);
		idle_close(&idle, MS(1001 + i));
	}
	assert_false(is_woken());
}

static void test_somebody_connected_is_waited_for_without_looking_again(void **state)
{
	(void)state;
	idle_open(&idle);
	idle_open(&idle);
	assert_int_equal(wait_ms(MS(1100)), -1);
	idle_close(&idle, MS(5000));
	assert_false(is_woken());
	idle_close(&idle, MS(6000));
	assert_true(is_woken());
	assert_int_equal(wait_ms(MS(6001)), LIMIT_MS - 1);
	assert_int_equal(wait_ms(MS(6100)), 0);
}

static void test_in_a_hurry_the_last_close_is_enough(void **state)
{
	(void)state;
	idle_open(&idle);
	idle_hurry(&idle);
	assert_int_equal(wait_ms(MS(1001)), -1);
	idle_close(&idle, MS(1002));
	assert_true(is_woken());
	assert_int_equal(wait_ms(MS(1002)), 0);
}

/* ---- the close and the question at the same time ---- */

enum { ROUNDS = 20000 };

static _Atomic int round_now, closed;

static void *close_each_round(void *arg)
{
	(void)arg;
	for (int i = 1; i <= ROUNDS; i++) {
		while (atomic_load(&round_now) < i)
			continue;
		idle_close(&idle, MS(1000));
		atomic_store(&closed, i);
	}
	return NULL;
}

/* Goal: whoever is told to sleep without an end is woken by the close. Method: both at once, many times. */
static void test_no_close_is_lost_while_the_question_is_asked(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, close_each_round, NULL), 0);
	for (int i = 1; i <= ROUNDS; i++) {
		idle_open(&idle);
		waker_park(&waker);
		atomic_store(&round_now, i);
		if (idle_wait_ms(&idle, MS(2000)) < 0 && waker_sleep(&waker, MS(20000)) != 1)
			fail_msg("round %d: asleep, and nobody is connected", i);
		while (atomic_load(&closed) < i)
			continue;
		waker_unpark(&waker);
		waker_drain(&waker);
	}
	pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_off_it_never_ends_a_sleep),
		TEST(test_the_time_counts_from_the_start_when_nobody_ever_comes),
		TEST(test_the_time_counts_from_the_last_close),
		TEST(test_connections_that_come_and_go_wake_nobody),
		TEST(test_somebody_connected_is_waited_for_without_looking_again),
		TEST(test_in_a_hurry_the_last_close_is_enough),
		TEST(test_no_close_is_lost_while_the_question_is_asked),
	};

	return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
