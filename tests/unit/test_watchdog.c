/* SPDX-License-Identifier: MIT */
#include "../../lib/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/log.h"
#include "../../lib/notify.h"

enum { INTERVAL_NS = 1600, THREADS = 3 };

/* A manager, and threads that are only their pulses. */
struct rig {
	int manager;
	struct watchdog watchdog;
	struct pulse pulses[THREADS];
	unsigned woken[THREADS];
};

static void note_wake(void *arg)
{
	++*(unsigned *)arg;
}

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rig *r = calloc(1, sizeof(*r));
	char name[64];
	int len = snprintf(name, sizeof(name), "@test_watchdog.%d", (int)getpid());

	log_init(false, LOG_LEVEL_ERROR);
	r->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path + 1, name + 1, (size_t)len - 1);
	if (bind(r->manager, (const struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)))
		return -1;
	setenv("NOTIFY_SOCKET", name, 1);
	if (notify_open())
		return -1;
	watchdog_init(&r->watchdog, INTERVAL_NS);
	for (unsigned i = 0; i < THREADS; i++)
		watchdog_add(&r->watchdog, &(struct watched){.pulse = &r->pulses[i],
							     .wake = note_wake,
							     .arg = &r->woken[i],
							     .name = "thread",
							     .number = i});
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	close(r->manager);
	free(r);
	return 0;
}

static void assert_fed(struct rig *r, unsigned count)
{
	char got[64];

	for (; count; count--) {
		assert_int_equal(recv(r->manager, got, sizeof(got), MSG_DONTWAIT), strlen("WATCHDOG=1"));
		assert_memory_equal(got, "WATCHDOG=1", strlen("WATCHDOG=1"));
	}
	assert_int_equal(recv(r->manager, got, sizeof(got), MSG_DONTWAIT), -1);
}

static void answer(struct rig *r, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		pulse_answer(&r->pulses[i]);
}

static void test_the_manager_hears_it_twice_an_interval_when_all_have_answered(void **state)
{
	struct rig *r = *state;

	assert_true(watchdog_look(&r->watchdog, 1000));
	assert_int_equal(r->watchdog.next_ns, 1000 + INTERVAL_NS / 2);
	answer(r, 0, THREADS);
	assert_true(watchdog_look(&r->watchdog, 2000));
	assert_fed(r, 2);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(r->woken[i], 2);
}

static void test_it_hears_nothing_while_one_of_them_is_silent_whichever_it_is(void **state)
{
	struct rig *r = *state;

	for (unsigned silent = 0; silent < THREADS; silent++) {
		assert_true(watchdog_look(&r->watchdog, 1000));
		answer(r, 0, silent);
		answer(r, silent + 1, THREADS);
		assert_false(watchdog_look(&r->watchdog, 1000 + INTERVAL_NS / 2));
		assert_false(watchdog_look(&r->watchdog, 1000 + INTERVAL_NS * 100));
		assert_fed(r, 1);
		answer(r, silent, silent + 1);
	}
}

static void test_one_that_comes_round_late_is_seen_before_the_next_half(void **state)
{
	struct rig *r = *state;

	watchdog_look(&r->watchdog, 1000);
	assert_false(watchdog_look(&r->watchdog, r->watchdog.next_ns));
	assert_true(r->watchdog.next_ns <= 1000 + INTERVAL_NS / 2 + INTERVAL_NS / 8);
	answer(r, 0, THREADS);
	assert_true(watchdog_look(&r->watchdog, r->watchdog.next_ns));
	assert_fed(r, 2);
}

static void test_who_is_silent_is_not_asked_again_and_again(void **state)
{
	struct rig *r = *state;

	watchdog_look(&r->watchdog, 1000);
	for (int i = 0; i < 10; i++)
		assert_false(watchdog_look(&r->watchdog, r->watchdog.next_ns));
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(r->woken[i], 1);
}

static void test_who_is_excused_may_be_silent_and_to_come_back_is_an_answer(void **state)
{
	struct rig *r = *state;

	pulse_excuse(&r->pulses[1]);
	watchdog_look(&r->watchdog, 1000);
	answer(r, 0, 1);
	answer(r, 2, THREADS);
	assert_true(watchdog_look(&r->watchdog, 2000));
	answer(r, 0, 1);
	answer(r, 2, THREADS);
	pulse_return(&r->pulses[1]);
	assert_true(watchdog_look(&r->watchdog, 3000));
	answer(r, 0, 1);
	answer(r, 2, THREADS);
	assert_false(watchdog_look(&r->watchdog, 4000));
	assert_fed(r, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_the_manager_hears_it_twice_an_interval_when_all_have_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_it_hears_nothing_while_one_of_them_is_silent_whichever_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_comes_round_late_is_seen_before_the_next_half,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_silent_is_not_asked_again_and_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_who_is_excused_may_be_silent_and_to_come_back_is_an_answer, setup, teardown),
	};
	return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
