/* SPDX-License-Identifier: MIT */
/*
 * test_waker.c - no wake-up is lost, and a running thread costs its wakers no write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "../../daemon/waker.h"

#define MS	 1000000ll
#define ROUNDS	 100000u
#define DUELS	 20000u
#define NEVER_NS (20000 * MS) /* a sleep this long means a wake-up was lost */

static uint64_t fd_count(const struct waker *w)
{
	uint64_t count = 0;

	if (read(w->fd, &count, sizeof(count)) < 0)
		assert_int_equal(errno, EAGAIN);
	return count;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void test_wake_of_a_running_thread_writes_nothing(void **state)
{
	struct waker w;

	(void)state;
	assert_int_equal(waker_init(&w), 0);
	waker_wake(&w);
	assert_int_equal(fd_count(&w), 0);
	waker_park(&w);
	waker_unpark(&w);
	waker_wake(&w);
	assert_int_equal(fd_count(&w), 0);
	waker_fini(&w);
}

static void test_wake_of_a_parked_thread_writes_once(void **state)
{
	struct waker w;

	(void)state;
	assert_int_equal(waker_init(&w), 0);
	waker_park(&w);
	waker_wake(&w);
	waker_wake(&w);
	assert_int_equal(fd_count(&w), 1);
	waker_unpark(&w);
	waker_fini(&w);
}

static void test_sleep_tells_wake_from_timeout_and_drains(void **state)
{
	int64_t start_ns = now_ns();
	struct waker w;

	(void)state;
	assert_int_equal(waker_init(&w), 0);
	waker_park(&w);
	assert_int_equal(waker_sleep(&w, 20 * MS), 0);
	assert_true(now_ns() - start_ns >= 20 * MS);
	waker_wake(&w);
	assert_int_equal(waker_sleep(&w, -1), 1);
	waker_unpark(&w);
	assert_int_equal(fd_count(&w), 0);
	waker_fini(&w);
}

struct player {
	struct waker *own;
	struct waker *other;
	_Atomic unsigned *turn; /* relaxed on purpose: the waker must order it */
	unsigned is_odd;
	unsigned lost;
};

static void *player_run(void *arg)
{
	struct player *p = arg;

	for (unsigned i = p->is_odd; i < 2 * ROUNDS; i += 2) {
		while (atomic_load_explicit(p->turn, memory_order_relaxed) != i) {
			int outcome = 1;

			waker_park(p->own);
			if (atomic_load_explicit(p->turn, memory_order_relaxed) != i)
				outcome = waker_sleep(p->own, NEVER_NS);
			waker_unpark(p->own);
			if (outcome == 0 && atomic_load_explicit(p->turn, memory_order_relaxed) == i)
				p->lost++;
		}
		atomic_store_explicit(p->turn, i + 1, memory_order_relaxed);
		waker_wake(p->other);
	}
	return NULL;
}

static void test_ping_pong_loses_no_wake_up(void **state)
{
	struct waker wakers[2];
	struct player players[2];
	_Atomic unsigned turn = 0;
	pthread_t thread;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(waker_init(&wakers[i]), 0);
		players[i] = (struct player){
			.own = &wakers[i], .other = &wakers[1 - i], .turn = &turn, .is_odd = i};
	}
	assert_int_equal(pthread_create(&thread, NULL, player_run, &players[1]), 0);
	player_run(&players[0]);
	(void)pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&turn), 2 * ROUNDS);
	assert_int_equal(players[0].lost + players[1].lost, 0);
	for (unsigned i = 0; i < 2; i++)
		waker_fini(&wakers[i]);
}

/* Both sides at the same moment, again and again: either the sleeper sees the change, or it has been woken.
 */
struct duel {
	struct waker waker;
	_Atomic unsigned change;
	_Atomic unsigned round;
	_Atomic unsigned done;
};

static void *duel_run(void *arg)
{
	struct duel *d = arg;

	for (unsigned i = 1; i <= DUELS; i++) {
		while (atomic_load_explicit(&d->round, memory_order_relaxed) != i)
			sched_yield();
		atomic_store_explicit(&d->change, i, memory_order_relaxed);
		waker_wake(&d->waker);
		atomic_store(&d->done, i);
	}
	return NULL;
}

static void test_park_and_wake_at_once_do_not_miss_each_other(void **state)
{
	struct duel d = {.change = 0};
	unsigned missed = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(waker_init(&d.waker), 0);
	assert_int_equal(pthread_create(&thread, NULL, duel_run, &d), 0);
	for (unsigned i = 1; i <= DUELS; i++) {
		unsigned seen;

		atomic_store_explicit(&d.round, i, memory_order_relaxed);
		for (volatile unsigned delay = i % 64; delay > 0; delay--)
			;
		waker_park(&d.waker);
		seen = atomic_load_explicit(&d.change, memory_order_relaxed);
		while (atomic_load(&d.done) != i)
			sched_yield();
		waker_unpark(&d.waker);
		missed += fd_count(&d.waker) == 0 && seen != i;
	}
	(void)pthread_join(thread, NULL);
	assert_int_equal(missed, 0);
	waker_fini(&d.waker);
}

struct mailbox {
	struct waker waker;
	_Atomic unsigned posted[4];
};

struct sender {
	struct mailbox *box;
	unsigned index;
};

static void *sender_run(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 1; i <= ROUNDS / 4; i++) {
		atomic_store_explicit(&s->box->posted[s->index], i, memory_order_relaxed);
		waker_wake(&s->box->waker);
	}
	return NULL;
}

static unsigned box_sum(struct mailbox *box)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 4; i++)
		sum += atomic_load_explicit(&box->posted[i], memory_order_relaxed);
	return sum;
}

static void test_many_wakers_lose_no_last_word(void **state)
{
	struct sender senders[4];
	pthread_t threads[4];
	struct mailbox box = {.posted = {0}};
	int outcome = 1;

	(void)state;
	assert_int_equal(waker_init(&box.waker), 0);
	for (unsigned i = 0; i < 4; i++) {
		senders[i] = (struct sender){.box = &box, .index = i};
		assert_int_equal(pthread_create(&threads[i], NULL, sender_run, &senders[i]), 0);
	}
	while (box_sum(&box) < ROUNDS && outcome == 1) {
		waker_park(&box.waker);
		if (box_sum(&box) < ROUNDS)
			outcome = waker_sleep(&box.waker, NEVER_NS);
		waker_unpark(&box.waker);
	}
	assert_int_equal(outcome, 1);
	for (unsigned i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	waker_fini(&box.waker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake_of_a_running_thread_writes_nothing),
		cmocka_unit_test(test_wake_of_a_parked_thread_writes_once),
		cmocka_unit_test(test_sleep_tells_wake_from_timeout_and_drains),
		cmocka_unit_test(test_ping_pong_loses_no_wake_up),
		cmocka_unit_test(test_park_and_wake_at_once_do_not_miss_each_other),
		cmocka_unit_test(test_many_wakers_lose_no_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
