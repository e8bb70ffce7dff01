/* SPDX-License-Identifier: MIT */
/* Which connections are shut, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "../../gateway/clients.h"

enum { PATIENCE_MS = 5000, COUNT = 4 };

static struct clients clients;
static int theirs[COUNT], ours[COUNT];
static struct client *all[COUNT];

/* Each a second behind the one before it. */
static int open_all(void **state)
{
	(void)state;
	clients_init(&clients, PATIENCE_MS);
	for (int i = 0; i < COUNT; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
			return -1;
		ours[i] = pair[0];
		theirs[i] = pair[1];
		all[i] = clients_add(&clients, ours[i], i * 1000);
	}
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		clients_remove(&clients, all[i]);
		close(ours[i]);
		close(theirs[i]);
	}
	return TAILQ_FIRST(&clients.waited_for) || clients.unseen;
}

static void expect_shut(int at, bool is_shut)
{
	char byte;
	ssize_t n = recv(theirs[at], &byte, 1, MSG_DONTWAIT);

	assert_int_equal(n == 0, is_shut);
}

static void test_who_owes_for_too_long_is_shut_and_nobody_else(void **state)
{
	(void)state;
	clients_shut(&clients, PATIENCE_MS - 1);
	expect_shut(0, false);
	clients_shut(&clients, PATIENCE_MS + 1000);
	for (int i = 0; i < COUNT; i++)
		expect_shut(i, i < 2);
}

static void test_who_has_asked_owes_nothing_until_the_reply(void **state)
{
	(void)state;
	clients_has_asked(&clients, all[0]);
	clients_has_asked(&clients, all[1]);
	clients_has_asked(&clients, all[1]);
	clients_has_reply(&clients, all[1], 4000);
	clients_shut(&clients, PATIENCE_MS + 3999);
	for (int i = 0; i < COUNT; i++)
		expect_shut(i, i >= 2);
	clients_shut(&clients, PATIENCE_MS + 4000);
	expect_shut(0, false);
	expect_shut(1, true);
	clients_has_asked(&clients, NULL);
	clients_has_reply(&clients, NULL, 0);
	clients_remove(&clients, NULL);
}

static void test_who_will_send_no_more_is_shut_when_all_was_read(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(write(theirs[1], "x", 1), 1);
	for (int i = 0; i < 3; i++)
		shutdown(theirs[i], SHUT_WR);
	clients_has_asked(&clients, all[2]);
	clients_shut(&clients, 3999);
	expect_shut(0, true);
	expect_shut(1, false); /* there is a byte */
	expect_shut(2, false); /* its reply comes first */
	expect_shut(3, false);
	assert_int_equal(read(ours[1], &byte, 1), 1);
	clients_has_reply(&clients, all[1], 4000);
	clients_has_reply(&clients, all[2], 4000);
	clients_shut(&clients, 4999);
	expect_shut(1, false); /* not before it was read for sure */
	clients_shut(&clients, 5000);
	expect_shut(1, true);
	expect_shut(2, true);
	expect_shut(3, false);
}

static void test_clients_may_go_in_any_order(void **state)
{
	(void)state;
	clients_shut(&clients, 1500); /* the first one was looked at */
	for (int i = 1; i < COUNT; i += 2) {
		clients_remove(&clients, all[i]);
		all[i] = NULL;
	}
	clients_shut(&clients, 2 * PATIENCE_MS);
	expect_shut(0, true);
	expect_shut(1, false);
	expect_shut(2, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_owes_for_too_long_is_shut_and_nobody_else, open_all,
						close_all),
		cmocka_unit_test_setup_teardown(test_who_has_asked_owes_nothing_until_the_reply, open_all,
						close_all),
		cmocka_unit_test_setup_teardown(test_who_will_send_no_more_is_shut_when_all_was_read,
						open_all, close_all),
		cmocka_unit_test_setup_teardown(test_clients_may_go_in_any_order, open_all, close_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
