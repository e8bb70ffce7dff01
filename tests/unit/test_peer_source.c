/* SPDX-License-Identifier: MIT */
/* The table of sources: whom a connection counts for, and that reconnecting renews no budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/client.h"
#include "../../daemon/peer_source.h"

#define S  INT64_C(1000000000)
#define T0 (INT64_C(1800000000) * S)

enum { WORKERS = 3, THREADS = 4, ROUNDS = 5000 };

static struct sources table;

static int setup(void **state)
{
	(void)state;
	return sources_init(&table, WORKERS);
}

static int teardown(void **state)
{
	(void)state;
	sources_fini(&table);
	return 0;
}

/* ---- keys ---- */

static struct client_address user(uid_t uid)
{
	return (struct client_address){.uid = uid};
}

static struct client_address address(const void *net, uint8_t len)
{
	struct client_address a = {.uid = (uid_t)-1, .net_len = len};

	memcpy(a.net, net, len);
	return a;
}

static struct source_key key_of(struct client_address a)
{
	struct source_key key;

	source_key_of_address(&a, &key);
	return key;
}

static struct source_key login(const char *name)
{
	struct source_key key;

	source_key_of_login(slice_str(name), &key);
	return key;
}

static void assert_key(struct source_key key, const char *wanted)
{
	char text[SOURCE_TEXT_SIZE];

	source_key_print(&key, text);
	assert_string_equal(text, wanted);
}

static void test_a_source_is_a_user_an_address_or_a_login(void **state)
{
	const char *longest = "123456789012345678901234567890123456789012345678901234567890123";
	char wanted[SOURCE_TEXT_SIZE];

	(void)state;
	assert_key(key_of(user(0)), "uid 0");
	assert_key(key_of(user(4294967294)), "uid 4294967294");
	assert_key(key_of(address("\x7f\0\0\2", CLIENT_NET_V4)), "127.0.0.2");
	assert_key(key_of(address("\x20\1\xd\xb8\0\7\0\0", CLIENT_NET_V6)), "2001:db8:7::/64");
	assert_key(key_of(address("", 0)), "?");
	assert_key(login("web"), "login web");
	(void)snprintf(wanted, sizeof(wanted), "login %s", longest);
	assert_key(login(longest), wanted);
}

static void test_what_is_not_the_same_is_another_source(void **state)
{
	const struct source_key keys[] = {
		key_of(user(1)),
		key_of(user(2)),
		key_of(address("\1\0\0\0", CLIENT_NET_V4)),
		key_of(address("\1\0\0\0\0\0\0\0", CLIENT_NET_V6)),
		key_of(address("\1\0\0\0\0\0\0\1", CLIENT_NET_V6)),
		login("\1"),
		login("ab"),
		login("abc"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			assert_int_equal(source_key_equal(&keys[i], &keys[k]), i == k);
}

/* ---- clients ---- */

static struct source *join(struct source_key key, int64_t max, int64_t now_ns)
{
	struct source *s = NULL;

	assert_int_equal(sources_join(&table, &key, max, now_ns, &s), 0);
	return s;
}

static void assert_refused(struct source_key key, int64_t max)
{
	struct source *s = NULL;

	assert_int_equal(sources_join(&table, &key, max, T0, &s), -EUSERS);
	assert_null(s);
}

static void test_a_source_has_as_many_clients_as_it_may(void **state)
{
	struct source *a, *b;

	(void)state;
	a = join(login("a"), 2, T0);
	assert_ptr_equal(join(login("a"), 2, T0), a);
	assert_refused(login("a"), 2);
	assert_refused(login("a"), 1); /* a limit that was lowered */
	b = join(login("b"), 1, T0);
	assert_ptr_not_equal(a, b);
	assert_int_equal(atomic_load(&table.count), 2);
	assert_int_equal(atomic_load(&table.refused), 2);
	assert_ptr_equal(join(login("a"), 0, T0), a); /* no limit */
	sources_leave(&table, a, T0);
	sources_leave(&table, a, T0);
	assert_ptr_equal(join(login("a"), 2, T0), a);
	sources_leave(&table, a, T0);
	sources_leave(&table, a, T0);
	sources_leave(&table, b, T0);
	sources_leave(&table, NULL, T0);
	assert_int_equal(atomic_load(&table.count), 0);
}

/* ---- budgets ---- */

static void test_a_budget_is_not_renewed_by_reconnecting(void **state)
{
	struct source *s = join(login("a"), 0, T0);

	(void)state;
	budget_use(&s->operations, 10, 10, T0);
	sources_leave(&table, s, T0);
	s = join(login("a"), 0, T0 + S / 2);
	assert_int_equal(budget_debt_ns(&s->operations, T0 + S / 2), S / 2);
	assert_int_equal(table.idle_count, 0);
	sources_leave(&table, s, T0 + S / 2);
	assert_int_equal(table.idle_count, 1);
}

static void test_who_owes_nothing_is_forgotten(void **state)
{
	struct source *s = join(login("a"), 0, T0);

	(void)state;
	budget_use(&s->bytes, 10, 10, T0);
	sources_leave(&table, s, T0);
	sources_leave(&table, join(login("b"), 0, T0), T0);
	assert_int_equal(table.idle_count, 1);
	/* Later: anybody who comes clears up. */
	s = join(login("b"), 0, T0 + S);
	assert_int_equal(table.idle_count, 0);
	sources_leave(&table, s, T0 + S);
	assert_int_equal(table.idle_count, 0);
}

static void test_the_table_is_bounded_and_forgets_who_has_left_first(void **state)
{
	char name[16];
	struct source *s;

	(void)state;
	for (int i = 0; i < SOURCES_IDLE_MAX + 100; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		s = join(login(name), 0, T0);
		budget_use(&s->operations, 1, 100, T0);
		sources_leave(&table, s, T0);
		assert_true(table.idle_count <= SOURCES_IDLE_MAX);
	}
	s = join(login(name), 0, T0);
	assert_int_equal(budget_debt_ns(&s->operations, T0), 100 * S);
	sources_leave(&table, s, T0);
}

static void test_forgiving_is_for_all(void **state)
{
	struct source *a = join(login("a"), 0, T0), *b = join(login("b"), 0, T0);

	(void)state;
	budget_use(&a->operations, 1, 100, T0);
	budget_use(&b->bytes, 1, 100, T0);
	sources_leave(&table, b, T0); /* and for who will come back */
	sources_forgive(&table, T0);
	assert_int_equal(budget_debt_ns(&a->operations, T0), S);
	b = join(login("b"), 0, T0);
	assert_int_equal(budget_debt_ns(&b->bytes, T0), S);
	sources_leave(&table, a, T0 + 2 * S);
	sources_leave(&table, b, T0 + 2 * S);
}

/* ---- several threads ---- */

static _Atomic int64_t most;

static void *come_and_go(void *arg)
{
	struct source_key key = login("a");

	(void)arg;
	for (int64_t i = 0; i < ROUNDS; i++) {
		struct source *s = NULL;

		if (sources_join(&table, &key, THREADS - 1, T0 + i, &s))
			continue;
		budget_use(&s->operations, 1000000000, 1, T0 + i);
		/* Under no lock: never more than the limit at any moment. */
		if (atomic_fetch_add(&most, 1) >= THREADS - 1)
			abort();
		atomic_fetch_sub(&most, 1);
		sources_leave(&table, s, T0 + i);
	}
	return NULL;
}

static void test_threads_that_come_and_go_are_counted_exactly(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&table.count), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_source_is_a_user_an_address_or_a_login),
		TEST(test_what_is_not_the_same_is_another_source),
		TEST(test_a_source_has_as_many_clients_as_it_may),
		TEST(test_a_budget_is_not_renewed_by_reconnecting),
		TEST(test_who_owes_nothing_is_forgotten),
		TEST(test_the_table_is_bounded_and_forgets_who_has_left_first),
		TEST(test_forgiving_is_for_all),
		TEST(test_threads_that_come_and_go_are_counted_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
